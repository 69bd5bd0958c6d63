/* mobyray ping: does a coordinator answer? The containers' health check. */
#include <stdio.h>

#include <sodium.h>

#include "cli/cli.h"
#include "cli/join.h"
#include "cli/keys.h"
#include "coordinator/client.h"

static const char *endpoint, *key, *join;
static uint32_t timeout_s = 3;

static const arg_option options[] = {
    {"coordinator", 0, ARG_ENDPOINT, &endpoint, 0, 0, "ENDPOINT", "the coordinator's address (default: the token's, or tcp://127.0.0.1:5555)"},
    CLI_KEY_OPTION(key),
    CLI_JOIN_OPTION(join),
    {"timeout", 0, ARG_COUNT, &timeout_s, 1, 3600, "SECONDS", "how long to wait for an answer (default: 3)"},
    {.name = NULL}};

static int run_ping(const arg_result *args, mr_error *err)
{
    static char joined[JOIN_ENDPOINT_MAX];
    wire_keys keys;
    int with_keys = 0, status = join_or_keys(join, key, keys_of_anyone, &keys, &with_keys, joined, err);
    const char *target = args->positional_count ? args->positional[0] : endpoint ? endpoint : joined[0] ? joined : "tcp://127.0.0.1:5555";
    if (status == MR_OK) status = args_check_endpoint("ENDPOINT", target, 0, err);
    if (status == MR_OK) status = co_client_ping(target, with_keys ? &keys : NULL, timeout_s * 1000, err);
    sodium_memzero(&keys, sizeof keys);
    if (status == MR_OK) printf("a coordinator answers at %s\n", target);
    return status;
}

const cli_command ping_command = {"ping", "ask whether a coordinator answers (exit 0: yes)", "[ENDPOINT] [OPTIONS]", NULL, options, 1,
                                  run_ping};
