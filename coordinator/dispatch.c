/* Who gets what: fresh units in order, after those that were given back; suspects alone; at the end of the queue, units that others hold. */
#include "coordinator/ledger.h"

/* ---- queues of units ---- */

static uint32_t pop(job *j, uint32_t *stack)
{
    uint32_t ui = *stack;
    *stack = j->units[ui].next;
    j->units[ui].queued = 0;
    return ui;
}

/* Drops units from the top whose result came while they waited. Returns the top. */
static uint32_t top(job *j, uint32_t *stack)
{
    while (*stack != NONE && j->units[*stack].state != OPEN) (void)pop(j, stack);
    return *stack;
}

static int has_work(job *j)
{
    return !ended(j) && (top(j, &j->redo) != NONE || top(j, &j->suspects) != NONE || j->fresh < j->count);
}

/* A suspect is given to a worker with empty hands, which then gets nothing else; one worker at a time empties its hands for that. */
static uint32_t pick_suspect(co_scheduler *s, job *j, worker *w)
{
    if (top(j, &j->suspects) == NONE) return NONE;
    if (w->in_hand == 0) {
        if (s->reserved == w->number) s->reserved = 0;
        w->alone = 1;
        return pop(j, &j->suspects);
    }
    if (!s->reserved) s->reserved = w->number;
    return NONE;
}

/* A unit of the job for this worker, taken out of its queue, or NONE. */
static uint32_t pick_of(co_scheduler *s, job *j, worker *w)
{
    uint32_t ui = pick_suspect(s, j, w);
    if (ui != NONE || s->reserved == w->number) return ui;
    ui = top(j, &j->redo);
    if (ui != NONE && (j->units[ui].shun != w->number || s->worker_count == 1)) return pop(j, &j->redo);
    while (j->fresh < j->count && j->units[j->fresh].state != OPEN) j->fresh++;
    return j->fresh < j->count ? j->fresh++ : NONE;
}

static uint32_t pick(co_scheduler *s, worker *w, job **from)
{
    if (s->reserved == w->number && w->in_hand == 0) s->reserved = 0; /* set again if there still is a suspect */
    for (uint32_t i = 0; i < s->job_count; i++) {
        job *j = s->jobs[i];
        if (ended(j)) continue;
        uint32_t ui = pick_of(s, j, w);
        if (ui != NONE) {
            *from = j;
            return ui;
        }
        if (s->reserved == w->number) break;
    }
    return NONE;
}

/* ---- giving out work ---- */

static int give_one(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    job *j = NULL;
    uint32_t ui = w->in_hand < co_ledger_credit(w, now_us) ? pick(s, w, &j) : NONE;
    if (ui != NONE) co_ledger_assign(s, wi, j, ui, now_us);
    co_ledger_settle(s, wi, now_us);
    return ui != NONE;
}

static int work_left(const co_scheduler *s)
{
    for (uint32_t i = 0; i < s->job_count; i++)
        if (has_work(s->jobs[i])) return 1;
    return 0;
}

/* One unit a worker and round, so that a short queue is spread over all. */
static void feed(co_scheduler *s, uint64_t now_us)
{
    int given = 1;
    while (given && !s->broken && work_left(s)) {
        given = 0;
        for (uint32_t wi = s->hungry.head, next; wi != NONE; wi = next) {
            next = HUNGRY(wi).next;
            given |= give_one(s, wi, now_us);
        }
    }
}

/* A lease that its worker has not begun, the newest first: better done by an idle worker. */
static uint32_t find_waiting(const co_scheduler *s, const job *j, uint32_t wi)
{
    uint32_t li = j->leases.tail;
    for (unsigned n = 0; li != NONE && n < CO_SCAN_MOST; n++, li = s->leases[li].in_job.prev) {
        const lease *l = &s->leases[li];
        if (!l->begun && l->worker != wi && j->units[l->unit].lease[1] == NONE) return li;
    }
    return NONE;
}

/* Whether a copy of a running unit is worth while: the thief would be done long before, or it is out for far longer than is usual. */
static int worth_copying(const co_scheduler *s, const lease *l, const worker *thief, uint64_t now_us)
{
    uint64_t out_us = now_us - l->began_us, its = s->workers[l->worker].unit_us, ours = thief->unit_us;
    uint64_t usual = its ? its : 3 * l->job->unit_us; /* it has finished nothing yet: it may be fetching the pack */
    if (!usual || out_us < CO_BACKUP_LEAST_US) return 0;
    uint64_t remaining = usual > out_us ? usual - out_us : 0;
    return (ours && remaining > 2 * ours) || out_us * 100 > usual * CO_BACKUP_PERCENT;
}

static uint32_t find_late(const co_scheduler *s, const job *j, uint32_t wi, uint64_t now_us)
{
    uint32_t li = j->leases.head;
    for (unsigned n = 0; li != NONE && n < CO_SCAN_MOST; n++, li = s->leases[li].in_job.next) {
        const lease *l = &s->leases[li];
        const unit *u = &j->units[l->unit];
        if (!l->begun || l->worker == wi || u->lease[1] != NONE || u->deaths >= CO_DEATHS_ALONE) continue;
        if (worth_copying(s, l, &s->workers[wi], now_us)) return li;
    }
    return NONE;
}

/* Gives an idle worker something that another holds. */
static int relieve_one(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    for (uint32_t i = 0; i < s->job_count; i++) {
        job *j = s->jobs[i];
        if (j->leases.head == NONE) continue;
        uint32_t waiting = find_waiting(s, j, wi), late = waiting == NONE ? find_late(s, j, wi, now_us) : NONE;
        if (waiting == NONE && late == NONE) continue;
        uint32_t ui = s->leases[waiting != NONE ? waiting : late].unit;
        if (waiting != NONE) co_ledger_revoke(s, waiting, 0, now_us);
        co_ledger_assign(s, wi, j, ui, now_us);
        co_ledger_settle(s, wi, now_us);
        return 1;
    }
    return 0;
}

static int idle(const worker *w) { return w->in_hand < w->threads; }

static void relieve(co_scheduler *s, uint64_t now_us)
{
    uint32_t wi = s->hungry.head;
    for (unsigned n = 0; wi != NONE && n < CO_SCAN_MOST && !s->broken; n++) {
        uint32_t next = HUNGRY(wi).next;
        worker *w = &s->workers[wi];
        if (idle(w) && !w->alone && s->reserved != w->number && !relieve_one(s, wi, now_us)) return;
        wi = next;
    }
}

void co_dispatch(co_scheduler *s, uint64_t now_us)
{
    if (s->held) return;
    feed(s, now_us);
    relieve(s, now_us);
}
