#include "cli/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "coordinator/http.h"

enum {
    STEP_MS = 50,        /* longest wait of one pump: how late a dead child is noticed */
    JOIN_MS = 5000,      /* embedded_wait_joined */
    DISMISS_MS = 200,    /* for the last message to leave */
    LEAVE_MS = 3000,     /* for a dismissed worker to end; then it is killed */
    REPLACEMENTS_EACH = 3 /* dead workers replaced before we give up, for each worker asked for */
};

struct embedded {
    co_server *server;
    progress *bar;
    char folder[64], endpoint[96], threads[16], key[32];
    int key_file;    /* in memory, holds the workers' key; + 1, 0: none */
    unsigned workers, replacements, leaving_count;
    pid_t *children; /* 0: gone and not replaced */
    pid_t *leaving;  /* told to */
    embedded_ways ways;
    const co_job_options *options;
    const char *scene;
    uint64_t job;    /* 0: none */
};

/* Between fork and exec: async-signal-safe calls only. An own process group keeps the terminal's Ctrl-C from the child: the parent
 * decides what it means. */
static void become_worker(const embedded *e, pid_t parent)
{
    static const char self[] = "/proc/self/exe";
    const char *const argv[] = {"mobyray", "worker",  "--coordinator", e->endpoint,       "--key",   e->key, "--threads",
                                e->threads, "--packs", e->folder,       "--packs-checked", "--quiet", e->ways.null ? "--null" : NULL, NULL};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(MR_FAILED); /* it died before prctl */
    (void)setpgid(0, 0);
    signals_reset();
    (void)fcntl(e->key_file - 1, F_SETFD, 0); /* inherited */
    (void)execv(self, (char *const *)(uintptr_t)argv);
    _exit(MR_FAILED);
}

static int start_child(embedded *e, unsigned i, mr_error *err)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0) return mr_fail(err, MR_FAILED, "cannot start a worker process: %s", strerror(errno));
    if (child == 0) become_worker(e, parent);
    e->children[i] = child;
    return MR_OK;
}

/* A file in memory with the workers' key. A child opens it by the name of the descriptor that it inherits. */
static int share_key(embedded *e, const key_file *key, mr_error *err)
{
    char text[KEY_TEXT_MAX];
    size_t size = keys_print(key, text);
    int file = memfd_create("mobyray-key", MFD_CLOEXEC), good = file >= 0 && fchmod(file, 0600) == 0 && write(file, text, size) == (ssize_t)size;
    sodium_memzero(text, sizeof text);
    e->key_file = file + 1;
    (void)snprintf(e->key, sizeof e->key, "/proc/self/fd/%d", file);
    return good ? MR_OK : mr_fail(err, MR_FAILED, "no file in memory for a key: %s", strerror(errno));
}

/* Keys for this one cluster: the server's, and one pair for all its workers. */
static int listen_with_keys(embedded *e, mr_error *err)
{
    key_file worker = {.role = "worker"};
    wire_permit permit = {.roles = WIRE_ROLE_WORKER, .name = "worker"};
    co_keys keys = {.permits = &permit, .permit_count = 1};
    const co_config config = {.endpoint = e->endpoint, .keys = &keys, .null_workers = e->ways.null, .slice = e->ways.slice, .slice_user = e->ways.user,
                              .board = co_http_board(e->ways.http), .mailbox = co_http_mailbox(e->ways.http)};
    int status = keys_make(keys.open, keys.secret, err);
    if (status == MR_OK) status = keys_make(worker.keys.open, worker.keys.secret, err);
    memcpy(worker.keys.coordinator, keys.open, sizeof keys.open);
    memcpy(permit.key, worker.keys.open, sizeof permit.key);
    if (status == MR_OK) status = share_key(e, &worker, err);
    if (status == MR_OK) status = co_server_open(&e->server, &config, err);
    sodium_memzero(&worker, sizeof worker);
    sodium_memzero(&keys, sizeof keys);
    return status;
}

static int open_server(embedded *e, mr_error *err)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base || strlen(base) > sizeof e->folder - sizeof "/mobyray-XXXXXX") base = "/tmp";
    (void)snprintf(e->folder, sizeof e->folder, "%s/mobyray-XXXXXX", base);
    if (!mkdtemp(e->folder)) {
        int result = mr_fail(err, MR_FAILED, "%s: cannot be made: %s", e->folder, strerror(errno));
        e->folder[0] = 0;
        return result;
    }
    (void)snprintf(e->endpoint, sizeof e->endpoint, "ipc://%s/coordinator", e->folder);
    return listen_with_keys(e, err);
}

static int add_child(embedded *e, mr_error *err)
{
    pid_t *children = realloc(e->children, (e->workers + 1) * sizeof *children);
    if (!children) return mr_fail(err, MR_FAILED, "out of memory");
    e->children = children;
    e->children[e->workers] = 0;
    int status = start_child(e, e->workers, err);
    if (status == MR_OK) e->workers++;
    return status;
}

static int dismiss_child(embedded *e, mr_error *err)
{
    pid_t *leaving = realloc(e->leaving, (e->leaving_count + 1) * sizeof *leaving), child = e->children[e->workers - 1];
    if (!leaving) return mr_fail(err, MR_FAILED, "out of memory");
    e->leaving = leaving;
    e->workers--;
    if (child <= 0) return MR_OK;
    e->leaving[e->leaving_count++] = child;
    (void)kill(child, SIGTERM);
    return MR_OK;
}

int embedded_scale(embedded *e, unsigned workers, mr_error *err)
{
    int status = MR_OK;
    e->replacements = REPLACEMENTS_EACH * workers;
    while (status == MR_OK && e->workers > workers) status = dismiss_child(e, err);
    while (status == MR_OK && e->workers < workers) status = add_child(e, err);
    return status;
}

co_server *embedded_server(embedded *e) { return e->server; }
uint64_t embedded_job(const embedded *e) { return e->job; }

int embedded_start(embedded **out, unsigned workers, unsigned threads, progress *bar, mr_error *err)
{
    const embedded_ways ways = {.null = 0};
    return embedded_start_so(out, workers, threads, &ways, bar, err);
}

int embedded_start_so(embedded **out, unsigned workers, unsigned threads, const embedded_ways *ways, progress *bar, mr_error *err)
{
    embedded *e = calloc(1, sizeof *e);
    if (!e) return mr_fail(err, MR_FAILED, "out of memory");
    e->bar = bar;
    e->ways = *ways;
    (void)snprintf(e->threads, sizeof e->threads, "%u", threads);
    int status = open_server(e, err);
    if (status == MR_OK) status = embedded_scale(e, workers, err);
    if (status == MR_OK) *out = e;
    else embedded_stop(e);
    return status;
}

static void describe_death(char *text, size_t size, pid_t child, int how, int replaced)
{
    const char *then = replaced ? "another takes its place" : "it is not replaced";
    if (WIFSIGNALED(how))
        (void)snprintf(text, size, "worker process %d was ended by signal %d; %s", (int)child, WTERMSIG(how), then);
    else (void)snprintf(text, size, "worker process %d ended with code %d; %s", (int)child, WEXITSTATUS(how), then);
}

static void reap_leaving(embedded *e)
{
    for (unsigned i = 0; i < e->leaving_count;) {
        if (waitpid(e->leaving[i], NULL, WNOHANG) == e->leaving[i]) e->leaving[i] = e->leaving[--e->leaving_count];
        else i++;
    }
}

/* Looks after the children; MR_FAILED when none is left and none may be started any more. */
static int replace_dead(embedded *e, mr_error *err)
{
    unsigned alive = 0;
    reap_leaving(e);
    for (unsigned i = 0; i < e->workers; i++) {
        int how;
        if (e->children[i] > 0 && waitpid(e->children[i], &how, WNOHANG) == e->children[i]) {
            char text[128];
            describe_death(text, sizeof text, e->children[i], how, e->replacements > 0);
            progress_say(e->bar, text);
            e->children[i] = 0;
            if (e->replacements) {
                e->replacements--;
                int status = start_child(e, i, err);
                if (status != MR_OK) return status;
            }
        }
        alive += e->children[i] > 0;
    }
    return alive || !e->workers ? MR_OK : mr_fail(err, MR_FAILED, "every worker process has died, the last replacement too");
}

int embedded_pump(void *user, mr_error *err)
{
    embedded *e = user;
    if (signals_stop) return mr_fail(err, MR_INTERRUPTED, "interrupted");
    int status = co_server_step(e->server, STEP_MS, err);
    return status == MR_OK ? replace_dead(e, err) : status;
}

int embedded_wait_joined(embedded *e, mr_error *err)
{
    double until = cli_now() + JOIN_MS * 1e-3;
    int status = MR_OK;
    while (status == MR_OK && (co_server_worker_count(e->server) != e->workers || e->leaving_count) && cli_now() < until) status = embedded_pump(e, err);
    return status;
}

static int pump_to_end(embedded *e, co_job_status *status, mr_error *err)
{
    int result = MR_OK;
    for (;;) {
        if (result == MR_OK && co_server_status(e->server, e->job, status) != MR_OK)
            result = mr_fail(err, MR_FAILED, "the job has vanished");
        if (result != MR_OK || status->state > CO_JOB_RUNNING) return result;
        if (e->bar) progress_update(e->bar, status);
        result = embedded_pump(e, err);
    }
}

/* Lays the pack into the workers' folder of packs: on one machine a file in the page cache is shared, where the wire would copy it
 * to each worker. Written under another name first, so that no worker sees half of it. If it cannot be, the wire will do. */
void embedded_share(embedded *e, const mr_pack *pack)
{
    char hex[2 * MR_HASH_BYTES + 1], path[192], temporary[192];
    mr_hash_hex(pack->header->hash, hex);
    (void)snprintf(path, sizeof path, "%s/%s.pack", e->folder, hex);
    (void)snprintf(temporary, sizeof temporary, "%s/sharing", e->folder);
    if (access(path, F_OK) == 0) return;
    FILE *file = fopen(temporary, "wb");
    if (!file) return;
    int whole = fwrite(pack->base, 1, pack->size_bytes, file) == pack->size_bytes;
    if (fclose(file) != 0 || !whole || rename(temporary, path) != 0) (void)unlink(temporary);
}

void embedded_set(embedded *e, const co_job_options *options, const char *scene)
{
    e->options = options;
    e->scene = scene;
}

int embedded_render(embedded *e, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const mr_film **film,
                    co_job_status *status, mr_error *err)
{
    if (e->job) co_server_forget(e->server, e->job);
    e->job = 0;
    embedded_share(e, pack);
    int result = co_server_submit_to(e->server, pack, picture, tile, e->options, NULL, &e->job, err);
    if (result == MR_OK) result = pump_to_end(e, status, err);
    if (result != MR_OK) return result;
    if (status->state != CO_JOB_DONE) return report_failure(e->server, e->job, status, e->scene ? e->scene : "SCENE", picture, err);
    *film = co_server_film(e->server, e->job);
    return MR_OK;
}

static unsigned count_children(embedded *e)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < e->workers; i++) {
        if (e->children[i] > 0 && waitpid(e->children[i], NULL, WNOHANG) != 0) e->children[i] = 0;
        alive += e->children[i] > 0;
    }
    reap_leaving(e);
    return alive + e->leaving_count;
}

static void signal_children(const embedded *e, int number)
{
    for (unsigned i = 0; i < e->workers; i++)
        if (e->children[i] > 0) (void)kill(e->children[i], number);
    for (unsigned i = 0; i < e->leaving_count; i++) (void)kill(e->leaving[i], number);
}

/* Ends the children: a word first; SIGTERM for those that have not joined yet and so cannot hear it; and for those that take too long, or
 * when we are told to stop, SIGKILL: they hold nothing that matters. */
static void end_children(embedded *e)
{
    const struct timespec moment = {0, 1000000};
    double until = cli_now() + LEAVE_MS * 1e-3;
    if (e->server && !signals_stop) {
        co_server_dismiss(e->server, DISMISS_MS);
        signal_children(e, SIGTERM);
        while (count_children(e) && cli_now() < until && !signals_stop) (void)nanosleep(&moment, NULL);
    }
    signal_children(e, SIGKILL);
    for (unsigned i = 0; i < e->workers; i++)
        if (e->children[i] > 0) (void)waitpid(e->children[i], NULL, 0);
    for (unsigned i = 0; i < e->leaving_count; i++) (void)waitpid(e->leaving[i], NULL, 0);
}

/* The socket, the packs, and the folder itself. */
static void remove_folder(const char *folder)
{
    const struct dirent *entry;
    DIR *list = opendir(folder);
    while (list && (entry = readdir(list))) (void)unlinkat(dirfd(list), entry->d_name, 0);
    if (list) (void)closedir(list);
    (void)rmdir(folder);
}

void embedded_stop(embedded *e)
{
    if (!e) return;
    end_children(e);
    if (e->server) co_server_close(e->server);
    if (e->folder[0]) remove_folder(e->folder);
    if (e->key_file) (void)close(e->key_file - 1);
    free(e->children);
    free(e->leaving);
    free(e);
}
