/* tracer/simd.h over pairs of SSE2 registers, which every x86-64 has. */
#ifndef MR_SIMD_SSE_H
#define MR_SIMD_SSE_H

#include <stdint.h>
#include <emmintrin.h>

#include "tracer/simd4.h"

typedef struct vf8 {
    __m128 a, b; /* lanes 0..3, 4..7 */
} vf8;
typedef vf8 vm8; /* all bits of a lane set or clear */

static inline vf8 vf_load(const float *p)
{
    return (vf8){ _mm_load_ps(p), _mm_load_ps(p + 4) };
}

static inline vf8 vf_loadu(const float *p)
{
    return (vf8){ _mm_loadu_ps(p), _mm_loadu_ps(p + 4) };
}

static inline void vf_store(float *p, vf8 x)
{
    _mm_store_ps(p, x.a);
    _mm_store_ps(p + 4, x.b);
}

static inline vf8 vf_set(float x)
{
    return (vf8){ _mm_set1_ps(x), _mm_set1_ps(x) };
}

static inline vf8 vf_add(vf8 x, vf8 y)
{
    return (vf8){ _mm_add_ps(x.a, y.a), _mm_add_ps(x.b, y.b) };
}

static inline vf8 vf_sub(vf8 x, vf8 y)
{
    return (vf8){ _mm_sub_ps(x.a, y.a), _mm_sub_ps(x.b, y.b) };
}

static inline vf8 vf_mul(vf8 x, vf8 y)
{
    return (vf8){ _mm_mul_ps(x.a, y.a), _mm_mul_ps(x.b, y.b) };
}

static inline vf8 vf_div(vf8 x, vf8 y)
{
    return (vf8){ _mm_div_ps(x.a, y.a), _mm_div_ps(x.b, y.b) };
}

static inline vf8 vf_sqrt(vf8 x)
{
    return (vf8){ _mm_sqrt_ps(x.a), _mm_sqrt_ps(x.b) };
}

static inline vf8 vf_min(vf8 x, vf8 y)
{
    return (vf8){ _mm_min_ps(x.a, y.a), _mm_min_ps(x.b, y.b) };
}

static inline vf8 vf_max(vf8 x, vf8 y)
{
    return (vf8){ _mm_max_ps(x.a, y.a), _mm_max_ps(x.b, y.b) };
}

static inline vf8 vf_abs(vf8 x)
{
    const __m128 sign = _mm_set1_ps(-0.0f);
    return (vf8){ _mm_andnot_ps(sign, x.a), _mm_andnot_ps(sign, x.b) };
}

static inline vf8 vf_msub_loose(vf8 x, vf8 y, vf8 z)
{
    return vf_sub(vf_mul(x, y), z);
}

static inline vm8 vf_le(vf8 x, vf8 y)
{
    return (vm8){ _mm_cmple_ps(x.a, y.a), _mm_cmple_ps(x.b, y.b) };
}

static inline vm8 vf_lt(vf8 x, vf8 y)
{
    return (vm8){ _mm_cmplt_ps(x.a, y.a), _mm_cmplt_ps(x.b, y.b) };
}

static inline vm8 vm_and(vm8 x, vm8 y)
{
    return (vm8){ _mm_and_ps(x.a, y.a), _mm_and_ps(x.b, y.b) };
}

static inline vm8 vm_or(vm8 x, vm8 y)
{
    return (vm8){ _mm_or_ps(x.a, y.a), _mm_or_ps(x.b, y.b) };
}

static inline vm8 vm_xor(vm8 x, vm8 y)
{
    return (vm8){ _mm_xor_ps(x.a, y.a), _mm_xor_ps(x.b, y.b) };
}

static inline unsigned vm_bits(vm8 m)
{
    return (unsigned)_mm_movemask_ps(m.a) | (unsigned)_mm_movemask_ps(m.b) << 4;
}

static inline vf8 vf_select(vm8 m, vf8 x, vf8 y)
{
    return (vf8){ _mm_or_ps(_mm_and_ps(m.a, x.a), _mm_andnot_ps(m.a, y.a)), _mm_or_ps(_mm_and_ps(m.b, x.b), _mm_andnot_ps(m.b, y.b)) };
}

static inline vf8 vf_set_bits(uint32_t bits)
{
    __m128 x = _mm_castsi128_ps(_mm_set1_epi32((int)bits));
    return (vf8){ x, x };
}

static inline vf8 vf_copysign(vf8 x, vf8 y)
{
    return vf_select(vf_set_bits(0x80000000u), y, x);
}

#define SIMD_A(x) (f4)(x).a
#define SIMD_B(x) (f4)(x).b
#define SIMD_PAIR(low, high) (vf8){ (__m128)(low), (__m128)(high) }
#include "tracer/simd_lists.h"
#include "tracer/simd_pairs.h"

#endif
