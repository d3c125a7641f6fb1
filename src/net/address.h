/* SPDX-License-Identifier: Apache-2.0 */
/* "host:port", "1.2.3.4:port", "[v6]:port"; an empty host means every interface. */
#pragma once

#include <sys/socket.h>

#include "base/check.h"
#include "base/wire.h"

struct address {
    char host[WIRE_ADDRESS_MAX];
    char port[8];
};

bool address_parse(const char *text, struct address *out);
/* Without asking a name server; false if the host is a name. */
bool address_numeric(const struct address *address, struct sockaddr_storage *out);
/* May ask a name server, blocking: at most `max` addresses, in its order. 0 or a negative TERN_E;
 * why gets a sentence. */
int address_resolve(const char *text, bool passive, struct sockaddr_storage *out, size_t max,
                    size_t *out_count, char why[256]) TERN_MUST_USE;
socklen_t address_size(const struct sockaddr_storage *address);
void address_text(const struct sockaddr *address, char out[64]);
