/* Medians, paired ratios, ranks. See cli/bench.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "worker/cpus.h"

enum { EXACT_MOST = 64 };

void bench_result_free(bench_result *r)
{
    for (unsigned i = 0; i < r->row_count; i++) free(r->rows[i].runs);
    free(r->samples);
    r->row_count = r->sample_count = 0;
    r->samples = NULL;
}

int bench_add_run(bench_row *row, const bench_run *run, mr_error *err)
{
    bench_run *runs = realloc(row->runs, (row->count + 1) * sizeof *runs);
    if (!runs) return mr_fail(err, MR_FAILED, "out of memory");
    row->runs = runs;
    row->runs[row->count++] = *run;
    return MR_OK;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bench_spread bench_spread_of(double *values, unsigned count)
{
    if (!count) return (bench_spread){0, 0, 0};
    qsort(values, count, sizeof *values, compare);
    return (bench_spread){(values[count / 2] + values[(count - 1) / 2]) / 2, values[0], values[count - 1]};
}

static unsigned gather(const bench_row *row, double (*figure)(const bench_run *), double values[BENCH_REPEAT_MOST])
{
    unsigned count = row->count < BENCH_REPEAT_MOST ? row->count : BENCH_REPEAT_MOST;
    for (unsigned i = 0; i < count; i++) values[i] = figure(&row->runs[i]);
    return count;
}

static double seconds_of(const bench_run *run) { return run->seconds; }
static double rate_of(const bench_run *run) { return run->seconds > 0 ? (double)run->rays / run->seconds : 0; }

bench_spread bench_seconds(const bench_row *row)
{
    double values[BENCH_REPEAT_MOST];
    unsigned count = gather(row, seconds_of, values);
    return bench_spread_of(values, count);
}

bench_spread bench_rays_per_s(const bench_row *row)
{
    double values[BENCH_REPEAT_MOST];
    unsigned count = gather(row, rate_of, values);
    return bench_spread_of(values, count);
}

static const bench_run *of_round(const bench_row *row, uint32_t round)
{
    for (unsigned i = 0; i < row->count; i++)
        if (row->runs[i].round == round) return &row->runs[i];
    return NULL;
}

bench_spread bench_speedup(const bench_row *row, const bench_row *base)
{
    double values[BENCH_REPEAT_MOST];
    unsigned count = 0;
    for (unsigned i = 0; i < row->count && count < BENCH_REPEAT_MOST; i++) {
        const bench_run *other = of_round(base, row->runs[i].round);
        if (other && row->runs[i].seconds > 0) values[count++] = other->seconds / row->runs[i].seconds;
    }
    if (count) return bench_spread_of(values, count);
    bench_spread ours = bench_seconds(row), theirs = bench_seconds(base);
    if (ours.median <= 0) return (bench_spread){0, 0, 0};
    return (bench_spread){theirs.median / ours.median, theirs.least / ours.greatest, theirs.greatest / ours.least};
}

const bench_row *bench_base(const bench_result *r, const bench_row *row)
{
    const bench_row *base = row;
    for (unsigned i = 0; i < r->row_count; i++)
        if (r->rows[i].kind == row->kind && r->rows[i].threads < base->threads) base = &r->rows[i];
    return base;
}

const bench_row *bench_find(const bench_result *r, int kind, uint32_t workers, uint32_t threads)
{
    for (unsigned i = 0; i < r->row_count; i++)
        if (r->rows[i].kind == kind && r->rows[i].workers == workers && r->rows[i].threads == threads) return &r->rows[i];
    return NULL;
}

/* ---- accounts ---- */

void bench_account_add(co_account_report *sum, const co_account_report *more)
{
    uint64_t *to[] = {&sum->wall_us, &sum->present_us, &sum->cpu_us, &sum->tiles, &sum->rays, &sum->bytes_in, &sum->bytes_out, &sum->pack_bytes, &sum->join_us,
        &sum->drain_us};
    const uint64_t from[] = {more->wall_us, more->present_us, more->cpu_us, more->tiles, more->rays, more->bytes_in, more->bytes_out, more->pack_bytes,
        more->join_us, more->drain_us};
    for (unsigned i = 0; i < sizeof from / sizeof from[0]; i++) *to[i] += from[i];
    for (unsigned k = 0; k < CO_SPENT_KINDS; k++) sum->spent_us[k] += more->spent_us[k];
    for (unsigned k = 0; k < CO_LATENCY_BINS; k++) sum->latency[k] += more->latency[k];
    sum->joins += more->joins;
    sum->starts += more->starts;
    sum->drains += more->drains;
    sum->losses += more->losses;
    if (more->join_most_us > sum->join_most_us) sum->join_most_us = more->join_most_us;
    if (more->drain_most_us > sum->drain_most_us) sum->drain_most_us = more->drain_most_us;
}

co_account_report bench_account(const bench_row *row)
{
    co_account_report sum = {.wall_us = 0};
    for (unsigned i = 0; i < row->count; i++) bench_account_add(&sum, &row->runs[i].account);
    return sum;
}

co_account_report bench_steady_account(const bench_result *r)
{
    co_account_report sum = {.wall_us = 0};
    for (unsigned i = 0; i < r->sample_count; i++) bench_account_add(&sum, &r->samples[i].account);
    return sum;
}

double bench_share(const co_account_report *r, int kind) { return r->present_us ? (double)r->spent_us[kind] / (double)r->present_us : 0; }

double bench_worst_error(const bench_result *r)
{
    double worst = 0;
    for (unsigned i = 0; i < r->row_count; i++)
        for (unsigned k = 0; k < r->rows[i].count; k++) worst = fmax(worst, fabs(co_account_error(&r->rows[i].runs[k].account)));
    if (r->sample_count) {
        co_account_report all = bench_steady_account(r);
        worst = fmax(worst, fabs(co_account_error(&all)));
    }
    return worst;
}

int bench_oversubscribed(const bench_result *r, const bench_row *row) { return row->kind != BENCH_CLUSTER && row->threads > r->machine.cpus; }

const char *bench_kind_name(const bench_result *r, int kind)
{
    static const char *const names[BENCH_KINDS] = {"processes", "containers", "cluster"};
    if (r->null && kind == BENCH_PROCESSES) return "null workers";
    return kind >= 0 && kind < BENCH_KINDS ? names[kind] : "?";
}

void bench_row_name(const bench_result *r, const bench_row *row, char name[BENCH_TEXT])
{
    static const char *const one[BENCH_KINDS] = {"process", "container", "worker"}, *const many[BENCH_KINDS] = {"processes", "containers", "workers"};
    int null = r->null && row->kind == BENCH_PROCESSES, kind = null ? BENCH_CLUSTER : row->kind;
    (void)snprintf(name, BENCH_TEXT, "%u %s%s", row->workers, null ? "null " : "", row->workers == 1 ? one[kind] : many[kind]);
}

const char *bench_spent_label(int kind)
{
    static const char *const labels[CO_SPENT_KINDS] = {"tracing", "cores shared", "redone", "starting", "waiting", "network", "tail", "other jobs"};
    return kind >= 0 && kind < CO_SPENT_KINDS ? labels[kind] : "?";
}

/* ---- ranks ---- */

typedef struct ranked {
    double value;
    unsigned of_a, rank2; /* rank2: twice its rank, so that mean ranks of ties are whole */
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    double x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

static void rank(ranked *all, unsigned count)
{
    qsort(all, count, sizeof *all, compare_ranked);
    for (unsigned i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && !(all[end].value > all[i].value); end++) {}
        for (unsigned k = i; k < end; k++) all[k].rank2 = i + 1 + end;
    }
}

/* Ways to choose n of the values so that their ranks sum up to s: ways[n][s], by adding one value after the other. */
static double exact(const ranked *all, unsigned count, unsigned n, unsigned sum2, double *least_p)
{
    size_t width = (size_t)2 * count * count + 1;
    double *ways = calloc((n + 1) * width, sizeof *ways), total = 0, mean = (double)n * (count + 1), tail = 0, extreme = 0, furthest = 0;
    if (!ways) return 1;
    ways[0] = 1;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = n; k > 0; k--)
            for (size_t s = width - 1; s + 1 > all[i].rank2; s--) ways[k * width + s] += ways[(k - 1) * width + s - all[i].rank2];
    double away = fabs((double)sum2 - mean);
    for (size_t s = 0; s < width; s++)
        if (ways[n * width + s] > 0) furthest = fmax(furthest, fabs((double)s - mean));
    for (size_t s = 0; s < width; s++) {
        double w = ways[n * width + s], far = fabs((double)s - mean);
        total += w;
        if (far >= away - 1e-9) tail += w;
        if (far >= furthest - 1e-9) extreme += w;
    }
    free(ways);
    *least_p = extreme / total;
    return tail / total;
}

static double approximate(const ranked *all, unsigned count, unsigned n, unsigned sum2, double *least_p)
{
    double mean = (double)n * (count + 1), squares = 0;
    for (unsigned i = 0; i < count; i++) squares += (all[i].rank2 - (count + 1.0)) * (all[i].rank2 - (count + 1.0));
    double variance = squares * n * (count - n) / ((double)count * (count - 1.0));
    *least_p = 0;
    return variance > 0 ? erfc(fmax(0, fabs((double)sum2 - mean) - 1) / sqrt(2 * variance)) : 1;
}

double bench_rank_test(const double *a, unsigned n, const double *b, unsigned m, double *least_p)
{
    ranked all[2 * BENCH_REPEAT_MOST];
    unsigned sum2 = 0;
    *least_p = 1;
    if (!n || !m || n > BENCH_REPEAT_MOST || m > BENCH_REPEAT_MOST) return 1;
    for (unsigned i = 0; i < n; i++) all[i] = (ranked){.value = a[i], .of_a = 1};
    for (unsigned i = 0; i < m; i++) all[n + i] = (ranked){.value = b[i]};
    rank(all, n + m);
    for (unsigned i = 0; i < n + m; i++)
        if (all[i].of_a) sum2 += all[i].rank2;
    return n + m <= EXACT_MOST ? exact(all, n + m, n, sum2, least_p) : approximate(all, n + m, n, sum2, least_p);
}

double bench_ratio(const double *a, unsigned n, const double *b, unsigned m)
{
    double *ratios = malloc((size_t)n * m * sizeof *ratios);
    unsigned count = 0;
    if (!ratios) return 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < m; k++)
            if (a[i] > 0) ratios[count++] = b[k] / a[i];
    double median = bench_spread_of(ratios, count).median;
    free(ratios);
    return median;
}
