/* SPDX-License-Identifier: Apache-2.0 */
/* What an acknowledgement of a topic means: one policy, plain data.
 *
 * Made by policy_parse (YAML documents of operators) or policy_unpack (the control state). Strings
 * are NUL-ended and inside the struct, so that a policy can be copied by assignment. */
#pragma once

#include "base/buf.h"
#include "base/check.h"
#include "base/wire.h"

#define POLICY_NAME_MAX       64
#define POLICY_PATTERN_MAX    128
#define POLICY_PATTERNS_MAX   16
#define POLICY_REGIONS_MAX    8
#define POLICY_FORMAT_VERSION 1 /* of the packed form; another one is EFORMAT */
#define POLICY_PROBLEMS_MAX   64
#define POLICY_GROUPS_TOPIC   "__consumer_offsets" /* what `groups: true` puts under a policy */

enum policy_mode { POLICY_SYNC, POLICY_ASYNC };
enum policy_region_loss { POLICY_LOSS_REFUSE, POLICY_LOSS_DEGRADE };
enum policy_breach { POLICY_BREACH_THROTTLE, POLICY_BREACH_REFUSE, POLICY_BREACH_REPORT };
enum policy_failover { POLICY_FAILOVER_MANUAL, POLICY_FAILOVER_AUTO };

struct policy {
    char name[POLICY_NAME_MAX];
    uint32_t pattern_count; /* topic names or globs with '*'; an exact name wins over any glob */
    char patterns[POLICY_PATTERNS_MAX][POLICY_PATTERN_MAX];
    int32_t priority; /* among globs, the higher wins; equal ones that overlap are an error */
    bool critical;    /* sync only; never weakened without a typed confirmation */
    enum policy_mode mode;
    uint32_t ack;    /* sync: regions that must have fsynced, 2 or 3; async: 1, the home region */
    uint32_t copies; /* voters per data region: 1, 2 or 3 */
    uint32_t region_count; /* data regions; 0: all data regions of the cluster */
    char regions[POLICY_REGIONS_MAX][WIRE_NAME_MAX];
    uint32_t prefer_count; /* leaders, best first */
    char prefer[POLICY_REGIONS_MAX][WIRE_NAME_MAX];
    /* sync, ack 3 */
    enum policy_region_loss on_region_loss;
    uint64_t region_loss_after_ms;
    /* async */
    char home[WIRE_NAME_MAX];
    uint64_t rpo_time_ms; /* 0: no bound */
    uint64_t rpo_bytes;   /* 0: no bound */
    enum policy_breach on_breach;
    uint32_t rpo_survive; /* 1: measured to the most advanced other region; 2: to the second */
    enum policy_failover failover;
    uint64_t failover_after_ms;
    uint64_t failover_wait_ms;
    /* topics made under this policy */
    uint32_t partitions;     /* default number; 0: 1 */
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* per partition; -1: no bound */
    uint64_t max_message_bytes;
};

/* sync, ack 2, one copy, refuse, no patterns: what `default` means. */
struct policy policy_default(void);

/* One problem of a document: where, and what to write instead. */
struct policy_problem {
    char file[256];
    int line; /* 1-based; 0: the whole file */
    int column;
    char message[256];
    char excerpt[160]; /* the source line; the caret goes under `column` */
};
struct policy_set {
    struct policy *policies;
    size_t count;
    struct policy_problem *problems; /* all that were found, at most POLICY_PROBLEMS_MAX */
    size_t problem_count;
};
/* Parses all YAML documents of `text`; adds to the set (zeroed before the first call). `file` is
 * only for messages. Strict: unknown or duplicate keys, missing units, wrong enum words, values
 * that contradict each other are problems. Never fails otherwise. */
void policy_parse(struct policy_set *set, const char *file, struct slice text);
/* As compilers do: file:line:column: error: message, the line, a caret. */
void policy_problem_print(const struct policy_problem *problem, struct buf *out);
/* Problems between policies: same name twice, equal explicit names, overlapping globs of equal
 * priority. */
void policy_set_check(struct policy_set *set);
void policy_set_fini(struct policy_set *set);

/* Which policy a topic name falls under: exact name, else the glob with the highest priority, else
 * NULL. */
const struct policy *policy_match(const struct policy *policies, size_t count, const char *topic);

/* Does the policy contradict itself? False, and a sentence in why. What policy_parse reads never
 * does; this is for policies that came another way. */
bool policy_coherent(const struct policy *policy, char why[256]);
/* Can a cluster with these data regions satisfy it? EPOLICY and a sentence in why. */
int policy_satisfiable(const struct policy *policy, const char (*regions)[WIRE_NAME_MAX],
                       const uint32_t *nodes_per_region, size_t region_count, char why[256]);
/* Would `to` promise less than `from` does? Then a sentence in why. */
bool policy_weakens(const struct policy *from, const struct policy *to, char why[256]);

/* proto/policy.proto. */
void policy_pack(const struct policy *policy, struct buf *out);
int policy_unpack(struct slice bytes, struct policy *out) TERN_MUST_USE;
/* YAML that policy_parse reads back to the same policy. */
void policy_print(const struct policy *policy, struct buf *out);
