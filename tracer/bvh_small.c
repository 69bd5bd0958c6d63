/* The small ends of the binary tree: every split along every axis is looked at, not only those between bins. The references are sorted
 * once by their middles along each axis; a split divides the three lists and keeps their order (the sweep of Wald, Boulos, Shirley 2007,
 * "Ray Tracing Deformable Scenes using Dynamic Bounding Volume Hierarchies", section 4.1). */
#include "tracer/bvh_internal.h"

enum { SMALL = MR_BVH2_SMALL };

typedef struct small {
    mr_bvh2 *tree;
    mr_bvh2_at at; /* of the whole in the tree */
    uint8_t order[3][SMALL];
    box boxes[SMALL];
    float cost[SMALL];      /* of the right side of a split before entry i of an order */
    const mr_bvh2_ref *ref; /* in the order that they came */
} small;

/* Orders floats as integers do, ties by index: the lowest bits of the middle make room for it. */
static i4 sort_keys(f4 x, int first)
{
    i4 bits = (i4)x, index = { first, first + 1, first + 2, first + 3 };
    bits ^= (bits >> 31) & (i4){ 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF };
    return (bits & ~(i4){ SMALL - 1, SMALL - 1, SMALL - 1, SMALL - 1 }) | index;
}

/* Sorts by counting, for each, how many are less: no branches. keys holds a multiple of four. */
static void sort(const int32_t *keys, uint32_t n, uint8_t *order)
{
    for (uint32_t i = 0; i < n; i += 4) {
        i4 mine, rank = { 0 };
        memcpy(&mine, keys + i, sizeof mine);
        for (uint32_t k = 0; k < n; k++) {
            i4 other = { keys[k], keys[k], keys[k], keys[k] };
            rank -= other < mine;
        }
        for (uint32_t k = 0; k < 4 && i + k < n; k++) order[rank[k]] = (uint8_t)(i + k);
    }
}

static void sort_axis(small *s, int axis, uint32_t n)
{
    int32_t keys[SMALL];
    for (uint32_t i = 0; i < n; i += 4) {
        f4 middle = { 0 };
        for (uint32_t k = 0; k < 4 && i + k < n; k++) middle[k] = s->boxes[i + k].lo[axis] + s->boxes[i + k].hi[axis];
        i4 key = sort_keys(middle, (int)i);
        memcpy(keys + i, &key, sizeof key);
    }
    sort(keys, n, s->order[axis]);
}

static float area(box b)
{
    f4 d = b.hi - b.lo;
    return d[0] * d[1] + d[1] * d[2] + d[2] * d[0];
}

typedef struct choice {
    float cost;
    int axis;
    uint32_t left; /* number of references */
} choice;

/* The cheapest split along one axis; *all receives the box of everything. */
static void sweep(small *s, const uint8_t *order, uint32_t n, int axis, choice *best, box *all)
{
    box x = s->boxes[order[n - 1]];
    for (uint32_t i = n - 1; i > 0; i--) {
        s->cost[i] = area(x) * (float)(n - i);
        x = box_union(x, s->boxes[order[i - 1]]);
    }
    *all = x;
    x = s->boxes[order[0]];
    for (uint32_t i = 1; i < n; i++) {
        float cost = s->cost[i] + area(x) * (float)i;
        if (cost < best->cost) *best = (choice){ cost, axis, i };
        x = box_union(x, s->boxes[order[i]]);
    }
}

/* Divides an order of n: what stands in `left` first, the rest behind. */
static void divide(uint8_t *order, uint32_t n, uint32_t left)
{
    uint8_t rest[SMALL] = { 0 };
    uint32_t l = 0, r = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t id = order[i];
        uint32_t is_left = left >> id & 1;
        order[l] = id;
        rest[r] = id;
        l += is_left;
        r += 1 - is_left;
    }
    memcpy(order + l, rest, r);
}

static mr_bvh2_cost put(small *s, uint32_t first)
{
    mr_bvh2_ref *ref = &s->tree->refs[s->at.ref + first];
    *ref = s->ref[s->order[0][first]];
    return mr_bvh2_plan_single(ref);
}

/* Where to split entries first .. first + n - 1, and their box. */
static choice choose(small *s, uint32_t first, uint32_t n, int depth_left, box *all)
{
    choice best = { INFINITY, 0, n / 2 };
    if (n == 2) {
        *all = box_union(s->boxes[s->order[0][first]], s->boxes[s->order[0][first + 1]]);
        return best;
    }
    for (int a = 0; a < 3; a++) sweep(s, s->order[a] + first, n, a, &best, all);
    uint32_t more = best.left > n - best.left ? best.left : n - best.left;
    if (depth_left <= 5 && more > 1u << (depth_left - 1)) best.left = n / 2;
    return best;
}

/* The subtree over entries first .. first + n - 1, with its node at `at`. */
static mr_bvh2_cost build(small *s, uint32_t at, uint32_t first, uint32_t n, int depth_left)
{
    if (n == 1) return put(s, first);
    box all;
    choice c = choose(s, first, n, depth_left, &all);
    uint32_t left = 0;
    for (uint32_t i = 0; i < c.left; i++) left |= 1u << s->order[c.axis][first + i];
    for (int a = 0; a < 3; a++)
        if (a != c.axis) divide(s->order[a] + first, n, left);
    mr_bvh2_node *node = &s->tree->nodes[at];
    f4_store(node->lo, all.lo);
    f4_store(node->hi, all.hi);
    node->left_room = c.left;
    mr_bvh2_cost l = build(s, at + 1, first, c.left, depth_left - 1), r = build(s, at + c.left, first + c.left, n - c.left, depth_left - 1);
    return mr_bvh2_plan_pair(node, n - c.left == 1, &l, &r);
}

mr_bvh2_cost mr_bvh2_small(mr_bvh2 *tree, mr_bvh2_at at, const mr_bvh2_ref *refs, uint32_t count, int depth_left)
{
    small s;
    mr_bvh2_ref copy[SMALL];
    memset(s.order, 0, sizeof s.order);
    memcpy(copy, refs, count * sizeof *refs);
    s.tree = tree;
    s.at = at;
    s.ref = copy;
    for (uint32_t i = 0; i < count; i++) s.boxes[i] = ref_box(copy + i);
    for (int a = 0; a < 3; a++) sort_axis(&s, a, count);
    return build(&s, at.node, 0, count, depth_left);
}
