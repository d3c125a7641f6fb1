/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the replica machine; nobody else includes it. */
#pragma once

#include "base/mutant.h"
#include "replica/replica.h"

/* What an answer tells of a log. */
struct log_view {
    int64_t start;
    int64_t end;
    const struct history_entry *history;
    size_t history_count;
};

struct replica_effect *effect_add(struct replica_out *out, enum replica_effect_kind kind);

/* replica.c */
void replica_set_role(struct replica *r, uint64_t now_ms, enum replica_role role,
                      struct replica_out *out);
/* Stores a promise of a higher epoch and drops whatever role there was. */
int64_t replica_sound_end(const struct replica *r);
void replica_promise(struct replica *r, uint64_t now_ms, int32_t epoch, struct replica_out *out);
void replica_owe_answer(struct replica *r, uint32_t to, bool complaint, struct replica_out *out);
/* Notes batch as appended at our end and gives the APPEND effect. */
void replica_take_batch(struct replica *r, const struct batch_info *batch, size_t index,
                        struct replica_out *out);
bool replica_refuse_cut(struct replica *r, uint64_t now_ms, int64_t offset, uint32_t other,
                        struct replica_out *out);

/* Cuts the log to `offset` (log_start <= offset < leo); what was not refused before. */
void replica_cut(struct replica *r, int64_t offset, struct replica_out *out);
/* The log begins anew at `offset`; `producers` is replica_producers_before there, of who has held what
 * is before. */
void replica_begin_anew(struct replica *r, int64_t offset, struct slice producers,
                        struct replica_out *out);

/* Raises what is shown. */
void replica_show(struct replica *r, int64_t hw, struct replica_out *out);
struct log_view replica_log(const struct replica *r);
/* Up to where `log` has what `leading` has, a log with all that is committed. What `log` has
 * deleted was committed, too, unless a lossy epoch lies between (`one_line` is false): only then it
 * may fall back behind its start. */
int64_t replica_common(struct log_view leading, struct log_view log, bool one_line);
bool replica_may_be_leader(const struct replica *r, uint32_t node);
void replica_set_synced(struct replica *r, int32_t epoch, struct replica_out *out);

/* recover.c */
void recover_begin(struct replica *r, uint64_t now_ms, struct replica_out *out);
void recover_answer(struct replica *r, uint64_t now_ms, uint32_t from,
                    const struct replica_answer *answer, struct replica_out *out);
void recover_choose(struct replica *r, uint64_t now_ms, struct replica_out *out);
/* The own log may be complete now. */
void recover_built(struct replica *r, uint64_t now_ms, struct replica_out *out);
void recover_tick(struct replica *r, uint64_t now_ms, struct replica_out *out);
void recover_drop(struct replica *r);

/* lead.c */
struct replica_peer *lead_peer(const struct replica *r, uint32_t node);
void lead_begin(struct replica *r, uint64_t now_ms, struct replica_out *out);
void lead_prepare(struct replica *r, uint64_t now_ms, struct replica_out *out);
void lead_answer(struct replica *r, uint32_t from, const struct replica_answer *answer,
                 struct replica_out *out);
void lead_push_on(struct replica *r, struct replica_out *out);
void lead_commit(struct replica *r, uint64_t now_ms, struct replica_out *out);
void lead_drop(struct replica *r);
void lead_log_start(struct replica *r, struct replica_out *out);

/* log_start.c */

/* The leader says that its log begins at `offset`. */
void log_start_want(struct replica *r, int64_t offset, struct replica_out *out);
/* Something may have come about that a higher log start waits for. */
void log_start_go_on(struct replica *r, struct replica_out *out);
/* The log is cut: what was known of it from `offset` on is void. */
void log_start_cut(struct replica *r, int64_t offset);

/* follow.c */
/* What its leader has told, as far as it may be shown here. */
void follow_show(struct replica *r, struct replica_out *out);
void follow_durable(struct replica *r, struct replica_out *out);
