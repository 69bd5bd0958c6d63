#include "bench/measure.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cli/cli.h"

typedef struct job {
    const bench_run *run;
    uint32_t next; /* accessed with __atomic */
    pthread_barrier_t start;
} job;

typedef struct worker {
    job *j;
    unsigned cpu;
    double begun_s, done_s; /* by the thread's own clock readings: with as many threads as CPUs, the caller may wake late */
    pthread_t thread;
} worker;

static void settle(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#ifdef __SSE__
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* FTZ, DAZ */
#endif
}

static void *work(void *user)
{
    worker *w = user;
    const bench_run *run = w->j->run;
    uint32_t at;
    settle(w->cpu);
    (void)pthread_barrier_wait(&w->j->start);
    w->begun_s = cli_now();
    while ((at = __atomic_fetch_add(&w->j->next, BENCH_CHUNK, __ATOMIC_RELAXED)) < run->count)
        run->query(run->scene, run->rays + at, run->count - at < BENCH_CHUNK ? run->count - at : BENCH_CHUNK, run->hits + at);
    w->done_s = cli_now();
    return NULL;
}

static void start_all(worker *workers, unsigned threads, job *j)
{
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.j = j, .cpu = i};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0) continue;
        fprintf(stderr, "cannot start a thread\n");
        exit(MR_FAILED);
    }
}

double bench_measure(const bench_run *run, unsigned threads)
{
    worker workers[BENCH_THREADS_MAX];
    job j = {.run = run};
    double begun = INFINITY, done = 0;
    (void)pthread_barrier_init(&j.start, NULL, threads);
    start_all(workers, threads, &j);
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        begun = fmin(begun, workers[i].begun_s);
        done = fmax(done, workers[i].done_s);
    }
    (void)pthread_barrier_destroy(&j.start);
    return done - begun;
}
