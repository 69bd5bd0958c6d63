/* See coordinator/guard.h. */
#include "coordinator/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* A request's frames, in order; credentials follow: with CURVE one frame, the peer's public key. */
enum { ZAP_VERSION, ZAP_ID, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_ROUTING_ID, ZAP_MECHANISM, ZAP_KEY, ZAP_FRAMES };
enum { FRAME_MAX = 256 }; /* bytes; longer ones are cut: none that we accept is so long */

typedef struct frame {
    char bytes[FRAME_MAX];
    size_t size;
} frame;

struct co_guard {
    void *socket;
    int with_keys;
    uint8_t own[WIRE_KEY_BYTES];
    wire_permit *permits;
    uint32_t count;
    uint64_t refused;
    char address[64];
    frame in[ZAP_FRAMES];
};

void *co_guard_socket(const co_guard *g) { return g->socket; }

static int take_keys(co_guard *g, const co_keys *keys, mr_error *err)
{
    if (!keys) return MR_OK;
    g->with_keys = 1;
    memcpy(g->own, keys->open, sizeof g->own);
    g->count = keys->permit_count;
    g->permits = calloc(g->count + (size_t)1, sizeof *g->permits);
    if (!g->permits) return mr_fail(err, MR_FAILED, "no memory for %u keys", g->count);
    if (g->count) memcpy(g->permits, keys->permits, g->count * sizeof *g->permits);
    return MR_OK;
}

static int start(co_guard *g, void *context, const co_keys *keys, mr_error *err)
{
    int none = 0, status = take_keys(g, keys, err);
    if (status) return status;
    if (keys && !zmq_has("curve")) return mr_fail(err, MR_FAILED, "this libzmq was built without CURVE: keys cannot be used with it");
    g->socket = zmq_socket(context, ZMQ_REP);
    if (!g->socket || zmq_setsockopt(g->socket, ZMQ_LINGER, &none, sizeof none) || zmq_bind(g->socket, "inproc://zeromq.zap.01"))
        return mr_fail(err, MR_FAILED, "ZeroMQ: %s", zmq_strerror(zmq_errno()));
    return MR_OK;
}

int co_guard_open(co_guard **out, void *context, const co_keys *keys, mr_error *err)
{
    co_guard *g = calloc(1, sizeof *g);
    if (!g) return mr_fail(err, MR_FAILED, "no memory for a guard");
    int status = start(g, context, keys, err);
    if (status) co_guard_close(g);
    else *out = g;
    return status;
}

void co_guard_close(co_guard *g)
{
    if (!g) return;
    if (g->socket) (void)zmq_close(g->socket);
    free(g->permits);
    free(g);
}

uint64_t co_guard_refused(const co_guard *g, const char **address)
{
    *address = g->address;
    return g->refused;
}

/* ---- a user id: the role (w, c, b), eight hexadecimal digits of identity, and the name ---- */

static const char letters[] = "?wcb"; /* by enum wire_role */

unsigned co_guard_roles(const char *user_id)
{
    const char *letter = user_id && user_id[0] ? strchr(letters, user_id[0]) : NULL;
    return letter ? (unsigned)(letter - letters) : 0;
}

uint32_t co_guard_identity(const char *user_id)
{
    return co_guard_roles(user_id) ? (uint32_t)strtoul(user_id + 1, NULL, 16) : 0;
}

/* Public keys are as good as random: some bits of one tell it from those beside it. */
static uint32_t identity_of(const wire_permit *permit)
{
    uint32_t bits;
    memcpy(&bits, permit->key, sizeof bits);
    return !permit->own ? 0 : bits ? bits : 1;
}

/* ---- questions ---- */

static int is(const frame *f, const char *text) { return f->size == strlen(text) && !memcmp(f->bytes, text, f->size); }

/* Reads a whole request; frames beyond those we know are left out. 0: there is none. */
static unsigned receive(co_guard *g)
{
    unsigned n = 0;
    int more = 1;
    size_t size = sizeof more;
    memset(g->in, 0, sizeof g->in);
    while (more) {
        frame rest, *f = n < ZAP_FRAMES ? &g->in[n] : &rest;
        int got = zmq_recv(g->socket, f->bytes, sizeof f->bytes, ZMQ_DONTWAIT);
        if (got < 0) return 0;
        f->size = (size_t)got < sizeof f->bytes ? (size_t)got : sizeof f->bytes;
        n++;
        if (zmq_getsockopt(g->socket, ZMQ_RCVMORE, &more, &size)) return 0;
    }
    return n;
}

static const wire_permit *find_permit(const co_guard *g, const uint8_t *key)
{
    for (uint32_t i = 0; i < g->count; i++)
        if (!memcmp(g->permits[i].key, key, WIRE_KEY_BYTES)) return &g->permits[i];
    return NULL;
}

/* Who holds the coordinator's own secret key is the coordinator (its health check, say). */
static const wire_permit *judge(const co_guard *g, unsigned frames)
{
    static const wire_permit anyone = { .roles = WIRE_ROLE_ANY, .name = "anyone" }, self = { .roles = WIRE_ROLE_ANY, .name = "coordinator" };
    if (!is(&g->in[ZAP_VERSION], "1.0")) return NULL;
    if (!g->with_keys) return is(&g->in[ZAP_MECHANISM], "NULL") ? &anyone : NULL;
    if (frames != ZAP_FRAMES || !is(&g->in[ZAP_MECHANISM], "CURVE") || g->in[ZAP_KEY].size != WIRE_KEY_BYTES) return NULL;
    const uint8_t *key = (const uint8_t *)g->in[ZAP_KEY].bytes;
    return memcmp(key, g->own, WIRE_KEY_BYTES) ? find_permit(g, key) : &self;
}

static void note_refusal(co_guard *g)
{
    size_t size = g->in[ZAP_ADDRESS].size < sizeof g->address - 1 ? g->in[ZAP_ADDRESS].size : sizeof g->address - 1;
    memcpy(g->address, g->in[ZAP_ADDRESS].bytes, size);
    g->address[size] = 0;
    g->refused++;
}

static void reply(co_guard *g, const wire_permit *permit)
{
    char user[16 + WIRE_MAX_NAME] = "";
    if (permit) (void)snprintf(user, sizeof user, "%c%08x %.*s", letters[permit->roles & WIRE_ROLE_ANY], identity_of(permit), WIRE_MAX_NAME - 1, permit->name);
    (void)zmq_send(g->socket, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, g->in[ZAP_ID].bytes, g->in[ZAP_ID].size, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, permit ? "200" : "400", 3, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, user, strlen(user), ZMQ_SNDMORE);
    (void)zmq_send(g->socket, "", 0, 0);
}

void co_guard_answer(co_guard *g)
{
    for (unsigned frames; (frames = receive(g));) {
        const wire_permit *permit = judge(g, frames);
        if (!permit) note_refusal(g);
        reply(g, permit);
    }
}
