/* What is known of workers' speeds, and what follows: how much a worker may hold, and for how long all would be busy.
 *
 * The measure of work is the ray: results tell how many they took, which is the same on every machine, and how long that took, which tells the
 * worker's speed. Both are remembered as sums that fade: each result counts by its size. */
#include "coordinator/ledger.h"

enum { FADE_WORKER = 4, FADE_ALL = 64 }; /* results after which an old one counts a third */

static void fade(uint64_t *sum, unsigned results, uint64_t value) { *sum = *sum - *sum / results + value; }

static uint64_t within(uint64_t value, uint64_t least, uint64_t most) { return value < least ? least : value > most ? most : value; }

double co_ledger_us_per_ray(const co_scheduler *s, const worker *w)
{
    if (w->sum_rays) return (double)w->sum_us / (double)w->sum_rays;
    return s->sum_rays ? (double)s->sum_us / (double)s->sum_rays : 0;
}

void co_ledger_set_rate(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    uint8_t able = !w->draining && now_us >= w->rest_until_us;
    double us_per_ray = co_ledger_us_per_ray(s, w);
    s->rate -= w->rate;
    s->rated_threads -= w->rate ? w->threads : 0;
    s->able_threads -= w->able ? w->threads : 0;
    w->rate = able && us_per_ray > 0 ? (uint64_t)(w->threads * 1e6 / us_per_ray) : 0;
    w->able = able;
    s->rate += w->rate;
    s->rated_threads += w->rate ? w->threads : 0;
    s->able_threads += able ? w->threads : 0;
}

double co_ledger_mean_us_per_ray(const co_scheduler *s) { return s->rate ? s->rated_threads * 1e6 / (double)s->rate : 0; }

double co_ledger_time_for(const co_scheduler *s, const job *j, const worker *w, uint32_t ui, uint16_t bands)
{
    return (double)co_order_rays(s, j, ui, co_ledger_paths(j, ui, bands)) * co_ledger_us_per_ray(s, w);
}

/* Numbers from a worker are believed within bounds: they decide on order and sizes, never on what is right. */
void co_ledger_learn(co_scheduler *s, uint32_t wi, uint64_t paths, uint64_t rays, uint64_t micros)
{
    worker *w = &s->workers[wi];
    micros = within(micros, 1, UINT32_MAX);
    rays = within(rays, paths / 16 + 1, paths * 4096 + 1);
    fade(&w->sum_us, FADE_WORKER, micros);
    fade(&w->sum_rays, FADE_WORKER, rays);
    fade(&s->sum_us, FADE_ALL, micros);
    fade(&s->sum_rays, FADE_ALL, rays);
    fade(&s->sum_paths, FADE_ALL, paths);
}

/* A ping waits behind the worker's own results, so that a slow line looks like a long one; more in hand would only make that queue longer. So the least of
 * some time counts: of this stretch of time and the one before. */
void co_ledger_note_rtt(worker *w, uint64_t rtt_us, uint64_t now_us)
{
    if (rtt_us > CO_RTT_MOST_US) rtt_us = CO_RTT_MOST_US;
    if (!w->rtt_least_us[0] || now_us < w->rtt_since_us || now_us - w->rtt_since_us > CO_RTT_WINDOW_US) {
        w->rtt_least_us[1] = w->rtt_least_us[0] ? w->rtt_least_us[0] : rtt_us;
        w->rtt_least_us[0] = rtt_us;
        w->rtt_since_us = now_us;
    }
    if (rtt_us < w->rtt_least_us[0]) w->rtt_least_us[0] = rtt_us;
    w->rtt_us = w->rtt_least_us[0] < w->rtt_least_us[1] ? w->rtt_least_us[0] : w->rtt_least_us[1];
}

/* What is open in rays: tiles ahead by what each is known to cost, the rest (the first pass, what came back) by the mean of the last results. */
static double open_rays(const co_scheduler *s)
{
    double mean = (double)s->sum_rays / (double)s->sum_paths, open = (double)s->open_paths;
    if (s->known_paths < 1) return open * mean;
    if (s->known_paths > open) return s->known_rays * open / s->known_paths; /* some of it is in already, from a former life */
    return s->known_rays + (open - s->known_paths) * mean;
}

double co_ledger_time_left_us(const co_scheduler *s)
{
    return s->rate && s->sum_paths ? open_rays(s) * co_ledger_mean_us_per_ray(s) / s->able_threads : 0;
}

/* One unit waits beside those that run, and more while what waits is used up in a round trip and a little more. Near the end nothing
 * waits: a moment's idleness costs less there than a unit in the wrong hands. */
int co_ledger_can_take(const co_scheduler *s, const worker *w, uint64_t now_us)
{
    if (w->draining || now_us < w->rest_until_us) return 0;
    if (w->alone) return w->in_hand < 1;
    if (w->in_hand < w->threads) return 1;
    if (w->held_up) return 0;
    double thread_us = co_ledger_us_per_ray(s, w) / w->threads, left_us = co_ledger_time_left_us(s);
    if (s->rate && left_us < CO_END * (double)w->hand_rays * thread_us) return 0;
    if (w->in_hand == w->threads) return 1;
    if (!w->sum_rays || w->in_hand >= w->threads + CO_CREDIT_MOST) return 0;
    double slack_us = left_us < CO_CREDIT_SHARE * (double)CO_CREDIT_SLACK_US ? left_us / CO_CREDIT_SHARE : CO_CREDIT_SLACK_US;
    return (double)w->waiting_rays * thread_us < (double)w->rtt_us + slack_us;
}

void co_ledger_settle(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    uint8_t appetite = !co_ledger_can_take(s, w, now_us) ? SATED : w->in_hand < w->threads ? IDLE : HUNGRY;
    if (w->appetite == IDLE) s->idle_threads -= w->idle;
    w->idle = appetite == IDLE ? w->threads - w->in_hand : 0;
    s->idle_threads += w->idle;
    if (appetite == w->appetite) return;
    if (w->appetite) LIST_REMOVE(&s->line[w->appetite], wi, IN_LINE);
    if (appetite) LIST_APPEND(&s->line[appetite], wi, IN_LINE);
    s->idled |= appetite == IDLE;
    w->appetite = appetite;
}
