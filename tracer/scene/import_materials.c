/* From assimp's materials to ours: what of base colour, metal, roughness, coat, glass and glow the file says; the rest stays at our defaults. */
#include "tracer/scene/import_materials.h"

#include <assimp/GltfMaterial.h>
#include <assimp/material.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/arena.h"
#include "tracer/scene/limits.h"

typedef struct images {
    mr_model *model;
    const struct aiScene *scene;
    const char *path;
    mr_error *err;
    mr_arena arena;
    const char **names; /* of the images so far; the encoding is part of the name */
    uint32_t room;
    bool alone;
} images;

/* ---- textures ---- */

/* `srgb:name` or `data:name`: the same file may be needed in both readings. */
static const char *image_key(images *list, const char *name, int srgb)
{
    size_t bytes = strlen(name) + 6;
    char *key = mr_arena_get(&list->arena, bytes, 1);
    if (key) (void)snprintf(key, bytes, "%s:%s", srgb ? "srgb" : "data", name);
    return key;
}

static const char *folder_of(images *list)
{
    char *folder = mr_arena_text(&list->arena, list->path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) *slash = 0;
    return slash ? folder : "";
}

/* Embedded raw texels (BGRA) instead of a compressed file. */
static int copy_raw(const struct aiTexture *texture, mr_image *image, int srgb, uint32_t wrap, const char *path, mr_error *err)
{
    if (texture->mWidth > MR_SCENE_MAX_TEXTURE_SIDE || texture->mHeight > MR_SCENE_MAX_TEXTURE_SIDE || !texture->mWidth)
        return mr_fail(err, MR_BAD_INPUT, "%s: found an embedded image of %ux%u pixels, expected 1..%d a side", path, texture->mWidth, texture->mHeight, MR_SCENE_MAX_TEXTURE_SIDE);
    *image = (mr_image){.width = texture->mWidth, .height = texture->mHeight, .format = srgb ? MR_TEXEL_SRGB8 : MR_TEXEL_LINEAR8, .wrap = wrap};
    uint8_t *out = image->texels = malloc(mr_image_bytes(image));
    if (!out) return mr_fail(err, MR_FAILED, "%s: no memory for a texture", path);
    for (size_t i = 0; i < (size_t)texture->mWidth * texture->mHeight; i++) {
        const struct aiTexel *t = &texture->pcData[i];
        out[4 * i] = t->r;
        out[4 * i + 1] = t->g;
        out[4 * i + 2] = t->b;
        out[4 * i + 3] = t->a;
    }
    return MR_OK;
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/'), *back = strrchr(name, '\\');
    const char *cut = slash > back ? slash : back;
    return cut ? cut + 1 : name;
}

/* Embedded images are named *0, *1, … or by the file that they once were; NULL when it is none of them. */
static const struct aiTexture *find_embedded(const struct aiScene *scene, const char *name)
{
    if (name[0] == '*') {
        unsigned long index = strtoul(name + 1, NULL, 10);
        return index < scene->mNumTextures ? scene->mTextures[index] : NULL;
    }
    for (unsigned i = 0; i < scene->mNumTextures; i++)
        if (scene->mTextures[i]->mFilename.length && !strcmp(last_part(scene->mTextures[i]->mFilename.data), last_part(name))) return scene->mTextures[i];
    return NULL;
}

/* Embedded, or a file beside the model. */
static int load_image(images *list, const char *name, int srgb, uint32_t wrap, mr_image *image)
{
    const struct aiTexture *embedded = find_embedded(list->scene, name);
    if (embedded && embedded->mHeight) return copy_raw(embedded, image, srgb, wrap, list->path, list->err);
    if (embedded) return mr_image_decode(image, embedded->pcData, embedded->mWidth, list->path, srgb, wrap, list->err);
    if (list->alone) return mr_fail(list->err, MR_BAD_INPUT, "%s: found a texture in another file, '%.100s'; expected a model that needs no other file", list->path, name);
    char *file = mr_arena_path(&list->arena, folder_of(list), name);
    for (char *c = file; c && *c; c++)
        if (*c == '\\') *c = '/'; /* files written on Windows */
    return file ? mr_image_load(image, file, srgb, wrap, list->err) : mr_fail(list->err, MR_FAILED, "%s: no memory", list->path);
}

static int add_image(images *list, const char *name, int srgb, uint32_t wrap, uint32_t *index)
{
    mr_model *model = list->model;
    const char *key = image_key(list, name, srgb);
    if (!key) return mr_fail(list->err, MR_FAILED, "%s: no memory", list->path);
    for (uint32_t i = 0; i < model->image_count; i++)
        if (!strcmp(list->names[i], key)) {
            *index = i;
            return MR_OK;
        }
    if (model->image_count >= list->room) return mr_fail(list->err, MR_BAD_INPUT, "%s: found too many textures, expected at most %u", list->path, list->room);
    int status = load_image(list, name, srgb, wrap, &model->images[model->image_count]);
    if (status) return status;
    list->names[model->image_count] = key;
    *index = model->image_count++;
    return MR_OK;
}

/* The first texture of the first of the types that the material has; *index stays MR_NONE without one. */
static int find_texture(images *list, const struct aiMaterial *from, const enum aiTextureType *types, size_t count, int srgb, uint32_t *index)
{
    for (size_t i = 0; i < count; i++) {
        struct aiString name;
        enum aiTextureMapMode modes[2] = {aiTextureMapMode_Wrap, aiTextureMapMode_Wrap}; /* u and v: assimp writes both */
        if (aiGetMaterialTexture(from, types[i], 0, &name, NULL, NULL, NULL, NULL, modes, NULL) != aiReturn_SUCCESS || !name.length) continue;
        return add_image(list, name.data, srgb, modes[0] == aiTextureMapMode_Clamp ? MR_WRAP_CLAMP : MR_WRAP_REPEAT, index);
    }
    return MR_OK;
}

static int add_textures(images *list, const struct aiMaterial *from, mr_material *m)
{
    static const enum aiTextureType base[] = {aiTextureType_BASE_COLOR, aiTextureType_DIFFUSE}, normal[] = {aiTextureType_NORMALS},
                                    surface[] = {aiTextureType_METALNESS, aiTextureType_DIFFUSE_ROUGHNESS}, emission[] = {aiTextureType_EMISSIVE};
    int status = find_texture(list, from, base, 2, 1, &m->base_texture);
    if (!status) status = find_texture(list, from, surface, 2, 0, &m->surface_texture);
    if (!status) status = find_texture(list, from, normal, 1, 0, &m->normal_texture);
    if (!status) status = find_texture(list, from, emission, 1, 1, &m->emission_texture);
    return status;
}

/* ---- numbers ---- */

static float within(float x, float least, float most) { return x >= least ? (x <= most ? x : most) : least; }

static bool get_color(const struct aiMaterial *from, const char *key, float out[3], float most)
{
    struct aiColor4D c = {0, 0, 0, 1};
    if (aiGetMaterialColor(from, key, 0, 0, &c) != aiReturn_SUCCESS) return false;
    out[0] = within(c.r, 0, most);
    out[1] = within(c.g, 0, most);
    out[2] = within(c.b, 0, most);
    return true;
}

static bool get_number(const struct aiMaterial *from, const char *key, float *out, float least, float most)
{
    ai_real x = 0;
    if (aiGetMaterialFloatArray(from, key, 0, 0, &x, NULL) != aiReturn_SUCCESS) return false;
    *out = within((float)x, least, most);
    return true;
}

/* A Phong exponent as a roughness: alpha = sqrt(2 / (s + 2)) (Walter et al. 2007), and alpha is roughness squared. */
static void from_shininess(const struct aiMaterial *from, mr_material *m)
{
    float s;
    if (get_number(from, "$mat.shininess", &s, 0, 1e6f) && s > 0) m->roughness = powf(2 / (s + 2), 0.25f);
}

/* glTF's alphaMode MASK. The factor of the alpha (glTF's base colour has one) is put into the cutoff. */
static bool get_holes(const struct aiMaterial *from, float opacity, mr_material *m)
{
    struct aiString mode;
    float cutoff = 0.5f;
    if (aiGetMaterialString(from, "$mat.gltf.alphaMode", 0, 0, &mode) != aiReturn_SUCCESS || strcmp(mode.data, "MASK") != 0) return false;
    (void)get_number(from, "$mat.gltf.alphaCutoff", &cutoff, 0, 2);
    m->alpha_cutoff = cutoff > 2 * opacity ? 2 : cutoff > 0 ? cutoff / opacity : 0;
    return true;
}

static mr_material convert(const struct aiMaterial *from)
{
    mr_material m = mr_material_default();
    float strength = 1, opacity = 1;
    if (!get_color(from, "$clr.base", m.base_color, 1)) (void)get_color(from, "$clr.diffuse", m.base_color, 1);
    (void)get_number(from, "$mat.metallicFactor", &m.metallic, 0, 1);
    if (!get_number(from, "$mat.roughnessFactor", &m.roughness, 0, 1)) from_shininess(from, &m);
    (void)get_number(from, "$mat.clearcoat.factor", &m.clearcoat, 0, 1);
    (void)get_number(from, "$mat.clearcoat.roughnessFactor", &m.clearcoat_roughness, 0, 1);
    (void)get_number(from, "$mat.transmission.factor", &m.transmission, 0, 1);
    if (get_number(from, "$mat.refracti", &m.ior, 0, 4) && m.ior < 1.01f) m.ior = 1.5f; /* exporters write 0 or 1 for "not said" */
    bool translucent = get_number(from, "$mat.opacity", &opacity, 0, 1) && opacity < 1 && !(m.transmission > 0);
    if (!get_holes(from, opacity, &m) && translucent) m.transmission = 1 - opacity;
    (void)get_number(from, "$mat.emissiveIntensity", &strength, 0, 1e6f);
    if (get_color(from, "$clr.emissive", m.emission, 1000))
        for (size_t c = 0; c < 3; c++) m.emission[c] *= strength;
    return m;
}

int mr_import_materials(mr_model *model, const struct aiScene *scene, const char *path, bool alone, mr_error *err)
{
    images list = {.model = model, .scene = scene, .path = path, .err = err, .alone = alone};
    size_t count = scene->mNumMaterials;
    if (count > MR_SCENE_MAX_MATERIALS) return mr_fail(err, MR_BAD_INPUT, "%s: found %zu materials, expected at most %d", path, count, MR_SCENE_MAX_MATERIALS);
    list.room = count * 4 < MR_SCENE_MAX_TEXTURES ? (uint32_t)count * 4 : MR_SCENE_MAX_TEXTURES;
    model->materials = calloc(count + 1, sizeof *model->materials);
    model->images = calloc((size_t)list.room + 1, sizeof *model->images);
    list.names = mr_arena_get(&list.arena, list.room, sizeof *list.names);
    int status = model->materials && model->images && list.names ? MR_OK : mr_fail(err, MR_FAILED, "%s: no memory", path);
    for (uint32_t i = 0; i < count && !status; i++) {
        model->materials[model->material_count++] = convert(scene->mMaterials[i]);
        status = add_textures(&list, scene->mMaterials[i], &model->materials[i]);
    }
    mr_arena_free(&list.arena);
    return status;
}
