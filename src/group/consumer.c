/* SPDX-License-Identifier: Apache-2.0 */
/* ConsumerGroupHeartbeat: members of the new protocol come, go on, and leave. */
#include <stdlib.h>
#include <string.h>

#include "group/consumer_inner.h"

static struct slice cut(struct slice text, size_t max)
{
    return slice_of(text.base, text.len < max ? text.len : max);
}

/* ---- what is wrong with a question ----------------------------------------------------------- */

static bool is_empty_text(struct slice s)
{
    return s.base != NULL && s.len == 0;
}

static const char *what_is_wrong(const struct consumer_beat *b)
{
    bool needs_id = b->id_required || b->member_epoch > 0 || b->member_epoch == CONSUMER_LEAVES ||
                    b->member_epoch == CONSUMER_AWAY;

    if (b->group_id.len == 0 || b->group_id.len > GROUP_ID_MAX) {
        return "the group id is empty or too long";
    }
    if (is_empty_text(b->instance_id) || b->instance_id.len > GROUP_INSTANCE_MAX) {
        return "the instance id is empty or too long";
    }
    if (is_empty_text(b->rack_id) || b->rack_id.len > GROUP_INSTANCE_MAX) {
        return "the rack id is empty or too long";
    }
    if ((needs_id && b->member_id.len == 0) || b->member_id.len > GROUP_ID_MAX) {
        return "the member id is empty or too long";
    }
    if (b->member_epoch < CONSUMER_AWAY) {
        return "the member epoch is not one";
    }
    if (b->member_epoch == CONSUMER_AWAY && b->instance_id.base == NULL) {
        return "only a member with an instance id can be back later";
    }
    if (b->name_count > CONSUMER_NAMES_MAX || b->regex.len > CONSUMER_REGEX_MAX) {
        return "the subscription is too long";
    }
    if (b->rebalance_timeout_ms < -1) {
        return "the rebalance time-out is negative";
    }
    if (b->member_epoch != 0) {
        return NULL;
    }
    if (b->rebalance_timeout_ms < 0) {
        return "the rebalance time-out must be told when joining";
    }
    if (b->owned == NULL || b->owned->count > 0) {
        return "who joins owns no partitions, and must say so";
    }
    return b->names == NULL && b->regex.base == NULL ? "topics must be told when joining" : NULL;
}

static int check(const struct consumer_beat *b, struct consumer_answer *answer)
{
    enum assignor ignored;

    answer->message = what_is_wrong(b);
    if (answer->message != NULL) {
        return TERN_EINVALIDREQUEST;
    }
    if (b->assignor.base != NULL && !assignor_find(b->assignor, &ignored)) {
        answer->message = "the assignors on this side are uniform and range";
        return TERN_EUNSUPPORTEDASSIGNOR;
    }
    return 0;
}

/* ---- the group ------------------------------------------------------------------------------- */

/* 0: *out_group is a group of the new protocol. */
static int find_group(struct groups *groups, struct group_now now, const struct consumer_beat *b,
                      struct group **out_group, struct group_out *out)
{
    struct group *group;

    HASH_FIND(hh, groups->all, b->group_id.base, b->group_id.len, group);
    if (group != NULL && group->broken) {
        return TERN_ELOADING;
    }
    if (b->member_epoch != 0) {
        *out_group = group;
        return group != NULL && group->consumer != NULL ? 0 : TERN_EGROUPNOTFOUND;
    }
    if (groups->bytes > GROUPS_BYTES_MAX ||
        (group == NULL && HASH_CNT(hh, groups->all) >= GROUPS_MAX)) {
        return TERN_EGROUPFULL;
    }
    if (group == NULL) {
        group = groups_make(groups, b->group_id);
    }
    *out_group = group;
    return group->consumer != NULL ? 0 : group_upgrade(groups, group, now, out);
}

/* ---- the member ------------------------------------------------------------------------------ */

static int check_epoch(const struct consumer_member *m, const struct consumer_beat *b)
{
    if (b->member_epoch == m->epoch || b->member_epoch == 0) {
        return 0; /* who joins again has nothing any more */
    }
    /* The answer that told it of its epoch may have been lost. */
    bool missed = b->member_epoch < m->epoch && b->member_epoch == m->previous_epoch &&
                  b->owned != NULL && part_set_within(b->owned, &m->assigned);
    return missed ? 0 : TERN_EFENCEDMEMBER;
}

static bool is_full(const struct group *group)
{
    return group->consumer->member_count >= GROUP_MEMBERS_MAX;
}

/* A static member under another id takes all that the one before had. */
static struct consumer_member *replace(struct groups *groups, struct group *group,
                                       struct group_now now, struct consumer_member *old,
                                       struct slice id, struct group_out *out)
{
    struct consumer_member *m = consumer_member_new(groups, group, id);
    struct part_set assigned = {0};
    struct part_set none = {0};

    text_set(&m->instance_id, buf_slice(&old->instance_id));
    text_set(&m->rack_id, buf_slice(&old->rack_id));
    text_set(&m->client_id, buf_slice(&old->client_id));
    text_set(&m->client_host, buf_slice(&old->client_host));
    text_set(&m->names, buf_slice(&old->names));
    text_set(&m->regex, buf_slice(&old->regex));
    text_set(&m->assignor, buf_slice(&old->assignor));
    text_set(&m->protocols, buf_slice(&old->protocols));
    m->protocol_count = old->protocol_count;
    m->rebalance_timeout_ms = old->rebalance_timeout_ms;
    m->session_timeout_ms = old->session_timeout_ms;
    m->classic = old->classic;
    (void)consumer_resolve(groups, m);
    part_set_copy(&m->target, &old->target);
    part_set_copy(&assigned, &old->assigned);
    consumer_put_gone(old, out);
    consumer_member_drop(groups, old);
    consumer_member_take(m, &assigned, &none);
    consumer_put_member(m, out);
    consumer_put_target(m, out);
    consumer_put_current(m, out);
    consumer_touch(groups, m, now);
    return m;
}

int consumer_find_static(struct groups *groups, struct group *group, struct group_now now,
                         struct slice id, struct slice instance_id, bool joins, bool classic,
                         struct consumer_member **out_member, struct group_out *out)
{
    struct consumer_member *known = consumer_member_by_instance(group->consumer, instance_id);

    if (!joins) {
        *out_member = known;
        return known == NULL              ? TERN_EUNKNOWNMEMBER
               : !text_is(&known->id, id) ? TERN_EFENCEDINSTANCE
                                          : 0;
    }
    if (known == NULL || text_is(&known->id, id)) {
        *out_member = known != NULL    ? known
                      : is_full(group) ? NULL
                                       : consumer_member_new(groups, group, id);
        return *out_member != NULL ? 0 : TERN_EGROUPFULL;
    }
    if (!classic && !known->classic && known->epoch != CONSUMER_AWAY) {
        return TERN_EUNRELEASEDINSTANCE;
    }
    if (consumer_member_of(group->consumer, id) != NULL) {
        return TERN_EINVALIDREQUEST; /* another instance goes by that id */
    }
    *out_member = replace(groups, group, now, known, id, out);
    return 0;
}

static int find_member(struct groups *groups, struct group *group, struct group_now now,
                       const struct consumer_beat *b, struct slice id,
                       struct consumer_member **out_member, struct group_out *out)
{
    bool joins = b->member_epoch == 0;
    int status = 0;

    if (b->instance_id.base != NULL) {
        status = consumer_find_static(groups, group, now, id, b->instance_id, joins, false,
                                      out_member, out);
    } else {
        *out_member = consumer_member_of(group->consumer, id);
        if (*out_member == NULL) {
            status = !joins ? TERN_EUNKNOWNMEMBER : is_full(group) ? TERN_EGROUPFULL : 0;
            if (status == 0) {
                *out_member = consumer_member_new(groups, group, id);
            }
        }
    }
    return status != 0 ? status : check_epoch(*out_member, b);
}

/* ---- what it says of itself ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    const struct slice *m = a;
    const struct slice *n = b;
    size_t least = m->len < n->len ? m->len : n->len;
    int order = least > 0 ? memcmp(m->base, n->base, least) : 0;

    return order != 0 ? order : (m->len > n->len) - (m->len < n->len);
}

static void sort_names(const struct slice *names, uint32_t count, struct buf *out)
{
    struct slice *order = mem_new((count + 1) * sizeof *order);

    for (uint32_t i = 0; i < count; i++) {
        order[i] = names[i];
    }
    qsort(order, count, sizeof *order, compare_names);
    for (uint32_t i = 0; i < count; i++) {
        if (order[i].len <= UINT16_MAX && (i == 0 || !slice_equal(order[i], order[i - 1]))) {
            buf_be16(out, (uint16_t)order[i].len);
            buf_put(out, order[i]);
        }
    }
    free(order);
}

/* True: it was another one. */
static bool set_if_told(struct buf *text, struct slice told)
{
    if (told.base == NULL || text_is(text, told)) {
        return false;
    }
    text_set(text, told);
    return true;
}

/* Sets the subscription; *out_changed: it was another one. EINVALIDREGEX: it still is. */
int consumer_subscribe(struct groups *groups, struct consumer_member *m, const struct slice *names,
                       uint32_t name_count, struct slice regex, bool *out_changed)
{
    struct buf old_names = {0};
    struct buf old_regex = {0};
    struct buf sorted = {0};
    bool changed = false;
    int status = 0;

    buf_put(&old_names, buf_slice(&m->names));
    buf_put(&old_regex, buf_slice(&m->regex));
    if (names != NULL) {
        sort_names(names, name_count, &sorted);
        struct slice told = sorted.len > 0 ? buf_slice(&sorted) : slice_of("", 0);
        changed = set_if_told(&m->names, told);
    }
    changed = set_if_told(&m->regex, regex) || changed;
    if (changed) {
        status = consumer_resolve(groups, m);
    }
    if (status != 0) {
        text_set(&m->names, buf_slice(&old_names));
        text_set(&m->regex, buf_slice(&old_regex));
        changed = false;
    }
    buf_fini(&old_names);
    buf_fini(&old_regex);
    buf_fini(&sorted);
    *out_changed = changed;
    return status;
}

/* *out_bump: the others are concerned. */
static int update(struct groups *groups, struct consumer_member *m, const struct consumer_beat *b,
                  bool fresh, bool *out_bump, struct group_out *out)
{
    bool resubscribed = false;
    int status = consumer_subscribe(groups, m, b->names, b->name_count, b->regex, &resubscribed);

    if (status != 0) {
        return status;
    }
    bool changed = set_if_told(&m->instance_id, b->instance_id);
    changed = set_if_told(&m->rack_id, b->rack_id) || changed;
    changed = set_if_told(&m->assignor, b->assignor) || changed;
    changed = set_if_told(&m->client_id, cut(b->client_id, GROUP_CLIENT_PREFIX)) || changed;
    changed = set_if_told(&m->client_host, cut(b->client_host, GROUP_CLIENT_PREFIX)) || changed;
    if (b->rebalance_timeout_ms >= 0 && m->rebalance_timeout_ms != b->rebalance_timeout_ms) {
        m->rebalance_timeout_ms = b->rebalance_timeout_ms;
        changed = true;
    }
    if (m->classic) {
        m->classic = false; /* its client was upgraded */
        buf_clear(&m->protocols);
        m->protocol_count = 0;
        changed = true;
    }
    *out_bump = resubscribed || fresh;
    if (changed || *out_bump) {
        consumer_put_member(m, out);
    }
    return 0;
}

/* ---- leaving --------------------------------------------------------------------------------- */

void consumer_fence(struct groups *groups, struct consumer_member *member, struct group_out *out)
{
    struct group *group = member->group;

    consumer_put_gone(member, out);
    consumer_member_drop(groups, member);
    consumer_bump(groups, group, out);
}

static void go_away(struct consumer_member *m, struct groups *groups, struct group_out *out)
{
    struct part_set assigned = {0};
    struct part_set none = {0};

    part_set_copy(&assigned, &m->assigned);
    consumer_member_take(m, &assigned, &none);
    m->previous_epoch = m->epoch;
    m->epoch = CONSUMER_AWAY;
    m->state = CONSUMER_STABLE;
    group_timer_stop(groups, &m->rebalance);
    consumer_put_current(m, out);
}

static int leave(struct groups *groups, struct group *group, struct group_now now,
                 const struct consumer_beat *b, struct group_out *out)
{
    struct consumer_member *m = NULL;
    int status = 0;

    if (b->instance_id.base != NULL) {
        status = consumer_find_static(groups, group, now, b->member_id, b->instance_id, false,
                                      false, &m, out);
    } else {
        m = consumer_member_of(group->consumer, b->member_id);
        status = m == NULL ? TERN_EUNKNOWNMEMBER : 0;
    }
    if (status != 0) {
        return status;
    }
    if (b->member_epoch == CONSUMER_AWAY) {
        go_away(m, groups, out);
    } else {
        consumer_fence(groups, m, out);
        group_downgrade(groups, group, now, out);
    }
    return 0;
}

void consumer_touch(struct groups *groups, struct consumer_member *m, struct group_now now)
{
    uint64_t ms =
        m->classic ? (uint64_t)m->session_timeout_ms : groups->settings.consumer_session_ms;

    group_timer_at(groups, &m->session, now.ms + ms);
}

void consumer_session_over(struct groups *groups, struct consumer_member *member,
                           struct group_now now, struct group_out *out)
{
    struct group *group = member->group;

    consumer_fence(groups, member, out);
    group_downgrade(groups, group, now, out);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int stay(struct groups *groups, struct group *group, struct group_now now,
                const struct consumer_beat *b, struct consumer_answer *answer,
                struct group_out *out)
{
    struct consumer_member *m = NULL;
    char text[UUID_TEXT_SIZE];
    struct slice id = b->member_id;
    bool bump = false;

    if (id.len == 0) {
        uuid_text(b->fresh, text);
        id = slice_text(text);
    }
    int status = find_member(groups, group, now, b, id, &m, out);
    if (status != 0) {
        return status;
    }
    bool fresh = m->fresh;
    status = update(groups, m, b, fresh, &bump, out);
    if (status != 0) {
        if (fresh) {
            consumer_member_drop(groups, m);
        }
        return status;
    }
    if (bump) {
        consumer_bump(groups, group, out);
    }
    consumer_assign(groups, group, out);
    if (m->epoch == CONSUMER_AWAY) {
        m->epoch = 0; /* back under the same id */
    }
    bool moved = consumer_reconcile(groups, m, now, b->owned, out);
    bool whole = b->member_epoch == 0 || (b->rebalance_timeout_ms >= 0 && b->owned != NULL &&
                                          (b->names != NULL || b->regex.base != NULL));
    consumer_touch(groups, m, now);
    answer->member_id = buf_slice(&m->id);
    answer->epoch = m->epoch;
    answer->assignment = whole || moved ? &m->assigned : NULL;
    /* What it has is told only by who still coordinates, like committed offsets. */
    answer->wait = m->asked > group->done || answer->assignment != NULL;
    return 0;
}

void groups_consumer_beat(struct groups *groups, struct group_now now,
                          const struct consumer_beat *b, struct consumer_answer *answer,
                          struct group_out *out)
{
    struct group *group = NULL;

    groups_bury(groups);
    *answer = (struct consumer_answer){
        .member_id = b->member_id,
        .epoch = b->member_epoch,
        .interval_ms = (int32_t)groups->settings.consumer_interval_ms,
    };
    int status = check(b, answer);
    if (status == 0) {
        status = find_group(groups, now, b, &group, out);
    }
    if (status == 0 && b->member_epoch < 0) {
        status = leave(groups, group, now, b, out);
        answer->wait = status == 0;
        answer->interval_ms = 0;
    } else if (status == 0) {
        status = stay(groups, group, now, b, answer, out);
    }
    answer->error = status;
    if (status != 0) {
        answer->member_id = (struct slice){0};
        answer->epoch = 0;
        answer->interval_ms = 0;
    }
    if (group != NULL) {
        group_settle(groups, group);
    }
}

void groups_topics_changed(struct groups *groups, struct group_out *out)
{
    groups_bury(groups);
    for (struct group *group = groups->all; group != NULL; group = group->hh.next) {
        if (group->consumer == NULL || group->consumer->member_count == 0) {
            continue;
        }
        for (struct consumer_member *m = group->consumer->members; m != NULL; m = m->hh.next) {
            (void)consumer_resolve(groups, m);
        }
        if (consumer_metadata_hash(groups, group->consumer) != group->consumer->metadata_hash) {
            consumer_bump(groups, group, out);
        }
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

const char *consumer_state_name(const struct consumer *consumer)
{
    if (consumer->members == NULL) {
        return "Empty";
    }
    if (consumer->epoch > consumer->target_epoch) {
        return "Assigning";
    }
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        if (m->epoch != consumer->target_epoch || m->state != CONSUMER_STABLE) {
            return m->epoch == CONSUMER_AWAY ? "Stable" : "Reconciling";
        }
    }
    return "Stable";
}

static const struct consumer_member *member_in(const struct groups *groups, struct slice group_id,
                                               struct slice member_id)
{
    const struct group *group = groups_find(groups, group_id);

    return group != NULL && group->consumer != NULL ? consumer_member_of(group->consumer, member_id)
                                                    : NULL;
}

int groups_may_fetch(struct groups *groups, struct slice group_id, struct slice member_id,
                     int32_t member_epoch)
{
    const struct group *group = groups_find(groups, group_id);

    if (group == NULL || group->consumer == NULL || (member_id.len == 0 && member_epoch < 0)) {
        return 0;
    }
    const struct consumer_member *m = member_in(groups, group_id, member_id);
    return m == NULL ? TERN_EUNKNOWNMEMBER : m->epoch != member_epoch ? TERN_ESTALEMEMBER : 0;
}

bool groups_needs_epochs(const struct groups *groups, struct slice group_id, struct slice member_id)
{
    const struct consumer_member *m = member_in(groups, group_id, member_id);

    return m != NULL && !m->classic;
}

int consumer_may_commit(struct groups *groups, struct group *group, struct group_now now,
                        int32_t epoch, struct slice member_id, struct slice instance_id)
{
    struct consumer_member *m = consumer_member_of(group->consumer, member_id);

    (void)groups;
    (void)now;
    if (epoch < 0 && group->consumer->members == NULL) {
        return 0;
    }
    if (m == NULL) {
        return instance_id.base != NULL &&
                       consumer_member_by_instance(group->consumer, instance_id) != NULL
                   ? TERN_EFENCEDINSTANCE
                   : TERN_EUNKNOWNMEMBER;
    }
    if (epoch != m->epoch) {
        return m->classic ? TERN_EILLEGALGENERATION : TERN_ESTALEMEMBER;
    }
    return 0;
}
