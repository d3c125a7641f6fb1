/* SPDX-License-Identifier: Apache-2.0 */
/* The replication protocol (../replication.md) of one partition, for the model checker Spin: every order of its steps,
 * every state within the bounds that are given with -D. README.md tells what is modelled; replication_model.py is the
 * same protocol as a program for random walks. `make model` runs this one.
 *
 *   SCENARIO  PLAIN, RECONFIGURE, SHRINK, WITNESS, ASYNC, ALONE, HOMES, FORCED, LEARNERS, COPIES, REJOIN, GIVEN_UP or
 *             STRANDED (configs.h)
 *   E, APPENDS  epochs, and records in all; at most 6
 *   WIPES, ROLLBACKS, DAMAGES, PRODUCER, LOSSY  lost disks, disks put back, damaged records, sequence numbers, lossy epochs
 *   REMOVAL, STREAMS, LEASES, RETAIN  1: with it
 *   OWN       1: what a leader has committed it has acknowledged, too, so a lossy epoch that reads it keeps that; with LOSSY
 *   COUNTS    1: whom the control quorum takes for one that remembers, and when all is lost; with LOSSY and lost disks,
 *             where one replica is enough to recover (ASYNC, ALONE, HOMES)
 *   SILENT    how often a disk loses the end of a log and does not know it; with LOSSY alone
 *   BUG       b_NAME: a rule is left out (bugs.h)
 *   TELL      1: every step is printed when a trail is replayed
 *
 * How the state is kept small: messages are not kept, but what they can still do. What a leader has pushed in its epoch is
 * one log that grows (`pushed`); what a follower has acknowledged is one number that grows (`acked`). An answer to a fence
 * is read when it is given (`read_*`), or is lost. So a lost, late, repeated or overtaken message is a step that comes
 * later or never. What no replica can follow any more is forgotten (`forget`). Where replicas are interchangeable they
 * lead in the order of their numbers (FRESH). A step is atomic; local steps that nobody can see between are one.
 *
 * A log is an int: 5 bits a record, the oldest one lowest: its epoch (3 bits, never 0) and a tag (2 bits) that the protocol
 * cannot see: the sequence number of a producer, LOST for a damaged record, 1 for one that a second leader of an epoch
 * wrote (two rules left out do that). Two records with one epoch at one offset but different tags are the end of the world. */
#include "bugs.h"
#include "configs.h"

#ifndef WIPES
#define WIPES 0
#endif
#ifndef ROLLBACKS
#define ROLLBACKS 0
#endif
#ifndef DAMAGES
#define DAMAGES 0
#endif
#ifndef PRODUCER
#define PRODUCER 0
#endif
#ifndef LOSSY
#define LOSSY 0
#endif
#ifndef REMOVAL
#define REMOVAL 0
#endif
#ifndef STREAMS
#define STREAMS 0
#endif
#ifndef LEASES
#define LEASES 0
#endif
#ifndef RETAIN
#define RETAIN 0
#endif
#ifndef OWN
#define OWN 0
#endif
#ifndef COUNTS
#define COUNTS 0
#endif
#ifndef SILENT
#define SILENT 0
#endif
#ifndef TELL
#define TELL 0
#endif
/* With retention a producer's state is no function of the log that is left: what it says of the deleted part is kept. */
#define KEEPS (PRODUCER && RETAIN)
#if KEEPS && (WIPES || ROLLBACKS || DAMAGES || REMOVAL || LOSSY)
#error "not modelled together"
#endif
/* PROMISES_STAY: can a promise come back lower? Then old pushes are still of use. */
#if SILENT
#if WIPES || ROLLBACKS || DAMAGES || PRODUCER || REMOVAL || STREAMS || LEASES || RETAIN
#error "not modelled together"
#endif
#define INCARNATIONS 1
#define PROMISES_STAY 1
#else
#define INCARNATIONS (WIPES + ROLLBACKS > 0)
#define PROMISES_STAY (!INCARNATIONS && !IS(volatile_promise) && !IS(tombstone_lost))
#endif
/* An epoch that nobody has promised does nothing, where nothing but promises happens in an epoch. */
#define EPOCHS_WAIT (SCENARIO == PLAIN && !INCARNATIONS)

#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* ---- logs ------------------------------------------------------------------------------------------------------- */
#define AT(l, n) (((l) >> (5 * (n))) & 31)
#define EPOCH_AT(l, n) (((l) >> (5 * (n))) & 7)
#define TAG_AT(l, n) (((l) >> (5 * (n) + 3)) & 3)
#define PREFIX(l, n) ((l) & ((1 << (5 * (n))) - 1))
#define BEHIND(l, n) ((l) & ~((1 << (5 * (n))) - 1))
#define LEN(l) ((l) == 0 -> 0 : ((l) < 32 -> 1 : ((l) < 1024 -> 2 : ((l) < 32768 -> 3 : ((l) < 1048576 -> 4 : \
               ((l) < 33554432 -> 5 : 6))))))
#define AGREE_(x, l) (((x) & 7) -> 0 : (((x) & 224) -> 1 : (((x) & 7168) -> 2 : (((x) & 229376) -> 3 : \
                     (((x) & 7340032) -> 4 : (((x) & 234881024) -> 5 : LEN(l)))))))
/* Common point by epochs: all that the protocol can see. */
#define AGREE(a, b) AGREE_((a) ^ (b), a)
#define SAME_(x, l) (((x) & 31) -> 0 : (((x) & 992) -> 1 : (((x) & 31744) -> 2 : (((x) & 1015808) -> 3 : \
                    (((x) & 32505856) -> 4 : (((x) & 1040187392) -> 5 : LEN(l)))))))
/* Common prefix of records: what the checks see. What is deleted is taken as the same. */
#if RETAIN
#define GONE 31                         /* a record that retention has deleted: its place is known, nothing else */
#define GONES(n) ((1 << (5 * (n))) - 1)
#define FIRST(l) (AT(l, 0) != GONE -> 0 : (AT(l, 1) != GONE -> 1 : (AT(l, 2) != GONE -> 2 : (AT(l, 3) != GONE -> 3 : 4))))
#define SAME(a, b) MIN(LEN(b), SAME_(BEHIND((a) ^ (b), MAX(FIRST(a), FIRST(b))), a))
#else
#define SAME(a, b) SAME_((a) ^ (b), a)
#endif
#define LOST 3
#define WHOLE(l) (DAMAGES == 0 || (TAG_AT(l, 0) != LOST && TAG_AT(l, 1) != LOST && TAG_AT(l, 2) != LOST && \
                  TAG_AT(l, 3) != LOST && TAG_AT(l, 4) != LOST))

/* ---- state ------------------------------------------------------------------------------------------------------ */
/* The control log: epochs 1 to `newest`. */
byte newest, in_force, activated, floor;  /* last activated config; set of activated epochs; last activated lossy epoch */
byte leader[E + 1];                     /* number of the replica + 1 */
byte config[E + 1], recover_by[E + 1];
byte seen;                              /* replicas that have led (FRESH) */
byte appends_left = APPENDS;
#if LEASES
byte leases, newest_lossy;              /* replicas whose lease runs; newest lossy epoch that was assigned */
#endif
#if LOSSY
bit lossy[E + 1];
byte lossy_left = LOSSY;
byte shipped[N];                        /* how much of its log a follower has acknowledged in the epoch `synced` */
byte known[N];                          /* committed records that a replica read by a lossy epoch had acknowledged */
#if OWN && BUG == b_leader_unsynced
byte own[N];                            /* the epoch in which it has counted itself */
#define SAID_IN(a) MAX(synced[a], own[a])
#else
#define SAID_IN(a) synced[a]
#endif
#define IS_LOSSY(e) lossy[e]
#else
#define IS_LOSSY(e) 0
#endif
#if INCARNATIONS
byte others[E + 1];                     /* replicas whose disk is another one than that which the epoch has pinned */
byte since[N];                          /* first epoch whose `synced` makes the present disk count in recovery */
byte wipes_left = WIPES;
#define PINNED(e, i) (!HAS(others[e], i))
#else
#define PINNED(e, i) 1
#endif

#if SCENARIO == STRANDED
byte gone;                              /* replicas that are gone for good */
#endif

/* Replicas. */
#define FOLLOWING 0                     /* or fencing: the leader of its promised epoch that has not led it yet */
#define BUILDING 1                      /* has the initial log, but not all records of it */
#define PREPARED 2
#define SERVING 3
byte promised[N], synced[N], durable[N], phase[N];
int log[N];
/* What a fencing leader has read: the best answer, who gave one, whose count. BUILDING to SERVING: `read_synced` only. */
int read_log[N];
byte read_synced[N], read[N], counted[N];
#if ROLLBACKS || SILENT
byte source[N];
#endif
#if SILENT
byte silent_left = SILENT;
byte shown[N];                          /* up to where it has shown its log as committed since it started */
byte accused;                           /* replicas that somebody has reported as forgetful */
#if LOSSY
byte shown_epoch[N];                    /* the epoch in which it did */
#endif
#endif

/* Messages, for each epoch. */
int pushed[E + 1];
byte initial[E + 1];                    /* length of the initial log + 1; 0: nothing pushed yet */
#if RETAIN
byte start[E + 1];                      /* log start that the leader has raised while it served */
byte deleted;                           /* what the checks know: up to where retention has deleted what was committed */
#endif
#if KEEPS
/* The next sequence number by what is deleted: as a replica keeps it, as a fencing leader has read it with the best answer,
 * and as the leader of an epoch had it when it began to serve. */
byte before[N], read_before[N], sent_before[E + 1];
hidden byte sent;                       /* what it is to keep that begins anew */
#define READ_OVER(a) read_log[a] = 0; read_before[a] = 0; read[a] = 0; counted[a] = 0
#else
#define READ_OVER(a) read_log[a] = 0; read[a] = 0; counted[a] = 0
#endif
byte acked[(E + 1) * N];                /* what voters and learners have acknowledged, the leader by its own fsync */

/* What the checks know. */
int committed;
byte hw[E + 1], newest_hw;              /* high watermark of each epoch; newest epoch that has one */

#if SILENT
bit loss;                               /* a disk has lost something and does not know it: */
byte lost_from = 7, lost_synced;        /* from where on (the lowest), and its `synced` then (the highest) */
byte true_acked[(E + 1) * N], true_hw[E + 1]; /* `acked` and `hw` without what such a disk has lost since */
#endif

#if ROLLBACKS
byte image_of, image_promised, image_synced, rollbacks_left = ROLLBACKS; /* a copy of a disk; replica + 1 */
int image_log;
#endif
#if DAMAGES
byte damages_left = DAMAGES;
#endif
#if PRODUCER && BUG == b_producer_stays
int ghosts[N];                          /* records that the producer state still holds although the log does not */
#endif
#if BUG == b_resume || BUG == b_refence
byte again;                             /* epochs that are led for the second time */
#endif
#if REMOVAL
byte applied[N];                        /* how far it has applied the control log, where it matters (remove_late) */
#endif
#if STREAMS
byte starts[(E + 1) * N], cuts[(E + 1) * N]; /* sets of offsets: from where to push, to where to cut */
#endif

/* What must hold. Never set: they are the names by which Spin tells what was violated. */
hidden byte what_a_follower_shows_is_committed, what_is_truncated_was_not_committed, an_acknowledged_record_is_whole;
hidden byte an_initial_log_has_all_that_is_committed, a_lossy_epoch_keeps_what_a_survivor_has_acknowledged;
hidden byte one_record_is_committed_at_an_offset, a_sequence_number_is_committed_once_and_in_order;
hidden byte what_is_answered_is_committed, what_is_not_there_was_deleted, nobody_answers_behind_a_lossy_epoch;
#if COUNTS
hidden byte who_is_counted_can_be_recovered_from;
#endif
#if SCENARIO == STRANDED
hidden byte who_is_left_can_commit_at_last;
#endif
#if SILENT
hidden byte what_was_shown_is_not_cut, nobody_is_accused_without_a_loss;
#endif
#define CHECK(claim, name) assert(name || (claim))

/* ---- printing --------------------------------------------------------------------------------------------------- */
/* The runner turns these lines into something readable. */
inline tell_state(a)
{
    printf("@R %d %d %d %d %d %d\n", a, promised[a], synced[a], durable[a], phase[a], log[a]);
}
inline tell_all()
{
    tell_state(0); tell_state(1);
#if N > 2
    tell_state(2);
#endif
#if N > 3
    tell_state(3);
#endif
#if N > 4
    tell_state(4);
#endif
    printf("@C %d %d %d %d\n", in_force, activated, floor, committed)
}
#if TELL
#define STEP(text, a, b) printf("@S "); printf(text, a, b); printf("\n")
#define DONE tell_all()
#else
#define STEP(text, a, b) skip
#define DONE skip
#endif

/* ---- rules ------------------------------------------------------------------------------------------------------ */
#define MEMBERS_OF(e) (MEMBERS(config[e]) | MEMBERS(recover_by[e]))
#define NEEDS_ACTIVATION(e) (IS_LOSSY(e) || (!SAME_RULE(config[e], recover_by[e]) && \
                             !(IS(plain_keeps) && (e) > 1 && config[(e) - 1] == config[e])))
#define WAITING(e) (NEEDS_ACTIVATION(e) && !HAS(activated, e))
#define FENCING(j) (promised[j] > 0 && phase[j] == FOLLOWING && leader[promised[j]] == (j) + 1 && \
                    PINNED(promised[j], j) && \
                    ((synced[j] < promised[j] && !HAS(activated, promised[j])) || IS(refence)))
#define RECOVER_CONFIG(e) (IS(recover_new) -> config[e] : recover_by[e])
#define ENOUGH(j) ((IS_LOSSY(promised[j]) && HAS(read[j], j)) || RECOVERS(RECOVER_CONFIG(promised[j]), counted[j]))
#define HOLD1(e, i, n) ((acked[(e) * N + (i)] >= (n)) << (i))
#if N == 2
#define HOLDERS(e, n) (HOLD1(e, 0, n) | HOLD1(e, 1, n))
#define LEAST_PROMISE(e) MIN(PROMISE1(e, 0), PROMISE1(e, 1))
#elif N == 3
#define HOLDERS(e, n) (HOLD1(e, 0, n) | HOLD1(e, 1, n) | HOLD1(e, 2, n))
#elif N == 4
#define HOLDERS(e, n) (HOLD1(e, 0, n) | HOLD1(e, 1, n) | HOLD1(e, 2, n) | HOLD1(e, 3, n))
#else
#define HOLDERS(e, n) (HOLD1(e, 0, n) | HOLD1(e, 1, n) | HOLD1(e, 2, n) | HOLD1(e, 3, n) | HOLD1(e, 4, n))
#endif
#define HELD(e, n) COMMITS(config[e], HOLDERS(e, n))
/* Something older than what a lossy epoch has given up, or than what a newer epoch has committed meanwhile. */
#define OUTDATED(e) ((e) < floor || newest_hw > (e))

/* A follower shows its log up to the HW of the epoch that it follows, once it holds that epoch's initial log. */
#if SILENT
#define SHOWN(i) (MIN(true_hw[promised[i]], LEN(log[i])))
/* What it has shown is cut for epoch e only behind a lossy epoch. */
#if LOSSY
#define MAY_LOSE(i, e) (IS_LOSSY(e) || (floor <= (e) && floor > shown_epoch[i]))
#else
#define MAY_LOSE(i, e) 0
#endif
#define OR_FORGETS_SHOWN(i) || shown[i] > 0
#define TRUE1(e, i, n) ((true_acked[(e) * N + (i)] >= (n)) << (i))
#if N == 2
#define TRULY(e, n) (TRUE1(e, 0, n) | TRUE1(e, 1, n))
#elif N == 3
#define TRULY(e, n) (TRUE1(e, 0, n) | TRUE1(e, 1, n) | TRUE1(e, 2, n))
#else
#define TRULY(e, n) (TRUE1(e, 0, n) | TRUE1(e, 1, n) | TRUE1(e, 2, n) | TRUE1(e, 3, n))
#endif
#define OR_FORGETS_SHOWN(i) || shown[i] > 0
#define REFUSES(i, n, e) ((n) < shown[i] && !MAY_LOSE(i, e) && !IS(shown_cut))
#define SET_ACKED(k, n) acked[k] = n; true_acked[k] = n
#else
#define SHOWN(i) (MIN(hw[promised[i]], LEN(log[i])))
#define OR_FORGETS_SHOWN(i)
#define SET_ACKED(k, n) acked[k] = n
#endif
inline check_shown(a)
{
    if
    :: promised[a] > 0 && promised[a] >= floor && (synced[a] == promised[a] || IS(hw_unsynced)) ->
        s = SHOWN(a);
#if DAMAGES
        s = (s > 0 && TAG_AT(log[a], 0) == LOST -> 0 : (s > 1 && TAG_AT(log[a], 1) == LOST -> 1 :
            (s > 2 && TAG_AT(log[a], 2) == LOST -> 2 : (s > 3 && TAG_AT(log[a], 3) == LOST -> 3 : s))));
#endif
#if RETAIN
        CHECK(SAME(log[a], committed) >= s, what_a_follower_shows_is_committed);
#else
        CHECK(PREFIX(log[a], s) == PREFIX(committed, s), what_a_follower_shows_is_committed);
#endif
        s = 0
    :: else
    fi
}

#if RETAIN
#define OTHER_LINE(a) (FIRST(log[a]) > 0 && synced[a] < floor) /* what it has deleted was given up since */
#else
#define OTHER_LINE(a) 0
#endif
/* What is truncated for epoch ep was never committed. */
inline check_cut(a, n, ep)
{
#if SILENT
    CHECK(n >= shown[a] || MAY_LOSE(a, ep), what_was_shown_is_not_cut);
#endif
    CHECK(OUTDATED(ep) || IS_LOSSY(ep) || OTHER_LINE(a) || n >= SAME(log[a], committed), what_is_truncated_was_not_committed)
}

/* The role is gone, and what was heard in it. */
inline drop_role(a)
{
    s = 0;
    do
    :: phase[a] >= PREPARED && s < N -> SET_ACKED(promised[a] * N + s, 0); s++
    :: else -> break
    od;
    s = 0;
    phase[a] = FOLLOWING; read_log[a] = 0; read_synced[a] = 0; read[a] = 0; counted[a] = 0;
#if KEEPS
    read_before[a] = 0;
#endif
#if ROLLBACKS || SILENT
    source[a] = 0;
#endif
#if LOSSY
    known[a] = 0;
#endif
}

/* What no replica can follow any more is forgotten. */
inline forget()
{
    if
    :: PROMISES_STAY ->
        t = 1;
        do
        :: t < newest ->
            s = 0;
            do
            :: s < N && (!HAS(MEMBERS_OF(t), s) || promised[s] > t) -> s++
#if SCENARIO == STRANDED
            :: s < N && HAS(gone, s) -> s++
#endif
            :: else -> break
            od;
            if
            :: s == N && leader[t] != 0 ->
                pushed[t] = 0; initial[t] = 0; hw[t] = 0;
#if SILENT
                true_hw[t] = 0;
#endif
#if RETAIN
                start[t] = 0;
#endif
#if KEEPS
                sent_before[t] = 0;
#endif
#if !REMOVAL                                                    /* it may be applied late, and delete */
                leader[t] = 0; activated = activated & ~BIT(t);
#if BUG != b_plain_keeps
                config[t] = 0; recover_by[t] = 0;
#endif
#endif
                s = 0;
                do
                :: s < N ->
#if STREAMS
                    starts[t * N + s] = 0; cuts[t * N + s] = 0;
#endif
                    SET_ACKED(t * N + s, 0); s++
                :: else -> break
                od
            :: else
            fi;
            t++
        :: else -> break
        od;
        s = 0; t = 0
    :: else
    fi
}

inline promise(a, ep)
{
    if
    :: promised[a] < ep -> drop_role(a); promised[a] = ep
    :: else
    fi
}

/* An acknowledgement to the leader of epoch ep. */
inline acknowledge(a, ep)
{
#if RETAIN
    CHECK(MIN(FIRST(log[a]), LEN(committed)) <= deleted || synced[a] == 0 || synced[a] < floor || newest_hw > synced[a],
          what_is_not_there_was_deleted);
#endif
    CHECK(WHOLE(PREFIX(log[a], durable[a])), an_acknowledged_record_is_whole);
    if
    :: leader[ep] > 0 && leader[ep] != a + 1 && promised[leader[ep] - 1] == ep && phase[leader[ep] - 1] >= PREPARED &&
       (PINNED(ep, a) || IS(wiped_acks)) && acked[ep * N + a] < durable[a] -> acked[ep * N + a] = durable[a]
    :: else
    fi;
#if SILENT
    true_acked[ep * N + a] = (true_acked[ep * N + a] < durable[a] -> MIN(acked[ep * N + a], durable[a]) : true_acked[ep * N + a]);
#endif
#if LOSSY
    if
    :: shipped[a] < durable[a] && PINNED(ep, a) -> shipped[a] = durable[a]
    :: else
    fi
#endif
}

inline set_synced(a, ep)
{
#if LOSSY
    if
    :: synced[a] != ep -> shipped[a] = 0
    :: else
    fi;
#if OWN && BUG == b_leader_unsynced
    own[a] = 0;
#endif
#endif
    synced[a] = ep
}

/* The log of a becomes its first n records. */
inline cut(a, n)
{
#if PRODUCER && BUG == b_producer_stays
    ghosts[a] = PREFIX(ghosts[a], n) | BEHIND(log[a], n) | (BEHIND(log[a], n) != 0 -> 0 : BEHIND(ghosts[a], n));
#endif
    log[a] = PREFIX(log[a], n);
#if SILENT
    shown[a] = MIN(shown[a], n);
#endif
    durable[a] = MIN(durable[a], n)
}

#if SILENT
/* It shows its log up to n. */
inline show_up_to(a, n)
{
    shown[a] = n;
#if LOSSY
    shown_epoch[a] = promised[a]
#endif
}
#if LOSSY
#define MORE_TO_SHOW(i, n) ((n) > shown[i] || ((n) == shown[i] && (n) > 0 && floor > shown_epoch[i] && promised[i] > shown_epoch[i]))
#else
#define MORE_TO_SHOW(i, n) ((n) > shown[i])
#endif
#endif

inline crash(a)
{
    if
    :: durable[a] < LEN(log[a]) -> cut(a, durable[a])
    :: else
    fi;
#if KEEPS
    before[a] = (IS(start_unguarded) -> 0 : before[a]);
#endif
#if SILENT
    shown[a] = 0;
#if LOSSY
    shown_epoch[a] = 0;
#endif
#endif
    drop_role(a)
}

#include "steps.h"
