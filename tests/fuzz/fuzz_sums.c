/* A tile's sums: two bytes say how many are expected, the rest is what came. What decodes encodes to the same values. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/sums.h"

enum { MOST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static wire_packer *packer;
    static uint64_t sums[MOST], again[MOST];
    if (!packer) packer = wire_packer_new();
    if (size < 2) return 0;
    size_t count = (bytes[0] | (size_t)bytes[1] << 8) % MOST + 1;
    if (wire_sums_decode(packer, bytes + 2, size - 2, sums, count)) return 0;
    uint8_t *coded = malloc(wire_sums_bound(count));
    MUST(coded);
    size_t length = wire_sums_encode(packer, sums, count, coded);
    MUST(length <= wire_sums_bound(count) && wire_sums_decode(packer, coded, length, again, count) == 0);
    MUST(!memcmp(sums, again, count * sizeof *sums));
    free(coded);
    return 0;
}
