/* A job's picture, also half-done: as a file, or as raw pixels for the page. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "coordinator/clock.h"
#include "coordinator/http_internal.h"
#include "tracer/image.h"

/* The job's view, held; NULL: the answer says why. */
static co_view *view_of(co_answer *a, co_board *board, uint64_t id, co_board_job *job)
{
    co_view *view = NULL;
    if (!co_board_job_now(board, id, job, &view)) co_answer_error(a, 404, "there is no job %llu", (unsigned long long)id);
    else if (!view) co_answer_error(a, 410, "the picture of job %llu is not kept any more", (unsigned long long)id);
    return view;
}

/* ---- files ---- */

/* A file of our own without a name that others could find, read back into memory. */
static int read_back(const char *path, co_answer *a)
{
    struct stat info;
    FILE *file = fopen(path, "rbe");
    if (!file || fstat(fileno(file), &info) || info.st_size <= 0) {
        if (file) (void)fclose(file);
        return -1;
    }
    a->size = (size_t)info.st_size;
    a->body = malloc(a->size);
    int good = a->body && fread(a->body, 1, a->size, file) == a->size;
    (void)fclose(file);
    return good ? 0 : -1;
}

static int write_stream(char **bytes, size_t *size, const float *rgb, const mr_film *film, int image)
{
    FILE *file = open_memstream(bytes, size);
    if (!file) return -1;
    int good = image == CO_IMAGE_HDR ? mr_write_hdr(file, rgb, film->width, film->height) : mr_write_pfm(file, rgb, film->width, film->height);
    return fclose(file) || !good ? -1 : 0;
}

/* OpenEXR writes to a name alone. */
static int write_exr(co_answer *a, const float *rgb, const mr_film *film)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    mr_error err;
    if (!base || !*base || strlen(base) > 200) base = "/tmp";
    (void)snprintf(path, sizeof path, "%s/mobyray-XXXXXX", base);
    int file = mkstemp(path);
    if (file < 0) return -1;
    (void)close(file);
    int failed = mr_write_exr(path, rgb, film->width, film->height, &err) || read_back(path, a);
    (void)unlink(path);
    return failed ? -1 : 0;
}

static int write_png(co_answer *a, float *rgb, const mr_film *film, const mr_settings *settings, const co_http_query *q)
{
    size_t pixels = (size_t)film->width * film->height;
    mr_settings toned = *settings;
    uint8_t *rgb8 = malloc(pixels * 3), *png = NULL;
    mr_error err;
    if (!rgb8) return -1;
    if (q->has_exposure) toned.exposure *= (float)exp2(q->exposure);
    mr_tone_map(&toned, rgb, pixels, rgb8);
    int status = mr_png_encode(rgb8, film->width, film->height, &png, &a->size, &err);
    free(rgb8);
    a->body = png;
    return status ? -1 : 0;
}

static int encode(co_answer *a, const co_http_route *route, co_view *view)
{
    static const char *const types[] = { "image/png", "image/x-exr", "image/vnd.radiance", "image/x-portable-floatmap" };
    const mr_film *film = co_view_film(view);
    float *rgb = malloc((size_t)film->width * film->height * 3 * sizeof *rgb);
    int failed = !rgb;
    *a = (co_answer){ .status = 200, .type = types[route->image] };
    if (rgb) co_view_linear(view, 0, 0, film->width, film->height, 1, rgb, NULL);
    if (!failed && route->image == CO_IMAGE_PNG) failed = write_png(a, rgb, film, co_view_settings(view), &route->query);
    else if (!failed && route->image == CO_IMAGE_EXR) failed = write_exr(a, rgb, film);
    else if (!failed) {
        char *bytes = NULL;
        failed = write_stream(&bytes, &a->size, rgb, film, route->image);
        a->body = bytes;
    }
    free(rgb);
    return failed ? -1 : 0;
}

/* Pictures take memory and time: so many at once (weight: this one counts for so many), the others wait. */
static int begin_image(co_http *http, unsigned weight)
{
    const struct timespec until = co_after_ms(CLOCK_REALTIME, CO_HTTP_IMAGE_WAIT_MS);
    (void)pthread_mutex_lock(&http->lock);
    int late = 0;
    while (http->images + weight > CO_HTTP_IMAGES && !late && !http->closing) late = pthread_cond_timedwait(&http->changed, &http->lock, &until) != 0;
    int good = http->images + weight <= CO_HTTP_IMAGES && !http->closing;
    http->images += good ? weight : 0;
    (void)pthread_mutex_unlock(&http->lock);
    return good;
}

static void end_image(co_http *http, unsigned weight)
{
    (void)pthread_mutex_lock(&http->lock);
    http->images -= weight;
    (void)pthread_cond_broadcast(&http->changed);
    (void)pthread_mutex_unlock(&http->lock);
}

void co_image_answer(co_answer *a, const co_http_route *route, co_http *http)
{
    static const char *const endings[] = { "png", "exr", "hdr", "pfm" };
    co_board_job job;
    co_view *view = view_of(a, http->board, route->id, &job);
    if (!view) return;
    uint64_t pixels = (uint64_t)job.picture.width * job.picture.height;
    unsigned weight = pixels > CO_HTTP_IMAGE_LARGE ? CO_HTTP_IMAGES : 1;
    if (pixels > CO_HTTP_IMAGE_MOST) {
        co_answer_error(a, 413, "a picture of %ux%u pixels is too large to be sent as a whole, expected at most %d; its pixels can be asked for in parts", job.picture.width,
                        job.picture.height, CO_HTTP_IMAGE_MOST);
    } else if (!begin_image(http, weight)) {
        co_answer_error(a, 503, "%d pictures are being made already: try again", CO_HTTP_IMAGES);
        a->retry_s = 2;
    } else {
        if (encode(a, route, view)) {
            co_answer_free(a);
            co_answer_error(a, 500, "no memory, or no room in TMPDIR, for a picture of %ux%u pixels", job.picture.width, job.picture.height);
        } else {
            (void)snprintf(a->file_name, sizeof a->file_name, "job-%llu.%s", (unsigned long long)route->id, endings[route->image]);
        }
        end_image(http, weight);
    }
    co_view_release(view);
}

/* ---- pixels ---- */

/* Three floats in four bytes: a common exponent (G. Ward, "Real Pixels", Graphics Gems II, 1991). A pixel that nothing is known of is 0 0 0 0; one that is
 * black, or too dark, 0 0 0 1. */
static void to_rgbe(const float *rgb, int known, uint8_t out[4])
{
    float most = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
    if (rgb[2] > most) most = rgb[2];
    uint32_t bits;
    memcpy(&bits, &most, sizeof bits);
    int exponent = (int)(bits >> 23) - 126; /* most = m * 2^exponent, 0.5 <= m < 1 */
    memset(out, 0, 4);
    out[3] = known != 0;
    if (!known || most < 1e-32f) return;
    uint32_t scale_bits = (uint32_t)(127 + 8 - exponent) << 23; /* 2^(8 - exponent): below 2^118, as most is not too small */
    float scale;
    memcpy(&scale, &scale_bits, sizeof scale);
    for (unsigned k = 0; k < 3; k++) {
        float steps = rgb[k] * scale + 0.5f;
        out[k] = (uint8_t)(steps < 255 ? steps : 255);
    }
    out[3] = (uint8_t)(exponent + 128);
}

/* The rectangle asked for, of the whole picture when nothing is said; 0: it does not lie in it. */
static int rectangle(const co_http_query *q, const mr_film *film, uint32_t *width, uint32_t *height)
{
    if (q->x >= film->width || q->y >= film->height) return 0;
    *width = q->width ? q->width : film->width - q->x;
    *height = q->height ? q->height : film->height - q->y;
    return *width <= film->width - q->x && *height <= film->height - q->y;
}

static void fill_pixels(co_answer *a, co_view *view, const co_http_query *q, uint32_t width, uint32_t height)
{
    uint32_t columns = (width + q->step - 1) / q->step, rows = (height + q->step - 1) / q->step;
    float *rgb = malloc((size_t)columns * 3 * sizeof *rgb * CO_HTTP_PIXEL_ROWS);
    uint8_t *known = malloc((size_t)columns * CO_HTTP_PIXEL_ROWS), *out = malloc((size_t)4 * columns * rows);
    *a = (co_answer){ .status = 200, .type = "application/octet-stream", .body = out, .size = (size_t)4 * columns * rows };
    for (uint32_t row = 0; rgb && known && out && row < rows; row += CO_HTTP_PIXEL_ROWS) {
        uint32_t some = rows - row < CO_HTTP_PIXEL_ROWS ? rows - row : CO_HTTP_PIXEL_ROWS, from = row * q->step;
        uint32_t pixels_high = height - from < some * q->step ? height - from : some * q->step;
        co_view_linear(view, q->x, q->y + from, width, pixels_high, q->step, rgb, known);
        for (uint32_t i = 0; i < some * columns; i++) to_rgbe(rgb + (size_t)3 * i, known[i], out + 4 * ((size_t)row * columns + i));
    }
    if (!rgb || !known || !out) {
        free(out);
        co_answer_error(a, 500, "no memory for so many pixels");
    }
    free(rgb);
    free(known);
}

void co_pixels_answer(co_answer *a, const co_http_route *route, co_board *board)
{
    const co_http_query *q = &route->query;
    co_board_job job;
    uint32_t width, height;
    co_view *view = view_of(a, board, route->id, &job);
    if (!view) return;
    const mr_film *film = co_view_film(view);
    if (!rectangle(q, film, &width, &height))
        co_answer_error(a, 400, "x, y, width, height: found %u,%u %ux%u, expected a rectangle in the picture of %ux%u pixels", q->x, q->y, q->width, q->height,
                        film->width, film->height);
    else if ((uint64_t)((width + q->step - 1) / q->step) * ((height + q->step - 1) / q->step) > CO_HTTP_PIXELS_MOST)
        co_answer_error(a, 400, "too many pixels, expected at most %d: give a greater step or a smaller rectangle", CO_HTTP_PIXELS_MOST);
    else fill_pixels(a, view, q, width, height);
    co_view_release(view);
}
