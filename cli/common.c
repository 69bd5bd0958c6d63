/* What the commands share: scenes, pictures, kernels, outputs. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/import.h"
#include "cli/load.h"
#include "tracer/bvh.h"
#include "tracer/film.h"
#include "tracer/scene.h"
#include "worker/cpus.h"

double cli_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_cpu_name(char name[128])
{
    char line[512];
    (void)snprintf(name, 128, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) != 0 || !value) continue;
        value[strcspn(value, "\n")] = 0;
        (void)snprintf(name, 128, "%.120s", value + 2);
        break;
    }
    if (file) (void)fclose(file);
}

int cli_load_scene(mr_pack *pack, const char *path, mr_error *err)
{
    const mr_scene_options options = {.threads = (int)wk_cpu_count(), .quality = MR_BVH_MEDIUM, .import = import_isolated};
    return mr_scene_load(pack, path, &options, err);
}

int cli_load_sent(mr_pack *pack, const char *path, mr_error *err)
{
    const mr_scene_options options = {.threads = (int)wk_cpu_count(), .quality = MR_BVH_MEDIUM, .import = import_isolated_alone};
    return mr_scene_load(pack, path, &options, err);
}

/* A scene that is loaded by a thread of its own. */
typedef struct load {
    mr_pack *pack;
    const char *path;
    mr_error err;
    int status;
    volatile int done; /* accessed with __atomic */
} load;

static void *load_thread(void *user)
{
    load *l = user;
    l->status = cli_load_scene(l->pack, l->path, &l->err);
    __atomic_store_n(&l->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

int cli_load_scene_pumped(mr_pack *pack, const char *path, cli_pump pump, void *user, mr_error *err)
{
    load l = {.pack = pack, .path = path};
    pthread_t thread;
    if (pthread_create(&thread, NULL, load_thread, &l) != 0) return mr_fail(err, MR_FAILED, "cannot start a thread");
    int status = MR_OK;
    while (status == MR_OK && !__atomic_load_n(&l.done, __ATOMIC_ACQUIRE)) status = pump(user, err);
    (void)pthread_join(thread, NULL);
    if (l.status != MR_OK) return mr_fail(err, l.status, "%s", l.err.text);
    if (status != MR_OK) mr_pack_close(pack);
    return status;
}

mr_picture cli_resolve_picture(const cli_picture *asked, const mr_pack *pack)
{
    const mr_settings *scene = pack->settings;
    return (mr_picture){.width = asked->size[0] ? asked->size[0] : scene->width,
                        .height = asked->size[1] ? asked->size[1] : scene->height,
                        .spp = asked->spp ? asked->spp : scene->spp,
                        .seed = asked->seed};
}

int cli_pick_kernel(const mr_kernel **kernel, mr_error *err)
{
    const char *name = getenv("MOBYRAY_KERNEL");
    return mr_kernel_pick(kernel, name && *name ? name : NULL, err);
}

/* The last part of path, without the slashes behind it. */
static const char *last_part(const char *path, size_t *length)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') start--;
    *length = end - start;
    return path + start;
}

int cli_default_output(const char **out, const char *scene, mr_error *err)
{
    static char name[512];
    char *real = realpath(scene, NULL); /* "." has a name, too */
    if (!real) return mr_fail(err, MR_BAD_INPUT, "%s: %s", scene, strerror(errno));
    size_t length;
    const char *part = last_part(real, &length);
    if (length == strlen("scene.json") && !strcmp(part, "scene.json") && part - real > 1) {
        real[part - real - 1] = 0;
        part = last_part(real, &length);
    }
    const char *dot = memrchr(part, '.', length);
    struct stat info;
    if (dot && dot > part && stat(scene, &info) == 0 && S_ISREG(info.st_mode)) length = (size_t)(dot - part);
    (void)snprintf(name, sizeof name, "%.*s.png", (int)(length < 500 ? length : 500), part);
    free(real);
    *out = name;
    return MR_OK;
}

const char *cli_scene_name(const char *scene)
{
    static char name[64];
    const char *file;
    if (cli_default_output(&file, scene, NULL) != MR_OK) return "";
    (void)snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - strlen(".png")), file);
    return name;
}

int cli_check_writable(const char *path, mr_error *err)
{
    char probe[4096];
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode))
        return mr_fail(err, MR_FAILED, "%s: cannot be written: not a file", path);
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    if (snprintf(probe, sizeof probe, "%.*s.mobyray-XXXXXX", folder, path) >= (int)sizeof probe)
        return mr_fail(err, MR_FAILED, "%s: cannot be written: the name is too long", path);
    int file = mkstemp(probe);
    if (file < 0) return mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    (void)close(file);
    (void)unlink(probe);
    return MR_OK;
}

int cli_check_output(const char *path, mr_error *err)
{
    int status = mr_film_format_check(path, err);
    return status == MR_OK ? cli_check_writable(path, err) : status;
}

int cli_write_bytes(const char *path, const void *bytes, size_t size_bytes, mr_error *err)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return mr_fail(err, MR_FAILED, "%s: cannot be written: the name is too long", path);
    int file = mkstemp(temporary);
    if (file < 0) return mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    mode_t mask = umask(0);
    (void)umask(mask);
    FILE *stream = fdopen(file, "w");
    int failed = !stream || fwrite(bytes, 1, size_bytes, stream) != size_bytes || fchmod(file, 0666 & ~mask) != 0;
    if (stream ? fclose(stream) != 0 : close(file) != 0) failed = 1;
    if (!failed && rename(temporary, path) == 0) return MR_OK;
    (void)unlink(temporary);
    return mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno));
}

int cli_write_file(const char *path, const char *text, mr_error *err)
{
    char *line;
    int length = asprintf(&line, "%s\n", text);
    if (length < 0) return mr_fail(err, MR_FAILED, "%s: no memory", path);
    int status = cli_write_bytes(path, line, (size_t)length, err);
    free(line);
    return status;
}
