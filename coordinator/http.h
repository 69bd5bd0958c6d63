/* The coordinator over HTTP: the page, the API (docs/API.md), metrics. Built on libmicrohttpd, one thread a connection; all of them read the board
 * (coordinator/board.h) and put requests into the mailbox (coordinator/mailbox.h), and never touch the server. So a slow or vanished browser costs the render
 * nothing: a stream that falls behind gets a fresh snapshot instead of what it has missed, and every queue has an end.
 *
 * Who reaches the address may read; changing something takes the token. */
#ifndef CO_HTTP_H
#define CO_HTTP_H

#include "coordinator/board.h"
#include "coordinator/mailbox.h"

typedef struct co_http co_http;

typedef struct co_http_config {
    const char *address;          /* HOST:PORT; port 0 takes a free one */
    const char *names;            /* by which we are called besides those of co_http_host_is_ours, with commas; may be NULL */
    const char *token;            /* CO_HTTP_TOKEN_LEAST characters at least; NULL: one is made */
    const char *scenes;           /* the folder of scenes that may be asked for by name; NULL: none */
    const char *version, *commit; /* of the program */
    /* Compile a scene of the folder, and what was sent (which may refer to no other file), in the calling thread. NULL, both: no jobs are taken. */
    int (*compile)(mr_pack *pack, const char *path, mr_error *err);
    int (*compile_sent)(mr_pack *pack, const char *path, mr_error *err);
} co_http_config;

/* Binds and begins to serve; until a server writes on its board it is not ready. All texts are copied but version and commit. MR_USAGE: not an address;
 * MR_FAILED: it cannot be listened on (*in_use, which may be NULL: because someone else does). */
int co_http_open(co_http **out, const co_http_config *config, int *in_use, mr_error *err);
/* After the server. Ends all streams; whoever waits for the server is told that it is gone. What is being compiled is waited for. NULL is fine. */
void co_http_close(co_http *http);

co_board *co_http_board(co_http *http);       /* NULL for NULL */
co_mailbox *co_http_mailbox(co_http *http);   /* NULL for NULL */
const char *co_http_token(const co_http *http);
void co_http_url(const co_http *http, char *url, size_t size); /* http://HOST:PORT/ with the real port; "localhost" when all addresses are listened on */

#endif
