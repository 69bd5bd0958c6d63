/* The messages between a coordinator, its workers and its clients. wire/PROTOCOL.md says who sends what when.
 *
 * A message is one ZeroMQ frame: a header of 4 bytes, the fields of its type, and for some types a payload (bytes of a pack, sums of
 * a tile) that is the rest of the frame. Structs here are plain copies; the payload points into the frame. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "wire/keys.h"
#include "wire/limits.h"

/* Values are part of the protocol: never reuse one. HELLO and ERROR keep their layout in every version, so that
 * two versions can still tell each other why they do not talk. */
enum wire_type {
    WIRE_HELLO = 1,        /* worker: here I am */
    WIRE_WELCOME = 2,      /* coordinator: you are worker N */
    WIRE_WHO = 3,          /* coordinator: I do not know you, say hello (again) */
    WIRE_PING = 4,         /* anyone: heartbeat */
    WIRE_PONG = 5,         /* coordinator: its answer */
    WIRE_ASSIGN = 6,       /* coordinator: trace these tiles */
    WIRE_REVOKE = 7,       /* coordinator: these are no longer wanted */
    WIRE_FORGET = 8,       /* coordinator: a job has ended, drop all of it */
    WIRE_RETURN = 9,       /* worker: these I have not begun and will not */
    WIRE_RESULT = 10,      /* worker: a tile's sums. Payload */
    WIRE_TILE_FAILED = 11, /* worker: a tile could not be traced */
    WIRE_DRAIN = 12,       /* worker: give me no more, I am about to leave */
    WIRE_GOODBYE = 13,     /* worker: I leave now */
    WIRE_DISMISS = 14,     /* coordinator: there will be no more work, leave */
    WIRE_ERROR = 15,       /* anyone: what you asked cannot be, and why */
    WIRE_NEED_PACK = 16,   /* whoever lacks a pack: send me these bytes of it */
    WIRE_PACK_CHUNK = 17,  /* the other: here they are. Payload */
    WIRE_SUBMIT = 18,      /* client: render this picture */
    WIRE_ACCEPTED = 19,    /* coordinator: it is job N */
    WIRE_STATUS = 20,      /* client: how far is job N? */
    WIRE_JOB_STATUS = 21,  /* coordinator */
    WIRE_NEED_FILM = 22,   /* client: send me these rows */
    WIRE_FILM_ROWS = 23,   /* coordinator. Payload */
    WIRE_CANCEL = 24,      /* client: stop job N */
    WIRE_RELEASE = 25,     /* client: I have all I want of job N */
    WIRE_NEXT_JOB = 26,    /* client: which job has the least number greater than N? JOB_STATUS, or ERROR NO_JOB */
    WIRE_SPENT = 27,       /* worker: this was traced for nothing: it was told to stop in the midst of it */
    WIRE_NEED_ACCOUNT = 28, /* client: where did the threads' time go while job N was under way? 0: since the coordinator started */
    WIRE_ACCOUNT = 29,     /* coordinator: its answer */
    WIRE_NEED_CLUSTER = 30, /* client: how is the cluster, and how many workers are wanted? */
    WIRE_CLUSTER = 31,     /* coordinator: its answer */
    WIRE_TYPE_END
};

enum wire_error_code {
    WIRE_ERROR_VERSION = 1, /* another protocol version; there is no point in trying again */
    WIRE_ERROR_REFUSED = 2, /* understood and refused: a bad number, no room */
    WIRE_ERROR_NO_JOB = 3,
    WIRE_ERROR_BAD_PACK = 4
};

enum { WIRE_CAP_NULL = 1 }; /* caps: this worker traces nothing and returns noise; only a coordinator that measures itself takes it */

enum { WIRE_SUBMIT_DETACHED = 1 }; /* flags: the job outlives its client's silence */

typedef struct wire_hello {
    uint64_t incarnation; /* random, for the life of the process: a worker that comes back replaces its former self */
    uint32_t threads;     /* 1 .. WIRE_MAX_THREADS */
    uint32_t caps;        /* WIRE_CAP_...; other bits are for later versions of the same protocol */
    char name[WIRE_MAX_NAME], host[WIRE_MAX_NAME], kernel[WIRE_MAX_NAME];
} wire_hello;

typedef struct wire_welcome {
    uint64_t epoch;        /* of the coordinator's jobs: results of another epoch mean nothing to it */
    uint32_t worker;       /* number, from 1 */
    uint32_t heartbeat_ms; /* how often to ping at least */
    uint32_t lease_ms;     /* silent for so long, a worker counts as lost */
} wire_welcome;

typedef struct wire_ping {
    uint64_t token;        /* comes back in the PONG */
    uint32_t worker;       /* its number; 0: not a worker, only asking whether anyone is there */
    uint32_t rtt_us;       /* of the last ping, 0: not known yet */
    uint32_t queued, running; /* tiles not begun, tiles being traced */
} wire_ping;

typedef struct wire_pong {
    uint64_t token;
} wire_pong;

typedef struct wire_picture {
    uint32_t width, height, spp, seed;
} wire_picture;

typedef struct wire_unit {
    uint64_t lease; /* of this assignment, to be given back with the result */
    uint32_t unit;  /* index in the job */
    uint32_t x, y, width, height, first_sample, sample_count;
} wire_unit;

/* A job's description comes with every assignment: 76 bytes, and no state to lose. */
typedef struct wire_assign {
    uint64_t job;
    uint64_t pack_bytes;
    uint8_t pack[WIRE_HASH_BYTES];
    wire_picture picture;
    uint16_t count;
    wire_unit units[WIRE_MAX_LIST];
} wire_assign;

typedef struct wire_leases { /* REVOKE, RETURN */
    uint8_t running;         /* REVOKE: also those being traced (their result is in); 0: only those not begun */
    uint16_t count;
    uint64_t lease[WIRE_MAX_LIST];
} wire_leases;

typedef struct wire_job { /* FORGET, ACCEPTED, STATUS, CANCEL, RELEASE, NEXT_JOB, NEED_ACCOUNT */
    uint64_t job;
} wire_job;

typedef struct wire_result { /* payload: wire/sums.h, width x height x 3 values */
    uint64_t epoch, job, lease;
    uint32_t unit;
    uint64_t paths, rays;
    uint64_t micros; /* spent on tracing it */
    uint32_t y, height; /* the rows traced, as the assignment said: a unit may be given out in parts */
    uint32_t thread;     /* of the worker, from 0: it traced this */
    uint64_t began_us;   /* by the worker's clock, as the token of its PING */
    uint64_t cpu_micros; /* of `micros`, so much the thread was running; the rest it waited for a core */
} wire_result;

typedef struct wire_spent {
    uint64_t epoch, job, lease;
    uint32_t thread;
    uint64_t began_us, micros, cpu_micros; /* as in a RESULT */
} wire_spent;

typedef struct wire_account { /* see co_account_report in coordinator/account.h; times in microseconds */
    uint64_t job;
    uint64_t wall, present, spent[WIRE_SPENT_KINDS];
    uint64_t first_tile, cpu;
    uint64_t tiles, rays, bytes_in, bytes_out, pack_bytes;
    uint64_t join, join_most, drain, drain_most;
    uint32_t joins, starts, drains, losses, workers, threads;
    uint32_t latency[WIRE_LATENCY_BINS];
} wire_account;

typedef struct wire_tile_failed {
    uint64_t epoch, job, lease;
    uint32_t unit;
    char text[WIRE_MAX_TEXT];
} wire_tile_failed;

typedef struct wire_error {
    uint32_t code; /* enum wire_error_code */
    char text[WIRE_MAX_TEXT];
} wire_error;

typedef struct wire_need_pack {
    uint8_t pack[WIRE_HASH_BYTES];
    uint64_t offset;
    uint32_t length; /* 1 .. WIRE_CHUNK_BYTES */
} wire_need_pack;

typedef struct wire_pack_chunk { /* payload: 1 .. WIRE_CHUNK_BYTES bytes */
    uint8_t pack[WIRE_HASH_BYTES];
    uint64_t offset;
} wire_pack_chunk;

typedef struct wire_submit {
    uint8_t token[WIRE_TOKEN_BYTES]; /* random: the same submission sent again is the same job */
    uint8_t pack[WIRE_HASH_BYTES];
    uint64_t pack_bytes;
    wire_picture picture;
    uint32_t tile;     /* side in pixels, 0: the coordinator chooses */
    uint32_t priority; /* 0 .. WIRE_MAX_PRIORITY: greater is sooner */
    uint32_t flags;    /* WIRE_SUBMIT_... */
    uint32_t verify;   /* per cent of the tiles to be done twice and compared, 0 .. 100 */
    char name[WIRE_MAX_NAME]; /* for people, and for the file of a detached job's picture; may be empty */
} wire_submit;

typedef struct wire_job_status {
    uint64_t job;
    uint32_t state;
    uint64_t tiles, tiles_done, tiles_redone, samples_done, rays, result_bytes;
    uint32_t workers, workers_seen, threads;
    uint64_t micros, busy_micros;
    wire_picture picture;
    uint32_t priority, evicted; /* evicted: workers that returned wrong tiles */
    uint64_t verified;          /* tiles done twice that agreed */
    char name[WIRE_MAX_NAME];
    char text[WIRE_MAX_TEXT]; /* of a job that failed: the missing tiles; of a detached one that is done: its picture's file */
} wire_job_status;

typedef struct wire_cluster { /* see co_desired and co_demand in coordinator/desired.h */
    uint64_t epoch, up_ms, tiles_left;
    uint64_t work_ms;             /* that one worker would need for what is left; 0: not known */
    uint32_t workers, threads, busy, jobs;
    uint32_t desired, min, max;
    uint32_t start_ms;            /* from a wish to a worker that joined; 0: not known */
    char reason[WIRE_MAX_TEXT];
} wire_cluster;

typedef struct wire_rows { /* NEED_FILM, FILM_ROWS; payload of the latter: wire/sums.h, width x rows x 3 values */
    uint64_t job;
    uint32_t first_row, rows;
} wire_rows;

typedef struct wire_message {
    uint8_t version; /* as received; WIRE_VERSION when sent */
    uint8_t type;    /* enum wire_type */
    union {
        wire_hello hello;
        wire_welcome welcome;
        wire_ping ping;
        wire_pong pong;
        wire_assign assign;
        wire_leases leases;
        wire_job job;
        wire_result result;
        wire_tile_failed failed;
        wire_error error;
        wire_need_pack need;
        wire_pack_chunk chunk;
        wire_submit submit;
        wire_job_status status;
        wire_rows rows;
        wire_spent spent;
        wire_account account;
        wire_cluster cluster;
    };
    const uint8_t *payload; /* decoded: into the frame; not looked at by wire_encode */
    size_t payload_bytes;
} wire_message;

/* Writes header and fields (the payload follows them, written by the caller). Returns the bytes written, 0 when they do not fit into
 * capacity (WIRE_MAX_HEAD is always enough) or a field is out of its bounds. */
size_t wire_encode(const wire_message *message, uint8_t *bytes, size_t capacity);

enum wire_verdict {
    WIRE_OK = 0,
    WIRE_MALFORMED,    /* not ours, too short, too long, or a number out of bounds: drop it */
    WIRE_OTHER_VERSION /* the header is ours, the version is not; out->version tells. HELLO and ERROR of any version decode as WIRE_OK */
};

/* Reads a frame from anyone. On WIRE_OK every field is within its bounds and payload_bytes is what the type allows; what a number refers to
 * (job, lease, offset) is for the caller to check. */
int wire_decode(wire_message *out, const void *bytes, size_t size_bytes);

/* Whose key entitles to send this type to a coordinator: enum wire_role, in bits; 0: nobody's, it is for the coordinator to say. */
unsigned wire_type_from(unsigned type);

/* "HELLO" ... for logs and tests; "?" for others. */
const char *wire_type_name(unsigned type);

#endif
