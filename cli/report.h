/* The figures of a finished render: the closing line on stderr, and the same as JSON. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "coordinator/account.h"
#include "coordinator/server.h"
#include "tracer/film.h"
#include "tracer/pack.h"

void report_print(const co_job_status *status);

/* seconds, samples_per_s, rays_per_s, tiles, workers_seen, tiles_redone, tiles_verified, workers_evicted, width, height, spp, scene_hash, image_hash, */
/* and "account": where the threads' time went, as docs/BENCH.md says; account NULL: it is not known. */
int report_save(const char *path, const co_job_status *status, const mr_pack *pack, const mr_film *film, const co_account_report *account, mr_error *err);

struct cJSON;
struct cJSON *report_account(const co_account_report *account); /* as in the reports of `mobyray bench` (cli/bench_json.c) */

/* The error of a job that has ended without being done: MR_FAILED, naming tiles that are missing and the command that replays one of them. */
int report_failure(co_server *server, uint64_t job, const co_job_status *status, const char *scene, const mr_picture *picture, mr_error *err);

#endif
