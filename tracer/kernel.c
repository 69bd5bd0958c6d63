/* The ray kernel: one thread traces a batch as a wavefront. Compiled once for each instruction set (see tracer/simd.h).
 *
 * Some dozens of rays are in flight, each in a slot with its own stack. They stand in lists by what they need next: a node, a leaf, or something
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

#include "tracer/kernel_list.h"
#include "tracer/kernel_rare.h"

/* ---- the order of the rays ---- */

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
        unsigned sure, lanes = leaf_quick(&s->r, leaf_at(w, w->old.ref[i]), &sure, any);
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
INLINE uint64_t prepare(wave *w, uint32_t n)
{
    uint64_t usable = 0;
    for (uint32_t i = 0; i < 8; i++) { /* fills the last eight up */
        w->raw[n + i] = w->rays;
        w->setup[n + i] = &w->nobody;
    }
    for (uint32_t i = 0; i < n; i += 8) usable |= (uint64_t)rays_prepare(w->raw + i, w->setup + i) << i;
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
    uint64_t idle = ~prepare(w, raw) & ((UINT64_C(1) << raw) - 1);
    first_steps(w, fresh, any);
    for (; idle; idle &= idle - 1) give_up(w, w->raw_of[__builtin_ctzll(idle)]);
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
