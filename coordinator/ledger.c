/* See coordinator/ledger.h. Nothing here decides who gets what. */
#include "coordinator/ledger.h"

#include <stdlib.h>

/* ---- actions ---- */

static int grow_actions(co_scheduler *s)
{
    uint32_t capacity = s->action_capacity ? s->action_capacity * 2 : 256;
    co_action *actions = malloc(capacity * sizeof *actions);
    if (!actions) return -1;
    for (uint32_t i = 0; i < s->action_count; i++) actions[i] = s->actions[(s->action_first + i) % s->action_capacity];
    free(s->actions);
    s->actions = actions;
    s->action_capacity = capacity;
    s->action_first = 0;
    return 0;
}

void co_ledger_act(co_scheduler *s, co_action action)
{
    if (s->action_count == s->action_capacity && grow_actions(s)) {
        s->broken = 1;
        return;
    }
    s->actions[(s->action_first + s->action_count++) % s->action_capacity] = action;
}

int co_scheduler_next(co_scheduler *s, co_action *out)
{
    if (!s->action_count) return 0;
    *out = s->actions[s->action_first];
    s->action_first = (s->action_first + 1) % s->action_capacity;
    s->action_count--;
    return 1;
}

/* ---- pools ---- */

static void *grow_pool(void *pool, uint32_t *capacity, size_t element)
{
    uint32_t larger = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(pool, larger * element);
    if (grown) *capacity = larger;
    return grown;
}

static uint32_t new_lease(co_scheduler *s)
{
    if (s->lease_free == NONE) {
        uint32_t from = s->lease_capacity;
        lease *grown = grow_pool(s->leases, &s->lease_capacity, sizeof *grown);
        if (!grown) return NONE;
        s->leases = grown;
        for (uint32_t i = s->lease_capacity; i-- > from;) {
            s->leases[i] = (lease){ .in_worker.next = s->lease_free };
            s->lease_free = i;
        }
    }
    uint32_t i = s->lease_free;
    s->lease_free = s->leases[i].in_worker.next;
    s->leases[i] = (lease){ .id = (uint64_t)++s->generation << 32 | i };
    if (!s->generation) s->leases[i].id = (uint64_t)++s->generation << 32 | i;
    return i;
}

uint32_t co_ledger_new_worker(co_scheduler *s)
{
    if (s->worker_free == NONE) {
        uint32_t from = s->worker_capacity;
        worker *grown = grow_pool(s->workers, &s->worker_capacity, sizeof *grown);
        if (!grown) return NONE;
        s->workers = grown;
        for (uint32_t i = s->worker_capacity; i-- > from;) {
            s->workers[i] = (worker){ .in_heard.next = s->worker_free };
            s->worker_free = i;
        }
    }
    uint32_t i = s->worker_free;
    s->worker_free = s->workers[i].in_heard.next;
    return i;
}

uint32_t co_ledger_lease(const co_scheduler *s, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    return id && i < s->lease_capacity && s->leases[i].id == id ? i : NONE;
}

uint32_t co_ledger_worker(const co_scheduler *s, uint32_t peer)
{
    int64_t i = co_map_get(&s->by_peer, peer);
    return i < 0 ? NONE : (uint32_t)i;
}

/* The place of the first job with an id >= id. */
uint32_t co_ledger_job_place(const co_scheduler *s, uint64_t id)
{
    uint32_t lo = 0, hi = s->job_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (s->jobs[middle]->id < id) lo = middle + 1;
        else hi = middle;
    }
    return lo;
}

job *co_ledger_job(const co_scheduler *s, uint64_t id)
{
    uint32_t place = co_ledger_job_place(s, id);
    return place < s->job_count && s->jobs[place]->id == id ? s->jobs[place] : NULL;
}

/* ---- credit ---- */

/* Units a worker may hold: its threads, and what they use up in a round trip and a little more. */
uint32_t co_ledger_credit(const worker *w, uint64_t now_us)
{
    if (w->draining || now_us < w->rest_until_us) return 0;
    if (w->alone) return 1;
    if (!w->unit_us) return 2 * w->threads;
    uint64_t extra = (w->threads * (w->rtt_us + CO_CREDIT_SLACK_US) + w->unit_us - 1) / w->unit_us;
    return w->threads + (uint32_t)(extra < 1 ? 1 : extra > CO_CREDIT_MOST ? CO_CREDIT_MOST : extra);
}

void co_ledger_settle(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    int hungry = w->in_hand < co_ledger_credit(w, now_us);
    if (hungry == w->hungry) return;
    if (hungry) LIST_APPEND(&s->hungry, wi, HUNGRY);
    else LIST_REMOVE(&s->hungry, wi, HUNGRY);
    w->hungry = (uint8_t)hungry;
}

/* ---- leases ---- */

static void count_worker(co_scheduler *s, job *j, const worker *w)
{
    uint32_t key = fold(w->incarnation);
    if (co_map_get(&j->seen, key) >= 0) return;
    if (co_map_put(&j->seen, key, 1)) s->broken = 1;
    j->sums.workers_seen++;
}

static void begin(co_scheduler *s, worker *w, uint64_t now_us)
{
    while (w->begun < w->threads && w->first_waiting != NONE) {
        lease *l = &s->leases[w->first_waiting];
        l->begun = 1;
        l->began_us = now_us;
        w->begun++;
        w->first_waiting = l->in_worker.next;
    }
}

static void count_assignment(co_scheduler *s, job *j, unit *u, const worker *w, uint64_t now_us)
{
    count_worker(s, j, w);
    j->sums.tiles_redone += u->lost;
    u->lost = 0;
    if (j->sums.state != CO_JOB_QUEUED) return;
    j->sums.state = CO_JOB_RUNNING;
    j->begun_us = now_us;
}

/* Leases a unit to a worker, as its first copy or as a backup. */
void co_ledger_assign(co_scheduler *s, uint32_t wi, job *j, uint32_t ui, uint64_t now_us)
{
    uint32_t li = new_lease(s);
    if (li == NONE) {
        s->broken = 1;
        return;
    }
    worker *w = &s->workers[wi];
    unit *u = &j->units[ui];
    lease *l = &s->leases[li];
    l->job = j;
    l->unit = ui;
    l->worker = wi;
    u->lease[u->lease[0] != NONE] = li;
    u->state = LEASED;
    LIST_APPEND(&w->leases, li, IN_WORKER);
    LIST_APPEND(&j->leases, li, IN_JOB);
    w->in_hand++;
    w->busy_us = now_us;
    if (w->first_waiting == NONE) w->first_waiting = li;
    begin(s, w, now_us);
    count_assignment(s, j, u, w, now_us);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_ASSIGN, .peer = w->peer, .worker = w->number, .job = j->id, .unit = ui, .lease = l->id });
}

/* Takes a lease from its worker and its unit. The unit is left without a decision on what becomes of it. */
void co_ledger_release(co_scheduler *s, uint32_t li, uint64_t now_us)
{
    lease *l = &s->leases[li];
    worker *w = &s->workers[l->worker];
    unit *u = &l->job->units[l->unit];
    if (w->first_waiting == li) w->first_waiting = l->in_worker.next;
    LIST_REMOVE(&w->leases, li, IN_WORKER);
    LIST_REMOVE(&l->job->leases, li, IN_JOB);
    w->in_hand--;
    w->begun -= l->begun;
    if (w->in_hand == 0) w->alone = 0;
    begin(s, w, now_us);
    if (u->lease[0] == li) u->lease[0] = u->lease[1];
    u->lease[1] = NONE;
    uint32_t wi = l->worker;
    *l = (lease){ .in_worker.next = s->lease_free };
    s->lease_free = li;
    co_ledger_settle(s, wi, now_us);
}

void co_ledger_revoke(co_scheduler *s, uint32_t li, int running, uint64_t now_us)
{
    const lease *l = &s->leases[li];
    const worker *w = &s->workers[l->worker];
    co_ledger_act(s, (co_action){ .kind = CO_ACT_REVOKE, .peer = w->peer, .worker = w->number, .job = l->job->id, .lease = l->id, .running = running });
    co_ledger_release(s, li, now_us);
}

/* ---- the end of jobs ---- */

void co_ledger_end_job(co_scheduler *s, job *j, int state, uint64_t now_us)
{
    j->sums.state = state;
    j->ended_us = now_us;
    while (j->leases.head != NONE) co_ledger_release(s, j->leases.head, now_us);
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next)
        co_ledger_act(s, (co_action){ .kind = CO_ACT_FORGET, .peer = s->workers[wi].peer, .worker = s->workers[wi].number, .job = j->id });
    co_ledger_act(s, (co_action){ .kind = CO_ACT_ENDED, .job = j->id });
}

void co_ledger_end_if_over(co_scheduler *s, job *j, uint64_t now_us)
{
    if (ended(j) || j->done + j->aside < j->count) return;
    co_ledger_end_job(s, j, j->aside ? CO_JOB_FAILED : CO_JOB_DONE, now_us);
}

static void push(job *j, uint32_t ui)
{
    unit *u = &j->units[ui];
    if (u->queued) return;
    uint32_t *stack = u->deaths >= CO_DEATHS_ALONE ? &j->suspects : &j->redo;
    u->next = *stack;
    u->queued = 1;
    *stack = ui;
}

/* A unit that has lost a lease: back to the queue, unless another copy is out or it has been given up. */
int co_ledger_reopen(co_scheduler *s, job *j, uint32_t ui)
{
    unit *u = &j->units[ui];
    if (u->state != LEASED || u->lease[0] != NONE) return 0;
    if (u->deaths >= CO_DEATHS_MOST || u->failures >= CO_FAILURES_MOST) {
        u->state = ASIDE;
        j->aside++;
        co_ledger_act(s, (co_action){ .kind = CO_ACT_ASIDE, .job = j->id, .unit = ui });
        return 0;
    }
    u->state = OPEN;
    u->lost = 1;
    push(j, ui);
    return 1;
}
