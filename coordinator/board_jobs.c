/* The board's jobs, and what is noted now and then: rates, samples for charts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/board_internal.h"

entry *co_board_entry(const co_board *b, uint64_t job)
{
    uint32_t low = 0, high = b->job_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (b->jobs[middle].j.status.id < job) low = middle + 1;
        else high = middle;
    }
    return low < b->job_count && b->jobs[low].j.status.id == job ? &b->jobs[low] : NULL;
}

/* ---- jobs ---- */

static void drop_view(entry *e)
{
    co_view_release(e->view);
    e->view = NULL;
    e->j.has_view = 0;
}

/* Pictures of jobs that are gone: the last few, and no more than so many bytes. */
static void drop_old_views(co_board *b)
{
    uint64_t bytes = 0;
    uint32_t views = 0;
    for (uint32_t i = b->job_count; i-- > 0;) {
        entry *e = &b->jobs[i];
        if (!e->gone_us || !e->view) continue;
        bytes += co_view_bytes(e->view);
        if (views++ && (bytes > CO_BOARD_VIEWS_BYTES || views > CO_BOARD_VIEWS_MOST)) drop_view(e);
    }
}

static void drop_old_jobs(co_board *b)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < b->job_count; i++) gone += b->jobs[i].gone_us != 0;
    for (uint32_t i = 0; i < b->job_count && gone > CO_BOARD_PAST_MOST;) {
        if (!b->jobs[i].gone_us) {
            i++;
            continue;
        }
        drop_view(&b->jobs[i]);
        memmove(&b->jobs[i], &b->jobs[i + 1], (--b->job_count - i) * sizeof b->jobs[0]);
        gone--;
    }
}

static entry *new_entry(co_board *b)
{
    if (b->job_count == b->job_capacity) {
        uint32_t capacity = b->job_capacity ? 2 * b->job_capacity : 16;
        entry *jobs = realloc(b->jobs, capacity * sizeof *jobs);
        if (!jobs) return NULL;
        b->jobs = jobs;
        b->job_capacity = capacity;
    }
    b->jobs[b->job_count] = (entry){ .j.first_tile_s = -1 };
    return &b->jobs[b->job_count++];
}

/* Whether there is something to tell; that time passes is not. */
static int differs(const co_board_job *a, const co_board_job *b)
{
    const co_job_status *s = &a->status, *t = &b->status;
    return s->state != t->state || s->samples_done != t->samples_done || s->tiles_done != t->tiles_done || s->tiles_redone != t->tiles_redone ||
           s->verified != t->verified || strcmp(a->name, b->name) != 0 || strcmp(a->text, b->text) != 0;
}

/* At every step, and at once when a job comes or ends: whoever has its picture reads that nothing is left of it. */
static void count_jobs(co_board *b)
{
    co_board_totals *t = &b->totals;
    t->jobs_queued = t->jobs_running = 0;
    t->tiles_queued = 0;
    for (uint32_t i = 0; i < b->job_count; i++) {
        const co_board_job *j = &b->jobs[i].j;
        if (b->jobs[i].gone_us || j->status.state >= CO_JOB_DONE) continue;
        t->jobs_queued += j->status.state == CO_JOB_QUEUED;
        t->jobs_running += j->status.state == CO_JOB_RUNNING;
        uint64_t left = j->status.tiles - j->status.tiles_done;
        t->tiles_queued += left > j->in_flight ? left - j->in_flight : 0;
    }
}

void co_board_put_job(co_board *b, const co_board_job *job, co_view *view)
{
    if (!b) return;
    co_board_enter(b);
    entry *e = co_board_entry(b, job->status.id);
    int fresh = !e;
    if (fresh) e = new_entry(b);
    if (e) {
        co_board_job old = e->j;
        int was = fresh ? CO_JOB_QUEUED : old.status.state;
        e->j = *job;
        e->j.in_flight = old.in_flight;
        e->j.first_tile_s = old.first_tile_s;
        e->j.samples_per_s = old.samples_per_s;
        if (!job->text[0]) memcpy(e->j.text, old.text, sizeof old.text);
        if (fresh) e->view = co_view_hold(view);
        e->j.has_view = e->view != NULL;
        e->j.changed = fresh || differs(&e->j, &old) ? ++b->tick : old.changed;
        if (was < CO_JOB_DONE && job->status.state >= CO_JOB_DONE) {
            co_board_release_job(b, job->status.id);
            b->totals.jobs_ended[job->status.state]++;
        }
        if (was != job->status.state || fresh) count_jobs(b);
    }
    co_board_leave(b);
}

void co_board_job_text(co_board *b, uint64_t job, const char *text)
{
    if (!b) return;
    co_board_enter(b);
    entry *e = co_board_entry(b, job);
    if (e) {
        (void)snprintf(e->j.text, sizeof e->j.text, "%s", text);
        e->j.changed = ++b->tick;
    }
    co_board_leave(b);
}

void co_board_job_gone(co_board *b, uint64_t job, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    entry *e = co_board_entry(b, job);
    if (e) {
        co_board_release_job(b, job);
        e->gone_us = now_us ? now_us : 1;
        e->j.changed = ++b->tick;
        drop_old_views(b);
        drop_old_jobs(b);
    }
    co_board_leave(b);
}

/* ---- now and then ---- */

int co_board_due(const co_board *b, uint64_t now_us) { return b && now_us - b->totals.stepped_us >= CO_BOARD_STEP_MS * UINT64_C(1000); }

/* Half of what is new, half of what was: changes show at once, and one quiet second is not the end. */
static double smooth(double before, uint64_t more, double passed_s) { return 0.5 * before + 0.5 * (double)more / passed_s; }

static void sample_rates(co_board *b, double passed_s)
{
    for (uint32_t i = 0; i < b->slot_count; i++) {
        slot *s = &b->slots[i];
        s->w.tiles_per_s = s->w.left_us ? 0 : smooth(s->w.tiles_per_s, s->w.tiles - s->before_tiles, passed_s);
        s->w.rays_per_s = s->w.left_us ? 0 : smooth(s->w.rays_per_s, s->w.rays - s->before_rays, passed_s);
        s->before_tiles = s->w.tiles;
        s->before_rays = s->w.rays;
    }
    for (uint32_t i = 0; i < b->job_count; i++) {
        entry *e = &b->jobs[i];
        uint64_t done = e->j.status.samples_done;
        if (e->j.status.state < CO_JOB_DONE) e->j.samples_per_s = smooth(e->j.samples_per_s, done > e->before_samples ? done - e->before_samples : 0, passed_s);
        e->before_samples = done;
    }
}

/* Once a second. */
static void sample(co_board *b, uint64_t now_us)
{
    const co_board_totals *t = &b->totals;
    uint64_t last_us = b->sample_count ? b->samples[(b->sample_count - 1) % CO_BOARD_SAMPLES].time_us : t->opened_us, redone = 0;
    if (b->sample_count && now_us - last_us < 1000000) return;
    if (now_us > last_us) sample_rates(b, 1e-6 * (double)(now_us - last_us));
    for (unsigned i = 0; i < CO_REDO_CAUSES; i++) redone += t->redone[i];
    b->samples[b->sample_count++ % CO_BOARD_SAMPLES] = (co_board_sample){
        .time_us = now_us, .tiles = t->tiles_done, .rays = t->rays, .samples = t->samples, .redone = redone, .busy_us = t->busy_us, .thread_us = b->thread_us,
        .bytes_in = t->bytes_in, .bytes_out = t->bytes_out, .tiles_queued = t->tiles_queued, .workers = t->workers, .threads = t->threads,
        .busy_threads = t->busy_threads, .in_flight = b->in_flight };
}

void co_board_step(co_board *b, const co_board_now *now, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    co_board_totals *t = &b->totals;
    b->thread_us += t->threads * (now_us - t->stepped_us);
    t->stepped_us = now_us;
    t->bytes_in = now->bytes_in;
    t->bytes_out = now->bytes_out;
    t->strangers = now->strangers;
    t->refused_versions = now->refused_versions;
    t->open_paths = now->open_paths;
    t->ready = now->ready;
    (void)snprintf(t->not_ready, sizeof t->not_ready, "%s", now->ready ? "" : now->not_ready);
    count_jobs(b);
    sample(b, now_us);
    if (b->totals.workers != b->slot_count) co_board_forget_the_gone(b, now_us);
    co_board_leave(b);
}

void co_board_desired(co_board *b, uint32_t workers, const char *reason)
{
    if (!b) return;
    co_board_enter(b);
    b->totals.has_desired = 1;
    b->totals.desired = workers;
    (void)snprintf(b->totals.desired_reason, sizeof b->totals.desired_reason, "%s", reason);
    co_board_leave(b);
}
