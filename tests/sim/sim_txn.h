/* SPDX-License-Identifier: Apache-2.0 */
/* Transactional producers and readers of committed records, and what they must be told:
 *
 *   X1  a record that a reader of committed ones is given is of a transaction whose commit was asked
 *       for, and that nobody was told to be aborted
 *   X2  all or nothing: at the end every reader has all records of a transaction once, or none; of one
 *       that was told to be committed, all
 *   X3  a producer that another has fenced is told nothing good any more, and no two get the same epoch
 *   X4  offsets come into force with their transaction: a question for stable ones is answered by those
 *       of the newest committed transaction that has any
 *   X5  nothing hangs: after healing the last stable offset reaches the high watermark (a liveness) */
#pragma once

#include "tests/sim/sim.h"

struct sim_txns *sim_txns_new(struct sim *sim, uint32_t tellers);
void sim_txns_free(struct sim_txns *t);
/* The topics are there. */
bool sim_txns_begun(const struct sim_txns *t);
/* From now on nothing new begins, and everything must come to an end. */
void sim_txns_heal(struct sim_txns *t);
bool sim_txns_settled(struct sim_txns *t);
/* After that: X2 and X4. */
void sim_txns_judge(struct sim_txns *t);
void sim_txns_describe(const struct sim_txns *t, char out[160]);
