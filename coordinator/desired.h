/* How many workers are wanted: the rule behind `desired_workers`. Pure: no clock, no memory beyond this struct. docs/SCALING.md gives its reasoning.
 *
 * Work is counted in rays, which are the same on every machine; a worker's speed is rays a second, as its results tell. What the rule wants is
 *
 *     (the work that is left + the work done in the last target_s seconds) / (the speed of one worker * target_s)
 *
 * So a job that came at once keeps one number from its beginning to its end (what leaves the first term enters the second), and a stream of jobs gets what
 * comes in on average, and a share of what has piled up. Of work that is not well known yet only the part we are sure of counts (co_demand.sure), and of workers that nobody has
 * measured only as many are asked for as would be needed were they quicker than the mean by its standard error.
 *
 * Up at once, down only when less was wanted all through the cool-down. Not up for work that those present will have done before another could have started
 * (that delay is learnt), nor for workers of which the last ones brought nothing, as they share cores. */
#ifndef CO_DESIRED_H
#define CO_DESIRED_H

#include <stdint.h>

enum { CO_DESIRED_BUCKETS = 64, CO_DESIRED_ORDERS = 32, CO_DESIRED_TEXT = 128 };

typedef struct co_scaling {
    uint32_t target_s;       /* work should be done so many seconds after its workers are there; 0: CO_TARGET_S */
    uint32_t target_queue;   /* instead: so many tiles a worker; 0: go by target_s */
    uint32_t min, max;       /* workers; max 0: CO_DESIRED_MOST */
    uint32_t cool_down_s;    /* less must be wanted for so long, or for as long as a worker takes to start, before workers go */
} co_scaling;

/* What there is to do, and who does it: from co_scheduler_demand. */
typedef struct co_demand {
    uint32_t jobs;           /* that have not ended */
    uint32_t workers;        /* that take work: those that drain are not counted */
    uint32_t measured;       /* of them: have brought a result, so that their speed is known */
    uint32_t busy;           /* of them: with something in hand */
    uint32_t threads;        /* of all of them */
    uint64_t joined;         /* workers ever; grows only */
    uint64_t tiles_left;     /* not in yet, of all jobs */
    int open;                /* some of them nobody has been given */
    double left, sure;       /* rays: the estimate of what tiles_left will take, and what is left of it after doubt */
    double done;             /* rays, ever; grows only */
    double speed;            /* rays a second of one worker, the mean of those measured; 0: nothing is known */
    double spread;           /* standard deviation of their speeds, in units of the mean */
} co_demand;

typedef struct co_desired {
    co_scaling rule;
    uint32_t workers;        /* the answer */
    int settled;             /* 0: too young to know, as a coordinator that was restarted and whose workers are coming back: nobody should be stopped yet */
    char reason[CO_DESIRED_TEXT]; /* in plain words, for people */
    double start_s;          /* from a wish to a worker that joined, as learnt; 0: never seen */
    double exact;            /* workers that the work would take, unrounded and unbounded */
    /* the rest is the rule's own */
    uint64_t last_us, age_us;
    double speed, spread;    /* smoothed; the spread as last seen among several */
    double speed_s;          /* over so many seconds, at most CO_SPEED_FADE_S */
    double done[CO_DESIRED_BUCKETS], last_done; /* rays of the last target_s, in a ring */
    uint32_t bucket;
    uint64_t bucket_us;      /* how far into this bucket */
    uint64_t below_us;       /* for so long less than `workers` has been wanted ... */
    uint32_t below_peak;     /* ... and this is the most that was */
    struct { uint64_t age_us; uint32_t count; } order[CO_DESIRED_ORDERS]; /* workers asked for that have not come, oldest first */
    uint32_t orders, ordered;
    uint64_t last_joined;
    uint32_t base_measured, ceiling; /* see gains() */
    double base_speed;
    int begun;
} co_desired;

/* rule: copied; impossible numbers are set right (max >= min). */
void co_desired_init(co_desired *d, const co_scaling *rule);

/* Call some times a second. now_us: of any monotonic clock; one that jumps back or far ahead costs the rule a moment's memory, no more. Returns d->workers. */
uint32_t co_desired_update(co_desired *d, uint64_t now_us, const co_demand *demand);

#endif
