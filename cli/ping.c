/* mobyray ping: does a coordinator answer? The containers' health check. */
#include <stdio.h>

#include "cli/cli.h"
#include "coordinator/client.h"

static const char *endpoint = "tcp://127.0.0.1:5555";
static uint32_t timeout_s = 3;

static const arg_option options[] = {
    {"coordinator", 0, ARG_ENDPOINT, &endpoint, 0, 0, "ENDPOINT", "the coordinator's address (default: tcp://127.0.0.1:5555)"},
    {"timeout", 0, ARG_COUNT, &timeout_s, 1, 3600, "SECONDS", "how long to wait for an answer (default: 3)"},
    {.name = NULL}};

static int run_ping(const arg_result *args, mr_error *err)
{
    const char *target = args->positional_count ? args->positional[0] : endpoint;
    int status = args_check_endpoint("ENDPOINT", target, 0, err);
    if (status == MR_OK) status = co_client_ping(target, timeout_s * 1000, err);
    if (status == MR_OK) printf("a coordinator answers at %s\n", target);
    return status;
}

const cli_command ping_command = {"ping", "ask whether a coordinator answers (exit 0: yes)", "[ENDPOINT] [OPTIONS]", NULL, options, 1,
                                  run_ping};
