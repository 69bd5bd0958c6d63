/* How many workers the server wants: the rule of coordinator/desired.h, asked some times a second, and what clients are told of it. */
#include <stdio.h>

#include "coordinator/server_internal.h"

void co_server_wish(co_server *s, uint64_t now_us)
{
    if (s->wished_us && now_us - s->wished_us < CO_DESIRED_EVERY_MS * UINT64_C(1000)) return;
    if (!s->wished_us) co_desired_init(&s->desired, &s->config.scaling);
    s->wished_us = now_us;
    uint32_t before = s->desired.workers;
    co_scheduler_demand(s->scheduler, &s->demand);
    if (co_desired_update(&s->desired, now_us, &s->demand) != before && s->config.scaling.target_s)
        co_server_log(s, "%u worker%s wanted: %s", s->desired.workers, s->desired.workers == 1 ? " is" : "s are", s->desired.reason);
    co_board_desired(s->config.board, s->desired.workers, s->desired.reason);
}

const co_desired *co_server_desired(const co_server *s) { return &s->desired; }
const co_demand *co_server_demand(const co_server *s) { return &s->demand; }

static uint64_t milli(double seconds) { return seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1e3) : 0; }

void co_server_send_cluster(co_server *s, uint64_t now_us, uint32_t peer)
{
    const co_desired *d = &s->desired;
    const co_demand *m = &s->demand;
    wire_message out = { .type = WIRE_CLUSTER };
    out.cluster = (wire_cluster){ .epoch = s->epoch, .up_ms = (now_us - s->opened_us) / 1000, .tiles_left = m->tiles_left,
                                  .work_ms = d->speed > 0 ? milli(m->left / d->speed) : 0, .workers = m->workers, .threads = m->threads, .busy = m->busy,
                                  .jobs = m->jobs, .desired = d->workers, .min = d->rule.min, .max = d->rule.max, .start_ms = (uint32_t)milli(d->start_s) };
    (void)snprintf(out.cluster.reason, sizeof out.cluster.reason, "%s", d->reason);
    (void)co_router_send(s->router, peer, &out, NULL, 0);
}
