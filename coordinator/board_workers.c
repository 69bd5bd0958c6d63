/* The board's workers, and the work in their hands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/board_internal.h"

slot *co_board_slot(const co_board *b, uint32_t worker)
{
    int64_t place = co_map_get(&b->slot_of, worker);
    return place < 0 ? NULL : &b->slots[place];
}

/* ---- workers ---- */

/* What it is doing follows from what it has in hand, unless it rests or is about to leave. */
static void touch(co_board *b, slot *s)
{
    s->w.changed = ++b->tick;
    if (s->w.left_us) return;
    int state = s->draining ? CO_WORKER_DRAINING : s->resting ? CO_WORKER_RESTING : s->w.in_hand ? CO_WORKER_BUSY : CO_WORKER_IDLE;
    if (state == s->w.state) return;
    b->totals.workers_by_state[s->w.state]--;
    b->totals.workers_by_state[state]++;
    if (state > CO_WORKER_BUSY || s->w.state > CO_WORKER_BUSY) s->w.state_changed = b->tick; /* busy or not changes with every tile: that is a figure */
    s->w.state = state;
}

/* Takes out those that have been gone for long, or the first to have gone when they are many. The order of the rest stays; leases know their places anew. */
void co_board_forget_the_gone(co_board *b, uint64_t now_us)
{
    uint32_t kept = 0, gone = 0;
    for (uint32_t i = 0; i < b->slot_count; i++) gone += b->slots[i].w.left_us != 0;
    for (uint32_t i = 0; i < b->slot_count; i++) {
        const slot *s = &b->slots[i];
        if (s->w.left_us && (now_us - s->w.left_us > CO_BOARD_GONE_MS * UINT64_C(1000) || gone > CO_BOARD_GONE_MOST)) {
            gone--;
            b->totals.workers_by_state[s->w.state]--;
            co_map_remove(&b->slot_of, s->w.id);
            continue;
        }
        if (kept != i) {
            b->slots[kept] = *s;
            (void)co_map_put(&b->slot_of, s->w.id, kept);
            for (uint32_t l = s->leases; l != CO_BOARD_NONE; l = b->leases[l].next) b->leases[l].slot = kept;
        }
        kept++;
    }
    b->slot_count = kept;
}

static slot *new_slot(co_board *b)
{
    if (b->slot_count == b->slot_capacity) {
        uint32_t capacity = b->slot_capacity ? 2 * b->slot_capacity : 64;
        slot *slots = realloc(b->slots, capacity * sizeof *slots);
        if (!slots) return NULL;
        b->slots = slots;
        b->slot_capacity = capacity;
    }
    return &b->slots[b->slot_count];
}

void co_board_joined(co_board *b, uint32_t worker, const wire_hello *hello, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, worker) ? NULL : new_slot(b);
    if (s && !co_map_put(&b->slot_of, worker, b->slot_count)) {
        b->slot_count++;
        *s = (slot){ .w = { .id = worker, .threads = hello->threads, .joined_us = now_us }, .leases = CO_BOARD_NONE };
        (void)snprintf(s->w.name, sizeof s->w.name, "%s", hello->name);
        (void)snprintf(s->w.host, sizeof s->w.host, "%s", hello->host);
        (void)snprintf(s->w.kernel, sizeof s->w.kernel, "%s", hello->kernel);
        b->totals.workers_by_state[CO_WORKER_IDLE]++;
        b->totals.workers++;
        b->totals.threads += hello->threads;
        b->totals.joined++;
        touch(b, s);
        s->w.state_changed = s->w.changed;
    }
    co_board_leave(b);
}

void co_board_state(co_board *b, uint32_t worker, int state)
{
    if (!b) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, worker);
    if (s) {
        s->resting = state == CO_WORKER_RESTING;
        s->draining |= state == CO_WORKER_DRAINING;
        touch(b, s);
    }
    co_board_leave(b);
}

void co_board_rtt(co_board *b, uint32_t worker, uint32_t rtt_us)
{
    if (!b || !rtt_us) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, worker);
    if (s) s->w.rtt_us = rtt_us;
    co_board_leave(b);
}

void co_board_redone(co_board *b, int cause, uint32_t worker, uint32_t count)
{
    if (!b || !count) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, worker);
    if (s) s->w.redone += count;
    b->totals.redone[cause] += count;
    co_board_leave(b);
}

/* ---- work ---- */

static void unlink_lease(co_board *b, co_board_lease *l)
{
    slot *s = &b->slots[l->slot];
    if (l->prev != CO_BOARD_NONE) b->leases[l->prev].next = l->next;
    else s->leases = l->next;
    if (l->next != CO_BOARD_NONE) b->leases[l->next].prev = l->prev;
    s->w.in_hand--;
    if (s->w.in_hand < s->w.threads) b->totals.busy_threads--;
    entry *e = co_board_entry(b, l->job);
    if (e && e->j.in_flight) e->j.in_flight--;
    b->in_flight--;
    l->id = 0;
    touch(b, s);
}

static co_board_lease *lease_at(co_board *b, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    return place < b->lease_capacity && b->leases[place].id == id ? &b->leases[place] : NULL;
}

/* The scheduler's pool is dense: places are no more than what is out at once. */
static co_board_lease *place_for(co_board *b, uint64_t id)
{
    uint32_t place = (uint32_t)id, capacity = b->lease_capacity ? b->lease_capacity : 1024;
    while (capacity <= place && capacity < CO_BOARD_LEASES_MOST) capacity *= 2;
    if (place >= capacity) return NULL;
    if (capacity > b->lease_capacity) {
        co_board_lease *leases = realloc(b->leases, capacity * sizeof *leases);
        if (!leases) return NULL;
        memset(leases + b->lease_capacity, 0, (capacity - b->lease_capacity) * sizeof *leases);
        b->leases = leases;
        b->lease_capacity = capacity;
    }
    if (b->leases[place].id) unlink_lease(b, &b->leases[place]);
    return &b->leases[place];
}

void co_board_assigned(co_board *b, const co_board_lease *lease, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, lease->worker);
    co_board_lease *l = s && !s->w.left_us ? place_for(b, lease->id) : NULL;
    if (l) {
        *l = *lease;
        l->since_us = now_us;
        l->slot = (uint32_t)(s - b->slots);
        l->prev = CO_BOARD_NONE;
        l->next = s->leases;
        if (s->leases != CO_BOARD_NONE) b->leases[s->leases].prev = (uint32_t)l->id;
        s->leases = (uint32_t)l->id;
        if (s->w.in_hand < s->w.threads) b->totals.busy_threads++;
        s->w.in_hand++;
        b->in_flight++;
        entry *e = co_board_entry(b, l->job);
        if (e) e->j.in_flight++;
        touch(b, s);
    }
    co_board_leave(b);
}

void co_board_released(co_board *b, uint64_t lease)
{
    if (!b) return;
    co_board_enter(b);
    co_board_lease *l = lease_at(b, lease);
    if (l) unlink_lease(b, l);
    co_board_leave(b);
}

static void count_result(co_board *b, slot *s, const co_board_result *r, uint64_t now_us)
{
    co_board_totals *t = &b->totals;
    entry *e = co_board_entry(b, r->job);
    unsigned bucket = 0;
    while (bucket < CO_TILE_BUCKETS - 1 && (double)r->micros > 1e6 * co_tile_bucket_s[bucket]) bucket++;
    t->tile_bucket[bucket]++;
    t->tiles_done += r->whole != 0;
    t->rays += r->rays;
    t->samples += r->samples;
    t->result_bytes += r->bytes;
    t->busy_us += r->micros;
    if (e && e->j.first_tile_s < 0) e->j.first_tile_s = 1e-6 * (double)(now_us - e->j.submitted_us);
    if (!s) return;
    s->w.tiles++;
    s->w.rays += r->rays;
    s->w.samples += r->samples;
    s->w.busy_us += r->micros;
    s->w.changed = ++b->tick;
}

void co_board_result_in(co_board *b, const co_board_result *r, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    co_board_lease *l = lease_at(b, r->lease);
    if (l) unlink_lease(b, l);
    if (r->counted) count_result(b, co_board_slot(b, r->worker), r, now_us);
    else b->totals.late_results++;
    co_board_leave(b);
}

void co_board_left(co_board *b, uint32_t worker, int state, uint32_t given_back, uint64_t now_us)
{
    if (!b) return;
    co_board_enter(b);
    slot *s = co_board_slot(b, worker);
    if (s && !s->w.left_us) {
        while (s->leases != CO_BOARD_NONE) unlink_lease(b, &b->leases[s->leases]);
        b->totals.workers_by_state[s->w.state]--;
        b->totals.workers_by_state[state]++;
        b->totals.gone[state]++;
        b->totals.workers--;
        b->totals.threads -= s->w.threads;
        s->w.state = state;
        s->w.left_us = now_us;
        s->w.redone += given_back;
        s->w.changed = s->w.state_changed = ++b->tick;
    }
    b->totals.redone[state == CO_WORKER_LOST ? CO_REDO_LOST : state == CO_WORKER_REFUSED ? CO_REDO_DISTRUSTED : CO_REDO_LEFT] += given_back;
    co_board_leave(b);
}

/* Leases of a job that has ended: the workers are told to forget them. */
void co_board_release_job(co_board *b, uint64_t job)
{
    for (uint32_t i = 0; i < b->lease_capacity && b->in_flight; i++)
        if (b->leases[i].id && b->leases[i].job == job) unlink_lease(b, &b->leases[i]);
}
