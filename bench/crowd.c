/* bench/crowd: many workers that trace nothing, for whoever wants to see a large cluster on a small machine (bench/dashboard.py does).
 *
 * They take the time that they say (--unit-us) and return slowly changing colours, so that a picture fills in at a steady rate. They send no heartbeats:
 * start the coordinator with a long --lease. */
#include <sys/wait.h>

#include "bench/load.h"
#include "bench/report.h"
#include "cli/cli.h"

static const char *endpoint;
static uint32_t workers = 1000, loaders = 1, unit_us = 1000000;

static const arg_option options[] = {
    {"coordinator", 0, ARG_ENDPOINT, &endpoint, 0, 1, "ENDPOINT", "the coordinator, without keys"},
    {"workers", 0, ARG_COUNT, &workers, 1, 16384, "N", "how many (default: 1000)"},
    {"loaders", 0, ARG_COUNT, &loaders, 1, BENCH_LOADERS_MAX, "N", "processes that play them (default: 1)"},
    {"unit-us", 0, ARG_COUNT, &unit_us, 1000, 60000000, "N", "how long a worker takes for a tile (default: 1000000)"},
    {.name = NULL}};

static int run(mr_error *err)
{
    pid_t loader[BENCH_LOADERS_MAX];
    const bench_load load = {.endpoint = endpoint, .workers = workers, .loaders = loaders, .unit_us = unit_us, .paced = 1};
    if (!endpoint) return mr_fail(err, MR_USAGE, "--coordinator is missing");
    int started = bench_load_start(&load, loader);
    if (started < 0) return mr_fail(err, MR_FAILED, "processes for the workers cannot be started");
    (void)waitpid(-1, NULL, 0); /* they end with us, or when they fail */
    bench_load_stop(loader, started);
    return mr_fail(err, MR_FAILED, "a process that plays workers has ended");
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "workers that trace nothing, for a coordinator without keys", options, run);
}
