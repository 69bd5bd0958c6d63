/* See coordinator/account.h. */
#include "coordinator/account_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    SKEW_US = 10000000, /* clocks are compared anew so often: two clocks drift by up to 1 ms in it */
    APART_US = 5000     /* a thread's own clock and the comparison of clocks may differ by so much before the comparison counts */
};

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

int co_account_report_of(const co_account *a, uint64_t now_us, uint64_t job, uint64_t cpu_us, co_account_report *out)
{
    const window *w = window_of(a, job);
    if (!w) return -1;
    window copy = *w;
    if (!copy.closed) co_window_complete(&copy, a, now_us, cpu_us);
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
        co_window_complete(w, a, now_us, cpu_us);
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
    v->revoked -= l->revoked_us != 0;
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
    if (!running || !is_begun(a, l)) {
        drop(a, l);
        return;
    }
    a->workers[l->worker].revoked += l->revoked_us == 0;
    l->revoked_us = now_us; /* its worker will say how long it had traced */
}

void co_account_returned(co_account *a, uint64_t lease)
{
    account_lease *l = lease_of(a, lease);
    if (l) drop(a, l);
}

/* Of what was taken back before that moment nothing can be running any more. */
static void drop_revoked(co_account *a, const account_worker *v, uint64_t before_us)
{
    for (uint32_t i = v->first, next; v->revoked && i != NONE; i = next) {
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

/* When a worker's moment was by our clock: not before `from`, nor after `latest`, which is the stronger. */
static uint64_t ours(const account_worker *v, uint64_t theirs_us, uint64_t from, uint64_t latest)
{
    uint64_t at = latest;
    if (v->clock_known) at = theirs_us + (uint64_t)(v->skew_us - (int64_t)(v->rtt_us / 2)); /* modulo 2^64: clamped next */
    return least(most(at, from), latest);
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
    co_window_settle(w, a, v, now_us, 1);
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

/* When a tile was begun, by our clock: at most at `latest`, and perhaps before the thread was free as far as we knew. */
static uint64_t place_tile(const account_worker *v, const thread *th, const co_traced *t, const account_lease *l, uint64_t latest)
{
    uint64_t compared = ours(v, t->began_us, th->free_us, latest), at = compared;
    if (!th->fresh) {
        int64_t gap = (int64_t)(t->began_us - th->theirs_us);
        at = gap > 0 ? th->free_us + (uint64_t)gap : th->free_us; /* not > 0: it says that it traced two at a time */
        if (compared > at && compared - at > APART_US) at = compared;
    }
    if (l && at < l->at_us) at = l->at_us;
    return least(at, latest);
}

/* A thread's tile from b to e, into every window that is open. */
static void enter(co_account *a, const account_worker *v, const thread *th, const co_traced *t, const account_lease *l, uint64_t b, uint64_t e, uint64_t now_us)
{
    for (unsigned i = 0; i < a->open_count; i++) {
        window *w = a->open[i];
        if (b < th->free_us) co_window_take_back(w, b, th->free_us);
        co_window_gap(w, th, l ? l->at_us : th->seen_us, l ? l->dry_us : th->seen_dry_us, b);
        co_window_traced(w, t->job, b, e, t->micros, t->cpu_us, t->useful);
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
    uint64_t b = place_tile(v, th, &t, l, now_us - t.micros), e = b + t.micros;
    if ((int64_t)(t.began_us - th->theirs_us) < 0 && !th->fresh) b = most(b, th->free_us); /* two at a time: that is no matter of clocks, and shows as an error */
    uint64_t shown_us = most(b, th->shown_us); /* a slice is as long as it was; one placed too late puts off the next until there is a gap */
    enter(a, v, th, &t, l, b, e, now_us);
    if (l) drop(a, l);
    drop_revoked(a, v, b);
    v->started = 1;
    *th = (thread){ .free_us = most(e, th->free_us), .seen_us = now_us, .seen_dry_us = dry_at(a, now_us), .theirs_us = t.began_us + t.micros, .shown_us = shown_us + t.micros };
    show(a, (co_slice){ .kind = t.useful > 0 ? CO_SLICE_TILE : CO_SLICE_VAIN, .worker = t.worker, .thread = t.thread, .job = t.job, .lease = t.lease,
                        .begin_us = shown_us, .end_us = th->shown_us, .micros = t.micros, .cpu_us = t.cpu_us, .amount = t.rays });
}

void co_account_pack_sent(co_account *a, uint64_t now_us, uint32_t worker, uint64_t bytes)
{
    for (unsigned i = 0; i < a->open_count; i++) a->open[i]->sums.pack_bytes += bytes;
    show(a, (co_slice){ .kind = CO_SLICE_PACK, .worker = worker, .begin_us = now_us, .end_us = now_us, .amount = bytes });
}

