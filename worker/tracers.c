/* See worker/tracers.h. A lock guards the lists; a thread keeps its renderer while tiles of the same pack come. Results are encoded by the
 * thread that traced them, so that the thread with the connection only passes them on. */
#include "worker/tracers.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tracer/pack_check.h"
#include "wire/message.h"
#include "wire/sums.h"

typedef struct tracer {
    wk_tracers *all;
    pthread_t thread;
    wk_task *task;           /* running; guarded by the lock */
    wk_pack *pack;           /* the renderer's */
    mr_renderer *renderer;
    wire_packer *packer;
    uint64_t *sums;
    size_t sums_capacity;
} tracer;

struct wk_tracers {
    pthread_mutex_t lock;
    pthread_cond_t work;
    wk_task *first, **last;            /* waiting */
    wk_task *finished, **finished_last;
    uint32_t waiting, running;
    int fd, stopping, null;
    const mr_kernel *kernel;
    tracer *tracers;
    unsigned count;                    /* threads that were started */
};

static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void wk_task_free(wk_task *task)
{
    if (!task) return;
    free(task->frame);
    free(task);
}

/* ---- what a thread does ---- */

static int bind(tracer *me, wk_pack *pack)
{
    if (me->pack == pack && me->renderer) return 0;
    mr_renderer_free(me->renderer);
    pthread_mutex_lock(&me->all->lock);
    if (me->pack) me->pack->users--;
    me->pack = pack;
    pack->users++;
    pthread_mutex_unlock(&me->all->lock);
    me->renderer = mr_renderer_new(&pack->pack, me->all->kernel);
    return me->renderer ? 0 : -1;
}

static int reserve_sums(tracer *me, size_t count)
{
    if (me->sums_capacity >= count) return 0;
    uint64_t *sums = realloc(me->sums, count * sizeof *sums);
    if (!sums) return -1;
    me->sums = sums;
    me->sums_capacity = count;
    return 0;
}

static int encode(tracer *me, wk_task *task, size_t count, const mr_ray_counts *rays)
{
    wire_message m = { .type = WIRE_RESULT };
    m.result = (wire_result){ task->epoch, task->job, task->lease, task->unit, rays->paths, rays->rays, task->micros, task->tile.y, task->tile.height,
                              task->thread, task->began_us, task->cpu_us };
    uint8_t head[WIRE_MAX_HEAD];
    size_t head_bytes = wire_encode(&m, head, sizeof head);
    task->frame = malloc(head_bytes + wire_sums_bound(count));
    if (!task->frame) return -1;
    memcpy(task->frame, head, head_bytes);
    task->frame_bytes = head_bytes + wire_sums_encode(me->packer, me->sums, count, task->frame + head_bytes);
    return 0;
}

/* Noise instead of a picture, of about the bytes that a tile has: for a coordinator that measures itself. */
static int pretend(tracer *me, const wk_task *task, size_t count, mr_ray_counts *rays)
{
    uint64_t random = task->lease * 0x9e3779b97f4a7c15u | 1;
    for (size_t i = 0; i < count; i++) {
        random ^= random << 13; /* xorshift64 (Marsaglia 2003) */
        random ^= random >> 7;
        random ^= random << 17;
        me->sums[i] = random >> 40; /* three bytes: what a pixel of a picture takes */
    }
    rays->paths = (uint64_t)task->tile.width * task->tile.height * task->tile.sample_count;
    rays->rays = rays->paths; /* so that the scheduler has something to go by */
    return MR_OK;
}

static int trace(tracer *me, wk_task *task)
{
    size_t count = (size_t)3 * task->tile.width * task->tile.height;
    uint64_t cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
    mr_ray_counts rays = { 0, 0 };
    task->thread = (uint32_t)(me - me->all->tracers);
    task->began_us = clock_us(CLOCK_MONOTONIC);
    if (bind(me, task->pack) || reserve_sums(me, count)) return mr_fail(&task->err, MR_FAILED, "no memory to trace with");
    int status = me->all->null ? pretend(me, task, count, &rays)
                               : mr_render_tile(me->renderer, &task->picture, &task->tile, me->sums, &rays, &task->stop);
    task->micros = clock_us(CLOCK_MONOTONIC) - task->began_us;
    task->cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_us;
    if (status) return mr_fail(&task->err, status, "tracing gave up");
    return encode(me, task, count, &rays) ? mr_fail(&task->err, MR_FAILED, "no memory for a result") : MR_OK;
}

static int same_hash(wk_task *task)
{
    wk_pack *p = task->pack;
    if (!memcmp(p->pack.header->hash, p->hash, sizeof p->hash)) return MR_OK;
    mr_pack_close(&p->pack);
    memset(&p->pack, 0, sizeof p->pack);
    if (p->bytes) (void)munmap(p->bytes, p->size_bytes);
    p->bytes = NULL;
    return mr_fail(&task->err, MR_BAD_INPUT, "it is another scene than was announced");
}

/* Only our user can have written the file: it is his, and so is the folder, which is closed to all others. */
static int is_private(const char *path, int fd)
{
    struct stat file, folder;
    char parent[sizeof ((wk_pack *)0)->path];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash) return 0;
    *slash = 0;
    return !fstat(fd, &file) && S_ISREG(file.st_mode) && file.st_uid == geteuid() && !lstat(parent, &folder) && S_ISDIR(folder.st_mode) &&
           folder.st_uid == geteuid() && (folder.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* Maps a pack that was checked before; header and sections are looked at all the same. MR_FAILED: it is not to be trusted. */
static int map_trusted(wk_task *task)
{
    wk_pack *p = task->pack;
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return MR_FAILED;
    int fine = is_private(p->path, fd) && !fstat(fd, &st) && (uint64_t)st.st_size == p->size_bytes;
    void *bytes = fine ? mmap(NULL, p->size_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
    (void)close(fd);
    if (bytes == MAP_FAILED) return MR_FAILED;
    if (mr_pack_views(&p->pack, bytes, p->size_bytes, p->path, &task->err)) {
        (void)munmap(bytes, p->size_bytes);
        return MR_FAILED;
    }
    p->bytes = bytes;
    return MR_OK;
}

static int load(wk_task *task)
{
    wk_pack *p = task->pack;
    if (p->trusted && map_trusted(task) == MR_OK) return same_hash(task);
    int status = mr_pack_open(&p->pack, p->path, &task->err);
    return status ? status : same_hash(task);
}

static int check(wk_task *task)
{
    wk_pack *p = task->pack;
    uint8_t hash[MR_HASH_BYTES];
    mr_pack_hash_end(&p->hasher, hash);
    int status = mr_pack_check_hashed(&p->pack, p->bytes, p->size_bytes, hash, "the scene that the coordinator sent", &task->err);
    if (!status) status = same_hash(task);
    if (!status && p->path[0]) (void)mr_pack_save(&p->pack, p->path, NULL); /* only a cache */
    return status;
}

static void perform(tracer *me, wk_task *task)
{
    task->status = task->kind == WK_TASK_TRACE ? trace(me, task) : task->kind == WK_TASK_LOAD ? load(task) : check(task);
}

/* ---- the queue ---- */

static wk_task *next_task(tracer *me)
{
    wk_tracers *t = me->all;
    pthread_mutex_lock(&t->lock);
    while (!t->first && !t->stopping) pthread_cond_wait(&t->work, &t->lock);
    wk_task *task = t->stopping ? NULL : t->first;
    if (task) {
        t->first = task->next;
        if (!t->first) t->last = &t->first;
        t->waiting--;
        t->running++;
        me->task = task;
    }
    pthread_mutex_unlock(&t->lock);
    return task;
}

static void hand_over(tracer *me, wk_task *task)
{
    wk_tracers *t = me->all;
    uint64_t one = 1;
    pthread_mutex_lock(&t->lock);
    task->next = NULL;
    *t->finished_last = task;
    t->finished_last = &task->next;
    t->running--;
    me->task = NULL;
    pthread_mutex_unlock(&t->lock);
    ssize_t written = write(t->fd, &one, sizeof one);
    (void)written; /* it cannot fill up, and is only a wake-up */
}

static void *run(void *arg)
{
    tracer *me = arg;
    for (wk_task *task = next_task(me); task; task = next_task(me)) {
        perform(me, task);
        hand_over(me, task);
    }
    return NULL;
}

void wk_tracers_push(wk_tracers *t, wk_task *task)
{
    pthread_mutex_lock(&t->lock);
    if (task->kind == WK_TASK_TRACE || !t->first) {
        task->next = NULL;
        *t->last = task;
        t->last = &task->next;
    } else {
        task->next = t->first;
        t->first = task;
    }
    t->waiting++;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

wk_task *wk_tracers_finished(wk_tracers *t)
{
    uint64_t count;
    ssize_t got = read(t->fd, &count, sizeof count);
    (void)got; /* not readable: nothing new */
    pthread_mutex_lock(&t->lock);
    wk_task *list = t->finished;
    t->finished = NULL;
    t->finished_last = &t->finished;
    pthread_mutex_unlock(&t->lock);
    return list;
}

static wk_task *withdraw_waiting(wk_tracers *t, int (*which)(const wk_task *, const void *), const void *arg)
{
    wk_task *out = NULL, **out_last = &out, **at = &t->first;
    while (*at) {
        wk_task *task = *at;
        if (task->kind != WK_TASK_TRACE || !which(task, arg)) {
            at = &task->next;
            continue;
        }
        *at = task->next;
        task->next = NULL;
        *out_last = task;
        out_last = &task->next;
        t->waiting--;
    }
    t->last = at;
    return out;
}

wk_task *wk_tracers_withdraw(wk_tracers *t, int (*which)(const wk_task *task, const void *arg), const void *arg, int running_too)
{
    pthread_mutex_lock(&t->lock);
    wk_task *out = withdraw_waiting(t, which, arg);
    for (unsigned i = 0; running_too && i < t->count; i++) {
        wk_task *task = t->tracers[i].task;
        if (task && task->kind == WK_TASK_TRACE && which(task, arg)) __atomic_store_n(&task->stop, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&t->lock);
    return out;
}

void wk_tracers_counts(wk_tracers *t, uint32_t *queued, uint32_t *running)
{
    pthread_mutex_lock(&t->lock);
    *queued = t->waiting;
    *running = t->running;
    pthread_mutex_unlock(&t->lock);
}

int wk_tracers_uses(wk_tracers *t, const wk_pack *pack)
{
    pthread_mutex_lock(&t->lock);
    int uses = pack->users > 0;
    for (const wk_task *task = t->first; task && !uses; task = task->next) uses = task->pack == pack;
    for (const wk_task *task = t->finished; task && !uses; task = task->next) uses = task->pack == pack;
    for (unsigned i = 0; i < t->count && !uses; i++) uses = t->tracers[i].task && t->tracers[i].task->pack == pack;
    pthread_mutex_unlock(&t->lock);
    return uses;
}

int wk_tracers_fd(const wk_tracers *t) { return t->fd; }

/* ---- life ---- */

/* Signals are for the thread with the connection, which they wake. */
static int spawn(wk_tracers *t, tracer *me)
{
    sigset_t all, before;
    me->all = t;
    me->packer = wire_packer_new();
    if (!me->packer) return -1;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&me->thread, NULL, run, me);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) wire_packer_free(me->packer);
    return failed ? -1 : 0;
}

int wk_tracers_start(wk_tracers **out, unsigned threads, const mr_kernel *kernel, int null, mr_error *err)
{
    wk_tracers *t = calloc(1, sizeof *t);
    tracer *tracers = calloc(threads, sizeof *tracers);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!t || !tracers || fd < 0) {
        free(t);
        free(tracers);
        if (fd >= 0) (void)close(fd);
        return mr_fail(err, MR_FAILED, "no memory for %u threads", threads);
    }
    t->tracers = tracers;
    t->fd = fd;
    t->kernel = kernel;
    t->null = null;
    t->last = &t->first;
    t->finished_last = &t->finished;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->work, NULL);
    while (t->count < threads && !spawn(t, &tracers[t->count])) t->count++;
    if (t->count < threads) {
        wk_tracers_stop(t);
        return mr_fail(err, MR_FAILED, "cannot start %u threads", threads);
    }
    *out = t;
    return MR_OK;
}

static void free_list(wk_task *list)
{
    while (list) {
        wk_task *next = list->next;
        wk_task_free(list);
        list = next;
    }
}

static int every(const wk_task *task, const void *arg)
{
    (void)task;
    (void)arg;
    return 1;
}

void wk_tracers_stop(wk_tracers *t)
{
    if (!t) return;
    free_list(wk_tracers_withdraw(t, every, NULL, 1));
    pthread_mutex_lock(&t->lock);
    t->stopping = 1;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->count; i++) {
        tracer *me = &t->tracers[i];
        (void)pthread_join(me->thread, NULL);
        mr_renderer_free(me->renderer);
        wire_packer_free(me->packer);
        free(me->sums);
    }
    free_list(t->first);
    free_list(t->finished);
    (void)pthread_cond_destroy(&t->work);
    (void)pthread_mutex_destroy(&t->lock);
    (void)close(t->fd);
    free(t->tracers);
    free(t);
}
