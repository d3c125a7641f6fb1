/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_arrivals.h"

#include <stdlib.h>

#include "base/reader.h"

void bench_stamp_put(uint8_t value[BENCH_STAMP], struct bench_stamp stamp)
{
    put_be32(value, stamp.partition);
    put_be64(value + 4, stamp.number);
    put_be32(value + 12, stamp.run);
}

static bool stamp_of(const struct record *record, struct bench_stamp *out)
{
    struct reader in = reader_of(record->value);

    out->partition = reader_be32(&in);
    out->number = reader_be64(&in);
    out->run = reader_be32(&in);
    return !in.failed;
}

void bench_arrivals_init(struct bench_arrivals *arrivals, uint32_t run, uint32_t partitions)
{
    *arrivals = (struct bench_arrivals){.run = run, .partitions = partitions};
    arrivals->expected = mem_new(partitions * sizeof *arrivals->expected);
}

void bench_arrivals_fini(struct bench_arrivals *arrivals)
{
    free(arrivals->expected);
    arrivals->expected = NULL;
}

void bench_arrivals_take(struct bench_arrivals *arrivals, int32_t partition, struct slice batch,
                         void (*arrived)(void *ctx, struct bench_stamp stamp), void *ctx)
{
    struct record_iter iter;
    struct record record;
    struct bench_stamp stamp;

    if (record_iter_init(&iter, batch) != 0) {
        arrivals->strange++;
        return;
    }
    while (record_next(&iter, &record) == 0) {
        if (!stamp_of(&record, &stamp) || stamp.run != arrivals->run ||
            stamp.partition != (uint32_t)partition || stamp.partition >= arrivals->partitions) {
            arrivals->strange++;
            continue;
        }
        uint64_t *expected = &arrivals->expected[stamp.partition];
        if (stamp.number < *expected) {
            arrivals->repeated++;
            continue;
        }
        arrivals->missing += stamp.number - *expected;
        *expected = stamp.number + 1;
        arrivals->arrived++;
        arrived(ctx, stamp);
    }
}
