#include "tracer/camera.h"

#include "tracer/mathf.h"
#include "tracer/shapes.h"

/* The filters' profiles over x in [-1, 1] (in units of the radius); they need no normalisation. */
static float filter_profile(uint32_t filter, float x)
{
    float s, c, c2;
    switch (filter) {
    case MR_FILTER_TENT: return 1.0f - fabsf(x);
    case MR_FILTER_GAUSSIAN: return mr_exp(-4.5f * x * x); /* sigma is a third of the radius */
    case MR_FILTER_BLACKMAN_HARRIS:                        /* Harris 1978, the four-term window */
        mr_sincos_turns(0.5f * x, &s, &c);
        c2 = 2.0f * c * c - 1.0f;
        return 0.35875f + 0.48829f * c + 0.14128f * c2 + 0.01168f * (c * (2.0f * c2 - 1.0f));
    default: return 1.0f;
    }
}

/* Tabulates the inverse of the profile's integral; each table step is found by walking the integral once. */
static void filter_table(float *table, uint32_t filter, float radius)
{
    enum { FINE = 4096 };
    double total = 0, sum = 0;
    for (int i = 0; i < FINE; i++) total += (double)filter_profile(filter, (2.0f * (float)i + 1.0f) / FINE - 1.0f);
    int step = 1;
    table[0] = -radius;
    for (int i = 0; i < FINE; i++) {
        double next = sum + (double)filter_profile(filter, (2.0f * (float)i + 1.0f) / FINE - 1.0f) / total;
        while (step < MR_FILTER_STEPS && next >= (double)step / MR_FILTER_STEPS) {
            float part = (float)(((double)step / MR_FILTER_STEPS - sum) / (next - sum));
            table[step++] = radius * ((2.0f * ((float)i + part)) / FINE - 1.0f);
        }
        sum = next;
    }
    while (step <= MR_FILTER_STEPS) table[step++] = radius;
}

void mr_camera_init(mr_camera *camera, const mr_settings *settings, const mr_picture *picture)
{
    float s, c;
    mr_sincos_turns(settings->fov_x_rad * (0.25f * MR_INV_PI), &s, &c); /* half the angle, in turns */
    float tan_x = s / c, tan_y = tan_x * ((float)settings->height / (float)settings->width);
    float width = (float)picture->width, height = (float)picture->height;
    if (width * tan_y >= height * tan_x)
        tan_x = tan_y * (width / height);
    else
        tan_y = tan_x * (height / width);
    camera->position = v3_of(settings->position);
    camera->u = v3_of(settings->u);
    camera->v = v3_of(settings->v);
    camera->w = v3_of(settings->w);
    camera->tan_x = tan_x;
    camera->tan_y = tan_y;
    camera->inv_width = 1.0f / width;
    camera->inv_height = 1.0f / height;
    camera->lens_radius = settings->lens_radius;
    camera->focus_distance = settings->focus_distance;
    filter_table(camera->filter, settings->filter, settings->filter_radius);
}

static float filter_offset(const mr_camera *camera, float u)
{
    float x = u * MR_FILTER_STEPS;
    int i = (int)x;
    return lerp_f(camera->filter[i], camera->filter[i + 1], x - (float)i);
}

void mr_camera_ray(const mr_camera *camera, uint32_t x, uint32_t y, mr_sample2 filter, mr_sample2 lens, mr_ray *ray)
{
    float px = (float)x + 0.5f + filter_offset(camera, filter.u), py = (float)y + 0.5f + filter_offset(camera, filter.v);
    float sx = (2.0f * px * camera->inv_width - 1.0f) * camera->tan_x, sy = (1.0f - 2.0f * py * camera->inv_height) * camera->tan_y;
    vec3 d = v3_sub(v3_add(v3_scale(camera->u, sx), v3_scale(camera->v, sy)), camera->w), o = camera->position;
    if (camera->lens_radius > 0) { /* aim at the point in focus from a point of the lens */
        vec3 focus = v3_mad(d, camera->focus_distance, o);
        mr_point2 p = mr_disc(lens);
        o = v3_mad(camera->u, p.x * camera->lens_radius, v3_mad(camera->v, p.y * camera->lens_radius, o));
        d = v3_sub(focus, o);
    }
    d = v3_unit(d);
    *ray = (mr_ray){{o.x, o.y, o.z}, 0.0f, {d.x, d.y, d.z}, INFINITY};
}
