/* The transpositions of tracer/simd.h for back ends that hold eight lanes as two vectors of four; included by them. SIMD_A and SIMD_B
 * give a pair's halves as f4, SIMD_PAIR makes a pair of two. */
#ifndef MR_SIMD_PAIRS_H
#define MR_SIMD_PAIRS_H

#include "tracer/simd4.h"

static inline void simd_gather_columns(const float *const *p, vf8 *out)
{
    for (int half = 0; half < 2; half++) {
        f4 low[4], high[4];
        for (int i = 0; i < 4; i++) {
            low[i] = f4_load(p[i] + 4 * half);
            high[i] = f4_load(p[i + 4] + 4 * half);
        }
        f4_transpose(low);
        f4_transpose(high);
        for (int k = 0; k < 4; k++) out[4 * half + k] = SIMD_PAIR(low[k], high[k]);
    }
}

static inline void simd_store_columns(float *const *p, const vf8 *in)
{
    for (int half = 0; half < 2; half++) {
        f4 low[4], high[4];
        for (int k = 0; k < 4; k++) {
            low[k] = SIMD_A(in[4 * half + k]);
            high[k] = SIMD_B(in[4 * half + k]);
        }
        f4_transpose(low);
        f4_transpose(high);
        for (int i = 0; i < 4; i++) {
            f4_store(p[i] + 4 * half, low[i]);
            f4_store(p[i + 4] + 4 * half, high[i]);
        }
    }
}

#endif
