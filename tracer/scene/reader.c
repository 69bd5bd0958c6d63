/* See reader.h. */
#include "tracer/scene/reader.h"

#include <cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/pack.h"
#include "tracer/scene/limits.h"

enum { PATH_MAX_BYTES = 400, FOUND_MAX_BYTES = 64 };

static const cJSON *json_of(const mr_node *node) { return node->json; }

/* ---- messages ---- */

static size_t append(char *text, size_t at, size_t room, const char *format, ...) __attribute__((format(printf, 4, 5)));

static size_t append(char *text, size_t at, size_t room, const char *format, ...)
{
    if (at >= room - 1) return at;
    va_list args;
    va_start(args, format);
    int wrote = vsnprintf(text + at, room - at, format, args);
    va_end(args);
    return wrote < 0 ? at : (size_t)wrote < room - at ? at + (size_t)wrote : room - 1;
}

/* Bounded by the depth of our own parser's nodes, not by the document's. */
static size_t write_path(const mr_node *node, char *path, size_t room)
{
    if (!node->parent) return 0;
    size_t at = write_path(node->parent, path, room);
    if (node->key) return append(path, at, room, "%s%.100s", at ? "." : "", node->key);
    return append(path, at, room, "[%u]", node->index);
}

static void describe(const cJSON *json, char found[FOUND_MAX_BYTES])
{
    if (!json) (void)snprintf(found, FOUND_MAX_BYTES, "nothing");
    else if (cJSON_IsString(json)) (void)snprintf(found, FOUND_MAX_BYTES, strlen(json->valuestring) > 40 ? "\"%.37s...\"" : "\"%s\"", json->valuestring);
    else if (cJSON_IsNumber(json)) (void)snprintf(found, FOUND_MAX_BYTES, "%.9g", json->valuedouble);
    else if (cJSON_IsArray(json)) (void)snprintf(found, FOUND_MAX_BYTES, "a list of %d", cJSON_GetArraySize(json));
    else (void)snprintf(found, FOUND_MAX_BYTES, "%s", cJSON_IsObject(json) ? "an object" : cJSON_IsNull(json) ? "null" : cJSON_IsTrue(json) ? "true" : "false");
}

int mr_reader_complain(mr_reader *reader, const mr_node *node, const char *message, ...)
{
    char path[PATH_MAX_BYTES] = "", text[512];
    if (reader->status) return reader->status;
    (void)write_path(node, path, sizeof path);
    va_list args;
    va_start(args, message);
    (void)vsnprintf(text, sizeof text, message, args);
    va_end(args);
    reader->status = MR_BAD_INPUT;
    return mr_fail(reader->err, MR_BAD_INPUT, "%s: %s%s%s", reader->file, path, path[0] ? ": " : "", text);
}

int mr_reader_fail(mr_reader *reader, const mr_node *node, const char *expected, ...)
{
    char found[FOUND_MAX_BYTES], text[400];
    if (reader->status) return reader->status;
    describe(json_of(node), found);
    va_list args;
    va_start(args, expected);
    (void)vsnprintf(text, sizeof text, expected, args);
    va_end(args);
    return mr_reader_complain(reader, node, "found %s, expected %s", found, text);
}

int mr_reader_no_memory(mr_reader *reader)
{
    if (!reader->status) reader->status = mr_fail(reader->err, MR_FAILED, "%s: no memory", reader->file);
    return reader->status;
}

/* ---- opening ---- */

static void line_and_column(const char *text, const char *at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (; text < at; text++) {
        if (*text == '\n') ++*line, *column = 1;
        else if (((unsigned char)*text & 0xC0) != 0x80) ++*column; /* UTF-8: count characters */
    }
}

/* cJSON stops before white space or at the start of what it cannot read: move to the first byte that matters. */
static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

static int fail_at(mr_reader *reader, const char *text, const char *at, const char *end, const char *what)
{
    size_t line, column;
    at = skip_space(at, end);
    line_and_column(text, at, &line, &column);
    if (at >= end) reader->status = mr_fail(reader->err, MR_BAD_INPUT, "%s:%zu:%zu: %s: found the end of the file", reader->file, line, column, what);
    else reader->status = mr_fail(reader->err, MR_BAD_INPUT, "%s:%zu:%zu: %s: found `%.*s`", reader->file, line, column, what,
                                  (int)strcspn(at, "\r\n") < 24 ? (int)strcspn(at, "\r\n") : 24, at);
    return reader->status;
}

/* Nesting is bounded before cJSON (which recurses) sees it; brackets in strings do not count. */
static const char *too_deep(const char *text, const char *end)
{
    int depth = 0;
    for (bool quoted = false; text < end; text++) {
        if (quoted && *text == '\\' && text + 1 < end) text++;
        else if (*text == '"') quoted = !quoted;
        else if (!quoted && (*text == '[' || *text == '{') && ++depth > MR_SCENE_MAX_DEPTH) return text;
        else if (!quoted && (*text == ']' || *text == '}')) depth--;
    }
    return NULL;
}

mr_node mr_reader_open(mr_reader *reader, const char *file, const char *text, size_t size_bytes, mr_arena *arena, mr_error *err)
{
    *reader = (mr_reader){.file = file, .arena = arena, .err = err};
    mr_node root = {0};
    const char *end = text + size_bytes, *nul = memchr(text, 0, size_bytes), *stop = text;
    const char *deep = too_deep(text, end);
    if (nul) {
        (void)fail_at(reader, text, nul, nul, "broken JSON (a NUL byte)");
    } else if (deep) {
        (void)fail_at(reader, text, deep, end, "JSON nested too deep");
    } else {
        reader->document = cJSON_ParseWithLengthOpts(text, size_bytes + 1, &stop, 1);
        root.json = reader->document;
        if (!root.json) (void)fail_at(reader, text, stop && stop >= text && stop <= end ? stop : end, end, "broken JSON");
        else if (!cJSON_IsObject((const cJSON *)root.json)) (void)mr_reader_fail(reader, &root, "an object");
    }
    return root;
}

void mr_reader_close(mr_reader *reader)
{
    cJSON_Delete(reader->document);
    reader->document = NULL;
}

/* ---- objects and lists ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void check_duplicates(mr_reader *reader, const mr_node *object)
{
    uint32_t count = mr_reader_count(reader, object), i = 0;
    const char **keys = reader->status || !count ? NULL : malloc(count * sizeof *keys);
    if (!keys) {
        if (count) (void)mr_reader_no_memory(reader);
        return;
    }
    for (const cJSON *c = json_of(object)->child; c && i < count; c = c->next) keys[i++] = c->string;
    qsort(keys, i, sizeof *keys, by_text);
    for (uint32_t k = 1; k < i; k++)
        if (!strcmp(keys[k - 1], keys[k])) (void)mr_reader_complain(reader, object, "found the key \"%.100s\" twice, expected it once", keys[k]);
    free(keys);
}

static bool is_allowed(const char *key, const char *const *allowed)
{
    for (; *allowed; allowed++)
        if (!strcmp(key, *allowed)) return true;
    return false;
}

static void complain_of_key(mr_reader *reader, const mr_node *object, const char *key, const char *const *allowed)
{
    char list[360] = "";
    for (size_t at = 0; *allowed; allowed++) at = append(list, at, sizeof list, "%s%s", at ? ", " : "", *allowed);
    (void)mr_reader_complain(reader, object, "found the unknown key \"%.100s\", expected one of: %s", key, list);
}

void mr_reader_keys(mr_reader *reader, const mr_node *object, const char *const *allowed)
{
    if (reader->status) return;
    if (!cJSON_IsObject(json_of(object))) {
        (void)mr_reader_fail(reader, object, "an object");
        return;
    }
    for (const cJSON *c = json_of(object)->child; c && allowed; c = c->next)
        if (!is_allowed(c->string, allowed)) complain_of_key(reader, object, c->string, allowed);
    check_duplicates(reader, object);
}

mr_node mr_reader_child(mr_reader *reader, const mr_node *object, const char *key)
{
    const cJSON *json = reader->status || !object->json ? NULL : cJSON_GetObjectItemCaseSensitive(json_of(object), key);
    return (mr_node){object, json, key, 0};
}

uint32_t mr_reader_count(mr_reader *reader, const mr_node *node)
{
    const cJSON *json = json_of(node);
    if (reader->status || !json) return 0;
    if (!cJSON_IsArray(json) && !cJSON_IsObject(json)) {
        (void)mr_reader_fail(reader, node, "a list or an object");
        return 0;
    }
    int count = cJSON_GetArraySize(json);
    if (count <= MR_SCENE_MAX_ITEMS * 8) return (uint32_t)count;
    (void)mr_reader_fail(reader, node, "at most %d entries", MR_SCENE_MAX_ITEMS * 8);
    return 0;
}

bool mr_reader_next(mr_reader *reader, const mr_node *list, mr_node *item)
{
    if (reader->status || !list->json) return false;
    bool first = !item->json;
    const cJSON *json = first ? json_of(list)->child : json_of(item)->next;
    *item = (mr_node){list, json, json && cJSON_IsObject(json_of(list)) ? json->string : NULL, first ? 0 : item->index + 1};
    return json != NULL;
}

bool mr_read_is_list(const mr_node *node) { return cJSON_IsArray(json_of(node)); }
bool mr_read_is_text(const mr_node *node) { return cJSON_IsString(json_of(node)); }
bool mr_read_is_number(const mr_node *node) { return cJSON_IsNumber(json_of(node)); }

/* ---- values ---- */

static double number_at(mr_reader *reader, const mr_node *node, double least, double most)
{
    const cJSON *json = json_of(node);
    if (cJSON_IsNumber(json) && json->valuedouble >= least && json->valuedouble <= most) return json->valuedouble;
    (void)mr_reader_fail(reader, node, "a number %g..%g", least, most);
    return least;
}

double mr_read_number(mr_reader *reader, const mr_node *object, const char *key, double fallback, double least, double most)
{
    mr_node node = mr_reader_child(reader, object, key);
    return node.json ? number_at(reader, &node, least, most) : fallback;
}

uint32_t mr_read_integer(mr_reader *reader, const mr_node *object, const char *key, uint32_t fallback, uint32_t least, uint32_t most)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return fallback;
    const cJSON *json = json_of(&node);
    if (cJSON_IsNumber(json) && json->valuedouble >= least && json->valuedouble <= most && json->valuedouble == floor(json->valuedouble))
        return (uint32_t)json->valuedouble;
    (void)mr_reader_fail(reader, &node, "a whole number %u..%u", least, most);
    return fallback;
}

bool mr_read_bool(mr_reader *reader, const mr_node *object, const char *key, bool fallback)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return fallback;
    if (!cJSON_IsBool(json_of(&node))) (void)mr_reader_fail(reader, &node, "true or false");
    return cJSON_IsTrue(json_of(&node));
}

const char *mr_read_text(mr_reader *reader, const mr_node *object, const char *key)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return NULL;
    const cJSON *json = json_of(&node);
    if (!cJSON_IsString(json) || !json->valuestring[0]) {
        (void)mr_reader_fail(reader, &node, "a text");
        return NULL;
    }
    const char *copy = mr_arena_text(reader->arena, json->valuestring);
    if (!copy) (void)mr_reader_no_memory(reader);
    return copy;
}

uint32_t mr_read_choice(mr_reader *reader, const mr_node *object, const char *key, const char *const *choices, uint32_t fallback)
{
    char list[200] = "";
    size_t at = 0;
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return fallback;
    for (uint32_t i = 0; choices[i]; i++) {
        if (cJSON_IsString(json_of(&node)) && !strcmp(json_of(&node)->valuestring, choices[i])) return i;
        at = append(list, at, sizeof list, "%s\"%s\"", at ? ", " : "", choices[i]);
    }
    (void)mr_reader_fail(reader, &node, "one of %s", list);
    return fallback;
}

void mr_read_list(mr_reader *reader, const mr_node *list, double *out, size_t count, double least, double most)
{
    mr_node item = {0};
    if (!cJSON_IsArray(json_of(list)) || mr_reader_count(reader, list) != count) {
        (void)mr_reader_fail(reader, list, "a list of %zu numbers", count);
        return;
    }
    while (mr_reader_next(reader, list, &item)) out[item.index] = number_at(reader, &item, least, most);
}

bool mr_read_numbers(mr_reader *reader, const mr_node *object, const char *key, double *out, size_t count, double least, double most)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (node.json) mr_read_list(reader, &node, out, count, least, most);
    return node.json != NULL;
}

/* Decodes sRGB (IEC 61966-2-1) to linear. */
static double srgb_decode(unsigned byte)
{
    double c = byte / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

static bool parse_hex_color(const char *text, double out[3])
{
    if (text[0] != '#' || strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6) return false;
    unsigned long value = strtoul(text + 1, NULL, 16);
    for (unsigned c = 0; c < 3; c++) out[c] = srgb_decode((unsigned)(value >> (16 - 8 * c)) & 255u);
    return true;
}

bool mr_read_color(mr_reader *reader, const mr_node *object, const char *key, double out[3], double most)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return false;
    if (cJSON_IsString(json_of(&node)) && parse_hex_color(json_of(&node)->valuestring, out)) return true;
    if (cJSON_IsArray(json_of(&node))) mr_read_list(reader, &node, out, 3, 0, most);
    else (void)mr_reader_fail(reader, &node, "a colour: [r, g, b] of linear numbers 0..%g or \"#rrggbb\"", most);
    return true;
}

void mr_read_need(mr_reader *reader, const mr_node *object, const char *key, const char *expected)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) (void)mr_reader_fail(reader, &node, "%s", expected);
}

/* ---- names ---- */

static int by_name(const void *a, const void *b) { return strcmp(((const struct mr_name *)a)->name, ((const struct mr_name *)b)->name); }

void mr_read_names(mr_reader *reader, const mr_node *map, mr_names *names)
{
    mr_node item = {0};
    uint32_t count = mr_reader_count(reader, map);
    if (map->json) mr_reader_keys(reader, map, NULL);
    if (count > MR_SCENE_MAX_ITEMS) (void)mr_reader_fail(reader, map, "at most %d entries", MR_SCENE_MAX_ITEMS);
    *names = (mr_names){.sorted = mr_arena_get(reader->arena, count, sizeof *names->sorted)};
    if (!names->sorted) (void)mr_reader_no_memory(reader);
    while (mr_reader_next(reader, map, &item)) {
        if (strlen(item.key) > MR_SCENE_MAX_NAME) (void)mr_reader_complain(reader, &item, "found a name of %zu bytes, expected at most %d", strlen(item.key), MR_SCENE_MAX_NAME);
        names->sorted[names->count++] = (struct mr_name){item.key, item.index};
    }
    qsort(names->sorted, names->count, sizeof *names->sorted, by_name);
}

uint32_t mr_read_name(mr_reader *reader, const mr_node *object, const char *key, const mr_names *names, const char *kind)
{
    mr_node node = mr_reader_child(reader, object, key);
    if (!node.json) return MR_NONE;
    if (!cJSON_IsString(json_of(&node))) {
        (void)mr_reader_fail(reader, &node, "the name of a %s", kind);
        return MR_NONE;
    }
    struct mr_name wanted = {json_of(&node)->valuestring, 0};
    const struct mr_name *found = names->count ? bsearch(&wanted, names->sorted, names->count, sizeof wanted, by_name) : NULL;
    if (!found) (void)mr_reader_fail(reader, &node, "the name of a %s of this scene", kind);
    return found ? found->index : MR_NONE;
}
