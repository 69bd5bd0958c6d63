/* Materials against what physics demands: densities integrate to 1, sampling agrees with evaluation, nothing reflects more than it
 * receives, reflection is reciprocal. Each over a grid of materials and directions, by quadrature on the sphere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tracer/bsdf.h"
#include "tracer/mathf.h"

typedef struct material {
    const char *name;
    mr_lobes lobes;
} material;

static const vec3 grey = { 0.8f, 0.8f, 0.8f }, white = { 1, 1, 1 }, blue = { 0.05f, 0.4f, 0.9f };

static void materials(material *m, int *count)
{
    const material all[] = {
        { "diffuse", { white, 0, 0, 0, 0.25f, 0.01f, 1.5f, 0 } },          { "shiny plastic", { blue, 0, 0, 0, 0.09f, 0.01f, 1.5f, 0 } },
        { "rough metal", { white, 1, 0, 0, 0.36f, 0.01f, 1.5f, 0 } },      { "metal", { grey, 1, 0, 0, 0.09f, 0.01f, 1.5f, 0 } },
        { "coated vinyl", { blue, 0, 0, 1, 0.3f, 0.09f, 1.5f, 0 } },       { "coated metal", { white, 1, 0, 1, 0.3f, 0.16f, 1.5f, 0 } },
        { "rough glass", { white, 0, 1, 0, 0.2f, 0.01f, 1.5f, 0 } },       { "half transmitting", { grey, 0.3f, 0.5f, 0.5f, 0.2f, 0.16f, 1.4f, 0 } },
        { "water, rough", { white, 0, 1, 0, 0.1f, 0.01f, 1.33f, 0 } },
    };
    *count = (int)(sizeof all / sizeof *all);
    for (int i = 0; i < *count; i++) m[i] = all[i];
}

static vec3 direction(float cosine, float turns)
{
    float s, c, r = sqrtf(1 - cosine * cosine);
    mr_sincos_turns(turns, &s, &c);
    return v3(r * c, r * s, cosine);
}

static mr_bsdf seen_from(const mr_lobes *lobes, vec3 wo, int front)
{
    mr_bsdf b;
    mr_bsdf_init(&b, lobes, v3(0, 0, 1), v3(0, 0, 1), wo, mask(front));
    return b;
}

/* Integrals over the sphere: density, BSDF x cosine reflected, and transmitted. */
static void integrate(const mr_bsdf *b, double *density, double *reflected, double *transmitted)
{
    enum { Z = 600, PHI = 600 };
    *density = *reflected = *transmitted = 0;
    for (int i = 0; i < Z; i++)
        for (int j = 0; j < PHI; j++) {
            /* denser near the poles, where lobes are narrow */
            double t = (i + 0.5) / Z, z = cos(3.14159265358979 * t), dw = 3.14159265358979 / Z * sin(3.14159265358979 * t) * 2 * 3.14159265358979 / PHI;
            float pdf;
            vec3 f = mr_bsdf_eval(b, direction((float)z, (float)((j + 0.5) / PHI)), &pdf);
            *density += (double)pdf * dw;
            *(z > 0 ? reflected : transmitted) += (double)f.y * dw;
        }
}

static const float cosines[] = { 0.999f, 0.8f, 0.5f, 0.25f };

static void densities_and_energy(void **state)
{
    (void)state;
    material m[16];
    int count;
    materials(m, &count);
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 4; c++)
            for (int front = 0; front < 2; front++) {
                if (!front && !(m[i].lobes.transmission > 0)) continue;
                double density, reflected, transmitted;
                mr_bsdf b = seen_from(&m[i].lobes, direction(cosines[c], 0.1f), front);
                integrate(&b, &density, &reflected, &transmitted);
                /* visible normals also make directions below the surface, which end the path: at most 1, and most of it */
                if (density > 1.01 || density < 0.55) fail_msg("%s at cosine %g, %s: density %g", m[i].name, (double)cosines[c], front ? "outside" : "inside", density);
                double flux = reflected + transmitted * (double)(b.eta * b.eta); /* radiance is scaled by 1 / eta^2, flux is not */
                if (flux > 1.012) fail_msg("%s at cosine %g, %s: gives %g of what it receives", m[i].name, (double)cosines[c], front ? "outside" : "inside", flux);
            }
}

/* The mean of sampled weights is the integral of the evaluated BSDF, and each sample's density is the evaluated one. */
static void sampling_agrees(void **state)
{
    (void)state;
    material m[16];
    int count;
    materials(m, &count);
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 4; c++) {
            enum { N = 1 << 16 };
            double density, reflected, transmitted, sum = 0, below = 0;
            mr_bsdf b = seen_from(&m[i].lobes, direction(cosines[c], 0.7f), 1);
            integrate(&b, &density, &reflected, &transmitted);
            for (uint32_t k = 0; k < N; k++) {
                mr_scatter s;
                if (!mr_bsdf_sample(&b, mr_sample(17, k, 0).u, mr_sample(17, k, 1), &s)) continue;
                float pdf;
                (void)mr_bsdf_eval(&b, s.wi, &pdf);
                assert_true(fabsf(pdf - s.pdf) <= 1e-3f * s.pdf);
                sum += (double)s.weight.y;
                below += s.transmitted != 0;
            }
            double total = reflected + transmitted;
            if (fabs(sum / N - total) > 0.02 * total + 0.003) fail_msg("%s at cosine %g: sampling gives %g, quadrature %g", m[i].name, (double)cosines[c], sum / N, total);
            if ((below > 0) != (m[i].lobes.transmission > 0)) fail_msg("%s: transmitted %g samples", m[i].name, below);
        }
}

static void reflection_is_reciprocal(void **state)
{
    (void)state;
    material m[16];
    int count;
    materials(m, &count);
    for (int i = 0; i < count; i++)
        for (int c = 0; c < 4; c++)
            for (int d = 0; d < 4; d++) {
                float pdf;
                vec3 a = direction(cosines[c], 0.1f), b = direction(cosines[d], 0.63f);
                mr_bsdf from_a = seen_from(&m[i].lobes, a, 1), from_b = seen_from(&m[i].lobes, b, 1);
                float ab = mr_bsdf_eval(&from_a, b, &pdf).y / b.z, ba = mr_bsdf_eval(&from_b, a, &pdf).y / a.z;
                if (fabsf(ab - ba) > 1e-3f * (fabsf(ab) + fabsf(ba)) + 1e-6f) fail_msg("%s: %g there, %g back", m[i].name, (double)ab, (double)ba);
            }
}

/* A metal that absorbs nothing gives back everything, however rough: single and multiple scattering add up to 1. */
static void white_metal_loses_nothing(void **state)
{
    (void)state;
    for (float roughness = 0.3f; roughness <= 1.0f; roughness += 0.1f)
        for (int c = 0; c < 4; c++) {
            mr_lobes metal = { white, 1, 0, 0, roughness * roughness, 0.01f, 1.5f, 0 };
            double density, reflected, transmitted;
            mr_bsdf b = seen_from(&metal, direction(cosines[c], 0.2f), 1);
            integrate(&b, &density, &reflected, &transmitted);
            if (fabs(reflected - 1) > 0.012) fail_msg("roughness %g, cosine %g: gives back %g", (double)roughness, (double)cosines[c], reflected);
        }
}

static void glass_splits_all_light(void **state)
{
    (void)state;
    mr_lobes glass = { white, 0, 1, 0, 1e-3f, 1e-3f, 1.5f, 1 };
    for (int front = 0; front < 2; front++) {
        mr_bsdf b = seen_from(&glass, direction(0.8f, 0), front);
        mr_scatter s;
        float f = mr_fresnel_dielectric(0.8f, b.eta);
        assert_true(mr_bsdf_sample(&b, f * 0.5f, (mr_sample2){ 0, 0 }, &s) && !s.transmitted && s.ideal && s.wi.z > 0.79f);
        if (f >= 1) continue;
        assert_true(mr_bsdf_sample(&b, f + (1 - f) * 0.5f, (mr_sample2){ 0, 0 }, &s) && s.transmitted && s.ideal);
        /* Snell: sines are as 1 to eta */
        float sine = sqrtf(s.wi.x * s.wi.x + s.wi.y * s.wi.y);
        assert_true(fabsf(sine * b.eta - 0.6f) < 1e-5f);
        assert_true(fabsf(s.weight.x * b.eta * b.eta - 1) < 1e-5f);
    }
}

static void fresnel_values(void **state)
{
    (void)state;
    assert_true(fabsf(mr_fresnel_dielectric(1.0f, 1.5f) - 0.04f) < 1e-6f);
    assert_true(mr_fresnel_dielectric(0.0f, 1.5f) > 0.9999f);
    assert_true(mr_fresnel_dielectric(0.5f, 1 / 1.5f) == 1.0f); /* beyond the critical angle */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(densities_and_energy), cmocka_unit_test(sampling_agrees), cmocka_unit_test(reflection_is_reciprocal), cmocka_unit_test(white_metal_loses_nothing),
                                        cmocka_unit_test(glass_splits_all_light), cmocka_unit_test(fresnel_values) };
    return cmocka_run_group_tests_name("bsdf", tests, NULL, NULL);
}
