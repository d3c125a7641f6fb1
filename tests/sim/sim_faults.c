/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_faults.h"

void sim_faults_begin(struct sim *sim)
{
    (void)sim;
}

void sim_faults_heal(struct sim *sim)
{
    (void)sim;
}

void sim_faults_free(struct sim *sim)
{
    (void)sim;
}
