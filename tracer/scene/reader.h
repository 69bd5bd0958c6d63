/* A typed reader over cJSON: every value is asked for by key, type and range, and whatever is wrong ends in one message with file and JSON path,
 * `scene.json: materials.vinyl.roughness: found "x", expected a number 0..1`.
 *
 * The reader keeps the first error: once status is not MR_OK every getter returns its fallback at once, so that a parser reads straight on and
 * looks at the status at its end. A mr_node is a place in the document; nodes live on the stack, each points to its parent, and from that
 * chain the path is written when it is needed. An absent value has json == NULL. */
#ifndef MR_SCENE_READER_H
#define MR_SCENE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"
#include "tracer/scene/arena.h"

typedef struct mr_reader {
    const char *file; /* as the user named it */
    mr_arena *arena;
    mr_error *err;
    int status;
    void *document; /* cJSON */
} mr_reader;

typedef struct mr_node {
    const struct mr_node *parent; /* NULL: the document's root */
    const void *json;             /* cJSON, or NULL: absent */
    const char *key;              /* NULL: an element of a list */
    uint32_t index;
} mr_node;

/* Names of one kind of thing, sorted for look-up. */
typedef struct mr_names {
    struct mr_name {
        const char *name;
        uint32_t index;
    } *sorted;
    uint32_t count;
} mr_names;

/* Parses text (with a NUL beyond its size_bytes) and gives the root, which must be an object. Broken JSON is reported with line and column.
 * End with mr_reader_close. */
mr_node mr_reader_open(mr_reader *reader, const char *file, const char *text, size_t size_bytes, mr_arena *arena, mr_error *err);
void mr_reader_close(mr_reader *reader);

/* Reports what is at the node against what was expected. Always returns the reader's status. */
int mr_reader_fail(mr_reader *reader, const mr_node *node, const char *expected, ...) __attribute__((format(printf, 3, 4)));

/* Reports a fault that is not one of type: `file: path: message`. */
int mr_reader_complain(mr_reader *reader, const mr_node *node, const char *message, ...) __attribute__((format(printf, 3, 4)));

/* No memory. */
int mr_reader_no_memory(mr_reader *reader);

/* The object must be one, must have no other keys than these (NULL-terminated; NULL: any) and none twice. */
void mr_reader_keys(mr_reader *reader, const mr_node *object, const char *const *allowed);

mr_node mr_reader_child(mr_reader *reader, const mr_node *object, const char *key);
uint32_t mr_reader_count(mr_reader *reader, const mr_node *node); /* members or elements; 0 when absent; neither list nor object: an error */

/* Walks the members of an object or the elements of a list: start with json == NULL in *item; false at the end. */
bool mr_reader_next(mr_reader *reader, const mr_node *list, mr_node *item);

bool mr_read_is_list(const mr_node *node);
bool mr_read_is_text(const mr_node *node);
bool mr_read_is_number(const mr_node *node);

/* Values of an object by key; the fallback when absent. Limits are inclusive. */
double mr_read_number(mr_reader *reader, const mr_node *object, const char *key, double fallback, double least, double most);
uint32_t mr_read_integer(mr_reader *reader, const mr_node *object, const char *key, uint32_t fallback, uint32_t least, uint32_t most);
bool mr_read_bool(mr_reader *reader, const mr_node *object, const char *key, bool fallback);
const char *mr_read_text(mr_reader *reader, const mr_node *object, const char *key); /* a copy in the arena; NULL when absent */
uint32_t mr_read_choice(mr_reader *reader, const mr_node *object, const char *key, const char *const *choices, uint32_t fallback);
uint32_t mr_read_name(mr_reader *reader, const mr_node *object, const char *key, const mr_names *names, const char *kind); /* MR_NONE when absent */

/* A list of exactly `count` numbers; false and out untouched when absent. */
bool mr_read_numbers(mr_reader *reader, const mr_node *object, const char *key, double *out, size_t count, double least, double most);
void mr_read_list(mr_reader *reader, const mr_node *list, double *out, size_t count, double least, double most);

/* A colour: [r, g, b] linear, 0..most, or "#rrggbb" in sRGB; false and out untouched when absent. */
bool mr_read_color(mr_reader *reader, const mr_node *object, const char *key, double out[3], double most);

/* The value must be there. */
void mr_read_need(mr_reader *reader, const mr_node *object, const char *key, const char *expected);

/* The names of a map's members, for mr_read_name. An absent map has none. */
void mr_read_names(mr_reader *reader, const mr_node *map, mr_names *names);

#endif
