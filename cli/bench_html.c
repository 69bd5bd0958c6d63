/* The report: one HTML file without anything from elsewhere, that one can put on a projector or print. Charts: bench_charts.c; style: bench_style.c. */
#include "cli/bench_html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HISTOGRAMS_MOST = 8 };

void html_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<') fputs("&lt;", out);
        else if (*text == '>') fputs("&gt;", out);
        else if (*text == '&') fputs("&amp;", out);
        else if (*text == '"') fputs("&quot;", out);
        else (void)fputc(*text, out);
    }
}

static const char *scene_name(const bench_result *r)
{
    const char *slash = strrchr(r->scene, '/');
    return slash && slash[1] ? slash + 1 : r->scene;
}

/* The row that a headline is about: the most threads that the machine has CPUs for. */
static const bench_row *best_row(const bench_result *r)
{
    const bench_row *best = NULL;
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i];
        if (bench_oversubscribed(r, row) && best) continue;
        if (!best || row->threads > best->threads || bench_oversubscribed(r, best)) best = row;
    }
    return best;
}

static void head_line(FILE *out, const bench_result *r, const bench_row *best)
{
    if (r->sample_count) {
        co_account_report all = bench_steady_account(r);
        fprintf(out, "<b>%.1f</b> million rays a second, for %g %s", all.wall_us ? (double)all.rays / (double)all.wall_us : 0,
            r->steady_s >= 120 ? round(r->steady_s / 6) / 10 : r->steady_s,
                r->steady_s >= 120 ? "minutes" : "seconds");
        return;
    }
    const bench_row *base = bench_base(r, best);
    bench_spread s = bench_speedup(best, base);
    if (r->null) {
        co_account_report all = bench_account(best);
        fprintf(out, "<b>%.0f</b> tiles a second, %.0f µs of the coordinator for each", all.wall_us ? (double)all.tiles * 1e6 / (double)all.wall_us : 0,
            all.tiles ? (double)all.cpu_us / (double)all.tiles : 0);
    } else if (best == base) {
        fprintf(out, "<b>%.1f</b> million rays a second from %u %s", bench_rays_per_s(best).median * 1e-6, best->workers, best->workers == 1 ? "worker" : "workers");
    } else {
        fprintf(out, "%u workers, <b>%.2f×</b> as fast as %u", best->workers, s.median, base->workers);
    }
}

static void head(FILE *out, const bench_result *r, const bench_row *best)
{
    char when[64] = "";
    time_t at = (time_t)r->when;
    struct tm utc;
    if (gmtime_r(&at, &utc)) (void)strftime(when, sizeof when, "%e %B %Y, %H:%M UTC", &utc);
    fputs("<header><p class=\"kicker\">mobyray cluster benchmark</p><h1>", out);
    head_line(out, r, best);
    fputs("</h1><p class=\"sub\">", out);
    html_text(out, scene_name(r));
    fprintf(out, " at %u × %u pixels, %u samples each, on ", r->picture.width, r->picture.height, r->picture.spp);
    html_text(out, r->machine.cpu);
    fprintf(out, " (%u CPU%s).", r->machine.cpus, r->machine.cpus == 1 ? "" : "s");
    if (r->repeat) fprintf(out, " Medians of %u interleaved rounds, after warm-up.", r->repeat);
    fprintf(out, " %s</p></header>", when);
}

static void figure(FILE *out, const char *format, double value, const char *unit, const char *what)
{
    fputs("<div><b>", out);
    (void)fprintf(out, format, value); /* NOLINT(clang-diagnostic-format-nonliteral): ours, below */
    fprintf(out, "<small>%s</small></b><span>%s</span></div>", unit, what);
}

static void time_figure(FILE *out, double seconds, const char *what)
{
    if (seconds < 0) return;
    if (seconds < 1) figure(out, "%.1f", seconds * 1e3, "ms", what);
    else figure(out, "%.2f", seconds, "s", what);
}

static void figures(FILE *out, const bench_result *r, const bench_row *best)
{
    co_account_report all = best ? bench_account(best) : bench_steady_account(r);
    fputs("<div class=\"figures\">", out);
    if (best) {
        const bench_row *base = bench_base(r, best);
        if (best != base) figure(out, "%.0f", 100 * bench_speedup(best, base).median * base->threads / best->threads, "%", "parallel efficiency");
        if (!r->null) figure(out, "%.1f", bench_rays_per_s(best).median * 1e-6, "M", "rays a second");
    }
    if (!r->null) figure(out, "%.1f", 100 * bench_share(&all, CO_SPENT_TRACING), "%", "of the threads' time traced rays");
    time_figure(out, co_latency_us(&all, 0.5) * 1e-6, "tile latency, median");
    time_figure(out, co_latency_us(&all, 0.99) * 1e-6, "tile latency, 99th percentile");
    if (best) time_figure(out, best->life.join_s, "from starting a worker to its first tile");
    if (r->sample_count) {
        figure(out, "%.1f", all.wall_us ? (double)all.rays / (double)all.wall_us : 0, "M", "rays a second");
        figure(out, "%.0f", all.joins, "", "workers joined");
        figure(out, "%.0f", all.losses, "", "workers lost");
    }
    figure(out, "%.0f", all.tiles ? (double)all.cpu_us / (double)all.tiles : 0, "µs", "of the coordinator a tile");
    figure(out, "%.3f", 100 * bench_worst_error(r), "%", "accounting error");
    fputs("</div>", out);
}

static void warnings(FILE *out, const bench_result *r)
{
    int over = 0;
    for (unsigned i = 0; i < r->row_count; i++) over |= bench_oversubscribed(r, &r->rows[i]);
    int few = r->row_count && r->repeat < 3, busy = r->machine.load > 0.5 * r->machine.cpus;
    if (!over && !few && !busy) return;
    fputs("<div class=\"warn\" role=\"note\">", out);
    if (over) fprintf(out, "<p>Some clusters had more tracer threads than the %u CPUs: what workers add beyond them is not to be seen on this machine.</p>",
        r->machine.cpus);
    if (few) fputs("<p>Fewer than three rounds: the spread cannot be told.</p>", out);
    if (busy) fprintf(out, "<p>The machine was not idle before the measurement (load %.2f).</p>", r->machine.load);
    fputs("</div>", out);
}

static void legend_spent(FILE *out)
{
    fputs("<ul class=\"legend\">", out);
    for (int k = 0; k < CO_SPENT_KINDS; k++) fprintf(out, "<li><i class=\"k%db\"></i>%s</li>", k, bench_spent_label(k));
    fputs("</ul>", out);
}

static void legend_kinds(FILE *out, const bench_result *r)
{
    unsigned kinds = 0;
    for (unsigned i = 0; i < r->row_count; i++) kinds |= 1u << r->rows[i].kind;
    if (!(kinds & (kinds - 1))) return;
    fputs("<ul class=\"legend\">", out);
    for (int k = 0; k < BENCH_KINDS; k++)
        if (kinds & 1u << k) fprintf(out, "<li><i class=\"s%db\"></i>%s</li>", k, bench_kind_name(r, k));
    fputs("</ul>", out);
}

static void cell_time(FILE *out, double seconds)
{
    if (seconds < 0) fputs("<td>–</td>", out);
    else if (seconds < 1) fprintf(out, "<td>%.1f ms</td>", seconds * 1e3);
    else fprintf(out, "<td>%.2f s</td>", seconds);
}

static void cell_spread(FILE *out, const char *unit, bench_spread s)
{
    fprintf(out, "<td>%.2f%s<small>%.2f – %.2f</small></td>", s.median, unit, s.least, s.greatest);
}

static void table(FILE *out, const bench_result *r)
{
    fputs("<section><h2>The figures</h2><p>Medians, with the least and the greatest of all rounds below.</p><div "
        "class=\"scroll\"><table><thead><tr><th>cluster</th><th>seconds</th>"
          "<th>speed-up</th><th>efficiency</th><th>Mrays/s</th><th>tile</th><th>first tile</th><th>join</th><th>drain</th><th>CPU a "
          "tile</th><th>redone</th></tr></thead><tbody>", out);
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i], *base = bench_base(r, row);
        co_account_report all = bench_account(row);
        bench_spread speedup = bench_speedup(row, base), rays = bench_rays_per_s(row);
        uint64_t redone = 0;
        char name[BENCH_TEXT];
        for (unsigned k = 0; k < row->count; k++) redone += row->runs[k].tiles_redone;
        bench_row_name(r, row, name);
        fprintf(out, "<tr><td>%s</td>", name);
        cell_spread(out, "", bench_seconds(row));
        cell_spread(out, "×", speedup);
        fprintf(out, "<td>%.1f %%</td>", 100 * speedup.median * base->threads / row->threads);
        cell_spread(out, "", (bench_spread){rays.median * 1e-6, rays.least * 1e-6, rays.greatest * 1e-6});
        fprintf(out, "<td>%.1f ms<small>p99 %.1f ms</small></td>", co_latency_us(&all, 0.5) * 1e-3, co_latency_us(&all, 0.99) * 1e-3);
        cell_time(out, row->life.start_s);
        cell_time(out, row->life.join_s);
        cell_time(out, row->life.drain_s);
        fprintf(out, "<td>%.1f µs</td><td>%llu</td></tr>", all.tiles ? (double)all.cpu_us / (double)all.tiles : 0, (unsigned long long)redone);
    }
    fputs("</tbody></table></div></section>", out);
}

static void spent(FILE *out, const bench_result *r)
{
    fputs("<section><h2>Where the time went</h2><p>Every thread's every moment, from the workers' clocks and the coordinator's own. The thin bar is all of it; "
        "below, enlarged, what was not tracing.</p>", out);
    legend_spent(out);
    chart_spent(out, r);
    fputs("</section>", out);
}

static void latencies(FILE *out, const bench_result *r)
{
    char name[BENCH_TEXT];
    fputs("<section><h2>How long a tile takes</h2><p>From its assignment to its result, waiting in the worker's hand included. The scale is "
        "logarithmic.</p><div class=\"two\">", out);
    for (unsigned i = r->row_count > HISTOGRAMS_MOST ? r->row_count - HISTOGRAMS_MOST : 0; i < r->row_count; i++) {
        co_account_report all = bench_account(&r->rows[i]);
        bench_row_name(r, &r->rows[i], name);
        chart_latency(out, name, &all);
    }
    if (r->sample_count) {
        co_account_report all = bench_steady_account(r);
        chart_latency(out, "steady load", &all);
    }
    fputs("</div></section>", out);
}

static void entry(FILE *out, const char *what, const char *value)
{
    if (!value[0]) return;
    fprintf(out, "<dt>%s</dt><dd>", what);
    html_text(out, value);
    fputs("</dd>", out);
}

static void machine(FILE *out, const bench_result *r)
{
    const bench_machine *m = &r->machine;
    char text[4 * BENCH_TEXT];
    fputs("<section><h2>The machine</h2><dl>", out);
    entry(out, "Processor", m->cpu);
    (void)snprintf(text, sizeof text, m->quota ? "%u of %u, a quota of %u" : "%u of %u, no quota", m->cpus, m->online, m->quota);
    entry(out, "CPUs", text);
    (void)snprintf(text, sizeof text, "%.1f GB", m->memory_gb);
    entry(out, "Memory", text);
    entry(out, "System", m->os);
    entry(out, "Engine", m->engine);
    entry(out, "Ray kernel", m->kernel);
    (void)snprintf(text, sizeof text, "%s %s; %s", m->version, m->commit, m->compiler);
    entry(out, "mobyray", text);
    (void)snprintf(text, sizeof text, "%s, pack %.16s…", r->scene, r->scene_hash);
    entry(out, "Scene", text);
    (void)snprintf(text, sizeof text, "%.2f", m->load);
    entry(out, "Load before", text);
    fputs("</dl></section>", out);
}

static void page(FILE *out, const bench_result *r)
{
    const bench_row *best = best_row(r);
    fputs("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\"><title>mobyray benchmark: ", out);
    html_text(out, scene_name(r));
    fprintf(out, "</title><style>%s</style></head><body><main>", bench_style);
    head(out, r, best);
    warnings(out, r);
    figures(out, r, best);
    if (r->row_count > 1) {
        fputs("<section><h2>What more workers add</h2><p>Speed-up over the smallest cluster, within each round: the median and the spread.</p>", out);
        legend_kinds(out, r);
        chart_speedup(out, r);
        fputs("</section>", out);
    }
    if (r->sample_count) {
        fputs("<section><h2>Over time</h2><p>A steady load: two jobs are always under way, workers come and go as they like.</p>", out);
        legend_spent(out);
        chart_steady(out, r);
        fputs("</section>", out);
    }
    spent(out, r);
    latencies(out, r);
    if (r->row_count) table(out, r);
    machine(out, r);
    fputs("<footer>Speed-up: seconds of the smallest cluster over these, of the same round. Efficiency: speed-up over threads. Accounting error: the sum of "
        "all categories less threads × time, the worst of "
          "any run. Made by <code>mobyray bench --html</code>; every figure is explained in docs/BENCH.md.</footer></main></body></html>\n", out);
}

int bench_html(const bench_result *r, const char *path, mr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (!r->row_count && !r->sample_count) return mr_fail(err, MR_BAD_INPUT, "%s: there is nothing to report", path);
    FILE *out = open_memstream(&text, &size);
    if (!out) return mr_fail(err, MR_FAILED, "%s: out of memory", path);
    page(out, r);
    int status = fclose(out) == 0 && text ? cli_write_file(path, text, err) : mr_fail(err, MR_FAILED, "%s: out of memory", path);
    free(text);
    return status;
}
