#include "cli/jobs.h"

#include <sodium.h>

#include "cli/keys.h"

int jobs_talk(const char *endpoint, const char *key, co_client_config *config, int (*talk)(const co_client_config *config, void *user, mr_error *err),
              void *user, mr_error *err)
{
    wire_keys keys;
    int with_keys = 0, status = keys_load(key, keys_of_client, &keys, &with_keys, err);
    config->endpoint = endpoint;
    config->keys = with_keys ? &keys : NULL;
    if (status == MR_OK) status = talk(config, user, err);
    sodium_memzero(&keys, sizeof keys);
    return status;
}

const char *jobs_state_name(int state)
{
    static const char *const names[] = {"queued", "running", "done", "failed", "cancelled"};
    return state >= 0 && state < (int)(sizeof names / sizeof *names) ? names[state] : "?";
}
