/* What the parts of the BVH builder share. References are split top-down into a binary tree (bvh2.c; where: bvh_split.c; the small ends:
 * bvh_small.c), which plans on its way back up how it becomes 8-wide (bvh_plan.c) and is then written out (bvh_collapse.c).
 * Nobody outside tracer/bvh*.c includes this. */
#ifndef MR_BVH_INTERNAL_H
#define MR_BVH_INTERNAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "tracer/bvh.h"
#include "tracer/bvh_format.h"
#include "tracer/crew.h"
#include "tracer/simd4.h"

#define MR_BVH2_INSTANCE 0x80000000u /* set in a reference's prim: an instance, not a triangle */
#define MR_BVH2_SINGLE 0xFFFFFFFFu

enum {
    MR_BVH2_DEPTH = 96, /* bound of the binary tree at the first attempt */
    MR_BVH2_BINS = 32,  /* most SAH bins an axis */
    MR_BVH2_SMALL = 32  /* parts of so few references are split exactly, without bins */
};

/* A triangle, the part of one in a box, or an instance. */
typedef struct mr_bvh2_ref {
    float lo[3];
    uint32_t prim; /* index in the pack */
    float hi[3];
    uint32_t pad;
} mr_bvh2_ref;

/* The root has node 0 and its references begin at place 0. The left child has the next node and begins at the same place; node and first place of
 * the right child are its parent's plus `left_room`. A subtree of a single reference has no node. So nodes need no numbering, and where they
 * stand depends on nothing but the references. */
typedef struct mr_bvh2_node {
    float lo[3];
    uint32_t left_room; /* places that the left child has; 1: it is a single reference */
    float hi[3];
    uint32_t plan; /* see bvh_plan.c; MR_BVH2_RIGHT_SINGLE: the right child is a single reference */
} mr_bvh2_node;

#define MR_BVH2_RIGHT_SINGLE 0x80000000u

typedef struct mr_bvh_source {
    const mr_vertex *vertices;
    const mr_triangle *triangles;
    const float *soup; /* instead of the two: nine floats a triangle */
    const mr_bvh_instance *records; /* by instance index; NULL in a mesh's tree */
    const mr_material *materials;   /* those of the triangles, for their holes; NULL: there are none */
    int all_holes;                  /* whatever the materials say: any triangle may have holes */
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

/* A box and the point that orders it, doubled. */
static inline f4 box_middle(box b)
{
    return b.lo + b.hi;
}

/* Half the surface; 0 for an inverted box. */
static inline float box_area(box b)
{
    f4 d = f4_max(b.hi - b.lo, f4_set(0));
    return d[0] * d[1] + d[1] * d[2] + d[2] * d[0];
}

static inline int box_is_proper(box b)
{
    return b.lo[0] <= b.hi[0] && b.lo[1] <= b.hi[1] && b.lo[2] <= b.hi[2];
}

static inline const float *source_vertex(const mr_bvh_source *source, uint32_t triangle, int corner)
{
    return source->soup ? source->soup + (size_t)triangle * 9 + (size_t)corner * 3 : source->vertices[source->triangles[triangle].v[corner]].p;
}

/* The name of a subtree. */
typedef struct mr_bvh2_at {
    uint32_t node; /* MR_BVH2_SINGLE: a single reference */
    uint32_t ref;  /* place of its first reference */
} mr_bvh2_at;

typedef struct mr_bvh2 {
    mr_bvh2_ref *refs; /* in the tree's order, with gaps where spatial splits might have added some but did not */
    mr_bvh2_node *nodes;
    uint32_t room;       /* places, of refs and of nodes */
    uint32_t count;      /* references that were put in */
    box bounds, middles; /* of these, and of their doubled middles */
    mr_bvh2_at root;
} mr_bvh2;

static inline mr_bvh2_at bvh2_left(const mr_bvh2 *tree, mr_bvh2_at at)
{
    return (mr_bvh2_at){ tree->nodes[at.node].left_room == 1 ? MR_BVH2_SINGLE : at.node + 1, at.ref };
}

static inline mr_bvh2_at bvh2_right(const mr_bvh2 *tree, mr_bvh2_at at)
{
    const mr_bvh2_node *n = &tree->nodes[at.node];
    return (mr_bvh2_at){ n->plan & MR_BVH2_RIGHT_SINGLE ? MR_BVH2_SINGLE : at.node + n->left_room, at.ref + n->left_room };
}

static inline box bvh2_box(const mr_bvh2 *tree, mr_bvh2_at at)
{
    return at.node == MR_BVH2_SINGLE ? ref_box(&tree->refs[at.ref]) : (box){ f4_clear3(f4_load(tree->nodes[at.node].lo)), f4_clear3(f4_load(tree->nodes[at.node].hi)) };
}

/* ---- splits (bvh_split.c) ---- */

/* What a pass over references collects: boxes and numbers by bin and axis. */
typedef struct mr_bvh2_bins {
    box box[3][MR_BVH2_BINS];
    uint32_t in[3][MR_BVH2_BINS], out[3][MR_BVH2_BINS]; /* references that begin, end in the bin; object splits use `in` alone */
} mr_bvh2_bins;

/* How a range is divided into bins along the axes: bin = (x - origin) * scale. */
typedef struct mr_bvh2_grid {
    f4 origin, scale; /* scale 0 where the range has no width */
    f4 step;          /* width of a bin */
    int bins;
} mr_bvh2_grid;

typedef struct mr_bvh2_split {
    float cost;       /* area times count, both sides added; INFINITY: none found */
    int axis;         /* -1: none */
    int bin;          /* last bin of the left side */
    uint32_t nl, nr;  /* references on the sides: object split exactly, spatial split at most */
    float plane;      /* spatial split: x[axis] = plane */
    box left, right;  /* the sides' boxes */
} mr_bvh2_split;

/* Bins for references by their doubled middles, which lie in `middles`; for the parts of references in `bounds`. */
mr_bvh2_grid mr_bvh2_object_grid(box middles, uint32_t count);
mr_bvh2_grid mr_bvh2_spatial_grid(box bounds, uint32_t count);

void mr_bvh2_bins_clear(mr_bvh2_bins *bins, const mr_bvh2_grid *grid);
/* Adds `more` to bins. A union of boxes is the same in whatever pieces it is taken, so the passes may be divided among threads. */
void mr_bvh2_bins_merge(mr_bvh2_bins *bins, const mr_bvh2_bins *more, const mr_bvh2_grid *grid);
void mr_bvh2_object_bins(mr_bvh2_bins *bins, const mr_bvh2_grid *grid, const mr_bvh2_ref *refs, uint32_t count);
void mr_bvh2_spatial_bins(mr_bvh2_bins *bins, const mr_bvh2_grid *grid, const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count);

/* The cheapest boundary between two bins that costs less than to_beat; count: references before the split. */
mr_bvh2_split mr_bvh2_object_split(const mr_bvh2_bins *bins, const mr_bvh2_grid *grid, uint32_t count);
mr_bvh2_split mr_bvh2_spatial_split(const mr_bvh2_bins *bins, const mr_bvh2_grid *grid, uint32_t count, float to_beat);

/* The parts of a reference on both sides of a plane; an inverted box where there is none. */
void mr_bvh2_cut(const mr_bvh_source *source, const mr_bvh2_ref *ref, int axis, float plane, box *left, box *right);

/* The bins of three coordinates, as whole numbers in floats. */
static inline f4 bins_of(f4 x, const mr_bvh2_grid *grid)
{
    return f4_min(f4_max((x - grid->origin) * grid->scale, f4_set(0)), f4_set((float)(grid->bins - 1)));
}

/* ---- moving references to the sides of a split (bvh_move.c) ---- */

typedef struct mr_bvh2_half {
    mr_bvh2_ref *refs; /* where they go; NULL: they are only counted */
    uint32_t count;
    box bounds, middles; /* of these, of their doubled middles */
} mr_bvh2_half;

typedef struct mr_bvh2_halves {
    mr_bvh2_half of[2]; /* left, right */
} mr_bvh2_halves;

static inline mr_bvh2_half bvh2_half_empty(mr_bvh2_ref *refs)
{
    return (mr_bvh2_half){ refs, 0, box_empty(), box_empty() };
}

/* Each adds to the halves. An object split's boxes are the split's own; at most nl and nr references land on the sides of a spatial split.
 * What happens to a reference depends on no other, so the passes may be divided among threads. */
void mr_bvh2_move_object(const mr_bvh2_split *split, const mr_bvh2_grid *grid, const mr_bvh2_ref *from, uint32_t count, mr_bvh2_halves *to);
void mr_bvh2_move_spatial(const mr_bvh_source *source, const mr_bvh2_split *split, const mr_bvh2_grid *grid, const mr_bvh2_ref *from,
                          uint32_t count, mr_bvh2_halves *to);

/* Half of them to each side, as they come: for what no split divides. */
void mr_bvh2_move_halves(const mr_bvh2_ref *from, uint32_t count, mr_bvh2_halves *to);

/* ---- the plan (bvh_plan.c) ---- */

/* What a subtree costs when it may take up to i + 1 of its 8-wide parent's slots. */
typedef struct mr_bvh2_cost {
    float at[MR_BVH_WIDTH];
    uint32_t count; /* references below */
    int has_instance;
} mr_bvh2_cost;

mr_bvh2_cost mr_bvh2_plan_single(const mr_bvh2_ref *ref);
/* Plans the node over two subtrees, whose box must be set; fills node->plan. right_single: the right one is a single reference. */
mr_bvh2_cost mr_bvh2_plan_pair(mr_bvh2_node *node, int right_single, const mr_bvh2_cost *l, const mr_bvh2_cost *r);

/* What was planned for node i. Slots for its left child when the node may take so many (2 .. 8); 0: one fewer costs as little. */
static inline int plan_slots(uint32_t plan, int slots)
{
    return (int)(plan >> (3 * (slots - 2)) & 7);
}

enum { MR_BVH2_PLAN_NODE = 21, MR_BVH2_PLAN_COUNT = 24 };
#define MR_BVH2_PLAN_LEAF (1u << 27)

/* Slots for its left child when it becomes an 8-wide node of its own. */
static inline int plan_as_node(uint32_t plan)
{
    return (int)(plan >> MR_BVH2_PLAN_NODE & 7);
}

/* References in the leaf that it becomes, where MR_BVH2_PLAN_LEAF is set. */
static inline uint32_t plan_leaf_count(uint32_t plan)
{
    return (plan >> MR_BVH2_PLAN_COUNT & 7) + 1;
}

/* ---- the binary tree (bvh2.c, bvh_small.c) ---- */

/* Room that a tree over count references needs. */
uint32_t mr_bvh2_room(uint32_t count, int quality);

/* Builds the tree over tree->count >= 1 references, which stand in tree->refs and are put in order there; refs and nodes have tree->room
 * places; those beyond count are what spatial splits may add. spare: room for as many references, used meanwhile.
 * No path is longer than depth_limit >= 32 edges. The tree does not depend on the crew. 0, or -1 without memory. */
int mr_bvh2_build(mr_bvh2 *tree, const mr_bvh_source *source, mr_bvh2_ref *spare, mr_crew *crew, int depth_limit);

/* The same for 1 .. MR_BVH2_SMALL references of any array, which become the subtree `at` (of which a single one ignores the node). */
mr_bvh2_cost mr_bvh2_small(mr_bvh2 *tree, mr_bvh2_at at, const mr_bvh2_ref *refs, uint32_t count, int depth_left);

/* ---- the collapse (bvh_collapse.c) ---- */

/* Appends the 8-wide form of the tree to the section, its root at root_offset (already reserved). *depth receives the nodes on
 * the longest path; where that exceeds MR_BVH_MAX_DEPTH nothing is appended. MR_OK, or MR_FAILED without memory or when the section
 * would exceed what references can name. */
int mr_bvh_collapse(mr_bvh_section *section, const mr_bvh2 *tree, const mr_bvh_source *source, mr_crew *crew, size_t root_offset,
                    unsigned *depth, mr_error *err);

/* Appends zeroed bytes at the next multiple of 64. */
int mr_bvh_section_take(mr_bvh_section *section, size_t bytes, size_t *offset, mr_error *err);

/* Makes room for so many bytes behind the section's end and returns their place, a multiple of 64, until the section grows: what is built there
 * for a while need not be cleared by the system once more when the section's own bytes come. NULL without memory. */
void *mr_bvh_section_scratch(mr_bvh_section *section, size_t bytes);

/* A node without children. */
void mr_bvh_node_clear(mr_bvh_node *node);

#endif
