/* --trace FILE: what every thread did, as a file for Perfetto (ui.perfetto.dev) and chrome://tracing. One row for each thread of each worker, one for the
 * coordinator; joining and leaving are marks, the scene's way to a worker a slice. Written as things become known, with a few kilobytes of memory for
 * each worker; under a temporary name, which becomes FILE when it is whole.
 *
 * The format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU (events X, i, C and M). */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include "coordinator/account.h"
#include "tracer/error.h"

typedef struct trace_writer trace_writer;

int trace_open(trace_writer **out, const char *path, mr_error *err);
void trace_slice(void *user, const co_slice *slice); /* user: a trace_writer, or NULL: for co_config.slice */

/* Completes the file: MR_FAILED when anything could not be written; then, and with status other than MR_OK, there is none. NULL is fine. */
int trace_close(trace_writer *t, int status, mr_error *err);

#endif
