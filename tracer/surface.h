/* From a hit to a surface: position, normals, and the material at that point with its textures applied. */
#ifndef MR_SURFACE_H
#define MR_SURFACE_H

#include "tracer/bsdf.h"
#include "tracer/kernel.h"
#include "tracer/texture.h"

typedef struct mr_surface {
    vec3 p;             /* world */
    vec3 ng, ns;        /* geometric and shading normal, unit, both on the side the ray came from */
    vec3 emission;      /* radiance towards the ray's origin */
    mr_lobes lobes;
    float offset;       /* metres a new ray's origin must keep from the surface (along +-ng) */
    uint32_t material;
    uint32_t flags;     /* of the material */
    int front;          /* the ray came from outside */
} mr_surface;

/* hit: of the ray, and not a miss. */
void mr_surface_at(const mr_texels *texels, const mr_ray *ray, const mr_hit *hit, mr_surface *out);

/* Where a ray that leaves the surface towards `side` (+1: the side of ng, -1: beyond) starts. */
static inline vec3 mr_surface_origin(const mr_surface *s, float side) { return v3_mad(s->ng, s->offset * side, s->p); }

/* The material a hit ends on. */
uint32_t mr_hit_material(const mr_pack *pack, const mr_hit *hit);

#endif
