/* The ray kernel: one thread traces a batch as a wavefront. Compiled once for each instruction set (see tracer/simd.h).
 *
 * 32 rays are in flight, each in a slot with its own stack. They stand in lists by what they need next: a node, a leaf, or something
 * rarer (an instance, the way back from one, to be finished). A pass works through one list; its loop has no unpredictable branch and its
 * iterations do not depend on each other, so the processor overlaps several of them; each writes its ray's next reference, which is
 * thus known a whole pass before it is needed and is prefetched. The references are then dealt out to the lists.
 *
 * A leaf takes two steps: the quick test for all, and the exact rule (tracer/kernel_hit.h) for those that may be hit. After a hit
 * the stack is filtered, so what is popped is always worth visiting. Any-hit rays skip sorting and filtering.
 *
 * An instance: the slot's ray is cut to the instance's box and taken to its space, a mark is pushed, and the walk goes on at the
 * mesh's root; when the mark comes up the world's ray is set up anew. */
#include "tracer/kernel.h"

#include "tracer/kernel_beam.h"
#include "tracer/kernel_hit.h"
#include "tracer/kernel_list.h"

enum {
    SLOTS = 32,    /* rays in flight: fewer overlap too little, more push the stacks out of the first-level cache */
    LEAF_MIN = 12, /* do the leaf pass when so many wait, or few need nodes */
    DONE_MIN = 8,  /* likewise for what is rarer */
    /* A node's pop and push add 7 at most, on two trees' paths; the end mark, the exit mark, and 8 of whole-vector stores. */
    STACK = 2 * 7 * MR_BVH_MAX_DEPTH + 2 + 8 + 6, /* 464 */
    SLOT_BYTES = 77 * 64,
    NO_RAY = -1
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

/* Slots (as byte offsets from the first) and their next references. Whole vectors are stored: 16 spare. */
typedef struct list {
    uint32_t n, slot[SLOTS + 16], ref[SLOTS + 16];
} list;

typedef struct wave {
    slot slots[SLOTS] __attribute__((aligned(64)));
    mr_bvh_node start[2] __attribute__((aligned(64))); /* the beams' private roots */
    float t[SLOTS][8] __attribute__((aligned(32)));
    list node, leaf, rare, old;
    uint32_t next[SLOTS + 16], from[SLOTS + 16], hit[SLOTS + 16];
    uint32_t lanes[SLOTS], fresh[SLOTS];
    const mr_bvh_node *first[SLOTS]; /* of the fresh rays: where they begin */
    /* the call */
    const char *base;
    const mr_ray *rays;
    const mr_bvh_node *root;
    uint32_t count, taken; /* rays, rays begun */
} wave;

INLINE slot *slot_at(wave *w, uint32_t offset)
{
    return (slot *)(void *)((char *)w->slots + offset);
}

INLINE void prefetch(const char *base, uint32_t ref)
{
    const char *p = base + mr_ref_offset(ref);
    for (int i = 0; i < 4; i++) __builtin_prefetch(p + 64 * i);
}

/* ---- lists ---- */

/* Deals n pairs out by the kind of their references: nodes into N from index nn on (the pairs may be N's own arrays), the others behind
 * what their lists hold; the indices of hits into hit (not NULL). Returns the number of hits. */
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
        __mmask16 mh = _mm512_mask_cmpge_epu32_mask(all, r, _mm512_set1_epi32((int)MR_REF_HIT));
        __mmask16 mr = (__mmask16)(all & ~(mn | ml | mh));
        _mm512_storeu_si512(N->slot + nn, _mm512_maskz_compress_epi32(mn, p));
        _mm512_storeu_si512(N->ref + nn, _mm512_maskz_compress_epi32(mn, r));
        _mm512_storeu_si512(L->slot + nl, _mm512_maskz_compress_epi32(ml, p));
        _mm512_storeu_si512(L->ref + nl, _mm512_maskz_compress_epi32(ml, r));
        _mm512_storeu_si512(R->slot + nr, _mm512_maskz_compress_epi32(mr, p));
        _mm512_storeu_si512(R->ref + nr, _mm512_maskz_compress_epi32(mr, r));
        _mm512_storeu_si512(hit + nh, _mm512_maskz_compress_epi32(mh, _mm512_add_epi32(iota, _mm512_set1_epi32((int)i))));
        nn += (uint32_t)__builtin_popcount(mn);
        nl += (uint32_t)__builtin_popcount(ml);
        nr += (uint32_t)__builtin_popcount(mr);
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

/* Tests a node's eight boxes and writes the children hit from stack index at on, nearest last. Returns the index behind them. */
INLINE uint32_t step_node(slot *s, const mr_bvh_node *node, uint32_t at, int any)
{
    const ray_setup *r = &s->r;
    vf8 near[3], far[3];
    for (int a = 0; a < 3; a++) {
        vf8 id = vf_set(r->id[a]);
        near[a] = vf_msub_loose(node_row(node, a, r->near_row[a]), id, vf_set(r->node_near[a]));
        far[a] = vf_msub_loose(node_row(node, a, r->near_row[a] ^ 32), id, vf_set(r->node_far[a]));
    }
    vf8 d = vf_max(vf_max(near[0], near[1]), vf_max(near[2], vf_set(r->tmin))); /* NaN drops out: tmin and t are none */
    vf8 f = vf_min(vf_min(far[0], far[1]), vf_min(far[2], vf_set(r->t)));
    unsigned bits = vm_bits(vf_le(d, vf_mul(f, vf_set(REACH))));
    if (any) return at + simd_push(s->ref + at, bits, node->child);
    return at + simd_push_sorted(s->dist + at, s->ref + at, bits, d, node->child);
}

/* Takes the top off and says what it was. */
INLINE uint32_t pop(wave *w, slot *s)
{
    uint32_t ref = s->ref[s->top];
    s->top--;
    prefetch(w->base, ref);
    return ref;
}

/* The best hit may be nearer: drops what lies beyond it (not beyond r.t, which an instance may have cut). Marks have distance -1 and stay. A distance that went through a sorting key may be 7 units in
 * the last place too large: REACH covers that, and FLT_MIN does where the limit is 0. */
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

/* Takes what the exact rule found in a leaf: t of the lanes. */
INLINE void take_leaf(slot *s, const mr_bvh_leaf *leaf, unsigned lanes, const float *t)
{
    for (unsigned m = lanes; m; m &= m - 1) {
        int lane = __builtin_ctz(m);
        take(s, t[lane], leaf->triangle[lane]);
    }
}

/* ---- what is rarer ---- */

/* Back in the world: after an instance, or when there was nothing to enter. */
INLINE void leave(wave *w, slot *s)
{
    const mr_ray *ray = &w->rays[s->ray];
    (void)ray_begin(&s->r, ray);
    s->r.t = s->best_t < FLT_MAX ? s->best_t : FLT_MAX;
    s->instance = 0;
}

INLINE uint32_t enter_sphere(wave *w, slot *s, const mr_bvh_instance *instance, int any)
{
    float t;
    int hit = sphere_hit(instance, &w->rays[s->ray], s->r.tmin, s->r.t, &t);
    if (hit) {
        s->instance = instance->instance;
        take(s, t, MR_SPHERE);
    }
    leave(w, s);
    if (hit && any) return MR_REF_EMPTY;
    if (hit) filter(s);
    return pop(w, s);
}

/* Goes into an instance; returns the slot's next reference. */
INLINE uint32_t enter(wave *w, slot *s, const mr_bvh_instance *instance, int any)
{
    if (any && instance->flags & MR_INSTANCE_NO_SHADOW) return pop(w, s);
    if (!ray_enter(&s->r, &w->rays[s->ray], instance)) {
        leave(w, s);
        return pop(w, s);
    }
    if (instance->kind == MR_INSTANCE_SPHERE) return enter_sphere(w, s, instance, any);
    s->instance = instance->instance;
    s->top++;
    s->ref[s->top] = MR_REF_EXIT;
    s->dist[s->top] = -1;
    prefetch(w->base, instance->root);
    return instance->root;
}

/* Where the rays from index `ray` on begin: every BEAM_RAYS rays anew. Two private nodes take turns, since rays of the last beam may still wait
 * for their first step. */
INLINE void aim(wave *w, uint32_t ray)
{
    uint32_t left = w->count - ray;
    if (ray % BEAM_RAYS) return;
    w->root = beam_root(w->base, w->rays + ray, left < BEAM_RAYS ? left : BEAM_RAYS, &w->start[ray / BEAM_RAYS % 2]);
}

/* Puts a ray into a slot. 0 when it hits nothing. */
INLINE int begin(const wave *w, slot *s, uint32_t ray)
{
    s->ray = (int32_t)ray;
    s->best = NO_BEST;
    s->best_t = w->rays[ray].tmax;
    s->instance = 0;
    s->ref[0] = MR_REF_EMPTY;
    s->dist[0] = -1;
    s->top = 0;
    return ray_begin(&s->r, &w->rays[ray]);
}

INLINE void write_hit(const slot *s, mr_hit *hit)
{
    hit->t = s->best_t;
    hit->triangle = (uint32_t)s->best;
    hit->instance = (uint32_t)(s->best >> 32) & (0u - (uint32_t)(s->best != NO_BEST)); /* no branch: hit or miss is a coin's toss */
    hit->pad = 0;
}

/* ---- passes ---- */

INLINE void node_pass(wave *w, int any)
{
    list *N = &w->node;
    for (uint32_t i = 0; i < N->n; i++) {
        slot *s = slot_at(w, N->slot[i]);
        s->top = step_node(s, (const mr_bvh_node *)(const void *)(w->base + mr_ref_offset(N->ref[i])), s->top + 1, any) - 1;
        N->ref[i] = pop(w, s);
    }
    deal(N, &w->leaf, &w->rare, N->slot, N->ref, N->n, 0, w->hit);
}

INLINE const mr_bvh_leaf *leaf_at(const wave *w, uint32_t ref)
{
    return (const mr_bvh_leaf *)(const void *)(w->base + mr_ref_offset(ref));
}

/* The exact rule for the rays whose leaf passed the quick test: w->hit[0 .. n - 1] index w->old. Two loops, as in first_steps. */
INLINE void hit_pass(wave *w, uint32_t n, int any)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = w->hit[i];
        vf8 t;
        w->lanes[q] = leaf_accept(&slot_at(w, w->old.slot[q])->r, leaf_at(w, w->old.ref[q]), w->lanes[q], &t);
        vf_store(w->t[i], t);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = w->hit[i], lanes = w->lanes[q];
        slot *s = slot_at(w, w->old.slot[q]);
        if (any) s->best = lanes ? 0 : NO_BEST;
        else take_leaf(s, leaf_at(w, w->old.ref[q]), lanes, w->t[i]);
        if (!any) filter(s);
        w->from[i] = w->old.slot[q];
        w->next[i] = any && lanes ? MR_REF_EMPTY : pop(w, s);
    }
    deal(&w->node, &w->leaf, &w->rare, w->from, w->next, n, w->node.n, w->hit);
}

INLINE void leaf_pass(wave *w, int any)
{
    list *L = &w->leaf;
    uint32_t n = L->n;
    memcpy(w->old.slot, L->slot, sizeof L->slot);
    memcpy(w->old.ref, L->ref, sizeof L->ref);
    L->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        slot *s = slot_at(w, w->old.slot[i]);
        unsigned lanes = leaf_quick(&s->r, leaf_at(w, w->old.ref[i]));
        uint32_t ref = s->ref[s->top];
        prefetch(w->base, ref);
        s->top -= lanes == 0;
        w->lanes[i] = lanes;
        w->next[i] = lanes ? MR_REF_HIT : ref;
    }
    uint32_t hits = deal(&w->node, L, &w->rare, w->old.slot, w->next, n, w->node.n, w->hit);
    if (hits) hit_pass(w, hits, any);
}

INLINE void finish(const slot *s, mr_hit *hits, uint8_t *blocked, int any)
{
    if (s->ray == NO_RAY) return;
    if (any) blocked[s->ray] = s->best != NO_BEST;
    else write_hit(s, &hits[s->ray]);
}

/* The first node of rays just begun (w->fresh[0 .. n - 1] index from and next), apart from their setting up: two short loops overlap better
 * than a long one. */
INLINE void first_steps(wave *w, uint32_t n, int any)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = w->fresh[i];
        slot *s = slot_at(w, w->from[q]);
        s->top = step_node(s, w->first[i], 1, any) - 1;
        w->next[q] = pop(w, s);
    }
}

/* Hands results out, starts new rays, goes into and out of instances. */
INLINE void rare_pass(wave *w, mr_hit *hits, uint8_t *blocked, int any)
{
    list *R = &w->rare;
    uint32_t n = 0, fresh = 0, rare = R->n, taken = w->taken; /* in registers: a counter in memory would chain the rays together */
    const uint32_t count = w->count;
    for (uint32_t i = 0; i < rare; i++) {
        uint32_t ref = R->ref[i], next = MR_REF_EMPTY;
        slot *s = slot_at(w, R->slot[i]);
        if (__builtin_expect(ref >= MR_REF_EMPTY, 1)) {
            finish(s, hits, blocked, any);
            if (taken == count) continue;
            aim(w, taken);
            w->fresh[fresh] = n;
            w->first[fresh] = w->root;
            fresh += (uint32_t)begin(w, s, taken++);
        } else if (ref >= MR_REF_EXIT) {
            leave(w, s);
            next = pop(w, s);
        } else {
            next = enter(w, s, (const mr_bvh_instance *)(const void *)(w->base + mr_ref_offset(ref)), any);
        }
        w->from[n] = R->slot[i];
        w->next[n++] = next;
    }
    R->n = 0;
    w->taken = taken;
    first_steps(w, fresh, any);
    deal(&w->node, &w->leaf, R, w->from, w->next, n, w->node.n, w->hit);
}

INLINE void wave_init(wave *w, const void *bvh, const mr_ray *rays, uint32_t count)
{
    w->base = bvh;
    w->rays = rays;
    w->count = count;
    w->taken = 0;
    w->node.n = w->leaf.n = 0;
    w->rare.n = count < SLOTS ? count : SLOTS;
    for (uint32_t i = 0; i < w->rare.n; i++) {
        w->rare.slot[i] = i * (uint32_t)sizeof(slot);
        w->rare.ref[i] = MR_REF_EMPTY;
        w->slots[i].ray = NO_RAY;
    }
}

INLINE void trace(const void *bvh, const mr_ray *rays, uint32_t count, mr_hit *hits,
                                                        uint8_t *blocked, void *scratch, int any)
{
    wave *w = scratch;
    wave_init(w, bvh, rays, count);
    for (;;) {
        if (w->rare.n >= DONE_MIN || w->node.n + w->leaf.n < DONE_MIN) rare_pass(w, hits, blocked, any);
        if (!w->node.n && !w->leaf.n && !w->rare.n) return;
        node_pass(w, any);
        if (w->leaf.n >= LEAF_MIN || w->node.n < LEAF_MIN) leaf_pass(w, any);
    }
}

static void intersect(const void *bvh, const mr_ray *rays, uint32_t count, mr_hit *hits, void *scratch)
{
    trace(bvh, rays, count, hits, NULL, scratch, 0);
}

static void occluded(const void *bvh, const mr_ray *rays, uint32_t count, uint8_t *blocked, void *scratch)
{
    trace(bvh, rays, count, NULL, blocked, scratch, 1);
}

#if defined(MR_KERNEL_scalar)
const mr_kernel mr_kernel_scalar = { "scalar", sizeof(wave), intersect, occluded };
#elif defined(MR_KERNEL_sse)
const mr_kernel mr_kernel_sse = { "sse", sizeof(wave), intersect, occluded };
#elif defined(MR_KERNEL_avx2)
const mr_kernel mr_kernel_avx2 = { "avx2", sizeof(wave), intersect, occluded };
#elif defined(MR_KERNEL_avx512)
const mr_kernel mr_kernel_avx512 = { "avx512", sizeof(wave), intersect, occluded };
#else
const mr_kernel mr_kernel_neon = { "neon", sizeof(wave), intersect, occluded };
#endif
