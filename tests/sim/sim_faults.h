/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong. The seed chooses which kinds of faults exist in a run and how often they come;
 * some runs have none of a kind, so that the others get further. */
#pragma once

#include "tests/sim/sim.h"

void sim_faults_begin(struct sim *sim);
/* Everything is repaired, now: what is down starts, what is cut heals. */
void sim_faults_heal(struct sim *sim);
/* No disk forgets from now on. */
void sim_faults_spare_disks(struct sim *sim);
void sim_faults_free(struct sim *sim);
