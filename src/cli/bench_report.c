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

    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:I, s:i, s:b, s:I, s:I, s:I}", "topic", s->topic,
                     "rate", (json_int_t)plan->rate, "record_bytes", (json_int_t)s->size,
                     "batch_bytes", (json_int_t)s->batch_bytes, "linger_ms", to_ms(s->linger_us),
                     "in_flight", (json_int_t)s->in_flight, "acks", s->acks, "idempotent",
                     s->idempotent, "stall_ms", (json_int_t)s->stall_ms, "retry_ms",
                     (json_int_t)s->retry_ms, "warmup_ms", (json_int_t)plan->warmup_ms);
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

static void print_json(const struct bench_plan *plan, const struct bench_result *result)
{
    const struct bench_counters *c = &result->counters;
    json_t *out = json_object();

    json_object_set_new(out, "settings", json_settings(plan));
    json_object_set_new(out, "partitions", json_integer((json_int_t)result->partitions));
    json_object_set_new(out, "seconds", json_real(result->seconds));
    json_object_set_new(out, "records",
                        json_pack("{s:I, s:I, s:I}", "due", (json_int_t)result->due, "acked",
                                  (json_int_t)result->acked, "warmup", (json_int_t)result->warmed));
    json_object_set_new(out, "latency_ms", json_hist(&result->latency));
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

static void latency_rows(struct table *table, const struct bench_result *result)
{
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        row(table, i == 0 ? "latency" : "");
        table_cell(table, "%s %.3f ms", shares[i].name,
                   to_ms(bench_hist_at(&result->latency, shares[i].parts)));
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

static void print_table(const struct bench_plan *plan, const struct bench_result *result)
{
    static const char *const columns[] = {"WHAT", "VALUE"};
    const struct bench_settings *s = &plan->settings;
    struct table *table = table_new(columns, ARRAY_COUNT(columns));
    double seconds = result->seconds > 0 ? result->seconds : 1;

    row(table, "topic");
    table_cell(table, "%s, %u partitions", s->topic, result->partitions);
    row(table, "load");
    table_cell(
        table,
        "%u records/s of %u bytes; batch %u bytes, linger %.0f ms, %u in flight, acks %s, %s",
        plan->rate, s->size, s->batch_bytes, to_ms(s->linger_us), s->in_flight,
        s->acks == 1 ? "1" : "all", s->idempotent ? "idempotent" : "not idempotent");
    row(table, "acknowledged");
    table_cell(table, "%" PRIu64 " of %" PRIu64 " in %.1f s: %.0f records/s, %.2f MB/s",
               result->acked, result->due, result->seconds, (double)result->acked / seconds,
               (double)result->acked * s->size / seconds / 1e6);
    latency_rows(table, result);
    row(table, "gap between acks");
    table_cell(table, "longest %.1f ms (partition %d); median of partitions %.1f ms",
               to_ms(result->gap.us), result->gap.partition,
               to_ms(bench_hist_at(&result->gaps, 50000)));
    client_rows(table, result);
    fault_rows(table, result);
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
                  "# latency in microseconds: from, to, records; topic %s, %u records/s of %u "
                  "bytes, %u partitions, %.1f s\n",
                  plan->settings.topic, plan->rate, plan->settings.size, result->partitions,
                  result->seconds);
    bench_hist_write(&result->latency, out);
    bool good = ferror(out) == 0;
    return fclose(out) == 0 && good;
}
