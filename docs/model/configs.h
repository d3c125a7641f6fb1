/* SPDX-License-Identifier: Apache-2.0 */
/* Configs of each scenario. Sets of replicas are bits; A is replica 0. For config k:
 *   MEMBERS(k)      voters and learners
 *   VOTERS(k)       voters
 *   LEADERS(k)      who may lead it: voters, of the home region where there is one
 *   COMMITS(k, s)   does the commit rule find held what the replicas s hold?
 *   RECOVERS(k, s)  does s meet every set of replicas that can commit?
 *   SAME_RULE(k, m) same voters and commit rule
 *   MAY_ASSIGN(k)   what the control quorum asks besides
 *   GIVES_UP(k)     may a lossy epoch have it? only to one replica
 *   FRESH(i)        may i lead, given who has? Of interchangeable replicas the first one leads first. */
#define PLAIN 1
#define RECONFIGURE 2
#define SHRINK 3
#define WITNESS 4
#define ASYNC 5
#define FORCED 6
#define LEARNERS 7
#define COPIES 8
#define ALONE 9
#define HOMES 10
#define REJOIN 11
#define STRANDED 12
#define GIVEN_UP 13

#define COUNT(s) (((s) & 1) + (((s) >> 1) & 1) + (((s) >> 2) & 1) + (((s) >> 3) & 1) + (((s) >> 4) & 1))
#define AMONG(s, voters, n) (COUNT((s) & (voters)) >= (n))
/* n - W + 1 of n */
#define READS(s, voters, n) AMONG(s, voters, ((n) - IS(small_quorum) > 1 -> (n) - IS(small_quorum) : 1))
#define ONE(k, n) ((k) == (n))

#if SCENARIO == PLAIN /* three regions, W of 3 */
#ifndef W
#define W 2
#endif
#define N 3
#define K 1
#define MEMBERS(k) 7
#define LEADERS(k) 7
#define COMMITS(k, s) AMONG(s, 7, W)
#define RECOVERS(k, s) READS(s, 7, 4 - W)
#define SAME_RULE(k, m) 1
#define FRESH(i) ((i) == 0 || HAS(seen, (i) - 1))

#elif SCENARIO == RECONFIGURE /* 0: ABC, 2 of 3; 1: BCD, 2 of 3 */
#define N 4
#define K 2
#define MEMBERS(k) ((k) == 0 -> 7 : 14)
#define LEADERS(k) MEMBERS(k)
#define COMMITS(k, s) AMONG(s, MEMBERS(k), 2)
#define RECOVERS(k, s) READS(s, MEMBERS(k), 2)
#define FRESH(i) ((i) != 2 || HAS(seen, 1))

#elif SCENARIO == SHRINK /* 0: ABC, 2 of 3; 1: C, 1 of 1; 2: ABC, 3 of 3 */
#define N 3
#define K 3
#define MEMBERS(k) ((k) == 1 -> 4 : 7)
#define LEADERS(k) MEMBERS(k)
#define COMMITS(k, s) ((k) == 1 -> AMONG(s, 4, 1) : ((k) == 0 -> AMONG(s, 7, 2) : AMONG(s, 7, 3)))
#define RECOVERS(k, s) ((k) == 1 -> READS(s, 4, 1) : ((k) == 0 -> READS(s, 7, 2) : READS(s, 7, 1)))
#define FRESH(i) ((i) != 1 || HAS(seen, 0))

#elif SCENARIO == WITNESS /* 0: AB, 2 of 2; 1: A; 2: B */
#define N 2
#define K 3
#define MEMBERS(k) ((k) == 0 -> 3 : (k))
#define LEADERS(k) MEMBERS(k)
#define COMMITS(k, s) ((k) == 0 -> AMONG(s, 3, 2) : HAS(s, (k) - 1))
#define RECOVERS(k, s) READS(s, MEMBERS(k), 1)
#define FRESH(i) ((i) == 0 || HAS(seen, 0))

#elif SCENARIO == ASYNC /* k: ABC, home is replica k */
#define N 3
#define K 3
#define MEMBERS(k) 7
#define LEADERS(k) BIT(k)
#define COMMITS(k, s) HAS(s, k)
#define RECOVERS(k, s) (IS(any_is_lossy) || HAS(s, k))
#define FRESH(i) ((i) != 2 || HAS(seen, 1))

#elif SCENARIO == ALONE /* 0: ABC, home is A; k: replica k - 1 alone, the others learn */
#define N 3
#define K 4
#define MEMBERS(k) 7
#define VOTERS(k) ((k) == 0 -> 7 : BIT((k) - 1))
#define LEADERS(k) ((k) == 0 -> 1 : BIT((k) - 1))
#define GIVES_UP(k) ((k) > 0)
#define COMMITS(k, s) HAS(s, ((k) == 0 -> 0 : (k) - 1))
#define RECOVERS(k, s) (IS(any_is_lossy) || COMMITS(k, s))
#define FRESH(i) ((i) != 2 || HAS(seen, 1))

#elif SCENARIO == HOMES /* k < 3: ABC, home is replica k; 3 + k: replica k alone, the others learn */
#define N 3
#define K 6
#define MEMBERS(k) 7
#define VOTERS(k) ((k) < 3 -> 7 : BIT((k) - 3))
#define LEADERS(k) BIT((k) % 3)
#define GIVES_UP(k) ((k) >= 3)
#define MAY_ASSIGN(k) ((k) < 3 || (k) == in_force)
#define COMMITS(k, s) HAS(s, (k) % 3)
#define RECOVERS(k, s) (IS(any_is_lossy) || COMMITS(k, s))
#define FRESH(i) ((i) != 2 || HAS(seen, 1))

#elif SCENARIO == REJOIN /* 0: ABC, home is A; 1: AB; 2: AB, C learns; 3: B alone, A and C learn. In this order: 0 0 1 2, then 3,
                         * lossy; each when the one before serves */
#define N 3
#define K 4
#define MEMBERS(k) ((k) == 1 -> 3 : 7)
#define VOTERS(k) ((k) == 0 -> 7 : ((k) == 3 -> 2 : 3))
#define LEADERS(k) ((k) == 3 -> 2 : 1)
#define SAME_RULE(k, m) (((k) == 2 -> 1 : (k)) == ((m) == 2 -> 1 : (m)))
#define SERVES(e) (initial[e] > 0 && !WAITING(e))
#define GIVES_UP(k) ((k) == 3 && newest == 4 && SERVES(4))
#define MAY_ASSIGN(k) ((newest == 0 || SERVES(newest)) && (newest < 2 -> (k) == 0 : (k) != 3 && (k) == newest - 1))
#define COMMITS(k, s) HAS(s, ((k) == 3 -> 1 : 0))
#define RECOVERS(k, s) (IS(any_is_lossy) || COMMITS(k, s))
#define FRESH(i) 1

#elif SCENARIO == GIVEN_UP /* 0: ABC, home is A; 1: B alone, A and C learn. 0 0, then 1, lossy; each when the one before serves */
#define N 3
#define K 2
#define MEMBERS(k) 7
#define VOTERS(k) ((k) == 1 -> 2 : 7)
#define LEADERS(k) ((k) == 1 -> 2 : 1)
#define GIVES_UP(k) ((k) == 1 && newest == 2 && initial[2] > 0)
#define MAY_ASSIGN(k) ((k) == 0 && newest < 2 && (newest == 0 || initial[newest] > 0))
#define COMMITS(k, s) HAS(s, k)
#define RECOVERS(k, s) (IS(any_is_lossy) || COMMITS(k, s))
#define FRESH(i) 1

#elif SCENARIO == STRANDED /* 0: ABC, 3 of 3; 1, 2, 3: D, E, both learn; 4: DBC, E learns; 5: AEC, D learns; 6: DEC. A and B go for good */
#define N 5
#define K 7
#define MEMBERS(k) ((k) == 0 -> 7 : ((k) == 1 -> 15 : ((k) == 2 -> 23 : ((k) == 4 -> 30 : ((k) == 5 -> 29 : ((k) == 6 -> 28 : 31))))))
#define VOTERS(k) ((k) < 4 -> 7 : ((k) == 4 -> 14 : ((k) == 5 -> 21 : 28)))
#define LEADERS(k) 4
#define COMMITS(k, s) AMONG(s, VOTERS(k), 3)
#define RECOVERS(k, s) AMONG(s, VOTERS(k), 1)
#define SAME_RULE(k, m) (VOTERS(k) == VOTERS(m))
/* A learner becomes a voter whatever it holds, and a node that is there a learner; but learners come first. */
#define LEARNS(k) (MEMBERS(k) & ~VOTERS(k))
#define MAY_ASSIGN(k) (gone == 0 -> newest == 0 && (k) == 0 : \
                       (VOTERS(k) & 24 & ~MEMBERS(config[newest])) == 0 && \
                       (WAITING(newest) -> (k) == (COMMITS(config[newest], ~gone) -> config[newest] : in_force) : \
                        (in_force == 6 -> (k) == 6 : \
                         ((k) < 4 && MEMBERS(k) != MEMBERS(in_force) && (MEMBERS(in_force) & ~MEMBERS(k)) == 0 && \
                          (LEARNS(in_force) == 0 || !IS(learners_late))) || \
                         ((k) >= 4 && (COMMITS(k, ~gone) || IS(learners_late)) && (LEARNS(in_force) & ~VOTERS(k)) == 0))))
#define FRESH(i) 1

#elif SCENARIO == FORCED /* 0: ABC, 2 of 3; k: replica k - 1 alone */
#define N 3
#define K 4
#define MEMBERS(k) ((k) == 0 -> 7 : BIT((k) - 1))
#define LEADERS(k) MEMBERS(k)
#define COMMITS(k, s) ((k) == 0 -> AMONG(s, 7, 2) : HAS(s, (k) - 1))
#define RECOVERS(k, s) ((k) == 0 -> READS(s, 7, 2) : HAS(s, (k) - 1))
#define FRESH(i) ((i) == 0 || HAS(seen, (i) - 1))

#elif SCENARIO == LEARNERS /* 0: ABC; 1: ABC with learner D in C's region; 2: ABD with learner C; all 2 of 3 */
#define N 4
#define K 3
#define MEMBERS(k) ((k) == 0 -> 7 : 15)
#define VOTERS(k) ((k) == 2 -> 11 : 7)
#define LEADERS(k) VOTERS(k)
/* The learner counts for its region if that is the bug: the better of the two, as in a region of two. */
#define THIRD(k, s, learns) (HAS(s, ((k) == 2 -> 3 : 2)) || ((learns) && (k) > 0 && HAS(s, ((k) == 2 -> 2 : 3))))
#define COMMITS(k, s) (HAS(s, 0) + HAS(s, 1) + THIRD(k, s, IS(learner_acks)) >= 2)
#define RECOVERS(k, s) (HAS(s, 0) + HAS(s, 1) + THIRD(k, s, IS(learner_recovers)) >= (IS(small_quorum) -> 1 : 2))
#define SAME_RULE(k, m) (((k) == 2) == ((m) == 2))
/* A voter is only made from a learner. */
#define MAY_ASSIGN(k) (((k) != 2 || in_force != 0) && ((k) != 0 || 1))
#define FRESH(i) ((i) != 1 || HAS(seen, 0))

#elif SCENARIO == COPIES /* 0: region ABC and region D, 2 of 2; 1: region ABC alone */
#define N 4
#define K 2
#define MEMBERS(k) ((k) == 0 -> 15 : 7)
#define LEADERS(k) MEMBERS(k)
#define COMMITS(k, s) (AMONG(s, 7, 2) && ((k) == 1 || HAS(s, 3)))
#define RECOVERS(k, s) (AMONG(s, 7, 2) || ((k) == 0 && HAS(s, 3)))
#define FRESH(i) ((i) == 0 || (i) == 3 || HAS(seen, (i) - 1))
#endif

#ifndef VOTERS
#define VOTERS(k) MEMBERS(k)
#endif
#ifndef SAME_RULE
#define SAME_RULE(k, m) ((k) == (m))
#endif
#ifndef GIVES_UP
#define GIVES_UP(k) 1
#endif
#ifndef MAY_ASSIGN
#define MAY_ASSIGN(k) 1
#endif
