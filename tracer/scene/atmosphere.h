/* A clear sky: the Earth's atmosphere, by single scattering and an estimate of the rest.
 *
 * Units: the sun above the atmosphere gives an irradiance of MR_SOLAR_IRRADIANCE in every channel on a plane that faces it, so that colours are balanced to
 * sunlight in space; radiances follow per steradian. With exposure 0 a white wall in the noon sun then has a radiance of about 1.5. */
#ifndef MR_SCENE_ATMOSPHERE_H
#define MR_SCENE_ATMOSPHERE_H

#include "tracer/error.h"
#include "tracer/scene/texture.h"
#include "tracer/scene/vec.h"

#define MR_SOLAR_IRRADIANCE 5.0

enum { MR_SKY_WIDTH = 512, MR_SKY_HEIGHT = 256 };

typedef struct mr_sky {
    vec3 sun;         /* unit vector towards it */
    double turbidity; /* 1: air without haze, 2: clear, 5: hazy */
    double intensity;
    double ground[3]; /* albedo below the horizon */
} mr_sky;

/* What of the sun's light arrives at the ground, in each channel: 0..1. */
void mr_sky_sun_transmittance(const mr_sky *sky, double rgb[3]);

/* Bakes the sky into an equirectangular float image as mr_environment describes it, turned about +y so that the sun's azimuth is 0 (in the map's middle),
 * without the sun's disc; below the horizon lies a matte ground lit by sun and sky. */
int mr_sky_bake(const mr_sky *sky, mr_image *image, mr_error *err);

#endif
