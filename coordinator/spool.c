/* See coordinator/spool.h. */
#include "coordinator/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct co_spool {
    int file;
    uint64_t end;
    co_kept *kept;
    size_t count, capacity;
};

static int nameless_file(void)
{
    const char *folder = getenv("TMPDIR");
    int file = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return file >= 0 ? file : memfd_create("mobyray-results", MFD_CLOEXEC);
}

int co_spool_open(co_spool **out, mr_error *err)
{
    co_spool *s = calloc(1, sizeof *s);
    if (!s) return mr_fail(err, MR_FAILED, "no memory for a file of results");
    s->file = nameless_file();
    if (s->file < 0) {
        free(s);
        return mr_fail(err, MR_FAILED, "no file for the results of a job that is verified: %s", strerror(errno));
    }
    *out = s;
    return MR_OK;
}

void co_spool_close(co_spool *s)
{
    if (!s) return;
    (void)close(s->file);
    free(s->kept);
    free(s);
}

static int write_all(int file, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t written = pwrite(file, bytes, size, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return -1;
        bytes += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
    return 0;
}

int co_spool_add(co_spool *s, const co_kept *kept, const void *bytes)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 256;
        co_kept *grown = realloc(s->kept, capacity * sizeof *grown);
        if (!grown) return -1;
        s->kept = grown;
        s->capacity = capacity;
    }
    if (write_all(s->file, bytes, kept->size_bytes, s->end)) return -1;
    s->kept[s->count] = *kept;
    s->kept[s->count++].offset = s->end;
    s->end += kept->size_bytes;
    return 0;
}

co_kept *co_spool_last(co_spool *s) { return s->count ? &s->kept[s->count - 1] : NULL; }

void co_spool_drop_last(co_spool *s)
{
    if (s->count) s->end = s->kept[--s->count].offset;
}

co_kept *co_spool_next(co_spool *s, uint32_t who, size_t *at)
{
    while (*at < s->count) {
        co_kept *kept = &s->kept[(*at)++];
        if (kept->who == who && kept->bands) return kept;
    }
    return NULL;
}

int co_spool_read(const co_spool *s, const co_kept *kept, void *bytes)
{
    size_t done = 0;
    while (done < kept->size_bytes) {
        ssize_t got = pread(s->file, (uint8_t *)bytes + done, kept->size_bytes - done, (off_t)(kept->offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        done += (size_t)got;
    }
    return 0;
}
