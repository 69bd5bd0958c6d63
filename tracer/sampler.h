/* Random numbers from (pixel, sample index, dimension, seed), never from a stream: any sample can be replayed by anyone.
 *
 * Each pair of dimensions is the two-dimensional Sobol (0, 2)-sequence, its index shuffled and its values scrambled by hashed Owen
 * permutations (B. Burley 2020, "Practical Hash-based Owen Scrambling", JCGT 9(4); the hash is S. Laine and T. Karras's, 2011).
 * So every pair is stratified over any run of 2^k samples that starts at a multiple of 2^k, and pairs are independent of one another. */
#ifndef MR_SAMPLER_H
#define MR_SAMPLER_H

#include "tracer/lanes.h"

typedef struct mr_sample2 {
    vf u, v; /* in [0, 1), multiples of 2^-24 */
} mr_sample2;

/* A bijective mixer of 32 bits with low bias (C. Wellons 2018, "Prospecting for Hash Functions"). */
static inline vu mr_mix(vu x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

#if MR_LANES == 8
static inline vu mr_reverse_bits(vu x) /* each byte reversed, then the bytes: two tables of 16, one half a byte each */
{
    const __m256i low = _mm256_broadcastsi128_si256(_mm_setr_epi8(0x00, -0x80, 0x40, -0x40, 0x20, -0x60, 0x60, -0x20, 0x10, -0x70, 0x50, -0x30,
                                                                  0x30, -0x50, 0x70, -0x10));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15));
    const __m256i swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    const __m256i half = _mm256_set1_epi8(15);
    __m256i bytes = _mm256_shuffle_epi8((__m256i)x, swap);
    return (vu)_mm256_or_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(bytes, half)),
                               _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
}
#else
static inline vu mr_reverse_bits(vu x)
{
    x = x << 16 | x >> 16;
    x = (x >> 8 & 0x00FF00FFu) | (x & 0x00FF00FFu) << 8;
    x = (x >> 4 & 0x0F0F0F0Fu) | (x & 0x0F0F0F0Fu) << 4;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    return (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
}
#endif

/* An Owen scramble of a number whose bits are reversed: each bit is flipped by a hash of those below it. */
static inline vu mr_owen_reversed(vu x, vu seed)
{
    x += seed;
    x ^= x * 0x6c50b47cu;
    x ^= x * 0xb82f1e52u;
    x ^= x * 0xc7afe638u;
    return x ^ x * 0x8d22f6e6u;
}

/* The second Sobol dimension of an index, bits reversed: Pascal's triangle modulo 2 (Lucas: C(i, j) is odd when j is a subset of i). */
static inline vu mr_sobol_second_reversed(vu i)
{
    i ^= i >> 1 & 0x55555555u;
    i ^= i >> 2 & 0x33333333u;
    i ^= i >> 4 & 0x0F0F0F0Fu;
    i ^= i >> 8 & 0x00FF00FFu;
    return i ^ (i >> 16 & 0x0000FFFFu);
}

static inline vf mr_unit_float(vu x) { return to_float((vi)(x >> 8)) * 5.9604644775390625e-8f; }

/* The key of a pixel: what its samples' numbers are hashed from. */
static inline vu mr_pixel_key(vu x, vu y, uint32_t seed)
{
    return mr_mix(x + mr_mix(y + mr_mix(all_u(seed ^ 0x9e3779b9u))));
}

/* Sample `index` of the pixel in dimensions 2 * pair and 2 * pair + 1; the index comes with its bits reversed. */
static inline mr_sample2 mr_sample_reversed(vu pixel_key, vu index_reversed, uint32_t pair)
{
    vu key = mr_mix(pixel_key ^ pair * 0x9e3779b9u);
    vu i = mr_reverse_bits(mr_owen_reversed(index_reversed, key));
    vu x = mr_reverse_bits(mr_owen_reversed(i, key * 0x2c1b3c6du + 0x5bd1e995u));
    vu y = mr_reverse_bits(mr_owen_reversed(mr_sobol_second_reversed(i), key * 0x297a2d39u + 0x1b873593u));
    return (mr_sample2){ mr_unit_float(x), mr_unit_float(y) };
}

static inline mr_sample2 mr_sample(vu pixel_key, vu index, uint32_t pair)
{
    return mr_sample_reversed(pixel_key, mr_reverse_bits(index), pair);
}

#endif
