/* See coordinator/board.h. One lock for all of it; what takes long (encoding, sending) happens to copies. */
#include "coordinator/board.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/map.h"

#define NONE UINT32_MAX

const double co_tile_bucket_s[CO_TILE_BUCKETS - 1] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
};

typedef struct slot {
    co_board_worker w;
    uint32_t leases;     /* head of its list */
    uint64_t before_tiles, before_rays; /* at the last sample */
    uint8_t resting, draining;
} slot;

typedef struct entry {
    co_board_job j;
    co_view *view;
    uint64_t gone_us;    /* 0: the server still has it */
    uint64_t before_samples;
} entry;

struct co_board {
    pthread_mutex_t lock;
    uint64_t tick;
    double wall_offset_s;
    co_board_totals totals;
    co_board_sample samples[CO_BOARD_SAMPLES]; /* a ring */
    uint64_t sample_count, thread_us;
    slot *slots;         /* workers in the order they came; those long gone are taken out */
    uint32_t slot_count, slot_capacity;
    co_map slot_of;      /* by number */
    entry *jobs;         /* in the order of their ids, which only grow */
    uint32_t job_count, job_capacity;
    co_board_lease *leases; /* by the lower half of their id */
    uint32_t lease_capacity, in_flight;
    co_board_line *lines;   /* a ring: line id is at (id - 1) % CO_BOARD_LINES */
    uint64_t last_line;
};

static double wall_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t mono_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void enter(co_board *b) { (void)pthread_mutex_lock(&b->lock); }
static void leave(co_board *b) { (void)pthread_mutex_unlock(&b->lock); }

co_board *co_board_new(const char *version, const char *commit)
{
    co_board *b = calloc(1, sizeof *b);
    if (b) b->lines = calloc(CO_BOARD_LINES, sizeof *b->lines);
    if (!b || !b->lines || pthread_mutex_init(&b->lock, NULL)) {
        if (b) free(b->lines);
        free(b);
        return NULL;
    }
    b->wall_offset_s = wall_now_s() - 1e-6 * (double)mono_now_us();
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
    enter(b);
    (void)snprintf(b->totals.endpoint, sizeof b->totals.endpoint, "%s", endpoint);
    b->totals.epoch = epoch;
    b->totals.opened_us = b->totals.stepped_us = now_us;
    b->totals.ready = 1;
    b->totals.not_ready[0] = 0;
    leave(b);
}

/* ---- the log ---- */

void co_board_log(co_board *b, int level, const char *text)
{
    if (!b) return;
    enter(b);
    co_board_line *line = &b->lines[b->last_line % CO_BOARD_LINES];
    line->id = ++b->last_line;
    line->time_s = wall_now_s();
    line->level = level;
    (void)snprintf(line->text, sizeof line->text, "%s", text);
    leave(b);
}

uint32_t co_board_lines(co_board *b, uint64_t after, co_board_line *out, uint32_t most)
{
    uint32_t count = 0;
    enter(b);
    uint64_t first = b->last_line > CO_BOARD_LINES ? b->last_line - CO_BOARD_LINES : 0;
    for (uint64_t id = after > first ? after : first; id < b->last_line && count < most; id++) out[count++] = b->lines[id % CO_BOARD_LINES];
    leave(b);
    return count;
}

uint64_t co_board_last_line(co_board *b)
{
    enter(b);
    uint64_t last = b->last_line;
    leave(b);
    return last;
}

/* ---- workers ---- */

static slot *find(const co_board *b, uint32_t worker)
{
    int64_t place = co_map_get(&b->slot_of, worker);
    return place < 0 ? NULL : &b->slots[place];
}

/* What it is doing follows from what it has in hand, unless it rests or is about to leave. */
static void touch(co_board *b, slot *s)
{
    s->w.changed = ++b->tick;
    if (s->w.left_us) return;
    int state = s->draining ? CO_WORKER_DRAINING : s->resting ? CO_WORKER_RESTING : s->w.in_hand ? CO_WORKER_BUSY : CO_WORKER_IDLE;
    if (state == s->w.state) return;
    b->totals.workers_by_state[s->w.state]--;
    b->totals.workers_by_state[state]++;
    if (state > CO_WORKER_BUSY || s->w.state > CO_WORKER_BUSY) s->w.state_changed = b->tick; /* busy or not changes with every tile: that is a figure */
    s->w.state = state;
}

/* Takes out those that have been gone for long, or the first to have gone when they are many. The order of the rest stays; leases know their places anew. */
static void forget_the_gone(co_board *b, uint64_t now_us)
{
    uint32_t kept = 0, gone = 0;
    for (uint32_t i = 0; i < b->slot_count; i++) gone += b->slots[i].w.left_us != 0;
    for (uint32_t i = 0; i < b->slot_count; i++) {
        const slot *s = &b->slots[i];
        if (s->w.left_us && (now_us - s->w.left_us > CO_BOARD_GONE_MS * UINT64_C(1000) || gone > CO_BOARD_GONE_MOST)) {
            gone--;
            b->totals.workers_by_state[s->w.state]--;
            co_map_remove(&b->slot_of, s->w.id);
            continue;
        }
        if (kept != i) {
            b->slots[kept] = *s;
            (void)co_map_put(&b->slot_of, s->w.id, kept);
            for (uint32_t l = s->leases; l != NONE; l = b->leases[l].next) b->leases[l].slot = kept;
        }
        kept++;
    }
    b->slot_count = kept;
}

static slot *new_slot(co_board *b)
{
    if (b->slot_count == b->slot_capacity) {
        uint32_t capacity = b->slot_capacity ? 2 * b->slot_capacity : 64;
        slot *slots = realloc(b->slots, capacity * sizeof *slots);
        if (!slots) return NULL;
        b->slots = slots;
        b->slot_capacity = capacity;
    }
    return &b->slots[b->slot_count];
}

void co_board_joined(co_board *b, uint32_t worker, const wire_hello *hello, uint64_t now_us)
{
    if (!b) return;
    enter(b);
    slot *s = find(b, worker) ? NULL : new_slot(b);
    if (s && !co_map_put(&b->slot_of, worker, b->slot_count)) {
        b->slot_count++;
        *s = (slot){ .w = { .id = worker, .threads = hello->threads, .joined_us = now_us }, .leases = NONE };
        (void)snprintf(s->w.name, sizeof s->w.name, "%s", hello->name);
        (void)snprintf(s->w.host, sizeof s->w.host, "%s", hello->host);
        (void)snprintf(s->w.kernel, sizeof s->w.kernel, "%s", hello->kernel);
        b->totals.workers_by_state[CO_WORKER_IDLE]++;
        b->totals.workers++;
        b->totals.threads += hello->threads;
        b->totals.joined++;
        touch(b, s);
        s->w.state_changed = s->w.changed;
    }
    leave(b);
}

void co_board_state(co_board *b, uint32_t worker, int state)
{
    if (!b) return;
    enter(b);
    slot *s = find(b, worker);
    if (s) {
        s->resting = state == CO_WORKER_RESTING;
        s->draining |= state == CO_WORKER_DRAINING;
        touch(b, s);
    }
    leave(b);
}

void co_board_rtt(co_board *b, uint32_t worker, uint32_t rtt_us)
{
    if (!b || !rtt_us) return;
    enter(b);
    slot *s = find(b, worker);
    if (s) s->w.rtt_us = rtt_us;
    leave(b);
}

void co_board_redone(co_board *b, int cause, uint32_t worker, uint32_t count)
{
    if (!b || !count) return;
    enter(b);
    slot *s = find(b, worker);
    if (s) s->w.redone += count;
    b->totals.redone[cause] += count;
    leave(b);
}

/* ---- work ---- */

static entry *find_job(const co_board *b, uint64_t job)
{
    uint32_t low = 0, high = b->job_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (b->jobs[middle].j.status.id < job) low = middle + 1;
        else high = middle;
    }
    return low < b->job_count && b->jobs[low].j.status.id == job ? &b->jobs[low] : NULL;
}

static void unlink_lease(co_board *b, co_board_lease *l)
{
    slot *s = &b->slots[l->slot];
    if (l->prev != NONE) b->leases[l->prev].next = l->next;
    else s->leases = l->next;
    if (l->next != NONE) b->leases[l->next].prev = l->prev;
    s->w.in_hand--;
    if (s->w.in_hand < s->w.threads) b->totals.busy_threads--;
    entry *e = find_job(b, l->job);
    if (e && e->j.in_flight) e->j.in_flight--;
    b->in_flight--;
    l->id = 0;
    touch(b, s);
}

static co_board_lease *lease_at(co_board *b, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    return place < b->lease_capacity && b->leases[place].id == id ? &b->leases[place] : NULL;
}

/* The scheduler's pool is dense: places are no more than what is out at once. */
static co_board_lease *place_for(co_board *b, uint64_t id)
{
    uint32_t place = (uint32_t)id, capacity = b->lease_capacity ? b->lease_capacity : 1024;
    while (capacity <= place && capacity < CO_BOARD_LEASES_MOST) capacity *= 2;
    if (place >= capacity) return NULL;
    if (capacity > b->lease_capacity) {
        co_board_lease *leases = realloc(b->leases, capacity * sizeof *leases);
        if (!leases) return NULL;
        memset(leases + b->lease_capacity, 0, (capacity - b->lease_capacity) * sizeof *leases);
        b->leases = leases;
        b->lease_capacity = capacity;
    }
    if (b->leases[place].id) unlink_lease(b, &b->leases[place]);
    return &b->leases[place];
}

void co_board_assigned(co_board *b, const co_board_lease *lease, uint64_t now_us)
{
    if (!b) return;
    enter(b);
    slot *s = find(b, lease->worker);
    co_board_lease *l = s && !s->w.left_us ? place_for(b, lease->id) : NULL;
    if (l) {
        *l = *lease;
        l->since_us = now_us;
        l->slot = (uint32_t)(s - b->slots);
        l->prev = NONE;
        l->next = s->leases;
        if (s->leases != NONE) b->leases[s->leases].prev = (uint32_t)l->id;
        s->leases = (uint32_t)l->id;
        if (s->w.in_hand < s->w.threads) b->totals.busy_threads++;
        s->w.in_hand++;
        b->in_flight++;
        entry *e = find_job(b, l->job);
        if (e) e->j.in_flight++;
        touch(b, s);
    }
    leave(b);
}

void co_board_released(co_board *b, uint64_t lease)
{
    if (!b) return;
    enter(b);
    co_board_lease *l = lease_at(b, lease);
    if (l) unlink_lease(b, l);
    leave(b);
}

static void count_result(co_board *b, slot *s, const co_board_result *r, uint64_t now_us)
{
    co_board_totals *t = &b->totals;
    entry *e = find_job(b, r->job);
    unsigned bucket = 0;
    while (bucket < CO_TILE_BUCKETS - 1 && (double)r->micros > 1e6 * co_tile_bucket_s[bucket]) bucket++;
    t->tile_bucket[bucket]++;
    t->tiles_done += r->whole != 0;
    t->rays += r->rays;
    t->samples += r->samples;
    t->result_bytes += r->bytes;
    t->busy_us += r->micros;
    if (e && e->j.first_tile_s < 0) e->j.first_tile_s = 1e-6 * (double)(now_us - e->j.submitted_us);
    if (!s) return;
    s->w.tiles++;
    s->w.rays += r->rays;
    s->w.samples += r->samples;
    s->w.busy_us += r->micros;
    s->w.changed = ++b->tick;
}

void co_board_result_in(co_board *b, const co_board_result *r, uint64_t now_us)
{
    if (!b) return;
    enter(b);
    co_board_lease *l = lease_at(b, r->lease);
    if (l) unlink_lease(b, l);
    if (r->counted) count_result(b, find(b, r->worker), r, now_us);
    else b->totals.late_results++;
    leave(b);
}

void co_board_left(co_board *b, uint32_t worker, int state, uint32_t given_back, uint64_t now_us)
{
    if (!b) return;
    enter(b);
    slot *s = find(b, worker);
    if (s && !s->w.left_us) {
        while (s->leases != NONE) unlink_lease(b, &b->leases[s->leases]);
        b->totals.workers_by_state[s->w.state]--;
        b->totals.workers_by_state[state]++;
        b->totals.gone[state]++;
        b->totals.workers--;
        b->totals.threads -= s->w.threads;
        s->w.state = state;
        s->w.left_us = now_us;
        s->w.redone += given_back;
        s->w.changed = s->w.state_changed = ++b->tick;
    }
    b->totals.redone[state == CO_WORKER_LOST ? CO_REDO_LOST : state == CO_WORKER_REFUSED ? CO_REDO_DISTRUSTED : CO_REDO_LEFT] += given_back;
    leave(b);
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

/* Leases of a job that has ended: the workers are told to forget them. */
static void release_job(co_board *b, uint64_t job)
{
    for (uint32_t i = 0; i < b->lease_capacity && b->in_flight; i++)
        if (b->leases[i].id && b->leases[i].job == job) unlink_lease(b, &b->leases[i]);
}

/* Whether there is something to tell; that time passes is not. */
static int differs(const co_board_job *a, const co_board_job *b)
{
    const co_job_status *s = &a->status, *t = &b->status;
    return s->state != t->state || s->samples_done != t->samples_done || s->tiles_done != t->tiles_done || s->tiles_redone != t->tiles_redone ||
           s->verified != t->verified || strcmp(a->name, b->name) != 0 || strcmp(a->text, b->text) != 0;
}

void co_board_put_job(co_board *b, const co_board_job *job, co_view *view)
{
    if (!b) return;
    enter(b);
    entry *e = find_job(b, job->status.id);
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
            release_job(b, job->status.id);
            b->totals.jobs_ended[job->status.state]++;
        }
    }
    leave(b);
}

void co_board_job_text(co_board *b, uint64_t job, const char *text)
{
    if (!b) return;
    enter(b);
    entry *e = find_job(b, job);
    if (e) {
        (void)snprintf(e->j.text, sizeof e->j.text, "%s", text);
        e->j.changed = ++b->tick;
    }
    leave(b);
}

void co_board_job_gone(co_board *b, uint64_t job, uint64_t now_us)
{
    if (!b) return;
    enter(b);
    entry *e = find_job(b, job);
    if (e) {
        release_job(b, job);
        e->gone_us = now_us ? now_us : 1;
        e->j.changed = ++b->tick;
        drop_old_views(b);
        drop_old_jobs(b);
    }
    leave(b);
}

/* ---- now and then ---- */

int co_board_due(const co_board *b, uint64_t now_us) { return b && now_us - b->totals.stepped_us >= CO_BOARD_STEP_MS * UINT64_C(1000); }

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
    enter(b);
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
    if (b->totals.workers != b->slot_count) forget_the_gone(b, now_us);
    leave(b);
}

void co_board_desired(co_board *b, uint32_t workers, const char *reason)
{
    if (!b) return;
    enter(b);
    b->totals.has_desired = 1;
    b->totals.desired = workers;
    (void)snprintf(b->totals.desired_reason, sizeof b->totals.desired_reason, "%s", reason);
    leave(b);
}

/* ---- readers ---- */

void co_board_totals_now(co_board *b, co_board_totals *out)
{
    enter(b);
    *out = b->totals;
    out->in_flight = b->in_flight;
    leave(b);
}

uint32_t co_board_samples(co_board *b, co_board_sample *out, uint32_t most)
{
    enter(b);
    uint64_t count = b->sample_count < CO_BOARD_SAMPLES ? b->sample_count : CO_BOARD_SAMPLES;
    if (count > most) count = most;
    for (uint64_t i = 0; i < count; i++) out[i] = b->samples[(b->sample_count - count + i) % CO_BOARD_SAMPLES];
    leave(b);
    return (uint32_t)count;
}

co_board_worker *co_board_workers(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick)
{
    enter(b);
    uint32_t n = 0;
    co_board_worker *workers = b->slot_count ? malloc(b->slot_count * sizeof *workers) : NULL;
    for (uint32_t i = 0; workers && i < b->slot_count; i++)
        if (b->slots[i].w.changed > after) workers[n++] = b->slots[i].w;
    if (tick) *tick = b->tick;
    leave(b);
    *count = n;
    return workers;
}

co_board_job *co_board_jobs(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick)
{
    enter(b);
    uint32_t n = 0;
    co_board_job *jobs = b->job_count ? malloc(b->job_count * sizeof *jobs) : NULL;
    for (uint32_t i = 0; jobs && i < b->job_count; i++)
        if (b->jobs[i].j.changed > after) jobs[n++] = b->jobs[i].j;
    if (tick) *tick = b->tick;
    leave(b);
    *count = n;
    return jobs;
}

int co_board_job_now(co_board *b, uint64_t job, co_board_job *out, co_view **view)
{
    enter(b);
    const entry *e = find_job(b, job);
    if (e) *out = e->j;
    if (view) *view = e ? co_view_hold(e->view) : NULL;
    leave(b);
    return e != NULL;
}

uint32_t co_board_leases(co_board *b, co_board_lease **leases, uint32_t *capacity)
{
    enter(b);
    uint32_t count = b->lease_capacity;
    if (count > *capacity) {
        co_board_lease *more = realloc(*leases, count * sizeof *more);
        if (more) *leases = more;
        if (more) *capacity = count;
        else count = 0;
    }
    if (count) memcpy(*leases, b->leases, count * sizeof **leases);
    leave(b);
    return count;
}
