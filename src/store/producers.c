/* SPDX-License-Identifier: Apache-2.0 */
/* Producer snapshots: small files beside the segments, one per offset, unsynced. The name says the
 * offset; a file that does not check out is as good as none. */
#include <stdio.h>

#include "store/store_impl.h"

#define PRODUCERS_FORMAT 1
#define PRODUCERS_HEADER 32
#define PRODUCERS_KEPT   2
static const uint8_t producers_magic[8] = {'T', 'E', 'R', 'N', 'P', 'R', 'O', 'D'};

struct names {
    int64_t *offsets; /* ascending once sorted */
    size_t count;
};

static void collect(void *ctx, const char *name)
{
    struct names *names = ctx;
    char *end = NULL;
    long long offset = strtoll(name, &end, 10);

    if (end == name || strcmp(end, ".producers") != 0 || offset < 0) {
        return;
    }
    names->offsets = mem_grow(names->offsets, names->count + 1, sizeof *names->offsets);
    names->offsets[names->count++] = offset;
}

static int ascending(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

static struct names list(struct store_log *log)
{
    struct disk *disk = log->store->disk;
    struct names names = {0};
    char dir[STORE_PATH_MAX];

    log_dir(log, dir);
    (void)disk->ops->list(disk, dir, collect, &names);
    if (names.count > 1) {
        qsort(names.offsets, names.count, sizeof *names.offsets, ascending);
    }
    return names;
}

static void path_of(const struct store_log *log, int64_t offset, char out[STORE_PATH_MAX + 40])
{
    char dir[STORE_PATH_MAX];

    log_dir(log, dir);
    (void)snprintf(out, STORE_PATH_MAX + 40, "%s/%020lld.producers", dir, (long long)offset);
}

static void remove_one(struct store_log *log, int64_t offset)
{
    char path[STORE_PATH_MAX + 40];

    path_of(log, offset, path);
    (void)log->store->disk->ops->remove(log->store->disk, path);
}

void producers_cut(struct store_log *log, int64_t offset)
{
    struct names names = list(log);

    for (size_t i = 0; i < names.count; i++) {
        if (names.offsets[i] > offset) {
            remove_one(log, names.offsets[i]);
        }
    }
    free(names.offsets);
}

void producers_drop_all(struct store_log *log)
{
    producers_cut(log, -1);
}

void store_producers_save(struct store_log *log, int64_t offset, struct slice bytes)
{
    struct disk *disk = log->store->disk;
    struct disk_file *file = NULL;
    struct buf out = {0};
    char path[STORE_PATH_MAX + 40];

    CHECK(!log->deleted);
    if (log->state.truncating || log_make_dir(log) != 0) {
        return; /* a missing snapshot is always allowed */
    }
    uint8_t *head = buf_extend(&out, PRODUCERS_HEADER);
    memset(head, 0, PRODUCERS_HEADER);
    memcpy(head, producers_magic, sizeof producers_magic);
    put_le32(head + 8, PRODUCERS_FORMAT);
    put_le32(head + 12, (uint32_t)bytes.len);
    put_le64(head + 16, (uint64_t)offset);
    put_le32(head + 24, log->number); /* not that of a deleted log of the same name */
    buf_put(&out, bytes);
    uint32_t sum = crc32c(slice_of(out.base, PRODUCERS_HEADER - 4));
    put_le32(out.base + PRODUCERS_HEADER - 4, crc32c_more(sum, bytes));
    path_of(log, offset, path);
    if (disk->ops->open(disk, path, true, &file) == 0) {
        if (disk->ops->truncate(disk, file, 0) == 0) {
            (void)disk->ops->write(disk, file, 0, buf_slice(&out));
        }
        disk->ops->close(disk, file);
    }
    buf_fini(&out);
    struct names names = list(log);
    for (size_t i = 0; i + PRODUCERS_KEPT < names.count; i++) {
        remove_one(log, names.offsets[i]);
    }
    free(names.offsets);
}

/* Appends the snapshot's bytes to out; false if it does not check out. */
static bool load(struct store_log *log, int64_t offset, struct buf *out)
{
    struct disk *disk = log->store->disk;
    struct disk_file *file = NULL;
    char path[STORE_PATH_MAX + 40];
    uint64_t size = 0;
    bool good = false;

    path_of(log, offset, path);
    if (disk->ops->open(disk, path, false, &file) != 0) {
        return false;
    }
    if (disk->ops->size(disk, file, &size) == 0 && size >= PRODUCERS_HEADER) {
        uint8_t *bytes = mem_new((size_t)size);
        size_t len = (size_t)size - PRODUCERS_HEADER;
        if (disk->ops->read(disk, file, 0, bytes, (size_t)size) == (int64_t)size &&
            memcmp(bytes, producers_magic, sizeof producers_magic) == 0 &&
            get_le32(bytes + 8) == PRODUCERS_FORMAT && get_le32(bytes + 12) == len &&
            get_le64(bytes + 16) == (uint64_t)offset && get_le32(bytes + 24) == log->number &&
            crc32c_more(crc32c(slice_of(bytes, PRODUCERS_HEADER - 4)),
                        slice_of(bytes + PRODUCERS_HEADER, len)) ==
                get_le32(bytes + PRODUCERS_HEADER - 4)) {
            buf_put(out, slice_of(bytes + PRODUCERS_HEADER, len));
            good = true;
        }
        free(bytes);
    }
    disk->ops->close(disk, file);
    return good;
}

bool store_producers_load(struct store_log *log, int64_t at_most, int64_t *out_offset,
                          struct buf *out)
{
    struct names names = list(log);
    bool found = false;

    for (size_t i = names.count; i-- > 0 && !found;) {
        if (names.offsets[i] <= at_most && names.offsets[i] <= log->state.leo &&
            load(log, names.offsets[i], out)) {
            *out_offset = names.offsets[i];
            found = true;
        }
    }
    free(names.offsets);
    return found;
}
