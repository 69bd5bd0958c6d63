/* mobyray worker: connects to a coordinator, which may not be up yet, and traces tiles until it is dismissed or told to stop. */
#include <sodium.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/join.h"
#include "cli/keys.h"
#include "cli/log.h"
#include "cli/signals.h"
#include "worker/cpus.h"
#include "worker/worker.h"

enum { GONE_S = 60 }; /* --exit-when-done: a coordinator out of reach for so long has done its work */

static const char *endpoint, *packs, *key, *join;
static uint32_t threads;
static int packs_checked, exit_when_done, null, quiet;

static const arg_option options[] = {
    {"coordinator", 0, ARG_ENDPOINT, &endpoint, 0, 0, "ENDPOINT", "the coordinator's address, as tcp://HOST:5555"},
    CLI_KEY_OPTION(key),
    CLI_JOIN_OPTION(join),
    {"threads", 0, ARG_COUNT, &threads, 1, 1024, "N", "tracer threads (default: one a CPU of this machine or container)"},
    {"packs", 0, ARG_TEXT, &packs, 0, 0, "DIR", "keep scene packs in this folder, and look there before asking for one"},
    {"packs-checked", 0, ARG_FLAG, &packs_checked, 0, 0, "", "believe the packs of a private folder (as an embedded cluster's) unread"},
    {"exit-when-done", 0, ARG_FLAG, &exit_when_done, 0, 0, "", "end, too, when no coordinator has been in reach for a minute"},
    {"null", 0, ARG_FLAG, &null, 0, 0, "", "trace nothing, return noise at once: only `mobyray bench --null` takes such workers"},
    {"quiet", 0, ARG_FLAG, &quiet, 0, 0, "", "no log"},
    {.name = NULL}};

static void greet(const wk_config *config)
{
    char line[256];
    (void)snprintf(line, sizeof line, "worker with %u thread%s, kernel %s; looking for the coordinator at %s", config->threads,
                   config->threads == 1 ? "" : "s", config->kernel->name, config->endpoint);
    log_line(NULL, line);
}

static int run_worker(const arg_result *args, mr_error *err)
{
    static char joined[JOIN_ENDPOINT_MAX];
    const mr_kernel *kernel;
    (void)args;
    wire_keys keys;
    int with_keys, status = cli_pick_kernel(&kernel, err);
    if (status == MR_OK) status = join_or_keys(join, key, keys_of_worker, &keys, &with_keys, joined, err);
    if (status == MR_OK && !endpoint) endpoint = joined[0] ? joined : NULL;
    if (status == MR_OK && !endpoint) status = mr_fail(err, MR_USAGE, "no coordinator given, expected --coordinator tcp://HOST:5555 or --join TOKEN");
    if (status != MR_OK) return status;
    const wk_config config = {.endpoint = endpoint,
                              .keys = with_keys ? &keys : NULL,
                              .threads = threads ? threads : wk_cpu_count(),
                              .kernel = kernel,
                              .stop = &signals_stop,
                              .give_up_ms = exit_when_done ? GONE_S * 1000 : 0,
                              .pack_dir = packs,
                              .packs_checked = packs_checked,
                              .null = null,
                              .log = quiet ? NULL : log_line};
    if (!quiet) greet(&config);
    double start = cli_now();
    status = wk_run(&config, err);
    sodium_memzero(&keys, sizeof keys);
    /* A worker that came after the last tile was never dismissed: having given up is its way of being done. */
    if (status == MR_FAILED && exit_when_done && cli_now() - start >= GONE_S) {
        if (!quiet) log_line(NULL, err->text);
        return MR_OK;
    }
    return status;
}

const cli_command worker_command = {
    "worker",
    "trace tiles for a coordinator",
    "--coordinator tcp://HOST:5555 | --join TOKEN [OPTIONS]",
    "With --join, --coordinator is needed only where the token's address is not the one that leads there from here.\n"
    "It may start before the coordinator, and finds it again after a restart. On SIGTERM it finishes or hands back its tiles and leaves.",
    options,
    0,
    run_worker};
