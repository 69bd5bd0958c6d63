/* The bytes of a BVH section: what the builder writes, mr_bvh_check looks over and the kernels walk.
 *
 * A reference is an offset in units of 16 bytes with a kind in its top three bits, so a section may hold 8 GiB. There is no pointer:
 * the section is traced wherever it lies, as long as it is aligned to 64 bytes.
 *
 * A triangle may stand in several leaves: where spatial splits cut it, each leaf's box bounds only the part that the leaf answers for.
 * That is why a leaf repeats its box: the rule of what counts as a hit needs it (tracer/kernel_hit.h). */
#ifndef MR_BVH_FORMAT_H
#define MR_BVH_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/pack.h"

enum { MR_BVH_UNIT = 16, MR_BVH_WIDTH = 8, MR_BVH_ROOT_BYTES = 256 };

#define MR_REF_OFFSET 0x1FFFFFFFu
#define MR_REF_KIND 0xE0000000u
#define MR_REF_NODE 0x00000000u
#define MR_REF_LEAF 0x20000000u
#define MR_REF_INSTANCE 0x40000000u
#define MR_REF_EXIT 0x60000000u  /* on a ray's stack only: the end of an instance's subtree */
#define MR_REF_EMPTY 0x80000000u /* no child; on a ray's stack: its end */
#define MR_REF_HIT 0xA0000000u   /* between two steps of a kernel only */

/* Bounds of up to eight children. An unused child has an inverted box (inf, -inf) and MR_REF_EMPTY. 64-aligned. */
typedef struct mr_bvh_node {
    float row[6][MR_BVH_WIDTH]; /* lo x, hi x, lo y, hi y, lo z, hi z */
    uint32_t child[MR_BVH_WIDTH];
    uint32_t pad[MR_BVH_WIDTH];
} mr_bvh_node;

/* One to eight triangles, by ascending index: this head, then nine rows of `count` floats: v0 x, y, z, v1 x, y, z, v2 x, y, z. A leaf takes what
 * its triangles need, so a kernel's load of eight lanes reads over the end of a row (and of the last row by up to
 * MR_BVH_TAIL bytes, which a section has behind its last leaf); lanes from `count` on are never looked at. What only a hit needs stands
 * first, where a prefetch of the first lines brings it along. */
typedef struct mr_bvh_leaf {
    float lo[3]; /* lo, hi: the box that the leaf answers for */
    uint32_t count;
    float hi[3];
    float holes; /* 1: a triangle in it may have holes (tracer/alpha.h), so whoever hits one must ask; 0: none has. A float for the kernels' sake */
    uint32_t triangle[]; /* count of them: index in the pack; then the rows */
} mr_bvh_leaf;

/* A copy of what a kernel needs of an mr_instance, so that it needs the BVH section alone. */
typedef struct mr_bvh_instance {
    float to_object[12];
    float lo[3];
    uint32_t instance; /* index in the pack */
    float hi[3];       /* lo, hi: world box, wide enough for the rounding of the ray's transformation */
    uint32_t root;     /* reference of the mesh's root node; 0 for a sphere */
    uint32_t kind, flags, pad[2]; /* as in mr_instance */
} mr_bvh_instance;

_Static_assert(sizeof(mr_bvh_node) == MR_BVH_ROOT_BYTES, "node layout");
_Static_assert(sizeof(mr_bvh_leaf) == 32, "leaf layout");
_Static_assert(sizeof(mr_bvh_instance) == 96 && sizeof(mr_bvh_instance) % MR_BVH_UNIT == 0, "instance record layout");

enum { MR_BVH_TAIL = 32 };

/* The rows of a leaf. */
static inline const float *mr_bvh_leaf_rows(const mr_bvh_leaf *leaf)
{
    return (const float *)(const void *)(leaf->triangle + leaf->count);
}

/* Bytes of a leaf of so many triangles, a multiple of MR_BVH_UNIT. */
static inline uint32_t mr_bvh_leaf_bytes(uint32_t count)
{
    return ((uint32_t)sizeof(mr_bvh_leaf) + 40 * count + MR_BVH_UNIT - 1) / MR_BVH_UNIT * MR_BVH_UNIT;
}

/* Byte offset that a reference names. */
static inline size_t mr_ref_offset(uint32_t ref)
{
    return (size_t)(ref & MR_REF_OFFSET) * MR_BVH_UNIT;
}

#endif
