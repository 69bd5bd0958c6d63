/* What HTTP rests on: requests read strictly, the board, pictures while they fill, the mailbox. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/clock.h"
#include "coordinator/http_internal.h"

/* ---- requests ---- */

static int route(co_http_route *out, const char *method, const char *uri)
{
    mr_error err = { "" };
    int status = co_http_route_of(out, method, uri, &err);
    assert_true(status == 200 || err.text[0]);
    return status;
}

static void test_paths(void **state)
{
    static const struct {
        const char *method, *uri;
        int status, endpoint;
        uint64_t id;
    } cases[] = {
        { "GET", "/", 200, CO_HTTP_FILE, 0 },
        { "GET", "/api/v1/jobs/12/image.exr", 200, CO_HTTP_IMAGE, 12 },
        { "GET", "/api/v1/jobs/9007199254740991", 200, CO_HTTP_JOB, 9007199254740991 },
        { "GET", "/api/v1/jobs/9007199254740992", 404, CO_HTTP_FILE, 0 },
        { "GET", "/%61pi/v1/%6aobs", 200, CO_HTTP_JOBS, 0 },
        { "HEAD", "/healthz?", 200, CO_HTTP_HEALTH, 0 },
        { "PUT", "/api/v1/workers/0/drain", 200, CO_HTTP_DRAIN, 0 },
        { "get", "/healthz", 405, CO_HTTP_HEALTH, 0 },
        { "GET", "healthz", 400, 0, 0 },
        { "GET", "", 400, 0, 0 },
        { "GET", "/a%2", 400, 0, 0 },
        { "GET", "/a%2g", 400, 0, 0 },
        { "GET", "/a%7f", 400, 0, 0 },
        { "GET", "/api/v1/jobs/1/", 404, CO_HTTP_FILE, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        co_http_route r;
        assert_int_equal(route(&r, cases[i].method, cases[i].uri), cases[i].status);
        if (cases[i].status == 200) assert_int_equal(r.endpoint, cases[i].endpoint);
        if (cases[i].status == 200 && cases[i].id) assert_int_equal(r.id, cases[i].id);
    }
}

static void test_queries(void **state)
{
    co_http_route r;
    (void)state;
    assert_int_equal(route(&r, "GET", "/api/v1/jobs/1/pixels?x=1&y=2&width=3&height=4&step=5&"), 200);
    assert_true(r.query.x == 1 && r.query.y == 2 && r.query.width == 3 && r.query.height == 4 && r.query.step == 5);
    assert_int_equal(route(&r, "POST", "/api/v1/jobs?name=a+b%2Bc%25&seed=4294967295&priority=0"), 200);
    assert_string_equal(r.query.name, "a b+c%");
    assert_true(r.query.seed == UINT32_MAX && r.query.priority == 0);
    assert_int_equal(route(&r, "POST", "/api/v1/jobs?seed=4294967296"), 400);
    assert_int_equal(route(&r, "GET", "/api/v1/jobs/1/image.png?exposure=-1.5e0"), 200);
    assert_true(r.query.has_exposure && fabs(r.query.exposure + 1.5) < 1e-12);
    static const char *const bad[] = { "exposure=+-1", "exposure=1e", "exposure=inf", "exposure=%201", "exposure=65", "exposure=1.0.0" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char uri[100];
        (void)snprintf(uri, sizeof uri, "/api/v1/jobs/1/image.png?%s", bad[i]);
        assert_int_equal(route(&r, "GET", uri), 400);
    }
    assert_int_equal(route(&r, "GET", "/?utm=1"), 200); /* a page's own words */
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const ours[] = { "localhost", "LOCALHOST:8080", "10.1.2.3", "[::1]", "[fe80::1]:80", "coordinator", "a.b.svc:1", "x.CLUSTER.local", "mine.org:80" };
    static const char *const others[] = { "", ":80", "evil.org", "mine.org.evil.org", "xmine.org", "1.2.3.4.5", "[::1", "::1", "[1.2.3.4]", "a b", "a/b", "a\"b", ".", ".local", "mine.org:8x" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) assert_true(co_http_host_is_ours(ours[i], "your.org,mine.org"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(co_http_host_is_ours(others[i], "your.org,mine.org"));
    assert_false(co_http_host_is_ours("mine.org", NULL));
}

static void test_tokens_and_events(void **state)
{
    uint64_t event = 0;
    (void)state;
    assert_true(co_http_has_token("Bearer 0123456789abcdef", "0123456789abcdef") && co_http_has_token("bearer 0123456789abcdef", "0123456789abcdef"));
    assert_false(co_http_has_token(NULL, "0123456789abcdef") || co_http_has_token("", "0123456789abcdef") || co_http_has_token("Bearer ", "0123456789abcdef"));
    assert_false(co_http_has_token("Bearer 0123456789abcde", "0123456789abcdef") || co_http_has_token("Bearer 0123456789abcdef ", "0123456789abcdef"));
    assert_true(co_http_event_of("0000abcd-17", 0xabcd, &event) && event == 17);
    assert_false(co_http_event_of("0000abce-17", 0xabcd, &event) || co_http_event_of("0000abcd-", 0xabcd, &event) || co_http_event_of("0000abcd-1 ", 0xabcd, &event));
}

static void test_jobs_as_json(void **state)
{
    static const char good[] = "{\"scene\": \"a\", \"width\": 3, \"name\": \"n\"} \n";
    static const char *const bad[] = { "", "null", "{\"scene\": \"a\"", "{\"scene\": \"a\", \"width\": 0}", "{\"scene\": \"a\", \"width\": 1.5}", "{\"scene\": \"a\", \"after\": 1}",
                                       "{\"scene\": \"a\", \"scene\": \"b\"}", "{\"scene\": \"\"}", "{\"scene\": \"a\", \"name\": 3}", "{\"scene\": \"a\"} x" };
    co_http_query q;
    char scene[128];
    mr_error err;
    (void)state;
    assert_int_equal(co_http_job_of(&q, scene, good, strlen(good), &err), 200);
    assert_true(!strcmp(scene, "a") && q.width == 3 && !strcmp(q.name, "n") && q.priority == CO_PRIORITY);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(co_http_job_of(&q, scene, bad[i], strlen(bad[i]), &err), 400);
}

static void test_rates(void **state)
{
    const unsigned char a[4] = { 1, 2, 3, 4 }, b[16] = { 1, 2, 3, 4 }, c[16] = { 1, 2, 3, 4, [15] = 9 };
    co_rates *r = co_rates_new();
    unsigned passed = 0;
    (void)state;
    assert_non_null(r);
    for (int i = 0; i < 2 * CO_HTTP_BURST; i++) passed += (unsigned)co_rates_take(r, a, sizeof a);
    assert_in_range(passed, CO_HTTP_BURST, 2 * CO_HTTP_BURST - 1);
    for (int i = 0; i < 2 * CO_HTTP_BURST; i++) (void)co_rates_take(r, b, sizeof b);
    assert_false(co_rates_take(r, c, sizeof c)); /* the same network */
    for (int i = 0; i < 2 * CO_HTTP_ADDRESSES; i++) assert_true(co_rates_take(r, &(uint32_t){ (uint32_t)i }, 4)); /* more than are remembered */
    co_rates_free(r);
}

/* ---- texts ---- */

static void test_json(void **state)
{
    co_text t = { .bytes = NULL };
    (void)state;
    co_json_open(&t, NULL, '{');
    co_json_string(&t, "a", "\"\\\n\x01\xC3\xA9\xC3(\xED\xA0\x80\xF0\x9F\x90\xB3\xFF");
    co_json_string(&t, "b", NULL);
    co_json_open(&t, "c", '[');
    co_json_uint(&t, NULL, UINT64_MAX);
    co_json_uint(&t, NULL, 0);
    co_json_real(&t, NULL, NAN);
    co_json_real(&t, NULL, 0.1);
    co_json_close(&t, ']');
    co_json_time(&t, "d", 0);
    co_json_bool(&t, "e", 1);
    co_json_close(&t, '}');
    assert_string_equal(t.bytes, "{\"a\":\"\\\"\\\\\\u000a\\u0001\xC3\xA9\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xF0\x9F\x90\xB3\xEF\xBF\xBD\",\"b\":null,"
                                 "\"c\":[18446744073709551615,0,null,0.1],\"d\":null,\"e\":true}");
    co_text_free(&t);
}

/* ---- views ---- */

typedef struct seen {
    co_view *view;
    mr_film film;
} seen;

static seen make_view(uint32_t width, uint32_t height, uint32_t spp, uint32_t tile, co_plan *plan)
{
    const mr_picture picture = { width, height, spp, 0 };
    const mr_settings settings = { .exposure = 1 };
    seen s = { .view = NULL };
    assert_int_equal(co_plan_make(plan, &picture, tile, NULL), MR_OK);
    assert_int_equal(mr_film_init(&s.film, &picture, NULL), MR_OK);
    s.view = co_view_new(&s.film, &settings, plan);
    assert_non_null(s.view);
    return s;
}

/* Sums that tell their pixel: (x + 1000 y) for each sample. */
static void add_unit(co_view *view, const mr_tile *t, int32_t samples)
{
    uint64_t *sums = malloc((size_t)t->width * t->height * 3 * sizeof *sums);
    assert_non_null(sums);
    for (uint32_t i = 0; i < t->width * t->height; i++)
        for (unsigned k = 0; k < 3; k++) {
            uint64_t value = (uint64_t)(t->x + i % t->width + 1000 * (t->y + i / t->width) + k) << 20;
            sums[3 * i + k] = samples < 0 ? 0 - value * (uint64_t)-samples : value * (uint64_t)samples;
        }
    co_view_add(view, t, sums, samples);
    free(sums);
}

/* Units of any plan, in any order, some taken out again: each pixel is the mean of what is in, and unknown where nothing is. */
static void test_views_know_what_is_in(void **state)
{
    static const uint32_t shapes[][4] = { { 130, 70, 16, 0 }, { 33, 257, 100, 0 }, { 100, 100, 64, 24 }, { 1, 1, 1, 0 }, { 700, 40, 4, 0 } };
    (void)state;
    srand(1);
    for (unsigned n = 0; n < sizeof shapes / sizeof *shapes; n++) {
        co_plan plan;
        uint32_t w = shapes[n][0], h = shapes[n][1];
        seen s = make_view(w, h, shapes[n][2], shapes[n][3], &plan);
        uint32_t *samples = calloc((size_t)w * h, sizeof *samples);
        float *rgb = malloc((size_t)w * h * 3 * sizeof *rgb);
        uint8_t *known = malloc((size_t)w * h);
        assert_true(samples && rgb && known);
        for (uint32_t u = 0; u < co_plan_units(&plan); u++) {
            mr_tile t = co_plan_unit(&plan, u);
            if (rand() % 2) continue;
            add_unit(s.view, &t, (int32_t)t.sample_count);
            int taken = rand() % 4 == 0;
            if (taken) add_unit(s.view, &t, -(int32_t)t.sample_count);
            for (uint32_t y = t.y; y < t.y + t.height && !taken; y++)
                for (uint32_t x = t.x; x < t.x + t.width; x++) samples[y * w + x] += t.sample_count;
        }
        co_view_linear(s.view, 0, 0, w, h, 1, rgb, known);
        for (uint32_t i = 0; i < w * h; i++) {
            assert_int_equal(known[i], samples[i] > 0);
            float wanted = samples[i] ? (float)(i % w + 1000 * (i / w)) : 0;
            assert_float_equal(rgb[3 * i], wanted, 0.01);
        }
        co_view_linear(s.view, w / 3, h / 3, w - w / 3, h - h / 3, 1, rgb, known);
        assert_int_equal(known[0], samples[h / 3 * w + w / 3] > 0);
        co_plan_free(&plan);
        co_view_release(s.view);
        free(samples);
        free(rgb);
        free(known);
    }
}

/* Blocks are the means of their samples, also across columns with different counts. */
static void test_blocks(void **state)
{
    co_plan plan;
    seen s = make_view(96, 64, 8, 32, &plan);
    float rgb[3 * 4 * 3];
    uint8_t known[12];
    (void)state;
    add_unit(s.view, &(mr_tile){ .width = 32, .height = 64 }, 1);
    add_unit(s.view, &(mr_tile){ .x = 32, .width = 32, .height = 20 }, 3);
    co_view_linear(s.view, 16, 4, 80, 50, 24, rgb, known); /* 4 x 3 blocks; the first lies on two columns: 16 pixels with 1 sample, 8 with 3 where y < 20 */
    double sum = 0, count = 0;
    for (unsigned y = 4; y < 28; y++)
        for (unsigned x = 16; x < 40; x++) {
            unsigned n = x < 32 ? 1 : y < 20 ? 3 : 0;
            sum += n * (x + 1000.0 * y);
            count += n;
        }
    assert_float_equal(rgb[0], (float)(sum / count), 0.05);
    assert_true(known[0] && known[1] && !known[2] && !known[3] && known[4] && !known[5]);
    co_plan_free(&plan);
    co_view_release(s.view);
}

static void test_changes(void **state)
{
    co_plan plan;
    seen s = make_view(2000, 100, 1, 250, &plan);
    co_view_changes c;
    (void)state;
    add_unit(s.view, &(mr_tile){ .x = 1750, .y = 99, .width = 250, .height = 1 }, 1);
    co_view_take_changes(s.view, &c);
    assert_int_equal(c.cell, 32);
    for (unsigned row = 0; row < CO_VIEW_CELLS; row++) assert_int_equal(c.rows[row], row == 3 ? (UINT64_C(1) << 63) - (UINT64_C(1) << 54) : 0);
    co_view_take_changes(s.view, &c);
    assert_int_equal(c.rows[3], 0);
    add_unit(s.view, &(mr_tile){ .width = 2000, .height = 100 }, 1);
    co_view_take_changes(s.view, &c);
    assert_int_equal(c.rows[0], (UINT64_C(1) << 63) - 1);
    co_plan_free(&plan);
    co_view_release(s.view);
}

/* ---- the board ---- */

static co_board *small_board(void)
{
    co_board *b = co_board_new("1", "c");
    const wire_hello hello = { .threads = 2, .name = "w", .host = "h", .kernel = "k" };
    assert_non_null(b);
    co_board_opened(b, "tcp://x:1", 1, 1000000);
    co_board_joined(b, 1, &hello, 1000000);
    co_board_joined(b, 2, &hello, 1000000);
    co_board_put_job(b, &(co_board_job){ .status = { .id = 5, .state = CO_JOB_RUNNING, .tiles = 100 }, .picture = { 8, 8, 1, 0 } }, NULL);
    return b;
}

/* What a health check is told by a board whose server has done nothing for so long. */
static int health(const char *uri, uint64_t silent_s)
{
    co_board *b = co_board_new("1", "c");
    co_answer a = { .status = 0 };
    co_http_route r;
    if (silent_s != UINT64_MAX) co_board_opened(b, "tcp://x:1", 1, co_now_us() - silent_s * 1000000);
    assert_int_equal(route(&r, "GET", uri), 200);
    assert_int_equal(co_api_answer(&a, &r, b), 1);
    assert_true((a.status == 200) == (strstr(a.body, "reason") == NULL));
    int status = a.status;
    co_answer_free(&a);
    co_board_free(b);
    return status;
}

static void test_health(void **state)
{
    (void)state;
    assert_int_equal(health("/healthz", UINT64_MAX), 200); /* it reads its journal */
    assert_int_equal(health("/readyz", UINT64_MAX), 503);
    assert_int_equal(health("/healthz", CO_HTTP_STUCK_S + 2), 200);
    assert_int_equal(health("/readyz", CO_HTTP_STUCK_S + 2), 503);
    assert_int_equal(health("/healthz", CO_HTTP_HUNG_S - 2), 200);
    assert_int_equal(health("/healthz", CO_HTTP_HUNG_S + 2), 503);
}

static void assign(co_board *b, uint64_t generation, uint32_t place, uint32_t worker)
{
    co_board_assigned(b, &(co_board_lease){ .id = generation << 32 | place, .job = 5, .worker = worker, .width = 4, .height = 4 }, 1000000);
}

static void expect_in_hand(co_board *b, uint32_t first, uint32_t second, uint32_t busy_threads)
{
    uint32_t count;
    co_board_totals t;
    co_board_job j;
    co_board_worker *w = co_board_workers(b, 0, &count, NULL);
    co_board_totals_now(b, &t);
    assert_true(count == 2 && w[0].in_hand == first && w[1].in_hand == second);
    assert_true(t.in_flight == first + second && t.busy_threads == busy_threads);
    assert_true(co_board_job_now(b, 5, &j, NULL) && j.in_flight == first + second);
    free(w);
}

static void test_work_in_hand(void **state)
{
    co_board *b = small_board();
    (void)state;
    for (uint32_t i = 0; i < 4; i++) assign(b, 1, i, 1 + (i == 3));
    expect_in_hand(b, 3, 1, 3);
    co_board_released(b, UINT64_C(1) << 32 | 1);
    co_board_released(b, UINT64_C(1) << 32 | 1);
    co_board_released(b, UINT64_C(9) << 32 | 0); /* of another generation */
    co_board_released(b, UINT64_C(1) << 32 | 70000);
    expect_in_hand(b, 2, 1, 3);
    assign(b, 2, 1, 2);
    assign(b, 3, 0, 2); /* the place is used again: what was there is over */
    expect_in_hand(b, 1, 3, 3);
    assign(b, 1, 5, 77); /* nobody's */
    co_board_result_in(b, &(co_board_result){ .lease = UINT64_C(3) << 32, .job = 5, .worker = 2, .micros = 3000, .counted = 1, .whole = 1 }, 2000000);
    expect_in_hand(b, 1, 2, 3);
    co_board_left(b, 2, CO_WORKER_LOST, 2, 2000000);
    expect_in_hand(b, 1, 0, 1);
    co_board_put_job(b, &(co_board_job){ .status = { .id = 5, .state = CO_JOB_DONE, .tiles = 100 } }, NULL);
    expect_in_hand(b, 0, 0, 0);
    co_board_totals t;
    co_board_totals_now(b, &t);
    assert_true(t.redone[CO_REDO_LOST] == 2 && t.tiles_done == 1 && t.tile_bucket[2] == 1 && t.workers == 1 && t.threads == 2 && t.gone[CO_WORKER_LOST] == 1);
    assert_true(t.workers_by_state[CO_WORKER_IDLE] == 1 && t.workers_by_state[CO_WORKER_LOST] == 1 && t.workers_by_state[CO_WORKER_BUSY] == 0);
    co_board_free(b);
}

/* A thousand workers come and go: those gone for a minute are forgotten, and the books are still right. */
static void test_workers_are_forgotten(void **state)
{
    co_board *b = co_board_new("1", "c");
    const wire_hello hello = { .threads = 1, .name = "w" };
    const co_board_now now = { .ready = 1 };
    uint32_t count;
    (void)state;
    assert_non_null(b);
    co_board_opened(b, "e", 1, 1);
    for (uint32_t i = 1; i <= 1000; i++) {
        co_board_joined(b, i, &hello, 1000000);
        co_board_assigned(b, &(co_board_lease){ .id = UINT64_C(1) << 32 | i, .job = 1, .worker = i }, 1000000);
        if (i % 3) co_board_left(b, i, CO_WORKER_LEFT, 1, 2000000);
    }
    co_board_step(b, &now, 3000000);
    free(co_board_workers(b, 0, &count, NULL));
    assert_int_equal(count, 1000);
    co_board_step(b, &now, 70000000);
    co_board_worker *w = co_board_workers(b, 0, &count, NULL);
    assert_int_equal(count, 333);
    for (uint32_t i = 0; i < count; i++) assert_true(w[i].id == 3 * (i + 1) && w[i].in_hand == 1);
    free(w);
    for (uint32_t i = 3; i <= 1000; i += 3) co_board_released(b, UINT64_C(1) << 32 | i);
    co_board_totals t;
    co_board_totals_now(b, &t);
    assert_true(t.in_flight == 0 && t.busy_threads == 0 && t.workers == 333 && t.workers_by_state[CO_WORKER_IDLE] == 333 && t.workers_by_state[CO_WORKER_LEFT] == 0);
    co_board_free(b);
}

static void test_old_jobs_and_lines_go(void **state)
{
    co_board *b = co_board_new("1", "c");
    co_board_line lines[3];
    co_board_job j;
    uint32_t count;
    (void)state;
    assert_non_null(b);
    for (uint64_t id = 1; id <= 200; id++) {
        co_board_put_job(b, &(co_board_job){ .status = { .id = id, .state = CO_JOB_DONE } }, NULL);
        if (id != 3) co_board_job_gone(b, id, 5);
    }
    free(co_board_jobs(b, 0, &count, NULL));
    assert_int_equal(count, CO_BOARD_PAST_MOST + 1);
    assert_true(co_board_job_now(b, 3, &j, NULL) && co_board_job_now(b, 200, &j, NULL) && !co_board_job_now(b, 4, &j, NULL));
    for (int i = 0; i < 3000; i++) co_board_log(b, CO_LOG_INFO, "line");
    assert_int_equal(co_board_last_line(b), 3000);
    assert_int_equal(co_board_lines(b, 0, lines, 3), 3);
    assert_int_equal(lines[0].id, 3000 - CO_BOARD_LINES + 1);
    assert_int_equal(co_board_lines(b, 2999, lines, 3), 1);
    assert_int_equal(co_board_lines(b, 3000, lines, 3), 0);
    assert_int_equal(co_board_lines(b, UINT64_MAX, lines, 3), 0);
    co_board_free(b);
}

/* ---- the mailbox ---- */

static void *serve_one(void *user)
{
    co_mailbox *box = user;
    co_request *r = NULL;
    while (!r) r = co_mailbox_take(box);
    r->status = MR_OK;
    r->job = 42;
    co_mailbox_done(box, r);
    return NULL;
}

static void test_mailbox(void **state)
{
    co_mailbox *box = co_mailbox_new();
    co_request r = { .kind = CO_REQUEST_CANCEL, .job = 1 };
    pthread_t thread;
    (void)state;
    assert_non_null(box);
    assert_int_equal(co_mailbox_ask(box, &r, 20), -1); /* nobody there: taken back */
    assert_null(co_mailbox_take(box));
    assert_int_equal(pthread_create(&thread, NULL, serve_one, box), 0);
    assert_int_equal(co_mailbox_ask(box, &r, 60000), 0);
    assert_int_equal(r.job, 42);
    assert_int_equal(pthread_join(thread, NULL), 0);
    co_mailbox_close(box);
    assert_int_equal(co_mailbox_ask(box, &r, 60000), -1);
    co_mailbox_free(box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_queries), cmocka_unit_test(test_hosts), cmocka_unit_test(test_tokens_and_events),
        cmocka_unit_test(test_jobs_as_json), cmocka_unit_test(test_rates), cmocka_unit_test(test_json), cmocka_unit_test(test_views_know_what_is_in),
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_changes), cmocka_unit_test(test_work_in_hand), cmocka_unit_test(test_workers_are_forgotten),
        cmocka_unit_test(test_old_jobs_and_lines_go), cmocka_unit_test(test_mailbox), cmocka_unit_test(test_health),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
