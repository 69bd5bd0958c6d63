/* What the world's files share: world.c (time, the whole), world_workers.c, world_hub.c (the coordinator, and what is checked). */
#ifndef CO_WORLD_INTERNAL_H
#define CO_WORLD_INTERNAL_H

#include "coordinator/map.h"
#include "coordinator/scheduler.h"
#include "coordinator/world.h"

enum { WORLD_LEASE_MS = 1000, WORLD_JOBS_MOST = 16 };

/* A worker sends five heartbeats a lease. Every fourth is played: those between them would only move its place among the silent, as the next comes before its lease
 * is over. Who dies has just sent one. */
enum { HEARTBEAT_US = 200000, PLAYED_BEAT_US = 4 * HEARTBEAT_US };
#define SECOND UINT64_C(1000000)
#define DAY (86400 * SECOND)

enum event_kind { TO_HUB, TO_WORKER, FINISH, SPAWN, LOSE, RECONNECT, DISTURB, TICK, SCALE, ARRIVE, WAKE };
enum hub_kind { HUB_HELLO, HUB_RESULT, HUB_FAILED, HUB_RETURN, HUB_DRAIN, HUB_GOODBYE, HUB_PING, HUB_DISCONNECTED };

typedef struct piece { /* in a worker's hands */
    uint64_t job, lease;
    uint64_t began_us, takes_us, rays;
    uint32_t unit;
    uint16_t bands;
} piece;

typedef struct event {
    uint64_t at;
    uint8_t kind, hub;
    uint32_t worker, life, peer; /* life: of the worker's process; an event of a former one is void (but what is under way to the hub) */
    uint64_t incarnation;
    union {
        co_result result;
        co_action action;
        struct {
            uint32_t held, rtt_us;
        };
    };
} event;

typedef struct turn { /* in the heap */
    uint64_t at;
    uint32_t order, event;
} turn;

typedef struct beat {
    uint64_t at;
    uint32_t worker, life;
} beat;

typedef struct world_worker {
    uint32_t peer, number, life, threads, running, queued, capacity;
    uint64_t incarnation, delay_us, paused_until, last_out, last_in, came_us;
    uint64_t out_blocked_until, in_blocked_until, line_until; /* line: busy until then */
    double us_per_ray;
    uint8_t alive, leaving, liar, banned, starting;
    piece *queue, *active;
} world_worker;

typedef struct commitment {
    uint64_t digest;
    uint32_t unit, who;
    uint16_t bands, sent;
    uint8_t wrong, agreed;
} commitment;

typedef struct world_job {
    uint64_t id;
    co_plan plan;
    double *cost;            /* rays a path of each tile */
    uint16_t *committed;     /* bands of each unit */
    uint8_t *given, *failures; /* how often a unit was given out, and failed in truth */
    commitment *commitments; /* when tiles are verified */
    size_t commitment_count, commitment_capacity;
    uint32_t units, missing_bands_units;
    uint64_t paths;
    double rays;
    int ended, cancelled;
} world_job;

typedef struct world_scale { /* the orchestrator: world_scale.c */
    co_desired desired;
    double speed;            /* rays a microsecond of the mean worker */
    uint64_t arrived_us, turns;
    uint32_t last;
    int direction, over;
} world_scale;

typedef struct world {
    co_world_config config;
    co_world_report *report;
    mr_error *err;
    int failed;
    uint64_t random, now, ticks_at, hub_offset, disturbances;
    turn *heap;
    event *events;
    uint32_t count, capacity, order;
    beat *beats;             /* heartbeats to come, in a ring: they all have one period, so they need no heap */
    size_t beat_first, beat_count, beat_capacity;
    co_scheduler *scheduler;
    world_worker *workers;
    co_map by_peer;
    co_map liars;            /* identities that were evicted: what a journal would keep */
    uint32_t last_peer;
    world_job jobs[WORLD_JOBS_MOST];
    co_action *put_off;      /* actions that an eviction overtakes: world_hub.c */
    size_t put_off_count, put_off_capacity;
    world_scale scale;
    uint64_t dry_us, last_us;
    double needed, traced, lost, offered; /* rays */
    float *unit_times;
    size_t time_count, time_capacity;
} world;

uint32_t world_random(world *w);
double world_uniform(world *w);              /* (0, 1) */
double world_normal(world *w);
double world_lognormal(world *w, double sigma); /* of mean 1 */
int world_chance(world *w, uint32_t ppm);
void world_check(world *w, int good, const char *what); /* the first that is not good ends the run */
void world_push(world *w, event e);
void world_push_beat(world *w, uint32_t worker, uint32_t life); /* a heartbeat from now */

/* Workers */
int world_workers_create(world *w);
void world_workers_free(world *w);
void world_worker_event(world *w, const event *e);
void world_beat(world *w, uint32_t i, uint32_t life); /* a heartbeat is due */
void world_disconnect_all(world *w);         /* the coordinator died: they look for it */
void world_leave_off(world *w, world_worker *me, double *account); /* what runs was for nothing so far */

void world_worker_leave(world *w, uint32_t i);  /* told to stop: hands back, finishes what runs, says goodbye */
void world_worker_cancel(world *w, uint32_t i); /* one that still starts */

/* The orchestrator */
int world_scale_create(world *w);
void world_scale_arrived(world *w);
void world_scale_turn(world *w);

/* The hub */
int world_hub_arrive(world *w, uint32_t job); /* a job comes */
int world_hub_create(world *w);
void world_hub_free(world *w);
void world_hub_event(world *w, const event *e);
void world_hub_act(world *w);                /* carries out the scheduler's actions */
void world_hub_restart(world *w);
uint64_t world_hub_now(const world *w);
int world_all_ended(const world *w);
double world_rays(const world *w, const world_job *j, uint32_t unit, uint16_t bands);
world_job *world_job_of(world *w, uint64_t id);
uint64_t world_paths(const world_job *j, uint32_t unit, uint16_t bands);
int world_poisonous(const world *w, uint64_t job, uint32_t unit);

#endif
