/* SPDX-License-Identifier: Apache-2.0 */
/* From a topic's policy and configs to what the store is told of its logs. */
#include "agent/inner.h"

_Static_assert(LOG_DELETE == TOPIC_CLEAN_DELETE && LOG_COMPACT == TOPIC_CLEAN_COMPACT,
               "the same bits in both rooms");

struct log_settings topic_log_settings(const struct control_topic *topic)
{
    const struct topic_settings *s = &topic->settings;

    return (struct log_settings){
        .cleanup_policy = s->cleanup,
        .retention_ms = topic->policy.retention_ms,
        .retention_bytes = topic->policy.retention_bytes,
        .segment_bytes = (uint64_t)s->segment_bytes,
        .segment_ms = (uint64_t)s->segment_ms,
        .delete_retention_ms = (uint64_t)s->delete_retention_ms,
        .min_compaction_lag_ms = (uint64_t)s->min_compaction_lag_ms,
        .max_compaction_lag_ms = (uint64_t)s->max_compaction_lag_ms,
        .min_cleanable_ratio = s->min_cleanable_ratio,
    };
}
