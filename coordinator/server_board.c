/* What the server writes on the board (coordinator/board.h), and what it does for other threads (coordinator/mailbox.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/server_state.h"

/* ---- the board ---- */

void co_server_show_job(co_server *s, const server_job *j)
{
    co_board_job job = { .picture = j->picture, .tile = j->tile, .submitted_us = j->submitted_us,
                         .exposure = j->pack->settings->exposure, .tone_map = j->pack->settings->tone_map };
    if (!s->config.board || co_server_status(s, j->id, &job.status)) return;
    (void)snprintf(job.name, sizeof job.name, "%s", j->name[0] ? j->name : j->pack->settings->name);
    (void)snprintf(job.scene, sizeof job.scene, "%s", j->pack->settings->name);
    if (job.status.state == CO_JOB_FAILED) co_server_missing(s, j->id, job.text, sizeof job.text, 8);
    co_board_put_job(s->config.board, &job, j->view);
}

void co_server_show_assigned(co_server *s, const co_action *a, const mr_tile *tile)
{
    const co_board_lease lease = { .id = a->lease, .job = a->job, .worker = co_scheduler_worker_number(s->scheduler, a->peer), .x = tile->x, .y = tile->y,
                                   .width = tile->width, .height = tile->height, .samples = tile->sample_count };
    co_board_assigned(s->config.board, &lease, co_now_us());
}

void co_server_show_left(co_server *s, const co_action *a)
{
    static const int states[] = { [CO_LEAVE_GOODBYE] = CO_WORKER_LEFT, [CO_LEAVE_SILENT] = CO_WORKER_LOST, [CO_LEAVE_DISCONNECTED] = CO_WORKER_LOST,
                                  [CO_LEAVE_REPLACED] = CO_WORKER_LOST, [CO_LEAVE_EVICTED] = CO_WORKER_REFUSED, [CO_LEAVE_UNLISTED] = CO_WORKER_REFUSED };
    co_board_left(s->config.board, a->worker, states[a->why], a->count, co_now_us());
}

void co_server_show_result(co_server *s, uint32_t peer, const co_result *r, const mr_tile *tile, uint16_t bands)
{
    uint64_t pixels = (uint64_t)tile->width * co_bands_rows(tile->height, bands);
    const co_board_result result = { .lease = r->lease, .job = r->job, .rays = r->rays, .samples = bands ? pixels * tile->sample_count : 0, .micros = r->micros,
                                     .bytes = r->bytes, .worker = co_scheduler_worker_number(s->scheduler, peer), .counted = bands != 0,
                                     .whole = bands && !co_scheduler_wants(s->scheduler, r->job, r->unit) };
    co_board_result_in(s->config.board, &result, co_now_us());
}

void co_server_show_step(co_server *s, uint64_t now_us)
{
    co_board_now now = { .open_paths = co_scheduler_open(s->scheduler), .ready = 1 };
    const char *address;
    co_router_traffic(s->router, &now.bytes_in, &now.bytes_out);
    now.strangers = co_router_strangers(s->router, &address);
    now.refused_versions = s->refused_versions;
    if (s->dismissed) now.not_ready = "the coordinator is about to end";
    else if (co_state_held(s)) now.not_ready = "the journal cannot be written to, or cannot keep up";
    now.ready = now.not_ready == NULL;
    for (const server_job *j = s->jobs; j; j = j->next) co_server_show_job(s, j);
    co_board_step(s->config.board, &now, now_us);
    if (s->wished_us) co_board_desired(s->config.board, s->desired.workers, s->desired.reason);
}

/* ---- the mailbox ---- */

/* The pack becomes the server's own, or is closed when the server has one like it. */
static upload *keep_pack(co_server *s, mr_pack *pack, mr_error *err)
{
    upload *u = NULL;
    (void)co_server_find_pack(s, pack->header->hash, &u);
    if (u) {
        mr_pack_close(pack);
        return u;
    }
    if (pack->size_bytes > CO_PACKS_MOST_BYTES - s->upload_bytes || !(u = calloc(1, sizeof *u))) {
        (void)mr_fail(err, MR_FAILED, "this coordinator has no room for the scene");
        return NULL;
    }
    u->pack = *pack;
    *pack = (mr_pack){ .base = NULL };
    memcpy(u->hash, u->pack.header->hash, sizeof u->hash);
    u->size_bytes = u->received = u->pack.size_bytes;
    u->complete = 1;
    u->next = s->uploads;
    s->uploads = u;
    s->upload_bytes += u->size_bytes;
    return u;
}

int co_server_take_job(co_server *s, uint64_t now_us, co_request *r, mr_error *err)
{
    server_job *j = NULL;
    if (s->dismissed) return mr_fail(err, MR_FAILED, "the coordinator is about to end");
    upload *u = keep_pack(s, r->pack, err);
    if (!u) return MR_FAILED;
    int status = co_server_add_job(s, &u->pack, &r->picture, r->tile, &r->options, &j, err);
    if (status) {
        if (!u->jobs) co_server_drop_upload(s, u);
        return status;
    }
    j->upload = u;
    u->jobs++;
    j->from_client = j->detached = 1;
    j->heard_us = now_us;
    memcpy(j->name, r->name, sizeof j->name);
    status = co_state_job(s, j, err);
    if (status) {
        co_server_withdraw(s, j);
        return status;
    }
    r->job = j->id;
    co_server_show_job(s, j);
    co_server_log(s, "job %llu over HTTP: %ux%u pixels, %u samples each, scene \"%s\"", (unsigned long long)j->id, j->picture.width, j->picture.height,
                  j->picture.spp, j->pack->settings->name);
    return MR_OK;
}

static int cancel(co_server *s, uint64_t job, mr_error *err)
{
    co_job_status status;
    int gone = co_server_status(s, job, &status);
    if (gone && !co_server_past(s, job)) return mr_fail(err, MR_BAD_INPUT, "there is no job %llu", (unsigned long long)job);
    if (gone || status.state >= CO_JOB_DONE || co_server_cancel(s, job)) return mr_fail(err, MR_FAILED, "job %llu has ended already", (unsigned long long)job);
    co_server_log(s, "job %llu is cancelled over HTTP", (unsigned long long)job);
    return MR_OK;
}

/* It gets nothing more; once it holds nothing it is sent home. */
static int drain(co_server *s, uint64_t now_us, uint32_t number, mr_error *err)
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        server_worker *w = &s->workers[i];
        if (co_scheduler_worker_number(s->scheduler, w->peer) != number) continue;
        if (w->leaving) return MR_OK;
        w->leaving = 1;
        s->leaving++;
        co_server_log(s, "worker %u (%s) is sent home over HTTP: it finishes what it has", number, w->name);
        co_board_state(s->config.board, number, CO_WORKER_DRAINING);
        co_scheduler_drain(s->scheduler, now_us, w->peer);
        return MR_OK;
    }
    return mr_fail(err, MR_BAD_INPUT, "there is no worker %u", number);
}

void co_server_dismiss_drained(co_server *s)
{
    const wire_message m = { .type = WIRE_DISMISS };
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        server_worker *w = &s->workers[i];
        if (w->leaving != 1) continue;
        if (co_scheduler_in_hand(s->scheduler, w->peer)) left++;
        else w->leaving = co_router_send(s->router, w->peer, &m, NULL, 0) ? 1 : 2; /* 2: told */
    }
    s->leaving = left;
}

void co_server_read_mail(co_server *s, uint64_t now_us)
{
    co_request *r;
    while ((r = co_mailbox_take(s->config.mailbox))) {
        if (r->kind == CO_REQUEST_SUBMIT) r->status = co_server_take_job(s, now_us, r, &r->err);
        else if (r->kind == CO_REQUEST_CANCEL) r->status = cancel(s, r->job, &r->err);
        else r->status = drain(s, now_us, r->worker, &r->err);
        co_server_flush(s);
        co_mailbox_done(s->config.mailbox, r);
    }
}
