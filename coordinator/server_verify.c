/* Jobs that are verified: their results are kept as they came, and those of a liar are taken out of the film again. The scheduler finds the liars
 * (coordinator/checks.c). */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "coordinator/server_state.h"

int co_verify_open(server_job *j, mr_error *err)
{
    uint64_t *secret = &j->options.verify_secret;
    if (!*secret && getrandom(secret, sizeof *secret, 0) != (ssize_t)sizeof *secret) return mr_fail(err, MR_FAILED, "no random numbers");
    return co_spool_open(&j->spool, err);
}

uint64_t co_verify_digest(const uint64_t *sums, size_t count)
{
    uint64_t digest[2]; /* BLAKE2b, of which a half is enough: whoever wants to collide must do so with a worker he does not know */
    crypto_generichash((unsigned char *)digest, sizeof digest, (const unsigned char *)sums, count * sizeof *sums, NULL, 0);
    return digest[0];
}

int co_verify_keep(co_server *s, server_job *j, uint32_t peer)
{
    const wire_result *r = &s->in.result;
    const co_kept kept = { .who = co_scheduler_identity(s->scheduler, peer), .unit = r->unit, .y = r->y, .height = r->height,
                           .size_bytes = (uint32_t)s->in.payload_bytes };
    if (!co_spool_add(j->spool, &kept, s->in.payload)) return 0;
    co_server_warn(s, "job %llu: no room to keep a result that may have to be verified: the tile goes back", (unsigned long long)j->id);
    return -1;
}

void co_verify_kept(server_job *j, uint16_t bands)
{
    if (!bands) co_spool_drop_last(j->spool);
    else co_spool_last(j->spool)->bands = bands;
}

/* Subtracts what was added. 0, or -1: it cannot be read any more. */
static int take_out(co_server *s, server_job *j, co_kept *kept)
{
    mr_tile tile;
    if (!co_scheduler_tile(s->scheduler, j->id, kept->unit, &tile)) return -1;
    size_t row = (size_t)3 * tile.width, count = row * kept->height;
    uint8_t *bytes = co_server_bytes(s, kept->size_bytes);
    uint64_t *sums = co_server_sums(s, count);
    if (!bytes || !sums || co_spool_read(j->spool, kept, bytes) || wire_sums_decode(s->packer, bytes, kept->size_bytes, sums, count)) return -1;
    for (size_t i = 0; i < count; i++) sums[i] = 0 - sums[i]; /* modulo 2^64 */
    co_server_add_bands(j, &tile, kept->bands, kept->y, sums, -(int32_t)tile.sample_count);
    kept->bands = 0;
    return 0;
}

/* All of a worker's, or the one part that the action names. */
static void take_out_all(co_server *s, server_job *j, const co_action *a, int one)
{
    size_t at = 0;
    for (co_kept *kept = co_spool_next(j->spool, a->who, &at); kept; kept = co_spool_next(j->spool, a->who, &at)) {
        if ((one && (kept->unit != a->unit || kept->bands != a->bands)) || !take_out(s, j, kept)) continue;
        co_server_warn(s, "job %llu: a result cannot be taken out of the picture again: the job ends", (unsigned long long)j->id);
        (void)co_scheduler_cancel(s->scheduler, co_now_us(), j->id);
        return;
    }
}

void co_verify_distrust(co_server *s, const co_action *a)
{
    server_job *j = co_server_find(s, a->job);
    if (!j || !j->spool) return;
    take_out_all(s, j, a, 1);
    co_state_verdict(s, j->id, CO_RECORD_WITHDRAWN, &(co_record_verdict){ .who = a->who, .unit = a->unit, .bands = a->bands });
}

void co_verify_agreed(co_server *s, const co_action *a)
{
    co_state_verdict(s, a->job, CO_RECORD_AGREED, &(co_record_verdict){ .who = a->who, .unit = a->unit, .bands = a->bands });
}

void co_verify_withdraw(co_server *s, const co_action *a)
{
    server_job *j = co_server_find(s, a->job);
    if (!j || !j->spool) return;
    take_out_all(s, j, a, 0);
    co_state_verdict(s, j->id, CO_RECORD_WITHDRAWN, &(co_record_verdict){ .who = a->who, .unit = UINT32_MAX });
}

void co_verify_evict(co_server *s, const co_action *a)
{
    mr_tile t = { 0 };
    int64_t place = co_map_get(&s->place_of_peer, a->peer);
    const server_worker *w = place < 0 ? NULL : &s->workers[place];
    (void)co_scheduler_tile(s->scheduler, a->job, a->unit, &t);
    co_server_warn(s, "worker %u (%s on %s) returned a wrong tile of job %llu at %u,%u: two others agree against it. It is refused from now on, and its %u tiles are done again",
                  a->worker, w ? w->name : "?", w ? w->host : "?", (unsigned long long)a->job, t.x, t.y, a->count);
    co_state_verdict(s, 0, CO_RECORD_BANNED, &(co_record_verdict){ .who = a->who });
    if (w) co_server_error(s, a->peer, WIRE_ERROR_REFUSED, "you returned a wrong tile: this coordinator takes none of yours any more");
}
