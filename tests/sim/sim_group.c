/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_group.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define GROUP        "readers"
#define TOPIC        "payments" /* every run has it */
#define PARTS_MAX    8
#define MEMBERS_MAX  6
#define LOST_MAX     64
#define WATCHERS     6 /* the later half asks one node and no other */
#define SESSION_MS   6000
#define REBALANCE_MS 4000
#define CALL_US      (400 * SIM_MS)
#define JOIN_US      (8 * SIM_S)

struct part {
    int64_t sent;  /* highest offset in any commit; -1 */
    int64_t acked; /* highest acknowledged */
    int32_t generation;
    uint32_t member;
    /* Sent, never answered: may come into force at any time later, when the network finds them. */
    int64_t lost[LOST_MAX];
    uint32_t lost_count;
};

enum step { STEP_FIND, STEP_JOIN, STEP_SYNC, STEP_FETCH, STEP_BEAT, STEP_COMMIT, STEP_LEAVE };

/* Everybody who talks to the coordinator. */
struct talker {
    struct sim_groups *groups;
    char name[24];
    struct sim_conn conns[SIM_NODES_MAX];
    struct sim_call call;
    struct timer again;
    uint32_t node; /* the coordinator, as far as known; 0 */
    enum step step;
    int64_t floor[PARTS_MAX]; /* acknowledged when the question left */
    int16_t error;            /* the last one, for people */
    uint32_t number;
    uint32_t always; /* the only node that is ever asked; 0: whoever is the coordinator */
    /* members only */
    bool member;
    bool has_name; /* a static member */
    char id[300];
    int32_t generation; /* -1: in none */
    bool leads;
    uint8_t plan[MEMBERS_MAX + 4];
    char plan_ids[MEMBERS_MAX + 4][300];
    uint32_t plan_count;
    uint32_t owned; /* bit per partition */
    bool knows;     /* what is committed, in this generation */
    int64_t position[PARTS_MAX];
    uint64_t worked_us; /* last commit or good heartbeat */
    uint64_t asked_us;
};

struct sim_groups {
    struct sim *sim;
    struct prng chance;
    int32_t part_count;
    struct part parts[PARTS_MAX];
    struct talker members[MEMBERS_MAX];
    uint32_t member_count;
    struct talker watchers[WATCHERS];
    uint64_t healed_us; /* 0: not yet */
};

static void later(struct talker *t, uint64_t low_ms, uint64_t high_ms)
{
    sim_after(t->groups->sim, &t->again,
              prng_between(&t->groups->chance, low_ms, high_ms) * SIM_MS);
}

static struct slice instance_of(const struct talker *t)
{
    return t->has_name ? slice_text(t->name) : (struct slice){0};
}

static void ask(struct talker *t, int16_t key, int16_t version, const void *message, uint64_t us)
{
    sim_conn_ask(&t->conns[t->node], &t->call, key, version, message, us);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void ask_find(struct talker *t)
{
    struct kafka_find_coordinator_request m;
    uint64_t any = 1 + prng_below(&t->groups->chance, t->groups->sim->node_count);

    kafka_find_coordinator_request_init(&m);
    m.key = slice_text(GROUP);
    sim_conn_ask(&t->conns[any], &t->call, 10, 1, &m, CALL_US);
}

static void ask_join(struct talker *t)
{
    static const char *const metadata[] = {"same", "same", "same", "another"};
    struct kafka_join_group_request m;
    struct kafka_join_group_request_protocol protocol;

    kafka_join_group_request_init(&m);
    kafka_join_group_request_protocol_init(&protocol);
    protocol.name = slice_text("sim");
    protocol.metadata = slice_text(metadata[prng_below(&t->groups->chance, 4)]);
    m.group_id = slice_text(GROUP);
    m.session_timeout_ms = SESSION_MS;
    m.rebalance_timeout_ms = REBALANCE_MS;
    m.member_id = slice_text(t->id);
    m.group_instance_id = instance_of(t);
    m.protocol_type = slice_text("sim");
    m.protocols = &protocol;
    m.protocols_count = 1;
    t->owned = 0;
    t->knows = false;
    ask(t, 11, 5, &m, JOIN_US);
}

static void ask_sync(struct talker *t)
{
    struct kafka_sync_group_request m;
    struct kafka_sync_group_request_assignment plan[MEMBERS_MAX + 4];

    kafka_sync_group_request_init(&m);
    m.group_id = slice_text(GROUP);
    m.generation_id = t->generation;
    m.member_id = slice_text(t->id);
    m.group_instance_id = instance_of(t);
    for (uint32_t i = 0; i < t->plan_count; i++) {
        kafka_sync_group_request_assignment_init(&plan[i]);
        plan[i].member_id = slice_text(t->plan_ids[i]);
        plan[i].assignment = slice_of(&t->plan[i], 1);
    }
    m.assignments = plan;
    m.assignments_count = t->plan_count;
    ask(t, 14, 3, &m, JOIN_US);
}

static void ask_fetch(struct talker *t)
{
    struct sim_groups *g = t->groups;
    struct kafka_offset_fetch_request m;
    struct kafka_offset_fetch_request_topic topic;
    int32_t parts[PARTS_MAX];

    kafka_offset_fetch_request_init(&m);
    kafka_offset_fetch_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.partitions = parts;
    for (int32_t p = 0; p < g->part_count; p++) {
        parts[topic.partitions_count++] = p;
        t->floor[p] = g->parts[p].acked;
    }
    m.group_id = slice_text(GROUP);
    m.topics = &topic;
    m.topics_count = 1;
    t->asked_us = g->sim->now_us;
    /* Longer than others: one that waits for a paused node is there when it wakes up. */
    ask(t, 9, 7, &m, t->always != 0 ? JOIN_US : CALL_US);
}

static void ask_beat(struct talker *t)
{
    struct kafka_heartbeat_request m;

    kafka_heartbeat_request_init(&m);
    m.group_id = slice_text(GROUP);
    m.generation_id = t->generation;
    m.member_id = slice_text(t->id);
    m.group_instance_id = instance_of(t);
    ask(t, 12, 3, &m, CALL_US);
}

static void ask_commit(struct talker *t)
{
    struct sim_groups *g = t->groups;
    struct kafka_offset_commit_request m;
    struct kafka_offset_commit_request_topic topic;
    struct kafka_offset_commit_request_partition parts[PARTS_MAX];

    kafka_offset_commit_request_init(&m);
    kafka_offset_commit_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.partitions = parts;
    for (int32_t p = 0; p < g->part_count; p++) {
        if ((t->owned >> p & 1) != 0) {
            struct kafka_offset_commit_request_partition *part = &parts[topic.partitions_count++];
            kafka_offset_commit_request_partition_init(part);
            t->position[p] += (int64_t)prng_between(&g->chance, 1, 5);
            part->partition = p;
            part->offset = t->position[p];
            sim_whisper(g->sim, "%s sends %lld of partition %d to node %u, generation %d", t->name,
                        (long long)t->position[p], p, t->node, t->generation);
            part->metadata = slice_text("");
            if (t->position[p] > g->parts[p].sent) {
                g->parts[p].sent = t->position[p];
            }
        }
    }
    m.group_id = slice_text(GROUP);
    m.generation_or_epoch = t->generation;
    m.member_id = slice_text(t->id);
    m.group_instance_id = instance_of(t);
    m.topics = &topic;
    m.topics_count = topic.partitions_count > 0;
    ask(t, 8, 7, &m, CALL_US);
}

static void ask_leave(struct talker *t)
{
    struct kafka_leave_group_request m;
    struct kafka_leave_group_request_member member;

    kafka_leave_group_request_init(&m);
    kafka_leave_group_request_member_init(&member);
    member.member_id = slice_text(t->id);
    member.group_instance_id = instance_of(t);
    m.group_id = slice_text(GROUP);
    m.members = &member;
    m.members_count = 1;
    ask(t, 13, 3, &m, CALL_US);
}

static void next_step(struct timer *timer)
{
    struct talker *t = CONTAINER_OF(timer, struct talker, again);

    if (t->step != STEP_FIND && t->node == 0) {
        t->step = STEP_FIND;
    }
    switch (t->step) {
    case STEP_FIND:
        ask_find(t);
        break;
    case STEP_JOIN:
        ask_join(t);
        break;
    case STEP_SYNC:
        ask_sync(t);
        break;
    case STEP_FETCH:
        ask_fetch(t);
        break;
    case STEP_BEAT:
        ask_beat(t);
        break;
    case STEP_COMMIT:
        ask_commit(t);
        break;
    case STEP_LEAVE:
        ask_leave(t);
        break;
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void go(struct talker *t, enum step step, uint64_t low_ms, uint64_t high_ms)
{
    t->step = step;
    later(t, low_ms, high_ms);
}

/* What clients do about an error; true: there was one. */
static bool handled(struct talker *t, int16_t error)
{
    t->error = error;
    if (error != 0 && t->always != 0) {
        t->worked_us = t->groups->sim->now_us; /* that it is not the coordinator is an answer */
        go(t, STEP_FETCH, 1, 20);
        return true;
    }
    switch (error) {
    case 0:
        return false;
    case KAFKA_ERROR_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_ERROR_NOT_COORDINATOR:
    case KAFKA_ERROR_REQUEST_TIMED_OUT:
        t->node = 0;
        if (t->step == STEP_JOIN || t->step == STEP_SYNC) {
            t->generation = -1;
        }
        go(t, STEP_FIND, 20, 100);
        return true;
    case KAFKA_ERROR_REBALANCE_IN_PROGRESS:
    case KAFKA_ERROR_ILLEGAL_GENERATION:
        t->generation = -1;
        go(t, STEP_JOIN, 1, 30);
        return true;
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
    case KAFKA_ERROR_FENCED_INSTANCE_ID:
        t->generation = -1;
        t->id[0] = '\0';
        go(t, STEP_JOIN, 10, 100);
        return true;
    default:
        sim_fail(t->groups->sim, "%s: %s in step %d", t->name, kafka_error_name(error), t->step);
        return true;
    }
}

static void copy(char *to, size_t size, struct slice from)
{
    CHECK(from.len < size);
    memcpy(to, from.base, from.len);
    to[from.len] = '\0';
}

static void found(struct talker *t, const struct kafka_find_coordinator_response *m)
{
    if (m->error != 0) {
        t->error = m->error;
        if (m->error != KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE) {
            sim_fail(t->groups->sim, "%s: no coordinator: %s", t->name, kafka_error_name(m->error));
        }
        go(t, STEP_FIND, 20, 200);
        return;
    }
    t->node = (uint32_t)m->node_id;
    bool fetch = !t->member || (t->generation >= 0 && !t->knows);
    go(t, fetch ? STEP_FETCH : t->generation >= 0 ? STEP_BEAT : STEP_JOIN, 0, 5);
}

static void joined(struct talker *t, const struct kafka_join_group_response *m)
{
    if (m->error == KAFKA_ERROR_MEMBER_ID_REQUIRED) {
        copy(t->id, sizeof t->id, m->member_id);
        go(t, STEP_JOIN, 0, 5);
        return;
    }
    if (handled(t, m->error)) {
        return;
    }
    copy(t->id, sizeof t->id, m->member_id);
    t->generation = m->generation_id;
    t->leads = slice_equal(m->leader, m->member_id);
    t->plan_count = 0;
    for (uint32_t i = 0; t->leads && i < m->members_count; i++) {
        CHECK(i < ARRAY_COUNT(t->plan));
        copy(t->plan_ids[i], sizeof t->plan_ids[i], m->members[i].member_id);
        t->plan[i] = 0;
        t->plan_count++;
    }
    for (int32_t p = 0; t->plan_count > 0 && p < t->groups->part_count; p++) {
        t->plan[(uint32_t)p % t->plan_count] |= (uint8_t)(1U << p);
    }
    sim_whisper(t->groups->sim, "%s joined generation %d%s", t->name, t->generation,
                t->leads ? ", leads" : "");
    go(t, STEP_SYNC, 0, 5);
}

static void synced(struct talker *t, const struct kafka_sync_group_response *m)
{
    if (handled(t, m->error)) {
        return;
    }
    t->owned = m->assignment.len > 0 ? m->assignment.base[0] : 0;
    go(t, STEP_FETCH, 0, 5);
}

static bool was_lost(const struct part *part, int64_t offset)
{
    for (uint32_t i = 0; i < part->lost_count && i < LOST_MAX; i++) {
        if (part->lost[i] == offset) {
            return true;
        }
    }
    return false;
}

static void note_lost(struct talker *t)
{
    for (int32_t p = 0; p < t->groups->part_count; p++) {
        struct part *part = &t->groups->parts[p];
        if ((t->owned >> p & 1) != 0) {
            part->lost[part->lost_count++ % LOST_MAX] = t->position[p];
        }
    }
}

static void fetched(struct talker *t, const struct kafka_offset_fetch_response *m)
{
    struct sim_groups *g = t->groups;

    if (handled(t, m->error)) {
        return;
    }
    for (uint32_t i = 0; m->topics_count == 1 && i < m->topics[0].partitions_count; i++) {
        const struct kafka_offset_fetch_response_partition *in = &m->topics[0].partitions[i];
        if (in->partition < 0 || in->partition >= g->part_count || in->error != 0) {
            sim_fail(g->sim, "%s: offset of partition %d: %s", t->name, in->partition,
                     kafka_error_name(in->error));
            return;
        }
        struct part *part = &g->parts[in->partition];
        if (in->offset < t->floor[in->partition] && was_lost(part, in->offset)) {
            sim_whisper(g->sim, "a late commit of %lld in partition %d", (long long)in->offset,
                        in->partition);
            part->acked = in->offset;
        } else if (in->offset < t->floor[in->partition]) {
            sim_fail(g->sim,
                     "G1: %s is told %lld of partition %d by node %u, acknowledged was %lld",
                     t->name, (long long)in->offset, in->partition, t->node,
                     (long long)t->floor[in->partition]);
        }
        if (in->offset > part->sent) {
            sim_fail(g->sim, "G2: %s is told %lld of partition %d, sent was %lld at most", t->name,
                     (long long)in->offset, in->partition, (long long)part->sent);
        }
        t->position[in->partition] = in->offset;
    }
    t->knows = true;
    if (t->member) {
        go(t, STEP_COMMIT, 0, 50);
    } else {
        t->worked_us = g->sim->now_us;
        /* A node that was away does not know yet what has happened meanwhile. */
        bool woke = t->always != 0 && g->sim->now_us - t->asked_us > 150 * SIM_MS;
        go(t, STEP_FETCH, woke ? 0 : 5, woke ? 2 : 300);
    }
}

static void judge_commit(struct talker *t, int32_t p)
{
    struct sim_groups *g = t->groups;
    struct part *part = &g->parts[p];

    if (t->position[p] <= part->acked) {
        sim_fail(g->sim, "G3: %s has committed %lld of partition %d, acknowledged was %lld",
                 t->name, (long long)t->position[p], p, (long long)part->acked);
    } else if (t->generation < part->generation) {
        sim_fail(g->sim, "G3: %s has committed partition %d in generation %d after %d", t->name, p,
                 t->generation, part->generation);
    } else if (t->generation == part->generation && part->member != t->number) {
        sim_fail(g->sim, "G3: members %u and %u have committed partition %d in generation %d",
                 part->member, t->number, p, t->generation);
    }
    sim_whisper(g->sim, "%s has committed %lld of partition %d", t->name, (long long)t->position[p],
                p);
    part->acked = t->position[p];
    part->generation = t->generation;
    part->member = t->number;
}

static void after_work(struct talker *t)
{
    struct sim_groups *g = t->groups;

    t->worked_us = g->sim->now_us;
    if (g->healed_us == 0 && prng_chance(&g->chance, 1, 60)) {
        if (prng_chance(&g->chance, 1, 2)) {
            go(t, STEP_LEAVE, 0, 10);
            return;
        }
        /* It dies, and comes back not knowing who it was. */
        t->generation = -1;
        t->id[0] = '\0';
        sim_whisper(g->sim, "%s is gone for a while", t->name);
        go(t, STEP_JOIN, 100, 12000);
        return;
    }
    bool commits = t->owned != 0 && prng_chance(&g->chance, 2, 3);
    go(t, commits ? STEP_COMMIT : STEP_BEAT, 5, 200);
}

static void committed(struct talker *t, const struct kafka_offset_commit_response *m)
{
    struct sim_groups *g = t->groups;

    for (uint32_t i = 0; m->topics_count == 1 && i < m->topics[0].partitions_count; i++) {
        if (m->topics[0].partitions[i].error != 0) {
            if (m->topics[0].partitions[i].error == KAFKA_ERROR_REQUEST_TIMED_OUT) {
                note_lost(t);
            }
            (void)handled(t, m->topics[0].partitions[i].error);
            return;
        }
    }
    for (int32_t p = 0; p < g->part_count; p++) {
        if ((t->owned >> p & 1) != 0) {
            judge_commit(t, p);
        }
    }
    after_work(t);
}

static void left(struct talker *t, const struct kafka_leave_group_response *m)
{
    int16_t error = m->error != 0 || m->members_count == 0 ? m->error : m->members[0].error;

    if (handled(t, error)) {
        return;
    }
    t->generation = -1;
    t->id[0] = '\0';
    go(t, STEP_JOIN, 10, 5000);
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct talker *t = CONTAINER_OF(call, struct talker, call);

    if (status != 0) {
        if (t->step == STEP_COMMIT) {
            note_lost(t);
        }
        (void)handled(t, KAFKA_ERROR_REQUEST_TIMED_OUT);
        return;
    }
    switch (t->step) {
    case STEP_FIND:
        found(t, response);
        break;
    case STEP_JOIN:
        joined(t, response);
        break;
    case STEP_SYNC:
        synced(t, response);
        break;
    case STEP_FETCH:
        fetched(t, response);
        break;
    case STEP_BEAT: {
        const struct kafka_heartbeat_response *m = response;
        if (!handled(t, m->error)) {
            after_work(t);
        }
        break;
    }
    case STEP_COMMIT:
        committed(t, response);
        break;
    case STEP_LEAVE:
        left(t, response);
        break;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void talker_init(struct sim_groups *g, struct talker *t, const char *what, uint32_t number)
{
    uint32_t place = 1 + number % g->sim->node_count;

    t->groups = g;
    (void)snprintf(t->name, sizeof t->name, "%s-%u", what, number);
    t->number = number;
    t->generation = -1;
    t->call.done = answered;
    t->again.fire = next_step;
    for (uint32_t id = 1; id <= g->sim->node_count; id++) {
        sim_conn_init(&t->conns[id], g->sim, place, id, t->name);
    }
    t->node = t->always;
    go(t, t->always != 0 ? STEP_FETCH : STEP_FIND, 0, 500);
}

static void talker_fini(struct talker *t)
{
    sim_stop(t->groups->sim, &t->again);
    for (uint32_t id = 1; id <= t->groups->sim->node_count; id++) {
        sim_conn_fini(&t->conns[id]);
    }
}

struct sim_groups *sim_groups_new(struct sim *sim, uint32_t members)
{
    struct sim_groups *g = mem_new(sizeof *g);

    CHECK(members <= MEMBERS_MAX);
    g->sim = sim;
    prng_init(&g->chance, sim->seed ^ 0x67726f757073);
    g->part_count = sim->topics[0].partitions < PARTS_MAX ? sim->topics[0].partitions : PARTS_MAX;
    for (int32_t p = 0; p < PARTS_MAX; p++) {
        g->parts[p] = (struct part){.sent = -1, .acked = -1};
    }
    for (uint32_t i = 0; i < members; i++) {
        struct talker *t = &g->members[g->member_count++];
        t->member = true;
        t->has_name = i == 1;
        talker_init(g, t, "member", i);
    }
    for (uint32_t i = 0; i < WATCHERS; i++) {
        g->watchers[i].always = i >= WATCHERS / 2 ? 1 + i % sim->node_count : 0;
        talker_init(g, &g->watchers[i], "watcher", i);
    }
    return g;
}

void sim_groups_free(struct sim_groups *g)
{
    if (g == NULL) {
        return;
    }
    for (uint32_t i = 0; i < g->member_count; i++) {
        talker_fini(&g->members[i]);
    }
    for (uint32_t i = 0; i < WATCHERS; i++) {
        talker_fini(&g->watchers[i]);
    }
    free(g);
}

void sim_groups_heal(struct sim_groups *g)
{
    g->healed_us = g->sim->now_us;
}

bool sim_groups_settled(const struct sim_groups *g)
{
    uint32_t owned = 0;

    for (uint32_t i = 0; i < g->member_count; i++) {
        const struct talker *t = &g->members[i];
        if (t->worked_us <= g->healed_us || t->generation != g->members[0].generation) {
            return false;
        }
        owned |= t->owned;
    }
    for (uint32_t i = 0; i < WATCHERS; i++) {
        if (g->watchers[i].worked_us <= g->healed_us) {
            return false;
        }
    }
    for (int32_t p = 0; p < g->part_count; p++) {
        if (g->parts[p].acked < 0) {
            return false;
        }
    }
    return owned == (1U << g->part_count) - 1;
}

void sim_groups_describe(const struct sim_groups *g, char out[160])
{
    const struct talker *worst = &g->members[0];

    for (uint32_t i = 0; i < g->member_count + WATCHERS; i++) {
        const struct talker *t =
            i < g->member_count ? &g->members[i] : &g->watchers[i - g->member_count];
        worst = t->worked_us < worst->worked_us ? t : worst;
    }
    (void)snprintf(out, 160,
                   "%s of the group has not worked since %llu ms; step %d, node %u, generation %d, "
                   "last error %s",
                   worst->name, (unsigned long long)(worst->worked_us / 1000), worst->step,
                   worst->node, worst->generation, kafka_error_name(worst->error));
}
