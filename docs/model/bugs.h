/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the rules that can be left out, as in replication_model.py --bug; there they are described. */
#ifndef BUG
#define BUG 0
#endif
#define IS(name) (BUG == b_##name)
#define b_longest 1
#define b_last_entry 2
#define b_small_quorum 3
#define b_commit_unsynced 4
#define b_volatile_promise 5
#define b_late_ack 6
#define b_resume 7
#define b_refence 8
#define b_skip_activation 9
#define b_show_initial 10
#define b_late_activation 11
#define b_plain_keeps 12
#define b_recover_new 13
#define b_wiped_recovers 14
#define b_wiped_acks 15
#define b_hw_unsynced 16
#define b_lossy_early 17
#define b_lossy_own 18
#define b_any_is_lossy 19
#define b_learner_acks 20
#define b_learner_recovers 21
#define b_producer_stays 22
#define b_producer_forgotten 23
#define b_duplicate_early 24
#define b_any_sequence 25
#define b_remove_early 26
#define b_remove_late 27
#define b_tombstone_lost 28
#define b_tombstone_synced 29
#define b_damage_shortens 30
#define b_damage_served 31
#define b_damage_acks 32
#define b_repair_offset 33
#define b_rollback_unseen 34
#define b_copy_unread 35
#define b_overlap_unread 36
#define b_cut_synced 37
#define b_fall_back 38
#define b_start_stays 39
#define b_log_start_above_hw 40
#define b_lease_early 41
#define b_lease_behind 42
#define b_lease_unasked 43
#define b_leader_unsynced 44
#define b_learners_unread 45
#define b_outsider 46
#define b_shown_cut 47
#define b_unserved_counts 48
#define b_lost_counts 49
#define b_learners_late 50
#define b_survivor_uncounted 51
