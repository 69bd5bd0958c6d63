/* The PLY format (Turk 1994), as far as meshes need it: read by ourselves, since scenes' own meshes come in it and it has to be fast and safe.
 *
 * ASCII and binary of either byte order; vertices with positions and, when there, normals, texture coordinates (u v, s t, texture_u texture_v) and colours; faces
 * as lists of vertex indices, cut into fans. Other elements and properties are skipped. */
#ifndef MR_SCENE_PLY_H
#define MR_SCENE_PLY_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/scene/model.h"

enum { MR_PLY_MAX_ELEMENTS = 16, MR_PLY_MAX_PROPERTIES = 64, MR_PLY_MAX_CORNERS = 4096 };

enum mr_ply_format { MR_PLY_ASCII, MR_PLY_LITTLE, MR_PLY_BIG };
enum mr_ply_type { MR_PLY_INT8, MR_PLY_UINT8, MR_PLY_INT16, MR_PLY_UINT16, MR_PLY_INT32, MR_PLY_UINT32, MR_PLY_FLOAT, MR_PLY_DOUBLE, MR_PLY_TYPES };

/* What we do with a property. */
enum mr_ply_role { MR_PLY_X, MR_PLY_Y, MR_PLY_Z, MR_PLY_NX, MR_PLY_NY, MR_PLY_NZ, MR_PLY_U, MR_PLY_V, MR_PLY_RED, MR_PLY_GREEN, MR_PLY_BLUE, MR_PLY_INDICES, MR_PLY_IGNORED };

typedef struct mr_ply_property {
    uint8_t type, role; /* enum mr_ply_type, enum mr_ply_role */
    uint8_t is_list, count_type;
} mr_ply_property;

enum mr_ply_kind { MR_PLY_VERTICES, MR_PLY_FACES, MR_PLY_OTHER };

typedef struct mr_ply_element {
    uint32_t kind, count, property_count;
    uint32_t roles; /* bit set of those that occur */
    uint32_t least_bytes; /* that one item takes in the file */
    mr_ply_property property[MR_PLY_MAX_PROPERTIES];
} mr_ply_element;

typedef struct mr_ply_header {
    int format; /* enum mr_ply_format */
    uint32_t element_count;
    mr_ply_element element[MR_PLY_MAX_ELEMENTS];
} mr_ply_header;

size_t mr_ply_type_bytes(int type);

/* Parses the header of text (NUL-terminated beyond its size). *data receives the offset of the first byte behind it. */
int mr_ply_parse_header(mr_ply_header *header, const char *text, size_t size_bytes, size_t *data, const char *name, mr_error *err);

/* Reads a PLY file into an empty model with one material; normals_found: whether the file has them. The model is not finished yet. */
int mr_ply_read(mr_model *model, const char *path, bool *normals_found, mr_error *err);

#endif
