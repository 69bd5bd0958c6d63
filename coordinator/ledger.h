/* The scheduler's books: who holds what. Shared by ledger.c (the books are kept), dispatch.c (who gets what) and scheduler.c (the events).
 *
 * Workers and leases live in pools and are linked by index; NONE ends a list.
 *
 *   worker -> its leases, in the order given; the first `threads` of them count as begun
 *   job    -> its leases, oldest first; units to be redone; suspects; the first unit never given out
 *   heard  -> all workers, longest silent first
 *   hungry -> workers below their credit
 *
 * An index (wi, li, ui) is of a worker, a lease, a unit of the job at hand. */
#ifndef CO_LEDGER_H
#define CO_LEDGER_H

#include "coordinator/limits.h"
#include "coordinator/map.h"
#include "coordinator/scheduler.h"

#define NONE UINT32_MAX

enum unit_state { OPEN, LEASED, DONE, ASIDE };

typedef struct unit {
    uint32_t lease[2];   /* first copy, backup */
    uint32_t next;       /* in the queue it is in */
    uint32_t shun;       /* number of the worker that failed on it last */
    uint8_t state;       /* enum unit_state */
    uint8_t queued;      /* in the redo or suspects queue; stays there when its result comes meanwhile, and is skipped */
    uint8_t deaths, failures;
    uint8_t lost;        /* was given back: counts as redone when given again */
} unit;

typedef struct link {
    uint32_t prev, next;
} link;

typedef struct list {
    uint32_t head, tail;
} list;

typedef struct job {
    uint64_t id;
    co_plan plan;
    unit *units;
    uint32_t count, fresh;     /* units; the first never given out */
    uint32_t redo, suspects;   /* stacks of units */
    list leases;
    uint32_t done, aside;
    co_job_status sums;        /* state and totals */
    uint64_t submitted_us, begun_us, ended_us;
    uint64_t elapsed_us;       /* of former lives, already taken from the times above */
    uint64_t unit_us;          /* what a unit takes of late, on any worker; 0: not known yet */
    co_map seen;               /* folded incarnations of workers that were given a unit */
} job;

typedef struct lease {
    uint64_t id;               /* generation << 32 | index; 0: free */
    uint64_t began_us;
    job *job;
    uint32_t unit, worker;
    link in_worker, in_job;    /* in_worker.next also links the free ones */
    uint8_t begun;
} lease;

typedef struct worker {
    uint32_t peer, number;     /* number 0: free */
    uint32_t threads, in_hand, begun;
    uint64_t incarnation;
    uint64_t heard_us, unit_us, rtt_us, rest_until_us;
    uint64_t busy_us;          /* when it last was given a unit or said that it has some */
    list leases;
    uint32_t first_waiting;    /* the first lease not begun */
    link in_heard, in_hungry;
    uint32_t failures;         /* in a row */
    uint8_t hungry, draining, alone;
} worker;

struct co_scheduler {
    worker *workers;
    uint32_t worker_capacity, worker_free, worker_count, thread_count, last_number, resting;
    lease *leases;
    uint32_t lease_capacity, lease_free, generation;
    job **jobs;                /* by id */
    uint32_t job_count;
    uint64_t last_job;
    list heard, hungry;
    co_map by_peer, by_incarnation;
    uint32_t reserved;         /* number of the worker that empties its hands for a suspect; 0: none */
    uint64_t lease_us, ticked_us;
    co_action *actions;
    uint32_t action_capacity, action_first, action_count;
    int held;                  /* nothing is given out */
    int broken;
};

/* Lists. One macro for three kinds of links: `at(i)` gives the link of element i. */
#define LIST_APPEND(l, i, at) \
    do { \
        at(i) = (link){ .prev = (l)->tail, .next = NONE }; \
        if ((l)->tail != NONE) at((l)->tail).next = (i); \
        else (l)->head = (i); \
        (l)->tail = (i); \
    } while (0)
#define LIST_REMOVE(l, i, at) \
    do { \
        link gone = at(i); \
        if (gone.prev != NONE) at(gone.prev).next = gone.next; \
        else (l)->head = gone.next; \
        if (gone.next != NONE) at(gone.next).prev = gone.prev; \
        else (l)->tail = gone.prev; \
    } while (0)
#define HEARD(i) s->workers[i].in_heard
#define HUNGRY(i) s->workers[i].in_hungry
#define IN_WORKER(i) s->leases[i].in_worker
#define IN_JOB(i) s->leases[i].in_job

#define EMPTY_LIST ((list){ NONE, NONE })

static inline int ended(const job *j) { return j->sums.state >= CO_JOB_DONE; }

static inline uint32_t fold(uint64_t incarnation) { return (uint32_t)(incarnation ^ incarnation >> 32); }

void co_ledger_act(co_scheduler *s, co_action action);

uint32_t co_ledger_new_worker(co_scheduler *s);                      /* from the pool, or NONE without memory */
uint32_t co_ledger_lease(const co_scheduler *s, uint64_t id);        /* NONE: no such lease (any more) */
uint32_t co_ledger_worker(const co_scheduler *s, uint32_t peer);     /* NONE: no worker */
uint32_t co_ledger_job_place(const co_scheduler *s, uint64_t id);    /* of the first job with an id >= id */
job *co_ledger_job(const co_scheduler *s, uint64_t id);              /* NULL: no such job */

/* Units a worker may hold now: its threads, and what they use up in a round trip and a little more. */
uint32_t co_ledger_credit(const worker *w, uint64_t now_us);
/* Puts a worker on the list of the hungry or takes it off, as its credit and its hands say. */
void co_ledger_settle(co_scheduler *s, uint32_t wi, uint64_t now_us);

/* Leases a unit (that is in no queue) to a worker, as its first copy or as a backup. */
void co_ledger_assign(co_scheduler *s, uint32_t wi, job *j, uint32_t ui, uint64_t now_us);
/* Takes a lease from its worker and its unit. The unit is left without a decision on what becomes of it. */
void co_ledger_release(co_scheduler *s, uint32_t li, uint64_t now_us);
/* The same, and tells the worker. running: also if it has begun. */
void co_ledger_revoke(co_scheduler *s, uint32_t li, int running, uint64_t now_us);
/* Decides on a unit that has lost a lease: 1, back to the queue; 0, another copy is out or it is given up. */
int co_ledger_reopen(co_scheduler *s, job *j, uint32_t ui);

void co_ledger_end_job(co_scheduler *s, job *j, int state, uint64_t now_us);
void co_ledger_end_if_over(co_scheduler *s, job *j, uint64_t now_us); /* when every unit is done or aside */

/* Gives out whatever can be given out (dispatch.c). */
void co_dispatch(co_scheduler *s, uint64_t now_us);

#endif
