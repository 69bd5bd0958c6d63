/* bench/lives: how soon a worker is of use, and how soon its loss is noticed.
 *
 * A coordinator in this process has a job of small tiles. Real workers are started one after another (fork and exec of build/mobyray): time to
 * their joining and to their first result; then each is killed (its connection breaks) or stopped (it falls silent): time until it
 * counts as lost. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/report.h"
#include "cli/cli.h"
#include "coordinator/server.h"

static const char *scene = "scenes/cornell", *binary = "build/mobyray", *output;
static uint32_t rounds = 60, lease_ms;

static const arg_option options[] = {
    {"scene", 0, ARG_TEXT, &scene, 0, 0, "SCENE", "what the workers trace (default: scenes/cornell)"},
    {"binary", 0, ARG_TEXT, &binary, 0, 0, "FILE", "the worker's program (default: build/mobyray)"},
    {"rounds", 0, ARG_COUNT, &rounds, 2, BENCH_REPS_MAX, "N", "workers, half of them killed, half stopped (default: 60)"},
    {"lease", 0, ARG_COUNT, &lease_ms, 100, 60000, "MS", "the coordinator's (default: its own)"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

enum { JOINED, FIRST, KILLED, STOPPED, KINDS };
static double values[KINDS][BENCH_REPS_MAX];
static unsigned counts[KINDS];

static void note(int kind, double seconds) { values[kind][counts[kind]++] = seconds * 1e3; }

static pid_t start_worker(const char *endpoint)
{
    pid_t parent = getpid(), child = fork();
    if (child) return child;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) (void)execl(binary, "mobyray", "worker", "--coordinator", endpoint, "--threads", "1", "--quiet", (char *)NULL);
    _exit(127);
}

static int pump_until_workers(co_server *server, unsigned count, mr_error *err)
{
    int status = MR_OK;
    double give_up = cli_now() + 30;
    while (status == MR_OK && co_server_worker_count(server) != count && cli_now() < give_up) status = co_server_step(server, 1, err);
    if (status == MR_OK && co_server_worker_count(server) != count) status = mr_fail(err, MR_FAILED, "waited 30 s in vain for a worker");
    return status;
}

static int live(co_server *server, uint64_t job, mr_error *err)
{
    co_job_status before, now;
    (void)co_server_status(server, job, &before);
    double start = cli_now();
    pid_t worker = start_worker(co_server_endpoint(server));
    if (worker < 0) return mr_fail(err, MR_FAILED, "cannot start a process: %s", strerror(errno));
    int status = pump_until_workers(server, 1, err);
    note(JOINED, cli_now() - start);
    now = before;
    while (status == MR_OK && now.tiles_done == before.tiles_done) {
        status = co_server_step(server, 1, err);
        (void)co_server_status(server, job, &now);
    }
    note(FIRST, cli_now() - start);
    for (double end = cli_now() + 0.1; status == MR_OK && cli_now() < end;) status = co_server_step(server, 1, err);
    int kind = counts[KILLED] <= counts[STOPPED] ? KILLED : STOPPED;
    start = cli_now();
    (void)kill(worker, kind == KILLED ? SIGKILL : SIGSTOP);
    if (status == MR_OK) status = pump_until_workers(server, 0, err);
    note(kind, cli_now() - start);
    (void)kill(worker, SIGKILL);
    (void)waitpid(worker, NULL, 0);
    return status;
}

static void print_all(cJSON *json)
{
    static const char *const names[KINDS] = {"start to joined", "start to first result", "killed, noticed", "stopped, noticed"};
    static const char *const keys[KINDS] = {"joined_ms", "first_result_ms", "killed_ms", "stopped_ms"};
    printf("%24s %8s %8s %8s %8s\n", "ms", "p50", "p99", "least", "greatest");
    for (int i = 0; i < KINDS; i++) {
        bench_stat stat = bench_stats(values[i], counts[i]); /* sorts */
        printf("%24s %8.1f %8.1f %8.1f %8.1f\n", names[i], stat.median, values[i][(counts[i] * 99 + 99) / 100 - 1], stat.least, stat.greatest);
        bench_json_stat(json, keys[i], stat);
    }
}

static int run(mr_error *err)
{
    mr_pack pack = {.base = NULL};
    co_server *server = NULL;
    uint64_t job = 0;
    const mr_picture picture = {.width = 512, .height = 512, .spp = 4096, .seed = 0};
    const co_config config = {.endpoint = "tcp://127.0.0.1:*", .lease_ms = lease_ms};
    int status = cli_load_scene(&pack, scene, err);
    if (status == MR_OK) status = co_server_open(&server, &config, err);
    if (status == MR_OK) status = co_server_submit(server, &pack, &picture, 16, &job, err);
    cJSON *json = bench_head("workers' lives", "any");
    for (unsigned i = 0; i < rounds && status == MR_OK; i++) status = live(server, job, err);
    if (status == MR_OK) print_all(json);
    int saved = bench_save(json, status == MR_OK ? output : NULL, status == MR_OK ? err : NULL);
    co_server_close(server);
    mr_pack_close(&pack);
    return status != MR_OK ? status : saved;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "how soon a worker is of use, and how soon its loss is noticed", options, run);
}
