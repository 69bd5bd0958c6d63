/* /metrics: the board in Prometheus' text exposition format. */
#include "coordinator/http_internal.h"

void co_http_metrics(co_text *t, co_board *board)
{
    co_board_totals totals;
    co_board_totals_now(board, &totals);
    co_text_format(t, "# HELP mobyray_build_info The program that serves these figures.\n# TYPE mobyray_build_info gauge\n");
    co_text_format(t, "mobyray_build_info{version=\"%s\",commit=\"%s\"} 1\n", totals.version, totals.commit);
}
