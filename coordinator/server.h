/* The coordinator's server: ZeroMQ on one side, the pure scheduler on the other.
 *
 * One thread owns a server and pumps it with co_server_step. Jobs are submitted by the owner (the command line) or, over the wire, by
 * clients (render --cluster). Nothing here prints: events go to the log callback. */
#ifndef CO_SERVER_H
#define CO_SERVER_H

#include <stdint.h>

#include "coordinator/account.h"
#include "coordinator/desired.h"
#include "coordinator/guard.h"
#include "tracer/error.h"
#include "tracer/film.h"
#include "tracer/pack.h"
#include "tracer/render.h"

typedef struct co_server co_server;
struct co_board;
struct co_mailbox;

typedef struct co_config {
    const char *endpoint;  /* tcp://HOST:PORT; PORT * takes a free one; ipc:// works too */
    const co_keys *keys;   /* NULL: whoever reaches the endpoint may work and submit. Borrowed for co_server_open only */
    const char *state;     /* a folder: jobs and results are kept there and survive a crash (coordinator/journal.h); NULL: in memory alone */
    uint32_t lease_ms;     /* a worker silent for so long is lost; 0: the default */
    co_scaling scaling;    /* how many workers to wish for; target_s 0: as by default, and nothing of it in the log */
    uint32_t verify_percent; /* at least this share of the tiles of every job is done twice and compared */
    int null_workers;      /* takes workers that trace nothing, and no others: to measure the coordinator itself; every picture is noise */
    void (*slice)(void *user, const co_slice *slice); /* what every thread did, as it becomes known; may be NULL */
    void *slice_user;
    void (*log)(void *user, const char *line); /* one event in plain words, without newline; may be NULL */
    void *user;
    struct co_board *board;     /* where to write what others may read (coordinator/board.h); NULL: nowhere. Borrowed */
    struct co_mailbox *mailbox; /* where others put requests (coordinator/mailbox.h); NULL: they cannot. Borrowed */
} co_config;

typedef struct co_job_options {
    uint32_t priority;       /* 0 .. WIRE_MAX_PRIORITY, greater is sooner */
    uint32_t verify_percent; /* of the tiles are done twice and compared: 0 .. 100 */
    uint64_t verify_secret;  /* which of them; 0: as the coordinator likes. A journal keeps it, so that a restart chooses the same */
} co_job_options;

enum co_job_state { CO_JOB_QUEUED, CO_JOB_RUNNING, CO_JOB_DONE, CO_JOB_FAILED, CO_JOB_CANCELLED };

typedef struct co_job_status {
    uint64_t id;
    int state;                       /* enum co_job_state */
    uint64_t tiles, tiles_done;      /* tiles: pieces of work, sample ranges counted apart */
    uint64_t tiles_redone;           /* assigned more than once: their worker was lost, or left */
    uint64_t verified;               /* done twice, and found the same */
    uint64_t tiles_distrusted;       /* taken back, as their worker had lied elsewhere */
    uint32_t priority, evicted;      /* evicted: workers found to lie */
    uint64_t samples_done, rays;     /* of accepted results */
    uint64_t result_bytes;           /* of accepted results, as they came over the wire */
    uint32_t workers, workers_seen, threads; /* connected now; ever in this job; threads of those connected now */
    double seconds;                  /* from submission to the last tile, or to now */
    double busy_seconds;             /* since the first tile was given out */
} co_job_status;

/* Binds, and goes on with what the state has. The endpoint or the state in use: MR_FAILED with "... in use"; a damaged state: MR_BAD_INPUT. */
int co_server_open(co_server **out, const co_config *config, mr_error *err);
void co_server_close(co_server *server);
const char *co_server_endpoint(const co_server *server); /* as bound, with the real port */

/* Queues a picture, with the default options. pack is borrowed until the job is forgotten or the server closed. tile: side in pixels, 0: chosen from the picture. */
int co_server_submit(co_server *server, const mr_pack *pack, const mr_picture *picture, uint32_t tile, uint64_t *job, mr_error *err);
/* The same with options (NULL: the defaults), and notes where the owner will put the picture, so that a later life of the coordinator knows. output: as the owner likes it. */
int co_server_submit_to(co_server *server, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const co_job_options *options, const char *output,
                        uint64_t *job, mr_error *err);
int co_server_cancel(co_server *server, uint64_t job);
void co_server_forget(co_server *server, uint64_t job); /* frees a job that has ended */

/* Handles what has come and what is due; waits at most timeout_ms for something to come. */
int co_server_step(co_server *server, int timeout_ms, mr_error *err);

int co_server_status(const co_server *server, uint64_t job, co_job_status *out); /* MR_FAILED: no such job */
const mr_film *co_server_film(const co_server *server, uint64_t job);            /* NULL: no such job; complete once CO_JOB_DONE */

/* A job that the owner submitted to a file, in this life or a former one. Pointers are valid until it is forgotten. */
typedef struct co_owned {
    uint64_t job;
    const char *output;
    const mr_pack *pack;
    mr_picture picture;
    uint32_t tile;
} co_owned;
/* The one with the least id > after: 1, or 0 when there is none. */
int co_server_owned(const co_server *server, uint64_t after, co_owned *out);
uint64_t co_server_next_job(const co_server *server, uint64_t after); /* ids in order; 0: no more */
uint32_t co_server_worker_count(const co_server *server);
uint64_t co_server_refused_versions(const co_server *server); /* how often a worker of another protocol version said hello, and was told so */

/* From now on these keys are let in and no others; workers and clients of keys that are not among them lose their place. Copied. Without keys: nothing. */
int co_server_allow(co_server *server, const wire_permit *permits, uint32_t count, mr_error *err);
/* Where the threads' time went while a job was under way (0: since the server was opened). MR_FAILED: no such job. */
/* How many workers are wanted, and why; what there is to do. As of the last step; all zero before the first. */
const co_desired *co_server_desired(const co_server *server);
const co_demand *co_server_demand(const co_server *server);

int co_server_account(const co_server *server, uint64_t job, co_account_report *out);

/* Tells every worker that there will be no more work (they exit) and waits up to timeout_ms for the messages to leave. */
void co_server_dismiss(co_server *server, int timeout_ms);

/* The command that replays a missing tile: scene, width, height, spp, seed, the tiles (of which one is to be taken). */
#define CO_REPLAY_FORMAT "mobyray render %s --size %ux%u --spp %u --seed %u --only-tile %s"

/* A job that a client gave and did not wait for. */
typedef struct co_detached {
    uint64_t job;
    const char *name;    /* as the client says: not to be trusted */
    const mr_pack *pack;
} co_detached;
/* The one with the least id > after that has ended: 1, or 0 when there is none. Its owner does what is to be done with the picture, and then ... */
int co_server_detached(const co_server *server, uint64_t after, co_detached *out);
/* ... forgets the job, but for its last status and a text (where the picture is), which clients may still ask for. */
void co_server_conclude(co_server *server, uint64_t job, const char *text);

/* Names up to `max` tiles that are not in, each as `mobyray render --only-tile` takes it: "x,y,width,height,first,count", with blanks between. */
void co_server_missing(const co_server *server, uint64_t job, char *text, size_t size, unsigned max);

#endif
