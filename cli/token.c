/* mobyray token: lets one more machine, or a thousand, in as workers, and prints the one word that they need to join. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/join.h"
#include "cli/keys.h"

static const char *endpoint, *name = "joined";

static const arg_option options[] = {
    {"endpoint", 0, ARG_ENDPOINT, &endpoint, 0, 0, "ENDPOINT", "where those machines reach the coordinator, as tcp://HOST:5555"},
    {"name", 0, ARG_TEXT, &name, 0, 0, "NAME", "of its line in DIR/coordinator/allowed (default: joined)"},
    {.name = NULL}};

/* An address to listen on is none to go to. */
static int check_endpoint(mr_error *err)
{
    if (!endpoint) return mr_fail(err, MR_USAGE, "no --endpoint given, expected tcp://HOST:5555: where workers reach the coordinator");
    if (strncmp(endpoint, "tcp://0.0.0.0:", 14) != 0 && strncmp(endpoint, "tcp://[::]:", 11) != 0 && strncmp(endpoint, "tcp://*:", 8) != 0) return MR_OK;
    return mr_fail(err, MR_USAGE, "--endpoint: found '%s', an address to listen on; expected the name or address that workers reach the coordinator by", endpoint);
}

static int make(const char *dir, char text[JOIN_TEXT_MAX], mr_error *err)
{
    join_token token = {.endpoint = ""};
    wire_permit permit = {.roles = WIRE_ROLE_WORKER};
    int status = keys_load_public(dir, token.keys.coordinator, err);
    if (status == MR_OK) status = keys_make(token.keys.open, token.keys.secret, err);
    if (status != MR_OK) return status;
    (void)snprintf(token.endpoint, sizeof token.endpoint, "%s", endpoint);
    (void)snprintf(permit.name, sizeof permit.name, "%s", name);
    memcpy(permit.key, token.keys.open, sizeof permit.key);
    status = strlen(endpoint) < JOIN_ENDPOINT_MAX ? join_print(&token, text, err) : mr_fail(err, MR_USAGE, "--endpoint: longer than %d bytes", JOIN_ENDPOINT_MAX - 1);
    if (status == MR_OK) status = keys_let_in(dir, &permit, err);
    sodium_memzero(&token, sizeof token);
    return status;
}

static int run_token(const arg_result *args, mr_error *err)
{
    char text[JOIN_TEXT_MAX];
    if (!args->positional_count) return mr_fail(err, MR_USAGE, "no DIR given: where are the keys that `mobyray keygen` made?");
    int status = check_endpoint(err);
    if (status == MR_OK) status = keys_check_name("--name", name, err);
    if (status == MR_OK) status = make(args->positional[0], text, err);
    if (status == MR_OK) printf("%s\n", text);
    sodium_memzero(text, sizeof text);
    return status;
}

const cli_command token_command = {
    "token",
    "make the one word that lets a machine join as a worker",
    "DIR --endpoint tcp://HOST:5555 [OPTIONS]",
    "DIR holds the coordinator's keys (`mobyray keygen DIR`). The new key's line goes to DIR/coordinator/allowed, which a running coordinator reads again,\n"
    "and the token to stdout, once: it is a secret, kept nowhere else. Any number of machines may use one token:\n"
    "    mobyray worker --join TOKEN\n"
    "    docker run -d --restart=always IMAGE worker --join TOKEN\n"
    "To shut them out, remove the line: the coordinator lets go of its workers within a second or two.",
    options,
    1,
    run_token};
