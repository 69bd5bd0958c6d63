/* The interface through which bench/rays measures implementations on the same rays in the same run: five functions that a shared
 * library exports (build/mobyray-rays.so does, by bench/rays_plugin.c; bench/embree.c answers the same calls with Embree).
 *
 * corners: 9 floats a triangle. quality: 0 medium, 1 high. threads: how many the build may use.
 * rtx_intersect and rtx_occluded get any number of rays and may be called from several threads on one scene. A hit's prim is the
 * triangle (any value but MR_NONE for rtx_occluded) or MR_NONE. rtx_build gives NULL and a line on stderr when it fails. */
#ifndef BENCH_RTX_H
#define BENCH_RTX_H

#include <stdint.h>

#include "tracer/kernel.h"
#include "tracer/pack.h" /* MR_NONE */

typedef struct rtx_hit {
    uint32_t prim; /* MR_NONE: no hit */
    float t;
} rtx_hit;

typedef struct rtx_scene rtx_scene;

rtx_scene *rtx_build(const float *corners, uint32_t count, int quality, int threads);
void rtx_intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out);
void rtx_occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out);
uint64_t rtx_bytes(const rtx_scene *scene); /* kept after the build */
void rtx_free(rtx_scene *scene);
const char *rtx_name(void);

typedef void rtx_query(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out);

/* The five functions of one implementation. */
typedef struct rtx_api {
    const char *name;
    rtx_scene *(*build)(const float *corners, uint32_t count, int quality, int threads);
    rtx_query *intersect, *occluded;
    uint64_t (*bytes)(const rtx_scene *scene);
    void (*release)(rtx_scene *scene);
    double (*build_seconds)(const rtx_scene *scene); /* of the tree alone, or NULL: the whole call counts */
} rtx_api;

extern const rtx_api rtx_own;           /* the tracer's: bench/rays_plugin.c */
extern const rtx_api *const rtx_embree; /* NULL in a build without Embree: bench/embree.c */

/* Opens a shared library that exports the five functions. MR_BAD_INPUT when it cannot be loaded or one is missing. */
int rtx_open(rtx_api *out, const char *path, mr_error *err);

/* A scene of the tracer's own from a finished section of any kind, instances included; bvh is freed. NULL and a line on stderr on
 * failure. */
struct mr_bvh;
rtx_scene *rtx_own_adopt(struct mr_bvh *bvh);

/* The kernel and section behind a scene of the tracer's own, for callers that want whole hits. */
const mr_kernel *rtx_own_kernel(const rtx_scene *scene, const void **bvh);
void *rtx_own_scratch(const rtx_scene *scene); /* this thread's, kept until the process ends */

#endif
