/* What a worker has in hand: tiles that were given to it, packs that they need, results. Which of them go where is said by worker.c. */
#include "worker/worker_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- giving up tasks ---- */

typedef struct wanted { /* which tasks are meant */
    uint64_t job;
    const wire_leases *leases;
} wanted;

static int of_job(const wk_task *task, const void *arg) { return task->job == ((const wanted *)arg)->job; }

static int of_leases(const wk_task *task, const void *arg)
{
    const wire_leases *l = ((const wanted *)arg)->leases;
    for (unsigned i = 0; i < l->count; i++)
        if (l->lease[i] == task->lease) return 1;
    return 0;
}

static int any_task(const wk_task *task, const void *arg)
{
    (void)task;
    (void)arg;
    return 1;
}

void wk_free_tasks(wk_task *list)
{
    while (list) {
        wk_task *next = list->next;
        wk_task_free(list);
        list = next;
    }
}

static void give_up(wk_worker *w, int (*which)(const wk_task *, const void *), const void *arg, int running_too)
{
    wk_free_tasks(wk_tracers_withdraw(w->tracers, which, arg, running_too));
    wk_free_tasks(wk_packs_withdraw(&w->packs, which, arg));
}

static void add_returned(wk_worker *w, wk_task *list)
{
    for (; list; list = list->next) {
        w->out.leases.lease[w->out.leases.count++] = list->lease;
        if (w->out.leases.count < WIRE_MAX_LIST) continue;
        wk_send(w, WIRE_RETURN);
        w->out.leases.count = 0;
    }
}

/* Hands back every tile that has not begun. */
void wk_hand_back(wk_worker *w)
{
    wk_task *queued = wk_tracers_withdraw(w->tracers, any_task, NULL, 0), *waiting = wk_packs_withdraw(&w->packs, any_task, NULL);
    w->out.leases.count = 0;
    w->out.leases.running = 0;
    add_returned(w, queued);
    add_returned(w, waiting);
    if (w->out.leases.count) wk_send(w, WIRE_RETURN);
    wk_free_tasks(queued);
    wk_free_tasks(waiting);
}

void wk_give_up_all(wk_worker *w, int running_too) { give_up(w, any_task, NULL, running_too); }

/* ---- tiles ---- */

static void fail_task(wk_worker *w, const wk_task *task, const char *text)
{
    wire_tile_failed *f = &w->out.failed;
    *f = (wire_tile_failed){ .epoch = task->epoch, .job = task->job, .lease = task->lease, .unit = task->unit };
    (void)snprintf(f->text, sizeof f->text, "%.*s", WIRE_MAX_TEXT - 1, text);
    wk_send(w, WIRE_TILE_FAILED);
}

/* A pack that cannot be had: its tiles fail, and a later assignment may try again. */
static void fail_pack(wk_worker *w, wk_held *held, const char *text)
{
    wk_say(w, "%s", text);
    for (const wk_task *task = held->waiting; task; task = task->next) fail_task(w, task, text);
    wk_packs_drop(&w->packs, held);
}

void wk_ask_chunks(wk_worker *w, wk_held *held)
{
    while (wk_held_ask(held, &w->out.need)) wk_send(w, WIRE_NEED_PACK);
}

static void fetch(wk_worker *w, wk_held *held, uint64_t now)
{
    mr_error err;
    if (wk_held_begin_fetch(held, now, &err)) {
        fail_pack(w, held, err.text);
        return;
    }
    if (w->state == WK_JOINED) wk_ask_chunks(w, held);
}

/* Gives a pack's own task (LOAD, CHECK) to the tracers. */
static void push_pack_task(wk_worker *w, wk_held *held, int kind)
{
    wk_task *task = calloc(1, sizeof *task);
    if (!task) {
        fail_pack(w, held, "no memory to check a scene with");
        return;
    }
    task->kind = kind;
    task->pack = &held->pack;
    held->state = kind == WK_TASK_LOAD ? WK_PACK_LOOKING : WK_PACK_CHECKING;
    wk_tracers_push(w->tracers, task);
}

static void want_pack(wk_worker *w, wk_held *held, uint64_t now)
{
    if (held->state == WK_PACK_LOOKING && access(held->pack.path, R_OK) == 0) push_pack_task(w, held, WK_TASK_LOAD);
    else fetch(w, held, now);
}

static wk_task *new_task(const wire_assign *a, const wire_unit *u, uint64_t epoch)
{
    wk_task *task = calloc(1, sizeof *task);
    if (!task) return NULL;
    task->kind = WK_TASK_TRACE;
    task->epoch = epoch;
    task->job = a->job;
    task->lease = u->lease;
    task->unit = u->unit;
    task->picture = (mr_picture){ a->picture.width, a->picture.height, a->picture.spp, a->picture.seed };
    task->tile = (mr_tile){ u->x, u->y, u->width, u->height, u->first_sample, u->sample_count };
    return task;
}

/* A tile that is no tile of that picture is the coordinator's mistake; it hears of it. */
static void take_unit(wk_worker *w, const wire_assign *a, const wire_unit *u, wk_held *held)
{
    wk_task *task = new_task(a, u, w->epoch);
    if (!task) return; /* its lease will be missed */
    if (mr_picture_check(&task->picture, &task->err) || mr_tile_check(&task->picture, &task->tile, &task->err)) {
        fail_task(w, task, task->err.text);
        wk_task_free(task);
        return;
    }
    task->pack = &held->pack;
    if (held->state == WK_PACK_READY) wk_tracers_push(w->tracers, task);
    else wk_held_wait(held, task);
}

void wk_assigned(wk_worker *w, uint64_t now)
{
    const wire_assign *a = &w->in.assign;
    uint32_t queued, running;
    wk_tracers_counts(w->tracers, &queued, &running);
    if (w->state != WK_JOINED || queued + wk_packs_waiting(&w->packs) + a->count > WK_TASKS_MOST) return;
    wk_held *held = wk_packs_find(&w->packs, a->pack);
    int is_new = !held;
    if (is_new) held = wk_packs_add(&w->packs, a->pack, a->pack_bytes, w->config->pack_dir);
    if (!held) return;
    held->pack.trusted = w->config->packs_checked;
    for (unsigned i = 0; i < a->count; i++) take_unit(w, a, &a->units[i], held);
    if (!is_new) return;
    wk_packs_trim(&w->packs, w->tracers, WK_PACKS_KEPT_BYTES);
    want_pack(w, held, now);
}

void wk_revoked(wk_worker *w)
{
    wanted these = { .leases = &w->in.leases };
    give_up(w, of_leases, &these, w->in.leases.running);
}

void wk_forgotten(wk_worker *w)
{
    wanted job = { .job = w->in.job.job };
    give_up(w, of_job, &job, 1);
}

void wk_chunk_came(wk_worker *w, uint64_t now)
{
    wk_held *held = wk_packs_find(&w->packs, w->in.chunk.pack);
    if (!held) return;
    if (wk_held_take(held, now, w->in.chunk.offset, w->in.payload, w->in.payload_bytes)) push_pack_task(w, held, WK_TASK_CHECK);
    else if (held->state == WK_PACK_FETCHING) wk_ask_chunks(w, held);
}

/* ---- what has been done ---- */

static void pack_done(wk_worker *w, wk_task *task, uint64_t now)
{
    wk_held *held = (wk_held *)task->pack; /* its first member */
    if (task->status && task->kind == WK_TASK_LOAD) {
        fetch(w, held, now); /* a damaged copy is as good as none */
        return;
    }
    if (task->status) {
        fail_pack(w, held, task->err.text);
        return;
    }
    held->state = WK_PACK_READY;
    for (wk_task *tile = wk_held_waiting(held), *next; tile; tile = next) {
        next = tile->next;
        wk_tracers_push(w->tracers, tile);
    }
}

/* What was traced for nothing. Only worth a word to the coordinator that asked for it. */
static void say_spent(wk_worker *w, const wk_task *task)
{
    w->out.spent = (wire_spent){ task->epoch, task->job, task->lease, task->thread, task->began_us, task->micros, task->cpu_us };
    wk_send(w, WIRE_SPENT);
}

static void send_result(wk_worker *w, wk_task *task)
{
    if (task->status == MR_OK && task->epoch == w->epoch) {
        (void)wk_link_send_frame(w->link, task->frame, task->frame_bytes);
        task->frame = NULL;
    } else if (task->status == MR_INTERRUPTED && task->epoch == w->epoch) {
        say_spent(w, task);
    } else if (task->status && task->status != MR_INTERRUPTED) {
        fail_task(w, task, task->err.text);
    }
    wk_task_free(task);
}

static void tile_done(wk_worker *w, wk_task *task)
{
    if (w->state != WK_SEEKING) {
        send_result(w, task);
        return;
    }
    task->next = NULL;
    *w->kept_last = task;
    w->kept_last = &task->next;
}

void wk_collect(wk_worker *w, uint64_t now)
{
    for (wk_task *task = wk_tracers_finished(w->tracers), *next; task; task = next) {
        next = task->next;
        if (task->kind == WK_TASK_TRACE) {
            tile_done(w, task);
            continue;
        }
        pack_done(w, task, now);
        wk_task_free(task);
    }
}

void wk_send_kept(wk_worker *w)
{
    wk_task *list = w->kept;
    w->kept = NULL;
    w->kept_last = &w->kept;
    while (list) {
        wk_task *next = list->next;
        send_result(w, list);
        list = next;
    }
}
