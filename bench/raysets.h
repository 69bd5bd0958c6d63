/* The rays of a measurement: what a path tracer asks of a scene, in three sets of side x side rays each.
 *
 * primary  a pinhole camera in front of the scene's box, one ray a pixel centre, in 8 x 8 tiles and Morton order within them
 * diffuse  from the primary rays' hits, in pixel order, one cosine-distributed direction each
 * shadow   from the same points to random points of a square light above the box, up to 0.9999 of the distance
 * Where fewer primary rays hit, each hit is used several times in a row. Secondary rays start 1e-5 of the box's diagonal off the
 * surface. */
#ifndef BENCH_RAYSETS_H
#define BENCH_RAYSETS_H

#include "bench/rtx.h"

enum { RAYS_PRIMARY, RAYS_DIFFUSE, RAYS_SHADOW, RAYS_SETS };
extern const char *const bench_set_names[RAYS_SETS];

typedef struct bench_rays {
    mr_ray *set[RAYS_SETS]; /* owned */
    uint32_t count;         /* of each */
    float hit_share;        /* of the primary rays, 0..1 */
} bench_rays;

/* What the rays are made for: its box, how to find hits, and the geometric normal (any length, any side) of the primitive of a hit.
 */
typedef struct bench_subject {
    float lo[3], hi[3];
    const rtx_scene *scene;
    rtx_query *intersect;
    void (*normal)(const void *user, uint32_t prim, float n[3]);
    const void *user;
} bench_subject;

/* side: rounded up to a multiple of 8. MR_FAILED without memory or when no primary ray hits. The same subject gives the same rays.
 */
int bench_rays_make(bench_rays *out, const bench_subject *subject, uint32_t side, mr_error *err);
void bench_rays_free(bench_rays *rays);

/* A subject of triangles (9 floats each, borrowed), traced through the tracer's own scene. */
bench_subject bench_subject_of(const float *corners, uint32_t count, const rtx_scene *own);

#endif
