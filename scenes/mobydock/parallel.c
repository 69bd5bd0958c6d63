/* A parallel loop: threads take runs of CHUNK items from an atomic counter. If threads cannot be had, the caller does it all. */
#include "scenes/mobydock/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MAX_THREADS = 64, CHUNK = 64 }; /* a chunk is some 0.1 ms of field evaluations */

typedef struct loop {
    atomic_int next;
    int items;
    parallel_fn *fn;
    void *context;
} loop;

static void *run(void *argument)
{
    loop *l = argument;
    for (int begin; (begin = atomic_fetch_add(&l->next, CHUNK)) < l->items;)
        for (int i = begin; i < begin + CHUNK && i < l->items; i++) l->fn(l->context, i);
    return NULL;
}

static int processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

void parallel_for(int items, parallel_fn *fn, void *context)
{
    loop l = {.items = items, .fn = fn, .context = context};
    pthread_t helper[MAX_THREADS];
    int started = 0, wanted = processors() - 1;
    while (started < wanted && !pthread_create(&helper[started], NULL, run, &l)) started++;
    (void)run(&l);
    for (int i = 0; i < started; i++) (void)pthread_join(helper[i], NULL);
}
