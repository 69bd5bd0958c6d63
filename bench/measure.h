/* One timed run of a set of rays through one scene, by one or several threads. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "bench/rtx.h"

enum { BENCH_THREADS_MAX = 64, BENCH_CHUNK = 4096 /* rays a call: two waves of the renderer */ };

typedef struct bench_run {
    rtx_query *query;
    const rtx_scene *scene;
    const mr_ray *rays;
    uint32_t count;
    rtx_hit *hits; /* out: count */
} bench_run;

/* Seconds from the first ray to the last. Threads are pinned to CPUs 0 .. threads - 1 where that is allowed, flush subnormals as
 * Embree asks for (no result depends on it that is compared here), and take BENCH_CHUNK rays at a time. A thread that cannot be
 * started ends the program. */
double bench_measure(const bench_run *run, unsigned threads);

#endif
