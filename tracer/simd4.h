/* Four floats at once, for boxes and for setting up a ray: the vector extension that gcc and clang share, so the same source gives
 * the same bits on every machine. Lane 3 is spare wherever a point or a box is meant.
 *
 * f4_min and f4_max are the x86 instructions' semantics everywhere: a < b ? a : b, so a NaN on either side gives b. */
#ifndef MR_SIMD4_H
#define MR_SIMD4_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* For what must become part of its caller: a kernel's steps, whose `any` is a constant there. */
#define INLINE static inline __attribute__((always_inline))

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));

static inline f4 f4_load(const float *p)
{
    f4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void f4_store(float *p, f4 v)
{
    memcpy(p, &v, sizeof v);
}

static inline f4 f4_set(float x)
{
    return (f4){ x, x, x, x };
}

/* Three floats; lane 3 is 0. Reads 12 bytes only. */
static inline f4 f4_load3(const float *p)
{
    return (f4){ p[0], p[1], p[2], 0 };
}

static inline f4 f4_select(i4 mask, f4 a, f4 b)
{
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

static inline f4 f4_min(f4 a, f4 b)
{
#ifdef __SSE2__
    return (f4)_mm_min_ps((__m128)a, (__m128)b);
#else
    return f4_select(a < b, a, b);
#endif
}

static inline f4 f4_max(f4 a, f4 b)
{
#ifdef __SSE2__
    return (f4)_mm_max_ps((__m128)a, (__m128)b);
#else
    return f4_select(a > b, a, b);
#endif
}

static inline f4 f4_abs(f4 a)
{
    return (f4)((i4)a & (i4){ 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF });
}

#endif
