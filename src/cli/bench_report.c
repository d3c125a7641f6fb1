/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of `tern bench` has found: table, JSON, raw histogram. */
#include <inttypes.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/print.h"

struct share {
    const char *name;
    const char *key;
    uint32_t parts;
};

static const struct share shares[] = {{"p50", "p50", 50000},       {"p90", "p90", 90000},
                                      {"p99", "p99", 99000},       {"p99.9", "p99_9", 99900},
                                      {"p99.99", "p99_99", 99990}, {"max", "max", 100000}};

static double to_ms(uint64_t us)
{
    return (double)us / 1e3;
}

/* Of the longest gaps of several faults: sorted ascending. */
static size_t sorted_gaps(const struct bench_result *result, uint64_t out[BENCH_FAULTS_MAX])
{
    size_t count = 0;

    for (uint32_t i = 0; i < result->fault_count; i++) {
        uint64_t gap_us = result->faults[i].gap.us;
        size_t at = count++;
        while (at > 0 && out[at - 1] > gap_us) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = gap_us;
    }
    return count;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_hist(const struct bench_hist *hist)
{
    json_t *out = json_object();

    json_object_set_new(out, "count", json_integer((json_int_t)hist->count));
    json_object_set_new(out, "min", json_real(to_ms(hist->min)));
    json_object_set_new(out, "mean", json_real(bench_hist_mean(hist) / 1e3));
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        json_object_set_new(out, shares[i].key,
                            json_real(to_ms(bench_hist_at(hist, shares[i].parts))));
    }
    return out;
}

static json_t *json_settings(const struct bench_plan *plan)
{
    const struct bench_settings *s = &plan->settings;
    const struct bench_consumer_settings *r = &plan->reading;

    return json_pack(
        "{s:s, s:s, s:o, s:I, s:I, s:f, s:I, s:I, s:i, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:s?, s:I}",
        "verb", plan->what, "topic", s->topic, "rate",
        plan->rate > 0 ? json_integer(plan->rate) : json_string("max"), "record_bytes",
        (json_int_t)s->size, "batch_bytes", (json_int_t)s->batch_bytes, "linger_ms",
        to_ms(s->linger_us), "in_flight", (json_int_t)s->in_flight, "window_bytes",
        (json_int_t)plan->window_bytes, "acks", s->acks, "idempotent", s->idempotent, "stall_ms",
        (json_int_t)s->stall_ms, "retry_ms", (json_int_t)s->retry_ms, "warmup_ms",
        (json_int_t)plan->warmup_ms, "fetch_max_wait_ms", (json_int_t)r->max_wait_ms,
        "fetch_min_bytes", (json_int_t)r->min_bytes, "fetch_max_bytes", (json_int_t)r->max_bytes,
        "fetch_partition_bytes", (json_int_t)r->partition_bytes, "read_from", r->from,
        "connections", (json_int_t)plan->connections);
}

static json_t *json_errors(const struct bench_counters *counters)
{
    json_t *out = json_object();

    for (size_t i = 0; i < BENCH_ERRORS; i++) {
        if (counters->errors[i] > 0) {
            json_object_set_new(out, i < BENCH_ERRORS - 1 ? kafka_error_name((int16_t)i) : "OTHER",
                                json_integer((json_int_t)counters->errors[i]));
        }
    }
    return out;
}

static json_t *json_gap(const struct bench_gap *gap)
{
    return json_pack("{s:f, s:i}", "ms", to_ms(gap->us), "partition", gap->partition);
}

static json_t *json_faults(const struct bench_result *result)
{
    json_t *out = json_array();

    for (uint32_t i = 0; i < result->fault_count; i++) {
        const struct bench_fault *fault = &result->faults[i];
        json_array_append_new(out, json_pack("{s:o, s:o, s:f, s:b, s:i, s:i}", "gap",
                                             json_gap(&fault->gap), "heal_gap",
                                             json_gap(&fault->heal), "command_s", fault->command_s,
                                             "recovered", fault->recovered, "status", fault->status,
                                             "heal_status", fault->heal_status));
    }
    return out;
}

static json_t *json_reading(const struct bench_result *result)
{
    const struct bench_consumer_counters *c = &result->reading;

    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "fetches", (json_int_t)c->fetches,
        "empty", (json_int_t)c->empty, "records", (json_int_t)c->records, "bytes",
        (json_int_t)c->bytes, "corrupt", (json_int_t)c->corrupt, "errors", (json_int_t)c->errors,
        "arrived", (json_int_t)result->arrived, "missing", (json_int_t)result->missing, "repeated",
        (json_int_t)result->repeated, "strange", (json_int_t)result->strange);
}

static bool is_void(const struct bench_result *result)
{
    return bench_cpu_share(&result->cpu) > BENCH_CPU_VOID;
}

static void print_json(const struct bench_plan *plan, const struct bench_result *result)
{
    const struct bench_counters *c = &result->counters;
    json_t *out = json_object();

    json_object_set_new(out, "settings", json_settings(plan));
    json_object_set_new(out, "partitions", json_integer((json_int_t)result->partitions));
    json_object_set_new(out, "seconds", json_real(result->seconds));
    json_object_set_new(out, "records",
                        json_pack("{s:I, s:I, s:I, s:I}", "due", (json_int_t)result->due, "acked",
                                  (json_int_t)result->acked, "in_time", (json_int_t)result->in_time,
                                  "warmup", (json_int_t)result->warmed));
    json_object_set_new(out, "latency_ms", json_hist(&result->latency));
    if (plan->kind == BENCH_ARRIVAL) {
        json_object_set_new(out, "arrival_ms", json_hist(&result->arrival));
    }
    if (plan->kind == BENCH_ARRIVAL || plan->kind == BENCH_READ) {
        json_object_set_new(out, "reading", json_reading(result));
    }
    if (plan->kind == BENCH_CONNS) {
        json_object_set_new(out, "connecting_ms", json_hist(&result->connecting));
        json_object_set_new(out, "connected", json_integer(result->connected));
        json_object_set_new(out, "lost", json_integer(result->lost));
    }
    json_object_set_new(out, "lateness_ms", json_hist(&result->lateness));
    json_object_set_new(out, "gap", json_gap(&result->gap));
    json_object_set_new(out, "gaps_ms", json_hist(&result->gaps));
    json_object_set_new(out, "client",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "requests",
                                  (json_int_t)c->requests, "batches", (json_int_t)c->batches,
                                  "retries", (json_int_t)c->retries, "bytes", (json_int_t)c->bytes,
                                  "leader_moves", (json_int_t)c->moves, "hints",
                                  (json_int_t)c->hints, "late_acks", (json_int_t)c->late_acks,
                                  "late_answers", (json_int_t)c->late, "disconnects",
                                  (json_int_t)c->disconnects, "cpu_s", result->client_cpu_s));
    json_object_set_new(out, "client_core_share", json_real(bench_cpu_share(&result->cpu)));
    json_object_set_new(out, "void", json_boolean(is_void(result)));
    json_object_set_new(out, "errors", json_errors(c));
    if (plan->fault != NULL) {
        json_object_set_new(out, "faults", json_faults(result));
    }
    json_object_set_new(out, "failure",
                        result->why[0] != '\0' ? json_text(result->why) : json_null());
    json_print(out);
}

/* ---- table ----------------------------------------------------------------------------------- */

static void row(struct table *table, const char *name)
{
    (void)table_row(table, -1);
    table_cell(table, "%s", name);
}

static void hist_rows(struct table *table, const char *name, const struct bench_hist *hist)
{
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        row(table, i == 0 ? name : "");
        table_cell(table, "%s %.3f ms", shares[i].name,
                   to_ms(bench_hist_at(hist, shares[i].parts)));
    }
}

static void latency_rows(struct table *table, const struct bench_plan *plan,
                         const struct bench_result *result)
{
    hist_rows(table, plan->kind == BENCH_ARRIVAL ? "acknowledged after" : "latency",
              &result->latency);
    if (plan->kind == BENCH_ARRIVAL) {
        hist_rows(table, "read after", &result->arrival);
        row(table, "read");
        table_cell(table,
                   "%" PRIu64 " of the measured ones, %" PRIu64 " missing, %" PRIu64
                   " repeated; %" PRIu64 " fetches, %" PRIu64 " of them empty, %" PRIu64 " errors",
                   result->arrived, result->missing, result->repeated, result->reading.fetches,
                   result->reading.empty, result->reading.errors);
    }
    if (plan->rate == 0) {
        return;
    }
    row(table, "generator late");
    table_cell(table, "p50 %.3f ms, p99 %.3f ms, max %.3f ms",
               to_ms(bench_hist_at(&result->lateness, 50000)),
               to_ms(bench_hist_at(&result->lateness, 99000)), to_ms(result->lateness.max));
}

static void client_rows(struct table *table, const struct bench_result *result)
{
    const struct bench_counters *c = &result->counters;

    row(table, "client");
    table_cell(table,
               "%" PRIu64 " requests, %" PRIu64 " batches, %" PRIu64 " sent again, %.2f s CPU",
               c->requests, c->batches, c->retries, result->client_cpu_s);
    if (c->moves + c->disconnects + c->late > 0) {
        row(table, "");
        table_cell(table,
                   "%" PRIu64 " leader moves (%" PRIu64 " by hint), %" PRIu64
                   " disconnects, %" PRIu64 " late answers (%" PRIu64 " acks)",
                   c->moves, c->hints, c->disconnects, c->late, c->late_acks);
    }
    for (size_t i = 0; i < BENCH_ERRORS; i++) {
        if (c->errors[i] > 0) {
            row(table, "");
            table_cell(table, "%" PRIu64 " times %s", c->errors[i],
                       i < BENCH_ERRORS - 1 ? kafka_error_name((int16_t)i) : "another error");
        }
    }
}

static void fault_rows(struct table *table, const struct bench_result *result)
{
    uint64_t gaps_us[BENCH_FAULTS_MAX];
    size_t count = sorted_gaps(result, gaps_us);

    for (uint32_t i = 0; i < result->fault_count; i++) {
        const struct bench_fault *fault = &result->faults[i];
        row(table, i == 0 ? "faults" : "");
        table_cell(table, "%u: %s %.0f ms (partition %d); healing %.0f ms", i + 1,
                   fault->recovered ? "acked again after" : "NOT ACKED AGAIN within",
                   to_ms(fault->gap.us), fault->gap.partition, to_ms(fault->heal.us));
    }
    if (count > 0) {
        row(table, "longest gap");
        table_cell(table, "p50 %.0f ms, max %.0f ms of %zu faults", to_ms(gaps_us[(count - 1) / 2]),
                   to_ms(gaps_us[count - 1]), count);
    }
}

static void cpu_row(struct table *table, const struct bench_result *result)
{
    row(table, "client's processor");
    table_cell(table, "%.0f %% of a core%s", bench_cpu_share(&result->cpu) * 100,
               is_void(result) ? ": VOID, above 80 % it is the client that is measured" : "");
}

static void load_rows(struct table *table, const struct bench_plan *plan,
                      const struct bench_result *result)
{
    const struct bench_settings *s = &plan->settings;
    double seconds = result->seconds > 0 ? result->seconds : 1;
    char rate[64];

    if (plan->rate > 0) {
        (void)snprintf(rate, sizeof rate, "%u records/s", plan->rate);
    } else {
        (void)snprintf(rate, sizeof rate, "as fast as it goes, %u bytes waiting",
                       plan->window_bytes);
    }
    row(table, "load");
    table_cell(table, "%s of %u bytes; batch %u bytes, linger %.0f ms, %u in flight, acks %s, %s",
               rate, s->size, s->batch_bytes, to_ms(s->linger_us), s->in_flight,
               s->acks == 1 ? "1" : "all", s->idempotent ? "idempotent" : "not idempotent");
    row(table, "acknowledged");
    table_cell(table, "%" PRIu64 " of %" PRIu64 "; within the %.1f s: %.0f records/s, %.2f MB/s",
               result->acked, result->due, result->seconds, (double)result->in_time / seconds,
               (double)result->in_time * s->size / seconds / 1e6);
    latency_rows(table, plan, result);
    row(table, "gap between acks");
    table_cell(table, "longest %.1f ms (partition %d); median of partitions %.1f ms",
               to_ms(result->gap.us), result->gap.partition,
               to_ms(bench_hist_at(&result->gaps, 50000)));
    client_rows(table, result);
    fault_rows(table, result);
}

static void read_rows(struct table *table, const struct bench_result *result)
{
    const struct bench_consumer_counters *c = &result->reading;
    double seconds = result->seconds > 0 ? result->seconds : 1;

    row(table, "read");
    table_cell(table, "%" PRIu64 " records, %" PRIu64 " bytes in %.2f s: %.0f records/s, %.2f MB/s",
               c->records, c->bytes, result->seconds, (double)c->records / seconds,
               (double)c->bytes / seconds / 1e6);
    row(table, "fetches");
    table_cell(table,
               "%" PRIu64 ", %" PRIu64 " of them empty, %" PRIu64 " errors, %" PRIu64
               " wrong checksums",
               c->fetches, c->empty, c->errors, c->corrupt);
}

static void conn_rows(struct table *table, const struct bench_plan *plan,
                      const struct bench_result *result)
{
    row(table, "connections");
    table_cell(table, "%u of %u, all at once; %u lost", result->connected, plan->connections,
               result->lost);
    hist_rows(table, "usable after", &result->connecting);
    row(table, "requests");
    table_cell(table, "%" PRIu64 " of %" PRIu64 " answered, %u a second", result->acked,
               result->due, plan->rate);
    latency_rows(table, plan, result);
}

static void print_table(const struct bench_plan *plan, const struct bench_result *result)
{
    static const char *const columns[] = {"WHAT", "VALUE"};
    struct table *table = table_new(columns, ARRAY_COUNT(columns));

    if (plan->kind != BENCH_CONNS) {
        row(table, "topic");
        table_cell(table, "%s, %u partitions", plan->settings.topic, result->partitions);
    }
    if (plan->kind == BENCH_READ) {
        read_rows(table, result);
    } else if (plan->kind == BENCH_CONNS) {
        conn_rows(table, plan, result);
    } else {
        load_rows(table, plan, result);
    }
    cpu_row(table, result);
    table_print(table);
}

void bench_print(const struct bench_plan *plan, const struct bench_result *result, bool json)
{
    if (json) {
        print_json(plan, result);
    } else {
        print_table(plan, result);
    }
}

bool bench_write_raw(const struct bench_plan *plan, const struct bench_result *result,
                     const char *path)
{
    FILE *out = fopen(path, "w");

    if (out == NULL) {
        return false;
    }
    (void)fprintf(out,
                  "# latency in microseconds: from, to, records; %s, topic %s, %u records/s of %u "
                  "bytes, %u partitions, %.1f s\n",
                  plan->what, plan->settings.topic, plan->rate, plan->settings.size,
                  result->partitions, result->seconds);
    bench_hist_write(&result->latency, out);
    if (plan->kind == BENCH_ARRIVAL) {
        (void)fputs("# the same until it was read\n", out);
        bench_hist_write(&result->arrival, out);
    }
    (void)fputs("# over time: 100 ms intervals, records, p50, p99, max\n", out);
    for (size_t i = 0; i < result->over_time.count; i++) {
        const struct bench_interval *at = &result->over_time.at[i];
        (void)fprintf(out, "%zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", i, at->count,
                      at->p50_us, at->p99_us, at->max_us);
    }
    bool good = ferror(out) == 0;
    return fclose(out) == 0 && good;
}
