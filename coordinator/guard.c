/* See coordinator/guard.h. */
#include "coordinator/guard.h"

#include <sodium.h>
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
    int with_keys, relisted; /* relisted: those let in earlier are not let in for good */
    uint8_t own[WIRE_KEY_BYTES];
    wire_permit *permits; /* by key, each once */
    uint32_t count;
    uint64_t refused;
    char address[64];
    frame in[ZAP_FRAMES];
};

void *co_guard_socket(const co_guard *g) { return g->socket; }

static int compare_keys(const void *a, const void *b) { return memcmp(((const wire_permit *)a)->key, ((const wire_permit *)b)->key, WIRE_KEY_BYTES); }

/* A key that is listed twice has both roles, and is its owner's alone when one line says so. */
static uint32_t merge_same(wire_permit *permits, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept && !compare_keys(&permits[kept - 1], &permits[i])) {
            permits[kept - 1].roles |= permits[i].roles;
            permits[kept - 1].own |= permits[i].own;
        } else {
            permits[kept++] = permits[i];
        }
    }
    return kept;
}

static int take_permits(co_guard *g, const wire_permit *permits, uint32_t count, mr_error *err)
{
    wire_permit *mine = calloc(count + (size_t)1, sizeof *mine);
    if (!mine) return mr_fail(err, MR_FAILED, "no memory for %u keys", count);
    if (count) memcpy(mine, permits, count * sizeof *mine);
    qsort(mine, count, sizeof *mine, compare_keys);
    free(g->permits);
    g->permits = mine;
    g->count = merge_same(mine, count);
    return MR_OK;
}

static int take_keys(co_guard *g, const co_keys *keys, mr_error *err)
{
    if (!keys) return MR_OK;
    g->with_keys = 1;
    memcpy(g->own, keys->open, sizeof g->own);
    return take_permits(g, keys->permits, keys->permit_count, err);
}

int co_guard_allow(co_guard *g, const wire_permit *permits, uint32_t count, mr_error *err)
{
    if (!g->with_keys) return MR_OK;
    g->relisted = 1;
    return take_permits(g, permits, count, err);
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
    wire_permit wanted = { .roles = 0 };
    memcpy(wanted.key, key, WIRE_KEY_BYTES);
    return g->count ? bsearch(&wanted, g->permits, g->count, sizeof *g->permits, compare_keys) : NULL;
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

/* ---- role, whether the key is its owner's alone, and key as a user id: "w 0123...", "wo0123...", "c 0123...", "b 0123..." ---- */

enum { USER_BYTES = 2 + 2 * WIRE_KEY_BYTES };
static const char letters[] = "?wcb"; /* by enum wire_role */

static void reply(co_guard *g, const wire_permit *permit)
{
    char user[USER_BYTES + 1] = "";
    if (permit) {
        user[0] = letters[permit->roles & WIRE_ROLE_ANY];
        user[1] = permit->own ? 'o' : ' ';
        if (g->with_keys) (void)sodium_bin2hex(user + 2, sizeof user - 2, (const uint8_t *)g->in[ZAP_KEY].bytes, WIRE_KEY_BYTES);
    }
    (void)zmq_send(g->socket, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, g->in[ZAP_ID].bytes, g->in[ZAP_ID].size, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, permit ? "200" : "400", 3, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(g->socket, user, strlen(user), ZMQ_SNDMORE);
    (void)zmq_send(g->socket, "", 0, 0);
}

static int key_of(const char *user_id, uint8_t key[WIRE_KEY_BYTES])
{
    size_t size = 0;
    return strlen(user_id) == USER_BYTES && !sodium_hex2bin(key, WIRE_KEY_BYTES, user_id + 2, USER_BYTES - 2, NULL, &size, NULL) && size == WIRE_KEY_BYTES;
}

/* The list as it was when the peer came, as long as no other one has been read; then the peer's key is looked up anew. */
unsigned co_guard_roles(const co_guard *g, const char *user_id)
{
    uint8_t key[WIRE_KEY_BYTES];
    const char *letter = user_id && user_id[0] ? strchr(letters, user_id[0]) : NULL;
    if (!letter || !g->relisted) return letter ? (unsigned)(letter - letters) : 0;
    if (!key_of(user_id, key)) return 0;
    if (!memcmp(key, g->own, sizeof key)) return WIRE_ROLE_ANY;
    const wire_permit *permit = find_permit(g, key);
    return permit ? permit->roles : 0;
}

/* Public keys are as good as random: some bits of one tell it from those beside it. */
uint32_t co_guard_identity(const char *user_id)
{
    uint8_t key[WIRE_KEY_BYTES];
    uint32_t bits;
    if (!user_id || !user_id[0] || user_id[1] != 'o' || !key_of(user_id, key)) return 0;
    memcpy(&bits, key, sizeof bits);
    return bits ? bits : 1;
}

void co_guard_answer(co_guard *g)
{
    for (unsigned frames; (frames = receive(g));) {
        const wire_permit *permit = judge(g, frames);
        if (!permit) note_refusal(g);
        reply(g, permit);
    }
}
