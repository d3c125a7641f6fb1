/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of the new protocol. Topic t has the id t, t, t ... */
#include "base/prng.h"
#include "group/consumer.h"
#include "group/mixed.h"
#include "tests/unit/group_rig.h"

static struct {
    const char *name;
    uint32_t partitions; /* 0: there is no such topic */
} topics[] = {{"apples", 4}, {"pears", 3}, {"plums", 2}};

static struct group_topic topic_at(size_t i)
{
    struct group_topic topic = {.name = slice_text(topics[i].name),
                                .partitions = topics[i].partitions};

    memset(topic.id.bytes, (int)i + 1, sizeof topic.id.bytes);
    return topic;
}

static bool by_name(void *ctx, struct slice name, struct group_topic *out)
{
    (void)ctx;
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        if (slice_equal(name, slice_text(topics[i].name)) && topics[i].partitions > 0) {
            *out = topic_at(i);
            return true;
        }
    }
    return false;
}

static bool by_id(void *ctx, struct uuid id, struct group_topic *out)
{
    size_t i = (size_t)id.bytes[0] - 1;

    (void)ctx;
    if (i >= ARRAY_COUNT(topics) || topics[i].partitions == 0) {
        return false;
    }
    *out = topic_at(i);
    return true;
}

static void each(void *ctx, void (*tell)(void *to, const struct group_topic *topic), void *to)
{
    (void)ctx;
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        struct group_topic topic = topic_at(i);
        if (topic.partitions > 0) {
            tell(to, &topic);
        }
    }
}

static void init(struct rig *rig)
{
    topics[0].partitions = 4;
    topics[1].partitions = 3;
    topics[2].partitions = 2;
    rig_init(rig);
    rig->groups->settings.topics = (struct group_topics){NULL, by_name, by_id, each};
}

/* A client: what it has been told. */
struct client {
    const char *id;
    const char *instance; /* NULL: dynamic */
    const char *topic;
    const char *regex; /* NULL: the topic */
    int32_t epoch;
    struct part_set owned;
    bool told; /* in the last answer */
};

static int beat_with(struct rig *rig, struct client *c, int32_t epoch, const struct part_set *owned)
{
    struct slice name = slice_text(c->topic != NULL ? c->topic : "apples");
    struct consumer_answer answer;
    struct group_out out = {0};
    bool joins = epoch == 0;
    struct consumer_beat beat = {
        .group_id = slice_text("g"),
        .member_id = slice_text(c->id),
        .member_epoch = epoch,
        .instance_id = rig_slice(c->instance),
        .client_id = slice_text("client"),
        .client_host = slice_text("/10.0.0.1"),
        .rebalance_timeout_ms = joins ? 30000 : -1,
        .names = joins && c->regex == NULL ? &name : NULL,
        .name_count = joins && c->regex == NULL,
        .regex = joins ? rig_slice(c->regex) : (struct slice){0},
        .owned = owned,
        .id_required = true,
    };

    groups_consumer_beat(rig->groups, rig->now, &beat, &answer, &out);
    if (answer.error == 0) {
        c->epoch = answer.epoch;
        c->told = answer.assignment != NULL;
        if (c->told) {
            part_set_copy(&c->owned, answer.assignment);
        }
    }
    rig_carry(rig, &out);
    rig_commit(rig);
    return answer.error;
}

/* As it comes every few seconds: what it owns, all of it. */
static int beat(struct rig *rig, struct client *c)
{
    struct part_set none = {0};

    return beat_with(rig, c, c->epoch, c->epoch == 0 ? &none : &c->owned);
}

static void fini(struct rig *rig, struct client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        part_set_fini(&clients[i].owned);
    }
    rig_fini(rig);
}

static const struct consumer *consumer_here(const struct rig *rig)
{
    return rig_group(rig)->consumer;
}

static void settle(struct rig *rig, struct client *clients, size_t count)
{
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(beat(rig, &clients[i]), 0);
        }
    }
}

static void the_first_member_gets_all_and_a_second_one_half_of_it(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b"}};
    (void)state;

    init(&rig);
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(c[0].epoch, 1);
    assert_int_equal(c[0].owned.count, 4);
    assert_string_equal(group_state_text(rig_group(&rig)), "Stable");
    assert_int_equal(beat(&rig, &c[1]), 0);
    assert_int_equal(c[1].epoch, 2);
    assert_true(c[1].told);
    assert_int_equal(c[1].owned.count, 0); /* the other one still has them */
    assert_string_equal(group_state_text(rig_group(&rig)), "Reconciling");

    struct part_set before = {0};
    part_set_copy(&before, &c[0].owned);
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(c[0].epoch, 1); /* told to give two up; until then it stays behind */
    assert_int_equal(c[0].owned.count, 2);
    assert_int_equal(beat(&rig, &c[1]), 0);
    assert_int_equal(c[1].owned.count, 0);
    assert_int_equal(beat_with(&rig, &c[0], 1, &before), 0); /* it has not done so */
    assert_int_equal(c[0].epoch, 1);
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(c[0].epoch, 2);
    assert_int_equal(beat(&rig, &c[1]), 0);
    assert_int_equal(c[1].owned.count, 2);
    assert_false(part_set_meets(&c[0].owned, &c[1].owned));
    assert_string_equal(group_state_text(rig_group(&rig)), "Stable");
    assert_int_equal(beat(&rig, &c[1]), 0);
    size_t log = rig.log_count;
    assert_int_equal(beat(&rig, &c[1]), 0);
    assert_int_equal(rig.log_count, log); /* nothing new costs nothing */
    part_set_fini(&before);
    fini(&rig, c, 2);
}

static void an_answer_that_tells_something_new_waits_for_its_records_alone(void **state)
{
    static struct rig rig;
    struct consumer_answer answer;
    struct group_out out = {0};
    struct part_set none = {0};
    struct slice name = slice_text("apples");
    (void)state;

    init(&rig);
    struct consumer_beat b = {.group_id = slice_text("g"),
                              .member_id = slice_text("a"),
                              .rebalance_timeout_ms = 1000,
                              .names = &name,
                              .name_count = 1,
                              .owned = &none};
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_true(answer.wait);
    rig_carry(&rig, &out);
    b.member_epoch = 1;
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_true(answer.wait); /* said again before they are committed */
    rig_carry(&rig, &out);
    rig_commit(&rig);
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_true(answer.wait); /* it says everything, so it is told everything: by who still leads */
    rig_carry(&rig, &out);
    b.rebalance_timeout_ms = -1;
    b.names = NULL;
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_false(answer.wait);
    rig_carry(&rig, &out);
    rig_fini(&rig);
}

static void epochs_are_checked_as_kafka_does(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b"}};
    struct part_set none = {0};
    (void)state;

    init(&rig);
    assert_int_equal(beat_with(&rig, &c[0], 3, &none), TERN_EGROUPNOTFOUND);
    settle(&rig, c, 2);
    assert_int_equal(beat_with(&rig, &c[0], c[0].epoch + 1, &none), TERN_EFENCEDMEMBER);
    /* The answer with the new epoch was lost. */
    assert_int_equal(beat_with(&rig, &c[0], c[0].epoch - 1, &none), 0);
    assert_int_equal(beat_with(&rig, &c[0], c[0].epoch - 1, NULL), TERN_EFENCEDMEMBER);
    assert_int_equal(beat_with(&rig, &c[1], 77, &none), TERN_EFENCEDMEMBER);
    struct client stranger = {.id = "x"};
    assert_int_equal(beat_with(&rig, &stranger, 1, &none), TERN_EUNKNOWNMEMBER);
    assert_int_equal(beat_with(&rig, &stranger, -1, &none), TERN_EUNKNOWNMEMBER);
    assert_int_equal(beat_with(&rig, &stranger, -2, &none), TERN_EINVALIDREQUEST);
    assert_int_equal(beat_with(&rig, &stranger, -3, &none), TERN_EINVALIDREQUEST);
    assert_int_equal(beat_with(&rig, &stranger, 0, NULL), TERN_EINVALIDREQUEST);
    fini(&rig, c, 2);
}

static void who_leaves_or_is_silent_is_replaced(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b"}, {.id = "c"}};
    (void)state;

    init(&rig);
    settle(&rig, c, 3);
    assert_int_equal(beat_with(&rig, &c[2], -1, NULL), 0);
    settle(&rig, c, 2);
    assert_int_equal(c[0].owned.count + c[1].owned.count, 4);
    for (int i = 0; i < 10; i++) {
        rig_pass(&rig, 5000);
        rig_commit(&rig);
        assert_int_equal(beat(&rig, &c[0]), 0);
    }
    assert_int_equal(consumer_here(&rig)->member_count, 1);
    assert_int_equal(c[0].owned.count, 4);
    assert_int_equal(beat(&rig, &c[1]), TERN_EUNKNOWNMEMBER);
    fini(&rig, c, 3);
}

static void who_does_not_give_up_in_time_is_fenced(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b"}};
    struct part_set all = {0};
    (void)state;

    init(&rig);
    assert_int_equal(beat(&rig, &c[0]), 0);
    part_set_copy(&all, &c[0].owned);
    assert_int_equal(beat(&rig, &c[1]), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(beat_with(&rig, &c[0], 1, &all), 0); /* alive, but it keeps them */
        assert_int_equal(beat(&rig, &c[1]), 0);
        assert_int_equal(c[1].owned.count, 0);
        rig_pass(&rig, 5000);
        rig_commit(&rig);
    }
    assert_int_equal(beat_with(&rig, &c[0], 1, &all), TERN_EUNKNOWNMEMBER);
    settle(&rig, &c[1], 1);
    assert_int_equal(c[1].owned.count, 4);
    part_set_fini(&all);
    fini(&rig, c, 2);
}

static void a_static_member_keeps_its_place_while_it_is_away(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b", .instance = "two"}};
    struct client same = {.id = "b2", .instance = "two"};
    struct part_set had = {0};
    (void)state;

    init(&rig);
    settle(&rig, c, 2);
    part_set_copy(&had, &c[1].owned);
    assert_int_equal(beat(&rig, &same), TERN_EUNRELEASEDINSTANCE);
    assert_int_equal(beat_with(&rig, &c[1], -2, NULL), 0);
    int32_t epoch = consumer_here(&rig)->epoch;
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(c[0].owned.count, 2);
    rig_reload(&rig);
    rig.groups->settings.topics = (struct group_topics){NULL, by_name, by_id, each};
    assert_int_equal(beat(&rig, &same), 0);
    assert_int_equal(consumer_here(&rig)->epoch, epoch); /* nobody else is concerned */
    assert_true(part_set_equal(&same.owned, &had));
    assert_int_equal(beat_with(&rig, &c[1], 1, &had), TERN_EFENCEDINSTANCE);
    part_set_fini(&had);
    part_set_fini(&same.owned);
    fini(&rig, c, 2);
}

static void topics_that_come_grow_and_go_are_assigned_anew(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a", .regex = "p.*s"}, {.id = "b", .regex = "pears|figs"}};
    struct group_out out = {0};
    (void)state;

    init(&rig);
    topics[2].partitions = 0;
    settle(&rig, c, 2);
    assert_int_equal(c[0].owned.count + c[1].owned.count, 3);
    groups_topics_changed(rig.groups, &out);
    assert_int_equal(out.count, 0); /* nothing that concerns it */
    topics[2].partitions = 2;
    groups_topics_changed(rig.groups, &out);
    rig_carry(&rig, &out);
    settle(&rig, c, 2);
    assert_int_equal(c[0].owned.count + c[1].owned.count, 5);
    topics[1].partitions = 6;
    groups_topics_changed(rig.groups, &out);
    rig_carry(&rig, &out);
    settle(&rig, c, 2);
    assert_int_equal(c[0].owned.count, 4);
    assert_int_equal(c[1].owned.count, 4);
    topics[1].partitions = 0;
    groups_topics_changed(rig.groups, &out);
    rig_carry(&rig, &out);
    settle(&rig, c, 2);
    assert_int_equal(c[0].owned.count, 2);
    assert_int_equal(c[1].owned.count, 0);
    struct client bad = {.id = "x", .regex = "(p"};
    assert_int_equal(beat(&rig, &bad), TERN_EINVALIDREGEX);
    assert_int_equal(consumer_here(&rig)->member_count, 2);
    fini(&rig, c, 2);
}

static void another_coordinator_goes_on_where_the_log_ends(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}, {.id = "b"}, {.id = "c", .topic = "pears"}};
    (void)state;

    init(&rig);
    settle(&rig, c, 3);
    int32_t epoch = consumer_here(&rig)->epoch;
    rig_reload(&rig);
    assert_int_equal(consumer_here(&rig)->epoch, epoch);
    assert_string_equal(group_state_text(rig_group(&rig)), "Stable");
    size_t log = rig.log_count;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(beat(&rig, &c[i]), 0);
    }
    assert_int_equal(rig.log_count, log); /* nobody notices */
    fini(&rig, c, 3);
}

static void a_refused_record_undoes_what_was_not_committed(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}};
    struct consumer_answer answer;
    struct group_out out = {0};
    struct part_set none = {0};
    struct slice name = slice_text("apples");
    (void)state;

    init(&rig);
    settle(&rig, c, 1);
    struct consumer_beat b = {.group_id = slice_text("g"),
                              .member_id = slice_text("b"),
                              .rebalance_timeout_ms = 1000,
                              .names = &name,
                              .name_count = 1,
                              .owned = &none};
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_int_equal(consumer_here(&rig)->member_count, 2);
    for (size_t i = 0; i < out.count; i++) {
        struct group_out more = {0};
        assert_true(i == 0 || rig_group(&rig)->broken);
        groups_refused(rig.groups, rig.now, buf_slice(&out.effects[i].key), &more);
        assert_int_equal(more.count, 0);
        if (i + 1 < out.count) {
            struct group_out none_out = {0};
            groups_consumer_beat(rig.groups, rig.now, &b, &answer, &none_out);
            assert_int_equal(answer.error, TERN_ELOADING);
            group_out_fini(&none_out);
        }
    }
    group_out_fini(&out);
    assert_int_equal(consumer_here(&rig)->member_count, 1);
    assert_int_equal(consumer_here(&rig)->epoch, 1);
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(c[0].owned.count, 4);
    fini(&rig, c, 1);
}

static void commits_and_fetches_need_the_members_epoch(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}};
    struct slice g = slice_text("g");
    (void)state;

    init(&rig);
    settle(&rig, c, 1);
    assert_int_equal(rig_offset(&rig, "g", "a", 1, "apples", 5), 0);
    assert_int_equal(rig_offset(&rig, "g", "a", 0, "apples", 5), TERN_ESTALEMEMBER);
    assert_int_equal(rig_offset(&rig, "g", "a", 2, "apples", 5), TERN_ESTALEMEMBER);
    assert_int_equal(rig_offset(&rig, "g", "x", 1, "apples", 5), TERN_EUNKNOWNMEMBER);
    assert_int_equal(rig_offset(&rig, "g", "", -1, "apples", 5), TERN_EUNKNOWNMEMBER);
    assert_int_equal(groups_may_fetch(rig.groups, g, slice_text("a"), 1), 0);
    assert_int_equal(groups_may_fetch(rig.groups, g, slice_text("a"), 2), TERN_ESTALEMEMBER);
    assert_int_equal(groups_may_fetch(rig.groups, g, slice_text("x"), 2), TERN_EUNKNOWNMEMBER);
    assert_int_equal(groups_may_fetch(rig.groups, g, (struct slice){0}, -1), 0);
    assert_true(groups_needs_epochs(rig.groups, g, slice_text("a")));
    rig_commit(&rig);
    struct group_out out = {0};
    assert_int_equal(groups_delete(rig.groups, g, &out), TERN_ENONEMPTYGROUP);
    assert_int_equal(groups_delete_offset(rig.groups, g, slice_text("apples"), 0, &out),
                     TERN_EGROUPSUBSCRIBED);
    assert_int_equal(beat_with(&rig, &c[0], -1, NULL), 0);
    assert_int_equal(rig_offset(&rig, "g", "", -1, "apples", 9), 0); /* a tool, now */
    rig_commit(&rig);
    assert_int_equal(groups_delete(rig.groups, g, &out), 0);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_null(rig_group(&rig));
    fini(&rig, c, 1);
}

static void most_votes_choose_the_assignor(void **state)
{
    static struct rig rig;
    struct consumer_answer answer;
    struct group_out out = {0};
    struct part_set none = {0};
    struct slice name = slice_text("apples");
    (void)state;

    init(&rig);
    struct consumer_beat b = {.group_id = slice_text("g"),
                              .member_id = slice_text("a"),
                              .rebalance_timeout_ms = 1000,
                              .names = &name,
                              .name_count = 1,
                              .assignor = slice_text("sticky"),
                              .owned = &none};
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_int_equal(answer.error, TERN_EUNSUPPORTEDASSIGNOR);
    assert_null(rig_group(&rig));
    b.assignor = slice_text("range");
    groups_consumer_beat(rig.groups, rig.now, &b, &answer, &out);
    assert_int_equal(answer.error, 0);
    assert_int_equal(consumer_here(&rig)->assignor, ASSIGNOR_RANGE);
    rig_carry(&rig, &out);
    rig_fini(&rig);
}

/* ---- both protocols -------------------------------------------------------------------------- */

/* ConsumerProtocolSubscription, version 0, of apples. */
#define SUBSCRIPTION "\0\0\0\0\0\1\0\6apples\377\377\377\377"

static int mixed_join(struct rig *rig, const char *id, struct mixed_answer *answer)
{
    struct group_protocol protocol = {slice_text("range"),
                                      slice_of(SUBSCRIPTION, sizeof SUBSCRIPTION - 1)};
    struct group_out out = {0};
    struct group_join join = {.group_id = slice_text("g"),
                              .member_id = slice_text(id),
                              .client_id = slice_text("old"),
                              .protocol_type = slice_text("consumer"),
                              .session_timeout_ms = 10000,
                              .rebalance_timeout_ms = 20000,
                              .protocols = &protocol,
                              .protocol_count = 1};

    groups_mixed_join(rig->groups, rig->now, &join, answer, &out);
    rig_carry(rig, &out);
    rig_commit(rig);
    return answer->error;
}

static int mixed_sync(struct rig *rig, const char *id, int32_t generation, uint8_t *out_count)
{
    struct group_sync sync = {
        .group_id = slice_text("g"), .generation = generation, .member_id = slice_text(id)};
    struct mixed_answer answer;

    groups_mixed_sync(rig->groups, rig->now, &sync, &answer);
    *out_count = answer.assignment.len > 17 ? answer.assignment.base[17] : 0; /* partitions */
    buf_fini(&answer.assignment);
    return answer.error;
}

static void a_classic_member_lives_in_a_new_group_and_inherits_it(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "a"}};
    struct mixed_answer answer;
    uint8_t count;
    (void)state;

    init(&rig);
    settle(&rig, c, 1);
    assert_true(groups_mixed(rig.groups, slice_text("g")));
    assert_int_equal(mixed_join(&rig, "old", &answer), 0);
    int32_t generation = answer.generation;
    assert_int_equal(mixed_sync(&rig, "old", generation, &count), 0);
    assert_int_equal(count, 0);
    settle(&rig, c, 1);
    assert_int_equal(c[0].owned.count, 2);
    assert_int_equal(rig_heartbeat(&rig, "old", NULL, generation), TERN_EREBALANCE); /* now free */
    assert_int_equal(mixed_join(&rig, "old", &answer), 0);
    assert_int_equal(mixed_sync(&rig, "old", answer.generation, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(rig_heartbeat(&rig, "old", NULL, answer.generation), 0);
    assert_int_equal(rig_heartbeat(&rig, "old", NULL, answer.generation + 1),
                     TERN_EILLEGALGENERATION);
    assert_int_equal(beat_with(&rig, &c[0], -1, NULL), 0); /* the last new one: a classic group */
    rig_commit(&rig);
    assert_null(rig_group(&rig)->consumer);
    assert_string_equal(group_state_text(rig_group(&rig)), "PreparingRebalance");
    assert_true(rig_group(&rig)->generation > answer.generation);
    rig_reload(&rig);
    assert_null(rig_group(&rig)->consumer);
    assert_int_equal(rig_group(&rig)->member_count, 1);
    fini(&rig, c, 1);
}

/* ConsumerProtocolAssignment, version 0: all four of apples. */
#define ASSIGNMENT "\0\0\0\0\0\1\0\6apples\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\3\377\377\377\377"

static void a_classic_group_is_upgraded_with_its_members(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "new"}};
    struct rig_answer joined = {.waiting = true};
    struct rig_answer synced = {.waiting = true};
    struct group_protocol protocol = {slice_text("range"),
                                      slice_of(SUBSCRIPTION, sizeof SUBSCRIPTION - 1)};
    struct group_join join = {.waiter = &joined,
                              .group_id = slice_text("g"),
                              .client_id = slice_text("old"),
                              .protocol_type = slice_text("consumer"),
                              .session_timeout_ms = 10000,
                              .rebalance_timeout_ms = 20000,
                              .protocols = &protocol,
                              .protocol_count = 1};
    struct group_out out = {0};
    struct mixed_answer answer;
    uint8_t count;
    (void)state;

    init(&rig);
    groups_join(rig.groups, rig.now, &join, &out);
    rig_carry(&rig, &out);
    struct group_assignment plan = {slice_text(joined.member_id),
                                    slice_of(ASSIGNMENT, sizeof ASSIGNMENT - 1)};
    struct group_sync sync = {.waiter = &synced,
                              .group_id = slice_text("g"),
                              .generation = joined.generation,
                              .member_id = slice_text(joined.member_id),
                              .assignments = &plan,
                              .assignment_count = 1};
    groups_sync(rig.groups, rig.now, &sync, &out);
    rig_carry(&rig, &out);
    rig_commit(&rig);
    assert_int_equal(beat(&rig, &c[0]), 0);
    assert_int_equal(consumer_here(&rig)->member_count, 2);
    assert_int_equal(c[0].owned.count, 0); /* the old one has them until it has joined again */
    assert_int_equal(rig_heartbeat(&rig, joined.member_id, NULL, joined.generation),
                     TERN_EREBALANCE);
    assert_int_equal(mixed_join(&rig, joined.member_id, &answer), 0);
    assert_int_equal(mixed_sync(&rig, joined.member_id, answer.generation, &count), 0);
    assert_int_equal(count, 2);
    settle(&rig, c, 1);
    assert_int_equal(c[0].owned.count, 2);
    rig_reload(&rig);
    assert_int_equal(consumer_here(&rig)->member_count, 2);
    fini(&rig, c, 1);
}

static void an_empty_classic_group_is_upgraded_and_one_that_says_nothing_is_not(void **state)
{
    static struct rig rig;
    struct client c[] = {{.id = "new"}};
    (void)state;

    init(&rig);
    struct rig_member m = rig_member("");
    m.metadata = "nonsense";
    struct rig_answer *old = rig_join(&rig, m);
    const char *nothing[] = {NULL};
    (void)rig_sync(&rig, old->member_id, NULL, old->generation, nothing);
    rig_commit(&rig);
    assert_int_equal(beat(&rig, &c[0]), TERN_EGROUPNOTFOUND); /* its subscription says nothing */
    assert_int_equal(rig_leave(&rig, old->member_id, NULL), 0);
    rig_commit(&rig);
    assert_int_equal(beat(&rig, &c[0]), 0); /* an empty one becomes a new one */
    assert_int_equal(c[0].owned.count, 4);
    rig_reload(&rig);
    assert_int_equal(consumer_here(&rig)->member_count, 1);
    fini(&rig, c, 1);
}

/* ---- whatever happens ------------------------------------------------------------------------ */

#define WALKERS 5

static bool both_own(const struct client *a, const struct client *b)
{
    return part_set_meets(&a->owned, &b->owned);
}

/* A client gives up what it is told to, and only then says so; nobody ever owns what another one
 * still does. */
static void no_partition_has_two_owners_whatever_happens(void **state)
{
    static struct rig rig;
    static const char *const ids[WALKERS] = {"a", "b", "c", "d", "e"};
    (void)state;

    for (uint64_t walk = 0; walk < 200; walk++) {
        struct prng prng;
        struct client c[WALKERS] = {{0}};
        prng_init(&prng, walk);
        init(&rig);
        for (int i = 0; i < WALKERS; i++) {
            c[i] = (struct client){.id = ids[i], .regex = i % 2 == 0 ? "a.*|pears" : NULL};
        }
        for (int step = 0; step < 120; step++) {
            struct client *who = &c[prng_below(&prng, WALKERS)];
            uint64_t dice = prng_below(&prng, 20);
            struct part_set kept = {0};
            struct group_out out = {0};
            part_set_copy(&kept, &who->owned);
            if (dice == 0) {
                rig_reload(&rig);
                rig.groups->settings.topics = (struct group_topics){NULL, by_name, by_id, each};
                groups_topics_changed(rig.groups, &out);
                rig_carry(&rig, &out);
                rig_commit(&rig);
            } else if (dice == 1 && who->epoch > 0) {
                part_set_clear(&who->owned);
                (void)beat_with(&rig, who, -1, NULL);
                who->epoch = 0;
            } else if (dice == 2) {
                topics[1].partitions = (uint32_t)prng_below(&prng, 6);
                groups_topics_changed(rig.groups, &out);
                rig_carry(&rig, &out);
                rig_commit(&rig);
            } else {
                int status = beat(&rig, who);
                if (status != 0) {
                    part_set_clear(&who->owned);
                    who->epoch = 0;
                }
            }
            part_set_fini(&kept);
            for (int i = 0; i < WALKERS; i++) {
                for (int k = 0; k < i; k++) {
                    if (both_own(&c[i], &c[k])) {
                        fail_msg("walk %llu, step %d: %s and %s", (unsigned long long)walk, step,
                                 c[i].id, c[k].id);
                    }
                }
            }
        }
        topics[1].partitions = 3;
        struct group_out out = {0};
        groups_topics_changed(rig.groups, &out);
        rig_carry(&rig, &out);
        rig_commit(&rig);
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < WALKERS; i++) {
                if (beat(&rig, &c[i]) != 0) {
                    c[i].epoch = 0;
                    part_set_clear(&c[i].owned);
                }
            }
        }
        uint32_t total = 0;
        for (int i = 0; i < WALKERS; i++) {
            total += c[i].owned.count;
        }
        assert_int_equal(total, 7);
        assert_string_equal(group_state_text(rig_group(&rig)), "Stable");
        fini(&rig, c, WALKERS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_member_gets_all_and_a_second_one_half_of_it),
        cmocka_unit_test(an_answer_that_tells_something_new_waits_for_its_records_alone),
        cmocka_unit_test(epochs_are_checked_as_kafka_does),
        cmocka_unit_test(who_leaves_or_is_silent_is_replaced),
        cmocka_unit_test(who_does_not_give_up_in_time_is_fenced),
        cmocka_unit_test(a_static_member_keeps_its_place_while_it_is_away),
        cmocka_unit_test(topics_that_come_grow_and_go_are_assigned_anew),
        cmocka_unit_test(another_coordinator_goes_on_where_the_log_ends),
        cmocka_unit_test(a_refused_record_undoes_what_was_not_committed),
        cmocka_unit_test(commits_and_fetches_need_the_members_epoch),
        cmocka_unit_test(most_votes_choose_the_assignor),
        cmocka_unit_test(a_classic_member_lives_in_a_new_group_and_inherits_it),
        cmocka_unit_test(a_classic_group_is_upgraded_with_its_members),
        cmocka_unit_test(an_empty_classic_group_is_upgraded_and_one_that_says_nothing_is_not),
        cmocka_unit_test(no_partition_has_two_owners_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
