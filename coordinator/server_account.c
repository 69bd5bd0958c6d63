/* What the server tells the account of its threads' time (coordinator/account.h), and who asks for it. */
#include <string.h>
#include <sys/resource.h>

#include "coordinator/server_internal.h"

_Static_assert((int)CO_SPENT_KINDS == (int)WIRE_SPENT_KINDS && (int)CO_LATENCY_BINS == (int)WIRE_LATENCY_BINS, "an ACCOUNT holds a report");

uint64_t co_server_cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u)) return 0;
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + (uint64_t)u.ru_utime.tv_usec + (uint64_t)u.ru_stime.tv_usec;
}

void co_server_note_result(co_server *s, uint64_t now_us, uint32_t peer, const mr_tile *tile, uint16_t all, uint16_t bands, size_t frame_bytes)
{
    const wire_result *r = &s->in.result;
    uint32_t rows = co_bands_rows(tile->height, all);
    const co_traced t = { .worker = co_scheduler_worker_number(s->scheduler, peer), .thread = r->thread, .job = r->job, .lease = r->lease,
                          .began_us = r->began_us, .micros = r->micros, .cpu_us = r->cpu_micros, .rays = r->rays, .bytes = frame_bytes,
                          .useful = rows ? (double)co_bands_rows(tile->height, bands) / rows : 0 };
    if (r->epoch == s->epoch) co_account_traced(s->account, now_us, &t);
}

void co_server_note_spent(co_server *s, uint64_t now_us, uint32_t peer)
{
    const wire_spent *p = &s->in.spent;
    const co_traced t = { .worker = co_scheduler_worker_number(s->scheduler, peer), .thread = p->thread, .job = p->job, .lease = p->lease,
                          .began_us = p->began_us, .micros = p->micros, .cpu_us = p->cpu_micros };
    if (p->epoch == s->epoch) co_account_traced(s->account, now_us, &t);
}

int co_server_account(const co_server *s, uint64_t job, co_account_report *out)
{
    return co_account_report_of(s->account, co_now_us(), job, co_server_cpu_us(), out) ? MR_FAILED : MR_OK;
}

void co_server_send_account(co_server *s, uint64_t now_us, uint32_t peer, uint64_t job)
{
    static wire_message m;
    co_account_report r;
    if (co_account_report_of(s->account, now_us, job, co_server_cpu_us(), &r)) {
        co_server_error(s, peer, WIRE_ERROR_NO_JOB, "no account of such a job");
        return;
    }
    m = (wire_message){ .type = WIRE_ACCOUNT };
    m.account = (wire_account){ .job = job, .wall = r.wall_us, .present = r.present_us, .first_tile = r.first_tile_us, .cpu = r.cpu_us, .tiles = r.tiles,
                                .rays = r.rays, .bytes_in = r.bytes_in, .bytes_out = r.bytes_out, .pack_bytes = r.pack_bytes, .join = r.join_us,
                                .join_most = r.join_most_us, .drain = r.drain_us, .drain_most = r.drain_most_us, .joins = r.joins, .starts = r.starts,
                                .drains = r.drains, .losses = r.losses, .workers = r.workers, .threads = r.threads };
    memcpy(m.account.spent, r.spent_us, sizeof m.account.spent);
    memcpy(m.account.latency, r.latency, sizeof m.account.latency);
    (void)co_router_send(s->router, peer, &m, NULL, 0);
}
