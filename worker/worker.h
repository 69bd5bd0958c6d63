/* A worker: connect, fetch packs, trace tiles, return sums. It holds no state that matters. */
#ifndef WK_WORKER_H
#define WK_WORKER_H

#include <stdint.h>

#include "tracer/error.h"
#include "tracer/kernel.h"
#include "wire/keys.h"

typedef struct wk_config {
    const char *endpoint;       /* tcp://HOST:PORT of the coordinator, which may not be up yet; the name is resolved anew at each try */
    const wire_keys *keys;      /* NULL: none; the coordinator then has none either */
    unsigned threads;           /* tracer threads, >= 1 */
    const char *name;           /* shown to people; NULL: host name and process id */
    const mr_kernel *kernel;
    const volatile int *stop;   /* not 0: hand back what has not begun, finish or abandon the rest, say goodbye, return MR_OK */
    uint32_t give_up_ms;        /* without a coordinator for so long: MR_FAILED; 0: never */
    const char *pack_dir;       /* a folder of packs named HASH.pack (hexadecimal): looked into before a pack is asked for, and one that was fetched is
                                 * kept there; it may vanish at any time. NULL: none */
    int packs_checked;          /* not 0: whoever filled pack_dir has checked what is in it and nobody else can write there (an embedded cluster's own
                                 * folder): its packs are mapped as they are, without hashing 60 MB in each worker again. A folder that others
                                 * may write to, or that belongs to another user, is not trusted even then */
    int null;                   /* trace nothing, return noise at once: for a coordinator that measures itself; no other takes such a worker */
    void (*log)(void *user, const char *line); /* may be NULL */
    void *user;
} wk_config;

/* Runs until told to stop, or until the coordinator dismisses it. MR_OK then. */
int wk_run(const wk_config *config, mr_error *err);

#endif
