/* The tracer's builder and kernel behind the five functions of the Embree anchor's plug-in interface, so that both can be measured on
 * the same rays in one run: `make rays-plugin` builds build/mobyray-rays.so, `embree_rays ... --also build/mobyray-rays.so` uses it.
 *
 * The interface is declared here, not included: its header belongs to the anchor. MOBYRAY_KERNEL chooses the kernel. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tracer/bvh.h"
#include "tracer/kernel.h"

typedef struct hit_record {
    uint32_t prim; /* MR_NONE: no hit */
    float t;
} hit_record;

typedef struct rtx_scene {
    mr_bvh *bvh; /* while it is built */
    void *bytes; /* the section, owned */
    size_t size_bytes;
    const mr_kernel *kernel;
} rtx_scene;

enum { BATCH = 4096 };

rtx_scene *rtx_build(const float *triangles, uint32_t count, int quality, int threads);
void rtx_intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, hit_record *out);
void rtx_occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, hit_record *out);
uint64_t rtx_bytes(const rtx_scene *scene);
void rtx_free(rtx_scene *scene);
const char *rtx_name(void);

static int build(rtx_scene *scene, const float *corners, uint32_t count, int quality, int threads, mr_error *err)
{
    mr_vertex *vertices = calloc((size_t)count * 3, sizeof *vertices);
    mr_triangle *triangles = calloc(count, sizeof *triangles);
    float bounds[6];
    int status = MR_FAILED;
    scene->bvh = mr_bvh_new(quality ? MR_BVH_HIGH : MR_BVH_MEDIUM, threads);
    if (vertices && triangles && scene->bvh) {
        for (uint32_t i = 0; i < 3 * count; i++) {
            memcpy(vertices[i].p, corners + (size_t)i * 3, sizeof vertices[i].p);
            triangles[i / 3].v[i % 3] = i;
        }
        status = mr_bvh_finish(scene->bvh, vertices, triangles, 0, count, NULL, 0, NULL, bounds, err);
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

rtx_scene *rtx_build(const float *triangles, uint32_t count, int quality, int threads)
{
    mr_error err = { "no memory" };
    rtx_scene *scene = calloc(1, sizeof *scene);
    if (!scene) return NULL;
    if (mr_kernel_pick(&scene->kernel, getenv("MOBYRAY_KERNEL"), &err) || build(scene, triangles, count, quality, threads, &err)) {
        fprintf(stderr, "rays plug-in: %s\n", err.text);
        rtx_free(scene);
        return NULL;
    }
    const void *bytes = mr_bvh_bytes(scene->bvh, &scene->size_bytes);
    scene->bytes = in_huge_pages(bytes, scene->size_bytes);
    mr_bvh_free(scene->bvh);
    scene->bvh = NULL;
    return scene;
}

/* A thread's scratch, kept until the process ends: the interface has no call to free it in. */
static void *scratch_of(const rtx_scene *scene)
{
    static _Thread_local void *scratch;
    if (!scratch) scratch = aligned_alloc(64, (scene->kernel->scratch_bytes + 63) / 64 * 64);
    if (!scratch) abort();
    return scratch;
}

void rtx_intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, hit_record *out)
{
    static _Thread_local mr_hit hits[BATCH];
    void *scratch = scratch_of(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->intersect(scene->bytes, rays + at, n, hits, scratch);
        for (uint32_t i = 0; i < n; i++) out[at + i] = (hit_record){ hits[i].triangle, hits[i].t };
    }
}

void rtx_occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, hit_record *out)
{
    static _Thread_local uint8_t blocked[BATCH];
    void *scratch = scratch_of(scene);
    for (uint32_t at = 0; at < count; at += BATCH) {
        uint32_t n = count - at < BATCH ? count - at : BATCH;
        scene->kernel->occluded(scene->bytes, rays + at, n, blocked, scratch);
        for (uint32_t i = 0; i < n; i++) out[at + i] = (hit_record){ blocked[i] ? 0 : MR_NONE, 0 };
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
    free(scene->bytes);
    free(scene);
}

const char *rtx_name(void)
{
    return "mobyray";
}
