/* mobyray simulate: what a cluster would do, by the real scheduler in a virtual world (coordinator/world.h). */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "coordinator/world.h"

enum { RUNS_MOST = 1000 };

static cli_picture asked;
static uint32_t workers = 8, threads = 1, tile_ms = 20, spread = 50, noise = 10, speeds = 1, delay_us = 200, join_s, life_s, runs = 5;
static uint32_t start_ms = 5000, target_s = 60, cool_down_s = 30, least;
static int as_json, autoscale;

static const arg_option options[] = {
    {"workers", 0, ARG_COUNT, &workers, 1, 10000, "N", "of the cluster (default: 8)"},
    {"threads", 0, ARG_COUNT, &threads, 1, 256, "N", "at most, of each worker: 1 to N (default: 1)"},
    {"tile-ms", 0, ARG_COUNT, &tile_ms, 1, 3600000, "MS", "an average tile takes on the quickest worker (default: 20)"},
    {"spread", 0, ARG_COUNT, &spread, 0, 200, "PERCENT", "of tiles' costs: standard deviation of their logarithm (default: 50)"},
    {"noise", 0, ARG_COUNT, &noise, 0, 200, "PERCENT", "the same of the time of one tile, on one worker (default: 10)"},
    {"speeds", 0, ARG_COUNT, &speeds, 1, 1000, "N", "the quickest worker is N times as quick as the slowest (default: 1)"},
    {"delay-us", 0, ARG_COUNT, &delay_us, 1, 10000000, "US", "of a message, one way (default: 200)"},
    {"join", 0, ARG_COUNT, &join_s, 0, 86400, "SECONDS", "within which the workers come (default: 0, all at once)"},
    {"life", 0, ARG_COUNT, &life_s, 0, 1000000, "SECONDS", "a worker lives on average before it is lost and replaced (default: 0, for ever)"},
    {"autoscale", 0, ARG_FLAG, &autoscale, 0, 0, "", "workers are started and stopped as a coordinator wants them (docs/SCALING.md), at most --workers"},
    {"start-delay-ms", 0, ARG_COUNT, &start_ms, 1, 3600000, "MS", "with --autoscale: from the wish to the worker that joins (default: 5000)"},
    {"target-seconds", 0, ARG_COUNT, &target_s, 1, 1000000, "SECONDS", "with --autoscale, as of the coordinator (default: 60)"},
    {"cool-down", 0, ARG_COUNT, &cool_down_s, 0, 86400, "SECONDS", "with --autoscale, as of the coordinator (default: 30)"},
    {"min-workers", 0, ARG_COUNT, &least, 0, 10000, "N", "with --autoscale, as of the coordinator (default: 0)"},
    CLI_PICTURE_OPTIONS(asked),
    {"runs", 0, ARG_COUNT, &runs, 1, RUNS_MOST, "N", "worlds, of seeds --seed and up; the medians count (default: 5)"},
    {"json", 0, ARG_FLAG, &as_json, 0, 0, "", "print an object instead of a table"},
    {.name = NULL}};

typedef struct figure {
    const char *name, *key;
    double value[RUNS_MOST];
} figure;

enum { SECONDS, EFFICIENCY, WASTE, TAIL, TILE, UP, PAID, USEFUL, REDONE, LOST, RIGHT, PEAK, TURNS, FIGURES };
static figure figures[FIGURES] = {{.name = "seconds", .key = "seconds"},
                                  {.name = "efficiency", .key = "efficiency"},
                                  {.name = "work done for nothing", .key = "waste"},
                                  {.name = "tail: seconds after the queue ran dry", .key = "tail_s"},
                                  {.name = "tile: median seconds", .key = "tile_s"},
                                  {.name = "seconds until most workers were there", .key = "scale_up_s"},
                                  {.name = "worker-seconds, starts included", .key = "worker_s"},
                                  {.name = "worker-seconds that the work takes", .key = "useful_s"},
                                  {.name = "tiles redone", .key = "tiles_redone"},
                                  {.name = "workers lost", .key = "workers_lost"},
                                  {.name = "workers that would be right", .key = "workers_right"},
                                  {.name = "workers wished for at most", .key = "workers_peak"},
                                  {.name = "changes of direction of the wish", .key = "turns"}};

/* Those of scaling stand only where it is asked for. */
static int shown(int i) { return autoscale || (i != UP && i != PAID && i != USEFUL && i < RIGHT); }

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(figure *f)
{
    qsort(f->value, runs, sizeof f->value[0], compare);
    return (f->value[runs / 2] + f->value[(runs - 1) / 2]) / 2;
}

static co_world_config configure(void)
{
    co_world_config c;
    co_world_defaults(&c);
    c.workers = workers;
    c.threads = threads;
    c.tile = asked.tile;
    if (asked.size[0]) c.picture = (mr_picture){asked.size[0], asked.size[1], c.picture.spp, 0};
    if (asked.spp) c.picture.spp = asked.spp;
    c.unit_us = tile_ms * 1e3;
    c.cost_sigma = spread / 100.0;
    c.noise_sigma = noise / 100.0;
    c.speed_ratio = speeds;
    c.delay_us = delay_us;
    c.join_s = join_s;
    c.life_s = life_s;
    c.end_s = 1e7;
    c.autoscale = autoscale;
    c.start_s = start_ms * 1e-3;
    c.scaling = (co_scaling){.target_s = target_s, .min = least, .max = workers, .cool_down_s = cool_down_s};
    return c;
}

static void note(uint32_t run, const co_world_report *r)
{
    const double values[FIGURES] = {r->seconds, r->efficiency, r->waste, r->tail_s, r->unit_s, r->up_s, r->worker_s, r->useful_s, (double)r->redone, r->lost, r->right, r->peak, r->turns};
    for (int i = 0; i < FIGURES; i++) figures[i].value[run] = values[i];
}

static int print_json(uint64_t tiles, mr_error *err)
{
    cJSON *json = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(json, "workers", workers);
    (void)cJSON_AddNumberToObject(json, "runs", runs);
    (void)cJSON_AddNumberToObject(json, "tiles", (double)tiles);
    for (int i = 0; i < FIGURES; i++) {
        if (!shown(i)) continue;
        double middle = median(&figures[i]);
        cJSON *object = cJSON_AddObjectToObject(json, figures[i].key);
        (void)cJSON_AddNumberToObject(object, "median", middle);
        (void)cJSON_AddNumberToObject(object, "least", figures[i].value[0]);
        (void)cJSON_AddNumberToObject(object, "greatest", figures[i].value[runs - 1]);
    }
    return json_write(json, "-", err);
}

static void print_table(uint64_t tiles)
{
    printf("%u workers, %llu tiles of %u ms, %u run%s\n\n%-40s %12s %12s %12s\n", workers, (unsigned long long)tiles, tile_ms, runs, runs == 1 ? "" : "s", "",
           "median", "least", "greatest");
    for (int i = 0; i < FIGURES; i++) {
        if (!shown(i)) continue;
        double scale = i == EFFICIENCY || i == WASTE ? 100 : 1, middle = median(&figures[i]);
        const char *format = scale > 1 ? "%-40s %11.2f%% %11.2f%% %11.2f%%\n" : i >= REDONE ? "%-40s %12.0f %12.0f %12.0f\n" : "%-40s %12.4f %12.4f %12.4f\n";
        printf(format, figures[i].name, middle * scale, figures[i].value[0] * scale, figures[i].value[runs - 1] * scale);
    }
}

static int run_simulate(const arg_result *args, mr_error *err)
{
    co_world_config c = configure();
    co_world_report report = {.tiles = 0};
    (void)args;
    int status = mr_picture_check(&c.picture, err);
    for (uint32_t run = 0; run < runs && status == MR_OK; run++) {
        c.seed = asked.seed + run + 1;
        status = co_world_run(&c, &report, err);
        if (status == MR_OK) note(run, &report);
    }
    if (status != MR_OK) return status;
    if (as_json) return print_json(report.tiles, err);
    print_table(report.tiles);
    return MR_OK;
}

const cli_command simulate_command = {"simulate",
                                      "predict time, efficiency and waste of a cluster",
                                      "[OPTIONS]",
                                      "Drives the real scheduler through a virtual cluster. The picture is cut as `mobyray render` would cut it (default: 1920x1080, 64\n"
                                      "samples). A tile's cost is log-normal, speeds lie evenly on a logarithmic scale, lives are exponential. The same seeds give the same\n"
                                      "worlds.",
                                      options,
                                      0,
                                      run_simulate};
