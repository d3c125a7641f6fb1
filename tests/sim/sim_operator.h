/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody who changes the cluster while it runs: topics come and go, a policy moves its leaders.
 *
 *   C10  a topic whose creation was acknowledged is there at the end, one whose deletion was is not */
#pragma once

#include "tests/sim/sim_client.h"

struct sim_operator;

struct sim_operator *sim_operator_new(struct sim *sim, uint64_t pace_us);
void sim_operator_free(struct sim_operator *op);
/* Nothing new from now on. */
void sim_operator_stop(struct sim_operator *op);
/* C10, by the newest state of any node; once everything is healed. */
void sim_operator_check(struct sim_operator *op);
