/* See worker/link.h. */
#include "worker/link.h"

#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "worker/limits.h"

enum { ENDPOINT_MAX = 512, HWM = 16384 };
enum {
    FAILED_HANDSHAKES = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
    BROKEN_OFF_MOST = 5 /* handshakes of one link that end without a word: a bad line has some, a coordinator of other keys nothing else */
};

struct wk_link {
    void *context, *socket, *monitor;
    wire_keys keys;
    int with_keys;
    uint32_t monitors;  /* opened so far: each has an address of its own */
    unsigned broken_off; /* handshakes of this socket */
    zmq_msg_t frame;
    uint32_t under_way; /* frames given to libzmq and not yet freed by its thread; atomic: it orders our writing before that freeing */
    char endpoint[ENDPOINT_MAX];
};

static int set(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value); }

static int set_keys(const wk_link *l)
{
    const wire_keys *k = &l->keys;
    return l->with_keys && (zmq_setsockopt(l->socket, ZMQ_CURVE_SERVERKEY, k->coordinator, sizeof k->coordinator) ||
                            zmq_setsockopt(l->socket, ZMQ_CURVE_PUBLICKEY, k->open, sizeof k->open) ||
                            zmq_setsockopt(l->socket, ZMQ_CURVE_SECRETKEY, k->secret, sizeof k->secret))
               ? -1 : 0;
}

/* Told of handshakes that fail. Its queue has no limit: ZeroMQ's thread would wait for us at a full one. */
static int watch(wk_link *l)
{
    char address[64];
    (void)snprintf(address, sizeof address, "inproc://link-monitor-%u", l->monitors++);
    if (zmq_socket_monitor(l->socket, address, FAILED_HANDSHAKES)) return -1;
    l->monitor = zmq_socket(l->context, ZMQ_PAIR);
    return !l->monitor || set(l->monitor, ZMQ_LINGER, 0) || set(l->monitor, ZMQ_RCVHWM, 0) || zmq_connect(l->monitor, address) ? -1 : 0;
}

static void close_socket(wk_link *l)
{
    if (l->socket) {
        (void)zmq_socket_monitor(l->socket, NULL, 0);
        (void)zmq_close(l->socket);
    }
    if (l->monitor) (void)zmq_close(l->monitor);
    l->socket = l->monitor = NULL;
    l->broken_off = 0;
}

int wk_link_again(wk_link *l, mr_error *err)
{
    int64_t frame_max = WIRE_MAX_FRAME;
    close_socket(l);
    l->socket = zmq_socket(l->context, ZMQ_DEALER);
    if (!l->socket || set(l->socket, ZMQ_LINGER, 0) || set(l->socket, ZMQ_SNDHWM, HWM) || set(l->socket, ZMQ_RCVHWM, HWM) ||
        set(l->socket, ZMQ_RECONNECT_IVL, WK_RECONNECT_MS) || set(l->socket, ZMQ_CONNECT_TIMEOUT, WK_CONNECT_MS) || zmq_setsockopt(l->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) ||
        set_keys(l) || watch(l))
        return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    if (zmq_connect(l->socket, l->endpoint))
        return mr_fail(err, MR_USAGE, "cannot connect to \"%s\": %s; expected tcp://HOST:PORT", l->endpoint, zmq_strerror(zmq_errno()));
    return MR_OK;
}

int wk_link_open(wk_link **out, const char *endpoint, const wire_keys *keys, mr_error *err)
{
    if (keys && !zmq_has("curve")) return mr_fail(err, MR_FAILED, "this libzmq was built without CURVE: keys cannot be used with it");
    wk_link *l = calloc(1, sizeof *l);
    if (!l) return mr_fail(err, MR_FAILED, "no memory for a connection");
    (void)zmq_msg_init(&l->frame);
    (void)snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint);
    if (keys) l->keys = *keys;
    l->with_keys = keys != NULL;
    l->context = zmq_ctx_new();
    int status = l->context ? wk_link_again(l, err) : mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    if (status) wk_link_close(l, 0);
    else *out = l;
    return status;
}

void wk_link_close(wk_link *l, int linger_ms)
{
    if (!l) return;
    (void)zmq_msg_close(&l->frame);
    if (l->socket) (void)set(l->socket, ZMQ_LINGER, linger_ms);
    close_socket(l);
    if (l->context) (void)zmq_ctx_term(l->context);
    sodium_memzero(&l->keys, sizeof l->keys);
    (void)__atomic_load_n(&l->under_way, __ATOMIC_ACQUIRE); /* after the last that ZeroMQ's thread did in free_frame */
    free(l);
}

void wk_link_wait(wk_link *l, int fd, int timeout_ms)
{
    zmq_pollitem_t items[] = { { .socket = l->socket, .events = ZMQ_POLLIN },
                               { .fd = fd, .events = ZMQ_POLLIN },
                               { .socket = l->monitor, .events = ZMQ_POLLIN } };
    (void)zmq_poll(items, l->monitor ? 3 : 2, timeout_ms);
}

/* ZeroMQ itself would try again ten times a second, and the answer would be the same. */
const char *wk_link_refused(wk_link *l)
{
    uint8_t event[6];
    uint16_t kind = 0, refusal = 0;
    while (l->monitor && zmq_recv(l->monitor, event, sizeof event, ZMQ_DONTWAIT) >= (int)sizeof event) {
        memcpy(&kind, event, sizeof kind);
        (void)zmq_recv(l->monitor, event, sizeof event, ZMQ_DONTWAIT); /* the address: ours */
        if (kind != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL || ++l->broken_off == BROKEN_OFF_MOST) refusal = kind;
    }
    if (!refusal) return NULL;
    (void)zmq_disconnect(l->socket, l->endpoint);
    if (refusal == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        return l->with_keys ? "breaks off our handshakes: does it hold the key that our key file names?"
                            : "breaks off our handshakes: if it wants a key, give --key";
    if (refusal == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return "does not let our key in";
    return l->with_keys ? "uses no keys" : "wants a key: give --key";
}

int wk_link_send(wk_link *l, const wire_message *message)
{
    uint8_t head[WIRE_MAX_HEAD];
    size_t size = wire_encode(message, head, sizeof head);
    return size && zmq_send(l->socket, head, size, ZMQ_DONTWAIT) >= 0 ? 0 : -1;
}

static void free_frame(void *data, void *hint)
{
    wk_link *l = hint;
    (void)__atomic_sub_fetch(&l->under_way, 1, __ATOMIC_ACQ_REL);
    free(data);
}

int wk_link_send_frame(wk_link *l, void *frame, size_t size_bytes)
{
    zmq_msg_t message;
    (void)__atomic_add_fetch(&l->under_way, 1, __ATOMIC_ACQ_REL);
    if (zmq_msg_init_data(&message, frame, size_bytes, free_frame, l)) {
        free_frame(frame, l);
        return -1;
    }
    if (zmq_msg_send(&message, l->socket, ZMQ_DONTWAIT) >= 0) return 0;
    (void)zmq_msg_close(&message);
    return -1;
}

int wk_link_receive(wk_link *l, const void **bytes, size_t *size_bytes)
{
    if (zmq_msg_recv(&l->frame, l->socket, ZMQ_DONTWAIT) < 0) return 0;
    *bytes = zmq_msg_data(&l->frame);
    *size_bytes = zmq_msg_size(&l->frame);
    return 1;
}
