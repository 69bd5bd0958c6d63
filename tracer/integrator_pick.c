/* Which build of the integrator goes with a kernel, and how its hits are sorted. */
#include <string.h>

#include "tracer/integrator.h"

#define BUILD(name) mr_integrate_fn mr_integrate_##name;
BUILD(scalar)
#ifdef __x86_64__
BUILD(sse)
BUILD(avx2)
BUILD(avx512)
#endif
#ifdef __aarch64__
BUILD(neon)
#endif

static const struct {
    const char *kernel;
    mr_integrate_fn *integrate;
} builds[] = {
#ifdef __x86_64__
    {"sse", mr_integrate_sse},
    {"avx2", mr_integrate_avx2},
    {"avx512", mr_integrate_avx512},
#endif
#ifdef __aarch64__
    {"neon", mr_integrate_neon},
#endif
    {"scalar", mr_integrate_scalar},
};

mr_integrate_fn *mr_integrator_pick(const mr_kernel *kernel)
{
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++)
        if (strcmp(builds[i].kernel, kernel->name) == 0) return builds[i].integrate;
    return mr_integrate_scalar;
}

uint8_t mr_material_class(const mr_material *m)
{
    unsigned smooth = (m->flags & MR_MATERIAL_GLASS) != 0, coated = m->clearcoat > 0;
    unsigned metal = m->metallic > 0, transmits = m->transmission > 0, glossy = m->ior > MR_MIN_IOR;
    unsigned textured = (m->base_texture & m->surface_texture & m->normal_texture & m->emission_texture) != MR_NONE;
    return (uint8_t)(smooth | transmits << 1 | coated << 2 | metal << 3 | textured << 4 | glossy << 5);
}
