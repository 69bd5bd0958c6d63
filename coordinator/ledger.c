/* See coordinator/ledger.h. Nothing here decides who gets what. */
#include "coordinator/ledger.h"

#include <stdlib.h>

#include "coordinator/grow.h"

/* ---- actions ---- */

static int grow_actions(co_scheduler *s)
{
    uint32_t capacity = s->action_capacity ? s->action_capacity * 2 : 256;
    co_action *actions = malloc(capacity * sizeof *actions);
    if (!actions) return -1;
    for (uint32_t i = 0; i < s->action_count; i++) actions[i] = s->actions[(s->action_first + i) % s->action_capacity];
    free(s->actions);
    s->actions = actions;
    s->action_capacity = capacity;
    s->action_first = 0;
    return 0;
}

void co_ledger_act(co_scheduler *s, co_action action)
{
    if (s->action_count == s->action_capacity && grow_actions(s)) {
        s->broken = 1;
        return;
    }
    s->actions[(s->action_first + s->action_count++) % s->action_capacity] = action;
}

int co_scheduler_next(co_scheduler *s, co_action *out)
{
    if (!s->action_count) return 0;
    *out = s->actions[s->action_first];
    s->action_first = (s->action_first + 1) % s->action_capacity;
    s->action_count--;
    return 1;
}

/* ---- pools ---- */

static uint32_t new_lease(co_scheduler *s)
{
    if (s->lease_free == NONE) {
        uint32_t from = s->lease_capacity;
        lease *grown = co_grow(s->leases, &s->lease_capacity, sizeof *grown);
        if (!grown) return NONE;
        s->leases = grown;
        for (uint32_t i = s->lease_capacity; i-- > from;) {
            s->leases[i] = (lease){ .in_worker.next = s->lease_free };
            s->lease_free = i;
        }
    }
    uint32_t i = s->lease_free;
    s->lease_free = s->leases[i].in_worker.next;
    s->leases[i] = (lease){ .id = (uint64_t)++s->generation << 32 | i };
    if (!s->generation) s->leases[i].id = (uint64_t)++s->generation << 32 | i;
    s->lease_count++;
    return i;
}

uint32_t co_ledger_new_worker(co_scheduler *s)
{
    if (s->worker_free == NONE) {
        uint32_t from = s->worker_capacity;
        worker *grown = co_grow(s->workers, &s->worker_capacity, sizeof *grown);
        if (!grown) return NONE;
        s->workers = grown;
        for (uint32_t i = s->worker_capacity; i-- > from;) {
            s->workers[i] = (worker){ .in_heard.next = s->worker_free };
            s->worker_free = i;
        }
    }
    uint32_t i = s->worker_free;
    s->worker_free = s->workers[i].in_heard.next;
    return i;
}

uint32_t co_ledger_lease(const co_scheduler *s, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    return id && i < s->lease_capacity && s->leases[i].id == id ? i : NONE;
}

uint32_t co_ledger_worker(const co_scheduler *s, uint32_t peer)
{
    int64_t i = co_map_get(&s->by_peer, peer);
    return i < 0 ? NONE : (uint32_t)i;
}

/* The place of the first job with an id >= id. */
uint32_t co_ledger_job_place(const co_scheduler *s, uint64_t id)
{
    uint32_t lo = 0, hi = s->job_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (s->jobs[middle]->id < id) lo = middle + 1;
        else hi = middle;
    }
    return lo;
}

job *co_ledger_job(const co_scheduler *s, uint64_t id)
{
    uint32_t place = co_ledger_job_place(s, id);
    return place < s->job_count && s->jobs[place]->id == id ? s->jobs[place] : NULL;
}

/* ---- turns ---- */

static int before(const job *a, const job *b)
{
    if (a->sums.priority != b->sums.priority) return a->sums.priority > b->sums.priority;
    return a->served < b->served;
}

void co_ledger_queue_job(co_scheduler *s, job *j)
{
    job **at = &s->turns;
    while (*at && !before(j, *at)) at = &(*at)->next;
    j->next = *at;
    *at = j;
}

void co_ledger_unqueue_job(co_scheduler *s, job *j)
{
    for (job **at = &s->turns; *at; at = &(*at)->next) {
        if (*at != j) continue;
        *at = j->next;
        return;
    }
}

static void serve(co_scheduler *s, job *j, uint64_t paths)
{
    j->served += paths;
    if (!j->next || !before(j->next, j)) return;
    co_ledger_unqueue_job(s, j);
    co_ledger_queue_job(s, j);
}

/* ---- units ---- */

/* The plan is asked once for each unit: it divides, and this is asked all the time. */
static const unit *measured(const job *j, uint32_t ui)
{
    unit *u = &j->units[ui];
    if (u->height) return u;
    const mr_tile t = co_plan_unit(&j->plan, ui);
    u->height = (uint16_t)t.height;
    u->row_paths = (uint64_t)t.width * t.sample_count;
    return u;
}

static uint32_t height_of(const job *j, uint32_t ui) { return measured(j, ui)->height; }
uint16_t co_ledger_bands(const job *j, uint32_t ui) { return co_bands_all(height_of(j, ui)); }
int co_ledger_is_done(const job *j, uint32_t ui) { return j->units[ui].done == co_ledger_bands(j, ui); }

uint64_t co_ledger_paths(const job *j, uint32_t ui, uint16_t bands)
{
    const unit *u = measured(j, ui);
    return u->row_paths * co_bands_rows(u->height, bands);
}

/* Bands that a lease other than `but` holds for the film. */
static uint16_t held_bands(const co_scheduler *s, const unit *u, uint32_t but)
{
    uint16_t held = 0;
    for (uint32_t li = u->leases; li != NONE; li = s->leases[li].in_unit)
        if (li != but && s->leases[li].kind != CHECK) held |= s->leases[li].bands;
    return held;
}

uint16_t co_ledger_open(const co_scheduler *s, const job *j, uint32_t ui)
{
    const unit *u = &j->units[ui];
    return (uint16_t)(co_ledger_bands(j, ui) & ~u->done & ~held_bands(s, u, NONE));
}

static void count_open(co_scheduler *s, job *j, uint32_t ui, uint16_t bands, int sign)
{
    uint64_t paths = bands ? co_ledger_paths(j, ui, bands) : 0;
    if (sign < 0) paths = 0 - paths;
    j->open_paths += paths;
    if (!ended(j)) s->open_paths += paths;
}

/* ---- leases ---- */

static void count_worker(co_scheduler *s, job *j, const worker *w)
{
    uint32_t key = fold(w->incarnation);
    if (co_map_get(&j->seen, key) >= 0) return;
    if (co_map_put(&j->seen, key, 1)) s->broken = 1;
    j->sums.workers_seen++;
}

static void begin(co_scheduler *s, worker *w, uint64_t now_us)
{
    while (w->begun < w->threads && w->first_waiting != NONE) {
        lease *l = &s->leases[w->first_waiting];
        l->begun = 1;
        l->began_us = now_us;
        w->begun++;
        w->waiting_rays -= l->rays;
        w->first_waiting = l->in_worker.next;
    }
}

static void count_assignment(co_scheduler *s, job *j, unit *u, const lease *l, uint64_t now_us)
{
    count_worker(s, j, &s->workers[l->worker]);
    if (l->kind == FIRST) {
        j->sums.tiles_redone += (u->lost & l->bands) != 0;
        u->lost = (uint16_t)(u->lost & ~l->bands);
        count_open(s, j, l->unit, l->bands, -1);
    }
    if (j->sums.state != CO_JOB_QUEUED) return;
    j->sums.state = CO_JOB_RUNNING;
    j->begun_us = now_us;
}

static void hang_lease(co_scheduler *s, uint32_t li, uint64_t now_us)
{
    lease *l = &s->leases[li];
    job *j = l->job;
    worker *w = &s->workers[l->worker];
    unit *u = &j->units[l->unit];
    l->in_unit = u->leases;
    u->leases = li;
    LIST_APPEND(&w->leases, li, IN_WORKER);
    LIST_APPEND(&j->leases, li, IN_JOB);
    w->in_hand++;
    w->busy_us = now_us;
    w->hand_rays += l->rays;
    w->waiting_rays += l->rays;
    if (w->first_waiting == NONE) w->first_waiting = li;
    begin(s, w, now_us);
}

void co_ledger_assign(co_scheduler *s, uint32_t wi, job *j, uint32_t ui, uint16_t bands, int kind, uint32_t record_index, uint64_t now_us)
{
    uint32_t li = new_lease(s);
    if (li == NONE) {
        s->broken = 1;
        return;
    }
    uint64_t paths = co_ledger_paths(j, ui, bands);
    lease *l = &s->leases[li];
    l->job = j;
    l->unit = ui;
    l->worker = wi;
    l->bands = bands;
    l->kind = (uint8_t)kind;
    l->record = record_index;
    l->rays = co_order_rays(s, j, ui, paths);
    count_assignment(s, j, &j->units[ui], l, now_us);
    hang_lease(s, li, now_us);
    serve(s, j, paths);
    co_ledger_act(s, (co_action){ .kind = CO_ACT_ASSIGN, .peer = s->workers[wi].peer, .worker = s->workers[wi].number, .job = j->id, .unit = ui,
                                  .bands = bands, .lease = l->id });
}

static void unhang(co_scheduler *s, uint32_t li)
{
    const lease *l = &s->leases[li];
    uint32_t *at = &l->job->units[l->unit].leases;
    while (*at != li) at = &s->leases[*at].in_unit;
    *at = l->in_unit;
}

void co_ledger_release(co_scheduler *s, uint32_t li, uint64_t now_us)
{
    lease *l = &s->leases[li];
    worker *w = &s->workers[l->worker];
    uint32_t wi = l->worker;
    if (w->first_waiting == li) w->first_waiting = l->in_worker.next;
    LIST_REMOVE(&w->leases, li, IN_WORKER);
    LIST_REMOVE(&l->job->leases, li, IN_JOB);
    unhang(s, li);
    w->in_hand--;
    w->hand_rays -= l->rays;
    w->begun -= l->begun;
    if (l->begun) w->held_up = 0;
    if (!l->begun) w->waiting_rays -= l->rays;
    if (w->in_hand == 0) w->alone = 0;
    begin(s, w, now_us);
    if (l->kind == CHECK) co_checks_released(l->job, l->record);
    else count_open(s, l->job, l->unit, l->bands & co_ledger_open(s, l->job, l->unit), 1);
    *l = (lease){ .in_worker.next = s->lease_free };
    s->lease_free = li;
    s->lease_count--;
    co_ledger_settle(s, wi, now_us);
}

void co_ledger_revoke(co_scheduler *s, uint32_t li, int running, uint64_t now_us)
{
    const lease *l = &s->leases[li];
    worker *w = &s->workers[l->worker];
    w->revoked_us = now_us;
    co_ledger_act(s, (co_action){ .kind = CO_ACT_REVOKE, .peer = w->peer, .worker = w->number, .job = l->job->id, .lease = l->id, .running = running });
    co_ledger_release(s, li, now_us);
}

/* ---- what comes in, what goes back ---- */

static void push(job *j, uint32_t ui)
{
    unit *u = &j->units[ui];
    if (u->queued) return;
    uint32_t *stack = is_suspect(j, u) ? &j->suspects : &j->redo;
    u->next = *stack;
    u->queued = 1;
    *stack = ui;
}

void co_ledger_put_aside(co_scheduler *s, job *j, uint32_t ui, int why, uint64_t now_us)
{
    unit *u = &j->units[ui];
    if (u->aside) return;
    u->aside = 1;
    j->aside++;
    for (uint32_t li = u->leases, next; li != NONE; li = next) { /* its other parts shall not bring down more */
        next = s->leases[li].in_unit;
        if (s->leases[li].kind != CHECK) co_ledger_revoke(s, li, 1, now_us);
    }
    co_ledger_act(s, (co_action){ .kind = CO_ACT_ASIDE, .job = j->id, .unit = ui, .why = why });
}

static int is_deadly(const job *j, const unit *u)
{
    return u->guilty && u->deaths >= CO_DEATHS_MOST + doubts(j, u);
}

int co_ledger_reopen(co_scheduler *s, job *j, uint32_t ui, uint16_t lost, uint64_t now_us)
{
    unit *u = &j->units[ui];
    uint16_t open = co_ledger_open(s, j, ui);
    if (!open || !u->given || u->aside || ended(j)) return 0;
    u->lost |= lost & open;
    if (is_deadly(j, u) || u->failures >= CO_FAILURES_MOST) {
        co_ledger_put_aside(s, j, ui, u->failures >= CO_FAILURES_MOST ? CO_ASIDE_FAILED : CO_ASIDE_DEADLY, now_us);
        return 0;
    }
    push(j, ui);
    return 1;
}

/* A worker may have had several parts of it, or come back after it was lost. */
static void accuse(unit *u, const worker *w)
{
    enum { LAST = sizeof u->killed / sizeof *u->killed };
    uint32_t who = fold(w->incarnation);
    u->guilty |= w->alone_begun;
    for (unsigned i = 0; i < LAST && i < u->deaths; i++)
        if (u->killed[i] == who) return;
    if (u->deaths == UINT8_MAX) return;
    u->killed[u->deaths++ % LAST] = who;
}

int co_ledger_give_back(co_scheduler *s, uint32_t li, int blame, uint64_t now_us)
{
    const lease *l = &s->leases[li];
    job *j = l->job;
    uint32_t ui = l->unit;
    uint16_t bands = l->kind == CHECK ? 0 : l->bands;
    if (blame && l->begun) accuse(&j->units[ui], &s->workers[l->worker]);
    co_ledger_release(s, li, now_us);
    int back = co_ledger_reopen(s, j, ui, bands, now_us);
    co_ledger_end_if_over(s, j, now_us);
    return back;
}

static void revoke_needless(co_scheduler *s, job *j, uint32_t ui, uint64_t now_us)
{
    for (uint32_t li = j->units[ui].leases, next; li != NONE; li = next) {
        next = s->leases[li].in_unit;
        if (s->leases[li].kind != CHECK && !(s->leases[li].bands & ~j->units[ui].done)) co_ledger_revoke(s, li, 1, now_us);
    }
}

void co_ledger_commit(co_scheduler *s, job *j, uint32_t ui, uint16_t bands, uint64_t now_us)
{
    unit *u = &j->units[ui];
    count_open(s, j, ui, bands & co_ledger_open(s, j, ui), -1);
    u->done |= bands;
    u->lost = (uint16_t)(u->lost & ~bands);
    j->sums.samples_done += co_ledger_paths(j, ui, bands);
    if (co_ledger_is_done(j, ui)) {
        j->aside -= u->aside;
        u->aside = 0;
        j->done++;
    }
    revoke_needless(s, j, ui, now_us);
}

void co_ledger_uncommit(co_scheduler *s, job *j, uint32_t ui, uint16_t bands)
{
    unit *u = &j->units[ui];
    j->done -= (uint32_t)co_ledger_is_done(j, ui);
    u->done = (uint16_t)(u->done & ~bands);
    j->sums.samples_done -= co_ledger_paths(j, ui, bands);
    count_open(s, j, ui, bands & co_ledger_open(s, j, ui), 1);
}

/* ---- the end of jobs ---- */

void co_ledger_end_job(co_scheduler *s, job *j, int state, uint64_t now_us)
{
    co_ledger_unqueue_job(s, j);
    s->open_paths -= j->open_paths;
    s->known_rays -= j->known_rays;
    s->known_paths -= j->known_paths;
    j->sums.state = state;
    j->ended_us = now_us;
    while (j->leases.head != NONE) co_ledger_release(s, j->leases.head, now_us);
    for (uint32_t wi = s->heard.head; wi != NONE; wi = HEARD(wi).next)
        co_ledger_act(s, (co_action){ .kind = CO_ACT_FORGET, .peer = s->workers[wi].peer, .worker = s->workers[wi].number, .job = j->id });
    co_ledger_act(s, (co_action){ .kind = CO_ACT_ENDED, .job = j->id });
}

void co_ledger_end_if_over(co_scheduler *s, job *j, uint64_t now_us)
{
    if (ended(j) || j->done + j->aside < j->count || co_checks_pending(j)) return;
    co_ledger_end_job(s, j, j->aside ? CO_JOB_FAILED : CO_JOB_DONE, now_us);
}
