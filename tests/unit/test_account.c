/* The account of lost time (coordinator/account.h): histories whose truth is known, by hand and from a small world with skewed clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/account.h"
#include "coordinator/limits.h"

enum { SKEW = 777000 };
static co_account *account;

static int fresh(void **state)
{
    (void)state;
    account = co_account_new(1000);
    return account == NULL;
}

static int gone(void **state)
{
    (void)state;
    co_account_free(account);
    return 0;
}

/* A clock that is SKEW behind ours, and messages that take no time: what is told is exact. */
static void join(uint64_t now, uint32_t worker, uint32_t threads)
{
    co_account_joined(account, now, worker, threads);
    co_account_clock(account, now, worker, now - SKEW, 0, 1);
}

static void traced(uint64_t now, uint32_t worker, uint32_t thread, uint64_t job, uint64_t lease, uint64_t begin, uint64_t micros, double useful)
{
    const co_traced t = { .worker = worker, .thread = thread, .job = job, .lease = lease, .began_us = begin - SKEW, .micros = micros, .cpu_us = micros / 2,
                          .rays = 100, .bytes = 10, .useful = useful };
    co_account_traced(account, now, &t);
}

static co_account_report report(uint64_t now, uint64_t job)
{
    co_account_report r;
    assert_int_equal(co_account_report_of(account, now, job, 5000, &r), 0);
    return r;
}

static void assert_spent(const co_account_report *r, const uint64_t expected[CO_SPENT_KINDS])
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < CO_SPENT_KINDS; k++) {
        if (r->spent_us[k] != expected[k]) print_message("%s\n", co_spent_name((int)k));
        assert_int_equal(r->spent_us[k], expected[k]);
        sum += expected[k];
    }
    assert_int_equal(r->present_us, sum);
    assert_true(co_account_error(r) == 0);
}

/* join 2000, job 3000, assigned 3100, begun 3300, done 5300, seen 5400, assigned 5900 (dry from 5600 to 5700), begun 6000, done 7000, seen 7050, the end at 8000 */
static void test_one_thread(void **state)
{
    (void)state;
    join(2000, 1, 1);
    co_account_job(account, 3000, 7, 1000);
    co_account_open_work(account, 3000, 1);
    co_account_assigned(account, 3100, 1, 7, 10, 44);
    traced(5400, 1, 0, 7, 10, 3300, 2000, 1);
    co_account_open_work(account, 5600, 0);
    co_account_open_work(account, 5700, 1);
    co_account_assigned(account, 5900, 1, 7, 11, 44);
    traced(7050, 1, 0, 7, 11, 6000, 1000, 0.5);
    co_account_open_work(account, 7500, 0);
    co_account_job_ended(account, 8000, 7, 1, 4000);
    co_account_report r = report(9000, 7);
    assert_spent(&r, (uint64_t[CO_SPENT_KINDS]){ [CO_SPENT_TRACING] = 1000 + 250, [CO_SPENT_SHARED] = 1000 + 250, [CO_SPENT_REDONE] = 500,
                                                 [CO_SPENT_STARTING] = 300, [CO_SPENT_NETWORK] = 100 + 100 + 50, [CO_SPENT_WAITING] = 400 + 450,
                                                 [CO_SPENT_TAIL] = 100 + 500 });
    assert_int_equal(r.wall_us, 5000);
    assert_int_equal(r.cpu_us, 3000);
    assert_int_equal(r.first_tile_us, 2400);
    assert_true(r.tiles == 2 && r.rays == 150 && r.bytes_in == 20 && r.bytes_out == 88 && r.workers == 1 && r.threads == 1);
    r = report(9000, 0); /* since 1000: the worker was here from 2000 on */
    assert_int_equal(r.present_us, 7000);
    assert_int_equal(r.spent_us[CO_SPENT_STARTING], 1300);
    assert_true(r.starts == 1 && r.join_us == 1300 && r.join_most_us == 1300);
    assert_true(co_account_error(&r) == 0);
}

/* Two threads; one holds a lease that is taken back, one tile is lost with its worker. */
static void test_work_for_nothing(void **state)
{
    (void)state;
    join(1000, 1, 2);
    join(1000, 2, 1);
    co_account_job(account, 2000, 1, 0);
    co_account_open_work(account, 2000, 1);
    co_account_assigned(account, 2000, 1, 1, 20, 0);
    co_account_assigned(account, 2000, 1, 1, 21, 0);
    co_account_assigned(account, 2000, 2, 1, 22, 0);
    co_account_assigned(account, 2000, 2, 1, 23, 0);
    traced(3000, 1, 0, 1, 20, 2000, 1000, 1);
    traced(3500, 1, 1, 1, 21, 2000, 1500, 1);
    traced(3000, 2, 0, 1, 22, 2000, 1000, 1);
    co_account_assigned(account, 3000, 1, 1, 24, 0);
    co_account_revoked(account, 4000, 24, 1);
    traced(4010, 1, 0, 1, 24, 3000, 1010, 0); /* SPENT */
    co_account_left(account, 5000, 2, 0);     /* with 23, begun at 3000 */
    co_account_job_ended(account, 6000, 1, 1, 0);
    co_account_report r = report(6000, 1);
    assert_spent(&r, (uint64_t[CO_SPENT_KINDS]){ [CO_SPENT_TRACING] = 1750, [CO_SPENT_SHARED] = 1750, [CO_SPENT_REDONE] = 1010 + 2000,
                                                 [CO_SPENT_WAITING] = 1990 + 2500 });
    assert_int_equal(r.losses, 1);
}

/* What is under way when a job ends is for nothing; what of another job is, is that one's. */
static void test_the_end(void **state)
{
    (void)state;
    join(1000, 1, 2);
    co_account_job(account, 1000, 1, 0);
    co_account_job(account, 1000, 2, 0);
    co_account_open_work(account, 1000, 1);
    for (uint64_t lease = 30; lease < 32; lease++) co_account_assigned(account, 1000, 1, 1, lease, 0);
    traced(2000, 1, 0, 1, 30, 1000, 1000, 1);
    traced(2000, 1, 1, 1, 31, 1000, 1000, 1);
    co_account_assigned(account, 2000, 1, 1, 32, 0);
    co_account_assigned(account, 2000, 1, 2, 33, 0);
    co_account_job_ended(account, 4000, 1, 1, 0);
    co_account_report r = report(4000, 1);
    assert_spent(&r, (uint64_t[CO_SPENT_KINDS]){ [CO_SPENT_TRACING] = 1000, [CO_SPENT_SHARED] = 1000, [CO_SPENT_REDONE] = 2000, [CO_SPENT_OTHER] = 2000 });
    r = report(4000, 2); /* goes on: the first's two tiles were another's, and one of its own is being traced */
    assert_int_equal(r.spent_us[CO_SPENT_OTHER], 2000 + 2000);
    assert_int_equal(r.spent_us[CO_SPENT_TRACING], 2000);
    assert_true(co_account_error(&r) == 0);
    co_account_job_forgotten(account, 1);
    assert_int_equal(co_account_report_of(account, 5000, 1, 0, &r), -1);
}

static void test_drains(void **state)
{
    (void)state;
    join(1000, 5, 1);
    co_account_draining(account, 3000, 5);
    co_account_draining(account, 3500, 5);
    co_account_left(account, 4000, 5, 1);
    join(4000, 6, 1);
    co_account_left(account, 5000, 6, 1);
    co_account_report r = report(5000, 0);
    assert_true(r.drains == 1 && r.drain_us == 1000 && r.drain_most_us == 1000 && r.losses == 0 && r.joins == 2 && r.workers == 0);
}

/* An account that cannot be right says so: a thread that has traced two tiles at one time. */
static void test_the_error_shows(void **state)
{
    (void)state;
    join(1000, 1, 1);
    co_account_job(account, 1000, 1, 0);
    co_account_assigned(account, 1000, 1, 1, 1, 0);
    co_account_assigned(account, 1000, 1, 1, 2, 0);
    traced(3000, 1, 0, 1, 1, 1000, 2000, 1);
    traced(3000, 1, 0, 1, 2, 1000, 2000, 1);
    co_account_job_ended(account, 3000, 1, 1, 0);
    co_account_report r = report(3000, 1);
    assert_true(fabs(co_account_error(&r) - 1) < 1e-9);
}

/* Whatever a worker says, nothing overflows and its share of the time stays what it is. */
static void test_lies(void **state)
{
    (void)state;
    join(1000, 1, 1);
    co_account_clock(account, 1500, 1, UINT64_MAX, UINT32_MAX, 0);
    co_account_joined(account, 1000, 2, 0);
    co_account_joined(account, 1000, 3, UINT32_MAX);
    const co_traced lies[] = { { .worker = 1, .thread = 0, .began_us = 0, .micros = UINT64_MAX, .cpu_us = UINT64_MAX, .rays = UINT64_MAX, .useful = 1 },
                               { .worker = 1, .thread = 9, .began_us = 5, .micros = 5 }, { .worker = 3, .thread = 0, .micros = 5 },
                               { .worker = 1, .thread = 0, .began_us = UINT64_MAX, .micros = 7, .lease = UINT64_MAX } };
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) co_account_traced(account, 2000 + i, &lies[i]);
    co_account_assigned(account, 3000, 1, 1, (uint64_t)1 << 32 | UINT32_MAX, 0);
    co_account_report r = report(3000, 0);
    assert_int_equal(r.present_us, 2000);
    assert_true(r.spent_us[CO_SPENT_TRACING] <= 2000);
}

/* ---- a small world ---- */

enum { WORKERS = 6, THREADS = 2, TILES = 3000, MOST_THREADS = WORKERS * THREADS };

static uint64_t seed;
static uint64_t dice(uint64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

typedef struct hand { /* a thread of the world, one tile after the other */
    uint64_t at, free, seen, lease;
} hand;

static int64_t skews[WORKERS];

/* Each thread asks when its result was seen, is answered at once while there are tiles, and messages take 50 to 350 us. The truth is added up beside. */
static void run_world(uint64_t truth[CO_SPENT_KINDS], uint64_t *end_us)
{
    hand hands[MOST_THREADS];
    uint64_t left = TILES, lease = 1, dry_since = 0, now = 10000;
    for (uint32_t w = 0; w < WORKERS; w++) {
        skews[w] = (int64_t)dice(2000000000) - 1000000000;
        co_account_joined(account, now, w + 1, THREADS);
        for (unsigned n = 0; n < 30; n++) /* heartbeats, of which some are quick */
            co_account_clock(account, now + 50 + dice(300), w + 1, now + (uint64_t)skews[w], 100 + (uint32_t)dice(500), 1);
    }
    co_account_job(account, now, 1, 0);
    co_account_open_work(account, now, 1);
    for (unsigned i = 0; i < MOST_THREADS; i++) hands[i] = (hand){ .at = now, .free = now, .seen = now };
    for (;;) {
        unsigned next = MOST_THREADS;
        for (unsigned i = 0; i < MOST_THREADS; i++)
            if (hands[i].at != UINT64_MAX && (next == MOST_THREADS || hands[i].at < hands[next].at)) next = i;
        if (next == MOST_THREADS) break;
        hand *h = &hands[next];
        uint32_t w = next / THREADS;
        now = h->at;
        if (h->lease) { /* its result is seen */
            uint64_t micros = h->seen - h->free, cpu = micros - micros / 8;
            const co_traced t = { .worker = w + 1, .thread = next % THREADS, .job = 1, .lease = h->lease, .began_us = h->free + (uint64_t)skews[w],
                                  .micros = micros, .cpu_us = cpu, .rays = 1, .useful = 1 };
            co_account_traced(account, now, &t);
            truth[CO_SPENT_TRACING] += cpu;
            truth[CO_SPENT_SHARED] += micros - cpu;
            truth[CO_SPENT_NETWORK] += now - h->seen;
            h->free = now;
            h->lease = 0;
        }
        if (!left) {
            h->at = UINT64_MAX;
            continue;
        }
        uint64_t busy = dice(40) ? 0 : 500 + dice(3000), begin; /* the coordinator is slow now and then */
        if (busy && h->at - busy < now) { /* comes back to this thread later */
            h->at = now + busy;
            truth[h->seen == 10000 ? CO_SPENT_STARTING : CO_SPENT_WAITING] += busy;
            h->free = now + busy;
            continue;
        }
        h->lease = lease++;
        co_account_assigned(account, now, w + 1, 1, h->lease, 44);
        if (!--left) {
            co_account_open_work(account, now, 0);
            dry_since = now;
        }
        begin = now + 50 + dice(300);
        truth[h->seen == 10000 ? CO_SPENT_STARTING : CO_SPENT_NETWORK] += begin - now;
        h->free = begin;
        h->seen = begin + 1000 + dice(20000);
        h->at = h->seen + 50 + dice(300);
    }
    *end_us = now;
    for (unsigned i = 0; i < MOST_THREADS; i++) truth[CO_SPENT_TAIL] += now - hands[i].free;
    assert_true(dry_since > 0);
}

static void test_world(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        uint64_t truth[CO_SPENT_KINDS] = { 0 }, end_us;
        seed = round;
        run_world(truth, &end_us);
        co_account_job_ended(account, end_us, 1, 1, 0);
        co_account_report r = report(end_us, 1);
        assert_true(fabs(co_account_error(&r)) < 0.01);
        assert_int_equal(r.present_us, MOST_THREADS * (end_us - 10000));
        for (unsigned k = 0; k < CO_SPENT_KINDS; k++) {
            double off = fabs((double)r.spent_us[k] - (double)truth[k]) / (double)r.present_us;
            if (off > 0.01) print_message("round %u, %s: %.4f, truth %.4f\n", round, co_spent_name((int)k), (double)r.spent_us[k] / (double)r.present_us,
                (double)truth[k] / (double)r.present_us);
            assert_true(off <= 0.01);
        }
        assert_int_equal(r.tiles, TILES);
        assert_true(co_latency_us(&r, 0.5) > 9000 && co_latency_us(&r, 0.5) < 13500 && co_latency_us(&r, 0.99) < 23000);
        co_account_free(account);
        account = co_account_new(1000);
    }
}

/* Every tile is shown on its thread's row, none over another, and they add up to what is reported. */
static uint64_t shown_us, shown_last[MOST_THREADS];
static void note(void *user, const co_slice *s)
{
    (void)user;
    if (s->kind != CO_SLICE_TILE) return;
    unsigned row = (s->worker - 1) * THREADS + s->thread;
    assert_true(s->begin_us >= shown_last[row] && s->end_us >= s->begin_us);
    shown_last[row] = s->end_us;
    shown_us += s->micros;
}

static void test_slices(void **state)
{
    (void)state;
    uint64_t truth[CO_SPENT_KINDS] = { 0 }, end_us;
    seed = 5;
    shown_us = 0;
    memset(shown_last, 0, sizeof shown_last);
    co_account_watch(account, note, NULL);
    run_world(truth, &end_us);
    co_account_job_ended(account, end_us, 1, 1, 0);
    co_account_report r = report(end_us, 1);
    assert_int_equal(shown_us, r.spent_us[CO_SPENT_TRACING] + r.spent_us[CO_SPENT_SHARED]);
}

static void test_many_windows(void **state)
{
    (void)state;
    for (uint64_t job = 1; job <= 2 * CO_ACCOUNT_WINDOWS; job++) co_account_job(account, 2000, job, 0);
    co_account_report r;
    assert_int_equal(co_account_report_of(account, 3000, CO_ACCOUNT_WINDOWS - 1, 0, &r), 0);
    assert_int_equal(co_account_report_of(account, 3000, CO_ACCOUNT_WINDOWS, 0, &r), -1);
    for (uint64_t job = 1; job <= 2 * CO_ACCOUNT_WINDOWS; job++) {
        if (job % 2) co_account_job_ended(account, 3000, job, 1, 0);
        co_account_job_forgotten(account, job);
    }
    co_account_job(account, 4000, 99, 0);
    assert_int_equal(co_account_report_of(account, 4500, 99, 0, &r), 0);
    assert_int_equal(r.wall_us, 500);
}

static void test_latency_bins(void **state)
{
    (void)state;
    assert_int_equal(co_latency_bin(0), 0);
    assert_int_equal(co_latency_bin(64), 0);
    assert_int_equal(co_latency_bin(128), CO_LATENCY_OCTAVE);
    assert_int_equal(co_latency_bin(UINT64_MAX), CO_LATENCY_BINS - 1);
    co_account_report r = { .latency = { [CO_LATENCY_OCTAVE] = 10 } };
    assert_true(co_latency_us(&r, 0.5) > 128 && co_latency_us(&r, 0.5) < 140);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_thread, fresh, gone), cmocka_unit_test_setup_teardown(test_work_for_nothing, fresh, gone),
        cmocka_unit_test_setup_teardown(test_the_end, fresh, gone), cmocka_unit_test_setup_teardown(test_drains, fresh, gone),
        cmocka_unit_test_setup_teardown(test_the_error_shows, fresh, gone), cmocka_unit_test_setup_teardown(test_lies, fresh, gone),
        cmocka_unit_test_setup_teardown(test_world, fresh, gone), cmocka_unit_test_setup_teardown(test_slices, fresh, gone),
        cmocka_unit_test_setup_teardown(test_many_windows, fresh, gone), cmocka_unit_test(test_latency_bins),
    };
    return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
