/* Requests over HTTP, from anyone: the first line is method and address, each further one a header up to an empty line, the rest the body. What is understood is answered
 * from a board with some workers, jobs and work in hand. Every answer is JSON, pixels, a picture or text; numbers that were read are in their bounds. */
#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "coordinator/http_internal.h"
#include "tests/fuzz/fuzz.h"

static co_http *http;

static co_view *small_view(void)
{
    const mr_picture picture = { 40, 30, 4, 0 };
    mr_settings settings = { .exposure = 1 };
    mr_film film;
    co_plan plan;
    mr_error err;
    MUST(co_plan_make(&plan, &picture, 16, &err) == MR_OK && mr_film_init(&film, &picture, &err) == MR_OK);
    co_view *view = co_view_new(&film, &settings, &plan);
    static uint64_t sums[3 * 16 * 16];
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) sums[i] = i << 20;
    co_view_add(view, &(mr_tile){ .x = 16, .y = 16, .width = 16, .height = 14 }, sums, 3);
    co_plan_free(&plan);
    return view;
}

static void fill(co_board *board)
{
    wire_hello hello = { .threads = 2, .name = "a \"worker\"\n", .host = "h\xFFst", .kernel = "avx2" };
    co_view *view = small_view();
    co_board_opened(board, "tcp://127.0.0.1:5555", 7, 1000);
    for (uint32_t w = 1; w <= 3; w++) co_board_joined(board, w, &hello, 2000);
    for (uint64_t job = 1; job <= 3; job++) {
        co_board_job j = { .status = { .id = job, .state = job == 1 ? CO_JOB_RUNNING : CO_JOB_DONE, .tiles = 6 }, .picture = { 40, 30, 4, 0 }, .name = "a <job>", .scene = "\xC3(" };
        co_board_put_job(board, &j, job == 2 ? NULL : view);
    }
    for (uint32_t i = 0; i < 5; i++) co_board_assigned(board, &(co_board_lease){ .id = (UINT64_C(1) << 32) + i, .job = 1, .worker = 1 + i % 2, .width = 16, .height = 16 }, 3000);
    co_board_result_in(board, &(co_board_result){ .lease = UINT64_C(1) << 32, .job = 1, .worker = 1, .rays = 1000, .samples = 100, .micros = 5000, .counted = 1, .whole = 1 }, 4000);
    co_board_left(board, 3, CO_WORKER_LOST, 2, 5000);
    for (int i = 0; i < 20; i++) co_board_log(board, i % 2, "something \"happened\"\x01");
    for (uint64_t us = 6000; us < 5000000; us += 1100000) co_board_step(board, &(co_board_now){ .ready = 1 }, us);
    co_view_release(view);
}

static void set_up(void)
{
    http = calloc(1, sizeof *http);
    MUST(http && !pthread_mutex_init(&http->lock, NULL) && !pthread_cond_init(&http->changed, NULL));
    http->board = co_board_new("1.0", "abc");
    MUST(http->board);
    fill(http->board);
}

/* Cuts the next line off: terminated, its \n gone. */
static char *line_of(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    *rest = end ? end + 1 : line + strlen(line);
    if (end) *end = 0;
    return line;
}

static void look_at_header(const char *line)
{
    uint64_t event;
    char host[256], port[8];
    if (!strncasecmp(line, "Host: ", 6)) (void)co_http_host_is_ours(line + 6, "other.example,mine.example.org");
    if (!strncasecmp(line, "Authorization: ", 15)) MUST(!co_http_has_token(line + 15, "this is not what the fuzzer will guess") || strstr(line, "guess"));
    if (!strncasecmp(line, "Last-Event-ID: ", 15)) (void)co_http_event_of(line + 15, 0x12345678, &event);
    if (!strncasecmp(line, "Address: ", 9) && co_http_parse_address("--http", line + 9, host, port, NULL) == MR_OK) MUST(host[0] && port[0] && atoi(port) <= 65535);
}

static void check_query(const co_http_query *q)
{
    MUST(q->x < MR_MAX_SIDE && q->y < MR_MAX_SIDE && q->width <= MR_MAX_SIDE && q->height <= MR_MAX_SIDE && q->step >= 1 && q->step <= CO_HTTP_STEP_MOST);
    MUST(q->spp <= MR_MAX_SPP && q->tile <= MR_MAX_TILE && q->priority <= WIRE_MAX_PRIORITY && q->verify <= 100 && strlen(q->name) < WIRE_MAX_NAME);
    MUST(q->exposure >= -64 && q->exposure <= 64);
}

static void answer(const co_http_route *route)
{
    co_answer a = { .status = 0 };
    if (route->endpoint == CO_HTTP_FILE) {
        (void)co_asset_at(route->path);
    } else if (route->endpoint == CO_HTTP_PIXELS) {
        co_pixels_answer(&a, route, http->board);
    } else if (route->endpoint == CO_HTTP_IMAGE && route->image != CO_IMAGE_EXR) { /* that one goes through a file */
        co_image_answer(&a, route, http);
    } else if (!co_api_answer(&a, route, http->board)) {
        return;
    }
    if (a.status && !strcmp(a.type, "application/json")) {
        cJSON *json = cJSON_ParseWithLength(a.body, a.size);
        MUST(json);
        cJSON_Delete(json);
    }
    co_answer_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1), *rest = text, *method;
    mr_error err = { "" };
    co_http_route route;
    if (!http) set_up();
    MUST(text);
    memcpy(text, bytes, size);
    text[size] = 0;
    method = line_of(&rest);
    char *uri = strchr(method, ' ');
    if (uri) *uri++ = 0;
    while (*rest) {
        const char *line = line_of(&rest);
        if (!*line) break;
        look_at_header(line);
    }
    int status = co_http_route_of(&route, method, uri ? uri : "", &err);
    MUST(status == 200 || (status >= 400 && status < 500 && err.text[0]));
    if (status == 200) {
        check_query(&route.query);
        answer(&route);
    }
    co_http_query query;
    char scene[128];
    status = co_http_job_of(&query, scene, rest, size - (size_t)(rest - text), &err);
    MUST(status == 400 || (status == 200 && scene[0]));
    if (status == 200) check_query(&query);
    free(text);
    return 0;
}
