/* SPDX-License-Identifier: Apache-2.0 */
/* One node on a libuv loop, a real disk and the network, from start to a clean stop. */
#pragma once

#include "daemon/config.h"

/* Returns the exit status: 0 after SIGTERM or SIGINT, 1 when it can't start. A node that must not
 * go on (failed fsync, damage) ends the process at once, from inside. */
int run(const struct config *config);
