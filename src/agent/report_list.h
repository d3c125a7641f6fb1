/* SPDX-License-Identifier: Apache-2.0 */
/* Reports that wait for the controller, or for its next round of decisions: the newest of each subject
 * (kind, partition, who reports, about which nodes), in the order in which the subjects came. */
#pragma once

#include "control/decide.h"

#define REPORTS_MAX 4096 /* more are dropped; they come again as long as their reason lasts */

struct report_list {
    struct decide_report *items;
    size_t count;
    size_t cap;
    uint16_t *places; /* by hash of the subject: place in items + 1, 0: none; NULL: nothing yet */
};

void report_list_put(struct report_list *list, const struct decide_report *report);
void report_list_clear(struct report_list *list);
void report_list_fini(struct report_list *list);
