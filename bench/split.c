/* bench/split: how a render's time divides between the ray kernel and everything else.
 *
 * One thread renders whole pictures through mr_render_tile with a kernel whose two functions are wrapped here: the time inside them
 * is the kernel's, the rest is shading, sampling, lights and film. The tracer itself knows nothing of it. Besides the scenes that
 * are named, a blob of a million triangles under a constant sky with 8 bounces and without any sampling of lights: what a plain
 * path tracer does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/meshes.h"
#include "bench/report.h"
#include "cli/cli.h"

static const char *scenes = "scenes/mobydock,scenes/cornell", *folder = "out/bench-blob", *output;
static uint32_t size[2] = {480, 270}, spp = 16, reps = 5, blob_triangles = 1000000;

static const arg_option options[] = {
    {"scenes", 0, ARG_TEXT, &scenes, 0, 0, "SCENE,...", "what to render (default: scenes/mobydock,scenes/cornell)"},
    {"blob", 0, ARG_COUNT, &blob_triangles, 12, 100000000, "N", "triangles of the blob (default: 1000000)"},
    {"folder", 0, ARG_TEXT, &folder, 0, 0, "DIR", "where the blob's scene is written (default: out/bench-blob)"},
    {"size", 0, ARG_SIZE, size, 1, MR_MAX_SIDE, "WxH", "of the pictures (default: 480x270)"},
    {"spp", 0, ARG_COUNT, &spp, 1, MR_MAX_SPP, "N", "samples a pixel (default: 16)"},
    {"reps", 0, ARG_COUNT, &reps, 1, BENCH_REPS_MAX, "N", "renders of each; the medians count (default: 5)"},
    {"output", 'o', ARG_TEXT, &output, 0, 0, "FILE.json", "write the table as JSON"},
    {.name = NULL}};

/* ---- the wrapped kernel ---- */
static const mr_kernel *inner;
static double inner_seconds[2]; /* closest hit, any hit */
static uint64_t inner_rays[2];

static void timed_intersect(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, mr_hit *hits, void *scratch)
{
    double start = cli_now();
    inner->intersect(bvh, pack, rays, count, hits, scratch);
    inner_seconds[0] += cli_now() - start;
    inner_rays[0] += count;
}

static void timed_occluded(const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t count, uint8_t *blocked, void *scratch)
{
    double start = cli_now();
    inner->occluded(bvh, pack, rays, count, blocked, scratch);
    inner_seconds[1] += cli_now() - start;
    inner_rays[1] += count;
}

/* ---- one render ---- */
typedef struct split {
    double seconds, closest_s, any_s;
    uint64_t paths, rays[2];
} split;

static int render_tiles(mr_renderer *renderer, const mr_picture *picture, uint64_t *sums, mr_ray_counts *counts)
{
    enum { TILE = 64 };
    for (uint32_t y = 0; y < picture->height; y += TILE)
        for (uint32_t x = 0; x < picture->width; x += TILE) {
            mr_tile tile = {x,
                            y,
                            picture->width - x < TILE ? picture->width - x : TILE,
                            picture->height - y < TILE ? picture->height - y : TILE,
                            0,
                            picture->spp};
            int status = mr_render_tile(renderer, picture, &tile, sums, counts, NULL);
            if (status != MR_OK) return status;
        }
    return MR_OK;
}

static int render_once(mr_renderer *renderer, const mr_picture *picture, uint64_t *sums, split *out)
{
    mr_ray_counts counts = {0};
    memset(inner_seconds, 0, sizeof inner_seconds);
    memset(inner_rays, 0, sizeof inner_rays);
    double start = cli_now();
    int status = render_tiles(renderer, picture, sums, &counts);
    *out = (split){cli_now() - start, inner_seconds[0], inner_seconds[1], counts.paths, {inner_rays[0], inner_rays[1]}};
    return status;
}

/* ---- tables ---- */
static void report(const char *scene, const split *runs, cJSON *list)
{
    double paths[BENCH_REPS_MAX], kernel[BENCH_REPS_MAX], closest[BENCH_REPS_MAX], any[BENCH_REPS_MAX], rest[BENCH_REPS_MAX];
    for (uint32_t r = 0; r < reps; r++) {
        double trace = runs[r].closest_s + runs[r].any_s;
        paths[r] = (double)runs[r].paths / runs[r].seconds * 1e-6;
        kernel[r] = trace / runs[r].seconds;
        closest[r] = (double)runs[r].rays[0] / runs[r].closest_s * 1e-6;
        any[r] = runs[r].rays[1] ? (double)runs[r].rays[1] / runs[r].any_s * 1e-6 : 0;
        rest[r] = (runs[r].seconds - trace) / trace;
    }
    bench_stat p = bench_stats(paths, reps), k = bench_stats(kernel, reps), c = bench_stats(closest, reps),
               a = bench_stats(any, reps), o = bench_stats(rest, reps);
    double rays_a_path = (double)(runs[0].rays[0] + runs[0].rays[1]) / (double)runs[0].paths;
    printf("%-24s %6.3f (%.3f - %.3f) %9.2f %8.1f %% %9.2f %9.2f %9.2f (%.2f - %.2f)\n", scene, p.median, p.least, p.greatest,
           rays_a_path, 100 * k.median, c.median, a.median, o.median, o.least, o.greatest);
    (void)fflush(stdout);
    cJSON *row = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(row, "scene", scene);
    bench_json_stat(row, "mpaths_per_s", p);
    (void)cJSON_AddNumberToObject(row, "rays_a_path", rays_a_path);
    bench_json_stat(row, "kernel_share", k);
    bench_json_stat(row, "closest_mrays_per_s", c);
    bench_json_stat(row, "any_mrays_per_s", a);
    bench_json_stat(row, "rest_to_kernel", o);
    (void)cJSON_AddItemToArray(list, row);
}

static int measure(const mr_pack *pack, const char *scene, cJSON *list, mr_error *err)
{
    static split runs[BENCH_REPS_MAX];
    const mr_picture picture = {.width = size[0], .height = size[1], .spp = spp};
    mr_kernel timed = *inner;
    timed.intersect = timed_intersect;
    timed.occluded = timed_occluded;
    mr_renderer *renderer = mr_renderer_new(pack, &timed);
    uint64_t *sums = malloc(sizeof *sums * 3 * 64 * 64);
    int status = renderer && sums ? render_once(renderer, &picture, sums, &runs[0]) : mr_fail(err, MR_FAILED, "out of memory");
    for (uint32_t r = 0; status == MR_OK && r < reps; r++) status = render_once(renderer, &picture, sums, &runs[r]);
    if (status == MR_OK) report(scene, runs, list);
    free(sums);
    mr_renderer_free(renderer);
    return status;
}

static int measure_scene(const char *scene, cJSON *list, mr_error *err)
{
    mr_pack pack = {.base = NULL};
    int status = cli_load_scene(&pack, scene, err);
    if (status == MR_OK) status = measure(&pack, scene, list, err);
    mr_pack_close(&pack);
    return status;
}

/* ---- the blob ---- */
static int write_blob(char *path, size_t room, mr_error *err)
{
    static const char scene[] =
        "{\n  \"name\": \"blob\",\n  \"camera\": { \"position\": [1.6, 1.2, 4.6], \"target\": [0, 0, 0], \"fov_deg\": 40 },\n"
        "  \"integrator\": { \"max_bounces\": 8, \"roulette_after\": 8 },\n"
        "  \"materials\": { \"matte\": { \"base_color\": [0.8, 0.8, 0.8], \"roughness\": 1 } },\n"
        "  \"meshes\": { \"blob\": { \"file\": \"blob.ply\", \"material\": \"matte\" },\n"
        "    \"ground\": { \"shape\": \"quad\", \"material\": \"matte\", \"points\": [[-20, -1.5, 20], [20, -1.5, 20], [20, -1.5, "
        "-20], [-20, -1.5, -20]] } },\n"
        "  \"objects\": [ { \"mesh\": \"blob\" }, { \"mesh\": \"ground\" } ],\n"
        "  \"lights\": [ { \"type\": \"constant\", \"radiance\": [1, 1, 1] } ]\n}";
    bench_mesh mesh;
    char ply[4096];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return mr_fail(err, MR_FAILED, "%s: cannot be made: %s", folder, strerror(errno));
    if (snprintf(path, room, "%s/scene.json", folder) >= (int)room ||
        snprintf(ply, sizeof ply, "%s/blob.ply", folder) >= (int)sizeof ply)
        return mr_fail(err, MR_FAILED, "%s: the name is too long", folder);
    int status = bench_mesh_generate(&mesh, "blob", blob_triangles, err);
    if (status != MR_OK) return status;
    status = bench_mesh_save_ply(&mesh, ply, err);
    bench_mesh_free(&mesh);
    return status == MR_OK ? cli_write_file(path, scene, err) : status;
}

/* The pack without its light: the sky is still seen by paths that leave the scene, but with a chance of 0 to have been sampled. */
static int measure_blob(cJSON *list, mr_error *err)
{
    static mr_light unsampled;
    char path[4096];
    mr_pack pack = {.base = NULL};
    int status = write_blob(path, sizeof path, err);
    if (status == MR_OK) status = cli_load_scene(&pack, path, err);
    if (status == MR_OK) {
        mr_pack plain = pack;
        unsampled = pack.lights[pack.environment->light];
        unsampled.probability = 0;
        plain.lights = &unsampled;
        plain.light_count = 0;
        status = measure(&plain, "blob, no light sampling", list, err);
        if (status == MR_OK) status = measure(&pack, "blob", list, err);
    }
    mr_pack_close(&pack);
    return status;
}

static int measure_scenes(cJSON *list, mr_error *err)
{
    char *names = strdup(scenes), *rest;
    int status = names ? MR_OK : mr_fail(err, MR_FAILED, "out of memory");
    for (char *name = names ? strtok_r(names, ", ", &rest) : NULL; status == MR_OK && name; name = strtok_r(NULL, ", ", &rest))
        status = measure_scene(name, list, err);
    free(names);
    return status == MR_OK ? measure_blob(list, err) : status;
}

static int run(mr_error *err)
{
    int status = cli_pick_kernel(&inner, err);
    if (status != MR_OK) return status;
    cJSON *json = bench_head("One thread: time in the ray kernel and outside of it; medians (least - greatest)", inner->name);
    printf("%ux%u, %u samples a pixel, %u renders\n\n%-24s %22s %9s %10s %9s %9s %s\n", size[0], size[1], spp, reps, "scene",
           "Mpaths/s", "rays/path", "in kernel", "closest", "any hit", "rest / kernel");
    status = measure_scenes(cJSON_AddArrayToObject(json, "scenes"), err);
    int saved = bench_save(json, status == MR_OK ? output : NULL, err);
    return status == MR_OK ? saved : status;
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, "split: measures how a render's time divides between the ray kernel and the rest", options, run);
}
