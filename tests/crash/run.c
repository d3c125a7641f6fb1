/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/run.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static void died(void *ctx, int error, const char *what)
{
    struct run *run = ctx;

    (void)snprintf(run->why, sizeof run->why, "%s: %s", what, error_name(error));
    run->wrong = "the store gave up";
}

struct store_options run_options(struct run *run)
{
    struct store_options options = store_defaults();

    options.journal_file_bytes = 64u << 10;
    options.journal_files_max = 3;
    options.segment_bytes = 12000;
    options.reserve_bytes = 0;
    options.cache_bytes = 0; /* written to segments at once; what is compared comes from there */
    options.blocks_from =
        run->seed % 3 == 0 ? 16384 : 600; /* some of a workload's writes, or none */
    options.idle_marker_ms = 20;
    options.apply_wait_ms = 100; /* so that crashes meet segments */
    options.checkpoint_ms = 50;
    options.compact_every_ms = 20;
    options.compact_bytes_per_s = 0;
    options.compact_map_bytes = 0;
    options.fatal = died;
    options.fatal_ctx = run;
    return options;
}

struct run *run_new(uint64_t seed)
{
    struct run *run = mem_new(sizeof *run);

    run->seed = seed;
    memset(run->saved, 0xff, sizeof run->saved); /* -1 */
    fake_clock_init(&run->clock, seed);
    prng_init(&run->prng, seed);
    run->disk = mem_disk_new(&run->clock.clock, seed);
    return run;
}

void run_free(struct run *run)
{
    mem_disk_on_point(run->disk, NULL, NULL);
    if (run->store != NULL) {
        mem_disk_kill(run->disk);
        store_close(run->store);
    }
    mem_disk_free(run->disk);
    fake_clock_fini(&run->clock);
    model_state_fini(&run->acked_state);
    model_state_fini(&run->called);
    for (size_t i = 0; i < run->cut_count; i++) {
        model_state_fini(&run->cuts[i].before);
    }
    free(run);
}
