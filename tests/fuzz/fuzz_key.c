/* Key files, and the list of those let in. What is a key file is printed and read as the same. */
#include <string.h>

#include "cli/keys.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    key_file key, again;
    wire_permit *permits = NULL;
    uint32_t count = 0;
    mr_error err;
    char text[KEY_TEXT_MAX];
    if (keys_parse(&key, (const char *)bytes, size, "input", &err) == MR_OK) {
        size_t length = keys_print(&key, text);
        MUST(keys_parse(&again, text, length, "again", &err) == MR_OK && !memcmp(&key.keys, &again.keys, sizeof key.keys));
    }
    (void)keys_parse_allowed(&permits, &count, (const char *)bytes, size, "input", &err);
    for (uint32_t i = 0; i < count; i++) keys_print_permit(&permits[i], text, sizeof text);
    free(permits);
    return 0;
}
