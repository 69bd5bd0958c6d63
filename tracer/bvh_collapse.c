/* From the binary tree to the section's 8-wide nodes and leaves: the collapse that is optimal under the surface area heuristic, by
 * dynamic programming over "what does this subtree cost when it may take up to i of its 8-wide parent's slots" (Ylitie, Karras, Laine
 * 2017, "Efficient Incoherent Ray Traversal on GPUs Through Compressed Wide BVHs", section 3.1).
 *
 * Costs are in node tests times area. A leaf is one 8-wide test of up to eight triangles, whatever their number, or one instance. */
#include <stdlib.h>

#include "tracer/bvh_internal.h"

enum { W = MR_BVH_WIDTH, SECTION_FIRST = 1 << 16 };

#define LEAF_COST 1.0f
#define INSTANCE_COST 8.0f /* transformation and a short walk */

/* slots[i] - what the left child gets of i + 1 slots; 0: one fewer slot costs as little. slots[0] = 1: a leaf. */
typedef struct plan {
    float cost[W];
    uint8_t slots[W], as_node; /* as_node: what the left child gets when this becomes a node of its own */
    uint8_t has_instance;
} plan;

typedef struct collapser {
    const mr_bvh2 *tree;
    const mr_bvh_source *source;
    mr_bvh_section *section;
    plan *plans;
    unsigned depth;
    mr_error *err;
} collapser;

/* ---- the section ---- */

static int section_grow(mr_bvh_section *s, size_t need, mr_error *err)
{
    size_t capacity = s->capacity;
    if (need <= capacity) return MR_OK;
    if (need / MR_BVH_UNIT > MR_REF_OFFSET) return mr_fail(err, MR_FAILED, "the BVH would exceed 16 GiB");
    capacity = need + (capacity < SECTION_FIRST ? SECTION_FIRST : capacity / 2);
    capacity = (capacity + 63) / 64 * 64;
    uint8_t *bytes = aligned_alloc(64, capacity);
    if (!bytes) return mr_fail(err, MR_FAILED, "no memory for a BVH of %zu bytes", capacity);
    if (s->size) memcpy(bytes, s->bytes, s->size);
    free(s->bytes);
    s->bytes = bytes;
    s->capacity = capacity;
    return MR_OK;
}

int mr_bvh_section_take(mr_bvh_section *section, size_t bytes, size_t align, size_t *offset, mr_error *err)
{
    size_t at = (section->size + align - 1) / align * align;
    int status = section_grow(section, at + bytes, err);
    if (status) return status;
    memset(section->bytes + section->size, 0, at + bytes - section->size);
    section->size = at + bytes;
    *offset = at;
    return MR_OK;
}

void mr_bvh_node_clear(mr_bvh_node *node)
{
    for (int i = 0; i < W; i++) {
        for (int k = 0; k < 6; k++) node->row[k][i] = k & 1 ? -INFINITY : INFINITY;
        node->child[i] = MR_REF_EMPTY;
        node->pad[i] = 0;
    }
}

/* ---- the plan ---- */

static float node_area(const mr_bvh2_node *n)
{
    float x = n->hi[0] - n->lo[0], y = n->hi[1] - n->lo[1], z = n->hi[2] - n->lo[2];
    return x * y + y * z + z * x;
}

static void plan_leaf(plan *p, const mr_bvh2_node *n)
{
    p->has_instance = (n->left & MR_BVH2_INSTANCE) != 0;
    for (int i = 0; i < W; i++) {
        p->cost[i] = node_area(n) * (p->has_instance ? INSTANCE_COST : LEAF_COST);
        p->slots[i] = 0;
    }
    p->slots[0] = 1;
    p->as_node = 0;
}

/* Cheapest division of `slots` among two subtrees. */
static float divide(const plan *l, const plan *r, int slots, uint8_t *to_left)
{
    float best = INFINITY;
    *to_left = 1;
    for (int k = 1; k < slots; k++) {
        float cost = l->cost[k - 1] + r->cost[slots - k - 1];
        if (!(cost < best)) continue;
        best = cost;
        *to_left = (uint8_t)k;
    }
    return best;
}

static void plan_inner(plan *p, const mr_bvh2_node *n, const plan *l, const plan *r)
{
    p->has_instance = l->has_instance | r->has_instance;
    float area = node_area(n), leaf = n->count <= W && !p->has_instance ? area * LEAF_COST : INFINITY;
    float node = divide(l, r, W, &p->as_node) + area;
    p->slots[0] = leaf <= node;
    p->cost[0] = leaf <= node ? leaf : node;
    if (p->has_instance) p->slots[0] = 0;
    for (int i = 2; i <= W; i++) {
        uint8_t to_left;
        float cost = divide(l, r, i, &to_left);
        int better = cost < p->cost[i - 2];
        p->cost[i - 1] = better ? cost : p->cost[i - 2];
        p->slots[i - 1] = better ? to_left : 0;
    }
}

/* Children stand behind their parents, so one pass from the end suffices. */
static void plan_all(const collapser *c)
{
    for (uint32_t i = c->tree->used; i-- > 0;) {
        const mr_bvh2_node *n = &c->tree->nodes[i];
        if (i == 1) continue;
        if (n->count == 1) plan_leaf(&c->plans[i], n);
        else plan_inner(&c->plans[i], n, &c->plans[n->left], &c->plans[n->left + 1]);
    }
}

/* ---- the output ---- */

/* Lists the subtrees that node i becomes when it may take so many slots. */
static void cut(const collapser *c, uint32_t i, int slots, uint32_t *out, int *n)
{
    const plan *p = &c->plans[i];
    while (slots > 1 && p->slots[slots - 1] == 0) slots--;
    if (slots == 1) {
        out[(*n)++] = i;
        return;
    }
    cut(c, c->tree->nodes[i].left, p->slots[slots - 1], out, n);
    cut(c, c->tree->nodes[i].left + 1, slots - p->slots[slots - 1], out, n);
}

/* The primitives below node i, ascending, each once (spatial splits may have put two parts of one here). */
static void gather(const collapser *c, uint32_t i, uint32_t *out, int *n)
{
    const mr_bvh2_node *node = &c->tree->nodes[i];
    if (node->count > 1) {
        gather(c, node->left, out, n);
        gather(c, node->left + 1, out, n);
        return;
    }
    int at = 0;
    while (at < *n && out[at] < node->left) at++;
    if (at < *n && out[at] == node->left) return;
    for (int k = *n; k > at; k--) out[k] = out[k - 1];
    out[at] = node->left;
    ++*n;
}

static void emit_leaf(const collapser *c, uint32_t i, size_t offset)
{
    mr_bvh_leaf *leaf = (mr_bvh_leaf *)(void *)(c->section->bytes + offset);
    uint32_t prim[W];
    int n = 0;
    gather(c, i, prim, &n);
    for (int k = 0; k < W; k++) {
        for (int v = 0; v < 3; v++)
            for (int a = 0; a < 3; a++) leaf->row[3 * v + a][k] = source_vertex(c->source, prim[k < n ? k : 0], k < n ? v : 0)[a];
        leaf->triangle[k] = k < n ? prim[k] : MR_NONE;
    }
    memcpy(leaf->lo, c->tree->nodes[i].lo, 3 * sizeof(float));
    memcpy(leaf->hi, c->tree->nodes[i].hi, 3 * sizeof(float));
}

static uint32_t kind_of(const collapser *c, uint32_t i)
{
    const mr_bvh2_node *n = &c->tree->nodes[i];
    if (!c->plans[i].slots[0]) return MR_REF_NODE;
    return n->count == 1 && n->left & MR_BVH2_INSTANCE ? MR_REF_INSTANCE : MR_REF_LEAF;
}

/* Reserves the children's bytes: inner nodes side by side, then what they do not share. */
static int place(const collapser *c, const uint32_t *kids, int n, size_t *at)
{
    static const size_t size[3] = { sizeof(mr_bvh_node), sizeof(mr_bvh_leaf), sizeof(mr_bvh_instance) };
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < n; k++) {
            uint32_t kind = kind_of(c, kids[k]);
            if ((kind == MR_REF_NODE) != (pass == 0)) continue;
            int status = mr_bvh_section_take(c->section, size[kind / MR_REF_LEAF], kind == MR_REF_NODE ? 64 : MR_BVH_UNIT, &at[k], c->err);
            if (status) return status;
        }
    return MR_OK;
}

static void link_child(const collapser *c, size_t offset, int lane, uint32_t kid, size_t at)
{
    mr_bvh_node *node = (mr_bvh_node *)(void *)(c->section->bytes + offset);
    const mr_bvh2_node *n = &c->tree->nodes[kid];
    for (int a = 0; a < 3; a++) {
        node->row[2 * a][lane] = n->lo[a];
        node->row[2 * a + 1][lane] = n->hi[a];
    }
    node->child[lane] = (uint32_t)(at / MR_BVH_UNIT) | kind_of(c, kid);
}

static int emit_node(collapser *c, uint32_t i, size_t offset, unsigned depth)
{
    uint32_t kids[W];
    size_t at[W];
    int n = 0, status;
    if (depth > c->depth) c->depth = depth;
    if (c->plans[i].slots[0]) {
        kids[n++] = i; /* the whole tree is one leaf */
    } else {
        cut(c, c->tree->nodes[i].left, c->plans[i].as_node, kids, &n);
        cut(c, c->tree->nodes[i].left + 1, W - c->plans[i].as_node, kids, &n);
    }
    status = place(c, kids, n, at);
    if (status) return status;
    mr_bvh_node_clear((mr_bvh_node *)(void *)(c->section->bytes + offset));
    for (int k = 0; k < n; k++) link_child(c, offset, k, kids[k], at[k]);
    for (int k = 0; k < n; k++) {
        uint32_t kind = kind_of(c, kids[k]);
        if (kind == MR_REF_LEAF) emit_leaf(c, kids[k], at[k]);
        else if (kind == MR_REF_INSTANCE)
            memcpy(c->section->bytes + at[k], &c->source->records[c->tree->nodes[kids[k]].left & ~MR_BVH2_INSTANCE], sizeof(mr_bvh_instance));
        else if ((status = emit_node(c, kids[k], at[k], depth + 1)) != MR_OK) return status;
    }
    return MR_OK;
}

int mr_bvh_collapse(mr_bvh_section *section, const mr_bvh2 *tree, const mr_bvh_source *source, size_t root_offset, unsigned *depth,
                    mr_error *err)
{
    collapser c = { .tree = tree, .source = source, .section = section, .err = err };
    c.plans = malloc((size_t)tree->used * sizeof *c.plans);
    if (!c.plans) return mr_fail(err, MR_FAILED, "no memory to collapse a BVH of %u nodes", tree->used);
    plan_all(&c);
    int status = emit_node(&c, 0, root_offset, 1);
    free(c.plans);
    *depth = c.depth;
    return status;
}
