/* A virtual world for the real scheduler: seeded, discrete-event, with workers that crash, hang, lose their connection or one direction of it, leave,
 * come back, fail tiles, lie, and poison that kills them; with results that come twice or late; and with a coordinator that is restarted from its journal
 * and whose clock jumps. Used by tests/sim, which throws everything at the scheduler, and by `mobyray simulate`, which predicts.
 *
 * After every event the world checks what must always hold: every band is committed exactly once (unless its worker was evicted), only of jobs that
 * have not ended; no innocent tile is given up; the end of a job is the end. And what the scheduler itself promises (co_scheduler_audit_peer after every
 * event, co_scheduler_audit every audit_every events). The first violation ends the run with an error that names seed, event and time.
 *
 * The model. A tile's cost is log-normal about the mean of its picture; a worker's speed is log-uniform between 1 and 1 / speed_ratio; the time of one
 * tracing is rays times the worker's time a ray times a log-normal noise. A message takes delay_us to twice that, in order on one connection. Time is in microseconds. */
#ifndef CO_WORLD_H
#define CO_WORLD_H

#include <stdint.h>

#include "coordinator/desired.h"
#include "tracer/error.h"
#include "tracer/render.h"

typedef struct co_world_config {
    uint64_t seed;
    uint32_t workers, threads;  /* threads: each has 1 .. threads */
    uint32_t jobs;
    mr_picture picture;         /* of each job */
    uint32_t tile;              /* its side, 0: chosen */
    double unit_us;             /* what CO_UNIT_PATHS take a worker of speed 1 on average */
    double cost_sigma, noise_sigma; /* of the logarithms */
    double speed_ratio;         /* >= 1: the quickest worker is so many times quicker than the slowest */
    uint32_t slow_workers;      /* so many of them are 20 times slower than they would be */
    uint32_t delay_us;
    uint32_t slow_lines, line_us; /* so many workers, the first, have a line on which the result of a whole unit takes so long, one after the other */
    double join_s;              /* workers come within so many seconds */
    double life_s, return_s;    /* a worker is lost after so many seconds on average (0: never), and replaced after this */
    /* chances in a million for each tile that is finished */
    uint32_t crash_ppm, stall_ppm, break_ppm, partition_ppm, leave_ppm, fail_ppm, twice_ppm, late_ppm, amnesia_ppm;
    uint32_t poison;            /* units of job 1 that kill whoever traces them */
    uint32_t liars, lie_ppm;    /* workers that lie, and how often */
    uint32_t verify_percent;
    int own_keys;               /* each worker has a key of its own, and keeps it when it starts anew */
    uint32_t restarts, jumps;   /* of the coordinator; of its clock, by up to a day both ways */
    uint32_t restart_every_us;  /* between two restarts or jumps */
    uint32_t audit_every;       /* 0: never the slow way */
    int autoscale;              /* workers are started and stopped as coordinator/desired.h wishes; `workers` is then the most there can be */
    co_scaling scaling;
    double start_s;             /* from an order to a worker that joins: 0.8 to 1.2 times this */
    double gap_s;               /* a job comes so many seconds after the one before it */
    double end_s;               /* virtual time after which a job should have ended */
} co_world_config;

typedef struct co_world_report {
    double seconds;             /* from the first job's submission to the last one's end */
    double efficiency;          /* work that was needed, of what the workers could have done while they were there */
    double waste;               /* rays traced that were not needed, of those needed */
    double copies;              /* of them: traced for nothing though their worker lived */
    double tail_s;              /* from the queue's running dry to the last tile */
    double unit_s;              /* median time of a whole tile, the first pass left out */
    uint64_t events, tiles, redone, verified, late;
    uint32_t aside, evicted, lost; /* tiles put aside, liars, workers lost */
    uint64_t wrong;             /* bands in the pictures that a liar has made */
    uint32_t slow_hands;        /* pieces that a worker with a slow line held at most */
    uint32_t right, peak;       /* autoscale: workers that the work takes, by what the world alone knows; the most that were wished for */
    uint32_t turns;             /* how often the wish changed its direction */
    double up_s;                /* from the first job until four fifths of them were there; 0: never */
    double worker_s, useful_s;  /* seconds of workers, their start included; of them that the work would have taken a worker of mean speed */
    double start_s;             /* as the rule has learnt it */
    double paths_share[16];     /* of the first jobs: its share of all paths committed when the first one of them ended */
} co_world_report;

void co_world_defaults(co_world_config *config);

/* MR_FAILED: an invariant was broken (err says seed, event, time and what), or there is no memory. */
int co_world_run(const co_world_config *config, co_world_report *report, mr_error *err);

#endif
