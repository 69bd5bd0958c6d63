/* See coordinator/journal_format.h. The cursor of the wire serves here, too: one walk of the fields for both directions. */
#include "coordinator/journal_format.h"

#include <sodium.h>
#include <string.h>

#include "wire/cursor.h"
#include "wire/limits.h"

static const uint8_t header_magic[8] = "MOBYJRNL", head_magic[8] = "MRJBATCH";

/* ---- hashes ---- */

static void hash2(const void *a, size_t a_bytes, const void *b, size_t b_bytes, uint8_t hash[CO_JF_HASH_BYTES])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, CO_JF_HASH_BYTES);
    (void)crypto_generichash_update(&state, a, a_bytes);
    (void)crypto_generichash_update(&state, b, b_bytes);
    (void)crypto_generichash_final(&state, hash, CO_JF_HASH_BYTES);
}

/* ---- header and head ---- */

/* A constant that is written, and that must be what is read. */
static void constant(wire_cursor *c, const uint8_t *expected, size_t size_bytes)
{
    uint8_t bytes[8];
    memcpy(bytes, expected, size_bytes);
    wire_bytes(c, bytes, size_bytes);
    if (memcmp(bytes, expected, size_bytes) != 0) c->bad = 1;
}

static void walk_header(wire_cursor *c, co_jf_header *h)
{
    static const uint8_t zero[4] = { 0 };
    constant(c, header_magic, sizeof header_magic);
    wire_u32(c, &h->version);
    constant(c, zero, sizeof zero);
    wire_u64(c, &h->epoch);
    wire_u64(c, &h->last_job);
    wire_bytes(c, h->salt, sizeof h->salt);
}

static void walk_head(wire_cursor *c, co_jf_head *h)
{
    constant(c, head_magic, sizeof head_magic);
    wire_u64(c, &h->number);
    wire_u32(c, &h->body_bytes);
    wire_u32(c, &h->records);
    wire_u64(c, &h->last_job);
}

void co_jf_write_header(const co_jf_header *header, uint8_t bytes[CO_JF_HEADER_BYTES])
{
    co_jf_header h = *header;
    wire_cursor c = wire_writer(bytes, CO_JF_HEADER_BYTES);
    walk_header(&c, &h);
    hash2(bytes, CO_JF_HEADER_BYTES - CO_JF_HASH_BYTES, NULL, 0, bytes + CO_JF_HEADER_BYTES - CO_JF_HASH_BYTES);
}

int co_jf_read_header(co_jf_header *header, const uint8_t bytes[CO_JF_HEADER_BYTES])
{
    uint8_t hash[CO_JF_HASH_BYTES];
    wire_cursor c = wire_reader(bytes, CO_JF_HEADER_BYTES);
    walk_header(&c, header);
    hash2(bytes, CO_JF_HEADER_BYTES - CO_JF_HASH_BYTES, NULL, 0, hash);
    return c.bad || memcmp(hash, bytes + CO_JF_HEADER_BYTES - CO_JF_HASH_BYTES, sizeof hash) != 0 ? -1 : 0;
}

void co_jf_write_head(const co_jf_head *head, const uint8_t salt[CO_JF_HASH_BYTES], uint8_t bytes[CO_JF_HEAD_BYTES])
{
    co_jf_head h = *head;
    wire_cursor c = wire_writer(bytes, CO_JF_HEAD_BYTES);
    walk_head(&c, &h);
    hash2(salt, CO_JF_HASH_BYTES, bytes, CO_JF_HEAD_BYTES - CO_JF_HASH_BYTES, bytes + CO_JF_HEAD_BYTES - CO_JF_HASH_BYTES);
}

int co_jf_read_head(co_jf_head *head, const uint8_t salt[CO_JF_HASH_BYTES], const uint8_t bytes[CO_JF_HEAD_BYTES])
{
    uint8_t hash[CO_JF_HASH_BYTES];
    wire_cursor c = wire_reader(bytes, CO_JF_HEAD_BYTES);
    walk_head(&c, head);
    if (c.bad) return -1; /* cheap: scans for a head come here with every byte */
    hash2(salt, CO_JF_HASH_BYTES, bytes, CO_JF_HEAD_BYTES - CO_JF_HASH_BYTES, hash);
    return memcmp(hash, bytes + CO_JF_HEAD_BYTES - CO_JF_HASH_BYTES, sizeof hash) != 0 ? -1 : 0;
}

/* ---- records ---- */

/* A file name: any bytes but NUL. */
static void walk_path(wire_cursor *c, char path[CO_PATH_MOST])
{
    uint16_t length = c->writing ? (uint16_t)strlen(path) : 0;
    wire_count(c, &length, CO_PATH_MOST - 1);
    wire_bytes(c, (uint8_t *)path, length);
    if (!c->writing) path[length] = 0;
    if (strlen(path) != length) c->bad = 1;
}

static void walk_job(wire_cursor *c, co_record_job *j)
{
    wire_bytes(c, j->pack, sizeof j->pack);
    wire_u64(c, &j->pack_bytes);
    wire_u32_in(c, &j->picture.width, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &j->picture.height, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &j->picture.spp, 1, UINT32_MAX);
    wire_u32(c, &j->picture.seed);
    wire_u32(c, &j->tile);
    wire_u32(c, &j->units);
    wire_u32(c, &j->priority);
    wire_u32_in(c, &j->verify, 0, 100);
    wire_u64(c, &j->verify_secret);
    wire_u32_in(c, &j->flags, 0, CO_RECORD_FLAGS);
    wire_bytes(c, j->token, sizeof j->token);
    wire_text(c, j->name, sizeof j->name);
    walk_path(c, j->output);
}

static void walk_result(wire_cursor *c, co_record_result *r)
{
    uint32_t *const numbers[] = { &r->x, &r->y, &r->width, &r->height };
    for (unsigned i = 0; i < 4; i++) wire_u32_in(c, numbers[i], i / 2, WIRE_MAX_SIDE);
    if ((uint64_t)r->width * r->height * 3 > WIRE_MAX_VALUES) c->bad = 1;
    wire_u64(c, &r->rays);
    wire_u64(c, &r->bytes);
    wire_u64(c, &r->elapsed_us);
    wire_count(c, &r->part_count, CO_RECORD_PARTS_MOST);
    if (!r->part_count) c->bad = 1;
    for (unsigned i = 0; i < r->part_count && !c->bad; i++) {
        wire_u32(c, &r->parts[i].unit);
        wire_u32(c, &r->parts[i].first_sample);
        wire_u32_in(c, &r->parts[i].sample_count, 1, UINT32_MAX);
    }
}

static void walk_claim(wire_cursor *c, co_record_result *r)
{
    walk_result(c, r);
    if (r->part_count != 1) c->bad = 1;
    wire_u32(c, &r->who);
    wire_u16(c, &r->bands);
    wire_u64(c, &r->digest);
}

static void walk_verdict(wire_cursor *c, co_record_verdict *v)
{
    wire_u32(c, &v->who);
    wire_u32(c, &v->unit);
    wire_u16(c, &v->bands);
}

static int has_payload(const co_record *r) { return r->type == CO_RECORD_RESULT || r->type == CO_RECORD_CLAIM; }

static void walk_record(wire_cursor *c, co_record *r)
{
    wire_u8(c, &r->type);
    wire_u64(c, &r->job);
    if (r->type == CO_RECORD_JOB) walk_job(c, &r->a_job);
    else if (r->type == CO_RECORD_RESULT) walk_result(c, &r->result);
    else if (r->type == CO_RECORD_CLAIM) walk_claim(c, &r->result);
    else if (r->type >= CO_RECORD_AGREED && r->type <= CO_RECORD_BANNED) walk_verdict(c, &r->verdict);
    else if (r->type != CO_RECORD_CANCELLED && r->type != CO_RECORD_GONE) c->bad = 1;
}

size_t co_jf_record_bound(const co_record *r)
{
    size_t fields = 64;
    if (r->type == CO_RECORD_JOB) fields += 128 + CO_PATH_MOST;
    if (has_payload(r)) fields += 64 + r->result.part_count * sizeof(co_record_part) + r->payload_bytes;
    return CO_JF_RECORD_BYTES + fields;
}

/* What the hash covers: the length as it stands in the file, and the body. */
static void hash_record(const uint8_t *record, size_t body_bytes, uint8_t hash[CO_JF_HASH_BYTES])
{
    hash2(record, 4, record + CO_JF_RECORD_BYTES, body_bytes, hash);
}

size_t co_jf_write_record(const co_record *record, uint8_t *bytes, size_t capacity)
{
    if (capacity < CO_JF_RECORD_BYTES) return 0;
    wire_cursor c = wire_writer(bytes + CO_JF_RECORD_BYTES, capacity - CO_JF_RECORD_BYTES);
    walk_record(&c, (co_record *)(uintptr_t)record); /* a writing cursor changes none of it */
    if (c.bad || (has_payload(record) && (size_t)(c.end - c.at) < record->payload_bytes)) return 0;
    if (has_payload(record)) {
        memcpy(c.at, record->payload, record->payload_bytes);
        c.at += record->payload_bytes;
    }
    uint32_t body_bytes = (uint32_t)(c.at - bytes - CO_JF_RECORD_BYTES);
    wire_cursor length = wire_writer(bytes, 4);
    wire_u32(&length, &body_bytes);
    hash_record(bytes, body_bytes, bytes + 4);
    return CO_JF_RECORD_BYTES + (size_t)body_bytes;
}

size_t co_jf_read_record(co_record *record, const uint8_t *bytes, size_t size_bytes)
{
    uint8_t hash[CO_JF_HASH_BYTES];
    uint32_t body_bytes = 0;
    wire_cursor length = wire_reader(bytes, size_bytes);
    wire_u32(&length, &body_bytes);
    if (length.bad || size_bytes < CO_JF_RECORD_BYTES || body_bytes > size_bytes - CO_JF_RECORD_BYTES) return 0;
    hash_record(bytes, body_bytes, hash);
    if (memcmp(hash, bytes + 4, sizeof hash) != 0) return 0;
    wire_cursor c = wire_reader(bytes + CO_JF_RECORD_BYTES, body_bytes);
    walk_record(&c, record);
    if (c.bad) return 0;
    record->payload = c.at;
    record->payload_bytes = (uint32_t)(c.end - c.at);
    if (!has_payload(record) && record->payload_bytes) return 0;
    return CO_JF_RECORD_BYTES + (size_t)body_bytes;
}
