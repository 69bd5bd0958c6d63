/* What the server keeps on disk (co_config.state): its jobs and the tiles that are in. Every call is fine, and does nothing, without a state. */
#ifndef CO_SERVER_STATE_H
#define CO_SERVER_STATE_H

#include "coordinator/journal.h"
#include "coordinator/server_internal.h"

/* Opens the folder and takes up the jobs in it. See co_journal_open for errors. */
int co_state_open(co_server *s, mr_error *err);
void co_state_close(co_server *s); /* what can be made durable is; before any job is freed */

/* A new job; all its fields but the film are set. MR_FAILED: the journal is too far behind to take it. */
int co_state_job(co_server *s, server_job *j, mr_error *err);
/* The bands of a unit that were committed just now; of a job that is verified, as its worker's claim. tile: the unit's; sums: of the rows that s->in.result says, of which s->in.payload is the coded form. */
void co_state_result(co_server *s, server_job *j, const mr_tile *tile, uint16_t bands, const uint64_t *sums, const co_result *result);
/* What was found out about such bands, of a job that is verified. type: CO_RECORD_AGREED, CO_RECORD_WITHDRAWN, CO_RECORD_BANNED. */
void co_state_verdict(co_server *s, uint64_t job, uint8_t type, const co_record_verdict *verdict);
void co_state_cancelled(co_server *s, uint64_t job);
void co_state_gone(co_server *s, const server_job *j);

/* Whether a result can be taken: not when what waits for the disk would fill our memory. */
int co_state_has_room(const co_server *s);

/* Only what is on disk may be told to anyone. */
void co_state_mask(const server_job *j, co_job_status *status);

int co_state_fd(const co_server *s); /* readable when something has become durable */
int co_state_held(const co_server *s); /* whether the render waits for the disk */

/* Notices what has become durable, and trouble. MR_FAILED: the journal is lost. */
int co_state_tick(co_server *s, mr_error *err);

#endif
