/* mobyray submit: gives a job to a running coordinator and does not wait for it. */
#include <stdio.h>
#include <string.h>

#include "cli/jobs.h"
#include "cli/keys.h"
#include "cli/signals.h"
#include "tracer/film.h"

static cli_picture asked;
static const char *endpoint = "tcp://127.0.0.1:5555", *key, *name;
static co_job_options how = CLI_JOB_DEFAULTS;

static const arg_option options[] = {
    CLI_CLUSTER_OPTIONS(endpoint, key),
    {"output", 'o', ARG_TEXT, &name, 0, 0, "NAME", "of the picture in the coordinator's folder: .png, .exr, .hdr or .pfm (default: SCENE's name with .png)"},
    CLI_PICTURE_OPTIONS(asked),
    CLI_JOB_OPTIONS(how),
    {.name = NULL}};

typedef struct submission {
    const mr_pack *pack;
    mr_picture picture;
    uint64_t job;
} submission;

static int talk(const co_client_config *config, void *user, mr_error *err)
{
    submission *s = user;
    return co_client_submit(config, s->pack, &s->picture, asked.tile, &s->job, err);
}

static int submit(const char *scene, mr_error *err)
{
    mr_pack pack = {.base = NULL};
    co_client_config config = {.stop = &signals_stop, .options = how, .name = name};
    int status = cli_load_scene(&pack, scene, err);
    if (status != MR_OK) return status;
    submission s = {.pack = &pack, .picture = cli_resolve_picture(&asked, &pack)};
    status = mr_picture_check(&s.picture, err);
    if (status == MR_OK) status = jobs_talk(endpoint, key, &config, talk, &s, err);
    if (status == MR_OK) printf("%llu\n", (unsigned long long)s.job);
    mr_pack_close(&pack);
    return status;
}

static int run_submit(const arg_result *args, mr_error *err)
{
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no SCENE given");
    int status = name ? MR_OK : cli_default_output(&name, args->positional[0], err);
    if (status == MR_OK && strchr(name, '/')) status = mr_fail(err, MR_USAGE, "-o: found '%s', expected a name without folders: the coordinator has one for pictures", name);
    if (status == MR_OK) status = mr_film_format_check(name, err);
    return status == MR_OK ? submit(args->positional[0], err) : status;
}

const cli_command submit_command = {"submit",
                                    "give a picture to a running coordinator and do not wait",
                                    "SCENE [OPTIONS]",
                                    "Prints the job's number. The coordinator writes the picture into its folder (--pictures) as job-NUMBER-NAME; `mobyray status`\n"
                                    "tells when, `mobyray cancel` ends it.",
                                    options,
                                    1,
                                    run_submit};
