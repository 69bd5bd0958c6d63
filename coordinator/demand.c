/* What there is to do and who does it, from the scheduler's books: what the rule of coordinator/desired.h goes by. */
#include "coordinator/desired.h"
#include "coordinator/ledger.h"

/* Rays that the rest of a job will take, by what its paths have taken so far. */
static double rays_left(const job *j)
{
    double done = (double)j->sums.samples_done, left = (double)j->paths - done;
    return done > 0 && left > 0 ? left * (double)j->sums.rays / done * (1 + j->verify / 100.0) : 0;
}

/* How much of that we are sure of: tiles differ about as much as they are dear, and the mean of n of them is wrong by one part in sqrt(n). */
static double sureness(const job *j) { return 1 - 1 / __builtin_sqrt(1.0 + j->done); }

static void count_job(co_demand *out, const job *j)
{
    double left = rays_left(j);
    out->jobs++;
    out->tiles_left += j->count - j->done - j->aside;
    out->left += left;
    out->sure += left * sureness(j);
}

static void count_worker(co_demand *out, const worker *w)
{
    if (w->draining) return;
    out->workers++;
    out->threads += w->threads;
    out->busy += w->in_hand > 0;
    if (!w->sum_rays || !w->sum_us) return;
    out->measured++;
    double speed = w->threads * 1e6 * (double)w->sum_rays / (double)w->sum_us;
    out->speed += speed;
    out->spread += speed * speed;
}

void co_scheduler_demand(const co_scheduler *s, co_demand *out)
{
    *out = (co_demand){ .joined = s->last_number, .open = s->open_paths > 0, .done = (double)s->rays_in };
    for (const job *j = s->turns; j; j = j->next) count_job(out, j);
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next) count_worker(out, &s->workers[wi]);
    if (!out->measured) return;
    out->speed /= out->measured;
    double variance = out->spread / out->measured / (out->speed * out->speed) - 1;
    out->spread = variance > 0 ? __builtin_sqrt(variance) : 0;
}
