/* SPDX-License-Identifier: Apache-2.0 */
/* AlterReplicaLogDirs: a node has one log directory, so that a replica is where it can be, or the
 * directory is not there. kafka-reassign-partitions asks when a plan names directories. */
#include <stdlib.h>

#include "agent/api.h"
#include "base/error.h"

/* "/data/" is "/data". */
static bool is_own_dir(const struct node *node, struct slice path)
{
    struct slice own = slice_text(node->o.data_dir);

    while (path.len > 1 && path.base[path.len - 1] == '/') {
        path.len--;
    }
    while (own.len > 1 && own.base[own.len - 1] == '/') {
        own.len--;
    }
    return slice_equal(path, own);
}

static int16_t move(struct node *node, const struct control_topic *topic, int32_t partition,
                    bool own_dir)
{
    if (!own_dir) {
        return error_kafka(TERN_ELOGDIR);
    }
    if (topic == NULL || partition < 0 || (uint32_t)partition >= topic->partition_count) {
        return error_kafka(TERN_ENOENT);
    }
    return partition_find(node, topic->id, partition) != NULL ? 0 : error_kafka(TERN_EREPLICA);
}

struct wish {
    struct slice topic;
    int32_t partition;
    uint32_t place; /* in the request */
    bool own_dir;
};

static int by_partition(const void *a, const void *b)
{
    const struct wish *x = a;
    const struct wish *y = b;
    int order = slice_compare(x->topic, y->topic);

    if (order == 0) {
        order = (x->partition > y->partition) - (x->partition < y->partition);
    }
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

static uint32_t wishes_of(struct request *rq, struct wish **out)
{
    const struct kafka_alter_replica_log_dirs_request *m = rq->message;
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->dirs_count; i++) {
        for (uint32_t k = 0; k < m->dirs[i].topics_count; k++) {
            count += m->dirs[i].topics[k].partitions_count;
        }
    }
    struct wish *all = arena_take(&rq->arena, (count + 1) * sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->dirs_count; i++) {
        bool own_dir = is_own_dir(rq->node, m->dirs[i].path);
        for (uint32_t k = 0; k < m->dirs[i].topics_count; k++) {
            const struct kafka_alter_replica_log_dirs_request_topic *topic = &m->dirs[i].topics[k];
            for (uint32_t j = 0; j < topic->partitions_count; j++, n++) {
                all[n] = (struct wish){topic->name, topic->partitions[j], n, own_dir};
            }
        }
    }
    qsort(all, count, sizeof *all, by_partition);
    *out = all;
    return count;
}

void api_alter_replica_log_dirs(struct request *rq)
{
    struct kafka_alter_replica_log_dirs_response response;
    struct kafka_alter_replica_log_dirs_response_result *result = NULL;
    struct wish *all;
    uint32_t count = wishes_of(rq, &all);

    kafka_alter_replica_log_dirs_response_init(&response);
    response.results = kafka_alter_replica_log_dirs_response_result_new(&rq->arena, count);
    struct kafka_alter_replica_log_dirs_response_partition *partitions =
        kafka_alter_replica_log_dirs_response_partition_new(&rq->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        bool overruled = i + 1 < count && slice_equal(all[i].topic, all[i + 1].topic) &&
                         all[i].partition == all[i + 1].partition;
        if (result == NULL || !slice_equal(result->name, all[i].topic)) {
            result = &response.results[response.results_count++];
            result->name = all[i].topic;
            result->partitions = &partitions[i];
        }
        if (overruled) {
            continue; /* as in Kafka, the last directory that is named for it */
        }
        struct kafka_alter_replica_log_dirs_response_partition *out =
            &result->partitions[result->partitions_count++];
        out->partition = all[i].partition;
        out->error = move(rq->node, topic_by_slice(rq->node, all[i].topic), all[i].partition,
                          all[i].own_dir);
    }
    request_reply(rq, &response);
}
