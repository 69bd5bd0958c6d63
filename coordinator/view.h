/* A job's picture as other threads may look at it while it fills: the film's sums, how many samples each pixel has so far, and where it has changed.
 *
 * The server's thread adds; anyone copies. Both hold the view's lock, the reader for some thousand pixels at a time, so that a tile never waits longer than
 * that. A view is counted: it lives until the last of its holders has let it go. */
#ifndef CO_VIEW_H
#define CO_VIEW_H

#include <stdint.h>

#include "coordinator/plan.h"
#include "tracer/film.h"

typedef struct co_view co_view;

enum { CO_VIEW_CELLS = 64 }; /* a picture is divided into no more cells a side, to tell where it has changed */

typedef struct co_view_changes {
    uint32_t cell;                  /* pixels a side */
    uint64_t rows[CO_VIEW_CELLS];   /* bit c of row r: that cell has changed */
} co_view_changes;

/* Takes the film's sums over: *film keeps pointing to them, and they are freed with the view. plan: how the job is cut. NULL without memory (the film
 * is untouched then). */
co_view *co_view_new(mr_film *film, const mr_settings *settings, const co_plan *plan);
co_view *co_view_hold(co_view *view);    /* one more holder; NULL is fine */
void co_view_release(co_view *view);     /* one less; NULL is fine */

const mr_film *co_view_film(const co_view *view);         /* its size; the sums are for the server's thread, or for anyone once the job has ended */
const mr_settings *co_view_settings(const co_view *view); /* of its scene: exposure, tone curve */
uint64_t co_view_bytes(const co_view *view);

/* Adds sums of tile->width x tile->height pixels, of so many samples each; a negative number takes back what was added (sums are negated then). The tile
 * lies on the plan's columns. Of the server's thread. */
void co_view_add(co_view *view, const mr_tile *tile, const uint64_t *sums, int32_t samples);

/* Mean linear radiance so far of a rectangle that lies in the picture, each block of step x step pixels as one (those at the right and lower edge may be
 * smaller). rgb: 3 floats a block, rows from the top; sampled: 1 a block, 0 where nothing is known yet; NULL: not asked for. */
void co_view_linear(co_view *view, uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint32_t step, float *rgb, uint8_t *sampled);

/* What has changed since this was last asked; there is one who asks. */
void co_view_take_changes(co_view *view, co_view_changes *out);

#endif
