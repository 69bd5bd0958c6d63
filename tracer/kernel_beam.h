/* Beam start: where may a run of consecutive rays begin?
 *
 * Up to 64 rays that follow one another often go the same way (neighbouring pixels, a light). Intervals of their origins and directions bound
 * them; a short best-first descent of the top-level tree with this beam finds up to eight subtrees that hold all that any of the rays can
 * hit. They become a private node, at which those rays start instead of at the root (after Reshetov, Soupikov, Hurley 2005, "Multi-Level
 * Ray Tracing Algorithm"). Incoherent runs give up at once. Instances and leaves are taken as they are, never opened.
 *
 * Conservative: origins are widened by 4e-6 of their size and distances by a factor, more than the margins of tracer/kernel_hit.h, so a
 * ray's hit is never cut off; an infinite or NaN bound gives the root. Which subtrees come out does not change a hit. */
#ifndef MR_KERNEL_BEAM_H
#define MR_KERNEL_BEAM_H

#include "tracer/kernel_hit.h"

enum { BEAM_RAYS = 64, BEAM_STEPS = 12, BEAM_ENTRIES = 8 };
#define BEAM_CLOSED UINT32_MAX

#define BEAM_SLACK 4e-6f
#define BEAM_NEAR 0.99999f
#define BEAM_FAR 1.00001f

typedef struct beam {
    float o0[3], o1[3], d0[3], d1[3]; /* bounds of origins and directions */
    float i0[3], i1[3];               /* 1 / d1, 1 / d0 */
    unsigned good;                    /* axes on which every direction has one sign */
    float tmax;                       /* the largest */
} beam;

/* Subtrees found so far, and room for one node's children behind them. */
typedef struct beam_list {
    uint32_t ref[BEAM_ENTRIES + 8], lane[BEAM_ENTRIES + 8]; /* what it is, and where in its parent's rows */
    uint32_t key[BEAM_ENTRIES + 8];                         /* a lower bound of its distance >= 0, which orders as its bits do; BEAM_CLOSED: not to be opened */
    const mr_bvh_node *from[BEAM_ENTRIES + 8];              /* its parent */
    uint32_t n;
} beam_list;

/* Least and greatest of each field of a run of rays: origin, tmin, direction, tmax. */
typedef struct ray_bounds {
    float least[8] __attribute__((aligned(32))), most[8];
} ray_bounds;

typedef struct bounder {
    vf8 least, most;
} bounder;

INLINE bounder bounds_none(void)
{
    return (bounder){ vf_set(INFINITY), vf_set(-INFINITY) };
}

INLINE void bounds_add(bounder *b, const mr_ray *ray)
{
    vf8 r = vf_loadu(ray->org);
    b->least = vf_min(r, b->least); /* the ray first: its NaNs are passed over (such a ray hits nothing anyway) */
    b->most = vf_max(r, b->most);
}

INLINE void bounds_store(ray_bounds *out, const bounder *b)
{
    vf_store(out->least, b->least);
    vf_store(out->most, b->most);
}

/* Whether the rays go one way, within a half-angle of about 60 degrees about an axis. */
INLINE int bounds_coherent(const ray_bounds *b)
{
    float side[3], wide[3];
    for (int a = 0; a < 3; a++) {
        float lo = b->least[4 + a], hi = b->most[4 + a];
        side[a] = lo > 0 ? lo : hi < 0 ? -hi : 0;
        wide[a] = hi > -lo ? hi : -lo;
    }
    int x = side[0] > 0 && 2 * side[0] >= wide[1] && 2 * side[0] >= wide[2];
    int y = side[1] > 0 && 2 * side[1] >= wide[0] && 2 * side[1] >= wide[2];
    int z = side[2] > 0 && 2 * side[2] >= wide[0] && 2 * side[2] >= wide[1];
    return x | y | z;
}

/* 0 when a beam with these bounds is of no use. */
INLINE int beam_begin(beam *b, const ray_bounds *bounds)
{
    b->good = 0;
    for (unsigned a = 0; a < 3; a++) {
        float o0 = bounds->least[a], o1 = bounds->most[a], d0 = bounds->least[4 + a], d1 = bounds->most[4 + a];
        float slack = (fabsf(o0) > fabsf(o1) ? fabsf(o0) : fabsf(o1)) * BEAM_SLACK;
        if (!(o0 >= -MR_BVH_MAX_COORD && o1 <= MR_BVH_MAX_COORD && d0 >= -1e6f && d1 <= 1e6f)) return 0;
        b->good |= (unsigned)(d0 * d1 > 1e-12f) << a;
        b->o0[a] = o0 - slack;
        b->o1[a] = o1 + slack;
        b->d0[a] = d0;
        b->d1[a] = d1;
        b->i0[a] = 1.0f / d1;
        b->i1[a] = 1.0f / d0;
    }
    b->tmax = bounds->most[7] < 1e20f ? bounds->most[7] : 1e20f;
    return b->good != 0;
}

/* The children that the beam meets; *dist: a lower bound of each one's distance. */
INLINE unsigned beam_node(const beam *b, const mr_bvh_node *node, vf8 *dist)
{
    vf8 lo = vf_set(0), hi = vf_set(b->tmax);
    for (int a = 0; a < 3; a++) { /* interval arithmetic on (plane - origin) / direction */
        if (!(b->good >> a & 1)) continue;
        int neg = b->d0[a] < 0;
        vf8 p = vf_set(b->i0[a]), q = vf_set(b->i1[a]);
        vf8 x = vf_sub(vf_load(node->row[2 * a + neg]), vf_set(neg ? b->o0[a] : b->o1[a]));
        vf8 y = vf_sub(vf_load(node->row[2 * a + 1 - neg]), vf_set(neg ? b->o1[a] : b->o0[a]));
        lo = vf_max(vf_min(vf_mul(x, p), vf_mul(x, q)), lo);
        hi = vf_min(vf_max(vf_mul(y, p), vf_mul(y, q)), hi);
    }
    hi = vf_mul(hi, vf_set(BEAM_FAR));
    lo = vf_mul(lo, vf_set(BEAM_NEAR));
    vm8 ok = vf_le(lo, hi);
    for (int a = 0; a < 3; a++) { /* directions of both signs: the beam's extent at the largest t that the other axes allow */
        if (b->good >> a & 1) continue;
        vf8 up = vf_add(vf_mul(hi, vf_set(b->d1[a] > 0 ? b->d1[a] : 0)), vf_set(b->o1[a]));
        vf8 down = vf_add(vf_mul(hi, vf_set(b->d0[a] < 0 ? b->d0[a] : 0)), vf_set(b->o0[a]));
        ok = vm_and(ok, vm_and(vf_le(vf_load(node->row[2 * a]), up), vf_le(down, vf_load(node->row[2 * a + 1]))));
    }
    *dist = lo;
    return vm_bits(ok);
}

/* Adds the children in bits. */
INLINE void beam_add(beam_list *l, const mr_bvh_node *node, unsigned bits, vf8 dist)
{
    static const uint32_t lanes[8] __attribute__((aligned(32))) = { 0, 1, 2, 3, 4, 5, 6, 7 };
    uint32_t all[8] __attribute__((aligned(32)));
    vf_store((float *)(void *)all, dist);
    (void)simd_push(l->ref + l->n, bits, node->child);
    (void)simd_push(l->lane + l->n, bits, lanes);
    (void)simd_push(l->key + l->n, bits, all);
    for (uint32_t i = l->n; i < l->n + 8; i++) {
        l->from[i] = node;
        if (l->ref[i] >= MR_REF_LEAF) l->key[i] = BEAM_CLOSED;
    }
    l->n += (uint32_t)__builtin_popcount(bits);
}

/* The nearest that may be opened, or -1. */
INLINE int beam_pick(const beam_list *l)
{
    uint32_t best = BEAM_CLOSED;
    for (uint32_t i = 0; i < BEAM_ENTRIES; i++) {
        uint32_t key = i < l->n && l->key[i] != BEAM_CLOSED ? (l->key[i] & ~7u) | i : BEAM_CLOSED;
        best = key < best ? key : best;
    }
    return best == BEAM_CLOSED ? -1 : (int)(best & 7);
}

/* The last entry takes entry i's place. */
INLINE void beam_remove(beam_list *l, int i)
{
    l->n--;
    l->ref[i] = l->ref[l->n];
    l->lane[i] = l->lane[l->n];
    l->key[i] = l->key[l->n];
    l->from[i] = l->from[l->n];
}

INLINE void beam_fill(mr_bvh_node *out, const beam_list *l)
{
    for (uint32_t i = 0; i < MR_BVH_WIDTH; i++) {
        uint32_t e = i < l->n ? i : 0;
        for (int k = 0; k < 6; k++) out->row[k][i] = l->from[e]->row[k][l->lane[e]];
        out->child[i] = l->ref[e];
    }
    for (uint32_t i = l->n; i < MR_BVH_WIDTH; i++) {
        for (int k = 0; k < 6; k++) out->row[k][i] = k & 1 ? -INFINITY : INFINITY;
        out->child[i] = MR_REF_EMPTY;
    }
}

/* The node at which rays with these bounds start: the root of the tree at base, or *out; NULL when there is nothing on their way. */
static __attribute__((noinline)) const mr_bvh_node *beam_root(const char *base, const ray_bounds *bounds, mr_bvh_node *out)
{
    const mr_bvh_node *node = (const mr_bvh_node *)(const void *)base;
    beam b;
    beam_list l = { .n = 0 };
    vf8 dist;
    if (!beam_begin(&b, bounds)) return node;
    l.from[0] = node;
    l.lane[0] = l.ref[0] = 0;
    unsigned bits = beam_node(&b, node, &dist);
    beam_add(&l, node, bits, dist);
    for (int step = 1; step < BEAM_STEPS; step++) {
        int pick = beam_pick(&l);
        if (pick < 0) break;
        node = (const mr_bvh_node *)(const void *)(base + mr_ref_offset(l.ref[pick]));
        bits = beam_node(&b, node, &dist);
        l.key[pick] = BEAM_CLOSED;
        if (l.n - 1 + (uint32_t)__builtin_popcount(bits) > BEAM_ENTRIES) continue;
        beam_remove(&l, pick);
        beam_add(&l, node, bits, dist);
    }
    if (!l.n) return NULL;
    beam_fill(out, &l);
    return out;
}

#endif
