/* The coordinator's socket: a ZeroMQ ROUTER, and a monitor that tells which connections have broken. The only file here that sees zmq.
 *
 * A peer is known by the number that ROUTER gave its connection: a peer that comes back is another peer. Those that choose a routing
 * id of their own are not heard, so that nobody can take another's place. */
#ifndef CO_ROUTER_H
#define CO_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "wire/message.h"

typedef struct co_router co_router;

/* Binds. MR_FAILED: in use, or not an address. */
int co_router_open(co_router **out, const char *endpoint, mr_error *err);
void co_router_close(co_router *r, int linger_ms); /* waits so long at most for what is still to be sent */
const char *co_router_endpoint(const co_router *r);

/* Waits until something can be received, a connection broke, or the time is over (or a signal came). */
int co_router_wait(co_router *r, int timeout_ms, mr_error *err);

/* The next message: 1, or 0 when there is none. bytes are valid until the next call. */
int co_router_receive(co_router *r, uint32_t *peer, const void **bytes, size_t *size_bytes);

/* The next peer whose connection seems to have broken: 1, or 0. A hint: sending to it proves it. */
int co_router_broken(co_router *r, uint32_t *peer);

/* Sends; -1 when the peer is gone or takes nothing any more. */
int co_router_send(co_router *r, uint32_t peer, const wire_message *message, const void *payload, size_t payload_bytes);

#endif
