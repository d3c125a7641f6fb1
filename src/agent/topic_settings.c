/* SPDX-License-Identifier: Apache-2.0 */
/* From a topic's policy and configs to what the store is told of its logs. */
#include "agent/inner.h"

struct log_settings topic_log_settings(const struct control_topic *topic)
{
    struct log_settings settings = log_settings_default();

    settings.retention_ms = topic->policy.retention_ms;
    settings.retention_bytes = topic->policy.retention_bytes;
    return settings;
}
