/* The tracer's own functions against libm in double precision: the bounds that tracer/mathf.h states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tracer/mathf.h"

#define STEPS 200001

static double at(double lo, double hi, int i) { return (double)(float)(lo + (hi - lo) * i / (STEPS - 1)); }

static void assert_near(double x, double found, double expected, double bound)
{
    if (!(fabs(found - expected) <= bound)) fail_msg("at %.9g: %.9g, expected %.9g within %.3g", x, found, expected, bound);
}

static void sine_and_cosine(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        double u = at(-3, 3, i);
        float s, c;
        mr_sincos_turns((float)u, &s, &c);
        assert_near(u, (double)s, sin(2 * 3.14159265358979323846 * u), 2e-7);
        assert_near(u, (double)c, cos(2 * 3.14159265358979323846 * u), 2e-7);
    }
}

static void exponential(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        double x = at(-86.9, 88, i), y = exp(x);
        assert_near(x, (double)mr_exp((float)x), y, 3e-7 * y);
    }
    assert_true(mr_exp(-200.0f) == 0.0f);
    assert_true(mr_exp(1000.0f) < INFINITY);
}

static void logarithm(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        double x = (double)(float)exp(at(-80, 80, i)), y = log(x);
        assert_near(x, (double)mr_log((float)x), y, 3e-7 * fabs(y) + 1e-7);
    }
    assert_true(fabsf(mr_log(0.0f)) < 88.0f);
}

static void power(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        double x = at(0.001, 4, i), y = pow(x, 2.4);
        assert_near(x, (double)mr_pow((float)x, 2.4f), y, 1e-6 * y * (1 + fabs(2.4 * log(x))));
    }
    assert_true(mr_pow(0.0f, 0.5f) == 0.0f);
}

static void arc_tangent(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        double a = at(-3.14159, 3.14159, i), r = 1e-3 + 10.0 * (i % 17);
        float y = (float)(r * sin(a)), x = (float)(r * cos(a));
        assert_near(a, (double)mr_atan2(y, x), atan2((double)y, (double)x), 4e-7);
    }
    assert_true(mr_atan2(0.0f, 0.0f) == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sine_and_cosine), cmocka_unit_test(exponential), cmocka_unit_test(logarithm),
                                        cmocka_unit_test(power), cmocka_unit_test(arc_tangent) };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
