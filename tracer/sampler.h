/* Random numbers from (pixel, sample index, dimension, seed), never from a stream: any sample can be replayed by anyone.
 *
 * Each pair of dimensions is the two-dimensional Sobol (0, 2)-sequence, its index shuffled and its values scrambled by hashed Owen
 * permutations (B. Burley 2020, "Practical Hash-based Owen Scrambling", JCGT 9(4); the hash is S. Laine and T. Karras's, 2011).
 * So every pair is stratified over any run of 2^k samples that starts at a multiple of 2^k, and pairs are independent of one another. */
#ifndef MR_SAMPLER_H
#define MR_SAMPLER_H

#include <stdint.h>

typedef struct mr_sample2 {
    float u, v; /* in [0, 1), multiples of 2^-24 */
} mr_sample2;

/* A bijective mixer of 32 bits with low bias (C. Wellons 2018, "Prospecting for Hash Functions"). */
static inline uint32_t mr_mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

static inline uint32_t mr_reverse_bits(uint32_t x)
{
    x = __builtin_bswap32(x);
    x = (x >> 4 & 0x0F0F0F0Fu) | (x & 0x0F0F0F0Fu) << 4;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    return (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
}

/* An Owen scramble of a number whose bits are reversed: each bit is flipped by a hash of those below it. */
static inline uint32_t mr_owen_reversed(uint32_t x, uint32_t seed)
{
    x += seed;
    x ^= x * 0x6c50b47cu;
    x ^= x * 0xb82f1e52u;
    x ^= x * 0xc7afe638u;
    return x ^ x * 0x8d22f6e6u;
}

/* The second Sobol dimension of an index, bits reversed: Pascal's triangle modulo 2 (Lucas: C(i, j) is odd when j is a subset of i). */
static inline uint32_t mr_sobol_second_reversed(uint32_t i)
{
    i ^= i >> 1 & 0x55555555u;
    i ^= i >> 2 & 0x33333333u;
    i ^= i >> 4 & 0x0F0F0F0Fu;
    i ^= i >> 8 & 0x00FF00FFu;
    return i ^ (i >> 16 & 0x0000FFFFu);
}

static inline float mr_unit_float(uint32_t x) { return (float)(x >> 8) * 5.9604644775390625e-8f; }

/* The key of a pixel: what its samples' numbers are hashed from. */
static inline uint32_t mr_pixel_key(uint32_t x, uint32_t y, uint32_t seed)
{
    return mr_mix(x + mr_mix(y + mr_mix(seed ^ 0x9e3779b9u)));
}

/* Sample `index` of the pixel in dimensions 2 * pair and 2 * pair + 1. */
static inline mr_sample2 mr_sample(uint32_t pixel_key, uint32_t index, uint32_t pair)
{
    uint32_t key = mr_mix(pixel_key ^ pair * 0x9e3779b9u);
    uint32_t i = mr_reverse_bits(mr_owen_reversed(mr_reverse_bits(index), key));
    uint32_t x = mr_reverse_bits(mr_owen_reversed(i, key * 0x2c1b3c6du + 0x5bd1e995u));
    uint32_t y = mr_reverse_bits(mr_owen_reversed(mr_sobol_second_reversed(i), key * 0x297a2d39u + 0x1b873593u));
    return (mr_sample2){ mr_unit_float(x), mr_unit_float(y) };
}

#endif
