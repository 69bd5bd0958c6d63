/* The journal's bytes on disk. Pure: no file is touched here.
 *
 *   header | batch | batch | ...          batch = head | record | record ...
 *
 *   header  magic 8, version u32, zero u32, epoch u64, last job u64, salt 16, hash 16
 *   head    magic 8, number u64, body bytes u32, records u32, last job u64, hash 16 (of the file's salt and the 32 bytes before it)
 *   record  length u32, hash 16 (of length and body), body: type u8, job u64, fields
 *
 * Integers are little-endian; hashes are BLAKE2b-128. A batch is what one fdatasync made durable: number n + 1 is written only after n is
 * on disk, so a batch that cannot be read is a torn tail exactly when no later batch follows it. The salt is random for each file, so that bytes
 * of another file that come to light behind the end (file systems do that after a power cut) are never taken for a batch of this one. */
#ifndef CO_JOURNAL_FORMAT_H
#define CO_JOURNAL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/journal.h"

enum {
    CO_JF_VERSION = 2,
    CO_JF_HASH_BYTES = 16,
    CO_JF_HEADER_BYTES = 64,
    CO_JF_HEAD_BYTES = 48,
    CO_JF_RECORD_BYTES = 20 /* before a record's body */
};

typedef struct co_jf_header {
    uint32_t version;
    uint64_t epoch, last_job;
    uint8_t salt[CO_JF_HASH_BYTES];
} co_jf_header;

typedef struct co_jf_head {
    uint64_t number, last_job;
    uint32_t body_bytes, records;
} co_jf_head;

void co_jf_write_header(const co_jf_header *header, uint8_t bytes[CO_JF_HEADER_BYTES]);
int co_jf_read_header(co_jf_header *header, const uint8_t bytes[CO_JF_HEADER_BYTES]); /* -1: no journal, or damaged */

void co_jf_write_head(const co_jf_head *head, const uint8_t salt[CO_JF_HASH_BYTES], uint8_t bytes[CO_JF_HEAD_BYTES]);
int co_jf_read_head(co_jf_head *head, const uint8_t salt[CO_JF_HASH_BYTES], const uint8_t bytes[CO_JF_HEAD_BYTES]); /* -1: not a head */

/* Bytes that a record needs at most. */
size_t co_jf_record_bound(const co_record *record);
/* Writes length, hash and body; returns the bytes used, 0 when a field is out of its bounds. */
size_t co_jf_write_record(const co_record *record, uint8_t *bytes, size_t capacity);
/* Reads the record at bytes, of which size_bytes are there; payload points into them. Returns its length on disk, 0: damaged. */
size_t co_jf_read_record(co_record *record, const uint8_t *bytes, size_t size_bytes);

#endif
