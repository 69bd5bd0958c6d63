/* bench/watched: what a tile costs a coordinator that nobody watches, one that serves HTTP and has no visitor, and one with the page open.
 *
 * The same load as bench/coordinator's: workers that trace nothing (bench/load.c). The visitor is a process of its own that does what the page does: it reads the
 * stream of events and fetches the pixels of rectangles that have changed, within the page's budget. The three alternate; CPU time is the coordinator's process's, all
 * its threads included. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/load.h"
#include "bench/report.h"
#include "cli/cli.h"
#include "coordinator/http.h"

enum { LEASE_MS = 600000, WARM_UP = 10, SIDE = 32, MODES = 3, CHUNK = 256, AT_ONCE = 3 /* as coordinator/page/chunks.js */, ANSWER_BYTES = 1 << 23 };
enum mode { ALONE, SERVED, WATCHED };
static const char *const mode_names[MODES] = {"no HTTP", "HTTP, nobody there", "the page is open"};

static uint32_t reps = 5, loaders = 2, workers = 256, tiles = 60000, unit_us = 5000, across = 40, budget_kb = 4000;
static const char *output;

static const arg_option options[] = {
    {"workers", 0, ARG_COUNT, &workers, 1, 4096, "N", "workers that trace nothing (default: 256)"},
    {"tiles", 0, ARG_COUNT, &tiles, 1000, 10000000, "N", "a run (default: 60000)"},
    {"across", 0, ARG_COUNT, &across, 1, 256, "N", "tiles of 32 pixels a side of the picture (default: 40)"},
    {"budget", 0, ARG_COUNT, &budget_kb, 1, 100000, "KB", "of pixels that the visitor fetches in a second, as the page does (default: 4000)"},
    {"reps", 0, ARG_COUNT, &reps, 1, BENCH_REPS_MAX, "N", "of each; the medians count (default: 5)"},
    {"loaders", 0, ARG_COUNT, &loaders, 1, BENCH_LOADERS_MAX, "N", "processes that play the workers (default: 2)"},
    {"unit-us", 0, ARG_COUNT, &unit_us, 1, 1000000, "N", "what a worker says that a tile took (default: 5000)"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

typedef struct outcome {
    double seconds, cpu_s;
    uint64_t tiles;
    char endpoint[128]; /* told first */
    uint16_t port;      /* of HTTP; 0: none */
} outcome;

/* ---- the visitor ---- */

static int dial(uint16_t port)
{
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to)) _exit(1);
    return fd;
}

static void ask(int fd, const char *path)
{
    char text[256];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    if (write(fd, text, (size_t)length) != length) _exit(1);
}

/* Reads one answer with a length to its end; its bytes, head included. */
static size_t take_answer(int fd, char *bytes)
{
    size_t got = 0, whole = 0;
    while (!whole || got < whole) {
        ssize_t n = read(fd, bytes + got, ANSWER_BYTES - 1 - got);
        if (n <= 0) _exit(0); /* the coordinator has ended */
        got += (size_t)n;
        bytes[got] = 0;
        const char *end = whole ? NULL : strstr(bytes, "\r\n\r\n"), *length = end ? strstr(bytes, "Content-Length: ") : NULL;
        if (length && length < end) whole = (size_t)(end + 4 - bytes) + strtoul(length + 16, NULL, 10);
    }
    return got;
}

/* Fetches a chunk of the first changed rectangle, another one each time. Returns its bytes. */
static double fetch(int fd, char *bytes, const char *event)
{
    static uint32_t turn;
    const char *at = strstr(event, "\"changed\":[[");
    uint32_t r[4] = {0};
    char path[128];
    if (!at) return 0;
    at += strlen("\"changed\":[[");
    for (unsigned i = 0; i < 4; i++) {
        char *end;
        r[i] = (uint32_t)strtoul(at, &end, 10);
        at = end + (*end == ',');
    }
    if (!r[2] || !r[3]) return 0; /* the event was cut */
    uint32_t columns = (r[2] + CHUNK - 1) / CHUNK, rows = (r[3] + CHUNK - 1) / CHUNK, n = turn++ % (columns * rows), x = n % columns * CHUNK, y = n / columns * CHUNK;
    (void)snprintf(path, sizeof path, "/api/v1/jobs/1/pixels?x=%u&y=%u&width=%u&height=%u", r[0] + x, r[1] + y, r[2] - x < CHUNK ? r[2] - x : CHUNK,
                   r[3] - y < CHUNK ? r[3] - y : CHUNK);
    ask(fd, path);
    return (double)take_answer(fd, bytes);
}

static void visit(uint16_t port)
{
    char *events = malloc(ANSWER_BYTES), *pixels = malloc(ANSWER_BYTES);
    int stream = dial(port), other = dial(port);
    double budget = 1e3 * budget_kb, then = cli_now();
    if (!events || !pixels) _exit(1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    ask(stream, "/api/v1/events");
    for (;;) {
        ssize_t n = read(stream, events, ANSWER_BYTES - 1);
        if (n <= 0) _exit(0);
        events[n] = 0;
        double now = cli_now();
        budget += (now - then) * 1e3 * budget_kb;
        if (budget > 1e3 * budget_kb) budget = 1e3 * budget_kb;
        then = now;
        for (unsigned i = 0; i < AT_ONCE && budget > 4.0 * CHUNK * CHUNK; i++) budget -= fetch(other, pixels, events);
    }
}

/* ---- the coordinator ---- */

static double cpu_now(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void tell(int pipe_fd, const outcome *o)
{
    if (write(pipe_fd, o, sizeof *o) != (ssize_t)sizeof *o) _exit(1);
}

static void give_up(const mr_error *err)
{
    fprintf(stderr, "%s\n", err->text);
    _exit(1);
}

static void measure_job(co_server *server, outcome *o)
{
    static mr_pack_header header = {.size_bytes = sizeof header, .hash = {1}};
    static mr_settings settings = {.name = "null", .exposure = 1};
    const mr_pack pack = {.base = (const uint8_t *)&header, .size_bytes = sizeof header, .header = &header, .settings = &settings};
    const mr_picture picture = {.width = across * SIDE, .height = across * SIDE, .spp = MR_MAX_SPP};
    uint64_t job, first = 0;
    co_job_status status = {.state = CO_JOB_QUEUED};
    mr_error err;
    if (co_server_submit(server, &pack, &picture, SIDE, &job, &err)) give_up(&err);
    while (status.state <= CO_JOB_RUNNING && status.tiles_done < tiles) {
        if (co_server_step(server, 100, &err)) give_up(&err);
        (void)co_server_status(server, job, &status);
        if (first || status.tiles_done < tiles / WARM_UP) continue;
        first = status.tiles_done;
        o->seconds = cli_now();
        o->cpu_s = cpu_now();
    }
    o->seconds = cli_now() - o->seconds;
    o->cpu_s = cpu_now() - o->cpu_s;
    o->tiles = status.tiles_done - first;
}

static void coordinate(int pipe_fd, int mode)
{
    outcome o = {0};
    co_http *http = NULL;
    co_server *server;
    mr_error err;
    char url[128];
    const co_http_config web = {.address = "127.0.0.1:0", .version = "bench", .commit = ""};
    if (mode != ALONE && co_http_open(&http, &web, NULL, &err)) give_up(&err);
    const co_config config = {.endpoint = "tcp://127.0.0.1:*", .lease_ms = LEASE_MS, .board = co_http_board(http), .mailbox = co_http_mailbox(http)};
    if (co_server_open(&server, &config, &err)) give_up(&err);
    (void)snprintf(o.endpoint, sizeof o.endpoint, "%s", co_server_endpoint(server));
    if (http) {
        co_http_url(http, url, sizeof url);
        o.port = (uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10);
    }
    tell(pipe_fd, &o);
    while (co_server_worker_count(server) < workers)
        if (co_server_step(server, 100, &err)) give_up(&err);
    measure_job(server, &o);
    tell(pipe_fd, &o);
    _exit(0);
}

/* ---- one run ---- */

static int measure(int mode, outcome *out, mr_error *err)
{
    int ends[2], how = 0, started = 0;
    pid_t loader[BENCH_LOADERS_MAX], server, visitor = 0;
    if (pipe(ends) || (server = fork()) < 0) return mr_fail(err, MR_FAILED, "cannot start a process: %s", strerror(errno));
    if (server == 0) coordinate(ends[1], mode);
    (void)close(ends[1]);
    int fine = read(ends[0], out, sizeof *out) == (ssize_t)sizeof *out;
    if (fine && mode == WATCHED && (visitor = fork()) == 0) visit(out->port);
    const bench_load load = {.endpoint = out->endpoint, .workers = workers, .loaders = loaders < workers ? loaders : workers, .unit_us = unit_us};
    if (fine) started = bench_load_start(&load, loader);
    fine = fine && started > 0 && visitor >= 0 && read(ends[0], out, sizeof *out) == (ssize_t)sizeof *out;
    bench_load_stop(loader, started);
    (void)close(ends[0]);
    if (visitor > 0) {
        (void)kill(visitor, SIGKILL);
        (void)waitpid(visitor, NULL, 0);
    }
    (void)waitpid(server, &how, 0);
    return fine && how == 0 ? MR_OK : mr_fail(err, MR_FAILED, "a process of the benchmark has failed");
}

static void report_mode(cJSON *rows, int mode, double *rate, double *cpu_us, double *ratio)
{
    cJSON *row = cJSON_CreateObject();
    bench_stat stats[3] = {bench_stats(rate, reps), bench_stats(cpu_us, reps), bench_stats(ratio, reps)};
    printf("%-20s %9.0f %8.2f (%.2f - %.2f) %8.3f (%.3f - %.3f)\n", mode_names[mode], stats[0].median, stats[1].median, stats[1].least, stats[1].greatest, stats[2].median,
           stats[2].least, stats[2].greatest);
    (void)cJSON_AddStringToObject(row, "mode", mode_names[mode]);
    bench_json_stat(row, "tiles_per_s", stats[0]);
    bench_json_stat(row, "cpu_us", stats[1]);
    bench_json_stat(row, "ratio", stats[2]);
    (void)cJSON_AddItemToArray(rows, row);
}

static int run(mr_error *err)
{
    double rate[MODES][BENCH_REPS_MAX], cpu_us[MODES][BENCH_REPS_MAX], ratio[MODES][BENCH_REPS_MAX];
    int status = output ? cli_check_writable(output, err) : MR_OK;
    if (status != MR_OK) return status;
    if (sodium_init() < 0) return mr_fail(err, MR_FAILED, "no random numbers");
    cJSON *json = bench_head("a coordinator that is watched", "none"), *rows = cJSON_AddArrayToObject(json, "rows");
    for (unsigned i = 0; i < reps && status == MR_OK; i++)
        for (int mode = 0; mode < MODES && status == MR_OK; mode++) {
            outcome o;
            status = measure(mode, &o, err);
            if (status != MR_OK) break;
            rate[mode][i] = (double)o.tiles / o.seconds;
            cpu_us[mode][i] = 1e6 * o.cpu_s / (double)o.tiles;
            ratio[mode][i] = cpu_us[mode][i] / cpu_us[ALONE][i];
        }
    printf("%u workers, picture of %ux%u pixels, %u tiles a run\n%-20s %9s %8s %15s %8s\n", workers, across * SIDE, across * SIDE, tiles, "", "tiles/s", "CPU us", "", "ratio");
    for (int mode = 0; mode < MODES && status == MR_OK; mode++) report_mode(rows, mode, rate[mode], cpu_us[mode], ratio[mode]);
    int saved = bench_save(json, status == MR_OK ? output : NULL, status == MR_OK ? err : NULL);
    return status != MR_OK ? status : saved;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "what a tile costs a coordinator that is watched over HTTP", options, run);
}
