/* The rule of coordinator/desired.h with the real scheduler and a virtual orchestrator (coordinator/world_scale.c): jobs of seconds to hours, machines that take
 * 0.2 to 60 s to start, workers of differing speeds, workers that are lost.
 *
 * What is held: the wish changes its direction once a job and no more (up, then down: no oscillation), it exceeds the right number by a fifth at most (below five: by one),
 * and at the end all are gone but the minimum. A failing world is named; `test_scaling verbose SEEDS` prints a line for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/world.h"

static int verbose;
static unsigned seeds = 4; /* of each world */
static const double starts_s[] = { 0.2, 1, 5, 20, 60 };
static const double works_s[] = { 4, 60, 600, 3600, 20000 };

enum { STARTS = sizeof starts_s / sizeof starts_s[0], WORKS = sizeof works_s / sizeof works_s[0] };

/* A job of so many worker-seconds, of some 1,600 tiles. */
static co_world_config job_of(double work_s, double start_s)
{
    co_world_config c;
    co_world_defaults(&c);
    c.autoscale = 1;
    c.workers = 800;
    c.picture = (mr_picture){ 1280, 720, 64, 0 };
    c.unit_us = work_s * 1e6 * 49152 / (1280.0 * 720 * 64);
    c.cost_sigma = 0.5;
    c.noise_sigma = 0.2;
    c.start_s = start_s;
    c.scaling = (co_scaling){ .target_s = 60, .cool_down_s = 10 };
    c.end_s = 200000;
    return c;
}

static void look(const co_world_config *c, const co_world_report *r, double work_s, uint32_t turns)
{
    char world[160];
    (void)snprintf(world, sizeof world, "%.0f s of work, start in %.1f s, %u jobs, speeds 1:%.0f, lives of %.0f s, seed %llu", work_s, c->start_s, c->jobs, c->speed_ratio,
                   c->life_s, (unsigned long long)c->seed);
    if (verbose)
        printf("%s: right %u, peak %u, turns %u, up after %.1f s, start learnt %.1f s, paid %.0f s for %.0f s, %.0f s in all\n", world, r->right, r->peak, r->turns,
               r->up_s, r->start_s, r->worker_s, r->useful_s, r->seconds);
    if (r->peak > r->right + (r->right > 5 ? r->right / 5 : 1)) fail_msg("%s: %u workers were wished for, %u are right", world, r->peak, r->right);
    if (r->turns > turns) fail_msg("%s: the wish changed its direction %u times", world, r->turns);
}

static void run_one(co_world_config c, double work_s, uint32_t turns)
{
    co_world_report report;
    mr_error err;
    if (co_world_run(&c, &report, &err)) fail_msg("%s", err.text);
    look(&c, &report, work_s, turns);
}

static void sweep(void (*change)(co_world_config *c), uint32_t turns)
{
    for (unsigned k = 0; k < WORKS * STARTS; k++) {
        co_world_config c = job_of(works_s[k / STARTS], starts_s[k % STARTS]);
        for (c.seed = 1; c.seed <= seeds; c.seed++) {
            co_world_config d = c;
            if (change) change(&d);
            run_one(d, works_s[k / STARTS], turns);
        }
    }
}

static void test_one_job(void **state)
{
    (void)state;
    sweep(NULL, 1);
}

static void uneven(co_world_config *c)
{
    c->speed_ratio = 3;
    c->cost_sigma = 0.7;
    c->noise_sigma = 0.3;
}

static void test_uneven_speeds(void **state)
{
    (void)state;
    sweep(uneven, 1);
}

/* Lives of a minute are shorter than some of these jobs: what was lost in the tail is new work. */
static void mortal(co_world_config *c) { c->life_s = 60; }

static void test_losses(void **state)
{
    (void)state;
    sweep(mortal, 3);
}

/* Jobs far enough from each other for all workers to go in between: each is an up and a down. */
static void test_jobs_apart(void **state)
{
    (void)state;
    for (unsigned k = 0; k < STARTS; k++) {
        co_world_config c = job_of(600, starts_s[k]);
        c.jobs = 4;
        c.gap_s = 600;
        c.seed = k + 1;
        run_one(c, 600, 2 * c.jobs - 1);
    }
}

/* A job every 20 s: the work never ends before the last, and the number of workers becomes what comes in on average. */
static void test_stream(void **state)
{
    (void)state;
    for (unsigned k = 0; k < STARTS; k++) {
        co_world_config c = job_of(100, starts_s[k]);
        co_world_report r;
        mr_error err;
        c.jobs = 16;
        c.gap_s = 20;
        c.seed = k + 1;
        if (co_world_run(&c, &r, &err)) fail_msg("%s", err.text);
        double average = r.useful_s / (c.jobs * c.gap_s);
        if (verbose) printf("16 jobs, one every 20 s, start in %.1f s: %.1f workers on average, peak %u, turns %u\n", c.start_s, average, r.peak, r.turns);
        if (r.turns > 1) fail_msg("start in %.1f s: the wish changed its direction %u times in a steady stream", c.start_s, r.turns);
        assert_true(r.peak >= average && r.peak <= 1.5 * average + 2 * c.start_s * average / 60 + 2);
    }
}

/* The coordinator is killed and its clock jumps, again and again: it comes back without knowing any speed, and takes nobody's work away. */
static void test_restarts(void **state)
{
    (void)state;
    co_world_config c = job_of(3600, 1);
    c.restarts = c.jumps = 3;
    c.restart_every_us = 7000000;
    run_one(c, 3600, 1);
}

static void test_target_queue(void **state)
{
    (void)state;
    for (unsigned k = 0; k < STARTS; k++) {
        co_world_config c = job_of(3600, starts_s[k]);
        co_world_report r;
        mr_error err;
        c.scaling.target_queue = 50;
        if (co_world_run(&c, &r, &err)) fail_msg("%s", err.text);
        if (verbose) printf("50 tiles a worker, start in %.1f s: peak %u of %llu tiles, turns %u\n", c.start_s, r.peak, (unsigned long long)r.tiles, r.turns);
        assert_true(r.turns <= 1);
        assert_in_range(r.peak, r.tiles / 60, r.tiles / 50 + 1);
    }
}

static void test_limits(void **state)
{
    (void)state;
    co_world_config c = job_of(3600, 5);
    co_world_report r;
    mr_error err;
    c.scaling.min = 3;
    c.scaling.max = 8;
    if (co_world_run(&c, &r, &err)) fail_msg("%s", err.text);
    assert_int_equal(r.peak, 8);
    assert_int_equal(r.turns, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_job), cmocka_unit_test(test_uneven_speeds), cmocka_unit_test(test_losses),
                                        cmocka_unit_test(test_jobs_apart), cmocka_unit_test(test_stream), cmocka_unit_test(test_restarts),
                                        cmocka_unit_test(test_target_queue), cmocka_unit_test(test_limits) };
    verbose = argc > 1 && !strcmp(argv[1], "verbose");
    if (argc > 2) seeds = (unsigned)strtoul(argv[2], NULL, 10);
    return cmocka_run_group_tests_name("scaling", tests, NULL, NULL);
}
