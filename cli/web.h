/* The options and the beginning of HTTP (coordinator/http.h), for the commands that have a coordinator in them. */
#ifndef CLI_WEB_H
#define CLI_WEB_H

#include "cli/cli.h"
#include "coordinator/http.h"

typedef struct web_options {
    const char *address; /* NULL: not given */
    const char *token;   /* a file; NULL: one is made */
    const char *names, *scenes;
} web_options;

/* The rows of the options, for a static web_options. */
#define CLI_HTTP_OPTIONS(web, usual)                                                                                                         \
    {"http", 0, ARG_TEXT, &(web).address, 0, 0, "HOST:PORT", "serve the page, the API and metrics there; off: not at all (default: " usual ")"}, \
    {"http-token", 0, ARG_TEXT, &(web).token, 0, 0, "FILE", "holds the token that changes over HTTP need (default: one is made, and logged)"},  \
    {"http-names", 0, ARG_TEXT, &(web).names, 0, 0, "NAME,...", "names with a dot by which browsers may reach it"}

/* The first line of a file, without the blanks behind it: the token that changes over HTTP need. MR_BAD_INPUT: there is none in it. */
int web_read_token(char token[CO_HTTP_TOKEN_MOST + 2], const char *path, mr_error *err);

/* Opens HTTP where the options say, or, when they say nothing, at `usual` (NULL: not at all); there it may fail, with a word in the log. takes_jobs: whether
 * pictures may be asked for over HTTP. *out is NULL without HTTP. */
int web_open(co_http **out, const web_options *web, const char *usual, int takes_jobs, mr_error *err);

/* Says where the page is, on the log with `user` (cli/log.h). The board is not told: the line has the token in it, when it was made. */
void web_say(co_http *http, const web_options *web, void *user);

#endif
