/* SPDX-License-Identifier: Apache-2.0 */
#include "group/mixed.h"

#include <stdlib.h>
#include <string.h>

#include "group/consumer_inner.h"

#define CONSUMER_PROTOCOL "consumer"

/* ---- ConsumerProtocol's messages ------------------------------------------------------------- */

struct subscription {
    struct slice *names;
    uint32_t name_count;
    struct part_set owned; /* of topics that there are */
    struct slice rack;     /* base NULL: not told */
    int16_t version;
};

static void subscription_fini(struct subscription *s)
{
    free(s->names);
    part_set_fini(&s->owned);
    *s = (struct subscription){0};
}

static struct slice read_string(struct reader *r)
{
    int16_t len = (int16_t)reader_be16(r);

    if (len < 0) {
        reader_fail(r);
        return (struct slice){0};
    }
    return reader_take(r, (size_t)len);
}

static uint32_t read_count(struct reader *r, size_t item_min)
{
    int32_t count = (int32_t)reader_be32(r);

    if (count < 0 || (size_t)count > reader_left(r) / item_min) {
        reader_fail(r);
        return 0;
    }
    return (uint32_t)count;
}

static void read_parts(const struct groups *groups, struct reader *r, struct part_set *out)
{
    const struct group_topics *topics = &groups->settings.topics;

    for (uint32_t n = read_count(r, 6); n > 0 && !r->failed; n--) {
        struct slice name = read_string(r);
        struct group_topic topic;
        bool known =
            !r->failed && topics->by_name != NULL && topics->by_name(topics->ctx, name, &topic);
        for (uint32_t k = read_count(r, 4); k > 0; k--) {
            int32_t partition = (int32_t)reader_be32(r);
            if (known) {
                part_set_add(out, topic.id, partition);
            }
        }
    }
    part_set_sort(out);
}

static bool read_subscription(const struct groups *groups, struct slice metadata,
                              struct subscription *out)
{
    struct reader r = reader_of(metadata);

    *out = (struct subscription){.version = (int16_t)reader_be16(&r)};
    uint32_t count = read_count(&r, 2);
    out->names = mem_new((count + 1) * sizeof *out->names);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        out->names[out->name_count++] = read_string(&r);
    }
    int32_t data = (int32_t)reader_be32(&r);
    if (data > 0) {
        (void)reader_take(&r, (size_t)data);
    }
    if (out->version >= 1) {
        read_parts(groups, &r, &out->owned);
    }
    if (out->version >= 2) {
        (void)reader_be32(&r);
    }
    if (out->version >= 3 && !r.failed) {
        int16_t len = (int16_t)reader_be16(&r);
        out->rack = len > 0 ? reader_take(&r, (size_t)len) : (struct slice){0};
    }
    if (r.failed || out->version < 0 || out->name_count > CONSUMER_NAMES_MAX) {
        subscription_fini(out);
        return false;
    }
    return true;
}

static bool read_assignment(const struct groups *groups, struct slice bytes, struct part_set *out)
{
    struct reader r = reader_of(bytes);

    if (bytes.len == 0) {
        return true; /* it has none yet */
    }
    (void)reader_be16(&r);
    read_parts(groups, &r, out);
    return !r.failed;
}

static void put_assignment(const struct groups *groups, const struct part_set *set, struct buf *out)
{
    const struct group_topics *topics = &groups->settings.topics;
    uint32_t count = 0;

    buf_be16(out, 0);
    size_t count_at = out->len;
    buf_be32(out, 0);
    for (uint32_t i = 0; i < set->count;) {
        struct group_topic topic;
        uint32_t end = i;
        while (end < set->count && uuid_equal(set->at[i].topic, set->at[end].topic)) {
            end++;
        }
        if (topics->by_id == NULL || !topics->by_id(topics->ctx, set->at[i].topic, &topic)) {
            i = end;
            continue; /* it is gone */
        }
        buf_be16(out, (uint16_t)topic.name.len);
        buf_put(out, topic.name);
        buf_be32(out, end - i);
        for (; i < end; i++) {
            buf_be32(out, (uint32_t)set->at[i].partition);
        }
        count++;
    }
    put_be32(out->base + count_at, count);
    buf_be32(out, 0xffffffff);
}

/* ---- protocols of a classic member ----------------------------------------------------------- */

static struct slice take_long(struct reader *r)
{
    return reader_take(r, reader_be32(r));
}

static bool has_protocol(const struct consumer_member *m, struct slice name)
{
    struct reader r = reader_of(buf_slice(&m->protocols));

    for (uint32_t i = 0; i < m->protocol_count; i++) {
        if (slice_equal(take_long(&r), name)) {
            return true;
        }
        (void)take_long(&r);
    }
    return false;
}

static bool all_have(const struct consumer *consumer, const struct consumer_member *but,
                     struct slice name)
{
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        if (m != but && m->classic && !has_protocol(m, name)) {
            return false;
        }
    }
    return true;
}

static bool supports(const struct consumer *consumer, const struct group_join *join)
{
    if (!slice_equal(join->protocol_type, slice_text(CONSUMER_PROTOCOL))) {
        return false;
    }
    for (uint32_t i = 0; i < join->protocol_count; i++) {
        if (all_have(consumer, consumer_member_of(consumer, join->member_id),
                     join->protocols[i].name)) {
            return true;
        }
    }
    return false;
}

static struct slice first_protocol(const struct consumer_member *m)
{
    struct reader r = reader_of(buf_slice(&m->protocols));

    return take_long(&r);
}

static void set_protocols(struct consumer_member *m, const struct group_protocol *protocols,
                          uint32_t count)
{
    buf_clear(&m->protocols);
    m->protocol_count = count;
    for (uint32_t i = 0; i < count; i++) {
        buf_be32(&m->protocols, (uint32_t)protocols[i].name.len);
        buf_put(&m->protocols, protocols[i].name);
        buf_be32(&m->protocols, (uint32_t)protocols[i].metadata.len);
        buf_put(&m->protocols, protocols[i].metadata);
    }
}

/* ---- from one protocol to the other ---------------------------------------------------------- */

static void forget_pending(struct groups *groups, struct group *group)
{
    struct group_pending *pending;
    struct group_pending *next;

    HASH_ITER (hh, group->pending, pending, next) {
        group_pending_remove(groups, pending);
    }
}

void group_forget_members(struct groups *groups, struct group *group, int error,
                          struct group_out *out)
{
    struct group_member *m;
    struct group_member *next;

    forget_pending(groups, group);
    HASH_ITER (hh, group->members, m, next) {
        if (m->joining != NULL) {
            group_refuse_join(m, error, out);
        }
        if (m->syncing != NULL) {
            group_answer_sync(group, m, error, out);
        }
        group_member_remove(groups, m, out);
    }
    group_timer_stop(groups, &group->timer);
    group->state = GROUP_EMPTY;
    group->initial = false;
    group->sync_generation = -1;
    buf_clear(&group->protocol);
    buf_clear(&group->leader);
}

static bool upgrade_member(struct groups *groups, struct group *group,
                           const struct group_member *from, struct group_now now)
{
    struct subscription s;
    struct part_set given = {0};
    struct part_set assigned = {0};
    struct part_set none = {0};
    bool changed;

    if (from->protocol_count == 0 || !read_subscription(groups, from->protocols[0].metadata, &s)) {
        return false;
    }
    bool good = read_assignment(groups, buf_slice(&from->assignment), &given);
    if (good) {
        struct consumer_member *m = consumer_member_new(groups, group, buf_slice(&from->id));
        m->fresh = false;
        m->classic = true;
        m->epoch = group->generation;
        m->previous_epoch = group->generation;
        m->session_timeout_ms = from->session_timeout_ms;
        m->rebalance_timeout_ms = from->rebalance_timeout_ms;
        text_set(&m->instance_id, buf_slice(&from->instance_id));
        text_set(&m->client_id, buf_slice(&from->client_id));
        text_set(&m->client_host, buf_slice(&from->client_host));
        text_set(&m->rack_id, s.rack);
        set_protocols(m, from->protocols, from->protocol_count);
        (void)consumer_subscribe(groups, m, s.names, s.name_count, (struct slice){0}, &changed);
        for (uint32_t i = 0; i < given.count; i++) {
            if (!consumer_owned_by_other(m, &given.at[i])) {
                part_set_add(&assigned, given.at[i].topic, given.at[i].partition);
            }
        }
        part_set_copy(&m->target, &assigned);
        consumer_member_take(m, &assigned, &none);
        consumer_touch(groups, m, now);
    }
    part_set_fini(&given);
    subscription_fini(&s);
    return good;
}

static void put_all(struct group *group, struct group_out *out)
{
    consumer_put_group(group, out);
    for (struct consumer_member *m = group->consumer->members; m != NULL; m = m->hh.next) {
        consumer_put_member(m, out);
        consumer_put_target(m, out);
        consumer_put_current(m, out);
    }
    consumer_put_target_epoch(group, out);
}

int group_upgrade(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out)
{
    bool good =
        group->members == NULL || text_is(&group->protocol_type, slice_text(CONSUMER_PROTOCOL));

    if (!good) {
        return TERN_EGROUPNOTFOUND;
    }
    group->consumer = consumer_new();
    group->consumer->epoch = group->generation > 0 ? group->generation : 0;
    group->consumer->target_epoch = group->consumer->epoch;
    for (const struct group_member *m = group->members; m != NULL && good; m = m->hh.next) {
        good = upgrade_member(groups, group, m, now);
    }
    if (!good) {
        consumer_free(groups, group->consumer);
        group->consumer = NULL;
        return TERN_EGROUPNOTFOUND;
    }
    group_forget_members(groups, group, TERN_EREBALANCE, out);
    text_set(&group->protocol_type, slice_text(CONSUMER_PROTOCOL));
    group->consumer->metadata_hash = consumer_metadata_hash(groups, group->consumer);
    if (group->consumer->members != NULL) {
        put_all(group, out);
    }
    return 0;
}

static bool all_classic(const struct consumer *consumer)
{
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        if (!m->classic) {
            return false;
        }
    }
    return consumer->members != NULL;
}

static void downgrade_member(struct groups *groups, struct group *group,
                             const struct consumer_member *from, struct group_now now)
{
    struct group_protocol protocols[GROUP_PROTOCOLS_MAX];
    struct reader r = reader_of(buf_slice(&from->protocols));
    struct buf assignment = {0};

    struct group_member *m =
        group_member_new(groups, group, buf_slice(&from->id), buf_slice(&from->instance_id));
    CHECK(from->protocol_count <= GROUP_PROTOCOLS_MAX);
    for (uint32_t i = 0; i < from->protocol_count; i++) {
        protocols[i].name = take_long(&r);
        protocols[i].metadata = take_long(&r);
    }
    text_set(&m->client_id, buf_slice(&from->client_id));
    text_set(&m->client_host, buf_slice(&from->client_host));
    m->session_timeout_ms = from->session_timeout_ms;
    m->rebalance_timeout_ms = from->rebalance_timeout_ms;
    m->fresh = false;
    group_member_set_protocols(groups, m, protocols, from->protocol_count);
    put_assignment(groups, &from->assigned, &assignment);
    group_member_set_assignment(groups, m, buf_slice(&assignment));
    group_member_touch(groups, m, now.ms);
    buf_fini(&assignment);
}

void group_downgrade(struct groups *groups, struct group *group, struct group_now now,
                     struct group_out *out)
{
    struct consumer *consumer = group->consumer;

    if (consumer == NULL || !all_classic(consumer)) {
        return;
    }
    group->generation = consumer->epoch;
    text_set(&group->protocol_type, slice_text(CONSUMER_PROTOCOL));
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        downgrade_member(groups, group, m, now);
    }
    consumer_free(groups, consumer);
    group->consumer = NULL;
    text_set(&group->leader, buf_slice(&group->members->id));
    struct slice chosen = group_vote(group);
    text_set(&group->protocol, chosen);
    group->state = GROUP_STABLE;
    group->since_wall_ms = now.wall_ms;
    (void)group_store(group, out); /* too large: its next plan will be refused */
    group_prepare(groups, group, now, out);
}

/* ---- JoinGroup ------------------------------------------------------------------------------- */

bool groups_mixed(const struct groups *groups, struct slice group_id)
{
    const struct group *group = groups_find(groups, group_id);

    return group != NULL &&
           (group->broken || (group->consumer != NULL && group->consumer->members != NULL));
}

static int find_member(struct groups *groups, struct group *group, struct group_now now,
                       const struct group_join *join, struct slice id,
                       struct consumer_member **out_member, struct group_out *out)
{
    if (join->instance_id.len > 0) {
        return consumer_find_static(groups, group, now, id, join->instance_id,
                                    join->member_id.len == 0, true, out_member, out);
    }
    *out_member = consumer_member_of(group->consumer, id);
    if (*out_member == NULL && group->consumer->member_count >= GROUP_MEMBERS_MAX) {
        return TERN_EGROUPFULL;
    }
    if (*out_member == NULL) {
        *out_member = consumer_member_new(groups, group, id);
    }
    return 0;
}

static void update(struct groups *groups, struct group *group, struct consumer_member *m,
                   const struct group_join *join, const struct subscription *s,
                   struct group_out *out)
{
    bool bump = false;

    (void)consumer_subscribe(groups, m, s->names, s->name_count, slice_of("", 0), &bump);
    bump = bump || m->fresh;
    text_set(&m->instance_id, join->instance_id);
    text_set(&m->rack_id, s->rack);
    text_set(&m->client_id, join->client_id);
    text_set(&m->client_host, join->client_host);
    buf_clear(&m->assignor);
    m->classic = true;
    m->session_timeout_ms = join->session_timeout_ms;
    m->rebalance_timeout_ms = join->rebalance_timeout_ms;
    set_protocols(m, join->protocols, join->protocol_count);
    consumer_put_member(m, out);
    if (bump) {
        consumer_bump(groups, group, out);
    }
}

static int mixed_join(struct groups *groups, struct group *group, struct group_now now,
                      const struct group_join *join, struct mixed_answer *answer,
                      struct group_out *out)
{
    struct consumer_member *m = NULL;
    struct subscription s;
    struct buf id = {0};
    int status;

    if (!supports(group->consumer, join) ||
        !read_subscription(groups, join->protocols[0].metadata, &s)) {
        return TERN_EINCONSISTENTPROTOCOL;
    }
    if (join->member_id.len > 0) {
        buf_put(&id, join->member_id);
    } else {
        group_make_id(join, &id);
    }
    if (join->member_id.len == 0 && join->id_required && join->instance_id.len == 0) {
        text_set(&answer->assignment, buf_slice(&id));
        answer->member_id = buf_slice(&answer->assignment); /* a place that stays */
        status = TERN_EMEMBERIDREQUIRED;
    } else {
        status = find_member(groups, group, now, join, buf_slice(&id), &m, out);
    }
    if (status == 0) {
        update(groups, group, m, join, &s, out);
        consumer_assign(groups, group, out);
        if (m->epoch < 0) {
            m->epoch = 0;
        }
        (void)consumer_reconcile(groups, m, now, &s.owned, out);
        consumer_touch(groups, m, now);
        /* It has to sync within this. */
        group_timer_at(groups, &m->rebalance, now.ms + (uint64_t)m->rebalance_timeout_ms);
        answer->member_id = buf_slice(&m->id);
        answer->generation = m->epoch;
        answer->protocol = first_protocol(m);
        answer->wait = m->asked > group->done;
        group_downgrade(groups, group, now, out);
    }
    buf_fini(&id);
    subscription_fini(&s);
    return status;
}

void groups_mixed_join(struct groups *groups, struct group_now now, const struct group_join *join,
                       struct mixed_answer *answer, struct group_out *out)
{
    struct group *group;

    groups_bury(groups);
    *answer = (struct mixed_answer){.member_id = join->member_id};
    HASH_FIND(hh, groups->all, join->group_id.base, join->group_id.len, group);
    int status = group_join_check(groups, join);
    if (status == 0 && (group == NULL || group->broken || group->consumer == NULL)) {
        status = TERN_ELOADING;
    }
    answer->error = status != 0 ? status : mixed_join(groups, group, now, join, answer, out);
}

/* ---- SyncGroup, Heartbeat, LeaveGroup -------------------------------------------------------- */

static int find_classic(const struct group *group, struct slice id, struct slice instance_id,
                        struct consumer_member **out_member)
{
    struct consumer_member *m = consumer_member_of(group->consumer, id);

    if (instance_id.base != NULL) {
        m = consumer_member_by_instance(group->consumer, instance_id);
        if (m != NULL && id.len > 0 && !text_is(&m->id, id)) {
            return TERN_EFENCEDINSTANCE;
        }
    }
    if (m == NULL || !m->classic) {
        return TERN_EUNKNOWNMEMBER;
    }
    *out_member = m;
    return 0;
}

static bool waits_for_others(const struct consumer_member *m)
{
    for (uint32_t i = 0; i < m->target.count; i++) {
        if (!part_set_has(&m->assigned, &m->target.at[i]) &&
            !consumer_owned_by_other(m, &m->target.at[i])) {
            return false;
        }
    }
    return true;
}

static bool must_rejoin(const struct consumer_member *m)
{
    return m->epoch < m->group->consumer->epoch || m->state == CONSUMER_UNREVOKED ||
           (m->state == CONSUMER_UNRELEASED && !waits_for_others(m));
}

static int mixed_sync(struct groups *groups, struct group *group, struct group_now now,
                      const struct group_sync *sync, struct mixed_answer *answer)
{
    struct consumer_member *m = NULL;
    int status = find_classic(group, sync->member_id, sync->instance_id, &m);

    if (status != 0) {
        return status;
    }
    if (sync->generation != m->epoch) {
        return TERN_EILLEGALGENERATION;
    }
    if ((sync->protocol_type.base != NULL &&
         !slice_equal(sync->protocol_type, slice_text(CONSUMER_PROTOCOL))) ||
        (sync->protocol.base != NULL && !slice_equal(sync->protocol, first_protocol(m)))) {
        return TERN_EINCONSISTENTPROTOCOL;
    }
    if (m->epoch < group->consumer->epoch && m->state != CONSUMER_UNREVOKED) {
        return TERN_EREBALANCE;
    }
    if (m->state != CONSUMER_UNREVOKED) {
        group_timer_stop(groups, &m->rebalance);
    }
    consumer_touch(groups, m, now);
    answer->protocol = first_protocol(m);
    answer->wait = m->asked > group->done;
    put_assignment(groups, &m->assigned, &answer->assignment);
    return 0;
}

void groups_mixed_sync(struct groups *groups, struct group_now now, const struct group_sync *sync,
                       struct mixed_answer *answer)
{
    struct group *group;

    groups_bury(groups);
    *answer = (struct mixed_answer){.member_id = sync->member_id};
    HASH_FIND(hh, groups->all, sync->group_id.base, sync->group_id.len, group);
    answer->error = group == NULL || group->broken || group->consumer == NULL
                        ? TERN_EREBALANCE
                        : mixed_sync(groups, group, now, sync, answer);
}

int mixed_heartbeat(struct groups *groups, struct group *group, struct group_now now,
                    int32_t generation, struct slice member_id, struct slice instance_id)
{
    struct consumer_member *m = NULL;
    int status = find_classic(group, member_id, instance_id, &m);

    if (status != 0) {
        return status;
    }
    if (generation != m->epoch) {
        return TERN_EILLEGALGENERATION;
    }
    consumer_touch(groups, m, now);
    if (!must_rejoin(m)) {
        return 0;
    }
    if (!timer_armed(&m->rebalance.timer)) {
        group_timer_at(groups, &m->rebalance, now.ms + (uint64_t)m->rebalance_timeout_ms);
    }
    return TERN_EREBALANCE;
}

int mixed_leave(struct groups *groups, struct group *group, struct group_now now,
                struct slice member_id, struct slice instance_id, struct group_out *out)
{
    struct consumer_member *m = NULL;
    int status =
        find_classic(group, member_id, instance_id.len > 0 ? instance_id : (struct slice){0}, &m);

    if (status == 0) {
        consumer_fence(groups, m, out);
        group_downgrade(groups, group, now, out);
    }
    return status;
}
