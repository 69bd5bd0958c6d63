/* mobyray render: one picture, by an embedded cluster, by this process alone, or by a running coordinator. */
#include <sodium.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/embedded.h"
#include "cli/keys.h"
#include "cli/load.h"
#include "cli/local.h"
#include "cli/progress.h"
#include "cli/replay.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "cli/trace.h"
#include "cli/web.h"
#include "coordinator/client.h"
#include "tracer/film.h"
#include "worker/cpus.h"

enum { MAX_WORKERS = 1024, MAX_THREADS = 1024 };

static const uint32_t unset = UINT32_MAX;

static cli_picture asked;
static const char *output, *cluster, *key, *report, *trace_file;
static uint32_t workers = UINT32_MAX, threads;
static co_job_options how = CLI_JOB_DEFAULTS;
static arg_list only_tile;
static int quiet;
static web_options web;
static const char *scene_path;

static const arg_option options[] = {
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE", ".png, .exr, .hdr or .pfm (default: SCENE's name with .png)"},
    CLI_PICTURE_OPTIONS(asked),
    {"workers", 0, ARG_COUNT, &workers, 0, MAX_WORKERS, "N", "worker processes (default: one a CPU); 0: this process, no cluster"},
    {"threads", 0, ARG_COUNT, &threads, 1, MAX_THREADS, "N", "of each worker (default: 1; with --workers 0: one a CPU)"},
    {"cluster", 0, ARG_ENDPOINT, &cluster, 0, 0, "ENDPOINT", "give the job to the coordinator at tcp://HOST:PORT instead"},
    CLI_KEY_OPTION(key),
    CLI_JOB_OPTIONS(how),
    {"only-tile", 0, ARG_LIST, &only_tile, 0, UINT32_MAX, "X,Y,W,H,FIRST,COUNT", "trace this tile alone, in this process, as a failed job names it"},
    CLI_HTTP_OPTIONS(web, "off"),
    {"report", 0, ARG_TEXT, &report, 0, 0, "FILE.json", "write the closing figures as JSON"},
    {"trace", 0, ARG_TEXT, &trace_file, 0, 0, "FILE.json", "write what every worker thread did, for ui.perfetto.dev or chrome://tracing"},
    {"quiet", 0, ARG_FLAG, &quiet, 0, 0, "", "no progress, no figures"},
    {.name = NULL}};

/* Everything that can be known to be wrong before any work is done. */
static int check(const char *scene, const mr_kernel **kernel, mr_error *err)
{
    if (web.address && (cluster || workers == 0 || only_tile.count)) return mr_fail(err, MR_USAGE, "--http is for an embedded cluster: no --cluster, no --workers 0, no --only-tile");
    if (trace_file && (cluster || workers == 0 || only_tile.count))
        return mr_fail(err, MR_USAGE, "--trace is of an embedded cluster: no --cluster (its coordinator has a --trace), no --workers 0, no --only-tile");
    if (cluster && workers != unset) return mr_fail(err, MR_USAGE, "--cluster and --workers exclude each other");
    if (only_tile.count && (cluster || (workers != unset && workers != 0))) return mr_fail(err, MR_USAGE, "--only-tile is traced in this process: no --cluster, no --workers but 0");
    int status = cli_pick_kernel(kernel, err);
    if (only_tile.count) return status == MR_OK && output ? cli_check_output(output, err) : status;
    if (status == MR_OK && !output) status = cli_default_output(&output, scene, err);
    if (status == MR_OK) status = cli_check_output(output, err);
    if (status == MR_OK && report) status = cli_check_writable(report, err);
    if (status == MR_OK && trace_file) status = cli_check_writable(trace_file, err);
    return status;
}

static int finish(const mr_pack *pack, const mr_film *film, const co_job_status *status, const co_account_report *account, mr_error *err)
{
    int result = mr_film_save(film, pack->settings, output, err);
    if (result == MR_OK && report) result = report_save(report, status, pack, film, account, err);
    if (result == MR_OK && !quiet) report_print(status);
    return result;
}

/* The scene's own numbers come from a checked pack; together with the options they must make a picture. */
static int prepare(const mr_pack *pack, mr_picture *picture, progress *bar, mr_error *err)
{
    *picture = cli_resolve_picture(&asked, pack);
    int status = signals_stop ? mr_fail(err, MR_INTERRUPTED, "interrupted") : mr_picture_check(picture, err);
    if (status == MR_OK) progress_start(bar, quiet, picture);
    return status;
}

static void show_progress(void *user, const co_job_status *status)
{
    progress_update(user, status);
}

static int trace_remotely(const mr_pack *pack, const mr_picture *picture, progress *bar, mr_film *film, co_job_status *done, mr_error *err)
{
    wire_keys keys;
    int with_keys, status = keys_load(key, keys_of_client, &keys, &with_keys, err);
    if (status != MR_OK) return status;
    const co_client_config config = {
        .endpoint = cluster, .keys = with_keys ? &keys : NULL, .progress = show_progress, .user = bar, .stop = &signals_stop,
        .options = how, .name = cli_scene_name(scene_path), .scene = scene_path};
    status = co_client_render(&config, pack, picture, asked.tile, film, done, err);
    sodium_memzero(&keys, sizeof keys);
    return status;
}

static int trace(const mr_pack *pack, const mr_picture *picture, const mr_kernel *kernel, progress *bar, mr_film *film,
                 co_job_status *done, mr_error *err)
{
    if (cluster) return trace_remotely(pack, picture, bar, film, done, err);
    return local_render(pack, picture, asked.tile, threads ? threads : wk_cpu_count(), kernel, &signals_stop, bar, film, done, err);
}

/* By this process alone, or by a running coordinator. */
static int render_simply(const char *scene, const mr_kernel *kernel, mr_error *err)
{
    mr_pack pack = {.base = NULL};
    mr_film film;
    mr_picture picture;
    co_job_status done;
    progress bar;
    int status = cli_load_scene(&pack, scene, err);
    if (status != MR_OK) return status;
    status = prepare(&pack, &picture, &bar, err);
    if (status == MR_OK) {
        status = trace(&pack, &picture, kernel, &bar, &film, &done, err);
        progress_end(&bar);
        if (status == MR_OK) {
            status = finish(&pack, &film, &done, NULL, err);
            mr_film_free(&film);
        }
    }
    mr_pack_close(&pack);
    return status;
}

/* Workers start and join while the scene is compiled. */
static int render_with(embedded *here, const char *scene, progress *bar, mr_error *err)
{
    mr_pack pack = {.base = NULL};
    const mr_film *film;
    mr_picture picture;
    co_job_status done;
    co_account_report account;
    embedded_set(here, &how, scene);
    int status = cli_load_scene_pumped(&pack, scene, embedded_pump, here, err);
    if (status == MR_OK) {
        status = prepare(&pack, &picture, bar, err);
        if (status == MR_OK) status = embedded_render(here, &pack, &picture, asked.tile, &film, &done, err);
        progress_end(bar);
        int known = status == MR_OK && co_server_account(embedded_server(here), embedded_job(here), &account) == MR_OK;
        if (status == MR_OK) status = finish(&pack, film, &done, known ? &account : NULL, err);
    }
    embedded_stop(here); /* before the pack goes, which its server still has */
    mr_pack_close(&pack);
    return status;
}

static int render_embedded(const char *scene, mr_error *err)
{
    progress bar = {.quiet = quiet};
    embedded *here = NULL;
    trace_writer *events = NULL;
    int status = trace_file ? trace_open(&events, trace_file, err) : MR_OK;
    co_http *http = NULL;
    if (status == MR_OK) status = web_open(&http, &web, NULL, 0, err);
    const embedded_ways ways = {.slice = events ? trace_slice : NULL, .user = events, .http = http};
    if (http) web_say(http, &web, &bar);
    if (status == MR_OK) status = embedded_start_so(&here, workers == unset ? wk_cpu_count() : workers, threads ? threads : 1, &ways, &bar, err);
    if (status == MR_OK) status = render_with(here, scene, &bar, err);
    co_http_close(http);
    return trace_close(events, status, err);
}

static int run_render(const arg_result *args, mr_error *err)
{
    const mr_kernel *kernel = NULL;
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no SCENE given");
    const char *scene = args->positional[0];
    int status = check(scene, &kernel, err);
    if (status != MR_OK) return status;
    scene_path = scene;
    if (only_tile.count) return replay_tile(scene, &asked, &only_tile, kernel, output, err);
    return cluster || workers == 0 ? render_simply(scene, kernel, err) : render_embedded(scene, err);
}

const cli_command render_command = {
    "render",
    "render a picture of a scene",
    "SCENE [OPTIONS]",
    "By default on an embedded cluster: a coordinator and N worker processes on this machine. The picture has the same bytes for any\n"
    "number of workers and threads, any tile size and any kernel.",
    options,
    1,
    run_render};
