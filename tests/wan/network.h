/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes, a link for each ordered pair of them, and the commands that change them. No I/O. */
#pragma once

#include <stdio.h>

#include "link.h"

enum {
    NETWORK_NODES_MAX = 8,
    NETWORK_NAME_MAX = 32,
    NETWORK_ADDRESSES_MAX = 4,
    NETWORK_LATE_BUCKETS = 40,
};

struct network_node {
    char name[NETWORK_NAME_MAX];
    uint32_t addresses[NETWORK_ADDRESSES_MAX]; /* host byte order */
    uint32_t address_count;
    uint64_t strays; /* packets that were for nobody here, or no IPv4 */
    uint64_t missed; /* the device had no room before we read it; it says so itself */
};

struct network {
    struct network_node nodes[NETWORK_NODES_MAX];
    uint32_t count;
    struct link links[NETWORK_NODES_MAX][NETWORK_NODES_MAX]; /* from, to */
    char profile[64];
    uint64_t seed;
    uint64_t counted_since_ns;
    uint64_t late[NETWORK_LATE_BUCKETS]; /* frames delivered this late: under 2^(i/2) us */
    uint64_t cpu_us;                     /* of the emulator since then; filled before a command */
};

/* After the nodes are filled in: every link gets a seed of its own. */
void network_start(struct network *network, uint64_t now_ns);
void network_fini(struct network *network);
/* The node of this name, or number from 1; -1 if none. */
int network_find(const struct network *network, const char *name);
/* The node with this address; -1 if none. */
int network_route(const struct network *network, uint32_t address);
void network_note_late(struct network *network, uint64_t late_ns);
uint64_t network_next_ns(const struct network *network);

/* Sets delays and loss of `us`, `eu`, `wide`, `metro` (these need three nodes) or `none` on all
 * links; cuts stay. False and why if there is no such profile. */
bool network_profile(struct network *network, const char *name, const char *loss, char why[160]);

/* Carries out one line of the control protocol, which network_help describes, and writes the
 * answer: any lines, then `ok` or `error: why`. `line` is changed. */
void network_command(struct network *network, char *line, uint64_t now_ns, FILE *out);
void network_help(FILE *out);

/* network_show.c */
void network_show(const struct network *network, uint64_t now_ns, FILE *out);
void network_show_json(const struct network *network, uint64_t now_ns, FILE *out);
