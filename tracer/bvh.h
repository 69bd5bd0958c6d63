/* The bounding volume hierarchy: built once by the scene compiler, traced in place by the kernels.
 *
 * The BVH section of a pack is one array of bytes; a reference is an offset in units of 16 bytes with the kind in its top
 * three bits. The top-level tree starts with the node at offset 0. It holds the world's triangles and, as further children, instances
 * (tracer/pack.h); an instance record names the root of a mesh's own tree, which holds triangles only: two levels, no more.
 * In every tree a child lies behind its parent, so a walk ends; MR_BVH_MAX_DEPTH bounds the traversal's stacks. */
#ifndef MR_BVH_H
#define MR_BVH_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/pack.h"

/* Nodes on the longest path of one tree. A pathological mesh gets a shallower, worse tree rather than a longer path. */
enum { MR_BVH_MAX_DEPTH = 32 };

/* Geometry with a coordinate beyond this (metres) is left out and a ray beyond it hits nothing, so that no product in the hit
 * arithmetic overflows a float. */
#define MR_BVH_MAX_COORD 1e12f

enum mr_bvh_quality { MR_BVH_MEDIUM /* binned SAH */, MR_BVH_HIGH /* with spatial splits */ };

typedef struct mr_bvh mr_bvh; /* a BVH section being built */

/* A new section; NULL without memory. threads: how many the builds may use (>= 1). */
mr_bvh *mr_bvh_new(int quality, int threads);
void mr_bvh_free(mr_bvh *bvh);

/* Before trees are built: whose triangles may have holes (tracer/alpha.h): those with a material that has an alpha_cutoff, or with `all` any. materials:
 * the triangles', borrowed until the next call or the last build; NULL, as in the beginning: no triangle has (but for `all`). */
void mr_bvh_set_holes(mr_bvh *bvh, const mr_material *materials, int all);

/* Builds the tree of one mesh: triangles first .. first + count - 1 of the pack's arrays. *root receives the reference to put in
 * mr_instance.bvh_root, bounds the box (lo xyz, hi xyz) in the mesh's space. Degenerate and non-finite triangles are left out. */
int mr_bvh_add_mesh(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                    uint32_t *root, float bounds[6], mr_error *err);

/* Builds the top-level tree, once, last: the world's triangles (first .. first + count - 1) and the instances 1 .. instance_count - 1.
 * mesh_bounds[i]: the box of instance i in its own space (unused for spheres and instance 0). bounds: the box of everything, world. */
int mr_bvh_finish(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                  const mr_instance *instances, uint32_t instance_count, const float (*mesh_bounds)[6], float bounds[6],
                  mr_error *err);

/* Instead of mr_bvh_finish: a world of bare triangles and nothing else, nine floats each (three corners, x y z). */
int mr_bvh_finish_soup(mr_bvh *bvh, const float *corners, uint32_t count, float bounds[6], mr_error *err);

/* The section's bytes, aligned to 64 (in large pages where there are many and the system gives them), valid until the next call on bvh. */
const void *mr_bvh_bytes(const mr_bvh *bvh, size_t *size_bytes);

/* Checks a section that came from outside, in O(n): every reference's bounds, kind, order and depth, every triangle and instance index,
 * that instance records agree with the pack's instances. MR_BAD_INPUT with `name` in the message when anything is wrong. */
int mr_bvh_check(const mr_pack *pack, const char *name, mr_error *err);

#endif
