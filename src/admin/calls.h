/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the admin port, for server and client: type of the frame, request, answer. */
#pragma once

#define ADMIN_MESSAGES_VERSION 1 /* of every message of proto/admin.proto */

/* The one finding that every node is asked for: only the leader itself knows. */
#define HEALTH_NOT_SERVED "LEADER_NOT_SERVING"

enum admin_type {
    ADMIN_NODE = 1,         /* Ask -> NodeView */
    ADMIN_HEALTH = 2,       /* Ask -> Health */
    ADMIN_TOPICS = 3,       /* Ask -> Topics */
    ADMIN_POLICIES = 4,     /* Ask -> Policies */
    ADMIN_LEDGER = 5,       /* Ask -> Ledger */
    ADMIN_QUARANTINE = 6,   /* Ask -> Quarantine */
    ADMIN_METRICS = 7,      /* Ask -> text of Prometheus */
    ADMIN_FOUND = 8,        /* Found -> Changed */
    ADMIN_TOPIC_CREATE = 9, /* CreateTopic -> Changed */
    ADMIN_TOPIC_DELETE = 10,
    ADMIN_POLICY_APPLY = 11,  /* ApplyPolicies -> Changed */
    ADMIN_POLICY_REMOVE = 12, /* Ask -> Changed */
    ADMIN_TOPIC_RECOVER = 13, /* Recover -> Changed */
    ADMIN_NODE_REMOVE = 14,   /* RemoveNode -> Changed */
    ADMIN_GROUPS = 15,        /* Ask -> Groups */
    ADMIN_TOPIC_POLICY = 16   /* TopicPolicy -> Changed */
};
