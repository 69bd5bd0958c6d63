/* The coordinator's journal. Its hashes keep chance out; here they are made right, so that what lies behind them is reached.
 *
 * The input is a row of records: a length of 2 bytes, then a body. An odd length also ends a batch. The file is opened, its jobs are delivered as to a
 * server, it is rewritten, and opened again: a journal that was taken once is taken as the same a second time. */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/journal_file.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE_MOST = 1 << 16, SUMS_MOST = 1 << 16 };

extern int (*co_jfile_sync)(int fd);

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static size_t put_record(uint8_t *out, const uint8_t *body, uint32_t length)
{
    crypto_generichash_state state;
    uint8_t size[4] = {(uint8_t)length, (uint8_t)(length >> 8), 0, 0};
    memcpy(out, size, sizeof size);
    (void)crypto_generichash_init(&state, NULL, 0, CO_JF_HASH_BYTES);
    (void)crypto_generichash_update(&state, size, sizeof size);
    (void)crypto_generichash_update(&state, body, length);
    (void)crypto_generichash_final(&state, out + sizeof size, CO_JF_HASH_BYTES);
    memcpy(out + CO_JF_RECORD_BYTES, body, length);
    return CO_JF_RECORD_BYTES + length;
}

static size_t make_file(uint8_t *out, const uint8_t *bytes, size_t size)
{
    const co_jf_header header = {.version = CO_JF_VERSION, .epoch = 7};
    co_jf_head head = {.number = 0};
    co_jf_write_header(&header, out);
    size_t used = CO_JF_HEADER_BYTES, batch = used;
    used += CO_JF_HEAD_BYTES;
    while (size >= 2 && used < SIZE_MOST / 2) {
        uint32_t word = bytes[0] | (uint32_t)bytes[1] << 8, length = word / 2 < size - 2 ? word / 2 : (uint32_t)(size - 2);
        used += put_record(out + used, bytes + 2, length);
        head.records++;
        bytes += 2 + length;
        size -= 2 + length;
        if (!(word & 1) && size >= 2 && used < SIZE_MOST / 2) continue;
        head.number++;
        head.body_bytes = (uint32_t)(used - batch - CO_JF_HEAD_BYTES);
        co_jf_write_head(&head, header.salt, out + batch);
        head.records = 0;
        batch = used;
        used += CO_JF_HEAD_BYTES;
    }
    return batch;
}

static unsigned claims, banned, agreed; /* as delivered */

static int take(void *user, const co_record *r, const char *pack_path, mr_error *err)
{
    static uint64_t sums[SUMS_MOST];
    size_t count = r->type == CO_RECORD_RESULT || r->type == CO_RECORD_CLAIM ? (size_t)3 * r->result.width * r->result.height : 0;
    (void)pack_path;
    (void)err;
    claims += r->type == CO_RECORD_CLAIM;
    agreed += r->type == CO_RECORD_CLAIM && r->result.agreed;
    banned += r->type == CO_RECORD_BANNED;
    if (count && count <= SUMS_MOST) (void)wire_sums_decode(((co_jfile *)user)->packer, r->payload, r->payload_bytes, sums, count);
    return MR_OK;
}

/* Returns the number of jobs, -1: refused, or (rewrite) cannot be rewritten, as its sums cannot be added up. */
static long open_once(int rewrite)
{
    static co_jfile f;
    char note[256];
    mr_error err;
    memset(&f, 0, sizeof f);
    (void)snprintf(f.folder, sizeof f.folder, "%s", fuzz_folder());
    f.folder_fd = open(f.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(f.folder_fd >= 0);
    long jobs = -1;
    claims = banned = agreed = 0;
    if (co_jfile_open(&f, note, sizeof note, &err) == MR_OK && co_jfile_deliver(&f, take, &f, &err) == MR_OK) jobs = (long)f.job_count;
    if (jobs >= 0 && rewrite && co_jfile_rewrite(&f, NULL) != CO_JFILE_OK) jobs = -1;
    (void)close(f.folder_fd);
    co_jfile_close(&f);
    return jobs;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t out[2 * SIZE_MOST];
    char path[128];
    if (size > SIZE_MOST / 4) return 0;
    co_jfile_sync = no_sync;
    size_t length = make_file(out, bytes, size);
    (void)snprintf(path, sizeof path, "%s/journal", fuzz_folder());
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0 && write(file, out, length) == (ssize_t)length && close(file) == 0);
    long jobs = open_once(0);
    const unsigned before[] = {claims, banned, agreed};
    if (jobs < 0) return 0;
    MUST(open_once(0) == jobs && claims == before[0] && banned == before[1] && agreed == before[2]);
    if (open_once(1) == jobs) MUST(open_once(0) == jobs && claims == before[0] && banned == before[1] && agreed == before[2]);
    return 0;
}
