/* Direct light: choosing a light and a point on it, and the density of having done so; over lanes (tracer/lanes.h). */
#ifndef MR_LIGHT_H
#define MR_LIGHT_H

#include "tracer/environment.h"
#include "tracer/shapes.h"
#include "tracer/surface.h"

typedef struct mr_lights {
    uint32_t first_triangle, triangle_count; /* the run of triangle lights, sorted by triangle */
    uint32_t first_sun, sun_count;           /* the run of suns */
} mr_lights;

typedef struct mr_light_sample {
    vec3 wi;       /* unit, towards the light */
    vf distance;   /* to it; infinite for sun and environment */
    vec3 radiance; /* from it, nothing in between */
    vf pdf;        /* per steradian, the choice of the light included */
} mr_light_sample;

void mr_lights_init(mr_lights *lights, const mr_pack *pack);

/* mr_light as lanes. */
typedef struct light_lanes {
    vu kind, index;
    vf probability, area;
    vec3 direction, radiance;
    vu texture;
} light_lanes;

enum { LIGHT_WORDS = sizeof(mr_light) / 4 };
_Static_assert(WORD_OF(mr_light, area) == 3 && WORD_OF(mr_light, direction) == 4 && WORD_OF(mr_light, radiance) == 7 && WORD_OF(mr_light, texture) == 10,
               "load_lights relies on the fields' order");

static inline void load_lights(const mr_pack *pack, vu index, light_lanes *l)
{
    uint32_t one;
    if (same_in_all(index, &one)) {
        const mr_light *all = &pack->lights[one];
        *l = (light_lanes){all_u(all->kind), all_u(all->index), all_f(all->probability), all_f(all->area), v3_of(all->direction), v3_of(all->radiance),
                           all_u(all->texture)};
        return;
    }
    vf a[8], b[4];
    load_rows8(pack->lights, index, LIGHT_WORDS, 0, a);
    load_rows4(pack->lights, index, LIGHT_WORDS, 8, b);
    l->kind = bits_of(a[0]);
    l->index = bits_of(a[1]);
    l->probability = a[2];
    l->area = a[3];
    l->direction = v3(a[4], a[5], a[6]);
    l->radiance = v3(a[7], b[0], b[1]);
    l->texture = bits_of(b[2]);
}

static inline vu choose_light(const mr_pack *pack, vf pick)
{
    vf x = pick * (float)pack->light_count, whole = min_f(mr_floor(x), all_f((float)(pack->light_count - 1)));
    vu i = (vu)to_int(whole);
    vf threshold = gather_word_f(pack->light_table, i, 2, 0);
    return sel_u(mask(x - whole < threshold), i, gather_word_u(pack->light_table, i, 2, 1));
}

static inline vf cone_density(vf cos_max)
{
    return 1.0f / (2.0f * MR_PI * (1.0f - cos_max));
}

/* wa, wb, wc: barycentric weights of points on triangles with vertices a, b, c. */
static inline vec3 times_emission_texture(const mr_texels *texels, const light_lanes *l, vm live, vec3 w, vu a, vu b, vu c)
{
    const mr_vertex *v = texels->pack->vertices;
    const size_t u = WORD_OF(mr_vertex, uv);
    if (!any(live & has_texture(l->texture))) return l->radiance;
    point at = {.u = blend(w, gather_word_f(v, a, VERTEX_WORDS, u), gather_word_f(v, b, VERTEX_WORDS, u), gather_word_f(v, c, VERTEX_WORDS, u)),
                .v = blend(w, gather_word_f(v, a, VERTEX_WORDS, u + 1), gather_word_f(v, b, VERTEX_WORDS, u + 1), gather_word_f(v, c, VERTEX_WORDS, u + 1))};
    return times_texture(texels, l->radiance, l->texture, live, &at);
}

/* A point uniform on the triangle, by area. */
static inline vm sample_triangle(const mr_texels *texels, const light_lanes *l, vm live, vec3 p, mr_sample2 s, mr_light_sample *out)
{
    const mr_pack *pack = texels->pack;
    vf t[4];
    load_rows4(pack->triangles, sel_u(live, l->index, all_u(0)), TRIANGLE_WORDS, 0, t);
    vu a = bits_of(t[0]), b = bits_of(t[1]), c = bits_of(t[2]);
    vec3 w = {.y = sqrt_f(s.u)};
    w = v3(1.0f - w.y, w.y * (1.0f - s.v), w.y * s.v);
    vec3 d = v3_sub(blend3(w, load_position(pack, a), load_position(pack, b), load_position(pack, c)), p);
    vf d2 = v3_dot(d, d), distance = sqrt_f(d2), inverse = 1.0f / distance, cosine = -v3_dot(l->direction, d) * inverse;
    vm fine = live & mask(cosine > 1e-6f) & mask(l->area > 0.0f);
    out->wi = v3_scale(d, inverse);
    out->distance = distance;
    out->pdf = l->probability * d2 / (cosine * l->area);
    out->radiance = times_emission_texture(texels, l, fine, w, a, b, c);
    return fine;
}

/* A sphere as p sees it; emissive spheres are scaled uniformly. */
typedef struct seen_sphere {
    vec3 to_center;
    vf radius2, d2;  /* squares of radius and distance */
    vf cos_max;      /* cosine of the half angle */
    vm outside;      /* p is outside, not too far off for floats */
} seen_sphere;

static inline seen_sphere see_sphere(const mr_pack *pack, vu instance, vec3 p)
{
    vf m[12];
    seen_sphere s;
    for (size_t i = 0; i < 3; i++) load_rows4(pack->instances, instance, INSTANCE_WORDS, WORD_OF(mr_instance, to_world) + 4 * i, m + 4 * i);
    s.to_center = v3_sub(v3(m[3], m[7], m[11]), p);
    s.radius2 = m[0] * m[0] + m[4] * m[4] + m[8] * m[8];
    s.d2 = v3_dot(s.to_center, s.to_center);
    vf sin2 = s.radius2 / max_f(s.d2, all_f(1e-30f));
    s.cos_max = sqrt_f(max_f(1.0f - sin2, all_f(0.0f)));
    s.outside = mask(s.cos_max > 0.0f) & mask(s.cos_max <= 0.99999994f);
    return s;
}

/* A direction uniform in the cone under which the sphere is seen. */
static inline vm sample_sphere(const mr_pack *pack, const light_lanes *l, vm live, vec3 p, mr_sample2 s, mr_light_sample *out)
{
    vu instance = sel_u(live, l->index, all_u(0));
    seen_sphere ball = see_sphere(pack, instance, p);
    frame f = frame_about(v3_unit(ball.to_center));
    vec3 local = mr_cone(s, ball.cos_max);
    vf along = sqrt_f(ball.d2) * local.z, depth2 = ball.radius2 - ball.d2 * (1.0f - local.z * local.z);
    out->wi = v3_unit(frame_to_world(&f, local));
    out->distance = along - sqrt_f(max_f(depth2, all_f(0.0f)));
    out->pdf = l->probability * cone_density(ball.cos_max);
    out->radiance = l->radiance;
    return live & ball.outside;
}

static inline void sample_sun(const light_lanes *l, mr_sample2 s, mr_light_sample *out)
{
    frame f = frame_about(l->direction);
    out->wi = v3_unit(frame_to_world(&f, mr_cone(s, l->area)));
    out->distance = all_f(INFINITY);
    out->pdf = l->probability * cone_density(l->area);
    out->radiance = l->radiance;
}

static inline vm sample_environment(const mr_texels *texels, const light_lanes *l, mr_sample2 s, mr_light_sample *out)
{
    vf density;
    mr_map_place at;
    out->wi = mr_environment_sample(texels->pack, s, &at, &density);
    out->distance = all_f(INFINITY);
    out->pdf = l->probability * density;
    out->radiance = mr_environment_radiance(texels, &at);
    return mask(density > 0.0f);
}

static inline void light_sel(vm m, const mr_light_sample *a, mr_light_sample *b)
{
    b->wi = v3_sel(m, a->wi, b->wi);
    b->distance = sel(m, a->distance, b->distance);
    b->radiance = v3_sel(m, a->radiance, b->radiance);
    b->pdf = sel(m, a->pdf, b->pdf);
}

/* Chooses a light by power, then a direction to it as seen from p; set where something may come from there. pick in [0, 1). The pack has lights. */
static inline vm mr_light_sample_at(const mr_texels *texels, vec3 p, vf pick, mr_sample2 s, vm live, mr_light_sample *out)
{
    light_lanes l;
    mr_light_sample other;
    load_lights(texels->pack, choose_light(texels->pack, pick), &l);
    vm triangle = live & mask(l.kind == (uint32_t)MR_LIGHT_TRIANGLE), sphere = live & mask(l.kind == (uint32_t)MR_LIGHT_SPHERE),
       sun = live & mask(l.kind == (uint32_t)MR_LIGHT_SUN), sky = live & mask(l.kind == (uint32_t)MR_LIGHT_ENVIRONMENT), fine = no_lanes();
    *out = (mr_light_sample){.pdf = all_f(1.0f)};
    if (any(triangle)) fine = sample_triangle(texels, &l, triangle, p, s, out);
    if (any(sphere)) {
        fine |= sample_sphere(texels->pack, &l, sphere, p, s, &other);
        light_sel(sphere, &other, out);
    }
    if (any(sun)) {
        sample_sun(&l, s, &other);
        light_sel(sun, &other, out);
        fine |= sun;
    }
    if (any(sky)) {
        fine |= sky & sample_environment(texels, &l, s, &other);
        light_sel(sky, &other, out);
    }
    return fine;
}

/* The triangles' lights, or MR_NONE; bisects in every lane alike. */
static inline vu lights_of_triangles(const mr_lights *lights, const mr_pack *pack, vu triangle)
{
    const void *first = pack->lights + lights->first_triangle;
    const uint32_t n = lights->triangle_count;
    vu lo = all_u(0); /* the light sought is lo or behind it: lights before lo have smaller triangles */
    uint32_t step = 1;
    if (!n) return all_u(MR_NONE);
    while (step < n) step *= 2;
    for (; step > 0; step /= 2) {
        vu next = lo + step;
        vm inside = mask((vi)next <= (int32_t)n);
        vu before = gather_word_u(first, sel_u(inside, next - 1u, all_u(0)), LIGHT_WORDS, WORD_OF(mr_light, index));
        lo = sel_u(inside & mask(before < triangle), next, lo);
    }
    vm there = mask((vi)lo < (int32_t)n);
    vu found = gather_word_u(first, sel_u(there, lo, all_u(0)), LIGHT_WORDS, WORD_OF(mr_light, index));
    return sel_u(there & mask(found == triangle), lo + lights->first_triangle, all_u(MR_NONE));
}

static inline vf triangle_hit_pdf(const mr_lights *lights, const mr_pack *pack, vec3 from, const mr_ends *ends, vec3 hit_point, vec3 hit_ng)
{
    vu light = lights_of_triangles(lights, pack, ends->triangle);
    vm there = mask(light != MR_NONE) & mask(ends->instance == 0u);
    vf probability, area, zero = all_f(0.0f);
    if (!any(there)) return zero;
    light = sel_u(there, light, all_u(0));
    probability = gather_word_f(pack->lights, light, LIGHT_WORDS, WORD_OF(mr_light, probability));
    area = gather_word_f(pack->lights, light, LIGHT_WORDS, WORD_OF(mr_light, area));
    vec3 d = v3_sub(hit_point, from);
    vf d2 = v3_dot(d, d), cosine = -v3_dot(hit_ng, d) / sqrt_f(max_f(d2, all_f(1e-30f)));
    return sel(there & mask(area > 0.0f) & mask(cosine > 1e-6f), probability * d2 / (cosine * area), zero);
}

static inline vf sphere_hit_pdf(const mr_pack *pack, vec3 from, vu instance)
{
    vu light = gather_word_u(pack->instances, instance, INSTANCE_WORDS, WORD_OF(mr_instance, light));
    vm there = mask(light != MR_NONE);
    vf probability, zero = all_f(0.0f);
    if (!any(there)) return zero;
    probability = gather_word_f(pack->lights, sel_u(there, light, all_u(0)), LIGHT_WORDS, WORD_OF(mr_light, probability));
    seen_sphere ball = see_sphere(pack, instance, from);
    return sel(there & ball.outside, probability * cone_density(ball.cos_max), zero);
}

/* The density with which mr_light_sample_at, at `from`, would have chosen the direction of a ray that ended on this emissive point. */
static inline vf mr_light_hit_pdf(const mr_lights *lights, const mr_pack *pack, vec3 from, const mr_ends *ends, vec3 hit_point, vec3 hit_ng)
{
    vm sphere = mask(ends->triangle == MR_SPHERE);
    vf pdf = all_f(0.0f);
    if (any(~sphere)) pdf = triangle_hit_pdf(lights, pack, from, ends, hit_point, hit_ng);
    if (any(sphere)) pdf = sel(sphere, sphere_hit_pdf(pack, from, ends->instance), pdf);
    return pdf;
}

/* bsdf_pdf 0: no other strategy could have found it. */
static inline vf weight_against(vf bsdf_pdf, vf light_pdf)
{
    return sel(mask(bsdf_pdf > 0.0f), mr_mis_weight(bsdf_pdf, light_pdf), all_f(1.0f));
}

/* Radiance that comes along a ray which hits nothing, each part weighted against light sampling.
 * bsdf_pdf: the density with which the ray's direction was chosen; 0: nobody else could have found it, weight 1. */
static inline vec3 mr_light_miss(const mr_lights *lights, const mr_texels *texels, vec3 direction, vf bsdf_pdf)
{
    const mr_pack *pack = texels->pack;
    vec3 sum = v3_all(0.0f);
    if (pack->environment) {
        mr_map_place at = mr_environment_place(pack, direction);
        vf pdf = pack->lights[pack->environment->light].probability * mr_environment_density(pack, &at);
        sum = v3_scale(mr_environment_radiance(texels, &at), weight_against(bsdf_pdf, pdf));
    }
    for (uint32_t i = 0; i < lights->sun_count; i++) {
        const mr_light *sun = &pack->lights[lights->first_sun + i];
        vm seen = mask(v3_dot(direction, v3_of(sun->direction)) >= sun->area);
        if (!any(seen)) continue;
        vf pdf = sun->probability * cone_density(all_f(sun->area));
        sum = v3_sel(seen, v3_mad(v3_of(sun->radiance), weight_against(bsdf_pdf, pdf), sum), sum);
    }
    return sum;
}

#endif
