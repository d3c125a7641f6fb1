/* SPDX-License-Identifier: Apache-2.0 */
/* Groups as what a coordinator keeps. */
#include "agent/group.h"
#include "base/error.h"
#include "group/pending.h"

static struct group_now now_of(const struct node *node)
{
    return (struct group_now){node_now_ms(node), clock_wall_ms(node->o.clock)};
}

struct group_now coordinator_now(const struct coordinator *co)
{
    return now_of(coordinator_node(co));
}

struct groups *coordinator_groups(struct coordinator *co)
{
    return coordinator_state(co, &coordinator_groups_kind);
}

/* ---- effects --------------------------------------------------------------------------------- */

static void append_together(struct coordinator *co, const struct group_out *out)
{
    struct coordinator_record *records = mem_grow(NULL, out->count + 1, sizeof *records);
    size_t count = 0;

    for (size_t i = 0; i < out->count; i++) {
        const struct group_effect *effect = &out->effects[i];
        if (effect->kind == GROUP_APPEND) {
            records[count++] = (struct coordinator_record){
                buf_slice(&effect->key),
                effect->tombstone ? (struct slice){0} : buf_slice(&effect->value)};
        }
    }
    coordinator_append_together(co, records, count);
    free(records);
}

static void carry_out(struct coordinator *co, struct group_out *out)
{
    append_together(co, out);
    for (size_t i = 0; i < out->count; i++) {
        const struct group_effect *effect = &out->effects[i];
        if (effect->kind != GROUP_APPEND) {
            coordinator_node(co)->counters.group_joins +=
                effect->kind == GROUP_JOINED && effect->error == 0;
            group_answer(effect);
        }
    }
    group_out_fini(out);
}

void coordinator_run(struct coordinator *co, struct group_out *out)
{
    carry_out(co, out);
    coordinator_arm(co);
}

/* ---- the kind -------------------------------------------------------------------------------- */

static void *make(struct node *node)
{

    struct groups_settings settings = {
        .initial_delay_ms = node->o.group_initial_delay_ms,
        .retention_ms = node->o.group_retention_ms,
        .consumer_session_ms = node->o.group_session_ms,
        .consumer_interval_ms = node->o.group_interval_ms,
        .topics = {node, group_topic_named, group_topic_by_id, group_topics_each},
    };

    return groups_new(&settings);
}

static void drop(void *state)
{
    groups_free(state);
}

static void committed(struct coordinator *co, int64_t offset, struct slice key, struct slice value)
{
    struct group_out out = {0};

    (void)offset;
    groups_committed(coordinator_groups(co), coordinator_now(co), key, value, &out);
    carry_out(co, &out);
}

static void refused(struct coordinator *co, struct slice key, int error)
{
    struct group_out out = {0};

    (void)error;
    groups_refused(coordinator_groups(co), coordinator_now(co), key, &out);
    carry_out(co, &out);
}

static void loaded(struct coordinator *co)
{
    groups_loaded(coordinator_groups(co), coordinator_now(co));
}

static void give_up(struct coordinator *co, int error)
{
    struct group_out out = {0};

    groups_give_up(coordinator_groups(co), error, &out);
    carry_out(co, &out);
}

static uint64_t wake_ms(const void *state)
{
    return groups_wake_ms(state);
}

static void tick(struct coordinator *co)
{
    struct group_out out = {0};

    while (groups_tick(coordinator_groups(co), coordinator_now(co), &out)) {
        carry_out(co, &out);
    }
}

struct dumping {
    coordinator_emit *emit;
    void *ctx;
};

static bool dump_one(void *ctx, struct slice key, struct slice value)
{
    const struct dumping *d = ctx;

    return d->emit(d->ctx, (struct coordinator_producer){-1, -1}, key, value);
}

static bool dump_pending(void *ctx, int64_t producer_id, int16_t epoch, struct slice key,
                         struct slice value)
{
    const struct dumping *d = ctx;

    return d->emit(d->ctx, (struct coordinator_producer){producer_id, epoch}, key, value);
}

static bool dump(const void *state, coordinator_emit *emit, void *ctx)
{
    struct dumping d = {emit, ctx};

    return groups_dump(state, dump_one, &d) && groups_dump_pending(state, dump_pending, &d);
}

static void expire(struct coordinator *co)
{
    struct group_out out = {0};

    groups_expire(coordinator_groups(co), coordinator_now(co), &out);
    carry_out(co, &out);
}

static uint32_t count(const void *state, uint64_t *out_bad_records)
{
    const struct groups *groups = state;

    *out_bad_records = groups->bad_records;
    return HASH_CNT(hh, groups->all);
}

static bool topic_is_gone(void *ctx, struct slice topic)
{
    return topic_by_slice(ctx, topic) == NULL;
}

static void forget_topics(struct coordinator *co)
{
    struct group_out out = {0};

    groups_forget_topics(coordinator_groups(co), topic_is_gone, coordinator_node(co), &out);
    carry_out(co, &out);
}

static void topics_changed(struct coordinator *co)
{
    struct group_out out = {0};

    groups_topics_changed(coordinator_groups(co), &out);
    carry_out(co, &out);
}

static void pending(struct coordinator *co, struct coordinator_producer producer, struct slice key,
                    struct slice value)
{
    groups_pending(coordinator_groups(co), producer.id, producer.epoch, key, value);
}

static void ended(struct coordinator *co, int64_t producer_id, bool commit)
{
    struct group_out out = {0};

    groups_end_pending(coordinator_groups(co), coordinator_now(co), producer_id, commit, &out);
    carry_out(co, &out);
}

const struct coordinator_kind coordinator_groups_kind = {
    .topic = CONTROL_GROUPS_TOPIC,
    .what = "groups",
    .make = make,
    .drop = drop,
    .committed = committed,
    .refused = refused,
    .loaded = loaded,
    .give_up = give_up,
    .wake_ms = wake_ms,
    .tick = tick,
    .dump = dump,
    .expire = expire,
    .count = count,
    .forget_topics = forget_topics,
    .topics_changed = topics_changed,
    .pending = pending,
    .ended = ended,
};

/* ---- for handlers ---------------------------------------------------------------------------- */

int32_t coordinator_partition(const struct node *node, struct slice group_id)
{
    return coordinator_index(node, &coordinator_groups_kind, group_id);
}

int coordinator_of(struct node *node, struct slice group_id, struct coordinator **out)
{
    return coordinator_find(node, &coordinator_groups_kind, group_id, out);
}

int coordinator_commit(struct coordinator *co, struct coordinator_producer producer,
                       struct slice group_id, const struct control_topic *topic, int32_t partition,
                       const struct group_offset_value *value)
{
    struct buf key = {0};
    struct buf packed = {0};

    if (coordinator_full(co)) {
        return TERN_ELOADING; /* one request can ask for much more than its own size */
    }
    if (partition < 0 || (uint32_t)partition >= topic->partition_count) {
        return TERN_ENOENT;
    }
    if (value->metadata.len > GROUP_METADATA_MAX) {
        return TERN_EMETADATATOOLARGE;
    }
    group_offset_key(&key, group_id, slice_text(topic->name), partition);
    group_offset_value(&packed, value);
    coordinator_append_as(co, producer, buf_slice(&key), buf_slice(&packed));
    buf_fini(&key);
    buf_fini(&packed);
    return 0;
}

struct walk {
    void (*each)(void *ctx, const struct group *group);
    void *ctx;
};

static void walk_groups(void *ctx, struct coordinator *co)
{
    const struct walk *walk = ctx;

    for (const struct group *g = coordinator_groups(co)->all; g != NULL; g = g->hh.next) {
        walk->each(walk->ctx, g);
    }
}

bool coordinators_each(struct node *node, void (*each)(void *ctx, const struct group *group),
                       void *ctx)
{
    struct walk walk = {each, ctx};

    return coordinators_of(node, &coordinator_groups_kind, walk_groups, &walk);
}

void coordinator_count(const struct partition *p, struct node_counters *counters)
{
    struct coordinator *co = p->coordinator;
    const struct groups *groups = co != NULL ? coordinator_groups(co) : NULL;

    if (groups == NULL || !coordinator_is_active(co)) {
        return;
    }
    for (const struct group *g = groups->all; g != NULL; g = g->hh.next) {
        counters->groups++;
        counters->group_members += g->member_count;
        counters->group_members += g->consumer != NULL ? g->consumer->member_count : 0;
    }
    counters->group_bytes += groups->bytes;
    counters->groups_log_bytes += coordinator_log_bytes(co);
}
