/* bench/rays: the ray kernels beside Embree's, on the same rays in the same run.
 *
 * For each mesh: the build of each tree (implementation x quality) at each number of threads, then the sets of bench/raysets.h
 * through every tree. Repetitions are the outermost loop, so that all meet the same machine; the ratio is taken within a
 * repetition, against that one of Embree's two trees whose median is the better. Hits are compared with those of Embree's MEDIUM
 * tree: where more than one ray in 50,000 differs, something is wrong, unless the mesh is made of slivers, on whose edges neither
 * side is exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/meshes.h"
#include "bench/raysets.h"
#include "bench/report.h"
#include "cli/cli.h"

static const char *meshes = "terrain:4000000,foliage:1000000,blob:1000000", *also, *output;
static uint32_t side = 512, reps = 5, build_reps = 3;
static arg_list threads = {.value = {1, 2}, .count = 2};

static const arg_option options[] = {
    {"meshes", 0, ARG_TEXT, &meshes, 0, 0, "MESH,...",
     "terrain:N, foliage:N, blob:N (N triangles) or files: .tri or any model (default: 4M, 1M, 1M)"},
    {"side", 0, ARG_COUNT, &side, 8, 8192, "N", "N x N rays a set (default: 512)"},
    {"reps", 0, ARG_COUNT, &reps, 1, BENCH_REPS_MAX, "N", "repetitions of each set (default: 5)"},
    {"build-reps", 0, ARG_COUNT, &build_reps, 1, BENCH_REPS_MAX, "N", "of each build, fewer where one takes seconds (default: 3)"},
    {"threads", 0, ARG_LIST, &threads, 1, BENCH_THREADS_MAX, "N,...", "numbers of threads (default: 1,2)"},
    {"also", 0, ARG_TEXT, &also, 0, 0, "LIB.so", "another implementation of bench/rtx.h"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the results as JSON"},
    {.name = NULL}};

enum { APIS_MAX = 3, TREES_MAX = 2 * APIS_MAX };
static const char *const qualities[2] = {"medium", "high"};

typedef struct tree {
    const rtx_api *api;
    int quality;
    rtx_scene *scene;
    rtx_hit *hits[RAYS_SETS];
    double build_s; /* median, of the number of threads that is being measured, as is */
    double seconds[RAYS_SETS][BENCH_REPS_MAX];
} tree;

typedef struct bench {
    rtx_api other;
    tree trees[TREES_MAX]; /* Embree's first, where there is one */
    unsigned count, embree_count;
    bench_mesh mesh;
    float *corners;
    bench_rays rays;
    cJSON *json; /* of the mesh that is being measured */
} bench;

static void add_trees(bench *b, const rtx_api *api)
{
    for (int q = 0; q < 2; q++) b->trees[b->count++] = (tree){.api = api, .quality = q};
}

/* ---- builds ---- */
static double build_once(const bench *b, tree *t, unsigned thread_count, mr_error *err)
{
    if (t->scene) t->api->release(t->scene);
    double start = cli_now();
    t->scene = t->api->build(b->corners, b->mesh.triangle_count, t->quality, (int)thread_count);
    double seconds = cli_now() - start;
    if (!t->scene) {
        (void)mr_fail(err, MR_FAILED, "%s: %s could not be built by %s", b->mesh.name, qualities[t->quality], t->api->name);
        return -1;
    }
    return t->api->build_seconds ? t->api->build_seconds(t->scene) : seconds;
}

/* Embree's tree of the same quality, or NULL. */
static const tree *peer(const bench *b, const tree *t)
{
    for (unsigned i = 0; i < b->embree_count && t->api != rtx_embree; i++)
        if (b->trees[i].quality == t->quality) return &b->trees[i];
    return NULL;
}

static void report_build(bench *b, tree *t, unsigned thread_count, bench_stat s)
{
    double bytes = (double)t->api->bytes(t->scene);
    const tree *other = peer(b, t);
    cJSON *row = cJSON_CreateObject();
    t->build_s = s.median;
    printf("  %7u %-8s %-6s %9.1f ms (%.1f - %.1f), %5.1f bytes a triangle", thread_count, t->api->name, qualities[t->quality],
           s.median * 1e3, s.least * 1e3, s.greatest * 1e3, bytes / b->mesh.triangle_count);
    if (other) printf("  %.2f and %.2f of Embree's", s.median / other->build_s, bytes / (double)other->api->bytes(other->scene));
    printf("\n");
    (void)fflush(stdout);
    (void)cJSON_AddStringToObject(row, "api", t->api->name);
    (void)cJSON_AddStringToObject(row, "quality", qualities[t->quality]);
    (void)cJSON_AddNumberToObject(row, "threads", thread_count);
    bench_json_stat(row, "seconds", s);
    if (other) (void)cJSON_AddNumberToObject(row, "times_embree", s.median / other->build_s);
    (void)cJSON_AddNumberToObject(row, "bytes_per_triangle", bytes / b->mesh.triangle_count);
    (void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(b->json, "builds"), row);
}

/* Up to build_reps builds, but none once these have taken five seconds; the last one stays. */
static int measure_build(bench *b, tree *t, unsigned thread_count, mr_error *err)
{
    double seconds[BENCH_REPS_MAX], sum = 0;
    unsigned n = 0;
    while (n < build_reps && (n == 0 || sum < 5)) {
        double once = build_once(b, t, thread_count, err);
        if (once < 0) return MR_FAILED;
        sum += seconds[n++] = once;
    }
    report_build(b, t, thread_count, bench_stats(seconds, n));
    return MR_OK;
}

static int measure_builds(bench *b, mr_error *err)
{
    printf("  threads tree              build, median (least - greatest)\n");
    for (int quality = 0; quality < 2; quality++)
        for (unsigned k = 0; k < threads.count; k++)
            for (unsigned i = 0; i < b->count; i++)
                if (b->trees[i].quality == quality && measure_build(b, &b->trees[i], threads.value[k], err) != MR_OK)
                    return MR_FAILED;
    return MR_OK;
}

/* ---- rays ---- */
static void run_set(const bench *b, tree *t, int set, unsigned thread_count, int rep)
{
    const bench_run run = {set == RAYS_SHADOW ? t->api->occluded : t->api->intersect, t->scene, b->rays.set[set], b->rays.count,
                           t->hits[set]};
    double seconds = bench_measure(&run, thread_count);
    if (rep >= 0) t->seconds[set][rep] = seconds;
}

/* The better of Embree's trees on a set, by median; NULL without Embree. */
static const tree *anchor(const bench *b, int set)
{
    const tree *best = NULL;
    double least = INFINITY;
    for (unsigned i = 0; i < b->embree_count; i++) {
        double sorted[BENCH_REPS_MAX];
        memcpy(sorted, b->trees[i].seconds[set], sizeof sorted);
        bench_stat s = bench_stats(sorted, reps);
        if (s.median < least) best = &b->trees[i];
        least = fmin(least, s.median);
    }
    return best;
}

/* A cell of the table, and a row of the JSON. */
static void report_tree(bench *b, const tree *t, int set, unsigned thread_count, const tree *against)
{
    double speed[BENCH_REPS_MAX], ratio[BENCH_REPS_MAX];
    for (uint32_t r = 0; r < reps; r++) speed[r] = b->rays.count / t->seconds[set][r] * 1e-6;
    for (uint32_t r = 0; against && r < reps; r++) ratio[r] = against->seconds[set][r] / t->seconds[set][r];
    bench_stat mrays = bench_stats(speed, reps);
    cJSON *row = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(row, "set", bench_set_names[set]);
    (void)cJSON_AddNumberToObject(row, "threads", thread_count);
    (void)cJSON_AddStringToObject(row, "api", t->api->name);
    (void)cJSON_AddStringToObject(row, "quality", qualities[t->quality]);
    bench_json_stat(row, "mrays_per_s", mrays);
    printf(" %7.2f", mrays.median);
    if (!against || t->api == rtx_embree)
        printf(" (%5.2f - %5.2f)", mrays.least, mrays.greatest);
    else {
        bench_stat times = bench_stats(ratio, reps);
        printf(" x%4.2f (%4.2f - %4.2f)", times.median, times.least, times.greatest);
        bench_json_stat(row, "times_embree", times);
        (void)cJSON_AddStringToObject(row, "against", qualities[against->quality]);
    }
    (void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(b->json, "rays"), row);
}

static void report_set(bench *b, int set, unsigned thread_count)
{
    const tree *against = anchor(b, set);
    printf("  %7u %-8s", thread_count, bench_set_names[set]);
    for (unsigned i = 0; i < b->count; i++) report_tree(b, &b->trees[i], set, thread_count, against);
    printf("\n");
    (void)fflush(stdout);
}

/* One repetition (-1: the warm-up that is thrown away) of everything. */
static void repeat(bench *b, unsigned thread_count, int rep)
{
    for (int set = 0; set < RAYS_SETS; set++)
        for (unsigned i = 0; i < b->count; i++) run_set(b, &b->trees[i], set, thread_count, rep);
}

static void measure_rays(bench *b, unsigned thread_count)
{
    for (int rep = -1; rep < (int)reps; rep++) repeat(b, thread_count, rep);
    for (int set = 0; set < RAYS_SETS; set++) report_set(b, set, thread_count);
}

static void print_ray_head(const bench *b)
{
    printf(
        "  %u rays a set, %.1f %% of the primary rays hit; Mrays/s, x: times the better of Embree's two trees\n  threads rays    ",
        b->rays.count, 100.0 * (double)b->rays.hit_share);
    for (unsigned i = 0; i < b->count; i++)
        printf("  %-8s %-*s", b->trees[i].api->name, i < b->embree_count || !b->embree_count ? 14 : 18,
               qualities[b->trees[i].quality]);
    printf("\n");
}

/* ---- agreement with Embree ---- */
typedef struct difference {
    uint32_t hit_or_miss, distance; /* rays of which one side says hit, the other miss; whose t differ by more than 1e-4 */
} difference;

static difference compare_hits(const rtx_hit *a, const rtx_hit *b, uint32_t n)
{
    difference d = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        int one = a[i].prim != MR_NONE, two = b[i].prim != MR_NONE;
        d.hit_or_miss += one != two;
        d.distance += one && two && fabsf(a[i].t - b[i].t) > 1e-4f * fabsf(a[i].t);
    }
    return d;
}

static void report_agreement(bench *b, const tree *t, int set)
{
    difference d = compare_hits(b->trees[0].hits[set], t->hits[set], b->rays.count);
    int bad = d.hit_or_miss > b->rays.count / 50000;
    cJSON *row = cJSON_CreateObject();
    if (d.hit_or_miss || d.distance)
        printf("  %s %s, %s: %u rays differ from Embree's in hit or miss, %u in distance%s\n", t->api->name, qualities[t->quality],
               bench_set_names[set], d.hit_or_miss, d.distance, bad ? "  (more than 1 in 50,000)" : "");
    (void)cJSON_AddStringToObject(row, "api", t->api->name);
    (void)cJSON_AddStringToObject(row, "quality", qualities[t->quality]);
    (void)cJSON_AddStringToObject(row, "set", bench_set_names[set]);
    (void)cJSON_AddNumberToObject(row, "hit_or_miss_differs", d.hit_or_miss);
    (void)cJSON_AddNumberToObject(row, "distance_differs", d.distance);
    (void)cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(b->json, "agreement"), row);
}

static void report_agreements(bench *b)
{
    for (unsigned i = b->embree_count; b->embree_count && i < b->count; i++)
        for (int set = 0; set < RAYS_SETS; set++) report_agreement(b, &b->trees[i], set);
}

/* ---- one mesh after the other ---- */
static int make_rays(bench *b, mr_error *err)
{
    bench_subject subject = bench_subject_of(b->corners, b->mesh.triangle_count, b->trees[b->embree_count].scene);
    int status = bench_rays_make(&b->rays, &subject, side, err);
    for (unsigned i = 0; status == MR_OK && i < b->count; i++)
        for (int set = 0; set < RAYS_SETS; set++)
            if (!(b->trees[i].hits[set] = calloc(b->rays.count, sizeof(rtx_hit))))
                status = mr_fail(err, MR_FAILED, "out of memory");
    if (status == MR_OK) print_ray_head(b);
    return status;
}

static int measure_mesh(bench *b, mr_error *err)
{
    printf("\n%s: %u triangles\n", b->mesh.name, b->mesh.triangle_count);
    (void)cJSON_AddStringToObject(b->json, "mesh", b->mesh.name);
    (void)cJSON_AddNumberToObject(b->json, "triangles", b->mesh.triangle_count);
    (void)cJSON_AddArrayToObject(b->json, "builds");
    (void)cJSON_AddArrayToObject(b->json, "rays");
    (void)cJSON_AddArrayToObject(b->json, "agreement");
    if (!(b->corners = bench_mesh_corners(&b->mesh))) return mr_fail(err, MR_FAILED, "%s: out of memory", b->mesh.name);
    int status = measure_builds(b, err);
    if (status == MR_OK) status = make_rays(b, err);
    for (unsigned k = 0; status == MR_OK && k < threads.count; k++) measure_rays(b, threads.value[k]);
    if (status == MR_OK) report_agreements(b);
    return status;
}

/* Gives back what belongs to one mesh. */
static void clear(bench *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        for (int set = 0; set < RAYS_SETS; set++) free(b->trees[i].hits[set]);
        if (b->trees[i].scene) b->trees[i].api->release(b->trees[i].scene);
        b->trees[i] = (tree){.api = b->trees[i].api, .quality = b->trees[i].quality};
    }
    bench_rays_free(&b->rays);
    bench_mesh_free(&b->mesh);
    free(b->corners);
    b->corners = NULL;
}

static int measure_all(bench *b, cJSON *list, mr_error *err)
{
    char *names = strdup(meshes), *rest;
    int status = names ? MR_OK : mr_fail(err, MR_FAILED, "out of memory");
    for (char *name = names ? strtok_r(names, ", ", &rest) : NULL; status == MR_OK && name; name = strtok_r(NULL, ", ", &rest)) {
        b->json = cJSON_CreateObject();
        status = bench_mesh_get(&b->mesh, name, err);
        if (status == MR_OK) status = measure_mesh(b, err);
        (void)cJSON_AddItemToArray(list, b->json);
        clear(b);
    }
    free(names);
    return status;
}

static int choose_trees(bench *b, mr_error *err)
{
    if (rtx_embree)
        add_trees(b, rtx_embree);
    else
        printf("This build has no Embree to compare with: install libembree-dev and make again. Ours alone:\n");
    b->embree_count = b->count;
    add_trees(b, &rtx_own);
    int status = also ? rtx_open(&b->other, also, err) : MR_OK;
    if (also && status == MR_OK) add_trees(b, &b->other);
    return status;
}

static int run(mr_error *err)
{
    static bench b;
    const mr_kernel *kernel;
    int status = cli_pick_kernel(&kernel, err);
    if (status != MR_OK) return status;
    cJSON *json =
        bench_head("Ray kernels beside Embree's AVX2 kernels: builds, then rays; medians (least - greatest)", kernel->name);
    status = choose_trees(&b, err);
    if (status == MR_OK) status = measure_all(&b, cJSON_AddArrayToObject(json, "meshes"), err);
    int saved = bench_save(json, status == MR_OK ? output : NULL, err);
    return status == MR_OK ? saved : status;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "rays: measures the ray kernels beside Embree's on the same rays", options, run);
}
