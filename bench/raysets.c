#include "bench/raysets.h"

#include <math.h>
#include <stdlib.h>

#include "bench/meshes.h"
#include "tracer/vec.h"

const char *const bench_set_names[RAYS_SETS] = {"primary", "diffuse", "shadow"};

static const float FAR = 1e30f, HALF_FOV_TANGENT = 0.46630766f; /* 25 degrees */

typedef struct view {
    vec3 eye, right, up, forward; /* unit */
    vec3 light, light_u, light_v; /* centre and half sides of the square light */
    float epsilon;
} view;

/* From the front, a little from the side and from above, so that the box fills the picture. */
static view view_of(const bench_subject *subject)
{
    view v;
    vec3 lo = v3_of(subject->lo), hi = v3_of(subject->hi), middle = v3_scale(v3_add(lo, hi), 0.5f), extent = v3_sub(hi, lo);
    float diagonal = v3_length(extent);
    vec3 towards = v3_unit(v3(0.35f, 0.25f, 1.0f));
    v.eye = v3_mad(towards, 0.42f * diagonal / HALF_FOV_TANGENT, middle);
    v.forward = v3_neg(towards);
    v.right = v3_unit(v3_cross(v.forward, v3(0, 1, 0)));
    v.up = v3_cross(v.right, v.forward);
    v.light = v3_add(middle, v3(0, 0.5f * extent.y + 0.4f * diagonal, 0));
    v.light_u = v3(0.25f * diagonal, 0, 0);
    v.light_v = v3(0, 0, 0.25f * diagonal);
    v.epsilon = 1e-5f * diagonal;
    return v;
}

static mr_ray ray(vec3 o, float tmin, vec3 d, float tmax)
{
    return (mr_ray){{o.x, o.y, o.z}, tmin, {d.x, d.y, d.z}, tmax};
}

/* Ray i: tiles row by row, Morton order within a tile, so that eight in a row are 4 x 2 pixels. */
static mr_ray primary(const view *v, uint32_t i, uint32_t side)
{
    uint32_t tile = i / 64, k = i % 64;
    uint32_t x = tile % (side / 8) * 8 + ((k & 1) | (k >> 1 & 2) | (k >> 2 & 4)),
             y = tile / (side / 8) * 8 + ((k >> 1 & 1) | (k >> 2 & 2) | (k >> 3 & 4));
    float half = HALF_FOV_TANGENT, sx = half * (2.0f * ((float)x + 0.5f) / (float)side - 1.0f),
          sy = half * (1.0f - 2.0f * ((float)y + 0.5f) / (float)side);
    return ray(v->eye, 0, v3_unit(v3_mad(v->right, sx, v3_mad(v->up, sy, v->forward))), FAR);
}

/* Just off the surface that the ray hit, on the ray's side; n receives the unit normal of that side. */
static vec3 leave(const bench_subject *subject, const view *v, const mr_ray *r, const rtx_hit *hit, vec3 *n)
{
    float normal[3];
    vec3 d = v3_of(r->dir);
    subject->normal(subject->user, hit->prim, normal);
    *n = v3_unit(v3_of(normal));
    if (v3_dot(*n, d) > 0) *n = v3_neg(*n);
    return v3_mad(*n, v->epsilon, v3_mad(d, hit->t, v3_of(r->org)));
}

/* Cosine-distributed about n: a point on a sphere that touches the surface. */
static vec3 cosine_direction(vec3 n, uint32_t seed)
{
    vec3 p;
    do {
        seed = bench_hash(seed + 0x2545F49u);
        p = v3(2.0f * bench_unit(seed) - 1.0f, 2.0f * bench_unit(seed + 1) - 1.0f, 2.0f * bench_unit(seed + 2) - 1.0f);
    } while (v3_dot(p, p) > 1.0f || v3_dot(p, p) < 1e-3f);
    vec3 d = v3_add(n, v3_unit(p));
    return v3_dot(d, d) > 1e-6f ? v3_unit(d) : n;
}

static mr_ray shadow(const view *v, vec3 o, uint32_t seed)
{
    vec3 target =
        v3_mad(v->light_u, 2.0f * bench_unit(seed) - 1.0f, v3_mad(v->light_v, 2.0f * bench_unit(seed + 1) - 1.0f, v->light));
    vec3 w = v3_sub(target, o);
    float distance = v3_length(w);
    return ray(o, v->epsilon, v3_scale(w, 1.0f / distance), 0.9999f * distance);
}

/* listed: the rays that hit, in order. */
static void secondary(bench_rays *rays, const bench_subject *subject, const view *v, const rtx_hit *hits, const uint32_t *listed,
                      uint32_t hit_count)
{
    for (uint32_t i = 0; i < rays->count; i++) {
        uint32_t from = listed[(uint64_t)i * hit_count / rays->count];
        vec3 n, o = leave(subject, v, &rays->set[RAYS_PRIMARY][from], &hits[from], &n);
        rays->set[RAYS_DIFFUSE][i] = ray(o, v->epsilon, cosine_direction(n, bench_hash(3 * i)), FAR);
        rays->set[RAYS_SHADOW][i] = shadow(v, o, bench_hash(3 * i + 1));
    }
}

static int fill(bench_rays *rays, const bench_subject *subject, uint32_t side, rtx_hit *hits, uint32_t *listed, mr_error *err)
{
    view v = view_of(subject);
    uint32_t hit_count = 0;
    for (uint32_t i = 0; i < rays->count; i++) rays->set[RAYS_PRIMARY][i] = primary(&v, i, side);
    subject->intersect(subject->scene, rays->set[RAYS_PRIMARY], rays->count, hits);
    for (uint32_t i = 0; i < rays->count; i++)
        if (hits[i].prim != MR_NONE) listed[hit_count++] = i;
    if (!hit_count) return mr_fail(err, MR_FAILED, "no primary ray hits the mesh");
    rays->hit_share = (float)hit_count / (float)rays->count;
    secondary(rays, subject, &v, hits, listed, hit_count);
    return MR_OK;
}

int bench_rays_make(bench_rays *out, const bench_subject *subject, uint32_t side, mr_error *err)
{
    side = (side + 7) / 8 * 8;
    *out = (bench_rays){.count = side * side};
    rtx_hit *hits = malloc(out->count * sizeof *hits);
    uint32_t *listed = malloc(out->count * sizeof *listed);
    int status = hits && listed ? MR_OK : mr_fail(err, MR_FAILED, "out of memory");
    for (int s = 0; s < RAYS_SETS; s++)
        if (!(out->set[s] = aligned_alloc(64, out->count * sizeof(mr_ray)))) status = mr_fail(err, MR_FAILED, "out of memory");
    if (status == MR_OK) status = fill(out, subject, side, hits, listed, err);
    free(hits);
    free(listed);
    if (status != MR_OK) bench_rays_free(out);
    return status;
}

void bench_rays_free(bench_rays *rays)
{
    for (int s = 0; s < RAYS_SETS; s++) free(rays->set[s]);
    *rays = (bench_rays){.count = 0};
}

static void triangle_normal(const void *user, uint32_t prim, float n[3])
{
    const float *c = (const float *)user + (size_t)9 * prim;
    vec3 a = v3_of(c), g = v3_unit(v3_cross(v3_sub(v3_of(c + 3), a), v3_sub(v3_of(c + 6), a)));
    n[0] = g.x;
    n[1] = g.y;
    n[2] = g.z;
}

bench_subject bench_subject_of(const float *corners, uint32_t count, const rtx_scene *own)
{
    bench_subject s = {.lo = {FAR, FAR, FAR},
                       .hi = {-FAR, -FAR, -FAR},
                       .scene = own,
                       .intersect = rtx_intersect,
                       .normal = triangle_normal,
                       .user = corners};
    for (size_t i = 0; i < (size_t)count * 9; i++) {
        s.lo[i % 3] = fminf(s.lo[i % 3], corners[i]);
        s.hi[i % 3] = fmaxf(s.hi[i % 3], corners[i]);
    }
    return s;
}
