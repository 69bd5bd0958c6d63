/* See environment.h.
 *
 * A texel's weight is the mean luminance of what the bilinear filter shows inside it: the mean of a linear interpolation over one texel weighs the
 * neighbours 1/8, 6/8, 1/8 along each axis. A cell's is the sum of its texels', so it is zero only where the radiance is zero all over the cell.
 *
 * Cells: halving the grid along an axis makes its tables smaller and quicker to search, and the samples worse. By how much is known: where p would be the
 * exact density, a sample by density q estimates the light of the whole map with the variance chi^2 = sum(p^2 / q) - 1, in units of the square of that light.
 * The grid is halved as long as chi^2 stays below MOST_LOSS. */
#include "tracer/scene/environment.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/vec.h"

static const double MOST_LOSS = 0.01;

static double luminance_at(const mr_image *image, uint32_t row, uint32_t column)
{
    const float *t = (const float *)image->texels + 4 * ((size_t)row * image->width + column);
    return mr_luminance3f(t);
}

static double row_luminance(const mr_image *image, uint32_t row, uint32_t column)
{
    uint32_t left = column ? column - 1 : image->width - 1, right = column + 1 < image->width ? column + 1 : 0;
    return (luminance_at(image, row, left) + 6 * luminance_at(image, row, column) + luminance_at(image, row, right)) / 8;
}

static double filtered_luminance(const mr_image *image, uint32_t row, uint32_t column)
{
    uint32_t above = row ? row - 1 : 0, below = row + 1 < image->height ? row + 1 : row;
    return (row_luminance(image, above, column) + 6 * row_luminance(image, row, column) + row_luminance(image, below, column)) / 8;
}

/* The running sums of weights as floats from 0 to 1; a total of 0 gives even steps. The end is exactly 1 and nothing exceeds it. */
static void write_cdf(const double *weights, uint32_t count, float *cdf)
{
    double total = 0, sum = 0;
    for (uint32_t i = 0; i < count; i++) total += weights[i];
    cdf[0] = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += total > 0 ? weights[i] / total : 1.0 / count;
        cdf[i + 1] = (float)fmin(sum, 1);
    }
    cdf[count] = 1;
}

/* ---- the grid of cells ---- */

/* What a cell's texels add up to: flux is luminance times solid angle, moment is flux^2 / solid angle. */
typedef struct cell {
    float flux, moment;
} cell;

typedef struct grid {
    uint32_t columns, rows;
    cell *cells; /* rows x columns */
} grid;

/* Solid angle of one cell of the row. */
static double solid_angle(const grid *g, uint32_t row)
{
    return 2 * MR_PI / g->columns * (cos(row * MR_PI / g->rows) - cos((row + 1) * MR_PI / g->rows));
}

/* One cell a texel, and the flux of all. */
static int texel_grid(const mr_image *image, grid *g, double *power, mr_error *err)
{
    *g = (grid){image->width, image->height, calloc((size_t)image->width * image->height + 1, sizeof(cell))};
    if (!g->cells) return mr_fail(err, MR_FAILED, "no memory for the environment's tables");
    *power = 0;
    for (uint32_t r = 0; r < g->rows; r++) {
        double angle = solid_angle(g, r);
        for (uint32_t c = 0; c < g->columns; c++) {
            double luminance = filtered_luminance(image, r, c);
            g->cells[(size_t)r * g->columns + c] = (cell){(float)(luminance * angle), (float)(luminance * luminance * angle)};
            *power += luminance * angle;
        }
    }
    return MR_OK;
}

/* chi^2: a cell's texels have the densities p = flux / (angle power), and q = cell's flux / (cell's angle power) for all of them. */
static double loss(const grid *g, double power)
{
    double sum = 0;
    for (uint32_t r = 0; r < g->rows; r++) {
        double angle = solid_angle(g, r);
        for (uint32_t c = 0; c < g->columns; c++) {
            const cell *at = &g->cells[(size_t)r * g->columns + c];
            if (at->flux > 0) sum += angle * (double)at->moment / (double)at->flux;
        }
    }
    return sum / power - 1;
}

/* g with x (0 or 1) halvings of its columns and y of its rows, in new memory; cells is NULL where that does not divide them, or without memory. */
static grid halved(const grid *g, uint32_t x, uint32_t y)
{
    grid half = {g->columns >> x, g->rows >> y, NULL};
    if (half.columns << x != g->columns || half.rows << y != g->rows) return half;
    half.cells = calloc((size_t)half.columns * half.rows + 1, sizeof *half.cells);
    for (uint32_t r = 0; r < g->rows && half.cells; r++)
        for (uint32_t c = 0; c < g->columns; c++) {
            cell *to = &half.cells[(size_t)(r >> y) * half.columns + (c >> x)];
            to->flux += g->cells[(size_t)r * g->columns + c].flux;
            to->moment += g->cells[(size_t)r * g->columns + c].moment;
        }
    return half;
}

/* Halves the grid while that loses little: by columns where that will do, otherwise by rows. */
static void coarsen(grid *g, double power)
{
    for (uint32_t axis = 0; axis < 2;) {
        grid next = halved(g, axis == 0, axis == 1);
        if (next.cells && loss(&next, power) < MOST_LOSS) {
            free(g->cells);
            *g = next;
        } else {
            free(next.cells);
            axis++;
        }
    }
}

/* A black image gets even density. */
static int write_tables(const grid *g, bool black, mr_environment_tables *out, mr_error *err)
{
    size_t edges = (size_t)g->rows + 1;
    double *weights = calloc(edges + g->columns, sizeof *weights), *rows = weights ? weights + g->columns : NULL;
    out->columns = g->columns;
    out->rows = g->rows;
    out->count = 2 * edges + (size_t)g->rows * ((size_t)g->columns + 1);
    out->table = calloc(out->count, sizeof *out->table);
    if (!weights || !out->table) {
        free(weights);
        return mr_fail(err, MR_FAILED, "no memory for the environment's tables");
    }
    for (uint32_t r = 0; r < g->rows; r++) {
        for (uint32_t c = 0; c < g->columns; c++) {
            weights[c] = (double)g->cells[(size_t)r * g->columns + c].flux;
            rows[r] += weights[c];
        }
        if (black) rows[r] = solid_angle(g, r);
        out->table[edges + r] = (float)cos(r * MR_PI / g->rows);
        write_cdf(weights, g->columns, out->table + 2 * edges + (size_t)r * ((size_t)g->columns + 1));
    }
    out->table[2 * edges - 1] = -1;
    write_cdf(rows, g->rows, out->table);
    free(weights);
    return MR_OK;
}

int mr_environment_tables_of(const mr_image *image, mr_environment_tables *out, mr_error *err)
{
    grid g;
    int status = texel_grid(image, &g, &out->power, err);
    if (status) return status;
    if (out->power > 0) coarsen(&g, out->power);
    status = write_tables(&g, !(out->power > 0), out, err);
    free(g.cells);
    return status;
}

/* Nearest binary16 of x in [0, 32768]; 0 below the least normal one. */
static uint16_t to_half(float x)
{
    uint32_t u;
    if (!(x >= 0x1p-14f)) return 0;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0xFFF + (u >> 13 & 1) - (112u << 23)) >> 13);
}

int mr_environment_to_half(mr_image *image, int *exponent, mr_error *err)
{
    const float *from = image->texels;
    float most = 0;
    for (size_t i = 0; i < (size_t)image->width * image->height * 4; i++)
        if (i % 4 != 3) most = fmaxf(most, from[i]);
    (void)frexpf(most, exponent);
    *exponent -= 15;
    mr_image out = {.width = image->width + 1, .height = image->height, .format = MR_TEXEL_HALF, .wrap = image->wrap};
    uint16_t *to = out.texels = calloc(mr_image_bytes(&out), 1);
    if (!to) return mr_fail(err, MR_FAILED, "no memory for an image of %ux%u", out.width, out.height);
    for (uint32_t r = 0; r < out.height; r++)
        for (uint32_t c = 0; c < out.width; c++)
            for (size_t k = 0; k < 3; k++)
                to[4 * ((size_t)r * out.width + c) + k] = to_half(ldexpf(from[4 * ((size_t)r * image->width + c % image->width) + k], -*exponent));
    mr_image_free(image);
    *image = out;
    return MR_OK;
}

int mr_environment_to_float(mr_image *image, mr_error *err)
{
    mr_image out;
    if (image->format == MR_TEXEL_FLOAT) return MR_OK;
    int status = mr_image_new_float(&out, image->width, image->height, image->wrap, err);
    if (status) return status;
    const uint8_t *from = image->texels;
    float *to = out.texels;
    for (size_t i = 0; i < (size_t)image->width * image->height * 4; i++) {
        double c = from[i] / 255.0;
        to[i] = (float)(i % 4 == 3 || image->format == MR_TEXEL_LINEAR8 ? c : c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    mr_image_free(image);
    *image = out;
    return MR_OK;
}

void mr_environment_turn(double sin_azimuth, double cos_azimuth, float to_local[9])
{
    const double rows[9] = {cos_azimuth, 0, sin_azimuth, 0, 1, 0, -sin_azimuth, 0, cos_azimuth};
    for (size_t i = 0; i < 9; i++) to_local[i] = (float)rows[i];
}
