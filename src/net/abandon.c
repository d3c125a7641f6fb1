/* SPDX-License-Identifier: Apache-2.0 */
#include "net/abandon.h"

#include <sys/socket.h>
#include <unistd.h>

#define FILES_MAX 65536

void net_abandon(void)
{
    long limit = sysconf(_SC_OPEN_MAX);

    for (int fd = 3; fd < FILES_MAX && fd < limit; fd++) {
        (void)shutdown(fd, SHUT_RDWR); /* what is no socket says so */
    }
}
