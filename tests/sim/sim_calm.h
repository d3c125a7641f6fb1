/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing fails: 1 % of the packets get lost, half of the processor time is stolen, 1 to 19 ms at a time and
 * now and then 50 to 200 ms, and the regions are as far apart as those of `us`. Nobody may be taken for
 * dead: no partition gets another epoch, the quorum no other leader (F1). */
#pragma once

#include "tests/sim/sim.h"

struct sim_calm;

/* All is as it was laid until now. From here on packets get lost, and time is stolen. */
struct sim_calm *sim_calm_begin(struct sim *sim);
/* Runs for so long, or until somebody was taken for dead: then sim_fail has been called. */
void sim_calm_run(struct sim *sim, uint64_t us);
/* All is well again. */
void sim_calm_end(struct sim_calm *calm);
