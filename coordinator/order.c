/* Which unit comes next of those that were never given out.
 *
 * First the cheap pass, from the picture's middle outwards (co_plan.order). What it took tells the cost of each tile. Then the tiles, one range
 * of samples after the other: in each round the dearest first, so that no long one is left for last, and so that the picture refines evenly. A
 * tile lies in a bucket by its cost (four to an octave, so that no sorting is needed), and moves when more is known of it; tiles
 * of unknown cost come last, as by then it will be known. Every operation is O(1). */
#include <stdlib.h>

#include "coordinator/ledger.h"

enum { UNKNOWN = 0 };

/* Four buckets for each doubling. cost: rays a path in sixteenths. */
static uint8_t bucket_of(uint32_t cost)
{
    if (cost < 4) return cost ? 1 : UNKNOWN;
    uint32_t exponent = 31 - (uint32_t)__builtin_clz(cost), place = exponent * 4 + (cost >> (exponent - 2) & 3);
    place = place < 8 ? 1 : place - 7;
    return (uint8_t)(place < BUCKETS ? place : BUCKETS - 1);
}

/* The time that is left follows from what the tiles ahead are known to cost: they come dearest first, so that those that come in say little of those to come. */
static void count_known(co_scheduler *s, job *j, const tile_turn *t, double sign)
{
    double paths = t->cost == UNKNOWN ? 0 : sign * (j->plan.ranges - t->given) * j->range_paths, rays = paths * t->cost / 16;
    j->known_paths += paths;
    j->known_rays += rays;
    if (ended(j)) return;
    s->known_paths += paths;
    s->known_rays += rays;
}

static void put(job *j, uint32_t tile)
{
    tile_turn *t = &j->tiles[tile];
    round *r = &j->rounds[t->round];
    t->bucket = bucket_of(t->cost);
    LIST_APPEND(&r->bucket[t->bucket], tile, IN_BUCKET);
    r->occupied |= UINT64_C(1) << t->bucket;
}

static void take(job *j, uint32_t tile)
{
    const tile_turn *t = &j->tiles[tile];
    round *r = &j->rounds[t->round];
    LIST_REMOVE(&r->bucket[t->bucket], tile, IN_BUCKET);
    if (r->bucket[t->bucket].head == NONE) r->occupied &= ~(UINT64_C(1) << t->bucket);
}

int co_order_open(job *j)
{
    for (unsigned r = 0; r < 2; r++)
        for (unsigned b = 0; b < BUCKETS; b++) j->rounds[r].bucket[b] = EMPTY_LIST;
    if (!j->plan.ranges) return 0;
    uint32_t tiles = co_plan_tiles(&j->plan);
    const mr_picture *p = &j->plan.picture;
    j->range_paths = (double)p->width * p->height / tiles * (p->spp - j->plan.first_spp) / j->plan.ranges;
    j->tiles = calloc(tiles, sizeof *j->tiles);
    if (!j->tiles) return -1;
    for (uint32_t i = 0; i < tiles; i++) put(j, i);
    return 0;
}

static uint32_t tile_at(const job *j)
{
    const round *r = &j->rounds[j->turn];
    return r->occupied ? r->bucket[63 - __builtin_clzll(r->occupied)].head : NONE;
}

static uint32_t next_unit(job *j)
{
    if (j->first_given < j->plan.firsts) return j->plan.order[j->first_given];
    if (!j->tiles) return NONE;
    uint32_t tile = tile_at(j);
    if (tile == NONE) {
        j->turn ^= 1;
        tile = tile_at(j);
    }
    return tile == NONE ? NONE : j->plan.firsts + j->tiles[tile].given * co_plan_tiles(&j->plan) + tile;
}

void co_order_pop(co_scheduler *s, job *j)
{
    j->units[next_unit(j)].given = 1;
    if (j->first_given < j->plan.firsts) {
        j->first_given++;
        return;
    }
    uint32_t tile = tile_at(j);
    tile_turn *t = &j->tiles[tile];
    take(j, tile);
    count_known(s, j, t, -1);
    t->given++;
    count_known(s, j, t, 1);
    t->round ^= 1;
    if (t->given < j->plan.ranges) put(j, tile);
}

uint32_t co_order_top(co_scheduler *s, job *j)
{
    uint32_t ui = next_unit(j);
    while (ui != NONE && co_ledger_is_done(j, ui)) {
        co_order_pop(s, j);
        ui = next_unit(j);
    }
    return ui;
}

uint64_t co_order_rays(const co_scheduler *s, const job *j, uint32_t ui, uint64_t paths)
{
    uint32_t cost = ui >= j->plan.firsts ? j->tiles[co_plan_tile_of(&j->plan, ui)].cost : j->units[ui].cost;
    if (cost) return paths * cost / 16 + 1;
    return s->sum_paths ? (uint64_t)((double)paths * (double)s->sum_rays / (double)s->sum_paths) + 1 : paths * 2;
}

/* Of a tile whose region alone is known, the region may owe all its rays to this one; of what nobody has seen anything, nothing is sure. */
uint32_t co_order_doubt(const job *j, uint32_t ui)
{
    if (ui < j->plan.firsts) return j->units[ui].cost ? 1 : CO_DOUBT;
    const tile_turn *t = &j->tiles[co_plan_tile_of(&j->plan, ui)];
    return t->seen ? 1 : t->cost ? j->plan.fold * j->plan.fold : CO_DOUBT;
}

static void set_cost(co_scheduler *s, job *j, uint32_t tile, uint32_t cost)
{
    tile_turn *t = &j->tiles[tile];
    int waits = t->given < j->plan.ranges;
    if (waits) take(j, tile);
    count_known(s, j, t, -1);
    t->cost = cost;
    count_known(s, j, t, 1);
    if (waits) put(j, tile);
}

void co_order_learn(co_scheduler *s, job *j, uint32_t ui, uint64_t paths, uint64_t rays)
{
    uint64_t sixteenths = paths ? rays * 16 / paths : 0;
    uint32_t cost = sixteenths < 1 ? 1 : sixteenths > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)sixteenths;
    if (ui >= j->plan.firsts) {
        set_cost(s, j, co_plan_tile_of(&j->plan, ui), cost);
        j->tiles[co_plan_tile_of(&j->plan, ui)].seen = 1;
        return;
    }
    j->units[ui].cost = cost;
    if (!j->tiles) return;
    uint32_t column, row, columns, rows;
    co_plan_region(&j->plan, ui, &column, &row, &columns, &rows);
    for (uint32_t y = row; y < row + rows; y++)
        for (uint32_t x = column; x < column + columns; x++)
            if (!j->tiles[y * j->plan.columns + x].seen) set_cost(s, j, y * j->plan.columns + x, cost);
}
