/* The data of a PLY file. See ply.h.
 *
 * A cursor never passes the end: a value that is not there sets `ended`, gives 0, and is noticed once an item. Counts from the header are held against the
 * bytes that are left before anything is allocated. */
#include "tracer/scene/ply.h"

#include <stdlib.h>
#include <string.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/squeeze.h"

typedef struct cursor {
    const uint8_t *at, *end; /* *end is a NUL */
    int format;
    bool ended;
} cursor;

typedef struct reader {
    cursor in;
    mr_model *model;
    const char *name;
    mr_error *err;
    bool has_colors;
} reader;

/* ---- values ---- */

/* The bytes of a value in the machine's (little-endian) order. */
static uint64_t take_bytes(cursor *in, size_t bytes)
{
    uint64_t word = 0;
    if ((size_t)(in->end - in->at) < bytes) {
        in->ended = true;
        in->at = in->end;
        return 0;
    }
    memcpy(&word, in->at, bytes);
    in->at += bytes;
    return in->format == MR_PLY_BIG ? __builtin_bswap64(word) >> (64 - 8 * bytes) : word;
}

static double take_binary(cursor *in, int type)
{
    uint64_t word = take_bytes(in, mr_ply_type_bytes(type));
    uint32_t low = (uint32_t)word;
    float single;
    double number;
    switch (type) {
    case MR_PLY_INT8: return (int8_t)low;
    case MR_PLY_UINT8: return (uint8_t)low;
    case MR_PLY_INT16: return (int16_t)low;
    case MR_PLY_UINT16: return (uint16_t)low;
    case MR_PLY_INT32: return (int32_t)low;
    case MR_PLY_UINT32: return low;
    case MR_PLY_FLOAT: memcpy(&single, &low, 4); return (double)single;
    default: memcpy(&number, &word, 8); return number;
    }
}

/* A word that is no number ends the data: strtod then does not move. */
static double take_ascii(cursor *in)
{
    char *stop;
    double number = strtod((const char *)in->at, &stop);
    if (stop == (const char *)in->at || (const uint8_t *)stop > in->end) {
        in->ended = true;
        return 0;
    }
    in->at = (const uint8_t *)stop;
    return number;
}

/* The four-byte types of little-endian files, which nearly all numbers of nearly all files are. */
static double take_word(cursor *in, int type)
{
    uint32_t word;
    float single;
    memcpy(&word, in->at, sizeof word);
    in->at += sizeof word;
    memcpy(&single, &word, sizeof single);
    return type == MR_PLY_FLOAT ? (double)single : type == MR_PLY_INT32 ? (int32_t)word : (double)word;
}

static double take(cursor *in, int type)
{
    bool is_word = type == MR_PLY_FLOAT || type == MR_PLY_INT32 || type == MR_PLY_UINT32;
    if (is_word && in->format == MR_PLY_LITTLE && in->end - in->at >= 4) return take_word(in, type);
    return in->format == MR_PLY_ASCII ? take_ascii(in) : take_binary(in, type);
}

static int ended(const reader *r, const char *kind, uint32_t index, uint32_t count)
{
    return mr_fail(r->err, MR_BAD_INPUT, "%s: %s %u: found the end of the numbers, expected %u of them", r->name, kind, index, count);
}

/* ---- elements ---- */

static void skip_list(cursor *in, const mr_ply_property *p)
{
    double count = take(in, p->count_type);
    for (double i = 0; i < count && !in->ended; i++) (void)take(in, p->type);
}

/* A channel as 0..255: bytes as they are, other integers by their range, floats from 0 to 1. */
static uint32_t color_byte(double value, int type)
{
    double scaled = type == MR_PLY_UINT8 ? value : type == MR_PLY_UINT16 ? value / 257 : value * 255;
    return scaled > 0 ? (uint32_t)(fmin(scaled, 255) + 0.5) : 0;
}

static void read_vertex(reader *r, const mr_ply_element *element)
{
    double value[MR_PLY_IGNORED + 1] = {0};
    uint32_t color[3] = {255, 255, 255};
    for (uint32_t i = 0; i < element->property_count; i++) {
        const mr_ply_property *p = &element->property[i];
        if (p->is_list) {
            skip_list(&r->in, p);
            continue;
        }
        value[p->role] = take(&r->in, p->type);
        if (p->role >= MR_PLY_RED && p->role <= MR_PLY_BLUE) color[p->role - MR_PLY_RED] = color_byte(value[p->role], p->type);
    }
    uint32_t index = mr_model_vertex(r->model, v3_from(value + MR_PLY_X), v3_from(value + MR_PLY_NX), value[MR_PLY_U], value[MR_PLY_V]);
    r->model->vertices[index].color = color[0] | color[1] << 8 | color[2] << 16 | 255u << 24;
}

static int read_vertices(reader *r, const mr_ply_element *element)
{
    const uint32_t xyz = 1u << MR_PLY_X | 1u << MR_PLY_Y | 1u << MR_PLY_Z;
    if ((element->roles & xyz) != xyz) return mr_fail(r->err, MR_BAD_INPUT, "%s: found vertices without x, y and z", r->name);
    if (r->model->vertex_count) return mr_fail(r->err, MR_BAD_INPUT, "%s: found the vertices twice, expected them once", r->name);
    int status = mr_model_reserve(r->model, element->count, 0, r->name, r->err);
    for (uint32_t i = 0; i < element->count && !status; i++) {
        read_vertex(r, element);
        if (r->in.ended) status = ended(r, "vertex", i, element->count);
    }
    r->has_colors = element->roles >> MR_PLY_RED & 1;
    return status;
}

/* An index as the file has it; anything that is no vertex becomes MR_NONE, which mr_model_finish refuses with its number. */
static uint32_t take_index(cursor *in, int type)
{
    double index = take(in, type);
    return index >= 0 && index < 4294967295.0 ? (uint32_t)index : MR_NONE;
}

/* A polygon as a fan about its first corner. */
static int read_polygon(reader *r, const mr_ply_property *p, uint32_t face)
{
    double corners = take(&r->in, p->count_type);
    if (!(corners >= 0 && corners <= MR_PLY_MAX_CORNERS))
        return mr_fail(r->err, MR_BAD_INPUT, "%s: face %u: found %g corners, expected at most %d", r->name, face, corners, MR_PLY_MAX_CORNERS);
    int status = corners > 2 ? mr_model_reserve(r->model, 0, (size_t)corners - 2, r->name, r->err) : MR_OK;
    uint32_t first = 0, previous = 0;
    for (uint32_t k = 0; k < (uint32_t)corners && !status && !r->in.ended; k++) {
        uint32_t index = take_index(&r->in, p->type);
        if (k == 0) first = index;
        if (k >= 2) {
            mr_model_triangle(r->model, first, previous, index);
            r->model->triangles[r->model->triangle_count - 1].material = 0;
        }
        previous = index;
    }
    return status;
}

static int read_faces(reader *r, const mr_ply_element *element)
{
    int status = MR_OK;
    if (element->roles >> MR_PLY_INDICES & 1) status = mr_model_reserve(r->model, 0, element->count, r->name, r->err);
    for (uint32_t i = 0; i < element->count && !status; i++) {
        for (uint32_t k = 0; k < element->property_count && !status; k++) {
            const mr_ply_property *p = &element->property[k];
            if (p->role == MR_PLY_INDICES) status = read_polygon(r, p, i);
            else if (p->is_list) skip_list(&r->in, p);
            else (void)take(&r->in, p->type);
        }
        if (!status && r->in.ended) status = ended(r, "face", i, element->count);
    }
    return status;
}

static int skip_element(reader *r, const mr_ply_element *element)
{
    for (uint32_t i = 0; i < element->count && element->property_count && !r->in.ended; i++)
        for (uint32_t k = 0; k < element->property_count; k++)
            if (element->property[k].is_list) skip_list(&r->in, &element->property[k]);
            else (void)take(&r->in, element->property[k].type);
    return r->in.ended ? ended(r, "element", 0, element->count) : MR_OK;
}

static int read_element(reader *r, const mr_ply_element *element)
{
    uint64_t least = (uint64_t)element->count * element->least_bytes, left = (uint64_t)(r->in.end - r->in.at) + 1; /* ASCII: the last number needs no space behind it */
    if (least > left || (element->count && !element->property_count))
        return mr_fail(r->err, MR_BAD_INPUT, "%s: found %llu bytes of data, expected at least %llu for %u elements", r->name, (unsigned long long)left - 1,
                       (unsigned long long)least, element->count);
    if (element->kind == MR_PLY_VERTICES) return read_vertices(r, element);
    return element->kind == MR_PLY_FACES ? read_faces(r, element) : skip_element(r, element);
}

/* The format knows no materials: white under vertex colours, otherwise the default. */
static int add_material(reader *r)
{
    mr_material *m = r->model->materials = malloc(sizeof *m);
    if (!m) return mr_fail(r->err, MR_FAILED, "%s: no memory", r->name);
    *m = mr_material_default();
    r->model->material_count = 1;
    if (!r->has_colors) return MR_OK;
    m->flags = MR_MATERIAL_VERTEX_COLOR;
    m->base_color[0] = m->base_color[1] = m->base_color[2] = 1;
    return MR_OK;
}

static bool has_normals(const mr_ply_header *header)
{
    for (uint32_t i = 0; i < header->element_count; i++)
        if (header->element[i].kind == MR_PLY_VERTICES) return header->element[i].roles >> MR_PLY_NX & 1;
    return false;
}

/* The file's bytes, those of a squeezed one unfolded; the caller frees them. */
static int read_file(const char *path, char **text, size_t *size_bytes, mr_error *err)
{
    int status = mr_file_read(path, MR_SCENE_MAX_FILE_BYTES, text, size_bytes, err);
    if (status != MR_OK || !mr_is_squeezed(*text, *size_bytes)) return status;
    char *squeezed = *text;
    status = mr_unsqueeze(squeezed, *size_bytes, text, size_bytes, path, err);
    free(squeezed);
    return status;
}

int mr_ply_read(mr_model *model, const char *path, bool *normals_found, mr_error *err)
{
    char *text;
    size_t size_bytes, data = 0;
    mr_ply_header *header = malloc(sizeof *header);
    if (!header) return mr_fail(err, MR_FAILED, "%s: no memory", path);
    int status = read_file(path, &text, &size_bytes, err);
    if (!status) {
        status = mr_ply_parse_header(header, text, size_bytes, &data, path, err);
        reader r = {.in = {(const uint8_t *)text + data, (const uint8_t *)text + size_bytes, header->format, false}, .model = model, .name = path, .err = err};
        for (uint32_t i = 0; i < header->element_count && !status; i++) status = read_element(&r, &header->element[i]);
        if (!status) status = add_material(&r);
        free(text);
    }
    *normals_found = !status && has_normals(header);
    free(header);
    return status;
}
