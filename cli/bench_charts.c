/* The report's charts of a scaling benchmark: speed-up, where the time went, tile latency. Coordinates are SVG units; the style sheet gives the colours. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench_html.h"

enum { WIDE = 1040 };

double chart_top(double value, unsigned *steps)
{
    static const double rounds[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
    static const unsigned parts[] = {5, 3, 4, 5, 3, 4, 5, 6, 4, 5};
    double unit = value > 0 ? pow(10, floor(log10(value))) : 1;
    for (unsigned i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        if (rounds[i] * unit < value * 0.9999) continue;
        *steps = parts[i];
        return rounds[i] * unit;
    }
    *steps = 5;
    return 10 * unit;
}

/* ---- speed-up ---- */

typedef struct plane { /* a chart's axes */
    double left, right, top, bottom, x_most, y_most;
} plane;

static double px(const plane *p, double x) { return p->left + (p->right - p->left) * x / p->x_most; }
static double py(const plane *p, double y) { return p->bottom - (p->bottom - p->top) * y / p->y_most; }

static void speedup_axes(FILE *out, const bench_result *r, const plane *p, unsigned steps, const uint32_t *threads, unsigned count)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < count; i++) most = threads[i] > most ? threads[i] : most;
    if (r->machine.cpus < most && r->machine.cpus) {
        double from = px(p, r->machine.cpus);
        fprintf(out, "<rect class=\"beyond\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", from, p->top, p->right - from, p->bottom - p->top);
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">more threads than the %u CPUs</text>", from + 12, p->top + 22, r->machine.cpus);
    }
    for (unsigned i = 0; i <= steps; i++) {
        double value = p->y_most * i / steps, y = py(p, value);
        fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g×</text>",
            p->left, p->right, y, y,
                p->left - 10, y + 4, round(value * 100) / 100);
    }
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%u</text>", px(p, threads[i]), p->bottom + 22, threads[i]);
    fprintf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">tracer threads of "
        "all workers</text>", p->left,
            p->right, p->bottom, p->bottom, (p->left + p->right) / 2, p->bottom + 46);
}

static void speedup_series(FILE *out, const bench_result *r, const plane *p, int kind, double shift)
{
    fprintf(out, "<polyline class=\"line s%d\" points=\"", kind);
    for (unsigned i = 0; i < r->row_count; i++)
        if (r->rows[i].kind == kind) fprintf(out, "%.1f,%.1f ", px(p, r->rows[i].threads) + shift,
            py(p, bench_speedup(&r->rows[i], bench_base(r, &r->rows[i])).median));
    fputs("\"/>", out);
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i];
        if (row->kind != kind) continue;
        bench_spread s = bench_speedup(row, bench_base(r, row));
        double x = px(p, row->threads) + shift, y = py(p, s.median), low = py(p, s.least), high = py(p, s.greatest);
        fprintf(out, "<g class=\"s%d\"><line class=\"whisker\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", kind, x, x, low, high);
        for (unsigned end = 0; end < 2; end++)
            fprintf(out, "<line class=\"whisker\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x - 6, x + 6, end ? high : low, end ? high : low);
        fprintf(out, "<circle class=\"halo\" cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\"/></g>", x, y);
        if (row != bench_base(r, row))
            fprintf(out, "<text class=\"strong\" x=\"%.1f\" y=\"%.1f\"%s>%.2f×</text>", x + (shift < 0 ? -11 : 11), y + 24,
                shift < 0 ? " text-anchor=\"end\"" : "", s.median);
    }
}

void chart_speedup(FILE *out, const bench_result *r)
{
    uint32_t threads[BENCH_ROWS_MOST], most = 1, least = UINT32_MAX;
    unsigned count = 0, steps, kinds = 0, seen = 0;
    double top = 1;
    for (unsigned i = 0; i < r->row_count; i++) {
        const bench_row *row = &r->rows[i];
        unsigned known = 0;
        for (unsigned k = 0; k < count; k++) known |= threads[k] == row->threads;
        if (!known) threads[count++] = row->threads;
        if (row->threads > most) most = row->threads;
        if (row->threads < least) least = row->threads;
        top = fmax(top, bench_speedup(row, bench_base(r, row)).greatest);
        if (!(kinds & 1u << row->kind)) seen++;
        kinds |= 1u << row->kind;
    }
    top = fmax(top, (double)most / least);
    plane p = {64, WIDE - 24, 18, 378, most * 1.08, chart_top(top, &steps)};
    fprintf(out, "<div class=\"chart\"><svg viewBox=\"0 0 %d 432\" role=\"img\" aria-label=\"Speed-up against the number of threads, beside the ideal\">", WIDE);
    speedup_axes(out, r, &p, steps, threads, count);
    double reach = fmin(p.x_most, p.y_most * least);
    fprintf(out, "<line class=\"ideal\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">ideal</text>",
        px(&p, 0), py(&p, 0), px(&p, reach),
            py(&p, reach / least), px(&p, reach * 0.8) - 10, py(&p, reach * 0.8 / least) - 6);
    for (int kind = 0, n = 0; kind < BENCH_KINDS; kind++)
        if (kinds & 1u << kind) speedup_series(out, r, &p, kind, seen > 1 ? n++ * 14 - 7 : 0);
    fputs("</svg></div>", out);
}

/* ---- where the time went ---- */

static double lost_share(const co_account_report *all)
{
    double lost = 0;
    for (int k = 1; k < CO_SPENT_KINDS; k++) lost += bench_share(all, k);
    return lost;
}

static void bar(FILE *out, const co_account_report *all, int from, double x, double y, double width, double height, double scale, int labels)
{
    for (int k = from; k < CO_SPENT_KINDS; k++) {
        double wide = width * bench_share(all, k) / scale;
        if (wide <= 0.05) continue;
        fprintf(out, "<rect class=\"k%d\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>%s: %.2f %%</title></rect>", k, x, y, wide, height,
            bench_spent_label(k), 100 * bench_share(all, k));
        if (labels && wide > 112) fprintf(out, "<text class=\"in on%d\" x=\"%.1f\" y=\"%.1f\">%s %.1f %%</text>", k, x + 8, y + height / 2 + 5,
            bench_spent_label(k), 100 * bench_share(all, k));
        x += wide;
    }
}

typedef struct spent_row {
    char name[BENCH_TEXT];
    co_account_report all;
} spent_row;

static unsigned spent_rows(const bench_result *r, spent_row rows[BENCH_ROWS_MOST + 1])
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->row_count; i++) {
        bench_row_name(r, &r->rows[i], rows[count].name);
        rows[count++].all = bench_account(&r->rows[i]);
    }
    if (r->sample_count) {
        (void)snprintf(rows[count].name, sizeof rows[count].name, "steady load");
        rows[count++].all = bench_steady_account(r);
    }
    return count;
}

/* Two bars a row: all of the time, and below it the lost part alone, enlarged. */
void chart_spent(FILE *out, const bench_result *r)
{
    static spent_row rows[BENCH_ROWS_MOST + 1];
    unsigned count = spent_rows(r, rows), steps;
    double most = 0.001, left = 150, width = WIDE - 150 - 24;
    for (unsigned i = 0; i < count; i++) most = fmax(most, lost_share(&rows[i].all));
    double scale = chart_top(most, &steps), height = 74.0 * count;
    fprintf(out, "<div class=\"chart\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"Shares of the threads' time by category\">", WIDE, height + 40);
    for (unsigned i = 0; i <= steps; i++) {
        double x = left + width * i / steps;
        fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g %%</text>", x,
            x, height, x, height + 20, 100 * scale * i / steps);
    }
    fprintf(out, "<text x=\"0\" y=\"%.1f\">lost, enlarged</text>", height + 20);
    for (unsigned i = 0; i < count; i++) {
        double y = 74.0 * i + 4;
        fprintf(out, "<text class=\"title\" x=\"0\" y=\"%.1f\">%s</text><text x=\"0\" y=\"%.1f\">%.1f %% tracing</text>", y + 18, rows[i].name, y + 38,
            100 * bench_share(&rows[i].all, 0));
        bar(out, &rows[i].all, 0, left, y, width, 12, 1, 0);
        bar(out, &rows[i].all, 1, left, y + 16, width, 36, scale, 1);
    }
    fputs("</svg></div>", out);
}

/* ---- tile latency ---- */

static void latency_axis(FILE *out, const plane *p, unsigned first, unsigned last)
{
    static const struct {
        double us;
        const char *text;
    } marks[] = {{100, "0.1 ms"}, {1e3, "1 ms"}, {1e4, "10 ms"}, {1e5, "0.1 s"}, {1e6, "1 s"}};
    fprintf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", p->left, p->right, p->bottom, p->bottom);
    for (unsigned i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        double bin = CO_LATENCY_OCTAVE * log2(marks[i].us / CO_LATENCY_LEAST_US);
        if (bin < first || bin > last) continue;
        double x = px(p, bin - first);
        fprintf(out, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x,
            x, p->bottom, p->bottom + 5, x,
                p->bottom + 22, marks[i].text);
    }
}

static void latency_mark(FILE *out, const plane *p, unsigned first, double us, const char *name, int below) /* below: the later of the two */
{
    char text[32];
    double x = px(p, fmax(0, CO_LATENCY_OCTAVE * log2(us / CO_LATENCY_LEAST_US) - first));
    int left = !below || x > p->right - 90;
    (void)snprintf(text, sizeof text, us < 1e6 ? "%.1f ms" : "%.2f s", us < 1e6 ? us * 1e-3 : us * 1e-6);
    fprintf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"strong\" x=\"%.1f\" y=\"%.1f\"%s>%s %s</text>", x, x,
        p->top - 20, p->bottom, x + (left ? -6 : 6),
            p->top - 9, left ? " text-anchor=\"end\"" : "", name, text);
}

/* Of few tiles, several neighbouring bins make one bar. */
static unsigned bar_bins(double tiles) { return tiles < 300 ? 4 : tiles < 3000 ? 2 : 1; }

static uint32_t bar_count(const co_account_report *all, unsigned at, unsigned bins)
{
    uint32_t count = 0;
    for (unsigned k = at; k < at + bins && k < CO_LATENCY_BINS; k++) count += all->latency[k];
    return count;
}

void chart_latency(FILE *out, const char *name, const co_account_report *all)
{
    unsigned first = CO_LATENCY_BINS, last = 0;
    uint32_t most = 0;
    double tiles = 0;
    for (unsigned k = 0; k < CO_LATENCY_BINS; k++) {
        if (all->latency[k] && k < first) first = k;
        if (all->latency[k]) last = k;
        tiles += all->latency[k];
    }
    if (tiles < 1) return;
    unsigned bins = bar_bins(tiles);
    first -= first % 8 + (first < 16 ? first - first % 8 : 8); /* whole octaves, and room for the marks */
    for (unsigned k = first; k <= last; k += bins) most = bar_count(all, k, bins) > most ? bar_count(all, k, bins) : most;
    const plane p = {4, 476, 52, 190, 1.27 * (last + bins - first), most};
    fputs("<svg viewBox=\"0 0 480 220\" role=\"img\" aria-label=\"Histogram of tile latency\"><text class=\"title\" x=\"0\" y=\"16\">", out);
    html_text(out, name);
    fprintf(out, "</text><text x=\"476\" y=\"16\" text-anchor=\"end\">%.0f tiles</text>", tiles);
    for (unsigned k = first; k <= last; k += bins) {
        uint32_t count = bar_count(all, k, bins);
        if (count)
            fprintf(out, "<rect class=\"plain\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", px(&p, k - first) + 0.5, py(&p, count),
                fmax(1, px(&p, bins) - p.left - 1), p.bottom - py(&p, count));
    }
    latency_axis(out, &p, first, first + (unsigned)p.x_most);
    latency_mark(out, &p, first, co_latency_us(all, 0.5), "p50", 0);
    latency_mark(out, &p, first, co_latency_us(all, 0.99), "p99", 1);
    fputs("</svg>", out);
}

/* ---- a steady load ---- */

static void panel_axis(FILE *out, const plane *p, unsigned steps, const char *title, const char *unit)
{
    fprintf(out, "<text class=\"title\" x=\"%.1f\" y=\"%.1f\">%s</text>", p->left, p->top - 12, title);
    for (unsigned i = 0; i <= steps; i++) {
        double value = p->y_most * i / steps, y = py(p, value);
        fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g%s</text>",
            p->left, p->right, y, y, p->left - 10, y + 4,
                round(value * 1000) / 1000, unit);
    }
}

static double rate(const bench_sample *s) { return s->account.wall_us ? (double)s->account.rays / (double)s->account.wall_us : 0; }

static void steady_shares(FILE *out, const bench_result *r, const plane *p)
{
    for (unsigned i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        double x = px(p, s->begin_s), wide = px(p, s->end_s) - x, y = p->bottom;
        for (int k = 0; k < CO_SPENT_KINDS; k++) {
            double high = (p->bottom - p->top) * fmin(1, bench_share(&s->account, k));
            if (high < 0.05) continue;
            y -= high;
            fprintf(out, "<rect class=\"k%d\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\"/>", k, x, y, fmax(0.5, wide - 0.8), high);
        }
    }
}

static void time_axis(FILE *out, const plane *p)
{
    unsigned steps;
    double top = chart_top(p->x_most, &steps), minutes = p->x_most > 300 ? 60 : 1;
    if (minutes > 1) top = 60 * chart_top(p->x_most / 60, &steps);
    for (unsigned i = 0; i <= steps && top * i / steps <= p->x_most * 1.001; i++)
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g %s</text>", px(p, top * i / steps), p->bottom + 22,
            round(10 * top * i / steps / minutes) / 10, minutes > 1 ? "min" : "s");
}

void chart_steady(FILE *out, const bench_result *r)
{
    unsigned rays_steps, workers_steps;
    double rays = 0.001, workers = 1, end = r->samples[r->sample_count - 1].end_s;
    for (unsigned i = 0; i < r->sample_count; i++) {
        rays = fmax(rays, rate(&r->samples[i]));
        workers = fmax(workers, r->samples[i].workers);
    }
    const plane one = {64, WIDE - 24, 34, 204, end, chart_top(rays, &rays_steps)}, two = {64, WIDE - 24, 252, 362, end, chart_top(workers, &workers_steps)},
                three = {64, WIDE - 24, 410, 530, end, 100};
    fprintf(out, "<div class=\"chart\"><svg viewBox=\"0 0 %d 564\" role=\"img\" aria-label=\"Rays a second, workers and shares of the time, over time\">", WIDE);
    panel_axis(out, &one, rays_steps, "million rays a second", "");
    for (unsigned i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        double x = px(&one, s->begin_s), y = py(&one, rate(s));
        fprintf(out, "<rect class=\"plain\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%.1f to %.1f s: %.2f Mrays/s, %u "
            "workers</title></rect>", x, y,
                fmax(0.5, px(&one, s->end_s) - x - 1), one.bottom - y, s->begin_s, s->end_s, rate(s), s->workers);
    }
    panel_axis(out, &two, workers_steps > workers ? (unsigned)workers : workers_steps, "workers", "");
    fputs("<polyline class=\"line s1\" points=\"", out);
    for (unsigned i = 0; i < r->sample_count; i++) {
        const bench_sample *s = &r->samples[i];
        fprintf(out, "%.1f,%.1f %.1f,%.1f ", px(&two, s->begin_s), py(&two, s->workers), px(&two, s->end_s), py(&two, s->workers));
    }
    fputs("\"/>", out);
    panel_axis(out, &three, 4, "where the threads' time went", " %");
    steady_shares(out, r, &three);
    time_axis(out, &three);
    fputs("</svg></div>", out);
}
