/* The worker: connect, fetch packs, trace tiles, return sums. It holds no state that matters.
 *
 *   SEEKING  hello is said, no welcome yet: what was being traced goes on, its results are kept
 *   JOINED   the coordinator's worker number N; tiles come, results go
 *   LEAVING  told to stop: what has not begun was handed back, what runs is finished, then goodbye
 *
 * This thread owns the connection and never traces, so that heartbeats go out whatever the tracer threads do. Anything that goes wrong with
 * the connection ends in SEEKING: silence, "who are you?", a coordinator that was restarted or has moved. */
#include "worker/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "worker/limits.h"
#include "worker/link.h"
#include "worker/packs.h"

enum state { SEEKING, JOINED, LEAVING, GONE };

typedef struct worker {
    const wk_config *config;
    wk_link *link;
    wk_tracers *tracers;
    wk_packs packs;
    enum state state;
    wire_hello hello;
    uint64_t epoch;
    uint32_t number;
    uint32_t heartbeat_ms, silence_ms, rtt_us;
    uint64_t heard_us;              /* anything from the coordinator */
    uint64_t welcomed_us;           /* in touch with a coordinator until then; for give_up_ms */
    uint64_t sought_us, hello_us;   /* this connection was opened; hello was said */
    uint32_t seek_ms, seek_most_ms; /* the present interval between connections, and its bound */
    uint64_t refused_us;            /* that we were turned away was last said; 0: never */
    uint64_t pinged_us, leave_us;
    wk_task *kept, **kept_last;     /* results that wait for a welcome */
    wire_message in, out;
    mr_error *err;
    int status;
} worker;

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void say(worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(worker *w, const char *format, ...)
{
    if (!w->config->log) return;
    char line[2 * WIRE_MAX_TEXT];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    w->config->log(w->config->user, line);
}

static void send_type(worker *w, uint8_t type)
{
    w->out.type = type;
    (void)wk_link_send(w->link, &w->out);
}

/* ---- finding a coordinator ---- */

static void say_hello(worker *w, uint64_t now)
{
    w->hello_us = now;
    w->out.hello = w->hello;
    send_type(w, WIRE_HELLO);
}

/* From the top: a new connection, its name resolved anew. */
static void seek(worker *w, uint64_t now)
{
    mr_error err;
    w->state = SEEKING;
    w->number = 0;
    w->sought_us = now;
    if (wk_link_again(w->link, &err)) say(w, "%s", err.text); /* tried again at the next interval */
    else say_hello(w, now);
}

/* Turned away at the door. The next connection may fare better: the other side may get other keys. */
static void look_for_refusal(worker *w, uint64_t now)
{
    const char *how = wk_link_refused(w->link);
    if (!how || (w->refused_us && now - w->refused_us < WK_REFUSED_LOG_MS * UINT64_C(1000))) return;
    w->refused_us = now;
    say(w, "the coordinator at %s %s", w->config->endpoint, how);
}

static void lost_touch(worker *w, uint64_t now)
{
    say(w, "the coordinator is silent: looking for it again");
    w->seek_ms = WK_SEEK_MS;
    w->seek_most_ms = WK_SEEK_MOST_MS;
    seek(w, now);
}

static void who(worker *w, uint64_t now)
{
    if (w->state == LEAVING || now - w->hello_us < WK_HELLO_AGAIN_MS * UINT64_C(1000)) return;
    if (w->state == JOINED) say(w, "the coordinator does not know this worker any more: saying hello again");
    w->state = SEEKING;
    w->number = 0;
    say_hello(w, now);
}

/* ---- giving up tasks ---- */

typedef struct wanted { /* which tasks are meant */
    uint64_t job;
    const wire_leases *leases;
} wanted;

static int of_job(const wk_task *task, const void *arg) { return task->job == ((const wanted *)arg)->job; }

static int of_leases(const wk_task *task, const void *arg)
{
    const wire_leases *l = ((const wanted *)arg)->leases;
    for (unsigned i = 0; i < l->count; i++)
        if (l->lease[i] == task->lease) return 1;
    return 0;
}

static int any_task(const wk_task *task, const void *arg)
{
    (void)task;
    (void)arg;
    return 1;
}

static void free_tasks(wk_task *list)
{
    while (list) {
        wk_task *next = list->next;
        wk_task_free(list);
        list = next;
    }
}

static void give_up(worker *w, int (*which)(const wk_task *, const void *), const void *arg, int running_too)
{
    free_tasks(wk_tracers_withdraw(w->tracers, which, arg, running_too));
    free_tasks(wk_packs_withdraw(&w->packs, which, arg));
}

static void add_returned(worker *w, wk_task *list)
{
    for (; list; list = list->next) {
        w->out.leases.lease[w->out.leases.count++] = list->lease;
        if (w->out.leases.count < WIRE_MAX_LIST) continue;
        send_type(w, WIRE_RETURN);
        w->out.leases.count = 0;
    }
}

/* Hands back every tile that has not begun. */
static void hand_back(worker *w)
{
    wk_task *queued = wk_tracers_withdraw(w->tracers, any_task, NULL, 0), *waiting = wk_packs_withdraw(&w->packs, any_task, NULL);
    w->out.leases.count = 0;
    w->out.leases.running = 0;
    add_returned(w, queued);
    add_returned(w, waiting);
    if (w->out.leases.count) send_type(w, WIRE_RETURN);
    free_tasks(queued);
    free_tasks(waiting);
}

/* ---- tiles ---- */

static void fail_task(worker *w, const wk_task *task, const char *text)
{
    wire_tile_failed *f = &w->out.failed;
    *f = (wire_tile_failed){ .epoch = task->epoch, .job = task->job, .lease = task->lease, .unit = task->unit };
    (void)snprintf(f->text, sizeof f->text, "%.*s", WIRE_MAX_TEXT - 1, text);
    send_type(w, WIRE_TILE_FAILED);
}

/* A pack that cannot be had: its tiles fail, and a later assignment may try again. */
static void fail_pack(worker *w, wk_held *held, const char *text)
{
    say(w, "%s", text);
    for (const wk_task *task = held->waiting; task; task = task->next) fail_task(w, task, text);
    wk_packs_drop(&w->packs, held);
}

static void ask_chunks(worker *w, wk_held *held)
{
    while (wk_held_ask(held, &w->out.need)) send_type(w, WIRE_NEED_PACK);
}

static void fetch(worker *w, wk_held *held, uint64_t now)
{
    mr_error err;
    if (wk_held_begin_fetch(held, now, &err)) {
        fail_pack(w, held, err.text);
        return;
    }
    if (w->state == JOINED) ask_chunks(w, held);
}

/* Gives a pack's own task (LOAD, CHECK) to the tracers. */
static void push_pack_task(worker *w, wk_held *held, int kind)
{
    wk_task *task = calloc(1, sizeof *task);
    if (!task) {
        fail_pack(w, held, "no memory to check a scene with");
        return;
    }
    task->kind = kind;
    task->pack = &held->pack;
    held->state = kind == WK_TASK_LOAD ? WK_PACK_LOOKING : WK_PACK_CHECKING;
    wk_tracers_push(w->tracers, task);
}

static void want_pack(worker *w, wk_held *held, uint64_t now)
{
    if (held->state == WK_PACK_LOOKING && access(held->pack.path, R_OK) == 0) push_pack_task(w, held, WK_TASK_LOAD);
    else fetch(w, held, now);
}

static wk_task *new_task(const wire_assign *a, const wire_unit *u, uint64_t epoch)
{
    wk_task *task = calloc(1, sizeof *task);
    if (!task) return NULL;
    task->kind = WK_TASK_TRACE;
    task->epoch = epoch;
    task->job = a->job;
    task->lease = u->lease;
    task->unit = u->unit;
    task->picture = (mr_picture){ a->picture.width, a->picture.height, a->picture.spp, a->picture.seed };
    task->tile = (mr_tile){ u->x, u->y, u->width, u->height, u->first_sample, u->sample_count };
    return task;
}

/* A tile that is no tile of that picture is the coordinator's mistake; it hears of it. */
static void take_unit(worker *w, const wire_assign *a, const wire_unit *u, wk_held *held)
{
    wk_task *task = new_task(a, u, w->epoch);
    if (!task) return; /* its lease will be missed */
    if (mr_picture_check(&task->picture, &task->err) || mr_tile_check(&task->picture, &task->tile, &task->err)) {
        fail_task(w, task, task->err.text);
        wk_task_free(task);
        return;
    }
    task->pack = &held->pack;
    if (held->state == WK_PACK_READY) wk_tracers_push(w->tracers, task);
    else wk_held_wait(held, task);
}

static void assign(worker *w, uint64_t now)
{
    const wire_assign *a = &w->in.assign;
    uint32_t queued, running;
    wk_tracers_counts(w->tracers, &queued, &running);
    if (w->state != JOINED || queued + wk_packs_waiting(&w->packs) + a->count > WK_TASKS_MOST) return;
    wk_held *held = wk_packs_find(&w->packs, a->pack);
    int is_new = !held;
    if (is_new) held = wk_packs_add(&w->packs, a->pack, a->pack_bytes, w->config->pack_dir);
    if (!held) return;
    held->pack.trusted = w->config->packs_checked;
    for (unsigned i = 0; i < a->count; i++) take_unit(w, a, &a->units[i], held);
    if (!is_new) return;
    wk_packs_trim(&w->packs, w->tracers, WK_PACKS_KEPT_BYTES);
    want_pack(w, held, now);
}

static void revoked(worker *w)
{
    wanted these = { .leases = &w->in.leases };
    give_up(w, of_leases, &these, w->in.leases.running);
}

static void forgotten(worker *w)
{
    wanted job = { .job = w->in.job.job };
    give_up(w, of_job, &job, 1);
}

static void pack_chunk(worker *w, uint64_t now)
{
    wk_held *held = wk_packs_find(&w->packs, w->in.chunk.pack);
    if (!held) return;
    if (wk_held_take(held, now, w->in.chunk.offset, w->in.payload, w->in.payload_bytes)) push_pack_task(w, held, WK_TASK_CHECK);
    else if (held->state == WK_PACK_FETCHING) ask_chunks(w, held);
}

/* ---- what has been done ---- */

static void pack_done(worker *w, wk_task *task, uint64_t now)
{
    wk_held *held = (wk_held *)task->pack; /* its first member */
    if (task->status && task->kind == WK_TASK_LOAD) {
        fetch(w, held, now); /* a damaged copy is as good as none */
        return;
    }
    if (task->status) {
        fail_pack(w, held, task->err.text);
        return;
    }
    held->state = WK_PACK_READY;
    for (wk_task *tile = wk_held_waiting(held), *next; tile; tile = next) {
        next = tile->next;
        wk_tracers_push(w->tracers, tile);
    }
}

/* What was traced for nothing. Only worth a word to the coordinator that asked for it. */
static void say_spent(worker *w, const wk_task *task)
{
    w->out.spent = (wire_spent){ task->epoch, task->job, task->lease, task->thread, task->began_us, task->micros, task->cpu_us };
    send_type(w, WIRE_SPENT);
}

static void send_result(worker *w, wk_task *task)
{
    if (task->status == MR_OK && task->epoch == w->epoch) {
        (void)wk_link_send_frame(w->link, task->frame, task->frame_bytes);
        task->frame = NULL;
    } else if (task->status == MR_INTERRUPTED && task->epoch == w->epoch) {
        say_spent(w, task);
    } else if (task->status && task->status != MR_INTERRUPTED) {
        fail_task(w, task, task->err.text);
    }
    wk_task_free(task);
}

static void tile_done(worker *w, wk_task *task)
{
    if (w->state != SEEKING) {
        send_result(w, task);
        return;
    }
    task->next = NULL;
    *w->kept_last = task;
    w->kept_last = &task->next;
}

static void collect(worker *w, uint64_t now)
{
    for (wk_task *task = wk_tracers_finished(w->tracers), *next; task; task = next) {
        next = task->next;
        if (task->kind == WK_TASK_TRACE) {
            tile_done(w, task);
            continue;
        }
        pack_done(w, task, now);
        wk_task_free(task);
    }
}

static void send_kept(worker *w)
{
    wk_task *list = w->kept;
    w->kept = NULL;
    w->kept_last = &w->kept;
    while (list) {
        wk_task *next = list->next;
        send_result(w, list);
        list = next;
    }
}

/* ---- messages ---- */

/* A new number makes every lease void; what runs may still be of use, unless the jobs are other jobs. */
static void welcome(worker *w, uint64_t now)
{
    const wire_welcome *m = &w->in.welcome;
    if (w->state == LEAVING) return;
    int other_jobs = m->epoch != w->epoch;
    if (other_jobs || m->worker != w->number) give_up(w, any_task, NULL, other_jobs);
    if (m->worker != w->number) say(w, "joined as worker %u", m->worker);
    w->epoch = m->epoch;
    w->number = m->worker;
    w->heartbeat_ms = m->heartbeat_ms;
    w->silence_ms = 2 * m->lease_ms > WK_SILENCE_LEAST_MS ? 2 * m->lease_ms : WK_SILENCE_LEAST_MS;
    w->seek_ms = WK_SEEK_MS;
    w->seek_most_ms = WK_SEEK_MOST_MS;
    w->refused_us = 0;
    w->state = JOINED;
    send_kept(w);
    for (wk_held *held = w->packs.first; held; held = held->next) {
        if (held->state != WK_PACK_FETCHING || !held->pack.bytes) continue;
        wk_held_ask_again(held, now);
        ask_chunks(w, held);
    }
}

static void pong(worker *w, uint64_t now)
{
    uint64_t rtt_us = now - w->in.pong.token;
    if (w->in.pong.token && w->in.pong.token <= now && rtt_us < UINT32_MAX) w->rtt_us = rtt_us ? (uint32_t)rtt_us : 1;
}

/* The same words again and again are said once a minute. */
static void say_refusal(worker *w, uint64_t now)
{
    if (w->refused_us && now - w->refused_us < WK_REFUSED_LOG_MS * UINT64_C(1000)) return;
    w->refused_us = now;
    say(w, "the coordinator at %s refuses this worker: %s; asking again now and then", w->config->endpoint, w->in.error.text);
}

/* Not taken: what was in hand goes to others. Ending here would have an orchestrator start us again and again; instead we come back at long
 * intervals: the coordinator may be replaced, by one of our version, with our key on its list. */
static void refused(worker *w, uint64_t now)
{
    int other_version = w->in.error.code == WIRE_ERROR_VERSION;
    if (w->state == LEAVING) return;
    if (other_version && w->config->give_up_ms) { /* no time to wait for that */
        w->status = mr_fail(w->err, MR_FAILED, "%s: %s", w->config->endpoint, w->in.error.text);
        w->state = GONE;
        return;
    }
    say_refusal(w, now);
    give_up(w, any_task, NULL, 1);
    w->state = SEEKING;
    w->number = 0;
    w->sought_us = now;
    w->seek_most_ms = other_version ? WK_OTHER_VERSION_MS : WK_SEEK_MOST_MS;
    if (w->seek_ms < 2 * WK_SEEK_MS) w->seek_ms = 2 * WK_SEEK_MS;
}

static void dismissed(worker *w)
{
    say(w, "the coordinator has no more work");
    send_type(w, WIRE_GOODBYE);
    w->state = GONE;
}

static void handle(worker *w, uint64_t now)
{
    switch (w->in.type) {
    case WIRE_WELCOME: welcome(w, now); break;
    case WIRE_WHO: who(w, now); break;
    case WIRE_PONG: pong(w, now); break;
    case WIRE_ASSIGN: assign(w, now); break;
    case WIRE_REVOKE: revoked(w); break;
    case WIRE_FORGET: forgotten(w); break;
    case WIRE_PACK_CHUNK: pack_chunk(w, now); break;
    case WIRE_ERROR: refused(w, now); break;
    case WIRE_DISMISS: dismissed(w); break;
    default: break;
    }
}

static void receive_all(worker *w)
{
    const void *bytes;
    size_t size_bytes;
    while (w->state != GONE && wk_link_receive(w->link, &bytes, &size_bytes)) {
        if (wire_decode(&w->in, bytes, size_bytes) != WIRE_OK) continue;
        w->heard_us = now_us();
        w->welcomed_us = w->heard_us;
        handle(w, w->heard_us);
    }
}

/* ---- time ---- */

static int past(uint64_t now, uint64_t since_us, uint32_t ms) { return now > since_us && now - since_us >= ms * UINT64_C(1000); }

static void heartbeat(worker *w, uint64_t now)
{
    if (!w->number || !past(now, w->pinged_us, w->heartbeat_ms)) return;
    w->pinged_us = now;
    w->out.ping = (wire_ping){ .token = now, .worker = w->number, .rtt_us = w->rtt_us };
    wk_tracers_counts(w->tracers, &w->out.ping.queued, &w->out.ping.running);
    w->out.ping.queued += wk_packs_waiting(&w->packs);
    send_type(w, WIRE_PING);
}

static void stalled_packs(worker *w, uint64_t now)
{
    for (wk_held *held = w->packs.first; held; held = held->next) {
        if (held->state != WK_PACK_FETCHING || !held->pack.bytes || !past(now, held->chunk_us, 2 * w->silence_ms)) continue;
        wk_held_ask_again(held, now);
        ask_chunks(w, held);
    }
}

static void give_up_if_told(worker *w, uint64_t now)
{
    if (!w->config->give_up_ms || !past(now, w->welcomed_us, w->config->give_up_ms)) return;
    w->status = mr_fail(w->err, MR_FAILED, "no coordinator at %s", w->config->endpoint);
    w->state = GONE;
}

/* Told to stop. Without a coordinator nobody misses anything. */
static void begin_to_leave(worker *w, uint64_t now)
{
    if (w->state == SEEKING) {
        w->state = GONE;
        return;
    }
    w->state = LEAVING;
    w->leave_us = now;
    send_type(w, WIRE_DRAIN);
    hand_back(w);
    say(w, "leaving: finishing what has begun, the rest was handed back");
}

static void leave_when_done(worker *w, uint64_t now)
{
    uint32_t queued, running;
    wk_tracers_counts(w->tracers, &queued, &running);
    int late = past(now, w->leave_us, WK_DRAIN_MS);
    if ((queued || running) && !late) return;
    collect(w, now); /* what finished between the last collection and the count */
    send_type(w, WIRE_GOODBYE);
    w->state = GONE;
}

static void on_time(worker *w, uint64_t now)
{
    int told_to_stop = w->config->stop && __atomic_load_n(w->config->stop, __ATOMIC_RELAXED);
    if (told_to_stop && w->state != LEAVING && w->state != GONE) begin_to_leave(w, now);
    if (w->state == GONE) return;
    heartbeat(w, now);
    stalled_packs(w, now);
    if (w->state == LEAVING) {
        leave_when_done(w, now);
    } else if (w->state == JOINED) {
        if (past(now, w->heard_us, w->silence_ms)) lost_touch(w, now);
    } else if (past(now, w->sought_us, w->seek_ms) && past(now, w->heard_us, w->seek_ms)) {
        w->seek_ms = 2 * w->seek_ms < w->seek_most_ms ? 2 * w->seek_ms : w->seek_most_ms;
        seek(w, now);
    }
    if (w->state != LEAVING) give_up_if_told(w, now);
}

/* ---- life ---- */

static void introduce(worker *w)
{
    const wk_config *c = w->config;
    wire_hello *h = &w->hello;
    if (getrandom(&h->incarnation, sizeof h->incarnation, 0) != (ssize_t)sizeof h->incarnation) h->incarnation = now_us() ^ (uint64_t)getpid() << 40;
    h->threads = c->threads;
    h->caps = c->null ? WIRE_CAP_NULL : 0;
    char host[WIRE_MAX_NAME] = "?";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(h->host, sizeof h->host, "%s", host);
    if (c->name) (void)snprintf(h->name, sizeof h->name, "%s", c->name);
    else (void)snprintf(h->name, sizeof h->name, "%.48s-%d", host, (int)getpid());
    (void)snprintf(h->kernel, sizeof h->kernel, "%s", c->kernel->name);
}

static void work(worker *w)
{
    uint64_t now = now_us();
    w->heard_us = w->welcomed_us = w->sought_us = now;
    say_hello(w, now);
    while (w->state != GONE) {
        int wait_ms = (int)(w->heartbeat_ms < WK_HELLO_AGAIN_MS ? w->heartbeat_ms : WK_HELLO_AGAIN_MS);
        wk_link_wait(w->link, wk_tracers_fd(w->tracers), w->state == LEAVING ? 5 : wait_ms);
        receive_all(w);
        if (w->state == GONE) return;
        now = now_us();
        look_for_refusal(w, now);
        collect(w, now);
        on_time(w, now);
    }
}

static int check_config(const wk_config *c, mr_error *err)
{
    if (c->threads >= 1 && c->threads <= WIRE_MAX_THREADS) return MR_OK;
    return mr_fail(err, MR_USAGE, "%u threads: expected 1 to %d", c->threads, WIRE_MAX_THREADS);
}

static void close_worker(worker *w)
{
    wk_tracers_stop(w->tracers);
    wk_link_close(w->link, WK_LINGER_MS);
    free_tasks(w->kept);
    while (w->packs.first) wk_packs_drop(&w->packs, w->packs.first);
    free(w);
}

int wk_run(const wk_config *config, mr_error *err)
{
    int status = check_config(config, err);
    if (status) return status;
    worker *w = calloc(1, sizeof *w);
    if (!w) return mr_fail(err, MR_FAILED, "no memory for a worker");
    *w = (worker){ .config = config, .state = SEEKING, .heartbeat_ms = WK_HEARTBEAT_MS, .silence_ms = WK_SILENCE_LEAST_MS,
                   .seek_ms = WK_SEEK_MS, .seek_most_ms = WK_SEEK_MOST_MS, .err = err };
    w->kept_last = &w->kept;
    introduce(w);
    status = wk_link_open(&w->link, config->endpoint, config->keys, err);
    if (!status) status = wk_tracers_start(&w->tracers, config->threads, config->kernel, config->null, err);
    if (!status) {
        work(w);
        status = w->status;
    }
    close_worker(w);
    return status;
}
