/* Every bound on what may come over the wire, in one place, with its reason. */
#ifndef WIRE_LIMITS_H
#define WIRE_LIMITS_H

enum {
    WIRE_VERSION = 3,
    WIRE_HEADER_BYTES = 4,       /* 'M' 'R' version type */
    WIRE_HASH_BYTES = 32,        /* BLAKE2b-256, a pack's name */
    WIRE_TOKEN_BYTES = 16,       /* a client's name for its own submission */
    WIRE_MAX_NAME = 64,          /* bytes with the terminator: names of workers, hosts, kernels; they end in logs */
    WIRE_MAX_TEXT = 512,         /* bytes with the terminator: messages for people */
    WIRE_MAX_THREADS = 4096,     /* of one worker; more is a mistake or a lie */
    WIRE_MAX_LIST = 256,         /* tiles in an ASSIGN, leases in a REVOKE or RETURN: a worker's credit goes in a few frames */
    WIRE_MAX_HEAD = 16384,       /* bytes of a message's fields; an ASSIGN of WIRE_MAX_LIST tiles is the longest (9.4 KiB) */
    WIRE_CHUNK_BYTES = 1 << 20,  /* of a pack: large enough to cost few messages, small enough not to keep a tile waiting long */
    WIRE_CHUNK_WINDOW = 8,       /* chunks asked for and not yet come: hides the round trip and bounds what a sender must queue */
    WIRE_SPENT_KINDS = 8,        /* in an ACCOUNT: see coordinator/account.h */
    WIRE_LATENCY_BINS = 128,     /* in an ACCOUNT: eight an octave, from 64 us to 4 s */
    WIRE_MAX_PRIORITY = 9,       /* of a job; a person tells ten steps apart */
    WIRE_MAX_SIDE = 1 << 15,     /* pixels of a picture */
    WIRE_MAX_VALUES = 3 << 20,   /* sums in one message: a tile of 1024 x 1024 */
    WIRE_MAX_FRAME = 32 << 20    /* bytes: WIRE_MAX_VALUES of 8 bytes, and the fields; also the socket's own limit */
};

#define WIRE_MAX_PACK_BYTES (UINT64_C(1) << 36) /* 64 GiB: beyond any machine we know; memory refuses earlier */

#endif
