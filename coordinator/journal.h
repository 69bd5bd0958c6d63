/* The journal: what must survive the coordinator, in a folder of its own (--state DIR).
 *
 *   DIR/lock              held for the life of the process: two coordinators never share a folder
 *   DIR/journal           jobs and the tiles that are in: coordinator/journal_format.h
 *   DIR/scene-HASH.pack   the scenes of the jobs that live
 *
 * Records are added without waiting; a thread of the journal's own writes what has gathered and makes it durable with one fdatasync (group
 * commit). co_journal_settled tells how far it has come. What is not settled must not be told to anyone: after a crash it has not happened.
 *
 * Trouble. No room (or any error of writing): nothing is lost, the same bytes are tried again until there is room; co_journal_trouble
 * says why. An fdatasync that fails is not tried again (the kernel may have dropped the pages and would report success the second time, see Rebello et al. 2020,
 * "Can Applications Recover from fsync Failures?"): all that is known is written into a new file instead.
 * Lies. What a worker of a verified job sends is kept as his claim (CLAIM), apart from all others, until the job is gone. When he is found to lie, WITHDRAWN and
 * BANNED follow; withdrawn are those claims that stand before it in the file. What exposes a liar may bring his tile anew, and is added behind them.
 * Growth. When the file has doubled since it was last looked at and a third of it is of no use any more (jobs that are gone, several sample
 * ranges of one tile), it is rewritten: ranges of one tile are added up to one record. So disk use and restart time follow the pictures, not their history.
 *
 * One thread calls these functions; all but open and close return at once. */
#ifndef CO_JOURNAL_H
#define CO_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/limits.h"
#include "tracer/error.h"
#include "tracer/pack.h"
#include "tracer/render.h"
#include "wire/limits.h"

enum co_record_type {
    CO_RECORD_JOB = 1, CO_RECORD_RESULT = 2, CO_RECORD_CANCELLED = 3, CO_RECORD_GONE = 4,
    CO_RECORD_CLAIM = 5,     /* a result of a job that is verified: whole, as it came, so that it can be withdrawn */
    CO_RECORD_AGREED = 6,    /* another has come to the same */
    CO_RECORD_WITHDRAWN = 7, /* what `who` claimed of that job before this record is void: all, or one part of it */
    CO_RECORD_BANNED = 8     /* `who` has lied and is refused; of no job */
};
enum { CO_RECORD_CLIENT = 1, CO_RECORD_DETACHED = 2, CO_RECORD_FLAGS = 3 };

typedef struct co_record_job {
    uint8_t pack[MR_HASH_BYTES];
    uint64_t pack_bytes;
    mr_picture picture;
    uint32_t tile, units;      /* as asked for; how many pieces that made */
    uint32_t priority, verify, flags; /* flags: CO_RECORD_CLIENT ... */
    uint64_t verify_secret;    /* co_job_options */
    uint8_t token[WIRE_TOKEN_BYTES];
    char name[WIRE_MAX_NAME];
    char output[CO_PATH_MOST]; /* the owner's: where the picture goes; "" */
} co_record_job;

typedef struct co_record_part {
    uint32_t unit, first_sample, sample_count;
} co_record_part;

typedef struct co_record_result { /* sums of one tile: of one unit, or of several that differ in their samples */
    uint32_t x, y, width, height;
    uint64_t rays, bytes;         /* bytes: as they came over the wire */
    uint64_t elapsed_us;          /* since the job was submitted, downtime not counted */
    uint16_t part_count;
    co_record_part parts[CO_RECORD_PARTS_MOST];
    uint32_t who;                 /* CLAIM (one part): its worker's identity, */
    uint16_t bands;               /* those of the unit that went into the picture, of the rows that came, */
    uint64_t digest;              /* of all that came, */
    int agreed;                   /* and, when delivered: whether an AGREED follows */
} co_record_result;

typedef struct co_record_verdict { /* AGREED, WITHDRAWN, BANNED */
    uint32_t who, unit;            /* unit UINT32_MAX: all of them (WITHDRAWN) */
    uint16_t bands;
} co_record_verdict;

typedef struct co_record {
    uint8_t type;                 /* enum co_record_type */
    uint64_t job;
    union {
        co_record_job a_job;
        co_record_result result;  /* RESULT, CLAIM */
        co_record_verdict verdict;
    };
    const uint8_t *payload;       /* RESULT, CLAIM: wire/sums.h */
    uint32_t payload_bytes;
} co_record;

typedef struct co_journal co_journal;

/* Called while opening: with each BANNED, then for each job that lives (its JOB first, CANCELLED last), in the order of their ids. Claims that were withdrawn
 * are left out, and the verdicts with them. pack_path: of a JOB. Not MR_OK: give up. */
typedef int (*co_journal_sink)(void *user, const co_record *record, const char *pack_path, mr_error *err);

/* Makes or opens the folder. MR_BAD_INPUT: damaged, or of another version; MR_FAILED: in use, or cannot be read or written. A torn tail, as a crash in
 * mid-write leaves it, is dropped; `note` (of note_size) then says so, and is "" otherwise. */
int co_journal_open(co_journal **out, const char *folder, co_journal_sink sink, void *user, char *note, size_t note_size, mr_error *err);
/* Waits until everything is durable, unless there is trouble: 0, or -1 when something could not be written (that much is done again). */
int co_journal_close(co_journal *journal);

uint64_t co_journal_epoch(const co_journal *journal);    /* random when the folder was made, the same ever after */
uint64_t co_journal_last_job(const co_journal *journal); /* when it was opened: no id up to this one may be used again */

/* Adds a record; everything of it is copied but the pack of a JOB, which is borrowed until the record is settled or co_journal_release was called.
 * Counts one; -1 without memory. */
int co_journal_add(co_journal *journal, const co_record *record, const mr_pack *pack);
/* The pack's owner wants it back: a job that waits to be written with it is not written. */
void co_journal_release(co_journal *journal, const mr_pack *pack);

uint64_t co_journal_settled(const co_journal *journal);  /* records that are durable, of all added since it was opened */
uint64_t co_journal_waiting(const co_journal *journal);  /* bytes that are not */
int co_journal_fd(const co_journal *journal);            /* readable when something has changed; co_journal_calm makes it unreadable */
void co_journal_calm(co_journal *journal);
/* 0: all is well; 1: held, tried again and again; 2: given up for good. text (of size) says why. */
int co_journal_trouble(co_journal *journal, char *text, size_t size);

#endif
