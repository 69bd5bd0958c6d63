/* See coordinator/board.h. One lock for all of it; what takes long (encoding, sending) happens to copies. */
#include "coordinator/board_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/clock.h"

const double co_tile_bucket_s[CO_TILE_BUCKETS - 1] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
};

co_board *co_board_new(const char *version, const char *commit)
{
    co_board *b = calloc(1, sizeof *b);
    if (b) b->lines = calloc(CO_BOARD_LINES, sizeof *b->lines);
    if (!b || !b->lines || pthread_mutex_init(&b->lock, NULL)) {
        if (b) free(b->lines);
        free(b);
        return NULL;
    }
    b->wall_offset_s = co_wall_s() - 1e-6 * (double)co_now_us();
    b->totals = (co_board_totals){ .version = version, .commit = commit, .not_ready = "the coordinator is starting" };
    return b;
}

void co_board_free(co_board *b)
{
    if (!b) return;
    for (uint32_t i = 0; i < b->job_count; i++) co_view_release(b->jobs[i].view);
    (void)pthread_mutex_destroy(&b->lock);
    co_map_free(&b->slot_of);
    free(b->slots);
    free(b->jobs);
    free(b->leases);
    free(b->lines);
    free(b);
}

double co_board_wall_s(const co_board *b, uint64_t mono_us) { return mono_us ? b->wall_offset_s + 1e-6 * (double)mono_us : 0; }

void co_board_opened(co_board *b, const char *endpoint, uint64_t epoch, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    (void)snprintf(b->totals.endpoint, sizeof b->totals.endpoint, "%s", endpoint);
    b->totals.epoch = epoch;
    b->totals.opened_us = b->totals.stepped_us = now_us;
    b->totals.ready = 1;
    b->totals.not_ready[0] = 0;
    co_board_leave(b);
}

/* ---- the log ---- */

void co_board_log(co_board *b, int level, const char *text)
{
    if (!b) return;
    co_board_enter(b);
    co_board_line *line = &b->lines[b->last_line % CO_BOARD_LINES];
    line->id = ++b->last_line;
    line->time_s = co_wall_s();
    line->level = level;
    (void)snprintf(line->text, sizeof line->text, "%s", text);
    co_board_leave(b);
}

uint32_t co_board_lines(co_board *b, uint64_t after, co_board_line *out, uint32_t most)
{
    uint32_t count = 0;
    co_board_enter(b);
    uint64_t first = b->last_line > CO_BOARD_LINES ? b->last_line - CO_BOARD_LINES : 0;
    for (uint64_t id = after > first ? after : first; id < b->last_line && count < most; id++) out[count++] = b->lines[id % CO_BOARD_LINES];
    co_board_leave(b);
    return count;
}

uint64_t co_board_last_line(co_board *b)
{
    co_board_enter(b);
    uint64_t last = b->last_line;
    co_board_leave(b);
    return last;
}

/* ---- readers ---- */

void co_board_totals_now(co_board *b, co_board_totals *out)
{
    co_board_enter(b);
    *out = b->totals;
    out->in_flight = b->in_flight;
    co_board_leave(b);
}

uint32_t co_board_samples(co_board *b, co_board_sample *out, uint32_t most)
{
    co_board_enter(b);
    uint64_t count = b->sample_count < CO_BOARD_SAMPLES ? b->sample_count : CO_BOARD_SAMPLES;
    if (count > most) count = most;
    for (uint64_t i = 0; i < count; i++) out[i] = b->samples[(b->sample_count - count + i) % CO_BOARD_SAMPLES];
    co_board_leave(b);
    return (uint32_t)count;
}

co_board_worker *co_board_workers(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick)
{
    co_board_enter(b);
    uint32_t n = 0;
    co_board_worker *workers = b->slot_count ? malloc(b->slot_count * sizeof *workers) : NULL;
    for (uint32_t i = 0; workers && i < b->slot_count; i++)
        if (b->slots[i].w.changed > after) workers[n++] = b->slots[i].w;
    if (tick) *tick = b->tick;
    co_board_leave(b);
    *count = n;
    return workers;
}

co_board_job *co_board_jobs(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick)
{
    co_board_enter(b);
    uint32_t n = 0;
    co_board_job *jobs = b->job_count ? malloc(b->job_count * sizeof *jobs) : NULL;
    for (uint32_t i = 0; jobs && i < b->job_count; i++)
        if (b->jobs[i].j.changed > after) jobs[n++] = b->jobs[i].j;
    if (tick) *tick = b->tick;
    co_board_leave(b);
    *count = n;
    return jobs;
}

int co_board_job_now(co_board *b, uint64_t job, co_board_job *out, co_view **view)
{
    co_board_enter(b);
    const entry *e = co_board_entry(b, job);
    if (e) *out = e->j;
    if (view) *view = e ? co_view_hold(e->view) : NULL;
    co_board_leave(b);
    return e != NULL;
}

uint32_t co_board_leases(co_board *b, co_board_lease **leases, uint32_t *capacity)
{
    co_board_enter(b);
    uint32_t count = b->lease_capacity;
    if (count > *capacity) {
        co_board_lease *more = realloc(*leases, count * sizeof *more);
        if (more) *leases = more;
        if (more) *capacity = count;
        else count = 0;
    }
    if (count) memcpy(*leases, b->leases, count * sizeof **leases);
    co_board_leave(b);
    return count;
}
