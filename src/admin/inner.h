/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the server's files of this room only. */
#pragma once

#include "admin.pb-c.h"
#include "admin/calls.h"
#include "admin/health.h"
#include "admin/pool.h"
#include "admin/server.h"
#include "base/error.h"
#include "base/queue.h"

#define ADMIN_WHY 256

struct admin {
    struct admin_options options;
    struct link changes; /* struct change: under way */
};

/* ---- answers: 0, or an error with a sentence ------------------------------------------------- */
struct ask {
    const char *name; /* "": all */
    bool detail;
};
typedef int admin_answer(struct admin *admin, const struct ask *ask, struct pool *pool,
                         struct buf *out, char why[ADMIN_WHY]);
admin_answer answer_node;
admin_answer answer_health;
admin_answer answer_topics;
admin_answer answer_policies;
admin_answer answer_ledger;
admin_answer answer_quarantine;
admin_answer answer_groups;
admin_answer answer_metrics;

struct health_view admin_view(const struct admin *admin);

/* ---- changes: they reply by themselves unless they return an error --------------------------- */
struct change_caller {
    struct net_call *call;
    const char *principal;
};
int change_found(struct admin *admin, const struct change_caller *caller, struct slice body,
                 char why[ADMIN_WHY]);
int change_topic_create(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY]);
int change_topic_delete(struct admin *admin, const struct change_caller *caller, const char *name,
                        char why[ADMIN_WHY]);
int change_topic_policy(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY]);
int change_policy_apply(struct admin *admin, const struct change_caller *caller, struct slice body,
                        char why[ADMIN_WHY]);
int change_policy_remove(struct admin *admin, const struct change_caller *caller, const char *name,
                         char why[ADMIN_WHY]);
int change_topic_recover(struct admin *admin, const struct change_caller *caller, struct slice body,
                         char why[ADMIN_WHY]);
int change_node_remove(struct admin *admin, const struct change_caller *caller, struct slice body,
                       char why[ADMIN_WHY]);
/* EREFUSED while the node has no control state: not founded, or still joining. */
int admin_ready(struct admin *admin, char why[ADMIN_WHY]);
void changes_cancel(struct admin *admin);

void admin_reply(struct admin *admin, struct net_call *call, int error, struct slice body);
/* EFORMAT with both versions named. */
int admin_format_check(uint32_t format, char why[ADMIN_WHY]);

/* Requests are at most 1 MiB (net); unpacked they may take this much. */
#define ADMIN_UNPACK_MAX (8u << 20)
