/* A client of a running coordinator: gives it a job over the wire and waits for the film (mobyray render --cluster), or does not wait (submit);
 * asks about jobs and ends them (status, cancel). */
#ifndef CO_CLIENT_H
#define CO_CLIENT_H

#include "coordinator/server.h"

typedef struct co_client_config {
    const char *endpoint;        /* tcp://HOST:PORT */
    const wire_keys *keys;       /* NULL: none; the coordinator then has none either. Borrowed */
    uint32_t connect_timeout_ms; /* no answer for so long: MR_FAILED "no coordinator at ..."; 0: the default */
    void (*progress)(void *user, const co_job_status *status); /* now and then; may be NULL */
    void *user;
    const volatile int *stop;    /* not 0: cancel the job and return MR_INTERRUPTED; may be NULL */
    co_job_options options;      /* of the job */
    const char *name;            /* of the job, for people and, detached, for its file; may be NULL */
    co_account_report *account;  /* out: where the threads' time went while the job was under way; NULL: not asked for */
    int no_film;                 /* the film is not fetched: for those who only measure */
    const char *scene;           /* as the command that replays a missing tile should name it; may be NULL */
} co_client_config;

/* Uploads the pack (unless the coordinator has it), submits the picture, waits, receives the film's sums. film: initialised here, free with
 * mr_film_free (no_film: not touched). status: the job's last. Survives a coordinator that restarts or a connection that breaks meanwhile by submitting again. */
int co_client_render(const co_client_config *config, const mr_pack *pack, const mr_picture *picture, uint32_t tile, mr_film *film,
                     co_job_status *status, mr_error *err);

/* Uploads the pack, submits the picture and returns when the coordinator has accepted it: the job goes on without us. */
int co_client_submit(const co_client_config *config, const mr_pack *pack, const mr_picture *picture, uint32_t tile, uint64_t *job, mr_error *err);

typedef struct co_listed_job {
    co_job_status status;
    mr_picture picture;
    char name[64], text[512]; /* text: the missing tiles of a job that failed; the file of a detached one that is done */
} co_listed_job;

/* Calls back for each job that the coordinator knows, in the order of their ids. Of the config: endpoint, keys, time-out. */
int co_client_jobs(const co_client_config *config, void (*each)(void *user, const co_listed_job *job), void *user, mr_error *err);
/* Where the threads' time went while a job was under way, or (0) since the coordinator started. */
int co_client_account(const co_client_config *config, uint64_t job, co_account_report *out, mr_error *err);

/* The cluster as a whole, and how many workers its coordinator wants (coordinator/desired.h). */
typedef struct co_cluster {
    uint64_t tiles_left;
    uint32_t workers, threads, busy, jobs; /* workers that take work, of them with something in hand; jobs that have not ended */
    uint32_t desired, min, max;
    double up_s, work_s, start_s;          /* since the coordinator started; worker-seconds that are left; a worker's start, as learnt. 0: not known */
    char reason[CO_DESIRED_TEXT];
} co_cluster;
int co_client_cluster(const co_client_config *config, co_cluster *out, mr_error *err);

/* MR_FAILED: no such job, or it has ended already, or it is not a client's. */
int co_client_cancel(const co_client_config *config, uint64_t job, mr_error *err);

/* MR_OK when a coordinator that speaks our protocol answers at that endpoint within timeout_ms (0: the default), MR_FAILED otherwise. keys: as above,
 * a worker's will do. Costs the coordinator one small message; used by `mobyray ping`, the containers' health check. */
int co_client_ping(const char *endpoint, const wire_keys *keys, uint32_t timeout_ms, mr_error *err);

#endif
