/* SPDX-License-Identifier: Apache-2.0 */
/* CreateTopics: each topic is one command to the quorum, from whichever node is asked; answered
 * when all of them are applied here, so that the client's next Metadata knows them. */
#include <stdlib.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

struct create;

struct creation {
    struct quorum_proposal proposal;
    struct create *create;
    struct kafka_create_topics_response_topic *out;
    bool busy;
};

struct create {
    struct request *rq; /* NULL: canceled */
    struct kafka_create_topics_response response;
    struct creation *creations; /* heap: proposals may outlive the request's arena */
    uint32_t count;
    uint32_t waiting;
    bool starting;
};

static void finish(struct create *c)
{
    struct request *rq = c->rq;

    if (c->starting || c->waiting > 0) {
        return;
    }
    if (rq != NULL) {
        request_reply(rq, &c->response);
    }
    free(c->creations);
    free(c);
}

static void applied(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct creation *creation = CONTAINER_OF(proposal, struct creation, proposal);
    struct create *c = creation->create;
    struct command_result r = {0};

    c->waiting--;
    if (c->rq != NULL) {
        struct kafka_create_topics_response_topic *out = creation->out;
        if (status == 0 && (status = command_result_read(result, &r)) == 0) {
            status = r.error;
        }
        out->error = error_kafka(status);
        if (status != 0) {
            out->error_message =
                arena_text(&c->rq->arena, r.why[0] != '\0' ? r.why : error_sentence(status));
        } else {
            out->topic_id = r.topic_id;
            out->num_partitions = (int32_t)r.partitions;
        }
    }
    finish(c);
}

struct settings {
    char policy[POLICY_NAME_MAX];
    int64_t retention_ms;
    int64_t retention_bytes;
};

static bool parse_number(struct slice text, int64_t *out)
{
    char copy[32];
    char *end;

    if (text.base == NULL || text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.base, text.len);
    copy[text.len] = '\0';
    *out = strtoll(copy, &end, 10);
    return *end == '\0' && *out >= -1;
}

/* Only what has an effect is accepted: a switch that is silently ignored is a trap. */
static bool take_config(const struct kafka_create_topics_request_config *in, struct settings *s)
{
    if (slice_equal(in->name, slice_text("tern.policy"))) {
        if (in->value.base == NULL || in->value.len == 0 || in->value.len >= sizeof s->policy) {
            return false;
        }
        memcpy(s->policy, in->value.base, in->value.len);
        s->policy[in->value.len] = '\0';
        return true;
    }
    if (slice_equal(in->name, slice_text("retention.ms"))) {
        return parse_number(in->value, &s->retention_ms);
    }
    if (slice_equal(in->name, slice_text("retention.bytes"))) {
        return parse_number(in->value, &s->retention_bytes);
    }
    return slice_equal(in->name, slice_text("cleanup.policy")) &&
           slice_equal(in->value, slice_text("delete"));
}

static void refuse(struct create *c, struct kafka_create_topics_response_topic *out, int error,
                   const char *why)
{
    out->error = error_kafka(error);
    out->error_message = arena_text(&c->rq->arena, why);
}

static void submit(struct create *c, struct creation *creation, const char *name,
                   int32_t partitions, const struct settings *s)
{
    struct node *node = c->rq->node;
    const struct kafka_create_topics_request *m = c->rq->message;
    struct buf command = {0};

    if (m->validate_only) {
        return;
    }
    command_create_topic(&command, node_next_key(node), name,
                         uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock)),
                         partitions, s->policy[0] != '\0' ? s->policy : NULL, s->retention_ms,
                         s->retention_bytes);
    creation->proposal.done = applied;
    creation->proposal.timeout_ms = m->timeout_ms > 0 ? (uint64_t)m->timeout_ms : 1;
    c->waiting++;
    quorum_submit(node->quorum, buf_slice(&command), &creation->proposal);
    buf_fini(&command);
}

static void create_one(struct create *c, struct creation *creation,
                       const struct kafka_create_topics_request_topic *in)
{
    struct settings s = {.retention_ms = INT64_MIN, .retention_bytes = INT64_MIN};
    char name[CONTROL_TOPIC_NAME_MAX];

    if (in->name.len == 0 || in->name.len >= sizeof name) {
        refuse(c, creation->out, TERN_EINVALIDTOPIC, "a topic name has 1 to 249 characters");
        return;
    }
    memcpy(name, in->name.base, in->name.len);
    name[in->name.len] = '\0';
    if (in->assignments_count > 0) {
        refuse(c, creation->out, TERN_EINVALIDREPLICATION,
               "replicas are placed by the topic's policy; leave the assignment out");
        return;
    }
    if (in->num_partitions == 0 || in->num_partitions < -1 ||
        in->num_partitions > CONTROL_PARTITIONS_MAX) {
        refuse(c, creation->out, TERN_EINVALIDPARTITIONS, "between 1 and 10000 partitions");
        return;
    }
    for (uint32_t i = 0; i < in->configs_count; i++) {
        if (!take_config(&in->configs[i], &s)) {
            refuse(c, creation->out, TERN_EINVALIDCONFIG,
                   "only tern.policy, retention.ms, retention.bytes and cleanup.policy=delete "
                   "can be set");
            return;
        }
    }
    if (c->rq->node->quorum == NULL) {
        refuse(c, creation->out, TERN_ENOTCONTROLLER, "the node has not joined the quorum yet");
        return;
    }
    submit(c, creation, name, in->num_partitions, &s);
}

static void canceled(struct request *rq)
{
    struct create *c = rq->state;

    /* The quorum is closed first: it has ended every proposal, so nothing waits. */
    c->rq = NULL;
}

void api_create_topics(struct request *rq)
{
    const struct kafka_create_topics_request *m = rq->message;
    struct create *c = mem_new(sizeof *c);

    c->rq = rq;
    c->starting = true;
    rq->state = c;
    rq->cancel = canceled;
    kafka_create_topics_response_init(&c->response);
    c->response.topics = kafka_create_topics_response_topic_new(&rq->arena, m->topics_count);
    c->response.topics_count = m->topics_count;
    c->creations = mem_new((m->topics_count + 1) * sizeof *c->creations);
    for (uint32_t i = 0; i < m->topics_count; i++) {
        struct creation *creation = &c->creations[c->count++];
        creation->create = c;
        creation->out = &c->response.topics[i];
        creation->out->name = m->topics[i].name;
        create_one(c, creation, &m->topics[i]);
    }
    c->starting = false;
    finish(c);
}
