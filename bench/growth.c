/* bench/growth: what rays cost as the scene grows.
 *
 * A terrain from ten thousand to ten million triangles, then a grid of ten to a million instances of one blob: Mrays/s of each set
 * of bench/raysets.h on one thread, the gain of the second, bytes and seconds of the build. A BVH's rays should cost a + b log2 n,
 * so that line is fitted to the nanoseconds a ray, and its residual says how well it holds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/meshes.h"
#include "bench/raysets.h"
#include "bench/report.h"
#include "cli/cli.h"
#include "tracer/bvh.h"
#include "tracer/vec.h"

enum { STEPS_MAX = 16, INSTANCE_TRIANGLES = 1200 };

static const char *kind = "terrain", *output;
static uint32_t side = 512, reps = 5, most_triangles = 10000000, most_instances = 1000000;

static const arg_option options[] = {
    {"mesh", 0, ARG_TEXT, &kind, 0, 0, "KIND", "terrain, foliage or blob (default: terrain)"},
    {"triangles", 0, ARG_COUNT, &most_triangles, 10000, 100000000, "N", "the largest mesh (default: 10000000)"},
    {"instances", 0, ARG_COUNT, &most_instances, 10, 3000000, "N", "the largest number of instances (default: 1000000)"},
    {"side", 0, ARG_COUNT, &side, 8, 8192, "N", "N x N rays a set (default: 512)"},
    {"reps", 0, ARG_COUNT, &reps, 1, BENCH_REPS_MAX, "N", "repetitions; the medians count (default: 5)"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the tables as JSON"},
    {.name = NULL}};

/* One size of scene. */
typedef struct step {
    uint32_t n;              /* triangles or instances */
    double build_seconds[2]; /* 1 thread, 2 threads; 0: not measured */
    double bytes;            /* a triangle, or an instance */
    bench_stat mrays[RAYS_SETS];
    double two_threads[RAYS_SETS]; /* times the speed of one */
} step;

typedef struct table {
    const char *unit;
    step steps[STEPS_MAX];
    unsigned count;
} table;

/* ---- rays ---- */
static int measure_set(step *s, const bench_rays *rays, int set, const rtx_scene *scene, rtx_query *query, mr_error *err)
{
    double speed[BENCH_REPS_MAX], gain[BENCH_REPS_MAX];
    bench_run run = {query, scene, rays->set[set], rays->count, malloc(rays->count * sizeof(rtx_hit))};
    if (!run.hits) return mr_fail(err, MR_FAILED, "out of memory");
    (void)bench_measure(&run, 1);
    for (uint32_t r = 0; r < reps; r++) {
        double one = bench_measure(&run, 1), two = bench_measure(&run, 2);
        speed[r] = rays->count / one * 1e-6;
        gain[r] = one / two;
    }
    s->mrays[set] = bench_stats(speed, reps);
    s->two_threads[set] = bench_stats(gain, reps).median;
    free(run.hits);
    return MR_OK;
}

static int measure_sets(step *s, const bench_subject *subject, mr_error *err)
{
    bench_rays rays;
    int status = bench_rays_make(&rays, subject, side, err);
    if (status != MR_OK) return status;
    for (int set = 0; status == MR_OK && set < RAYS_SETS; set++)
        status = measure_set(s, &rays, set, subject->scene, set == RAYS_SHADOW ? rtx_occluded : subject->intersect, err);
    bench_rays_free(&rays);
    return status;
}

/* ---- triangles ---- */
static rtx_scene *build_timed(step *s, const float *corners, uint32_t count, unsigned thread_count)
{
    double start = cli_now();
    rtx_scene *scene = rtx_build(corners, count, MR_BVH_MEDIUM, (int)thread_count);
    s->build_seconds[thread_count - 1] = cli_now() - start;
    return scene;
}

static int measure_triangles(step *s, uint32_t n, mr_error *err)
{
    bench_mesh mesh;
    int status = bench_mesh_generate(&mesh, kind, n, err);
    if (status != MR_OK) return status;
    float *corners = bench_mesh_corners(&mesh);
    uint32_t count = s->n = mesh.triangle_count;
    bench_mesh_free(&mesh);
    if (corners) rtx_free(build_timed(s, corners, count, 1));
    rtx_scene *scene = corners ? build_timed(s, corners, count, 2) : NULL;
    status = scene ? MR_OK : mr_fail(err, MR_FAILED, "%u triangles: out of memory", n);
    if (scene) {
        bench_subject subject = bench_subject_of(corners, count, scene);
        s->bytes = (double)rtx_bytes(scene) / count;
        status = measure_sets(s, &subject, err);
    }
    rtx_free(scene);
    free(corners);
    return status;
}

/* ---- instances ---- */
typedef struct crowd {
    mr_vertex *vertices;
    mr_triangle *triangles;
    uint32_t triangle_count;
    mr_instance *instances; /* 0: the world */
    float (*mesh_bounds)[6];
    uint32_t instance_count;
    float lo[3], hi[3];
    rtx_scene *scene;
} crowd;

/* A hit's primitive: instance and triangle in one number. */
static void intersect_instances(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    static _Thread_local mr_hit hits[BENCH_CHUNK];
    const void *bvh;
    const mr_kernel *kernel = rtx_own_kernel(scene, &bvh);
    for (uint32_t at = 0; at < count; at += BENCH_CHUNK) {
        uint32_t n = count - at < BENCH_CHUNK ? count - at : BENCH_CHUNK;
        kernel->intersect(bvh, NULL, rays + at, n, hits, rtx_own_scratch(scene));
        for (uint32_t i = 0; i < n; i++)
            out[at + i] = (rtx_hit){
                hits[i].triangle == MR_NONE ? MR_NONE : hits[i].instance * INSTANCE_TRIANGLES + hits[i].triangle, hits[i].t};
    }
}

static void instance_normal(const void *user, uint32_t prim, float n[3])
{
    const crowd *c = user;
    const mr_triangle *t = &c->triangles[prim % INSTANCE_TRIANGLES];
    vec3 a = v3_of(c->vertices[t->v[0]].p), b = v3_of(c->vertices[t->v[1]].p), d = v3_of(c->vertices[t->v[2]].p);
    vec3 world = v3_unit(m34_transposed(c->instances[prim / INSTANCE_TRIANGLES].to_object, v3_cross(v3_sub(b, a), v3_sub(d, a))));
    memcpy(n, (const float[3]){world.x, world.y, world.z}, 3 * sizeof *n);
}

/* The i-th cell of a cube of cells, one unit a side: moved within it, turned about the vertical by a Pythagorean angle, scaled. */
static mr_instance place(uint32_t i, uint32_t cells)
{
    static const float turns[4][2] = {{1, 0}, {0.6f, 0.8f}, {-0.28f, 0.96f}, {0.8f, -0.6f}};
    const float *turn = turns[bench_hash(i) & 3], scale = 0.2f + 0.1f * bench_unit(5 * i + 1), c = scale * turn[0],
                s = scale * turn[1], k = 1.0f / (scale * scale);
    const uint32_t cell[3] = {i % cells, i / cells % cells, i / cells / cells};
    float p[3];
    for (uint32_t axis = 0; axis < 3; axis++) p[axis] = (float)cell[axis] + 0.2f * bench_unit(5 * i + 2 + axis);
    const float x = p[0], y = p[1], z = p[2];
    mr_instance in = {
        .to_world = {c, 0, s, x, 0, scale, 0, y, -s, 0, c, z}, .material = MR_NONE, .light = MR_NONE, .tint = {1, 1, 1}};
    const float inverse[12] = {c * k, 0, -s * k, k * (s * z - c * x), 0, 1 / scale, 0, -y / scale,
                               s * k, 0, c * k,  -k * (s * x + c * z)};
    memcpy(in.to_object, inverse, sizeof inverse);
    return in;
}

static int take_mesh(crowd *c, mr_error *err)
{
    bench_mesh mesh;
    int status = bench_mesh_generate(&mesh, "blob", INSTANCE_TRIANGLES, err);
    if (status != MR_OK) return status;
    c->vertices = calloc(mesh.vertex_count, sizeof *c->vertices);
    c->triangles = calloc(mesh.triangle_count, sizeof *c->triangles);
    c->triangle_count = mesh.triangle_count;
    if (!c->vertices || !c->triangles) status = mr_fail(err, MR_FAILED, "out of memory");
    for (uint32_t i = 0; status == MR_OK && i < mesh.vertex_count; i++)
        memcpy(c->vertices[i].p, mesh.positions + (size_t)3 * i, sizeof c->vertices[i].p);
    for (uint32_t i = 0; status == MR_OK && i < mesh.triangle_count; i++)
        memcpy(c->triangles[i].v, mesh.indices + (size_t)3 * i, sizeof c->triangles[i].v);
    bench_mesh_free(&mesh);
    return status;
}

static int place_all(crowd *c, uint32_t n, uint32_t root, const float bounds[6], mr_error *err)
{
    uint32_t cells = (uint32_t)ceil(cbrt((double)n));
    c->instance_count = n + 1;
    c->instances = calloc(c->instance_count, sizeof *c->instances);
    c->mesh_bounds = calloc(c->instance_count, sizeof *c->mesh_bounds);
    if (!c->instances || !c->mesh_bounds) return mr_fail(err, MR_FAILED, "out of memory");
    for (uint32_t i = 1; i <= n; i++) {
        c->instances[i] = place(i - 1, cells);
        c->instances[i].bvh_root = root;
        memcpy(c->mesh_bounds[i], bounds, sizeof c->mesh_bounds[i]);
    }
    return MR_OK;
}

/* The tree of the blob and of n instances of it; the seconds are those of the upper tree. */
static int build_crowd(crowd *c, step *s, uint32_t n, mr_error *err)
{
    uint32_t root;
    float mesh_bounds[6], bounds[6];
    mr_bvh *bvh = mr_bvh_new(MR_BVH_MEDIUM, 2);
    int status = bvh ? take_mesh(c, err) : mr_fail(err, MR_FAILED, "out of memory");
    if (status == MR_OK) status = mr_bvh_add_mesh(bvh, c->vertices, c->triangles, 0, c->triangle_count, &root, mesh_bounds, err);
    if (status == MR_OK) status = place_all(c, n, root, mesh_bounds, err);
    double start = cli_now();
    if (status == MR_OK)
        status = mr_bvh_finish(bvh, c->vertices, c->triangles, c->triangle_count, 0, c->instances, c->instance_count,
                               (const float(*)[6])c->mesh_bounds, bounds, err);
    s->build_seconds[1] = cli_now() - start;
    if (status != MR_OK) {
        mr_bvh_free(bvh);
        return status;
    }
    memcpy(c->lo, bounds, sizeof c->lo);
    memcpy(c->hi, bounds + 3, sizeof c->hi);
    c->scene = rtx_own_adopt(bvh);
    return c->scene ? MR_OK : mr_fail(err, MR_FAILED, "%u instances could not be built", n);
}

static int measure_instances(step *s, uint32_t n, mr_error *err)
{
    crowd c = {.scene = NULL};
    s->n = n;
    int status = build_crowd(&c, s, n, err);
    if (status == MR_OK) {
        bench_subject subject = {.scene = c.scene, .intersect = intersect_instances, .normal = instance_normal, .user = &c};
        memcpy(subject.lo, c.lo, sizeof c.lo);
        memcpy(subject.hi, c.hi, sizeof c.hi);
        s->bytes = (double)rtx_bytes(c.scene) / n;
        status = measure_sets(s, &subject, err);
    }
    rtx_free(c.scene);
    free(c.instances);
    free(c.mesh_bounds);
    free(c.vertices);
    free(c.triangles);
    return status;
}

/* ---- tables ---- */
static void print_head(const char *title, const char *unit)
{
    printf("\n%s; Mrays/s of one thread, x: times that with two\n%10s %8s %9s %9s", title, unit, "bytes", "build 1", "build 2");
    for (int set = 0; set < RAYS_SETS; set++) printf(" %8s    x", bench_set_names[set]);
    printf("\n");
    (void)fflush(stdout);
}

static void print_step(const step *s)
{
    printf("%10u %8.1f", s->n, s->bytes);
    for (int i = 0; i < 2; i++) {
        if (s->build_seconds[i] > 0)
            printf(" %8.3fs", s->build_seconds[i]);
        else
            printf(" %9s", "");
    }
    for (int set = 0; set < RAYS_SETS; set++) printf(" %8.2f %4.2f", s->mrays[set].median, s->two_threads[set]);
    printf("\n");
    (void)fflush(stdout);
}

static cJSON *json_step(const step *s)
{
    cJSON *json = cJSON_CreateObject(), *two = cJSON_AddObjectToObject(json, "two_threads_times"),
          *mrays = cJSON_AddObjectToObject(json, "mrays_per_s");
    (void)cJSON_AddNumberToObject(json, "n", s->n);
    (void)cJSON_AddNumberToObject(json, "bytes_each", s->bytes);
    if (s->build_seconds[0] > 0) (void)cJSON_AddNumberToObject(json, "build_seconds_1", s->build_seconds[0]);
    (void)cJSON_AddNumberToObject(json, "build_seconds_2", s->build_seconds[1]);
    for (int set = 0; set < RAYS_SETS; set++) {
        bench_json_stat(mrays, bench_set_names[set], s->mrays[set]);
        (void)cJSON_AddNumberToObject(two, bench_set_names[set], s->two_threads[set]);
    }
    return json;
}

/* Nanoseconds a ray against log2 n. */
static void fit_set(const table *t, int set, cJSON *json)
{
    double x[STEPS_MAX], y[STEPS_MAX], mean = 0;
    for (unsigned i = 0; i < t->count; i++) {
        x[i] = log2(t->steps[i].n);
        y[i] = 1e3 / t->steps[i].mrays[set].median;
        mean += y[i] / t->count;
    }
    bench_fit f = bench_fit_line(x, y, t->count);
    cJSON *fit = cJSON_AddObjectToObject(json, bench_set_names[set]);
    printf("  %-8s %7.1f + %6.2f log2(%s) ns a ray, residual %.1f ns (%.0f %% of the mean)\n", bench_set_names[set], f.a, f.b,
           t->unit, f.rms, 100 * f.rms / mean);
    (void)cJSON_AddNumberToObject(fit, "a_ns", f.a);
    (void)cJSON_AddNumberToObject(fit, "b_ns", f.b);
    (void)cJSON_AddNumberToObject(fit, "residual_ns", f.rms);
}

static void report_table(const table *t, cJSON *json)
{
    cJSON *object = cJSON_AddObjectToObject(json, t->unit), *list = cJSON_AddArrayToObject(object, "steps"),
          *fits = cJSON_AddObjectToObject(object, "fit");
    for (unsigned i = 0; i < t->count; i++) (void)cJSON_AddItemToArray(list, json_step(&t->steps[i]));
    for (int set = 0; set < RAYS_SETS; set++) fit_set(t, set, fits);
}

/* Measures n = first, and 3.2 and 10 times more, and so on up to most. */
static int measure_table(table *t, uint32_t first, uint32_t most, double factor, int (*measure)(step *s, uint32_t n, mr_error *err),
                         mr_error *err)
{
    for (double n = first; n <= most * 1.01 && t->count < STEPS_MAX; n *= factor) {
        step *s = &t->steps[t->count];
        int status = measure(s, (uint32_t)(n + 0.5), err);
        if (status != MR_OK) return status;
        t->count++;
        print_step(s);
    }
    return MR_OK;
}

static int run(mr_error *err)
{
    static table triangles = {.unit = "triangles"}, instances = {.unit = "instances"};
    const mr_kernel *kernel;
    int status = cli_pick_kernel(&kernel, err);
    if (status != MR_OK) return status;
    cJSON *json = bench_head("Cost of rays as the scene grows", kernel->name);
    (void)cJSON_AddStringToObject(json, "mesh", kind);
    print_head(kind, "triangles");
    status = measure_table(&triangles, 10000, most_triangles, sqrt(10), measure_triangles, err);
    if (status == MR_OK) {
        report_table(&triangles, json);
        print_head("instances of a blob of 1,200 triangles", "instances");
        status = measure_table(&instances, 10, most_instances, 10, measure_instances, err);
    }
    if (status == MR_OK) report_table(&instances, json);
    int saved = bench_save(json, status == MR_OK ? output : NULL, err);
    return status == MR_OK ? saved : status;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "growth: measures what rays cost as the scene grows", options, run);
}
