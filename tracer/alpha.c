#include "tracer/alpha.h"

#include <math.h>

/* Where a bilinear look-up falls along an axis: two texels and the second one's weight (as tap in tracer/texture.h). */
typedef struct tap {
    uint32_t first, second;
    float weight;
} tap;

/* The texel of number i, which may lie outside. */
static uint32_t wrap(int64_t i, int64_t n, uint32_t mode)
{
    if (mode == MR_WRAP_REPEAT) {
        int64_t rest = i % n;
        return (uint32_t)(rest < 0 ? rest + n : rest);
    }
    return (uint32_t)(i < 0 ? 0 : i < n ? i : n - 1);
}

static tap tap_at(float x, uint32_t n, uint32_t mode)
{
    float shifted = (fabsf(x) < 1e4f ? x : 0) * (float)n - 0.5f, whole = floorf(shifted); /* NaN counts as 0, too */
    int64_t i = (int64_t)whole;
    return (tap){wrap(i, n, mode), wrap(i + 1, n, mode), shifted - whole};
}

static float texel_alpha(const mr_pack *pack, const mr_texture *t, uint32_t x, uint32_t y)
{
    const uint8_t *base = pack->texels + t->offset;
    size_t i = (size_t)y * t->width + x;
    if (t->format == MR_TEXEL_FLOAT) return ((const float *)(const void *)base)[4 * i + 3];
    return (float)base[4 * i + 3] * (1.0f / 255.0f);
}

/* Bilinear; u runs right, v up. */
static float alpha_at(const mr_pack *pack, const mr_texture *t, float u, float v)
{
    tap x = tap_at(u, t->width, t->wrap), y = tap_at(1.0f - v, t->height, t->wrap);
    float above = texel_alpha(pack, t, x.first, y.first) * (1.0f - x.weight) + texel_alpha(pack, t, x.second, y.first) * x.weight;
    float below = texel_alpha(pack, t, x.first, y.second) * (1.0f - x.weight) + texel_alpha(pack, t, x.second, y.second) * x.weight;
    return above * (1.0f - y.weight) + below * y.weight;
}

int mr_alpha_is_solid(const mr_pack *pack, uint32_t instance, uint32_t triangle, const float weights[3])
{
    const mr_triangle *t = &pack->triangles[triangle];
    uint32_t own = pack->instances[instance].material;
    const mr_material *m = &pack->materials[own != MR_NONE ? own : t->material];
    float uv[2] = {0, 0};
    if (!(m->alpha_cutoff > 0)) return 1;
    if (m->base_texture == MR_NONE) return m->alpha_cutoff <= 1;
    for (int corner = 0; corner < 3; corner++)
        for (int a = 0; a < 2; a++) uv[a] += weights[corner] * pack->vertices[t->v[corner]].uv[a];
    return alpha_at(pack, &pack->textures[m->base_texture], uv[0], uv[1]) >= m->alpha_cutoff;
}
