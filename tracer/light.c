#include "tracer/light.h"

#include "tracer/mathf.h"
#include "tracer/shapes.h"

void mr_lights_init(mr_lights *lights, const mr_texels *texels)
{
    *lights = (mr_lights){.texels = texels};
    const mr_pack *pack = texels->pack;
    for (uint32_t i = pack->light_count; i-- > 0;) {
        if (pack->lights[i].kind == MR_LIGHT_TRIANGLE) {
            lights->first_triangle = i;
            lights->triangle_count++;
        } else if (pack->lights[i].kind == MR_LIGHT_SUN) {
            lights->first_sun = i;
            lights->sun_count++;
        }
    }
}

static uint32_t choose(const mr_pack *pack, float pick)
{
    float x = pick * (float)pack->light_count;
    uint32_t i = (uint32_t)x;
    if (i >= pack->light_count) i = pack->light_count - 1;
    return x - (float)i < pack->light_table[i].threshold ? i : pack->light_table[i].alias;
}

static float cone_density(float cos_max)
{
    return 1.0f / (2.0f * MR_PI * (1.0f - cos_max));
}

/* A point uniform on the triangle, by area. */
static int sample_triangle(const mr_lights *lights, const mr_light *light, vec3 p, mr_sample2 s, mr_light_sample *out)
{
    const mr_pack *pack = lights->texels->pack;
    const mr_triangle *t = &pack->triangles[light->index];
    const mr_vertex *a = &pack->vertices[t->v[0]], *b = &pack->vertices[t->v[1]], *c = &pack->vertices[t->v[2]];
    float r = sqrtf(s.u), wa = 1.0f - r, wb = r * (1.0f - s.v), wc = r * s.v;
    vec3 pa = v3_of(a->p), e1 = v3_sub(v3_of(b->p), pa), e2 = v3_sub(v3_of(c->p), pa), n = v3_unit(v3_cross(e1, e2));
    vec3 d = v3_sub(v3_add(pa, v3_add(v3_scale(e1, wb), v3_scale(e2, wc))), p);
    float d2 = v3_dot(d, d), distance = sqrtf(d2), cosine = -v3_dot(n, d) / distance;
    if (!(cosine > 1e-6f) || !(light->area > 0)) return 0;
    const mr_material *m = &pack->materials[t->material];
    out->wi = v3_scale(d, 1.0f / distance);
    out->distance = distance;
    out->pdf = light->probability * d2 / (cosine * light->area);
    out->radiance = v3_of(m->emission);
    if (m->emission_texture != MR_NONE)
        out->radiance =
            v3_mul(out->radiance, mr_texture_at(lights->texels, m->emission_texture, wa * a->uv[0] + wb * b->uv[0] + wc * c->uv[0],
                                                wa * a->uv[1] + wb * b->uv[1] + wc * c->uv[1]));
    return 1;
}

/* The sphere's centre and radius in the world; emissive spheres are scaled uniformly. */
static vec3 sphere_of(const mr_instance *in, float *radius)
{
    *radius = v3_length(v3(in->to_world[0], in->to_world[4], in->to_world[8]));
    return v3(in->to_world[3], in->to_world[7], in->to_world[11]);
}

/* Cosine of the half angle under which the sphere is seen from p; 0 distance^2 excess means p is inside. */
static float sphere_cosine(vec3 p, vec3 center, float radius, float *d2)
{
    vec3 d = v3_sub(center, p);
    *d2 = v3_dot(d, d);
    float sin2 = radius * radius / max_f(*d2, 1e-30f);
    return sin2 < 1.0f ? sqrtf(1.0f - sin2) : -1.0f;
}

/* A direction uniform in the cone under which the sphere is seen. */
static int sample_sphere(const mr_lights *lights, const mr_light *light, vec3 p, mr_sample2 s, mr_light_sample *out)
{
    const mr_pack *pack = lights->texels->pack;
    const mr_instance *in = &pack->instances[light->index];
    float radius, d2;
    vec3 center = sphere_of(in, &radius);
    float cos_max = sphere_cosine(p, center, radius, &d2);
    if (cos_max <= 0 || cos_max > 0.99999994f) return 0;
    frame f = frame_about(v3_unit(v3_sub(center, p)));
    vec3 local = mr_cone(s, cos_max);
    float along = sqrtf(d2) * local.z, depth2 = radius * radius - d2 * (1.0f - local.z * local.z);
    out->wi = v3_unit(frame_to_world(&f, local));
    out->distance = along - sqrtf(max_f(0.0f, depth2));
    out->pdf = light->probability * cone_density(cos_max);
    out->radiance = v3_of(pack->materials[in->material].emission);
    return 1;
}

static int sample_sun(const mr_light *light, mr_sample2 s, mr_light_sample *out)
{
    frame f = frame_about(v3_of(light->direction));
    out->wi = v3_unit(frame_to_world(&f, mr_cone(s, light->area)));
    out->distance = INFINITY;
    out->pdf = light->probability * cone_density(light->area);
    out->radiance = v3_of(light->radiance);
    return 1;
}

static int sample_environment(const mr_lights *lights, const mr_light *light, mr_sample2 s, mr_light_sample *out)
{
    float density;
    out->wi = mr_environment_sample(lights->texels->pack, s, &density);
    out->distance = INFINITY;
    out->pdf = light->probability * density;
    out->radiance = mr_environment_radiance(lights->texels, out->wi);
    return density > 0;
}

int mr_light_sample_at(const mr_lights *lights, vec3 p, float pick, mr_sample2 s, mr_light_sample *out)
{
    const mr_pack *pack = lights->texels->pack;
    if (!pack->light_count) return 0;
    const mr_light *light = &pack->lights[choose(pack, pick)];
    switch (light->kind) {
    case MR_LIGHT_TRIANGLE: return sample_triangle(lights, light, p, s, out);
    case MR_LIGHT_SPHERE: return sample_sphere(lights, light, p, s, out);
    case MR_LIGHT_SUN: return sample_sun(light, s, out);
    default: return pack->environment ? sample_environment(lights, light, s, out) : 0;
    }
}

static const mr_light *light_of_triangle(const mr_lights *lights, uint32_t triangle)
{
    const mr_light *first = lights->texels->pack->lights + lights->first_triangle;
    uint32_t lo = 0, hi = lights->triangle_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (first[mid].index < triangle)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < lights->triangle_count && first[lo].index == triangle ? first + lo : NULL;
}

float mr_light_hit_pdf(const mr_lights *lights, vec3 from, const mr_hit *hit, vec3 hit_point, vec3 hit_ng)
{
    const mr_pack *pack = lights->texels->pack;
    if (hit->triangle == MR_SPHERE) {
        const mr_instance *in = &pack->instances[hit->instance];
        if (in->light == MR_NONE) return 0;
        float radius, d2;
        vec3 center = sphere_of(in, &radius);
        float cos_max = sphere_cosine(from, center, radius, &d2);
        return cos_max > 0 && cos_max <= 0.99999994f ? pack->lights[in->light].probability * cone_density(cos_max) : 0;
    }
    const mr_light *light = hit->instance ? NULL : light_of_triangle(lights, hit->triangle);
    if (!light || !(light->area > 0)) return 0;
    vec3 d = v3_sub(hit_point, from);
    float d2 = v3_dot(d, d), cosine = -v3_dot(hit_ng, d) / sqrtf(max_f(d2, 1e-30f));
    return cosine > 1e-6f ? light->probability * d2 / (cosine * light->area) : 0;
}

static float weight_against(float bsdf_pdf, float light_pdf)
{
    return bsdf_pdf > 0 ? mr_mis_weight(bsdf_pdf, light_pdf) : 1.0f;
}

vec3 mr_light_miss(const mr_lights *lights, vec3 direction, float bsdf_pdf)
{
    const mr_pack *pack = lights->texels->pack;
    vec3 sum = v3_all(0);
    if (pack->environment) {
        float light_pdf =
            bsdf_pdf > 0 ? pack->lights[pack->environment->light].probability * mr_environment_density(pack, direction) : 0;
        sum = v3_scale(mr_environment_radiance(lights->texels, direction), weight_against(bsdf_pdf, light_pdf));
    }
    for (uint32_t i = 0; i < lights->sun_count; i++) {
        const mr_light *sun = &pack->lights[lights->first_sun + i];
        if (v3_dot(direction, v3_of(sun->direction)) < sun->area) continue;
        sum = v3_mad(v3_of(sun->radiance), weight_against(bsdf_pdf, sun->probability * cone_density(sun->area)), sum);
    }
    return sum;
}
