/* The clusters that a benchmark measures. See cli/bench.h.
 *
 *   processes   an embedded cluster (cli/embedded.h), scaled up and down
 *   containers  the Compose project in this folder: the coordinator is its own, and the measuring is done beside it, by a `mobyray bench --cluster` in its
 *               container, whose JSON comes back; what is measured is thus the same
 *   cluster     a running coordinator and whoever works for it */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench.h"
#include "cli/embedded.h"
#include "cli/keys.h"
#include "cli/run.h"
#include "cli/signals.h"
#include "coordinator/client.h"

enum { WARM_UPS = 2, ANSWER_MOST = 4 << 20, SCALE_MS = 60000, ALONE_MS = 30000, LIFE_MS = 60000 };
#define JOIN_AT 0.2  /* of a render, another worker is started ... */
#define DRAIN_AT 0.6 /* ... and one is told to leave */

struct bench_cluster {
    int kind;
    const bench_work *work;
    embedded *embedded;
    progress silent;
    const char *compose[3]; /* its command's words */
    int started;            /* the project was down before us */
    uint32_t workers, threads; /* as of the last run */
    char *answer;
};

static void note(bench_run *out, const co_job_status *s)
{
    out->seconds = s->seconds;
    out->rays = s->rays;
    out->samples = s->samples_done;
    out->tiles = s->tiles;
    out->tiles_redone = s->tiles_redone;
    out->result_bytes = s->result_bytes;
}

static mr_picture small_picture(const bench_work *work)
{
    return (mr_picture){.width = 64, .height = 64, .spp = 1, .seed = work->picture.seed};
}

/* ---- processes ---- */

static int render_here(bench_cluster *c, const mr_picture *picture, uint32_t tile, bench_run *out, mr_error *err)
{
    const mr_film *film;
    co_job_status status;
    int result = embedded_render(c->embedded, c->work->pack, picture, tile, &film, &status, err);
    if (result != MR_OK) return result;
    note(out, &status);
    (void)co_server_account(embedded_server(c->embedded), embedded_job(c->embedded), &out->account);
    c->workers = out->account.workers;
    c->threads = out->account.threads;
    return MR_OK;
}

/* A picture is begun before there is a worker, so that the first tile comes as soon as it can. */
static int scale_processes(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    bench_run first;
    const mr_picture small = small_picture(c->work);
    int status = embedded_scale(c->embedded, 0, err);
    if (status == MR_OK) status = embedded_wait_joined(c->embedded, err);
    embedded_share(c->embedded, c->work->pack);
    double begin = cli_now();
    if (status == MR_OK) status = embedded_scale(c->embedded, workers, err);
    double submitted = cli_now();
    if (status == MR_OK) status = render_here(c, &small, 8, &first, err);
    if (status == MR_OK) life->start_s = submitted - begin + (double)first.account.first_tile_us * 1e-6;
    if (status == MR_OK) status = embedded_wait_joined(c->embedded, err);
    for (uint32_t i = 0; i < WARM_UPS && status == MR_OK; i++) status = render_here(c, &small, 8, &first, err);
    return status;
}

typedef struct lives { /* of the render under way */
    double join_at, joined_at, drain_at, drained_at;
} lives;

static int change(bench_cluster *c, const co_job_status *s, uint32_t workers, lives *l, mr_error *err)
{
    double done = s->tiles ? (double)s->tiles_done / (double)s->tiles : 0;
    uint32_t here = co_server_worker_count(embedded_server(c->embedded));
    if (l->join_at < 0 && done >= JOIN_AT) {
        l->join_at = cli_now();
        return embedded_scale(c->embedded, workers + 1, err);
    }
    if (l->join_at >= 0 && l->joined_at < 0 && here > workers) l->joined_at = cli_now();
    if (l->joined_at >= 0 && l->drain_at < 0 && done >= DRAIN_AT) {
        l->drain_at = cli_now();
        return embedded_scale(c->embedded, workers, err);
    }
    if (l->drain_at >= 0 && l->drained_at < 0 && here == workers) l->drained_at = cli_now();
    return MR_OK;
}

/* A small picture may be done before all of that has happened: then what has not is not known. */
static int live_processes(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    lives l = {-1, -1, -1, -1};
    co_server *server = embedded_server(c->embedded);
    co_job_status s = {.state = CO_JOB_QUEUED};
    co_account_report account = {.starts = 0};
    uint64_t job = 0;
    int status = co_server_submit_to(server, c->work->pack, &c->work->picture, c->work->tile, NULL, NULL, &job, err);
    while (status == MR_OK && (s.state <= CO_JOB_RUNNING || (l.drain_at >= 0 && l.drained_at < 0 && cli_now() - l.drain_at < LIFE_MS * 1e-3))) {
        status = embedded_pump(c->embedded, err);
        (void)co_server_status(server, job, &s);
        if (status == MR_OK) status = change(c, &s, workers, &l, err);
    }
    (void)co_server_account(server, job, &account);
    if (l.joined_at >= 0) life->hello_s = l.joined_at - l.join_at;
    if (l.joined_at >= 0 && account.starts) life->join_s = life->hello_s + (double)account.join_us / account.starts * 1e-6;
    if (l.drained_at >= 0) life->drain_s = l.drained_at - l.drain_at;
    co_server_forget(server, job);
    return status;
}

/* ---- a running coordinator ---- */

typedef struct patience { /* with a cluster that has no workers */
    double since;           /* 0: there are some */
    volatile int stop;      /* enough, or told to stop */
} patience;

static void look(void *user, const co_job_status *s)
{
    patience *p = user;
    if (s->workers) p->since = 0;
    else if (p->since <= 0) p->since = cli_now();
    else if (cli_now() - p->since > ALONE_MS * 1e-3) p->stop = 1;
    if (signals_stop) p->stop = 1;
}

static int render_there(bench_cluster *c, bench_run *out, mr_error *err)
{
    wire_keys keys;
    co_job_status done;
    patience p = {.since = 0};
    int with_keys, status = keys_load(c->work->key, keys_of_client, &keys, &with_keys, err);
    if (status != MR_OK) return status;
    const co_client_config config = {.endpoint = c->work->cluster, .keys = with_keys ? &keys : NULL, .stop = &p.stop, .progress = look, .user = &p,
        .options = CLI_JOB_DEFAULTS,
                                     .name = "bench", .scene = c->work->scene, .account = &out->account, .no_film = 1};
    status = co_client_render(&config, c->work->pack, &c->work->picture, c->work->tile, NULL, &done, err);
    sodium_memzero(&keys, sizeof keys);
    if (status == MR_INTERRUPTED && !signals_stop) return mr_fail(err, MR_FAILED, "%s: no worker has been there for %d s", c->work->cluster, ALONE_MS / 1000);
    if (status != MR_OK) return status;
    note(out, &done);
    c->workers = out->account.workers;
    c->threads = out->account.threads;
    return MR_OK;
}

/* Workers are as they are. What they lack is the scene, perhaps. */
static int warm_cluster(bench_cluster *c, mr_error *err)
{
    bench_run run;
    bench_work small = *c->work;
    bench_cluster other = {.kind = c->kind, .work = &small};
    small.picture = small_picture(c->work);
    small.tile = 8;
    int status = MR_OK;
    for (unsigned i = 0; i < WARM_UPS && status == MR_OK; i++) status = render_there(&other, &run, err);
    c->workers = other.workers;
    return status;
}

/* ---- containers ---- */

/* A picture of its own would be in our way: the coordinator gets a tiny one. */
static const char *const quiet_project[] = {"MOBYRAY_SIZE=16x16", "MOBYRAY_SPP=1", "MOBYRAY_EXIT_WHEN_DONE=", "MOBYRAY_STATE=", NULL};

static int compose(const bench_cluster *c, const char *const *words, char *text, size_t size, mr_error *err)
{
    const char *command[24] = {c->compose[0], c->compose[1]};
    unsigned at = c->compose[1] ? 2 : 1;
    while (*words && at < 23) command[at++] = *words++;
    command[at] = NULL;
    return cli_run(command, quiet_project, text, size, err);
}

/* `docker compose`, or docker-compose, whichever there is. */
static int find_compose(bench_cluster *c, mr_error *err)
{
    static const char *const with_a_blank[] = {"docker", "compose", "version", NULL}, *const with_a_dash[] = {"docker-compose", "version", NULL};
    char text[256];
    if (cli_run(with_a_blank, NULL, text, sizeof text, NULL) == MR_OK) {
        c->compose[0] = "docker";
        c->compose[1] = "compose";
    } else if (cli_run(with_a_dash, NULL, text, sizeof text, NULL) == MR_OK) {
        c->compose[0] = "docker-compose";
    } else {
        return mr_fail(err, MR_FAILED, "--docker needs Docker with Compose: neither `docker compose` nor docker-compose can be run");
    }
    static const char *const list[] = {"ps", "-q", "coordinator", NULL};
    int status = compose(c, list, text, sizeof text, err);
    c->started = status == MR_OK && !text[0];
    return status;
}

static int up(const bench_cluster *c, uint32_t workers, mr_error *err)
{
    char scale[32], text[256];
    (void)snprintf(scale, sizeof scale, "worker=%u", workers);
    const char *const words[] = {"up", "-d", "--no-recreate", "--scale", scale, "coordinator", "worker", NULL};
    return compose(c, words, text, sizeof text, err);
}

/* SCENE as the image has it. */
static const char *scene_there(const bench_work *work, char path[1024])
{
    (void)snprintf(path, 1024, "%s%s", work->scene[0] == '/' ? "" : "/", work->scene);
    return path;
}

static int measure_there(bench_cluster *c, const mr_picture *p, uint32_t tile, bench_result *out, mr_error *err)
{
    char size[32], spp[16], side[16], seed[16], scene[1024];
    (void)snprintf(size, sizeof size, "%ux%u", p->width, p->height);
    (void)snprintf(spp, sizeof spp, "%u", p->spp);
    (void)snprintf(side, sizeof side, "%u", tile ? tile : 1);
    (void)snprintf(seed, sizeof seed, "%u", p->seed);
    const char *words[24] = {"exec", "-T", "coordinator", "mobyray", "bench", "--cluster", "tcp://127.0.0.1:5555", "--repeat", "1", "-o", "-", "--size", size,
                             "--spp", spp, "--seed", seed, scene_there(c->work, scene), tile ? "--tile" : NULL, side, NULL};
    int status = compose(c, words, c->answer, ANSWER_MOST, err);
    if (status == MR_OK) status = bench_read(out, "the answer of the bench in the coordinator's container", c->answer, strlen(c->answer), err);
    if (status == MR_OK && (out->row_count != 1 || out->rows[0].count != 1)) status = mr_fail(err, MR_FAILED,
        "the bench in the coordinator's container measured nothing");
    return status;
}

static int render_in_containers(bench_cluster *c, bench_run *out, mr_error *err)
{
    bench_result r;
    int status = measure_there(c, &c->work->picture, c->work->tile, &r, err);
    if (status == MR_OK) {
        *out = r.rows[0].runs[0];
        c->workers = r.rows[0].workers;
        c->threads = r.rows[0].threads;
    }
    bench_result_free(&r);
    return status;
}

/* Compose returns when the containers run, their workers join a moment later. */
static int scale_containers(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    const mr_picture small = small_picture(c->work);
    bench_result r;
    double begin = cli_now(), until = begin + SCALE_MS * 1e-3;
    int fresh = c->started && !c->workers, status = c->workers == workers ? MR_OK : up(c, workers, err);
    uint32_t here = 0;
    while (status == MR_OK && here != workers && cli_now() < until) {
        double asked = cli_now();
        status = measure_there(c, &small, 8, &r, err);
        here = status == MR_OK ? r.rows[0].workers : 0;
        if (status == MR_OK && fresh) life->start_s = asked - begin + (double)r.rows[0].runs[0].account.first_tile_us * 1e-6;
        fresh = 0;
        bench_result_free(&r);
    }
    if (status == MR_OK && here != workers) status = mr_fail(err, MR_FAILED, "%u workers of %u are there after %d s", here, workers, SCALE_MS / 1000);
    c->workers = workers;
    return status;
}

/* ---- all ---- */

static int open_processes(bench_cluster *c, mr_error *err)
{
    const embedded_ways ways = {.null = c->work->null};
    c->silent.quiet = 1;
    return embedded_start_so(&c->embedded, 0, c->work->threads, &ways, &c->silent, err);
}

static int open_containers(bench_cluster *c, mr_error *err)
{
    c->answer = malloc(ANSWER_MOST);
    return c->answer ? find_compose(c, err) : mr_fail(err, MR_FAILED, "out of memory");
}

int bench_open(bench_cluster **out, int kind, const bench_work *work, mr_error *err)
{
    bench_cluster *c = calloc(1, sizeof *c);
    if (!c) return mr_fail(err, MR_FAILED, "out of memory");
    c->kind = kind;
    c->work = work;
    int status = kind == BENCH_PROCESSES ? open_processes(c, err) : kind == BENCH_CONTAINERS ? open_containers(c, err) : MR_OK;
    if (status == MR_OK) *out = c;
    else bench_close(c);
    return status;
}

void bench_close(bench_cluster *c)
{
    static const char *const down[] = {"down", "--timeout", "5", NULL};
    char text[256];
    if (!c) return;
    embedded_stop(c->embedded);
    if (c->kind == BENCH_CONTAINERS && c->started) (void)compose(c, down, text, sizeof text, NULL);
    free(c->answer);
    free(c);
}

int bench_scale(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    if (c->kind == BENCH_PROCESSES) return scale_processes(c, workers, life, err);
    return c->kind == BENCH_CONTAINERS ? scale_containers(c, workers, life, err) : warm_cluster(c, err);
}

int bench_render(bench_cluster *c, bench_run *out, mr_error *err)
{
    *out = (bench_run){.seconds = 0};
    if (c->kind == BENCH_PROCESSES) return render_here(c, &c->work->picture, c->work->tile, out, err);
    return c->kind == BENCH_CONTAINERS ? render_in_containers(c, out, err) : render_there(c, out, err);
}

/* Of containers: how long Compose takes for one more and one less, their workers' joining and leaving included. */
static int live_containers(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    bench_life none = {-1, -1, -1, -1};
    double begin = cli_now();
    int status = scale_containers(c, workers + 1, &none, err), joined = status == MR_OK;
    if (joined) life->join_s = cli_now() - begin;
    begin = cli_now();
    if (joined) status = up(c, workers, err);
    if (status == MR_OK) life->drain_s = cli_now() - begin;
    c->workers = workers;
    return status;
}

int bench_lives(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err)
{
    if (c->kind == BENCH_PROCESSES) return live_processes(c, workers, life, err);
    return c->kind == BENCH_CONTAINERS ? live_containers(c, workers, life, err) : MR_OK;
}

uint32_t bench_workers(const bench_cluster *c, uint32_t *threads)
{
    *threads = c->threads;
    return c->workers;
}
