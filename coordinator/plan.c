/* The plan: see coordinator/plan.h.
 *
 * A unit should be large beside what it costs to send (a message, a result, a wake-up: some tens of microseconds) and small
 * beside the whole, so that all workers end at about the same time and a lost one takes little with it. A unit of all samples of a
 * small tile sends the fewest bytes; samples are split only where a tile of CO_TILE_LEAST would still be too much work. The first pass is
 * cut into larger regions, so that its few samples fill a unit too. */
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

/* Ranges of samples so that a tile of that side has so many paths in each. */
static uint32_t sample_ranges(const mr_picture *p, uint32_t side, uint32_t samples, uint64_t paths)
{
    uint64_t pixels = (uint64_t)(side < p->width ? side : p->width) * (side < p->height ? side : p->height);
    return ceil_div(samples, (uint32_t)clamp(paths / pixels, 1, samples));
}

/* Tiles of a side that was asked for: the first of several ranges is the first pass. */
static void cut_as_asked(co_plan *plan, uint64_t paths)
{
    uint32_t spp = plan->picture.spp, ranges = sample_ranges(&plan->picture, plan->side, spp, paths);
    plan->fold = 1;
    plan->first_spp = spp / ranges;
    plan->ranges = ranges - 1;
}

/* Regions of about `paths` paths at a sixteenth of the samples; then the tiles. */
static void cut_freely(co_plan *plan, uint32_t side, uint64_t paths)
{
    uint32_t spp = plan->picture.spp;
    plan->first_spp = (uint32_t)clamp(spp / CO_FIRST_PASS, 1, spp);
    plan->fold = spp == 1 ? 1 : (uint32_t)clamp(root(paths / plan->first_spp) / side, 1, side < CO_TILE_MOST ? CO_TILE_MOST / side : 1);
    plan->ranges = spp == 1 ? 0 : sample_ranges(&plan->picture, side, spp - plan->first_spp, paths);
}

static void cut(co_plan *plan)
{
    const mr_picture *p = &plan->picture;
    uint64_t paths = unit_paths(p);
    uint32_t side = plan->side ? plan->side : (uint32_t)clamp(root(paths / p->spp), CO_TILE_LEAST, CO_TILE_MOST);
    plan->columns = ceil_div(p->width, side);
    plan->rows = ceil_div(p->height, side);
    if (plan->side) cut_as_asked(plan, paths);
    else cut_freely(plan, side, paths);
    plan->firsts = ceil_div(plan->columns, plan->fold) * ceil_div(plan->rows, plan->fold);
}

/* Where column (or row) begins, of `count` on `length` pixels. */
static uint32_t edge(const co_plan *plan, uint32_t column, uint32_t count, uint32_t length)
{
    if (!plan->side) return (uint32_t)((uint64_t)column * length / count);
    return (uint64_t)column * plan->side < length ? column * plan->side : length;
}

uint32_t co_plan_column(const co_plan *plan, uint32_t column) { return edge(plan, column, plan->columns, plan->picture.width); }

/* The pixels of a block of tiles. */
static mr_tile place(const co_plan *plan, uint32_t column, uint32_t row, uint32_t columns, uint32_t rows)
{
    uint32_t w = plan->picture.width, h = plan->picture.height;
    uint32_t x = edge(plan, column, plan->columns, w), y = edge(plan, row, plan->rows, h);
    return (mr_tile){ .x = x, .y = y, .width = edge(plan, column + columns, plan->columns, w) - x,
                      .height = edge(plan, row + rows, plan->rows, h) - y };
}

void co_plan_region(const co_plan *plan, uint32_t unit, uint32_t *column, uint32_t *row, uint32_t *columns, uint32_t *rows)
{
    uint32_t across = ceil_div(plan->columns, plan->fold);
    *column = unit % across * plan->fold;
    *row = unit / across * plan->fold;
    *columns = plan->columns - *column < plan->fold ? plan->columns - *column : plan->fold;
    *rows = plan->rows - *row < plan->fold ? plan->rows - *row : plan->fold;
}

typedef struct ranked {
    uint64_t distance2; /* of the region's middle from the picture's, in half pixels */
    uint32_t region;
} ranked;

static int nearer(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->distance2 != y->distance2) return x->distance2 < y->distance2 ? -1 : 1;
    return x->region < y->region ? -1 : x->region > y->region;
}

static ranked rank(const co_plan *plan, uint32_t region)
{
    mr_tile t = co_plan_unit(plan, region);
    int64_t dx = 2 * (int64_t)t.x + t.width - plan->picture.width, dy = 2 * (int64_t)t.y + t.height - plan->picture.height;
    return (ranked){ .distance2 = (uint64_t)(dx * dx + dy * dy), .region = region };
}

static int sort_regions(co_plan *plan, mr_error *err)
{
    ranked *ranks = malloc(plan->firsts * sizeof *ranks);
    plan->order = malloc(plan->firsts * sizeof *plan->order);
    if (!ranks || !plan->order) {
        free(ranks);
        co_plan_free(plan);
        return mr_fail(err, MR_FAILED, "no memory for %u tiles", plan->firsts);
    }
    for (uint32_t i = 0; i < plan->firsts; i++) ranks[i] = rank(plan, i);
    qsort(ranks, plan->firsts, sizeof *ranks, nearer);
    for (uint32_t i = 0; i < plan->firsts; i++) plan->order[i] = ranks[i].region;
    free(ranks);
    return MR_OK;
}

int co_plan_make(co_plan *out, const mr_picture *picture, uint32_t tile, mr_error *err)
{
    int status = mr_picture_check(picture, err);
    if (status) return status;
    if (tile > MR_MAX_TILE) return mr_fail(err, MR_BAD_INPUT, "tile of %u pixels: expected at most %d", tile, (int)MR_MAX_TILE);
    co_plan plan = { .picture = *picture, .side = tile };
    cut(&plan);
    uint64_t units = plan.firsts + (uint64_t)plan.columns * plan.rows * plan.ranges;
    if (units > CO_UNITS_MOST) {
        return mr_fail(err, MR_BAD_INPUT, "tiles of %u pixels cut %u x %u pixels, %u samples into %llu pieces: expected at most %d", tile,
                       picture->width, picture->height, picture->spp, (unsigned long long)units, (int)CO_UNITS_MOST);
    }
    status = sort_regions(&plan, err);
    if (!status) *out = plan;
    return status;
}

void co_plan_free(co_plan *plan)
{
    free(plan->order);
    plan->order = NULL;
}

uint32_t co_plan_tiles(const co_plan *plan) { return plan->columns * plan->rows; }
uint32_t co_plan_units(const co_plan *plan) { return plan->firsts + plan->columns * plan->rows * plan->ranges; }
uint32_t co_plan_tile_of(const co_plan *plan, uint32_t unit) { return (unit - plan->firsts) % co_plan_tiles(plan); }

static mr_tile first_unit(const co_plan *plan, uint32_t unit)
{
    uint32_t column, row, columns, rows;
    co_plan_region(plan, unit, &column, &row, &columns, &rows);
    mr_tile tile = place(plan, column, row, columns, rows);
    tile.sample_count = plan->first_spp;
    return tile;
}

mr_tile co_plan_unit(const co_plan *plan, uint32_t unit)
{
    if (unit < plan->firsts) return first_unit(plan, unit);
    uint32_t index = co_plan_tile_of(plan, unit), range = (unit - plan->firsts) / co_plan_tiles(plan);
    mr_tile tile = place(plan, index % plan->columns, index / plan->columns, 1, 1);
    uint64_t samples = plan->picture.spp - plan->first_spp;
    uint32_t begin = (uint32_t)(range * samples / plan->ranges), end = (uint32_t)((range + 1ull) * samples / plan->ranges);
    tile.first_sample = plan->first_spp + begin;
    tile.sample_count = end - begin;
    return tile;
}

/* ---- bands ---- */

uint32_t co_bands(uint32_t height) { return height < CO_BANDS_MOST ? height : CO_BANDS_MOST; }
uint16_t co_bands_all(uint32_t height) { return (uint16_t)((1u << co_bands(height)) - 1); }
uint32_t co_band_row(uint32_t height, uint32_t band) { return (uint32_t)((uint64_t)height * band / co_bands(height)); }

uint16_t co_bands_of_rows(uint32_t height, uint32_t row, uint32_t rows)
{
    if (row >= height || !rows || rows > height - row) return 0;
    uint32_t first = 0, end;
    while (co_band_row(height, first) < row) first++;
    for (end = first + 1; co_band_row(height, end) < row + rows;) end++;
    if (co_band_row(height, first) != row || co_band_row(height, end) != row + rows) return 0;
    return (uint16_t)((1u << end) - (1u << first));
}

uint32_t co_bands_rows(uint32_t height, uint16_t bands)
{
    uint32_t rows = 0;
    if (height <= CO_BANDS_MOST) return (uint32_t)__builtin_popcount(bands); /* each is a row */
    if (height % CO_BANDS_MOST == 0) return (uint32_t)__builtin_popcount(bands) * (height / CO_BANDS_MOST);
    if (bands == co_bands_all(height)) return height;
    while (bands) {
        uint32_t row, more;
        uint16_t run = co_bands_run(bands);
        co_bands_span(height, run, &row, &more);
        rows += more;
        bands = (uint16_t)(bands & ~run);
    }
    return rows;
}

uint16_t co_bands_run(uint16_t bands)
{
    uint32_t lowest = bands & (0u - bands), after = bands + lowest; /* the carry runs through the lowest run of ones */
    return (uint16_t)(bands & ~after);
}

void co_bands_span(uint32_t height, uint16_t run, uint32_t *row, uint32_t *rows)
{
    uint32_t first = (uint32_t)__builtin_ctz(run);
    *row = co_band_row(height, first);
    *rows = co_band_row(height, first + (uint32_t)__builtin_popcount(run)) - *row;
}
