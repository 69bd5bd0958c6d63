/* The tracer's own transcendental functions: libm's differ from machine to machine, and a bit that differs is a picture
 * that differs. Only additions, multiplications, divisions and square roots, each correctly rounded by IEEE 754, in a fixed order.
 *
 * Polynomials: S. L. Moshier, Cephes Mathematical Library (single precision). tests/unit/test_math.c holds the stated bounds.
 * NaN in, something finite or NaN out: never a trap. */
#ifndef MR_MATHF_H
#define MR_MATHF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MR_PI 3.14159265358979f
#define MR_INV_PI 0.318309886183791f

static inline float mr_bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint32_t mr_float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* The greatest integer not above x, |x| < 2^31: exact, and without the call that floorf is on plain x86-64. */
static inline float mr_floor(float x)
{
    float t = (float)(int32_t)x;
    return t > x ? t - 1.0f : t;
}

/* Sine and cosine of 2 pi u for u in [-1024, 1024], absolute error below 2e-7. The reduction to an octant is exact. */
static inline void mr_sincos_turns(float u, float *sine, float *cosine)
{
    float x = u * 4.0f, fq = mr_floor(x + 0.5f), y = (x - fq) * 1.57079632679490f, z = y * y;
    int q = (int)fq & 3;
    float s = y + y * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
    float c = 1.0f - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
    float a = q & 1 ? c : s, b = q & 1 ? s : c;
    *sine = q & 2 ? -a : a;
    *cosine = (q + 1) & 2 ? -b : b;
}

/* e^x, relative error below 3e-7; 0 below x = -87, the largest finite float's neighbourhood above 88. */
static inline float mr_exp(float x)
{
    if (!(x > -87.0f)) return 0.0f;
    if (x > 88.0f) x = 88.0f;
    float n = mr_floor(x * 1.44269504088896f + 0.5f), r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int e = (int)n;
    if (e > 127) return p * 2.0f * mr_bits_float((uint32_t)(e - 1 + 127) << 23);
    return p * mr_bits_float((uint32_t)(e + 127) << 23);
}

/* Natural logarithm of a positive normal float, relative error below 3e-7 (absolute 1e-7 near 1); -87.3 for anything smaller. */
static inline float mr_log(float x)
{
    if (!(x >= 1.17549435e-38f)) x = 1.17549435e-38f;
    uint32_t u = mr_float_bits(x);
    int e = (int)(u >> 23) - 126;
    float m = mr_bits_float((u & 0x007FFFFFu) | 0x3F000000u); /* 0.5 <= m < 1 */
    if (m < 0.707106781186547f) {
        e--;
        m = m + m - 1.0f;
    } else {
        m = m - 1.0f;
    }
    float z = m * m, p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z;
    float fe = (float)e;
    p = p + fe * -2.12194440e-4f;
    p = p - 0.5f * z;
    return m + p + fe * 0.693359375f;
}

/* x^y for x >= 0; relative error below 1e-6 (1 + |y log x|). 0^y is 0. */
static inline float mr_pow(float x, float y) { return x > 0 ? mr_exp(y * mr_log(x)) : 0.0f; }

/* Arc tangent of x >= 0, absolute error below 2e-7. */
static inline float mr_atan_positive(float x)
{
    float base = 0;
    if (x > 2.414213562373095f) {
        base = 1.57079632679490f;
        x = -1.0f / x;
    } else if (x > 0.4142135623730950f) {
        base = 0.785398163397448f;
        x = (x - 1.0f) / (x + 1.0f);
    }
    float z = x * x;
    return base + ((((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z - 3.33329491539e-1f) * z * x + x);
}

/* Angle of (x, y) in (-pi, pi], absolute error below 4e-7; 0 for (0, 0). */
static inline float mr_atan2(float y, float x)
{
    float ax = fabsf(x), ay = fabsf(y), a;
    if (ax == 0 && ay == 0) return 0.0f;
    a = ax >= ay ? mr_atan_positive(ay / ax) : 1.57079632679490f - mr_atan_positive(ax / ay);
    if (x < 0) a = MR_PI - a;
    return y < 0 ? -a : a;
}

#endif
