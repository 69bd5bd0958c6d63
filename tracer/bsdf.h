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
 * relative index. Directions point away from the surface. Over lanes (tracer/lanes.h). */
#ifndef MR_BSDF_H
#define MR_BSDF_H

#include "tracer/ggx_albedo.h"
#include "tracer/mathf.h"
#include "tracer/sampler.h"
#include "tracer/shapes.h"
#include "tracer/vec.h"

#define MR_COAT_IOR 1.5f
#define MR_MIN_COSINE 1e-6f
#define MR_MIN_IOR 1.0005f /* of a surface that is seen; a dielectric base of this index or less is matte: it has no boundary that reflects */

/* The material at a point, textures applied. */
typedef struct mr_lobes {
    vec3 base;                  /* linear base colour, 0..1 */
    vf metallic, transmission, clearcoat;
    vf alpha, coat_alpha;       /* GGX widths */
    vf ior;
    vm smooth;                  /* a pure dielectric without roughness: only the two ideal directions */
} mr_lobes;

typedef struct mr_bsdf {
    mr_lobes m;
    frame f;                    /* about the shading normal, on wo's side */
    vec3 ng;                    /* geometric normal, on wo's side */
    vec3 wo;                    /* in the frame */
    vm glossy;                  /* the base has a boundary: not smooth, not matte */
    vf eta;                     /* index beyond the surface over the index on wo's side */
    vf coat_out, fresnel_out, lambda_out, coat_lambda_out; /* towards wo: the coat's share, the dielectric's Fresnel term, Smith's lambdas */
    vf diffuse_out;             /* what of diffuse light leaves towards wo, over what of it does on average */
    vec3 multiple;              /* colour of light that a metal's microfacets pass between them before it leaves, */
    vf lost;                    /* and its strength towards wo; a diffuse lobe in sampling */
    vf choose_coat, choose_reflect, choose_transmit; /* probabilities; the rest is diffuse */
} mr_bsdf;

typedef struct mr_scatter {
    vec3 wi;        /* world, unit */
    vec3 weight;    /* BSDF x cosine / density */
    vf pdf;         /* per steradian; meaningless for an ideal direction */
    vm ideal;       /* an ideal reflection or refraction: no other strategy finds it */
    vm transmitted;
} mr_scatter;

/* ---- Fresnel ---- */

/* Reflectance of unpolarised light at a dielectric; cosine on the incident side >= 0, eta: index beyond over index before
 * (Walter et al. 2007, equation 22). */
static inline vf mr_fresnel_dielectric(vf cosine, vf eta)
{
    vf c = clamp_f(cosine, 0.0f, 1.0f), g2 = eta * eta - 1.0f + c * c, g = sqrt_f(max_f(g2, all_f(0.0f)));
    vf less = g - c, more = g + c, s = c * more - 1.0f, t = c * less + 1.0f, below = more * t;
    return sel(mask(g2 > 0.0f), 0.5f * (less * less) * (t * t + s * s) / (below * below), all_f(1.0f));
}

static inline vec3 schlick(vec3 f0, vf cosine)
{
    vf m = 1.0f - clamp_f(cosine, 0.0f, 1.0f), m2 = m * m, k = m2 * m2 * m, rest = 1.0f - k;
    return v3(f0.x * rest + k, f0.y * rest + k, f0.z * rest + k);
}

/* Reflectance of a dielectric averaged over the hemisphere by cosine, eta > 1 (Kulla and Conty 2017, a fit). */
static inline vf fresnel_average(vf eta)
{
    return (eta - 1.0f) / (4.08567f + 1.00071f * eta);
}

/* ---- GGX ---- */

/* The distribution of normals at h, of any length whose square is h2, over `by`. */
static inline vf ggx_d(vf alpha, vec3 h, vf h2, vf by)
{
    vf a2 = alpha * alpha, k = h.x * h.x + h.y * h.y + a2 * (h.z * h.z);
    return a2 * MR_INV_PI * (h2 * h2) / (k * k * by);
}

static inline vf smith_lambda(vf alpha, vec3 w)
{
    vf z2 = max_f(w.z * w.z, all_f(MR_MIN_COSINE * MR_MIN_COSINE)), a2 = alpha * alpha;
    return 0.5f * (sqrt_f(1.0f + a2 * (w.x * w.x + w.y * w.y) / z2) - 1.0f);
}

static inline vec3 sample_visible_normal(vf alpha, vec3 w, mr_sample2 s)
{
    vec3 c = v3_unit(v3(alpha * w.x, alpha * w.y, w.z));
    vf sine, cosine, z = (1.0f - s.v) * (1.0f + c.z) - c.z, r = sqrt_f(max_f(1.0f - z * z, all_f(0.0f)));
    mr_sincos_turns(s.u, &sine, &cosine);
    vec3 h = v3(r * cosine + c.x, r * sine + c.y, z + c.z);
    return v3_unit(v3(alpha * h.x, alpha * h.y, max_f(h.z, all_f(MR_MIN_COSINE))));
}

/* D G2 / (4 cos_o cos_i) times cos_i; lambda: Smith's, of wo; h = wi + wo; *pdf: the density of wi by visible normals. wi.z > 0. */
static inline vf ggx_reflect(vf alpha, vf lambda, vec3 wo, vec3 wi, vec3 h, vf h2, vf *pdf)
{
    vf d = ggx_d(alpha, h, h2, (1.0f + lambda) * (4.0f * wo.z)), a2 = alpha * alpha;
    vf slant = sqrt_f(wi.z * wi.z + a2 * (wi.x * wi.x + wi.y * wi.y)); /* wi's lambda is (slant / wi.z - 1) / 2 */
    *pdf = d;
    return d * (1.0f + lambda) * wi.z / ((0.5f + lambda) * wi.z + 0.5f * slant);
}

/* ---- What the single-scattering lobe of a metal loses (Kulla and Conty 2017) ---- */

static inline vf table_place(vf x, vu *i)
{
    vf p = clamp_f(x, 0.0f, 1.0f) * (float)(MR_GGX_STEPS - 1), whole = min_f(mr_floor(p), all_f(MR_GGX_STEPS - 2));
    *i = (vu)to_int(whole);
    return p - whole;
}

static inline vf ggx_albedo(vf alpha, vf cosine)
{
    vu r, c;
    vf fr = table_place(sqrt_f(alpha), &r), fc = table_place(cosine, &c);
    vu at = r * (uint32_t)MR_GGX_STEPS + c;
    const float *a = mr_ggx_albedo[0], *b = mr_ggx_albedo[1];
    return lerp_f(lerp_f(gather_f(a, at), gather_f(a + 1, at), fc), lerp_f(gather_f(b, at), gather_f(b + 1, at), fc), fr);
}

static inline vf ggx_average(vf alpha)
{
    vu r;
    vf f = table_place(sqrt_f(alpha), &r);
    return lerp_f(gather_f(mr_ggx_average, r), gather_f(mr_ggx_average + 1, r), f);
}

/* Colour of the light that leaves a metal after two or more bounces between its microfacets. */
static inline vec3 multiple_fresnel(vec3 base, vf average)
{
    vec3 f = v3_add(v3_scale(base, all_f(20.0f / 21.0f)), v3_all(1.0f / 21.0f)); /* Schlick's term averaged by cosine */
    vec3 f2 = v3_scale(v3_mul(f, f), average);
    vf rest = 1.0f - average;
    return v3(f2.x / (1.0f - f.x * rest), f2.y / (1.0f - f.y * rest), f2.z / (1.0f - f.z * rest));
}

/* ---- The layers ---- */

static inline vf coat_fresnel(const mr_bsdf *b, vf cosine)
{
    return b->m.clearcoat * mr_fresnel_dielectric(cosine, all_f(MR_COAT_IOR));
}

/* Of a glossy base; dielectric: its Fresnel term at this cosine. */
static inline vec3 base_fresnel(const mr_bsdf *b, vf cosine, vf dielectric)
{
    vf rest = (1.0f - b->m.metallic) * dielectric;
    if (!any(mask(b->m.metallic > 0.0f))) return v3(rest, rest, rest);
    vec3 metal = v3_scale(schlick(b->m.base, cosine), b->m.metallic);
    return v3(metal.x + rest, metal.y + rest, metal.z + rest);
}

static inline vec3 transmission_tint(const mr_bsdf *b)
{
    return v3(sqrt_f(b->m.base.x), sqrt_f(b->m.base.y), sqrt_f(b->m.base.z));
}

/* Strength and colour of what a metal's single scattering loses; returns the lobe's weight in the choice. */
static inline vf lose_energy(mr_bsdf *b)
{
    vm metal = mask(b->m.metallic > 0.0f);
    b->lost = all_f(0.0f);
    b->multiple = v3_all(0.0f);
    if (!any(metal)) return all_f(0.0f);
    vf average = ggx_average(b->m.alpha), rest = 1.0f - average;
    b->multiple = multiple_fresnel(b->m.base, average);
    b->lost = b->m.metallic * (1.0f - ggx_albedo(b->m.alpha, b->wo.z)) / max_f(rest, all_f(1e-4f));
    return sel(metal, b->lost * rest * v3_luminance(b->multiple), all_f(0.0f));
}

static inline void choose_lobes(mr_bsdf *b)
{
    vf coat = b->coat_out, under = 1.0f - coat, zero = all_f(0.0f);
    vf through = under * (1.0f - b->m.metallic) * (1.0f - b->fresnel_out);
    vf reflect = sel(b->glossy, under * v3_luminance(base_fresnel(b, b->wo.z, b->fresnel_out)), zero), transmit = zero;
    if (any(mask(b->m.transmission > 0.0f))) transmit = through * b->m.transmission * v3_luminance(transmission_tint(b));
    vf diffuse = through * (1.0f - b->m.transmission) * v3_luminance(b->m.base) + under * lose_energy(b);
    vf total = coat + reflect + transmit + diffuse, share = sel(mask(total > 0.0f), 1.0f / total, zero);
    b->choose_coat = coat * share;
    b->choose_reflect = reflect * share;
    b->choose_transmit = transmit * share;
}

/* ng, ns: unit normals, both on wo's side; wo: unit. front: wo is on the outside. */
static inline void mr_bsdf_init(mr_bsdf *b, const mr_lobes *lobes, vec3 ng, vec3 ns, vec3 wo, vm front)
{
    vf zero = all_f(0.0f);
    b->m = *lobes;
    vm inside = ~front & mask(b->m.transmission > 0.0f);
    b->m.clearcoat = sel(inside, zero, b->m.clearcoat); /* inside a body there is no coat */
    vm matte = mask(b->m.ior <= MR_MIN_IOR) & mask(b->m.metallic <= 0.0f) & mask(b->m.transmission <= 0.0f);
    b->glossy = ~matte & ~b->m.smooth;
    b->eta = b->m.ior;
    if (any(inside)) b->eta = sel(inside, 1.0f / b->m.ior, b->eta);
    b->ng = ng;
    b->f = frame_about(ns);
    b->wo = frame_to_local(&b->f, wo);
    b->wo.z = max_f(b->wo.z, all_f(MR_MIN_COSINE));
    b->fresnel_out = b->coat_out = b->lambda_out = b->coat_lambda_out = b->diffuse_out = zero;
    if (any(~matte)) b->fresnel_out = sel(matte, zero, mr_fresnel_dielectric(b->wo.z, b->eta));
    if (!any(~b->m.smooth)) return;
    if (any(b->glossy)) {
        b->lambda_out = smith_lambda(b->m.alpha, b->wo);
        b->diffuse_out = (1.0f - b->fresnel_out) / (1.0f - fresnel_average(b->eta));
    }
    if (any(mask(b->m.clearcoat > 0.0f))) {
        b->coat_out = coat_fresnel(b, b->wo.z);
        b->coat_lambda_out = smith_lambda(b->m.coat_alpha, b->wo);
    }
    choose_lobes(b);
}

static inline vf choose_diffuse(const mr_bsdf *b)
{
    return max_f(1.0f - b->choose_coat - b->choose_reflect - b->choose_transmit, all_f(0.0f));
}

/* The coat of lanes that have one; *pass receives what share of light goes through it, both ways. */
static inline vf eval_coat(const mr_bsdf *b, vec3 wi, vec3 h, vf h2, vf cosine, vf *pdf, vf *pass)
{
    vm coated = mask(b->m.clearcoat > 0.0f);
    *pdf = all_f(0.0f);
    *pass = all_f(1.0f);
    if (!any(coated)) return all_f(0.0f);
    vf lobe_pdf, f = coat_fresnel(b, cosine) * ggx_reflect(b->m.coat_alpha, b->coat_lambda_out, b->wo, wi, h, h2, &lobe_pdf);
    *pdf = sel(coated, b->choose_coat * lobe_pdf, all_f(0.0f));
    *pass = sel(coated, (1.0f - b->coat_out) * (1.0f - coat_fresnel(b, wi.z)), all_f(1.0f));
    return sel(coated, f, all_f(0.0f));
}

/* Diffuse light from under the base's boundary, and what a metal's microfacets pass between them. */
static inline vec3 eval_diffuse(const mr_bsdf *b, vec3 wi, vf pass)
{
    vf strength = (1.0f - b->m.metallic) * (1.0f - b->m.transmission) * pass * wi.z * MR_INV_PI;
    if (any(b->glossy & mask(strength > 0.0f))) {
        vf through = strength * (1.0f - mr_fresnel_dielectric(wi.z, b->eta)) * b->diffuse_out;
        strength = sel(b->glossy, through, strength);
    }
    vec3 f = v3_scale(b->m.base, strength);
    vm lossy = mask(b->lost > 0.0f);
    if (!any(lossy)) return f;
    vf lost = pass * b->lost * (1.0f - ggx_albedo(b->m.alpha, wi.z)) * MR_INV_PI * wi.z;
    return v3_sel(lossy, v3_mad(b->multiple, lost, f), f);
}

/* For lanes with wi above the surface. */
static inline vec3 eval_reflection(const mr_bsdf *b, vec3 wi, vf *pdf)
{
    vec3 h = v3_add(b->wo, wi); /* unit vectors: |h| is twice the cosine between either and h */
    vf h2 = v3_dot(h, h), cosine = 0.5f * sqrt_f(h2), p, pass, coat = eval_coat(b, wi, h, h2, cosine, &p, &pass);
    vec3 f = eval_diffuse(b, wi, pass);
    if (any(b->glossy)) {
        vf lobe_pdf, base = pass * ggx_reflect(b->m.alpha, b->lambda_out, b->wo, wi, h, h2, &lobe_pdf);
        vec3 fresnel = base_fresnel(b, cosine, mr_fresnel_dielectric(cosine, b->eta));
        f = v3_sel(b->glossy, v3_mad(fresnel, base, f), f);
        p = sel(b->glossy, p + b->choose_reflect * lobe_pdf, p);
    }
    *pdf = p + choose_diffuse(b) * wi.z * MR_INV_PI;
    return v3(f.x + coat, f.y + coat, f.z + coat);
}

/* For lanes with wi below; rough transmission (Walter et al. 2007), 0 where the two directions have no microfacet between them. */
static inline vec3 eval_transmission(const mr_bsdf *b, vec3 wi, vf *pdf)
{
    vf share = (1.0f - b->m.metallic) * b->m.transmission;
    vec3 h = v3_unit(v3_add(b->wo, v3_scale(wi, b->eta)));
    h = v3_sel(mask(h.z < 0.0f), v3_neg(h), h);
    vf ho = v3_dot(b->wo, h), hi = v3_dot(wi, h), denominator = hi + ho / b->eta, d2 = denominator * denominator;
    vm fine = mask(share > 0.0f) & mask(ho > 0.0f) & mask(hi < 0.0f) & mask(d2 > 1e-12f);
    vf through = 1.0f - mr_fresnel_dielectric(ho, b->eta), d = ggx_d(b->m.alpha, h, all_f(1.0f), b->wo.z * d2) * -hi * ho;
    vf f = share * (1.0f - b->coat_out) * through * d / ((1.0f + b->lambda_out + smith_lambda(b->m.alpha, wi)) * b->eta * b->eta);
    *pdf = sel(fine, b->choose_transmit * d / (1.0f + b->lambda_out), all_f(0.0f));
    return v3_sel(fine, v3_scale(transmission_tint(b), f), v3_all(0.0f));
}

/* BSDF times cosine for light from wi (world, unit), and the density with which mr_bsdf_sample chooses wi; both 0 for ideal directions,
 * and where the two normals disagree on wi's side: light would leak. */
static inline vec3 mr_bsdf_eval(const mr_bsdf *b, vec3 wi_world, vf *pdf)
{
    vec3 wi = frame_to_local(&b->f, wi_world), f = v3_all(0.0f);
    vf above = v3_dot(wi_world, b->ng);
    vm over = mask(above > 0.0f) & mask(wi.z > MR_MIN_COSINE) & ~b->m.smooth;
    vm under = mask(above <= 0.0f) & mask(wi.z < -MR_MIN_COSINE) & mask(b->m.transmission > 0.0f) & ~b->m.smooth;
    *pdf = all_f(0.0f);
    if (any(over)) {
        vf p;
        f = v3_sel(over, eval_reflection(b, wi, &p), f);
        *pdf = sel(over, p, *pdf);
    }
    if (any(under)) {
        vf p;
        f = v3_sel(under, eval_transmission(b, wi, &p), f);
        *pdf = sel(under, p, *pdf);
    }
    return f;
}

/* ---- Sampling ---- */

static inline vec3 reflect(vec3 w, vec3 h)
{
    return v3_sub(v3_scale(h, 2.0f * v3_dot(w, h)), w);
}

/* Refracts w at the normal h (w.h > 0); not set on total reflection. */
static inline vm refract(vec3 w, vec3 h, vf eta, vec3 *out)
{
    vf c = v3_dot(w, h), inverse = 1.0f / eta, sin2 = (1.0f - c * c) * inverse * inverse, t = sqrt_f(max_f(1.0f - sin2, all_f(0.0f)));
    *out = v3_unit(v3_sub(v3_scale(h, c * inverse - t), v3_scale(w, inverse)));
    return mask(sin2 < 1.0f);
}

/* One of the two ideal directions, chosen by Fresnel's term. */
static inline vm sample_smooth(const mr_bsdf *b, vf lobe, mr_scatter *out)
{
    vec3 n = v3_of((const float[3]){0, 0, 1}), bent;
    vm bends = refract(b->wo, n, b->eta, &bent) & mask(lobe >= b->fresnel_out);
    out->wi = frame_to_world(&b->f, v3_sel(bends, bent, reflect(b->wo, n)));
    out->weight = v3_sel(bends, v3_scale(transmission_tint(b), 1.0f / (b->eta * b->eta)), v3_all(1.0f));
    out->pdf = all_f(0.0f);
    out->ideal = b->m.smooth;
    out->transmitted = bends;
    return mask(v3_dot(out->wi, b->ng) > 0.0f) ^ bends;
}

/* A direction of one of the lobes, in the frame; not set where refraction fails. */
static inline vm sample_lobe(const mr_bsdf *b, vf lobe, mr_sample2 s, vec3 *wi)
{
    vf past_reflect = b->choose_coat + b->choose_reflect, past_transmit = past_reflect + b->choose_transmit;
    vm coat = mask(lobe < b->choose_coat), mirror = mask(lobe < past_reflect), facet = mask(lobe < past_transmit), fine = all_lanes();
    *wi = v3_all(0.0f);
    if (any(~facet)) *wi = mr_cosine_hemisphere(s);
    if (any(facet)) {
        vec3 h = sample_visible_normal(sel(coat, b->m.coat_alpha, b->m.alpha), b->wo, s), bent;
        *wi = v3_sel(facet, reflect(b->wo, h), *wi);
        vm through = facet & ~mirror;
        if (any(through)) {
            fine = ~through | refract(b->wo, h, b->eta, &bent);
            *wi = v3_sel(through, bent, *wi);
        }
    }
    return fine;
}

static inline vm sample_rough(const mr_bsdf *b, vf lobe, mr_sample2 s, mr_scatter *out)
{
    vec3 wi;
    vm fine = sample_lobe(b, lobe, s, &wi);
    out->wi = frame_to_world(&b->f, wi);
    vec3 f = mr_bsdf_eval(b, out->wi, &out->pdf);
    out->weight = v3_scale(f, 1.0f / out->pdf);
    out->ideal = no_lanes();
    out->transmitted = mask(v3_dot(out->wi, b->ng) < 0.0f);
    return fine & mask(out->pdf > 0.0f) & mask(v3_max(f) > 0.0f);
}

/* Chooses a direction; not set where the path ends here. lobe in [0, 1). */
static inline vm mr_bsdf_sample(const mr_bsdf *b, vf lobe, mr_sample2 s, mr_scatter *out)
{
    mr_scatter smooth;
    if (!any(~b->m.smooth)) return sample_smooth(b, lobe, out);
    vm fine = sample_rough(b, lobe, s, out);
    if (!any(b->m.smooth)) return fine;
    vm fine_smooth = sample_smooth(b, lobe, &smooth), m = b->m.smooth;
    out->wi = v3_sel(m, smooth.wi, out->wi);
    out->weight = v3_sel(m, smooth.weight, out->weight);
    out->pdf = sel(m, smooth.pdf, out->pdf);
    out->ideal = m;
    out->transmitted = (m & smooth.transmitted) | (~m & out->transmitted);
    return (m & fine_smooth) | (~m & fine);
}

#endif
