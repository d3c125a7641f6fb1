/* SPDX-License-Identifier: Apache-2.0 */
/* One epoch of one partition as the control quorum committed it, and the two quorum rules on it
 * (replication.md, "Words" and rules 1, 3, 6). Plain data and pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLICA_MEMBERS_MAX 12
#define REPLICA_REGIONS_MAX 8

struct replica_member {
    uint32_t node;
    uint32_t incarnation; /* pinned: answers and acks of another one count nowhere */
    int32_t since;        /* counts in recovery only with synced >= since */
    int8_t region;
};

/* Sets of node ids: bit n is node n. */
struct replica_rule {
    uint64_t voters;
    uint64_t learners;
    uint8_t w;   /* regions that must hold a record */
    int8_t home; /* the one region that must (async); -1: any w */
};

struct replica_spec {
    int32_t epoch;
    uint32_t leader;       /* node id; 0: none */
    uint64_t leader_start; /* only this start of the leader may lead */
    struct replica_rule config;
    struct replica_rule recover; /* last activated config */
    bool lossy;
    bool activated;
    int32_t lossy_epoch;  /* newest activated lossy epoch of the partition; 0: none */
    int64_t lossy_start;  /* of an activated lossy epoch; else -1 */
    uint32_t wait_ms;     /* lossy: how long to wait for missing regions */
    uint32_t rpo_survive; /* async: measured to the n-th most advanced other region; 0: not */
    bool rpo_enforced;    /* throttle or refuse: nothing beyond the bound is acknowledged */
    uint64_t rpo_time_ms; /* 0: no bound */
    uint64_t rpo_bytes;   /* 0: no bound */
    uint32_t member_count;
    struct replica_member members[REPLICA_MEMBERS_MAX];
};

const struct replica_member *spec_member(const struct replica_spec *spec, uint32_t node);
/* Does the epoch wait for `activated` before anything is acknowledged or shown (rule 8)? */
bool spec_needs_activation(const struct replica_spec *spec);

/* The commit rule: the highest offset that `rule` finds held, where node n's replica holds
 * everything below held[n] after its fsync. A region holds what a majority of its voters has. */
int64_t rule_held(const struct replica_rule *rule, const struct replica_spec *spec,
                  const int64_t held[64]);
/* What a majority of the region's members (voters and learners) holds, -1 where held[n] is -1 or
 * nobody is there. The RPO is measured by it: a lossy epoch meets every such majority. */
int64_t spec_region_held(const struct replica_spec *spec, int8_t region, const int64_t held[64]);
/* Could the commit rule be met by these nodes alone? */
bool rule_can_commit(const struct replica_rule *rule, const struct replica_spec *spec,
                     uint64_t nodes);
/* The recovery rule: does reading these nodes meet every commit quorum? */
bool rule_can_recover(const struct replica_rule *rule, const struct replica_spec *spec,
                      uint64_t nodes);
/* What a lossy epoch reads: of every data region but the home enough voters to meet every majority
 * of it. */
bool rule_covers_regions(const struct replica_rule *rule, const struct replica_spec *spec,
                         uint64_t nodes);
