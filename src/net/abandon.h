/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Shuts down every socket of this process, so that the other ends notice: before an end that may not
 * come (a thread in a system call that does not return keeps the process, and its sockets, alive). */
void net_abandon(void);
