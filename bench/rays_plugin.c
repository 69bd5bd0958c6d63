/* The tracer's builder and kernel behind the interface of bench/rtx.h: linked into the benchmarks, and as build/mobyray-rays.so
 * (`make rays-plugin`) for any harness that loads implementations. MOBYRAY_KERNEL chooses the kernel. */
#include "bench/rtx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tracer/bvh.h"

struct rtx_scene {
    void *bytes; /* the section, owned */
    size_t size_bytes;
    const mr_kernel *kernel;
};

enum { BATCH = 4096 };

static int build(mr_bvh *bvh, const float *corners, uint32_t count, mr_error *err)
{
    mr_vertex *vertices = calloc((size_t)count * 3, sizeof *vertices);
    mr_triangle *triangles = calloc(count, sizeof *triangles);
    float bounds[6];
    int status = MR_FAILED;
    if (vertices && triangles) {
        for (uint32_t i = 0; i < 3 * count; i++) {
            memcpy(vertices[i].p, corners + (size_t)i * 3, sizeof vertices[i].p);
            triangles[i / 3].v[i % 3] = i;
        }
        status = mr_bvh_finish(bvh, vertices, triangles, 0, count, NULL, 0, NULL, bounds, err);
    }
    free(vertices);
    free(triangles);
    return status;
}

/* A copy in 2 MiB pages where the system gives them, as a worker's pack has it: far loads then miss the TLB less. */
static void *in_huge_pages(const void *bytes, size_t size)
{
    const size_t page = (size_t)2 << 20;
    size_t room = (size + page - 1) / page * page;
    void *copy = aligned_alloc(page, room);
    if (!copy) abort();
    (void)madvise(copy, room, MADV_HUGEPAGE);
    memcpy(copy, bytes, size);
    return copy;
}

rtx_scene *rtx_own_adopt(mr_bvh *bvh)
{
    mr_error err = {.text = "no memory"};
    rtx_scene *scene = calloc(1, sizeof *scene);
    if (!scene || mr_kernel_pick(&scene->kernel, getenv("MOBYRAY_KERNEL"), &err) != MR_OK) {
        fprintf(stderr, "rays plug-in: %s\n", err.text);
        free(scene);
        mr_bvh_free(bvh);
        return NULL;
    }
    const void *bytes = mr_bvh_bytes(bvh, &scene->size_bytes);
    scene->bytes = in_huge_pages(bytes, scene->size_bytes);
    mr_bvh_free(bvh);
    return scene;
}

rtx_scene *rtx_build(const float *corners, uint32_t count, int quality, int threads)
{
    mr_error err = {.text = "no memory"};
    mr_bvh *bvh = mr_bvh_new(quality ? MR_BVH_HIGH : MR_BVH_MEDIUM, threads);
    if (bvh && build(bvh, corners, count, &err) == MR_OK) return rtx_own_adopt(bvh);
    fprintf(stderr, "rays plug-in: %s\n", err.text);
    mr_bvh_free(bvh);
    return NULL;
}

const mr_kernel *rtx_own_kernel(const rtx_scene *scene, const void **bvh)
{
    *bvh = scene->bytes;
    return scene->kernel;
}

void *rtx_own_scratch(const rtx_scene *scene)
{
    static _Thread_local void *scratch;
    if (!scratch) scratch = aligned_alloc(64, (scene->kernel->scratch_bytes + 63) / 64 * 64);
    if (!scratch) abort();
    return scratch;
}

void rtx_intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    static _Thread_local mr_hit hits[BATCH];
    void *scratch = rtx_own_scratch(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->intersect(scene->bytes, rays + at, n, hits, scratch);
        for (uint32_t i = 0; i < n; i++) out[at + i] = (rtx_hit){hits[i].triangle, hits[i].t};
    }
}

void rtx_occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    static _Thread_local uint8_t blocked[BATCH];
    void *scratch = rtx_own_scratch(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->occluded(scene->bytes, rays + at, n, blocked, scratch);
        for (uint32_t i = 0; i < n; i++) out[at + i] = (rtx_hit){blocked[i] ? 0 : MR_NONE, 0};
    }
}

uint64_t rtx_bytes(const rtx_scene *scene)
{
    return scene->size_bytes;
}

void rtx_free(rtx_scene *scene)
{
    if (!scene) return;
    free(scene->bytes);
    free(scene);
}

const char *rtx_name(void)
{
    return "mobyray";
}

const rtx_api rtx_own = {"mobyray", rtx_build, rtx_intersect, rtx_occluded, rtx_bytes, rtx_free, NULL};
