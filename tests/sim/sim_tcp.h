/* SPDX-License-Identifier: Apache-2.0 */
/* Between sim_net.c and sim_tcp.c: a node's half of the clients' connections. */
#pragma once

#include "base/wire.h"

struct sim_net;

void sim_tcp_send(struct wire *wire, struct wire_client *client, const struct chunk *chunks,
                  size_t count);
void sim_tcp_close(struct wire *wire, struct wire_client *client, const char *reason);
void sim_tcp_pause(struct wire *wire, struct wire_client *client, bool paused);
void sim_tcp_set_data(struct wire *wire, struct wire_client *client, void *data);
void *sim_tcp_data(struct wire *wire, struct wire_client *client);
size_t sim_tcp_queued_bytes(struct wire *wire, struct wire_client *client);

void sim_tcp_node_down(struct sim_net *net, uint32_t node, bool silent);
void sim_tcp_fini(struct sim_net *net);
