/* Taking up jobs where a former life left them, and holding everything for a while: see coordinator/scheduler.h. */
#include "coordinator/ledger.h"

void co_scheduler_skip_jobs(co_scheduler *s, uint64_t last)
{
    if (last > s->last_job) s->last_job = last;
}

/* The bands that were not known to be in. */
static uint16_t take_up(co_scheduler *s, uint64_t now_us, job *j, uint32_t ui, uint16_t bands)
{
    uint16_t wanted = j ? co_scheduler_wants(s, j->id, ui) & bands : 0;
    if (wanted) co_ledger_commit(s, j, ui, wanted, now_us);
    return wanted;
}

uint16_t co_scheduler_restore(co_scheduler *s, uint64_t now_us, uint64_t id, uint32_t ui, uint16_t bands)
{
    job *j = co_ledger_job(s, id);
    uint16_t taken = take_up(s, now_us, j, ui, bands);
    if (taken) co_ledger_end_if_over(s, j, now_us);
    return taken;
}

uint16_t co_scheduler_restore_claim(co_scheduler *s, uint64_t now_us, uint64_t id, const co_claim *claim)
{
    job *j = co_ledger_job(s, id);
    co_claim taken = *claim;
    taken.bands = take_up(s, now_us, j, claim->unit, claim->bands);
    if (!taken.bands) return 0;
    j->patient_until_us = now_us + CO_CHECKS_PATIENCE_MS * UINT64_C(1000);
    if (j->verify) co_checks_restore(s, j, &taken);
    co_ledger_end_if_over(s, j, now_us);
    return taken.bands;
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
