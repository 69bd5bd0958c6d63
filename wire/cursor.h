/* A bounded cursor that reads or writes the same fields.
 *
 * A message's layout is written down once, as a function that walks its fields; the cursor decides whether they are read or
 * written, so that the two directions cannot drift apart. There is one way out for whatever is wrong: the cursor turns bad, stays
 * bad, and every later field reads as zero. Integers are little-endian and of fixed width. Nothing is allocated. */
#ifndef WIRE_CURSOR_H
#define WIRE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

typedef struct wire_cursor {
    uint8_t *at;   /* only read through when reading */
    uint8_t *end;
    int writing;
    int bad;       /* too short, or a value that no field may have */
} wire_cursor;

wire_cursor wire_reader(const void *bytes, size_t size_bytes);
wire_cursor wire_writer(void *bytes, size_t size_bytes);

void wire_u8(wire_cursor *c, uint8_t *value);
void wire_u16(wire_cursor *c, uint16_t *value);
void wire_u32(wire_cursor *c, uint32_t *value);
void wire_u64(wire_cursor *c, uint64_t *value);
void wire_bytes(wire_cursor *c, uint8_t *bytes, size_t size_bytes);

/* A text: its length in 2 bytes, then its bytes, without terminator. capacity counts the terminator; a longer text is malformed
 * when read and cut when written. Control characters and bytes beyond ASCII are read as '?', so that a name cannot drive a terminal. */
void wire_text(wire_cursor *c, char *text, size_t capacity);

/* A number that must lie in [least, most]. */
void wire_u32_in(wire_cursor *c, uint32_t *value, uint32_t least, uint32_t most);

/* A count of at most `most`, in 2 bytes. */
void wire_count(wire_cursor *c, uint16_t *count, uint16_t most);

#endif
