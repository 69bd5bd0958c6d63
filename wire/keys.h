/* Who may say what: keys and roles.
 *
 * Keys are Curve25519 points as ZeroMQ's CURVE takes them, 32 bytes each. A worker or client holds its own pair and knows its coordinator by
 * that one's public key; a coordinator knows those it lets in by theirs. The bytes come from key files (docs in wire/PROTOCOL.md, "Trust"). */
#ifndef WIRE_KEYS_H
#define WIRE_KEYS_H

#include <stdint.h>

#include "wire/limits.h"

enum { WIRE_KEY_BYTES = 32 };

/* Bits. What each may say stands beside the layout of the messages (wire/message.c). */
enum wire_role { WIRE_ROLE_WORKER = 1, WIRE_ROLE_CLIENT = 2, WIRE_ROLE_ANY = 3 };

typedef struct wire_keys { /* of a worker or a client */
    uint8_t open[WIRE_KEY_BYTES], secret[WIRE_KEY_BYTES];
    uint8_t coordinator[WIRE_KEY_BYTES]; /* its public key */
} wire_keys;

typedef struct wire_permit { /* one who is let in */
    uint8_t key[WIRE_KEY_BYTES]; /* public */
    uint8_t roles;               /* enum wire_role */
    uint8_t own;                 /* it is one worker's own: what is done with it was done by him. Otherwise many may hold it */
    char name[WIRE_MAX_NAME];    /* for the log */
} wire_permit;

#endif
