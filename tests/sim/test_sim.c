/* The real scheduler in a seeded virtual world: a discrete-event simulation of workers that crash, stall, lose their connection, leave and
 * come back, fail tiles, and of results that come twice or late. After every event the scheduler's invariants are checked, and our own
 * ledger says whether each unit was committed exactly once. A failing seed is printed; `test_sim SEED` runs that one alone.
 *
 * Virtual time is in microseconds. Messages of one connection keep their order, as ZeroMQ's do (late ones come over a former one). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/scheduler.h"

enum { WORKERS_MOST = 2000, THREADS_MOST = 8, QUEUE_MOST = 2048, JOBS_MOST = 4, LEASE_MS = 1000 };
#define SECOND UINT64_C(1000000)

typedef struct world_config {
    unsigned workers, jobs, side, spp, audit_every;
    uint32_t crash_ppm, stall_ppm, breaks_ppm, leave_ppm, fail_ppm, twice_ppm, late_ppm, amnesia_ppm; /* chances, a tile */
    unsigned poison;       /* units of job 1 that kill whoever traces them */
    unsigned slow_percent; /* of the workers are 20 times slower */
    uint64_t tile_us;
} world_config;

enum event_kind { TO_HUB, TO_WORKER, FINISH, HEARTBEAT, RESPAWN, TICK };
enum hub_kind { HUB_HELLO, HUB_RESULT, HUB_FAILED, HUB_RETURN, HUB_DRAIN, HUB_GOODBYE, HUB_PING, HUB_DISCONNECTED };

typedef struct event {
    uint64_t at, order;
    int kind, hub;
    uint32_t worker, life, peer; /* life: of the worker's process; an event of a former one is void (but what is under way to the hub) */
    uint64_t incarnation;
    co_result result;
    co_action action;
} event;

typedef struct tile {
    uint64_t job, lease;
    uint32_t unit;
} tile;

typedef struct sim_worker {
    uint32_t peer, number, life, threads, running, queued;
    uint64_t incarnation, speed_percent, delay_us, paused_until, last_out, last_in;
    int alive, leaving;
    tile queue[QUEUE_MOST];
    tile active[THREADS_MOST];
} sim_worker;

typedef struct world {
    world_config config;
    uint64_t seed, random, now, order, ticks_at;
    event *heap;
    size_t count, capacity;
    co_scheduler *scheduler;
    sim_worker *workers;
    uint32_t last_peer;
    uint64_t jobs[JOBS_MOST];
    uint8_t *committed[JOBS_MOST];
    uint32_t units[JOBS_MOST];
    int ended[JOBS_MOST];
    uint64_t events, late_commits, useless;
} world;

/* PCG32 (O'Neill 2014). */
static uint32_t random32(world *w)
{
    uint64_t old = w->random;
    w->random = old * 6364136223846793005ull + 1442695040888963407ull;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), r = (uint32_t)(old >> 59);
    return x >> r | x << (-r & 31);
}

static int chance(world *w, uint32_t ppm) { return random32(w) % 1000000 < ppm; }

static void check(const world *w, int good, const char *what)
{
    if (good) return;
    (void)fprintf(stderr, "seed %llu, event %llu, t = %.6f s: %s\n", (unsigned long long)w->seed, (unsigned long long)w->events,
                  (double)w->now * 1e-6, what);
    fail();
}

/* ---- the queue of events: a binary heap by time, then by order ---- */

static int before(const event *a, const event *b) { return a->at != b->at ? a->at < b->at : a->order < b->order; }

static void push(world *w, event e)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 1024;
        w->heap = realloc(w->heap, w->capacity * sizeof *w->heap);
        assert_non_null(w->heap);
    }
    e.order = w->order++;
    size_t i = w->count++;
    for (; i > 0 && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

static event pop(world *w)
{
    event first = w->heap[0], last = w->heap[--w->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->count) break;
        if (child + 1 < w->count && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->count) w->heap[i] = last;
    return first;
}

/* ---- workers ---- */

static uint64_t in_order(world *w, uint64_t *last, uint64_t delay)
{
    uint64_t at = w->now + delay + random32(w) % (delay / 2 + 1);
    if (at <= *last) at = *last + 1;
    *last = at;
    return at;
}

static void tell_hub(world *w, uint32_t i, int hub, co_result result, uint64_t extra_us)
{
    sim_worker *me = &w->workers[i];
    uint64_t at = in_order(w, &me->last_out, me->delay_us);
    push(w, (event){ .at = at + extra_us, .kind = TO_HUB, .hub = hub, .worker = i, .peer = me->peer, .incarnation = me->incarnation, .result = result });
}

static void connect_worker(world *w, uint32_t i)
{
    sim_worker *me = &w->workers[i];
    me->peer = ++w->last_peer;
    me->number = 0;
    me->last_out = me->last_in = w->now;
    tell_hub(w, i, HUB_HELLO, (co_result){ 0 }, 0);
}

static void spawn(world *w, uint32_t i)
{
    sim_worker *me = &w->workers[i];
    me->life++;
    me->alive = 1;
    me->leaving = 0;
    me->running = me->queued = 0;
    me->incarnation = (uint64_t)random32(w) << 32 | random32(w);
    connect_worker(w, i);
    push(w, (event){ .at = w->now + SECOND / 5, .kind = HEARTBEAT, .worker = i, .life = me->life });
}

static void die(world *w, uint32_t i, uint64_t back_us)
{
    sim_worker *me = &w->workers[i];
    if (random32(w) % 10 < 7) /* most crashes are seen at once */
        push(w, (event){ .at = w->now + 1000, .kind = TO_HUB, .hub = HUB_DISCONNECTED, .peer = me->peer });
    me->alive = 0;
    me->life++;
    push(w, (event){ .at = w->now + back_us, .kind = RESPAWN, .worker = i, .life = me->life });
}

static void start_tiles(world *w, uint32_t i)
{
    sim_worker *me = &w->workers[i];
    while (me->running < me->threads && me->queued > 0) {
        tile t = me->queue[0];
        memmove(me->queue, me->queue + 1, --me->queued * sizeof t);
        uint64_t us = w->config.tile_us * me->speed_percent / 100, spread = us / 2 + 1;
        me->active[me->running++] = t;
        push(w, (event){ .at = w->now + us + random32(w) % spread, .kind = FINISH, .worker = i, .life = me->life,
                         .result = { .job = t.job, .lease = t.lease, .unit = t.unit, .bands = UINT16_MAX, .micros = us } });
    }
}

static int drop_active(sim_worker *me, uint64_t lease)
{
    for (uint32_t k = 0; k < me->running; k++) {
        if (me->active[k].lease != lease) continue;
        me->active[k] = me->active[--me->running];
        return 1;
    }
    return 0;
}

static void leave(world *w, uint32_t i)
{
    sim_worker *me = &w->workers[i];
    me->leaving = 1;
    tell_hub(w, i, HUB_DRAIN, (co_result){ 0 }, 0);
    while (me->queued > 0) tell_hub(w, i, HUB_RETURN, (co_result){ .lease = me->queue[--me->queued].lease }, 0);
}

static void leave_when_done(world *w, uint32_t i)
{
    sim_worker *me = &w->workers[i];
    if (!me->leaving || me->running) return;
    tell_hub(w, i, HUB_GOODBYE, (co_result){ 0 }, 0);
    me->alive = 0;
    me->life++;
    push(w, (event){ .at = w->now + SECOND, .kind = RESPAWN, .worker = i, .life = me->life });
}

static int poisonous(const world *w, const co_result *r) { return r->job == 1 && r->unit % 37 == 5 && r->unit / 37 < w->config.poison; }

static void finish(world *w, const event *e)
{
    uint32_t i = e->worker;
    sim_worker *me = &w->workers[i];
    const world_config *c = &w->config;
    if (!drop_active(me, e->result.lease)) return; /* abandoned */
    if (poisonous(w, &e->result) || (i && chance(w, c->crash_ppm))) {
        die(w, i, SECOND / 10 + random32(w) % SECOND);
        return;
    }
    if (i && chance(w, c->fail_ppm)) {
        tell_hub(w, i, HUB_FAILED, e->result, 0);
    } else {
        tell_hub(w, i, HUB_RESULT, e->result, 0);
        if (chance(w, c->twice_ppm)) tell_hub(w, i, HUB_RESULT, e->result, 0);
        if (chance(w, c->late_ppm)) tell_hub(w, i, HUB_RESULT, e->result, 3 * SECOND);
    }
    if (i && chance(w, c->stall_ppm)) me->paused_until = w->now + random32(w) % (3 * SECOND);
    if (chance(w, c->amnesia_ppm)) me->queued = 0;
    if (i && chance(w, c->breaks_ppm)) connect_worker(w, i);
    if (i && !me->leaving && chance(w, c->leave_ppm)) leave(w, i);
    start_tiles(w, i);
    leave_when_done(w, i);
}

static void revoke(world *w, uint32_t i, const co_action *a)
{
    sim_worker *me = &w->workers[i];
    for (uint32_t k = 0; k < me->queued; k++) {
        if (me->queue[k].lease != a->lease) continue;
        memmove(me->queue + k, me->queue + k + 1, (--me->queued - k) * sizeof(tile));
        return;
    }
    if (a->running && drop_active(me, a->lease)) start_tiles(w, i);
}

static void forget(world *w, uint32_t i, uint64_t job)
{
    sim_worker *me = &w->workers[i];
    uint32_t kept = 0;
    for (uint32_t k = 0; k < me->queued; k++)
        if (me->queue[k].job != job) me->queue[kept++] = me->queue[k];
    me->queued = kept;
    for (uint32_t k = me->running; k-- > 0;)
        if (me->active[k].job == job) me->active[k] = me->active[--me->running];
    start_tiles(w, i);
}

static void to_worker(world *w, const event *e)
{
    sim_worker *me = &w->workers[e->worker];
    const co_action *a = &e->action;
    switch (a->kind) {
    case CO_ACT_WELCOME:
        if (a->worker != me->number) me->queued = 0; /* leases of a former number are void */
        me->number = a->worker;
        break;
    case CO_ACT_SAY_HELLO:
        me->number = 0;
        if (!me->leaving) tell_hub(w, e->worker, HUB_HELLO, (co_result){ 0 }, 0);
        break;
    case CO_ACT_ASSIGN:
        if (me->leaving) break; /* crossed our DRAIN: the goodbye frees it */
        check(w, me->queued < QUEUE_MOST, "a worker is flooded");
        me->queue[me->queued++] = (tile){ a->job, a->lease, a->unit };
        start_tiles(w, e->worker);
        break;
    case CO_ACT_REVOKE: revoke(w, e->worker, a); break;
    case CO_ACT_FORGET: forget(w, e->worker, a->job); break;
    default: break;
    }
    leave_when_done(w, e->worker);
}

/* ---- the hub: what the server does ---- */

static unsigned job_index(const world *w, uint64_t job)
{
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (w->jobs[k] == job) return k;
    check(w, 0, "an action of an unknown job");
    return 0;
}

static void commit(world *w, const co_result *r)
{
    unsigned k = job_index(w, r->job);
    check(w, r->unit < w->units[k], "a unit out of range was committed");
    check(w, !w->committed[k][r->unit], "a unit was committed twice");
    check(w, !w->ended[k], "a unit of an ended job was committed");
    w->committed[k][r->unit] = 1;
}

static void job_over(world *w, uint64_t job)
{
    unsigned k = job_index(w, job);
    co_job_status status;
    check(w, !w->ended[k], "a job ended twice");
    w->ended[k] = 1;
    check(w, co_scheduler_status(w->scheduler, w->now, job, &status) == 0, "an ended job has vanished");
    uint32_t missing = 0;
    for (uint32_t u = 0; u < w->units[k]; u++) {
        co_result r = { .job = job, .unit = u };
        missing += !w->committed[k][u];
        if (!w->committed[k][u]) check(w, poisonous(w, &r) || w->config.fail_ppm, "an innocent unit was given up");
    }
    check(w, (status.state == CO_JOB_DONE) == (missing == 0), "a job's end and its holes differ");
    check(w, status.tiles_done == w->units[k] - missing, "a job's count is wrong");
    if (k == 0 && w->config.poison) check(w, status.state == CO_JOB_FAILED, "poison was swallowed");
}

static void act(world *w)
{
    co_action a;
    while (co_scheduler_next(w->scheduler, &a)) {
        if (a.kind == CO_ACT_ENDED) job_over(w, a.job);
        if (a.kind > CO_ACT_FORGET) continue;
        for (uint32_t i = 0; i < w->config.workers; i++) { /* to whoever holds that connection now */
            sim_worker *to = &w->workers[i];
            if (to->peer != a.peer || !to->alive) continue;
            push(w, (event){ .at = in_order(w, &to->last_in, to->delay_us), .kind = TO_WORKER, .worker = i, .life = to->life, .peer = a.peer, .action = a });
            break;
        }
    }
}

static void to_hub(world *w, const event *e)
{
    co_scheduler *s = w->scheduler;
    switch (e->hub) {
    case HUB_HELLO: check(w, co_scheduler_hello(s, w->now, e->peer, e->incarnation, w->workers[e->worker].threads) == 0, "hello was refused"); break;
    case HUB_RESULT:
        if (co_scheduler_result(s, w->now, e->peer, &e->result)) commit(w, &e->result);
        else w->useless++;
        break;
    case HUB_FAILED: co_scheduler_failed(s, w->now, e->peer, e->result.lease); break;
    case HUB_RETURN: co_scheduler_returned(s, w->now, e->peer, e->result.lease); break;
    case HUB_DRAIN: co_scheduler_drain(s, w->now, e->peer); break;
    case HUB_GOODBYE: co_scheduler_left(s, w->now, e->peer, CO_LEAVE_GOODBYE); break;
    case HUB_PING: co_scheduler_heard(s, w->now, e->peer, 1 + (uint32_t)w->workers[e->worker].delay_us * 2, e->result.unit); break;
    default: co_scheduler_left(s, w->now, e->peer, CO_LEAVE_DISCONNECTED);
    }
}

/* ---- the world ---- */

static int all_ended(const world *w)
{
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (!w->ended[k]) return 0;
    return 1;
}

static void happen(world *w, const event *e)
{
    if (e->kind == TICK) {
        if (e->at != w->ticks_at) return; /* another was set since */
        co_scheduler_tick(w->scheduler, w->now);
        return;
    }
    if (e->kind == TO_HUB) {
        to_hub(w, e);
        return;
    }
    sim_worker *me = &w->workers[e->worker];
    if (e->life != me->life || (e->kind == TO_WORKER && e->peer != me->peer)) return;
    if (w->now < me->paused_until) { /* it hangs: all that happens to it happens later, in the same order */
        event later = *e;
        later.at = me->paused_until;
        push(w, later);
        return;
    }
    if (e->kind == FINISH) finish(w, e);
    else if (e->kind == TO_WORKER) to_worker(w, e);
    else if (e->kind == RESPAWN) spawn(w, e->worker);
    else if (me->alive) {
        tell_hub(w, e->worker, HUB_PING, (co_result){ .unit = me->queued + me->running }, 0);
        push(w, (event){ .at = w->now + SECOND / 5, .kind = HEARTBEAT, .worker = e->worker, .life = me->life });
    }
}

/* One tick is under way at most; it may come early, as in the server, which ticks whenever it wakes. */
static void set_tick(world *w)
{
    uint64_t due = co_scheduler_deadline(w->scheduler, w->now) + 1;
    if (w->ticks_at > w->now && w->ticks_at <= due) return;
    w->ticks_at = due;
    push(w, (event){ .at = due, .kind = TICK });
}

static void create(world *w)
{
    const world_config *c = &w->config;
    w->scheduler = co_scheduler_new(LEASE_MS);
    w->workers = calloc(c->workers, sizeof *w->workers);
    assert_non_null(w->workers);
    for (uint32_t i = 0; i < c->workers; i++) {
        sim_worker *me = &w->workers[i];
        me->threads = 1 + random32(w) % 4;
        me->speed_percent = 80 + random32(w) % 40;
        if (random32(w) % 100 < c->slow_percent) me->speed_percent *= 20;
        me->delay_us = 50 + random32(w) % 2000;
        push(w, (event){ .at = 1 + random32(w) % SECOND, .kind = RESPAWN, .worker = i });
    }
    for (unsigned k = 0; k < c->jobs; k++) {
        mr_picture picture = { c->side, c->side, c->spp, 0 };
        mr_error err;
        assert_int_equal(co_scheduler_submit(w->scheduler, w->now, &picture, 32, &w->jobs[k], &err), MR_OK);
        co_job_status status;
        assert_int_equal(co_scheduler_status(w->scheduler, w->now, w->jobs[k], &status), 0);
        w->units[k] = (uint32_t)status.tiles;
        w->committed[k] = calloc(w->units[k], 1);
        assert_non_null(w->committed[k]);
    }
}

static void destroy(world *w)
{
    co_scheduler_free(w->scheduler);
    for (unsigned k = 0; k < w->config.jobs; k++) free(w->committed[k]);
    free(w->workers);
    free(w->heap);
}

/* Runs a world to the end of its jobs. Returns the virtual seconds it took. */
static double run(uint64_t seed, const world_config *config, co_job_status *last)
{
    world w = { .config = *config, .seed = seed, .random = seed * 2 + 1 };
    (void)random32(&w);
    create(&w);
    w.now = 1;
    act(&w);
    set_tick(&w);
    while (!all_ended(&w)) {
        check(&w, w.count > 0 && w.now < 3600 * SECOND, "the jobs do not end");
        event e = pop(&w);
        w.now = e.at;
        w.events++;
        happen(&w, &e);
        act(&w);
        if (e.kind == TO_HUB || (e.kind == TICK && e.at == w.ticks_at)) set_tick(&w);
        const char *wrong = w.events % config->audit_every ? NULL : co_scheduler_audit(w.scheduler);
        check(&w, !wrong, wrong);
    }
    assert_int_equal(co_scheduler_status(w.scheduler, w.now, w.jobs[0], last), 0);
    double seconds = (double)w.now * 1e-6;
    destroy(&w);
    return seconds;
}

/* ---- tests ---- */

static uint64_t only_seed;

static void run_seeds(unsigned seeds, const world_config *config)
{
    co_job_status last;
    if (only_seed) (void)run(only_seed, config, &last);
    for (uint64_t seed = 1; seed <= seeds && !only_seed; seed++) {
        world_config c = *config;
        c.workers = 1 + (unsigned)(seed * 7 % config->workers);
        (void)run(seed, &c, &last);
    }
}

static void test_quiet(void **state)
{
    (void)state;
    run_seeds(30, &(world_config){ .workers = 12, .jobs = 2, .side = 256, .spp = 16, .audit_every = 1, .tile_us = 20000 });
}

static void test_crashes(void **state)
{
    (void)state;
    run_seeds(150, &(world_config){ .workers = 12, .jobs = 2, .side = 256, .spp = 100, .audit_every = 1, .tile_us = 20000, .crash_ppm = 20000 });
}

static void test_everything(void **state)
{
    (void)state;
    run_seeds(300, &(world_config){ .workers = 16, .jobs = 3, .side = 256, .spp = 100, .audit_every = 1, .tile_us = 20000, .crash_ppm = 10000,
                                    .stall_ppm = 20000, .breaks_ppm = 20000, .leave_ppm = 10000, .twice_ppm = 50000, .late_ppm = 50000,
                                    .slow_percent = 10, .amnesia_ppm = 1000 });
}

static void test_failures(void **state)
{
    (void)state;
    run_seeds(50, &(world_config){ .workers = 8, .jobs = 1, .side = 256, .spp = 16, .audit_every = 1, .tile_us = 20000, .fail_ppm = 30000,
                                   .crash_ppm = 5000, .twice_ppm = 50000 });
}

static void test_poison(void **state)
{
    (void)state;
    run_seeds(60, &(world_config){ .workers = 8, .jobs = 2, .side = 256, .spp = 48, .audit_every = 1, .tile_us = 20000, .poison = 2 });
}

static void test_many_workers(void **state)
{
    (void)state;
    co_job_status last;
    world_config c = { .workers = 500, .jobs = 1, .side = 2048, .spp = 48, .audit_every = 997, .tile_us = 20000, .crash_ppm = 5000,
                       .stall_ppm = 5000, .breaks_ppm = 5000, .twice_ppm = 10000, .late_ppm = 10000 };
    (void)run(1, &c, &last);
}

/* The tail: with equal workers and nothing going wrong, the last tile comes soon after the ideal end, and little is done twice. */
static void test_tail(void **state)
{
    (void)state;
    co_job_status last;
    world_config c = { .workers = 8, .jobs = 1, .side = 1024, .spp = 48, .audit_every = 101, .tile_us = 20000, .slow_percent = 0 };
    (void)run(3, &c, &last);
    assert_true(last.tiles_redone == 0);
    assert_int_equal(last.workers_seen, 8);
}

/* One of eight is 20 times slower: it takes little from the rest. */
static void test_slow_worker(void **state)
{
    (void)state;
    co_job_status even, uneven;
    world_config c = { .workers = 8, .jobs = 1, .side = 2048, .spp = 48, .audit_every = 101, .tile_us = 20000 };
    double without = run(5, &c, &even);
    c.slow_percent = 15;
    double with = run(5, &c, &uneven);
    assert_true(with < 2.0 * without);
}

int main(int argc, char **argv)
{
    if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),  cmocka_unit_test(test_crashes),      cmocka_unit_test(test_everything), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_poison), cmocka_unit_test(test_many_workers), cmocka_unit_test(test_tail),       cmocka_unit_test(test_slow_worker),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
