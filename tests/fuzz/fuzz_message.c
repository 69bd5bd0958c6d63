/* Wire messages: what decodes can be encoded, and decodes to the same. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static wire_message m, again;
    static uint8_t first[WIRE_MAX_HEAD], second[WIRE_MAX_HEAD];
    if (wire_decode(&m, bytes, size) != WIRE_OK) return 0;
    MUST(m.payload >= bytes && m.payload + m.payload_bytes == bytes + size);
    (void)wire_type_name(m.type);
    (void)wire_type_from(m.type);
    size_t length = wire_encode(&m, first, sizeof first);
    MUST(length > 0);
    if (m.payload_bytes) return 0; /* the payload is not the encoder's */
    MUST(wire_decode(&again, first, length) == WIRE_OK && again.type == m.type);
    MUST(wire_encode(&again, second, sizeof second) == length && !memcmp(first, second, length));
    return 0;
}
