/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: policies, ledger, quarantine, metrics. */
#include <stdio.h>
#include <string.h>

#include "admin/tern_inner.h"
#include "policy/policy.h"

/* One Ask to the observer; the answer unpacked by `unpack`, its memory in `pool`. */
static int ask_list(struct tern *tern, uint16_t type, const char *name,
                    const ProtobufCMessageDescriptor *descriptor, struct pool *pool,
                    ProtobufCMessage **out)
{
    struct buf body = {0};
    struct question question;
    ProtobufCAllocator allocator = pool_allocator(pool);
    int rv;

    ask_pack(&body, name, false);
    rv = ask_observer(tern, type, buf_slice(&body), &question);
    if (rv == TERN_DONE) {
        *out = protobuf_c_message_unpack(descriptor, &allocator, question.answer.len,
                                         question.answer.base);
        if (*out == NULL) {
            rv = tern_fail(tern, TERN_NOT_ASKED, "node %u: its answer is malformed",
                           question.node_id);
        }
        question_fini(&question);
    }
    buf_fini(&body);
    return rv;
}

/* ---- policies ------------------------------------------------------------------------------- */

static void fill_policy(const Tern__Admin__Policies__Policy *from, const struct policy *policy,
                        struct tern_policy *out)
{
    struct buf yaml = {0};

    COPY_TEXT(out->name, policy->name);
    out->critical = policy->critical;
    COPY_TEXT(out->mode, policy->mode == POLICY_SYNC ? "sync" : "async");
    out->ack = policy->ack;
    out->revision = from->revision;
    COPY_TEXT(out->author, from->author);
    out->wall_ms = from->wall_ms;
    out->topics = from->topics;
    policy_print(policy, &yaml);
    buf_u8(&yaml, '\0');
    out->yaml = mem_string((const char *)yaml.base);
    buf_fini(&yaml);
}

int tern_policies(struct tern *tern, const char *name, struct tern_policies **out)
{
    struct pool pool = {0};
    ProtobufCMessage *message = NULL;
    int rv =
        ask_list(tern, ADMIN_POLICIES, name, &tern__admin__policies__descriptor, &pool, &message);

    if (rv == TERN_DONE) {
        const Tern__Admin__Policies *from = (const Tern__Admin__Policies *)(const void *)message;
        struct tern_policies *policies = mem_new(sizeof *policies);

        policies->revision = from->revision;
        policies->policies = mem_new((from->n_policies + 1) * sizeof policies->policies[0]);
        for (size_t n = 0; n < from->n_policies && rv == TERN_DONE; n++) {
            struct policy policy;

            if (policy_unpack(
                    slice_of(from->policies[n]->policy.data, from->policies[n]->policy.len),
                    &policy) != 0) {
                rv = tern_fail(tern, TERN_NOT_ASKED,
                               "a policy of the cluster has a format that this tern doesn't know: "
                               "use tern and ternd of one release");
                break;
            }
            fill_policy(from->policies[n], &policy, &policies->policies[policies->count++]);
        }
        if (rv == TERN_DONE) {
            *out = policies;
        } else {
            tern_policies_free(policies);
        }
    }
    pool_fini(&pool);
    return rv;
}

void tern_policies_free(struct tern_policies *policies)
{
    if (policies == NULL) {
        return;
    }
    for (size_t n = 0; n < policies->count; n++) {
        free(policies->policies[n].yaml);
    }
    free(policies->policies);
    free(policies);
}

/* ---- ledger --------------------------------------------------------------------------------- */

static void fill_ledger(const Tern__Admin__Ledger__Entry *from, struct tern_ledger_entry *out)
{
    COPY_TEXT(out->kind, from->kind);
    COPY_TEXT(out->topic, from->topic);
    out->partition = from->partition;
    out->first_offset = from->first_offset;
    out->end_offset = from->end_offset;
    out->bytes = from->bytes;
    out->millis = from->millis;
    out->since_wall_ms = from->since_wall_ms;
    out->until_wall_ms = from->until_wall_ms;
    COPY_TEXT(out->decided_by, from->decided_by);
    COPY_TEXT(out->note, from->note);
    out->index = from->index;
}

int tern_ledger(struct tern *tern, const char *topic, struct tern_ledger **out)
{
    struct pool pool = {0};
    ProtobufCMessage *message = NULL;
    int rv = ask_list(tern, ADMIN_LEDGER, topic, &tern__admin__ledger__descriptor, &pool, &message);

    if (rv == TERN_DONE) {
        const Tern__Admin__Ledger *from = (const Tern__Admin__Ledger *)(const void *)message;
        struct tern_ledger *ledger = mem_new(sizeof *ledger);

        ledger->entries = mem_new((from->n_entries + 1) * sizeof ledger->entries[0]);
        for (size_t n = 0; n < from->n_entries; n++) {
            fill_ledger(from->entries[n], &ledger->entries[ledger->count++]);
        }
        *out = ledger;
    }
    pool_fini(&pool);
    return rv;
}

void tern_ledger_free(struct tern_ledger *ledger)
{
    if (ledger != NULL) {
        free(ledger->entries);
        free(ledger);
    }
}

/* ---- quarantine: every node has its own ----------------------------------------------------- */

static void add_quarantined(const Tern__Admin__Quarantine *answer, struct tern_quarantine *out)
{
    for (size_t n = 0; n < answer->n_entries; n++) {
        const Tern__Admin__Quarantine__Entry *from = answer->entries[n];
        struct tern_quarantined *entry;

        out->entries = array_more(out->entries, out->count, sizeof out->entries[0]);
        entry = &out->entries[out->count++];
        entry->node = answer->node_id;
        COPY_TEXT(entry->region, answer->region);
        COPY_TEXT(entry->topic, from->topic);
        copy_uuid(entry->topic_id, from->topic_id);
        entry->partition = from->partition;
        entry->first_epoch = from->first_epoch;
        entry->last_epoch = from->last_epoch;
        entry->first_offset = from->first_offset;
        entry->end_offset = from->end_offset;
        entry->records = from->records;
        entry->bytes = from->bytes;
        entry->wall_ms = from->wall_ms;
        COPY_TEXT(entry->path, from->path);
    }
}

static void take_quarantine(struct question *question, struct tern_quarantine *out)
{
    struct pool pool = {0};
    ProtobufCAllocator allocator = pool_allocator(&pool);
    Tern__Admin__Quarantine *answer = NULL;

    if (question->rv == 0 && question->error == 0) {
        answer = tern__admin__quarantine__unpack(&allocator, question->answer.len,
                                                 question->answer.base);
    }
    if (answer != NULL) {
        add_quarantined(answer, out);
    } else {
        out->silent_nodes++;
    }
    pool_fini(&pool);
    question_fini(question);
}

int tern_quarantine(struct tern *tern, const char *topic, struct tern_quarantine **out)
{
    struct views *views = mem_new(sizeof *views);
    struct question questions[TERN_NODES_MAX] = {0};
    struct tern_quarantine *found;
    struct buf body = {0};
    int rv = views_ask(tern, views);

    if (rv == TERN_DONE) {
        found = mem_new(sizeof *found);
        ask_pack(&body, topic, false);
        size_t count = views_question(tern, views, ADMIN_QUARANTINE, buf_slice(&body), questions,
                                      &found->silent_nodes);
        for (size_t n = 0; n < count; n++) {
            take_quarantine(&questions[n], found);
        }
        buf_fini(&body);
        *out = found;
    }
    views_fini(views);
    free(views);
    return rv;
}

void tern_quarantine_free(struct tern_quarantine *quarantine)
{
    if (quarantine != NULL) {
        free(quarantine->entries);
        free(quarantine);
    }
}

/* ---- metrics -------------------------------------------------------------------------------- */

int tern_metrics(struct tern *tern, uint32_t node, char **out_text)
{
    struct question question = {
        .node_id = node, .type = ADMIN_METRICS, .timeout_ms = tern->timeout_ms, .tern = tern};
    struct views *views;
    struct buf body = {0};
    int rv = TERN_DONE;

    if (node == 0 || node > TERN_NODES_MAX) {
        return tern_fail(tern, TERN_WRONG, "node ids are 1 to %d", TERN_NODES_MAX);
    }
    for (size_t n = 0; n < tern->member_count; n++) {
        if (tern->members[n].id == node) {
            COPY_TEXT(question.address, tern->members[n].admin);
        }
    }
    if (question.address[0] == '\0') { /* not in the profile: does the cluster know it? */
        views = mem_new(sizeof *views);
        rv = views_ask(tern, views);
        COPY_TEXT(question.address, views->nodes[node].member.admin);
        views_fini(views);
        free(views);
        if (rv == TERN_DONE && question.address[0] == '\0') {
            rv = tern_fail(tern, TERN_WRONG, "there is no node %u: see tern quorum", node);
        }
    }
    if (rv != TERN_DONE) {
        return rv;
    }
    ask_pack(&body, NULL, false);
    question.body = buf_slice(&body);
    questions_ask(&question, 1);
    if (question.rv != 0 || question.error != 0) {
        rv = tern_fail(tern, TERN_NOT_ASKED, "node %u: %s", node, question.why);
    } else {
        buf_u8(&question.answer, '\0');
        *out_text = mem_string((const char *)question.answer.base);
    }
    question_fini(&question);
    buf_fini(&body);
    return rv;
}
