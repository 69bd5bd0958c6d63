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
 *   3. A hit that had to be moved far counts only if the plane test's rounding can explain it. (Seen at a grazing angle t is uncertain, and
 *      of the leaves that share a triangle after spatial splits the one that the uncertain t falls into must not lose it; a leaf that
 *      the ray merely crosses on its way to another part of the triangle must not claim it.)
 *   4. tmin <= t <= tmax.
 *
 * WHY CULLING CANNOT MATTER. Let e be 2^-24, |t| + |o id| >= |plane id| for a slab (o: origin, id: reciprocal direction).
 *   - Leaf interval, ray_interval(): entry plane * id - (o id + 1e-6 |o id|), exit likewise outwards, rounded thrice.
 *   - Node interval, in the kernel: the same with 3e-6 in place of 1e-6, fused or not. A node's plane lies at or outside the leaf's, so the
 *     node's entry exceeds the leaf's by no more than the two roundings, 3 e |t| + 9 e |o id|, less 2e-6 |o id|; 9 e is 5.4e-7, so what
 *     is left is at most 3 e |t|: 1.8e-7 relative. The same for the exit.
 *   - Rule 2 gives entry(leaf) <= t <= exit(leaf) * SPAN with SPAN = 1 + 1e-6. Node test and stack filter compare with
 *     REACH = 1 + 3e-6: max(entry(node), tmin) <= min(exit(node), limit) * REACH holds whenever limit >= t. A NaN in a slab (overflow)
 *     drops that slab; boxes with infinite planes are the unused children.
 *   - The quick test of a leaf culls by the extent along the dominant axis; rule 2 includes that very extent, bit for bit.
 *   - An instance is entered by the same interval of its record's box, and a hit in it must lie in that interval (SPAN again), so all
 *     nodes above it pass. Inside, the argument is repeated with the transformed ray.
 * Entries cut from the stack have been compared in the same way, with up to 7 units in the last place (8.4e-7) added by sorting keys. What the beams cut is wider still (tracer/kernel_beam.h). */
#ifndef MR_KERNEL_HIT_H
#define MR_KERNEL_HIT_H

#include <float.h>
#include <math.h>
#include <stdint.h>

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
#define START_MARGIN 2e-6f /* rule 1: of the triangle's extent */
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
    uint32_t spare2[2];
    float oid[3], zero;         /* org / dir; loaded as four floats, so what follows must be no subnormal (slow) */
    uint32_t axis_row[3];       /* byte offset of each permuted axis in a vertex's three leaf rows */
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

/* Makes eight rays ready: rays[i] becomes *out[i] (aligned to 16 bytes; several may be one place, for lanes that do not count). Bit i of
 * the result: ray i can hit something; otherwise what was written is meaningless. Eight at a time, since for a camera's rays
 * this is a good part of the work. */
INLINE unsigned rays_prepare(const mr_ray *rays, ray_setup *const *out)
{
    const vf8 zero = vf_set(0), rows[3] = { vf_set_bits(0), vf_set_bits(32), vf_set_bits(64) };
    vf8 in[8], row[4][8], size[3];
    float *at[8];
    simd_load_columns(rays->org, in);
    const vf8 *o = in, *d = in + 4;
    for (int a = 0; a < 3; a++) {
        size[a] = vf_abs(d[a]);
        vf8 id = vf_div(vf_set(1), vf_copysign(vf_max(size[a], vf_set(MIN_DIR)), d[a])), c = vf_mul(o[a], id);
        vf8 margin = vf_mul(vf_abs(c), vf_set(NODE_MARGIN));
        row[0][a] = id;
        row[0][3 + a] = vf_add(c, margin);
        row[1][a] = vf_sub(c, margin);
        row[1][3 + a] = vf_select(vf_lt(id, zero), rows[1], rows[0]);
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
    permute(rows, first, second, &row[3][4]);
    row[1][6] = row[1][7] = row[2][6] = row[2][7] = row[3][3] = row[3][7] = zero;
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 8; i++) at[i] = (float *)(void *)((char *)out[i] + offsetof(ray_setup, id)) + 8 * k;
        simd_store_columns(at, row[k]);
    }
    return vm_bits(rays_usable(o, size, in[3], in[7]));
}

/* Where the ray is in a box, by the arithmetic of the rule. Empty when *entry > *exit * SPAN. */
INLINE void ray_interval(const ray_setup *r, const float *lo, const float *hi, float *entry, float *exit)
{
    f4 id = f4_load(r->id), p = f4_load(lo) * id, q = f4_load(hi) * id;
    f4 c = f4_load(r->oid), margin = f4_abs(c) * f4_set(LEAF_MARGIN);
    f4 in = f4_min(p, q) - (c + margin), out = f4_max(p, q) - (c - margin);
    float i = in[0] > in[1] ? in[0] : in[1], o = out[0] < out[1] ? out[0] : out[1];
    *entry = i > in[2] ? i : in[2];
    *exit = o < out[2] ? o : out[2];
}

/* The nine rows of a leaf in the ray's permuted axes. */
INLINE vf8 leaf_row(const ray_setup *r, const mr_bvh_leaf *leaf, int vertex, int axis)
{
    const char *p = (const char *)leaf->row[3 * vertex] + r->axis_row[axis];
    return vf_load((const float *)(const void *)p);
}

/* Extent of z rows along the ray, as t. */
INLINE void leaf_extent(const ray_setup *r, vf8 az, vf8 bz, vf8 cz, vf8 *first, vf8 *last)
{
    vf8 sz = vf_set(r->shear[2]);
    vf8 lo = vf_mul(vf_min(vf_min(az, bz), cz), sz), hi = vf_mul(vf_max(vf_max(az, bz), cz), sz);
    *first = vf_min(lo, hi);
    *last = vf_max(lo, hi);
}

/* Rule 1 and the extent: lanes that may be hit between r->tmin and r->t. No division, no branch. u, v, w and what is ahead of the start
 * have one sign in a lane that passes. */
INLINE unsigned leaf_quick(const ray_setup *r, const mr_bvh_leaf *leaf)
{
    vf8 zero = vf_set(0), sx = vf_set(r->shear[0]), sy = vf_set(r->shear[1]);
    vf8 ox = vf_set(r->org[0]), oy = vf_set(r->org[1]), oz = vf_set(r->org[2]);
    vf8 az = vf_sub(leaf_row(r, leaf, 0, 2), oz), bz = vf_sub(leaf_row(r, leaf, 1, 2), oz), cz = vf_sub(leaf_row(r, leaf, 2, 2), oz);
    vf8 ax = vf_sub(vf_sub(leaf_row(r, leaf, 0, 0), ox), vf_mul(sx, az)), ay = vf_sub(vf_sub(leaf_row(r, leaf, 0, 1), oy), vf_mul(sy, az));
    vf8 bx = vf_sub(vf_sub(leaf_row(r, leaf, 1, 0), ox), vf_mul(sx, bz)), by = vf_sub(vf_sub(leaf_row(r, leaf, 1, 1), oy), vf_mul(sy, bz));
    vf8 cx = vf_sub(vf_sub(leaf_row(r, leaf, 2, 0), ox), vf_mul(sx, cz)), cy = vf_sub(vf_sub(leaf_row(r, leaf, 2, 1), oy), vf_mul(sy, cz));
    vf8 u = vf_sub(vf_mul(cx, by), vf_mul(cy, bx)), v = vf_sub(vf_mul(ax, cy), vf_mul(ay, cx)), w = vf_sub(vf_mul(bx, ay), vf_mul(by, ax));
    vf8 first, last;
    leaf_extent(r, az, bz, cz, &first, &last);
    vf8 slack = vf_mul(vf_max(vf_abs(first), vf_abs(last)), vf_set(START_MARGIN)), start = vf_sub(vf_set(r->tmin), slack);
    vf8 depth = vf_mul(vf_add(vf_add(vf_mul(u, az), vf_mul(v, bz)), vf_mul(w, cz)), vf_set(r->shear[2]));
    vf8 ahead = vf_sub(depth, vf_mul(start, vf_add(vf_add(u, v), w)));
    vf8 least = vf_min(vf_min(u, v), vf_min(w, ahead)), most = vf_max(vf_max(u, v), vf_max(w, ahead));
    vm8 in = vm_xor(vf_le(zero, least), vf_le(most, zero)); /* xor: not if all are 0 */
    return vm_bits(vm_and(in, vm_and(vf_le(first, vf_set(r->t)), vf_le(vf_set(r->tmin), last))));
}

/* A triangle's edges and normal, and its first vertex seen from the origin. */
typedef struct leaf_plane {
    vf8 p[3], e[3], f[3], n[3]; /* v0 - o, v1 - v0, v2 - v0, e x f */
} leaf_plane;

/* Rule 3: |num - t den| against a bound of what rounding may have done to it: of the normal's components, times the distances they meet.
 * num and den are scaled as in leaf_accept. */
INLINE vm8 leaf_explains(const ray_setup *r, const leaf_plane *l, vf8 num, vf8 den, vf8 t)
{
    vf8 far[3], bound = vf_set(0);
    for (int a = 0; a < 3; a++) far[a] = vf_add(vf_abs(l->p[a]), vf_add(vf_abs(l->e[a]), vf_abs(l->f[a])));
    far[0] = vf_add(far[0], vf_mul(vf_set(fabsf(r->shear[0])), far[2]));
    far[1] = vf_add(far[1], vf_mul(vf_set(fabsf(r->shear[1])), far[2]));
    for (int a = 0; a < 3; a++) {
        int b = a == 2 ? 0 : a + 1, c = a == 0 ? 2 : a - 1;
        vf8 size = vf_add(vf_abs(vf_mul(l->e[b], l->f[c])), vf_abs(vf_mul(l->e[c], l->f[b])));
        bound = vf_add(bound, vf_mul(size, far[a]));
    }
    bound = vf_mul(bound, vf_set(ROUNDING * fabsf(r->shear[2])));
    return vf_le(vf_abs(vf_sub(num, vf_mul(t, den))), bound);
}

/* Rules 2 to 4 for the lanes that leaf_quick found: lanes hit, their t in *t_out. */
INLINE unsigned leaf_accept(const ray_setup *r, const mr_bvh_leaf *leaf, unsigned lanes, vf8 *t_out)
{
    leaf_plane l;
    float entry, exit;
    vf8 first, last;
    ray_interval(r, leaf->lo, leaf->hi, &entry, &exit);
    exit = exit > 0 ? exit * SPAN : exit;
    for (int a = 0; a < 3; a++) {
        vf8 v = leaf_row(r, leaf, 0, a);
        l.p[a] = vf_sub(v, vf_set(r->org[a]));
        l.e[a] = vf_sub(leaf_row(r, leaf, 1, a), v);
        l.f[a] = vf_sub(leaf_row(r, leaf, 2, a), v);
    }
    for (int a = 0; a < 3; a++) {
        int b = a == 2 ? 0 : a + 1, c = a == 0 ? 2 : a - 1;
        l.n[a] = vf_sub(vf_mul(l.e[b], l.f[c]), vf_mul(l.e[c], l.f[b]));
    }
    vf8 oz = vf_set(r->org[2]);
    leaf_extent(r, l.p[2], vf_sub(leaf_row(r, leaf, 1, 2), oz), vf_sub(leaf_row(r, leaf, 2, 2), oz), &first, &last);
    vf8 den = vf_add(vf_add(vf_mul(l.n[0], vf_set(r->shear[0])), vf_mul(l.n[1], vf_set(r->shear[1]))), l.n[2]);
    vf8 num = vf_mul(vf_set(r->shear[2]), vf_add(vf_add(vf_mul(l.n[0], l.p[0]), vf_mul(l.n[1], l.p[1])), vf_mul(l.n[2], l.p[2])));
    vf8 plane = vf_div(num, den), lo = vf_max(first, vf_set(entry)), hi = vf_min(last, vf_set(exit));
    vf8 t = vf_add(vf_max(vf_min(plane, hi), lo), vf_set(0)); /* -0 becomes 0 */
    vm8 ok = vm_and(vm_and(vf_le(vf_set(r->tmin), t), vf_le(t, vf_set(r->t))), vm_and(vf_le(lo, vf_set(exit)), vf_lt(vf_set(0), vf_abs(den))));
    *t_out = t;
    lanes &= vm_bits(ok);
    vm8 near = vf_le(vf_abs(vf_sub(plane, t)), vf_mul(t, vf_set(MOVE)));
    if (__builtin_expect((lanes & ~vm_bits(near)) != 0, 0)) lanes &= vm_bits(vm_or(near, leaf_explains(r, &l, num, den, t)));
    return lanes;
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

/* The unit sphere about the origin against a ray in its space: the nearest root in [tmin, t]. The discriminant is taken from the point
 * nearest to the centre (Haines, Günther, Akenine-Möller 2019, "Precision Improvements for Ray/Sphere Intersection"), the roots
 * without cancellation. */
INLINE int sphere_hit(const mr_bvh_instance *instance, const mr_ray *ray, float tmin, float tmax, float *t)
{
    f4 o = transform(instance->to_object, ray->org, 1), d = transform(instance->to_object, ray->dir, 0);
    float dd = (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2], od = (o[0] * d[0] + o[1] * d[1]) + o[2] * d[2];
    float oo = (o[0] * o[0] + o[1] * o[1]) + o[2] * o[2];
    f4 l = o - f4_set(od / dd) * d;
    float gap = 1.0f - ((l[0] * l[0] + l[1] * l[1]) + l[2] * l[2]);
    if (!(gap >= 0) || !(dd > 0)) return 0;
    float root = sqrtf(dd * gap), q = od > 0 ? -od - root : root - od; /* both roots: q / dd and (oo - 1) / q */
    float a = q / dd, b = q != 0 ? (oo - 1.0f) / q : a;
    float first = a < b ? a : b, second = a < b ? b : a;
    *t = (first >= tmin ? first : second) + 0.0f; /* -0 becomes 0 */
    return *t >= tmin && *t <= tmax;
}

#endif
