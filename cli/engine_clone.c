/* A container like another one: how a worker is added to a Compose project without Compose. See cli/engine.h.
 *
 * What the engine tells of a container (inspect) has the parts of what it wants to hear for a new one (create): Config, HostConfig, and its networks. So the copy
 * has the same image, command, environment, mounts, limits and restart policy, and Compose's labels: Compose takes it for one of its own, counts it, and
 * removes it with `down`. Only what is one container's own is left out or made anew: host name, number, name, addresses. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/engine.h"
#include "cli/engine_internal.h"

enum { NAME_TRIES = 32 };

static void drop(cJSON *json, const char *name) { cJSON_DeleteItemFromObjectCaseSensitive(json, name); }

static void set_text(cJSON *json, const char *name, const char *text)
{
    drop(json, name);
    (void)cJSON_AddStringToObject(json, name, text);
}

/* The same with what it says of itself left out. */
static cJSON *copy_config(const cJSON *from, const engine_container *model, unsigned number)
{
    char text[16];
    cJSON *config = cJSON_Duplicate(engine_get(from, "Config"), 1), *labels = cJSON_GetObjectItemCaseSensitive(config, "Labels");
    const char *host = engine_text(config, "Hostname");
    if (host[0] && !strncmp(host, model->id, strlen(host))) drop(config, "Hostname");
    drop(config, "MacAddress");
    (void)snprintf(text, sizeof text, "%u", number);
    set_text(labels, ENGINE_NUMBER_LABEL, text);
    set_text(labels, ENGINE_OUR_LABEL, "1");
    drop(labels, "com.docker.compose.replace");
    return config;
}

/* An endpoint's aliases but those that are the model's own: its short id and its name. */
static cJSON *copy_endpoint(const cJSON *from, const engine_container *model)
{
    cJSON *endpoint = cJSON_CreateObject(), *aliases = cJSON_AddArrayToObject(endpoint, "Aliases");
    const cJSON *all = engine_get(from, "Aliases");
    for (const cJSON *alias = all ? all->child : NULL; alias; alias = alias->next) {
        if (!cJSON_IsString(alias) || !strncmp(alias->valuestring, model->id, 12) || !strcmp(alias->valuestring, model->name)) continue;
        (void)cJSON_AddItemToArray(aliases, cJSON_CreateString(alias->valuestring));
    }
    const cJSON *links = engine_get(from, "Links");
    if (cJSON_IsArray(links)) (void)cJSON_AddItemToObject(endpoint, "Links", cJSON_Duplicate(links, 1));
    return endpoint;
}

/* The body of a create: with its main network, as older engines take one only. */
static cJSON *describe(const cJSON *from, const engine_container *model, unsigned number)
{
    cJSON *body = copy_config(from, model, number), *host = cJSON_Duplicate(engine_get(from, "HostConfig"), 1);
    if (!cJSON_IsObject(body) || !cJSON_IsObject(host)) {
        cJSON_Delete(body);
        cJSON_Delete(host);
        return NULL;
    }
    const char *main = engine_text(host, "NetworkMode");
    const cJSON *endpoint = engine_get(engine_get(engine_get(from, "NetworkSettings"), "Networks"), main);
    (void)cJSON_AddItemToObject(body, "HostConfig", host);
    cJSON *networks = cJSON_AddObjectToObject(cJSON_AddObjectToObject(body, "NetworkingConfig"), "EndpointsConfig");
    if (endpoint) (void)cJSON_AddItemToObject(networks, main, copy_endpoint(endpoint, model));
    return body;
}

/* NAME-3 for number 3, after the model's NAME-1 (Compose before 2: NAME_1). */
static void name_for(const engine_container *model, unsigned number, char *name, size_t size)
{
    size_t length = strlen(model->name);
    while (length && isdigit((unsigned char)model->name[length - 1])) length--;
    const char *between = length && strchr("-_", model->name[length - 1]) ? "" : "-";
    (void)snprintf(name, size, "%.*s%s%u", (int)length, model->name, between, number);
}

static int connect_others(engine *e, const cJSON *from, const engine_container *model, const char *id, mr_error *err)
{
    const cJSON *all = engine_get(engine_get(from, "NetworkSettings"), "Networks");
    const char *main = engine_text(engine_get(from, "HostConfig"), "NetworkMode");
    int status = MR_OK;
    for (const cJSON *network = all ? all->child : NULL; network; network = network->next) {
        if (status || !strcmp(network->string, main)) continue;
        char path[1024];
        http_answer a;
        char *name = http_escape(network->string);
        (void)snprintf(path, sizeof path, "/networks/%.800s/connect", name ? name : "");
        free(name);
        cJSON *body = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(body, "Container", id);
        (void)cJSON_AddItemToObject(body, "EndpointConfig", copy_endpoint(network, model));
        status = engine_call(e, "POST", path, body, 0, &a, err);
        cJSON_Delete(body);
    }
    return status;
}

/* *taken: the name is another's. */
static int create(engine *e, const cJSON *from, const engine_container *model, unsigned number, char *id, int *taken, mr_error *err)
{
    char name[ENGINE_NAME + 16], path[4 * ENGINE_NAME];
    http_answer a;
    cJSON *body = describe(from, model, number);
    if (!body) return mr_fail(err, MR_FAILED, "container %s cannot be copied: the engine does not tell how it was made", model->name);
    name_for(model, number, name, sizeof name);
    char *escaped = http_escape(name);
    (void)snprintf(path, sizeof path, "/containers/create?name=%.*s", 3 * ENGINE_NAME, escaped ? escaped : "");
    free(escaped);
    int status = engine_call(e, "POST", path, body, 409, &a, err);
    cJSON_Delete(body);
    *taken = !status && a.code == 409;
    if (status || *taken) return status;
    cJSON *answer = cJSON_ParseWithLengthOpts(a.body, a.size + 1, NULL, 0);
    const char *made = engine_text(answer, "Id");
    if (engine_is_id(made)) (void)snprintf(id, ENGINE_ID, "%s", made);
    else status = mr_fail(err, MR_FAILED, "the engine does not say which container it made");
    cJSON_Delete(answer);
    return status;
}

int engine_clone(engine *e, const engine_container *model, unsigned number, char *id, mr_error *err)
{
    char path[128];
    cJSON *from = NULL;
    int taken = 1;
    (void)snprintf(path, sizeof path, "/containers/%s/json", model->id);
    int status = engine_ask(e, path, &from, err);
    for (unsigned i = 0; !status && taken && i < NAME_TRIES; i++) status = create(e, from, model, number + i, id, &taken, err);
    if (!status && taken) status = mr_fail(err, MR_FAILED, "no free name for a container like %s", model->name);
    if (!status && (status = connect_others(e, from, model, id, err))) (void)engine_remove(e, id, NULL);
    cJSON_Delete(from);
    return status;
}
