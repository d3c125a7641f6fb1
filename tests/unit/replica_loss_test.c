/* SPDX-License-Identifier: Apache-2.0 */
/* One partition that loses records: disks that forget them or become older, epochs that give them up, cuts
 * that meet something under way. */
#include "tests/unit/replica_story.h"

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

/* ---- lossy epochs and cuts ------------------------------------------------------------------- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_come_from_the_log_that_was_chosen_or_not_at_all),
        cmocka_unit_test(a_push_onto_another_log_of_the_same_length_is_refused),
        cmocka_unit_test(an_initial_log_is_held_when_it_was_compared_not_when_it_is_long_enough),
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
    };

    rworld_choose_mutant();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
