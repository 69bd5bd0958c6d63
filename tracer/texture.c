#include "tracer/texture.h"

#include "tracer/mathf.h"

static float srgb_decode(float x)
{
    return x <= 0.04045f ? x / 12.92f : mr_pow((x + 0.055f) / 1.055f, 2.4f);
}

void mr_texels_init(mr_texels *texels, const mr_pack *pack)
{
    texels->pack = pack;
    for (int i = 0; i < 256; i++) texels->from_srgb[i] = srgb_decode((float)i / 255.0f);
}

vec3 mr_color_of(const mr_texels *texels, uint32_t c)
{
    return v3(texels->from_srgb[c & 255], texels->from_srgb[c >> 8 & 255], texels->from_srgb[c >> 16 & 255]);
}

static vec3 texel(const mr_texels *texels, const mr_texture *t, uint32_t x, uint32_t y)
{
    size_t i = (size_t)y * t->width + x;
    const uint8_t *base = texels->pack->texels + t->offset;
    if (t->format == MR_TEXEL_FLOAT) return v3_of((const float *)(const void *)(base + 16 * i));
    const uint8_t *p = base + 4 * i;
    if (t->format == MR_TEXEL_SRGB8) return v3(texels->from_srgb[p[0]], texels->from_srgb[p[1]], texels->from_srgb[p[2]]);
    return v3((float)p[0] / 255.0f, (float)p[1] / 255.0f, (float)p[2] / 255.0f);
}

static uint32_t wrap(int64_t i, uint32_t n, int repeat)
{
    if (!repeat) return i < 0 ? 0 : i >= (int64_t)n ? n - 1 : (uint32_t)i;
    int64_t m = i % (int64_t)n;
    return (uint32_t)(m < 0 ? m + (int64_t)n : m);
}

static float sane(float x)
{
    return fabsf(x) < 1e4f ? x : 0.0f;
} /* times a side stays far below 2^31 */

/* Bilinear at (x, y) in texels, centres at halves. */
static vec3 bilinear(const mr_texels *texels, const mr_texture *t, float x, float y, int repeat_x, int repeat_y)
{
    float fx = mr_floor(x - 0.5f), fy = mr_floor(y - 0.5f), ax = x - 0.5f - fx, ay = y - 0.5f - fy;
    uint32_t x0 = wrap((int64_t)fx, t->width, repeat_x), x1 = wrap((int64_t)fx + 1, t->width, repeat_x);
    uint32_t y0 = wrap((int64_t)fy, t->height, repeat_y), y1 = wrap((int64_t)fy + 1, t->height, repeat_y);
    return v3_lerp(v3_lerp(texel(texels, t, x0, y0), texel(texels, t, x1, y0), ax),
                   v3_lerp(texel(texels, t, x0, y1), texel(texels, t, x1, y1), ax), ay);
}

vec3 mr_texture_at(const mr_texels *texels, uint32_t index, float u, float v)
{
    const mr_texture *t = &texels->pack->textures[index];
    int repeat = t->wrap == MR_WRAP_REPEAT;
    return bilinear(texels, t, sane(u) * (float)t->width, (1.0f - sane(v)) * (float)t->height, repeat, repeat);
}

static vec3 rotate(const float m[9], vec3 d)
{
    return v3(m[0] * d.x + m[1] * d.y + m[2] * d.z, m[3] * d.x + m[4] * d.y + m[5] * d.z, m[6] * d.x + m[7] * d.y + m[8] * d.z);
}
static vec3 rotate_back(const float m[9], vec3 d)
{
    return v3(m[0] * d.x + m[3] * d.y + m[6] * d.z, m[1] * d.x + m[4] * d.y + m[7] * d.z, m[2] * d.x + m[5] * d.y + m[8] * d.z);
}

/* Column in [0, 1] of a direction in the map's frame; row as the polar angle from straight up, in [0, 1]. */
static float column_of(vec3 d)
{
    return 0.5f + mr_atan2(d.x, -d.z) * (0.5f * MR_INV_PI);
}
static float row_of(vec3 d)
{
    return mr_atan2(sqrtf(d.x * d.x + d.z * d.z), d.y) * MR_INV_PI;
}

vec3 mr_environment_radiance(const mr_texels *texels, vec3 direction)
{
    const mr_environment *e = texels->pack->environment;
    if (!e) return v3_all(0);
    const mr_texture *t = &texels->pack->textures[e->texture];
    vec3 d = rotate(e->to_local, direction);
    vec3 c = bilinear(texels, t, sane(column_of(d)) * (float)t->width, sane(row_of(d)) * (float)t->height, 1, 0);
    return v3_mul(c, v3_of(e->scale));
}

/* The step of a cumulative distribution (n steps, n + 1 entries from 0 to 1) that holds u, and where in it u lies. */
static uint32_t pick(const float *cdf, uint32_t n, float u, float *inside)
{
    uint32_t lo = 0, hi = n;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (cdf[mid] <= u)
            lo = mid;
        else
            hi = mid;
    }
    float width = cdf[lo + 1] - cdf[lo];
    *inside = width > 0 ? clamp_f((u - cdf[lo]) / width, 0.0f, 0.99999994f) : 0.5f;
    return lo;
}

/* Cosine of the polar angle of a row's upper edge. */
static float row_cosine(uint32_t row, uint32_t height)
{
    float s, c;
    mr_sincos_turns(0.5f * ((float)row / (float)height), &s, &c);
    return c;
}

static const float *densities(const mr_pack *pack, const mr_texture *t)
{
    return pack->env_table + (t->height + 1) + (size_t)t->height * (t->width + 1);
}

vec3 mr_environment_sample(const mr_pack *pack, mr_sample2 s, float *density)
{
    const mr_environment *e = pack->environment;
    const mr_texture *t = &pack->textures[e->texture];
    float in_row, in_column, sine, cosine;
    uint32_t row = pick(pack->env_table, t->height, s.v, &in_row);
    const float *columns = pack->env_table + (t->height + 1) + (size_t)row * (t->width + 1);
    uint32_t column = pick(columns, t->width, s.u, &in_column);
    float up =
        lerp_f(row_cosine(row, t->height), row_cosine(row + 1, t->height), in_row); /* uniform in the cosine: in solid angle */
    float side = sqrtf(max_f(0.0f, 1.0f - up * up));
    mr_sincos_turns(((float)column + in_column) / (float)t->width - 0.5f, &sine, &cosine);
    *density = densities(pack, t)[(size_t)row * t->width + column];
    return rotate_back(e->to_local, v3(side * sine, up, -side * cosine));
}

float mr_environment_density(const mr_pack *pack, vec3 direction)
{
    const mr_environment *e = pack->environment;
    const mr_texture *t = &pack->textures[e->texture];
    vec3 d = rotate(e->to_local, direction);
    uint32_t x = wrap((int64_t)(sane(column_of(d)) * (float)t->width), t->width, 0);
    uint32_t y = wrap((int64_t)(sane(row_of(d)) * (float)t->height), t->height, 0);
    return densities(pack, t)[(size_t)y * t->width + x];
}
