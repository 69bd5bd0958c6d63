/* The tracer threads: tasks in, finished tasks out. One thread of the worker (the one with the connection) calls all of this. */
#ifndef WK_TRACERS_H
#define WK_TRACERS_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/kernel.h"
#include "tracer/pack.h"
#include "tracer/render.h"

/* A pack in memory. Fields but `users` belong to the thread with the connection, and to a tracer thread while that checks it. */
typedef struct wk_pack {
    mr_pack pack;
    uint8_t hash[MR_HASH_BYTES];
    char path[1024];          /* in the folder of packs; empty: there is none */
    int trusted;              /* what lies there was checked by us, a moment ago: see worker.h, packs_checked */
    void *bytes;              /* fetched: mapped memory of size_bytes; NULL: the pack owns its own */
    mr_pack_hasher hasher;    /* of what has been fetched so far */
    uint64_t size_bytes;
    unsigned users;           /* renderers bound to it; guarded by the tracers' lock */
} wk_pack;

enum wk_task_kind { WK_TASK_TRACE, WK_TASK_LOAD /* from the folder */, WK_TASK_CHECK /* what was fetched, and keep it */ };

typedef struct wk_task {
    struct wk_task *next;
    int kind;
    wk_pack *pack;
    uint64_t epoch, job, lease;
    uint32_t unit;
    mr_picture picture;
    mr_tile tile;
    uint32_t thread;          /* out: the tracer that ran it, from 0 */
    uint64_t began_us, micros, cpu_us; /* out: when it began, how long it took, and for how long of that the thread had a core */
    int stop;                 /* set while it runs: give up */
    int status;               /* out: MR_OK, MR_INTERRUPTED or what err says */
    mr_error err;
    uint8_t *frame;           /* out: a RESULT, ready to be sent; malloc'd */
    size_t frame_bytes;
} wk_task;

typedef struct wk_tracers wk_tracers;

/* null: nothing is traced, every tile is noise at once. */
int wk_tracers_start(wk_tracers **out, unsigned threads, const mr_kernel *kernel, int null, mr_error *err);
void wk_tracers_stop(wk_tracers *t); /* abandons what runs, joins the threads, frees every task */

int wk_tracers_fd(const wk_tracers *t); /* readable when tasks have finished */

void wk_tracers_push(wk_tracers *t, wk_task *task);    /* the tracers' from here on; LOAD and CHECK go first */
wk_task *wk_tracers_finished(wk_tracers *t);           /* a list of finished tasks, in order; the caller's from here on */
void wk_task_free(wk_task *task);

/* Takes out every task not begun for which `which` says yes (a list; the caller's), and tells those that run and are meant to stop. */
wk_task *wk_tracers_withdraw(wk_tracers *t, int (*which)(const wk_task *task, const void *arg), const void *arg, int running_too);

void wk_tracers_counts(wk_tracers *t, uint32_t *queued, uint32_t *running);
int wk_tracers_uses(wk_tracers *t, const wk_pack *pack); /* whether a task or a renderer needs it */

#endif
