/* Tracing one tile alone in this process: what is done with a tile that brought down workers (render --only-tile). */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "cli/cli.h"

/* tile: x, y, width, height, first sample, count. Prints what it took and the hash of its sums; writes it as a picture of its own when output is not NULL. */
int replay_tile(const char *scene, const cli_picture *asked, const arg_list *tile, const mr_kernel *kernel, const char *output, mr_error *err);

#endif
