#include "tracer/integrator.h"

#include <string.h>

#include "tracer/mathf.h"
#include "tracer/shapes.h"
#include "tracer/surface.h"

/* Pairs of random dimensions: the camera's, then PAIRS_A_BOUNCE for each bounce. */
enum { PAIR_FILTER, PAIR_LENS, PAIR_BOUNCES };
enum { PAIR_CHOICE /* light, roulette */, PAIR_LIGHT, PAIR_LOBE, PAIR_DIRECTION, PAIRS_A_BOUNCE };

static mr_sample2 draw(const mr_path *p, uint32_t bounce, uint32_t pair)
{
    return mr_sample(p->pixel_key, p->sample, PAIR_BOUNCES + bounce * PAIRS_A_BOUNCE + pair);
}

static void set_ray(mr_ray *ray, vec3 o, vec3 d, float tmax)
{
    *ray = (mr_ray){{o.x, o.y, o.z}, 0.0f, {d.x, d.y, d.z}, tmax};
}

static int is_finite(vec3 c)
{
    return fabsf(c.x) < INFINITY && fabsf(c.y) < INFINITY && fabsf(c.z) < INFINITY;
}

/* Adds light to a path; indirect light is held below the scene's clamp. */
static void add_light(const mr_integrator *in, mr_path *p, vec3 light, int indirect)
{
    float limit = in->pack->settings->clamp_indirect, brightest = v3_max(light);
    if (!is_finite(light)) return;
    if (indirect && limit > 0 && brightest > limit) light = v3_scale(light, limit / brightest);
    p->radiance = v3_add(p->radiance, light);
}

/* Beer-Lambert along a stretch of the body that the path is in. */
static vec3 transmittance(const mr_pack *pack, uint32_t medium, float metres)
{
    vec3 a = v3_of(pack->materials[medium].absorption);
    return v3(mr_exp(-a.x * metres), mr_exp(-a.y * metres), mr_exp(-a.z * metres));
}

static void start_paths(mr_integrator *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mr_path *p = &in->paths[i];
        mr_sample2 filter = mr_sample(p->pixel_key, p->sample, PAIR_FILTER), lens = mr_sample(p->pixel_key, p->sample, PAIR_LENS);
        mr_camera_ray(&in->camera, p->x, p->y, filter, lens, &in->rays[i]);
        p->throughput = v3_all(1.0f);
        p->radiance = v3_all(0);
        p->from = v3_of(in->rays[i].org);
        p->bsdf_pdf = 0;
        p->medium = MR_NONE;
        in->ray_path[i] = i;
    }
}

/* Light that the surface itself gives, weighted against having been sampled from the last point. */
static void add_emission(const mr_integrator *in, mr_path *p, const mr_surface *s, const mr_hit *hit, uint32_t bounce)
{
    if (!(v3_max(s->emission) > 0)) return;
    float weight = 1.0f;
    if (p->bsdf_pdf > 0) weight = mr_mis_weight(p->bsdf_pdf, mr_light_hit_pdf(&in->lights, p->from, hit, s->p, s->ng));
    add_light(in, p, v3_scale(v3_mul(p->throughput, s->emission), weight), bounce > 0);
}

/* Next-event estimation: queues a shadow ray to a point of a light. Returns the new number of shadow rays. */
static uint32_t cast_shadow(mr_integrator *in, uint32_t path, const mr_surface *s, const mr_bsdf *bsdf, uint32_t bounce, uint32_t n)
{
    mr_path *p = &in->paths[path];
    mr_light_sample light;
    if (s->lobes.smooth ||
        !mr_light_sample_at(&in->lights, s->p, draw(p, bounce, PAIR_CHOICE).u, draw(p, bounce, PAIR_LIGHT), &light))
        return n;
    float bsdf_pdf;
    vec3 f = mr_bsdf_eval(bsdf, light.wi, &bsdf_pdf);
    float scale = mr_mis_weight(light.pdf, bsdf_pdf) / light.pdf;
    vec3 arrives = v3_mul(v3_mul(p->throughput, f), v3_scale(light.radiance, scale));
    if (!(v3_max(arrives) > 0)) return n;
    vec3 o = mr_surface_origin(s, v3_dot(light.wi, s->ng) > 0 ? 1.0f : -1.0f);
    set_ray(&in->shadow_rays[n], o, light.wi, light.distance * 0.9999f - s->offset);
    in->shadow_path[n] = path;
    in->shadow_light[n] = arrives;
    in->shadow_medium[n] = v3_dot(light.wi, s->ng) > 0 ? p->medium : MR_NONE;
    return n + 1;
}

static int roulette(const mr_integrator *in, mr_path *p, uint32_t bounce)
{
    if (bounce < in->pack->settings->roulette_after) return 1;
    float stay = min_f(v3_max(p->throughput), 0.95f);
    if (!(draw(p, bounce, PAIR_CHOICE).v < stay)) return 0;
    p->throughput = v3_scale(p->throughput, 1.0f / stay);
    return 1;
}

static int absorbs(const mr_material *m)
{
    return m->absorption[0] > 0 || m->absorption[1] > 0 || m->absorption[2] > 0;
}

/* Chooses the next direction: 1 and the ray, or 0 when the path ends. */
static int scatter(const mr_integrator *in, mr_path *p, const mr_surface *s, const mr_bsdf *bsdf, uint32_t bounce, mr_ray *ray)
{
    mr_scatter next;
    if (!mr_bsdf_sample(bsdf, draw(p, bounce, PAIR_LOBE).u, draw(p, bounce, PAIR_DIRECTION), &next)) return 0;
    p->throughput = v3_mul(p->throughput, next.weight);
    if (!is_finite(p->throughput) || !(v3_max(p->throughput) > 0) || !roulette(in, p, bounce)) return 0;
    /* Shadow rays cross such a body unbent, so behind it light is found both ways: the density of the last real choice stays. */
    int seen_through = next.transmitted && (s->flags & MR_MATERIAL_TRANSPARENT_SHADOW) && p->bsdf_pdf > 0;
    if (!seen_through) {
        p->bsdf_pdf = next.ideal ? 0.0f : next.pdf;
        p->from = s->p;
    }
    if (next.transmitted) p->medium = s->front && absorbs(&in->pack->materials[s->material]) ? s->material : MR_NONE;
    set_ray(ray, mr_surface_origin(s, next.transmitted ? -1.0f : 1.0f), next.wi, INFINITY);
    return 1;
}

/* Shades the hits of a pass: n rays. Returns how many paths go on (their rays compacted in place); *shadows receives the shadow
 * rays cast. */
static uint32_t shade(mr_integrator *in, uint32_t n, uint32_t bounce, uint32_t *shadows)
{
    uint32_t on = 0, cast = 0, last = bounce >= in->pack->settings->max_bounces;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t path = in->ray_path[i];
        mr_path *p = &in->paths[path];
        const mr_ray ray = in->rays[i];
        const mr_hit *hit = &in->hits[i];
        if (hit->triangle == MR_NONE) {
            add_light(in, p, v3_mul(p->throughput, mr_light_miss(&in->lights, v3_of(ray.dir), p->bsdf_pdf)), bounce > 0);
            continue;
        }
        mr_surface s;
        mr_bsdf bsdf;
        mr_surface_at(&in->texels, &ray, hit, &s);
        if (p->medium != MR_NONE) p->throughput = v3_mul(p->throughput, transmittance(in->pack, p->medium, hit->t));
        add_emission(in, p, &s, hit, bounce);
        if (last) continue;
        mr_bsdf_init(&bsdf, &s.lobes, s.ng, s.ns, v3_neg(v3_of(ray.dir)), s.front);
        cast = cast_shadow(in, path, &s, &bsdf, bounce, cast);
        if (!scatter(in, p, &s, &bsdf, bounce, &in->rays[on])) continue;
        in->ray_path[on++] = path;
    }
    *shadows = cast;
    return on;
}

/* What a shadow ray that starts in an absorbing body still carries when it has left it through a surface that lets shadow rays
 * pass: moves the ray's start there. 0: it meets something opaque first. */
static int leave_medium(mr_integrator *in, uint32_t shadow, const mr_hit *hit)
{
    const mr_pack *pack = in->pack;
    if (hit->triangle == MR_NONE) return 1;
    uint32_t material = mr_hit_material(pack, hit);
    if (!(pack->materials[material].flags & MR_MATERIAL_TRANSPARENT_SHADOW)) return 0;
    mr_surface s;
    mr_ray *ray = &in->shadow_rays[shadow];
    mr_surface_at(&in->texels, ray, hit, &s);
    float through = 1.0f - mr_fresnel_dielectric(v3_dot(s.ns, v3_neg(v3_of(ray->dir))), s.lobes.ior);
    vec3 left = v3_scale(transmittance(pack, in->shadow_medium[shadow], hit->t), through);
    in->shadow_light[shadow] = v3_mul(in->shadow_light[shadow], left);
    ray->tmin = hit->t;
    return 1;
}

/* Attenuates the shadow rays that start in an absorbing body; returns the number of rays left (compacted in place). */
static uint32_t surface_shadows(mr_integrator *in, uint32_t n, mr_ray_counts *counts)
{
    uint32_t wet = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (in->shadow_medium[i] == MR_NONE) continue;
        in->wet_rays[wet] = in->shadow_rays[i];
        in->wet_shadow[wet++] = i;
    }
    if (!wet) return n;
    in->kernel->intersect(in->pack->bvh, in->wet_rays, wet, in->wet_hits, in->kernel_scratch);
    counts->rays += wet;
    for (uint32_t i = 0, w = 0; i < n; i++) {
        if (w < wet && in->wet_shadow[w] == i && !leave_medium(in, i, &in->wet_hits[w++])) continue;
        in->shadow_rays[kept] = in->shadow_rays[i];
        in->shadow_path[kept] = in->shadow_path[i];
        in->shadow_light[kept++] = in->shadow_light[i];
    }
    return kept;
}

static void gather_light(mr_integrator *in, uint32_t n, uint32_t bounce, mr_ray_counts *counts)
{
    n = surface_shadows(in, n, counts);
    in->kernel->occluded(in->pack->bvh, in->shadow_rays, n, in->blocked, in->kernel_scratch);
    counts->rays += n;
    for (uint32_t i = 0; i < n; i++)
        if (!in->blocked[i]) add_light(in, &in->paths[in->shadow_path[i]], in->shadow_light[i], bounce > 0);
}

void mr_integrate(mr_integrator *in, uint32_t count, mr_ray_counts *counts)
{
    start_paths(in, count);
    counts->paths += count;
    uint32_t n = count, shadows;
    for (uint32_t bounce = 0; n; bounce++) {
        in->kernel->intersect(in->pack->bvh, in->rays, n, in->hits, in->kernel_scratch);
        counts->rays += n;
        n = shade(in, n, bounce, &shadows);
        if (shadows) gather_light(in, shadows, bounce, counts);
    }
}
