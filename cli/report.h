/* The figures of a finished render: the closing line on stderr, and the same as JSON. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "coordinator/server.h"
#include "tracer/film.h"
#include "tracer/pack.h"

void report_print(const co_job_status *status);

/* seconds, samples_per_s, rays_per_s, tiles, workers_seen, tiles_redone, tiles_verified, workers_evicted, width, height, spp, scene_hash, image_hash. */
int report_save(const char *path, const co_job_status *status, const mr_pack *pack, const mr_film *film, mr_error *err);

/* The error of a job that has ended without being done: MR_FAILED, naming tiles that are missing and the command that replays one of them. */
int report_failure(co_server *server, uint64_t job, const co_job_status *status, const char *scene, const mr_picture *picture, mr_error *err);

#endif
