/* Distances are first-order: an implicit function over the length of its gradient (Taubin 1994, "Distance approximations for
 * rasterizing implicit curves"). */
#include "scenes/mobydock/shapes.h"

/* k0 is homogeneous of degree one, so that it has no flat spot at the centre as its p-th power would. */
double superellipsoid_distance(v3 q, const superellipsoid *s)
{
    v3 a = V(fabs(q.x - s->center.x) / s->radius.x, fabs(q.y - s->center.y) / s->radius.y, fabs(q.z - s->center.z) / s->radius.z);
    double e = s->power - 1;
    v3 w = V(pow(a.x, e), pow(a.y, e), pow(a.z, e));
    double k0 = pow(dot(a, w), 1 / s->power);
    if (k0 < 1e-3) return -fmin(s->radius.x, fmin(s->radius.y, s->radius.z));
    v3 g = mul(V(w.x / s->radius.x, w.y / s->radius.y, w.z / s->radius.z), pow(k0, -e));
    return (k0 - 1) / length(g);
}

static v3 bezier(const v3 *b, double t)
{
    double s = 1 - t;
    return madd(madd(madd(mul(b[0], s * s * s), b[1], 3 * s * s * t), b[2], 3 * s * t * t), b[3], t * t * t);
}

static v3 bezier_slope(const v3 *b, double t)
{
    double s = 1 - t;
    return madd(madd(mul(sub(b[1], b[0]), 3 * s * s), sub(b[2], b[1]), 6 * s * t), sub(b[3], b[2]), 3 * t * t);
}

static double bernstein(const double *r, double t)
{
    double s = 1 - t;
    return s * s * s * r[0] + 3 * s * s * t * r[1] + 3 * s * t * t * r[2] + t * t * t * r[3];
}

/* Parameter of the spine's nearest point: the best of N samples, then Gauss-Newton on (B - p) . B' = 0. */
static double nearest(v3 p, const v3 *b)
{
    enum { N = 16 };
    double best = 1e30, t = 0;
    for (int i = 0; i <= N; i++) {
        v3 d = sub(bezier(b, i / (double)N), p);
        if (dot(d, d) < best) best = dot(d, d), t = i / (double)N;
    }
    for (int i = 0; i < 4; i++) {
        v3 d = sub(bezier(b, t), p), slope = bezier_slope(b, t);
        t = clamp(t - dot(d, slope) / (dot(slope, slope) + 1e-12), fmax(0, t - 0.5 / N), fmin(1, t + 0.5 / N));
    }
    return t;
}

/* The radius rounds off to (almost) nothing at the far end, as an egg does, so that a tapering sweep has no knob there. */
static double radius(const sweep *s, double t)
{
    double t2 = t * t, t6 = t2 * t2 * t2;
    return bernstein(s->radius, t) * sqrt(fmax(1 - t6, 1e-3));
}

double sweep_distance(v3 p, const sweep *s)
{
    double t = nearest(p, s->spine), r = radius(s, t), f = s->flat;
    v3 q = sub(p, bezier(s->spine, t));
    double thick = dot(q, s->n);
    v3 wide = madd(q, s->n, -thick);
    double ww = dot(wide, wide), tt = thick * thick;
    double k0 = sqrt(ww + tt / (f * f)) / r, k1 = sqrt(ww + tt / (f * f * f * f)) / (r * r);
    return k1 < 1e-9 ? -r * f : k0 * (k0 - 1) / k1;
}

double sweep_bound(v3 p, const sweep *s)
{
    v3 c = mul(add(add(s->spine[0], s->spine[1]), add(s->spine[2], s->spine[3])), 0.25);
    double reach = 0, thickest = 0;
    for (int i = 0; i < 4; i++) {
        reach = fmax(reach, length(sub(s->spine[i], c)));
        thickest = fmax(thickest, s->radius[i]);
    }
    return length(sub(p, c)) - reach - thickest * fmax(1, s->flat);
}
