/* SPDX-License-Identifier: Apache-2.0 */
/* Results as JSON, in the form that docs/reference/NAME.schema.json promises to scripts. */
#pragma once

#include <jansson.h>

#include "tern/tern.h"

json_t *json_of_quorum(const struct tern_quorum *quorum);             /* quorum */
json_t *json_of_status(const struct tern_status *status);             /* status */
json_t *json_of_topics(const struct tern_topics *topics);             /* topic-list */
json_t *json_of_topic(const struct tern_topic *topic);                /* topic-describe */
json_t *json_of_policies(const struct tern_policies *policies);       /* policy-show */
json_t *json_of_ledger(const struct tern_ledger *ledger);             /* ledger */
json_t *json_of_quarantine(const struct tern_quarantine *quarantine); /* quarantine-list */
json_t *json_of_groups(const struct tern_groups *groups);             /* group-list */
json_t *json_of_group(const struct tern_group *group);                /* group-describe */
