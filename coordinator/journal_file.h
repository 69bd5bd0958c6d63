/* The journal's file: read, appended to, rewritten. One thread at a time; coordinator/journal.h is the room around it. */
#ifndef CO_JOURNAL_FILE_H
#define CO_JOURNAL_FILE_H

#include "coordinator/journal_format.h"
#include "wire/sums.h"

typedef struct co_jfile_entry { /* a RESULT or a CLAIM in the file */
    uint64_t job, offset;
    uint32_t length;
    uint16_t x, y, width, height;
    uint16_t bands;             /* CLAIM */
    uint8_t is_claim, agreed;   /* agreed: as of the last co_jfile_resolve */
    uint32_t who, unit;         /* CLAIM */
} co_jfile_entry;

typedef struct co_jfile_verdict { /* an AGREED or a WITHDRAWN */
    uint64_t job, offset;
    co_record_verdict said;
    uint8_t type;
} co_jfile_verdict;

typedef struct co_jfile_job { /* one that is not gone */
    uint64_t id;
    uint8_t *bytes;           /* its JOB record as in the file; owned */
    uint32_t length;
    int cancelled;
} co_jfile_job;

typedef struct co_jfile {
    char folder[CO_PATH_MOST];
    int folder_fd, fd;
    co_jf_header header;
    uint64_t size_bytes;      /* durable; the next batch goes here */
    uint64_t number, last_job;/* of the last batch; the greatest id of any job ever */
    uint64_t look_bytes;      /* at this size its growth is looked at */
    co_jfile_entry *entries;
    size_t entry_count, entry_capacity;
    co_jfile_verdict *verdicts;
    size_t verdict_count;
    uint32_t verdict_capacity;
    uint32_t *banned;         /* the last CO_BANNED_MOST */
    size_t banned_count;
    uint32_t banned_capacity;
    co_jfile_job *jobs;       /* by id */
    size_t job_count, job_capacity;
    uint8_t *bytes;           /* scratch */
    size_t capacity;
    wire_packer *packer;
    co_record record;         /* scratch */
} co_jfile;

/* A batch in the making: head, then records. */
typedef struct co_jfile_batch {
    uint8_t *bytes;
    size_t used, capacity;    /* used: CO_JF_HEAD_BYTES when it is empty */
    uint32_t records;
    uint64_t last_job;        /* the greatest id of its jobs, 0: none */
} co_jfile_batch;

void co_jfile_clear(co_jfile_batch *batch);
int co_jfile_put(co_jfile_batch *batch, const void *record, size_t length); /* -1 without memory */

/* Opens or makes folder/journal; see co_journal_open for errors and note. f is zeroed but for folder and folder_fd; closed by co_jfile_close. */
int co_jfile_open(co_jfile *f, char *note, size_t note_size, mr_error *err);
void co_jfile_close(co_jfile *f);
int co_jfile_deliver(co_jfile *f, co_journal_sink sink, void *user, mr_error *err);

/* Claims and verdicts (journal_claims.c). -1 without memory. */
int co_jfile_index_verdict(co_jfile *f, const co_record *record, uint64_t offset);
void co_jfile_forget_verdicts(co_jfile *f, uint64_t job);
/* Drops the claims that were withdrawn, and what withdrew them; marks those agreed on. Changes the order of the entries. */
void co_jfile_resolve(co_jfile *f);

enum co_jfile_outcome { CO_JFILE_OK, CO_JFILE_AGAIN /* not written: try again */, CO_JFILE_LOST /* written, but perhaps not on disk */, CO_JFILE_BROKEN };

/* Appends a batch and makes it durable. errno says why it was not. */
int co_jfile_append(co_jfile *f, co_jfile_batch *batch);

/* Writes what is of use, and then `more` (may be NULL), into a new file that takes the old one's place. CO_JFILE_AGAIN: the old file stays as it is;
 * CO_JFILE_LOST: the new one is in its place, with `more`, but perhaps not for good: rewrite again, without; CO_JFILE_BROKEN: what was durable
 * cannot be read any more. */
int co_jfile_rewrite(co_jfile *f, co_jfile_batch *more);

/* Rewrites the file when it has grown enough and enough of it is of no use. The same outcomes; failing to is no harm. */
int co_jfile_look(co_jfile *f);

/* DIR/scene-HASH.pack. */
void co_jfile_pack_path(const co_jfile *f, const uint8_t hash[MR_HASH_BYTES], char path[CO_PATH_MOST]);
/* Removes the packs of jobs that are gone. */
void co_jfile_drop_packs(const co_jfile *f);

/* fdatasync and fsync go through here, so that a test can make them fail. */
extern int (*co_jfile_sync)(int fd);

#endif
