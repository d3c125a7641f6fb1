/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteTopics: one command to the quorum for each topic. */
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

struct delete;

struct deletion {
    struct quorum_proposal proposal;
    struct delete *delete;
    struct kafka_delete_topics_response_topic *out;
};

struct delete
{
    struct request *rq; /* NULL: canceled */
    struct kafka_delete_topics_response response;
    struct deletion *deletions;
    uint32_t waiting;
    bool starting;
};

static void finish(struct delete *d)
{
    if (d->starting || d->waiting > 0) {
        return;
    }
    if (d->rq != NULL) {
        request_reply(d->rq, &d->response);
    }
    free(d->deletions);
    free(d);
}

static void applied(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct deletion *deletion = CONTAINER_OF(proposal, struct deletion, proposal);
    struct delete *d = deletion->delete;
    struct command_result r = {0};

    d->waiting--;
    if (d->rq != NULL) {
        if (status == 0 && (status = command_result_read(result, &r)) == 0) {
            status = r.error;
        }
        deletion->out->error = error_kafka(status);
        if (status != 0) {
            deletion->out->error_message =
                arena_text(&d->rq->arena, r.why[0] != '\0' ? r.why : error_sentence(status));
        }
    }
    finish(d);
}

static void delete_one(struct delete *d, struct deletion *deletion,
                       const struct control_topic *topic, bool by_id)
{
    const struct kafka_delete_topics_request *m = d->rq->message;
    struct node *node = d->rq->node;
    struct buf command = {0};

    if (topic == NULL || node->quorum == NULL) {
        int error = by_id ? TERN_EUNKNOWNTOPICID : TERN_ENOENT;
        deletion->out->error = error_kafka(topic == NULL ? error : TERN_ENOTCONTROLLER);
        return;
    }
    deletion->out->topic_id = topic->id;
    deletion->out->name = arena_text(&d->rq->arena, topic->name);
    command_delete_topic(&command, node_next_key(node), topic->name);
    deletion->proposal.done = applied;
    deletion->proposal.timeout_ms = m->timeout_ms > 0 ? (uint64_t)m->timeout_ms : 1;
    d->waiting++;
    quorum_submit(node->quorum, buf_slice(&command), &deletion->proposal);
    buf_fini(&command);
}

static void canceled(struct request *rq)
{
    struct delete *d = rq->state;

    d->rq = NULL;
}

void api_delete_topics(struct request *rq)
{
    const struct kafka_delete_topics_request *m = rq->message;
    struct delete *d = mem_new(sizeof *d);
    bool named = rq->version < 6;
    uint32_t count = named ? m->topic_names_count : m->topics_count;

    d->rq = rq;
    d->starting = true;
    rq->state = d;
    rq->cancel = canceled;
    kafka_delete_topics_response_init(&d->response);
    d->response.topics = kafka_delete_topics_response_topic_new(&rq->arena, count);
    d->response.topics_count = count;
    d->deletions = mem_new((count + 1) * sizeof *d->deletions);
    for (uint32_t i = 0; i < count; i++) {
        struct slice name = named ? m->topic_names[i] : m->topics[i].name;
        bool by_id = name.base == NULL;
        struct deletion *deletion = &d->deletions[i];
        deletion->delete = d;
        deletion->out = &d->response.topics[i];
        deletion->out->name = name;
        delete_one(d, deletion,
                   by_id ? control_topic_by_id(rq->node->control, m->topics[i].topic_id)
                         : topic_by_slice(rq->node, name),
                   by_id);
    }
    d->starting = false;
    finish(d);
}
