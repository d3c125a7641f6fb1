/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteGroups: answered when the tombstones are committed. */
#include <string.h>

#include "agent/group.h"
#include "base/error.h"

struct delete_groups;

struct delete_group {
    struct group_wait wait;
    struct delete_groups *all;
    struct kafka_delete_groups_response_result *out;
};

struct delete_groups {
    struct request *rq;
    struct kafka_delete_groups_response response;
    struct delete_group *groups;
    uint32_t waiting;
    bool starting;
};

static void finish(struct delete_groups *d)
{
    if (!d->starting && d->waiting == 0) {
        request_reply(d->rq, &d->response);
    }
}

static void deleted(struct group_wait *wait, int status)
{
    struct delete_group *g = CONTAINER_OF(wait, struct delete_group, wait);

    g->out->error = error_kafka(status);
    g->all->waiting--;
    finish(g->all);
}

static void drop_waits(struct request *rq, int error)
{
    struct delete_groups *d = rq->state;

    for (uint32_t i = 0; i < d->response.results_count; i++) {
        if (link_in_list(&d->groups[i].wait.link)) {
            link_remove(&d->groups[i].wait.link);
            d->groups[i].out->error = error_kafka(error);
        }
    }
    d->waiting = 0;
}

static void canceled(struct request *rq)
{
    drop_waits(rq, TERN_ECANCELED);
}

static void timed_out(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);

    drop_waits(rq, TERN_ENOCOORDINATOR);
    finish(rq->state);
}

static void begin(struct delete_group *g)
{
    struct coordinator *co = NULL;
    struct group_out out = {0};

    int status = coordinator_of(g->all->rq->node, g->out->group_id, &co);
    if (status == 0) {
        status = groups_delete(coordinator_groups(co), g->out->group_id, &out);
    }
    if (status != 0) {
        g->out->error = error_kafka(status);
        return;
    }
    coordinator_run(co, &out);
    g->wait.done = deleted;
    g->all->waiting++;
    coordinator_wait(co, &g->wait);
}

void api_delete_groups(struct request *rq)
{
    const struct kafka_delete_groups_request *m = rq->message;
    struct delete_groups *d = arena_take(&rq->arena, sizeof *d);

    if (m->group_names_count > GROUPS_ASKED_MAX) {
        request_end(rq, "more groups than anybody has");
        return;
    }
    memset(d, 0, sizeof *d);
    d->rq = rq;
    d->starting = true;
    rq->state = d;
    rq->cancel = canceled;
    kafka_delete_groups_response_init(&d->response);
    d->groups = arena_take(&rq->arena, (m->group_names_count + 1) * sizeof *d->groups);
    d->response.results = kafka_delete_groups_response_result_new(&rq->arena, m->group_names_count);
    d->response.results_count = m->group_names_count;
    for (uint32_t i = 0; i < m->group_names_count; i++) {
        d->groups[i].all = d;
        d->groups[i].out = &d->response.results[i];
        d->groups[i].out->group_id = m->group_names[i];
        begin(&d->groups[i]);
    }
    d->starting = false;
    if (d->waiting > 0) {
        rq->timer.fire = timed_out;
        timer_after_ms(rq->node->o.clock, &rq->timer, GROUPS_TIMEOUT_MS);
    }
    finish(d);
}
