/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_operator.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define CREATE_VERSION 5
#define DELETE_VERSION 5
#define NAMES_MAX      60
#define CALL_US        (3 * SIM_S)

/* Each name is created once, so that what comes late can't undo what came after it. */
struct extra {
    char name[16];
    bool created; /* acknowledged */
    bool leaving; /* its deletion was asked for */
    bool deleted; /* acknowledged */
};

struct rule {
    struct quorum_proposal proposal;
    bool under_way;
    uint32_t node; /* where */
};

struct sim_operator {
    struct sim_client client; /* first */
    struct prng chance;
    uint64_t pace_us;
    bool stopped;
    struct timer next;
    struct sim_call call;
    bool busy;
    bool deleting;
    uint32_t at; /* of the call */
    uint32_t count;
    struct extra extras[NAMES_MAX];
    struct rule rule;
};

static void answered(struct sim_call *call, int status, const void *response)
{
    struct sim_operator *op = CONTAINER_OF(call, struct sim_operator, call);
    const struct kafka_create_topics_response *created = response;
    const struct kafka_delete_topics_response *deleted = response;
    struct extra *extra = &op->extras[op->at];

    op->busy = false;
    if (status != 0) {
        return;
    }
    if (op->deleting) {
        extra->deleted = extra->deleted || deleted->topics[0].error == 0;
    } else {
        extra->created = extra->created || created->topics[0].error == 0;
    }
}

static void create(struct sim_operator *op)
{
    struct extra *extra = &op->extras[op->count];
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic t;

    (void)snprintf(extra->name, sizeof extra->name, "extra-%u", op->count);
    op->at = op->count++;
    op->deleting = false;
    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&t);
    t.name = slice_text(extra->name);
    t.num_partitions = 1;
    t.replication_factor = -1;
    m.topics = &t;
    m.topics_count = 1;
    m.timeout_ms = 2000;
    op->busy = true;
    sim_conn_ask(sim_client_any(&op->client), &op->call, 19, CREATE_VERSION, &m, CALL_US);
}

static void drop(struct sim_operator *op, uint32_t at)
{
    struct slice name = slice_text(op->extras[at].name);
    struct kafka_delete_topics_request m;

    op->at = at;
    op->deleting = true;
    op->extras[at].leaving = true;
    kafka_delete_topics_request_init(&m);
    m.topic_names = &name;
    m.topic_names_count = 1;
    m.timeout_ms = 2000;
    op->busy = true;
    sim_conn_ask(sim_client_any(&op->client), &op->call, 20, DELETE_VERSION, &m, CALL_US);
}

static void ruled(struct quorum_proposal *proposal, int status, struct slice result)
{
    (void)status;
    (void)result;
    CONTAINER_OF(proposal, struct rule, proposal)->under_way = false;
}

/* The leaders of the critical policy move to another region. */
static void move_leaders(struct sim_operator *op)
{
    static const char *const orders[] = {"eu-west, eu-central, eu-north",
                                         "eu-central, eu-north, eu-west",
                                         "eu-north, eu-west, eu-central"};
    struct sim *sim = op->client.sim;
    struct sim_node *node = &sim->nodes[1 + prng_below(&op->chance, sim->node_count)];
    struct policy_set set = {0};
    struct buf command = {0};
    char text[256];

    if (op->rule.under_way || node->node == NULL || node->paused ||
        node_quorum(node->node) == NULL) {
        return;
    }
    (void)snprintf(text, sizeof text,
                   "policy: payments\ntopics: [payments]\ncritical: true\nmode: sync\nack: 2\n"
                   "leaders: [%s]\n",
                   orders[prng_below(&op->chance, ARRAY_COUNT(orders))]);
    policy_parse(&set, "sim", slice_text(text));
    policy_set_check(&set);
    CHECK(set.problem_count == 0);
    sim_node_enter(node);
    command_put_policy(&command, node_next_key(node->node), &set.policies[0], "sim", 0, false);
    op->rule.proposal.done = ruled;
    op->rule.under_way = true;
    op->rule.node = node->id;
    sim_tell(sim, "the operator moves leaders at node %u", node->id);
    quorum_submit(node_quorum(node->node), buf_slice(&command), &op->rule.proposal);
    buf_fini(&command);
    policy_set_fini(&set);
}

static void next(struct timer *timer)
{
    struct sim_operator *op = CONTAINER_OF(timer, struct sim_operator, next);
    struct sim *sim = op->client.sim;
    uint64_t what = prng_below(&op->chance, 8);

    if (op->stopped) {
        return;
    }
    sim_after(sim, timer, prng_between(&op->chance, op->pace_us / 2, op->pace_us * 3 / 2));
    if (what == 0) {
        move_leaders(op);
    } else if (op->busy) {
        return;
    } else if (what < 5 && op->count < NAMES_MAX) {
        create(op);
    } else if (op->count > 0) {
        uint32_t at = (uint32_t)prng_below(&op->chance, op->count);
        if (op->extras[at].created && !op->extras[at].deleted) {
            drop(op, at);
        }
    }
}

struct sim_operator *sim_operator_new(struct sim *sim, uint64_t pace_us)
{
    struct sim_operator *op = mem_new(sizeof *op);

    sim_client_init(&op->client, sim, 1, "operator");
    op->chance = prng_split(&sim->chance_operator);
    op->pace_us = pace_us;
    op->call.done = answered;
    op->next.fire = next;
    sim_after(sim, &op->next, pace_us);
    return op;
}

void sim_operator_free(struct sim_operator *op)
{
    if (op != NULL) {
        struct sim *sim = op->client.sim;
        if (op->rule.under_way) { /* a node that ends would have answered */
            quorum_cancel(node_quorum(sim->nodes[op->rule.node].node), &op->rule.proposal);
        }
        sim_client_fini(&op->client);
        sim_stop(sim, &op->next);
        free(op);
    }
}

void sim_operator_stop(struct sim_operator *op)
{
    op->stopped = true;
}

void sim_operator_check(struct sim_operator *op)
{
    struct sim *sim = op->client.sim;
    const struct control *control = sim_newest_control(sim);

    for (uint32_t i = 0; i < op->count; i++) {
        const struct extra *extra = &op->extras[i];
        bool there = control_topic_named(control, extra->name) != NULL;
        if (extra->created && !extra->leaving && !there) {
            sim_fail(sim, "C10: topic %s was created, and is gone", extra->name);
        }
        if (extra->deleted && there) {
            sim_fail(sim, "C10: topic %s was deleted, and is there", extra->name);
        }
    }
}
