/* The film: sums that do not depend on order, and files that other programs read back. */
#include <OpenEXR/openexr.h>
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <stb/stb_image.h> /* the scene compiler holds the implementation */

#include "tracer/film.h"

enum { W = 37, H = 21 };
static char folder[] = "/tmp/mobyray-film-XXXXXX";

static float value(uint32_t x, uint32_t y, uint32_t c) { return (float)(x + 1) * 0.03f + (float)y * 0.002f * (float)(c + 1); }

static mr_film gradient(void)
{
    mr_film film;
    mr_picture picture = { W, H, 1, 0 };
    assert_int_equal(mr_film_init(&film, &picture, NULL), MR_OK);
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++)
            for (uint32_t c = 0; c < 3; c++) film.sums[3 * (y * W + x) + c] = mr_film_fixed(value(x, y, c));
    return film;
}

static const char *in_folder(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int files_in_folder(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* A whole small file; static. */
static const uint8_t *contents(const char *name, int *size)
{
    static uint8_t bytes[1 << 16];
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    *size = (int)fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    return bytes;
}

static void hostile_samples_are_tamed(void **state)
{
    (void)state;
    assert_true(mr_film_fixed(NAN) == 0);
    assert_true(mr_film_fixed(-1.0f) == 0);
    assert_true(mr_film_fixed(INFINITY) == (uint64_t)1 << 40);
    assert_true(mr_film_fixed(1.0f) == (uint64_t)1 << 20);
}

static void tiles_add_up_in_any_order(void **state)
{
    (void)state;
    mr_film whole = gradient(), parts;
    mr_picture picture = { W, H, 1, 0 };
    assert_int_equal(mr_film_init(&parts, &picture, NULL), MR_OK);
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t k = i * 5 % 12; /* another order */
        mr_tile t = { k % 4 * 10, k / 4 * 7, k % 4 == 3 ? W - 30 : 10, 7, 0, 1 };
        uint64_t sums[3 * 10 * 7];
        for (uint32_t y = 0; y < t.height; y++) memcpy(sums + 3 * y * t.width, whole.sums + 3 * ((t.y + y) * W + t.x), 24 * (size_t)t.width);
        mr_film_add(&parts, &t, sums);
    }
    uint8_t a[MR_HASH_BYTES], b[MR_HASH_BYTES];
    mr_film_hash(&whole, a);
    mr_film_hash(&parts, b);
    assert_memory_equal(a, b, sizeof a);
    parts.sums[5]++;
    mr_film_hash(&parts, b);
    assert_memory_not_equal(a, b, sizeof a);
    mr_film_free(&whole);
    mr_film_free(&parts);
}

static void png_reads_back(void **state)
{
    (void)state;
    mr_film film = gradient();
    mr_settings settings = { .exposure = 1.0f, .tone_map = MR_TONE_LINEAR };
    mr_error err;
    assert_int_equal(mr_film_save(&film, &settings, in_folder("a.png"), &err), MR_OK);
    int w, h, n, size;
    const uint8_t *file = contents("a.png", &size);
    uint8_t *p = stbi_load_from_memory(file, size, &w, &h, &n, 3);
    assert_non_null(p);
    assert_int_equal(w, W);
    assert_int_equal(h, H);
    for (uint32_t i = 0; i < W * H * 3; i++) {
        float v = value(i / 3 % W, i / 3 / W, i % 3), s = v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
        assert_true(fabsf((float)p[i] - 255.0f * fminf(s, 1.0f)) < 0.51f);
    }
    stbi_image_free(p);
    mr_film_free(&film);
}

static void check_floats(const float *p, float relative)
{
    for (uint32_t i = 0; i < W * H * 3; i++) {
        float v = value(i / 3 % W, i / 3 / W, i % 3);
        if (fabsf(p[i] - v) > relative * 1.2f + 1e-6f) fail_msg("value %u: %g, expected %g", i, (double)p[i], (double)v);
    }
}

static void hdr_reads_back(void **state)
{
    (void)state;
    mr_film film = gradient();
    mr_settings settings = { .exposure = 1.0f };
    assert_int_equal(mr_film_save(&film, &settings, in_folder("a.hdr"), NULL), MR_OK);
    int w, h, n, size;
    const uint8_t *file = contents("a.hdr", &size);
    float *p = stbi_loadf_from_memory(file, size, &w, &h, &n, 3);
    assert_non_null(p);
    assert_int_equal(w, W);
    check_floats(p, 0.01f);
    stbi_image_free(p);
    mr_film_free(&film);
}

static void pfm_reads_back(void **state)
{
    (void)state;
    mr_film film = gradient();
    mr_settings settings = { .exposure = 1.0f };
    assert_int_equal(mr_film_save(&film, &settings, in_folder("a.pfm"), NULL), MR_OK);
    FILE *f = fopen(in_folder("a.pfm"), "rb");
    assert_non_null(f);
    int w, h;
    float scale, rows[H][W * 3], turned[W * H * 3];
    assert_int_equal(fscanf(f, "PF %d %d %f%*c", &w, &h, &scale), 3);
    assert_true(w == W && h == H && scale == -1.0f);
    assert_int_equal(fread(rows, sizeof rows, 1, f), 1);
    (void)fclose(f);
    for (int y = 0; y < H; y++) memcpy(turned + (size_t)y * W * 3, rows[H - 1 - y], sizeof rows[0]);
    check_floats(turned, 1e-6f);
    mr_film_free(&film);
}

static void exr_reads_back(void **state)
{
    (void)state;
    mr_film film = gradient();
    mr_settings settings = { .exposure = 1.0f };
    assert_int_equal(mr_film_save(&film, &settings, in_folder("a.exr"), NULL), MR_OK);
    exr_context_t ctx = NULL;
    exr_context_initializer_t init = EXR_DEFAULT_CONTEXT_INITIALIZER;
    assert_int_equal(exr_start_read(&ctx, in_folder("a.exr"), &init), EXR_ERR_SUCCESS);
    exr_attr_box2i_t window;
    assert_int_equal(exr_get_data_window(ctx, 0, &window), EXR_ERR_SUCCESS);
    assert_true(window.max.x == W - 1 && window.max.y == H - 1);
    float p[W * H * 3];
    int32_t lines;
    exr_get_scanlines_per_chunk(ctx, 0, &lines);
    exr_decode_pipeline_t pipe = EXR_DECODE_PIPELINE_INITIALIZER;
    for (int y = 0; y < H; y += lines) {
        exr_chunk_info_t chunk;
        assert_int_equal(exr_read_scanline_chunk_info(ctx, 0, y, &chunk), EXR_ERR_SUCCESS);
        assert_int_equal(y ? exr_decoding_update(ctx, 0, &chunk, &pipe) : exr_decoding_initialize(ctx, 0, &chunk, &pipe), EXR_ERR_SUCCESS);
        for (int c = 0; c < pipe.channel_count; c++) {
            exr_coding_channel_info_t *ch = &pipe.channels[c];
            int k = ch->channel_name[0] == 'R' ? 0 : ch->channel_name[0] == 'G' ? 1 : 2;
            ch->user_bytes_per_element = 4;
            ch->user_data_type = EXR_PIXEL_FLOAT;
            ch->user_pixel_stride = 12;
            ch->user_line_stride = 12 * W;
            ch->decode_to_ptr = (uint8_t *)(p + (size_t)y * W * 3 + k);
        }
        if (!y) assert_int_equal(exr_decoding_choose_default_routines(ctx, 0, &pipe), EXR_ERR_SUCCESS);
        assert_int_equal(exr_decoding_run(ctx, 0, &pipe), EXR_ERR_SUCCESS);
    }
    exr_decoding_destroy(ctx, &pipe);
    exr_finish(&ctx);
    check_floats(p, 1e-6f);
    mr_film_free(&film);
}

static void tone_curves_rise(void **state)
{
    (void)state;
    for (uint32_t tone = MR_TONE_LINEAR; tone <= MR_TONE_ACES; tone++) {
        mr_settings settings = { .exposure = 2.0f, .tone_map = tone };
        uint8_t last = 0, out[3];
        for (int i = 0; i <= 1000; i++) {
            float v = (float)i * 0.004f, rgb[3] = { v, v, v };
            mr_tone_map(&settings, rgb, 1, out);
            assert_true(out[0] >= last && abs(out[0] - out[1]) <= 1 && abs(out[0] - out[2]) <= 1);
            last = out[0];
        }
        assert_true(last >= 230);
    }
}

static void errors_leave_nothing_behind(void **state)
{
    (void)state;
    mr_film film = gradient();
    mr_settings settings = { .exposure = 1.0f };
    mr_error err;
    int before = files_in_folder();
    assert_int_equal(mr_film_save(&film, &settings, in_folder("a.bmp"), &err), MR_USAGE);
    assert_non_null(strstr(err.text, ".png, .exr, .hdr or .pfm"));
    assert_int_equal(mr_film_save(&film, &settings, in_folder("no/such/a.png"), &err), MR_FAILED);
    assert_non_null(strstr(err.text, "no/such/a.png"));
    assert_int_equal(mr_film_save(&film, &settings, in_folder("no/such/a.exr"), &err), MR_FAILED);
    assert_int_equal(mkdir(in_folder("taken.png"), 0755), 0);
    assert_int_equal(mr_film_save(&film, &settings, in_folder("taken.png"), &err), MR_FAILED);
    assert_int_equal(files_in_folder(), before + 1);
    mr_film_free(&film);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "a.png", "a.hdr", "a.pfm", "a.exr" };
    for (int i = 0; i < 4; i++) (void)unlink(in_folder(names[i]));
    (void)rmdir(in_folder("taken.png"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hostile_samples_are_tamed), cmocka_unit_test(tiles_add_up_in_any_order), cmocka_unit_test(png_reads_back),
                                        cmocka_unit_test(hdr_reads_back), cmocka_unit_test(pfm_reads_back), cmocka_unit_test(exr_reads_back),
                                        cmocka_unit_test(tone_curves_rise), cmocka_unit_test(errors_leave_nothing_behind) };
    return cmocka_run_group_tests_name("film", tests, make_folder, remove_folder);
}
