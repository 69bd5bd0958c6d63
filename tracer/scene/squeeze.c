/* Squeezed PLY files. See squeeze.h.
 *
 * Both directions walk the same list of columns, made from the PLY's header; each column fills or empties one stretch of a buffer that holds all of them, whose
 * size follows from the header alone. */
#include "tracer/scene/squeeze.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/ply.h"

static const char MAGIC[8] = {'M', 'R', 'P', 'L', 'Y', 'S', 'Q', '1'};

enum { PREFIX_BYTES = 12, CORNERS = 3, MAX_COLUMNS = MR_PLY_MAX_PROPERTIES * (CORNERS + 1), LEVEL = 19, SMALL_BYTES = 1 << 20 };

typedef struct column {
    uint32_t offset; /* of its value in a record */
    uint8_t bytes;
    bool is_float, is_count, is_after; /* a list's length; a corner behind a corner */
} column;

typedef struct table {
    uint32_t count, columns, stride;
    column column[MAX_COLUMNS];
} table;

static void add_column(table *t, int type, bool is_count, bool is_after)
{
    uint8_t bytes = (uint8_t)mr_ply_type_bytes(type);
    t->column[t->columns++] = (column){.offset = t->stride, .bytes = bytes, .is_float = type == MR_PLY_FLOAT, .is_count = is_count, .is_after = is_after};
    t->stride += bytes;
}

static void make_table(table *t, const mr_ply_element *element)
{
    *t = (table){.count = element->count};
    for (uint32_t i = 0; i < element->property_count; i++) {
        const mr_ply_property *p = &element->property[i];
        if (p->is_list) add_column(t, p->count_type, true, false);
        for (int k = 0; k < (p->is_list ? CORNERS : 1); k++) add_column(t, p->type, false, k > 0);
    }
}

/* The size of all records, and of their columns with a byte before each; counts and strides are small enough to be added in 64 bits. */
static uint64_t body_size(const mr_ply_header *header, uint64_t *columns)
{
    uint64_t sum = 0;
    table t;
    *columns = 0;
    for (uint32_t i = 0; i < header->element_count; i++) {
        make_table(&t, &header->element[i]);
        sum += (uint64_t)t.count * t.stride;
        *columns += t.columns;
    }
    *columns += sum;
    return sum;
}

/* ---- values ---- */

static uint64_t mask_of(uint8_t bytes)
{
    return bytes == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * bytes) - 1;
}

static uint64_t load(const uint8_t *at, uint8_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, at, bytes);
    return word;
}

/* A difference of values of so many bytes, its sign in the lowest bit: small either way. */
static uint64_t fold(uint64_t difference, uint8_t bytes)
{
    uint64_t sign = difference >> (8 * bytes - 1) & 1;
    return (difference << 1 ^ (0 - sign)) & mask_of(bytes);
}

static uint64_t unfold(uint64_t folded)
{
    return folded >> 1 ^ (0 - (folded & 1));
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint32_t grid_float(uint32_t steps, int mode)
{
    return float_bits((float)ldexp((double)(int32_t)steps, MR_SQUEEZE_GRID - mode));
}

/* ---- out of columns ---- */

static bool good_mode(const column *c, int mode)
{
    if (mode >= MR_SQUEEZE_GRID && mode <= MR_SQUEEZE_GRID_MOST) return c->is_float;
    return mode == MR_SQUEEZE_RAW || mode == MR_SQUEEZE_DELTA || (mode == MR_SQUEEZE_LEFT && c->is_after);
}

/* Fills one column of all records. */
static bool spread(const table *t, const column *c, int mode, const uint8_t *planes, uint8_t *records)
{
    uint64_t previous = 0, mask = mask_of(c->bytes);
    for (uint32_t i = 0; i < t->count; i++) {
        uint8_t *at = records + (size_t)i * t->stride + c->offset;
        uint64_t word = 0;
        for (uint8_t k = 0; k < c->bytes; k++) word |= (uint64_t)planes[(size_t)k * t->count + i] << 8 * k;
        if (mode == MR_SQUEEZE_LEFT) previous = load(at - c->bytes, c->bytes);
        if (mode != MR_SQUEEZE_RAW) word = previous = (previous + unfold(word)) & mask;
        if (mode >= MR_SQUEEZE_GRID) word = grid_float((uint32_t)word, mode);
        if (c->is_count && word != CORNERS) return false;
        memcpy(at, &word, c->bytes);
    }
    return true;
}

static bool spread_all(const mr_ply_header *header, const uint8_t *columns, uint8_t *records)
{
    table t;
    for (uint32_t i = 0; i < header->element_count; i++) {
        make_table(&t, &header->element[i]);
        for (uint32_t k = 0; k < t.columns; k++) {
            int mode = *columns++;
            if (!good_mode(&t.column[k], mode) || !spread(&t, &t.column[k], mode, columns, records)) return false;
            columns += (size_t)t.count * t.column[k].bytes;
        }
        records += (size_t)t.count * t.stride;
    }
    return true;
}

bool mr_is_squeezed(const char *bytes, size_t size_bytes)
{
    return size_bytes >= sizeof MAGIC && !memcmp(bytes, MAGIC, sizeof MAGIC);
}

/* The header in memory of its own, parsed; *ply holds it. */
static int take_header(mr_ply_header *header, const char *bytes, size_t size_bytes, char **ply, size_t *header_bytes, const char *name, mr_error *err)
{
    uint64_t length = size_bytes < PREFIX_BYTES ? 0 : load((const uint8_t *)bytes + sizeof MAGIC, 4);
    size_t data = 0;
    if (!length || length > size_bytes - PREFIX_BYTES) return mr_fail(err, MR_BAD_INPUT, "%s: found a squeezed PLY cut off in its header", name);
    *ply = malloc((size_t)length + 1);
    if (!*ply) return mr_fail(err, MR_FAILED, "%s: no memory", name);
    memcpy(*ply, bytes + PREFIX_BYTES, (size_t)length);
    (*ply)[length] = 0;
    int status = mr_ply_parse_header(header, *ply, (size_t)length, &data, name, err);
    if (!status && (data != length || header->format != MR_PLY_LITTLE))
        status = mr_fail(err, MR_BAD_INPUT, "%s: found a squeezed PLY with another header, expected one of binary_little_endian and no more", name);
    *header_bytes = (size_t)length;
    return status;
}

/* Unpacks the frame behind the header into columns, and those into records behind it. */
static int fill(const mr_ply_header *header, const char *frame, size_t frame_bytes, char **ply, size_t *ply_bytes, const char *name, mr_error *err)
{
    uint64_t columns_bytes, body = body_size(header, &columns_bytes), most = (uint64_t)frame_bytes * MR_SQUEEZE_MOST_TIMES + SMALL_BYTES;
    if (body > most || body > MR_SCENE_MAX_FILE_BYTES)
        return mr_fail(err, MR_BAD_INPUT, "%s: found a squeezed PLY of %zu bytes for %llu, expected at most %llu", name, frame_bytes, (unsigned long long)body, (unsigned long long)most);
    if (ZSTD_getFrameContentSize(frame, frame_bytes) != columns_bytes || ZSTD_findFrameCompressedSize(frame, frame_bytes) != frame_bytes)
        return mr_fail(err, MR_BAD_INPUT, "%s: found a squeezed PLY whose data does not fit its header, expected %llu bytes", name, (unsigned long long)columns_bytes);
    uint8_t *columns = malloc((size_t)columns_bytes + 1);
    char *larger = realloc(*ply, *ply_bytes + (size_t)body + 1);
    if (larger) *ply = larger;
    int status = columns && larger ? MR_OK : mr_fail(err, MR_FAILED, "%s: no memory", name);
    if (!status && (ZSTD_decompress(columns, (size_t)columns_bytes, frame, frame_bytes) != columns_bytes || !spread_all(header, columns, (uint8_t *)*ply + *ply_bytes)))
        status = mr_fail(err, MR_BAD_INPUT, "%s: found a squeezed PLY with damaged data", name);
    free(columns);
    if (status) return status;
    *ply_bytes += (size_t)body;
    (*ply)[*ply_bytes] = 0;
    return MR_OK;
}

int mr_unsqueeze(const char *bytes, size_t size_bytes, char **ply, size_t *ply_bytes, const char *name, mr_error *err)
{
    char *text = NULL;
    size_t length = 0;
    mr_ply_header *header = malloc(sizeof *header);
    int status = header ? take_header(header, bytes, size_bytes, &text, &length, name, err) : mr_fail(err, MR_FAILED, "%s: no memory", name);
    if (!status) {
        size_t used = PREFIX_BYTES + length;
        status = fill(header, bytes + used, size_bytes - used, &text, &length, name, err);
    }
    free(header);
    if (status) {
        free(text);
        return status;
    }
    *ply = text;
    *ply_bytes = length;
    return MR_OK;
}

/* ---- into columns ---- */

/* Steps of 2^-n that are this float to the bit. */
static bool on_grid(uint32_t bits, int mode, uint32_t *steps)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    double scaled = ldexp((double)value, mode - MR_SQUEEZE_GRID);
    if (!(fabs(scaled) < 1 << 30) || scaled != floor(scaled)) return false;
    *steps = (uint32_t)(int32_t)scaled;
    return grid_float(*steps, mode) == bits; /* not so for -0 */
}

static int choose_mode(const table *t, const column *c, const uint8_t *records)
{
    if (c->is_after) return MR_SQUEEZE_LEFT;
    int mode = MR_SQUEEZE_GRID;
    uint32_t steps;
    for (uint32_t i = 0; c->is_float && i < t->count && mode <= MR_SQUEEZE_GRID_MOST; i++)
        while (mode <= MR_SQUEEZE_GRID_MOST && !on_grid((uint32_t)load(records + (size_t)i * t->stride + c->offset, 4), mode, &steps)) mode++;
    return c->is_float && mode <= MR_SQUEEZE_GRID_MOST ? mode : MR_SQUEEZE_DELTA;
}

static bool gather(const table *t, const column *c, int mode, const uint8_t *records, uint8_t *planes)
{
    uint64_t previous = 0, mask = mask_of(c->bytes);
    for (uint32_t i = 0; i < t->count; i++) {
        const uint8_t *at = records + (size_t)i * t->stride + c->offset;
        uint64_t word = load(at, c->bytes);
        uint32_t steps = 0;
        if (c->is_count && word != CORNERS) return false;
        if (mode >= MR_SQUEEZE_GRID && !on_grid((uint32_t)word, mode, &steps)) return false;
        if (mode >= MR_SQUEEZE_GRID) word = steps;
        if (mode == MR_SQUEEZE_LEFT) previous = load(at - c->bytes, c->bytes);
        uint64_t folded = fold((word - previous) & mask, c->bytes);
        previous = word;
        for (uint8_t k = 0; k < c->bytes; k++) planes[(size_t)k * t->count + i] = (uint8_t)(folded >> 8 * k);
    }
    return true;
}

static bool gather_all(const mr_ply_header *header, const uint8_t *records, uint8_t *columns)
{
    table t;
    for (uint32_t i = 0; i < header->element_count; i++) {
        make_table(&t, &header->element[i]);
        for (uint32_t k = 0; k < t.columns; k++) {
            int mode = choose_mode(&t, &t.column[k], records);
            *columns++ = (uint8_t)mode;
            if (!gather(&t, &t.column[k], mode, records, columns)) return false;
            columns += (size_t)t.count * t.column[k].bytes;
        }
        records += (size_t)t.count * t.stride;
    }
    return true;
}

/* Header and columns, compressed, as a file. */
static int write_file(const char *ply, size_t header_bytes, const uint8_t *columns, size_t columns_bytes, char **out, size_t *out_bytes, const char *name, mr_error *err)
{
    size_t room = PREFIX_BYTES + header_bytes + ZSTD_compressBound(columns_bytes);
    char *file = malloc(room);
    if (!file) return mr_fail(err, MR_FAILED, "%s: no memory", name);
    uint32_t length = (uint32_t)header_bytes;
    memcpy(file, MAGIC, sizeof MAGIC);
    memcpy(file + sizeof MAGIC, &length, sizeof length);
    memcpy(file + PREFIX_BYTES, ply, header_bytes);
    char *frame = file + PREFIX_BYTES + header_bytes;
    size_t frame_bytes = ZSTD_compress(frame, room - PREFIX_BYTES - header_bytes, columns, columns_bytes, LEVEL);
    if (ZSTD_isError(frame_bytes) || columns_bytes > frame_bytes * MR_SQUEEZE_MOST_TIMES + SMALL_BYTES) {
        free(file);
        return mr_fail(err, MR_FAILED, "%s: cannot be squeezed", name);
    }
    *out = file;
    *out_bytes = PREFIX_BYTES + header_bytes + frame_bytes;
    return MR_OK;
}

static int squeeze(const mr_ply_header *header, const char *ply, size_t size_bytes, size_t data, char **out, size_t *out_bytes, const char *name, mr_error *err)
{
    uint64_t columns_bytes, body = body_size(header, &columns_bytes);
    if (header->format != MR_PLY_LITTLE || body != size_bytes - data)
        return mr_fail(err, MR_BAD_INPUT, "%s: found %zu bytes of data, expected %llu in binary_little_endian, all faces triangles", name, size_bytes - data,
                       (unsigned long long)body);
    uint8_t *columns = malloc((size_t)columns_bytes + 1);
    if (!columns) return mr_fail(err, MR_FAILED, "%s: no memory", name);
    int status = gather_all(header, (const uint8_t *)ply + data, columns) ? MR_OK : mr_fail(err, MR_BAD_INPUT, "%s: found a list of another length, expected triangles", name);
    if (!status) status = write_file(ply, data, columns, (size_t)columns_bytes, out, out_bytes, name, err);
    free(columns);
    return status;
}

int mr_squeeze(const char *ply, size_t size_bytes, char **out, size_t *out_bytes, const char *name, mr_error *err)
{
    size_t data = 0;
    mr_ply_header *header = malloc(sizeof *header);
    if (!header) return mr_fail(err, MR_FAILED, "%s: no memory", name);
    int status = mr_ply_parse_header(header, ply, size_bytes, &data, name, err);
    if (!status) status = squeeze(header, ply, size_bytes, data, out, out_bytes, name, err);
    free(header);
    return status;
}
