/* The server: sockets on one side, the pure scheduler on the other. Here: jobs, and the step. */
#include "coordinator/server_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static void say(co_server *s, int level, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

static void say(co_server *s, int level, const char *format, va_list args)
{
    char line[2 * WIRE_MAX_TEXT];
    (void)vsnprintf(line, sizeof line, format, args);
    if (s->config.log) s->config.log(s->config.user, line);
    co_board_log(s->config.board, level, line);
}

void co_server_log(co_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(s, CO_LOG_INFO, format, args);
    va_end(args);
}

void co_server_warn(co_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(s, CO_LOG_WARNING, format, args);
    va_end(args);
}

/* ---- opening and closing ---- */

static int start(co_server *s, mr_error *err)
{
    s->lease_ms = s->config.lease_ms ? s->config.lease_ms : CO_LEASE_MS;
    s->scheduler = co_scheduler_new(s->lease_ms);
    s->account = co_account_new(co_now_us());
    s->packer = wire_packer_new();
    if (!s->scheduler || !s->packer || !s->account) return mr_fail(err, MR_FAILED, "no memory for a coordinator");
    co_account_watch(s->account, s->config.slice, s->config.slice_user);
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return mr_fail(err, MR_FAILED, "no random numbers");
    s->epoch = random[0];
    co_scheduler_keep_secret(s->scheduler, random[1]);
    int status = co_state_open(s, err);
    if (!status) status = co_router_open(&s->router, s->config.endpoint, s->config.keys, err);
    s->config.keys = NULL; /* its owner may wipe it now */
    if (!status && s->state) co_router_watch(s->router, co_state_fd(s));
    if (!status && s->config.mailbox) co_router_watch(s->router, co_mailbox_fd(s->config.mailbox));
    if (!status) co_board_opened(s->config.board, co_router_endpoint(s->router), s->epoch, co_now_us());
    if (!status && s->config.board) co_server_show_step(s, co_now_us()); /* jobs of a former life, as far as they are */
    return status;
}

int co_server_open(co_server **out, const co_config *config, mr_error *err)
{
    co_server *s = calloc(1, sizeof *s);
    if (!s) return mr_fail(err, MR_FAILED, "no memory for a coordinator");
    s->config = *config;
    s->opened_us = co_now_us();
    int status = start(s, err);
    if (status) co_server_close(s);
    else *out = s;
    return status;
}

static void free_job(co_server *s, server_job *j)
{
    co_board_job_gone(s->config.board, j->id, co_now_us());
    if (j->view) co_view_release(j->view);
    else mr_film_free(&j->film);
    co_spool_close(j->spool);
    free(j->output);
    if (j->upload && --j->upload->jobs == 0) co_server_drop_upload(s, j->upload);
    free(j);
}

void co_server_close(co_server *s)
{
    if (!s) return;
    co_router_close(s->router, 0);
    co_state_close(s);
    while (s->jobs) {
        server_job *j = s->jobs;
        s->jobs = j->next;
        free_job(s, j);
    }
    while (s->uploads) co_server_drop_upload(s, s->uploads);
    co_scheduler_free(s->scheduler);
    co_account_free(s->account);
    wire_packer_free(s->packer);
    co_map_free(&s->place_of_peer);
    free(s->workers);
    free(s->fetchers);
    free(s->past);
    free(s->sums);
    free(s->bytes);
    free(s);
}

const char *co_server_endpoint(const co_server *s) { return co_router_endpoint(s->router); }

/* ---- jobs ---- */

server_job *co_server_find(const co_server *s, uint64_t job)
{
    for (server_job *j = s->jobs; j; j = j->next)
        if (j->id == job) return j;
    return NULL;
}

const mr_pack *co_server_find_pack(const co_server *s, const uint8_t hash[WIRE_HASH_BYTES], upload **owner)
{
    for (upload *u = s->uploads; u; u = u->next) {
        if (!u->complete || memcmp(u->hash, hash, WIRE_HASH_BYTES)) continue;
        *owner = u;
        return &u->pack;
    }
    *owner = NULL;
    for (const server_job *j = s->jobs; j; j = j->next)
        if (!memcmp(j->pack->header->hash, hash, WIRE_HASH_BYTES)) return j->pack;
    return NULL;
}

uint64_t *co_server_sums(co_server *s, size_t count)
{
    if (s->sums_capacity >= count) return s->sums;
    uint64_t *sums = realloc(s->sums, count * sizeof *sums);
    if (!sums) return NULL;
    s->sums = sums;
    s->sums_capacity = count;
    return sums;
}

uint8_t *co_server_bytes(co_server *s, size_t size)
{
    if (s->bytes_capacity >= size) return s->bytes;
    uint8_t *bytes = realloc(s->bytes, size);
    if (!bytes) return NULL;
    s->bytes = bytes;
    s->bytes_capacity = size;
    return bytes;
}

static void remove_job(co_server *s, uint64_t job);

int co_server_add_job(co_server *s, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const co_job_options *asked, server_job **out,
                      mr_error *err)
{
    server_job *j = calloc(1, sizeof *j);
    if (!j) return mr_fail(err, MR_FAILED, "no memory for a job");
    j->pack = pack;
    j->picture = *picture;
    j->tile = tile;
    j->options = asked ? *asked : (co_job_options){ .priority = CO_PRIORITY };
    if (j->options.verify_percent < s->config.verify_percent) j->options.verify_percent = s->config.verify_percent;
    int status = mr_picture_check(picture, err);
    if (!status) status = mr_film_init(&j->film, picture, err);
    if (!status && j->options.verify_percent) status = co_verify_open(j, err);
    if (!status) status = co_scheduler_submit(s->scheduler, co_now_us(), picture, tile, &j->options, &j->id, err);
    if (status) {
        mr_film_free(&j->film);
        co_spool_close(j->spool);
        free(j);
        return status;
    }
    co_account_job(s->account, co_now_us(), j->id, co_server_cpu_us());
    j->submitted_us = co_now_us();
    if (s->config.board) j->view = co_view_new(&j->film, pack->settings, co_scheduler_plan(s->scheduler, j->id)); /* without memory for it: no picture to look at */
    j->next = s->jobs;
    s->jobs = j;
    co_server_show_job(s, j); /* before any of its work is given out */
    *out = j;
    return MR_OK;
}

void co_server_withdraw(co_server *s, server_job *j)
{
    (void)co_scheduler_cancel(s->scheduler, co_now_us(), j->id);
    co_server_flush(s);
    remove_job(s, j->id);
}

int co_server_submit_to(co_server *s, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const co_job_options *options, const char *output,
                        uint64_t *job, mr_error *err)
{
    server_job *j = NULL;
    int status = co_server_add_job(s, pack, picture, tile, options, &j, err);
    if (status) return status;
    if (output) j->output = strdup(output);
    status = output && !j->output ? mr_fail(err, MR_FAILED, "no memory for a job") : co_state_job(s, j, err);
    if (status) {
        co_server_withdraw(s, j);
        return status;
    }
    *job = j->id;
    co_server_flush(s);
    return MR_OK;
}

int co_server_submit(co_server *s, const mr_pack *pack, const mr_picture *picture, uint32_t tile, uint64_t *job, mr_error *err)
{
    return co_server_submit_to(s, pack, picture, tile, NULL, NULL, job, err);
}

int co_server_cancel(co_server *s, uint64_t job)
{
    int status = co_scheduler_cancel(s->scheduler, co_now_us(), job);
    if (status == 0) co_state_cancelled(s, job);
    co_server_flush(s);
    return status ? MR_FAILED : MR_OK;
}

/* Of a job that has ended. */
static void remove_job(co_server *s, uint64_t job)
{
    co_scheduler_forget(s->scheduler, job);
    co_account_job_forgotten(s->account, job);
    for (server_job **at = &s->jobs; *at; at = &(*at)->next) {
        if ((*at)->id != job) continue;
        server_job *gone = *at;
        *at = gone->next;
        free_job(s, gone);
        return;
    }
}

void co_server_forget(co_server *s, uint64_t job)
{
    co_job_status status;
    const server_job *j = co_server_find(s, job);
    if (!j || co_scheduler_status(s->scheduler, co_now_us(), job, &status) || status.state < CO_JOB_DONE) return;
    co_state_gone(s, j);
    remove_job(s, job);
}

int co_server_status(const co_server *s, uint64_t job, co_job_status *out)
{
    const server_job *j = co_server_find(s, job);
    if (!j || co_scheduler_status(s->scheduler, co_now_us(), job, out)) return MR_FAILED;
    co_state_mask(j, out);
    return MR_OK;
}

int co_server_owned(const co_server *s, uint64_t after, co_owned *out)
{
    const server_job *next = NULL;
    for (const server_job *j = s->jobs; j; j = j->next)
        if (j->output && j->id > after && (!next || j->id < next->id)) next = j;
    if (next) *out = (co_owned){ .job = next->id, .output = next->output, .pack = next->pack, .picture = next->picture, .tile = next->tile };
    return next != NULL;
}

const mr_film *co_server_film(const co_server *s, uint64_t job)
{
    const server_job *j = co_server_find(s, job);
    return j ? &j->film : NULL;
}

uint64_t co_server_next_job(const co_server *s, uint64_t after) { return co_scheduler_next_job(s->scheduler, after); }
uint64_t co_server_refused_versions(const co_server *s) { return s->refused_versions; }

int co_server_allow(co_server *s, const wire_permit *permits, uint32_t count, mr_error *err) { return co_router_allow(s->router, permits, count, err); }

uint32_t co_server_worker_count(const co_server *s) { return co_scheduler_workers(s->scheduler); }

void co_server_missing(const co_server *s, uint64_t job, char *text, size_t size, unsigned max)
{
    size_t used = 0;
    if (size) text[0] = 0;
    int64_t unit = co_scheduler_missing(s->scheduler, job, 0);
    for (unsigned n = 0; unit >= 0 && used < size; n++) {
        mr_tile t;
        if (!co_scheduler_tile(s->scheduler, job, (uint32_t)unit, &t)) return;
        int more = n == max;
        int length = more ? snprintf(text + used, size - used, " ...")
                          : snprintf(text + used, size - used, "%s%u,%u,%u,%u,%u,%u", n ? " " : "", t.x, t.y, t.width, t.height, t.first_sample, t.sample_count);
        if (more || length < 0) return;
        used += (size_t)length;
        unit = co_scheduler_missing(s->scheduler, job, (uint32_t)unit + 1);
    }
}

/* ---- the step ---- */

void co_server_lose(co_server *s, uint32_t peer, int why)
{
    co_scheduler_left(s->scheduler, co_now_us(), peer, why);
}

/* Workers of another version come back now and then, to see whether this coordinator has been replaced: one line of log is enough. */
static void count_refused_version(co_server *s)
{
    uint64_t now_us = co_now_us();
    if (s->in.type != WIRE_HELLO) return;
    s->refused_versions++;
    if (s->versions_us && now_us - s->versions_us < CO_VERSIONS_LOG_MS * UINT64_C(1000)) return;
    s->versions_us = now_us;
    co_server_log(s, "refused a worker of protocol version %u, we speak %d (%llu refused so far)", s->in.version, WIRE_VERSION, (unsigned long long)s->refused_versions);
}

static void refuse_version(co_server *s, uint32_t peer)
{
    char text[WIRE_MAX_TEXT];
    count_refused_version(s);
    (void)snprintf(text, sizeof text, "this coordinator speaks protocol version %d, you speak %u", WIRE_VERSION, s->in.version);
    co_server_error(s, peer, WIRE_ERROR_VERSION, text);
}

/* A worker's key does not submit, a client's does not work. */
static void refuse_role(co_server *s, uint32_t peer)
{
    char text[WIRE_MAX_TEXT];
    (void)snprintf(text, sizeof text, "your key is not one for %s", wire_type_from(s->in.type) == WIRE_ROLE_WORKER ? "workers" : "clients");
    co_server_error(s, peer, WIRE_ERROR_REFUSED, text);
}

/* Its key was taken from the list after it came. */
static void refuse_unlisted(co_server *s, uint32_t peer)
{
    co_server_error(s, peer, WIRE_ERROR_REFUSED, "your key is not let in any more");
    if (co_scheduler_worker_number(s->scheduler, peer)) co_server_lose(s, peer, CO_LEAVE_UNLISTED);
}

/* Its results may bring about evictions, which go before everything else. */
static int verified(const co_server *s, uint64_t job)
{
    const server_job *j = co_server_find(s, job);
    return j && j->spool;
}

static void handle(co_server *s, uint32_t peer, unsigned roles, const void *bytes, size_t size_bytes)
{
    uint64_t now_us = co_now_us();
    int verdict = wire_decode(&s->in, bytes, size_bytes);
    if (verdict == WIRE_MALFORMED) return;
    if (verdict == WIRE_OTHER_VERSION || s->in.version != WIRE_VERSION) {
        if (s->in.type != WIRE_ERROR) refuse_version(s, peer);
        return;
    }
    if (!(wire_type_from(s->in.type) & roles)) {
        if (!roles) refuse_unlisted(s, peer);
        else if (wire_type_from(s->in.type)) refuse_role(s, peer);
        return;
    }
    int plain = s->in.type == WIRE_RESULT && !verified(s, s->in.result.job);
    if (!plain) co_server_flush(s); /* what plain results led to may wait a little; nothing else is handled with actions outstanding */
    if (!co_server_worker_said(s, now_us, peer, size_bytes)) (void)co_server_client_said(s, now_us, peer);
    if (!plain) co_server_flush(s);
}

void co_server_doubt(co_server *s, uint32_t peer, int deaf)
{
    if (!co_scheduler_worker_number(s->scheduler, peer)) return;
    for (unsigned i = 0; i < s->doubt_count; i++)
        if (s->doubts[i].peer == peer) {
            s->doubts[i].deaf |= deaf;
            return;
        }
    if (s->doubt_count < DOUBTS_MOST) s->doubts[s->doubt_count++] = (doubt){ .peer = peer, .until_us = co_now_us() + 50000, .deaf = deaf };
    else if (deaf) co_server_lose(s, peer, CO_LEAVE_DISCONNECTED); /* else the lease will tell */
}

/* Asks ROUTER about connections that seem to have broken. The monitor may be some microseconds ahead of it; and what came over a connection before it
 * broke, a GOODBYE perhaps, is read first: a doubt is settled in a later step than the one in which it arose, and in one that has read all there was. */
static void settle_doubts(co_server *s)
{
    wire_message m = { .type = WIRE_PONG };
    uint32_t peer;
    unsigned kept = 0;
    for (unsigned i = 0; i < s->doubt_count; i++) {
        if (s->doubts[i].deaf || co_router_send(s->router, s->doubts[i].peer, &m, NULL, 0)) co_server_lose(s, s->doubts[i].peer, CO_LEAVE_DISCONNECTED);
        else if (co_now_us() < s->doubts[i].until_us) s->doubts[kept++] = s->doubts[i];
    }
    s->doubt_count = kept;
    while (co_router_broken(s->router, &peer)) co_server_doubt(s, peer, 0);
}

static void spare(co_server *s, uint64_t now_us, uint32_t peer)
{
    wire_message m = { .type = WIRE_PONG };
    co_scheduler_heard(s->scheduler, now_us, peer, 0, UINT32_MAX);
    (void)co_router_send(s->router, peer, &m, NULL, 0);
}

/* A large message over a slow line takes longer than a lease. Its worker is not silent: bytes keep coming. Its own questions wait behind them, so it
 * is told that we are here. */
static void spare_slow_lines(co_server *s, uint64_t now_us)
{
    uint32_t peer;
    while (co_scheduler_most_silent(s->scheduler, now_us, &peer) && co_router_receiving(s->router, peer, s->lease_ms))
        spare(s, now_us, peer);
}

/* However many come: one line now and then. */
static void say_strangers(co_server *s, uint64_t now_us)
{
    const char *address;
    uint64_t count = co_router_strangers(s->router, &address), more = count - s->strangers;
    if (!more || (s->strangers_us && now_us - s->strangers_us < CO_STRANGERS_LOG_MS * UINT64_C(1000))) return;
    co_server_warn(s, "turned away %llu connection%s without a valid key or of another protocol%s%s", (unsigned long long)more, more == 1 ? "" : "s",
                  address[0] ? "; the last refused key came from " : "", address);
    s->strangers = count;
    s->strangers_us = now_us;
}

static int wait_ms(const co_server *s, int timeout_ms)
{
    uint64_t now_us = co_now_us(), due_us = co_scheduler_deadline(s->scheduler, now_us);
    int due_ms = (int)((due_us - now_us + 999) / 1000);
    if (s->doubt_count && due_ms > 1) due_ms = 1;
    if (s->chunks_wait) due_ms = 0;
    return timeout_ms >= 0 && timeout_ms < due_ms ? timeout_ms : due_ms;
}

int co_server_step(co_server *s, int timeout_ms, mr_error *err)
{
    int status = co_router_wait(s->router, wait_ms(s, timeout_ms), err);
    if (status) return status;
    uint32_t peer;
    const void *bytes;
    size_t size_bytes;
    unsigned n = 0;
    uint64_t end_us = co_now_us() + CO_STEP_US;
    int more;
    while ((more = ++n % CO_CLOCK_EVERY || co_now_us() < end_us) && co_router_receive(s->router, &peer, &bytes, &size_bytes))
        handle(s, peer, co_router_roles(s->router), bytes, size_bytes);
    if (more) settle_doubts(s); /* before anything is sent that makes new ones */
    co_server_flush(s);
    say_strangers(s, co_now_us());
    if (more) { /* nobody is silent whose message we have not read yet */
        spare_slow_lines(s, co_now_us());
        co_scheduler_tick(s->scheduler, co_now_us());
    }
    s->chunks_wait = co_server_send_chunks(s, co_now_us());
    co_server_clients_tick(s, co_now_us());
    co_server_wish(s, co_now_us());
    if (s->config.mailbox) co_server_read_mail(s, co_now_us());
    if (s->leaving) co_server_dismiss_drained(s);
    status = co_state_tick(s, err);
    if (co_board_due(s->config.board, co_now_us())) co_server_show_step(s, co_now_us());
    co_server_flush(s);
    co_account_open_work(s->account, co_now_us(), co_scheduler_open(s->scheduler) > 0);
    if (status) return status;
    return co_scheduler_broken(s->scheduler) ? mr_fail(err, MR_FAILED, "no memory for the scheduler") : MR_OK;
}

void co_server_dismiss(co_server *s, int timeout_ms)
{
    wire_message m = { .type = WIRE_DISMISS };
    s->dismissed = 1;
    for (uint32_t i = 0; i < s->worker_count; i++) (void)co_router_send(s->router, s->workers[i].peer, &m, NULL, 0);
    uint64_t end_us = co_now_us() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
    while (co_server_worker_count(s) > 0 && co_now_us() < end_us) {
        int left_ms = (int)((end_us - co_now_us()) / 1000) + 1;
        if (co_server_step(s, left_ms, NULL)) return;
    }
}
