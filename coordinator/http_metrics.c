/* /metrics: the board in Prometheus' text exposition format. docs/METRICS.md lists it; tests/cluster/test_metrics.py has promtool check it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/http_internal.h"

static const char *const state_names[CO_WORKER_STATES] = { [CO_WORKER_IDLE] = "idle", [CO_WORKER_BUSY] = "busy", [CO_WORKER_RESTING] = "resting",
                                                           [CO_WORKER_DRAINING] = "draining", [CO_WORKER_LOST] = "lost", [CO_WORKER_LEFT] = "left",
                                                           [CO_WORKER_REFUSED] = "refused" };
static const char *const redo_names[CO_REDO_CAUSES] = { [CO_REDO_LOST] = "lost", [CO_REDO_LEFT] = "left", [CO_REDO_RETURNED] = "returned",
                                                        [CO_REDO_FAILED] = "failed", [CO_REDO_DISTRUSTED] = "distrusted" };

static void head(co_text *t, const char *name, const char *type, const char *help)
{
    co_text_format(t, "# HELP mobyray_%s %s\n# TYPE mobyray_%s %s\n", name, help, name, type);
}

static void one(co_text *t, const char *name, const char *type, const char *help, uint64_t value)
{
    head(t, name, type, help);
    co_text_format(t, "mobyray_%s %llu\n", name, (unsigned long long)value);
}

static void labelled(co_text *t, const char *name, const char *label, const char *which, uint64_t value)
{
    co_text_format(t, "mobyray_%s{%s=\"%s\"} %llu\n", name, label, which, (unsigned long long)value);
}

/* A label's value: our own version and commit, but somebody built them. */
static void add_label(co_text *t, const char *name, const char *value)
{
    co_text_format(t, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"') co_text_add(t, "\\", 1);
        if ((unsigned char)*value >= 32) co_text_add(t, value, 1);
    }
    co_text_add(t, "\"", 1);
}

static void write_build(co_text *t, const co_board_totals *now)
{
    head(t, "build_info", "gauge", "The program that serves these figures; always 1.");
    co_text_format(t, "mobyray_build_info{");
    add_label(t, "version", now->version ? now->version : "");
    co_text_add(t, ",", 1);
    add_label(t, "commit", now->commit ? now->commit : "");
    co_text_format(t, ",protocol=\"%d\"} 1\n", WIRE_VERSION);
    one(t, "ready", "gauge", "1 while the coordinator takes work.", now->ready != 0);
}

static void write_workers(co_text *t, const co_board_totals *now)
{
    head(t, "workers", "gauge", "Workers that are here, by state.");
    for (int s = CO_WORKER_IDLE; s <= CO_WORKER_DRAINING; s++) labelled(t, "workers", "state", state_names[s], now->workers_by_state[s]);
    one(t, "workers_joined_total", "counter", "Workers that have joined.", now->joined);
    head(t, "workers_gone_total", "counter", "Workers that have gone, by how.");
    for (int s = CO_WORKER_LOST; s <= CO_WORKER_REFUSED; s++) labelled(t, "workers_gone_total", "how", state_names[s], now->gone[s]);
    one(t, "worker_threads", "gauge", "Threads of the workers that are here.", now->threads);
    one(t, "worker_threads_busy", "gauge", "Threads of the workers that have work in hand.", now->busy_threads);
    if (now->has_desired) one(t, "desired_workers", "gauge", "Workers that the coordinator wants.", now->desired);
}

static void write_tiles(co_text *t, const co_board_totals *now)
{
    one(t, "tiles_queued", "gauge", "Tiles that are not in and in nobody's hands.", now->tiles_queued);
    one(t, "tiles_in_flight", "gauge", "Tiles in workers' hands.", now->in_flight);
    one(t, "tiles_done_total", "counter", "Tiles that are in.", now->tiles_done);
    head(t, "tiles_redone_total", "counter", "Tiles that went back to the queue, by cause.");
    for (int c = 0; c < CO_REDO_CAUSES; c++) labelled(t, "tiles_redone_total", "cause", redo_names[c], now->redone[c]);
    one(t, "results_late_total", "counter", "Results that came when nobody needed them any more.", now->late_results);
    one(t, "rays_total", "counter", "Rays traced, of results that counted.", now->rays);
    one(t, "samples_total", "counter", "Camera samples, of results that counted.", now->samples);
}

static void write_tile_seconds(co_text *t, const co_board_totals *now)
{
    uint64_t sum = 0;
    head(t, "tile_seconds", "histogram", "Time that a tile took its worker, of results that counted.");
    for (int b = 0; b < CO_TILE_BUCKETS - 1; b++) {
        sum += now->tile_bucket[b];
        co_text_format(t, "mobyray_tile_seconds_bucket{le=\"%g\"} %llu\n", co_tile_bucket_s[b], (unsigned long long)sum);
    }
    sum += now->tile_bucket[CO_TILE_BUCKETS - 1];
    co_text_format(t, "mobyray_tile_seconds_bucket{le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    co_text_format(t, "mobyray_tile_seconds_sum %.6f\nmobyray_tile_seconds_count %llu\n", (double)now->busy_us * 1e-6, (unsigned long long)sum);
}

static void write_jobs(co_text *t, const co_board_totals *now)
{
    head(t, "jobs", "gauge", "Jobs that have not ended, by state.");
    labelled(t, "jobs", "state", "queued", now->jobs_queued);
    labelled(t, "jobs", "state", "running", now->jobs_running);
    head(t, "jobs_ended_total", "counter", "Jobs that have ended, by how.");
    labelled(t, "jobs_ended_total", "how", "done", now->jobs_ended[CO_JOB_DONE]);
    labelled(t, "jobs_ended_total", "how", "failed", now->jobs_ended[CO_JOB_FAILED]);
    labelled(t, "jobs_ended_total", "how", "cancelled", now->jobs_ended[CO_JOB_CANCELLED]);
}

static void write_traffic(co_text *t, const co_board_totals *now)
{
    one(t, "received_bytes_total", "counter", "Bytes from workers and clients.", now->bytes_in);
    one(t, "sent_bytes_total", "counter", "Bytes to workers and clients.", now->bytes_out);
    one(t, "strangers_total", "counter", "Connections turned away: no valid key, or another protocol.", now->strangers);
    one(t, "refused_versions_total", "counter", "Hellos of workers of another protocol version, which were told so.", now->refused_versions);
}

/* ---- the process, by the names that Prometheus' own clients use ---- */

static void process(co_text *t, const char *name, const char *type, const char *help, double value)
{
    co_text_format(t, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", name, help, name, type, name, value);
}

static double open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = -3; /* . and .. and this folder's own */
    if (!folder) return 0;
    while (readdir(folder)) count++;
    (void)closedir(folder);
    return count > 0 ? count : 0;
}

/* Seconds since 1970 at which this process began: its age by the clock that counts since the machine's boot. 0: not known. */
static double started_s(void)
{
    char line[1024];
    unsigned long long ticks = 0;
    struct timespec wall, boot;
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file) return 0;
    size_t length = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[length] = 0;
    const char *after_name = strrchr(line, ')');
    for (int field = 2; after_name && field < 22; field++) after_name = strchr(after_name + 1, ' ');
    if (after_name) ticks = strtoull(after_name, NULL, 10);
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    return ticks ? (double)wall.tv_sec - (double)boot.tv_sec + 1e-9 * (double)(wall.tv_nsec - boot.tv_nsec) + (double)ticks / (double)sysconf(_SC_CLK_TCK) : 0;
}

static void write_memory(co_text *t)
{
    char line[256], *rest;
    FILE *file = fopen("/proc/self/statm", "r");
    int read = file && fgets(line, sizeof line, file);
    if (file) (void)fclose(file);
    if (!read) return;
    unsigned long pages = strtoul(line, &rest, 10), resident = strtoul(rest, NULL, 10);
    process(t, "virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (double)pages * (double)sysconf(_SC_PAGESIZE));
    process(t, "resident_memory_bytes", "gauge", "Resident memory size in bytes.", (double)resident * (double)sysconf(_SC_PAGESIZE));
}

static double seconds(struct timeval v) { return (double)v.tv_sec + 1e-6 * (double)v.tv_usec; }

static void write_process(co_text *t)
{
    struct rusage used;
    struct rlimit files;
    if (!getrusage(RUSAGE_SELF, &used))
        process(t, "cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", seconds(used.ru_utime) + seconds(used.ru_stime));
    write_memory(t);
    process(t, "open_fds", "gauge", "Number of open file descriptors.", open_descriptors());
    if (!getrlimit(RLIMIT_NOFILE, &files)) process(t, "max_fds", "gauge", "Maximum number of open file descriptors.", (double)files.rlim_cur);
    double start_s = started_s();
    if (start_s > 0) process(t, "start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", start_s);
}

void co_http_metrics(co_text *t, co_board *board)
{
    co_board_totals now;
    co_board_totals_now(board, &now);
    write_build(t, &now);
    write_workers(t, &now);
    write_tiles(t, &now);
    write_tile_seconds(t, &now);
    write_jobs(t, &now);
    write_traffic(t, &now);
    write_process(t);
}
