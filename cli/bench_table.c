/* A benchmark's result on the terminal. Figures come from the median run, or from all runs of a row together, as docs/BENCH.md says. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench.h"

enum { BAR = 40 };

static void print_machine(const bench_result *r, FILE *out)
{
    const bench_machine *m = &r->machine;
    fprintf(out, "%s, %ux%u, %u samples a pixel%s\n", r->scene, r->picture.width, r->picture.height, r->picture.spp,
        r->null ? "; workers that trace nothing: the coordinator alone" : "");
    fprintf(out, "%s, %u of %u CPUs", m->cpu, m->cpus, m->online);
    if (m->quota) fprintf(out, " (a quota of %u)", m->quota);
    fprintf(out, ", %.0f GB, %s%s%s, kernel %s\n", m->memory_gb, m->os, m->engine[0] ? ", " : "", m->engine, m->kernel);
    fprintf(out, "mobyray %s %s, %s; load before: %.2f\n\n", m->version, m->commit, m->compiler, m->load);
}

static void print_speeds(const bench_result *r, FILE *out)
{
    fprintf(out, "%12s %7s  %9s %17s  %8s %13s  %10s  %8s %7s\n", "", "workers", "seconds", "least - most", "speed-up", "least - most", "efficiency",
        "Mrays/s", "redone");
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i], *base = bench_base(r, row);
        bench_spread seconds = bench_seconds(row), speedup = bench_speedup(row, base), rays = bench_rays_per_s(row);
        uint64_t redone = 0;
        for (unsigned k = 0; k < row->count; k++) redone += row->runs[k].tiles_redone;
        fprintf(out, "%12s %7u  %9.3f %7.3f - %7.3f  %8.2f %5.2f - %5.2f  %8.1f %%  %8.2f %7llu%s\n", bench_kind_name(r, row->kind), row->workers, seconds.median,
                seconds.least, seconds.greatest, speedup.median, speedup.least, speedup.greatest, 100 * speedup.median * base->threads / row->threads,
                    rays.median * 1e-6,
                (unsigned long long)redone, bench_oversubscribed(r, row) ? "  more threads than CPUs" : "");
    }
}

static void print_time(FILE *out, double seconds)
{
    if (seconds < 0) fprintf(out, " %10s", "-");
    else if (seconds < 1) fprintf(out, " %7.1f ms", seconds * 1e3);
    else fprintf(out, " %8.2f s", seconds);
}

static void print_lives(const bench_result *r, FILE *out)
{
    fprintf(out, "\n%12s %7s %10s %10s %10s %10s %10s %10s %12s %10s\n", "", "workers", "tile p50", "tile p99", "first tile", "from start", "join", "drain",
        "CPU a tile", "MB a run");
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i];
        co_account_report all = bench_account(row);
        double first[BENCH_REPEAT_MOST], n = row->count ? row->count : 1;
        for (unsigned k = 0; k < row->count; k++) first[k] = (double)row->runs[k].account.first_tile_us * 1e-6;
        fprintf(out, "%12s %7u", bench_kind_name(r, row->kind), row->workers);
        print_time(out, co_latency_us(&all, 0.5) * 1e-6);
        print_time(out, co_latency_us(&all, 0.99) * 1e-6);
        print_time(out, bench_spread_of(first, row->count).median);
        print_time(out, row->life.start_s);
        print_time(out, row->life.join_s);
        print_time(out, row->life.drain_s);
        fprintf(out, " %9.1f us %10.2f\n", all.tiles ? (double)all.cpu_us / (double)all.tiles : 0,
            (double)(all.bytes_in + all.bytes_out + all.pack_bytes) / n * 1e-6);
    }
}

static void print_spent_head(FILE *out)
{
    fprintf(out, "\nwhere the threads' time went, in per cent\n%12s %7s", "", "workers");
    for (int k = 0; k < CO_SPENT_KINDS; k++) fprintf(out, " %12s", bench_spent_label(k));
    fprintf(out, " %7s\n", "sum");
}

static void print_spent(const char *kind, uint32_t workers, const co_account_report *all, FILE *out)
{
    fprintf(out, "%12s %7u", kind, workers);
    for (int k = 0; k < CO_SPENT_KINDS; k++) fprintf(out, " %12.2f", 100 * bench_share(all, k));
    fprintf(out, " %7.2f\n", 100 * (1 + co_account_error(all)));
}

/* How much slower containers are than processes, round by round. */
static void print_overhead(const bench_result *r, FILE *out)
{
    int any = 0;
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i], *other = row->kind == BENCH_CONTAINERS ? bench_find(r, BENCH_PROCESSES, row->workers, row->threads) : NULL;
        if (!other) continue;
        bench_spread ratio = bench_speedup(other, row);
        if (!any++) fprintf(out, "\ncontainers beside processes, of the same round\n");
        fprintf(out, "%12s %7u  %+.1f %% (%+.1f - %+.1f)\n", "", row->workers, 100 * (ratio.median - 1), 100 * (ratio.least - 1), 100 * (ratio.greatest - 1));
    }
}

static void print_samples(const bench_result *r, FILE *out)
{
    double most = 0;
    for (unsigned i = 0; i < r->sample_count; i++) {
        const co_account_report *a = &r->samples[i].account;
        most = fmax(most, a->wall_us ? (double)a->rays / (double)a->wall_us : 0);
    }
    fprintf(out, "a steady load of %.1f s\n%15s %8s %8s %9s %8s %10s\n", r->steady_s, "seconds", "workers", "threads", "Mrays/s", "busy", "tile p99");
    for (unsigned i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        double rate = s->account.wall_us ? (double)s->account.rays / (double)s->account.wall_us : 0;
        int bar = most > 0 ? (int)lround(BAR * rate / most) : 0;
        fprintf(out, "%6.1f - %6.1f %8u %8u %9.2f %6.1f %%", s->begin_s, s->end_s, s->workers, s->threads, rate, 100 * bench_share(&s->account, CO_SPENT_TRACING));
        print_time(out, co_latency_us(&s->account, 0.99) * 1e-6);
        fprintf(out, "  %.*s\n", bar, "########################################");
    }
}

static void print_warnings(const bench_result *r, FILE *out)
{
    int over = 0;
    for (unsigned i = 0; i < r->row_count; i++) over |= bench_oversubscribed(r, &r->rows[i]);
    if (over) fprintf(out, "warning: more tracer threads than the %u CPUs: what workers add beyond them is not to be seen here\n", r->machine.cpus);
    if (r->row_count && r->repeat < 3) fprintf(out, "warning: %u repeat%s: the spread cannot be told; --repeat 5 can\n", r->repeat, r->repeat == 1 ? "" : "s");
    if (r->machine.load > 0.5 * r->machine.cpus) fprintf(out, "warning: the machine was not idle before (load %.2f)\n", r->machine.load);
    if (bench_worst_error(r) > 0.01) fprintf(out, "warning: the categories do not add up to the threads' time within 1 %%\n");
}

void bench_table(const bench_result *r, FILE *out)
{
    print_machine(r, out);
    if (r->row_count) {
        print_speeds(r, out);
        print_lives(r, out);
        print_overhead(r, out);
    }
    if (r->sample_count) print_samples(r, out);
    print_spent_head(out);
    for (unsigned i = 0; i < r->row_count; i++) {
        co_account_report all = bench_account(&r->rows[i]);
        print_spent(bench_kind_name(r, r->rows[i].kind), r->rows[i].workers, &all, out);
    }
    if (r->sample_count) {
        co_account_report all = bench_steady_account(r);
        print_spent("steady load", r->samples[r->sample_count - 1].workers, &all, out);
    }
    fprintf(out, "\naccounting error: %.3f %% at most (sum of the categories less threads x time)\n", 100 * bench_worst_error(r));
    print_warnings(r, out);
}
