/* Workers that trace nothing: a few processes with many connections each, to load a coordinator or a bare ROUTER. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "wire/keys.h"

enum { BENCH_LOADERS_MAX = 16, BENCH_WINDOW = 5 /* messages of one worker under way, with a bare ROUTER */ };

typedef struct bench_load {
    const char *endpoint;
    const wire_keys *keys;    /* NULL: none */
    unsigned workers, loaders;
    int bare;                 /* echo with a ROUTER instead of working for a coordinator */
    uint32_t payload_bytes;   /* of a bare message, beyond a RESULT's fields */
    uint32_t unit_us;         /* what a worker claims that a tile took */
    int paced;                /* it lets that time pass, too, and returns a picture of plain colours instead of noise */
} bench_load;

/* Starts the processes; they run until bench_load_stop. Returns how many, or -1. */
int bench_load_start(const bench_load *load, pid_t loader[BENCH_LOADERS_MAX]);
void bench_load_stop(pid_t *loader, int count);

/* The fields of a RESULT, without its sums. */
uint32_t bench_result_head(void);

/* A tile's sums that do not compress: four planes of noise. Returns the bytes of it; bytes NULL: only counts. */
uint32_t bench_sums(uint32_t values, uint8_t *bytes);

#endif
