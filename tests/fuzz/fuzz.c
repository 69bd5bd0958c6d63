#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tracer/kernel.h"
#include "tracer/pack.h"
#include "tracer/render.h"

static char folder[64];

static void remove_folder(void)
{
    const struct dirent *entry;
    DIR *list = opendir(folder);
    while (list && (entry = readdir(list))) (void)unlinkat(dirfd(list), entry->d_name, 0);
    if (list) (void)closedir(list);
    (void)rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (folder[0]) return folder;
    (void)snprintf(folder, sizeof folder, "%s/mobyray-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    MUST(mkdtemp(folder));
    MUST(atexit(remove_folder) == 0);
    return folder;
}

const char *fuzz_file(const uint8_t *bytes, size_t size, const char *ending)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/input%s", fuzz_folder(), ending);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0);
    return path;
}

void fuzz_trace(const mr_pack *pack)
{
    enum { SIDE = 3 };
    uint64_t sums[3 * SIDE * SIDE];
    const mr_picture picture = {.width = SIDE, .height = SIDE, .spp = 1, .seed = 1};
    const mr_tile tile = {0, 0, SIDE, SIDE, 0, 1};
    mr_renderer *renderer = mr_renderer_new(pack, mr_kernel_at(0));
    if (renderer) MUST(mr_render_tile(renderer, &picture, &tile, sums, NULL, NULL) == MR_OK);
    mr_renderer_free(renderer);
}
