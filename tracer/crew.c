/* See crew.h. Pieces are handed out by a counter; between two loops the threads sleep on a condition. */
#include "tracer/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CREW_MAX = 256 };

struct mr_crew {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    void (*run)(void *context, uint32_t piece);
    void *context;
    uint32_t pieces;
    atomic_uint next;
    unsigned round; /* counts the loops, so that a thread takes part in each once */
    int open, busy, quit; /* open: the loop may be joined; busy: threads that have joined it (one that wakes late is not waited for) */
    int started;
    pthread_t thread[CREW_MAX];
};

static void take_pieces(mr_crew *crew, void (*run)(void *context, uint32_t piece), void *context, uint32_t pieces)
{
    for (uint32_t i; (i = atomic_fetch_add(&crew->next, 1)) < pieces;) run(context, i);
}

static void *work(void *argument)
{
    mr_crew *crew = argument;
    unsigned seen = 0;
    (void)pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (!(crew->open && crew->round != seen) && !crew->quit) (void)pthread_cond_wait(&crew->begin, &crew->lock);
        if (crew->quit) break;
        seen = crew->round;
        crew->busy++;
        (void)pthread_mutex_unlock(&crew->lock);
        take_pieces(crew, crew->run, crew->context, crew->pieces);
        (void)pthread_mutex_lock(&crew->lock);
        if (--crew->busy == 0) (void)pthread_cond_signal(&crew->end);
    }
    (void)pthread_mutex_unlock(&crew->lock);
    return NULL;
}

mr_crew *mr_crew_new(int threads)
{
    int want = threads - 1 < CREW_MAX ? threads - 1 : CREW_MAX;
    mr_crew *crew = want > 0 ? calloc(1, sizeof *crew) : NULL;
    if (!crew) return NULL;
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->begin, NULL);
    (void)pthread_cond_init(&crew->end, NULL);
    atomic_init(&crew->next, 0);
    while (crew->started < want && pthread_create(&crew->thread[crew->started], NULL, work, crew) == 0) crew->started++;
    return crew;
}

void mr_crew_free(mr_crew *crew)
{
    if (!crew) return;
    (void)pthread_mutex_lock(&crew->lock);
    crew->quit = 1;
    (void)pthread_cond_broadcast(&crew->begin);
    (void)pthread_mutex_unlock(&crew->lock);
    for (int i = 0; i < crew->started; i++) (void)pthread_join(crew->thread[i], NULL);
    (void)pthread_cond_destroy(&crew->begin);
    (void)pthread_cond_destroy(&crew->end);
    (void)pthread_mutex_destroy(&crew->lock);
    free(crew);
}

int mr_crew_size(const mr_crew *crew)
{
    return crew ? crew->started + 1 : 1;
}

void mr_crew_run(mr_crew *crew, void (*run)(void *context, uint32_t piece), void *context, uint32_t pieces)
{
    if (!crew || !crew->started || pieces < 2) {
        for (uint32_t i = 0; i < pieces; i++) run(context, i);
        return;
    }
    (void)pthread_mutex_lock(&crew->lock);
    crew->run = run;
    crew->context = context;
    crew->pieces = pieces;
    atomic_store(&crew->next, 0);
    crew->open = 1;
    crew->round++;
    (void)pthread_cond_broadcast(&crew->begin);
    (void)pthread_mutex_unlock(&crew->lock);
    take_pieces(crew, run, context, pieces);
    (void)pthread_mutex_lock(&crew->lock);
    crew->open = 0;
    while (crew->busy) (void)pthread_cond_wait(&crew->end, &crew->lock);
    (void)pthread_mutex_unlock(&crew->lock);
}
