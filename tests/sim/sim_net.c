/* SPDX-License-Identifier: Apache-2.0 */
/* Places, ways and the mesh between nodes; the clients' side is in sim_tcp.c.
 *
 * A channel comes up in three steps, as the real mesh does it: the dialling end says hello, the
 * other checks it and answers with its own, the first checks that and says ready. Numbers tell old
 * connections from new ones; a newer one replaces an older at the end that has not noticed. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_tcp.h"

enum { HELLO = 1, WELCOME, READY, FRAME, CLOSED, NOBODY };

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 1000
#define DIAL_MS        5000
#define USER_TIMEOUT_S 15
#define RTO_MS         200
#define LATE_S         4 /* what an old connection delivers is at most so late */
#define REFUSES_S      2 /* a middlebox that has forgotten connections refuses new ones for so long */

struct hello_message {
    uint64_t serial;
    struct wire_hello hello;
};

static struct sim_end *other_end(const struct sim_end *end)
{
    struct sim_channel *channel = end->channel;

    return &channel->ends[end == &channel->ends[0] ? 1 : 0];
}

static struct sim_channel *channel_of(struct sim_net *net, uint32_t a, uint32_t b,
                                      enum wire_channel kind)
{
    return a < b ? &net->channels[a][b][kind] : &net->channels[b][a][kind];
}

static struct sim_end *end_of(struct sim_net *net, uint32_t node, uint32_t peer,
                              enum wire_channel kind)
{
    return &channel_of(net, node, peer, kind)->ends[node < peer ? 0 : 1];
}

static struct sim_wire *wire_of(const struct sim_end *end)
{
    return &end->channel->sim->net.wires[end->node];
}

/* The process behind the end can be called. */
static bool alive(const struct sim_end *end)
{
    return wire_of(end)->handler != NULL;
}

static bool running(const struct sim_end *end)
{
    return alive(end) && !end->channel->sim->nodes[end->node].paused;
}

/* Catch-up has as long a queue as live data. */
static size_t queue_max(const struct sim_net *net, enum wire_channel kind)
{
    return net->queue_max[kind == WIRE_CATCH_UP ? WIRE_DATA : kind];
}

/* ---- ways ------------------------------------------------------------------------------------ */

bool sim_net_cut(const struct sim_net *net, uint32_t from, uint32_t to)
{
    return from != to && net->cut[from][to];
}

uint64_t sim_net_delay_us(struct sim_net *net, uint32_t from, uint32_t to)
{
    uint64_t delay = net->delay_us[from][to];
    uint64_t jitter = delay * net->jitter_percent / 100;

    return delay + prng_below(&net->sim->chance_net, jitter + 1);
}

/* A tail loss probe goes out after two round trips; that one was lost, too, is seen by what is sent
 * after it (RACK), a heartbeat at the latest. */
static uint64_t mended_us(struct sim_net *net, uint32_t from, uint32_t to)
{
    uint64_t rtt = net->delay_us[from][to] + net->delay_us[to][from];
    uint64_t us = 0;

    while (us < 10 * SIM_S &&
           prng_chance(&net->sim->chance_net, net->bad[from][to].loss_percent, 100)) {
        us += us == 0 ? 2 * rtt + 10 * SIM_MS : rtt * 5 / 4 + 100 * SIM_MS;
    }
    return us;
}

uint64_t sim_net_bad_us(struct sim_net *net, uint32_t from, uint32_t to, size_t bytes)
{
    const struct sim_bad_way *bad = &net->bad[from][to];
    struct prng *chance = &net->sim->chance_net;
    uint64_t us = bad->us_per_kib * bytes / 1024;

    if (bad->mended) {
        uint64_t one = mended_us(net, from, to);
        uint64_t twin = mended_us(net, from, to);
        return us + (one < twin ? one : twin);
    }

    if (bad->late_us > 0) {
        us += prng_below(chance, bad->late_us);
    }
    for (uint64_t rto = RTO_MS * SIM_MS; bad->loss_percent > 0 && rto < 7 * SIM_S; rto *= 2) {
        if (!prng_chance(chance, bad->loss_percent, 100)) {
            break;
        }
        us += rto;
    }
    return us;
}

/* TCP sends again when a way is back, after a while of its own. */
static void kick_stalled(struct sim_net *net, uint32_t from, uint32_t to)
{
    QUEUE_EACH (each, &net->stalled) {
        struct sim_pipe *pipe = CONTAINER_OF(each, struct sim_pipe, in_stalled);
        if (pipe->from_place == from && pipe->to_place == to) {
            sim_pipe_kick(pipe, sim_net_delay_us(net, from, to) +
                                    prng_below(&net->sim->chance_net, 200 * SIM_MS));
        }
    }
}

static void channels_notice_cut(struct sim_net *net, uint32_t a, uint32_t b)
{
    for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
        struct sim_channel *channel = channel_of(net, a, b, (enum wire_channel)kind);
        bool cut = net->cut[a][b] || net->cut[b][a];
        for (int i = 0; i < 2; i++) {
            struct sim_end *end = &channel->ends[i];
            if (cut && !timer_armed(&end->gives_up)) {
                uint64_t after =
                    prng_between(&net->sim->chance_net, 2 * SIM_S, USER_TIMEOUT_S * SIM_S);
                sim_after(net->sim, &end->gives_up, after);
            } else if (!cut) {
                sim_stop(net->sim, &end->gives_up);
            }
        }
    }
}

void sim_net_set_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    if (net->cut[from][to] == cut) {
        return;
    }
    net->cut[from][to] = cut;
    if (from < SIM_PLACES && to < SIM_PLACES && from != to) {
        channels_notice_cut(net, from, to);
    }
    if (!cut) {
        kick_stalled(net, from, to);
    }
}

/* ---- old connections ------------------------------------------------------------------------- */

/* This end leaves its connection; what it sent arrives, perhaps late, and then its end. `told`: the
 * other end hears of it at last. */
static void leave_behind(struct sim_end *end, uint64_t serial, bool told)
{
    struct sim *sim = end->channel->sim;
    uint64_t late =
        prng_chance(&sim->chance_wear, 1, 2) ? prng_below(&sim->chance_wear, LATE_S * SIM_S) : 0;

    sim_pipe_hand_over(&end->out, &end->old, late);
    end->old.stamp = serial;
    if (told) {
        sim_pipe_send(&end->old, CLOSED, 0, 0, blob_copy(slice_of(&serial, sizeof serial)));
    }
}

/* ---- dialling -------------------------------------------------------------------------------- */

static void dial_later(struct sim_channel *channel)
{
    if (timer_armed(&channel->dial)) {
        return;
    }
    uint64_t jitter = prng_below(&channel->sim->chance_net, 20 * SIM_MS);

    sim_after(channel->sim, &channel->dial, channel->backoff_ms * SIM_MS + jitter);
    channel->backoff_ms =
        channel->backoff_ms * 2 < BACKOFF_MAX_MS ? channel->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void send_hello(struct sim_end *end, uint16_t kind)
{
    struct hello_message m;

    memset(&m, 0, sizeof m);
    m.serial = end->serial;
    m.hello = wire_of(end)->hello;
    sim_pipe_send(&end->out, kind, 0, 0, blob_copy(slice_of(&m, sizeof m)));
}

/* This end's connection is over; the node hears of it now. */
static void end_down(struct sim_end *end)
{
    bool was_up = end->up;

    end->serial = 0;
    end->up = false;
    end->closing = false;
    end->refused = false;
    sim_stop(end->channel->sim, &end->closed);
    if (was_up && alive(end)) {
        struct sim_wire *wire = wire_of(end);
        sim_tell(end->channel->sim, "node %u: %s channel to node %u is down", end->node,
                 wire_channel_name(end->channel->kind), other_end(end)->node);
        sim_node_enter(&wire->sim->nodes[end->node]);
        wire->handler->peer_down(wire->ctx, other_end(end)->node, end->channel->kind);
    }
    dial_later(end->channel);
}

static void end_up(struct sim_end *end)
{
    struct sim_wire *wire = wire_of(end);

    end->up = true;
    end->channel->backoff_ms = BACKOFF_MIN_MS;
    sim_tell(end->channel->sim, "node %u: %s channel to node %u is up", end->node,
             wire_channel_name(end->channel->kind), other_end(end)->node);
    sim_node_enter(&wire->sim->nodes[end->node]);
    wire->handler->peer_up(wire->ctx, &end->other, end->channel->kind);
}

static bool wants(const struct sim_end *end)
{
    const struct sim_wire *wire = wire_of(end);

    return running(end) && wire->hello_set && wire->wants[other_end(end)->node];
}

static void dial(struct timer *timer)
{
    struct sim_channel *channel = CONTAINER_OF(timer, struct sim_channel, dial);
    struct sim_end *end = wants(&channel->ends[0]) ? &channel->ends[0] : &channel->ends[1];

    if (channel->ends[0].up && channel->ends[1].up) {
        return;
    }
    if (!wants(end) || end->up) {
        /* Nobody there yet; or the other end must come. */
        end = other_end(end);
        if (!wants(end) || end->up) {
            dial_later(channel);
            return;
        }
    }
    sim_pipe_clear(&end->out);
    end->serial = ++channel->serial;
    end->out.stamp = end->serial;
    send_hello(end, HELLO);
    sim_after(channel->sim, &channel->dial, DIAL_MS * SIM_MS);
}

/* True: this end accepts the peer that said this. */
static bool check(struct sim_end *end, const struct hello_message *m)
{
    struct sim_wire *wire = wire_of(end);
    char why[128] = "";

    sim_node_enter(&wire->sim->nodes[end->node]);
    if (m->hello.node_id == other_end(end)->node &&
        wire->handler->peer_check(wire->ctx, &m->hello, why)) {
        return true;
    }
    sim_tell(wire->sim, "node %u refuses node %u: %s", end->node, m->hello.node_id, why);
    return false;
}

static void say_closed(struct sim_end *end, uint64_t serial)
{
    sim_pipe_send(&end->out, CLOSED, 0, 0, blob_copy(slice_of(&serial, sizeof serial)));
}

/* Nothing listens there: the process is gone; or a middlebox says so, of one that is well. */
static bool nobody(const struct sim_end *end)
{
    const struct sim_net *net = &end->channel->sim->net;
    const struct sim_end *low = &end->channel->ends[0];

    return !alive(end) || net->refuses_until_us[low->node][other_end(low)->node] > net->sim->now_us;
}

static void on_nobody(struct sim_end *end, uint64_t serial)
{
    struct sim_wire *wire = wire_of(end);
    uint32_t peer = other_end(end)->node;
    bool any_up = false;

    if (end->serial != serial) {
        return;
    }
    end_down(end);
    for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
        const struct sim_end *each =
            end_of(&wire->sim->net, end->node, peer, (enum wire_channel)kind);
        any_up = any_up || (each->up && !each->closing);
    }
    if (!any_up && alive(end)) {
        wire->sim->net.gone_told += alive(other_end(end)) ? 1 : 0;
        sim_tell(wire->sim, "node %u: nothing listens at node %u%s", end->node, peer,
                 alive(other_end(end)) ? ", says a middlebox" : "");
        sim_node_enter(&wire->sim->nodes[end->node]);
        wire->handler->peer_gone(wire->ctx, peer);
    }
}

static void on_hello(struct sim_end *end, const struct hello_message *m)
{
    if (!alive(end) && wire_of(end)->sim->nodes[end->node].silent) {
        return;
    }
    if (nobody(end)) {
        sim_pipe_send(&end->out, NOBODY, 0, 0, blob_copy(slice_of(&m->serial, sizeof m->serial)));
        return;
    }
    if (!wire_of(end)->hello_set || !check(end, m)) {
        say_closed(end, m->serial);
        return;
    }
    if (end->channel->sim->net.old_connections && end->up) {
        end->pending = m->serial; /* it replaces the older one when it is ready */
        end->pending_other = m->hello;
        struct hello_message answer = {.serial = m->serial, .hello = wire_of(end)->hello};
        sim_pipe_send(&end->out, WELCOME, 0, 0, blob_copy(slice_of(&answer, sizeof answer)));
        return;
    }
    if (end->up || end->serial != 0) {
        end_down(end); /* replaced by a newer connection */
    }
    sim_pipe_clear(&end->out);
    end->serial = m->serial;
    end->out.stamp = m->serial;
    end->other = m->hello;
    send_hello(end, WELCOME);
}

static void on_welcome(struct sim_end *end, const struct hello_message *m)
{
    if (!alive(end) || end->up || end->serial != m->serial) {
        say_closed(end, m->serial);
        return;
    }
    if (!check(end, m)) {
        say_closed(end, m->serial);
        end_down(end);
        return;
    }
    end->other = m->hello;
    sim_pipe_send(&end->out, READY, 0, 0, blob_copy(slice_of(&m->serial, sizeof m->serial)));
    sim_stop(end->channel->sim, &end->channel->dial);
    end_up(end);
}

static void on_frame(struct sim_end *end, const struct sim_message *message)
{
    struct sim_wire *wire = wire_of(end);
    struct blob *blob = message->blob;

    if (!end->up || !alive(end)) {
        if (!wire->sim->nodes[end->node].silent) {
            say_closed(end, other_end(end)->serial); /* nobody knows this connection any more */
        }
        return;
    }
    if (message->stamp != end->serial) {
        say_closed(end, message->stamp); /* it came by an older one that is closed here */
        return;
    }
    if (end->closing) {
        return;
    }
    sim_node_enter(&wire->sim->nodes[end->node]);
    struct chunk tail = {blob, blob->bytes + message->head_len, blob->len - message->head_len};
    wire->handler->peer_frame(wire->ctx, other_end(end)->node, end->channel->kind, message->type,
                              slice_of(blob->bytes, message->head_len), tail);
}

static void maybe_drained(struct sim_end *end)
{
    struct sim_wire *wire = wire_of(end);

    if (end->refused && end->up && running(end) &&
        end->out.queued < queue_max(&wire->sim->net, end->channel->kind) / 2) {
        end->refused = false;
        sim_node_enter(&wire->sim->nodes[end->node]);
        wire->handler->peer_drained(wire->ctx, other_end(end)->node, end->channel->kind);
    }
}

/* The connection that was in the making is ready: the older one is over. */
static void replace(struct sim_end *end)
{
    uint64_t serial = end->pending;

    end->pending = 0;
    if (end->serial != 0) {
        end_down(end);
    }
    sim_pipe_clear(&end->out);
    end->serial = serial;
    end->out.stamp = serial;
    end->other = end->pending_other;
    end_up(end);
}

/* By a connection that the sender has left: heard as long as this end has it. */
static void deliver_late(struct sim_pipe *pipe, struct sim_message *message)
{
    struct sim_end *end = other_end(CONTAINER_OF(pipe, struct sim_end, old));
    uint64_t serial = pipe->stamp;

    if (!alive(end) || !end->up || end->serial != serial) {
        return;
    }
    if (message->kind == FRAME) {
        end->channel->sim->net.late_frames++;
        on_frame(end, message);
    } else if (message->kind == CLOSED) {
        end_down(end);
    }
}

static bool ready_late(struct sim_pipe *pipe)
{
    struct sim_end *end = other_end(CONTAINER_OF(pipe, struct sim_end, old));

    return !end->channel->sim->nodes[end->node].paused;
}

static void deliver(struct sim_pipe *pipe, struct sim_message *message)
{
    struct sim_end *from = CONTAINER_OF(pipe, struct sim_end, out);
    struct sim_end *end = other_end(from);
    struct hello_message m;
    uint64_t serial = 0;

    switch (message->kind) {
    case HELLO:
    case WELCOME:
        memcpy(&m, message->blob->bytes, sizeof m);
        if (message->kind == HELLO) {
            on_hello(end, &m);
        } else {
            on_welcome(end, &m);
        }
        break;
    case READY:
        memcpy(&serial, message->blob->bytes, sizeof serial);
        if (alive(end) && end->serial == serial && !end->up) {
            end_up(end);
        } else if (alive(end) && end->pending == serial) {
            replace(end);
        } else if (end->serial != serial && !wire_of(end)->sim->nodes[end->node].silent) {
            say_closed(
                end,
                serial); /* of a process that is gone: as a machine resets what it does not know */
        }
        break;
    case CLOSED:
        memcpy(&serial, message->blob->bytes, sizeof serial);
        end->pending = end->pending == serial ? 0 : end->pending;
        if (end->serial == serial) {
            end_down(end);
        }
        break;
    case NOBODY:
        memcpy(&serial, message->blob->bytes, sizeof serial);
        on_nobody(end, serial);
        break;
    default:
        on_frame(end, message);
        break;
    }
    maybe_drained(from);
}

/* A machine takes packets also for a process that is gone; only a paused one lets them wait. */
static bool ready(struct sim_pipe *pipe)
{
    struct sim_end *end = other_end(CONTAINER_OF(pipe, struct sim_end, out));

    return !end->channel->sim->nodes[end->node].paused;
}

static void gives_up(struct timer *timer)
{
    struct sim_end *end = CONTAINER_OF(timer, struct sim_end, gives_up);

    if (end->up && running(end)) {
        sim_pipe_clear(&end->out);
        say_closed(end, end->serial);
        end_down(end);
    }
}

static void closed(struct timer *timer)
{
    struct sim_end *end = CONTAINER_OF(timer, struct sim_end, closed);

    uint64_t serial = end->serial;

    if (serial != 0 && end->channel->sim->net.old_connections) {
        end_down(end);
        leave_behind(end, serial, true);
    } else if (serial != 0) {
        say_closed(end, serial);
        end_down(end);
    }
}

/* One end alone loses it, the other goes on to believe in it for a while. */
static void half_open(struct sim_net *net, struct sim_channel *channel)
{
    struct sim_end *end = &channel->ends[prng_below(&net->sim->chance_wear, 2)];

    if (end->serial != 0) {
        sim_at(net->sim, &end->closed, net->sim->now_us);
    }
}

void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b)
{
    if (prng_chance(&net->sim->chance_wear, 1, 3)) {
        net->refuses_until_us[a < b ? a : b][a < b ? b : a] =
            net->sim->now_us + prng_below(&net->sim->chance_wear, REFUSES_S * SIM_S);
    }
    for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
        struct sim_channel *channel = channel_of(net, a, b, (enum wire_channel)kind);
        if (net->old_connections && prng_chance(&net->sim->chance_wear, 1, 2)) {
            half_open(net, channel);
            continue;
        }
        for (int i = 0; i < 2; i++) {
            struct sim_end *end = &channel->ends[i];
            sim_pipe_clear(&end->out);
            if (end->serial != 0) {
                sim_at(net->sim, &end->closed, net->sim->now_us);
            }
        }
    }
}

void sim_net_node_down(struct sim_net *net, uint32_t node, bool silent)
{
    struct sim_wire *wire = &net->wires[node];

    wire->handler = NULL;
    wire->hello_set = false;
    memset(wire->wants, 0, sizeof wire->wants);
    for (uint32_t peer = 1; peer <= net->sim->node_count; peer++) {
        for (int kind = 0; peer != node && kind < WIRE_CHANNELS; kind++) {
            struct sim_end *end = end_of(net, node, peer, (enum wire_channel)kind);
            uint64_t serial = end->serial;
            end->pending = 0;
            if (end->serial != 0) {
                end_down(end);
            }
            if (serial != 0 && net->old_connections) {
                leave_behind(end, serial, !silent);
            } else if (serial != 0 && !silent) {
                say_closed(end, serial);
            }
        }
    }
    sim_tcp_node_down(net, node, silent);
    if (net->old_connections) {
        sim_net_node_resumed(net, node); /* if it was paused: nothing waits for it any more */
    }
}

void sim_net_node_resumed(struct sim_net *net, uint32_t node)
{
    QUEUE_EACH (each, &net->stalled) {
        struct sim_pipe *pipe = CONTAINER_OF(each, struct sim_pipe, in_stalled);
        if (pipe->to_place == node) {
            sim_pipe_kick(pipe, 0);
        }
    }
}

/* ---- the wire seam --------------------------------------------------------------------------- */

static struct sim_wire *sim_wire_of(struct wire *wire)
{
    return CONTAINER_OF(wire, struct sim_wire, wire);
}

static void set_handler(struct wire *wire, const struct wire_handler *handler, void *ctx)
{
    sim_wire_of(wire)->handler = handler;
    sim_wire_of(wire)->ctx = ctx;
}

static void set_hello(struct wire *wire, const struct wire_hello *hello)
{
    sim_wire_of(wire)->hello = *hello;
    sim_wire_of(wire)->hello_set = true;
}

static void set_peer(struct wire *wire, uint32_t node_id, const char *mesh_address)
{
    struct sim_wire *w = sim_wire_of(wire);
    unsigned id = 0;

    CHECK(node_id > 0 && node_id < SIM_PLACES && node_id != w->node);
    if (mesh_address[0] == '\0') {
        w->wants[node_id] = false;
        return;
    }
    CHECK(sscanf(mesh_address, "node-%u:", &id) == 1 && id == node_id);
    if (!w->wants[node_id]) {
        w->wants[node_id] = true;
        for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
            struct sim_channel *channel =
                channel_of(&w->sim->net, w->node, node_id, (enum wire_channel)kind);
            channel->backoff_ms = BACKOFF_MIN_MS;
            dial_later(channel);
        }
    }
}

static bool is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    struct sim_wire *w = sim_wire_of(wire);

    if (node_id == 0 || node_id >= SIM_PLACES || node_id == w->node) {
        return false;
    }
    const struct sim_end *end = end_of(&w->sim->net, w->node, node_id, channel);
    return end->up && !end->closing;
}

static size_t queued_bytes(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    struct sim_wire *w = sim_wire_of(wire);

    return is_up(wire, node_id, channel)
               ? end_of(&w->sim->net, w->node, node_id, channel)->out.queued
               : 0;
}

static bool send(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                 const struct wire_frame *frame)
{
    struct sim_wire *w = sim_wire_of(wire);
    size_t len = frame->head.len;

    if (w->sim->verbose >= 4) {
        printf("[%11.6f]    frame %u > %u %s type=%u head=%zu tail=%zu%s\n",
               (double)w->sim->now_us / 1e6, w->node, node_id, wire_channel_name(channel),
               frame->type, frame->head.len, frame->tail_count,
               is_up(wire, node_id, channel) ? "" : " (down)");
    }
    /* A process that has died inside this turn says nothing any more. */
    if (!is_up(wire, node_id, channel) || sim_node_gone(&w->sim->nodes[w->node])) {
        return false;
    }
    struct sim_end *end = end_of(&w->sim->net, w->node, node_id, channel);
    for (size_t i = 0; i < frame->tail_count; i++) {
        len += frame->tail[i].len;
    }
    if (end->out.queued > 0 && end->out.queued + len > queue_max(&w->sim->net, channel)) {
        end->refused = true;
        if (w->sim->verbose >= 4) {
            printf("[%11.6f]    frame refused, %zu bytes wait\n", (double)w->sim->now_us / 1e6,
                   end->out.queued);
        }
        return false;
    }
    struct blob *blob = blob_new(len);
    uint8_t *at = blob->bytes;
    if (frame->head.len > 0) {
        memcpy(at, frame->head.base, frame->head.len);
    }
    at += frame->head.len;
    for (size_t i = 0; i < frame->tail_count; i++) {
        memcpy(at, frame->tail[i].base, frame->tail[i].len);
        at += frame->tail[i].len;
    }
    sim_pipe_send(&end->out, FRAME, frame->type, frame->head.len, blob);
    return true;
}

static void drop_peer(struct wire *wire, uint32_t node_id)
{
    struct sim_wire *w = sim_wire_of(wire);

    if (node_id == 0 || node_id >= SIM_PLACES || node_id == w->node) {
        return;
    }
    for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
        struct sim_end *end = end_of(&w->sim->net, w->node, node_id, (enum wire_channel)kind);
        if (end->pending != 0) {
            say_closed(end, end->pending);
            end->pending = 0;
        }
        if (end->serial != 0 && !end->closing) {
            end->closing = true;
            sim_at(w->sim, &end->closed, w->sim->now_us);
        }
    }
}

static const struct wire_ops wire_ops = {
    .set_handler = set_handler,
    .set_hello = set_hello,
    .set_peer = set_peer,
    .send = send,
    .is_up = is_up,
    .queued_bytes = queued_bytes,
    .drop_peer = drop_peer,
    .client_send = sim_tcp_send,
    .client_close = sim_tcp_close,
    .client_pause = sim_tcp_pause,
    .client_set_data = sim_tcp_set_data,
    .client_data = sim_tcp_data,
    .client_queued_bytes = sim_tcp_queued_bytes,
};

/* ---- the whole ------------------------------------------------------------------------------- */

static void init_end(struct sim_channel *channel, int which, uint32_t node, uint32_t peer)
{
    struct sim_end *end = &channel->ends[which];

    end->channel = channel;
    end->node = node;
    sim_pipe_init(&end->out, channel->sim, node, peer);
    end->out.ready = ready;
    end->out.deliver = deliver;
    sim_pipe_init(&end->old, channel->sim, node, peer);
    end->old.ready = ready_late;
    end->old.deliver = deliver_late;
    end->closed.fire = closed;
    end->gives_up.fire = gives_up;
}

void sim_net_init(struct sim_net *net, struct sim *sim)
{
    net->sim = sim;
    queue_init(&net->stalled);
    queue_init(&net->tcps);
    for (uint32_t a = 1; a < SIM_PLACES; a++) {
        net->wires[a] = (struct sim_wire){.wire = {&wire_ops}, .sim = sim, .node = a};
        for (uint32_t b = a + 1; b < SIM_PLACES; b++) {
            for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
                struct sim_channel *channel = &net->channels[a][b][kind];
                channel->sim = sim;
                channel->kind = (enum wire_channel)kind;
                channel->dial.fire = dial;
                channel->backoff_ms = BACKOFF_MIN_MS;
                init_end(channel, 0, a, b);
                init_end(channel, 1, b, a);
            }
        }
    }
}

void sim_net_fini(struct sim_net *net)
{
    for (uint32_t a = 1; a < SIM_PLACES; a++) {
        for (uint32_t b = a + 1; b < SIM_PLACES; b++) {
            for (int kind = 0; kind < WIRE_CHANNELS; kind++) {
                sim_pipe_clear(&net->channels[a][b][kind].ends[0].out);
                sim_pipe_clear(&net->channels[a][b][kind].ends[1].out);
                sim_pipe_clear(&net->channels[a][b][kind].ends[0].old);
                sim_pipe_clear(&net->channels[a][b][kind].ends[1].old);
            }
        }
    }
    sim_tcp_fini(net);
}
