/* Saving a film: by the file's ending, to a temporary file in the same folder that takes the name once it is complete. */
#include "tracer/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tracer/film.h"

typedef enum format { FORMAT_PNG, FORMAT_EXR, FORMAT_HDR, FORMAT_PFM, FORMAT_UNKNOWN } format;

static format format_of(const char *path)
{
    static const char *const endings[] = {".png", ".exr", ".hdr", ".pfm"};
    size_t n = strlen(path);
    for (int i = 0; i < FORMAT_UNKNOWN; i++)
        if (n > 4 && strcasecmp(path + n - 4, endings[i]) == 0) return (format)i;
    return FORMAT_UNKNOWN;
}

int mr_film_format_check(const char *path, mr_error *err)
{
    if (format_of(path) != FORMAT_UNKNOWN) return MR_OK;
    return mr_fail(err, MR_USAGE, "%s: unknown picture format; expected a name that ends in .png, .exr, .hdr or .pfm", path);
}

static int write_png(FILE *file, const float *rgb, const mr_film *film, const mr_settings *settings, mr_error *err)
{
    size_t pixels = (size_t)film->width * film->height, size = 0;
    uint8_t *rgb8 = malloc(pixels * 3), *png = NULL;
    if (!rgb8) return mr_fail(err, MR_FAILED, "no memory for a picture of %ux%u pixels", film->width, film->height);
    mr_tone_map(settings, rgb, pixels, rgb8);
    int status = mr_png_encode(rgb8, film->width, film->height, &png, &size, err);
    free(rgb8);
    if (status == MR_OK && fwrite(png, 1, size, file) != size)
        status = mr_fail(err, MR_FAILED, "cannot write: %s", strerror(errno));
    free(png);
    return status;
}

static int write_stream(FILE *file, format f, const float *rgb, const mr_film *film, const mr_settings *settings, mr_error *err)
{
    if (f == FORMAT_PNG) return write_png(file, rgb, film, settings, err);
    int ok =
        f == FORMAT_HDR ? mr_write_hdr(file, rgb, film->width, film->height) : mr_write_pfm(file, rgb, film->width, film->height);
    return ok ? MR_OK : mr_fail(err, MR_FAILED, "cannot write: %s", strerror(errno));
}

/* Everything up to the rename. */
static int write_temporary(const char *temporary, format f, const float *rgb, const mr_film *film, const mr_settings *settings,
                           mr_error *err)
{
    if (f == FORMAT_EXR) return mr_write_exr(temporary, rgb, film->width, film->height, err);
    FILE *file = fopen(temporary, "wb");
    if (!file) return mr_fail(err, MR_FAILED, "%s: cannot create: %s", temporary, strerror(errno));
    int status = write_stream(file, f, rgb, film, settings, err);
    int synced = fflush(file) == 0 && fsync(fileno(file)) == 0;
    if ((fclose(file) != 0 || !synced) && status == MR_OK)
        status = mr_fail(err, MR_FAILED, "%s: cannot write: %s", temporary, strerror(errno));
    return status;
}

static int save_as(const char *path, const char *temporary, format f, const float *rgb, const mr_film *film,
                   const mr_settings *settings, mr_error *err)
{
    int status = write_temporary(temporary, f, rgb, film, settings, err);
    if (status == MR_OK && rename(temporary, path) != 0)
        status = mr_fail(err, MR_FAILED, "%s: cannot rename to it: %s", path, strerror(errno));
    if (status != MR_OK) (void)unlink(temporary);
    return status;
}

int mr_film_save(const mr_film *film, const mr_settings *settings, const char *path, mr_error *err)
{
    int status = mr_film_format_check(path, err);
    if (status) return status;
    size_t pixels = (size_t)film->width * film->height, length = strlen(path) + 32;
    float *rgb = malloc(pixels * 3 * sizeof *rgb);
    char *temporary = malloc(length);
    if (rgb && temporary) {
        (void)snprintf(temporary, length, "%s.%ld.part", path, (long)getpid());
        mr_film_linear(film, film->spp, rgb);
        status = save_as(path, temporary, format_of(path), rgb, film, settings, err);
    } else {
        status = mr_fail(err, MR_FAILED, "no memory to save a picture of %ux%u pixels", film->width, film->height);
    }
    free(rgb);
    free(temporary);
    return status;
}
