/* The journal: what was settled is there after any death; cut anywhere or damaged anywhere, it goes on with a part of it or is refused, and never
 * gives anything that was not written. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/journal.h"
#include "coordinator/journal_file.h"

enum { SIDE = 4, VALUES = 3 * SIDE * SIDE, TILES = 12, RANGES = 3, UNITS = TILES * RANGES };

static char folder[128], file[160];
static mr_pack pack;
static mr_pack_header pack_header;
static wire_packer *packer;
static co_record record; /* scratch: it is large */

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/mobyray-journal-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    packer = wire_packer_new();
    if (!mkdtemp(folder) || !packer) return -1;
    (void)snprintf(file, sizeof file, "%s/journal", folder);
    memset(pack_header.hash, 7, sizeof pack_header.hash);
    pack = (mr_pack){ .base = (const uint8_t *)&pack_header, .size_bytes = sizeof pack_header, .header = &pack_header };
    return 0;
}

static void empty_folder(void)
{
    char command[192];
    (void)snprintf(command, sizeof command, "rm -f '%s'/*", folder);
    assert_int_equal(system(command), 0);
}

static int drop_folder(void **state)
{
    (void)state;
    empty_folder();
    wire_packer_free(packer);
    return rmdir(folder);
}

/* ---- what is written and what is found ---- */

/* The sums of a unit: its own, so that nothing can be mistaken for another. */
static void sums_of(uint64_t job, uint32_t unit, uint64_t sums[VALUES])
{
    for (uint32_t i = 0; i < VALUES; i++) sums[i] = job * 1000003 + unit * 7919u + i * 31u;
}

static uint32_t tile_of(uint32_t unit) { return unit % TILES; }
static uint32_t range_of(uint32_t unit) { return unit / TILES; }

/* Workers of job 4, which is verified: an honest one and a liar, whose claims are withdrawn in the midst of it. */
enum { HONEST = 11, LIAR = 22, VERIFIED = 4 };

typedef struct found {
    unsigned jobs, cancelled, banned, lies, agreed;
    uint64_t job[8];
    uint8_t in[8][UNITS];
} found;

static int place_of(const found *f, uint64_t job)
{
    for (unsigned i = 0; i < f->jobs; i++)
        if (f->job[i] == job) return (int)i;
    return -1;
}

/* Holds what the journal delivers to what was written. */
static int sink(void *user, const co_record *r, const char *pack_path, mr_error *err)
{
    (void)err;
    found *f = user;
    if (r->type == CO_RECORD_BANNED) {
        assert_true(r->verdict.who == LIAR && f->jobs == 0); /* before all else */
        f->banned++;
        return MR_OK;
    }
    if (r->type == CO_RECORD_JOB) {
        assert_true(f->jobs < 8 && place_of(f, r->job) < 0);
        assert_int_equal(r->a_job.picture.width, 64 + r->job);
        assert_string_equal(r->a_job.output, r->job % 2 ? "/out/picture \xc3\xa9.png" : "");
        assert_non_null(strstr(pack_path, "/scene-0707"));
        f->job[f->jobs++] = r->job;
        return MR_OK;
    }
    int place = place_of(f, r->job);
    assert_true(place >= 0);
    if (r->type == CO_RECORD_CANCELLED) {
        f->cancelled++;
        return MR_OK;
    }
    uint64_t sums[VALUES], expected[VALUES] = { 0 }, one[VALUES];
    assert_int_equal(r->type, r->job == VERIFIED ? CO_RECORD_CLAIM : CO_RECORD_RESULT);
    int lie = r->job == VERIFIED && r->result.who == LIAR;
    if (r->job == VERIFIED) {
        assert_true(lie || r->result.who == HONEST);
        assert_int_equal(r->result.digest, r->result.parts[0].unit * 3u);
        assert_int_equal(r->result.bands, 1);
    }
    f->lies += (unsigned)lie;
    f->agreed += r->job == VERIFIED && r->result.agreed;
    assert_int_equal(wire_sums_decode(packer, r->payload, r->payload_bytes, sums, VALUES), 0);
    for (unsigned i = 0; i < r->result.part_count; i++) {
        uint32_t unit = r->result.parts[i].unit;
        assert_true(unit < UNITS && !f->in[place][unit]);
        assert_int_equal(r->result.x, SIDE * tile_of(unit));
        assert_int_equal(r->result.parts[i].first_sample, 16 * range_of(unit));
        f->in[place][unit] = 1;
        sums_of(r->job + (lie ? 100 : 0), unit, one);
        for (unsigned k = 0; k < VALUES; k++) expected[k] += one[k];
    }
    assert_memory_equal(sums, expected, sizeof sums);
    return MR_OK;
}

static int open_journal(co_journal **j, found *f, char *note, mr_error *err)
{
    char unused[256];
    memset(f, 0, sizeof *f);
    return co_journal_open(j, folder, sink, f, note ? note : unused, sizeof unused, err);
}

static void add_job(co_journal *j, uint64_t id)
{
    record = (co_record){ .type = CO_RECORD_JOB, .job = id };
    memcpy(record.a_job.pack, pack_header.hash, sizeof record.a_job.pack);
    record.a_job.picture = (mr_picture){ 64 + (uint32_t)id, 48, 16 * RANGES, 3 };
    if (id % 2) (void)snprintf(record.a_job.output, sizeof record.a_job.output, "/out/picture \xc3\xa9.png");
    assert_int_equal(co_journal_add(j, &record, &pack), 0);
}

static void add_result(co_journal *j, uint64_t id, uint32_t unit)
{
    uint64_t sums[VALUES];
    static uint8_t bytes[1024];
    sums_of(id, unit, sums);
    record = (co_record){ .type = CO_RECORD_RESULT, .job = id, .result = { .x = SIDE * tile_of(unit), .width = SIDE, .height = SIDE, .part_count = 1 } };
    record.result.parts[0] = (co_record_part){ unit, 16 * range_of(unit), 16 };
    record.payload = bytes;
    record.payload_bytes = (uint32_t)wire_sums_encode(packer, sums, VALUES, bytes);
    assert_int_equal(co_journal_add(j, &record, NULL), 0);
}

static void add_claim(co_journal *j, uint32_t unit, uint32_t who)
{
    uint64_t sums[VALUES];
    static uint8_t bytes[1024];
    sums_of(VERIFIED + (who == LIAR ? 100 : 0), unit, sums);
    record = (co_record){ .type = CO_RECORD_CLAIM, .job = VERIFIED,
                          .result = { .x = SIDE * tile_of(unit), .width = SIDE, .height = SIDE, .part_count = 1, .who = who, .bands = 1, .digest = unit * 3u } };
    record.result.parts[0] = (co_record_part){ unit, 16 * range_of(unit), 16 };
    record.payload = bytes;
    record.payload_bytes = (uint32_t)wire_sums_encode(packer, sums, VALUES, bytes);
    assert_int_equal(co_journal_add(j, &record, NULL), 0);
}

static void add_verdict(co_journal *j, uint8_t type, uint32_t who, uint32_t unit)
{
    record = (co_record){ .type = type, .job = type == CO_RECORD_BANNED ? 0 : VERIFIED, .verdict = { who, unit, unit == UINT32_MAX ? 0 : 1 } };
    assert_int_equal(co_journal_add(j, &record, NULL), 0);
}

static void add_end(co_journal *j, uint64_t id, uint8_t type)
{
    record = (co_record){ .type = type, .job = id };
    assert_int_equal(co_journal_add(j, &record, NULL), 0);
}

static void wait_settled(co_journal *j, uint64_t count)
{
    for (int i = 0; i < 3000 && co_journal_settled(j) < count; i++) {
        struct pollfd event = { .fd = co_journal_fd(j), .events = POLLIN };
        (void)poll(&event, 1, 10);
        co_journal_calm(j);
    }
    assert_true(co_journal_settled(j) >= count);
}

/* Three jobs: one with all its units (in several batches), one cancelled with some, one gone. */
static void write_some(void)
{
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    empty_folder();
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    uint64_t added = 0;
    for (uint64_t id = 1; id <= 3; id++, added++) add_job(j, id);
    wait_settled(j, added);
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        add_result(j, 1, unit);
        added++;
        if (unit % 5 == 0) wait_settled(j, added); /* batches of several sizes */
        if (unit % 6 == 0) add_result(j, 2, unit), added++;
        if (unit < 3) add_result(j, 3, unit), added++;
    }
    add_end(j, 3, CO_RECORD_GONE);
    add_end(j, 2, CO_RECORD_CANCELLED);
    assert_int_equal(co_journal_close(j), 0);
}

static unsigned count_in(const found *f, uint64_t job)
{
    unsigned count = 0;
    int place = place_of(f, job);
    for (unsigned i = 0; place >= 0 && i < UNITS; i++) count += f->in[place][i];
    return count;
}

static void assert_all(const found *f)
{
    assert_int_equal(f->jobs, 2);
    assert_int_equal(f->cancelled, 1);
    assert_int_equal(count_in(f, 1), UNITS);
    assert_int_equal(count_in(f, 2), UNITS / 6);
}

/* A verified job: claims of both, some agreed on; unit 7 disputed and done anew; then the liar is found, in the moment in which another brings his unit 1. */
static uint64_t write_verified(co_journal *j)
{
    uint64_t added = 1;
    add_job(j, VERIFIED);
    for (uint32_t unit = 0; unit < TILES; unit++, added++) add_claim(j, unit, unit % 2 ? LIAR : HONEST);
    wait_settled(j, added);
    add_verdict(j, CO_RECORD_AGREED, HONEST, 2);
    add_verdict(j, CO_RECORD_WITHDRAWN, LIAR, 7);
    add_claim(j, 7, HONEST);
    wait_settled(j, added += 3);
    add_verdict(j, CO_RECORD_WITHDRAWN, LIAR, UINT32_MAX);
    add_verdict(j, CO_RECORD_BANNED, LIAR, 0);
    add_claim(j, 1, HONEST);
    add_verdict(j, CO_RECORD_AGREED, HONEST, 4);
    return added + 4;
}

static void assert_verified(const found *f)
{
    assert_int_equal(f->banned, 1);
    assert_int_equal(f->lies, 0);
    assert_int_equal(f->agreed, 2);
    assert_int_equal(count_in(f, VERIFIED), TILES / 2 + 2);
}

/* ---- files as bytes ---- */

static uint8_t *read_bytes(size_t *size)
{
    struct stat st;
    int fd = open(file, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *bytes = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    (void)close(fd);
    *size = (size_t)st.st_size;
    return bytes;
}

static void write_bytes(const uint8_t *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
}

/* ---- tests ---- */

static void test_comes_back(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    char note[256], scene[256];
    write_some();
    uint64_t epoch = 0;
    for (unsigned life = 0; life < 3; life++) {
        assert_int_equal(open_journal(&j, &f, note, &err), MR_OK);
        assert_string_equal(note, "");
        assert_all(&f);
        assert_true(life == 0 || co_journal_epoch(j) == epoch);
        assert_true(co_journal_last_job(j) >= 3 + CO_JOB_IDS_SKIPPED * (life + 1u)); /* no id twice, used or not */
        epoch = co_journal_epoch(j);
        assert_int_equal(co_journal_close(j), 0);
    }
    char hex[2 * MR_HASH_BYTES + 1];
    mr_hash_hex(pack_header.hash, hex);
    (void)snprintf(scene, sizeof scene, "%.100s/scene-%s.pack", folder, hex);
    assert_int_equal(access(scene, R_OK), 0);
    assert_int_equal(open_journal(&j, &f, note, &err), MR_OK);
    add_end(j, 1, CO_RECORD_GONE);
    add_end(j, 2, CO_RECORD_GONE);
    assert_int_equal(co_journal_close(j), 0);
    assert_int_not_equal(access(scene, R_OK), 0); /* of no use any more */
}

static void test_locked(void **state)
{
    (void)state;
    found f;
    co_journal *one = NULL, *two = NULL;
    mr_error err = { "" };
    write_some();
    assert_int_equal(open_journal(&one, &f, NULL, &err), MR_OK);
    assert_int_equal(open_journal(&two, &f, NULL, &err), MR_FAILED);
    assert_non_null(strstr(err.text, "in use by another coordinator"));
    assert_int_equal(co_journal_close(one), 0);
    assert_int_equal(open_journal(&two, &f, NULL, &err), MR_OK);
    assert_int_equal(co_journal_close(two), 0);
}

/* Cut at every byte: it goes on with what was whole before the cut. Only a cut within the header is refused. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    found f;
    size_t size;
    mr_error err = { "" };
    unsigned before = 0, gone_on = 0;
    write_some();
    uint8_t *bytes = read_bytes(&size);
    for (size_t cut = 0; cut < size; cut++) {
        co_journal *j = NULL;
        write_bytes(bytes, cut);
        int status = open_journal(&j, &f, NULL, &err);
        assert_int_equal(status, cut < CO_JF_HEADER_BYTES ? MR_BAD_INPUT : MR_OK);
        if (status) continue;
        assert_true(count_in(&f, 1) >= before); /* a longer journal never has less */
        before = count_in(&f, 1);
        gone_on++;
        assert_int_equal(co_journal_close(j), 0);
        if (cut % 97) continue;
        found again; /* what was cut stays cut: the next life sees the same, and no tail */
        char note[256];
        assert_int_equal(open_journal(&j, &again, note, &err), MR_OK);
        assert_string_equal(note, "");
        assert_memory_equal(&again, &f, sizeof f);
        assert_int_equal(co_journal_close(j), 0);
    }
    assert_int_equal(before, UNITS);
    assert_int_equal(gone_on, size - CO_JF_HEADER_BYTES);
    free(bytes);
}

/* The place of the last batch: a flip in it cannot be told from a torn tail. */
static size_t last_batch(const uint8_t *bytes, size_t size)
{
    co_jf_header header;
    co_jf_head head;
    assert_int_equal(co_jf_read_header(&header, bytes), 0);
    size_t at = CO_JF_HEADER_BYTES, last = at;
    while (at < size) {
        assert_int_equal(co_jf_read_head(&head, header.salt, bytes + at), 0);
        last = at;
        at += CO_JF_HEAD_BYTES + head.body_bytes;
    }
    return last;
}

static void test_flipped_bits(void **state)
{
    (void)state;
    found f;
    size_t size;
    write_some();
    uint8_t *bytes = read_bytes(&size);
    size_t last = last_batch(bytes, size);
    unsigned refused = 0, gone_on = 0;
    srand(1);
    for (unsigned round = 0; round < 1000; round++) {
        co_journal *j = NULL;
        mr_error err = { "" };
        size_t bit = ((size_t)rand() << 16 ^ (size_t)rand()) % (8 * size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_bytes(bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int status = open_journal(&j, &f, NULL, &err); /* the sink has looked at what came */
        assert_int_equal(status, bit / 8 < last ? MR_BAD_INPUT : MR_OK);
        if (status) assert_non_null(strstr(err.text, "damaged at byte"));
        if (status) refused++;
        else gone_on++;
        if (j) assert_int_equal(co_journal_close(j), 0);
    }
    assert_true(refused > 900 && gone_on > 0);
    free(bytes);
}

/* No room: nothing is settled and nothing lost; when there is room, all is. A file size limit stands for a full disk. */
static void test_no_room(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    char why[256];
    struct rlimit limit, small;
    empty_folder();
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    add_job(j, 1);
    wait_settled(j, 1);
    small = limit;
    small.rlim_cur = 2000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (uint32_t unit = 0; unit < UNITS; unit++) add_result(j, 1, unit);
    for (int i = 0; i < 1000 && !co_journal_trouble(j, why, sizeof why); i++) {
        struct pollfd event = { .fd = co_journal_fd(j), .events = POLLIN };
        (void)poll(&event, 1, 10);
        co_journal_calm(j);
    }
    assert_int_equal(co_journal_trouble(j, why, sizeof why), 1);
    assert_non_null(strstr(why, "too large"));
    assert_true(co_journal_settled(j) < 1 + UNITS && co_journal_waiting(j) > 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wait_settled(j, 1 + UNITS);
    assert_int_equal(co_journal_trouble(j, why, sizeof why), 0);
    assert_int_equal(co_journal_close(j), 0);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    assert_int_equal(count_in(&f, 1), UNITS);
    assert_int_equal(co_journal_close(j), 0);
}

/* fdatasync that fails: what was written since the last good one counts as lost, and goes into a new file. */
static int failures;
static int failing_sync(int fd)
{
    if (__atomic_load_n(&failures, __ATOMIC_RELAXED) <= 0) return fdatasync(fd);
    (void)__atomic_sub_fetch(&failures, 1, __ATOMIC_RELAXED);
    errno = EIO;
    return -1;
}

static void test_sync_fails(void **state)
{
    (void)state;
    for (int times = 1; times <= 3; times++) { /* the append; then the new file's, too; then that of the one after */
        found f;
        co_journal *j = NULL;
        mr_error err = { "" };
        struct stat before, after;
        empty_folder();
        assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
        add_job(j, 1);
        for (uint32_t unit = 0; unit < UNITS / 2; unit++) add_result(j, 1, unit);
        wait_settled(j, 1 + UNITS / 2);
        assert_int_equal(stat(file, &before), 0);
        __atomic_store_n(&failures, times, __ATOMIC_RELAXED);
        co_jfile_sync = failing_sync;
        for (uint32_t unit = UNITS / 2; unit < UNITS; unit++) add_result(j, 1, unit);
        wait_settled(j, 1 + UNITS);
        co_jfile_sync = fdatasync;
        assert_int_equal(stat(file, &after), 0);
        assert_true(before.st_ino != after.st_ino); /* not the file whose sync had failed */
        assert_int_equal(co_journal_close(j), 0);
        assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
        assert_int_equal(count_in(&f, 1), UNITS);
        assert_int_equal(co_journal_close(j), 0);
    }
}

/* Rewriting adds up the ranges of a tile, keeps what lives, and may die at any moment. */
static void test_rewrite(void **state)
{
    (void)state;
    found f;
    size_t before, after;
    mr_error err = { "" };
    char note[256];
    write_some();
    free(read_bytes(&before));
    co_jfile *jf = calloc(1, sizeof *jf);
    (void)snprintf(jf->folder, sizeof jf->folder, "%s", folder);
    jf->folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(co_jfile_open(jf, note, sizeof note, &err), MR_OK);
    assert_int_equal(co_jfile_rewrite(jf, NULL), CO_JFILE_OK);
    assert_int_equal(jf->entry_count, TILES + UNITS / 6 - UNITS / 6 + TILES / 6); /* job 2: every sixth unit, so two tiles of three ranges */
    memset(&f, 0, sizeof f);
    assert_int_equal(co_jfile_deliver(jf, sink, &f, &err), MR_OK);
    assert_all(&f);
    co_jfile_close(jf);
    (void)close(jf->folder_fd);
    free(jf);
    uint8_t *bytes = read_bytes(&after);
    assert_true(after < before * 2 / 3);
    co_journal *j = NULL;
    char half[200];
    (void)snprintf(half, sizeof half, "%s.new", file); /* of one that died while rewriting */
    int fd = open(half, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, bytes, after / 2) == (ssize_t)(after / 2));
    (void)close(fd);
    free(bytes);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    assert_all(&f);
    assert_int_not_equal(access(half, F_OK), 0);
    assert_int_equal(co_journal_close(j), 0);
}

/* It stays small: jobs come and go for far longer than any file may grow. */
static void test_stays_small(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    static uint8_t bytes[3 * 256 * 256 * 8 + 64];
    static uint64_t noise[3 * 256 * 256];
    for (unsigned i = 0; i < 3 * 256 * 256; i++) noise[i] = (uint64_t)rand() << 16 ^ (uint64_t)rand();
    uint32_t size = (uint32_t)wire_sums_encode(packer, noise, 3 * 256 * 256, bytes);
    empty_folder();
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    uint64_t added = 0;
    for (uint64_t id = 1; id <= 100; id++) {
        add_job(j, id);
        record = (co_record){ .type = CO_RECORD_RESULT, .job = id, .result = { .width = 256, .height = 256, .part_count = 1 } };
        record.result.parts[0] = (co_record_part){ 0, 0, 16 };
        record.payload = bytes;
        record.payload_bytes = size;
        assert_int_equal(co_journal_add(j, &record, NULL), 0);
        add_end(j, id, CO_RECORD_GONE);
        added += 3;
        if (id % 10 == 0) wait_settled(j, added);
    }
    assert_int_equal(co_journal_close(j), 0);
    size_t bytes_left;
    free(read_bytes(&bytes_left));
    assert_true((uint64_t)size * 100 > 3u * CO_JOURNAL_LOOK_BYTES && bytes_left < 3u * CO_JOURNAL_LOOK_BYTES / 2);
}

/* A pack that its owner takes back before it was stored: the job is not written, nor missed. */
static void test_released(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    struct rlimit limit, none;
    empty_folder();
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    none = limit;
    none.rlim_cur = 64; /* the journal's header is there; no pack can be */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    add_job(j, 1);
    add_end(j, 1, CO_RECORD_GONE);
    co_journal_release(j, &pack);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wait_settled(j, 2);
    assert_int_equal(co_journal_close(j), 0);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    assert_int_equal(f.jobs, 0);
    assert_int_equal(co_journal_close(j), 0);
}

/* What a liar claimed does not come back, what others did at the same places does; who was banned stays so; also after rewriting. */
static void test_verified(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    char note[256];
    empty_folder();
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    uint64_t added = write_verified(j);
    wait_settled(j, added);
    assert_int_equal(co_journal_close(j), 0);
    assert_int_equal(open_journal(&j, &f, note, &err), MR_OK);
    assert_verified(&f);
    assert_int_equal(co_journal_close(j), 0);
    size_t before, after;
    free(read_bytes(&before));
    co_jfile *jf = calloc(1, sizeof *jf);
    (void)snprintf(jf->folder, sizeof jf->folder, "%s", folder);
    jf->folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(co_jfile_open(jf, note, sizeof note, &err), MR_OK);
    for (unsigned times = 0; times < 3; times++) assert_int_equal(co_jfile_rewrite(jf, NULL), CO_JFILE_OK);
    co_jfile_close(jf);
    (void)close(jf->folder_fd);
    free(jf);
    free(read_bytes(&after));
    assert_true(after < before); /* what was withdrawn is gone */
    assert_int_equal(open_journal(&j, &f, note, &err), MR_OK);
    assert_verified(&f);
    add_end(j, VERIFIED, CO_RECORD_GONE);
    assert_int_equal(co_journal_close(j), 0);
    assert_int_equal(open_journal(&j, &f, note, &err), MR_OK);
    assert_true(f.jobs == 0 && f.banned == 1); /* he stays refused */
    assert_int_equal(co_journal_close(j), 0);
}

/* Cut anywhere, there may be lies that are not withdrawn yet (they are found again), but never two claims of one tile that both count, nor a lie once the
 * cut is behind its withdrawal. */
static void test_verified_cut(void **state)
{
    (void)state;
    found f;
    co_journal *j = NULL;
    mr_error err = { "" };
    empty_folder();
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    wait_settled(j, write_verified(j));
    assert_int_equal(co_journal_close(j), 0);
    size_t size;
    uint8_t *bytes = read_bytes(&size);
    for (size_t cut = CO_JF_HEADER_BYTES; cut < size; cut++) {
        write_bytes(bytes, cut);
        assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK); /* the sink sees that no unit comes twice */
        assert_true(f.lies == 0 || !f.banned);
        assert_int_equal(co_journal_close(j), 0);
    }
    write_bytes(bytes, size);
    free(bytes);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_OK);
    assert_verified(&f);
    assert_int_equal(co_journal_close(j), 0);
}

static void test_other_version(void **state)
{
    (void)state;
    found f;
    size_t size;
    co_journal *j = NULL;
    mr_error err = { "" };
    co_jf_header header;
    write_some();
    uint8_t *bytes = read_bytes(&size);
    assert_int_equal(co_jf_read_header(&header, bytes), 0);
    header.version++;
    co_jf_write_header(&header, bytes);
    write_bytes(bytes, size);
    free(bytes);
    assert_int_equal(open_journal(&j, &f, NULL, &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "found version 3, expected 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back), cmocka_unit_test(test_locked),       cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_no_room),    cmocka_unit_test(test_sync_fails),
        cmocka_unit_test(test_rewrite),    cmocka_unit_test(test_stays_small),  cmocka_unit_test(test_released),
        cmocka_unit_test(test_verified),   cmocka_unit_test(test_verified_cut), cmocka_unit_test(test_other_version),
    };
    return cmocka_run_group_tests_name("journal", tests, make_folder, drop_folder);
}
