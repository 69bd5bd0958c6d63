/* The camera: perspective with a thin lens, and the pixel filter, which is sampled instead of weighted (filter importance
 * sampling: Ernst, Stamminger, Greiner 2006), so that a pixel depends on its own samples only and all weigh the same. */
#ifndef MR_CAMERA_H
#define MR_CAMERA_H

#include "tracer/pack.h"
#include "tracer/render.h"
#include "tracer/shapes.h"

enum { MR_FILTER_STEPS = 256 };

typedef struct mr_camera {
    float position[3], u[3], v[3], w[3];
    float tan_x, tan_y;              /* half the picture's width and height at distance 1 */
    float inv_width, inv_height;
    float lens_radius, focus_distance;
    float filter[MR_FILTER_STEPS + 1]; /* inverse of the filter's cumulative distribution, pixels */
} mr_camera;

/* The scene's own frame always fits into the picture: a picture of another shape shows more, never less. */
void mr_camera_init(mr_camera *camera, const mr_settings *settings, const mr_picture *picture);

static inline vf filter_offset(const mr_camera *camera, vf u)
{
    vf x = u * (float)MR_FILTER_STEPS, whole = mr_floor(x);
    vu i = (vu)to_int(whole);
    return lerp_f(gather_f(camera->filter, i), gather_f(camera->filter + 1, i), x - whole);
}

/* The rays of pixels (x, y), over lanes (tracer/lanes.h): `filter` places them about the pixels' centres, `lens` on the lens. Their
 * directions are of unit length. */
static inline void mr_camera_ray(const mr_camera *camera, vu x, vu y, mr_sample2 filter, mr_sample2 lens, vec3 *o, vec3 *d)
{
    vf px = to_float((vi)x) + 0.5f + filter_offset(camera, filter.u), py = to_float((vi)y) + 0.5f + filter_offset(camera, filter.v);
    vf sx = (2.0f * px * camera->inv_width - 1.0f) * camera->tan_x, sy = (1.0f - 2.0f * py * camera->inv_height) * camera->tan_y;
    vec3 u = v3_of(camera->u), v = v3_of(camera->v);
    *d = v3_sub(v3_add(v3_scale(u, sx), v3_scale(v, sy)), v3_of(camera->w));
    *o = v3_of(camera->position);
    if (camera->lens_radius > 0) { /* aim at the point in focus from a point of the lens */
        vec3 focus = v3_mad(*d, all_f(camera->focus_distance), *o);
        mr_point2 p = mr_disc(lens);
        *o = v3_mad(u, p.x * camera->lens_radius, v3_mad(v, p.y * camera->lens_radius, *o));
        *d = v3_sub(focus, *o);
    }
    *d = v3_unit(*d);
}

#endif
