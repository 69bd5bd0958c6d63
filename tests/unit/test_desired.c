/* coordinator/desired: the rule alone, on demands made by hand. tests/sim/test_scaling.c runs it with the real scheduler. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/desired.h"
#include "coordinator/limits.h"

static const uint64_t turn_us = CO_DESIRED_EVERY_MS * UINT64_C(1000);
static uint64_t now_us;
static co_desired d;

static void begin(co_scaling rule)
{
    now_us = 1000;
    co_desired_init(&d, &rule);
}

/* The same demand for some seconds. */
static uint32_t hold(const co_demand *m, double seconds)
{
    for (double left = seconds * 1e6; left > 0; left -= (double)turn_us) (void)co_desired_update(&d, now_us += turn_us, m);
    return d.workers;
}

/* Work for `seconds` of one of `workers` equal workers of one thread, well known. */
static co_demand work(double seconds, uint32_t workers)
{
    return (co_demand){ .jobs = 1, .workers = workers, .measured = workers, .busy = workers, .threads = workers, .joined = workers, .tiles_left = 100000, .open = 1,
                        .left = seconds * 1e6, .sure = seconds * 1e6, .speed = workers ? 1e6 : 0 };
}

static void test_idle(void **state)
{
    (void)state;
    const co_demand idle = { .workers = 0 };
    begin((co_scaling){ .target_s = 60 });
    assert_int_equal(hold(&idle, 100), 0);
    assert_string_equal(d.reason, "idle");
    begin((co_scaling){ .target_s = 60, .min = 2 });
    assert_int_equal(hold(&idle, 100), 2);
}

static void test_unknown_work_takes_one(void **state)
{
    (void)state;
    const co_demand first = { .jobs = 1, .tiles_left = 500, .open = 1 };
    begin((co_scaling){ .target_s = 60 });
    assert_int_equal(hold(&first, 100), 1);
    assert_string_equal(d.reason, "the first tiles will tell");
}

static void test_work_in_its_time(void **state)
{
    (void)state;
    co_demand m = work(600, 8);
    begin((co_scaling){ .target_s = 60 });
    assert_int_equal(hold(&m, 1), 10); /* 600 / 60, of which the slack of 10 % is not worth more */
    m.left = m.sure = 659e6;
    assert_int_equal(hold(&m, 1), 10);
    m.left = m.sure = 700e6;
    assert_int_equal(hold(&m, 1), 11);
}

static void test_one_number_from_beginning_to_end(void **state)
{
    (void)state;
    co_demand m = work(600, 10);
    begin((co_scaling){ .target_s = 60, .cool_down_s = 5 });
    for (int second = 0; second < 60; second++) {
        m.done = second * 10e6; /* ten workers at work */
        m.left = m.sure = 600e6 - m.done;
        assert_int_equal(hold(&m, 1), 10);
    }
}

static void test_limits(void **state)
{
    (void)state;
    const co_demand m = work(1e9, 3);
    begin((co_scaling){ .target_s = 60, .max = 7 });
    assert_int_equal(hold(&m, 1), 7);
    assert_non_null(strstr(d.reason, "--max-workers"));
    begin((co_scaling){ .target_s = 60, .min = 9, .max = 7 });
    assert_int_equal(hold(&m, 1), 9);
    begin((co_scaling){ .target_s = 60 });
    assert_int_equal(hold(&m, 1), CO_DESIRED_MOST);
}

static void test_cool_down(void **state)
{
    (void)state;
    const co_demand m = work(600, 10), idle = { .workers = 10, .measured = 10, .threads = 10, .joined = 10, .speed = 1e6 };
    begin((co_scaling){ .target_s = 60, .cool_down_s = 20 });
    (void)hold(&m, 30);
    assert_int_equal(hold(&idle, 19), 10);
    assert_int_equal(hold(&m, 1), 10); /* new work: the time begins anew */
    assert_int_equal(hold(&idle, 19), 10);
    assert_int_equal(hold(&idle, 2), 0);
}

static void test_learns_the_start(void **state)
{
    (void)state;
    co_demand m = work(600, 0);
    begin((co_scaling){ .target_s = 60, .cool_down_s = 1 });
    m.speed = 1e6;
    (void)hold(&m, 12);
    m.workers = m.measured = m.threads = m.busy = (uint32_t)(m.joined = 10);
    (void)hold(&m, 1);
    assert_true(fabs(d.start_s - 12) < 0.5);
    m.left = m.sure = 0, m.tiles_left = 0, m.jobs = 0, m.busy = 0;
    assert_int_equal(hold(&m, 10), 10); /* as long as a start is the least cool-down */
    assert_int_equal(hold(&m, 4), 0);
}

static void test_not_for_what_comes_too_late(void **state)
{
    (void)state;
    co_demand m = work(600, 0);
    begin((co_scaling){ .target_s = 5, .cool_down_s = 1 });
    m.speed = 1e6;
    (void)hold(&m, 30); /* a start takes half a minute here */
    m.workers = m.measured = m.threads = m.busy = (uint32_t)(m.joined = 2);
    m.tiles_left = 0, m.jobs = 0, m.left = m.sure = 0;
    (void)hold(&m, 60);
    co_demand small = work(40, 2); /* 8 workers for 5 s, but two are done in 20 */
    assert_int_equal(hold(&small, 1), 2);
    assert_non_null(strstr(d.reason, "before another worker could start"));
    small.left = small.sure = 100e6;
    assert_true(hold(&small, 1) >= 10);
}

static void test_shared_cores(void **state)
{
    (void)state;
    begin((co_scaling){ .target_s = 60, .max = 1000 });
    for (uint32_t workers = 2; workers <= 64; workers++) { /* they share two cores: twice as many are half as quick */
        co_demand m = work(0, workers);
        m.speed = 2e6 / workers;
        m.left = m.sure = 1200e6;
        (void)hold(&m, 5);
        if (d.workers <= workers) break;
    }
    assert_true(d.workers < 32);
    assert_non_null(strstr(d.reason, "share cores"));
}

static void test_doubt(void **state)
{
    (void)state;
    co_demand m = work(6000, 1);
    begin((co_scaling){ .target_s = 60 });
    assert_true(hold(&m, 1) < 60); /* one worker's speed says little of the others' */
    m.measured = m.workers = m.threads = 40;
    m.spread = 0.1;
    assert_true(hold(&m, 1) > 85);
    m.sure = m.left / 10;
    begin((co_scaling){ .target_s = 60 });
    assert_true(hold(&m, 1) <= 10); /* nor do a few tiles */
}

static void test_queue(void **state)
{
    (void)state;
    co_demand m = work(0, 4);
    begin((co_scaling){ .target_queue = 25 });
    m.tiles_left = 1000;
    assert_in_range(hold(&m, 1), 36, 40);
}

static void test_few_tiles(void **state)
{
    (void)state;
    co_demand m = work(100000, 2);
    begin((co_scaling){ .target_s = 60 });
    m.tiles_left = 6;
    assert_int_equal(hold(&m, 1), 6);
    m.open = 0; /* all are in hands */
    begin((co_scaling){ .target_s = 60 });
    assert_int_equal(hold(&m, 1), 2);
}

static void test_just_started(void **state)
{
    (void)state;
    const co_demand m = { .jobs = 1, .workers = 6, .threads = 6, .tiles_left = 400, .open = 1, .joined = 6 };
    begin((co_scaling){ .target_s = 60, .cool_down_s = 30 });
    assert_int_equal(hold(&m, 20), 6); /* nothing is known yet: nobody is sent away */
    assert_false(d.settled);
}

/* Clocks that jump, and numbers that cannot be. */
static void test_nonsense(void **state)
{
    (void)state;
    const double odd[] = { 0, -1, NAN, INFINITY, -INFINITY, 1e300, 1 };
    const uint64_t times[] = { 0, UINT64_MAX, 1, UINT64_MAX / 2, 5 };
    begin((co_scaling){ .target_s = UINT32_MAX, .target_queue = 0, .min = UINT32_MAX, .max = UINT32_MAX, .cool_down_s = UINT32_MAX });
    assert_int_equal(d.workers, CO_DESIRED_MOST);
    begin((co_scaling){ .target_s = 1, .cool_down_s = 1, .max = 50 });
    for (unsigned i = 0; i < 7 * 7 * 7 * 5 * 5; i++) {
        co_demand m = { .jobs = i % 3, .workers = i % 5 * 1000, .measured = i % 5 * 1000, .busy = i % 7, .threads = i % 2, .joined = UINT64_MAX / (i + 1),
                        .tiles_left = UINT64_MAX / (i + 1), .open = i % 2, .left = odd[i % 7], .sure = odd[i / 7 % 7], .done = odd[i / 49 % 7], .speed = odd[i / 343 % 7],
                        .spread = odd[i % 6] };
        assert_true(co_desired_update(&d, times[i % 5], &m) <= 50);
        assert_true(d.orders <= CO_DESIRED_ORDERS && strlen(d.reason) < sizeof d.reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle), cmocka_unit_test(test_unknown_work_takes_one), cmocka_unit_test(test_work_in_its_time),
        cmocka_unit_test(test_one_number_from_beginning_to_end), cmocka_unit_test(test_limits), cmocka_unit_test(test_cool_down),
        cmocka_unit_test(test_learns_the_start), cmocka_unit_test(test_not_for_what_comes_too_late), cmocka_unit_test(test_shared_cores),
        cmocka_unit_test(test_doubt), cmocka_unit_test(test_queue), cmocka_unit_test(test_few_tiles), cmocka_unit_test(test_just_started),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests_name("desired", tests, NULL, NULL);
}
