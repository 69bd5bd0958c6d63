/* Three-vectors and the scalar helpers of the mobydock generator: doubles, metres, right-handed, +y up. */
#ifndef MOBY_VEC_H
#define MOBY_VEC_H

#include <math.h>

#define PI 3.14159265358979323846 /* M_PI is absent under strict C11 */

typedef struct v3 {
    double x, y, z;
} v3;

static inline v3 V(double x, double y, double z) { return (v3){x, y, z}; }
static inline v3 add(v3 a, v3 b) { return V(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline v3 sub(v3 a, v3 b) { return V(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline v3 mul(v3 a, double s) { return V(a.x * s, a.y * s, a.z * s); }
static inline v3 madd(v3 a, v3 b, double s) { return V(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s); }
static inline double dot(v3 a, v3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline v3 cross(v3 a, v3 b) { return V(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x); }
static inline double length(v3 a) { return sqrt(dot(a, a)); }
static inline v3 unit(v3 a) { return mul(a, 1.0 / sqrt(dot(a, a) + 1e-30)); }
static inline v3 mix3(v3 a, v3 b, double t) { return madd(mul(a, 1 - t), b, t); }

static inline double clamp(double x, double lo, double hi) { return x < lo ? lo : x > hi ? hi : x; }
static inline double mix(double a, double b, double t) { return a + (b - a) * t; }

/* 0 at a, 1 at b, level at both; a > b is allowed and falls instead. */
static inline double smoothstep(double a, double b, double x)
{
    double t = clamp((x - a) / (b - a), 0, 1);
    return t * t * (3 - 2 * t);
}

/* Smooth union, cubic (Quilez): k is the width of the blend in metres; equal to fmin where |a - b| > k. */
static inline double smin(double a, double b, double k)
{
    double h = fmax(k - fabs(a - b), 0) / k;
    return fmin(a, b) - h * h * h * k / 6.0;
}

static inline double smax(double a, double b, double k) { return -smin(-a, -b, k); }

static inline double gauss(double x) { return exp(-x * x); }

/* An integer hash (Wellons' lowbias32) as a number in [0, 1): the generator's only randomness, the same everywhere. */
static inline double hash01(unsigned n)
{
    n ^= n >> 16;
    n *= 0x7feb352du;
    n ^= n >> 15;
    n *= 0x846ca68bu;
    n ^= n >> 16;
    return n * (1.0 / 4294967296.0);
}

#endif
