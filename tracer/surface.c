#include "tracer/surface.h"

#include "tracer/mathf.h"

/* A new ray starts this far off, as a share of the largest coordinate: some 30 units in the last place, above the rounding of
 * interpolation and transform (after Waechter and Binder 2019, "A Fast and Robust Method for Avoiding Self-Intersection"). */
#define OFFSET_SHARE 4e-6f
#define OFFSET_LEAST 1e-7f
#define MIN_ALPHA 1e-3f
#define SMOOTH_ROUGHNESS 0.01f
#define MIN_IOR 1.0005f

/* What is known of the point before its material is. */
typedef struct point {
    vec3 ng, ns;       /* as the geometry has them */
    vec3 dp_du, dp_dv; /* for normal maps; zeros without texture coordinates */
    float u, v;
    vec3 color;
} point;

uint32_t mr_hit_material(const mr_pack *pack, const mr_hit *hit)
{
    uint32_t own = pack->instances[hit->instance].material;
    return own != MR_NONE || hit->triangle == MR_SPHERE ? own : pack->triangles[hit->triangle].material;
}

/* Barycentric weights of the ray's point on the triangle (a, b, c): ratios of signed areas seen along the ray, clamped. */
static vec3 barycentrics(vec3 o, vec3 d, vec3 a, vec3 b, vec3 c)
{
    vec3 pa = v3_sub(a, o), pb = v3_sub(b, o), pc = v3_sub(c, o);
    float wa = v3_dot(d, v3_cross(pb, pc)), wb = v3_dot(d, v3_cross(pc, pa)), wc = v3_dot(d, v3_cross(pa, pb));
    float sum = wa + wb + wc;
    if (sum == 0 || !(fabsf(sum) < INFINITY)) return v3_all(1.0f / 3.0f);
    wb = clamp_f(wb / sum, 0.0f, 1.0f);
    wc = clamp_f(wc / sum, 0.0f, 1.0f - wb);
    return v3(1.0f - wb - wc, wb, wc);
}

static vec3 blend(vec3 w, const float *a, const float *b, const float *c)
{
    return v3_add(v3_add(v3_scale(v3_of(a), w.x), v3_scale(v3_of(b), w.y)), v3_scale(v3_of(c), w.z));
}

static void texture_axes(point *q, const mr_vertex *const v[3], vec3 e1, vec3 e2)
{
    float u1 = v[1]->uv[0] - v[0]->uv[0], v1 = v[1]->uv[1] - v[0]->uv[1], u2 = v[2]->uv[0] - v[0]->uv[0],
          v2 = v[2]->uv[1] - v[0]->uv[1];
    float det = u1 * v2 - u2 * v1;
    if (fabsf(det) > 1e-20f) {
        q->dp_du = v3_scale(v3_sub(v3_scale(e1, v2), v3_scale(e2, v1)), 1.0f / det);
        q->dp_dv = v3_scale(v3_sub(v3_scale(e2, u1), v3_scale(e1, u2)), 1.0f / det);
    }
}

static vec3 triangle_point(const mr_texels *texels, const mr_instance *in, const mr_material *m, const mr_hit *hit, vec3 o, vec3 d,
                           point *q)
{
    const mr_pack *pack = texels->pack;
    const mr_triangle *t = &pack->triangles[hit->triangle];
    const mr_vertex *v[3] = {&pack->vertices[t->v[0]], &pack->vertices[t->v[1]], &pack->vertices[t->v[2]]};
    vec3 a = v3_of(v[0]->p), e1 = v3_sub(v3_of(v[1]->p), a), e2 = v3_sub(v3_of(v[2]->p), a);
    vec3 w = barycentrics(o, d, a, v3_of(v[1]->p), v3_of(v[2]->p));
    vec3 p = blend(w, v[0]->p, v[1]->p, v[2]->p), ns = blend(w, v[0]->n, v[1]->n, v[2]->n);
    q->ng = v3_cross(e1, e2);
    q->ns = v3_dot(ns, ns) > 1e-12f ? ns : q->ng;
    q->u = w.x * v[0]->uv[0] + w.y * v[1]->uv[0] + w.z * v[2]->uv[0];
    q->v = w.x * v[0]->uv[1] + w.y * v[1]->uv[1] + w.z * v[2]->uv[1];
    if (m->normal_texture != MR_NONE) texture_axes(q, v, e1, e2);
    if (m->flags & MR_MATERIAL_VERTEX_COLOR)
        q->color = v3_add(v3_add(v3_scale(mr_color_of(texels, v[0]->color), w.x), v3_scale(mr_color_of(texels, v[1]->color), w.y)),
                          v3_scale(mr_color_of(texels, v[2]->color), w.z));
    if (hit->instance) { /* the inverse's transpose keeps normals outside even where the transform mirrors */
        q->ng = m34_transposed(in->to_object, q->ng);
        q->ns = m34_transposed(in->to_object, q->ns);
        q->dp_du = m34_vector(in->to_world, q->dp_du);
        q->dp_dv = m34_vector(in->to_world, q->dp_dv);
    }
    return p;
}

static int textured(const mr_material *m)
{
    return (m->base_texture & m->surface_texture & m->normal_texture & m->emission_texture) != MR_NONE;
}

static vec3 sphere_point(const mr_instance *in, const mr_material *m, const mr_hit *hit, vec3 o, vec3 d, point *q)
{
    vec3 p = v3_unit(v3_mad(d, hit->t, o));
    q->ng = q->ns = m34_transposed(in->to_object, p);
    if (textured(m)) {
        q->u = 0.5f + mr_atan2(p.x, -p.z) * (0.5f * MR_INV_PI);
        q->v = 1.0f - mr_atan2(sqrtf(p.x * p.x + p.z * p.z), p.y) * MR_INV_PI;
    }
    q->dp_du = m34_vector(in->to_world, v3(-p.z, 0, p.x));
    q->dp_dv = v3_cross(q->ng, q->dp_du);
    return p;
}

/* Tilts the shading normal by a tangent-space normal map. */
static void normal_map(const mr_texels *texels, const mr_material *m, point *q)
{
    if (m->normal_texture == MR_NONE || v3_dot(q->dp_du, q->dp_du) == 0) return;
    vec3 c = mr_texture_at(texels, m->normal_texture, q->u, q->v), n = v3_unit(q->ns);
    vec3 t = v3_unit(v3_sub(q->dp_du, v3_scale(n, v3_dot(n, q->dp_du)))), b = v3_cross(n, t);
    if (v3_dot(b, q->dp_dv) < 0) b = v3_neg(b);
    float x = (2.0f * c.x - 1.0f) * m->normal_scale, y = (2.0f * c.y - 1.0f) * m->normal_scale, z = 2.0f * c.z - 1.0f;
    q->ns = v3_add(v3_add(v3_scale(t, x), v3_scale(b, y)), v3_scale(n, z));
}

static void lobes_at(const mr_texels *texels, const mr_material *m, const mr_instance *in, const point *q, mr_lobes *l)
{
    vec3 base = v3_mul(v3_of(m->base_color), v3_of(in->tint));
    if (m->flags & MR_MATERIAL_VERTEX_COLOR) base = v3_mul(base, q->color);
    if (m->base_texture != MR_NONE) base = v3_mul(base, mr_texture_at(texels, m->base_texture, q->u, q->v));
    float roughness = m->roughness, metallic = m->metallic;
    if (m->surface_texture != MR_NONE) {
        vec3 s = mr_texture_at(texels, m->surface_texture, q->u, q->v);
        roughness *= s.y;
        metallic *= s.z;
    }
    l->base = v3(clamp_f(base.x, 0, 1), clamp_f(base.y, 0, 1), clamp_f(base.z, 0, 1));
    l->metallic = clamp_f(metallic, 0, 1);
    l->transmission = m->transmission;
    l->clearcoat = m->clearcoat;
    l->alpha = max_f(roughness * roughness, MIN_ALPHA);
    l->coat_alpha = max_f(m->clearcoat_roughness * m->clearcoat_roughness, MIN_ALPHA);
    l->ior = max_f(m->ior, MIN_IOR);
    l->smooth = (m->flags & MR_MATERIAL_GLASS) != 0 || (m->transmission >= 1 && l->metallic <= 0 && roughness < SMOOTH_ROUGHNESS);
}

/* Normals to the ray's side; a shading normal that the ray sees from behind is bent until it just faces it. */
static void face_ray(mr_surface *s, const point *q, vec3 wo)
{
    vec3 ng = v3_unit(q->ng), ns = v3_unit(q->ns);
    s->front = v3_dot(ng, wo) > 0;
    if (v3_dot(ng, ns) < 0) ns = v3_neg(ns);
    s->ng = s->front ? ng : v3_neg(ng);
    ns = s->front ? ns : v3_neg(ns);
    float c = v3_dot(ns, wo);
    if (c < 0.01f) ns = v3_unit(v3_mad(wo, 0.02f - c, ns));
    s->ns = ns;
}

void mr_surface_at(const mr_texels *texels, const mr_ray *ray, const mr_hit *hit, mr_surface *out)
{
    const mr_pack *pack = texels->pack;
    const mr_instance *in = &pack->instances[hit->instance];
    vec3 d = v3_of(ray->dir), o = v3_of(ray->org), wo = v3_neg(v3_unit(d));
    if (hit->instance) {
        o = m34_point(in->to_object, o);
        d = m34_vector(in->to_object, d);
    }
    point q = {.color = {1, 1, 1}};
    out->material = mr_hit_material(pack, hit);
    const mr_material *m = &pack->materials[out->material];
    out->p = hit->triangle == MR_SPHERE ? sphere_point(in, m, hit, o, d, &q) : triangle_point(texels, in, m, hit, o, d, &q);
    if (hit->instance) out->p = m34_point(in->to_world, out->p);
    out->flags = m->flags;
    if (m->flags & MR_MATERIAL_FLAT) q.ns = q.ng;
    normal_map(texels, m, &q);
    face_ray(out, &q, wo);
    lobes_at(texels, m, in, &q, &out->lobes);
    out->emission = out->front ? v3_of(m->emission) : v3_all(0);
    if (out->front && m->emission_texture != MR_NONE)
        out->emission = v3_mul(out->emission, mr_texture_at(texels, m->emission_texture, q.u, q.v));
    float reach =
        max_f(max_f(fabsf(out->p.x), fabsf(out->p.y)), max_f(fabsf(out->p.z), hit->t * v3_length(v3_of(ray->dir)) * 0.25f));
    out->offset = reach * OFFSET_SHARE + OFFSET_LEAST;
}
