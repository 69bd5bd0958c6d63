/* Lanes: the numbers that shading computes with, several paths at once.
 *
 * Shading is written once, over vf (floats), vi, vu (32-bit integers) and vm (masks): one of each for every lane. A lane is one
 * path; no operation mixes lanes, and each is rounded as IEEE 754 says, so a path's bits do not depend on how many lanes there
 * are. The integrator is built once for each instruction set (as the ray kernels are):
 *
 *   MR_KERNEL_avx2, _avx512   8 lanes, one 256-bit register
 *   MR_KERNEL_sse, _neon      4 lanes, one 128-bit register
 *   otherwise                 1 lane: plain floats and integers, the reference, and what other code uses of these headers
 *
 * + - * / and the integer operators work on lanes as on numbers (a number beside lanes counts for all of them). What else is needed:
 *
 *   all_f(x) all_u(x)         the same in every lane
 *   mask(a < b)               a comparison as a mask: all bits of a lane set or clear; & | ~ combine masks
 *   sel(m, a, b) sel_u        a where m is set, otherwise b: never a blend, so what b holds elsewhere (NaN, too) does not matter
 *   all_lanes() no_lanes()    masks
 *   any(m) lane_bits(m)       whether any lane is set; lane i as bit i
 *   same_in_all(u, &x)        whether all lanes are equal, and what they are
 *   sqrt_f abs_f min_f max_f  min_f: a < b ? a : b, max_f: a > b ? a : b (with a NaN on either side the result is b)
 *   to_int(f) to_float(i)     truncation; |f| < 2^31, otherwise some integer (which one depends on the machine)
 *   bits_of(f) float_of(u)    the same 32 bits
 *   gather_f gather_u         base[index], one for each lane
 *   load_rows8 load_rows4     8 or 4 words from each lane's own row: out[k] is word k; rows need 4-byte alignment only
 *   store_rows8 store_rows4   the way back, to an array of rows, one a lane
 *
 * A block that runs only if any lane needs it changes nothing but the lanes that do: that keeps bits equal for any number of lanes. */
#ifndef MR_LANES_H
#define MR_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(MR_KERNEL_avx2) || defined(MR_KERNEL_avx512)
#include <immintrin.h>
#define MR_LANES 8
#elif defined(MR_KERNEL_sse)
#include <emmintrin.h>
#define MR_LANES 4
#elif defined(MR_KERNEL_neon)
#include <arm_neon.h>
#define MR_LANES 4
#else
#define MR_LANES 1
#endif

#if MR_LANES == 1

typedef float vf;
typedef int32_t vi, vm;
typedef uint32_t vu;
#define mask(comparison) (-(int32_t)(comparison))
static inline vf all_f(float x) { return x; }
static inline vu all_u(uint32_t x) { return x; }
static inline vf sel(vm m, vf a, vf b) { return m ? a : b; }
static inline vf sqrt_f(vf x) { return sqrtf(x); }
static inline vi to_int(vf x) { return (int32_t)x; }
static inline vf to_float(vi x) { return (float)x; }
static inline unsigned lane_bits(vm m) { return (unsigned)m & 1u; }

#else

typedef float vf __attribute__((vector_size(4 * MR_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * MR_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * MR_LANES)));
typedef vi vm;
#define mask(comparison) ((vm)(comparison))
static inline vf to_float(vi x) { return __builtin_convertvector(x, vf); }

#if MR_LANES == 8
static inline vf all_f(float x) { return _mm256_set1_ps(x); }
static inline vu all_u(uint32_t x) { return (vu)_mm256_set1_epi32((int)x); }
static inline vf sel(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, (__m256)m); }
static inline vf sqrt_f(vf x) { return _mm256_sqrt_ps(x); }
static inline vi to_int(vf x) { return (vi)_mm256_cvttps_epi32(x); }
static inline unsigned lane_bits(vm m) { return (unsigned)_mm256_movemask_ps((__m256)m); }
#elif defined(MR_KERNEL_sse)
static inline vf all_f(float x) { return _mm_set1_ps(x); }
static inline vu all_u(uint32_t x) { return (vu)_mm_set1_epi32((int)x); }
static inline vf sel(vm m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }
static inline vf sqrt_f(vf x) { return _mm_sqrt_ps(x); }
static inline vi to_int(vf x) { return (vi)_mm_cvttps_epi32(x); }
static inline unsigned lane_bits(vm m) { return (unsigned)_mm_movemask_ps((__m128)m); }
#else
static inline vf all_f(float x) { return vdupq_n_f32(x); }
static inline vu all_u(uint32_t x) { return vdupq_n_u32(x); }
static inline vf sel(vm m, vf a, vf b) { return vbslq_f32((uint32x4_t)m, a, b); }
static inline vf sqrt_f(vf x) { return vsqrtq_f32(x); }
static inline vi to_int(vf x) { return vcvtq_s32_f32(x); }
static inline unsigned lane_bits(vm m)
{
    static const uint32_t place[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32((uint32x4_t)m, vld1q_u32(place)));
}
#endif
#endif

static inline vu bits_of(vf x)
{
    vu u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline vf float_of(vu u)
{
    vf x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline vm all_lanes(void) { return (vm)all_u(0xFFFFFFFFu); }
static inline vm no_lanes(void) { return (vm)all_u(0); }

static inline int any(vm m)
{
    return lane_bits(m) != 0;
}

static inline vu sel_u(vm m, vu a, vu b)
{
    return bits_of(sel(m, float_of(a), float_of(b)));
}

static inline vf abs_f(vf x)
{
    return float_of(bits_of(x) & 0x7FFFFFFFu);
}

#if MR_LANES == 8
static inline vf min_f(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf max_f(vf a, vf b) { return _mm256_max_ps(a, b); }
#elif defined(MR_KERNEL_sse)
static inline vf min_f(vf a, vf b) { return _mm_min_ps(a, b); }
static inline vf max_f(vf a, vf b) { return _mm_max_ps(a, b); }
#else
static inline vf min_f(vf a, vf b) { return sel(mask(a < b), a, b); }
static inline vf max_f(vf a, vf b) { return sel(mask(a > b), a, b); }
#endif

/* A NaN comes out as lo. */
static inline vf clamp_f(vf x, float lo, float hi)
{
    return min_f(max_f(x, all_f(lo)), all_f(hi));
}

static inline vf lerp_f(vf a, vf b, vf t)
{
    return a * (1.0f - t) + b * t;
}

static inline int same_in_all(vu x, uint32_t *value)
{
#if MR_LANES == 1
    *value = x;
#else
    *value = x[0];
#endif
    return !any(mask(x != *value));
}

/* ---- memory ---- */

typedef union mr_lane_array {
    vf f;
    vu u;
    vm m;
    float af[MR_LANES];
    uint32_t au[MR_LANES];
} mr_lane_array;

static inline vf load_f(const float *p)
{
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline vu load_u(const uint32_t *p)
{
    vu x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline vf gather_f(const float *base, vu index)
{
    mr_lane_array i = {.u = index}, out;
    for (int k = 0; k < MR_LANES; k++) out.af[k] = base[i.au[k]];
    return out.f;
}

static inline vu gather_u(const uint32_t *base, vu index)
{
    mr_lane_array i = {.u = index}, out;
    for (int k = 0; k < MR_LANES; k++) out.au[k] = base[i.au[k]];
    return out.u;
}

/* Word `word` of record `index`; records of `words` words. */
static inline vf gather_word_f(const void *base, vu index, size_t words, size_t word)
{
    mr_lane_array i = {.u = index}, out;
    for (int k = 0; k < MR_LANES; k++) memcpy(&out.af[k], (const char *)base + 4 * (i.au[k] * words + word), 4);
    return out.f;
}

static inline vu gather_word_u(const void *base, vu index, size_t words, size_t word)
{
    return bits_of(gather_word_f(base, index, words, word));
}

#if MR_LANES == 4
typedef vf lane_quad;
#elif MR_LANES == 8
typedef float lane_quad __attribute__((vector_size(16)));
#endif

#if MR_LANES > 1
static inline lane_quad load_quad(const void *base, size_t word)
{
    lane_quad q;
    memcpy(&q, (const char *)base + 4 * word, sizeof q);
    return q;
}
#endif

#if MR_LANES == 8

static inline vf join_quads(lane_quad low, lane_quad high)
{
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* Transposes four quads in the lower and four in the upper half: in[k] has row k and row k + 4. */
static inline void transpose_quads(const vf in[4], vf out[4])
{
    vf a = __builtin_shufflevector(in[0], in[1], 0, 8, 1, 9, 4, 12, 5, 13), b = __builtin_shufflevector(in[0], in[1], 2, 10, 3, 11, 6, 14, 7, 15);
    vf c = __builtin_shufflevector(in[2], in[3], 0, 8, 1, 9, 4, 12, 5, 13), d = __builtin_shufflevector(in[2], in[3], 2, 10, 3, 11, 6, 14, 7, 15);
    out[0] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
    out[1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
    out[2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
    out[3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
}

#elif MR_LANES == 4

static inline void transpose_quads(const vf in[4], vf out[4])
{
    vf a = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5), b = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
    vf c = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5), d = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
    out[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    out[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    out[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

#endif

/* Words word .. word + 3 of each lane's record. */
static inline void load_rows4(const void *base, vu index, size_t words, size_t word, vf out[4])
{
    mr_lane_array i = {.u = index};
#if MR_LANES == 1
    memcpy(out, (const char *)base + 4 * (i.au[0] * words + word), 16);
#else
    vf in[4];
    for (int k = 0; k < 4; k++) {
        lane_quad low = load_quad(base, i.au[k] * words + word);
#if MR_LANES == 8
        in[k] = join_quads(low, load_quad(base, i.au[k + 4] * words + word));
#else
        in[k] = low;
#endif
    }
    transpose_quads(in, out);
#endif
}

/* Words word .. word + 7 of each lane's record. */
static inline void load_rows8(const void *base, vu index, size_t words, size_t word, vf out[8])
{
    load_rows4(base, index, words, word, out);
    load_rows4(base, index, words, word + 4, out + 4);
}

/* rows[lane][0 .. 3] = in[0 .. 3]: an array of rows of `width` words (4 or 8). */
static inline void store_rows4(const vf in[4], float *rows, size_t width)
{
#if MR_LANES == 1
    memcpy(rows, in, 16);
    (void)width;
#else
    vf out[4];
    transpose_quads(in, out);
    for (size_t k = 0; k < 4; k++) {
        memcpy(rows + k * width, &out[k], 16);
        if (MR_LANES == 8) memcpy(rows + (k + 4) * width, (const char *)&out[k] + sizeof out[k] / 2, 16);
    }
#endif
}

static inline void store_rows8(const vf in[8], float rows[MR_LANES][8])
{
#if MR_LANES == 8
    vf low[4], high[4]; /* whole rows are put together first: what is stored in halves and soon read whole would stall */
    transpose_quads(in, low);
    transpose_quads(in + 4, high);
    for (size_t k = 0; k < 4; k++) {
        vf a = __builtin_shufflevector(low[k], high[k], 0, 1, 2, 3, 8, 9, 10, 11), b = __builtin_shufflevector(low[k], high[k], 4, 5, 6, 7, 12, 13, 14, 15);
        memcpy(rows[k], &a, sizeof a);
        memcpy(rows[k + 4], &b, sizeof b);
    }
#else
    store_rows4(in, rows[0], 8);
    store_rows4(in + 4, rows[0] + 4, 8);
#endif
}

#endif
