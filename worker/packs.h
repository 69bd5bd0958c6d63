/* The packs a worker holds: being looked for, fetched, checked, or ready; and the tiles that wait for each. */
#ifndef WK_PACKS_H
#define WK_PACKS_H

#include "wire/message.h"
#include "worker/tracers.h"

enum wk_pack_state { WK_PACK_LOOKING /* in the folder */, WK_PACK_FETCHING, WK_PACK_CHECKING, WK_PACK_READY };

typedef struct wk_held {
    wk_pack pack;                 /* first: a task's pack is its holder */
    struct wk_held *next;
    int state;                    /* enum wk_pack_state */
    uint64_t received, asked;     /* bytes: come, asked for; chunks come in order */
    uint32_t window;              /* chunks asked for at once */
    uint32_t chunk_bytes;         /* to ask for at once: see worker/limits.h */
    uint64_t chunk_us;            /* when the last chunk came, or was asked for after a pause */
    uint64_t used;                /* a counter: the least is the longest unused */
    wk_task *waiting, **waiting_last;
} wk_held;

typedef struct wk_packs {
    wk_held *first;
    uint64_t uses;
} wk_packs;

wk_held *wk_packs_find(wk_packs *packs, const uint8_t hash[MR_HASH_BYTES]);

/* A new holder, LOOKING when folder is not NULL, FETCHING otherwise; NULL without memory. */
wk_held *wk_packs_add(wk_packs *packs, const uint8_t hash[MR_HASH_BYTES], uint64_t size_bytes, const char *folder);

/* Prepares to receive: MR_FAILED without memory for the pack. */
int wk_held_begin_fetch(wk_held *held, uint64_t now_us, mr_error *err);
/* The next piece to ask for: 1, or 0 while enough is under way. */
int wk_held_ask(wk_held *held, wire_need_pack *need);
/* Takes a chunk: 1 when the pack is complete. What was not asked for, or came before, is ignored. */
int wk_held_take(wk_held *held, uint64_t now_us, uint64_t offset, const uint8_t *bytes, size_t size_bytes);
/* The connection is a new one: asks again for what has not come. */
void wk_held_ask_again(wk_held *held, uint64_t now_us);

void wk_held_wait(wk_held *held, wk_task *task);   /* adds a tile that waits for it */
wk_task *wk_held_waiting(wk_held *held);           /* takes all of them out */
/* Takes out those for which `which` says yes. */
wk_task *wk_packs_withdraw(wk_packs *packs, int (*which)(const wk_task *task, const void *arg), const void *arg);
uint32_t wk_packs_waiting(const wk_packs *packs);

void wk_packs_drop(wk_packs *packs, wk_held *held); /* no tracer may use it */
/* Drops the longest unused packs that no tracer uses until the rest is at most most_bytes. */
void wk_packs_trim(wk_packs *packs, wk_tracers *tracers, uint64_t most_bytes);

#endif
