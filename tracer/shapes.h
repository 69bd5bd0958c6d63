/* Warps of the unit square to the shapes that sampling needs (Shirley and Chiu 1997; Pharr, Jakob, Humphreys 2023, appendix A). */
#ifndef MR_SHAPES_H
#define MR_SHAPES_H

#include "tracer/mathf.h"
#include "tracer/sampler.h"
#include "tracer/vec.h"

typedef struct mr_point2 {
    float x, y;
} mr_point2;

/* Uniform on the unit disc, concentric. */
static inline mr_point2 mr_disc(mr_sample2 s)
{
    float a = 2.0f * s.u - 1.0f, b = 2.0f * s.v - 1.0f, sine, cosine;
    if (a == 0 && b == 0) return (mr_point2){ 0, 0 };
    float r = fabsf(a) > fabsf(b) ? a : b;
    float turns = fabsf(a) > fabsf(b) ? 0.125f * (b / a) : 0.25f - 0.125f * (a / b);
    mr_sincos_turns(turns, &sine, &cosine);
    return (mr_point2){ r * cosine, r * sine };
}

/* Cosine-distributed about +z; density cos / pi. */
static inline vec3 mr_cosine_hemisphere(mr_sample2 s)
{
    mr_point2 p = mr_disc(s);
    return v3(p.x, p.y, sqrtf(max_f(0.0f, 1.0f - p.x * p.x - p.y * p.y)));
}

/* Uniform in the cone of directions about +z whose cosine is at least cos_max; density 1 / (2 pi (1 - cos_max)). */
static inline vec3 mr_cone(mr_sample2 s, float cos_max)
{
    float z = 1.0f - s.u * (1.0f - cos_max), r = sqrtf(max_f(0.0f, 1.0f - z * z)), sine, cosine;
    mr_sincos_turns(s.v, &sine, &cosine);
    return v3(r * cosine, r * sine, z);
}

/* The power heuristic with exponent 2 (Veach 1997): the weight of the first of two strategies of densities p and q. */
static inline float mr_mis_weight(float p, float q)
{
    if (!(p < INFINITY)) return 1.0f;
    float r = p > 0 ? q / p : 0.0f;
    return p > 0 ? 1.0f / (1.0f + r * r) : 0.0f;
}

#endif
