/* SPDX-License-Identifier: Apache-2.0 */
/* One partition through what is too rare for the walks to meet by chance, or worth being told: leaders that
 * die, followers that fall behind, configs, clients. */
#include "base/error.h"
#include "tests/unit/replica_story.h"

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
        cmocka_unit_test(a_push_that_does_not_fit_is_answered_with_a_complaint),
        cmocka_unit_test(a_node_that_is_not_registered_neither_answers_nor_acknowledges),
        cmocka_unit_test(nothing_is_acknowledged_before_a_new_config_is_activated),
        cmocka_unit_test(
            a_learner_that_is_level_before_the_high_watermark_is_known_is_told_of_then),
        cmocka_unit_test(a_retried_batch_is_a_duplicate_for_the_next_leader_too),
        cmocka_unit_test(a_batch_that_was_cut_is_appended_again),
        cmocka_unit_test(a_leader_that_reaches_too_few_refuses_at_once_and_reports_later),
    };

    rworld_choose_mutant();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
