/* The board's inside, for board.c (log, readers), board_workers.c (workers, work in hand) and board_jobs.c (jobs, what is noted now and then). With the lock held unless
 * said otherwise. */
#ifndef CO_BOARD_INTERNAL_H
#define CO_BOARD_INTERNAL_H

#include <pthread.h>

#include "coordinator/board.h"
#include "coordinator/map.h"

#define CO_BOARD_NONE UINT32_MAX /* ends a list */

typedef struct slot {
    co_board_worker w;
    uint32_t leases;     /* head of its list */
    uint64_t before_tiles, before_rays; /* at the last sample */
    uint8_t resting, draining;
} slot;

typedef struct entry {
    co_board_job j;
    co_view *view;
    uint64_t gone_us;    /* 0: the server still has it */
    uint64_t before_samples;
} entry;

struct co_board {
    pthread_mutex_t lock;
    uint64_t tick;
    double wall_offset_s;
    co_board_totals totals;
    co_board_sample samples[CO_BOARD_SAMPLES]; /* a ring */
    uint64_t sample_count, thread_us;
    slot *slots;         /* workers in the order they came; those long gone are taken out */
    uint32_t slot_count, slot_capacity;
    co_map slot_of;      /* by number */
    entry *jobs;         /* in the order of their ids, which only grow */
    uint32_t job_count, job_capacity;
    co_board_lease *leases; /* by the lower half of their id */
    uint32_t lease_capacity, in_flight;
    co_board_line *lines;   /* a ring: line id is at (id - 1) % CO_BOARD_LINES */
    uint64_t last_line;
};

static inline void co_board_enter(co_board *b) { (void)pthread_mutex_lock(&b->lock); }
static inline void co_board_leave(co_board *b) { (void)pthread_mutex_unlock(&b->lock); }

slot *co_board_slot(const co_board *b, uint32_t worker);       /* NULL: not listed */
entry *co_board_entry(const co_board *b, uint64_t job);        /* NULL: not listed */
void co_board_release_job(co_board *b, uint64_t job);          /* its leases: it has ended, and the workers are told to forget them */
void co_board_forget_the_gone(co_board *b, uint64_t now_us);

#endif
