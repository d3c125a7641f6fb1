/* SPDX-License-Identifier: Apache-2.0 */
/* A control state with three nodes and what the controller sees of them, for the tests of what it
 * proposes: one round after the other, everything that is proposed is applied. */
#pragma once

#include "control/decide.h"
#include "tests/unit/control_fixture.h"

#define D 500u

#define ALL (NODE_BIT(1) | NODE_BIT(2) | NODE_BIT(3))

struct scene {
    struct control_fixture f;
    struct decide_view view;
    struct decide_memory *memory;
    struct command_key key;
    struct decide_report reports[8];
    char said[512]; /* names of the commands of the last round */
};

int scene_setup(void **state);
int scene_teardown(void **state);
#define SCENE(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

void pass(struct scene *s, uint64_t millis);
/* The node falls silent now; it is unreachable once D has passed. */
void silence(struct scene *s, uint32_t node, uint64_t silent_ms);
void comes_back(struct scene *s, uint32_t node);
void report(struct scene *s, enum decide_report_kind kind, const struct control_topic *t,
            node_set nodes, uint64_t millis);
/* One round; everything that it proposes is applied. Returns how much that was. */
size_t round_max(struct scene *s, size_t max);
/* The names of the commands that were applied. */
const char *round_of(struct scene *s);

struct control_topic *payments(struct scene *s);
struct control_topic *clicks(struct scene *s);
struct control_topic *strict(struct scene *s);
