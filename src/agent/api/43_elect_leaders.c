/* SPDX-License-Identifier: Apache-2.0 */
/* ElectLeaders: a preferred election moves leaders to where the policy wants them, at once instead
 * of when the controller finds everything well. An unclean one is refused: what has been
 * acknowledged is given up by policy or by `tern topic recover` alone. */
#include "agent/api.h"
#include "base/error.h"

#define PREFERRED 0
#define UNCLEAN   1

static void tell(struct request *rq, struct kafka_elect_leaders_response_partition *out, int error,
                 const char *why)
{
    out->error = error_kafka(error);
    out->error_message = error != 0 ? arena_text(&rq->arena, why) : (struct slice){0};
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    bool refused = result->error == TERN_EREFUSED || result->error == TERN_ENOQUORUM;

    tell(rq, ctx, refused ? TERN_ENOTPREFERRED : result->error, result->why);
}

static void unclean(struct request *rq, const struct control_partition *p,
                    struct kafka_elect_leaders_response_partition *out)
{
    bool led = p->leader != 0 && (control_alive(rq->node->control) & NODE_BIT(p->leader)) != 0;

    tell(rq, out, led ? TERN_EELECTIONNOTNEEDED : TERN_ENOTELIGIBLE,
         led ? "The election is not needed: the partition has a leader."
             : "only tern topic recover gives acknowledged records up");
}

static void elect(struct request *rq, const struct control_topic *topic, int32_t index,
                  struct kafka_elect_leaders_response_partition *out)
{
    const struct kafka_elect_leaders_request *m = rq->message;
    struct node *node = rq->node;
    struct buf command = {0};

    out->index = index;
    if (topic == NULL || index < 0 || (uint32_t)index >= topic->partition_count) {
        tell(rq, out, TERN_ENOENT, "No such topic or partition.");
        return;
    }
    const struct control_partition *p = &topic->partitions[index];
    if (m->election_type == UNCLEAN) {
        unclean(rq, p, out);
        return;
    }
    node_set here = liveness_reachable(node) | NODE_BIT(node->o.node_id);
    uint32_t preferred = control_preferred_leader(node->control, topic, p, here);
    if (preferred == 0) {
        tell(rq, out, TERN_ENOTPREFERRED, "no leader reaches its quorums");
        return;
    }
    if (preferred == p->leader) {
        tell(rq, out, TERN_EELECTIONNOTNEEDED, "Leader election not needed for topic partition.");
        return;
    }
    struct command_assignment assignment = {
        .topic_id = topic->id, .partition = index, .if_epoch = p->epoch, .leader = preferred};
    command_assign(&command, node_next_key(node), &assignment, 1);
    proposals_add(rq, &command, m->timeout_ms, applied, out);
}

/* The election of each partition that is asked for by name, by `one`. */
static void each_asked(struct request *rq, struct kafka_elect_leaders_response *response,
                       void (*one)(struct request *rq, const struct control_topic *topic,
                                   int32_t index,
                                   struct kafka_elect_leaders_response_partition *out))
{
    const struct kafka_elect_leaders_request *m = rq->message;

    response->results = kafka_elect_leaders_response_result_new(&rq->arena, m->topics_count);
    response->results_count = m->topics_count;
    for (uint32_t i = 0; i < m->topics_count; i++) {
        struct kafka_elect_leaders_response_result *out = &response->results[i];
        out->name = m->topics[i].name;
        out->partitions_count = m->topics[i].partitions_count;
        out->partitions =
            kafka_elect_leaders_response_partition_new(&rq->arena, out->partitions_count);
        for (uint32_t k = 0; k < out->partitions_count; k++) {
            one(rq, topic_by_slice(rq->node, m->topics[i].name), m->topics[i].partitions[k],
                &out->partitions[k]);
        }
    }
}

static void unknown_kind(struct request *rq, const struct control_topic *topic, int32_t index,
                         struct kafka_elect_leaders_response_partition *out)
{
    (void)topic;
    out->index = index;
    tell(rq, out, TERN_EINVALIDREQUEST, "Unknown election type");
}

static void elect_all(struct request *rq, struct kafka_elect_leaders_response *response)
{
    const struct control *control = rq->node->control;

    response->results =
        kafka_elect_leaders_response_result_new(&rq->arena, HASH_CNT(by_name, control->by_name));
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        struct kafka_elect_leaders_response_result *out =
            &response->results[response->results_count++];
        out->name = arena_text(&rq->arena, t->name);
        out->partitions =
            kafka_elect_leaders_response_partition_new(&rq->arena, t->partition_count);
        for (uint32_t i = 0; i < t->partition_count; i++) {
            elect(rq, t, (int32_t)i, &out->partitions[i]);
        }
        out->partitions_count = t->partition_count;
    }
}

/* Of all partitions, only those that had to be elected are told. */
static void leave_out_the_rest(struct kafka_elect_leaders_response *response)
{
    int16_t not_needed = error_kafka(TERN_EELECTIONNOTNEEDED);
    uint32_t topics = 0;

    for (uint32_t i = 0; i < response->results_count; i++) {
        struct kafka_elect_leaders_response_result *r = &response->results[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < r->partitions_count; k++) {
            if (r->partitions[k].error != not_needed) {
                r->partitions[kept++] = r->partitions[k];
            }
        }
        r->partitions_count = kept;
        if (kept > 0) {
            response->results[topics++] = *r;
        }
    }
    response->results_count = topics;
}

static void finish(struct request *rq)
{
    const struct kafka_elect_leaders_request *m = rq->message;

    if (m->topics == NULL) {
        leave_out_the_rest(rq->state);
    }
    request_reply(rq, rq->state);
}

void api_elect_leaders(struct request *rq)
{
    const struct kafka_elect_leaders_request *m = rq->message;
    struct kafka_elect_leaders_response *response = arena_take(&rq->arena, sizeof *response);

    kafka_elect_leaders_response_init(response);
    rq->state = response;
    if (m->election_type != PREFERRED && m->election_type != UNCLEAN) {
        response->error = error_kafka(TERN_EINVALIDREQUEST);
        each_asked(rq, response, unknown_kind);
        request_reply(rq, response);
        return;
    }
    proposals_begin(rq, finish);
    if (m->topics == NULL) {
        elect_all(rq, response);
    } else {
        each_asked(rq, response, elect);
    }
    proposals_end(rq);
}
