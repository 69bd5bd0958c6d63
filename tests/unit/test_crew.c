/* The crew: every piece is run once, in every loop, however many threads and pieces there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tracer/crew.h"

enum { PIECES_MAX = 1000 };

typedef struct counts {
    atomic_int runs[PIECES_MAX];
} counts;

static void count(void *context, uint32_t piece)
{
    counts *c = context;
    atomic_fetch_add(&c->runs[piece], 1);
}

static void every_piece_runs_once_a_loop(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {0, 1, 2, 3, 7, PIECES_MAX};
    for (int threads = 1; threads <= 5; threads++) {
        mr_crew *crew = mr_crew_new(threads);
        assert_int_equal(mr_crew_size(crew), threads);
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            counts *c = calloc(1, sizeof *c);
            for (int loop = 1; loop <= 50; loop++) {
                mr_crew_run(crew, count, c, pieces[p]);
                for (uint32_t i = 0; i < PIECES_MAX; i++) assert_int_equal(atomic_load(&c->runs[i]), i < pieces[p] ? loop : 0);
            }
            free(c);
        }
        mr_crew_free(crew);
    }
}

static void nobody_is_a_crew_of_one(void **state)
{
    (void)state;
    counts *c = calloc(1, sizeof *c);
    assert_null(mr_crew_new(1));
    assert_null(mr_crew_new(-3));
    assert_int_equal(mr_crew_size(NULL), 1);
    mr_crew_run(NULL, count, c, 10);
    for (int i = 0; i < PIECES_MAX; i++) assert_int_equal(atomic_load(&c->runs[i]), i < 10);
    mr_crew_free(NULL);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_runs_once_a_loop),
        cmocka_unit_test(nobody_is_a_crew_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
