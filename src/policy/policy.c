/* SPDX-License-Identifier: Apache-2.0 */
/* What policies mean: defaults, matching, and the two questions asked before one takes effect. */
#include "policy/policy.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

struct policy policy_default(void)
{
    return (struct policy){
        .name = "default",
        .mode = POLICY_SYNC,
        .ack = 2,
        .copies = 1,
        .on_region_loss = POLICY_LOSS_REFUSE,
        .region_loss_after_ms = 10000,
        .on_breach = POLICY_BREACH_THROTTLE,
        .rpo_survive = 1,
        .failover = POLICY_FAILOVER_MANUAL,
        .failover_after_ms = 10000,
        .failover_wait_ms = 2000,
        .partitions = 1,
        .retention_ms = 7LL * 24 * 3600 * 1000,
        .retention_bytes = -1,
        .max_message_bytes = 1024 * 1024,
    };
}

void policy_set_fini(struct policy_set *set)
{
    free(set->policies);
    free(set->problems);
    *set = (struct policy_set){0};
}

/* ---- matching ------------------------------------------------------------------------------ */

static bool is_glob(const char *pattern)
{
    return strchr(pattern, '*') != NULL;
}

/* '*' stands for any run of characters, also none. Linear: only the last star is tried again. */
static bool glob_match(const char *pattern, const char *name)
{
    const char *star = NULL;
    const char *resume = NULL;

    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

const struct policy *policy_match(const struct policy *policies, size_t count, const char *topic)
{
    const struct policy *best = NULL;

    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < policies[i].pattern_count; k++) {
            const char *pattern = policies[i].patterns[k];
            if (!is_glob(pattern)) {
                if (strcmp(pattern, topic) == 0) {
                    return &policies[i];
                }
            } else if (glob_match(pattern, topic) &&
                       (best == NULL || policies[i].priority > best->priority)) {
                best = &policies[i];
            }
        }
    }
    return best;
}

/* Is there a name that both match? Walks both patterns at once; patterns are short, and the table
 * keeps it quadratic. */
static bool globs_overlap(const char *a, const char *b)
{
    bool reach[POLICY_PATTERN_MAX + 1][POLICY_PATTERN_MAX + 1] = {{false}};
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);

    /* reach[i][k]: some text is matched by the first i characters of a and the first k of b. */
    reach[0][0] = true;
    for (size_t i = 0; i <= len_a; i++) {
        for (size_t k = 0; k <= len_b; k++) {
            bool star_a = i > 0 && a[i - 1] == '*';
            bool star_b = k > 0 && b[k - 1] == '*';
            if (i > 0 && k > 0) {
                reach[i][k] = reach[i][k] || (star_a && star_b && reach[i - 1][k - 1]) ||
                              (!star_a && !star_b && a[i - 1] == b[k - 1] && reach[i - 1][k - 1]);
            }
            if (star_a) { /* ends, or takes in the last part of b */
                reach[i][k] = reach[i][k] || reach[i - 1][k] || (k > 0 && reach[i][k - 1]);
            }
            if (star_b) {
                reach[i][k] = reach[i][k] || reach[i][k - 1] || (i > 0 && reach[i - 1][k]);
            }
        }
    }
    return reach[len_a][len_b];
}

static void set_problem(struct policy_set *set, const char *format, ...) TERN_PRINTF(2, 3);

static void set_problem(struct policy_set *set, const char *format, ...)
{
    va_list args;

    if (set->problem_count >= POLICY_PROBLEMS_MAX) {
        return;
    }
    set->problems = mem_grow(set->problems, set->problem_count + 1, sizeof *set->problems);
    struct policy_problem *problem = &set->problems[set->problem_count++];
    memset(problem, 0, sizeof *problem);
    va_start(args, format);
    (void)vsnprintf(problem->message, sizeof problem->message, format, args);
    va_end(args);
}

static void check_pair(struct policy_set *set, const struct policy *a, const struct policy *b)
{
    if (strcmp(a->name, b->name) == 0) {
        set_problem(set, "two policies are called %s", a->name);
    }
    for (uint32_t i = 0; i < a->pattern_count; i++) {
        for (uint32_t k = 0; k < b->pattern_count; k++) {
            const char *x = a->patterns[i];
            const char *y = b->patterns[k];
            if (!is_glob(x) && !is_glob(y)) {
                if (strcmp(x, y) == 0) {
                    set_problem(set, "topic %s is claimed by policy %s and by policy %s", x,
                                a->name, b->name);
                }
            } else if (is_glob(x) && is_glob(y) && a->priority == b->priority &&
                       globs_overlap(x, y)) {
                set_problem(set,
                            "%.60s of policy %s and %.60s of policy %s overlap at priority %d: "
                            "give one a higher priority",
                            x, a->name, y, b->name, a->priority);
            }
        }
    }
}

void policy_set_check(struct policy_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = i + 1; k < set->count; k++) {
            check_pair(set, &set->policies[i], &set->policies[k]);
        }
    }
}

/* ---- does it make sense? ------------------------------------------------------------------- */

static bool incoherent(char why[256], const struct policy *policy, const char *sentence)
{
    (void)snprintf(why, 256, "policy %s: %s", policy->name, sentence);
    return false;
}

static bool name_good(const char *name, const char *also)
{
    size_t at = 0;

    for (; name[at] != '\0'; at++) {
        bool letter = (name[at] >= 'a' && name[at] <= 'z') ||
                      (name[at] >= 'A' && name[at] <= 'Z') || (name[at] >= '0' && name[at] <= '9');
        if (!letter && strchr(also, name[at]) == NULL) {
            return false;
        }
    }
    return at > 0;
}

static bool names_good(const struct policy *p)
{
    bool good = name_good(p->name, "._-");

    for (uint32_t i = 0; i < p->pattern_count; i++) {
        good = good && name_good(p->patterns[i], "._-*");
    }
    for (uint32_t i = 0; i < p->region_count; i++) {
        good = good && name_good(p->regions[i], "._-");
    }
    for (uint32_t i = 0; i < p->prefer_count; i++) {
        good = good && name_good(p->prefer[i], "._-");
    }
    return good && (p->home[0] == '\0' || name_good(p->home, "._-"));
}

bool policy_coherent(const struct policy *p, char why[256])
{
    if (!names_good(p)) {
        return incoherent(why, p, "a name may have letters, digits, . _ -");
    }
    if (p->mode == POLICY_SYNC && (p->ack < 2 || p->ack > 3)) {
        return incoherent(why, p, "sync needs ack 2 or 3");
    }
    if (p->mode == POLICY_ASYNC && (p->ack != 1 || p->home[0] == '\0' || p->critical)) {
        return incoherent(why, p, "async has one home, and is never critical");
    }
    if (p->copies < 1 || p->copies > 3 || p->partitions > 10000 || p->rpo_survive < 1 ||
        p->rpo_survive > 2 || p->max_message_bytes == 0 || p->max_message_bytes > 64u << 20) {
        return incoherent(why, p, "a number is out of its range");
    }
    return true;
}

/* ---- can it be done? ----------------------------------------------------------------------- */

static int64_t find_region(const struct policy *policy, const char (*regions)[WIRE_NAME_MAX],
                           size_t count, const char *name, char why[256])
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(regions[i], name) == 0) {
            return (int64_t)i;
        }
    }
    (void)snprintf(why, 256, "policy %s names region %s, which the cluster does not have",
                   policy->name, name);
    return -1;
}

static bool names_all(const struct policy *policy, const char (*regions)[WIRE_NAME_MAX],
                      size_t count, const char (*names)[WIRE_NAME_MAX], size_t name_count,
                      char why[256])
{
    for (size_t i = 0; i < name_count; i++) {
        if (find_region(policy, regions, count, names[i], why) < 0) {
            return false;
        }
    }
    return true;
}

static bool is_wanted(const struct policy *policy, const char *region)
{
    for (uint32_t i = 0; i < policy->region_count; i++) {
        if (strcmp(policy->regions[i], region) == 0) {
            return true;
        }
    }
    return policy->region_count == 0;
}

int policy_satisfiable(const struct policy *policy, const char (*regions)[WIRE_NAME_MAX],
                       const uint32_t *nodes_per_region, size_t region_count, char why[256])
{
    uint32_t usable = 0;

    if (!names_all(policy, regions, region_count, policy->regions, policy->region_count, why) ||
        !names_all(policy, regions, region_count, policy->prefer, policy->prefer_count, why)) {
        return TERN_EPOLICY;
    }
    for (size_t i = 0; i < region_count; i++) {
        if (!is_wanted(policy, regions[i])) {
            continue;
        }
        bool short_of_nodes = nodes_per_region[i] < policy->copies;
        bool named = policy->region_count > 0;
        if (short_of_nodes && (named || nodes_per_region[i] > 0)) {
            (void)snprintf(why, 256, "policy %s wants %u copies in region %s, which has %u nodes",
                           policy->name, policy->copies, regions[i], nodes_per_region[i]);
            return TERN_EPOLICY;
        }
        usable += !short_of_nodes;
    }
    if (policy->mode == POLICY_ASYNC) {
        int64_t home = find_region(policy, regions, region_count, policy->home, why);
        if (home < 0) {
            return TERN_EPOLICY;
        }
        if (nodes_per_region[home] < policy->copies || !is_wanted(policy, policy->home)) {
            (void)snprintf(why, 256,
                           "policy %s has its home in region %s, which has no node for it",
                           policy->name, policy->home);
            return TERN_EPOLICY;
        }
        return 0;
    }
    if (usable < policy->ack) {
        (void)snprintf(why, 256, "policy %s wants %u regions to acknowledge, %u have nodes for it",
                       policy->name, policy->ack, usable);
        return TERN_EPOLICY;
    }
    return 0;
}

/* ---- would it promise less? ---------------------------------------------------------------- */

static bool weaker(char why[256], const char *sentence)
{
    (void)snprintf(why, 256, "%s", sentence);
    return true;
}

/* Fewer data regions to lose before the last copy is gone? 0 stands for all. */
static bool fewer_regions(const struct policy *from, const struct policy *to)
{
    if (to->region_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < from->region_count; i++) {
        if (!is_wanted(to, from->regions[i])) {
            return true;
        }
    }
    return from->region_count == 0;
}

static bool bound_grows(uint64_t from, uint64_t to)
{
    return from != 0 && (to == 0 || to > from);
}

static bool retention_shrinks(int64_t from, int64_t to)
{
    return to != -1 && (from == -1 || to < from);
}

static bool weakens_async(const struct policy *from, const struct policy *to, char why[256])
{
    if (bound_grows(from->rpo_time_ms, to->rpo_time_ms) ||
        bound_grows(from->rpo_bytes, to->rpo_bytes)) {
        return weaker(why, "more could be lost with the home region (rpo)");
    }
    if (to->on_breach > from->on_breach && to->on_breach == POLICY_BREACH_REPORT) {
        return weaker(why, "a passed rpo would be reported, no longer prevented");
    }
    if (to->rpo_survive < from->rpo_survive) {
        return weaker(why, "the rpo would hold for the loss of fewer regions");
    }
    if (to->failover > from->failover) {
        return weaker(why, "acknowledged records could be given up without an operator");
    }
    return false;
}

bool policy_weakens(const struct policy *from, const struct policy *to, char why[256])
{
    if (from->critical && !to->critical) {
        return weaker(why, "it would no longer be critical");
    }
    if (from->mode == POLICY_SYNC && to->mode == POLICY_ASYNC) {
        return weaker(why, "an acknowledgement would no longer wait for another region");
    }
    if (from->mode == POLICY_SYNC && to->ack < from->ack) {
        return weaker(why, "fewer regions would acknowledge");
    }
    if (from->mode == POLICY_SYNC && from->ack > 2 && to->ack > 2 &&
        from->on_region_loss == POLICY_LOSS_REFUSE && to->on_region_loss == POLICY_LOSS_DEGRADE) {
        return weaker(why, "after the loss of a region fewer would acknowledge");
    }
    if (to->copies < from->copies) {
        return weaker(why, "a region would hold fewer copies");
    }
    if (fewer_regions(from, to)) {
        return weaker(why, "fewer regions would hold the records");
    }
    if (retention_shrinks(from->retention_ms, to->retention_ms) ||
        retention_shrinks(from->retention_bytes, to->retention_bytes)) {
        return weaker(why, "records would be kept for a shorter time");
    }
    return from->mode == POLICY_ASYNC && to->mode == POLICY_ASYNC && weakens_async(from, to, why);
}
