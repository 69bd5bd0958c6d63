/* The scheduler's events: see coordinator/scheduler.h, and coordinator/ledger.h for the books behind it. */
#include "coordinator/ledger.h"

#include <stdlib.h>
#include <string.h>

/* ---- jobs ---- */

static void free_job(job *j)
{
    if (!j) return;
    co_plan_free(&j->plan);
    co_map_free(&j->seen);
    co_checks_free(j);
    free(j->tiles);
    free(j->units);
    free(j);
}

static job *empty_job(const co_plan *plan, uint32_t count)
{
    job *j = calloc(1, sizeof *j);
    unit *units = malloc(count * sizeof *units);
    if (!j || !units) {
        free(j);
        free(units);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) units[i] = (unit){ .leases = NONE, .next = NONE };
    *j = (job){ .plan = *plan, .units = units, .count = count, .redo = NONE, .suspects = NONE, .leases = EMPTY_LIST, .checks = EMPTY_LIST,
                .sums.tiles = count };
    j->paths = j->open_paths = (uint64_t)plan->picture.width * plan->picture.height * plan->picture.spp;
    return j;
}

static int new_job(job **out, const mr_picture *picture, uint32_t tile, mr_error *err)
{
    co_plan plan;
    int status = co_plan_make(&plan, picture, tile, err);
    if (status) return status;
    uint32_t count = co_plan_units(&plan);
    job *j = empty_job(&plan, count);
    if (!j) co_plan_free(&plan);
    if (!j || co_order_open(j)) {
        free_job(j);
        return mr_fail(err, MR_FAILED, "no memory for a job of %u pieces", count);
    }
    *out = j;
    return MR_OK;
}

/* What the least served of the same urgency has had: a newcomer takes no more than its turn. */
static uint64_t fair_start(const co_scheduler *s, uint32_t priority)
{
    for (const job *j = s->turns; j; j = j->next)
        if (j->sums.priority == priority) return j->served;
    return 0;
}

int co_scheduler_submit(co_scheduler *s, uint64_t now_us, const mr_picture *picture, uint32_t tile, const co_job_options *options, uint64_t *id,
                        mr_error *err)
{
    if (s->job_count >= CO_JOBS_MOST) return mr_fail(err, MR_FAILED, "%u jobs already: no room for another", s->job_count);
    job **jobs = realloc(s->jobs, (s->job_count + 1) * sizeof(job *)), *j = NULL;
    if (!jobs) return mr_fail(err, MR_FAILED, "no memory for a job");
    s->jobs = jobs;
    int status = new_job(&j, picture, tile, err);
    if (status) return status;
    j->id = j->sums.id = *id = ++s->last_job;
    j->sums.state = CO_JOB_QUEUED;
    j->sums.priority = options ? options->priority : CO_PRIORITY;
    j->verify = options ? options->verify_percent : 0;
    j->secret = options && options->verify_secret ? options->verify_secret : s->secret;
    j->served = fair_start(s, j->sums.priority);
    j->submitted_us = now_us;
    s->jobs[s->job_count++] = j;
    s->open_paths += j->open_paths;
    co_ledger_queue_job(s, j);
    co_dispatch(s, now_us);
    return MR_OK;
}

int co_scheduler_cancel(co_scheduler *s, uint64_t now_us, uint64_t id)
{
    job *j = co_ledger_job(s, id);
    if (!j || ended(j)) return -1;
    co_ledger_end_job(s, j, CO_JOB_CANCELLED, now_us);
    co_dispatch(s, now_us);
    return 0;
}

void co_scheduler_forget(co_scheduler *s, uint64_t id)
{
    job *j = co_ledger_job(s, id);
    if (!j || !ended(j)) return;
    uint32_t place = co_ledger_job_place(s, id);
    memmove(&s->jobs[place], &s->jobs[place + 1], (s->job_count - place - 1) * sizeof s->jobs[0]);
    s->job_count--;
    free_job(j);
}

int co_scheduler_status(const co_scheduler *s, uint64_t now_us, uint64_t id, co_job_status *out)
{
    const job *j = co_ledger_job(s, id);
    if (!j) return -1;
    uint64_t end_us = ended(j) ? j->ended_us : now_us;
    *out = j->sums;
    out->tiles_done = j->done;
    out->workers = s->worker_count;
    out->threads = s->thread_count;
    out->seconds = (double)(end_us - j->submitted_us) * 1e-6;
    out->busy_seconds = j->begun_us ? (double)(end_us - j->begun_us) * 1e-6 : 0.0;
    return 0;
}

uint64_t co_scheduler_next_job(const co_scheduler *s, uint64_t after)
{
    uint32_t place = co_ledger_job_place(s, after + 1);
    return place < s->job_count ? s->jobs[place]->id : 0;
}

const co_plan *co_scheduler_plan(const co_scheduler *s, uint64_t id)
{
    const job *j = co_ledger_job(s, id);
    return j ? &j->plan : NULL;
}

int64_t co_scheduler_missing(const co_scheduler *s, uint64_t id, uint32_t from)
{
    const job *j = co_ledger_job(s, id);
    for (uint32_t i = from; j && i < j->count; i++)
        if (!co_ledger_is_done(j, i)) return i;
    return -1;
}

int co_scheduler_tile(const co_scheduler *s, uint64_t id, uint32_t ui, mr_tile *tile)
{
    const job *j = co_ledger_job(s, id);
    if (!j || ui >= j->count) return 0;
    *tile = co_plan_unit(&j->plan, ui);
    return 1;
}

uint16_t co_scheduler_wants(const co_scheduler *s, uint64_t id, uint32_t ui)
{
    const job *j = co_ledger_job(s, id);
    if (!j || ended(j) || ui >= j->count) return 0;
    return (uint16_t)(co_ledger_bands(j, ui) & ~j->units[ui].done);
}

int co_scheduler_checks(const co_scheduler *s, uint64_t id, uint64_t lease_id)
{
    uint32_t li = co_ledger_lease(s, lease_id);
    return li != NONE && s->leases[li].kind == CHECK && s->leases[li].job->id == id;
}

int co_scheduler_verifies(const co_scheduler *s, uint64_t id)
{
    const job *j = co_ledger_job(s, id);
    return j && j->verify > 0;
}

/* ---- workers ---- */

/* The leases of a worker go back. Dead: what it had begun may be what killed it. */
static uint32_t take_back(co_scheduler *s, worker *w, int dead, uint64_t now_us)
{
    uint32_t back = 0;
    w->alone_begun = w->begun == 1 && (!w->revoked_us || since(w->heard_us, w->revoked_us) > s->lease_us); /* it may have died when it was last heard */
    for (uint32_t li = w->leases.head; dead && li != NONE; li = s->leases[li].in_worker.next)
        if (s->leases[li].begun) {
            s->leases[li].job->losses++;
            break;
        }
    while (w->leases.tail != NONE) { /* newest first, so that the oldest is on top of the queue again */
        w->first_waiting = NONE;     /* nothing begins any more */
        back += (uint32_t)co_ledger_give_back(s, w->leases.tail, dead, now_us);
    }
    return back;
}

void co_scheduler_remove(co_scheduler *s, uint32_t wi, int why, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    w->draining = 1; /* no credit: what is released below cannot make it hungry */
    uint32_t back = take_back(s, w, why == CO_LEAVE_DISCONNECTED || why == CO_LEAVE_SILENT, now_us);
    co_ledger_settle(s, wi, now_us);
    co_ledger_set_rate(s, wi, now_us);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_LEFT, .peer = w->peer, .worker = w->number, .why = why, .count = back });
    if (s->reserved == w->number) s->reserved = 0;
    LIST_REMOVE(&s->heard, wi, HEARD);
    co_map_remove(&s->by_peer, w->peer);
    if (co_map_get(&s->by_incarnation, fold(w->incarnation)) == wi) co_map_remove(&s->by_incarnation, fold(w->incarnation));
    s->worker_count--;
    s->thread_count -= w->threads;
    s->resting -= w->rest_until_us != 0;
    *w = (worker){ .in_heard.next = s->worker_free };
    s->worker_free = wi;
}

static void welcome(co_scheduler *s, uint32_t wi)
{
    co_ledger_act(s, (co_action){ .kind = CO_ACT_WELCOME, .peer = s->workers[wi].peer, .worker = s->workers[wi].number });
}

static uint32_t add_worker(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t incarnation, uint32_t threads, uint32_t who)
{
    uint32_t wi = s->worker_count < CO_WORKERS_MOST ? co_ledger_new_worker(s) : NONE;
    if (wi == NONE) return NONE;
    s->workers[wi] = (worker){ .peer = peer, .number = ++s->last_number, .who = who, .threads = threads, .incarnation = incarnation,
                               .heard_us = now_us, .leases = EMPTY_LIST, .first_waiting = NONE };
    if (co_map_put(&s->by_peer, peer, wi) || co_map_put(&s->by_incarnation, fold(incarnation), wi)) s->broken = 1;
    LIST_APPEND(&s->heard, wi, HEARD);
    s->worker_count++;
    s->thread_count += threads;
    co_ledger_set_rate(s, wi, now_us);
    return wi;
}

static void touch(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    s->workers[wi].heard_us = now_us;
    LIST_REMOVE(&s->heard, wi, HEARD);
    LIST_APPEND(&s->heard, wi, HEARD);
}

int co_scheduler_hello(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t incarnation, uint32_t threads, uint32_t who)
{
    uint32_t known = co_ledger_worker(s, peer);
    if (!who) who = fold(incarnation);
    if (co_map_get(&s->banned, who) >= 0) return CO_HELLO_BANNED;
    if (known != NONE && s->workers[known].incarnation == incarnation) { /* said twice, before our welcome had come */
        touch(s, known, now_us);
        welcome(s, known);
        return 0;
    }
    if (known != NONE) co_scheduler_remove(s, known, CO_LEAVE_REPLACED, now_us);
    int64_t former = co_map_get(&s->by_incarnation, fold(incarnation));
    if (former >= 0 && s->workers[former].incarnation == incarnation) co_scheduler_remove(s, (uint32_t)former, CO_LEAVE_REPLACED, now_us);
    uint32_t wi = threads ? add_worker(s, now_us, peer, incarnation, threads, who) : NONE;
    if (wi == NONE) return CO_HELLO_NO_ROOM;
    welcome(s, wi);
    co_ledger_settle(s, wi, now_us);
    co_dispatch(s, now_us);
    return 0;
}

/* The worker behind an event, noted as alive; NONE, and it is told so, when there is none. */
static uint32_t sender(co_scheduler *s, uint64_t now_us, uint32_t peer)
{
    uint32_t wi = co_ledger_worker(s, peer);
    if (wi == NONE) co_ledger_act(s, (co_action){ .kind = CO_ACT_SAY_HELLO, .peer = peer });
    else touch(s, wi, now_us);
    return wi;
}

/* Puts back what a worker holds, without blame. */
static void reclaim(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    while (w->leases.tail != NONE) {
        const lease *l = &s->leases[w->leases.tail];
        co_ledger_act(s, (co_action){ .kind = CO_ACT_REVOKE, .peer = w->peer, .worker = w->number, .job = l->job->id, .lease = l->id, .running = 1 });
        (void)co_ledger_give_back(s, w->leases.tail, 0, now_us);
    }
    co_dispatch(s, now_us);
}

void co_scheduler_heard(co_scheduler *s, uint64_t now_us, uint32_t peer, uint32_t rtt_us, uint32_t held)
{
    uint32_t wi = sender(s, now_us, peer);
    if (wi == NONE) return;
    worker *w = &s->workers[wi];
    if (rtt_us) co_ledger_note_rtt(w, rtt_us, now_us);
    if (held || !w->in_hand) w->busy_us = now_us;
    if (since(now_us, w->busy_us) > s->lease_us) reclaim(s, wi, now_us);
}

/* The bands of a result that are new: into the books, and what it was worth. */
static void commit(co_scheduler *s, job *j, const co_result *r, uint16_t bands, uint64_t now_us)
{
    uint64_t all = co_ledger_paths(j, r->unit, r->bands), new = co_ledger_paths(j, r->unit, bands);
    co_ledger_commit(s, j, r->unit, bands, now_us);
    uint64_t rays = (uint64_t)((double)r->rays * (double)new / (double)all);
    j->sums.rays += rays;
    s->rays_in += rays;
    j->sums.result_bytes += r->bytes;
}

static void learn(co_scheduler *s, uint32_t wi, job *j, const co_result *r, uint64_t now_us)
{
    uint64_t paths = co_ledger_paths(j, r->unit, r->bands);
    co_ledger_learn(s, wi, paths, r->rays, r->micros);
    co_ledger_set_rate(s, wi, now_us);
    co_order_learn(s, j, r->unit, paths, r->rays);
    s->workers[wi].failures = 0;
}

/* The lease that this result answers, or NONE. */
static uint32_t answered(const co_scheduler *s, uint32_t wi, const co_result *r)
{
    uint32_t li = co_ledger_lease(s, r->lease);
    if (li == NONE || s->leases[li].worker != wi) return NONE;
    const lease *l = &s->leases[li];
    return l->job->id == r->job && l->unit == r->unit && l->bands == r->bands ? li : NONE;
}

/* Ends the lease. For a check: hears the opinion. */
static void end_lease(co_scheduler *s, uint32_t li, const co_result *r, uint64_t now_us)
{
    const lease l = s->leases[li];
    learn(s, l.worker, l.job, r, now_us);
    if (l.kind == CHECK) co_checks_opinion(s, l.job, l.record, l.worker, r->digest, now_us);
    li = co_ledger_lease(s, l.id); /* gone when the worker has just proved a liar */
    if (li != NONE) co_ledger_release(s, li, now_us);
}

uint16_t co_scheduler_result(co_scheduler *s, uint64_t now_us, uint32_t peer, const co_result *r)
{
    uint32_t wi = sender(s, now_us, peer), li = wi == NONE ? NONE : answered(s, wi, r);
    if (wi == NONE) return 0;
    if (li != NONE) end_lease(s, li, r, now_us);
    if (!s->workers[wi].number || s->workers[wi].peer != peer) wi = NONE; /* it has just proved a liar */
    uint16_t bands = wi == NONE ? 0 : co_scheduler_wants(s, r->job, r->unit) & r->bands;
    job *j = co_ledger_job(s, r->job);
    if (bands) {
        s->result_us = now_us;
        commit(s, j, r, bands, now_us);
        if (j->verify) co_checks_record(s, j, wi, r->unit, bands, r);
    }
    if (j && r->unit < j->count) {
        (void)co_ledger_reopen(s, j, r->unit, 0, now_us);
        co_ledger_end_if_over(s, j, now_us);
    }
    co_dispatch(s, now_us);
    return bands;
}

static uint32_t own_lease(co_scheduler *s, uint32_t wi, uint64_t id)
{
    uint32_t li = wi == NONE ? NONE : co_ledger_lease(s, id);
    return li != NONE && s->leases[li].worker == wi ? li : NONE;
}

static void rest(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    s->resting += w->rest_until_us == 0;
    w->rest_until_us = now_us + CO_REST_MS * UINT64_C(1000);
    w->failures = 0;
    if (s->reserved == w->number) s->reserved = 0;
    co_ledger_set_rate(s, wi, now_us);
    co_ledger_settle(s, wi, now_us);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_RESTS, .peer = w->peer, .worker = w->number });
}

void co_scheduler_failed(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t id)
{
    uint32_t wi = sender(s, now_us, peer), li = own_lease(s, wi, id);
    if (li == NONE) return;
    unit *u = &s->leases[li].job->units[s->leases[li].unit];
    u->failures++;
    u->shun = s->workers[wi].number;
    (void)co_ledger_give_back(s, li, 0, now_us);
    if (++s->workers[wi].failures >= CO_WORKER_FAILURES_MOST) rest(s, wi, now_us);
    co_dispatch(s, now_us);
}

void co_scheduler_returned(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t id)
{
    uint32_t wi = sender(s, now_us, peer), li = own_lease(s, wi, id);
    if (li == NONE) return;
    (void)co_ledger_give_back(s, li, 0, now_us);
    co_dispatch(s, now_us);
}

void co_scheduler_drain(co_scheduler *s, uint64_t now_us, uint32_t peer)
{
    uint32_t wi = sender(s, now_us, peer);
    if (wi == NONE) return;
    worker *w = &s->workers[wi];
    w->draining = 1;
    if (s->reserved == w->number) s->reserved = 0;
    co_ledger_set_rate(s, wi, now_us);
    co_ledger_settle(s, wi, now_us);
    co_dispatch(s, now_us);
}

void co_scheduler_left(co_scheduler *s, uint64_t now_us, uint32_t peer, int why)
{
    uint32_t wi = co_ledger_worker(s, peer);
    if (wi == NONE) return;
    co_scheduler_remove(s, wi, why, now_us);
    co_dispatch(s, now_us);
}

/* ---- the rest ---- */

co_scheduler *co_scheduler_new(uint32_t lease_ms)
{
    co_scheduler *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->lease_us = (lease_ms ? lease_ms : CO_LEASE_MS) * UINT64_C(1000);
    s->worker_free = s->lease_free = NONE;
    s->heard = s->line[HUNGRY] = s->line[IDLE] = EMPTY_LIST;
    return s;
}

void co_scheduler_free(co_scheduler *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->job_count; i++) free_job(s->jobs[i]);
    free(s->jobs);
    free(s->workers);
    free(s->leases);
    free(s->actions);
    co_map_free(&s->by_peer);
    co_map_free(&s->by_incarnation);
    co_map_free(&s->banned);
    free(s);
}

uint64_t co_scheduler_open(const co_scheduler *s) { return s->open_paths; }
uint32_t co_scheduler_workers(const co_scheduler *s) { return s->worker_count; }

void co_scheduler_keep_secret(co_scheduler *s, uint64_t secret) { s->secret = secret; }

uint32_t co_scheduler_identity(const co_scheduler *s, uint32_t peer)
{
    uint32_t wi = co_ledger_worker(s, peer);
    return wi == NONE ? 0 : s->workers[wi].who;
}

uint32_t co_scheduler_worker_number(const co_scheduler *s, uint32_t peer)
{
    uint32_t wi = co_ledger_worker(s, peer);
    return wi == NONE ? 0 : s->workers[wi].number;
}

uint32_t co_scheduler_in_hand(const co_scheduler *s, uint32_t peer)
{
    uint32_t wi = co_ledger_worker(s, peer);
    return wi == NONE ? 0 : s->workers[wi].in_hand;
}

int co_scheduler_broken(const co_scheduler *s) { return s->broken; }
