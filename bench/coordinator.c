/* bench/coordinator: what a tile costs the coordinator, beside a bare ROUTER that does nothing but answer.
 *
 * Workers that trace nothing (bench/load.c) return sums of 64 B, 12 KB and 48 KB as soon as they are asked. The coordinator is the real one: it
 * decodes, checks, adds to the film, schedules, answers. The bare loop receives messages of the same sizes from as many DEALER
 * connections, and answers each with as many bytes as an assignment has. Each runs in a process of its own, whose CPU time (ZeroMQ's thread
 * included) and resident memory are taken at its end; the two alternate, and the ratio is that of neighbours. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/load.h"
#include "bench/report.h"
#include "cli/cli.h"
#include "coordinator/server.h"

enum { ASSIGN_BYTES = 106, BATCH = 512, SIZES = 3, LEASE_MS = 600000, WARM_UP = 10 /* a tenth of the messages is not measured */ };

static arg_list workers = {.value = {2, 256, 1000}, .count = 3};
static uint32_t reps = 3, loaders = 2, unit_us = 5000, percent = 100;
static const char *output, *folder;
static int with_keys;

static const arg_option options[] = {
    {"workers", 0, ARG_LIST, &workers, 1, 4096, "N,N,...", "numbers of workers (default: 2,256,1000)"},
    {"reps", 0, ARG_COUNT, &reps, 1, BENCH_REPS_MAX, "N", "of each; the medians count (default: 3)"},
    {"loaders", 0, ARG_COUNT, &loaders, 1, BENCH_LOADERS_MAX, "N", "processes that play the workers (default: 2)"},
    {"unit-us", 0, ARG_COUNT, &unit_us, 1, 1000000, "N", "what a worker says that a tile took: its credit follows from it (default: 5000)"},
    {"percent", 0, ARG_COUNT, &percent, 1, 1000, "N", "of the usual number of messages (default: 100)"},
    {"curve", 0, ARG_FLAG, &with_keys, 0, 0, "", "with CURVE, in both"},
    {"state", 0, ARG_TEXT, &folder, 0, 0, "DIR", "the coordinator keeps a journal in a new folder in DIR"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

typedef struct size_case {
    const char *name;
    uint32_t side;   /* of a tile */
    uint32_t across; /* tiles a side: the film stays below 7 MB, so that memory is the coordinator's own */
    uint32_t spp;    /* makes so many ranges of samples */
} size_case;

static const size_case cases[SIZES] = {{"64 B", 2, 32, 1 << 20}, {"12 KB", 32, 8, 1 << 14}, {"48 KB", 64, 8, 3600}};

typedef struct outcome {
    double seconds, cpu_s;
    uint64_t messages;
    uint64_t memory_kb; /* the greatest */
    int failed;
    char endpoint[128]; /* told first, with messages 0 */
} outcome;

static co_keys server_keys;
static wire_keys worker_keys;
static wire_permit permit = {.roles = WIRE_ROLE_ANY, .name = "bench"};

static void make_keys(void)
{
    (void)crypto_box_keypair(server_keys.open, server_keys.secret);
    (void)crypto_box_keypair(worker_keys.open, worker_keys.secret);
    memcpy(worker_keys.coordinator, server_keys.open, WIRE_KEY_BYTES);
    memcpy(permit.key, worker_keys.open, WIRE_KEY_BYTES);
    server_keys.permits = &permit;
    server_keys.permit_count = 1;
}

/* ---- measuring ---- */

static double cpu_now(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static uint64_t memory_kb(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss;
}

static void tell(int pipe_fd, const outcome *o)
{
    if (write(pipe_fd, o, sizeof *o) != (ssize_t)sizeof *o) _exit(1);
}

static void begin(outcome *o)
{
    o->seconds = cli_now();
    o->cpu_s = cpu_now();
}

static void end(outcome *o, uint64_t messages)
{
    o->seconds = cli_now() - o->seconds;
    o->cpu_s = cpu_now() - o->cpu_s;
    o->messages = messages;
    o->memory_kb = memory_kb();
}

/* ---- the bare loop ---- */

static void echo(void *socket)
{
    static const uint8_t answer[ASSIGN_BYTES];
    zmq_msg_t id, frame;
    (void)zmq_msg_init(&id);
    (void)zmq_msg_init(&frame);
    if (zmq_msg_recv(&id, socket, 0) < 0 || zmq_msg_recv(&frame, socket, 0) < 0 || zmq_msg_send(&id, socket, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, answer, sizeof answer, 0) < 0)
        _exit(1);
    (void)zmq_msg_close(&frame);
}

static void *bare_socket(outcome *o)
{
    void *context = zmq_ctx_new(), *socket = context ? zmq_socket(context, ZMQ_ROUTER) : NULL;
    int backlog = 1024, one = 1;
    size_t size = sizeof o->endpoint;
    if (!socket || zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog)) return NULL;
    if (with_keys && (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) ||
                      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server_keys.secret, WIRE_KEY_BYTES)))
        return NULL;
    return zmq_bind(socket, "tcp://127.0.0.1:*") || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, o->endpoint, &size) ? NULL : socket;
}

static void bare(int pipe_fd, unsigned count, uint64_t messages)
{
    outcome o = {0};
    void *socket = bare_socket(&o);
    (void)count;
    if (!socket) _exit(1);
    tell(pipe_fd, &o);
    for (uint64_t done = 0, warm = messages / WARM_UP; done < messages;) {
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, 1000);
        for (unsigned n = 0; n < BATCH && done < messages; n++) {
            uint32_t events;
            size_t size = sizeof events;
            if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) || !(events & ZMQ_POLLIN)) break;
            echo(socket);
            if (++done == warm) begin(&o);
        }
        if (done == messages) end(&o, messages - warm);
    }
    tell(pipe_fd, &o);
    _exit(0);
}

/* ---- the coordinator ---- */

static void step(co_server *server)
{
    mr_error err;
    if (co_server_step(server, 100, &err) == MR_OK) return;
    fprintf(stderr, "%s\n", err.text);
    _exit(1);
}

static void measure_job(co_server *server, const size_case *c, uint64_t messages, outcome *o)
{
    static mr_pack_header header = {.size_bytes = sizeof header};
    static mr_settings settings = {.name = "null"};
    const mr_pack pack = {.base = (const uint8_t *)&header, .size_bytes = sizeof header, .header = &header, .settings = &settings};
    const mr_picture picture = {.width = c->across * c->side, .height = c->across * c->side, .spp = c->spp, .seed = 0};
    uint64_t job, first = 0;
    co_job_status status = {.state = CO_JOB_QUEUED};
    mr_error err;
    header.hash[0] = 1;
    if (co_server_submit(server, &pack, &picture, c->side, &job, &err)) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    while (status.state <= CO_JOB_RUNNING && status.tiles_done < messages) {
        step(server);
        (void)co_server_status(server, job, &status);
        if (first || status.tiles_done < messages / WARM_UP) continue;
        first = status.tiles_done;
        begin(o);
    }
    end(o, status.tiles_done - first);
    (void)co_server_cancel(server, job);
}

static void coordinate(int pipe_fd, unsigned count, const size_case *c, uint64_t messages)
{
    outcome o = {0};
    co_server *server;
    mr_error err;
    char state[4096];
    (void)snprintf(state, sizeof state, "%s/bench-state-%d", folder ? folder : "", (int)getpid());
    const co_config config = {.endpoint = "tcp://127.0.0.1:*", .lease_ms = LEASE_MS, .keys = with_keys ? &server_keys : NULL, .state = folder ? state : NULL};
    if (co_server_open(&server, &config, &err)) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    (void)snprintf(o.endpoint, sizeof o.endpoint, "%s", co_server_endpoint(server));
    tell(pipe_fd, &o);
    while (co_server_worker_count(server) < count) step(server);
    measure_job(server, c, messages, &o);
    tell(pipe_fd, &o);
    _exit(0);
}

/* ---- one run ---- */

static int measure(int is_bare, unsigned count, const size_case *c, uint64_t messages, outcome *out, mr_error *err)
{
    int ends[2], how = 0;
    pid_t loader[BENCH_LOADERS_MAX], server;
    if (pipe(ends) || (server = fork()) < 0) return mr_fail(err, MR_FAILED, "cannot start a process: %s", strerror(errno));
    if (server == 0) {
        (void)prctl(PR_SET_NAME, is_bare ? "bench-bare" : "bench-coord"); /* for profilers */
        if (is_bare) bare(ends[1], count, messages);
        else coordinate(ends[1], count, c, messages);
    }
    (void)close(ends[1]);
    int fine = read(ends[0], out, sizeof *out) == (ssize_t)sizeof *out, started = 0;
    const bench_load load = {.endpoint = out->endpoint, .keys = with_keys ? &worker_keys : NULL, .workers = count,
                             .loaders = loaders < count ? loaders : count, .bare = is_bare,
                             .payload_bytes = bench_sums(3 * c->side * c->side, NULL), .unit_us = unit_us};
    if (fine) started = bench_load_start(&load, loader);
    fine = fine && started > 0 && read(ends[0], out, sizeof *out) == (ssize_t)sizeof *out;
    bench_load_stop(loader, started);
    (void)close(ends[0]);
    (void)waitpid(server, &how, 0);
    return fine && how == 0 ? MR_OK : mr_fail(err, MR_FAILED, "a process of the benchmark has failed");
}

/* Enough for some seconds. */
static uint64_t message_count(const size_case *c)
{
    uint64_t usual = c->side <= 4 ? 200000 : c->side <= 32 ? 20000 : 10000;
    return usual * percent / 100;
}

static void add_row(cJSON *rows, const size_case *c, unsigned count, const bench_stat stats[6])
{
    static const char *const names[6] = {"tiles_per_s", "bare_per_s", "ratio", "cpu_us", "bare_cpu_us", "memory_mb"};
    cJSON *row = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(row, "result", c->name);
    (void)cJSON_AddNumberToObject(row, "workers", count);
    for (unsigned i = 0; i < 6; i++) bench_json_stat(row, names[i], stats[i]);
    (void)cJSON_AddItemToArray(rows, row);
}

static int measure_row(cJSON *rows, const size_case *c, unsigned count, mr_error *err)
{
    double values[6][BENCH_REPS_MAX];
    bench_stat stats[6];
    for (unsigned i = 0; i < reps; i++) {
        outcome ours, other;
        int status = measure(1, count, c, message_count(c), &other, err);
        if (status == MR_OK) status = measure(0, count, c, message_count(c), &ours, err);
        if (status != MR_OK) return status;
        values[0][i] = (double)ours.messages / ours.seconds;
        values[1][i] = (double)other.messages / other.seconds;
        values[2][i] = values[0][i] / values[1][i];
        values[3][i] = 1e6 * ours.cpu_s / (double)ours.messages;
        values[4][i] = 1e6 * other.cpu_s / (double)other.messages;
        values[5][i] = (double)ours.memory_kb / 1024;
    }
    for (unsigned i = 0; i < 6; i++) stats[i] = bench_stats(values[i], reps);
    printf("%7s %8u %11.0f %11.0f %7.2f %6.2f - %4.2f %9.1f %9.1f %9.1f\n", c->name, count, stats[0].median, stats[1].median, stats[2].median,
           stats[2].least, stats[2].greatest, stats[3].median, stats[4].median, stats[5].median);
    (void)fflush(stdout);
    add_row(rows, c, count, stats);
    return MR_OK;
}

static int run(mr_error *err)
{
    int status = output ? cli_check_writable(output, err) : MR_OK;
    if (status != MR_OK) return status;
    make_keys();
    cJSON *json = bench_head(with_keys ? "coordinator and a bare ROUTER, with CURVE" : "coordinator and a bare ROUTER", "none");
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    printf("%7s %8s %11s %11s %7s %13s %9s %9s %9s\n", "result", "workers", "tiles/s", "bare/s", "ratio", "least-most", "CPU us", "bare us", "MB");
    for (unsigned k = 0; k < SIZES && status == MR_OK; k++)
        for (unsigned i = 0; i < workers.count && status == MR_OK; i++) status = measure_row(rows, &cases[k], workers.value[i], err);
    int saved = bench_save(json, status == MR_OK ? output : NULL, status == MR_OK ? err : NULL);
    return status != MR_OK ? status : saved;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "what a tile costs the coordinator, beside a bare ROUTER", options, run);
}
