/* Where the threads' time goes. Pure: events with times go in, microseconds by category come out; no socket, clock, file or thread.
 *
 * Every thread of every worker that is here is somewhere at every moment: tracing what will count, tracing for nothing, waiting for a core, for its
 * first tile, for a tile that the coordinator could give, for a message that is under way, or at the end, when nothing is left to give. Workers
 * measure what they trace by their own clocks; the times between are the coordinator's observation. The two meet here: what is in `spent` comes
 * from both, what is in `present` from joining and leaving alone, and their difference is the account's own error, which a benchmark prints.
 *
 * Windows say over which time it is summed: one for each job, from its submission to its end, and one for all since the start. What a thread does
 * is settled when its next result comes; when a window is closed or looked at, what is not settled yet is put down as what it looks like.
 *
 * Times are microseconds of the caller's monotonic clock. Workers' clocks are compared with it by their heartbeats (as in NTP, Mills 1991: the least
 * of arrival - sending is the clocks' difference and the fastest way; half a round trip is taken off). That places a thread's first tile; what follows is
 * placed by its own clock, which knows the gaps exactly. When a result is here before it can have been traced, the first was placed too late: what was
 * counted as starting or network before it is taken back. A lying worker can only spoil its own share. */
#ifndef CO_ACCOUNT_H
#define CO_ACCOUNT_H

#include <stdint.h>

enum co_spent {
    CO_SPENT_TRACING,  /* a core was busy with samples that are in the picture */
    CO_SPENT_SHARED,   /* a tile was under way, but its thread had no core: others had it */
    CO_SPENT_REDONE,   /* traced for nothing: lost with its worker, late, a copy, or done a second time to verify */
    CO_SPENT_STARTING, /* until a thread begins its first tile: joining, fetching and checking the scene, the first assignment */
    CO_SPENT_WAITING,  /* nothing in hand though the coordinator had something to give */
    CO_SPENT_NETWORK,  /* results and assignments under way, packing results included */
    CO_SPENT_TAIL,     /* nothing in hand, and nothing left that nobody has */
    CO_SPENT_OTHER,    /* tracing for other jobs */
    CO_SPENT_KINDS
};

enum { CO_LATENCY_BINS = 128, CO_LATENCY_LEAST_US = 64, CO_LATENCY_OCTAVE = 8 /* bins */ };

typedef struct co_account_report {
    uint64_t wall_us;                 /* of the window */
    uint64_t present_us;              /* threads x the time that each was here */
    uint64_t spent_us[CO_SPENT_KINDS];
    uint64_t first_tile_us;           /* from the window's start to the first result; 0: none yet */
    uint64_t cpu_us;                  /* of the coordinator's process, all its threads */
    uint64_t tiles, rays;             /* results that brought something new */
    uint64_t bytes_in, bytes_out, pack_bytes; /* results; assignments; of the scene, sent to workers */
    uint32_t joins, starts, drains, losses;
    uint64_t join_us, join_most_us;   /* of `starts` of those that joined: until their first tile was begun: sum and greatest */
    uint64_t drain_us, drain_most_us; /* of `drains` that were told to stop: until they said goodbye */
    uint32_t workers, threads;        /* here at the window's end, or now */
    uint32_t latency[CO_LATENCY_BINS];/* tiles by the time from their assignment to their result: see co_latency_us */
} co_account_report;

/* One stretch of a thread's life, for those who draw it. */
enum co_slice_kind { CO_SLICE_TILE, CO_SLICE_VAIN /* traced for nothing */, CO_SLICE_JOIN, CO_SLICE_LEAVE, CO_SLICE_DRAIN, CO_SLICE_PACK, CO_SLICE_JOB, CO_SLICE_JOB_END };
typedef struct co_slice {
    int kind;
    uint32_t worker, thread;
    uint64_t job, lease;
    uint64_t begin_us, end_us;        /* never overlapping another tile of that thread */
    uint64_t micros, cpu_us;          /* as the worker says; where clocks disagree, begin and end are some milliseconds late, never of another length */
    uint64_t amount;                  /* TILE: rays; PACK: bytes; JOIN: threads; JOB_END: 1 when it is done */
} co_slice;

typedef struct co_account co_account;

co_account *co_account_new(uint64_t now_us); /* NULL without memory */
void co_account_free(co_account *a);         /* NULL is fine */
void co_account_watch(co_account *a, void (*slice)(void *user, const co_slice *slice), void *user);

/* Jobs. More than CO_ACCOUNT_WINDOWS at a time are not accounted for. cpu_us: of the coordinator's process so far. */
void co_account_job(co_account *a, uint64_t now_us, uint64_t job, uint64_t cpu_us);
void co_account_job_ended(co_account *a, uint64_t now_us, uint64_t job, int done, uint64_t cpu_us);
void co_account_job_forgotten(co_account *a, uint64_t job);
/* Whether anything is left that no worker has, of any job. */
void co_account_open_work(co_account *a, uint64_t now_us, int some);

/* Workers, by the numbers that the scheduler gives them. Of one that is not here, or without memory, nothing is noted. */
void co_account_joined(co_account *a, uint64_t now_us, uint32_t worker, uint32_t threads);
void co_account_draining(co_account *a, uint64_t now_us, uint32_t worker);
void co_account_left(co_account *a, uint64_t now_us, uint32_t worker, int goodbye);
/* A heartbeat: sent_us by the worker's clock; rtt_us: its last round trip, 0: not known; held: what it says it has. */
void co_account_clock(co_account *a, uint64_t now_us, uint32_t worker, uint64_t sent_us, uint32_t rtt_us, uint64_t held);

/* Leases, by the scheduler's ids. */
void co_account_assigned(co_account *a, uint64_t now_us, uint32_t worker, uint64_t job, uint64_t lease, uint32_t bytes);
void co_account_revoked(co_account *a, uint64_t now_us, uint64_t lease, int running);
void co_account_returned(co_account *a, uint64_t lease); /* not begun, or failed */

typedef struct co_traced {
    uint32_t worker, thread;
    uint64_t job, lease;
    uint64_t began_us, micros, cpu_us; /* by the worker's clock */
    uint64_t rays, bytes;
    double useful;                     /* the share of it that was not in yet: 0 .. 1 */
} co_traced;
void co_account_traced(co_account *a, uint64_t now_us, const co_traced *t);
void co_account_pack_sent(co_account *a, uint64_t now_us, uint32_t worker, uint64_t bytes);

/* What is known of a job, ended or under way (0: of all since the start): 0, or -1: no such job, or one too many to be accounted for. */
int co_account_report_of(const co_account *a, uint64_t now_us, uint64_t job, uint64_t cpu_us, co_account_report *out);

/* The sum of all categories less `present`, as a share of it. */
double co_account_error(const co_account_report *r);
const char *co_spent_name(int kind); /* "tracing", ... as in reports */
double co_latency_us(const co_account_report *r, double share); /* the quantile of tile latency; 0: no tiles */
unsigned co_latency_bin(uint64_t micros);

#endif
