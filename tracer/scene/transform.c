/* See transform.h. */
#include "tracer/scene/transform.h"

#include <stddef.h>

mr_affine mr_affine_identity(void) { return mr_affine_scale(v3(1, 1, 1)); }

mr_affine mr_affine_scale(vec3 s) { return (mr_affine){{s.x, 0, 0, 0, 0, s.y, 0, 0, 0, 0, s.z, 0}}; }

mr_affine mr_affine_translate(vec3 t) { return (mr_affine){{1, 0, 0, t.x, 0, 1, 0, t.y, 0, 0, 1, t.z}}; }

/* Sine and cosine of an angle in degrees, exact at multiples of 90: a box turned by a right angle keeps its straight sides. */
static void sin_cos_deg(double degrees, double *s, double *c)
{
    static const double sines[4] = {0, 1, 0, -1};
    double turns = degrees / 90, whole = floor(turns);
    if (turns == whole && fabs(whole) < 1e9) {
        long quarter = ((long)whole % 4 + 4) % 4;
        *s = sines[quarter];
        *c = sines[(quarter + 1) % 4];
        return;
    }
    *s = sin(degrees * MR_RAD_PER_DEG);
    *c = cos(degrees * MR_RAD_PER_DEG);
}

mr_affine mr_affine_rotate_deg(vec3 degrees)
{
    double s, c;
    sin_cos_deg(degrees.x, &s, &c);
    mr_affine rx = {{1, 0, 0, 0, 0, c, -s, 0, 0, s, c, 0}};
    sin_cos_deg(degrees.y, &s, &c);
    mr_affine ry = {{c, 0, s, 0, 0, 1, 0, 0, -s, 0, c, 0}};
    sin_cos_deg(degrees.z, &s, &c);
    mr_affine rz = {{c, -s, 0, 0, s, c, 0, 0, 0, 0, 1, 0}};
    mr_affine yx = mr_affine_mul(&ry, &rx);
    return mr_affine_mul(&rz, &yx);
}

mr_affine mr_affine_mul(const mr_affine *a, const mr_affine *b)
{
    mr_affine out;
    for (size_t r = 0; r < 12; r += 4)
        for (size_t c = 0; c < 4; c++)
            out.m[r + c] = a->m[r] * b->m[c] + a->m[r + 1] * b->m[4 + c] + a->m[r + 2] * b->m[8 + c] + (c == 3 ? a->m[r + 3] : 0);
    return out;
}

static vec3 row(const mr_affine *a, size_t r) { return v3(a->m[4 * r], a->m[4 * r + 1], a->m[4 * r + 2]); }

double mr_affine_det(const mr_affine *a) { return v3_dot(row(a, 0), v3_cross(row(a, 1), row(a, 2))); }

/* The inverse of the linear part from the cofactors; the determinant is held against the rows' lengths, so scale does not matter. */
bool mr_affine_invert(mr_affine *out, const mr_affine *a)
{
    double det = mr_affine_det(a), size = v3_length(row(a, 0)) * v3_length(row(a, 1)) * v3_length(row(a, 2));
    if (!(fabs(det) > 1e-12 * size) || !(fabs(det) > 1e-30) || !(size < 1e30)) return false;
    vec3 c0 = v3_cross(row(a, 1), row(a, 2)), c1 = v3_cross(row(a, 2), row(a, 0)), c2 = v3_cross(row(a, 0), row(a, 1));
    mr_affine inv = {{c0.x / det, c1.x / det, c2.x / det, 0, c0.y / det, c1.y / det, c2.y / det, 0, c0.z / det, c1.z / det, c2.z / det, 0}};
    vec3 t = mr_affine_vector(&inv, v3(a->m[3], a->m[7], a->m[11]));
    inv.m[3] = -t.x;
    inv.m[7] = -t.y;
    inv.m[11] = -t.z;
    *out = inv;
    return true;
}

vec3 mr_affine_vector(const mr_affine *a, vec3 v) { return v3(v3_dot(row(a, 0), v), v3_dot(row(a, 1), v), v3_dot(row(a, 2), v)); }

vec3 mr_affine_point(const mr_affine *a, vec3 p) { return v3_add(mr_affine_vector(a, p), v3(a->m[3], a->m[7], a->m[11])); }

vec3 mr_affine_normal(const mr_affine *inverse, vec3 n)
{
    return v3_add(v3_add(v3_scale(row(inverse, 0), n.x), v3_scale(row(inverse, 1), n.y)), v3_scale(row(inverse, 2), n.z));
}

void mr_affine_store(float out[12], const mr_affine *a)
{
    for (size_t i = 0; i < 12; i++) out[i] = (float)a->m[i];
}
