/* What goes into a window's sums, and what they say. See coordinator/account.h. */
#include "coordinator/account_internal.h"

#include <math.h>

/* ---- what goes into windows ---- */

/* A tile traced from b to e, of `micros` by the worker's clock. */
void co_window_traced(window *w, uint64_t job, uint64_t b, uint64_t e, uint64_t micros, uint64_t cpu_us, double useful)
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
void co_window_gap(window *w, const thread *t, uint64_t at_us, uint64_t at_dry_us, uint64_t to_us)
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
    co_window_gap(w, t, l->at_us, l->dry_us, from);
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
void co_window_settle(window *w, const co_account *a, const account_worker *v, uint64_t to_us, int lost)
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
void co_window_complete(window *w, const co_account *a, uint64_t to_us, uint64_t cpu_us)
{
    for (uint32_t i = 0; i < a->worker_count; i++) {
        const account_worker *v = &a->workers[i];
        if (!v->number) continue;
        co_window_settle(w, a, v, to_us, 0);
        w->sums.present_us += v->count * inside(w, v->joined_us, to_us);
        w->sums.workers++;
        w->sums.threads += v->count;
    }
    w->sums.wall_us = span(w->begin_us, to_us);
    w->sums.cpu_us = span(w->begin_cpu_us, cpu_us);
}

/* The thread was thought to be free from `free_us` on, and had begun the next tile at b already: all before lies earlier by as much. */
void co_window_take_back(window *w, uint64_t b, uint64_t free_us)
{
    uint64_t *from[] = { &w->sums.spent_us[CO_SPENT_STARTING], &w->sums.spent_us[CO_SPENT_NETWORK] }, much = inside(w, b, free_us);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t part = least(much, *from[i]);
        *from[i] -= part;
        much -= part;
    }
}

/* ---- reports ---- */

unsigned co_latency_bin(uint64_t micros)
{
    double octaves = micros > CO_LATENCY_LEAST_US ? log2((double)micros / CO_LATENCY_LEAST_US) : 0;
    unsigned bin = (unsigned)(octaves * CO_LATENCY_OCTAVE);
    return bin < CO_LATENCY_BINS ? bin : CO_LATENCY_BINS - 1;
}

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
