/* See coordinator/view.h. Samples are counted for each row and each column of tiles of the plan: units differ in their rows, but their sides lie on its columns. */
#include "coordinator/view.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/limits.h"

struct co_view {
    pthread_mutex_t lock;
    int holders;         /* accessed with __atomic */
    mr_film film;
    mr_settings settings;
    uint32_t columns;
    uint32_t *edges;     /* columns + 1: where each begins */
    uint32_t *samples;   /* height x columns */
    co_view_changes changes;
};

static uint32_t cell_size(const mr_film *film)
{
    uint32_t side = film->width > film->height ? film->width : film->height, cell = (side + CO_VIEW_CELLS - 1) / CO_VIEW_CELLS;
    return cell < CO_VIEW_CELL_LEAST ? CO_VIEW_CELL_LEAST : cell;
}

static void free_view(co_view *v)
{
    free(v->edges);
    free(v->samples);
    free(v);
}

co_view *co_view_new(mr_film *film, const mr_settings *settings, const co_plan *plan)
{
    co_view *v = calloc(1, sizeof *v);
    if (!v) return NULL;
    v->columns = plan->columns;
    v->edges = malloc(((size_t)plan->columns + 1) * sizeof *v->edges);
    v->samples = calloc((size_t)film->height * plan->columns, sizeof *v->samples);
    if (!v->edges || !v->samples || pthread_mutex_init(&v->lock, NULL)) {
        free_view(v);
        return NULL;
    }
    for (uint32_t c = 0; c <= plan->columns; c++) v->edges[c] = co_plan_column(plan, c);
    v->film = *film;
    v->settings = *settings;
    v->changes.cell = cell_size(film);
    v->holders = 1;
    return v;
}

co_view *co_view_hold(co_view *v)
{
    if (v) (void)__atomic_add_fetch(&v->holders, 1, __ATOMIC_RELAXED);
    return v;
}

void co_view_release(co_view *v)
{
    if (!v || __atomic_sub_fetch(&v->holders, 1, __ATOMIC_ACQ_REL)) return;
    (void)pthread_mutex_destroy(&v->lock);
    mr_film_free(&v->film);
    free_view(v);
}

const mr_film *co_view_film(const co_view *v) { return &v->film; }
const mr_settings *co_view_settings(const co_view *v) { return &v->settings; }

uint64_t co_view_bytes(const co_view *v)
{
    return (uint64_t)v->film.width * v->film.height * 3 * sizeof *v->film.sums + (uint64_t)v->film.height * v->columns * sizeof *v->samples;
}

/* The last column that begins at or before x. */
static uint32_t column_at(const co_view *v, uint32_t x)
{
    uint32_t low = 0, high = v->columns - 1;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if (v->edges[middle] <= x) low = middle;
        else high = middle - 1;
    }
    return low;
}

static void count_samples(co_view *v, const mr_tile *tile, int32_t samples)
{
    uint32_t first = column_at(v, tile->x), last = column_at(v, tile->x + tile->width - 1);
    for (uint32_t y = tile->y; y < tile->y + tile->height; y++)
        for (uint32_t c = first; c <= last; c++) v->samples[(size_t)y * v->columns + c] += (uint32_t)samples;
}

static void mark(co_view *v, const mr_tile *tile)
{
    uint32_t cell = v->changes.cell, left = tile->x / cell, right = (tile->x + tile->width - 1) / cell;
    uint64_t mask = (UINT64_MAX >> (CO_VIEW_CELLS - 1 - (right - left))) << left;
    for (uint32_t row = tile->y / cell; row <= (tile->y + tile->height - 1) / cell; row++) v->changes.rows[row] |= mask;
}

void co_view_add(co_view *v, const mr_tile *tile, const uint64_t *sums, int32_t samples)
{
    (void)pthread_mutex_lock(&v->lock);
    mr_film_add(&v->film, tile, sums);
    count_samples(v, tile, samples);
    mark(v, tile);
    (void)pthread_mutex_unlock(&v->lock);
}

void co_view_take_changes(co_view *v, co_view_changes *out)
{
    (void)pthread_mutex_lock(&v->lock);
    *out = v->changes;
    memset(v->changes.rows, 0, sizeof v->changes.rows);
    (void)pthread_mutex_unlock(&v->lock);
}

/* ---- reading ---- */

/* A row of single pixels, column by column. The same arithmetic as mr_film_linear (sums are below 2^63, where a signed conversion gives the same and is one
 * instruction): a complete picture is the same to the bit. */
static void read_row(const co_view *v, uint32_t x, uint32_t y, uint32_t width, float *rgb, uint8_t *sampled)
{
    const uint64_t *sums = v->film.sums + 3 * ((size_t)y * v->film.width + x);
    uint32_t c = column_at(v, x);
    for (uint32_t i = 0; i < width; c++) {
        uint32_t samples = v->samples[(size_t)y * v->columns + c], until = v->edges[c + 1] - x < width ? v->edges[c + 1] - x : width;
        double scale = samples ? 1.0 / ((double)samples * (double)MR_FILM_ONE) : 0;
        if (sampled) memset(sampled + i, samples > 0, until - i);
        for (uint32_t k = 3 * i; k < 3 * until; k++) rgb[k] = (float)((double)(int64_t)sums[k] * scale);
        i = until;
    }
}

typedef struct block {
    double sum[3], samples;
} block;

static void add_row(const co_view *v, uint32_t x, uint32_t y, uint32_t width, uint32_t step, block *blocks)
{
    const uint64_t *sums = v->film.sums + 3 * ((size_t)y * v->film.width + x);
    uint32_t c = column_at(v, x), samples = 0;
    for (uint32_t i = 0, until = 0; i < width; i++) {
        if (i == until) {
            samples = v->samples[(size_t)y * v->columns + c++];
            until = v->edges[c] - x;
        }
        block *b = &blocks[i / step];
        for (unsigned k = 0; k < 3; k++) b->sum[k] += (double)(int64_t)sums[3 * i + k];
        b->samples += samples;
    }
}

static void write_blocks(const block *blocks, uint32_t count, float *rgb, uint8_t *sampled)
{
    for (uint32_t i = 0; i < count; i++) {
        double scale = blocks[i].samples > 0 ? 1.0 / (blocks[i].samples * (double)MR_FILM_ONE) : 0;
        for (unsigned k = 0; k < 3; k++) rgb[3 * i + k] = (float)(blocks[i].sum[k] * scale);
        if (sampled) sampled[i] = blocks[i].samples > 0;
    }
}

/* Rows that may be read in one go. */
static uint32_t rows_at_once(uint32_t width) { return width < CO_VIEW_COPY_PIXELS ? CO_VIEW_COPY_PIXELS / width : 1; }

static void read_pixels(co_view *v, uint32_t x, uint32_t y, uint32_t width, uint32_t height, float *rgb, uint8_t *sampled)
{
    for (uint32_t row = 0, rows = rows_at_once(width); row < height; row += rows) {
        (void)pthread_mutex_lock(&v->lock);
        for (uint32_t i = row; i < height && i < row + rows; i++)
            read_row(v, x, y + i, width, rgb + (size_t)3 * width * i, sampled ? sampled + (size_t)width * i : NULL);
        (void)pthread_mutex_unlock(&v->lock);
    }
}

static void read_blocks(co_view *v, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t step, float *rgb, uint8_t *sampled)
{
    block blocks[CO_VIEW_BLOCKS];
    uint32_t across = (width + step - 1) / step, part = CO_VIEW_BLOCKS * step;
    for (uint32_t row = 0; row * step < height; row++)
        for (uint32_t left = 0; left < width; left += part) {
            uint32_t wide = width - left < part ? width - left : part, count = (wide + step - 1) / step, at = row * across + left / step;
            memset(blocks, 0, count * sizeof *blocks);
            for (uint32_t i = row * step; i < height && i < (row + 1) * step; i++) {
                (void)pthread_mutex_lock(&v->lock);
                add_row(v, x + left, y + i, wide, step, blocks);
                (void)pthread_mutex_unlock(&v->lock);
            }
            write_blocks(blocks, count, rgb + (size_t)3 * at, sampled ? sampled + at : NULL);
        }
}

void co_view_linear(co_view *v, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t step, float *rgb, uint8_t *sampled)
{
    if (step == 1) read_pixels(v, x, y, width, height, rgb, sampled);
    else read_blocks(v, x, y, width, height, step, rgb, sampled);
}
