/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/config.h"

#include <string.h>

#include "base/check.h"
#include "base/mutant.h"

/* The voters of each region, and how many regions there are. */
struct regions {
    uint32_t voters[REPLICA_REGIONS_MAX][REPLICA_MEMBERS_MAX]; /* node ids */
    uint32_t count[REPLICA_REGIONS_MAX];                       /* voters in the region */
    uint32_t total;                                            /* regions with voters */
};

static struct regions regions_of(const struct replica_rule *rule, const struct replica_spec *spec)
{
    struct regions out;

    memset(&out, 0, sizeof out);
    for (uint32_t i = 0; i < spec->member_count; i++) {
        const struct replica_member *m = &spec->members[i];
        if ((rule->voters & ((uint64_t)1 << m->node)) == 0) {
            continue;
        }
        CHECK(m->region >= 0 && m->region < REPLICA_REGIONS_MAX);
        if (out.count[m->region] == 0) {
            out.total++;
        }
        out.voters[m->region][out.count[m->region]++] = m->node;
    }
    return out;
}

const struct replica_member *spec_member(const struct replica_spec *spec, uint32_t node)
{
    for (uint32_t i = 0; i < spec->member_count; i++) {
        if (spec->members[i].node == node) {
            return &spec->members[i];
        }
    }
    return NULL;
}

bool spec_needs_activation(const struct replica_spec *spec)
{
    const struct replica_rule *a = &spec->config;
    const struct replica_rule *b = &spec->recover;
    bool same =
        a->voters == b->voters && a->learners == b->learners && a->w == b->w && a->home == b->home;

    return !spec->activated && (spec->lossy || !same);
}

/* What a majority of the region's voters holds: with k voters, the value at place k/2 of the
 * descending order. */
static int64_t region_held(const struct regions *regions, int region, const int64_t held[64])
{
    int64_t values[REPLICA_MEMBERS_MAX];
    uint32_t count = regions->count[region];

    for (uint32_t i = 0; i < count; i++) {
        int64_t value = held[regions->voters[region][i]];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] < value; at--) {
            values[at] = values[at - 1];
        }
        values[at] = value;
    }
    return count > 0 ? values[count / 2] : 0;
}

int64_t spec_region_held(const struct replica_spec *spec, int8_t region, const int64_t held[64])
{
    struct replica_rule all = spec->config;

    all.voters |= all.learners;
    struct regions regions = regions_of(&all, spec);
    return regions.count[region] > 0 ? region_held(&regions, region, held) : -1;
}

int64_t rule_held(const struct replica_rule *rule, const struct replica_spec *spec,
                  const int64_t held[64])
{
    struct regions regions = regions_of(rule, spec);
    int64_t values[REPLICA_REGIONS_MAX];
    uint32_t count = 0;

    if (rule->home >= 0) {
        return region_held(&regions, rule->home, held);
    }
    for (int region = 0; region < REPLICA_REGIONS_MAX; region++) {
        if (regions.count[region] == 0) {
            continue;
        }
        int64_t value = region_held(&regions, region, held);
        uint32_t at = count++;
        for (; at > 0 && values[at - 1] < value; at--) {
            values[at] = values[at - 1];
        }
        values[at] = value;
    }
    CHECK(rule->w > 0);
    return rule->w <= count ? values[rule->w - 1] : 0;
}

bool rule_can_commit(const struct replica_rule *rule, const struct replica_spec *spec,
                     uint64_t nodes)
{
    int64_t held[64];

    for (unsigned node = 0; node < 64; node++) {
        held[node] = (nodes >> node) & 1;
    }
    return rule_held(rule, spec, held) > 0;
}

static uint32_t present(const struct regions *regions, int region, uint64_t nodes)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < regions->count[region]; i++) {
        found += (uint32_t)((nodes >> regions->voters[region][i]) & 1);
    }
    return found;
}

/* Every majority of the region's voters is met. */
static bool region_read(const struct regions *regions, int region, uint64_t nodes)
{
    uint32_t count = regions->count[region];

    uint32_t needed = MUTANT(half_region) ? 1 : count - count / 2;
    return count > 0 && present(regions, region, nodes) >= needed;
}

bool rule_can_recover(const struct replica_rule *rule, const struct replica_spec *spec,
                      uint64_t nodes)
{
    struct regions regions = regions_of(rule, spec);
    uint32_t read = 0;

    for (int region = 0; region < REPLICA_REGIONS_MAX; region++) {
        bool met = region_read(&regions, region, nodes);
        if (rule->home == region) {
            return met;
        }
        read += met;
    }
    if (rule->home >= 0) {
        return false;
    }
    uint32_t needed = regions.total >= rule->w ? regions.total - rule->w + 1 : 1;
    needed -= MUTANT(small_quorum) && needed > 1 ? 1 : 0;
    return read >= needed;
}

bool rule_covers_regions(const struct replica_rule *rule, const struct replica_spec *spec,
                         uint64_t nodes)
{
    struct regions regions = regions_of(rule, spec);

    for (int region = 0; region < REPLICA_REGIONS_MAX; region++) {
        if (region != rule->home && regions.count[region] > 0 &&
            !region_read(&regions, region, nodes)) {
            return false;
        }
    }
    return true;
}
