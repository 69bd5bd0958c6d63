/* From the binary tree, as planned (bvh_plan.c), to the section's 8-wide nodes and leaves.
 *
 * Below a node stand its children: inner nodes side by side, then leaves and instances, then the inner nodes' own subtrees one after the other.
 * Each such block starts on a multiple of 64 bytes, so a subtree has the same size wherever it lands. First every subtree below the
 * topmost nodes is measured, then all of it is written, by whichever thread is free. */
#include <stdlib.h>

#include "tracer/bvh_internal.h"
#include "tracer/pages.h"

enum { W = MR_BVH_WIDTH, BLOCK = 64, SECTION_FIRST = 1 << 16 };
enum { TOP_LEVELS = 3, BRANCHES_MAX = W * W * W };

typedef struct collapser {
    const mr_bvh2 *tree;
    const mr_bvh_source *source;
    mr_bvh_section *section;
} collapser;

/* ---- the section ---- */

static int section_grow(mr_bvh_section *s, size_t need, mr_error *err)
{
    size_t capacity = s->capacity;
    if (need <= capacity) return MR_OK;
    if (need / MR_BVH_UNIT > MR_REF_OFFSET) return mr_fail(err, MR_FAILED, "the BVH would exceed 8 GiB");
    capacity = need + (capacity < SECTION_FIRST ? SECTION_FIRST : capacity / 2);
    capacity = (capacity + 63) / 64 * 64;
    uint8_t *bytes = mr_pages_alloc(capacity);
    if (!bytes) return mr_fail(err, MR_FAILED, "no memory for a BVH of %zu bytes", capacity);
    if (s->size) memcpy(bytes, s->bytes, s->size);
    free(s->bytes);
    s->bytes = bytes;
    s->capacity = capacity;
    return MR_OK;
}

/* Appends bytes at a multiple of 64 without writing them: pages are first touched by whoever fills them. */
static int section_reserve(mr_bvh_section *section, size_t bytes, size_t *offset, mr_error *err)
{
    size_t at = (section->size + BLOCK - 1) / BLOCK * BLOCK;
    int status = section_grow(section, at + bytes, err);
    if (status) return status;
    memset(section->bytes + section->size, 0, at - section->size);
    section->size = at + bytes;
    *offset = at;
    return MR_OK;
}

void *mr_bvh_section_scratch(mr_bvh_section *section, size_t bytes)
{
    size_t at = (section->size + BLOCK - 1) / BLOCK * BLOCK;
    return section_grow(section, at + bytes, NULL) ? NULL : section->bytes + at;
}

int mr_bvh_section_take(mr_bvh_section *section, size_t bytes, size_t *offset, mr_error *err)
{
    int status = section_reserve(section, bytes, offset, err);
    if (!status) memset(section->bytes + *offset, 0, bytes);
    return status;
}

void mr_bvh_node_clear(mr_bvh_node *node)
{
    for (int i = 0; i < W; i++) {
        for (int k = 0; k < 6; k++) node->row[k][i] = k & 1 ? -INFINITY : INFINITY;
        node->child[i] = MR_REF_EMPTY;
        node->pad[i] = 0;
    }
}

/* ---- what becomes of a subtree ---- */

static uint32_t kind_of(const collapser *c, mr_bvh2_at i)
{
    if (i.node == MR_BVH2_SINGLE) return c->tree->refs[i.ref].prim & MR_BVH2_INSTANCE ? MR_REF_INSTANCE : MR_REF_LEAF;
    return c->tree->nodes[i.node].plan & MR_BVH2_PLAN_LEAF ? MR_REF_LEAF : MR_REF_NODE;
}

/* Lists the subtrees that subtree i becomes when it may take so many slots. */
static void cut(const collapser *c, mr_bvh2_at i, int slots, mr_bvh2_at *out, int *n)
{
    uint32_t plan = i.node == MR_BVH2_SINGLE ? 0 : c->tree->nodes[i.node].plan;
    while (slots > 1 && plan_slots(plan, slots) == 0) slots--;
    if (slots == 1) {
        out[(*n)++] = i;
        return;
    }
    int left = plan_slots(plan, slots);
    cut(c, bvh2_left(c->tree, i), left, out, n);
    cut(c, bvh2_right(c->tree, i), slots - left, out, n);
}

static uint32_t leaf_count(const collapser *c, mr_bvh2_at i)
{
    return i.node == MR_BVH2_SINGLE ? 1 : plan_leaf_count(c->tree->nodes[i.node].plan);
}

/* The primitives of a leaf, ascending, each once (spatial splits may have put two parts of one here). Its references stand side by side. */
static void gather(const collapser *c, mr_bvh2_at i, uint32_t *out, uint32_t *n)
{
    const mr_bvh2_ref *refs = c->tree->refs + i.ref;
    uint32_t count = leaf_count(c, i);
    for (uint32_t r = 0; r < count; r++) {
        uint32_t prim = refs[r].prim;
        uint32_t at = 0;
        while (at < *n && out[at] < prim) at++;
        if (at < *n && out[at] == prim) continue;
        for (uint32_t k = *n; k > at; k--) out[k] = out[k - 1];
        out[at] = prim;
        ++*n;
    }
}

/* The children of an 8-wide node and where they stand, in bytes from the start of their block. */
typedef struct block {
    mr_bvh2_at kid[W];
    uint32_t at[W];
    int count;
    uint32_t bytes; /* a multiple of 64 */
} block;

/* Bytes of a child. A leaf whose references name a triangle twice leaves some of its own free. */
static uint32_t size_of(const collapser *c, mr_bvh2_at kid, uint32_t kind)
{
    if (kind == MR_REF_LEAF) return mr_bvh_leaf_bytes(leaf_count(c, kid));
    return kind == MR_REF_NODE ? sizeof(mr_bvh_node) : sizeof(mr_bvh_instance);
}

/* Lays out what stands below the node that subtree i becomes: inner nodes first, then what they do not share. */
static block lay_out(const collapser *c, mr_bvh2_at i)
{
    block b = { .count = 0 };
    if (kind_of(c, i) != MR_REF_NODE) {
        b.kid[b.count++] = i; /* the whole tree is one leaf */
    } else {
        int left = plan_as_node(c->tree->nodes[i.node].plan);
        cut(c, bvh2_left(c->tree, i), left, b.kid, &b.count);
        cut(c, bvh2_right(c->tree, i), W - left, b.kid, &b.count);
    }
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < b.count; k++) {
            uint32_t kind = kind_of(c, b.kid[k]);
            if ((kind == MR_REF_NODE) != (pass == 0)) continue;
            b.at[k] = b.bytes;
            b.bytes += size_of(c, b.kid[k], kind);
        }
    b.bytes = (b.bytes + BLOCK - 1) / BLOCK * BLOCK;
    return b;
}

/* ---- the output ---- */

/* Whether a triangle may have holes. */
static int has_holes(const mr_bvh_source *source, uint32_t triangle)
{
    return source->all_holes || (source->materials && source->materials[source->triangles[triangle].material].alpha_cutoff > 0);
}

static void emit_leaf(const collapser *c, mr_bvh2_at i, size_t offset)
{
    mr_bvh_leaf *leaf = (mr_bvh_leaf *)(void *)(c->section->bytes + offset);
    uint32_t prim[W], n = 0, room = mr_bvh_leaf_bytes(leaf_count(c, i));
    gather(c, i, prim, &n);
    memset(leaf, 0, sizeof *leaf);
    memset((uint8_t *)leaf + room - MR_BVH_UNIT, 0, MR_BVH_UNIT);
    if (n < leaf_count(c, i)) memset(leaf, 0, room);
    leaf->count = n;
    float *row = (float *)(void *)(leaf->triangle + n);
    for (uint32_t k = 0; k < n; k++) {
        leaf->triangle[k] = prim[k];
        if (has_holes(c->source, prim[k])) leaf->holes = 1;
        for (uint32_t v = 0; v < 3; v++)
            for (uint32_t a = 0; a < 3; a++) row[(3 * v + a) * n + k] = source_vertex(c->source, prim[k], (int)v)[a];
    }
    box b = bvh2_box(c->tree, i);
    for (int a = 0; a < 3; a++) {
        leaf->lo[a] = b.lo[a];
        leaf->hi[a] = b.hi[a];
    }
}

static void link_child(const collapser *c, mr_bvh_node *node, int lane, mr_bvh2_at kid, size_t at)
{
    box b = bvh2_box(c->tree, kid);
    for (int a = 0; a < 3; a++) {
        node->row[2 * a][lane] = b.lo[a];
        node->row[2 * a + 1][lane] = b.hi[a];
    }
    node->child[lane] = (uint32_t)(at / MR_BVH_UNIT) | kind_of(c, kid);
}

/* Writes the node at `offset` and its block at `below`, but for the inner nodes in it. */
static void emit_block(const collapser *c, const block *b, size_t offset, size_t below)
{
    mr_bvh_node *node = (mr_bvh_node *)(void *)(c->section->bytes + offset);
    mr_bvh_node_clear(node);
    if (b->bytes) memset(c->section->bytes + below + b->bytes - BLOCK, 0, BLOCK); /* what the last child leaves free */
    for (int k = 0; k < b->count; k++) {
        size_t at = below + b->at[k];
        uint32_t kind = kind_of(c, b->kid[k]);
        link_child(c, node, k, b->kid[k], at);
        if (kind == MR_REF_LEAF) emit_leaf(c, b->kid[k], at);
        if (kind != MR_REF_INSTANCE) continue;
        uint32_t instance = c->tree->refs[b->kid[k].ref].prim & ~MR_BVH2_INSTANCE;
        memcpy(c->section->bytes + at, &c->source->records[instance], sizeof(mr_bvh_instance));
    }
}

/* Everything below the node at `offset`, from `below` on; returns the end. */
static size_t emit(const collapser *c, mr_bvh2_at i, size_t offset, size_t below)
{
    block b = lay_out(c, i);
    emit_block(c, &b, offset, below);
    size_t end = below + b.bytes;
    for (int k = 0; k < b.count; k++)
        if (kind_of(c, b.kid[k]) == MR_REF_NODE) end = emit(c, b.kid[k], below + b.at[k], end);
    return end;
}

/* Bytes below the node that subtree i becomes; *deepest: nodes on the longest path, this one at `depth`. */
static size_t measure(const collapser *c, mr_bvh2_at i, unsigned depth, unsigned *deepest)
{
    block b = lay_out(c, i);
    size_t bytes = b.bytes;
    if (depth > *deepest) *deepest = depth;
    for (int k = 0; k < b.count; k++)
        if (kind_of(c, b.kid[k]) == MR_REF_NODE) bytes += measure(c, b.kid[k], depth + 1, deepest);
    return bytes;
}

/* ---- the crew's part ---- */

/* A subtree that one thread measures and writes. */
typedef struct branch {
    mr_bvh2_at subtree;
    unsigned deepest;
    size_t bytes, offset, below;
} branch;

typedef struct branches {
    const collapser *c;
    uint32_t count, next;
    branch of[BRANCHES_MAX];
} branches;

/* The nodes TOP_LEVELS below the root, in the order of the output. */
static void find_branches(branches *all, mr_bvh2_at i, int level)
{
    if (level == TOP_LEVELS) {
        all->of[all->count++] = (branch){ .subtree = i };
        return;
    }
    block b = lay_out(all->c, i);
    for (int k = 0; k < b.count; k++)
        if (kind_of(all->c, b.kid[k]) == MR_REF_NODE) find_branches(all, b.kid[k], level + 1);
}

static void measure_branch(void *context, uint32_t piece)
{
    branches *all = context;
    branch *x = &all->of[piece];
    x->bytes = measure(all->c, x->subtree, TOP_LEVELS + 1, &x->deepest);
}

static void emit_branch(void *context, uint32_t piece)
{
    branches *all = context;
    const branch *x = &all->of[piece];
    (void)emit(all->c, x->subtree, x->offset, x->below);
}

/* Walks the top once more: its own blocks' bytes, or, with `write`, their contents; tells the branches where they go. Returns the end. */
static size_t walk_top(branches *all, mr_bvh2_at i, size_t offset, size_t below, int level, int write)
{
    if (level == TOP_LEVELS) {
        branch *x = &all->of[all->next++];
        x->offset = offset;
        x->below = below;
        return below + x->bytes;
    }
    block b = lay_out(all->c, i);
    if (write) emit_block(all->c, &b, offset, below);
    size_t end = below + b.bytes;
    for (int k = 0; k < b.count; k++)
        if (kind_of(all->c, b.kid[k]) == MR_REF_NODE) end = walk_top(all, b.kid[k], below + b.at[k], end, level + 1, write);
    return end;
}

/* Nodes on the longest path: a top that ends above the branches is no deeper than TOP_LEVELS. */
static unsigned depth_of(const branches *all)
{
    unsigned deepest = TOP_LEVELS;
    for (uint32_t i = 0; i < all->count; i++)
        if (all->of[i].deepest > deepest) deepest = all->of[i].deepest;
    return deepest;
}

int mr_bvh_collapse(mr_bvh_section *section, const mr_bvh2 *tree, const mr_bvh_source *source, mr_crew *crew, size_t root_offset,
                    unsigned *depth, mr_error *err)
{
    collapser c = { tree, source, section };
    size_t below;
    branches *all = malloc(sizeof *all);
    if (!all) return mr_fail(err, MR_FAILED, "no memory to collapse a BVH");
    all->c = &c;
    all->count = all->next = 0;
    find_branches(all, tree->root, 0);
    mr_crew_run(crew, measure_branch, all, all->count);
    *depth = depth_of(all);
    int status = MR_OK;
    if (*depth <= MR_BVH_MAX_DEPTH) status = section_reserve(section, walk_top(all, tree->root, 0, 0, 0, 0) + MR_BVH_TAIL, &below, err);
    if (!status && *depth <= MR_BVH_MAX_DEPTH) {
        memset(section->bytes + section->size - MR_BVH_TAIL, 0, MR_BVH_TAIL);
        all->next = 0;
        (void)walk_top(all, tree->root, root_offset, below, 0, 1);
        mr_crew_run(crew, emit_branch, all, all->count);
    }
    free(all);
    return status;
}
