/* From hits to surfaces: position, normals, and the material at that point with its textures applied; over lanes (tracer/lanes.h). */
#ifndef MR_SURFACE_H
#define MR_SURFACE_H

#include "tracer/bsdf.h"
#include "tracer/kernel.h"
#include "tracer/texture.h"

typedef struct mr_surface {
    vec3 p;             /* world */
    vec3 ng, ns;        /* geometric and shading normal, unit, both on the side the ray came from */
    vec3 emission;      /* radiance towards the ray's origin */
    mr_lobes lobes;
    vf offset;          /* metres a new ray's origin must keep from the surface (along +-ng) */
    vu material;
    vu flags;           /* of the material */
    vm front;           /* the ray came from outside */
} mr_surface;

/* Rays, with directions of unit length, and where they end (no misses among them). */
typedef struct mr_ends {
    vec3 o, d;
    vf t;
    vu triangle, instance;
} mr_ends;

/* A new ray starts this far off, as a share of the largest coordinate: some 30 units in the last place, above the rounding of
 * interpolation and transform (after Waechter and Binder 2019, "A Fast and Robust Method for Avoiding Self-Intersection"). */
#define MR_OFFSET_SHARE 4e-6f
#define MR_OFFSET_LEAST 1e-7f
#define MR_MIN_ALPHA 1e-3f
#define MR_SMOOTH_ROUGHNESS 0.01f

enum { TRIANGLE_WORDS = sizeof(mr_triangle) / 4, VERTEX_WORDS = sizeof(mr_vertex) / 4, INSTANCE_WORDS = sizeof(mr_instance) / 4,
       MATERIAL_WORDS = sizeof(mr_material) / 4 };
#define WORD_OF(type, field) (offsetof(type, field) / 4)

/* ---- what the pack says of instances and materials ---- */

typedef struct instances {
    vf to_world[12], to_object[12]; /* set only where some lane is not in the world */
    vec3 tint;
    vu material;
    vm placed;                      /* not the world */
} instances;

static inline void load_instances(const mr_pack *pack, vu index, instances *in)
{
    in->placed = mask(index != 0u);
    if (!any(in->placed)) {
        in->tint = v3_of(pack->instances->tint);
        in->material = all_u(pack->instances->material);
        return;
    }
    vf tail[8];
    for (size_t i = 0; i < 3; i++) load_rows4(pack->instances, index, INSTANCE_WORDS, WORD_OF(mr_instance, to_world) + 4 * i, in->to_world + 4 * i);
    for (size_t i = 0; i < 3; i++) load_rows4(pack->instances, index, INSTANCE_WORDS, WORD_OF(mr_instance, to_object) + 4 * i, in->to_object + 4 * i);
    load_rows8(pack->instances, index, INSTANCE_WORDS, WORD_OF(mr_instance, kind), tail);
    in->material = bits_of(tail[2]);
    in->tint = v3(tail[4], tail[5], tail[6]);
}
_Static_assert(WORD_OF(mr_instance, material) == WORD_OF(mr_instance, kind) + 2 && WORD_OF(mr_instance, tint) == WORD_OF(mr_instance, kind) + 4,
               "load_instances relies on the fields' order");

/* mr_material as lanes. */
typedef struct materials {
    vec3 base_color, emission;
    vf metallic, roughness, ior, transmission, clearcoat, clearcoat_roughness;
    vu base_texture, surface_texture, normal_texture, emission_texture, flags;
} materials;

static inline void load_materials(const mr_pack *pack, vu index, materials *m)
{
    uint32_t one;
    if (same_in_all(index, &one)) {
        const mr_material *all = &pack->materials[one];
        *m = (materials){v3_of(all->base_color), v3_of(all->emission), all_f(all->metallic), all_f(all->roughness), all_f(all->ior),
                         all_f(all->transmission), all_f(all->clearcoat), all_f(all->clearcoat_roughness), all_u(all->base_texture),
                         all_u(all->surface_texture), all_u(all->normal_texture), all_u(all->emission_texture), all_u(all->flags)};
        return;
    }
    vf a[8], b[8];
    load_rows8(pack->materials, index, MATERIAL_WORDS, 0, a);
    load_rows8(pack->materials, index, MATERIAL_WORDS, 8, b);
    m->base_color = v3(a[0], a[1], a[2]);
    m->base_texture = bits_of(a[3]);
    m->metallic = a[4];
    m->roughness = a[5];
    m->surface_texture = bits_of(a[6]);
    m->normal_texture = bits_of(a[7]);
    m->emission = v3(b[0], b[1], b[2]);
    m->emission_texture = bits_of(b[3]);
    m->ior = b[4];
    m->transmission = b[5];
    m->clearcoat = b[6];
    m->clearcoat_roughness = b[7];
    m->flags = gather_word_u(pack->materials, index, MATERIAL_WORDS, WORD_OF(mr_material, flags));
}
_Static_assert(WORD_OF(mr_material, normal_texture) == 7 && WORD_OF(mr_material, emission_texture) == 11 &&
                   WORD_OF(mr_material, clearcoat_roughness) == 15,
               "load_materials relies on the fields' order");

static inline vm has_texture(vu texture)
{
    return mask(texture != MR_NONE);
}

static inline vm textured(const materials *m)
{
    return has_texture(m->base_texture & m->surface_texture & m->normal_texture & m->emission_texture);
}

static inline vm flagged(vu flags, uint32_t which)
{
    return mask((flags & which) != 0u);
}

/* ---- the point ---- */

/* What is known of the point before its material is; in the space of its instance. */
typedef struct point {
    vec3 p;
    vec3 ng, ns;       /* as the geometry has them */
    vec3 dp_du, dp_dv; /* for normal maps; zeros without texture coordinates */
    vf u, v;
    vec3 color;
} point;

typedef struct corner {
    vec3 p, n;
    vf u, v;
} corner;

static inline corner load_corner(const mr_pack *pack, vu vertex)
{
    vf w[8];
    load_rows8(pack->vertices, vertex, VERTEX_WORDS, 0, w);
    return (corner){v3(w[0], w[1], w[2]), v3(w[3], w[4], w[5]), w[6], w[7]};
}

static inline vec3 load_position(const mr_pack *pack, vu vertex)
{
    vf w[4];
    load_rows4(pack->vertices, vertex, VERTEX_WORDS, 0, w);
    return v3(w[0], w[1], w[2]);
}

/* Barycentric weights of the ray's point on the triangle (a, b, c): ratios of signed areas seen along the ray, clamped. */
static inline vec3 barycentrics(vec3 o, vec3 d, vec3 a, vec3 b, vec3 c)
{
    vec3 pa = v3_sub(a, o), pb = v3_sub(b, o), pc = v3_sub(c, o);
    vf wa = v3_dot(d, v3_cross(pb, pc)), wb = v3_dot(d, v3_cross(pc, pa)), wc = v3_dot(d, v3_cross(pa, pb));
    vf sum = wa + wb + wc, zero = all_f(0.0f), inverse = 1.0f / sum;
    vm fine = mask(sum != 0.0f) & mask(abs_f(sum) < INFINITY);
    wb = clamp_f(wb * inverse, 0.0f, 1.0f);
    wc = min_f(max_f(wc * inverse, zero), 1.0f - wb);
    return v3_sel(fine, v3(1.0f - wb - wc, wb, wc), v3_all(1.0f / 3.0f));
}

static inline vf blend(vec3 w, vf a, vf b, vf c)
{
    return w.x * a + w.y * b + w.z * c;
}

static inline vec3 blend3(vec3 w, vec3 a, vec3 b, vec3 c)
{
    return v3(blend(w, a.x, b.x, c.x), blend(w, a.y, b.y, c.y), blend(w, a.z, b.z, c.z));
}

static inline void texture_axes(point *q, const corner *a, const corner *b, const corner *c)
{
    vec3 e1 = v3_sub(b->p, a->p), e2 = v3_sub(c->p, a->p);
    vf u1 = b->u - a->u, v1 = b->v - a->v, u2 = c->u - a->u, v2 = c->v - a->v, det = u1 * v2 - u2 * v1, inverse = 1.0f / det;
    vm fine = mask(abs_f(det) > 1e-20f);
    q->dp_du = v3_sel(fine, v3_scale(v3_sub(v3_scale(e1, v2), v3_scale(e2, v1)), inverse), v3_all(0.0f));
    q->dp_dv = v3_sel(fine, v3_scale(v3_sub(v3_scale(e2, u1), v3_scale(e1, u2)), inverse), v3_all(0.0f));
}

/* triangle: valid in every lane. */
static inline void triangle_point(const mr_texels *texels, const materials *m, vu triangle, vec3 o, vec3 d, point *q)
{
    const mr_pack *pack = texels->pack;
    vf t[4];
    load_rows4(pack->triangles, triangle, TRIANGLE_WORDS, 0, t);
    vu ia = bits_of(t[0]), ib = bits_of(t[1]), ic = bits_of(t[2]);
    corner a = load_corner(pack, ia), b = load_corner(pack, ib), c = load_corner(pack, ic);
    vec3 w = barycentrics(o, d, a.p, b.p, c.p);
    q->p = blend3(w, a.p, b.p, c.p);
    q->ng = v3_cross(v3_sub(b.p, a.p), v3_sub(c.p, a.p));
    q->ns = blend3(w, a.n, b.n, c.n);
    q->ns = v3_sel(mask(v3_dot(q->ns, q->ns) > 1e-12f), q->ns, q->ng);
    q->u = blend(w, a.u, b.u, c.u);
    q->v = blend(w, a.v, b.v, c.v);
    q->dp_du = q->dp_dv = v3_all(0.0f);
    q->color = v3_all(1.0f);
    if (any(has_texture(m->normal_texture))) texture_axes(q, &a, &b, &c);
    vm colored = flagged(m->flags, MR_MATERIAL_VERTEX_COLOR);
    if (!any(colored)) return;
    const size_t at = WORD_OF(mr_vertex, color);
    vec3 ca = mr_color_of(texels, gather_word_u(pack->vertices, ia, VERTEX_WORDS, at));
    vec3 cb = mr_color_of(texels, gather_word_u(pack->vertices, ib, VERTEX_WORDS, at));
    vec3 cc = mr_color_of(texels, gather_word_u(pack->vertices, ic, VERTEX_WORDS, at));
    q->color = v3_sel(colored, blend3(w, ca, cb, cc), q->color);
}

/* On the unit sphere, at o + d t. */
static inline void sphere_point(const materials *m, vec3 o, vec3 d, vf t, point *q)
{
    vec3 p = v3_unit(v3_mad(d, t, o));
    q->p = q->ng = q->ns = p;
    q->u = q->v = all_f(0.0f);
    if (any(textured(m))) {
        q->u = 0.5f + mr_atan2(p.x, -p.z) * (0.5f * MR_INV_PI);
        q->v = 1.0f - mr_atan2(sqrt_f(p.x * p.x + p.z * p.z), p.y) * MR_INV_PI;
    }
    q->dp_du = v3(-p.z, all_f(0.0f), p.x);
    q->dp_dv = v3_cross(p, q->dp_du);
    q->color = v3_all(1.0f);
}

static inline void point_sel(vm m, const point *a, point *b)
{
    b->p = v3_sel(m, a->p, b->p);
    b->ng = v3_sel(m, a->ng, b->ng);
    b->ns = v3_sel(m, a->ns, b->ns);
    b->dp_du = v3_sel(m, a->dp_du, b->dp_du);
    b->dp_dv = v3_sel(m, a->dp_dv, b->dp_dv);
    b->u = sel(m, a->u, b->u);
    b->v = sel(m, a->v, b->v);
    b->color = v3_sel(m, a->color, b->color);
}

/* To the world; the inverse's transpose keeps normals outside even where the transform mirrors. */
static inline void place_point(const instances *in, point *q)
{
    point w = *q;
    w.p = m34_point(in->to_world, q->p);
    w.ng = m34_transposed(in->to_object, q->ng);
    w.ns = m34_transposed(in->to_object, q->ns);
    w.dp_du = m34_vector(in->to_world, q->dp_du);
    w.dp_dv = m34_vector(in->to_world, q->dp_dv);
    point_sel(in->placed, &w, q);
}

static inline void point_at(const mr_texels *texels, const mr_ends *ends, const instances *in, const materials *m, point *q)
{
    vm sphere = mask(ends->triangle == MR_SPHERE);
    vec3 o = ends->o, d = ends->d;
    if (any(in->placed)) {
        o = v3_sel(in->placed, m34_point(in->to_object, o), o);
        d = v3_sel(in->placed, m34_vector(in->to_object, d), d);
    }
    if (!any(sphere)) {
        triangle_point(texels, m, ends->triangle, o, d, q);
    } else {
        point ball;
        sphere_point(m, o, d, ends->t, &ball);
        if (any(~sphere)) triangle_point(texels, m, sel_u(sphere, all_u(0), ends->triangle), o, d, q);
        else *q = ball;
        point_sel(sphere, &ball, q);
    }
    if (any(in->placed)) place_point(in, q);
}

/* ---- the material there ---- */

/* Tilts the shading normal by a tangent-space normal map. */
static inline void normal_map(const mr_texels *texels, const materials *m, vf scale, point *q)
{
    vm mapped = has_texture(m->normal_texture) & mask(v3_dot(q->dp_du, q->dp_du) != 0.0f);
    vec3 c = mr_texture_at(texels, m->normal_texture, q->u, q->v, mapped), n = v3_unit(q->ns);
    vec3 t = v3_unit(v3_sub(q->dp_du, v3_scale(n, v3_dot(n, q->dp_du)))), b = v3_cross(n, t);
    b = v3_sel(mask(v3_dot(b, q->dp_dv) < 0.0f), v3_neg(b), b);
    vf x = (2.0f * c.x - 1.0f) * scale, y = (2.0f * c.y - 1.0f) * scale, z = 2.0f * c.z - 1.0f;
    q->ns = v3_sel(mapped, v3_add(v3_add(v3_scale(t, x), v3_scale(b, y)), v3_scale(n, z)), q->ns);
}

/* value times the texture where there is one. */
static inline vec3 times_texture(const mr_texels *texels, vec3 value, vu texture, vm live, const point *q)
{
    live = live & has_texture(texture);
    if (!any(live)) return value;
    return v3_sel(live, v3_mul(value, mr_texture_at(texels, texture, q->u, q->v, live)), value);
}

static inline void lobes_at(const mr_texels *texels, const materials *m, const instances *in, const point *q, mr_lobes *l)
{
    vec3 base = v3_mul(v3_mul(m->base_color, in->tint), q->color);
    base = times_texture(texels, base, m->base_texture, all_lanes(), q);
    vec3 rough_metal = times_texture(texels, v3(all_f(1.0f), m->roughness, m->metallic), m->surface_texture, all_lanes(), q);
    vf roughness = rough_metal.y;
    l->base = v3(clamp_f(base.x, 0, 1), clamp_f(base.y, 0, 1), clamp_f(base.z, 0, 1));
    l->metallic = clamp_f(rough_metal.z, 0, 1);
    l->transmission = m->transmission;
    l->clearcoat = m->clearcoat;
    l->alpha = max_f(roughness * roughness, all_f(MR_MIN_ALPHA));
    l->coat_alpha = max_f(m->clearcoat_roughness * m->clearcoat_roughness, all_f(MR_MIN_ALPHA));
    l->ior = max_f(m->ior, all_f(MR_MIN_IOR));
    l->smooth = flagged(m->flags, MR_MATERIAL_GLASS) |
                (mask(m->transmission >= 1.0f) & mask(l->metallic <= 0.0f) & mask(roughness < MR_SMOOTH_ROUGHNESS));
}

/* Normals to the ray's side; a shading normal that the ray sees from behind is bent until it just faces it. */
static inline void face_ray(mr_surface *s, const point *q, vec3 wo)
{
    vec3 ng = v3_unit(q->ng), ns = v3_unit(q->ns);
    s->front = mask(v3_dot(ng, wo) > 0.0f);
    ns = v3_sel(mask(v3_dot(ng, ns) < 0.0f), v3_neg(ns), ns);
    s->ng = v3_sel(s->front, ng, v3_neg(ng));
    ns = v3_sel(s->front, ns, v3_neg(ns));
    vf c = v3_dot(ns, wo);
    vm behind = mask(c < 0.01f);
    if (any(behind)) ns = v3_sel(behind, v3_unit(v3_mad(wo, 0.02f - c, ns)), ns);
    s->ns = ns;
}

/* The materials that rays end on. */
static inline vu mr_hit_materials(const mr_pack *pack, vu triangle, const instances *in)
{
    vm own = mask(in->material == MR_NONE) & mask(triangle != MR_SPHERE);
    if (!any(own)) return in->material;
    vu of_triangle = gather_word_u(pack->triangles, sel_u(own, triangle, all_u(0)), TRIANGLE_WORDS, WORD_OF(mr_triangle, material));
    return sel_u(own, of_triangle, in->material);
}

static inline void mr_surface_at(const mr_texels *texels, const mr_ends *ends, mr_surface *out)
{
    instances in;
    materials m;
    point q;
    load_instances(texels->pack, ends->instance, &in);
    out->material = mr_hit_materials(texels->pack, ends->triangle, &in);
    load_materials(texels->pack, out->material, &m);
    out->flags = m.flags;
    point_at(texels, ends, &in, &m, &q);
    out->p = q.p;
    q.ns = v3_sel(flagged(m.flags, MR_MATERIAL_FLAT), q.ng, q.ns);
    if (any(has_texture(m.normal_texture)))
        normal_map(texels, &m, gather_word_f(texels->pack->materials, out->material, MATERIAL_WORDS, WORD_OF(mr_material, normal_scale)), &q);
    face_ray(out, &q, v3_neg(ends->d));
    lobes_at(texels, &m, &in, &q, &out->lobes);
    out->emission = v3_sel(out->front, m.emission, v3_all(0.0f));
    vm shines = mask(v3_max(out->emission) > 0.0f);
    out->emission = times_texture(texels, out->emission, m.emission_texture, shines, &q);
    vf reach = max_f(max_f(abs_f(q.p.x), abs_f(q.p.y)), max_f(abs_f(q.p.z), ends->t * 0.25f));
    out->offset = reach * MR_OFFSET_SHARE + MR_OFFSET_LEAST;
}

/* Where a ray that leaves the surface on the side of ng, or beyond it, starts. */
static inline vec3 mr_surface_origin(const mr_surface *s, vm beyond)
{
    return v3_mad(s->ng, sel(beyond, -s->offset, s->offset), s->p);
}

#endif
