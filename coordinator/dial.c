/* See coordinator/dial.h. */
#include "coordinator/dial.h"

#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "wire/limits.h"

enum { FAILED_HANDSHAKES = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH };

static int set(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value); }

static int set_keys(void *socket, const wire_keys *k)
{
    return k && (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, k->coordinator, sizeof k->coordinator) ||
                 zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, k->open, sizeof k->open) ||
                 zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->secret, sizeof k->secret))
               ? -1 : 0;
}

/* The monitor's queue has no limit: ZeroMQ's thread would wait for us at a full one. */
static int watch(co_dial *d, void *context)
{
    char address[64];
    (void)snprintf(address, sizeof address, "inproc://dial-monitor-%p", d->socket);
    if (zmq_socket_monitor(d->socket, address, FAILED_HANDSHAKES)) return -1;
    d->monitor = zmq_socket(context, ZMQ_PAIR);
    return !d->monitor || set(d->monitor, ZMQ_LINGER, 0) || set(d->monitor, ZMQ_RCVHWM, 0) || zmq_connect(d->monitor, address) ? -1 : 0;
}

int co_dial_open(co_dial *d, void *context, const char *endpoint, const wire_keys *keys, mr_error *err)
{
    int64_t frame_max = WIRE_MAX_FRAME;
    *d = (co_dial){ .endpoint = endpoint, .with_keys = keys != NULL };
    if (keys && !zmq_has("curve")) return mr_fail(err, MR_FAILED, "this libzmq was built without CURVE: keys cannot be used with it");
    d->socket = zmq_socket(context, ZMQ_DEALER);
    if (!d->socket || set(d->socket, ZMQ_LINGER, 0) || zmq_setsockopt(d->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) ||
        set_keys(d->socket, keys) || watch(d, context))
        return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    if (zmq_connect(d->socket, endpoint))
        return mr_fail(err, MR_USAGE, "cannot connect to \"%s\": %s; expected tcp://HOST:PORT", endpoint, zmq_strerror(zmq_errno()));
    return MR_OK;
}

void co_dial_close(co_dial *d, int linger_ms)
{
    if (d->socket) {
        (void)set(d->socket, ZMQ_LINGER, linger_ms);
        (void)zmq_socket_monitor(d->socket, NULL, 0);
        (void)zmq_close(d->socket);
    }
    if (d->monitor) (void)zmq_close(d->monitor);
    d->socket = d->monitor = NULL;
}

void co_dial_wait(co_dial *d, int timeout_ms)
{
    zmq_pollitem_t items[] = { { .socket = d->socket, .events = ZMQ_POLLIN }, { .socket = d->monitor, .events = ZMQ_POLLIN } };
    (void)zmq_poll(items, 2, timeout_ms);
}

int co_dial_refused(co_dial *d, mr_error *err)
{
    uint8_t event[6];
    while (zmq_recv(d->monitor, event, sizeof event, ZMQ_DONTWAIT) >= (int)sizeof event) {
        uint16_t kind;
        memcpy(&kind, event, sizeof kind);
        (void)zmq_recv(d->monitor, event, sizeof event, ZMQ_DONTWAIT); /* the address: ours */
        if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return mr_fail(err, MR_FAILED, "the coordinator at %s does not let our key in", d->endpoint);
        if (kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
            return mr_fail(err, MR_FAILED, "the coordinator at %s %s", d->endpoint, d->with_keys ? "uses no keys" : "wants a key: give --key");
        d->failed++;
    }
    return 0;
}

const char *co_dial_hint(const co_dial *d)
{
    if (!d->failed) return "";
    return d->with_keys ? " that holds the key which our key file names" : " that takes us without one: if it wants a key, give --key";
}
