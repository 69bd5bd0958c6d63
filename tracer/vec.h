/* Three floats: points (metres), directions, linear RGB; over lanes (tracer/lanes.h), so what several files share holds plain
 * float[3] instead. All operations in a fixed order, without FMA: the same bits everywhere. */
#ifndef MR_VEC_H
#define MR_VEC_H

#include "tracer/lanes.h"

typedef struct vec3 {
    vf x, y, z;
} vec3;

static inline vec3 v3(vf x, vf y, vf z) { return (vec3){ x, y, z }; }
static inline vec3 v3_of(const float *p) { return (vec3){ all_f(p[0]), all_f(p[1]), all_f(p[2]) }; } /* the same in every lane */
static inline vec3 v3_all(float s) { return (vec3){ all_f(s), all_f(s), all_f(s) }; }
static inline vec3 v3_add(vec3 a, vec3 b) { return v3(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline vec3 v3_sub(vec3 a, vec3 b) { return v3(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline vec3 v3_mul(vec3 a, vec3 b) { return v3(a.x * b.x, a.y * b.y, a.z * b.z); }
static inline vec3 v3_scale(vec3 a, vf s) { return v3(a.x * s, a.y * s, a.z * s); }
static inline vec3 v3_neg(vec3 a) { return v3(-a.x, -a.y, -a.z); }
static inline vec3 v3_mad(vec3 a, vf s, vec3 b) { return v3(a.x * s + b.x, a.y * s + b.y, a.z * s + b.z); }
static inline vf v3_dot(vec3 a, vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline vec3 v3_cross(vec3 a, vec3 b) { return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x); }
static inline vf v3_length(vec3 a) { return sqrt_f(v3_dot(a, a)); }
static inline vf v3_max(vec3 a) { return max_f(max_f(a.x, a.y), a.z); }
static inline vec3 v3_lerp(vec3 a, vec3 b, vf t) { return v3_add(v3_scale(a, 1.0f - t), v3_scale(b, t)); }
static inline vec3 v3_sel(vm m, vec3 a, vec3 b) { return v3(sel(m, a.x, b.x), sel(m, a.y, b.y), sel(m, a.z, b.z)); }

/* Unit vector along a; the zero vector stays zero. */
static inline vec3 v3_unit(vec3 a)
{
    vf l = v3_length(a);
    return v3_scale(a, sel(mask(l > 0.0f), 1.0f / l, all_f(1.0f)));
}

/* Luminance of linear Rec. 709. */
static inline vf v3_luminance(vec3 c) { return 0.2126f * c.x + 0.7152f * c.y + 0.0722f * c.z; }

/* Neither NaN nor infinite. */
static inline vm v3_is_finite(vec3 c)
{
    return mask(abs_f(c.x) < INFINITY) & mask(abs_f(c.y) < INFINITY) & mask(abs_f(c.z) < INFINITY);
}

/* 3 x 4 matrix, rows of linear part and translation. */
static inline vec3 m34_point(const vf m[12], vec3 p)
{
    return v3(m[0] * p.x + m[1] * p.y + m[2] * p.z + m[3], m[4] * p.x + m[5] * p.y + m[6] * p.z + m[7],
              m[8] * p.x + m[9] * p.y + m[10] * p.z + m[11]);
}
static inline vec3 m34_vector(const vf m[12], vec3 d)
{
    return v3(m[0] * d.x + m[1] * d.y + m[2] * d.z, m[4] * d.x + m[5] * d.y + m[6] * d.z, m[8] * d.x + m[9] * d.y + m[10] * d.z);
}
/* Multiplies by the transpose of the linear part: with to_object it takes normals to the world. */
static inline vec3 m34_transposed(const vf m[12], vec3 n)
{
    return v3(m[0] * n.x + m[4] * n.y + m[8] * n.z, m[1] * n.x + m[5] * n.y + m[9] * n.z, m[2] * n.x + m[6] * n.y + m[10] * n.z);
}

/* An orthonormal frame about the unit normal n (Duff et al. 2017, "Building an Orthonormal Basis, Revisited"). */
typedef struct frame {
    vec3 t, b, n;
} frame;

static inline frame frame_about(vec3 n)
{
    vf sign = sel(mask(n.z >= 0.0f), all_f(1.0f), all_f(-1.0f)), a = -1.0f / (sign + n.z), b = n.x * n.y * a;
    return (frame){ v3(1.0f + sign * n.x * n.x * a, sign * b, -sign * n.x), v3(b, sign + n.y * n.y * a, -n.y), n };
}
static inline vec3 frame_to_local(const frame *f, vec3 d) { return v3(v3_dot(d, f->t), v3_dot(d, f->b), v3_dot(d, f->n)); }
static inline vec3 frame_to_world(const frame *f, vec3 d)
{
    return v3_add(v3_add(v3_scale(f->t, d.x), v3_scale(f->b, d.y)), v3_scale(f->n, d.z));
}

#endif
