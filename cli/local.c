/* Threads take pieces of work (the units of the coordinator's own plan) from one counter and add their sums to the film under a
 * lock. Which thread does what changes nothing: sums are integers. */
#include "cli/local.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "coordinator/plan.h"

enum { MAX_THREADS = 1024 };

typedef struct local {
    const mr_pack *pack;
    const mr_kernel *kernel;
    mr_picture picture;
    co_plan plan;
    size_t sums_bytes;    /* of the largest piece */
    uint64_t next, count; /* pieces; next is shared: __atomic */
    const volatile int *stop;
    mr_film *film;
    pthread_mutex_t lock; /* of everything below and of the film */
    pthread_cond_t changed;
    co_job_status status;
    unsigned running;
    int failed; /* the first status that was not MR_OK */
    mr_error err;
} local;

static int plan_pieces(local *l, uint32_t tile, mr_error *err)
{
    int status = co_plan_make(&l->plan, &l->picture, tile, err);
    if (status != MR_OK) return status;
    l->count = co_plan_units(&l->plan);
    for (uint32_t i = 0; i < l->count; i++) {
        mr_tile t = co_plan_unit(&l->plan, i);
        size_t bytes = (size_t)t.width * t.height * 3 * sizeof(uint64_t);
        if (bytes > l->sums_bytes) l->sums_bytes = bytes;
    }
    return MR_OK;
}

static void commit(local *l, const mr_tile *tile, const uint64_t *sums, const mr_ray_counts *counts)
{
    (void)pthread_mutex_lock(&l->lock);
    mr_film_add(l->film, tile, sums);
    l->status.tiles_done++;
    l->status.samples_done += counts->paths;
    l->status.rays += counts->rays;
    (void)pthread_mutex_unlock(&l->lock);
}

static void leave(local *l, int status, const mr_error *err)
{
    (void)pthread_mutex_lock(&l->lock);
    l->running--;
    if (status != MR_OK && l->failed == MR_OK) {
        l->failed = status;
        l->err = *err;
    }
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
}

static int trace_pieces(local *l, mr_renderer *renderer, uint64_t *sums, mr_error *err)
{
    uint64_t i;
    while ((i = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED)) < l->count) {
        mr_tile tile = co_plan_unit(&l->plan, (uint32_t)i);
        mr_ray_counts counts = {0, 0};
        if (__atomic_load_n(l->stop, __ATOMIC_RELAXED)) return mr_fail(err, MR_INTERRUPTED, "interrupted");
        int status = mr_render_tile(renderer, &l->picture, &tile, sums, &counts, l->stop);
        if (status != MR_OK) return mr_fail(err, status, "a tile could not be rendered");
        commit(l, &tile, sums, &counts);
    }
    return MR_OK;
}

static void *trace(void *user)
{
    local *l = user;
    mr_error err = {.text = "out of memory"};
    mr_renderer *renderer = mr_renderer_new(l->pack, l->kernel);
    uint64_t *sums = malloc(l->sums_bytes);
    int status = renderer && sums ? trace_pieces(l, renderer, sums, &err) : MR_FAILED;
    free(sums);
    mr_renderer_free(renderer);
    leave(l, status, &err);
    return NULL;
}

/* Waits for the threads, a tenth of a second at a time, and shows how far they are. */
static void watch(local *l, double start, progress *bar)
{
    (void)pthread_mutex_lock(&l->lock);
    while (l->running) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&l->changed, &l->lock, &until);
        l->status.seconds = cli_now() - start;
        progress_update(bar, &l->status);
    }
    (void)pthread_mutex_unlock(&l->lock);
}

static unsigned start_threads(local *l, unsigned count, pthread_t *threads)
{
    unsigned started = 0;
    l->running = count;
    while (started < count && pthread_create(&threads[started], NULL, trace, l) == 0) started++;
    (void)pthread_mutex_lock(&l->lock);
    l->running -= count - started;
    l->status.threads = started;
    (void)pthread_mutex_unlock(&l->lock);
    return started;
}

static int render(local *l, unsigned count, progress *bar, mr_error *err)
{
    pthread_t threads[MAX_THREADS];
    double start = cli_now();
    if (count > MAX_THREADS) count = MAX_THREADS;
    l->status.tiles = l->count;
    unsigned started = start_threads(l, count, threads);
    if (!started) return mr_fail(err, MR_FAILED, "cannot start a thread");
    watch(l, start, bar);
    for (unsigned i = 0; i < started; i++) (void)pthread_join(threads[i], NULL);
    l->status.seconds = l->status.busy_seconds = cli_now() - start;
    if (l->failed != MR_OK) return mr_fail(err, l->failed, "%s", l->err.text);
    l->status.state = CO_JOB_DONE;
    return MR_OK;
}

int local_render(const mr_pack *pack, const mr_picture *picture, uint32_t tile, unsigned threads, const mr_kernel *kernel,
                 const volatile int *stop, progress *bar, mr_film *film, co_job_status *status, mr_error *err)
{
    int result = mr_film_init(film, picture, err);
    if (result != MR_OK) return result;
    local l = {.pack = pack, .kernel = kernel, .picture = *picture, .stop = stop, .film = film};
    (void)pthread_mutex_init(&l.lock, NULL);
    (void)pthread_cond_init(&l.changed, NULL);
    result = plan_pieces(&l, tile, err);
    if (result == MR_OK) result = render(&l, threads, bar, err);
    co_plan_free(&l.plan);
    (void)pthread_cond_destroy(&l.changed);
    (void)pthread_mutex_destroy(&l.lock);
    *status = l.status;
    if (result != MR_OK) mr_film_free(film);
    return result;
}
