/* The tracer's builder and kernel behind the interface of bench/rtx.h: linked into the benchmarks, and as build/mobyray-rays.so
 * (`make rays-plugin`) for any harness that loads implementations. MOBYRAY_KERNEL chooses the kernel. */
#include "bench/rtx.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tracer/bvh.h"

struct rtx_scene {
    mr_bvh *bvh;
    const void *bytes; /* the section, in bvh */
    size_t size_bytes;
    const mr_kernel *kernel;
};

enum { BATCH = 4096 };

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
    scene->bvh = bvh;
    scene->bytes = mr_bvh_bytes(bvh, &scene->size_bytes);
    return scene;
}

rtx_scene *rtx_build(const float *corners, uint32_t count, int quality, int threads)
{
    mr_error err = {.text = "no memory"};
    mr_bvh *bvh = mr_bvh_new(quality ? MR_BVH_HIGH : MR_BVH_MEDIUM, threads);
    float bounds[6];
    if (bvh && mr_bvh_finish_soup(bvh, corners, count, bounds, &err) == MR_OK) return rtx_own_adopt(bvh);
    fprintf(stderr, "rays plug-in: %s\n", err.text);
    mr_bvh_free(bvh);
    return NULL;
}

const mr_kernel *rtx_own_kernel(const rtx_scene *scene, const void **bvh)
{
    *bvh = scene->bytes;
    return scene->kernel;
}

static pthread_key_t scratch_key;

static void make_scratch_key(void)
{
    if (pthread_key_create(&scratch_key, free)) abort();
}

/* A thread's own, freed with it. */
void *rtx_own_scratch(const rtx_scene *scene)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static _Thread_local void *scratch;
    if (scratch) return scratch;
    (void)pthread_once(&once, make_scratch_key);
    scratch = aligned_alloc(64, (scene->kernel->scratch_bytes + 63) / 64 * 64);
    if (!scratch || pthread_setspecific(scratch_key, scratch)) abort();
    return scratch;
}

void rtx_intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    static _Thread_local mr_hit hits[BATCH];
    void *scratch = rtx_own_scratch(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->intersect(scene->bytes, NULL, rays + at, n, hits, scratch);
        for (uint32_t i = 0; i < n; i++) out[at + i] = (rtx_hit){hits[i].triangle, hits[i].t};
    }
}

void rtx_occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    static _Thread_local uint8_t blocked[BATCH];
    void *scratch = rtx_own_scratch(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->occluded(scene->bytes, NULL, rays + at, n, blocked, scratch);
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
    mr_bvh_free(scene->bvh);
    free(scene);
}

const char *rtx_name(void)
{
    return "mobyray";
}

const rtx_api rtx_own = {"mobyray", rtx_build, rtx_intersect, rtx_occluded, rtx_bytes, rtx_free, NULL};
