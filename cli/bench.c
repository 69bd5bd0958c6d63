/* mobyray bench: how a scene scales with worker processes on this machine.
 *
 * Each entry of --workers is one embedded cluster: its workers join, a small warm-up render brings the pack to them, then the
 * picture is rendered --repeat times; the table gives medians. Speed-up and efficiency are relative to the first entry. */
#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/embedded.h"
#include "cli/signals.h"
#include "worker/cpus.h"

enum { MAX_WORKERS = 256, MAX_REPEAT = 99 };

static cli_picture asked;
static arg_list workers = {.value = {1, 2}, .count = 2};
static uint32_t threads = 1, repeat = 3;
static const char *output;

static const arg_option options[] = {
    {"workers", 0, ARG_LIST, &workers, 1, MAX_WORKERS, "N,N,...", "numbers of worker processes (default: 1,2)"},
    {"threads", 0, ARG_COUNT, &threads, 1, 1024, "N", "of each worker (default: 1)"},
    {"repeat", 0, ARG_COUNT, &repeat, 1, MAX_REPEAT, "N", "renders of each; the medians count (default: 3)"},
    CLI_PICTURE_OPTIONS(asked),
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

typedef struct row {
    uint32_t workers;
    double seconds, least_s, greatest_s, rays_per_s, samples_per_s, speedup, efficiency;
    uint64_t tiles, tiles_redone; /* redone: in all repeats */
    uint64_t result_bytes;        /* of one render */
} row;

static int compare_status(const void *a, const void *b)
{
    double x = ((const co_job_status *)a)->seconds, y = ((const co_job_status *)b)->seconds;
    return (x > y) - (x < y);
}

static void summarize(row *out, co_job_status *runs)
{
    qsort(runs, repeat, sizeof *runs, compare_status);
    const co_job_status *upper = &runs[repeat / 2], *lower = &runs[(repeat - 1) / 2];
    out->seconds = (upper->seconds + lower->seconds) / 2;
    out->least_s = runs[0].seconds;
    out->greatest_s = runs[repeat - 1].seconds;
    out->rays_per_s = out->seconds > 0 ? (double)upper->rays / out->seconds : 0;
    out->samples_per_s = out->seconds > 0 ? (double)upper->samples_done / out->seconds : 0;
    out->tiles = upper->tiles;
    out->result_bytes = upper->result_bytes;
    for (uint32_t i = 0; i < repeat; i++) out->tiles_redone += runs[i].tiles_redone;
}

/* One cluster: joined, warmed up, measured. */
static int measure(const mr_pack *pack, const mr_picture *picture, row *out, mr_error *err)
{
    static co_job_status runs[MAX_REPEAT];
    progress silent = {.quiet = 1};
    const mr_picture small = {.width = 64, .height = 64, .spp = 1, .seed = picture->seed};
    const mr_film *film;
    embedded *cluster;
    int status = embedded_start(&cluster, out->workers, threads, &silent, err);
    if (status != MR_OK) return status;
    status = embedded_wait_joined(cluster, err);
    for (uint32_t i = 0; i < 2 * out->workers && status == MR_OK; i++)
        status = embedded_render(cluster, pack, &small, 8, &film, &runs[0], err);
    if (status == MR_OK) status = embedded_render(cluster, pack, picture, asked.tile, &film, &runs[0], err);
    for (uint32_t i = 0; i < repeat && status == MR_OK; i++)
        status = embedded_render(cluster, pack, picture, asked.tile, &film, &runs[i], err);
    embedded_stop(cluster);
    if (status == MR_OK) summarize(out, runs);
    return status;
}

static void print_head(const char *scene, const mr_picture *picture, const char *kernel)
{
    char cpu[128];
    struct utsname os;
    cli_cpu_name(cpu);
    (void)uname(&os);
    printf("%s, %ux%u, %u samples a pixel, median of %u\n", scene, picture->width, picture->height, picture->spp, repeat);
    printf("%s, %u of %ld CPUs, kernel %s, %s %s, mobyray %s %s, %s\n\n", cpu, wk_cpu_count(), sysconf(_SC_NPROCESSORS_ONLN),
           kernel, os.sysname, os.release, cli_version, cli_commit, cli_compiler);
    printf("%8s %10s %19s %9s %11s %9s %12s %7s %7s\n", "workers", "seconds", "least - greatest", "speed-up", "efficiency", "Mrays/s",
           "Msamples/s", "tiles", "redone");
}

static void print_row(const row *r)
{
    printf("%8u %10.3f %9.3f %9.3f %9.2f %10.1f%% %9.2f %12.3f %7llu %7llu%s\n", r->workers, r->seconds, r->least_s, r->greatest_s,
           r->speedup, r->efficiency * 100, r->rays_per_s * 1e-6, r->samples_per_s * 1e-6, (unsigned long long)r->tiles,
           (unsigned long long)r->tiles_redone, r->workers * threads > wk_cpu_count() ? "  more threads than CPUs" : "");
    (void)fflush(stdout);
}

static cJSON *json_row(const row *r)
{
    cJSON *json = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(json, "workers", r->workers);
    (void)cJSON_AddNumberToObject(json, "seconds", r->seconds);
    (void)cJSON_AddNumberToObject(json, "least_s", r->least_s);
    (void)cJSON_AddNumberToObject(json, "greatest_s", r->greatest_s);
    (void)cJSON_AddNumberToObject(json, "speedup", r->speedup);
    (void)cJSON_AddNumberToObject(json, "efficiency", r->efficiency);
    (void)cJSON_AddNumberToObject(json, "rays_per_s", r->rays_per_s);
    (void)cJSON_AddNumberToObject(json, "samples_per_s", r->samples_per_s);
    (void)cJSON_AddNumberToObject(json, "tiles", (double)r->tiles);
    (void)cJSON_AddNumberToObject(json, "tiles_redone", (double)r->tiles_redone);
    (void)cJSON_AddNumberToObject(json, "result_bytes", (double)r->result_bytes);
    return json;
}

static int save_json(const char *scene, const mr_picture *picture, const char *kernel, const row *rows, mr_error *err)
{
    char cpu[128];
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "runs");
    cli_cpu_name(cpu);
    (void)cJSON_AddStringToObject(json, "scene", scene);
    (void)cJSON_AddNumberToObject(json, "width", picture->width);
    (void)cJSON_AddNumberToObject(json, "height", picture->height);
    (void)cJSON_AddNumberToObject(json, "spp", picture->spp);
    (void)cJSON_AddNumberToObject(json, "repeat", repeat);
    (void)cJSON_AddNumberToObject(json, "threads", threads);
    (void)cJSON_AddStringToObject(json, "cpu", cpu);
    (void)cJSON_AddNumberToObject(json, "cpus", wk_cpu_count());
    (void)cJSON_AddStringToObject(json, "kernel", kernel);
    (void)cJSON_AddStringToObject(json, "version", cli_version);
    (void)cJSON_AddStringToObject(json, "commit", cli_commit);
    (void)cJSON_AddStringToObject(json, "compiler", cli_compiler);
    for (unsigned i = 0; i < workers.count; i++) (void)cJSON_AddItemToArray(list, json_row(&rows[i]));
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    int status = text ? cli_write_file(output, text, err) : mr_fail(err, MR_FAILED, "%s: out of memory", output);
    free(text);
    return status;
}

/* Speed-up is against the first entry; efficiency is that by how many more workers there are. */
static void relate(row *r, const row *first)
{
    r->speedup = r->seconds > 0 ? first->seconds / r->seconds : 0;
    r->efficiency = r->speedup * first->workers / r->workers;
}

static int measure_all(const char *scene, const mr_pack *pack, const mr_kernel *kernel, mr_error *err)
{
    row rows[ARG_LIST_MAX] = {{.workers = 0}};
    const mr_picture picture = cli_resolve_picture(&asked, pack);
    int status = mr_picture_check(&picture, err);
    if (status != MR_OK) return status;
    print_head(scene, &picture, kernel->name);
    for (unsigned i = 0; i < workers.count; i++) {
        rows[i].workers = workers.value[i];
        status = measure(pack, &picture, &rows[i], err);
        if (status != MR_OK) return status;
        relate(&rows[i], &rows[0]);
        print_row(&rows[i]);
    }
    return output ? save_json(scene, &picture, kernel->name, rows, err) : MR_OK;
}

static int run_bench(const arg_result *args, mr_error *err)
{
    const char *scene = args->positional_count ? args->positional[0] : "scenes/mobydock";
    const mr_kernel *kernel;
    mr_pack pack = {.base = NULL};
    int status = cli_pick_kernel(&kernel, err);
    if (status == MR_OK && output) status = cli_check_writable(output, err);
    if (status == MR_OK) status = cli_load_scene(&pack, scene, err);
    if (status == MR_OK) status = measure_all(scene, &pack, kernel, err);
    mr_pack_close(&pack);
    return status;
}

const cli_command bench_command = {"bench",
                                   "measure how a scene scales with worker processes",
                                   "[SCENE] [OPTIONS]",
                                   "Renders SCENE (default: scenes/mobydock) on embedded clusters of growing size and prints a table.",
                                   options,
                                   1,
                                   run_bench};
