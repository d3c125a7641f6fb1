/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/settings.h"
#include "cli/bench_arrivals.h"
#include "cli/bench_plot.h"

#define COMMON_OPTIONS                                                                             \
    {"bootstrap", "HOST:PORT",                                                                     \
     "Kafka address of any node; repeat for more; default: the profile"},                          \
        {"retry", "TIME", "back-off, and between questions while stalled; default: 100ms"},        \
        {"stall", "TIME", "an answer that takes longer makes it ask who leads; default: 200ms"},   \
        {"request-timeout", "TIME", "an unanswered request is given up; default: 30s"},            \
        {"drain", "TIME", "how long to wait for the last answers; default: 30s"},                  \
        {"out", "FILE", "keep the raw histogram, and the course over time"},                       \
        {"plot", "FILE", "draw percentiles and the course over time (SVG)"},                       \
    {                                                                                              \
        "progress", NULL, "a line a second even if stderr is no terminal"                          \
    }
#define LOAD_OPTIONS                                                                               \
    {"rate", "N|max", "records a second over all partitions; default: 1000"},                      \
        {"window", "BYTES", "with --rate max, of records that wait for acks; default: 32MiB"},     \
        {"size", "BYTES", "bytes of a record's value; default: 1KiB"},                             \
        {"batch", "BYTES", "largest batch; default: 64KiB"},                                       \
        {"request", "BYTES", "a request takes no more batches beyond it; default: 1MiB"},          \
        {"linger", "TIME", "how long a batch waits for more records; default: 0ms"},               \
        {"in-flight", "N", "requests under way per node; default: 5"},                             \
        {"acks", "all|1", "what the client asks for; default: all"},                               \
        {"no-idempotence", NULL, "without producer id and sequence numbers"},                      \
    {                                                                                              \
        "warmup", "TIME", "load before measuring; default: 2s"                                     \
    }
#define READ_OPTIONS                                                                               \
    {"from", "HOST:PORT", "read from this node, whoever leads; default: from the leaders"},        \
        {"max-wait", "TIME", "how long a node may keep an empty fetch; default: 500ms"},           \
        {"fetch", "BYTES", "of an answer; default: 50MiB"},                                        \
    {                                                                                              \
        "partition-fetch", "BYTES", "of a partition in an answer; default: 1MiB"                   \
    }
#define DURATION                                                                                   \
    {                                                                                              \
        "duration", "TIME", "how long to measure; default: 10s"                                    \
    }

const struct cli_option bench_produce_options[] = {
    LOAD_OPTIONS, DURATION, COMMON_OPTIONS, {NULL, NULL, NULL}};
const struct cli_option bench_gap_options[] = {
    LOAD_OPTIONS,
    {"fault", "COMMAND", "what to do to the cluster, for the shell"},
    {"heal", "COMMAND", "what undoes it; it returns when the cluster is well again"},
    {"repeats", "N", "how often; default: 1"},
    {"steady", "TIME", "acks on all partitions for so long before each fault; default: 2s"},
    {"settle", "TIME", "watched for so long after fault and healing; default: 4s"},
    COMMON_OPTIONS,
    {NULL, NULL, NULL}};
const struct cli_option bench_arrival_options[] = {
    LOAD_OPTIONS, DURATION, READ_OPTIONS, COMMON_OPTIONS, {NULL, NULL, NULL}};
const struct cli_option bench_read_options[] = {
    {"duration", "TIME", "read no longer; default: until the end"},
    READ_OPTIONS,
    COMMON_OPTIONS,
    {NULL, NULL, NULL}};
const struct cli_option bench_conns_options[] = {
    {"connections", "N", "opened at once, over the nodes in turn; default: 100"},
    {"rate", "N", "metadata requests a second on them in turn; default: 1000"},
    DURATION,
    COMMON_OPTIONS,
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
        !take_bytes(cli, "request", 64u << 20, &settings->request_bytes) ||
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

static bool take_rate(const struct cli *cli, uint32_t *out)
{
    const char *value = cli_option(cli, "rate");

    if (value != NULL && strcmp(value, "max") == 0) {
        *out = 0;
        return true;
    }
    return cli_number(cli, "rate", 1, 10000000, out);
}

static bool take_reading(const struct cli *cli, struct bench_plan *plan)
{
    struct bench_consumer_settings *reading = &plan->reading;

    *reading =
        (struct bench_consumer_settings){.topic = plan->settings.topic,
                                         .from = cli_option(cli, "from"),
                                         .max_wait_ms = 500,
                                         .min_bytes = 1,
                                         .max_bytes = 50u << 20,
                                         .partition_bytes = 1u << 20,
                                         .stall_ms = plan->settings.stall_ms,
                                         .retry_ms = plan->settings.retry_ms,
                                         .request_timeout_ms = plan->settings.request_timeout_ms,
                                         .from_end = plan->kind == BENCH_ARRIVAL};
    return take_millis(cli, "max-wait", &reading->max_wait_ms) &&
           take_bytes(cli, "fetch", 100u << 20, &reading->max_bytes) &&
           take_bytes(cli, "partition-fetch", 100u << 20, &reading->partition_bytes);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static int run(const struct bench_plan *plan, struct bench_result *result)
{
    switch (plan->kind) {
    case BENCH_READ:
        return bench_read(plan, result);
    case BENCH_CONNS:
        return bench_conns(plan, result);
    case BENCH_LOAD:
    case BENCH_GAP:
    case BENCH_ARRIVAL:
        break;
    }
    return bench_run(plan, result);
}

static int keep(const struct cli *cli, const struct bench_plan *plan,
                const struct bench_result *result)
{
    const char *raw = cli_option(cli, "out");
    const char *plot = cli_option(cli, "plot");

    if (raw != NULL && !bench_write_raw(plan, result, raw)) {
        return cli_fail(EXIT_NOT_ASKED, "%s: %s", raw, strerror(errno));
    }
    if (plot != NULL && !bench_plot_write(plan, result, plot)) {
        return cli_fail(EXIT_NOT_ASKED, "%s: %s", plot, strerror(errno));
    }
    return EXIT_GOOD;
}

static int run_and_print(const struct cli *cli, const struct bench_plan *plan)
{
    struct bench_result *result = mem_new(sizeof *result);
    int status = run(plan, result);
    bool begun = result->partitions > 0 || result->due > 0;
    int code = EXIT_GOOD;

    if (begun) {
        bench_print(plan, result, cli->json);
        (void)fflush(stdout);
        code = keep(cli, plan, result);
    }
    if (status != 0) {
        code = cli_fail(begun ? EXIT_REFUSED : EXIT_NOT_ASKED, "%s", result->why);
    }
    bench_result_fini(result);
    free(result);
    return code;
}

static bool take_plan(const struct cli *cli, struct bench_plan *plan)
{
    plan->rate = 1000;
    plan->window_bytes = 32u << 20;
    plan->warmup_ms = 2000;
    plan->drain_ms = 30000;
    plan->progress = isatty(STDERR_FILENO) || cli_option(cli, "progress") != NULL;
    if (!take_settings(cli, &plan->settings) || !take_rate(cli, &plan->rate) ||
        !take_bytes(cli, "window", 1u << 30, &plan->window_bytes) ||
        !take_millis(cli, "warmup", &plan->warmup_ms) ||
        !take_millis(cli, "duration", &plan->duration_ms) ||
        !take_millis(cli, "drain", &plan->drain_ms) || !take_reading(cli, plan)) {
        return false;
    }
    if (plan->kind == BENCH_ARRIVAL && (plan->rate == 0 || plan->settings.size < BENCH_STAMP)) {
        (void)cli_fail(EXIT_USAGE, "a rate, and records of at least %d bytes, are needed",
                       BENCH_STAMP);
        return false;
    }
    return true;
}

static int bench(struct cli *cli, struct bench_plan *plan)
{
    struct tern *tern = NULL;

    if (!take_plan(cli, plan)) {
        return EXIT_USAGE;
    }
    /* No two runs on a topic take each other's records for theirs. */
    CHECK(getentropy(&plan->settings.run, sizeof plan->settings.run) == 0);
    int rv = take_addresses(cli, plan, &tern);
    if (rv == 0) {
        rv = run_and_print(cli, plan);
    }
    tern_close(tern);
    return rv;
}

int verb_bench_produce(struct cli *cli)
{
    struct bench_plan plan = {.kind = BENCH_LOAD, .what = "produce", .duration_ms = 10000};

    return bench(cli, &plan);
}

int verb_bench_e2e(struct cli *cli)
{
    struct bench_plan plan = {.kind = BENCH_ARRIVAL, .what = "e2e", .duration_ms = 10000};

    return bench(cli, &plan);
}

int verb_bench_ship_lag(struct cli *cli)
{
    struct bench_plan plan = {.kind = BENCH_ARRIVAL, .what = "ship-lag", .duration_ms = 10000};

    if (cli_option(cli, "from") == NULL) {
        return cli_fail(EXIT_USAGE,
                        "--from HOST:PORT is needed: the Kafka address of a node that follows");
    }
    return bench(cli, &plan);
}

int verb_bench_consume(struct cli *cli)
{
    struct bench_plan plan = {.kind = BENCH_READ, .what = "consume"};

    return bench(cli, &plan);
}

int verb_bench_conns(struct cli *cli)
{
    struct bench_plan plan = {
        .kind = BENCH_CONNS, .what = "conns", .duration_ms = 10000, .connections = 100};

    if (!cli_number(cli, "connections", 1, 1000000, &plan.connections)) {
        return EXIT_USAGE;
    }
    return bench(cli, &plan);
}

int verb_bench_gap(struct cli *cli)
{
    struct bench_plan plan = {.kind = BENCH_GAP,
                              .what = "gap",
                              .fault = cli_option(cli, "fault"),
                              .heal = cli_option(cli, "heal"),
                              .repeats = 1,
                              .steady_ms = 2000,
                              .settle_ms = 4000};

    if (plan.fault == NULL) {
        return cli_fail(EXIT_USAGE, "--fault COMMAND is needed; see tern bench gap --help");
    }
    if (!cli_number(cli, "repeats", 1, BENCH_FAULTS_MAX - 1, &plan.repeats) ||
        !take_millis(cli, "steady", &plan.steady_ms) ||
        !take_millis(cli, "settle", &plan.settle_ms)) {
        return EXIT_USAGE;
    }
    return bench(cli, &plan);
}
