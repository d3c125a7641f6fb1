/* SPDX-License-Identifier: Apache-2.0 */
/* A control state with a handful of nodes, for the tests of `control`; every command that goes
 * through it is followed by a check of the invariants. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "control/command.h"
#include "tests/lib/test.h"

struct control_fixture {
    struct control *control;
    struct command_key key;
    uint64_t index;
    struct control_changes changes; /* of the last command */
    struct command_result result;   /* of the last command */
    struct buf command;             /* to be filled by a builder, then control_fixture_apply */
};

static inline void check_partition(const struct control_partition *p)
{
    node_set members = control_members(&p->config) | control_members(&p->recover);
    node_set replicas = 0;

    assert_true(p->epoch > 0);
    assert_int_equal(p->config.voters & p->config.learners, 0);
    if (p->leader != 0) {
        assert_true((p->config.voters & NODE_BIT(p->leader)) != 0);
    }
    for (uint32_t i = 0; i < p->replica_count; i++) {
        assert_int_equal(replicas & NODE_BIT(p->replicas[i].node), 0);
        replicas |= NODE_BIT(p->replicas[i].node);
        assert_true(p->replicas[i].since <= p->epoch + 1);
    }
    assert_true(replicas == members);
    if (p->activated) {
        assert_true(control_config_same_rule(&p->config, &p->recover));
    } else {
        assert_true(p->lossy || !control_config_same_rule(&p->config, &p->recover));
    }
}

/* Invariants that hold after every command; fails the test if one does not. */
static inline void control_fixture_check(const struct control *control)
{
    for (struct control_topic *t = control->by_name; t != NULL; t = t->by_name.next) {
        assert_ptr_equal(control_topic_by_id(control, t->id), t);
        for (uint32_t i = 0; i < t->partition_count; i++) {
            check_partition(&t->partitions[i]);
        }
    }
}

static inline void control_fixture_init(struct control_fixture *f)
{
    *f = (struct control_fixture){.control = control_new()};
    f->key.client.bytes[0] = 0xcc;
}

static inline void control_fixture_fini(struct control_fixture *f)
{
    control_free(f->control);
    free(f->changes.items);
    buf_fini(&f->command);
}

/* The key for the next command. */
static inline struct command_key control_fixture_key(struct control_fixture *f)
{
    f->key.seq++;
    return f->key;
}

/* Applies what is in f->command and empties it; returns the result's error. */
static inline int control_fixture_apply(struct control_fixture *f)
{
    struct buf result = {0};

    f->changes.count = 0;
    control_apply(f->control, ++f->index, buf_slice(&f->command), &result, &f->changes);
    assert_int_equal(command_result_read(buf_slice(&result), &f->result), 0);
    buf_fini(&result);
    buf_clear(&f->command);
    control_fixture_check(f->control);
    return f->result.error;
}

static inline int register_node(struct control_fixture *f, const struct command_registration *r)
{
    command_register(&f->command, control_fixture_key(f), r);
    return control_fixture_apply(f);
}

static inline struct command_registration registration(uint32_t node, const char *region)
{
    struct command_registration r = {
        .node_id = node, .kafka_port = (uint16_t)(9092 + node), .start_number = 1};

    (void)snprintf(r.region, sizeof r.region, "%s", region);
    (void)snprintf(r.kafka_host, sizeof r.kafka_host, "node%u.example", node);
    (void)snprintf(r.mesh_address, sizeof r.mesh_address, "node%u.example:9093", node);
    return r;
}

/* Registers a start: the disk remembers everything (incarnation and raft id as registered). */
static inline int control_fixture_start(struct control_fixture *f, uint32_t node,
                                        const char *region, uint64_t start_number)
{
    struct command_registration r = registration(node, region);

    if (f->control->nodes[node].start_number != 0) {
        r.incarnation = f->control->nodes[node].incarnation;
    }
    r.raft_id = f->control->nodes[node].raft_id;
    r.start_number = start_number;
    return register_node(f, &r);
}

/* Registers with an empty disk. */
static inline int control_fixture_wipe(struct control_fixture *f, uint32_t node, const char *region)
{
    struct command_registration r = registration(node, region);

    return register_node(f, &r);
}

/* Founds with nodes 1, 2, 3 in eu-west, eu-central, eu-north, and registers them. */
static inline void control_fixture_found(struct control_fixture *f)
{
    const struct command_founder founders[3] = {
        {.node_id = 1, .raft_id = 11, .region = "eu-west"},
        {.node_id = 2, .raft_id = 12, .region = "eu-central"},
        {.node_id = 3, .raft_id = 13, .region = "eu-north"},
    };

    command_found(&f->command, control_fixture_key(f), (struct uuid){{7}}, "test", founders, 3);
    assert_int_equal(control_fixture_apply(f), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(control_fixture_start(f, founders[i].node_id, founders[i].region, 1), 0);
    }
}

static inline int control_fixture_put_policy(struct control_fixture *f, const struct policy *policy)
{
    command_put_policy(&f->command, control_fixture_key(f), policy, "alice", 1000, false);
    return control_fixture_apply(f);
}

/* A topic of its own policy `name` (patterns: the name); NULL if it was refused. */
static inline struct control_topic *control_fixture_topic(struct control_fixture *f,
                                                          const char *name,
                                                          const struct policy *policy,
                                                          int32_t partitions)
{
    struct policy own = *policy;
    struct uuid id = {{0}};

    (void)snprintf(own.name, sizeof own.name, "%s", name);
    (void)snprintf(own.patterns[0], sizeof own.patterns[0], "%s", name);
    own.pattern_count = 1;
    if (control_fixture_put_policy(f, &own) != 0) {
        return NULL;
    }
    id.bytes[0] = 1;
    put_be64(id.bytes + 8, f->index);
    command_create_topic(&f->command, control_fixture_key(f), name, id, partitions, NULL, INT64_MIN,
                         INT64_MIN);
    return control_fixture_apply(f) == 0 ? control_topic_named(f->control, name) : NULL;
}

static inline int control_fixture_fence(struct control_fixture *f, uint32_t node, bool set)
{
    if (set) {
        command_fence(&f->command, control_fixture_key(f), node);
    } else {
        command_unfence(&f->command, control_fixture_key(f), node);
    }
    return control_fixture_apply(f);
}

static inline int control_fixture_assign(struct control_fixture *f,
                                         const struct command_assignment *item)
{
    command_assign(&f->command, control_fixture_key(f), item, 1);
    return control_fixture_apply(f);
}

/* Reports the newest epoch as activated. */
static inline int control_fixture_activate(struct control_fixture *f,
                                           const struct control_topic *topic, int32_t partition)
{
    command_activated(&f->command, control_fixture_key(f), topic->id, partition,
                      topic->partitions[partition].epoch,
                      topic->partitions[partition].lossy ? 100 : -1, NULL);
    return control_fixture_apply(f);
}

/* sync, ack 2, prefers eu-west then eu-central; async with its home in eu-west, failover auto. */
static inline struct policy control_fixture_sync(void)
{
    struct policy policy = policy_default();

    policy.prefer_count = 2;
    (void)snprintf(policy.prefer[0], sizeof policy.prefer[0], "eu-west");
    (void)snprintf(policy.prefer[1], sizeof policy.prefer[1], "eu-central");
    return policy;
}

static inline struct policy control_fixture_async(void)
{
    struct policy policy = policy_default();

    policy.mode = POLICY_ASYNC;
    policy.ack = 1;
    (void)snprintf(policy.home, sizeof policy.home, "eu-west");
    policy.rpo_time_ms = 5000;
    policy.rpo_bytes = 64 * 1024 * 1024;
    policy.failover = POLICY_FAILOVER_AUTO;
    policy.failover_after_ms = 5000;
    policy.failover_wait_ms = 2000;
    return policy;
}
