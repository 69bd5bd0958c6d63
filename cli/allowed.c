/* See cli/allowed.h. A file is another one when its inode, size or time is: a mounted secret is exchanged through a symbolic link, an editor renames. */
#include "cli/allowed.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define LOOK_S 0.2 /* who was given a token just now should not be turned away */

void allowed_start(allowed *a)
{
    if (stat(a->list, &a->seen) != 0) memset(&a->seen, 0, sizeof a->seen);
    a->looked_s = cli_now();
}

static int same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int allowed_look(allowed *a, co_server *server, char *line, size_t size)
{
    struct stat before = a->seen;
    mr_error err;
    co_keys keys;
    if (!a->list[0] || cli_now() - a->looked_s < LOOK_S) return 0;
    allowed_start(a);
    if (same(&before, &a->seen)) return 0;
    int status = keys_load_list(a->list, &keys, &err);
    uint32_t count = keys.permit_count;
    if (status == MR_OK) status = co_server_allow(server, keys.permits, count, &err);
    keys_wipe(&keys);
    if (status == MR_OK) (void)snprintf(line, size, "%.300s has changed: %u key%s let in from now on", a->list, count, count == 1 ? " is" : "s are");
    else (void)snprintf(line, size, "the former list of keys stays in force: %.400s", err.text);
    return 1;
}
