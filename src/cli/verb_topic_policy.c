/* SPDX-License-Identifier: Apache-2.0 */
/* tern topic set-policy: what the promise is and would be, what moves, and then the change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print.h"
#include "policy/policy.h"

/* ---- what the promise is ----------------------------------------------------------------------- */

static const struct tern_policy *policy_named(const struct tern_policies *policies,
                                              const char *name)
{
    for (size_t n = 0; n < policies->count; n++) {
        if (strcmp(policies->policies[n].name, name) == 0) {
            return &policies->policies[n];
        }
    }
    return NULL;
}

static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; *at != '\0';) {
        size_t here = strcspn(at, "\n");
        if (here == len && memcmp(at, line, len) == 0) {
            return true;
        }
        at += here + (at[here] == '\n');
    }
    return false;
}

/* Lines of `text` that `other` lacks. A policy has each key once, so that their order says nothing. */
static void print_lines(char sign, const char *text, const char *other)
{
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        bool named = strncmp(at, "policy:", 7) == 0 || strncmp(at, "topics:", 7) == 0;
        if (len > 0 && !named && !has_line(other, at, len)) {
            (void)printf("  %c %.*s\n", sign, (int)len, at);
        }
        at += len + (at[len] == '\n');
    }
}

/* ---- what moves -------------------------------------------------------------------------------- */

/* The region where the policy wants all leaders; "": it leaves that open. */
static const char *wanted_home(const struct policy *policy)
{
    return policy->mode == POLICY_ASYNC ? policy->home
           : policy->prefer_count > 0   ? policy->prefer[0]
                                        : "";
}

static bool may_hold(const struct policy *policy, const char *region)
{
    for (uint32_t n = 0; n < policy->region_count; n++) {
        if (strcmp(policy->regions[n], region) == 0) {
            return true;
        }
    }
    return policy->region_count == 0;
}

/* Replicas of the partition that the policy does not want where they are: in no region of its, or more
 * than its copies there. */
static uint32_t too_many(const struct policy *policy, const struct tern_partition *p)
{
    uint32_t count = 0;

    for (size_t n = 0; n < p->replica_count; n++) {
        uint32_t before = 0;
        for (size_t k = 0; k < n; k++) {
            before += strcmp(p->replicas[k].region, p->replicas[n].region) == 0;
        }
        count += !may_hold(policy, p->replicas[n].region) || before >= policy->copies;
    }
    return count;
}

static void print_moves(const struct tern_topic *topic, const struct policy *policy)
{
    const char *home = wanted_home(policy);
    uint32_t leaders = 0;
    uint32_t fewer = 0;
    uint32_t changed = 0;

    for (uint32_t n = 0; n < topic->partition_count; n++) {
        const struct tern_partition *p = &topic->partitions[n];
        uint32_t gone = too_many(policy, p);
        leaders += home[0] != '\0' && strcmp(p->leader_region, home) != 0;
        fewer += gone;
        changed += gone > 0;
    }
    if (leaders > 0) {
        (void)printf("  %u of %u leaders move to %s\n", leaders, topic->partition_count, home);
    }
    if (fewer > 0) {
        (void)printf("  %u replicas of %u partitions go\n", fewer, changed);
    }
    if (policy->copies > 1) {
        (void)printf("  %u copies in each region: those that are missing are made\n",
                     policy->copies);
    }
    if (leaders == 0 && fewer == 0 && policy->copies <= 1) {
        (void)printf("  leaders and replicas stay where they are\n");
    }
}

static void print_change(const struct tern_topic *topic, const struct tern_policies *policies,
                         const char *name)
{
    const struct tern_policy *now = policy_named(policies, topic->policy);
    const struct tern_policy *next = policy_named(policies, name);
    struct policy_set set = {0};

    (void)printf("topic %s: policy %s -> %s\n", topic->name, topic->policy,
                 name[0] != '\0' ? name : "the one that its name falls under");
    if (next == NULL) {
        return;
    }
    if (now != NULL) {
        print_lines('-', now->yaml, next->yaml);
    }
    print_lines('+', next->yaml, now != NULL ? now->yaml : "");
    policy_parse(&set, name, slice_text(next->yaml));
    if (set.count == 1) {
        print_moves(topic, &set.policies[0]);
    }
    policy_set_fini(&set);
}

/* ---- the change -------------------------------------------------------------------------------- */

static bool confirmed_weaker(const struct cli *cli, const char *topic)
{
    for (int n = 0; cli_option_at(cli, "weaken", n) != NULL; n++) {
        if (strcmp(cli_option_at(cli, "weaken", n), topic) == 0) {
            return true;
        }
    }
    return false;
}

static int show(struct tern *tern, const char *topic, const char *policy)
{
    struct tern_topics *topics = NULL;
    struct tern_policies *policies = NULL;
    int rv = tern_topics(tern, topic, true, &topics);

    if (rv != TERN_DONE) {
        return rv;
    }
    rv = tern_policies(tern, NULL, &policies);
    if (rv == TERN_DONE) {
        print_change(&topics->topics[0], policies, policy);
        tern_policies_free(policies);
    }
    tern_topics_free(topics);
    return rv;
}

int verb_topic_set_policy(struct cli *cli)
{
    const char *topic = cli->args[0];
    const char *policy = strcmp(cli->args[1], "-") == 0 ? "" : cli->args[1];
    bool weaken = confirmed_weaker(cli, topic);
    const char *author = getenv("USER");
    struct tern *tern = NULL;
    bool unchanged = false;
    int rv = cli_connect(cli, &tern);

    if (rv != 0) {
        return rv;
    }
    rv = tern_topic_policy(tern, topic, policy, weaken, true, author, &unchanged);
    if (rv == TERN_DONE && !unchanged) {
        rv = show(tern, topic, policy);
    }
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    if (unchanged || cli_option(cli, "dry-run") != NULL) {
        (void)printf("topic %s %s\n", topic,
                     unchanged ? "follows that policy already" : "is left as it is (--dry-run)");
        tern_close(tern);
        return EXIT_GOOD;
    }
    rv = cli_confirm(cli, tern, "the topic will follow another policy", topic);
    if (rv != 0) {
        tern_close(tern);
        return rv;
    }
    rv = tern_topic_policy(tern, topic, policy, weaken, false, author, &unchanged);
    if (rv != TERN_DONE) {
        return cli_failed(tern, rv);
    }
    (void)printf("topic %s follows policy %s\n", topic,
                 policy[0] != '\0' ? policy : "that its name falls under");
    tern_close(tern);
    return EXIT_GOOD;
}
