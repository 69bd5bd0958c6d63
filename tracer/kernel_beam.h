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

#define BEAM_SLACK 4e-6f
#define BEAM_NEAR 0.99999f
#define BEAM_FAR 1.00001f

typedef struct beam {
    f4 o0, o1, d0, d1; /* bounds of origins and directions; lane 3 of d1: the largest tmax */
    f4 i0, i1;         /* 1 / d1, 1 / d0 */
    unsigned good;     /* axes on which every direction has one sign */
    float tmax;
} beam;

typedef struct beam_entry {
    const mr_bvh_node *from;
    float dist;
    uint32_t lane, open;
} beam_entry;

INLINE f4 f4_finite_or(f4 x, f4 other) /* lanes that are NaN become other's */
{
    return f4_select(x == x, x, other);
}

/* 0 when the beam is of no use. */
INLINE int beam_bound(beam *b, const mr_ray *rays, uint32_t count)
{
    f4 o0 = f4_set(INFINITY), o1 = f4_set(-INFINITY), d0 = o0, d1 = o1;
    for (uint32_t i = 0; i < count; i++) {
        f4 o = f4_load(rays[i].org), d = f4_load(rays[i].dir);
        o0 = f4_min(o, o0); /* the ray first: its NaNs are passed over (such a ray hits nothing anyway) */
        o1 = f4_max(o, o1);
        d0 = f4_min(d, d0);
        d1 = f4_max(d, d1);
    }
    f4 same = d0 * d1;
    b->good = 0;
    for (unsigned a = 0; a < 3; a++) {
        b->good |= (unsigned)(same[a] > 1e-12f) << a;
        if (!(o0[a] >= -MR_BVH_MAX_COORD && o1[a] <= MR_BVH_MAX_COORD && d0[a] >= -1e6f && d1[a] <= 1e6f)) return 0;
    }
    f4 slack = f4_max(f4_abs(o0), f4_abs(o1)) * f4_set(BEAM_SLACK);
    b->o0 = o0 - slack;
    b->o1 = o1 + slack;
    b->d0 = d0;
    b->d1 = d1;
    b->i0 = f4_set(1) / d1;
    b->i1 = f4_set(1) / d0;
    b->tmax = d1[3] < 1e20f ? d1[3] : 1e20f;
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

INLINE int beam_pick(const beam_entry *entries, int count)
{
    int pick = -1;
    for (int i = 0; i < count; i++)
        if (entries[i].open && (pick < 0 || entries[i].dist < entries[pick].dist)) pick = i;
    return pick;
}

/* Adds the children in bits; there is room. */
INLINE int beam_add(beam_entry *entries, int count, const mr_bvh_node *node, unsigned bits, vf8 dist)
{
    float all[8] __attribute__((aligned(32)));
    vf_store(all, dist);
    for (; bits; bits &= bits - 1, count++) {
        uint32_t lane = (uint32_t)__builtin_ctz(bits);
        entries[count] = (beam_entry){ node, all[lane], lane, (node->child[lane] & MR_REF_KIND) == MR_REF_NODE };
    }
    return count;
}

INLINE void beam_fill(mr_bvh_node *out, const beam_entry *entries, int count)
{
    for (int i = 0; i < MR_BVH_WIDTH; i++) {
        for (int k = 0; k < 6; k++) out->row[k][i] = i < count ? entries[i].from->row[k][entries[i].lane] : k & 1 ? -INFINITY : INFINITY;
        out->child[i] = i < count ? entries[i].from->child[entries[i].lane] : MR_REF_EMPTY;
    }
}

/* The node at which these rays start: the root of the tree at base, or *out. */
static __attribute__((noinline)) const mr_bvh_node *beam_root(const char *base, const mr_ray *rays, uint32_t count, mr_bvh_node *out)
{
    const mr_bvh_node *node = (const mr_bvh_node *)(const void *)base;
    beam b;
    beam_entry entries[BEAM_ENTRIES];
    int n = 0;
    if (!beam_bound(&b, rays, count)) return node;
    for (int step = 0; step < BEAM_STEPS; step++) {
        int pick = -1;
        vf8 dist;
        if (step) {
            pick = beam_pick(entries, n);
            if (pick < 0) break;
            node = (const mr_bvh_node *)(const void *)(base + mr_ref_offset(entries[pick].from->child[entries[pick].lane]));
        }
        unsigned bits = beam_node(&b, node, &dist);
        if (pick >= 0) {
            entries[pick].open = 0;
            if (n - 1 + __builtin_popcount(bits) > BEAM_ENTRIES) continue;
            entries[pick] = entries[--n];
        }
        n = beam_add(entries, n, node, bits, dist);
    }
    beam_fill(out, entries, n);
    return out;
}

#endif
