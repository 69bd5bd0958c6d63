/* The invariants of coordinator/scheduler.h, checked the slow way. For tests. */
#include "coordinator/ledger.h"

static const char *audit_unit(const co_scheduler *s, const job *j, uint32_t ui)
{
    const unit *u = &j->units[ui];
    int copies = (u->lease[0] != NONE) + (u->lease[1] != NONE);
    if (u->lease[0] == NONE && copies) return "a backup without a first copy";
    if ((u->state == LEASED) != (copies > 0)) return "a unit's state and its leases differ";
    for (int k = 0; k < copies; k++)
        if (s->leases[u->lease[k]].job != j || s->leases[u->lease[k]].unit != ui) return "a unit's lease is another's";
    if (u->state == OPEN && !u->queued && ui < j->fresh && !ended(j)) return "an open unit is in no queue";
    return NULL;
}

static const char *audit_job(const co_scheduler *s, const job *j)
{
    uint32_t done = 0, aside = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        const char *wrong = ended(j) ? NULL : audit_unit(s, j, i);
        if (wrong) return wrong;
        done += j->units[i].state == DONE;
        aside += j->units[i].state == ASIDE;
    }
    if (done != j->done || aside != j->aside) return "a job's counts are wrong";
    if (ended(j) && j->leases.head != NONE) return "a lease of a job that has ended";
    if (!ended(j) && done + aside == j->count) return "a job that should have ended";
    return j->sums.state == CO_JOB_DONE && done != j->count ? "a job is done with a hole" : NULL;
}

static const char *audit_worker(const co_scheduler *s, const worker *w)
{
    uint32_t held = 0, begun = 0;
    for (uint32_t li = w->leases.head; li != NONE; li = s->leases[li].in_worker.next) {
        held++;
        begun += s->leases[li].begun;
    }
    if (held != w->in_hand || begun != w->begun) return "a worker's counts are wrong";
    if (begun > w->threads || (begun < w->threads && begun < held)) return "a worker's threads are idle while it holds more";
    return held > w->threads + (w->threads > CO_CREDIT_MOST ? w->threads : CO_CREDIT_MOST) ? "a worker above every credit" : NULL;
}

const char *co_scheduler_audit(const co_scheduler *s)
{
    if (s->broken) return "out of memory";
    for (uint32_t i = 0; i < s->job_count; i++) {
        const char *wrong = audit_job(s, s->jobs[i]);
        if (wrong) return wrong;
    }
    for (uint32_t wi = s->heard.head; wi != NONE; wi = s->workers[wi].in_heard.next) {
        const char *wrong = audit_worker(s, &s->workers[wi]);
        if (wrong) return wrong;
    }
    return NULL;
}
