/* A pack being built: the stages of the compiler pass this along. Shared by compile.c and the stages; no one else includes it.
 *
 *   assets.c   reads meshes, textures and surroundings, several at a time
 *   layout.c   puts triangles, instances and materials into the pack's order
 *   lights.c   lists what emits, with its power, and makes the alias table
 *   write.c    lays the sections out and hashes them */
#ifndef MR_SCENE_BUILD_H
#define MR_SCENE_BUILD_H

#include "tracer/bvh.h"
#include "tracer/crew.h"
#include "tracer/scene.h"
#include "tracer/scene/description.h"
#include "tracer/scene/model.h"

typedef struct mr_build {
    const mr_description *desc;
    const mr_scene_options *options;
    mr_error *err;
    mr_crew *crew; /* NULL: one thread */
    mr_settings settings;
    /* assets */
    mr_model *models;   /* one a mesh of the description; spheres' are empty */
    mr_image *images;   /* textures of the description, of the models, of the surroundings; the models' are taken over from them */
    uint32_t image_count;
    mr_image surroundings; /* until it has joined the images */
    bool has_environment;
    /* geometry */
    mr_vertex *vertices;
    mr_triangle *triangles; /* the world's first */
    mr_instance *instances;
    float (*mesh_bounds)[6]; /* of each instance, in its own space */
    mr_material *materials;
    uint32_t vertex_count, triangle_count, world_triangles, instance_count, material_count, material_room;
    uint32_t *first_material; /* of each mesh's own materials */
    uint32_t *use;            /* of each object: enum mr_use */
    uint32_t *first_user, *next_user; /* of each mesh, of each object: the list of the objects that are instances of the mesh, or MR_NONE */
    mr_bvh *bvh;
    /* lights */
    mr_light *lights;
    mr_alias *light_table;
    double *powers;
    uint32_t light_count, light_room;
    mr_environment environment;
    float *env_table;
    size_t env_table_count;
    double env_power; /* integral of luminance over directions */
} mr_build;

/* How an object enters the pack. */
enum mr_use { MR_USE_WORLD, MR_USE_INSTANCE, MR_USE_SPHERE };

int mr_build_assets(mr_build *build);
int mr_build_layout(mr_build *build);
int mr_build_lights(mr_build *build);

/* *bytes: aligned to MR_PACK_ALIGN, free() it. The hash is filled in. */
int mr_build_write(const mr_build *build, void **bytes, size_t *size_bytes);

void mr_build_free(mr_build *build);

/* Description to checked pack. */
int mr_scene_compile(mr_pack *out, const mr_description *desc, const mr_scene_options *options, mr_error *err);

/* A model file, framed and lit, to checked pack (auto.c). */
int mr_scene_auto(mr_pack *out, const char *path, const mr_scene_options *options, mr_error *err);

/* Luminance of a material's emission without its texture: 0 when it does not emit. */
double mr_emission_luminance(const mr_material *m);

/* Vose's table of `count` weights (>= 0, not all 0) and the probabilities that it really gives, rounding included. */
int mr_alias_table(const double *weights, uint32_t count, mr_alias *table, double *probabilities, mr_error *err);

#endif
