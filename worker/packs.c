/* See worker/packs.h. */
#include "worker/packs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker/limits.h"

wk_held *wk_packs_find(wk_packs *packs, const uint8_t hash[MR_HASH_BYTES])
{
    for (wk_held *h = packs->first; h; h = h->next) {
        if (memcmp(h->pack.hash, hash, MR_HASH_BYTES)) continue;
        h->used = ++packs->uses;
        return h;
    }
    return NULL;
}

wk_held *wk_packs_add(wk_packs *packs, const uint8_t hash[MR_HASH_BYTES], uint64_t size_bytes, const char *folder)
{
    wk_held *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    memcpy(h->pack.hash, hash, MR_HASH_BYTES);
    h->pack.size_bytes = size_bytes;
    h->state = folder ? WK_PACK_LOOKING : WK_PACK_FETCHING;
    h->used = ++packs->uses;
    h->waiting_last = &h->waiting;
    if (folder) {
        char hex[2 * MR_HASH_BYTES + 1];
        mr_hash_hex(hash, hex);
        int length = snprintf(h->pack.path, sizeof h->pack.path, "%s/%s.pack", folder, hex);
        if (length < 0 || (size_t)length >= sizeof h->pack.path) h->pack.path[0] = 0;
        if (!h->pack.path[0]) h->state = WK_PACK_FETCHING;
    }
    h->next = packs->first;
    packs->first = h;
    return h;
}

/* ---- fetching ---- */

int wk_held_begin_fetch(wk_held *h, uint64_t now_us, mr_error *err)
{
    void *bytes = mmap(NULL, h->pack.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return mr_fail(err, MR_FAILED, "no memory for a scene of %llu MB", (unsigned long long)(h->pack.size_bytes >> 20));
    (void)madvise(bytes, h->pack.size_bytes, MADV_HUGEPAGE); /* fewer misses on the way from page to page */
    h->pack.bytes = bytes;
    mr_pack_hash_begin(&h->pack.hasher, h->pack.size_bytes);
    h->state = WK_PACK_FETCHING;
    h->chunk_bytes = WK_CHUNK_FIRST;
    h->window = WK_WINDOW_LEAST;
    wk_held_ask_again(h, now_us);
    return MR_OK;
}

void wk_held_ask_again(wk_held *h, uint64_t now_us)
{
    h->asked = h->received;
    h->chunk_us = now_us;
}

int wk_held_ask(wk_held *h, wire_need_pack *need)
{
    if (h->asked >= h->pack.size_bytes || h->asked >= h->received + (uint64_t)h->window * h->chunk_bytes) return 0;
    uint64_t left = h->pack.size_bytes - h->asked;
    memcpy(need->pack, h->pack.hash, sizeof need->pack);
    need->offset = h->asked;
    need->length = left < h->chunk_bytes ? (uint32_t)left : h->chunk_bytes;
    h->asked += need->length;
    return 1;
}

static void adapt(wk_held *h, uint64_t now_us)
{
    uint64_t took_us = now_us - h->chunk_us;
    int quick = took_us < WK_CHUNK_QUICK_MS * UINT64_C(1000), slow = took_us > WK_CHUNK_SLOW_MS * UINT64_C(1000);
    if (quick && h->chunk_bytes < WIRE_CHUNK_BYTES) h->chunk_bytes *= 2;
    if (quick && h->window < WIRE_CHUNK_WINDOW) h->window++;
    if (slow && h->chunk_bytes > WK_CHUNK_LEAST) h->chunk_bytes /= 2;
    if (slow && h->window > WK_WINDOW_LEAST) h->window--;
    h->chunk_us = now_us;
}

int wk_held_take(wk_held *h, uint64_t now_us, uint64_t offset, const uint8_t *bytes, size_t size_bytes)
{
    if (h->state != WK_PACK_FETCHING || offset != h->received || size_bytes > h->asked - h->received) return 0;
    memcpy((uint8_t *)h->pack.bytes + offset, bytes, size_bytes);
    mr_pack_hash_add(&h->pack.hasher, bytes, size_bytes);
    h->received += size_bytes;
    adapt(h, now_us);
    return h->received == h->pack.size_bytes;
}

/* ---- tiles that wait ---- */

void wk_held_wait(wk_held *h, wk_task *task)
{
    task->next = NULL;
    *h->waiting_last = task;
    h->waiting_last = &task->next;
}

wk_task *wk_held_waiting(wk_held *h)
{
    wk_task *list = h->waiting;
    h->waiting = NULL;
    h->waiting_last = &h->waiting;
    return list;
}

wk_task *wk_packs_withdraw(wk_packs *packs, int (*which)(const wk_task *task, const void *arg), const void *arg)
{
    wk_task *out = NULL, **out_last = &out;
    for (wk_held *h = packs->first; h; h = h->next) {
        for (wk_task *task = wk_held_waiting(h), *next; task; task = next) {
            next = task->next;
            if (!which(task, arg)) {
                wk_held_wait(h, task);
                continue;
            }
            task->next = NULL;
            *out_last = task;
            out_last = &task->next;
        }
    }
    return out;
}

uint32_t wk_packs_waiting(const wk_packs *packs)
{
    uint32_t count = 0;
    for (const wk_held *h = packs->first; h; h = h->next)
        for (const wk_task *task = h->waiting; task; task = task->next) count++;
    return count;
}

/* ---- the end ---- */

void wk_packs_drop(wk_packs *packs, wk_held *held)
{
    for (wk_held **at = &packs->first; *at; at = &(*at)->next) {
        if (*at != held) continue;
        *at = held->next;
        break;
    }
    for (wk_task *task = wk_held_waiting(held), *next; task; task = next) {
        next = task->next;
        wk_task_free(task);
    }
    mr_pack_close(&held->pack.pack);
    if (held->pack.bytes) (void)munmap(held->pack.bytes, held->pack.size_bytes);
    free(held);
}

void wk_packs_trim(wk_packs *packs, wk_tracers *tracers, uint64_t most_bytes)
{
    for (;;) {
        uint64_t total = 0;
        wk_held *oldest = NULL;
        for (wk_held *h = packs->first; h; h = h->next) {
            total += h->pack.size_bytes;
            if (h->state == WK_PACK_READY && !h->waiting && !wk_tracers_uses(tracers, &h->pack) && (!oldest || h->used < oldest->used)) oldest = h;
        }
        if (total <= most_bytes || !oldest) return;
        wk_packs_drop(packs, oldest);
    }
}
