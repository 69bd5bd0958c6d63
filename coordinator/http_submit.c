/* Jobs that are sent, and other changes. What is sent goes to a file alone in a folder of its own, so that a model's references to other files find
 * none of ours beside it; it is compiled in the connection's thread and then given to the server's. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/http_internal.h"

struct co_upload {
    co_http *http;
    co_http_query query;
    int is_json, file, full;  /* file: -1: none; full: more came than may, or the disk took no more: errno, or -1 */
    char folder[256], path[320];
    char json[CO_HTTP_JSON_MOST];
    uint64_t size;
};

/* What may be sent, or lie in the folder of scenes: packs, and models as tracer/scene/import.c takes them. */
static const char *const endings[] = { ".ply", ".glb", ".gltf", ".obj", ".stl", ".off", ".3ds", ".dae", ".fbx", ".pack" };

static const char *ending_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i])) return endings[i];
    return NULL;
}

/* ---- the body ---- */

/* The file is called as its sender calls it, for the scene's name and for messages; in letters that lead nowhere. */
static void name_file(co_upload *u)
{
    const char *name = ending_of(u->query.name) ? u->query.name : "scene.pack";
    size_t used = strlen(u->folder);
    (void)snprintf(u->path, sizeof u->path, "%s/%s", u->folder, name);
    for (char *c = u->path + used + 1; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && (*c != '.' || c == u->path + used + 1)) *c = '_';
}

static int open_file(co_upload *u)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base || strlen(base) > 200) base = "/tmp";
    (void)snprintf(u->folder, sizeof u->folder, "%s/mobyray-XXXXXX", base);
    if (!mkdtemp(u->folder)) {
        u->folder[0] = 0;
        return -1;
    }
    name_file(u);
    u->file = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return u->file < 0 ? -1 : 0;
}

static int begin(co_http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    int good = http->uploads < CO_HTTP_UPLOADS && !http->closing;
    http->uploads += (unsigned)good;
    (void)pthread_mutex_unlock(&http->lock);
    return good;
}

int co_upload_begin(co_upload **out, co_http *http, const co_http_route *route, int is_json, co_answer *a)
{
    if (!http->config.compile) {
        co_answer_error(a, 405, "this coordinator takes no jobs: it renders the one picture that it was started for");
        return -1;
    }
    if (!begin(http)) {
        co_answer_error(a, 503, "%d scenes are being received or compiled already: try again", CO_HTTP_UPLOADS);
        a->retry_s = 5;
        return -1;
    }
    co_upload *u = calloc(1, sizeof *u);
    if (u) *u = (co_upload){ .http = http, .query = route->query, .is_json = is_json, .file = -1 };
    if (u && (is_json || !open_file(u))) {
        *out = u;
        return 0;
    }
    co_answer_error(a, 500, "no memory, or no room in TMPDIR, for a scene: %s", strerror(errno));
    if (u) co_upload_free(u);
    else {
        (void)pthread_mutex_lock(&http->lock);
        http->uploads--;
        (void)pthread_mutex_unlock(&http->lock);
    }
    return -1;
}

int co_upload_add(co_upload *u, const void *bytes, size_t size)
{
    uint64_t most = u->is_json ? sizeof u->json : CO_HTTP_BODY_MOST;
    if (u->full || size > most - u->size) u->full = u->full ? u->full : -1;
    else if (u->is_json) memcpy(u->json + u->size, bytes, size);
    for (size_t done = 0; !u->full && !u->is_json && done < size;) {
        ssize_t n = write(u->file, (const char *)bytes + done, size - done);
        if (n < 0 && errno != EINTR) u->full = errno;
        done += n > 0 ? (size_t)n : 0;
    }
    if (u->full) return -1;
    u->size += size;
    return 0;
}

void co_upload_free(co_upload *u)
{
    if (!u) return;
    if (u->file >= 0) (void)close(u->file);
    if (u->path[0]) (void)unlink(u->path);
    if (u->folder[0]) (void)rmdir(u->folder);
    (void)pthread_mutex_lock(&u->http->lock);
    u->http->uploads--;
    (void)pthread_cond_broadcast(&u->http->changed);
    (void)pthread_mutex_unlock(&u->http->lock);
    free(u);
}

/* ---- scenes of the folder ---- */

/* One part of a path, and nothing hidden. */
static int is_plain(const char *name) { return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < 128; }

/* A folder with a scene.json in it, or a file that we know. */
static int is_scene(const char *folder, const char *name)
{
    char path[4096 + 160];
    struct stat info;
    if (!is_plain(name) || snprintf(path, sizeof path, "%s/%s/scene.json", folder, name) >= (int)sizeof path) return 0;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) return 1;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return ending_of(name) && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

void co_scenes_answer(co_answer *a, const co_http *http)
{
    char(*names)[128] = calloc(CO_HTTP_SCENES_MOST, sizeof *names);
    unsigned count = 0;
    const struct dirent *entry;
    co_text t = { .bytes = NULL };
    DIR *list = http->config.scenes && names ? opendir(http->config.scenes) : NULL;
    while (list && count < CO_HTTP_SCENES_MOST && (entry = readdir(list)))
        if (is_scene(http->config.scenes, entry->d_name)) (void)snprintf(names[count++], sizeof *names, "%.127s", entry->d_name);
    if (list) (void)closedir(list);
    if (names) qsort(names, count, sizeof *names, by_name);
    co_json_open(&t, NULL, '[');
    for (unsigned i = 0; i < count; i++) {
        co_json_open(&t, NULL, '{');
        co_json_string(&t, "name", names[i]);
        co_json_close(&t, '}');
    }
    co_json_close(&t, ']');
    free(names);
    co_answer_text(a, 200, "application/json", &t);
}

/* ---- from the body to the job ---- */

/* The scene's file: what was sent, or one of the folder. -1: the answer says why not. */
static int find_scene(co_upload *u, co_answer *a, char path[4096 + 160])
{
    char scene[128];
    mr_error err;
    if (!u->is_json) {
        (void)snprintf(path, 4096 + 160, "%s", u->path);
        return 0;
    }
    if (co_http_job_of(&u->query, scene, u->json, u->size, &err) != 200) {
        co_answer_error(a, 400, "%s", err.text);
        return -1;
    }
    if (!u->http->config.scenes || !is_scene(u->http->config.scenes, scene)) {
        co_answer_error(a, 400, "scene: found '%s', expected one of /api/v1/scenes", scene);
        return -1;
    }
    (void)snprintf(path, 4096 + 160, "%s/%s", u->http->config.scenes, scene);
    if (!u->query.name[0]) (void)snprintf(u->query.name, sizeof u->query.name, "%.63s", scene);
    return 0;
}

/* The message of a scene that was sent names the file that its sender knows. */
static void answer_bad_scene(co_upload *u, co_answer *a, int status, const char *text)
{
    const char *name = u->query.name[0] ? u->query.name : "scene", *rest = text;
    size_t length = strlen(u->path);
    int code = status == MR_BAD_INPUT || status == MR_USAGE ? 422 : 500;
    if (length && !strncmp(text, u->path, length)) {
        rest = text + length;
        co_answer_error(a, code, "%s%s", name, rest);
    } else {
        co_answer_error(a, code, "%s", text);
    }
}

static void drop_ending(char *name)
{
    const char *ending = ending_of(name);
    if (ending && strlen(name) > strlen(ending)) name[strlen(name) - strlen(ending)] = 0;
}

static void ask_server(co_upload *u, co_answer *a, mr_pack *pack)
{
    const co_http_query *q = &u->query;
    const mr_settings *scene = pack->settings;
    co_request r = { .kind = CO_REQUEST_SUBMIT, .pack = pack, .tile = q->tile, .options = { .priority = q->priority, .verify_percent = q->verify },
                     .picture = { q->width ? q->width : scene->width, q->height ? q->height : scene->height, q->spp ? q->spp : scene->spp, q->seed } };
    (void)snprintf(r.name, sizeof r.name, "%s", q->name);
    drop_ending(r.name);
    if (co_mailbox_ask(u->http->mailbox, &r, CO_HTTP_ASK_MS)) {
        co_answer_error(a, 503, "the coordinator is busy: try again");
        a->retry_s = 5;
    } else if (r.status) {
        co_answer_error(a, r.status == MR_FAILED ? 503 : 400, "%s", r.err.text);
    } else {
        co_text t = { .bytes = NULL };
        co_json_open(&t, NULL, '{');
        co_json_uint(&t, "id", r.job);
        co_json_close(&t, '}');
        co_answer_text(a, 202, "application/json", &t);
        (void)snprintf(a->location, sizeof a->location, "/api/v1/jobs/%llu", (unsigned long long)r.job);
    }
}

void co_upload_end(co_upload *u, co_answer *a)
{
    char path[4096 + 160];
    mr_pack pack = { .base = NULL };
    mr_error err = { "" };
    if (u->full == -1) {
        co_answer_error(a, 413, "the body is too large, expected at most %llu bytes", (unsigned long long)(u->is_json ? sizeof u->json : CO_HTTP_BODY_MOST));
        return;
    }
    if (u->full || !u->size) {
        co_answer_error(a, u->full ? 507 : 400, u->full ? "the scene cannot be kept: %s" : "the body is empty, expected a scene", strerror(u->full));
        return;
    }
    if (find_scene(u, a, path)) return;
    int status = (u->is_json ? u->http->config.compile : u->http->config.compile_sent)(&pack, path, &err);
    if (status) {
        answer_bad_scene(u, a, status, err.text);
        return;
    }
    ask_server(u, a, &pack);
    mr_pack_close(&pack);
}

/* ---- other changes ---- */

void co_change_answer(co_answer *a, const co_http_route *route, co_http *http)
{
    int cancel = route->endpoint == CO_HTTP_JOB;
    co_request r = { .kind = cancel ? CO_REQUEST_CANCEL : CO_REQUEST_DRAIN, .job = route->id, .worker = route->id > UINT32_MAX ? 0 : (uint32_t)route->id };
    co_text t = { .bytes = NULL };
    if (co_mailbox_ask(http->mailbox, &r, CO_HTTP_ASK_MS)) {
        co_answer_error(a, 503, "the coordinator is busy: try again");
        a->retry_s = 5;
    } else if (r.status) {
        co_answer_error(a, r.status == MR_BAD_INPUT ? 404 : 409, "%s", r.err.text);
    } else {
        co_json_open(&t, NULL, '{');
        co_json_uint(&t, "id", route->id);
        co_json_string(&t, "state", cancel ? "cancelled" : "draining");
        co_json_close(&t, '}');
        co_answer_text(a, cancel ? 200 : 202, "application/json", &t);
    }
}
