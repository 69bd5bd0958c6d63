/* The wavefront path tracer: many paths advance together, one bounce a pass.
 *
 * Each pass hands the kernel all rays at once, shades what they hit (sorted, so that paths which are shaded together need the same
 * things), hands it all shadow rays at once, and keeps what goes on. Light arrives by next-event estimation and by the paths' own
 * hits on emitters, weighted by the power heuristic (Veach 1997); paths end by Russian roulette. What a path returns depends on its
 * pixel, sample index and seed alone.
 *
 * tracer/integrator.c is built once for each instruction set, over lanes (tracer/lanes.h). What lies in memory here is the same for
 * all of them: records of 4 or 8 words, which lanes are loaded from and stored to as rows. */
#ifndef MR_INTEGRATOR_H
#define MR_INTEGRATOR_H

#include "tracer/camera.h"
#include "tracer/kernel.h"
#include "tracer/light.h"
#include "tracer/render.h"

enum { MR_WAVE = 2048 };        /* paths in flight at most: their state stays in the second-level cache */
enum { MR_ROOM = MR_WAVE + 1 }; /* of what lanes are appended to: one more is written than counts */

typedef struct mr_path_id {
    uint32_t x, y, sample;        /* set by the caller; sample's bits are reversed once the path has started */
    uint32_t pixel_key;           /* what its random numbers come from, with sample */
} mr_path_id;

typedef struct mr_path {
    float throughput[3];
    float bsdf_pdf;             /* with which the ray's direction was chosen; 0: no other strategy could have found it */
    float from[3];              /* the last point that chose a direction by density, for the weight of a light hit */
    uint32_t medium;            /* material of the absorbing body it is in, or MR_NONE */
} mr_path;

/* What a shadow ray brings to its path if nothing stands between. */
typedef struct mr_shadow {
    float light[3];
    uint32_t path;
} mr_shadow;

typedef struct mr_integrator {
    const mr_pack *pack;
    const mr_kernel *kernel;
    mr_texels texels;
    mr_lights lights;
    mr_camera camera;
    uint32_t seed;
    uint8_t *material_class;    /* one a material: those of a class are shaded together */
    void *kernel_scratch;
    mr_path_id ids[MR_WAVE];
    mr_path paths[MR_WAVE];
    float radiance[MR_WAVE][4]; /* what each path has returned; the fourth is not used */
    /* one pass: rays, the paths they belong to, and their hits; then the rays of the next pass, which takes the other half */
    mr_ray rays[2][MR_ROOM];
    uint32_t ray_path[2][MR_ROOM];
    mr_hit hits[MR_WAVE];
    uint32_t order[MR_WAVE];    /* of a pass's rays: misses first, then hits by class */
    uint8_t hit_class[MR_WAVE];
    mr_ray shadow_rays[MR_ROOM];
    mr_shadow shadows[MR_ROOM];
    uint32_t shadow_medium[MR_ROOM];
    uint8_t blocked[MR_WAVE];
    /* shadow rays that start in an absorbing body (are there any?): where do they leave it? */
    uint32_t wet;
    mr_ray wet_rays[MR_WAVE];
    mr_hit wet_hits[MR_WAVE];
    uint32_t wet_shadow[MR_WAVE];
} mr_integrator;

/* Traces the first `count` (<= MR_WAVE) of ids, whose x, y and sample are set; leaves radiance[0 .. count - 1]. */
typedef void mr_integrate_fn(mr_integrator *in, uint32_t count, mr_ray_counts *counts);

/* The build of the integrator for the machine that the kernel is for. */
mr_integrate_fn *mr_integrator_pick(const mr_kernel *kernel);

/* What materials have in common, for the sorting; 0 .. MR_MATERIAL_CLASSES - 1. */
enum { MR_MATERIAL_CLASSES = 64 };
uint8_t mr_material_class(const mr_material *material);

#endif
