/* mobyray coordinator: hands tiles to whoever comes; renders its own SCENE first, when one is given, then serves further jobs. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/allowed.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/load.h"
#include "cli/log.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "cli/trace.h"
#include "cli/web.h"
#include "coordinator/limits.h"
#include "coordinator/server.h"
#include "tracer/film.h"

enum {
    STEP_MS = 100,     /* longest wait of one pump: how late a signal is noticed */
    FAREWELL_MS = 1000 /* for the last messages to leave */
};

static cli_picture asked;
static const char *endpoint = "tcp://127.0.0.1:5555", *output, *report, *state, *key;
static const char *pictures = ".";
static uint32_t lease_ms, verify;
static co_scaling scaling = {.target_s = CO_TARGET_S, .max = CLI_MAX_WORKERS, .cool_down_s = CO_COOL_DOWN_S};
static int exit_when_done, insecure, quiet;
static const char *trace_file;
static web_options web;
static const char usual_http[] = "127.0.0.1:8080";

static const arg_option options[] = {
    {"listen", 0, ARG_ENDPOINT, &endpoint, 0, 1, "ENDPOINT", "where workers and clients connect (default: tcp://127.0.0.1:5555)"},
    CLI_KEY_OPTION(key),
    {"insecure", 0, ARG_FLAG, &insecure, 0, 0, "", "listen beyond this machine without keys: whoever reaches the port may work and submit"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE", "SCENE's picture: .png, .exr, .hdr or .pfm (default: SCENE's name with .png)"},
    CLI_PICTURE_OPTIONS(asked),
    CLI_HTTP_OPTIONS(web, "127.0.0.1:8080"),
    {"scenes", 0, ARG_TEXT, &web.scenes, 0, 0, "DIR", "scenes that may be asked for by name over HTTP"},
    {"state", 0, ARG_TEXT, &state, 0, 0, "DIR", "keep jobs and finished tiles in this folder, and go on with what is in it"},
    {"pictures", 0, ARG_TEXT, &pictures, 0, 0, "DIR", "where pictures of `mobyray submit` go, as job-NUMBER-NAME; made if missing (default: the current folder)"},
    {"verify", 0, ARG_COUNT, &verify, 0, 100, "PERCENT", "of the tiles of every job are done twice by different workers and compared"},
    {"target-seconds", 0, ARG_COUNT, &scaling.target_s, 1, 1000000, "SECONDS", "want so many workers that work is done in this time (default: 60)"},
    {"target-queue", 0, ARG_COUNT, &scaling.target_queue, 1, 1000000, "N", "want a worker for each N tiles that are left, instead"},
    {"min-workers", 0, ARG_COUNT, &scaling.min, 0, CO_DESIRED_MOST, "N", "want no fewer, also when idle (default: 0)"},
    {"max-workers", 0, ARG_COUNT, &scaling.max, 1, CO_DESIRED_MOST, "N", "want no more (default: 100)"},
    {"cool-down", 0, ARG_COUNT, &scaling.cool_down_s, 0, 86400, "SECONDS", "want fewer only when fewer were enough for so long (default: 30)"},
    {"lease", 0, ARG_COUNT, &lease_ms, 100, 3600000, "MS", "a worker silent for so many milliseconds is lost (default: 900)"},
    {"exit-when-done", 0, ARG_FLAG, &exit_when_done, 0, 0, "", "dismiss the workers and end when the last job is done"},
    {"report", 0, ARG_TEXT, &report, 0, 0, "FILE.json", "write SCENE's closing figures as JSON"},
    {"trace", 0, ARG_TEXT, &trace_file, 0, 0, "FILE.json", "write what every worker thread did, for ui.perfetto.dev; complete when the coordinator ends"},
    {"quiet", 0, ARG_FLAG, &quiet, 0, 0, "", "no log, no progress, no figures"},
    {.name = NULL}};

typedef struct coordinator {
    trace_writer *events; /* NULL: none */
    co_server *server;
    co_http *http; /* NULL: none */
    allowed list;  /* of keys let in */
    progress bar;
    uint64_t job;  /* SCENE's; 0: none */
    int any_job;   /* one has been here, whoever gave it */
    mr_pack pack;  /* SCENE's */
    const char *scene;
    mr_picture size; /* of SCENE's picture */
    char picture[4096]; /* the whole name of SCENE's picture: so a later life knows it */
} coordinator;

static void say(coordinator *c, const char *line)
{
    log_line(&c->bar, line);
    co_board_log(co_http_board(c->http), CO_LOG_INFO, line);
}

/* The file of a submitted job: a name from a client becomes letters, digits and a few signs, in our own folder. */
static void file_of(const co_detached *job, char *file, size_t size)
{
    char name[64];
    size_t length = 0;
    for (const char *c = job->name; *c && length < sizeof name - 1; c++, length++)
        name[length] = (char)(isalnum((unsigned char)*c) || (*c == '.' && length) || *c == '-' || *c == '_' ? *c : '_');
    name[length] = 0;
    int known = mr_film_format_check(name, NULL) == MR_OK;
    (void)snprintf(file, size, "%s/job-%llu%s%s%s", pictures, (unsigned long long)job->job, length ? "-" : "", name, known ? "" : ".png");
}

static void conclude(coordinator *c, const co_detached *job)
{
    char file[4096], line[512];
    co_job_status status;
    mr_error err;
    if (co_server_status(c->server, job->job, &status) != MR_OK) return;
    file_of(job, file, sizeof file);
    (void)snprintf(line, sizeof line, "%.400s", file);
    if (status.state == CO_JOB_DONE && mr_film_save(co_server_film(c->server, job->job), job->pack->settings, file, &err) != MR_OK)
        (void)snprintf(line, sizeof line, "%.500s", err.text);
    co_board_job_text(co_http_board(c->http), job->job, status.state == CO_JOB_DONE ? line : "");
    co_server_conclude(c->server, job->job, status.state == CO_JOB_DONE ? line : "");
    if (status.state != CO_JOB_DONE) return;
    (void)snprintf(file, sizeof file, "job %llu: %s", (unsigned long long)job->job, line);
    say(c, file);
}

static int pump(void *user, mr_error *err)
{
    coordinator *c = user;
    co_detached job;
    char line[1024];
    if (signals_stop) return mr_fail(err, MR_INTERRUPTED, "interrupted");
    if (allowed_look(&c->list, c->server, line, sizeof line)) say(c, line);
    int status = co_server_step(c->server, STEP_MS, err);
    for (uint64_t after = 0; status == MR_OK && co_server_detached(c->server, after, &job); after = job.job) conclude(c, &job);
    return status;
}

static const co_account_report *account_of(const coordinator *c, co_account_report *out)
{
    return co_server_account(c->server, c->job, out) == MR_OK ? out : NULL;
}

static int save(coordinator *c, const co_job_status *status, mr_error *err)
{
    co_account_report account;
    char line[512];
    const mr_film *film = co_server_film(c->server, c->job);
    int result = mr_film_save(film, c->pack.settings, output, err);
    if (result == MR_OK && report) result = report_save(report, status, &c->pack, film, account_of(c, &account), err);
    if (result != MR_OK || quiet) return result;
    (void)snprintf(line, sizeof line, "the picture is in %s", output);
    say(c, line);
    report_print(status);
    return MR_OK;
}

/* A picture that a former life was asked for, of another SCENE than ours. It has ended: written to where it was meant to go, and forgotten. */
static int save_owned(coordinator *c, const co_owned *o, const co_job_status *status, mr_error *err)
{
    char line[512];
    int result = MR_OK;
    if (status->state == CO_JOB_FAILED) result = report_failure(c->server, o->job, status, "SCENE", &o->picture, err);
    if (status->state == CO_JOB_DONE) result = mr_film_save(co_server_film(c->server, o->job), o->pack->settings, o->output, err);
    if (result != MR_OK) return result;
    (void)snprintf(line, sizeof line, "the picture of job %llu is in %.400s", (unsigned long long)o->job, o->output);
    if (status->state == CO_JOB_DONE) say(c, line);
    co_server_forget(c->server, o->job);
    return MR_OK;
}

/* Those of them that have ended. */
static int save_all_owned(coordinator *c, mr_error *err)
{
    co_owned o;
    co_job_status status;
    for (uint64_t after = 0; co_server_owned(c->server, after, &o); after = o.job) {
        if (o.job == c->job || co_server_status(c->server, o.job, &status) != MR_OK || status.state < CO_JOB_DONE) continue;
        int result = save_owned(c, &o, &status, err);
        if (result != MR_OK) return result;
    }
    return MR_OK;
}

/* Pumps until SCENE's job has ended, and saves its picture. */
static int render_job(coordinator *c, mr_error *err)
{
    co_job_status status = {.state = CO_JOB_QUEUED};
    int result = MR_OK;
    while (result == MR_OK && status.state <= CO_JOB_RUNNING) {
        result = pump(c, err);
        if (result == MR_OK && co_server_status(c->server, c->job, &status) != MR_OK)
            result = mr_fail(err, MR_FAILED, "the job has vanished");
        if (result == MR_OK) progress_update(&c->bar, &status);
    }
    progress_end(&c->bar);
    if (result != MR_OK) return result;
    return status.state == CO_JOB_DONE ? save(c, &status, err) : report_failure(c->server, c->job, &status, c->scene, &c->size, err);
}

/* The job that a former life began for the same file, if it is the same picture of the same scene. Another one for that file is replaced. */
static void take_up(coordinator *c, const mr_picture *picture)
{
    co_owned o;
    for (uint64_t after = 0; co_server_owned(c->server, after, &o); after = o.job) {
        if (strcmp(o.output, c->picture) != 0) continue;
        int same = !memcmp(o.pack->header->hash, c->pack.header->hash, MR_HASH_BYTES) && !memcmp(&o.picture, picture, sizeof o.picture) &&
                   o.tile == asked.tile;
        if (same && !c->job) {
            c->job = o.job;
            continue;
        }
        say(c, "another picture had been begun for that file: it is given up");
        (void)co_server_cancel(c->server, o.job);
        co_server_forget(c->server, o.job);
    }
}

static int render_scene(coordinator *c, const char *scene, mr_error *err)
{
    char line[512];
    (void)snprintf(line, sizeof line, "compiling %s", scene);
    say(c, line);
    int status = cli_load_scene_pumped(&c->pack, scene, pump, c, err);
    if (status != MR_OK) return status;
    const mr_picture picture = cli_resolve_picture(&asked, &c->pack);
    status = mr_picture_check(&picture, err);
    c->scene = scene;
    c->size = picture;
    if (status == MR_OK) take_up(c, &picture);
    if (status == MR_OK && !c->job) status = co_server_submit_to(c->server, &c->pack, &picture, asked.tile, NULL, c->picture, &c->job, err);
    if (status != MR_OK) return status;
    progress_start(&c->bar, quiet, &picture);
    (void)snprintf(line, sizeof line, "rendering %ux%u, %u samples a pixel; %u workers are here", picture.width, picture.height,
                   picture.spp, co_server_worker_count(c->server));
    say(c, line);
    status = render_job(c, err);
    if (status == MR_OK) {
        co_server_forget(c->server, c->job);
        c->job = 0;
    }
    return status;
}

/* Whether a job waits or runs, or its client has not fetched the picture yet. */
static int busy(coordinator *c)
{
    uint64_t first = co_server_next_job(c->server, 0);
    if (first) c->any_job = 1;
    return first != 0;
}

/* Serves jobs of clients until told to stop, or, with --exit-when-done, until there are none left. A signal while nothing is
 * under way is a clean end. */
static int serve(coordinator *c, mr_error *err)
{
    for (;;) {
        int saved = save_all_owned(c, err);
        if (saved != MR_OK) return saved;
        int working = busy(c);
        if (exit_when_done && c->any_job && !working) return MR_OK;
        int status = pump(c, err);
        if (status == MR_INTERRUPTED && !working) return MR_OK;
        if (status != MR_OK) return status;
    }
}

static int run_server(coordinator *c, const char *scene, mr_error *err)
{
    char line[256];
    (void)snprintf(line, sizeof line, "listening on %s, waiting for workers", co_server_endpoint(c->server));
    say(c, line);
    web_say(c->http, &web, &c->bar);
    int status = scene ? render_scene(c, scene, err) : MR_OK;
    if (status == MR_OK && scene) c->any_job = 1;
    if (status == MR_OK && scene && !exit_when_done) say(c, "waiting for further jobs: mobyray render or submit SCENE --cluster ENDPOINT");
    if (status == MR_OK) status = serve(c, err);
    if (c->job && status != MR_OK && !state) { /* with a state, the next life goes on with it */
        (void)co_server_cancel(c->server, c->job);
        (void)co_server_step(c->server, STEP_MS, NULL); /* so that the workers hear of it */
    }
    if (exit_when_done) co_server_dismiss(c->server, FAREWELL_MS);
    say(c, signals_stop ? "told to stop" : "the coordinator ends");
    return status;
}

/* Without keys, whoever reaches the port may submit, cancel and send false tiles: only this machine's own users should reach it. */
static int check_reach(mr_error *err)
{
    if (key || insecure || args_is_local(endpoint)) return MR_OK;
    return mr_fail(err, MR_USAGE, "%s can be reached from other machines, and without keys whoever reaches it may submit jobs and work: give --key DIR "
                   "(`mobyray keygen DIR` makes it), listen on 127.0.0.1, or say --insecure", endpoint);
}

static int check(const char *scene, mr_error *err)
{
    int status = check_reach(err);
    if (status == MR_OK && scaling.min > scaling.max)
        status = mr_fail(err, MR_USAGE, "--min-workers %u is more than --max-workers %u", scaling.min, scaling.max);
    if (status == MR_OK && scene && !output) status = cli_default_output(&output, scene, err);
    if (status == MR_OK && output) status = cli_check_output(output, err);
    if (status == MR_OK && report) status = cli_check_writable(report, err);
    return status;
}

static int open_server(coordinator *c, mr_error *err)
{
    co_keys keys = {.permits = NULL};
    const co_config config = {.endpoint = endpoint, .keys = key ? &keys : NULL, .state = state, .lease_ms = lease_ms, .scaling = scaling, .verify_percent = verify, .log = log_line, .user = &c->bar,
                              .board = co_http_board(c->http), .mailbox = co_http_mailbox(c->http), .slice = c->events ? trace_slice : NULL, .slice_user = c->events};
    int status = key ? keys_load_coordinator(key, &keys, c->list.list, err) : MR_OK;
    if (status == MR_OK && key) allowed_start(&c->list);
    if (status == MR_OK) status = co_server_open(&c->server, &config, err);
    keys_wipe(&keys);
    return status;
}

/* The name of a file that may not be there yet, from the root: the next life may start elsewhere. */
static int whole_name(char name[4096], const char *file, mr_error *err)
{
    char folder[4096];
    const char *slash = strrchr(file, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash == file ? 1 : slash ? (int)(slash - file) : 1, slash ? file : ".");
    char *real = realpath(folder, NULL);
    if (!real) return mr_fail(err, MR_FAILED, "%s: %s", folder, strerror(errno));
    int length = snprintf(name, 4096, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : file);
    free(real);
    return length < 4096 ? MR_OK : mr_fail(err, MR_FAILED, "%s: the name is too long", file);
}

/* The folder of submitted pictures, made where it is missing: found out now, not when the first of them is done. */
static int prepare_pictures(mr_error *err)
{
    if (mkdir(pictures, 0777) && errno != EEXIST) return mr_fail(err, MR_FAILED, "--pictures %s: cannot be made: %s", pictures, strerror(errno));
    if (access(pictures, W_OK | X_OK)) return mr_fail(err, MR_FAILED, "--pictures %s: cannot be written to: %s", pictures, strerror(errno));
    return MR_OK;
}

static int run_coordinator(const arg_result *args, mr_error *err)
{
    const char *scene = args->positional_count ? args->positional[0] : NULL;
    coordinator c = {.bar = {.quiet = quiet}};
    int status = check(scene, err);
    if (status != MR_OK) return status;
    if (scene) status = whole_name(c.picture, output, err);
    if (status == MR_OK && strcmp(pictures, ".") != 0) status = prepare_pictures(err);
    if (status == MR_OK) status = web_open(&c.http, &web, usual_http, 1, err);
    if (status == MR_OK && trace_file) status = trace_open(&c.events, trace_file, err);
    if (status == MR_OK) status = open_server(&c, err);
    if (status == MR_OK) {
        status = run_server(&c, scene, err);
        co_server_close(c.server);
    }
    int traced = trace_close(c.events, status == MR_INTERRUPTED ? MR_OK : status, status == MR_OK ? err : NULL); /* told to stop, it is whole all the same */
    if (status == MR_OK) status = traced;
    co_http_close(c.http);
    mr_pack_close(&c.pack);
    return status;
}

const cli_command coordinator_command = {
    "coordinator",
    "hand tiles to workers, render SCENE and further jobs",
    "[SCENE] [OPTIONS]",
    "Renders SCENE, when one is given, with the workers that join, then stays up for jobs of `mobyray render --cluster` and `mobyray submit`.\n"
    "On SIGTERM it cancels what is under way and ends; with --state it leaves that to its next life.\n"
    "With --state, a tile counts once it is on disk: killed at any moment, the coordinator goes on where it was.",
    options,
    1,
    run_coordinator};
