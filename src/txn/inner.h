/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this room only. */
#pragma once

#include "txn/txn.h"

#define TXN_RETRY_MS 100 /* what met a record on its way, or was refused */

/* ---- txns.c ---------------------------------------------------------------------------------- */

/* At the start of every event: what earlier answers pointed to may go now. */
void txns_bury(struct txns *txns);
struct txn *txn_find(const struct txns *txns, struct slice id);
struct txn *txn_make(struct txns *txns, struct slice id);
struct txn_partition *txn_partition_of(const struct txn *txn, const struct txn_place *place);
struct txn_effect *txn_effect_add(struct txn_out *out, enum txn_effect_kind kind);
/* waiter NULL: to nobody. */
void txn_answer(struct txn_out *out, void *waiter, int error, const struct txn *txn);
/* Asks for a record of this, with the partitions that there are, and more. */
void txn_ask(struct txn *txn, void *waiter, struct txn_out *out, const struct txn_value *value,
             const struct txn_partition *const *more, size_t more_count);
void txn_value_of(struct buf *out, const struct txn *txn, const struct txn_value *value,
                  const struct txn_partition *const *more, size_t more_count);

/* ---- producer.c ------------------------------------------------------------------------------ */

/* Is this the producer that has the id now? 0, EINVALIDREQUEST, EPRODUCERMAPPING, ETXNFENCED; or
 * ECONCURRENTTXN: it will have it, when the end of its last transaction has come. */
int txn_check_who(const struct txns *txns, const struct txn_who *who, struct txn **out_txn);
bool txn_is_next(const struct txn *txn, int64_t producer_id, int16_t epoch);
void txn_timed_out(struct txns *txns, struct txn *txn, struct txn_now now, struct txn_out *out);

/* ---- end.c ----------------------------------------------------------------------------------- */

/* All of its partitions are marked: asks for the record that says so. */
void txn_maybe_complete(struct txn *txn, struct txn_now now, struct txn_out *out);
