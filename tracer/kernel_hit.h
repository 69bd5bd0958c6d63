/* What counts as a hit: the one place that decides it, for every kernel and for the reference in the tests.
 *
 * WHAT IS TO BE GUARANTEED. The picture may not depend on the order in which a kernel visits nodes, and with it not on the instruction
 * set, the batch or the beam. So a hit must be a pure function of (ray, leaf, lane) or (ray, instance), in arithmetic that is the same
 * everywhere (no FMA, fixed order), and whatever the bounding boxes cull must not matter: if a leaf's lane is hit at t, then every
 * box above it passes its test as long as the ray's limit is at least t. Then the least (t, instance, triangle) is found in any order.
 *
 * THE RULE for a triangle:
 *   1. The line passes the triangle: the signs of the sheared edge functions agree (Woop, Benthin, Wald 2013, "Watertight Ray/Triangle
 *      Intersection"). A shared edge gives exactly the negated value next door, because products commute and rounding is symmetric; 0
 *      counts as inside; all three 0 (the triangle is seen edge-on, or is a point) as outside. Hence no gap between neighbours. And not clearly before tmin: the depth that the edge
 *      functions interpolate, always inside the triangle's extent, is compared without a division; so a ray that starts on a surface
 *      passes that surface by quickly.
 *   2. t is where the line meets the plane, moved, if need be, into [lo, hi]: lo the larger of where the ray enters the leaf's box and
 *      the triangle's extent along the ray's dominant axis, hi the smaller of where it leaves them.
 *   3. A hit that had to be moved far is computed anew in double precision, and counts only if rounding can explain what it then has to be moved by. (Seen at a grazing angle t is uncertain, and
 *      of the leaves that share a triangle after spatial splits the one that the uncertain t falls into must not lose it; a leaf that
 *      the ray merely crosses on its way to another part of the triangle must not claim it.)
 *   4. tmin <= t <= tmax.
 *   5. A ray that only asks whether it is blocked is, without rules 2 to 4, if it is in the leaf's box at a t in [tmin, tmax] and passes (rule 1) a
 *      triangle whose extent along the dominant axis lies in [tmin, tmax]. Not where the leaf has triangles with holes.
 *   6. In a leaf that has triangles with holes a hit counts where tracer/alpha.h finds the surface, at the weights that the edge functions give: they
 *      depend on ray and triangle alone.
 *
 * WHY CULLING CANNOT MATTER. Let e be 2^-24, |t| + |o id| >= |plane id| for a slab (o: origin, id: reciprocal direction).
 *   - Leaf interval, ray_interval(): entry plane * id - (o id + 1e-6 |o id|), exit likewise outwards, rounded thrice.
 *   - Node interval, in the kernel: the same with 3e-6 in place of 1e-6, fused or not. A node's plane lies at or outside the leaf's, so the
 *     node's entry exceeds the leaf's by no more than the two roundings, 3 e |t| + 9 e |o id|, less 2e-6 |o id|; 9 e is 5.4e-7, so what
 *     is left is at most 3 e |t|: 1.8e-7 relative. The same for the exit.
 *   - Rule 2 gives entry(leaf) <= t <= exit(leaf) * SPAN with SPAN = 1 + 1e-6. Node test and stack filter compare with
 *     REACH = 1 + 3e-6: max(entry(node), tmin) <= min(exit(node), limit) * REACH holds whenever limit >= t. A NaN in a slab (overflow)
 *     drops that slab; boxes with infinite planes are the unused children.
 *   - An instance is entered by the same interval of its record's box, and a hit in it must lie in that interval (SPAN again), so all
 *     nodes above it pass. Inside, the argument is repeated with the transformed ray.
 * Entries cut from the stack have been compared in the same way, with up to 7 units in the last place (8.4e-7) added by sorting keys. What the beams cut is wider still (tracer/kernel_beam.h). */
#ifndef MR_KERNEL_HIT_H
#define MR_KERNEL_HIT_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "tracer/alpha.h"
#include "tracer/bvh.h"
#include "tracer/bvh_format.h"
#include "tracer/kernel.h"
#include "tracer/simd.h"
#include "tracer/simd4.h"

#define LEAF_MARGIN 1e-6f
#define NODE_MARGIN 3e-6f
#define SPAN 1.000001f
#define REACH 1.000003f
#define MIN_DIR 1e-18f     /* a smaller component counts as this: its reciprocal must stay finite */
#define MIN_LENGTH 1e-12f  /* a direction whose components add up to less hits nothing */
#define START_MARGIN 4e-6f /* rule 1: of tmin */
#define MOVE 4e-6f         /* rule 3: what needs no explanation, of t */
#define ROUNDING 4e-6f     /* rule 3: about 64 e, a dozen operations with room to spare */

/* A ray, or its image in an instance's space, made ready: four rows of eight, which is how rays_prepare writes it. "Permuted": the axes cycled
 * so that |dir| is largest on axis 2. */
typedef struct ray_setup {
    float id[3];                /* 1 / dir */
    float node_near[3];         /* org / dir widened by NODE_MARGIN: what a near plane's distance is taken from, */
    float tmin, t;              /* t: the limit, and with a hit its distance */
    float node_far[3];          /* and a far plane's */
    uint32_t near_row[3];       /* 0 or 32: byte offset of the near row in an axis' pair of node rows */
    uint32_t spare1[2];
    float org[3];               /* permuted */
    float shear[3];             /* dir x / dir z, dir y / dir z, 1 / dir z, permuted */
    float back, start;          /* -1 / dir z; tmin less START_MARGIN */
    float oid[3], zero;         /* org / dir; loaded as four floats, so what follows must be no subnormal (slow) */
    uint32_t axis[3];           /* of each permuted axis */
    uint32_t spare3;
} ray_setup;

_Static_assert(sizeof(ray_setup) == 128, "four rows");

/* A vector's axes cycled so that axis 0 (where `first`), 1 (where `second`) or 2 comes to stand last. */
INLINE void permute(const vf8 *v, vm8 first, vm8 second, vf8 *out)
{
    for (int a = 0; a < 3; a++) out[a] = vf_select(first, v[(a + 1) % 3], vf_select(second, v[(a + 2) % 3], v[a]));
}

/* Not beyond the limits, with a direction, all of it finite; false for NaN. (An infinite direction would meet even unused children, whose
 * boxes are infinite.) */
INLINE vm8 rays_usable(const vf8 *o, const vf8 *size, vf8 tmin, vf8 tmax)
{
    vf8 far = vf_add(vf_add(vf_abs(o[0]), vf_abs(o[1])), vf_abs(o[2])), length = vf_add(vf_add(size[0], size[1]), size[2]);
    vm8 ok = vm_and(vf_le(far, vf_set(MR_BVH_MAX_COORD)), vm_and(vf_le(vf_set(MIN_LENGTH), length), vf_le(length, vf_set(FLT_MAX))));
    return vm_and(ok, vf_le(tmin, tmax));
}

/* Makes eight rays ready: *rays[i] becomes *out[i] (aligned to 16 bytes; several may be one place, for lanes that do not count). Bit i of
 * the result: ray i can hit something; otherwise what was written is meaningless. Eight at a time, since for a camera's rays
 * this is a good part of the work. */
INLINE unsigned rays_prepare(const mr_ray *const *rays, ray_setup *const *out)
{
    const vf8 zero = vf_set(0), axes[3] = { vf_set_bits(0), vf_set_bits(1), vf_set_bits(2) };
    vf8 in[8], row[4][8], size[3];
    float *at[8];
    const float *from[8];
    for (int i = 0; i < 8; i++) from[i] = rays[i]->org;
    simd_gather_columns(from, in);
    const vf8 *o = in, *d = in + 4;
    for (int a = 0; a < 3; a++) {
        size[a] = vf_abs(d[a]);
        vf8 id = vf_div(vf_set(1), vf_copysign(vf_max(size[a], vf_set(MIN_DIR)), d[a])), c = vf_mul(o[a], id);
        vf8 margin = vf_mul(vf_abs(c), vf_set(NODE_MARGIN));
        row[0][a] = id;
        row[0][3 + a] = vf_add(c, margin);
        row[1][a] = vf_sub(c, margin);
        row[1][3 + a] = vf_select(vf_lt(id, zero), vf_set_bits(32), vf_set_bits(0));
        row[3][a] = c;
    }
    row[0][6] = vf_max(in[3], zero);
    row[0][7] = vf_min(in[7], vf_set(FLT_MAX));
    vm8 first = vm_and(vf_lt(size[1], size[0]), vf_le(size[2], size[0])), second = vm_and(vf_le(size[0], size[1]), vf_le(size[2], size[1]));
    vf8 pd[3], pid[3];
    permute(o, first, second, row[2]);
    permute(d, first, second, pd);
    permute(row[0], first, second, pid);
    row[2][3] = vf_mul(pd[0], pid[2]);
    row[2][4] = vf_mul(pd[1], pid[2]);
    row[2][5] = pid[2];
    permute(axes, first, second, &row[3][4]);
    row[2][6] = vf_sub(zero, pid[2]);
    row[2][7] = vf_mul(row[0][6], vf_set(1 - START_MARGIN));
    row[1][6] = row[1][7] = row[3][3] = row[3][7] = zero;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 8; i++) at[i] = (float *)(void *)out[i] + 8 * k;
        simd_store_columns(at, row[k]);
    }
    return vm_bits(rays_usable(o, size, in[3], in[7]));
}

/* Where the ray is in a box (lo, hi: four floats can be read), by the arithmetic of the rule. Empty when *entry > *exit * SPAN. */
INLINE void ray_interval(const ray_setup *r, const float *lo, const float *hi, float *entry, float *exit)
{
    f4 id = f4_load(r->id), p = f4_load(lo) * id, q = f4_load(hi) * id;
    f4 c = f4_load(r->oid), margin = f4_abs(c) * f4_set(LEAF_MARGIN);
    f4 in = f4_min(p, q) - (c + margin), out = f4_max(p, q) - (c - margin);
    float i = in[0] > in[1] ? in[0] : in[1], o = out[0] < out[1] ? out[0] : out[1];
    *entry = i > in[2] ? i : in[2];
    *exit = o < out[2] ? o : out[2];
}

/* A leaf as a ray sees it: its rows in the ray's permuted axes. */
typedef struct leaf_view {
    const char *axis[3]; /* the first vertex's rows */
    size_t vertex;       /* bytes from a vertex to the next */
} leaf_view;

INLINE leaf_view leaf_seen(const ray_setup *r, const mr_bvh_leaf *leaf)
{
    const char *rows = (const char *)mr_bvh_leaf_rows(leaf);
    size_t stride = 4 * (size_t)leaf->count;
    return (leaf_view){ { rows + r->axis[0] * stride, rows + r->axis[1] * stride, rows + r->axis[2] * stride }, 3 * stride };
}

INLINE vf8 leaf_row(const leaf_view *l, int vertex, int axis)
{
    return vf_loadu((const float *)(const void *)(l->axis[axis] + (size_t)vertex * l->vertex));
}

/* Extent of a triangle along the ray: of its vertices' t. */
INLINE void leaf_extent(const vf8 *t, vf8 *first, vf8 *last)
{
    *first = vf_min(vf_min(t[0], t[1]), t[2]);
    *last = vf_max(vf_max(t[0], t[1]), t[2]);
}

/* Rule 1: lanes that may be hit. No division, no branch. Everything is seen from the vertices (origin minus vertex: the loads become
 * operands), which turns the signs of all edges' ends and so of no edge function.
 * *sure: those whose whole extent is between tmin and t, where `any` (otherwise 0: rules 2 to 4 look at the extent of the few that are left). */
INLINE unsigned leaf_quick(const ray_setup *r, const mr_bvh_leaf *leaf, unsigned *sure, int any)
{
    const leaf_view l = leaf_seen(r, leaf);
    vf8 zero = vf_set(0), start = vf_set(r->start), back = vf_set(r->back), x[3], y[3], t[3];
    vf8 sx = vf_set(r->shear[0]), sy = vf_set(r->shear[1]), ox = vf_set(r->org[0]), oy = vf_set(r->org[1]), oz = vf_set(r->org[2]);
    for (int v = 0; v < 3; v++) {
        vf8 z = vf_sub(oz, leaf_row(&l, v, 2));
        x[v] = vf_sub(vf_sub(ox, leaf_row(&l, v, 0)), vf_mul(sx, z));
        y[v] = vf_sub(vf_sub(oy, leaf_row(&l, v, 1)), vf_mul(sy, z));
        t[v] = vf_mul(z, back);
    }
    vf8 u = vf_sub(vf_mul(x[2], y[1]), vf_mul(y[2], x[1])), v = vf_sub(vf_mul(x[0], y[2]), vf_mul(y[0], x[2]));
    vf8 w = vf_sub(vf_mul(x[1], y[0]), vf_mul(y[1], x[0]));
    vf8 ahead = vf_mul(u, vf_sub(t[0], start)); /* u + v + w times how far the hit is beyond the start */
    ahead = vf_add(ahead, vf_mul(v, vf_sub(t[1], start)));
    ahead = vf_add(ahead, vf_mul(w, vf_sub(t[2], start)));
    vf8 least = vf_min(vf_min(u, v), vf_min(w, ahead)), most = vf_max(vf_max(u, v), vf_max(w, ahead));
    vm8 in = vm_xor(vf_le(zero, least), vf_le(most, zero)); /* xor: not if all are 0 */
    unsigned lanes = vm_bits(in) & ((1u << leaf->count) - 1);
    *sure = 0;
    if (any) {
        vf8 first, last;
        leaf_extent(t, &first, &last);
        *sure = lanes & vm_bits(vm_and(vf_le(vf_set(r->tmin), first), vf_le(last, vf_set(r->t))));
    }
    return lanes;
}

/* Rule 5, for a ray that only asks whether anything stands in its way, and a leaf with a lane that is sure: where the hit lies does not matter, as long
 * as the ray is in the leaf's box at all. */
INLINE int leaf_blocks(const ray_setup *r, const mr_bvh_leaf *leaf)
{
    float entry, exit;
    ray_interval(r, leaf->lo, leaf->hi, &entry, &exit);
    exit = exit > 0 ? exit * SPAN : exit;
    return (entry > r->tmin ? entry : r->tmin) <= (exit < r->t ? exit : r->t) && leaf->holes == 0;
}

/* Up to eight candidates: lanes of leaves, of any rays, that the quick test let through. */
typedef struct candidates {
    uint32_t n;
    const ray_setup *ray[8];
    const mr_bvh_leaf *leaf[8];
    uint32_t lane[8];
    float corner[9][8] __attribute__((aligned(32))); /* v0 x, y, z, v1, v2 in the ray's permuted axes */
} candidates;

INLINE void candidates_add(candidates *c, const ray_setup *r, const mr_bvh_leaf *leaf, uint32_t lane)
{
    const leaf_view l = leaf_seen(r, leaf);
    const uint32_t n = c->n++;
    c->ray[n] = r;
    c->leaf[n] = leaf;
    c->lane[n] = lane;
    for (int v = 0; v < 3; v++)
        for (int a = 0; a < 3; a++) memcpy(&c->corner[3 * v + a][n], l.axis[a] + (size_t)v * l.vertex + 4 * lane, 4);
}

/* What the exact rule needs, a candidate a lane. "d": in the ray's permuted axes. */
typedef struct candidate_rows {
    unsigned holes;                        /* bits: the leaf has triangles with holes */
    vf8 id[3], oid[3], tmin, t;            /* the ray */
    vf8 org[3], shear[3];                  /* d */
    vf8 lo[3], hi[3];                      /* the leaf's box */
    vf8 p[3], e[3], f[3], n[3];            /* d: v0 - org, v1 - v0, v2 - v0, e x f */
} candidate_rows;

/* One row of eight floats of each of eight structures. */
INLINE void load_rows(const void *const *from, size_t offset, vf8 *out)
{
    const float *at[8];
    for (int i = 0; i < 8; i++) at[i] = (const float *)(const void *)((const char *)from[i] + offset);
    simd_gather_columns(at, out);
}

INLINE void candidates_load(candidates *c, candidate_rows *x)
{
    vf8 row[8];
    for (uint32_t i = c->n; i < 8; i++) { /* what does not count repeats the first */
        c->ray[i] = c->ray[0];
        c->leaf[i] = c->leaf[0];
    }
    load_rows((const void *const *)c->ray, offsetof(ray_setup, id), row);
    for (int a = 0; a < 3; a++) x->id[a] = row[a];
    x->tmin = row[6];
    x->t = row[7];
    load_rows((const void *const *)c->ray, offsetof(ray_setup, org), row);
    for (int a = 0; a < 3; a++) {
        x->org[a] = row[a];
        x->shear[a] = row[3 + a];
    }
    load_rows((const void *const *)c->ray, offsetof(ray_setup, oid), row);
    for (int a = 0; a < 3; a++) x->oid[a] = row[a];
    load_rows((const void *const *)c->leaf, offsetof(mr_bvh_leaf, lo), row);
    x->holes = vm_bits(vf_lt(vf_set(0), row[7]));
    for (int a = 0; a < 3; a++) {
        vf8 v = vf_load(c->corner[a]);
        x->lo[a] = row[a];
        x->hi[a] = row[4 + a];
        x->p[a] = vf_sub(v, x->org[a]);
        x->e[a] = vf_sub(vf_load(c->corner[3 + a]), v);
        x->f[a] = vf_sub(vf_load(c->corner[6 + a]), v);
    }
    for (int a = 0; a < 3; a++) {
        int b = a == 2 ? 0 : a + 1, k = a == 0 ? 2 : a - 1;
        x->n[a] = vf_sub(vf_mul(x->e[b], x->f[k]), vf_mul(x->e[k], x->f[b]));
    }
}

/* Rule 3 for candidate i, which may lie in [lo, hi]: where it is, and whether rounding explains what it had to be moved by. In double precision: a sliver's
 * plane, two long edges' product in floats, would be uncertain by e times its length over its width, and the hit would be claimed by
 * leaves far from it. What remains is the rounding of the coordinates that rule 1 saw: it found the line in a triangle whose
 * corners are off by a few e of the distances met, so a point of that line is as near to the plane as that. */
static __attribute__((noinline)) int candidate_moved(const candidates *c, uint32_t i, float lo, float hi, float *t)
{
    const ray_setup *r = c->ray[i];
    const double shear[3] = { (double)r->shear[0], (double)r->shear[1], 1 }, id = (double)r->shear[2];
    double p[3], e[3], f[3], far[3], num = 0, den = 0, bound = 0;
    for (int a = 0; a < 3; a++) {
        double v = (double)c->corner[a][i];
        p[a] = v - (double)r->org[a];
        e[a] = (double)c->corner[3 + a][i] - v;
        f[a] = (double)c->corner[6 + a][i] - v;
        far[a] = fabs(p[a]) + fabs(e[a]) + fabs(f[a]);
    }
    far[0] += fabs(shear[0]) * far[2];
    far[1] += fabs(shear[1]) * far[2];
    for (int a = 0; a < 3; a++) {
        int b = a == 2 ? 0 : a + 1, k = a == 0 ? 2 : a - 1;
        double n = e[b] * f[k] - e[k] * f[b];
        num += n * p[a] * id;
        den += n * shear[a];
        bound += fabs(n * id) * far[a];
    }
    double plane = num / den, moved = plane < (double)hi ? plane : (double)hi;
    *t = (float)(moved > (double)lo ? moved : (double)lo) + 0.0f; /* -0 becomes 0 */
    return fabs(num - (double)*t * den) <= (double)ROUNDING * bound;
}

/* Where each ray is in its leaf's box: ray_interval, a candidate a lane. */
INLINE void candidates_interval(const candidate_rows *x, vf8 *entry, vf8 *exit)
{
    vf8 in[3], out[3];
    for (int a = 0; a < 3; a++) {
        vf8 p = vf_mul(x->lo[a], x->id[a]), q = vf_mul(x->hi[a], x->id[a]), margin = vf_mul(vf_abs(x->oid[a]), vf_set(LEAF_MARGIN));
        in[a] = vf_sub(vf_min(p, q), vf_add(x->oid[a], margin));
        out[a] = vf_sub(vf_max(p, q), vf_sub(x->oid[a], margin));
    }
    *entry = vf_max(vf_max(in[0], in[1]), in[2]);
    *exit = vf_min(vf_min(out[0], out[1]), out[2]);
    *exit = vf_select(vf_lt(vf_set(0), *exit), vf_mul(*exit, vf_set(SPAN)), *exit);
}

/* Rule 6 for candidate i. */
INLINE int candidate_is_solid(const candidates *c, uint32_t i, const mr_pack *pack, uint32_t instance)
{
    const ray_setup *r = c->ray[i];
    float x[3], y[3];
    for (int v = 0; v < 3; v++) {
        float z = r->org[2] - c->corner[3 * v + 2][i];
        x[v] = (r->org[0] - c->corner[3 * v][i]) - r->shear[0] * z;
        y[v] = (r->org[1] - c->corner[3 * v + 1][i]) - r->shear[1] * z;
    }
    float u = x[2] * y[1] - y[2] * x[1], v = x[0] * y[2] - y[0] * x[2], w = x[1] * y[0] - y[1] * x[0], sum = (u + v) + w;
    return mr_alpha_is_solid(pack, instance, c->leaf[i]->triangle[c->lane[i]], (const float[3]){ u / sum, v / sum, w / sum });
}

/* The candidates in bits again, with care; t: where they are. Those that are no hits are returned. */
static __attribute__((noinline)) unsigned candidates_moved(const candidates *c, unsigned bits, vf8 lo, vf8 hi, vf8 *t)
{
    float los[8] __attribute__((aligned(32))), his[8] __attribute__((aligned(32))), ts[8] __attribute__((aligned(32)));
    vf_store(los, lo);
    vf_store(his, hi);
    vf_store(ts, *t);
    unsigned none = 0;
    for (; bits; bits &= bits - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(bits);
        if (!candidate_moved(c, i, los[i], his[i], &ts[i])) none |= 1u << i;
    }
    *t = vf_load(ts);
    return none;
}

/* Rules 2 to 4 for the candidates: those hit as bits, their t in *t_out; *ask: those of them for rule 6. (Eight at a time, since most leaves that are hit
 * are hit in one lane.) */
INLINE unsigned candidates_accept(candidates *c, vf8 *t_out, unsigned *ask)
{
    candidate_rows x;
    vf8 first, last, entry, exit;
    candidates_load(c, &x);
    candidates_interval(&x, &entry, &exit);
    const vf8 along[3] = { vf_mul(x.p[2], x.shear[2]), vf_mul(vf_sub(vf_load(c->corner[5]), x.org[2]), x.shear[2]),
                           vf_mul(vf_sub(vf_load(c->corner[8]), x.org[2]), x.shear[2]) };
    leaf_extent(along, &first, &last);
    vf8 den = vf_add(vf_add(vf_mul(x.n[0], x.shear[0]), vf_mul(x.n[1], x.shear[1])), x.n[2]);
    vf8 num = vf_mul(x.shear[2], vf_add(vf_add(vf_mul(x.n[0], x.p[0]), vf_mul(x.n[1], x.p[1])), vf_mul(x.n[2], x.p[2])));
    vf8 plane = vf_div(num, den), lo = vf_max(first, entry), hi = vf_min(last, exit);
    vf8 t = vf_add(vf_max(vf_min(plane, hi), lo), vf_set(0)); /* -0 becomes 0 */
    vm8 ok = vm_and(vf_le(lo, exit), vf_lt(vf_set(0), vf_abs(den))), still = vf_le(vf_abs(vf_sub(plane, t)), vf_mul(t, vf_set(MOVE)));
    unsigned hit = vm_bits(ok) & ((1u << c->n) - 1), moved = hit & ~vm_bits(still);
    if (__builtin_expect(moved != 0, 0)) hit &= ~candidates_moved(c, moved, lo, hi, &t);
    hit &= vm_bits(vm_and(vf_le(x.tmin, t), vf_le(t, x.t)));
    *t_out = t;
    *ask = hit & x.holes;
    return hit;
}

/* ---- instances ---- */

/* Image of a point (w = 1) or a direction (w = 0) under a 3x4 matrix. */
INLINE f4 transform(const float *m, const float *v, float w)
{
    f4 r = { 0, 0, 0, 0 };
    for (int a = 0; a < 3; a++) r[a] = ((m[4 * a] * v[0] + m[4 * a + 1] * v[1]) + m[4 * a + 2] * v[2]) + m[4 * a + 3] * w;
    return r;
}

/* The part of a ray (in world space, its limits set) that lies in an instance's box: 0 when there is none. */
INLINE int ray_cut(const ray_setup *r, const mr_bvh_instance *instance, float *tmin, float *t)
{
    float entry, exit;
    ray_interval(r, instance->lo, instance->hi, &entry, &exit);
    exit = exit > 0 ? exit * SPAN : exit;
    *tmin = r->tmin > entry ? r->tmin : entry;
    *t = r->t < exit ? r->t : exit;
    return *tmin <= *t;
}

/* A ray's image in an instance's space; the direction is not made unit, so t means the same there. */
INLINE mr_ray ray_image(const mr_ray *ray, const mr_bvh_instance *instance, float tmin, float t)
{
    f4 o = transform(instance->to_object, ray->org, 1), d = transform(instance->to_object, ray->dir, 0);
    return (mr_ray){ { o[0], o[1], o[2] }, tmin, { d[0], d[1], d[2] }, t };
}

/* The images of eight points or directions, each under its own matrix. zero_or_one: in every lane. */
INLINE void transform_eight(const vf8 *m, const vf8 *v, vf8 zero_or_one, vf8 *out)
{
    for (int a = 0; a < 3; a++) {
        const vf8 *r = m + 4 * a;
        out[a] = vf_add(vf_add(vf_add(vf_mul(r[0], v[0]), vf_mul(r[1], v[1])), vf_mul(r[2], v[2])), vf_mul(r[3], zero_or_one));
    }
}

INLINE vf8 dot_eight(const vf8 *a, const vf8 *b)
{
    return vf_add(vf_add(vf_mul(a[0], b[0]), vf_mul(a[1], b[1])), vf_mul(a[2], b[2]));
}

/* Eight unit spheres about the origins of their instances' spaces, each against its ray (in the world): the nearest root in [tmin, tmax]. Lanes that are
 * hit as bits, where in *t. The discriminant is taken from the point nearest to the centre (Haines, Günther, Akenine-Möller 2019, "Precision
 * Improvements for Ray/Sphere Intersection"), the roots without cancellation. */
INLINE unsigned spheres_hit(const mr_bvh_instance *const *instances, const mr_ray *const *rays, vf8 tmin, vf8 tmax, vf8 *t)
{
    const vf8 zero = vf_set(0), one = vf_set(1);
    vf8 m[16], ray[8], o[3], d[3], l[3];
    load_rows((const void *const *)instances, offsetof(mr_bvh_instance, to_object), m);
    load_rows((const void *const *)instances, offsetof(mr_bvh_instance, to_object) + 32, m + 8);
    load_rows((const void *const *)rays, 0, ray);
    transform_eight(m, ray, one, o);
    transform_eight(m, ray + 4, zero, d);
    vf8 dd = dot_eight(d, d), od = dot_eight(o, d), oo = dot_eight(o, o), nearest = vf_div(od, dd);
    for (int a = 0; a < 3; a++) l[a] = vf_sub(o[a], vf_mul(nearest, d[a]));
    vf8 gap = vf_sub(one, dot_eight(l, l)), root = vf_sqrt(vf_mul(dd, gap));
    vf8 q = vf_select(vf_lt(zero, od), vf_sub(vf_sub(vf_set(-0.0f), od), root), vf_sub(root, od)); /* both roots: q / dd and (oo - 1) / q */
    vf8 a = vf_div(q, dd), b = vf_select(vf_le(vf_abs(q), zero), a, vf_div(vf_sub(oo, one), q));
    vf8 first = vf_min(a, b), second = vf_select(vf_lt(a, b), b, a);
    *t = vf_add(vf_select(vf_le(tmin, first), first, second), zero); /* -0 becomes 0 */
    return vm_bits(vm_and(vm_and(vf_le(zero, gap), vf_lt(zero, dd)), vm_and(vf_le(tmin, *t), vf_le(*t, tmax))));
}

#endif
