#include "coordinator/http_request.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "coordinator/limits.h"

enum { GOOD = 200, BAD = 400, UNKNOWN = 404, NOT_ALLOWED = 405, TOO_LONG = 414 };

/* ---- percent-encoding (RFC 3986, 2.1) ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes up to `length` bytes; -1: malformed, too long for out, or a control character. plus: + is a blank. */
static int decode(char *out, size_t size, const char *text, size_t length, int plus)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex(text[i + 1]) : -1, low = high >= 0 ? hex(text[i + 2]) : -1;
            if (low < 0) return -1;
            c = high * 16 + low;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7F || used + 1 >= size) return -1;
        out[used++] = (char)c;
    }
    out[used] = 0;
    return 0;
}

/* ---- paths ---- */

typedef struct pattern {
    const char *path; /* one N stands for a number */
    int endpoint;
    unsigned methods; /* bits 1 << enum co_method */
    const char *allow;
    int image;
} pattern;

#define READ (1u << CO_GET | 1u << CO_HEAD)
static const pattern patterns[] = {
    { "/healthz", CO_HTTP_HEALTH, READ, "GET, HEAD", 0 },
    { "/readyz", CO_HTTP_READY, READ, "GET, HEAD", 0 },
    { "/metrics", CO_HTTP_METRICS, READ, "GET, HEAD", 0 },
    { "/api/v1/cluster", CO_HTTP_CLUSTER, READ, "GET, HEAD", 0 },
    { "/api/v1/history", CO_HTTP_HISTORY, READ, "GET, HEAD", 0 },
    { "/api/v1/workers", CO_HTTP_WORKERS, READ, "GET, HEAD", 0 },
    { "/api/v1/workers/N/drain", CO_HTTP_DRAIN, 1u << CO_PUT, "PUT", 0 },
    { "/api/v1/jobs", CO_HTTP_JOBS, READ | 1u << CO_POST, "GET, HEAD, POST", 0 },
    { "/api/v1/jobs/N", CO_HTTP_JOB, READ | 1u << CO_DELETE, "GET, HEAD, DELETE", 0 },
    { "/api/v1/jobs/N/image.png", CO_HTTP_IMAGE, READ, "GET, HEAD", CO_IMAGE_PNG },
    { "/api/v1/jobs/N/image.exr", CO_HTTP_IMAGE, READ, "GET, HEAD", CO_IMAGE_EXR },
    { "/api/v1/jobs/N/image.hdr", CO_HTTP_IMAGE, READ, "GET, HEAD", CO_IMAGE_HDR },
    { "/api/v1/jobs/N/image.pfm", CO_HTTP_IMAGE, READ, "GET, HEAD", CO_IMAGE_PFM },
    { "/api/v1/jobs/N/pixels", CO_HTTP_PIXELS, READ, "GET, HEAD", 0 },
    { "/api/v1/jobs/N/in_flight", CO_HTTP_IN_FLIGHT, READ, "GET, HEAD", 0 },
    { "/api/v1/scenes", CO_HTTP_SCENES, READ, "GET, HEAD", 0 },
    { "/api/v1/events", CO_HTTP_EVENTS_STREAM, READ, "GET, HEAD", 0 },
    { "/api/v1/log", CO_HTTP_LOG, READ, "GET, HEAD", 0 },
};

/* A whole number without sign, blanks or needless zeros. NULL: none, or above `most`; otherwise what follows it. */
static const char *number(const char *text, uint64_t most, uint64_t *out)
{
    uint64_t value = 0;
    const char *c = text;
    if (*c < '0' || *c > '9' || (*c == '0' && c[1] >= '0' && c[1] <= '9')) return NULL;
    for (; *c >= '0' && *c <= '9'; c++) {
        unsigned digit = (unsigned)(*c - '0');
        if (digit > most || value > (most - digit) / 10) return NULL;
        value = value * 10 + digit;
    }
    *out = value;
    return c;
}

static int matches(const char *pattern_path, const char *path, uint64_t *id)
{
    for (; *pattern_path; pattern_path++) {
        if (*pattern_path != 'N') {
            if (*path++ != *pattern_path) return 0;
            continue;
        }
        path = number(path, (UINT64_C(1) << 53) - 1, id);
        if (!path) return 0;
    }
    return *path == 0;
}

static int method_of(const char *text)
{
    static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "DELETE" };
    for (int i = 0; i < CO_OTHER_METHOD; i++)
        if (!strcmp(text, names[i])) return i;
    return CO_OTHER_METHOD;
}

static int not_allowed(co_http_route *out, const char *allow, mr_error *err)
{
    out->allow = allow;
    (void)mr_fail(err, MR_USAGE, "this can be asked for with %s alone", allow);
    return NOT_ALLOWED;
}

/* What does not begin as the API does may be a file of the page. */
static int find_pattern(co_http_route *out, mr_error *err)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const pattern *p = &patterns[i];
        if (!matches(p->path, out->path, &out->id)) continue;
        out->endpoint = p->endpoint;
        out->image = p->image;
        if (out->method == CO_OTHER_METHOD || !(p->methods >> out->method & 1)) return not_allowed(out, p->allow, err);
        return GOOD;
    }
    out->endpoint = CO_HTTP_FILE;
    if (!strncmp(out->path, "/api/", 5)) {
        (void)mr_fail(err, MR_USAGE, "there is nothing at this path; see /openapi.json");
        return UNKNOWN;
    }
    return out->method == CO_GET || out->method == CO_HEAD ? GOOD : not_allowed(out, "GET, HEAD", err);
}

/* ---- the query ---- */

enum kind { NUMBER, LARGE, REAL, NAME };

#define ON(endpoint) (1u << (endpoint))
typedef struct parameter {
    const char *name;
    uint64_t least, most;
    size_t at;          /* in co_http_query */
    int kind;
    unsigned endpoints;
} parameter;

#define AT(field) offsetof(co_http_query, field)
static const parameter parameters[] = {
    { "x", 0, MR_MAX_SIDE - 1, AT(x), NUMBER, ON(CO_HTTP_PIXELS) },
    { "y", 0, MR_MAX_SIDE - 1, AT(y), NUMBER, ON(CO_HTTP_PIXELS) },
    { "width", 1, MR_MAX_SIDE, AT(width), NUMBER, ON(CO_HTTP_PIXELS) | ON(CO_HTTP_JOBS) },
    { "height", 1, MR_MAX_SIDE, AT(height), NUMBER, ON(CO_HTTP_PIXELS) | ON(CO_HTTP_JOBS) },
    { "step", 1, CO_HTTP_STEP_MOST, AT(step), NUMBER, ON(CO_HTTP_PIXELS) },
    { "spp", 1, MR_MAX_SPP, AT(spp), NUMBER, ON(CO_HTTP_JOBS) },
    { "seed", 0, UINT32_MAX, AT(seed), NUMBER, ON(CO_HTTP_JOBS) },
    { "tile", 1, MR_MAX_TILE, AT(tile), NUMBER, ON(CO_HTTP_JOBS) },
    { "priority", 0, WIRE_MAX_PRIORITY, AT(priority), NUMBER, ON(CO_HTTP_JOBS) },
    { "verify", 0, 100, AT(verify), NUMBER, ON(CO_HTTP_JOBS) },
    { "name", 0, 0, AT(name), NAME, ON(CO_HTTP_JOBS) },
    { "after", 0, (UINT64_C(1) << 53) - 1, AT(after), LARGE, ON(CO_HTTP_LOG) },
    { "exposure", 0, 0, AT(exposure), REAL, ON(CO_HTTP_IMAGE) },
};
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

static int bad_value(const char *name, const char *found, const char *expected, mr_error *err)
{
    (void)mr_fail(err, MR_USAGE, "%s: found '%.60s', expected %s", name, found, expected);
    return BAD;
}

static int set_number(co_http_query *q, const parameter *p, const char *text, mr_error *err)
{
    uint64_t value;
    char expected[80];
    const char *end = number(text, p->most, &value);
    (void)snprintf(expected, sizeof expected, "a whole number %llu..%llu", (unsigned long long)p->least, (unsigned long long)p->most);
    if (!end || *end || value < p->least) return bad_value(p->name, text, expected, err);
    if (p->kind == LARGE) memcpy((char *)q + p->at, &value, sizeof value);
    else memcpy((char *)q + p->at, &(uint32_t){ (uint32_t)value }, sizeof(uint32_t));
    return GOOD;
}

/* A number as people write it; strtod alone would take blanks, hexadecimal, "nan" and more. */
static int set_real(co_http_query *q, const parameter *p, const char *text, mr_error *err)
{
    char *end = NULL;
    double value = strspn(text, "+-.0123456789eE") == strlen(text) ? strtod(text, &end) : NAN;
    if (!isfinite(value) || !end || *end || end == text || fabs(value) > 64) return bad_value(p->name, text, "a number of stops, -64..64", err);
    memcpy((char *)q + p->at, &value, sizeof value);
    q->has_exposure = 1;
    return GOOD;
}

static int set_parameter(co_http_query *q, const parameter *p, const char *text, mr_error *err)
{
    if (p->kind == REAL) return set_real(q, p, text, err);
    if (p->kind != NAME) return set_number(q, p, text, err);
    if (strlen(text) >= WIRE_MAX_NAME) return bad_value(p->name, text, "at most 63 bytes", err);
    (void)snprintf(q->name, sizeof q->name, "%s", text);
    return GOOD;
}

static int find_parameter(const char *name, int endpoint)
{
    for (int i = 0; i < PARAMETERS; i++)
        if (!strcmp(name, parameters[i].name) && (parameters[i].endpoints >> endpoint & 1)) return i;
    return -1;
}

static int read_pair(co_http_route *out, const char *pair, size_t length, unsigned *seen, mr_error *err)
{
    const char *equals = memchr(pair, '=', length);
    size_t name_length = equals ? (size_t)(equals - pair) : length;
    char name[32], value[256] = "";
    if (decode(name, sizeof name, pair, name_length, 1) ||
        (equals && decode(value, sizeof value, equals + 1, length - name_length - 1, 1))) {
        (void)mr_fail(err, MR_USAGE, "the query cannot be read: found '%.*s'", length < 60 ? (int)length : 60, pair);
        return BAD;
    }
    int which = out->endpoint == CO_HTTP_FILE ? -1 : find_parameter(name, out->endpoint);
    if (which >= 0 && out->endpoint == CO_HTTP_JOBS && out->method != CO_POST) which = -1;
    if (which < 0 || (*seen >> which & 1)) {
        (void)mr_fail(err, MR_USAGE, which < 0 ? "%s: no such parameter here; see /openapi.json" : "%s: given twice", name);
        return BAD;
    }
    *seen |= 1u << which;
    return set_parameter(&out->query, &parameters[which], value, err);
}

static int read_query(co_http_route *out, const char *query, mr_error *err)
{
    unsigned seen = 0;
    int status = GOOD;
    while (*query && status == GOOD) {
        size_t length = strcspn(query, "&");
        if (length && out->endpoint != CO_HTTP_FILE) status = read_pair(out, query, length, &seen, err); /* a page's own words are its own */
        query += length + (query[length] == '&');
    }
    return status;
}

int co_http_route_of(co_http_route *out, const char *method, const char *uri, mr_error *err)
{
    *out = (co_http_route){ .method = method_of(method), .query = { .step = 1, .priority = CO_PRIORITY } };
    if (strlen(uri) > CO_HTTP_URI_MOST) {
        (void)mr_fail(err, MR_USAGE, "the address is too long, expected at most %d bytes", CO_HTTP_URI_MOST);
        return TOO_LONG;
    }
    size_t length = strcspn(uri, "?#");
    if (uri[0] != '/' || decode(out->path, sizeof out->path, uri, length, 0)) {
        (void)mr_fail(err, MR_USAGE, "the path cannot be read");
        return uri[0] == '/' && length >= sizeof out->path ? UNKNOWN : BAD;
    }
    int status = find_pattern(out, err);
    return status == GOOD && uri[length] == '?' ? read_query(out, uri + length + 1, err) : status;
}

/* ---- a job as JSON ---- */

static int set_member(co_http_query *out, char scene[128], const cJSON *member, unsigned *seen, mr_error *err)
{
    char text[32];
    if (!strcmp(member->string, "scene") && cJSON_IsString(member) && strlen(member->valuestring) < 128 && !scene[0]) {
        (void)snprintf(scene, 128, "%s", member->valuestring);
        return GOOD;
    }
    int which = find_parameter(member->string, CO_HTTP_JOBS);
    if (which < 0 || (*seen >> which & 1)) {
        (void)mr_fail(err, MR_USAGE, which < 0 ? "%.60s: not known here, or not of the right type" : "%.60s: given twice", member->string);
        return BAD;
    }
    *seen |= 1u << which;
    const parameter *p = &parameters[which];
    if (p->kind == NAME && cJSON_IsString(member)) return set_parameter(out, p, member->valuestring, err);
    int whole = cJSON_IsNumber(member) && member->valuedouble >= 0 && member->valuedouble <= 4294967295.0 && floor(member->valuedouble) == member->valuedouble;
    (void)snprintf(text, sizeof text, "%.0f", whole ? member->valuedouble : 0);
    if (p->kind != NUMBER || !whole) return bad_value(p->name, "something else", p->kind == NAME ? "a string" : "a whole number", err);
    return set_number(out, p, text, err);
}

int co_http_job_of(co_http_query *out, char scene[128], const char *json, size_t size, mr_error *err)
{
    const char *end = NULL;
    unsigned seen = 0;
    int status = GOOD;
    cJSON *root = cJSON_ParseWithLengthOpts(json, size, &end, 0);
    *out = (co_http_query){ .step = 1, .priority = CO_PRIORITY };
    scene[0] = 0;
    while (root && end < json + size && (*end == ' ' || *end == '\n' || *end == '\r' || *end == '\t')) end++;
    if (!root || !cJSON_IsObject(root) || end != json + size) {
        (void)mr_fail(err, MR_USAGE, "the body is not a JSON object, as in {\"scene\": \"mobydock\", \"spp\": 64}");
        status = BAD;
    }
    for (const cJSON *m = status == GOOD ? root->child : NULL; m && status == GOOD; m = m->next) status = set_member(out, scene, m, &seen, err);
    cJSON_Delete(root);
    if (status == GOOD && !scene[0]) {
        (void)mr_fail(err, MR_USAGE, "scene: missing, expected the name of a scene of this coordinator; see /api/v1/scenes");
        status = BAD;
    }
    return status;
}

/* ---- headers ---- */

static int ends_with(const char *text, size_t length, const char *ending)
{
    size_t n = strlen(ending);
    return length > n && !strncasecmp(text + length - n, ending, n);
}

static int is_listed(const char *name, size_t length, const char *names)
{
    while (names && *names) {
        size_t n = strcspn(names, ",");
        if (n == length && !strncasecmp(name, names, n)) return 1;
        names += n + (names[n] == ',');
    }
    return 0;
}

int co_http_host_is_ours(const char *host, const char *names)
{
    static const char *const private_endings[] = { ".localhost", ".local", ".internal", ".svc", ".cluster.local" };
    char name[256];
    struct in6_addr v6;
    struct in_addr v4;
    const char *colon = strrchr(host, ':'), *bracket = strrchr(host, ']');
    size_t length = colon && (!bracket || colon > bracket) ? (size_t)(colon - host) : strlen(host);
    if (!length || length >= sizeof name) return 0;
    for (const char *c = host + length; *c; c++)
        if (*c != ':' && (*c < '0' || *c > '9')) return 0;
    memcpy(name, host, length);
    name[length] = 0;
    if (name[0] == '[' && name[length - 1] == ']') {
        name[length - 1] = 0;
        return inet_pton(AF_INET6, name + 1, &v6) == 1;
    }
    if (inet_pton(AF_INET, name, &v4) == 1) return 1;
    for (size_t i = 0; i < length; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9') || strchr("-_.", name[i]))) return 0;
    if (!strchr(name, '.')) return 1;
    for (size_t i = 0; i < sizeof private_endings / sizeof *private_endings; i++)
        if (ends_with(name, length, private_endings[i])) return 1;
    return is_listed(name, length, names);
}

int co_http_has_token(const char *authorization, const char *token)
{
    unsigned char given[32], wanted[32];
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)) != 0) return 0;
    const char *text = authorization + strlen(scheme);
    size_t length = strlen(text);
    if (length > CO_HTTP_TOKEN_MOST) return 0;
    crypto_generichash(given, sizeof given, (const unsigned char *)text, length, NULL, 0); /* equal lengths, so that theirs tells nothing either */
    crypto_generichash(wanted, sizeof wanted, (const unsigned char *)token, strlen(token), NULL, 0);
    return sodium_memcmp(given, wanted, sizeof given) == 0;
}

int co_http_event_of(const char *text, uint32_t stream, uint64_t *event)
{
    char name[16];
    uint64_t value;
    int length = snprintf(name, sizeof name, "%08x-", stream);
    if (strncmp(text, name, (size_t)length) != 0) return 0;
    const char *end = number(text + length, (UINT64_C(1) << 53) - 1, &value);
    if (!end || *end) return 0;
    *event = value;
    return 1;
}

int co_http_parse_address(const char *source, const char *text, char host[256], char port[8], mr_error *err)
{
    uint64_t value;
    const char *colon = strrchr(text, ':'), *end = colon ? number(colon + 1, 65535, &value) : NULL;
    size_t length = colon ? (size_t)(colon - text) : 0;
    int bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (!end || *end || !length || length >= 256 || (!bracketed && memchr(text, ':', length)))
        return mr_fail(err, MR_USAGE, "%s: found '%.200s', expected HOST:PORT with a port 0..65535, as in 127.0.0.1:8080 or [::1]:8080", source, text);
    (void)snprintf(host, 256, "%.*s", (int)(bracketed ? length - 2 : length), bracketed ? text + 1 : text);
    (void)snprintf(port, 8, "%s", colon + 1);
    return MR_OK;
}
