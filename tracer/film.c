#include "tracer/film.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int mr_film_init(mr_film *film, const mr_picture *picture, mr_error *err)
{
    int status = mr_picture_check(picture, err);
    if (status) return status;
    uint64_t *sums = calloc((size_t)picture->width * picture->height, 3 * sizeof *sums);
    if (!sums) return mr_fail(err, MR_FAILED, "no memory for a film of %ux%u pixels", picture->width, picture->height);
    *film = (mr_film){.width = picture->width, .height = picture->height, .spp = picture->spp, .sums = sums};
    return MR_OK;
}

void mr_film_free(mr_film *film)
{
    free(film->sums);
    *film = (mr_film){0};
}

/* A picture's rows lie far apart: what is to come is fetched while the row before it is added. */
static void prefetch(const uint64_t *sums, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 8) __builtin_prefetch(sums + i, 1);
}

void mr_film_add(mr_film *film, const mr_tile *tile, const uint64_t *sums)
{
    for (uint32_t y = 0; y < tile->height; y++) {
        uint64_t *row = film->sums + 3 * ((size_t)(tile->y + y) * film->width + tile->x);
        const uint64_t *from = sums + 3 * (size_t)y * tile->width;
        if (y + 1 < tile->height) prefetch(row + 3 * (size_t)film->width, 3 * tile->width);
        for (uint32_t i = 0; i < 3 * tile->width; i++) row[i] += from[i];
    }
}

void mr_film_linear(const mr_film *film, uint32_t samples, float *rgb)
{
    size_t values = (size_t)film->width * film->height * 3;
    double scale = 1.0 / ((double)samples * (double)MR_FILM_ONE);
    for (size_t i = 0; i < values; i++) rgb[i] = (float)((double)film->sums[i] * scale);
}

void mr_film_hash(const mr_film *film, uint8_t hash[MR_HASH_BYTES])
{
    crypto_generichash_state state;
    uint32_t head[3] = {film->width, film->height, film->spp};
    crypto_generichash_init(&state, NULL, 0, MR_HASH_BYTES);
    crypto_generichash_update(&state, (const unsigned char *)head, sizeof head);
    crypto_generichash_update(&state, (const unsigned char *)film->sums,
                              (size_t)film->width * film->height * 3 * sizeof *film->sums);
    crypto_generichash_final(&state, hash, MR_HASH_BYTES);
}
