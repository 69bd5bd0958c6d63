/* What the files of the HTML report share. */
#ifndef CLI_BENCH_HTML_H
#define CLI_BENCH_HTML_H

#include "cli/bench.h"

extern const char bench_style[]; /* the style sheet */

void html_text(FILE *out, const char *text); /* escaped */

/* Charts: inline SVG of their own size, coloured by the style sheet's classes (k0..: categories, s0..: kinds of clusters). */
void chart_speedup(FILE *out, const bench_result *r);
void chart_spent(FILE *out, const bench_result *r);
void chart_latency(FILE *out, const char *name, const co_account_report *all);
void chart_steady(FILE *out, const bench_result *r);

/* A round number >= value that makes a good axis, and how many steps it has. */
double chart_top(double value, unsigned *steps);

#endif
