/* mobyray bench: what its files share. A bench_result is what was measured, whole: it is written as JSON and read back, and tables, the HTML report
 * and comparisons are made of it alone.
 *
 *   bench.c          options; which clusters are measured, in which order
 *   bench_cluster.c  the clusters: processes, containers of a Compose project, a running coordinator
 *   bench_steady.c   --for: a steady load, and what became of it over time
 *   bench_machine.c  what it ran on
 *   bench_stats.c    medians, ranks
 *   bench_json.c     to JSON and back; bench_table.c: on the terminal; bench_html*.c: the report; bench_compare.c: two of them */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdio.h>

#include "cli/cli.h"
#include "coordinator/account.h"

enum { BENCH_ROWS_MOST = 32, BENCH_REPEAT_MOST = 99, BENCH_SAMPLES_MOST = 4096, BENCH_TEXT = 160 };

enum bench_kind { BENCH_PROCESSES, BENCH_CONTAINERS, BENCH_CLUSTER, BENCH_KINDS };

typedef struct bench_run { /* one render */
    double seconds;        /* from the job's submission to its last tile */
    uint64_t rays, samples, tiles, tiles_redone, result_bytes;
    uint32_t round;        /* rows of one round were measured next to each other */
    co_account_report account;
} bench_run;

typedef struct bench_life { /* workers that come and go in mid-render, and the cluster's start; seconds, negative: not measured */
    double start_s;        /* from starting the workers to the first tile of a picture, from nothing */
    double join_s;         /* from starting one more to its first tile */
    double hello_s;        /* of that, until it had joined */
    double drain_s;        /* from telling one to stop until it had left */
} bench_life;

typedef struct bench_row { /* one size of one kind of cluster */
    int kind;              /* enum bench_kind */
    uint32_t workers, threads; /* threads: of all workers together */
    unsigned count;        /* of runs; none: of a steady load */
    bench_run *runs;
    bench_life life;
} bench_row;

typedef struct bench_sample { /* a stretch of a steady load */
    double begin_s, end_s;
    uint32_t workers, threads; /* at its end */
    co_account_report account; /* of the stretch alone */
} bench_sample;

typedef struct bench_machine {
    char cpu[BENCH_TEXT], kernel[BENCH_TEXT], os[BENCH_TEXT], engine[BENCH_TEXT], version[BENCH_TEXT], commit[BENCH_TEXT], compiler[BENCH_TEXT];
    uint32_t cpus, online, quota; /* that may be used; that are there; that a cgroup grants, 0: all */
    double memory_gb, load;       /* load: a minute's average before the start */
} bench_machine;

typedef struct bench_result {
    bench_machine machine;
    char scene[BENCH_TEXT], scene_hash[2 * MR_HASH_BYTES + 1];
    mr_picture picture;
    uint32_t tile, repeat, null;
    double when;           /* epoch seconds */
    bench_row rows[BENCH_ROWS_MOST];
    unsigned row_count;
    bench_sample *samples; /* of a steady load */
    unsigned sample_count;
    double steady_s;       /* 0: none */
} bench_result;

void bench_result_free(bench_result *r);
int bench_add_run(bench_row *row, const bench_run *run, mr_error *err);

/* ---- numbers (bench_stats.c) ---- */

typedef struct bench_spread {
    double median, least, greatest;
} bench_spread;

bench_spread bench_spread_of(double *values, unsigned count); /* sorts them; count 0: zeros */
bench_spread bench_seconds(const bench_row *row);
bench_spread bench_rays_per_s(const bench_row *row);
/* How much faster than `base`, of the runs of one round each (or of the medians, where rounds do not match). */
bench_spread bench_speedup(const bench_row *row, const bench_row *base);
/* The row that this one is measured against: of its kind, the one with the fewest threads. */
const bench_row *bench_base(const bench_result *r, const bench_row *row);
const bench_row *bench_find(const bench_result *r, int kind, uint32_t workers, uint32_t threads);
/* All runs of a row (or a steady load's stretches) together. */
co_account_report bench_account(const bench_row *row);
co_account_report bench_steady_account(const bench_result *r);
void bench_account_add(co_account_report *sum, const co_account_report *more);
double bench_share(const co_account_report *r, int kind); /* of the threads' time */
double bench_worst_error(const bench_result *r);          /* of any run's account, absolute */
int bench_oversubscribed(const bench_result *r, const bench_row *row);
const char *bench_kind_name(const bench_result *r, int kind); /* "processes", ... */
void bench_row_name(const bench_result *r, const bench_row *row, char name[BENCH_TEXT]); /* "4 processes" */
const char *bench_spent_label(int kind);                      /* "cores shared", ... for people */

/* Mann and Whitney's test (1947): the chance that two such samples differ so much in rank when nothing has changed; two-sided. Exact (by counting,
 * ties at their mean ranks) up to 64 values, by the normal approximation beyond. *least: the smallest that so many values could give. */
double bench_rank_test(const double *a, unsigned n, const double *b, unsigned m, double *least_p);
/* Hodges and Lehmann's estimate of b over a: the median of all ratios. */
double bench_ratio(const double *a, unsigned n, const double *b, unsigned m);

/* ---- in and out ---- */

int bench_save(const bench_result *r, const char *path, mr_error *err); /* "-": to stdout */
int bench_load(bench_result *out, const char *path, mr_error *err);     /* MR_BAD_INPUT names what is wrong; free in any case */
int bench_read(bench_result *out, const char *name, const char *text, size_t size, mr_error *err);
void bench_table(const bench_result *r, FILE *out);
int bench_html(const bench_result *r, const char *path, mr_error *err);
int bench_compare(const char *before, const char *after, mr_error *err);

/* ---- machines and clusters ---- */

void bench_describe_machine(bench_machine *m, const char *kernel);
void bench_describe_engine(bench_machine *m); /* Docker's */

typedef struct bench_work {
    const char *scene;
    const mr_pack *pack;  /* NULL: containers bring their own scene */
    mr_picture picture;
    uint32_t tile, threads; /* of each worker */
    int null;
    const char *cluster, *key;
} bench_work;

typedef struct bench_cluster bench_cluster;
int bench_open(bench_cluster **out, int kind, const bench_work *work, mr_error *err);
void bench_close(bench_cluster *c); /* NULL is fine */
/* Makes it so large, warms it up; *life gets start_s, when there were no workers before. */
int bench_scale(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err);
int bench_render(bench_cluster *c, bench_run *out, mr_error *err);
/* A render in which a worker joins and one leaves. */
int bench_lives(bench_cluster *c, uint32_t workers, bench_life *life, mr_error *err);
uint32_t bench_workers(const bench_cluster *c, uint32_t *threads); /* that the last run had */

/* A steady load of so many seconds, in stretches of step_s. workers: of an embedded cluster, when work->cluster is NULL. */
int bench_steady(bench_result *r, const bench_work *work, uint32_t workers, double seconds, double step_s, mr_error *err);

#endif
