/* SPDX-License-Identifier: Apache-2.0 */
/* Membership, one change at a time, each behind a barrier of its own: then every configuration
 * before it is committed, and a majority has just answered. */
#include "quorum/quorum_impl.h"

static void change_end(struct quorum *quorum, int status)
{
    quorum->change_step = CHANGE_DONE;
    quorum->change_status = status;
    quorum->answers_due = true;
}

static void barrier_done(struct raft_barrier *barrier, int status)
{
    struct quorum *quorum = CONTAINER_OF(barrier, struct quorum, change_barrier);

    if (quorum->closing) {
        return;
    }
    if (status != 0) {
        change_end(quorum, quorum_error(status));
    } else {
        quorum->change_step = CHANGE_NEXT;
    }
}

static void raft_change_done(struct raft_change *change, int status)
{
    struct quorum *quorum = CONTAINER_OF(change, struct quorum, raft_change);

    if (quorum->closing) {
        return;
    }
    if (status != 0) {
        change_end(quorum, quorum_error(status));
    } else {
        quorum->change_step = CHANGE_NEXT; /* looks again what is missing */
    }
}

/* The next call that brings the configuration nearer to what is wanted; CHANGE_DONE if none. */
static int next_call(struct quorum *quorum, bool *out_nothing)
{
    struct raft *raft = &quorum->raft;
    struct raft_change *request = &quorum->raft_change;
    uint64_t id = quorum->change_member.raft_id;
    const struct raft_server *server = raft_config_find(&raft->configuration, id);
    char address[12];

    *out_nothing = false;
    switch (quorum->change_kind) {
    case QUORUM_ADD:
        if (server == NULL) {
            raft_address_text(quorum->change_member.node_id, address);
            return raft_add(raft, request, id, address, raft_change_done);
        }
        if (server->role == RAFT_SPARE) {
            return raft_assign(raft, request, id, RAFT_STANDBY, raft_change_done);
        }
        break;
    case QUORUM_PROMOTE:
        if (server == NULL) {
            return RAFT_NOTFOUND;
        }
        if (server->role != RAFT_VOTER) {
            return raft_assign(raft, request, id, RAFT_VOTER, raft_change_done);
        }
        break;
    case QUORUM_DEMOTE:
        if (server == NULL) {
            return RAFT_NOTFOUND;
        }
        if (server->role != RAFT_STANDBY) {
            return raft_assign(raft, request, id, RAFT_STANDBY, raft_change_done);
        }
        break;
    case QUORUM_REMOVE:
        if (server != NULL) {
            return raft_remove(raft, request, id, raft_change_done);
        }
        break;
    }
    *out_nothing = true;
    return 0;
}

bool quorum_change_step(struct quorum *quorum)
{
    bool nothing = false;
    int rv;

    if (quorum->change == NULL) {
        return false;
    }
    switch (quorum->change_step) {
    case CHANGE_START:
        if (!quorum->controller) {
            change_end(quorum, TERN_ENOTCONTROLLER);
            return true;
        }
        quorum->change_step = CHANGE_IN_CORE;
        rv = raft_barrier(&quorum->raft, &quorum->change_barrier, barrier_done);
        if (rv != 0) {
            change_end(quorum, quorum_error(rv));
        }
        return true;
    case CHANGE_NEXT:
        if (!quorum_leads(quorum)) {
            /* A controller that took itself out has done what it was asked for. */
            (void)next_call(quorum, &nothing);
            change_end(quorum, nothing ? 0 : TERN_ETIMEDOUT);
            return true;
        }
        quorum->change_step = CHANGE_IN_CORE;
        rv = next_call(quorum, &nothing);
        if (rv != 0 || nothing) {
            change_end(quorum, quorum_error(rv));
        }
        return true;
    case CHANGE_IN_CORE:
    case CHANGE_DONE:
        break;
    }
    return false;
}

/* One that is answered without having been tried. */
struct refused {
    struct link link;
    struct quorum_change *change;
    int status;
};

static void change_refuse(struct quorum *quorum, struct quorum_change *change, int status)
{
    struct refused *refused = mem_new(sizeof *refused);

    refused->change = change;
    refused->status = status;
    queue_push(&quorum->refused_changes, &refused->link);
    quorum->answers_due = true;
}

void quorum_change(struct quorum *quorum, enum quorum_change_kind kind, struct quorum_member member,
                   struct quorum_change *change)
{
    quorum_enter(quorum);
    if (member.raft_id == 0 || member.node_id == 0 || member.node_id >= WIRE_NODES_MAX) {
        change_refuse(quorum, change, TERN_EREFUSED);
    } else if (quorum->change != NULL) {
        change_refuse(quorum, change, TERN_EBUSY);
    } else {
        quorum->change = change;
        quorum->change_kind = kind;
        quorum->change_member = member;
        quorum->change_step = CHANGE_START;
    }
    quorum_leave_quietly(quorum);
}

bool quorum_change_answer(struct quorum *quorum)
{
    struct link *link = queue_pop(&quorum->refused_changes);

    if (link != NULL) {
        struct refused *refused = CONTAINER_OF(link, struct refused, link);
        struct quorum_change *change = refused->change;
        int status = refused->status;
        free(refused);
        change->done(change, status);
        return true;
    }
    if (quorum->change != NULL && quorum->change_step == CHANGE_DONE) {
        struct quorum_change *change = quorum->change;
        quorum->change = NULL;
        change->done(change, quorum->change_status);
        return true;
    }
    return false;
}

void quorum_change_close(struct quorum *quorum)
{
    if (quorum->change != NULL) {
        change_end(quorum, TERN_ECANCELED);
    }
    while (quorum_change_answer(quorum)) {
    }
}

/* ---- transfer ------------------------------------------------------------------------------- */

void quorum_transfer(struct quorum *quorum, uint64_t raft_id)
{
    quorum_enter(quorum);
    if (quorum_leads(quorum) && quorum->raft.transfer == NULL) {
        /* Best effort: the core answers by a new leader, or forgets it after an election time. */
        (void)raft_transfer(&quorum->raft, &quorum->transfer, raft_id, NULL);
    }
    quorum_leave_quietly(quorum);
}
