/* See cli/import.h.
 *
 * The parent starts itself anew (posix_spawn: other threads may run, so nothing is done between fork and exec) with a file in memory for the answer: a status,
 * then the model's bytes or the text of the error. The child limits its own memory and time before assimp sees the file. The parent believes
 * nothing of the answer (tracer/scene/model_bytes.c). */
#include "cli/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tracer/scene/model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

extern char **environ;

const char import_command[] = "import-model", import_alone_command[] = "import-model-alone";

/* What one import may take: far beyond what a good file needs, and what a small bad one gets before it is told off. A model brings buffers and
 * textures along, as a rule in its own folder. */
enum { TIME_S = 60, TIME_S_A_MIB = 2, WALL_TIMES = 4, MEMORY_GIB = 4, MEMORY_TIMES = 64, MEMORY_TIMES_FOLDER = 8 };

typedef struct limits {
    uint64_t memory_bytes, cpu_s;
} limits;

static uint64_t file_bytes(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, 0) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
}

/* Of all files in the folder of path. */
static uint64_t folder_bytes(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    const struct dirent *entry;
    uint64_t total = 0;
    (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    DIR *list = opendir(folder);
    while (list && (entry = readdir(list))) total += file_bytes(dirfd(list), entry->d_name);
    if (list) (void)closedir(list);
    return total;
}

static limits limits_for(const char *path)
{
    uint64_t size = file_bytes(AT_FDCWD, path), around = folder_bytes(path);
    return (limits){((uint64_t)MEMORY_GIB << 30) + MEMORY_TIMES * size + MEMORY_TIMES_FOLDER * around, TIME_S + TIME_S_A_MIB * ((size + around) >> 20)};
}

/* ---- the child ---- */

static void limit(int what, uint64_t value)
{
    const struct rlimit l = {.rlim_cur = value, .rlim_max = value};
    (void)setrlimit((__rlimit_resource_t)what, &l);
}

/* Sanitizers reserve terabytes of addresses. No core: it would be as large as the memory. The terminal's Ctrl-C is for the parent to answer. */
static void restrain(const char *path)
{
    const limits most = limits_for(path);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGALRM, SIG_DFL);
    if (!SANITIZED) limit(RLIMIT_AS, most.memory_bytes);
    limit(RLIMIT_CPU, most.cpu_s);
    limit(RLIMIT_CORE, 0);
    (void)alarm((unsigned)(WALL_TIMES * most.cpu_s));
}

int import_child(const char *path, int alone)
{
    mr_error err = {""};
    mr_model model = {0};
    restrain(path);
    uint32_t answer = (uint32_t)(alone ? mr_model_import_alone : mr_model_import_foreign)(&model, path, &err);
    if (lseek(IMPORT_FD, sizeof answer, SEEK_SET) < 0) return MR_FAILED;
    if (answer == MR_OK) answer = (uint32_t)mr_model_write(&model, IMPORT_FD, &err);
    mr_model_free(&model);
    if (answer != MR_OK && pwrite(IMPORT_FD, err.text, sizeof err.text, sizeof answer) < 0) return MR_FAILED;
    return pwrite(IMPORT_FD, &answer, sizeof answer, 0) == (ssize_t)sizeof answer ? MR_OK : MR_FAILED;
}

/* ---- the parent ---- */

/* What assimp and the C++ runtime print while they die helps nobody; a sanitizer's report does. */
static int spawn(pid_t *child, const char *command, const char *path, int answer)
{
    const char *const argv[] = {"mobyray", command, path, NULL};
    posix_spawn_file_actions_t files;
    if (posix_spawn_file_actions_init(&files)) return -1;
    int failed = posix_spawn_file_actions_adddup2(&files, answer, IMPORT_FD) ||
                 posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0) ||
                 posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) ||
                 (!SANITIZED && posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0)) ||
                 posix_spawn(child, "/proc/self/exe", &files, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    return failed ? -1 : 0;
}

static int died(const char *path, int how, mr_error *err)
{
    int number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    if (number == SIGXCPU || number == SIGALRM || number == SIGKILL)
        return mr_fail(err, MR_BAD_INPUT, "%s: not a model file that can be read: importing it takes more than %llu s", path,
                       (unsigned long long)limits_for(path).cpu_s);
    return mr_fail(err, MR_BAD_INPUT, "%s: not a model file that can be read: the importer for its format crashed on it (%s %d)", path,
                   number ? "signal" : "exit code", number ? number : WEXITSTATUS(how));
}

/* What the child left in the file: its status first, written last. A child that ended without one has not come to its end. */
static int take_answer(mr_model *model, int file, int how, const char *path, mr_error *err)
{
    uint32_t answer;
    char text[MR_ERROR_MAX] = "";
    if (lseek(file, 0, SEEK_SET) < 0 || read(file, &answer, sizeof answer) != (ssize_t)sizeof answer) return died(path, how, err);
    if (answer == MR_OK) return mr_model_read(model, file, path, err);
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    return mr_fail(err, answer == MR_BAD_INPUT ? MR_BAD_INPUT : MR_FAILED, "%s", text);
}

static int import_by(const char *command, mr_model *model, const char *path, mr_error *err)
{
    pid_t child;
    int how = 0, file = memfd_create("mobyray-model", MFD_CLOEXEC), status;
    /* A descriptor that is IMPORT_FD already would stay close-on-exec. */
    if (file == IMPORT_FD) {
        file = fcntl(file, F_DUPFD_CLOEXEC, IMPORT_FD + 1);
        (void)close(IMPORT_FD);
    }
    if (file < 0) return mr_fail(err, MR_FAILED, "%s: no file in memory for its import: %s", path, strerror(errno));
    if (spawn(&child, command, path, file)) {
        status = mr_fail(err, MR_FAILED, "%s: no process for its import: %s", path, strerror(errno));
    } else {
        while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
        }
        status = WIFEXITED(how) && WEXITSTATUS(how) == MR_OK ? take_answer(model, file, how, path, err) : died(path, how, err);
    }
    (void)close(file);
    return status;
}

int import_isolated(mr_model *model, const char *path, mr_error *err) { return import_by(import_command, model, path, err); }
int import_isolated_alone(mr_model *model, const char *path, mr_error *err) { return import_by(import_alone_command, model, path, err); }
