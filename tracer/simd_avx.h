/* tracer/simd.h over one 256-bit register: AVX2 with FMA, or AVX-512 at the same width (wider registers gain nothing here and lower the
 * clock on some machines; what AVX-512 gives is compress). Sorting works on integer keys: a distance >= 0 orders as an integer
 * does, and its low three bits make room for the lane. */
#ifndef MR_SIMD_AVX_H
#define MR_SIMD_AVX_H

#include <stdint.h>
#include <immintrin.h>

typedef __m256 vf8;
typedef __m256 vm8; /* all bits of a lane set or clear */

static inline vf8 vf_load(const float *p)
{
    return _mm256_load_ps(p);
}

static inline vf8 vf_loadu(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void vf_store(float *p, vf8 x)
{
    _mm256_store_ps(p, x);
}

static inline vf8 vf_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vf8 vf_add(vf8 x, vf8 y)
{
    return _mm256_add_ps(x, y);
}

static inline vf8 vf_sub(vf8 x, vf8 y)
{
    return _mm256_sub_ps(x, y);
}

static inline vf8 vf_mul(vf8 x, vf8 y)
{
    return _mm256_mul_ps(x, y);
}

static inline vf8 vf_div(vf8 x, vf8 y)
{
    return _mm256_div_ps(x, y);
}

static inline vf8 vf_sqrt(vf8 x)
{
    return _mm256_sqrt_ps(x);
}

static inline vf8 vf_min(vf8 x, vf8 y)
{
    return _mm256_min_ps(x, y);
}

static inline vf8 vf_max(vf8 x, vf8 y)
{
    return _mm256_max_ps(x, y);
}

static inline vf8 vf_abs(vf8 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

static inline vf8 vf_msub_loose(vf8 x, vf8 y, vf8 z)
{
    return _mm256_fmsub_ps(x, y, z);
}

static inline vm8 vf_le(vf8 x, vf8 y)
{
    return _mm256_cmp_ps(x, y, _CMP_LE_OQ);
}

static inline vm8 vf_lt(vf8 x, vf8 y)
{
    return _mm256_cmp_ps(x, y, _CMP_LT_OQ);
}

static inline vm8 vm_and(vm8 x, vm8 y)
{
    return _mm256_and_ps(x, y);
}

static inline vm8 vm_or(vm8 x, vm8 y)
{
    return _mm256_or_ps(x, y);
}

static inline vm8 vm_xor(vm8 x, vm8 y)
{
    return _mm256_xor_ps(x, y);
}

static inline unsigned vm_bits(vm8 m)
{
    return (unsigned)_mm256_movemask_ps(m);
}

static inline vf8 vf_select(vm8 m, vf8 x, vf8 y)
{
    return _mm256_blendv_ps(y, x, m);
}

static inline vf8 vf_copysign(vf8 x, vf8 y)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, x), _mm256_and_ps(sign, y));
}

static inline vf8 vf_set_bits(uint32_t bits)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32((int)bits));
}

/* Transposes the 4x4 blocks of 8 registers: out[k] holds field k of what stood in in[0 .. 3], and in the upper half of the upper halves. */
static inline void simd_transpose_halves(const __m256 *in, __m256 *out)
{
    __m256 a = _mm256_unpacklo_ps(in[0], in[1]), b = _mm256_unpackhi_ps(in[0], in[1]);
    __m256 c = _mm256_unpacklo_ps(in[2], in[3]), d = _mm256_unpackhi_ps(in[2], in[3]);
    out[0] = _mm256_shuffle_ps(a, c, 0x44);
    out[1] = _mm256_shuffle_ps(a, c, 0xEE);
    out[2] = _mm256_shuffle_ps(b, d, 0x44);
    out[3] = _mm256_shuffle_ps(b, d, 0xEE);
}

static inline void simd_gather_columns(const float *const *p, vf8 *out)
{
    for (int half = 0; half < 2; half++) {
        __m256 in[4];
        for (int i = 0; i < 4; i++)
            in[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p[i] + 4 * half)), _mm_loadu_ps(p[i + 4] + 4 * half), 1);
        simd_transpose_halves(in, out + 4 * half);
    }
}

static inline void simd_store_columns(float *const *p, const vf8 *in)
{
    for (int half = 0; half < 2; half++) {
        __m256 out[4];
        simd_transpose_halves(in + 4 * half, out);
        for (int i = 0; i < 4; i++) {
            _mm_store_ps(p[i] + 4 * half, _mm256_castps256_ps128(out[i]));
            _mm_store_ps(p[i + 4] + 4 * half, _mm256_extractf128_ps(out[i], 1));
        }
    }
}

/* Lane numbers of the set bits, ascending; the rest is 0. A table of eight bytes for each of 256 masks: the shortest way there on any
 * processor (pdep and pext take hundreds of cycles on some). */
#define SIMD_BYTE(m, i) ((m) >> (i) & 1 ? UINT64_C(i) << 8 * __builtin_popcount((m) & ((1 << (i)) - 1)) : 0)
#define SIMD_BYTES(m)                                                                                                   \
    (SIMD_BYTE(m, 1) | SIMD_BYTE(m, 2) | SIMD_BYTE(m, 3) | SIMD_BYTE(m, 4) | SIMD_BYTE(m, 5) | SIMD_BYTE(m, 6) | \
     SIMD_BYTE(m, 7))
#define SIMD_BYTES4(m) SIMD_BYTES(m), SIMD_BYTES(m + 1), SIMD_BYTES(m + 2), SIMD_BYTES(m + 3)
#define SIMD_BYTES16(m) SIMD_BYTES4(m), SIMD_BYTES4(m + 4), SIMD_BYTES4(m + 8), SIMD_BYTES4(m + 12)
#define SIMD_BYTES64(m) SIMD_BYTES16(m), SIMD_BYTES16(m + 16), SIMD_BYTES16(m + 32), SIMD_BYTES16(m + 48)
static const uint64_t simd_lane_table[256] __attribute__((aligned(64))) = { SIMD_BYTES64(0), SIMD_BYTES64(64), SIMD_BYTES64(128),
                                                                            SIMD_BYTES64(192) };

static inline __m256i simd_lanes(unsigned bits)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&simd_lane_table[bits]));
}

/* The lanes in bits first. What follows them is arbitrary (AVX2) or 0. */
static inline __m256i simd_compress(unsigned bits, __m256i x)
{
#ifdef MR_KERNEL_avx512
    return _mm256_maskz_compress_epi32((__mmask8)bits, x);
#else
    return _mm256_permutevar8x32_epi32(x, simd_lanes(bits));
#endif
}

static inline uint32_t simd_push(uint32_t *ref, unsigned bits, const uint32_t *child)
{
    __m256i c = _mm256_load_si256((const __m256i *)(const void *)child);
    _mm256_storeu_si256((__m256i *)(void *)ref, simd_compress(bits, c));
    return (uint32_t)__builtin_popcount(bits);
}

/* One exchange of a sorting network: k against its permutation q, the larger where the bit of mask is clear. */
#define SIMD_EXCHANGE4(k, q, mask) _mm_blend_epi32(_mm_max_epi32(k, q), _mm_min_epi32(k, q), mask)
#define SIMD_EXCHANGE8(k, q, mask) _mm256_blend_epi32(_mm256_max_epi32(k, q), _mm256_min_epi32(k, q), mask)

static inline __m128i simd_sort4(__m128i k) /* descending */
{
    k = SIMD_EXCHANGE4(k, _mm_shuffle_epi32(k, 0xB1), 0xA);
    k = SIMD_EXCHANGE4(k, _mm_shuffle_epi32(k, 0x4E), 0xC);
    return SIMD_EXCHANGE4(k, _mm_shuffle_epi32(k, 0xD8), 0x4);
}

static inline __m256i simd_sort8(__m256i k) /* descending; Batcher's bitonic network */
{
    k = SIMD_EXCHANGE8(k, _mm256_shuffle_epi32(k, 0xB1), 0xAA);
    k = SIMD_EXCHANGE8(k, _mm256_shuffle_epi32(k, 0x1B), 0xCC);
    k = SIMD_EXCHANGE8(k, _mm256_shuffle_epi32(k, 0xB1), 0xAA);
    k = SIMD_EXCHANGE8(k, _mm256_permutevar8x32_epi32(k, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)), 0xF0);
    k = SIMD_EXCHANGE8(k, _mm256_shuffle_epi32(k, 0x4E), 0xCC);
    return SIMD_EXCHANGE8(k, _mm256_shuffle_epi32(k, 0xB1), 0xAA);
}

/* Lanes that are not hit get a key that sorts behind the others: a negative one, or 0, which is that of lane 0 at no distance and as good as it. */
static inline uint32_t simd_push_sorted(float *dist, uint32_t *ref, unsigned bits, vf8 d, const uint32_t *child)
{
    __m256i c = _mm256_load_si256((const __m256i *)(const void *)child);
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i k = _mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(d), _mm256_set1_epi32(~7)), lane);
    uint32_t n = (uint32_t)__builtin_popcount(bits);
#ifdef MR_KERNEL_avx512
    k = simd_compress(bits, k);
#else
    static const int32_t tail[16] = { 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1 };
    k = _mm256_or_si256(simd_compress(bits, k), _mm256_loadu_si256((const __m256i *)(const void *)(tail + 8 - n)));
#endif
    if (__builtin_expect(n <= 4, 1)) {
        __m128i x = simd_sort4(_mm256_castsi256_si128(k));
        _mm_storeu_ps(dist, _mm_castsi128_ps(x));
        _mm_storeu_si128((__m128i *)(void *)ref, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(c, _mm256_castsi128_si256(x))));
        return n;
    }
    k = simd_sort8(k);
    _mm256_storeu_ps(dist, _mm256_castsi256_ps(k));
    _mm256_storeu_si256((__m256i *)(void *)ref, _mm256_permutevar8x32_epi32(c, k));
    return n;
}

static inline uint32_t simd_filter(float *dist, uint32_t *ref, uint32_t n, float limit)
{
    const __m256 far = _mm256_set1_ps(limit);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i += 8) {
        __m256 d = _mm256_loadu_ps(dist + i);
        __m256i r = _mm256_loadu_si256((const __m256i *)(const void *)(ref + i));
        unsigned bits = vm_bits(vf_le(d, far)) & (n - i >= 8 ? 255u : (1u << (n - i)) - 1);
        _mm256_storeu_si256((__m256i *)(void *)(dist + kept), simd_compress(bits, _mm256_castps_si256(d)));
        _mm256_storeu_si256((__m256i *)(void *)(ref + kept), simd_compress(bits, r));
        kept += (uint32_t)__builtin_popcount(bits);
    }
    return kept;
}

#endif
