/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a group of the new protocol (KIP-848). Each commits ever higher offsets of what it is
 * given, and gives up what it is told to before it says so. Whatever happens to nodes and members:
 *
 *   G5  who gets a partition is told at least the offset that had been acknowledged, or one of a
 *       commit that was never answered; acknowledged offsets only rise
 *   G6  a partition that goes from one member to another goes to a higher epoch: in one epoch it is
 *       told to one member, and committed by one
 *   G7  no partition is owned by two members that one node has answered within their session
 *   G8  once everything is healed, all members work, and have all partitions between them */
#pragma once

#include "tests/sim/sim.h"

struct sim_members;

struct sim_members *sim_members_new(struct sim *sim, uint32_t members);
void sim_members_free(struct sim_members *members);
/* From now on no member goes away. */
void sim_members_heal(struct sim_members *members);
/* G8, since sim_members_heal. */
bool sim_members_settled(const struct sim_members *members);
void sim_members_describe(const struct sim_members *members, char out[160]);
