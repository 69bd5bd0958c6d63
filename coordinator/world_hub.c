/* The coordinator of the virtual world: what the server does, without sockets and pixels. And what is checked: see coordinator/world.h. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/world_internal.h"

enum { RAYS_A_PATH = 3, AUDIT_PINGS = 16 };

uint64_t world_hub_now(const world *w) { return 2 * DAY + w->now + w->hub_offset; } /* offset: modulo 2^64 */

/* ---- what the world knows of jobs ---- */

world_job *world_job_of(world *w, uint64_t id)
{
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (w->jobs[k].id == id) return &w->jobs[k];
    return NULL;
}

int world_poisonous(const world *w, uint64_t job, uint32_t unit) { return job == 1 && unit % 37 == 5 && unit / 37 < w->config.poison; }

/* Rays a path of a region: the mean of its tiles. */
static double region_cost(const world_job *j, uint32_t unit)
{
    uint32_t column, row, columns, rows;
    double sum = 0;
    co_plan_region(&j->plan, unit, &column, &row, &columns, &rows);
    for (uint32_t y = row; y < row + rows; y++)
        for (uint32_t x = column; x < column + columns; x++) sum += j->cost[y * j->plan.columns + x];
    return sum / (columns * rows);
}

uint64_t world_paths(const world_job *j, uint32_t unit, uint16_t bands)
{
    mr_tile t = co_plan_unit(&j->plan, unit);
    return (uint64_t)t.width * co_bands_rows(t.height, bands) * t.sample_count;
}

double world_rays(const world *w, const world_job *j, uint32_t unit, uint16_t bands)
{
    (void)w;
    double cost = unit < j->plan.firsts ? region_cost(j, unit) : j->cost[co_plan_tile_of(&j->plan, unit)];
    return (double)world_paths(j, unit, bands) * cost;
}

static int create_job(world *w, world_job *j)
{
    const co_world_config *c = &w->config;
    if (co_plan_make(&j->plan, &c->picture, c->tile, w->err)) return -1;
    uint32_t tiles = co_plan_tiles(&j->plan);
    j->units = co_plan_units(&j->plan);
    j->paths = (uint64_t)c->picture.width * c->picture.height * c->picture.spp;
    j->cost = malloc(tiles * sizeof *j->cost);
    j->committed = calloc(j->units, sizeof *j->committed);
    j->given = calloc(j->units, 1);
    j->failures = calloc(j->units, 1);
    if (!j->cost || !j->committed || !j->given || !j->failures) return -1;
    for (uint32_t i = 0; i < tiles; i++) j->cost[i] = RAYS_A_PATH * world_lognormal(w, c->cost_sigma);
    for (uint32_t u = 0; u < j->units; u++) j->rays += world_rays(w, j, u, co_bands_all(co_plan_unit(&j->plan, u).height));
    w->needed += j->rays;
    return 0;
}

static int submit(world *w, world_job *j)
{
    const co_job_options options = { .priority = 5, .verify_percent = w->config.verify_percent, .verify_secret = w->config.seed };
    return co_scheduler_submit(w->scheduler, world_hub_now(w), &w->config.picture, w->config.tile, &options, &j->id, w->err);
}

int world_hub_create(world *w)
{
    w->scheduler = co_scheduler_new(WORLD_LEASE_MS);
    if (!w->scheduler) return -1;
    co_scheduler_keep_secret(w->scheduler, w->config.seed);
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (create_job(w, &w->jobs[k]) || (w->config.gap_s <= 0 && submit(w, &w->jobs[k]))) return -1;
    return 0;
}

int world_hub_arrive(world *w, uint32_t job)
{
    if (!w->jobs[job].id && submit(w, &w->jobs[job])) return -1;
    if (w->config.autoscale) world_scale_arrived(w);
    return 0;
}

void world_hub_free(world *w)
{
    co_scheduler_free(w->scheduler);
    free(w->put_off);
    co_map_free(&w->liars);
    for (unsigned k = 0; k < w->config.jobs; k++) {
        world_job *j = &w->jobs[k];
        co_plan_free(&j->plan);
        free(j->cost);
        free(j->committed);
        free(j->given);
        free(j->failures);
        free(j->commitments);
    }
}

int world_all_ended(const world *w)
{
    for (unsigned k = 0; k < w->config.jobs; k++)
        if (!w->jobs[k].ended) return 0;
    return 1;
}

/* ---- what comes in ---- */

static uint64_t digest_of(const co_result *r) { return (r->job << 40 ^ r->unit << 16 ^ r->bands) * 0x9e3779b97f4a7c15ull; }

static void remember(world *w, world_job *j, const co_result *r, uint16_t bands, uint32_t who)
{
    if (j->commitment_count == j->commitment_capacity) {
        size_t capacity = j->commitment_capacity ? 2 * j->commitment_capacity : 256;
        commitment *grown = realloc(j->commitments, capacity * sizeof *grown);
        world_check(w, grown != NULL, "no memory");
        if (!grown) return;
        j->commitments = grown;
        j->commitment_capacity = capacity;
    }
    j->commitments[j->commitment_count++] = (commitment){ .digest = r->digest, .unit = r->unit, .who = who, .bands = bands, .sent = r->bands,
                                                          .wrong = r->digest != digest_of(r) };
}

static void note_time(world *w, const world_job *j, const co_result *r)
{
    if (r->unit < j->plan.firsts && j->plan.ranges) return;
    if (w->time_count == w->time_capacity) {
        size_t capacity = w->time_capacity ? 2 * w->time_capacity : 1024;
        float *grown = realloc(w->unit_times, capacity * sizeof *grown);
        if (!grown) return;
        w->unit_times = grown;
        w->time_capacity = capacity;
    }
    double whole = (double)world_paths(j, r->unit, UINT16_MAX & co_bands_all(co_plan_unit(&j->plan, r->unit).height));
    w->unit_times[w->time_count++] = (float)((double)r->micros * whole / (double)world_paths(j, r->unit, r->bands));
}

static void commit(world *w, world_job *j, const co_result *r, uint16_t bands, uint32_t who)
{
    world_check(w, !(bands & ~r->bands), "bands were committed that did not come");
    world_check(w, !(j->committed[r->unit] & bands), "bands were committed twice");
    world_check(w, !j->ended, "a unit of an ended job was committed");
    j->committed[r->unit] |= bands;
    w->last_us = w->now;
    note_time(w, j, r);
    if (w->config.verify_percent) remember(w, j, r, bands, who);
}

static void withdraw(world *w, const co_action *a);
static void evict(world *w, const co_action *a);
static void distrust(world *w, const co_action *a);

static void put_off(world *w, const co_action *a)
{
    if (w->put_off_count == w->put_off_capacity) {
        size_t capacity = w->put_off_capacity ? 2 * w->put_off_capacity : 64;
        co_action *grown = realloc(w->put_off, capacity * sizeof *grown);
        world_check(w, grown != NULL, "no memory");
        if (!grown) return;
        w->put_off = grown;
        w->put_off_capacity = capacity;
    }
    w->put_off[w->put_off_count++] = *a;
}

/* A result may expose a liar and take his place at once. In a film of sums the order does not matter; in our books it does. */
static void evict_first(world *w)
{
    co_action a;
    while (co_scheduler_next(w->scheduler, &a)) {
        if (a.kind == CO_ACT_WITHDRAW) withdraw(w, &a);
        else if (a.kind == CO_ACT_EVICT) evict(w, &a);
        else if (a.kind == CO_ACT_DISTRUST) distrust(w, &a);
        else put_off(w, &a);
    }
}

static void result(world *w, const event *e)
{
    uint32_t who = w->config.verify_percent ? co_scheduler_identity(w->scheduler, e->peer) : 0;
    world_job *j = world_job_of(w, e->result.job);
    uint16_t bands = co_scheduler_result(w->scheduler, world_hub_now(w), e->peer, &e->result);
    evict_first(w);
    if (!bands) {
        w->report->late++;
        return;
    }
    world_check(w, j != NULL, "a result of an unknown job was committed");
    if (j) commit(w, j, &e->result, bands, who);
}

static void hello(world *w, const event *e)
{
    world_worker *me = &w->workers[e->worker];
    uint32_t who = w->config.own_keys ? e->worker + 1 : 0;
    int refused = co_scheduler_hello(w->scheduler, world_hub_now(w), e->peer, e->incarnation, me->threads, who);
    world_check(w, refused != CO_HELLO_NO_ROOM, "hello was refused");
    if (refused == CO_HELLO_BANNED) {
        world_check(w, me->liar, "an honest worker is refused");
        me->banned = 1;
    } else {
        world_check(w, !who || co_map_get(&w->liars, who) < 0, "a liar came back with the same key");
    }
}

void world_hub_event(world *w, const event *e)
{
    co_scheduler *s = w->scheduler;
    uint64_t now = world_hub_now(w);
    switch (e->hub) {
    case HUB_HELLO: hello(w, e); break;
    case HUB_RESULT: result(w, e); break;
    case HUB_FAILED: co_scheduler_failed(s, now, e->peer, e->result.lease); break;
    case HUB_RETURN: co_scheduler_returned(s, now, e->peer, e->result.lease); break;
    case HUB_DRAIN: co_scheduler_drain(s, now, e->peer); break;
    case HUB_GOODBYE: co_scheduler_left(s, now, e->peer, CO_LEAVE_GOODBYE); break;
    case HUB_PING: co_scheduler_heard(s, now, e->peer, e->rtt_us, e->held); break;
    default: co_scheduler_left(s, now, e->peer, CO_LEAVE_DISCONNECTED);
    }
    if (e->hub == HUB_PING && w->report->events % AUDIT_PINGS) return; /* most change nothing; there are more of them than of all else */
    const char *wrong = co_scheduler_audit_peer(s, e->peer);
    world_check(w, !wrong, wrong);
}

/* ---- what goes out ---- */

static void check_end(world *w, world_job *j)
{
    co_job_status status;
    world_check(w, !j->ended, "a job ended twice");
    j->ended = 1;
    world_check(w, co_scheduler_status(w->scheduler, world_hub_now(w), j->id, &status) == 0, "an ended job has vanished");
    uint32_t missing = 0;
    for (uint32_t u = 0; u < j->units; u++) missing += j->committed[u] != co_bands_all(co_plan_unit(&j->plan, u).height);
    world_check(w, (status.state == CO_JOB_DONE) == (missing == 0), "a job's end and its holes differ");
    world_check(w, status.tiles_done == j->units - missing, "a job's count is wrong");
    if (j->id == 1 && w->config.poison && j->units > 5) world_check(w, status.state == CO_JOB_FAILED, "poison was swallowed");
    w->report->redone += status.tiles_redone;
    w->report->verified += status.verified;
    w->report->tiles += status.tiles;
}

static void note_shares(world *w)
{
    double all = 0, done[WORLD_JOBS_MOST];
    for (unsigned k = 0; k < w->config.jobs; k++) {
        co_job_status status = { 0 };
        (void)co_scheduler_status(w->scheduler, world_hub_now(w), w->jobs[k].id, &status);
        all += done[k] = (double)status.samples_done;
    }
    for (unsigned k = 0; k < w->config.jobs; k++) w->report->paths_share[k] = done[k] / all;
}

static void job_over(world *w, uint64_t id)
{
    world_job *j = world_job_of(w, id);
    world_check(w, j != NULL, "an unknown job ended");
    if (!j) return;
    int first = 1;
    for (unsigned k = 0; k < w->config.jobs; k++) first &= !w->jobs[k].ended;
    if (first) note_shares(w);
    check_end(w, j);
}

static void aside(world *w, const co_action *a)
{
    const world_job *j = world_job_of(w, a->job);
    w->report->aside++;
    if (!j) return;
    if (a->why == CO_ASIDE_DEADLY) world_check(w, j->given[a->unit] >= 3, "a tile was given up that less than three workers had held");
    if (a->why == CO_ASIDE_FAILED) world_check(w, j->failures[a->unit] > 0, "a tile was given up that had never failed");
    if (a->why == CO_ASIDE_DISPUTED)
        world_check(w, w->config.liars > 0, "a dispute among honest workers");
}

static void withdraw(world *w, const co_action *a)
{
    uint32_t undone = 0;
    world_job *j = world_job_of(w, a->job);
    for (size_t i = 0; j && i < j->commitment_count; i++) {
        commitment *c = &j->commitments[i];
        if (c->who != a->who || !c->bands) continue;
        j->committed[c->unit] = (uint16_t)(j->committed[c->unit] & ~c->bands);
        c->bands = 0;
        undone++;
    }
    world_check(w, j && !j->ended && undone == a->count, "what an evicted worker brought is counted otherwise");
}

static void evict(world *w, const co_action *a)
{
    w->report->evicted++;
    if (co_map_put(&w->liars, a->who, 1)) world_check(w, 0, "no memory");
}

/* A part that nobody can settle is taken out. */
static void distrust(world *w, const co_action *a)
{
    world_job *j = world_job_of(w, a->job);
    for (size_t i = 0; j && i < j->commitment_count; i++) {
        commitment *c = &j->commitments[i];
        if (c->unit != a->unit || c->who != a->who || c->bands != a->bands) continue;
        j->committed[c->unit] = (uint16_t)(j->committed[c->unit] & ~c->bands);
        c->bands = 0;
        return;
    }
    world_check(w, 0, "what is distrusted never came");
}

static void agreed(world *w, const co_action *a)
{
    world_job *j = world_job_of(w, a->job);
    for (size_t i = 0; j && i < j->commitment_count; i++) {
        commitment *c = &j->commitments[i];
        if (c->unit != a->unit || c->who != a->who || c->bands != a->bands) continue;
        world_check(w, !c->wrong || w->config.liars > 1, "a single liar was believed");
        c->agreed = 1;
        return;
    }
    world_check(w, 0, "what was agreed on never came");
}

static void send(world *w, const co_action *a)
{
    world_job *j = a->kind == CO_ACT_ASSIGN ? world_job_of(w, a->job) : NULL;
    if (j && j->given[a->unit] < UINT8_MAX) j->given[a->unit]++;
    int64_t i = co_map_get(&w->by_peer, a->peer);
    if (i < 0 || !w->workers[i].alive) return;
    if (j && i < w->config.slow_lines) {
        uint32_t held = co_scheduler_in_hand(w->scheduler, a->peer);
        w->report->slow_hands = held > w->report->slow_hands ? held : w->report->slow_hands;
    }
    world_worker *to = &w->workers[i];
    uint64_t at = w->now + to->delay_us + world_random(w) % (to->delay_us + 1);
    if (at < to->in_blocked_until) at = to->in_blocked_until;
    if (at <= to->last_in) at = to->last_in + 1;
    to->last_in = at;
    world_push(w, (event){ .at = at, .kind = TO_WORKER, .worker = (uint32_t)i, .life = to->life, .peer = a->peer, .action = *a });
}

static void carry_out(world *w, const co_action *a)
{
    if (a->kind <= CO_ACT_FORGET) send(w, a);
    else if (a->kind == CO_ACT_ENDED) job_over(w, a->job);
    else if (a->kind == CO_ACT_ASIDE) aside(w, a);
    else if (a->kind == CO_ACT_WITHDRAW) withdraw(w, a);
    else if (a->kind == CO_ACT_EVICT) evict(w, a);
    else if (a->kind == CO_ACT_DISTRUST) distrust(w, a);
    else if (a->kind == CO_ACT_AGREED) agreed(w, a);
}

void world_hub_act(world *w)
{
    co_action a;
    for (size_t i = 0; i < w->put_off_count; i++) carry_out(w, &w->put_off[i]);
    w->put_off_count = 0;
    while (co_scheduler_next(w->scheduler, &a)) carry_out(w, &a);
}

static void take_up(world *w, world_job *j)
{
    uint64_t now = world_hub_now(w);
    double rays = 0;
    for (uint32_t u = 0; u < j->units; u++) {
        if (j->committed[u]) rays += world_rays(w, j, u, j->committed[u]);
        if (j->committed[u] && !w->config.verify_percent)
            world_check(w, co_scheduler_restore(w->scheduler, now, j->id, u, j->committed[u]) == j->committed[u], "a tile was not restored");
    }
    for (size_t i = 0; i < j->commitment_count; i++) {
        const commitment *c = &j->commitments[i];
        const co_claim claim = { .digest = c->digest, .unit = c->unit, .who = c->who, .bands = c->bands, .sent = c->sent, .agreed = c->agreed };
        if (c->bands) world_check(w, co_scheduler_restore_claim(w->scheduler, now, j->id, &claim) == c->bands, "a claim was not restored");
    }
    co_scheduler_restore_totals(w->scheduler, j->id, (uint64_t)rays, 0, 0);
}

static void ban_again(world *w)
{
    for (uint32_t i = 0; i < w->liars.capacity; i++)
        if (w->liars.slots[i].used) world_check(w, co_scheduler_ban(w->scheduler, w->liars.slots[i].key) == 0, "no memory");
}

/* Killed, and back from its journal at once: jobs keep their numbers, what was accepted is in, with whose it is; liars stay out. */
void world_hub_restart(world *w)
{
    co_scheduler_free(w->scheduler);
    w->scheduler = co_scheduler_new(WORLD_LEASE_MS);
    world_check(w, w->scheduler != NULL, "no memory");
    if (!w->scheduler) return;
    ban_again(w);
    for (unsigned k = 0; k < w->config.jobs && !w->failed; k++) {
        world_job *j = &w->jobs[k];
        co_scheduler_skip_jobs(w->scheduler, k);
        if (j->ended || !j->id) continue;
        world_check(w, submit(w, j) == 0 && j->id == k + 1, "a job cannot be taken up again");
        if (!w->failed) take_up(w, j);
    }
    if (w->config.autoscale) co_desired_init(&w->scale.desired, &w->config.scaling);
    world_disconnect_all(w);
}
