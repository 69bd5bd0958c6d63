/* The board as JSON. Every figure here is described in docs/API.md and coordinator/openapi.json; tests hold them to each other. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/clock.h"
#include "coordinator/http_internal.h"

/* ---- answers ---- */

void co_answer_free(co_answer *a)
{
    if (!a->fixed) free(a->body);
    *a = (co_answer){ .status = 0 };
}

void co_answer_text(co_answer *a, int status, const char *type, co_text *text)
{
    size_t size = text->length;
    char *body = co_text_take(text);
    if (!body) {
        co_answer_error(a, 500, "no memory for the answer");
        return;
    }
    *a = (co_answer){ .status = status, .type = type, .body = body, .size = size };
}

void co_answer_error(co_answer *a, int status, const char *format, ...)
{
    char line[MR_ERROR_MAX];
    co_text t = { .bytes = NULL };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    co_json_open(&t, NULL, '{');
    co_json_string(&t, "error", line);
    co_json_close(&t, '}');
    size_t size = t.length;
    *a = (co_answer){ .status = status, .type = "application/json", .body = co_text_take(&t), .size = size };
    if (!a->body) *a = (co_answer){ .status = status };
}

/* ---- the cluster ---- */

enum { RATE_SAMPLES = 5 }; /* seconds over which speeds are taken */

typedef struct speeds {
    int known;
    double rays_per_s, samples_per_s, efficiency; /* efficiency: NAN without threads */
} speeds;

static speeds between(const co_board_sample *a, const co_board_sample *b)
{
    double passed_s = 1e-6 * (double)(b->time_us - a->time_us), threads_us = (double)(b->thread_us - a->thread_us);
    if (!(passed_s > 0)) return (speeds){ .known = 0, .efficiency = NAN };
    double efficiency = threads_us > 0 ? (double)(b->busy_us - a->busy_us) / threads_us : NAN;
    return (speeds){ 1, (double)(b->rays - a->rays) / passed_s, (double)(b->samples - a->samples) / passed_s, efficiency > 1 ? 1 : efficiency };
}

static speeds speeds_of_late(co_board *board)
{
    co_board_sample s[RATE_SAMPLES + 1];
    uint32_t count = co_board_samples(board, s, RATE_SAMPLES + 1);
    return count < 2 ? (speeds){ .known = 0, .efficiency = NAN } : between(&s[0], &s[count - 1]);
}

static uint64_t redone(const co_board_totals *t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CO_REDO_CAUSES; i++) sum += t->redone[i];
    return sum;
}

static void real_or_null(co_text *t, const char *name, int known, double value) { co_json_real(t, name, known ? value : NAN); }

static void write_desired(co_text *t, const co_board_totals *now)
{
    if (now->has_desired) co_json_uint(t, "desired_workers", now->desired);
    else co_json_null(t, "desired_workers");
    co_json_string(t, "desired_reason", now->has_desired ? now->desired_reason : NULL);
}

void co_api_cluster(co_text *t, const char *name, co_board *board)
{
    co_board_totals now;
    speeds late = speeds_of_late(board);
    co_board_totals_now(board, &now);
    co_json_open(t, name, '{');
    co_json_string(t, "version", now.version);
    co_json_string(t, "commit", now.commit);
    co_json_uint(t, "protocol", WIRE_VERSION);
    co_text_format(t, ",\"epoch\":\"%016llx\"", (unsigned long long)now.epoch);
    co_json_time(t, "time", co_wall_s());
    real_or_null(t, "uptime_s", now.opened_us != 0, 1e-6 * (double)(co_now_us() - now.opened_us));
    co_json_string(t, "endpoint", now.endpoint);
    co_json_bool(t, "ready", now.ready);
    co_json_uint(t, "workers", now.workers);
    co_json_uint(t, "threads", now.threads);
    co_json_uint(t, "busy_threads", now.busy_threads);
    write_desired(t, &now);
    co_json_uint(t, "tiles_queued", now.tiles_queued);
    co_json_uint(t, "tiles_in_flight", now.in_flight);
    co_json_uint(t, "tiles_done", now.tiles_done);
    co_json_uint(t, "tiles_redone", redone(&now));
    real_or_null(t, "rays_per_s", late.known, late.rays_per_s);
    real_or_null(t, "samples_per_s", late.known, late.samples_per_s);
    co_json_uint(t, "rays", now.rays);
    co_json_uint(t, "samples", now.samples);
    co_json_uint(t, "bytes_in", now.bytes_in);
    co_json_uint(t, "bytes_out", now.bytes_out);
    co_json_real(t, "efficiency", late.efficiency);
    co_json_uint(t, "strangers", now.strangers);
    co_json_uint(t, "refused_versions", now.refused_versions);
    co_json_uint(t, "jobs_waiting", now.jobs_queued);
    co_json_uint(t, "jobs_running", now.jobs_running);
    co_json_close(t, '}');
}

static void write_history(co_text *t, co_board *board)
{
    co_board_sample *s = malloc(CO_BOARD_SAMPLES * sizeof *s);
    uint32_t count = s ? co_board_samples(board, s, CO_BOARD_SAMPLES) : 0;
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++) {
        speeds late = i ? between(&s[i > RATE_SAMPLES ? i - RATE_SAMPLES : 0], &s[i]) : (speeds){ .known = 0, .efficiency = NAN };
        co_json_open(t, NULL, '{');
        co_json_time(t, "time", co_board_wall_s(board, s[i].time_us));
        co_json_uint(t, "workers", s[i].workers);
        co_json_uint(t, "threads", s[i].threads);
        co_json_uint(t, "busy_threads", s[i].busy_threads);
        co_json_uint(t, "tiles_queued", s[i].tiles_queued);
        co_json_uint(t, "tiles_in_flight", s[i].in_flight);
        co_json_uint(t, "tiles_done", s[i].tiles);
        co_json_uint(t, "tiles_redone", s[i].redone);
        real_or_null(t, "rays_per_s", late.known, late.rays_per_s);
        real_or_null(t, "samples_per_s", late.known, late.samples_per_s);
        co_json_real(t, "efficiency", late.efficiency);
        co_json_close(t, '}');
    }
    co_json_close(t, ']');
    free(s);
}

/* ---- workers ---- */

/* Hues a golden angle apart: neighbours in the list differ, and no two of some dozens are alike. As #rrggbb of HSL(hue, 70 %, 55 %). */
static void colour_of(uint32_t id, char text[8])
{
    double hue = fmod(137.50776405 * id, 360) / 60, chroma = (1 - fabs(2 * 0.55 - 1)) * 0.70, x = chroma * (1 - fabs(fmod(hue, 2) - 1)), m = 0.55 - chroma / 2;
    const double rgb[6][3] = { { chroma, x, 0 }, { x, chroma, 0 }, { 0, chroma, x }, { 0, x, chroma }, { x, 0, chroma }, { chroma, 0, x } };
    const double *c = rgb[(int)hue % 6];
    (void)snprintf(text, 8, "#%02x%02x%02x", (unsigned)(255 * (c[0] + m) + 0.5) & 255u, (unsigned)(255 * (c[1] + m) + 0.5) & 255u, (unsigned)(255 * (c[2] + m) + 0.5) & 255u);
}

static const char *const worker_states[CO_WORKER_STATES] = { "idle", "busy", "resting", "draining", "lost", "left", "refused" };

void co_api_worker(co_text *t, const co_board *board, const co_board_worker *w, int whole)
{
    char colour[8];
    co_json_open(t, NULL, '{');
    co_json_uint(t, "id", w->id);
    if (whole) {
        colour_of(w->id, colour);
        co_json_string(t, "name", w->name);
        co_json_string(t, "host", w->host);
        co_json_string(t, "kernel", w->kernel);
        co_json_uint(t, "threads", w->threads);
        co_json_string(t, "colour", colour);
        co_json_time(t, "joined_at", co_board_wall_s(board, w->joined_us));
        co_json_time(t, "left_at", co_board_wall_s(board, w->left_us));
    }
    co_json_string(t, "state", worker_states[w->state]);
    co_json_uint(t, "tiles", w->tiles);
    co_json_real(t, "tiles_per_s", w->tiles_per_s);
    co_json_real(t, "rays_per_s", w->rays_per_s);
    co_json_uint(t, "in_hand", w->in_hand);
    co_json_uint(t, "redone", w->redone);
    co_json_real(t, "busy_s", 1e-6 * (double)w->busy_us);
    real_or_null(t, "rtt_s", w->rtt_us != 0, 1e-6 * w->rtt_us);
    co_json_close(t, '}');
}

static void write_workers(co_text *t, co_board *board)
{
    uint32_t count;
    co_board_worker *workers = co_board_workers(board, 0, &count, NULL);
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++) co_api_worker(t, board, &workers[i], 1);
    co_json_close(t, ']');
    free(workers);
}

/* ---- jobs ---- */

static const char *const tone_maps[] = { [MR_TONE_LINEAR] = "linear", [MR_TONE_FILMIC] = "filmic", [MR_TONE_ACES] = "aces" };
static const char *const job_states[] = { "queued", "running", "done", "failed", "cancelled" };

void co_api_job(co_text *t, const co_board *board, const co_board_job *j)
{
    const co_job_status *s = &j->status;
    double samples = (double)j->picture.width * j->picture.height * j->picture.spp, done = (double)s->samples_done / samples;
    int going = s->state == CO_JOB_RUNNING && j->samples_per_s > 0;
    co_json_open(t, NULL, '{');
    co_json_uint(t, "id", s->id);
    co_json_string(t, "name", j->name);
    co_json_string(t, "scene", j->scene);
    co_json_string(t, "state", job_states[s->state]);
    co_json_uint(t, "priority", s->priority);
    co_json_uint(t, "width", j->picture.width);
    co_json_uint(t, "height", j->picture.height);
    co_json_uint(t, "spp", j->picture.spp);
    co_json_uint(t, "seed", j->picture.seed);
    co_json_uint(t, "tiles", s->tiles);
    co_json_uint(t, "tiles_done", s->tiles_done);
    co_json_uint(t, "tiles_redone", s->tiles_redone);
    co_json_uint(t, "tiles_in_flight", j->in_flight);
    co_json_uint(t, "tiles_verified", s->verified);
    co_json_uint(t, "samples_done", s->samples_done);
    co_json_uint(t, "rays", s->rays);
    co_json_uint(t, "result_bytes", s->result_bytes);
    co_json_uint(t, "workers", s->workers);
    co_json_uint(t, "workers_seen", s->workers_seen);
    co_json_time(t, "submitted_at", co_board_wall_s(board, j->submitted_us));
    co_json_real(t, "seconds", s->seconds);
    real_or_null(t, "first_tile_s", j->first_tile_s >= 0, j->first_tile_s);
    real_or_null(t, "eta_s", going, (samples - (double)s->samples_done) / j->samples_per_s);
    co_json_real(t, "done", s->state == CO_JOB_DONE ? 1 : done);
    co_json_bool(t, "has_image", j->has_view);
    co_json_real(t, "exposure", j->exposure);
    co_json_string(t, "tone_map", tone_maps[j->tone_map]);
    co_json_string(t, "text", j->text);
    co_json_close(t, '}');
}

static void write_jobs(co_text *t, co_board *board)
{
    uint32_t count;
    co_board_job *jobs = co_board_jobs(board, 0, &count, NULL);
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++) co_api_job(t, board, &jobs[i]);
    co_json_close(t, ']');
    free(jobs);
}

/* ---- work under way ---- */

void co_api_lease(co_text *t, const co_board_lease *l, uint64_t now_us)
{
    co_json_open(t, NULL, '{');
    co_json_uint(t, "slot", (uint32_t)l->id);
    co_json_uint(t, "x", l->x);
    co_json_uint(t, "y", l->y);
    co_json_uint(t, "width", l->width);
    co_json_uint(t, "height", l->height);
    co_json_uint(t, "samples", l->samples);
    co_json_uint(t, "worker", l->worker);
    co_json_real(t, "since_s", now_us > l->since_us ? 1e-6 * (double)(now_us - l->since_us) : 0);
    co_json_close(t, '}');
}

static void write_in_flight(co_text *t, co_board *board, uint64_t job)
{
    co_board_lease *leases = NULL;
    uint32_t capacity = 0, count = co_board_leases(board, &leases, &capacity);
    uint64_t now_us = co_now_us();
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++)
        if (leases[i].id && leases[i].job == job) co_api_lease(t, &leases[i], now_us);
    co_json_close(t, ']');
    free(leases);
}

/* ---- the log ---- */

void co_api_line(co_text *t, const co_board_line *line)
{
    co_json_open(t, NULL, '{');
    co_json_uint(t, "id", line->id);
    co_json_time(t, "time", line->time_s);
    co_json_string(t, "level", line->level == CO_LOG_WARNING ? "warning" : "info");
    co_json_string(t, "text", line->text);
    co_json_close(t, '}');
}

static void write_log(co_text *t, co_board *board, uint64_t after)
{
    co_board_line *lines = malloc(CO_HTTP_LINES_MOST * sizeof *lines);
    uint32_t count = lines ? co_board_lines(board, after, lines, CO_HTTP_LINES_MOST) : 0;
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++) co_api_line(t, &lines[i]);
    co_json_close(t, ']');
    free(lines);
}

/* ---- health ---- */

/* ready: whether it takes work; otherwise whether it lives, which is doubted late only: who doubts it kills it. */
static void answer_health(co_answer *a, co_board *board, int ready)
{
    co_board_totals now;
    co_text t = { .bytes = NULL };
    co_board_totals_now(board, &now);
    double silent_s = now.opened_us ? 1e-6 * (double)(co_now_us() - now.stepped_us) : 0;
    const char *why = silent_s > (ready ? CO_HTTP_STUCK_S : CO_HTTP_HUNG_S) ? "the coordinator does not answer" : NULL;
    if (ready && !why) why = !now.opened_us ? "the coordinator is starting" : now.ready ? NULL : now.not_ready;
    co_json_open(&t, NULL, '{');
    co_json_string(&t, "status", !why ? "ok" : ready ? "not ready" : "hung");
    if (why) co_json_string(&t, "reason", why);
    co_json_close(&t, '}');
    co_answer_text(a, why ? 503 : 200, "application/json", &t);
}

/* ---- all of it ---- */

static void answer_job(co_answer *a, const co_http_route *route, co_board *board)
{
    co_board_job job;
    co_text t = { .bytes = NULL };
    if (!co_board_job_now(board, route->id, &job, NULL)) {
        co_answer_error(a, 404, "there is no job %llu", (unsigned long long)route->id);
        return;
    }
    if (route->endpoint == CO_HTTP_JOB) co_api_job(&t, board, &job);
    else write_in_flight(&t, board, route->id);
    co_answer_text(a, 200, "application/json", &t);
}

int co_api_answer(co_answer *a, const co_http_route *route, co_board *board)
{
    co_text t = { .bytes = NULL };
    const char *type = "application/json";
    if (route->method > CO_HEAD) return 0;
    switch (route->endpoint) {
    case CO_HTTP_HEALTH: answer_health(a, board, 0); return 1;
    case CO_HTTP_READY: answer_health(a, board, 1); return 1;
    case CO_HTTP_JOB:
    case CO_HTTP_IN_FLIGHT: answer_job(a, route, board); return 1;
    case CO_HTTP_METRICS:
        type = "text/plain; version=0.0.4; charset=utf-8";
        co_http_metrics(&t, board);
        break;
    case CO_HTTP_CLUSTER: co_api_cluster(&t, NULL, board); break;
    case CO_HTTP_HISTORY: write_history(&t, board); break;
    case CO_HTTP_WORKERS: write_workers(&t, board); break;
    case CO_HTTP_JOBS: write_jobs(&t, board); break;
    case CO_HTTP_LOG: write_log(&t, board, route->query.after); break;
    default: return 0;
    }
    co_answer_text(a, 200, type, &t);
    return 1;
}
