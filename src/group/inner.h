/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this room only. */
#pragma once

#include "base/error.h"
#include "group/group.h"

struct group_pending {
    UT_hash_handle hh;
    struct group *group;
    struct group_timer timer;
    size_t len;
    uint8_t id[];
};

static inline void text_set(struct buf *text, struct slice to)
{
    buf_clear(text);
    buf_put(text, to);
}

static inline bool text_is(const struct buf *text, struct slice other)
{
    return slice_equal(buf_slice(text), other);
}

/* ---- groups.c -------------------------------------------------------------------------------- */

/* At the start of every event: what earlier answers pointed to may go now. */
void groups_bury(struct groups *groups);
struct group *groups_make(struct groups *groups, struct slice id);
/* Frees it (later) if there is nothing to know of it. */
void group_settle(struct groups *groups, struct group *group);
void group_timer_at(struct groups *groups, struct group_timer *timer, uint64_t at_ms);
void group_timer_stop(struct groups *groups, struct group_timer *timer);
struct group_effect *group_effect_add(struct group_out *out, enum group_effect_kind kind);
void group_tombstone(struct group *group, struct group_out *out);
/* Asks for a record of what the group is now; false: it would be too large. */
bool group_store(struct group *group, struct group_out *out);

/* ---- members.c ------------------------------------------------------------------------------- */

struct group_member *group_member_of(const struct group *group, struct slice id);
struct group_member *group_member_by_instance(const struct group *group, struct slice instance_id);
/* 0; EUNKNOWNMEMBER, EFENCEDINSTANCE. */
int group_member_check(const struct group *group, struct slice id, struct slice instance_id,
                       struct group_member **out_member);
struct group_member *group_member_new(struct groups *groups, struct group *group, struct slice id,
                                      struct slice instance_id);
void group_member_set_protocols(struct groups *groups, struct group_member *member,
                                const struct group_protocol *protocols, uint32_t count);
void group_member_set_assignment(struct groups *groups, struct group_member *member,
                                 struct slice assignment);
bool group_member_matches(const struct group_member *member, const struct group_protocol *protocols,
                          uint32_t count);
/* The same member under a new id. */
void group_member_rename(struct group *group, struct group_member *member, struct slice id);
/* Out of the group: who waits for it is answered EUNKNOWNMEMBER. */
void group_member_remove(struct groups *groups, struct group_member *member, struct group_out *out);
void group_member_free(struct groups *groups, struct group_member *member);
/* A sign of life. */
void group_member_touch(struct groups *groups, struct group_member *member, uint64_t now_ms);
bool group_supports(const struct group *group, struct slice protocol_type,
                    const struct group_protocol *protocols, uint32_t count);
/* The name that most members want, of those that all have; there is one. */
struct slice group_vote(const struct group *group);
struct group_pending *group_pending_of(const struct group *group, struct slice id);
void group_pending_add(struct groups *groups, struct group *group, struct slice id, uint64_t at_ms);
void group_pending_remove(struct groups *groups, struct group_pending *pending);

/* ---- join.c ---------------------------------------------------------------------------------- */

/* The id of a new member, from join->fresh. */
void group_make_id(const struct group_join *join, struct buf *out);
/* What is wrong with the question, whatever the group. */
int group_join_check(const struct groups *groups, const struct group_join *join);

/* ---- rebalance.c ----------------------------------------------------------------------------- */

void group_prepare(struct groups *groups, struct group *group, struct group_now now,
                   struct group_out *out);
void group_maybe_complete(struct groups *groups, struct group *group, struct group_now now,
                          struct group_out *out);
/* After a member went. */
void group_shrunk(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out);
void group_timer_fired(struct groups *groups, struct group *group, struct group_now now,
                       struct group_out *out);
void group_session_over(struct groups *groups, struct group_member *member, struct group_now now,
                        struct group_out *out);
void group_answer_join(struct group *group, struct group_member *member, struct group_out *out);
void group_refuse_join(struct group_member *member, int error, struct group_out *out);
void group_answer_sync(struct group *group, struct group_member *member, int error,
                       struct group_out *out);
/* The newest record that was asked for is committed. */
void group_stored(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out);

/* ---- offsets.c ------------------------------------------------------------------------------- */

struct group_offset *group_offset_of(const struct group *group, struct slice topic,
                                     int32_t partition);
void group_offset_put(struct groups *groups, struct group *group, struct slice topic,
                      int32_t partition, const struct group_offset_value *value);
void group_offset_drop(struct groups *groups, struct group *group, struct group_offset *offset);
void group_offsets_drop(struct groups *groups, struct group *group);

/* ---- consumer*.c, mixed.c: the new protocol -------------------------------------------------- */

struct consumer_member;
int consumer_may_commit(struct groups *groups, struct group *group, struct group_now now,
                        int32_t epoch, struct slice member_id, struct slice instance_id);
/* A classic group becomes one of the new protocol, with the members it has. 0, EGROUPNOTFOUND. */
int group_upgrade(struct groups *groups, struct group *group, struct group_now now,
                  struct group_out *out);
/* A group of the new protocol whose members are all classic becomes a classic one. */
void group_downgrade(struct groups *groups, struct group *group, struct group_now now,
                     struct group_out *out);
/* All classic members go; who waits is answered with `error`. */
void group_forget_members(struct groups *groups, struct group *group, int error,
                          struct group_out *out);
int mixed_heartbeat(struct groups *groups, struct group *group, struct group_now now,
                    int32_t generation, struct slice member_id, struct slice instance_id);
int mixed_leave(struct groups *groups, struct group *group, struct group_now now,
                struct slice member_id, struct slice instance_id, struct group_out *out);
/* A static member by its instance; `joins`: it may be a new one, or take another one's place. 0;
 * EUNKNOWNMEMBER, EFENCEDINSTANCE, EUNRELEASEDINSTANCE, EGROUPFULL, EINVALIDREQUEST. */
int consumer_find_static(struct groups *groups, struct group *group, struct group_now now,
                         struct slice id, struct slice instance_id, bool joins, bool classic,
                         struct consumer_member **out_member, struct group_out *out);
int consumer_subscribe(struct groups *groups, struct consumer_member *member,
                       const struct slice *names, uint32_t name_count, struct slice regex,
                       bool *out_changed);
void consumer_free(struct groups *groups, struct consumer *consumer);
void consumer_member_free(struct groups *groups, struct consumer_member *member);
void consumer_load(struct groups *groups, struct group *group, struct group_now now);
void consumer_session_over(struct groups *groups, struct consumer_member *member,
                           struct group_now now, struct group_out *out);
