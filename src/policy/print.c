/* SPDX-License-Identifier: Apache-2.0 */
/* A policy as the YAML document that means it. Says only what the document must say: words without
 * effect would be refused when it is read back. */
#include "policy/policy.h"

static void print_duration(struct buf *out, uint64_t ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;

    while (ms % units[i].ms != 0) {
        i++;
    }
    buf_printf(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
}

static void print_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    while (i < 4 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    buf_printf(out, "%llu%s", (unsigned long long)bytes, units[i]);
}

/* Names have letters, digits, '.', '_', '-'; some of those words mean something else to YAML, and a
 * '*' begins an alias. So all names of lists stand in quotes. */
static void print_list(struct buf *out, const char *key, const char *items, size_t size,
                       uint32_t count)
{
    if (count == 0) {
        return;
    }
    buf_printf(out, "%s: [", key);
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", items + i * size);
    }
    buf_text(out, "]\n");
}

static void print_sync(struct buf *out, const struct policy *p)
{
    buf_printf(out, "mode: sync\nack: %u\n", p->ack);
    if (p->ack < 3) {
        return;
    }
    if (p->on_region_loss == POLICY_LOSS_REFUSE) {
        buf_text(out, "on_region_loss: {then: refuse}\n");
        return;
    }
    buf_text(out, "on_region_loss: {then: degrade, after: ");
    print_duration(out, p->region_loss_after_ms);
    buf_text(out, "}\n");
}

static void print_rpo(struct buf *out, const struct policy *p)
{
    static const char *const breach[] = {"throttle", "refuse", "report"};

    if (p->rpo_time_ms == 0 && p->rpo_bytes == 0) {
        return;
    }
    buf_text(out, "rpo: {");
    if (p->rpo_time_ms != 0) {
        buf_text(out, "time: ");
        print_duration(out, p->rpo_time_ms);
        buf_text(out, ", ");
    }
    if (p->rpo_bytes != 0) {
        buf_text(out, "bytes: ");
        print_size(out, p->rpo_bytes);
        buf_text(out, ", ");
    }
    buf_printf(out, "on_breach: %s, survive: %u}\n", breach[p->on_breach], p->rpo_survive);
}

static void print_async(struct buf *out, const struct policy *p)
{
    buf_printf(out, "mode: async\nhome: \"%s\"\n", p->home);
    print_rpo(out, p);
    if (p->failover == POLICY_FAILOVER_AUTO) {
        buf_text(out, "failover: {mode: auto, after: ");
        print_duration(out, p->failover_after_ms);
        buf_text(out, ", wait: ");
    } else {
        buf_text(out, "failover: {mode: manual, wait: ");
    }
    print_duration(out, p->failover_wait_ms);
    buf_text(out, "}\n");
}

static void print_retention(struct buf *out, const struct policy *p)
{
    buf_text(out, "retention: {time: ");
    if (p->retention_ms < 0) {
        buf_text(out, "forever");
    } else {
        print_duration(out, (uint64_t)p->retention_ms);
    }
    buf_text(out, ", bytes: ");
    if (p->retention_bytes < 0) {
        buf_text(out, "unlimited");
    } else {
        print_size(out, (uint64_t)p->retention_bytes);
    }
    buf_text(out, "}\n");
}

void policy_print(const struct policy *p, struct buf *out)
{
    bool globs = false;

    buf_printf(out, "policy: \"%s\"\n", p->name);
    print_list(out, "topics", p->patterns[0], POLICY_PATTERN_MAX, p->pattern_count);
    for (uint32_t i = 0; i < p->pattern_count; i++) {
        globs = globs || strchr(p->patterns[i], '*') != NULL;
    }
    if (globs) {
        buf_printf(out, "priority: %d\n", p->priority);
    }
    if (p->critical) {
        buf_text(out, "critical: true\n");
    }
    if (p->mode == POLICY_SYNC) {
        print_sync(out, p);
    } else {
        print_async(out, p);
    }
    print_list(out, "regions", p->regions[0], WIRE_NAME_MAX, p->region_count);
    print_list(out, "leaders", p->prefer[0], WIRE_NAME_MAX, p->prefer_count);
    buf_printf(out, "copies: %u\n", p->copies);
    buf_printf(out, "partitions: %u\n", p->partitions);
    print_retention(out, p);
    buf_text(out, "max_message: ");
    print_size(out, p->max_message_bytes);
    buf_text(out, "\n");
}

void policy_problem_print(const struct policy_problem *problem, struct buf *out)
{
    bool placed = problem->file[0] != '\0' || problem->line > 0;

    if (problem->file[0] != '\0') {
        buf_printf(out, "%s:", problem->file);
    }
    if (problem->line > 0) {
        buf_printf(out, "%d:%d:", problem->line, problem->column);
    }
    buf_printf(out, "%serror: %s\n", placed ? " " : "", problem->message);
    if (problem->line > 0 && problem->column > 0) {
        buf_printf(out, "    %s\n    %*s^\n", problem->excerpt, problem->column - 1, "");
    }
}
