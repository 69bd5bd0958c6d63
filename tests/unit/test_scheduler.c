/* The scheduler's rules, one at a time (tests/sim throws everything at it at once); and the plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/limits.h"
#include "coordinator/map.h"
#include "coordinator/plan.h"
#include "coordinator/scheduler.h"

enum { LEASE_US = 1000000 };

static co_scheduler *s;
static co_action actions[4096];
static unsigned count;
static uint64_t now;

static int setup(void **state)
{
    (void)state;
    now = 1000;
    s = co_scheduler_new(LEASE_US / 1000);
    return s ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    co_scheduler_free(s);
    return 0;
}

/* Takes all actions; returns how many there are of a kind for a peer (0: any). */
static unsigned take(int kind, uint32_t peer)
{
    unsigned found = 0;
    count = 0;
    assert_null(co_scheduler_audit(s));
    while (co_scheduler_next(s, &actions[count])) {
        found += actions[count].kind == kind && (!peer || actions[count].peer == peer);
        assert_true(++count < sizeof actions / sizeof actions[0]);
    }
    return found;
}

static co_action first(int kind, uint32_t peer)
{
    for (unsigned i = 0; i < count; i++)
        if (actions[i].kind == kind && (!peer || actions[i].peer == peer)) return actions[i];
    fail_msg("no action %d for peer %u", kind, peer);
    return actions[0];
}

static uint64_t submit(uint32_t side, uint32_t spp, uint32_t tile)
{
    uint64_t job;
    const mr_picture picture = { side, side, spp, 0 };
    assert_int_equal(co_scheduler_submit(s, now, &picture, tile, NULL, &job, NULL), MR_OK);
    return job;
}

static void hello(uint32_t peer, uint32_t threads) { assert_int_equal(co_scheduler_hello(s, now, peer, 1000 + peer, threads, 0), 0); }

static int result(const co_action *a, uint64_t micros)
{
    const co_result r = { .job = a->job, .lease = a->lease, .unit = a->unit, .bands = a->bands, .rays = 10, .micros = micros, .bytes = 100 };
    return co_scheduler_result(s, now, a->peer, &r) != 0;
}

static co_job_status status_of(uint64_t job)
{
    co_job_status status;
    assert_int_equal(co_scheduler_status(s, now, job, &status), 0);
    return status;
}

static void test_one_worker(void **state)
{
    (void)state;
    uint64_t job = submit(64, 1, 32);
    assert_int_equal(take(CO_ACT_ASSIGN, 0), 0);
    assert_int_equal(status_of(job).state, CO_JOB_QUEUED);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 2); /* its thread, and one in hand */
    assert_int_equal(actions[0].kind, CO_ACT_WELCOME);
    assert_int_equal(actions[0].worker, 1);
    co_action held[64];
    unsigned given = 2, done = 0;
    memcpy(held, actions + 1, 2 * sizeof held[0]);
    for (; done < given; done++) { /* in pieces, as nobody knows what a tile costs, and near the end */
        const co_action *a = &held[done];
        assert_int_equal(co_scheduler_wants(s, job, a->unit) & a->bands, a->bands);
        assert_int_equal(result(a, 20000), 1);
        assert_int_equal(result(a, 20000), 0); /* once is enough */
        assert_int_equal(co_scheduler_wants(s, job, a->unit) & a->bands, 0);
        assert_true(given + take(CO_ACT_ASSIGN, 7) <= 64);
        for (unsigned i = 0; i < count; i++)
            if (actions[i].kind == CO_ACT_ASSIGN) held[given++] = actions[i];
    }
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
}

static void test_end(void **state)
{
    (void)state;
    uint64_t job = submit(32, 1, 32);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
    co_action a = first(CO_ACT_ASSIGN, 7);
    now += 500;
    assert_int_equal(result(&a, 500), 1);
    assert_int_equal(take(CO_ACT_ENDED, 0), 1);
    assert_int_equal(first(CO_ACT_FORGET, 7).job, job);
    co_job_status status = status_of(job);
    assert_int_equal(status.state, CO_JOB_DONE);
    assert_int_equal(status.samples_done, 1024);
    assert_int_equal(status.rays, 10);
    assert_int_equal(status.result_bytes, 100);
    assert_int_equal(status.workers_seen, 1);
    assert_true(status.seconds > 0.0004 && status.seconds < 0.0006);
    assert_int_equal(co_scheduler_next_job(s, 0), job);
    co_scheduler_forget(s, job);
    assert_int_equal(co_scheduler_next_job(s, 0), 0);
    assert_int_equal(result(&a, 500), 0);
}

static void test_strangers(void **state)
{
    (void)state;
    uint64_t job = submit(64, 1, 32);
    const co_result r = { .job = job, .unit = 0, .lease = 1 };
    assert_int_equal(co_scheduler_result(s, now, 9, &r), 0);
    assert_int_equal(take(CO_ACT_SAY_HELLO, 9), 1);
    co_scheduler_heard(s, now, 9, 0, 0);
    assert_int_equal(take(CO_ACT_SAY_HELLO, 9), 1);
    hello(7, 1);
    (void)take(0, 0);
    const co_result bad[] = { { .job = 99, .unit = 0 }, { .job = job, .unit = 4 }, { .job = job, .unit = UINT32_MAX } };
    for (unsigned i = 0; i < 3; i++) assert_int_equal(co_scheduler_result(s, now, 7, &bad[i]), 0);
    co_scheduler_failed(s, now, 7, UINT64_MAX);
    co_scheduler_returned(s, now, 7, 12345);
    co_scheduler_left(s, now, 1234, CO_LEAVE_GOODBYE);
    assert_int_equal(take(CO_ACT_ASSIGN, 0), 0);
}

/* A lost worker's units go to others before anything new; its late results still count, if nobody was quicker. */
static void test_loss(void **state)
{
    (void)state;
    uint64_t job = submit(512, 1, 32);
    hello(7, 1);
    (void)take(0, 0);
    co_action lost = first(CO_ACT_ASSIGN, 7);
    hello(8, 1);
    (void)take(0, 0);
    now += LEASE_US * 4 / 10;
    co_scheduler_heard(s, now, 8, 0, UINT32_MAX);
    co_scheduler_tick(s, now);
    now += LEASE_US * 4 / 10;
    co_scheduler_heard(s, now, 8, 0, UINT32_MAX);
    co_scheduler_tick(s, now);
    now += LEASE_US * 3 / 10;
    co_scheduler_tick(s, now);
    assert_int_equal(take(CO_ACT_LEFT, 7), 1);
    assert_int_equal(first(CO_ACT_LEFT, 7).why, CO_LEAVE_SILENT);
    assert_int_equal(first(CO_ACT_LEFT, 7).count, 2);
    hello(9, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 9), 2);
    assert_int_equal(first(CO_ACT_ASSIGN, 9).unit, lost.unit);
    assert_int_equal(status_of(job).tiles_redone, 2);
    assert_int_equal(co_scheduler_hello(s, now, 10, 1007, 1, 0), 0); /* number 7 is back */
    (void)take(0, 0);
    lost.peer = 10;
    assert_int_equal(result(&lost, 1), 1);
    assert_int_equal(take(CO_ACT_REVOKE, 9), 1);
}

/* We slept, not they. */
static void test_our_own_pause(void **state)
{
    (void)state;
    hello(7, 1);
    co_scheduler_tick(s, now);
    now += 10 * LEASE_US;
    co_scheduler_tick(s, now);
    assert_int_equal(take(CO_ACT_LEFT, 0), 0);
    assert_int_equal(co_scheduler_workers(s), 1);
}

static void test_comes_back(void **state)
{
    (void)state;
    (void)submit(512, 1, 32);
    hello(7, 1);
    (void)take(0, 0);
    assert_int_equal(co_scheduler_hello(s, now, 7, 1007, 1, 0), 0); /* twice on one connection: nothing new */
    assert_int_equal(take(CO_ACT_WELCOME, 7), 1);
    assert_int_equal(count, 1);
    assert_int_equal(co_scheduler_hello(s, now, 8, 1007, 1, 0), 0); /* on a new one: replaces the old */
    assert_int_equal(take(CO_ACT_LEFT, 7), 1);
    assert_int_equal(first(CO_ACT_LEFT, 7).why, CO_LEAVE_REPLACED);
    assert_int_equal(co_scheduler_workers(s), 1);
    assert_int_equal(co_scheduler_worker_number(s, 7), 0);
    assert_int_equal(co_scheduler_worker_number(s, 8), 2);
}

static void test_drain(void **state)
{
    (void)state;
    (void)submit(512, 1, 32);
    hello(7, 1);
    (void)take(0, 0);
    co_action begun = actions[1], waiting = actions[2];
    co_scheduler_drain(s, now, 7);
    co_scheduler_returned(s, now, 7, waiting.lease);
    assert_int_equal(result(&begun, 100), 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 0);
    co_scheduler_left(s, now, 7, CO_LEAVE_GOODBYE);
    assert_int_equal(take(CO_ACT_LEFT, 7), 1);
    assert_int_equal(first(CO_ACT_LEFT, 7).count, 0);
    hello(8, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 8), 2);
    assert_int_equal(first(CO_ACT_ASSIGN, 8).unit, waiting.unit);
}

/* Paths of what an action assigns, so that tests can say what it took. */
static uint64_t paths_of(const co_action *a)
{
    mr_tile t;
    assert_int_equal(co_scheduler_tile(s, a->job, a->unit, &t), 1);
    return (uint64_t)t.width * co_bands_rows(t.height, a->bands) * t.sample_count;
}

/* Finished in that time, two rays a path. */
static int finish(const co_action *a, uint64_t micros)
{
    const co_result r = { .job = a->job, .lease = a->lease, .unit = a->unit, .bands = a->bands, .rays = 2 * paths_of(a), .micros = micros, .bytes = 100 };
    return co_scheduler_result(s, now, a->peer, &r) != 0;
}

/* Quick tiles: more in hand; a long road: still more; never more than they use up in that time and a little. */
static void test_credit(void **state)
{
    (void)state;
    (void)submit(4096, 1, 32);
    hello(7, 2);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 3);
    co_action a = first(CO_ACT_ASSIGN, 7);
    assert_int_equal(finish(&a, 1000), 1); /* 2 threads x 20 ms of slack / 1 ms = 40, and the 2 that run */
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 42 - 2);
    co_scheduler_heard(s, now, 7, 30000, UINT32_MAX);
    a = first(CO_ACT_ASSIGN, 7);
    assert_int_equal(finish(&a, 1000), 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 102 - 41);
    for (unsigned n = 0; n < 3; n++) { /* a longer one may have waited behind results: it counts when there was none shorter for a while */
        co_scheduler_heard(s, now, 7, 90000, UINT32_MAX);
        co_action b = actions[n];
        assert_int_equal(finish(&b, 1000), 1);
        unsigned more = take(CO_ACT_ASSIGN, 7);
        assert_true(n < 2 ? more == 1 : more > 100);
        now += CO_RTT_WINDOW_US + 1;
    }
}

static void test_slow_tiles(void **state)
{
    (void)state;
    (void)submit(2048, 1, 32);
    hello(7, 4);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 5);
    co_action a[5];
    memcpy(a, actions + 1, sizeof a);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(finish(&a[i], 10000000), 1);
        assert_int_equal(take(CO_ACT_ASSIGN, 7), 1); /* 4 run, 1 waits */
    }
}

static unsigned dear(uint64_t job, uint32_t unit)
{
    mr_tile t;
    assert_int_equal(co_scheduler_tile(s, job, unit, &t), 1);
    return t.x == 64 && t.y == 0 ? 40 : t.x == 0 && t.y == 64 ? 20 : 2;
}

/* What a pass of few samples took orders the rest: in each round the dearest tiles first. */
static void test_order(void **state)
{
    (void)state;
    uint64_t job = submit(128, 1024, 64); /* 4 tiles, 342 ranges */
    co_action held[256];
    unsigned given = 0, done = 0, first_pass = 4, former = 0, followed = 0;
    uint16_t in[4] = { 0 };
    uint8_t begun[1372] = { 0 };
    hello(7, 1);
    for (unsigned found = take(CO_ACT_ASSIGN, 7); followed < 2; found = take(CO_ACT_ASSIGN, 7)) {
        assert_true(given + found <= 256);
        for (unsigned i = 0; i < count; i++) {
            if (actions[i].kind != CO_ACT_ASSIGN) continue;
            held[given++] = actions[i];
            if (begun[actions[i].unit] || first_pass) continue; /* from here on all is known: 40, 20, 2, 2, 40 ... */
            unsigned cost = dear(job, actions[i].unit);
            if (former) assert_true(cost == 40 ? former == 2 : cost == 20 ? former == 40 : former <= 20);
            followed += former == 40;
            former = cost;
        }
        for (unsigned i = 0; i < given; i++) begun[held[i].unit] = 1;
        assert_true(done < given);
        const co_action *a = &held[done++];
        const co_result r = { .job = job, .lease = a->lease, .unit = a->unit, .bands = a->bands, .rays = dear(job, a->unit) * paths_of(a), .micros = 1000000 };
        assert_true(co_scheduler_result(s, now, 7, &r) != 0);
        if (a->unit >= 4) continue;
        in[a->unit] |= a->bands;
        first_pass -= in[a->unit] == UINT16_MAX;
    }
}

/* A piece of what nobody has seen anything of is small beside all that is left; once a part of it is in, it is cut by what it takes. */
static void test_doubt(void **state)
{
    (void)state;
    (void)submit(512, 1, 256); /* 4 tiles of 65,536 paths, no first pass */
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 2);
    co_action a = first(CO_ACT_ASSIGN, 7);
    assert_int_equal(__builtin_popcount(a.bands), 1);
    co_action second = actions[2];
    assert_int_equal(finish(&a, 100000), 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
    co_action rest = first(CO_ACT_ASSIGN, 7);
    assert_int_equal(rest.unit, a.unit);
    assert_int_equal(__builtin_popcount(rest.bands), 14);
    assert_int_equal(finish(&second, 100000), 1);
    assert_int_equal(finish(&rest, 1400000), 1);
    assert_true(take(CO_ACT_ASSIGN, 7) > 0);
    co_action other = first(CO_ACT_ASSIGN, 7);
    assert_int_not_equal(other.unit, a.unit);
    assert_true(__builtin_popcount(other.bands) <= 2);
}

/* A worker is at something for far longer than was thought: what waits in its hands goes to others, and nothing more is put there until it is done. */
static void test_held_up(void **state)
{
    (void)state;
    (void)submit(2048, 1, 32);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 2);
    co_action a = first(CO_ACT_ASSIGN, 7), late = actions[2];
    now += 100000;
    assert_int_equal(finish(&a, 100000), 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
    co_action waiting = first(CO_ACT_ASSIGN, 7);
    hello(8, 1);
    (void)take(0, 0);
    for (unsigned n = 0; n < 4; n++) { /* 7 hangs, and lives */
        now += 100000;
        co_scheduler_heard(s, now, 7, 0, UINT32_MAX);
        co_scheduler_heard(s, now, 8, 0, UINT32_MAX);
        co_scheduler_tick(s, now);
        if (take(CO_ACT_REVOKE, 7)) break;
        assert_true(n < 3);
    }
    assert_int_equal(first(CO_ACT_REVOKE, 7).lease, waiting.lease);
    for (unsigned n = 0; n < 4; n++) {
        now += 100000;
        co_scheduler_heard(s, now, 7, 0, UINT32_MAX);
        co_scheduler_heard(s, now, 8, 0, UINT32_MAX);
        co_scheduler_tick(s, now);
        assert_int_equal(take(CO_ACT_ASSIGN, 7), 0);
    }
    assert_int_equal(finish(&late, 100000), 1);
    assert_true(take(CO_ACT_ASSIGN, 7) > 0);
}

/* The queue is dry: an idle worker takes over what has not begun, in pieces, then gets copies of parts of what is late. */
static void test_tail(void **state)
{
    (void)state;
    uint64_t job = submit(64, 1, 32);
    hello(7, 2);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 3);
    co_action a[3];
    memcpy(a, actions + 1, sizeof a);
    now += 10000;
    assert_int_equal(finish(&a[0], 10000), 1); /* 10 ms a unit */
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 0); /* near the end: two run, and nothing waits in its hands */
    hello(8, 2);
    assert_true(take(CO_ACT_ASSIGN, 8) >= 2);
    unsigned copies = 0, parts = 0;
    for (unsigned round = 0; round < 200 && status_of(job).state == CO_JOB_RUNNING; round++) {
        co_action mine[64];
        unsigned n = 0;
        for (unsigned i = 0; i < count; i++)
            if (actions[i].kind == CO_ACT_ASSIGN && actions[i].peer == 8) mine[n++] = actions[i];
        for (unsigned i = 0; i < n; i++) { /* number 8 works, number 7 hangs */
            copies += mine[i].unit == a[1].unit || mine[i].unit == a[2].unit;
            parts += mine[i].bands != UINT16_MAX;
            (void)finish(&mine[i], 1000);
        }
        now += 5000;
        co_scheduler_heard(s, now, 7, 0, UINT32_MAX);
        co_scheduler_heard(s, now, 8, 0, UINT32_MAX);
        co_scheduler_tick(s, now);
        (void)take(0, 0);
    }
    assert_true(copies >= 2 && parts >= 2);
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
    assert_int_equal(status_of(job).tiles_redone, 0);
    assert_int_equal(finish(&a[1], 10000), 0); /* too late */
}

/* Half of a unit came from one worker, then all of it from another: the rest counts. */
static void test_trimmed(void **state)
{
    (void)state;
    uint64_t job = submit(512, 1, 32);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 2);
    co_action a = first(CO_ACT_ASSIGN, 7);
    hello(8, 1);
    (void)take(0, 0);
    const co_result half = { .job = job, .unit = a.unit, .bands = 0x00ff, .rays = 10, .micros = 5 };
    assert_int_equal(co_scheduler_result(s, now, 8, &half), 0x00ff);
    assert_int_equal(take(CO_ACT_REVOKE, 7), 0);
    assert_int_equal(co_scheduler_wants(s, job, a.unit), 0xff00);
    const co_result whole = { .job = job, .lease = a.lease, .unit = a.unit, .bands = 0xffff, .rays = 10, .micros = 5 };
    assert_int_equal(co_scheduler_result(s, now, 7, &whole), 0xff00);
    assert_int_equal(status_of(job).tiles_done, 1);
    assert_int_equal(status_of(job).samples_done, 1024);
}

/* The more urgent job first; equals share; a newcomer waits for its turn and takes no more. */
static void test_turns(void **state)
{
    (void)state;
    const mr_picture picture = { 1024, 1024, 1, 0 };
    uint64_t jobs[4];
    for (unsigned i = 0; i < 4; i++) {
        const co_job_options options = { .priority = i == 2 ? 9 : 4 };
        const mr_picture small = { 32, 32, 1, 0 };
        assert_int_equal(co_scheduler_submit(s, now, i == 2 ? &small : &picture, 32, &options, &jobs[i], NULL), MR_OK);
    }
    hello(7, 1);
    (void)take(0, 0);
    assert_int_equal(actions[1].job, jobs[2]);
    unsigned given[5] = { 0 };
    co_action held[128];
    unsigned n = 0;
    for (unsigned i = 1; i < count; i++) held[n++] = actions[i];
    for (unsigned i = 0; i < 61; i++) {
        given[held[i].job]++;
        assert_int_equal(finish(&held[i], 1000000), 1);
        (void)take(0, 0);
        for (unsigned k = 0; k < count; k++)
            if (actions[k].kind == CO_ACT_ASSIGN) held[n++] = actions[k];
    }
    assert_int_equal(given[jobs[2]], 1);
    for (unsigned i = 0; i < 4; i++)
        if (i != 2) assert_int_equal(given[jobs[i]], 20);
    assert_int_equal(status_of(jobs[0]).priority, 4);
}

/* ---- tiles done twice ---- */

static uint64_t submit_verified(uint32_t side, uint32_t percent)
{
    uint64_t job;
    const mr_picture picture = { side, side, 1, 0 };
    const co_job_options options = { .priority = 5, .verify_percent = percent };
    assert_int_equal(co_scheduler_submit(s, now, &picture, 32, &options, &job, NULL), MR_OK);
    return job;
}

/* Everyone does what it is told; `liar` (a peer) returns something else. Until nothing moves any more. */
static unsigned work_all(uint32_t liar)
{
    static co_action queue[4096];
    unsigned n = 0, evicted = 0;
    for (unsigned i = 0;; i++) {
        (void)take(0, 0);
        for (unsigned k = 0; k < count; k++) {
            if (actions[k].kind == CO_ACT_ASSIGN) queue[n++] = actions[k];
            evicted += actions[k].kind == CO_ACT_EVICT;
        }
        if (i == n) return evicted;
        const co_action *a = &queue[i];
        const co_result r = { .job = a->job, .lease = a->lease, .unit = a->unit, .bands = a->bands, .rays = 2 * paths_of(a), .micros = 1000,
                              .digest = a->unit + (a->peer == liar ? 1000000 + a->peer : 0) };
        (void)co_scheduler_result(s, now, a->peer, &r);
    }
}

static void test_honest(void **state)
{
    (void)state;
    uint64_t job = submit_verified(256, 100);
    hello(7, 1);
    hello(8, 1);
    assert_int_equal(work_all(0), 0);
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
    assert_true(status_of(job).verified >= 64);
}

static void test_liar(void **state)
{
    (void)state;
    uint64_t job = submit_verified(256, 100);
    for (uint32_t peer = 7; peer < 10; peer++) hello(peer, 1);
    assert_int_equal(work_all(8), 1);
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
    assert_int_equal(status_of(job).evicted, 1);
    assert_int_equal(co_scheduler_worker_number(s, 8), 0);
    assert_int_equal(co_scheduler_hello(s, now, 8, 1008, 1, 0), CO_HELLO_BANNED);
    assert_int_equal(co_scheduler_hello(s, now, 11, 1008, 1, 0), CO_HELLO_BANNED); /* under another connection, too */
}

/* The opinion that exposes the liar of a job's only tile is the tile, too, once what he brought is withdrawn. */
static void test_liar_of_the_last_tile(void **state)
{
    (void)state;
    uint64_t job = submit_verified(32, 100);
    for (uint32_t peer = 7; peer < 10; peer++) hello(peer, 1);
    unsigned withdrawn = 0, ended = 0;
    for (unsigned opinions = 0; opinions < 5 && !ended; opinions++) { /* the tile, two others on it, and one on what was done anew */
        co_result r = { .job = job, .rays = 9, .micros = 9, .digest = opinions ? 1 : 666 };
        uint32_t peer = 0;
        (void)take(0, 0);
        for (unsigned k = 0; k < count; k++) {
            withdrawn += actions[k].kind == CO_ACT_WITHDRAW && actions[k].job == job && actions[k].count == 1 && !ended;
            ended += actions[k].kind == CO_ACT_ENDED;
            if (actions[k].kind != CO_ACT_ASSIGN) continue;
            peer = actions[k].peer;
            r.lease = actions[k].lease;
            r.bands = actions[k].bands;
        }
        if (peer) (void)co_scheduler_result(s, now, peer, &r);
    }
    assert_int_equal(withdrawn, 1);
    assert_int_equal(ended, 1);
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
}

/* Workers that share an identity are one voice, and have one fate: none of them may come again, under no incarnation. */
static void test_liar_with_a_key_of_his_own(void **state)
{
    (void)state;
    enum { KEY = 77 };
    uint64_t job = submit_verified(256, 100);
    assert_int_equal(co_scheduler_hello(s, now, 20, 500, 1, KEY), 0);
    assert_int_equal(co_scheduler_hello(s, now, 21, 501, 1, KEY), 0);
    assert_int_equal(work_all(0), 0); /* nobody checks his own */
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
    assert_int_equal(status_of(job).verified, 0);
    job = submit_verified(256, 100);
    hello(8, 1);
    hello(9, 1);
    assert_int_equal(work_all(20), 1);
    assert_int_equal(status_of(job).state, CO_JOB_DONE);
    assert_int_equal(co_scheduler_worker_number(s, 20), 0);
    assert_int_equal(co_scheduler_worker_number(s, 21), 0);
    assert_int_equal(co_scheduler_hello(s, now, 22, 502, 1, KEY), CO_HELLO_BANNED);
    assert_int_equal(co_scheduler_hello(s, now, 22, 500, 1, 0), 0); /* the key counts, not the incarnation */
}

/* One worker: there is nobody to compare with, and the job ends all the same. Two that differ: nobody can settle it, and it fails. */
static void test_too_few(void **state)
{
    (void)state;
    uint64_t alone = submit_verified(64, 100);
    hello(7, 1);
    assert_int_equal(work_all(0), 0);
    assert_int_equal(status_of(alone).state, CO_JOB_DONE);
    assert_int_equal(status_of(alone).verified, 0);
    uint64_t two = submit_verified(64, 100);
    hello(8, 1);
    assert_int_equal(work_all(8), 0);
    assert_int_equal(status_of(two).state, CO_JOB_FAILED);
    assert_true(co_scheduler_missing(s, two, 0) >= 0);
}

/* Two workers that are lost again and again over a unit, and come back, are no three that died of it. */
static void test_lost_and_back(void **state)
{
    (void)state;
    uint64_t job = submit(16, 1, 16);
    for (uint32_t turn = 0; turn < 4 * CO_DEATHS_MOST; turn++) {
        uint32_t peer = 1 + turn % 2;
        hello(peer, 1);
        (void)take(0, 0);
        co_scheduler_left(s, now, peer, CO_LEAVE_DISCONNECTED);
    }
    assert_int_equal(status_of(job).state, CO_JOB_RUNNING);
    (void)take(0, 0);
    hello(3, 1);
    (void)take(0, 0);
    co_scheduler_left(s, now, 3, CO_LEAVE_DISCONNECTED);
    assert_int_equal(status_of(job).state, CO_JOB_FAILED);
}

/* A unit that kills its workers is put aside, its companions are not; the job ends, failed, and says what is missing. */
static void test_poison(void **state)
{
    (void)state;
    uint64_t job = submit(64, 1, 32);
    const uint32_t poison = 2;
    unsigned deaths = 0;
    for (uint32_t peer = 1; status_of(job).state <= CO_JOB_RUNNING; peer++) {
        assert_true(peer < 50);
        hello(peer, 2);
        co_action held[8];
        unsigned n = 0;
        int dies = 0;
        (void)take(0, 0);
        for (unsigned i = 0; i < count; i++)
            if (actions[i].kind == CO_ACT_ASSIGN) held[n++] = actions[i];
        for (unsigned i = 0; i < n && !dies; i++) { /* in order, until it comes to the poison */
            dies = held[i].unit == poison;
            if (!dies) (void)result(&held[i], 100);
        }
        deaths += dies != 0;
        co_scheduler_left(s, now, peer, dies ? CO_LEAVE_DISCONNECTED : CO_LEAVE_GOODBYE);
    }
    (void)take(0, 0);
    assert_int_equal(deaths, CO_DEATHS_MOST);
    assert_int_equal(status_of(job).state, CO_JOB_FAILED);
    assert_int_equal(status_of(job).tiles_done, 3);
    assert_int_equal(co_scheduler_missing(s, job, 0), poison);
    assert_int_equal(co_scheduler_missing(s, job, poison + 1), -1);
}

static void test_failures(void **state)
{
    (void)state;
    uint64_t job = submit(32, 1, 32);
    hello(7, 1);
    for (unsigned n = 0; n < CO_FAILURES_MOST; n++) {
        assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
        co_scheduler_failed(s, now, 7, first(CO_ACT_ASSIGN, 7).lease);
    }
    assert_int_equal(take(CO_ACT_ASIDE, 0), 1);
    assert_int_equal(status_of(job).state, CO_JOB_FAILED);
    job = submit(32, 1, 32);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 0); /* it rests */
    now += CO_REST_MS * 1000 + 1;
    co_scheduler_heard(s, now, 7, 0, UINT32_MAX);
    co_scheduler_tick(s, now);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
    co_scheduler_failed(s, now, 7, first(CO_ACT_ASSIGN, 7).lease);
    (void)take(0, 0);
    hello(8, 1); /* another is preferred for what one has failed on */
    assert_int_equal(status_of(job).state, CO_JOB_RUNNING);
}

static void test_amnesia(void **state)
{
    (void)state;
    (void)submit(32, 1, 32);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1);
    for (unsigned n = 0; n < 12; n++) {
        now += LEASE_US / 10;
        co_scheduler_heard(s, now, 7, 0, 0);
        if (n < 9) assert_int_equal(take(CO_ACT_ASSIGN, 7), 0);
    }
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 1); /* given again */
}

static void test_cancel_and_next(void **state)
{
    (void)state;
    uint64_t one = submit(512, 1, 32), two = submit(32, 1, 32);
    hello(7, 1);
    assert_int_equal(take(CO_ACT_ASSIGN, 7), 2); /* one of each */
    assert_int_equal(first(CO_ACT_ASSIGN, 7).job, one);
    co_action a = actions[2];
    assert_int_equal(co_scheduler_cancel(s, now, one), 0);
    assert_int_equal(co_scheduler_cancel(s, now, one), -1);
    (void)take(0, 0);
    assert_int_equal(first(CO_ACT_FORGET, 7).job, one);
    assert_int_equal(a.job, two);
    assert_int_equal(status_of(one).state, CO_JOB_CANCELLED);
    co_scheduler_forget(s, two); /* has not ended: stays */
    assert_int_equal(result(&a, 5), 1);
    assert_int_equal(status_of(two).state, CO_JOB_DONE);
    assert_int_equal(co_scheduler_open(s), 0);
}

/* ---- the plan ---- */

static void check_plan(uint32_t width, uint32_t height, uint32_t spp, uint32_t tile, uint32_t least, uint32_t most)
{
    co_plan plan;
    const mr_picture picture = { width, height, spp, 0 };
    assert_int_equal(co_plan_make(&plan, &picture, tile, NULL), MR_OK);
    uint32_t units = co_plan_units(&plan);
    assert_true(units >= least && units <= most);
    uint32_t *samples = calloc((size_t)width * height, sizeof *samples);
    assert_non_null(samples);
    for (uint32_t u = 0; u < units; u++) {
        mr_tile t = co_plan_unit(&plan, u);
        assert_int_equal(mr_tile_check(&picture, &t, NULL), MR_OK);
        if (tile) assert_true(t.width <= tile && t.height <= tile);
        for (uint32_t y = t.y; y < t.y + t.height; y++)
            for (uint32_t x = t.x; x < t.x + t.width; x++) samples[y * width + x] += t.sample_count;
    }
    for (size_t i = 0; i < (size_t)width * height; i++) assert_int_equal(samples[i], spp);
    free(samples);
    co_plan_free(&plan);
}

static void test_plan(void **state)
{
    (void)state;
    check_plan(960, 540, 1, 0, 60, 160);
    check_plan(960, 540, 16, 0, 120, 300);
    check_plan(1920, 1080, 64, 0, 1500, 6000);
    check_plan(1, 1, 1, 0, 1, 1);
    check_plan(1, 1, 100000, 0, 2, 64);
    check_plan(7, 500, 3, 0, 1, 64);
    check_plan(100, 100, 4096, 0, 500, 4000);
    check_plan(100, 90, 5, 17, 36, 36);
    check_plan(100, 90, 5, 1, 9000, 9000);
    check_plan(100, 90, 5, 1024, 5, 5); /* one tile, but five ranges of samples */
    co_plan plan;
    mr_error err;
    assert_int_equal(co_plan_make(&plan, &(mr_picture){ 32768, 32768, 1, 0 }, 1, &err), MR_BAD_INPUT);
    assert_int_equal(co_plan_make(&plan, &(mr_picture){ 100, 100, 1, 0 }, 1025, &err), MR_BAD_INPUT);
    assert_int_equal(co_plan_make(&plan, &(mr_picture){ 0, 100, 1, 0 }, 0, &err), MR_BAD_INPUT);
    assert_int_equal(co_plan_make(&plan, &(mr_picture){ 32768, 32768, 1024, 0 }, 0, &err), MR_OK); /* huge, and still within bounds */
    assert_true(co_plan_units(&plan) <= CO_UNITS_MOST);
    co_plan_free(&plan);
}

static void test_map(void **state)
{
    (void)state;
    co_map map = { 0 };
    static uint32_t model[4096]; /* value + 1; 0: not there */
    uint32_t random = 1;
    assert_int_equal(co_map_get(&map, 5), CO_MAP_NONE);
    co_map_remove(&map, 5);
    for (unsigned n = 0; n < 200000; n++) {
        random = random * 1664525u + 1013904223u;
        uint32_t key = random >> 20, other = (random >> 8) & 4095;
        if (random & 64) {
            assert_int_equal(co_map_put(&map, key * 1000003u, n), 0);
            model[key] = n + 1;
        } else {
            co_map_remove(&map, key * 1000003u);
            model[key] = 0;
        }
        assert_int_equal(co_map_get(&map, other * 1000003u), (int64_t)model[other] - 1);
    }
    co_map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_our_own_pause, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_tiles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trimmed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_honest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_liar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_liar_of_the_last_tile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_liar_with_a_key_of_his_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_few, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poison, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_amnesia, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_and_next, setup, teardown),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests_name("scheduler", tests, NULL, NULL);
}
