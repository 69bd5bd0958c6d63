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

/* Rows become columns. */
static inline void f4_transpose(f4 v[4])
{
    f4 a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), b = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    f4 c = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5), d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

/* Lane i's sign as bit i. */
static inline unsigned f4_signs(f4 a)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_ps((__m128)a);
#else
    i4 s = (i4)((i4)a < 0) & (i4){ 1, 2, 4, 8 };
    return (unsigned)(s[0] | s[1] | s[2] | s[3]);
#endif
}

static inline f4 f4_abs(f4 a)
{
    return (f4)((i4)a & (i4){ 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF });
}

#endif
