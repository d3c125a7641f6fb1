/* SPDX-License-Identifier: Apache-2.0 */
/* A run that somebody wrote down: commands at virtual times, and what has to be told when.
 *
 *   topics NAME...            besides payments: strict homely clicks
 *   nodes N                   3 to 9, instead of 3: node 4 is in the region of node 1, and so on
 *   partitions N              of each
 *   batch T                   seconds from batch to batch of a producer, instead of 0.02
 *   tellers N T               so many transactional producers, which wait for T seconds before each end
 *   at T COMMAND              seconds since the clients began
 *   when FROM TEXT: +T COMMAND   T seconds after the first line that holds TEXT, from FROM on; a star
 *                             in TEXT stands for anything
 *     kill NODE | power NODE | start NODE | pause NODE | resume NODE
 *     cut A B | cut-one-way A B | isolate A | heal | join A B | join-one-way A B
 *     reset A B                 their connections break: what is under way is lost
 *     delay A B MS | narrow A B MS      one direction: how long it takes, and so much more per KiB
 *     copy NODE | put-back NODE | empty NODE       its disk; the last two while it is down
 *     room NODE KIB | room NODE all | slow NODE MS
 *     create NAME PARTITIONS    a topic that nobody writes to
 *     ask NAME NODE COUNT       topics asked for at that node, NAME-0 and on: one that is made stays
 *     control NODE              the controller hands over to it
 *     call NAME NODE            from here on NODE has this name, too
 *     led NAME                  every partition of it has a leader that serves
 *   expect FROM TO TEXT       a line that holds TEXT is told in that time: of the story or by a node
 *   never FROM TO TEXT        none is
 *   end T                     then everything heals, and comes to a good end
 *
 * NODE: a number, or leader:TOPIC-PARTITION, by what the newest control state says then; controller;
 * teller, whose line the last `when` has waited for; rest, the first without a name; a name. */
#pragma once

#include "tests/sim/sim.h"

struct sim_story;

/* NULL: it can't be read; the reason is on stderr. */
struct sim_story *sim_story_read(const char *path);
void sim_story_free(struct sim_story *story);
const struct sim_shape *sim_story_shape(const struct sim_story *story);
/* The clients have begun. */
void sim_story_begin(struct sim *sim, struct sim_story *story);
uint64_t sim_story_end_us(const struct sim_story *story);
void sim_story_heal(struct sim *sim);
/* Was everything told that was expected? */
void sim_story_check(struct sim *sim);
/* A line was told. */
void sim_story_hears(struct sim *sim, const char *line);
