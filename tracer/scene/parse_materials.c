/* scene.json: textures and materials. */
#include <string.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/model.h"
#include "tracer/scene/parse.h"

static void parse_texture(mr_parse *parse, const mr_node *node, mr_desc_texture *texture)
{
    static const char *const keys[] = {"file", "color_space", "wrap", NULL};
    static const char *const spaces[] = {"linear", "srgb", NULL};
    static const char *const wraps[] = {"repeat", "clamp", NULL}; /* enum mr_wrap */
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, node, keys);
    mr_read_need(reader, node, "file", "the path of a PNG, JPEG or HDR image");
    texture->name = mr_arena_text(reader->arena, node->key);
    texture->path = mr_parse_path(parse, node);
    texture->srgb = mr_read_choice(reader, node, "color_space", spaces, MR_NONE);
    texture->wrap = mr_read_choice(reader, node, "wrap", wraps, MR_WRAP_REPEAT);
    if (!texture->name) (void)mr_reader_no_memory(reader);
}

void mr_parse_textures(mr_parse *parse, const mr_node *root)
{
    mr_node map = mr_reader_child(&parse->reader, root, "textures"), item = {0};
    mr_description *out = parse->out;
    mr_read_names(&parse->reader, &map, &parse->textures);
    if (parse->textures.count > MR_SCENE_MAX_TEXTURES) (void)mr_reader_fail(&parse->reader, &map, "at most %d textures", MR_SCENE_MAX_TEXTURES);
    out->textures = mr_parse_array(parse, parse->textures.count, sizeof *out->textures);
    while (mr_reader_next(&parse->reader, &map, &item)) parse_texture(parse, &item, &out->textures[out->texture_count++]);
}

/* A texture of numbers, not colours: linear unless the scene says otherwise. */
static uint32_t parse_data_texture(mr_parse *parse, const mr_node *node, const char *key)
{
    uint32_t index = mr_read_name(&parse->reader, node, key, &parse->textures, "texture");
    if (index != MR_NONE) parse->out->textures[index].is_data = true;
    return index;
}

static float unit_number(mr_reader *reader, const mr_node *node, const char *key, float fallback)
{
    return (float)mr_read_number(reader, node, key, (double)fallback, 0, 1);
}

static void store3(float out[3], const double in[3], double factor)
{
    for (size_t c = 0; c < 3; c++) out[c] = (float)(in[c] * factor);
}

static void parse_base(mr_parse *parse, const mr_node *node, mr_material *m)
{
    mr_reader *reader = &parse->reader;
    double base[3];
    if (mr_read_color(reader, node, "base_color", base, 1)) store3(m->base_color, base, 1);
    m->base_texture = mr_read_name(reader, node, "base_texture", &parse->textures, "texture");
    m->metallic = unit_number(reader, node, "metallic", m->metallic);
    m->roughness = unit_number(reader, node, "roughness", m->roughness);
    m->surface_texture = parse_data_texture(parse, node, "surface_texture");
    m->normal_texture = parse_data_texture(parse, node, "normal_texture");
    m->normal_scale = (float)mr_read_number(reader, node, "normal_scale", 1, 0, 100);
}

/* Holes where the base texture's alpha is low. */
static void parse_holes(mr_parse *parse, const mr_node *node, mr_material *m)
{
    mr_reader *reader = &parse->reader;
    m->alpha_cutoff = unit_number(reader, node, "alpha_cutoff", 0);
    if (m->alpha_cutoff > 0 && m->base_texture == MR_NONE)
        (void)mr_reader_fail(reader, node, "a base_texture, whose alpha alpha_cutoff is compared with");
}

static void parse_dielectric(mr_parse *parse, const mr_node *node, mr_material *m)
{
    mr_reader *reader = &parse->reader;
    double absorption[3];
    m->ior = (float)mr_read_number(reader, node, "ior", (double)m->ior, 1, 4);
    m->transmission = unit_number(reader, node, "transmission", m->transmission);
    m->clearcoat = unit_number(reader, node, "clearcoat", m->clearcoat);
    m->clearcoat_roughness = unit_number(reader, node, "clearcoat_roughness", m->clearcoat_roughness);
    if (mr_read_numbers(reader, node, "absorption", absorption, 3, 0, 1e6)) store3(m->absorption, absorption, 1);
}

static void parse_emission(mr_parse *parse, const mr_node *node, mr_material *m)
{
    mr_reader *reader = &parse->reader;
    double emission[3] = {0, 0, 0}, strength = mr_read_number(reader, node, "emission_strength", 1, 0, 1e6);
    m->emission_texture = mr_read_name(reader, node, "emission_texture", &parse->textures, "texture");
    if (m->emission_texture != MR_NONE) emission[0] = emission[1] = emission[2] = 1;
    (void)mr_read_color(reader, node, "emission", emission, 1e6);
    for (size_t c = 0; c < 3; c++) emission[c] = fmin(emission[c], 1e9 / fmax(strength, 1)); /* MR_MAX_RADIANCE */
    store3(m->emission, emission, strength);
}

static void parse_flags(mr_reader *reader, const mr_node *node, mr_material *m)
{
    static const char *const types[] = {"principled", "glass", NULL};
    if (mr_read_bool(reader, node, "vertex_colors", false)) m->flags |= MR_MATERIAL_VERTEX_COLOR;
    if (mr_read_bool(reader, node, "transparent_shadows", false)) m->flags |= MR_MATERIAL_TRANSPARENT_SHADOW;
    if (mr_read_bool(reader, node, "flat", false)) m->flags |= MR_MATERIAL_FLAT;
    if (mr_read_choice(reader, node, "type", types, 0) == 1) {
        m->flags |= MR_MATERIAL_GLASS;
        m->transmission = 1;
        m->roughness = 0;
        m->base_color[0] = m->base_color[1] = m->base_color[2] = 1;
    }
}

static void parse_material(mr_parse *parse, const mr_node *node, mr_desc_material *material)
{
    static const char *const keys[] = {"type", "base_color", "base_texture", "alpha_cutoff", "vertex_colors", "metallic", "roughness", "surface_texture", "normal_texture",
                                       "normal_scale", "ior", "transmission", "clearcoat", "clearcoat_roughness", "emission", "emission_strength",
                                       "emission_texture", "absorption", "transparent_shadows", "flat", NULL};
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, node, keys);
    material->name = mr_arena_text(reader->arena, node->key);
    if (!material->name) (void)mr_reader_no_memory(reader);
    material->m = mr_material_default();
    parse_flags(reader, node, &material->m);
    parse_base(parse, node, &material->m);
    parse_holes(parse, node, &material->m);
    parse_dielectric(parse, node, &material->m);
    parse_emission(parse, node, &material->m);
}

void mr_parse_materials(mr_parse *parse, const mr_node *root)
{
    mr_node map = mr_reader_child(&parse->reader, root, "materials"), item = {0};
    mr_description *out = parse->out;
    mr_read_names(&parse->reader, &map, &parse->materials);
    out->materials = mr_parse_array(parse, parse->materials.count, sizeof *out->materials);
    while (mr_reader_next(&parse->reader, &map, &item)) parse_material(parse, &item, &out->materials[out->material_count++]);
}
