/* Connections: libmicrohttpd in front, everything else behind. A request passes these gates in order: how often its address asks, whether its Host is
 * ours, what it asks for, whether it may change something, how much it sends. */
#include "coordinator/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coordinator/http_internal.h"

typedef struct request {
    char uri[CO_HTTP_URI_MOST + 2]; /* one too long shows that it was */
    int looked_at;                  /* the headers have been */
    co_http_route route;
    co_upload *upload;
} request;

/* ---- answers ---- */

/* The page may load its own scripts and styles and talk to us, and nobody may frame it. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
                             "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void add_headers(struct MHD_Response *r, const char *cache)
{
    (void)MHD_add_response_header(r, "Content-Security-Policy", policy);
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    (void)MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Cache-Control", cache);
}

static void add_details(struct MHD_Response *r, const co_answer *a, const char *allow)
{
    char text[160];
    if (a->type) (void)MHD_add_response_header(r, "Content-Type", a->type);
    if (a->location[0]) (void)MHD_add_response_header(r, "Location", a->location);
    if (a->etag) (void)MHD_add_response_header(r, "ETag", a->etag);
    if (a->status == 401) (void)MHD_add_response_header(r, "WWW-Authenticate", "Bearer realm=\"mobyray\"");
    if (a->status == 405 && allow) (void)MHD_add_response_header(r, "Allow", allow);
    if (a->retry_s) {
        (void)snprintf(text, sizeof text, "%u", a->retry_s);
        (void)MHD_add_response_header(r, "Retry-After", text);
    }
    if (a->file_name[0]) {
        (void)snprintf(text, sizeof text, "inline; filename=\"%s\"", a->file_name);
        (void)MHD_add_response_header(r, "Content-Disposition", text);
    }
}

/* Sends and frees the answer. */
static enum MHD_Result send_answer(struct MHD_Connection *c, co_answer *a, const char *allow)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(a->size, a->body, a->fixed || !a->body ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (!r) {
        co_answer_free(a);
        return MHD_NO;
    }
    add_headers(r, a->etag ? "no-cache" : "no-store");
    add_details(r, a, allow);
    enum MHD_Result sent = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return sent;
}

/* ---- streams ---- */

static ssize_t read_stream(void *user, uint64_t position, char *bytes, size_t size)
{
    (void)position;
    long count = co_stream_read(user, bytes, size);
    return count < 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)count;
}

static void close_stream(void *user) { co_stream_close(user); }

static enum MHD_Result send_stream(co_http *http, struct MHD_Connection *c)
{
    co_answer a = { .status = 0 };
    co_stream *stream = co_stream_open(http->events, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Last-Event-ID"));
    if (!stream) {
        co_answer_error(&a, 503, "%d listeners are here already: try again later", CO_HTTP_STREAMS);
        a.retry_s = 10;
        return send_answer(c, &a, NULL);
    }
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CO_HTTP_HEAD_BYTES / 2, read_stream, stream, close_stream);
    if (!r) {
        co_stream_close(stream);
        return MHD_NO;
    }
    add_headers(r, "no-store");
    (void)MHD_add_response_header(r, "Content-Type", "text/event-stream");
    (void)MHD_add_response_header(r, "X-Accel-Buffering", "no");
    enum MHD_Result sent = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return sent;
}

/* ---- gates ---- */

static const void *address_of(struct MHD_Connection *c, size_t *size)
{
    static const unsigned char nobody[4];
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    *size = 4;
    if (address && address->sa_family == AF_INET) return &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    if (!address || address->sa_family != AF_INET6) return nobody;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) return &v6->s6_addr[12];
    *size = 16;
    return v6;
}

/* Whether the request may change something. */
static int may_change(co_http *http, struct MHD_Connection *c, co_answer *a)
{
    size_t size;
    const void *address = address_of(c, &size);
    const char *given = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (!co_rates_wrong(http->rates, address, size, 0)) {
        co_answer_error(a, 429, "too many wrong tokens from this address: try again later");
        a->retry_s = 10;
        return 0;
    }
    if (co_http_has_token(given, http->token)) return 1;
    (void)co_rates_wrong(http->rates, address, size, given != NULL);
    co_answer_error(a, 401, given ? "the token is not this coordinator's" : "this needs the token: Authorization: Bearer TOKEN; the coordinator's log has it, unless it was given one");
    return 0;
}

static int pass_gates(co_http *http, struct MHD_Connection *c, const char *method, request *r, co_answer *a)
{
    mr_error err = { "" };
    size_t size;
    const void *address = address_of(c, &size);
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    if (!co_rates_take(http->rates, address, size)) {
        co_answer_error(a, 429, "too many requests from this address, expected at most %d a second", CO_HTTP_RATE);
        a->retry_s = 1;
        return 0;
    }
    if (!host || !co_http_host_is_ours(host, http->config.names)) {
        co_answer_error(a, 421, "Host: this coordinator is not called so: reach it by its address, or start it with --http-names");
        return 0;
    }
    int status = co_http_route_of(&r->route, method, r->uri, &err);
    if (status != 200) {
        co_answer_error(a, status, "%s", err.text);
        return 0;
    }
    return r->route.method <= CO_HEAD || may_change(http, c, a);
}

/* ---- what is asked for ---- */

static void answer_file(co_answer *a, const co_http_route *route, struct MHD_Connection *c)
{
    const co_asset *asset = co_asset_at(route->path);
    const char *known = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
    if (!asset) {
        co_answer_error(a, 404, "there is nothing at this path");
        return;
    }
    *a = (co_answer){ .status = 200, .type = asset->type, .body = (void *)(uintptr_t)asset->bytes, .size = asset->size, .fixed = 1, .etag = asset->etag };
    if (!known || strcmp(known, asset->etag) != 0) return;
    a->status = 304;
    a->body = NULL;
    a->size = 0;
}

static enum MHD_Result answer(co_http *http, struct MHD_Connection *c, request *r)
{
    co_answer a = { .status = 0 };
    const co_http_route *route = &r->route;
    if (route->endpoint == CO_HTTP_EVENTS_STREAM && route->method == CO_GET) return send_stream(http, c);
    if (r->upload) co_upload_end(r->upload, &a);
    else if (route->method > CO_HEAD) co_change_answer(&a, route, http);
    else if (co_api_answer(&a, route, http->board)) {
    } else if (route->endpoint == CO_HTTP_IMAGE) co_image_answer(&a, route, http);
    else if (route->endpoint == CO_HTTP_PIXELS) co_pixels_answer(&a, route, http->board);
    else if (route->endpoint == CO_HTTP_SCENES) co_scenes_answer(&a, http);
    else if (route->endpoint == CO_HTTP_FILE) answer_file(&a, route, c);
    else a = (co_answer){ .status = 200, .type = "text/event-stream" }; /* HEAD of the stream */
    return send_answer(c, &a, NULL);
}

/* A body that says how long it is may be refused before it comes. */
static int begin_body(co_http *http, struct MHD_Connection *c, request *r, co_answer *a)
{
    const char *type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"), *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    int is_json = type && !strncasecmp(type, "application/json", strlen("application/json"));
    if (r->route.endpoint != CO_HTTP_JOBS || r->route.method != CO_POST) return 1;
    if (!http->config.compile) r->route.allow = "GET, HEAD"; /* co_upload_begin says the rest */
    if (length && strtoull(length, NULL, 10) > (is_json ? CO_HTTP_JSON_MOST : CO_HTTP_BODY_MOST)) {
        co_answer_error(a, 413, "the body is too large, expected at most %llu bytes", (unsigned long long)(is_json ? CO_HTTP_JSON_MOST : CO_HTTP_BODY_MOST));
        return 0;
    }
    return co_upload_begin(&r->upload, http, &r->route, is_json, a) == 0;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **state)
{
    co_http *http = user;
    request *r = *state;
    co_answer a = { .status = 0 };
    (void)url;
    (void)version;
    if (!r) return MHD_NO; /* no memory for it */
    if (!r->looked_at) {
        r->looked_at = 1;
        if (!pass_gates(http, c, method, r, &a) || !begin_body(http, c, r, &a)) return send_answer(c, &a, r->route.allow);
        return MHD_YES;
    }
    if (*upload_data_size) { /* of what nobody asked for, nothing is kept */
        if (r->upload) (void)co_upload_add(r->upload, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return MHD_YES;
    }
    return answer(http, c, r);
}

/* ---- life of a request ---- */

static void *begin_request(void *user, const char *uri, struct MHD_Connection *c)
{
    (void)user;
    (void)c;
    request *r = calloc(1, sizeof *r);
    if (r) (void)snprintf(r->uri, sizeof r->uri, "%s", uri);
    return r;
}

static void end_request(void *user, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    request *r = *state;
    (void)user;
    (void)c;
    (void)why;
    if (!r) return;
    co_upload_free(r->upload);
    free(r);
    *state = NULL;
}

/* A tile's worth of events is small: it should not wait for more. */
static void tune(void *user, struct MHD_Connection *c, void **state, enum MHD_ConnectionNotificationCode what)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int on = 1;
    (void)user;
    (void)state;
    if (what == MHD_CONNECTION_NOTIFY_STARTED && info) (void)setsockopt(info->connect_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void stay_silent(void *user, const char *format, va_list args)
{
    (void)user;
    (void)format;
    (void)args;
}

/* ---- opening and closing ---- */

/* Binds to the first address of the host that can be. */
static int bind_socket(co_http *h, int *in_use, mr_error *err)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list = NULL;
    int code = getaddrinfo(h->host, h->port, &hints, &list), fd = -1, why = 0;
    if (code) return mr_fail(err, MR_FAILED, "cannot serve HTTP on %s: %s", h->config.address, gai_strerror(code));
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
        const int on = 1;
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd >= 0 && !bind(fd, at->ai_addr, at->ai_addrlen) && !listen(fd, SOMAXCONN)) break;
        why = errno;
        if (fd >= 0) (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (in_use) *in_use = fd < 0 && why == EADDRINUSE;
    if (fd >= 0) return -fd - 1;
    return mr_fail(err, MR_FAILED, "cannot serve HTTP on %s: %s", h->config.address, why == EADDRINUSE ? "the address is in use" : strerror(why));
}

static void find_port(co_http *h, int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size)) return;
    h->bound_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&bound)->sin6_port : ((struct sockaddr_in *)(void *)&bound)->sin_port);
}

static int listen_on(co_http *h, int *in_use, mr_error *err)
{
    int fd = bind_socket(h, in_use, err);
    if (fd >= 0) return fd; /* a status */
    fd = -fd - 1;
    find_port(h, fd);
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, h, MHD_OPTION_EXTERNAL_LOGGER, stay_silent, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_URI_LOG_CALLBACK, begin_request, h, MHD_OPTION_NOTIFY_COMPLETED, end_request, h, MHD_OPTION_NOTIFY_CONNECTION, tune, h,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CO_HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CO_HTTP_CONNECTIONS_EACH,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CO_HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CO_HTTP_HEAD_BYTES, MHD_OPTION_END);
    if (h->daemon) return MR_OK;
    (void)close(fd);
    return mr_fail(err, MR_FAILED, "cannot serve HTTP on %s: no thread, or no memory", h->config.address);
}

static int take_token(co_http *h, const char *token, mr_error *err)
{
    unsigned char random[24];
    if (token) {
        size_t length = strlen(token);
        if (length < CO_HTTP_TOKEN_LEAST || length > CO_HTTP_TOKEN_MOST)
            return mr_fail(err, MR_BAD_INPUT, "the HTTP token: found %zu characters, expected %d..%d", length, CO_HTTP_TOKEN_LEAST, CO_HTTP_TOKEN_MOST);
        memcpy(h->token, token, length + 1);
        return MR_OK;
    }
    randombytes_buf(random, sizeof random);
    (void)sodium_bin2base64(h->token, sizeof h->token, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    return MR_OK;
}

static int copy(const char **text)
{
    if (!*text) return 0;
    *text = strdup(*text);
    return *text ? 0 : -1;
}

static int open_parts(co_http *h, int *in_use, mr_error *err)
{
    int failed = copy(&h->config.address);
    failed |= copy(&h->config.names);
    failed |= copy(&h->config.scenes);
    h->board = co_board_new(h->config.version, h->config.commit);
    h->mailbox = co_mailbox_new();
    h->rates = co_rates_new();
    if (failed || !h->board || !h->mailbox || !h->rates || co_events_open(&h->events, h->board)) return mr_fail(err, MR_FAILED, "no memory, or no thread, for HTTP");
    co_assets_prepare();
    int status = take_token(h, h->config.token, err);
    h->config.token = NULL;
    return status ? status : listen_on(h, in_use, err);
}

int co_http_open(co_http **out, const co_http_config *config, int *in_use, mr_error *err)
{
    if (in_use) *in_use = 0;
    if (sodium_init() < 0) return mr_fail(err, MR_FAILED, "no random numbers");
    co_http *h = calloc(1, sizeof *h);
    if (!h || pthread_mutex_init(&h->lock, NULL) || pthread_cond_init(&h->changed, NULL)) {
        free(h);
        return mr_fail(err, MR_FAILED, "no memory for HTTP");
    }
    int status = co_http_parse_address("--http", config->address, h->host, h->port, err);
    if (status) {
        free(h);
        return status;
    }
    h->config = *config;
    status = open_parts(h, in_use, err);
    if (status) co_http_close(h);
    else *out = h;
    return status;
}

void co_http_close(co_http *h)
{
    if (!h) return;
    (void)pthread_mutex_lock(&h->lock);
    h->closing = 1;
    (void)pthread_cond_broadcast(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
    if (h->mailbox) co_mailbox_close(h->mailbox);
    co_events_stop(h->events);
    if (h->daemon) MHD_stop_daemon(h->daemon);
    co_events_free(h->events);
    co_mailbox_free(h->mailbox);
    co_board_free(h->board);
    co_rates_free(h->rates);
    (void)pthread_mutex_destroy(&h->lock);
    (void)pthread_cond_destroy(&h->changed);
    free((char *)(uintptr_t)h->config.address);
    free((char *)(uintptr_t)h->config.names);
    free((char *)(uintptr_t)h->config.scenes);
    sodium_memzero(h->token, sizeof h->token);
    free(h);
}

co_board *co_http_board(co_http *h) { return h ? h->board : NULL; }
co_mailbox *co_http_mailbox(co_http *h) { return h ? h->mailbox : NULL; }
const char *co_http_token(const co_http *h) { return h->token; }

void co_http_url(const co_http *h, char *url, size_t size)
{
    int all = !strcmp(h->host, "0.0.0.0") || !strcmp(h->host, "::"), v6 = strchr(h->host, ':') != NULL;
    (void)snprintf(url, size, "http://%s%s%s:%u/", v6 && !all ? "[" : "", all ? "localhost" : h->host, v6 && !all ? "]" : "", h->bound_port);
}
