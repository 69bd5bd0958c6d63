/* The wavefront path tracer: many paths advance together, one bounce a pass.
 *
 * Each pass hands the kernel all rays at once, shades what they hit, hands it all shadow rays at once, and keeps what goes on. Light
 * arrives by next-event estimation and by the paths' own hits on emitters, weighted by the power heuristic (Veach 1997); paths end
 * by Russian roulette. What a path returns depends on its pixel, sample index and seed alone. */
#ifndef MR_INTEGRATOR_H
#define MR_INTEGRATOR_H

#include "tracer/camera.h"
#include "tracer/kernel.h"
#include "tracer/light.h"
#include "tracer/render.h"

enum { MR_WAVE = 2048 }; /* paths in flight at most: their state stays in the second-level cache */

typedef struct mr_path {
    uint32_t pixel_key, sample; /* what its random numbers come from */
    uint32_t x, y;              /* pixel */
    vec3 throughput, radiance;
    vec3 from;                  /* the last point that chose a direction by density, for the weight of a light hit */
    float bsdf_pdf;             /* with which that direction was chosen; 0: no other strategy could have found it */
    uint32_t medium;            /* material of the absorbing body it is in, or MR_NONE */
} mr_path;

typedef struct mr_integrator {
    const mr_pack *pack;
    const mr_kernel *kernel;
    mr_texels texels;
    mr_lights lights;
    mr_camera camera;
    void *kernel_scratch;
    /* one pass: rays and hits of the paths that go on, then the shadow rays they cast */
    mr_ray rays[MR_WAVE], shadow_rays[MR_WAVE];
    mr_hit hits[MR_WAVE];
    uint32_t ray_path[MR_WAVE], shadow_path[MR_WAVE];
    vec3 shadow_light[MR_WAVE];    /* what arrives if nothing stands between */
    uint32_t shadow_medium[MR_WAVE];
    uint8_t blocked[MR_WAVE];
    /* shadow rays that start in an absorbing body: where do they leave it? */
    mr_ray wet_rays[MR_WAVE];
    mr_hit wet_hits[MR_WAVE];
    uint32_t wet_shadow[MR_WAVE];
    mr_path paths[MR_WAVE];
} mr_integrator;

/* Traces the first `count` (<= MR_WAVE) of paths, whose pixel_key, sample, x and y are set; leaves radiance in each. */
void mr_integrate(mr_integrator *in, uint32_t count, mr_ray_counts *counts);

#endif
