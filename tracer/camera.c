#include "tracer/camera.h"

#include <string.h>

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
    memcpy(camera->position, settings->position, sizeof camera->position);
    memcpy(camera->u, settings->u, sizeof camera->u);
    memcpy(camera->v, settings->v, sizeof camera->v);
    memcpy(camera->w, settings->w, sizeof camera->w);
    camera->tan_x = tan_x;
    camera->tan_y = tan_y;
    camera->inv_width = 1.0f / width;
    camera->inv_height = 1.0f / height;
    camera->lens_radius = settings->lens_radius;
    camera->focus_distance = settings->focus_distance;
    filter_table(camera->filter, settings->filter, settings->filter_radius);
}
