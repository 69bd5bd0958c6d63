/* Every bound and default of the worker, in one place, with its reason. */
#ifndef WK_LIMITS_H
#define WK_LIMITS_H

enum {
    WK_HEARTBEAT_MS = 200,    /* until the coordinator has said otherwise */
    WK_SILENCE_LEAST_MS = 2000, /* a coordinator silent for so long (or two leases) is away: connect anew */
    WK_HELLO_AGAIN_MS = 100,  /* at least between two hellos on one connection */
    WK_SEEK_MS = 1000,        /* without a welcome for so long, try a new connection ... */
    WK_SEEK_MOST_MS = 8000,   /* ... at longer and longer intervals, up to this; up to ... */
    WK_REFUSED_LOG_MS = 60000,/* at most so often a line about being turned away */
    WK_OTHER_VERSION_MS = 30000, /* ... of another version: it, or we, will be replaced in a roll-out's time */
    WK_RECONNECT_MS = 100,    /* between two attempts of one connection; each resolves the name anew */
    WK_CONNECT_MS = 1500,     /* for one attempt: an address that is gone does not answer at all */
    WK_DRAIN_MS = 5000,       /* a tile that runs for longer after SIGTERM is abandoned: container engines kill after 10 s */
    WK_LINGER_MS = 1000,      /* for the last results and the goodbye */
    WK_CHUNK_LEAST = 16384,   /* bytes of a pack asked for at once: from here ... */
    WK_CHUNK_FIRST = 65536,
    WK_WINDOW_LEAST = 2,      /* chunks under way: one comes, one waits behind it */
    WK_CHUNK_QUICK_MS = 20,   /* ... it doubles while a chunk comes sooner than this, */
    WK_CHUNK_SLOW_MS = 200,   /* and halves when it comes later: tiles and heartbeats must get through in between */
    WK_TASKS_MOST = 8192      /* tiles in hand: beyond any credit; a coordinator that sends more is out of its mind */
};

#define WK_PACKS_KEPT_BYTES (UINT64_C(2) << 30) /* packs that no tile needs now, kept for the next job */

#endif
