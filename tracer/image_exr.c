/* OpenEXR through its C library: one part of scanlines, 32-bit floats, ZIP. */
#include <OpenEXR/openexr.h>
#include <string.h>

#include "tracer/image.h"

static exr_result_t add_channels(exr_context_t file, int part)
{
    static const char *const names[3] = {"B", "G", "R"}; /* channels are kept in alphabetical order */
    for (int i = 0; i < 3; i++) {
        exr_result_t r = exr_add_channel(file, part, names[i], EXR_PIXEL_FLOAT, EXR_PERCEPTUALLY_LINEAR, 1, 1);
        if (r != EXR_ERR_SUCCESS) return r;
    }
    return EXR_ERR_SUCCESS;
}

static exr_result_t start(exr_context_t file, uint32_t width, uint32_t height, int *part)
{
    exr_result_t r = exr_add_part(file, "rgb", EXR_STORAGE_SCANLINE, part);
    if (r == EXR_ERR_SUCCESS)
        r = exr_initialize_required_attr_simple(file, *part, (int32_t)width, (int32_t)height, EXR_COMPRESSION_ZIP);
    if (r == EXR_ERR_SUCCESS) r = add_channels(file, *part);
    return r == EXR_ERR_SUCCESS ? exr_write_header(file) : r;
}

static void point_channels(exr_encode_pipeline_t *pipe, const float *rows, uint32_t width)
{
    for (int16_t c = 0; c < pipe->channel_count; c++) {
        exr_coding_channel_info_t *ch = &pipe->channels[c];
        size_t component = ch->channel_name[0] == 'R' ? 0 : ch->channel_name[0] == 'G' ? 1 : 2;
        ch->user_data_type = EXR_PIXEL_FLOAT;
        ch->user_bytes_per_element = (int16_t)sizeof(float);
        ch->user_pixel_stride = (int32_t)(3 * sizeof(float));
        ch->user_line_stride = (int32_t)(3 * sizeof(float) * width);
        ch->encode_from_ptr = (const uint8_t *)(rows + component);
    }
}

static exr_result_t write_rows(exr_context_t file, int part, const float *rgb, uint32_t width, uint32_t height)
{
    exr_encode_pipeline_t pipe;
    memset(&pipe, 0, sizeof pipe);
    int32_t lines = 1;
    exr_result_t r = exr_get_scanlines_per_chunk(file, part, &lines);
    for (uint32_t y = 0; r == EXR_ERR_SUCCESS && y < height; y += (uint32_t)lines) {
        exr_chunk_info_t chunk;
        r = exr_write_scanline_chunk_info(file, part, (int)y, &chunk);
        if (r != EXR_ERR_SUCCESS) break;
        r = y ? exr_encoding_update(file, part, &chunk, &pipe) : exr_encoding_initialize(file, part, &chunk, &pipe);
        if (r != EXR_ERR_SUCCESS) break;
        point_channels(&pipe, rgb + 3 * (size_t)y * width, width);
        if (!y) r = exr_encoding_choose_default_routines(file, part, &pipe);
        if (r == EXR_ERR_SUCCESS) r = exr_encoding_run(file, part, &pipe);
    }
    exr_encoding_destroy(file, &pipe);
    return r;
}

static void silent(exr_const_context_t file, exr_result_t code, const char *message)
{
    (void)file, (void)code, (void)message;
}

int mr_write_exr(const char *path, const float *rgb, uint32_t width, uint32_t height, mr_error *err)
{
    exr_context_initializer_t options = EXR_DEFAULT_CONTEXT_INITIALIZER;
    options.error_handler_fn = silent;
    exr_context_t file = NULL;
    int part = 0;
    exr_result_t r = exr_start_write(&file, path, EXR_WRITE_FILE_DIRECTLY, &options);
    if (r == EXR_ERR_SUCCESS) r = start(file, width, height, &part);
    if (r == EXR_ERR_SUCCESS) r = write_rows(file, part, rgb, width, height);
    exr_result_t closed = file ? exr_finish(&file) : EXR_ERR_SUCCESS;
    if (r == EXR_ERR_SUCCESS) r = closed;
    if (r != EXR_ERR_SUCCESS)
        return mr_fail(err, MR_FAILED, "%s: cannot write OpenEXR: %s", path, exr_get_default_error_message(r));
    return MR_OK;
}
