/* Handing packs to workers, so that tiles still get through.
 *
 * Many workers may want the same large pack at once. Each asks for a window of chunks and keeps that window moving; sent at once, a thousand of them would
 * queue gigabytes here and leave tiles and heartbeats behind them on every line. So a few are served at a time, in turn, one chunk each,
 * and no more in one step than a moment's worth: messages are handled in between. Whoever has had his share goes to the end of the line; the first
 * ones are at work long before the last has its pack, which all together would not be. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/server_internal.h"

static fetcher *find(co_server *s, uint32_t peer)
{
    for (uint32_t i = 0; i < s->fetcher_count; i++)
        if (s->fetchers[i].peer == peer) return &s->fetchers[i];
    return NULL;
}

static void remove_at(co_server *s, uint32_t place)
{
    memmove(&s->fetchers[place], &s->fetchers[place + 1], (s->fetcher_count - place - 1) * sizeof *s->fetchers);
    s->fetcher_count--;
}

static fetcher *add(co_server *s, uint32_t peer)
{
    if (s->fetcher_count == s->fetcher_capacity) {
        uint32_t capacity = s->fetcher_capacity ? 2 * s->fetcher_capacity : 16;
        fetcher *larger = realloc(s->fetchers, capacity * sizeof *larger);
        if (!larger) return NULL;
        s->fetchers = larger;
        s->fetcher_capacity = capacity;
    }
    fetcher *f = &s->fetchers[s->fetcher_count++];
    *f = (fetcher){ .peer = peer };
    return f;
}

void co_server_forget_fetcher(co_server *s, uint32_t peer)
{
    const fetcher *f = find(s, peer);
    if (f) remove_at(s, (uint32_t)(f - s->fetchers));
}

/* A request that is no continuation of those before begins anew: after a pause, or for another pack. */
static int continues(const fetcher *f, const wire_need_pack *need)
{
    const wire_need_pack *last = &f->last;
    return f->last.length && !memcmp(last->pack, need->pack, sizeof last->pack) && need->offset == last->offset + last->length;
}

void co_server_want_chunk(co_server *s, uint64_t now_us, uint32_t peer, const wire_need_pack *need)
{
    fetcher *f = find(s, peer);
    if (!f) f = add(s, peer);
    if (!f) return; /* it will ask again */
    if (!continues(f, need)) f->count = 0;
    f->last = *need;
    f->heard_us = now_us;
    if (f->count < FETCHER_REQUESTS) f->wanted[f->count++] = (chunk){ need->offset, need->length };
}

/* Sends the first chunk it waits for. 0: it is gone, or wants what we do not have. */
static int send_next(co_server *s, fetcher *f)
{
    upload *owner;
    const chunk next = f->wanted[0];
    const mr_pack *pack = co_server_find_pack(s, f->last.pack, &owner);
    if (!pack || next.offset >= pack->size_bytes) return 0; /* its job has ended: the worker has been told */
    uint64_t left = pack->size_bytes - next.offset;
    size_t length = next.length < left ? next.length : (size_t)left;
    wire_message m = { .type = WIRE_PACK_CHUNK, .chunk.offset = next.offset };
    memcpy(m.chunk.pack, f->last.pack, sizeof m.chunk.pack);
    memmove(f->wanted, f->wanted + 1, --f->count * sizeof f->wanted[0]);
    f->turn_bytes += length;
    f->done = next.offset + length == pack->size_bytes;
    co_account_pack_sent(s->account, co_now_us(), co_scheduler_worker_number(s->scheduler, f->peer), length);
    return co_router_send(s->router, f->peer, &m, pack->base + next.offset, length) == 0;
}

/* Whether a fetcher's place among those served goes to another: it has all, or its share of this turn, or asks for nothing any more. */
static int turn_is_over(const fetcher *f, uint64_t now_us)
{
    return f->done || f->turn_bytes >= CO_PACK_TURN_BYTES || (!f->count && now_us - f->heard_us > CO_PACK_IDLE_MS * UINT64_C(1000));
}

static void end_turns(co_server *s, uint64_t now_us)
{
    for (uint32_t i = 0; i < s->fetcher_count && i < CO_PACK_SERVED;) {
        fetcher f = s->fetchers[i];
        if (!turn_is_over(&f, now_us)) {
            i++;
            continue;
        }
        remove_at(s, i);
        f.turn_bytes = 0;
        f.heard_us = now_us;
        if (!f.done) s->fetchers[s->fetcher_count++] = f; /* its place is free: just removed */
        if (!f.done && s->fetcher_count <= CO_PACK_SERVED) i++; /* nobody waits */
    }
}

int co_server_send_chunks(co_server *s, uint64_t now_us)
{
    size_t budget = CO_PACK_STEP_BYTES;
    int sent = 1;
    end_turns(s, now_us);
    while (sent && budget) {
        sent = 0;
        for (uint32_t i = 0; i < s->fetcher_count && i < CO_PACK_SERVED && budget; i++) {
            fetcher *f = &s->fetchers[i];
            if (!f->count) continue;
            size_t length = f->wanted[0].length;
            if (!send_next(s, f)) f->done = 1;
            budget -= length < budget ? length : budget;
            sent = 1;
        }
    }
    return sent;
}
