/* Tiles that are done twice by different workers and compared bit for bit (--verify).
 *
 * Of a job that is verified, every committed part of a unit has a record: whose it is, and a digest of its sums. A share of them, chosen by a
 * secret so that a worker cannot know which, is given to a second worker. When the two differ, a third is asked, and more, until two agree:
 * all others have lied, and so has each result of theirs that nobody has looked at. A liar is refused from then on, and whatever he brought in is
 * opened again; the server takes it out of the film (CO_ACT_WITHDRAW). An identity is a worker's key, where that is his alone, so that he stays out when he starts
 * anew, and several workers of one owner are one voice. Otherwise (no keys, or one key for many workers) it is his incarnation: who comes back under another one is another worker.
 *
 * One worker alone cannot be checked: its parts stay unchecked, and the job's status tells how many agreed. With two, a lie is found but not the
 * liar: the unit is put aside, and the job fails, unless a third comes before the rest is done. Two liars who agree are believed. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/grow.h"
#include "coordinator/ledger.h"

enum record_state { UNCHECKED, WAITS, OUT, AGREED, GONE };
enum { OPINIONS_MOST = 6 };

struct record {
    uint64_t digest;
    uint32_t who, unit;
    link in_checks;
    uint32_t dispute;     /* NONE: nobody has contradicted */
    uint16_t bands, sent; /* those committed, of those that came */
    uint8_t state;
};

struct dispute {
    uint32_t count;
    struct {
        uint64_t digest;
        uint32_t who;
    } said[OPINIONS_MOST];
};

#define IN_CHECKS(i) j->records[i].in_checks

/* SplitMix64 (Steele, Lea, Flood 2014): a good mixer of 64 bits. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static int chosen(const job *j, uint32_t ui, uint16_t bands)
{
    return mix(j->secret ^ mix(j->id << 32 | ui) ^ mix(bands)) % 100 < j->verify;
}

static void wait(job *j, uint32_t ri)
{
    j->records[ri].state = WAITS;
    LIST_APPEND(&j->checks, ri, IN_CHECKS);
}

static record *new_record(co_scheduler *s, job *j)
{
    if (j->record_count == j->record_capacity) {
        record *grown = co_grow(j->records, &j->record_capacity, sizeof *grown);
        if (!grown) {
            s->broken = 1;
            return NULL;
        }
        j->records = grown;
    }
    return &j->records[j->record_count++];
}

void co_checks_record(co_scheduler *s, job *j, uint32_t wi, uint32_t ui, uint16_t bands, const co_result *r)
{
    record *new = new_record(s, j);
    if (!new) return;
    *new = (record){ .digest = r->digest, .who = s->workers[wi].who, .unit = ui, .dispute = NONE, .bands = bands, .sent = r->bands };
    if (chosen(j, ui, bands)) wait(j, j->record_count - 1);
}

void co_checks_restore(co_scheduler *s, job *j, const co_claim *c)
{
    record *new = new_record(s, j);
    if (!new) return;
    *new = (record){ .digest = c->digest, .who = c->who, .unit = c->unit, .dispute = NONE, .bands = c->bands, .sent = c->sent };
    if (c->agreed) new->state = AGREED;
    else if (chosen(j, c->unit, c->bands)) wait(j, j->record_count - 1);
    j->sums.verified += c->agreed != 0;
}

/* Whether that worker has said something of this part already. */
static int has_spoken(const job *j, const record *r, uint32_t who)
{
    if (r->dispute == NONE) return r->who == who;
    const dispute *d = &j->disputes[r->dispute];
    for (uint32_t i = 0; i < d->count; i++)
        if (d->said[i].who == who) return 1;
    return 0;
}

uint32_t co_checks_pick(const co_scheduler *s, const job *j, const worker *w)
{
    (void)s;
    uint32_t ri = j->checks.head, who = w->who;
    for (unsigned n = 0; ri != NONE && n < CO_SCAN_MOST; n++, ri = j->records[ri].in_checks.next)
        if (!has_spoken(j, &j->records[ri], who)) return ri;
    return NONE;
}

void co_checks_lease(co_scheduler *s, job *j, uint32_t ri, uint32_t wi, uint64_t now_us)
{
    record *r = &j->records[ri];
    LIST_REMOVE(&j->checks, ri, IN_CHECKS);
    r->state = OUT;
    j->checks_out++;
    co_ledger_assign(s, wi, j, r->unit, r->sent, CHECK, ri, now_us);
}

void co_checks_released(job *j, uint32_t ri)
{
    if (j->records[ri].state != OUT) return;
    j->checks_out--;
    wait(j, ri);
}

int co_checks_pending(const job *j) { return j->checks_out || j->checks.head != NONE; }

static void revoke_check(co_scheduler *s, job *j, uint32_t ri, uint64_t now_us)
{
    for (uint32_t li = j->units[j->records[ri].unit].leases, next; li != NONE; li = next) {
        next = s->leases[li].in_unit;
        if (s->leases[li].kind == CHECK && s->leases[li].record == ri) co_ledger_revoke(s, li, 1, now_us);
    }
}

/* What a record stood for is open again. */
static void undo(co_scheduler *s, job *j, uint32_t ri, uint64_t now_us)
{
    record *r = &j->records[ri];
    if (r->state == WAITS) LIST_REMOVE(&j->checks, ri, IN_CHECKS);
    int out = r->state == OUT;
    j->checks_out -= (uint32_t)out;
    r->state = GONE;
    if (out) revoke_check(s, j, ri, now_us);
    co_ledger_uncommit(s, j, r->unit, r->bands);
    (void)co_ledger_reopen(s, j, r->unit, r->bands, now_us);
}

/* Told at once: the job may end with the very result that exposed the liar. */
static uint32_t undo_all(co_scheduler *s, job *j, uint32_t who, uint64_t now_us)
{
    uint32_t undone = 0;
    for (uint32_t ri = 0; ri < j->record_count; ri++) {
        if (j->records[ri].who != who || j->records[ri].state == GONE) continue;
        undo(s, j, ri, now_us);
        undone++;
    }
    j->sums.tiles_distrusted += undone;
    if (undone) co_ledger_act(s, (co_action){ .kind = CO_ACT_WITHDRAW, .job = j->id, .who = who, .count = undone });
    return undone;
}

int co_scheduler_ban(co_scheduler *s, uint32_t who) { return co_map_put(&s->banned, who, 1); }

/* A worker of that identity who is here, or NONE. */
static uint32_t somebody(const co_scheduler *s, uint32_t who)
{
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next)
        if (s->workers[wi].who == who) return wi;
    return NONE;
}

static void evict(co_scheduler *s, job *in, uint32_t ui, uint32_t who, uint64_t now_us)
{
    if (co_map_get(&s->banned, who) >= 0) return;
    if (co_scheduler_ban(s, who)) s->broken = 1;
    in->sums.evicted++;
    uint32_t undone = 0, wi = somebody(s, who), peer = wi == NONE ? 0 : s->workers[wi].peer, number = wi == NONE ? 0 : s->workers[wi].number;
    for (job *j = s->turns; j; j = j->next) undone += undo_all(s, j, who, now_us);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_EVICT, .peer = peer, .worker = number, .job = in->id, .unit = ui, .who = who, .count = undone });
    for (; wi != NONE; wi = somebody(s, who)) co_scheduler_remove(s, wi, CO_LEAVE_EVICTED, now_us);
}

/* The digest that two have named, in *truth. */
static int settled(const dispute *d, uint64_t *truth)
{
    for (uint32_t a = 0; a < d->count; a++)
        for (uint32_t b = 0; b < a; b++) {
            if (d->said[a].digest != d->said[b].digest) continue;
            *truth = d->said[a].digest;
            return 1;
        }
    return 0;
}

/* Nobody can say who is right. */
static void give_up(co_scheduler *s, job *j, uint32_t ri, uint64_t now_us)
{
    record *r = &j->records[ri];
    r->state = GONE;
    co_ledger_uncommit(s, j, r->unit, r->bands);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_DISTRUST, .job = j->id, .unit = r->unit, .bands = r->bands, .who = r->who });
    co_ledger_put_aside(s, j, r->unit, CO_ASIDE_DISPUTED, now_us);
}

static void say_agreed(co_scheduler *s, const job *j, uint32_t ri)
{
    const record *r = &j->records[ri];
    co_ledger_act(s, (co_action){ .kind = CO_ACT_AGREED, .job = j->id, .unit = r->unit, .bands = r->bands, .who = r->who });
}

static int open_dispute(co_scheduler *s, job *j, record *r)
{
    if (j->dispute_count == j->dispute_capacity) {
        dispute *grown = co_grow(j->disputes, &j->dispute_capacity, sizeof *grown);
        if (!grown) {
            s->broken = 1;
            return -1;
        }
        j->disputes = grown;
    }
    r->dispute = j->dispute_count++;
    j->disputes[r->dispute] = (dispute){ .count = 1, .said = { { r->digest, r->who } } };
    return 0;
}

static void contradict(co_scheduler *s, job *j, uint32_t ri, uint32_t who, uint64_t digest, uint64_t now_us)
{
    record *r = &j->records[ri];
    if (r->dispute == NONE && open_dispute(s, j, r)) return;
    dispute *d = &j->disputes[r->dispute];
    d->said[d->count].digest = digest;
    d->said[d->count++].who = who;
    uint64_t truth;
    if (!settled(d, &truth)) {
        if (d->count < OPINIONS_MOST) wait(j, ri);
        else give_up(s, j, ri, now_us);
        return;
    }
    r->state = AGREED;
    j->sums.verified++;
    const dispute heard = *d;
    uint32_t ui = r->unit;
    for (uint32_t i = 0; i < heard.count; i++)
        if (heard.said[i].digest != truth) evict(s, j, ui, heard.said[i].who, now_us);
    if (j->records[ri].state == AGREED) say_agreed(s, j, ri); /* after the evictions: whoever keeps a journal has them first */
}

void co_checks_opinion(co_scheduler *s, job *j, uint32_t ri, uint32_t wi, uint64_t digest, uint64_t now_us)
{
    record *r = &j->records[ri];
    if (r->state != OUT) return;
    j->checks_out--;
    if (r->dispute == NONE && digest == r->digest) {
        r->state = AGREED;
        j->sums.verified++;
        say_agreed(s, j, ri);
    } else {
        r->state = UNCHECKED;
        contradict(s, j, ri, s->workers[wi].who, digest, now_us);
    }
}

static int somebody_can(const co_scheduler *s, const job *j, const record *r, uint64_t now_us)
{
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next) {
        const worker *w = &s->workers[wi];
        if (!w->draining && now_us >= w->rest_until_us && !has_spoken(j, r, w->who)) return 1;
    }
    return 0;
}

void co_checks_close(co_scheduler *s, job *j, uint64_t now_us)
{
    if (now_us < j->patient_until_us) return;
    for (uint32_t ri = j->checks.head, next; ri != NONE; ri = next) {
        record *r = &j->records[ri];
        next = r->in_checks.next;
        if (somebody_can(s, j, r, now_us)) continue;
        LIST_REMOVE(&j->checks, ri, IN_CHECKS);
        r->state = UNCHECKED;
        if (r->dispute != NONE) give_up(s, j, ri, now_us);
    }
}

void co_checks_free(job *j)
{
    free(j->records);
    free(j->disputes);
}
