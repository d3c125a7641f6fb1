/* SPDX-License-Identifier: Apache-2.0 */
/* What a group of the new protocol is, and the records that say so. */
#include <string.h>

#include "group/consumer_inner.h"

#define MEMBER_COST 1200 /* bytes, about, without its records */

/* ---- who has what ---------------------------------------------------------------------------- */

struct consumer_owner {
    UT_hash_handle hh; /* in consumer.owners, by part */
    struct topic_part part;
    struct consumer_member *member;
};

static struct consumer_owner *owner_of(const struct consumer *consumer,
                                       const struct topic_part *part)
{
    struct consumer_owner *owner;

    HASH_FIND(hh, consumer->owners, part, sizeof *part, owner);
    return owner;
}

bool consumer_owned_by_other(const struct consumer_member *member, const struct topic_part *part)
{
    const struct consumer_owner *owner = owner_of(member->group->consumer, part);

    return owner != NULL && owner->member != member;
}

static void release(struct consumer_member *member, const struct part_set *parts)
{
    struct consumer *consumer = member->group->consumer;

    for (uint32_t i = 0; i < parts->count; i++) {
        struct consumer_owner *owner = owner_of(consumer, &parts->at[i]);
        if (owner != NULL && owner->member == member) {
            HASH_DEL(consumer->owners, owner);
            free(owner);
        }
    }
}

static void claim(struct consumer_member *member, const struct part_set *parts)
{
    struct consumer *consumer = member->group->consumer;

    for (uint32_t i = 0; i < parts->count; i++) {
        struct consumer_owner *owner = owner_of(consumer, &parts->at[i]);
        if (owner == NULL) {
            owner = mem_new(sizeof *owner);
            owner->part = parts->at[i];
            HASH_ADD(hh, consumer->owners, part, sizeof owner->part, owner);
        }
        owner->member = member;
    }
}

void consumer_member_take(struct consumer_member *member, struct part_set *assigned,
                          struct part_set *revoking)
{
    release(member, &member->assigned);
    release(member, &member->revoking);
    part_set_fini(&member->assigned);
    part_set_fini(&member->revoking);
    member->assigned = *assigned;
    member->revoking = *revoking;
    *assigned = (struct part_set){0};
    *revoking = (struct part_set){0};
    claim(member, &member->assigned);
    claim(member, &member->revoking);
}

/* ---- members --------------------------------------------------------------------------------- */

struct consumer *consumer_new(void)
{
    return mem_new(sizeof(struct consumer));
}

struct consumer_member *consumer_member_of(const struct consumer *consumer, struct slice id)
{
    struct consumer_member *member;

    HASH_FIND(hh, consumer->members, id.base, id.len, member);
    return member;
}

struct consumer_member *consumer_member_by_instance(const struct consumer *consumer,
                                                    struct slice instance_id)
{
    for (struct consumer_member *m = consumer->members; m != NULL && instance_id.len > 0;
         m = m->hh.next) {
        if (text_is(&m->instance_id, instance_id)) {
            return m;
        }
    }
    return NULL;
}

struct consumer_member *consumer_member_new(struct groups *groups, struct group *group,
                                            struct slice id)
{
    struct consumer_member *member = mem_new(sizeof *member);

    member->group = group;
    member->state = CONSUMER_STABLE;
    member->fresh = true;
    member->session.kind = GROUP_TIMER_CONSUMER_SESSION;
    member->rebalance.kind = GROUP_TIMER_CONSUMER_REBALANCE;
    buf_put(&member->id, id);
    HASH_ADD_KEYPTR(hh, group->consumer->members, member->id.base, member->id.len, member);
    group->consumer->member_count++;
    groups->bytes += MEMBER_COST;
    return member;
}

void consumer_member_drop(struct groups *groups, struct consumer_member *member)
{
    struct consumer *consumer = member->group->consumer;

    group_timer_stop(groups, &member->session);
    group_timer_stop(groups, &member->rebalance);
    release(member, &member->assigned);
    release(member, &member->revoking);
    HASH_DEL(consumer->members, member);
    consumer->member_count--;
    groups->bytes -= MEMBER_COST;
    queue_push(&groups->dead_consumers, &member->dead);
}

void consumer_member_free(struct groups *groups, struct consumer_member *member)
{
    (void)groups;
    buf_fini(&member->id);
    buf_fini(&member->instance_id);
    buf_fini(&member->rack_id);
    buf_fini(&member->client_id);
    buf_fini(&member->client_host);
    buf_fini(&member->names);
    buf_fini(&member->regex);
    buf_fini(&member->assignor);
    buf_fini(&member->protocols);
    free(member->topics);
    part_set_fini(&member->assigned);
    part_set_fini(&member->revoking);
    part_set_fini(&member->target);
    free(member);
}

void consumer_free(struct groups *groups, struct consumer *consumer)
{
    struct consumer_member *member;
    struct consumer_member *next;

    if (consumer == NULL) {
        return;
    }
    HASH_ITER (hh, consumer->members, member, next) {
        consumer_member_drop(groups, member);
    }
    CHECK(consumer->owners == NULL);
    free(consumer);
}

/* ---- asking for records ---------------------------------------------------------------------- */

static struct group_effect *ask(struct group *group, enum group_key_kind kind,
                                struct consumer_member *member, struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_APPEND);
    struct slice id = member != NULL ? buf_slice(&member->id) : (struct slice){0};

    group_consumer_key(&effect->key, kind, buf_slice(&group->id), id);
    group->asked++;
    if (member != NULL) {
        member->asked = group->asked;
    }
    return effect;
}

void consumer_put_group(struct group *group, struct group_out *out)
{
    struct group_effect *effect = ask(group, GROUP_KEY_CONSUMER, NULL, out);
    struct consumer_value value = {group->consumer->epoch, group->consumer->metadata_hash};

    consumer_value_put(&effect->value, &value);
}

static struct slice or_null(const struct buf *text)
{
    return text->len > 0 ? buf_slice(text) : (struct slice){0};
}

void consumer_put_member(struct consumer_member *member, struct group_out *out)
{
    struct group_effect *effect = ask(member->group, GROUP_KEY_MEMBER, member, out);
    struct consumer_member_value value = {
        .instance_id = or_null(&member->instance_id),
        .rack_id = or_null(&member->rack_id),
        .client_id = buf_slice(&member->client_id),
        .client_host = buf_slice(&member->client_host),
        .regex = or_null(&member->regex),
        .assignor = or_null(&member->assignor),
        .rebalance_timeout_ms = member->rebalance_timeout_ms,
        .classic = member->classic,
        .session_timeout_ms = member->session_timeout_ms,
        .protocols = buf_slice(&member->protocols),
        .protocol_count = member->protocol_count,
    };

    consumer_member_value_put(&effect->value, &value, buf_slice(&member->names));
    member->fresh = false;
}

void consumer_put_target_epoch(struct group *group, struct group_out *out)
{
    struct group_effect *effect = ask(group, GROUP_KEY_TARGET, NULL, out);

    consumer_target_value_put(&effect->value, group->consumer->target_epoch);
}

void consumer_put_target(struct consumer_member *member, struct group_out *out)
{
    struct group_effect *effect = ask(member->group, GROUP_KEY_TARGET_MEMBER, member, out);

    consumer_part_value_put(&effect->value, &member->target);
}

void consumer_put_current(struct consumer_member *member, struct group_out *out)
{
    struct group_effect *effect = ask(member->group, GROUP_KEY_CURRENT, member, out);
    struct consumer_current_value value = {member->epoch, member->previous_epoch,
                                           (int8_t)member->state};

    consumer_current_value_put(&effect->value, &value, &member->assigned, &member->revoking);
}

void consumer_put_gone(struct consumer_member *member, struct group_out *out)
{
    ask(member->group, GROUP_KEY_CURRENT, member, out)->tombstone = true;
    ask(member->group, GROUP_KEY_TARGET_MEMBER, member, out)->tombstone = true;
    ask(member->group, GROUP_KEY_MEMBER, member, out)->tombstone = true;
}

/* ---- from records ---------------------------------------------------------------------------- */

static bool load_member(struct groups *groups, struct group *group, const struct group_key *key,
                        struct slice bytes)
{
    struct consumer_member_value value;
    struct buf names = {0};
    struct buf protocols = {0};
    int status = consumer_member_value_read(bytes, &value, &names, &protocols);

    if (status == 0) {
        struct consumer_member *m = consumer_member_new(groups, group, key->member_id);
        m->fresh = false;
        text_set(&m->instance_id, value.instance_id);
        text_set(&m->rack_id, value.rack_id);
        text_set(&m->client_id, value.client_id);
        text_set(&m->client_host, value.client_host);
        text_set(&m->regex, value.regex);
        text_set(&m->assignor, value.assignor);
        text_set(&m->names, buf_slice(&names));
        text_set(&m->protocols, buf_slice(&protocols));
        m->protocol_count = value.protocol_count;
        m->rebalance_timeout_ms = value.rebalance_timeout_ms;
        m->classic = value.classic;
        m->session_timeout_ms = value.session_timeout_ms;
    }
    buf_fini(&names);
    buf_fini(&protocols);
    return status == 0;
}

static int load_current(struct consumer_member *m, struct slice bytes)
{
    struct consumer_current_value value;
    struct part_set assigned = {0};
    struct part_set revoking = {0};
    int status = consumer_current_value_read(bytes, &value, &assigned, &revoking);

    if (status == 0 && (value.state < CONSUMER_STABLE || value.state > CONSUMER_UNRELEASED)) {
        status = TERN_EUNSUPPORTED;
    }
    if (status == 0) {
        m->epoch = value.epoch;
        m->previous_epoch = value.previous_epoch;
        m->state = (enum consumer_member_state)value.state;
        consumer_member_take(m, &assigned, &revoking);
    }
    part_set_fini(&assigned);
    part_set_fini(&revoking);
    return status;
}

static bool load_other(struct group *group, const struct group_key *key, struct slice bytes)
{
    struct consumer *consumer = group->consumer;
    struct consumer_value value;
    struct consumer_member *m = NULL;

    if (key->member_id.base != NULL) {
        m = consumer_member_of(consumer, key->member_id);
        if (m == NULL) {
            return false; /* the beginning of an event that was cut short */
        }
    }
    switch (key->kind) {
    case GROUP_KEY_CONSUMER:
        if (consumer_value_read(bytes, &value) != 0) {
            return false;
        }
        consumer->epoch = value.epoch;
        consumer->metadata_hash = value.metadata_hash;
        return true;
    case GROUP_KEY_TARGET:
        return consumer_target_value_read(bytes, &consumer->target_epoch) == 0;
    case GROUP_KEY_TARGET_MEMBER:
        return m != NULL && consumer_part_value_read(bytes, &m->target) == 0;
    case GROUP_KEY_CURRENT:
        return m != NULL && load_current(m, bytes) == 0;
    case GROUP_KEY_OFFSET:
    case GROUP_KEY_GROUP:
    case GROUP_KEY_BARRIER:
    case GROUP_KEY_MEMBER:
        break;
    }
    return true;
}

void consumer_load(struct groups *groups, struct group *group, struct group_now now)
{
    struct group_key key;

    CHECK(group->consumer == NULL);
    group->consumer = consumer_new();
    for (int round = 0; round < 2; round++) { /* members first */
        for (const struct group_record *r = group->records; r != NULL; r = r->hh.next) {
            int status = group_key_read(slice_of(r->key, r->key_len), &key);
            CHECK(status == 0); /* it was read when it was taken */
            if ((round == 0) != (key.kind == GROUP_KEY_MEMBER)) {
                continue;
            }
            bool good = round == 0 ? load_member(groups, group, &key, buf_slice(&r->value))
                                   : load_other(group, &key, buf_slice(&r->value));
            groups->bad_records += !good;
        }
    }
    for (struct consumer_member *m = group->consumer->members; m != NULL; m = m->hh.next) {
        (void)consumer_resolve(groups, m);
        consumer_touch(groups, m, now);
        if (m->state == CONSUMER_UNREVOKED) {
            group_timer_at(groups, &m->rebalance,
                           now.ms + (uint64_t)(m->rebalance_timeout_ms > 0 ? m->rebalance_timeout_ms
                                                                           : CONSUMER_SESSION_MS));
        }
    }
    text_set(&group->protocol_type, slice_text("consumer"));
}
