/* The containers of a Compose project: see cli/autoscale.h.
 *
 * All that matters is in the engine: which containers there are, and in which state. So an autoscaler that was killed, or whose engine was away, goes on from
 * what it finds. Of the service's containers one is always kept, stopped if need be: it is what new ones are made from.
 *
 * A worker that is to go gets the signal that makes it drain: it takes nothing more, finishes what it has begun, hands back
 * the rest, and ends. Then its container is removed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/autoscale.h"

typedef struct place {
    engine_container c;
    int rank;                /* who goes first: 0 not with the coordinator (yet), 1 idle, 2 busy */
    uint32_t in_hand;
    int leaving;
} place;

typedef struct turn {
    scaler *s;
    place *places;
    unsigned count, here;    /* here: running, and not about to leave */
    double now_s;
} turn;

/* ---- who leaves ---- */

static scaler_leaving *leaving_entry(scaler *s, const char *id)
{
    for (unsigned i = 0; i < s->leaving_count; i++)
        if (!strcmp(s->leaving[i].id, id)) return &s->leaving[i];
    return NULL;
}

static void note_leaving(scaler *s, const char *id, double now_s)
{
    if (leaving_entry(s, id) || s->leaving_count == SCALER_LEAVING_MOST) return;
    scaler_leaving *l = &s->leaving[s->leaving_count++];
    (void)snprintf(l->id, sizeof l->id, "%s", id);
    l->since_s = now_s;
}

static void forget_leaving(scaler *s, const char *id)
{
    scaler_leaving *l = leaving_entry(s, id);
    if (l) *l = s->leaving[--s->leaving_count];
}

static void forget_the_gone(turn *t)
{
    for (unsigned i = t->s->leaving_count; i-- > 0;) {
        int found = 0;
        for (unsigned k = 0; k < t->count; k++) found |= !strcmp(t->places[k].c.id, t->s->leaving[i].id);
        if (!found) t->s->leaving[i] = t->s->leaving[--t->s->leaving_count];
    }
}

/* ---- what there is ---- */

/* A container's host name is the beginning of its id, unless somebody chose another. */
static void match(place *p, const scaler_wish *wish)
{
    for (unsigned i = 0; i < wish->count; i++) {
        const scaler_worker *w = &wish->list[i];
        if (strlen(w->host) < 12 || strncmp(p->c.id, w->host, strlen(w->host)) != 0) continue;
        p->rank = w->state == SCALER_IDLE ? 1 : 2;
        p->in_hand = w->in_hand;
        p->leaving |= w->state == SCALER_DRAINING;
    }
}

static int look(turn *t, const scaler_wish *wish, mr_error *err)
{
    engine_container *list = NULL;
    unsigned count = 0;
    int status = engine_list(&t->s->engine, t->s->project, t->s->service, &list, &count, err);
    t->places = status ? NULL : calloc((size_t)count + 1, sizeof *t->places);
    if (!status && !t->places) status = mr_fail(err, MR_FAILED, "out of memory");
    for (unsigned i = 0; !status && i < count; i++) {
        place *p = &t->places[t->count];
        *p = (place){ .c = list[i] };
        if (p->c.state == ENGINE_OTHER) continue; /* on its way out already */
        match(p, wish);
        p->leaving |= leaving_entry(t->s, p->c.id) != NULL;
        if (p->leaving && p->c.state == ENGINE_RUNNING) note_leaving(t->s, p->c.id, t->now_s);
        t->here += p->c.state == ENGINE_RUNNING && !p->leaving;
        t->count++;
    }
    free(list);
    if (!status) forget_the_gone(t);
    return status;
}

/* ---- more ---- */

static unsigned free_number(const turn *t)
{
    for (unsigned number = 1;; number++) {
        int taken = 0;
        for (unsigned i = 0; i < t->count; i++) taken |= t->places[i].c.number == number;
        if (!taken) return number;
    }
}

/* One to be started: one that has stopped, else a new one. numbers: new ones of this turn. */
static int prepare_one(turn *t, unsigned *numbers, char *id, mr_error *err)
{
    const place *model = NULL;
    for (unsigned i = 0; i < t->count; i++) {
        place *p = &t->places[i];
        if (p->c.state == ENGINE_RUNNING) {
            model = p;
            continue;
        }
        forget_leaving(t->s, p->c.id);
        p->c.state = ENGINE_RUNNING;
        p->leaving = 0;
        (void)snprintf(id, ENGINE_ID, "%s", p->c.id);
        return MR_OK;
    }
    if (!model)
        return mr_fail(err, MR_FAILED, "project %s has no container of service %s to copy: make one with `docker compose up --scale %s=1`", t->s->project, t->s->service, t->s->service);
    return engine_clone(&t->s->engine, &model->c, free_number(t) + (*numbers)++, id, err);
}

typedef struct starting {
    const scaler *s;
    char id[ENGINE_ID];
    int status;
    mr_error err;
    pthread_t thread;
    int threaded;
} starting;

static void *start_one(void *user)
{
    starting *me = user;
    engine own;
    me->status = engine_again(&own, &me->s->engine, me->s->docker, &me->err);
    if (me->status) return NULL;
    me->status = engine_start(&own, me->id, &me->err);
    engine_close(&own);
    return NULL;
}

/* Together: an engine starts several in the time of one or two. The first failure is returned when all have been tried. */
static int start_all(starting *list, unsigned count, mr_error *err)
{
    int status = MR_OK;
    for (unsigned i = 0; i < count; i++) {
        list[i].threaded = pthread_create(&list[i].thread, NULL, start_one, &list[i]) == 0;
        if (!list[i].threaded) (void)start_one(&list[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (list[i].threaded) (void)pthread_join(list[i].thread, NULL);
        if (!status && list[i].status) status = mr_fail(err, list[i].status, "%s", list[i].err.text);
    }
    return status;
}

static int grow(turn *t, unsigned want, const char *reason, mr_error *err)
{
    starting list[SCALER_AT_ONCE];
    unsigned more = want - t->here, numbers = 0, ready = 0;
    int status = MR_OK;
    scaler_say("%u of %u workers are here (%s): starting %u", t->here, want, reason, more);
    for (; ready < more && ready < SCALER_AT_ONCE; ready++) {
        list[ready] = (starting){ .s = t->s };
        status = prepare_one(t, &numbers, list[ready].id, err);
        if (status) break;
    }
    int started = start_all(list, ready, status ? NULL : err);
    return status ? status : started;
}

/* ---- fewer ---- */

static int goes_before(const place *a, const place *b)
{
    if (a->rank != b->rank) return a->rank < b->rank;
    if (a->in_hand != b->in_hand) return a->in_hand < b->in_hand;
    if (a->c.created_s != b->c.created_s) return a->c.created_s > b->c.created_s;
    return a->c.number > b->c.number;
}

static place *next_to_go(turn *t)
{
    place *first = NULL;
    for (unsigned i = 0; i < t->count; i++) {
        place *p = &t->places[i];
        if (p->c.state != ENGINE_RUNNING || p->leaving) continue;
        if (!first || goes_before(p, first)) first = p;
    }
    return first;
}

static int shrink(turn *t, unsigned want, const char *reason, mr_error *err)
{
    unsigned idle = 0, busy = 0;
    int status = MR_OK;
    for (place *p; !status && t->here > want && (p = next_to_go(t)) != NULL;) {
        status = engine_tell_to_stop(&t->s->engine, p->c.id, err);
        if (status) break;
        note_leaving(t->s, p->c.id, t->now_s);
        p->leaving = 1;
        t->here--;
        busy += p->rank == 2;
        idle += p->rank != 2;
    }
    if (idle + busy) scaler_say("%u workers are wanted (%s): %u idle and %u busy ones are told to finish", want, reason, idle, busy);
    return status;
}

/* ---- what is left behind ---- */

/* Containers that have ended are removed when they were told to, or when an autoscaler made them; but for the last one, the model of those to come. */
static int tidy(turn *t, mr_error *err)
{
    unsigned kept = t->count;
    int status = MR_OK;
    for (unsigned i = 0; !status && i < t->count; i++) {
        place *p = &t->places[i];
        const scaler_leaving *l = leaving_entry(t->s, p->c.id);
        if (p->c.state == ENGINE_RUNNING) {
            if (l && t->now_s - l->since_s > t->s->grace_s) {
                scaler_say("%s has not finished within %.0f s: it is killed, its tiles go to others", p->c.name, t->s->grace_s);
                status = engine_kill(&t->s->engine, p->c.id, err);
            }
            continue;
        }
        if (!l && !p->c.ours) continue;
        if (kept > 1) status = engine_remove(&t->s->engine, p->c.id, err);
        kept -= kept > 1 && !status;
        forget_leaving(t->s, p->c.id);
    }
    return status;
}

int scaler_compose_turn(scaler *s, const scaler_wish *wish, double now_s, mr_error *err)
{
    turn t = { .s = s, .now_s = now_s };
    int status = look(&t, wish, err);
    unsigned want = wish->workers < s->max ? wish->workers : s->max;
    if (!status && wish->known && want > t.here) status = grow(&t, want, wish->reason, err);
    else if (!status && wish->known && wish->may_stop && want < t.here) status = shrink(&t, want, wish->reason, err);
    if (!status && (!wish->known || want <= t.here)) status = tidy(&t, err);
    free(t.places);
    return status;
}
