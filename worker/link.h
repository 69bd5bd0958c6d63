/* The worker's connection: a ZeroMQ DEALER. The only file of the worker that sees zmq. */
#ifndef WK_LINK_H
#define WK_LINK_H

#include <stddef.h>

#include "tracer/error.h"
#include "wire/message.h"

typedef struct wk_link wk_link;

/* MR_USAGE: not an endpoint. The name in it is resolved later, at each attempt to connect. keys: NULL without; copied, wiped on close. */
int wk_link_open(wk_link **out, const char *endpoint, const wire_keys *keys, mr_error *err);
void wk_link_close(wk_link *link, int linger_ms); /* what is still to be sent has so long to leave */

/* Closes the connection with all that waits in it and opens another. */
int wk_link_again(wk_link *link, mr_error *err);

/* Whether the other side turned us away since the last call, and then how, in words; NULL: no. The link then stays silent until wk_link_again. */
const char *wk_link_refused(wk_link *link);

/* Waits for a message, for fd to become readable, for a refusal, a signal, or until the time is over. */
void wk_link_wait(wk_link *link, int fd, int timeout_ms);

int wk_link_send(wk_link *link, const wire_message *message); /* no payload; -1: it cannot be sent now */

/* Sends a whole frame without copying it; frame is malloc'd and the link's from here on, whatever comes of it. */
int wk_link_send_frame(wk_link *link, void *frame, size_t size_bytes);

/* The next frame: 1, or 0. Valid until the next call. */
int wk_link_receive(wk_link *link, const void **bytes, size_t *size_bytes);

#endif
