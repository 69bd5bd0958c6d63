/* The journal's folder, its queue, and the thread that writes: see coordinator/journal.h.
 *
 * Nodes (one a record) hang in a list under the lock; the writer takes some megabytes of them, makes one batch, and holds on to it until it is durable.
 * Only the writer touches the file once it runs. */
#include "coordinator/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/journal_file.h"

typedef struct node {
    struct node *next;
    uint64_t job;            /* of a JOB record, else 0 */
    const mr_pack *pack;     /* to be stored first; NULL: none (any more). Guarded by the lock */
    struct node *next_pack;  /* of those that have one */
    int has_pack;            /* it had one when it was added; if that is taken away before it is stored, the job is not written */
    size_t length;
    uint8_t bytes[];
} node;

struct co_journal {
    co_jfile file;
    int lock_fd, event_fd;
    uint64_t last_job;       /* when it was opened */
    pthread_t writer;
    int running;
    pthread_mutex_t lock;    /* guards all below */
    pthread_cond_t changed;
    node *first, **last;
    node *packs;             /* nodes whose pack is not stored yet */
    uint64_t added, settled, waiting_bytes;
    const mr_pack *storing;  /* by the writer, outside the lock */
    int stopping, trouble;   /* see co_journal_trouble */
    char trouble_text[256];
};

/* ---- the folder ---- */

static int cannot(const co_journal *j, const char *what, mr_error *err)
{
    return mr_fail(err, MR_FAILED, "%s: %s: %s", j->file.folder, what, strerror(errno));
}

static int open_folder(co_journal *j, const char *folder, mr_error *err)
{
    if (snprintf(j->file.folder, sizeof j->file.folder, "%s", folder) >= CO_PATH_MOST - 100) return mr_fail(err, MR_USAGE, "the folder's name is too long");
    if (mkdir(folder, 0700) && errno != EEXIST) return cannot(j, "cannot be made", err);
    j->file.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->file.folder_fd < 0) return cannot(j, "cannot be opened", err);
    j->lock_fd = openat(j->file.folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->lock_fd < 0) return cannot(j, "cannot be written", err);
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) == 0) return MR_OK;
    return errno == EWOULDBLOCK ? mr_fail(err, MR_FAILED, "%s: in use by another coordinator", folder) : cannot(j, "cannot be locked", err);
}

/* ---- the writer ---- */

static void tell(co_journal *j)
{
    uint64_t one = 1;
    ssize_t written = write(j->event_fd, &one, sizeof one);
    (void)written; /* it cannot fill up, and is only a wake-up */
}

static void set_trouble(co_journal *j, int trouble, int why)
{
    pthread_mutex_lock(&j->lock);
    int changed = j->trouble != trouble;
    j->trouble = trouble;
    if (trouble) (void)snprintf(j->trouble_text, sizeof j->trouble_text, "%s", strerror(why));
    pthread_mutex_unlock(&j->lock);
    if (changed) tell(j);
}

/* Waits a moment before trying again. 0: told to stop, there is no trying again. */
static int pause_for_room(co_journal *j, int why)
{
    struct timespec until;
    set_trouble(j, 1, why);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CO_JOURNAL_RETRY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && pthread_cond_timedwait(&j->changed, &j->lock, &until) == 0) {
    }
    int again = !j->stopping;
    pthread_mutex_unlock(&j->lock);
    return again;
}

static int store(co_journal *j, const mr_pack *pack)
{
    char path[CO_PATH_MOST];
    struct stat st;
    mr_error err;
    co_jfile_pack_path(&j->file, pack->header->hash, path);
    if (stat(path, &st) == 0 && (uint64_t)st.st_size == pack->size_bytes) return 0;
    errno = EIO;
    return mr_pack_save(pack, path, &err) || fsync(j->file.folder_fd) ? -1 : 0;
}

static void forget_pack(co_journal *j, node *n)
{
    for (node **at = &j->packs; *at; at = &(*at)->next_pack) {
        if (*at != n) continue;
        *at = n->next_pack;
        break;
    }
    n->pack = NULL;
}

/* Stores the pack of a JOB record: 1 when it is in the folder, 0 when the job was dropped, -1 when we are told to stop. */
static int store_pack(co_journal *j, node *n)
{
    for (;;) {
        pthread_mutex_lock(&j->lock);
        const mr_pack *pack = j->storing = n->pack;
        pthread_mutex_unlock(&j->lock);
        if (!pack) return 0;
        int failed = store(j, pack), why = errno;
        pthread_mutex_lock(&j->lock);
        j->storing = NULL;
        if (!failed) forget_pack(j, n);
        pthread_cond_broadcast(&j->changed);
        pthread_mutex_unlock(&j->lock);
        if (!failed) return 1;
        if (!pause_for_room(j, why)) return -1;
    }
}

/* Makes the batch durable, however long it takes. 0: given up. */
static int commit(co_journal *j, co_jfile_batch *batch)
{
    int outcome = co_jfile_append(&j->file, batch);
    co_jfile_batch *more = batch;
    int rewriting = outcome == CO_JFILE_LOST;
    for (int first = 1; outcome != CO_JFILE_OK; first = 0) {
        int why = errno;
        if (outcome == CO_JFILE_BROKEN) return set_trouble(j, 2, why), 0;
        if (!(first && rewriting) && !pause_for_room(j, why)) return 0;
        if (!rewriting) {
            outcome = co_jfile_append(&j->file, batch);
            rewriting = outcome == CO_JFILE_LOST;
            continue;
        }
        outcome = co_jfile_rewrite(&j->file, more);
        if (outcome == CO_JFILE_LOST) more = NULL; /* it is in; the file's name is not durable yet */
    }
    set_trouble(j, 0, 0);
    return 1;
}

/* After a batch: is it time to rewrite? */
static int keep_small(co_journal *j, int dropped_jobs)
{
    int outcome = co_jfile_look(&j->file);
    while (outcome == CO_JFILE_LOST && pause_for_room(j, errno)) outcome = co_jfile_rewrite(&j->file, NULL);
    if (dropped_jobs) co_jfile_drop_packs(&j->file);
    if (outcome == CO_JFILE_BROKEN) set_trouble(j, 2, EIO);
    return outcome != CO_JFILE_BROKEN && outcome != CO_JFILE_LOST;
}

/* Takes nodes for one batch; NULL: nothing is left and we are told to stop. */
static node *take(co_journal *j)
{
    pthread_mutex_lock(&j->lock);
    while (!j->first && !j->stopping) pthread_cond_wait(&j->changed, &j->lock);
    node *list = j->first, *end = list;
    size_t bytes = end ? end->length : 0;
    while (end && end->next && bytes < CO_BATCH_BYTES) {
        end = end->next;
        bytes += end->length;
    }
    if (end) {
        j->first = end->next;
        end->next = NULL;
    }
    if (!j->first) j->last = &j->first;
    pthread_mutex_unlock(&j->lock);
    return list;
}

static void settle(co_journal *j, node *list)
{
    uint64_t count = 0, bytes = 0;
    for (node *n = list, *next; n; n = next) {
        next = n->next;
        count++;
        bytes += n->length;
        free(n);
    }
    pthread_mutex_lock(&j->lock);
    j->settled += count;
    j->waiting_bytes -= bytes;
    pthread_mutex_unlock(&j->lock);
    tell(j);
}

static void drop(co_journal *j, node *list)
{
    pthread_mutex_lock(&j->lock);
    for (node *n = list, *next; n; n = next) {
        next = n->next;
        forget_pack(j, n);
        free(n);
    }
    pthread_mutex_unlock(&j->lock);
}

static int gather(co_journal *j, node *list, co_jfile_batch *batch)
{
    co_jfile_clear(batch);
    for (node *n = list; n; n = n->next) {
        int stored = n->has_pack ? store_pack(j, n) : 1;
        if (stored < 0) return -1;
        if (!stored) continue;
        if (co_jfile_put(batch, n->bytes, n->length)) return set_trouble(j, 2, ENOMEM), -1;
        if (n->job > batch->last_job) batch->last_job = n->job;
    }
    return 0;
}

static void *run(void *arg)
{
    co_journal *j = arg;
    co_jfile_batch batch = { .bytes = NULL };
    int fine = 1;
    for (node *list = take(j); list; list = take(j)) {
        size_t jobs = j->file.job_count;
        fine = fine && gather(j, list, &batch) == 0 && (!batch.records || commit(j, &batch));
        if (!fine) {
            drop(j, list); /* told to stop, or given up */
        } else {
            settle(j, list);
            fine = keep_small(j, j->file.job_count < jobs);
        }
    }
    free(batch.bytes);
    return NULL;
}

/* ---- opening and closing ---- */

static void *no_signals(co_journal *j)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    j->running = pthread_create(&j->writer, NULL, run, j) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return j->running ? j : NULL;
}

static co_journal *new_journal(void)
{
    co_journal *j = calloc(1, sizeof *j);
    pthread_condattr_t monotonic;
    if (!j) return NULL;
    j->file.fd = j->file.folder_fd = j->lock_fd = -1;
    j->last = &j->first;
    j->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&j->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return j;
}

int co_journal_open(co_journal **out, const char *folder, co_journal_sink sink, void *user, char *note, size_t note_size, mr_error *err)
{
    co_journal *j = new_journal();
    if (!j || j->event_fd < 0) {
        (void)co_journal_close(j);
        return mr_fail(err, MR_FAILED, "no memory for a journal");
    }
    int status = open_folder(j, folder, err);
    if (status == MR_OK) status = co_jfile_open(&j->file, note, note_size, err);
    if (status == MR_OK) status = co_jfile_deliver(&j->file, sink, user, err);
    if (status == MR_OK) co_jfile_drop_packs(&j->file);
    j->last_job = j->file.last_job;
    if (status == MR_OK && !no_signals(j)) status = mr_fail(err, MR_FAILED, "cannot start a thread");
    if (status == MR_OK) *out = j;
    else (void)co_journal_close(j);
    return status;
}

int co_journal_close(co_journal *j)
{
    if (!j) return 0;
    pthread_mutex_lock(&j->lock);
    j->stopping = 1;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    if (j->running) (void)pthread_join(j->writer, NULL);
    int lost = j->settled != j->added;
    co_jfile_close(&j->file);
    if (j->lock_fd >= 0) (void)close(j->lock_fd);
    if (j->file.folder_fd >= 0) (void)close(j->file.folder_fd);
    if (j->event_fd >= 0) (void)close(j->event_fd);
    (void)pthread_cond_destroy(&j->changed);
    (void)pthread_mutex_destroy(&j->lock);
    free(j);
    return lost ? -1 : 0;
}

uint64_t co_journal_epoch(const co_journal *j) { return j->file.header.epoch; }
uint64_t co_journal_last_job(const co_journal *j) { return j->last_job; }

/* ---- adding ---- */

int co_journal_add(co_journal *j, const co_record *record, const mr_pack *pack)
{
    size_t bound = co_jf_record_bound(record);
    node *n = malloc(sizeof *n + bound);
    if (!n) return -1;
    *n = (node){ .job = record->type == CO_RECORD_JOB ? record->job : 0, .pack = pack, .has_pack = pack != NULL };
    n->length = co_jf_write_record(record, n->bytes, bound);
    if (!n->length) {
        free(n);
        return -1;
    }
    pthread_mutex_lock(&j->lock);
    *j->last = n;
    j->last = &n->next;
    if (pack) {
        n->next_pack = j->packs;
        j->packs = n;
    }
    j->added++;
    j->waiting_bytes += n->length;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    return 0;
}

void co_journal_release(co_journal *j, const mr_pack *pack)
{
    pthread_mutex_lock(&j->lock);
    for (node *n = j->packs, *next; n; n = next) {
        next = n->next_pack;
        if (n->pack == pack) forget_pack(j, n);
    }
    while (j->storing == pack) pthread_cond_wait(&j->changed, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

/* ---- asking ---- */

uint64_t co_journal_settled(const co_journal *j)
{
    co_journal *open = (co_journal *)(uintptr_t)j;
    pthread_mutex_lock(&open->lock);
    uint64_t settled = j->settled;
    pthread_mutex_unlock(&open->lock);
    return settled;
}

uint64_t co_journal_waiting(const co_journal *j)
{
    co_journal *open = (co_journal *)(uintptr_t)j;
    pthread_mutex_lock(&open->lock);
    uint64_t bytes = j->waiting_bytes;
    pthread_mutex_unlock(&open->lock);
    return bytes;
}

int co_journal_fd(const co_journal *j) { return j->event_fd; }

void co_journal_calm(co_journal *j)
{
    uint64_t count;
    ssize_t got = read(j->event_fd, &count, sizeof count);
    (void)got; /* not readable: nothing new */
}

int co_journal_trouble(co_journal *j, char *text, size_t size)
{
    pthread_mutex_lock(&j->lock);
    int trouble = j->trouble;
    if (trouble) (void)snprintf(text, size, "%s", j->trouble_text);
    pthread_mutex_unlock(&j->lock);
    return trouble;
}
