/* A small HTTP client over libcurl: see cli/http.h. */
#include "cli/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_client {
    CURL *curl;
    struct curl_slist *headers;
    char url[256];      /* of the base, without a slash at its end */
    char name[256];     /* the base, for messages */
    char error[CURL_ERROR_SIZE];
    http_answer answer;
    size_t capacity;
    int too_large;
};

static size_t take(char *bytes, size_t one, size_t count, void *user)
{
    http_client *c = user;
    http_answer *a = &c->answer;
    size_t size = one * count;
    if (size > HTTP_MAX_BODY - a->size) {
        c->too_large = 1;
        return 0;
    }
    if (a->size + size + 1 > c->capacity) {
        size_t capacity = 2 * (a->size + size + 1);
        char *grown = realloc(a->body, capacity);
        if (!grown) return 0;
        a->body = grown;
        c->capacity = capacity;
    }
    memcpy(a->body + a->size, bytes, size);
    a->size += size;
    a->body[a->size] = 0;
    return size;
}

/* Where the base leads, for curl. */
static int set_base(http_client *c, const char *base, mr_error *err)
{
    const char *rest = strstr(base, "://");
    size_t scheme = rest ? (size_t)(rest - base) : 0;
    (void)snprintf(c->name, sizeof c->name, "%s", base);
    if (scheme == 4 && !strncmp(base, "unix", 4) && rest[3] == '/' && strlen(rest + 3) < 108) { /* sun_path */
        (void)snprintf(c->url, sizeof c->url, "http://localhost");
        return curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, rest + 3) ? mr_fail(err, MR_FAILED, "%s: this libcurl knows no Unix sockets", base) : MR_OK;
    }
    int http = (scheme == 4 && !strncmp(base, "http", 4)) || (scheme == 3 && !strncmp(base, "tcp", 3));
    if (!http || !rest[3] || strlen(rest) > 200 || strpbrk(rest + 3, " @\"\\"))
        return mr_fail(err, MR_USAGE, "'%s' is no address: expected http://HOST:PORT or unix:///PATH.sock", base);
    int length = snprintf(c->url, sizeof c->url, "http%s", rest);
    while (length > 0 && c->url[length - 1] == '/') c->url[--length] = 0;
    return MR_OK;
}

static void settings(http_client *c)
{
    c->headers = curl_slist_append(NULL, "Content-Type: application/json");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
    (void)curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "mobyray");
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
}

static CURLcode begun;

static void begin(void) { begun = curl_global_init(CURL_GLOBAL_DEFAULT); }

/* Containers are started by several threads, each with a client of its own. */
int http_open(http_client **out, const char *base, mr_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, begin) || begun) return mr_fail(err, MR_FAILED, "libcurl cannot start");
    http_client *c = calloc(1, sizeof *c);
    if (c) c->curl = curl_easy_init();
    if (!c || !c->curl) {
        free(c);
        return mr_fail(err, MR_FAILED, "no memory for a client");
    }
    int status = set_base(c, base, err);
    settings(c);
    if (status) http_close(c);
    else *out = c;
    return status;
}

void http_close(http_client *c)
{
    if (!c) return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    free(c->answer.body);
    free(c);
}

int http_authorize(http_client *c, const char *token, mr_error *err)
{
    char line[512];
    int fits = snprintf(line, sizeof line, "Authorization: Bearer %s", token) < (int)sizeof line;
    struct curl_slist *grown = fits ? curl_slist_append(c->headers, line) : NULL;
    if (!grown) return mr_fail(err, MR_FAILED, fits ? "out of memory" : "a token of more than 400 characters");
    c->headers = grown;
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, grown);
    return MR_OK;
}

/* Nobody answered. Of a Unix socket libcurl would say that it cannot connect to localhost, port 80. */
static int no_answer(http_client *c, CURLcode code, mr_error *err)
{
    long number = 0;
    if (code == CURLE_COULDNT_CONNECT && !strncmp(c->name, "unix:", 5) && !curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number))
        return mr_fail(err, MR_FAILED, "%s: cannot be connected to: %s", c->name, number ? strerror((int)number) : "nobody listens");
    return mr_fail(err, MR_FAILED, "%s: %s", c->name, c->error[0] ? c->error : curl_easy_strerror(code));
}

int http_call(http_client *c, const char *method, const char *path, const char *json, uint32_t timeout_ms, http_answer *out, mr_error *err)
{
    char url[4096];
    if (snprintf(url, sizeof url, "%s%s", c->url, path) >= (int)sizeof url) return mr_fail(err, MR_FAILED, "%s: the request is too long", c->name);
    c->answer.size = 0;
    c->too_large = 0;
    c->error[0] = 0;
    (void)take("", 1, 0, c); /* an empty body is one, too */
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    int body = json || !strcmp(method, "POST") || !strcmp(method, "PUT");
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    if (body) (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, json ? json : "");
    if (body) (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, json ? (long)strlen(json) : 0L);
    (void)curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(c->curl);
    if (c->too_large) return mr_fail(err, MR_FAILED, "%s: an answer of more than %d MiB to %s %s", c->name, HTTP_MAX_BODY >> 20, method, path);
    if (code) return no_answer(c, code, err);
    if (!c->answer.body) return mr_fail(err, MR_FAILED, "no memory for an answer");
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->answer.code);
    *out = c->answer;
    return MR_OK;
}

char *http_escape(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *escaped = malloc(3 * strlen(text) + 1), *at = escaped;
    for (; escaped && *text; text++) {
        unsigned char c = (unsigned char)*text;
        int plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) *at++ = (char)c;
        else *at++ = '%', *at++ = hex[c >> 4], *at++ = hex[c & 15];
    }
    if (escaped) *at = 0;
    return escaped;
}
