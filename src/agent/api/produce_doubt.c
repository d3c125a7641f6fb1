/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals that a producer must not take at their word, and those of which a leader is not sure yet. */
#include "agent/api/produce.h"
#include "base/error.h"

#define SURE_MS    1000  /* so long a leader looks for a sign that it still leads */
#define REFUSED_MS 10000 /* so long after a refusal a gap is taken for its consequence */

/* What another node refused, or this one before it restarted, a leader does not know. */
static bool leads_since_lately(const struct partition *p, uint64_t now_ms)
{
    return p->replica.spec.epoch > 1 && now_ms - p->replica.role_since_ms < REFUSED_MS;
}

/* A producer with several batches under way sends again what was refused, but those behind it are here by
 * then. Told that they are out of order, librdkafka (before 2.11; its issue 4953) begins a new producer
 * epoch, and writes again under that what may be committed. So they are refused the same way, and come
 * again in order. Or it is we who miss the batches in between. */
int produce_judge(struct partition *p, int status)
{
    if (status == 0 || p == NULL) {
        return status;
    }
    struct node *node = p->node;
    uint64_t now_ms = node_now_ms(node);
    if (status == TERN_EOUTOFORDER) {
        bool lately = p->refused_ms != 0 && now_ms - p->refused_ms < REFUSED_MS;
        return lately || leads_since_lately(p, now_ms) || liveness_behind(node) ? TERN_ENOTLEADER
                                                                                : status;
    }
    if (status == TERN_ENOTLEADER || status == TERN_ENOQUORUM || status == TERN_ENOSPC) {
        p->refused_ms = now_ms;
    }
    return status;
}

/* Out of order may also be what a deposed leader sees that has not heard of it: what came before is in the
 * log of the next one. Told so, an idempotent producer begins a new epoch, and writes again what is
 * committed there. So the answer waits until a commit quorum has answered to a heartbeat of after the
 * request. */
bool produce_doubt(struct produce_part *part, struct partition *p, int status)
{
    struct request *rq = part->produce->rq;

    if (status != TERN_EOUTOFORDER || p == NULL || partition_leads_since(p, rq->begun_us)) {
        return false;
    }
    part->doubted = true;
    part->topic_id = p->key.topic_id;
    part->epoch = p->replica.spec.epoch;
    queue_push(&rq->node->doubts, &part->in_partition);
    part->produce->waiting++;
    return true;
}

/* 0: not known yet. */
static int sure_of(const struct produce_part *part, const struct partition *p)
{
    const struct request *rq = part->produce->rq;

    if (p == NULL || !produce_in_role(p, part)) {
        return TERN_ENOTLEADER;
    }
    if (partition_leads_since(p, rq->begun_us)) {
        return TERN_EOUTOFORDER;
    }
    bool overdue = clock_now_us(rq->node->o.clock) - rq->begun_us >= SURE_MS * 1000;
    return overdue ? TERN_ENOTLEADER : 0;
}

void produce_doubt_settle(struct produce_part *part, int status)
{
    part->doubted = false;
    part->topic = control_topic_by_id(part->produce->rq->node->control, part->topic_id);
    produce_fail(part, status);
    part->topic = NULL;
    link_remove(&part->in_partition);
    part->produce->waiting--;
}

void produce_tick(struct node *node)
{
    QUEUE_EACH (each, &node->doubts) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        struct produce *pr = part->produce;
        int status = sure_of(part, partition_find(node, part->topic_id, part->out->index));
        if (status != 0) {
            produce_doubt_settle(part, status);
            produce_maybe_finish(pr);
        }
    }
}
