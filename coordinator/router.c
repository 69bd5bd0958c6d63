/* See coordinator/router.h.
 *
 * How a crash is noticed at once: the kernel closes a dead process's connections; the monitor then reports the file descriptor, which
 * every message carries too (ZMQ_SRCFD), and so the peer is found. Descriptors are used again, so this is only a hint: a message
 * that ROUTER refuses to route (ZMQ_ROUTER_MANDATORY) is the proof. Silence, by the scheduler's leases, finds all other losses. */
#include "coordinator/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <zmq.h>

#include "coordinator/clock.h"
#include "coordinator/limits.h"
#include "coordinator/map.h"

enum { ROUTING_ID_BYTES = 5, ENDPOINT_MAX = 256, BACKLOG = 1024, SOCKETS = 3, NEWS = SOCKETS + 2 };
enum { FAILED_HANDSHAKES = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH };

struct co_router {
    void *context, *socket, *monitor;
    co_guard *guard;
    zmq_msg_t frame;
    co_map peer_of_fd, fd_of_peer; /* fd_of_peer: of the peers in the other */
    co_map bytes_of_fd;            /* received, when last asked: see co_router_receiving */
    co_map roles_of_fd;            /* as the guard said: asked once a connection */
    int fd;                        /* over which the last message came; -1: of no connection that has one */
    uint64_t failed_handshakes, bytes_in, bytes_out;
    struct pollfd news[NEWS]; /* the sockets' descriptors, and those of co_router_watch; -1 is passed over */
    uint64_t looked_us; /* at the other sockets, last */
    int look;           /* in this turn, too */
    char endpoint[ENDPOINT_MAX];
};

const char *co_router_endpoint(const co_router *r) { return r->endpoint; }

static int set(void *socket, int option, int value) { return zmq_setsockopt(socket, option, &value, sizeof value); }

static int configure(void *socket)
{
    int64_t frame_max = WIRE_MAX_FRAME;
    return set(socket, ZMQ_LINGER, 0) || set(socket, ZMQ_ROUTER_MANDATORY, 1) || set(socket, ZMQ_SNDHWM, CO_HWM) ||
           set(socket, ZMQ_RCVHWM, CO_HWM) || set(socket, ZMQ_BACKLOG, BACKLOG) || set(socket, ZMQ_HANDSHAKE_IVL, CO_HANDSHAKE_MS) ||
           set(socket, ZMQ_HEARTBEAT_IVL, CO_KEEPALIVE_MS) || set(socket, ZMQ_HEARTBEAT_TIMEOUT, CO_KEEPALIVE_TIMEOUT_MS) ||
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) || zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "mobyray", 7);
}

static int set_keys(void *socket, const co_keys *keys)
{
    return keys && (set(socket, ZMQ_CURVE_SERVER, 1) || zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret, sizeof keys->secret)) ? -1 : 0;
}

/* Every connection takes a descriptor, a stranger's too: as many as we may have. ZeroMQ would spin on a full table. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int watch(co_router *r)
{
    static const char address[] = "inproc://coordinator-monitor";
    if (zmq_socket_monitor(r->socket, address, ZMQ_EVENT_DISCONNECTED | FAILED_HANDSHAKES)) return -1;
    r->monitor = zmq_socket(r->context, ZMQ_PAIR);
    return !r->monitor || set(r->monitor, ZMQ_LINGER, 0) || set(r->monitor, ZMQ_RCVHWM, 0) || zmq_connect(r->monitor, address) ? -1 : 0;
}

static int bind_failed(const char *endpoint, mr_error *err)
{
    int code = zmq_errno();
    if (code == EADDRINUSE) return mr_fail(err, MR_FAILED, "cannot listen on %s: the address is in use", endpoint);
    if (code == EINVAL || code == EPROTONOSUPPORT || code == ENODEV)
        return mr_fail(err, MR_FAILED, "cannot listen on \"%s\": expected tcp://ADDRESS:PORT (an address of this machine, or *)", endpoint);
    return mr_fail(err, MR_FAILED, "cannot listen on %s: %s", endpoint, zmq_strerror(code));
}

static int find_descriptors(co_router *r)
{
    void *const sockets[] = { r->socket, r->monitor, co_guard_socket(r->guard) };
    for (unsigned i = 0; i < SOCKETS; i++) {
        size_t size = sizeof r->news[i].fd;
        if (zmq_getsockopt(sockets[i], ZMQ_FD, &r->news[i].fd, &size)) return -1;
    }
    return 0;
}

static int start(co_router *r, const char *endpoint, const co_keys *keys, mr_error *err)
{
    raise_descriptor_limit();
    r->context = zmq_ctx_new();
    int status = r->context ? co_guard_open(&r->guard, r->context, keys, err) : MR_OK;
    if (status) return status;
    r->socket = r->context ? zmq_socket(r->context, ZMQ_ROUTER) : NULL;
    if (!r->socket || configure(r->socket) || set_keys(r->socket, keys) || watch(r)) return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    if (zmq_bind(r->socket, endpoint)) return bind_failed(endpoint, err);
    size_t size = sizeof r->endpoint;
    if (zmq_getsockopt(r->socket, ZMQ_LAST_ENDPOINT, r->endpoint, &size)) return bind_failed(endpoint, err);
    return find_descriptors(r) ? mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno())) : MR_OK;
}

int co_router_open(co_router **out, const char *endpoint, const co_keys *keys, mr_error *err)
{
    co_router *r = calloc(1, sizeof *r);
    if (!r) return mr_fail(err, MR_FAILED, "no memory for a socket");
    (void)zmq_msg_init(&r->frame);
    for (unsigned i = 0; i < NEWS; i++) r->news[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
    int status = start(r, endpoint, keys, err);
    if (status) co_router_close(r, 0);
    else *out = r;
    return status;
}

void co_router_close(co_router *r, int linger_ms)
{
    if (!r) return;
    (void)zmq_msg_close(&r->frame);
    if (r->socket) {
        (void)set(r->socket, ZMQ_LINGER, linger_ms);
        (void)zmq_socket_monitor(r->socket, NULL, 0);
        (void)zmq_close(r->socket);
    }
    if (r->monitor) (void)zmq_close(r->monitor);
    co_guard_close(r->guard);
    while (r->context && zmq_ctx_term(r->context) && zmq_errno() == EINTR) {
    }
    co_map_free(&r->peer_of_fd);
    co_map_free(&r->fd_of_peer);
    co_map_free(&r->bytes_of_fd);
    co_map_free(&r->roles_of_fd);
    free(r);
}

void co_router_watch(co_router *r, int fd)
{
    unsigned i = SOCKETS;
    while (i < NEWS - 1 && r->news[i].fd >= 0) i++;
    r->news[i].fd = fd;
}

void co_router_traffic(const co_router *r, uint64_t *in, uint64_t *out)
{
    *in = r->bytes_in;
    *out = r->bytes_out;
}

static int readable(void *socket)
{
    uint32_t events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

static int something_waits(co_router *r)
{
    int asked = readable(co_guard_socket(r->guard));
    if (asked) co_guard_answer(r->guard);
    return readable(r->socket) | readable(r->monitor) | asked;
}

/* A socket's descriptor tells of news only once (it is edge-triggered), so each socket is asked before its descriptor is waited for. While messages
 * come without pause, the others are asked only now and then. One poll, where zmq_poll makes two. */
int co_router_wait(co_router *r, int timeout_ms, mr_error *err)
{
    uint64_t now_us = co_now_us();
    r->look = now_us - r->looked_us >= CO_LOOK_US;
    if (!r->look && readable(r->socket)) return MR_OK;
    r->look = 1;
    r->looked_us = now_us;
    if (something_waits(r)) return MR_OK;
    if (poll(r->news, NEWS, timeout_ms) < 0 && errno != EINTR) return mr_fail(err, MR_FAILED, "poll: %s", strerror(errno));
    if (readable(co_guard_socket(r->guard))) co_guard_answer(r->guard);
    return MR_OK;
}

/* Receives the rest of a message that is not of our form. */
static void drop_rest(co_router *r)
{
    while (zmq_msg_more(&r->frame) && zmq_msg_recv(&r->frame, r->socket, ZMQ_DONTWAIT) >= 0) {
    }
}

/* The number in a routing id that ROUTER made: a zero byte, then 32 bits. */
static int parse_peer(zmq_msg_t *frame, uint32_t *peer)
{
    const uint8_t *id = zmq_msg_data(frame);
    if (zmq_msg_size(frame) != ROUTING_ID_BYTES || id[0]) return -1;
    memcpy(peer, id + 1, sizeof *peer);
    return 0;
}

static void remember_fd(co_router *r, uint32_t peer)
{
    int fd = r->fd = zmq_msg_get(&r->frame, ZMQ_SRCFD);
    if (fd < 0) return;
    int64_t former = co_map_get(&r->peer_of_fd, (uint32_t)fd);
    if (former == peer) return;
    if (former >= 0) co_map_remove(&r->fd_of_peer, (uint32_t)former);
    co_map_remove(&r->bytes_of_fd, (uint32_t)fd);
    co_map_remove(&r->roles_of_fd, (uint32_t)fd);
    if (!co_map_put(&r->peer_of_fd, (uint32_t)fd, peer)) (void)co_map_put(&r->fd_of_peer, peer, (uint32_t)fd);
}

int co_router_receive(co_router *r, uint32_t *peer, const void **bytes, size_t *size_bytes)
{
    while (zmq_msg_recv(&r->frame, r->socket, ZMQ_DONTWAIT) >= 0) {
        int known = parse_peer(&r->frame, peer) == 0 && zmq_msg_more(&r->frame);
        if (!known || zmq_msg_recv(&r->frame, r->socket, ZMQ_DONTWAIT) < 0 || zmq_msg_more(&r->frame)) {
            drop_rest(r);
            continue;
        }
        remember_fd(r, *peer);
        *bytes = zmq_msg_data(&r->frame);
        *size_bytes = zmq_msg_size(&r->frame);
        r->bytes_in += *size_bytes;
        return 1;
    }
    return 0;
}

uint32_t co_router_identity(co_router *r) { return co_guard_identity(zmq_msg_gets(&r->frame, "User-Id")); }
/* A connection's user id does not change, and to ask ZeroMQ for it takes longer than all else about a small message. */
unsigned co_router_roles(co_router *r)
{
    int64_t known = r->fd < 0 ? CO_MAP_NONE : co_map_get(&r->roles_of_fd, (uint32_t)r->fd);
    if (known >= 0) return (unsigned)known;
    unsigned roles = co_guard_roles(r->guard, zmq_msg_gets(&r->frame, "User-Id"));
    if (r->fd >= 0 && co_map_get(&r->peer_of_fd, (uint32_t)r->fd) >= 0) (void)co_map_put(&r->roles_of_fd, (uint32_t)r->fd, roles);
    return roles;
}

int co_router_allow(co_router *r, const wire_permit *permits, uint32_t count, mr_error *err)
{
    co_map_free(&r->roles_of_fd); /* another list, other roles */
    return co_guard_allow(r->guard, permits, count, err);
}

/* One event of the monitor: two frames, the first of them the event's number (16 bits) and value (32 bits: a descriptor, or an error's number). */
static int next_event(co_router *r, uint16_t *event, uint32_t *fd)
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    int got = zmq_msg_recv(&frame, r->monitor, ZMQ_DONTWAIT) >= 6;
    if (got) memcpy(event, zmq_msg_data(&frame), sizeof *event);
    if (got) memcpy(fd, (const uint8_t *)zmq_msg_data(&frame) + 2, sizeof *fd);
    while (got && zmq_msg_more(&frame) && zmq_msg_recv(&frame, r->monitor, ZMQ_DONTWAIT) >= 0) {
    }
    (void)zmq_msg_close(&frame);
    return got;
}

int co_router_broken(co_router *r, uint32_t *peer)
{
    uint32_t fd;
    uint16_t event;
    while (r->look && next_event(r, &event, &fd)) {
        if (event != ZMQ_EVENT_DISCONNECTED) {
            r->failed_handshakes++;
            continue;
        }
        int64_t known = co_map_get(&r->peer_of_fd, fd);
        if (known < 0) continue;
        *peer = (uint32_t)known;
        return 1;
    }
    return 0;
}

uint64_t co_router_strangers(const co_router *r, const char **address)
{
    uint64_t refused = co_guard_refused(r->guard, address);
    return refused > r->failed_handshakes ? refused : r->failed_handshakes; /* a refused key is a failed handshake, too */
}

/* The kernel knows what ZeroMQ does not tell: how far a message has come. Only TCP does; of other lines, which are never slow, nothing is known. */
int co_router_receiving(co_router *r, uint32_t peer, uint32_t within_ms)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int64_t fd = co_map_get(&r->fd_of_peer, peer);
    if (fd < 0 || getsockopt((int)fd, IPPROTO_TCP, TCP_INFO, &info, &size) || size < offsetof(struct tcp_info, tcpi_bytes_received) + 8) return 0;
    int64_t before = co_map_get(&r->bytes_of_fd, (uint32_t)fd);
    uint32_t bytes = (uint32_t)info.tcpi_bytes_received;
    (void)co_map_put(&r->bytes_of_fd, (uint32_t)fd, bytes);
    return info.tcpi_last_data_recv < within_ms && (before < 0 || bytes - (uint32_t)before >= CO_SLOW_LINE_BYTES);
}

static int send_frame(co_router *r, uint32_t peer, zmq_msg_t *frame)
{
    uint8_t id[ROUTING_ID_BYTES] = { 0 };
    memcpy(id + 1, &peer, sizeof peer);
    if (zmq_send(r->socket, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) return -1; /* EHOSTUNREACH, or EAGAIN: its queue is full */
    return zmq_msg_send(frame, r->socket, ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

int co_router_send(co_router *r, uint32_t peer, const wire_message *message, const void *payload, size_t payload_bytes)
{
    uint8_t head[WIRE_MAX_HEAD];
    size_t head_bytes = wire_encode(message, head, sizeof head);
    zmq_msg_t frame;
    if (!head_bytes || zmq_msg_init_size(&frame, head_bytes + payload_bytes)) return -1;
    memcpy(zmq_msg_data(&frame), head, head_bytes);
    if (payload_bytes) memcpy((uint8_t *)zmq_msg_data(&frame) + head_bytes, payload, payload_bytes);
    if (send_frame(r, peer, &frame) == 0) {
        r->bytes_out += head_bytes + payload_bytes;
        return 0;
    }
    (void)zmq_msg_close(&frame);
    return -1;
}
