/* The scheduler: a pure state machine. Events go in, actions come out; it owns no socket, clock, file or thread, and the same events
 * give the same actions. The server feeds it from ZeroMQ, the simulator (tests/sim) from a seeded virtual world.
 *
 * A job is cut into units (coordinator/plan.h), a unit into bands of rows. A band is open, leased to one worker (or two: a copy), done, or put aside
 * with its unit. A worker holds as many leases as its credit allows: its threads, one more, and what hides the round trip. The dearest tiles go
 * first, by what a cheap first pass took. What a worker held when it was lost or left goes to others before anything new. Near the end pieces become smaller;
 * when nothing new is left, an idle worker takes over what another has not begun, or is given a copy of a part of what is late; whichever answer comes first
 * counts, and what a later one holds beyond it. Jobs take turns: the more urgent first, equals in equal shares.
 *
 * Invariants (tests/sim checks them after every event): a band is committed at most once, unless its worker was found to lie; a unit with open bands is in a
 * queue; no worker holds more than its credit, nor a lease of a job that has ended; the job ends exactly when every unit is done or aside and every check settled.
 *
 * Times are microseconds of any monotonic clock; a peer is whatever number the caller knows a connection by. Every event is
 * O(1) amortised (and linear in the jobs that wait for others' turns), but joining, leaving, eviction and ending a job, which are O(what the worker held) or O(workers). */
#ifndef CO_SCHEDULER_H
#define CO_SCHEDULER_H

#include <stdint.h>

#include "coordinator/plan.h"
#include "coordinator/server.h"

typedef struct co_scheduler co_scheduler;

enum co_action_kind {
    CO_ACT_WELCOME,   /* peer, worker: its number */
    CO_ACT_SAY_HELLO, /* peer is not a worker we know */
    CO_ACT_ASSIGN,    /* peer, job, unit, bands, lease */
    CO_ACT_REVOKE,    /* peer, job, lease; running: also if it has begun */
    CO_ACT_FORGET,    /* peer, job: drop all of it */
    CO_ACT_LEFT,      /* peer, worker: gone; why: enum co_leave; count: units that go back to the queue */
    CO_ACT_RESTS,     /* peer, worker: failed too often in a row and gets nothing for a while */
    CO_ACT_ASIDE,     /* job, unit: given up; why: enum co_aside */
    CO_ACT_WITHDRAW,  /* job, who: found to lie. All that he has brought to the job up to now is to be taken out of the film; count: that many results */
    CO_ACT_EVICT,     /* peer, worker (0: not here now): two others agree against its result of job, unit; who: its identity; count: results of all jobs,
                       * withdrawn just before */
    CO_ACT_DISTRUST,  /* job, unit, bands, who: nobody can settle whether this part of his is right; it is to be taken out of the film, too */
    CO_ACT_AGREED,    /* job, unit, bands, who: another has come to the same as he */
    CO_ACT_ENDED      /* job: see its status */
};

enum co_leave { CO_LEAVE_GOODBYE, CO_LEAVE_SILENT, CO_LEAVE_DISCONNECTED, CO_LEAVE_REPLACED, CO_LEAVE_EVICTED, CO_LEAVE_UNLISTED };
enum co_aside { CO_ASIDE_DEADLY, CO_ASIDE_FAILED, CO_ASIDE_DISPUTED };
enum { CO_HELLO_NO_ROOM = -1, CO_HELLO_BANNED = -2 };

typedef struct co_action {
    int kind, running, why;
    uint16_t bands;
    uint32_t peer, worker, unit, count, who;
    uint64_t job, lease;
} co_action;

typedef struct co_result {
    uint64_t job, lease;
    uint32_t unit;
    uint16_t bands;    /* of the unit that it holds: see coordinator/plan.h */
    uint64_t rays, micros, bytes;
    uint64_t digest;   /* of the sums, as co_scheduler_verifies or co_scheduler_checks asks for it */
} co_result;

co_scheduler *co_scheduler_new(uint32_t lease_ms); /* NULL without memory */
void co_scheduler_free(co_scheduler *s);

/* The next action, in order: 1, or 0 when there is none. Take all of them after each event; only after results of jobs that are not verified may they
 * wait for the next such result. */
int co_scheduler_next(co_scheduler *s, co_action *out);

/* Tiles to be done twice are chosen by this number, in jobs without a secret of their own: nobody should be able to guess it. */
void co_scheduler_keep_secret(co_scheduler *s, uint64_t secret);

/* Jobs. Ids count from 1. options: NULL: the defaults. */
int co_scheduler_submit(co_scheduler *s, uint64_t now_us, const mr_picture *picture, uint32_t tile, const co_job_options *options, uint64_t *job,
                        mr_error *err);
int co_scheduler_cancel(co_scheduler *s, uint64_t now_us, uint64_t job); /* 0, or -1: no such job, or it has ended */
void co_scheduler_forget(co_scheduler *s, uint64_t job);                 /* frees it; nothing if it has not ended */
int co_scheduler_status(const co_scheduler *s, uint64_t now_us, uint64_t job, co_job_status *out); /* 0 or -1 */
uint64_t co_scheduler_next_job(const co_scheduler *s, uint64_t after);
const co_plan *co_scheduler_plan(const co_scheduler *s, uint64_t job); /* how it is cut; NULL: no such job */
/* The least unit >= from that is not in, or -1. */
int64_t co_scheduler_missing(const co_scheduler *s, uint64_t job, uint32_t from);
/* 1 and the unit's tile, or 0: no such job or unit. */
int co_scheduler_tile(const co_scheduler *s, uint64_t job, uint32_t unit, mr_tile *tile);
/* The bands of this unit that a result could still bring; 0: none. */
uint16_t co_scheduler_wants(const co_scheduler *s, uint64_t job, uint32_t unit);
/* Whether that lease is there to check what another has brought; whether results of the job need a digest. */
int co_scheduler_checks(const co_scheduler *s, uint64_t job, uint64_t lease);
int co_scheduler_verifies(const co_scheduler *s, uint64_t job);
/* Bands that are in already: what a journal holds of a job just submitted. Returns those that were not known to be in. */
uint16_t co_scheduler_restore(co_scheduler *s, uint64_t now_us, uint64_t job, uint32_t unit, uint16_t bands);
/* The same of what a worker claimed in a job that is verified: it may still be checked, and taken back when he is found to lie. */
typedef struct co_claim {
    uint64_t digest;
    uint32_t unit, who;
    uint16_t bands, sent; /* those that were committed, of those that came */
    int agreed;           /* another has come to the same */
} co_claim;
uint16_t co_scheduler_restore_claim(co_scheduler *s, uint64_t now_us, uint64_t job, const co_claim *claim);
/* An identity that was found to lie, now or in a former life, and is refused: -1 without memory. */
int co_scheduler_ban(co_scheduler *s, uint32_t who);

/* Workers. Every event of a peer that is no worker (but hello) makes an action CO_ACT_SAY_HELLO and changes nothing else. */
/* who: his identity, where it is known (by a key that is his alone): all workers of one identity have one voice, and one fate. 0: by his incarnation. Returns 0 or
 * CO_HELLO_... */
int co_scheduler_hello(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t incarnation, uint32_t threads, uint32_t who);
/* A sign of life. rtt_us: the worker's round trip, 0: not told. held: units that it says it has, UINT32_MAX: not told; one that has had none for a
 * whole lease has lost those it was given, and they go back to the queue. */
void co_scheduler_heard(co_scheduler *s, uint64_t now_us, uint32_t peer, uint32_t rtt_us, uint32_t held);
/* The bands to commit (the caller has checked the bytes before): those of the result that were not in yet. 0: a late or double one, or no one's. */
uint16_t co_scheduler_result(co_scheduler *s, uint64_t now_us, uint32_t peer, const co_result *result);
void co_scheduler_failed(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t lease);   /* the worker could not trace it */
void co_scheduler_returned(co_scheduler *s, uint64_t now_us, uint32_t peer, uint64_t lease); /* the worker has not begun it and will not */
void co_scheduler_drain(co_scheduler *s, uint64_t now_us, uint32_t peer);
void co_scheduler_left(co_scheduler *s, uint64_t now_us, uint32_t peer, int why); /* enum co_leave; an unknown peer is fine here */

/* The longest silent worker, if the next tick would count it as lost: 1 and its peer, or 0. */
int co_scheduler_most_silent(const co_scheduler *s, uint64_t now_us, uint32_t *peer);

/* Time passes: silent workers are lost, late units get a backup. Call after everything that has come was told, and at the latest when
 * co_scheduler_deadline says so. A gap since the last tick that is long beside a lease means that the caller slept, not the workers. */
void co_scheduler_tick(co_scheduler *s, uint64_t now_us);
uint64_t co_scheduler_deadline(const co_scheduler *s, uint64_t now_us); /* >= now_us */

/* Going on where a former life ended, before any worker has joined. Ids up to `last` are not given to new jobs; co_scheduler_submit gives the next one. */
void co_scheduler_skip_jobs(co_scheduler *s, uint64_t last);
/* Adds to the job's totals; elapsed_us: so long had it been going on when this came in. */
void co_scheduler_restore_totals(co_scheduler *s, uint64_t job, uint64_t rays, uint64_t bytes, uint64_t elapsed_us);

/* While held, no unit is given out; what is out may come in. */
void co_scheduler_hold(co_scheduler *s, uint64_t now_us, int held);

/* What the rule of coordinator/desired.h goes by. O(workers + jobs). */
struct co_demand;
void co_scheduler_demand(const co_scheduler *s, struct co_demand *out);

uint32_t co_scheduler_in_hand(const co_scheduler *s, uint32_t peer); /* pieces of work; 0 also for who is no worker */
uint64_t co_scheduler_open(const co_scheduler *s);   /* paths that nobody has been given, of all jobs */
uint32_t co_scheduler_workers(const co_scheduler *s);
uint32_t co_scheduler_worker_number(const co_scheduler *s, uint32_t peer); /* 0: not a worker */
uint32_t co_scheduler_identity(const co_scheduler *s, uint32_t peer);      /* the same for all connections of one worker's process */
int co_scheduler_broken(const co_scheduler *s); /* memory ran out in an event: nothing it says can be relied upon any more */

/* Tells whether the invariants hold: NULL, or what is wrong. For tests. All: walks through everything, slow; of one peer's worker and what it holds: quick. */
const char *co_scheduler_audit(const co_scheduler *s);
const char *co_scheduler_audit_peer(const co_scheduler *s, uint32_t peer);

#endif
