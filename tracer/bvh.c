/* A BVH section from the outside: a tree for each mesh, then the tree over the world. See tracer/bvh.h.
 *
 * Layout: 256 bytes reserved for the top-level tree's root, the meshes' trees, the rest of the top-level tree. So every child stands
 * behind its parent, and the root of a mesh is never at offset 0. */
#include "tracer/bvh.h"

#include <stdlib.h>

#include "tracer/bvh_internal.h"

struct mr_bvh {
    mr_bvh_section section;
    int quality, threads, finished;
};

mr_bvh *mr_bvh_new(int quality, int threads)
{
    mr_bvh *bvh = calloc(1, sizeof *bvh);
    if (!bvh) return NULL;
    bvh->quality = quality;
    bvh->threads = threads < 1 ? 1 : threads;
    size_t root;
    if (mr_bvh_section_take(&bvh->section, MR_BVH_ROOT_BYTES, 64, &root, NULL)) {
        free(bvh);
        return NULL;
    }
    mr_bvh_node_clear((mr_bvh_node *)(void *)bvh->section.bytes);
    return bvh;
}

void mr_bvh_free(mr_bvh *bvh)
{
    if (!bvh) return;
    free(bvh->section.bytes);
    free(bvh);
}

const void *mr_bvh_bytes(const mr_bvh *bvh, size_t *size_bytes)
{
    *size_bytes = bvh->section.size;
    return bvh->section.bytes;
}

/* ---- references ---- */

/* NaN counts as beyond. */
static int within_limits(const float *p)
{
    for (int a = 0; a < 3; a++)
        if (!(fabsf(p[a]) <= MR_BVH_MAX_COORD)) return 0;
    return 1;
}

/* Two vertices in one place: no surface. (Other slivers may stay: they are hit by nothing or by what really grazes them.) */
static int collapsed(const float *a, const float *b, const float *c)
{
    return !memcmp(a, b, 12) || !memcmp(b, c, 12) || !memcmp(c, a, 12);
}

/* Makes the reference of one triangle; 0 when it is degenerate or not finite. */
static int triangle_ref(const mr_bvh_source *source, uint32_t i, mr_bvh2_ref *ref)
{
    const float *v[3];
    for (int k = 0; k < 3; k++) {
        v[k] = source_vertex(source, i, k);
        if (!within_limits(v[k])) return 0;
    }
    if (collapsed(v[0], v[1], v[2])) return 0;
    box b = box_empty();
    for (int k = 0; k < 3; k++) {
        f4 p = f4_load3(v[k]);
        b = box_union(b, (box){ p, p });
    }
    ref_set(ref, b, i);
    return 1;
}

static uint32_t triangle_refs(const mr_bvh_source *source, uint32_t first, uint32_t count, mr_bvh2_ref *refs)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) n += (uint32_t)triangle_ref(source, first + i, &refs[n]);
    return n;
}

static void bounds_of(const mr_bvh2_ref *refs, uint32_t count, float bounds[6])
{
    box b = box_empty();
    for (uint32_t i = 0; i < count; i++) b = box_union(b, ref_box(&refs[i]));
    for (int a = 0; a < 3; a++) {
        bounds[a] = b.lo[a];
        bounds[3 + a] = b.hi[a];
    }
}

static int copy_refs(const mr_bvh2_ref *refs, uint32_t count, mr_bvh2_ref **copy)
{
    *copy = malloc((size_t)count * sizeof **copy);
    if (!*copy) return -1;
    memcpy(*copy, refs, (size_t)count * sizeof **copy);
    return 0;
}

/* ---- trees ---- */

/* Builds and collapses once; leaves refs as they are. */
static int build_once(mr_bvh *bvh, const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count, size_t root, int depth_limit,
                      unsigned *depth, mr_error *err)
{
    mr_bvh2 tree;
    mr_bvh2_ref *copy;
    if (copy_refs(refs, count, &copy)) return mr_fail(err, MR_FAILED, "no memory to build the BVH of %u triangles", count);
    int status = mr_bvh2_build(&tree, source, copy, count, bvh->quality, bvh->threads, depth_limit);
    free(copy);
    if (status) return mr_fail(err, MR_FAILED, "no memory to build the BVH of %u triangles", count);
    status = mr_bvh_collapse(&bvh->section, &tree, source, root, depth, err);
    free(tree.nodes);
    return status;
}

/* Builds the tree over refs with its root at `root`: as the heuristic likes it, or, should that be too deep, with a binary tree that is
 * no deeper than MR_BVH_MAX_DEPTH, which the 8-wide one then cannot exceed. */
static int build_tree(mr_bvh *bvh, const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count, size_t root, mr_error *err)
{
    if (!count) return MR_OK; /* the reserved root has no children */
    size_t size = bvh->section.size;
    unsigned depth;
    int status = build_once(bvh, source, refs, count, root, MR_BVH2_DEPTH, &depth, err);
    if (status || depth <= MR_BVH_MAX_DEPTH) return status;
    bvh->section.size = size;
    return build_once(bvh, source, refs, count, root, MR_BVH_MAX_DEPTH, &depth, err);
}

static mr_bvh2_ref *new_refs(uint32_t count, mr_error *err)
{
    mr_bvh2_ref *refs = malloc(((size_t)count + 1) * sizeof *refs);
    if (!refs) (void)mr_fail(err, MR_FAILED, "no memory for %u triangles", count);
    return refs;
}

static int check_count(uint32_t first, uint32_t count, mr_error *err)
{
    if (count < MR_BVH2_INSTANCE && first < MR_BVH2_INSTANCE - count) return MR_OK;
    return mr_fail(err, MR_FAILED, "too many triangles for a BVH: %u, expected less than 2^31", count);
}

int mr_bvh_add_mesh(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                    uint32_t *root, float bounds[6], mr_error *err)
{
    mr_bvh_source source = { vertices, triangles, NULL };
    size_t at;
    int status = check_count(first, count, err);
    if (status) return status;
    status = mr_bvh_section_take(&bvh->section, MR_BVH_ROOT_BYTES, 64, &at, err);
    if (status) return status;
    mr_bvh_node_clear((mr_bvh_node *)(void *)(bvh->section.bytes + at));
    mr_bvh2_ref *refs = new_refs(count, err);
    if (!refs) return MR_FAILED;
    count = triangle_refs(&source, first, count, refs);
    bounds_of(refs, count, bounds);
    status = build_tree(bvh, &source, refs, count, at, err);
    free(refs);
    *root = (uint32_t)(at / MR_BVH_UNIT) | MR_REF_NODE;
    return status;
}

/* ---- instances ---- */

static void fill_record(mr_bvh_instance *record, const mr_instance *instance, uint32_t index)
{
    memset(record, 0, sizeof *record);
    memcpy(record->to_object, instance->to_object, sizeof record->to_object);
    record->instance = index;
    record->root = instance->bvh_root;
    record->kind = instance->kind;
    record->flags = instance->flags;
}

/* The world box of a box (or of the unit sphere) under to_world, exact but for double's rounding. */
static void world_box(const mr_instance *instance, const float *bounds, double lo[3], double hi[3])
{
    for (int a = 0; a < 3; a++) {
        const float *m = &instance->to_world[4 * a];
        double centre = m[3], reach = 0;
        for (int k = 0; k < 3; k++) {
            if (instance->kind == MR_INSTANCE_SPHERE) {
                reach += (double)m[k] * m[k];
                continue;
            }
            centre += (double)m[k] * ((double)bounds[k] + bounds[3 + k]) / 2;
            reach += fabs((double)m[k]) * ((double)bounds[3 + k] - bounds[k]) / 2;
        }
        if (instance->kind == MR_INSTANCE_SPHERE) reach = sqrt(reach);
        lo[a] = centre - reach;
        hi[a] = centre + reach;
    }
}

/* How far, along each world axis, rounding may move a ray that is transformed into the instance's space: a few units in the last place of
 * to_object's products, brought back by |to_world|, for origins within four times the scene's reach. The kernels cut hits at the
 * box, so a box that is too narrow would cost hits at its faces, never the sameness of results. */
static double slack_of(const mr_instance *instance, int axis, double reach)
{
    double slack = 0;
    for (int k = 0; k < 3; k++) {
        const float *o = &instance->to_object[4 * k];
        double moved = fabs((double)o[3]) + 5 * reach * (fabs((double)o[0]) + fabs((double)o[1]) + fabs((double)o[2]));
        slack += fabs((double)instance->to_world[4 * axis + k]) * moved;
    }
    return 12 * 5.97e-8 * slack;
}

static int usable(const mr_instance *instance, const float *bounds)
{
    for (int i = 0; i < 12; i++)
        if (!(fabsf(instance->to_object[i]) < INFINITY) || !(fabsf(instance->to_world[i]) < INFINITY)) return 0;
    return instance->kind == MR_INSTANCE_SPHERE || (bounds[0] <= bounds[3] && bounds[1] <= bounds[4] && bounds[2] <= bounds[5]);
}

/* Makes the records and references of all instances that can be hit; reach is the largest coordinate of the world so far. */
static uint32_t instance_refs(const mr_instance *instances, uint32_t count, const float (*mesh_bounds)[6], double reach,
                              mr_bvh_instance *records, mr_bvh2_ref *refs)
{
    double lo[3], hi[3];
    uint32_t n = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (!usable(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL)) continue;
        world_box(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL, lo, hi);
        for (int a = 0; a < 3; a++) reach = fmax(reach, fmax(fabs(lo[a]), fabs(hi[a])));
    }
    for (uint32_t i = 1; i < count; i++) {
        if (!usable(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL)) continue;
        fill_record(&records[i], &instances[i], i);
        world_box(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL, lo, hi);
        for (int a = 0; a < 3; a++) {
            double slack = slack_of(&instances[i], a, reach);
            records[i].lo[a] = nextafterf((float)(lo[a] - slack), -INFINITY);
            records[i].hi[a] = nextafterf((float)(hi[a] + slack), INFINITY);
        }
        if (!within_limits(records[i].lo) || !within_limits(records[i].hi)) continue;
        ref_set(&refs[n++], (box){ f4_load3(records[i].lo), f4_load3(records[i].hi) }, i | MR_BVH2_INSTANCE);
    }
    return n;
}

static double reach_of(const float bounds[6])
{
    double reach = 0;
    for (int i = 0; i < 6; i++)
        if (fabsf(bounds[i]) < INFINITY) reach = fmax(reach, fabs((double)bounds[i]));
    return reach;
}

int mr_bvh_finish(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                  const mr_instance *instances, uint32_t instance_count, const float (*mesh_bounds)[6], float bounds[6],
                  mr_error *err)
{
    int status = check_count(first, count, err);
    if (status) return status;
    if (bvh->finished) return mr_fail(err, MR_FAILED, "the BVH is finished already");
    if (instance_count > MR_BVH2_INSTANCE - 1 - count) return mr_fail(err, MR_FAILED, "too many instances: %u", instance_count);
    mr_bvh2_ref *refs = new_refs(count + instance_count, err);
    mr_bvh_instance *records = malloc(((size_t)instance_count + 1) * sizeof *records);
    if (!refs || !records) {
        free(refs);
        free(records);
        return mr_fail(err, MR_FAILED, "no memory for %u instances", instance_count);
    }
    mr_bvh_source source = { vertices, triangles, records };
    uint32_t n = triangle_refs(&source, first, count, refs);
    bounds_of(refs, n, bounds);
    n += instance_refs(instances, instance_count, mesh_bounds, reach_of(bounds), records, refs + n);
    bounds_of(refs, n, bounds);
    status = build_tree(bvh, &source, refs, n, 0, err);
    free(refs);
    free(records);
    bvh->finished = status == MR_OK;
    return status;
}
