/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"
#include "tests/unit/group_rig.h"

static void an_offset_is_there_when_it_is_committed(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    assert_int_equal(rig_offset(&rig, "g", pair.a, pair.generation, "t", 7), 0);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), -1);
    rig_commit(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), 7);
    const struct group_offset *o = groups_offset(rig_group(&rig), slice_text("t"), 0);
    assert_int_equal(o->leader_epoch, 3);
    assert_int_equal(o->metadata_len, 4);
    rig_reload(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), 7);
    rig_fini(&rig);
}

static void only_a_member_of_the_running_generation_commits(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    assert_int_equal(rig_offset(&rig, "g", "a", 1, "t", 7), TERN_EILLEGALGENERATION);
    struct rig_pair pair = rig_pair(&rig);
    assert_int_equal(rig_offset(&rig, "g", "x", pair.generation, "t", 7), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_offset(&rig, "g", pair.a, pair.generation - 1, "t", 7),
                     TERN_EILLEGALGENERATION);
    assert_int_equal(rig_offset(&rig, "g", "", -1, "t", 7), TERN_EUNKNOWNMEMBER);
    (void)rig_join(&rig, rig_member(""));
    assert_int_equal(rig_offset(&rig, "g", pair.a, pair.generation, "t", 7), 0); /* while it can */
    (void)rig_join(&rig, rig_member(pair.a));
    (void)rig_join(&rig, rig_member(pair.b));
    assert_int_equal(rig_offset(&rig, "g", pair.a, pair.generation + 1, "t", 7), TERN_EREBALANCE);
    rig_fini(&rig);
}

static void without_members_anybody_commits(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    assert_int_equal(rig_offset(&rig, "tool", "", -1, "t", 9), 0);
    assert_int_equal(rig_offset(&rig, "", "", -1, "t", 1), 0); /* Kafka takes the empty id here */
    rig_commit(&rig);
    assert_int_equal(rig_committed_offset(&rig, "tool", "t"), 9);
    assert_int_equal(rig_committed_offset(&rig, "", "t"), 1);
    rig_fini(&rig);
}

static void a_commit_is_a_sign_of_life(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    for (int i = 0; i < 4; i++) {
        rig_pass(&rig, 6000);
        assert_int_equal(rig_offset(&rig, "g", pair.a, pair.generation, "t", i),
                         0); /* b is removed meanwhile, a is not */
    }
    rig_fini(&rig);
}

static void a_group_with_members_is_not_deleted(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    assert_int_equal(groups_delete(rig.groups, slice_text("g"), &out), TERN_EGROUPNOTFOUND);
    struct rig_pair pair = rig_pair(&rig);
    assert_int_equal(groups_delete(rig.groups, slice_text("g"), &out), TERN_ENONEMPTYGROUP);
    (void)rig_leave(&rig, pair.a, NULL);
    (void)rig_leave(&rig, pair.b, NULL);
    rig_commit(&rig);
    assert_int_equal(groups_delete(rig.groups, slice_text("g"), &out), 0);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_null(rig_group(&rig));
    rig_reload(&rig);
    assert_null(rig_group(&rig));
    rig_fini(&rig);
}

static void a_deleted_group_takes_with_it_what_was_on_its_way(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    (void)rig_offset(&rig, "g", "", -1, "t", 9);
    rig_commit(&rig);
    (void)rig_offset(&rig, "g", "", -1, "u", 9); /* not committed yet */
    assert_int_equal(groups_delete(rig.groups, slice_text("g"), &out), 0);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_null(rig_group(&rig));
    rig_fini(&rig);
}

static void who_joins_while_the_group_is_being_deleted_stays(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    (void)rig_offset(&rig, "g", "", -1, "t", 9);
    rig_commit(&rig);
    (void)groups_delete(rig.groups, slice_text("g"), &out);
    rig_carry(&rig, &out);
    struct rig_answer *a = rig_join(&rig, rig_member(""));
    rig_commit(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), -1);
    struct rig_answer *s = rig_sync(&rig, a->member_id, NULL, a->generation, NULL);
    rig_commit(&rig);
    assert_int_equal(s->error, 0);
    rig_reload(&rig);
    assert_int_equal(rig_heartbeat(&rig, a->member_id, NULL, a->generation), 0);
    rig_fini(&rig);
}

static void an_offset_of_a_subscribed_topic_is_not_deleted(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    assert_int_equal(groups_delete_offset(rig.groups, slice_text("g"), slice_text("t"), 0, &out),
                     TERN_EGROUPNOTFOUND);
    struct rig_pair pair = rig_pair(&rig); /* metadata that nobody can read */
    (void)rig_offset(&rig, "g", pair.a, pair.generation, "t", 5);
    rig_commit(&rig);
    assert_int_equal(groups_delete_offset(rig.groups, slice_text("g"), slice_text("t"), 0, &out),
                     TERN_EGROUPSUBSCRIBED);
    (void)rig_leave(&rig, pair.a, NULL);
    (void)rig_leave(&rig, pair.b, NULL);
    rig_commit(&rig);
    assert_int_equal(groups_delete_offset(rig.groups, slice_text("g"), slice_text("t"), 0, &out),
                     0);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), -1);
    rig_fini(&rig);
}

static void offsets_of_another_kind_of_group_are_deleted_when_it_is_empty(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    struct rig_member m = rig_member("");
    m.type = "connect";
    (void)rig_pair_of(&rig, m, m);
    assert_int_equal(groups_delete_offset(rig.groups, slice_text("g"), slice_text("t"), 0, &out),
                     TERN_ENONEMPTYGROUP);
    rig_fini(&rig);
}

static void expire(struct rig *rig)
{
    struct group_out out = {0};

    rig_commit(rig);
    groups_expire(rig->groups, rig->now, &out);
    rig_carry(rig, &out);
    rig_commit(rig);
}

static void offsets_expire_when_their_group_has_been_empty_for_long(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    (void)rig_offset(&rig, "g", pair.a, pair.generation, "t", 5);
    rig.now.wall_ms += 5000000;
    expire(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), 5); /* it has members */
    (void)rig_leave(&rig, pair.a, NULL);
    (void)rig_leave(&rig, pair.b, NULL);
    rig.now.wall_ms += 999999;
    expire(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), 5);
    rig.now.wall_ms += 1;
    expire(&rig);
    assert_null(rig_group(&rig));
    rig_reload(&rig);
    assert_null(rig_group(&rig));
    rig_fini(&rig);
}

static void offsets_without_a_group_expire_after_their_commit(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    (void)rig_offset(&rig, "g", "", -1, "t", 5);
    rig.now.wall_ms += 600000;
    (void)rig_offset(&rig, "g", "", -1, "u", 5);
    rig.now.wall_ms += 400000;
    expire(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), -1);
    assert_int_equal(rig_committed_offset(&rig, "g", "u"), 5);
    rig_fini(&rig);
}

static bool is_t(void *ctx, struct slice topic)
{
    (void)ctx;
    return slice_equal(topic, slice_text("t"));
}

static void offsets_of_a_topic_that_is_gone_are_forgotten(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    (void)state;

    rig_init(&rig);
    (void)rig_offset(&rig, "g", "", -1, "t", 5);
    (void)rig_offset(&rig, "g", "", -1, "u", 5);
    rig_commit(&rig);
    groups_forget_topics(rig.groups, is_t, NULL, &out);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), -1);
    assert_int_equal(rig_committed_offset(&rig, "g", "u"), 5);
    rig_fini(&rig);
}

static void what_cannot_be_read_is_counted_and_left_out(void **state)
{
    static struct rig rig;
    struct group_out out = {0};
    struct buf key = {0};
    (void)state;

    rig_init(&rig);
    group_group_key(&key, slice_text("g"));
    groups_committed(rig.groups, rig.now, slice_of("\0\11", 2), slice_of("", 0), &out);
    groups_committed(rig.groups, rig.now, buf_slice(&key), slice_of("\0\3", 2), &out);
    assert_int_equal(rig.groups->bad_records, 2);
    assert_int_equal(out.count, 0);
    assert_null(rig_group(&rig));
    buf_fini(&key);
    rig_fini(&rig);
}

/* ---- a dump says what the log says ------------------------------------------------------------ */

static bool put_back(void *ctx, struct slice key, struct slice value)
{
    struct rig *rig = ctx;

    rig->log = mem_grow(rig->log, rig->log_count + 1, sizeof *rig->log);
    rig->log[rig->log_count] = (struct rig_record){0};
    buf_put(&rig->log[rig->log_count].key, key);
    buf_put(&rig->log[rig->log_count++].value, value);
    return true;
}

/* The log becomes the dump alone. */
static void compact(struct rig *rig)
{
    for (size_t i = 0; i < rig->log_count; i++) {
        buf_fini(&rig->log[i].key);
        buf_fini(&rig->log[i].value);
    }
    rig->log_count = 0;
    assert_true(groups_dump(rig->groups, put_back, rig));
    rig->committed = rig->log_count;
}

static void a_dump_is_all_that_another_coordinator_needs(void **state)
{
    static struct rig rig;
    (void)state;

    rig_init(&rig);
    struct rig_pair pair = rig_pair(&rig);
    (void)rig_offset(&rig, "g", pair.a, pair.generation, "t", 5);
    (void)rig_offset(&rig, "tool", "", -1, "t", 6);
    rig_commit(&rig);
    (void)rig_join(&rig, rig_member("")); /* who is joining is not in it */
    compact(&rig);
    rig_reload(&rig);
    assert_int_equal(rig_committed_offset(&rig, "g", "t"), 5);
    assert_int_equal(rig_committed_offset(&rig, "tool", "t"), 6);
    assert_int_equal(rig_group(&rig)->member_count, 2);
    assert_int_equal(rig_heartbeat(&rig, pair.b, NULL, pair.generation), 0);
    rig_fini(&rig);
}

/* ---- a walk ----------------------------------------------------------------------------------- */

#define WALK_MEMBERS 6
#define WALK_TOPICS  3

struct walk {
    struct rig rig;
    struct prng prng;
    char ids[WALK_MEMBERS][RIG_TEXT];
    int32_t generations[WALK_MEMBERS];
    struct rig_answer *joins[WALK_MEMBERS];
    struct rig_answer *syncs[WALK_MEMBERS];
    int64_t committed[WALK_TOPICS]; /* newest that was committed: must never go back */
    struct {
        size_t index; /* in the log */
        uint32_t topic;
        int64_t offset;
    } on_the_way[256];
    size_t way_count;
    int64_t next_offset;
};

static void walk_join(struct walk *w, uint32_t m)
{
    static const char *const instances[WALK_MEMBERS] = {NULL, NULL, NULL, NULL, "i4", "i5"};
    struct rig_member member = rig_member(w->ids[m]);

    member.instance = instances[m];
    member.id_required = m % 2 == 0;
    member.can_skip = m == 5;
    if (prng_chance(&w->prng, 1, 3)) {
        member.metadata = "changed";
    }
    if (prng_chance(&w->prng, 1, 8)) {
        member.id = "";
    }
    w->joins[m] = rig_join(&w->rig, member);
}

static void walk_learn(struct walk *w, uint32_t m)
{
    struct rig_answer *a = w->joins[m];

    if (a == NULL || a->waiting) {
        return;
    }
    if (a->error == 0 || a->error == TERN_EMEMBERIDREQUIRED) {
        (void)snprintf(w->ids[m], RIG_TEXT, "%s", a->member_id);
        w->generations[m] = a->generation;
    } else if (a->error == TERN_EUNKNOWNMEMBER || a->error == TERN_EFENCEDINSTANCE) {
        w->ids[m][0] = '\0';
    }
    if (a->error == 0) {
        w->syncs[m] = rig_sync(&w->rig, w->ids[m], NULL, w->generations[m], NULL);
    }
    w->joins[m] = NULL;
}

static void walk_commit(struct walk *w, uint32_t m)
{
    static const char *const topics[WALK_TOPICS] = {"t", "u", "v"};
    uint32_t topic = (uint32_t)prng_below(&w->prng, WALK_TOPICS);
    size_t at = w->rig.log_count;

    if (w->way_count == ARRAY_COUNT(w->on_the_way) ||
        rig_offset(&w->rig, "g", w->ids[m], w->generations[m], topics[topic], w->next_offset) !=
            0) {
        return;
    }
    w->on_the_way[w->way_count].index = at;
    w->on_the_way[w->way_count].topic = topic;
    w->on_the_way[w->way_count++].offset = w->next_offset++;
}

static void walk_log(struct walk *w)
{
    static const char *const topics[WALK_TOPICS] = {"t", "u", "v"};
    size_t kept = 0;

    if (w->rig.committed < w->rig.log_count) {
        rig_commit_one(&w->rig);
    }
    for (size_t i = 0; i < w->way_count; i++) {
        if (w->on_the_way[i].index < w->rig.committed) {
            w->committed[w->on_the_way[i].topic] = w->on_the_way[i].offset;
        } else {
            w->on_the_way[kept++] = w->on_the_way[i];
        }
    }
    w->way_count = kept;
    for (uint32_t t = 0; t < WALK_TOPICS; t++) {
        assert_int_equal(rig_committed_offset(&w->rig, "g", topics[t]), w->committed[t]);
    }
}

static void walk_fail_over(struct walk *w)
{
    rig_reload(&w->rig);
    w->way_count = 0;
    for (uint32_t m = 0; m < WALK_MEMBERS; m++) {
        if (w->joins[m] != NULL) {
            assert_false(w->joins[m]->waiting);
        }
        if (w->syncs[m] != NULL) {
            assert_false(w->syncs[m]->waiting);
        }
        w->joins[m] = NULL;
        w->syncs[m] = NULL;
    }
}

static void walk_step(struct walk *w)
{
    uint32_t m = (uint32_t)prng_below(&w->prng, WALK_MEMBERS);

    walk_learn(w, m);
    switch (prng_below(&w->prng, 16)) {
    case 0:
    case 1:
    case 2:
        if (w->joins[m] == NULL) {
            walk_join(w, m);
        }
        break;
    case 3:
    case 4:
    case 5:
        walk_commit(w, m);
        break;
    case 6:
        (void)rig_heartbeat(&w->rig, w->ids[m], NULL, w->generations[m]);
        break;
    case 7:
        rig_pass(&w->rig, prng_below(&w->prng, 9000));
        break;
    case 8:
        if (prng_chance(&w->prng, 1, 4)) {
            (void)rig_leave(&w->rig, w->ids[m], NULL);
        }
        break;
    case 9:
        if (prng_chance(&w->prng, 1, 6)) {
            walk_fail_over(w);
        }
        break;
    case 10:
        if (w->rig.committed == w->rig.log_count && prng_chance(&w->prng, 1, 6)) {
            compact(&w->rig);
            w->way_count = 0;
        }
        break;
    default:
        walk_log(w);
        break;
    }
}

/* What is true of a group at any time. */
static void walk_check(const struct walk *w)
{
    const struct group *g = rig_group(&w->rig);
    uint32_t members = 0;
    uint32_t joining = 0;

    if (g == NULL) {
        return;
    }
    for (const struct group_member *m = g->members; m != NULL; m = m->hh.next) {
        members++;
        joining += m->joining != NULL;
        assert_true(m->syncing == NULL || g->state == GROUP_COMPLETING);
        assert_true(m->session.timer.heap_index != 0 || m->joining != NULL || m->syncing != NULL);
    }
    assert_int_equal(members, g->member_count);
    assert_int_equal(joining, g->joining_count);
    assert_true((g->state == GROUP_EMPTY) == (members == 0 && g->state != GROUP_PREPARING));
    assert_true(g->state != GROUP_PREPARING || g->timer.timer.heap_index != 0);
    assert_true(g->state != GROUP_COMPLETING || g->timer.timer.heap_index != 0);
    assert_true(g->state == GROUP_EMPTY || g->state == GROUP_PREPARING || g->leader.len > 0);
}

static void committed_offsets_never_go_back_whatever_happens(void **state)
{
    static struct walk w;
    (void)state;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        memset(&w, 0, sizeof w);
        rig_init_with(&w.rig, seed % 2 == 0 ? 0 : 3000);
        prng_init(&w.prng, seed);
        for (uint32_t t = 0; t < WALK_TOPICS; t++) {
            w.committed[t] = -1;
        }
        for (int step = 0; step < 2000 && w.rig.answer_count < RIG_ANSWERS - 8; step++) {
            walk_step(&w);
            walk_check(&w);
        }
        rig_fini(&w.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offset_is_there_when_it_is_committed),
        cmocka_unit_test(only_a_member_of_the_running_generation_commits),
        cmocka_unit_test(without_members_anybody_commits),
        cmocka_unit_test(a_commit_is_a_sign_of_life),
        cmocka_unit_test(a_group_with_members_is_not_deleted),
        cmocka_unit_test(a_deleted_group_takes_with_it_what_was_on_its_way),
        cmocka_unit_test(who_joins_while_the_group_is_being_deleted_stays),
        cmocka_unit_test(an_offset_of_a_subscribed_topic_is_not_deleted),
        cmocka_unit_test(offsets_of_another_kind_of_group_are_deleted_when_it_is_empty),
        cmocka_unit_test(offsets_expire_when_their_group_has_been_empty_for_long),
        cmocka_unit_test(offsets_without_a_group_expire_after_their_commit),
        cmocka_unit_test(offsets_of_a_topic_that_is_gone_are_forgotten),
        cmocka_unit_test(what_cannot_be_read_is_counted_and_left_out),
        cmocka_unit_test(a_dump_is_all_that_another_coordinator_needs),
        cmocka_unit_test(committed_offsets_never_go_back_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
