/* What the account's files share: account.c (events), account_window.c (what goes into sums). See coordinator/account.h.
 *
 *   thread   free since `free_us` (it ended a tile then, by its worker's clock, or joined); known to us since `seen_us` (its result came)
 *   lease    assigned at `at_us`
 *
 * A tile that was begun at b closes a gap:     free ------ seen ........ assigned ------ b
 *                                              network      waiting|tail         network
 * and is `starting` altogether when it is the thread's first one, of this life or of the window. `dry_us` counts the time in which no work was open;
 * its values at `seen` and `assigned` tell how much of the middle was tail. */
#ifndef CO_ACCOUNT_INTERNAL_H
#define CO_ACCOUNT_INTERNAL_H

#include "coordinator/account.h"
#include "coordinator/limits.h"
#include "coordinator/map.h"

#define NONE UINT32_MAX

typedef struct thread {
    uint64_t free_us, seen_us, seen_dry_us;
    uint64_t theirs_us; /* free_us by the worker's clock */
    uint64_t shown_us;  /* where the last slice ended */
    int fresh; /* nothing traced since joining */
} thread;

typedef struct account_worker {
    uint32_t number, count;   /* number 0: unused; count: threads */
    uint64_t joined_us, drain_us; /* drain_us 0: not draining */
    int started, clock_known;
    int64_t skew_us, next_skew_us; /* our clock less the worker's; the least seen, and that of the stretch that has just begun */
    uint64_t skew_since_us;
    uint32_t rtt_us;          /* the least */
    uint32_t first, last;     /* its leases, oldest first */
    uint32_t revoked;         /* of them: mostly none, and then none is looked for */
    thread *threads;
} account_worker;

typedef struct account_lease {
    uint64_t id;              /* 0: unused. The scheduler's: generation << 32 | index, at which it is kept here */
    uint64_t job, at_us, dry_us, revoked_us; /* revoked_us 0: not */
    uint32_t worker, prev, next; /* worker: its place */
} account_lease;

typedef struct window {
    uint64_t job;             /* 0: all */
    uint64_t begin_us, begin_dry_us, begin_cpu_us;
    int used, closed;
    co_account_report sums;   /* present_us: of workers that left */
} window;

struct co_account {
    account_worker *workers;
    uint32_t worker_count, worker_capacity, worker_free; /* places, of which some are unused: linked by `first` */
    uint32_t thread_count;
    co_map by_number;
    account_lease *leases;
    uint32_t lease_capacity;
    window windows[CO_ACCOUNT_WINDOWS]; /* the first is of all */
    window *open[CO_ACCOUNT_WINDOWS];   /* those not closed */
    unsigned open_count;
    uint64_t dry_us, changed_us;        /* so much until changed_us */
    int dry;
    void (*slice)(void *user, const co_slice *slice);
    void *user;
};

static inline uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t span(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

static inline uint64_t dry_at(const co_account *a, uint64_t now_us) { return a->dry_us + (a->dry ? span(a->changed_us, now_us) : 0); }

/* A tile traced from b to e, of `micros` by the worker's clock. */
void co_window_traced(window *w, uint64_t job, uint64_t b, uint64_t e, uint64_t micros, uint64_t cpu_us, double useful);
/* From the end of one tile to the beginning of the next, whose lease was assigned at at_us. */
void co_window_gap(window *w, const thread *t, uint64_t at_us, uint64_t at_dry_us, uint64_t to_us);
/* The thread was thought to be free from `free_us` on, and had begun the next tile at b already: all before lies earlier by as much. */
void co_window_take_back(window *w, uint64_t b, uint64_t free_us);
/* All of a worker's threads, up to to_us, as they seem to be; lost: nothing will come of what it has in hand. */
void co_window_settle(window *w, const co_account *a, const account_worker *v, uint64_t to_us, int lost);
/* Completes a window's sums as of `to_us`. */
void co_window_complete(window *w, const co_account *a, uint64_t to_us, uint64_t cpu_us);
/* The part of [from, to] that a window covers. */
static inline uint64_t inside(const window *w, uint64_t from_us, uint64_t to_us) { return span(most(from_us, w->begin_us), to_us); }

#endif
