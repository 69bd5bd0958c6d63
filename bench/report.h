/* What the benchmarks report: medians with their spread, a fit, the machine, JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <cJSON.h>

#include "cli/args.h"

enum { BENCH_REPS_MAX = 99 };

typedef struct bench_stat {
    double median, least, greatest;
} bench_stat;

/* Of 1 <= count values, which it sorts. */
bench_stat bench_stats(double *values, unsigned count);
bench_stat bench_quartiles(double *values, unsigned count); /* the same, with the quartiles for least and greatest: where single values may be far off */

/* y = a + b x by least squares; rms: root of the mean squared residual. At least two different x, else b is 0. */
typedef struct bench_fit {
    double a, b, rms;
} bench_fit;
bench_fit bench_fit_line(const double *x, const double *y, unsigned count);

/* Prints a line about what is measured and one about the machine, kernel, compilers and commit; the same as a JSON object, to which
 * the caller adds its results and which bench_save frees. */
cJSON *bench_head(const char *title, const char *kernel);

void bench_json_stat(cJSON *object, const char *name, bench_stat stat); /* [median, least, greatest] */

/* Writes and frees the object. path NULL: only frees. */
int bench_save(cJSON *json, const char *path, mr_error *err);

/* A benchmark's main: parses the options (help included), runs, tells the error. Returns the exit code. */
int bench_main(int argc, char **argv, const char *summary, const arg_option *options, int (*run)(mr_error *err));

#endif
