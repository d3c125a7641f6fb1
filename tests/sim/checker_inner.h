/* SPDX-License-Identifier: Apache-2.0 */
/* What the checker knows; links nothing of src/. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "tests/sim/checker.h"

#define NOWHERE   (-1)
#define LOSSY_MAX 64

struct value {
    int64_t offset; /* NOWHERE: not known */
    uint32_t partition;
    bool sent;
    bool tombstone;
    uint32_t key;
    bool acked;
    bool cut;           /* acknowledged, then cut off by a lossy epoch */
    int64_t cut_offset; /* where it stood; NOWHERE: the ack did not say */
    uint32_t cut_by;    /* which lossy epoch of the partition */
    uint64_t sent_us;
    uint64_t tried_us; /* 0: not yet */
    uint64_t acked_us;
};

struct producer {
    struct value *values;
    uint64_t count;
};

/* What stands at an offset. */
struct place {
    bool known;
    uint32_t producer;
    uint64_t number;
    int32_t epoch; /* -1: not known (nobody read it yet) */
    uint64_t readers;
    uint64_t stale;        /* readers who were shown last what a lossy epoch had cut off */
    uint64_t process;      /* that appended it; 0: not known */
    uint64_t committed_us; /* somebody was told by then; 0: nobody */
};

struct lossy {
    int32_t epoch;
    int64_t start;
    uint64_t since_us;
    uint64_t bound_us;
    int64_t first_cut;  /* of what it cut of acknowledged records, filled in at the end */
    uint64_t oldest_us; /* ack of the oldest of them */
    uint64_t newest_us; /* sending of the newest */
};

struct partition {
    struct place *log;
    struct lossy lossy[LOSSY_MAX];
    uint32_t lossy_count;
    int64_t count;
    int64_t acked_end;
    int64_t keeps;
    int64_t deleted_to; /* the highest log start told */
    int64_t told_end;   /* the highest high watermark told */
    bool keyed;         /* compacted: what a newer value of its key has replaced may be missing */
    int64_t committed;  /* the highest end, log start or high watermark told */
};

struct position {
    int64_t next; /* NOWHERE: nothing was read yet */
    int64_t from; /* what is below was deleted before it came there */
    int64_t high_watermark;
    int64_t latest; /* C12 */
};

struct checker {
    uint32_t partition_count;
    uint32_t producer_count;
    uint32_t reader_count;
    struct partition *partitions;
    struct producer *producers;
    struct position *positions; /* readers x partitions */
    struct checker_counts counts;
    char failure[256];
};

/* The first thing that was wrong. */
void checker_fail(struct checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NULL if it was never sent. */
struct value *checker_value(struct checker *c, uint32_t producer, uint64_t number);
/* C14, at the end. */
void checker_judge_keys(struct checker *c, uint32_t partition, uint64_t final_readers);
