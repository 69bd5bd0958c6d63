/* Rendering in this process without any cluster: the reference that every cluster is compared with. */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "cli/progress.h"
#include "coordinator/server.h"
#include "tracer/film.h"
#include "tracer/kernel.h"
#include "tracer/pack.h"

/* threads >= 1; tile: side in pixels, 0: chosen. film: initialised here, free with mr_film_free when MR_OK. status: its figures
 * (workers_seen stays 0). stop: not 0: MR_INTERRUPTED. */
int local_render(const mr_pack *pack, const mr_picture *picture, uint32_t tile, unsigned threads, const mr_kernel *kernel,
                 const volatile int *stop, progress *bar, mr_film *film, co_job_status *status, mr_error *err);

#endif
