/* SPDX-License-Identifier: Apache-2.0 */
/* Topics that are made because a client asked for them (topics/auto_create of ternd.yaml; off by
 * default). A wrong name in a loop must not fill the cluster: few at a time, and none above a bound. */
#include "agent/api.h"
#include "base/error.h"
#include "base/trace.h"

#define AUTO_CREATING_MAX 16   /* at a time, of this node */
#define AUTO_TOPICS_MAX   2000 /* in the cluster; more are made by name only */

struct auto_creation {
    struct quorum_proposal proposal;
    struct node *node;
};

static void made(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct auto_creation *c = CONTAINER_OF(proposal, struct auto_creation, proposal);

    /* Refused or lost: the client asks again. */
    (void)status;
    (void)result;
    c->node->auto_creating--;
    free(c);
}

bool auto_create(struct request *rq, struct slice name)
{
    struct node *node = rq->node;
    char text[CONTROL_TOPIC_NAME_MAX];
    struct command_result would;
    struct buf command = {0};

    if (!node->o.auto_create_topics || node->quorum == NULL ||
        node->auto_creating >= AUTO_CREATING_MAX ||
        HASH_CNT(by_name, node->control->by_name) >= AUTO_TOPICS_MAX || name.len == 0 ||
        !slice_to_text(name, text, sizeof text) || control_topic_internal(text)) {
        return false;
    }
    struct command_topic topic = {
        .name = text,
        .topic_id = uuid_from_random(clock_random(node->o.clock), clock_random(node->o.clock)),
        .partitions = -1,
    };
    command_create_topic_as(&command, node_next_key(node), &topic);
    control_check(node->control, buf_slice(&command), &would);
    if (would.error == 0) {
        struct auto_creation *c = mem_new(sizeof *c);
        trace_info("event=topic_auto_create topic=%s", text);
        c->node = node;
        c->proposal.done = made;
        node->auto_creating++;
        quorum_submit(node->quorum, buf_slice(&command), &c->proposal);
    }
    buf_fini(&command);
    return would.error == 0;
}
