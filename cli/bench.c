/* mobyray bench: what a cluster delivers, and where the rest of the time went. See cli/bench.h and docs/BENCH.md.
 *
 * Every size of every kind of cluster is measured once a round, in an order that turns around with each round, so that a machine that becomes slower
 * meanwhile is unfair to none; the medians count, and speed-ups are ratios of one round. Before each measurement the cluster is scaled and warmed up. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench.h"
#include "cli/keys.h"
#include "cli/signals.h"
#include "worker/cpus.h"

enum { MAX_WORKERS = 1024, FOR_MOST_S = 7 * 86400 };

static cli_picture asked;
static arg_list workers = {.value = {1, 2}, .count = 2};
static uint32_t threads = 1, repeat = 3;
static const char *output, *html, *from, *cluster, *key, *duration, *step;
static int docker, processes, null, compare, no_lives, quiet;

static const arg_option options[] = {
    {"workers", 0, ARG_LIST, &workers, 1, MAX_WORKERS, "N,N,...", "numbers of workers, each measured (default: 1,2)"},
    {"threads", 0, ARG_COUNT, &threads, 1, 1024, "N", "of each worker process (default: 1)"},
    {"docker", 0, ARG_FLAG, &docker, 0, 0, "", "containers of the Compose project in this folder instead of processes"},
    {"processes", 0, ARG_FLAG, &processes, 0, 0, "", "with --docker: processes, too, in turns, and what the containers cost"},
    {"cluster", 0, ARG_ENDPOINT, &cluster, 0, 0, "ENDPOINT", "a running coordinator and whoever works for it"},
    CLI_KEY_OPTION(key),
    {"null", 0, ARG_FLAG, &null, 0, 0, "", "workers that trace nothing: measures the coordinator alone"},
    {"for", 0, ARG_TEXT, &duration, 0, 0, "TIME", "a steady load, as 90s, 10m or 2h: for autoscalers; with --cluster, or the first of --workers"},
    {"step", 0, ARG_TEXT, &step, 0, 0, "TIME", "with --for: the length of the stretches reported (default: a 60th of it, at least 1s)"},
    {"repeat", 0, ARG_COUNT, &repeat, 1, BENCH_REPEAT_MOST, "N", "rounds; the medians count (default: 3)"},
    {"no-lives", 0, ARG_FLAG, &no_lives, 0, 0, "", "leave out how long workers take to join and to leave"},
    CLI_PICTURE_OPTIONS(asked),
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write all figures as JSON; -: to stdout, instead of the table"},
    {"html", 0, ARG_TEXT, &html, 0, 0, "FILE.html", "write a report with charts: one file, nothing else needed"},
    {"from", 0, ARG_TEXT, &from, 0, 0, "FILE.json", "measure nothing: show what is in a file of -o"},
    {"compare", 0, ARG_FLAG, &compare, 0, 0, "", "say what changed between two files of -o, and whether it is more than noise"},
    {"quiet", 0, ARG_FLAG, &quiet, 0, 0, "", "do not say what is being measured"},
    {.name = NULL}};

/* "90", "90s", "10m", "2h". */
static int parse_time(const char *option, const char *text, double *seconds, mr_error *err)
{
    char *end;
    double value = strtod(text, &end), unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : 1;
    if (*end && strchr("smh", *end)) end++;
    if (end == text || *end || !(value > 0) || !(value * unit <= FOR_MOST_S))
        return mr_fail(err, MR_USAGE, "--%s %s: expected a time as 90s, 10m or 2h, of 7 days at most", option, text);
    *seconds = value * unit;
    return MR_OK;
}

static int check(mr_error *err)
{
    if (cluster && (docker || null)) return mr_fail(err, MR_USAGE, "--cluster excludes --docker and --null: its workers are what they are");
    if (docker && null) return mr_fail(err, MR_USAGE, "--docker and --null exclude each other");
    if (docker && duration) return mr_fail(err, MR_USAGE, "--for needs --cluster ENDPOINT or worker processes, not --docker");
    if (processes && !docker) return mr_fail(err, MR_USAGE, "--processes goes with --docker; without it processes are measured anyway");
    int status = output && strcmp(output, "-") != 0 ? cli_check_writable(output, err) : MR_OK;
    return status == MR_OK && html ? cli_check_writable(html, err) : status;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;
    if (quiet || (output && !strcmp(output, "-"))) return;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

/* ---- rounds ---- */

static bench_row *row_of(bench_result *r, int kind, uint32_t count)
{
    for (unsigned i = 0; i < r->row_count; i++)
        if (r->rows[i].kind == kind && (kind == BENCH_CLUSTER || r->rows[i].workers == count)) return &r->rows[i];
    if (r->row_count == BENCH_ROWS_MOST) return NULL;
    bench_row *row = &r->rows[r->row_count++];
    *row = (bench_row){.kind = kind, .workers = count, .threads = count * threads, .life = {-1, -1, -1, -1}};
    return row;
}

/* A running cluster may have other workers in each round: its row says what the last one had. */
static int measure(bench_cluster *c, bench_row *row, uint32_t round, mr_error *err)
{
    bench_life life = {-1, -1, -1, -1};
    bench_run run = {.seconds = 0};
    int status = bench_scale(c, row->workers, &life, err);
    if (status == MR_OK) status = bench_render(c, &run, err);
    if (status != MR_OK) return status;
    run.round = round;
    if (row->life.start_s < 0 || (life.start_s >= 0 && life.start_s < row->life.start_s)) row->life.start_s = life.start_s;
    uint32_t all, here = bench_workers(c, &all);
    if (row->kind == BENCH_CLUSTER || (row->kind == BENCH_CONTAINERS && all)) row->threads = all ? all : 1;
    if (row->kind == BENCH_CLUSTER) row->workers = here;
    say("  round %u: %u %s, %.3f s\n", round + 1, row->workers, row->kind == BENCH_CONTAINERS ? "in containers" : row->workers == 1 ? "worker" : "workers",
        run.seconds);
    return bench_add_run(row, &run, err);
}

typedef struct turn {
    int kind;
    uint32_t workers;
} turn;

static unsigned list_turns(turn turns[BENCH_ROWS_MOST])
{
    unsigned count = 0;
    if (cluster) {
        turns[count++] = (turn){BENCH_CLUSTER, 0};
        return count;
    }
    for (unsigned i = 0; i < workers.count; i++) {
        if (!docker || processes) turns[count++] = (turn){BENCH_PROCESSES, workers.value[i]};
        if (docker) turns[count++] = (turn){BENCH_CONTAINERS, workers.value[i]};
    }
    return count;
}

static int measure_rounds(bench_result *r, bench_cluster *const clusters[BENCH_KINDS], const turn *turns, unsigned count, mr_error *err)
{
    int status = MR_OK;
    for (uint32_t round = 0; round < repeat && status == MR_OK; round++)
        for (unsigned i = 0; i < count && status == MR_OK; i++) {
            const turn *t = &turns[round % 2 ? count - 1 - i : i];
            bench_row *row = row_of(r, t->kind, t->workers);
            status = row ? measure(clusters[t->kind], row, round, err) : mr_fail(err, MR_USAGE, "--workers: too many");
        }
    for (unsigned i = 0; i < count && status == MR_OK && !no_lives && !cluster && !null; i++) {
        bench_row *row = row_of(r, turns[i].kind, turns[i].workers);
        bench_life unused;
        say("  one more and one less than %u %s\n", row->workers, bench_kind_name(r, row->kind));
        status = bench_scale(clusters[turns[i].kind], row->workers, &unused, err);
        if (status == MR_OK) status = bench_lives(clusters[turns[i].kind], row->workers, &row->life, err);
    }
    return status;
}

static int compare_rows(const void *a, const void *b)
{
    const bench_row *x = a, *y = b;
    return x->kind != y->kind ? x->kind - y->kind : (x->workers > y->workers) - (x->workers < y->workers);
}

static int measure_clusters(bench_result *r, const bench_work *work, mr_error *err)
{
    bench_cluster *clusters[BENCH_KINDS] = {NULL};
    turn turns[BENCH_ROWS_MOST];
    unsigned count = list_turns(turns);
    int status = MR_OK;
    for (unsigned i = 0; i < count && status == MR_OK; i++)
        if (!clusters[turns[i].kind]) status = bench_open(&clusters[turns[i].kind], turns[i].kind, work, err);
    if (status == MR_OK) status = measure_rounds(r, clusters, turns, count, err);
    for (unsigned k = 0; k < BENCH_KINDS; k++) bench_close(clusters[k]);
    qsort(r->rows, r->row_count, sizeof r->rows[0], compare_rows);
    return status;
}

/* ---- the whole ---- */

static int steady(bench_result *r, const bench_work *work, mr_error *err)
{
    double seconds, stretch;
    int status = parse_time("for", duration, &seconds, err);
    stretch = fmax(1, seconds / 60);
    if (status == MR_OK && step) status = parse_time("step", step, &stretch, err);
    if (status == MR_OK) say("  a steady load for %.0f s\n", seconds);
    return status == MR_OK ? bench_steady(r, work, workers.value[0], seconds, fmax(stretch, seconds / BENCH_SAMPLES_MOST), err) : status;
}

static int show(const bench_result *r, mr_error *err)
{
    int to_stdout = output && !strcmp(output, "-"), status = output ? bench_save(r, output, err) : MR_OK;
    if (status == MR_OK && html) status = bench_html(r, html, err);
    if (status == MR_OK && !to_stdout) bench_table(r, stdout);
    return status;
}

/* Where nobody has asked otherwise, workers that trace nothing get a picture of many tiles. */
static mr_picture choose_picture(const mr_pack *pack)
{
    if (null && !asked.size[0]) asked.size[0] = asked.size[1] = 1024;
    if (null && !asked.spp) asked.spp = 512;
    if (null && !asked.tile) asked.tile = 32;
    return cli_resolve_picture(&asked, pack);
}

static void describe(bench_result *r, const bench_work *work, const char *kernel)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    r->when = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    (void)snprintf(r->scene, sizeof r->scene, "%s", work->scene);
    mr_hash_hex(work->pack->header->hash, r->scene_hash);
    r->picture = work->picture;
    r->tile = work->tile;
    r->repeat = duration ? 0 : repeat;
    r->null = (uint32_t)null;
    bench_describe_machine(&r->machine, kernel);
    if (docker) bench_describe_engine(&r->machine);
}

static int measure_scene(const char *scene, bench_result *r, mr_error *err)
{
    const mr_kernel *kernel;
    mr_pack pack = {.base = NULL};
    int status = cli_pick_kernel(&kernel, err);
    if (status == MR_OK) status = cli_load_scene(&pack, scene, err);
    if (status == MR_OK) {
        const bench_work work = {.scene = scene, .pack = &pack, .picture = choose_picture(&pack), .tile = asked.tile, .threads = threads, .null = null,
                                 .cluster = cluster, .key = key};
        status = mr_picture_check(&work.picture, err);
        if (status == MR_OK) describe(r, &work, kernel->name);
        if (status == MR_OK) status = duration ? steady(r, &work, err) : measure_clusters(r, &work, err);
    }
    mr_pack_close(&pack);
    return status;
}

static int run_bench(const arg_result *args, mr_error *err)
{
    static bench_result result;
    double seconds;
    if (compare && args->positional_count != 2) return mr_fail(err, MR_USAGE, "--compare: expected two files of -o");
    if (compare) return bench_compare(args->positional[0], args->positional[1], err);
    if (args->positional_count > 1) return mr_fail(err, MR_USAGE, "one SCENE at a time; two files go with --compare");
    int status = check(err);
    if (status == MR_OK && duration) status = parse_time("for", duration, &seconds, err);
    if (status != MR_OK) return status;
    status = from ? bench_load(&result, from, err) : measure_scene(args->positional_count ? args->positional[0] : "scenes/mobydock", &result, err);
    if (status == MR_OK) status = show(&result, err);
    bench_result_free(&result);
    return status;
}

const cli_command bench_command = {"bench",
                                   "measure what a cluster delivers, and where the rest of the time goes",
                                   "[SCENE] [OPTIONS] | --compare BEFORE.json AFTER.json",
                                   "Renders SCENE (default: scenes/mobydock) on clusters of growing size: processes, containers, or a running cluster as it "
                                   "is. Gives speed-up,\n"
                                   "efficiency, latencies, and an account of every thread's time that adds up. docs/BENCH.md explains every figure.",
                                   options,
                                   2,
                                   run_bench};
