/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_run.h"

#include <stdio.h>

#include "base/error.h"
#include "base/trace.h"
#include "kafka/generated/errors.h"
#include "kafka/generated/messages.h"
#include "tests/lib/mem_disk.h"
#include "tests/sim/sim_calm.h"
#include "tests/sim/sim_consumer.h"
#include "tests/sim/sim_faults.h"
#include "tests/sim/sim_group.h"
#include "tests/sim/sim_member.h"
#include "tests/sim/sim_operator.h"
#include "tests/sim/sim_producer.h"
#include "tests/sim/sim_removal.h"
#include "tests/sim/sim_story.h"
#include "tests/sim/sim_txn.h"

#define CREATE_TOPICS_VERSION 5
#define CONFIGS_MAX           5
#define FOUND_LIMIT           (30 * SIM_S)
#define RETENTION_MIN         (64 << 10)
#define MORE_LIMIT            (10 * SIM_S) /* for a run that has not acknowledged enough */
#define LIVE_LIMIT            (30 * SIM_S) /* after healing everything must be done within that */

/* ---- founding -------------------------------------------------------------------------------- */

static void lay_ways(struct sim *sim)
{
    struct prng *chance = &sim->chance_net;
    /* Regions, or racks of one: with short ways the disks are what everybody waits for. */
    bool near = prng_chance(chance, 1, 3);
    uint64_t shortest = near ? 150 : 2 * SIM_MS;
    uint64_t longest = near ? 2 * SIM_MS : 35 * SIM_MS;

    for (uint32_t a = 1; a < SIM_PLACES; a++) {
        for (uint32_t b = a; b < SIM_PLACES; b++) {
            uint64_t us = a == b ? 100 : prng_between(chance, shortest, longest);
            sim->net.delay_us[a][b] = us;
            sim->net.delay_us[b][a] = us;
        }
    }
    sim->net.jitter_percent = (uint32_t)prng_between(chance, 1, 30);
    if (sim->story != NULL) {
        sim->net.jitter_percent = 0;
        for (uint32_t a = 1; a < SIM_PLACES; a++) {
            for (uint32_t b = 1; b < SIM_PLACES; b++) {
                sim->net.delay_us[a][b] = a == b ? 100 : 10 * SIM_MS;
            }
        }
    }
    sim->net.queue_max[WIRE_CONTROL] = (size_t)8 << 20;
    sim->net.queue_max[WIRE_DATA] = prng_chance(chance, 1, 3) ? (size_t)64 << 10 : (size_t)8 << 20;
    sim->net.queue_max[WIRE_CATCH_UP] = sim->net.queue_max[WIRE_DATA];
}

static void make_nodes(struct sim *sim)
{
    uint64_t size = prng_below(&sim->chance_nodes, 12);

    /* Mostly one per region; some that join; three per region. */
    sim->node_count = size < 9 ? 3 : size < 11 ? (uint32_t)size - 5 : 9;
    if (sim->shape->nodes > 0) {
        sim->node_count = sim->shape->nodes;
    } else if (sim->shape->nodes_max > 0 && sim->node_count > sim->shape->nodes_max) {
        sim->node_count = sim->shape->nodes_max;
    }
    if (sim->shape->wear) {
        sim->node_count = (uint32_t)prng_between(&sim->chance_wear, 3, 6);
        sim->witness = prng_chance(&sim->chance_wear, 1, 4);
        sim->net.old_connections = prng_chance(&sim->chance_wear, 1, 2);
    }
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_node_init(&sim->nodes[id], sim, id, (id - 1) % SIM_REGIONS);
    }
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        static const uint64_t slowest_us[] = {500, 8 * SIM_MS, 40 * SIM_MS, 150 * SIM_MS};
        sim->nodes[id].disk_us =
            prng_between(&sim->chance_nodes, 300,
                         slowest_us[prng_below(&sim->chance_nodes, ARRAY_COUNT(slowest_us))]);
        if (sim->story != NULL) {
            sim->nodes[id].disk_us = SIM_MS;
        }
        mem_disk_set_latency(sim->nodes[id].disk, 50, sim->nodes[id].disk_us);
        sim_node_start(&sim->nodes[id]);
    }
}

static void found(struct sim *sim)
{
    struct node_founder founders[SIM_REGIONS];
    struct uuid cluster_id = uuid_from_random(prng_next(&sim->chance_nodes), sim->seed);
    char why[256] = "";

    memset(founders, 0, sizeof founders);
    for (uint32_t id = 1; id <= SIM_REGIONS; id++) {
        struct node_founder *f = &founders[id - 1];
        f->node_id = id;
        f->raft_id = id;
        (void)snprintf(f->region, sizeof f->region, "%s", sim_regions[sim->nodes[id].region]);
        (void)snprintf(f->mesh_address, sizeof f->mesh_address, "node-%u:9093", id);
        f->witness = sim->witness && sim->nodes[id].region == SIM_REGIONS - 1;
    }
    for (uint32_t id = 1; id <= SIM_REGIONS; id++) {
        sim_node_enter(&sim->nodes[id]);
        int status = node_found(sim->nodes[id].node, cluster_id, founders, SIM_REGIONS, why);
        if (status != 0) {
            sim_fail(sim, "node %u cannot be founded: %s", id, why);
        }
    }
}

static bool all_ready(struct sim *sim)
{
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        const struct sim_node *node = &sim->nodes[id];
        if (node->node == NULL || node_phase(node->node) != NODE_READY) {
            return false;
        }
    }
    return true;
}

/* ---- policies -------------------------------------------------------------------------------- */

static const char policies[] = "policy: payments\n"
                               "topics: [payments]\n"
                               "critical: true\n"
                               "mode: sync\n"
                               "ack: 2\n"
                               "leaders: [eu-west, eu-central, eu-north]\n"
                               "---\n"
                               "policy: wide\n"
                               "topics: [wide]\n"
                               "mode: sync\n"
                               "ack: 2\n"
                               "copies: 3\n"
                               "---\n"
                               "policy: strict\n"
                               "topics: [strict]\n"
                               "mode: sync\n"
                               "ack: 3\n"
                               "on_region_loss: {then: degrade, after: 2s}\n"
                               "---\n"
                               "policy: homely\n"
                               "topics: [homely]\n"
                               "mode: async\n"
                               "home: eu-central\n"
                               "rpo: {time: 5s, bytes: 64MiB, on_breach: report}\n"
                               "failover: {mode: manual}\n"
                               "---\n"
                               "policy: clicks\n"
                               "topics: [clicks]\n"
                               "mode: async\n"
                               "home: eu-west\n"
                               "rpo: {time: 1s, bytes: 1MiB, on_breach: throttle}\n"
                               "failover: {mode: auto, after: 2s, wait: 500ms}\n";

/* Two regions have data. */
static const char policies_witness[] = "policy: payments\n"
                                       "topics: [payments]\n"
                                       "critical: true\n"
                                       "mode: sync\n"
                                       "ack: 2\n"
                                       "leaders: [eu-west, eu-central]\n"
                                       "---\n"
                                       "policy: homely\n"
                                       "topics: [homely]\n"
                                       "mode: async\n"
                                       "home: eu-central\n"
                                       "rpo: {time: 5s, bytes: 64MiB, on_breach: report}\n"
                                       "failover: {mode: manual}\n"
                                       "---\n"
                                       "policy: clicks\n"
                                       "topics: [clicks]\n"
                                       "mode: async\n"
                                       "home: eu-west\n"
                                       "rpo: {time: 1s, bytes: 1MiB, on_breach: throttle}\n"
                                       "failover: {mode: auto, after: 2s, wait: 500ms}\n";

struct putting {
    struct quorum_proposal proposal;
    struct sim *sim;
    bool done;
};

static struct putting *putting_now; /* for `put`, which gets only the sim */

static void put_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct putting *putting = CONTAINER_OF(proposal, struct putting, proposal);
    struct command_result r = {0};

    putting->done = true;
    if (status == 0) {
        status = command_result_read(result, &r) == 0 ? r.error : TERN_EMALFORMED;
    }
    if (status != 0) {
        sim_fail(putting->sim, "a policy was not taken: %s %s", error_name(status), r.why);
    }
}

static bool put(struct sim *sim)
{
    (void)sim;
    return putting_now->done;
}

static void put_policies(struct sim *sim)
{
    struct policy_set set = {0};
    struct putting putting = {.sim = sim};
    struct node *node = sim->nodes[1].node;

    policy_parse(&set, "sim", slice_text(sim->witness ? policies_witness : policies));
    policy_set_check(&set);
    CHECK(set.problem_count == 0);
    putting.proposal.done = put_done;
    putting_now = &putting;
    for (size_t i = 0; i < set.count && !sim_failed(sim); i++) {
        struct buf command = {0};
        if (set.policies[i].copies > 1 && sim->node_count < 9) {
            continue; /* it would be refused */
        }
        sim_node_enter(&sim->nodes[1]);
        command_put_policy(&command, node_next_key(node), &set.policies[i], "sim", 0, false);
        putting.done = false;
        quorum_submit(node_quorum(node), buf_slice(&command), &putting.proposal);
        buf_fini(&command);
        if (!sim_run(sim, sim->now_us + FOUND_LIMIT, put) && !sim_failed(sim)) {
            sim_fail(sim, "liveness: a policy could not be put");
        }
    }
    putting_now = NULL;
    policy_set_fini(&set);
}

/* ---- topics ---------------------------------------------------------------------------------- */

struct maker {
    struct sim_client client;
    struct sim_call call;
    struct timer again;
    uint32_t topic;
};

static struct maker *maker_now; /* for `made`, which gets only the sim */

static uint32_t config(struct kafka_create_topics_request_config *out, const char *name,
                       const char *value)
{
    kafka_create_topics_request_config_init(out);
    out->name = slice_text(name);
    out->value = slice_text(value);
    return 1;
}

static uint32_t configs_of(const struct sim_topic *topic, const struct sim_shape *shape,
                           struct kafka_create_topics_request_config out[CONFIGS_MAX],
                           char bytes[24])
{
    uint32_t count = 0;

    if (topic->retention_bytes > 0) {
        (void)snprintf(bytes, 24, "%lld", (long long)topic->retention_bytes);
        count += config(&out[count], "retention.bytes", bytes);
    }
    if (shape->compacted) {
        count += config(&out[count], "cleanup.policy", "compact");
        count += config(&out[count], "segment.ms", "300");
        count += config(&out[count], "min.cleanable.dirty.ratio", "0.01");
    }
    if (shape->keys > 0) {
        count += config(&out[count], "delete.retention.ms", "2000");
    }
    return count;
}

static void ask_for_topic(struct timer *timer)
{
    struct maker *maker = CONTAINER_OF(timer, struct maker, again);
    const struct sim_topic *topic = &maker->client.sim->topics[maker->topic];
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic t;
    struct kafka_create_topics_request_config configs[CONFIGS_MAX];
    char bytes[24];

    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&t);
    t.configs = configs;
    t.configs_count = configs_of(topic, maker->client.sim->shape, configs, bytes);
    t.name = slice_text(topic->name);
    t.num_partitions = topic->partitions;
    t.replication_factor = -1;
    m.topics = &t;
    m.topics_count = 1;
    m.timeout_ms = 2000;
    sim_conn_ask(sim_client_any(&maker->client), &maker->call, 19, CREATE_TOPICS_VERSION, &m,
                 3 * SIM_S);
}

static void topic_made(struct sim_call *call, int status, const void *response)
{
    struct maker *maker = CONTAINER_OF(call, struct maker, call);
    struct sim *sim = maker->client.sim;
    const struct kafka_create_topics_response *m = response;
    int16_t error = status == 0 ? m->topics[0].error : KAFKA_ERROR_REQUEST_TIMED_OUT;

    if (error == 0 || error == KAFKA_ERROR_TOPIC_ALREADY_EXISTS) {
        sim_tell(sim, "topic %s is made", sim->topics[maker->topic].name);
        maker->topic++;
    } else {
        sim_tell(sim, "topic %s is not made yet: %s", sim->topics[maker->topic].name,
                 kafka_error_name(error));
    }
    if (maker->topic < sim->topic_count) {
        sim_after(sim, &maker->again, 100 * SIM_MS);
    }
}

static bool made(struct sim *sim)
{
    return maker_now->topic == sim->topic_count;
}

/* Its policy follows from its name. */
static void add_topic(struct sim *sim, const char *name, int32_t home)
{
    CHECK(sim->topic_count < SIM_TOPICS_MAX);
    struct sim_topic *topic = &sim->topics[sim->topic_count++];

    (void)snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->partitions = (int32_t)sim_range_draw(&sim->chance_clients, sim->shape->partitions);
    topic->first = sim->partition_count;
    topic->home = home;
    sim->partition_count += topic->partitions;
    if (sim->shape->wear && prng_chance(&sim->chance_wear, 2, 3)) {
        topic->retention_bytes =
            (int64_t)prng_between(&sim->chance_wear, RETENTION_MIN, 3 * RETENTION_MIN);
        if (topic->retention_bytes % 4 == 0) {
            topic->retention_bytes /= 64; /* less than what may wait for its commit */
        }
        int64_t keeps = topic->retention_bytes / SIM_RECORD_MAX - SIM_RECORDS_UNDER_WAY;
        topic->keeps = keeps > 0 ? keeps : 0;
    }
}

static bool has_topic(struct sim *sim, const char *word)
{
    bool drawn = prng_chance(&sim->chance_clients, 1, 2);

    return sim->shape->topics != NULL ? strstr(sim->shape->topics, word) != NULL : drawn;
}

static void make_topics(struct sim *sim)
{
    struct maker *maker = mem_new(sizeof *maker);

    add_topic(sim, "payments", -1);
    if (sim->node_count == 9) {
        add_topic(sim, "wide", -1);
    }
    if (has_topic(sim, " strict ") && !sim->witness) {
        add_topic(sim, "strict", -1);
    }
    if (has_topic(sim, " homely ")) {
        add_topic(sim, "homely", 1);
    }
    if (has_topic(sim, " clicks ")) {
        add_topic(sim, "clicks", 0);
        sim->topics[sim->topic_count - 1].lossy = true;
        sim->topics[sim->topic_count - 1].bound_us = SIM_S;
    }
    sim_client_init(&maker->client, sim, 1, "maker");
    maker->call.done = topic_made;
    maker->again.fire = ask_for_topic;
    sim_at(sim, &maker->again, sim->now_us);
    maker_now = maker;
    if (!sim_run(sim, sim->now_us + FOUND_LIMIT, made) && !sim_failed(sim)) {
        sim_fail(sim, "liveness: topics could not be made");
    }
    sim_client_fini(&maker->client);
    sim_stop(sim, &maker->again);
    maker_now = NULL;
    free(maker);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void add_consumer(struct sim *sim, uint32_t place, bool from_leaders)
{
    sim->consumers[sim->consumer_count] =
        sim_consumer_new(sim, sim->consumer_count, place, from_leaders);
    sim->consumer_count++;
}

static bool txns_begun(struct sim *sim)
{
    return sim_txns_begun(sim->txns);
}

static void make_clients(struct sim *sim)
{
    uint32_t producers = (uint32_t)prng_between(&sim->chance_clients, 2, 4);

    sim->checker = checker_new((uint32_t)sim->partition_count, producers, 2 * (SIM_REGIONS + 1));
    for (uint32_t t = 0; t < sim->topic_count; t++) {
        for (int32_t i = 0; i < sim->topics[t].partitions; i++) {
            checker_keeps(sim->checker, (uint32_t)(sim->topics[t].first + i), sim->topics[t].keeps);
        }
    }
    for (uint32_t i = 0; i < producers; i++) {
        sim->producers[i] = sim_producer_new(sim, i, 1 + i % sim->node_count);
        sim->producer_count++;
    }
    for (uint32_t id = 1; id <= SIM_REGIONS; id++) {
        add_consumer(sim, id, false);
    }
    add_consumer(sim, 1, true);
    if (sim->shape->members > 0) {
        sim->groups = sim_groups_new(sim, sim->shape->members);
    }
    if (sim->shape->consumers > 0) {
        sim->members = sim_members_new(sim, sim->shape->consumers);
    }
    if (sim->shape->tellers > 0) {
        sim->txns = sim_txns_new(sim, sim->shape->tellers);
        if (!sim_run(sim, sim->now_us + FOUND_LIMIT, txns_begun) && !sim_failed(sim)) {
            sim_fail(sim, "liveness: no transaction could begin");
        }
    }
}

static void make_operator(struct sim *sim)
{
    bool drawn = prng_chance(&sim->chance_operator, 1, 2);

    if (sim->shape->operator_us.high > 0 && (drawn || sim->shape->operator_always)) {
        sim->op =
            sim_operator_new(sim, sim_range_draw(&sim->chance_operator, sim->shape->operator_us));
    }
}

static bool all_written(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->producer_count; i++) {
        if (!sim_producer_idle(sim->producers[i])) {
            return false;
        }
    }
    return true;
}

static bool all_read(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->consumer_count; i++) {
        if (!sim_consumer_at_end(sim->consumers[i])) {
            return false;
        }
    }
    return true;
}

static bool groups_settled(struct sim *sim)
{
    return (sim->groups == NULL || sim_groups_settled(sim->groups)) &&
           (sim->members == NULL || sim_members_settled(sim->members));
}

static bool txns_settled(struct sim *sim)
{
    return sim->txns == NULL || sim_txns_settled(sim->txns);
}

static void free_clients(struct sim *sim)
{
    sim_txns_free(sim->txns);
    sim_groups_free(sim->groups);
    sim_members_free(sim->members);
    sim_operator_free(sim->op);
    sim_removal_free(sim->removal);
    for (uint32_t i = 0; i < sim->producer_count; i++) {
        sim_producer_free(sim->producers[i]);
    }
    for (uint32_t i = 0; i < sim->consumer_count; i++) {
        sim_consumer_free(sim->consumers[i]);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

struct wanted {
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct uuid topic_id;
    bool found;
};

static void look(void *ctx, const struct store_quarantined *q)
{
    struct wanted *wanted = ctx;

    if (uuid_equal(q->topic_id, wanted->topic_id) && q->partition == wanted->partition &&
        q->first_offset <= wanted->offset && wanted->offset < q->end_offset) {
        wanted->found = true;
    }
}

struct search {
    struct sim *sim;
    char missing[160]; /* what lies in no quarantine; empty: nothing */
};

static void find_in_quarantine(void *ctx, uint32_t partition, int64_t offset)
{
    struct search *search = ctx;
    struct sim *sim = search->sim;
    const struct sim_topic *topic = sim_topic_of(sim, (int32_t)partition);
    struct wanted wanted = {
        .topic = topic->name, .partition = (int32_t)partition - topic->first, .offset = offset};

    if (search->missing[0] != '\0' || offset < checker_deleted_to(sim->checker, partition) ||
        (sim->removal != NULL && sim_removal_took_a_disk(sim->removal))) {
        return; /* retention had deleted it; or what it lay on was given up */
    }
    for (uint32_t id = 1; id <= sim->node_count && !wanted.found; id++) {
        struct node *node = sim->nodes[id].node;
        if (node == NULL) {
            continue;
        }
        const struct control_topic *known = control_topic_named(node_control(node), topic->name);
        if (known == NULL) {
            continue;
        }
        wanted.topic_id = known->id;
        store_quarantine_each(node_store(node), look, &wanted);
    }
    if (!wanted.found) {
        (void)snprintf(
            search->missing, sizeof search->missing,
            "C8: %s-%d: the acknowledged offset %lld was cut off and is in no quarantine",
            topic->name, wanted.partition, (long long)offset);
    }
}

/* Nothing that was acknowledged and cut off is gone: it lies in some node's quarantine, at the latest when its old
 * home is back. */
static bool quarantined(struct sim *sim)
{
    struct search search = {.sim = sim};

    if (sim->now_us < sim->look_again_us) {
        return false;
    }
    sim->look_again_us = sim->now_us + 100 * SIM_MS;
    checker_each_cut(sim->checker, find_in_quarantine, &search);
    return search.missing[0] == '\0';
}

/* And the ledger says so, as the newest state of any node has it. */
static void find_in_ledger(struct sim *sim, const struct sim_topic *topic, int32_t index,
                           int32_t epoch, int64_t start)
{
    const struct control *control = sim_newest_control(sim);

    for (uint32_t i = 0; i < control->ledger_count; i++) {
        const struct control_ledger_entry *entry = &control->ledger[i];
        if (entry->kind == LEDGER_EXPOSED && strcmp(entry->topic, topic->name) == 0 &&
            (entry->partition == index || entry->partition < 0) && entry->first_offset <= start &&
            (entry->end_offset < 0 || entry->end_offset >= start)) {
            return; /* its own, or one that was summed up with others */
        }
    }
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        const struct control_ledger_entry *entry = &control->ledger[i];
        sim_tell(sim, "ledger: kind %d %s-%d %lld to %lld, %s", (int)entry->kind, entry->topic,
                 entry->partition, (long long)entry->first_offset, (long long)entry->end_offset,
                 entry->note);
    }
    sim_fail(sim, "C8: %s-%d: the lossy epoch %d from offset %lld is not in the ledger",
             topic->name, index, epoch, (long long)start);
}

static void check_lossy(void *ctx, uint32_t partition, int32_t epoch, int64_t start)
{
    struct sim *sim = ctx;
    const struct sim_topic *topic = sim_topic_of(sim, (int32_t)partition);

    find_in_ledger(sim, topic, (int32_t)partition - topic->first, epoch, start);
}

static bool removal_settled(struct sim *sim)
{
    return sim->removal == NULL || sim_removal_settled(sim->removal, NULL);
}

static bool all_current(struct sim *sim)
{
    return sim_quorum_settled(sim, NULL);
}

static void bring_to_end(struct sim *sim)
{
    if (sim->op != NULL) {
        sim_operator_stop(sim->op);
    }
    char why[160] = "";
    uint64_t until = sim->now_us + LIVE_LIMIT;

    for (uint32_t i = 0; i < sim->producer_count; i++) {
        sim_producer_stop(sim->producers[i]);
    }
    if (sim->groups != NULL) {
        sim_groups_heal(sim->groups);
    }
    if (sim->members != NULL) {
        sim_members_heal(sim->members);
    }
    if (sim->txns != NULL) {
        sim_txns_heal(sim->txns);
    }
    if (!sim_run(sim, until, all_written) && !sim_failed(sim)) {
        for (uint32_t i = 0; i < sim->producer_count; i++) {
            if (!sim_producer_idle(sim->producers[i])) {
                sim_producer_describe(sim->producers[i], why);
            }
        }
        sim_fail(sim, "liveness: %s", why);
    }
    if (sim_failed(sim)) {
        return;
    }
    sim_tell(sim, "everything is acknowledged; final readers begin");
    uint32_t first = sim->consumer_count;
    for (uint32_t id = 1; id <= SIM_REGIONS; id++) {
        add_consumer(sim, id, false);
    }
    add_consumer(sim, 2, true);
    if (!sim_run(sim, until, all_read) && !sim_failed(sim)) {
        for (uint32_t i = 0; i < sim->consumer_count; i++) {
            if (!sim_consumer_at_end(sim->consumers[i])) {
                sim_consumer_describe(sim->consumers[i], why);
            }
        }
        sim_fail(sim, "liveness: %s", why);
    }
    if (sim_failed(sim)) {
        return;
    }
    if (!sim_run(sim, until, groups_settled) && !sim_failed(sim)) {
        if (sim->groups != NULL && !sim_groups_settled(sim->groups)) {
            sim_groups_describe(sim->groups, why);
        } else {
            sim_members_describe(sim->members, why);
        }
        sim_fail(sim, "liveness: %s", why);
    }
    if (!sim_failed(sim) && !sim_run(sim, until, txns_settled) && !sim_failed(sim)) {
        sim_txns_describe(sim->txns, why);
        sim_fail(sim, "liveness: %s", why);
    }
    if (sim->txns != NULL && !sim_failed(sim)) {
        sim_txns_judge(sim->txns);
    }
    if (sim_failed(sim)) {
        return;
    }
    if (!sim_run(sim, until, removal_settled) && !sim_failed(sim)) {
        (void)sim_removal_settled(sim->removal, why);
        sim_fail(sim, "liveness: %s", why);
    }
    if (sim_failed(sim)) {
        return;
    }
    if (!sim_run(sim, until, all_current) && !sim_failed(sim)) {
        (void)sim_quorum_settled(sim, why);
        sim_fail(sim, "Q3: %s", why);
    }
    if (sim_failed(sim)) {
        return;
    }
    if (!sim_run(sim, until, quarantined) && !sim_failed(sim)) {
        struct search search = {.sim = sim};
        checker_each_cut(sim->checker, find_in_quarantine, &search);
        sim_fail(sim, "%s", search.missing);
    }
    if (sim_failed(sim)) {
        return;
    }
    uint64_t final = (((uint64_t)1 << sim->consumer_count) - 1) & ~(((uint64_t)1 << first) - 1);
    checker_finish(sim->checker, final);
    if (sim->op != NULL) {
        sim_operator_check(sim->op);
    }
    checker_each_lossy(sim->checker, check_lossy, sim);
    if (sim->net.old_connections) {
        sim_tell(sim, "old connections delivered %llu frames late",
                 (unsigned long long)sim->net.late_frames);
    }
    if (checker_failure(sim->checker) != NULL) {
        sim_fail(sim, "%s", checker_failure(sim->checker));
    }
}

static bool enough_acked(struct sim *sim)
{
    return sim->acked_batches >= sim->shape->batches;
}

static void live_seed(struct sim *sim)
{
    sim_faults_begin(sim);
    sim->faults_begin_us = sim->now_us;
    sim->faults_end_us = sim->now_us + sim_range_draw(&sim->chance_faults, sim->shape->faults_us);
    if (sim->shape->wear) {
        sim->removal = sim_removal_new(sim);
    }
    (void)sim_run(sim, sim->faults_end_us, NULL);
    if (!sim_failed(sim)) {
        sim_faults_heal(sim);
        if (sim->removal != NULL) {
            sim_removal_heal(sim->removal);
        }
        (void)sim_run(sim, sim->now_us + (sim->shape->batches > 0 ? MORE_LIMIT : 0), enough_acked);
        bring_to_end(sim);
    }
}

static void live_calm(struct sim *sim)
{
    struct sim_calm *calm = sim_calm_begin(sim);

    sim_calm_run(sim, sim_range_draw(&sim->chance_faults, sim->shape->faults_us));
    sim_calm_end(calm);
    if (!sim_failed(sim)) {
        bring_to_end(sim);
    }
}

static void live_story(struct sim *sim)
{
    sim_story_begin(sim, sim->story);
    (void)sim_run(sim, sim->now_us + sim_story_end_us(sim->story), NULL);
    if (!sim_failed(sim)) {
        sim_story_heal(sim);
        bring_to_end(sim);
    }
    sim_story_check(sim);
}

static void run(struct sim *sim)
{
    lay_ways(sim);
    make_nodes(sim);
    (void)sim_run(sim, SIM_S / 2, NULL);
    if (sim_failed(sim)) {
        return;
    }
    found(sim);
    if (!sim_run(sim, sim->now_us + FOUND_LIMIT, all_ready) && !sim_failed(sim)) {
        sim_fail(sim, "liveness: the cluster could not be founded");
    }
    if (sim_failed(sim)) {
        return;
    }
    sim_tell(sim, "all nodes are ready");
    put_policies(sim);
    if (sim_failed(sim)) {
        return;
    }
    make_topics(sim);
    if (sim_failed(sim)) {
        return;
    }
    make_clients(sim);
    make_operator(sim);
    if (sim->story != NULL) {
        live_story(sim);
    } else if (sim->shape->calm) {
        live_calm(sim);
    } else {
        live_seed(sim);
    }
    for (uint32_t id = 1; sim_failed(sim) && id <= sim->node_count; id++) {
        sim_node_describe(&sim->nodes[id]);
    }
}

static void run_whole(struct sim *sim, struct sim_result *out)
{
    memset(out, 0, sizeof *out);
    run(sim);
    sim_note(sim, sim->steps);
    memcpy(out->failure, sim->failure, sizeof out->failure);
    out->hash = sim->hash;
    out->steps = sim->steps;
    out->seconds = (double)sim->now_us / 1e6;
    out->faults = sim->fault_count;
    out->batches = sim->acked_batches;
    if (sim->checker != NULL) {
        checker_counts(sim->checker, &out->counts);
        checker_free(sim->checker);
    }
    sim_faults_free(sim);
    free_clients(sim);
    sim_free(sim);
}

void sim_run_seed(uint64_t seed, const struct sim_shape *shape, int verbose, struct sim_result *out)
{
    run_whole(sim_new(seed, shape, verbose), out);
}

void sim_run_story(struct sim_story *story, int verbose, struct sim_result *out)
{
    struct sim *sim = sim_new(1, sim_story_shape(story), verbose);

    sim->story = story;
    trace_set_level(TRACE_DEBUG);
    run_whole(sim, out);
}
