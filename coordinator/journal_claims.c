/* What workers of verified jobs claimed, and what was found out about it: see coordinator/journal.h.
 *
 * The file is a history: a claim, then perhaps that another came to the same (AGREED), or that its worker lied (WITHDRAWN). A verdict is about what stands before
 * it. Nothing is looked up while records come; verdicts gather in a list, and co_jfile_resolve settles all of them at once, in O(n log n). */
#include <stdlib.h>

#include "coordinator/grow.h"
#include "coordinator/journal_file.h"

/* The last CO_BANNED_MOST are kept: the oldest half goes when there are more. */
static int ban(co_jfile *f, uint32_t who)
{
    if (f->banned_count == CO_BANNED_MOST) {
        f->banned_count = CO_BANNED_MOST / 2;
        for (size_t i = 0; i < f->banned_count; i++) f->banned[i] = f->banned[i + CO_BANNED_MOST / 2];
    }
    if (f->banned_count == f->banned_capacity) {
        uint32_t *grown = co_grow(f->banned, &f->banned_capacity, sizeof *grown);
        if (!grown) return -1;
        f->banned = grown;
    }
    f->banned[f->banned_count++] = who;
    return 0;
}

int co_jfile_index_verdict(co_jfile *f, const co_record *record, uint64_t offset)
{
    if (record->type == CO_RECORD_BANNED) return ban(f, record->verdict.who);
    if (f->verdict_count == f->verdict_capacity) {
        co_jfile_verdict *grown = co_grow(f->verdicts, &f->verdict_capacity, sizeof *grown);
        if (!grown) return -1;
        f->verdicts = grown;
    }
    f->verdicts[f->verdict_count++] = (co_jfile_verdict){ .job = record->job, .offset = offset, .said = record->verdict, .type = record->type };
    return 0;
}

void co_jfile_forget_verdicts(co_jfile *f, uint64_t job)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->verdict_count; i++)
        if (f->verdicts[i].job != job) f->verdicts[kept++] = f->verdicts[i];
    f->verdict_count = kept;
}

static int compare(const uint64_t *x, const uint64_t *y, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* By what it is about, then the latest first. */
static int by_subject(const void *a, const void *b)
{
    const co_jfile_verdict *v = a, *w = b;
    const uint64_t x[] = { v->job, v->said.who, v->said.unit, v->said.bands, v->type, w->offset };
    const uint64_t y[] = { w->job, w->said.who, w->said.unit, w->said.bands, w->type, v->offset };
    return compare(x, y, 6);
}

/* Whether there is a verdict of that type about this, behind that place in the file. */
static int is_said(const co_jfile *f, uint64_t job, const co_record_verdict *what, uint8_t type, uint64_t offset)
{
    const uint64_t x[] = { job, what->who, what->unit, what->bands, type };
    size_t lo = 0, hi = f->verdict_count;
    while (lo < hi) { /* the first one not before it */
        size_t middle = lo + (hi - lo) / 2;
        const co_jfile_verdict *v = &f->verdicts[middle];
        const uint64_t y[] = { v->job, v->said.who, v->said.unit, v->said.bands, v->type };
        if (compare(y, x, 5) < 0) lo = middle + 1;
        else hi = middle;
    }
    if (lo == f->verdict_count) return 0;
    const co_jfile_verdict *v = &f->verdicts[lo];
    const uint64_t y[] = { v->job, v->said.who, v->said.unit, v->said.bands, v->type };
    return !compare(y, x, 5) && v->offset > offset;
}

static int is_withdrawn(const co_jfile *f, const co_jfile_entry *e)
{
    const co_record_verdict all = { .who = e->who, .unit = UINT32_MAX }, one = { .who = e->who, .unit = e->unit, .bands = e->bands };
    return is_said(f, e->job, &all, CO_RECORD_WITHDRAWN, e->offset) || is_said(f, e->job, &one, CO_RECORD_WITHDRAWN, e->offset);
}

void co_jfile_resolve(co_jfile *f)
{
    if (!f->verdict_count) return;
    qsort(f->verdicts, f->verdict_count, sizeof *f->verdicts, by_subject);
    size_t kept = 0;
    for (size_t i = 0; i < f->entry_count; i++) {
        co_jfile_entry *e = &f->entries[i];
        const co_record_verdict one = { .who = e->who, .unit = e->unit, .bands = e->bands };
        if (e->is_claim && is_withdrawn(f, e)) continue;
        if (e->is_claim) e->agreed = (uint8_t)is_said(f, e->job, &one, CO_RECORD_AGREED, e->offset);
        f->entries[kept++] = *e;
    }
    f->entry_count = kept;
    kept = 0;
    for (size_t i = 0; i < f->verdict_count; i++)
        if (f->verdicts[i].type == CO_RECORD_AGREED) f->verdicts[kept++] = f->verdicts[i];
    f->verdict_count = kept;
}
