/* The invariants of coordinator/scheduler.h, checked the slow way. For tests. */
#include "coordinator/ledger.h"

/* The leases of a unit: theirs, and no band with more than a first lease and a copy. */
static const char *audit_leases(const co_scheduler *s, const job *j, uint32_t ui)
{
    uint16_t once = 0, twice = 0;
    for (uint32_t li = j->units[ui].leases; li != NONE; li = s->leases[li].in_unit) {
        const lease *l = &s->leases[li];
        if (l->job != j || l->unit != ui || !l->id) return "a unit's lease is another's";
        if (!l->bands || (l->bands & ~co_ledger_bands(j, ui))) return "a lease of bands that the unit does not have";
        if (l->kind == CHECK) continue;
        if (!(l->bands & ~j->units[ui].done)) return "a lease of what is done";
        if (l->bands & twice & ~j->units[ui].done) return "a band is out three times";
        twice |= once & l->bands;
        once |= l->bands;
    }
    return NULL;
}

static const char *audit_unit(const co_scheduler *s, const job *j, uint32_t ui)
{
    const unit *u = &j->units[ui];
    if (!u->queued && !u->aside && u->given && co_ledger_open(s, j, ui)) return "open bands are in no queue";
    return audit_leases(s, j, ui);
}

static const char *audit_sums(const co_scheduler *s, const job *j)
{
    uint32_t done = 0, aside = 0;
    uint64_t open = 0, samples = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        uint16_t bands = co_ledger_open(s, j, i);
        done += (uint32_t)co_ledger_is_done(j, i);
        aside += j->units[i].aside;
        open += bands ? co_ledger_paths(j, i, bands) : 0;
        samples += j->units[i].done ? co_ledger_paths(j, i, j->units[i].done) : 0;
    }
    if (done != j->done || aside != j->aside) return "a job's counts are wrong";
    if (!ended(j) && open != j->open_paths) return "a job's open paths are counted wrongly";
    if (samples != j->sums.samples_done) return "a job's samples are counted wrongly";
    if (!ended(j) && done + aside == j->count && !co_checks_pending(j)) return "a job that should have ended";
    return j->sums.state == CO_JOB_DONE && done != j->count ? "a job is done with a hole" : NULL;
}

static const char *audit_job(const co_scheduler *s, const job *j)
{
    for (uint32_t i = 0; i < j->count && !ended(j); i++) {
        const char *wrong = audit_unit(s, j, i);
        if (wrong) return wrong;
    }
    if (ended(j) && j->leases.head != NONE) return "a lease of a job that has ended";
    return audit_sums(s, j);
}

static const char *audit_worker(const co_scheduler *s, const worker *w)
{
    uint32_t held = 0, begun = 0;
    uint64_t waiting = 0;
    for (uint32_t li = w->leases.head; li != NONE; li = s->leases[li].in_worker.next) {
        held++;
        begun += s->leases[li].begun;
        waiting += s->leases[li].begun ? 0 : s->leases[li].rays;
        if (ended(s->leases[li].job)) return "a worker holds a lease of a job that has ended";
    }
    if (held != w->in_hand || begun != w->begun || waiting != w->waiting_rays) return "a worker's counts are wrong";
    if (begun > w->threads || (begun < w->threads && begun < held)) return "a worker's threads are idle while it holds more";
    return held > w->threads + CO_CREDIT_MOST ? "a worker above every credit" : NULL;
}

const char *co_scheduler_audit_peer(const co_scheduler *s, uint32_t peer)
{
    uint32_t wi = co_ledger_worker(s, peer);
    if (s->broken) return "out of memory";
    const char *wrong = wi == NONE ? NULL : audit_worker(s, &s->workers[wi]);
    for (uint32_t li = wi == NONE ? NONE : s->workers[wi].leases.head; li != NONE && !wrong; li = s->leases[li].in_worker.next)
        wrong = audit_leases(s, s->leases[li].job, s->leases[li].unit);
    return wrong;
}

static const char *audit_lines(const co_scheduler *s)
{
    uint32_t idle = 0, workers = 0;
    uint32_t rated = 0, able = 0;
    uint64_t rate = 0;
    for (uint32_t wi = s->heard.head; wi != NONE; wi = s->workers[wi].in_heard.next) {
        const worker *w = &s->workers[wi];
        workers++;
        rate += w->rate;
        rated += w->rate ? w->threads : 0;
        able += w->able ? w->threads : 0;
        if (w->appetite == IDLE) idle += w->idle;
    }
    if (idle != s->idle_threads || workers != s->worker_count || rate != s->rate || rated != s->rated_threads ||
        able != s->able_threads)
        return "the workers are counted wrongly";
    return NULL;
}

const char *co_scheduler_audit(const co_scheduler *s)
{
    uint64_t open = 0;
    if (s->broken) return "out of memory";
    for (uint32_t i = 0; i < s->job_count; i++) {
        const char *wrong = audit_job(s, s->jobs[i]);
        if (wrong) return wrong;
        open += ended(s->jobs[i]) ? 0 : s->jobs[i]->open_paths;
    }
    if (open != s->open_paths) return "the open paths of all jobs are counted wrongly";
    for (uint32_t wi = s->heard.head; wi != NONE; wi = s->workers[wi].in_heard.next) {
        const char *wrong = audit_worker(s, &s->workers[wi]);
        if (wrong) return wrong;
    }
    return audit_lines(s);
}
