/* From linear radiance to sRGB bytes: exposure, tone curve, encoding, a fixed rounding.
 *
 * filmic  H. Uchimura 2017, "HDR theory and practice" (the Gran Turismo curve): a straight middle, so that paint keeps its
 * saturation, between a toe and a shoulder; applied to each channel, after the brightest colours have been drawn a little towards
 * white, as film does. aces    S. Hill's fit of the ACES reference rendering and output transforms (2016). linear  clipped. */
#include "tracer/film.h"
#include "tracer/mathf.h"
#include "tracer/vec.h"

static float smooth(float a, float b, float x)
{
    float t = clamp_f((x - a) / (b - a), 0, 1);
    return t * t * (3.0f - 2.0f * t);
}

/* Uchimura's curve for a display of peak 1: contrast 1, the straight part from 0.22 over 0.4 of the range, black tightness 1.33. */
static float filmic(float x)
{
    const float m = 0.22f, length = 0.4f, contrast = 1.0f, black = 1.33f, peak = 1.0f;
    float l0 = (peak - m) * length / contrast, s0 = m + l0, s1 = m + contrast * l0;
    float c2 = contrast * peak / (peak - s1), w0 = 1.0f - smooth(0.0f, m, x), w2 = x < m + l0 ? 0.0f : 1.0f, w1 = 1.0f - w0 - w2;
    float toe = m * mr_pow(x / m, black), straight = m + contrast * (x - m),
          shoulder = peak - (peak - s1) * mr_exp(-c2 * (x - s0) / peak);
    return toe * w0 + straight * w1 + shoulder * w2;
}

static vec3 filmic_color(vec3 c)
{
    float bright = smooth(0.8f, 8.0f, v3_max(c)); /* highlights lose their colour */
    c = v3_lerp(c, v3_all(v3_max(c)), 0.65f * bright);
    return v3(filmic(c.x), filmic(c.y), filmic(c.z));
}

static float aces_curve(float v)
{
    return (v * (v + 0.0245786f) - 0.000090537f) / (v * (0.983729f * v + 0.4329510f) + 0.238081f);
}

static vec3 aces_color(vec3 c)
{
    vec3 a = v3(0.59719f * c.x + 0.35458f * c.y + 0.04823f * c.z, 0.07600f * c.x + 0.90834f * c.y + 0.01566f * c.z,
                0.02840f * c.x + 0.13383f * c.y + 0.83777f * c.z);
    a = v3(aces_curve(a.x), aces_curve(a.y), aces_curve(a.z));
    return v3(1.60475f * a.x - 0.53108f * a.y - 0.07367f * a.z, -0.10208f * a.x + 1.10813f * a.y - 0.00605f * a.z,
              -0.00327f * a.x - 0.07276f * a.y + 1.07602f * a.z);
}

static uint8_t encode(float x)
{
    x = clamp_f(x, 0.0f, 1.0f);
    float s = x <= 0.0031308f ? 12.92f * x : 1.055f * mr_pow(x, 1.0f / 2.4f) - 0.055f;
    return (uint8_t)(clamp_f(s, 0.0f, 1.0f) * 255.0f + 0.5f);
}

void mr_tone_map(const mr_settings *settings, const float *rgb, uint64_t pixels, uint8_t *rgb8)
{
    for (uint64_t i = 0; i < pixels; i++) {
        vec3 c = v3_scale(v3_of(rgb + 3 * i), settings->exposure);
        if (settings->tone_map == MR_TONE_FILMIC)
            c = filmic_color(c);
        else if (settings->tone_map == MR_TONE_ACES)
            c = aces_color(c);
        rgb8[3 * i] = encode(c.x);
        rgb8[3 * i + 1] = encode(c.y);
        rgb8[3 * i + 2] = encode(c.z);
    }
}
