/* Join tokens: all that a machine needs to become a worker, in one word: `mobyray token` makes them, --join reads them.
 *
 *   mobyray-join-BASE64      BASE64: base64url without padding (RFC 4648) of
 *   version (1 byte: 1) | coordinator's public key (32) | worker's secret key (32) | endpoint (1 to 255 bytes) | sum (4)
 *
 * The sum is the first bytes of BLAKE2b over what stands before it: it tells a word that was cut off or mistyped from a good one, and guards against
 * nothing else. Whoever has the word may work for that coordinator, so it is a secret, as a worker's key file is. */
#ifndef CLI_JOIN_H
#define CLI_JOIN_H

#include <stddef.h>

#include "coordinator/guard.h"
#include "tracer/error.h"

/* The row of --join, for a static const char *. */
#define CLI_JOIN_OPTION(word)                                                                                                                  \
    {"join", 0, ARG_TEXT, &(word), 0, 0, "TOKEN", "what `mobyray token` printed, or the name (with a / in it) of a file that holds it: address and keys in one"}

enum { JOIN_ENDPOINT_MAX = 256, JOIN_TEXT_MAX = 512 };

typedef struct join_token {
    char endpoint[JOIN_ENDPOINT_MAX];
    wire_keys keys; /* wipe it with sodium_memzero */
} join_token;

/* Reads a token of size bytes; blanks around it are welcome. source stands in messages, which never show the token. MR_BAD_INPUT: it is none. */
int join_parse(join_token *out, const char *text, size_t size, const char *source, mr_error *err);

/* Prints one with its closing 0 byte; JOIN_TEXT_MAX bytes suffice. MR_USAGE: the endpoint is too long. */
int join_print(const join_token *token, char text[JOIN_TEXT_MAX], mr_error *err);

/* Reads what --join was given, a token or the name of a file with one. Of a token on the command line the argument itself is starred out, so
 * that it does not stand in every user's `ps` for the worker's whole life. */
int join_load(join_token *out, char *word, mr_error *err);

/* --join or --key, whichever was given (both: MR_USAGE; neither: *found is 0). endpoint: out, the token's, "" without one. keys: as keys_load. */
int join_or_keys(const char *word, const char *key, const char *const *roles, wire_keys *keys, int *found, char endpoint[JOIN_ENDPOINT_MAX], mr_error *err);

#endif
