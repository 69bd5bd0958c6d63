/* Surfaces with holes: a hit on a material with an alpha_cutoff counts only where the base texture's alpha reaches it. */
#ifndef MR_ALPHA_H
#define MR_ALPHA_H

#include <stdint.h>

#include "tracer/pack.h"

/* Whether the surface is there: at the point of triangle `triangle`, seen in instance `instance`, that has these barycentric weights. Part of
 * what counts as a hit, so it is plain C, built once: every kernel asks the same code. pack: checked. */
int mr_alpha_is_solid(const mr_pack *pack, uint32_t instance, uint32_t triangle, const float weights[3]);

#endif
