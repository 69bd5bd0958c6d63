/* Who gets what.
 *
 * While there is plenty, a worker gets whole units, jobs in turn: suspects alone, what was given back, tiles to be checked, then what was never
 * given out (order.c). Near the end, pieces become smaller, a share of the time that is left (factoring: Hummel, Schonberg, Flynn 1992), so that all end together:
 * the sooner, the less is known of a tile's cost or a worker's speed, so that even the dearest tile on the slowest worker is done in time. What waits behind
 * something that takes far longer than was thought goes to others (late.c); and a slow worker gets nothing that the others would have done before it. What by its worker's speed or its tile's cost, as they are known by now, will outlast
 * all of that is done again beside it, piece by piece, while there still is time. At the end, a worker with a thread to spare takes what another has not
 * begun, or a copy of bands that another is late with; copies are limited to a small share of the job, unless nothing else comes in and the other is
 * beyond all patience. */
#include "coordinator/ledger.h"

typedef struct choice {
    job *job;
    uint32_t unit, record; /* record: of a check, else NONE */
    uint16_t bands;
    uint8_t kind; /* enum lease_kind */
    double copied_rays; /* of a copy: what it will take */
} choice;

/* ---- queues of units ---- */

static void pop(job *j, uint32_t *stack)
{
    unit *u = &j->units[*stack];
    *stack = u->next;
    u->queued = 0;
}

/* Drops units from the top that have no open bands any more. Returns the top. */
static uint32_t top(const co_scheduler *s, job *j, uint32_t *stack)
{
    while (*stack != NONE && (j->units[*stack].aside || !co_ledger_open(s, j, *stack))) pop(j, stack);
    return *stack;
}

/* ---- how much of it ---- */

/* The lowest run of neighbouring bands, and no more than `count` of them. */
static uint16_t lowest(uint16_t bands, uint32_t count)
{
    uint32_t run = co_bands_run(bands), first = (uint32_t)__builtin_ctz(run);
    return (uint16_t)(run & (((1u << count) - 1) << first));
}

/* Of a run of bands, so many as this worker does in a time, and one at least. */
static uint16_t within(const co_scheduler *s, const job *j, const worker *w, uint32_t ui, uint16_t bands, double time_us)
{
    uint16_t run = co_bands_run(bands);
    uint32_t count = (uint32_t)__builtin_popcount(run);
    double whole_us = co_ledger_time_for(s, j, w, ui, run);
    if (whole_us <= time_us) return run;
    uint32_t fitting = (uint32_t)(count * time_us / whole_us) + 1;
    return fitting < count ? lowest(run, fitting) : run;
}

/* What a unit of this job takes on average, on an average thread: by what has come in and what the tiles ahead are known to cost (the last results alone say
 * too much, as the dearest come first). */
static double usual_time(const co_scheduler *s, const job *j)
{
    double paths = (double)j->sums.samples_done + j->known_paths, rays = (double)j->sums.rays + j->known_rays;
    if (paths <= 0) { /* nothing of it has come in: as other jobs */
        paths = (double)s->sum_paths;
        rays = (double)s->sum_rays;
    }
    return paths > 0 ? (double)j->paths / j->count * rays / paths * co_ledger_mean_us_per_ray(s) : 0;
}

/* Of a run of bands, so many as hold about so many paths: before anything is known of speeds. */
static uint16_t share_of(const job *j, uint32_t ui, uint16_t bands, double paths)
{
    if (paths < CO_PATHS_DOUBTED) paths = CO_PATHS_DOUBTED;
    uint16_t run = co_bands_run(bands);
    uint32_t count = (uint32_t)__builtin_popcount(run);
    double share = paths / (double)co_ledger_paths(j, ui, run);
    return share < 1 ? lowest(run, (uint32_t)(count * share) + 1) : run;
}

/* The part of open bands that suits a worker: a run of them, but what lasts for long on a slow worker or near the end is given out in pieces; and what may last
 * for long, as far as is known, is cut as if it did. */
static uint16_t portion(const co_scheduler *s, const job *j, const worker *w, uint32_t ui, uint16_t open)
{
    uint32_t doubt = co_order_doubt(j, ui) * (w->sum_rays ? 1 : CO_DOUBT_SPEED);
    uint32_t threads = s->thread_count > CO_THREADS_HOPED ? s->thread_count : CO_THREADS_HOPED;
    if (!s->rate) return share_of(j, ui, open, (double)s->open_paths / threads / 2 / doubt);
    double most_us = co_ledger_time_left_us(s) / 2, usual_us = CO_PIECE_MOST * usual_time(s, j);
    most_us = (most_us > CO_PIECE_LEAST_US ? most_us : CO_PIECE_LEAST_US) / doubt;
    if (most_us < CO_PIECE_DOUBTED_US) most_us = CO_PIECE_DOUBTED_US;
    return within(s, j, w, ui, open, most_us < usual_us ? most_us : usual_us);
}

/* Results fail to come: whoever is there is welcome to whatever there is. */
static int is_stuck(const co_scheduler *s, uint64_t now_us)
{
    return since(now_us, s->result_us) > 4 * (uint64_t)co_ledger_time_left_us(s) + CO_STUCK_US;
}

static int is_slow(const co_scheduler *s, const worker *w)
{
    return s->rate && w->rate && s->worker_count > 1 && co_ledger_us_per_ray(s, w) >= CO_SLOW * co_ledger_mean_us_per_ray(s);
}

/* A suspect is given to a worker with empty hands, which then gets nothing else; one worker at a time empties its hands for that. Not to a
 * slow one: nobody may help it out. */
static uint32_t suspect_for(co_scheduler *s, job *j, worker *w, uint64_t now_us)
{
    uint32_t ui = top(s, j, &j->suspects);
    if (ui == NONE || (is_slow(s, w) && !is_stuck(s, now_us))) return NONE;
    if (w->in_hand == 0) return ui;
    if (!s->reserved) s->reserved = w->number;
    return NONE;
}

/* Whether the others would be done with all there is before this slow worker with this alone. */
static int better_left(const co_scheduler *s, const choice *c, const worker *w, uint64_t now_us)
{
    const unit *u = &c->job->units[c->unit];
    if (u->deaths || u->failures || !is_slow(s, w) || is_stuck(s, now_us)) return 0;
    return co_ledger_time_for(s, c->job, w, c->unit, c->bands) > co_ledger_time_left_us(s) + (double)w->rtt_us;
}

/* Bands of a lease that nobody else holds and that are not in. */
static uint16_t lonely_bands(const co_scheduler *s, const lease *l)
{
    const unit *u = &l->job->units[l->unit];
    uint16_t bands = (uint16_t)(l->bands & ~u->done);
    for (uint32_t li = u->leases; li != NONE; li = s->leases[li].in_unit)
        if (&s->leases[li] != l && s->leases[li].kind != CHECK) bands = (uint16_t)(bands & ~s->leases[li].bands);
    return bands;
}

/* ---- choosing ---- */

static int choose_given_back(co_scheduler *s, worker *w, choice *c, uint64_t now_us)
{
    job *j = c->job;
    uint32_t ui = suspect_for(s, j, w, now_us);
    if (ui == NONE && s->reserved == w->number) return 0;
    if (ui == NONE) {
        ui = top(s, j, &j->redo);
        if (ui == NONE || (j->units[ui].shun == w->number && s->worker_count > 1)) return 0;
    }
    uint16_t open = co_ledger_open(s, j, ui);
    c->unit = ui;
    c->bands = is_suspect(j, &j->units[ui]) ? co_bands_run(open) : portion(s, j, w, ui, open);
    return 1;
}

static int choose_fresh(co_scheduler *s, const worker *w, choice *c)
{
    c->unit = co_order_top(s, c->job);
    uint16_t open = c->unit == NONE ? 0 : co_ledger_open(s, c->job, c->unit);
    if (open) c->bands = portion(s, c->job, w, c->unit, open);
    return open != 0;
}

/* Whether a running lease will outlast all that is open: it was cheaper by what was known when it was given, or its worker is late. */
static int will_be_last(const co_scheduler *s, const lease *l, double left_us, uint64_t now_us)
{
    return l->begun && l->kind != CHECK && co_late_still_takes(s, l, now_us) > left_us + CO_PATIENCE_US;
}

/* A piece of something late, while there still is time for others to do it beside all else: not when everything else is done. The oldest leases come first. */
static int choose_late(co_scheduler *s, const worker *w, choice *c, uint64_t now_us)
{
    const job *j = c->job;
    uint32_t li = j->leases.head;
    double left_us = co_ledger_time_left_us(s);
    if (!s->rate || (now_us >= s->looked_us && now_us - s->looked_us < CO_COPY_COST_US)) return 0;
    for (unsigned n = 0; li != NONE && n < CO_LATE_SCAN; n++, li = s->leases[li].in_job.next) {
        const lease *l = &s->leases[li];
        uint16_t lonely = &s->workers[l->worker] != w && will_be_last(s, l, left_us, now_us) ? lonely_bands(s, l) : 0;
        if (!lonely || is_suspect(j, &j->units[l->unit])) continue;
        double worse = co_late_worse(s, l, now_us);
        uint16_t part = within(s, j, w, l->unit, lonely, left_us / 2 / worse);
        if (co_ledger_time_for(s, j, w, l->unit, part) * worse > left_us || !co_late_affords(j, co_late_copy_rays(s, l, part, now_us), CO_EARLY_COPIES_PERCENT)) continue;
        c->unit = l->unit;
        c->bands = part;
        c->kind = COPY;
        c->copied_rays = co_late_copy_rays(s, l, part, now_us);
        return 1;
    }
    s->looked_us = now_us;
    return 0;
}

/* What the job has for this worker; nothing is changed but reservations. */
static int choose_of(co_scheduler *s, worker *w, job *j, choice *c, uint64_t now_us)
{
    *c = (choice){ .job = j, .record = NONE };
    if (choose_given_back(s, w, c, now_us)) return !better_left(s, c, w, now_us);
    if (s->reserved == w->number) return 0;
    c->record = co_checks_pick(s, j, w);
    if (c->record != NONE || choose_late(s, w, c, now_us)) return 1;
    return choose_fresh(s, w, c) && !better_left(s, c, w, now_us);
}

static int choose(co_scheduler *s, worker *w, choice *c, uint64_t now_us)
{
    if (s->reserved == w->number && w->in_hand == 0) s->reserved = 0; /* set again if there still is a suspect */
    for (job *j = s->turns; j; j = j->next) {
        if (choose_of(s, w, j, c, now_us)) return 1;
        if (s->reserved == w->number) return 0;
    }
    return 0;
}

/* ---- giving out work ---- */

/* Takes a unit out of where it waited; what is left of it waits to be given back first. */
static void take(co_scheduler *s, job *j, worker *w, uint32_t ui)
{
    unit *u = &j->units[ui];
    if (!u->queued) {
        co_order_pop(s, j);
    } else if (ui == j->suspects) {
        pop(j, &j->suspects);
        w->alone = 1;
    } else {
        pop(j, &j->redo);
    }
}

static void give(co_scheduler *s, uint32_t wi, const choice *c, uint64_t now_us)
{
    if (c->record != NONE) {
        co_checks_lease(s, c->job, c->record, wi, now_us);
        return;
    }
    if (c->kind == COPY) {
        c->job->copied_rays += c->copied_rays;
        co_ledger_assign(s, wi, c->job, c->unit, c->bands, COPY, NONE, now_us);
        return;
    }
    take(s, c->job, &s->workers[wi], c->unit);
    co_ledger_assign(s, wi, c->job, c->unit, c->bands, FIRST, NONE, now_us);
    (void)co_ledger_reopen(s, c->job, c->unit, 0, now_us);
}

static int give_one(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    choice c;
    int some = co_ledger_can_take(s, w, now_us) && choose(s, w, &c, now_us);
    if (some) give(s, wi, &c, now_us);
    co_ledger_settle(s, wi, now_us);
    return some;
}

static int work_left(co_scheduler *s)
{
    for (const job *j = s->turns; j; j = j->next)
        if (j->open_paths || j->checks.head != NONE) return 1;
    return 0;
}

/* One piece a worker and round, so that a short queue is spread over all. */
static int feed_line(co_scheduler *s, int line, uint64_t now_us)
{
    int given = 0;
    unsigned in_vain = 0;
    for (uint32_t wi = s->line[line].head, next; wi != NONE && in_vain < CO_SCAN_MOST; wi = next) {
        next = IN_LINE(wi).next;
        if (give_one(s, wi, now_us)) given = 1;
        else in_vain++;
    }
    return given;
}

/* Those with a thread to spare first. */
static void feed(co_scheduler *s, uint64_t now_us)
{
    while (!s->broken && work_left(s))
        if (!feed_line(s, IDLE, now_us) && !feed_line(s, HUNGRY, now_us)) return;
}

/* ---- at the end: what others hold ---- */

/* When a worker will have done all that it holds, by its speed. */
static double busy_for(const co_scheduler *s, const worker *w)
{
    return (double)w->waiting_rays * co_ledger_us_per_ray(s, w) / w->threads;
}

/* A lease that its worker has not begun: better done by an idle worker. Of those looked at, the one that would have to wait for longest. */
static uint32_t find_waiting(const co_scheduler *s, const job *j, uint32_t wi)
{
    uint32_t li = j->leases.tail, best = NONE;
    double longest = -1;
    for (unsigned n = 0; li != NONE && n < CO_SCAN_MOST; n++, li = s->leases[li].in_job.prev) {
        const lease *l = &s->leases[li];
        if (l->begun || l->worker == wi || l->kind == CHECK) continue;
        double waits = busy_for(s, &s->workers[l->worker]);
        if (waits <= longest) continue;
        longest = waits;
        best = li;
    }
    return best;
}

/* How long the workers would need for bands of a unit together: a band is done by one of them. */
static double time_for_all(const co_scheduler *s, const job *j, uint32_t ui, uint16_t bands)
{
    uint32_t count = (uint32_t)__builtin_popcount(bands), together = count < s->thread_count ? count : s->thread_count;
    return (double)co_order_rays(s, j, ui, co_ledger_paths(j, ui, bands)) * co_ledger_mean_us_per_ray(s) / together;
}

/* The part of a running lease that is worth doing again by this idle worker: a piece only, as others will be idle soon, and nothing that they would
 * have done sooner. 0: none. */
static uint16_t worth_copying(const co_scheduler *s, const lease *l, const worker *thief, double takes_us, uint64_t now_us)
{
    const job *j = l->job;
    uint16_t lonely = takes_us > 2 * CO_COPY_COST_US ? lonely_bands(s, l) : 0;
    if (!lonely || is_suspect(j, &j->units[l->unit])) return 0;
    uint32_t count = (uint32_t)__builtin_popcount(lonely), share = (count + s->idle_threads - 1) / s->idle_threads;
    double most_us = usual_time(s, j) / 2 < takes_us / 8 ? usual_time(s, j) / 2 : takes_us / 8;
    uint16_t part = within(s, j, thief, l->unit, lowest(lonely, share), most_us);
    double ours = co_ledger_time_for(s, j, thief, l->unit, part) + (double)thief->rtt_us + CO_COPY_COST_US;
    if (takes_us < 2 * ours || (!is_stuck(s, now_us) && ours > 2 * time_for_all(s, j, l->unit, lonely) + CO_COPY_COST_US + (double)thief->rtt_us)) return 0;
    if (co_late_affords(j, co_late_copy_rays(s, l, part, now_us), CO_COPIES_PERCENT)) return part;
    return co_late_beyond_patience(s, l, now_us) && is_stuck(s, now_us) ? part : 0;
}

/* The lease that would take longest; its part for this worker in *part. */
static uint32_t find_late(const co_scheduler *s, const job *j, uint32_t wi, uint16_t *part, uint64_t now_us)
{
    uint32_t li = j->leases.head, best = NONE;
    double longest = 0;
    for (unsigned n = 0; li != NONE && n < CO_SCAN_MOST; n++, li = s->leases[li].in_job.next) {
        const lease *l = &s->leases[li];
        double takes_us = co_late_still_takes(s, l, now_us);
        if (takes_us <= longest || !l->begun || l->worker == wi || l->kind == CHECK) continue;
        uint16_t worth = worth_copying(s, l, &s->workers[wi], takes_us, now_us);
        if (!worth) continue;
        longest = takes_us;
        best = li;
        *part = worth;
    }
    return best;
}

/* Opens what another has not begun; this worker gets its portion, and who is idle beside it the rest. */
static int steal(co_scheduler *s, uint32_t wi, job *j, uint64_t now_us)
{
    worker *w = &s->workers[wi];
    uint32_t li = find_waiting(s, j, wi);
    if (li == NONE) return 0;
    const lease *l = &s->leases[li];
    const worker *from = &s->workers[l->worker];
    uint32_t ui = l->unit;
    if (co_ledger_time_for(s, j, w, ui, lowest(l->bands, 1)) > busy_for(s, from)) return 0;
    co_ledger_revoke(s, li, 0, now_us);
    uint16_t open = co_ledger_open(s, j, ui);
    if (!open) return 0;
    co_ledger_assign(s, wi, j, ui, portion(s, j, w, ui, open), FIRST, NONE, now_us);
    (void)co_ledger_reopen(s, j, ui, 0, now_us);
    co_ledger_settle(s, wi, now_us);
    return 1;
}

static int copy(co_scheduler *s, uint32_t wi, job *j, uint64_t now_us)
{
    uint16_t part = 0;
    uint32_t li = find_late(s, j, wi, &part, now_us);
    if (li == NONE) return 0;
    j->copied_rays += co_late_copy_rays(s, &s->leases[li], part, now_us);
    co_ledger_assign(s, wi, j, s->leases[li].unit, part, COPY, NONE, now_us);
    co_ledger_settle(s, wi, now_us);
    return 1;
}

/* Gives an idle worker something that another holds. */
static int relieve_one(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    for (job *j = s->turns; j; j = j->next)
        if (j->leases.head != NONE && (steal(s, wi, j, now_us) || copy(s, wi, j, now_us))) return 1;
    return 0;
}

/* Whom nothing suits goes to the end of the line: a slow one must not stand before a quick one. */
static void to_the_end(co_scheduler *s, uint32_t wi)
{
    LIST_REMOVE(&s->line[IDLE], wi, IN_LINE);
    LIST_APPEND(&s->line[IDLE], wi, IN_LINE);
}

static int relieve_this(co_scheduler *s, uint32_t wi, uint64_t now_us)
{
    if (s->workers[wi].alone || s->reserved == s->workers[wi].number) return 0;
    return (work_left(s) && give_one(s, wi, now_us)) || relieve_one(s, wi, now_us); /* the rest of what was taken from another, first */
}

/* Who has just become idle is looked after at once, all others now and then. */
static void relieve(co_scheduler *s, uint64_t now_us)
{
    uint32_t newest = s->line[IDLE].tail;
    if (s->idled && newest != NONE && !s->broken) (void)relieve_this(s, newest, now_us);
    s->idled = 0;
    if (now_us >= s->relieved_us && now_us - s->relieved_us < CO_COPY_COST_US) return;
    s->relieved_us = now_us;
    unsigned in_vain = 0;
    for (unsigned n = 0; n < CO_SCAN_MOST && in_vain < CO_IN_VAIN_MOST && s->lease_count && !s->broken; n++) {
        uint32_t wi = s->line[IDLE].head;
        if (wi == NONE) return;
        if (relieve_this(s, wi, now_us)) continue;
        in_vain++;
        to_the_end(s, wi);
    }
}

/* A job whose units are all in waits for its checks alone. */
static void close_checks(co_scheduler *s, uint64_t now_us)
{
    for (job *j = s->turns, *next; j; j = next) {
        next = j->next;
        if (j->checks.head == NONE || j->done + j->aside < j->count) continue;
        co_checks_close(s, j, now_us);
        co_ledger_end_if_over(s, j, now_us);
    }
}

void co_dispatch(co_scheduler *s, uint64_t now_us)
{
    if (s->held) return;
    co_late_relieve(s, now_us);
    feed(s, now_us);
    if (s->lease_count && s->line[IDLE].head != NONE) relieve(s, now_us);
    close_checks(s, now_us);
}
