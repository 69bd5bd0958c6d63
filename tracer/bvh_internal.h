/* What the parts of the BVH builder share: the binary tree (bvh_split.c, bvh2.c) that the collapse (bvh_collapse.c) turns into the
 * section's 8-wide nodes, and the growing section itself. Nobody outside tracer/bvh*.c includes this. */
#ifndef MR_BVH_INTERNAL_H
#define MR_BVH_INTERNAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "tracer/bvh.h"
#include "tracer/bvh_format.h"
#include "tracer/simd4.h"

#define MR_BVH2_INSTANCE 0x80000000u /* set in a reference's prim: an instance, not a triangle */

enum {
    MR_BVH2_DEPTH = 96,              /* bound of the binary tree at the first attempt */
    MR_BVH2_BINS = 32                /* SAH bins an axis */
};

/* A triangle, the part of one in a box, or an instance. */
typedef struct mr_bvh2_ref {
    float lo[3];
    uint32_t prim; /* index in the pack */
    float hi[3];
    uint32_t pad;
} mr_bvh2_ref;

/* count 1: a leaf, left is its prim. Otherwise the children are left and left + 1, count the references below. */
typedef struct mr_bvh2_node {
    float lo[3];
    uint32_t left;
    float hi[3];
    uint32_t count;
} mr_bvh2_node;

/* The root is node 0, node 1 is unused; every child stands behind its parent. */
typedef struct mr_bvh2 {
    mr_bvh2_node *nodes;
    uint32_t used, capacity;
} mr_bvh2;

typedef struct mr_bvh_source {
    const mr_vertex *vertices;
    const mr_triangle *triangles;
    const mr_bvh_instance *records; /* by instance index; NULL in a mesh's tree */
} mr_bvh_source;

typedef struct mr_bvh_section {
    uint8_t *bytes; /* aligned to 64 */
    size_t size, capacity;
} mr_bvh_section;

/* ---- boxes ---- */

typedef struct box {
    f4 lo, hi; /* lane 3 is 0 or meaningless, never a reason for a slow subnormal */
} box;

static inline box box_empty(void)
{
    return (box){ f4_set(INFINITY), f4_set(-INFINITY) };
}

static inline box box_union(box a, box b)
{
    return (box){ f4_min(a.lo, b.lo), f4_max(a.hi, b.hi) };
}

static inline box box_common(box a, box b)
{
    return (box){ f4_max(a.lo, b.lo), f4_min(a.hi, b.hi) };
}

static inline f4 f4_clear3(f4 v)
{
    return (f4)((i4)v & (i4){ -1, -1, -1, 0 });
}

static inline box ref_box(const mr_bvh2_ref *ref)
{
    return (box){ f4_clear3(f4_load(ref->lo)), f4_clear3(f4_load(ref->hi)) };
}

static inline void ref_set(mr_bvh2_ref *ref, box b, uint32_t prim)
{
    f4_store(ref->lo, b.lo);
    f4_store(ref->hi, b.hi);
    ref->prim = prim;
    ref->pad = 0;
}

/* Half the surface; 0 for an inverted box. */
static inline float box_area(box b)
{
    f4 d = f4_max(b.hi - b.lo, f4_set(0));
    return d[0] * d[1] + d[1] * d[2] + d[2] * d[0];
}

static inline const float *source_vertex(const mr_bvh_source *source, uint32_t triangle, int corner)
{
    return source->vertices[source->triangles[triangle].v[corner]].p;
}

/* ---- splits (bvh_split.c) ---- */

typedef struct mr_bvh2_split {
    float cost;          /* area times count, both sides added; INFINITY: none found */
    int axis;            /* -1: none */
    int bin;             /* object split: last bin of the left side */
    float origin, scale; /* object split: bin = (lo + hi - origin) * scale on the axis */
    float plane;         /* spatial split: x[axis] = plane */
    box left, right;     /* object split: the sides' boxes */
} mr_bvh2_split;

mr_bvh2_split mr_bvh2_object_split(const mr_bvh2_ref *refs, uint32_t count, box centroids);
mr_bvh2_split mr_bvh2_spatial_split(const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count, box bounds, float to_beat);
int mr_bvh2_bin(float x, float origin, float scale);

/* The parts of a reference on both sides of a plane. */
void mr_bvh2_cut(const mr_bvh_source *source, const mr_bvh2_ref *ref, int axis, float plane, box *left, box *right);

/* ---- the binary tree (bvh2.c) ---- */

/* Builds the tree over count >= 1 references (which it reorders). No path is longer than depth_limit >= 32 edges. The tree does
 * not depend on threads. 0, or -1 without memory. Free tree->nodes. */
int mr_bvh2_build(mr_bvh2 *tree, const mr_bvh_source *source, mr_bvh2_ref *refs, uint32_t count, int quality, int threads,
                  int depth_limit);

/* ---- the collapse (bvh_collapse.c) ---- */

/* Appends the 8-wide form of the tree to the section, its root at root_offset (already reserved). *depth receives the nodes on
 * the longest path. MR_OK, or MR_FAILED without memory or when the section would exceed what references can name. */
int mr_bvh_collapse(mr_bvh_section *section, const mr_bvh2 *tree, const mr_bvh_source *source, size_t root_offset, unsigned *depth,
                    mr_error *err);

/* Appends zeroed bytes at the next multiple of align (32 or 64). */
int mr_bvh_section_take(mr_bvh_section *section, size_t bytes, size_t align, size_t *offset, mr_error *err);

/* A node without children. */
void mr_bvh_node_clear(mr_bvh_node *node);

#endif
