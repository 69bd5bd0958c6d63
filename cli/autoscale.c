/* mobyray autoscale: starts and stops workers on a Docker engine, as many as the coordinator wants. */
#include <cJSON.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/autoscale.h"
#include "cli/cli.h"
#include "cli/log.h"
#include "cli/signals.h"
#include "cli/web.h"
#include "coordinator/limits.h"

enum { API_MS = 5000, GRACE_UP_S = 10, SLEEP_MS = 50, WORKERS_MOST = 65536 };

static const char *api = "http://127.0.0.1:8080", *docker = "unix:///var/run/docker.sock", *project, *service = "worker", *swarm, *token;
static uint32_t max_workers, interval_s = 1, grace_s = 30;
static int once;

static const arg_option options[] = {
    {"api", 0, ARG_TEXT, &api, 0, 0, "URL", "the coordinator's --http address (default: http://127.0.0.1:8080)"},
    {"docker", 0, ARG_TEXT, &docker, 0, 0, "ADDRESS", "the engine's (default: unix:///var/run/docker.sock)"},
    {"project", 0, ARG_TEXT, &project, 0, 0, "NAME", "the Compose project (default: that of the container that this runs in)"},
    {"service", 0, ARG_TEXT, &service, 0, 0, "NAME", "its service of workers (default: worker)"},
    {"swarm", 0, ARG_TEXT, &swarm, 0, 0, "SERVICE", "a Swarm service of workers instead: its replicas"},
    {"http-token", 0, ARG_TEXT, &token, 0, 0, "FILE", "the coordinator's own of this name: lets idle workers go first in a Swarm service, too"},
    {"max-workers", 0, ARG_COUNT, &max_workers, 1, 10000, "N", "never more, whatever the coordinator wants (default: the engine's CPUs; Swarm: 100)"},
    {"grace", 0, ARG_COUNT, &grace_s, 1, 86400, "SECONDS", "for a worker to finish what it has begun (default: 30; Swarm: the service's own)"},
    {"interval", 0, ARG_COUNT, &interval_s, 1, 3600, "SECONDS", "between two looks (default: 1)"},
    {"once", 0, ARG_FLAG, &once, 0, 0, "", "look and act once, then end"},
    {.name = NULL}};

void scaler_say(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_line(NULL, line);
}

/* ---- what the coordinator wants ---- */

static int ask(scaler *s, const char *path, cJSON **json, mr_error *err)
{
    http_answer a;
    int status = http_call(s->api, "GET", path, NULL, API_MS, &a, err);
    if (status) return status;
    if (a.code != 200) return mr_fail(err, MR_FAILED, "the coordinator says %ld to GET %s", a.code, path);
    *json = cJSON_ParseWithLengthOpts(a.body, a.size + 1, NULL, 0);
    return *json ? MR_OK : mr_fail(err, MR_FAILED, "the coordinator's answer to GET %s is no JSON", path);
}

static double number_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static const char *text_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* 1: one that is there. */
static int read_worker(const cJSON *json, scaler_worker *out)
{
    static const struct { const char *name; int state; } states[] = {
        { "idle", SCALER_IDLE }, { "busy", SCALER_BUSY }, { "resting", SCALER_IDLE }, { "draining", SCALER_DRAINING }
    };
    double in_hand = number_of(json, "in_hand");
    double id = number_of(json, "id");
    *out = (scaler_worker){ .id = id > 0 && id < 1e15 ? (uint64_t)id : 0, .in_hand = in_hand > 0 && in_hand < 1e9 ? (uint32_t)in_hand : 0 };
    (void)snprintf(out->host, sizeof out->host, "%s", text_of(json, "host"));
    for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(text_of(json, "state"), states[i].name) != 0) continue;
        out->state = states[i].state;
        return 1;
    }
    return 0;
}

static int read_workers(const cJSON *json, scaler_wish *out, mr_error *err)
{
    int size = cJSON_GetArraySize(json);
    if (!cJSON_IsArray(json) || size > WORKERS_MOST) return mr_fail(err, MR_FAILED, "the coordinator's list of workers is none, or too long");
    out->list = calloc((size_t)size + 1, sizeof *out->list);
    if (!out->list) return mr_fail(err, MR_FAILED, "out of memory");
    for (const cJSON *item = json->child; item; item = item->next) out->count += (unsigned)read_worker(item, &out->list[out->count]);
    return MR_OK;
}

static int look_workers(scaler *s, scaler_wish *out, mr_error *err)
{
    cJSON *json = NULL;
    int status = ask(s, "/api/v1/workers", &json, err);
    if (!status) status = read_workers(json, out, err);
    cJSON_Delete(json);
    return status;
}

int scaler_drain(scaler *s, const scaler_worker *worker, mr_error *err)
{
    char path[64];
    http_answer a;
    (void)snprintf(path, sizeof path, "/api/v1/workers/%llu/drain", (unsigned long long)worker->id);
    int status = http_call(s->api, "PUT", path, NULL, API_MS, &a, err);
    if (status || a.code == 202 || a.code == 404 || a.code == 409) return status; /* 404, 409: it is gone, or about to go */
    return mr_fail(err, MR_FAILED, "the coordinator says %ld to PUT %s%s", a.code, path, a.code == 401 || a.code == 403 ? ": is --http-token its own?" : "");
}

static int look(scaler *s, scaler_wish *out, mr_error *err)
{
    cJSON *cluster = NULL;
    *out = (scaler_wish){ .known = 0 };
    int status = ask(s, "/api/v1/cluster", &cluster, err);
    double wanted = number_of(cluster, "desired_workers");
    out->known = wanted >= 0 && wanted <= WORKERS_MOST;
    out->workers = out->known ? (unsigned)wanted : 0;
    out->may_stop = number_of(cluster, "uptime_s") > GRACE_UP_S; /* workers of a coordinator that was restarted are coming back to it */
    (void)snprintf(out->reason, sizeof out->reason, "%.100s", text_of(cluster, "desired_reason"));
    cJSON_Delete(cluster);
    return !status && (!swarm || s->orders) ? look_workers(s, out, err) : status;
}

/* ---- turns ---- */

/* The engine may be started later than we are, or anew. */
static int reach_engine(scaler *s, mr_error *err)
{
    char host[256] = "";
    if (s->open) return MR_OK;
    int status = engine_open(&s->engine, s->docker, err);
    if (status) return status;
    s->open = 1;
    s->max = max_workers ? max_workers : swarm ? CLI_MAX_WORKERS : s->engine.cpus;
    (void)snprintf(s->project, sizeof s->project, "%s", project ? project : "");
    (void)gethostname(host, sizeof host - 1);
    if (!swarm && !project) status = engine_project_of(&s->engine, host, s->project, err);
    if (!status) scaler_say("%s %s at %s, at most %u workers", swarm ? "service" : "project", swarm ? swarm : s->project, s->docker, s->max);
    if (!status) return MR_OK;
    engine_close(&s->engine);
    s->open = 0;
    return status;
}

static int turn(scaler *s, mr_error *err)
{
    scaler_wish wish = { .known = 0 };
    int status = reach_engine(s, err);
    if (!status) status = look(s, &wish, err);
    if (!status) status = swarm ? scaler_swarm_turn(s, &wish, err) : scaler_compose_turn(s, &wish, cli_now(), err);
    free(wish.list);
    return status;
}

/* Trouble is said once, and again when it changes; that it is over, too. */
static void report(scaler *s, int status, const mr_error *err)
{
    if (status && strcmp(s->said, err->text) != 0) scaler_say("%s; trying on", err->text);
    if (!status && s->said[0]) scaler_say("all is well again");
    (void)snprintf(s->said, sizeof s->said, "%s", status ? err->text : "");
}

static void rest(uint32_t seconds)
{
    for (double end = cli_now() + seconds; !signals_stop && cli_now() < end;) (void)usleep(SLEEP_MS * 1000);
}

static int open_api(scaler *s, mr_error *err)
{
    char secret[CO_HTTP_TOKEN_MOST + 2];
    int status = http_open(&s->api, api, err);
    if (status || !token) return status;
    status = web_read_token(secret, token, err);
    if (!status) status = http_authorize(s->api, secret, err);
    s->orders = !status;
    sodium_memzero(secret, sizeof secret);
    return status;
}

static int run_autoscale(const arg_result *args, mr_error *err)
{
    static scaler s;
    (void)args;
    s.docker = docker;
    s.service = service;
    s.swarm = swarm;
    s.grace_s = grace_s;
    if (swarm && project) return mr_fail(err, MR_USAGE, "--swarm and --project exclude each other");
    int status = open_api(&s, err);
    signals_install();
    while (!status && !signals_stop) {
        mr_error trouble = {.text = ""};
        int failed = turn(&s, &trouble);
        if (once) {
            status = failed ? mr_fail(err, failed, "%s", trouble.text) : MR_OK;
            break;
        }
        if (failed == MR_USAGE) {
            status = mr_fail(err, failed, "%s", trouble.text);
            break;
        }
        report(&s, failed, &trouble);
        rest(interval_s);
    }
    engine_close(&s.engine);
    http_close(s.api);
    return status;
}

const cli_command autoscale_command = {
    "autoscale",
    "start and stop worker containers as the coordinator wants",
    "[OPTIONS]",
    "Asks a coordinator how many workers it wants, and has a Docker engine run so many: containers of a Compose project, or replicas of a Swarm service.\n"
    "Idle workers go before busy ones; each finishes what it has begun. It keeps nothing itself: killed, it goes on where it was. Whoever may talk to the engine's\n"
    "socket owns the machine: see docs/SCALING.md.",
    options,
    0,
    run_autoscale};
