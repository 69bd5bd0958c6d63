/* See coordinator/account.h.
 *
 *   thread   free since `free_us` (it ended a tile then, by its worker's clock, or joined); known to us since `seen_us` (its result came)
 *   lease    assigned at `at_us`
 *
 * A tile that was begun at b closes a gap:     free ------ seen ........ assigned ------ b
 *                                              network      waiting|tail         network
 * and is `starting` altogether when it is the thread's first one, of this life or of the window. `dry_us` counts the time in which no work was open;
 * its values at `seen` and `assigned` tell how much of the middle was tail. */
#include "coordinator/account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/limits.h"
#include "coordinator/map.h"

#define NONE UINT32_MAX
enum { SKEW_US = 10000000 /* clocks are compared anew so often: two clocks drift by up to 1 ms in it */ };

typedef struct thread {
    uint64_t free_us, seen_us, seen_dry_us;
    int fresh; /* nothing traced since joining */
} thread;

typedef struct account_worker {
    uint32_t number, count;   /* number 0: unused; count: threads */
    uint64_t joined_us, drain_us; /* drain_us 0: not draining */
    int started, clock_known;
    int64_t skew_us, next_skew_us; /* our clock less the worker's; the least seen, and that of the stretch that has just begun */
    uint64_t skew_since_us;
    uint32_t rtt_us;          /* the least */
    uint32_t first, last;     /* its leases, oldest first */
    thread *threads;
} account_worker;

typedef struct account_lease {
    uint64_t id;              /* 0: unused. The scheduler's: generation << 32 | index, at which it is kept here */
    uint64_t job, at_us, dry_us, revoked_us; /* revoked_us 0: not */
    uint32_t worker, prev, next; /* worker: its place */
} account_lease;

typedef struct window {
    uint64_t job;             /* 0: all */
    uint64_t begin_us, begin_dry_us, begin_cpu_us;
    int used, closed;
    co_account_report sums;   /* present_us: of workers that left */
} window;

struct co_account {
    account_worker *workers;
    uint32_t worker_count, worker_capacity, worker_free; /* places, of which some are unused: linked by `first` */
    uint32_t thread_count;
    co_map by_number;
    account_lease *leases;
    uint32_t lease_capacity;
    window windows[CO_ACCOUNT_WINDOWS]; /* the first is of all */
    window *open[CO_ACCOUNT_WINDOWS];   /* those not closed */
    unsigned open_count;
    uint64_t dry_us, changed_us;        /* so much until changed_us */
    int dry;
    void (*slice)(void *user, const co_slice *slice);
    void *user;
};

static uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t span(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

static uint64_t dry_at(const co_account *a, uint64_t now_us) { return a->dry_us + (a->dry ? span(a->changed_us, now_us) : 0); }

static void show(co_account *a, co_slice s)
{
    if (a->slice) a->slice(a->user, &s);
}

/* ---- life ---- */

co_account *co_account_new(uint64_t now_us)
{
    co_account *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->changed_us = now_us;
    a->dry = 1;
    a->worker_free = NONE;
    a->windows[0] = (window){ .used = 1, .begin_us = now_us };
    a->open[a->open_count++] = &a->windows[0];
    return a;
}

void co_account_free(co_account *a)
{
    if (!a) return;
    for (uint32_t i = 0; i < a->worker_count; i++) free(a->workers[i].threads);
    free(a->workers);
    free(a->leases);
    co_map_free(&a->by_number);
    free(a);
}

void co_account_watch(co_account *a, void (*slice)(void *user, const co_slice *slice), void *user)
{
    a->slice = slice;
    a->user = user;
}

void co_account_open_work(co_account *a, uint64_t now_us, int some)
{
    if (a->dry == !some) return;
    a->dry_us = dry_at(a, now_us);
    a->changed_us = now_us;
    a->dry = !some;
}

static account_worker *find(const co_account *a, uint32_t number)
{
    int64_t i = number ? co_map_get(&a->by_number, number) : CO_MAP_NONE;
    return i < 0 ? NULL : &a->workers[i];
}

static window *window_of(const co_account *a, uint64_t job)
{
    for (unsigned i = 0; i < CO_ACCOUNT_WINDOWS; i++)
        if (a->windows[i].used && a->windows[i].job == job) return (window *)(uintptr_t)&a->windows[i];
    return NULL;
}

/* ---- what goes into windows ---- */

/* The part of [from, to] that a window covers. */
static uint64_t inside(const window *w, uint64_t from_us, uint64_t to_us) { return span(most(from_us, w->begin_us), to_us); }

/* A tile traced from b to e, of `micros` by the worker's clock. */
static void add_traced(window *w, uint64_t job, uint64_t b, uint64_t e, uint64_t micros, uint64_t cpu_us, double useful)
{
    if (e <= w->begin_us) return;
    double part = b >= w->begin_us || e <= b ? 1 : (double)inside(w, b, e) / (double)(e - b), wall = part * (double)micros, cpu = part * (double)cpu_us;
    if (w->job && w->job != job) {
        w->sums.spent_us[CO_SPENT_OTHER] += (uint64_t)wall;
        return;
    }
    uint64_t counts = (uint64_t)(wall * useful), ran = (uint64_t)(cpu * useful);
    w->sums.spent_us[CO_SPENT_TRACING] += ran;
    w->sums.spent_us[CO_SPENT_SHARED] += counts - ran;
    w->sums.spent_us[CO_SPENT_REDONE] += (uint64_t)wall - counts;
}

/* Idle from x to y, of which `dry_us` at the end of it nothing was open. */
static void add_idle(window *w, uint64_t x, uint64_t y, uint64_t dry_us)
{
    uint64_t idle = inside(w, x, y), tail = least(idle, dry_us);
    w->sums.spent_us[CO_SPENT_TAIL] += tail;
    w->sums.spent_us[CO_SPENT_WAITING] += idle - tail;
}

/* From the end of one tile to the beginning of the next, whose lease was assigned at at_us. */
static void add_gap(window *w, const thread *t, uint64_t at_us, uint64_t at_dry_us, uint64_t to_us)
{
    if (t->fresh || (w->job && t->free_us <= w->begin_us)) {
        w->sums.spent_us[CO_SPENT_STARTING] += inside(w, t->free_us, to_us);
        return;
    }
    uint64_t seen = least(t->seen_us, to_us), at = least(most(at_us, seen), to_us);
    w->sums.spent_us[CO_SPENT_NETWORK] += inside(w, t->free_us, seen) + inside(w, at, to_us);
    add_idle(w, seen, at, span(t->seen_dry_us, at_dry_us));
}

/* A thread that has nothing in hand, until to_us. */
static void add_rest(window *w, const thread *t, uint64_t dry_us, uint64_t to_us)
{
    uint64_t seen = least(t->seen_us, to_us), since_dry_us = t->seen_us <= w->begin_us ? w->begin_dry_us : t->seen_dry_us;
    w->sums.spent_us[CO_SPENT_NETWORK] += inside(w, t->free_us, seen);
    add_idle(w, seen, to_us, span(since_dry_us, dry_us));
}

/* ---- what is not settled yet ---- */

/* A thread that seems to be at work on a lease, until to_us. lost: nothing will come of it. */
static void add_unfinished(window *w, const thread *t, const account_lease *l, uint64_t to_us, int lost)
{
    uint64_t from = most(t->free_us, l->at_us);
    int vain = lost || l->revoked_us || (w->job && w->closed && l->job == w->job);
    if (t->fresh) { /* it may be fetching the scene */
        w->sums.spent_us[CO_SPENT_STARTING] += inside(w, t->free_us, to_us);
        return;
    }
    add_gap(w, t, l->at_us, l->dry_us, from);
    uint64_t spent = inside(w, from, to_us);
    w->sums.spent_us[w->job && l->job != w->job ? CO_SPENT_OTHER : vain ? CO_SPENT_REDONE : CO_SPENT_TRACING] += spent;
}

/* The thread that has been free for longest of those not passed yet; `passed` counts them. Threads are few: a worker has some tens at most. */
static uint32_t next_free(const account_worker *v, uint64_t *after_us, uint32_t *after)
{
    uint32_t best = NONE;
    for (uint32_t i = 0; i < v->count; i++) {
        uint64_t at = v->threads[i].free_us;
        int passed = *after != NONE && (at < *after_us || (at == *after_us && i <= *after));
        if (!passed && (best == NONE || at < v->threads[best].free_us)) best = i;
    }
    if (best == NONE) return NONE;
    *after_us = v->threads[best].free_us;
    *after = best;
    return best;
}

/* All of a worker's threads, up to to_us. The oldest leases are in the hands of the threads that have been free for longest. */
static void settle(window *w, const co_account *a, const account_worker *v, uint64_t to_us, int lost)
{
    uint64_t after_us = 0;
    uint32_t after = NONE, li = v->first;
    for (uint32_t i = next_free(v, &after_us, &after); i != NONE; i = next_free(v, &after_us, &after)) {
        const thread *t = &v->threads[i];
        if (t->free_us >= to_us) continue;
        if (li == NONE) {
            add_rest(w, t, dry_at(a, to_us), to_us);
            continue;
        }
        add_unfinished(w, t, &a->leases[li], to_us, lost);
        li = a->leases[li].next;
    }
}

/* Completes a window's sums as of `to_us`. */
static void complete(window *w, const co_account *a, uint64_t to_us, uint64_t cpu_us)
{
    for (uint32_t i = 0; i < a->worker_count; i++) {
        const account_worker *v = &a->workers[i];
        if (!v->number) continue;
        settle(w, a, v, to_us, 0);
        w->sums.present_us += v->count * inside(w, v->joined_us, to_us);
        w->sums.workers++;
        w->sums.threads += v->count;
    }
    w->sums.wall_us = span(w->begin_us, to_us);
    w->sums.cpu_us = span(w->begin_cpu_us, cpu_us);
}

int co_account_report_of(const co_account *a, uint64_t now_us, uint64_t job, uint64_t cpu_us, co_account_report *out)
{
    const window *w = window_of(a, job);
    if (!w) return -1;
    window copy = *w;
    if (!copy.closed) complete(&copy, a, now_us, cpu_us);
    *out = copy.sums;
    return 0;
}

/* ---- jobs ---- */

void co_account_job(co_account *a, uint64_t now_us, uint64_t job, uint64_t cpu_us)
{
    show(a, (co_slice){ .kind = CO_SLICE_JOB, .job = job, .begin_us = now_us, .end_us = now_us });
    for (unsigned i = 1; i < CO_ACCOUNT_WINDOWS; i++) {
        if (a->windows[i].used) continue;
        a->windows[i] = (window){ .job = job, .used = 1, .begin_us = now_us, .begin_dry_us = dry_at(a, now_us), .begin_cpu_us = cpu_us };
        a->open[a->open_count++] = &a->windows[i];
        return;
    }
}

static void shut(co_account *a, window *w)
{
    for (unsigned i = 0; i < a->open_count; i++)
        if (a->open[i] == w) a->open[i] = a->open[--a->open_count];
    w->closed = 1;
}

void co_account_job_ended(co_account *a, uint64_t now_us, uint64_t job, int done, uint64_t cpu_us)
{
    window *w = window_of(a, job);
    show(a, (co_slice){ .kind = CO_SLICE_JOB_END, .job = job, .begin_us = now_us, .end_us = now_us, .amount = (uint64_t)done });
    if (w && !w->closed) {
        shut(a, w); /* its leases are for nothing from here on */
        complete(w, a, now_us, cpu_us);
    }
    for (uint32_t i = 0; i < a->lease_capacity; i++) /* told to drop all of it: what runs will be heard of */
        if (a->leases[i].id && a->leases[i].job == job) co_account_revoked(a, now_us, a->leases[i].id, 1);
}

void co_account_job_forgotten(co_account *a, uint64_t job)
{
    window *w = job ? window_of(a, job) : NULL;
    if (!w) return;
    if (!w->closed) shut(a, w);
    w->used = 0;
}

/* ---- leases ---- */

static account_lease *lease_of(const co_account *a, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    return id && i < a->lease_capacity && a->leases[i].id == id ? &a->leases[i] : NULL;
}

static void drop(co_account *a, account_lease *l)
{
    account_worker *v = &a->workers[l->worker];
    if (l->prev != NONE) a->leases[l->prev].next = l->next;
    else v->first = l->next;
    if (l->next != NONE) a->leases[l->next].prev = l->prev;
    else v->last = l->prev;
    l->id = 0;
}

static int reserve(co_account *a, uint32_t index)
{
    if (index < a->lease_capacity) return 0;
    if (index >= CO_ACCOUNT_LEASES) return -1;
    uint32_t capacity = a->lease_capacity ? a->lease_capacity : 256;
    while (capacity <= index) capacity *= 2;
    account_lease *grown = realloc(a->leases, capacity * sizeof *grown);
    if (!grown) return -1;
    memset(grown + a->lease_capacity, 0, (capacity - a->lease_capacity) * sizeof *grown);
    a->leases = grown;
    a->lease_capacity = capacity;
    return 0;
}

void co_account_assigned(co_account *a, uint64_t now_us, uint32_t worker, uint64_t job, uint64_t lease, uint32_t bytes)
{
    account_worker *v = find(a, worker);
    uint32_t i = (uint32_t)lease;
    if (!v || !lease || reserve(a, i)) return;
    account_lease *l = &a->leases[i];
    if (l->id) drop(a, l); /* one that was taken back without our hearing of it */
    *l = (account_lease){ .id = lease, .job = job, .at_us = now_us, .dry_us = dry_at(a, now_us), .worker = (uint32_t)(v - a->workers),
                          .prev = v->last, .next = NONE };
    if (v->last != NONE) a->leases[v->last].next = i;
    else v->first = i;
    v->last = i;
    a->windows[0].sums.bytes_out += bytes;
    window *w = window_of(a, job);
    if (w && job) w->sums.bytes_out += bytes;
}

/* Of those that its worker has in hand, the first `count` are taken to be begun: it takes them in order. */
static int is_begun(const co_account *a, const account_lease *l)
{
    const account_worker *v = &a->workers[l->worker];
    uint32_t i = v->first;
    for (uint32_t n = 0; n < v->count && i != NONE; n++, i = a->leases[i].next)
        if (&a->leases[i] == l) return 1;
    return 0;
}

void co_account_revoked(co_account *a, uint64_t now_us, uint64_t lease, int running)
{
    account_lease *l = lease_of(a, lease);
    if (!l) return;
    if (running && is_begun(a, l)) l->revoked_us = now_us; /* its worker will say how long it had traced */
    else drop(a, l);
}

void co_account_returned(co_account *a, uint64_t lease)
{
    account_lease *l = lease_of(a, lease);
    if (l) drop(a, l);
}

/* Of what was taken back before that moment nothing can be running any more. */
static void drop_revoked(co_account *a, const account_worker *v, uint64_t before_us)
{
    for (uint32_t i = v->first, next; i != NONE; i = next) {
        next = a->leases[i].next;
        if (a->leases[i].revoked_us && a->leases[i].revoked_us < before_us) drop(a, &a->leases[i]);
    }
}

/* ---- clocks ---- */

void co_account_clock(co_account *a, uint64_t now_us, uint32_t worker, uint64_t sent_us, uint32_t rtt_us, uint64_t held)
{
    account_worker *v = find(a, worker);
    int64_t skew = (int64_t)(now_us - sent_us);
    if (!v) return;
    if (!held) drop_revoked(a, v, now_us);
    if (rtt_us && (!v->rtt_us || rtt_us < v->rtt_us)) v->rtt_us = rtt_us;
    if (!v->clock_known || skew < v->skew_us) v->skew_us = skew;
    if (!v->clock_known || skew < v->next_skew_us) v->next_skew_us = skew;
    v->clock_known = 1;
    if (span(v->skew_since_us, now_us) < SKEW_US) return;
    v->skew_us = v->next_skew_us;
    v->next_skew_us = skew;
    v->skew_since_us = now_us;
}

/* When a worker's moment was by our clock: not before `from`, and `length` before `to` at the latest. */
static uint64_t ours(const account_worker *v, uint64_t theirs_us, uint64_t from, uint64_t to, uint64_t length)
{
    uint64_t latest = to > length ? to - length : 0, at = latest;
    if (v->clock_known) at = theirs_us + (uint64_t)(v->skew_us - (int64_t)(v->rtt_us / 2)); /* modulo 2^64: clamped next */
    if (at > latest) at = latest;
    return at > from ? at : from;
}

/* ---- workers ---- */

static account_worker *place(co_account *a)
{
    uint32_t i = a->worker_free;
    if (i != NONE) {
        a->worker_free = a->workers[i].first;
        return &a->workers[i];
    }
    if (a->worker_count == a->worker_capacity) {
        uint32_t capacity = a->worker_capacity ? 2 * a->worker_capacity : 64;
        account_worker *grown = realloc(a->workers, capacity * sizeof *grown);
        if (!grown) return NULL;
        a->workers = grown;
        a->worker_capacity = capacity;
    }
    return &a->workers[a->worker_count++];
}

static void give_place_back(co_account *a, account_worker *v)
{
    *v = (account_worker){ .first = a->worker_free, .last = NONE };
    a->worker_free = (uint32_t)(v - a->workers);
}

void co_account_joined(co_account *a, uint64_t now_us, uint32_t worker, uint32_t threads)
{
    int room = threads && threads <= CO_ACCOUNT_THREADS - a->thread_count && !find(a, worker);
    thread *list = room ? calloc(threads, sizeof *list) : NULL;
    account_worker *v = list ? place(a) : NULL;
    if (!v || co_map_put(&a->by_number, worker, (uint32_t)(v - a->workers))) {
        if (v) give_place_back(a, v);
        free(list);
        return;
    }
    a->thread_count += threads;
    for (uint32_t i = 0; i < threads; i++) list[i] = (thread){ .free_us = now_us, .seen_us = now_us, .seen_dry_us = dry_at(a, now_us), .fresh = 1 };
    *v = (account_worker){ .number = worker, .count = threads, .joined_us = now_us, .skew_since_us = now_us, .first = NONE, .last = NONE, .threads = list };
    for (unsigned i = 0; i < a->open_count; i++) a->open[i]->sums.joins++;
    show(a, (co_slice){ .kind = CO_SLICE_JOIN, .worker = worker, .begin_us = now_us, .end_us = now_us, .amount = threads });
}

void co_account_draining(co_account *a, uint64_t now_us, uint32_t worker)
{
    account_worker *v = find(a, worker);
    if (!v || v->drain_us) return;
    v->drain_us = now_us;
    show(a, (co_slice){ .kind = CO_SLICE_DRAIN, .worker = worker, .begin_us = now_us, .end_us = now_us });
}

static void count_left(window *w, const co_account *a, const account_worker *v, uint64_t now_us, int goodbye)
{
    settle(w, a, v, now_us, 1);
    w->sums.present_us += v->count * inside(w, v->joined_us, now_us);
    w->sums.losses += !goodbye;
    if (!goodbye || !v->drain_us) return;
    uint64_t drain_us = span(v->drain_us, now_us);
    w->sums.drains++;
    w->sums.drain_us += drain_us;
    w->sums.drain_most_us = most(w->sums.drain_most_us, drain_us);
}

void co_account_left(co_account *a, uint64_t now_us, uint32_t worker, int goodbye)
{
    account_worker *v = find(a, worker);
    if (!v) return;
    for (unsigned i = 0; i < a->open_count; i++) count_left(a->open[i], a, v, now_us, goodbye);
    while (v->first != NONE) drop(a, &a->leases[v->first]);
    free(v->threads);
    co_map_remove(&a->by_number, worker);
    a->thread_count -= v->count;
    give_place_back(a, v);
    show(a, (co_slice){ .kind = CO_SLICE_LEAVE, .worker = worker, .begin_us = now_us, .end_us = now_us, .amount = (uint64_t)goodbye });
}

/* ---- results ---- */

unsigned co_latency_bin(uint64_t micros)
{
    double octaves = micros > CO_LATENCY_LEAST_US ? log2((double)micros / CO_LATENCY_LEAST_US) : 0;
    unsigned bin = (unsigned)(octaves * CO_LATENCY_OCTAVE);
    return bin < CO_LATENCY_BINS ? bin : CO_LATENCY_BINS - 1;
}

static void count_tile(window *w, const co_traced *t, const account_lease *l, uint64_t now_us)
{
    w->sums.bytes_in += t->bytes;
    if (t->useful <= 0) return;
    w->sums.tiles++;
    w->sums.rays += (uint64_t)((double)t->rays * t->useful);
    if (!w->sums.first_tile_us) w->sums.first_tile_us = most(1, span(w->begin_us, now_us));
    if (l) w->sums.latency[co_latency_bin(span(l->at_us, now_us))]++;
}

static void count_start(window *w, uint64_t join_us)
{
    w->sums.starts++;
    w->sums.join_us += join_us;
    w->sums.join_most_us = most(w->sums.join_most_us, join_us);
}

/* A thread's tile from b to e, into every window that is open. */
static void enter(co_account *a, const account_worker *v, const thread *th, const co_traced *t, const account_lease *l, uint64_t b, uint64_t e, uint64_t now_us)
{
    for (unsigned i = 0; i < a->open_count; i++) {
        window *w = a->open[i];
        add_gap(w, th, l ? l->at_us : th->seen_us, l ? l->dry_us : th->seen_dry_us, b);
        add_traced(w, t->job, b, e, t->micros, t->cpu_us, t->useful);
        if (!w->job || w->job == t->job) count_tile(w, t, l, now_us);
        if (!v->started && v->joined_us >= w->begin_us) count_start(w, span(v->joined_us, b));
    }
}

void co_account_traced(co_account *a, uint64_t now_us, const co_traced *told)
{
    account_worker *v = find(a, told->worker);
    if (!v || told->thread >= v->count) return;
    thread *th = &v->threads[told->thread];
    co_traced t = *told;
    t.micros = least(t.micros, span(v->joined_us, now_us)); /* it cannot have traced for longer than it was here */
    t.cpu_us = least(t.cpu_us, t.micros);
    account_lease *l = lease_of(a, t.lease);
    if (l && (&a->workers[l->worker] != v || l->job != t.job)) l = NULL;
    uint64_t b = ours(v, t.began_us, th->free_us, now_us, t.micros), e = least(b + t.micros, most(now_us, b));
    enter(a, v, th, &t, l, b, e, now_us);
    if (l) drop(a, l);
    drop_revoked(a, v, b);
    v->started = 1;
    *th = (thread){ .free_us = e, .seen_us = now_us, .seen_dry_us = dry_at(a, now_us) };
    show(a, (co_slice){ .kind = t.useful > 0 ? CO_SLICE_TILE : CO_SLICE_VAIN, .worker = t.worker, .thread = t.thread, .job = t.job, .lease = t.lease,
                        .begin_us = b, .end_us = e, .micros = t.micros, .cpu_us = t.cpu_us, .amount = t.rays });
}

void co_account_pack_sent(co_account *a, uint64_t now_us, uint32_t worker, uint64_t bytes)
{
    for (unsigned i = 0; i < a->open_count; i++) a->open[i]->sums.pack_bytes += bytes;
    show(a, (co_slice){ .kind = CO_SLICE_PACK, .worker = worker, .begin_us = now_us, .end_us = now_us, .amount = bytes });
}

/* ---- reports ---- */

const char *co_spent_name(int kind)
{
    static const char *const names[CO_SPENT_KINDS] = { "tracing", "cores_shared", "redone", "starting", "waiting", "network", "tail", "other_jobs" };
    return kind >= 0 && kind < CO_SPENT_KINDS ? names[kind] : "?";
}

double co_account_error(const co_account_report *r)
{
    double sum = 0;
    for (unsigned k = 0; k < CO_SPENT_KINDS; k++) sum += (double)r->spent_us[k];
    return r->present_us ? (sum - (double)r->present_us) / (double)r->present_us : 0;
}

double co_latency_us(const co_account_report *r, double share)
{
    double count = 0, so_far = 0;
    for (unsigned k = 0; k < CO_LATENCY_BINS; k++) count += r->latency[k];
    for (unsigned k = 0; k < CO_LATENCY_BINS && count > 0; k++) {
        if (so_far + r->latency[k] >= share * count && r->latency[k])
            return CO_LATENCY_LEAST_US * exp2((k + (share * count - so_far) / r->latency[k]) / CO_LATENCY_OCTAVE);
        so_far += r->latency[k];
    }
    return 0;
}
