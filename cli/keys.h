/* Key files: what `mobyray keygen DIR` makes and --key reads.
 *
 *   DIR/coordinator/coordinator.key   the coordinator's pair            DIR/worker/worker.key   a worker's pair, and the coordinator's public key
 *   DIR/coordinator/allowed           who is let in, one key a line     DIR/client/client.key   the same for clients
 *
 * One folder a role, so that each can be given away, or mounted, alone. Files are text, keys hexadecimal. A secret key's file that others
 * may read, or that belongs to another user than ours or root, is refused. */
#ifndef CLI_KEYS_H
#define CLI_KEYS_H

#include <stddef.h>

#include "coordinator/guard.h"
#include "tracer/error.h"

/* The row of --key, for a static const char *. */
#define CLI_KEY_OPTION(path)                                                                                                                  \
    {"key", 0, ARG_TEXT, &(path), 0, 0, "PATH", "a key file, or the folder that `mobyray keygen` made (default: no keys)"}

/* Reads a worker's or client's keys. path: a key file, or a folder of keys; roles: which to look for there, in this order, NULL ends them; of a
 * file, too, the role must be among them. *out is to be wiped with sodium_memzero. path NULL: nothing is done and *found is 0. */
int keys_load(const char *path, const char *const *roles, wire_keys *out, int *found, mr_error *err);

/* A coordinator's keys and whom they let in; keys_wipe in any case. path as above. list: out, the file of those let in; may be NULL. */
enum { KEYS_PATH_MAX = 4096 };
int keys_load_coordinator(const char *path, co_keys *out, char list[KEYS_PATH_MAX], mr_error *err);
void keys_wipe(co_keys *keys);
int keys_load_list(const char *list, co_keys *out, mr_error *err); /* the permits alone, from that file */
int keys_load_public(const char *path, uint8_t open[WIRE_KEY_BYTES], mr_error *err); /* its public key alone, the rest checked */

/* Adds one to those a coordinator lets in; path as above. The list is complete at any moment. */
int keys_let_in(const char *path, const wire_permit *permit, mr_error *err);
int keys_check_name(const char *option, const char *name, mr_error *err); /* MR_USAGE: not one for a line of the list, or for a file */

/* Reads a secret of any kind; *text is malloc'd, to be wiped and freed. MR_BAD_INPUT: others may read the file, or it is another user's. */
int keys_read_secret(const char *path, char **text, size_t *size, mr_error *err);

/* Who may render (and, by its own key, the coordinator on its own machine); who may only ask whether anyone is there. */
extern const char *const keys_of_client[], *const keys_of_worker[], *const keys_of_anyone[];

/* A key file in memory: size bytes of text. name stands in messages. */
typedef struct key_file {
    char role[16];
    wire_keys keys; /* a coordinator's: keys.coordinator is its own */
} key_file;
int keys_parse(key_file *out, const char *text, size_t size, const char *name, mr_error *err);

/* A list of those let in; *permits is malloc'd. */
int keys_parse_allowed(wire_permit **permits, uint32_t *count, const char *text, size_t size, const char *name, mr_error *err);

/* A new pair. */
int keys_make(uint8_t open[WIRE_KEY_BYTES], uint8_t secret[WIRE_KEY_BYTES], mr_error *err);

/* The text of a key file; KEY_TEXT_MAX bytes suffice. Returns its length. */
enum { KEY_TEXT_MAX = 512 };
size_t keys_print(const key_file *file, char text[KEY_TEXT_MAX]);
void keys_print_permit(const wire_permit *permit, char *line, size_t size);

#endif
