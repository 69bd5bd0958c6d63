/* Scene packs: the hash is made right (it keeps chance out, not malice), then everything is checked; what is found good is traced. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tracer/pack.h"
#include "tracer/pack_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < sizeof(mr_pack_header)) return 0;
    size_t room = (size + MR_PACK_ALIGN - 1) / MR_PACK_ALIGN * MR_PACK_ALIGN;
    uint8_t *copy = aligned_alloc(MR_PACK_ALIGN, room);
    MUST(copy);
    memcpy(copy, bytes, size);
    mr_pack_header *header = (mr_pack_header *)copy;
    header->size_bytes = size;
    mr_pack_hash(copy, size, NULL, header->hash);
    mr_pack pack;
    mr_error err;
    if (mr_pack_check(&pack, copy, size, "input", &err) == MR_OK && pack.settings->max_bounces <= 8) fuzz_trace(&pack);
    free(copy);
    return 0;
}
