/* SPDX-License-Identifier: Apache-2.0 */
/* Judges a history of produce and fetch calls, knowing nothing but what clients were told. Links
 * nothing of src/, so that it can't share a mistake with what it judges.
 *
 * A value is one record that was sent once by one producer to one partition: (producer, number),
 * numbers counting from 0 per producer. What must hold:
 *
 *   C1  one value per offset, whoever says so, and one leader epoch; epochs ascend with offsets
 *   C2  a value stands at one offset only: no duplicate of an idempotent send
 *   C3  only values that were sent are read, and their bytes are those that were sent
 *   C4  a reader sees every offset, in order, and nothing at or above the high watermark it was
 *       told; a high watermark never goes back on one connection, unless there were lossy epochs
 *   C5  a producer's values stand in a partition in the order in which they were sent
 *   C6  an acknowledged value is found by every final reader, at the offset of its ack
 *   C9  what a partition holds of one epoch was appended by one process: one serves an epoch, once
 *   C7  offsets are dense: every one below the end of what was read holds a value
 *   C11 a log start is never above the high watermark that comes with it, leaves as many records as
 *       the topic keeps, and excuses only readers that were told of it
 *   C12 a log's end, as leaders tell it to one reader, never goes back, whoever leads, unless there
 *       were lossy epochs
 *   C15 where anybody was told that all is committed (by a high watermark, an end or a log start)
 *       stands nothing that was first tried later, unless there were lossy epochs
 *   C14 of a compacted topic with keys (checker_key) a final reader ends with the newest value of each
 *       key; one whose newest is a tombstone has that one, or none. There C6 and C7 do not hold.
 *
 * A lossy epoch (checker_lossy) cuts off what older epochs wrote from an offset on, and only that:
 *
 *   C8  what it cut of acknowledged records is within the bound that the policy enforces, and a
 *       suffix: of two records that older epochs acknowledged the later one does not survive alone;
 *       nothing is acknowledged by an older epoch once it is in force, nothing older is shown to
 *       final readers
 *
 * Times are microseconds of one clock, that of the clients. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct checker;

struct checker *checker_new(uint32_t partitions, uint32_t producers, uint32_t readers);
void checker_free(struct checker *checker);

/* The first thing that was wrong, or NULL. */
const char *checker_failure(const struct checker *checker);

void checker_sent(struct checker *checker, uint32_t partition, uint32_t producer, uint64_t number,
                  uint64_t now_us);
/* It was sent with this key, below 64, of a partition that is compacted; without a value: a tombstone. */
void checker_key(struct checker *checker, uint32_t producer, uint64_t number, uint32_t key,
                 bool tombstone);
/* It goes to a node for the first time: no copy of it is older. */
void checker_tried(struct checker *checker, uint32_t producer, uint64_t number, uint64_t now_us);
/* offset -1: acknowledged, but the answer did not say where (a known duplicate). `left_us`: when
 * the answer left the node. `old`: the node has led no epoch from the newest lossy one in force on. */
void checker_acked(struct checker *checker, uint32_t partition, uint32_t producer, uint64_t number,
                   int64_t offset, uint64_t now_us, uint64_t left_us, bool old);
/* What was acknowledged last was appended for this very send by `process` (its number is another
 * for every start of every node). */
void checker_appended(struct checker *checker, uint32_t partition, int64_t offset,
                      uint64_t process);
/* `intact`: the bytes are those that belong to the value. */
void checker_read(struct checker *checker, uint32_t reader, uint32_t partition, int64_t offset,
                  int32_t epoch, uint32_t producer, uint64_t number, bool intact);
void checker_high_watermark(struct checker *checker, uint32_t reader, uint32_t partition,
                            int64_t high_watermark);
/* The reader was told that its log ended elsewhere and goes back; only behind a lossy epoch. */
void checker_rewound(struct checker *checker, uint32_t reader, uint32_t partition, int64_t offset);
/* The reader asks another process of a node from now on: what it is told there may be lower. */
void checker_moved(struct checker *checker, uint32_t reader, uint32_t partition);

/* The topic keeps at least so many records, where there are as many; 0 (as at the beginning): it
 * deletes as it likes. */
void checker_keeps(struct checker *checker, uint32_t partition, int64_t records);
/* An answer told where the log starts, and the high watermark. */
void checker_log_start(struct checker *checker, uint32_t reader, uint32_t partition,
                       int64_t log_start, int64_t high_watermark);
/* What the reader wanted next is deleted, it goes on at the log start that it was told. */
void checker_skipped(struct checker *checker, uint32_t reader, uint32_t partition,
                     int64_t log_start);
/* A leader has told the reader where the log ends, as far as it is committed. */
void checker_latest(struct checker *checker, uint32_t reader, uint32_t partition, int64_t end);
/* Somebody was told that everything below this offset is committed, whatever the words for it. */
void checker_committed(struct checker *checker, uint32_t partition, int64_t end, uint64_t now_us);
/* The highest log start that anybody was told. */
int64_t checker_deleted_to(const struct checker *checker, uint32_t partition);

/* A lossy epoch of the partition is in force and begins at `start`. `bound_us`: of the policy; 0:
 * none is enforced, or it is not guaranteed. Returns how many acknowledged records it cut off. */
uint64_t checker_lossy(struct checker *checker, uint32_t partition, int32_t epoch, int64_t start,
                       uint64_t now_us, uint64_t bound_us);
/* Calls `each` for every acknowledged record that was cut off, with the offset of its ack. */
void checker_each_cut(const struct checker *checker,
                      void (*each)(void *ctx, uint32_t partition, int64_t offset), void *ctx);

/* Calls `each` for every lossy epoch. */
void checker_each_lossy(const struct checker *checker,
                        void (*each)(void *ctx, uint32_t partition, int32_t epoch, int64_t start),
                        void *ctx);

/* The end: what the final readers (bit per reader) did not see is lost. */
void checker_finish(struct checker *checker, uint64_t final_readers);

/* Everything below this offset was acknowledged or lies before something that was. */
int64_t checker_acked_end(const struct checker *checker, uint32_t partition);

struct checker_counts {
    uint64_t sent;
    uint64_t acked;
    uint64_t reads;
    uint64_t cut; /* acknowledged, and cut off by lossy epochs */
    uint64_t lost;
    uint64_t duplicated;
};
void checker_counts(const struct checker *checker, struct checker_counts *out);
