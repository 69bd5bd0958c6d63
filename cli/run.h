/* Running another program to its end, without a shell. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <stddef.h>

#include "tracer/error.h"

/* Runs command[0], found by PATH; a NULL ends the words. environment: NAME=VALUE more or other than ours, a NULL ends them; NULL: ours.
 * What it writes on stdout goes into text (cut at size - 1, ended with 0; text NULL: to our stderr). MR_FAILED with the end of its stderr in err when
 * it cannot be run or ends with another code than 0, MR_INTERRUPTED when we are told to stop meanwhile. */
int cli_run(const char *const *command, const char *const *environment, char *text, size_t size, mr_error *err);

#endif
