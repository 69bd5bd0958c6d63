/* tracer/simd.h over pairs of SSE2 registers, which every x86-64 has. */
#ifndef MR_SIMD_SSE_H
#define MR_SIMD_SSE_H

#include <stdint.h>
#include <emmintrin.h>

typedef struct vf8 {
    __m128 a, b; /* lanes 0..3, 4..7 */
} vf8;
typedef vf8 vm8; /* all bits of a lane set or clear */

static inline vf8 vf_load(const float *p)
{
    return (vf8){ _mm_load_ps(p), _mm_load_ps(p + 4) };
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

#include "tracer/simd_lists.h"

#endif
