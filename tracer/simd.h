/* Eight floats at once: the small layer that the kernels are written over. One of
 *
 *   MR_KERNEL_scalar   plain C, the reference
 *   MR_KERNEL_sse      two SSE2 registers (any x86-64)
 *   MR_KERNEL_avx2     one AVX register, FMA where an operation says "loose"
 *   MR_KERNEL_avx512   the same width with AVX-512's compress
 *   MR_KERNEL_neon     two NEON registers (any aarch64)
 *
 * is defined by whoever includes this (the Makefile, for tracer/kernel.c). What every back end gives:
 *
 *   vf8  vf_load(p) vf_set(x) vf_store(p, a)       8 floats; load and store at multiples of 32 bytes, vf_loadu(p) anywhere
 *   vf8  vf_add vf_sub vf_mul vf_div vf_sqrt vf_abs IEEE single precision, each rounded: the same bits everywhere
 *   vf8  vf_min(a, b) vf_max(a, b)                 a < b ? a : b and a > b ? a : b, so with a NaN on either side the result is b
 *   vf8  vf_msub_loose(a, b, c)                    a * b - c, fused or not: only where a margin covers the difference
 *   vm8  vf_le vf_lt, vm_and vm_or vm_xor    lane masks; comparisons with a NaN are false
 *   unsigned vm_bits(m)                            lane i as bit i
 *   vf8  vf_select(m, a, b)                        a where the lane of m is set, otherwise b
 *   vf8  vf_copysign(a, b)                         |a| with b's sign
 *   vf8  vf_set_bits(u)                            a bit pattern in every lane, not to be computed with
 *
 *   void simd_gather_columns(p, out)               p[0 .. 7] point to eight floats each: p[i][k] becomes lane i of out[k]
 *   void simd_store_columns(p, in)                 the way back: lane i of in[k] becomes p[i][k] (each p[i] at a multiple of 16 bytes)
 *
 *   simd_push(ref, bits, child)                    writes the children in `bits` to ref[0 ..]; returns their number
 *   simd_push_sorted(dist, ref, bits, d, child)    the same with their distances d >= 0, the nearest last
 *   simd_filter(dist, ref, n, limit)               keeps the entries with dist <= limit, in order; returns their number
 *
 * The three write whole vectors: up to 8 entries beyond the last that counts. Distances on a stack may come out up to 7 units in
 * the last place larger or smaller than they went in (some back ends sort by keys with the lane in the low bits), ties have no order. */
#ifndef MR_SIMD_H
#define MR_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(MR_KERNEL_avx2) || defined(MR_KERNEL_avx512)
#include "tracer/simd_avx.h"
#elif defined(MR_KERNEL_sse)
#include "tracer/simd_sse.h"
#elif defined(MR_KERNEL_neon)
#include "tracer/simd_neon.h"
#elif defined(MR_KERNEL_scalar)
#include "tracer/simd_scalar.h"
#else
#error "define one of MR_KERNEL_scalar, _sse, _avx2, _avx512, _neon"
#endif

#endif
