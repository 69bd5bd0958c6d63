/* A worker that is not what it should be, for the tests: an honest `mobyray worker` of one thread behind a relay that meddles with what it says.
 *
 *   meddler COORDINATOR LISTEN slow N -- COMMAND...     every result takes N times as long, and says so
 *   meddler COORDINATOR LISTEN lie PERMILLE -- ...      so many of a thousand results have a wrong sum
 *   meddler COORDINATOR LISTEN poison UNIT -- ...       dies (with the worker) when it comes to that unit
 *
 * `--key PATH` before all that: with that worker's key.
 * COMMAND is started as a child that connects to LISTEN; the two ends speak plain ZeroMQ. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "cli/keys.h"
#include "wire/message.h"
#include "wire/sums.h"

enum { HELD_MOST = 4096 };

typedef struct held { /* a unit in the worker's hands, oldest first */
    uint64_t lease;
    uint32_t unit;
    size_t values;
} held;

typedef struct late { /* a result that waits for its time */
    uint64_t due_us;
    uint8_t *frame;
    size_t size;
} late;

static void *up, *down;
static const char *mode;
static unsigned long number;
static pid_t child;
static held hands[HELD_MOST];
static unsigned hand_count, late_count;
static late waiting[HELD_MOST];
static wire_message message;
static wire_packer *packer;
static uint64_t random_state = 12345;

static void die(const char *what)
{
    (void)fprintf(stderr, "meddler: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint32_t dice(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33);
}

static void drop(uint64_t lease)
{
    for (unsigned i = 0; i < hand_count; i++) {
        if (hands[i].lease != lease) continue;
        memmove(hands + i, hands + i + 1, (--hand_count - i) * sizeof hands[0]);
        return;
    }
}

static void die_of_poison(void)
{
    if (strcmp(mode, "poison") || !hand_count || hands[0].unit != number) return;
    (void)kill(child, SIGKILL);
    _exit(9);
}

static void note_assignment(void)
{
    for (unsigned i = 0; i < message.assign.count && hand_count < HELD_MOST; i++) {
        const wire_unit *u = &message.assign.units[i];
        hands[hand_count++] = (held){ u->lease, u->unit, (size_t)3 * u->width * u->height };
    }
}

/* What the coordinator says goes to the worker as it is. */
static void from_above(const uint8_t *bytes, size_t size)
{
    if (wire_decode(&message, bytes, size) == WIRE_OK) {
        if (message.type == WIRE_ASSIGN) note_assignment();
        if (message.type == WIRE_REVOKE)
            for (unsigned i = 0; i < message.leases.count; i++) drop(message.leases.lease[i]);
        if (message.type == WIRE_WELCOME || message.type == WIRE_FORGET) hand_count = 0;
    }
    if (zmq_send(down, bytes, size, 0) < 0) die("send");
    die_of_poison();
}

static size_t values_of(uint64_t lease)
{
    for (unsigned i = 0; i < hand_count; i++)
        if (hands[i].lease == lease) return hands[i].values;
    return 0;
}

/* The result in `message` with one sum changed, sent at once. */
static int send_lie(void)
{
    size_t values = values_of(message.result.lease), head;
    uint64_t *sums = malloc((values + 1) * sizeof *sums);
    uint8_t *frame = malloc(WIRE_MAX_HEAD + wire_sums_bound(values + 1));
    int told = values && sums && frame && !wire_sums_decode(packer, message.payload, message.payload_bytes, sums, values);
    if (told) {
        sums[dice() % values] += 1000;
        head = wire_encode(&message, frame, WIRE_MAX_HEAD);
        size_t size = head + wire_sums_encode(packer, sums, values, frame + head);
        if (zmq_send(up, frame, size, 0) < 0) die("send");
        (void)fprintf(stderr, "meddler: lied about unit %u\n", message.result.unit);
    }
    free(sums);
    free(frame);
    return told;
}

/* Waits behind those that wait already, for the rest of N times what it took. */
static void put_off(void)
{
    static uint64_t last_us;
    uint64_t extra_us = (number - 1) * message.result.micros, from_us = now_us() > last_us ? now_us() : last_us;
    if (late_count == HELD_MOST) exit(1);
    message.result.micros *= number;
    late *l = &waiting[late_count++];
    l->frame = malloc(WIRE_MAX_HEAD + message.payload_bytes);
    if (!l->frame) exit(1);
    size_t head = wire_encode(&message, l->frame, WIRE_MAX_HEAD);
    memcpy(l->frame + head, message.payload, message.payload_bytes);
    l->size = head + message.payload_bytes;
    l->due_us = last_us = from_us + extra_us;
}

static void from_below(const uint8_t *bytes, size_t size)
{
    int is_result = wire_decode(&message, bytes, size) == WIRE_OK && message.type == WIRE_RESULT, done = 0;
    uint64_t lease = is_result ? message.result.lease : 0;
    if (is_result && !strcmp(mode, "slow")) {
        put_off();
        done = 1;
    } else if (is_result && !strcmp(mode, "lie") && dice() % 1000 < number) {
        done = send_lie();
    }
    if (!done && zmq_send(up, bytes, size, 0) < 0) die("send");
    if (is_result) drop(lease);
    die_of_poison();
}

static void send_due(void)
{
    while (late_count && waiting[0].due_us <= now_us()) {
        if (zmq_send(up, waiting[0].frame, waiting[0].size, 0) < 0) die("send");
        free(waiting[0].frame);
        memmove(waiting, waiting + 1, --late_count * sizeof waiting[0]);
    }
}

static void relay(void *from, void (*handle)(const uint8_t *, size_t))
{
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, from, ZMQ_DONTWAIT) >= 0) handle(zmq_msg_data(&frame), zmq_msg_size(&frame));
    (void)zmq_msg_close(&frame);
}

static void start_worker(char **command)
{
    pid_t parent = getpid();
    child = fork();
    if (child < 0) die("fork");
    if (child) return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    (void)execv(command[0], command);
    _exit(1);
}

static void use_key(const char *path)
{
    wire_keys keys;
    mr_error err;
    int found;
    if (keys_load(path, keys_of_worker, &keys, &found, &err)) {
        (void)fprintf(stderr, "meddler: %s\n", err.text);
        exit(3);
    }
    if (zmq_setsockopt(up, ZMQ_CURVE_SERVERKEY, keys.coordinator, WIRE_KEY_BYTES) || zmq_setsockopt(up, ZMQ_CURVE_PUBLICKEY, keys.open, WIRE_KEY_BYTES) ||
        zmq_setsockopt(up, ZMQ_CURVE_SECRETKEY, keys.secret, WIRE_KEY_BYTES))
        die("keys");
}

int main(int argc, char **argv)
{
    int linger = 0;
    const char *key = argc > 2 && !strcmp(argv[1], "--key") ? argv[2] : NULL;
    argc -= key ? 2 : 0;
    argv += key ? 2 : 0;
    if (argc < 7 || strcmp(argv[5], "--")) return 2;
    mode = argv[3];
    number = strtoul(argv[4], NULL, 10);
    packer = wire_packer_new();
    void *context = zmq_ctx_new();
    up = zmq_socket(context, ZMQ_DEALER);
    down = zmq_socket(context, ZMQ_DEALER);
    if (!packer || !up || !down) die("sockets");
    if (key) use_key(key);
    if (zmq_setsockopt(up, ZMQ_LINGER, &linger, sizeof linger) || zmq_bind(down, argv[2]) || zmq_connect(up, argv[1])) die("sockets");
    start_worker(argv + 6);
    for (int status; waitpid(child, &status, WNOHANG) == 0;) {
        zmq_pollitem_t items[] = { { .socket = up, .events = ZMQ_POLLIN }, { .socket = down, .events = ZMQ_POLLIN } };
        (void)zmq_poll(items, 2, late_count ? 1 : 50);
        relay(up, from_above);
        relay(down, from_below);
        send_due();
    }
    return 0;
}
