/* The coordinator's socket: a ZeroMQ ROUTER, and a monitor that tells which connections have broken. The only file here that sees zmq.
 *
 * A peer is known by the number that ROUTER gave its connection: a peer that comes back is another peer. Those that choose a routing
 * id of their own are not heard, so that nobody can take another's place. Who gets in, and as what, says coordinator/guard.h. */
#ifndef CO_ROUTER_H
#define CO_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/guard.h"
#include "tracer/error.h"
#include "wire/message.h"

typedef struct co_router co_router;

/* Binds. keys: borrowed for the call; NULL: anyone may come. MR_FAILED: in use, or not an address. */
int co_router_open(co_router **out, const char *endpoint, const co_keys *keys, mr_error *err);
void co_router_close(co_router *r, int linger_ms); /* waits so long at most for what is still to be sent */
const char *co_router_endpoint(const co_router *r);

/* Waiting ends when fd is readable, too. Two of them at most; they are watched until the router is closed. */
void co_router_watch(co_router *r, int fd);

/* Waits until something can be received, a connection broke, or the time is over (or a signal came). */
int co_router_wait(co_router *r, int timeout_ms, mr_error *err);

/* The next message: 1, or 0 when there is none. bytes are valid until the next call. */
int co_router_receive(co_router *r, uint32_t *peer, const void **bytes, size_t *size_bytes);

/* What the sender of the last message received may be: enum wire_role, in bits. */
unsigned co_router_roles(co_router *r);
uint32_t co_router_identity(co_router *r); /* and its identity, where its key is its own; 0: unknown */

/* Another list of those let in: see co_guard_allow. */
int co_router_allow(co_router *r, const wire_permit *permits, uint32_t count, mr_error *err);

/* Connections that were turned away so far: noise, other protocols, no key or a wrong one; address: of the last whose key was refused. */
uint64_t co_router_strangers(const co_router *r, const char **address);

/* The next peer whose connection seems to have broken: 1, or 0. A hint: sending to it proves it. */
int co_router_broken(co_router *r, uint32_t *peer);

/* Bytes of all messages so far, without ZeroMQ's own. */
void co_router_traffic(const co_router *r, uint64_t *in, uint64_t *out);

/* Whether bytes of a message that is not whole yet keep coming from a peer: some within the last within_ms, and enough since this was last asked. */
int co_router_receiving(co_router *r, uint32_t peer, uint32_t within_ms);

/* Sends; -1 when the peer is gone or takes nothing any more. */
int co_router_send(co_router *r, uint32_t peer, const wire_message *message, const void *payload, size_t payload_bytes);

#endif
