/* Embree 3 behind the interface of bench/rtx.h: the anchor that our kernels are measured against.
 *
 * Single rays through rtcIntersect1 and rtcOccluded1, static triangles, FTZ and DAZ left to the caller. The AVX2 kernels are asked
 * for: on AVX-512 machines Embree's default is its AVX-512 build, which was slower on every mesh tried, and the better one is the
 * bar. Embree's kernels are not watertight in this mode; ours always are. Built where libembree-dev is installed (the Makefile says
 * so). */
#include "bench/rtx.h"

#ifndef BENCH_EMBREE

const rtx_api *const rtx_embree = NULL;

#else

#include <embree3/rtcore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

/* Really what an rtx_scene of this implementation is; each has a device of its own, for its number of threads. */
typedef struct embree_scene {
    RTCDevice device;
    RTCScene scene;
    uint32_t *indices; /* Embree reads them and the caller's corners in place */
    _Atomic long long bytes;
    double seconds; /* of rtcCommitScene */
} embree_scene;

static bool on_memory(void *user, ssize_t bytes, bool after)
{
    (void)after;
    ((embree_scene *)user)->bytes += bytes;
    return true;
}

static void on_error(void *user, enum RTCError code, const char *text)
{
    (void)user;
    fprintf(stderr, "embree: error %d: %s\n", (int)code, text);
    exit(MR_FAILED);
}

static void attach_triangles(embree_scene *s, const float *corners, uint32_t count, enum RTCBuildQuality quality)
{
    RTCGeometry g = rtcNewGeometry(s->device, RTC_GEOMETRY_TYPE_TRIANGLE);
    for (uint32_t i = 0; i < 3 * count; i++) s->indices[i] = i;
    rtcSetSharedGeometryBuffer(g, RTC_BUFFER_TYPE_VERTEX, 0, RTC_FORMAT_FLOAT3, corners, 0, 12, (size_t)count * 3);
    rtcSetSharedGeometryBuffer(g, RTC_BUFFER_TYPE_INDEX, 0, RTC_FORMAT_UINT3, s->indices, 0, 12, count);
    rtcSetGeometryBuildQuality(g, quality);
    rtcCommitGeometry(g);
    (void)rtcAttachGeometry(s->scene, g);
    rtcReleaseGeometry(g);
}

static rtx_scene *build(const float *corners, uint32_t count, int quality, int threads)
{
    char config[64];
    enum RTCBuildQuality q = quality ? RTC_BUILD_QUALITY_HIGH : RTC_BUILD_QUALITY_MEDIUM;
    embree_scene *s = calloc(1, sizeof *s);
    (void)snprintf(config, sizeof config, "isa=avx2,threads=%d", threads);
    if (s) s->indices = malloc((size_t)count * 12);
    if (!s || !s->indices || !(s->device = rtcNewDevice(config))) {
        fprintf(stderr, "embree: no device\n");
        if (s) free(s->indices);
        free(s);
        return NULL;
    }
    rtcSetDeviceErrorFunction(s->device, on_error, NULL);
    rtcSetDeviceMemoryMonitorFunction(s->device, on_memory, s);
    s->scene = rtcNewScene(s->device);
    rtcSetSceneBuildQuality(s->scene, q);
    attach_triangles(s, corners, count, q);
    double start = cli_now();
    rtcCommitScene(s->scene);
    s->seconds = cli_now() - start;
    return (rtx_scene *)s;
}

static void intersect(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    struct RTCIntersectContext context;
    rtcInitIntersectContext(&context);
    for (uint32_t i = 0; i < count; i++) {
        const mr_ray *r = &rays[i];
        struct RTCRayHit q = {.ray = {.org_x = r->org[0],
                                      .org_y = r->org[1],
                                      .org_z = r->org[2],
                                      .tnear = r->tmin,
                                      .dir_x = r->dir[0],
                                      .dir_y = r->dir[1],
                                      .dir_z = r->dir[2],
                                      .tfar = r->tmax,
                                      .mask = ~0u}};
        q.hit.geomID = q.hit.instID[0] = RTC_INVALID_GEOMETRY_ID;
        rtcIntersect1(((const embree_scene *)scene)->scene, &context, &q);
        out[i] = (rtx_hit){q.hit.geomID == RTC_INVALID_GEOMETRY_ID ? MR_NONE : q.hit.primID, q.ray.tfar};
    }
}

static void occluded(const rtx_scene *scene, const mr_ray *rays, uint32_t count, rtx_hit *out)
{
    struct RTCIntersectContext context;
    rtcInitIntersectContext(&context);
    for (uint32_t i = 0; i < count; i++) {
        const mr_ray *r = &rays[i];
        struct RTCRay q = {.org_x = r->org[0],
                           .org_y = r->org[1],
                           .org_z = r->org[2],
                           .tnear = r->tmin,
                           .dir_x = r->dir[0],
                           .dir_y = r->dir[1],
                           .dir_z = r->dir[2],
                           .tfar = r->tmax,
                           .mask = ~0u};
        rtcOccluded1(((const embree_scene *)scene)->scene, &context, &q);
        out[i] = (rtx_hit){q.tfar < 0 ? 0 : MR_NONE, 0};
    }
}

static uint64_t bytes(const rtx_scene *scene)
{
    return (uint64_t)((const embree_scene *)scene)->bytes;
}

static double build_seconds(const rtx_scene *scene)
{
    return ((const embree_scene *)scene)->seconds;
}

static void release(rtx_scene *scene)
{
    embree_scene *s = (embree_scene *)scene;
    if (!s) return;
    rtcReleaseScene(s->scene);
    rtcReleaseDevice(s->device);
    free(s->indices);
    free(s);
}

static const rtx_api api = {"embree", build, intersect, occluded, bytes, release, build_seconds};
const rtx_api *const rtx_embree = &api;

#endif
