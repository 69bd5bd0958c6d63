#include "tracer/render.h"

#include <stdlib.h>
#include <string.h>

#include "tracer/film.h"
#include "tracer/integrator.h"

/* Paths are taken in blocks of BLOCK x BLOCK pixels, all samples of one index before the next: neighbours in a batch are
 * neighbours in the picture, which is what the kernel's beams and the caches live on. */
enum { BLOCK = 8 };

struct mr_renderer {
    mr_integrator in;
    mr_integrate_fn *integrate;
    mr_picture picture; /* what in.camera and in.seed were made for */
};

int mr_picture_check(const mr_picture *p, mr_error *err)
{
    if (p->width < 1 || p->width > MR_MAX_SIDE || p->height < 1 || p->height > MR_MAX_SIDE)
        return mr_fail(err, MR_BAD_INPUT, "picture size %ux%u: expected 1 to %d pixels a side", p->width, p->height, MR_MAX_SIDE);
    if (p->spp < 1 || p->spp > MR_MAX_SPP)
        return mr_fail(err, MR_BAD_INPUT, "%u samples a pixel: expected 1 to %d", p->spp, MR_MAX_SPP);
    return MR_OK;
}

int mr_tile_check(const mr_picture *p, const mr_tile *t, mr_error *err)
{
    int status = mr_picture_check(p, err);
    if (status) return status;
    if (t->width < 1 || t->width > MR_MAX_TILE || t->height < 1 || t->height > MR_MAX_TILE || t->x >= p->width ||
        t->width > p->width - t->x || t->y >= p->height || t->height > p->height - t->y)
        return mr_fail(err, MR_BAD_INPUT, "tile %u,%u %ux%u does not lie in the %ux%u picture or is larger than %d pixels a side",
                       t->x, t->y, t->width, t->height, p->width, p->height, MR_MAX_TILE);
    if (t->sample_count < 1 || t->first_sample >= p->spp || t->sample_count > p->spp - t->first_sample)
        return mr_fail(err, MR_BAD_INPUT, "tile samples %u + %u: the picture has %u", t->first_sample, t->sample_count, p->spp);
    return MR_OK;
}

mr_renderer *mr_renderer_new(const mr_pack *pack, const mr_kernel *kernel)
{
    mr_renderer *r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
    if (!r) return NULL;
    memset(r, 0, sizeof *r);
    r->in.kernel_scratch = aligned_alloc(64, (kernel->scratch_bytes + 63) / 64 * 64);
    r->in.material_class = malloc(pack->material_count);
    if (!r->in.kernel_scratch || !r->in.material_class) {
        mr_renderer_free(r);
        return NULL;
    }
    r->in.pack = pack;
    r->in.kernel = kernel;
    r->integrate = mr_integrator_pick(kernel);
    mr_texels_init(&r->in.texels, pack);
    mr_lights_init(&r->in.lights, pack);
    for (uint32_t i = 0; i < pack->material_count; i++) r->in.material_class[i] = mr_material_class(&pack->materials[i]);
    return r;
}

void mr_renderer_free(mr_renderer *r)
{
    if (!r) return;
    free(r->in.kernel_scratch);
    free(r->in.material_class);
    free(r);
}

/* Traces the wave that has been filled and adds what it returns to the tile's sums. */
static void flush(mr_renderer *r, const mr_tile *tile, uint32_t count, uint64_t *sums, mr_ray_counts *counts)
{
    if (!count) return;
    r->integrate(&r->in, count, counts);
    for (uint32_t i = 0; i < count; i++) {
        const mr_path_id *id = &r->in.ids[i];
        uint64_t *s = sums + 3 * ((size_t)(id->y - tile->y) * tile->width + (id->x - tile->x));
        for (int c = 0; c < 3; c++) s[c] += mr_film_fixed(r->in.radiance[i][c]);
    }
}

static uint32_t min_u(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* One block's pixels for one sample index: appended to the wave from n on; returns the new length. */
static uint32_t add_block(mr_path_id *ids, const mr_tile *tile, uint32_t bx, uint32_t by, uint32_t sample, uint32_t n)
{
    uint32_t x_end = min_u(bx + BLOCK, tile->x + tile->width), y_end = min_u(by + BLOCK, tile->y + tile->height);
    for (uint32_t y = by; y < y_end; y++)
        for (uint32_t x = bx; x < x_end; x++)
            ids[n++] = (mr_path_id){.x = x, .y = y, .sample = sample};
    return n;
}

static void use_picture(mr_renderer *r, const mr_picture *picture)
{
    if (memcmp(&r->picture, picture, sizeof *picture) == 0) return;
    mr_camera_init(&r->in.camera, r->in.pack->settings, picture);
    r->in.seed = picture->seed;
    r->picture = *picture;
}

int mr_render_tile(mr_renderer *r, const mr_picture *picture, const mr_tile *tile, uint64_t *sums, mr_ray_counts *counts,
                   const volatile int *stop)
{
    mr_ray_counts own = {0};
    uint32_t n = 0;
    use_picture(r, picture);
    memset(sums, 0, sizeof *sums * 3 * tile->width * tile->height);
    for (uint32_t by = tile->y; by < tile->y + tile->height; by += BLOCK)
        for (uint32_t bx = tile->x; bx < tile->x + tile->width; bx += BLOCK)
            for (uint32_t s = tile->first_sample; s < tile->first_sample + tile->sample_count; s++) {
                if (n + BLOCK * BLOCK > MR_WAVE) {
                    flush(r, tile, n, sums, &own);
                    n = 0;
                    if (stop && __atomic_load_n(stop, __ATOMIC_RELAXED)) return MR_INTERRUPTED;
                }
                n = add_block(r->in.ids, tile, bx, by, s, n);
            }
    flush(r, tile, n, sums, &own);
    if (counts) {
        counts->paths += own.paths;
        counts->rays += own.rays;
    }
    return MR_OK;
}
