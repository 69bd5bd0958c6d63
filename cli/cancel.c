/* mobyray cancel: ends a client's job. */
#include <errno.h>
#include <stdlib.h>

#include "cli/jobs.h"
#include "cli/keys.h"

static const char *endpoint = "tcp://127.0.0.1:5555", *key;

static const arg_option options[] = {CLI_CLUSTER_OPTIONS(endpoint, key), {.name = NULL}};

static int talk(const co_client_config *config, void *user, mr_error *err)
{
    return co_client_cancel(config, *(const uint64_t *)user, err);
}

static int run_cancel(const arg_result *args, mr_error *err)
{
    co_client_config config = {.endpoint = NULL};
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no JOB given");
    const char *text = args->positional[0];
    char *end = NULL;
    errno = 0;
    uint64_t job = text[0] >= '1' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (!job || errno || *end) return mr_fail(err, MR_USAGE, "JOB: found '%s', expected a number as `mobyray status` shows it", text);
    return jobs_talk(endpoint, key, &config, talk, &job, err);
}

const cli_command cancel_command = {"cancel", "end a job of a running coordinator", "JOB [OPTIONS]", NULL, options, 1, run_cancel};
