/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one file: what was synced is in a backing file, what was not is in memory.
 *
 * Invariant: the backing file is exactly what a power failure leaves if it forgets everything.
 * Below `cut` its bytes are also the file's present ones, except where a page in memory says
 * otherwise; from `cut` on an unsynced truncation has taken them away. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/prng.h"

#define PIECE_BYTES 512u
#define PAGE_BYTES  4096u

struct page {
    uint64_t index;
    uint8_t dirty; /* bit per piece: written since the last sync */
    bool failed;   /* a sync of it failed: it counts as clean although the backing file is old */
    UT_hash_handle hh;
    uint8_t bytes[PAGE_BYTES];
};

struct forget_data {
    int fd;
    uint64_t size;         /* as seen by readers */
    uint64_t durable_size; /* of the backing file */
    uint64_t cut;
    struct page *pages; /* uthash */
};

/* What a power failure did; added to. */
struct forget_sum {
    uint64_t pieces_lost;
    uint64_t pieces_kept;
    uint64_t names_lost;
    uint64_t names_kept;
};

/* Each returns 0 or a positive errno, unless it says otherwise; those are of the backing file. */

/* Bytes read. */
size_t forget_data_read(struct forget_data *data, uint64_t pos, uint8_t *into, size_t len);
void forget_data_write(struct forget_data *data, uint64_t pos, const uint8_t *bytes, size_t len);
void forget_data_truncate(struct forget_data *data, uint64_t size);
int forget_data_sync(struct forget_data *data);
/* The sync fails as on Linux: pages are marked clean, readers see the new bytes, the disk has the
 * old ones. */
void forget_data_fail_sync(struct forget_data *data);
/* Power failure. With a generator the file loses all, nothing, or some pieces; NULL: all. */
int forget_data_forget(struct forget_data *data, struct prng *prng, struct forget_sum *sum);
void forget_data_fini(struct forget_data *data);
