/* Look-ups in a pack's textures and its environment map. */
#ifndef MR_TEXTURE_H
#define MR_TEXTURE_H

#include "tracer/pack.h"
#include "tracer/sampler.h"
#include "tracer/vec.h"

/* What look-ups need besides the pack; one a renderer. */
typedef struct mr_texels {
    const mr_pack *pack;
    float from_srgb[256]; /* sRGB byte -> linear */
} mr_texels;

void mr_texels_init(mr_texels *texels, const mr_pack *pack);

/* Bilinear. index is a texture of the pack; u runs right, v up; not finite counts as 0. Linear RGB. */
vec3 mr_texture_at(const mr_texels *texels, uint32_t index, float u, float v);

/* Linear RGB of a vertex colour. */
vec3 mr_color_of(const mr_texels *texels, uint32_t srgb8);

/* Radiance of the environment in a unit direction (black without one). */
vec3 mr_environment_radiance(const mr_texels *texels, vec3 direction);

/* A direction chosen by the map's brightness, and its density per steradian; the pack has an environment. */
vec3 mr_environment_sample(const mr_pack *pack, mr_sample2 s, float *density);

/* The density per steradian with which mr_environment_sample chooses the direction. */
float mr_environment_density(const mr_pack *pack, vec3 direction);

#endif
