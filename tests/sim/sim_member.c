/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_member.h"

#include <stdio.h>

#include "base/error.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"

#define GROUP        "fresh"
#define TOPIC        "payments" /* every run has it */
#define PARTS_MAX    8
#define MEMBERS_MAX  6
#define LOST_MAX     64
#define REBALANCE_MS 30000 /* longer than a session: who does not answer is out by that */
#define CALL_US      (400 * SIM_MS)

struct part {
    int64_t sent;
    int64_t acked;
    int32_t commit_epoch;
    uint32_t committer;
    int32_t told_epoch; /* -1: to nobody yet */
    uint32_t told_to;   /* a life: see member.life */
    int64_t lost[LOST_MAX];
    uint32_t lost_count;
};

enum step { STEP_FIND, STEP_BEAT, STEP_FETCH, STEP_COMMIT, STEP_LEAVE };

struct member {
    struct sim_members *all;
    char name[24];
    struct sim_conn conns[SIM_NODES_MAX];
    struct sim_call call;
    struct timer again;
    uint32_t number;
    uint32_t node; /* the coordinator, as far as known; 0 */
    enum step step;
    char id[40];
    uint32_t life; /* so many ids have been used by all before this one */
    int32_t epoch;
    struct uuid topic;
    uint32_t owned; /* bit per partition */
    uint32_t known; /* of those: their positions are */
    bool full;      /* an answer was missed: the next heartbeat says everything */
    int64_t position[PARTS_MAX];
    int64_t floor[PARTS_MAX];
    uint64_t asked_us;
    uint64_t good_us; /* when the last heartbeat that was answered well had left; 0: none */
    uint32_t good_node;
    uint64_t worked_us;
    int16_t error;
};

struct sim_members {
    struct sim *sim;
    struct prng chance;
    int32_t part_count;
    uint32_t lives;
    struct part parts[PARTS_MAX];
    struct member members[MEMBERS_MAX];
    uint32_t count;
    uint64_t healed_us;
};

static void go(struct member *m, enum step step, uint64_t low_ms, uint64_t high_ms)
{
    m->step = step;
    sim_after(m->all->sim, &m->again, prng_between(&m->all->chance, low_ms, high_ms) * SIM_MS);
}

static void ask(struct member *m, int16_t key, int16_t version, const void *message)
{
    sim_conn_ask(&m->conns[m->node], &m->call, key, version, message, CALL_US);
}

/* It has nothing any more, and will be another one. */
static void forget(struct member *m)
{
    m->epoch = 0;
    m->owned = 0;
    m->known = 0;
    m->good_us = 0;
    m->life = ++m->all->lives;
    (void)snprintf(m->id, sizeof m->id, "%s.%u", m->name, m->life);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void ask_find(struct member *m)
{
    struct kafka_find_coordinator_request q;
    uint64_t any = 1 + prng_below(&m->all->chance, m->all->sim->node_count);

    kafka_find_coordinator_request_init(&q);
    q.key = slice_text(GROUP);
    sim_conn_ask(&m->conns[any], &m->call, 10, 1, &q, CALL_US);
}

static void ask_beat(struct member *m)
{
    struct kafka_consumer_group_heartbeat_request q;
    struct kafka_consumer_group_heartbeat_request_owned owned;
    struct slice topic = slice_text(TOPIC);
    int32_t parts[PARTS_MAX];

    kafka_consumer_group_heartbeat_request_init(&q);
    kafka_consumer_group_heartbeat_request_owned_init(&owned);
    q.group_id = slice_text(GROUP);
    q.member_id = slice_text(m->id);
    q.member_epoch = m->epoch;
    q.topic_partitions = &owned;
    if (m->epoch == 0 || m->full) {
        q.rebalance_timeout_ms = REBALANCE_MS;
        q.subscribed_topic_names = &topic;
        q.subscribed_topic_names_count = 1;
    }
    owned.topic_id = m->topic;
    owned.partitions = parts;
    for (int32_t p = 0; p < m->all->part_count; p++) {
        if ((m->owned >> p & 1) != 0) {
            parts[owned.partitions_count++] = p;
        }
    }
    q.topic_partitions_count = owned.partitions_count > 0;
    m->asked_us = m->all->sim->now_us;
    ask(m, 68, 1, &q);
}

static void ask_leave(struct member *m)
{
    struct kafka_consumer_group_heartbeat_request q;

    kafka_consumer_group_heartbeat_request_init(&q);
    q.group_id = slice_text(GROUP);
    q.member_id = slice_text(m->id);
    q.member_epoch = -1;
    m->owned = 0; /* given up before it says so: others may have it before the answer is here */
    m->known = 0;
    ask(m, 68, 1, &q);
}

static void ask_fetch(struct member *m)
{
    struct kafka_offset_fetch_request q;
    struct kafka_offset_fetch_request_group group;
    struct kafka_offset_fetch_request_group_topic topic;
    int32_t parts[PARTS_MAX];

    kafka_offset_fetch_request_init(&q);
    kafka_offset_fetch_request_group_init(&group);
    kafka_offset_fetch_request_group_topic_init(&topic);
    q.groups = &group;
    q.groups_count = 1;
    group.group_id = slice_text(GROUP);
    group.member_id = slice_text(m->id);
    group.member_epoch = m->epoch;
    group.topics = &topic;
    group.topics_count = 1;
    topic.name = slice_text(TOPIC);
    topic.partitions = parts;
    for (int32_t p = 0; p < m->all->part_count; p++) {
        if ((m->owned >> p & 1) != 0) {
            parts[topic.partitions_count++] = p;
            m->floor[p] = m->all->parts[p].acked;
        }
    }
    ask(m, 9, 9, &q);
}

static void ask_commit(struct member *m)
{
    struct sim_members *all = m->all;
    struct kafka_offset_commit_request q;
    struct kafka_offset_commit_request_topic topic;
    struct kafka_offset_commit_request_partition parts[PARTS_MAX];

    kafka_offset_commit_request_init(&q);
    kafka_offset_commit_request_topic_init(&topic);
    topic.name = slice_text(TOPIC);
    topic.partitions = parts;
    for (int32_t p = 0; p < all->part_count; p++) {
        if ((m->owned & m->known) >> p & 1) {
            struct kafka_offset_commit_request_partition *part = &parts[topic.partitions_count++];
            kafka_offset_commit_request_partition_init(part);
            m->position[p] += (int64_t)prng_between(&all->chance, 1, 5);
            part->partition = p;
            part->offset = m->position[p];
            part->metadata = slice_text("");
            if (m->position[p] > all->parts[p].sent) {
                all->parts[p].sent = m->position[p];
            }
        }
    }
    q.group_id = slice_text(GROUP);
    q.generation_or_epoch = m->epoch;
    q.member_id = slice_text(m->id);
    q.topics = &topic;
    q.topics_count = 1;
    ask(m, 8, 9, &q);
}

static void next_step(struct timer *timer)
{
    struct member *m = CONTAINER_OF(timer, struct member, again);

    if (m->node == 0) {
        m->step = STEP_FIND;
    }
    switch (m->step) {
    case STEP_FIND:
        ask_find(m);
        break;
    case STEP_BEAT:
        ask_beat(m);
        break;
    case STEP_FETCH:
        ask_fetch(m);
        break;
    case STEP_COMMIT:
        ask_commit(m);
        break;
    case STEP_LEAVE:
        ask_leave(m);
        break;
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

/* What clients do about an error; true: there was one. */
static bool handled(struct member *m, int16_t error)
{
    m->error = error;
    m->full = m->full || error != 0;
    switch (error) {
    case 0:
        return false;
    case KAFKA_ERROR_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_ERROR_NOT_COORDINATOR:
    case KAFKA_ERROR_REQUEST_TIMED_OUT:
        m->node = 0;
        go(m, STEP_FIND, 20, 100);
        return true;
    case KAFKA_ERROR_STALE_MEMBER_EPOCH:
        go(m, STEP_BEAT, 0, 20);
        return true;
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
    case KAFKA_ERROR_FENCED_MEMBER_EPOCH:
    case KAFKA_ERROR_GROUP_ID_NOT_FOUND:
        sim_whisper(m->all->sim, "%s is out: %s", m->name, kafka_error_name(error));
        forget(m);
        go(m, STEP_BEAT, 10, 100);
        return true;
    default:
        sim_fail(m->all->sim, "%s: %s in step %d", m->name, kafka_error_name(error), m->step);
        return true;
    }
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

static void note_lost(struct member *m)
{
    for (int32_t p = 0; p < m->all->part_count; p++) {
        struct part *part = &m->all->parts[p];
        if ((m->owned & m->known) >> p & 1) {
            part->lost[part->lost_count++ % LOST_MAX] = m->position[p];
        }
    }
}

static bool in_session(const struct member *m)
{
    return m->good_us > 0 && m->all->sim->now_us < m->good_us + SIM_SESSION_MS * SIM_MS;
}

static void judge_told(struct member *m, uint32_t told)
{
    struct sim_members *all = m->all;

    for (int32_t p = 0; p < all->part_count; p++) {
        struct part *part = &all->parts[p];
        if ((told >> p & 1) == 0) {
            continue;
        }
        if (part->told_to != m->life && part->told_epoch >= m->epoch) {
            sim_fail(all->sim, "G6: %s gets partition %d in epoch %d, another one had it in %d",
                     m->name, p, m->epoch, part->told_epoch);
        }
        for (uint32_t i = 0; i < all->count; i++) {
            const struct member *other = &all->members[i];
            if (other != m && (other->owned >> p & 1) != 0 && in_session(other) &&
                other->good_node == m->good_node) {
                sim_fail(all->sim, "G7: %s gets partition %d, and %s has it", m->name, p,
                         other->name);
            }
        }
        part->told_to = m->life;
        part->told_epoch = m->epoch;
    }
}

static void after_work(struct member *m)
{
    struct sim_members *all = m->all;

    m->worked_us = all->sim->now_us;
    if (all->healed_us == 0 && prng_chance(&all->chance, 1, 60)) {
        if (prng_chance(&all->chance, 1, 2)) {
            go(m, STEP_LEAVE, 0, 10);
            return;
        }
        sim_whisper(all->sim, "%s is gone for a while", m->name);
        forget(m);
        go(m, STEP_BEAT, 100, 12000);
        return;
    }
    enum step next = (m->owned & ~m->known) != 0                        ? STEP_FETCH
                     : m->owned != 0 && prng_chance(&all->chance, 1, 2) ? STEP_COMMIT
                                                                        : STEP_BEAT;
    go(m, next, 5, 200);
}

static void beaten(struct member *m, const struct kafka_consumer_group_heartbeat_response *r)
{
    struct sim_members *all = m->all;

    if (handled(m, r->error)) {
        return;
    }
    m->full = false;
    m->epoch = r->member_epoch;
    m->good_us = m->asked_us;
    m->good_node = m->node;
    if (r->assignment_count > 0) {
        uint32_t told = 0;
        const struct kafka_consumer_group_heartbeat_response_assignment *a = r->assignment;
        for (uint32_t t = 0; t < a->topic_partitions_count; t++) {
            m->topic = a->topic_partitions[t].topic_id;
            for (uint32_t i = 0; i < a->topic_partitions[t].partitions_count; i++) {
                int32_t p = a->topic_partitions[t].partitions[i];
                if (p < 0 || p >= all->part_count) {
                    sim_fail(all->sim, "%s gets partition %d", m->name, p);
                    return;
                }
                told |= 1U << p;
            }
        }
        sim_whisper(all->sim, "%s has %x in epoch %d", m->name, told, m->epoch);
        m->known &= m->owned & told;
        m->owned = told; /* what it must give up, it gives up at once */
        judge_told(m, told);
    }
    after_work(m);
}

static void fetched(struct member *m, const struct kafka_offset_fetch_response *r)
{
    struct sim_members *all = m->all;

    if (r->groups_count != 1 || handled(m, r->groups[0].error)) {
        return;
    }
    const struct kafka_offset_fetch_response_group *g = &r->groups[0];
    for (uint32_t i = 0; g->topics_count == 1 && i < g->topics[0].partitions_count; i++) {
        const struct kafka_offset_fetch_response_group_partition *in = &g->topics[0].partitions[i];
        struct part *part = &all->parts[in->partition % PARTS_MAX];
        uint32_t bit = 1U << (in->partition % PARTS_MAX);
        if (in->error != 0) {
            sim_fail(all->sim, "%s: offset of partition %d: %s", m->name, in->partition,
                     kafka_error_name(in->error));
            return;
        }
        if ((m->known & bit) != 0) {
            continue; /* it knows better */
        }
        if (in->offset < m->floor[in->partition] && was_lost(part, in->offset)) {
            part->acked = in->offset;
        } else if (in->offset < m->floor[in->partition]) {
            sim_fail(all->sim,
                     "G5: %s is told %lld of partition %d by node %u, acknowledged was %lld",
                     m->name, (long long)in->offset, in->partition, m->node,
                     (long long)m->floor[in->partition]);
        }
        if (in->offset > part->sent) {
            sim_fail(all->sim, "G5: %s is told %lld of partition %d, which nobody sent", m->name,
                     (long long)in->offset, in->partition);
        }
        m->position[in->partition] = in->offset;
        m->known |= bit;
    }
    m->worked_us = all->sim->now_us;
    go(m, STEP_COMMIT, 0, 50);
}

static void judge_commit(struct member *m, int32_t p)
{
    struct sim_members *all = m->all;
    struct part *part = &all->parts[p];

    if (m->position[p] <= part->acked) {
        sim_fail(all->sim, "G5: %s has committed %lld of partition %d, acknowledged was %lld",
                 m->name, (long long)m->position[p], p, (long long)part->acked);
    } else if (part->committer != m->life && m->epoch <= part->commit_epoch) {
        sim_fail(all->sim, "G6: %s has committed partition %d in epoch %d, another one in %d",
                 m->name, p, m->epoch, part->commit_epoch);
    }
    part->acked = m->position[p];
    part->commit_epoch = m->epoch;
    part->committer = m->life;
}

static void committed(struct member *m, const struct kafka_offset_commit_response *r)
{
    for (uint32_t i = 0; r->topics_count == 1 && i < r->topics[0].partitions_count; i++) {
        int16_t error = r->topics[0].partitions[i].error;
        if (error == KAFKA_ERROR_REQUEST_TIMED_OUT) {
            note_lost(m);
        }
        if (handled(m, error)) {
            return;
        }
    }
    for (int32_t p = 0; p < m->all->part_count; p++) {
        if ((m->owned & m->known) >> p & 1) {
            judge_commit(m, p);
        }
    }
    after_work(m);
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct member *m = CONTAINER_OF(call, struct member, call);

    if (status != 0) {
        if (m->step == STEP_COMMIT) {
            note_lost(m);
        }
        (void)handled(m, KAFKA_ERROR_REQUEST_TIMED_OUT);
        return;
    }
    switch (m->step) {
    case STEP_FIND: {
        const struct kafka_find_coordinator_response *r = response;
        m->error = r->error;
        m->node = r->error == 0 ? (uint32_t)r->node_id : 0;
        go(m, STEP_BEAT, r->error == 0 ? 0 : 20, r->error == 0 ? 5 : 200);
        break;
    }
    case STEP_BEAT:
        beaten(m, response);
        break;
    case STEP_FETCH:
        fetched(m, response);
        break;
    case STEP_COMMIT:
        committed(m, response);
        break;
    case STEP_LEAVE: {
        const struct kafka_consumer_group_heartbeat_response *r = response;
        if (!handled(m, r->error)) {
            forget(m);
            go(m, STEP_BEAT, 10, 5000);
        }
        break;
    }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

struct sim_members *sim_members_new(struct sim *sim, uint32_t members)
{
    struct sim_members *all = mem_new(sizeof *all);

    CHECK(members <= MEMBERS_MAX);
    all->sim = sim;
    prng_init(&all->chance, sim->seed ^ 0x6669766538);
    all->part_count = sim->topics[0].partitions < PARTS_MAX ? sim->topics[0].partitions : PARTS_MAX;
    for (int32_t p = 0; p < PARTS_MAX; p++) {
        all->parts[p] = (struct part){.sent = -1, .acked = -1, .told_epoch = -1};
    }
    all->count = members;
    for (uint32_t i = 0; i < members; i++) {
        struct member *m = &all->members[i];
        m->all = all;
        m->number = i;
        (void)snprintf(m->name, sizeof m->name, "fresh-%u", i);
        forget(m);
        m->call.done = answered;
        m->again.fire = next_step;
        for (uint32_t id = 1; id <= sim->node_count; id++) {
            sim_conn_init(&m->conns[id], sim, 1 + i % sim->node_count, id, m->name);
        }
        go(m, STEP_FIND, 0, 500);
    }
    return all;
}

void sim_members_free(struct sim_members *all)
{
    if (all == NULL) {
        return;
    }
    for (uint32_t i = 0; i < all->count; i++) {
        sim_stop(all->sim, &all->members[i].again);
        for (uint32_t id = 1; id <= all->sim->node_count; id++) {
            sim_conn_fini(&all->members[i].conns[id]);
        }
    }
    free(all);
}

void sim_members_heal(struct sim_members *all)
{
    all->healed_us = all->sim->now_us;
}

bool sim_members_settled(const struct sim_members *all)
{
    uint32_t owned = 0;

    for (uint32_t i = 0; i < all->count; i++) {
        const struct member *m = &all->members[i];
        if (m->worked_us <= all->healed_us || m->epoch != all->members[0].epoch) {
            return false;
        }
        owned |= m->owned;
    }
    for (int32_t p = 0; p < all->part_count; p++) {
        if (all->parts[p].acked < 0) {
            return false;
        }
    }
    return owned == (1U << all->part_count) - 1;
}

void sim_members_describe(const struct sim_members *all, char out[160])
{
    const struct member *worst = &all->members[0];

    for (uint32_t i = 0; i < all->count; i++) {
        worst = all->members[i].worked_us < worst->worked_us ? &all->members[i] : worst;
    }
    (void)snprintf(out, 160,
                   "%s of the new group has not worked since %llu ms; step %d, node %u, epoch %d, "
                   "owns %x, last error %s",
                   worst->name, (unsigned long long)(worst->worked_us / 1000), worst->step,
                   worst->node, worst->epoch, worst->owned, kafka_error_name(worst->error));
}
