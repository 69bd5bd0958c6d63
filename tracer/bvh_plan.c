/* How the binary tree becomes 8-wide: the collapse that is optimal under the surface area heuristic, by dynamic programming over "what does
 * this subtree cost when it may take up to i of its 8-wide parent's slots" (Ylitie, Karras, Laine 2017, "Efficient Incoherent Ray Traversal
 * on GPUs Through Compressed Wide BVHs", section 3.1). Each node is planned when both its children are, while they are in the cache.
 *
 * Costs are in node tests times area. A leaf is one 8-wide test of up to eight triangles, whatever their number, or one instance.
 * The plan of a node, 32 bits: slots of the left child for 2 .. 8 slots (3 bits each), for a node of its own (3), references minus one of a
 * leaf (3), whether it becomes a leaf, 3 unused, whether the right child is a single reference. */
#include "tracer/bvh_internal.h"

enum { W = MR_BVH_WIDTH };

#define LEAF_COST 1.0f
#define INSTANCE_COST 8.0f /* transformation and a short walk */

static float area_of(const float *lo, const float *hi)
{
    float x = hi[0] - lo[0], y = hi[1] - lo[1], z = hi[2] - lo[2];
    return x * y + y * z + z * x;
}

mr_bvh2_cost mr_bvh2_plan_single(const mr_bvh2_ref *ref)
{
    mr_bvh2_cost c = { .count = 1, .has_instance = (ref->prim & MR_BVH2_INSTANCE) != 0 };
    float cost = area_of(ref->lo, ref->hi) * (c.has_instance ? INSTANCE_COST : LEAF_COST);
    for (int i = 0; i < W; i++) c.at[i] = cost;
    return c;
}

/* Cheapest division of i + 1 slots among two subtrees, for all i at once: best[i], and what the left one gets. Of equal ones the least. */
static void divide(const mr_bvh2_cost *l, const mr_bvh2_cost *r, float best[W], int32_t to_left[W])
{
    float shifted[2 * W];
    f4 b0 = f4_set(INFINITY), b1 = b0;
    i4 k0 = { 1, 1, 1, 1 }, k1 = k0;
    int most = l->count < W - 1 ? (int)l->count : W - 1; /* more slots than references are no cheaper */
    for (int i = 0; i < W; i++) {
        shifted[i] = INFINITY;
        shifted[W + i] = r->at[i];
    }
    for (int k = 1; k <= most; k++) {
        f4 left = f4_set(l->at[k - 1]), c0 = left + f4_load(shifted + W - k), c1 = left + f4_load(shifted + W + 4 - k);
        i4 better0 = c0 < b0, better1 = c1 < b1, kk = { k, k, k, k };
        b0 = f4_select(better0, c0, b0);
        b1 = f4_select(better1, c1, b1);
        k0 = (better0 & kk) | (~better0 & k0);
        k1 = (better1 & kk) | (~better1 & k1);
    }
    f4_store(best, b0);
    f4_store(best + 4, b1);
    memcpy(to_left, &k0, sizeof k0);
    memcpy(to_left + 4, &k1, sizeof k1);
}

/* The same as below for two single triangles, which is every third node. Both cost the same with any number of slots. */
static mr_bvh2_cost plan_two(mr_bvh2_node *node, float apart)
{
    float area = area_of(node->lo, node->hi), leaf = area * LEAF_COST, as_node = apart + area, alone = leaf <= as_node ? leaf : as_node;
    int better = apart < alone;
    node->plan = MR_BVH2_RIGHT_SINGLE | 1u << MR_BVH2_PLAN_NODE | (leaf <= as_node ? MR_BVH2_PLAN_LEAF | 1u << MR_BVH2_PLAN_COUNT : 0) | (better ? 1u : 0);
    mr_bvh2_cost c = { .count = 2, .at = { alone } };
    for (int i = 1; i < W; i++) c.at[i] = better ? apart : alone;
    return c;
}

mr_bvh2_cost mr_bvh2_plan_pair(mr_bvh2_node *node, int right_single, const mr_bvh2_cost *l, const mr_bvh2_cost *r)
{
    if (l->count + r->count == 2 && !(l->has_instance | r->has_instance)) return plan_two(node, l->at[0] + r->at[0]);
    mr_bvh2_cost c = { .count = l->count + r->count, .has_instance = l->has_instance | r->has_instance };
    float best[W], area = area_of(node->lo, node->hi), leaf = c.count <= W && !c.has_instance ? area * LEAF_COST : INFINITY;
    int32_t to_left[W];
    divide(l, r, best, to_left);
    uint32_t plan = (right_single ? MR_BVH2_RIGHT_SINGLE : 0) | (uint32_t)to_left[W - 1] << MR_BVH2_PLAN_NODE;
    float as_node = best[W - 1] + area;
    if (leaf <= as_node && !c.has_instance) plan |= MR_BVH2_PLAN_LEAF | ((c.count - 1) & 7) << MR_BVH2_PLAN_COUNT;
    c.at[0] = leaf <= as_node ? leaf : as_node;
    for (int i = 1; i < W; i++) {
        int better = best[i] < c.at[i - 1];
        c.at[i] = better ? best[i] : c.at[i - 1];
        plan |= better ? (uint32_t)to_left[i] << (3 * (i - 1)) : 0;
    }
    node->plan = plan;
    return c;
}
