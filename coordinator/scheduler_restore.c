/* Taking up jobs where a former life left them, and holding everything for a while: see coordinator/scheduler.h. */
#include "coordinator/ledger.h"

void co_scheduler_skip_jobs(co_scheduler *s, uint64_t last)
{
    if (last > s->last_job) s->last_job = last;
}

void co_scheduler_restore_totals(co_scheduler *s, uint64_t id, uint64_t rays, uint64_t bytes, uint64_t elapsed_us)
{
    job *j = co_ledger_job(s, id);
    if (!j) return;
    j->sums.rays += rays;
    j->sums.result_bytes += bytes;
    if (elapsed_us <= j->elapsed_us) return;
    uint64_t more_us = elapsed_us - j->elapsed_us; /* times are differences modulo 2^64: they may lie before the clock's zero */
    j->elapsed_us = elapsed_us;
    j->submitted_us -= more_us;
    if (j->begun_us) j->begun_us -= more_us;
}

void co_scheduler_hold(co_scheduler *s, uint64_t now_us, int held)
{
    s->held = held;
    co_dispatch(s, now_us);
}
