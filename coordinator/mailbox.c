#include "coordinator/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "coordinator/clock.h"

enum { WAITS, TAKEN, DONE };

struct co_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    co_request *first, **last;
    int closed;
    int pending; /* accessed with __atomic: something is in it; so that an empty box costs the server no system call */
    int fd;
};

/* A condition whose time-outs do not follow the wall clock. */
static int init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t how;
    if (pthread_condattr_init(&how)) return -1;
    int failed = pthread_condattr_setclock(&how, CLOCK_MONOTONIC) || pthread_cond_init(condition, &how);
    (void)pthread_condattr_destroy(&how);
    return failed ? -1 : 0;
}

co_mailbox *co_mailbox_new(void)
{
    co_mailbox *box = calloc(1, sizeof *box);
    if (!box) return NULL;
    box->last = &box->first;
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0 || pthread_mutex_init(&box->lock, NULL) || init_condition(&box->changed)) {
        if (box->fd >= 0) (void)close(box->fd);
        free(box);
        return NULL;
    }
    return box;
}

void co_mailbox_free(co_mailbox *box)
{
    if (!box) return;
    (void)pthread_mutex_destroy(&box->lock);
    (void)pthread_cond_destroy(&box->changed);
    (void)close(box->fd);
    free(box);
}

static void take_back(co_mailbox *box, co_request *request)
{
    co_request **at = &box->first;
    while (*at && *at != request) at = &(*at)->next;
    if (!*at) return;
    *at = request->next;
    if (!*at) box->last = at;
}

static void wake(const co_mailbox *box)
{
    const uint64_t one = 1;
    if (write(box->fd, &one, sizeof one) < 0) return; /* full: the server is awake anyway */
}

int co_mailbox_ask(co_mailbox *box, co_request *request, uint32_t timeout_ms)
{
    const struct timespec until = co_after_ms(CLOCK_MONOTONIC, timeout_ms);
    (void)pthread_mutex_lock(&box->lock);
    request->next = NULL;
    request->state = WAITS;
    *box->last = request;
    box->last = &request->next;
    __atomic_store_n(&box->pending, 1, __ATOMIC_RELAXED);
    wake(box);
    int late = 0;
    while (request->state == WAITS && !late && !box->closed) late = pthread_cond_timedwait(&box->changed, &box->lock, &until) == ETIMEDOUT;
    while (request->state == TAKEN) (void)pthread_cond_wait(&box->changed, &box->lock);
    int done = request->state == DONE;
    if (!done) take_back(box, request);
    (void)pthread_mutex_unlock(&box->lock);
    return done ? 0 : -1;
}

void co_mailbox_close(co_mailbox *box)
{
    (void)pthread_mutex_lock(&box->lock);
    box->closed = 1;
    (void)pthread_cond_broadcast(&box->changed);
    (void)pthread_mutex_unlock(&box->lock);
}

int co_mailbox_fd(const co_mailbox *box) { return box->fd; }

co_request *co_mailbox_take(co_mailbox *box)
{
    uint64_t count;
    if (!__atomic_load_n(&box->pending, __ATOMIC_RELAXED)) return NULL;
    (void)pthread_mutex_lock(&box->lock);
    co_request *request = box->first;
    if (request) {
        box->first = request->next;
        if (!box->first) box->last = &box->first;
        request->state = TAKEN;
    } else {
        __atomic_store_n(&box->pending, 0, __ATOMIC_RELAXED);
        while (read(box->fd, &count, sizeof count) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_mutex_unlock(&box->lock);
    return request;
}

void co_mailbox_done(co_mailbox *box, co_request *request)
{
    (void)pthread_mutex_lock(&box->lock);
    request->state = DONE;
    (void)pthread_cond_broadcast(&box->changed);
    (void)pthread_mutex_unlock(&box->lock);
}
