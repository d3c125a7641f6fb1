/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer of all partitions: from the replica in its own region, be it leader or not; from the one
 * that the leader names for its rack (KIP-392; every second one); or from each partition's leader. */
#pragma once

#include "tests/sim/sim_client.h"

struct sim_consumer;

/* `number` is the checker's reader. */
struct sim_consumer *sim_consumer_new(struct sim *sim, uint32_t number, uint32_t place,
                                      bool from_leaders);
void sim_consumer_free(struct sim_consumer *consumer);
/* It has read everything that was acknowledged. */
bool sim_consumer_at_end(const struct sim_consumer *consumer);
void sim_consumer_describe(const struct sim_consumer *consumer, char out[160]);
