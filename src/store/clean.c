/* SPDX-License-Identifier: Apache-2.0 */
/* After a crash names may be there that nothing knows any more: files of deleted logs and removed
 * segments, half quarantine files. They are never read; here they give their space back. Names
 * that are not ours are left alone. */
#include <stdio.h>

#include "base/trace.h"
#include "store/store_impl.h"

struct names {
    char **names;
    size_t count;
};

static void collect(void *ctx, const char *name)
{
    struct names *names = ctx;

    names->names = mem_grow(names->names, names->count + 1, sizeof(char *));
    names->names[names->count++] = mem_string(name);
}

static void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
}

/* "<topic id>-<partition>" */
static bool parse_dir(const char *name, struct uuid *out_id, int32_t *out_partition)
{
    char id[UUID_TEXT_SIZE];
    char *end = NULL;
    size_t id_len = UUID_TEXT_SIZE - 1;

    if (strlen(name) < id_len + 2 || name[id_len] != '-') {
        return false;
    }
    memcpy(id, name, id_len);
    id[id_len] = '\0';
    long partition = strtol(name + id_len + 1, &end, 10);
    *out_partition = (int32_t)partition;
    return *end == '\0' && partition >= 0 && partition <= INT32_MAX && uuid_parse(id, out_id);
}

static bool has_segment(const struct store_log *log, int64_t base, uint32_t generation)
{
    for (uint32_t i = 0; log != NULL && i < log->segment_count; i++) {
        if (log->segments[i]->base == base && log->segments[i]->generation == generation) {
            return true;
        }
    }
    return false;
}

/* "<offset>.log", ".index", "<offset>-<generation>.log", ".index", "<offset>.producers" that belongs to
 * nothing; or "<offset>-<count>.new", which never got its name. */
static bool is_leftover(const struct store_log *log, const char *name)
{
    char *suffix = NULL;
    long long offset = strtoll(name, &suffix, 10);

    unsigned long generation = 0;

    if (suffix == name || offset < 0) {
        return false;
    }
    if (*suffix == '-') {
        generation = strtoul(suffix + 1, &suffix, 10);
    }
    if (strcmp(suffix, ".log") == 0 || strcmp(suffix, ".index") == 0) {
        return !has_segment(log, offset, (uint32_t)generation);
    }
    return strcmp(suffix, ".new") == 0 ||
           (strcmp(suffix, ".producers") == 0 && (log == NULL || offset > log->state.leo));
}

static unsigned clean_dir(struct store *store, const char *name, struct store_log *log)
{
    struct disk *disk = store->disk;
    struct names files = {0};
    char dir[STORE_PATH_MAX];
    char path[STORE_PATH_MAX * 2];
    unsigned removed = 0;

    (void)snprintf(dir, sizeof dir, "topics/%s", name);
    (void)disk->ops->list(disk, dir, collect, &files);
    for (size_t i = 0; i < files.count; i++) {
        if (log != NULL && strstr(files.names[i], ".producers") != NULL) {
            producers_seen(log, strtoll(files.names[i], NULL, 10));
        }
        if (is_leftover(log, files.names[i])) {
            (void)snprintf(path, sizeof path, "%s/%.200s", dir, files.names[i]);
            removed += disk->ops->remove(disk, path) == 0;
        }
    }
    names_fini(&files);
    if (log == NULL) {
        (void)disk->ops->remove(disk, dir); /* stays if something foreign is in it */
    }
    return removed;
}

/* Half quarantine files: the log still has their bytes. */
static void clean_quarantine(struct store *store)
{
    struct names files = {0};
    char path[STORE_PATH_MAX];

    (void)store->disk->ops->list(store->disk, "quarantine", collect, &files);
    for (size_t i = 0; i < files.count; i++) {
        size_t len = strlen(files.names[i]);
        if (len > 4 && strcmp(files.names[i] + len - 4, ".new") == 0) {
            (void)snprintf(path, sizeof path, "quarantine/%.200s", files.names[i]);
            (void)store->disk->ops->remove(store->disk, path);
        }
    }
    names_fini(&files);
}

void clean_leftovers(struct store *store)
{
    struct names dirs = {0};
    unsigned removed = 0;

    clean_quarantine(store);
    (void)store->disk->ops->list(store->disk, "topics", collect, &dirs);
    for (size_t i = 0; i < dirs.count; i++) {
        struct uuid id;
        int32_t partition = 0;
        if (parse_dir(dirs.names[i], &id, &partition)) {
            removed += clean_dir(store, dirs.names[i], store_find(store, id, partition));
        }
    }
    names_fini(&dirs);
    if (removed > 0) {
        trace_info("event=leftovers_removed files=%u", removed);
    }
}
