#include "cli/report.h"

#include <cJSON.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"

static double per_second(uint64_t count, const co_job_status *status)
{
    return status->seconds > 0 ? (double)count / status->seconds : 0;
}

void report_print(const co_job_status *status)
{
    fprintf(stderr, "done: %.3f s, %.3f Msamples/s, %.3f Mrays/s, %llu tiles, %u worker%s seen, %llu tile%s redone\n", status->seconds,
            per_second(status->samples_done, status) * 1e-6, per_second(status->rays, status) * 1e-6,
            (unsigned long long)status->tiles, status->workers_seen, status->workers_seen == 1 ? "" : "s",
            (unsigned long long)status->tiles_redone, status->tiles_redone == 1 ? "" : "s");
    if (status->verified || status->evicted)
        fprintf(stderr, "%llu results were done twice and agreed, %u worker%s evicted\n", (unsigned long long)status->verified, status->evicted,
                status->evicted == 1 ? " was" : "s were");
}

static void add_hash(cJSON *json, const char *key, const uint8_t hash[MR_HASH_BYTES])
{
    char hex[2 * MR_HASH_BYTES + 1];
    mr_hash_hex(hash, hex);
    (void)cJSON_AddStringToObject(json, key, hex);
}

static cJSON *make_report(const co_job_status *status, const mr_pack *pack, const mr_film *film, const co_account_report *account)
{
    uint8_t image_hash[MR_HASH_BYTES];
    cJSON *json = cJSON_CreateObject();
    mr_film_hash(film, image_hash);
    (void)cJSON_AddNumberToObject(json, "seconds", status->seconds);
    (void)cJSON_AddNumberToObject(json, "samples_per_s", per_second(status->samples_done, status));
    (void)cJSON_AddNumberToObject(json, "rays_per_s", per_second(status->rays, status));
    (void)cJSON_AddNumberToObject(json, "tiles", (double)status->tiles);
    (void)cJSON_AddNumberToObject(json, "workers_seen", status->workers_seen);
    (void)cJSON_AddNumberToObject(json, "tiles_redone", (double)status->tiles_redone);
    (void)cJSON_AddNumberToObject(json, "tiles_verified", (double)status->verified);
    (void)cJSON_AddNumberToObject(json, "workers_evicted", status->evicted);
    (void)cJSON_AddNumberToObject(json, "width", film->width);
    (void)cJSON_AddNumberToObject(json, "height", film->height);
    (void)cJSON_AddNumberToObject(json, "spp", film->spp);
    add_hash(json, "scene_hash", pack->header->hash);
    add_hash(json, "image_hash", image_hash);
    if (account) (void)cJSON_AddItemToObject(json, "account", report_account(account));
    return json;
}

int report_save(const char *path, const co_job_status *status, const mr_pack *pack, const mr_film *film, const co_account_report *account, mr_error *err)
{
    return json_write(make_report(status, pack, film, account), path, err);
}

int report_failure(co_server *server, uint64_t job, const co_job_status *status, const char *scene, const mr_picture *picture, mr_error *err)
{
    char missing[512];
    if (status->state == CO_JOB_CANCELLED) return mr_fail(err, MR_FAILED, "the job was cancelled");
    co_server_missing(server, job, missing, sizeof missing, 8);
    return mr_fail(err, MR_FAILED, "%llu of %llu tiles are missing. To replay one: " CO_REPLAY_FORMAT, (unsigned long long)(status->tiles - status->tiles_done),
                   (unsigned long long)status->tiles, scene, picture->width, picture->height, picture->spp, picture->seed, missing);
}
