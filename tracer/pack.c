/* The pack as a blob: header, sections, files. Its hash is made in pack_hash.c. What the sections say is checked in pack_check.c. See pack.h. */
#include "tracer/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracer/pack_check.h"
#include "tracer/pages.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packs are little-endian and read in place");
_Static_assert(sizeof(mr_settings) == 200 && sizeof(mr_triangle) == 16 && sizeof(mr_vertex) == 36 && sizeof(mr_instance) == 128 &&
                   sizeof(mr_material) == 96 && sizeof(mr_texture) == 24 && sizeof(mr_light) == 48 && sizeof(mr_alias) == 8 &&
                   sizeof(mr_environment) == 64,
               "the layout is a file format: change MR_PACK_VERSION with it");

size_t mr_section_element_bytes(enum mr_section section)
{
    static const size_t bytes[MR_SECTION_COUNT] = {
        [MR_SECTION_SETTINGS] = sizeof(mr_settings),   [MR_SECTION_BVH] = 1,
        [MR_SECTION_TRIANGLES] = sizeof(mr_triangle),  [MR_SECTION_VERTICES] = sizeof(mr_vertex),
        [MR_SECTION_INSTANCES] = sizeof(mr_instance),  [MR_SECTION_MATERIALS] = sizeof(mr_material),
        [MR_SECTION_TEXTURES] = sizeof(mr_texture),    [MR_SECTION_TEXELS] = 1,
        [MR_SECTION_LIGHTS] = sizeof(mr_light),        [MR_SECTION_LIGHT_TABLE] = sizeof(mr_alias),
        [MR_SECTION_ENVIRONMENT] = sizeof(mr_environment), [MR_SECTION_ENV_TABLE] = sizeof(float),
    };
    return bytes[section];
}

void mr_hash_hex(const uint8_t hash[MR_HASH_BYTES], char hex[2 * MR_HASH_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MR_HASH_BYTES; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
    hex[2 * MR_HASH_BYTES] = 0;
}

/* ---- header and sections ---- */

static int check_header(const mr_pack_header *h, size_t size_bytes, const char *name, mr_error *err)
{
    if (memcmp(h->magic, MR_PACK_MAGIC, sizeof h->magic) != 0) return mr_fail(err, MR_BAD_INPUT, "%s: not a scene pack", name);
    if (h->version != MR_PACK_VERSION) return mr_fail(err, MR_BAD_INPUT, "%s: found pack version %u, expected %u", name, h->version, MR_PACK_VERSION);
    if (h->section_count != MR_SECTION_COUNT) return mr_fail(err, MR_BAD_INPUT, "%s: found %u sections, expected %d", name, h->section_count, MR_SECTION_COUNT);
    if (h->size_bytes != size_bytes)
        return mr_fail(err, MR_BAD_INPUT, "%s: found %zu bytes, expected %llu as the header says", name, size_bytes, (unsigned long long)h->size_bytes);
    return MR_OK;
}

/* Sections lie in order, aligned, without overlap, inside the pack. */
static int check_section(const mr_pack_header *h, enum mr_section s, uint64_t *end, const char *name, mr_error *err)
{
    uint64_t bytes, stop, offset = h->section[s].offset;
    if (__builtin_mul_overflow(h->section[s].count, (uint64_t)mr_section_element_bytes(s), &bytes) || __builtin_add_overflow(offset, bytes, &stop) ||
        stop > h->size_bytes || offset < *end || offset % MR_PACK_ALIGN)
        return mr_fail(err, MR_BAD_INPUT, "%s: section %d lies outside the pack or over another", name, (int)s);
    *end = stop;
    return MR_OK;
}

/* Counts that become uint32_t stay clear of the reserved indices; sections with a fixed number of elements have it. */
static int check_count(const mr_pack_header *h, enum mr_section s, const char *name, mr_error *err)
{
    uint64_t count = h->section[s].count, least = 0, most = 0xFFFFFFF0u;
    if (s == MR_SECTION_BVH || s == MR_SECTION_TEXELS || s == MR_SECTION_ENV_TABLE) most = UINT64_MAX;
    if (s == MR_SECTION_SETTINGS || s == MR_SECTION_INSTANCES || s == MR_SECTION_MATERIALS) least = 1;
    if (s == MR_SECTION_SETTINGS || s == MR_SECTION_ENVIRONMENT) most = 1;
    if (count >= least && count <= most) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "%s: section %d: found %llu elements, expected %llu..%llu", name, (int)s, (unsigned long long)count,
                   (unsigned long long)least, (unsigned long long)most);
}

static void set_views(mr_pack *p)
{
    const mr_pack_section *s = p->header->section;
    p->settings = (const void *)(p->base + s[MR_SECTION_SETTINGS].offset);
    p->bvh = p->base + s[MR_SECTION_BVH].offset;
    p->triangles = (const void *)(p->base + s[MR_SECTION_TRIANGLES].offset);
    p->vertices = (const void *)(p->base + s[MR_SECTION_VERTICES].offset);
    p->instances = (const void *)(p->base + s[MR_SECTION_INSTANCES].offset);
    p->materials = (const void *)(p->base + s[MR_SECTION_MATERIALS].offset);
    p->textures = (const void *)(p->base + s[MR_SECTION_TEXTURES].offset);
    p->texels = p->base + s[MR_SECTION_TEXELS].offset;
    p->lights = (const void *)(p->base + s[MR_SECTION_LIGHTS].offset);
    p->light_table = (const void *)(p->base + s[MR_SECTION_LIGHT_TABLE].offset);
    p->environment = s[MR_SECTION_ENVIRONMENT].count ? (const void *)(p->base + s[MR_SECTION_ENVIRONMENT].offset) : NULL;
    p->env_table = (const void *)(p->base + s[MR_SECTION_ENV_TABLE].offset);
    p->bvh_bytes = (size_t)s[MR_SECTION_BVH].count;
    p->triangle_count = (uint32_t)s[MR_SECTION_TRIANGLES].count;
    p->vertex_count = (uint32_t)s[MR_SECTION_VERTICES].count;
    p->instance_count = (uint32_t)s[MR_SECTION_INSTANCES].count;
    p->material_count = (uint32_t)s[MR_SECTION_MATERIALS].count;
    p->texture_count = (uint32_t)s[MR_SECTION_TEXTURES].count;
    p->light_count = (uint32_t)s[MR_SECTION_LIGHTS].count;
}

int mr_pack_views(mr_pack *out, const void *bytes, size_t size_bytes, const char *name, mr_error *err)
{
    if ((uintptr_t)bytes % MR_PACK_ALIGN) return mr_fail(err, MR_FAILED, "%s: the pack's bytes are not aligned", name);
    if (size_bytes < sizeof(mr_pack_header)) return mr_fail(err, MR_BAD_INPUT, "%s: found %zu bytes, expected a pack", name, size_bytes);
    mr_pack pack = {.base = bytes, .size_bytes = size_bytes, .header = bytes};
    uint64_t end = sizeof(mr_pack_header);
    int status = check_header(pack.header, size_bytes, name, err);
    for (int s = 0; s < MR_SECTION_COUNT && !status; s++) {
        status = check_section(pack.header, (enum mr_section)s, &end, name, err);
        if (!status) status = check_count(pack.header, (enum mr_section)s, name, err);
    }
    if (status) return status;
    set_views(&pack);
    *out = pack;
    return MR_OK;
}

/* ---- the check ---- */

/* Threads for a check: it is short, and whoever waits for it has nothing else to do. A small pack is not worth them. */
static mr_crew *crew_for(size_t size_bytes)
{
    enum { THREADS = 4, WORTH_BYTES = 4 << 20 };
    return mr_crew_new(size_bytes < WORTH_BYTES ? 1 : THREADS);
}

/* hash: as the bytes have it, or NULL: to be taken. */
static int check(mr_pack *out, const void *bytes, size_t size_bytes, const uint8_t *hash, mr_crew *crew, const char *name, mr_error *err)
{
    mr_pack pack = {0};
    uint8_t own[MR_HASH_BYTES] = {0};
    int status = mr_pack_views(&pack, bytes, size_bytes, name, err);
    if (status) return status;
    if (!hash) mr_pack_hash(bytes, size_bytes, crew, own);
    if (memcmp(hash ? hash : own, pack.header->hash, sizeof own) != 0)
        return mr_fail(err, MR_BAD_INPUT, "%s: damaged: the bytes do not have the hash that the header names", name);
    status = mr_pack_check_contents(&pack, crew, name, err);
    if (!status) *out = pack;
    return status;
}

int mr_pack_check_hashed(mr_pack *out, const void *bytes, size_t size_bytes, const uint8_t hash[MR_HASH_BYTES], const char *name, mr_error *err)
{
    mr_crew *crew = crew_for(size_bytes);
    int status = check(out, bytes, size_bytes, hash, crew, name, err);
    mr_crew_free(crew);
    return status;
}

int mr_pack_check(mr_pack *out, const void *bytes, size_t size_bytes, const char *name, mr_error *err)
{
    return mr_pack_check_hashed(out, bytes, size_bytes, NULL, name, err);
}

/* ---- files ---- */

enum { READ_PIECE = 4 << 20 };

typedef struct reading {
    int fd;
    uint8_t *bytes;
    size_t size_bytes;
    atomic_int failed;
} reading;

static void read_piece(void *context, uint32_t piece)
{
    reading *r = context;
    size_t at = (size_t)piece * READ_PIECE, end = r->size_bytes - at < READ_PIECE ? r->size_bytes : at + READ_PIECE;
    while (at < end) {
        ssize_t got = pread(r->fd, r->bytes + at, end - at, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            atomic_store(&r->failed, 1);
            return;
        }
        at += (size_t)got;
    }
}

/* Reads rather than maps: what someone does to the file after the check must not reach the tracer. */
static int read_all(int fd, uint8_t *bytes, size_t size_bytes, mr_crew *crew)
{
    reading r = {.fd = fd, .bytes = bytes, .size_bytes = size_bytes};
    if (size_bytes / READ_PIECE >= UINT32_MAX) return -1;
    atomic_init(&r.failed, 0);
    mr_crew_run(crew, read_piece, &r, (uint32_t)((size_bytes + READ_PIECE - 1) / READ_PIECE));
    return atomic_load(&r.failed) ? -1 : 0;
}

/* *bytes: free(). */
static int open_file(int fd, const char *path, uint8_t **bytes, size_t *size_bytes, mr_error *err)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return mr_fail(err, MR_BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(mr_pack_header)) return mr_fail(err, MR_BAD_INPUT, "%s: not a scene pack", path);
    *size_bytes = (size_t)st.st_size;
    *bytes = mr_pages_alloc(*size_bytes);
    return *bytes ? MR_OK : mr_fail(err, MR_FAILED, "%s: no memory for %zu bytes", path, *size_bytes);
}

int mr_pack_open(mr_pack *out, const char *path, mr_error *err)
{
    uint8_t *bytes = NULL;
    size_t size_bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), status = open_file(fd, path, &bytes, &size_bytes, err);
    mr_crew *crew = status ? NULL : crew_for(size_bytes);
    if (!status && read_all(fd, bytes, size_bytes, crew)) status = mr_fail(err, MR_BAD_INPUT, "%s: cannot be read to its end", path);
    if (!status) status = check(out, bytes, size_bytes, NULL, crew, path, err);
    mr_crew_free(crew);
    if (fd >= 0) (void)close(fd);
    if (status) free(bytes);
    else out->owned = bytes;
    return status;
}

static int write_all(int fd, const uint8_t *bytes, size_t size_bytes)
{
    for (size_t done = 0; done < size_bytes;) {
        ssize_t wrote = write(fd, bytes + done, size_bytes - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return -1;
        done += (size_t)wrote;
    }
    return 0;
}

/* fsync before the rename: after a power cut there is the old file or the whole new one. */
static int write_and_rename(const mr_pack *pack, int fd, const char *temporary, const char *path)
{
    int bad = write_all(fd, pack->base, pack->size_bytes) || fchmod(fd, 0644) || fsync(fd);
    bad = close(fd) || bad;
    return bad || rename(temporary, path) ? -1 : 0;
}

int mr_pack_save(const mr_pack *pack, const char *path, mr_error *err)
{
    static const char suffix[] = ".XXXXXX";
    size_t length = strlen(path) + sizeof suffix;
    char *temporary = malloc(length);
    if (!temporary) return mr_fail(err, MR_FAILED, "%s: no memory", path);
    (void)snprintf(temporary, length, "%s%s", path, suffix);
    int fd = mkstemp(temporary), bad = fd < 0;
    if (!bad && write_and_rename(pack, fd, temporary, path)) {
        int saved = errno;
        bad = 1;
        (void)unlink(temporary);
        errno = saved;
    }
    int status = bad ? mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno)) : MR_OK;
    free(temporary);
    return status;
}

void mr_pack_close(mr_pack *pack)
{
    free(pack->owned);
    *pack = (mr_pack){0};
}
