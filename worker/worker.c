/* The worker: connect, fetch packs, trace tiles, return sums. It holds no state that matters.
 *
 *   SEEKING  hello is said, no welcome yet: what was being traced goes on, its results are kept
 *   JOINED   the coordinator's worker number N; tiles come, results go
 *   LEAVING  told to stop: what has not begun was handed back, what runs is finished, then goodbye
 *
 * This thread owns the connection and never traces, so that heartbeats go out whatever the tracer threads do. Anything that goes wrong with
 * the connection ends in SEEKING: silence, "who are you?", a coordinator that was restarted or has moved. */
#include "worker/worker_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void wk_say(wk_worker *w, const char *format, ...)
{
    if (!w->config->log) return;
    char line[2 * WIRE_MAX_TEXT];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    w->config->log(w->config->user, line);
}

void wk_send(wk_worker *w, uint8_t type)
{
    w->out.type = type;
    (void)wk_link_send(w->link, &w->out);
}

/* ---- finding a coordinator ---- */

static void say_hello(wk_worker *w, uint64_t now)
{
    w->hello_us = now;
    w->out.hello = w->hello;
    wk_send(w, WIRE_HELLO);
}

/* From the top: a new connection, its name resolved anew. */
static void seek(wk_worker *w, uint64_t now)
{
    mr_error err;
    w->state = WK_SEEKING;
    w->number = 0;
    w->sought_us = now;
    if (wk_link_again(w->link, &err)) wk_say(w, "%s", err.text); /* tried again at the next interval */
    else say_hello(w, now);
}

/* Turned away at the door. The next connection may fare better: the other side may get other keys. */
static void look_for_refusal(wk_worker *w, uint64_t now)
{
    const char *how = wk_link_refused(w->link);
    if (!how || (w->refused_us && now - w->refused_us < WK_REFUSED_LOG_MS * UINT64_C(1000))) return;
    w->refused_us = now;
    wk_say(w, "the coordinator at %s %s", w->config->endpoint, how);
}

static void lost_touch(wk_worker *w, uint64_t now)
{
    wk_say(w, "the coordinator is silent: looking for it again");
    w->seek_ms = WK_SEEK_MS;
    w->seek_most_ms = WK_SEEK_MOST_MS;
    seek(w, now);
}

static void who(wk_worker *w, uint64_t now)
{
    if (w->state == WK_LEAVING || now - w->hello_us < WK_HELLO_AGAIN_MS * UINT64_C(1000)) return;
    if (w->state == WK_JOINED) wk_say(w, "the coordinator does not know this worker any more: saying hello again");
    w->state = WK_SEEKING;
    w->number = 0;
    say_hello(w, now);
}

/* ---- messages ---- */

/* A new number makes every lease void; what runs may still be of use, unless the jobs are other jobs. */
static void welcome(wk_worker *w, uint64_t now)
{
    const wire_welcome *m = &w->in.welcome;
    if (w->state == WK_LEAVING) return;
    int other_jobs = m->epoch != w->epoch;
    if (other_jobs || m->worker != w->number) wk_give_up_all(w, other_jobs);
    if (m->worker != w->number) wk_say(w, "joined as worker %u", m->worker);
    w->epoch = m->epoch;
    w->number = m->worker;
    w->heartbeat_ms = m->heartbeat_ms;
    w->silence_ms = 2 * m->lease_ms > WK_SILENCE_LEAST_MS ? 2 * m->lease_ms : WK_SILENCE_LEAST_MS;
    w->seek_ms = WK_SEEK_MS;
    w->seek_most_ms = WK_SEEK_MOST_MS;
    w->refused_us = 0;
    w->state = WK_JOINED;
    wk_send_kept(w);
    for (wk_held *held = w->packs.first; held; held = held->next) {
        if (held->state != WK_PACK_FETCHING || !held->pack.bytes) continue;
        wk_held_ask_again(held, now);
        wk_ask_chunks(w, held);
    }
}

static void pong(wk_worker *w, uint64_t now)
{
    uint64_t rtt_us = now - w->in.pong.token;
    if (w->in.pong.token && w->in.pong.token <= now && rtt_us < UINT32_MAX) w->rtt_us = rtt_us ? (uint32_t)rtt_us : 1;
}

/* The same words again and again are said once a minute. */
static void say_refusal(wk_worker *w, uint64_t now)
{
    if (w->refused_us && now - w->refused_us < WK_REFUSED_LOG_MS * UINT64_C(1000)) return;
    w->refused_us = now;
    wk_say(w, "the coordinator at %s refuses this worker: %s; asking again now and then", w->config->endpoint, w->in.error.text);
}

/* Not taken: what was in hand goes to others. Ending here would have an orchestrator start us again and again; instead we come back at long
 * intervals: the coordinator may be replaced, by one of our version, with our key on its list. */
static void refused(wk_worker *w, uint64_t now)
{
    int other_version = w->in.error.code == WIRE_ERROR_VERSION;
    if (w->state == WK_LEAVING) return;
    if (other_version && w->config->give_up_ms) { /* no time to wait for that */
        w->status = mr_fail(w->err, MR_FAILED, "%s: %s", w->config->endpoint, w->in.error.text);
        w->state = WK_GONE;
        return;
    }
    say_refusal(w, now);
    wk_give_up_all(w, 1);
    w->state = WK_SEEKING;
    w->number = 0;
    w->sought_us = now;
    w->seek_most_ms = other_version ? WK_OTHER_VERSION_MS : WK_SEEK_MOST_MS;
    if (w->seek_ms < 2 * WK_SEEK_MS) w->seek_ms = 2 * WK_SEEK_MS;
}

static void dismissed(wk_worker *w)
{
    wk_say(w, "the coordinator has no more work");
    wk_send(w, WIRE_GOODBYE);
    w->state = WK_GONE;
}

static void handle(wk_worker *w, uint64_t now)
{
    switch (w->in.type) {
    case WIRE_WELCOME: welcome(w, now); break;
    case WIRE_WHO: who(w, now); break;
    case WIRE_PONG: pong(w, now); break;
    case WIRE_ASSIGN: wk_assigned(w, now); break;
    case WIRE_REVOKE: wk_revoked(w); break;
    case WIRE_FORGET: wk_forgotten(w); break;
    case WIRE_PACK_CHUNK: wk_chunk_came(w, now); break;
    case WIRE_ERROR: refused(w, now); break;
    case WIRE_DISMISS: dismissed(w); break;
    default: break;
    }
}

static void receive_all(wk_worker *w)
{
    const void *bytes;
    size_t size_bytes;
    while (w->state != WK_GONE && wk_link_receive(w->link, &bytes, &size_bytes)) {
        if (wire_decode(&w->in, bytes, size_bytes) != WIRE_OK) continue;
        w->heard_us = now_us();
        w->welcomed_us = w->heard_us;
        handle(w, w->heard_us);
    }
}

/* ---- time ---- */

static int past(uint64_t now, uint64_t since_us, uint32_t ms) { return now > since_us && now - since_us >= ms * UINT64_C(1000); }

static void heartbeat(wk_worker *w, uint64_t now)
{
    if (!w->number || !past(now, w->pinged_us, w->heartbeat_ms)) return;
    w->pinged_us = now;
    w->out.ping = (wire_ping){ .token = now, .worker = w->number, .rtt_us = w->rtt_us };
    wk_tracers_counts(w->tracers, &w->out.ping.queued, &w->out.ping.running);
    w->out.ping.queued += wk_packs_waiting(&w->packs);
    wk_send(w, WIRE_PING);
}

static void stalled_packs(wk_worker *w, uint64_t now)
{
    for (wk_held *held = w->packs.first; held; held = held->next) {
        if (held->state != WK_PACK_FETCHING || !held->pack.bytes || !past(now, held->chunk_us, 2 * w->silence_ms)) continue;
        wk_held_ask_again(held, now);
        wk_ask_chunks(w, held);
    }
}

static void give_up_if_told(wk_worker *w, uint64_t now)
{
    if (!w->config->give_up_ms || !past(now, w->welcomed_us, w->config->give_up_ms)) return;
    w->status = mr_fail(w->err, MR_FAILED, "no coordinator at %s", w->config->endpoint);
    w->state = WK_GONE;
}

/* Told to stop. Without a coordinator nobody misses anything. */
static void begin_to_leave(wk_worker *w, uint64_t now)
{
    if (w->state == WK_SEEKING) {
        w->state = WK_GONE;
        return;
    }
    w->state = WK_LEAVING;
    w->leave_us = now;
    wk_send(w, WIRE_DRAIN);
    wk_hand_back(w);
    wk_say(w, "leaving: finishing what has begun, the rest was handed back");
}

static void leave_when_done(wk_worker *w, uint64_t now)
{
    uint32_t queued, running;
    wk_tracers_counts(w->tracers, &queued, &running);
    int late = past(now, w->leave_us, WK_DRAIN_MS);
    if ((queued || running) && !late) return;
    wk_collect(w, now); /* what finished between the last collection and the count */
    wk_send(w, WIRE_GOODBYE);
    w->state = WK_GONE;
}

static void on_time(wk_worker *w, uint64_t now)
{
    int told_to_stop = w->config->stop && __atomic_load_n(w->config->stop, __ATOMIC_RELAXED);
    if (told_to_stop && w->state != WK_LEAVING && w->state != WK_GONE) begin_to_leave(w, now);
    if (w->state == WK_GONE) return;
    heartbeat(w, now);
    stalled_packs(w, now);
    if (w->state == WK_LEAVING) {
        leave_when_done(w, now);
    } else if (w->state == WK_JOINED) {
        if (past(now, w->heard_us, w->silence_ms)) lost_touch(w, now);
    } else if (past(now, w->sought_us, w->seek_ms) && past(now, w->heard_us, w->seek_ms)) {
        w->seek_ms = 2 * w->seek_ms < w->seek_most_ms ? 2 * w->seek_ms : w->seek_most_ms;
        seek(w, now);
    }
    if (w->state != WK_LEAVING) give_up_if_told(w, now);
}

/* ---- life ---- */

static void introduce(wk_worker *w)
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

static void work(wk_worker *w)
{
    uint64_t now = now_us();
    w->heard_us = w->welcomed_us = w->sought_us = now;
    say_hello(w, now);
    while (w->state != WK_GONE) {
        int wait_ms = (int)(w->heartbeat_ms < WK_HELLO_AGAIN_MS ? w->heartbeat_ms : WK_HELLO_AGAIN_MS);
        wk_link_wait(w->link, wk_tracers_fd(w->tracers), w->state == WK_LEAVING ? 5 : wait_ms);
        receive_all(w);
        if (w->state == WK_GONE) return;
        now = now_us();
        look_for_refusal(w, now);
        wk_collect(w, now);
        on_time(w, now);
    }
}

static int check_config(const wk_config *c, mr_error *err)
{
    if (c->threads >= 1 && c->threads <= WIRE_MAX_THREADS) return MR_OK;
    return mr_fail(err, MR_USAGE, "%u threads: expected 1 to %d", c->threads, WIRE_MAX_THREADS);
}

static void close_worker(wk_worker *w)
{
    wk_tracers_stop(w->tracers);
    wk_link_close(w->link, WK_LINGER_MS);
    wk_free_tasks(w->kept);
    while (w->packs.first) wk_packs_drop(&w->packs, w->packs.first);
    free(w);
}

int wk_run(const wk_config *config, mr_error *err)
{
    int status = check_config(config, err);
    if (status) return status;
    wk_worker *w = calloc(1, sizeof *w);
    if (!w) return mr_fail(err, MR_FAILED, "no memory for a worker");
    *w = (wk_worker){ .config = config, .state = WK_SEEKING, .heartbeat_ms = WK_HEARTBEAT_MS, .silence_ms = WK_SILENCE_LEAST_MS,
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
