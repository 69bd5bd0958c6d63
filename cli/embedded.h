/* An embedded cluster: the coordinator's server in this process, workers as child processes on this machine, ZeroMQ between them.
 *
 * The children speak over a socket file in a folder that only this user can enter, with keys made for this one cluster: the workers'
 * comes to them by an inherited descriptor and is on no disk and in no argument. They die with their parent, however it
 * ends; one that dies itself is replaced (a bounded number of times), and its tiles go to others. */
#ifndef CLI_EMBEDDED_H
#define CLI_EMBEDDED_H

#include "cli/progress.h"
#include "coordinator/server.h"
#include "tracer/film.h"
#include "tracer/pack.h"

typedef struct embedded embedded;
struct co_http;

/* What a cluster may be besides. */
typedef struct embedded_ways {
    int null;                  /* workers that trace nothing: see co_config */
    void (*slice)(void *user, const co_slice *slice); /* as in co_config; may be NULL */
    void *user;
    struct co_http *http;      /* looked at over HTTP; NULL: not. Borrowed until embedded_stop */
} embedded_ways;

/* Starts `workers` processes (>= 1) of `threads` tracer threads each. bar: where to report a replaced worker; may be NULL;
 * borrowed until embedded_stop. */
int embedded_start(embedded **out, unsigned workers, unsigned threads, progress *bar, mr_error *err);

/* The same in other ways; workers may be 0 here. */
int embedded_start_so(embedded **out, unsigned workers, unsigned threads, const embedded_ways *ways, progress *bar, mr_error *err);

/* So many workers from now on: others are started, or the last ones told to leave. Does not wait. */
int embedded_scale(embedded *e, unsigned workers, mr_error *err);
co_server *embedded_server(embedded *e);

/* Handles what is due, for at most some milliseconds. A cli_pump (cli/load.h): user is the embedded. MR_INTERRUPTED when *stop. */
int embedded_pump(void *user, mr_error *err);

/* Waits up to a few seconds until every worker has joined (and those told to leave have left). Not needed for a render, which takes them as they come. */
int embedded_wait_joined(embedded *e, mr_error *err);

/* How the next renders are to be done (NULL: the defaults); scene: its name in messages. Both borrowed. */
void embedded_set(embedded *e, const co_job_options *options, const char *scene);

/* Renders. *film stays valid until the next render or embedded_stop. */
int embedded_render(embedded *e, const mr_pack *pack, const mr_picture *picture, uint32_t tile, const mr_film **film,
                    co_job_status *status, mr_error *err);

uint64_t embedded_job(const embedded *e); /* the last render's */

/* Lays the pack where the workers look for it, so that it need not be sent to each. */
void embedded_share(embedded *e, const mr_pack *pack);

/* Ends the workers, waits for them, removes the folder, frees. NULL is fine. */
void embedded_stop(embedded *e);

#endif
