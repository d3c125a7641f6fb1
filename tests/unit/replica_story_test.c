/* SPDX-License-Identifier: Apache-2.0 */
/* One partition through what is too rare for the walks to meet by chance, or worth being told. The
 * judge of the world looks on; a story adds what it expects itself. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tests/lib/replica_world.h"
#include "tests/lib/test.h"

#define N1 NODE_BIT(1)
#define N2 NODE_BIT(2)
#define N3 NODE_BIT(3)

static const int8_t regions[] = {0, 1, 2, 3, 4};
static struct world w;

static void begin_with(uint32_t nodes, struct replica_rule rule, uint32_t leader)
{
    rworld_init(&w, 1, nodes, regions);
    w.story = getenv("REPLICA_STORY") != NULL;
    (void)rworld_assign(&w, leader, rule, false);
    rworld_settle(&w);
    assert_int_equal(rworld_leader(&w), leader);
}

static void begin(void)
{
    begin_with(3, rworld_rule(N1 | N2 | N3, 2, -1), 1);
}

static void good(void)
{
    if (w.broken[0] != 0) {
        fail_msg("%s", w.broken);
    }
}

static void end(void)
{
    good();
    rworld_fini(&w);
}

static int64_t log_end(uint32_t node)
{
    return w.nodes[node].log.end;
}

static int64_t disk_end(uint32_t node)
{
    return w.nodes[node].disk.log.end;
}

/* A client sends a new batch; it is left alone with what comes of it. */
static void append(uint32_t node)
{
    rworld_client_timeout(&w, 2);
    assert_int_equal(rworld_send(&w, 2, node), 0);
}

static void cut_off(uint32_t node)
{
    for (uint32_t peer = 1; peer <= w.node_count; peer++) {
        if (peer != node && w.channels_up[node][peer] != 0) {
            rworld_link_down(&w, node, peer, CHANNELS_ALL);
        }
    }
}

static void join(uint32_t node)
{
    for (uint32_t peer = 1; peer <= w.node_count; peer++) {
        if (peer != node && !rworld_linked(&w, node, peer) && w.nodes[peer].up) {
            rworld_link_up(&w, node, peer);
        }
    }
}

/* What the control quorum has decided reaches the node, and its disk. */
static void learn(uint32_t node)
{
    while (rworld_apply(&w, node)) {
    }
    rworld_writes_done(&w, node);
}

static void restart(uint32_t node)
{
    rworld_crash(&w, node, 0);
    rworld_start(&w, node);
}

static void rejoin(uint32_t node, uint32_t next_leader)
{
    rworld_register(&w, node, next_leader);
    join(node);
    rworld_settle(&w);
}

static void pass_time(uint64_t millis)
{
    for (uint64_t i = 0; i < millis; i += 100) {
        w.now_ms += 100;
        for (uint32_t node = 1; node <= w.node_count; node++) {
            rworld_tick(&w, node);
        }
        rworld_settle(&w);
    }
}

static uint32_t truncations(void)
{
    return (uint32_t)w.counters.truncations;
}

/* ---- leaders that die ------------------------------------------------------------------------ */

static void a_record_that_only_a_dead_leader_had_is_cut_from_its_log(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    cut_off(1);
    append(1);
    rworld_writes_done(&w, 1); /* after its fsync, before anybody else had it */
    int64_t lonely = log_end(1);
    assert_true(lonely > w.committed.end);
    rworld_crash(&w, 1, 0);
    (void)rworld_assign(&w, 2, w.control.active, false);
    rworld_settle(&w);
    append(2);
    append(2);
    rworld_settle(&w);
    assert_int_equal(w.committed.end, log_end(2));
    rworld_start(&w, 1);
    rejoin(1, 2);
    pass_time(200);
    assert_int_equal(truncations(), 1);
    assert_true(rworld_converged(&w));
    end();
}

static void a_record_that_two_followers_hold_outlives_a_leader_that_did_not_sync_it(void **state)
{
    (void)state;
    begin();
    append(1);
    for (uint32_t to = 2; to <= 3; to++) {
        while (rworld_deliver(&w, 1, to, CHANNEL_DATA)) {
        }
        rworld_writes_done(&w, to);
        while (rworld_deliver(&w, to, 1, CHANNEL_CONTROL)) {
        }
    }
    assert_int_equal(disk_end(1), 0); /* rule 4: it has pushed without waiting for its own disk */
    assert_int_equal(w.committed.end, log_end(1));
    restart(1);
    rejoin(1, 2);
    pass_time(200);
    assert_int_equal(rworld_leader(&w), 2);
    assert_true(rworld_converged(&w));
    end();
}

static void a_leader_counts_itself_only_after_its_fsync(void **state)
{
    (void)state;
    begin();
    append(1);
    while (rworld_deliver(&w, 1, 2, CHANNEL_DATA)) {
    }
    rworld_writes_done(&w, 2);
    while (rworld_deliver(&w, 2, 1, CHANNEL_CONTROL)) {
    }
    assert_int_equal(w.committed.end, 0);
    rworld_writes_done(&w, 1);
    assert_int_equal(w.committed.end, log_end(1));
    end();
}

static void a_started_node_never_leads_the_epoch_of_its_earlier_start(void **state)
{
    (void)state;
    begin();
    restart(1);
    join(1);
    rworld_settle(&w);
    pass_time(500);
    assert_int_equal(rworld_replica(&w, 1)->role, REPLICA_FOLLOWING);
    rworld_register(&w, 1, 1);
    rworld_settle(&w);
    pass_time(500);
    assert_int_equal(rworld_leader(&w), 1);
    assert_int_equal(rworld_replica(&w, 1)->spec.epoch, 2);
    end();
}

static void the_tail_that_a_recovery_finds_is_shown_once_it_is_held_again(void **state)
{
    (void)state;
    begin();
    append(1);
    while (rworld_deliver(&w, 1, 2, CHANNEL_DATA)) {
    }
    rworld_writes_done(&w, 2); /* node 2 has it, node 1 and the clients do not know */
    rworld_crash(&w, 1, 0);
    (void)rworld_assign(&w, 3, w.control.active, false);
    rworld_settle(&w);
    pass_time(2000);
    assert_int_equal(rworld_leader(&w), 3);
    assert_int_equal(log_end(3), log_end(2));
    assert_int_equal(w.committed.end, log_end(2));
    assert_int_equal(w.counters.copies, 1);
    end();
}

/* Raft's figure 8: a record of an old epoch was committed as part of the initial log of a newer
 * one, and another node has a record of an epoch between them. */
static void
what_an_epoch_without_records_committed_is_not_given_up_for_a_younger_record(void **state)
{
    (void)state;
    begin();
    w.batch_records = 1;
    append(1);
    rworld_settle(&w);
    cut_off(1);
    append(1); /* epoch 1, on node 1 alone */
    rworld_writes_done(&w, 1);
    (void)rworld_assign(&w, 3, w.control.active, false);
    while (rworld_leader(&w) != 3) {
        learn(2);
        learn(3);
        (void)rworld_deliver(&w, 3, 2, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 2, 3, CHANNEL_CONTROL);
    }
    cut_off(3);
    append(3); /* epoch 2, on node 3 alone */
    rworld_writes_done(&w, 3);
    (void)rworld_assign(&w, 1, w.control.active, false);
    rworld_link_up(&w, 1, 2);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(rworld_leader(&w), 1);
    assert_int_equal(w.committed.end, 2);
    cut_off(1);
    (void)rworld_assign(&w, 3, w.control.active, false);
    rworld_link_up(&w, 2, 3);
    rworld_settle(&w);
    pass_time(2000);
    assert_int_equal(rworld_leader(&w), 3);
    join(1);
    rworld_settle(&w);
    pass_time(200);
    assert_true(rworld_converged(&w));
    end();
}

/* ---- followers that fall behind -------------------------------------------------------------- */

static void a_follower_that_dies_in_the_middle_of_the_initial_log_goes_on_where_it_was(void **state)
{
    (void)state;
    begin();
    cut_off(3);
    for (int i = 0; i < 6; i++) {
        append(1);
    }
    rworld_settle(&w);
    (void)rworld_assign(&w, 2, w.control.active, false);
    rworld_settle(&w);
    w.small_parts = true;
    join(3);
    learn(3);
    while (w.nodes[3].write_count - w.nodes[3].write_first < 2) {
        (void)rworld_deliver(&w, 2, 3, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 3, 2, CHANNEL_CONTROL);
        rworld_turn(&w, 2);
        if (disk_end(3) == 0) {
            (void)rworld_write_done(&w, 3);
        }
        (void)rworld_deliver(&w, 2, 3, CHANNEL_DATA);
    }
    assert_true(disk_end(3) < log_end(2));
    assert_int_equal(w.nodes[3].disk.synced, 1);
    restart(3);
    rejoin(3, 2);
    pass_time(200);
    assert_int_equal(w.nodes[3].disk.synced, 2);
    assert_int_equal(truncations(), 0);
    assert_true(rworld_converged(&w));
    end();
}

static void a_follower_that_missed_a_push_is_pushed_again_from_there(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_link_down(&w, 1, 3, CHANNEL_BIT(CHANNEL_DATA));
    append(1);
    rworld_settle(&w);
    assert_int_equal(log_end(3), 0);
    rworld_link_up(&w, 1, 3);
    rworld_settle(&w);
    pass_time(200);
    assert_true(rworld_converged(&w));
    end();
}

static void an_ack_that_was_lost_is_asked_for_again(void **state)
{
    (void)state;
    begin();
    cut_off(2);
    append(1);
    rworld_writes_done(&w, 1);
    while (rworld_deliver(&w, 1, 3, CHANNEL_DATA)) {
    }
    rworld_writes_done(&w, 3);
    rworld_refuse(&w, 3, 1, CHANNEL_CONTROL); /* the queue was full, the link stays */
    rworld_settle(&w);
    assert_true(w.committed.end < log_end(1));
    pass_time(1500);
    assert_int_equal(w.committed.end, log_end(1));
    end();
}

/* Fences that a tick of the node asks for. */
static uint32_t fences_of_tick(uint32_t node)
{
    struct replica_out out = {0};
    uint32_t fences = 0;

    replica_tick(rworld_replica(&w, node), w.now_ms, 60000, &out);
    for (size_t i = 0; i < out.count; i++) {
        fences += out.effects[i].kind == EFFECT_FENCE;
    }
    replica_out_fini(&out);
    return fences;
}

static void an_ack_that_may_be_on_its_way_is_not_asked_for(void **state)
{
    (void)state;
    begin();
    w.now_ms += 60000; /* long after the last fence */
    append(1);
    rworld_writes_done(&w, 1);
    while (rworld_deliver(&w, 1, 3, CHANNEL_DATA)) {
    }
    for (int i = 0; i < 3; i++) {
        w.now_ms += REPLICA_RETRY_MS;
        assert_int_equal(fences_of_tick(1), 0);
    }
    w.now_ms += REPLICA_RETRY_MS;
    assert_int_equal(fences_of_tick(1), 2); /* neither of the followers has said anything */
    rworld_settle(&w);
    end();
}

/* Thousands of partitions ask at once: who does not answer has too much to do, or is not there. */
static void a_candidate_repeats_its_fences_less_and_less_often(void **state)
{
    (void)state;
    begin();
    cut_off(2);
    (void)rworld_assign(&w, 2, w.control.active, false);
    learn(2);
    assert_int_equal(rworld_replica(&w, 2)->role, REPLICA_FENCING);
    uint32_t rounds = 0;
    for (int i = 0; i < 30; i++) {
        w.now_ms += REPLICA_RETRY_MS;
        rounds += fences_of_tick(2) > 0;
    }
    assert_int_equal(rounds, 5); /* after 200, 400, 800, 1,600, 2,600 ms */
    rworld_settle(&w);
    end();
}

/* Raised by a leader and not yet told to node 2, which leads next and has deleted nothing. */
static void what_was_held_and_deleted_is_never_fallen_back_behind(void **state)
{
    (void)state;
    begin();
    append(1);
    append(1);
    rworld_settle(&w);
    rworld_raise_log_start(&w, 1, w.committed.end);
    rworld_writes_done(&w, 1); /* behind its producer snapshot */
    rworld_link_down(&w, 1, 2, CHANNELS_ALL);
    rworld_settle(&w);
    restart(3); /* its store keeps no epochs of what is deleted */
    assert_int_equal(w.nodes[3].log.start, log_end(3));
    (void)rworld_assign(&w, 2, w.control.active, false);
    rejoin(3, 2);
    pass_time(200);
    join(1);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(rworld_leader(&w), 2);
    assert_int_equal(w.nodes[2].log.start, 0);
    for (size_t i = 0; i < rworld_replica(&w, 2)->peer_count; i++) { /* the leader knows of it */
        const struct replica_peer *peer = &rworld_replica(&w, 2)->peers[i];
        assert_int_equal(peer->log_start, w.nodes[peer->node].log.start);
    }
    assert_int_equal(w.counters.restarts, 0);
    append(2);
    rworld_settle(&w);
    assert_true(rworld_converged(&w));
    end();
}

static void a_push_that_does_not_fit_is_answered_with_a_complaint(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    struct replica_out out = {0};
    struct replica_push push = {.epoch = 1, .prev_epoch = 1, .base = 400, .hw = -1};
    replica_on_push(rworld_replica(&w, 3), w.now_ms, 1, &push, &out);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.effects[0].kind, EFFECT_ANSWER);
    assert_true(out.effects[0].flag);
    replica_out_fini(&out);
    end();
}

static void a_follower_behind_the_log_start_restarts_there(void **state)
{
    (void)state;
    begin();
    cut_off(3);
    for (int i = 0; i < 5; i++) {
        append(1);
    }
    rworld_settle(&w);
    rworld_raise_log_start(&w, 1, w.committed.end);
    append(1);
    rworld_settle(&w);
    join(3);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(w.counters.restarts, 1);
    assert_int_equal(w.nodes[3].log.start, w.nodes[1].log.start);
    assert_true(rworld_converged(&w));
    end();
}

/* An idempotent batch whose answer was lost, deleted since, and sent again to `node`: its offsets are told. */
static void assert_still_known(uint32_t node)
{
    struct replica *r = &w.nodes[node].replica;
    struct batch_info batch = {.producer_id = 7, .base_sequence = 0, .count = 1, .bytes = 100};
    struct replica_out out = {0};
    bool duplicate = false;

    assert_int_equal(replica_produce(r, w.now_ms, &batch, &duplicate, &out), 0);
    assert_true(duplicate);
    assert_int_equal(out.count, 0);
    replica_out_fini(&out);
}

static void produce_idempotently(uint32_t node)
{
    struct world_batch *b = &w.batches[w.batch_count];
    struct replica_out out = {0};
    bool duplicate = false;
    uint16_t batch = w.batch_count++;

    *b = (struct world_batch){
        .info = {.producer_id = 7, .base_sequence = 0, .count = 1, .bytes = 100}};
    assert_int_equal(replica_produce(&w.nodes[node].replica, w.now_ms, &b->info, &duplicate, &out),
                     0);
    rworld_judge_append(&w, &w.nodes[node], batch);
    rworld_perform(&w, &w.nodes[node], &out, &batch, 1);
}

/* Node 3 has nothing, and what an idempotent producer has sent is deleted. */
static void begin_with_a_deleted_batch(void)
{
    begin();
    cut_off(3);
    produce_idempotently(1);
    append(1);
    rworld_settle(&w);
    rworld_raise_log_start(&w, 1, w.committed.end);
    rworld_settle(&w);
}

static void who_begins_anew_is_told_what_producers_had_sent_before(void **state)
{
    (void)state;
    begin_with_a_deleted_batch();
    join(3);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(w.counters.restarts, 1);
    rworld_crash(&w, 3, 0); /* and it is durable there */
    rworld_start(&w, 3);
    rejoin(3, 1);
    (void)rworld_assign(&w, 3, w.control.active, false);
    rworld_settle(&w);
    rworld_feed_producers(&w, 3);
    assert_int_equal(rworld_leader(&w), 3);
    assert_still_known(3);
    end();
}

static void a_leader_that_begins_anew_asks_its_source_for_producers_first(void **state)
{
    (void)state;
    begin_with_a_deleted_batch();
    append(1);
    rworld_settle(&w);
    rworld_link_up(&w, 3, 2); /* 2 has followed the log start */
    rworld_crash(&w, 1, 0);
    (void)rworld_assign(&w, 3, w.control.active, false);
    rworld_settle(&w);
    pass_time(200);
    rworld_feed_producers(&w, 3);
    assert_int_equal(rworld_leader(&w), 3);
    assert_int_equal(w.counters.restarts, 1);
    assert_true(w.nodes[3].log.start > 0);
    assert_still_known(3);
    end();
}

static void
a_follower_whose_next_push_is_deleted_restarts_though_it_had_the_initial_log(void **state)
{
    (void)state;
    begin();
    w.push_window = 1;
    for (int i = 0; i < 5; i++) {
        append(1);
    }
    rworld_writes_done(&w, 1);
    while (w.committed.end < log_end(1)) {
        rworld_turn(&w, 1);
        (void)rworld_deliver(&w, 1, 2, CHANNEL_DATA);
        rworld_writes_done(&w, 2);
        (void)rworld_deliver(&w, 2, 1, CHANNEL_CONTROL);
    }
    rworld_raise_log_start(&w, 1, w.committed.end);
    rworld_settle(&w);
    assert_int_equal(w.counters.restarts, 1);
    append(1);
    rworld_settle(&w);
    pass_time(200);
    assert_true(rworld_converged(&w));
    end();
}

static void a_follower_that_restarts_beyond_the_initial_log_holds_all_of_it(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    cut_off(3);
    (void)rworld_assign(&w, 2, w.control.active, false); /* the initial log is short */
    rworld_settle(&w);
    for (int i = 0; i < 4; i++) {
        append(2);
    }
    rworld_settle(&w);
    rworld_raise_log_start(&w, 2, w.committed.end);
    rworld_settle(&w);
    join(3);
    rworld_settle(&w);
    pass_time(500);
    assert_int_equal(w.nodes[3].disk.synced, 2);
    assert_true(rworld_converged(&w));
    end();
}

/* What is deleted cannot be read again: the log start waits for a producer snapshot that is durable and
 * below which nothing is cut. */
static void a_log_start_waits_for_a_durable_producer_snapshot(void **state)
{
    (void)state;
    begin();
    append(1);
    append(1);
    rworld_settle(&w);
    int64_t to = w.committed.end;
    struct world_node *leader = &w.nodes[1];
    append(1); /* in the table already, and neither durable nor committed */
    rworld_raise_log_start(&w, 1, to);
    assert_true(leader->saving);
    assert_true(leader->save.offset > to);
    assert_int_equal(leader->replica.log_start, 0);
    while (leader->saving) {
        assert_true(rworld_write_done(&w, 1));
    }
    assert_int_equal(leader->replica.producers_safe, leader->replica.leo);
    assert_int_equal(leader->replica.log_start, 0); /* what it stands on may still be cut */
    rworld_settle(&w);
    rworld_settle(&w);
    for (uint32_t node = 1; node <= 3; node++) {
        assert_int_equal(w.nodes[node].disk.log.start, to);
        assert_true(w.nodes[node].snapshot_count > 0);
        assert_true(w.nodes[node].snapshots[0].offset >= to);
    }
    end();
}

/* Where deletion is the cure it does not wait: on a disk that has no room for a snapshot. */
static void a_full_disk_may_delete_without_a_producer_snapshot(void **state)
{
    struct replica_out out = {0};

    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    struct replica *r = &w.nodes[1].replica;
    replica_raise_log_start(r, w.committed.end, &out);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.effects[0].kind, EFFECT_PRODUCERS);
    replica_out_fini(&out);
    replica_written(r, w.now_ms, EFFECT_PRODUCERS, -1, &out);
    assert_int_equal(r->log_start, w.committed.end);
    assert_int_equal(out.effects[0].kind, EFFECT_LOG_START);
    assert_true(out.effects[0].flag); /* and is told */
    replica_out_fini(&out);
    rworld_fini(&w);
}

/* The log start rose over what a rebuild was reading: what is known is void, as after a restart. */
static void producers_are_void_when_the_log_start_rises_over_their_rebuild(void **state)
{
    struct replica_load load = {.self = 1, .incarnation = 1, .promised = 1, .synced = 1, .leo = 20};
    struct batch_info batch = {.producer_id = 7,
                               .base_sequence = 0,
                               .leader_epoch = 1,
                               .marker = 0,
                               .base_offset = 0,
                               .last_offset = 4};
    struct history_entry history = {1, 0};
    struct replica r;

    (void)state;
    load.history = &history;
    load.history_count = 1;
    replica_init(&r, &load);
    replica_producers_feed(&r, &batch);
    assert_true(producers_knows(r.producers, 7));
    assert_int_equal(r.producers_at, 5);
    r.log_start = 12; /* without a snapshot, as on a full disk */
    batch.producer_id = 8;
    batch.base_offset = 12;
    batch.last_offset = 19;
    replica_producers_feed(&r, &batch);
    assert_false(producers_knows(r.producers, 7)); /* it may have written between */
    assert_true(producers_knows(r.producers, 8));
    assert_int_equal(r.producers_at, 20);
    replica_fini(&r);
}

static void an_emptied_log_takes_the_first_record_of_a_new_epoch(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    rworld_raise_log_start(&w, 1, w.committed.end);
    rworld_settle(&w);
    rworld_settle(&w);
    for (uint32_t node = 1; node <= 3; node++) {
        assert_int_equal(w.nodes[node].disk.log.start, w.nodes[node].disk.log.end);
        restart(node);
    }
    rworld_register(&w, 2, 1);
    rworld_register(&w, 3, 1);
    rejoin(1, 1);
    join(2);
    rworld_settle(&w);
    pass_time(1000);
    append(1);
    rworld_settle(&w);
    assert_true(rworld_converged(&w));
    end();
}

static void a_node_that_is_not_registered_neither_answers_nor_acknowledges(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    restart(3);
    join(3);
    append(1);
    rworld_settle(&w);
    pass_time(300);
    assert_int_equal(log_end(3), disk_end(3));
    assert_true(log_end(3) < log_end(1)); /* no answer, so no stream */
    rworld_register(&w, 3, 1);
    rworld_settle(&w);
    pass_time(300);
    assert_true(rworld_converged(&w));
    end();
}

/* ---- disks that forget ----------------------------------------------------------------------- */

/* All logs hold one record of epoch 1. Node 3 alone has led epoch 2 and appended `more` records;
 * its disk of then is kept. Afterwards epoch 3 of `leader` appends one record in their place,
 * without the node `absent`. */
static void make_image(int more, uint32_t leader, uint32_t absent)
{
    begin();
    w.batch_records = 1;
    append(1);
    rworld_settle(&w);
    (void)rworld_assign(&w, 3, w.control.active, false);
    rworld_settle(&w);
    assert_int_equal(rworld_leader(&w), 3);
    cut_off(3);
    for (int i = 0; i < more; i++) {
        append(3);
    }
    rworld_writes_done(&w, 3);
    rworld_keep_image(&w, 3);
    (void)rworld_assign(&w, leader, w.control.active, false);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(rworld_leader(&w), leader);
    cut_off(absent);
    if (absent != 3) {
        rworld_link_up(&w, leader, 3);
    }
    append(leader);
    rworld_settle(&w);
    assert_int_equal(w.committed.end, 2);
}

static void put_back(uint32_t node)
{
    rworld_crash(&w, node, 0);
    rworld_put_back(&w, node);
    rworld_start(&w, node);
    rworld_register(&w, node, 1);
    learn(node);
}

static void copies_come_from_the_log_that_was_chosen_or_not_at_all(void **state)
{
    (void)state;
    make_image(3, 2, 1);
    assert_int_equal(w.nodes[3].disk.synced, 3);
    cut_off(2);
    (void)rworld_assign(&w, 1, w.control.active, false);
    rworld_link_up(&w, 1, 3);
    for (int i = 0; i < 100 && rworld_replica(&w, 1)->role != REPLICA_BUILDING; i++) {
        learn(1);
        learn(3);
        (void)rworld_deliver(&w, 1, 3, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 3, 1, CHANNEL_CONTROL);
    }
    assert_int_equal(rworld_replica(&w, 1)->source, 3);
    put_back(3); /* before it was asked for anything */
    rworld_link_up(&w, 1, 3);
    rworld_settle(&w);
    pass_time(1500);
    assert_true(w.counters.copies > 0);
    assert_int_equal(rworld_replica(&w, 1)->role, REPLICA_BUILDING);
    assert_true(w.control.no_quorum);
    rworld_link_up(&w, 1, 2);
    (void)rworld_assign(&w, 1, w.control.active, false);
    rworld_settle(&w);
    pass_time(2000);
    assert_int_equal(rworld_leader(&w), 1);
    end();
}

/* Node 3 has answered the fence of epoch 4, and has another disk when the leader begins to push. */
static void put_back_under_a_stream(void)
{
    (void)rworld_assign(&w, 1, w.control.active, false);
    for (int i = 0; i < 100 && rworld_replica(&w, 1)->role != REPLICA_BUILDING; i++) {
        while (rworld_apply(&w, 1)) {
        }
        (void)rworld_write_done(&w, 1); /* the promise, and not yet `synced` */
        learn(3);
        (void)rworld_deliver(&w, 1, 3, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 3, 1, CHANNEL_CONTROL);
    }
    put_back(3);
    rworld_link_up(&w, 1, 3);
    while (rworld_deliver(&w, 1, 3, CHANNEL_CONTROL) || rworld_deliver(&w, 3, 1, CHANNEL_CONTROL)) {
    }
    rworld_writes_done(&w, 1);
    assert_int_equal(rworld_leader(&w), 1);
    assert_int_equal(replica_peer_of(rworld_replica(&w, 1), 3)->state, PEER_STREAMING);
    append(1);
    rworld_writes_done(&w, 1);
    while (!replica_hw_known(rworld_replica(&w, 1))) {
        learn(2);
        rworld_turn(&w, 1);
        (void)rworld_deliver(&w, 1, 2, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 1, 2, CHANNEL_DATA);
        (void)rworld_deliver(&w, 2, 1, CHANNEL_CONTROL);
    }
    while (rworld_deliver(&w, 1, 3, CHANNEL_CONTROL)) { /* the high watermark among it */
    }
    rworld_settle(&w);
    pass_time(500);
    good();
    (void)rworld_assign(&w, 1, w.control.active, false);
    rworld_settle(&w);
    pass_time(300);
    assert_true(rworld_converged(&w));
}

static void a_push_onto_another_log_of_the_same_length_is_refused(void **state)
{
    (void)state;
    make_image(1, 1, 3);
    join(3);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(disk_end(3), 2);
    put_back_under_a_stream();
    end();
}

static void an_initial_log_is_held_when_it_was_compared_not_when_it_is_long_enough(void **state)
{
    (void)state;
    make_image(2, 1, 3);
    /* It cuts its own records and gets none of the new ones. */
    rworld_link_up(&w, 1, 3);
    while (truncations() == 0) {
        rworld_turn(&w, 1);
        learn(3);
        (void)rworld_deliver(&w, 1, 3, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 3, 1, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 1, 3, CHANNEL_DATA);
    }
    rworld_writes_done(&w, 3);
    cut_off(3);
    rworld_link_up(&w, 1, 3);
    assert_int_equal(disk_end(3), 1);
    put_back_under_a_stream();
    end();
}

/* ---- configs --------------------------------------------------------------------------------- */

static void nothing_is_acknowledged_before_a_new_config_is_activated(void **state)
{
    (void)state;
    begin();
    append(1);
    rworld_settle(&w);
    int64_t before = w.committed.end;
    (void)rworld_assign(&w, 1, rworld_rule(N1 | N2, 2, -1), false);
    for (int i = 0; i < 20; i++) {
        for (uint32_t node = 1; node <= 3; node++) {
            learn(node);
            for (uint32_t to = 1; to <= 3; to++) {
                while (rworld_deliver(&w, node, to, CHANNEL_CONTROL) ||
                       rworld_deliver(&w, node, to, CHANNEL_DATA)) {
                }
            }
        }
        if (i == 10) {
            append(1);
        }
    }
    assert_int_equal(rworld_replica(&w, 1)->role, REPLICA_SERVING);
    assert_int_equal(rworld_replica(&w, 1)->leader_hw, -1);
    assert_false(replica_hw_known(rworld_replica(&w, 1)));
    assert_int_equal(w.committed.end, before);
    assert_true(rworld_decide(&w));
    rworld_settle(&w);
    assert_int_equal(w.committed.end, log_end(1));
    end();
}

static void a_learner_that_is_level_before_the_high_watermark_is_known_is_told_of_then(void **state)
{
    (void)state;
    struct replica_rule rule = rworld_rule(N1 | N2, 2, -1);
    rule.learners = N3;
    begin();
    append(1);
    rworld_settle(&w);
    cut_off(2);
    (void)rworld_assign(&w, 1, rule, false);
    rworld_settle(&w);
    assert_int_equal(w.nodes[3].disk.synced, 2); /* the learner is there, the voter is not */
    assert_int_equal(w.control.caught_up, 0);
    join(2);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(w.control.caught_up, N3);
    end();
}

/* The disk of `node`, which is down, loses its newest record, and does not know it. */
static void lose_a_record(uint32_t node)
{
    struct world_disk *disk = &w.nodes[node].disk;

    disk->log.end--;
    history_cut(&disk->history, disk->log.end);
}

/* The judge is not asked: such a disk is outside of what the protocol promises for. */
static void a_home_that_has_forgotten_takes_nobody_with_it(void **state)
{
    (void)state;
    begin_with(3, rworld_rule(N1 | N2 | N3, 1, 0), 1);
    append(1);
    rworld_settle(&w);
    good();
    int64_t shown = w.nodes[2].hw_shown;
    assert_int_equal(shown, log_end(1));
    rworld_crash(&w, 1, 0);
    lose_a_record(1);
    rworld_start(&w, 1);
    rworld_register(&w, 1, 1);
    join(1);
    pass_time(1000);
    assert_int_equal(w.amnesia_of, 1);
    for (uint32_t node = 2; node <= 3; node++) {
        assert_int_equal(log_end(node), shown);
        assert_int_equal(disk_end(node), shown);
    }
    rworld_fini(&w);
}

static void a_candidate_does_not_take_a_log_that_lacks_what_it_has_shown(void **state)
{
    (void)state;
    begin_with(3, rworld_rule(N1 | N2 | N3, 1, 0), 1);
    append(1);
    rworld_settle(&w);
    good();
    int64_t shown = w.nodes[2].hw_shown;
    rworld_crash(&w, 1, 0);
    lose_a_record(1);
    rworld_start(&w, 1);
    rworld_register(&w, 1, 1);
    pass_time(1000); /* it is alone, and has an epoch of its own */
    (void)rworld_assign(&w, 2, rworld_rule(N1 | N2 | N3, 1, 0), false);
    join(1);
    pass_time(1000);
    assert_int_equal(w.amnesia_of, 1);
    assert_int_equal(w.nodes[2].replica.role, REPLICA_FENCING);
    assert_int_equal(log_end(2), shown);
    rworld_fini(&w);
}

/* Of 2 of 3 one has lost what it committed with the third; the second, which leads now, never had it, and has
 * forgotten nothing. */
static void a_leader_that_never_held_what_was_shown_is_not_accused(void **state)
{
    (void)state;
    begin_with(3, rworld_rule(N1 | N2 | N3, 2, -1), 1);
    cut_off(2);
    append(1);
    rworld_settle(&w);
    pass_time(200);
    good();
    int64_t shown = w.nodes[3].hw_shown;
    assert_int_equal(shown, log_end(1));
    assert_true(log_end(2) < shown);
    cut_off(3);
    rworld_crash(&w, 1, 0);
    while (disk_end(1) > log_end(2)) {
        lose_a_record(1);
    }
    rworld_start(&w, 1);
    rworld_register(&w, 1, 1);
    (void)rworld_assign(&w, 2, rworld_rule(N1 | N2 | N3, 2, -1), false);
    rworld_link_up(&w, 1, 2);
    pass_time(1000);
    assert_int_equal(w.nodes[2].replica.role, REPLICA_SERVING);
    join(3);
    pass_time(1000);
    assert_int_equal(w.missing_at, 2); /* people are told */
    assert_int_equal(w.amnesia_of, 0);
    assert_int_equal(log_end(3), shown);
    rworld_fini(&w);
}

static void a_lossy_epoch_is_invisible_until_it_is_activated(void **state)
{
    (void)state;
    struct replica_rule alone = rworld_rule(N2, 1, 1);
    alone.learners = N1 | N3;
    begin_with(3, rworld_rule(N1 | N2 | N3, 1, 0), 1);
    append(1);
    rworld_settle(&w);
    int64_t shipped = w.committed.end;
    cut_off(1);
    append(1);
    rworld_writes_done(&w, 1);
    assert_true(w.committed.end > shipped); /* acknowledged, and nobody else has it */
    (void)rworld_assign(&w, 2, alone, true);
    for (int i = 0; i < 10; i++) {
        learn(2);
        learn(3);
        (void)rworld_deliver(&w, 2, 3, CHANNEL_CONTROL);
        (void)rworld_deliver(&w, 3, 2, CHANNEL_CONTROL);
        assert_false(rworld_deliver(&w, 2, 3, CHANNEL_DATA));
    }
    struct replica *r = rworld_replica(&w, 2);
    assert_int_equal(r->role, REPLICA_PREPARED);
    assert_int_equal(w.nodes[2].disk.synced, 1);
    assert_false(r->missing_region); /* all but the lost home were read, without waiting */
    assert_true(rworld_decide(&w));
    rworld_settle(&w);
    assert_int_equal(rworld_leader(&w), 2);
    assert_int_equal(w.committed.end, shipped);
    append(2);
    append(2);
    rworld_settle(&w);
    assert_int_equal(w.committed.end, log_end(2));
    join(1);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(truncations(), 1); /* the exposed record goes into quarantine */
    assert_true(rworld_converged(&w));
    end();
}

/* Spin: node 2 led a lossy epoch alone, with a log whose `synced` was 1, and was replaced before it had
 * stored a newer one. Node 1 has a larger one, of an epoch in between, and no vote in that config. */
static void a_leader_outside_the_config_that_it_recovers_by_takes_no_log_of_its_own(void **state)
{
    (void)state;
    struct history_entry in_epoch_1 = {.epoch = 1, .start_offset = 0};
    struct replica_load load = {.self = 1,
                                .incarnation = 1,
                                .start_number = 1,
                                .connected = N2,
                                .promised = 4,
                                .synced = 2,
                                .damaged_from = INT64_MAX};
    struct replica_answer answer = {.epoch = 4,
                                    .incarnation = 1,
                                    .synced = 1,
                                    .leo = 1,
                                    .history = &in_epoch_1,
                                    .history_count = 1};
    struct replica_spec spec = {.epoch = 4,
                                .leader = 1,
                                .leader_start = 1,
                                .config = {N1 | N2, 0, 2, -1},
                                .recover = {N2, N1, 1, -1},
                                .lossy_start = -1,
                                .member_count = 2,
                                .members = {{1, 1, 0, 0}, {2, 1, 0, 1}}};
    struct replica_out out = {0};
    struct replica r;

    replica_init(&r, &load);
    replica_assign(&r, 1, &spec, &out);
    replica_on_answer(&r, 2, 2, &answer, &out);
    assert_int_equal(r.role, REPLICA_BUILDING);
    assert_int_equal(r.source, 2);
    assert_int_equal(r.target_leo, 1);
    replica_out_fini(&out);
    replica_fini(&r);
}

/* Node 3 with five records of epoch 1. */
static const struct history_entry in_epoch_1 = {.epoch = 1, .start_offset = 0};
static const struct replica_load five_records = {.self = 3,
                                                 .incarnation = 1,
                                                 .start_number = 1,
                                                 .connected = N2,
                                                 .promised = 1,
                                                 .synced = 1,
                                                 .leo = 5,
                                                 .damaged_from = INT64_MAX,
                                                 .history = &in_epoch_1,
                                                 .history_count = 1};

/* Else its transactions are never known to be stable again, and readers of committed ones wait for ever. */
static void a_rebuild_of_producers_that_a_cut_interrupts_begins_again(void **state)
{
    struct replica_push cut = {.epoch = 2, .base = 4, .initial_end = 4, .hw = -1, .truncate = true};
    struct replica_out out = {0};
    struct replica r;
    size_t before;

    (void)state;
    replica_init(&r, &five_records);
    replica_producers_restart(&r, 2); /* two of five are fed when the cut comes */
    replica_on_push(&r, 1, 2, &cut, &out);
    assert_true(r.truncating);
    replica_written(&r, 2, EFFECT_PROMISE, 2, &out);
    before = out.count;
    replica_written(&r, 2, EFFECT_TRUNCATE, 4, &out);
    bool again = false;
    for (size_t i = before; i < out.count; i++) {
        again = again || out.effects[i].kind == EFFECT_REBUILD;
    }
    assert_true(again);
    assert_int_equal(r.producers_at, 2);
    replica_out_fini(&out);
    replica_fini(&r);
}

/* soak 35578: node 3 heard of epoch 3 and of its high watermark from the leader, and only then from the
 * control log, of epoch 2 first. Nobody tells that high watermark twice. */
static void
what_a_later_epoch_has_told_is_not_hidden_when_an_older_lossy_one_is_heard_of(void **state)
{
    struct replica_spec spec = {.epoch = 1,
                                .leader = 1,
                                .leader_start = 1,
                                .activated = true,
                                .config = {N1 | N2 | N3, 0, 1, 0},
                                .recover = {N1 | N2 | N3, 0, 1, 0},
                                .lossy_start = -1,
                                .member_count = 3,
                                .members = {{1, 0, 0, 1}, {2, 1, 0, 1}, {3, 2, 0, 1}}};
    struct replica_push first = {.epoch = 1, .prev_epoch = 1, .base = 5, .initial_end = 0, .hw = 5};
    struct replica_push later = {.epoch = 3, .prev_epoch = 1, .base = 5, .initial_end = 5, .hw = 5};
    struct replica_out out = {0};
    struct replica r;

    (void)state;
    replica_init(&r, &five_records);
    replica_assign(&r, 1, &spec, &out);
    replica_on_push(&r, 2, 1, &first, &out);
    assert_int_equal(r.hw, 5);
    replica_on_push(&r, 3, 2, &later, &out);
    replica_written(&r, 4, EFFECT_PROMISE, 3, &out);
    replica_written(&r, 4, EFFECT_SYNCED, 3, &out);
    assert_int_equal(r.leader_hw, 5);
    spec.leader = 2;
    spec.config.home = 1;
    for (int32_t epoch = 2; epoch <= 3; epoch++) {
        spec.epoch = epoch;
        spec.lossy = epoch == 2;
        spec.lossy_epoch = 2;
        spec.lossy_start = 5;
        replica_assign(&r, 5, &spec, &out);
        assert_int_equal(r.hw, 5);
    }
    replica_out_fini(&out);
    replica_fini(&r);
}

static void a_lossy_epoch_says_when_a_region_was_missing(void **state)
{
    (void)state;
    struct replica_rule alone = rworld_rule(N2, 1, 1);
    alone.learners = N1 | N3;
    begin_with(3, rworld_rule(N1 | N2 | N3, 1, 0), 1);
    cut_off(1);
    cut_off(2);
    (void)rworld_assign(&w, 2, alone, true);
    w.control.specs[2].wait_ms = 1000;
    rworld_settle(&w);
    pass_time(500);
    assert_int_equal(rworld_replica(&w, 2)->role, REPLICA_FENCING);
    pass_time(1000);
    assert_int_equal(rworld_leader(&w), 2);
    assert_true(rworld_replica(&w, 2)->missing_region);
    end();
}

static void a_forced_failover_may_cut_what_a_sync_topic_has_shown(void **state)
{
    (void)state;
    struct replica_rule alone = rworld_rule(N3, 1, -1);
    alone.learners = N1 | N2;
    begin();
    cut_off(3);
    append(1);
    rworld_settle(&w);
    assert_true(w.nodes[2].hw_shown > 0);
    cut_off(1);
    cut_off(2);
    (void)rworld_assign(&w, 3, alone, true);
    pass_time(1000);
    assert_int_equal(rworld_leader(&w), 3);
    rworld_link_up(&w, 3, 2); /* in any order: before or after it knows of the lossy epoch */
    append(3);
    rworld_settle(&w);
    join(1);
    pass_time(200);
    assert_true(rworld_converged(&w));
    end();
}

/* ---- clients --------------------------------------------------------------------------------- */

static void a_retried_batch_is_a_duplicate_for_the_next_leader_too(void **state)
{
    (void)state;
    begin();
    assert_int_equal(rworld_send(&w, 0, 1), 0);
    while (rworld_deliver(&w, 1, 2, CHANNEL_DATA)) {
    }
    rworld_writes_done(&w, 2);
    rworld_crash(&w, 1, 0); /* nobody was answered */
    (void)rworld_assign(&w, 2, w.control.active, false);
    rworld_settle(&w);
    assert_int_equal(rworld_send(&w, 0, 2), 0);
    assert_int_equal(w.counters.duplicates, 1);
    rworld_settle(&w);
    assert_int_equal(w.counters.acked, 1);
    end();
}

static void a_batch_that_was_cut_is_appended_again(void **state)
{
    (void)state;
    begin();
    cut_off(1);
    assert_int_equal(rworld_send(&w, 0, 1), 0);
    rworld_writes_done(&w, 1);
    (void)rworld_assign(&w, 2, w.control.active, false);
    rworld_settle(&w);
    append(2);
    rworld_settle(&w);
    join(1);
    rworld_settle(&w);
    pass_time(200);
    assert_int_equal(truncations(), 1);
    (void)rworld_assign(&w, 1, w.control.active, false);
    rworld_settle(&w);
    assert_int_equal(rworld_leader(&w), 1);
    assert_int_equal(rworld_send(&w, 0, 1), 0);
    assert_int_equal(w.counters.duplicates, 0);
    rworld_settle(&w);
    assert_true(rworld_converged(&w));
    end();
}

static void a_leader_that_reaches_too_few_refuses_at_once_and_reports_later(void **state)
{
    (void)state;
    begin();
    cut_off(1);
    append(1); /* it does not know yet */
    replica_reach(rworld_replica(&w, 1), N1);
    rworld_client_timeout(&w, 2);
    assert_int_equal(rworld_send(&w, 2, 1), TERN_ENOQUORUM);
    assert_false(w.control.no_quorum);
    pass_time(w.patience_ms + 200);
    assert_true(w.control.no_quorum);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_only_a_dead_leader_had_is_cut_from_its_log),
        cmocka_unit_test(a_record_that_two_followers_hold_outlives_a_leader_that_did_not_sync_it),
        cmocka_unit_test(a_leader_counts_itself_only_after_its_fsync),
        cmocka_unit_test(a_started_node_never_leads_the_epoch_of_its_earlier_start),
        cmocka_unit_test(the_tail_that_a_recovery_finds_is_shown_once_it_is_held_again),
        cmocka_unit_test(
            what_an_epoch_without_records_committed_is_not_given_up_for_a_younger_record),
        cmocka_unit_test(
            a_follower_that_dies_in_the_middle_of_the_initial_log_goes_on_where_it_was),
        cmocka_unit_test(a_follower_that_missed_a_push_is_pushed_again_from_there),
        cmocka_unit_test(an_ack_that_was_lost_is_asked_for_again),
        cmocka_unit_test(an_ack_that_may_be_on_its_way_is_not_asked_for),
        cmocka_unit_test(a_candidate_repeats_its_fences_less_and_less_often),
        cmocka_unit_test(what_was_held_and_deleted_is_never_fallen_back_behind),
        cmocka_unit_test(a_push_that_does_not_fit_is_answered_with_a_complaint),
        cmocka_unit_test(a_follower_behind_the_log_start_restarts_there),
        cmocka_unit_test(who_begins_anew_is_told_what_producers_had_sent_before),
        cmocka_unit_test(a_leader_that_begins_anew_asks_its_source_for_producers_first),
        cmocka_unit_test(a_log_start_waits_for_a_durable_producer_snapshot),
        cmocka_unit_test(a_full_disk_may_delete_without_a_producer_snapshot),
        cmocka_unit_test(producers_are_void_when_the_log_start_rises_over_their_rebuild),
        cmocka_unit_test(
            a_follower_whose_next_push_is_deleted_restarts_though_it_had_the_initial_log),
        cmocka_unit_test(a_follower_that_restarts_beyond_the_initial_log_holds_all_of_it),
        cmocka_unit_test(an_emptied_log_takes_the_first_record_of_a_new_epoch),
        cmocka_unit_test(a_node_that_is_not_registered_neither_answers_nor_acknowledges),
        cmocka_unit_test(copies_come_from_the_log_that_was_chosen_or_not_at_all),
        cmocka_unit_test(a_push_onto_another_log_of_the_same_length_is_refused),
        cmocka_unit_test(an_initial_log_is_held_when_it_was_compared_not_when_it_is_long_enough),
        cmocka_unit_test(nothing_is_acknowledged_before_a_new_config_is_activated),
        cmocka_unit_test(
            a_learner_that_is_level_before_the_high_watermark_is_known_is_told_of_then),
        cmocka_unit_test(a_home_that_has_forgotten_takes_nobody_with_it),
        cmocka_unit_test(a_candidate_does_not_take_a_log_that_lacks_what_it_has_shown),
        cmocka_unit_test(a_leader_that_never_held_what_was_shown_is_not_accused),
        cmocka_unit_test(a_lossy_epoch_is_invisible_until_it_is_activated),
        cmocka_unit_test(a_rebuild_of_producers_that_a_cut_interrupts_begins_again),
        cmocka_unit_test(
            what_a_later_epoch_has_told_is_not_hidden_when_an_older_lossy_one_is_heard_of),
        cmocka_unit_test(a_lossy_epoch_says_when_a_region_was_missing),
        cmocka_unit_test(a_leader_outside_the_config_that_it_recovers_by_takes_no_log_of_its_own),
        cmocka_unit_test(a_forced_failover_may_cut_what_a_sync_topic_has_shown),
        cmocka_unit_test(a_retried_batch_is_a_duplicate_for_the_next_leader_too),
        cmocka_unit_test(a_batch_that_was_cut_is_appended_again),
        cmocka_unit_test(a_leader_that_reaches_too_few_refuses_at_once_and_reports_later),
    };

    rworld_choose_mutant();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
