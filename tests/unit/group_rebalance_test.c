/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/group_rig.h"

static void a_new_member_is_told_its_id_first(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.id_required = true;
    struct rig_answer *told = rig_join(&rig, m);
    assert_int_equal(told->error, TERN_EMEMBERIDREQUIRED);
    assert_memory_equal(told->member_id, "client-", 7);
    assert_int_equal(rig_group(&rig)->member_count, 0);
    m.id = told->member_id;
    struct rig_answer *joined = rig_join(&rig, m);
    assert_int_equal(joined->error, 0);
    assert_string_equal(joined->member_id, told->member_id);
    assert_int_equal(joined->generation, 1);
    rig_fini(&rig);
}

static void an_id_that_nobody_uses_expires_and_cannot_be_used(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.id_required = true;
    struct rig_answer *told = rig_join(&rig, m);
    rig_pass(&rig, 10000);
    assert_null(rig_group(&rig)); /* nothing is left of it */
    m.id = told->member_id;
    assert_int_equal(rig_join(&rig, m)->error, TERN_EUNKNOWNMEMBER);
    rig_fini(&rig);
}

static void who_was_told_an_id_is_waited_for(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    struct rig_member fresh = rig_member("");
    fresh.id_required = true;
    struct rig_answer *told = rig_join(&rig, fresh);
    struct rig_answer *a = rig_join(&rig, rig_member(pair.a));
    struct rig_answer *b = rig_join(&rig, rig_member(pair.b));
    assert_true(a->waiting && b->waiting);
    fresh.id = told->member_id;
    struct rig_answer *c = rig_join(&rig, fresh);
    assert_false(a->waiting || b->waiting || c->waiting);
    assert_int_equal(a->members, 3);
    rig_fini(&rig);
}

static void an_empty_group_waits_for_more_members(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 3000);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    rig_pass(&rig, 2000);
    struct rig_answer *b = rig_join(&rig, rig_member(""));
    rig_pass(&rig, 1000);
    assert_true(a->waiting); /* one came: another delay */
    rig_pass(&rig, 2999);
    assert_true(a->waiting);
    rig_pass(&rig, 1);
    assert_false(a->waiting || b->waiting);
    assert_int_equal(a->generation, 1);
    assert_int_equal(b->generation, 1);
    rig_fini(&rig);
}

static void the_delay_ends_with_the_rebalance_time_out(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 3000);
    struct rig_member m = rig_member("");
    m.rebalance_ms = 7000;
    struct rig_answer *a = rig_join(&rig, m);
    for (int i = 0; i < 6; i++) {
        rig_pass(&rig, 1000);
        (void)rig_join(&rig, m);
    }
    assert_true(a->waiting);
    rig_pass(&rig, 1000);
    assert_false(a->waiting);
    assert_int_equal(a->members, 7);
    rig_fini(&rig);
}

static void the_leader_is_told_all_members_and_the_others_none(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 100);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    struct rig_answer *b = rig_join(&rig, rig_member(""));
    rig_pass(&rig, 200);
    assert_int_equal(a->members, 2);
    assert_int_equal(b->members, 0);
    assert_string_equal(a->leader, a->member_id);
    assert_string_equal(b->leader, a->member_id);
    rig_fini(&rig);
}

static void the_protocol_that_most_members_want_of_those_that_all_have_wins(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 100);
    struct rig_member m = rig_member("");
    m.protocols[0] = "only-here";
    m.protocols[1] = "range";
    m.protocols[2] = "sticky";
    struct rig_answer *a = rig_join(&rig, m);
    m.protocols[0] = "sticky";
    m.protocols[1] = "range";
    m.protocols[2] = NULL;
    (void)rig_join(&rig, m);
    (void)rig_join(&rig, m);
    rig_pass(&rig, 200);
    assert_string_equal(a->protocol, "sticky");
    rig_fini(&rig);
}

static void a_member_that_has_nothing_in_common_is_refused(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.protocols[0] = NULL;
    assert_int_equal(rig_join(&rig, m)->error, TERN_EINCONSISTENTPROTOCOL);
    assert_null(rig_group(&rig));
    m = rig_member("");
    m.type = "";
    assert_int_equal(rig_join(&rig, m)->error, TERN_EINCONSISTENTPROTOCOL);
    (void)rig_pair(&rig);
    m = rig_member("");
    m.protocols[0] = "sticky";
    assert_int_equal(rig_join(&rig, m)->error, TERN_EINCONSISTENTPROTOCOL);
    m = rig_member("");
    m.type = "connect";
    assert_int_equal(rig_join(&rig, m)->error, TERN_EINCONSISTENTPROTOCOL);
    rig_fini(&rig);
}

static void an_empty_group_takes_another_protocol_type(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    assert_int_equal(rig_leave(&rig, a->member_id, NULL), 0);
    rig_commit(&rig);
    struct rig_member m = rig_member("");
    m.type = "connect";
    assert_int_equal(rig_join(&rig, m)->error, 0);
    rig_fini(&rig);
}

static void a_plan_is_told_only_when_it_is_committed(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    struct rig_answer *s = rig_sync(&rig, a->member_id, NULL, 1, NULL);
    assert_true(s->waiting);
    assert_int_equal(rig_group(&rig)->state, GROUP_COMPLETING);
    assert_int_equal(rig_heartbeat(&rig, a->member_id, NULL, 1), 0);
    rig_commit(&rig);
    assert_false(s->waiting);
    assert_int_equal(rig_group(&rig)->state, GROUP_STABLE);
    rig_fini(&rig);
}

static void a_plan_of_an_earlier_generation_is_told_to_nobody(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    char id[RIG_TEXT];
    (void)snprintf(id, sizeof id, "%s", a->member_id);
    struct rig_answer *s = rig_sync(&rig, id, NULL, 1, NULL);
    struct rig_answer *b = rig_join(&rig, rig_member(""));
    assert_int_equal(s->error, TERN_EREBALANCE);
    (void)rig_join(&rig, rig_member(id));
    assert_int_equal(b->generation, 2);
    rig_commit(&rig); /* of generation 1 */
    assert_int_equal(rig_group(&rig)->state, GROUP_COMPLETING);
    assert_int_equal(rig_heartbeat(&rig, id, NULL, 1), TERN_EILLEGALGENERATION);
    rig_fini(&rig);
}

static void a_plan_that_could_not_be_stored_makes_all_join_again(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    struct rig_answer *s = rig_sync(&rig, a->member_id, NULL, 1, NULL);
    groups_refused(rig.groups, rig.now, buf_slice(&rig.log[0].key), &out);
    rig_carry(&rig, &out);
    assert_int_equal(s->error, TERN_EREBALANCE);
    assert_int_equal(rig_heartbeat(&rig, a->member_id, NULL, 1), TERN_EREBALANCE);
    rig_fini(&rig);
}

static void a_sync_must_fit_the_group(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    assert_int_equal(rig_sync(&rig, "x", NULL, 1, NULL)->error, TERN_EUNKNOWNMEMBER);
    struct rig_pair pair = rig_pair(&rig);
    assert_int_equal(rig_sync(&rig, "x", NULL, pair.generation, NULL)->error, TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_sync(&rig, pair.a, NULL, 1, NULL)->error, TERN_EILLEGALGENERATION);
    struct rig_answer *again = rig_sync(&rig, pair.b, NULL, pair.generation, NULL);
    assert_string_equal(again->assignment, "two"); /* STABLE: at once */
    (void)rig_join(&rig, rig_member(""));
    assert_int_equal(rig_sync(&rig, pair.a, NULL, pair.generation, NULL)->error, TERN_EREBALANCE);
    rig_fini(&rig);
}

static void a_follower_that_joins_again_unchanged_gets_the_same_answer(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    struct rig_answer *again = rig_join(&rig, rig_member(pair.b));
    assert_false(again->waiting);
    assert_int_equal(again->generation, pair.generation);
    assert_int_equal(rig_group(&rig)->state, GROUP_STABLE);
    rig_fini(&rig);
}

static void a_follower_that_changed_and_a_leader_that_asks_start_a_rebalance(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    struct rig_member changed = rig_member(pair.b);
    changed.metadata = "other topics";
    struct rig_answer *b = rig_join(&rig, changed);
    assert_true(b->waiting);
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), TERN_EREBALANCE);
    struct rig_answer *a = rig_join(&rig, rig_member(pair.a));
    assert_false(a->waiting || b->waiting);
    assert_int_equal(a->generation, pair.generation + 1);
    /* In COMPLETING the same question has the same answer; the leader's, too. */
    struct rig_answer *same = rig_join(&rig, rig_member(pair.a));
    assert_int_equal(same->generation, pair.generation + 1);
    assert_int_equal(same->members, 2);
    rig_fini(&rig);
}

static void who_is_late_for_the_rebalance_is_left_out(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.session_ms = 300000;
    struct rig_pair pair = rig_pair_of(&rig, m, m);
    struct rig_answer *c = rig_join(&rig, m);
    m.id = pair.b;
    (void)rig_join(&rig, m);
    rig_pass(&rig, 59999);
    assert_true(c->waiting);
    rig_pass(&rig, 2);
    assert_false(c->waiting);
    assert_int_equal(rig_group(&rig)->member_count, 2);
    assert_string_equal(c->leader, pair.b); /* the old leader is not there */
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), TERN_EUNKNOWNMEMBER);
    rig_fini(&rig);
}

static void a_silent_member_is_removed_and_the_others_join_again(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    rig_pass(&rig, 6000);
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), 0);
    rig_pass(&rig, 6000);
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), TERN_EREBALANCE);
    assert_int_equal(rig_heartbeat(&rig, pair.b, NULL, pair.generation), TERN_EUNKNOWNMEMBER);
    struct rig_answer *a = rig_join(&rig, rig_member(pair.a));
    assert_int_equal(a->members, 1);
    rig_fini(&rig);
}

static void who_waits_for_us_is_not_silent(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    struct rig_answer *b = rig_join(&rig, rig_member(""));
    struct rig_answer *a = rig_join(&rig, rig_member(pair.a));
    for (int i = 0; i < 5; i++) { /* b's old self keeps the rebalance open */
        rig_pass(&rig, 9000);
        (void)rig_heartbeat(&rig, pair.b, NULL, pair.generation);
    }
    assert_true(a->waiting && b->waiting);
    rig_fini(&rig);
}

static void a_member_that_does_not_fetch_its_plan_is_removed(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 100);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    struct rig_answer *b = rig_join(&rig, rig_member(""));
    rig_pass(&rig, 200);
    (void)rig_sync(&rig, a->member_id, NULL, 1, NULL);
    rig_commit(&rig);
    for (int i = 0; i < 7; i++) {
        rig_pass(&rig, 9000);
        (void)rig_heartbeat(&rig, a->member_id, NULL, 1);
        (void)rig_heartbeat(&rig, b->member_id, NULL, 1); /* alive, but it never syncs */
    }
    assert_int_equal(rig_heartbeat(&rig, b->member_id, NULL, 1), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_heartbeat(&rig, a->member_id, NULL, 1), TERN_EREBALANCE);
    rig_fini(&rig);
}

static void a_member_that_leaves_starts_a_rebalance(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    assert_int_equal(rig_leave(&rig, "nobody", NULL), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_leave(&rig, pair.a, NULL), 0);
    assert_int_equal(rig_heartbeat(&rig, pair.b, NULL, pair.generation), TERN_EREBALANCE);
    struct rig_answer *b = rig_join(&rig, rig_member(pair.b));
    assert_string_equal(b->leader, pair.b);
    rig_fini(&rig);
}

static void the_last_member_leaves_an_empty_group_that_is_stored(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    (void)rig_leave(&rig, pair.a, NULL);
    (void)rig_leave(&rig, pair.b, NULL);
    assert_int_equal(rig_group(&rig)->state, GROUP_EMPTY);
    rig_commit(&rig);
    rig_reload(&rig);
    assert_int_equal(rig_group(&rig)->state, GROUP_EMPTY);
    assert_int_equal(rig_group(&rig)->generation, pair.generation + 1);
    rig_fini(&rig);
}

/* ---- static members -------------------------------------------------------------------------- */

static struct rig_member static_member(const char *instance)
{
    struct rig_member m = rig_member("");

    m.instance = instance;
    m.id_required = true; /* does not matter: it has a name already */
    return m;
}

static void a_static_member_that_comes_back_takes_its_place_without_a_rebalance(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair_of(&rig, static_member("i1"), static_member("i2"));
    struct rig_answer *back = rig_join(&rig, static_member("i2"));
    assert_true(back->waiting); /* until its new id is stored */
    rig_commit(&rig);
    assert_int_equal(back->error, 0);
    assert_int_equal(back->generation, pair.generation);
    assert_string_not_equal(back->member_id, pair.b);
    assert_int_equal(rig_group(&rig)->state, GROUP_STABLE);
    struct rig_answer *s = rig_sync(&rig, back->member_id, "i2", pair.generation, NULL);
    assert_string_equal(s->assignment, "two");
    /* Another coordinator knows the new id, too. */
    rig_reload(&rig);
    assert_int_equal(rig_heartbeat(&rig, back->member_id, "i2", pair.generation), 0);
    rig_fini(&rig);
}

static void the_old_self_of_a_static_member_is_fenced(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair_of(&rig, static_member("i1"), static_member("i2"));
    (void)rig_join(&rig, static_member("i2"));
    rig_commit(&rig);
    assert_int_equal(rig_heartbeat(&rig, pair.b, "i2", pair.generation), TERN_EFENCEDINSTANCE);
    assert_int_equal(rig_heartbeat(&rig, pair.b, NULL, pair.generation), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_sync(&rig, pair.b, "i2", pair.generation, NULL)->error,
                     TERN_EFENCEDINSTANCE);
    struct rig_member old = static_member("i2");
    old.id = pair.b;
    assert_int_equal(rig_join(&rig, old)->error, TERN_EFENCEDINSTANCE);
    assert_int_equal(rig_leave(&rig, pair.b, "i2"), TERN_EFENCEDINSTANCE);
    assert_int_equal(groups_may_commit(rig.groups, rig.now, slice_text("g"), pair.generation,
                                       slice_text(pair.b), slice_text("i2")),
                     TERN_EFENCEDINSTANCE);
    rig_fini(&rig);
}

static void a_waiting_join_of_the_old_self_is_answered_fenced(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    (void)rig_pair_of(&rig, static_member("i1"), static_member("i2"));
    struct rig_answer *c = rig_join(&rig, static_member("i3"));
    struct rig_answer *twice = rig_join(&rig, static_member("i3"));
    assert_int_equal(c->error, TERN_EFENCEDINSTANCE);
    assert_true(twice->waiting);
    rig_fini(&rig);
}

static void a_static_leader_that_comes_back_does_not_plan_again(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair_of(&rig, static_member("i1"), static_member("i2"));
    struct rig_answer *old = rig_join(&rig, static_member("i1"));
    rig_commit(&rig);
    assert_string_equal(old->leader, pair.a); /* so it takes itself for a follower */
    assert_int_equal(old->members, 0);
    struct rig_member m = static_member("i1");
    m.can_skip = true;
    struct rig_answer *skips = rig_join(&rig, m);
    rig_commit(&rig);
    assert_string_equal(skips->leader, skips->member_id);
    assert_true(skips->skip);
    assert_int_equal(skips->members, 2);
    rig_fini(&rig);
}

static void a_static_member_that_is_away_does_not_lose_its_place_in_a_rebalance(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_member away = static_member("i1");
    away.session_ms = 300000;
    struct rig_pair pair = rig_pair_of(&rig, away, static_member("i2"));
    struct rig_answer *c = rig_join(&rig, rig_member(""));
    struct rig_member b = static_member("i2");
    b.id = pair.b;
    struct rig_answer *b2 = rig_join(&rig, b);
    rig_pass(&rig, 60001);
    assert_false(c->waiting || b2->waiting);
    assert_int_equal(rig_group(&rig)->member_count, 3);
    assert_string_equal(c->leader, pair.b);
    rig_fini(&rig);
}

static void a_static_member_leaves_by_its_name(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    (void)rig_pair_of(&rig, static_member("i1"), static_member("i2"));
    assert_int_equal(rig_leave(&rig, "", "i9"), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_leave(&rig, "", "i2"), 0);
    assert_int_equal(rig_group(&rig)->member_count, 1);
    rig_fini(&rig);
}

/* ---- bounds, loss ---------------------------------------------------------------------------- */

static void what_is_out_of_bounds_is_refused(void **state)
{
    static struct rig rig;
    static char large[GROUP_MEMBER_BYTES + 2];
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.session_ms = GROUP_SESSION_MIN_MS - 1;
    assert_int_equal(rig_join(&rig, m)->error, TERN_ESESSIONTIMEOUT);
    m.session_ms = GROUP_SESSION_MAX_MS + 1;
    assert_int_equal(rig_join(&rig, m)->error, TERN_ESESSIONTIMEOUT);
    m = rig_member("");
    m.group = "";
    assert_int_equal(rig_join(&rig, m)->error, TERN_EINVALIDGROUP);
    m = rig_member("");
    memset(large, 'x', sizeof large - 1);
    m.metadata = large;
    assert_int_equal(rig_join(&rig, m)->error, TERN_EGROUPFULL);
    m = rig_member("unknown");
    assert_int_equal(rig_join(&rig, m)->error, TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig.groups->bytes, 0);
    rig_fini(&rig);
}

static void a_full_group_takes_nobody_else(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init_with(&rig, 1000);
    for (int i = 0; i < GROUP_MEMBERS_MAX; i++) {
        assert_true(rig_join(&rig, rig_member(""))->waiting);
    }
    assert_int_equal(rig_join(&rig, rig_member(""))->error, TERN_EGROUPFULL);
    rig_pass(&rig, 60000);
    assert_int_equal(rig.answers[0].members, GROUP_MEMBERS_MAX);
    rig_fini(&rig);
}

static void all_who_wait_are_told_when_the_coordinator_is_lost(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    struct rig_answer *c = rig_join(&rig, rig_member(""));
    rig_reload(&rig);
    assert_int_equal(c->error, TERN_ENOTCOORDINATOR);
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), 0);
    rig_fini(&rig);
}

static void another_coordinator_goes_on_with_the_stored_group(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    rig_reload(&rig);
    assert_int_equal(rig_group(&rig)->state, GROUP_STABLE);
    assert_string_equal(rig_sync(&rig, pair.a, NULL, pair.generation, NULL)->assignment, "one");
    assert_string_equal(rig_sync(&rig, pair.b, NULL, pair.generation, NULL)->assignment, "two");
    rig_pass(&rig, 9999); /* their sessions began with the loading */
    assert_int_equal(rig_heartbeat(&rig, pair.a, NULL, pair.generation), 0);
    rig_pass(&rig, 2);
    assert_int_equal(rig_heartbeat(&rig, pair.b, NULL, pair.generation), TERN_EUNKNOWNMEMBER);
    rig_fini(&rig);
}

static void join_rack(void *ctx, struct slice rack)
{
    buf_put(ctx, rack);
    buf_text(ctx, " ");
}

static void racks_are_read_from_what_members_subscribe_to(void **state)
{
    /* version 3: topic "t", no user data, owned t-0 and t-7, generation 4, rack "eu-west" */
    static const uint8_t subscription[] =
        "\0\3\0\0\0\1\0\1t\xff\xff\xff\xff\0\0\0\1\0\1t\0\0\0\2\0\0\0\0\0\0\0\7\0\0\0\4\0\7eu-west";
    static const uint8_t hostile[] = "\0\3\x7f\xff\xff\xff\0\1t";
    struct rig rig;
    struct buf racks = {0};

    (void)state;
    rig_init(&rig);
    for (size_t len = 2; len < sizeof subscription; len++) {
        struct rig_member m = rig_member("");
        m.bytes = slice_of(subscription, len); /* the whole one comes last */
        (void)rig_join(&rig, m);
    }
    struct rig_member other = rig_member("");
    other.bytes = slice_of(hostile, sizeof hostile - 1);
    (void)rig_join(&rig, other);
    other.metadata = "none"; /* not what consumers send */
    other.bytes = (struct slice){0};
    (void)rig_join(&rig, other);
    groups_each_rack(rig.groups, join_rack, &racks);
    assert_true(slice_equal(buf_slice(&racks), slice_text("eu-west ")));
    buf_fini(&racks);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_member_is_told_its_id_first),
        cmocka_unit_test(an_id_that_nobody_uses_expires_and_cannot_be_used),
        cmocka_unit_test(who_was_told_an_id_is_waited_for),
        cmocka_unit_test(an_empty_group_waits_for_more_members),
        cmocka_unit_test(the_delay_ends_with_the_rebalance_time_out),
        cmocka_unit_test(the_leader_is_told_all_members_and_the_others_none),
        cmocka_unit_test(the_protocol_that_most_members_want_of_those_that_all_have_wins),
        cmocka_unit_test(a_member_that_has_nothing_in_common_is_refused),
        cmocka_unit_test(an_empty_group_takes_another_protocol_type),
        cmocka_unit_test(a_plan_is_told_only_when_it_is_committed),
        cmocka_unit_test(a_plan_of_an_earlier_generation_is_told_to_nobody),
        cmocka_unit_test(a_plan_that_could_not_be_stored_makes_all_join_again),
        cmocka_unit_test(a_sync_must_fit_the_group),
        cmocka_unit_test(a_follower_that_joins_again_unchanged_gets_the_same_answer),
        cmocka_unit_test(a_follower_that_changed_and_a_leader_that_asks_start_a_rebalance),
        cmocka_unit_test(who_is_late_for_the_rebalance_is_left_out),
        cmocka_unit_test(a_silent_member_is_removed_and_the_others_join_again),
        cmocka_unit_test(who_waits_for_us_is_not_silent),
        cmocka_unit_test(a_member_that_does_not_fetch_its_plan_is_removed),
        cmocka_unit_test(a_member_that_leaves_starts_a_rebalance),
        cmocka_unit_test(the_last_member_leaves_an_empty_group_that_is_stored),
        cmocka_unit_test(a_static_member_that_comes_back_takes_its_place_without_a_rebalance),
        cmocka_unit_test(the_old_self_of_a_static_member_is_fenced),
        cmocka_unit_test(a_waiting_join_of_the_old_self_is_answered_fenced),
        cmocka_unit_test(a_static_leader_that_comes_back_does_not_plan_again),
        cmocka_unit_test(a_static_member_that_is_away_does_not_lose_its_place_in_a_rebalance),
        cmocka_unit_test(a_static_member_leaves_by_its_name),
        cmocka_unit_test(what_is_out_of_bounds_is_refused),
        cmocka_unit_test(a_full_group_takes_nobody_else),
        cmocka_unit_test(all_who_wait_are_told_when_the_coordinator_is_lost),
        cmocka_unit_test(another_coordinator_goes_on_with_the_stored_group),
        cmocka_unit_test(racks_are_read_from_what_members_subscribe_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
