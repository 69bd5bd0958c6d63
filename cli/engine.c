/* A Docker engine through its socket: see cli/engine.h. */
#include "cli/engine.h"
#include "cli/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 30000, OLDEST_MINOR = 40, OUR_MINOR = 41 };

/* ---- calls ---- */

/* What the engine says of an error. */
static void reason(const http_answer *a, char text[256])
{
    cJSON *json = cJSON_ParseWithLengthOpts(a->body, a->size + 1, NULL, 0);
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(json, "message");
    (void)snprintf(text, 256, "%.200s", cJSON_IsString(message) ? message->valuestring : a->body);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32) *c = ' ';
    cJSON_Delete(json);
}

int engine_call(engine *e, const char *method, const char *path, const cJSON *body, long fine, http_answer *a, mr_error *err)
{
    char whole[2048], text[256];
    if (snprintf(whole, sizeof whole, "%s%s", e->version, path) >= (int)sizeof whole) return mr_fail(err, MR_FAILED, "the engine's request is too long");
    char *json = body ? cJSON_PrintUnformatted(body) : NULL;
    if (body && !json) return mr_fail(err, MR_FAILED, "out of memory");
    int status = http_call(e->http, method, whole, json, CALL_MS, a, err);
    free(json);
    if (status || a->code / 100 == 2 || a->code == fine) return status;
    reason(a, text);
    return mr_fail(err, MR_FAILED, "the engine says %ld to %s %.80s: %s", a->code, method, path, text);
}

int engine_ask(engine *e, const char *path, cJSON **json, mr_error *err)
{
    http_answer a;
    int status = engine_call(e, "GET", path, NULL, 0, &a, err);
    if (status) return status;
    *json = cJSON_ParseWithLengthOpts(a.body, a.size + 1, NULL, 0);
    return *json ? MR_OK : mr_fail(err, MR_FAILED, "the engine's answer to GET %.80s is no JSON", path);
}

const cJSON *engine_get(const cJSON *json, const char *name) { return cJSON_GetObjectItemCaseSensitive(json, name); }

const char *engine_text(const cJSON *json, const char *name)
{
    const cJSON *item = engine_get(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

int engine_is_id(const char *id)
{
    size_t length = strspn(id, "0123456789abcdef");
    return length >= 12 && length < ENGINE_ID && !id[length];
}

static int on_container(engine *e, const char *method, const char *id, const char *what, long fine, mr_error *err)
{
    char path[128];
    http_answer a;
    (void)snprintf(path, sizeof path, "/containers/%s%s", id, what);
    return engine_call(e, method, path, NULL, fine, &a, err);
}

/* ---- the engine ---- */

/* The minor part of an API's version, as 1.41; 0: not of that form. */
static unsigned minor_of(const char *version)
{
    unsigned long minor = strncmp(version, "1.", 2) ? 0 : strtoul(version + 2, NULL, 10);
    return minor < 10000 ? (unsigned)minor : 0;
}

int engine_open(engine *e, const char *base, mr_error *err)
{
    *e = (engine){ .http = NULL };
    cJSON *json = NULL;
    int status = http_open(&e->http, base, err);
    if (!status) status = engine_ask(e, "/version", &json, err);
    unsigned least = minor_of(engine_text(json, "MinAPIVersion")), most = minor_of(engine_text(json, "ApiVersion"));
    if (!status && (!least || most < OLDEST_MINOR))
        status = mr_fail(err, MR_FAILED, "%s: expected a Docker engine with API 1.%d or later", base, OLDEST_MINOR);
    cJSON_Delete(json);
    unsigned minor = least > OUR_MINOR ? least : most < OUR_MINOR ? most : OUR_MINOR;
    if (!status) (void)snprintf(e->version, sizeof e->version, "/v1.%u", minor);
    json = NULL;
    if (!status) status = engine_ask(e, "/info", &json, err);
    const cJSON *cpus = engine_get(json, "NCPU");
    e->cpus = cJSON_IsNumber(cpus) && cpus->valueint > 0 ? (unsigned)cpus->valueint : 1;
    cJSON_Delete(json);
    if (status) engine_close(e);
    return status;
}

int engine_again(engine *e, const engine *known, const char *base, mr_error *err)
{
    *e = *known;
    return http_open(&e->http, base, err);
}

void engine_close(engine *e)
{
    http_close(e->http);
    *e = (engine){ .http = NULL };
}

int engine_project_of(engine *e, const char *container, char *project, mr_error *err)
{
    char path[512];
    cJSON *json = NULL;
    char *name = http_escape(container);
    (void)snprintf(path, sizeof path, "/containers/%.300s/json", name ? name : "");
    free(name);
    int status = engine_ask(e, path, &json, err);
    const char *found = engine_text(engine_get(engine_get(json, "Config"), "Labels"), "com.docker.compose.project");
    if (!status && (!found[0] || strlen(found) >= ENGINE_NAME)) status = mr_fail(err, MR_FAILED, "container %s is of no Compose project: say --project NAME", container);
    if (!status) (void)snprintf(project, ENGINE_NAME, "%s", found);
    cJSON_Delete(json);
    return status;
}

/* ---- containers ---- */

static int state_of(const char *name)
{
    if (!strcmp(name, "created")) return ENGINE_CREATED;
    if (!strcmp(name, "running") || !strcmp(name, "restarting") || !strcmp(name, "paused")) return ENGINE_RUNNING;
    return !strcmp(name, "exited") ? ENGINE_EXITED : ENGINE_OTHER;
}

/* 1: one of the service's own. */
static int read_container(const cJSON *json, engine_container *out)
{
    const cJSON *labels = engine_get(json, "Labels"), *created = engine_get(json, "Created");
    const char *id = engine_text(json, "Id"), *name = "";
    const cJSON *first = cJSON_GetArrayItem(engine_get(json, "Names"), 0);
    if (cJSON_IsString(first)) name = first->valuestring + (first->valuestring[0] == '/');
    if (!engine_is_id(id) || strlen(name) >= ENGINE_NAME || !strcmp(engine_text(labels, "com.docker.compose.oneoff"), "True")) return 0;
    *out = (engine_container){ .state = state_of(engine_text(json, "State")), .created_s = cJSON_IsNumber(created) ? (int64_t)created->valuedouble : 0,
                               .number = (unsigned)strtoul(engine_text(labels, ENGINE_NUMBER_LABEL), NULL, 10), .ours = engine_text(labels, ENGINE_OUR_LABEL)[0] != 0 };
    (void)snprintf(out->id, sizeof out->id, "%s", id);
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    return 1;
}

static int read_list(const cJSON *json, engine_container **list, unsigned *count, mr_error *err)
{
    int size = cJSON_GetArraySize(json);
    if (!cJSON_IsArray(json) || size > ENGINE_CONTAINERS_MOST) return mr_fail(err, MR_FAILED, "the engine's list of containers is none, or too long");
    *list = calloc((size_t)size + 1, sizeof **list);
    *count = 0;
    if (!*list) return mr_fail(err, MR_FAILED, "out of memory");
    for (const cJSON *item = json->child; item; item = item->next) *count += (unsigned)read_container(item, &(*list)[*count]);
    return MR_OK;
}

/* Asks for a list. filters: an object, deleted here. */
static int ask_filtered(engine *e, const char *what, cJSON *filters, cJSON **json, mr_error *err)
{
    char path[4 * ENGINE_NAME + 64];
    char *plain = cJSON_PrintUnformatted(filters), *escaped = plain ? http_escape(plain) : NULL;
    int fits = escaped && snprintf(path, sizeof path, "%sfilters=%s", what, escaped) < (int)sizeof path;
    free(plain);
    free(escaped);
    cJSON_Delete(filters);
    return fits ? engine_ask(e, path, json, err) : mr_fail(err, MR_FAILED, "out of memory, or a name is too long");
}

int engine_list(engine *e, const char *project, const char *service, engine_container **list, unsigned *count, mr_error *err)
{
    char label[2 * ENGINE_NAME];
    cJSON *filters = cJSON_CreateObject(), *labels = cJSON_AddArrayToObject(filters, "label"), *json = NULL;
    (void)snprintf(label, sizeof label, "com.docker.compose.project=%.*s", ENGINE_NAME - 1, project);
    (void)cJSON_AddItemToArray(labels, cJSON_CreateString(label));
    (void)snprintf(label, sizeof label, "com.docker.compose.service=%.*s", ENGINE_NAME - 1, service);
    (void)cJSON_AddItemToArray(labels, cJSON_CreateString(label));
    int status = ask_filtered(e, "/containers/json?all=1&", filters, &json, err);
    if (!status) status = read_list(json, list, count, err);
    cJSON_Delete(json);
    return status;
}

int engine_start(engine *e, const char *id, mr_error *err) { return on_container(e, "POST", id, "/start", 304, err); }
int engine_kill(engine *e, const char *id, mr_error *err) { return on_container(e, "POST", id, "/kill?signal=SIGKILL", 409, err); }
int engine_remove(engine *e, const char *id, mr_error *err) { return on_container(e, "DELETE", id, "?v=1", 404, err); }

/* 409: it has just ended by itself. */
int engine_tell_to_stop(engine *e, const char *id, mr_error *err) { return on_container(e, "POST", id, "/kill?signal=SIGTERM", 409, err); }

/* ---- Swarm ---- */

static int find_service(engine *e, const char *service, cJSON **json, mr_error *err)
{
    char path[4 * ENGINE_NAME];
    char *name = http_escape(service);
    int fits = name && snprintf(path, sizeof path, "/services/%s", name) < (int)sizeof path;
    int status = fits ? engine_ask(e, path, json, err) : mr_fail(err, MR_FAILED, "the service's name is too long");
    free(name);
    if (status) return status;
    const cJSON *replicas = engine_get(engine_get(engine_get(engine_get(*json, "Spec"), "Mode"), "Replicated"), "Replicas");
    if (cJSON_IsNumber(replicas) && replicas->valueint >= 0) return MR_OK;
    cJSON_Delete(*json);
    *json = NULL;
    return mr_fail(err, MR_FAILED, "service %s has no number of replicas: expected one of mode replicated", service);
}

int engine_replicas(engine *e, const char *service, unsigned *replicas, mr_error *err)
{
    cJSON *json = NULL;
    int status = find_service(e, service, &json, err);
    if (!status) *replicas = (unsigned)engine_get(engine_get(engine_get(engine_get(json, "Spec"), "Mode"), "Replicated"), "Replicas")->valueint;
    cJSON_Delete(json);
    return status;
}

int engine_running(engine *e, const char *service, unsigned *running, mr_error *err)
{
    cJSON *filters = cJSON_CreateObject(), *json = NULL;
    (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(filters, "service"), cJSON_CreateString(service));
    (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(filters, "desired-state"), cJSON_CreateString("running"));
    int status = ask_filtered(e, "/tasks?", filters, &json, err);
    if (!status && !cJSON_IsArray(json)) status = mr_fail(err, MR_FAILED, "the engine's list of tasks is none");
    *running = 0;
    for (const cJSON *task = status ? NULL : json->child; task; task = task->next) *running += !strcmp(engine_text(engine_get(task, "Status"), "State"), "running");
    cJSON_Delete(json);
    return status;
}

int engine_set_replicas(engine *e, const char *service, unsigned replicas, mr_error *err)
{
    char path[4 * ENGINE_NAME];
    cJSON *json = NULL;
    http_answer a;
    int status = find_service(e, service, &json, err);
    if (status) return status;
    const cJSON *index = engine_get(engine_get(json, "Version"), "Index");
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(json, "Spec");
    (void)cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(engine_get(engine_get(spec, "Mode"), "Replicated"), "Replicas"), (double)replicas);
    char *name = http_escape(engine_text(json, "ID"));
    (void)snprintf(path, sizeof path, "/services/%.200s/update?version=%.0f", name ? name : "", cJSON_IsNumber(index) ? index->valuedouble : 0);
    free(name);
    status = engine_call(e, "POST", path, spec, 0, &a, err);
    cJSON_Delete(json);
    return status;
}
