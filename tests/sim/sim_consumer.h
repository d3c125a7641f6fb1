/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer of all partitions: from one node, be it leader or not (KIP-392), or from each
 * partition's leader. */
#pragma once

#include "tests/sim/sim_client.h"

struct sim_consumer;

/* node 0: from the leaders. `number` is the checker's reader. */
struct sim_consumer *sim_consumer_new(struct sim *sim, uint32_t number, uint32_t place,
                                      uint32_t node);
void sim_consumer_free(struct sim_consumer *consumer);
/* It has read everything that was acknowledged. */
bool sim_consumer_at_end(const struct sim_consumer *consumer);
void sim_consumer_describe(const struct sim_consumer *consumer, char out[160]);
