/* What the worker's files share: worker.c (the coordinator: finding it, what it says, time) and tasks.c (what is in hand). One thread runs all of it. */
#ifndef WK_WORKER_INTERNAL_H
#define WK_WORKER_INTERNAL_H

#include "worker/limits.h"
#include "worker/link.h"
#include "worker/packs.h"
#include "worker/worker.h"

enum wk_state { WK_SEEKING, WK_JOINED, WK_LEAVING, WK_GONE };

typedef struct wk_worker {
    const wk_config *config;
    wk_link *link;
    wk_tracers *tracers;
    wk_packs packs;
    enum wk_state state;
    wire_hello hello;
    uint64_t epoch;
    uint32_t number;
    uint32_t heartbeat_ms, silence_ms, rtt_us;
    uint64_t heard_us;              /* anything from the coordinator */
    uint64_t welcomed_us;           /* in touch with a coordinator until then; for give_up_ms */
    uint64_t sought_us, hello_us;   /* this connection was opened; hello was said */
    uint32_t seek_ms, seek_most_ms; /* the present interval between connections, and its bound */
    uint64_t refused_us;            /* that we were turned away was last said; 0: never */
    uint64_t pinged_us, leave_us;
    wk_task *kept, **kept_last;     /* results that wait for a welcome */
    wire_message in, out;
    mr_error *err;
    int status;
} wk_worker;

void wk_say(wk_worker *w, const char *format, ...) __attribute__((format(printf, 2, 3))); /* to the log */
void wk_send(wk_worker *w, uint8_t type); /* w->out as a message of that type */

/* Tiles come and go: w->in says which. */
void wk_assigned(wk_worker *w, uint64_t now);
void wk_revoked(wk_worker *w);
void wk_forgotten(wk_worker *w);
void wk_chunk_came(wk_worker *w, uint64_t now);

void wk_ask_chunks(wk_worker *w, wk_held *held);       /* as many as may be under way */
void wk_collect(wk_worker *w, uint64_t now);           /* what the tracers have finished: sends results, or keeps them while nobody is there */
void wk_send_kept(wk_worker *w);
void wk_hand_back(wk_worker *w);                       /* every tile that has not begun */
void wk_give_up_all(wk_worker *w, int running_too);    /* without a word */
void wk_free_tasks(wk_task *list);

#endif
