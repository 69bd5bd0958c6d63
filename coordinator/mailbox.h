/* Requests of other threads to the server's thread: jobs to submit and to cancel, workers to send home.
 *
 * A request lies on its sender's stack; the sender waits until it has been answered, or takes it back when nobody has begun with it in time. So
 * the box holds no more than its senders, who are few and counted elsewhere. */
#ifndef CO_MAILBOX_H
#define CO_MAILBOX_H

#include "coordinator/server.h"
#include "wire/limits.h"

enum co_request_kind { CO_REQUEST_SUBMIT, CO_REQUEST_CANCEL, CO_REQUEST_DRAIN };

typedef struct co_request {
    int kind;                /* enum co_request_kind */
    mr_pack *pack;           /* SUBMIT: taken over (and zeroed) when it succeeds */
    mr_picture picture;
    uint32_t tile;
    co_job_options options;
    char name[WIRE_MAX_NAME];
    uint64_t job;            /* CANCEL; SUBMIT: out */
    uint32_t worker;         /* DRAIN: its number */
    int status;              /* out: enum mr_status; MR_BAD_INPUT: no such job or worker */
    mr_error err;            /* out, unless MR_OK */
    struct co_request *next; /* the box's */
    int state;               /* the box's */
} co_request;

typedef struct co_mailbox co_mailbox;

co_mailbox *co_mailbox_new(void); /* NULL: no memory, or no descriptor */
void co_mailbox_close(co_mailbox *box); /* nobody will answer any more: who waits is told so, and who comes */
void co_mailbox_free(co_mailbox *box);

/* Waits up to timeout_ms for the server to begin with it, and then until it is done. 0; -1: the server is busy, nothing has happened. */
int co_mailbox_ask(co_mailbox *box, co_request *request, uint32_t timeout_ms);

int co_mailbox_fd(const co_mailbox *box);       /* the server's: readable when something may be there */
co_request *co_mailbox_take(co_mailbox *box);   /* the server's: the next one, or NULL */
void co_mailbox_done(co_mailbox *box, co_request *request);

#endif
