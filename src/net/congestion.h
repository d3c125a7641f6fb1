/* SPDX-License-Identifier: Apache-2.0 */
/* Do packets of a connection of the mesh get lost, and which congestion control does it run under?
 *
 * CUBIC takes every lost packet for a queue that ran over: at 1 % of loss over 12 ms its window falls
 * below what 1,000 records a second need, and acks wait in the sender. BBR does not mind loss, but
 * closes its window for 200 ms every 10 s to measure the way anew (PROBE_RTT), which 1 to 2 % of the
 * acks then wait for. Hence CUBIC while next to nothing is lost, and BBR where something is; rows ack-us
 * and ack-us-loss of docs/BENCHMARKS.md show both. Where the kernel has only one of them (or does not
 * allow it), a connection stays under what it has.
 *
 * The decision is a pure function of two counters; the rest is three system calls. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

enum congestion_kind { CONGESTION_CUBIC, CONGESTION_BBR };

#define CONGESTION_LOOK_MS     1000
#define CONGESTION_LOST_MIN    4    /* resent packets that are more than chance */
#define CONGESTION_LOSSY       3    /* of 1,000 packets: it is lossy */
#define CONGESTION_CLEAN       1    /* of 1,000 packets: less is clean */
#define CONGESTION_JUDGED      1000 /* packets after which a clean way can be told */
#define CONGESTION_CLEAN_LOOKS 30   /* so many of these one after the other: it is not any more */

/* Zeroed for a connection that has lost nothing yet. */
struct congestion {
    bool lossy;
    uint32_t sent; /* when the judgement under way began */
    uint32_t resent;
    uint32_t clean; /* judgements one after the other */
};

/* Is it lossy? `sent` and `resent`: packets with data since it opened, the resent ones among them; both
 * may wrap. To be asked every CONGESTION_LOOK_MS. */
bool congestion_look(struct congestion *c, uint32_t sent, uint32_t resent);
enum congestion_kind congestion_for(bool lossy); /* what it should run under */

const char *congestion_name(enum congestion_kind kind); /* as the kernel spells it */
/* False: the kernel does not have it, or not for us. */
bool congestion_set(int fd, enum congestion_kind kind) TERN_MUST_USE;
/* The counters of a socket; false: it has none. */
bool congestion_read(int fd, uint32_t *out_sent, uint32_t *out_resent) TERN_MUST_USE;
