/* What becomes of the scheduler's actions: messages to workers, lines in the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/server_state.h"

void co_server_error(co_server *s, uint32_t peer, uint32_t code, const char *text)
{
    wire_message m = { .type = WIRE_ERROR, .error.code = code };
    (void)snprintf(m.error.text, sizeof m.error.text, "%s", text);
    (void)co_router_send(s->router, peer, &m, NULL, 0);
}

static const char *why_text(int why)
{
    static const char *const text[] = { [CO_LEAVE_GOODBYE] = "left", [CO_LEAVE_SILENT] = "is silent and counts as lost",
                                        [CO_LEAVE_DISCONNECTED] = "is lost: its connection broke", [CO_LEAVE_REPLACED] = "starts anew",
                                        [CO_LEAVE_EVICTED] = "is refused from now on",
                                        [CO_LEAVE_UNLISTED] = "has a key that is not let in any more" };
    return text[why];
}

void co_server_forget_worker(co_server *s, uint32_t peer)
{
    int64_t place = co_map_get(&s->place_of_peer, peer);
    co_server_forget_fetcher(s, peer);
    if (place < 0) return;
    co_map_remove(&s->place_of_peer, peer);
    s->workers[place] = s->workers[--s->worker_count];
    if ((uint32_t)place < s->worker_count) (void)co_map_put(&s->place_of_peer, s->workers[place].peer, (uint32_t)place);
}

static void say_left(co_server *s, const co_action *a)
{
    int64_t place = co_map_get(&s->place_of_peer, a->peer);
    const char *name = place < 0 ? "?" : s->workers[place].name;
    char back[48] = "";
    int lost = a->why == CO_LEAVE_SILENT || a->why == CO_LEAVE_DISCONNECTED;
    co_server_show_left(s, a);
    if (a->count) (void)snprintf(back, sizeof back, ": %u tiles go back to the queue", a->count);
    if (lost) co_server_warn(s, "worker %u (%s) %s%s", a->worker, name, why_text(a->why), back);
    else co_server_log(s, "worker %u (%s) %s%s", a->worker, name, why_text(a->why), back);
    co_server_forget_worker(s, a->peer);
    co_account_left(s->account, co_now_us(), a->worker, a->why == CO_LEAVE_GOODBYE);
}

static void send_assignment(co_server *s)
{
    if (!s->out.assign.count) return;
    int failed = co_router_send(s->router, s->assign_peer, &s->out, NULL, 0);
    s->out.assign.count = 0;
    if (failed) co_server_doubt(s, s->assign_peer, 1);
}

int co_server_part(const co_server *s, uint64_t job, uint32_t unit, uint16_t run, mr_tile *tile)
{
    uint32_t row, rows;
    if (!co_scheduler_tile(s->scheduler, job, unit, tile)) return 0;
    co_bands_span(tile->height, run, &row, &rows);
    tile->y += row;
    tile->height = rows;
    return 1;
}

/* Assignments to one worker of one job that follow each other go in one message. */
static void gather(co_server *s, const co_action *a)
{
    wire_assign *w = &s->out.assign;
    if (w->count && (s->assign_peer != a->peer || w->job != a->job || w->count == WIRE_MAX_LIST)) send_assignment(s);
    const server_job *j = co_server_find(s, a->job);
    mr_tile t;
    if (!j || !co_server_part(s, a->job, a->unit, a->bands, &t)) return;
    if (!w->count) {
        s->out.type = WIRE_ASSIGN;
        s->assign_peer = a->peer;
        w->job = a->job;
        w->pack_bytes = j->pack->size_bytes;
        memcpy(w->pack, j->pack->header->hash, sizeof w->pack);
        w->picture = (wire_picture){ j->picture.width, j->picture.height, j->picture.spp, j->picture.seed };
    }
    if (s->config.board) co_server_show_assigned(s, a, &t);
    w->units[w->count++] = (wire_unit){ .lease = a->lease, .unit = a->unit, .x = t.x, .y = t.y, .width = t.width, .height = t.height,
                                        .first_sample = t.first_sample, .sample_count = t.sample_count };
    co_account_assigned(s->account, co_now_us(), a->worker, a->job, a->lease, sizeof(wire_unit));
}

static int by_peer(const void *a, const void *b)
{
    const assignment *x = a, *y = b;
    if (x->action.peer != y->action.peer) return x->action.peer < y->action.peer ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* Results come from all workers in turns (ROUTER sees to that), and so do the assignments that they bring about. Ordered by worker, in the order of each, they
 * are one message for each worker instead of one for each tile, and one answer of it. */
static void send_assignments(co_server *s)
{
    uint32_t count = s->assignment_count;
    if (!count) return;
    qsort(s->assignments, count, sizeof *s->assignments, by_peer);
    s->assignment_count = 0;
    for (uint32_t i = 0; i < count; i++) gather(s, &s->assignments[i].action);
    send_assignment(s);
}

static void keep_assignment(co_server *s, const co_action *a)
{
    if (s->assignment_count == CO_ASSIGNMENTS_MOST) send_assignments(s);
    s->assignments[s->assignment_count] = (assignment){ .action = *a, .number = s->assignment_count };
    s->assignment_count++;
}

static void send_small(co_server *s, const co_action *a)
{
    wire_message m = { .type = WIRE_WHO };
    if (a->kind == CO_ACT_WELCOME) {
        m.type = WIRE_WELCOME;
        m.welcome = (wire_welcome){ s->epoch, a->worker, s->lease_ms / CO_HEARTBEATS_A_LEASE + 1, s->lease_ms };
    } else if (a->kind == CO_ACT_FORGET) {
        m.type = WIRE_FORGET;
        m.job.job = a->job;
    } else if (a->kind == CO_ACT_REVOKE) {
        m.type = WIRE_REVOKE;
        m.leases.running = (uint8_t)a->running;
        m.leases.count = 1;
        m.leases.lease[0] = a->lease;
        co_account_revoked(s->account, co_now_us(), a->lease, a->running);
        co_board_released(s->config.board, a->lease);
    }
    if (co_router_send(s->router, a->peer, &m, NULL, 0)) co_server_doubt(s, a->peer, 1);
}

static void say_aside(co_server *s, const co_action *a)
{
    static const char *const why[] = { [CO_ASIDE_DEADLY] = "its workers died over it", [CO_ASIDE_FAILED] = "no worker could trace it",
                                       [CO_ASIDE_DISPUTED] = "workers differ on it, and there is none to settle it" };
    mr_tile t;
    if (!co_scheduler_tile(s->scheduler, a->job, a->unit, &t)) return;
    co_server_warn(s, "job %llu: tile %u,%u %ux%u samples %u..%u is put aside: %s", (unsigned long long)a->job, t.x, t.y, t.width, t.height, t.first_sample,
                  t.first_sample + t.sample_count - 1, why[a->why]);
}

void co_server_say_ended(co_server *s, server_job *j)
{
    static const char *const words[] = { [CO_JOB_DONE] = "done", [CO_JOB_FAILED] = "failed", [CO_JOB_CANCELLED] = "cancelled" };
    co_job_status status;
    if (co_server_status(s, j->id, &status)) return;
    j->say_ended = status.state < CO_JOB_DONE; /* not on disk yet: later */
    co_server_show_job(s, j);
    if (j->say_ended) return;
    co_server_log(s, "job %llu %s after %.2f s: %llu of %llu tiles, %llu redone", (unsigned long long)j->id, words[status.state], status.seconds,
                  (unsigned long long)status.tiles_done, (unsigned long long)status.tiles, (unsigned long long)status.tiles_redone);
}

static void say_ended(co_server *s, const co_action *a)
{
    server_job *j = co_server_find(s, a->job);
    co_job_status st = { .state = CO_JOB_CANCELLED };
    (void)co_scheduler_status(s->scheduler, co_now_us(), a->job, &st);
    co_account_job_ended(s->account, co_now_us(), a->job, st.state == CO_JOB_DONE, co_server_cpu_us());
    if (j) co_server_say_ended(s, j);
}

static void say_rests(co_server *s, const co_action *a)
{
    co_server_warn(s, "worker %u fails too often: it gets nothing for %d s", a->worker, CO_REST_MS / 1000);
    co_board_state(s->config.board, a->worker, CO_WORKER_RESTING);
}

void co_server_flush(co_server *s)
{
    co_action a;
    for (;;) {
        if (!co_scheduler_next(s->scheduler, &a)) {
            if (!s->assignment_count) return;
            send_assignments(s); /* may lose a peer, which makes actions */
            continue;
        }
        if (a.kind == CO_ACT_ASSIGN) {
            keep_assignment(s, &a);
            continue;
        }
        send_assignments(s); /* in the scheduler's order: a lease is never revoked before it is assigned */
        switch (a.kind) {
        case CO_ACT_LEFT: say_left(s, &a); break;
        case CO_ACT_RESTS: say_rests(s, &a); break;
        case CO_ACT_ASIDE: say_aside(s, &a); break;
        case CO_ACT_WITHDRAW: co_verify_withdraw(s, &a); break;
        case CO_ACT_EVICT: co_verify_evict(s, &a); break;
        case CO_ACT_DISTRUST: co_verify_distrust(s, &a); break;
        case CO_ACT_AGREED: co_verify_agreed(s, &a); break;
        case CO_ACT_ENDED: say_ended(s, &a); break;
        default: send_small(s, &a);
        }
    }
}
