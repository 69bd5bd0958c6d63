/* Time in the virtual world, and its beginning and end: see coordinator/world.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/world_internal.h"

void co_world_defaults(co_world_config *config)
{
    *config = (co_world_config){ .seed = 1, .workers = 8, .threads = 1, .jobs = 1, .picture = { .width = 1920, .height = 1080, .spp = 64 }, .unit_us = 20000,
                                 .noise_sigma = 0.1, .speed_ratio = 1, .delay_us = 200, .return_s = 1, .restart_every_us = 1000000, .end_s = 36000 };
}

/* ---- chance ---- */

/* PCG32 (O'Neill 2014). */
uint32_t world_random(world *w)
{
    uint64_t old = w->random;
    w->random = old * 6364136223846793005ull + 1442695040888963407ull;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), r = (uint32_t)(old >> 59);
    return x >> r | x << (-r & 31);
}

double world_uniform(world *w) { return ((double)world_random(w) + 0.5) / 4294967296.0; }

/* Box and Muller 1958. */
double world_normal(world *w)
{
    double radius = sqrt(-2 * log(world_uniform(w)));
    return radius * cos(2 * 3.14159265358979323846 * world_uniform(w));
}

double world_lognormal(world *w, double sigma) { return sigma > 0 ? exp(sigma * world_normal(w) - sigma * sigma / 2) : 1; }

int world_chance(world *w, uint32_t ppm) { return ppm && world_random(w) % 1000000 < ppm; }

void world_check(world *w, int good, const char *what)
{
    if (good || w->failed) return;
    w->failed = 1;
    (void)mr_fail(w->err, MR_FAILED, "seed %llu, event %llu, t = %.6f s: %s", (unsigned long long)w->config.seed, (unsigned long long)w->report->events,
                  (double)w->now * 1e-6, what);
}

/* ---- the queue of events: a heap of four children by time, then by order; the events themselves stay where they are ---- */

static int before(const turn *a, const turn *b) { return a->at != b->at ? a->at < b->at : a->order < b->order; }

static int grow_events(world *w)
{
    uint32_t capacity = w->capacity ? 2 * w->capacity : 1024;
    event *events = realloc(w->events, capacity * sizeof *events);
    if (events) w->events = events;
    turn *heap = realloc(w->heap, capacity * sizeof *heap);
    if (heap) w->heap = heap;
    world_check(w, events && heap, "no memory");
    if (!events || !heap) return -1;
    for (uint32_t i = w->capacity; i < capacity; i++) w->heap[i].event = i; /* the places behind the heap hold the free ones */
    w->capacity = capacity;
    return 0;
}

void world_push(world *w, event e)
{
    if (w->count == w->capacity && grow_events(w)) return;
    uint32_t i = w->count++;
    const turn d = { .at = e.at, .order = w->order++, .event = w->heap[i].event };
    world_check(w, w->order != 0, "too many events");
    w->events[d.event] = e;
    for (; i > 0 && before(&d, &w->heap[(i - 1) / 4]); i = (i - 1) / 4) w->heap[i] = w->heap[(i - 1) / 4];
    w->heap[i] = d;
}

static uint32_t least_child(const world *w, uint32_t i)
{
    uint32_t least = 4 * i + 1, end = least + 4 < w->count ? least + 4 : w->count;
    for (uint32_t k = least + 1; k < end; k++)
        if (before(&w->heap[k], &w->heap[least])) least = k;
    return least;
}

static event pop(world *w)
{
    const turn first = w->heap[0], last = w->heap[--w->count];
    uint32_t i = 0;
    for (uint32_t child; 4 * i + 1 < w->count; i = child) {
        child = least_child(w, i);
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    w->heap[w->count].event = first.event;
    return w->events[first.event];
}

void world_push_beat(world *w, uint32_t worker, uint32_t life)
{
    if (w->beat_count == w->beat_capacity) {
        size_t capacity = w->beat_capacity ? 2 * w->beat_capacity : 64;
        beat *grown = malloc(capacity * sizeof *grown);
        world_check(w, grown != NULL, "no memory");
        if (!grown) return;
        for (size_t i = 0; i < w->beat_count; i++) grown[i] = w->beats[(w->beat_first + i) % w->beat_capacity];
        free(w->beats);
        w->beats = grown;
        w->beat_first = 0;
        w->beat_capacity = capacity;
    }
    w->beats[(w->beat_first + w->beat_count++) % w->beat_capacity] = (beat){ .at = w->now + PLAYED_BEAT_US, .worker = worker, .life = life };
}

enum { AHEAD = 8 }; /* heartbeats whose workers are on their way into the cache */

/* ---- time ---- */

/* The coordinator is restarted, or its clock jumps. */
static void disturb(world *w)
{
    const co_world_config *c = &w->config;
    if (world_all_ended(w)) return;
    if (w->disturbances % 2 == 0 && w->disturbances / 2 < c->restarts) {
        world_hub_restart(w);
    } else if (w->disturbances / 2 < c->jumps) {
        uint64_t jump = world_random(w) % DAY;
        w->hub_offset = world_random(w) % 2 ? jump : 0 - jump;
    }
    w->disturbances++;
    if (w->disturbances < 2 * (c->restarts > c->jumps ? c->restarts : c->jumps))
        world_push(w, (event){ .at = w->now + c->restart_every_us, .kind = DISTURB });
}

static void happen(world *w, const event *e)
{
    if (e->kind == TICK) {
        if (e->at == w->ticks_at) co_scheduler_tick(w->scheduler, world_hub_now(w)); /* else another was set since */
    } else if (e->kind == DISTURB) {
        disturb(w);
    } else if (e->kind == ARRIVE) {
        world_check(w, world_hub_arrive(w, e->worker) == 0, "a job cannot be submitted");
    } else if (e->kind == SCALE) {
        world_scale_turn(w);
    } else if (e->kind == TO_HUB) {
        world_hub_event(w, e);
    } else {
        world_worker_event(w, e);
    }
}

/* One tick is under way at most; it may come early, as in the server, which ticks whenever it wakes. */
static void set_tick(world *w)
{
    uint64_t hub_now = world_hub_now(w), due = w->now + (co_scheduler_deadline(w->scheduler, hub_now) - hub_now) + 1;
    if (w->ticks_at > w->now && w->ticks_at <= due) return;
    w->ticks_at = due;
    world_push(w, (event){ .at = due, .kind = TICK });
}

static void note_dry(world *w)
{
    if (co_scheduler_open(w->scheduler)) w->dry_us = w->config.life_s > 0 ? 0 : w->dry_us; /* with losses the queue fills again: the last time counts */
    else if (!w->dry_us) w->dry_us = w->now;
}

/* The next heartbeat, when it comes before every event. */
static int beat_is_next(const world *w)
{
    return w->beat_count && (!w->count || w->beats[w->beat_first].at < w->heap[0].at);
}

static void beat_once(world *w)
{
    const beat b = w->beats[w->beat_first];
    if (w->beat_count > AHEAD) __builtin_prefetch(&w->workers[w->beats[(w->beat_first + AHEAD) % w->beat_capacity].worker]);
    w->beat_first = (w->beat_first + 1) % w->beat_capacity;
    w->beat_count--;
    w->now = b.at;
    w->report->events++;
    world_beat(w, b.worker, b.life);
    world_hub_act(w);
    set_tick(w);
}

static void step(world *w)
{
    if (beat_is_next(w)) {
        beat_once(w);
        return;
    }
    event e = pop(w);
    w->now = e.at;
    w->report->events++;
    happen(w, &e);
    world_hub_act(w);
    if (e.kind == TO_HUB || e.kind == DISTURB || e.kind == ARRIVE || (e.kind == TICK && e.at == w->ticks_at)) {
        set_tick(w);
        note_dry(w);
    }
    if (!w->config.audit_every || w->report->events % w->config.audit_every) return;
    const char *wrong = co_scheduler_audit(w->scheduler);
    world_check(w, !wrong, wrong);
}

/* ---- beginning and end ---- */

static int create(world *w)
{
    const co_world_config *c = &w->config;
    if (!c->workers || !c->threads || !c->jobs || c->jobs > WORLD_JOBS_MOST || c->liars > c->workers || c->speed_ratio < 1)
        return mr_fail(w->err, MR_USAGE, "a world without workers, threads or jobs, or with too many of them");
    if (world_hub_create(w)) return -1;
    w->config.unit_us /= w->needed / c->jobs / co_plan_units(&w->jobs[0].plan); /* from here on: microseconds a ray */
    if (world_workers_create(w)) return -1;
    if (c->autoscale && world_scale_create(w)) return -1;
    for (uint32_t k = 0; (c->autoscale || c->gap_s > 0) && k < c->jobs; k++)
        world_push(w, (event){ .at = 1 + (uint64_t)(k * c->gap_s * 1e6), .kind = ARRIVE, .worker = k });
    if (c->restarts || c->jumps) world_push(w, (event){ .at = c->restart_every_us, .kind = DISTURB });
    return 0;
}

/* The k-th least of n (Hoare 1961, "Find"). Reorders them. */
static float find(float *values, size_t n, size_t k)
{
    size_t lo = 0, hi = n - 1;
    while (lo < hi) {
        float pivot = values[k];
        size_t i = lo, j = hi;
        for (;;) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i > j) break;
            float t = values[i];
            values[i++] = values[j];
            values[j] = t;
            if (!j--) break;
        }
        if (j < k || j > hi) lo = i;
        if (k < i) hi = j;
    }
    return values[k];
}

static void count_wrong(world *w)
{
    for (unsigned k = 0; k < w->config.jobs; k++)
        for (size_t i = 0; i < w->jobs[k].commitment_count; i++)
            if (w->jobs[k].commitments[i].wrong) w->report->wrong += (unsigned)__builtin_popcount(w->jobs[k].commitments[i].bands);
}

static void summarize(world *w)
{
    co_world_report *r = w->report;
    for (uint32_t i = 0; i < w->config.workers; i++) {
        world_worker *me = &w->workers[i];
        if (!me->alive) continue;
        world_leave_off(w, me, &w->traced);
        w->offered += (double)(w->last_us - (me->came_us < w->last_us ? me->came_us : w->last_us)) * me->threads / me->us_per_ray;
    }
    r->seconds = (double)w->last_us * 1e-6;
    r->efficiency = w->offered > 0 ? w->needed / w->offered : 0;
    r->copies = w->traced / w->needed - 1;
    r->waste = (w->traced + w->lost) / w->needed - 1;
    r->tail_s = w->dry_us && w->dry_us < w->last_us ? (double)(w->last_us - w->dry_us) * 1e-6 : 0;
    if (w->time_count) r->unit_s = find(w->unit_times, w->time_count, w->time_count / 2) * 1e-6;
    if (w->config.autoscale) r->useful_s = w->needed / w->scale.speed * 1e-6;
    count_wrong(w);
}

/* With an orchestrator: when it has taken the workers away again, too. */
static int over(const world *w) { return world_all_ended(w) && (!w->config.autoscale || w->scale.over); }

static int run(world *w)
{
    if (create(w)) return w->err && !w->err->text[0] ? mr_fail(w->err, MR_FAILED, "no memory for a world") : MR_FAILED;
    w->now = 1;
    world_hub_act(w);
    set_tick(w);
    while (!over(w) && !w->failed) {
        if ((!w->count && !w->beat_count) || (double)w->now > w->config.end_s * 1e6) world_check(w, 0, "the jobs do not end");
        else step(w);
    }
    if (!w->failed && w->config.audit_every) {
        const char *wrong = co_scheduler_audit(w->scheduler);
        world_check(w, !wrong, wrong);
    }
    if (!w->failed) summarize(w);
    return w->failed ? MR_FAILED : MR_OK;
}

int co_world_run(const co_world_config *config, co_world_report *report, mr_error *err)
{
    mr_error none = { "" };
    world w = { .config = *config, .report = report, .err = err ? err : &none, .random = config->seed * 2 + 1 };
    w.err->text[0] = 0;
    *report = (co_world_report){ .seconds = 0 };
    (void)world_random(&w);
    int status = run(&w);
    world_workers_free(&w);
    world_hub_free(&w);
    free(w.heap);
    free(w.events);
    free(w.beats);
    free(w.unit_times);
    return status;
}
