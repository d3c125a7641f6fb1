/* SPDX-License-Identifier: Apache-2.0 */
/* The first batch of a transaction on a partition waits until the transaction's coordinator has said that the
 * partition is part of it (KIP-890); later ones of the producer wait behind it. */
#include "agent/api/produce.h"
#include "base/error.h"

#define ASKS_MAX 5 /* of a coordinator for one batch */

/* What becomes of the coordinator's word: what only asks for patience is told as what producers try
 * again. */
static int told_of(const struct produce_part *part, int status)
{
    switch (status) {
    case TERN_ECONCURRENTTXN:
    case TERN_ELOADING:
    case TERN_ENOTCOORDINATOR:
    case TERN_ENOCOORDINATOR:
        return TERN_ENOQUORUM;
    case TERN_ETXNFENCED:
        return TERN_EPRODUCERFENCED;
    case TERN_ETXNSTATE:
        return part->produce->rq->version >= 11 ? TERN_ETXNABORTABLE : status;
    default:
        return status;
    }
}

/* Asks the coordinator for the part's batch. False: `verified` follows; else the word is known. */
static bool ask(struct produce_part *part, const struct control_topic *topic, int *out_status,
                int32_t *out_epoch)
{
    struct node *node = part->produce->rq->node;
    const struct kafka_produce_request *m = part->produce->rq->message;
    bool add = part->produce->rq->version >= 12 && txn_version_2(node);
    struct batch_info info;

    int status = batch_peek(part->records, &info);
    CHECK(status == 0); /* it was checked when it came */
    struct txn_who who = {m->transactional_id, info.producer_id, info.producer_epoch};
    struct txn_place place = {slice_text(topic->name), part->out->index};
    part->asked++;
    return txn_verify_begin(node, &part->verify, &who, &place, add, out_status, out_epoch);
}

/* What became of it. */
static int settle_verified(struct produce_part *part, int status, int32_t coordinator_epoch)
{
    struct node *node = part->produce->rq->node;
    struct partition *p = partition_find(node, part->topic_id, part->out->index);
    struct batch_info info;

    part->verifying = false;
    status = p == NULL || p->deleting
                 ? TERN_ENOTLEADER
                 : told_of(part, txn_verified(p, part->producer_id, part->marker_at, status,
                                              coordinator_epoch));
    if (status == 0) {
        status = batch_peek(part->records, &info);
        CHECK(status == 0); /* it was checked when it came */
        status = store_writable(node->store) ? produce_append(part, p, &info) : TERN_ENOSPC;
    }
    int told = produce_judge(p, status);
    if (told != 0 && !produce_doubt(part, p, told)) {
        produce_fail(part, told);
    }
    return status;
}

static int conclude(struct produce_part *part, int status, int32_t coordinator_epoch)
{
    struct produce *pr = part->produce;
    bool taking = pr->taking;

    pr->taking = true;
    if (link_in_list(&part->in_partition)) {
        link_remove(&part->in_partition);
    }
    status = settle_verified(part, status, coordinator_epoch);
    pr->waiting--;
    if (link_in_list(&part->in_partition) && !part->doubted) {
        produce_progress(part->partition);
    }
    pr->taking = taking;
    produce_maybe_finish(pr);
    return status;
}

/* The first that waits there, of this producer. */
static struct produce_part *waits_at(struct partition *p, int64_t producer_id)
{
    QUEUE_EACH (each, &p->verifying) {
        struct produce_part *part = CONTAINER_OF(each, struct produce_part, in_partition);
        if (part->producer_id == producer_id) {
            return part;
        }
    }
    return NULL;
}

bool produce_verify_waits(struct partition *p, int64_t producer_id)
{
    return waits_at(p, producer_id) != NULL;
}

/* Those behind one that has been settled: none is appended behind one that was not. */
static void conclude_behind(struct node *node, struct uuid topic_id, int32_t index,
                            int64_t producer_id, int status, int32_t coordinator_epoch)
{
    struct partition *p;
    struct produce_part *part;

    while ((p = partition_find(node, topic_id, index)) != NULL &&
           (part = waits_at(p, producer_id)) != NULL) {
        status = conclude(part, status, coordinator_epoch);
    }
}

/* A good word that a marker has overtaken is asked for once more, for all of the producer that wait there.
 * True: they wait on. Else *status and *coordinator_epoch are what is known now. Between two transactions
 * that follow each other at once this is the usual course (transaction.version 2), and some clients wait
 * for seconds before they send again. */
static bool ask_again(struct produce_part *part, int *status, int32_t *coordinator_epoch)
{
    struct node *node = part->produce->rq->node;
    struct partition *p = partition_find(node, part->topic_id, part->out->index);
    const struct control_topic *topic = control_topic_by_id(node->control, part->topic_id);

    if (*status != 0 || p == NULL || p->deleting || topic == NULL || part->asked >= ASKS_MAX ||
        txn_verified(p, part->producer_id, part->marker_at, 0, *coordinator_epoch) == 0) {
        return false;
    }
    QUEUE_EACH (each, &p->verifying) {
        struct produce_part *one = CONTAINER_OF(each, struct produce_part, in_partition);
        if (one->producer_id == part->producer_id) {
            one->marker_at = txn_marker_at(p, part->producer_id);
        }
    }
    return !ask(part, topic, status, coordinator_epoch);
}

static void verified(struct txn_verify *verify, int status, int32_t coordinator_epoch)
{
    struct produce_part *part = CONTAINER_OF(verify, struct produce_part, verify);
    struct node *node = part->produce->rq->node;
    struct uuid topic_id = part->topic_id;
    int64_t producer_id = part->producer_id;
    int32_t index = part->out->index;

    if (ask_again(part, &status, &coordinator_epoch)) {
        return;
    }
    status = conclude(part, status, coordinator_epoch);
    conclude_behind(node, topic_id, index, producer_id, status, coordinator_epoch);
}

void produce_verify_behind(struct produce_part *part, struct partition *p, int64_t producer_id)
{
    part->verifying = true;
    part->topic_id = part->topic->id;
    part->producer_id = producer_id;
    part->marker_at = txn_marker_at(p, producer_id);
    part->epoch = p->replica.spec.epoch;
    queue_push(&p->verifying, &part->in_partition);
    part->produce->waiting++;
}

void produce_verify_begin(struct produce_part *part, struct partition *p, int64_t producer_id)
{
    int32_t coordinator_epoch = -1;
    int status = 0;

    part->verify.done = verified;
    produce_verify_behind(part, p, producer_id);
    if (ask(part, part->topic, &status, &coordinator_epoch)) {
        link_remove(&part->in_partition);
        part->produce->waiting--;
        (void)settle_verified(part, status, coordinator_epoch);
    }
}

void produce_verify_drop(struct produce_part *part)
{
    if (part->verifying) {
        part->verifying = false;
        part->produce->waiting--;
        if (link_in_list(&part->in_partition)) {
            link_remove(&part->in_partition);
        }
        if (link_in_list(&part->verify.link)) {
            link_remove(&part->verify.link);
        }
    }
}

/* Those behind it wait for the same word, which nobody waits for any more. */
void produce_verify_time_out(struct produce_part *part)
{
    struct node *node = part->produce->rq->node;
    bool asked = link_in_list(&part->verify.link);

    produce_fail(part, TERN_ETIMEDOUT);
    produce_verify_drop(part);
    if (asked) {
        conclude_behind(node, part->topic_id, part->out->index, part->producer_id,
                        TERN_ENOCOORDINATOR, -1);
    }
}
