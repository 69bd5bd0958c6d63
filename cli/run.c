#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/signals.h"

enum { LAST_WORDS = 400, POLL_MS = 200 };

typedef struct reader { /* of one of its streams */
    int fd;
    char *text;
    size_t size, used;
    int keep_last; /* the end matters, not the beginning */
} reader;

/* Between fork and exec. */
static void become(const char *const *command, char *const *environment, int out, int err_fd)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    signals_reset();
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(err_fd, STDERR_FILENO) < 0) _exit(127);
    (void)execvpe(command[0], (char *const *)(uintptr_t)command, environment);
    _exit(127);
}

/* Our environment with `more` before it: who looks a name up finds the first. NULL without memory. */
static char **join(const char *const *more)
{
    extern char **environ;
    size_t count = 0, extra = 0;
    while (environ[count]) count++;
    while (more && more[extra]) extra++;
    char **all = calloc(count + extra + 1, sizeof *all);
    if (!all) return NULL;
    for (size_t i = 0; i < extra; i++) all[i] = (char *)(uintptr_t)more[i];
    for (size_t i = 0, at = extra; i < count; i++) {
        int other = 0;
        for (size_t k = 0; k < extra && !other; k++) other = !strncmp(environ[i], more[k], strcspn(more[k], "=") + 1);
        if (!other) all[at++] = environ[i];
    }
    return all;
}

static void take(reader *r)
{
    char bytes[4096];
    ssize_t got = read(r->fd, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) {
        (void)close(r->fd);
        r->fd = -1;
        return;
    }
    for (ssize_t i = 0; i < got; i++) {
        if (r->used + 1 >= r->size && r->keep_last) {
            memmove(r->text, r->text + r->size / 2, r->used - r->size / 2);
            r->used -= r->size / 2;
        }
        if (r->used + 1 < r->size) r->text[r->used++] = bytes[i];
    }
    r->text[r->used] = 0;
}

static void read_all(reader *out, reader *errors, pid_t child)
{
    int told = 0;
    while (out->fd >= 0 || errors->fd >= 0) {
        struct pollfd fds[2] = {{.fd = out->fd, .events = POLLIN}, {.fd = errors->fd, .events = POLLIN}};
        (void)poll(fds, 2, POLL_MS);
        if (fds[0].revents && out->fd >= 0) take(out);
        if (fds[1].revents && errors->fd >= 0) take(errors);
        if (signals_stop && !told) told = kill(child, SIGTERM) == 0 || 1;
    }
}

static int verdict(const char *name, int how, const char *last, mr_error *err)
{
    if (signals_stop) return mr_fail(err, MR_INTERRUPTED, "interrupted");
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return MR_OK;
    if (WIFEXITED(how) && WEXITSTATUS(how) == 127 && !last[0]) return mr_fail(err, MR_FAILED, "%s: cannot be run", name);
    return mr_fail(err, MR_FAILED, "%s failed: %s", name, last[0] ? last : "it says nothing");
}

int cli_run(const char *const *command, const char *const *environment, char *text, size_t size, mr_error *err)
{
    int out[2] = {-1, -1}, errors[2] = {-1, -1}, how = 0;
    char last[LAST_WORDS] = "", nothing[2] = "";
    char **all = join(environment);
    if (!all || pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC)) {
        free(all);
        return mr_fail(err, MR_FAILED, "%s: cannot be run: %s", command[0], strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) become(command, all, text ? out[1] : STDERR_FILENO, errors[1]);
    (void)close(out[1]);
    (void)close(errors[1]);
    free(all);
    reader words = {.fd = out[0], .text = text ? text : nothing, .size = text ? size : sizeof nothing},
        ends = {.fd = errors[0], .text = last, .size = sizeof last, .keep_last = 1};
    words.text[0] = 0;
    if (child > 0) read_all(&words, &ends, child);
    if (child < 0) {
        (void)close(out[0]);
        (void)close(errors[0]);
    }
    while (child > 0 && waitpid(child, &how, 0) < 0 && errno == EINTR) {}
    while (strlen(last) && strchr("\r\n ", last[strlen(last) - 1])) last[strlen(last) - 1] = 0;
    return child < 0 ? mr_fail(err, MR_FAILED, "%s: cannot be run: %s", command[0], strerror(errno)) : verdict(command[0], how, last, err);
}
