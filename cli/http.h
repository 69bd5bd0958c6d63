/* A small HTTP client: Docker's socket, and the coordinator's API. One request at a time; no TLS, no proxy, no redirect.
 *
 * A base is http://HOST:PORT, tcp://HOST:PORT (the same) or unix:///PATH.sock. What comes back is bounded by HTTP_MAX_BODY. */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"

enum {
    HTTP_MAX_BODY = 32 << 20,  /* bytes of an answer: ten thousand containers, as an engine lists them */
    HTTP_CONNECT_MS = 2000     /* an engine and a coordinator are near, or they are not there */
};

typedef struct http_client http_client;

typedef struct http_answer {
    long code;   /* 200 ... */
    char *body;  /* ends with a 0 that is not counted; never NULL after MR_OK. Valid until the next call or http_close */
    size_t size;
} http_answer;

/* MR_USAGE: not a base. Connects with the first call. */
int http_open(http_client **out, const char *base, mr_error *err);
void http_close(http_client *client); /* NULL is fine */

/* Every request from now on says who we are: `Authorization: Bearer token`. MR_FAILED: no memory, or more than 400 characters. */
int http_authorize(http_client *client, const char *token, mr_error *err);

/* path: from the slash on, escaped. json: the request's body, or NULL: none. Any HTTP status is MR_OK; MR_FAILED: no answer, or one too large. A connection
 * that broke meanwhile is opened anew with the next call. */
int http_call(http_client *client, const char *method, const char *path, const char *json, uint32_t timeout_ms, http_answer *out, mr_error *err);

/* text with everything but letters, digits and -_.~ escaped; to be freed; NULL without memory. */
char *http_escape(const char *text);

#endif
