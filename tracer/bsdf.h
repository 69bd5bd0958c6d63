/* Scattering at a surface: the principled material and smooth glass.
 *
 *   clear coat   GGX, index 1.5                                            over
 *   base         GGX reflection, Fresnel of a metal (Schlick 1994, tinted by the base colour) and of a dielectric, mixed by
 *                `metallic`; under it, for the dielectric share, diffuse or rough transmission (Walter et al. 2007), mixed by `transmission`.
 *
 * Sources: Burley 2012 and 2015 (the parameters); Walter et al. 2007 and Heitz 2014 (GGX, Smith, height-correlated);
 * Dupuy and Benyoub 2023 (sampling visible normals by spherical caps); Kulla and Conty 2017 (diffuse under a dielectric, average Fresnel,
 * the light that a rough metal's microfacets pass between them).
 * Reflection is reciprocal and no material reflects more than it receives; transmitted radiance is scaled by the squared
 * relative index. Directions point away from the surface. */
#ifndef MR_BSDF_H
#define MR_BSDF_H

#include "tracer/sampler.h"
#include "tracer/vec.h"

/* The material at a point, textures applied. */
typedef struct mr_lobes {
    vec3 base;                  /* linear base colour, 0..1 */
    float metallic, transmission, clearcoat;
    float alpha, coat_alpha;    /* GGX widths */
    float ior;
    int smooth;                 /* a pure dielectric without roughness: only the two ideal directions */
} mr_lobes;

typedef struct mr_bsdf {
    mr_lobes m;
    frame f;                    /* about the shading normal, on wo's side */
    vec3 ng;                    /* geometric normal, on wo's side */
    vec3 wo;                    /* in the frame */
    float eta;                  /* index beyond the surface over the index on wo's side */
    float coat_out, fresnel_out, lambda_out, coat_lambda_out; /* towards wo: the coat's share, the dielectric's Fresnel term, Smith's lambdas */
    vec3 multiple;              /* colour of light that a metal's microfacets pass between them before it leaves, */
    float lost;                 /* and its strength towards wo; a diffuse lobe in sampling */
    float choose_coat, choose_reflect, choose_transmit; /* probabilities; the rest is diffuse */
} mr_bsdf;

typedef struct mr_scatter {
    vec3 wi;      /* world, unit */
    vec3 weight;  /* BSDF x cosine / density */
    float pdf;    /* per steradian; meaningless for an ideal direction */
    int ideal;    /* an ideal reflection or refraction: no other strategy finds it */
    int transmitted;
} mr_scatter;

/* ng, ns: unit normals, both on wo's side; wo: unit. front: wo is on the outside. */
void mr_bsdf_init(mr_bsdf *bsdf, const mr_lobes *lobes, vec3 ng, vec3 ns, vec3 wo, int front);

/* BSDF times cosine for light from wi (world, unit), and the density with which mr_bsdf_sample chooses wi; both 0 for ideal directions. */
vec3 mr_bsdf_eval(const mr_bsdf *bsdf, vec3 wi, float *pdf);

/* Chooses a direction: 1, or 0 when the path ends here. lobe in [0, 1). */
int mr_bsdf_sample(const mr_bsdf *bsdf, float lobe, mr_sample2 s, mr_scatter *out);

/* Reflectance of unpolarised light at a dielectric; cosine on the incident side >= 0, eta: index beyond over index before. */
float mr_fresnel_dielectric(float cosine, float eta);

#endif
