/* The board: what the server knows, written down where other threads may read it.
 *
 * The server's thread writes: a tile costs it two locks that nobody else holds for long, and some additions. Everyone else copies. Nothing here waits for
 * a reader, and nothing grows without an end: workers that are gone are listed for a minute, jobs that have ended for a while, the log for its last lines. A
 * server without a board (NULL) writes nowhere: every function of the server's takes a NULL board and does nothing.
 *
 * Times of events are microseconds of the monotonic clock, as the server has them; wall_s turns them into seconds since 1970 for people. */
#ifndef CO_BOARD_H
#define CO_BOARD_H

#include "coordinator/limits.h"
#include "coordinator/server.h"
#include "coordinator/view.h"
#include "wire/message.h"

typedef struct co_board co_board;

/* version, commit: of the program, for those who ask; borrowed. NULL without memory. */
co_board *co_board_new(const char *version, const char *commit);
void co_board_free(co_board *board); /* after the server and all readers */

enum co_worker_state { CO_WORKER_IDLE, CO_WORKER_BUSY, CO_WORKER_RESTING, CO_WORKER_DRAINING, CO_WORKER_LOST, CO_WORKER_LEFT, CO_WORKER_REFUSED, CO_WORKER_STATES };
enum co_log_level { CO_LOG_INFO, CO_LOG_WARNING };

/* Why a tile had to be done again: pieces of work that went back to the queue. */
enum co_redo_cause { CO_REDO_LOST, CO_REDO_LEFT, CO_REDO_RETURNED, CO_REDO_FAILED, CO_REDO_DISTRUSTED, CO_REDO_CAUSES };

typedef struct co_board_worker {
    uint32_t id, threads, in_hand;       /* id: its number, from 1; in_hand: pieces of work */
    int state;                           /* enum co_worker_state */
    char name[WIRE_MAX_NAME], host[WIRE_MAX_NAME], kernel[WIRE_MAX_NAME]; /* as it says: not to be trusted */
    uint64_t joined_us, left_us;         /* left_us 0: it is here */
    uint64_t tiles, rays, samples, redone, busy_us; /* of results that counted; redone: pieces taken back from it */
    uint32_t rtt_us;                     /* 0: not known */
    double tiles_per_s, rays_per_s;      /* of late */
    uint64_t changed, state_changed;     /* the board's tick of the last change; of the last one that is more than a figure (busy or idle is one) */
} co_board_worker;

typedef struct co_board_job {
    co_job_status status;                /* some tenths of a second old at most */
    mr_picture picture;
    uint32_t tile, in_flight;            /* tile: side as asked for, 0: chosen; in_flight: pieces of work in workers' hands */
    char name[WIRE_MAX_NAME], scene[64]; /* as its owner or client says; as the scene says: not to be trusted */
    char text[512];                      /* where the picture is, or what is missing; "" */
    uint64_t submitted_us;
    double first_tile_s;                 /* from submission to its first result; negative: none yet */
    double samples_per_s;                /* of late; 0: not known */
    uint64_t changed;
    int has_view;                        /* its picture can be looked at */
    float exposure;                      /* of its scene, ... */
    uint32_t tone_map;                   /* ... enum mr_tone_map: for those who apply them by themselves */
} co_board_job;

typedef struct co_board_lease { /* a piece of work in a worker's hands */
    uint64_t id, job, since_us;  /* id 0: none. Its lower 32 bits are a place that is used again once it is free */
    uint32_t worker, x, y, width, height;
    uint32_t samples;
    uint32_t prev, next;         /* the board's: in its worker's list */
    uint32_t slot;               /* the board's: of its worker */
} co_board_lease;

typedef struct co_board_line { /* of the log */
    uint64_t id;                 /* from 1, without gaps */
    double time_s;               /* since 1970 */
    int level;                   /* enum co_log_level */
    char text[CO_BOARD_LINE];
} co_board_line;

typedef struct co_board_sample { /* once a second: totals at that time, and what was there */
    uint64_t time_us, tiles, rays, samples, redone, busy_us, thread_us, bytes_in, bytes_out; /* thread_us: threads that were there, added up over time */
    uint64_t tiles_queued;
    uint32_t workers, threads, busy_threads, in_flight;
} co_board_sample;

/* Upper bounds of the histogram of how long a tile takes its worker, in seconds; the last one is infinity. */
enum { CO_TILE_BUCKETS = 16 };
extern const double co_tile_bucket_s[CO_TILE_BUCKETS - 1];

typedef struct co_board_totals {
    const char *version, *commit;
    char endpoint[256];
    uint64_t epoch, opened_us, stepped_us; /* stepped_us: the server was alive */
    uint64_t tiles_done, rays, samples, result_bytes, busy_us; /* of results that counted, in this life */
    uint64_t late_results;               /* came when nobody needed them any more */
    uint64_t redone[CO_REDO_CAUSES];
    uint64_t tile_bucket[CO_TILE_BUCKETS]; /* results by the time they took (each in one bucket, not added up) */
    uint64_t joined, gone[CO_WORKER_STATES]; /* workers: ever; by the state they ended in */
    uint64_t jobs_ended[CO_JOB_CANCELLED + 1]; /* by state */
    uint64_t bytes_in, bytes_out, strangers, refused_versions; /* over the workers' and clients' socket */
    uint64_t open_paths;                 /* camera samples that nobody has been given */
    uint32_t workers, threads, in_flight, workers_by_state[CO_WORKER_STATES]; /* now; states of those gone count while they are listed */
    uint32_t jobs_queued, jobs_running;
    uint64_t tiles_queued;               /* pieces of work of all jobs that are not in and in nobody's hands */
    uint32_t busy_threads;               /* at most as many of each worker as it has in hand */
    int ready;
    char not_ready[256];                 /* why, when it is not */
    int has_desired;                     /* whether the number of workers that would be right is known */
    uint32_t desired;
    char desired_reason[CO_DESIRED_TEXT];
} co_board_totals;

/* ---- the server's side ---- */

void co_board_opened(co_board *b, const char *endpoint, uint64_t epoch, uint64_t now_us);
void co_board_log(co_board *b, int level, const char *text); /* any thread's */
void co_board_joined(co_board *b, uint32_t worker, const wire_hello *hello, uint64_t now_us);
void co_board_left(co_board *b, uint32_t worker, int state, uint32_t given_back, uint64_t now_us);
void co_board_state(co_board *b, uint32_t worker, int state); /* CO_WORKER_RESTING or _DRAINING; CO_WORKER_IDLE: neither any more */
void co_board_rtt(co_board *b, uint32_t worker, uint32_t rtt_us);
void co_board_redone(co_board *b, int cause, uint32_t worker, uint32_t count); /* worker 0: nobody's */

/* Work goes out and comes back. lease: id, job, worker and the rectangle. */
void co_board_assigned(co_board *b, const co_board_lease *lease, uint64_t now_us);
void co_board_released(co_board *b, uint64_t lease);
typedef struct co_board_result {
    uint64_t lease, job, rays, samples, micros, bytes;
    uint32_t worker;
    int counted; /* 0: too late */
    int whole;   /* that was the last of its tile */
} co_board_result;
void co_board_result_in(co_board *b, const co_board_result *result, uint64_t now_us);

/* A job: as it is now. view: held by the board from its first call on; NULL: none. */
void co_board_put_job(co_board *b, const co_board_job *job, co_view *view);
void co_board_job_text(co_board *b, uint64_t job, const char *text);
void co_board_job_gone(co_board *b, uint64_t job, uint64_t now_us); /* the server has forgotten it; it stays listed for a while */

typedef struct co_board_now { /* what the server says now and then */
    uint64_t bytes_in, bytes_out, strangers, refused_versions, open_paths;
    int ready;
    const char *not_ready;
} co_board_now;
void co_board_step(co_board *b, const co_board_now *now, uint64_t now_us);
int co_board_due(const co_board *b, uint64_t now_us); /* whether co_board_step is due, by CO_BOARD_STEP_MS */
void co_board_desired(co_board *b, uint32_t workers, const char *reason);

/* ---- everyone's side ---- */

double co_board_wall_s(const co_board *b, uint64_t mono_us); /* 0 stays 0 */
void co_board_totals_now(co_board *b, co_board_totals *out);
/* All that changed after that tick (0: all), in the order of their ids; malloc'd (NULL and 0 when there are none, or no memory). *tick: the board's now, for the
 * next call. */
co_board_worker *co_board_workers(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick);
co_board_job *co_board_jobs(co_board *b, uint64_t after, uint32_t *count, uint64_t *tick);
int co_board_job_now(co_board *b, uint64_t job, co_board_job *out, co_view **view); /* 1, or 0: not known. view (may be NULL): held, or NULL */
/* The table of leases by place; entries with id 0 are free. *leases: malloc'd or grown. Returns the number of places; 0 also without memory. */
uint32_t co_board_leases(co_board *b, co_board_lease **leases, uint32_t *capacity);
/* The last samples, at most so many, oldest first. */
uint32_t co_board_samples(co_board *b, co_board_sample *out, uint32_t most);
/* Up to `most` lines with an id > after, oldest first. */
uint32_t co_board_lines(co_board *b, uint64_t after, co_board_line *out, uint32_t most);
uint64_t co_board_last_line(co_board *b);

#endif
