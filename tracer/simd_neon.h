/* tracer/simd.h over pairs of NEON registers, which every aarch64 has. Minimum and maximum are written out: the instructions
 * treat NaN otherwise than tracer/simd.h promises. */
#ifndef MR_SIMD_NEON_H
#define MR_SIMD_NEON_H

#include <stdint.h>
#include <arm_neon.h>

#include "tracer/simd4.h"

typedef struct vf8 {
    float32x4_t a, b; /* lanes 0..3, 4..7 */
} vf8;
typedef struct vm8 {
    uint32x4_t a, b; /* all bits of a lane set or clear */
} vm8;

static inline vf8 vf_load(const float *p)
{
    return (vf8){ vld1q_f32(p), vld1q_f32(p + 4) };
}

static inline vf8 vf_loadu(const float *p)
{
    return vf_load(p);
}

static inline void vf_store(float *p, vf8 x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
}

static inline vf8 vf_set(float x)
{
    return (vf8){ vdupq_n_f32(x), vdupq_n_f32(x) };
}

static inline vf8 vf_add(vf8 x, vf8 y)
{
    return (vf8){ vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b) };
}

static inline vf8 vf_sub(vf8 x, vf8 y)
{
    return (vf8){ vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b) };
}

static inline vf8 vf_mul(vf8 x, vf8 y)
{
    return (vf8){ vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b) };
}

static inline vf8 vf_div(vf8 x, vf8 y)
{
    return (vf8){ vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b) };
}

static inline vf8 vf_sqrt(vf8 x)
{
    return (vf8){ vsqrtq_f32(x.a), vsqrtq_f32(x.b) };
}

static inline vf8 vf_min(vf8 x, vf8 y)
{
    return (vf8){ vbslq_f32(vcltq_f32(x.a, y.a), x.a, y.a), vbslq_f32(vcltq_f32(x.b, y.b), x.b, y.b) };
}

static inline vf8 vf_max(vf8 x, vf8 y)
{
    return (vf8){ vbslq_f32(vcgtq_f32(x.a, y.a), x.a, y.a), vbslq_f32(vcgtq_f32(x.b, y.b), x.b, y.b) };
}

static inline vf8 vf_abs(vf8 x)
{
    return (vf8){ vabsq_f32(x.a), vabsq_f32(x.b) };
}

static inline vf8 vf_msub_loose(vf8 x, vf8 y, vf8 z)
{
    return (vf8){ vnegq_f32(vfmsq_f32(z.a, x.a, y.a)), vnegq_f32(vfmsq_f32(z.b, x.b, y.b)) };
}

static inline vm8 vf_le(vf8 x, vf8 y)
{
    return (vm8){ vcleq_f32(x.a, y.a), vcleq_f32(x.b, y.b) };
}

static inline vm8 vf_lt(vf8 x, vf8 y)
{
    return (vm8){ vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b) };
}

static inline vm8 vm_and(vm8 x, vm8 y)
{
    return (vm8){ vandq_u32(x.a, y.a), vandq_u32(x.b, y.b) };
}

static inline vm8 vm_or(vm8 x, vm8 y)
{
    return (vm8){ vorrq_u32(x.a, y.a), vorrq_u32(x.b, y.b) };
}

static inline vm8 vm_xor(vm8 x, vm8 y)
{
    return (vm8){ veorq_u32(x.a, y.a), veorq_u32(x.b, y.b) };
}

static inline unsigned vm_bits(vm8 m)
{
    static const uint32_t low[4] = { 1, 2, 4, 8 }, high[4] = { 16, 32, 64, 128 };
    return vaddvq_u32(vorrq_u32(vandq_u32(m.a, vld1q_u32(low)), vandq_u32(m.b, vld1q_u32(high))));
}

static inline vf8 vf_select(vm8 m, vf8 x, vf8 y)
{
    return (vf8){ vbslq_f32(m.a, x.a, y.a), vbslq_f32(m.b, x.b, y.b) };
}

static inline vf8 vf_set_bits(uint32_t bits)
{
    float32x4_t x = vreinterpretq_f32_u32(vdupq_n_u32(bits));
    return (vf8){ x, x };
}

static inline vf8 vf_copysign(vf8 x, vf8 y)
{
    const uint32x4_t sign = vdupq_n_u32(0x80000000u);
    return (vf8){ vbslq_f32(sign, y.a, x.a), vbslq_f32(sign, y.b, x.b) };
}

#define SIMD_A(x) (f4)(x).a
#define SIMD_B(x) (f4)(x).b
#define SIMD_PAIR(low, high) (vf8){ (float32x4_t)(low), (float32x4_t)(high) }
#include "tracer/simd_lists.h"
#include "tracer/simd_pairs.h"

#endif
