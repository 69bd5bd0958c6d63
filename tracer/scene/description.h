/* A scene's description: scene.json after parsing, checked, with names resolved to indices and paths complete, but no file opened yet.
 *
 * Everything hangs in the arena. Parsing (parse*.c) fills it, auto.c makes one for a bare model file, compile.c turns it into a pack. */
#ifndef MR_SCENE_DESCRIPTION_H
#define MR_SCENE_DESCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/pack.h"
#include "tracer/scene/arena.h"
#include "tracer/scene/transform.h"

typedef struct mr_desc_texture {
    const char *name, *path;
    uint32_t srgb; /* 0, 1, or MR_NONE: as its use asks (colours sRGB, normals and surfaces linear) */
    uint32_t wrap; /* enum mr_wrap */
    bool is_data;  /* used as normals or surface */
} mr_desc_texture;

typedef struct mr_desc_material {
    const char *name;
    mr_material m; /* texture fields: indices of the description's textures, or MR_NONE */
} mr_desc_material;

enum mr_desc_mesh_kind { MR_DESC_FILE, MR_DESC_BOX, MR_DESC_SPHERE, MR_DESC_QUAD, MR_DESC_TRIANGLES };

typedef struct mr_desc_mesh {
    const char *name, *path;
    uint32_t kind;       /* enum mr_desc_mesh_kind */
    uint32_t material;   /* or MR_NONE */
    double numbers[12];  /* box: least and greatest corner; sphere: centre, radius; quad: four points */
    uint32_t vertex_count, triangle_count; /* of MR_DESC_TRIANGLES */
    double (*positions)[3], (*normals)[3], (*uvs)[2]; /* normals, uvs: may be NULL */
    uint32_t (*indices)[3];
    struct mr_model *loaded; /* MR_DESC_FILE: already read; the compiler takes over what it holds. Usually NULL */
} mr_desc_mesh;

typedef struct mr_desc_object {
    const char *name; /* or NULL */
    uint32_t mesh;
    uint32_t material; /* instead of the mesh's, or MR_NONE */
    float tint[3];
    mr_affine to_world;
} mr_desc_object;

enum mr_desc_light_kind { MR_DESC_SUN, MR_DESC_SKY, MR_DESC_ENVIRONMENT, MR_DESC_CONSTANT };

typedef struct mr_desc_light {
    uint32_t kind;         /* enum mr_desc_light_kind */
    vec3 direction;        /* unit, towards the sun: sun and sky */
    bool from_sky;         /* sun: its irradiance follows from the atmosphere */
    double irradiance[3];  /* sun: on a plane that faces it; with from_sky a factor */
    double angular_radius_rad;
    double turbidity, intensity;
    double ground[3];      /* sky: albedo of what lies below the horizon */
    double radiance[3];    /* constant */
    double rotate_deg;     /* environment: about +y, anticlockwise seen from above */
    const char *path;      /* environment */
} mr_desc_light;

typedef struct mr_description {
    const char *file; /* the scene.json or model file, for messages */
    mr_settings settings; /* bounds not yet known */
    mr_desc_texture *textures;
    mr_desc_material *materials;
    mr_desc_mesh *meshes;
    mr_desc_object *objects;
    mr_desc_light *lights;
    uint32_t texture_count, material_count, mesh_count, object_count, light_count;
} mr_description;

/* Parses a scene.json. MR_BAD_INPUT with file, place, found and expected. */
int mr_description_parse(mr_description *out, const char *path, mr_arena *arena, mr_error *err);

/* Default film, integrator and name; the camera is left zero. */
mr_settings mr_settings_default(const char *name);

/* Sets position and axes. False when position, target and up do not give a view. */
bool mr_settings_look(mr_settings *settings, vec3 position, vec3 target, vec3 up);

#endif
