/* What a request asks for: its method, path, query and the few headers that matter, read strictly. Pure: no socket, no board. Everything here comes from
 * anyone, and is fuzzed (tests/fuzz/fuzz_http.c). */
#ifndef CO_HTTP_REQUEST_H
#define CO_HTTP_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/server.h"
#include "tracer/error.h"
#include "wire/limits.h"

enum co_endpoint {
    CO_HTTP_FILE, /* of the page: see path */
    CO_HTTP_HEALTH, CO_HTTP_READY, CO_HTTP_METRICS, CO_HTTP_CLUSTER, CO_HTTP_HISTORY, CO_HTTP_WORKERS, CO_HTTP_DRAIN, CO_HTTP_JOBS, CO_HTTP_JOB, CO_HTTP_IMAGE,
    CO_HTTP_PIXELS, CO_HTTP_IN_FLIGHT, CO_HTTP_SCENES, CO_HTTP_EVENTS_STREAM, CO_HTTP_LOG, CO_HTTP_ENDPOINTS
};

enum co_method { CO_GET, CO_HEAD, CO_POST, CO_PUT, CO_DELETE, CO_OTHER_METHOD };
enum co_image { CO_IMAGE_PNG, CO_IMAGE_EXR, CO_IMAGE_HDR, CO_IMAGE_PFM };

typedef struct co_http_query {
    uint32_t x, y, width, height, step, spp, seed, tile, priority, verify;
    uint64_t after;
    double exposure;
    int has_exposure;
    char name[WIRE_MAX_NAME];
} co_http_query;

typedef struct co_http_route {
    int endpoint, method;
    uint64_t id;          /* of the job or worker */
    int image;            /* enum co_image */
    char path[128];       /* decoded */
    const char *allow;    /* methods that the endpoint knows, for a 405 */
    co_http_query query;
} co_http_route;

/* uri: as it came, path and query. Returns the HTTP status: 200, or what to answer with the error's text (400, 404, 405, 414). */
int co_http_route_of(co_http_route *out, const char *method, const char *uri, mr_error *err);

/* A job as JSON: {"scene": NAME, and any of name, width, height, spp, seed, tile, priority, verify}. 200 or 400. */
int co_http_job_of(co_http_query *out, char scene[128], const char *json, size_t size, mr_error *err);

/* Whether a Host header names us, and not a name that someone else has made to point here (DNS rebinding): addresses, names without a dot,
 * names below .localhost, .local, .internal, .svc and .cluster.local, and those in names (separated by commas; may be NULL). */
int co_http_host_is_ours(const char *host, const char *names);

/* Whether an Authorization header holds the token. Takes the same time wherever they differ. NULL: there is no header. */
int co_http_has_token(const char *authorization, const char *token);

/* "STREAM-NUMBER", as this server names its events. 1 and the number, or 0: not one of this stream. */
int co_http_event_of(const char *last_event_id, uint32_t stream, uint64_t *event);

/* HOST:PORT, [V6]:PORT; port 0 takes a free one. MR_USAGE with `source` in the message otherwise. */
int co_http_parse_address(const char *source, const char *text, char host[256], char port[8], mr_error *err);

#endif
