/* mobyray metrics: what a coordinator's /metrics tells, as it is or in the forms that other monitoring agents want. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cJSON.h>

#include "cli/cli.h"
#include "cli/http.h"
#include "cli/json.h"

enum { API_MS = 5000, LABELS_MOST = 8, NAME_MOST = 256 };

static const char *api = "http://127.0.0.1:8080", *format = "prometheus";

static const arg_option options[] = {
    {"api", 0, ARG_TEXT, &api, 0, 0, "URL", "the coordinator's --http address (default: http://127.0.0.1:8080)"},
    {"format", 0, ARG_TEXT, &format, 0, 0, "FORMAT", "prometheus, json or mackerel (default: prometheus)"},
    {.name = NULL}};

/* ---- the text format, as we write it ourselves: one sample a line, NAME{LABEL="VALUE",...} NUMBER ---- */

typedef struct sample {
    char name[NAME_MOST];
    struct { char name[64], value[128]; } label[LABELS_MOST];
    unsigned labels;
    double value;
} sample;

/* A label's value, from behind its first quote; *at: behind the last one. */
static int read_value(const char **at, char *out, size_t size)
{
    size_t length = 0;
    for (; **at && **at != '"' && **at != '\n'; ++*at) {
        if (**at == '\\' && (*at)[1]) ++*at;
        if (length + 1 < size) out[length++] = **at;
    }
    out[length] = 0;
    return *(*at)++ == '"';
}

static int read_name(const char **at, char *out, size_t size)
{
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    if (!length || length >= size) return 0;
    memcpy(out, *at, length);
    out[length] = 0;
    *at += length;
    return 1;
}

static int read_labels(const char **at, sample *out)
{
    while (**at != '}') {
        if (out->labels == LABELS_MOST || !read_name(at, out->label[out->labels].name, sizeof out->label[0].name)) return 0;
        if ((*at)[0] != '=' || (*at)[1] != '"') return 0;
        *at += 2;
        if (!read_value(at, out->label[out->labels].value, sizeof out->label[0].value)) return 0;
        out->labels++;
        if (**at == ',') ++*at;
    }
    ++*at;
    return 1;
}

/* 1: a sample. */
static int read_sample(const char *line, sample *out)
{
    char *end;
    *out = (sample){ .labels = 0 };
    if (!read_name(&line, out->name, sizeof out->name)) return 0;
    if (*line == '{' && (++line, !read_labels(&line, out))) return 0;
    if (*line != ' ') return 0;
    out->value = strtod(line + 1, &end);
    return end != line + 1 && (*end == '\n' || !*end);
}

/* Calls back for each sample; type: of its family, "" when it is not told. */
static int each_sample(const char *text, int (*call)(void *user, const sample *s, const char *type), void *user)
{
    char family[NAME_MOST] = "", type[32] = "";
    sample s;
    for (int status = MR_OK; *text; text++) {
        if (sscanf(text, "# TYPE %255s %31s", family, type) == 2 || *text == '#' || *text == '\n') {
            /* a comment, or an empty line */
        } else if (read_sample(text, &s)) {
            status = call(user, &s, strncmp(s.name, family, strlen(family)) != 0 ? "" : type);
        }
        if (status) return status;
        const char *end = strchr(text, '\n');
        if (!end) break;
        text = end;
    }
    return MR_OK;
}

/* ---- JSON ---- */

static int add_json(void *user, const sample *s, const char *type)
{
    cJSON *object = cJSON_CreateObject(), *labels = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(object, "name", s->name);
    (void)cJSON_AddStringToObject(object, "type", type);
    for (unsigned i = 0; i < s->labels; i++) (void)cJSON_AddStringToObject(labels, s->label[i].name, s->label[i].value);
    (void)cJSON_AddItemToObject(object, "labels", labels);
    (void)(isfinite(s->value) ? cJSON_AddNumberToObject(object, "value", s->value) : cJSON_AddNullToObject(object, "value"));
    (void)cJSON_AddItemToArray(user, object);
    return MR_OK;
}

static int print_json(const char *text, mr_error *err)
{
    cJSON *whole = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(whole, "metrics");
    (void)cJSON_AddNumberToObject(whole, "time", (double)time(NULL));
    int status = each_sample(text, add_json, list);
    if (status == MR_OK) return json_write(whole, "-", err);
    cJSON_Delete(whole);
    return status;
}

/* ---- Mackerel: name TAB value TAB epoch seconds; names of letters, digits, - and _, with dots between ---- */

static void add_part(char *name, size_t size, char between, const char *part)
{
    size_t length = strlen(name);
    (void)snprintf(name + length, size - length, "%c%s", between, part);
    for (char *c = name + length + 1; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_') *c = '_';
}

/* mobyray_workers{state="idle"} is mobyray.workers.idle. */
static void mackerel_name(const sample *s, char *name, size_t size)
{
    const char *first = strchr(s->name, '_');
    (void)snprintf(name, size, "%.*s", first ? (int)(first - s->name) : 64, s->name);
    if (first) add_part(name, size, '.', first + 1);
    for (unsigned i = 0; i < s->labels; i++) add_part(name, size, '.', s->label[i].value);
}

/* A histogram's buckets and the build's labels are nothing to be drawn there. */
static int left_out(const sample *s)
{
    size_t length = strlen(s->name);
    return (length > 7 && !strcmp(s->name + length - 7, "_bucket")) || (length > 5 && !strcmp(s->name + length - 5, "_info")) || !isfinite(s->value);
}

static int print_mackerel(void *user, const sample *s, const char *type)
{
    char name[2 * NAME_MOST];
    (void)type;
    if (left_out(s)) return MR_OK;
    mackerel_name(s, name, sizeof name);
    printf("%s\t%.15g\t%lld\n", name, s->value, *(const long long *)user);
    return MR_OK;
}

static int run_metrics(const arg_result *args, mr_error *err)
{
    long long now = (long long)time(NULL);
    http_client *client = NULL;
    http_answer a;
    (void)args;
    if (strcmp(format, "prometheus") != 0 && strcmp(format, "json") != 0 && strcmp(format, "mackerel") != 0)
        return mr_fail(err, MR_USAGE, "--format: found '%.64s', expected prometheus, json or mackerel", format);
    int status = http_open(&client, api, err);
    if (status == MR_OK) status = http_call(client, "GET", "/metrics", NULL, API_MS, &a, err);
    if (status == MR_OK && a.code != 200) status = mr_fail(err, MR_FAILED, "%s: the coordinator says %ld to GET /metrics", api, a.code);
    if (status == MR_OK && !strcmp(format, "json")) status = print_json(a.body, err);
    else if (status == MR_OK && !strcmp(format, "mackerel")) status = each_sample(a.body, print_mackerel, &now);
    else if (status == MR_OK) fputs(a.body, stdout);
    http_close(client);
    return status;
}

const cli_command metrics_command = {"metrics",
                                     "print a coordinator's metrics, for monitoring agents",
                                     "[OPTIONS]",
                                     "What /metrics tells (docs/METRICS.md): as Prometheus wants it, as JSON, or as a plugin of the Mackerel agent and its like prints it:\n"
                                     "name, value, seconds since 1970, with tabs between.",
                                     options,
                                     0,
                                     run_metrics};
