/* Progress of a render on stderr: a bar on a terminal, a plain line every few seconds elsewhere, nothing when quiet. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdint.h>

#include "coordinator/server.h"
#include "tracer/render.h"

typedef struct progress {
    int quiet, tty, drawn; /* drawn: the bar stands on the terminal's last line */
    double next;           /* when to write again, seconds */
    uint64_t samples;      /* of the whole picture */
} progress;

void progress_start(progress *p, int quiet, const mr_picture *picture);

/* Cheap: writes only when it is time to. */
void progress_update(progress *p, const co_job_status *status);

/* A line of its own that leaves the bar intact. p may be NULL. */
void progress_say(progress *p, const char *line);

/* Takes the bar away. */
void progress_end(progress *p);

#endif
