/* Server, workers and client together in one process, over real sockets: the film is the one that a single renderer makes, whatever happens. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "coordinator/client.h"
#include "coordinator/server.h"
#include "tracer/scene.h"
#include "wire/message.h"
#include "worker/worker.h"

static mr_pack pack;
static const mr_picture picture = { .width = 96, .height = 64, .spp = 6, .seed = 1 };
static mr_film reference;
static const mr_kernel *kernel;
static char endpoint[96], folder[64], log_text[65536];

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int make_reference(void **state)
{
    (void)state;
    mr_error err = { "" };
    const mr_scene_options options = { .threads = 1 };
    if (mr_scene_load(&pack, "scenes/cornell", &options, &err) || mr_kernel_pick(&kernel, NULL, &err) || mr_film_init(&reference, &picture, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    const mr_tile whole = { 0, 0, picture.width, picture.height, 0, picture.spp };
    mr_renderer *renderer = mr_renderer_new(&pack, kernel);
    int status = mr_render_tile(renderer, &picture, &whole, reference.sums, NULL, NULL);
    mr_renderer_free(renderer);
    (void)snprintf(folder, sizeof folder, "/tmp/mobyray-cluster-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", folder);
    return status;
}

static int drop_reference(void **state)
{
    (void)state;
    char command[96];
    mr_film_free(&reference);
    mr_pack_close(&pack);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void keep_log(void *user, const char *line)
{
    (void)user;
    size_t used = strlen(log_text);
    (void)snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

/* ---- workers as threads ---- */

typedef struct member {
    pthread_t thread;
    int stop, status;
    wk_config config;
    mr_error err;
} member;

static void *run_member(void *arg)
{
    member *m = arg;
    m->status = wk_run(&m->config, &m->err);
    return NULL;
}

static void start_as(member *m, unsigned threads, const char *pack_dir, int packs_checked)
{
    memset(m, 0, sizeof *m);
    m->config = (wk_config){ .endpoint = endpoint, .threads = threads, .kernel = kernel, .stop = &m->stop, .pack_dir = pack_dir,
                             .packs_checked = packs_checked };
    assert_int_equal(pthread_create(&m->thread, NULL, run_member, m), 0);
}

static void start(member *m, unsigned threads, const char *pack_dir) { start_as(m, threads, pack_dir, 0); }
static void stop(member *m) { __atomic_store_n(&m->stop, 1, __ATOMIC_RELAXED); }

static void join(member *m)
{
    assert_int_equal(pthread_join(m->thread, NULL), 0);
    if (m->status) (void)fprintf(stderr, "%s\n", m->err.text);
    assert_int_equal(m->status, MR_OK);
}

static co_server *open_server(uint32_t lease_ms)
{
    co_server *server = NULL;
    mr_error err;
    log_text[0] = 0;
    const co_config config = { .endpoint = endpoint, .lease_ms = lease_ms, .log = keep_log };
    assert_int_equal(co_server_open(&server, &config, &err), MR_OK);
    return server;
}

static co_job_status pump(co_server *server, uint64_t job, uint64_t until_tiles)
{
    co_job_status status;
    double end = seconds() + 60;
    do {
        mr_error err;
        assert_int_equal(co_server_step(server, 20, &err), MR_OK);
        assert_int_equal(co_server_status(server, job, &status), MR_OK);
    } while (status.state <= CO_JOB_RUNNING && status.tiles_done < until_tiles && seconds() < end);
    return status;
}

static void wait_workers(co_server *server, unsigned count)
{
    double end = seconds() + 30;
    while (co_server_worker_count(server) != count && seconds() < end) assert_int_equal(co_server_step(server, 20, NULL), MR_OK);
    assert_int_equal(co_server_worker_count(server), count);
}

static void assert_same(const mr_film *film)
{
    assert_memory_equal(film->sums, reference.sums, (size_t)3 * picture.width * picture.height * sizeof *film->sums);
}

/* ---- tests ---- */

static void test_two_workers(void **state)
{
    (void)state;
    co_server *server = open_server(0);
    member a, b;
    start(&a, 1, folder);
    start(&b, 2, NULL);
    wait_workers(server, 2);
    uint64_t job;
    mr_error err;
    for (unsigned round = 0; round < 3; round++) { /* the pack: fetched, held, of one tile size and another */
        assert_int_equal(co_server_submit(server, &pack, &picture, round * 7, &job, &err), MR_OK);
        co_job_status status = pump(server, job, UINT64_MAX);
        assert_int_equal(status.state, CO_JOB_DONE);
        assert_int_equal(status.tiles_done, status.tiles);
        assert_int_equal(status.samples_done, (uint64_t)picture.width * picture.height * picture.spp);
        assert_true(status.rays > status.samples_done && status.result_bytes > 0);
        assert_same(co_server_film(server, job));
        co_server_forget(server, job);
        assert_null(co_server_film(server, job));
    }
    co_server_dismiss(server, 5000);
    assert_int_equal(co_server_worker_count(server), 0);
    join(&a);
    join(&b);
    co_server_close(server);
}

/* The first test left the pack in the folder. */
static void test_pack_folder(void **state)
{
    (void)state;
    char hex[2 * MR_HASH_BYTES + 1], path[256];
    mr_hash_hex(pack.header->hash, hex);
    (void)snprintf(path, sizeof path, "%s/%s.pack", folder, hex);
    assert_int_equal(access(path, R_OK), 0);
    for (int damaged = 0; damaged < 3; damaged++) {
        if (damaged == 1) assert_int_equal(truncate(path, 1000), 0);
        co_server *server = open_server(0);
        member a;
        uint64_t job;
        start_as(&a, 1, folder, damaged == 2); /* then it was fetched again and kept; trusted, as the folder is ours alone */
        assert_int_equal(co_server_submit(server, &pack, &picture, 0, &job, NULL), MR_OK);
        assert_int_equal(pump(server, job, UINT64_MAX).state, CO_JOB_DONE);
        assert_same(co_server_film(server, job));
        co_server_dismiss(server, 5000);
        join(&a);
        co_server_close(server);
    }
}

static void test_worker_leaves(void **state)
{
    (void)state;
    co_server *server = open_server(0);
    member a, b;
    uint64_t job;
    start(&a, 1, folder);
    wait_workers(server, 1);
    assert_int_equal(co_server_submit(server, &pack, &picture, 4, &job, NULL), MR_OK);
    (void)pump(server, job, 20);
    stop(&a);
    wait_workers(server, 0);
    join(&a);
    start(&b, 2, folder);
    co_job_status status = pump(server, job, UINT64_MAX);
    assert_int_equal(status.state, CO_JOB_DONE);
    assert_int_equal(status.workers_seen, 2);
    assert_same(co_server_film(server, job));
    assert_non_null(strstr(log_text, "left"));
    co_server_dismiss(server, 5000);
    join(&b);
    co_server_close(server);
}

static void test_coordinator_restarts(void **state)
{
    (void)state;
    co_server *server = open_server(300);
    member a;
    uint64_t job;
    start(&a, 1, folder);
    assert_int_equal(co_server_submit(server, &pack, &picture, 4, &job, NULL), MR_OK);
    (void)pump(server, job, 10);
    co_server_close(server); /* as if killed: nobody is told */
    server = open_server(300);
    assert_int_equal(co_server_submit(server, &pack, &picture, 5, &job, NULL), MR_OK);
    assert_int_equal(pump(server, job, UINT64_MAX).state, CO_JOB_DONE);
    assert_same(co_server_film(server, job));
    co_server_dismiss(server, 5000);
    join(&a);
    co_server_close(server);
}

/* ---- strangers and liars ---- */

static void *dealer(void *context)
{
    int linger = 0;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void say(void *socket, const wire_message *m, const void *payload, size_t payload_bytes)
{
    static uint8_t bytes[WIRE_MAX_HEAD + 4096];
    size_t size = wire_encode(m, bytes, WIRE_MAX_HEAD);
    assert_true(size > 0);
    if (payload_bytes) memcpy(bytes + size, payload, payload_bytes);
    assert_true(zmq_send(socket, bytes, size + payload_bytes, 0) >= 0);
}

static int hear(co_server *server, void *socket, wire_message *m)
{
    static uint8_t bytes[WIRE_MAX_HEAD];
    for (double end = seconds() + 10; seconds() < end;) {
        int got = zmq_recv(socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (got >= 0) return wire_decode(m, bytes, (size_t)got);
        assert_int_equal(co_server_step(server, 10, NULL), MR_OK);
    }
    return -1;
}

/* The next hello of any worker that comes to this ROUTER: its routing id's size, or 0 when none comes within 20 s. */
static int await_hello(void *router, uint8_t id[8])
{
    static wire_message m;
    uint8_t bytes[WIRE_MAX_HEAD];
    int patience_ms = 20000;
    assert_int_equal(zmq_setsockopt(router, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms), 0);
    for (;;) {
        int id_bytes = zmq_recv(router, id, 8, 0);
        if (id_bytes <= 0) return 0;
        int got = zmq_recv(router, bytes, sizeof bytes, 0);
        if (got > 0 && wire_decode(&m, bytes, (size_t)got) == WIRE_OK && m.type == WIRE_HELLO) return id_bytes;
    }
}

/* A coordinator of another version refuses: the worker does not end (an orchestrator would start it over and over), and does not ask again at once. */
static void test_worker_waits_for_its_version(void **state)
{
    (void)state;
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    int linger = 0, id_bytes;
    uint8_t id[8], bytes[WIRE_MAX_HEAD];
    member a;
    assert_int_equal(zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(zmq_bind(router, endpoint), 0);
    start(&a, 1, NULL);
    double asked = 0;
    for (unsigned i = 0; i < 2; i++) {
        id_bytes = await_hello(router, id);
        assert_true(id_bytes > 0);
        if (i) assert_true(seconds() - asked > 1);
        asked = seconds();
        static wire_message m = { .type = WIRE_ERROR, .error = { .code = WIRE_ERROR_VERSION, .text = "another version" } };
        size_t size = wire_encode(&m, bytes, sizeof bytes);
        bytes[2] = WIRE_VERSION + 1;
        assert_int_equal(zmq_send(router, id, (size_t)id_bytes, ZMQ_SNDMORE), id_bytes);
        assert_int_equal(zmq_send(router, bytes, size, 0), (int)size);
    }
    stop(&a);
    join(&a);
    (void)zmq_close(router);
    (void)zmq_ctx_term(context);
}

/* A worker's last words lead to an answer that cannot reach it any more: what it has said after them is read first, so it left and was not lost. */
static void test_goodbye_is_read_first(void **state)
{
    (void)state;
    static wire_message m;
    co_server *server = open_server(0);
    void *context = zmq_ctx_new(), *worker = dealer(context);
    int linger = 5000;
    uint64_t job, epoch = 0;
    assert_int_equal(co_server_submit(server, &pack, &picture, 8, &job, NULL), MR_OK);
    assert_int_equal(zmq_setsockopt(worker, ZMQ_LINGER, &linger, sizeof linger), 0);
    m = (wire_message){ .type = WIRE_HELLO, .hello = { 77, 1, 0, "brief", "here", "none" } };
    say(worker, &m, NULL, 0);
    do {
        assert_int_equal(hear(server, worker, &m), WIRE_OK);
        if (m.type == WIRE_WELCOME) epoch = m.welcome.epoch;
    } while (m.type != WIRE_ASSIGN);
    const wire_message failed = { .type = WIRE_TILE_FAILED, .failed = { epoch, job, m.assign.units[0].lease, m.assign.units[0].unit, "" } }, goodbye = { .type = WIRE_GOODBYE };
    say(worker, &failed, NULL, 0);
    say(worker, &goodbye, NULL, 0);
    (void)zmq_close(worker);
    (void)zmq_ctx_term(context); /* all of it is with the server's ZeroMQ, and the connection closed */
    wait_workers(server, 0);
    assert_non_null(strstr(log_text, "left"));
    assert_null(strstr(log_text, "lost"));
    co_server_close(server);
}

static void test_strangers(void **state)
{
    (void)state;
    static wire_message m;
    co_server *server = open_server(0);
    void *context = zmq_ctx_new(), *stranger = dealer(context);
    uint64_t job;
    assert_int_equal(co_server_submit(server, &pack, &picture, 4, &job, NULL), MR_OK);
    uint8_t noise[64];
    for (unsigned i = 0; i < 2000; i++) {
        for (unsigned k = 0; k < sizeof noise; k++) noise[k] = (uint8_t)rand();
        if (i % 2) memcpy(noise, (uint8_t[]){ 'M', 'R', WIRE_VERSION }, 3);
        if (i % 2 && noise[3] % WIRE_TYPE_END == WIRE_CANCEL) noise[3] = 0;
        (void)zmq_send(stranger, noise, (unsigned)rand() % sizeof noise, i % 5 ? 0 : ZMQ_SNDMORE);
        if (i % 64 == 0) assert_int_equal(co_server_step(server, 1, NULL), MR_OK);
    }
    (void)zmq_close(stranger);
    stranger = dealer(context);
    m = (wire_message){ .type = WIRE_RESULT, .result = { .job = job, .height = 1 } }; /* from no worker we know */
    say(stranger, &m, noise, sizeof noise);
    assert_int_equal(hear(server, stranger, &m), WIRE_OK);
    assert_int_equal(m.type, WIRE_WHO);
    m = (wire_message){ .type = WIRE_STATUS, .job.job = 99 };
    say(stranger, &m, NULL, 0);
    assert_int_equal(hear(server, stranger, &m), WIRE_OK);
    assert_int_equal(m.type, WIRE_ERROR);
    assert_int_equal(zmq_send(stranger, "MR\x09\x04xxxxxxxx", 12, 0), 12); /* another version */
    assert_int_equal(hear(server, stranger, &m), WIRE_OK);
    assert_true(m.type == WIRE_ERROR && m.error.code == WIRE_ERROR_VERSION);
    assert_int_equal(co_server_refused_versions(server), 0); /* no worker's hello */
    m = (wire_message){ .type = WIRE_HELLO, .hello = { .threads = 1 } };
    uint8_t hello[WIRE_MAX_HEAD];
    size_t hello_bytes = wire_encode(&m, hello, sizeof hello);
    hello[2] = WIRE_VERSION + 1;
    assert_int_equal(zmq_send(stranger, hello, hello_bytes, 0), (int)hello_bytes); /* a worker of a later version: told so, and counted */
    assert_int_equal(hear(server, stranger, &m), WIRE_OK);
    assert_true(m.type == WIRE_ERROR && m.error.code == WIRE_ERROR_VERSION);
    assert_int_equal(co_server_refused_versions(server), 1);
    (void)zmq_close(stranger);
    (void)zmq_ctx_term(context);
    member a;
    start(&a, 2, folder);
    assert_int_equal(pump(server, job, UINT64_MAX).state, CO_JOB_DONE);
    assert_same(co_server_film(server, job));
    co_server_dismiss(server, 5000);
    join(&a);
    co_server_close(server);
}

/* A worker that takes tiles and sends rubbish, then falls silent. Its tiles are done by another. */
static void test_bad_worker(void **state)
{
    (void)state;
    static wire_message m;
    co_server *server = open_server(400);
    void *context = zmq_ctx_new(), *bad = dealer(context);
    uint64_t job, epoch = 0;
    assert_int_equal(co_server_submit(server, &pack, &picture, 8, &job, NULL), MR_OK);
    m = (wire_message){ .type = WIRE_HELLO, .hello = { 77, 1, 0, "bad", "here", "none" } };
    say(bad, &m, NULL, 0);
    for (unsigned rubbish = 0; rubbish < 2;) {
        assert_int_equal(hear(server, bad, &m), WIRE_OK);
        if (m.type == WIRE_WELCOME) epoch = m.welcome.epoch;
        if (m.type != WIRE_ASSIGN) continue;
        wire_message r = { .type = WIRE_RESULT, .result = { epoch, job, m.assign.units[0].lease, m.assign.units[0].unit, 0, 0, 1, m.assign.units[0].y, m.assign.units[0].height } };
        say(bad, &r, "\x08rubbish", 8);
        r.result.unit = 1u << 31;
        say(bad, &r, "\x01", 1);
        rubbish++;
    }
    member a;
    start(&a, 1, folder);
    co_job_status status = pump(server, job, UINT64_MAX);
    assert_int_equal(status.state, CO_JOB_DONE);
    assert_true(status.tiles_redone >= 1);
    assert_same(co_server_film(server, job));
    wait_workers(server, 1); /* its lease is over */
    assert_non_null(strstr(log_text, "cannot be read"));
    assert_non_null(strstr(log_text, "silent"));
    (void)zmq_close(bad);
    (void)zmq_ctx_term(context);
    co_server_dismiss(server, 5000);
    join(&a);
    co_server_close(server);
}

/* A connection that breaks is noticed at once, not when the lease is over. */
static void test_broken_connection(void **state)
{
    (void)state;
    static wire_message m;
    co_server *server = open_server(60000);
    void *context = zmq_ctx_new(), *worker = dealer(context);
    m = (wire_message){ .type = WIRE_HELLO, .hello = { 78, 4, 0, "brief", "here", "none" } };
    say(worker, &m, NULL, 0);
    wait_workers(server, 1);
    (void)zmq_close(worker);
    wait_workers(server, 0);
    assert_non_null(strstr(log_text, "connection broke"));
    (void)zmq_ctx_term(context);
    co_server_close(server);
}

/* ---- clients ---- */

typedef struct customer {
    pthread_t thread;
    mr_film film;
    co_job_status job;
    int status, stop;
    mr_error err;
} customer;

static void *run_customer(void *arg)
{
    customer *c = arg;
    const co_client_config config = { .endpoint = endpoint, .stop = &c->stop };
    c->status = co_client_render(&config, &pack, &picture, 16, &c->film, &c->job, &c->err);
    return NULL;
}

static void test_clients(void **state)
{
    (void)state;
    co_server *server = open_server(0);
    member a;
    customer both[2] = { { .status = -1 }, { .status = -1 } };
    start(&a, 2, NULL);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&both[i].thread, NULL, run_customer, &both[i]), 0);
    for (double end = seconds() + 30; seconds() < end;) {
        assert_int_equal(co_server_step(server, 10, NULL), MR_OK);
        if (strstr(log_text, "job 2 done") && !co_server_next_job(server, 0)) break; /* both fetched their film and let go */
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(both[i].thread, NULL), 0);
        assert_int_equal(both[i].status, MR_OK);
        assert_int_equal(both[i].job.state, CO_JOB_DONE);
        assert_same(&both[i].film);
        mr_film_free(&both[i].film);
    }
    co_server_dismiss(server, 5000);
    join(&a);
    co_server_close(server);
}

static void test_client_interrupted(void **state)
{
    (void)state;
    co_server *server = open_server(0);
    customer c = { .status = -1 };
    assert_int_equal(pthread_create(&c.thread, NULL, run_customer, &c), 0);
    while (!co_server_next_job(server, 0)) assert_int_equal(co_server_step(server, 10, NULL), MR_OK);
    __atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
    for (double end = seconds() + 10; co_server_next_job(server, 0) && seconds() < end;) assert_int_equal(co_server_step(server, 10, NULL), MR_OK);
    assert_int_equal(co_server_next_job(server, 0), 0);
    assert_non_null(strstr(log_text, "cancelled"));
    assert_int_equal(pthread_join(c.thread, NULL), 0);
    assert_int_equal(c.status, MR_INTERRUPTED);
    co_server_close(server);
}

static void test_nobody_there(void **state)
{
    (void)state;
    mr_error err;
    mr_film film;
    co_job_status status;
    assert_int_equal(co_client_ping("tcp://127.0.0.1:1", NULL, 200, &err), MR_FAILED);
    assert_non_null(strstr(err.text, "no coordinator at tcp://127.0.0.1:1"));
    const co_client_config config = { .endpoint = "tcp://127.0.0.1:1", .connect_timeout_ms = 200 };
    assert_int_equal(co_client_render(&config, &pack, &picture, 0, &film, &status, &err), MR_FAILED);
    assert_non_null(strstr(err.text, "no coordinator at"));
    wk_config worker = { .endpoint = "tcp://127.0.0.1:1", .threads = 1, .kernel = kernel, .give_up_ms = 200 };
    assert_int_equal(wk_run(&worker, &err), MR_FAILED);
    worker.endpoint = "nonsense";
    assert_int_equal(wk_run(&worker, &err), MR_USAGE);
    assert_int_equal(co_client_ping("nonsense", NULL, 200, &err), MR_USAGE);
}

static void test_port_in_use(void **state)
{
    (void)state;
    co_server *one = NULL, *two = NULL;
    mr_error err;
    co_config config = { .endpoint = "tcp://127.0.0.1:*" };
    assert_int_equal(co_server_open(&one, &config, &err), MR_OK);
    config.endpoint = co_server_endpoint(one);
    assert_null(strchr(config.endpoint, '*'));
    assert_int_equal(co_server_open(&two, &config, &err), MR_FAILED);
    assert_non_null(strstr(err.text, "in use"));
    config.endpoint = "tcp://no such place";
    assert_int_equal(co_server_open(&two, &config, &err), MR_FAILED);
    co_server_close(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_workers),       cmocka_unit_test(test_pack_folder), cmocka_unit_test(test_worker_leaves),
        cmocka_unit_test(test_coordinator_restarts), cmocka_unit_test(test_goodbye_is_read_first), cmocka_unit_test(test_strangers), cmocka_unit_test(test_worker_waits_for_its_version), cmocka_unit_test(test_bad_worker),
        cmocka_unit_test(test_broken_connection), cmocka_unit_test(test_clients),     cmocka_unit_test(test_client_interrupted),
        cmocka_unit_test(test_nobody_there),      cmocka_unit_test(test_port_in_use),
    };
    return cmocka_run_group_tests_name("cluster", tests, make_reference, drop_reference);
}
