/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster that was founded, for each test of commands on the control state. */
#pragma once

#include "tests/unit/control_fixture.h"

static inline int cluster_setup(void **state)
{
    struct control_fixture *f = mem_new(sizeof *f);

    control_fixture_init(f);
    control_fixture_found(f);
    *state = f;
    return 0;
}

static inline int cluster_teardown(void **state)
{
    control_fixture_fini(*state);
    free(*state);
    return 0;
}

#define WITH_CLUSTER(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
