/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way to the log. Applying twice is possible (an answer may be lost after the
 * entry was committed) and harmless: commands carry a key and the state machine knows them. */
#include "quorum/quorum_impl.h"

static void command_free(struct command *command)
{
    struct quorum *quorum = command->quorum;

    if (link_in_list(&command->link)) {
        link_remove(&command->link);
        quorum->command_count--;
        quorum->command_bytes -= command->bytes->len;
    }
    if (command->proposal != NULL) {
        command->proposal->impl = NULL;
    }
    blob_unref(command->bytes);
    buf_fini(&command->result);
    free(command);
}

static struct command *command_new(struct quorum *quorum, struct slice bytes)
{
    struct command *command = mem_new(sizeof *command);

    command->quorum = quorum;
    command->bytes = blob_copy(bytes);
    command->number = quorum->next_number++;
    queue_push(&quorum->commands, &command->link);
    quorum->command_count++;
    quorum->command_bytes += bytes.len;
    quorum->commands_due = true;
    return command;
}

static void refuse(struct quorum *quorum, uint32_t node_id, uint64_t number, int status)
{
    struct buf head = {0};

    frame_submit_result_encode(number, status, 0, &head);
    (void)quorum_send(quorum, node_id, FRAME_SUBMIT_RESULT, &head, (struct slice){0});
    buf_fini(&head);
}

/* The end of a command: its proposer is told at the next settling, another node at once. May free
 * it. index: see command.index */
static void command_end(struct command *command, int status, uint64_t index, struct slice result)
{
    struct quorum *quorum = command->quorum;

    if (command->from_node != 0) {
        struct buf head = {0};
        frame_submit_result_encode(command->number, status, index, &head);
        (void)quorum_send(quorum, command->from_node, FRAME_SUBMIT_RESULT, &head, result);
        buf_fini(&head);
        command_free(command);
        return;
    }
    if (command->proposal == NULL) {
        command_free(command);
        return;
    }
    command->state = COMMAND_ANSWERED;
    command->status = status;
    command->index = index;
    buf_clear(&command->result);
    buf_put(&command->result, result);
    quorum->answers_due = true;
}

/* ---- applying ------------------------------------------------------------------------------- */

static void apply_done(struct raft_apply *apply, int status, void *result)
{
    struct command *command = CONTAINER_OF(apply, struct command, apply);
    struct quorum *quorum = command->quorum;

    (void)result;
    CHECK(command->state == COMMAND_APPLYING);
    quorum->in_flight--;
    quorum->commands_due = true;
    command->state = COMMAND_QUEUED;
    if (quorum->closing || quorum->dead) {
        return;
    }
    if (status == 0) {
        command_end(command, 0, quorum->applied_seen, buf_slice(&quorum->result));
    } else if (command->from_node != 0) {
        command_end(command, TERN_ENOTCONTROLLER, 0, (struct slice){0});
    } else if (command->proposal == NULL) {
        command_free(command);
    } /* else: leadership lost, outcome unknown: again with whoever leads now */
}

static bool apply_start(struct command *command)
{
    struct quorum *quorum = command->quorum;
    struct raft_buffer entry =
        raft_command_wrap(slice_of(command->bytes->bytes, command->bytes->len));

    command->state = COMMAND_APPLYING;
    quorum->in_flight++;
    if (raft_apply(&quorum->raft, &command->apply, &entry, 1, apply_done) != 0) {
        raft_free(entry.base);
        command->state = COMMAND_QUEUED;
        quorum->in_flight--;
        return false;
    }
    return true;
}

/* ---- forwarding ----------------------------------------------------------------------------- */

static bool forward(struct command *command, uint64_t leader, uint32_t node)
{
    struct quorum *quorum = command->quorum;
    struct buf head = {0};

    frame_submit_encode(command->number, &head);
    bool sent = quorum_send(quorum, node, FRAME_SUBMIT, &head,
                            slice_of(command->bytes->bytes, command->bytes->len));
    buf_fini(&head);
    if (!sent) {
        return false;
    }
    command->state = COMMAND_FORWARDED;
    command->sent_leader = leader;
    command->sent_node = node;
    command->resend_ms = quorum_now_ms(quorum) + QUORUM_RESEND_MS;
    return true;
}

static bool queued_step(struct command *command, uint64_t leader, uint32_t node)
{
    struct quorum *quorum = command->quorum;

    if (quorum_leads(quorum)) {
        if (quorum->disk_full) {
            command_end(command, TERN_ENOSPC, 0, (struct slice){0});
            return true;
        }
        return quorum->controller && quorum->in_flight < QUORUM_IN_FLIGHT_MAX &&
               apply_start(command);
    }
    if (command->from_node != 0) {
        command_end(command, TERN_ENOTCONTROLLER, 0, (struct slice){0});
        return true;
    }
    return leader != 0 && forward(command, leader, node);
}

bool quorum_commands_step(struct quorum *quorum)
{
    uint32_t node;
    bool any = false;

    if (!quorum->commands_due) {
        return false;
    }
    quorum->commands_due = false;
    uint64_t leader = quorum_leader(quorum, &node);
    uint64_t now = quorum_now_ms(quorum);
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->state == COMMAND_FORWARDED &&
            ((leader != 0 && leader != command->sent_leader) || now >= command->resend_ms)) {
            command->state = COMMAND_QUEUED;
        }
        if (command->state == COMMAND_QUEUED) {
            any = queued_step(command, leader, node) || any;
        }
        if (quorum->dead) {
            return false;
        }
    }
    return any;
}

void quorum_commands_tick(struct quorum *quorum)
{
    uint64_t now = quorum_now_ms(quorum);

    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (now < command->deadline_ms) {
            continue;
        }
        if (command->state == COMMAND_ANSWERED) {
            quorum->answers_due = true;
            continue;
        }
        if (command->state != COMMAND_APPLYING) {
            if (command->from_node != 0) {
                command_free(command); /* its proposer has given up as well */
            } else {
                command_end(command, TERN_ETIMEDOUT, 0, (struct slice){0});
            }
        } else if (command->proposal != NULL) {
            /* The core still holds this one: answer through a stand-in. */
            struct command *stand_in = command_new(quorum, (struct slice){0});
            stand_in->proposal = command->proposal;
            stand_in->proposal->impl = stand_in;
            command->proposal = NULL;
            command_end(stand_in, TERN_ETIMEDOUT, 0, (struct slice){0});
        }
    }
}

void quorum_commands_peer_down(struct quorum *quorum, uint32_t node_id)
{
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->state == COMMAND_FORWARDED && command->sent_node == node_id) {
            command->state = COMMAND_QUEUED;
            quorum->commands_due = true;
        }
    }
}

/* ---- frames --------------------------------------------------------------------------------- */

void quorum_commands_receive(struct quorum *quorum, uint32_t node_id, struct slice head,
                             struct slice tail)
{
    uint64_t number;

    if (frame_submit_decode(head, &number) != 0 || tail.len > MESSAGE_COMMAND_MAX) {
        return;
    }
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->from_node == node_id && command->number == number) {
            return; /* sent again while the first is under way */
        }
    }
    if (!quorum_leads(quorum)) {
        refuse(quorum, node_id, number, TERN_ENOTCONTROLLER);
    } else if (quorum->command_count >= QUORUM_WAITING_MAX ||
               quorum->command_bytes + tail.len > QUORUM_WAITING_BYTES_MAX) {
        refuse(quorum, node_id, number, TERN_EBUSY);
    } else {
        struct command *command = command_new(quorum, tail);
        command->from_node = node_id;
        command->number = number;
        command->deadline_ms = quorum_now_ms(quorum) + QUORUM_TIMEOUT_MS;
    }
}

void quorum_commands_receive_result(struct quorum *quorum, uint32_t node_id, struct slice head,
                                    struct slice tail)
{
    uint64_t number;
    uint64_t index;
    int status;

    if (frame_submit_result_decode(head, &number, &status, &index) != 0) {
        return;
    }
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->from_node != 0 || command->number != number ||
            command->state != COMMAND_FORWARDED || command->sent_node != node_id) {
            continue;
        }
        if (status == TERN_ENOTCONTROLLER || status == TERN_EBUSY) {
            command->resend_ms = quorum_now_ms(quorum) + quorum->heartbeat_ms;
        } else {
            command_end(command, status, index, tail);
        }
        return;
    }
}

/* ---- for users ------------------------------------------------------------------------------ */

void quorum_submit(struct quorum *quorum, struct slice bytes, struct quorum_proposal *proposal)
{
    uint64_t timeout_ms = proposal->timeout_ms > 0 ? proposal->timeout_ms : QUORUM_TIMEOUT_MS;
    int refused = 0;

    if (bytes.len > MESSAGE_COMMAND_MAX) {
        refused = TERN_ETOOBIG;
    } else if (quorum->command_count >= QUORUM_WAITING_MAX ||
               quorum->command_bytes + bytes.len > QUORUM_WAITING_BYTES_MAX) {
        refused = TERN_EBUSY;
    }
    quorum_enter(quorum);
    struct command *command = command_new(quorum, refused != 0 ? (struct slice){0} : bytes);
    command->proposal = proposal;
    command->deadline_ms = quorum_now_ms(quorum) + timeout_ms;
    proposal->impl = command;
    if (refused != 0) {
        command_end(command, refused, 0, (struct slice){0});
    }
    quorum_leave_quietly(quorum);
}

void quorum_cancel(struct quorum *quorum, struct quorum_proposal *proposal)
{
    struct command *command = proposal->impl;

    if (command == NULL) {
        return;
    }
    CHECK(command->quorum == quorum);
    CHECK(command->proposal == proposal);
    proposal->impl = NULL;
    command->proposal = NULL;
    if (command->state != COMMAND_APPLYING) {
        command_free(command);
    }
}

static bool answer_one(struct command *command)
{
    struct quorum_proposal *proposal = command->proposal;
    struct buf result = command->result;
    int status = command->status;

    command->result = (struct buf){0};
    command_free(command);
    proposal->done(proposal, status, buf_slice(&result));
    buf_fini(&result);
    return true;
}

/* Not while it is asked for and on its way to us. */
static bool may_be_told(const struct command *command)
{
    const struct quorum *quorum = command->quorum;

    return !command->proposal->applied_here || command->index <= quorum->applied_seen ||
           command->index <= quorum->raft.last_applied || quorum->closing ||
           quorum_now_ms(quorum) >= command->deadline_ms;
}

/* One at a time: a `done` may submit, cancel and so change the list. */
bool quorum_commands_answer(struct quorum *quorum)
{
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->state == COMMAND_ANSWERED && may_be_told(command)) {
            return answer_one(command);
        }
    }
    return false;
}

void quorum_commands_close(struct quorum *quorum)
{
    struct link ended;

    queue_init(&ended);
    QUEUE_EACH (link, &quorum->commands) {
        struct command *command = CONTAINER_OF(link, struct command, link);
        if (command->proposal == NULL) {
            command_free(command);
        } else if (command->state != COMMAND_ANSWERED) {
            command->state = COMMAND_ANSWERED;
            command->status = TERN_ECANCELED;
        }
    }
    while (quorum_commands_answer(quorum)) {
    }
}
