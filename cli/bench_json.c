/* A benchmark's result as JSON, and back. Files are made by people and machines we do not know: every number that is read is checked. See docs/BENCH.md. */
#include <cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/json.h"
#include "cli/report.h"

enum { FORMAT = 1, FILE_MOST = 64 << 20 };
static const char kind_of_file[] = "mobyray-bench";

/* ---- writing ---- */

static void add(cJSON *to, const char *key, double value) { (void)cJSON_AddNumberToObject(to, key, value); }
static void add_text(cJSON *to, const char *key, const char *text) { (void)cJSON_AddStringToObject(to, key, text); }
static void add_known(cJSON *to, const char *key, double value)
{
    if (value >= 0) add(to, key, value);
    else (void)cJSON_AddNullToObject(to, key);
}

static void add_spread(cJSON *to, const char *key, bench_spread s)
{
    (void)cJSON_AddItemToObject(to, key, cJSON_CreateDoubleArray((const double[3]){s.median, s.least, s.greatest}, 3));
}

cJSON *report_account(const co_account_report *r)
{
    cJSON *json = cJSON_CreateObject(), *spent = cJSON_AddObjectToObject(json, "spent_s"), *bins = cJSON_AddArrayToObject(json, "latency");
    add(json, "wall_s", (double)r->wall_us * 1e-6);
    add(json, "thread_s", (double)r->present_us * 1e-6);
    for (int k = 0; k < CO_SPENT_KINDS; k++) add(spent, co_spent_name(k), (double)r->spent_us[k] * 1e-6);
    add(json, "error", co_account_error(r));
    add(json, "first_tile_s", (double)r->first_tile_us * 1e-6);
    add(json, "coordinator_cpu_s", (double)r->cpu_us * 1e-6);
    add(json, "tiles", (double)r->tiles);
    add(json, "rays", (double)r->rays);
    add(json, "bytes_in", (double)r->bytes_in);
    add(json, "bytes_out", (double)r->bytes_out);
    add(json, "pack_bytes", (double)r->pack_bytes);
    add(json, "joins", r->joins);
    add(json, "starts", r->starts);
    add(json, "join_s", (double)r->join_us * 1e-6);
    add(json, "join_most_s", (double)r->join_most_us * 1e-6);
    add(json, "drains", r->drains);
    add(json, "drain_s", (double)r->drain_us * 1e-6);
    add(json, "drain_most_s", (double)r->drain_most_us * 1e-6);
    add(json, "losses", r->losses);
    for (unsigned k = 0; k < CO_LATENCY_BINS; k++) (void)cJSON_AddItemToArray(bins, cJSON_CreateNumber(r->latency[k]));
    return json;
}

static cJSON *json_run(const bench_run *run)
{
    cJSON *json = cJSON_CreateObject();
    add(json, "round", run->round);
    add(json, "seconds", run->seconds);
    add(json, "rays", (double)run->rays);
    add(json, "samples", (double)run->samples);
    add(json, "tiles", (double)run->tiles);
    add(json, "tiles_redone", (double)run->tiles_redone);
    add(json, "result_bytes", (double)run->result_bytes);
    (void)cJSON_AddItemToObject(json, "account", report_account(&run->account));
    return json;
}

static void add_shares(cJSON *json, const co_account_report *all)
{
    cJSON *shares = cJSON_AddObjectToObject(json, "shares");
    for (int k = 0; k < CO_SPENT_KINDS; k++) add(shares, co_spent_name(k), bench_share(all, k));
    add(json, "accounting_error", co_account_error(all));
    add(json, "tile_latency_p50_s", co_latency_us(all, 0.5) * 1e-6);
    add(json, "tile_latency_p99_s", co_latency_us(all, 0.99) * 1e-6);
    add(json, "coordinator_cpu_s_per_tile", all->tiles ? (double)all->cpu_us * 1e-6 / (double)all->tiles : 0);
}

static cJSON *json_row(const bench_result *r, const bench_row *row)
{
    cJSON *json = cJSON_CreateObject(), *life = cJSON_CreateObject(), *runs = cJSON_CreateArray();
    const bench_row *base = bench_base(r, row);
    bench_spread speedup = bench_speedup(row, base);
    co_account_report all = bench_account(row);
    double more = (double)base->threads / row->threads;
    add_text(json, "kind", bench_kind_name(r, row->kind));
    add(json, "workers", row->workers);
    add(json, "threads", row->threads);
    (void)cJSON_AddBoolToObject(json, "oversubscribed", bench_oversubscribed(r, row));
    add_spread(json, "seconds", bench_seconds(row));
    add_spread(json, "rays_per_s", bench_rays_per_s(row));
    add_spread(json, "speedup", speedup);
    add_spread(json, "efficiency", (bench_spread){speedup.median * more, speedup.least * more, speedup.greatest * more});
    add_shares(json, &all);
    add_known(life, "start_to_first_tile_s", row->life.start_s);
    add_known(life, "join_to_first_tile_s", row->life.join_s);
    add_known(life, "join_s", row->life.hello_s);
    add_known(life, "drain_s", row->life.drain_s);
    (void)cJSON_AddItemToObject(json, "life", life);
    for (unsigned i = 0; i < row->count; i++) (void)cJSON_AddItemToArray(runs, json_run(&row->runs[i]));
    (void)cJSON_AddItemToObject(json, "runs", runs);
    return json;
}

static cJSON *json_machine(const bench_machine *m)
{
    cJSON *json = cJSON_CreateObject();
    add_text(json, "cpu", m->cpu);
    add(json, "cpus", m->cpus);
    add(json, "cpus_online", m->online);
    add_known(json, "cpu_quota", m->quota ? (double)m->quota : -1);
    add(json, "memory_gb", m->memory_gb);
    add_known(json, "load_before", m->load);
    add_text(json, "kernel", m->kernel);
    add_text(json, "os", m->os);
    add_text(json, "engine", m->engine);
    add_text(json, "version", m->version);
    add_text(json, "commit", m->commit);
    add_text(json, "compiler", m->compiler);
    return json;
}

static cJSON *json_sample(const bench_sample *s)
{
    cJSON *json = cJSON_CreateObject();
    add(json, "begin_s", s->begin_s);
    add(json, "end_s", s->end_s);
    add(json, "workers", s->workers);
    add(json, "threads", s->threads);
    (void)cJSON_AddItemToObject(json, "account", report_account(&s->account));
    return json;
}

static cJSON *json_result(const bench_result *r)
{
    cJSON *json = cJSON_CreateObject(), *rows, *samples;
    add_text(json, "what", kind_of_file);
    add(json, "format", FORMAT);
    add(json, "when", r->when);
    (void)cJSON_AddItemToObject(json, "machine", json_machine(&r->machine));
    add_text(json, "scene", r->scene);
    add_text(json, "scene_hash", r->scene_hash);
    add(json, "width", r->picture.width);
    add(json, "height", r->picture.height);
    add(json, "spp", r->picture.spp);
    add(json, "seed", r->picture.seed);
    add(json, "tile", r->tile);
    add(json, "repeat", r->repeat);
    (void)cJSON_AddBoolToObject(json, "null", (int)r->null);
    add(json, "accounting_error", bench_worst_error(r));
    rows = cJSON_AddArrayToObject(json, "rows");
    for (unsigned i = 0; i < r->row_count; i++) (void)cJSON_AddItemToArray(rows, json_row(r, &r->rows[i]));
    add(json, "steady_s", r->steady_s);
    samples = cJSON_AddArrayToObject(json, "samples");
    for (unsigned i = 0; i < r->sample_count; i++) (void)cJSON_AddItemToArray(samples, json_sample(&r->samples[i]));
    if (r->sample_count) {
        co_account_report all = bench_steady_account(r);
        cJSON *steady = cJSON_AddObjectToObject(json, "steady");
        add(steady, "rays_per_s", all.wall_us ? (double)all.rays * 1e6 / (double)all.wall_us : 0);
        add_shares(steady, &all);
    }
    return json;
}

int bench_save(const bench_result *r, const char *path, mr_error *err)
{
    return json_write(json_result(r), path, err);
}

/* ---- reading ---- */

typedef struct reading {
    const char *name; /* of the file */
    mr_error *err;
    int bad;
} reading;

static void wrong(reading *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(reading *in, const char *format, ...)
{
    char text[256];
    va_list args;
    if (in->bad) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    in->bad = mr_fail(in->err, MR_BAD_INPUT, "%s: %s", in->name, text);
}

static const cJSON *child(reading *in, const cJSON *object, const char *key, int (*is)(const cJSON *), const char *what)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item && is(item)) return item;
    wrong(in, "\"%s\": expected %s, found %s", key, what, item ? "something else" : "nothing");
    return NULL;
}

static int is_number(const cJSON *item) { return cJSON_IsNumber(item) && isfinite(item->valuedouble); }
static int is_text(const cJSON *item) { return cJSON_IsString(item) != 0; }
static int is_object(const cJSON *item) { return cJSON_IsObject(item) != 0; }
static int is_array(const cJSON *item) { return cJSON_IsArray(item) != 0; }

static double number(reading *in, const cJSON *object, const char *key, double least, double most)
{
    const cJSON *item = child(in, object, key, is_number, "a number");
    double value = item ? item->valuedouble : 0;
    if (value >= least && value <= most) return value;
    wrong(in, "\"%s\": expected %g to %g, found %g", key, least, most, value);
    return least;
}

static double known(reading *in, const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return item && cJSON_IsNull(item) ? -1 : number(in, object, key, 0, 1e9);
}

static uint64_t micros(reading *in, const cJSON *object, const char *key) { return (uint64_t)llround(number(in, object, key, 0, 1e10) * 1e6); }
static uint64_t count(reading *in, const cJSON *object, const char *key) { return (uint64_t)number(in, object, key, 0, 1e18); }
static uint32_t small(reading *in, const cJSON *object, const char *key, double most) { return (uint32_t)number(in, object, key, 0, most); }

static void text(reading *in, const cJSON *object, const char *key, char *out, size_t size)
{
    const cJSON *item = child(in, object, key, is_text, "a text");
    (void)snprintf(out, size, "%s", item ? item->valuestring : "");
}

static void read_account(reading *in, const cJSON *json, co_account_report *r)
{
    const cJSON *spent = child(in, json, "spent_s", is_object, "an object"), *bins = child(in, json, "latency", is_array, "an array"), *bin;
    unsigned at = 0;
    *r = (co_account_report){.wall_us = micros(in, json, "wall_s"), .present_us = micros(in, json, "thread_s"), .first_tile_us = micros(in, json, "first_tile_s"),
                             .cpu_us = micros(in, json, "coordinator_cpu_s"), .tiles = count(in, json, "tiles"), .rays = count(in, json, "rays"),
                             .bytes_in = count(in, json, "bytes_in"), .bytes_out = count(in, json, "bytes_out"), .pack_bytes = count(in, json, "pack_bytes"),
                             .joins = small(in, json, "joins", 1e9), .starts = small(in, json, "starts", 1e9), .join_us = micros(in, json, "join_s"),
                             .join_most_us = micros(in, json, "join_most_s"), .drains = small(in, json, "drains", 1e9), .drain_us = micros(in, json, "drain_s"),
                             .drain_most_us = micros(in, json, "drain_most_s"), .losses = small(in, json, "losses", 1e9)};
    for (int k = 0; k < CO_SPENT_KINDS && spent; k++) r->spent_us[k] = micros(in, spent, co_spent_name(k));
    cJSON_ArrayForEach(bin, bins)
    {
        if (at < CO_LATENCY_BINS && is_number(bin) && bin->valuedouble >= 0 && bin->valuedouble < 4e9) r->latency[at++] = (uint32_t)bin->valuedouble;
        else wrong(in, "\"latency\": expected %d counts", CO_LATENCY_BINS);
    }
    if (bins && at != CO_LATENCY_BINS) wrong(in, "\"latency\": expected %d counts, found %u", CO_LATENCY_BINS, at);
}

static void read_run(reading *in, const cJSON *json, bench_row *row)
{
    bench_run run = {.round = small(in, json, "round", 1e6), .seconds = number(in, json, "seconds", 0, 1e9), .rays = count(in, json, "rays"),
                     .samples = count(in, json, "samples"), .tiles = count(in, json, "tiles"), .tiles_redone = count(in, json, "tiles_redone"),
                     .result_bytes = count(in, json, "result_bytes")};
    const cJSON *account = child(in, json, "account", is_object, "an object");
    if (row->count >= BENCH_REPEAT_MOST) wrong(in, "\"runs\": more than %d", BENCH_REPEAT_MOST);
    if (account) read_account(in, account, &run.account);
    if (!in->bad) in->bad = bench_add_run(row, &run, in->err);
}

static int kind_named(reading *in, const char *name)
{
    static const bench_result plain = {.null = 0}, null = {.null = 1};
    for (int k = 0; k < BENCH_KINDS; k++)
        if (!strcmp(name, bench_kind_name(&plain, k)) || !strcmp(name, bench_kind_name(&null, k))) return k;
    wrong(in, "\"kind\": expected processes, containers, cluster or null workers, found %.40s", name);
    return 0;
}

static void read_row(reading *in, const cJSON *json, bench_result *out)
{
    if (out->row_count >= BENCH_ROWS_MOST) {
        wrong(in, "\"rows\": more than %d", BENCH_ROWS_MOST);
        return;
    }
    bench_row *row = &out->rows[out->row_count++];
    char kind[BENCH_TEXT];
    text(in, json, "kind", kind, sizeof kind);
    *row = (bench_row){.kind = kind_named(in, kind), .workers = small(in, json, "workers", 1e6), .threads = (uint32_t)number(in, json, "threads", 1, 1e8)};
    const cJSON *life = child(in, json, "life", is_object, "an object"), *runs = child(in, json, "runs", is_array, "an array"), *run;
    if (life) row->life = (bench_life){known(in, life, "start_to_first_tile_s"), known(in, life, "join_to_first_tile_s"), known(in, life, "join_s"),
        known(in, life, "drain_s")};
    cJSON_ArrayForEach(run, runs) if (!in->bad) read_run(in, run, row);
}

static void read_sample(reading *in, const cJSON *json, bench_result *out)
{
    const cJSON *account = child(in, json, "account", is_object, "an object");
    bench_sample *s = &out->samples[out->sample_count++];
    *s = (bench_sample){.begin_s = number(in, json, "begin_s", 0, 1e9), .end_s = number(in, json, "end_s", 0, 1e9), .workers = small(in, json, "workers", 1e6),
                        .threads = small(in, json, "threads", 1e8)};
    if (account) read_account(in, account, &s->account);
}

static void read_machine(reading *in, const cJSON *json, bench_machine *m)
{
    text(in, json, "cpu", m->cpu, sizeof m->cpu);
    text(in, json, "kernel", m->kernel, sizeof m->kernel);
    text(in, json, "os", m->os, sizeof m->os);
    text(in, json, "engine", m->engine, sizeof m->engine);
    text(in, json, "version", m->version, sizeof m->version);
    text(in, json, "commit", m->commit, sizeof m->commit);
    text(in, json, "compiler", m->compiler, sizeof m->compiler);
    m->cpus = small(in, json, "cpus", 1e6);
    m->online = small(in, json, "cpus_online", 1e6);
    double quota = known(in, json, "cpu_quota");
    m->quota = quota > 0 && quota < 1e6 ? (uint32_t)quota : 0;
    m->memory_gb = number(in, json, "memory_gb", 0, 1e9);
    m->load = known(in, json, "load_before");
}

static void read_lists(reading *in, const cJSON *json, bench_result *out)
{
    const cJSON *rows = child(in, json, "rows", is_array, "an array"), *samples = child(in, json, "samples", is_array, "an array"), *item;
    int n = samples ? cJSON_GetArraySize(samples) : 0;
    if (n > BENCH_SAMPLES_MOST) wrong(in, "\"samples\": more than %d", BENCH_SAMPLES_MOST);
    if (n && !in->bad) out->samples = calloc((size_t)n, sizeof *out->samples);
    if (n && !in->bad && !out->samples) in->bad = mr_fail(in->err, MR_FAILED, "out of memory");
    cJSON_ArrayForEach(item, rows) if (!in->bad) read_row(in, item, out);
    cJSON_ArrayForEach(item, samples) if (!in->bad) read_sample(in, item, out);
}

static void read_result(reading *in, const cJSON *json, bench_result *out)
{
    char what[BENCH_TEXT];
    text(in, json, "what", what, sizeof what);
    if (!in->bad && strcmp(what, kind_of_file) != 0) wrong(in, "\"what\": expected %s, found %.40s", kind_of_file, what);
    (void)number(in, json, "format", FORMAT, FORMAT);
    const cJSON *machine = child(in, json, "machine", is_object, "an object"), *null = cJSON_GetObjectItemCaseSensitive(json, "null");
    out->when = number(in, json, "when", 0, 1e12);
    text(in, json, "scene", out->scene, sizeof out->scene);
    text(in, json, "scene_hash", out->scene_hash, sizeof out->scene_hash);
    out->picture = (mr_picture){small(in, json, "width", MR_MAX_SIDE), small(in, json, "height", MR_MAX_SIDE), small(in, json, "spp", UINT32_MAX),
        small(in, json, "seed", UINT32_MAX)};
    out->tile = small(in, json, "tile", MR_MAX_TILE);
    out->repeat = small(in, json, "repeat", BENCH_REPEAT_MOST);
    out->null = cJSON_IsTrue(null) != 0;
    out->steady_s = number(in, json, "steady_s", 0, 1e9);
    if (machine) read_machine(in, machine, &out->machine);
    read_lists(in, json, out);
}

int bench_read(bench_result *out, const char *name, const char *bytes, size_t size, mr_error *err)
{
    reading in = {.name = name, .err = err};
    const char *end = bytes;
    memset(out, 0, sizeof *out);
    cJSON *json = cJSON_ParseWithLengthOpts(bytes, size, &end, 0);
    if (!json || !cJSON_IsObject(json)) wrong(&in, "byte %ld: expected the JSON of `mobyray bench -o`", (long)(end - bytes));
    else read_result(&in, json, out);
    cJSON_Delete(json);
    return in.bad;
}

int bench_load(bench_result *out, const char *path, mr_error *err)
{
    memset(out, 0, sizeof *out);
    FILE *file = fopen(path, "rb");
    if (!file) return mr_fail(err, MR_BAD_INPUT, "%s: cannot be opened", path);
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    char *bytes = size > 0 && size <= FILE_MOST && fseek(file, 0, SEEK_SET) == 0 ? malloc((size_t)size) : NULL;
    int status = bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size ? MR_OK : mr_fail(err, MR_BAD_INPUT, "%s: expected a file of 1 to %d bytes",
        path, FILE_MOST);
    (void)fclose(file);
    if (status == MR_OK) status = bench_read(out, path, bytes, (size_t)size, err);
    free(bytes);
    return status;
}
