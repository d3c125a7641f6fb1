/* SPDX-License-Identifier: Apache-2.0 */
/* `tern bench`: load and faults against this cluster, or any other that speaks Kafka. */
#pragma once

#include "cli/bench_run.h"
#include "cli/cli.h"

extern const struct cli_option bench_produce_options[];
extern const struct cli_option bench_read_options[];
extern const struct cli_option bench_arrival_options[];
extern const struct cli_option bench_gap_options[];
extern const struct cli_option bench_conns_options[];

int verb_bench_produce(struct cli *cli);
int verb_bench_consume(struct cli *cli);
int verb_bench_e2e(struct cli *cli);
int verb_bench_ship_lag(struct cli *cli);
int verb_bench_gap(struct cli *cli);
int verb_bench_conns(struct cli *cli);

/* Table, or JSON with -o json. */
void bench_print(const struct bench_plan *plan, const struct bench_result *result, bool json);
/* Everything noted, so that other percentiles can be computed later; false: errno tells. */
bool bench_write_raw(const struct bench_plan *plan, const struct bench_result *result,
                     const char *path) TERN_MUST_USE;
