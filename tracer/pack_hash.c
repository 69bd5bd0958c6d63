/* A pack's name: a tree of two levels, so that several threads can make it and a pack can be hashed while it arrives.
 *
 * The pack is cut into blocks of MR_HASH_BLOCK bytes (the last may be shorter), each is hashed with BLAKE2b-256, the header's hash field read as
 * zeros; the name is the BLAKE2b-256 of "MRAYTREE", the size in bytes as 64 bits, and the blocks' hashes in order. Two packs with one name would
 * be two inputs of this last hash or of a block's with one hash: the tree is as strong as BLAKE2b. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/pack_check.h"

_Static_assert(sizeof(((mr_pack_hasher *)0)->room) >= 64 + 2 * sizeof(crypto_generichash_state) && _Alignof(crypto_generichash_state) <= 64,
               "room for libsodium's states");
_Static_assert(sizeof(mr_pack_header) < MR_HASH_BLOCK, "the header lies in the first block");

typedef struct digest {
    uint8_t bytes[MR_HASH_BYTES];
} digest;

static void start(crypto_generichash_state *state) { (void)crypto_generichash_init(state, NULL, 0, MR_HASH_BYTES); }
static void update(crypto_generichash_state *state, const void *bytes, size_t n) { (void)crypto_generichash_update(state, bytes, n); }
static void finish(crypto_generichash_state *state, uint8_t hash[MR_HASH_BYTES]) { (void)crypto_generichash_final(state, hash, MR_HASH_BYTES); }

/* Chooses the fastest BLAKE2b; without it the portable one runs. Safe from any thread, again and again. */
static void choose_fastest(void)
{
    if (sodium_init() < 0) return;
}

/* Bytes that stand at `offset` in the pack; those of the header's hash field count as zeros. */
static void feed(crypto_generichash_state *state, uint64_t offset, const uint8_t *bytes, size_t n)
{
    static const uint8_t zeros[MR_HASH_BYTES] = {0};
    const uint64_t begin = offsetof(mr_pack_header, hash), end = begin + MR_HASH_BYTES;
    while (n && offset < end) {
        size_t part = offset < begin ? (size_t)(begin - offset) : (size_t)(end - offset);
        if (part > n) part = n;
        update(state, offset < begin ? bytes : zeros, part);
        offset += part;
        bytes += part;
        n -= part;
    }
    update(state, bytes, n);
}

static void start_root(crypto_generichash_state *root, uint64_t size_bytes)
{
    start(root);
    update(root, "MRAYTREE", 8);
    update(root, &size_bytes, sizeof size_bytes);
}

/* ---- of bytes that are all there ---- */

typedef struct blocks {
    const uint8_t *bytes;
    uint64_t size_bytes;
    digest *digests;
} blocks;

static void hash_block(void *context, uint32_t index)
{
    const blocks *b = context;
    uint64_t at = (uint64_t)index * MR_HASH_BLOCK, left = b->size_bytes - at;
    crypto_generichash_state state;
    start(&state);
    feed(&state, at, b->bytes + at, left < MR_HASH_BLOCK ? (size_t)left : MR_HASH_BLOCK);
    finish(&state, b->digests[index].bytes);
}

/* Without memory for the blocks' hashes it goes through the bytes in order. */
void mr_pack_hash(const void *bytes, size_t size_bytes, mr_crew *crew, uint8_t hash[MR_HASH_BYTES])
{
    size_t count = (size_bytes + MR_HASH_BLOCK - 1) / MR_HASH_BLOCK;
    blocks b = {bytes, size_bytes, count <= UINT32_MAX ? malloc(count * sizeof *b.digests) : NULL};
    if (!b.digests) {
        mr_pack_hasher hasher;
        mr_pack_hash_begin(&hasher, size_bytes);
        mr_pack_hash_add(&hasher, bytes, size_bytes);
        mr_pack_hash_end(&hasher, hash);
        return;
    }
    crypto_generichash_state root;
    choose_fastest();
    mr_crew_run(crew, hash_block, &b, (uint32_t)count);
    start_root(&root, size_bytes);
    update(&root, b.digests, count * sizeof *b.digests);
    finish(&root, hash);
    free(b.digests);
}

/* ---- of bytes that arrive in order ---- */

static crypto_generichash_state *block_of(mr_pack_hasher *h)
{
    return (crypto_generichash_state *)(void *)(h->room + (64 - (uintptr_t)h->room % 64) % 64);
}

static crypto_generichash_state *root_of(mr_pack_hasher *h) { return block_of(h) + 1; }

static void end_block(mr_pack_hasher *h)
{
    uint8_t hash[MR_HASH_BYTES];
    finish(block_of(h), hash);
    update(root_of(h), hash, sizeof hash);
    start(block_of(h));
}

void mr_pack_hash_begin(mr_pack_hasher *hasher, uint64_t size_bytes)
{
    choose_fastest();
    hasher->done_bytes = 0;
    start_root(root_of(hasher), size_bytes);
    start(block_of(hasher));
}

void mr_pack_hash_add(mr_pack_hasher *hasher, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    while (size_bytes) {
        size_t part = MR_HASH_BLOCK - (size_t)(hasher->done_bytes % MR_HASH_BLOCK);
        if (part > size_bytes) part = size_bytes;
        feed(block_of(hasher), hasher->done_bytes, at, part);
        hasher->done_bytes += part;
        at += part;
        size_bytes -= part;
        if (hasher->done_bytes % MR_HASH_BLOCK == 0) end_block(hasher);
    }
}

void mr_pack_hash_end(mr_pack_hasher *hasher, uint8_t hash[MR_HASH_BYTES])
{
    if (hasher->done_bytes % MR_HASH_BLOCK) end_block(hasher);
    finish(root_of(hasher), hash);
}
