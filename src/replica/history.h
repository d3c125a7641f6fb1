/* SPDX-License-Identifier: Apache-2.0 */
/* Epoch history of a log: where each epoch starts (KIP-101). Two logs agree up to the point that
 * their histories show; the protocol can see no more. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct history_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct history {
    struct history_entry *entries; /* ascending in both fields */
    size_t count;
    size_t cap;
};

void history_fini(struct history *h);
void history_copy(struct history *to, const struct history_entry *entries, size_t count);
/* A batch of `epoch` begins at `offset`: a new entry if the epoch is new. */
void history_note(struct history *h, int32_t epoch, int64_t offset);
/* Forgets what starts at or above the new end. */
void history_cut(struct history *h, int64_t end);
/* The epoch of the record just below `offset`; 0 if there is none. */
int32_t history_epoch_before(const struct history *h, int64_t offset);
/* The largest epoch <= `epoch` and where it ends (KIP-320); -1 and -1 if there is none. */
void history_end_of(const struct history *h, int64_t leo, int32_t epoch, int32_t *out_epoch,
                    int64_t *out_end);
/* Common point of two logs with these histories and ends: what both hold below it is the same, and
 * it is the end of a batch in both. Logs with no epoch in common have none but the lower of their
 * first offsets: where one of them starts above it, that one has nothing to keep. */
int64_t history_agree(const struct history_entry *a, size_t a_count, int64_t a_leo,
                      const struct history_entry *b, size_t b_count, int64_t b_leo);
