/* What time does to the scheduler: silence, rest, clocks that jump. See coordinator/scheduler.h. */
#include "coordinator/ledger.h"

static void wake_rested(co_scheduler *s, uint64_t now_us)
{
    for (uint32_t wi = s->heard.head; s->resting && wi != NONE; wi = HEARD(wi).next) {
        worker *w = &s->workers[wi];
        if (!w->rest_until_us || now_us < w->rest_until_us) continue;
        w->rest_until_us = 0;
        s->resting--;
        co_ledger_set_rate(s, wi, now_us);
        co_ledger_settle(s, wi, now_us);
    }
}

static void forgive_silence(co_scheduler *s, uint64_t now_us)
{
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next) s->workers[wi].heard_us = now_us;
}

static void no_later(uint64_t *time_us, uint64_t most_us)
{
    if (*time_us > most_us) *time_us = most_us;
}

/* The clock has gone back, which it never should: what lies in its future now would last until it is there again. */
static void forgive_clock(co_scheduler *s, uint64_t now_us)
{
    forgive_silence(s, now_us);
    no_later(&s->result_us, now_us);
    for (job *j = s->turns; j; j = j->next) no_later(&j->patient_until_us, now_us + CO_CHECKS_PATIENCE_MS * UINT64_C(1000));
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next) {
        worker *w = &s->workers[wi];
        no_later(&w->busy_us, now_us);
        if (w->rest_until_us) no_later(&w->rest_until_us, now_us + CO_REST_MS * UINT64_C(1000));
        for (uint32_t li = w->leases.head; li != NONE; li = s->leases[li].in_worker.next) no_later(&s->leases[li].began_us, now_us);
    }
}

static int silent(const co_scheduler *s, uint32_t wi, uint64_t now_us) { return since(now_us, s->workers[wi].heard_us) > s->lease_us; }

int co_scheduler_most_silent(const co_scheduler *s, uint64_t now_us, uint32_t *peer)
{
    if (s->heard.head == NONE || !silent(s, s->heard.head, now_us)) return 0;
    *peer = s->workers[s->heard.head].peer;
    return 1;
}

void co_scheduler_tick(co_scheduler *s, uint64_t now_us)
{
    if (s->ticked_us && now_us > s->ticked_us && now_us - s->ticked_us > s->lease_us / 2) forgive_silence(s, now_us);
    if (now_us < s->ticked_us) forgive_clock(s, now_us);
    s->ticked_us = now_us;
    while (s->heard.head != NONE && silent(s, s->heard.head, now_us)) co_scheduler_remove(s, s->heard.head, CO_LEAVE_SILENT, now_us);
    wake_rested(s, now_us);
    co_dispatch(s, now_us);
}

uint64_t co_scheduler_deadline(const co_scheduler *s, uint64_t now_us)
{
    uint64_t due = now_us + CO_POLL_MOST_MS * UINT64_C(1000);
    if (s->heard.head != NONE) {
        uint64_t loss = s->workers[s->heard.head].heard_us + s->lease_us + 1;
        if (loss < due) due = loss;
    }
    if (s->lease_count && s->line[IDLE].head != NONE && due > now_us + CO_BACKUP_LEAST_US) due = now_us + CO_BACKUP_LEAST_US;
    return due > now_us ? due : now_us;
}
