/* The results of a job that is verified, kept until the job ends: so that what a liar brought can be taken out of the film again. They lie in a
 * file without a name (in TMPDIR, or in memory where no such file can be made), which vanishes with the process. */
#ifndef CO_SPOOL_H
#define CO_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"

typedef struct co_spool co_spool;

typedef struct co_kept {
    uint32_t who, unit;
    uint32_t y, height;  /* the rows it holds, in the picture */
    uint16_t bands;      /* of the unit, that went into the film */
    uint64_t offset;
    uint32_t size_bytes; /* coded sums: wire/sums.h */
} co_kept;

int co_spool_open(co_spool **out, mr_error *err);
void co_spool_close(co_spool *spool);

int co_spool_add(co_spool *spool, const co_kept *kept, const void *bytes); /* 0, or -1: no room. offset is set here */
co_kept *co_spool_last(co_spool *spool);                                   /* the one added last */
void co_spool_drop_last(co_spool *spool);

/* The next one of `who` from *at on (moved behind it), or NULL. */
co_kept *co_spool_next(co_spool *spool, uint32_t who, size_t *at);
int co_spool_read(const co_spool *spool, const co_kept *kept, void *bytes); /* kept->size_bytes; -1: it cannot be read */

#endif
