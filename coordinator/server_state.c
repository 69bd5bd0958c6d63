/* See coordinator/server_state.h.
 *
 * A result goes into the film and to the scheduler when it comes, so that its worker is fed without waiting for a disk, and into the journal. Until
 * the journal has settled it, no status counts it, no job is told to be done, no film is handed out: should we die before, the tile is done again and nobody
 * has been told otherwise. */
#include "coordinator/server_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/journal.h"

typedef struct unsettled { /* a record on its way to the disk, oldest first */
    uint64_t job, tiles, samples, rays, bytes;
    int is_job;
    int counts;            /* among its job's: until it is settled, nothing of the job is */
} unsettled;

struct co_state {
    co_journal *journal;
    unsettled *ring;       /* first, first + 1 ... modulo capacity (a power of two) */
    uint32_t first, count, capacity;
    uint64_t settled;
    unsigned jobs;         /* JOB records among them */
    int held, said_held;
    int failed;            /* no memory for a record */
    uint64_t restored;     /* tiles */
    co_record record;      /* scratch */
};

/* ---- taking up what was ---- */

static upload *restore_pack(co_server *s, const co_record_job *r, const char *path, mr_error *err)
{
    upload *u = NULL;
    if (co_server_find_pack(s, r->pack, &u)) return u;
    u = calloc(1, sizeof *u);
    if (!u) {
        (void)mr_fail(err, MR_FAILED, "no memory for a scene");
        return NULL;
    }
    if (mr_pack_open(&u->pack, path, err)) {
        free(u);
        return NULL;
    }
    memcpy(u->hash, r->pack, sizeof u->hash);
    u->size_bytes = u->pack.size_bytes;
    u->complete = 1;
    u->next = s->uploads;
    s->uploads = u;
    s->upload_bytes += u->size_bytes;
    if (!memcmp(u->pack.header->hash, r->pack, sizeof u->hash)) return u;
    (void)mr_fail(err, MR_BAD_INPUT, "%s: another scene than its name says", path);
    return NULL;
}

static int restore_job(co_server *s, const co_record *record, const char *path, mr_error *err)
{
    const co_record_job *r = &record->a_job;
    server_job *j = NULL;
    mr_error why = { "" };
    upload *u = restore_pack(s, r, path, &why);
    if (!u) return mr_fail(err, MR_BAD_INPUT, "job %llu cannot go on: %s", (unsigned long long)record->job, why.text);
    co_scheduler_skip_jobs(s->scheduler, record->job - 1);
    int status = co_server_add_job(s, &u->pack, &r->picture, r->tile,
                                   &(co_job_options){ .priority = r->priority, .verify_percent = r->verify, .verify_secret = r->verify_secret }, &j, err);
    if (status) {
        if (!u->jobs) co_server_drop_upload(s, u);
        return status;
    }
    j->upload = u;
    u->jobs++;
    j->from_client = (r->flags & CO_RECORD_CLIENT) != 0;
    j->detached = (r->flags & CO_RECORD_DETACHED) != 0;
    j->heard_us = co_now_us();
    memcpy(j->token, r->token, sizeof j->token);
    memcpy(j->name, r->name, sizeof j->name);
    j->output = r->output[0] ? strdup(r->output) : NULL;
    if (r->output[0] && !j->output) return mr_fail(err, MR_FAILED, "no memory for a job");
    co_job_status now;
    (void)co_server_status(s, j->id, &now);
    if (now.tiles == r->units) return MR_OK;
    return mr_fail(err, MR_FAILED, "job %llu was begun by a mobyray that cuts pictures otherwise (%u tiles, here %llu): finish it with that one, or remove the folder",
                   (unsigned long long)record->job, r->units, (unsigned long long)now.tiles);
}

/* The unit is one of the job's, with these rows and samples, and they are not in yet. */
static int restore_part(co_server *s, const server_job *j, const co_record_result *r, const co_record_part *p)
{
    mr_tile t;
    if (!co_scheduler_tile(s->scheduler, j->id, p->unit, &t)) return -1;
    if (t.x != r->x || t.width != r->width || t.y > r->y || t.first_sample != p->first_sample || t.sample_count != p->sample_count) return -1;
    uint16_t bands = co_bands_of_rows(t.height, r->y - t.y, r->height);
    if (!bands || (co_scheduler_wants(s->scheduler, j->id, p->unit) & bands) != bands) return -1;
    return co_scheduler_restore(s->scheduler, co_now_us(), j->id, p->unit, bands) == bands ? 0 : -1;
}

/* What a worker claimed: kept again, so that it can be taken out of the film. In a job that is not verified any more it is a result like others. */
static int restore_claim(co_server *s, server_job *j, const co_record *record, const uint64_t *sums)
{
    mr_tile t;
    const co_record_result *r = &record->result;
    const co_record_part *p = &r->parts[0];
    if (!co_scheduler_tile(s->scheduler, j->id, p->unit, &t) || t.x != r->x || t.width != r->width || t.y > r->y) return -1;
    if (t.first_sample != p->first_sample || t.sample_count != p->sample_count) return -1;
    const co_claim claim = { .digest = r->digest, .unit = p->unit, .who = r->who, .bands = r->bands, .agreed = r->agreed,
                             .sent = co_bands_of_rows(t.height, r->y - t.y, r->height) };
    if (!claim.bands || (claim.bands & ~claim.sent) || (co_scheduler_wants(s->scheduler, j->id, p->unit) & claim.bands) != claim.bands) return -1;
    const co_kept kept = { .who = r->who, .unit = p->unit, .y = r->y, .height = r->height, .bands = r->bands, .size_bytes = record->payload_bytes };
    if (j->spool && co_spool_add(j->spool, &kept, record->payload)) return -1;
    if (co_scheduler_restore_claim(s->scheduler, co_now_us(), j->id, &claim) != claim.bands) return -1;
    co_server_add_bands(j, &t, claim.bands, r->y, sums, (int32_t)t.sample_count);
    return 0;
}

static int restore_sums(co_server *s, server_job *j, const co_record *record, const uint64_t *sums)
{
    const co_record_result *r = &record->result;
    const mr_tile place = { .x = r->x, .y = r->y, .width = r->width, .height = r->height };
    if (record->type == CO_RECORD_CLAIM) return restore_claim(s, j, record, sums);
    uint32_t samples = 0;
    for (unsigned i = 0; i < r->part_count; i++) {
        if (restore_part(s, j, r, &r->parts[i])) return -1;
        samples += r->parts[i].sample_count;
    }
    co_server_add_sums(j, &place, sums, (int32_t)samples);
    return 0;
}

static int restore_result(co_server *s, const co_record *record, mr_error *err)
{
    const co_record_result *r = &record->result;
    server_job *j = co_server_find(s, record->job);
    size_t count = (size_t)3 * r->width * r->height;
    uint64_t *sums = co_server_sums(s, count);
    if (!sums) return mr_fail(err, MR_FAILED, "no memory for a tile");
    if (!j || wire_sums_decode(s->packer, record->payload, record->payload_bytes, sums, count) || restore_sums(s, j, record, sums))
        return mr_fail(err, MR_BAD_INPUT, "job %llu: the journal has a tile at %u,%u that does not belong to it", (unsigned long long)record->job, r->x, r->y);
    co_scheduler_restore_totals(s->scheduler, j->id, r->rays, r->bytes, r->elapsed_us);
    s->state->restored += r->part_count;
    return MR_OK;
}

static int take_up(void *user, const co_record *record, const char *pack_path, mr_error *err)
{
    co_server *s = user;
    if (record->type == CO_RECORD_JOB) return restore_job(s, record, pack_path, err);
    if (record->type == CO_RECORD_RESULT || record->type == CO_RECORD_CLAIM) return restore_result(s, record, err);
    if (record->type == CO_RECORD_BANNED)
        return co_scheduler_ban(s->scheduler, record->verdict.who) ? mr_fail(err, MR_FAILED, "no memory for those who are refused") : MR_OK;
    (void)co_scheduler_cancel(s->scheduler, co_now_us(), record->job);
    return MR_OK;
}

int co_state_open(co_server *s, mr_error *err)
{
    char note[256];
    if (!s->config.state) return MR_OK;
    s->state = calloc(1, sizeof *s->state);
    if (!s->state) return mr_fail(err, MR_FAILED, "no memory for a journal");
    int status = co_journal_open(&s->state->journal, s->config.state, take_up, s, note, sizeof note, err);
    if (status) return status;
    s->epoch = co_journal_epoch(s->state->journal);
    co_scheduler_skip_jobs(s->scheduler, co_journal_last_job(s->state->journal));
    if (note[0]) co_server_log(s, "%s: %s", s->config.state, note);
    unsigned jobs = 0;
    for (const server_job *j = s->jobs; j; j = j->next) jobs++;
    if (jobs) co_server_log(s, "%s: going on with %u job%s, %llu tiles are in", s->config.state, jobs, jobs == 1 ? "" : "s", (unsigned long long)s->state->restored);
    return MR_OK;
}

void co_state_close(co_server *s)
{
    if (!s->state) return;
    if (co_journal_close(s->state->journal)) co_server_warn(s, "%s: the last results could not be written: they will be done again", s->config.state);
    free(s->state->ring);
    free(s->state);
    s->state = NULL;
}

/* ---- what happens ---- */

static int grow(co_state *t)
{
    uint32_t capacity = t->capacity ? 2 * t->capacity : 256;
    unsettled *ring = malloc(capacity * sizeof *ring);
    if (!ring) return -1;
    for (uint32_t i = 0; i < t->count; i++) ring[i] = t->ring[(t->first + i) & (t->capacity - 1)];
    free(t->ring);
    t->ring = ring;
    t->first = 0;
    t->capacity = capacity;
    return 0;
}

/* Adds t->record to the journal. */
static void add(co_state *t, const mr_pack *pack, unsettled u)
{
    if ((t->count == t->capacity && grow(t)) || co_journal_add(t->journal, &t->record, pack)) {
        t->failed = 1;
        return;
    }
    u.job = t->record.job;
    t->jobs += t->record.type == CO_RECORD_JOB;
    u.is_job = t->record.type == CO_RECORD_JOB;
    t->ring[(t->first + t->count++) & (t->capacity - 1)] = u;
}

int co_state_job(co_server *s, server_job *j, mr_error *err)
{
    co_state *t = s->state;
    co_job_status status;
    if (!t) return MR_OK;
    if (t->jobs >= CO_JOBS_UNSETTLED_MOST) return mr_fail(err, MR_FAILED, "the journal is behind by %u jobs: try again later", t->jobs);
    if (j->output && strlen(j->output) >= CO_PATH_MOST) return mr_fail(err, MR_USAGE, "the picture's name is too long");
    (void)co_server_status(s, j->id, &status);
    t->record = (co_record){ .type = CO_RECORD_JOB, .job = j->id };
    co_record_job *r = &t->record.a_job;
    memcpy(r->pack, j->pack->header->hash, sizeof r->pack);
    r->pack_bytes = j->pack->size_bytes;
    r->picture = j->picture;
    r->tile = j->tile;
    r->units = (uint32_t)status.tiles;
    r->priority = j->options.priority;
    r->flags = (j->from_client ? CO_RECORD_CLIENT : 0u) | (j->detached ? CO_RECORD_DETACHED : 0u);
    memcpy(r->token, j->token, sizeof r->token);
    memcpy(r->name, j->name, sizeof r->name);
    (void)snprintf(r->output, sizeof r->output, "%s", j->output ? j->output : "");
    r->verify = j->options.verify_percent;
    r->verify_secret = j->options.verify_secret;
    add(t, j->pack, (unsettled){ .counts = 1 });
    j->unsettled.records++;
    return MR_OK;
}

/* The sums of some rows, coded anew: most results are committed whole, and go as they came. */
static int code_rows(co_server *s, const uint64_t *sums, size_t count)
{
    uint8_t *bytes = co_server_bytes(s, wire_sums_bound(count));
    if (!bytes) return -1;
    s->state->record.payload_bytes = (uint32_t)wire_sums_encode(s->packer, sums, count, bytes);
    s->state->record.payload = bytes;
    return 0;
}

static void add_of_job(co_state *t, server_job *j, unsettled u)
{
    u.counts = 1;
    add(t, NULL, u);
    j->unsettled.records++;
    j->unsettled.tiles += u.tiles;
    j->unsettled.samples += u.samples;
    j->unsettled.rays += u.rays;
    j->unsettled.bytes += u.bytes;
}

/* One run of neighbouring bands. part: its rows; u: what it is worth. */
static void add_run(co_server *s, server_job *j, uint32_t unit, const mr_tile *part, const uint64_t *sums, unsettled u, uint64_t elapsed_us)
{
    co_state *t = s->state;
    const wire_result *r = &s->in.result;
    co_record_result *out = &t->record.result;
    t->record.type = CO_RECORD_RESULT;
    t->record.job = j->id;
    t->record.payload = s->in.payload;
    t->record.payload_bytes = (uint32_t)s->in.payload_bytes;
    if (part->height != r->height && code_rows(s, sums + (size_t)3 * part->width * (part->y - r->y), (size_t)3 * part->width * part->height)) {
        t->failed = 1;
        return;
    }
    out->x = part->x;
    out->y = part->y;
    out->width = part->width;
    out->height = part->height;
    out->rays = u.rays;
    out->bytes = u.bytes;
    out->elapsed_us = elapsed_us;
    out->part_count = 1;
    out->parts[0] = (co_record_part){ unit, part->first_sample, part->sample_count };
    add_of_job(t, j, u);
}

/* A result of a job that is verified: whole, as it came; which of its bands are in; and whose it is. */
static void add_claim(co_server *s, server_job *j, const mr_tile *tile, const co_result *result, unsettled u, uint64_t elapsed_us)
{
    co_state *t = s->state;
    const wire_result *r = &s->in.result;
    const co_kept *kept = co_spool_last(j->spool);
    co_record_result *out = &t->record.result;
    t->record.type = CO_RECORD_CLAIM;
    t->record.job = j->id;
    t->record.payload = s->in.payload;
    t->record.payload_bytes = (uint32_t)s->in.payload_bytes;
    *out = (co_record_result){ .x = tile->x, .y = r->y, .width = tile->width, .height = r->height, .rays = u.rays, .bytes = u.bytes,
                               .elapsed_us = elapsed_us, .part_count = 1, .who = kept->who, .bands = kept->bands, .digest = result->digest };
    out->parts[0] = (co_record_part){ result->unit, tile->first_sample, tile->sample_count };
    u.samples = (uint64_t)tile->width * co_bands_rows(tile->height, kept->bands) * tile->sample_count;
    add_of_job(t, j, u);
}

void co_state_result(co_server *s, server_job *j, const mr_tile *tile, uint16_t bands, const uint64_t *sums, const co_result *result)
{
    co_job_status status;
    if (!s->state || co_scheduler_status(s->scheduler, co_now_us(), j->id, &status)) return;
    unsettled u = { .rays = result->rays, .bytes = result->bytes };
    u.tiles = co_scheduler_wants(s->scheduler, j->id, result->unit) == 0; /* that was the last of it */
    if (j->spool) {
        add_claim(s, j, tile, result, u, (uint64_t)(status.seconds * 1e6));
        return;
    }
    for (uint16_t left = bands; left;) {
        mr_tile part = *tile;
        uint16_t run = co_bands_run(left);
        co_bands_span(tile->height, run, &part.y, &part.height);
        part.y += tile->y;
        u.samples = (uint64_t)part.width * part.height * part.sample_count;
        add_run(s, j, result->unit, &part, sums, u, (uint64_t)(status.seconds * 1e6));
        u = (unsettled){ .job = 0 }; /* counted with the first run */
        left = (uint16_t)(left & ~run);
    }
}

void co_state_verdict(co_server *s, uint64_t job, uint8_t type, const co_record_verdict *verdict)
{
    server_job *j = co_server_find(s, job);
    if (!s->state) return;
    s->state->record = (co_record){ .type = type, .job = job, .verdict = *verdict };
    if (j) add_of_job(s->state, j, (unsettled){ .job = 0 });
    else add(s->state, NULL, (unsettled){ .job = 0 });
}

static void add_end(co_server *s, uint64_t job, uint8_t type)
{
    if (!s->state) return;
    s->state->record = (co_record){ .type = type, .job = job };
    add(s->state, NULL, (unsettled){ .job = 0 });
}

void co_state_cancelled(co_server *s, uint64_t job) { add_end(s, job, CO_RECORD_CANCELLED); }

void co_state_gone(co_server *s, const server_job *j)
{
    if (!s->state) return;
    if (j->unsettled.records) co_journal_release(s->state->journal, j->pack);
    add_end(s, j->id, CO_RECORD_GONE);
}

int co_state_fd(const co_server *s) { return co_journal_fd(s->state->journal); }

int co_state_held(const co_server *s) { return s->state && s->state->held; }

int co_state_has_room(const co_server *s) { return !s->state || co_journal_waiting(s->state->journal) < CO_JOURNAL_DROP_BYTES; }

/* What was withdrawn meanwhile does not count in the scheduler any more, but is still on its way to the disk. */
static void lessen(uint64_t *count, uint64_t by) { *count = *count > by ? *count - by : 0; }

void co_state_mask(const server_job *j, co_job_status *status)
{
    if (!j->unsettled.records) return;
    if (status->state == CO_JOB_DONE || status->state == CO_JOB_FAILED) status->state = CO_JOB_RUNNING;
    lessen(&status->tiles_done, j->unsettled.tiles);
    lessen(&status->samples_done, j->unsettled.samples);
    lessen(&status->rays, j->unsettled.rays);
    lessen(&status->result_bytes, j->unsettled.bytes);
}

/* ---- what has become of it ---- */

static void settle_one(co_server *s)
{
    co_state *t = s->state;
    const unsettled u = t->ring[t->first];
    t->first = (t->first + 1) & (t->capacity - 1);
    t->count--;
    t->settled++;
    t->jobs -= (unsigned)u.is_job;
    server_job *j = co_server_find(s, u.job);
    if (!j || !u.counts) return;
    j->unsettled.records--;
    j->unsettled.tiles -= u.tiles;
    j->unsettled.samples -= u.samples;
    j->unsettled.rays -= u.rays;
    j->unsettled.bytes -= u.bytes;
    if (!j->unsettled.records && j->say_ended) co_server_say_ended(s, j);
}

/* No more work is given out while the disk has no room, or cannot keep up. */
static void hold(co_server *s, int trouble, const char *why)
{
    co_state *t = s->state;
    uint64_t waiting = co_journal_waiting(t->journal);
    int held = trouble || waiting > (t->held ? CO_JOURNAL_HOLD_BYTES / 2 : CO_JOURNAL_HOLD_BYTES);
    if (trouble && !t->said_held) co_server_warn(s, "%s: %s: the render is held until it can be written to", s->config.state, why);
    if (!trouble && t->said_held) co_server_log(s, "%s: can be written to again: the render goes on", s->config.state);
    t->said_held = trouble;
    if (held == t->held) return;
    t->held = held;
    co_scheduler_hold(s->scheduler, co_now_us(), held);
}

int co_state_tick(co_server *s, mr_error *err)
{
    co_state *t = s->state;
    char why[256] = "";
    if (!t) return MR_OK;
    co_journal_calm(t->journal);
    int trouble = co_journal_trouble(t->journal, why, sizeof why);
    for (uint64_t settled = co_journal_settled(t->journal); t->settled < settled;) settle_one(s);
    if (t->failed) return mr_fail(err, MR_FAILED, "%s: no memory for the journal", s->config.state);
    if (trouble > 1) return mr_fail(err, MR_FAILED, "%s: the journal is lost: %s", s->config.state, why);
    hold(s, trouble, why);
    return MR_OK;
}
