/* The tracer's own transcendental functions: libm's differ from machine to machine, and a bit that differs is a picture
 * that differs. Only additions, multiplications, divisions and square roots, each correctly rounded by IEEE 754, in a fixed order.
 *
 * Over lanes (tracer/lanes.h). Polynomials: S. L. Moshier, Cephes Mathematical Library (single precision).
 * tests/unit/test_math.c holds the stated bounds.
 * NaN in, something finite or NaN out: never a trap. */
#ifndef MR_MATHF_H
#define MR_MATHF_H

#include "tracer/lanes.h"

#define MR_PI 3.14159265358979f
#define MR_INV_PI 0.318309886183791f

/* The greatest integer not above x, |x| < 2^31: exact, and without the call that floorf is on plain x86-64. */
static inline vf mr_floor(vf x)
{
    vf t = to_float(to_int(x));
    return sel(mask(t > x), t - 1.0f, t);
}

/* Sine and cosine of 2 pi u for u in [-1024, 1024], absolute error below 2e-7. The reduction to an octant is exact. */
static inline void mr_sincos_turns(vf u, vf *sine, vf *cosine)
{
    vf x = u * 4.0f, fq = mr_floor(x + 0.5f), y = (x - fq) * 1.57079632679490f, z = y * y;
    vi q = to_int(fq);
    vf s = y + y * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
    vf c = 1.0f - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
    vm odd = mask((q & 1) != 0);
    *sine = float_of(bits_of(sel(odd, c, s)) ^ (vu)(q & 2) << 30);
    *cosine = float_of(bits_of(sel(odd, s, c)) ^ (vu)((q + 1) & 2) << 30);
}

/* e^x, relative error below 3e-7; 0 below x = -87, the largest finite float's neighbourhood above 88. */
static inline vf mr_exp(vf x)
{
    vm there = mask(x > -87.0f);
    x = min_f(sel(there, x, all_f(0.0f)), all_f(88.0f));
    vf n = mr_floor(x * 1.44269504088896f + 0.5f), r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return sel(there, p * float_of((vu)(to_int(n) + 127) << 23), all_f(0.0f)); /* n is -126 .. 127 */
}

/* Natural logarithm of a positive normal float, relative error below 3e-7 (absolute 1e-7 near 1); -87.3 for anything smaller. */
static inline vf mr_log(vf x)
{
    x = max_f(x, all_f(1.17549435e-38f));
    vu u = bits_of(x);
    vf m = float_of((u & 0x007FFFFFu) | 0x3F000000u), fe = to_float((vi)(u >> 23) - 126); /* 0.5 <= m < 1 */
    vm low = mask(m < 0.707106781186547f);
    fe = sel(low, fe - 1.0f, fe);
    m = sel(low, m + m - 1.0f, m - 1.0f);
    vf z = m * m, p = 7.0376836292e-2f * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z;
    p = p + fe * -2.12194440e-4f;
    p = p - 0.5f * z;
    return m + p + fe * 0.693359375f;
}

/* x^y for x >= 0; relative error below 1e-6 (1 + |y log x|). 0^y is 0. */
static inline vf mr_pow(vf x, vf y)
{
    return sel(mask(x > 0.0f), mr_exp(y * mr_log(x)), all_f(0.0f));
}

/* Arc tangent of x >= 0, absolute error below 2e-7. */
static inline vf mr_atan_positive(vf x)
{
    vm steep = mask(x > 2.414213562373095f), middle = mask(x > 0.4142135623730950f) & ~steep;
    vf above = sel(steep, all_f(-1.0f), sel(middle, x - 1.0f, x)), below = sel(steep, x, sel(middle, x + 1.0f, all_f(1.0f)));
    vf base = sel(steep, all_f(1.57079632679490f), sel(middle, all_f(0.785398163397448f), all_f(0.0f)));
    vf r = above / below, z = r * r;
    return base + ((((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z - 3.33329491539e-1f) * z * r + r);
}

/* Angle of (x, y) in (-pi, pi], absolute error below 4e-7; 0 for (0, 0). */
static inline vf mr_atan2(vf y, vf x)
{
    vf ax = abs_f(x), ay = abs_f(y);
    vm flat = mask(ax >= ay), none = mask(ax == 0.0f) & mask(ay == 0.0f);
    vf a = mr_atan_positive(sel(flat, ay, ax) / sel(none, all_f(1.0f), sel(flat, ax, ay)));
    a = sel(flat, a, 1.57079632679490f - a);
    a = sel(mask(x < 0.0f), MR_PI - a, a);
    return sel(mask(y < 0.0f), -a, a);
}

#endif
