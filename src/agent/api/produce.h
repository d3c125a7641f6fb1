/* SPDX-License-Identifier: Apache-2.0 */
/* What the three parts of Produce know of each other: a request and its batches (00_produce.c), those that
 * wait for a coordinator's word (produce_verify.c), and refusals of which a leader is not sure
 * (produce_doubt.c). Everything runs on the node's loop; a request owns its parts. */
#pragma once

#include "agent/api.h"
#include "agent/txn.h"

struct produce;

/* One partition's batch of a request. */
struct produce_part {
    struct produce *produce;
    struct link
        in_partition; /* in partition.appends or .verifying, or in node.doubts, while it waits */
    struct partition *partition;
    int32_t epoch; /* in which it was appended */
    int64_t end;   /* answer when the HW has reached this */
    uint64_t appended_us;
    uint64_t held_us; /* since then only the RPO bound keeps the answer back; 0: it does not */
    struct kafka_produce_response_partition *out;
    const struct control_topic *topic; /* only while the request is being taken apart */
    struct slice records;
    struct blob *own; /* holds the records if they were compressed anew; else the frame does */
    int64_t stamp_ms; /* the log's own time; -1: the producer's stays */
    /* The first batch of a transaction here waits for its coordinator's word; later ones of the same
     * producer wait behind it, or they would overtake it. */
    bool verifying;
    bool doubted;             /* out of order here, if we still lead */
    uint8_t asked;            /* how often the coordinator was */
    struct txn_verify verify; /* of the first one */
    struct uuid topic_id;
    int64_t producer_id;
    int64_t marker_at;
};

struct produce {
    struct request *rq;
    struct kafka_produce_response response;
    struct produce_part *parts;
    uint32_t count;
    uint32_t waiting;
    size_t bytes;
    size_t own_bytes; /* of batches that were compressed anew */
    bool failed;
    bool taking; /* still being taken apart: do not finish yet */
};

/* ---- 00_produce.c ----------------------------------------------------------------------------- */

/* The answer for this batch is that error (TERN_E). */
void produce_fail(struct produce_part *part, int error);
/* Answers, if nothing waits any more; the request is gone then. */
void produce_maybe_finish(struct produce *pr);
/* The replica still serves, in the epoch in which the part began to wait. */
bool produce_in_role(const struct partition *p, const struct produce_part *part);
/* Into the log; the part waits for the HW then. Else an error, and nothing was done. */
int produce_append(struct produce_part *part, struct partition *p,
                   struct batch_info *info) TERN_MUST_USE;

/* ---- produce_verify.c -------------------------------------------------------------------------- */

/* A batch of this producer waits there. */
bool produce_verify_waits(struct partition *p, int64_t producer_id);
/* The part waits behind it, for the same word. */
void produce_verify_behind(struct produce_part *part, struct partition *p, int64_t producer_id);
/* The part waits for a word that it asks for; the batch is appended (or refused) when that is there,
 * which may be at once. */
void produce_verify_begin(struct produce_part *part, struct partition *p, int64_t producer_id);
/* Nobody waits for the part's word any more. */
void produce_verify_drop(struct produce_part *part);
/* The request's time is over: the part fails, and those behind it, for which nobody asks now. */
void produce_verify_time_out(struct produce_part *part);

/* ---- produce_doubt.c --------------------------------------------------------------------------- */

/* How a refusal is told, in view of what was refused before. p may be NULL. */
int produce_judge(struct partition *p, int status);
/* True: the part waits until it is sure that this is the answer (produce_tick). */
bool produce_doubt(struct produce_part *part, struct partition *p, int status);
/* It waits no more, and fails. */
void produce_doubt_settle(struct produce_part *part, int status);
