/* SPDX-License-Identifier: Apache-2.0 */
/* The emulator: reads each node's device, holds packets as their link says, writes them to the
 * other device. One thread, until SIGTERM or SIGINT. */
#pragma once

#include "door.h"
#include "network.h"

struct emulator_options {
    const char *socket_path;
    bool realtime; /* SCHED_FIFO: a network has nobody to share its processor with */
};

/* network_start was called and doors[i] is open for each node. 0, or 1 after a line on stderr. */
int emulator_run(struct network *network, struct door *doors,
                 const struct emulator_options *options);
