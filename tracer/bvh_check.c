/* Looks over a BVH section that came from outside before a kernel walks it without looking.
 *
 * What the kernels rely on, and this therefore proves: every reference stays inside the section and has a kind that may stand there;
 * a child lies behind its parent and nothing is reached twice, so each tree is a tree; no path is longer than MR_BVH_MAX_DEPTH, so the
 * stacks suffice; a mesh's tree holds no instances, so there are two levels; indices exist. Boxes and vertices may hold any bits at
 * all: they can make a picture wrong (the pack's hash is there for that) but no walk unsafe.
 *
 * O(n): each place is marked when it is reached, and a second visit is an error. Only a mesh's root may be named several times. */
#include <stdlib.h>
#include <string.h>

#include "tracer/bvh.h"
#include "tracer/bvh_format.h"

enum { W = MR_BVH_WIDTH, PENDING_MAX = (W - 1) * MR_BVH_MAX_DEPTH + 1 };

enum mark { MARK_FREE, MARK_REACHED, MARK_ROOT };

typedef struct checker {
    const mr_pack *pack;
    const char *name;
    mr_error *err;
    uint8_t *marks; /* one for each unit: what starts there */
} checker;

typedef struct pending {
    uint32_t ref;
    unsigned depth;
} pending;

static int fail(const checker *c, uint32_t ref, const char *found)
{
    return mr_fail(c->err, MR_BAD_INPUT, "%s: BVH, byte %zu: %s", c->name, mr_ref_offset(ref), found);
}

/* Kind and bounds: of a leaf's head here, of its rows in check_leaf. */
static int check_place(const checker *c, uint32_t ref)
{
    uint32_t kind = ref & MR_REF_KIND;
    size_t bytes = kind == MR_REF_NODE ? sizeof(mr_bvh_node) : kind == MR_REF_LEAF ? sizeof(mr_bvh_leaf) : sizeof(mr_bvh_instance);
    if (kind != MR_REF_NODE && kind != MR_REF_LEAF && kind != MR_REF_INSTANCE) return fail(c, ref, "a reference of no known kind");
    if (mr_ref_offset(ref) + bytes > c->pack->bvh_bytes) return fail(c, ref, "a reference beyond the end");
    if (kind == MR_REF_NODE && mr_ref_offset(ref) % 64) return fail(c, ref, "a node that is not at a multiple of 64 bytes");
    return MR_OK;
}

static int mark(const checker *c, uint32_t ref, enum mark with)
{
    uint8_t *m = &c->marks[ref & MR_REF_OFFSET];
    if (*m != MARK_FREE) return fail(c, ref, "reached twice");
    *m = (uint8_t)with;
    return MR_OK;
}

static int check_leaf(const checker *c, uint32_t ref)
{
    const mr_bvh_leaf *leaf = (const mr_bvh_leaf *)(const void *)(c->pack->bvh + mr_ref_offset(ref));
    if (leaf->count < 1 || leaf->count > W) return fail(c, ref, "a leaf whose triangles are not 1 to 8");
    if (mr_ref_offset(ref) + mr_bvh_leaf_bytes(leaf->count) + MR_BVH_TAIL > c->pack->bvh_bytes) return fail(c, ref, "a leaf beyond the end");
    if (leaf->holes != 0 && leaf->holes != 1) return fail(c, ref, "a leaf that is neither with nor without holes");
    for (uint32_t k = 0; k < leaf->count; k++)
        if (leaf->triangle[k] >= c->pack->triangle_count) return fail(c, ref, "a triangle that does not exist");
    return MR_OK;
}

static int check_tree(const checker *c, uint32_t root, int top);

/* The mesh's tree, once however many instances name it. */
static int check_mesh(const checker *c, uint32_t root)
{
    int status = check_place(c, root);
    if (status) return status;
    if ((root & MR_REF_KIND) != MR_REF_NODE || root == 0) return fail(c, root, "an instance's root that is not a mesh's root node");
    if (c->marks[root] == MARK_ROOT) return MR_OK;
    status = mark(c, root, MARK_ROOT);
    return status ? status : check_tree(c, root, 0);
}

static int check_instance(const checker *c, uint32_t ref)
{
    const mr_bvh_instance *record = (const mr_bvh_instance *)(const void *)(c->pack->bvh + mr_ref_offset(ref));
    if (record->instance == 0 || record->instance >= c->pack->instance_count) return fail(c, ref, "an instance that does not exist");
    const mr_instance *own = &c->pack->instances[record->instance];
    if (memcmp(record->to_object, own->to_object, sizeof own->to_object) != 0 || record->kind != own->kind ||
        record->flags != own->flags || record->root != own->bvh_root)
        return fail(c, ref, "an instance record that differs from the pack's instance");
    if (record->kind == MR_INSTANCE_SPHERE) return MR_OK;
    if (record->kind != MR_INSTANCE_MESH) return fail(c, ref, "an instance of unknown kind");
    return check_mesh(c, record->root);
}

static int check_child(const checker *c, uint32_t parent, uint32_t ref, int top)
{
    int status = check_place(c, ref);
    if (status) return status;
    if ((ref & MR_REF_OFFSET) <= (parent & MR_REF_OFFSET)) return fail(c, parent, "a child before its parent");
    status = mark(c, ref, MARK_REACHED);
    if (status || (ref & MR_REF_KIND) == MR_REF_NODE) return status;
    if ((ref & MR_REF_KIND) == MR_REF_LEAF) return check_leaf(c, ref);
    return top ? check_instance(c, ref) : fail(c, ref, "an instance in a mesh's tree");
}

/* A node's children; those that are nodes are left pending. */
static int check_node(const checker *c, pending at, int top, pending *stack, unsigned *n)
{
    const mr_bvh_node *node = (const mr_bvh_node *)(const void *)(c->pack->bvh + mr_ref_offset(at.ref));
    if (at.depth > MR_BVH_MAX_DEPTH) return fail(c, at.ref, "a path that is too long");
    for (int k = 0; k < W; k++) {
        uint32_t ref = node->child[k];
        if (ref == MR_REF_EMPTY) continue;
        int status = check_child(c, at.ref, ref, top);
        if (status) return status;
        if ((ref & MR_REF_KIND) == MR_REF_NODE) stack[(*n)++] = (pending){ ref, at.depth + 1 };
    }
    return MR_OK;
}

/* Walks a tree whose root is marked. Depth first, so at most W - 1 pending nodes a level. Recurses once: from the top into meshes. */
static int check_tree(const checker *c, uint32_t root, int top)
{
    pending stack[PENDING_MAX + W];
    unsigned n = 0;
    stack[n++] = (pending){ root, 1 };
    while (n) {
        pending at = stack[--n];
        int status = check_node(c, at, top, stack, &n);
        if (status) return status;
    }
    return MR_OK;
}

int mr_bvh_check(const mr_pack *pack, const char *name, mr_error *err)
{
    checker c = { .pack = pack, .name = name, .err = err };
    if (pack->bvh_bytes < MR_BVH_ROOT_BYTES || pack->bvh_bytes % MR_BVH_UNIT)
        return mr_fail(err, MR_BAD_INPUT, "%s: BVH of %zu bytes, expected a multiple of %d, at least %d", name, pack->bvh_bytes, MR_BVH_UNIT,
                       MR_BVH_ROOT_BYTES);
    c.marks = calloc(pack->bvh_bytes / MR_BVH_UNIT, 1);
    if (!c.marks) return mr_fail(err, MR_FAILED, "%s: no memory to check a BVH of %zu bytes", name, pack->bvh_bytes);
    int status = mark(&c, 0, MARK_ROOT);
    if (!status) status = check_tree(&c, 0, 1);
    free(c.marks);
    return status;
}
