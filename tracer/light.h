/* Direct light: choosing a light and a point on it, and the density of having done so. */
#ifndef MR_LIGHT_H
#define MR_LIGHT_H

#include "tracer/kernel.h"
#include "tracer/surface.h"
#include "tracer/texture.h"

typedef struct mr_lights {
    const mr_texels *texels;
    uint32_t first_triangle, triangle_count; /* the run of triangle lights, sorted by triangle */
    uint32_t first_sun, sun_count;           /* the run of suns */
} mr_lights;

typedef struct mr_light_sample {
    vec3 wi;       /* unit, towards the light */
    float distance;/* to it; infinite for sun and environment */
    vec3 radiance; /* from it, nothing in between */
    float pdf;     /* per steradian, the choice of the light included */
} mr_light_sample;

void mr_lights_init(mr_lights *lights, const mr_texels *texels);

/* Chooses a light by power, then a direction to it as seen from p. 0: nothing comes from there. pick in [0, 1). */
int mr_light_sample_at(const mr_lights *lights, vec3 p, float pick, mr_sample2 s, mr_light_sample *out);

/* The density with which mr_light_sample_at, at `from`, would have chosen the direction of a ray that hit this emissive point. */
float mr_light_hit_pdf(const mr_lights *lights, vec3 from, const mr_hit *hit, vec3 hit_point, vec3 hit_ng);

/* Radiance that comes along a ray which hits nothing, each part weighted against light sampling.
 * bsdf_pdf: the density with which the ray's direction was chosen; 0: nobody else could have found it, weight 1. */
vec3 mr_light_miss(const mr_lights *lights, vec3 direction, float bsdf_pdf);

#endif
