/* The ray kernels: batches of rays against the BVH of a pack.
 *
 * One source (tracer/kernel.c over tracer/simd.h) is built once for each instruction set; mr_kernel_pick chooses at run
 * time. Every build gives the same bits: a hit is the least (t, instance, triangle), t is computed without FMA in a fixed
 * order and clamped into the triangle's own box, so that neither the order of traversal nor the arithmetic of the (merely
 * conservative) box tests can change it. Which rays stand together in a batch changes nothing either. */
#ifndef MR_KERNEL_H
#define MR_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/pack.h"

/* t counts in |dir|; dir need not be of unit length. tmin >= 0. A ray with a NaN, a zero or an infinite direction hits nothing. */
typedef struct mr_ray {
    float org[3], tmin, dir[3], tmax;
} mr_ray;

typedef struct mr_hit {
    float t;           /* in [tmin, tmax]; tmax on a miss */
    uint32_t triangle; /* index in the pack, MR_SPHERE for a sphere instance, MR_NONE on a miss */
    uint32_t instance; /* index in the pack, 0: the world */
    uint32_t pad;
} mr_hit;

typedef struct mr_kernel {
    const char *name; /* scalar, sse, avx2, avx512, neon */
    size_t scratch_bytes; /* of one thread's scratch, which must be aligned to 64 */
    /* Nearest hit of each ray. bvh: a pack's BVH section (checked). pack: asked where triangles have holes (tracer/alpha.h); NULL: none has. Safe from any thread with its own scratch; allocates nothing. */
    void (*intersect)(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, mr_hit *hits, void *scratch);
    /* Whether anything stands between tmin and tmax: 1 or 0 for each ray. Instances with MR_INSTANCE_NO_SHADOW are passed. */
    void (*occluded)(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, uint8_t *blocked, void *scratch);
} mr_kernel;

/* The kernel of that name, or with NULL the best that this machine has; the environment is the command line's to read. MR_USAGE for an unknown name or one that the machine lacks; the message lists those it has. */
int mr_kernel_pick(const mr_kernel **out, const char *name, mr_error *err);

/* The i-th kernel that this machine can run (scalar first, best last), or NULL past the end. For tests and benchmarks. */
const mr_kernel *mr_kernel_at(unsigned i);

#endif
