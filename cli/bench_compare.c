/* What changed between two results of mobyray bench, and whether it is more than noise.
 *
 * Of each row that both have: rays a second of the repeats, before and after. How much: the median of all ratios (Hodges and Lehmann 1963). Whether:
 * the rank test of Mann and Whitney (1947), exact, two-sided, at 5 %, corrected for the number of rows (Holm 1979). Repeats of one file are neighbours in
 * time: a machine that became slower between the two files looks like a change; that is for people to know, and said when the machines differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

#define LEVEL 0.05

typedef struct change {
    const bench_row *before, *after;
    double ratio, p, least_p, holm_p;
} change;

static unsigned rates(const bench_row *row, double values[BENCH_REPEAT_MOST])
{
    unsigned count = 0;
    for (unsigned i = 0; i < row->count && count < BENCH_REPEAT_MOST; i++)
        if (row->runs[i].seconds > 0) values[count++] = (double)row->runs[i].rays / row->runs[i].seconds;
    return count;
}

static change weigh(const bench_row *before, const bench_row *after)
{
    double a[BENCH_REPEAT_MOST], b[BENCH_REPEAT_MOST];
    unsigned n = rates(before, a), m = rates(after, b);
    change c = {.before = before, .after = after, .ratio = bench_ratio(a, n, b, m)};
    c.p = bench_rank_test(a, n, b, m, &c.least_p);
    return c;
}

/* Holm's correction: the k-th least p of n counts n - k times, and no less than the one before. */
static void correct(change *changes, unsigned count)
{
    double so_far = 0;
    for (unsigned done = 0; done < count; done++) {
        change *next = NULL;
        for (unsigned i = 0; i < count; i++)
            if (changes[i].holm_p < 0 && (!next || changes[i].p < next->p)) next = &changes[i];
        if (!next) return;
        so_far = fmax(so_far, fmin(1, next->p * (count - done)));
        next->holm_p = so_far;
    }
}

/* The fewest repeats on both sides that could show anything, with so many rows. */
static unsigned enough(unsigned rows)
{
    double ways = 1; /* 2n over n */
    for (unsigned n = 1; n < BENCH_REPEAT_MOST; n++) {
        ways *= 2.0 * (2 * n - 1) / n;
        if (2 / ways * rows <= LEVEL) return n;
    }
    return BENCH_REPEAT_MOST;
}

static void print_verdict(const change *c, unsigned rows)
{
    if (c->least_p * rows > LEVEL) printf("cannot be told: %u and %u repeats are too few, %u each would do\n", c->before->count, c->after->count, enough(rows));
    else if (c->holm_p > LEVEL) printf("no more than noise (p = %.2g)\n", c->holm_p);
    else printf("%s, more than noise (p = %.2g)\n", c->ratio > 1 ? "faster" : "slower", c->holm_p);
}

/* The category whose share of the time changed most. */
static void print_where(const change *c)
{
    co_account_report before = bench_account(c->before), after = bench_account(c->after);
    int most = 0;
    double by = 0;
    for (int k = 0; k < CO_SPENT_KINDS; k++) {
        double moved = bench_share(&after, k) - bench_share(&before, k);
        if (k == CO_SPENT_TRACING || fabs(moved) <= fabs(by)) continue;
        by = moved;
        most = k;
    }
    if (fabs(by) >= 0.005) printf("%21s of the threads' time, %s: %.1f %%, was %.1f %%\n", "", bench_spent_label(most), 100 * bench_share(&after, most),
        100 * bench_share(&before, most));
}

static void print_difference(const char *what, const char *before, const char *after)
{
    if (strcmp(before, after) != 0) printf("  %-11s %s | %s\n", what, before, after);
}

static void print_numbers(const char *what, double before, double after)
{
    char a[32], b[32];
    (void)snprintf(a, sizeof a, "%.10g", before);
    (void)snprintf(b, sizeof b, "%.10g", after);
    print_difference(what, a, b);
}

static void print_differences(const bench_result *a, const bench_result *b)
{
    print_difference("commit", a->machine.commit, b->machine.commit);
    print_difference("version", a->machine.version, b->machine.version);
    print_difference("compiler", a->machine.compiler, b->machine.compiler);
    print_difference("kernel", a->machine.kernel, b->machine.kernel);
    print_difference("CPU", a->machine.cpu, b->machine.cpu);
    print_numbers("CPUs", a->machine.cpus, b->machine.cpus);
    print_difference("system", a->machine.os, b->machine.os);
    print_difference("engine", a->machine.engine, b->machine.engine);
    print_numbers("load before", a->machine.load, b->machine.load);
}

/* Figures of different pictures say nothing about each other. */
static int comparable(const bench_result *a, const bench_result *b, const char *before, const char *after, mr_error *err)
{
    if (memcmp(&a->picture, &b->picture, sizeof a->picture) != 0 || strcmp(a->scene_hash, b->scene_hash) != 0 || a->tile != b->tile || a->null != b->null)
        return mr_fail(err, MR_BAD_INPUT, "%s and %s cannot be compared: %s %ux%u, %u samples, tile %u | %s %ux%u, %u samples, tile %u", before, after, a->scene,
                       a->picture.width, a->picture.height, a->picture.spp, a->tile, b->scene, b->picture.width, b->picture.height, b->picture.spp, b->tile);
    return MR_OK;
}

static int print_changes(const bench_result *a, const bench_result *b, const char *before, const char *after, mr_error *err)
{
    change changes[BENCH_ROWS_MOST];
    unsigned count = 0;
    for (unsigned i = 0; i < a->row_count; i++) {
        const bench_row *other = bench_find(b, a->rows[i].kind, a->rows[i].workers, a->rows[i].threads);
        if (!other || !other->count || !a->rows[i].count) continue;
        changes[count] = weigh(&a->rows[i], other);
        changes[count++].holm_p = -1;
    }
    if (!count) return mr_fail(err, MR_BAD_INPUT, "%s and %s have no cluster in common", before, after);
    correct(changes, count);
    printf("%s, %ux%u, %u samples a pixel: %s, then %s\n", a->scene, a->picture.width, a->picture.height, a->picture.spp, before, after);
    print_differences(a, b);
    printf("\n%12s %7s %9s %9s %9s\n", "", "workers", "Mrays/s", "then", "change");
    for (unsigned i = 0; i < count; i++) {
        const change *c = &changes[i];
        printf("%12s %7u %9.2f %9.2f %+7.1f %%  ", bench_kind_name(a, c->before->kind), c->before->workers, bench_rays_per_s(c->before).median * 1e-6,
               bench_rays_per_s(c->after).median * 1e-6, 100 * (c->ratio - 1));
        print_verdict(c, count);
        print_where(c);
    }
    printf("\nMann-Whitney, exact, two-sided, 5 %%%s; change: the median of all ratios\n", count > 1 ? ", Holm's correction for the number of rows" : "");
    return MR_OK;
}

int bench_compare(const char *before, const char *after, mr_error *err)
{
    static bench_result a, b;
    int status = bench_load(&a, before, err);
    if (status == MR_OK) status = bench_load(&b, after, err);
    if (status == MR_OK) status = comparable(&a, &b, before, after, err);
    if (status == MR_OK) status = print_changes(&a, &b, before, after, err);
    bench_result_free(&a);
    bench_result_free(&b);
    return status;
}
