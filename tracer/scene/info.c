/* See info.h. */
#include "tracer/scene/info.h"

#include <math.h>

#include "tracer/pack_check.h"

static const double DEG_PER_RAD = 57.29577951308232;

static void print_settings(const mr_settings *s, FILE *file)
{
    static const char *const tones[] = {"linear", "filmic", "aces"}, *const filters[] = {"box", "tent", "gaussian", "blackman-harris"};
    (void)fprintf(file, "picture     %ux%u, %u samples a pixel, exposure %.3g, %s, %s filter of radius %.3g\n", s->width, s->height, s->spp, (double)s->exposure,
                  tones[s->tone_map], filters[s->filter], (double)s->filter_radius);
    (void)fprintf(file, "paths       at most %u bounces, roulette after %u, indirect clamp %.3g\n", s->max_bounces, s->roulette_after, (double)s->clamp_indirect);
    (void)fprintf(file, "camera      at (%.6g, %.6g, %.6g) towards (%.4g, %.4g, %.4g), %.4g degrees wide\n", (double)s->position[0], (double)s->position[1],
                  (double)s->position[2], -(double)s->w[0], -(double)s->w[1], -(double)s->w[2], (double)s->fov_x_rad * DEG_PER_RAD);
    (void)fprintf(file, "lens        radius %.4g m, focus at %.6g m\n", (double)s->lens_radius, (double)s->focus_distance);
    (void)fprintf(file, "bounds      (%.6g, %.6g, %.6g) .. (%.6g, %.6g, %.6g)\n", (double)s->bounds_lo[0], (double)s->bounds_lo[1], (double)s->bounds_lo[2],
                  (double)s->bounds_hi[0], (double)s->bounds_hi[1], (double)s->bounds_hi[2]);
}

static void print_counts(const mr_pack *pack, FILE *file)
{
    uint32_t spheres = 0, lights[4] = {0, 0, 0, 0};
    for (uint32_t i = 1; i < pack->instance_count; i++) spheres += pack->instances[i].kind == MR_INSTANCE_SPHERE;
    for (uint32_t i = 0; i < pack->light_count; i++) lights[pack->lights[i].kind]++;
    (void)fprintf(file, "geometry    %u triangles, %u vertices, %u mesh instances, %u spheres\n", pack->triangle_count, pack->vertex_count,
                  pack->instance_count - 1 - spheres, spheres);
    (void)fprintf(file, "surfaces    %u materials, %u textures\n", pack->material_count, pack->texture_count);
    (void)fprintf(file, "lights      %u triangles, %u spheres, %u suns, %u environments\n", lights[MR_LIGHT_TRIANGLE], lights[MR_LIGHT_SPHERE],
                  lights[MR_LIGHT_SUN], lights[MR_LIGHT_ENVIRONMENT]);
}

static void print_sections(const mr_pack *pack, FILE *file)
{
    static const char *const names[MR_SECTION_COUNT] = {"settings", "bvh",    "triangles",   "vertices",    "instances",         "materials",
                                                        "textures", "texels", "lights",      "light table", "environment", "environment tables"};
    for (int i = 0; i < MR_SECTION_COUNT; i++) {
        const mr_pack_section *s = &pack->header->section[i];
        if (s->count) (void)fprintf(file, "  %-20s %12llu bytes\n", names[i], (unsigned long long)s->count * mr_section_element_bytes((enum mr_section)i));
    }
}

void mr_pack_print_info(const mr_pack *pack, FILE *file)
{
    char hex[2 * MR_HASH_BYTES + 1];
    mr_hash_hex(pack->header->hash, hex);
    (void)fprintf(file, "scene       %s\nhash        %s\n", pack->settings->name, hex);
    print_settings(pack->settings, file);
    print_counts(pack, file);
    (void)fprintf(file, "pack        %zu bytes, version %u\n", pack->size_bytes, pack->header->version);
    print_sections(pack, file);
}
