/* Server-sent events (WHATWG HTML, 9.2). One thread, the pulse, looks at the board ten times a second while somebody listens, writes what has changed as a few events, and
 * keeps the last of them in a ring. Each stream copies from the ring at its own pace. One that comes back names the last event that it
 * has had and goes on behind it; one that has fallen out of the ring gets a snapshot of everything instead. So nobody waits for anybody, and what
 * a stream costs does not depend on how many tiles there are: what happened and passed between two pulses is never told. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/clock.h"
#include "coordinator/http_internal.h"

typedef struct event {
    char *text;
    size_t length;
} event;

struct co_events {
    co_board *board;
    pthread_t thread;
    int running;
    pthread_mutex_t lock;   /* of all that follows */
    pthread_cond_t changed;
    uint32_t name;          /* of this life's events: Last-Event-ID of a former one means nothing */
    event ring[CO_HTTP_EVENTS]; /* event id is at id % CO_HTTP_EVENTS */
    uint64_t first, next;   /* ids kept: first .. next - 1 */
    size_t bytes;           /* of those */
    unsigned streams;
    uint64_t listened_us;   /* when somebody last did */
    int closing;
    /* What has been told: the pulse's own, but for the leases, which a snapshot needs. */
    int gathering;          /* the rest is as of the last pulse */
    uint64_t workers_tick, jobs_tick, jobs_all_tick, last_line;
    uint64_t numbers_us, jobs_us, cluster_us;
    uint32_t numbers_after; /* the worker whose figures were told last */
    co_board_lease *told, *now;
    uint32_t told_count, told_capacity, now_capacity;
};

struct co_stream {
    co_events *events;
    uint64_t next;          /* the event that it has not begun yet */
    co_text own;            /* a snapshot, or the event that is being copied */
    size_t at;
};

/* ---- the ring ---- */

static void drop_first(co_events *e)
{
    event *gone = &e->ring[e->first++ % CO_HTTP_EVENTS];
    e->bytes -= gone->length;
    free(gone->text);
    gone->text = NULL;
}

/* Puts `data` into the ring as an event of that kind, and frees it. */
static void tell(co_events *e, const char *kind, co_text *data)
{
    co_text t = { .bytes = NULL };
    if (co_text_ok(data) && data->length) co_text_format(&t, "id: %08x-%llu\nevent: %s\ndata: %s\n\n", e->name, (unsigned long long)e->next, kind, data->bytes);
    size_t length = t.length;
    char *text = co_text_take(&t);
    co_text_free(data);
    if (!text) return;
    if (e->next - e->first == CO_HTTP_EVENTS) drop_first(e);
    e->ring[e->next++ % CO_HTTP_EVENTS] = (event){ text, length };
    e->bytes += length;
    while (e->bytes > CO_HTTP_EVENTS_BYTES && e->next - e->first > 1) drop_first(e);
}

/* ---- what has changed ---- */

static void gather_lines(co_events *e)
{
    co_board_line lines[16];
    uint32_t count;
    while ((count = co_board_lines(e->board, e->last_line, lines, 16)))
        for (uint32_t i = 0; i < count; i++) {
            co_text t = { .bytes = NULL };
            co_api_line(&t, &lines[i]);
            tell(e, "log", &t);
            e->last_line = lines[i].id;
        }
}

/* Those that came, left or do something else now, whole; and once a second the figures of the others, so many at a time, in turn. */
static void gather_workers(co_events *e, uint64_t now_us)
{
    uint32_t count, told = 0;
    int numbers = now_us - e->numbers_us >= CO_HTTP_NUMBERS_MS * UINT64_C(1000);
    uint64_t tick;
    co_board_worker *workers = co_board_workers(e->board, numbers ? 0 : e->workers_tick, &count, &tick);
    co_text t = { .bytes = NULL };
    co_json_open(&t, NULL, '[');
    uint32_t start = 0;
    while (start < count && workers[start].id <= e->numbers_after) start++;
    for (uint32_t i = 0; i < count; i++) {
        const co_board_worker *w = &workers[(start + i) % count];
        int came = w->state_changed > e->workers_tick;
        if (came) co_api_worker(&t, e->board, w, 1);
        else if (numbers && !w->left_us && told < CO_HTTP_WORKERS_TOLD) {
            co_api_worker(&t, e->board, w, 0);
            e->numbers_after = w->id;
            told++;
        }
    }
    int any = t.comma;
    co_json_close(&t, ']');
    if (numbers) e->numbers_us = now_us;
    if (numbers && told < CO_HTTP_WORKERS_TOLD) e->numbers_after = 0;
    e->workers_tick = tick;
    free(workers);
    if (any) tell(e, "workers", &t);
    else co_text_free(&t);
}

/* A job that is new or has ended at once, one that goes on now and then. */
static void gather_jobs(co_events *e, uint64_t now_us)
{
    uint32_t count;
    int all = now_us - e->jobs_us >= CO_HTTP_JOB_MS * UINT64_C(1000);
    uint64_t tick;
    co_board_job *jobs = co_board_jobs(e->board, e->jobs_all_tick, &count, &tick);
    for (uint32_t i = 0; i < count; i++) {
        int going = jobs[i].status.state == CO_JOB_RUNNING;
        if (!all && (going || jobs[i].changed <= e->jobs_tick)) continue;
        co_text t = { .bytes = NULL };
        co_api_job(&t, e->board, &jobs[i]);
        tell(e, "job", &t);
    }
    free(jobs);
    e->jobs_tick = tick;
    if (!all) return;
    e->jobs_all_tick = tick;
    e->jobs_us = now_us;
}

static void gather_cluster(co_events *e, uint64_t now_us)
{
    co_text t = { .bytes = NULL };
    if (now_us - e->cluster_us < UINT64_C(1000000)) return;
    e->cluster_us = now_us;
    co_api_cluster(&t, NULL, e->board);
    tell(e, "cluster", &t);
}

static void write_rectangle(co_text *t, uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    co_json_open(t, NULL, '[');
    co_json_uint(t, NULL, x);
    co_json_uint(t, NULL, y);
    co_json_uint(t, NULL, width);
    co_json_uint(t, NULL, height);
    co_json_close(t, ']');
}

/* Cells to rectangles: the longest run of the topmost row, and as many rows below as have it whole. */
static void write_changes(co_text *t, co_view_changes *c, const mr_film *film)
{
    for (unsigned row = 0; row < CO_VIEW_CELLS; row++)
        while (c->rows[row]) {
            unsigned left = (unsigned)__builtin_ctzll(c->rows[row]), bottom = row;
            uint64_t rest = c->rows[row] >> left;
            unsigned length = ~rest ? (unsigned)__builtin_ctzll(~rest) : CO_VIEW_CELLS - left;
            uint64_t run = (UINT64_MAX >> (CO_VIEW_CELLS - length)) << left;
            for (; bottom < CO_VIEW_CELLS && (c->rows[bottom] & run) == run; bottom++) c->rows[bottom] &= ~run;
            uint32_t x = left * c->cell, y = row * c->cell, width = length * c->cell, height = (bottom - row) * c->cell;
            write_rectangle(t, x, y, film->width - x < width ? film->width - x : width, film->height - y < height ? film->height - y : height);
        }
}

static void write_assigned(co_text *t, const co_board_lease *l)
{
    co_json_open(t, NULL, '[');
    co_json_uint(t, NULL, (uint32_t)l->id);
    co_json_uint(t, NULL, l->x);
    co_json_uint(t, NULL, l->y);
    co_json_uint(t, NULL, l->width);
    co_json_uint(t, NULL, l->height);
    co_json_uint(t, NULL, l->worker);
    co_json_close(t, ']');
}

/* What was given out and what came back since the last pulse, of one job. Returns whether there is anything. */
static int write_leases(co_text *t, const co_events *e, uint32_t now_count, uint64_t job)
{
    int any = 0;
    co_json_open(t, "assigned", '[');
    for (uint32_t i = 0; i < now_count; i++)
        if (e->now[i].id && e->now[i].job == job && (i >= e->told_count || e->told[i].id != e->now[i].id)) {
            write_assigned(t, &e->now[i]);
            any = 1;
        }
    co_json_close(t, ']');
    co_json_open(t, "ended", '[');
    for (uint32_t i = 0; i < e->told_count; i++)
        if (e->told[i].id && e->told[i].job == job && (i >= now_count || e->now[i].id != e->told[i].id)) {
            co_json_uint(t, NULL, i);
            any = 1;
        }
    co_json_close(t, ']');
    return any;
}

static void gather_tiles_of(co_events *e, uint64_t job, uint32_t now_count)
{
    co_view *view = NULL;
    co_board_job j;
    co_view_changes changes = { .cell = 0 };
    co_text t = { .bytes = NULL };
    if (!co_board_job_now(e->board, job, &j, &view)) return;
    if (view) co_view_take_changes(view, &changes);
    co_json_open(&t, NULL, '{');
    co_json_uint(&t, "job", job);
    co_json_open(&t, "changed", '[');
    if (view) write_changes(&t, &changes, co_view_film(view));
    int any = t.comma;
    co_json_close(&t, ']');
    any |= write_leases(&t, e, now_count, job);
    co_json_close(&t, '}');
    co_view_release(view);
    if (any) tell(e, "tiles", &t);
    else co_text_free(&t);
}

static void gather_tiles(co_events *e)
{
    uint32_t count, leases = co_board_leases(e->board, &e->now, &e->now_capacity);
    co_board_job *jobs = co_board_jobs(e->board, 0, &count, NULL);
    for (uint32_t i = 0; i < count; i++) { /* a state may be some tenths of a second old: a job that still waits by it may have work in hand */
        int waits = jobs[i].status.state == CO_JOB_QUEUED && !jobs[i].in_flight;
        if (!waits && (jobs[i].has_view || jobs[i].status.state <= CO_JOB_RUNNING)) gather_tiles_of(e, jobs[i].status.id, leases);
    }
    free(jobs);
    co_board_lease *told = e->told;
    uint32_t capacity = e->told_capacity;
    e->told = e->now;
    e->told_capacity = e->now_capacity;
    e->told_count = leases;
    e->now = told;
    e->now_capacity = capacity;
}

/* From nothing, when somebody listens again: the past is not told, and nobody can go on behind it. */
static void begin_gathering(co_events *e)
{
    uint32_t count;
    while (e->first < e->next) drop_first(e);
    free(co_board_workers(e->board, 0, &count, &e->workers_tick));
    e->jobs_tick = e->jobs_all_tick = e->workers_tick;
    e->last_line = co_board_last_line(e->board);
    e->told_count = co_board_leases(e->board, &e->told, &e->told_capacity);
    e->numbers_after = 0;
    e->gathering = 1;
}

static void pulse(co_events *e)
{
    uint64_t now_us = co_now_us(), before = e->next;
    if (!e->streams && now_us - e->listened_us > CO_HTTP_QUIET_MS * UINT64_C(1000)) e->gathering = 0;
    if (!e->gathering) return;
    gather_lines(e);
    gather_tiles(e);
    gather_workers(e, now_us);
    gather_jobs(e, now_us);
    gather_cluster(e, now_us);
    if (e->next != before) (void)pthread_cond_broadcast(&e->changed);
}

/* Waits for something to change, at most so long. */
static void wait_for(co_events *e, uint32_t ms)
{
    const struct timespec until = co_after_ms(CLOCK_MONOTONIC, ms);
    (void)pthread_cond_timedwait(&e->changed, &e->lock, &until);
}

static void *pulse_thread(void *user)
{
    co_events *e = user;
    (void)pthread_mutex_lock(&e->lock);
    while (!e->closing) {
        pulse(e);
        (void)pthread_mutex_unlock(&e->lock);
        (void)nanosleep(&(struct timespec){ .tv_nsec = CO_HTTP_PULSE_MS * 1000000L }, NULL);
        (void)pthread_mutex_lock(&e->lock);
        while (!e->closing && !e->gathering) (void)pthread_cond_wait(&e->changed, &e->lock);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

static int start(co_events *e)
{
    pthread_condattr_t how;
    if (pthread_mutex_init(&e->lock, NULL) || pthread_condattr_init(&how)) return -1;
    int failed = pthread_condattr_setclock(&how, CLOCK_MONOTONIC) || pthread_cond_init(&e->changed, &how);
    (void)pthread_condattr_destroy(&how);
    failed = failed || pthread_create(&e->thread, NULL, pulse_thread, e);
    e->running = !failed;
    return failed ? -1 : 0;
}

int co_events_open(co_events **out, co_board *board)
{
    co_events *e = calloc(1, sizeof *e);
    if (!e) return -1;
    e->board = board;
    e->name = randombytes_random();
    e->first = e->next = 1;
    if (start(e)) {
        free(e);
        return -1;
    }
    *out = e;
    return 0;
}

void co_events_stop(co_events *e)
{
    if (!e) return;
    (void)pthread_mutex_lock(&e->lock);
    e->closing = 1;
    (void)pthread_cond_broadcast(&e->changed);
    (void)pthread_mutex_unlock(&e->lock);
    if (e->running) (void)pthread_join(e->thread, NULL);
    e->running = 0;
}

void co_events_free(co_events *e)
{
    if (!e) return;
    while (e->first < e->next) drop_first(e);
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_cond_destroy(&e->changed);
    free(e->told);
    free(e->now);
    free(e);
}

/* ---- streams ---- */

static void snapshot_jobs(co_text *t, co_events *e)
{
    uint32_t count;
    co_board_job *jobs = co_board_jobs(e->board, 0, &count, NULL);
    for (uint32_t i = 0; i < count; i++) {
        co_text_add(t, "event: job\ndata: ", 17);
        t->comma = 0;
        co_api_job(t, e->board, &jobs[i]);
        co_text_add(t, "\n\n", 2);
    }
    free(jobs);
}

static void snapshot_workers(co_text *t, co_events *e)
{
    uint32_t count;
    co_board_worker *workers = co_board_workers(e->board, 0, &count, NULL);
    co_text_add(t, "event: workers\ndata: ", 21);
    t->comma = 0;
    co_json_open(t, NULL, '[');
    for (uint32_t i = 0; i < count; i++) co_api_worker(t, e->board, &workers[i], 1);
    co_json_close(t, ']');
    co_text_add(t, "\n\n", 2);
    free(workers);
}

/* As the pulse has told it: what follows in the ring builds on that. */
static void snapshot_tiles(co_text *t, const co_events *e)
{
    uint32_t i = 0;
    while (i < e->told_count) {
        while (i < e->told_count && !e->told[i].id) i++;
        if (i == e->told_count) return;
        uint64_t job = e->told[i].job;
        int seen = 0;
        for (uint32_t k = 0; k < i && !seen; k++) seen = e->told[k].id && e->told[k].job == job;
        if (!seen) {
            co_text_format(t, "event: tiles\ndata: {\"job\":%llu,\"changed\":[],\"assigned\":[", (unsigned long long)job);
            t->comma = 0;
            for (uint32_t k = i; k < e->told_count; k++)
                if (e->told[k].id && e->told[k].job == job) write_assigned(t, &e->told[k]);
            co_text_add(t, "],\"ended\":[]}\n\n", 15);
        }
        i++;
    }
}

/* Everything, as it is now; with the lock held. */
static void snapshot(co_stream *stream)
{
    co_events *e = stream->events;
    co_text *t = &stream->own;
    co_text_clear(t);
    stream->at = 0;
    stream->next = e->next;
    co_text_format(t, "id: %08x-%llu\nevent: hello\ndata: {\"resumed\":false,\"last_line\":%llu,\"cluster\":", e->name, (unsigned long long)(e->next - 1),
                   (unsigned long long)e->last_line);
    t->comma = 0;
    co_api_cluster(t, NULL, e->board);
    co_text_add(t, "}\n\n", 3);
    snapshot_workers(t, e);
    snapshot_jobs(t, e);
    snapshot_tiles(t, e);
}

static void resume(co_stream *stream, uint64_t last)
{
    stream->next = last + 1;
    co_text_format(&stream->own, "event: hello\ndata: {\"resumed\":true,\"last_line\":%llu,\"cluster\":", (unsigned long long)stream->events->last_line);
    co_api_cluster(&stream->own, NULL, stream->events->board);
    co_text_add(&stream->own, "}\n\n", 3);
}

co_stream *co_stream_open(co_events *e, const char *last_event_id)
{
    uint64_t last;
    co_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    stream->events = e;
    (void)pthread_mutex_lock(&e->lock);
    int good = !e->closing && e->streams < CO_HTTP_STREAMS;
    if (good) {
        e->streams++;
        e->listened_us = co_now_us();
        if (!e->gathering) begin_gathering(e);
        co_text_add(&stream->own, "retry: 1000\n\n", 13);
        if (last_event_id && co_http_event_of(last_event_id, e->name, &last) && last + 1 >= e->first && last < e->next) resume(stream, last);
        else snapshot(stream);
        (void)pthread_cond_broadcast(&e->changed); /* the pulse may sleep */
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (good) return stream;
    free(stream);
    return NULL;
}

/* The next event becomes the stream's own, so that it outlives the ring. With the lock held. */
static void fetch(co_stream *stream)
{
    co_events *e = stream->events;
    co_text_clear(&stream->own);
    stream->at = 0;
    if (stream->next < e->first) {
        snapshot(stream);
        return;
    }
    while (stream->next < e->next && stream->own.length < CO_HTTP_HEAD_BYTES) {
        const event *next = &e->ring[stream->next++ % CO_HTTP_EVENTS];
        co_text_add(&stream->own, next->text, next->length);
    }
    if (!stream->own.length && co_text_ok(&stream->own)) co_text_add(&stream->own, ":\n\n", 3);
}

long co_stream_read(co_stream *stream, char *bytes, size_t size)
{
    co_events *e = stream->events;
    (void)pthread_mutex_lock(&e->lock);
    e->listened_us = co_now_us();
    if (stream->at == stream->own.length) {
        uint64_t until_us = co_now_us() + CO_HTTP_BEAT_MS * UINT64_C(1000);
        while (!e->closing && stream->next == e->next && co_now_us() < until_us) wait_for(e, CO_HTTP_BEAT_MS);
        if (!e->closing) fetch(stream);
    }
    int ended = e->closing || !co_text_ok(&stream->own);
    (void)pthread_mutex_unlock(&e->lock);
    if (ended) return -1;
    size_t left = stream->own.length - stream->at, count = left < size ? left : size;
    memcpy(bytes, stream->own.bytes + stream->at, count);
    stream->at += count;
    return (long)count;
}

void co_stream_close(co_stream *stream)
{
    co_events *e = stream->events;
    (void)pthread_mutex_lock(&e->lock);
    e->streams--;
    e->listened_us = co_now_us();
    (void)pthread_mutex_unlock(&e->lock);
    co_text_free(&stream->own);
    free(stream);
}
