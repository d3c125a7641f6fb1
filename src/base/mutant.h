/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberate mistakes, to prove that the tests would find them (`make replica-mutants`,
 * `make sim-mutants`, `make crash-mutants`).
 *
 * MUTANT(name) marks where a rule is left out. It is the constant false, and costs nothing, unless
 * the build defines TERN_MUTANTS; then the test program switches one of them on, or two, where each
 * of two rules keeps what the other one would lose. Names are those of the `--bug`s of docs/model/replication_model.py where it has the same. A build with
 * TERN_MUTANT=MUTANT_name has that one always on. */
#pragma once

#include <stdbool.h>

/* X(name, what is wrong): the rules of src/replica */
#define MUTANTS_REPLICA(X)                                                                         \
    X(longest, "recovery takes the longest log")                                                   \
    X(last_entry, "recovery compares the epoch of the last record")                                \
    X(small_quorum, "recovery reads one region less than the rule says")                           \
    X(half_region, "one copy speaks for its whole region in recovery")                             \
    X(recover_new, "recovery reads the new config instead of the last activated one")              \
    X(any_is_lossy, "any epoch may skip the home region")                                          \
    X(wiped_recovers, "an incarnation that the epoch does not name counts in recovery")            \
    X(forgotten_counts, "a disk that has forgotten counts in recovery at once")                    \
    X(copy_unpinned, "copies are taken from the source whatever its log is by now")                \
    X(commit_unsynced, "a follower acknowledges while it copies the initial log")                  \
    X(synced_early, "a follower stores synced before it has the initial log")                      \
    X(overlap_unread, "the initial log counts as complete by its length, unread")                  \
    X(prev_unread, "a follower appends without a look at what is before")                          \
    X(ack_early, "a follower acknowledges before its fsync")                                       \
    X(late_ack, "a follower acknowledges an epoch that it has left")                               \
    X(answer_early, "an answer leaves before its promise is durable")                              \
    X(answer_ahead, "an answer tells of epochs above its durable end")                             \
    X(answer_uncut, "an answer tells of a log that is being cut")                                  \
    X(refence, "a restarted leader leads the same epoch again")                                    \
    X(skip_activation, "the high watermark rises before the config is activated")                  \
    X(show_initial, "before that it rises over the initial log")                                   \
    X(wiped_acks, "acks of an incarnation that the epoch does not name count")                     \
    X(leader_early, "the leader counts itself before its fsync")                                   \
    X(leader_unsynced, "the leader counts itself before its `synced` is durable")                  \
    X(hw_unsynced, "a follower shows records before it holds the initial log")                     \
    X(hw_beyond, "a follower shows records that it has not made durable")                          \
    X(lossy_early, "a lossy epoch serves before it is activated")                                  \
    X(lossy_own, "the leader of a lossy epoch keeps its own log")                                  \
    X(fall_back, "a follower restarts behind what it has held and deleted")                        \
    X(cut_synced, "a follower with the initial log obeys an old order to cut it")                  \
    X(shown_cut, "what was shown is cut for a log that has forgotten it")                          \
    X(producers_stay, "producers keep what was cut")                                               \
    X(log_start_above_hw, "retention deletes what is not committed")                               \
    X(rpo_ignored, "records beyond the bound are acknowledged")                                    \
    X(no_complaint, "a push that does not fit is dropped in silence")                              \
    X(start_unguarded, "the log start rises before what producers came to is durable")             \
    X(restart_blank, "a log that begins anew at a log start knows no producers from before it")    \
    X(behind_log_start, "a follower behind the log start is left there")                           \
    X(ack_lost, "a leader waits for ever for an ack that was lost")                                \
    X(caught_up_once, "a learner that is level too soon is never told of")                         \
    X(damage_acks, "a follower acknowledges records that are damaged on it")                       \
    X(damage_served, "a leader does not wait until its damaged records are filled")

/* The rules of src/store. */
#define MUTANTS_STORE(X)                                                                           \
    X(ack_unsynced, "requests are completed when the journal is written, not synced")              \
    X(checkpoint_unsynced, "the journal is freed although segments are not synced")                \
    X(checkpoint_unapplied, "a snapshot counts before its groups are in the segments")             \
    X(names_unsynced, "a checkpoint names segment files that may be gone")                         \
    X(names_trusted, "names that a killed process left are taken for durable")                     \
    X(quarantine_unsynced, "the log is cut before its bytes are safe")                             \
    X(producers_unsynced, "a producer snapshot counts before it is synced")                        \
    X(given_unwritten, "the producer snapshot of a restart stays in the journal only")             \
    X(roster_believed, "producers are taken from the roster of another history")                   \
    X(torn_believed, "a group counts as whole when its first sector is")                           \
    X(tail_unkept, "a write of whole blocks begins with zeros instead of what stood there")        \
    X(epoch_unread, "a flipped bit in the epoch of a stored batch is not seen")                    \
    X(compact_unsynced, "a compacted file takes the place of segments before it is synced")        \
    X(compact_unnamed, "and before its name is durable")                                           \
    X(compact_beyond, "compaction looks at records that are not committed")                        \
    X(tombstone_early, "a tombstone goes before its time")                                         \
    X(compact_newest, "compaction takes out the newest record of a key, too")                      \
    X(compact_aborted, "compaction takes records of aborted transactions for good ones")           \
    X(cut_undone, "replay does not repeat a truncation")                                           \
    X(cut_unkept, "what is cut is not kept in quarantine")

/* Rules of several rooms that the whole cluster is needed for. */
#define MUTANTS_CLUSTER(X)                                                                         \
    X(hw_early, "records are shown and acknowledged before they are committed")                    \
    X(acks_early, "neither leaders nor followers wait for their fsync before they acknowledge")    \
    X(stale_acked, "a push of an epoch that was left is acknowledged, although it is not taken")   \
    X(learners_unread, "a lossy epoch reads voters alone, although learners count as shipped")     \
    X(promise_volatile, "a promise is over with the process, and applying an epoch is none")       \
    X(assign_unpromised, "applying an epoch is no promise")                                        \
    X(late_activated, "an activation of an epoch that is not the newest counts")                   \
    X(lossy_unledgered, "a lossy epoch leaves no entry in the ledger")                             \
    X(forgotten_same, "a disk that has forgotten keeps its incarnation")                           \
    X(removed_trusting, "a node is removed although only one that has forgotten could stand in")   \
    X(registered_late, "an outdated registration makes a new incarnation")                         \
    X(served_early, "a node that starts answers clients before it knows the cluster")              \
    X(guard_off, "libraft runs without its guard")                                                 \
    X(guard_unverified, "G1: a follower answers for entries that the leader has not verified")     \
    X(guard_transferee, "G7: whom a leader hands over to gets a second vote of a term")

/* Consumer groups: src/group and its coordinator. */
#define MUTANTS_GROUPS(X)                                                                          \
    X(offsets_unconfirmed, "committed offsets are told without a barrier")                         \
    X(offsets_early, "a commit is answered when it is appended")                                   \
    X(groups_unread, "a new coordinator does not read the last records of its log")                \
    X(groups_kept, "a coordinator that leads again goes on with what it knew")                     \
    X(snapshot_busy, "a snapshot is taken while records are on their way")                         \
    X(plan_unstored, "a plan is told before it is committed")                                      \
    X(revoke_unasked, "a member's partitions go to others before it has given them up")            \
    X(assign_unreleased, "a member gets partitions that another one still has")                    \
    X(beat_early, "an answer to a member is told before it is committed")

/* Transactions: src/txn, its coordinator, and what partitions know of them. */
#define MUTANTS_TXN(X)                                                                             \
    X(aborted_lost, "a restart or a cut forgets which transactions were aborted")                  \
    X(stable_ignored, "read_committed reads up to the high watermark")                             \
    X(unverified, "a first batch is appended without asking the coordinator")                      \
    X(markers_early, "markers are written before the decision is committed")                       \
    X(ends_early, "a coordinator answers before its record is committed")                          \
    X(markers_lost, "a new coordinator does not go on with what was decided")                      \
    X(pending_shown, "offsets of an open transaction are told as committed")                       \
    X(pending_kept, "offsets of an aborted transaction come into force")                           \
    X(init_unfenced, "a second producer gets the same epoch as the first")                         \
    X(epoch_kept, "the end of a transaction of version 2 leaves the epoch as it was")

/* Replica first: its tests count on it. */
#define MUTANTS(X)                                                                                 \
    MUTANTS_REPLICA(X) MUTANTS_STORE(X) MUTANTS_CLUSTER(X) MUTANTS_GROUPS(X) MUTANTS_TXN(X)

#define MUTANT_ENUM(name, what) MUTANT_##name,
enum mutant { MUTANT_none, MUTANTS(MUTANT_ENUM) MUTANT_count };
#undef MUTANT_ENUM

#if defined TERN_MUTANT
#define MUTANT(name) (MUTANT_##name == TERN_MUTANT)
#elif defined TERN_MUTANTS
extern enum mutant mutant_on; /* the test program's */
extern enum mutant mutant_too;
#define MUTANT(name) (mutant_on == MUTANT_##name || mutant_too == MUTANT_##name)
#else
#define MUTANT(name) false
#endif
