/* The list operations of tracer/simd.h in plain C, for back ends without a permutation of eight lanes; included by them. */
#ifndef MR_SIMD_LISTS_H
#define MR_SIMD_LISTS_H

static inline uint32_t simd_push(uint32_t *ref, unsigned bits, const uint32_t *child)
{
    uint32_t n = 0;
    for (; bits; bits &= bits - 1) ref[n++] = child[__builtin_ctz(bits)];
    return n;
}

static inline uint32_t simd_push_sorted(float *dist, uint32_t *ref, unsigned bits, vf8 d, const uint32_t *child)
{
    float all[8] __attribute__((aligned(32)));
    uint32_t n = 0;
    vf_store(all, d);
    for (; bits; bits &= bits - 1, n++) {
        int lane = __builtin_ctz(bits);
        uint32_t at = n;
        for (; at > 0 && dist[at - 1] < all[lane]; at--) {
            dist[at] = dist[at - 1];
            ref[at] = ref[at - 1];
        }
        dist[at] = all[lane];
        ref[at] = child[lane];
    }
    return n;
}

static inline uint32_t simd_filter(float *dist, uint32_t *ref, uint32_t n, float limit)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        dist[kept] = dist[i];
        ref[kept] = ref[i];
        kept += dist[i] <= limit;
    }
    return kept;
}

#endif
