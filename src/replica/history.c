/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/history.h"

#include <string.h>

#include "base/check.h"

void history_fini(struct history *h)
{
    free(h->entries);
    *h = (struct history){0};
}

void history_copy(struct history *to, const struct history_entry *entries, size_t count)
{
    if (count > to->cap) {
        to->entries = mem_grow(to->entries, count, sizeof *entries);
        to->cap = count;
    }
    if (count > 0) {
        memcpy(to->entries, entries, count * sizeof *entries);
    }
    to->count = count;
}

void history_note(struct history *h, int32_t epoch, int64_t offset)
{
    if (h->count > 0 && h->entries[h->count - 1].epoch == epoch) {
        return;
    }
    CHECK(h->count == 0 || h->entries[h->count - 1].epoch < epoch);
    CHECK(h->count == 0 || h->entries[h->count - 1].start_offset < offset);
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? h->cap * 2 : 2;
        h->entries = mem_grow(h->entries, h->cap, sizeof *h->entries);
    }
    h->entries[h->count++] = (struct history_entry){epoch, offset};
}

void history_cut(struct history *h, int64_t end)
{
    while (h->count > 0 && h->entries[h->count - 1].start_offset >= end) {
        h->count--;
    }
}

int32_t history_epoch_before(const struct history *h, int64_t offset)
{
    for (size_t i = h->count; i > 0; i--) {
        if (h->entries[i - 1].start_offset < offset) {
            return h->entries[i - 1].epoch;
        }
    }
    return 0;
}

void history_end_of(const struct history *h, int64_t leo, int32_t epoch, int32_t *out_epoch,
                    int64_t *out_end)
{
    *out_epoch = -1;
    *out_end = -1;
    for (size_t i = h->count; i > 0; i--) {
        if (h->entries[i - 1].epoch <= epoch) {
            *out_epoch = h->entries[i - 1].epoch;
            *out_end = i < h->count ? h->entries[i].start_offset : leo;
            return;
        }
    }
}

static int64_t end_of_entry(const struct history_entry *h, size_t count, size_t i, int64_t leo)
{
    return i + 1 < count ? h[i + 1].start_offset : leo;
}

int64_t history_agree(const struct history_entry *a, size_t a_count, int64_t a_leo,
                      const struct history_entry *b, size_t b_count, int64_t b_leo)
{
    size_t i = a_count;
    size_t j = b_count;

    /* The newest epoch that both have: below its earlier end the logs are the same, because one
     * epoch has one leader and its log only grows. */
    while (i > 0 && j > 0) {
        int32_t ea = a[i - 1].epoch;
        int32_t eb = b[j - 1].epoch;
        if (ea == eb) {
            int64_t end_a = end_of_entry(a, a_count, i - 1, a_leo);
            int64_t end_b = end_of_entry(b, b_count, j - 1, b_leo);
            return end_a < end_b ? end_a : end_b;
        }
        if (ea > eb) {
            i--;
        } else {
            j--;
        }
    }
    /* No epoch in common: nothing that one of them holds is known of the other. */
    int64_t first_a = a_count > 0 ? a[0].start_offset : a_leo;
    int64_t first_b = b_count > 0 ? b[0].start_offset : b_leo;
    return first_a < first_b ? first_a : first_b;
}
