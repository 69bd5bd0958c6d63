/* wire: every message goes out and comes back, every hostile frame is refused without harm (run it under ASan), and sums survive packing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/cursor.h"
#include "wire/message.h"
#include "wire/sums.h"

/* PCG32 (O'Neill 2014). */
static uint64_t seed_state = 42;
static uint32_t random32(void)
{
    uint64_t old = seed_state;
    seed_state = old * 6364136223846793005ull + 1442695040888963407ull;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), r = (uint32_t)(old >> 59);
    return x >> r | x << (-r & 31);
}

static void fill(void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) ((uint8_t *)bytes)[i] = (uint8_t)random32();
}

static wire_message in, out;

/* A message of that type with every field at some lawful value. */
static void make(uint8_t type)
{
    memset(&out, 0, sizeof out);
    out.type = type;
    switch (type) {
    case WIRE_HELLO: out.hello = (wire_hello){ 0x1122334455667788, 17, 3, "worker name", "host", "avx512" }; break;
    case WIRE_WELCOME: out.welcome = (wire_welcome){ UINT64_MAX, 9, 200, 1000 }; break;
    case WIRE_PING: out.ping = (wire_ping){ 1, 2, 3, 4, 5 }; break;
    case WIRE_PONG: out.pong.token = 99; break;
    case WIRE_ASSIGN:
        out.assign.job = 7;
        out.assign.pack_bytes = WIRE_MAX_PACK_BYTES;
        fill(out.assign.pack, sizeof out.assign.pack);
        out.assign.picture = (wire_picture){ WIRE_MAX_SIDE, 1, 64, 5 };
        out.assign.count = WIRE_MAX_LIST;
        for (unsigned i = 0; i < WIRE_MAX_LIST; i++) out.assign.units[i] = (wire_unit){ random32(), i, i, 2, 64, 32, i, 16 };
        break;
    case WIRE_REVOKE:
    case WIRE_RETURN:
        out.leases.running = 1;
        out.leases.count = 3;
        for (unsigned i = 0; i < 3; i++) out.leases.lease[i] = UINT64_MAX - i;
        break;
    case WIRE_FORGET:
    case WIRE_ACCEPTED:
    case WIRE_STATUS:
    case WIRE_CANCEL:
    case WIRE_RELEASE:
    case WIRE_NEXT_JOB:
    case WIRE_NEED_ACCOUNT: out.job.job = 0x8000000000000001; break;
    case WIRE_RESULT: out.result = (wire_result){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }; break;
    case WIRE_SPENT: out.spent = (wire_spent){ 1, 2, 3, WIRE_MAX_THREADS - 1, 5, 6, 7 }; break;
    case WIRE_ACCOUNT: fill(&out.account, sizeof out.account); break;
    case WIRE_CLUSTER: out.cluster = (wire_cluster){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, "idle" }; break;
    case WIRE_TILE_FAILED: out.failed = (wire_tile_failed){ 1, 2, 3, 4, "no memory" }; break;
    case WIRE_ERROR: out.error = (wire_error){ WIRE_ERROR_REFUSED, "no" }; break;
    case WIRE_NEED_PACK: out.need = (wire_need_pack){ { 1, 2, 3 }, 1ull << 33, WIRE_CHUNK_BYTES }; break;
    case WIRE_PACK_CHUNK: out.chunk = (wire_pack_chunk){ { 9 }, 12345 }; break;
    case WIRE_SUBMIT: out.submit = (wire_submit){ { 1 }, { 2 }, 1000, { 4, 3, 2, 1 }, 32, WIRE_MAX_PRIORITY, WIRE_SUBMIT_DETACHED, 100, "spheres" }; break;
    case WIRE_JOB_STATUS: out.status = (wire_job_status){ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, { 14, 15, 16, 17 }, 18, 19, 20, "spheres", "missing" }; break;
    case WIRE_NEED_FILM:
    case WIRE_FILM_ROWS: out.rows = (wire_rows){ 1, 2, 3 }; break;
    default: break;
    }
}

static int carries_payload(uint8_t type) { return type == WIRE_RESULT || type == WIRE_PACK_CHUNK || type == WIRE_FILM_ROWS; }

/* Encodes `out`, with 5 bytes of payload where the type has one. */
static size_t encode(uint8_t *bytes, size_t capacity)
{
    size_t size = wire_encode(&out, bytes, capacity);
    assert_true(size > 0);
    if (carries_payload(out.type)) {
        memcpy(bytes + size, (const uint8_t[]){ '1', '2', '3', '4', '5' }, 5);
        size += 5;
    }
    return size;
}

static void test_round_trips(void **state)
{
    (void)state;
    static uint8_t bytes[WIRE_MAX_HEAD + 5], again[WIRE_MAX_HEAD + 5];
    for (unsigned i = 1; i < WIRE_TYPE_END; i++) {
        uint8_t type = (uint8_t)i;
        make(type);
        size_t size = encode(bytes, WIRE_MAX_HEAD);
        memset(&in, 0xAA, sizeof in);
        assert_int_equal(wire_decode(&in, bytes, size), WIRE_OK);
        assert_int_equal(in.type, type);
        assert_int_equal(in.version, WIRE_VERSION);
        assert_int_equal(in.payload_bytes, carries_payload(type) ? 5 : 0);
        if (carries_payload(type)) assert_memory_equal(in.payload, "12345", 5);
        size_t head = wire_encode(&in, again, sizeof again); /* what was read is what was written */
        assert_int_equal(head, size - in.payload_bytes);
        assert_memory_equal(bytes, again, head);
        assert_string_not_equal(wire_type_name(type), "?");
    }
    make(WIRE_ASSIGN);
    size_t size = encode(bytes, WIRE_MAX_HEAD);
    memset(&in, 0, sizeof in);
    assert_int_equal(wire_decode(&in, bytes, size), WIRE_OK);
    assert_memory_equal(&in.assign, &out.assign, sizeof in.assign);
}

/* The layout is a contract: this frame was written by hand. */
static void test_layout(void **state)
{
    (void)state;
    static const uint8_t frame[] = { 'M', 'R', 3, 4, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0 };
    assert_int_equal(wire_decode(&in, frame, sizeof frame), WIRE_OK);
    assert_true(in.ping.token == 0x0102030405060708 && in.ping.worker == 1 && in.ping.rtt_us == 2 && in.ping.queued == 3);
    assert_int_equal(in.ping.running, 256);
}

static void test_every_length(void **state)
{
    (void)state;
    static uint8_t bytes[WIRE_MAX_HEAD + 5];
    for (unsigned i = 1; i < WIRE_TYPE_END; i++) {
        uint8_t type = (uint8_t)i;
        make(type);
        size_t size = encode(bytes, WIRE_MAX_HEAD);
        size_t least = carries_payload(type) ? size - 4 : size; /* one byte of payload is enough */
        for (size_t cut = 0; cut < least; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1); /* so that ASan sees a byte too far */
            memcpy(exact, bytes, cut);
            assert_int_not_equal(wire_decode(&in, exact, cut), WIRE_OK);
            free(exact);
        }
        if (!carries_payload(type)) assert_int_equal(wire_decode(&in, bytes, size + 1), WIRE_MALFORMED);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    uint8_t bytes[WIRE_MAX_HEAD];
    make(WIRE_ASSIGN);
    out.assign.count = WIRE_MAX_LIST + 1;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
    make(WIRE_ASSIGN);
    out.assign.units[3].width = 0;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
    make(WIRE_ASSIGN);
    out.assign.units[3].width = out.assign.units[3].height = 2048;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
    make(WIRE_HELLO);
    out.hello.threads = 0;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
    make(WIRE_SUBMIT);
    out.submit.pack_bytes = WIRE_MAX_PACK_BYTES + 1;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
    make(WIRE_HELLO);
    assert_int_equal(wire_encode(&out, bytes, 10), 0); /* no room */
    out.type = WIRE_TYPE_END;
    assert_int_equal(wire_encode(&out, bytes, sizeof bytes), 0);
}

static void test_versions(void **state)
{
    (void)state;
    uint8_t bytes[WIRE_MAX_HEAD];
    make(WIRE_PING);
    size_t size = encode(bytes, sizeof bytes);
    bytes[2] = WIRE_VERSION + 1;
    assert_int_equal(wire_decode(&in, bytes, size), WIRE_OTHER_VERSION);
    make(WIRE_ERROR);
    size = encode(bytes, sizeof bytes);
    bytes[2] = WIRE_VERSION + 1;
    assert_int_equal(wire_decode(&in, bytes, size + 3), WIRE_OK); /* with fields that we do not know */
    assert_int_equal(in.version, WIRE_VERSION + 1);
    assert_string_equal(in.error.text, "no");
}

static void test_texts(void **state)
{
    (void)state;
    uint8_t bytes[WIRE_MAX_HEAD];
    make(WIRE_HELLO);
    memcpy(out.hello.name, "a\033[2Jb\nc\xff", 10);
    size_t size = encode(bytes, sizeof bytes);
    assert_int_equal(wire_decode(&in, bytes, size), WIRE_OK);
    assert_string_equal(in.hello.name, "a?[2Jb?c?");
}

static void test_hostile_frames(void **state)
{
    (void)state;
    static uint8_t bytes[WIRE_MAX_HEAD + 5];
    unsigned accepted = 0;
    for (unsigned round = 0; round < 500000; round++) {
        make((uint8_t)(1 + random32() % (WIRE_TYPE_END - 1)));
        if (out.type == WIRE_ASSIGN) out.assign.count = (uint16_t)(random32() % 4);
        size_t size = encode(bytes, WIRE_MAX_HEAD);
        for (unsigned n = 1 + random32() % 4; size && n > 0; n--) bytes[random32() % size] = (uint8_t)random32();
        if (random32() % 4 == 0) size = random32() % (size + 1);
        if (random32() % 8 == 0) fill(bytes + 2, size > 2 ? size - 2 : 0);
        if (wire_decode(&in, bytes, size) != WIRE_OK) continue;
        accepted++;
        if (in.type == WIRE_ASSIGN) assert_true(in.assign.count <= WIRE_MAX_LIST);
        if (in.type == WIRE_HELLO) assert_true(memchr(in.hello.name, 0, sizeof in.hello.name) != NULL);
        if (in.payload_bytes) assert_true(in.payload + in.payload_bytes == bytes + size);
    }
    assert_true(accepted > 1000); /* the mutations are not all trivially wrong */
}

/* ---- sums ---- */

enum { VALUES = 3 * 61 * 47 };
static uint64_t sums[VALUES], back[VALUES];

static size_t pack(wire_packer *packer, uint8_t **bytes, size_t count)
{
    *bytes = malloc(wire_sums_bound(count));
    return wire_sums_encode(packer, sums, count, *bytes);
}

static void test_sums_round_trip(void **state)
{
    (void)state;
    wire_packer *packer = wire_packer_new();
    for (unsigned bits = 0; bits <= 64; bits += 4) {
        for (size_t count = 1; count <= VALUES; count = count * 7 + 2) {
            uint64_t mask = bits == 64 ? UINT64_MAX : (1ull << bits) - 1;
            for (size_t i = 0; i < count; i++) sums[i] = ((uint64_t)random32() << 32 | random32()) & mask;
            uint8_t *bytes;
            size_t size = pack(packer, &bytes, count);
            assert_true(size <= wire_sums_bound(count));
            memset(back, 0xAA, sizeof back);
            assert_int_equal(wire_sums_decode(packer, bytes, size, back, count), 0);
            assert_memory_equal(sums, back, count * sizeof sums[0]);
            assert_int_equal(wire_sums_decode(packer, bytes, size, back, count + 1), -1);
            assert_int_equal(wire_sums_decode(packer, bytes, size - 1, back, count), -1);
            free(bytes);
        }
    }
    wire_packer_free(packer);
}

static void test_sums_are_small(void **state)
{
    (void)state;
    wire_packer *packer = wire_packer_new();
    uint8_t *bytes;
    for (size_t i = 0; i < VALUES; i++) sums[i] = 0;
    assert_true(pack(packer, &bytes, VALUES) < 64);
    free(bytes);
    for (size_t i = 0; i < VALUES; i++) sums[i] = (1 << 23) + (random32() & 0xFFFF); /* noise below, a constant above */
    assert_true(pack(packer, &bytes, VALUES) < 2 * VALUES + 128);
    free(bytes);
    wire_packer_free(packer);
}

static void test_hostile_sums(void **state)
{
    (void)state;
    wire_packer *packer = wire_packer_new();
    for (size_t i = 0; i < VALUES; i++) sums[i] = (i / 100) << 16 | (random32() & 0xFFFF);
    uint8_t *bytes;
    size_t size = pack(packer, &bytes, VALUES);
    for (unsigned round = 0; round < 100000; round++) {
        size_t length = random32() % 4 ? size : random32() % (size + 1);
        uint8_t *copy = malloc(length ? length : 1);
        memcpy(copy, bytes, length);
        /* mostly where the lengths and the compressed plane are */
        for (unsigned n = 1 + random32() % 3; length && n > 0; n--)
            copy[random32() % 2 ? random32() % length : length - 1 - random32() % (length < 600 ? length : 600)] = (uint8_t)random32();
        (void)wire_sums_decode(packer, copy, length, back, VALUES);
        free(copy);
        if (round % 16 == 0) {
            uint8_t noise[64];
            fill(noise, sizeof noise);
            noise[0] = (uint8_t)(1 + random32() % 8);
            (void)wire_sums_decode(packer, noise, random32() % sizeof noise, back, 1 + random32() % 16);
        }
    }
    free(bytes);
    wire_packer_free(packer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),    cmocka_unit_test(test_layout),          cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_versions),        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_hostile_frames), cmocka_unit_test(test_sums_round_trip), cmocka_unit_test(test_sums_are_small),
        cmocka_unit_test(test_hostile_sums),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
