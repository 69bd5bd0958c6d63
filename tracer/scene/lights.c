/* Lists what emits, with its power, and makes the table by which lights are chosen.
 *
 * Order in the pack: triangles by index, spheres, suns, the environment. Power is the luminous flux into the scene: pi times radiance times area for surfaces, irradiance
 * times the cross-section of the scene's bounding sphere for what is infinitely far. Flux says little about what a point receives when a lamp stands in
 * a large landscape, so each of the three families (surfaces, suns, environment) that is there at all gets at least its part of FAMILY_SHARE. */
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/atmosphere.h"
#include "tracer/scene/build.h"
#include "tracer/scene/limits.h"

static const double FAMILY_SHARE = 0.5;

static int add_light(mr_build *build, mr_light light, double power)
{
    if (build->light_count == build->light_room) {
        size_t room = build->light_room ? (size_t)build->light_room * 2 : 64;
        if (room > MR_SCENE_MAX_LIGHTS) return mr_fail(build->err, MR_BAD_INPUT, "%s: found too many emissive triangles, expected at most %d", build->desc->file, MR_SCENE_MAX_LIGHTS);
        mr_light *lights = realloc(build->lights, room * sizeof *lights);
        if (lights) build->lights = lights;
        double *powers = realloc(build->powers, room * sizeof *powers);
        if (powers) build->powers = powers;
        if (!lights || !powers) return mr_fail(build->err, MR_FAILED, "no memory for %zu lights", room);
        build->light_room = (uint32_t)room;
    }
    build->powers[build->light_count] = power;
    build->lights[build->light_count++] = light;
    return MR_OK;
}

/* ---- surfaces ---- */

/* Luminance of a material's emission, with the mean of its texture; computed once a material. */
static double *material_emissions(const mr_build *build)
{
    double *luminance = calloc(build->material_count, sizeof *luminance);
    for (uint32_t i = 0; i < build->material_count && luminance; i++) {
        const mr_material *m = &build->materials[i];
        double mean[3] = {1, 1, 1};
        if (!(mr_emission_luminance(m) > 0)) continue;
        if (m->emission_texture != MR_NONE) mr_image_mean(&build->images[m->emission_texture], mean);
        luminance[i] = mr_luminance((double)m->emission[0] * mean[0], (double)m->emission[1] * mean[1], (double)m->emission[2] * mean[2]);
    }
    return luminance;
}

/* Half the cross product of two edges: as long as the triangle is large, along its normal. */
static vec3 triangle_area(const mr_build *build, const mr_triangle *t)
{
    vec3 a = v3_fromf(build->vertices[t->v[0]].p), b = v3_fromf(build->vertices[t->v[1]].p), c = v3_fromf(build->vertices[t->v[2]].p);
    return v3_scale(v3_cross(v3_sub(b, a), v3_sub(c, a)), 0.5);
}

static int add_triangles(mr_build *build, const double *luminance)
{
    int status = MR_OK;
    for (uint32_t i = 0; i < build->world_triangles && !status; i++) {
        const mr_triangle *t = &build->triangles[i];
        if (!(luminance[t->material] > 0) || build->materials[t->material].alpha_cutoff > 0) continue; /* a sampled point might lie in a hole */
        vec3 normal = triangle_area(build, t);
        double length = v3_length(normal);
        float area = (float)length;
        if (!(area > 0)) continue;
        mr_material *m = &build->materials[t->material];
        if (m->first_light == MR_NONE) m->first_light = build->light_count;
        mr_light light = {.kind = MR_LIGHT_TRIANGLE, .index = i, .area = area, .texture = m->emission_texture};
        v3_store(light.direction, v3_scale(normal, 1 / length));
        memcpy(light.radiance, m->emission, sizeof light.radiance);
        status = add_light(build, light, MR_PI * (double)area * luminance[t->material]);
    }
    return status;
}

/* Only a true sphere can be sampled as one; a squashed one still shines on paths that find it. */
static bool is_round(const mr_instance *instance, double *radius)
{
    const float *m = instance->to_world;
    vec3 c[3];
    for (size_t k = 0; k < 3; k++) c[k] = v3((double)m[k], (double)m[4 + k], (double)m[8 + k]);
    double a = v3_length(c[0]), b = v3_length(c[1]), d = v3_length(c[2]), slack = 1e-4 * a;
    *radius = a;
    return fabs(a - b) <= slack && fabs(a - d) <= slack && fabs(v3_dot(c[0], c[1])) <= slack * a && fabs(v3_dot(c[1], c[2])) <= slack * a &&
           fabs(v3_dot(c[2], c[0])) <= slack * a;
}

static int add_spheres(mr_build *build, const double *luminance)
{
    int status = MR_OK;
    for (uint32_t i = 1; i < build->instance_count && !status; i++) {
        mr_instance *instance = &build->instances[i];
        double radius;
        if (instance->kind != MR_INSTANCE_SPHERE || !(luminance[instance->material] > 0) || !is_round(instance, &radius)) continue;
        instance->light = build->light_count;
        mr_light light = {.kind = MR_LIGHT_SPHERE, .index = i, .area = (float)(4 * MR_PI * radius * radius), .texture = MR_NONE};
        memcpy(light.radiance, build->materials[instance->material].emission, sizeof light.radiance);
        status = add_light(build, light, MR_PI * 4 * MR_PI * radius * radius * luminance[instance->material]);
    }
    return status;
}

/* ---- far away ---- */

/* Cross-section of the sphere around the scene's box. */
static double scene_section(const mr_build *build)
{
    vec3 d = v3_sub(v3_fromf(build->settings.bounds_hi), v3_fromf(build->settings.bounds_lo));
    return fmax(MR_PI * v3_dot(d, d) / 4, 1e-12);
}

/* A sun without an irradiance of its own shines as the air of the scene's sky (or of a clear one) lets it. */
static void sun_irradiance(const mr_build *build, const mr_desc_light *sun, double out[3])
{
    mr_sky sky = {.sun = sun->direction, .turbidity = 2, .intensity = 1};
    double through[3] = {1, 1, 1};
    for (uint32_t i = 0; i < build->desc->light_count; i++)
        if (build->desc->lights[i].kind == MR_DESC_SKY) {
            sky.turbidity = build->desc->lights[i].turbidity;
            sky.intensity = build->desc->lights[i].intensity;
        }
    if (sun->from_sky) mr_sky_sun_transmittance(&sky, through);
    double factor = sun->from_sky ? MR_SOLAR_IRRADIANCE * sky.intensity : 1;
    for (size_t c = 0; c < 3; c++) out[c] = fmin(sun->irradiance[c] * through[c] * factor, 1000);
}

/* The disc's radiance follows from the irradiance and from the cosine as it is stored, rounded to float: E = pi sin^2(radius) L. */
static int add_sun(mr_build *build, const mr_desc_light *sun)
{
    double irradiance[3];
    float cosine = (float)cos(sun->angular_radius_rad);
    double sine2 = (1 - (double)cosine) * (1 + (double)cosine);
    sun_irradiance(build, sun, irradiance);
    mr_light light = {.kind = MR_LIGHT_SUN, .area = cosine, .texture = MR_NONE};
    v3_store(light.direction, sun->direction);
    for (size_t c = 0; c < 3; c++) light.radiance[c] = (float)(irradiance[c] / (MR_PI * sine2));
    double luminance = mr_luminance(irradiance[0], irradiance[1], irradiance[2]);
    return luminance > 0 ? add_light(build, light, luminance * scene_section(build)) : MR_OK;
}

static int add_suns(mr_build *build)
{
    int status = MR_OK;
    for (uint32_t i = 0; i < build->desc->light_count && !status; i++)
        if (build->desc->lights[i].kind == MR_DESC_SUN) status = add_sun(build, &build->desc->lights[i]);
    return status;
}

static int add_environment(mr_build *build)
{
    if (!build->has_environment) return MR_OK;
    build->environment.light = build->light_count;
    mr_light light = {.kind = MR_LIGHT_ENVIRONMENT, .texture = MR_NONE};
    return add_light(build, light, build->env_power * (double)build->environment.scale[0] * scene_section(build));
}

/* ---- the table ---- */

static unsigned family_of(const mr_light *light)
{
    return light->kind == MR_LIGHT_SUN ? 1 : light->kind == MR_LIGHT_ENVIRONMENT ? 2 : 0;
}

/* Mixes the share by power with equal shares of the families. Afterwards the powers add up to 1. */
static void share_out(mr_build *build)
{
    double family[3] = {0, 0, 0}, total = 0, families = 0;
    for (uint32_t i = 0; i < build->light_count; i++) family[family_of(&build->lights[i])] += build->powers[i];
    for (size_t f = 0; f < 3; f++) {
        total += family[f];
        families += family[f] > 0;
    }
    for (uint32_t i = 0; i < build->light_count; i++) {
        double of = family[family_of(&build->lights[i])];
        if (total > 0) build->powers[i] = of > 0 ? (1 - FAMILY_SHARE) * build->powers[i] / total + FAMILY_SHARE / families * build->powers[i] / of : 0;
        else build->powers[i] = 1.0 / build->light_count;
    }
}

/* Vose 1991, "A linear algorithm for generating random numbers with a given distribution". */
int mr_alias_table(const double *weights, uint32_t count, mr_alias *table, double *probabilities, mr_error *err)
{
    double total = 0, *scaled = malloc(((size_t)count + 1) * sizeof *scaled);
    uint32_t *stack = malloc(((size_t)count + 1) * sizeof *stack), small = 0, large = count; /* small ones from the front, large ones from the back */
    if (!scaled || !stack) {
        free(scaled);
        free(stack);
        return mr_fail(err, MR_FAILED, "no memory for a table of %u lights", count);
    }
    for (uint32_t i = 0; i < count; i++) total += weights[i];
    for (uint32_t i = 0; i < count; i++) {
        scaled[i] = weights[i] / total * count;
        table[i] = (mr_alias){1, i};
        if (scaled[i] < 1) stack[small++] = i;
        else stack[--large] = i;
    }
    while (small > 0 && large < count) {
        uint32_t s = stack[--small], l = stack[large];
        table[s] = (mr_alias){(float)scaled[s], l};
        scaled[l] -= 1 - scaled[s];
        if (scaled[l] >= 1) continue;
        large++;
        stack[small++] = l;
    }
    for (uint32_t i = 0; i < count; i++) probabilities[i] = 0;
    for (uint32_t i = 0; i < count; i++) {
        probabilities[i] += (double)table[i].threshold / count;
        probabilities[table[i].alias] += (1 - (double)table[i].threshold) / count;
    }
    free(scaled);
    free(stack);
    return MR_OK;
}

static int make_table(mr_build *build)
{
    if (!build->light_count) return MR_OK;
    double *probabilities = malloc(build->light_count * sizeof *probabilities);
    build->light_table = calloc(build->light_count, sizeof *build->light_table);
    int status = probabilities && build->light_table ? MR_OK : mr_fail(build->err, MR_FAILED, "no memory for %u lights", build->light_count);
    share_out(build);
    if (!status) status = mr_alias_table(build->powers, build->light_count, build->light_table, probabilities, build->err);
    for (uint32_t i = 0; i < build->light_count && !status; i++) build->lights[i].probability = (float)probabilities[i];
    free(probabilities);
    return status;
}

int mr_build_lights(mr_build *build)
{
    double *luminance = material_emissions(build);
    int status = luminance ? MR_OK : mr_fail(build->err, MR_FAILED, "no memory for the lights");
    if (!status) status = add_triangles(build, luminance);
    if (!status) status = add_spheres(build, luminance);
    if (!status) status = add_suns(build);
    if (!status) status = add_environment(build);
    free(luminance);
    return status ? status : make_table(build);
}
