/* Squeezed PLY files: the same bytes in a fifth of the room, for meshes that travel inside of a container image.
 *
 * A squeezed file is the PLY's own header and, instead of the records behind it, their columns: what each value differs from the one before it (an index
 * from the corner before it, a float on a grid of 2^-n as a count of steps), lowest bytes of all values first, then the next, through zstd.
 *
 *     "MRPLYSQ1"   8 bytes
 *     u32          size of the header, little-endian
 *     header       as in the PLY, through end_header and its line end
 *     zstd frame   for each element, each column: one byte (enum mr_squeeze_mode) and the planes of its values
 *
 * A list counts as a column of counts and one for each corner; all lists must have three. Only binary_little_endian. */
#ifndef MR_SCENE_SQUEEZE_H
#define MR_SCENE_SQUEEZE_H

#include <stdbool.h>
#include <stddef.h>

#include "tracer/error.h"

enum { MR_SQUEEZE_MOST_TIMES = 256 }; /* a file that says it unfolds to more than that many times its size is refused before memory is taken */

/* GRID + n: a float is a whole number of steps of 2^-n, which differ as in DELTA. */
enum mr_squeeze_mode { MR_SQUEEZE_RAW, MR_SQUEEZE_DELTA, MR_SQUEEZE_LEFT, MR_SQUEEZE_GRID = 64, MR_SQUEEZE_GRID_MOST = 64 + 24 };

bool mr_is_squeezed(const char *bytes, size_t size_bytes);

/* The PLY file again, NUL-terminated beyond its size; the caller frees *ply. MR_BAD_INPUT for anything that mr_squeeze has not written. */
int mr_unsqueeze(const char *bytes, size_t size_bytes, char **ply, size_t *ply_bytes, const char *name, mr_error *err);

/* ply is NUL-terminated beyond its size. The caller frees *out. MR_BAD_INPUT for a PLY that is not as above. */
int mr_squeeze(const char *ply, size_t size_bytes, char **out, size_t *out_bytes, const char *name, mr_error *err);

#endif
