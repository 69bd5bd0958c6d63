/* Samples: replayable, well stratified, different from pixel to pixel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tracer/sampler.h"

static void replays_in_any_order(void **state)
{
    (void)state;
    mr_sample2 forward[256];
    for (uint32_t i = 0; i < 256; i++) forward[i] = mr_sample(mr_pixel_key(3, 4, 5), i, 7);
    for (uint32_t i = 256; i-- > 0;) {
        mr_sample2 again = mr_sample(mr_pixel_key(3, 4, 5), i, 7);
        assert_true(memcmp(&again, &forward[i], sizeof again) == 0);
    }
}

/* Any 2^k samples from a multiple of 2^k put exactly one point in every box of 2^-a x 2^-(k - a): a (0, k, 2)-net in base 2. */
static void every_elementary_box_has_one_point(void **state)
{
    (void)state;
    for (uint32_t key = 0; key < 20; key++)
        for (uint32_t k = 1; k <= 8; k++)
            for (uint32_t a = 0; a <= k; a++) {
                uint8_t seen[256] = { 0 };
                uint32_t n = 1u << k, first = n * 3;
                for (uint32_t i = 0; i < n; i++) {
                    mr_sample2 s = mr_sample(mr_mix(key), first + i, key % 5);
                    assert_true(s.u >= 0 && s.u < 1 && s.v >= 0 && s.v < 1);
                    uint32_t box = (uint32_t)(s.u * (float)(1u << a)) << (k - a) | (uint32_t)(s.v * (float)(1u << (k - a)));
                    assert_int_equal(seen[box]++, 0);
                }
            }
}

static void pixels_pairs_and_seeds_differ(void **state)
{
    (void)state;
    double sum = 0;
    for (uint32_t y = 0; y < 64; y++)
        for (uint32_t x = 0; x < 64; x++) {
            mr_sample2 s = mr_sample(mr_pixel_key(x, y, 0), 0, 0), next = mr_sample(mr_pixel_key(x + 1, y, 0), 0, 0);
            mr_sample2 pair = mr_sample(mr_pixel_key(x, y, 0), 0, 1), seed = mr_sample(mr_pixel_key(x, y, 1), 0, 0);
            assert_true(s.u != next.u || s.v != next.v);
            assert_true(s.u != pair.u || s.v != pair.v);
            assert_true(s.u != seed.u || s.v != seed.v);
            sum += (double)s.u;
        }
    assert_true(sum / 4096 > 0.48 && sum / 4096 < 0.52);
}

/* Pairs must not be correlated: the mean of u_a u_b over many pixels is that of independent numbers. */
static void pairs_are_independent(void **state)
{
    (void)state;
    double product = 0;
    for (uint32_t p = 0; p < 4096; p++)
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t key = mr_pixel_key(p & 63, p >> 6, 9);
            product += ((double)mr_sample(key, i, 2).u - 0.5) * ((double)mr_sample(key, i, 3).u - 0.5);
        }
    product /= 4096 * 4;
    assert_true(product < 0.003 && product > -0.003);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(replays_in_any_order), cmocka_unit_test(every_elementary_box_has_one_point),
                                        cmocka_unit_test(pixels_pairs_and_seeds_differ), cmocka_unit_test(pairs_are_independent) };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
