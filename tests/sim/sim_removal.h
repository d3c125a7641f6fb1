/* SPDX-License-Identifier: Apache-2.0 */
/* A node that an operator removes for good (`tern node remove`), where its region has another one.
 *
 * It dies, and the command is given, while all others are well, until it is taken: it is refused
 * while a partition could not be recovered without it. Then its machine stays away, or comes back with its old disk, which must
 * stay outside, or with an empty one, which must be let in. */
#pragma once

#include "tests/sim/sim.h"

/* NULL: in this run every node stays. */
struct sim_removal *sim_removal_new(struct sim *sim);
void sim_removal_free(struct sim_removal *removal);
/* What was not taken by now never is: the node comes back. */
void sim_removal_heal(struct sim_removal *removal);
/* C13: no partition counts on the removed node any more, as it was; and it is where it should be.
 * False: not yet, `why` (or NULL) says what is missing. */
bool sim_removal_settled(const struct sim_removal *removal, char why[160]);
/* A disk is gone for good. */
bool sim_removal_took_a_disk(const struct sim_removal *removal);
