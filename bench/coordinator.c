/* bench/coordinator: what a tile costs the coordinator, beside a bare ROUTER that does nothing but answer.
 *
 * Workers that trace nothing (bench/load.c) return sums of 64 B, 12 KB and 48 KB as soon as they are asked. The coordinator is the real one: it
 * decodes, checks, adds to the film, schedules, answers. The bare loop receives messages of the same sizes from as many DEALER
 * connections, and answers each with as many bytes as an assignment has. Each runs in a process of its own.
 *
 * Why in slices: on a shared machine of few cores, where those who play the workers take more time than what is measured, the same run is twice as fast a
 * minute later, and a run of one beside a run of the other says nothing. So both are there at the same time, each with its workers, and take turns of a
 * fraction of a second: the one whose turn it is not is stopped (SIGSTOP), and so are its workers. Each slice is compared with its neighbour, and the median of
 * many such ratios counts. Where the kernel and the heap happen to place things lasts as long as a process, so all of them are started anew some times. A server ends its slice itself, between two batches, so that its messages and its CPU time (ZeroMQ's thread included) are of the same
 * moment. CPU time a tile is what the coordinator itself costs; tiles a second is that, the workers' and all waiting, on so many cores as there are. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/load.h"
#include "bench/report.h"
#include "cli/cli.h"
#include "coordinator/server.h"

enum { ASSIGN_BYTES = 106, BATCH = 512, SIZES = 3, LEASE_MS = 600000, JOB_LEFT = 40000, PRIORITIES = 10, SEEN = 65536 };

static arg_list workers = {.value = {2, 256, 1000}, .count = 3}, chosen = {.value = {64, 12, 48}, .count = SIZES};
static uint32_t pairs = 24, starts = 3, slice_ms = 200, loaders = 2, unit_us = 5000;
static const char *output, *folder;
static int with_keys;

static const arg_option options[] = {
    {"workers", 0, ARG_LIST, &workers, 1, 4096, "N,N,...", "numbers of workers (default: 2,256,1000)"},
    {"results", 0, ARG_LIST, &chosen, 1, 64, "N,N,...", "sizes of results, of 64 (bytes), 12 and 48 (KB); default: all three"},
    {"pairs", 0, ARG_COUNT, &pairs, 1, BENCH_REPS_MAX, "N", "of slices, one of each; medians count (default: 24)"},
    {"starts", 0, ARG_COUNT, &starts, 1, BENCH_REPS_MAX, "N", "of all processes, among which the pairs are divided (default: 3)"},
    {"slice-ms", 0, ARG_COUNT, &slice_ms, 10, 10000, "N", "how long a slice is (default: 200)"},
    {"loaders", 0, ARG_COUNT, &loaders, 1, BENCH_LOADERS_MAX, "N", "processes that play the workers (default: 2)"},
    {"unit-us", 0, ARG_COUNT, &unit_us, 1, 1000000, "N", "what a worker says that a tile took: its credit follows from it (default: 5000)"},
    {"curve", 0, ARG_FLAG, &with_keys, 0, 0, "", "with CURVE, in both"},
    {"state", 0, ARG_TEXT, &folder, 0, 0, "DIR", "the coordinator keeps a journal in a new folder in DIR"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

typedef struct size_case {
    const char *name;
    uint32_t number; /* of --results */
    uint32_t side;   /* of a tile */
    uint32_t across; /* tiles a side: the film stays below 7 MB, so that memory is the coordinator's own */
    uint32_t spp;    /* makes so many ranges of samples: 130,000 units a job, beside which what is in the workers' hands is little */
} size_case;

static const size_case cases[SIZES] = {{"64 B", 64, 2, 40, 1 << 20}, {"12 KB", 12, 32, 8, 98304}, {"48 KB", 48, 64, 8, 24576}};

typedef struct slice {
    double seconds, cpu_s;
    uint64_t messages;
} slice;

/* What a server tells, in memory that it shares with us. It stops itself when it can be connected to, and after each slice. */
typedef struct told {
    char endpoint[128];
    slice now;
    uint64_t memory_kb; /* the greatest so far */
} told;

typedef struct contender {
    int is_bare, started; /* started: loaders */
    pid_t server, loader[BENCH_LOADERS_MAX];
    told *told;
} contender;

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

/* ---- a server's slices ---- */

static double cpu_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t memory_kb(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss;
}

static slice reading(uint64_t messages) { return (slice){cli_now(), cpu_now(), messages}; }

/* Ends the slice when it is time, with so many messages done since the start, and waits for the next turn. */
static void take_turns(told *t, slice *began, uint64_t messages)
{
    slice now = reading(messages);
    if (now.seconds - began->seconds < 1e-3 * slice_ms) return;
    t->now = (slice){now.seconds - began->seconds, now.cpu_s - began->cpu_s, messages - began->messages};
    t->memory_kb = memory_kb();
    (void)raise(SIGSTOP);
    *began = reading(messages);
}

/* ---- the bare loop ---- */

/* Connections that have said something: ROUTER numbers them one by one, from a random number on; the last two bytes of a routing id tell them apart. */
static unsigned note_connection(zmq_msg_t *id)
{
    static uint8_t seen[SEEN];
    static unsigned count;
    const uint8_t *bytes = zmq_msg_data(id);
    unsigned number = (unsigned)bytes[3] << 8 | bytes[4];
    count += !seen[number];
    seen[number] = 1;
    return count;
}

/* How many connections there were so far. */
static unsigned echo(void *socket)
{
    static const uint8_t answer[ASSIGN_BYTES];
    zmq_msg_t id, frame;
    (void)zmq_msg_init(&id);
    (void)zmq_msg_init(&frame);
    if (zmq_msg_recv(&id, socket, 0) < 0 || zmq_msg_recv(&frame, socket, 0) < 0) _exit(1);
    unsigned count = note_connection(&id);
    if (zmq_msg_send(&id, socket, ZMQ_SNDMORE) < 0 || zmq_send(socket, answer, sizeof answer, 0) < 0) _exit(1);
    (void)zmq_msg_close(&frame);
    return count;
}

static void *bare_socket(told *t)
{
    void *context = zmq_ctx_new(), *socket = context ? zmq_socket(context, ZMQ_ROUTER) : NULL;
    int backlog = 1024, one = 1;
    size_t size = sizeof t->endpoint;
    if (!socket || zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog)) return NULL;
    if (with_keys && (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) ||
                      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, server_keys.secret, WIRE_KEY_BYTES)))
        return NULL;
    return zmq_bind(socket, "tcp://127.0.0.1:*") || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, t->endpoint, &size) ? NULL : socket;
}

static void bare(told *t, unsigned count)
{
    void *socket = bare_socket(t);
    unsigned connections = 0;
    uint64_t done = 0;
    if (!socket) _exit(1);
    (void)raise(SIGSTOP);
    for (slice began = reading(0);;) {
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        (void)zmq_poll(&item, 1, 100);
        for (unsigned n = 0; n < BATCH; n++, done++) {
            uint32_t events;
            size_t size = sizeof events;
            if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) || !(events & ZMQ_POLLIN)) break;
            connections = echo(socket);
        }
        if (connections >= count) take_turns(t, &began, done);
    }
}

/* ---- the coordinator ---- */

static void fail(const mr_error *err)
{
    fprintf(stderr, "%s\n", err->text);
    _exit(1);
}

static void step(co_server *server)
{
    mr_error err;
    if (co_server_step(server, 100, &err)) fail(&err);
}

/* The next job waits behind the present one (its priority is lower), so that there is always work. */
static uint64_t submit(co_server *server, const size_case *c)
{
    static mr_pack_header header = {.size_bytes = sizeof header, .hash = {1}};
    static mr_settings settings = {.name = "null"};
    static const mr_pack pack = {.base = (const uint8_t *)&header, .size_bytes = sizeof header, .header = &header, .settings = &settings};
    static uint32_t count;
    const mr_picture picture = {.width = c->across * c->side, .height = c->across * c->side, .spp = c->spp, .seed = 0};
    const co_job_options how = {.priority = PRIORITIES - 1 - count++ % PRIORITIES};
    uint64_t job;
    mr_error err;
    if (co_server_submit_to(server, &pack, &picture, c->side, &how, NULL, &job, &err)) fail(&err);
    return job;
}

static void work(co_server *server, told *t, const size_case *c)
{
    uint64_t job = submit(server, c), next = 0, before = 0;
    co_job_status status, other = {.tiles_done = 0};
    for (slice began = reading(0);;) {
        step(server);
        (void)co_server_status(server, job, &status);
        if (!next && status.tiles - status.tiles_done < JOB_LEFT) next = submit(server, c);
        if (next) (void)co_server_status(server, next, &other);
        if (status.state >= CO_JOB_DONE) {
            co_server_forget(server, job);
            before += status.tiles_done;
            job = next;
            status = other;
            next = other.tiles_done = 0;
        }
        take_turns(t, &began, before + status.tiles_done + other.tiles_done);
    }
}

static void coordinate(told *t, unsigned count, const size_case *c)
{
    co_server *server;
    mr_error err;
    char state[4096];
    (void)snprintf(state, sizeof state, "%s/bench-state-%d", folder ? folder : "", (int)getpid());
    const co_config config = {.endpoint = "tcp://127.0.0.1:*", .lease_ms = LEASE_MS, .keys = with_keys ? &server_keys : NULL, .state = folder ? state : NULL};
    if (co_server_open(&server, &config, &err)) fail(&err);
    (void)snprintf(t->endpoint, sizeof t->endpoint, "%s", co_server_endpoint(server));
    (void)raise(SIGSTOP);
    while (co_server_worker_count(server) < count) step(server);
    work(server, t, c);
}

/* ---- two contenders ---- */

static int stopped(const contender *c)
{
    int how = 0;
    return waitpid(c->server, &how, WUNTRACED) == c->server && WIFSTOPPED(how);
}

static void signal_all(const contender *c, int number)
{
    for (int i = 0; i < c->started; i++) (void)kill(c->loader[i], number);
    (void)kill(c->server, number);
}

/* One slice. 0: the server has died. */
static int run_slice(const contender *c)
{
    signal_all(c, SIGCONT);
    int fine = stopped(c);
    signal_all(c, SIGSTOP);
    return fine;
}

static int enter(contender *it, unsigned count, const size_case *c)
{
    pid_t parent = getpid();
    it->told = mmap(NULL, sizeof *it->told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (it->told == MAP_FAILED || (it->server = fork()) < 0) return 0;
    if (it->server == 0) {
        (void)prctl(PR_SET_NAME, it->is_bare ? "bench-bare" : "bench-coord"); /* for profilers */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        if (it->is_bare) bare(it->told, count);
        else coordinate(it->told, count, c);
    }
    if (!stopped(it)) return 0;
    const bench_load load = {.endpoint = it->told->endpoint, .keys = with_keys ? &worker_keys : NULL, .workers = count,
                             .loaders = loaders < count ? loaders : count, .bare = it->is_bare,
                             .payload_bytes = bench_sums(3 * c->side * c->side, NULL), .unit_us = unit_us};
    it->started = bench_load_start(&load, it->loader);
    return it->started > 0 && run_slice(it); /* its first slice, which ends when all workers are there: to warm up */
}

static void leave(contender *it)
{
    bench_load_stop(it->loader, it->started);
    if (it->server > 0) {
        (void)kill(it->server, SIGKILL);
        (void)waitpid(it->server, NULL, 0);
    }
    if (it->told && it->told != MAP_FAILED) (void)munmap(it->told, sizeof *it->told);
}

/* ---- a row of the table ---- */

enum { RATE, BARE_RATE, RATIO, CPU_US, BARE_CPU_US, CPU_RATIO, MEMORY, COLUMNS };

static void compare_slices(const told *ours, const told *other, double values[COLUMNS][BENCH_REPS_MAX], unsigned i)
{
    values[RATE][i] = (double)ours->now.messages / ours->now.seconds;
    values[BARE_RATE][i] = (double)other->now.messages / other->now.seconds;
    values[RATIO][i] = values[RATE][i] / values[BARE_RATE][i];
    values[CPU_US][i] = 1e6 * ours->now.cpu_s / (double)ours->now.messages;
    values[BARE_CPU_US][i] = 1e6 * other->now.cpu_s / (double)other->now.messages;
    values[CPU_RATIO][i] = values[BARE_CPU_US][i] / values[CPU_US][i];
    values[MEMORY][i] = (double)ours->memory_kb / 1024;
}

/* The pairs of one start. The two begin in turns, too: what drifts favours neither. */
static int alternate(const contender both[2], double values[COLUMNS][BENCH_REPS_MAX], unsigned first_pair, unsigned end)
{
    for (unsigned i = first_pair; i < end; i++) {
        const contender *first = &both[i % 2], *second = &both[1 - i % 2];
        if (!run_slice(first) || !run_slice(second)) return 0;
        compare_slices(both[0].told, both[1].told, values, i);
    }
    return 1;
}

static void add_row(cJSON *rows, const size_case *c, unsigned count, double values[COLUMNS][BENCH_REPS_MAX])
{
    static const char *const names[COLUMNS] = {"tiles_per_s", "bare_per_s", "ratio", "cpu_us", "bare_cpu_us", "cpu_ratio", "memory_mb"};
    bench_stat s[COLUMNS];
    bench_stat middle[COLUMNS];
    cJSON *row = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(row, "result", c->name);
    (void)cJSON_AddNumberToObject(row, "workers", count);
    for (unsigned i = 0; i < COLUMNS; i++) {
        s[i] = bench_stats(values[i], pairs);
        middle[i] = bench_quartiles(values[i], pairs);
        bench_json_stat(row, names[i], s[i]);
    }
    (void)cJSON_AddItemToArray(rows, row);
    printf("%7s %7u %9.0f %9.0f %6.2f (%4.2f - %4.2f) %8.1f %8.1f %6.2f (%4.2f - %4.2f) %6.1f\n", c->name, count, s[RATE].median, s[BARE_RATE].median,
           s[RATIO].median, middle[RATIO].least, middle[RATIO].greatest, s[CPU_US].median, s[BARE_CPU_US].median, s[CPU_RATIO].median, middle[CPU_RATIO].least,
           middle[CPU_RATIO].greatest, s[MEMORY].greatest);
    (void)fflush(stdout);
}

static int measure_row(cJSON *rows, const size_case *c, unsigned count, mr_error *err)
{
    static double values[COLUMNS][BENCH_REPS_MAX];
    for (unsigned i = 0; i < starts; i++) {
        contender both[2] = {{.is_bare = 0}, {.is_bare = 1}};
        int fine = enter(&both[0], count, c) && enter(&both[1], count, c) && alternate(both, values, pairs * i / starts, pairs * (i + 1) / starts);
        leave(&both[0]);
        leave(&both[1]);
        if (!fine) return mr_fail(err, MR_FAILED, "a process of the benchmark has failed");
    }
    add_row(rows, c, count, values);
    return MR_OK;
}

static const size_case *case_of(uint32_t number)
{
    for (unsigned k = 0; k < SIZES; k++)
        if (cases[k].number == number) return &cases[k];
    return NULL;
}

static int run(mr_error *err)
{
    int status = output ? cli_check_writable(output, err) : MR_OK;
    for (unsigned k = 0; k < chosen.count && status == MR_OK; k++)
        if (!case_of(chosen.value[k])) status = mr_fail(err, MR_USAGE, "--results: %u: expected 64, 12 or 48", chosen.value[k]);
    if (status != MR_OK) return status;
    make_keys();
    cJSON *json = bench_head(with_keys ? "coordinator and a bare ROUTER, with CURVE" : "coordinator and a bare ROUTER", "none");
    cJSON *rows = cJSON_AddArrayToObject(json, "rows");
    printf("%7s %7s %9s %9s %6s %13s %8s %8s %6s %13s %6s\n", "result", "workers", "tiles/s", "bare/s", "ratio", "quartiles", "CPU us", "bare us", "ratio", "quartiles",
           "MB");
    for (unsigned k = 0; k < chosen.count && status == MR_OK; k++)
        for (unsigned i = 0; i < workers.count && status == MR_OK; i++) status = measure_row(rows, case_of(chosen.value[k]), workers.value[i], err);
    int saved = bench_save(json, status == MR_OK ? output : NULL, status == MR_OK ? err : NULL);
    return status != MR_OK ? status : saved;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "what a tile costs the coordinator, beside a bare ROUTER", options, run);
}
