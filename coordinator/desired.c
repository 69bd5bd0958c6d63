/* The rule behind desired_workers: see coordinator/desired.h and docs/SCALING.md. */
#include "coordinator/desired.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/limits.h"

#define SECOND 1e6

static double positive(double x) { return isfinite(x) && x > 0 ? x : 0; }
static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t greatest(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* So little less than a whole worker changes nothing worth a worker's start. */
static uint32_t whole(double workers) { return workers >= CO_DESIRED_MOST ? CO_DESIRED_MOST : (uint32_t)ceil(workers - 1e-9); }

void co_desired_init(co_desired *d, const co_scaling *rule)
{
    *d = (co_desired){ .rule = *rule };
    if (!d->rule.target_s) d->rule.target_s = CO_TARGET_S;
    if (!d->rule.max || d->rule.max > CO_DESIRED_MOST) d->rule.max = CO_DESIRED_MOST;
    d->rule.min = least(d->rule.min, CO_DESIRED_MOST);
    d->rule.max = greatest(d->rule.max, d->rule.min);
    d->workers = d->rule.min;
    d->spread = CO_SPREAD;
}

/* ---- what was done in the last target_s ---- */

static void pass_time(co_desired *d, uint64_t passed_us)
{
    uint64_t width_us = (uint64_t)d->rule.target_s * 1000000 / CO_DESIRED_BUCKETS + 1;
    d->bucket_us += passed_us;
    for (unsigned n = 0; d->bucket_us >= width_us; n++) {
        if (n == CO_DESIRED_BUCKETS) { /* all of it is past */
            d->bucket_us %= width_us;
            return;
        }
        d->bucket_us -= width_us;
        d->bucket = (d->bucket + 1) % CO_DESIRED_BUCKETS;
        d->done[d->bucket] = 0;
    }
}

static double note_done(co_desired *d, double done)
{
    double sum = 0;
    if (done > d->last_done) d->done[d->bucket] += done - d->last_done;
    d->last_done = done;
    for (unsigned i = 0; i < CO_DESIRED_BUCKETS; i++) sum += d->done[i];
    return sum;
}

/* ---- how long a worker takes to start ---- */

static void drop_oldest(co_desired *d)
{
    d->ordered -= d->order[0].count;
    memmove(d->order, d->order + 1, --d->orders * sizeof d->order[0]);
}

/* Workers have come: those asked for longest ago. */
static void note_joined(co_desired *d, uint64_t joined)
{
    uint64_t came = joined > d->last_joined ? joined - d->last_joined : 0;
    d->last_joined = joined;
    for (; came && d->orders; came--) {
        double took_s = (double)d->order[0].age_us / SECOND;
        d->start_s += (took_s - d->start_s) / (d->start_s > 0 ? CO_START_FADE : 1);
        d->ordered--;
        if (--d->order[0].count == 0) drop_oldest(d);
    }
}

/* One that has not come for so long never will, and teaches nothing. */
static void age_orders(co_desired *d, uint64_t passed_us)
{
    for (uint32_t i = 0; i < d->orders; i++) d->order[i].age_us += passed_us;
    while (d->orders && (double)d->order[0].age_us > CO_START_MOST_S * SECOND) drop_oldest(d);
}

/* The orders are what is missing: new ones for what is missing more, the newest withdrawn for what is missing less. */
static void order(co_desired *d, uint32_t present)
{
    uint32_t missing = d->workers > present ? d->workers - present : 0;
    if (missing > d->ordered) {
        if (d->orders == CO_DESIRED_ORDERS) d->orders--, d->ordered -= d->order[d->orders].count;
        d->order[d->orders].age_us = 0;
        d->order[d->orders++].count = missing - d->ordered;
        d->ordered = missing;
    }
    while (d->ordered > missing) {
        uint32_t *count = &d->order[d->orders - 1].count, take = least(*count, d->ordered - missing);
        d->ordered -= take;
        *count -= take;
        if (!*count) d->orders--;
    }
}

/* ---- speeds ---- */

/* The mean since the work began, later the mean of the last seconds. */
static void note_speed(co_desired *d, const co_demand *m, uint64_t passed_us)
{
    if (m->measured >= 3) d->spread = m->spread;
    if (!m->jobs) d->speed_s = 0;
    if (m->speed <= 0) return;
    double passed_s = (double)passed_us / SECOND;
    d->speed_s = fmin(d->speed_s + passed_s, CO_SPEED_FADE_S);
    d->speed = d->speed > 0 && d->speed_s > passed_s ? d->speed + (m->speed - d->speed) * passed_s / d->speed_s : m->speed;
}

/* n workers would be needed: those that have been measured, and of the others fewer, as the mean of a few may be too low. */
static double doubted(const co_desired *d, const co_demand *m, double n)
{
    double known = m->measured, error = known > 0 ? CO_SPREAD_SURE * d->spread / sqrt(known) : 0;
    return n > known ? known + (n - known) * (1 - fmin(error, 0.5)) : n;
}

/* Workers that share cores make each other slower: their rule would ask for more and more. When half as many again (two at least) have brought less than a
 * fifth of what they should, there is no use in more until the work is done. */
static void gains(co_desired *d, const co_demand *m)
{
    if (!m->jobs) d->base_measured = d->ceiling = 0;
    if (!m->jobs || m->speed <= 0) return;
    int grown = m->measured >= d->base_measured + 2 && 2 * m->measured >= 3 * d->base_measured;
    if (d->base_measured && !grown) return;
    if (d->base_measured) {
        double more = (double)m->measured / d->base_measured, faster = more * m->speed / d->base_speed;
        if (faster - 1 < CO_GAIN_LEAST * (more - 1)) d->ceiling = m->measured;
    }
    d->base_measured = m->measured;
    d->base_speed = m->speed;
}

/* ---- the rule ---- */

/* How many workers the work would take. */
static double needed(const co_desired *d, const co_demand *m, double done)
{
    double threads = m->threads ? (double)m->threads / m->workers : 1, most = m->open ? (double)m->tiles_left / threads : m->busy, n;
    if (!m->tiles_left) return 0;
    if (d->rule.target_queue) n = (double)m->tiles_left / d->rule.target_queue;
    else n = d->speed > 0 ? doubted(d, m, (m->sure + done) / (d->speed * d->rule.target_s)) : 1;
    if (n > most) n = most; /* no more than have something to do */
    return n < 1 ? 1 : n;
}

/* Whether those present will be done before another could be here. */
static int too_late(const co_desired *d, const co_demand *m)
{
    return m->workers && m->measured && d->start_s > 0 && m->left <= d->speed * m->workers * d->start_s;
}

static uint64_t hold_us(const co_desired *d)
{
    double hold_s = d->start_s > d->rule.cool_down_s ? d->start_s : d->rule.cool_down_s;
    return (uint64_t)(hold_s * SECOND);
}

static void lower(co_desired *d, uint32_t wanted, uint64_t passed_us)
{
    if (wanted >= d->workers) {
        d->below_us = d->below_peak = 0;
        return;
    }
    d->below_peak = greatest(d->below_peak, wanted);
    d->below_us += passed_us;
    if (d->below_us < hold_us(d)) return;
    d->workers = d->below_peak;
    d->below_us = d->below_peak = 0;
}

static void say(co_desired *d, const co_demand *m, const char *why)
{
    if (why) (void)snprintf(d->reason, sizeof d->reason, "%s", why);
    else if (!m->tiles_left) (void)snprintf(d->reason, sizeof d->reason, "idle");
    else if (d->rule.target_queue) (void)snprintf(d->reason, sizeof d->reason, "%llu tiles, %u for each worker", (unsigned long long)m->tiles_left, d->rule.target_queue);
    else if (d->speed <= 0) (void)snprintf(d->reason, sizeof d->reason, "the first tiles will tell");
    else (void)snprintf(d->reason, sizeof d->reason, "%.0f worker-seconds are left, in %u s", m->left / d->speed, d->rule.target_s);
}

static void decide(co_desired *d, const co_demand *m, uint64_t passed_us)
{
    const char *why = NULL;
    uint32_t up = whole(d->exact / CO_DESIRED_SLACK), down = whole(d->exact);
    if (d->ceiling && up > d->ceiling) {
        why = "more would not be faster: those that came last share cores with the others";
        up = least(up, greatest(d->ceiling, d->workers));
    }
    if (up > greatest(d->workers, m->workers) && too_late(d, m)) {
        why = "the work will be done before another worker could start";
        up = greatest(d->workers, m->workers);
    }
    if (up > d->rule.max) why = "as many as are allowed (--max-workers)";
    up = least(up, d->rule.max);
    if (up > d->workers) d->workers = up;
    if (m->open && d->exact > CO_DESIRED_BAND * d->workers) down = d->workers; /* in the middle of the work an estimate may waver */
    down = greatest(least(down, d->rule.max), d->rule.min);
    lower(d, down, passed_us);
    if (!why && d->below_us) why = m->tiles_left ? "less is needed: cooling down" : "idle: cooling down";
    say(d, m, why);
}

uint32_t co_desired_update(co_desired *d, uint64_t now_us, const co_demand *m)
{
    uint64_t passed_us = d->begun && now_us > d->last_us ? now_us - d->last_us : 0;
    if (passed_us > CO_DESIRED_GAP_MS * UINT64_C(1000)) passed_us = CO_DESIRED_GAP_MS * UINT64_C(1000); /* the clock has jumped, or we slept */
    if (!d->begun) d->last_joined = m->joined, d->last_done = m->done;
    d->begun = 1;
    d->last_us = now_us;
    d->age_us += passed_us;
    pass_time(d, passed_us);
    age_orders(d, passed_us);
    note_joined(d, m->joined);
    note_speed(d, m, passed_us);
    gains(d, m);
    d->exact = positive(needed(d, m, note_done(d, positive(m->done))));
    d->settled = d->age_us >= hold_us(d);
    if (!d->settled) d->workers = greatest(d->workers, least(m->workers, d->rule.max)); /* those that are here stay for now */
    decide(d, m, passed_us);
    order(d, m->workers);
    return d->workers;
}
