/* The binary tree: top-down, one reference a leaf (the collapse decides how large the 8-wide leaves become).
 *
 * Threads: the main thread splits the top until the parts are small enough, the parts are built by whichever thread is free, each
 * into its own array, and then put behind the top in order. What a part becomes depends on its references alone (the budget for
 * spatial splits is dealt out with them, not taken from a common pot), so the tree has the same shape for any number of threads;
 * only the numbering of its nodes differs, and the collapse does not look at that. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tracer/bvh_internal.h"

enum { TASKS_A_THREAD = 8, TASK_MIN = 1024 };

#define OVERLAP_MIN 1e-5f /* spatial splits are tried where the halves overlap by more than this part of the root's surface */

/* References whose subtree goes to node `node`; depth counts edges from the root. */
typedef struct part {
    mr_bvh2_ref *refs;
    uint32_t count, node, budget; /* budget: references that spatial splits may add below */
    int depth;
} part;

typedef struct task {
    part part; /* owns part.refs */
    mr_bvh2 tree;
    int failed;
} task;

typedef struct builder {
    const mr_bvh_source *source;
    mr_bvh2 *tree;
    float root_area;
    int depth_limit, failed;
    uint32_t defer_below;  /* parts of at most so many references become tasks; 0: build all here */
    task *tasks;
    uint32_t task_count, task_capacity;
} builder;

static int reserve_nodes(mr_bvh2 *tree, uint32_t more)
{
    if (more <= tree->capacity - tree->used) return 0;
    uint64_t want = (uint64_t)tree->used + more;
    want += want / 2 + 16;
    if (want > UINT32_MAX) want = UINT32_MAX;
    if (want < (uint64_t)tree->used + more) return -1;
    mr_bvh2_node *nodes = realloc(tree->nodes, (size_t)want * sizeof *nodes);
    if (!nodes) return -1;
    tree->nodes = nodes;
    tree->capacity = (uint32_t)want;
    return 0;
}

/* Two children for a node: returns the first, 0 without memory. */
static uint32_t new_pair(builder *b, uint32_t parent)
{
    mr_bvh2 *t = b->tree;
    if (reserve_nodes(t, 2)) {
        b->failed = 1;
        return 0;
    }
    t->nodes[parent].left = t->used;
    t->used += 2;
    return t->used - 2;
}

/* May so many references stand at this depth? They need depth + ceil(log2(count)) <= limit. */
static int fits(const builder *b, uint32_t count, int depth)
{
    int left = b->depth_limit - depth;
    return left >= 32 || (left >= 0 && count <= 1u << left);
}

static void bound(const part *p, box *bounds, box *centroids)
{
    *bounds = *centroids = box_empty();
    for (uint32_t i = 0; i < p->count; i++) {
        box x = ref_box(p->refs + i);
        f4 middle = x.lo + x.hi;
        *bounds = box_union(*bounds, x);
        *centroids = box_union(*centroids, (box){ middle, middle });
    }
}

static int holds_instance(const part *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->refs[i].prim & MR_BVH2_INSTANCE) return 1;
    return 0;
}

/* The halves of an object split overlap noticeably, or there is none. */
static int worth_cutting(const builder *b, const mr_bvh2_split *object)
{
    if (object->axis < 0) return 1;
    box o = box_common(object->left, object->right);
    for (int a = 0; a < 3; a++)
        if (o.hi[a] < o.lo[a]) return 0;
    return box_area(o) > OVERLAP_MIN * b->root_area;
}

/* Puts the references of the left bins first; returns their number. */
static uint32_t partition(const part *p, const mr_bvh2_split *s)
{
    uint32_t m = 0, e = p->count;
    while (m < e) {
        mr_bvh2_ref r = p->refs[m];
        if (mr_bvh2_bin(r.lo[s->axis] + r.hi[s->axis], s->origin, s->scale) <= s->bin) {
            m++;
        } else {
            p->refs[m] = p->refs[--e];
            p->refs[e] = r;
        }
    }
    return m;
}

typedef struct side {
    mr_bvh2_ref *refs;
    uint32_t count;
    box bounds;
} side;

static void side_add(side *s, const mr_bvh2_ref *ref, box b)
{
    ref_set(&s->refs[s->count++], b, ref->prim);
    s->bounds = box_union(s->bounds, b);
}

static float side_cost(const side *s, const box *with)
{
    return with ? box_area(box_union(s->bounds, *with)) * (float)(s->count + 1) : box_area(s->bounds) * (float)s->count;
}

/* A reference on both sides of the plane: cut it, or give all of it to one side where that is cheaper ("unsplitting"). */
static void deal_straddler(const builder *b, const mr_bvh2_split *s, const mr_bvh2_ref *ref, side *l, side *r, uint32_t *cuts)
{
    box x, y, whole = ref_box(ref);
    mr_bvh2_cut(b->source, ref, s->axis, s->plane, &x, &y);
    float both = side_cost(l, &x) + side_cost(r, &y);
    float left = side_cost(l, &whole) + side_cost(r, NULL), right = side_cost(l, NULL) + side_cost(r, &whole);
    if (l->count && left < both && left <= right) {
        side_add(l, ref, whole);
    } else if (r->count && right < both) {
        side_add(r, ref, whole);
    } else {
        side_add(l, ref, x);
        side_add(r, ref, y);
        ++*cuts;
    }
}

/* Fills l and r, whose arrays hold p->count each. Returns the references added. */
static uint32_t deal(const builder *b, const part *p, const mr_bvh2_split *s, side *l, side *r)
{
    uint32_t cuts = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const mr_bvh2_ref *ref = &p->refs[i];
        if (ref->hi[s->axis] <= s->plane) side_add(l, ref, ref_box(ref));
        else if (ref->lo[s->axis] >= s->plane) side_add(r, ref, ref_box(ref));
    }
    for (uint32_t i = 0; i < p->count; i++) {
        const mr_bvh2_ref *ref = &p->refs[i];
        if (ref->hi[s->axis] > s->plane && ref->lo[s->axis] < s->plane) deal_straddler(b, s, ref, l, r, &cuts);
    }
    return cuts;
}

static void build(builder *b, const part *p);

/* Both children, the remaining budget in proportion. */
static void build_pair(builder *b, const part *p, mr_bvh2_ref *left, uint32_t nl, mr_bvh2_ref *right, uint32_t nr, uint32_t budget)
{
    uint32_t kid = new_pair(b, p->node);
    if (!kid) return;
    uint32_t share = (uint32_t)((uint64_t)budget * nl / ((uint64_t)nl + nr));
    build(b, &(part){ left, nl, kid, share, p->depth + 1 });
    build(b, &(part){ right, nr, kid + 1, budget - share, p->depth + 1 });
}

/* 1: done (or failed); 0: the split turned out useless, nothing has happened. */
static int build_spatial(builder *b, const part *p, const mr_bvh2_split *s)
{
    side l = { .bounds = box_empty() }, r = l;
    l.refs = malloc(2 * (size_t)p->count * sizeof *l.refs);
    if (!l.refs) {
        b->failed = 1;
        return 1;
    }
    r.refs = l.refs + p->count;
    uint32_t cuts = deal(b, p, s, &l, &r);
    int useful = l.count && r.count && !(l.count == p->count && r.count == p->count) && cuts <= p->budget &&
                 fits(b, l.count, p->depth + 1) && fits(b, r.count, p->depth + 1);
    if (useful) build_pair(b, p, l.refs, l.count, r.refs, r.count, p->budget - cuts);
    free(l.refs);
    return useful;
}

static void build_object(builder *b, const part *p, const mr_bvh2_split *s)
{
    uint32_t m = s->axis >= 0 ? partition(p, s) : 0;
    if (m == 0 || m == p->count || !fits(b, m, p->depth + 1) || !fits(b, p->count - m, p->depth + 1)) m = p->count / 2;
    build_pair(b, p, p->refs, m, p->refs + m, p->count - m, p->budget);
}

/* Leaves a part for a thread: copies its references. */
static void defer(builder *b, const part *p)
{
    if (b->task_count == b->task_capacity) {
        uint32_t capacity = b->task_capacity * 2 + 64;
        task *tasks = realloc(b->tasks, capacity * sizeof *tasks);
        if (!tasks) {
            b->failed = 1;
            return;
        }
        b->tasks = tasks;
        b->task_capacity = capacity;
    }
    task t = { .part = *p };
    t.part.refs = malloc((size_t)p->count * sizeof *t.part.refs);
    if (!t.part.refs) {
        b->failed = 1;
        return;
    }
    memcpy(t.part.refs, p->refs, (size_t)p->count * sizeof *t.part.refs);
    b->tasks[b->task_count++] = t;
}

/* Splits a part of two or more. */
static void split(builder *b, const part *p, box bounds, box centroids)
{
    mr_bvh2_split object = mr_bvh2_object_split(p->refs, p->count, centroids);
    if (p->budget && worth_cutting(b, &object) && !holds_instance(p)) {
        mr_bvh2_split spatial = mr_bvh2_spatial_split(b->source, p->refs, p->count, bounds, object.cost);
        if (spatial.axis >= 0 && build_spatial(b, p, &spatial)) return;
    }
    build_object(b, p, &object);
}

static void build(builder *b, const part *p)
{
    if (b->failed) return;
    if (p->count <= b->defer_below && p->count > 1) {
        defer(b, p);
        return;
    }
    box bounds, centroids;
    bound(p, &bounds, &centroids);
    mr_bvh2_node *n = &b->tree->nodes[p->node];
    f4_store(n->lo, bounds.lo);
    f4_store(n->hi, bounds.hi);
    n->count = p->count;
    n->left = p->refs[0].prim;
    if (p->depth == 0) b->root_area = box_area(bounds);
    if (p->count > 1) split(b, p, bounds, centroids);
}

typedef struct crew {
    const builder *top;
    atomic_uint next;
} crew;

static void run_task(const builder *top, task *t)
{
    part p = t->part;
    builder b = { .source = top->source, .tree = &t->tree, .root_area = top->root_area, .depth_limit = top->depth_limit };
    p.node = 0;
    t->failed = reserve_nodes(&t->tree, p.count < UINT32_MAX / 4 ? 2 * p.count + 2 : 2);
    if (t->failed) return;
    t->tree.used = 2;
    build(&b, &p);
    t->failed = b.failed;
}

static void *work(void *argument)
{
    crew *c = argument;
    for (;;) {
        unsigned i = atomic_fetch_add(&c->next, 1);
        if (i >= c->top->task_count) return NULL;
        run_task(c->top, &c->top->tasks[i]);
    }
}

/* Runs all tasks; threads that cannot be started are done without. */
static void run_tasks(const builder *top, int threads)
{
    enum { CREW_MAX = 256 };
    pthread_t id[CREW_MAX];
    int started = 0, want = threads - 1 < CREW_MAX ? threads - 1 : CREW_MAX;
    crew c = { .top = top };
    atomic_init(&c.next, 0);
    while (started < want && pthread_create(&id[started], NULL, work, &c) == 0) started++;
    work(&c);
    for (int i = 0; i < started; i++) pthread_join(id[i], NULL);
}

/* Puts a task's tree behind the common one, its root at its place. */
static int append(mr_bvh2 *to, const task *t)
{
    if (t->failed || reserve_nodes(to, t->tree.used)) return -1;
    uint32_t shift = to->used - 2;
    for (uint32_t i = 0; i < t->tree.used; i++) {
        mr_bvh2_node n = t->tree.nodes[i];
        if (i == 1) continue;
        if (n.count > 1) n.left += shift;
        to->nodes[i ? i + shift : t->part.node] = n;
    }
    to->used += t->tree.used - 2;
    return 0;
}

/* Spatial splits add references: counts and boxes above them follow. */
static void refit_counts(mr_bvh2 *tree)
{
    for (uint32_t i = tree->used; i-- > 0;) {
        mr_bvh2_node *n = &tree->nodes[i];
        if (i == 1 || n->count == 1) continue;
        n->count = tree->nodes[n->left].count + tree->nodes[n->left + 1].count;
    }
}

static void free_tasks(builder *b)
{
    for (uint32_t i = 0; i < b->task_count; i++) {
        free(b->tasks[i].part.refs);
        free(b->tasks[i].tree.nodes);
    }
    free(b->tasks);
}

int mr_bvh2_build(mr_bvh2 *tree, const mr_bvh_source *source, mr_bvh2_ref *refs, uint32_t count, int quality, int threads,
                  int depth_limit)
{
    builder b = { .source = source, .tree = tree, .depth_limit = depth_limit };
    part root = { refs, count, 0, quality == MR_BVH_HIGH ? count : 0, 0 };
    *tree = (mr_bvh2){ 0 };
    if (threads > 1 && count / (uint32_t)threads / TASKS_A_THREAD >= TASK_MIN) b.defer_below = count / (uint32_t)threads / TASKS_A_THREAD;
    if (reserve_nodes(tree, 2)) return -1;
    memset(tree->nodes, 0, 2 * sizeof *tree->nodes);
    tree->used = 2;
    build(&b, &root);
    if (!b.failed && b.task_count) {
        run_tasks(&b, threads);
        for (uint32_t i = 0; i < b.task_count && !b.failed; i++) b.failed = append(tree, &b.tasks[i]) != 0;
    }
    free_tasks(&b);
    if (b.failed) {
        free(tree->nodes);
        *tree = (mr_bvh2){ 0 };
        return -1;
    }
    refit_counts(tree);
    return 0;
}
