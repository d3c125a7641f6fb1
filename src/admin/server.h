/* SPDX-License-Identifier: Apache-2.0 */
/* Answers the admin port of one node: reads it, and proposes changes on behalf of operators. */
#pragma once

#include "agent/node.h"
#include "net/net.h"

struct admin;

struct admin_options {
    struct node *node;
    struct clock *clock;
    /* NULL in tests; else answers go through net_call_reply and metrics include its counters. */
    struct net *net;
    /* Instead of net_call_reply; for tests. */
    void (*reply)(struct net_call *call, int error, struct slice body);
};

/* Takes over the net's admin handler until admin_free. Node and net must outlive it. */
struct admin *admin_new(const struct admin_options *options);
/* Changes under way are answered with ECANCELED; their outcome is unknown. */
void admin_free(struct admin *admin);
/* One call, as the net hands it over (and tests). */
void admin_call(struct admin *admin, struct net_call *call, const char *principal, uint16_t type,
                struct slice body);
