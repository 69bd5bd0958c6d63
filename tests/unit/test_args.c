/* Options: environment, command line, ranges, suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/args.h"

typedef struct values {
    const char *output;
    uint32_t spp, size[2];
    int quiet;
    arg_list list;
} values;

static values v;

static const arg_option options[] = {{"output", 'o', ARG_TEXT, &v.output, 0, 0, "FILE", ""},
                                     {"spp", 0, ARG_COUNT, &v.spp, 1, 1000, "N", ""},
                                     {"size", 0, ARG_SIZE, v.size, 1, 4096, "WxH", ""},
                                     {"exit-when-done", 'q', ARG_FLAG, &v.quiet, 0, 0, "", ""},
                                     {"workers", 0, ARG_LIST, &v.list, 1, 8, "N,N", ""},
                                     {.name = NULL}};

static arg_result result;
static mr_error err;

/* Parses words that end with NULL. */
static int parse(const char *const *words)
{
    int count = 0;
    while (words[count]) count++;
    v = (values){.output = NULL};
    err.text[0] = 0;
    return args_parse(options, count, (char *const *)(uintptr_t)words, 1, &result, &err);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void reads_every_form(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--spp", "7", "--size=640x360", "-o", "a.png", "scene", "-q", "--workers", "1,2,8"), MR_OK);
    assert_int_equal(v.spp, 7);
    assert_int_equal(v.size[0], 640);
    assert_int_equal(v.size[1], 360);
    assert_string_equal(v.output, "a.png");
    assert_int_equal(v.quiet, 1);
    assert_int_equal(v.list.count, 3);
    assert_int_equal(v.list.value[2], 8);
    assert_string_equal(result.positional[0], "scene");
}

static void words_behind_two_dashes_are_no_options(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--", "--spp"), MR_OK);
    assert_string_equal(result.positional[0], "--spp");
}

static void refuses_what_is_out_of_range(void **state)
{
    static const char *const bad[][2] = {{"--spp", "0"},      {"--spp", "1001"},    {"--spp", ""},          {"--spp", "+1"},
                                         {"--spp", " 1"},     {"--spp", "1 "},      {"--spp", "0x10"},      {"--spp", "4294967297"},
                                         {"--size", "1"},     {"--size", "1x"},     {"--size", "1x2x3"},    {"--size", "0x1"},
                                         {"--workers", "9"},  {"--workers", "1,"},  {"--workers", ",1"},    {"--workers", ""},
                                         {"--workers", "1;2"}, {"--output", ""},    {"--exit-when-done=2", "x"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(PARSE(bad[i][0], bad[i][1]), MR_USAGE);
        assert_int_equal(strncmp(err.text, bad[i][0], 5), 0);
    }
    assert_int_equal(PARSE("--workers", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"), MR_OK);
    assert_int_equal(PARSE("--workers", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"), MR_USAGE);
}

static void suggests_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--wrokers", "1"), MR_USAGE);
    assert_non_null(strstr(err.text, "did you mean --workers?"));
    assert_int_equal(PARSE("--exit_when_done=1"), MR_USAGE);
    assert_non_null(strstr(err.text, "unknown option --exit_when_done, did you mean --exit-when-done?"));
    assert_int_equal(PARSE("--completely-different"), MR_USAGE);
    assert_null(strstr(err.text, "did you mean"));
}

static void reads_the_environment_first(void **state)
{
    (void)state;
    assert_int_equal(setenv("MOBYRAY_SPP", "5", 1), 0);
    assert_int_equal(setenv("MOBYRAY_EXIT_WHEN_DONE", "yes", 1), 0);
    assert_int_equal(setenv("MOBYRAY_SIZE", "", 1), 0);
    assert_int_equal(PARSE("scene"), MR_OK);
    assert_int_equal(v.spp, 5);
    assert_int_equal(v.quiet, 1);
    assert_int_equal(v.size[0], 0);
    assert_int_equal(PARSE("--spp", "6", "--exit-when-done=0"), MR_OK);
    assert_int_equal(v.spp, 6);
    assert_int_equal(v.quiet, 0);
    assert_int_equal(setenv("MOBYRAY_SPP", "lots", 1), 0);
    assert_int_equal(PARSE("scene"), MR_USAGE);
    assert_string_equal(err.text, "MOBYRAY_SPP: found 'lots', expected a whole number 1..1000");
    assert_int_equal(PARSE("--help"), MR_OK);
    assert_int_equal(result.help, 1);
    assert_int_equal(unsetenv("MOBYRAY_SPP") + unsetenv("MOBYRAY_EXIT_WHEN_DONE") + unsetenv("MOBYRAY_SIZE"), 0);
}

static void judges_endpoints(void **state)
{
    static const char *const good[] = {"tcp://host:1", "tcp://127.0.0.1:65535", "tcp://[::1]:5555", "ipc:///tmp/x"};
    static const char *const bad[] = {"", "tcp://", "tcp://host", "tcp://host:", "tcp://:5", "tcp://host:0", "tcp://host:65536",
                                      "tcp://host:5x", "tcp://host:*", "ipc://", "udp://host:5", "host:5"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(args_check_endpoint("here", good[i], 0, &err), MR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(args_check_endpoint("here", bad[i], 0, &err), MR_USAGE);
    assert_int_equal(args_check_endpoint("here", "tcp://host:*", 1, &err), MR_OK);
}

static void counts_words(void **state)
{
    (void)state;
    assert_int_equal(PARSE("one", "two"), MR_USAGE);
    assert_string_equal(err.text, "'two' is one argument too many");
    assert_int_equal(PARSE("--spp"), MR_USAGE);
    assert_string_equal(err.text, "--spp: no value, expected N");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_form),  cmocka_unit_test(words_behind_two_dashes_are_no_options),
        cmocka_unit_test(refuses_what_is_out_of_range), cmocka_unit_test(suggests_the_nearest),
        cmocka_unit_test(reads_the_environment_first),  cmocka_unit_test(counts_words),
        cmocka_unit_test(judges_endpoints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
