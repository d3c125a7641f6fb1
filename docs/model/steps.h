/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of replication.pml, in the order of the rules. */

#if COUNTS
/* Whom the control quorum counts: who may have got the initial log of an epoch since it has forgotten. In a lossy one
 * nobody can before it is activated. And who really has: also the leader of a lossy epoch that will store `synced` now. */
#define UNSERVED (lossy[newest] && !HAS(activated, newest) && !IS(unserved_counts))
#define COUNTED1(i, top) ((since[i] <= (top)) << (i))
#define COUNTED(top) (COUNTED1(0, top) | COUNTED1(1, top) | COUNTED1(2, top))
#define REMEMBERS1(i) ((synced[i] >= since[i] || (phase[i] == PREPARED && HAS(activated, promised[i]))) << (i))
#define REMEMBERS (REMEMBERS1(0) | REMEMBERS1(1) | REMEMBERS1(2))
inline forget_on()
{
    s = 0;
    do
    :: s < N -> since[s] = (since[s] == newest && newest > 0 -> newest + 1 : since[s]); s++
    :: else -> break
    od;
    s = 0
}
#endif

/* After every step of replica i; s = 1: it was none. */
inline finish()
{
    if
    :: s == 1 -> s = 0
    :: else ->
#if COUNTS
        CHECK(!RECOVERS(in_force, COUNTED(newest - UNSERVED)) || RECOVERS(in_force, REMEMBERS), who_is_counted_can_be_recovered_from);
#endif
#if SCENARIO == STRANDED
        CHECK(newest < E || COMMITS(config[newest], ~gone), who_is_left_can_commit_at_last);
#endif
        check_shown(i);
        forget();
        DONE
    fi;
    i = 0; j = 0; e = 0; k = 0; n = 0; l = 0
}

/* Length of the initial log of epoch e. */
#define INITIAL(e) (initial[e] - 1)

/* n = 0 .. top - 1, any */
#define PICK(n, top) n = 0; do :: n < (top) - 1 -> n++ :: break od
/* n = n .. top, any */
#define CLIMB(n, top) do :: n < (top) -> n++ :: break od

/* ---- rules 1, 8, 9: any leader of any config, at any time -------------------------------------------------------- */
#if N == 2
#define SOMEBODY_PROMISED(e) (promised[0] == (e) || promised[1] == (e))
#elif N == 3
#define SOMEBODY_PROMISED(e) (promised[0] == (e) || promised[1] == (e) || promised[2] == (e))
#else
#define SOMEBODY_PROMISED(e) 1
#endif

inline assign(how)
{
#if COUNTS
    t = (!how && !RECOVERS(in_force, COUNTED(newest - UNSERVED)) && !IS(lost_counts));
    if
    :: UNSERVED -> forget_on()
    :: else
    fi;
#endif
    newest++;
#if COUNTS
    if
    :: t -> t = 0; forget_on()
    :: else
    fi;
#endif
    leader[newest] = j + 1; config[newest] = k; recover_by[newest] = in_force;
    seen = seen | BIT(j);
#if LEASES
    newest_lossy = (how -> newest : newest_lossy);
#endif
#if LOSSY
    lossy[newest] = how;
    lossy_left = lossy_left - how;
#endif
    if
    :: SAME_RULE(k, in_force) && !how -> in_force = k               /* learners alone need no activation */
    :: else
    fi
}

#if LEASES
/* Control counts a lease longer than its holder: it is over for control only when it is for the holder. */
#define LEASED(k) ((leases & LEADERS(k)) != 0 && !IS(lease_early))
#define MAY_ANSWER(i) (promised[i] >= floor || LEASES) && (HAS(leases, i) || IS(lease_unasked))
#else
#define LEASED(k) 0
#define MAY_ANSWER(i) (promised[i] >= floor)
#endif

/* ---- rules 2, 3 -------------------------------------------------------------------------------------------------- */
/* The answer of a, durable as it is, is read by the leader j of epoch e. */
#define LAST_EPOCH(l, n) ((n) == 0 -> 0 : EPOCH_AT(l, (n) - 1))
/* Is the log l of length n with synced sy better than l2, n2, sy2? */
#define LONGER(l, n, l2, n2) (IS(last_entry) && LAST_EPOCH(l, n) != LAST_EPOCH(l2, n2) -> \
                              LAST_EPOCH(l, n) > LAST_EPOCH(l2, n2) : (n) > (n2))
#define BETTER(sy, l, n, sy2, l2, n2) ((sy) == (sy2) || IS(longest) || IS(last_entry) -> LONGER(l, n, l2, n2) : (sy) > (sy2))

inline answer(a)
{
    l = PREFIX(log[a], durable[a]);
    read[j] = read[j] | BIT(a);
    if
    :: PINNED(e, a) || IS(wiped_recovers) ->
#if INCARNATIONS
        counted[j] = counted[j] | (synced[a] >= since[a] || IS(wiped_recovers) -> BIT(a) : 0);
#else
        counted[j] = counted[j] | BIT(a);
#endif
#if LOSSY
        n = 0; k = 0;
        do
        :: n < shipped[a] && n < durable[a] && EPOCH_AT(l, n) != 0 && EPOCH_AT(l, n) <= SAID_IN(a) &&
           AT(l, n) == AT(committed, n) -> n++
#if RETAIN
        :: n < shipped[a] && n < durable[a] && AT(l, n) == GONE && AT(committed, n) != 0 -> n++
#endif
        :: else -> break
        od;
        known[j] = (IS_LOSSY(e) -> MAX(known[j], n) : 0);
#endif
        n = LEN(l); k = LEN(read_log[j]);
        if
        :: IS_LOSSY(e) && a != j && (IS(lossy_own) || (IS(learners_unread) && !HAS(VOTERS(recover_by[e]), a))) -> skip
        :: !IS_LOSSY(e) && !HAS(VOTERS(RECOVER_CONFIG(e)), a) && !IS(outsider) -> skip
        :: else ->
            if
            :: (IS(lossy_own) && IS_LOSSY(e)) || read[j] == BIT(a) ||
               BETTER(synced[a], l, n, read_synced[j], read_log[j], k) ->
                read_log[j] = l; read_synced[j] = synced[a];
#if KEEPS
                read_before[j] = before[a];
#endif
#if ROLLBACKS || SILENT
                source[j] = a + 1;
#endif
            :: else
            fi
        fi
    :: else
    fi
}

/* Everything committed so far is in the initial log, unless a newer epoch has committed meanwhile. */
inline check_initial(a, ep)
{
#if RETAIN
    CHECK(IS_LOSSY(ep) || ep <= floor || newest_hw > ep || SAME(log[a], committed) >= LEN(committed),
          an_initial_log_has_all_that_is_committed);
    CHECK(IS_LOSSY(ep) || ep <= floor || newest_hw > ep || MIN(FIRST(log[a]), LEN(committed)) <= deleted,
          what_is_not_there_was_deleted)
#else
    CHECK(IS_LOSSY(ep) || ep <= floor || newest_hw > ep || PREFIX(log[a], LEN(committed)) == committed,
          an_initial_log_has_all_that_is_committed)
#endif
}

/* a, whose log is the initial one, serves. */
inline serve(a, ep)
{
    set_synced(a, ep);
    durable[a] = LEN(log[a]);
    phase[a] = SERVING;
    pushed[ep] = log[a];
    initial[ep] = LEN(log[a]) + 1;
#if KEEPS
    sent_before[ep] = before[a];
#endif
    SET_ACKED(ep * N + a, durable[a]);
    READ_OVER(a);
#if SILENT
    source[a] = 0;
#endif
    if
    :: !IS_LOSSY(ep) -> read_synced[a] = 0
    :: else
    fi
}

inline built(a, ep)
{
    if
    :: WHOLE(log[a]) || IS(damage_served) ->
        check_initial(a, ep);
        if
        :: IS_LOSSY(ep) && !IS(lossy_early) ->                  /* leaves no trace until it is activated */
            n = MAX(synced[a], read_synced[a]);
            set_synced(a, n);
            durable[a] = LEN(log[a]);
            phase[a] = PREPARED;
            SET_ACKED(ep * N + a, durable[a]);
            READ_OVER(a)
        :: else -> serve(a, ep)
        fi
    :: else ->
        phase[a] = BUILDING; READ_OVER(a)
    fi
}

#if RETAIN
/* Rule 11. n becomes the offset up to which a has what the log l has, as far as their epochs tell. */
#define KNOWN_SAME(a, l, n) (EPOCH_AT(l, n) == EPOCH_AT(log[a], n) && AT(l, n) != GONE && AT(log[a], n) != GONE)
#define ONE_LINE(a) (synced[a] >= floor)
inline common_point(a, l)
{
    n = MIN(LEN(l), LEN(log[a]));
    do
    :: n > 0 && !KNOWN_SAME(a, l, n - 1) -> n--
    :: else -> break
    od;
    n = (n == 0 -> MIN(FIRST(l), FIRST(log[a])) : n);
    t = FIRST(log[a]);
    if
    :: n < t && (((ONE_LINE(a) || IS(start_stays)) && t <= LEN(l) && !IS(fall_back)) ||
                 (t == LEN(log[a]) && t == FIRST(l))) -> n = t
    :: else
    fi;
    t = 0
}

#if KEEPS
/* The next sequence number by what is below n of the log l; b: by what l has lost of it. */
#define SENT_BELOW(l, n, b) ((n) > FIRST(l) -> TAG_AT(l, (n) - 1) + 1 : b)
#define BEFORE_PUSH(e, n) SENT_BELOW(pushed[e], n, sent_before[e])
#endif

/* Cuts to the common point with l, or begins anew at its log start; n is where the log ends then. */
inline cut_or_restart(a, l, ep)
{
    common_point(a, l);
    if
    :: n >= FIRST(l) && n >= FIRST(log[a]) -> check_cut(a, n, ep); cut(a, n)
    :: else ->
        n = FIRST(l);
        check_cut(a, n, ep);
#if KEEPS
        before[a] = (IS(restart_blank) -> 0 : sent);
#endif
        log[a] = GONES(n); durable[a] = n
    fi
}

/* A follower takes a push of epoch e that begins at offset j: what overlaps is compared, then it copies up to k. */
inline follow_retained(whole)
{
    promise(i, e);
    l = GONES(j) | BEHIND(pushed[e], j);
#if KEEPS
    sent = BEFORE_PUSH(e, j);
#endif
    if
    :: synced[i] == e && LEN(log[i]) < j -> log[i] = GONES(j); durable[i] = j;
#if KEEPS
        before[i] = (IS(restart_blank) -> 0 : sent)
#endif
    :: synced[i] == e && FIRST(log[i]) < j && j <= durable[i] ->
#if KEEPS
        before[i] = SENT_BELOW(log[i], j, before[i]);
#endif
        log[i] = GONES(j) | BEHIND(log[i], j)
    :: synced[i] < e && FIRST(log[i]) > LEN(l) && ONE_LINE(i) && !IS(fall_back) -> skip /* it has held more than this */
    :: synced[i] < e && !(FIRST(log[i]) > LEN(l) && ONE_LINE(i) && !IS(fall_back)) ->
        cut_or_restart(i, l, e);
        if
        :: k > n -> log[i] = log[i] | BEHIND(PREFIX(l, k), n); durable[i] = k; n = k
        :: else
        fi;
        if
        :: whole && n >= INITIAL(e) -> durable[i] = n; set_synced(i, e); acknowledge(i, e)
        :: else
        fi
    :: else -> s = 1
    fi
}
#endif

/* Cuts its log to the common point n and copies up to k. */
inline copy_chosen(a)
{
#if RETAIN
#if KEEPS
    sent = read_before[a];
#endif
    cut_or_restart(a, read_log[a], promised[a]);
    k = MAX(k, n);
#else
    n = AGREE(log[a], read_log[a]);
    check_cut(a, n, promised[a]);
    cut(a, n);
#endif
#if ROLLBACKS
    do                                                          /* the source may have another disk by now */
    :: n < k && promised[source[a] - 1] == promised[a] && n < LEN(log[source[a] - 1]) &&
       (EPOCH_AT(log[source[a] - 1], n) == EPOCH_AT(read_log[a], n) || IS(copy_unread)) ->
        log[a] = log[a] | (AT(log[source[a] - 1], n) << (5 * n));
        n++;
        durable[a] = n
    :: else -> break
    od
#else
    if
    :: n < k -> log[a] = log[a] | BEHIND(PREFIX(read_log[a], k), n); durable[a] = k; n = k
    :: else
    fi
#endif
}

/* ---- rule 5 ------------------------------------------------------------------------------------------------------ */
#define FOLLOWS(i, e) (initial[e] > 0 && leader[e] != (i) + 1 && HAS(MEMBERS(config[e]), i))

#if STREAMS
#define MEETS(i, e, n) ((n) == 0 || EPOCH_AT(log[i], (n) - 1) == EPOCH_AT(pushed[e], (n) - 1))
#define STARTED(i, e, n) ((starts[(e) * N + (i)] & ((2 << (n)) - 1)) != 0)
/* Only if that is the bug: of the right length, and an offset below it fits. */
#define BLIND1(i, e, n) ((n) < INITIAL(e) && HAS(starts[(e) * N + (i)], n) && MEETS(i, e, n))
#define BLIND(i, e) (IS(overlap_unread) && LEN(log[i]) == INITIAL(e) && synced[i] < (e) && \
                     (BLIND1(i, e, 0) || BLIND1(i, e, 1) || BLIND1(i, e, 2) || BLIND1(i, e, 3)))
#define FITS(i, e) (LEN(log[i]) <= LEN(pushed[e]) && STARTED(i, e, LEN(log[i])) && \
                    (MEETS(i, e, LEN(log[i])) || BLIND(i, e)))
#endif

/* ---- rules 6, 8 -------------------------------------------------------------------------------------------------- */
inline activate(a, ep)
{
    in_force = config[ep];
    activated = activated | BIT(ep);
#if LOSSY
    if
    :: IS_LOSSY(ep) ->
        l = PREFIX(log[a], n);
        n = SAME(l, committed);
        CHECK(n >= known[a], a_lossy_epoch_keeps_what_a_survivor_has_acknowledged);
#if RETAIN
        deleted = MIN(deleted, n);
#endif
        committed = PREFIX(committed, n);
        floor = ep; known[a] = 0;
#if COUNTS
        since[a] = (IS(survivor_uncounted) -> since[a] : 0);    /* its log is what there is, whatever it had forgotten */
#endif
        n = 0
    :: else
    fi
#endif
}

inline check_all_shown()
{
    check_shown(0); check_shown(1);
#if N > 2
    check_shown(2);
#endif
#if N > 3
    check_shown(3);
#endif
    skip
}

#if PRODUCER
#if KEEPS
#define IS_GONE(l, n) (AT(l, n) == GONE)
#define NEXT_BEFORE(a) (IS(producer_forgotten) -> 0 : before[a])
#else
#define IS_GONE(l, n) 0
#define NEXT_BEFORE(a) 0
#endif
/* A sequence number + 1 at offset n of the producer state of the leader a. */
#if BUG == b_producer_stays
#define KNOWN_AT(a, n) (AT(log[a], n) != 0 && !IS_GONE(log[a], n) -> TAG_AT(log[a], n) + 1 : (AT(ghosts[a], n) != 0 -> TAG_AT(ghosts[a], n) + 1 : 0))
#elif BUG == b_producer_forgotten
#define KNOWN_AT(a, n) (AT(log[a], n) != 0 && !IS_GONE(log[a], n) && n >= INITIAL(promised[a]) -> TAG_AT(log[a], n) + 1 : 0)
#else
#define KNOWN_AT(a, n) (AT(log[a], n) != 0 && !IS_GONE(log[a], n) -> TAG_AT(log[a], n) + 1 : 0)
#endif
#define MAX4(a, b, c, d) MAX(MAX(a, b), MAX(c, d))
#define NEXT_SEQUENCE(a) MAX(NEXT_BEFORE(a), MAX4(KNOWN_AT(a, 0), KNOWN_AT(a, 1), KNOWN_AT(a, 2), KNOWN_AT(a, 3)))
#define COMMITTED_AT(n, q) (AT(committed, n) != 0 && TAG_AT(committed, n) + 1 == (q))
#define ANSWERED(a, n) (KNOWN_AT(a, n) == 0 || (n >= hw[promised[a]] && !IS(duplicate_early)) || \
                        COMMITTED_AT(0, KNOWN_AT(a, n)) || COMMITTED_AT(1, KNOWN_AT(a, n)) || \
                        COMMITTED_AT(2, KNOWN_AT(a, n)) || COMMITTED_AT(3, KNOWN_AT(a, n)))
/* Rule 7: a retried record whose original the high watermark has passed is answered, so it is committed. */
inline check_answers(a)
{
    if
    :: phase[a] == SERVING && promised[a] >= floor ->
        CHECK(ANSWERED(a, 0) && ANSWERED(a, 1) && ANSWERED(a, 2) && ANSWERED(a, 3), what_is_answered_is_committed)
    :: else
    fi
}
#define IN_ORDER(l, n) (AT(l, n) == 0 || IS_GONE(l, n) || TAG_AT(l, n) == (n))
#endif

inline commit(a)
{
    e = promised[a];
    k = (WAITING(e) && IS(show_initial) -> INITIAL(e) : LEN(log[a]));
    do                                                          /* what the commit rule finds held */
    :: k > 0 && !HELD(e, k) -> k--
    :: else -> break
    od;
#if SILENT
    t = k;
    do                                                          /* and what really is */
    :: t > 0 && !COMMITS(config[e], TRULY(e, t)) -> t--
    :: else -> break
    od;
    t = (e < lost_synced -> MIN(t, lost_from) : t);             /* an old leader, late: it was lost in a newer epoch's log */
    l = PREFIX(log[a], t);
    CHECK(SAME(l, committed) >= MIN(t, LEN(committed)), one_record_is_committed_at_an_offset);
#else
    l = PREFIX(log[a], k);
    CHECK(SAME(l, committed) >= MIN(k, LEN(committed)), one_record_is_committed_at_an_offset);
#endif
    if
    :: k > LEN(committed) || (k > hw[e] && k >= INITIAL(e)) ->
        STEP("leader %d commits up to %d", a, k);
#if PRODUCER
        CHECK(IN_ORDER(l, 0) && IN_ORDER(l, 1) && IN_ORDER(l, 2) && IN_ORDER(l, 3),
              a_sequence_number_is_committed_once_and_in_order);
#endif
#if LEASES
        CHECK(newest_lossy <= e, nobody_answers_behind_a_lossy_epoch);
#endif
        committed = committed | BEHIND(l, LEN(committed));
        hw[e] = k;
#if OWN
        shipped[a] = MAX(shipped[a], MIN(k, acked[e * N + a]));
#if BUG == b_leader_unsynced
        own[a] = e;
#endif
#endif
#if SILENT
        true_hw[e] = MAX(true_hw[e], t);
        t = 0;
        if
        :: MORE_TO_SHOW(a, k) -> show_up_to(a, k)
        :: else
        fi;
#endif
        newest_hw = MAX(newest_hw, e);
        check_all_shown()
#if SILENT
    :: else -> s = 1; t = 0
#else
    :: else -> s = 1
#endif
    fi
}

#if INCARNATIONS
/* Replica a registers with a disk that has forgotten. */
inline new_incarnation(a)
{
    since[a] = newest + 1;
    n = 1;
    do
    :: n <= newest -> others[n] = others[n] | BIT(a); n++
    :: else -> break
    od;
    n = 0
}
#endif

#if SCENARIO == STRANDED
inline lose_for_good(a)
{
    promised[a] = 0; synced[a] = 0; durable[a] = 0; log[a] = 0
}
#endif

#if BUG == b_resume || BUG == b_refence
#define RECORD(e) ((e) | (HAS(again, e) << 3))
#else
#define RECORD(e) (e)
#endif

active proctype protocol()
{
    byte i, j, e, k, n, s, t;                                   /* 0 between steps */
    int l;

    do
    :: atomic {
        if
        :: newest < E && (!EPOCHS_WAIT || newest == 0 || SOMEBODY_PROMISED(newest)) ->
            PICK(k, K); PICK(j, N);
            if
            :: HAS(LEADERS(k), j) && MAY_ASSIGN(k) && FRESH(j) ->
                d_step { STEP("assigned: leader %d, config %d", j, k); assign(0) }
#if LOSSY
            :: HAS(LEADERS(k), j) && k != in_force && GIVES_UP(k) && lossy_left > 0 && FRESH(j) && !LEASED(in_force) ->
                d_step { STEP("assigned: leader %d, config %d, lossy", j, k); assign(1) }
#endif
            :: else -> s = 1
            fi
        :: true ->
            PICK(i, N);
#if SCENARIO == STRANDED
            if
            :: HAS(gone, i) -> s = 1
            :: else ->
#endif
            if
            /* Rule 2. The answer is lost, or not asked for. */
            :: promised[i] < newest ->
                e = promised[i] + 1;
                CLIMB(e, newest);
                if
                :: leader[e] != 0 && HAS(MEMBERS_OF(e), i) ->
                    d_step { STEP("%d promises epoch %d", i, e); promise(i, e) }
                :: else -> s = 1
                fi
            :: newest > 0 ->
                PICK(j, N);
                if
                :: FENCING(j) && promised[i] <= promised[j] && !HAS(read[j], i) && HAS(MEMBERS_OF(promised[j]), i) ->
                    d_step {
                        STEP("%d answers the fence of %d", i, j);
                        e = promised[j];
                        promise(i, e);
                        answer(i) }
                :: else -> s = 1
                fi
            /* Rule 3. It may crash at any time between. */
#if SILENT
            :: FENCING(i) && ENOUGH(i) && REFUSES(i, AGREE(log[i], read_log[i]), promised[i]) && source[i] > 0 &&
               PINNED(promised[i], source[i] - 1) && !HAS(accused, source[i] - 1) ->
                d_step {
                    STEP("%d keeps what it has shown, and accuses %d", i, source[i] - 1);
                    CHECK(loss, nobody_is_accused_without_a_loss);
                    accused = accused | BIT(source[i] - 1) }
            :: FENCING(i) && ENOUGH(i) && !REFUSES(i, AGREE(log[i], read_log[i]), promised[i]) ->
#else
            :: FENCING(i) && ENOUGH(i) ->
#endif
#if !RETAIN
                k = AGREE(log[i], read_log[i]);
#endif
                CLIMB(k, LEN(read_log[i]));
                if
                :: k == LEN(read_log[i]) ->
                    d_step {
                        STEP("%d has built the initial log of epoch %d", i, promised[i]);
                        copy_chosen(i);
                        if
                        :: n == k ->
#if BUG == b_resume || BUG == b_refence
                            again = again | (initial[promised[i]] > 0 -> BIT(promised[i]) : 0);
#endif
                            built(i, promised[i])
                        :: else -> drop_role(i)
                        fi }
                :: d_step {
                        STEP("%d builds the initial log up to %d and stops to lead", i, k);
                        copy_chosen(i); drop_role(i) }
                fi
            :: phase[i] == BUILDING && WHOLE(log[i]) ->
                d_step { STEP("%d has all of the initial log of epoch %d", i, promised[i]); built(i, promised[i]) }
#if BUG == b_resume
            :: promised[i] > 0 && leader[promised[i]] == i + 1 && phase[i] == FOLLOWING && !FENCING(i) && initial[promised[i]] > 0 ->
                d_step {
                    STEP("%d resumes epoch %d", i, promised[i]);
                    again = again | BIT(promised[i]);
                    drop_role(i);
                    phase[i] = SERVING; SET_ACKED(promised[i] * N + i, durable[i]); pushed[promised[i]] = log[i]; initial[promised[i]] = 1 }
#endif
            :: phase[i] != FOLLOWING || read[i] != 0 || durable[i] < LEN(log[i]) ||
               (IS(volatile_promise) && promised[i] > synced[i]) OR_FORGETS_SHOWN(i) ->
                d_step {
                    STEP("%d crashes, promised %d", i, promised[i]);
                    crash(i);
                    promised[i] = (IS(volatile_promise) -> synced[i] : promised[i]) }
#if LOSSY
            /* It pushes before its `synced` is durable, but does not count itself before. */
            :: phase[i] == SERVING && IS_LOSSY(promised[i]) && durable[i] == INITIAL(promised[i]) &&
               (hw[promised[i]] == 0 || IS(leader_unsynced)) ->
                d_step {
                    STEP("%d crashes before synced = %d was durable", i, synced[i]);
                    n = read_synced[i];
                    crash(i);
#if OWN && BUG == b_leader_unsynced
                    k = shipped[i]; e = own[i];
                    set_synced(i, n);
                    shipped[i] = k; own[i] = e }
#else
                    set_synced(i, n) }
#endif
#endif
            :: durable[i] < LEN(log[i]) ->
                d_step {
                    STEP("%d fsyncs up to %d", i, LEN(log[i]));
                    durable[i] = LEN(log[i]);
                    if
                    :: phase[i] >= PREPARED -> SET_ACKED(promised[i] * N + i, durable[i])
                    :: phase[i] < PREPARED && (synced[i] == promised[i] || IS(late_ack)) &&
                       (WHOLE(log[i]) || IS(damage_acks)) -> acknowledge(i, synced[i])
                    :: else
                    fi }
            /* Rule 5. */
            :: newest > 0 && phase[i] >= FOLLOWING ->
                e = MAX(promised[i], 1);
                CLIMB(e, newest);
                if
#if STREAMS
                :: FOLLOWS(i, e) ->                                 /* an answer, whenever it comes */
                    d_step {
                        STEP("%d tells the leader of epoch %d what it has", i, e);
                        promise(i, e);
                        l = PREFIX(log[i], durable[i]);
                        n = AGREE(l, pushed[e]);
                        if
                        :: synced[i] == e || n == durable[i] -> starts[e * N + i] = starts[e * N + i] | BIT(durable[i])
                        :: else
                        fi;
                        if
                        :: n < durable[i] -> cuts[e * N + i] = cuts[e * N + i] | BIT(n)
                        :: else
                        fi }
                :: FOLLOWS(i, e) && promised[i] == e && (synced[i] < e || IS(cut_synced)) && LEN(log[i]) > 0 ->
                    PICK(n, LEN(log[i]));
                    if
                    :: HAS(cuts[e * N + i], n) ->
                        d_step { STEP("%d is told to cut to %d", i, n); cut(i, n) }
                    :: else -> s = 1
                    fi
                :: FOLLOWS(i, e) && promised[i] == e && FITS(i, e) && synced[i] < e && LEN(log[i]) < INITIAL(e) ->
                    d_step {
                        STEP("%d copies a record of the initial log of epoch %d", i, e);
                        n = LEN(log[i]);
                        log[i] = log[i] | (AT(pushed[e], n) << (5 * n));
                        durable[i] = n + 1 }
                :: FOLLOWS(i, e) && promised[i] == e && FITS(i, e) && synced[i] < e && LEN(log[i]) >= INITIAL(e) &&
                   (WHOLE(log[i]) || IS(damage_acks)) ->
                    d_step {
                        STEP("%d holds the initial log of epoch %d", i, e);
                        durable[i] = LEN(log[i]); set_synced(i, e); acknowledge(i, e) }
                :: FOLLOWS(i, e) && promised[i] == e && FITS(i, e) && synced[i] == e && LEN(log[i]) < LEN(pushed[e]) ->
#elif RETAIN
                :: FOLLOWS(i, e) ->
                    j = FIRST(pushed[e]);
                    CLIMB(j, start[e]);
                    k = 0;
                    CLIMB(k, INITIAL(e));
                    if
                    :: true -> d_step { STEP("%d cuts and copies up to %d of the initial log, or follows the log start", i, k); follow_retained(0) }
                    :: k == INITIAL(e) -> d_step { STEP("%d holds the initial log of epoch %d", i, e); follow_retained(1) }
                    fi
                :: FOLLOWS(i, e) && synced[i] == e && LEN(log[i]) < LEN(pushed[e]) && LEN(log[i]) >= FIRST(pushed[e]) ->
#else
#if SILENT
                :: FOLLOWS(i, e) && synced[i] < e && REFUSES(i, AGREE(log[i], pushed[e]), e) &&
                   PINNED(e, leader[e] - 1) && (promised[i] < e || !HAS(accused, leader[e] - 1)) ->
                    d_step {
                        STEP("%d keeps what it has shown, and accuses the leader of epoch %d", i, e);
                        CHECK(loss, nobody_is_accused_without_a_loss);
                        promise(i, e);
                        accused = accused | BIT(leader[e] - 1) }
                :: FOLLOWS(i, e) && synced[i] < e && !REFUSES(i, AGREE(log[i], pushed[e]), e) ->
#else
                :: FOLLOWS(i, e) && synced[i] < e ->
#endif
                    k = AGREE(log[i], pushed[e]);
                    CLIMB(k, INITIAL(e));
                    if
                    :: true ->
                        d_step {
                            STEP("%d cuts and copies up to %d of the initial log", i, k);
                            promise(i, e);
                            n = AGREE(log[i], pushed[e]);
                            check_cut(i, n, e);
                            cut(i, n);
                            if
                            :: k > n ->
                                log[i] = log[i] | BEHIND(PREFIX(pushed[e], k), n);
                                durable[i] = k;
                                if
                                :: IS(commit_unsynced) -> acknowledge(i, e)
                                :: else
                                fi
                            :: else
                            fi }
                    :: k >= INITIAL(e) ->
                        d_step {
                            promise(i, e);
                            n = AGREE(log[i], pushed[e]);
                            check_cut(i, n, e);
                            cut(i, n);
                            log[i] = log[i] | BEHIND(PREFIX(pushed[e], k), n);
                            if
                            :: k > n -> durable[i] = k
                            :: else
                            fi;
                            if
                            :: WHOLE(log[i]) || IS(damage_acks) ->
                                STEP("%d holds the initial log of epoch %d", i, e);
                                durable[i] = k;
                                set_synced(i, e);
                                acknowledge(i, e)
                            :: else ->
                                STEP("%d cuts and copies up to %d of the initial log", i, k)
                            fi }
                    fi
                :: FOLLOWS(i, e) && synced[i] == e && LEN(log[i]) < LEN(pushed[e]) &&
                   AGREE(log[i], pushed[e]) == LEN(log[i]) ->
#endif
                    d_step {
                        STEP("%d takes a record of epoch %d", i, e);
                        n = LEN(log[i]);
                        log[i] = log[i] | (AT(pushed[e], n) << (5 * n)) }
                :: else -> s = 1
                fi
            /* Rule 4: pushed before its own fsync. */
            :: phase[i] == SERVING && appends_left > 0 ->
#if PRODUCER
                if
                :: NEXT_SEQUENCE(i) < PRODUCER -> n = NEXT_SEQUENCE(i)
                :: IS(any_sequence) && NEXT_SEQUENCE(i) == 0 -> PICK(n, PRODUCER)
                :: else -> n = LOST
                fi;
                skip;
#endif
                d_step {
                    e = promised[i];
                    if
                    :: n != LOST ->
                        STEP("leader %d appends a record of epoch %d", i, e);
                        log[i] = log[i] | ((RECORD(e) | (n << 3)) << (5 * LEN(log[i])));
#if RETAIN
                        pushed[e] = pushed[e] | BEHIND(log[i], LEN(pushed[e]));
#else
                        pushed[e] = log[i];
#endif
                        appends_left--;
#if PRODUCER
                        check_answers(i)
#endif
                    :: else
                    fi }
            /* Rule 8. */
            :: phase[i] >= PREPARED && WAITING(promised[i]) && (promised[i] == newest || IS(late_activation)) ->
                e = promised[i];
                n = (phase[i] == PREPARED -> LEN(log[i]) : INITIAL(e));
                if
                :: HELD(e, n) -> d_step { STEP("%d has epoch %d activated", i, e); activate(i, e) }
                :: else -> s = 1
                fi
            :: phase[i] == PREPARED && !WAITING(promised[i]) ->
                d_step { STEP("%d serves the lossy epoch %d", i, promised[i]); serve(i, promised[i]) }
            /* Rule 6. */
            :: phase[i] == SERVING && (!WAITING(promised[i]) || IS(skip_activation) || IS(show_initial)) &&
               MAY_ANSWER(i) ->
                d_step { commit(i) }
#if PRODUCER
            :: phase[i] == SERVING && (IS(duplicate_early) || IS(producer_stays)) ->
                d_step { STEP("leader %d of epoch %d answers duplicates", i, promised[i]); check_answers(i); i = 0 }
#endif
#if LEASES
            :: phase[i] == SERVING && !HAS(leases, i) && (promised[i] >= newest_lossy || IS(lease_behind)) ->
                d_step { STEP("%d is granted a lease, epoch %d", i, promised[i]); leases = leases | BIT(i) }
            :: HAS(leases, i) ->
                d_step { STEP("the lease of %d runs out, promised %d", i, promised[i]); leases = leases & ~BIT(i) }
#endif
#if RETAIN
            /* Rule 11. */
            :: phase[i] == SERVING && hw[promised[i]] >= INITIAL(promised[i]) ->
                e = promised[i];
                k = (IS(log_start_above_hw) -> LEN(log[i]) : hw[e]);
                n = FIRST(log[i]);
                if
                :: n < k ->
                    n++;
                    CLIMB(n, k);
                    skip;
                    d_step {
                        STEP("leader %d deletes up to %d", i, n);
                        k = SAME(log[i], committed);
                        k = MIN(k, hw[e]);
                        k = MIN(k, n);
                        deleted = MAX(deleted, k);
#if KEEPS
                        before[i] = SENT_BELOW(log[i], n, before[i]);
#endif
                        log[i] = GONES(n) | BEHIND(log[i], n);
                        start[e] = n
                    }
                :: else -> s = 1
                fi
#endif
            /* Disks. */
#if SILENT
            /* Rule 10: a follower hears of the high watermark. */
            :: phase[i] == FOLLOWING && promised[i] > 0 && synced[i] == promised[i] &&
               MORE_TO_SHOW(i, MIN(hw[promised[i]], durable[i])) ->
                d_step {
                    n = MIN(hw[promised[i]], durable[i]);
                    STEP("%d shows up to %d", i, n);
                    show_up_to(i, n) }
            :: silent_left > 0 && durable[i] > 0 ->
                PICK(n, durable[i]);
                skip;
                d_step {
                    STEP("the disk of %d has lost all from %d on", i, n);
                    crash(i);
                    k = SAME(log[i], committed);
                    if
                    :: n < k ->                                 /* no more than that is given up */
                        committed = PREFIX(committed, n);
                        s = 0;
                        do
                        :: s <= E -> true_hw[s] = MIN(true_hw[s], n); s++
                        :: else -> break
                        od;
                        s = 0;
#if LOSSY
                        do
                        :: s < N -> known[s] = MIN(known[s], n); s++
                        :: else -> break
                        od;
                        s = 0
#endif
                    :: else
                    fi;
                    cut(i, n);
#if LOSSY
                    shipped[i] = MIN(shipped[i], n);
#endif
                    do
                    :: s <= E -> true_acked[s * N + i] = MIN(true_acked[s * N + i], n); s++
                    :: else -> break
                    od;
                    s = 0;
                    loss = 1; lost_from = MIN(lost_from, n); lost_synced = MAX(lost_synced, synced[i]);
                    silent_left-- }
            /* The control state hears of it; the process ends, and is a new incarnation when it starts. */
            :: HAS(accused, i) ->
                d_step {
                    STEP("%d is declared forgetful, newest epoch %d", i, newest);
                    crash(i);
                    new_incarnation(i);
                    accused = accused & ~BIT(i) }
#endif
#if WIPES
            :: wipes_left > 0 && (promised[i] > 0 || log[i] != 0) ->
                d_step {
                    STEP("%d loses its disk, newest epoch %d", i, newest);
                    drop_role(i);
                    promised[i] = 0; set_synced(i, 0); durable[i] = 0; log[i] = 0;
                    new_incarnation(i);
                    wipes_left-- }
#endif
#if ROLLBACKS
            :: rollbacks_left > 0 && image_of == 0 && durable[i] > 0 ->
                d_step {
                    STEP("a copy of the disk of %d (epoch %d)", i, promised[i]);
                    image_of = i + 1; image_promised = promised[i]; image_synced = synced[i];
                    image_log = PREFIX(log[i], durable[i]);
                    rollbacks_left-- }
            :: image_of == i + 1 && (image_promised != promised[i] || image_log != PREFIX(log[i], durable[i])) ->
                d_step {
                    STEP("the copy of the disk of %d is put back, newest epoch %d", i, newest);
                    drop_role(i);
                    promised[i] = image_promised; set_synced(i, image_synced); log[i] = image_log; durable[i] = LEN(image_log);
                    image_of = 0; image_promised = 0; image_synced = 0; image_log = 0;
                    if
                    :: !IS(rollback_unseen) -> new_incarnation(i)
                    :: else
                    fi }
#endif
#if DAMAGES
            :: damages_left > 0 && durable[i] > 0 ->
                PICK(n, durable[i]);
                if
                :: TAG_AT(log[i], n) != LOST ->
                    d_step {
                        STEP("%d finds record %d damaged when it starts", i, n);
                        crash(i);
                        if
                        :: IS(damage_shortens) -> cut(i, n)
                        :: else -> log[i] = log[i] | (LOST << (5 * n + 3))
                        fi;
                        damages_left-- }
                :: else -> s = 1
                fi
            :: !WHOLE(log[i]) ->
                PICK(n, LEN(log[i])); PICK(j, N);
                if
                :: TAG_AT(log[i], n) == LOST && AT(log[j], n) != 0 && TAG_AT(log[j], n) != LOST &&
                   (EPOCH_AT(log[j], n) == EPOCH_AT(log[i], n) || IS(repair_offset)) ->
                    d_step {
                        STEP("%d fills its damaged record from %d", i, j);
                        log[i] = PREFIX(log[i], n) | BEHIND(log[i], n + 1) | (AT(log[j], n) << (5 * n));
                        if
                        :: phase[i] == FOLLOWING && synced[i] == promised[i] && WHOLE(log[i]) -> acknowledge(i, synced[i])
                        :: else
                        fi }
                :: else -> s = 1
                fi
#endif
#if REMOVAL
            /* It applies the control log; a promise of something newer forbids to delete by something older. */
            :: newest > 0 && (log[i] != 0 || synced[i] > 0) ->
                e = (IS(remove_late) && phase[i] == FOLLOWING && read[i] == 0 -> applied[i] + 1 : MAX(promised[i], 1));
                CLIMB(e, newest);
                if
                :: e <= newest && leader[e] != 0 && !HAS(MEMBERS(config[e]), i) &&
                   (HAS(activated, e) || (e >= promised[i] && (IS(remove_early) || !NEEDS_ACTIVATION(e)))) &&
                   (e >= promised[i] || HAS(MEMBERS(recover_by[e]), i)) ->
                    d_step {
                        STEP("%d is not in the config of epoch %d and deletes its log", i, e);
                        drop_role(i);
                        promised[i] = (IS(tombstone_lost) -> 0 : MAX(e, promised[i]));
                        n = (IS(tombstone_synced) -> synced[i] : 0);
                        set_synced(i, n);
                        log[i] = 0; durable[i] = 0;
                        applied[i] = (IS(remove_late) -> e : 0) }
                :: else -> s = 1
                fi
#endif
            :: else -> s = 1
            fi
#if SCENARIO == STRANDED
            fi
        :: newest == 1 && gone == 0 -> d_step { STEP("%d and %d are gone for good", 0, 1); gone = 3; lose_for_good(0); lose_for_good(1) }
#endif
        fi;
        d_step { finish() }
    }
    od
}
