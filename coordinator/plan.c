/* The plan: see coordinator/plan.h.
 *
 * A unit should be large beside what it costs to send (a message, a result, a wake-up: some tens of microseconds) and small
 * beside the whole, so that all workers end at about the same time and a lost one takes little with it. A unit of all samples of a
 * small tile sends the fewest bytes; samples are split only where a tile of CO_TILE_LEAST would still be too much work. */
#include "coordinator/plan.h"

#include <math.h>
#include <stdlib.h>

#include "coordinator/limits.h"

static uint32_t ceil_div(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most) { return value < least ? least : value > most ? most : value; }

/* Paths a unit should have. */
static uint64_t unit_paths(const mr_picture *p)
{
    uint64_t paths = (uint64_t)p->width * p->height * p->spp;
    uint64_t wanted = clamp(paths / CO_UNITS_LEAST, CO_UNIT_PATHS_LEAST, CO_UNIT_PATHS);
    uint64_t least = paths / (CO_UNITS_MOST / 4); /* rounding may double each of the three counts at worst */
    return wanted > least ? wanted : least;
}

/* Integer square root: floor. */
static uint32_t root(uint64_t value)
{
    uint64_t r = (uint64_t)sqrt((double)value);
    while (r * r > value) r--;
    while ((r + 1) * (r + 1) <= value) r++;
    return (uint32_t)r;
}

/* Divides the samples so that a tile of that side has so many paths. */
static uint32_t sample_ranges(const mr_picture *p, uint32_t side, uint64_t paths)
{
    uint64_t pixels = (uint64_t)(side < p->width ? side : p->width) * (side < p->height ? side : p->height);
    return ceil_div(p->spp, (uint32_t)clamp(paths / pixels, 1, p->spp));
}

static void cut(co_plan *plan, uint32_t side)
{
    plan->columns = ceil_div(plan->picture.width, side);
    plan->rows = ceil_div(plan->picture.height, side);
    plan->ranges = sample_ranges(&plan->picture, side, unit_paths(&plan->picture));
}

static uint32_t chosen_side(const mr_picture *p) { return (uint32_t)clamp(root(unit_paths(p) / p->spp), CO_TILE_LEAST, CO_TILE_MOST); }

static mr_tile place(const co_plan *plan, uint32_t column, uint32_t row)
{
    const mr_picture *p = &plan->picture;
    if (plan->side) {
        uint32_t x = column * plan->side, y = row * plan->side;
        uint32_t w = p->width - x < plan->side ? p->width - x : plan->side, h = p->height - y < plan->side ? p->height - y : plan->side;
        return (mr_tile){ .x = x, .y = y, .width = w, .height = h };
    }
    uint32_t x = (uint32_t)((uint64_t)column * p->width / plan->columns), x_end = (uint32_t)((column + 1ull) * p->width / plan->columns);
    uint32_t y = (uint32_t)((uint64_t)row * p->height / plan->rows), y_end = (uint32_t)((row + 1ull) * p->height / plan->rows);
    return (mr_tile){ .x = x, .y = y, .width = x_end - x, .height = y_end - y };
}

typedef struct ranked {
    uint64_t distance2; /* of the tile's middle from the picture's, in half pixels */
    uint32_t tile;
} ranked;

static int nearer(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->distance2 != y->distance2) return x->distance2 < y->distance2 ? -1 : 1;
    return x->tile < y->tile ? -1 : x->tile > y->tile;
}

static ranked rank(const co_plan *plan, uint32_t index)
{
    mr_tile t = place(plan, index % plan->columns, index / plan->columns);
    int64_t dx = 2 * (int64_t)t.x + t.width - plan->picture.width, dy = 2 * (int64_t)t.y + t.height - plan->picture.height;
    return (ranked){ .distance2 = (uint64_t)(dx * dx + dy * dy), .tile = index };
}

static int sort_tiles(co_plan *plan, mr_error *err)
{
    uint32_t tiles = plan->columns * plan->rows;
    ranked *ranks = malloc(tiles * sizeof *ranks);
    plan->order = malloc(tiles * sizeof *plan->order);
    if (!ranks || !plan->order) {
        free(ranks);
        co_plan_free(plan);
        return mr_fail(err, MR_FAILED, "no memory for %u tiles", tiles);
    }
    for (uint32_t i = 0; i < tiles; i++) ranks[i] = rank(plan, i);
    qsort(ranks, tiles, sizeof *ranks, nearer);
    for (uint32_t i = 0; i < tiles; i++) plan->order[i] = ranks[i].tile;
    free(ranks);
    return MR_OK;
}

int co_plan_make(co_plan *out, const mr_picture *picture, uint32_t tile, mr_error *err)
{
    int status = mr_picture_check(picture, err);
    if (status) return status;
    if (tile > MR_MAX_TILE) return mr_fail(err, MR_BAD_INPUT, "tile of %u pixels: expected at most %d", tile, (int)MR_MAX_TILE);
    co_plan plan = { .picture = *picture, .side = tile };
    cut(&plan, tile ? tile : chosen_side(picture));
    uint64_t units = (uint64_t)plan.columns * plan.rows * plan.ranges;
    if (units > CO_UNITS_MOST) {
        return mr_fail(err, MR_BAD_INPUT, "tiles of %u pixels cut %u x %u pixels, %u samples into %llu pieces: expected at most %d", tile,
                       picture->width, picture->height, picture->spp, (unsigned long long)units, (int)CO_UNITS_MOST);
    }
    status = sort_tiles(&plan, err);
    if (!status) *out = plan;
    return status;
}

void co_plan_free(co_plan *plan)
{
    free(plan->order);
    plan->order = NULL;
}

uint32_t co_plan_units(const co_plan *plan) { return plan->columns * plan->rows * plan->ranges; }

mr_tile co_plan_unit(const co_plan *plan, uint32_t unit)
{
    uint32_t tiles = plan->columns * plan->rows, range = unit / tiles, index = plan->order[unit % tiles];
    mr_tile tile = place(plan, index % plan->columns, index / plan->columns);
    uint64_t spp = plan->picture.spp;
    tile.first_sample = (uint32_t)(range * spp / plan->ranges);
    tile.sample_count = (uint32_t)((range + 1ull) * spp / plan->ranges) - tile.first_sample;
    return tile;
}
