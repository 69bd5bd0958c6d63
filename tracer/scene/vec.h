/* Small vector arithmetic for the scene compiler, in double: it runs once a scene, and rounding to float comes last. */
#ifndef MR_SCENE_VEC_H
#define MR_SCENE_VEC_H

#include <math.h>
#include <stdbool.h>

#define MR_PI 3.14159265358979323846
#define MR_RAD_PER_DEG (MR_PI / 180)

typedef struct vec3 {
    double x, y, z;
} vec3;

static inline vec3 v3(double x, double y, double z) { return (vec3){x, y, z}; }
static inline vec3 v3_from(const double a[3]) { return v3(a[0], a[1], a[2]); }
static inline vec3 v3_fromf(const float a[3]) { return v3((double)a[0], (double)a[1], (double)a[2]); }
static inline vec3 v3_add(vec3 a, vec3 b) { return v3(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline vec3 v3_sub(vec3 a, vec3 b) { return v3(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline vec3 v3_mul(vec3 a, vec3 b) { return v3(a.x * b.x, a.y * b.y, a.z * b.z); }
static inline vec3 v3_scale(vec3 a, double s) { return v3(a.x * s, a.y * s, a.z * s); }
static inline double v3_dot(vec3 a, vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline double v3_length(vec3 a) { return sqrt(v3_dot(a, a)); }

static inline vec3 v3_cross(vec3 a, vec3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

/* The unit vector along a, or zeros when a is too short to have a direction. */
static inline vec3 v3_unit(vec3 a)
{
    double length = v3_length(a);
    return length > 1e-150 ? v3_scale(a, 1 / length) : v3(0, 0, 0);
}

static inline void v3_store(float out[3], vec3 a)
{
    out[0] = (float)a.x;
    out[1] = (float)a.y;
    out[2] = (float)a.z;
}

/* Rec. 709 luminance of a linear colour. */
static inline double mr_luminance(double r, double g, double b) { return 0.2126 * r + 0.7152 * g + 0.0722 * b; }
static inline double mr_luminance3f(const float c[3]) { return mr_luminance((double)c[0], (double)c[1], (double)c[2]); }

#endif
