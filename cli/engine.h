/* A Docker engine, through its socket: as much of its API as an autoscaler needs (https://docs.docker.com/engine/api/v1.41/). What it says is checked for
 * its form before it is used; it is trusted beyond that, as whoever reaches that socket owns the machine. */
#ifndef CLI_ENGINE_H
#define CLI_ENGINE_H

#include <stdint.h>

#include <cJSON.h>

#include "cli/http.h"

enum { ENGINE_ID = 65, ENGINE_NAME = 256, ENGINE_CONTAINERS_MOST = 10000 };

typedef struct engine {
    http_client *http;
    char version[16];    /* "/v1.41" */
    unsigned cpus;
} engine;

enum engine_state { ENGINE_CREATED, ENGINE_RUNNING, ENGINE_EXITED, ENGINE_OTHER }; /* running: restarting and paused, too; other: on its way out */

typedef struct engine_container {
    char id[ENGINE_ID], name[ENGINE_NAME]; /* name: without the slash */
    int state;               /* enum engine_state */
    int64_t created_s;
    unsigned number;         /* com.docker.compose.container-number; 0: none */
    int ours;                /* made by an autoscaler */
} engine_container;

/* base: unix:///var/run/docker.sock or http://HOST:PORT. MR_FAILED: no engine there, or one too old. */
int engine_open(engine *e, const char *base, mr_error *err);
/* The same engine by a connection of its own, for another thread. */
int engine_again(engine *e, const engine *known, const char *base, mr_error *err);
void engine_close(engine *e);

/* The Compose project of a container, by id or host name: project[ENGINE_NAME]; MR_FAILED: it is of none. */
int engine_project_of(engine *e, const char *container, char *project, mr_error *err);

/* The containers of a Compose service, in any state, in no order; *list is malloc'd. Those of `docker compose run` are left out. */
int engine_list(engine *e, const char *project, const char *service, engine_container **list, unsigned *count, mr_error *err);

int engine_start(engine *e, const char *id, mr_error *err);  /* fine if it runs already */
/* A container like this one, with another number: created, on the same networks, not started. id[ENGINE_ID]. */
int engine_clone(engine *e, const engine_container *model, unsigned number, char *id, mr_error *err);
int engine_tell_to_stop(engine *e, const char *id, mr_error *err); /* its stop signal; returns at once */
int engine_kill(engine *e, const char *id, mr_error *err);
int engine_remove(engine *e, const char *id, mr_error *err); /* one that has ended, and its anonymous volumes */

/* The replicas of a Swarm service, by name: as its specification has them. */
int engine_replicas(engine *e, const char *service, unsigned *replicas, mr_error *err);
/* Its tasks that run, and shall. */
int engine_running(engine *e, const char *service, unsigned *running, mr_error *err);
/* Changes them. MR_FAILED, too, when another changed the service meanwhile: look again. */
int engine_set_replicas(engine *e, const char *service, unsigned replicas, mr_error *err);

#endif
