/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of one request on their way to the quorum, which takes them from any node. */
#include <stdio.h>

#include "agent/api.h"
#include "base/error.h"

#define PROPOSALS_MAX 10000 /* of one request, as Kafka's records of one operation */

struct proposals {
    struct request *rq; /* NULL: canceled */
    void (*finish)(struct request *rq);
    uint32_t waiting;
    uint32_t count;
    bool starting;
};

struct one {
    struct quorum_proposal proposal;
    struct proposals *all;
    proposal_applied applied;
    void *ctx;
};

static void maybe_finish(struct proposals *all)
{
    struct request *rq = all->rq;

    if (all->starting || all->waiting > 0) {
        return;
    }
    if (rq != NULL) {
        all->finish(rq);
    }
    free(all);
}

static void done(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct one *one = CONTAINER_OF(proposal, struct one, proposal);
    struct proposals *all = one->all;
    struct command_result r = {0};

    all->waiting--;
    if (all->rq != NULL) {
        if (status == 0) {
            status = command_result_read(result, &r);
        }
        r.error = status != 0 ? status : r.error;
        one->applied(all->rq, one->ctx, &r);
    }
    free(one);
    maybe_finish(all);
}

static void canceled(struct request *rq)
{
    struct proposals *all = rq->proposals;

    /* The quorum is closed first: it has ended every proposal, so nothing waits. */
    all->rq = NULL;
}

void proposals_begin(struct request *rq, void (*finish)(struct request *rq))
{
    struct proposals *all = mem_new(sizeof *all);

    all->rq = rq;
    all->finish = finish;
    all->starting = true;
    rq->proposals = all;
    rq->cancel = canceled;
}

void proposals_add(struct request *rq, struct buf *command, int32_t timeout_ms,
                   proposal_applied applied, void *ctx)
{
    struct proposals *all = rq->proposals;
    struct command_result r = {.error = TERN_ENOTCONTROLLER};

    if (rq->node->quorum == NULL) {
        (void)snprintf(r.why, sizeof r.why, "the node has not joined the quorum yet");
        applied(rq, ctx, &r);
    } else if (all->count == PROPOSALS_MAX) {
        r.error = TERN_EPOLICY;
        (void)snprintf(r.why, sizeof r.why, "a request makes at most %d changes", PROPOSALS_MAX);
        applied(rq, ctx, &r);
    } else {
        struct one *one = mem_new(sizeof *one);
        one->all = all;
        one->applied = applied;
        one->ctx = ctx;
        one->proposal.done = done;
        one->proposal.applied_here = true; /* the client may ask us next */
        one->proposal.timeout_ms = timeout_ms > 0 ? (uint64_t)timeout_ms : 1;
        all->waiting++;
        all->count++;
        quorum_submit(rq->node->quorum, buf_slice(command), &one->proposal);
    }
    buf_fini(command);
}

void proposals_check(struct request *rq, struct buf *command, proposal_applied applied, void *ctx)
{
    struct command_result r;

    control_check(rq->node->control, buf_slice(command), &r);
    applied(rq, ctx, &r);
    buf_fini(command);
}

void proposals_put(struct request *rq, struct buf *command, int32_t timeout_ms, bool validate_only,
                   proposal_applied applied, void *ctx)
{
    if (validate_only) {
        proposals_check(rq, command, applied, ctx);
    } else {
        proposals_add(rq, command, timeout_ms, applied, ctx);
    }
}

void proposals_reply(struct request *rq)
{
    request_reply(rq, rq->state);
}

void proposals_end(struct request *rq)
{
    struct proposals *all = rq->proposals;

    all->starting = false;
    maybe_finish(all);
}

struct slice proposal_why(struct request *rq, const struct command_result *result)
{
    return arena_text(&rq->arena,
                      result->why[0] != '\0' ? result->why : error_sentence(result->error));
}

void outcome_refuse(struct request *rq, const struct outcome *out, int error, const char *why)
{
    *out->error = error_kafka(error);
    *out->message = arena_text(&rq->arena, why);
}

void outcome_applied(struct request *rq, void *ctx, const struct command_result *result)
{
    const struct outcome *out = ctx;

    *out->error = error_kafka(result->error);
    if (result->error != 0) {
        *out->message = proposal_why(rq, result);
    }
}

bool nodes_of(const int32_t *ids, uint32_t count, node_set *out)
{
    node_set set = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] < 1 || ids[i] >= WIRE_NODES_MAX || (set & NODE_BIT(ids[i])) != 0) {
            return false;
        }
        set |= NODE_BIT(ids[i]);
    }
    *out = set;
    return count > 0;
}

struct command_placement placement_begin(struct request *rq, uint32_t partitions)
{
    size_t most = (size_t)partitions * CONTROL_REPLICAS_MAX;

    return (struct command_placement){
        .placed = arena_take(&rq->arena, (partitions + 1) * sizeof(node_set)),
        .order = arena_take(&rq->arena, (most + 1) * sizeof(uint32_t)),
    };
}

bool placement_add(struct command_placement *placement, const int32_t *ids, uint32_t count)
{
    if (count > CONTROL_REPLICAS_MAX ||
        !nodes_of(ids, count, &placement->placed[placement->count])) {
        return false;
    }
    placement->count++;
    for (uint32_t i = 0; i < count; i++) {
        placement->order[placement->order_count++] = (uint32_t)ids[i];
    }
    return true;
}
