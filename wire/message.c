/* The layout of every message, written down once: see wire/cursor.h for how one walk serves both directions. */
#include "wire/message.h"

#include <string.h>

#include "wire/cursor.h"

typedef wire_message message;

static void picture(wire_cursor *c, wire_picture *p)
{
    wire_u32_in(c, &p->width, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &p->height, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &p->spp, 1, UINT32_MAX);
    wire_u32(c, &p->seed);
}

static void pack_size(wire_cursor *c, uint64_t *size_bytes)
{
    wire_u64(c, size_bytes);
    if (*size_bytes == 0 || *size_bytes > WIRE_MAX_PACK_BYTES) c->bad = 1;
}

static void hello(wire_cursor *c, message *m)
{
    wire_u64(c, &m->hello.incarnation);
    wire_u32_in(c, &m->hello.threads, 1, WIRE_MAX_THREADS);
    wire_u32(c, &m->hello.caps);
    wire_text(c, m->hello.name, sizeof m->hello.name);
    wire_text(c, m->hello.host, sizeof m->hello.host);
    wire_text(c, m->hello.kernel, sizeof m->hello.kernel);
}

static void welcome(wire_cursor *c, message *m)
{
    wire_u64(c, &m->welcome.epoch);
    wire_u32(c, &m->welcome.worker);
    wire_u32_in(c, &m->welcome.heartbeat_ms, 1, 3600000);
    wire_u32_in(c, &m->welcome.lease_ms, 1, 3600000);
}

static void ping(wire_cursor *c, message *m)
{
    wire_u64(c, &m->ping.token);
    wire_u32(c, &m->ping.worker);
    wire_u32(c, &m->ping.rtt_us);
    wire_u32(c, &m->ping.queued);
    wire_u32(c, &m->ping.running);
}

static void pong(wire_cursor *c, message *m) { wire_u64(c, &m->pong.token); }

static void unit(wire_cursor *c, wire_unit *u)
{
    wire_u64(c, &u->lease);
    wire_u32(c, &u->unit);
    wire_u32_in(c, &u->x, 0, WIRE_MAX_SIDE - 1);
    wire_u32_in(c, &u->y, 0, WIRE_MAX_SIDE - 1);
    wire_u32_in(c, &u->width, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &u->height, 1, WIRE_MAX_SIDE);
    wire_u32(c, &u->first_sample);
    wire_u32_in(c, &u->sample_count, 1, UINT32_MAX);
    if ((uint64_t)u->width * u->height * 3 > WIRE_MAX_VALUES) c->bad = 1;
}

static void assign(wire_cursor *c, message *m)
{
    wire_u64(c, &m->assign.job);
    pack_size(c, &m->assign.pack_bytes);
    wire_bytes(c, m->assign.pack, sizeof m->assign.pack);
    picture(c, &m->assign.picture);
    wire_count(c, &m->assign.count, WIRE_MAX_LIST);
    for (unsigned i = 0; i < m->assign.count && !c->bad; i++) unit(c, &m->assign.units[i]);
}

static void leases(wire_cursor *c, message *m)
{
    wire_u8(c, &m->leases.running);
    wire_count(c, &m->leases.count, WIRE_MAX_LIST);
    for (unsigned i = 0; i < m->leases.count; i++) wire_u64(c, &m->leases.lease[i]);
}

static void job(wire_cursor *c, message *m) { wire_u64(c, &m->job.job); }

static void nothing(wire_cursor *c, message *m)
{
    (void)c;
    (void)m;
}

static void result(wire_cursor *c, message *m)
{
    wire_u64(c, &m->result.epoch);
    wire_u64(c, &m->result.job);
    wire_u64(c, &m->result.lease);
    wire_u32(c, &m->result.unit);
    wire_u64(c, &m->result.paths);
    wire_u64(c, &m->result.rays);
    wire_u64(c, &m->result.micros);
    wire_u32_in(c, &m->result.y, 0, WIRE_MAX_SIDE - 1);
    wire_u32_in(c, &m->result.height, 1, WIRE_MAX_SIDE);
    wire_u32_in(c, &m->result.thread, 0, WIRE_MAX_THREADS - 1);
    wire_u64(c, &m->result.began_us);
    wire_u64(c, &m->result.cpu_micros);
}

static void tile_failed(wire_cursor *c, message *m)
{
    wire_u64(c, &m->failed.epoch);
    wire_u64(c, &m->failed.job);
    wire_u64(c, &m->failed.lease);
    wire_u32(c, &m->failed.unit);
    wire_text(c, m->failed.text, sizeof m->failed.text);
}

static void error(wire_cursor *c, message *m)
{
    wire_u32(c, &m->error.code);
    wire_text(c, m->error.text, sizeof m->error.text);
}

static void need_pack(wire_cursor *c, message *m)
{
    wire_bytes(c, m->need.pack, sizeof m->need.pack);
    wire_u64(c, &m->need.offset);
    wire_u32_in(c, &m->need.length, 1, WIRE_CHUNK_BYTES);
}

static void pack_chunk(wire_cursor *c, message *m)
{
    wire_bytes(c, m->chunk.pack, sizeof m->chunk.pack);
    wire_u64(c, &m->chunk.offset);
}

static void submit(wire_cursor *c, message *m)
{
    wire_bytes(c, m->submit.token, sizeof m->submit.token);
    wire_bytes(c, m->submit.pack, sizeof m->submit.pack);
    pack_size(c, &m->submit.pack_bytes);
    picture(c, &m->submit.picture);
    wire_u32(c, &m->submit.tile);
    wire_u32_in(c, &m->submit.priority, 0, WIRE_MAX_PRIORITY);
    wire_u32(c, &m->submit.flags);
    wire_u32_in(c, &m->submit.verify, 0, 100);
    wire_text(c, m->submit.name, sizeof m->submit.name);
}

static void job_status(wire_cursor *c, message *m)
{
    wire_job_status *s = &m->status;
    wire_u64(c, &s->job);
    wire_u32(c, &s->state);
    uint64_t *counts[] = { &s->tiles, &s->tiles_done, &s->tiles_redone, &s->samples_done, &s->rays, &s->result_bytes };
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) wire_u64(c, counts[i]);
    wire_u32(c, &s->workers);
    wire_u32(c, &s->workers_seen);
    wire_u32(c, &s->threads);
    wire_u64(c, &s->micros);
    wire_u64(c, &s->busy_micros);
    picture(c, &s->picture);
    wire_u32(c, &s->priority);
    wire_u32(c, &s->evicted);
    wire_u64(c, &s->verified);
    wire_text(c, s->name, sizeof s->name);
    wire_text(c, s->text, sizeof s->text);
}

static void cluster(wire_cursor *c, message *m)
{
    wire_cluster *k = &m->cluster;
    uint64_t *counts[] = { &k->epoch, &k->up_ms, &k->tiles_left, &k->work_ms };
    uint32_t *numbers[] = { &k->workers, &k->threads, &k->busy, &k->jobs, &k->desired, &k->min, &k->max, &k->start_ms };
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) wire_u64(c, counts[i]);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) wire_u32(c, numbers[i]);
    wire_text(c, k->reason, sizeof k->reason);
}

static void rows(wire_cursor *c, message *m)
{
    wire_u64(c, &m->rows.job);
    wire_u32_in(c, &m->rows.first_row, 0, WIRE_MAX_SIDE - 1);
    wire_u32_in(c, &m->rows.rows, 1, WIRE_MAX_SIDE);
}

static void spent(wire_cursor *c, message *m)
{
    wire_u64(c, &m->spent.epoch);
    wire_u64(c, &m->spent.job);
    wire_u64(c, &m->spent.lease);
    wire_u32_in(c, &m->spent.thread, 0, WIRE_MAX_THREADS - 1);
    wire_u64(c, &m->spent.began_us);
    wire_u64(c, &m->spent.micros);
    wire_u64(c, &m->spent.cpu_micros);
}

static void account(wire_cursor *c, message *m)
{
    wire_account *a = &m->account;
    uint64_t *times[] = { &a->job, &a->wall, &a->present };
    uint64_t *counts[] = { &a->first_tile, &a->cpu, &a->tiles, &a->rays, &a->bytes_in, &a->bytes_out, &a->pack_bytes,
                           &a->join, &a->join_most, &a->drain, &a->drain_most };
    uint32_t *numbers[] = { &a->joins, &a->starts, &a->drains, &a->losses, &a->workers, &a->threads };
    for (unsigned i = 0; i < sizeof times / sizeof times[0]; i++) wire_u64(c, times[i]);
    for (unsigned i = 0; i < WIRE_SPENT_KINDS; i++) wire_u64(c, &a->spent[i]);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) wire_u64(c, counts[i]);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) wire_u32(c, numbers[i]);
    for (unsigned i = 0; i < WIRE_LATENCY_BINS; i++) wire_u32(c, &a->latency[i]);
}

enum { OURS = 0, WORKER = WIRE_ROLE_WORKER, CLIENT = WIRE_ROLE_CLIENT, ANYONE = WIRE_ROLE_ANY };

/* One line a type: its name, its fields, the greatest payload, and whose key entitles to say it to a coordinator (OURS: nobody's). */
static const struct {
    const char *name;
    void (*walk)(wire_cursor *c, message *m);
    size_t payload_max;
    unsigned from;
} layout[WIRE_TYPE_END] = {
    [WIRE_HELLO] = { "HELLO", hello, 0, WORKER },
    [WIRE_WELCOME] = { "WELCOME", welcome, 0, OURS },
    [WIRE_WHO] = { "WHO", nothing, 0, OURS },
    [WIRE_PING] = { "PING", ping, 0, ANYONE },
    [WIRE_PONG] = { "PONG", pong, 0, OURS },
    [WIRE_ASSIGN] = { "ASSIGN", assign, 0, OURS },
    [WIRE_REVOKE] = { "REVOKE", leases, 0, OURS },
    [WIRE_FORGET] = { "FORGET", job, 0, OURS },
    [WIRE_RETURN] = { "RETURN", leases, 0, WORKER },
    [WIRE_RESULT] = { "RESULT", result, WIRE_MAX_FRAME, WORKER },
    [WIRE_TILE_FAILED] = { "TILE_FAILED", tile_failed, 0, WORKER },
    [WIRE_DRAIN] = { "DRAIN", nothing, 0, WORKER },
    [WIRE_GOODBYE] = { "GOODBYE", nothing, 0, WORKER },
    [WIRE_DISMISS] = { "DISMISS", nothing, 0, OURS },
    [WIRE_ERROR] = { "ERROR", error, 0, ANYONE },
    [WIRE_NEED_PACK] = { "NEED_PACK", need_pack, 0, WORKER },
    [WIRE_PACK_CHUNK] = { "PACK_CHUNK", pack_chunk, WIRE_CHUNK_BYTES, CLIENT },
    [WIRE_SUBMIT] = { "SUBMIT", submit, 0, CLIENT },
    [WIRE_ACCEPTED] = { "ACCEPTED", job, 0, OURS },
    [WIRE_STATUS] = { "STATUS", job, 0, CLIENT },
    [WIRE_JOB_STATUS] = { "JOB_STATUS", job_status, 0, OURS },
    [WIRE_NEED_FILM] = { "NEED_FILM", rows, 0, CLIENT },
    [WIRE_FILM_ROWS] = { "FILM_ROWS", rows, WIRE_MAX_FRAME, OURS },
    [WIRE_CANCEL] = { "CANCEL", job, 0, CLIENT },
    [WIRE_RELEASE] = { "RELEASE", job, 0, CLIENT },
    [WIRE_NEXT_JOB] = { "NEXT_JOB", job, 0, CLIENT },
    [WIRE_SPENT] = { "SPENT", spent, 0, WORKER },
    [WIRE_NEED_ACCOUNT] = { "NEED_ACCOUNT", job, 0, CLIENT },
    [WIRE_NEED_CLUSTER] = { "NEED_CLUSTER", nothing, 0, CLIENT },
    [WIRE_CLUSTER] = { "CLUSTER", cluster, 0, OURS },
    [WIRE_ACCOUNT] = { "ACCOUNT", account, 0, OURS },
};

static int known(unsigned type) { return type < WIRE_TYPE_END && layout[type].walk; }

const char *wire_type_name(unsigned type) { return known(type) ? layout[type].name : "?"; }

unsigned wire_type_from(unsigned type) { return known(type) ? layout[type].from : 0; }

static void header(wire_cursor *c, uint8_t *version, uint8_t *type)
{
    uint8_t magic[2] = { 'M', 'R' };
    wire_bytes(c, magic, sizeof magic);
    if (magic[0] != 'M' || magic[1] != 'R') c->bad = 1;
    wire_u8(c, version);
    wire_u8(c, type);
}

size_t wire_encode(const wire_message *m, uint8_t *bytes, size_t capacity)
{
    if (!known(m->type)) return 0;
    uint8_t version = WIRE_VERSION, type = m->type;
    wire_cursor c = wire_writer(bytes, capacity);
    header(&c, &version, &type);
    layout[type].walk(&c, (message *)(uintptr_t)m); /* a writing cursor changes none of it */
    return c.bad ? 0 : (size_t)(c.at - bytes);
}

int wire_decode(wire_message *out, const void *bytes, size_t size_bytes)
{
    wire_cursor c = wire_reader(bytes, size_bytes);
    header(&c, &out->version, &out->type);
    if (c.bad) return WIRE_MALFORMED;
    int timeless = out->type == WIRE_HELLO || out->type == WIRE_ERROR;
    if (out->version != WIRE_VERSION && !timeless) return WIRE_OTHER_VERSION;
    if (!known(out->type)) return WIRE_MALFORMED;
    layout[out->type].walk(&c, out);
    out->payload = c.at;
    out->payload_bytes = (size_t)(c.end - c.at);
    if (out->version != WIRE_VERSION && !c.bad) return WIRE_OK; /* a later version may have added fields at the end */
    int has_payload = layout[out->type].payload_max > 0;
    if (c.bad || out->payload_bytes > layout[out->type].payload_max || (has_payload && out->payload_bytes == 0)) return WIRE_MALFORMED;
    return WIRE_OK;
}
