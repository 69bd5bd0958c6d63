/* What clients say to the server: pictures to render, packs, questions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/server_state.h"

/* ---- packs that clients send ---- */

void co_server_drop_upload(co_server *s, upload *u)
{
    for (upload **at = &s->uploads; *at; at = &(*at)->next) {
        if (*at != u) continue;
        *at = u->next;
        break;
    }
    s->upload_bytes -= u->size_bytes;
    mr_pack_close(&u->pack);
    free(u->bytes);
    free(u);
}

static upload *find_upload(co_server *s, const uint8_t hash[WIRE_HASH_BYTES])
{
    for (upload *u = s->uploads; u; u = u->next)
        if (!memcmp(u->hash, hash, WIRE_HASH_BYTES)) return u;
    return NULL;
}

static upload *begin_upload(co_server *s, const wire_submit *submit)
{
    unsigned count = 0;
    for (const upload *u = s->uploads; u; u = u->next) count += !u->complete;
    if (count >= CO_UPLOADS_MOST || submit->pack_bytes > CO_PACKS_MOST_BYTES - s->upload_bytes) return NULL;
    upload *u = calloc(1, sizeof *u);
    uint64_t size = (submit->pack_bytes + MR_PACK_ALIGN - 1) / MR_PACK_ALIGN * MR_PACK_ALIGN; /* as aligned_alloc wants it */
    if (u) u->bytes = aligned_alloc(MR_PACK_ALIGN, size);
    if (!u || !u->bytes) {
        free(u);
        return NULL;
    }
    u->size_bytes = submit->pack_bytes;
    memcpy(u->hash, submit->pack, sizeof u->hash);
    s->upload_bytes += u->size_bytes;
    u->next = s->uploads;
    s->uploads = u;
    return u;
}

/* Keeps WIRE_CHUNK_WINDOW chunks asked for. */
static void ask(co_server *s, upload *u)
{
    wire_message m = { .type = WIRE_NEED_PACK };
    memcpy(m.need.pack, u->hash, sizeof m.need.pack);
    while (u->asked < u->size_bytes && u->asked < u->received + (uint64_t)WIRE_CHUNK_WINDOW * WIRE_CHUNK_BYTES) {
        uint64_t left = u->size_bytes - u->asked;
        m.need.offset = u->asked;
        m.need.length = left < WIRE_CHUNK_BYTES ? (uint32_t)left : WIRE_CHUNK_BYTES;
        u->asked += m.need.length;
        if (co_router_send(s->router, u->peer, &m, NULL, 0)) return; /* gone: its silence will end the upload */
    }
}

/* ---- jobs ---- */

static server_job *find_token(co_server *s, const uint8_t token[WIRE_TOKEN_BYTES])
{
    for (server_job *j = s->jobs; j; j = j->next)
        if (j->from_client && !memcmp(j->token, token, WIRE_TOKEN_BYTES)) return j;
    return NULL;
}

static void accept_job(co_server *s, uint64_t now_us, uint32_t peer, const wire_submit *submit, const mr_pack *pack, upload *owner)
{
    mr_picture picture = { submit->picture.width, submit->picture.height, submit->picture.spp, submit->picture.seed };
    mr_error err = { "" };
    server_job *j = NULL;
    if ((uint64_t)picture.width * picture.height > CO_PICTURE_PIXELS_MOST) {
        co_server_error(s, peer, WIRE_ERROR_REFUSED, "the picture is too large for this coordinator");
        return;
    }
    const co_job_options options = { .priority = submit->priority, .verify_percent = submit->verify };
    if (co_server_add_job(s, pack, &picture, submit->tile, &options, &j, &err)) {
        co_server_error(s, peer, WIRE_ERROR_REFUSED, err.text);
        return;
    }
    j->upload = owner;
    if (owner) owner->jobs++;
    j->from_client = 1;
    j->detached = (submit->flags & WIRE_SUBMIT_DETACHED) != 0;
    j->heard_us = now_us;
    memcpy(j->name, submit->name, sizeof j->name);
    memcpy(j->token, submit->token, sizeof j->token);
    if (co_state_job(s, j, &err)) {
        co_server_withdraw(s, j);
        co_server_error(s, peer, WIRE_ERROR_REFUSED, err.text);
        return;
    }
    co_server_log(s, "job %llu from a client: %ux%u pixels, %u samples each, scene \"%s\"", (unsigned long long)j->id, picture.width,
                  picture.height, picture.spp, pack->settings->name);
    wire_message m = { .type = WIRE_ACCEPTED, .job.job = j->id };
    (void)co_router_send(s->router, peer, &m, NULL, 0);
}

/* A pack that lives in another's job cannot be shared: it may go with that job. Clients' packs are the server's own. */
static const mr_pack *own_pack(co_server *s, const uint8_t hash[WIRE_HASH_BYTES], upload **owner)
{
    const mr_pack *pack = co_server_find_pack(s, hash, owner);
    return *owner ? pack : NULL;
}

static void submit(co_server *s, uint64_t now_us, uint32_t peer)
{
    const wire_submit *w = &s->in.submit;
    upload *u = NULL;
    server_job *j = find_token(s, w->token);
    if (j) {
        wire_message m = { .type = WIRE_ACCEPTED, .job.job = j->id };
        j->heard_us = now_us;
        (void)co_router_send(s->router, peer, &m, NULL, 0);
        return;
    }
    const mr_pack *pack = own_pack(s, w->pack, &u);
    if (pack) {
        accept_job(s, now_us, peer, w, pack, u);
        return;
    }
    u = find_upload(s, w->pack);
    if (u && u->peer != peer && memcmp(u->submit.token, w->token, sizeof w->token)) return; /* another sends it: ask again later */
    if (u && u->peer == peer && now_us - u->heard_us < 1000000) return;                       /* on its way */
    if (!u) u = begin_upload(s, w);
    if (!u || u->size_bytes != w->pack_bytes) {
        co_server_error(s, peer, WIRE_ERROR_REFUSED, "this coordinator has no room for the scene");
        return;
    }
    u->peer = peer;
    u->submit = *w;
    u->heard_us = now_us;
    u->asked = u->received; /* what was under way came over another connection, or not at all */
    ask(s, u);
}

/* A pack has come in full. */
static void finish_upload(co_server *s, uint64_t now_us, upload *u)
{
    mr_error err = { "" };
    wire_submit w = u->submit;
    uint32_t peer = u->peer;
    int status = mr_pack_check(&u->pack, u->bytes, u->size_bytes, "the scene that was sent", &err);
    if (!status && memcmp(u->pack.header->hash, u->hash, WIRE_HASH_BYTES))
        status = mr_fail(&err, MR_BAD_INPUT, "the scene that was sent is not the one that was announced");
    if (status) {
        co_server_drop_upload(s, u);
        co_server_error(s, peer, WIRE_ERROR_BAD_PACK, err.text);
        return;
    }
    u->complete = 1;
    u->jobs++; /* until the job is there */
    accept_job(s, now_us, peer, &w, &u->pack, u);
    if (--u->jobs == 0) co_server_drop_upload(s, u);
}

static void pack_chunk(co_server *s, uint64_t now_us, uint32_t peer)
{
    upload *u = find_upload(s, s->in.chunk.pack);
    if (!u || u->complete || u->peer != peer) return;
    if (s->in.chunk.offset != u->received || s->in.payload_bytes > u->asked - u->received) return; /* not what was asked for */
    memcpy(u->bytes + u->received, s->in.payload, s->in.payload_bytes);
    u->received += s->in.payload_bytes;
    u->heard_us = now_us;
    if (u->received == u->size_bytes) finish_upload(s, now_us, u);
    else ask(s, u);
}

static server_job *asked_job(co_server *s, uint64_t now_us, uint32_t peer, uint64_t id)
{
    server_job *j = co_server_find(s, id);
    if (!j) co_server_error(s, peer, WIRE_ERROR_NO_JOB, "no such job");
    else if (j->from_client) j->heard_us = now_us;
    return j;
}

static int describe(const co_server *s, const server_job *j, wire_job_status *out)
{
    co_job_status st;
    if (co_server_status(s, j->id, &st)) return -1;
    *out = (wire_job_status){ .job = st.id, .state = (uint32_t)st.state, .tiles = st.tiles, .tiles_done = st.tiles_done,
                              .tiles_redone = st.tiles_redone, .samples_done = st.samples_done, .rays = st.rays,
                              .result_bytes = st.result_bytes, .workers = st.workers, .workers_seen = st.workers_seen,
                              .threads = st.threads, .micros = (uint64_t)(st.seconds * 1e6), .busy_micros = (uint64_t)(st.busy_seconds * 1e6),
                              .picture = { j->picture.width, j->picture.height, j->picture.spp, j->picture.seed },
                              .priority = st.priority, .evicted = st.evicted, .verified = st.verified };
    (void)snprintf(out->name, sizeof out->name, "%s", j->name);
    if (st.state == CO_JOB_FAILED) co_server_missing(s, j->id, out->text, sizeof out->text, 8);
    return 0;
}

/* The job of the least number >= first among those that are gone, or NULL. */
static const wire_job_status *past_job(const co_server *s, uint64_t first)
{
    const wire_job_status *least = NULL;
    for (uint32_t i = 0; i < s->past_count; i++) {
        const wire_job_status *p = &s->past[(s->past_first + i) % CO_PAST_MOST];
        if (p->job >= first && (!least || p->job < least->job)) least = p;
    }
    return least;
}

const wire_job_status *co_server_past(const co_server *s, uint64_t job)
{
    const wire_job_status *past = past_job(s, job);
    return past && past->job == job ? past : NULL;
}

static void send_status(co_server *s, uint32_t peer, const wire_job_status *status)
{
    wire_message m = { .type = WIRE_JOB_STATUS, .status = *status };
    (void)co_router_send(s->router, peer, &m, NULL, 0);
}

static void status(co_server *s, uint64_t now_us, uint32_t peer)
{
    wire_job_status st;
    const wire_job_status *past = co_server_past(s, s->in.job.job);
    if (past) {
        send_status(s, peer, past);
        return;
    }
    const server_job *j = asked_job(s, now_us, peer, s->in.job.job);
    if (j && !describe(s, j, &st)) send_status(s, peer, &st);
}

/* Who lists jobs is not their client: his asking keeps none alive. */
static void next_job(co_server *s, uint32_t peer)
{
    wire_job_status st;
    uint64_t after = s->in.job.job, next = after == UINT64_MAX ? 0 : co_server_next_job(s, after);
    const wire_job_status *past = after == UINT64_MAX ? NULL : past_job(s, after + 1);
    const server_job *j = next ? co_server_find(s, next) : NULL;
    if (past && (!j || past->job < j->id)) send_status(s, peer, past);
    else if (j && !describe(s, j, &st)) send_status(s, peer, &st);
    else co_server_error(s, peer, WIRE_ERROR_NO_JOB, "no more jobs");
}

int co_server_detached(const co_server *s, uint64_t after, co_detached *out)
{
    const server_job *next = NULL;
    co_job_status st;
    for (const server_job *j = s->jobs; j; j = j->next)
        if (j->from_client && j->detached && j->id > after && (!next || j->id < next->id) && !co_server_status(s, j->id, &st) && st.state >= CO_JOB_DONE) next = j;
    if (next) *out = (co_detached){ .job = next->id, .name = next->name, .pack = next->pack };
    return next != NULL;
}

void co_server_conclude(co_server *s, uint64_t job, const char *text)
{
    const server_job *j = co_server_find(s, job);
    wire_job_status st;
    if (!s->past) s->past = calloc(CO_PAST_MOST, sizeof *s->past);
    if (j && s->past && !describe(s, j, &st)) {
        if (!st.text[0]) (void)snprintf(st.text, sizeof st.text, "%s", text);
        s->past[(s->past_first + s->past_count) % CO_PAST_MOST] = st;
        if (s->past_count < CO_PAST_MOST) s->past_count++;
        else s->past_first = (s->past_first + 1) % CO_PAST_MOST;
    }
    co_server_forget(s, job);
}

static void need_film(co_server *s, uint64_t now_us, uint32_t peer)
{
    co_job_status st;
    const server_job *j = asked_job(s, now_us, peer, s->in.rows.job);
    uint32_t first = s->in.rows.first_row, rows = s->in.rows.rows;
    if (!j || co_server_status(s, j->id, &st) || st.state != CO_JOB_DONE) return;
    size_t row = (size_t)3 * j->film.width, count = row * rows;
    if (first >= j->film.height || rows > j->film.height - first || count > WIRE_MAX_VALUES) return;
    if (!co_server_bytes(s, wire_sums_bound(count))) return;
    wire_message m = { .type = WIRE_FILM_ROWS, .rows = s->in.rows };
    size_t size = wire_sums_encode(s->packer, j->film.sums + row * first, count, s->bytes);
    (void)co_router_send(s->router, peer, &m, s->bytes, size);
}

/* Clients may end the jobs that clients gave, not the owner's. */
static void end_job(co_server *s, uint64_t now_us, uint32_t peer, int forget)
{
    server_job *j = asked_job(s, now_us, peer, s->in.job.job);
    if (!j) return;
    if (!j->from_client) {
        co_server_error(s, peer, WIRE_ERROR_REFUSED, "that job is the coordinator's own");
        return;
    }
    uint64_t id = j->id;
    if (!forget) (void)co_server_cancel(s, id);
    else co_server_forget(s, id);
}

int co_server_client_said(co_server *s, uint64_t now_us, uint32_t peer)
{
    switch (s->in.type) {
    case WIRE_SUBMIT: submit(s, now_us, peer); return 1;
    case WIRE_PACK_CHUNK: pack_chunk(s, now_us, peer); return 1;
    case WIRE_STATUS: status(s, now_us, peer); return 1;
    case WIRE_NEXT_JOB: next_job(s, peer); return 1;
    case WIRE_NEED_CLUSTER: co_server_send_cluster(s, now_us, peer); return 1;
    case WIRE_NEED_ACCOUNT: co_server_send_account(s, now_us, peer, s->in.job.job); return 1;
    case WIRE_NEED_FILM: need_film(s, now_us, peer); return 1;
    case WIRE_CANCEL: end_job(s, now_us, peer, 0); return 1;
    case WIRE_RELEASE: end_job(s, now_us, peer, 1); return 1;
    default: return 0;
    }
}

/* ---- time ---- */

/* A chunk that takes long to come over a slow line: its client hears that we are here. */
static void spare_slow_upload(co_server *s, uint64_t now_us, upload *u)
{
    wire_message m = { .type = WIRE_PONG };
    if (now_us - u->heard_us < CO_UPLOAD_SLOW_MS * UINT64_C(1000) || !co_router_receiving(s->router, u->peer, CO_UPLOAD_SLOW_MS)) return;
    u->heard_us = now_us;
    (void)co_router_send(s->router, u->peer, &m, NULL, 0);
}

static void end_abandoned_uploads(co_server *s, uint64_t now_us)
{
    for (upload *u = s->uploads, *next; u; u = next) {
        next = u->next;
        if (!u->complete) spare_slow_upload(s, now_us, u);
        if (!u->complete && now_us - u->heard_us > CO_UPLOAD_SILENCE_MS * UINT64_C(1000)) co_server_drop_upload(s, u);
    }
}

void co_server_clients_tick(co_server *s, uint64_t now_us)
{
    end_abandoned_uploads(s, now_us);
    for (server_job *j = s->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->from_client || j->detached || now_us - j->heard_us < CO_CLIENT_SILENCE_MS * UINT64_C(1000)) continue;
        uint64_t id = j->id;
        if (co_server_cancel(s, id) == MR_OK)
            co_server_log(s, "job %llu: its client is gone", (unsigned long long)id);
        co_server_forget(s, id);
    }
}
