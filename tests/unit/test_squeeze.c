/* Squeezed PLY files: the same bytes come back, whatever is in them; whatever else is damaged is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tracer/scene/squeeze.h"

enum { VERTICES = 400, FACES = 700, HEAD = 12 };

static mr_error err;

static size_t put(char *at, const void *value, size_t bytes)
{
    memcpy(at, value, bytes);
    return bytes;
}

/* A ribbon with one column of each kind: floats on a grid, floats on none (NaN, -0 and infinity among them), bytes, doubles, shorts. */
static char *make_ply(size_t *size, int corners)
{
    char *ply = calloc(1, 1 << 20);
    assert_non_null(ply);
    size_t at = (size_t)snprintf(ply, 1 << 20, "ply\nformat binary_little_endian 1.0\ncomment a ribbon\nelement vertex %d\nproperty float x\nproperty float y\n"
                                     "property float z\nproperty uchar red\nproperty double weight\nproperty short turn\nelement face %d\n"
                                     "property list uchar int vertex_indices\nend_header\n", VERTICES, FACES);
    const float odd[] = {NAN, -0.0f, INFINITY, 1e-42f};
    for (int i = 0; i < VERTICES; i++) {
        float x = (float)(i - 200) / 8192, y = sinf((float)i), z = i < 4 ? odd[i] : 1e30f / (float)i;
        double weight = exp(i);
        int16_t turn = (int16_t)(i * 977);
        uint8_t red = (uint8_t)(i * 7);
        at += put(ply + at, &x, 4);
        at += put(ply + at, &y, 4);
        at += put(ply + at, &z, 4);
        at += put(ply + at, &red, 1);
        at += put(ply + at, &weight, 8);
        at += put(ply + at, &turn, 2);
    }
    for (int i = 0; i < FACES; i++) {
        int32_t v[4] = {i % 390, (i * 31) % 400, i == 5 ? -1 : i % 397, INT32_MIN};
        ply[at++] = (char)corners;
        at += put(ply + at, v, 4 * (size_t)corners);
    }
    *size = at;
    return ply;
}

static char *squeezed(size_t *size, char **ply, size_t *ply_bytes)
{
    char *out = NULL;
    *ply = make_ply(ply_bytes, 3);
    assert_int_equal(mr_squeeze(*ply, *ply_bytes, &out, size, "a", &err), MR_OK);
    return out;
}

static void test_the_same_bytes(void **state)
{
    (void)state;
    size_t size, ply_bytes, again_bytes = 0;
    char *ply, *again = NULL, *file = squeezed(&size, &ply, &ply_bytes);
    assert_true(mr_is_squeezed(file, size));
    assert_false(mr_is_squeezed(ply, ply_bytes));
    assert_true(size < ply_bytes);
    assert_int_equal(mr_unsqueeze(file, size, &again, &again_bytes, "a", &err), MR_OK);
    assert_int_equal(again_bytes, ply_bytes);
    assert_memory_equal(again, ply, ply_bytes + 1);
    free(again);
    free(file);
    free(ply);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    size_t size, ply_bytes, again_bytes = 0;
    char *ply, *again = NULL, *file = squeezed(&size, &ply, &ply_bytes);
    for (size_t keep = 8; keep < size; keep++) {
        char *part = malloc(keep);
        assert_non_null(part);
        memcpy(part, file, keep);
        assert_int_equal(mr_unsqueeze(part, keep, &again, &again_bytes, "a", &err), MR_BAD_INPUT);
        assert_null(again);
        free(part);
    }
    free(file);
    free(ply);
}

static void test_no_damage_harms(void **state)
{
    (void)state;
    size_t size, ply_bytes, again_bytes = 0, refused = 0;
    char *ply, *again = NULL, *file = squeezed(&size, &ply, &ply_bytes);
    for (size_t i = 8; i < size; i++) {
        file[i] ^= (char)(1 << i % 8);
        int status = mr_unsqueeze(file, size, &again, &again_bytes, "a", &err);
        file[i] ^= (char)(1 << i % 8);
        assert_true(status == MR_OK || status == MR_BAD_INPUT);
        refused += status == MR_BAD_INPUT;
        if (status == MR_OK) free(again);
    }
    assert_true(refused > 50);
    free(file);
    free(ply);
}

static void test_no_memory_for_great_promises(void **state)
{
    (void)state;
    char file[512], *again = NULL;
    size_t again_bytes = 0;
    int length = snprintf(file + HEAD, sizeof file - HEAD, "ply\nformat binary_little_endian 1.0\nelement vertex 100000000\nproperty float x\nend_header\n");
    memcpy(file, "MRPLYSQ1", 8);
    memcpy(file + 8, &length, 4);
    assert_int_equal(mr_unsqueeze(file, sizeof file, &again, &again_bytes, "a.ply", &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "for 400000000, expected at most"));
}

static void test_what_cannot_be_squeezed(void **state)
{
    (void)state;
    size_t size, out_bytes = 0;
    char *out = NULL, *ply = make_ply(&size, 4);
    assert_int_equal(mr_squeeze(ply, size, &out, &out_bytes, "a", &err), MR_BAD_INPUT); /* the size tells */
    assert_int_equal(mr_squeeze(ply, size - 4 * FACES, &out, &out_bytes, "a", &err), MR_BAD_INPUT); /* a list's length does */
    assert_non_null(strstr(err.text, "expected triangles"));
    free(ply);
    static const char ASCII[] = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1234";
    assert_int_equal(mr_squeeze(ASCII, sizeof ASCII - 1, &out, &out_bytes, "a", &err), MR_BAD_INPUT);
    assert_int_equal(mr_squeeze("what", 4, &out, &out_bytes, "a", &err), MR_BAD_INPUT);
    assert_null(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_same_bytes), cmocka_unit_test(test_every_cut_is_refused), cmocka_unit_test(test_no_damage_harms),
                                       cmocka_unit_test(test_no_memory_for_great_promises), cmocka_unit_test(test_what_cannot_be_squeezed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
