/* The cursor: see wire/cursor.h. Every access goes through take(), which is the only place that compares with the end. */
#include "wire/cursor.h"

#include <string.h>

wire_cursor wire_reader(const void *bytes, size_t size_bytes)
{
    uint8_t *at = (uint8_t *)(uintptr_t)bytes; /* never written through: writing is 0 */
    return (wire_cursor){ .at = at, .end = at ? at + size_bytes : at };
}

wire_cursor wire_writer(void *bytes, size_t size_bytes)
{
    uint8_t *at = bytes;
    return (wire_cursor){ .at = at, .end = at + size_bytes, .writing = 1 };
}

/* The next size_bytes, or NULL and bad. */
static uint8_t *take(wire_cursor *c, size_t size_bytes)
{
    if (c->bad || (size_t)(c->end - c->at) < size_bytes) {
        c->bad = 1;
        return NULL;
    }
    uint8_t *at = c->at;
    c->at += size_bytes;
    return at;
}

/* An integer of `width` bytes. */
static uint64_t integer(wire_cursor *c, uint64_t value, unsigned width)
{
    uint8_t *at = take(c, width);
    if (!at) return 0;
    if (c->writing) {
        for (unsigned i = 0; i < width; i++) at[i] = (uint8_t)(value >> (8 * i));
        return value;
    }
    uint64_t read = 0;
    for (unsigned i = 0; i < width; i++) read |= (uint64_t)at[i] << (8 * i);
    return read;
}

/* A writing cursor leaves the field alone, so that a message can be encoded from memory that others read. */
#define DEFINE_INTEGER(name, type) \
    void name(wire_cursor *c, type *value) \
    { \
        uint64_t number = integer(c, *value, sizeof *value); \
        if (!c->writing) *value = (type)number; \
    }
DEFINE_INTEGER(wire_u8, uint8_t)
DEFINE_INTEGER(wire_u16, uint16_t)
DEFINE_INTEGER(wire_u32, uint32_t)
DEFINE_INTEGER(wire_u64, uint64_t)

void wire_bytes(wire_cursor *c, uint8_t *bytes, size_t size_bytes)
{
    uint8_t *at = take(c, size_bytes);
    if (c->writing) {
        if (at) memcpy(at, bytes, size_bytes);
    } else if (at) {
        memcpy(bytes, at, size_bytes);
    } else {
        memset(bytes, 0, size_bytes);
    }
}

static void read_text(wire_cursor *c, char *text, size_t capacity)
{
    uint16_t length = 0;
    wire_u16(c, &length);
    if (length >= capacity) c->bad = 1;
    const uint8_t *at = take(c, length);
    if (!at) length = 0;
    for (size_t i = 0; i < length; i++) text[i] = at[i] >= 32 && at[i] < 127 ? (char)at[i] : '?';
    text[length] = 0;
}

void wire_text(wire_cursor *c, char *text, size_t capacity)
{
    if (!c->writing) {
        read_text(c, text, capacity);
        return;
    }
    uint16_t length = (uint16_t)strnlen(text, capacity - 1);
    wire_u16(c, &length);
    wire_bytes(c, (uint8_t *)text, length);
}

void wire_u32_in(wire_cursor *c, uint32_t *value, uint32_t least, uint32_t most)
{
    wire_u32(c, value);
    if (*value < least || *value > most) c->bad = 1;
}

void wire_count(wire_cursor *c, uint16_t *count, uint16_t most)
{
    wire_u16(c, count);
    if (*count > most) c->bad = 1;
    if (c->bad && !c->writing) *count = 0;
}
