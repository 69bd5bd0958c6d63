#include "cli/web.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "cli/load.h"
#include "cli/log.h"

int web_read_token(char token[CO_HTTP_TOKEN_MOST + 2], const char *path, mr_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file) return mr_fail(err, MR_BAD_INPUT, "--http-token %s: cannot be read: %s", path, strerror(errno));
    int read = fgets(token, CO_HTTP_TOKEN_MOST + 2, file) != NULL;
    (void)fclose(file);
    if (!read) return mr_fail(err, MR_BAD_INPUT, "--http-token %s: found nothing, expected a token in its first line", path);
    token[strcspn(token, " \t\r\n")] = 0;
    size_t length = strlen(token);
    if (length >= CO_HTTP_TOKEN_LEAST && length <= CO_HTTP_TOKEN_MOST) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "--http-token %s: found %zu characters in its first line, expected %d..%d without blanks", path, length, CO_HTTP_TOKEN_LEAST,
                   CO_HTTP_TOKEN_MOST);
}

int web_open(co_http **out, const web_options *web, const char *usual, int takes_jobs, mr_error *err)
{
    char token[CO_HTTP_TOKEN_MOST + 2];
    const char *address = web->address ? web->address : usual;
    *out = NULL;
    if (!address || !strcmp(address, "off")) return MR_OK;
    int status = web->token ? web_read_token(token, web->token, err) : MR_OK, in_use = 0;
    if (status != MR_OK) return status;
    const co_http_config config = {.address = address, .names = web->names, .token = web->token ? token : NULL, .scenes = web->scenes, .version = cli_version,
                                   .commit = cli_commit, .compile = takes_jobs ? cli_load_scene : NULL, .compile_sent = takes_jobs ? cli_load_sent : NULL};
    mr_error why;
    status = co_http_open(out, &config, &in_use, &why);
    sodium_memzero(token, sizeof token);
    if (status == MR_OK) return MR_OK;
    if (web->address) return mr_fail(err, status, "%s", why.text);
    return MR_OK; /* nobody asked for it: web_say tells */
}

void web_say(co_http *http, const web_options *web, void *user)
{
    char url[300], line[300 + CO_HTTP_TOKEN_MOST + 80];
    if (!http) {
        if (!web->address) log_line(user, "no page: 127.0.0.1:8080 is taken; --http HOST:PORT serves it elsewhere");
        return;
    }
    co_http_url(http, url, sizeof url);
    if (web->token) (void)snprintf(line, sizeof line, "the page is on %s", url);
    else (void)snprintf(line, sizeof line, "the page is on %s#token=%s", url, co_http_token(http));
    log_line(user, line);
    sodium_memzero(line, sizeof line);
}
