/* A batch of the integrator: as many hits as there are lanes, loaded from the wave's records, and the way back. Part of
 * tracer/integrator.c. */
#ifndef MR_INTEGRATOR_BATCH_H
#define MR_INTEGRATOR_BATCH_H

#include "tracer/integrator.h"

typedef struct batch {
    vm live;                /* the lanes in use; the others repeat one that is */
    vu path;
    mr_ends ends;
    vec3 throughput, from;
    vf bsdf_pdf;
    vu medium;
    vu pixel_key, sample;
} batch;

/* How many of `left` paths the next batch takes. */
static inline uint32_t lanes_left(uint32_t left)
{
    return left < MR_LANES ? left : MR_LANES;
}

/* The first `count` (1 or more) of numbers; lanes beyond repeat the last. */
static inline vu load_indices(const uint32_t *numbers, uint32_t count, vm *live)
{
    mr_lane_array index, lanes;
    for (uint32_t k = 0; k < MR_LANES; k++) {
        index.au[k] = numbers[k < count ? k : count - 1];
        lanes.au[k] = k < count ? 0xFFFFFFFFu : 0;
    }
    *live = lanes.m;
    return index.u;
}

static inline void load_ends(const mr_ray *rays, const mr_hit *hits, vu index, mr_ends *ends)
{
    vf ray[8], hit[4];
    load_rows8(rays, index, 8, 0, ray);
    load_rows4(hits, index, 4, 0, hit);
    ends->o = v3(ray[0], ray[1], ray[2]);
    ends->d = v3(ray[4], ray[5], ray[6]);
    ends->t = hit[0];
    ends->triangle = bits_of(hit[1]);
    ends->instance = bits_of(hit[2]);
}

static inline void load_batch(const mr_integrator *in, uint32_t half, const uint32_t *order, uint32_t count, batch *b)
{
    vf path[8], id[4];
    vu ray = load_indices(order, count, &b->live);
    load_ends(in->rays[half], in->hits, ray, &b->ends);
    b->path = gather_u(in->ray_path[half], ray);
    load_rows8(in->paths, b->path, 8, 0, path);
    load_rows4(in->ids, b->path, 4, 0, id);
    b->throughput = v3(path[0], path[1], path[2]);
    b->bsdf_pdf = path[3];
    b->from = v3(path[4], path[5], path[6]);
    b->medium = bits_of(path[7]);
    b->sample = bits_of(id[2]);
    b->pixel_key = bits_of(id[3]);
}

/* ---- the way back, without a branch: lanes are written whether they count or not ----
 *
 * Lanes that repeat a path hold the same numbers as the one that they repeat, and what is written of a path that ends is read by nobody. */

/* Writes words 0 .. 3 to each lane's own row. */
static inline void scatter_rows4(void *rows, vu index, const vf words[4])
{
    float out[MR_LANES][4];
    mr_lane_array i = {.u = index};
    store_rows4(words, out[0], 4);
    for (int k = 0; k < MR_LANES; k++) memcpy((char *)rows + (size_t)16 * i.au[k], out[k], 16);
}

static inline void scatter_rows8(void *rows, vu index, const vf words[8])
{
    float out[MR_LANES][8];
    mr_lane_array i = {.u = index};
    store_rows8(words, out);
    for (int k = 0; k < MR_LANES; k++) memcpy((char *)rows + (size_t)32 * i.au[k], out[k], 32);
}

/* Writes the lanes in m to rays[n], rays[n + 1] .., and perhaps something behind the last; returns the number behind the last. */
static inline uint32_t append_rays(mr_ray *rays, uint32_t n, vm m, vec3 o, vec3 d, vf tmax)
{
    const vf words[8] = {o.x, o.y, o.z, all_f(0.0f), d.x, d.y, d.z, tmax};
    float out[MR_LANES][8];
    unsigned bits = lane_bits(m);
    store_rows8(words, out);
    for (int k = 0; k < MR_LANES; k++) {
        memcpy(&rays[n], out[k], 32);
        n += bits >> k & 1;
    }
    return n;
}

/* The same for one word of each lane. */
static inline void append_words(uint32_t *words, uint32_t n, vm m, vu x)
{
    mr_lane_array i = {.u = x};
    unsigned bits = lane_bits(m);
    for (int k = 0; k < MR_LANES; k++) {
        words[n] = i.au[k];
        n += bits >> k & 1;
    }
}

static inline void append_shadows(mr_shadow *shadows, uint32_t n, vm m, vec3 light, vu path)
{
    const vf words[4] = {light.x, light.y, light.z, float_of(path)};
    float out[MR_LANES][4];
    unsigned bits = lane_bits(m);
    store_rows4(words, out[0], 4);
    for (int k = 0; k < MR_LANES; k++) {
        memcpy(&shadows[n], out[k], 16);
        n += bits >> k & 1;
    }
}

/* Adds light to the paths of the lanes in m; what is not finite counts as nothing, indirect light is held below the scene's clamp. */
static inline void add_light(mr_integrator *in, vu path, vm m, vec3 light, uint32_t bounce)
{
    vf sum[4], limit = all_f(in->pack->settings->clamp_indirect);
    m &= v3_is_finite(light);
    if (bounce > 0 && in->pack->settings->clamp_indirect > 0) {
        vf brightest = v3_max(light);
        light = v3_scale(light, sel(mask(brightest > limit), limit / brightest, all_f(1.0f)));
    }
    load_rows4(in->radiance, path, 4, 0, sum);
    sum[0] = sel(m, sum[0] + light.x, sum[0]);
    sum[1] = sel(m, sum[1] + light.y, sum[1]);
    sum[2] = sel(m, sum[2] + light.z, sum[2]);
    scatter_rows4(in->radiance, path, sum);
}

#endif
