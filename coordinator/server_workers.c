/* What workers say to the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/server_state.h"

static int remember(co_server *s, uint32_t peer, const wire_hello *h)
{
    if (s->worker_count == s->worker_capacity) {
        uint32_t capacity = s->worker_capacity ? 2 * s->worker_capacity : 64;
        server_worker *workers = realloc(s->workers, capacity * sizeof *workers);
        if (!workers) return -1;
        s->workers = workers;
        s->worker_capacity = capacity;
    }
    if (co_map_put(&s->place_of_peer, peer, s->worker_count)) return -1;
    server_worker *w = &s->workers[s->worker_count++];
    *w = (server_worker){ .peer = peer, .threads = h->threads };
    memcpy(w->name, h->name, sizeof w->name);
    memcpy(w->host, h->host, sizeof w->host);
    memcpy(w->kernel, h->kernel, sizeof w->kernel);
    return 0;
}

static void hello(co_server *s, uint64_t now_us, uint32_t peer)
{
    const wire_hello *h = &s->in.hello;
    if (s->dismissed) {
        wire_message m = { .type = WIRE_DISMISS };
        (void)co_router_send(s->router, peer, &m, NULL, 0);
        return;
    }
    uint32_t former = co_scheduler_worker_number(s->scheduler, peer);
    int known = former != 0;
    if (!(h->caps & WIRE_CAP_NULL) != !s->config.null_workers) {
        co_server_error(s, peer, WIRE_ERROR_REFUSED, s->config.null_workers ? "this coordinator measures itself, with workers that trace nothing"
                                                                            : "a worker that traces nothing is of no use here");
        return;
    }
    int refused = !known && remember(s, peer, h) ? CO_HELLO_NO_ROOM : co_scheduler_hello(s->scheduler, now_us, peer, h->incarnation, h->threads,
                                                                                                       co_router_identity(s->router));
    if (refused) {
        co_server_forget_worker(s, peer);
        co_server_error(s, peer, WIRE_ERROR_REFUSED, refused == CO_HELLO_BANNED ? "you returned a wrong tile: this coordinator takes none of yours any more"
                                                                               : "this coordinator has no room for another worker");
        return;
    }
    uint32_t number = co_scheduler_worker_number(s->scheduler, peer);
    if (number != former) co_account_joined(s->account, now_us, number, h->threads);
    if (!known) {
        co_board_joined(s->config.board, co_scheduler_worker_number(s->scheduler, peer), h, now_us);
        co_server_log(s, "worker %u (%s on %s, %u thread%s, %s) joined", co_scheduler_worker_number(s->scheduler, peer), h->name, h->host,
                      h->threads, h->threads == 1 ? "" : "s", h->kernel);
    }
}

static void ping(co_server *s, uint64_t now_us, uint32_t peer)
{
    wire_message m = { .type = WIRE_PONG, .pong.token = s->in.ping.token };
    if (s->in.ping.worker) {
        uint64_t held = (uint64_t)s->in.ping.queued + s->in.ping.running;
        co_scheduler_heard(s->scheduler, now_us, peer, s->in.ping.rtt_us, held < UINT32_MAX ? (uint32_t)held : UINT32_MAX);
        if (!co_scheduler_worker_number(s->scheduler, peer)) return;
        co_account_clock(s->account, now_us, co_scheduler_worker_number(s->scheduler, peer), s->in.ping.token, s->in.ping.rtt_us, held);
        co_board_rtt(s->config.board, co_scheduler_worker_number(s->scheduler, peer), s->in.ping.rtt_us);
    }
    if (co_router_send(s->router, peer, &m, NULL, 0)) co_server_doubt(s, peer, 0);
}

/* Bytes that are no sums of this tile: the worker's fault, or the road's. */
static void refuse_result(co_server *s, uint64_t now_us, uint32_t peer)
{
    uint32_t worker = co_scheduler_worker_number(s->scheduler, peer);
    co_server_warn(s, "worker %u sent a result that cannot be read: the tile is done again", worker);
    co_board_released(s->config.board, s->in.result.lease);
    co_board_redone(s->config.board, CO_REDO_FAILED, worker, 1);
    co_scheduler_failed(s->scheduler, now_us, peer, s->in.result.lease);
    co_account_returned(s->account, s->in.result.lease);
}

void co_server_add_sums(server_job *j, const mr_tile *tile, const uint64_t *sums, int32_t samples)
{
    if (j->view) co_view_add(j->view, tile, sums, samples);
    else mr_film_add(&j->film, tile, sums);
}

void co_server_add_bands(server_job *j, const mr_tile *tile, uint16_t bands, uint32_t y, const uint64_t *sums, int32_t samples)
{
    for (uint16_t left = bands; left;) {
        mr_tile part = *tile;
        uint16_t run = co_bands_run(left);
        co_bands_span(tile->height, run, &part.y, &part.height);
        part.y += tile->y;
        co_server_add_sums(j, &part, sums + (size_t)3 * tile->width * (part.y - y), samples);
        left = (uint16_t)(left & ~run);
    }
}

/* What a worker says it has done, in the scheduler's terms. tile: the unit's. NULL: of a job that we do not know. */
static server_job *understand(co_server *s, uint32_t peer, size_t frame_bytes, co_result *event, mr_tile *tile)
{
    const wire_result *r = &s->in.result;
    server_job *j = r->epoch == s->epoch ? co_server_find(s, r->job) : NULL;
    *event = (co_result){ .job = j ? r->job : 0, .lease = r->lease, .unit = r->unit, .rays = r->rays, .micros = r->micros, .bytes = frame_bytes };
    if (!j || !co_scheduler_worker_number(s->scheduler, peer) || !co_scheduler_tile(s->scheduler, r->job, r->unit, tile)) return NULL;
    event->bands = r->y >= tile->y ? co_bands_of_rows(tile->height, r->y - tile->y, r->height) : 0;
    return j;
}

static void take_result(co_server *s, uint64_t now_us, uint32_t peer, server_job *j, co_result *event, const mr_tile *tile, const uint64_t *sums)
{
    if (!co_state_has_room(s) || (j->spool && co_verify_keep(s, j, peer))) {
        co_server_note_result(s, now_us, peer, tile, event->bands, 0, event->bytes);
        co_board_released(s->config.board, event->lease);
        co_board_redone(s->config.board, CO_REDO_RETURNED, co_scheduler_worker_number(s->scheduler, peer), 1);
        co_scheduler_returned(s->scheduler, now_us, peer, event->lease);
        return;
    }
    uint16_t bands = co_scheduler_result(s->scheduler, now_us, peer, event);
    co_server_note_result(s, now_us, peer, tile, event->bands, bands, event->bytes);
    if (j->spool) co_verify_kept(j, bands);
    co_server_add_bands(j, tile, bands, s->in.result.y, sums, (int32_t)tile->sample_count);
    if (s->config.board) co_server_show_result(s, peer, event, tile, bands);
    if (j->spool) co_server_flush(s); /* what this has exposed goes before it into the journal: no tile is ever claimed twice there */
    if (bands) co_state_result(s, j, tile, bands, sums, event);
}

static void result(co_server *s, uint64_t now_us, uint32_t peer, size_t frame_bytes)
{
    co_result event;
    mr_tile tile = { 0 };
    server_job *j = understand(s, peer, frame_bytes, &event, &tile);
    int wanted = j && event.bands && ((event.bands & co_scheduler_wants(s->scheduler, event.job, event.unit)) ||
                                      co_scheduler_checks(s->scheduler, event.job, event.lease));
    if (!wanted) {
        (void)co_scheduler_result(s->scheduler, now_us, peer, &event); /* changes nothing but what is known of the worker */
        co_server_note_result(s, now_us, peer, &tile, event.bands, 0, frame_bytes);
        if (s->config.board) co_server_show_result(s, peer, &event, &tile, 0);
        return;
    }
    size_t count = (size_t)3 * tile.width * s->in.result.height;
    uint64_t *sums = co_server_sums(s, count);
    if (!sums || wire_sums_decode(s->packer, s->in.payload, s->in.payload_bytes, sums, count)) {
        refuse_result(s, now_us, peer);
        return;
    }
    if (j->spool) event.digest = co_verify_digest(sums, count);
    take_result(s, now_us, peer, j, &event, &tile, sums);
}

static void tile_failed(co_server *s, uint64_t now_us, uint32_t peer)
{
    const wire_tile_failed *f = &s->in.failed;
    if (f->epoch != s->epoch) return;
    co_board_released(s->config.board, f->lease);
    co_board_redone(s->config.board, CO_REDO_FAILED, co_scheduler_worker_number(s->scheduler, peer), 1);
    co_server_warn(s, "worker %u could not trace a tile of job %llu: %s", co_scheduler_worker_number(s->scheduler, peer),
                  (unsigned long long)f->job, f->text);
    co_scheduler_failed(s->scheduler, now_us, peer, f->lease);
    co_account_returned(s->account, f->lease);
}

static void returned(co_server *s, uint64_t now_us, uint32_t peer)
{
    const wire_leases *l = &s->in.leases;
    for (unsigned i = 0; i < l->count; i++) {
        co_board_released(s->config.board, l->lease[i]);
        co_scheduler_returned(s->scheduler, now_us, peer, l->lease[i]);
        co_account_returned(s->account, l->lease[i]);
    }
    co_board_redone(s->config.board, CO_REDO_RETURNED, co_scheduler_worker_number(s->scheduler, peer), l->count);
}

static void need_pack(co_server *s, uint64_t now_us, uint32_t peer)
{
    co_scheduler_heard(s->scheduler, now_us, peer, 0, UINT32_MAX);
    if (co_scheduler_worker_number(s->scheduler, peer)) co_server_want_chunk(s, now_us, peer, &s->in.need);
}

int co_server_worker_said(co_server *s, uint64_t now_us, uint32_t peer, size_t frame_bytes)
{
    switch (s->in.type) {
    case WIRE_HELLO: hello(s, now_us, peer); return 1;
    case WIRE_PING: ping(s, now_us, peer); return 1;
    case WIRE_RESULT: result(s, now_us, peer, frame_bytes); return 1;
    case WIRE_TILE_FAILED: tile_failed(s, now_us, peer); return 1;
    case WIRE_RETURN: returned(s, now_us, peer); return 1;
    case WIRE_SPENT: co_server_note_spent(s, now_us, peer); return 1;
    case WIRE_DRAIN:
        co_account_draining(s->account, now_us, co_scheduler_worker_number(s->scheduler, peer));
        co_board_state(s->config.board, co_scheduler_worker_number(s->scheduler, peer), CO_WORKER_DRAINING);
        co_scheduler_drain(s->scheduler, now_us, peer);
        return 1;
    case WIRE_GOODBYE: co_scheduler_left(s->scheduler, now_us, peer, CO_LEAVE_GOODBYE); return 1;
    case WIRE_NEED_PACK: need_pack(s, now_us, peer); return 1;
    default: return 0;
    }
}
