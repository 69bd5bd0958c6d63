/* mobyray keygen: makes the keys of a cluster, or one more worker's or client's. What is there already is never written over. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/keys.h"

enum { PATH_BYTES = 4096 };

static const char *worker, *client;
static int once, own;

static const arg_option options[] = {
    {"worker", 0, ARG_TEXT, &worker, 0, 0, "NAME", "add one more worker's key: DIR/worker/NAME.key"},
    {"client", 0, ARG_TEXT, &client, 0, 0, "NAME", "add one more client's key: DIR/client/NAME.key"},
    {"own", 0, ARG_FLAG, &own, 0, 0, "", "with --worker: the key is for this worker alone (see below)"},
    {"once", 0, ARG_FLAG, &once, 0, 0, "", "be content when DIR has its keys already"},
    {.name = NULL}};

static int make_folder(const char *path, mr_error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) return MR_OK;
    return mr_fail(err, MR_FAILED, "%s: cannot be made: %s", path, strerror(errno));
}

/* A new file of that mode, on disk as a whole or not at all; MR_FAILED when there is one. */
static int write_new(const char *path, const char *text, size_t size, mode_t mode, mr_error *err)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (file < 0 && errno == EEXIST) return mr_fail(err, MR_FAILED, "%s: is there already, and keys are never written over", path);
    if (file < 0) return mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    int failed = write(file, text, size) != (ssize_t)size || fsync(file) != 0;
    if (close(file) != 0 || failed) {
        (void)unlink(path);
        return mr_fail(err, MR_FAILED, "%s: cannot be written", path);
    }
    return MR_OK;
}

/* DIR/ROLE/NAME.key, its folders made. */
static int key_path(char path[PATH_BYTES], const char *dir, const char *role, const char *name, mr_error *err)
{
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, role) >= PATH_BYTES - 80) return mr_fail(err, MR_USAGE, "%.99s...: too long a name", dir);
    int status = make_folder(dir, err);
    if (status == MR_OK) status = make_folder(path, err);
    size_t used = strlen(path);
    (void)snprintf(path + used, PATH_BYTES - used, "/%s.key", name);
    return status;
}

static int write_key(const char *dir, key_file *key, const char *name, mr_error *err)
{
    char path[PATH_BYTES], text[KEY_TEXT_MAX];
    int status = key_path(path, dir, key->role, name, err);
    size_t size = keys_print(key, text);
    if (status == MR_OK) status = write_new(path, text, size, 0600, err);
    sodium_memzero(text, sizeof text);
    sodium_memzero(key->keys.secret, sizeof key->keys.secret);
    if (status == MR_OK) printf("%s\n", path);
    return status;
}

/* A worker's or client's key file, and what lets it in. */
static int make_member(const char *dir, const char *role, const char *name, const uint8_t coordinator[WIRE_KEY_BYTES], wire_permit *permit, mr_error *err)
{
    key_file key = {.role = ""};
    *permit = (wire_permit){.roles = !strcmp(role, "worker") ? WIRE_ROLE_WORKER : WIRE_ROLE_CLIENT, .own = (uint8_t)own};
    (void)snprintf(key.role, sizeof key.role, "%s", role);
    (void)snprintf(permit->name, sizeof permit->name, "%s", name);
    int status = keys_make(key.keys.open, key.keys.secret, err);
    if (status != MR_OK) return status;
    memcpy(key.keys.coordinator, coordinator, WIRE_KEY_BYTES);
    memcpy(permit->key, key.keys.open, WIRE_KEY_BYTES);
    return write_key(dir, &key, name, err);
}

/* The coordinator's key comes last: a set that was cut short shows. */
static int make_all(const char *dir, mr_error *err)
{
    key_file key = {.role = "coordinator"};
    char path[PATH_BYTES], worker_line[160], client_line[160], text[512];
    wire_permit first, second;
    int status = keys_make(key.keys.open, key.keys.secret, err);
    if (status == MR_OK) status = make_member(dir, "worker", "worker", key.keys.open, &first, err);
    if (status == MR_OK) status = make_member(dir, "client", "client", key.keys.open, &second, err);
    if (status == MR_OK) status = key_path(path, dir, "coordinator", "coordinator", err);
    if (status == MR_OK) {
        keys_print_permit(&first, worker_line, sizeof worker_line);
        keys_print_permit(&second, client_line, sizeof client_line);
        (void)snprintf(path, sizeof path, "%s/coordinator/allowed", dir);
        int size = snprintf(text, sizeof text, "# who may talk to this coordinator: role, public key, name; read again when it changes\n%s%s", worker_line, client_line);
        status = write_new(path, text, (size_t)size, 0644, err);
    }
    if (status == MR_OK) printf("%s\n", path);
    if (status == MR_OK) status = write_key(dir, &key, "coordinator", err);
    sodium_memzero(&key, sizeof key);
    return status;
}

static int add_member(const char *dir, const char *role, const char *name, mr_error *err)
{
    uint8_t coordinator[WIRE_KEY_BYTES];
    wire_permit permit;
    int status = keys_check_name(!strcmp(role, "worker") ? "--worker" : "--client", name, err);
    if (status == MR_OK) status = keys_load_public(dir, coordinator, err);
    if (status == MR_OK) status = make_member(dir, role, name, coordinator, &permit, err);
    return status == MR_OK ? keys_let_in(dir, &permit, err) : status;
}

static int run_keygen(const arg_result *args, mr_error *err)
{
    char path[PATH_BYTES];
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no DIR given: where shall the keys be?");
    const char *dir = args->positional[0];
    (void)umask(0022);
    if (worker && client) return mr_fail(err, MR_USAGE, "--worker and --client exclude each other");
    if (own && !worker) return mr_fail(err, MR_USAGE, "--own goes with --worker: a key that many share is nobody's own");
    if (worker || client) return add_member(dir, worker ? "worker" : "client", worker ? worker : client, err);
    if (once && snprintf(path, sizeof path, "%s/coordinator/coordinator.key", dir) < (int)sizeof path && access(path, F_OK) == 0) return MR_OK;
    return make_all(dir, err);
}

const cli_command keygen_command = {
    "keygen",
    "make the keys of a cluster",
    "DIR [OPTIONS]",
    "Writes DIR/coordinator (its key, and the list of those it lets in), DIR/worker and DIR/client (a key each), all readable by you alone. Give\n"
    "DIR, or one role's folder of it, to coordinator, worker and `render --cluster` as --key. A worker's key cannot submit or cancel jobs, a\n"
    "client's cannot work. --worker and --client add further keys; to shut one out, remove its line from DIR/coordinator/allowed, which a\n"
    "running coordinator reads again. `mobyray token` makes a worker's key and the coordinator's address one word.\n"
    "DIR/worker's key is for any number of workers. One made with --own is one machine's: with `--verify`, all workers that hold it count as one (they\n"
    "do not check each other), and when one of them lies, all they did is done again and the key gets nobody in any more.",
    options,
    1,
    run_keygen};
