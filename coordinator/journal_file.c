/* Opening, reading and appending: see coordinator/journal_file.h. Rewriting is in journal_rewrite.c. */
#include "coordinator/journal_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCAN_BYTES = 1 << 20 };

int (*co_jfile_sync)(int fd) = fdatasync;

/* ---- batches ---- */

void co_jfile_clear(co_jfile_batch *b)
{
    b->used = CO_JF_HEAD_BYTES;
    b->records = 0;
    b->last_job = 0;
}

int co_jfile_put(co_jfile_batch *b, const void *record, size_t length)
{
    if (b->used + length > b->capacity) {
        size_t capacity = 2 * b->capacity > b->used + length ? 2 * b->capacity : b->used + length;
        uint8_t *bytes = realloc(b->bytes, capacity);
        if (!bytes) return -1;
        b->bytes = bytes;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->used, record, length);
    b->used += length;
    b->records++;
    return 0;
}

/* ---- bytes in and out ---- */

/* Bytes read at offset: fewer than asked for at the end of the file; -1: errno. */
static ssize_t read_at(int fd, void *bytes, size_t size_bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t got = pread(fd, (uint8_t *)bytes + done, size_bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int write_at(int fd, const uint8_t *bytes, size_t size_bytes, uint64_t offset)
{
    for (size_t done = 0; done < size_bytes;) {
        ssize_t wrote = pwrite(fd, bytes + done, size_bytes - done, (off_t)(offset + done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return -1;
        done += (size_t)wrote;
    }
    return 0;
}

static uint8_t *scratch(co_jfile *f, size_t size_bytes)
{
    if (f->capacity >= size_bytes) return f->bytes;
    uint8_t *bytes = realloc(f->bytes, size_bytes);
    if (!bytes) return NULL;
    f->bytes = bytes;
    f->capacity = size_bytes;
    return bytes;
}

/* ---- the index ---- */

static co_jfile_job *find_job(const co_jfile *f, uint64_t id)
{
    for (size_t i = f->job_count; i-- > 0;)
        if (f->jobs[i].id == id) return &f->jobs[i];
    return NULL;
}

static int index_job(co_jfile *f, const co_record *r, const uint8_t *bytes, uint32_t length)
{
    if (find_job(f, r->job) || (f->job_count && f->jobs[f->job_count - 1].id > r->job)) return -1;
    if (f->job_count == f->job_capacity) {
        size_t capacity = f->job_capacity ? 2 * f->job_capacity : 16;
        co_jfile_job *jobs = realloc(f->jobs, capacity * sizeof *jobs);
        if (!jobs) return -1;
        f->jobs = jobs;
        f->job_capacity = capacity;
    }
    uint8_t *copy = malloc(length);
    if (!copy) return -1;
    memcpy(copy, bytes, length);
    f->jobs[f->job_count++] = (co_jfile_job){ .id = r->job, .bytes = copy, .length = length };
    if (r->job > f->last_job) f->last_job = r->job;
    return 0;
}

static int index_result(co_jfile *f, const co_record *r, uint64_t offset, uint32_t length)
{
    if (!find_job(f, r->job)) return 0; /* late, of a job that is gone */
    if (f->entry_count == f->entry_capacity) {
        size_t capacity = f->entry_capacity ? 2 * f->entry_capacity : 1024;
        co_jfile_entry *entries = realloc(f->entries, capacity * sizeof *entries);
        if (!entries) return -1;
        f->entries = entries;
        f->entry_capacity = capacity;
    }
    f->entries[f->entry_count++] = (co_jfile_entry){ .job = r->job, .offset = offset, .length = length, .x = (uint16_t)r->result.x,
                                                     .y = (uint16_t)r->result.y, .width = (uint16_t)r->result.width,
                                                     .height = (uint16_t)r->result.height };
    if (r->type == CO_RECORD_CLAIM) {
        co_jfile_entry *e = &f->entries[f->entry_count - 1];
        e->is_claim = 1;
        e->who = r->result.who;
        e->unit = r->result.parts[0].unit;
        e->bands = r->result.bands;
    }
    return 0;
}

static void forget_job(co_jfile *f, uint64_t id)
{
    co_jfile_job *j = find_job(f, id);
    if (!j) return;
    free(j->bytes);
    size_t place = (size_t)(j - f->jobs);
    memmove(j, j + 1, (f->job_count - place - 1) * sizeof *j);
    f->job_count--;
    size_t kept = 0;
    for (size_t i = 0; i < f->entry_count; i++)
        if (f->entries[i].job != id) f->entries[kept++] = f->entries[i];
    f->entry_count = kept;
    co_jfile_forget_verdicts(f, id);
}

static int index_record(co_jfile *f, const uint8_t *bytes, uint64_t offset, uint32_t length)
{
    const co_record *r = &f->record;
    if (r->type == CO_RECORD_JOB) return index_job(f, r, bytes, length);
    if (r->type == CO_RECORD_RESULT || r->type == CO_RECORD_CLAIM) return index_result(f, r, offset, length);
    if (r->type == CO_RECORD_BANNED || ((r->type == CO_RECORD_AGREED || r->type == CO_RECORD_WITHDRAWN) && find_job(f, r->job)))
        return co_jfile_index_verdict(f, r, offset);
    if (r->type == CO_RECORD_GONE) forget_job(f, r->job);
    else if (r->type == CO_RECORD_CANCELLED && find_job(f, r->job)) find_job(f, r->job)->cancelled = 1;
    return 0;
}

/* Whether every record is whole and together they fill the body. */
static int body_is_whole(co_jfile *f, const uint8_t *body, const co_jf_head *head)
{
    size_t at = 0;
    for (uint32_t i = 0; i < head->records; i++) {
        size_t length = co_jf_read_record(&f->record, body + at, head->body_bytes - at);
        if (!length) return 0;
        at += length;
    }
    return at == head->body_bytes;
}

/* Of a body that is whole. -1: records that contradict each other, or no memory. */
static int index_body(co_jfile *f, const uint8_t *body, const co_jf_head *head, uint64_t offset)
{
    size_t at = 0;
    for (uint32_t i = 0; i < head->records; i++) {
        size_t length = co_jf_read_record(&f->record, body + at, head->body_bytes - at);
        if (index_record(f, body + at, offset + at, (uint32_t)length)) return -1;
        at += length;
    }
    if (head->last_job > f->last_job) f->last_job = head->last_job;
    return 0;
}

/* ---- reading ---- */

static int damaged(mr_error *err, const co_jfile *f, uint64_t offset, const char *what)
{
    return mr_fail(err, MR_BAD_INPUT, "%s/journal: damaged at byte %llu: %s. It cannot be gone on with: remove the folder to begin anew, or restore it from a copy",
                   f->folder, (unsigned long long)offset, what);
}

/* The next batch that can be read behind `from`, 0: none. */
static uint64_t find_later_head(co_jfile *f, uint64_t from)
{
    co_jf_head head;
    if (!scratch(f, SCAN_BYTES)) return from; /* unknown: as if there were one */
    for (uint64_t at = from;; at += SCAN_BYTES - CO_JF_HEAD_BYTES) {
        ssize_t got = read_at(f->fd, f->bytes, SCAN_BYTES, at);
        if (got < 0) return at;
        for (ssize_t i = 0; i + CO_JF_HEAD_BYTES <= got; i++)
            if (f->bytes[i] == 'M' && co_jf_read_head(&head, f->header.salt, f->bytes + i) == 0) return at + (uint64_t)i;
        if (got < SCAN_BYTES) return 0;
    }
}

static int cannot_read(const co_jfile *f, mr_error *err)
{
    return (void)mr_fail(err, MR_FAILED, "%s/journal: cannot be read: %s", f->folder, strerror(errno)), -1;
}

/* The batch at f->size_bytes: 1 when it is whole and indexed, 0 when it is not, -1 with err. */
static int read_batch(co_jfile *f, mr_error *err)
{
    uint8_t bytes[CO_JF_HEAD_BYTES];
    co_jf_head head;
    uint64_t body_at = f->size_bytes + CO_JF_HEAD_BYTES;
    ssize_t got = read_at(f->fd, bytes, sizeof bytes, f->size_bytes);
    if (got < 0) return cannot_read(f, err);
    if (got < (ssize_t)sizeof bytes || co_jf_read_head(&head, f->header.salt, bytes)) return 0;
    if (head.number != f->number + 1) return (void)damaged(err, f, f->size_bytes, "a part before it is missing"), -1;
    struct stat st;
    if (fstat(f->fd, &st) || (uint64_t)st.st_size < body_at + head.body_bytes) return 0; /* before anything is allocated for it */
    uint8_t *body = scratch(f, (size_t)head.body_bytes + 1);
    if (!body) return (void)mr_fail(err, MR_FAILED, "%s/journal: no memory to read it", f->folder), -1;
    if (read_at(f->fd, body, head.body_bytes, body_at) != (ssize_t)head.body_bytes) return cannot_read(f, err);
    if (!body_is_whole(f, body, &head)) return 0;
    if (index_body(f, body, &head, body_at)) return (void)damaged(err, f, body_at, "its records contradict each other"), -1;
    f->number = head.number;
    f->size_bytes = body_at + head.body_bytes;
    return 1;
}

/* Something behind f->size_bytes is no whole batch. What no later batch follows was never durable, so nobody was told of it: it is cut off. */
static int drop_tail(co_jfile *f, uint64_t file_bytes, char *note, size_t note_size, mr_error *err)
{
    if (find_later_head(f, f->size_bytes + 1)) return damaged(err, f, f->size_bytes, "intact parts follow, so this is no torn end");
    if (ftruncate(f->fd, (off_t)f->size_bytes) || fsync(f->fd))
        return mr_fail(err, MR_FAILED, "%s/journal: cannot be written: %s", f->folder, strerror(errno));
    (void)snprintf(note, note_size, "the journal's last %llu bytes were torn off in mid-write and are dropped",
                   (unsigned long long)(file_bytes - f->size_bytes));
    return MR_OK;
}

static int read_header(co_jfile *f, uint64_t file_bytes, mr_error *err)
{
    uint8_t bytes[CO_JF_HEADER_BYTES];
    if (file_bytes < sizeof bytes || read_at(f->fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes || co_jf_read_header(&f->header, bytes))
        return damaged(err, f, 0, "expected a journal's header of 64 bytes");
    if (f->header.version != CO_JF_VERSION)
        return mr_fail(err, MR_BAD_INPUT, "%s/journal: found version %u, expected %d: finish it with the mobyray that wrote it, or remove the folder",
                       f->folder, f->header.version, CO_JF_VERSION);
    f->last_job = f->header.last_job;
    f->size_bytes = sizeof bytes;
    return MR_OK;
}

static int read_all(co_jfile *f, char *note, size_t note_size, mr_error *err)
{
    struct stat st;
    if (fstat(f->fd, &st)) return mr_fail(err, MR_FAILED, "%s/journal: %s", f->folder, strerror(errno));
    int status = read_header(f, (uint64_t)st.st_size, err), got = 1;
    while (status == MR_OK && got == 1) got = read_batch(f, err);
    if (status != MR_OK || got < 0) return status != MR_OK ? status : MR_BAD_INPUT; /* of the latter, too, err tells what it is */
    f->look_bytes = f->size_bytes > CO_JOURNAL_LOOK_BYTES ? f->size_bytes : CO_JOURNAL_LOOK_BYTES;
    return f->size_bytes == (uint64_t)st.st_size ? MR_OK : drop_tail(f, (uint64_t)st.st_size, note, note_size, err);
}

/* ---- opening ---- */

static int fresh_header(co_jfile *f, mr_error *err)
{
    f->header.version = CO_JF_VERSION;
    if (getrandom(&f->header.epoch, sizeof f->header.epoch, 0) != (ssize_t)sizeof f->header.epoch)
        return mr_fail(err, MR_FAILED, "no random numbers");
    f->fd = -1;
    if (co_jfile_rewrite(f, NULL) == CO_JFILE_OK) return MR_OK;
    return mr_fail(err, MR_FAILED, "%s/journal: cannot be written: %s", f->folder, strerror(errno));
}

/* Ids that the former life may have used without a trace are used up: an empty batch says so. */
static int reserve_ids(co_jfile *f, mr_error *err)
{
    uint8_t bytes[CO_JF_HEAD_BYTES];
    co_jfile_batch batch = { .bytes = bytes, .used = sizeof bytes, .last_job = f->last_job + CO_JOB_IDS_SKIPPED };
    if (co_jfile_append(f, &batch) == CO_JFILE_OK) return MR_OK;
    return mr_fail(err, MR_FAILED, "%s/journal: cannot be written: %s", f->folder, strerror(errno));
}

int co_jfile_open(co_jfile *f, char *note, size_t note_size, mr_error *err)
{
    note[0] = 0;
    f->fd = -1;
    f->packer = wire_packer_new();
    if (!f->packer) return mr_fail(err, MR_FAILED, "no memory for a journal");
    (void)unlinkat(f->folder_fd, "journal.new", 0); /* of one that died while rewriting */
    f->fd = openat(f->folder_fd, "journal", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (f->fd < 0 && errno == ENOENT) return fresh_header(f, err);
    if (f->fd >= 0) {
        int status = read_all(f, note, note_size, err);
        return status ? status : reserve_ids(f, err);
    }
    return mr_fail(err, MR_FAILED, "%s/journal: cannot be read: %s", f->folder, strerror(errno));
}

void co_jfile_close(co_jfile *f)
{
    if (f->fd >= 0) (void)close(f->fd);
    for (size_t i = 0; i < f->job_count; i++) free(f->jobs[i].bytes);
    free(f->jobs);
    free(f->entries);
    free(f->verdicts);
    free(f->banned);
    free(f->bytes);
    wire_packer_free(f->packer);
}

/* ---- delivering ---- */

static int by_job_and_offset(const void *a, const void *b)
{
    const co_jfile_entry *x = a, *y = b;
    if (x->job != y->job) return x->job < y->job ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int deliver_result(co_jfile *f, const co_jfile_entry *e, co_journal_sink sink, void *user, mr_error *err)
{
    uint8_t *bytes = scratch(f, e->length);
    if (!bytes) return mr_fail(err, MR_FAILED, "%s/journal: no memory to read it", f->folder);
    if (read_at(f->fd, bytes, e->length, e->offset) != (ssize_t)e->length || !co_jf_read_record(&f->record, bytes, e->length))
        return damaged(err, f, e->offset, "it reads otherwise than a moment ago");
    f->record.result.agreed = e->agreed;
    return sink(user, &f->record, NULL, err);
}

static int deliver_job(co_jfile *f, const co_jfile_job *j, size_t *entry, co_journal_sink sink, void *user, mr_error *err)
{
    char path[CO_PATH_MOST];
    (void)co_jf_read_record(&f->record, j->bytes, j->length);
    co_jfile_pack_path(f, f->record.a_job.pack, path);
    int status = sink(user, &f->record, path, err);
    for (; status == MR_OK && *entry < f->entry_count && f->entries[*entry].job == j->id; ++*entry)
        status = deliver_result(f, &f->entries[*entry], sink, user, err);
    if (status != MR_OK || !j->cancelled) return status;
    f->record = (co_record){ .type = CO_RECORD_CANCELLED, .job = j->id };
    return sink(user, &f->record, NULL, err);
}

int co_jfile_deliver(co_jfile *f, co_journal_sink sink, void *user, mr_error *err)
{
    size_t entry = 0;
    int status = MR_OK;
    co_jfile_resolve(f);
    if (f->entry_count) qsort(f->entries, f->entry_count, sizeof *f->entries, by_job_and_offset);
    for (size_t i = 0; i < f->banned_count && status == MR_OK; i++) {
        f->record = (co_record){ .type = CO_RECORD_BANNED, .verdict.who = f->banned[i] };
        status = sink(user, &f->record, NULL, err);
    }
    for (size_t i = 0; i < f->job_count && status == MR_OK; i++) status = deliver_job(f, &f->jobs[i], &entry, sink, user, err);
    return status;
}

/* ---- appending ---- */

int co_jfile_append(co_jfile *f, co_jfile_batch *b)
{
    co_jf_head head = { .number = f->number + 1, .body_bytes = (uint32_t)(b->used - CO_JF_HEAD_BYTES), .records = b->records,
                        .last_job = b->last_job > f->last_job ? b->last_job : f->last_job };
    co_jf_write_head(&head, f->header.salt, b->bytes);
    if (write_at(f->fd, b->bytes, b->used, f->size_bytes)) return CO_JFILE_AGAIN;
    if (co_jfile_sync(f->fd)) return CO_JFILE_LOST;
    if (index_body(f, b->bytes + CO_JF_HEAD_BYTES, &head, f->size_bytes + CO_JF_HEAD_BYTES)) return CO_JFILE_BROKEN;
    f->number++;
    f->size_bytes += b->used;
    return CO_JFILE_OK;
}

/* ---- packs ---- */

void co_jfile_pack_path(const co_jfile *f, const uint8_t hash[MR_HASH_BYTES], char path[CO_PATH_MOST])
{
    char hex[2 * MR_HASH_BYTES + 1];
    mr_hash_hex(hash, hex);
    (void)snprintf(path, CO_PATH_MOST, "%.*s/scene-%s.pack", CO_PATH_MOST - 100, f->folder, hex);
}

static int pack_is_of_use(const co_jfile *f, const char *name)
{
    char path[CO_PATH_MOST];
    co_record *r = malloc(sizeof *r);
    int used = r == NULL;
    for (size_t i = 0; i < f->job_count && !used; i++) {
        (void)co_jf_read_record(r, f->jobs[i].bytes, f->jobs[i].length);
        co_jfile_pack_path(f, r->a_job.pack, path);
        used = !strcmp(strrchr(path, '/') + 1, name);
    }
    free(r);
    return used;
}

/* scene-HASH.pack, or scene-HASH.pack.XXXXXX of one that died while writing it. */
static int is_pack_name(const char *name)
{
    enum { PREFIX = 6, HEX = 2 * MR_HASH_BYTES };
    return !strncmp(name, "scene-", PREFIX) && strspn(name + PREFIX, "0123456789abcdef") == HEX && !strncmp(name + PREFIX + HEX, ".pack", 5);
}

void co_jfile_drop_packs(const co_jfile *f)
{
    const struct dirent *entry;
    DIR *list = opendir(f->folder);
    while (list && (entry = readdir(list)))
        if (is_pack_name(entry->d_name) && !pack_is_of_use(f, entry->d_name)) (void)unlinkat(f->folder_fd, entry->d_name, 0);
    if (list) (void)closedir(list);
}
