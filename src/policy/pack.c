/* SPDX-License-Identifier: Apache-2.0 */
/* The only door between struct policy and its protobuf form. */
#include <stdio.h>

#include "base/error.h"
#include "policy.pb-c.h"
#include "policy/capped_alloc.h"
#include "policy/policy.h"

#define UNPACK_BYTES_MAX (64 * 1024)

/* protobuf-c has no const in its structs; packing does not write through them. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

void policy_pack(const struct policy *policy, struct buf *out)
{
    Tern__Policy__Policy m;
    char *patterns[POLICY_PATTERNS_MAX];
    char *regions[POLICY_REGIONS_MAX];
    char *prefer[POLICY_REGIONS_MAX];

    tern__policy__policy__init(&m);
    CHECK(policy->pattern_count <= POLICY_PATTERNS_MAX);
    CHECK(policy->region_count <= POLICY_REGIONS_MAX);
    CHECK(policy->prefer_count <= POLICY_REGIONS_MAX);
    for (uint32_t i = 0; i < policy->pattern_count; i++) {
        patterns[i] = borrow(policy->patterns[i]);
    }
    for (uint32_t i = 0; i < policy->region_count; i++) {
        regions[i] = borrow(policy->regions[i]);
    }
    for (uint32_t i = 0; i < policy->prefer_count; i++) {
        prefer[i] = borrow(policy->prefer[i]);
    }
    m.format = POLICY_FORMAT_VERSION;
    m.name = borrow(policy->name);
    m.n_patterns = policy->pattern_count;
    m.patterns = patterns;
    m.priority = policy->priority;
    m.critical = policy->critical;
    m.mode = (uint32_t)policy->mode;
    m.ack = policy->ack;
    m.copies = policy->copies;
    m.n_regions = policy->region_count;
    m.regions = regions;
    m.n_prefer = policy->prefer_count;
    m.prefer = prefer;
    m.on_region_loss = (uint32_t)policy->on_region_loss;
    m.region_loss_after_ms = policy->region_loss_after_ms;
    m.home = borrow(policy->home);
    m.rpo_time_ms = policy->rpo_time_ms;
    m.rpo_bytes = policy->rpo_bytes;
    m.on_breach = (uint32_t)policy->on_breach;
    m.rpo_survive = policy->rpo_survive;
    m.failover = (uint32_t)policy->failover;
    m.failover_after_ms = policy->failover_after_ms;
    m.failover_wait_ms = policy->failover_wait_ms;
    m.partitions = policy->partitions;
    m.retention_ms = policy->retention_ms;
    m.retention_bytes = policy->retention_bytes;
    m.max_message_bytes = policy->max_message_bytes;
    (void)tern__policy__policy__pack(&m,
                                     buf_extend(out, tern__policy__policy__get_packed_size(&m)));
}

/* False: does not fit. */
static bool take(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}

static bool take_names(char (*out)[WIRE_NAME_MAX], uint32_t *out_count, char **names, size_t count)
{
    bool ok = count <= POLICY_REGIONS_MAX;

    for (size_t i = 0; ok && i < count; i++) {
        ok = take(out[i], WIRE_NAME_MAX, names[i]);
    }
    *out_count = ok ? (uint32_t)count : 0;
    return ok;
}

static bool enums_known(const Tern__Policy__Policy *m)
{
    return m->mode <= POLICY_ASYNC && m->on_region_loss <= POLICY_LOSS_DEGRADE &&
           m->on_breach <= POLICY_BREACH_REPORT && m->failover <= POLICY_FAILOVER_AUTO;
}

static bool from_message(const Tern__Policy__Policy *m, struct policy *p)
{
    bool ok = enums_known(m) && m->n_patterns <= POLICY_PATTERNS_MAX &&
              take(p->name, sizeof p->name, m->name) && take(p->home, sizeof p->home, m->home) &&
              take_names(p->regions, &p->region_count, m->regions, m->n_regions) &&
              take_names(p->prefer, &p->prefer_count, m->prefer, m->n_prefer);

    for (size_t i = 0; ok && i < m->n_patterns; i++) {
        ok = take(p->patterns[i], sizeof p->patterns[i], m->patterns[i]);
    }
    if (!ok) {
        return false;
    }
    p->pattern_count = (uint32_t)m->n_patterns;
    p->priority = m->priority;
    p->critical = m->critical;
    p->mode = (enum policy_mode)m->mode;
    p->ack = m->ack;
    p->copies = m->copies;
    p->on_region_loss = (enum policy_region_loss)m->on_region_loss;
    p->region_loss_after_ms = m->region_loss_after_ms;
    p->rpo_time_ms = m->rpo_time_ms;
    p->rpo_bytes = m->rpo_bytes;
    p->on_breach = (enum policy_breach)m->on_breach;
    p->rpo_survive = m->rpo_survive;
    p->failover = (enum policy_failover)m->failover;
    p->failover_after_ms = m->failover_after_ms;
    p->failover_wait_ms = m->failover_wait_ms;
    p->partitions = m->partitions;
    p->retention_ms = m->retention_ms;
    p->retention_bytes = m->retention_bytes;
    p->max_message_bytes = m->max_message_bytes;
    /* Bounds that everybody else relies on; what a document may say is narrower (policy_parse). */
    return p->name[0] != '\0' && p->ack >= 1 && p->ack <= POLICY_REGIONS_MAX && p->copies >= 1 &&
           p->copies <= 3;
}

int policy_unpack(struct slice bytes, struct policy *out)
{
    struct capped_alloc cap;
    ProtobufCAllocator alloc = capped_alloc_init(&cap, UNPACK_BYTES_MAX);
    Tern__Policy__Policy *m = tern__policy__policy__unpack(&alloc, bytes.len, bytes.base);
    struct policy policy = {0};
    int error = 0;

    if (m == NULL) {
        return TERN_EMALFORMED;
    }
    if (m->format != POLICY_FORMAT_VERSION) {
        error = TERN_EFORMAT;
    } else if (!from_message(m, &policy)) {
        error = TERN_EMALFORMED;
    } else {
        *out = policy;
    }
    tern__policy__policy__free_unpacked(m, &alloc);
    return error;
}
