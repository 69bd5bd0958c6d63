/* A BVH section from the outside: a tree for each mesh, then the tree over the world. See tracer/bvh.h.
 *
 * Layout: 256 bytes reserved for the top-level tree's root, the meshes' trees, the rest of the top-level tree. So every child stands
 * behind its parent, and the root of a mesh is never at offset 0. */
#include "tracer/bvh.h"

#include <stdlib.h>

#include "tracer/bvh_internal.h"
#include "tracer/pages.h"

struct mr_bvh {
    mr_bvh_section section;
    mr_crew *crew; /* until it is finished */
    int quality, finished;
    const mr_material *materials; /* see mr_bvh_set_holes */
    int all_holes;
};

mr_bvh *mr_bvh_new(int quality, int threads)
{
    mr_bvh *bvh = calloc(1, sizeof *bvh);
    if (!bvh) return NULL;
    bvh->quality = quality;
    bvh->crew = mr_crew_new(threads);
    size_t root;
    if (mr_bvh_section_take(&bvh->section, MR_BVH_ROOT_BYTES, &root, NULL)) {
        mr_bvh_free(bvh);
        return NULL;
    }
    mr_bvh_node_clear((mr_bvh_node *)(void *)bvh->section.bytes);
    return bvh;
}

void mr_bvh_free(mr_bvh *bvh)
{
    if (!bvh) return;
    mr_crew_free(bvh->crew);
    free(bvh->section.bytes);
    free(bvh);
}

void mr_bvh_set_holes(mr_bvh *bvh, const mr_material *materials, int all)
{
    bvh->materials = materials;
    bvh->all_holes = all;
}

const void *mr_bvh_bytes(const mr_bvh *bvh, size_t *size_bytes)
{
    *size_bytes = bvh->section.size;
    return bvh->section.bytes;
}

/* ---- references ---- */

/* What a tree is built over: triangles first .. first + count - 1 and, at the top level, instances 1 .. instance_count - 1. */
typedef struct input {
    mr_bvh_source source;
    uint32_t first, count;
    const mr_instance *instances;
    uint32_t instance_count; /* 0 in a mesh's tree */
    const float (*mesh_bounds)[6];
    mr_bvh_instance *records; /* one an instance, to be filled; = source.records */
} input;

enum { PIECE = 1 << 14 }; /* triangles that one thread turns into references at a time */

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

typedef struct filling {
    const input *in;
    mr_bvh2 *tree;
    struct piece {
        uint32_t count;
        box bounds, middles;
    } *pieces;
} filling;

static void fill_piece(void *context, uint32_t piece)
{
    const filling *f = context;
    uint32_t begin = piece * PIECE, end = f->in->count - begin < PIECE ? f->in->count : begin + PIECE;
    mr_bvh2_ref *refs = f->tree->refs + begin;
    struct piece p = { 0, box_empty(), box_empty() };
    for (uint32_t i = begin; i < end; i++) {
        if (!triangle_ref(&f->in->source, f->in->first + i, refs + p.count)) continue;
        box b = ref_box(refs + p.count);
        p.bounds = box_union(p.bounds, b);
        p.middles = box_union(p.middles, (box){ box_middle(b), box_middle(b) });
        p.count++;
    }
    f->pieces[piece] = p;
}

/* References to the triangles. 0, or -1 without memory. */
static int fill_triangles(mr_bvh2 *tree, const input *in, mr_crew *crew)
{
    uint32_t count = in->count / PIECE + 1;
    filling f = { in, tree, malloc(count * sizeof *f.pieces) };
    if (!f.pieces) return -1;
    mr_crew_run(crew, fill_piece, &f, count);
    for (uint32_t i = 0; i < count; i++) { /* close the gaps that triangles without surface have left */
        const struct piece *p = &f.pieces[i];
        if (tree->count != i * PIECE) memmove(tree->refs + tree->count, tree->refs + (size_t)i * PIECE, p->count * sizeof *tree->refs);
        tree->count += p->count;
        tree->bounds = box_union(tree->bounds, p->bounds);
        tree->middles = box_union(tree->middles, p->middles);
    }
    free(f.pieces);
    return 0;
}

static void add_ref(mr_bvh2 *tree, box b, uint32_t prim)
{
    ref_set(&tree->refs[tree->count++], b, prim);
    tree->bounds = box_union(tree->bounds, b);
    tree->middles = box_union(tree->middles, (box){ box_middle(b), box_middle(b) });
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

/* The largest coordinate of what is in the tree so far; 0 when nothing is. */
static double reach_of(box bounds)
{
    double reach = 0;
    for (int a = 0; a < 3 && box_is_proper(bounds); a++) reach = fmax(reach, fmax(fabs((double)bounds.lo[a]), fabs((double)bounds.hi[a])));
    return reach;
}

/* Makes the records of all instances and adds references to those that can be hit. */
static void add_instances(mr_bvh2 *tree, const input *in)
{
    const mr_instance *instances = in->instances;
    const float (*mesh_bounds)[6] = in->mesh_bounds;
    double lo[3], hi[3], reach = reach_of(tree->bounds);
    uint32_t count = in->instance_count;
    for (uint32_t i = 1; i < count; i++) {
        if (!usable(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL)) continue;
        world_box(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL, lo, hi);
        for (int a = 0; a < 3; a++) reach = fmax(reach, fmax(fabs(lo[a]), fabs(hi[a])));
    }
    for (uint32_t i = 1; i < count; i++) {
        if (!usable(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL)) continue;
        mr_bvh_instance *record = &in->records[i];
        fill_record(record, &instances[i], i);
        world_box(&instances[i], mesh_bounds ? mesh_bounds[i] : NULL, lo, hi);
        for (int a = 0; a < 3; a++) {
            double slack = slack_of(&instances[i], a, reach);
            record->lo[a] = nextafterf((float)(lo[a] - slack), -INFINITY);
            record->hi[a] = nextafterf((float)(hi[a] + slack), INFINITY);
        }
        if (!within_limits(record->lo) || !within_limits(record->hi)) continue;
        add_ref(tree, (box){ f4_load3(record->lo), f4_load3(record->hi) }, i | MR_BVH2_INSTANCE);
    }
}

/* ---- trees ---- */

static void free_tree(mr_bvh2 *tree)
{
    free(tree->refs);
    free(tree->nodes);
    *tree = (mr_bvh2){ 0 };
}

/* References to everything. 0, or -1 without memory. */
static int fill(mr_bvh2 *tree, const input *in, int quality, mr_crew *crew)
{
    const uint32_t most = in->count + in->instance_count;
    *tree = (mr_bvh2){ .bounds = box_empty(), .middles = box_empty() };
    tree->refs = mr_pages_alloc(((size_t)mr_bvh2_room(most, quality) + 1) * sizeof *tree->refs);
    if (!tree->refs || fill_triangles(tree, in, crew)) return -1;
    if (in->instance_count) add_instances(tree, in);
    tree->room = mr_bvh2_room(tree->count, quality);
    return 0;
}

/* Builds and collapses once. */
static int build_once(mr_bvh *bvh, const input *in, mr_bvh2 *tree, size_t root, int depth_limit, unsigned *depth, mr_error *err)
{
    *depth = 0;
    int status = fill(tree, in, bvh->quality, bvh->crew);
    if (!status && !tree->count) return MR_OK; /* the reserved root has no children */
    mr_bvh2_ref *spare = status ? NULL : mr_bvh_section_scratch(&bvh->section, (size_t)tree->room * sizeof *spare);
    if (!status) tree->nodes = mr_pages_alloc((size_t)tree->room * sizeof *tree->nodes);
    if (spare && tree->nodes) status = mr_bvh2_build(tree, &in->source, spare, bvh->crew, depth_limit);
    if (status || !spare || !tree->nodes) return mr_fail(err, MR_FAILED, "no memory to build the BVH of %u triangles", in->count);
    return mr_bvh_collapse(&bvh->section, tree, &in->source, bvh->crew, root, depth, err);
}

/* Builds the tree with its root at `root`: as the heuristic likes it, or, should that be too deep, with a binary tree that is no deeper than
 * MR_BVH_MAX_DEPTH, which the 8-wide one then cannot exceed. bounds: the box of everything in it. */
static int build_tree(mr_bvh *bvh, const input *in, size_t root, float bounds[6], mr_error *err)
{
    static const int limits[] = { MR_BVH2_DEPTH, MR_BVH_MAX_DEPTH };
    unsigned depth = MR_BVH_MAX_DEPTH + 1;
    int status = MR_OK;
    for (int i = 0; i < 2 && !status && depth > MR_BVH_MAX_DEPTH; i++) {
        mr_bvh2 tree;
        status = build_once(bvh, in, &tree, root, limits[i], &depth, err);
        for (int a = 0; a < 3; a++) {
            bounds[a] = tree.bounds.lo[a];
            bounds[3 + a] = tree.bounds.hi[a];
        }
        free_tree(&tree);
    }
    return status;
}

static int check_count(uint32_t first, uint32_t count, mr_error *err)
{
    if (count < MR_BVH2_INSTANCE && first < MR_BVH2_INSTANCE - count) return MR_OK;
    return mr_fail(err, MR_FAILED, "too many triangles for a BVH: %u, expected less than 2^31", count);
}

int mr_bvh_add_mesh(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                    uint32_t *root, float bounds[6], mr_error *err)
{
    input in = { .source = { vertices, triangles, NULL, NULL, bvh->materials, bvh->all_holes }, .first = first, .count = count };
    size_t at;
    int status = check_count(first, count, err);
    if (status) return status;
    status = mr_bvh_section_take(&bvh->section, MR_BVH_ROOT_BYTES, &at, err);
    if (status) return status;
    mr_bvh_node_clear((mr_bvh_node *)(void *)(bvh->section.bytes + at));
    *root = (uint32_t)(at / MR_BVH_UNIT) | MR_REF_NODE;
    return build_tree(bvh, &in, at, bounds, err);
}

/* The top-level tree; afterwards no threads are needed. */
static int build_world(mr_bvh *bvh, const input *in, float bounds[6], mr_error *err)
{
    int status = build_tree(bvh, in, 0, bounds, err);
    bvh->finished = status == MR_OK;
    mr_crew_free(bvh->crew);
    bvh->crew = NULL;
    return status;
}

int mr_bvh_finish(mr_bvh *bvh, const mr_vertex *vertices, const mr_triangle *triangles, uint32_t first, uint32_t count,
                  const mr_instance *instances, uint32_t instance_count, const float (*mesh_bounds)[6], float bounds[6],
                  mr_error *err)
{
    int status = check_count(first, count, err);
    if (status) return status;
    if (bvh->finished) return mr_fail(err, MR_FAILED, "the BVH is finished already");
    if (instance_count > MR_BVH2_INSTANCE - 1 - count) return mr_fail(err, MR_FAILED, "too many instances: %u", instance_count);
    mr_bvh_instance *records = malloc(((size_t)instance_count + 1) * sizeof *records);
    if (!records) return mr_fail(err, MR_FAILED, "no memory for %u instances", instance_count);
    input in = { { vertices, triangles, NULL, records, bvh->materials, bvh->all_holes }, first, count, instances, instance_count, mesh_bounds, records };
    status = build_world(bvh, &in, bounds, err);
    free(records);
    return status;
}

int mr_bvh_finish_soup(mr_bvh *bvh, const float *corners, uint32_t count, float bounds[6], mr_error *err)
{
    input in = { .source = { .soup = corners }, .count = count };
    int status = check_count(0, count, err);
    if (status) return status;
    if (bvh->finished) return mr_fail(err, MR_FAILED, "the BVH is finished already");
    return build_world(bvh, &in, bounds, err);
}
