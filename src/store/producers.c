/* SPDX-License-Identifier: Apache-2.0 */
/* Producer snapshots: small files beside the segments, one per offset. The name says the offset, the
 * content also of which epoch the record before it is: the same epoch at the same offset is the same
 * log. A file that does not check out is as good as none.
 *
 * The log start is raised only behind one that is durable (INVARIANTS 36): what it stands for cannot be
 * read again. So a file gets its name when its bytes are synced, counts when its name is, and those
 * before it go only then, down to the newest that no cut can reach. */
#include <stdio.h>

#include "store/store_impl.h"

#define PRODUCERS_FORMAT       2
#define PRODUCERS_FORMAT_OLD   1 /* without the epoch */
#define PRODUCERS_FORMAT_GIVEN 3 /* came with the restart at its offset; has no epoch, either */
#define PRODUCERS_HEADER       40
#define PRODUCERS_HEADER_OLD   32
static const uint8_t producers_magic[8] = {'T', 'E', 'R', 'N', 'P', 'R', 'O', 'D'};

/* One on its way to the disk. */
struct producers_save {
    struct link link; /* in store.saves */
    struct store *store;
    struct store_log *log; /* NULL: deleted meanwhile */
    struct store_req *req;
    struct disk_op op;
    struct disk_extent extent;
    struct disk_file *file;
    struct disk_file *dirs[2]; /* its directory, and the one that names that */
    struct buf bytes;
    int64_t offset;
    int64_t committed;
    char path[STORE_PATH_MAX + 40];
};

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

void producers_seen(struct store_log *log, int64_t offset)
{
    log->snapshot_at = offset > log->snapshot_at ? offset : log->snapshot_at;
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

/* Format and log number, as the file says. False: it says nothing. */
static bool peek(struct store_log *log, int64_t offset, uint32_t *out_format, uint32_t *out_number)
{
    struct disk *disk = log->store->disk;
    struct disk_file *file = NULL;
    char path[STORE_PATH_MAX + 40];
    uint8_t head[PRODUCERS_HEADER_OLD];

    path_of(log, offset, path);
    if (disk->ops->open(disk, path, false, &file) != 0) {
        return false;
    }
    int64_t got = disk->ops->read(disk, file, 0, head, sizeof head);
    disk->ops->close(disk, file);
    *out_format = get_le32(head + 8);
    *out_number = get_le32(head + 24);
    return got == (int64_t)sizeof head;
}

/* Cuts are carried out late, and again by a replay: by then a newer snapshot may stand above them, and
 * the log start behind it. Which one is of this history its epoch says; those of old builds cannot. One that
 * came with a restart goes, too: it lies in the journal behind the cut, and is written again. */
void producers_cut(struct store_log *log, int64_t offset)
{
    struct names names = list(log);

    for (size_t i = 0; i < names.count; i++) {
        uint32_t format = 0;
        uint32_t number = 0;
        if (names.offsets[i] > offset &&
            (!peek(log, names.offsets[i], &format, &number) || format != PRODUCERS_FORMAT)) {
            remove_one(log, names.offsets[i]);
        }
    }
    free(names.offsets);
}

static void encode(const struct store_log *log, uint32_t format, int64_t offset, struct slice bytes,
                   struct buf *out);

/* The bytes first, then the name: the caller syncs the directory. */
static int write_given(struct store_log *log, int64_t offset, struct slice given)
{
    struct disk *disk = log->store->disk;
    struct buf bytes = {0};
    char path[STORE_PATH_MAX + 40];
    char new_path[STORE_PATH_MAX + 48];
    int status = log_make_dir(log);

    encode(log, PRODUCERS_FORMAT_GIVEN, offset, given, &bytes);
    path_of(log, offset, path);
    producers_seen(log, offset);
    (void)snprintf(new_path, sizeof new_path, "%s.new", path);
    status = status == 0 ? disk_replace_file(disk, new_path, path, buf_slice(&bytes)) : status;
    buf_fini(&bytes);
    return status == 0 ? disk->ops->sync_dir(disk, "topics") : status;
}

/* Of what is below the new start nobody knows an epoch any more, and no log start rests on it. */
int producers_restarted(struct store_log *log, int64_t offset, struct slice given)
{
    struct names names = list(log);

    for (size_t i = 0; i < names.count && names.offsets[i] <= offset; i++) {
        remove_one(log, names.offsets[i]);
    }
    free(names.offsets);
    producers_cut(log, offset);
    return given.len > 0 && !MUTANT(given_unwritten) ? write_given(log, offset, given) : 0;
}

/* A new log of the name may have its own by now. */
void producers_drop_all(struct store_log *log)
{
    struct names names = list(log);

    for (size_t i = 0; i < names.count; i++) {
        uint32_t format = 0;
        uint32_t number = 0;
        if (!peek(log, names.offsets[i], &format, &number) || number == log->number) {
            remove_one(log, names.offsets[i]);
        }
    }
    free(names.offsets);
}

int32_t log_epoch_before(const struct store_log *log, int64_t offset)
{
    int32_t epoch = 0;

    for (size_t i = 0; offset > log->state.log_start && i < log->state.history_count; i++) {
        if (log->state.history[i].start_offset < offset) {
            epoch = log->state.history[i].epoch;
        }
    }
    return epoch;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Is the file at `offset`, as it was read, of this log? */
static bool checks_out(const struct store_log *log, int64_t offset, const uint8_t *bytes,
                       size_t size, size_t *out_header)
{
    uint32_t format = get_le32(bytes + 8);
    size_t header = format == PRODUCERS_FORMAT_OLD ? PRODUCERS_HEADER_OLD : PRODUCERS_HEADER;

    if (memcmp(bytes, producers_magic, sizeof producers_magic) != 0 || size < header ||
        format < PRODUCERS_FORMAT_OLD || format > PRODUCERS_FORMAT_GIVEN ||
        get_le32(bytes + 12) != size - header || get_le64(bytes + 16) != (uint64_t)offset ||
        get_le32(bytes + 24) != log->number ||
        crc32c_more(crc32c(slice_of(bytes, header - 4)), slice_of(bytes + header, size - header)) !=
            get_le32(bytes + header - 4)) {
        return false;
    }
    int32_t epoch = format == PRODUCERS_FORMAT ? (int32_t)get_le32(bytes + 28) : 0;
    int32_t known = log_epoch_before(log, offset);
    *out_header = header;
    return epoch == 0 || known == 0 || epoch == known; /* else of a history that was cut */
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
    if (disk->ops->size(disk, file, &size) == 0 && size >= PRODUCERS_HEADER_OLD) {
        uint8_t *bytes = mem_new((size_t)size);
        size_t header = 0;
        if (disk->ops->read(disk, file, 0, bytes, (size_t)size) == (int64_t)size &&
            checks_out(log, offset, bytes, (size_t)size, &header)) {
            buf_put(out, slice_of(bytes + header, (size_t)size - header));
            good = true;
        }
        free(bytes);
    }
    disk->ops->close(disk, file);
    return good;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void save_free(struct producers_save *save)
{
    struct disk *disk = save->store->disk;

    if (save->file != NULL) {
        disk->ops->close(disk, save->file);
    }
    for (size_t i = 0; i < ARRAY_COUNT(save->dirs); i++) {
        if (save->dirs[i] != NULL) {
            disk->ops->close(disk, save->dirs[i]);
        }
    }
    if (link_in_list(&save->link)) {
        link_remove(&save->link);
    }
    buf_fini(&save->bytes);
    free(save);
}

void producers_saves_drop(struct store *store, const struct store_log *log)
{
    struct link *next = NULL;

    for (struct link *link = store->saves.next; link != &store->saves; link = next) {
        struct producers_save *save = CONTAINER_OF(link, struct producers_save, link);
        next = link->next;
        if (log == NULL) {
            save_free(save); /* the store closes: no op is under way */
        } else if (save->log == log) {
            save->log = NULL;
        }
    }
}

static void save_over(struct producers_save *save, int status)
{
    struct store *store = save->store;
    bool gone = save->log == NULL || save->log->deleted;
    struct store_req *req = gone ? NULL : save->req;

    if (status != 0) {
        (void)store->disk->ops->remove(store->disk, save->path);
    }
    save_free(save);
    if (status != 0 && status != TERN_ENOSPC) {
        store_fail(store, status, "writing a producer snapshot");
    } else if (req != NULL) {
        req->done(req, status);
    }
}

/* All below the newest one that no cut can reach. */
static void remove_older(struct producers_save *save)
{
    struct names names = list(save->log);
    struct buf bytes = {0};
    int64_t kept = -1;

    for (size_t i = names.count; i-- > 0 && kept < 0;) {
        bool firm = names.offsets[i] <= save->committed;
        kept = firm && load(save->log, names.offsets[i], &bytes) ? names.offsets[i] : -1;
    }
    buf_fini(&bytes);
    for (size_t i = 0; i < names.count && names.offsets[i] < kept; i++) {
        remove_one(save->log, names.offsets[i]);
    }
    free(names.offsets);
}

static void save_named(struct disk_op *op, int64_t status)
{
    struct producers_save *save = CONTAINER_OF(op, struct producers_save, op);

    if (save->store->failed) {
        return;
    }
    if (status == 0 && save->log != NULL && !save->log->deleted) {
        remove_older(save);
    }
    save_over(save, (int)status);
}

static void save_written(struct disk_op *op, int64_t status)
{
    struct producers_save *save = CONTAINER_OF(op, struct producers_save, op);
    struct store *store = save->store;
    struct disk *disk = store->disk;
    char path[STORE_PATH_MAX + 40];
    int rv = (int)status;

    if (store->failed) {
        return;
    }
    disk->ops->close(disk, save->file);
    save->file = NULL;
    if (rv != 0 || save->log == NULL || save->log->deleted) {
        (void)disk->ops->remove(disk, save->path);
        save_over(save, rv);
        return;
    }
    path_of(save->log, save->offset, path);
    producers_seen(save->log, save->offset);
    rv = disk->ops->rename(disk, save->path, path);
    if (rv != 0) {
        save_over(save, rv);
    } else if (MUTANT(producers_unsynced)) {
        save_named(&save->op, 0);
    } else {
        save->op = (struct disk_op){
            .kind = DISK_SYNC, .files = save->dirs, .file_count = 2, .done = save_named};
        disk_submit(disk, &save->op);
    }
}

static void encode(const struct store_log *log, uint32_t format, int64_t offset, struct slice bytes,
                   struct buf *out)
{
    int32_t epoch = format == PRODUCERS_FORMAT_GIVEN ? 0 : log_epoch_before(log, offset);
    uint8_t *head = buf_extend(out, PRODUCERS_HEADER);

    memset(head, 0, PRODUCERS_HEADER);
    memcpy(head, producers_magic, sizeof producers_magic);
    put_le32(head + 8, format);
    put_le32(head + 12, (uint32_t)bytes.len);
    put_le64(head + 16, (uint64_t)offset);
    put_le32(head + 24, log->number); /* not that of a deleted log of the same name */
    put_le32(head + 28, (uint32_t)epoch);
    uint32_t sum = crc32c(slice_of(head, PRODUCERS_HEADER - 4));
    put_le32(head + PRODUCERS_HEADER - 4, crc32c_more(sum, bytes));
    buf_put(out, bytes);
}

void store_producers_save(struct store_log *log, int64_t offset, int64_t committed,
                          struct slice bytes, struct store_req *req)
{
    struct store *store = log->store;
    struct disk *disk = store->disk;
    struct producers_save *save = mem_new(sizeof *save);
    char dir[STORE_PATH_MAX];

    CHECK(!log->deleted);
    CHECK(!log->state.truncating);
    CHECK(offset <= log->state.leo);
    save->store = store;
    save->log = log;
    save->req = req;
    save->offset = offset;
    save->committed = committed;
    encode(log, PRODUCERS_FORMAT, offset, bytes, &save->bytes);
    log_dir(log, dir);
    (void)snprintf(save->path, sizeof save->path, "%s/%020lld-%u.new", dir, (long long)offset,
                   ++store->save_count);
    int status = log_make_dir(log);
    if (status == 0) {
        status = disk->ops->open(disk, dir, false, &save->dirs[0]);
    }
    if (status == 0) {
        status = disk->ops->open(disk, "topics", false, &save->dirs[1]);
    }
    if (status == 0) {
        status = disk->ops->open(disk, save->path, true, &save->file);
    }
    if (status == 0) {
        status = disk->ops->truncate(disk, save->file, 0);
    }
    if (status != 0) {
        push_nothing(store, req, TERN_ENOSPC); /* a missing snapshot is always allowed */
        save_free(save);
        return;
    }
    queue_push(&store->saves, &save->link);
    save->extent = (struct disk_extent){save->file, 0, buf_slice(&save->bytes)};
    save->op = (struct disk_op){.kind = DISK_WRITE,
                                .extents = &save->extent,
                                .extent_count = 1,
                                .sync = MUTANT(producers_unsynced) ? NULL : save->file,
                                .done = save_written};
    disk_submit(disk, &save->op);
}

/* The newest restart of the log whose files are still to be changed; NULL: none. */
static const struct entry *unapplied_restart(const struct store_log *log)
{
    const struct entry *found = NULL;

    QUEUE_EACH (link, &log->store->unapplied) {
        const struct entry *entry = CONTAINER_OF(link, struct entry, link);
        if (entry->log == log && entry->kind == ENTRY_RESTART) {
            found = entry;
        }
    }
    return found;
}

bool store_producers_load(struct store_log *log, int64_t at_most, int64_t *out_offset,
                          struct buf *out)
{
    const struct entry *restart = unapplied_restart(log);
    int64_t above = restart != NULL ? restart->offset : -1; /* the others are of another history */
    bool found = false;

    if (roster_knows(log, at_most) && log->roster.offset > above &&
        log->roster.offset >= log->snapshot_at) {
        *out_offset = log->roster.offset;
        buf_put(out, log->roster.bytes);
        return true; /* without a look at thousands of directories, one for each log */
    }
    struct names names = list(log);
    for (size_t i = names.count; i-- > 0 && !found && names.offsets[i] > above;) {
        if (names.offsets[i] <= at_most && names.offsets[i] <= log->state.leo &&
            load(log, names.offsets[i], out)) {
            *out_offset = names.offsets[i];
            found = true;
        }
    }
    free(names.offsets);
    if (!found && restart != NULL && above <= at_most && restart_given(restart).len > 0) {
        buf_put(out, restart_given(restart));
        *out_offset = above;
        found = true;
    }
    return found;
}
