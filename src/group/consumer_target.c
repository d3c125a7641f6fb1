/* SPDX-License-Identifier: Apache-2.0 */
/* Who shall have what, and a member's way there. */
#include <stdlib.h>
#include <string.h>

#include "base/mutant.h"
#include "group/consumer_inner.h"
#include "group/pattern.h"

/* ---- subscriptions --------------------------------------------------------------------------- */

struct id_list {
    struct uuid *at;
    uint32_t count;
    uint32_t cap;
};

static void list_add(void *ctx, const struct group_topic *topic)
{
    struct id_list *list = ctx;

    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 4;
        list->at = mem_grow(list->at, list->cap, sizeof *list->at);
    }
    list->at[list->count++] = topic->id;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static void list_sort(struct id_list *list)
{
    uint32_t kept = 0;

    if (list->count > 1) {
        qsort(list->at, list->count, sizeof *list->at, compare_ids);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (kept == 0 || !uuid_equal(list->at[kept - 1], list->at[i])) {
            list->at[kept++] = list->at[i];
        }
    }
    list->count = kept;
}

struct matching {
    struct pattern *pattern;
    struct id_list *list;
};

static void add_if_matching(void *ctx, const struct group_topic *topic)
{
    struct matching *m = ctx;

    if (pattern_matches(m->pattern, topic->name)) {
        list_add(m->list, topic);
    }
}

static int list_matching(const struct group_topics *topics, struct slice regex,
                         struct id_list *list)
{
    struct matching m = {pattern_new(regex), list};

    if (m.pattern == NULL) {
        return TERN_EINVALIDREGEX;
    }
    if (topics->each != NULL) {
        topics->each(topics->ctx, add_if_matching, &m);
    }
    pattern_free(m.pattern);
    return 0;
}

int consumer_resolve(struct groups *groups, struct consumer_member *member)
{
    const struct group_topics *topics = &groups->settings.topics;
    struct reader names = reader_of(buf_slice(&member->names));
    struct id_list list = {0};
    struct group_topic topic;
    struct slice name;
    int status = 0;

    while ((name = name_list_next(&names)).base != NULL) {
        if (topics->by_name != NULL && topics->by_name(topics->ctx, name, &topic)) {
            list_add(&list, &topic);
        }
    }
    if (member->regex.len > 0) {
        status = list_matching(topics, buf_slice(&member->regex), &list);
    }
    if (status != 0) {
        free(list.at);
        return status;
    }
    list_sort(&list);
    free(member->topics);
    member->topics = list.at;
    member->topic_count = list.count;
    return 0;
}

bool consumer_subscribes(const struct consumer *consumer, const struct group_topics *topics,
                         struct slice name)
{
    struct group_topic topic;

    if (topics->by_name == NULL || !topics->by_name(topics->ctx, name, &topic)) {
        return false;
    }
    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        if (m->topic_count > 0 &&
            bsearch(&topic.id, m->topics, m->topic_count, sizeof *m->topics, compare_ids) != NULL) {
            return true;
        }
    }
    return false;
}

/* All that the group subscribes to, ascending; those that are gone have no partitions. */
static struct assignor_topic *topics_of(struct groups *groups, const struct consumer *consumer,
                                        uint32_t *out_count)
{
    const struct group_topics *topics = &groups->settings.topics;
    struct id_list list = {0};
    struct group_topic topic = {0};

    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        for (uint32_t i = 0; i < m->topic_count; i++) {
            topic.id = m->topics[i];
            list_add(&list, &topic);
        }
    }
    list_sort(&list);
    struct assignor_topic *out = mem_new((list.count + 1) * sizeof *out);
    for (uint32_t i = 0; i < list.count; i++) {
        bool known = topics->by_id != NULL && topics->by_id(topics->ctx, list.at[i], &topic);
        out[i] = (struct assignor_topic){list.at[i], known ? topic.partitions : 0};
    }
    *out_count = list.count;
    free(list.at);
    return out;
}

/* FNV-1a: it only has to differ when something does. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    }
    return hash;
}

uint64_t consumer_metadata_hash(struct groups *groups, const struct consumer *consumer)
{
    uint64_t hash = 0xcbf29ce484222325;
    uint32_t count;
    struct assignor_topic *topics = topics_of(groups, consumer, &count);

    for (uint32_t i = 0; i < count; i++) {
        uint8_t partitions[4];
        put_be32(partitions, topics[i].partitions);
        hash = hash_bytes(hash, topics[i].id.bytes, sizeof topics[i].id.bytes);
        hash = hash_bytes(hash, partitions, sizeof partitions);
    }
    free(topics);
    return count > 0 ? hash : 0;
}

/* ---- the target ------------------------------------------------------------------------------ */

void consumer_bump(struct groups *groups, struct group *group, struct group_out *out)
{
    group->consumer->epoch++;
    group->consumer->metadata_hash = consumer_metadata_hash(groups, group->consumer);
    consumer_put_group(group, out);
}

/* What most members ask for. */
static enum assignor elect(const struct consumer *consumer)
{
    uint32_t votes[ASSIGNOR_COUNT] = {0};
    enum assignor best = ASSIGNOR_UNIFORM;
    enum assignor vote;

    for (const struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        if (m->assignor.len > 0 && assignor_find(buf_slice(&m->assignor), &vote)) {
            votes[vote]++;
        }
    }
    for (int i = 0; i < ASSIGNOR_COUNT; i++) {
        best = votes[i] > votes[best] ? (enum assignor)i : best;
    }
    return best;
}

static int compare_members(const void *a, const void *b)
{
    const struct consumer_member *m = *(struct consumer_member *const *)a;
    const struct consumer_member *n = *(struct consumer_member *const *)b;
    /* A static member keeps its place under another id. */
    const struct buf *left = m->instance_id.len > 0 ? &m->instance_id : &m->id;
    const struct buf *right = n->instance_id.len > 0 ? &n->instance_id : &n->id;
    size_t least = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->base, right->base, least);

    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

static struct consumer_member **in_order(const struct consumer *consumer)
{
    struct consumer_member **order = mem_new((consumer->member_count + 1) * sizeof(void *));
    uint32_t count = 0;

    for (struct consumer_member *m = consumer->members; m != NULL; m = m->hh.next) {
        order[count++] = m;
    }
    qsort(order, count, sizeof(void *), compare_members);
    return order;
}

void consumer_assign(struct groups *groups, struct group *group, struct group_out *out)
{
    struct consumer *consumer = group->consumer;
    struct assignor_task task = {.member_count = consumer->member_count};

    if (consumer->epoch <= consumer->target_epoch) {
        return;
    }
    struct assignor_topic *topics = topics_of(groups, consumer, &task.topic_count);
    struct consumer_member **order = in_order(consumer);
    task.topics = topics;
    task.members = mem_new((task.member_count + 1) * sizeof *task.members);
    for (uint32_t i = 0; i < task.member_count; i++) {
        task.members[i].topics = order[i]->topics;
        task.members[i].topic_count = order[i]->topic_count;
        task.members[i].held = &order[i]->target;
    }
    consumer->assignor = elect(consumer);
    assignor_run(consumer->assignor, &task);
    for (uint32_t i = 0; i < task.member_count; i++) {
        if (part_set_equal(&order[i]->target, &task.members[i].target)) {
            part_set_fini(&task.members[i].target);
            continue;
        }
        part_set_fini(&order[i]->target);
        order[i]->target = task.members[i].target;
        consumer_put_target(order[i], out);
    }
    consumer->target_epoch = consumer->epoch;
    consumer_put_target_epoch(group, out);
    free(task.members);
    free(order);
    free(topics);
}

/* ---- a member's way there -------------------------------------------------------------------- */

struct step {
    int32_t epoch;
    enum consumer_member_state state;
    struct part_set assigned;
    struct part_set revoking;
};

static bool still_owns(const struct part_set *owned, const struct part_set *parts)
{
    return owned == NULL ? parts->count > 0 : part_set_meets(parts, owned);
}

static void next_step(const struct consumer_member *m, int32_t epoch, const struct part_set *owned,
                      struct step *step)
{
    struct part_set wanted = {0};
    uint32_t added = 0;

    part_set_split(&m->assigned, &m->target, &step->assigned, &step->revoking);
    if (still_owns(owned, &step->revoking) && !MUTANT(revoke_unasked)) {
        step->state = CONSUMER_UNREVOKED;
        step->epoch = epoch;
        return;
    }
    part_set_clear(&step->revoking);
    part_set_split(&m->target, &m->assigned, NULL, &wanted);
    for (uint32_t i = 0; i < wanted.count; i++) {
        if (!consumer_owned_by_other(m, &wanted.at[i]) || MUTANT(assign_unreleased)) {
            part_set_add(&step->assigned, wanted.at[i].topic, wanted.at[i].partition);
            added++;
        }
    }
    part_set_sort(&step->assigned);
    step->state = added < wanted.count ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
    step->epoch = m->group->consumer->target_epoch;
    part_set_fini(&wanted);
}

/* False: it stays where it is. */
static bool find_step(const struct consumer_member *m, const struct part_set *owned,
                      struct step *step)
{
    switch (m->state) {
    case CONSUMER_STABLE:
        if (m->epoch == m->group->consumer->target_epoch) {
            return false;
        }
        next_step(m, m->epoch, owned, step);
        break;
    case CONSUMER_UNREVOKED:
        if (owned == NULL || part_set_meets(&m->revoking, owned)) {
            return false;
        }
        next_step(m, m->epoch + 1, owned, step);
        break;
    case CONSUMER_UNRELEASED:
        next_step(m, m->epoch, owned, step);
        break;
    }
    return m->epoch != step->epoch || m->state != step->state ||
           !part_set_equal(&m->assigned, &step->assigned) ||
           !part_set_equal(&m->revoking, &step->revoking);
}

bool consumer_reconcile(struct groups *groups, struct consumer_member *m, struct group_now now,
                        const struct part_set *owned, struct group_out *out)
{
    struct step step = {.epoch = m->epoch, .state = m->state};
    bool moved = find_step(m, owned, &step);

    if (moved) {
        if (step.epoch != m->epoch) {
            m->previous_epoch = m->epoch;
        }
        m->epoch = step.epoch;
        m->state = step.state;
        consumer_member_take(m, &step.assigned, &step.revoking);
        consumer_put_current(m, out);
        if (m->state == CONSUMER_UNREVOKED) {
            group_timer_at(groups, &m->rebalance, now.ms + (uint64_t)m->rebalance_timeout_ms);
        } else {
            group_timer_stop(groups, &m->rebalance);
        }
    }
    part_set_fini(&step.assigned);
    part_set_fini(&step.revoking);
    return moved;
}
