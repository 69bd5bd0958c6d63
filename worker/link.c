/* See worker/link.h. */
#include "worker/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

#include "worker/limits.h"

enum { ENDPOINT_MAX = 512, HWM = 16384 };

struct wk_link {
    void *context, *socket;
    zmq_msg_t frame;
    uint32_t under_way; /* frames given to libzmq and not yet freed by its thread; atomic: it orders our writing before that freeing */
    char endpoint[ENDPOINT_MAX];
};

static int set(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value); }

int wk_link_again(wk_link *l, mr_error *err)
{
    int64_t frame_max = WIRE_MAX_FRAME;
    if (l->socket) (void)zmq_close(l->socket);
    l->socket = zmq_socket(l->context, ZMQ_DEALER);
    if (!l->socket || set(l->socket, ZMQ_LINGER, 0) || set(l->socket, ZMQ_SNDHWM, HWM) || set(l->socket, ZMQ_RCVHWM, HWM) ||
        set(l->socket, ZMQ_RECONNECT_IVL, WK_RECONNECT_MS) || zmq_setsockopt(l->socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max))
        return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    if (zmq_connect(l->socket, l->endpoint))
        return mr_fail(err, MR_USAGE, "cannot connect to \"%s\": %s; expected tcp://HOST:PORT", l->endpoint, zmq_strerror(zmq_errno()));
    return MR_OK;
}

int wk_link_open(wk_link **out, const char *endpoint, mr_error *err)
{
    wk_link *l = calloc(1, sizeof *l);
    if (!l) return mr_fail(err, MR_FAILED, "no memory for a connection");
    (void)zmq_msg_init(&l->frame);
    (void)snprintf(l->endpoint, sizeof l->endpoint, "%s", endpoint);
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
    if (l->socket) {
        (void)set(l->socket, ZMQ_LINGER, linger_ms);
        (void)zmq_close(l->socket);
    }
    if (l->context) (void)zmq_ctx_term(l->context);
    free(l);
}

void wk_link_wait(wk_link *l, int fd, int timeout_ms)
{
    zmq_pollitem_t items[] = { { .socket = l->socket, .events = ZMQ_POLLIN }, { .fd = fd, .events = ZMQ_POLLIN } };
    (void)zmq_poll(items, 2, timeout_ms);
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
