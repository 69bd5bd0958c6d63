/* The workers of the virtual world: see coordinator/world.h. They behave as worker/worker.c does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/world_internal.h"

enum { QUEUE_MOST = 8192 };

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* ---- messages ---- */

static uint64_t in_order(world *w, uint64_t *last, uint64_t delay)
{
    uint64_t at = w->now + delay + world_random(w) % (delay + 1);
    if (at <= *last) at = *last + 1;
    *last = at;
    return at;
}

static void tell(world *w, uint32_t i, event e, uint64_t extra_us)
{
    world_worker *me = &w->workers[i];
    e.kind = TO_HUB;
    e.at = later(in_order(w, &me->last_out, me->delay_us), me->out_blocked_until) + extra_us;
    me->last_out = extra_us ? me->last_out : e.at;
    e.worker = i;
    e.peer = me->peer;
    e.incarnation = me->incarnation;
    world_push(w, e);
}

/* The line is taken by a result for a time; what comes after it waits. */
static void load_line(world *w, uint32_t i, const co_result *r)
{
    if (i >= w->config.slow_lines) return;
    world_worker *me = &w->workers[i];
    const world_job *j = world_job_of(w, r->job);
    double share = j ? (double)world_paths(j, r->unit, r->bands) / (double)world_paths(j, r->unit, co_bands_all(co_plan_unit(&j->plan, r->unit).height)) : 1;
    uint64_t begins = later(w->now, me->line_until);
    me->line_until = begins + (uint64_t)(share * w->config.line_us) + 1;
    me->last_out = later(me->last_out, me->line_until);
}

static void say(world *w, uint32_t i, uint8_t hub) { tell(w, i, (event){ .hub = hub }, 0); }
static void say_lease(world *w, uint32_t i, uint8_t hub, uint64_t lease) { tell(w, i, (event){ .hub = hub, .result = { .lease = lease } }, 0); }

static void connect_worker(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    co_map_remove(&w->by_peer, me->peer);
    me->peer = ++w->last_peer;
    me->number = 0;
    me->last_out = me->last_in = w->now;
    if (co_map_put(&w->by_peer, me->peer, i)) world_check(w, 0, "no memory");
    say(w, i, HUB_HELLO);
}

static event ping_of(const world *w, uint32_t i)
{
    const world_worker *me = &w->workers[i];
    return (event){ .kind = TO_HUB, .hub = HUB_PING, .worker = i, .peer = me->peer, .incarnation = me->incarnation, .held = me->queued + me->running,
                    .rtt_us = 1 + (uint32_t)(2 * me->delay_us + (me->line_until > w->now ? me->line_until - w->now : 0)) };
}

/* ---- life and death ---- */

static uint64_t exponential(world *w, double mean_s) { return (uint64_t)(-log(world_uniform(w)) * mean_s * 1e6) + 1; }

static void spawn(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    me->life++;
    me->alive = 1;
    me->starting = 0;
    me->leaving = me->banned = 0;
    me->running = me->queued = 0;
    if (!w->config.autoscale) me->came_us = w->now; /* else: since it was ordered */
    me->paused_until = me->out_blocked_until = me->in_blocked_until = me->line_until = 0;
    me->incarnation = (uint64_t)world_random(w) << 32 | world_random(w);
    connect_worker(w, i);
    world_push_beat(w, i, me->life);
    if (w->config.life_s > 0) world_push(w, (event){ .at = w->now + exponential(w, w->config.life_s), .kind = LOSE, .worker = i, .life = me->life });
}

void world_leave_off(world *w, world_worker *me, double *account)
{
    for (uint32_t k = 0; k < me->running; k++) {
        const piece *p = &me->active[k];
        double share = p->takes_us ? (double)(w->now - p->began_us) / (double)p->takes_us : 1;
        *account += (double)p->rays * (share < 1 ? share : 1);
    }
}

static void gone(world *w, uint32_t i, uint64_t back_us)
{
    world_worker *me = &w->workers[i];
    w->offered += (double)(w->now - me->came_us) * me->threads / me->us_per_ray;
    me->alive = 0;
    me->life++;
    me->running = me->queued = 0;
    if (w->config.autoscale) return; /* the orchestrator replaces it */
    world_push(w, (event){ .at = w->now + back_us, .kind = SPAWN, .worker = i, .life = me->life });
}

static void die(world *w, uint32_t i, uint64_t back_us)
{
    world_worker *me = &w->workers[i];
    if (w->now >= me->paused_until) tell(w, i, ping_of(w, i), 0);
    world_leave_off(w, me, &w->lost);
    if (world_random(w) % 10 < 7) /* most crashes are seen at once */
        world_push(w, (event){ .at = later(w->now + 1000, me->last_out + 1), .kind = TO_HUB, .hub = HUB_DISCONNECTED, .peer = me->peer });
    w->report->lost++;
    gone(w, i, back_us);
}

/* ---- tiles ---- */

static void start_pieces(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    while (me->running < me->threads && me->queued > 0) {
        piece p = me->queue[0];
        memmove(me->queue, me->queue + 1, --me->queued * sizeof p);
        const world_job *j = world_job_of(w, p.job);
        if (!j) continue;
        double rays = world_rays(w, j, p.unit, p.bands);
        p.began_us = w->now;
        p.takes_us = (uint64_t)(rays * me->us_per_ray * world_lognormal(w, w->config.noise_sigma)) + 1;
        p.rays = (uint64_t)rays + 1;
        me->active[me->running++] = p;
        world_push(w, (event){ .at = w->now + p.takes_us, .kind = FINISH, .worker = i, .life = me->life,
                               .result = { .job = p.job, .lease = p.lease, .unit = p.unit, .bands = p.bands, .micros = p.takes_us, .rays = p.rays } });
    }
}

/* Takes a running piece out of hand: 1 and the piece, or 0: it was abandoned. */
static int drop_active(world_worker *me, uint64_t lease, piece *out)
{
    for (uint32_t k = 0; k < me->running; k++) {
        if (me->active[k].lease != lease) continue;
        *out = me->active[k];
        me->active[k] = me->active[--me->running];
        return 1;
    }
    return 0;
}

static void count_abandoned(world *w, const piece *p)
{
    double share = (double)(w->now - p->began_us) / (double)p->takes_us;
    w->traced += (double)p->rays * (share < 1 ? share : 1);
}

static void leave(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    me->leaving = 1;
    say(w, i, HUB_DRAIN);
    while (me->queued > 0) say_lease(w, i, HUB_RETURN, me->queue[--me->queued].lease);
}

static void leave_when_done(world *w, uint32_t i);

void world_worker_leave(world *w, uint32_t i)
{
    leave(w, i);
    leave_when_done(w, i);
}

void world_worker_cancel(world *w, uint32_t i)
{
    w->workers[i].starting = 0;
    w->workers[i].life++;
}

static void leave_when_done(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    if (!me->leaving || me->running || !me->alive) return;
    say(w, i, HUB_GOODBYE);
    gone(w, i, SECOND);
}

/* ---- what goes wrong, tile by tile ---- */

static void partition(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    uint64_t until = w->now + world_random(w) % (3 * SECOND);
    uint32_t which = world_random(w) % 3;
    if (which != 0) me->out_blocked_until = until;
    if (which != 1) me->in_blocked_until = until;
}

static void misfortunes(world *w, uint32_t i)
{
    const co_world_config *c = &w->config;
    world_worker *me = &w->workers[i];
    if (world_chance(w, c->stall_ppm)) me->paused_until = w->now + world_random(w) % (3 * SECOND);
    if (world_chance(w, c->amnesia_ppm)) me->queued = 0;
    if (world_chance(w, c->partition_ppm)) partition(w, i);
    if (world_chance(w, c->break_ppm)) connect_worker(w, i);
    if (!me->leaving && world_chance(w, c->leave_ppm)) leave(w, i);
}

static void answer(world *w, uint32_t i, co_result r)
{
    const co_world_config *c = &w->config;
    int lies = w->workers[i].liar && world_chance(w, c->lie_ppm);
    r.digest = (r.job << 40 ^ r.unit << 16 ^ r.bands) * 0x9e3779b97f4a7c15ull;
    if (lies) r.digest ^= 1 + world_random(w);
    event e = { .hub = HUB_RESULT, .result = r };
    load_line(w, i, &r);
    tell(w, i, e, 0);
    if (world_chance(w, c->twice_ppm)) tell(w, i, e, 0);
    if (world_chance(w, c->late_ppm)) tell(w, i, e, 3 * SECOND);
}

static void note_failure(world *w, const co_result *r)
{
    world_job *j = world_job_of(w, r->job);
    if (j && j->failures[r->unit] < UINT8_MAX) j->failures[r->unit]++;
}

static void finish(world *w, const event *e)
{
    uint32_t i = e->worker;
    piece p;
    if (!drop_active(&w->workers[i], e->result.lease, &p)) return; /* abandoned */
    if (world_poisonous(w, p.job, p.unit) || (i && world_chance(w, w->config.crash_ppm))) {
        w->lost += (double)p.rays;
        die(w, i, SECOND / 10 + world_random(w) % SECOND);
        return;
    }
    w->traced += (double)p.rays;
    if (i && world_chance(w, w->config.fail_ppm)) {
        note_failure(w, &e->result);
        say_lease(w, i, HUB_FAILED, p.lease);
    } else {
        answer(w, i, e->result);
    }
    if (i) misfortunes(w, i);
    start_pieces(w, i);
    leave_when_done(w, i);
}

/* ---- what the coordinator says ---- */

static void take(world *w, uint32_t i, const co_action *a)
{
    world_worker *me = &w->workers[i];
    if (me->leaving) return; /* crossed our DRAIN: the goodbye frees it */
    if (me->queued == me->capacity) {
        uint32_t capacity = me->capacity ? 2 * me->capacity : 16;
        piece *grown = realloc(me->queue, capacity * sizeof *grown);
        world_check(w, grown && capacity <= QUEUE_MOST, "a worker is flooded");
        if (!grown) return;
        me->queue = grown;
        me->capacity = capacity;
    }
    me->queue[me->queued++] = (piece){ .job = a->job, .lease = a->lease, .unit = a->unit, .bands = a->bands };
    start_pieces(w, i);
}

static void revoke(world *w, uint32_t i, const co_action *a)
{
    world_worker *me = &w->workers[i];
    piece p;
    for (uint32_t k = 0; k < me->queued; k++) {
        if (me->queue[k].lease != a->lease) continue;
        memmove(me->queue + k, me->queue + k + 1, (--me->queued - k) * sizeof p);
        return;
    }
    if (!a->running || !drop_active(me, a->lease, &p)) return;
    count_abandoned(w, &p);
    start_pieces(w, i);
}

static void forget(world *w, uint32_t i, uint64_t job)
{
    world_worker *me = &w->workers[i];
    uint32_t kept = 0;
    for (uint32_t k = 0; k < me->queued; k++)
        if (me->queue[k].job != job) me->queue[kept++] = me->queue[k];
    me->queued = kept;
    for (uint32_t k = me->running; k-- > 0;) {
        if (me->active[k].job != job) continue;
        count_abandoned(w, &me->active[k]);
        me->active[k] = me->active[--me->running];
    }
    start_pieces(w, i);
}

static void hear(world *w, const event *e)
{
    world_worker *me = &w->workers[e->worker];
    const co_action *a = &e->action;
    switch (a->kind) {
    case CO_ACT_WELCOME:
        if (a->worker != me->number) me->queued = 0; /* leases of a former number are void */
        me->number = a->worker;
        tell(w, e->worker, ping_of(w, e->worker), 0);
        break;
    case CO_ACT_SAY_HELLO:
        me->number = 0;
        if (!me->leaving && !me->banned) say(w, e->worker, HUB_HELLO);
        break;
    case CO_ACT_ASSIGN: take(w, e->worker, a); break;
    case CO_ACT_REVOKE: revoke(w, e->worker, a); break;
    case CO_ACT_FORGET: forget(w, e->worker, a->job); break;
    default: break;
    }
    leave_when_done(w, e->worker);
}

/* ---- events ---- */

/* A heartbeat of a worker whose line is free and empty takes no time, so that large worlds need not queue it; any other waits for its turn. Who hangs sends it
 * when that is over. */
void world_beat(world *w, uint32_t i, uint32_t life)
{
    world_worker *me = &w->workers[i];
    if (life != me->life) return;
    const event e = ping_of(w, i);
    if (w->now < me->paused_until) world_push(w, (event){ .at = me->paused_until, .kind = WAKE, .worker = i, .life = life });
    else if (w->now >= me->out_blocked_until && w->now > me->last_out) world_hub_event(w, &e);
    else tell(w, i, e, 0);
    world_push_beat(w, i, life);
}

void world_worker_event(world *w, const event *e)
{
    world_worker *me = &w->workers[e->worker];
    if (e->life != me->life || (e->kind == TO_WORKER && e->peer != me->peer)) return;
    if (w->now < me->paused_until && e->kind != SPAWN) { /* it hangs: all that happens to it happens later, in the same order */
        event again = *e;
        again.at = me->paused_until;
        world_push(w, again);
        return;
    }
    switch (e->kind) {
    case FINISH: finish(w, e); break;
    case TO_WORKER: hear(w, e); break;
    case SPAWN: spawn(w, e->worker); break;
    case WAKE: tell(w, e->worker, ping_of(w, e->worker), 0); break;
    case LOSE: die(w, e->worker, (uint64_t)(w->config.return_s * 1e6) + 1); break;
    default: connect_worker(w, e->worker);
    }
}

void world_disconnect_all(world *w)
{
    for (uint32_t i = 0; i < w->config.workers; i++) {
        world_worker *me = &w->workers[i];
        co_map_remove(&w->by_peer, me->peer);
        me->peer = ++w->last_peer; /* what is under way to a former one is lost */
        if (me->alive) world_push(w, (event){ .at = w->now + 1000 + world_random(w) % SECOND, .kind = RECONNECT, .worker = i, .life = me->life });
    }
}

static int create(world *w, uint32_t i)
{
    const co_world_config *c = &w->config;
    world_worker *me = &w->workers[i];
    me->threads = 1 + world_random(w) % c->threads;
    me->active = calloc(me->threads, sizeof *me->active);
    double slowness = exp(world_uniform(w) * log(c->speed_ratio)) * (i < c->slow_workers ? 20 : 1);
    me->us_per_ray = c->unit_us * slowness;
    me->delay_us = c->delay_us / 2 + world_random(w) % (c->delay_us + 1);
    me->liar = i >= c->workers - c->liars;
    uint64_t at = 1 + (uint64_t)(world_uniform(w) * c->join_s * 1e6);
    if (!c->autoscale || i < c->scaling.min) world_push(w, (event){ .at = at, .kind = SPAWN, .worker = i });
    return me->active ? 0 : -1;
}

int world_workers_create(world *w)
{
    w->workers = calloc(w->config.workers, sizeof *w->workers);
    if (!w->workers) return -1;
    for (uint32_t i = 0; i < w->config.workers; i++)
        if (create(w, i)) return -1;
    return 0;
}

void world_workers_free(world *w)
{
    for (uint32_t i = 0; w->workers && i < w->config.workers; i++) {
        free(w->workers[i].queue);
        free(w->workers[i].active);
    }
    free(w->workers);
    co_map_free(&w->by_peer);
}
