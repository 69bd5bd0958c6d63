/* What the ray kernel (tracer/kernel.c) keeps of a batch that it works on, its lists, and one ray's step through a node. */
#ifndef MR_KERNEL_WAVE_H
#define MR_KERNEL_WAVE_H

#include "tracer/kernel_beam.h"
#include "tracer/kernel_hit.h"

enum {
    SLOTS = 48,    /* rays in flight: fewer overlap too little, more push the stacks out of the first-level cache */
    LEAF_MIN = 18, /* do the leaf pass when so many wait, or few need nodes */
    DONE_MIN = 12, /* likewise for what is rarer */
    BATCH = 4096,  /* rays that are put in order together: enough for beams of each octant, few enough to stay in the second-level cache */
    /* A node's pop and push add 7 at most, on two trees' paths; the end mark, the exit mark, and 8 of whole-vector stores. */
    STACK = 2 * 7 * MR_BVH_MAX_DEPTH + 2 + 8 + 6, /* 464 */
    SLOT_BYTES = 77 * 64,
    NO_RAY = -1,
    OCTANTS = 8
};

#define NO_BEST UINT64_MAX

/* Padded to 77 cache lines: 64 lines are one turn through the sets of a first-level cache, and steps of 13 spread the slots' hot ends
 * evenly over them. */
typedef struct slot {
    ray_setup r __attribute__((aligned(64)));
    uint64_t best;     /* instance << 32 | triangle of the nearest hit so far */
    float best_t;      /* its t; without a hit the tmax that the ray came with */
    uint32_t instance; /* the one that the ray is in, 0: the world */
    int32_t ray;       /* index in the batch, NO_RAY */
    uint32_t top;      /* index of the stack's top; entry 0 is the end mark */
    uint32_t ref[STACK];
    float dist[STACK];
    char pad[SLOT_BYTES - 128 - 24 - 8 * STACK];
} slot;

_Static_assert(sizeof(slot) == SLOT_BYTES, "slot layout");
_Static_assert((int)SLOTS < (int)BEAM_RAYS, "a pass begins rays of two beams at most, and a ray is a bit of 64");

/* Slots (as byte offsets from the first) and their next references. Whole vectors are stored: 16 spare. */
typedef struct list {
    uint32_t n, slot[SLOTS + 16], ref[SLOTS + 16];
} list;

typedef struct wave {
    slot slots[SLOTS] __attribute__((aligned(64)));
    mr_bvh_node start[2] __attribute__((aligned(64))); /* the beams' private roots */
    float t[SLOTS][8] __attribute__((aligned(32))); /* between two loops of a pass: distances, and which lanes are meant */
    uint32_t lanes[SLOTS], sure[SLOTS];
    candidates candidates;
    uint32_t of_candidate[8]; /* whose: a slot's offset */
    list node, leaf, rare, old;
    uint32_t next[SLOTS + 16], from[SLOTS + 16], hit[SLOTS + 16];
    /* rays to be made ready: as they are in their spaces, where to, whose they are (indices of from and next); the fresh ones' slots
     * and first nodes */
    const mr_ray *raw[SLOTS + 8];
    ray_setup *setup[SLOTS + 8];
    mr_ray image[SLOTS]; /* of those that go into an instance or out of one */
    uint32_t raw_of[SLOTS], fresh[SLOTS], fresh_slot[SLOTS];
    const mr_bvh_node *first[SLOTS];
    uint32_t spheres; /* that rays have met in this pass */
    const mr_bvh_instance *sphere[SLOTS + 8];
    const mr_ray *sphere_ray[SLOTS + 8];
    float sphere_tmin[SLOTS + 8] __attribute__((aligned(32))), sphere_t[SLOTS + 8] __attribute__((aligned(32)));
    uint32_t sphere_of[SLOTS];
    ray_setup nobody __attribute__((aligned(64))); /* what the lanes beyond the last raw ray become */
    /* the call */
    const char *base;
    const mr_pack *pack; /* for triangles with holes, or NULL */
    const mr_ray *rays;
    const mr_bvh_node *root;
    uint32_t count, taken; /* rays, rays begun */
    uint32_t turn;         /* of the private roots */
    uint16_t order[BATCH]; /* in which they are begun */
    uint32_t whole;        /* beams at the beginning whose bounds are known */
    ray_bounds bounds[BATCH / BEAM_RAYS + 1];
} wave;

INLINE slot *slot_at(wave *w, uint32_t offset)
{
    return (slot *)(void *)((char *)w->slots + offset);
}

/* A node has four cache lines, most leaves have no more than six. In a tree beyond the second-level cache this halves the time of incoherent rays; in a
 * smaller one it costs 1 to 3 %. */
INLINE void prefetch(const char *base, uint32_t ref)
{
    const char *p = base + mr_ref_offset(ref);
    for (int i = 0; i < 6; i++) __builtin_prefetch(p + 64 * i);
}

/* ---- lists ---- */

#ifdef MR_KERNEL_avx2
/* Appends the pairs in bits to a list that holds *n. */
INLINE void deal_some(list *l, uint32_t *n, unsigned bits, __m256i slots, __m256i refs)
{
    __m256i lanes = simd_lanes(bits);
    _mm256_storeu_si256((__m256i *)(void *)(l->slot + *n), _mm256_permutevar8x32_epi32(slots, lanes));
    _mm256_storeu_si256((__m256i *)(void *)(l->ref + *n), _mm256_permutevar8x32_epi32(refs, lanes));
    *n += (uint32_t)__builtin_popcount(bits);
}
#endif

/* Deals n pairs out by the kind of their references: nodes into N from index nn on (the pairs may be N's own arrays), the others behind
 * what their lists hold; the indices of hits into hit (NULL: there are none). Returns the number of hits. */
INLINE uint32_t deal(list *N, list *L, list *R, const uint32_t *slots, const uint32_t *refs, uint32_t n, uint32_t nn, uint32_t *hit)
{
    uint32_t nl = L->n, nr = R->n, nh = 0;
#ifdef MR_KERNEL_avx512
    const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (uint32_t i = 0; i < n; i += 16) {
        __m512i p = _mm512_loadu_si512(slots + i), r = _mm512_loadu_si512(refs + i);
        __mmask16 all = n - i >= 16 ? 0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        __mmask16 mn = _mm512_mask_cmplt_epu32_mask(all, r, _mm512_set1_epi32((int)MR_REF_LEAF));
        __mmask16 ml = _mm512_mask_cmplt_epu32_mask((__mmask16)(all & ~mn), r, _mm512_set1_epi32((int)MR_REF_INSTANCE));
        __mmask16 mh = (__mmask16)(hit ? _mm512_mask_cmpge_epu32_mask(all, r, _mm512_set1_epi32((int)MR_REF_HIT)) : 0);
        __mmask16 mr = (__mmask16)(all & ~(mn | ml | mh));
        _mm512_storeu_si512(N->slot + nn, _mm512_maskz_compress_epi32(mn, p));
        _mm512_storeu_si512(N->ref + nn, _mm512_maskz_compress_epi32(mn, r));
        _mm512_storeu_si512(L->slot + nl, _mm512_maskz_compress_epi32(ml, p));
        _mm512_storeu_si512(L->ref + nl, _mm512_maskz_compress_epi32(ml, r));
        _mm512_storeu_si512(R->slot + nr, _mm512_maskz_compress_epi32(mr, p));
        _mm512_storeu_si512(R->ref + nr, _mm512_maskz_compress_epi32(mr, r));
        if (hit) _mm512_storeu_si512(hit + nh, _mm512_maskz_compress_epi32(mh, _mm512_add_epi32(iota, _mm512_set1_epi32((int)i))));
        nn += (uint32_t)__builtin_popcount(mn);
        nl += (uint32_t)__builtin_popcount(ml);
        nr += (uint32_t)__builtin_popcount(mr);
        nh += (uint32_t)__builtin_popcount(mh);
    }
#elif defined(MR_KERNEL_avx2)
    for (uint32_t i = 0; i < n; i += 8) {
        __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)(slots + i)), r = _mm256_loadu_si256((const __m256i *)(const void *)(refs + i));
        __m256i kind = _mm256_srli_epi32(r, 29);
        unsigned all = n - i >= 8 ? 255 : (1u << (n - i)) - 1;
        unsigned mn = all & vm_bits(_mm256_castsi256_ps(_mm256_cmpeq_epi32(kind, _mm256_setzero_si256())));
        unsigned ml = all & vm_bits(_mm256_castsi256_ps(_mm256_cmpeq_epi32(kind, _mm256_set1_epi32(MR_REF_LEAF >> 29))));
        unsigned mh = hit ? all & vm_bits(_mm256_castsi256_ps(_mm256_cmpeq_epi32(kind, _mm256_set1_epi32(MR_REF_HIT >> 29)))) : 0;
        unsigned mr = all & ~(mn | ml | mh);
        deal_some(N, &nn, mn, p, r);
        deal_some(L, &nl, ml, p, r);
        deal_some(R, &nr, mr, p, r);
        if (!hit) continue;
        _mm256_storeu_si256((__m256i *)(void *)(hit + nh), _mm256_add_epi32(simd_lanes(mh), _mm256_set1_epi32((int)i)));
        nh += (uint32_t)__builtin_popcount(mh);
    }
#else
    for (uint32_t i = 0; i < n; i++) { /* written to every list, kept in one: the counters stay in registers, nothing branches */
        uint32_t p = slots[i], r = refs[i];
        N->slot[nn] = p;
        N->ref[nn] = r;
        nn += r < MR_REF_LEAF;
        L->slot[nl] = p;
        L->ref[nl] = r;
        nl += (r >= MR_REF_LEAF) & (r < MR_REF_INSTANCE);
        R->slot[nr] = p;
        R->ref[nr] = r;
        nr += (r >= MR_REF_INSTANCE) & (r < MR_REF_HIT);
        if (!hit) continue;
        hit[nh] = i;
        nh += r >= MR_REF_HIT;
    }
#endif
    N->n = nn;
    L->n = nl;
    R->n = nr;
    return nh;
}

/* ---- one ray, one step ---- */

INLINE vf8 node_row(const mr_bvh_node *node, int axis, uint32_t row)
{
    return vf_load((const float *)(const void *)((const char *)node + 64 * axis + row));
}

/* The children whose boxes the ray meets; *d: how far they are. */
INLINE unsigned test_node(const slot *s, const mr_bvh_node *node, vf8 *d)
{
    const ray_setup *r = &s->r;
    vf8 near[3], far[3];
    for (int a = 0; a < 3; a++) {
        vf8 id = vf_set(r->id[a]);
        near[a] = vf_msub_loose(node_row(node, a, r->near_row[a]), id, vf_set(r->node_near[a]));
        far[a] = vf_msub_loose(node_row(node, a, r->near_row[a] ^ 32), id, vf_set(r->node_far[a]));
    }
    *d = vf_max(vf_max(near[0], near[1]), vf_max(near[2], vf_set(r->tmin))); /* NaN drops out: tmin and t are none */
    vf8 f = vf_min(vf_min(far[0], far[1]), vf_min(far[2], vf_set(r->t)));
    return vm_bits(vf_le(*d, vf_mul(f, vf_set(REACH))));
}

/* Writes the children met from stack index at on, nearest last. Returns the index behind them. */
INLINE uint32_t push_sorted(slot *s, const mr_bvh_node *node, uint32_t at, unsigned bits, vf8 d)
{
    return at + simd_push_sorted(s->dist + at, s->ref + at, bits, d, node->child);
}

/* Takes the top off and says what it was. */
INLINE uint32_t pop(const wave *w, slot *s)
{
    uint32_t ref = s->ref[s->top];
    s->top--;
    prefetch(w->base, ref);
    return ref;
}

/* The best hit may be nearer: drops what lies beyond it (not beyond r.t, which an instance may have cut). Marks have distance -1 and
 * stay. A distance that went through a sorting key may be 7 units in the last place too large: REACH covers that, and FLT_MIN does
 * where the limit is 0. */
INLINE void filter(slot *s)
{
    s->top = simd_filter(s->dist + 1, s->ref + 1, s->top, s->best_t * REACH + FLT_MIN);
}

INLINE void take(slot *s, float t, uint32_t triangle)
{
    uint64_t id = (uint64_t)s->instance << 32 | triangle;
    if (t < s->best_t || (t == s->best_t && id < s->best)) {
        s->best = id;
        s->best_t = t;
        s->r.t = t;
    }
}

#endif
