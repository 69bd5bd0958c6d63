/* See texture_check.h. What stb_image believes and should not:
 *
 * Sizes. It takes memory for what a file's head says before it looks at the rest. But no compression is endless: so many bytes hold at most so many pixels,
 * and a head that promises more is damaged or a trap.
 * For a PNG's chunk it takes as much as that one's head says.
 * Huffman tables of a JPEG. It (2.27) writes as many symbols as the table's counts add up to into room for 256, and
 * takes the 256th for none.
 * Ends. A Radiance HDR that is cut off makes it loop for ever, or gives pixels of what happened to be in memory. */
#include "tracer/scene/texture_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Deflate makes at most 1032 bytes of one. A PNG's row is a filter byte and the bits of its pixels; depth and colour type stand in the first chunk. */
static bool png_can_hold(const uint8_t *png, size_t size_bytes, uint64_t width, uint64_t height)
{
    static const uint8_t channels[7] = {1, 0, 3, 1, 2, 0, 4};
    uint64_t bits = size_bytes > 25 && !memcmp(png + 12, "IHDR", 4) && png[25] < 7 ? (uint64_t)png[24] * channels[png[25]] : 1;
    return height * (1 + (width * bits + 7) / 8) <= (uint64_t)size_bytes * 1032;
}

/* JPEG: a block of 8x8 takes at least a bit. HDR: a run of 127 pixels takes 2 bytes in each of 4 channels. */
static bool can_hold(const uint8_t *bytes, size_t size_bytes, uint64_t width, uint64_t height)
{
    if (!memcmp(bytes, "\x89PNG", 4)) return png_can_hold(bytes, size_bytes, width, height);
    return width * height <= (uint64_t)size_bytes * (bytes[0] == 0xFF ? 8 * 64 : 16);
}

/* The tables of one DHT segment: a byte, 16 counts, and as many symbols as they add up to; they fill it. */
static bool tables_fit(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        ptrdiff_t symbols = 0;
        if (end - at < 17) return false;
        for (unsigned i = 1; i <= 16; i++) symbols += at[i];
        if (symbols > 255 || symbols > end - at - 17) return false;
        at += 17 + symbols;
    }
    return true;
}

static bool has_no_length(uint8_t marker) { return marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8); }

/* All DHT segments that a decoder can come to: from marker to marker; what lies between (a scan's data, padding) has none, for there an FF is followed by 0 or
 * a restart marker. */
static bool jpeg_is_safe(const uint8_t *at, const uint8_t *end)
{
    for (at += 2; at + 1 < end;) {
        if (at[0] != 0xFF || at[1] == 0xFF || has_no_length(at[1])) {
            at += at[0] == 0xFF && at[1] != 0xFF ? 2 : 1;
            continue;
        }
        if (at[1] == 0xD9 || end - at < 4) return true; /* the image's end, or the file's */
        size_t length = (size_t)(at[2] << 8 | at[3]);
        const uint8_t *stop = length <= (size_t)(end - at - 2) ? at + 2 + length : end;
        if (at[1] == 0xC4 && !tables_fit(at + 4, stop)) return false;
        at = stop > at + 4 ? stop : at + 4;
    }
    return true;
}

/* A chunk: length, type, data, checksum. */
static bool png_is_whole(const uint8_t *at, const uint8_t *end)
{
    for (at += 8; end - at >= 8;) {
        size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3], left = (size_t)(end - at) - 8;
        if (length > left) return false;
        at += 8 + length + (left - length < 4 ? left - length : 4);
    }
    return true;
}

/* ---- Radiance HDR (Ward 1991): lines up to an empty one, a line with the size, then rows of runs or plain pixels ---- */

static const uint8_t *next_line(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
    return stop ? stop + 1 : end;
}

/* A line that begins with a zero counts as empty: stb thinks so. */
static const uint8_t *hdr_data(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != '\n' && *at != 0) at = next_line(at, end);
    at = next_line(at, end); /* the empty one */
    return next_line(at, end);
}

enum row { ROW_WHOLE, ROW_REFUSED /* by stb itself */, ROW_CUT };

/* One channel of a row in runs; moves *at behind it. */
static enum row hdr_channel(const uint8_t **at, const uint8_t *end, uint32_t width)
{
    for (uint32_t i = 0; i < width;) {
        if (*at >= end) return ROW_CUT;
        uint32_t head = *(*at)++, count = head > 128 ? head - 128 : head, bytes = head > 128 ? 1 : head;
        if (count > width - i) return ROW_REFUSED;
        if (!count || bytes > (size_t)(end - *at)) return ROW_CUT;
        *at += bytes;
        i += count;
    }
    return ROW_WHOLE;
}

static bool hdr_is_whole(const uint8_t *at, const uint8_t *end, uint32_t width, uint32_t height)
{
    const uint64_t plain = (uint64_t)width * height * 4;
    at = hdr_data(at, end);
    for (uint32_t row = 0; row < height; row++) {
        size_t left = (size_t)(end - at);
        if (width < 8 || left < 4 || at[0] != 2 || at[1] != 2 || at[2] & 0x80) return left >= plain; /* plain pixels from here on */
        if ((uint32_t)(at[2] << 8 | at[3]) != width) return true; /* stb refuses it */
        at += 4;
        for (int channel = 0; channel < 4; channel++) {
            enum row found = hdr_channel(&at, end, width);
            if (found != ROW_WHOLE) return found == ROW_REFUSED;
        }
    }
    return true;
}

int mr_image_check_size(const void *bytes, size_t size_bytes, int width, int height, const char *name, mr_error *err)
{
    const uint8_t *b = bytes;
    if (b[0] == '#' && !hdr_is_whole(b, b + size_bytes, (uint32_t)width, (uint32_t)height))
        return mr_fail(err, MR_BAD_INPUT, "%s: damaged image: it is cut off", name);
    if (can_hold(bytes, size_bytes, (uint64_t)width, (uint64_t)height)) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "%s: damaged image: found %dx%d pixels in %zu bytes, more than these can hold", name, width, height, size_bytes);
}

int mr_image_check_tables(const void *bytes, size_t size_bytes, const char *name, mr_error *err)
{
    const uint8_t *b = bytes;
    if (size_bytes > 2 && b[0] == 0xFF && !jpeg_is_safe(b, b + size_bytes))
        return mr_fail(err, MR_BAD_INPUT, "%s: damaged image: found Huffman tables that do not fit", name);
    if (size_bytes > 8 && !memcmp(b, "\x89PNG", 4) && !png_is_whole(b, b + size_bytes))
        return mr_fail(err, MR_BAD_INPUT, "%s: damaged image: found a chunk that is longer than the file", name);
    return MR_OK;
}
