/* What the server's files share: server.c (jobs, the step), server_actions.c (what the scheduler wants done), server_workers.c and
 * server_clients.c (what each kind of peer says). */
#ifndef CO_SERVER_INTERNAL_H
#define CO_SERVER_INTERNAL_H

#include "coordinator/account.h"
#include "coordinator/board.h"
#include "coordinator/clock.h"
#include "coordinator/limits.h"
#include "coordinator/mailbox.h"
#include "coordinator/map.h"
#include "coordinator/router.h"
#include "coordinator/scheduler.h"
#include "coordinator/server.h"
#include "coordinator/spool.h"
#include "wire/sums.h"

/* A pack that a client sent, or sends. Owned by the server, shared by its jobs. */
typedef struct upload {
    struct upload *next;
    uint8_t hash[WIRE_HASH_BYTES];
    uint8_t *bytes;
    uint64_t size_bytes, received, asked; /* asked: up to where chunks were asked for */
    uint32_t peer;       /* who sends it */
    uint64_t heard_us;
    wire_submit submit;  /* what to do once it is here */
    mr_pack pack;        /* when complete: checked */
    int complete;
    uint32_t jobs;       /* that use it */
} upload;

typedef struct server_job {
    struct server_job *next;
    uint64_t id;
    const mr_pack *pack;
    upload *upload;      /* that pack's owner, or NULL: the submitter's */
    mr_picture picture;
    mr_film film;        /* its sums are the view's, when there is one */
    co_view *view;       /* for other threads; NULL without a board */
    uint32_t tile;       /* as asked for */
    char *output;        /* the owner's: see co_server_submit_to; NULL: none. Owned */
    struct {             /* in the film, and not on disk yet: see server_state.c */
        uint64_t records, tiles, samples, rays, bytes;
    } unsettled;
    int say_ended;       /* its end is still to be told */
    co_job_options options;
    co_spool *spool;     /* of a job that is verified: its results; NULL: none */
    int from_client, detached;
    char name[WIRE_MAX_NAME]; /* as its client says */
    uint8_t token[WIRE_TOKEN_BYTES];
    uint64_t heard_us;   /* of its client */
    uint64_t submitted_us;
} server_job;

typedef struct server_worker { /* what people want to know of a worker; the scheduler knows the rest */
    char name[WIRE_MAX_NAME], host[WIRE_MAX_NAME], kernel[WIRE_MAX_NAME];
    uint32_t peer, threads;
    int leaving;             /* it is sent home once it holds nothing */
} server_worker;

enum { FETCHER_REQUESTS = 2 * WIRE_CHUNK_WINDOW };

typedef struct chunk {
    uint64_t offset;
    uint32_t length;
} chunk;

typedef struct fetcher { /* a worker that wants a pack: server_packs.c */
    uint32_t peer;
    unsigned count;          /* of wanted */
    chunk wanted[FETCHER_REQUESTS];
    wire_need_pack last;     /* asked for */
    uint64_t turn_bytes, heard_us;
    int done;
} fetcher;

typedef struct co_state co_state;

enum { DOUBTS_MOST = 64 };

typedef struct doubt { /* a connection that seems to have broken */
    uint32_t peer;
    uint64_t until_us;
    int deaf; /* something could not be sent to it, so it is lost unless it has left */
} doubt;

typedef struct assignment { /* to be sent */
    co_action action;
    uint32_t number;         /* in the scheduler's order */
} assignment;

struct co_server {
    co_config config;
    co_router *router;
    co_scheduler *scheduler;
    co_desired desired;       /* server_desired.c */
    co_demand demand;         /* as it was asked for last */
    uint64_t wished_us, opened_us;
    co_account *account;      /* where the threads' time goes */
    server_job *jobs;
    upload *uploads;
    uint64_t upload_bytes;
    server_worker *workers;   /* by place_of_peer; workers[count..] unused */
    uint32_t worker_count, worker_capacity;
    co_map place_of_peer;
    fetcher *fetchers;        /* in line; the first few are served */
    uint32_t fetcher_count, fetcher_capacity;
    int chunks_wait;          /* the last step left some unsent */
    doubt doubts[DOUBTS_MOST];
    unsigned doubt_count;
    uint64_t strangers, strangers_us; /* turned away, as last logged, and when that was */
    uint64_t refused_versions, versions_us; /* hellos of workers of another version; when one was last logged */
    struct co_state *state;   /* NULL: none */
    uint64_t epoch;
    uint32_t lease_ms;
    int dismissed;
    uint32_t leaving;         /* workers to be sent home; some may be gone by themselves */
    wire_packer *packer;
    uint64_t *sums;           /* scratch: one message's */
    size_t sums_capacity;
    wire_job_status *past;    /* the last CO_PAST_MOST jobs that were concluded, oldest first, in a ring */
    uint32_t past_first, past_count;
    uint8_t *bytes;           /* scratch: one message's payload */
    size_t bytes_capacity;
    wire_message in, out;     /* the message being handled, and the one being built (assignments gather in it) */
    uint32_t assign_peer;     /* of the assignment in `out`; assign_count 0: none */
    assignment assignments[CO_ASSIGNMENTS_MOST];
    uint32_t assignment_count; /* 0 but within co_server_flush */
};

void co_server_log(co_server *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void co_server_warn(co_server *s, const char *format, ...) __attribute__((format(printf, 2, 3))); /* the same for what should not happen */
server_job *co_server_find(const co_server *s, uint64_t job);
uint64_t *co_server_sums(co_server *s, size_t count); /* scratch for count values, or NULL */
uint8_t *co_server_bytes(co_server *s, size_t size);  /* scratch for a message's payload, or NULL */

/* The pack of that hash from any job or complete upload, or NULL; with its owner. */
const mr_pack *co_server_find_pack(const co_server *s, const uint8_t hash[WIRE_HASH_BYTES], upload **owner);
/* Takes a new job back: it never was. */
void co_server_withdraw(co_server *s, server_job *j);
int co_server_add_job(co_server *s, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const co_job_options *options, server_job **out,
                      mr_error *err);
/* The rows of a run of bands: 1, or 0: no such unit. */
int co_server_part(const co_server *s, uint64_t job, uint32_t unit, uint16_t run, mr_tile *tile);

/* Adds the rows of `bands` to the film. tile: the unit's; sums: of rows of it from the picture's row y on; samples: of each pixel, less than 0 to take out
 * what was added (sums are negated then). */
void co_server_add_bands(server_job *j, const mr_tile *tile, uint16_t bands, uint32_t y, const uint64_t *sums, int32_t samples);
void co_server_add_sums(server_job *j, const mr_tile *tile, const uint64_t *sums, int32_t samples); /* all of a rectangle */

/* What the board is told (server_board.c). Without a board these do nothing. */
void co_server_show_job(co_server *s, const server_job *j);      /* as it is now, from its beginning on */
void co_server_show_assigned(co_server *s, const co_action *a, const mr_tile *tile);
void co_server_show_left(co_server *s, const co_action *a);
void co_server_show_result(co_server *s, uint32_t peer, const co_result *result, const mr_tile *tile, uint16_t bands);
void co_server_show_step(co_server *s, uint64_t now_us);
/* Requests of other threads. */
void co_server_read_mail(co_server *s, uint64_t now_us);
void co_server_dismiss_drained(co_server *s);
/* A job that came with a pack of its own: over HTTP. pack: taken over (and zeroed) when it succeeds. */
int co_server_take_job(co_server *s, uint64_t now_us, co_request *request, mr_error *err);

/* Jobs that are verified (server_verify.c). */
int co_verify_open(server_job *j, mr_error *err);
uint64_t co_verify_digest(const uint64_t *sums, size_t count);
/* Keeps a result as it came, so that it can be taken out of the film again; -1: no room. Then says which bands of it went in. */
int co_verify_keep(co_server *s, server_job *j, uint32_t peer);
void co_verify_kept(server_job *j, uint16_t bands);
void co_verify_withdraw(co_server *s, const co_action *a);
void co_verify_evict(co_server *s, const co_action *a);
void co_verify_distrust(co_server *s, const co_action *a);
void co_verify_agreed(co_server *s, const co_action *a);

/* Carries out the scheduler's actions, in order (server_actions.c). */
void co_server_flush(co_server *s);
void co_server_say_ended(co_server *s, server_job *j);
void co_server_error(co_server *s, uint32_t peer, uint32_t code, const char *text);
void co_server_forget_worker(co_server *s, uint32_t peer); /* its name and host */
void co_server_lose(co_server *s, uint32_t peer, int why);
/* It seems to be gone; what it has said before is read first. deaf: it did not get what it needs to know, and counts as lost then, if it has not left. */
void co_server_doubt(co_server *s, uint32_t peer, int deaf);

/* What a worker traced, for the account (server_account.c). bands: of `all`, those that were not in yet. */
void co_server_note_result(co_server *s, uint64_t now_us, uint32_t peer, const mr_tile *tile, uint16_t all, uint16_t bands, size_t frame_bytes);
void co_server_note_spent(co_server *s, uint64_t now_us, uint32_t peer);
/* How many workers are wanted (server_desired.c): looks again, when it is time to; tells a client. */
void co_server_wish(co_server *s, uint64_t now_us);
void co_server_send_cluster(co_server *s, uint64_t now_us, uint32_t peer);

void co_server_send_account(co_server *s, uint64_t now_us, uint32_t peer, uint64_t job);
uint64_t co_server_cpu_us(void); /* of this process */

/* Handles s->in. Returns 1 when the type is of its kind of peer. */
int co_server_worker_said(co_server *s, uint64_t now_us, uint32_t peer, size_t frame_bytes);
int co_server_client_said(co_server *s, uint64_t now_us, uint32_t peer);
const wire_job_status *co_server_past(const co_server *s, uint64_t job); /* of a job that is gone and still remembered; NULL: none */
void co_server_clients_tick(co_server *s, uint64_t now_us);
void co_server_drop_upload(co_server *s, upload *u); /* only while no job uses it */

/* Packs for workers. A chunk that is wanted is sent when it is its turn. */
void co_server_want_chunk(co_server *s, uint64_t now_us, uint32_t peer, const wire_need_pack *need);
void co_server_forget_fetcher(co_server *s, uint32_t peer);
int co_server_send_chunks(co_server *s, uint64_t now_us); /* a step's worth; 1: there is more */

#endif
