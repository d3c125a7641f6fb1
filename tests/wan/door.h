/* SPDX-License-Identifier: Apache-2.0 */
/* The TUN device of one node, in its network namespace. It goes when its descriptor is closed, so
 * also when the emulator dies: then the namespace has no way out. */
#pragma once

#include <stdint.h>

#include "base/check.h"

enum { DOOR_QUEUE = 10000 };

struct door {
    int fd;
    int counters_fd; /* /proc/net/dev of the namespace */
    char device[16];
    uint64_t missed_before; /* when it was opened or last reset */
};

/* Opens (creates) `device` in the namespace at path `netns`, up, MTU 1500, with these addresses
 * (host byte order) of /24 nets; stays in the caller's own namespace. 0, or -1 and why. */
int door_open(struct door *door, const char *netns, const char *device, const uint32_t *addresses,
              uint32_t address_count, char why[160]) TERN_MUST_USE;
void door_close(struct door *door);
/* Packets that the kernel threw away because we were too slow to read them. */
uint64_t door_missed(const struct door *door);

/* Opens the namespace, runs `act` in it, comes back. 0, or -1 and why. */
int door_inside(const char *netns, int (*act)(void *arg, char why[160]), void *arg, char why[160]);
