/* The ray kernel: one thread traces a batch as a wavefront. Compiled once for each instruction set (see tracer/simd.h).
 *
 * 32 rays are in flight, each in a slot with its own stack. They stand in lists by what they need next: a node, a leaf, or something
 * rarer (an instance, the way back from one, to be finished). A pass works through one list; its loop has no unpredictable branch and its
 * iterations do not depend on each other, so the processor overlaps several of them; each writes its ray's next reference, which is
 * thus known a whole pass before it is needed and is prefetched. The references are then dealt out to the lists.
 *
 * A leaf takes two steps: the quick test for all, and the exact rule (tracer/kernel_hit.h) for those that may be hit, eight candidates at a
 * time. After a hit the stack is filtered, so what is popped is always worth visiting. Any-hit rays skip sorting and filtering.
 *
 * Before that the batch is put in order: runs of rays that go one way as they are, all others by octant, so that each run can be
 * bounded and started where the scene begins for it (tracer/kernel_beam.h).
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

INLINE void prefetch(const char *base, uint32_t ref)
{
    const char *p = base + mr_ref_offset(ref);
    for (int i = 0; i < 2; i++) __builtin_prefetch(p + 64 * i);
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
INLINE uint32_t pop(wave *w, slot *s)
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

/* ---- what is rarer ---- */

/* A sphere that a ray has met: it waits for seven others. n: the ray's index of from and next. */
INLINE void queue_sphere(wave *w, const slot *s, const mr_bvh_instance *instance, float tmin, float t, uint32_t n)
{
    uint32_t i = w->spheres++;
    w->sphere[i] = instance;
    w->sphere_ray[i] = &w->rays[s->ray];
    w->sphere_tmin[i] = tmin;
    w->sphere_t[i] = t;
    w->sphere_of[i] = n;
}

/* The next reference of a ray that has met a sphere; hit: at t. */
INLINE uint32_t leave_sphere(wave *w, slot *s, const mr_bvh_instance *instance, int hit, float t, int any)
{
    if (hit) {
        s->instance = instance->instance;
        take(s, t, MR_SPHERE);
        s->instance = 0;
        if (any) return MR_REF_EMPTY;
        filter(s);
    }
    return pop(w, s);
}

INLINE void meet_spheres(wave *w, int any)
{
    uint32_t n = w->spheres;
    float at[8] __attribute__((aligned(32)));
    for (uint32_t i = n; i < n + 7; i++) { /* fills the last eight up */
        w->sphere[i] = w->sphere[0];
        w->sphere_ray[i] = w->sphere_ray[0];
        w->sphere_tmin[i] = w->sphere_t[i] = 0;
    }
    for (uint32_t i = 0, hit = 0; i < n; i++) {
        vf8 t;
        if (i % 8 == 0) {
            hit = spheres_hit(w->sphere + i, w->sphere_ray + i, vf_load(w->sphere_tmin + i), vf_load(w->sphere_t + i), &t);
            vf_store(at, t);
        }
        uint32_t of = w->sphere_of[i];
        w->next[of] = leave_sphere(w, slot_at(w, w->from[of]), w->sphere[i], (int)(hit >> i % 8 & 1), at[i % 8], any);
    }
    w->spheres = 0;
}

/* Meets an instance; returns the slot's next reference, and in *raw what the ray becomes if it goes in (*goes). n: its index of from and next; a sphere's
 * next reference is put there later. */
INLINE uint32_t enter(wave *w, slot *s, const mr_bvh_instance *instance, mr_ray *raw, int *goes, uint32_t n, int any)
{
    float tmin, t;
    *goes = 0;
    if (any && instance->flags & MR_INSTANCE_NO_SHADOW) return pop(w, s);
    if (!ray_cut(&s->r, instance, &tmin, &t)) return pop(w, s);
    if (instance->kind == MR_INSTANCE_SPHERE) {
        queue_sphere(w, s, instance, tmin, t, n);
        return MR_REF_EMPTY;
    }
    *goes = 1;
    *raw = ray_image(&w->rays[s->ray], instance, tmin, t);
    s->instance = instance->instance;
    s->top++;
    s->ref[s->top] = MR_REF_EXIT;
    s->dist[s->top] = -1;
    prefetch(w->base, instance->root);
    return instance->root;
}

/* Back in the world: what the ray becomes after an instance. */
INLINE uint32_t leave(wave *w, slot *s, mr_ray *raw)
{
    *raw = w->rays[s->ray];
    raw->tmax = s->best_t;
    s->instance = 0;
    return pop(w, s);
}

/* Which way a ray goes: a bit an axis. */
INLINE unsigned octant(const mr_ray *ray)
{
    return f4_signs(f4_load(ray->dir)) & 7;
}

/* Counts and ranks by octant without a way through memory: a byte an octant. */
INLINE uint32_t packed_next(uint64_t *packed, unsigned octant)
{
    uint32_t rank = (uint32_t)(*packed >> 8 * octant) & 255;
    *packed += UINT64_C(1) << 8 * octant;
    return rank;
}

INLINE void packed_add(uint32_t *at, uint64_t packed)
{
    for (int k = 0; k < OCTANTS; k++) at[k] += (uint32_t)(packed >> 8 * k) & 255;
}

/* Puts the rays of the runs that do not go one way behind the others, by octant: what leaves a surface in all directions thus becomes eight beams
 * that each go one way. at: how many there are of each octant. */
INLINE void sort_runs(wave *w, const uint16_t *runs, uint32_t n, uint32_t *at)
{
    uint32_t from[OCTANTS], sum = w->whole * BEAM_RAYS;
    for (int k = 0; k < OCTANTS; k++) {
        from[k] = sum;
        sum += at[k];
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = runs[i], end = first + BEAM_RAYS < w->count ? first + BEAM_RAYS : w->count;
        uint64_t packed = 0;
        for (uint32_t ray = first; ray < end; ray++) {
            unsigned k = octant(&w->rays[ray]);
            w->order[from[k] + packed_next(&packed, k)] = (uint16_t)ray;
        }
        packed_add(from, packed);
    }
}

/* Decides in which order the rays are begun: first the runs of BEAM_RAYS that go one way as they are, then the others. */
static __attribute__((noinline)) void order_rays(wave *w)
{
    uint32_t at[OCTANTS] = { 0 }, others = 0;
    uint16_t runs[BATCH / BEAM_RAYS];
    w->whole = 0;
    for (uint32_t first = 0; first < w->count; first += BEAM_RAYS) {
        uint32_t end = first + BEAM_RAYS < w->count ? first + BEAM_RAYS : w->count;
        bounder b = bounds_none();
        for (uint32_t ray = first; ray < end; ray++) bounds_add(&b, &w->rays[ray]);
        bounds_store(&w->bounds[w->whole], &b);
        if (end - first == BEAM_RAYS && bounds_coherent(&w->bounds[w->whole])) {
            for (uint32_t i = 0; i < BEAM_RAYS; i++) w->order[w->whole * BEAM_RAYS + i] = (uint16_t)(first + i);
            w->whole++;
            continue;
        }
        uint64_t packed = 0;
        for (uint32_t ray = first; ray < end; ray++) (void)packed_next(&packed, octant(&w->rays[ray]));
        packed_add(at, packed);
        runs[others++] = (uint16_t)first;
    }
    if (others) sort_runs(w, runs, others, at);
}

/* Where the rays from the ray-th to before the end-th begin. */
INLINE const mr_bvh_node *aim_at(wave *w, uint32_t ray, uint32_t end)
{
    uint32_t run = ray / BEAM_RAYS;
    if (run >= w->whole) {
        bounder b = bounds_none();
        for (uint32_t i = ray; i < end; i++) bounds_add(&b, &w->rays[w->order[i]]);
        bounds_store(&w->bounds[run], &b);
    }
    return beam_root(w->base, &w->bounds[run], &w->start[w->turn]);
}

/* Decides where the rays from the ray-th on begin, every BEAM_RAYS rays anew. Beams with nothing on their way are done with at once. Returns the
 * next ray to be begun, or the count. */
INLINE uint32_t aim(wave *w, uint32_t ray, mr_hit *hits, uint8_t *blocked, int any)
{
    while (ray < w->count && ray % BEAM_RAYS == 0) {
        uint32_t end = w->count - ray < BEAM_RAYS ? w->count : ray + BEAM_RAYS;
        w->root = aim_at(w, ray, end);
        if (w->root) { /* two nodes take turns: rays of the last beam, which has more than a pass begins, may still wait for their first step */
            w->turn ^= 1;
            break;
        }
        for (; ray < end; ray++) {
            uint32_t i = w->order[ray];
            if (any) blocked[i] = 0;
            else hits[i] = (mr_hit){ w->rays[i].tmax, MR_NONE, 0, 0 };
        }
    }
    return ray;
}

/* Puts the ray-th ray into a slot; it is yet to be made ready. */
INLINE const mr_ray *begin(const wave *w, slot *s, uint32_t ray)
{
    const mr_ray *raw = &w->rays[w->order[ray]];
    s->ray = w->order[ray];
    s->best = NO_BEST;
    s->best_t = raw->tmax;
    s->instance = 0;
    s->top = 0;
    return raw;
}

INLINE void write_hit(const slot *s, mr_hit *hit)
{
    hit->t = s->best_t;
    hit->triangle = (uint32_t)s->best;
    hit->instance = (uint32_t)(s->best >> 32) & (0u - (uint32_t)(s->best != NO_BEST)); /* no branch: hit or miss is a coin's toss */
    hit->pad = 0;
}

/* ---- passes ---- */

INLINE const mr_bvh_node *node_at(const wave *w, uint32_t ref)
{
    return (const mr_bvh_node *)(const void *)(w->base + mr_ref_offset(ref));
}

/* A step through a node for each of n rays. at(i) is the slot, node(i) the node, next(i) receives the ray's next reference. Where children are sorted it
 * takes two loops: the shorter a body, the more of its iterations the processor overlaps. */
#define STEP_NODES(w, n, any, at, node, next)                                                                          \
    do {                                                                                                               \
        for (uint32_t i = 0; i < (n); i++) {                                                                           \
            vf8 d;                                                                                                     \
            unsigned bits = test_node(at(i), node(i), &d);                                                             \
            if (any) {                                                                                                 \
                slot *s = at(i);                                                                                       \
                s->top += simd_push(s->ref + s->top + 1, bits, node(i)->child);                                        \
            } else {                                                                                                   \
                (w)->lanes[i] = bits;                                                                                  \
                vf_store((w)->t[i], d);                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        for (uint32_t i = 0; i < (n); i++) {                                                                           \
            slot *s = at(i);                                                                                           \
            if (!(any)) s->top = push_sorted(s, node(i), s->top + 1, (w)->lanes[i], vf_load((w)->t[i])) - 1;                       \
            next(i) = pop(w, s);                                                                                       \
        }                                                                                                              \
    } while (0)

INLINE void node_pass(wave *w, int any)
{
    list *N = &w->node;
    const uint32_t n = N->n;
#define AT(i) slot_at(w, N->slot[i])
#define NODE(i) node_at(w, N->ref[i])
#define NEXT(i) N->ref[i]
    STEP_NODES(w, n, any, AT, NODE, NEXT);
#undef AT
#undef NODE
#undef NEXT
    deal(N, &w->leaf, &w->rare, N->slot, N->ref, n, 0, NULL);
}

INLINE const mr_bvh_leaf *leaf_at(const wave *w, uint32_t ref)
{
    return (const mr_bvh_leaf *)(const void *)(w->base + mr_ref_offset(ref));
}

/* Takes from the hits in bits those that went through holes (rule 6); ask: which are to be looked at. */
static __attribute__((noinline, cold)) unsigned drop_holes(wave *w, unsigned hit, unsigned ask)
{
    for (; w->pack && ask; ask &= ask - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(ask);
        if (!candidate_is_solid(&w->candidates, i, w->pack, slot_at(w, w->of_candidate[i])->instance)) hit &= ~(1u << i);
    }
    return hit;
}

/* Puts the candidates to the exact rule; the slots take what is hit. Empties the list. */
INLINE void decide(wave *w, int any)
{
    candidates *c = &w->candidates;
    vf8 t;
    float all[8] __attribute__((aligned(32)));
    unsigned ask, hit = candidates_accept(c, &t, &ask);
    if (__builtin_expect(ask, 0)) hit = drop_holes(w, hit, ask);
    vf_store(all, t);
    for (; hit; hit &= hit - 1) {
        int i = __builtin_ctz(hit);
        slot *s = slot_at(w, w->of_candidate[i]);
        if (any) s->best = 0;
        else take(s, all[i], c->leaf[i]->triangle[c->lane[i]]);
    }
    c->n = 0;
}

/* The exact rule for the rays whose leaf passed the quick test: w->hit[0 .. n - 1] index w->old. */
INLINE void hit_pass(wave *w, uint32_t n, int any)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t q = w->hit[i], offset = w->old.slot[q];
        if (any && w->sure[q] && leaf_blocks(&slot_at(w, offset)->r, leaf_at(w, w->old.ref[q]))) {
            slot_at(w, offset)->best = 0;
            continue;
        }
        for (uint32_t m = w->lanes[q]; m; m &= m - 1) {
            w->of_candidate[w->candidates.n] = offset;
            candidates_add(&w->candidates, &slot_at(w, offset)->r, leaf_at(w, w->old.ref[q]), (uint32_t)__builtin_ctz(m));
            if (w->candidates.n == 8) decide(w, any);
        }
    }
    if (w->candidates.n) decide(w, any);
    for (uint32_t i = 0; i < n; i++) {
        w->from[i] = w->old.slot[w->hit[i]];
        slot *s = slot_at(w, w->from[i]);
        if (!any) filter(s);
        w->next[i] = any && s->best != NO_BEST ? MR_REF_EMPTY : pop(w, s);
    }
    deal(&w->node, &w->leaf, &w->rare, w->from, w->next, n, w->node.n, NULL);
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
        unsigned sure, lanes = leaf_quick(&s->r, leaf_at(w, w->old.ref[i]), &sure);
        uint32_t ref = s->ref[s->top];
        prefetch(w->base, ref);
        s->top -= lanes == 0;
        w->lanes[i] = lanes;
        if (any) w->sure[i] = sure;
        uint32_t hit = 0u - (uint32_t)(lanes != 0); /* gcc makes a branch of a condition here, and it is a coin's toss */
        w->next[i] = (ref & ~hit) | (MR_REF_HIT & hit);
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

/* A ray that can hit nothing: not in an instance (the exit mark is what comes up next), or not at all. */
INLINE void give_up(wave *w, uint32_t q)
{
    slot *s = slot_at(w, w->from[q]);
    if (s->instance) w->next[q] = pop(w, s);
    else w->next[q] = MR_REF_EMPTY;
}

/* Makes *w->raw[0 .. n - 1] ready. Bit i of the result: the ray can hit something. */
INLINE uint32_t prepare(wave *w, uint32_t n)
{
    uint32_t usable = 0;
    for (uint32_t i = 0; i < 8; i++) { /* fills the last eight up */
        w->raw[n + i] = w->rays;
        w->setup[n + i] = &w->nobody;
    }
    for (uint32_t i = 0; i < n; i += 8) usable |= rays_prepare(w->raw + i, w->setup + i) << i;
    return usable;
}

/* The first node of the rays just begun. */
INLINE void first_steps(wave *w, uint32_t n, int any)
{
#define AT(i) slot_at(w, w->fresh_slot[i])
#define NODE(i) w->first[i]
#define NEXT(i) w->next[w->fresh[i]]
    STEP_NODES(w, n, any, AT, NODE, NEXT);
#undef AT
#undef NODE
#undef NEXT
}

/* Hands results out, starts new rays, goes into and out of instances. */
INLINE void rare_pass(wave *w, mr_hit *hits, uint8_t *blocked, int any)
{
    list *R = &w->rare;
    uint32_t n = 0, raw = 0, fresh = 0, rare = R->n, taken = w->taken; /* in registers: a counter in memory would chain the rays together */
    const uint32_t count = w->count;
    for (uint32_t i = 0; i < rare; i++) {
        uint32_t ref = R->ref[i], next = MR_REF_EMPTY;
        slot *s = slot_at(w, R->slot[i]);
        mr_ray *image = &w->image[raw];
        int goes = 1;
        w->raw[raw] = image;
        w->setup[raw] = &s->r;
        if (__builtin_expect(ref >= MR_REF_EMPTY, 1)) {
            finish(s, hits, blocked, any);
            taken = aim(w, taken, hits, blocked, any);
            if (taken == count) continue;
            w->fresh[fresh] = n;
            w->fresh_slot[fresh] = R->slot[i];
            w->first[fresh++] = w->root;
            w->raw[raw] = begin(w, s, taken++);
        } else if (ref >= MR_REF_EXIT) {
            next = leave(w, s, image);
        } else {
            next = enter(w, s, (const mr_bvh_instance *)(const void *)(w->base + mr_ref_offset(ref)), image, &goes, n, any);
        }
        w->raw_of[raw] = n;
        raw += (uint32_t)goes;
        w->from[n] = R->slot[i];
        w->next[n++] = next;
    }
    R->n = 0;
    w->taken = taken;
    if (w->spheres) meet_spheres(w, any);
    uint32_t idle = ~prepare(w, raw);
    first_steps(w, fresh, any);
    for (idle &= raw < 32 ? (1u << raw) - 1 : ~0u; idle; idle &= idle - 1) give_up(w, w->raw_of[__builtin_ctz(idle)]);
    deal(&w->node, &w->leaf, R, w->from, w->next, n, w->node.n, NULL);
}

INLINE void wave_init(wave *w, const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count)
{
    w->base = bvh;
    w->pack = pack;
    w->rays = rays;
    w->count = count;
    w->taken = w->candidates.n = w->turn = w->spheres = 0;
    order_rays(w);
    w->node.n = w->leaf.n = 0;
    w->rare.n = count < SLOTS ? count : SLOTS;
    for (uint32_t i = 0; i < w->rare.n; i++) {
        w->rare.slot[i] = i * (uint32_t)sizeof(slot);
        w->rare.ref[i] = MR_REF_EMPTY;
        w->slots[i].ray = NO_RAY;
        w->slots[i].ref[0] = MR_REF_EMPTY; /* the end mark; nothing overwrites it */
        w->slots[i].dist[0] = -1;
    }
}

INLINE void trace_batch(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, mr_hit *hits, uint8_t *blocked, wave *w, int any)
{
    wave_init(w, bvh, pack, rays, count < BATCH ? count : BATCH);
    for (;;) {
        if (w->rare.n >= DONE_MIN || w->node.n + w->leaf.n < DONE_MIN) rare_pass(w, hits, blocked, any);
        if (!w->node.n && !w->leaf.n && !w->rare.n) return;
        node_pass(w, any);
        if (w->leaf.n >= LEAF_MIN || w->node.n < LEAF_MIN) leaf_pass(w, any);
    }
}

static void intersect(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, mr_hit *hits, void *scratch)
{
    for (uint32_t at = 0; at < count; at += BATCH) trace_batch(bvh, pack, rays + at, count - at, hits + at, NULL, scratch, 0);
}

static void occluded(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, uint8_t *blocked, void *scratch)
{
    for (uint32_t at = 0; at < count; at += BATCH) trace_batch(bvh, pack, rays + at, count - at, NULL, blocked + at, scratch, 1);
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
