/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: topics, policies, founding. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "admin/tern_inner.h"
#include "policy/policy.h"

/* Sends a packed change to the observer and unpacks what became of it into `pool`. */
static int ask_change(struct tern *tern, uint16_t type, struct slice body, struct pool *pool,
                      Tern__Admin__Changed **out)
{
    struct question question;
    ProtobufCAllocator allocator = pool_allocator(pool);
    int rv = ask_observer(tern, type, body, &question);

    if (rv != TERN_DONE) {
        return rv;
    }
    *out = tern__admin__changed__unpack(&allocator, question.answer.len, question.answer.base);
    if (*out == NULL) {
        rv = tern_fail(tern, TERN_NOT_ASKED, "node %u: its answer is malformed", question.node_id);
    }
    question_fini(&question);
    return rv;
}

int tern_topic_create(struct tern *tern, const char *name, uint32_t partitions, const char *policy,
                      uint32_t *out_partitions)
{
    Tern__Admin__CreateTopic message;
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    if (partitions > INT32_MAX) {
        return tern_fail(tern, TERN_WRONG, "%u partitions are too many", partitions);
    }
    tern__admin__create_topic__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.name = pool_text(&pool, name);
    message.partitions = partitions == 0 ? -1 : (int32_t)partitions;
    message.policy = pool_text(&pool, policy != NULL ? policy : "");
    pack_into(&body, &message.base);
    rv = ask_change(tern, ADMIN_TOPIC_CREATE, buf_slice(&body), &pool, &changed);
    if (rv == TERN_DONE && out_partitions != NULL) {
        *out_partitions = changed->n_items > 0 ? changed->items[0]->partitions : 0;
    }
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

static int change_named(struct tern *tern, uint16_t type, const char *name)
{
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    ask_pack(&body, name, false);
    rv = ask_change(tern, type, buf_slice(&body), &pool, &changed);
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

int tern_topic_delete(struct tern *tern, const char *name)
{
    return change_named(tern, ADMIN_TOPIC_DELETE, name);
}

int tern_policy_remove(struct tern *tern, const char *name)
{
    return change_named(tern, ADMIN_POLICY_REMOVE, name);
}

int tern_topic_policy(struct tern *tern, const char *name, const char *policy, bool weaken,
                      bool check, const char *author, bool *out_unchanged)
{
    Tern__Admin__TopicPolicy message;
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    tern__admin__topic_policy__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.topic = pool_text(&pool, name);
    message.policy = pool_text(&pool, policy != NULL ? policy : "");
    message.weaken = weaken;
    message.check = check;
    message.author = pool_text(&pool, author != NULL ? author : "");
    pack_into(&body, &message.base);
    rv = ask_change(tern, ADMIN_TOPIC_POLICY, buf_slice(&body), &pool, &changed);
    if (rv == TERN_DONE) {
        *out_unchanged = changed->n_items > 0 && changed->items[0]->unchanged;
    }
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

int tern_topic_recover(struct tern *tern, const char *name, const uint32_t *partitions,
                       size_t count, const char *author, uint32_t *out_partitions)
{
    Tern__Admin__Recover message;
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    tern__admin__recover__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.topic = pool_text(&pool, name);
    message.author = pool_text(&pool, author != NULL ? author : "");
    message.partitions = pool_new(&pool, (count + 1) * sizeof(*message.partitions));
    for (size_t n = 0; n < count; n++) {
        message.partitions[message.n_partitions++] = partitions[n];
    }
    pack_into(&body, &message.base);
    rv = ask_change(tern, ADMIN_TOPIC_RECOVER, buf_slice(&body), &pool, &changed);
    if (rv == TERN_DONE && out_partitions != NULL) {
        *out_partitions = changed->n_items > 1 ? changed->items[1]->partitions : 0;
    }
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

int tern_node_remove(struct tern *tern, uint32_t node, const char *author)
{
    Tern__Admin__RemoveNode message;
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    tern__admin__remove_node__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.node = node;
    message.author = pool_text(&pool, author != NULL ? author : "");
    pack_into(&body, &message.base);
    rv = ask_change(tern, ADMIN_NODE_REMOVE, buf_slice(&body), &pool, &changed);
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

/* ---- policies ------------------------------------------------------------------------------- */

static int parse_all(struct tern *tern, const struct tern_document *documents, size_t count,
                     struct policy_set *set)
{
    for (size_t n = 0; n < count; n++) {
        policy_parse(set, documents[n].file != NULL ? documents[n].file : "policy",
                     slice_of(documents[n].yaml, documents[n].length));
    }
    policy_set_check(set);
    if (set->problem_count > 0) {
        const struct policy_problem *p = &set->problems[0];

        return tern_fail(tern, TERN_WRONG, "%s:%d:%d: error: %s", p->file, p->line, p->column,
                         p->message);
    }
    if (set->count == 0) {
        return tern_fail(tern, TERN_WRONG, "there is no policy in what was given");
    }
    return TERN_DONE;
}

static int apply(struct tern *tern, const struct policy_set *set, const char *const *weaken,
                 size_t weaken_count, const char *author, struct tern_applied **out)
{
    Tern__Admin__ApplyPolicies message;
    Tern__Admin__Changed *changed = NULL;
    struct pool pool = {0};
    struct buf body = {0};
    int rv;

    tern__admin__apply_policies__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.author = pool_text(&pool, author != NULL ? author : "");
    message.policies = pool_new(&pool, (set->count + 1) * sizeof(*message.policies));
    for (size_t n = 0; n < set->count; n++) {
        struct buf packed = {0};

        policy_pack(&set->policies[n], &packed);
        message.policies[message.n_policies++] = pool_bytes(&pool, buf_slice(&packed));
        buf_fini(&packed);
    }
    message.weaken = pool_new(&pool, (weaken_count + 1) * sizeof(*message.weaken));
    for (size_t n = 0; n < weaken_count; n++) {
        message.weaken[message.n_weaken++] = pool_text(&pool, weaken[n]);
    }
    pack_into(&body, &message.base);
    rv = ask_change(tern, ADMIN_POLICY_APPLY, buf_slice(&body), &pool, &changed);
    if (rv == TERN_DONE) {
        struct tern_applied *applied = mem_new(sizeof *applied);

        applied->policies = mem_new((changed->n_items + 1) * sizeof applied->policies[0]);
        for (size_t n = 0; n < changed->n_items; n++) {
            COPY_TEXT(applied->policies[n].name, changed->items[n]->name);
            applied->policies[n].unchanged = changed->items[n]->unchanged;
        }
        applied->count = changed->n_items;
        *out = applied;
    }
    pool_fini(&pool);
    buf_fini(&body);
    return rv;
}

int tern_policy_apply(struct tern *tern, const struct tern_document *documents, size_t count,
                      const char *const *weaken, size_t weaken_count, const char *author,
                      struct tern_applied **out)
{
    struct policy_set set = {0};
    int rv = parse_all(tern, documents, count, &set);

    if (rv == TERN_DONE) {
        rv = apply(tern, &set, weaken, weaken_count, author, out);
    }
    policy_set_fini(&set);
    return rv;
}

void tern_applied_free(struct tern_applied *applied)
{
    if (applied != NULL) {
        free(applied->policies);
        free(applied);
    }
}

/* ---- founding ------------------------------------------------------------------------------- */

/* The founders in the order of their ids; raft ids are 1, 2, ... in that order, so that a founding
 * that was cut short is repeated exactly. */
static int choose_founders(struct tern *tern, const uint32_t *nodes, size_t count,
                           struct tern_member *out, size_t *out_count)
{
    size_t chosen = 0;

    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        bool named = count == 0;
        const struct tern_member *member = NULL;

        for (size_t n = 0; n < count; n++) {
            named = named || nodes[n] == id;
        }
        for (size_t n = 0; n < tern->member_count; n++) {
            member = tern->members[n].id == id ? &tern->members[n] : member;
        }
        if (!named || (count == 0 && member == NULL)) {
            continue;
        }
        if (member == NULL) {
            return tern_fail(tern, TERN_WRONG, "node %u is not in the profile", id);
        }
        out[chosen++] = *member;
    }
    if (chosen % 2 == 0) {
        return tern_fail(tern, TERN_WRONG,
                         "%zu founders: an odd number is needed (one voter per region, for "
                         "instance 3)",
                         chosen);
    }
    *out_count = chosen;
    return TERN_DONE;
}

/* Nobody is founded twice: either all founders are empty, or a founding never got as far as a
 * quorum and is completed with the id that it chose. An empty disk beside a running cluster is a
 * wiped one, which joins by itself and must never found. */
static int choose_id(struct tern *tern, const struct views *views, const struct tern_member *chosen,
                     size_t count, ProtobufCBinaryData *out, uint8_t fresh[16], bool *out_completed)
{
    size_t members = 0;

    *out = (ProtobufCBinaryData){0};
    for (size_t n = 0; n < count; n++) {
        const Tern__Admin__NodeView *view = views->nodes[chosen[n].id].view;
        uint32_t id = chosen[n].id;

        if (view == NULL) {
            return tern_fail(tern, TERN_NOT_ASKED, "node %u does not answer: %s", id,
                             views->nodes[id].why);
        }
        if (view->cluster_id.len == 0) {
            continue;
        }
        members++;
        if (out->len != 0 && !slice_equal(slice_of(out->data, out->len),
                                          slice_of(view->cluster_id.data, view->cluster_id.len))) {
            return tern_fail(tern, TERN_DENIED,
                             "node %u belongs to another cluster than a node before it", id);
        }
        *out = view->cluster_id;
    }
    *out_completed = members > 0;
    if (members == 0) {
        if (getrandom(fresh, 16, 0) != 16) {
            return tern_fail(tern, TERN_NOT_ASKED, "the system gives no random bytes");
        }
        *out = (ProtobufCBinaryData){.len = 16, .data = fresh};
        return TERN_DONE;
    }
    if (members == count) {
        return tern_fail(tern, TERN_DENIED, "cluster %s is founded already: see tern quorum",
                         tern->cluster);
    }
    for (size_t n = 0; n < count; n++) {
        const Tern__Admin__NodeView *view = views->nodes[chosen[n].id].view;

        if (view->leader_node != 0 || view->commit_index > 1) {
            return tern_fail(tern, TERN_DENIED,
                             "cluster %s is founded already; a node with an empty directory joins "
                             "it by itself when its seeds name a member",
                             tern->cluster);
        }
    }
    return TERN_DONE;
}

static int send_founding(struct tern *tern, const struct tern_member *chosen, size_t count,
                         struct slice body)
{
    struct question questions[TERN_NODES_MAX] = {0};
    int rv = TERN_DONE;

    for (size_t n = 0; n < count; n++) {
        questions[n] = (struct question){.node_id = chosen[n].id,
                                         .type = ADMIN_FOUND,
                                         .body = body,
                                         .timeout_ms = tern->timeout_ms + 6000,
                                         .tern = tern};
        COPY_TEXT(questions[n].address, chosen[n].admin);
    }
    questions_ask(questions, count);
    for (size_t n = 0; n < count; n++) {
        if (rv == TERN_DONE && questions[n].rv != 0) {
            rv = tern_fail(tern, TERN_NOT_ASKED,
                           "node %u: %s; repeat tern cluster init to complete the founding",
                           chosen[n].id, questions[n].why);
        } else if (rv == TERN_DONE && questions[n].error != 0) {
            rv = tern_fail(tern, TERN_DENIED, "node %u: %s", chosen[n].id, questions[n].why);
        }
        question_fini(&questions[n]);
    }
    return rv;
}

static void pack_founding(const struct tern_member *chosen, size_t count, const struct views *views,
                          ProtobufCBinaryData id, struct buf *out)
{
    struct pool pool = {0};
    Tern__Admin__Found message;

    tern__admin__found__init(&message);
    message.format = ADMIN_MESSAGES_VERSION;
    message.cluster_id = id;
    message.founders = pool_new(&pool, count * sizeof(*message.founders));
    for (size_t n = 0; n < count; n++) {
        Tern__Admin__Founder *founder = pool_new(&pool, sizeof *founder);
        const Tern__Admin__NodeView *view = views->nodes[chosen[n].id].view;

        tern__admin__founder__init(founder);
        founder->node_id = chosen[n].id;
        founder->raft_id = n + 1;
        founder->region = view->region; /* what its certificate proves */
        founder->mesh_address = view->mesh_address;
        founder->witness = view->witness;
        message.founders[message.n_founders++] = founder;
    }
    pack_into(out, &message.base);
    pool_fini(&pool);
}

int tern_init(struct tern *tern, const uint32_t *nodes, size_t count, struct tern_founded *out)
{
    struct views *views = mem_new(sizeof *views);
    struct tern_member chosen[TERN_NODES_MAX];
    ProtobufCBinaryData id = {0};
    struct buf body = {0};
    uint8_t fresh[16];
    bool completed = false;
    size_t chosen_count = 0;
    int rv = choose_founders(tern, nodes, count, chosen, &chosen_count);

    rv = rv == TERN_DONE ? views_ask(tern, views) : rv;
    rv =
        rv == TERN_DONE ? choose_id(tern, views, chosen, chosen_count, &id, fresh, &completed) : rv;
    if (rv == TERN_DONE) {
        pack_founding(chosen, chosen_count, views, id, &body);
        rv = send_founding(tern, chosen, chosen_count, buf_slice(&body));
    }
    if (rv == TERN_DONE) {
        COPY_TEXT(out->cluster, tern->cluster);
        copy_uuid(out->cluster_id, id);
        out->completed = completed;
    }
    views_fini(views);
    free(views);
    buf_fini(&body);
    return rv;
}
