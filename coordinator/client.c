/* A client: see coordinator/client.h.
 *
 *   submit -> (the coordinator asks for the pack, chunk by chunk) -> accepted -> asking for the status -> done -> asking for rows -> release
 *
 * Silence makes it connect anew and submit again under the same token: a coordinator that still has the job says so, one that was
 * restarted begins it once more. */
#include "coordinator/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

#include "coordinator/client_internal.h"
#include "coordinator/dial.h"
#include "coordinator/limits.h"
#include "wire/message.h"
#include "wire/sums.h"

enum stage { SUBMITTING, WAITING, ACCOUNTING, FETCHING, FINISHED };

typedef struct client {
    const co_client_config *config;
    const mr_pack *pack;
    const mr_picture *picture;
    mr_film *film;
    co_job_status *status;
    mr_error *err;
    void *context;
    co_dial dial;
    wire_packer *packer;
    wire_message in, out;
    uint8_t head[WIRE_MAX_HEAD];
    uint8_t token[WIRE_TOKEN_BYTES];
    uint32_t tile;
    enum stage stage;
    uint64_t job;
    uint64_t heard_ms, tried_ms, asked_ms, stop_ms;
    int answered, detached;
    uint32_t rows_asked, rows_in; /* of the film: rows come in the order asked for */
} client;

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int connect_anew(client *c)
{
    co_dial_close(&c->dial, 0);
    return co_dial_open(&c->dial, c->context, c->config->endpoint, c->config->keys, c->err);
}

/* What cannot be sent now is lost with the connection, and asked for or said again later. */
static void send_out(client *c, const void *payload, size_t payload_bytes)
{
    size_t head_bytes = wire_encode(&c->out, c->head, sizeof c->head);
    zmq_msg_t frame;
    if (!head_bytes || zmq_msg_init_size(&frame, head_bytes + payload_bytes)) return;
    memcpy(zmq_msg_data(&frame), c->head, head_bytes);
    if (payload_bytes) memcpy((uint8_t *)zmq_msg_data(&frame) + head_bytes, payload, payload_bytes);
    if (zmq_msg_send(&frame, c->dial.socket, ZMQ_DONTWAIT) < 0) (void)zmq_msg_close(&frame);
}

static void say_job(client *c, uint8_t type)
{
    c->out.type = type;
    c->out.job.job = c->job;
    send_out(c, NULL, 0);
}

static void submit(client *c)
{
    wire_submit *s = &c->out.submit;
    c->out.type = WIRE_SUBMIT;
    memset(s, 0, sizeof *s);
    memcpy(s->token, c->token, sizeof s->token);
    memcpy(s->pack, c->pack->header->hash, sizeof s->pack);
    s->pack_bytes = c->pack->size_bytes;
    s->picture = (wire_picture){ c->picture->width, c->picture->height, c->picture->spp, c->picture->seed };
    s->tile = c->tile;
    s->priority = c->config->options.priority;
    s->verify = c->config->options.verify_percent;
    s->flags = c->detached ? WIRE_SUBMIT_DETACHED : 0;
    (void)snprintf(s->name, sizeof s->name, "%s", c->config->name ? c->config->name : "");
    send_out(c, NULL, 0);
    c->asked_ms = now_ms();
}

static void send_chunk(client *c)
{
    const wire_need_pack need = c->in.need;
    if (memcmp(need.pack, c->pack->header->hash, sizeof need.pack) || need.offset >= c->pack->size_bytes) return;
    uint64_t left = c->pack->size_bytes - need.offset;
    c->out.type = WIRE_PACK_CHUNK;
    memcpy(c->out.chunk.pack, need.pack, sizeof need.pack);
    c->out.chunk.offset = need.offset;
    send_out(c, c->pack->base + need.offset, need.length < left ? need.length : (size_t)left);
}

/* ---- the film ---- */

static uint32_t rows_at_once(const client *c)
{
    uint32_t rows = (1u << 15) / (3 * c->picture->width); /* 2^15 values: about 100 KB, less than CO_CLIENT_RETRY_MS of a slow line */
    return rows ? rows : 1;
}

static void ask_rows(client *c)
{
    uint32_t step = rows_at_once(c);
    while (c->rows_asked < c->picture->height && c->rows_asked < c->rows_in + CO_CLIENT_ROWS_WINDOW * step) {
        uint32_t left = c->picture->height - c->rows_asked;
        c->out.type = WIRE_NEED_FILM;
        c->out.rows = (wire_rows){ .job = c->job, .first_row = c->rows_asked, .rows = left < step ? left : step };
        c->rows_asked += c->out.rows.rows;
        send_out(c, NULL, 0);
    }
}

static void take_rows(client *c)
{
    const wire_rows *r = &c->in.rows;
    if (c->stage != FETCHING || r->job != c->job || r->first_row != c->rows_in || r->rows > c->picture->height - c->rows_in) return;
    size_t row = (size_t)3 * c->picture->width;
    if (wire_sums_decode(c->packer, c->in.payload, c->in.payload_bytes, c->film->sums + row * r->first_row, row * r->rows)) return;
    c->rows_in += r->rows;
    if (c->rows_in == c->picture->height) c->stage = FINISHED;
    else ask_rows(c);
}

/* ---- answers ---- */

static void fetch(client *c)
{
    c->stage = c->config->no_film ? FINISHED : FETCHING;
    c->rows_asked = c->rows_in;
    if (!c->config->no_film) ask_rows(c);
}

static void done(client *c)
{
    if (!c->config->account) {
        fetch(c);
        return;
    }
    c->stage = ACCOUNTING;
    c->asked_ms = now_ms();
    say_job(c, WIRE_NEED_ACCOUNT);
}

static void accepted(client *c)
{
    if (c->stage != SUBMITTING && c->job == c->in.job.job) return;
    c->job = c->in.job.job;
    c->stage = c->detached ? FINISHED : WAITING;
    if (c->detached) return;
    say_job(c, WIRE_STATUS);
}

static int job_status(client *c)
{
    const wire_job_status *s = &c->in.status;
    if (c->stage != WAITING || s->job != c->job) return MR_OK;
    *c->status = (co_job_status){ .id = s->job, .state = (int)s->state, .tiles = s->tiles, .tiles_done = s->tiles_done,
                                  .tiles_redone = s->tiles_redone, .samples_done = s->samples_done, .rays = s->rays,
                                  .verified = s->verified, .priority = s->priority, .evicted = s->evicted,
                                  .result_bytes = s->result_bytes, .workers = s->workers, .workers_seen = s->workers_seen,
                                  .threads = s->threads, .seconds = (double)s->micros * 1e-6, .busy_seconds = (double)s->busy_micros * 1e-6 };
    if (c->config->progress) c->config->progress(c->config->user, c->status);
    if (s->state == CO_JOB_CANCELLED) return mr_fail(c->err, MR_FAILED, "job %llu was cancelled", (unsigned long long)c->job);
    if (s->state == CO_JOB_FAILED) {
        return mr_fail(c->err, MR_FAILED, "job %llu failed: %llu of %llu tiles are missing. To replay one: " CO_REPLAY_FORMAT, (unsigned long long)c->job,
                       (unsigned long long)(s->tiles - s->tiles_done), (unsigned long long)s->tiles, c->config->scene ? c->config->scene : "SCENE",
                       c->picture->width, c->picture->height, c->picture->spp, c->picture->seed, s->text);
    }
    if (s->state == CO_JOB_DONE) done(c);
    return MR_OK;
}

static void account(client *c)
{
    if (c->stage != ACCOUNTING || c->in.account.job != c->job) return;
    co_account_of_wire(&c->in.account, c->config->account);
    fetch(c);
}

/* The coordinator was restarted and knows nothing of the job: begin again. */
static int refused(client *c)
{
    if (c->stage == ACCOUNTING) return mr_fail(c->err, MR_FAILED, "%s: job %llu: %s", c->config->endpoint, (unsigned long long)c->job, c->in.error.text);
    if (c->in.error.code != WIRE_ERROR_NO_JOB)
        return mr_fail(c->err, c->in.error.code == WIRE_ERROR_BAD_PACK ? MR_BAD_INPUT : MR_FAILED, "%s: %s", c->config->endpoint, c->in.error.text);
    c->stage = SUBMITTING;
    c->rows_in = c->rows_asked = 0;
    submit(c);
    return MR_OK;
}

static int handle(client *c)
{
    switch (c->in.type) {
    case WIRE_NEED_PACK: send_chunk(c); return MR_OK;
    case WIRE_ACCEPTED: accepted(c); return MR_OK;
    case WIRE_JOB_STATUS: return job_status(c);
    case WIRE_FILM_ROWS: take_rows(c); return MR_OK;
    case WIRE_ACCOUNT: account(c); return MR_OK;
    case WIRE_ERROR: return refused(c);
    default: return MR_OK;
    }
}

static int receive_all(client *c)
{
    zmq_msg_t frame;
    int status = MR_OK;
    (void)zmq_msg_init(&frame);
    while (!status && c->stage != FINISHED && zmq_msg_recv(&frame, c->dial.socket, ZMQ_DONTWAIT) >= 0) {
        int verdict = wire_decode(&c->in, zmq_msg_data(&frame), zmq_msg_size(&frame));
        if (verdict == WIRE_OTHER_VERSION)
            status = mr_fail(c->err, MR_FAILED, "%s speaks protocol version %u, we speak %d", c->config->endpoint, c->in.version, WIRE_VERSION);
        if (verdict != WIRE_OK) continue;
        c->heard_ms = now_ms();
        c->answered = 1;
        status = handle(c);
    }
    (void)zmq_msg_close(&frame);
    return status;
}

/* ---- the loop ---- */

static int no_coordinator(const client *c)
{
    return mr_fail(c->err, MR_FAILED, "no coordinator at %s%s%s", c->config->endpoint, c->answered ? " any more" : "", co_dial_hint(&c->dial));
}

/* What is due: asking again, connecting anew, giving up. */
static int on_time(client *c)
{
    uint64_t now = now_ms();
    if (co_dial_refused(&c->dial, c->err)) return MR_FAILED;
    uint32_t patience = c->config->connect_timeout_ms ? c->config->connect_timeout_ms : CO_CLIENT_CONNECT_MS;
    if (c->answered && patience < CO_CLIENT_AWAY_MS) patience = CO_CLIENT_AWAY_MS;
    if (now - c->heard_ms > patience) return no_coordinator(c);
    if (now - c->heard_ms > CO_CLIENT_RETRY_MS && now - c->tried_ms > CO_CLIENT_RETRY_MS) {
        c->tried_ms = now;
        if (connect_anew(c)) return MR_FAILED;
        c->rows_asked = c->rows_in;
        if (c->stage == FETCHING || c->stage == ACCOUNTING) c->stage = WAITING;
        submit(c);
        return MR_OK;
    }
    if (c->stage == WAITING && now - c->asked_ms >= CO_CLIENT_ASK_MS) {
        c->asked_ms = now;
        say_job(c, WIRE_STATUS);
    } else if (c->stage == SUBMITTING && now - c->asked_ms >= 1000) {
        submit(c);
    }
    return MR_OK;
}

/* Told to stop. A job whose number we have not heard yet cannot be cancelled: that is waited for a little. */
static int interrupted(client *c)
{
    if (!c->config->stop || !__atomic_load_n(c->config->stop, __ATOMIC_RELAXED)) return 0;
    if (!c->stop_ms) c->stop_ms = now_ms();
    return c->job || now_ms() - c->stop_ms > CO_CLIENT_STOP_MS;
}

static int run(client *c)
{
    int status = connect_anew(c);
    if (status) return status;
    c->heard_ms = c->tried_ms = now_ms();
    submit(c);
    while (!status && c->stage != FINISHED) {
        co_dial_wait(&c->dial, CO_CLIENT_ASK_MS);
        status = receive_all(c);
        if (!status && c->stage != FINISHED) status = on_time(c);
        if (!status && interrupted(c)) status = mr_fail(c->err, MR_INTERRUPTED, "interrupted");
    }
    if (c->job && !(c->detached && status == MR_OK)) {
        if (status == MR_INTERRUPTED) say_job(c, WIRE_CANCEL);
        say_job(c, WIRE_RELEASE);
        co_dial_close(&c->dial, 500);
    }
    return status;
}

static int open_client(client *c)
{
    c->context = zmq_ctx_new();
    c->packer = wire_packer_new();
    if (!c->context || !c->packer) return mr_fail(c->err, MR_FAILED, "no memory for a client");
    if (getrandom(c->token, sizeof c->token, 0) != (ssize_t)sizeof c->token) return mr_fail(c->err, MR_FAILED, "no random numbers");
    return MR_OK;
}

static void close_client(client *c)
{
    co_dial_close(&c->dial, 0);
    if (c->context) (void)zmq_ctx_term(c->context);
    wire_packer_free(c->packer);
    free(c);
}

int co_client_render(const co_client_config *config, const mr_pack *pack, const mr_picture *picture, uint32_t tile, mr_film *film,
                     co_job_status *status, mr_error *err)
{
    client *c = calloc(1, sizeof *c);
    if (!c) return mr_fail(err, MR_FAILED, "no memory for a client");
    *c = (client){ .config = config, .pack = pack, .picture = picture, .tile = tile, .film = film, .status = status, .err = err };
    memset(status, 0, sizeof *status);
    int result = mr_picture_check(picture, err);
    if (!result && !config->no_film) result = mr_film_init(film, picture, err);
    int has_film = !result && !config->no_film;
    if (!result) result = open_client(c);
    if (!result) result = run(c);
    if (result && has_film) mr_film_free(film);
    close_client(c);
    return result;
}

int co_client_submit(const co_client_config *config, const mr_pack *pack, const mr_picture *picture, uint32_t tile, uint64_t *job, mr_error *err)
{
    client *c = calloc(1, sizeof *c);
    if (!c) return mr_fail(err, MR_FAILED, "no memory for a client");
    *c = (client){ .config = config, .pack = pack, .picture = picture, .tile = tile, .err = err, .detached = 1 };
    int result = mr_picture_check(picture, err);
    if (!result) result = open_client(c);
    if (!result) result = run(c);
    *job = c->job;
    close_client(c);
    return result;
}

/* ---- ping ---- */

static int pinged(co_dial *dial, uint32_t timeout_ms, mr_error *err)
{
    wire_message m = { .type = WIRE_PING, .ping.token = 1 };
    uint8_t bytes[WIRE_MAX_HEAD];
    size_t size = wire_encode(&m, bytes, sizeof bytes);
    uint64_t end = now_ms() + timeout_ms;
    if (zmq_send(dial->socket, bytes, size, ZMQ_DONTWAIT) < 0) return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    for (uint64_t now; (now = now_ms()) < end;) {
        co_dial_wait(dial, (int)(end - now));
        if (co_dial_refused(dial, err)) return MR_FAILED;
        int got = zmq_recv(dial->socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (got > 0 && (size_t)got <= sizeof bytes && wire_decode(&m, bytes, (size_t)got) == WIRE_OK && m.type == WIRE_PONG) return MR_OK;
        if (got >= 0) break; /* someone else's answer */
    }
    return mr_fail(err, MR_FAILED, "no coordinator at %s%s", dial->endpoint, co_dial_hint(dial));
}

int co_client_ping(const char *endpoint, const wire_keys *keys, uint32_t timeout_ms, mr_error *err)
{
    co_dial dial = { .socket = NULL };
    void *context = zmq_ctx_new();
    int status = context ? co_dial_open(&dial, context, endpoint, keys, err) : mr_fail(err, MR_FAILED, "no memory for a client");
    if (!status) status = pinged(&dial, timeout_ms ? timeout_ms : CO_CLIENT_CONNECT_MS, err);
    co_dial_close(&dial, 0);
    if (context) (void)zmq_ctx_term(context);
    return status;
}
