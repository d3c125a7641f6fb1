/* SPDX-License-Identifier: Apache-2.0 */
/* One partition whose log start rises: who is behind it begins anew there, and what producers had sent
 * before is still known. */
#include "tests/unit/replica_story.h"

/* ---- logs that begin anew -------------------------------------------------------------------- */

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

/* ---- producers of what is deleted ------------------------------------------------------------ */

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

/* What a leader was still reading for its producers is lost, and all of its log deleted. (Walk 147387:
 * the world had only ever gone on where there is a batch to read, so the leader refused everybody.) */
static void who_deletes_all_that_it_had_to_read_serves_from_there_on(void **state)
{
    (void)state;
    begin_with(2, rworld_rule(N1, 1, -1), 1);
    append(1);
    append(1);
    rworld_settle(&w);
    restart(1);
    rworld_register(&w, 1, 1);
    learn(1);
    assert_true(replica_serves(&w.nodes[1].replica));
    rworld_damage(&w, 1, 0);
    rworld_feed_producers(&w, 1);
    assert_int_equal(w.nodes[1].replica.producers_at, 0);
    rworld_raise_log_start(&w, 1, w.committed.end);
    rworld_settle(&w);
    assert_int_equal(w.nodes[1].disk.log.start, log_end(1));
    rworld_feed_producers(&w, 1);
    assert_int_equal(w.nodes[1].replica.producers_at, log_end(1));
    append(1);
    rworld_settle(&w);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_held_and_deleted_is_never_fallen_back_behind),
        cmocka_unit_test(a_follower_behind_the_log_start_restarts_there),
        cmocka_unit_test(who_begins_anew_is_told_what_producers_had_sent_before),
        cmocka_unit_test(a_leader_that_begins_anew_asks_its_source_for_producers_first),
        cmocka_unit_test(a_log_start_waits_for_a_durable_producer_snapshot),
        cmocka_unit_test(a_full_disk_may_delete_without_a_producer_snapshot),
        cmocka_unit_test(producers_are_void_when_the_log_start_rises_over_their_rebuild),
        cmocka_unit_test(
            a_follower_whose_next_push_is_deleted_restarts_though_it_had_the_initial_log),
        cmocka_unit_test(a_follower_that_restarts_beyond_the_initial_log_holds_all_of_it),
        cmocka_unit_test(who_deletes_all_that_it_had_to_read_serves_from_there_on),
        cmocka_unit_test(an_emptied_log_takes_the_first_record_of_a_new_epoch),
    };

    rworld_choose_mutant();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
