#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "worker/cpus.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bench_stat bench_stats(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return (bench_stat){(values[count / 2] + values[(count - 1) / 2]) / 2, values[0], values[count - 1]};
}

bench_stat bench_quartiles(double *values, unsigned count)
{
    bench_stat s = bench_stats(values, count);
    return (bench_stat){s.median, values[(count - 1) / 4], values[count - 1 - (count - 1) / 4]};
}

bench_fit bench_fit_line(const double *x, const double *y, unsigned count)
{
    double n = count, sx = 0, sy = 0, sxx = 0, sxy = 0, squares = 0;
    for (unsigned i = 0; i < count; i++) {
        sx += x[i];
        sy += y[i];
        sxx += x[i] * x[i];
        sxy += x[i] * y[i];
    }
    double spread = n * sxx - sx * sx, b = spread > 0 ? (n * sxy - sx * sy) / spread : 0, a = (sy - b * sx) / n;
    for (unsigned i = 0; i < count; i++) squares += (y[i] - a - b * x[i]) * (y[i] - a - b * x[i]);
    return (bench_fit){a, b, sqrt(squares / n)};
}

cJSON *bench_head(const char *title, const char *kernel)
{
    char cpu[128];
    struct utsname os;
    cJSON *json = cJSON_CreateObject();
    cli_cpu_name(cpu);
    (void)uname(&os);
    printf("%s\n%s, %u of %ld CPUs, kernel %s, %s %s, mobyray %s %s, %s; kernels: %s\n", title, cpu, wk_cpu_count(),
           sysconf(_SC_NPROCESSORS_ONLN), kernel, os.sysname, os.release, cli_version, cli_commit, cli_compiler,
           cli_kernel_compiler);
    (void)fflush(stdout);
    (void)cJSON_AddStringToObject(json, "title", title);
    (void)cJSON_AddStringToObject(json, "cpu", cpu);
    (void)cJSON_AddNumberToObject(json, "cpus", wk_cpu_count());
    (void)cJSON_AddStringToObject(json, "kernel", kernel);
    (void)cJSON_AddStringToObject(json, "version", cli_version);
    (void)cJSON_AddStringToObject(json, "commit", cli_commit);
    (void)cJSON_AddStringToObject(json, "compiler", cli_compiler);
    (void)cJSON_AddStringToObject(json, "kernel_compiler", cli_kernel_compiler);
    return json;
}

void bench_json_stat(cJSON *object, const char *name, bench_stat stat)
{
    (void)cJSON_AddItemToObject(object, name,
                                cJSON_CreateDoubleArray((const double[3]){stat.median, stat.least, stat.greatest}, 3));
}

int bench_save(cJSON *json, const char *path, mr_error *err)
{
    char *text = path ? cJSON_Print(json) : NULL;
    cJSON_Delete(json);
    if (!path) return MR_OK;
    int status = text ? cli_write_file(path, text, err) : mr_fail(err, MR_FAILED, "%s: out of memory", path);
    free(text);
    return status;
}

int bench_main(int argc, char **argv, const char *summary, const arg_option *options, int (*run)(mr_error *err))
{
    mr_error err = {.text = ""};
    arg_result args;
    int status = args_parse(options, argc - 1, argv + 1, 0, &args, &err);
    if (status == MR_OK && args.help) {
        printf("%s\n\n", summary);
        args_print(options, stdout);
        return MR_OK;
    }
    if (status == MR_OK) status = run(&err);
    if (status != MR_OK) fprintf(stderr, "%s: %s\n", argv[0], err.text);
    return status;
}
