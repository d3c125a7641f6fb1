/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_node.h"

#include <stdio.h>

#include "base/error.h"
#include "base/trace.h"
#include "tests/lib/mem_disk.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_client.h"

const char *const sim_regions[] = {"eu-west", "eu-central", "eu-north"};

static void restart(struct timer *timer)
{
    struct sim_node *node = CONTAINER_OF(timer, struct sim_node, restart);

    if (node->node == NULL && !node->gone) {
        sim_node_start(node);
    }
}

void sim_node_init(struct sim_node *node, struct sim *sim, uint32_t id, uint32_t region)
{
    node->sim = sim;
    node->id = id;
    node->region = region;
    node->restart.fire = restart;
    sim_clock_init(&node->clock, &sim->now_us, prng_split(&sim->chance_nodes));
    node->disk = mem_disk_new(&node->clock.clock, prng_next(&sim->chance_nodes));
}

void sim_node_fini(struct sim_node *node)
{
    if (node->node != NULL) {
        mem_disk_kill(node->disk);
        node_close(node->node);
        node->node = NULL;
    }
    sim_stop(node->sim, &node->restart);
    if (node->disk != NULL) {
        mem_disk_free(node->disk);
        sim_clock_fini(&node->clock);
    }
}

static void on_fatal(void *ctx, int error, const char *what)
{
    struct sim_node *node = ctx;

    node->dying = true;
    node->death = error;
    (void)snprintf(node->death_what, sizeof node->death_what, "%s", what);
}

static void fill_options(struct sim_node *node, struct node_options *o)
{
    o->disk = node->disk;
    o->clock = &node->clock.clock;
    o->wire = &node->sim->net.wires[node->id].wire;
    o->node_id = node->id;
    (void)snprintf(o->cluster_name, sizeof o->cluster_name, "sim");
    (void)snprintf(o->region, sizeof o->region, "%s", sim_regions[node->region]);
    (void)snprintf(o->kafka_host, sizeof o->kafka_host, "node-%u", node->id);
    o->kafka_port = 9092;
    o->witness = node->sim->witness && node->region == SIM_REGIONS - 1;
    (void)snprintf(o->mesh_address, sizeof o->mesh_address, "node-%u:9093", node->id);
    (void)snprintf(o->admin_address, sizeof o->admin_address, "node-%u:9094", node->id);
    for (uint32_t id = 1; id <= node->sim->node_count; id++) {
        if (id != node->id) {
            struct node_seed *seed = &o->seeds[o->seed_count++];
            seed->node_id = id;
            (void)snprintf(seed->mesh_address, sizeof seed->mesh_address, "node-%u:9093", id);
        }
    }
    o->store = store_defaults();
    /* Small, so that files are recycled and segments rolled in seconds. */
    o->store.journal_file_bytes = (uint64_t)256 << 10;
    o->store.journal_files_max = 4;
    o->store.segment_bytes = (uint64_t)64 << 10;
    o->store.cache_bytes = (uint64_t)64 << 10;
    o->store.unapplied_bytes = (uint64_t)128 << 10;
    o->store.blocks_from = 1024;
    o->store.apply_wait_ms = 100; /* so that faults meet segments */
    o->store.checkpoint_ms = 2000;
    o->store.reserve_bytes = (uint64_t)24 << 20;
    if (node->sim->shape->compacted) {
        o->store.compact_every_ms = 500;
    }
    o->group_snapshot_bytes = 4 << 10;
    o->group_session_ms = SIM_SESSION_MS;
    if (node->sim->shape->wear) {
        o->store.segment_bytes = (uint64_t)8 << 10;
        o->retention_every_ms = 300;
    }
    o->fatal = on_fatal;
    o->ctx = node;
}

void sim_node_start(struct sim_node *node)
{
    struct node_options options = {0};
    char why[256] = "";

    CHECK(node->node == NULL);
    node->dying = false;
    node->silent = false;
    node->paused = false;
    node->starts++;
    sim_clock_boot(&node->clock);
    sim_node_enter(node);
    fill_options(node, &options);
    sim_tell(node->sim, "node %u (%s) starts", node->id, options.region);
    int status = node_open(&options, &node->node, why);
    if (status != 0) {
        bool stopped = mem_disk_stopped(node->disk);
        node->node = NULL;
        mem_disk_kill(node->disk);
        if (stopped) {
            mem_disk_crash(node->disk);
        }
        sim_net_node_down(&node->sim->net, node->id, stopped);
        if (stopped || (status == TERN_EIO && node->may_die)) {
            sim_tell(node->sim, "node %u cannot start: %s", node->id, why);
            sim_after(node->sim, &node->restart, 500 * SIM_MS);
            return;
        }
        if (status == TERN_EDAMAGED && node->was_cut) {
            sim_tell(node->sim, "node %u cannot start: %s; it gets an empty disk", node->id, why);
            mem_disk_crash(node->disk);
            sim_node_change_disk(node, NULL);
            node->was_cut = false;
            sim_after(node->sim, &node->restart, 500 * SIM_MS);
            return;
        }
        sim_fail(node->sim, "node %u cannot start: %s: %s", node->id, error_name(status), why);
        return;
    }
    sim_node_settle(node);
}

void sim_node_crash(struct sim_node *node, enum sim_crash how)
{
    struct sim *sim = node->sim;

    if (node->node == NULL) {
        return;
    }
    sim_tell(sim, "node %u %s", node->id,
             how == SIM_POWER ? "loses power"
             : node->dying    ? "ends"
                              : "is killed");
    node->silent = how == SIM_POWER;
    node->paused = false;
    /* First the disk, so that nothing is under way any more; then the memory; then what was not
     * synced. */
    mem_disk_kill(node->disk);
    sim_node_enter(node);
    struct node *gone = node->node;
    node->node = NULL;
    node_close(gone);
    sim_net_node_down(&sim->net, node->id, node->silent);
    if (how == SIM_POWER) {
        mem_disk_crash(node->disk);
    }
    node->dying = false;
    if (timer_heap_next_us(&node->clock.timers) != UINT64_MAX) {
        sim_fail(sim, "node %u left an armed timer behind", node->id);
        sim_clock_fini(&node->clock);
    }
}

void sim_node_change_disk(struct sim_node *node, struct disk *disk)
{
    CHECK(node->node == NULL);
    mem_disk_free(node->disk);
    node->disk =
        disk != NULL ? disk : mem_disk_new(&node->clock.clock, prng_next(&node->sim->chance_nodes));
    mem_disk_set_latency(node->disk, 50, node->disk_us);
    node->may_forget = true;
}

void sim_node_pause(struct sim_node *node, bool paused)
{
    if (node->node != NULL && node->paused != paused) {
        sim_tell(node->sim, "node %u %s", node->id, paused ? "is paused" : "goes on");
        sim_node_hold(node, paused);
    }
}

void sim_node_hold(struct sim_node *node, bool paused)
{
    node->paused = paused;
    node->clock.frozen = paused;
    if (!paused) {
        sim_net_node_resumed(&node->sim->net, node->id);
    }
}

bool sim_node_gone(const struct sim_node *node)
{
    return node->node == NULL || node->dying || mem_disk_stopped(node->disk);
}

void sim_node_settle(struct sim_node *node)
{
    if (node->node == NULL || !sim_node_gone(node)) {
        return;
    }
    if (mem_disk_stopped(node->disk)) {
        sim_tell(node->sim, "node %u stops at a write point", node->id);
        sim_node_crash(node, SIM_POWER);
    } else {
        sim_tell(node->sim, "node %u dies: %s: %s", node->id, error_name(node->death),
                 node->death_what);
        if (!(node->death == TERN_EIO && node->may_die) &&
            !(node->death == TERN_EAMNESIA && node->may_forget)) {
            sim_fail(node->sim, "node %u died: %s: %s", node->id, error_name(node->death),
                     node->death_what);
        }
        sim_node_crash(node, SIM_KILL);
    }
    sim_after(node->sim, &node->restart,
              prng_between(&node->sim->chance_nodes, 200 * SIM_MS, 3 * SIM_S));
}

void sim_node_enter(const struct sim_node *node)
{
    char who[32];

    (void)snprintf(who, sizeof who, "node=%u", node->id);
    trace_set_who(who);
}

static void describe_partition(const struct sim_node *node, const struct sim_topic *topic,
                               int32_t index)
{
    const struct control *control = node_control(node->node);
    const struct control_topic *known = control_topic_named(control, topic->name);
    struct node_partition_view v;

    if (known == NULL) {
        sim_tell(node->sim, "    %s: it knows no such topic", topic->name);
        return;
    }
    const struct control_partition *p = &known->partitions[index];
    node_partition(node->node, known->id, index, &v);
    sim_tell(
        node->sim,
        "    %s-%d (%d): control epoch %d leader %u voters %llx learners %llx w %u home %d%s%s, "
        "recover voters %llx w %u home %d; here %s promised %d synced %d start %lld leo %lld hw "
        "%lld%s",
        topic->name, index, topic->first + index, p->epoch, p->leader,
        (unsigned long long)p->config.voters, (unsigned long long)p->config.learners, p->config.w,
        p->config.home, p->activated ? "" : " not activated", p->lossy ? " lossy" : "",
        (unsigned long long)p->recover.voters, p->recover.w, p->recover.home,
        v.hosted ? v.role : "no replica", v.promised, v.synced, (long long)v.log_start,
        (long long)v.leo, (long long)v.hw, v.serves ? " serves" : "");
    for (uint32_t i = 0; i < v.peer_count; i++) {
        sim_tell(node->sim, "        node %u acknowledged %lld", v.peers[i].node,
                 (long long)v.peers[i].acked);
    }
}

void sim_node_describe(const struct sim_node *node)
{
    if (node->node == NULL) {
        sim_tell(node->sim, "  node %u is down", node->id);
        return;
    }
    sim_tell(node->sim, "  node %u: %s%s, start %llu, incarnation %u, control index %llu", node->id,
             node_phase_name(node_phase(node->node)), node->paused ? ", paused" : "",
             (unsigned long long)node_start_number(node->node), node_incarnation(node->node),
             (unsigned long long)node_control(node->node)->applied_index);
    for (uint32_t t = 0; t < node->sim->topic_count; t++) {
        for (int32_t i = 0; i < node->sim->topics[t].partitions; i++) {
            describe_partition(node, &node->sim->topics[t], i);
        }
    }
}

/* ---- what the control state says ------------------------------------------------------------- */

/* The bound holds for the loss of the home alone: the ledger says when another region was missing.
 */
static bool guaranteed(const struct control *control, const struct sim_topic *topic, int32_t index,
                       int64_t start)
{
    for (uint32_t i = 0; i < control->ledger_count; i++) {
        const struct control_ledger_entry *entry = &control->ledger[i];
        if (entry->kind == LEDGER_EXPOSED && strcmp(entry->topic, topic->name) == 0 &&
            entry->partition == index && entry->first_offset == start &&
            strstr(entry->note, "not guaranteed") != NULL) {
            return false;
        }
    }
    return true;
}

static void watch_partition(struct sim_node *node, struct sim_topic *topic, int32_t index,
                            const struct control_partition *p)
{
    struct sim *sim = node->sim;

    if (p->epoch > 0 && p->epoch < SIM_EPOCHS_MAX) {
        topic->leader[index][p->epoch] = (uint8_t)p->leader;
    }
    if (p->lossy_epoch <= topic->lossy_epoch[index] || sim->checker == NULL) {
        return;
    }
    topic->lossy_epoch[index] = p->lossy_epoch;
    bool bounded = guaranteed(node_control(node->node), topic, index, p->lossy_start);
    uint64_t cut = checker_lossy(sim->checker, (uint32_t)(topic->first + index), p->lossy_epoch,
                                 p->lossy_start, sim->now_us, bounded ? topic->bound_us : 0);
    sim_tell(sim, "%s-%d (%d): lossy epoch %d from offset %lld cuts %llu acknowledged%s",
             topic->name, index, topic->first + index, p->lossy_epoch, (long long)p->lossy_start,
             (unsigned long long)cut, bounded ? "" : ", the bound is not guaranteed");
}

void sim_node_watch(struct sim_node *node)
{
    struct sim *sim = node->sim;

    if (node->node == NULL || node_control(node->node)->applied_index == node->watched) {
        return;
    }
    node->watched = node_control(node->node)->applied_index;
    for (uint32_t t = 0; t < sim->topic_count; t++) {
        const struct control_topic *known =
            sim->topics[t].lossy
                ? control_topic_named(node_control(node->node), sim->topics[t].name)
                : NULL;
        for (int32_t i = 0; known != NULL && i < sim->topics[t].partitions; i++) {
            watch_partition(node, &sim->topics[t], i, &known->partitions[i]);
        }
    }
}

const struct control *sim_newest_control(const struct sim *sim)
{
    const struct control *newest = NULL;

    for (uint32_t id = 1; id <= sim->node_count; id++) {
        struct node *node = sim->nodes[id].node;
        const struct control *of = node != NULL ? node_control(node) : newest;
        newest = newest == NULL || of->applied_index > newest->applied_index ? of : newest;
    }
    return newest;
}

bool sim_leads(const struct sim_topic *topic, int32_t index, uint32_t node)
{
    for (int32_t e = topic->lossy_epoch[index]; e < SIM_EPOCHS_MAX; e++) {
        if (topic->leader[index][e] == node) {
            return true;
        }
    }
    return false;
}
