/* An orchestrator in the virtual world: it starts and stops workers as coordinator/desired.h wishes, by the demand that the real scheduler tells. */
#include "coordinator/limits.h"
#include "coordinator/world_internal.h"

enum { ENGINE_EVERY = 5 }; /* of the rule's turns is one in which the engine acts: once a second */

/* Workers that the work of all jobs that have come takes, by what the world alone knows: the first of them are started first. */
static uint32_t right_number(const world *w)
{
    const co_scaling *rule = &w->scale.desired.rule;
    uint32_t most = rule->max < w->config.workers ? rule->max : w->config.workers, n = 0;
    double rays = 0;
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (w->jobs[k].id && !w->jobs[k].ended) rays += w->jobs[k].rays;
    for (double speed = 0; n < most && speed * rule->target_s * 1e6 < rays; n++) speed += w->workers[n].threads / w->workers[n].us_per_ray;
    return n < rule->min ? rule->min : n;
}

int world_scale_create(world *w)
{
    world_scale *s = &w->scale;
    co_desired_init(&s->desired, &w->config.scaling);
    for (uint32_t i = 0; i < w->config.workers; i++) s->speed += w->workers[i].threads / w->workers[i].us_per_ray / w->config.workers;
    s->last = s->desired.workers;
    world_push(w, (event){ .at = 1, .kind = SCALE });
    return 0;
}

/* A job has come: what would be right now? */
void world_scale_arrived(world *w)
{
    world_scale *s = &w->scale;
    uint32_t right = right_number(w);
    if (!s->arrived_us) s->arrived_us = w->now;
    if (right > w->report->right) w->report->right = right;
}

static void start_one(world *w, uint32_t i)
{
    world_worker *me = &w->workers[i];
    double spread = 0.8 + 0.4 * world_uniform(w);
    me->starting = 1;
    me->leaving = 0;
    me->came_us = w->now;
    world_push(w, (event){ .at = w->now + (uint64_t)(w->config.start_s * spread * 1e6) + 1, .kind = SPAWN, .worker = i, .life = me->life });
}

/* The one to go: one that still starts, else one without work, else any; the newest of them. */
static uint32_t to_go(const world *w)
{
    uint32_t best = UINT32_MAX;
    int best_rank = 3;
    for (uint32_t i = 0; i < w->config.workers; i++) {
        const world_worker *me = &w->workers[i];
        if ((!me->alive && !me->starting) || me->leaving) continue;
        int rank = me->starting ? 0 : me->running + me->queued == 0 ? 1 : 2;
        if (rank > best_rank || (rank == best_rank && me->came_us < w->workers[best].came_us)) continue;
        best = i;
        best_rank = rank;
    }
    return best;
}

static void act(world *w, uint32_t have, uint32_t want)
{
    for (uint32_t i = 0; have < want && i < w->config.workers; i++) {
        if (w->workers[i].alive || w->workers[i].starting) continue;
        start_one(w, i);
        have++;
    }
    for (; have > want && w->scale.desired.settled; have--) {
        uint32_t i = to_go(w);
        if (w->workers[i].starting) world_worker_cancel(w, i);
        else world_worker_leave(w, i);
    }
}

static void note(world *w, uint32_t wanted, uint32_t here)
{
    world_scale *s = &w->scale;
    co_world_report *r = w->report;
    if (!s->desired.settled && wanted < s->last) return;
    int direction = wanted > s->last ? 1 : wanted < s->last ? -1 : 0;
    if (direction && s->direction && direction != s->direction) r->turns++;
    if (direction) s->direction = direction;
    s->last = wanted;
    if (wanted > r->peak) r->peak = wanted;
    if (s->arrived_us && 5 * here >= 4 * r->right && r->up_s <= 0) r->up_s = (double)(w->now - s->arrived_us) * 1e-6;
}

void world_scale_turn(world *w)
{
    world_scale *s = &w->scale;
    co_demand demand;
    uint32_t here = 0, have = 0, wanted;
    co_scheduler_demand(w->scheduler, &demand);
    wanted = co_desired_update(&s->desired, world_hub_now(w), &demand);
    for (uint32_t i = 0; i < w->config.workers; i++) {
        const world_worker *me = &w->workers[i];
        here += me->alive;
        have += (me->alive && !me->leaving) || me->starting;
    }
    w->report->worker_s += have * (CO_DESIRED_EVERY_MS * 1e-3);
    note(w, wanted, here);
    if (s->turns++ % ENGINE_EVERY == 0) act(w, have, wanted < w->config.workers ? wanted : w->config.workers);
    s->over = world_all_ended(w) && here <= s->desired.rule.min && wanted <= s->desired.rule.min;
    w->report->start_s = s->desired.start_s;
    world_push(w, (event){ .at = w->now + CO_DESIRED_EVERY_MS * UINT64_C(1000), .kind = SCALE });
}
