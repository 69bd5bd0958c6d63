/* See cli/replay.h. */
#include "cli/replay.h"

#include <stdio.h>

#include "cli/signals.h"
#include "tracer/film.h"

static int read_tile(const arg_list *list, const mr_picture *picture, mr_tile *tile, mr_error *err)
{
    const uint32_t *v = list->value;
    if (list->count != 6) return mr_fail(err, MR_USAGE, "--only-tile: found %u numbers, expected 6: X,Y,W,H,FIRST,COUNT", list->count);
    *tile = (mr_tile){.x = v[0], .y = v[1], .width = v[2], .height = v[3], .first_sample = v[4], .sample_count = v[5]};
    int status = mr_picture_check(picture, err);
    return status == MR_OK ? mr_tile_check(picture, tile, err) : status;
}

/* The tile as a film of its own. */
static int trace(const mr_pack *pack, const mr_picture *picture, const mr_tile *tile, const mr_kernel *kernel, mr_film *film, mr_error *err)
{
    const mr_picture size = {.width = tile->width, .height = tile->height, .spp = tile->sample_count};
    mr_ray_counts counts = {0, 0};
    uint8_t hash[MR_HASH_BYTES];
    char hex[2 * MR_HASH_BYTES + 1];
    mr_renderer *renderer = mr_renderer_new(pack, kernel);
    int status = renderer ? mr_film_init(film, &size, err) : mr_fail(err, MR_FAILED, "no memory to trace with");
    double begun = cli_now();
    if (status == MR_OK && mr_render_tile(renderer, picture, tile, film->sums, &counts, &signals_stop) != MR_OK) {
        mr_film_free(film);
        status = mr_fail(err, MR_INTERRUPTED, "interrupted");
    }
    mr_renderer_free(renderer);
    if (status != MR_OK) return status;
    mr_film_hash(film, hash);
    mr_hash_hex(hash, hex);
    printf("tile %u,%u %ux%u samples %u..%u: %llu paths, %llu rays, %.3f s, %s\n", tile->x, tile->y, tile->width, tile->height, tile->first_sample,
           tile->first_sample + tile->sample_count - 1, (unsigned long long)counts.paths, (unsigned long long)counts.rays, cli_now() - begun, hex);
    return MR_OK;
}

int replay_tile(const char *scene, const cli_picture *asked, const arg_list *list, const mr_kernel *kernel, const char *output, mr_error *err)
{
    mr_pack pack = {.base = NULL};
    mr_film film;
    mr_tile tile;
    int status = cli_load_scene(&pack, scene, err);
    if (status != MR_OK) return status;
    const mr_picture picture = cli_resolve_picture(asked, &pack);
    status = read_tile(list, &picture, &tile, err);
    if (status == MR_OK) status = trace(&pack, &picture, &tile, kernel, &film, err);
    if (status == MR_OK) {
        if (output) status = mr_film_save(&film, pack.settings, output, err);
        mr_film_free(&film);
    }
    mr_pack_close(&pack);
    return status;
}
