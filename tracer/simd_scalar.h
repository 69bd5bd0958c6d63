/* tracer/simd.h in plain C: the reference. */
#ifndef MR_SIMD_SCALAR_H
#define MR_SIMD_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>
typedef struct vf8 {
    float v[8];
} vf8;
typedef unsigned vm8; /* lane i is bit i */

static inline vf8 vf_load(const float *p)
{
    vf8 r;
    memcpy(r.v, p, sizeof r.v);
    return r;
}

static inline vf8 vf_loadu(const float *p)
{
    return vf_load(p);
}

static inline void vf_store(float *p, vf8 a)
{
    memcpy(p, a.v, sizeof a.v);
}

#define SCALAR_MAP(name, parameters, expression)             \
    static inline vf8 name parameters                        \
    {                                                        \
        vf8 r;                                               \
        for (int i = 0; i < 8; i++) r.v[i] = (expression);   \
        return r;                                            \
    }
#define SCALAR_COMPARE(name, operator)                                              \
    static inline vm8 name(vf8 a, vf8 b)                                            \
    {                                                                               \
        vm8 r = 0;                                                                  \
        for (int i = 0; i < 8; i++) r |= (unsigned)(a.v[i] operator b.v[i]) << i;   \
        return r;                                                                   \
    }

SCALAR_MAP(vf_set, (float x), x)
SCALAR_MAP(vf_add, (vf8 a, vf8 b), a.v[i] + b.v[i])
SCALAR_MAP(vf_sub, (vf8 a, vf8 b), a.v[i] - b.v[i])
SCALAR_MAP(vf_mul, (vf8 a, vf8 b), a.v[i] * b.v[i])
SCALAR_MAP(vf_div, (vf8 a, vf8 b), a.v[i] / b.v[i])
SCALAR_MAP(vf_sqrt, (vf8 a), sqrtf(a.v[i]))
SCALAR_MAP(vf_min, (vf8 a, vf8 b), a.v[i] < b.v[i] ? a.v[i] : b.v[i])
SCALAR_MAP(vf_max, (vf8 a, vf8 b), a.v[i] > b.v[i] ? a.v[i] : b.v[i])
SCALAR_MAP(vf_abs, (vf8 a), fabsf(a.v[i]))
SCALAR_MAP(vf_copysign, (vf8 a, vf8 b), copysignf(a.v[i], b.v[i]))
SCALAR_MAP(vf_msub_loose, (vf8 a, vf8 b, vf8 c), a.v[i] * b.v[i] - c.v[i])
SCALAR_COMPARE(vf_le, <=)
SCALAR_COMPARE(vf_lt, <)

static inline vm8 vm_and(vm8 a, vm8 b)
{
    return a & b;
}

static inline vm8 vm_or(vm8 a, vm8 b)
{
    return a | b;
}

static inline vm8 vm_xor(vm8 a, vm8 b)
{
    return a ^ b;
}

static inline unsigned vm_bits(vm8 m)
{
    return m;
}

static inline vf8 vf_select(vm8 m, vf8 a, vf8 b)
{
    for (int i = 0; i < 8; i++) b.v[i] = m >> i & 1 ? a.v[i] : b.v[i];
    return b;
}

static inline vf8 vf_set_bits(uint32_t bits)
{
    vf8 r;
    for (int i = 0; i < 8; i++) memcpy(&r.v[i], &bits, sizeof bits);
    return r;
}

static inline void simd_gather_columns(const float *const *p, vf8 *out)
{
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++) out[k].v[i] = p[i][k];
}

static inline void simd_store_columns(float *const *p, const vf8 *in)
{
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++) p[i][k] = in[k].v[i];
}

#include "tracer/simd_lists.h"

#endif
