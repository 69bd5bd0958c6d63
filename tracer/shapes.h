/* Warps of the unit square to the shapes that sampling needs (Shirley and Chiu 1997; Pharr, Jakob, Humphreys 2023, appendix A). */
#ifndef MR_SHAPES_H
#define MR_SHAPES_H

#include "tracer/mathf.h"
#include "tracer/sampler.h"
#include "tracer/vec.h"

typedef struct mr_point2 {
    vf x, y;
} mr_point2;

/* Uniform on the unit disc, concentric. */
static inline mr_point2 mr_disc(mr_sample2 s)
{
    vf a = 2.0f * s.u - 1.0f, b = 2.0f * s.v - 1.0f, sine, cosine;
    vm wide = mask(abs_f(a) > abs_f(b));
    vf r = sel(wide, a, b), share = sel(wide, b, a) / sel(mask(r == 0.0f), all_f(1.0f), r); /* r is 0 in the middle alone */
    mr_sincos_turns(sel(wide, 0.125f * share, 0.25f - 0.125f * share), &sine, &cosine);
    return (mr_point2){ r * cosine, r * sine };
}

/* Cosine-distributed about +z; density cos / pi. */
static inline vec3 mr_cosine_hemisphere(mr_sample2 s)
{
    mr_point2 p = mr_disc(s);
    return v3(p.x, p.y, sqrt_f(max_f(1.0f - p.x * p.x - p.y * p.y, all_f(0.0f))));
}

/* Uniform in the cone of directions about +z whose cosine is at least cos_max; density 1 / (2 pi (1 - cos_max)). */
static inline vec3 mr_cone(mr_sample2 s, vf cos_max)
{
    vf z = 1.0f - s.u * (1.0f - cos_max), r = sqrt_f(max_f(1.0f - z * z, all_f(0.0f))), sine, cosine;
    mr_sincos_turns(s.v, &sine, &cosine);
    return v3(r * cosine, r * sine, z);
}

/* The power heuristic with exponent 2 (Veach 1997): the weight of the first of two strategies of densities p > 0 and q, over p. */
static inline vf mr_mis_weight_over_density(vf p, vf q)
{
    return p / (p * p + q * q);
}

/* The weight alone; p may be 0 or infinite. */
static inline vf mr_mis_weight(vf p, vf q)
{
    vm there = mask(p > 0.0f);
    vf r = q / sel(there, p, all_f(1.0f)), weight = sel(there, 1.0f / (1.0f + r * r), all_f(0.0f));
    return sel(mask(p < INFINITY), weight, all_f(1.0f));
}

#endif
