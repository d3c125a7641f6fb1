/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_hist.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

#define HALF      (UINT64_C(1) << BENCH_HIST_BITS)
#define VALUE_MAX (UINT64_C(1) << (BENCH_HIST_SHIFTS + BENCH_HIST_BITS))
#define ALL       UINT64_C(100000)

_Static_assert(BENCH_HIST_SHIFTS + BENCH_HIST_BITS < 63, "bucket ends fit");

/* The first 2 * HALF slots hold one value each; after that each doubling takes HALF slots. */
static size_t slot_of(uint64_t value)
{
    if (value < 2 * HALF) {
        return (size_t)value;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - BENCH_HIST_BITS;
    return (size_t)(shift * HALF + (value >> shift));
}

static uint64_t slot_low(size_t slot)
{
    if (slot < 2 * HALF) {
        return slot;
    }
    uint64_t shift = slot / HALF - 1;
    return (slot - shift * HALF) << shift;
}

static uint64_t slot_high(size_t slot)
{
    return slot_low(slot + 1) - 1;
}

void bench_hist_note(struct bench_hist *hist, uint64_t value)
{
    bench_hist_note_many(hist, value, 1);
}

void bench_hist_note_many(struct bench_hist *hist, uint64_t value, uint64_t times)
{
    if (times == 0) {
        return;
    }
    if (value > VALUE_MAX) {
        value = VALUE_MAX;
    }
    size_t slot = slot_of(value);
    CHECK(slot < BENCH_HIST_SLOTS);
    hist->slots[slot] += times;
    hist->min = hist->count == 0 || value < hist->min ? value : hist->min;
    hist->max = value > hist->max ? value : hist->max;
    hist->count += times;
    hist->sum += value * times;
}

void bench_hist_add(struct bench_hist *hist, const struct bench_hist *from)
{
    if (from->count == 0) {
        return;
    }
    for (size_t slot = 0; slot < BENCH_HIST_SLOTS; slot++) {
        hist->slots[slot] += from->slots[slot];
    }
    hist->min = hist->count == 0 || from->min < hist->min ? from->min : hist->min;
    hist->max = from->max > hist->max ? from->max : hist->max;
    hist->count += from->count;
    hist->sum += from->sum;
}

void bench_hist_clear(struct bench_hist *hist)
{
    memset(hist, 0, sizeof *hist);
}

uint64_t bench_hist_at(const struct bench_hist *hist, uint32_t parts)
{
    /* Rank of the wanted value, from 1: rounded up, so that the whole share is covered. */
    uint64_t rank = hist->count / ALL * parts + (hist->count % ALL * parts + ALL - 1) / ALL;
    uint64_t seen = 0;

    CHECK(parts <= ALL);
    rank = rank > 0 ? rank : 1;
    for (size_t slot = 0; slot < BENCH_HIST_SLOTS; slot++) {
        seen += hist->slots[slot];
        if (seen >= rank) {
            uint64_t high = slot_high(slot);
            return high < hist->max ? high : hist->max;
        }
    }
    return hist->max;
}

double bench_hist_mean(const struct bench_hist *hist)
{
    return hist->count > 0 ? (double)hist->sum / (double)hist->count : 0;
}

void bench_hist_write(const struct bench_hist *hist, FILE *out)
{
    for (size_t slot = 0; slot < BENCH_HIST_SLOTS; slot++) {
        if (hist->slots[slot] > 0) {
            (void)fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", slot_low(slot),
                          slot_high(slot), hist->slots[slot]);
        }
    }
}
