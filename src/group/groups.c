/* SPDX-License-Identifier: Apache-2.0 */
/* All groups of a partition: loading, committed records, timers, questions. */
#include <string.h>

#include "group/consumer.h"
#include "group/inner.h"
#include "group/pending.h"

#define GROUP_COST 1500 /* bytes that an empty group takes, about */

const char *group_state_name(enum group_state state)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable"};

    CHECK((size_t)state < ARRAY_COUNT(names));
    return names[state];
}

const char *group_state_text(const struct group *group)
{
    return group->consumer != NULL ? consumer_state_name(group->consumer)
                                   : group_state_name(group->state);
}

bool group_is_empty(const struct group *group)
{
    return group->consumer != NULL ? group->consumer->members == NULL : group->state == GROUP_EMPTY;
}

/* ---- effects --------------------------------------------------------------------------------- */

struct group_effect *group_effect_add(struct group_out *out, enum group_effect_kind kind)
{
    if (out->count == out->cap) {
        out->cap = out->cap > 0 ? out->cap * 2 : 8;
        out->effects = mem_grow(out->effects, out->cap, sizeof *out->effects);
    }
    struct group_effect *effect = &out->effects[out->count++];
    *effect = (struct group_effect){.kind = kind};
    return effect;
}

void group_out_fini(struct group_out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        buf_fini(&out->effects[i].key);
        buf_fini(&out->effects[i].value);
    }
    free(out->effects);
    *out = (struct group_out){0};
}

/* ---- timers ---------------------------------------------------------------------------------- */

/* The heap wants one; these are never fired by a clock. */
static void no_fire(struct timer *timer)
{
    (void)timer;
}

void group_timer_at(struct groups *groups, struct group_timer *timer, uint64_t at_ms)
{
    timer->timer.fire = no_fire;
    timer_heap_set(&groups->timers, &timer->timer, at_ms * 1000);
}

void group_timer_stop(struct groups *groups, struct group_timer *timer)
{
    timer_heap_stop(&groups->timers, &timer->timer);
}

uint64_t groups_wake_ms(const struct groups *groups)
{
    uint64_t next_us = timer_heap_next_us(&groups->timers);

    return next_us == UINT64_MAX ? UINT64_MAX : next_us / 1000;
}

bool groups_tick(struct groups *groups, struct group_now now, struct group_out *out)
{
    groups_bury(groups);
    struct timer *due = timer_heap_due(&groups->timers, now.ms * 1000);
    if (due == NULL) {
        return false;
    }
    struct group_timer *timer = CONTAINER_OF(due, struct group_timer, timer);
    struct group *group = NULL;
    switch (timer->kind) {
    case GROUP_TIMER_GROUP:
        group = CONTAINER_OF(timer, struct group, timer);
        group_timer_fired(groups, group, now, out);
        break;
    case GROUP_TIMER_SESSION: {
        struct group_member *member = CONTAINER_OF(timer, struct group_member, session);
        group = member->group;
        group_session_over(groups, member, now, out);
        break;
    }
    case GROUP_TIMER_PENDING: {
        struct group_pending *pending = CONTAINER_OF(timer, struct group_pending, timer);
        group = pending->group;
        group_pending_remove(groups, pending);
        group_maybe_complete(groups, group, now, out);
        break;
    }
    case GROUP_TIMER_CONSUMER_SESSION:
    case GROUP_TIMER_CONSUMER_REBALANCE: {
        struct consumer_member *member =
            timer->kind == GROUP_TIMER_CONSUMER_SESSION
                ? CONTAINER_OF(timer, struct consumer_member, session)
                : CONTAINER_OF(timer, struct consumer_member, rebalance);
        group = member->group;
        consumer_session_over(groups, member, now, out);
        break;
    }
    }
    group_settle(groups, group);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct groups *groups_new(const struct groups_settings *settings)
{
    struct groups *groups = mem_new(sizeof *groups);

    groups->settings = *settings;
    if (groups->settings.consumer_session_ms == 0) {
        groups->settings.consumer_session_ms = CONSUMER_SESSION_MS;
    }
    if (groups->settings.consumer_interval_ms == 0) {
        groups->settings.consumer_interval_ms = CONSUMER_INTERVAL_MS;
    }
    queue_init(&groups->dead_groups);
    queue_init(&groups->dead_members);
    queue_init(&groups->dead_consumers);
    return groups;
}

static void free_group(struct group *group)
{
    buf_fini(&group->id);
    buf_fini(&group->protocol_type);
    buf_fini(&group->protocol);
    buf_fini(&group->leader);
    buf_fini(&group->stored);
    free(group);
}

void groups_bury(struct groups *groups)
{
    struct link *link;

    while ((link = queue_pop(&groups->dead_members)) != NULL) {
        group_member_free(groups, CONTAINER_OF(link, struct group_member, dead));
    }
    while ((link = queue_pop(&groups->dead_consumers)) != NULL) {
        consumer_member_free(groups, CONTAINER_OF(link, struct consumer_member, dead));
    }
    while ((link = queue_pop(&groups->dead_groups)) != NULL) {
        free_group(CONTAINER_OF(link, struct group, dead));
    }
}

static size_t record_cost(const struct group_record *record)
{
    return sizeof *record + record->key_len + record->value.len;
}

static void drop_record(struct groups *groups, struct group *group, struct group_record *record)
{
    HASH_DEL(group->records, record);
    groups->bytes -= record_cost(record);
    buf_fini(&record->value);
    free(record);
}

static void drop_records(struct groups *groups, struct group *group)
{
    struct group_record *record;
    struct group_record *next;

    HASH_ITER (hh, group->records, record, next) {
        drop_record(groups, group, record);
    }
}

static void drop_group(struct groups *groups, struct group *group)
{
    struct group_member *member;
    struct group_member *next;
    struct group_pending *pending;
    struct group_pending *after;

    HASH_ITER (hh, group->members, member, next) {
        group_timer_stop(groups, &member->session);
        HASH_DEL(group->members, member);
        group_member_free(groups, member);
    }
    HASH_ITER (hh, group->pending, pending, after) {
        group_pending_remove(groups, pending);
    }
    group_offsets_drop(groups, group);
    consumer_free(groups, group->consumer);
    group->consumer = NULL;
    drop_records(groups, group);
    group_timer_stop(groups, &group->timer);
    groups->bytes -= GROUP_COST + group->id.len + group->stored.len;
    HASH_DEL(groups->all, group);
}

void groups_free(struct groups *groups)
{
    struct group *group;
    struct group *next;

    if (groups == NULL) {
        return;
    }
    groups_bury(groups);
    HASH_ITER (hh, groups->all, group, next) {
        drop_group(groups, group);
        free_group(group);
    }
    groups_bury(groups);
    groups_drop_pending(groups);
    CHECK(groups->bytes == 0);
    timer_heap_fini(&groups->timers);
    free(groups);
}

void groups_give_up(struct groups *groups, int error, struct group_out *out)
{
    groups_bury(groups);
    for (struct group *group = groups->all; group != NULL; group = group->hh.next) {
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
            if (m->joining != NULL) {
                group_refuse_join(m, error, out);
            }
            if (m->syncing != NULL) {
                group_answer_sync(group, m, error, out);
            }
        }
    }
}

const struct group *groups_find(const struct groups *groups, struct slice id)
{
    struct group *group;

    HASH_FIND(hh, groups->all, id.base, id.len, group);
    return group;
}

struct group *groups_make(struct groups *groups, struct slice id)
{
    struct group *group;

    HASH_FIND(hh, groups->all, id.base, id.len, group);
    if (group != NULL) {
        return group;
    }
    group = mem_new(sizeof *group);
    buf_extend(&group->id, 1); /* an empty id has an address, too */
    text_set(&group->id, id);
    group->timer.kind = GROUP_TIMER_GROUP;
    group->sync_generation = -1;
    HASH_ADD_KEYPTR(hh, groups->all, group->id.base, group->id.len, group);
    groups->bytes += GROUP_COST + id.len;
    return group;
}

void group_settle(struct groups *groups, struct group *group)
{
    if (group->state == GROUP_EMPTY && group->members == NULL && group->pending == NULL &&
        group->offsets == NULL && group->stored.len == 0 && group->stores == 0 &&
        group->records == NULL && group->asked == group->done && group_is_empty(group)) {
        drop_group(groups, group);
        queue_push(&groups->dead_groups, &group->dead);
    }
}

/* ---- records --------------------------------------------------------------------------------- */

static void load_group(struct groups *groups, struct group *group, struct group_now now);

void group_tombstone(struct group *group, struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_APPEND);

    group_group_key(&effect->key, buf_slice(&group->id));
    effect->tombstone = true;
}

static void put_value(const struct group *group, struct buf *out)
{
    struct group_value value = {
        .protocol_type = buf_slice(&group->protocol_type),
        .generation = group->generation,
        .protocol = buf_slice(&group->protocol),
        .leader = buf_slice(&group->leader),
        .since_ms = group->since_wall_ms,
        .member_count = group->member_count,
    };
    if (value.protocol.len == 0) {
        value.protocol.base = NULL;
    }
    if (value.leader.len == 0) {
        value.leader.base = NULL;
    }
    group_value_put(out, &value);
    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        struct group_value_member member = {
            .id = buf_slice(&m->id),
            .instance_id = buf_slice(&m->instance_id),
            .client_id = buf_slice(&m->client_id),
            .client_host = buf_slice(&m->client_host),
            .rebalance_timeout_ms = m->rebalance_timeout_ms,
            .session_timeout_ms = m->session_timeout_ms,
            .subscription = group_member_metadata(m),
            .assignment = buf_slice(&m->assignment),
        };
        if (member.instance_id.len == 0) {
            member.instance_id.base = NULL;
        }
        group_value_member_put(out, &member);
    }
}

static size_t value_size(const struct group *group)
{
    size_t size = 64 + group->protocol_type.len + group->protocol.len + group->leader.len;

    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        size += 32 + m->id.len + m->instance_id.len + m->client_id.len + m->client_host.len +
                group_member_metadata(m).len + m->assignment.len;
    }
    return size;
}

bool group_store(struct group *group, struct group_out *out)
{
    if (value_size(group) > GROUP_VALUE_MAX) {
        return false;
    }
    struct group_effect *effect = group_effect_add(out, GROUP_APPEND);
    group_group_key(&effect->key, buf_slice(&group->id));
    put_value(group, &effect->value);
    group->stores++;
    return true;
}

static void committed_group(struct groups *groups, struct group_now now, struct group *group,
                            struct slice value, struct group_out *out)
{
    groups->bytes -= group->stored.len;
    text_set(&group->stored, value);
    groups->bytes += value.len;
    drop_records(groups, group); /* it was of the new protocol before */
    if (group->stores > 0 && --group->stores == 0) {
        group_stored(groups, group, now, out);
    }
}

/* Whoever is in the group by now stays there; what was stored of it is gone. */
static void committed_tombstone(struct groups *groups, struct group *group)
{
    groups->bytes -= group->stored.len;
    buf_clear(&group->stored);
    drop_records(groups, group);
    group_offsets_drop(groups, group);
    if (group->consumer != NULL && group->consumer->members == NULL) {
        consumer_free(groups, group->consumer);
        group->consumer = NULL;
    }
}

/* ---- records of the new protocol ------------------------------------------------------------- */

static void keep_record(struct groups *groups, struct group *group, struct slice key,
                        struct slice value)
{
    struct group_record *record;

    HASH_FIND(hh, group->records, key.base, key.len, record);
    if (record == NULL && value.base == NULL) {
        return;
    }
    if (record != NULL && value.base == NULL) {
        drop_record(groups, group, record);
        return;
    }
    if (record == NULL) {
        record = mem_new(sizeof *record + key.len);
        record->key_len = key.len;
        memcpy(record->key, key.base, key.len);
        HASH_ADD_KEYPTR(hh, group->records, record->key, record->key_len, record);
    } else {
        groups->bytes -= record_cost(record);
    }
    text_set(&record->value, value);
    groups->bytes += record_cost(record);
}

/* All that was asked for is committed or refused, and something was refused: what is committed is
 * what there is. */
static void mend(struct groups *groups, struct group *group, struct group_now now)
{
    if (!group->broken || group->asked > group->done) {
        return;
    }
    group->broken = false;
    if (group->records != NULL) {
        consumer_load(groups, group, now);
    } else if (group->stored.len > 0) {
        load_group(groups, group, now);
    }
}

static void committed_record(struct groups *groups, struct group_now now, struct group *group,
                             enum group_key_kind kind, struct slice key, struct slice value)
{
    if (kind == GROUP_KEY_CONSUMER && value.base == NULL) {
        drop_records(groups, group);
    } else {
        keep_record(groups, group, key, value);
    }
    if (kind == GROUP_KEY_CONSUMER && value.base != NULL) {
        groups->bytes -= group->stored.len; /* it was a classic one before */
        buf_clear(&group->stored);
    }
    if (group->done < group->asked) {
        group->done++;
    }
    mend(groups, group, now);
}

/* What is in memory may be ahead of what will ever be committed. */
static void break_consumer(struct groups *groups, struct group *group, struct group_now now,
                           struct group_out *out)
{
    if (group->done < group->asked) {
        group->done++;
    }
    group->broken = true;
    consumer_free(groups, group->consumer);
    group->consumer = NULL;
    group_forget_members(groups, group, TERN_ENOCOORDINATOR, out);
    mend(groups, group, now);
}

static void committed_offset(struct groups *groups, const struct group_key *key, struct slice value)
{
    struct group_offset_value v;

    if (value.base == NULL) {
        struct group *group;
        HASH_FIND(hh, groups->all, key->group_id.base, key->group_id.len, group);
        struct group_offset *found =
            group != NULL ? group_offset_of(group, key->topic, key->partition) : NULL;
        if (found != NULL) {
            group_offset_drop(groups, group, found);
            group_settle(groups, group);
        }
        return;
    }
    if (group_offset_value_read(value, &v) != 0) {
        groups->bad_records++;
        return;
    }
    group_offset_put(groups, groups_make(groups, key->group_id), key->topic, key->partition, &v);
}

void groups_committed(struct groups *groups, struct group_now now, struct slice key_bytes,
                      struct slice value, struct group_out *out)
{
    struct group_key key;
    struct group_value ignored;
    struct group *group;

    groups_bury(groups);
    if (group_key_read(key_bytes, &key) != 0) {
        groups->bad_records++;
        return;
    }
    switch (key.kind) {
    case GROUP_KEY_BARRIER:
        break;
    case GROUP_KEY_OFFSET:
        committed_offset(groups, &key, value);
        break;
    case GROUP_KEY_GROUP:
        if (value.base != NULL && group_value_read(value, &ignored) != 0) {
            groups->bad_records++;
            break;
        }
        HASH_FIND(hh, groups->all, key.group_id.base, key.group_id.len, group);
        if (value.base != NULL) {
            group = groups_make(groups, key.group_id);
            committed_group(groups, now, group, value, out);
        } else if (group != NULL) {
            committed_tombstone(groups, group);
        }
        if (group != NULL) {
            group_settle(groups, group);
        }
        break;
    case GROUP_KEY_CONSUMER:
    case GROUP_KEY_MEMBER:
    case GROUP_KEY_TARGET:
    case GROUP_KEY_TARGET_MEMBER:
    case GROUP_KEY_CURRENT:
        group = groups_make(groups, key.group_id);
        committed_record(groups, now, group, key.kind, key_bytes, value);
        group_settle(groups, group);
        break;
    }
}

void groups_refused(struct groups *groups, struct group_now now, struct slice key_bytes,
                    struct group_out *out)
{
    struct group_key key;
    struct group *group;

    groups_bury(groups);
    if (group_key_read(key_bytes, &key) != 0 || key.kind == GROUP_KEY_OFFSET ||
        key.kind == GROUP_KEY_BARRIER) {
        return;
    }
    HASH_FIND(hh, groups->all, key.group_id.base, key.group_id.len, group);
    if (key.kind != GROUP_KEY_GROUP) {
        if (group != NULL && group->asked > group->done) {
            break_consumer(groups, group, now, out);
            group_settle(groups, group);
        }
        return;
    }
    if (group == NULL || group->stores == 0) {
        return;
    }
    group->stores--;
    if (group->state == GROUP_COMPLETING && group->sync_generation == group->generation) {
        group_prepare(groups, group, now, out);
    } else if (group->state == GROUP_STABLE) {
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
            if (m->joining != NULL) {
                group_refuse_join(m, TERN_ENOCOORDINATOR, out);
            }
        }
    }
    group_settle(groups, group);
}

static void load_group(struct groups *groups, struct group *group, struct group_now now)
{
    struct group_value value;
    struct group_value_member stored;

    int status = group_value_read(buf_slice(&group->stored), &value);
    CHECK(status == 0); /* it was read when it was taken */
    text_set(&group->protocol_type, value.protocol_type);
    group->generation = value.generation;
    text_set(&group->protocol, value.protocol);
    text_set(&group->leader, value.leader);
    group->since_wall_ms = value.since_ms >= 0 ? value.since_ms : now.wall_ms;
    for (uint32_t i = 0; i < value.member_count; i++) {
        group_value_next(&value, &stored);
        if (group_member_of(group, stored.id) != NULL) {
            groups->bad_records++;
            continue;
        }
        struct group_member *m = group_member_new(groups, group, stored.id, stored.instance_id);
        struct group_protocol protocol = {value.protocol, stored.subscription};
        text_set(&m->client_id, stored.client_id);
        text_set(&m->client_host, stored.client_host);
        m->session_timeout_ms = stored.session_timeout_ms;
        m->rebalance_timeout_ms = stored.rebalance_timeout_ms;
        m->fresh = false;
        group_member_set_protocols(groups, m, &protocol, 1);
        group_member_set_assignment(groups, m, stored.assignment);
        group_member_touch(groups, m, now.ms);
    }
    group->state = group->member_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
}

void groups_loaded(struct groups *groups, struct group_now now)
{
    groups_bury(groups);
    for (struct group *group = groups->all; group != NULL; group = group->hh.next) {
        if (group->records != NULL) {
            consumer_load(groups, group, now);
        } else if (group->stored.len > 0) {
            load_group(groups, group, now);
        }
    }
}

static bool dump_records(const struct group *group,
                         bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    bool go_on = true;

    for (const struct group_record *r = group->records; r != NULL && go_on; r = r->hh.next) {
        go_on = emit(ctx, slice_of(r->key, r->key_len), buf_slice(&r->value));
    }
    return go_on;
}

static bool dump_group(const struct group *group,
                       bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    struct buf key = {0};
    struct buf value = {0};
    bool go_on = true;

    if (group->stored.len > 0) {
        group_group_key(&key, buf_slice(&group->id));
        go_on = emit(ctx, buf_slice(&key), buf_slice(&group->stored));
    }
    go_on = go_on && dump_records(group, emit, ctx);
    for (struct group_offset *o = group->offsets; o != NULL && go_on; o = o->hh.next) {
        struct group_offset_value v = {
            .offset = o->offset,
            .leader_epoch = o->leader_epoch,
            .metadata = {o->metadata, o->metadata_len},
            .commit_ms = o->commit_ms,
            .expire_ms = o->expire_ms,
        };
        buf_clear(&key);
        buf_clear(&value);
        group_offset_key(&key, buf_slice(&group->id), group_offset_topic(o),
                         group_offset_partition(o));
        group_offset_value(&value, &v);
        go_on = emit(ctx, buf_slice(&key), buf_slice(&value));
    }
    buf_fini(&key);
    buf_fini(&value);
    return go_on;
}

bool groups_dump(const struct groups *groups,
                 bool (*emit)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    for (const struct group *group = groups->all; group != NULL; group = group->hh.next) {
        if (!dump_group(group, emit, ctx)) {
            return false;
        }
    }
    return true;
}

/* Java's String.hashCode counts UTF-16 units; bytes that are no UTF-8 count as themselves. */
uint32_t group_hash(struct slice id)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < id.len;) {
        uint32_t c = id.base[i];
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (more > 0 && i + more < id.len) {
            c &= 0x3fU >> more;
            for (size_t k = 1; k <= more; k++) {
                c = (c << 6) | (id.base[i + k] & 0x3fU);
            }
            i += more;
        }
        i++;
        if (c > 0xffff) {
            hash = hash * 31 + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + c;
    }
    return hash & 0x7fffffff;
}
