/* Checks what a pack's sections say, in O(n), before anyone follows an index or uses a number of it. See pack.h.
 *
 * The tracer relies on exactly this: no index leads outside, no float that it computes with is NaN or beyond the limits of pack.h, tables of probabilities rise from 0
 * to 1, lights stand in the order of their kinds, triangle lights by index. A pack that passes may still show nonsense, but renders in finite time without harm. */
#include "tracer/pack_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/bvh.h"
#include "tracer/render.h"

typedef struct check {
    const mr_pack *p;
    const char *name;
    mr_error *err;
} check;

static int bad(const check *c, const char *what, uint32_t index) { return mr_fail(c->err, MR_BAD_INPUT, "%s: damaged pack: %s %u", c->name, what, index); }

/* All of count floats lie in least..most (a NaN does not). Written without a branch in the loop. */
static bool in_range(const float *x, size_t count, float least, float most)
{
    bool fine = true;
    for (size_t i = 0; i < count; i++) fine &= x[i] >= least && x[i] <= most;
    return fine;
}

static bool is_unit(const float v[3]) { return fabsf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] - 1) < 1e-3f; }
static float dot(const float a[3], const float b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* Three unit vectors at right angles. */
static bool is_frame(const float *u, const float *v, const float *w)
{
    return in_range(u, 3, -2, 2) && in_range(v, 3, -2, 2) && in_range(w, 3, -2, 2) && is_unit(u) && is_unit(v) && is_unit(w) &&
           fabsf(dot(u, v)) < 1e-3f && fabsf(dot(v, w)) < 1e-3f && fabsf(dot(w, u)) < 1e-3f;
}

static bool camera_is_fine(const mr_settings *s)
{
    return in_range(s->position, 3, -MR_MAX_COORDINATE, MR_MAX_COORDINATE) && is_frame(s->u, s->v, s->w) && in_range(&s->fov_x_rad, 1, 1e-6f, 3.14f) &&
           in_range(&s->lens_radius, 1, 0, 1e6f) && in_range(&s->focus_distance, 1, 1e-7f, 2e9f);
}

static bool film_is_fine(const mr_settings *s)
{
    return s->width >= 1 && s->width <= MR_MAX_SIDE && s->height >= 1 && s->height <= MR_MAX_SIDE && s->spp >= 1 && s->spp <= MR_MAX_SPP &&
           in_range(&s->exposure, 1, 0, 1e12f) && s->tone_map <= MR_TONE_ACES && s->filter <= MR_FILTER_BLACKMAN_HARRIS &&
           in_range(&s->filter_radius, 1, 0.01f, 64);
}

static int check_settings(const check *c)
{
    const mr_settings *s = c->p->settings;
    bool bounds = in_range(s->bounds_lo, 3, -4e9f, 4e9f) && in_range(s->bounds_hi, 3, -4e9f, 4e9f);
    for (size_t a = 0; a < 3; a++) bounds = bounds && s->bounds_lo[a] <= s->bounds_hi[a];
    if (!camera_is_fine(s)) return bad(c, "camera", 0);
    if (!film_is_fine(s)) return bad(c, "film", 0);
    if (!bounds) return bad(c, "bounds", 0);
    if (s->max_bounces > MR_MAX_BOUNCES || s->roulette_after > MR_MAX_BOUNCES || !in_range(&s->clamp_indirect, 1, 0, 1e9f)) return bad(c, "integrator", 0);
    if (!memchr(s->name, 0, sizeof s->name)) return bad(c, "name", 0);
    return MR_OK;
}

static int check_triangles(const check *c, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        const mr_triangle *t = &c->p->triangles[i];
        uint32_t most = c->p->vertex_count;
        if ((t->v[0] >= most) | (t->v[1] >= most) | (t->v[2] >= most) | (t->material >= c->p->material_count)) return bad(c, "triangle", i);
    }
    return MR_OK;
}

static int check_vertices(const check *c, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        const mr_vertex *v = &c->p->vertices[i];
        if (!in_range(v->p, 3, -MR_MAX_COORDINATE, MR_MAX_COORDINATE) || !in_range(v->n, 3, -1.01f, 1.01f) || !in_range(v->uv, 2, -MR_MAX_UV, MR_MAX_UV))
            return bad(c, "vertex", i);
    }
    return MR_OK;
}

static bool is_identity(const float m[12])
{
    static const float one[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
    for (size_t i = 0; i < 12; i++)
        if (!(m[i] == one[i])) return false;
    return true;
}

static bool transform_is_fine(const mr_instance *instance)
{
    return in_range(instance->to_world, 12, -1e12f, 1e12f) && in_range(instance->to_object, 12, -1e21f, 1e21f);
}

/* An emissive sphere names its light and is named by it. */
static bool sphere_is_fine(const check *c, const mr_instance *instance, uint32_t i)
{
    if (instance->material >= c->p->material_count) return false;
    if (instance->light == MR_NONE) return true;
    return instance->light < c->p->light_count && c->p->lights[instance->light].kind == MR_LIGHT_SPHERE && c->p->lights[instance->light].index == i;
}

static bool instance_is_fine(const check *c, uint32_t i)
{
    const mr_instance *instance = &c->p->instances[i];
    if (!transform_is_fine(instance) || !in_range(instance->tint, 3, 0, 1)) return false;
    if (instance->kind > MR_INSTANCE_SPHERE || instance->flags & ~(uint32_t)MR_INSTANCE_NO_SHADOW) return false;
    if (instance->kind == MR_INSTANCE_SPHERE) return i > 0 && sphere_is_fine(c, instance, i);
    if (i == 0 && !(is_identity(instance->to_world) && is_identity(instance->to_object))) return false;
    return instance->light == MR_NONE && (instance->material == MR_NONE || instance->material < c->p->material_count);
}

static int check_instances(const check *c)
{
    for (uint32_t i = 0; i < c->p->instance_count; i++)
        if (!instance_is_fine(c, i)) return bad(c, "instance", i);
    return MR_OK;
}

/* A texture of a material. */
static bool texture_ok(const check *c, uint32_t index)
{
    return index == MR_NONE || (index < c->p->texture_count && c->p->textures[index].format != MR_TEXEL_HALF);
}

static bool material_is_fine(const check *c, const mr_material *m)
{
    const uint32_t flags = MR_MATERIAL_VERTEX_COLOR | MR_MATERIAL_TRANSPARENT_SHADOW | MR_MATERIAL_GLASS | MR_MATERIAL_FLAT;
    return in_range(m->base_color, 3, 0, 1) && in_range(&m->metallic, 1, 0, 1) && in_range(&m->roughness, 1, 0, 1) &&
           in_range(m->emission, 3, 0, MR_MAX_RADIANCE) && in_range(&m->ior, 1, 1, 4) && in_range(&m->transmission, 1, 0, 1) &&
           in_range(&m->clearcoat, 1, 0, 1) && in_range(&m->clearcoat_roughness, 1, 0, 1) && in_range(m->absorption, 3, 0, 1e6f) &&
           in_range(&m->normal_scale, 1, 0, 100) && in_range(&m->alpha_cutoff, 1, 0, 2) && !(m->flags & ~flags) && texture_ok(c, m->base_texture) && texture_ok(c, m->surface_texture) &&
           texture_ok(c, m->normal_texture) && texture_ok(c, m->emission_texture) && (m->first_light == MR_NONE || m->first_light < c->p->light_count);
}

static int check_materials(const check *c)
{
    for (uint32_t i = 0; i < c->p->material_count; i++)
        if (!material_is_fine(c, &c->p->materials[i])) return bad(c, "material", i);
    return MR_OK;
}

/* Neither negative nor infinite nor NaN. */
static bool halves_are_fine(const uint16_t *x, size_t count)
{
    bool fine = true;
    for (size_t i = 0; i < count; i++) fine &= x[i] < 0x7C00;
    return fine;
}

/* The texels of a float texture are finite, not negative and not absurd. */
static bool texture_is_fine(const check *c, const mr_texture *t)
{
    uint64_t room = c->p->header->section[MR_SECTION_TEXELS].count;
    if (t->width < 1 || t->height < 1 || t->width > MR_MAX_TEXTURE_SIDE || t->height > MR_MAX_TEXTURE_SIDE) return false;
    if (t->format > MR_TEXEL_HALF || t->wrap > MR_WRAP_CLAMP || t->offset % 16 || t->offset > room) return false;
    uint64_t texels = (uint64_t)t->width * t->height, bytes = texels * mr_texel_bytes(t->format);
    if (bytes > room - t->offset) return false;
    if (t->format == MR_TEXEL_HALF) return halves_are_fine((const uint16_t *)(const void *)(c->p->texels + t->offset), (size_t)texels * 4);
    return t->format != MR_TEXEL_FLOAT || in_range((const float *)(const void *)(c->p->texels + t->offset), (size_t)texels * 4, 0, MR_MAX_RADIANCE);
}

/* Textures lie one behind the other: otherwise a small pack could ask for a long check by naming the same texels often. */
static int check_textures(const check *c)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < c->p->texture_count; i++) {
        const mr_texture *t = &c->p->textures[i];
        if (t->offset < end || !texture_is_fine(c, t)) return bad(c, "texture", i);
        end = t->offset + (uint64_t)t->width * t->height * mr_texel_bytes(t->format);
    }
    return MR_OK;
}

static bool light_points_well(const check *c, uint32_t i)
{
    const mr_light *l = &c->p->lights[i];
    if (i > 0 && l[-1].kind > l->kind) return false; /* each kind is one run */
    switch (l->kind) {
    case MR_LIGHT_TRIANGLE: /* first and in order, for the bisection */
        return l->index < c->p->triangle_count && (i == 0 || (l[-1].kind == MR_LIGHT_TRIANGLE && l[-1].index < l->index));
    case MR_LIGHT_SPHERE: return l->index < c->p->instance_count && c->p->instances[l->index].kind == MR_INSTANCE_SPHERE && c->p->instances[l->index].light == i;
    case MR_LIGHT_SUN: return is_unit(l->direction) && l->area > 0 && l->area < 1; /* a cosine */
    case MR_LIGHT_ENVIRONMENT: return c->p->environment && c->p->environment->light == i;
    default: return false;
    }
}

static int check_lights(const check *c)
{
    if (c->p->header->section[MR_SECTION_LIGHT_TABLE].count != c->p->light_count) return bad(c, "light table: wrong size, lights:", c->p->light_count);
    for (uint32_t i = 0; i < c->p->light_count; i++) {
        const mr_light *l = &c->p->lights[i];
        const mr_alias *a = &c->p->light_table[i];
        if (!in_range(&l->probability, 1, 0, 1) || !in_range(&l->area, 1, 0, 1e30f) || !in_range(l->direction, 3, -2, 2) ||
            !in_range(l->radiance, 3, 0, MR_MAX_RADIANCE) || !texture_ok(c, l->texture) || !light_points_well(c, i))
            return bad(c, "light", i);
        if (!in_range(&a->threshold, 1, 0, 1) || a->alias >= c->p->light_count) return bad(c, "light table entry", i);
    }
    return MR_OK;
}

/* Rises from 0 to 1. */
static bool is_cdf(const float *cdf, uint32_t count)
{
    bool fine = cdf[0] == 0 && cdf[count] == 1;
    for (uint32_t i = 0; i < count; i++) fine &= cdf[i] <= cdf[i + 1];
    return fine;
}

static bool environment_tables_are_fine(const check *c, const mr_environment *e)
{
    const size_t columns = e->columns, rows = e->rows;
    if (columns < 1 || rows < 1 || columns > MR_MAX_TEXTURE_SIDE || rows > MR_MAX_TEXTURE_SIDE) return false;
    const size_t count = 2 * (rows + 1) + rows * (columns + 1);
    if (count > 1u << 30 || c->p->header->section[MR_SECTION_ENV_TABLE].count != count) return false;
    const float *cosines = c->p->env_table + rows + 1, *cdfs = cosines + rows + 1;
    bool fine = is_cdf(c->p->env_table, e->rows) && in_range(cosines, rows + 1, -1, 1);
    for (size_t r = 0; r < rows; r++) fine = fine && cosines[r] >= cosines[r + 1] && is_cdf(cdfs + r * (columns + 1), e->columns);
    return fine;
}

static int check_environment(const check *c)
{
    const mr_environment *e = c->p->environment;
    if (!e) return c->p->header->section[MR_SECTION_ENV_TABLE].count ? bad(c, "environment table without environment", 0) : MR_OK;
    if (e->texture >= c->p->texture_count || c->p->textures[e->texture].format != MR_TEXEL_HALF || c->p->textures[e->texture].width < 2 || e->light >= c->p->light_count ||
        c->p->lights[e->light].kind != MR_LIGHT_ENVIRONMENT || !in_range(e->scale, 3, 0, 1e6f) || !is_frame(e->to_local, e->to_local + 3, e->to_local + 6))
        return bad(c, "environment", 0);
    return environment_tables_are_fine(c, e) ? MR_OK : bad(c, "environment table", 0);
}

/* All that is small, or leans on what was checked before it. */
static int check_rest(const check *c)
{
    static int (*const steps[])(const check *) = {check_settings, check_materials, check_textures, check_instances, check_lights, check_environment};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int status = steps[i](c);
        if (status) return status;
    }
    return MR_OK;
}

/* ---- in pieces ---- */

enum { PIECE = 1 << 15 }; /* vertices or triangles */

/* Piece 0 is the BVH, which takes longest, piece 1 the rest, then come vertices and triangles. */
typedef struct checking {
    const mr_pack *pack;
    const char *name;
    uint32_t vertex_pieces;
    struct outcome {
        int status;
        mr_error err;
    } *outcomes;
} checking;

static uint32_t pieces_of(uint32_t count) { return count / PIECE + 1; }

static uint32_t piece_end(uint32_t begin, uint32_t count) { return count - begin < PIECE ? count : begin + PIECE; }

static void check_piece(void *context, uint32_t piece)
{
    const checking *all = context;
    struct outcome *out = &all->outcomes[piece];
    const check c = {all->pack, all->name, &out->err};
    if (piece == 0) {
        out->status = mr_bvh_check(c.p, c.name, c.err);
    } else if (piece == 1) {
        out->status = check_rest(&c);
    } else if (piece - 2 < all->vertex_pieces) {
        uint32_t begin = (piece - 2) * PIECE;
        out->status = check_vertices(&c, begin, piece_end(begin, c.p->vertex_count));
    } else {
        uint32_t begin = (piece - 2 - all->vertex_pieces) * PIECE;
        out->status = check_triangles(&c, begin, piece_end(begin, c.p->triangle_count));
    }
}

/* Of several complaints the same one speaks whoever was first: the BVH last, for it complains of whatever is wrong elsewhere as well. */
int mr_pack_check_contents(const mr_pack *pack, mr_crew *crew, const char *name, mr_error *err)
{
    checking all = {pack, name, pieces_of(pack->vertex_count), NULL};
    uint32_t count = 2 + all.vertex_pieces + pieces_of(pack->triangle_count);
    int status = MR_OK;
    all.outcomes = malloc(count * sizeof *all.outcomes);
    if (!all.outcomes) return mr_fail(err, MR_FAILED, "%s: no memory to check it", name);
    mr_crew_run(crew, check_piece, &all, count);
    for (uint32_t i = 0; i < count && !status; i++) {
        const struct outcome *out = &all.outcomes[(i + 1) % count];
        status = out->status;
        if (status && err) *err = out->err;
    }
    free(all.outcomes);
    return status;
}
