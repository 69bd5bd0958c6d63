/* The header of a PLY file: lines of words. See ply.h. */
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/ply.h"

enum { MAX_WORDS = 5, MAX_LINE = 256 };

typedef struct line {
    char text[MAX_LINE];
    char *word[MAX_WORDS];
    int words;
    unsigned number;
} line;

typedef struct scanner {
    mr_ply_header *out;
    const char *at, *end, *name;
    mr_error *err;
    line line;
} scanner;

size_t mr_ply_type_bytes(int type)
{
    static const size_t bytes[MR_PLY_TYPES] = {1, 1, 2, 2, 4, 4, 4, 8};
    return bytes[type];
}

static int fail(const scanner *s, const char *expected)
{
    return mr_fail(s->err, MR_BAD_INPUT, "%s:%u: found `%.60s`, expected %s", s->name, s->line.number, s->line.words ? s->line.word[0] : "", expected);
}

/* Splits the next line into words; further words than MAX_WORDS are dropped (comments). False at the end of the file or of what a line may be. */
static bool next_line(scanner *s)
{
    const char *stop = memchr(s->at, '\n', (size_t)(s->end - s->at));
    s->line.words = 0;
    s->line.number++;
    if (!stop) return false;
    size_t length = (size_t)(stop - s->at) < MAX_LINE - 1 ? (size_t)(stop - s->at) : MAX_LINE - 1;
    memcpy(s->line.text, s->at, length);
    s->line.text[length] = 0;
    s->at = stop + 1;
    char *rest = NULL;
    for (char *w = strtok_r(s->line.text, " \t\r", &rest); w && s->line.words < MAX_WORDS; w = strtok_r(NULL, " \t\r", &rest)) s->line.word[s->line.words++] = w;
    return true;
}

static bool word_is(const line *l, int i, const char *word) { return i < l->words && !strcmp(l->word[i], word); }

static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(word, words[i])) return i;
    return -1;
}

/* -1 when there is no such type. */
static int type_of(const char *word)
{
    static const char *const old[] = {"char", "uchar", "short", "ushort", "int", "uint", "float", "double", NULL};
    static const char *const sized[] = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64", NULL};
    int type = index_of(word, old);
    return type >= 0 ? type : index_of(word, sized);
}

static int role_of(const mr_ply_element *element, const char *name, bool is_list)
{
    static const char *const names[][6] = {{"x", NULL},  {"y", NULL},  {"z", NULL},
                                           {"nx", NULL}, {"ny", NULL}, {"nz", NULL},
                                           {"u", "s", "texture_u", "texture_s", NULL},
                                           {"v", "t", "texture_v", "texture_t", NULL},
                                           {"red", "r", "diffuse_red", NULL},
                                           {"green", "g", "diffuse_green", NULL},
                                           {"blue", "b", "diffuse_blue", NULL}};
    if (element->kind == MR_PLY_FACES && is_list && (!strcmp(name, "vertex_indices") || !strcmp(name, "vertex_index"))) return MR_PLY_INDICES;
    if (element->kind != MR_PLY_VERTICES || is_list) return MR_PLY_IGNORED;
    for (int role = 0; role <= MR_PLY_BLUE; role++)
        if (index_of(name, names[role]) >= 0) return role;
    return MR_PLY_IGNORED;
}

static int parse_format(scanner *s)
{
    static const char *const formats[] = {"ascii", "binary_little_endian", "binary_big_endian", NULL}; /* enum mr_ply_format */
    s->out->format = s->line.words >= 2 ? index_of(s->line.word[1], formats) : -1;
    return s->out->format >= 0 && word_is(&s->line, 2, "1.0") ? MR_OK : fail(s, "format ascii, binary_little_endian or binary_big_endian 1.0");
}

static int parse_element(scanner *s)
{
    if (s->line.words < 3 || s->out->element_count == MR_PLY_MAX_ELEMENTS) return fail(s, "element NAME COUNT, at most 16 of them");
    char *end;
    unsigned long long count = strtoull(s->line.word[2], &end, 10);
    if (*end || s->line.word[2][0] == '-' || count > (unsigned long long)MR_SCENE_MAX_TRIANGLES * 3) return fail(s, "a number of elements that fits");
    mr_ply_element *element = &s->out->element[s->out->element_count++];
    *element = (mr_ply_element){.count = (uint32_t)count};
    element->kind = word_is(&s->line, 1, "vertex") ? MR_PLY_VERTICES : word_is(&s->line, 1, "face") ? MR_PLY_FACES : MR_PLY_OTHER;
    return MR_OK;
}

static int parse_property(scanner *s)
{
    mr_ply_element *element = s->out->element_count ? &s->out->element[s->out->element_count - 1] : NULL;
    bool is_list = word_is(&s->line, 1, "list");
    if (!element || element->property_count == MR_PLY_MAX_PROPERTIES || s->line.words < (is_list ? 5 : 3)) return fail(s, "property TYPE NAME or property list TYPE TYPE NAME");
    int type = type_of(s->line.word[is_list ? 3 : 1]), count_type = is_list ? type_of(s->line.word[2]) : 0;
    if (type < 0 || count_type < 0 || (is_list && count_type >= MR_PLY_FLOAT)) return fail(s, "types such as uchar, int, float");
    int role = role_of(element, s->line.word[is_list ? 4 : 2], is_list);
    if (role != MR_PLY_IGNORED && element->roles >> role & 1) return fail(s, "each property once");
    element->property[element->property_count++] = (mr_ply_property){(uint8_t)type, (uint8_t)role, is_list, (uint8_t)count_type};
    element->roles |= 1u << role;
    element->least_bytes += s->out->format == MR_PLY_ASCII ? 2 : (uint32_t)mr_ply_type_bytes(is_list ? count_type : type);
    return MR_OK;
}

static int parse_line(scanner *s, bool *done)
{
    const line *l = &s->line;
    if (word_is(l, 0, "end_header")) *done = true;
    else if (word_is(l, 0, "format")) return parse_format(s);
    else if (word_is(l, 0, "element")) return parse_element(s);
    else if (word_is(l, 0, "property")) return parse_property(s);
    else if (l->words && !word_is(l, 0, "comment") && !word_is(l, 0, "obj_info")) return fail(s, "format, comment, element, property or end_header");
    return MR_OK;
}

int mr_ply_parse_header(mr_ply_header *header, const char *text, size_t size_bytes, size_t *data, const char *name, mr_error *err)
{
    scanner s = {.out = header, .at = text, .end = text + size_bytes, .name = name, .err = err};
    bool done = false;
    int status = MR_OK;
    *header = (mr_ply_header){.format = -1};
    if (!next_line(&s) || !word_is(&s.line, 0, "ply")) return mr_fail(err, MR_BAD_INPUT, "%s:1: found something else, expected a PLY file", name);
    while (!done && !status) {
        if (!next_line(&s)) return mr_fail(err, MR_BAD_INPUT, "%s:%u: found the end of the file in its header, expected end_header", name, s.line.number);
        status = parse_line(&s, &done);
    }
    if (!status && header->format < 0) status = mr_fail(err, MR_BAD_INPUT, "%s: found a header without a format line, expected one", name);
    *data = (size_t)(s.at - text);
    return status;
}
