/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/settings.h"

#define LOAD_OPTIONS                                                                               \
    {"bootstrap", "HOST:PORT",                                                                     \
     "Kafka address of any node; repeat for more; default: the profile"},                          \
        {"rate", "N", "records a second over all partitions; default: 1000"},                      \
        {"size", "BYTES", "bytes of a record's value; default: 1KiB"},                             \
        {"batch", "BYTES", "largest batch; default: 64KiB"},                                       \
        {"linger", "TIME", "how long a batch waits for more records; default: 0ms"},               \
        {"in-flight", "N", "requests under way per node; default: 5"},                             \
        {"acks", "all|1", "what the client asks for; default: all"},                               \
        {"no-idempotence", NULL, "without producer id and sequence numbers"},                      \
        {"stall", "TIME", "an answer that takes longer makes it ask who leads; default: 200ms"},   \
        {"retry", "TIME", "back-off, and between questions while stalled; default: 100ms"},        \
        {"request-timeout", "TIME", "an unanswered request is given up; default: 30s"},            \
        {"warmup", "TIME", "load before measuring; default: 2s"},                                  \
        {"drain", "TIME", "how long to wait for the last acks; default: 30s"},                     \
    {                                                                                              \
        "out", "FILE", "keep the raw histogram"                                                    \
    }

const struct cli_option bench_produce_options[] = {
    LOAD_OPTIONS, {"duration", "TIME", "how long to measure; default: 10s"}, {NULL, NULL, NULL}};
const struct cli_option bench_fault_options[] = {
    LOAD_OPTIONS,
    {"fault", "COMMAND", "what to do to the cluster, for the shell"},
    {"heal", "COMMAND", "what undoes it; it returns when the cluster is well again"},
    {"repeats", "N", "how often; default: 1"},
    {"steady", "TIME", "acks on all partitions for so long before each fault; default: 2s"},
    {"settle", "TIME", "watched for so long after fault and healing; default: 4s"},
    {NULL, NULL, NULL}};

/* ---- options --------------------------------------------------------------------------------- */

static bool take_millis(const struct cli *cli, const char *name, uint32_t *out)
{
    const char *value = cli_option(cli, name);
    uint64_t millis;

    if (value == NULL) {
        return true;
    }
    if (!value_millis(value, &millis) || millis > 86400000) {
        (void)cli_fail(EXIT_USAGE, "--%s: a time with its unit is expected (5ms, 3s), not %s", name,
                       value);
        return false;
    }
    *out = (uint32_t)millis;
    return true;
}

static bool take_bytes(const struct cli *cli, const char *name, uint32_t high, uint32_t *out)
{
    const char *value = cli_option(cli, name);
    uint64_t bytes;

    if (value == NULL) {
        return true;
    }
    if (!value_bytes(value, &bytes) || bytes == 0 || bytes > high) {
        (void)cli_fail(EXIT_USAGE, "--%s: a size with its unit is expected (100B, 1KiB), not %s",
                       name, value);
        return false;
    }
    *out = (uint32_t)bytes;
    return true;
}

static bool take_settings(const struct cli *cli, struct bench_settings *settings)
{
    const char *acks = cli_option(cli, "acks");
    uint32_t linger_ms = 0;

    *settings = (struct bench_settings){.topic = cli->args[0],
                                        .size = 1024,
                                        .batch_bytes = 64 * 1024,
                                        .request_bytes = 1024 * 1024,
                                        .in_flight = 5,
                                        .stall_ms = 200,
                                        .retry_ms = 100,
                                        .request_timeout_ms = 30000,
                                        .acks = -1,
                                        .idempotent = cli_option(cli, "no-idempotence") == NULL};
    if (acks != NULL && strcmp(acks, "all") != 0 && strcmp(acks, "1") != 0) {
        (void)cli_fail(EXIT_USAGE, "--acks: all or 1 is expected, not %s", acks);
        return false;
    }
    if (acks != NULL && strcmp(acks, "1") == 0) {
        settings->acks = 1;
    }
    if (!take_bytes(cli, "size", 16u << 20, &settings->size) ||
        !take_bytes(cli, "batch", 32u << 20, &settings->batch_bytes) ||
        !take_millis(cli, "linger", &linger_ms) ||
        !cli_number(cli, "in-flight", 1, 1000, &settings->in_flight) ||
        !take_millis(cli, "stall", &settings->stall_ms) ||
        !take_millis(cli, "retry", &settings->retry_ms) ||
        !take_millis(cli, "request-timeout", &settings->request_timeout_ms)) {
        return false;
    }
    settings->linger_us = linger_ms * 1000;
    return true;
}

/* The profile's Kafka addresses stay valid with *out_tern. */
static int take_addresses(const struct cli *cli, struct bench_plan *plan, struct tern **out_tern)
{
    const char *address;
    size_t members;

    while (plan->address_count < BENCH_ADDRESSES_MAX &&
           (address = cli_option_at(cli, "bootstrap", (int)plan->address_count)) != NULL) {
        plan->addresses[plan->address_count++] = address;
    }
    if (plan->address_count > 0) {
        return 0;
    }
    int rv = cli_connect(cli, out_tern);
    if (rv != 0) {
        return rv;
    }
    const struct tern_member *member = tern_members(*out_tern, &members);
    for (size_t i = 0; i < members && plan->address_count < BENCH_ADDRESSES_MAX; i++) {
        if (member[i].kafka[0] != '\0') {
            plan->addresses[plan->address_count++] = member[i].kafka;
        }
    }
    if (plan->address_count == 0) {
        return cli_fail(EXIT_USAGE, "the profile names no Kafka address; give --bootstrap");
    }
    return 0;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static int run_and_print(const struct cli *cli, const struct bench_plan *plan)
{
    struct bench_result *result = mem_new(sizeof *result);
    const char *raw = cli_option(cli, "out");
    int status = bench_run(plan, result);
    int code = EXIT_GOOD;

    if (result->partitions > 0) {
        bench_print(plan, result, cli->json);
        (void)fflush(stdout);
    }
    if (status != 0) {
        code = cli_fail(result->partitions > 0 ? EXIT_REFUSED : EXIT_NOT_ASKED, "%s", result->why);
    }
    if (raw != NULL && result->partitions > 0 && !bench_write_raw(plan, result, raw)) {
        code = cli_fail(EXIT_NOT_ASKED, "%s: %s", raw, strerror(errno));
    }
    free(result);
    return code;
}

static int bench(struct cli *cli, struct bench_plan *plan)
{
    struct tern *tern = NULL;

    plan->rate = 1000;
    plan->warmup_ms = 2000;
    plan->drain_ms = 30000;
    plan->progress = true;
    if (!take_settings(cli, &plan->settings) ||
        !cli_number(cli, "rate", 1, 10000000, &plan->rate) ||
        !take_millis(cli, "warmup", &plan->warmup_ms) ||
        !take_millis(cli, "drain", &plan->drain_ms)) {
        return EXIT_USAGE;
    }
    int rv = take_addresses(cli, plan, &tern);
    if (rv == 0) {
        rv = run_and_print(cli, plan);
    }
    tern_close(tern);
    return rv;
}

int verb_bench_produce(struct cli *cli)
{
    struct bench_plan plan = {.duration_ms = 10000};

    return take_millis(cli, "duration", &plan.duration_ms) ? bench(cli, &plan) : EXIT_USAGE;
}

int verb_bench_fault_gap(struct cli *cli)
{
    struct bench_plan plan = {.fault = cli_option(cli, "fault"),
                              .heal = cli_option(cli, "heal"),
                              .repeats = 1,
                              .steady_ms = 2000,
                              .settle_ms = 4000};

    if (plan.fault == NULL) {
        return cli_fail(EXIT_USAGE, "--fault COMMAND is needed; see tern bench fault-gap --help");
    }
    if (!cli_number(cli, "repeats", 1, BENCH_FAULTS_MAX - 1, &plan.repeats) ||
        !take_millis(cli, "steady", &plan.steady_ms) ||
        !take_millis(cli, "settle", &plan.settle_ms)) {
        return EXIT_USAGE;
    }
    return bench(cli, &plan);
}
