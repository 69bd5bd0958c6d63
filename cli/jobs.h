/* What submit, status and cancel share: the connection to a running coordinator. */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "cli/cli.h"
#include "coordinator/client.h"

/* The rows of --cluster and --key, for static const char *. */
#define CLI_CLUSTER_OPTIONS(endpoint, key)                                                                                             \
    {"cluster", 0, ARG_ENDPOINT, &(endpoint), 0, 0, "ENDPOINT", "the coordinator (default: tcp://127.0.0.1:5555)"},                    \
    CLI_KEY_OPTION(key)

/* Fills in endpoint and keys and calls `talk`; the keys are wiped afterwards. */
int jobs_talk(const char *endpoint, const char *key, co_client_config *config, int (*talk)(const co_client_config *config, void *user, mr_error *err),
              void *user, mr_error *err);

const char *jobs_state_name(int state); /* enum co_job_state */

#endif
