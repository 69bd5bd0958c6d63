/* Look-ups in a pack's textures and its environment map; over lanes (tracer/lanes.h). */
#ifndef MR_TEXTURE_H
#define MR_TEXTURE_H

#include "tracer/mathf.h"
#include "tracer/pack.h"
#include "tracer/sampler.h"
#include "tracer/vec.h"

/* What look-ups need besides the pack; one a renderer. */
typedef struct mr_texels {
    const mr_pack *pack;
    float from_srgb[256];   /* sRGB byte -> linear */
    float from_linear[256]; /* byte -> byte / 255 */
} mr_texels;

void mr_texels_init(mr_texels *texels, const mr_pack *pack);

/* Linear RGB of a vertex colour. */
static inline vec3 mr_color_of(const mr_texels *texels, vu c)
{
    return v3(gather_f(texels->from_srgb, c & 255), gather_f(texels->from_srgb, c >> 8 & 255), gather_f(texels->from_srgb, c >> 16 & 255));
}

/* Adds a texel's channels, times the weight, to lane k of rgb. */
static inline void add_texel(const mr_texels *texels, const mr_texture *t, uint32_t x, uint32_t y, float weight, mr_lane_array rgb[3], int k)
{
    size_t i = (size_t)y * t->width + x;
    const uint8_t *base = texels->pack->texels + t->offset;
    if (t->format == MR_TEXEL_FLOAT) {
        float c[3];
        memcpy(c, base + 16 * i, sizeof c);
        for (int a = 0; a < 3; a++) rgb[a].af[k] += c[a] * weight;
    } else {
        const float *table = t->format == MR_TEXEL_SRGB8 ? texels->from_srgb : texels->from_linear;
        for (int a = 0; a < 3; a++) rgb[a].af[k] += table[base[4 * i + (size_t)a]] * weight;
    }
}

static inline vf sane(vf x) /* times a side stays far below 2^31 */
{
    return sel(mask(abs_f(x) < 1e4f), x, all_f(0.0f));
}

/* A texel's number along an axis of n texels (as a float, too: below 2^24 it is exact); i whole. */
static inline vu wrap(vf i, vf n, vm repeat)
{
    vf turned = i - mr_floor(i / n) * n; /* exact up to the quotient's rounding, which the clamp catches */
    vf clamped = min_f(max_f(sel(repeat, turned, i), all_f(0.0f)), n - 1.0f);
    return (vu)to_int(clamped);
}

/* The next texel to the right of (or below) x. */
static inline vu wrap_next(vu x, vu n, vm repeat)
{
    vu next = x + 1;
    vm past = mask(next == n);
    return sel_u(past, sel_u(repeat, all_u(0), x), next);
}

/* Where a bilinear look-up at x (in texels, centres at halves) falls along an axis: two texels and the second one's weight. */
typedef struct mr_tap {
    mr_lane_array first, second, weight;
} mr_tap;

static inline void tap(mr_tap *out, vf x, vu size, vm repeat)
{
    vf n = to_float((vi)size), f = mr_floor(x - 0.5f);
    out->weight.f = x - 0.5f - f;
    out->first.u = wrap(f, n, repeat);
    vm before = mask(f < 0.0f) & ~repeat; /* left of the first centre both are the first */
    out->second.u = sel_u(before, out->first.u, wrap_next(out->first.u, size, repeat));
}

static inline vec3 bilinear(const mr_texels *texels, const mr_texture *const t[MR_LANES], const mr_tap *x, const mr_tap *y, vm live)
{
    mr_lane_array rgb[3] = {{.f = all_f(0.0f)}, {.f = all_f(0.0f)}, {.f = all_f(0.0f)}};
    for (unsigned bits = lane_bits(live); bits; bits &= bits - 1) {
        int k = __builtin_ctz(bits);
        float ax = x->weight.af[k], ay = y->weight.af[k];
        add_texel(texels, t[k], x->first.au[k], y->first.au[k], (1.0f - ax) * (1.0f - ay), rgb, k);
        add_texel(texels, t[k], x->second.au[k], y->first.au[k], ax * (1.0f - ay), rgb, k);
        add_texel(texels, t[k], x->first.au[k], y->second.au[k], (1.0f - ax) * ay, rgb, k);
        add_texel(texels, t[k], x->second.au[k], y->second.au[k], ax * ay, rgb, k);
    }
    return v3(rgb[0].f, rgb[1].f, rgb[2].f);
}

/* Bilinear, linear RGB. index: a texture of the pack where live is set; u runs right, v up; not finite counts as 0. Black where live is not set. */
static inline vec3 mr_texture_at(const mr_texels *texels, vu index, vf u, vf v, vm live)
{
    const mr_texture *t[MR_LANES];
    mr_lane_array i = {.u = sel_u(live, index, all_u(0))}, width, height, repeat;
    mr_tap x, y;
    for (int k = 0; k < MR_LANES; k++) {
        t[k] = &texels->pack->textures[i.au[k]];
        width.au[k] = t[k]->width;
        height.au[k] = t[k]->height;
        repeat.au[k] = t[k]->wrap == MR_WRAP_REPEAT ? 0xFFFFFFFFu : 0;
    }
    tap(&x, sane(u) * to_float((vi)width.u), width.u, repeat.m);
    tap(&y, (1.0f - sane(v)) * to_float((vi)height.u), height.u, repeat.m);
    return bilinear(texels, t, &x, &y, live);
}

#endif
