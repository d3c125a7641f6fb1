/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager how the process is (sd_notify(3)): one datagram to the socket that
 * NOTIFY_SOCKET names. Without that variable nobody listens, and nothing is done. */
#pragma once

#include <stdbool.h>

/* "READY=1", "STOPPING=1", ...; several lines are allowed. False: nobody was told. */
bool notify_manager(const char *state);
