/* SPDX-License-Identifier: Apache-2.0 */
#include "jepsen/disk/forget_data.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define PIECES (PAGE_BYTES / PIECE_BYTES)

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct page *page_find(const struct forget_data *data, uint64_t index)
{
    struct page *page = NULL;

    HASH_FIND(hh, data->pages, &index, sizeof index, page);
    return page;
}

static void page_drop(struct forget_data *data, struct page *page)
{
    HASH_DEL(data->pages, page);
    free(page);
}

/* Bytes of the backing file that still count; the rest of `into` becomes zero. */
static void read_backing(const struct forget_data *data, uint64_t pos, uint8_t *into, size_t len)
{
    uint64_t end = smaller(pos + len, data->cut);
    size_t got = 0;

    while (pos + got < end) {
        ssize_t n = pread(data->fd, into + got, (size_t)(end - pos - got), (off_t)(pos + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        CHECK(n > 0); /* the backing directory is not the disk under test */
        got += (size_t)n;
    }
    memset(into + got, 0, len - got);
}

static int write_backing(const struct forget_data *data, uint64_t pos, const uint8_t *bytes,
                         size_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(data->fd, bytes, len, (off_t)pos);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? EIO : errno;
        }
        pos += (uint64_t)n;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int resize_backing(const struct forget_data *data, uint64_t size)
{
    return ftruncate(data->fd, (off_t)size) == 0 ? 0 : errno;
}

size_t forget_data_read(struct forget_data *data, uint64_t pos, uint8_t *into, size_t len)
{
    if (pos >= data->size) {
        return 0;
    }
    len = (size_t)smaller(len, data->size - pos);
    read_backing(data, pos, into, len);
    for (uint64_t at = pos; data->pages != NULL && at < pos + len;) {
        uint64_t next = smaller((at / PAGE_BYTES + 1) * PAGE_BYTES, pos + len);
        const struct page *page = page_find(data, at / PAGE_BYTES);
        if (page != NULL) {
            memcpy(into + (at - pos), page->bytes + at % PAGE_BYTES, (size_t)(next - at));
        }
        at = next;
    }
    return len;
}

static struct page *page_for_write(struct forget_data *data, uint64_t index)
{
    struct page *page = page_find(data, index);

    if (page == NULL) {
        page = mem_new(sizeof *page);
        page->index = index;
        read_backing(data, index * PAGE_BYTES, page->bytes, PAGE_BYTES);
        HASH_ADD(hh, data->pages, index, sizeof page->index, page);
    }
    return page;
}

void forget_data_write(struct forget_data *data, uint64_t pos, const uint8_t *bytes, size_t len)
{
    for (uint64_t at = pos; at < pos + len;) {
        uint64_t next = smaller((at / PAGE_BYTES + 1) * PAGE_BYTES, pos + len);
        struct page *page = page_for_write(data, at / PAGE_BYTES);
        memcpy(page->bytes + at % PAGE_BYTES, bytes + (at - pos), (size_t)(next - at));
        for (uint64_t piece = at / PIECE_BYTES; piece * PIECE_BYTES < next; piece++) {
            page->dirty = (uint8_t)(page->dirty | 1u << piece % PIECES);
        }
        at = next;
    }
    data->size = data->size > pos + len ? data->size : pos + len;
}

void forget_data_truncate(struct forget_data *data, uint64_t size)
{
    struct page *page = NULL;
    struct page *next = NULL;

    HASH_ITER (hh, data->pages, page, next) {
        uint64_t start = page->index * PAGE_BYTES;
        if (start >= size) {
            page_drop(data, page);
        } else if (start + PAGE_BYTES > size) {
            memset(page->bytes + (size - start), 0, (size_t)(start + PAGE_BYTES - size));
        }
    }
    data->cut = smaller(data->cut, size);
    data->size = size;
}

/* The pieces of `mask` go to the backing file. */
static int page_keep(const struct forget_data *data, const struct page *page, uint8_t mask)
{
    int error = 0;

    for (size_t i = 0; i < PIECES && error == 0;) {
        size_t run = 0;
        while (i + run < PIECES && (mask >> (i + run) & 1) != 0) {
            run++;
        }
        if (run > 0) {
            error = write_backing(data, page->index * PAGE_BYTES + i * PIECE_BYTES,
                                  page->bytes + i * PIECE_BYTES, run * PIECE_BYTES);
        }
        i += run + 1;
    }
    return error;
}

static void settle(struct forget_data *data, uint64_t size)
{
    data->durable_size = size;
    data->cut = size;
    data->size = size;
}

int forget_data_sync(struct forget_data *data)
{
    struct page *page = NULL;
    struct page *next = NULL;
    int error = data->cut < data->durable_size ? resize_backing(data, data->cut) : 0;

    HASH_ITER (hh, data->pages, page, next) {
        error = error == 0 ? page_keep(data, page, page->dirty) : error;
        page->dirty = 0;
        if (!page->failed) {
            page_drop(data, page);
        }
    }
    /* Pieces are whole; the file may end within the last one. */
    error = error == 0 ? resize_backing(data, data->size) : error;
    settle(data, data->size);
    return error;
}

void forget_data_fail_sync(struct forget_data *data)
{
    struct page *page = NULL;
    struct page *next = NULL;

    HASH_ITER (hh, data->pages, page, next) {
        page->failed = true;
        page->dirty = 0;
    }
}

static void drop_pages(struct forget_data *data, struct forget_sum *sum)
{
    struct page *page = NULL;
    struct page *next = NULL;

    HASH_ITER (hh, data->pages, page, next) {
        sum->pieces_lost += (unsigned)__builtin_popcount(page->dirty);
        page_drop(data, page);
    }
}

/* Which dirty pieces of a page survive. */
static uint8_t draw_mask(struct prng *prng, const struct page *page, uint64_t per_16, bool whole)
{
    uint8_t mask = 0;

    if (whole) {
        return prng_chance(prng, per_16, 16) ? page->dirty : 0;
    }
    for (unsigned i = 0; i < PIECES; i++) {
        if ((page->dirty >> i & 1) != 0 && prng_chance(prng, per_16, 16)) {
            mask = (uint8_t)(mask | 1u << i);
        }
    }
    return mask;
}

/* Some pieces survive, in any order, as devices do it; the size goes with them or not. */
static int tear(struct forget_data *data, struct prng *prng, struct forget_sum *sum)
{
    bool was_cut = data->cut < data->durable_size && prng_chance(prng, 1, 2);
    uint64_t base = was_cut ? data->cut : data->durable_size;
    uint64_t per_16 = prng_between(prng, 1, 15);
    bool whole_pages = prng_chance(prng, 1, 2);
    uint64_t end = base;
    struct page *page = NULL;
    struct page *next = NULL;
    int error = was_cut ? resize_backing(data, base) : 0;

    HASH_ITER (hh, data->pages, page, next) {
        /* Without the truncation the blocks behind it are still the old file's. */
        bool possible = was_cut || data->cut >= data->durable_size ||
                        (page->index + 1) * PAGE_BYTES <= data->cut;
        uint8_t mask = possible ? draw_mask(prng, page, per_16, whole_pages) : 0;
        if (mask != 0 && error == 0) {
            uint64_t last = 32u - (unsigned)__builtin_clz((unsigned)mask);
            uint64_t page_end = page->index * PAGE_BYTES + last * PIECE_BYTES;
            error = page_keep(data, page, mask);
            end = end > page_end ? end : page_end;
        }
        sum->pieces_kept += (unsigned)__builtin_popcount(mask);
        sum->pieces_lost += (unsigned)__builtin_popcount(page->dirty & ~mask);
        page_drop(data, page);
    }
    bool may_grow = data->size > base && (was_cut || data->cut >= data->durable_size);
    uint64_t top = may_grow ? data->size : base;
    uint64_t draw = prng_below(prng, 4);
    uint64_t size = draw == 0 ? base : draw == 1 ? top : smaller(end, top);
    error = error == 0 ? resize_backing(data, size) : error;
    settle(data, size);
    return error;
}

int forget_data_forget(struct forget_data *data, struct prng *prng, struct forget_sum *sum)
{
    struct page *page = NULL;
    struct page *next = NULL;
    uint64_t fate = prng != NULL ? prng_below(prng, 3) : 0;

    if (fate == 0) {
        drop_pages(data, sum);
        settle(data, data->durable_size);
        return 0;
    }
    /* What a sync failed to write is not on the disk, whatever else is. */
    HASH_ITER (hh, data->pages, page, next) {
        if (page->failed) {
            page_drop(data, page);
        }
    }
    if (fate == 1) {
        HASH_ITER (hh, data->pages, page, next) {
            sum->pieces_kept += (unsigned)__builtin_popcount(page->dirty);
        }
        return forget_data_sync(data);
    }
    return tear(data, prng, sum);
}

void forget_data_fini(struct forget_data *data)
{
    struct forget_sum sum = {0};

    drop_pages(data, &sum);
    if (data->fd >= 0) {
        (void)close(data->fd);
    }
    data->fd = -1;
}
