/* SPDX-License-Identifier: Apache-2.0 */
/* Read-index: a majority of voters that say, after the question came in, that they are still in
 * our term proves that nobody has led a newer one before. Then what was committed at the time of
 * the question has to be applied here. Questions that come together share a round. */
#include "quorum/quorum_impl.h"

static void ask(struct quorum *quorum)
{
    struct buf head = {0};

    frame_term_ask_encode(quorum->read_round, &head);
    quorum_send_members(quorum, true, FRAME_TERM_ASK, &head);
    buf_fini(&head);
    quorum->read_asked_ms = quorum_now_ms(quorum);
}

static void answer_later(struct quorum *quorum, struct read_waiter *waiter, int status)
{
    waiter->answered = true;
    waiter->status = status;
    quorum->answers_due = true;
}

static bool voter(const struct quorum *quorum, uint64_t raft_id)
{
    const struct raft_server *server = raft_config_find(&quorum->raft.configuration, raft_id);

    return server != NULL && server->role == RAFT_VOTER;
}

static bool majority_said_yes(const struct quorum *quorum)
{
    const struct raft_configuration *configuration = &quorum->raft.configuration;
    unsigned voters = 0;
    unsigned yes = voter(quorum, quorum->options.raft_id) ? 1 : 0;

    for (unsigned i = 0; i < configuration->n; i++) {
        voters += configuration->servers[i].role == RAFT_VOTER ? 1 : 0;
    }
    for (unsigned i = 0; i < quorum->read_yes_count; i++) {
        yes += voter(quorum, quorum->read_yes[i]) ? 1 : 0;
    }
    return yes > voters / 2;
}

bool quorum_reads_step(struct quorum *quorum)
{
    bool any = false;
    bool wanted = false;

    if (queue_empty(&quorum->reads)) {
        quorum->read_busy = false;
        return false;
    }
    if (!quorum->controller) {
        quorum->read_busy = false;
    } else if (quorum->read_busy && majority_said_yes(quorum)) {
        quorum->read_busy = false;
        QUEUE_EACH (link, &quorum->reads) {
            struct read_waiter *waiter = CONTAINER_OF(link, struct read_waiter, link);
            waiter->confirmed = waiter->round != 0;
        }
        any = true;
    }
    QUEUE_EACH (link, &quorum->reads) {
        struct read_waiter *waiter = CONTAINER_OF(link, struct read_waiter, link);
        if (waiter->answered) {
            continue;
        }
        if (!quorum->controller) {
            answer_later(quorum, waiter, TERN_ENOTCONTROLLER);
            any = true;
        } else if (waiter->confirmed && quorum->raft.last_applied >= waiter->commit_index) {
            answer_later(quorum, waiter, 0);
            any = true;
        } else if (waiter->round == 0 && !quorum->read_busy) {
            wanted = true;
        }
    }
    if (!wanted) {
        return any;
    }
    quorum->read_busy = true;
    quorum->read_round++;
    quorum->read_yes_count = 0;
    QUEUE_EACH (link, &quorum->reads) {
        struct read_waiter *waiter = CONTAINER_OF(link, struct read_waiter, link);
        if (waiter->round == 0) {
            waiter->round = quorum->read_round;
            waiter->commit_index = quorum->raft.commit_index;
        }
    }
    ask(quorum);
    return true;
}

void quorum_reads_tick(struct quorum *quorum)
{
    if (quorum->read_busy &&
        quorum_now_ms(quorum) >= quorum->read_asked_ms + quorum->heartbeat_ms) {
        ask(quorum); /* a question or an answer may have been lost */
    }
}

void quorum_reads_receive_ask(struct quorum *quorum, uint32_t node_id, struct slice head)
{
    struct buf answer = {0};
    uint64_t round;

    if (frame_term_ask_decode(head, &round) != 0) {
        return;
    }
    frame_term_tell_encode(round, quorum->raft.current_term, &answer);
    (void)quorum_send(quorum, node_id, FRAME_TERM_TELL, &answer, (struct slice){0});
    buf_fini(&answer);
}

void quorum_reads_receive_tell(struct quorum *quorum, uint64_t raft_id, struct slice head)
{
    uint64_t round;
    uint64_t term;

    if (frame_term_tell_decode(head, &round, &term) != 0 || !quorum->read_busy ||
        round != quorum->read_round || term != quorum->lead_term || !voter(quorum, raft_id)) {
        return;
    }
    for (unsigned i = 0; i < quorum->read_yes_count; i++) {
        if (quorum->read_yes[i] == raft_id) {
            return;
        }
    }
    if (quorum->read_yes_count < WIRE_NODES_MAX) {
        quorum->read_yes[quorum->read_yes_count++] = raft_id;
    }
}

void quorum_read_index(struct quorum *quorum, struct quorum_read *read)
{
    struct read_waiter *waiter = mem_new(sizeof *waiter);

    waiter->read = read;
    read->impl = waiter;
    quorum_enter(quorum);
    queue_push(&quorum->reads, &waiter->link);
    quorum_leave_quietly(quorum);
}

bool quorum_reads_answer(struct quorum *quorum)
{
    QUEUE_EACH (link, &quorum->reads) {
        struct read_waiter *waiter = CONTAINER_OF(link, struct read_waiter, link);
        if (waiter->answered) {
            struct quorum_read *read = waiter->read;
            int status = waiter->status;
            link_remove(&waiter->link);
            free(waiter);
            read->impl = NULL;
            read->done(read, status);
            return true;
        }
    }
    return false;
}

void quorum_reads_close(struct quorum *quorum)
{
    QUEUE_EACH (link, &quorum->reads) {
        answer_later(quorum, CONTAINER_OF(link, struct read_waiter, link), TERN_ECANCELED);
    }
    while (quorum_reads_answer(quorum)) {
    }
}
