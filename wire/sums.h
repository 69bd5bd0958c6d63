/* A tile's sums in a few bytes.
 *
 * The sums are fixed-point integers (tracer/film.h), all below 2^61 but mostly far smaller: only as many bytes of each are sent as the
 * tile's greatest needs, in planes (the lowest byte of all values, then the next ...), so that the slowly varying high bytes stand
 * together and can be compressed. The low bytes are noise: a look at a few of them tells, and they go as they are.
 *
 *   u8 width (1..8), then for each plane, lowest first: u32 length, bytes
 *     length == count   the bytes themselves
 *     length <  count   one zstd frame that holds its content size, which must be count */
#ifndef WIRE_SUMS_H
#define WIRE_SUMS_H

#include <stddef.h>
#include <stdint.h>

typedef struct wire_packer wire_packer; /* one thread's scratch for coding, in either direction */

wire_packer *wire_packer_new(void); /* NULL without memory */
void wire_packer_free(wire_packer *packer);

/* Bytes that count values may need at most. count <= WIRE_MAX_VALUES. */
size_t wire_sums_bound(size_t count);

/* Writes them to bytes (at least wire_sums_bound(count)); returns the bytes used. Cannot fail: what does not compress goes as it is. */
size_t wire_sums_encode(wire_packer *packer, const uint64_t *sums, size_t count, uint8_t *bytes);

/* Reads exactly count values from exactly size_bytes. 0, or -1 when the bytes are anything else (or memory is short); sums is then
 * undefined. Bytes from anyone. */
int wire_sums_decode(wire_packer *packer, const uint8_t *bytes, size_t size_bytes, uint64_t *sums, size_t count);

#endif
