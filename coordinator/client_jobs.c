/* A client that asks about jobs, or ends them: a question, an answer. See coordinator/client.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "coordinator/client.h"
#include "coordinator/client_internal.h"
#include "coordinator/dial.h"
#include "coordinator/limits.h"
#include "wire/message.h"

typedef struct talk {
    void *context;
    co_dial dial;
    uint32_t timeout_ms;
    wire_message in, out;
    uint8_t bytes[WIRE_MAX_HEAD];
} talk;

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void hang_up(talk *t)
{
    if (!t) return;
    co_dial_close(&t->dial, 0);
    if (t->context) (void)zmq_ctx_term(t->context);
    free(t);
}

static int call(talk **out, const co_client_config *config, mr_error *err)
{
    talk *t = calloc(1, sizeof *t);
    if (t) t->context = zmq_ctx_new();
    int status = t && t->context ? co_dial_open(&t->dial, t->context, config->endpoint, config->keys, err) : mr_fail(err, MR_FAILED, "no memory for a client");
    if (status) {
        hang_up(t);
        return status;
    }
    t->timeout_ms = config->connect_timeout_ms ? config->connect_timeout_ms : CO_CLIENT_CONNECT_MS;
    *out = t;
    return MR_OK;
}

/* Whether t->in now has a message of the coordinator. */
static int heard(talk *t, mr_error *err, int *status)
{
    int got = zmq_recv(t->dial.socket, t->bytes, sizeof t->bytes, ZMQ_DONTWAIT);
    if (got < 0 || (size_t)got > sizeof t->bytes) return 0;
    int verdict = wire_decode(&t->in, t->bytes, (size_t)got);
    if (verdict == WIRE_OTHER_VERSION || (verdict == WIRE_OK && t->in.type == WIRE_ERROR && t->in.error.code == WIRE_ERROR_VERSION))
        *status = mr_fail(err, MR_FAILED, "%s speaks another protocol version than ours (%d)", t->dial.endpoint, WIRE_VERSION);
    return verdict == WIRE_OK || *status;
}

/* Asks, and waits for JOB_STATUS, ACCOUNT, CLUSTER or ERROR. */
static int ask(talk *t, uint8_t type, uint64_t job, mr_error *err)
{
    uint64_t end = now_ms() + t->timeout_ms;
    int status = MR_OK;
    t->out.type = type;
    t->out.job.job = job;
    size_t size = wire_encode(&t->out, t->bytes, sizeof t->bytes);
    if (zmq_send(t->dial.socket, t->bytes, size, ZMQ_DONTWAIT) < 0) return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    for (uint64_t now; (now = now_ms()) < end;) {
        co_dial_wait(&t->dial, (int)(end - now));
        if (co_dial_refused(&t->dial, err)) return MR_FAILED;
        while (heard(t, err, &status))
            if (status || t->in.type == WIRE_JOB_STATUS || t->in.type == WIRE_ACCOUNT || t->in.type == WIRE_CLUSTER || t->in.type == WIRE_ERROR)
                return status;
    }
    return mr_fail(err, MR_FAILED, "no coordinator at %s%s", t->dial.endpoint, co_dial_hint(&t->dial));
}

static void understand(const wire_job_status *s, co_listed_job *out)
{
    out->status = (co_job_status){ .id = s->job, .state = (int)s->state, .tiles = s->tiles, .tiles_done = s->tiles_done, .tiles_redone = s->tiles_redone,
                                   .samples_done = s->samples_done, .rays = s->rays, .result_bytes = s->result_bytes, .workers = s->workers,
                                   .workers_seen = s->workers_seen, .threads = s->threads, .seconds = (double)s->micros * 1e-6,
                                   .busy_seconds = (double)s->busy_micros * 1e-6, .verified = s->verified, .priority = s->priority, .evicted = s->evicted };
    out->picture = (mr_picture){ s->picture.width, s->picture.height, s->picture.spp, s->picture.seed };
    (void)snprintf(out->name, sizeof out->name, "%s", s->name);
    (void)snprintf(out->text, sizeof out->text, "%s", s->text);
}

int co_client_jobs(const co_client_config *config, void (*each)(void *user, const co_listed_job *job), void *user, mr_error *err)
{
    talk *t = NULL;
    uint64_t last = 0;
    int status = call(&t, config, err);
    while (!status) {
        co_listed_job job;
        status = ask(t, WIRE_NEXT_JOB, last, err);
        if (status || t->in.type != WIRE_JOB_STATUS || t->in.status.job <= last) break;
        last = t->in.status.job;
        understand(&t->in.status, &job);
        each(user, &job);
    }
    if (!status && t->in.type == WIRE_ERROR && t->in.error.code != WIRE_ERROR_NO_JOB)
        status = mr_fail(err, MR_FAILED, "%s: %s", config->endpoint, t->in.error.text);
    hang_up(t);
    return status;
}

void co_account_of_wire(const wire_account *a, co_account_report *out)
{
    *out = (co_account_report){ .wall_us = a->wall, .present_us = a->present, .first_tile_us = a->first_tile, .cpu_us = a->cpu, .tiles = a->tiles,
                                .rays = a->rays, .bytes_in = a->bytes_in, .bytes_out = a->bytes_out, .pack_bytes = a->pack_bytes, .join_us = a->join,
                                .join_most_us = a->join_most, .drain_us = a->drain, .drain_most_us = a->drain_most, .joins = a->joins,
                                .starts = a->starts, .drains = a->drains, .losses = a->losses, .workers = a->workers, .threads = a->threads };
    memcpy(out->spent_us, a->spent, sizeof out->spent_us);
    memcpy(out->latency, a->latency, sizeof out->latency);
}

int co_client_account(const co_client_config *config, uint64_t job, co_account_report *out, mr_error *err)
{
    talk *t = NULL;
    int status = call(&t, config, err);
    if (!status) status = ask(t, WIRE_NEED_ACCOUNT, job, err);
    if (!status && t->in.type == WIRE_ERROR) status = mr_fail(err, MR_FAILED, "%s: %s", config->endpoint, t->in.error.text);
    if (!status && t->in.type == WIRE_ACCOUNT) co_account_of_wire(&t->in.account, out);
    hang_up(t);
    return status;
}

int co_client_cluster(const co_client_config *config, co_cluster *out, mr_error *err)
{
    talk *t = NULL;
    int status = call(&t, config, err);
    if (!status) status = ask(t, WIRE_NEED_CLUSTER, 0, err);
    if (!status && t->in.type == WIRE_ERROR) status = mr_fail(err, MR_FAILED, "%s: %s", config->endpoint, t->in.error.text);
    if (!status && t->in.type == WIRE_CLUSTER) {
        const wire_cluster *c = &t->in.cluster;
        *out = (co_cluster){ .tiles_left = c->tiles_left, .workers = c->workers, .threads = c->threads, .busy = c->busy, .jobs = c->jobs, .desired = c->desired,
                             .min = c->min, .max = c->max, .up_s = (double)c->up_ms * 1e-3, .work_s = (double)c->work_ms * 1e-3, .start_s = c->start_ms * 1e-3 };
        (void)snprintf(out->reason, sizeof out->reason, "%.*s", CO_DESIRED_TEXT - 1, c->reason);
    }
    hang_up(t);
    return status;
}

static int cancel(talk *t, uint64_t job, mr_error *err)
{
    int status = ask(t, WIRE_STATUS, job, err);
    if (status) return status;
    if (t->in.type == WIRE_ERROR) return mr_fail(err, MR_FAILED, "%s: job %llu: %s", t->dial.endpoint, (unsigned long long)job, t->in.error.text);
    if (t->in.status.state >= CO_JOB_DONE) return mr_fail(err, MR_FAILED, "job %llu has ended already", (unsigned long long)job);
    t->out.type = WIRE_CANCEL;
    t->out.job.job = job;
    size_t size = wire_encode(&t->out, t->bytes, sizeof t->bytes);
    if (zmq_send(t->dial.socket, t->bytes, size, ZMQ_DONTWAIT) < 0) return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    status = ask(t, WIRE_STATUS, job, err); /* answered after the cancel: in order */
    if (status) return status;
    if (t->in.type == WIRE_ERROR && t->in.error.code != WIRE_ERROR_NO_JOB)
        return mr_fail(err, MR_FAILED, "%s: job %llu: %s", t->dial.endpoint, (unsigned long long)job, t->in.error.text);
    if (t->in.type == WIRE_JOB_STATUS && t->in.status.state != CO_JOB_CANCELLED)
        return mr_fail(err, MR_FAILED, "job %llu could not be cancelled", (unsigned long long)job);
    return MR_OK;
}

int co_client_cancel(const co_client_config *config, uint64_t job, mr_error *err)
{
    talk *t = NULL;
    int status = call(&t, config, err);
    if (!status) status = cancel(t, job, err);
    hang_up(t);
    return status;
}
