#include "tracer/bsdf.h"

#include "tracer/ggx_albedo.h"
#include "tracer/mathf.h"
#include "tracer/shapes.h"

#define COAT_IOR 1.5f
#define MIN_COSINE 1e-6f

/* ---- Fresnel ---- */

float mr_fresnel_dielectric(float cosine, float eta)
{
    float c = clamp_f(cosine, 0.0f, 1.0f), sin2 = (1.0f - c * c) / (eta * eta);
    if (sin2 >= 1.0f) return 1.0f;
    float t = sqrtf(1.0f - sin2), s = (c - eta * t) / (c + eta * t), p = (eta * c - t) / (eta * c + t);
    return 0.5f * (s * s + p * p);
}

static vec3 schlick(vec3 f0, float cosine)
{
    float m = 1.0f - clamp_f(cosine, 0.0f, 1.0f), m2 = m * m, k = m2 * m2 * m;
    return v3_add(v3_scale(f0, 1.0f - k), v3_all(k));
}

/* Reflectance of a dielectric averaged over the hemisphere by cosine, eta > 1 (Kulla and Conty 2017, a fit). */
static float fresnel_average(float eta)
{
    return (eta - 1.0f) / (4.08567f + 1.00071f * eta);
}

/* ---- GGX ---- */

static float ggx_d(float alpha, vec3 h)
{
    float a2 = alpha * alpha, k = (h.x * h.x + h.y * h.y) / a2 + h.z * h.z;
    return MR_INV_PI / (a2 * k * k);
}

static float smith_lambda(float alpha, vec3 w)
{
    float z2 = max_f(w.z * w.z, MIN_COSINE * MIN_COSINE), a2 = alpha * alpha;
    return 0.5f * (sqrtf(1.0f + a2 * (w.x * w.x + w.y * w.y) / z2) - 1.0f);
}

/* Density of visible normals about a normal whose distribution is d, seen from w at cosine w.h (lambda: Smith's, of w). */
static float visible_normals(float d, float w_dot_h, float lambda, vec3 w)
{
    return d * max_f(0.0f, w_dot_h) / ((1.0f + lambda) * max_f(w.z, MIN_COSINE));
}

static vec3 sample_visible_normal(float alpha, vec3 w, mr_sample2 s)
{
    vec3 c = v3_unit(v3(alpha * w.x, alpha * w.y, w.z));
    float sine, cosine, z = (1.0f - s.v) * (1.0f + c.z) - c.z, r = sqrtf(max_f(0.0f, 1.0f - z * z));
    mr_sincos_turns(s.u, &sine, &cosine);
    vec3 h = v3(r * cosine + c.x, r * sine + c.y, z + c.z);
    return v3_unit(v3(alpha * h.x, alpha * h.y, max_f(h.z, MIN_COSINE)));
}

/* D G2 / (4 cos_o cos_i) times cos_i; lambda: Smith's, of wo; *pdf: the density of wi by visible normals. */
static float ggx_reflect(float alpha, float lambda, vec3 wo, vec3 wi, vec3 h, float *pdf)
{
    float d = ggx_d(alpha, h) / (4.0f * max_f(wo.z, MIN_COSINE));
    *pdf = d / (1.0f + lambda);
    return d / (1.0f + lambda + smith_lambda(alpha, wi));
}

/* ---- What the single-scattering lobe of a metal loses (Kulla and Conty 2017) ---- */

static float table_place(float x, int *i)
{
    float p = clamp_f(x, 0.0f, 1.0f) * (MR_GGX_STEPS - 1);
    *i = p >= MR_GGX_STEPS - 1 ? MR_GGX_STEPS - 2 : (int)p;
    return p - (float)*i;
}

static float ggx_albedo(float alpha, float cosine)
{
    int r, c;
    float fr = table_place(sqrtf(alpha), &r), fc = table_place(cosine, &c);
    const float *a = mr_ggx_albedo[r], *b = mr_ggx_albedo[r + 1];
    return lerp_f(lerp_f(a[c], a[c + 1], fc), lerp_f(b[c], b[c + 1], fc), fr);
}

static float ggx_average(float alpha)
{
    int r;
    float f = table_place(sqrtf(alpha), &r);
    return lerp_f(mr_ggx_average[r], mr_ggx_average[r + 1], f);
}

/* Colour of the light that leaves a metal after two or more bounces between its microfacets. */
static vec3 multiple_fresnel(vec3 base, float average)
{
    vec3 f = v3_add(v3_scale(base, 20.0f / 21.0f), v3_all(1.0f / 21.0f)); /* Schlick's term averaged by cosine */
    vec3 f2 = v3_scale(v3_mul(f, f), average);
    return v3(f2.x / (1.0f - f.x * (1.0f - average)), f2.y / (1.0f - f.y * (1.0f - average)),
              f2.z / (1.0f - f.z * (1.0f - average)));
}

/* ---- The layers ---- */

static float coat_fresnel(const mr_bsdf *b, float cosine)
{
    return b->m.clearcoat > 0 ? b->m.clearcoat * mr_fresnel_dielectric(cosine, COAT_IOR) : 0.0f;
}

/* dielectric: its Fresnel term at this cosine. */
static vec3 base_fresnel(const mr_bsdf *b, float cosine, float dielectric)
{
    if (!(b->m.metallic > 0)) return v3_all(dielectric);
    return v3_add(v3_scale(schlick(b->m.base, cosine), b->m.metallic), v3_all((1.0f - b->m.metallic) * dielectric));
}

static vec3 transmission_tint(const mr_bsdf *b)
{
    return v3(sqrtf(b->m.base.x), sqrtf(b->m.base.y), sqrtf(b->m.base.z));
}

static void choose_lobes(mr_bsdf *b)
{
    float cosine = b->wo.z, coat = b->coat_out, under = 1.0f - coat, dielectric = 1.0f - b->m.metallic;
    float through = under * dielectric * (1.0f - b->fresnel_out);
    float reflect = under * v3_luminance(base_fresnel(b, cosine, b->fresnel_out)),
          transmit = through * b->m.transmission * v3_luminance(transmission_tint(b));
    float diffuse = through * (1.0f - b->m.transmission) * v3_luminance(b->m.base);
    b->lost = 0;
    if (b->m.metallic > 0) {
        float average = ggx_average(b->m.alpha);
        b->multiple = multiple_fresnel(b->m.base, average);
        b->lost = b->m.metallic * (1.0f - ggx_albedo(b->m.alpha, cosine)) / max_f(1.0f - average, 1e-4f);
        diffuse += under * b->lost * (1.0f - average) * v3_luminance(b->multiple);
    }
    float total = coat + reflect + transmit + diffuse;
    if (!(total > 0)) {
        b->choose_coat = b->choose_reflect = b->choose_transmit = 0;
        return;
    }
    b->choose_coat = coat / total;
    b->choose_reflect = reflect / total;
    b->choose_transmit = transmit / total;
}

void mr_bsdf_init(mr_bsdf *b, const mr_lobes *lobes, vec3 ng, vec3 ns, vec3 wo, int front)
{
    b->m = *lobes;
    if (!front && b->m.transmission > 0) b->m.clearcoat = 0; /* inside a body there is no coat */
    b->eta = front || !(b->m.transmission > 0) ? b->m.ior : 1.0f / b->m.ior;
    b->ng = ng;
    b->f = frame_about(ns);
    b->wo = frame_to_local(&b->f, wo);
    if (b->wo.z < MIN_COSINE) b->wo.z = MIN_COSINE;
    b->fresnel_out = mr_fresnel_dielectric(b->wo.z, b->eta);
    if (b->m.smooth) return;
    b->coat_out = coat_fresnel(b, b->wo.z);
    b->lambda_out = smith_lambda(b->m.alpha, b->wo);
    b->coat_lambda_out = b->m.clearcoat > 0 ? smith_lambda(b->m.coat_alpha, b->wo) : 0.0f;
    choose_lobes(b);
}

static float choose_diffuse(const mr_bsdf *b)
{
    return max_f(0.0f, 1.0f - b->choose_coat - b->choose_reflect - b->choose_transmit);
}

static vec3 eval_reflection(const mr_bsdf *b, vec3 wi, float *pdf)
{
    vec3 h = v3_unit(v3_add(b->wo, wi)), f = v3_all(0);
    float cosine = v3_dot(b->wo, h), p = 0, pass = 1.0f, lobe_pdf;
    if (b->m.clearcoat > 0) {
        f = v3_all(coat_fresnel(b, cosine) * ggx_reflect(b->m.coat_alpha, b->coat_lambda_out, b->wo, wi, h, &lobe_pdf));
        p = b->choose_coat * lobe_pdf;
        pass = (1.0f - b->coat_out) * (1.0f - coat_fresnel(b, wi.z));
    }
    float base = pass * ggx_reflect(b->m.alpha, b->lambda_out, b->wo, wi, h, &lobe_pdf);
    f = v3_mad(base_fresnel(b, cosine, mr_fresnel_dielectric(cosine, b->eta)), base, f);
    p += b->choose_reflect * lobe_pdf;
    float diffuse = (1.0f - b->m.metallic) * (1.0f - b->m.transmission);
    if (diffuse > 0) {
        float in = 1.0f - mr_fresnel_dielectric(wi.z, b->eta), out = 1.0f - b->fresnel_out;
        f = v3_mad(b->m.base, pass * diffuse * in * out / (1.0f - fresnel_average(b->eta)) * MR_INV_PI * wi.z, f);
    }
    if (b->lost > 0) f = v3_mad(b->multiple, pass * b->lost * (1.0f - ggx_albedo(b->m.alpha, wi.z)) * MR_INV_PI * wi.z, f);
    *pdf = p + choose_diffuse(b) * wi.z * MR_INV_PI;
    return f;
}

static vec3 eval_transmission(const mr_bsdf *b, vec3 wi, float *pdf)
{
    *pdf = 0;
    float share = (1.0f - b->m.metallic) * b->m.transmission;
    if (!(share > 0)) return v3_all(0);
    vec3 h = v3_unit(v3_add(b->wo, v3_scale(wi, b->eta)));
    if (h.z < 0) h = v3_neg(h);
    float ho = v3_dot(b->wo, h), hi = v3_dot(wi, h);
    if (!(ho > 0) || !(hi < 0)) return v3_all(0);
    float denominator = hi + ho / b->eta, d2 = denominator * denominator;
    if (!(d2 > 1e-12f)) return v3_all(0);
    float through = 1.0f - mr_fresnel_dielectric(ho, b->eta);
    float d = ggx_d(b->m.alpha, h), g = 1.0f / (1.0f + b->lambda_out + smith_lambda(b->m.alpha, wi));
    float f = through * d * g * (ho * -hi) / (max_f(b->wo.z, MIN_COSINE) * d2 * b->eta * b->eta);
    *pdf = b->choose_transmit * visible_normals(d, ho, b->lambda_out, b->wo) * -hi / d2;
    return v3_scale(transmission_tint(b), share * (1.0f - b->coat_out) * f);
}

vec3 mr_bsdf_eval(const mr_bsdf *b, vec3 wi_world, float *pdf)
{
    *pdf = 0;
    if (b->m.smooth) return v3_all(0);
    vec3 wi = frame_to_local(&b->f, wi_world);
    int over = v3_dot(wi_world, b->ng) > 0;
    if (over && wi.z > MIN_COSINE) return eval_reflection(b, wi, pdf);
    if (!over && wi.z < -MIN_COSINE) return eval_transmission(b, wi, pdf);
    return v3_all(0); /* the two normals disagree: no light, or it would leak */
}

/* ---- Sampling ---- */

static vec3 reflect(vec3 w, vec3 h)
{
    return v3_sub(v3_scale(h, 2.0f * v3_dot(w, h)), w);
}

/* Refracts w at the normal h (w.h > 0); 0 on total reflection. */
static int refract(vec3 w, vec3 h, float eta, vec3 *out)
{
    float c = v3_dot(w, h), sin2 = (1.0f - c * c) / (eta * eta);
    if (sin2 >= 1.0f) return 0;
    float t = sqrtf(1.0f - sin2);
    *out = v3_unit(v3_sub(v3_scale(h, c / eta - t), v3_scale(w, 1.0f / eta)));
    return 1;
}

static int sample_smooth(const mr_bsdf *b, float lobe, mr_scatter *out)
{
    vec3 n = v3(0, 0, 1), wi;
    float f = b->fresnel_out;
    out->ideal = 1;
    out->pdf = 0;
    if (lobe < f || !refract(b->wo, n, b->eta, &wi)) {
        wi = reflect(b->wo, n);
        out->weight = v3_all(1.0f);
        out->transmitted = 0;
    } else {
        out->weight = v3_scale(transmission_tint(b), 1.0f / (b->eta * b->eta));
        out->transmitted = 1;
    }
    out->wi = v3_unit(frame_to_world(&b->f, wi));
    return (v3_dot(out->wi, b->ng) > 0) != out->transmitted;
}

static int sample_direction(const mr_bsdf *b, float lobe, mr_sample2 s, vec3 *wi)
{
    if (lobe < b->choose_coat)
        *wi = reflect(b->wo, sample_visible_normal(b->m.coat_alpha, b->wo, s));
    else if (lobe < b->choose_coat + b->choose_reflect)
        *wi = reflect(b->wo, sample_visible_normal(b->m.alpha, b->wo, s));
    else if (lobe < b->choose_coat + b->choose_reflect + b->choose_transmit)
        return refract(b->wo, sample_visible_normal(b->m.alpha, b->wo, s), b->eta, wi);
    else
        *wi = mr_cosine_hemisphere(s);
    return 1;
}

int mr_bsdf_sample(const mr_bsdf *b, float lobe, mr_sample2 s, mr_scatter *out)
{
    if (b->m.smooth) return sample_smooth(b, lobe, out);
    vec3 wi;
    if (!sample_direction(b, lobe, s, &wi)) return 0;
    out->wi = v3_unit(frame_to_world(&b->f, wi));
    vec3 f = mr_bsdf_eval(b, out->wi, &out->pdf);
    if (!(out->pdf > 0) || !(v3_max(f) > 0)) return 0;
    out->weight = v3_scale(f, 1.0f / out->pdf);
    out->ideal = 0;
    out->transmitted = v3_dot(out->wi, b->ng) < 0;
    return 1;
}
