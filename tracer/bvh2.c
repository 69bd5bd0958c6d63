/* The binary tree: top-down, one reference a leaf (the collapse decides how large the 8-wide leaves become).
 *
 * A part is a run of references. A split moves them, in their order, from one of two arrays to the other: the left ones to the front of the
 * part's places, the right ones behind them and behind the places that the left ones may still need for spatial splits. So nothing is
 * allocated for a node, and where a node stands (mr_bvh2_node) follows from the split alone.
 *
 * Threads: the crew bins and moves the largest parts together; then parts become jobs for whoever is free, down to a size. The last of two
 * children to be ready plans their parent. Each split is a pure function of the part, so the tree is the same for any number of threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tracer/bvh_internal.h"

enum { JOB_MIN = 2048, TOGETHER_MIN = 1 << 15, PIECES_MAX = 16 };

/* Spatial splits may add half as many references as there are: on needles twice as many would make the tree a sixth cheaper to trace, but as
 * much larger; on buildings a quarter is hardly missed. */
enum { BUDGET_PART = 2 };

#define OVERLAP_MIN 0.2f /* spatial splits are looked at where the mr_bvh2_halves overlap by more than this part of the whole's surface */

typedef struct part {
    mr_bvh2_at at;
    uint32_t count, budget;     /* references; those that spatial splits may add: the part has so many places more */
    int depth;                  /* edges from the root */
    uint8_t in_spare;           /* which array holds it */
    uint8_t has_instance;       /* it may: then no spatial splits */
    box bounds, middles;        /* of the references, of their doubled middles */
} part;

typedef struct job {
    part part;
    struct junction *parent; /* of the subtree; NULL: it is the whole tree */
    int side;                /* of the parent */
    struct job *next;        /* in the list of those that wait */
} job;

/* A node whose children are jobs. */
typedef struct junction {
    part part;
    job child[2];
    mr_bvh2_cost cost[2];
    atomic_int missing; /* children that are not ready */
    struct junction *parent;
    int side;
} junction;

typedef struct builder {
    const mr_bvh_source *source;
    mr_bvh2 *tree;
    mr_bvh2_ref *spare; /* the other array; as many places as tree->refs */
    mr_crew *crew;
    int depth_limit;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t news;
    job *jobs;
    int running;
} builder;

uint32_t mr_bvh2_room(uint32_t count, int quality)
{
    const uint32_t most = MR_BVH2_INSTANCE - 1;
    uint32_t budget = quality == MR_BVH_HIGH ? count / BUDGET_PART : 0;
    return count + (budget < most - count ? budget : most - count);
}

static mr_bvh2_ref *refs_of(const builder *b, const part *p)
{
    return (p->in_spare ? b->spare : b->tree->refs) + p->at.ref;
}

static mr_bvh2_ref *other_refs(const builder *b, const part *p)
{
    return (p->in_spare ? b->tree->refs : b->spare) + p->at.ref;
}

/* May so many references stand at this depth? They need depth + ceil(log2(count)) <= limit. */
static int fits(const builder *b, uint32_t count, int depth)
{
    int left = b->depth_limit - depth;
    return left >= 32 || (left >= 0 && count <= 1u << left);
}

/* ---- passes over a part, alone or by the whole crew ---- */

typedef struct work {
    const builder *b;
    const mr_bvh2_ref *refs;
    uint32_t count, pieces;
    int spatial;
    mr_bvh2_grid grid;
    mr_bvh2_split split;
    mr_bvh2_bins *bins; /* of each piece */
    mr_bvh2_halves sides[PIECES_MAX];
} work;

static uint32_t piece_begin(const work *p, uint32_t piece)
{
    return (uint32_t)((uint64_t)p->count * piece / p->pieces);
}

static void bin_piece(void *context, uint32_t piece)
{
    work *p = context;
    uint32_t begin = piece_begin(p, piece), count = piece_begin(p, piece + 1) - begin;
    mr_bvh2_bins_clear(&p->bins[piece], &p->grid);
    if (p->spatial) mr_bvh2_spatial_bins(&p->bins[piece], &p->grid, p->b->source, p->refs + begin, count);
    else mr_bvh2_object_bins(&p->bins[piece], &p->grid, p->refs + begin, count);
}

static void move_piece(void *context, uint32_t piece)
{
    work *p = context;
    uint32_t begin = piece_begin(p, piece), count = piece_begin(p, piece + 1) - begin;
    if (p->spatial) mr_bvh2_move_spatial(p->b->source, &p->split, &p->grid, p->refs + begin, count, &p->sides[piece]);
    else mr_bvh2_move_object(&p->split, &p->grid, p->refs + begin, count, &p->sides[piece]);
}

static void run(work *p, void (*piece)(void *context, uint32_t piece))
{
    mr_crew_run(p->pieces > 1 ? p->b->crew : NULL, piece, p, p->pieces);
}

/* Fills and unites the bins; bins[0] holds the result, the others their pieces' own. */
static void bin_all(work *p)
{
    run(p, bin_piece);
    for (uint32_t i = 1; i < p->pieces; i++) mr_bvh2_bins_merge(&p->bins[0], &p->bins[i], &p->grid);
}

/* Counts on each side of every piece, so that it knows where to write. */
static void count_pieces(work *p)
{
    for (uint32_t i = 0; i < p->pieces; i++) p->sides[i] = (mr_bvh2_halves){ { bvh2_half_empty(NULL), bvh2_half_empty(NULL) } };
    run(p, move_piece);
}

/* The number on the left of each piece of an object split, from its bins (those of piece 0 are all pieces' together). */
static void count_from_bins(work *p)
{
    for (uint32_t i = p->pieces; i-- > 0;) {
        uint32_t left = 0, all = piece_begin(p, i + 1) - piece_begin(p, i);
        for (int k = 0; k <= p->split.bin; k++) left += p->bins[i].in[p->split.axis][k];
        for (uint32_t k = 1; k < p->pieces && i == 0; k++) left -= p->sides[k].of[0].count;
        p->sides[i].of[0].count = left;
        p->sides[i].of[1].count = all - left;
    }
}

static void half_merge(mr_bvh2_half *s, const mr_bvh2_half *more)
{
    s->count += more->count;
    s->bounds = box_union(s->bounds, more->bounds);
    s->middles = box_union(s->middles, more->middles);
}

/* Moves all references; left and right: where to. Returns what the sides have become. */
static mr_bvh2_halves move_all(work *p, mr_bvh2_ref *left, mr_bvh2_ref *right)
{
    mr_bvh2_halves all = { { bvh2_half_empty(left), bvh2_half_empty(right) } };
    if (p->pieces > 1 && p->spatial) count_pieces(p);
    else if (p->pieces > 1) count_from_bins(p);
    for (uint32_t i = 0; i < p->pieces; i++) {
        uint32_t l = p->pieces > 1 ? p->sides[i].of[0].count : 0, r = p->pieces > 1 ? p->sides[i].of[1].count : 0;
        p->sides[i] = (mr_bvh2_halves){ { bvh2_half_empty(left), bvh2_half_empty(right) } };
        left += l;
        right += r;
    }
    run(p, move_piece);
    for (uint32_t i = 0; i < p->pieces; i++)
        for (int k = 0; k < 2; k++) half_merge(&all.of[k], &p->sides[i].of[k]);
    return all;
}

/* ---- splitting a part ---- */

/* The children of a part of two or more. */
typedef struct children {
    part left, right;
} children;

static part child(const part *p, const mr_bvh2_half *s, mr_bvh2_at at, uint32_t budget)
{
    return (part){ at, s->count, budget, p->depth + 1, !p->in_spare, p->has_instance, s->bounds, s->middles };
}

static mr_bvh2_at left_of(const part *p)
{
    return (mr_bvh2_at){ p->at.node + 1, p->at.ref };
}

static mr_bvh2_at right_of(const part *p, uint32_t left_room)
{
    return (mr_bvh2_at){ p->at.node + left_room, p->at.ref + left_room };
}

/* Deals out the budget in proportion. A single reference needs none (and its room tells that it is one). */
static uint32_t share(uint32_t budget, uint32_t nl, uint32_t nr)
{
    if (nl < 2) return 0;
    return nr < 2 ? budget : (uint32_t)((uint64_t)budget * nl / ((uint64_t)nl + nr));
}

static int holds_instance(const mr_bvh2_ref *refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (refs[i].prim & MR_BVH2_INSTANCE) return 1;
    return 0;
}

/* The halves of an object split overlap noticeably, or there is none. */
static int worth_cutting(const part *p, const mr_bvh2_split *object)
{
    if (object->axis < 0) return 1;
    box o = box_common(object->left, object->right);
    return box_is_proper(o) && box_area(o) > OVERLAP_MIN * box_area(p->bounds);
}

/* 1: done; 0: the split turned out useless, nothing has happened. */
static int split_spatial(const builder *b, const part *p, work *pass, children *out)
{
    const mr_bvh2_split *s = &pass->split;
    uint32_t cuts = s->nl + s->nr - p->count;
    if (cuts > p->budget || !fits(b, s->nl, p->depth + 1) || !fits(b, s->nr, p->depth + 1)) return 0;
    uint32_t budget = p->budget - cuts, left = share(budget, s->nl, s->nr), room = s->nl + left;
    mr_bvh2_halves sides = move_all(pass, other_refs(b, p), other_refs(b, p) + room);
    uint32_t nl = sides.of[0].count, nr = sides.of[1].count;
    if (!nl || !nr || (nl == p->count && nr == p->count)) return 0;
    if (nl == 1 && room > 1) { /* its room tells that it is one */
        memmove(other_refs(b, p) + 1, other_refs(b, p) + room, nr * sizeof *pass->refs);
        room = 1;
    }
    out->left = child(p, &sides.of[0], left_of(p), room - nl);
    out->right = child(p, &sides.of[1], right_of(p, room), nr < 2 ? 0 : p->count + p->budget - room - nr);
    return 1;
}

static void split_object(const builder *b, const part *p, work *pass, children *out)
{
    const mr_bvh2_split *s = &pass->split;
    int usable = s->axis >= 0 && fits(b, s->nl, p->depth + 1) && fits(b, s->nr, p->depth + 1);
    uint32_t nl = usable ? s->nl : p->count / 2, nr = p->count - nl, left = share(p->budget, nl, nr);
    mr_bvh2_halves sides = { { bvh2_half_empty(other_refs(b, p)), bvh2_half_empty(other_refs(b, p) + nl + left) } };
    if (usable) sides = move_all(pass, sides.of[0].refs, sides.of[1].refs);
    else mr_bvh2_move_halves(pass->refs, p->count, &sides);
    out->left = child(p, &sides.of[0], left_of(p), left);
    out->right = child(p, &sides.of[1], right_of(p, nl + left), nr < 2 ? 0 : p->budget - left);
}

static int try_spatial(const builder *b, const part *p, work *pass, float to_beat, children *out)
{
    pass->spatial = 1;
    pass->grid = mr_bvh2_spatial_grid(p->bounds, p->count);
    bin_all(pass);
    pass->split = mr_bvh2_spatial_split(&pass->bins[0], &pass->grid, p->count, to_beat * 0.999f);
    return pass->split.axis >= 0 && split_spatial(b, p, pass, out);
}

/* Splits a part of two or more. pieces: how many of the crew do it together; bins: one for each. */
static void split(const builder *b, part *p, uint32_t pieces, mr_bvh2_bins *bins, children *out)
{
    work pass = { .b = b, .refs = refs_of(b, p), .count = p->count, .pieces = pieces, .bins = bins };
    mr_bvh2_grid grid = pass.grid = mr_bvh2_object_grid(p->middles, p->count);
    bin_all(&pass);
    mr_bvh2_split object = pass.split = mr_bvh2_object_split(&bins[0], &pass.grid, p->count);
    if (p->budget && worth_cutting(p, &object)) {
        if (p->has_instance) p->has_instance = (uint8_t)holds_instance(pass.refs, p->count);
        if (!p->has_instance && try_spatial(b, p, &pass, object.cost, out)) return;
        pass.spatial = 0;
        pass.grid = grid;
        pass.split = object;
        if (pieces > 1) bin_all(&pass); /* the pieces' counts again */
    }
    split_object(b, p, &pass, out);
}

/* ---- building ---- */

static mr_bvh2_cost join(const builder *b, const part *p, const part *right, const mr_bvh2_cost child[2])
{
    mr_bvh2_node *n = &b->tree->nodes[p->at.node];
    f4_store(n->lo, p->bounds.lo);
    f4_store(n->hi, p->bounds.hi);
    n->left_room = right->at.ref - p->at.ref;
    return mr_bvh2_plan_pair(n, right->count == 1, &child[0], &child[1]);
}

/* The whole subtree, by the calling thread. */
static mr_bvh2_cost build(const builder *b, part *p, mr_bvh2_bins *bins)
{
    if (p->count <= MR_BVH2_SMALL) return mr_bvh2_small(b->tree, p->at, refs_of(b, p), p->count, b->depth_limit - p->depth);
    children c;
    split(b, p, 1, bins, &c);
    mr_bvh2_cost cost[2] = { build(b, &c.left, bins), build(b, &c.right, bins) };
    return join(b, p, &c.right, cost);
}

/* ---- jobs ---- */

static void push(builder *b, job *j)
{
    (void)pthread_mutex_lock(&b->lock);
    j->next = b->jobs;
    b->jobs = j;
    (void)pthread_cond_signal(&b->news);
    (void)pthread_mutex_unlock(&b->lock);
}

/* Where the largest job hangs in the list; there is one. */
static job **largest(builder *b)
{
    job **best = &b->jobs;
    for (job **at = best; *at; at = &(*at)->next)
        if ((*at)->part.count > (*best)->part.count) best = at;
    return best;
}

static job take(job **at)
{
    job taken = **at;
    *at = taken.next;
    return taken;
}

/* The largest job; 0 when all are done. Waits while others may still leave some. */
static int pull(builder *b, job *out)
{
    (void)pthread_mutex_lock(&b->lock);
    while (!b->jobs && b->running) (void)pthread_cond_wait(&b->news, &b->lock);
    int found = b->jobs != NULL;
    if (found) {
        *out = take(largest(b));
        b->running++;
    }
    (void)pthread_mutex_unlock(&b->lock);
    return found;
}

static void job_done(builder *b)
{
    (void)pthread_mutex_lock(&b->lock);
    if (--b->running == 0) (void)pthread_cond_broadcast(&b->news);
    (void)pthread_mutex_unlock(&b->lock);
}

/* Hands what a subtree costs to its parent; whoever brings the second child goes on upwards. */
static void deliver(const builder *b, junction *j, int side, mr_bvh2_cost cost)
{
    while (j) {
        j->cost[side] = cost;
        if (atomic_fetch_sub(&j->missing, 1) > 1) return;
        cost = join(b, &j->part, &j->child[1].part, j->cost);
        junction *done = j;
        side = j->side;
        j = j->parent;
        free(done);
    }
}

static junction *new_junction(const part *p, const children *c, junction *parent, int side)
{
    junction *j = malloc(sizeof *j);
    if (!j) return NULL;
    j->part = *p;
    j->child[0] = (job){ c->left, j, 0, NULL };
    j->child[1] = (job){ c->right, j, 1, NULL };
    j->parent = parent;
    j->side = side;
    atomic_init(&j->missing, 2);
    return j;
}

/* Splits one part into two jobs. Without memory for that: all of it here and now. */
static void fork_part(builder *b, job *of, uint32_t pieces, mr_bvh2_bins *bins)
{
    children c;
    split(b, &of->part, pieces, bins, &c);
    junction *j = new_junction(&of->part, &c, of->parent, of->side);
    if (j) {
        push(b, &j->child[0]);
        push(b, &j->child[1]);
        return;
    }
    mr_bvh2_cost cost[2] = { build(b, &c.left, bins), build(b, &c.right, bins) };
    deliver(b, of->parent, of->side, join(b, &of->part, &c.right, cost));
}

/* One of the crew: takes jobs until there are none. */
static void take_jobs(void *context, uint32_t piece)
{
    builder *b = context;
    mr_bvh2_bins bins;
    job next;
    (void)piece;
    while (pull(b, &next)) {
        if (next.part.count > JOB_MIN) fork_part(b, &next, 1, &bins);
        else deliver(b, next.parent, next.side, build(b, &next.part, &bins));
        job_done(b);
    }
}

/* The largest parts one after the other, each by all together, until there are enough for everyone. */
static void split_together(builder *b, mr_bvh2_bins *bins, uint32_t pieces, uint32_t least)
{
    while (b->jobs && (*largest(b))->part.count >= least) {
        job next = take(largest(b));
        fork_part(b, &next, pieces, bins);
    }
}

static int build_in_jobs(builder *b, const part *root)
{
    uint32_t threads = (uint32_t)mr_crew_size(b->crew), pieces = threads < PIECES_MAX ? threads : PIECES_MAX, least = root->count / (2 * threads);
    job first = { *root, NULL, 0, NULL };
    mr_bvh2_bins *bins = malloc(pieces * sizeof *bins);
    if (!bins) return -1;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->news, NULL);
    push(b, &first);
    split_together(b, bins, pieces, least > TOGETHER_MIN ? least : TOGETHER_MIN);
    mr_crew_run(b->crew, take_jobs, b, threads);
    (void)pthread_cond_destroy(&b->news);
    (void)pthread_mutex_destroy(&b->lock);
    free(bins);
    return 0;
}

int mr_bvh2_build(mr_bvh2 *tree, const mr_bvh_source *source, mr_bvh2_ref *spare, mr_crew *crew, int depth_limit)
{
    builder b = { .source = source, .tree = tree, .spare = spare, .crew = crew, .depth_limit = depth_limit };
    part root = { { 0, 0 }, tree->count, tree->room - tree->count, 0, 0, source->records != NULL, tree->bounds, tree->middles };
    tree->root = (mr_bvh2_at){ tree->count == 1 ? MR_BVH2_SINGLE : 0, 0 };
    if (mr_crew_size(crew) > 1 && tree->count > JOB_MIN) return build_in_jobs(&b, &root);
    mr_bvh2_bins bins;
    (void)build(&b, &root, &bins);
    return 0;
}
