/* SPDX-License-Identifier: Apache-2.0 */
/* Committed offsets: a table per group, filled by committed records only. */
#include <string.h>

#include "group/consumer.h"
#include "group/inner.h"
#include "group/pending.h"

#define OFFSET_KEY_MAX (4 + INT16_MAX)

/* ---- the table ------------------------------------------------------------------------------- */

static size_t cost(const struct group_offset *o)
{
    return sizeof *o + o->key_len + o->metadata_len;
}

struct group_offset *group_offset_of(const struct group *group, struct slice topic,
                                     int32_t partition)
{
    struct group_offset *found;
    uint8_t key[OFFSET_KEY_MAX];

    if (topic.len > OFFSET_KEY_MAX - 4) {
        return NULL;
    }
    put_be32(key, (uint32_t)partition);
    memcpy(key + 4, topic.base, topic.len);
    HASH_FIND(hh, group->offsets, key, topic.len + 4, found);
    return found;
}

const struct group_offset *groups_offset(const struct group *group, struct slice topic,
                                         int32_t partition)
{
    return group_offset_of(group, topic, partition);
}

void group_offset_put(struct groups *groups, struct group *group, struct slice topic,
                      int32_t partition, const struct group_offset_value *value)
{
    struct group_offset *o = group_offset_of(group, topic, partition);

    if (o == NULL) {
        o = mem_new(sizeof *o + 4 + topic.len);
        o->key_len = 4 + topic.len;
        put_be32(o->key, (uint32_t)partition);
        memcpy(o->key + 4, topic.base, topic.len);
        HASH_ADD_KEYPTR(hh, group->offsets, o->key, o->key_len, o);
    } else {
        groups->bytes -= cost(o);
    }
    o->offset = value->offset;
    o->leader_epoch = value->leader_epoch;
    o->commit_ms = value->commit_ms;
    o->expire_ms = value->expire_ms;
    free(o->metadata);
    o->metadata = NULL;
    o->metadata_len = (uint32_t)value->metadata.len;
    if (o->metadata_len > 0) {
        o->metadata = mem_grow(NULL, o->metadata_len, 1);
        memcpy(o->metadata, value->metadata.base, o->metadata_len);
    }
    groups->bytes += cost(o);
}

void group_offset_drop(struct groups *groups, struct group *group, struct group_offset *offset)
{
    HASH_DEL(group->offsets, offset);
    groups->bytes -= cost(offset);
    free(offset->metadata);
    free(offset);
}

void group_offsets_drop(struct groups *groups, struct group *group)
{
    struct group_offset *o;
    struct group_offset *next;

    HASH_ITER (hh, group->offsets, o, next) {
        group_offset_drop(groups, group, o);
    }
}

static void ask_to_drop(const struct group *group, const struct group_offset *o,
                        struct group_out *out)
{
    struct group_effect *effect = group_effect_add(out, GROUP_APPEND);

    group_offset_key(&effect->key, buf_slice(&group->id), group_offset_topic(o),
                     group_offset_partition(o));
    effect->tombstone = true;
}

/* ---- events ---------------------------------------------------------------------------------- */

int groups_may_commit(struct groups *groups, struct group_now now, struct slice group_id,
                      int32_t generation, struct slice member_id, struct slice instance_id)
{
    struct group_member *member = NULL;
    struct group *group;

    groups_bury(groups);
    if (group_id.len > GROUP_ID_MAX) {
        return TERN_EINVALIDGROUP;
    }
    if (groups->bytes > GROUPS_BYTES_MAX) {
        return TERN_ENOCOORDINATOR;
    }
    HASH_FIND(hh, groups->all, group_id.base, group_id.len, group);
    if (group == NULL) {
        if (HASH_CNT(hh, groups->all) >= GROUPS_MAX) {
            return TERN_ENOCOORDINATOR;
        }
        return generation < 0 ? 0 : TERN_EILLEGALGENERATION;
    }
    if (group->broken) {
        return TERN_ELOADING;
    }
    if (group->consumer != NULL) {
        return consumer_may_commit(groups, group, now, generation, member_id, instance_id);
    }
    if (generation < 0 && group->state == GROUP_EMPTY) {
        return 0; /* without members: a tool, or a consumer that assigns partitions itself */
    }
    if (generation < 0 && member_id.len == 0 && instance_id.base == NULL) {
        return TERN_EUNKNOWNMEMBER;
    }
    int status = group_member_check(group, member_id, instance_id, &member);
    if (status != 0) {
        return status;
    }
    if (generation != group->generation) {
        return TERN_EILLEGALGENERATION;
    }
    if (group->state == GROUP_COMPLETING) {
        return TERN_EREBALANCE;
    }
    group_member_touch(groups, member, now.ms);
    return 0;
}

static bool subscribes(const struct groups *groups, const struct group *group, struct slice topic)
{
    return group->consumer != NULL
               ? consumer_subscribes(group->consumer, &groups->settings.topics, topic)
               : group_subscribes(group, topic);
}

int groups_delete_offset(struct groups *groups, struct slice group_id, struct slice topic,
                         int32_t partition, struct group_out *out)
{
    struct group *group;

    groups_bury(groups);
    HASH_FIND(hh, groups->all, group_id.base, group_id.len, group);
    if (group == NULL) {
        return TERN_EGROUPNOTFOUND;
    }
    if (!group_is_empty(group)) {
        if (!text_is(&group->protocol_type, slice_text("consumer"))) {
            return TERN_ENONEMPTYGROUP;
        }
        if (subscribes(groups, group, topic)) {
            return TERN_EGROUPSUBSCRIBED;
        }
    }
    /* Also if it is not there: it may be on its way. */
    struct group_effect *effect = group_effect_add(out, GROUP_APPEND);
    group_offset_key(&effect->key, group_id, topic, partition);
    effect->tombstone = true;
    return 0;
}

int groups_delete(struct groups *groups, struct slice group_id, struct group_out *out)
{
    struct group *group;

    groups_bury(groups);
    if (group_id.len > GROUP_ID_MAX) {
        return TERN_EINVALIDGROUP;
    }
    HASH_FIND(hh, groups->all, group_id.base, group_id.len, group);
    if (group == NULL) {
        return TERN_EGROUPNOTFOUND;
    }
    if (!group_is_empty(group)) {
        return TERN_ENONEMPTYGROUP;
    }
    for (const struct group_offset *o = group->offsets; o != NULL; o = o->hh.next) {
        ask_to_drop(group, o, out);
    }
    /* Also without a record of the group: it takes with it what is being committed now. */
    group_tombstone(group, out);
    return 0;
}

static bool expired(const struct groups *groups, const struct group *group, int64_t wall_ms,
                    const struct group_offset *o)
{
    int64_t retention = (int64_t)groups->settings.retention_ms;

    if (o->expire_ms >= 0) {
        return group_is_empty(group) && wall_ms >= o->expire_ms;
    }
    if (group->consumer != NULL) {
        return wall_ms - o->commit_ms >= retention &&
               !subscribes(groups, group, group_offset_topic(o));
    }
    if (group->protocol_type.len == 0) {
        return wall_ms - o->commit_ms >= retention;
    }
    if (group->state == GROUP_EMPTY) {
        int64_t since = group->since_wall_ms > o->commit_ms ? group->since_wall_ms : o->commit_ms;
        return wall_ms - since >= retention;
    }
    return group->state == GROUP_STABLE && wall_ms - o->commit_ms >= retention &&
           text_is(&group->protocol_type, slice_text("consumer")) &&
           !group_subscribes(group, group_offset_topic(o));
}

static void expire_group(struct groups *groups, struct group *group, int64_t wall_ms,
                         struct group_out *out)
{
    size_t kept = 0;

    for (const struct group_offset *o = group->offsets; o != NULL; o = o->hh.next) {
        if (out->count < GROUP_TOMBSTONES_MAX && expired(groups, group, wall_ms, o)) {
            ask_to_drop(group, o, out);
        } else {
            kept++;
        }
    }
    if (groups_has_pending(groups, buf_slice(&group->id))) {
        return; /* its record's end would take the offsets with it that a transaction commits */
    }
    if (kept == 0 && group_is_empty(group) && (group->stored.len > 0 || group->records != NULL) &&
        group->stores == 0 && group->asked == group->done && group->pending == NULL) {
        group_tombstone(group, out);
    }
}

void groups_expire(struct groups *groups, struct group_now now, struct group_out *out)
{
    groups_bury(groups);
    for (struct group *group = groups->all; group != NULL && out->count < GROUP_TOMBSTONES_MAX;
         group = group->hh.next) {
        expire_group(groups, group, now.wall_ms, out);
    }
}

void groups_forget_topics(struct groups *groups, bool (*gone)(void *ctx, struct slice topic),
                          void *ctx, struct group_out *out)
{
    groups_bury(groups);
    for (struct group *group = groups->all; group != NULL; group = group->hh.next) {
        for (const struct group_offset *o = group->offsets; o != NULL; o = o->hh.next) {
            if (out->count < GROUP_TOMBSTONES_MAX && gone(ctx, group_offset_topic(o))) {
                ask_to_drop(group, o, out);
            }
        }
    }
}
