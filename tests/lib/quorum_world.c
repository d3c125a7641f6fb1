/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/quorum_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/trace.h"
#include "tests/lib/mem_disk.h"

/* ---- violations ----------------------------------------------------------------------------- */

static void print_nodes(const struct world *world)
{
    static struct quorum_status status;

    for (uint32_t i = 1; i <= world->count; i++) {
        if (world->nodes[i].quorum == NULL) {
            fprintf(stderr, "node %u: not running\n", i);
            continue;
        }
        quorum_status(world->nodes[i].quorum, &status);
        fprintf(stderr, "node %u: role %d term %llu commit %llu applied %llu last %llu leader %u;",
                i, (int)status.role, (unsigned long long)status.term,
                (unsigned long long)status.commit_index, (unsigned long long)status.applied_index,
                (unsigned long long)status.last_index, status.leader_node);
        for (uint32_t k = 0; k < status.peer_count; k++) {
            fprintf(stderr, " %u%s", status.peers[k].member.node_id,
                    status.peers[k].member.voter ? "V" : "");
        }
        fputc('\n', stderr);
    }
}

void world_violation(struct world *world, const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (world->violation[0] == 0) {
        (void)snprintf(world->violation, sizeof world->violation, "seed %llu at %llu ms: %s",
                       (unsigned long long)world->seed, (unsigned long long)(world->now_us / 1000),
                       text);
    }
    world->lost = true;
    if (!world->tolerant) {
        fprintf(stderr, "VIOLATION %s\n", world->violation);
        print_nodes(world);
        trace_dump_tail();
        abort();
    }
}

/* A story of the run on stderr, with WORLD_TRACE=1. */
static void tell(const struct world *world, const char *format, ...) TERN_PRINTF(2, 3);
static void tell(const struct world *world, const char *format, ...)
{
    va_list args;

    if (!world->telling) {
        return;
    }
    va_start(args, format);
    fprintf(stderr, "%8.1f ", (double)world->now_us / 1000);
    (void)vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- events --------------------------------------------------------------------------------- */

static bool event_before(const struct world_event *a, const struct world_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void event_add(struct world *world, struct world_event *event, uint64_t at_us)
{
    event->at_us = at_us;
    event->seq = world->next_seq++;
    if (world->event_count + 1 >= world->event_cap) {
        world->event_cap = world->event_cap > 0 ? world->event_cap * 2 : 256;
        world->events = mem_grow(world->events, world->event_cap, sizeof(void *));
    }
    size_t i = ++world->event_count;
    while (i > 1 && event_before(event, world->events[i / 2])) {
        world->events[i] = world->events[i / 2];
        i /= 2;
    }
    world->events[i] = event;
}

static struct world_event *event_take(struct world *world)
{
    struct world_event *first = world->events[1];
    struct world_event *last = world->events[world->event_count--];
    size_t i = 1;

    for (;;) {
        size_t child = i * 2;
        if (child > world->event_count) {
            break;
        }
        if (child < world->event_count &&
            event_before(world->events[child + 1], world->events[child])) {
            child++;
        }
        if (!event_before(world->events[child], last)) {
            break;
        }
        world->events[i] = world->events[child];
        i = child;
    }
    world->events[i] = last;
    return first;
}

/* ---- clock ---------------------------------------------------------------------------------- */

static struct world_node *clock_node(struct clock *clock)
{
    return CONTAINER_OF(clock, struct world_node, clock);
}

static uint64_t wc_now_us(struct clock *clock)
{
    return clock_node(clock)->world->now_us;
}

static int64_t wc_wall_ms(struct clock *clock)
{
    return (int64_t)(clock_node(clock)->world->now_us / 1000);
}

static uint64_t wc_random(struct clock *clock)
{
    return prng_next(&clock_node(clock)->prng);
}

static void wc_timer_set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&clock_node(clock)->timers, timer, at_us);
}

static void wc_timer_stop(struct clock *clock, struct timer *timer)
{
    timer_heap_stop(&clock_node(clock)->timers, timer);
}

static const struct clock_ops world_clock_ops = {
    .now_us = wc_now_us,
    .wall_ms = wc_wall_ms,
    .random = wc_random,
    .timer_set = wc_timer_set,
    .timer_stop = wc_timer_stop,
};

/* ---- wire ----------------------------------------------------------------------------------- */

struct wire_event {
    struct world_event event;
    uint32_t from;
    uint32_t to;
    uint64_t from_boot;
    uint64_t to_boot;
    uint16_t type;
    struct blob *head;
    struct chunk tail;
};

static void wire_event_drop(struct world_event *base)
{
    struct wire_event *event = CONTAINER_OF(base, struct wire_event, event);

    blob_unref(event->head);
    chunk_drop(&event->tail);
    free(event);
}

static void wire_event_fire(struct world *world, struct world_event *base)
{
    struct wire_event *event = CONTAINER_OF(base, struct wire_event, event);
    struct world_node *to = &world->nodes[event->to];
    struct world_node *from = &world->nodes[event->from];

    if (to->quorum != NULL && to->boot == event->to_boot && from->boot == event->from_boot &&
        !world->cut[event->from][event->to]) {
        struct wire_hello hello = {.node_id = event->from, .raft_id = from->raft_id};
        quorum_receive(to->quorum, &hello, event->type,
                       slice_of(event->head->bytes, event->head->len), event->tail);
    }
    wire_event_drop(base);
}

static bool ww_send(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                    const struct wire_frame *frame)
{
    struct world_node *from = CONTAINER_OF(wire, struct world_node, wire);
    struct world *world = from->world;

    if (node_id == 0 || node_id > world->count || world->nodes[node_id].quorum == NULL) {
        return false;
    }
    if (world->filter != NULL && !world->filter(world, from->node_id, node_id, frame->type)) {
        return true;
    }
    if (world->cut[from->node_id][node_id]) {
        return true; /* into the void, as TCP does for a while */
    }
    struct wire_event *event = mem_new(sizeof *event);
    event->event.fire = wire_event_fire;
    event->event.drop = wire_event_drop;
    event->from = from->node_id;
    event->to = node_id;
    event->from_boot = from->boot;
    event->to_boot = world->nodes[node_id].boot;
    event->type = frame->type;
    event->head = blob_copy(frame->head);
    size_t len = 0;
    for (size_t i = 0; i < frame->tail_count; i++) {
        len += frame->tail[i].len;
    }
    if (len > 0) {
        struct blob *blob = blob_new(len);
        size_t at = 0;
        for (size_t i = 0; i < frame->tail_count; i++) {
            memcpy(blob->bytes + at, frame->tail[i].base, frame->tail[i].len);
            at += frame->tail[i].len;
        }
        event->tail = (struct chunk){blob, blob->bytes, len};
    }
    uint64_t *last = &world->last_arrival_us[from->node_id][node_id][channel];
    uint64_t at =
        world->now_us + prng_between(&world->prng, world->delay_min_us, world->delay_max_us);
    at = at > *last ? at : *last;
    *last = at;
    event_add(world, &event->event, at);
    return true;
}

static bool ww_is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    struct world_node *from = CONTAINER_OF(wire, struct world_node, wire);

    (void)channel;
    return from->world->nodes[node_id].quorum != NULL;
}

static const struct wire_ops world_wire_ops = {
    .send = ww_send,
    .is_up = ww_is_up,
};

/* ---- state machine -------------------------------------------------------------------------- */

static void state_note(struct world_node *node, uint64_t command)
{
    uint64_t value = command;

    if (node->spoil) {
        node->spoil = false;
        value ^= 1;
    }
    for (size_t at = 0; at < node->state.len; at += 8) {
        if (get_le64(node->state.base + at) == value) {
            return; /* the same command again: a retry */
        }
    }
    buf_le64(&node->state, value);
    node->state_hash = (node->state_hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    node->state_hash ^= node->state_hash >> 29;
}

static void fsm_apply(void *ctx, uint64_t index, struct slice command, struct buf *out)
{
    struct world_node *node = ctx;
    struct world *world = node->world;

    /* A shorter one comes only from a test that sends garbage. */
    uint64_t value = command.len >= 8 ? get_le64(command.base) : command.len + 1;
    CHECK(index < WORLD_INDEXES);
    if (world->by_index[index] == 0) {
        world->by_index[index] = value;
    } else if (world->by_index[index] != value) {
        world_violation(world, "node %u applies %llx at index %llu, another has applied %llx",
                        node->node_id, (unsigned long long)value, (unsigned long long)index,
                        (unsigned long long)world->by_index[index]);
    }
    node->applied_count++;
    tell(world, "node %u applies %llx at %llu", node->node_id, (unsigned long long)value,
         (unsigned long long)index);
    state_note(node, value);
    buf_le64(out, value + 1);
}

static void fsm_snapshot(void *ctx, struct buf *out)
{
    struct world_node *node = ctx;

    buf_put(out, buf_slice(&node->state));
}

static int fsm_restore(void *ctx, struct slice snapshot)
{
    struct world_node *node = ctx;

    tell(node->world, "node %u restores %zu", node->node_id, snapshot.len / 8);
    buf_clear(&node->state);
    node->state_hash = 0;
    for (size_t at = 0; at + 8 <= snapshot.len; at += 8) {
        uint64_t value = get_le64(snapshot.base + at);
        buf_le64(&node->state, value);
        node->state_hash = (node->state_hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        node->state_hash ^= node->state_hash >> 29;
    }
    return 0;
}

static uint64_t fsm_hash(void *ctx)
{
    return ((struct world_node *)ctx)->state_hash;
}

bool world_has(const struct world *world, uint32_t node_id, uint64_t command)
{
    const struct buf *state = &world->nodes[node_id].state;

    for (size_t at = 0; at < state->len; at += 8) {
        if (get_le64(state->base + at) == command) {
            return true;
        }
    }
    return false;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void node_fatal(void *ctx, int error, const char *what)
{
    struct world_node *node = ctx;

    node->fatal = true;
    node->fatal_error = error;
    (void)snprintf(node->fatal_what, sizeof node->fatal_what, "%s", what);
}

static void node_role_changed(void *ctx, bool controller, uint64_t term)
{
    struct world_node *node = ctx;
    struct world *world = node->world;

    CHECK(node->controller != controller);
    tell(world, "node %u controller=%d term %llu", node->node_id, controller,
         (unsigned long long)term);
    node->controller = controller;
    node->controller_term = term;
    if (!controller) {
        return;
    }
    CHECK(term < ARRAY_COUNT(world->term_leader));
    if (world->term_leader[term] != 0 && world->term_leader[term] != node->node_id) {
        world_violation(world, "term %llu has two controllers: %llu and %u",
                        (unsigned long long)term, (unsigned long long)world->term_leader[term],
                        node->node_id);
    }
    world->term_leader[term] = node->node_id;
}

static struct quorum_options node_options(struct world_node *node)
{
    struct quorum_options options = node->world->options;

    options.disk = node->disk;
    options.clock = &node->clock;
    options.wire = &node->wire;
    options.fsm = (struct quorum_fsm){node, fsm_apply, fsm_snapshot, fsm_restore, fsm_hash};
    options.node_id = node->node_id;
    options.raft_id = node->raft_id;
    options.fatal = node_fatal;
    options.role_changed = node_role_changed;
    options.ctx = node;
    return options;
}

void world_node_options(struct world *world, uint32_t node_id, struct quorum_options *out)
{
    *out = node_options(&world->nodes[node_id]);
}

struct world *world_new(uint64_t seed, unsigned nodes)
{
    struct world *world = mem_new(sizeof *world);

    CHECK(nodes <= WORLD_NODES);
    world->telling = getenv("WORLD_TRACE") != NULL;
    world->seed = seed;
    world->count = nodes;
    world->now_us = 1000000;
    world->delay_min_us = 500;
    world->delay_max_us = 8000;
    world->proposal_timeout_ms = 3000;
    world->options.election_ms = 300;
    world->options.heartbeat_ms = 50;
    prng_init(&world->prng, seed);
    for (uint32_t i = 1; i <= nodes; i++) {
        struct world_node *node = &world->nodes[i];
        node->world = world;
        node->node_id = i;
        node->raft_id = 100 + i;
        node->prng = prng_split(&world->prng);
        node->clock.ops = &world_clock_ops;
        node->wire.ops = &world_wire_ops;
        node->disk = mem_disk_new(&node->clock, prng_next(&world->prng));
        mem_disk_set_latency(node->disk, 100, 4000);
    }
    return world;
}

static void node_stop(struct world_node *node)
{
    if (node->quorum != NULL) {
        quorum_close(node->quorum);
        node->quorum = NULL;
    }
    node->boot++;
    node->controller = false;
    node->fatal = false;
}

void world_free(struct world *world)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->nodes[i];
        mem_disk_kill(node->disk);
        node_stop(node);
        mem_disk_free(node->disk);
        timer_heap_fini(&node->timers);
        buf_fini(&node->state);
    }
    while (world->event_count > 0) {
        struct world_event *event = event_take(world);
        event->drop(event);
    }
    free(world->events);
    free(world->acked);
    free(world);
}

int world_start(struct world *world, uint32_t node_id)
{
    struct world_node *node = &world->nodes[node_id];
    struct quorum_options options = node_options(node);
    char why[256];

    CHECK(node->quorum == NULL);
    buf_clear(&node->state);
    node->state_hash = 0;
    node->applied_count = 0;
    node->fatal = false;
    int rv = quorum_open(&options, &node->quorum, why);
    tell(world, "node %u starts: %d", node_id, rv);
    if (mem_disk_stopped(node->disk)) {
        world_crash(world, node_id); /* the power failed meanwhile */
        return 0;
    }
    if (rv != 0) {
        (void)snprintf(node->fatal_what, sizeof node->fatal_what, "%.120s", why);
    }
    return rv;
}

void world_crash(struct world *world, uint32_t node_id)
{
    struct world_node *node = &world->nodes[node_id];

    tell(world, "node %u crashes", node_id);
    mem_disk_crash(node->disk);
    mem_disk_stop_at(node->disk, 0);
    node_stop(node);
}

void world_crash_in(struct world *world, uint32_t node_id, uint64_t points)
{
    struct disk *disk = world->nodes[node_id].disk;

    mem_disk_stop_at(disk, points > 0 ? mem_disk_points(disk) + points : 0);
}

void world_found(struct world *world, unsigned voters)
{
    struct quorum_member members[WORLD_NODES];

    for (uint32_t i = 0; i < voters; i++) {
        members[i] = (struct quorum_member){world->nodes[i + 1].raft_id, i + 1, true};
    }
    for (uint32_t i = 1; i <= voters; i++) {
        struct quorum_options options = node_options(&world->nodes[i]);
        CHECK(quorum_bootstrap(&options, members, voters) == 0);
        CHECK(world_start(world, i) == 0);
    }
}

/* ---- running -------------------------------------------------------------------------------- */

static struct world_node *next_timer(struct world *world, uint64_t *out_at)
{
    struct world_node *found = NULL;

    *out_at = UINT64_MAX;
    for (uint32_t i = 1; i <= world->count; i++) {
        uint64_t at = timer_heap_next_us(&world->nodes[i].timers);
        if (at < *out_at) {
            *out_at = at;
            found = &world->nodes[i];
        }
    }
    return found;
}

static void reap(struct world *world)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->nodes[i];
        if (node->quorum == NULL) {
            continue;
        }
        if (mem_disk_stopped(node->disk)) {
            world_crash(world, i);
        } else if (node->fatal) {
            if (!node->fatal_expected) {
                world_violation(world, "node %u: fatal %d, %s", i, node->fatal_error,
                                node->fatal_what);
            }
            world_crash(world, i);
        }
    }
}

bool world_run(struct world *world, uint64_t ms, bool (*stop)(struct world *world))
{
    uint64_t until = world->now_us + ms * 1000;

    while (stop == NULL || !stop(world)) {
        uint64_t timer_at;
        struct world_node *node = next_timer(world, &timer_at);
        uint64_t event_at = world->event_count > 0 ? world->events[1]->at_us : UINT64_MAX;
        uint64_t at = timer_at < event_at ? timer_at : event_at;
        if (at > until) {
            world->now_us = until;
            return stop == NULL;
        }
        world->now_us = at > world->now_us ? at : world->now_us;
        if (event_at <= timer_at) {
            struct world_event *event = event_take(world);
            event->fire(world, event);
        } else {
            struct timer *timer = timer_heap_due(&node->timers, world->now_us);
            CHECK(timer != NULL);
            timer->fire(timer);
        }
        reap(world);
        if (world->tolerant && world->lost) {
            return false;
        }
    }
    return true;
}

void world_cut(struct world *world, uint32_t from, uint32_t to, bool cut)
{
    world->cut[from][to] = cut;
}

void world_isolate(struct world *world, uint32_t node_id, bool cut)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        if (i != node_id) {
            world->cut[i][node_id] = cut;
            world->cut[node_id][i] = cut;
        }
    }
}

void world_heal(struct world *world)
{
    memset(world->cut, 0, sizeof world->cut);
}

uint32_t world_controller(const struct world *world)
{
    uint32_t found = 0;

    for (uint32_t i = 1; i <= world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        if (node->quorum != NULL && node->controller &&
            (found == 0 || node->controller_term > world->nodes[found].controller_term)) {
            found = i;
        }
    }
    return found;
}

struct submission {
    struct quorum_proposal proposal;
    struct world *world;
    uint64_t command;
};

static void submission_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct submission *submission = CONTAINER_OF(proposal, struct submission, proposal);
    struct world *world = submission->world;

    tell(world, "%llx ends with %d", (unsigned long long)submission->command, status);
    if (status == 0) {
        CHECK(result.len == 8);
        CHECK(get_le64(result.base) == submission->command + 1);
        world->acked = mem_grow(world->acked, world->acked_count + 1, sizeof *world->acked);
        world->acked[world->acked_count++] = submission->command;
    }
    free(submission);
}

void world_submit(struct world *world, uint32_t node_id, uint64_t command)
{
    struct submission *submission = mem_new(sizeof *submission);
    uint8_t bytes[13] = {0}; /* not a multiple of 8, on purpose */

    CHECK(world->nodes[node_id].quorum != NULL);
    put_le64(bytes, command);
    submission->world = world;
    submission->command = command;
    submission->proposal.done = submission_done;
    submission->proposal.timeout_ms = world->proposal_timeout_ms;
    quorum_submit(world->nodes[node_id].quorum, slice_of(bytes, sizeof bytes),
                  &submission->proposal);
}

struct world_read {
    struct quorum_read read;
    struct world_node *node;
    size_t acked_before;
};

static void world_read_done(struct quorum_read *base, int status)
{
    struct world_read *read = CONTAINER_OF(base, struct world_read, read);
    struct world *world = read->node->world;

    for (size_t i = 0; status == 0 && i < read->acked_before; i++) {
        if (!world_has(world, read->node->node_id, world->acked[i])) {
            world_violation(world, "node %u may read, and lacks %llx", read->node->node_id,
                            (unsigned long long)world->acked[i]);
        }
    }
    world->reads_granted += status == 0 ? 1 : 0;
    free(read);
}

void world_read(struct world *world, uint32_t node_id)
{
    struct world_read *read = mem_new(sizeof *read);

    read->read.done = world_read_done;
    read->node = &world->nodes[node_id];
    read->acked_before = world->acked_count;
    quorum_read_index(world->nodes[node_id].quorum, &read->read);
}

struct world_change {
    struct quorum_change change;
    struct world *world;
};

static void world_change_done(struct quorum_change *base, int status)
{
    struct world_change *change = CONTAINER_OF(base, struct world_change, change);

    tell(change->world, "a change ends with %d", status);
    change->world->changes_done += status == 0 ? 1 : 0;
    free(change);
}

void world_change(struct world *world, uint32_t node_id, enum quorum_change_kind kind,
                  uint32_t member)
{
    struct world_change *change = mem_new(sizeof *change);

    tell(world, "node %u: change %d of node %u", node_id, (int)kind, member);
    change->change.done = world_change_done;
    change->world = world;
    quorum_change(world->nodes[node_id].quorum, kind,
                  (struct quorum_member){world->nodes[member].raft_id, member, false},
                  &change->change);
}

void world_check_end(struct world *world)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i <= world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        if (node->quorum == NULL) {
            continue;
        }
        if (first == 0) {
            first = i;
        } else if (!slice_equal(buf_slice(&node->state), buf_slice(&world->nodes[first].state))) {
            world_violation(world, "nodes %u and %u differ in the end", first, i);
        }
        for (size_t k = 0; k < world->acked_count; k++) {
            if (!world_has(world, i, world->acked[k])) {
                world_violation(world, "node %u lacks %llx, which was acknowledged", i,
                                (unsigned long long)world->acked[k]);
                break;
            }
        }
    }
}
