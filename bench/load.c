#include "bench/load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "wire/message.h"
#include "wire/sums.h"

enum { PLANES = 4, LENGTH_BYTES = 4, BODY_MOST = 1 << 20, HELD_MOST = 64, PACE_MS = 4 };

typedef struct held_unit { /* assigned, and not due yet */
    uint64_t due_us, job;
    wire_unit unit;
} held_unit;

typedef struct null_worker {
    void *socket;
    uint64_t epoch, incarnation, free_us; /* free_us: when it has traced all that it holds */
    held_unit held[HELD_MOST];            /* in the order in which they are due */
    unsigned holds;
} null_worker;

static uint8_t body[WIRE_MAX_HEAD + BODY_MOST], noise[BODY_MOST];
static wire_message in, out;

uint32_t bench_sums(uint32_t values, uint8_t *bytes)
{
    if (bytes) *bytes++ = PLANES;
    for (unsigned k = 0; k < PLANES && bytes; k++) {
        for (unsigned i = 0; i < LENGTH_BYTES; i++) *bytes++ = (uint8_t)(values >> (8 * i));
        memcpy(bytes, noise + k, values);
        bytes += values;
    }
    return 1 + PLANES * (LENGTH_BYTES + values);
}

uint32_t bench_result_head(void)
{
    const wire_message m = {.type = WIRE_RESULT, .result = {.y = 0, .height = 1}};
    return (uint32_t)wire_encode(&m, body, sizeof body);
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    _exit(1);
}

static void set_keys(void *socket, const wire_keys *keys)
{
    if (!keys) return;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->coordinator, WIRE_KEY_BYTES) ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->open, WIRE_KEY_BYTES) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret, WIRE_KEY_BYTES))
        fail("keys");
}

static void *connect_one(void *context, const bench_load *load)
{
    int linger = 0, unlimited = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) || zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited))
        fail("socket");
    set_keys(socket, load->keys);
    if (zmq_connect(socket, load->endpoint)) fail(load->endpoint);
    return socket;
}

static void send_out(null_worker *w, uint32_t payload_bytes)
{
    size_t head = wire_encode(&out, body, WIRE_MAX_HEAD);
    if (payload_bytes) bench_sums((payload_bytes - 1) / PLANES - LENGTH_BYTES, body + head);
    if (zmq_send(w->socket, body, head + payload_bytes, ZMQ_DONTWAIT) < 0) fail("send");
}

static void say_hello(null_worker *w)
{
    out = (wire_message){.type = WIRE_HELLO, .hello = {w->incarnation, 1, 0, "", "bench", "none"}};
    (void)snprintf(out.hello.name, sizeof out.hello.name, "null-%u", (unsigned)(w->incarnation >> 32));
    send_out(w, 0);
}

static uint64_t clock_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Sums of a picture that can be told from nothing: colours that change slowly over it. */
static uint32_t colour_sums(const wire_unit *u, uint8_t *bytes)
{
    static wire_packer *packer;
    static uint64_t sums[BODY_MOST / 8];
    uint32_t values = 3 * u->width * u->height;
    if (!packer && !(packer = wire_packer_new())) fail("memory");
    if (values > sizeof sums / sizeof *sums || wire_sums_bound(values) > BODY_MOST) fail("a tile too large for this bench");
    for (uint32_t i = 0; i < values; i += 3) {
        uint32_t x = u->x + i / 3 % u->width, y = u->y + i / 3 / u->width;
        sums[i] = (uint64_t)u->sample_count * (uint64_t)((x * 97 + noise[i]) % 600000 + 50000);
        sums[i + 1] = (uint64_t)u->sample_count * (uint64_t)((y * 211 + noise[i + 1]) % 400000 + 90000);
        sums[i + 2] = (uint64_t)u->sample_count * (uint64_t)(((x + y) * 131 + noise[i + 2]) % 700000 + 120000);
    }
    return (uint32_t)wire_sums_encode(packer, sums, values, bytes);
}

static void hold(null_worker *w, const bench_load *load)
{
    uint64_t now_us = clock_us();
    for (unsigned i = 0; i < in.assign.count && w->holds < HELD_MOST; i++) {
        w->free_us = (w->free_us > now_us ? w->free_us : now_us) + load->unit_us;
        w->held[w->holds++] = (held_unit){.due_us = w->free_us, .job = in.assign.job, .unit = in.assign.units[i]};
    }
}

/* Returns what is due by now. */
static void give_back(null_worker *w, const bench_load *load, uint64_t now_us)
{
    unsigned due = 0;
    for (; due < w->holds && w->held[due].due_us <= now_us; due++) {
        const wire_unit *u = &w->held[due].unit;
        uint64_t paths = (uint64_t)u->width * u->height * u->sample_count;
        out = (wire_message){.type = WIRE_RESULT, .result = {w->epoch, w->held[due].job, u->lease, u->unit, paths, 2 * paths, load->unit_us, u->y, u->height, 0, 0, load->unit_us}};
        size_t head = wire_encode(&out, body, WIRE_MAX_HEAD);
        if (zmq_send(w->socket, body, head + colour_sums(u, body + head), ZMQ_DONTWAIT) < 0) fail("send");
    }
    w->holds -= due;
    memmove(w->held, w->held + due, w->holds * sizeof *w->held);
}

static void answer_assignment(null_worker *w, const bench_load *load)
{
    const wire_assign *a = &in.assign;
    for (unsigned i = 0; i < a->count; i++) {
        const wire_unit *u = &a->units[i];
        out = (wire_message){.type = WIRE_RESULT, .result = {w->epoch, a->job, u->lease, u->unit, 1, 1, load->unit_us, u->y, u->height, 0, 0, load->unit_us}};
        send_out(w, bench_sums(3 * u->width * u->height, NULL));
    }
}

static void handle(null_worker *w, const bench_load *load, const void *bytes, size_t size)
{
    if (wire_decode(&in, bytes, size) != WIRE_OK) return;
    if (in.type == WIRE_WELCOME) w->epoch = in.welcome.epoch;
    if (in.type == WIRE_WHO) say_hello(w);
    if (in.type == WIRE_ASSIGN && load->paced) hold(w, load);
    else if (in.type == WIRE_ASSIGN) answer_assignment(w, load);
}

static int receive_all(null_worker *w, const bench_load *load)
{
    static uint8_t frame[WIRE_MAX_HEAD];
    int got, any = 0;
    while ((got = zmq_recv(w->socket, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0) {
        any = 1;
        if (!load->bare) handle(w, load, frame, (size_t)got);
        else if (zmq_send(w->socket, body, bench_result_head() + load->payload_bytes, ZMQ_DONTWAIT) < 0) fail("send");
    }
    return any;
}

/* With paced workers the poll is a short nap: of a thousand sockets some have always something to say. */
static void run(const bench_load *load, unsigned first, unsigned count)
{
    void *context = zmq_ctx_new();
    null_worker *workers = calloc(count, sizeof *workers);
    zmq_pollitem_t *items = calloc(count, sizeof *items);
    if (!context || !workers || !items) fail("memory");
    (void)zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 65536);
    for (unsigned i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)rand();
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (null_worker){.socket = connect_one(context, load), .incarnation = (uint64_t)(first + i + 1) << 32 | (uint64_t)getpid()};
        items[i] = (zmq_pollitem_t){.socket = workers[i].socket, .events = ZMQ_POLLIN};
        for (unsigned k = 0; load->bare && k < BENCH_WINDOW; k++)
            if (zmq_send(workers[i].socket, body, bench_result_head() + load->payload_bytes, ZMQ_DONTWAIT) < 0) fail("send");
        if (!load->bare) say_hello(&workers[i]);
    }
    for (;;) {
        int any = 0;
        for (unsigned i = 0; i < count; i++) any |= receive_all(&workers[i], load);
        for (unsigned i = 0; load->paced && i < count; i++) give_back(&workers[i], load, clock_us());
        if (!any) (void)zmq_poll(items, (int)count, load->paced ? PACE_MS : 100);
    }
}

int bench_load_start(const bench_load *load, pid_t loader[BENCH_LOADERS_MAX])
{
    unsigned first = 0;
    for (unsigned i = 0; i < load->loaders; i++) {
        unsigned count = (load->workers - first) / (load->loaders - i);
        pid_t parent = getpid();
        loader[i] = fork();
        if (loader[i] < 0) return -1;
        if (loader[i] == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) _exit(1);
            run(load, first, count);
        }
        first += count;
    }
    return (int)load->loaders;
}

void bench_load_stop(pid_t *loader, int count)
{
    for (int i = 0; i < count; i++) {
        (void)kill(loader[i], SIGKILL);
        (void)waitpid(loader[i], NULL, 0);
    }
}
