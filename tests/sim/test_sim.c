/* The real scheduler in a seeded virtual world (coordinator/world.h): everything that clusters do, thousands of times over.
 *
 * A failing seed is printed with its test; `test_sim TEST SEED` runs that one alone, as `test_sim everything 17`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "coordinator/world.h"

static uint64_t only_seed;
static struct {
    double virtual_s, cpu_s;
    uint64_t seeds, events;
} total;

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static co_world_report run(const co_world_config *config)
{
    co_world_report report;
    mr_error err;
    double begun = cpu_seconds();
    if (co_world_run(config, &report, &err)) fail_msg("%s", err.text);
    total.cpu_s += cpu_seconds() - begun;
    total.virtual_s += report.seconds;
    total.events += report.events;
    total.seeds++;
    return report;
}

/* A small world: some hundred tiles of 20 ms. */
static co_world_config small(void)
{
    co_world_config c;
    co_world_defaults(&c);
    c.workers = 12;
    c.threads = 4;
    c.jobs = 2;
    c.picture = (mr_picture){ 256, 256, 100, 0 };
    c.tile = 32;
    c.cost_sigma = 0.7;
    c.noise_sigma = 0.3;
    c.delay_us = 1000;
    c.join_s = 1;
    c.audit_every = 50;
    c.end_s = 3600;
    return c;
}

/* Every seed has a world of its own: other numbers of workers, threads, other cuts. */
static co_world_config vary(const co_world_config *config, uint64_t seed)
{
    co_world_config c = *config;
    c.seed = seed;
    c.workers = c.liars ? c.workers : 1 + (uint32_t)(seed * 7 % config->workers);
    if (seed % 3 == 0) c.tile = 0;
    if (seed % 5 == 0) c.picture.spp = 1 + (uint32_t)(seed % 7);
    if (seed % 4 == 0) c.speed_ratio = 20;
    if (seed % 7 == 0) c.picture.height = 9;
    return c;
}

static void run_seeds(unsigned seeds, const co_world_config *config, const char *(*look)(const co_world_config *, const co_world_report *))
{
    for (uint64_t seed = only_seed ? only_seed : 1; seed <= (only_seed ? only_seed : seeds); seed++) {
        const co_world_config c = vary(config, seed);
        co_world_report r = run(&c);
        const char *wrong = look ? look(&c, &r) : NULL;
        if (wrong) fail_msg("seed %llu: %s: %u put aside, %u lost, %llu redone, %u evicted, %llu wrong", (unsigned long long)seed, wrong, r.aside, r.lost,
                            (unsigned long long)r.redone, r.evicted, (unsigned long long)r.wrong);
    }
}

static const char *nothing_lost(const co_world_config *c, const co_world_report *r)
{
    (void)c;
    if (r->copies > 0.05) return "more than 5 % was traced for nothing";
    return r->redone || r->aside ? "something was lost though nothing went wrong" : NULL;
}

static void test_quiet(void **state)
{
    (void)state;
    const co_world_config c = small();
    run_seeds(200, &c, nothing_lost);
}

static void test_crashes(void **state)
{
    (void)state;
    co_world_config c = small();
    c.crash_ppm = 20000;
    run_seeds(500, &c, NULL);
}

static co_world_config everything(void)
{
    co_world_config c = small();
    c.workers = 16;
    c.jobs = 3;
    c.crash_ppm = 10000;
    c.stall_ppm = c.break_ppm = 20000;
    c.partition_ppm = c.leave_ppm = 10000;
    c.twice_ppm = c.late_ppm = 50000;
    c.amnesia_ppm = 1000;
    c.fail_ppm = 1000;
    return c;
}

static void test_everything(void **state)
{
    (void)state;
    const co_world_config c = everything();
    run_seeds(500, &c, NULL);
}

static void test_restarts(void **state)
{
    (void)state;
    co_world_config c = everything();
    c.restarts = 5;
    c.jumps = 5;
    c.restart_every_us = 700000;
    run_seeds(300, &c, NULL);
}

static void test_failures(void **state)
{
    (void)state;
    co_world_config c = small();
    c.workers = 8;
    c.fail_ppm = 30000;
    c.crash_ppm = 5000;
    c.twice_ppm = 50000;
    run_seeds(200, &c, NULL);
}

/* A few worlds are too small for a poisonous tile. Each (or both at once) brings down three workers,
 * a fourth when none of them had that alone in its hands, and those that held another part of it by then. */
static const char *only_the_poison(const co_world_config *c, const co_world_report *r)
{
    if (r->aside > c->poison) return "an innocent tile was put aside";
    return (r->aside && r->lost < 3) || r->lost > 4 * r->aside + 2 * c->workers ? "poison brought down too few or too many" : NULL;
}

static void test_poison(void **state)
{
    (void)state;
    co_world_config c = small();
    c.workers = 8;
    c.poison = 2;
    run_seeds(200, &c, only_the_poison);
}

/* All is done twice: no lie is left, the liars are out, the honest are not. */
static const char *no_lie(const co_world_config *c, const co_world_report *r)
{
    (void)c;
    return r->wrong ? "a lie is in the picture" : NULL;
}

static co_world_config with_liars(void)
{
    co_world_config c = small();
    c.workers = 6;
    c.verify_percent = 100;
    c.liars = 2;
    c.lie_ppm = 50000;
    return c;
}

static void test_liars(void **state)
{
    (void)state;
    co_world_config c = with_liars();
    run_seeds(200, &c, no_lie);
    c.crash_ppm = 3000;
    c.break_ppm = c.leave_ppm = c.twice_ppm = c.late_ppm = 10000;
    run_seeds(200, &c, no_lie);
    c.own_keys = 1; /* now a liar that starts anew is known again */
    run_seeds(100, &c, no_lie);
}

/* The coordinator is killed and restarted all the while: what it had found out is not forgotten. */
static void test_liars_and_restarts(void **state)
{
    (void)state;
    co_world_config c = with_liars();
    c.restarts = 6;
    c.restart_every_us = 300000;
    run_seeds(200, &c, no_lie);
    c.crash_ppm = 3000;
    c.break_ppm = c.leave_ppm = c.twice_ppm = c.late_ppm = 10000;
    c.own_keys = 1;
    run_seeds(200, &c, no_lie);
}

/* A fifth of the tiles is looked at: who lies always is found soon. */
static void test_sampled_liars(void **state)
{
    (void)state;
    co_world_config c = small();
    c.workers = 6;
    c.threads = 1;
    c.picture.spp = 400;
    c.verify_percent = 20;
    c.liars = 1;
    c.lie_ppm = 1000000;
    c.join_s = 0.01;
    for (c.seed = 1; c.seed <= 100; c.seed++) {
        const co_world_report r = run(&c);
        assert_int_equal(r.evicted, 1);
        assert_int_equal(r.wrong, 0);
    }
}

static co_world_config large(void)
{
    co_world_config c = small();
    c.jobs = 1;
    c.picture = (mr_picture){ 4096, 4096, 64, 0 };
    c.tile = 0;
    c.audit_every = 0;
    c.crash_ppm = c.stall_ppm = c.break_ppm = 3000;
    c.twice_ppm = c.late_ppm = 10000;
    c.speed_ratio = 20;
    return c;
}

static void test_thousand_workers(void **state)
{
    (void)state;
    co_world_config c = large();
    c.workers = 1000;
    c.unit_us = 200000;
    for (c.seed = 1; c.seed <= 2; c.seed++) (void)run(&c);
}

static void test_ten_thousand_workers(void **state)
{
    (void)state;
    co_world_config c = large();
    c.workers = 10000;
    c.threads = 1;
    c.unit_us = 2000000;
    c.join_s = 10;
    (void)run(&c);
}

/* ---- the end of a queue ---- */

typedef struct ending {
    const char *what;
    double cost_sigma, noise_sigma, speed_ratio, unit_us;
    uint32_t workers, width, spp, seeds;
    uint32_t misses; /* seeds that may miss the goal for the tail, where the smallest piece of the dearest tile can be longer than that */
} ending;

/* The last tile comes in at most 1.2 times the median tile's time after the queue ran dry, and at most 5 % is traced for nothing. The worst of all seeds. */
static void check_ending(const ending *e)
{
    double tail = 0, copies = 0;
    uint32_t missed = 0;
    co_world_config c;
    co_world_defaults(&c);
    c.workers = e->workers;
    c.picture = (mr_picture){ e->width, e->width * 9 / 16, e->spp, 0 };
    c.cost_sigma = e->cost_sigma;
    c.noise_sigma = e->noise_sigma;
    c.speed_ratio = e->speed_ratio;
    c.unit_us = e->unit_us;
    c.delay_us = 500;
    for (c.seed = 1; c.seed <= e->seeds; c.seed++) {
        const co_world_report r = run(&c);
        missed += r.tail_s > 1.2 * r.unit_s;
        if (missed > e->misses || r.copies > 0.05)
            fail_msg("seed %llu, %s: tail %.3f s, tile %.3f s, %.4f for nothing", (unsigned long long)c.seed, e->what, r.tail_s, r.unit_s, r.copies);
        tail = r.tail_s / r.unit_s > tail ? r.tail_s / r.unit_s : tail;
        copies = r.copies > copies ? r.copies : copies;
    }
    printf("%s: at worst %.2f tiles' time after the queue ran dry (%u of %u seeds more than 1.2), %.2f %% for nothing\n", e->what, tail, missed, e->seeds,
           copies * 100);
}

static void test_endings(void **state)
{
    (void)state;
    static const ending endings[] = {
        { "8 equal workers, sigma 0.5, tiles of 20 ms", 0.5, 0.2, 1, 20e3, 8, 960, 64, 100, 0 },
        { "8 equal workers, sigma 1, tiles of 200 ms", 1.0, 0.3, 1, 200e3, 8, 960, 64, 100, 0 },
        { "8 workers of speeds 1:20, sigma 0.5, tiles of 200 ms", 0.5, 0.2, 20, 200e3, 8, 960, 64, 200, 0 },
        { "8 workers of speeds 1:20, sigma 0.5, tiles of 20 ms", 0.5, 0.2, 20, 20e3, 8, 960, 64, 200, 0 },
        { "8 workers of speeds 1:20, sigma 1, tiles of 20 ms", 1.0, 0.3, 20, 20e3, 8, 960, 64, 100, 0 },
        { "32 workers of speeds 1:20, sigma 0.5, tiles of 200 ms", 0.5, 0.2, 20, 200e3, 32, 1920, 64, 50, 0 },
        { "100 workers of speeds 1:20, sigma 0.5, tiles of 200 ms", 0.5, 0.2, 20, 200e3, 100, 1920, 64, 20, 0 },
        { "32 equal workers, sigma 1, tiles of 200 ms", 1.0, 0.3, 1, 200e3, 32, 1920, 64, 30, 0 },
        { "32 workers of speeds 1:20, sigma 1, tiles of 200 ms", 1.0, 0.3, 20, 200e3, 32, 1920, 64, 30, 0 },
        { "32 workers of speeds 1:20, sigma 1, tiles of 20 ms", 1.0, 0.3, 20, 20e3, 32, 1920, 64, 30, 0 },
        { "100 equal workers, sigma 1, tiles of 200 ms", 1.0, 0.3, 1, 200e3, 100, 1920, 64, 50, 0 },
        { "100 workers of speeds 1:20, sigma 1, tiles of 200 ms", 1.0, 0.3, 20, 200e3, 100, 1920, 64, 50, 0 },
        { "100 workers of speeds 1:20, sigma 1, tiles of 20 ms", 1.0, 0.3, 20, 20e3, 100, 1920, 64, 50, 0 },
        { "8 equal workers, sigma 1, 324 tiles of 20 ms", 1.0, 0.3, 1, 20e3, 8, 960, 16, 100, 2 },
        { "8 equal workers, sigma 0.5, 60 tiles of 20 ms", 0.5, 0.2, 1, 20e3, 8, 640, 1, 200, 0 },
        { "8 workers of speeds 1:20, sigma 0.5, 60 tiles of 20 ms", 0.5, 0.2, 20, 20e3, 8, 640, 1, 200, 0 },
        { "8 equal workers, sigma 1, 60 tiles of 200 ms", 1.0, 0.3, 1, 200e3, 8, 640, 1, 200, 10 },
        { "8 workers of speeds 1:20, sigma 1, 60 tiles of 20 ms", 1.0, 0.3, 20, 20e3, 8, 640, 1, 200, 20 },
    };
    for (unsigned i = 0; i < sizeof endings / sizeof endings[0]; i++) check_ending(&endings[i]);
}

/* One of eight workers is 20 times slower: against the seven others without it. */
static void test_slow_worker(void **state)
{
    (void)state;
    double worst = 0;
    co_world_config c;
    co_world_defaults(&c);
    c.picture = (mr_picture){ 960, 540, 64, 0 };
    c.cost_sigma = 0.5;
    for (c.seed = 1; c.seed <= 50; c.seed++) {
        c.workers = 8;
        c.slow_workers = 1;
        double with = run(&c).seconds;
        c.workers = 7;
        c.slow_workers = 0;
        double without = run(&c).seconds;
        worst = with / without > worst ? with / without : worst;
    }
    printf("one of eight workers 20 times slower: at worst %.3f times the time of the seven others alone, 50 seeds\n", worst);
    assert_true(worst <= 1.2);
}

/* Its results take twice as long on its line as they took to trace, so that they queue there, and pings behind them: it holds what the length of the line asks for, no more. */
static void test_slow_line(void **state)
{
    (void)state;
    co_world_config c;
    co_world_defaults(&c);
    uint32_t most = 0;
    c.picture = (mr_picture){ 1920, 1080, 64, 0 };
    c.slow_lines = 1;
    c.line_us = 40000;
    for (c.seed = 1; c.seed <= 50; c.seed++) {
        const co_world_report r = run(&c);
        most = r.slow_hands > most ? r.slow_hands : most;
    }
    printf("a line on which results take twice as long as they took to trace: at most %u pieces in hand, 50 seeds\n", most);
    assert_in_range(most, 2, 6);
}

/* Two equal jobs: when the first is over, the other has had nearly as much. */
static void test_shares(void **state)
{
    (void)state;
    co_world_config c = small();
    c.tile = 0;
    for (c.seed = 1; c.seed <= 50; c.seed++) {
        const co_world_report r = run(&c);
        assert_true(r.paths_share[0] > 0.4 && r.paths_share[1] > 0.4);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),    cmocka_unit_test(test_crashes), cmocka_unit_test(test_everything),      cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_poison),  cmocka_unit_test(test_liars),           cmocka_unit_test(test_sampled_liars),
        cmocka_unit_test(test_liars_and_restarts),
        cmocka_unit_test(test_endings),  cmocka_unit_test(test_slow_worker), cmocka_unit_test(test_slow_line), cmocka_unit_test(test_shares),
        cmocka_unit_test(test_thousand_workers), cmocka_unit_test(test_ten_thousand_workers),
    };
    char filter[64];
    if (argc > 2) only_seed = strtoull(argv[2], NULL, 10);
    (void)snprintf(filter, sizeof filter, "test_%s", argc > 1 ? argv[1] : "*");
    cmocka_set_test_filter(filter);
    int failed = cmocka_run_group_tests_name("sim", tests, NULL, NULL);
    printf("%llu worlds, %llu events, %.0f s of virtual time in %.1f s of CPU time: %.0f times real time\n", (unsigned long long)total.seeds,
           (unsigned long long)total.events, total.virtual_s, total.cpu_s, total.cpu_s > 0 ? total.virtual_s / total.cpu_s : 0);
    return failed;
}
