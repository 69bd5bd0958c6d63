/* The camera: perspective with a thin lens, and the pixel filter, which is sampled instead of weighted (filter importance
 * sampling: Ernst, Stamminger, Greiner 2006), so that a pixel depends on its own samples only and all weigh the same. */
#ifndef MR_CAMERA_H
#define MR_CAMERA_H

#include "tracer/kernel.h"
#include "tracer/pack.h"
#include "tracer/render.h"
#include "tracer/sampler.h"
#include "tracer/vec.h"

enum { MR_FILTER_STEPS = 256 };

typedef struct mr_camera {
    vec3 position, u, v, w;
    float tan_x, tan_y;              /* half the picture's width and height at distance 1 */
    float inv_width, inv_height;
    float lens_radius, focus_distance;
    float filter[MR_FILTER_STEPS + 1]; /* inverse of the filter's cumulative distribution, pixels */
} mr_camera;

/* The scene's own frame always fits into the picture: a picture of another shape shows more, never less. */
void mr_camera_init(mr_camera *camera, const mr_settings *settings, const mr_picture *picture);

/* The ray of pixel (x, y): `filter` places it about the pixel's centre, `lens` on the lens. Its direction is of unit length. */
void mr_camera_ray(const mr_camera *camera, uint32_t x, uint32_t y, mr_sample2 filter, mr_sample2 lens, mr_ray *ray);

#endif
