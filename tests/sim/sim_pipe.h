/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of one connection: messages arrive in order, later than they were sent, and not
 * while the way is cut or the receiver can't take them. */
#pragma once

#include "base/blob.h"
#include "base/queue.h"
#include "base/timer_heap.h"

struct sim;

struct sim_message {
    struct link link;
    uint64_t sent_us;
    uint64_t arrive_us;
    uint16_t kind; /* of its user */
    uint16_t type;
    size_t head_len;
    uint64_t stamp;    /* of the pipe when it was sent */
    struct blob *blob; /* head, then tail; NULL: none */
};

struct sim_pipe {
    struct sim *sim;
    uint32_t from_place;
    uint32_t to_place;
    struct link queue;
    size_t queued;  /* bytes that have not arrived */
    uint64_t stamp; /* of its user: which connection this is */
    uint64_t last_us;
    struct timer arrival;
    bool stalled; /* something is due, but the way is cut or the receiver is not ready */
    struct link in_stalled;
    bool (*ready)(struct sim_pipe *pipe); /* can the receiver take the next message? */
    /* The message is freed afterwards; the pipe may be cleared, not freed, from inside. */
    void (*deliver)(struct sim_pipe *pipe, struct sim_message *message);
};

void sim_pipe_init(struct sim_pipe *pipe, struct sim *sim, uint32_t from_place, uint32_t to_place);
/* `blob`: the reference is taken. */
void sim_pipe_send(struct sim_pipe *pipe, uint16_t kind, uint16_t type, size_t head_len,
                   struct blob *blob);
/* What is under way arrives by the other pipe, so much later; what was in that is lost. */
void sim_pipe_hand_over(struct sim_pipe *pipe, struct sim_pipe *to, uint64_t later_us);
/* What is under way is lost. */
void sim_pipe_clear(struct sim_pipe *pipe);
/* The cause of a stall may be over: whatever waits arrives within `delay_us`. */
void sim_pipe_kick(struct sim_pipe *pipe, uint64_t delay_us);
