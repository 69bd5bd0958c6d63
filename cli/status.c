/* mobyray status: the jobs of a running coordinator, as a table or as JSON. */
#include <cJSON.h>
#include <stdio.h>

#include "cli/jobs.h"
#include "cli/json.h"
#include "cli/keys.h"

static const char *endpoint = "tcp://127.0.0.1:5555", *key;
static int as_json, summary;

static const arg_option options[] = {
    CLI_CLUSTER_OPTIONS(endpoint, key), {"json", 0, ARG_FLAG, &as_json, 0, 0, "", "an array of objects instead of a table"},
    {"summary", 0, ARG_FLAG, &summary, 0, 0, "", "of the cluster, and how many workers it wants, instead of its jobs; --json: an object"},
    {.name = NULL}};

static double share_done(const co_listed_job *job)
{
    const mr_picture *p = &job->picture;
    double samples = (double)p->width * p->height * p->spp;
    return samples > 0 ? (double)job->status.samples_done / samples : 0;
}

/* The first time that it is called. */
static void print_head(int *printed)
{
    if (*printed) return;
    *printed = 1;
    printf("%6s  %-9s %4s %7s %8s %8s %7s %9s  %-11s %5s  %s\n", "job", "state", "prio", "done", "tiles", "redone", "workers", "seconds", "size", "spp", "name");
}

static void print_row(void *user, const co_listed_job *job)
{
    const co_job_status *s = &job->status;
    char size[32];
    print_head(user);
    (void)snprintf(size, sizeof size, "%ux%u", job->picture.width, job->picture.height);
    printf("%6llu  %-9s %4u %6.1f%% %8llu %8llu %7u %9.1f  %-11s %5u  %s%s%s\n", (unsigned long long)s->id, jobs_state_name(s->state), s->priority,
           share_done(job) * 100, (unsigned long long)s->tiles, (unsigned long long)s->tiles_redone, s->workers_seen, s->seconds, size, job->picture.spp,
           job->name, job->text[0] ? ": " : "", job->text);
}

static void add_object(void *user, const co_listed_job *job)
{
    const co_job_status *s = &job->status;
    cJSON *json = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(json, "job", (double)s->id);
    (void)cJSON_AddStringToObject(json, "state", jobs_state_name(s->state));
    (void)cJSON_AddNumberToObject(json, "priority", s->priority);
    (void)cJSON_AddNumberToObject(json, "done", share_done(job));
    (void)cJSON_AddNumberToObject(json, "tiles", (double)s->tiles);
    (void)cJSON_AddNumberToObject(json, "tiles_done", (double)s->tiles_done);
    (void)cJSON_AddNumberToObject(json, "tiles_redone", (double)s->tiles_redone);
    (void)cJSON_AddNumberToObject(json, "tiles_verified", (double)s->verified);
    (void)cJSON_AddNumberToObject(json, "workers", s->workers);
    (void)cJSON_AddNumberToObject(json, "workers_seen", s->workers_seen);
    (void)cJSON_AddNumberToObject(json, "workers_evicted", s->evicted);
    (void)cJSON_AddNumberToObject(json, "seconds", s->seconds);
    (void)cJSON_AddNumberToObject(json, "width", job->picture.width);
    (void)cJSON_AddNumberToObject(json, "height", job->picture.height);
    (void)cJSON_AddNumberToObject(json, "spp", job->picture.spp);
    (void)cJSON_AddStringToObject(json, "name", job->name);
    (void)cJSON_AddStringToObject(json, "text", job->text);
    (void)cJSON_AddItemToArray(user, json);
}

static int list(const co_client_config *config, void *user, mr_error *err)
{
    return co_client_jobs(config, as_json ? add_object : print_row, user, err);
}

static int print_json(co_client_config *config, mr_error *err)
{
    cJSON *jobs = cJSON_CreateArray();
    int status = jobs_talk(endpoint, key, config, list, jobs, err);
    if (status == MR_OK) return json_write(jobs, "-", err);
    cJSON_Delete(jobs);
    return status;
}

static int ask_cluster(const co_client_config *config, void *user, mr_error *err)
{
    return co_client_cluster(config, user, err);
}

static void print_cluster(const co_cluster *c)
{
    printf("%u worker%s (%u thread%s, %u busy), %u wanted: %s\n", c->workers, c->workers == 1 ? "" : "s", c->threads, c->threads == 1 ? "" : "s", c->busy, c->desired, c->reason);
}

static void add_known(cJSON *json, const char *name, double value)
{
    (void)(value > 0 ? cJSON_AddNumberToObject(json, name, value) : cJSON_AddNullToObject(json, name));
}

static int print_cluster_json(const co_cluster *c, mr_error *err)
{
    cJSON *json = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(json, "workers", c->workers);
    (void)cJSON_AddNumberToObject(json, "threads", c->threads);
    (void)cJSON_AddNumberToObject(json, "busy_workers", c->busy);
    (void)cJSON_AddNumberToObject(json, "jobs", c->jobs);
    (void)cJSON_AddNumberToObject(json, "tiles_left", (double)c->tiles_left);
    (void)cJSON_AddNumberToObject(json, "desired_workers", c->desired);
    (void)cJSON_AddStringToObject(json, "desired_reason", c->reason);
    (void)cJSON_AddNumberToObject(json, "min_workers", c->min);
    (void)cJSON_AddNumberToObject(json, "max_workers", c->max);
    add_known(json, "work_left_s", c->work_s);
    add_known(json, "worker_start_s", c->start_s);
    (void)cJSON_AddNumberToObject(json, "uptime_s", c->up_s);
    return json_write(json, "-", err);
}

static int run_summary(mr_error *err)
{
    co_client_config config = {.endpoint = NULL};
    co_cluster cluster = {.workers = 0};
    int status = jobs_talk(endpoint, key, &config, ask_cluster, &cluster, err);
    if (status == MR_OK && as_json) return print_cluster_json(&cluster, err);
    if (status == MR_OK) print_cluster(&cluster);
    return status;
}

static int run_status(const arg_result *args, mr_error *err)
{
    co_client_config config = {.endpoint = NULL};
    int headed = 0;
    (void)args;
    if (summary) return run_summary(err);
    if (as_json) return print_json(&config, err);
    int status = jobs_talk(endpoint, key, &config, list, &headed, err);
    if (status == MR_OK) print_head(&headed);
    return status;
}

const cli_command status_command = {"status",
                                    "list the jobs of a running coordinator",
                                    "[OPTIONS]",
                                    "Those that wait and run, and the last that were submitted and are over, with the file of the picture or the tiles that are missing.",
                                    options,
                                    0,
                                    run_status};
