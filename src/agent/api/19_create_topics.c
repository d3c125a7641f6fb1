/* SPDX-License-Identifier: Apache-2.0 */
/* CreateTopics: each topic is one command to the quorum, from whichever node is asked; answered
 * when all of them are applied here, so that the client's next Metadata knows them.
 *
 * How many copies there are is the policy's business: a replication factor that the cluster could
 * have is taken and answered with the one that holds; replicas that are assigned by hand must lie
 * where the policy wants them. */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

#define STRICT_SINCE 6 /* KIP-599 */

static void refuse(struct request *rq, struct kafka_create_topics_response_topic *out, int error,
                   const char *why)
{
    out->error = error_kafka(error);
    out->error_message = arena_text(&rq->arena, why);
}

/* What holds now (KIP-525). */
static void tell_configs(struct request *rq, const struct control_topic *topic,
                         struct kafka_create_topics_response_topic *out)
{
    struct config_view *views = NULL;
    uint32_t count = topic != NULL ? topic_config_views(rq->node, topic, &rq->arena, &views) : 0;

    out->configs = kafka_create_topics_response_config_new(&rq->arena, count);
    out->configs_count = count;
    for (uint32_t i = 0; i < count; i++) {
        out->configs[i].name = slice_text(views[i].name);
        out->configs[i].value = views[i].value;
        out->configs[i].read_only = views[i].read_only;
        out->configs[i].source = views[i].source;
    }
}

static void applied(struct request *rq, void *ctx, const struct command_result *result)
{
    struct kafka_create_topics_response_topic *out = ctx;

    out->error = error_kafka(result->error);
    if (result->error != 0) {
        out->error_message = proposal_why(rq, result);
        return;
    }
    const struct kafka_create_topics_request *m = rq->message;
    out->topic_id = m->validate_only ? (struct uuid){{0}} : result->topic_id;
    out->num_partitions = (int32_t)result->partitions;
    out->replication_factor = (int16_t)result->replicas;
    tell_configs(rq, control_topic_by_id(rq->node->control, result->topic_id), out);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static bool take_configs(struct request *rq, const struct kafka_create_topics_request_topic *in,
                         struct topic_config_change *changes,
                         struct kafka_create_topics_response_topic *out)
{
    for (uint32_t i = 0; i < in->configs_count; i++) {
        struct slice value = in->configs[i].value;
        char *text = arena_take(&rq->arena, value.len + 1);
        if (!slice_to_text(in->configs[i].name, changes[i].name, sizeof changes[i].name)) {
            refuse(rq, out, TERN_EINVALIDCONFIG, "Unknown topic config name");
            return false;
        }
        if (value.base == NULL || !slice_to_text(value, text, value.len + 1)) {
            refuse(rq, out, TERN_EINVALIDREQUEST, "Null value not supported for topic configs");
            return false;
        }
        changes[i].op = TOPIC_CONFIG_SET;
        changes[i].value = text;
    }
    return true;
}

/* Partitions 0 to n-1, each once. */
static bool take_assignments(struct request *rq, const struct kafka_create_topics_request_topic *in,
                             struct command_placement *placement,
                             struct kafka_create_topics_response_topic *out)
{
    uint32_t count = in->assignments_count;
    const struct kafka_create_topics_request_assignment **of =
        arena_take(&rq->arena, (count + 1) * sizeof *of);

    if (in->num_partitions != -1 || in->replication_factor != -1) {
        refuse(rq, out, TERN_EINVALIDREQUEST,
               "with a manual assignment partitions and replication factor must be -1");
        return false;
    }
    memset(of, 0, count * sizeof *of);
    for (uint32_t i = 0; i < count; i++) {
        int32_t partition = in->assignments[i].partition;
        if (partition < 0 || (uint32_t)partition >= count || of[partition] != NULL) {
            refuse(rq, out, TERN_EINVALIDASSIGNMENT,
                   "partitions should be a consecutive 0-based integer sequence");
            return false;
        }
        of[partition] = &in->assignments[i];
    }
    *placement = placement_begin(rq, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!placement_add(placement, of[i]->broker_ids, of[i]->broker_ids_count)) {
            refuse(rq, out, TERN_EINVALIDASSIGNMENT,
                   "an assignment is empty, or names a broker twice or one that is not there");
            return false;
        }
    }
    return true;
}

static uint32_t data_nodes(const struct control *control)
{
    uint32_t count = 0;

    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *n = &control->nodes[id];
        count += n->id != 0 && n->start_number != 0 && !n->removed &&
                 !control->regions[n->region].witness;
    }
    return count;
}

static bool counts_allowed(struct request *rq, const struct kafka_create_topics_request_topic *in,
                           struct kafka_create_topics_response_topic *out)
{
    char why[160];

    if (in->assignments_count > 0) {
        return true;
    }
    if (in->num_partitions == 0 || in->num_partitions < -1) {
        refuse(rq, out, TERN_EINVALIDPARTITIONS,
               "Number of partitions must be larger than 0, or -1 to use the default value.");
        return false;
    }
    if (in->num_partitions > CONTROL_PARTITIONS_MAX) {
        (void)snprintf(why, sizeof why, "a topic has at most %d partitions",
                       CONTROL_PARTITIONS_MAX);
        refuse(rq, out, TERN_EPOLICY, why);
        return false;
    }
    if (in->replication_factor == 0 || in->replication_factor < -1) {
        refuse(rq, out, TERN_EINVALIDREPLICATION,
               "Replication factor must be larger than 0, or -1 to use the default value.");
        return false;
    }
    uint32_t there = data_nodes(rq->node->control);
    if (in->replication_factor > 0 && (uint32_t)in->replication_factor > there) {
        (void)snprintf(why, sizeof why, "Replication factor: %d larger than available brokers: %u.",
                       in->replication_factor, there);
        refuse(rq, out, TERN_EINVALIDREPLICATION, why);
        return false;
    }
    return true;
}

/* What it is in the quota of changes. The policy's number is not looked up: it is one or a few. */
static uint32_t partitions_of(const struct kafka_create_topics_request_topic *in)
{
    return in->assignments_count > 0 ? in->assignments_count
           : in->num_partitions > 0  ? (uint32_t)in->num_partitions
                                     : 1;
}

static void create_one(struct request *rq, const struct kafka_create_topics_request_topic *in,
                       struct kafka_create_topics_response_topic *out)
{
    const struct kafka_create_topics_request *m = rq->message;
    struct node *node = rq->node;
    struct topic_config_change *configs =
        arena_take(&rq->arena, (in->configs_count + 1) * sizeof *configs);
    struct command_placement placement = {0};
    char name[CONTROL_TOPIC_NAME_MAX];
    struct buf command = {0};

    if (in->name.len == 0 || !slice_to_text(in->name, name, sizeof name)) {
        refuse(rq, out, TERN_EINVALIDTOPIC, "a topic name has 1 to 249 characters");
        return;
    }
    if (!counts_allowed(rq, in, out) || !take_configs(rq, in, configs, out) ||
        (in->assignments_count > 0 && !take_assignments(rq, in, &placement, out))) {
        return;
    }
    if (!m->validate_only && !quota_changes(rq, partitions_of(in), STRICT_SINCE)) {
        refuse(rq, out, TERN_ETHROTTLED, error_sentence(TERN_ETHROTTLED));
        return;
    }
    struct command_topic topic = {
        .name = name,
        .topic_id = uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock)),
        .partitions = in->num_partitions,
        .configs = configs,
        .config_count = in->configs_count,
        .placement = placement,
    };
    command_create_topic_as(&command, node_next_key(node), &topic);
    proposals_put(rq, &command, m->timeout_ms, m->validate_only, applied, out);
}

void api_create_topics(struct request *rq)
{
    const struct kafka_create_topics_request *m = rq->message;
    struct kafka_create_topics_response *response = arena_take(&rq->arena, sizeof *response);
    struct naming *names = arena_take(&rq->arena, (m->topics_count + 1) * sizeof *names);

    for (uint32_t i = 0; i < m->topics_count; i++) {
        names[i].name = m->topics[i].name;
    }
    const enum named *named = named_twice(&rq->arena, names, m->topics_count);
    kafka_create_topics_response_init(response);
    response->topics = kafka_create_topics_response_topic_new(&rq->arena, m->topics_count);
    rq->state = response;
    proposals_begin(rq, proposals_reply);
    for (uint32_t i = 0; i < m->topics_count; i++) {
        if (named[i] == NAMED_AGAIN) {
            continue; /* told once */
        }
        struct kafka_create_topics_response_topic *out =
            &response->topics[response->topics_count++];
        out->name = m->topics[i].name;
        tell_configs(rq, NULL, out);
        if (named[i] == NAMED_FIRST) {
            refuse(rq, out, TERN_EINVALIDREQUEST, "Duplicate topic name.");
        } else {
            create_one(rq, &m->topics[i], out);
        }
    }
    response->throttle_ms = quota_changes_wait(rq);
    proposals_end(rq);
}
