/* See environment.h.
 *
 * A texel's density is proportional to the mean luminance of what the bilinear filter shows inside it: the mean of a linear interpolation over one texel weighs the
 * neighbours 1/8, 6/8, 1/8 along each axis. So the density is zero only where the radiance is zero all over the texel. */
#include "tracer/scene/environment.h"

#include <math.h>
#include <stdlib.h>

#include "tracer/scene/vec.h"

size_t mr_environment_table_size(uint32_t width, uint32_t height)
{
    return (size_t)height + 1 + (size_t)height * (width + 1) + (size_t)height * width;
}

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

/* Solid angle of one texel of the row. */
static double solid_angle(const mr_image *image, uint32_t row)
{
    return 2 * MR_PI / image->width * (cos(row * MR_PI / image->height) - cos((row + 1) * MR_PI / image->height));
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

/* What the CDFs, rounded to float, really give: the density is exact for them. */
static void write_densities(const mr_image *image, const float *rows, const float *columns, float *densities)
{
    for (uint32_t r = 0; r < image->height; r++) {
        double row = ((double)rows[r + 1] - (double)rows[r]) / solid_angle(image, r);
        const float *cdf = columns + (size_t)r * (image->width + 1);
        for (uint32_t c = 0; c < image->width; c++) densities[(size_t)r * image->width + c] = (float)(row * ((double)cdf[c + 1] - (double)cdf[c]));
    }
}

int mr_environment_table(const mr_image *image, float *table, double *power, mr_error *err)
{
    float *columns = table + image->height + 1;
    double *weights = calloc((size_t)image->width + image->height, sizeof *weights), *rows = weights ? weights + image->width : NULL;
    if (!weights) return mr_fail(err, MR_FAILED, "no memory for the environment's tables");
    *power = 0;
    for (uint32_t r = 0; r < image->height; r++) {
        for (uint32_t c = 0; c < image->width; c++) {
            weights[c] = filtered_luminance(image, r, c);
            rows[r] += weights[c] * solid_angle(image, r);
        }
        *power += rows[r];
        write_cdf(weights, image->width, columns + (size_t)r * (image->width + 1));
    }
    for (uint32_t r = 0; r < image->height && !(*power > 0); r++) rows[r] = solid_angle(image, r);
    write_cdf(rows, image->height, table);
    write_densities(image, table, columns, columns + (size_t)image->height * (image->width + 1));
    free(weights);
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
