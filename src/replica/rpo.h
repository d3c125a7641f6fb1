/* SPDX-License-Identifier: Apache-2.0 */
/* How much an async leader has appended that no other region holds, and how far it may acknowledge
 * without passing the policy's bound (replication.md, "Enforced RPO").
 *
 * The tail is measured from what another region has shipped, that is acknowledged with this epoch's
 * initial log complete; until one has, the tail is unknown and nothing may be acknowledged. Bytes
 * are those of the stored batches; the span in time is from the oldest to the newest append of the
 * tail, by the leader's monotonic clock. Merging makes the limit coarser, never later. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPO_MARKS_MAX 4096

struct rpo_mark {
    int64_t end; /* offset behind its last record */
    uint64_t bytes;
    uint64_t first_ms;
    uint64_t last_ms;
};

struct rpo {
    struct rpo_mark *marks; /* ascending; the unshipped tail of this epoch */
    size_t first;
    size_t count;
    size_t cap;
    int64_t shipped; /* -1: unknown yet */
};

struct rpo_bound {
    uint64_t time_ms; /* 0: no bound */
    uint64_t bytes;   /* 0: no bound */
};

struct rpo_tail {
    uint64_t bytes;
    uint64_t span_ms;
    uint64_t age_ms; /* of its oldest record */
};

void rpo_init(struct rpo *rpo);
void rpo_fini(struct rpo *rpo);
void rpo_note(struct rpo *rpo, int64_t end, uint64_t bytes, uint64_t now_ms);
/* Another region holds everything below `offset`; lower values change nothing. */
void rpo_shipped(struct rpo *rpo, int64_t offset);
/* Everything below may be acknowledged; INT64_MAX when nothing exceeds the bound, -1 when the tail
 * is unknown. */
int64_t rpo_limit(const struct rpo *rpo, struct rpo_bound bound);
struct rpo_tail rpo_tail(const struct rpo *rpo, uint64_t now_ms);
