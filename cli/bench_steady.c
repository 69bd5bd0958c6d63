/* mobyray bench --for: a steady load. Two jobs are always under way, so that the end of one is filled by the next; what the cluster delivers is read from
 * the coordinator's account of all its time, whose difference between two looks is what happened between them. For autoscalers: workers may come and go. */
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench.h"
#include "cli/embedded.h"
#include "cli/keys.h"
#include "cli/signals.h"
#include "coordinator/client.h"

enum { LANES = 2, NAP_MS = 20 };

typedef struct steady {
    bench_result *result;
    const bench_work *work;
    double begin, end, step_s, last_at;
    co_account_report last; /* as of last_at */
    /* a running coordinator's */
    wire_keys keys;
    int with_keys;
    volatile int stop;      /* for all lanes */
    /* an embedded one's */
    embedded *embedded;
    uint64_t jobs[LANES];
} steady;

/* ---- what is seen ---- */

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; } /* what is not settled yet may be put down otherwise later */

static void subtract(co_account_report *r, const co_account_report *before)
{
    uint64_t *from[] = {&r->wall_us, &r->present_us, &r->cpu_us, &r->tiles, &r->rays, &r->bytes_in, &r->bytes_out, &r->pack_bytes, &r->join_us, &r->drain_us};
    const uint64_t what[] = {before->wall_us, before->present_us, before->cpu_us, before->tiles, before->rays, before->bytes_in, before->bytes_out,
        before->pack_bytes,
                             before->join_us, before->drain_us};
    for (unsigned i = 0; i < sizeof what / sizeof what[0]; i++) *from[i] = less(*from[i], what[i]);
    for (unsigned k = 0; k < CO_SPENT_KINDS; k++) r->spent_us[k] = less(r->spent_us[k], before->spent_us[k]);
    for (unsigned k = 0; k < CO_LATENCY_BINS; k++) r->latency[k] -= before->latency[k];
    r->joins -= before->joins;
    r->starts -= before->starts;
    r->drains -= before->drains;
    r->losses -= before->losses;
    r->first_tile_us = 0;
}

static int look(steady *s, co_account_report *out, mr_error *err)
{
    if (s->embedded) return co_server_account(embedded_server(s->embedded), 0, out);
    const co_client_config config = {.endpoint = s->work->cluster, .keys = s->with_keys ? &s->keys : NULL};
    return co_client_account(&config, 0, out, err);
}

static int note(steady *s, mr_error *err)
{
    bench_result *r = s->result;
    co_account_report now;
    int status = look(s, &now, err);
    if (status != MR_OK || r->sample_count == BENCH_SAMPLES_MOST) return status;
    double at = cli_now();
    bench_sample *sample = &r->samples[r->sample_count++];
    *sample = (bench_sample){.begin_s = s->last_at - s->begin, .end_s = at - s->begin, .workers = now.workers, .threads = now.threads, .account = now};
    subtract(&sample->account, &s->last);
    s->last = now;
    s->last_at = at;
    return MR_OK;
}

static int begin(steady *s, mr_error *err)
{
    s->begin = s->last_at = cli_now();
    return look(s, &s->last, err);
}

/* ---- a running coordinator ---- */

typedef struct lane {
    steady *all;
    pthread_t thread;
    int status; /* written once, accessed with __atomic: it is looked at meanwhile */
    mr_error err;
} lane;

static void *keep_busy(void *arg)
{
    lane *me = arg;
    steady *s = me->all;
    co_job_status done;
    const co_client_config config = {.endpoint = s->work->cluster, .keys = s->with_keys ? &s->keys : NULL, .stop = &s->stop, .options = CLI_JOB_DEFAULTS,
                                     .name = "bench", .scene = s->work->scene, .no_film = 1};
    int status = MR_OK;
    while (status == MR_OK && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
        status = co_client_render(&config, s->work->pack, &s->work->picture, s->work->tile, NULL, &done, &me->err);
    __atomic_store_n(&me->status, status == MR_INTERRUPTED ? MR_OK : status, __ATOMIC_RELAXED);
    return NULL;
}

static int watch(steady *s, const lane *lanes, mr_error *err)
{
    const struct timespec nap = {0, NAP_MS * 1000000};
    int status = MR_OK;
    while (status == MR_OK && cli_now() < s->end) {
        (void)nanosleep(&nap, NULL);
        if (signals_stop) return mr_fail(err, MR_INTERRUPTED, "interrupted");
        for (unsigned i = 0; i < LANES; i++)
            if (__atomic_load_n(&lanes[i].status, __ATOMIC_RELAXED) != MR_OK) return MR_OK; /* said when it is joined */
        if (cli_now() - s->last_at >= s->step_s) status = note(s, err);
    }
    return status;
}

static int load_cluster(steady *s, double seconds, mr_error *err)
{
    lane lanes[LANES] = {{.all = s}, {.all = s}};
    int status = keys_load(s->work->key, keys_of_client, &s->keys, &s->with_keys, err), started = 0;
    if (status == MR_OK) status = begin(s, err);
    s->end = s->begin + seconds;
    while (status == MR_OK && started < LANES && !pthread_create(&lanes[started].thread, NULL, keep_busy, &lanes[started])) started++;
    if (status == MR_OK) status = started == LANES ? watch(s, lanes, err) : mr_fail(err, MR_FAILED, "cannot start a thread");
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < started; i++) {
        (void)pthread_join(lanes[i].thread, NULL);
        if (status == MR_OK && lanes[i].status != MR_OK) status = mr_fail(err, lanes[i].status, "%s", lanes[i].err.text);
    }
    if (status == MR_OK && cli_now() - s->last_at > s->step_s / 2) status = note(s, err);
    sodium_memzero(&s->keys, sizeof s->keys);
    return status;
}

/* ---- here ---- */

static int refill(steady *s, mr_error *err)
{
    co_server *server = embedded_server(s->embedded);
    int status = MR_OK;
    for (unsigned i = 0; i < LANES && status == MR_OK; i++) {
        co_job_status job;
        if (s->jobs[i] && co_server_status(server, s->jobs[i], &job) == MR_OK && job.state <= CO_JOB_RUNNING) continue;
        if (s->jobs[i]) co_server_forget(server, s->jobs[i]);
        status = co_server_submit(server, s->work->pack, &s->work->picture, s->work->tile, &s->jobs[i], err);
    }
    return status;
}

static int load_here(steady *s, uint32_t workers, double seconds, mr_error *err)
{
    progress silent = {.quiet = 1};
    const embedded_ways ways = {.null = s->work->null};
    int status = embedded_start_so(&s->embedded, workers, s->work->threads, &ways, &silent, err);
    if (status != MR_OK) return status;
    embedded_share(s->embedded, s->work->pack);
    status = embedded_wait_joined(s->embedded, err);
    if (status == MR_OK) status = begin(s, err);
    for (s->end = s->begin + seconds; status == MR_OK && cli_now() < s->end;) {
        status = refill(s, err);
        if (status == MR_OK) status = embedded_pump(s->embedded, err);
        if (status == MR_OK && cli_now() - s->last_at >= s->step_s) status = note(s, err);
    }
    if (status == MR_OK && cli_now() - s->last_at > s->step_s / 2) status = note(s, err);
    embedded_stop(s->embedded);
    return status;
}

int bench_steady(bench_result *r, const bench_work *work, uint32_t workers, double seconds, double step_s, mr_error *err)
{
    steady s = {.result = r, .work = work, .step_s = step_s};
    r->samples = calloc(BENCH_SAMPLES_MOST, sizeof *r->samples);
    if (!r->samples) return mr_fail(err, MR_FAILED, "out of memory");
    r->steady_s = seconds;
    return work->cluster ? load_cluster(&s, seconds, err) : load_here(&s, workers, seconds, err);
}
