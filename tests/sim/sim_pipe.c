/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_pipe.h"

#include "tests/sim/sim.h"

#define BYTES_PER_US 40 /* bandwidth of one connection */

static void message_free(struct sim_message *message)
{
    blob_unref(message->blob);
    free(message);
}

static void arm(struct sim_pipe *pipe)
{
    if (!queue_empty(&pipe->queue) && !pipe->stalled && !timer_armed(&pipe->arrival)) {
        sim_at(pipe->sim, &pipe->arrival,
               CONTAINER_OF(pipe->queue.next, struct sim_message, link)->arrive_us);
    }
}

static void arrived(struct timer *timer)
{
    struct sim_pipe *pipe = CONTAINER_OF(timer, struct sim_pipe, arrival);
    struct sim *sim = pipe->sim;

    if (sim_net_cut(&sim->net, pipe->from_place, pipe->to_place) || !pipe->ready(pipe)) {
        pipe->stalled = true;
        queue_push(&sim->net.stalled, &pipe->in_stalled);
        return;
    }
    struct sim_message *message = CONTAINER_OF(queue_pop(&pipe->queue), struct sim_message, link);
    size_t bytes = message->blob != NULL ? message->blob->len : 0;
    pipe->queued -= bytes;
    sim_note(sim, ((uint64_t)message->kind << 48) ^ ((uint64_t)message->type << 32) ^ bytes);
    arm(pipe);
    pipe->deliver(pipe, message);
    message_free(message);
}

void sim_pipe_init(struct sim_pipe *pipe, struct sim *sim, uint32_t from_place, uint32_t to_place)
{
    pipe->sim = sim;
    pipe->from_place = from_place;
    pipe->to_place = to_place;
    pipe->arrival.fire = arrived;
    queue_init(&pipe->queue);
}

void sim_pipe_send(struct sim_pipe *pipe, uint16_t kind, uint16_t type, size_t head_len,
                   struct blob *blob)
{
    struct sim *sim = pipe->sim;
    struct sim_message *message = mem_new(sizeof *message);
    size_t bytes = blob != NULL ? blob->len : 0;
    uint64_t at = sim->now_us + sim_net_delay_us(&sim->net, pipe->from_place, pipe->to_place) +
                  bytes / BYTES_PER_US +
                  sim_net_bad_us(&sim->net, pipe->from_place, pipe->to_place, bytes);

    pipe->last_us = at > pipe->last_us ? at : pipe->last_us + bytes / BYTES_PER_US;
    message->sent_us = sim->now_us;
    message->arrive_us = pipe->last_us;
    message->kind = kind;
    message->type = type;
    message->head_len = head_len;
    message->stamp = pipe->stamp;
    message->blob = blob;
    pipe->queued += bytes;
    queue_push(&pipe->queue, &message->link);
    arm(pipe);
}

void sim_pipe_hand_over(struct sim_pipe *pipe, struct sim_pipe *to, uint64_t later_us)
{
    struct link *link;

    sim_pipe_clear(to);
    to->stamp = pipe->stamp;
    to->queued = pipe->queued;
    to->last_us = pipe->sim->now_us;
    while ((link = queue_pop(&pipe->queue)) != NULL) {
        struct sim_message *message = CONTAINER_OF(link, struct sim_message, link);
        message->arrive_us += later_us;
        to->last_us = message->arrive_us > to->last_us ? message->arrive_us : to->last_us;
        queue_push(&to->queue, link);
    }
    sim_pipe_clear(pipe);
    arm(to);
}

void sim_pipe_clear(struct sim_pipe *pipe)
{
    struct link *link;

    while ((link = queue_pop(&pipe->queue)) != NULL) {
        message_free(CONTAINER_OF(link, struct sim_message, link));
    }
    pipe->queued = 0;
    if (pipe->stalled) {
        pipe->stalled = false;
        link_remove(&pipe->in_stalled);
    }
    sim_stop(pipe->sim, &pipe->arrival);
}

void sim_pipe_kick(struct sim_pipe *pipe, uint64_t delay_us)
{
    if (!pipe->stalled) {
        return;
    }
    pipe->stalled = false;
    link_remove(&pipe->in_stalled);
    sim_at(pipe->sim, &pipe->arrival, pipe->sim->now_us + delay_us);
}
