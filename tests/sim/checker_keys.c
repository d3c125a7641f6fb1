/* SPDX-License-Identifier: Apache-2.0 */
/* Compacted partitions: with what does a reader from the start end, key by key? */
#include "tests/sim/checker_inner.h"

#define KEYS_MAX 64

/* By key: the offset; NOWHERE: none. */
struct newest {
    int64_t at[KEYS_MAX];
};

/* The newest value of each key that stands in the log, or, of those, that the reader was given. */
static struct newest newest_of(struct checker *c, const struct partition *p, uint64_t reader)
{
    struct newest out;

    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        out.at[i] = NOWHERE;
    }
    for (int64_t i = 0; i < p->count; i++) {
        const struct place *place = &p->log[i];
        if (place->known && (reader == 0 || (place->readers & reader) != 0)) {
            out.at[checker_value(c, place->producer, place->number)->key % KEYS_MAX] = i;
        }
    }
    return out;
}

void checker_judge_keys(struct checker *c, uint32_t partition, uint64_t final_readers)
{
    const struct partition *p = &c->partitions[partition];

    if (!p->keyed) {
        return;
    }
    struct newest wanted = newest_of(c, p, 0);
    for (uint32_t r = 0; r < c->reader_count; r++) {
        if ((final_readers >> r & 1) == 0) {
            continue;
        }
        struct newest got = newest_of(c, p, (uint64_t)1 << r);
        for (uint32_t key = 0; key < KEYS_MAX; key++) {
            if (got.at[key] == wanted.at[key]) {
                continue;
            }
            const struct place *place = &p->log[wanted.at[key]];
            const struct value *value = checker_value(c, place->producer, place->number);
            if (value->tombstone && got.at[key] == NOWHERE) {
                continue; /* it has gone, with all that it stood against */
            }
            c->counts.lost++;
            checker_fail(
                c,
                "C14: partition %u: the newest %s of key %u stands at %lld, reader %u ends "
                "with %lld",
                partition, value->tombstone ? "tombstone" : "value", key, (long long)wanted.at[key],
                r, (long long)got.at[key]);
        }
    }
}
