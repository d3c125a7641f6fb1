/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/quorum_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/trace.h"

/* ---- violations ----------------------------------------------------------------------------- */

void world_violation(struct world *world, const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (world->violation[0] == 0) {
        (void)snprintf(world->violation, sizeof world->violation, "seed %llu at %llu ms: %s",
                       (unsigned long long)world->seed, (unsigned long long)(world->now_us / 1000),
                       text);
    }
    world->lost = true;
    if (!world->tolerant) {
        fprintf(stderr, "VIOLATION %s\n", world->violation);
        trace_dump_tail();
        abort();
    }
}

/* A story of the run on stderr, with WORLD_TRACE=1. */
static void tell(const struct world *world, const char *format, ...) TERN_PRINTF(2, 3);
static void tell(const struct world *world, const char *format, ...)
{
    va_list args;

    if (!world->telling) {
        return;
    }
    va_start(args, format);
    fprintf(stderr, "%8.1f ", (double)world->now_us / 1000);
    (void)vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- events --------------------------------------------------------------------------------- */

static bool event_before(const struct world_event *a, const struct world_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void event_add(struct world *world, struct world_event *event, uint64_t at_us)
{
    event->at_us = at_us;
    event->seq = world->next_seq++;
    if (world->event_count + 1 >= world->event_cap) {
        world->event_cap = world->event_cap > 0 ? world->event_cap * 2 : 256;
        world->events = mem_grow(world->events, world->event_cap, sizeof(void *));
    }
    size_t i = ++world->event_count;
    while (i > 1 && event_before(event, world->events[i / 2])) {
        world->events[i] = world->events[i / 2];
        i /= 2;
    }
    world->events[i] = event;
}

static struct world_event *event_take(struct world *world)
{
    struct world_event *first = world->events[1];
    struct world_event *last = world->events[world->event_count--];
    size_t i = 1;

    for (;;) {
        size_t child = i * 2;
        if (child > world->event_count) {
            break;
        }
        if (child < world->event_count &&
            event_before(world->events[child + 1], world->events[child])) {
            child++;
        }
        if (!event_before(world->events[child], last)) {
            break;
        }
        world->events[i] = world->events[child];
        i = child;
    }
    world->events[i] = last;
    return first;
}

/* ---- disk ----------------------------------------------------------------------------------- */

struct world_inode {
    struct world_inode *next;
    uint8_t *now;
    size_t now_len;
    size_t now_cap;
    uint8_t *safe;
    size_t safe_len;
    size_t safe_cap;
    size_t dirty_from; /* bytes that may differ between the two */
    size_t dirty_to;
};

struct disk_file {
    struct world_inode *inode;
};

struct disk_event {
    struct world_event event;
    struct world_disk *disk;
    uint64_t boot;
    struct disk_op *op;
};

#define SECTOR 512

static struct world_disk *world_disk(struct disk *disk)
{
    return CONTAINER_OF(disk, struct world_disk, disk);
}

/* False: this change does not happen (any more). */
static bool change_allowed(struct world_disk *disk)
{
    disk->changes++;
    if (disk->crash_in > 0 && --disk->crash_in == 0) {
        disk->stopped = true;
    }
    return !disk->stopped && !disk->fail;
}

static int change_error(const struct world_disk *disk)
{
    return disk->fail ? TERN_EIO : 0;
}

static struct world_name *name_find(struct world_name *names, const char *path)
{
    for (size_t i = 0; i < 16; i++) {
        if (names[i].inode != NULL && strcmp(names[i].path, path) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

static struct world_name *name_free(struct world_name *names)
{
    for (size_t i = 0; i < 16; i++) {
        if (names[i].inode == NULL) {
            return &names[i];
        }
    }
    check_failed("room for a name", __FILE__, __LINE__, __func__);
}

static void name_set(struct world_name *names, const char *path, struct world_inode *inode)
{
    struct world_name *name = name_find(names, path);

    if (name == NULL) {
        name = name_free(names);
    }
    CHECK(strlen(path) < sizeof name->path);
    strcpy(name->path, path);
    name->inode = inode;
}

static int wd_open(struct disk *base, const char *path, bool create, struct disk_file **out)
{
    struct world_disk *disk = world_disk(base);
    struct world_name *name = name_find(disk->names, path);
    struct disk_file *file;

    if (name == NULL && !create) {
        return TERN_ENOENT;
    }
    if (name == NULL) {
        struct world_inode *inode = mem_new(sizeof *inode);
        inode->next = disk->inodes;
        disk->inodes = inode;
        name_set(disk->names, path, inode);
        name = name_find(disk->names, path);
    }
    file = mem_new(sizeof *file);
    file->inode = name->inode;
    *out = file;
    return 0;
}

static void wd_close(struct disk *base, struct disk_file *file)
{
    (void)base;
    free(file);
}

static int wd_size(struct disk *base, struct disk_file *file, uint64_t *out)
{
    (void)base;
    *out = file->inode->now_len;
    return 0;
}

static int64_t wd_read(struct disk *base, struct disk_file *file, uint64_t pos, uint8_t *into,
                       size_t len)
{
    const struct world_inode *inode = file->inode;

    (void)base;
    if (pos >= inode->now_len) {
        return 0;
    }
    if (len > inode->now_len - pos) {
        len = inode->now_len - (size_t)pos;
    }
    memcpy(into, inode->now + pos, len);
    return (int64_t)len;
}

static void inode_reserve(uint8_t **bytes, size_t *cap, size_t len)
{
    if (len > *cap) {
        size_t wanted = *cap > 0 ? *cap : 4096;
        while (wanted < len) {
            wanted *= 2;
        }
        *bytes = mem_grow(*bytes, wanted, 1);
        memset(*bytes + *cap, 0, wanted - *cap);
        *cap = wanted;
    }
}

static void inode_dirty(struct world_inode *inode, size_t from, size_t to)
{
    if (inode->dirty_from == inode->dirty_to) {
        inode->dirty_from = from;
        inode->dirty_to = to;
    }
    inode->dirty_from = from < inode->dirty_from ? from : inode->dirty_from;
    inode->dirty_to = to > inode->dirty_to ? to : inode->dirty_to;
}

static void inode_write(struct world_inode *inode, uint64_t pos, struct slice bytes)
{
    size_t end = (size_t)pos + bytes.len;

    inode_reserve(&inode->now, &inode->now_cap, end);
    if (pos > inode->now_len) {
        memset(inode->now + inode->now_len, 0, (size_t)pos - inode->now_len);
    }
    inode_dirty(inode, (size_t)pos < inode->now_len ? (size_t)pos : inode->now_len, end);
    memcpy(inode->now + pos, bytes.base, bytes.len);
    inode->now_len = end > inode->now_len ? end : inode->now_len;
}

static void inode_sync(struct world_inode *inode)
{
    inode_reserve(&inode->safe, &inode->safe_cap, inode->now_len);
    size_t to = inode->dirty_to < inode->now_len ? inode->dirty_to : inode->now_len;
    if (inode->dirty_from < to) {
        memcpy(inode->safe + inode->dirty_from, inode->now + inode->dirty_from,
               to - inode->dirty_from);
    }
    inode->safe_len = inode->now_len;
    inode->dirty_from = inode->dirty_to = 0;
}

static int wd_write(struct disk *base, struct disk_file *file, uint64_t pos, struct slice bytes)
{
    struct world_disk *disk = world_disk(base);

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    inode_write(file->inode, pos, bytes);
    return 0;
}

static int wd_sync(struct disk *base, struct disk_file *file)
{
    struct world_disk *disk = world_disk(base);

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    inode_sync(file->inode);
    return 0;
}

static int wd_truncate(struct disk *base, struct disk_file *file, uint64_t size)
{
    struct world_disk *disk = world_disk(base);
    struct world_inode *inode = file->inode;

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    if (size < inode->now_len) {
        memset(inode->now + size, 0, inode->now_len - (size_t)size);
        inode_dirty(inode, (size_t)size, inode->now_len);
        inode->now_len = (size_t)size;
    }
    return 0;
}

static int wd_preallocate(struct disk *base, struct disk_file *file, uint64_t size)
{
    (void)base;
    (void)file;
    (void)size;
    return 0;
}

static int wd_stat(struct disk *base, const char *path, struct disk_stat *out)
{
    const struct world_name *name = name_find(world_disk(base)->names, path);

    if (name == NULL) {
        return TERN_ENOENT;
    }
    *out = (struct disk_stat){name->inode->now_len, false};
    return 0;
}

static int wd_mkdir(struct disk *base, const char *path)
{
    (void)base;
    (void)path;
    return 0;
}

static int wd_rename(struct disk *base, const char *from, const char *to)
{
    struct world_disk *disk = world_disk(base);
    struct world_name *name = name_find(disk->names, from);

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    CHECK(name != NULL);
    struct world_inode *inode = name->inode;
    name->inode = NULL;
    name_set(disk->names, to, inode);
    return 0;
}

static int wd_remove(struct disk *base, const char *path)
{
    struct world_disk *disk = world_disk(base);
    struct world_name *name = name_find(disk->names, path);

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    if (name == NULL) {
        return TERN_ENOENT;
    }
    name->inode = NULL;
    return 0;
}

static int wd_sync_dir(struct disk *base, const char *path)
{
    struct world_disk *disk = world_disk(base);

    if (!change_allowed(disk)) {
        return change_error(disk);
    }
    if (path[0] != 0) {
        memcpy(disk->durable, disk->names, sizeof disk->durable);
    }
    return 0;
}

static int wd_list(struct disk *base, const char *path, void (*each)(void *ctx, const char *name),
                   void *ctx)
{
    (void)base;
    (void)path;
    (void)each;
    (void)ctx;
    return 0;
}

static uint64_t wd_free_bytes(struct disk *base)
{
    return world_disk(base)->free_bytes;
}

/* How much of a write has reached the cache when the power fails is chance, too. */
static void disk_event_apply(struct world_disk *disk, struct disk_op *op, uint64_t steps)
{
    for (size_t i = 0; i < op->extent_count && steps > 0; i++, steps--) {
        inode_write(op->extents[i].file->inode, op->extents[i].pos, op->extents[i].bytes);
    }
    if (op->sync != NULL && steps > 0) {
        inode_sync(op->sync->inode);
    }
    (void)disk;
}

static void disk_event_fire(struct world *world, struct world_event *base)
{
    struct disk_event *event = CONTAINER_OF(base, struct disk_event, event);
    struct world_disk *disk = event->disk;
    struct disk_op *op = event->op;

    (void)world;
    if (event->boot == disk->boot) {
        bool write = change_allowed(disk);
        bool sync = write && change_allowed(disk);
        if (!disk->stopped) {
            if (write) {
                disk_event_apply(disk, op, sync ? UINT64_MAX : op->extent_count);
            }
            op->done(op, change_error(disk));
        } else if (write) {
            disk_event_apply(disk, op, op->extent_count);
        }
    }
    free(event);
}

static void disk_event_drop(struct world_event *base)
{
    free(CONTAINER_OF(base, struct disk_event, event));
}

static void wd_submit(struct disk *base, struct disk_op *op)
{
    struct world_disk *disk = world_disk(base);
    struct world *world = disk->world;
    struct disk_event *event = mem_new(sizeof *event);

    CHECK(op->kind == DISK_WRITE);
    event->event.fire = disk_event_fire;
    event->event.drop = disk_event_drop;
    event->disk = disk;
    event->boot = disk->boot;
    event->op = op;
    event_add(world, &event->event,
              world->now_us + prng_between(&world->prng, disk->delay_min_us, disk->delay_max_us));
}

static const struct disk_ops world_disk_ops = {
    .open = wd_open,
    .close = wd_close,
    .size = wd_size,
    .read = wd_read,
    .write = wd_write,
    .sync = wd_sync,
    .truncate = wd_truncate,
    .preallocate = wd_preallocate,
    .stat = wd_stat,
    .mkdir = wd_mkdir,
    .rename = wd_rename,
    .remove = wd_remove,
    .sync_dir = wd_sync_dir,
    .list = wd_list,
    .free_bytes = wd_free_bytes,
    .submit = wd_submit,
};

/* Power off: of what was not synced each sector survives or not. */
static void inode_crash(struct world *world, struct world_inode *inode)
{
    size_t longest = inode->now_len > inode->safe_len ? inode->now_len : inode->safe_len;

    if (longest == 0) {
        return;
    }
    inode_reserve(&inode->now, &inode->now_cap, longest);
    inode_reserve(&inode->safe, &inode->safe_cap, longest);
    memset(inode->now + inode->now_len, 0, longest - inode->now_len);
    memset(inode->safe + inode->safe_len, 0, longest - inode->safe_len);
    bool new_size = prng_chance(&world->prng, 1, 2);
    size_t len = new_size ? inode->now_len : inode->safe_len;
    for (size_t at = inode->dirty_from / SECTOR * SECTOR; at < inode->dirty_to; at += SECTOR) {
        size_t n = longest - at < SECTOR ? longest - at : SECTOR;
        if (at < longest && prng_chance(&world->prng, 1, 2)) {
            memcpy(inode->safe + at, inode->now + at, n);
        }
    }
    inode->safe_len = len;
    inode->now_len = len;
    memcpy(inode->now, inode->safe, len);
    memset(inode->now + len, 0, inode->now_cap - len);
    memset(inode->safe + len, 0, inode->safe_cap - len);
    inode->dirty_from = inode->dirty_to = 0;
}

static void disk_crash(struct world_disk *disk)
{
    struct world *world = disk->world;

    disk->boot++;
    disk->stopped = false;
    disk->crash_in = 0;
    if (prng_chance(&world->prng, 1, 2)) {
        memcpy(disk->names, disk->durable, sizeof disk->names);
    } else {
        memcpy(disk->durable, disk->names, sizeof disk->names);
    }
    for (struct world_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        inode_crash(world, inode);
    }
}

static void disk_fini(struct world_disk *disk)
{
    while (disk->inodes != NULL) {
        struct world_inode *inode = disk->inodes;
        disk->inodes = inode->next;
        free(inode->now);
        free(inode->safe);
        free(inode);
    }
}

/* ---- clock ---------------------------------------------------------------------------------- */

static struct world_node *clock_node(struct clock *clock)
{
    return CONTAINER_OF(clock, struct world_node, clock);
}

static uint64_t wc_now_us(struct clock *clock)
{
    return clock_node(clock)->world->now_us;
}

static int64_t wc_wall_ms(struct clock *clock)
{
    return (int64_t)(clock_node(clock)->world->now_us / 1000);
}

static uint64_t wc_random(struct clock *clock)
{
    return prng_next(&clock_node(clock)->prng);
}

static void wc_timer_set(struct clock *clock, struct timer *timer, uint64_t at_us)
{
    timer_heap_set(&clock_node(clock)->timers, timer, at_us);
}

static void wc_timer_stop(struct clock *clock, struct timer *timer)
{
    timer_heap_stop(&clock_node(clock)->timers, timer);
}

static const struct clock_ops world_clock_ops = {
    .now_us = wc_now_us,
    .wall_ms = wc_wall_ms,
    .random = wc_random,
    .timer_set = wc_timer_set,
    .timer_stop = wc_timer_stop,
};

/* ---- wire ----------------------------------------------------------------------------------- */

struct wire_event {
    struct world_event event;
    uint32_t from;
    uint32_t to;
    uint64_t from_boot;
    uint64_t to_boot;
    uint16_t type;
    struct blob *head;
    struct chunk tail;
};

static void wire_event_drop(struct world_event *base)
{
    struct wire_event *event = CONTAINER_OF(base, struct wire_event, event);

    blob_unref(event->head);
    chunk_drop(&event->tail);
    free(event);
}

static void wire_event_fire(struct world *world, struct world_event *base)
{
    struct wire_event *event = CONTAINER_OF(base, struct wire_event, event);
    struct world_node *to = &world->nodes[event->to];
    struct world_node *from = &world->nodes[event->from];

    if (to->quorum != NULL && to->boot == event->to_boot && from->boot == event->from_boot &&
        !world->cut[event->from][event->to]) {
        struct wire_hello hello = {.node_id = event->from, .raft_id = from->raft_id};
        quorum_receive(to->quorum, &hello, event->type,
                       slice_of(event->head->bytes, event->head->len), event->tail);
    }
    wire_event_drop(base);
}

static bool ww_send(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                    const struct wire_frame *frame)
{
    struct world_node *from = CONTAINER_OF(wire, struct world_node, wire);
    struct world *world = from->world;

    if (node_id == 0 || node_id > world->count || world->nodes[node_id].quorum == NULL) {
        return false;
    }
    if (world->filter != NULL && !world->filter(world, from->node_id, node_id, frame->type)) {
        return true;
    }
    if (world->cut[from->node_id][node_id]) {
        return true; /* into the void, as TCP does for a while */
    }
    struct wire_event *event = mem_new(sizeof *event);
    event->event.fire = wire_event_fire;
    event->event.drop = wire_event_drop;
    event->from = from->node_id;
    event->to = node_id;
    event->from_boot = from->boot;
    event->to_boot = world->nodes[node_id].boot;
    event->type = frame->type;
    event->head = blob_copy(frame->head);
    size_t len = 0;
    for (size_t i = 0; i < frame->tail_count; i++) {
        len += frame->tail[i].len;
    }
    if (len > 0) {
        struct blob *blob = blob_new(len);
        size_t at = 0;
        for (size_t i = 0; i < frame->tail_count; i++) {
            memcpy(blob->bytes + at, frame->tail[i].base, frame->tail[i].len);
            at += frame->tail[i].len;
        }
        event->tail = (struct chunk){blob, blob->bytes, len};
    }
    uint64_t *last = &world->last_arrival_us[from->node_id][node_id][channel];
    uint64_t at =
        world->now_us + prng_between(&world->prng, world->delay_min_us, world->delay_max_us);
    at = at > *last ? at : *last;
    *last = at;
    event_add(world, &event->event, at);
    return true;
}

static bool ww_is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    struct world_node *from = CONTAINER_OF(wire, struct world_node, wire);

    (void)channel;
    return from->world->nodes[node_id].quorum != NULL;
}

static const struct wire_ops world_wire_ops = {
    .send = ww_send,
    .is_up = ww_is_up,
};

/* ---- state machine -------------------------------------------------------------------------- */

static void state_note(struct world_node *node, uint64_t command)
{
    uint64_t value = command;

    if (node->spoil) {
        node->spoil = false;
        value ^= 1;
    }
    for (size_t at = 0; at < node->state.len; at += 8) {
        if (get_le64(node->state.base + at) == value) {
            return; /* the same command again: a retry */
        }
    }
    buf_le64(&node->state, value);
    node->state_hash = (node->state_hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    node->state_hash ^= node->state_hash >> 29;
}

static void fsm_apply(void *ctx, uint64_t index, struct slice command, struct buf *out)
{
    struct world_node *node = ctx;
    struct world *world = node->world;

    /* A shorter one comes only from a test that sends garbage. */
    uint64_t value = command.len >= 8 ? get_le64(command.base) : command.len + 1;
    CHECK(index < WORLD_INDEXES);
    if (world->by_index[index] == 0) {
        world->by_index[index] = value;
    } else if (world->by_index[index] != value) {
        world_violation(world, "node %u applies %llx at index %llu, another has applied %llx",
                        node->node_id, (unsigned long long)value, (unsigned long long)index,
                        (unsigned long long)world->by_index[index]);
    }
    node->applied_count++;
    tell(world, "node %u applies %llx at %llu", node->node_id, (unsigned long long)value,
         (unsigned long long)index);
    state_note(node, value);
    buf_le64(out, value + 1);
}

static void fsm_snapshot(void *ctx, struct buf *out)
{
    struct world_node *node = ctx;

    buf_put(out, buf_slice(&node->state));
}

static int fsm_restore(void *ctx, struct slice snapshot)
{
    struct world_node *node = ctx;

    tell(node->world, "node %u restores %zu", node->node_id, snapshot.len / 8);
    buf_clear(&node->state);
    node->state_hash = 0;
    for (size_t at = 0; at + 8 <= snapshot.len; at += 8) {
        uint64_t value = get_le64(snapshot.base + at);
        buf_le64(&node->state, value);
        node->state_hash = (node->state_hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        node->state_hash ^= node->state_hash >> 29;
    }
    return 0;
}

static uint64_t fsm_hash(void *ctx)
{
    return ((struct world_node *)ctx)->state_hash;
}

bool world_has(const struct world *world, uint32_t node_id, uint64_t command)
{
    const struct buf *state = &world->nodes[node_id].state;

    for (size_t at = 0; at < state->len; at += 8) {
        if (get_le64(state->base + at) == command) {
            return true;
        }
    }
    return false;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static void node_fatal(void *ctx, int error, const char *what)
{
    struct world_node *node = ctx;

    node->fatal = true;
    node->fatal_error = error;
    (void)snprintf(node->fatal_what, sizeof node->fatal_what, "%s", what);
}

static void node_role_changed(void *ctx, bool controller, uint64_t term)
{
    struct world_node *node = ctx;
    struct world *world = node->world;

    CHECK(node->controller != controller);
    tell(world, "node %u controller=%d term %llu", node->node_id, controller,
         (unsigned long long)term);
    node->controller = controller;
    node->controller_term = term;
    if (!controller) {
        return;
    }
    CHECK(term < ARRAY_COUNT(world->term_leader));
    if (world->term_leader[term] != 0 && world->term_leader[term] != node->node_id) {
        world_violation(world, "term %llu has two controllers: %llu and %u",
                        (unsigned long long)term, (unsigned long long)world->term_leader[term],
                        node->node_id);
    }
    world->term_leader[term] = node->node_id;
}

static struct quorum_options node_options(struct world_node *node)
{
    struct quorum_options options = node->world->options;

    options.disk = &node->disk.disk;
    options.clock = &node->clock;
    options.wire = &node->wire;
    options.fsm = (struct quorum_fsm){node, fsm_apply, fsm_snapshot, fsm_restore, fsm_hash};
    options.node_id = node->node_id;
    options.raft_id = node->raft_id;
    options.fatal = node_fatal;
    options.role_changed = node_role_changed;
    options.ctx = node;
    return options;
}

void world_node_options(struct world *world, uint32_t node_id, struct quorum_options *out)
{
    *out = node_options(&world->nodes[node_id]);
}

struct world *world_new(uint64_t seed, unsigned nodes)
{
    struct world *world = mem_new(sizeof *world);

    CHECK(nodes <= WORLD_NODES);
    world->telling = getenv("WORLD_TRACE") != NULL;
    world->seed = seed;
    world->count = nodes;
    world->now_us = 1000000;
    world->delay_min_us = 500;
    world->delay_max_us = 8000;
    world->proposal_timeout_ms = 3000;
    world->options.election_ms = 300;
    world->options.heartbeat_ms = 50;
    prng_init(&world->prng, seed);
    for (uint32_t i = 1; i <= nodes; i++) {
        struct world_node *node = &world->nodes[i];
        node->world = world;
        node->node_id = i;
        node->raft_id = 100 + i;
        node->prng = prng_split(&world->prng);
        node->clock.ops = &world_clock_ops;
        node->wire.ops = &world_wire_ops;
        node->disk.disk.ops = &world_disk_ops;
        node->disk.world = world;
        node->disk.node = i;
        node->disk.free_bytes = UINT64_C(1) << 40;
        node->disk.delay_min_us = 100;
        node->disk.delay_max_us = 4000;
    }
    return world;
}

static void node_stop(struct world_node *node)
{
    if (node->quorum != NULL) {
        quorum_close(node->quorum);
        node->quorum = NULL;
    }
    node->boot++;
    node->controller = false;
    node->fatal = false;
}

void world_free(struct world *world)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->nodes[i];
        node_stop(node);
        timer_heap_fini(&node->timers);
        buf_fini(&node->state);
        disk_fini(&node->disk);
    }
    while (world->event_count > 0) {
        struct world_event *event = event_take(world);
        event->drop(event);
    }
    free(world->events);
    free(world->acked);
    free(world);
}

int world_start(struct world *world, uint32_t node_id)
{
    struct world_node *node = &world->nodes[node_id];
    struct quorum_options options = node_options(node);
    char why[256];

    CHECK(node->quorum == NULL);
    buf_clear(&node->state);
    node->state_hash = 0;
    node->applied_count = 0;
    node->fatal = false;
    int rv = quorum_open(&options, &node->quorum, why);
    tell(world, "node %u starts: %d", node_id, rv);
    if (rv != 0) {
        (void)snprintf(node->fatal_what, sizeof node->fatal_what, "%.120s", why);
    }
    return rv;
}

void world_crash(struct world *world, uint32_t node_id)
{
    struct world_node *node = &world->nodes[node_id];

    tell(world, "node %u crashes", node_id);
    disk_crash(&node->disk);
    node_stop(node);
}

void world_found(struct world *world, unsigned voters)
{
    struct quorum_member members[WORLD_NODES];

    for (uint32_t i = 0; i < voters; i++) {
        members[i] = (struct quorum_member){world->nodes[i + 1].raft_id, i + 1, true};
    }
    for (uint32_t i = 1; i <= voters; i++) {
        struct quorum_options options = node_options(&world->nodes[i]);
        CHECK(quorum_bootstrap(&options, members, voters) == 0);
        CHECK(world_start(world, i) == 0);
    }
}

/* ---- running -------------------------------------------------------------------------------- */

static struct world_node *next_timer(struct world *world, uint64_t *out_at)
{
    struct world_node *found = NULL;

    *out_at = UINT64_MAX;
    for (uint32_t i = 1; i <= world->count; i++) {
        uint64_t at = timer_heap_next_us(&world->nodes[i].timers);
        if (at < *out_at) {
            *out_at = at;
            found = &world->nodes[i];
        }
    }
    return found;
}

static void reap(struct world *world)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        struct world_node *node = &world->nodes[i];
        if (node->quorum == NULL) {
            continue;
        }
        if (node->disk.stopped) {
            world_crash(world, i);
        } else if (node->fatal) {
            if (!node->disk.fail) {
                world_violation(world, "node %u: fatal %d, %s", i, node->fatal_error,
                                node->fatal_what);
            }
            world_crash(world, i);
        }
    }
}

bool world_run(struct world *world, uint64_t ms, bool (*stop)(struct world *world))
{
    uint64_t until = world->now_us + ms * 1000;

    while (stop == NULL || !stop(world)) {
        uint64_t timer_at;
        struct world_node *node = next_timer(world, &timer_at);
        uint64_t event_at = world->event_count > 0 ? world->events[1]->at_us : UINT64_MAX;
        uint64_t at = timer_at < event_at ? timer_at : event_at;
        if (at > until) {
            world->now_us = until;
            return stop == NULL;
        }
        world->now_us = at > world->now_us ? at : world->now_us;
        if (event_at <= timer_at) {
            struct world_event *event = event_take(world);
            event->fire(world, event);
        } else {
            struct timer *timer = timer_heap_due(&node->timers, world->now_us);
            CHECK(timer != NULL);
            timer->fire(timer);
        }
        reap(world);
        if (world->tolerant && world->lost) {
            return false;
        }
    }
    return true;
}

void world_cut(struct world *world, uint32_t from, uint32_t to, bool cut)
{
    world->cut[from][to] = cut;
}

void world_isolate(struct world *world, uint32_t node_id, bool cut)
{
    for (uint32_t i = 1; i <= world->count; i++) {
        if (i != node_id) {
            world->cut[i][node_id] = cut;
            world->cut[node_id][i] = cut;
        }
    }
}

void world_heal(struct world *world)
{
    memset(world->cut, 0, sizeof world->cut);
}

uint32_t world_controller(const struct world *world)
{
    uint32_t found = 0;

    for (uint32_t i = 1; i <= world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        if (node->quorum != NULL && node->controller &&
            (found == 0 || node->controller_term > world->nodes[found].controller_term)) {
            found = i;
        }
    }
    return found;
}

struct submission {
    struct quorum_proposal proposal;
    struct world *world;
    uint64_t command;
};

static void submission_done(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct submission *submission = CONTAINER_OF(proposal, struct submission, proposal);
    struct world *world = submission->world;

    tell(world, "%llx ends with %d", (unsigned long long)submission->command, status);
    if (status == 0) {
        CHECK(result.len == 8);
        CHECK(get_le64(result.base) == submission->command + 1);
        world->acked = mem_grow(world->acked, world->acked_count + 1, sizeof *world->acked);
        world->acked[world->acked_count++] = submission->command;
    }
    free(submission);
}

void world_submit(struct world *world, uint32_t node_id, uint64_t command)
{
    struct submission *submission = mem_new(sizeof *submission);
    uint8_t bytes[13] = {0}; /* not a multiple of 8, on purpose */

    CHECK(world->nodes[node_id].quorum != NULL);
    put_le64(bytes, command);
    submission->world = world;
    submission->command = command;
    submission->proposal.done = submission_done;
    submission->proposal.timeout_ms = world->proposal_timeout_ms;
    quorum_submit(world->nodes[node_id].quorum, slice_of(bytes, sizeof bytes),
                  &submission->proposal);
}

void world_check_end(struct world *world)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i <= world->count; i++) {
        const struct world_node *node = &world->nodes[i];
        if (node->quorum == NULL) {
            continue;
        }
        if (first == 0) {
            first = i;
        } else if (!slice_equal(buf_slice(&node->state), buf_slice(&world->nodes[first].state))) {
            world_violation(world, "nodes %u and %u differ in the end", first, i);
        }
        for (size_t k = 0; k < world->acked_count; k++) {
            if (!world_has(world, i, world->acked[k])) {
                world_violation(world, "node %u lacks %llx, which was acknowledged", i,
                                (unsigned long long)world->acked[k]);
                break;
            }
        }
    }
}
