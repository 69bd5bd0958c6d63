/* Rewriting the journal: what is of use goes into a new file, which is renamed over the old one once it is durable.
 *
 * Results of one tile that differ in their samples are added up: sums are integers, so the order does not matter. Everything is
 * read from the old file and checked by its hashes on the way; no picture is needed, and no more memory than a tile's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "coordinator/journal_file.h"

typedef struct rewrite {
    co_jfile *old, *new;
    co_jfile_batch batch;
    co_record merged;
    uint64_t *sums, *more;      /* of one tile */
    uint8_t *record, *payload;  /* scratch */
    size_t record_capacity, payload_capacity, sums_capacity;
    int broken;                 /* the old file cannot be read */
} rewrite;

static int by_tile(const void *a, const void *b)
{
    const co_jfile_entry *e = a, *g = b;
    const uint64_t x[] = { e->job, e->y, e->x, e->height, e->width, e->offset }, y[] = { g->job, g->y, g->x, g->height, g->width, g->offset };
    for (unsigned i = 0; i < 6; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

static int same_tile(const co_jfile_entry *a, const co_jfile_entry *b)
{
    return a->job == b->job && a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height;
}

/* Entries from `first` on that become one record. */
static size_t run_length(const co_jfile *f, size_t first)
{
    size_t count = 1;
    if (f->entries[first].is_claim) return 1; /* it may be withdrawn alone */
    while (first + count < f->entry_count && !f->entries[first + count].is_claim && same_tile(&f->entries[first], &f->entries[first + count])) count++;
    return count;
}

static void *grow(void *bytes, size_t *capacity, size_t size_bytes)
{
    if (*capacity >= size_bytes) return bytes;
    void *larger = realloc(bytes, size_bytes);
    if (larger) *capacity = size_bytes;
    return larger;
}

/* ---- writing ---- */

static int flush(rewrite *w)
{
    if (!w->batch.records) return 0;
    int outcome = co_jfile_append(w->new, &w->batch); /* synced each time: it keeps what is dirty small */
    co_jfile_clear(&w->batch);
    return outcome == CO_JFILE_OK ? 0 : -1;
}

static int put(rewrite *w, const void *record, size_t length)
{
    if (co_jfile_put(&w->batch, record, length)) return errno = ENOMEM, -1;
    return w->batch.used > CO_BATCH_BYTES ? flush(w) : 0;
}

static int put_record(rewrite *w, const co_record *r)
{
    size_t bound = co_jf_record_bound(r);
    uint8_t *bytes = malloc(bound);
    size_t length = bytes ? co_jf_write_record(r, bytes, bound) : 0;
    int status = length ? put(w, bytes, length) : (errno = ENOMEM, -1);
    free(bytes);
    return status;
}

/* ---- results ---- */

static const co_record *read_entry(rewrite *w, const co_jfile_entry *e)
{
    void *bytes = grow(w->record, &w->record_capacity, e->length);
    if (!bytes) return errno = ENOMEM, NULL;
    w->record = bytes;
    ssize_t got = pread(w->old->fd, bytes, e->length, (off_t)e->offset);
    if (got == (ssize_t)e->length && co_jf_read_record(&w->old->record, bytes, e->length) == e->length) return &w->old->record;
    w->broken = 1;
    return NULL;
}

static int reserve_sums(rewrite *w, size_t count)
{
    if (w->sums_capacity >= count) return 0;
    uint64_t *sums = realloc(w->sums, 2 * count * sizeof *sums);
    if (!sums) return errno = ENOMEM, -1;
    w->sums = sums;
    w->more = sums + count;
    w->sums_capacity = count;
    return 0;
}

static int put_merged(rewrite *w, size_t count)
{
    size_t bound = wire_sums_bound(count);
    uint8_t *payload = grow(w->payload, &w->payload_capacity, bound);
    if (!payload) return errno = ENOMEM, -1;
    w->payload = payload;
    w->merged.payload = payload;
    w->merged.payload_bytes = (uint32_t)wire_sums_encode(w->new->packer, w->sums, count, payload);
    return put_record(w, &w->merged);
}

static void add_parts(co_record_result *to, const co_record_result *from)
{
    memcpy(to->parts + to->part_count, from->parts, from->part_count * sizeof *from->parts);
    to->part_count = (uint16_t)(to->part_count + from->part_count);
    to->rays += from->rays;
    to->bytes += from->bytes;
    if (from->elapsed_us > to->elapsed_us) to->elapsed_us = from->elapsed_us;
}

/* Adds up as many entries as one record may hold. Returns how many, 0: failed. */
static size_t merge_some(rewrite *w, const co_jfile_entry *entries, size_t entry_count)
{
    size_t count = (size_t)3 * entries[0].width * entries[0].height, taken = 0;
    if (reserve_sums(w, count)) return 0;
    for (; taken < entry_count; taken++) {
        const co_record *r = read_entry(w, &entries[taken]);
        if (!r) return 0;
        if (taken && w->merged.result.part_count + r->result.part_count > CO_RECORD_PARTS_MOST) break;
        if (wire_sums_decode(w->new->packer, r->payload, r->payload_bytes, taken ? w->more : w->sums, count)) return w->broken = 1, 0;
        if (!taken) {
            w->merged = *r;
            continue;
        }
        for (size_t i = 0; i < count; i++) w->sums[i] += w->more[i];
        add_parts(&w->merged.result, &r->result);
    }
    return put_merged(w, count) ? 0 : taken;
}

static int put_results(rewrite *w)
{
    co_jfile *f = w->old;
    if (f->entry_count) qsort(f->entries, f->entry_count, sizeof *f->entries, by_tile);
    for (size_t i = 0; i < f->entry_count;) {
        size_t run = run_length(f, i);
        if (run == 1) {
            if (!read_entry(w, &f->entries[i]) || put(w, w->record, f->entries[i].length)) return -1;
        } else {
            run = merge_some(w, &f->entries[i], run);
            if (!run) return -1;
        }
        i += run;
    }
    return 0;
}

static int put_jobs(rewrite *w)
{
    for (size_t i = 0; i < w->old->job_count; i++) {
        const co_jfile_job *j = &w->old->jobs[i];
        const co_record end = { .type = CO_RECORD_CANCELLED, .job = j->id };
        if (put(w, j->bytes, j->length) || (j->cancelled && put_record(w, &end))) return -1;
    }
    return 0;
}

static int put_verdicts(rewrite *w)
{
    const co_jfile *f = w->old;
    for (size_t i = 0; i < f->banned_count; i++) {
        const co_record r = { .type = CO_RECORD_BANNED, .verdict.who = f->banned[i] };
        if (put_record(w, &r)) return -1;
    }
    for (size_t i = 0; i < f->verdict_count; i++) {
        const co_record r = { .type = f->verdicts[i].type, .job = f->verdicts[i].job, .verdict = f->verdicts[i].said };
        if (put_record(w, &r)) return -1;
    }
    return 0;
}

/* ---- the new file ---- */

static int begin(co_jfile *new, const co_jfile *old)
{
    uint8_t bytes[CO_JF_HEADER_BYTES];
    new->header = old->header;
    new->header.last_job = new->last_job = old->last_job;
    new->packer = wire_packer_new();
    if (!new->packer || getrandom(new->header.salt, sizeof new->header.salt, 0) != (ssize_t)sizeof new->header.salt) return errno = ENOMEM, -1;
    new->fd = openat(old->folder_fd, "journal.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (new->fd < 0) return -1;
    co_jf_write_header(&new->header, bytes);
    new->size_bytes = sizeof bytes;
    ssize_t wrote = pwrite(new->fd, bytes, sizeof bytes, 0);
    if (wrote >= 0 && wrote != (ssize_t)sizeof bytes) errno = ENOSPC;
    return wrote == (ssize_t)sizeof bytes ? co_jfile_sync(new->fd) : -1;
}

static int put_all(rewrite *w, co_jfile_batch *more)
{
    co_jfile_resolve(w->old); /* what was withdrawn stays behind */
    if (begin(w->new, w->old) || put_jobs(w) || put_results(w) || put_verdicts(w) || flush(w)) return -1;
    if (more && more->records && co_jfile_append(w->new, more) != CO_JFILE_OK) return -1;
    return co_jfile_sync(w->new->fd) || renameat(w->old->folder_fd, "journal.new", w->old->folder_fd, "journal") ? -1 : 0;
}

/* The new file is what f is from now on. */
static void take_over(co_jfile *f, co_jfile *new)
{
    uint64_t twice = 2 * new->size_bytes;
    new->look_bytes = twice > CO_JOURNAL_LOOK_BYTES ? twice : CO_JOURNAL_LOOK_BYTES;
    new->folder_fd = f->folder_fd;
    memcpy(new->folder, f->folder, sizeof new->folder);
    co_jfile_close(f);
    *f = *new;
}

static int replace(rewrite *w, co_jfile_batch *more)
{
    co_jfile *f = w->old;
    if (put_all(w, more) == 0) {
        take_over(f, w->new);
        return fsync(f->folder_fd) ? CO_JFILE_LOST : CO_JFILE_OK; /* the name */
    }
    int why = errno;
    co_jfile_close(w->new);
    (void)unlinkat(f->folder_fd, "journal.new", 0);
    errno = why;
    return w->broken ? CO_JFILE_BROKEN : CO_JFILE_AGAIN;
}

int co_jfile_rewrite(co_jfile *f, co_jfile_batch *more)
{
    co_jfile *new = calloc(1, sizeof *new);
    rewrite *w = calloc(1, sizeof *w);
    int outcome = CO_JFILE_AGAIN, why = ENOMEM;
    if (new && w) {
        new->fd = -1;
        w->old = f;
        w->new = new;
        co_jfile_clear(&w->batch);
        outcome = replace(w, more);
        why = errno;
        free(w->batch.bytes);
        free(w->sums);
        free(w->record);
        free(w->payload);
    }
    free(new);
    free(w);
    errno = why;
    return outcome;
}

/* ---- when ---- */

/* Bytes that rewriting would save: of jobs that are gone, and of all but the longest record of each tile. */
static uint64_t useless_bytes(co_jfile *f)
{
    uint64_t useful = CO_JF_HEADER_BYTES;
    co_jfile_resolve(f);
    if (f->entry_count) qsort(f->entries, f->entry_count, sizeof *f->entries, by_tile);
    for (size_t i = 0, run; i < f->entry_count; i += run) {
        uint32_t longest = 0;
        run = run_length(f, i);
        for (size_t k = i; k < i + run; k++) longest = f->entries[k].length > longest ? f->entries[k].length : longest;
        useful += longest;
    }
    return useful < f->size_bytes ? f->size_bytes - useful : 0;
}

int co_jfile_look(co_jfile *f)
{
    if (f->size_bytes < f->look_bytes) return CO_JFILE_OK;
    f->look_bytes = 2 * f->size_bytes;
    if (useless_bytes(f) < f->size_bytes / 3) {
        f->look_bytes = f->size_bytes + f->size_bytes / 2;
        return CO_JFILE_OK;
    }
    return co_jfile_rewrite(f, NULL);
}
