/* The replicas of a Swarm service: see cli/autoscale.h.
 *
 * Which tasks end when the replicas are lowered is Swarm's choice: it evens out its nodes, takes of one node's tasks those first that do not run, and knows nothing of
 * who is busy (swarmkit, manager/orchestrator/replicated). So, where we may give orders to the coordinator, it is the coordinator that sends workers home, idle
 * ones before busy ones, and the replicas are lowered as Swarm sees their tasks end, before it has started others in their place (`delay` of its restart policy). Without
 * that right Swarm chooses, and whoever it chooses drains. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/autoscale.h"
#include "cli/cli.h"

enum { GONE_MS = 1500, LOOK_MS = 50 }; /* less than a restart policy's delay */

/* Idle ones first, then those with least in hand, then the newest. */
static int by_worth(const void *one, const void *other)
{
    const scaler_worker *a = one, *b = other;
    if (a->state != b->state) return a->state < b->state ? -1 : 1;
    if (a->in_hand != b->in_hand) return a->in_hand < b->in_hand ? -1 : 1;
    return a->id > b->id ? -1 : a->id < b->id;
}

/* Orders so many to go that `most` are about to, those of before included. *idle: the idle ones among those that were told now. */
static int send_home(scaler *s, const scaler_wish *wish, unsigned most, unsigned *idle, mr_error *err)
{
    unsigned going = 0, busy = 0;
    int status = MR_OK;
    for (unsigned i = 0; i < wish->count; i++) going += wish->list[i].state == SCALER_DRAINING;
    qsort(wish->list, wish->count, sizeof *wish->list, by_worth);
    for (unsigned i = 0; !status && i < wish->count && going < most && wish->list[i].state != SCALER_DRAINING; i++) {
        status = scaler_drain(s, &wish->list[i], err);
        if (status) break;
        *idle += wish->list[i].state == SCALER_IDLE;
        busy += wish->list[i].state == SCALER_BUSY;
        going++;
    }
    if (*idle + busy) scaler_say("%u workers are wanted (%s): %u idle and %u busy ones are told to finish", wish->workers, wish->reason, *idle, busy);
    return status;
}

/* Waits a moment until Swarm has seen so many tasks end; *running: those that it takes to run. */
static int wait_gone(scaler *s, unsigned enough, unsigned *running, mr_error *err)
{
    int status = MR_OK;
    const unsigned before = *running;
    for (double end = cli_now() + GONE_MS / 1000.0; !status && *running + enough > before && cli_now() < end;) {
        (void)usleep(LOOK_MS * 1000);
        status = engine_running(&s->engine, s->swarm, running, err);
    }
    return status;
}

static int shrink(scaler *s, const scaler_wish *wish, unsigned have, unsigned want, mr_error *err)
{
    unsigned running = 0, idle = 0, fewer = have - want;
    int status = engine_running(&s->engine, s->swarm, &running, err);
    if (!status && running > want) { /* those that do not run go first as it is */
        status = send_home(s, wish, running - want, &idle, err);
        if (!status) status = wait_gone(s, idle ? idle : 1, &running, err);
    }
    if (status || running >= have) return status;
    if (have - running < fewer) fewer = have - running;
    scaler_say("%s: %u -> %u replicas (%s)", s->swarm, have, have - fewer, wish->reason);
    return engine_set_replicas(&s->engine, s->swarm, have - fewer, err);
}

int scaler_swarm_turn(scaler *s, const scaler_wish *wish, mr_error *err)
{
    unsigned have = 0, want = wish->workers < s->max ? wish->workers : s->max;
    int status = engine_replicas(&s->engine, s->swarm, &have, err);
    if (status || !wish->known || want == have || (want < have && !wish->may_stop)) return status;
    if (want < have && s->orders) return shrink(s, wish, have, want, err);
    scaler_say("%s: %u -> %u replicas (%s)", s->swarm, have, want, wish->reason);
    return engine_set_replicas(&s->engine, s->swarm, want, err);
}
