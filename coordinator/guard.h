/* Who gets in: the coordinator's answers to ZeroMQ's questions (ZAP, rfc.zeromq.org/spec/27), one for each connection that has shown it holds a
 * secret key.
 *
 * With keys, only the listed public keys get in, each with its roles. Without keys everyone does, as both: that is for loopback and
 * private networks. A list may be exchanged at any time. Either way ZeroMQ then refuses peers of its old protocols (ZMTP 1 and 2), which know no mechanism. The
 * guard lives in the server's thread: no lock, and a stranger costs us one small message at most. */
#ifndef CO_GUARD_H
#define CO_GUARD_H

#include <stdint.h>

#include "tracer/error.h"
#include "wire/keys.h"

typedef struct co_keys { /* a coordinator's */
    uint8_t open[WIRE_KEY_BYTES], secret[WIRE_KEY_BYTES];
    const wire_permit *permits;
    uint32_t permit_count;
} co_keys;

typedef struct co_guard co_guard;

/* context: ZeroMQ's; one guard in each. keys: NULL lets everyone in; the permits are copied, the secret is not. */
int co_guard_open(co_guard **out, void *context, const co_keys *keys, mr_error *err);
void co_guard_close(co_guard *guard);

void *co_guard_socket(const co_guard *guard); /* to be polled; readable: co_guard_answer is due */
void co_guard_answer(co_guard *guard);        /* answers all questions that wait */

/* How many keys were refused so far, and the address of the last of them ("" without one). */
uint64_t co_guard_refused(const co_guard *guard, const char **address);

/* From now on these are let in, and no others: those let in before who are not among them lose their roles at once. Copied. MR_FAILED: no memory,
 * all stays as it was; without keys nothing is done. */
int co_guard_allow(co_guard *guard, const wire_permit *permits, uint32_t count, mr_error *err);

/* The roles of the sender of a message with this property "User-Id", as the guard gave it; 0 for anything else, and for a key that is no longer listed. */
unsigned co_guard_roles(const co_guard *guard, const char *user_id);
/* The identity of one whose key is his own; 0: the key may be shared, or there is none. */
uint32_t co_guard_identity(const char *user_id);

#endif
