/* The environment map: radiance from infinity, directions chosen by its brightness, and their density; over lanes
 * (tracer/lanes.h). mr_environment in tracer/pack.h says what the tables hold. The pack must have an environment. */
#ifndef MR_ENVIRONMENT_H
#define MR_ENVIRONMENT_H

#include "tracer/texture.h"

/* A direction as a place of the map: azimuth and polar angle, each in [0, 1]. */
typedef struct mr_map_place {
    vf x, y;
} mr_map_place;

static inline vec3 rotate(const float m[9], vec3 d)
{
    return v3(m[0] * d.x + m[1] * d.y + m[2] * d.z, m[3] * d.x + m[4] * d.y + m[5] * d.z, m[6] * d.x + m[7] * d.y + m[8] * d.z);
}
static inline vec3 rotate_back(const float m[9], vec3 d)
{
    return v3(m[0] * d.x + m[3] * d.y + m[6] * d.z, m[1] * d.x + m[4] * d.y + m[7] * d.z, m[2] * d.x + m[5] * d.y + m[8] * d.z);
}

/* The polar angle whose sine and cosine are given. */
static inline vf polar_place(vf sine, vf cosine)
{
    return clamp_f(mr_atan2(sine, cosine) * MR_INV_PI, 0.0f, 1.0f);
}

static inline mr_map_place mr_environment_place(const mr_pack *pack, vec3 direction)
{
    vec3 d = rotate(pack->environment->to_local, direction);
    return (mr_map_place){clamp_f(0.5f + mr_atan2(d.x, -d.z) * (0.5f * MR_INV_PI), 0.0f, 1.0f), polar_place(sqrt_f(d.x * d.x + d.z * d.z), d.y)};
}

/* Halves in the low 16 bits. */
static inline vf from_half(vu h)
{
    return float_of(((h << 13) + (112u << 23)) & (vu)mask(h >= 0x400u));
}

/* Between two neighbours in a row, of 4 words: the first RG, BA, then the second's. */
static inline vec3 blend_texels(const vf words[4], vf t)
{
    vu a = bits_of(words[0]), b = bits_of(words[1]), c = bits_of(words[2]), d = bits_of(words[3]);
    return v3_lerp(v3(from_half(a & 0xFFFFu), from_half(a >> 16), from_half(b & 0xFFFFu)),
                   v3(from_half(c & 0xFFFFu), from_half(c >> 16), from_half(d & 0xFFFFu)), t);
}

/* Bilinear: columns wrap, rows do not. */
static inline vec3 mr_environment_radiance(const mr_texels *texels, const mr_map_place *at)
{
    const mr_environment *e = texels->pack->environment;
    const mr_texture *t = &texels->pack->textures[e->texture];
    const void *base = texels->pack->texels + t->offset;
    const uint32_t width = t->width - 1;
    vf above[4], below[4];
    mr_tap x, y;
    tap(&x, at->x * (float)width, all_u(width), all_lanes());
    tap(&y, at->y * (float)t->height, all_u(t->height), no_lanes());
    load_rows4(base, y.first.u * t->width + x.first.u, 2, 0, above);
    load_rows4(base, y.second.u * t->width + x.first.u, 2, 0, below);
    vec3 c = v3_lerp(blend_texels(above, x.weight.f), blend_texels(below, x.weight.f), y.weight.f);
    return v3_mul(c, v3_of(e->scale));
}

/* The tables of the environment: see mr_environment. */
typedef struct map_tables {
    const float *row_cdf, *row_cosine, *column_cdf;
} map_tables;

static inline map_tables tables_of(const mr_pack *pack)
{
    const float *t = pack->env_table;
    uint32_t edges = pack->environment->rows + 1;
    return (map_tables){t, t + edges, t + 2 * edges};
}

/* Per steradian, within a cell that gets this share of all samples; height: the difference of the cosines of its upper and lower edge. */
static inline vf cell_density(const mr_environment *e, vf share, vf height)
{
    return share * ((float)e->columns * 0.5f * MR_INV_PI) / max_f(height, all_f(1e-10f));
}

/* The density per steradian with which mr_environment_sample chooses the direction. */
static inline vf mr_environment_density(const mr_pack *pack, const mr_map_place *at)
{
    const mr_environment *e = pack->environment;
    map_tables t = tables_of(pack);
    vu x = (vu)to_int(min_f(mr_floor(at->x * (float)e->columns), all_f((float)e->columns - 1.0f)));
    vu y = (vu)to_int(min_f(mr_floor(at->y * (float)e->rows), all_f((float)e->rows - 1.0f)));
    vu cell = y * (e->columns + 1) + x;
    vf row = gather_f(t.row_cdf + 1, y) - gather_f(t.row_cdf, y), column = gather_f(t.column_cdf + 1, cell) - gather_f(t.column_cdf, cell);
    return cell_density(e, row * column, gather_f(t.row_cosine, y) - gather_f(t.row_cosine + 1, y));
}

/* The step of a cumulative distribution that holds u: n steps, n + 1 entries from 0 to 1 from table[first] on. *inside: where in the
 * step u lies, in [0, 1); *share: the step's width. Every lane bisects the same number of times. */
static inline vu pick_step(const float *table, vu first, uint32_t n, vf u, vf *inside, vf *share)
{
    vu lo = all_u(0);
    uint32_t step = 1;
    while (step < n) step *= 2;
    while (step > 1) {
        step /= 2;
        vu next = lo + step;
        next = sel_u(mask((vi)next > (int32_t)n), all_u(n), next);
        lo = sel_u(mask(gather_f(table, first + next) <= u), next, lo);
    }
    vf begin = gather_f(table, first + lo), width = gather_f(table + 1, first + lo) - begin;
    vf part = clamp_f((u - begin) / sel(mask(width > 0.0f), width, all_f(1.0f)), 0.0f, 0.99999994f);
    *share = width;
    *inside = sel(mask(width > 0.0f), part, all_f(0.5f));
    return lo;
}

/* A direction chosen by the map's brightness, where on the map that is, and its density per steradian. */
static inline vec3 mr_environment_sample(const mr_pack *pack, mr_sample2 s, mr_map_place *at, vf *density)
{
    const mr_environment *e = pack->environment;
    map_tables t = tables_of(pack);
    vf in_row, in_column, row_share, column_share, sine, cosine;
    vu row = pick_step(t.row_cdf, all_u(0), e->rows, s.v, &in_row, &row_share);
    vu column = pick_step(t.column_cdf, row * (e->columns + 1), e->columns, s.u, &in_column, &column_share);
    vf top = gather_f(t.row_cosine, row), bottom = gather_f(t.row_cosine + 1, row);
    vf up = lerp_f(top, bottom, in_row), side = sqrt_f(max_f(1.0f - up * up, all_f(0.0f))); /* uniform in the cosine: in solid angle */
    at->x = (to_float((vi)column) + in_column) * (1.0f / (float)e->columns);
    at->y = polar_place(side, up);
    mr_sincos_turns(at->x - 0.5f, &sine, &cosine);
    *density = cell_density(e, row_share * column_share, top - bottom);
    return rotate_back(e->to_local, v3(side * sine, up, -side * cosine));
}

#endif
