/* What the fuzz targets share. Each is a file fuzz_NAME.c with one LLVMFuzzerTestOneInput, a corpus in tests/fuzz/corpus/NAME, and its options
 * in tests/fuzz/run.sh. A target checks more than "it does not crash" where it can: what was read must be written and read again the same. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A fact that holds for every input. */
#define MUST(fact)                                                                                                                            \
    do {                                                                                                                                      \
        if (!(fact)) {                                                                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact);                                                                  \
            abort();                                                                                                                          \
        }                                                                                                                                     \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The input as a file: its path, valid until the next call. ending: ".ply" or so. */
const char *fuzz_file(const uint8_t *bytes, size_t size, const char *ending);

/* A folder of this process's own, removed at its end. */
const char *fuzz_folder(void);

/* A checked pack is safe to trace: one sample for each of a few pixels, with the scalar kernel. */
struct mr_pack;
void fuzz_trace(const struct mr_pack *pack);

#endif
