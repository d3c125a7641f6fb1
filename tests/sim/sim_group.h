/* SPDX-License-Identifier: Apache-2.0 */
/* Members of one consumer group, and some who only look at what it has committed.
 *
 * Each member commits ever higher offsets of the partitions that the leader gave it, beginning with
 * what it was told is committed. Whatever happens to nodes and members:
 *
 *   G1  who asks for an offset is told at least what had been acknowledged before it asked; or a
 *       commit that was never answered, and that the network has brought late, as Kafka has it, too
 *   G2  nobody is told an offset that was never sent
 *   G3  acknowledged offsets of a partition only rise, and so do the generations that commit them;
 *       in one generation one member alone commits to it
 *   G4  once everything is healed, all members are in one generation and commit */
#pragma once

#include "tests/sim/sim.h"

struct sim_groups;

struct sim_groups *sim_groups_new(struct sim *sim, uint32_t members);
void sim_groups_free(struct sim_groups *groups);
/* From now on no member goes away. */
void sim_groups_heal(struct sim_groups *groups);
/* G4, since sim_groups_heal. */
bool sim_groups_settled(const struct sim_groups *groups);
void sim_groups_describe(const struct sim_groups *groups, char out[160]);
