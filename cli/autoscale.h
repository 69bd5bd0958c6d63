/* What the autoscaler's files share: autoscale.c (the command, the coordinator's wish), autoscale_compose.c (the containers of a Compose project),
 * autoscale_swarm.c (the replicas of a Swarm service). */
#ifndef CLI_AUTOSCALE_H
#define CLI_AUTOSCALE_H

#include "cli/engine.h"

enum { SCALER_LEAVING_MOST = 1024, SCALER_AT_ONCE = 16 };

typedef struct scaler_worker { /* as the coordinator tells */
    uint64_t id;
    char host[64];
    int state;               /* enum scaler_state */
    uint32_t in_hand;
} scaler_worker;

enum scaler_state { SCALER_IDLE, SCALER_BUSY, SCALER_DRAINING };

typedef struct scaler_wish { /* what the coordinator tells */
    int known;               /* how many workers are wanted */
    unsigned workers;
    int may_stop;            /* it is old enough to know whom it does not need */
    char reason[128];
    scaler_worker *list;     /* of those that are there; owned */
    unsigned count;
} scaler_wish;

typedef struct scaler_leaving { /* a container that was told to stop */
    char id[ENGINE_ID];
    double since_s;
} scaler_leaving;

typedef struct scaler {
    engine engine;
    int open;                /* the engine is */
    http_client *api;
    int orders;              /* the coordinator takes them from us: we have its token */
    const char *docker, *service, *swarm;
    char project[ENGINE_NAME];
    unsigned max;
    double grace_s;
    scaler_leaving leaving[SCALER_LEAVING_MOST];
    unsigned leaving_count;
    char said[sizeof ((mr_error *)0)->text]; /* the last trouble that was logged */
} scaler;

/* One turn: looks at the engine, brings the number of workers nearer to the wish. MR_FAILED: the engine's trouble; the next turn tries again. */
int scaler_compose_turn(scaler *s, const scaler_wish *wish, double now_s, mr_error *err);
int scaler_swarm_turn(scaler *s, const scaler_wish *wish, mr_error *err); /* sorts the wish's list */

/* Has the coordinator send one home: it gets nothing more, finishes what it has, and ends. One that has gone is no error. Needs s->orders. */
int scaler_drain(scaler *s, const scaler_worker *worker, mr_error *err);

void scaler_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
