#include "cli/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { COORDINATOR = 0, PACKS_MOST = 256, PACK_GAP_US = 500000, PATH_MOST = 4096 };

typedef struct pack_way { /* a scene on its way to a worker: many chunks make one slice */
    uint32_t worker;
    uint64_t begin_us, end_us, bytes;
} pack_way;

struct trace_writer {
    FILE *file;
    char path[PATH_MOST], temporary[PATH_MOST];
    uint64_t start_us, tiles, vain_us, traced_us;
    uint32_t workers;
    int any;
    pack_way packs[PACKS_MOST];
    unsigned pack_count;
};

int trace_open(trace_writer **out, const char *path, mr_error *err)
{
    trace_writer *t = calloc(1, sizeof *t);
    if (!t) return mr_fail(err, MR_FAILED, "%s: out of memory", path);
    (void)snprintf(t->path, sizeof t->path, "%s", path);
    if (strlen(path) >= PATH_MOST || snprintf(t->temporary, sizeof t->temporary, "%s.%d.partial", path, (int)getpid()) >= PATH_MOST) {
        free(t);
        return mr_fail(err, MR_FAILED, "%.200s...: the name is too long", path);
    }
    t->file = fopen(t->temporary, "wb");
    if (!t->file) {
        int status = mr_fail(err, MR_FAILED, "%s: cannot be written: %s", path, strerror(errno));
        free(t);
        return status;
    }
    fprintf(t->file, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_name\",\"args\":{\"name\":\"coordinator\"}}",
        COORDINATOR);
    *out = t;
    return MR_OK;
}

/* Times count from the first event. */
static double at(trace_writer *t, uint64_t us)
{
    if (!t->any) t->start_us = us;
    t->any = 1;
    return us > t->start_us ? (double)(us - t->start_us) : 0;
}

static void mark(trace_writer *t, uint64_t us, uint32_t pid, const char *name)
{
    fprintf(t->file, ",\n{\"ph\":\"i\",\"s\":\"p\",\"pid\":%u,\"tid\":0,\"ts\":%.0f,\"name\":\"%s\"}", pid, at(t, us), name);
}

static void count_workers(trace_writer *t, uint64_t us)
{
    fprintf(t->file, ",\n{\"ph\":\"C\",\"pid\":%d,\"ts\":%.0f,\"name\":\"workers\",\"args\":{\"here\":%u}}", COORDINATOR, at(t, us), t->workers);
}

static void joined(trace_writer *t, const co_slice *s)
{
    fprintf(t->file, ",\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":\"worker %u\"}}"
        ",\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%u}}", s->worker,
            s->worker, s->worker, s->worker);
    for (uint64_t i = 0; i < s->amount; i++)
        fprintf(t->file, ",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%llu,\"name\":\"thread_name\",\"args\":{\"name\":\"thread %llu\"}}", s->worker,
            (unsigned long long)i + 1, (unsigned long long)i);
    mark(t, s->begin_us, s->worker, "joins");
    t->workers++;
    count_workers(t, s->begin_us);
}

static void tile(trace_writer *t, const co_slice *s)
{
    int vain = s->kind == CO_SLICE_VAIN;
    fprintf(t->file, ",\n{\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":%.0f,\"dur\":%llu,\"name\":\"%s\",\"cat\":\"%s\",\"args\":{\"job\":%llu,\"lease\":%llu,\"micros\":%llu,\"cpu_micros\":%llu,\"rays\":%llu}}",
            s->worker, s->thread + 1, at(t, s->begin_us), (unsigned long long)(s->end_us - s->begin_us), vain ? "for nothing" : "tile", vain ? "vain" : "tile",
                (unsigned long long)s->job,
            (unsigned long long)s->lease, (unsigned long long)s->micros, (unsigned long long)s->cpu_us, (unsigned long long)s->amount);
    if (vain) t->vain_us += s->micros;
    else t->tiles++, t->traced_us += s->micros;
}

/* A row of its own for each worker: chunks to several may overlap. */
static void write_pack(trace_writer *t, const pack_way *p)
{
    fprintf(t->file, ",\n{\"ph\":\"X\",\"pid\":%u,\"tid\":0,\"ts\":%.0f,\"dur\":%llu,\"name\":\"scene\",\"cat\":\"pack\",\"args\":{\"bytes\":%llu}}",
        p->worker, at(t, p->begin_us),
            (unsigned long long)(p->end_us - p->begin_us), (unsigned long long)p->bytes);
}

static void pack(trace_writer *t, const co_slice *s)
{
    for (unsigned i = 0; i < t->pack_count; i++) {
        pack_way *p = &t->packs[i];
        if (p->worker != s->worker) continue;
        if (s->begin_us - p->end_us > PACK_GAP_US) {
            write_pack(t, p);
            *p = (pack_way){s->worker, s->begin_us, s->begin_us, 0};
        }
        p->end_us = s->end_us;
        p->bytes += s->amount;
        return;
    }
    if (t->pack_count == PACKS_MOST) write_pack(t, &t->packs[--t->pack_count]);
    t->packs[t->pack_count++] = (pack_way){s->worker, s->begin_us, s->end_us, s->amount};
}

static void job(trace_writer *t, const co_slice *s)
{
    int begins = s->kind == CO_SLICE_JOB;
    fprintf(t->file, ",\n{\"ph\":\"%s\",\"cat\":\"job\",\"id\":%llu,\"pid\":%d,\"tid\":0,\"ts\":%.0f,\"name\":\"job %llu\"%s}", begins ? "b" : "e",
        (unsigned long long)s->job, COORDINATOR, at(t, s->begin_us),
            (unsigned long long)s->job, begins ? "" : s->amount ? ",\"args\":{\"done\":true}" : ",\"args\":{\"done\":false}");
}

void trace_slice(void *user, const co_slice *s)
{
    trace_writer *t = user;
    if (!t) return;
    switch (s->kind) {
    case CO_SLICE_TILE:
    case CO_SLICE_VAIN: tile(t, s); break;
    case CO_SLICE_JOIN: joined(t, s); break;
    case CO_SLICE_DRAIN: mark(t, s->begin_us, s->worker, "drains"); break;
    case CO_SLICE_LEAVE:
        mark(t, s->begin_us, s->worker, s->amount ? "leaves" : "is lost");
        t->workers -= t->workers > 0;
        count_workers(t, s->begin_us);
        break;
    case CO_SLICE_PACK: pack(t, s); break;
    default: job(t, s);
    }
}

int trace_close(trace_writer *t, int status, mr_error *err)
{
    if (!t) return status;
    for (unsigned i = 0; i < t->pack_count; i++) write_pack(t, &t->packs[i]);
    fprintf(t->file, "\n],\"otherData\":{\"program\":\"mobyray %s %s\",\"tiles\":%llu,\"traced_micros\":%llu,\"micros_for_nothing\":%llu}}\n", cli_version,
        cli_commit, (unsigned long long)t->tiles,
            (unsigned long long)t->traced_us, (unsigned long long)t->vain_us);
    int broken = ferror(t->file);
    broken |= fclose(t->file) != 0;
    if (status == MR_OK && (broken || rename(t->temporary, t->path) != 0)) status = mr_fail(err, MR_FAILED, "%s: cannot be written: %s", t->path, strerror(errno));
    if (status != MR_OK) (void)unlink(t->temporary);
    free(t);
    return status;
}
