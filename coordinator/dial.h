/* A client's connection to a coordinator: a ZeroMQ DEALER, its keys, and what became of its handshakes. */
#ifndef CO_DIAL_H
#define CO_DIAL_H

#include <stdint.h>

#include "tracer/error.h"
#include "wire/keys.h"

typedef struct co_dial {
    void *socket, *monitor;
    const char *endpoint;
    int with_keys;
    unsigned failed; /* handshakes that the other side broke off without a word */
} co_dial;

/* MR_USAGE: not an endpoint. context: ZeroMQ's. endpoint and keys (NULL: none) are borrowed, the keys for this call only. */
int co_dial_open(co_dial *dial, void *context, const char *endpoint, const wire_keys *keys, mr_error *err);
void co_dial_close(co_dial *dial, int linger_ms); /* what is still to be sent has so long to leave; a closed one is fine */

void co_dial_wait(co_dial *dial, int timeout_ms); /* for a message, or for news about handshakes */

/* Not 0 when the other side has turned us away: err then says how. */
int co_dial_refused(co_dial *dial, mr_error *err);

/* What to add to "no coordinator at ...": "" or a guess at why. */
const char *co_dial_hint(const co_dial *dial);

#endif
