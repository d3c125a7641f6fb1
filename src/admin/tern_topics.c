/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: topics. Placement comes from the observer, offsets from each partition's leader. */
#include <stdio.h>
#include <string.h>

#include "admin/tern_inner.h"

typedef Tern__Admin__Topics topics_answer;

struct asked {
    struct pool pool;
    struct views views;
    topics_answer *answers[TERN_NODES_MAX + 1]; /* by node; NULL: none */
};

static void ask_topics(struct tern *tern, struct asked *asked, const char *name, bool detail,
                       struct question questions[TERN_NODES_MAX], size_t *out_count)
{
    struct buf body = {0};
    ProtobufCAllocator allocator = pool_allocator(&asked->pool);
    size_t count = 0;

    ask_pack(&body, name, detail);
    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        /* Without offsets the observer alone knows everything. */
        if (asked->views.nodes[id].view == NULL || (!detail && id != asked->views.observer)) {
            continue;
        }
        questions[count] = (struct question){.node_id = id,
                                             .type = ADMIN_TOPICS,
                                             .body = buf_slice(&body),
                                             .timeout_ms = tern->timeout_ms,
                                             .tern = tern};
        COPY_TEXT(questions[count].address, asked->views.nodes[id].member.admin);
        count++;
    }
    questions_ask(questions, count);
    for (size_t n = 0; n < count; n++) {
        if (questions[n].rv == 0 && questions[n].error == 0) {
            asked->answers[questions[n].node_id] = tern__admin__topics__unpack(
                &allocator, questions[n].answer.len, questions[n].answer.base);
        }
    }
    *out_count = count;
    buf_fini(&body);
}

static const Tern__Admin__Partition *partition_at(const topics_answer *answer, const char *topic,
                                                  uint32_t index)
{
    for (size_t n = 0; answer != NULL && n < answer->n_topics; n++) {
        if (strcmp(answer->topics[n]->name, topic) == 0) {
            return index < answer->topics[n]->n_partitions ? answer->topics[n]->partitions[index]
                                                           : NULL;
        }
    }
    return NULL;
}

static const char *region_of(const struct asked *asked, uint32_t node)
{
    if (node == 0 || node > TERN_NODES_MAX) {
        return "";
    }
    return asked->views.nodes[node].view != NULL ? asked->views.nodes[node].view->region
                                                 : asked->views.nodes[node].member.region;
}

static int64_t acked_by(const Tern__Admin__Partition *leader, uint32_t node)
{
    for (size_t n = 0; leader != NULL && n < leader->n_peers; n++) {
        if (leader->peers[n]->node == node) {
            return leader->peers[n]->acked;
        }
    }
    return -1;
}

static void add_replicas(const struct asked *asked, const Tern__Admin__Partition *leader,
                         const uint32_t *nodes, size_t count, bool voter,
                         struct tern_partition *out)
{
    for (size_t n = 0; n < count; n++) {
        struct tern_replica *replica;

        out->replicas = array_more(out->replicas, out->replica_count, sizeof out->replicas[0]);
        replica = &out->replicas[out->replica_count++];
        replica->node = nodes[n];
        COPY_TEXT(replica->region, region_of(asked, nodes[n]));
        replica->voter = voter;
        replica->acked =
            leader != NULL && nodes[n] == out->leader ? leader->leo : acked_by(leader, nodes[n]);
    }
}

static void fill_partition(const struct asked *asked, const char *topic,
                           const Tern__Admin__Partition *from, struct tern_partition *out)
{
    const Tern__Admin__Partition *leader = NULL;

    out->index = from->index;
    out->epoch = from->epoch;
    out->leader = from->leader;
    COPY_TEXT(out->leader_region, region_of(asked, from->leader));
    out->ack = from->w;
    COPY_TEXT(out->home, from->home);
    out->activated = from->activated;
    out->lossy_start = from->lossy_start;
    out->health = health_of(from->state);
    COPY_TEXT(out->why, from->why);
    if (from->leader != 0 && from->leader <= TERN_NODES_MAX) {
        leader = partition_at(asked->answers[from->leader], topic, from->index);
    }
    if (leader != NULL && !(leader->hosted && leader->leader == from->leader)) {
        leader = NULL;
    }
    out->fresh = leader != NULL && leader->serves;
    out->hw = -1;
    if (leader != NULL) {
        out->log_start = leader->log_start;
        out->leo = leader->leo;
        out->hw = leader->hw;
        out->bytes = leader->bytes;
        out->exposed_records = leader->exposed_records;
        out->exposed_bytes = leader->exposed_bytes;
        out->exposed_ms = leader->exposed_ms;
    }
    add_replicas(asked, leader, from->voters, from->n_voters, true, out);
    add_replicas(asked, leader, from->learners, from->n_learners, false, out);
}

static void fill_topic(const struct asked *asked, const Tern__Admin__Topic *from,
                       struct tern_topic *out)
{
    COPY_TEXT(out->name, from->name);
    copy_uuid(out->id, from->id);
    COPY_TEXT(out->policy, from->policy);
    out->critical = from->critical;
    COPY_TEXT(out->mode, from->mode);
    out->ack = from->ack;
    COPY_TEXT(out->home, from->home);
    out->partition_count = from->partition_count;
    out->leaderless = from->leaderless;
    out->under_replicated = from->under_replicated;
    out->retention_ms = from->retention_ms;
    out->retention_bytes = from->retention_bytes;
    out->health = health_of(from->state);
    COPY_TEXT(out->why, from->why);
    out->leaders = mem_new((from->n_leaders + 1) * sizeof out->leaders[0]);
    for (size_t n = 0; n < from->n_leaders; n++) {
        COPY_TEXT(out->leaders[n].region, from->leaders[n]->region);
        out->leaders[n].count = from->leaders[n]->count;
    }
    out->leader_count = from->n_leaders;
    if (from->n_partitions == from->partition_count && from->n_partitions > 0) {
        out->partitions = mem_new(from->n_partitions * sizeof out->partitions[0]);
        for (size_t n = 0; n < from->n_partitions; n++) {
            fill_partition(asked, from->name, from->partitions[n], &out->partitions[n]);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tern_topic *)a)->name, ((const struct tern_topic *)b)->name);
}

static struct tern_topics *topics_of(const struct asked *asked, const topics_answer *from)
{
    struct tern_topics *topics = mem_new(sizeof *topics);

    topics->topics = mem_new((from->n_topics + 1) * sizeof topics->topics[0]);
    for (size_t n = 0; n < from->n_topics; n++) {
        fill_topic(asked, from->topics[n], &topics->topics[n]);
    }
    topics->count = from->n_topics;
    qsort(topics->topics, topics->count, sizeof topics->topics[0], by_name);
    return topics;
}

static int topics_ask(struct tern *tern, struct asked *asked, const char *name, bool detail,
                      struct tern_topics **out)
{
    struct question questions[TERN_NODES_MAX] = {0};
    const topics_answer *answer;
    size_t count = 0;
    int rv = TERN_DONE;

    if (asked->views.nodes[asked->views.observer].view->cluster_id.len == 0) {
        return tern_fail(tern, TERN_DENIED,
                         "node %u belongs to no cluster yet: found one with tern cluster init",
                         asked->views.observer);
    }
    ask_topics(tern, asked, name, detail, questions, &count);
    answer = asked->answers[asked->views.observer];
    for (size_t n = 0; n < count; n++) {
        if (questions[n].node_id == asked->views.observer && answer == NULL) {
            rv = tern_fail(tern,
                           questions[n].rv == 0 ? outcome_of(questions[n].error) : TERN_NOT_ASKED,
                           "%s", questions[n].why);
        }
        question_fini(&questions[n]);
    }
    if (rv == TERN_DONE && answer != NULL) {
        *out = topics_of(asked, answer);
    }
    return rv;
}

int tern_topics(struct tern *tern, const char *name, bool detail, struct tern_topics **out)
{
    struct asked *asked = mem_new(sizeof *asked);
    int rv = views_ask(tern, &asked->views);

    if (rv == TERN_DONE) {
        rv = topics_ask(tern, asked, name, detail, out);
    }
    views_fini(&asked->views);
    pool_fini(&asked->pool);
    free(asked);
    return rv;
}

void tern_topics_free(struct tern_topics *topics)
{
    if (topics == NULL) {
        return;
    }
    for (size_t n = 0; n < topics->count; n++) {
        struct tern_topic *topic = &topics->topics[n];

        for (size_t k = 0; topic->partitions != NULL && k < topic->partition_count; k++) {
            free(topic->partitions[k].replicas);
        }
        free(topic->partitions);
        free(topic->leaders);
    }
    free(topics->topics);
    free(topics);
}
