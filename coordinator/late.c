/* Who is late: by what is known of speeds and costs now, and by for how long a lease has been out. See coordinator/dispatch.c for what follows from that. */
#include "coordinator/ledger.h"

/* What a lease should take its worker, by what is known of its tile by now. */
static double usual_of(const co_scheduler *s, const lease *l)
{
    return co_ledger_time_for(s, l->job, &s->workers[l->worker], l->unit, l->bands);
}

/* How long a running lease will still take, as far as can be told. Who is late may be late for long. */
double co_late_still_takes(const co_scheduler *s, const lease *l, uint64_t now_us)
{
    const worker *w = &s->workers[l->worker];
    double usual = usual_of(s, l), out = (double)since(now_us, l->began_us);
    if (!w->sum_rays) usual *= CO_NEWCOMER; /* it may be fetching the scene */
    if (usual <= 0) return out > (double)s->lease_us ? out : 0;
    return usual > out ? usual - out : out / 2;
}

int co_late_beyond_patience(const co_scheduler *s, const lease *l, uint64_t now_us)
{
    const worker *w = &s->workers[l->worker];
    double fetching_us = w->sum_rays ? 0 : CO_NEWCOMER * (double)s->lease_us;
    return (double)since(now_us, l->began_us) > CO_LATE * usual_of(s, l) + CO_PATIENCE_US + fetching_us;
}

/* So many times what was thought. */
double co_late_worse(const co_scheduler *s, const lease *l, uint64_t now_us)
{
    double usual = usual_of(s, l), takes = (double)since(now_us, l->began_us) + co_late_still_takes(s, l, now_us);
    return takes > usual && usual > 0 ? takes / usual : 1;
}

/* What a copy of a part of a late lease will take, in rays. What is late may be dearer than was thought: then it is so for others, too. */
double co_late_copy_rays(const co_scheduler *s, const lease *l, uint16_t part, uint64_t now_us)
{
    return co_late_worse(s, l, now_us) * (double)co_order_rays(s, l->job, l->unit, co_ledger_paths(l->job, l->unit, part));
}

/* Whether copies stay within so many per cent of all that the job takes, by what its paths have taken so far. */
int co_late_affords(const job *j, double rays, unsigned percent)
{
    double done = (double)j->sums.samples_done;
    return done > 0 && (j->copied_rays + rays) * 100 * done <= (double)j->sums.rays * (double)j->paths * percent;
}

/* ---- who is held up ---- */

/* Whether a worker whose speed is known has been at all that it runs for much longer than was thought. */
static int is_held_up(const co_scheduler *s, const worker *w, uint64_t now_us)
{
    for (uint32_t li = w->leases.head; li != w->first_waiting; li = s->leases[li].in_worker.next)
        if ((double)since(now_us, s->leases[li].began_us) < CO_HELD_UP * usual_of(s, &s->leases[li]) + CO_PATIENCE_US) return 0;
    return w->sum_rays > 0;
}

/* Takes back what waits behind something late: it was cut for now, not for whenever that ends. Nothing waits there until that has ended. */
static void relieve_held_up(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    w->held_up = 1;
    while (w->first_waiting != NONE) {
        const lease *l = &s->leases[w->first_waiting];
        job *j = l->job;
        uint32_t ui = l->unit;
        co_ledger_revoke(s, w->first_waiting, 0, now_us);
        (void)co_ledger_reopen(s, j, ui, 0, now_us);
    }
    co_ledger_settle(s, wi, now_us);
}

/* Of the oldest leases of each job, the first whose worker is held up. */
void co_late_relieve(co_scheduler *s, uint64_t now_us)
{
    if (s->worker_count < 2 || (now_us >= s->held_up_us && now_us - s->held_up_us < CO_BACKUP_LEAST_US)) return;
    s->held_up_us = now_us;
    for (const job *j = s->turns; j; j = j->next) {
        uint32_t li = j->leases.head;
        for (unsigned n = 0; li != NONE && n < CO_LATE_SCAN; n++, li = s->leases[li].in_job.next) {
            uint32_t wi = s->leases[li].worker;
            if (s->workers[wi].held_up || !is_held_up(s, &s->workers[wi], now_us)) continue;
            relieve_held_up(s, wi, now_us);
            break; /* the list of leases is another now */
        }
    }
}

