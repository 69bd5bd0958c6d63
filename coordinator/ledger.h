/* The scheduler's books: who holds what. Shared by ledger.c (the books are kept), order.c (which unit is next), dispatch.c (who gets what), late.c (who is late),
 * checks.c (tiles that are done twice), speeds.c (what is known of workers' speeds), scheduler.c (the events) and scheduler_time.c.
 *
 * Workers and leases live in pools and are linked by index; NONE ends a list.
 *
 *   worker -> its leases, in the order given; the first `threads` of them count as begun
 *   unit   -> its leases: each is of some of its bands; a band has at most a first lease and a copy, and any number of checks
 *   job    -> its leases, oldest first; units to be redone; suspects; what was never given out (order.c)
 *   turns  -> jobs that have not ended: the most urgent first, and among equals the one that got least
 *   heard  -> all workers, longest silent first
 *   idle, hungry -> workers with a thread to spare; workers below their credit
 *
 * An index (wi, li, ui) is of a worker, a lease, a unit of the job at hand. "Open" bands of a unit are neither done nor leased. */
#ifndef CO_LEDGER_H
#define CO_LEDGER_H

#include "coordinator/limits.h"
#include "coordinator/map.h"
#include "coordinator/scheduler.h"

#define NONE UINT32_MAX

enum { BUCKETS = 64 };

typedef struct unit {
    uint64_t row_paths;  /* of one of its rows */
    uint32_t leases;     /* linked by in_unit */
    uint32_t next;       /* in the queue it is in */
    uint32_t shun;       /* number of the worker that failed on it last */
    uint32_t killed[CO_DEATHS_MOST - 1]; /* folded incarnations of those that died over it last: who is lost and comes back counts once */
    uint32_t cost;       /* of the first pass: rays a path, in sixteenths, as a part of it has told; 0: not known yet */
    uint16_t height;     /* rows; 0: this and row_paths were not asked for yet */
    uint16_t done;       /* bands */
    uint16_t lost;       /* bands that were given back: they count as redone when given again */
    uint8_t given;       /* left the order of those never given out */
    uint8_t queued;      /* in the redo or suspects queue; stays there when its result comes meanwhile, and is skipped */
    uint8_t aside;       /* given up */
    uint8_t deaths, failures;
    uint8_t guilty;      /* a worker died with nothing but this begun */
} unit;

typedef struct link {
    uint32_t prev, next;
} link;

typedef struct list {
    uint32_t head, tail;
} list;

typedef struct tile_turn {  /* of a tile whose ranges come after the first pass: see order.c */
    link in_bucket;
    uint32_t cost;       /* rays a path, in sixteenths; 0: not known yet */
    uint32_t given;      /* ranges given out */
    uint8_t bucket, round;
    uint8_t seen;        /* cost is the tile's own, not its region's mean */
} tile_turn;

typedef struct round {
    uint64_t occupied;   /* bit b: bucket b is not empty */
    list bucket[BUCKETS];
} round;

typedef struct record record; /* a committed part of a job that is verified: checks.c */
typedef struct dispute dispute;

typedef struct job {
    uint64_t id;
    co_plan plan;
    unit *units;
    tile_turn *tiles;          /* NULL: the first pass is all */
    uint32_t count, first_given; /* units; of plan.order */
    round rounds[2];
    uint32_t turn;             /* which of them is under way */
    double range_paths;        /* of a range of a tile, on average */
    double known_rays, known_paths; /* of tiles whose cost is known: what is never given out yet, and of how many paths */
    uint32_t redo, suspects;   /* stacks of units */
    list leases;
    uint32_t done, aside, losses; /* losses: workers that died with something of it begun */
    uint64_t paths, open_paths;
    double copied_rays;        /* given out as copies: at most so much is traced for nothing while nobody is lost */
    uint64_t served;           /* paths given out, for the fair share */
    struct job *next;          /* in turns */
    co_job_status sums;        /* state and totals */
    uint64_t submitted_us, begun_us, ended_us;
    uint64_t elapsed_us;       /* of former lives, already taken from the times above */
    co_map seen;               /* folded incarnations of workers that were given a unit */
    uint32_t verify;           /* per cent */
    uint64_t secret;           /* which of them */
    uint64_t patient_until_us; /* taken up from a former life: until then, who could check may still come back */
    record *records;
    uint32_t record_count, record_capacity;
    dispute *disputes;
    uint32_t dispute_count, dispute_capacity;
    list checks;               /* records that wait for another worker's opinion */
    uint32_t checks_out;       /* that are leased */
} job;

enum lease_kind { FIRST, COPY, CHECK };

typedef struct lease {
    uint64_t id;               /* generation << 32 | index; 0: free */
    uint64_t began_us;
    uint64_t rays;             /* what it is thought to cost */
    job *job;
    uint32_t unit, worker;
    uint32_t record;           /* CHECK: of the job's records */
    link in_worker, in_job;    /* in_worker.next also links the free ones */
    uint32_t in_unit;
    uint16_t bands;
    uint8_t begun, kind;
} lease;

enum appetite { SATED, HUNGRY, IDLE };

typedef struct worker {
    uint32_t peer, number;     /* number 0: free */
    uint32_t who;              /* its identity: a voice, and a fate, for all that share it */
    uint32_t threads, in_hand, begun;
    uint64_t incarnation;
    uint64_t heard_us, rest_until_us;
    uint64_t rtt_us;           /* the line's round trip: the least of the last ones */
    uint64_t rtt_least_us[2], rtt_since_us; /* of the stretch of time since then, and of the one before */
    uint64_t busy_us;          /* when it last was given a unit or said that it has some */
    uint64_t sum_us, sum_rays; /* of its last results: its speed */
    uint64_t rate;             /* rays a second by all its threads, as counted in the scheduler's */
    uint64_t hand_rays, waiting_rays; /* of its leases; of those not begun */
    uint64_t revoked_us;       /* something was taken from it, and may run on for a moment; 0: never */
    list leases;
    uint32_t first_waiting;    /* the first lease not begun */
    link in_heard, in_line;    /* in_line: idle or hungry */
    uint32_t failures;         /* in a row */
    uint32_t idle;             /* threads to spare, as counted in the scheduler's */
    uint8_t appetite, draining, alone;
    uint8_t held_up;           /* by what it runs, which takes far longer than was thought: nothing waits in its hands */
    uint8_t able;              /* neither draining nor resting, as counted in the scheduler's */
    uint8_t alone_begun;       /* at its death: it had begun one thing only */
} worker;

struct co_scheduler {
    worker *workers;
    uint32_t worker_capacity, worker_free, worker_count, thread_count, last_number, resting;
    lease *leases;
    uint32_t lease_capacity, lease_free, lease_count, generation;
    job **jobs;                /* by id */
    job *turns;
    uint32_t job_count;
    uint64_t last_job, secret;
    list heard, line[3];       /* line[HUNGRY], line[IDLE] */
    uint32_t idle_threads;     /* of workers in line[IDLE] */
    uint64_t looked_us;        /* when nobody was found to be late while there was work */
    uint64_t relieved_us;      /* when the idle were last looked after */
    uint64_t held_up_us;       /* when those were last looked for that are held up */
    int idled;                 /* the last in line[IDLE] has just come */
    co_map by_peer, by_incarnation, banned;
    uint32_t reserved;         /* number of the worker that empties its hands for a suspect; 0: none */
    uint64_t open_paths;       /* of all jobs */
    double known_rays, known_paths; /* of all jobs that have not ended */
    uint64_t rate;             /* rays a second of all workers of whom it is known ... */
    uint32_t rated_threads, able_threads; /* ... their threads, and those of all that may be given something: the others are thought to be like them */
    uint64_t sum_us, sum_rays, sum_paths; /* of the last results of all */
    uint64_t rays_in;          /* of all that was ever committed */
    uint64_t lease_us, ticked_us, result_us; /* result_us: the last was taken */
    co_action *actions;
    uint32_t action_capacity, action_first, action_count;
    int held;                  /* nothing is given out */
    int broken;
};

/* Lists. One macro for all kinds of links: `at(i)` gives the link of element i. */
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
#define IN_LINE(i) s->workers[i].in_line
#define IN_WORKER(i) s->leases[i].in_worker
#define IN_JOB(i) s->leases[i].in_job
#define IN_BUCKET(i) j->tiles[i].in_bucket

#define EMPTY_LIST ((list){ NONE, NONE })

static inline int ended(const job *j) { return j->sums.state >= CO_JOB_DONE; }
/* Workers that die of something else take the unit at hand down with them now and then: where many have died, it takes more to suspect a unit. */
static inline uint32_t doubts(const job *j, const unit *u) { return j->losses > u->deaths ? (j->losses - u->deaths) / CO_DEATHS_DOUBT : 0; }
static inline int is_suspect(const job *j, const unit *u) { return u->deaths >= CO_DEATHS_ALONE + doubts(j, u); }
static inline uint32_t fold(uint64_t incarnation) { return (uint32_t)(incarnation ^ incarnation >> 32); }
static inline uint64_t since(uint64_t now_us, uint64_t then_us) { return now_us > then_us ? now_us - then_us : 0; }

void co_ledger_act(co_scheduler *s, co_action action);

uint32_t co_ledger_new_worker(co_scheduler *s);                      /* from the pool, or NONE without memory */
uint32_t co_ledger_lease(const co_scheduler *s, uint64_t id);        /* NONE: no such lease (any more) */
uint32_t co_ledger_worker(const co_scheduler *s, uint32_t peer);     /* NONE: no worker */
uint32_t co_ledger_job_place(const co_scheduler *s, uint64_t id);    /* of the first job with an id >= id */
job *co_ledger_job(const co_scheduler *s, uint64_t id);              /* NULL: no such job */

/* Turns: puts a job in its place among those that have not ended; takes it out. */
void co_ledger_queue_job(co_scheduler *s, job *j);
void co_ledger_unqueue_job(co_scheduler *s, job *j);

/* What is known of speeds. 0: nothing. */
double co_ledger_us_per_ray(const co_scheduler *s, const worker *w);  /* of one thread; the cluster's when w has finished nothing yet */
double co_ledger_mean_us_per_ray(const co_scheduler *s);              /* of the mean thread */
double co_ledger_time_left_us(const co_scheduler *s);                 /* for all that is open, were it spread over all threads */
double co_ledger_time_for(const co_scheduler *s, const job *j, const worker *w, uint32_t ui, uint16_t bands); /* of one of its threads, in microseconds */
void co_ledger_learn(co_scheduler *s, uint32_t wi, uint64_t paths, uint64_t rays, uint64_t micros);
void co_ledger_note_rtt(worker *w, uint64_t rtt_us, uint64_t now_us); /* as a ping of the worker has found it */
void co_ledger_set_rate(co_scheduler *s, uint32_t wi, uint64_t now_us);

uint64_t co_ledger_paths(const job *j, uint32_t ui, uint16_t bands);
uint16_t co_ledger_bands(const job *j, uint32_t ui);                        /* all of the unit's */
uint16_t co_ledger_open(const co_scheduler *s, const job *j, uint32_t ui);  /* the open ones */
int co_ledger_is_done(const job *j, uint32_t ui);

/* Whether a worker may be given something more now. */
int co_ledger_can_take(const co_scheduler *s, const worker *w, uint64_t now_us);
/* Puts a worker in the line of the idle, of the hungry or in none, as its credit and its hands say. */
void co_ledger_settle(co_scheduler *s, uint32_t wi, uint64_t now_us);

/* Leases bands of a unit to a worker. record: of a CHECK. */
void co_ledger_assign(co_scheduler *s, uint32_t wi, job *j, uint32_t ui, uint16_t bands, int kind, uint32_t record_index, uint64_t now_us);
/* Takes a lease from its worker and its unit. Bands that are open now are in no queue until co_ledger_reopen. */
void co_ledger_release(co_scheduler *s, uint32_t li, uint64_t now_us);
/* The same, and tells the worker. running: also if it has begun. */
void co_ledger_revoke(co_scheduler *s, uint32_t li, int running, uint64_t now_us);
/* Releases a lease whose worker will not do it, and puts what is open then back in line. blame: its worker died over it. Returns 1 when
 * something went back. */
int co_ledger_give_back(co_scheduler *s, uint32_t li, int blame, uint64_t now_us);
/* Puts the unit in a queue when it has open bands, or puts it aside when it has failed too often. lost: bands to be counted as redone. 1: in a queue. */
int co_ledger_reopen(co_scheduler *s, job *j, uint32_t ui, uint16_t lost, uint64_t now_us);
void co_ledger_put_aside(co_scheduler *s, job *j, uint32_t ui, int why, uint64_t now_us);
/* Bands have come in (bands: none of them done yet): revokes every lease that has become needless. */
void co_ledger_commit(co_scheduler *s, job *j, uint32_t ui, uint16_t bands, uint64_t now_us);
/* The contrary: bands that are not to be trusted. */
void co_ledger_uncommit(co_scheduler *s, job *j, uint32_t ui, uint16_t bands);

void co_ledger_end_job(co_scheduler *s, job *j, int state, uint64_t now_us);
void co_ledger_end_if_over(co_scheduler *s, job *j, uint64_t now_us); /* when every unit is done or aside, and every check settled */

/* Units that were never given out (order.c). */
int co_order_open(job *j);                         /* at the start: -1 without memory */
uint32_t co_order_top(co_scheduler *s, job *j);    /* the next one that is not done, or NONE */
void co_order_pop(co_scheduler *s, job *j);
uint64_t co_order_rays(const co_scheduler *s, const job *j, uint32_t ui, uint64_t paths);
uint32_t co_order_doubt(const job *j, uint32_t ui); /* so many times what co_order_rays says it may be */
void co_order_learn(co_scheduler *s, job *j, uint32_t ui, uint64_t paths, uint64_t rays);

/* Who is late (late.c). Of leases that have begun. */
double co_late_still_takes(const co_scheduler *s, const lease *l, uint64_t now_us);  /* microseconds, as far as can be told */
double co_late_worse(const co_scheduler *s, const lease *l, uint64_t now_us);        /* >= 1: so many times what was thought */
int co_late_beyond_patience(const co_scheduler *s, const lease *l, uint64_t now_us);
double co_late_copy_rays(const co_scheduler *s, const lease *l, uint16_t part, uint64_t now_us); /* what a copy of a part of it will take */
int co_late_affords(const job *j, double rays, unsigned percent); /* whether copies, with one of so many rays, are at most that share of the job */
void co_late_relieve(co_scheduler *s, uint64_t now_us);           /* takes back what waits in the hands of workers that are held up */

/* Tiles that are done twice (checks.c). */
void co_checks_record(co_scheduler *s, job *j, uint32_t wi, uint32_t ui, uint16_t bands, const co_result *r); /* of what was committed just now */
uint32_t co_checks_pick(const co_scheduler *s, const job *j, const worker *w);   /* a record for this worker to check, or NONE */
void co_checks_lease(co_scheduler *s, job *j, uint32_t record_index, uint32_t wi, uint64_t now_us);
void co_checks_released(job *j, uint32_t record_index);                         /* its lease has ended without an opinion */
void co_checks_opinion(co_scheduler *s, job *j, uint32_t record_index, uint32_t wi, uint64_t digest, uint64_t now_us);
void co_checks_close(co_scheduler *s, job *j, uint64_t now_us);                 /* everything is in: gives up checks that nobody here can make */
int co_checks_pending(const job *j);
void co_checks_restore(co_scheduler *s, job *j, const co_claim *claim);         /* of a former life; committed just now */
void co_checks_free(job *j);

/* Takes a worker off the books; what it held goes back. why: enum co_leave (scheduler.c). */
void co_scheduler_remove(co_scheduler *s, uint32_t wi, int why, uint64_t now_us);

/* Gives out whatever can be given out (dispatch.c). */
void co_dispatch(co_scheduler *s, uint64_t now_us);

#endif
