/* SPDX-License-Identifier: Apache-2.0 */
/* Groups with a log beside them: records are asked for, and committed when the test says so. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "group/group.h"
#include "tests/lib/test.h"

#define RIG_ANSWERS 4096
#define RIG_TEXT    320

struct rig_answer {
    bool waiting;
    bool synced; /* else joined */
    int error;
    int32_t generation;
    char member_id[RIG_TEXT];
    char leader[RIG_TEXT];
    char protocol[64];
    uint32_t members; /* told */
    bool skip;
    char assignment[RIG_TEXT];
};

struct rig_record {
    struct buf key;
    struct buf value;
    bool tombstone;
};

struct rig {
    struct groups *groups;
    struct group_now now;
    struct rig_answer answers[RIG_ANSWERS];
    uint32_t answer_count;
    struct rig_record *log;
    size_t log_count;
    size_t committed;
    uint64_t ids;
};

/* What a member says of itself, with what most tests want. */
struct rig_member {
    const char *group;
    const char *id;       /* "": a new one */
    const char *instance; /* NULL: dynamic */
    const char *type;
    const char *protocols[4]; /* up to the first NULL */
    const char *metadata;
    struct slice bytes; /* instead of metadata, if there are any */
    int32_t session_ms;
    int32_t rebalance_ms;
    bool id_required;
    bool can_skip;
};
static inline struct rig_member rig_member(const char *id)
{
    return (struct rig_member){.group = "g",
                               .id = id,
                               .type = "consumer",
                               .protocols = {"range"},
                               .metadata = "m",
                               .session_ms = 10000,
                               .rebalance_ms = 60000};
}

static inline void rig_text(char *to, size_t size, struct slice from)
{
    assert_true(from.len < size);
    memcpy(to, from.len > 0 ? (const char *)from.base : "", from.len);
    to[from.len] = '\0';
}

static inline void rig_carry(struct rig *rig, struct group_out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        struct group_effect *e = &out->effects[i];
        if (e->kind == GROUP_APPEND) {
            rig->log = mem_grow(rig->log, rig->log_count + 1, sizeof *rig->log);
            rig->log[rig->log_count++] = (struct rig_record){e->key, e->value, e->tombstone};
            e->key = (struct buf){0};
            e->value = (struct buf){0};
            continue;
        }
        struct rig_answer *a = e->waiter;
        assert_true(a->waiting); /* exactly one answer */
        a->waiting = false;
        a->synced = e->kind == GROUP_SYNCED;
        a->error = e->error;
        if (!a->synced) {
            rig_text(a->member_id, sizeof a->member_id, e->member_id);
        }
        if (e->error != 0) {
            continue;
        }
        a->generation = e->group->generation;
        rig_text(a->protocol, sizeof a->protocol, buf_slice(&e->group->protocol));
        if (a->synced) {
            rig_text(a->assignment, sizeof a->assignment, buf_slice(&e->member->assignment));
        } else {
            rig_text(a->leader, sizeof a->leader, e->leader);
            a->members = e->with_members ? e->group->member_count : 0;
            a->skip = e->skip_assignment;
        }
    }
    group_out_fini(out);
}

static inline void rig_init_with(struct rig *rig, uint32_t delay_ms)
{
    struct groups_settings settings = {.initial_delay_ms = delay_ms, .retention_ms = 1000000};

    memset(rig, 0, sizeof *rig);
    rig->now = (struct group_now){1000, 5000000};
    rig->groups = groups_new(&settings);
}

static inline void rig_init(struct rig *rig)
{
    rig_init_with(rig, 0);
}

static inline void rig_fini(struct rig *rig)
{
    groups_free(rig->groups);
    for (size_t i = 0; i < rig->log_count; i++) {
        buf_fini(&rig->log[i].key);
        buf_fini(&rig->log[i].value);
    }
    free(rig->log);
}

static inline struct slice rig_value(const struct rig_record *record)
{
    return record->tombstone ? (struct slice){0} : buf_slice(&record->value);
}

static inline void rig_commit_one(struct rig *rig)
{
    struct group_out out = {0};

    assert_true(rig->committed < rig->log_count);
    const struct rig_record record = rig->log[rig->committed++]; /* the log may move */
    groups_committed(rig->groups, rig->now, buf_slice(&record.key), rig_value(&record), &out);
    rig_carry(rig, &out);
}

static inline void rig_commit(struct rig *rig)
{
    while (rig->committed < rig->log_count) {
        rig_commit_one(rig);
    }
}

/* Another coordinator reads what is committed. */
static inline void rig_reload(struct rig *rig)
{
    struct groups_settings settings = rig->groups->settings;
    struct group_out out = {0};

    groups_give_up(rig->groups, TERN_ENOTCOORDINATOR, &out);
    rig_carry(rig, &out);
    groups_free(rig->groups);
    rig->groups = groups_new(&settings);
    for (size_t i = rig->committed; i < rig->log_count; i++) {
        buf_fini(&rig->log[i].key);
        buf_fini(&rig->log[i].value);
    }
    rig->log_count = rig->committed;
    for (size_t i = 0; i < rig->committed; i++) {
        groups_committed(rig->groups, rig->now, buf_slice(&rig->log[i].key),
                         rig_value(&rig->log[i]), &out);
    }
    rig_carry(rig, &out);
    assert_int_equal(rig->log_count, rig->committed); /* reading asks for nothing */
    groups_loaded(rig->groups, rig->now);
}

static inline void rig_pass(struct rig *rig, uint64_t ms)
{
    uint64_t until = rig->now.ms + ms;

    while (groups_wake_ms(rig->groups) <= until) {
        struct group_out out = {0};
        uint64_t wake = groups_wake_ms(rig->groups);
        if (wake > rig->now.ms) {
            rig->now.wall_ms += (int64_t)(wake - rig->now.ms);
            rig->now.ms = wake;
        }
        assert_true(groups_tick(rig->groups, rig->now, &out));
        rig_carry(rig, &out);
    }
    rig->now.wall_ms += (int64_t)(until - rig->now.ms);
    rig->now.ms = until;
}

static inline struct slice rig_slice(const char *text)
{
    return text != NULL ? slice_text(text) : (struct slice){0};
}

static inline struct rig_answer *rig_join(struct rig *rig, struct rig_member m)
{
    struct group_protocol protocols[4];
    uint32_t count = 0;
    struct group_out out = {0};

    assert_true(rig->answer_count < RIG_ANSWERS);
    struct rig_answer *answer = &rig->answers[rig->answer_count++];
    while (count < 4 && m.protocols[count] != NULL) {
        protocols[count].name = slice_text(m.protocols[count]);
        protocols[count].metadata = m.bytes.len > 0 ? m.bytes : slice_text(m.metadata);
        count++;
    }
    struct group_join join = {
        .waiter = answer,
        .group_id = slice_text(m.group),
        .member_id = slice_text(m.id),
        .instance_id = rig_slice(m.instance),
        .client_id = slice_text("client"),
        .client_host = slice_text("/10.0.0.1"),
        .protocol_type = slice_text(m.type),
        .session_timeout_ms = m.session_ms,
        .rebalance_timeout_ms = m.rebalance_ms,
        .protocols = protocols,
        .protocol_count = count,
        .id_required = m.id_required,
        .can_skip = m.can_skip,
        .fresh = uuid_from_random(rig->ids, rig->ids * 77),
    };
    rig->ids++;
    answer->waiting = true;
    groups_join(rig->groups, rig->now, &join, &out);
    rig_carry(rig, &out);
    return answer;
}

/* A plan: "member=assignment" strings, up to the first NULL. */
static inline struct rig_answer *rig_sync(struct rig *rig, const char *id, const char *instance,
                                          int32_t generation, const char *const *plan)
{
    struct group_assignment assignments[16];
    char ids[16][RIG_TEXT];
    uint32_t count = 0;
    struct group_out out = {0};

    assert_true(rig->answer_count < RIG_ANSWERS);
    struct rig_answer *answer = &rig->answers[rig->answer_count++];
    for (; plan != NULL && plan[count] != NULL; count++) {
        const char *equals = strrchr(plan[count], '=');
        size_t len = (size_t)(equals - plan[count]);
        memcpy(ids[count], plan[count], len);
        assignments[count].member_id = slice_of(ids[count], len);
        assignments[count].assignment = slice_text(equals + 1);
    }
    struct group_sync sync = {
        .waiter = answer,
        .group_id = slice_text("g"),
        .generation = generation,
        .member_id = slice_text(id),
        .instance_id = rig_slice(instance),
        .assignments = assignments,
        .assignment_count = count,
    };
    answer->waiting = true;
    groups_sync(rig->groups, rig->now, &sync, &out);
    rig_carry(rig, &out);
    return answer;
}

static inline int rig_heartbeat(struct rig *rig, const char *id, const char *instance,
                                int32_t generation)
{
    return groups_heartbeat(rig->groups, rig->now, slice_text("g"), generation, slice_text(id),
                            rig_slice(instance));
}

static inline int rig_leave(struct rig *rig, const char *id, const char *instance)
{
    struct group_out out = {0};
    int status = groups_leave(rig->groups, rig->now, slice_text("g"), slice_text(id),
                              rig_slice(instance), &out);

    rig_carry(rig, &out);
    return status;
}

static inline const struct group *rig_group(const struct rig *rig)
{
    return groups_find(rig->groups, slice_text("g"));
}

/* Asks for the record of an offset, as the agent does. */
static inline int rig_offset(struct rig *rig, const char *group, const char *id, int32_t generation,
                             const char *topic, int64_t offset)
{
    int status = groups_may_commit(rig->groups, rig->now, slice_text(group), generation,
                                   slice_text(id), (struct slice){0});
    if (status != 0) {
        return status;
    }
    struct group_out out = {0};
    struct group_offset_value value = {offset, 3, slice_text("note"), rig->now.wall_ms, -1};
    out.effects = mem_grow(NULL, 1, sizeof *out.effects);
    out.effects[0] = (struct group_effect){.kind = GROUP_APPEND};
    out.count = 1;
    group_offset_key(&out.effects[0].key, slice_text(group), slice_text(topic), 0);
    group_offset_value(&out.effects[0].value, &value);
    rig_carry(rig, &out);
    return 0;
}

/* -1: none */
static inline int64_t rig_committed_offset(const struct rig *rig, const char *group,
                                           const char *topic)
{
    const struct group *g = groups_find(rig->groups, slice_text(group));
    const struct group_offset *o = g != NULL ? groups_offset(g, slice_text(topic), 0) : NULL;

    return o != NULL ? o->offset : -1;
}

/* Two members, a and b, in a stable group. */
struct rig_pair {
    char a[RIG_TEXT]; /* leads */
    char b[RIG_TEXT];
    int32_t generation;
};
static inline struct rig_pair rig_pair_of(struct rig *rig, struct rig_member first,
                                          struct rig_member second)
{
    struct rig_pair pair;
    char plan_a[RIG_TEXT + 8];
    char plan_b[RIG_TEXT + 8];

    struct rig_answer *a = rig_join(rig, first);
    assert_false(a->waiting); /* alone, and without a delay */
    assert_int_equal(a->error, 0);
    struct rig_answer *b = rig_join(rig, second);
    assert_true(b->waiting);
    first.id = a->member_id;
    struct rig_answer *again = rig_join(rig, first);
    assert_false(again->waiting);
    assert_false(b->waiting);
    assert_string_equal(again->leader, a->member_id);
    (void)snprintf(pair.a, sizeof pair.a, "%s", a->member_id);
    (void)snprintf(pair.b, sizeof pair.b, "%s", b->member_id);
    pair.generation = again->generation;
    (void)snprintf(plan_a, sizeof plan_a, "%s=one", pair.a);
    (void)snprintf(plan_b, sizeof plan_b, "%s=two", pair.b);
    const char *plan[] = {plan_a, plan_b, NULL};
    struct rig_answer *sa = rig_sync(rig, pair.a, first.instance, pair.generation, plan);
    struct rig_answer *sb = rig_sync(rig, pair.b, second.instance, pair.generation, NULL);
    assert_true(sa->waiting && sb->waiting);
    rig_commit(rig);
    assert_string_equal(sa->assignment, "one");
    assert_string_equal(sb->assignment, "two");
    return pair;
}
static inline struct rig_pair rig_pair(struct rig *rig)
{
    return rig_pair_of(rig, rig_member(""), rig_member(""));
}
