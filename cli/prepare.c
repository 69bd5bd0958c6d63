/* mobyray prepare: a folder for pictures that the cluster's user can write to and the caller owns. What compose.yaml once needed a shell for. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static uint32_t group = 65532; /* of the image's user: docker/Dockerfile */

static const arg_option options[] = {
    {"group", 0, ARG_COUNT, &group, 0, INT32_MAX, "GID", "the group that may write there (default: 65532, the container image's)"}, {.name = NULL}};

/* Opens the folder that path is in and finds path's last name; path is cut at it, slashes behind it do not count. */
static int open_parent(char *path, const char **name, int *parent, mr_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = 0;
    char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!**name || !strcmp(*name, ".") || !strcmp(*name, "..")) return mr_fail(err, MR_USAGE, "'%.200s': expected the name of a folder to make", path);
    if (slash) *slash = 0;
    const char *folder = !slash ? "." : slash == path ? "/" : path;
    *parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *parent < 0 ? mr_fail(err, MR_FAILED, "%s: cannot be opened: %s", folder, strerror(errno)) : MR_OK;
}

/* Makes the folder where there is none, and gives it away: to the owner of its parent, so that whoever called can remove what will be in it.
 * A symbolic link in its place is refused: this runs as root, beside files of somebody else. */
static int prepare(int parent, const char *name, mr_error *err)
{
    struct stat owner, found;
    if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST) return mr_fail(err, MR_FAILED, "%s: cannot be made: %s", name, strerror(errno));
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return mr_fail(err, MR_FAILED, "%s: is not a folder: %s", name, strerror(errno));
    int failed = fstat(parent, &owner) != 0 || fchown(folder, owner.st_uid, (gid_t)group) != 0 || fstat(folder, &found) != 0 ||
                 fchmod(folder, (found.st_mode & 07777) | 0775) != 0;
    int status = failed ? mr_fail(err, MR_FAILED, "%s: cannot be given to user %u, group %u: %s", name, (unsigned)owner.st_uid, group, strerror(errno)) : MR_OK;
    (void)close(folder);
    return status;
}

static int run_prepare(const arg_result *args, mr_error *err)
{
    char path[4096];
    const char *name;
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no DIR given: which folder?");
    if (strlen(args->positional[0]) >= sizeof path) return mr_fail(err, MR_USAGE, "%.99s...: too long a name", args->positional[0]);
    memcpy(path, args->positional[0], strlen(args->positional[0]) + 1);
    int parent = -1, status = open_parent(path, &name, &parent, err);
    if (status != MR_OK) return status;
    status = prepare(parent, name, err);
    (void)close(parent);
    return status;
}

const cli_command prepare_command = {
    "prepare",
    "make a folder that containers can write pictures to",
    "DIR [OPTIONS]",
    "Makes DIR where there is none, gives it to the owner of the folder it is in and to the group of the container image's user, and lets both write.\n"
    "compose.yaml runs it once, as root with no other right, before the coordinator starts. A DIR that is a symbolic link is refused.",
    options,
    1,
    run_prepare};
