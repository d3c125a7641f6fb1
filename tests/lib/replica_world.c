/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, their disks, and the effects of their replicas. */
#include "tests/lib/replica_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#ifdef TERN_MUTANTS
enum mutant mutant_on;
enum mutant mutant_too; /* none: a walk has one at a time */

void rworld_choose_mutant(void)
{
#define MUTANT_NAME(name, what) #name,
    static const char *const names[] = {MUTANTS_REPLICA(MUTANT_NAME)};
#undef MUTANT_NAME
    const char *wanted = getenv("REPLICA_MUTANT");

    if (wanted == NULL) {
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(wanted, "list") == 0) {
            printf("%s\n", names[i]);
        } else if (strcmp(wanted, names[i]) == 0) {
            mutant_on = (enum mutant)(i + 1);
            return;
        }
    }
    exit(strcmp(wanted, "list") == 0 ? 0 : 2);
}
#else
void rworld_choose_mutant(void)
{
}
#endif

void rworld_break(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->broken[0] != 0) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(w->broken, sizeof w->broken, format, args);
    va_end(args);
    if (w->story) {
        printf("BROKEN: %s\n", w->broken);
    }
}

void rworld_story(struct world *w, const char *format, ...)
{
    va_list args;

    if (!w->story) {
        return;
    }
    va_start(args, format);
    printf("%7llu  ", (unsigned long long)w->now_ms);
    (void)vprintf(format, args);
    printf("\n");
    va_end(args);
}

/* ---- logs and disks -------------------------------------------------------------------------- */

int64_t rworld_common(const struct world_log *a, const struct world_log *b)
{
    int64_t end = a->end < b->end ? a->end : b->end;
    int64_t start = a->start > b->start ? a->start : b->start;

    for (int64_t offset = start; offset < end; offset++) {
        if (a->at[offset] != b->at[offset]) {
            return offset;
        }
    }
    return end;
}

static void log_put(struct world *w, struct world_log *log, uint16_t batch)
{
    const struct batch_info *info = &w->batches[batch].info;

    CHECK(info->base_offset == log->end);
    CHECK(info->last_offset < WORLD_LOG);
    for (int64_t offset = info->base_offset; offset <= info->last_offset; offset++) {
        log->at[offset] = batch;
    }
    log->end = info->last_offset + 1;
}

int64_t rworld_lost_from(const struct world_node *n)
{
    int64_t end = n->disk.log.end;

    /* What a cut under way removes is not asked for any more. */
    if (n->up && n->log.end < end) {
        end = n->log.end;
    }
    for (int64_t offset = n->disk.log.start; offset < end; offset++) {
        if (n->lost[offset]) {
            return offset;
        }
    }
    return INT64_MAX;
}

/* What was below is not known to have been held. */
static void log_restart(struct world_log *log, int64_t offset)
{
    memset(log->at, 0, sizeof log->at);
    log->start = offset;
    log->end = offset;
}

/* It follows the epoch's log from now on: what it has deleted is what that log had there. */
static void log_joins(const struct world *w, struct world_log *log, int32_t epoch)
{
    const struct world_epoch *e = &w->epochs[epoch];

    for (int64_t offset = 0; e->leader != 0 && offset < log->start; offset++) {
        log->at[offset] = e->log.at[offset];
    }
}

static void history_push(struct history *h, int32_t epoch, int64_t start)
{
    if (h->count > 0 && h->entries[h->count - 1].epoch >= epoch) {
        return;
    }
    if (h->count == h->cap) {
        h->cap = h->cap > 0 ? h->cap * 2 : 8;
        h->entries = mem_grow(h->entries, h->cap, sizeof *h->entries);
    }
    h->entries[h->count++] = (struct history_entry){epoch, start};
}

/* The entry that covers the new start stays, moved there; those before it go. */
static void history_trim(struct history *h, int64_t start)
{
    size_t below = 0;

    while (below + 1 < h->count && h->entries[below + 1].start_offset <= start) {
        below++;
    }
    h->count -= below;
    if (below > 0) {
        memmove(h->entries, h->entries + below, h->count * sizeof *h->entries);
    }
    if (h->count > 0 && h->entries[0].start_offset < start) {
        h->entries[0].start_offset = start;
    }
}

static void disk_apply(struct world *w, struct world_disk *disk, const struct world_write *write)
{
    switch ((int)write->kind) {
    case EFFECT_PROMISE:
        disk->promised = (int32_t)write->value;
        break;
    case EFFECT_SYNCED:
        disk->synced = (int32_t)write->value;
        log_joins(w, &disk->log, disk->synced);
        break;
    case EFFECT_APPEND:
        history_push(&disk->history, w->batches[write->batch].info.leader_epoch, disk->log.end);
        log_put(w, &disk->log, write->batch);
        break;
    case EFFECT_TRUNCATE:
        while (disk->history.count > 0 &&
               disk->history.entries[disk->history.count - 1].start_offset >= write->value) {
            disk->history.count--;
        }
        disk->log.end = write->value;
        break;
    case EFFECT_RESTART:
        disk->history.count = 0;
        log_restart(&disk->log, write->value);
        break;
    case EFFECT_LOG_START:
        disk->log.start = write->value;
        history_trim(&disk->history, write->value);
        break;
    default:
        CHECK(false);
    }
}

static void write_add(struct world *w, struct world_node *n, enum replica_effect_kind kind,
                      int64_t value, uint16_t batch)
{
    if (n->write_first == n->write_count) {
        n->write_first = 0;
        n->write_count = 0;
    }
    if (n->write_count == n->write_cap) {
        n->write_cap = n->write_cap > 0 ? n->write_cap * 2 : 32;
        n->writes = mem_grow(n->writes, n->write_cap, sizeof *n->writes);
    }
    struct world_write *write = &n->writes[n->write_count++];
    *write = (struct world_write){kind, value, batch};
    rworld_judge_write(w, n, write);
}

static const char *write_name(enum replica_effect_kind kind)
{
    switch ((int)kind) {
    case EFFECT_PROMISE:
        return "promise";
    case EFFECT_SYNCED:
        return "synced";
    case EFFECT_APPEND:
        return "append up to";
    case EFFECT_TRUNCATE:
        return "truncate to";
    case EFFECT_RESTART:
        return "restart at";
    default:
        return "log start";
    }
}

/* ---- effects --------------------------------------------------------------------------------- */

/* INVARIANTS 36 */
static void judge_log_start(struct world *w, const struct world_node *n,
                            const struct replica_effect *effect)
{
    bool stands = effect->flag && rworld_lost_from(n) < n->log.end;

    for (size_t i = 0; i < n->snapshot_count; i++) {
        const struct world_snapshot *s = &n->snapshots[i];
        stands = stands || (s->offset >= effect->offset && s->offset <= n->disk.log.end);
    }
    if (!stands) {
        rworld_break(w,
                     "node %u deletes below %lld, no durable snapshot of producers stands for it",
                     n->id, (long long)effect->offset);
    }
}

static void perform_write(struct world *w, struct world_node *n,
                          const struct replica_effect *effect, const uint16_t *batches,
                          size_t batch_count)
{
    int64_t value = effect->offset;
    uint16_t batch = 0;

    switch ((int)effect->kind) {
    case EFFECT_PROMISE:
    case EFFECT_SYNCED:
        value = effect->epoch;
        break;
    case EFFECT_APPEND:
        CHECK(effect->index < batch_count);
        batch = batches[effect->index];
        log_put(w, &n->log, batch);
        CHECK(n->log.end == value);
        for (int64_t at = w->batches[batch].info.base_offset; at < value; at++) {
            n->lost[at] = false; /* what was there has been cut */
        }
        break;
    default:
        break;
    }
    rworld_story(w, "  node %u calls for: %s %lld", n->id, write_name(effect->kind),
                 (long long)value);
    if (effect->kind == EFFECT_LOG_START) {
        judge_log_start(w, n, effect);
    }
    write_add(w, n, effect->kind, value, batch);
    switch ((int)effect->kind) {
    case EFFECT_PROMISE:
        n->had = n->log.end;
        break;
    case EFFECT_SYNCED:
        n->had = INT64_MAX;
        log_joins(w, &n->log, (int32_t)value);
        break;
    case EFFECT_TRUNCATE:
        n->had = n->had > value && n->had < INT64_MAX ? value : n->had;
        CHECK(value < n->log.end && value >= n->log.start);
        n->log.end = value;
        rworld_forget_snapshots(n, value);
        w->counters.truncations++;
        break;
    case EFFECT_RESTART:
        log_restart(&n->log, value);
        n->save_void = n->saving;
        n->given.offset = value;
        buf_clear(&n->given.bytes);
        CHECK(n->replica.producers_at == value);
        producers_pack(n->replica.producers, &n->given.bytes);
        w->counters.restarts++;
        break;
    case EFFECT_LOG_START:
        n->log.start = value;
        break;
    default:
        break;
    }
}

static void send_begin(struct world *w, struct world_node *n, const struct replica_effect *effect)
{
    struct buf producers = {0};
    struct world_message *m = NULL;

    if (!effect->flag ||
        replica_producers_before(&n->replica, effect->offset, SIZE_MAX, &producers)) {
        m = rworld_send_message(w, n->id, effect->node, MESSAGE_PUSH);
    }
    if (m == NULL) {
        buf_fini(&producers);
        return;
    }
    m->producers = producers;
    m->push = (struct replica_push){
        .epoch = n->replica.spec.epoch,
        .base = effect->offset,
        .initial_end = n->replica.initial_end,
        .hw = -1,
        .log_start = n->replica.log_start,
        .truncate = !effect->flag,
        .restart = effect->flag,
    };
}

static void send_copy(struct world *w, struct world_node *n, const struct replica_effect *effect)
{
    struct world_message *m = rworld_send_message(w, n->id, effect->node, MESSAGE_COPY);

    if (m != NULL) {
        m->epoch = effect->epoch;
        m->offset = effect->offset;
        m->wants_producers = effect->flag;
    }
}

static void propose(struct world *w, struct world_node *n, const struct replica_effect *effect)
{
    rworld_story(w, "  node %u proposes: epoch %d is activated", n->id, effect->epoch);
    rworld_judge_activation(w, n, effect->epoch);
    for (size_t i = 0; i < ARRAY_COUNT(w->control.proposals); i++) {
        struct world_proposal *p = &w->control.proposals[i];
        if (!p->used) {
            *p = (struct world_proposal){effect->epoch, effect->offset, true};
            return;
        }
    }
}

static void perform_one(struct world *w, struct world_node *n, const struct replica_effect *effect,
                        const uint16_t *batches, size_t batch_count)
{
    switch (effect->kind) {
    case EFFECT_PROMISE:
    case EFFECT_SYNCED:
    case EFFECT_APPEND:
    case EFFECT_TRUNCATE:
    case EFFECT_RESTART:
    case EFFECT_LOG_START:
        perform_write(w, n, effect, batches, batch_count);
        break;
    case EFFECT_PRODUCERS:
        rworld_save_begin(w, n, effect->offset);
        break;
    case EFFECT_FENCE:
        n->fence_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_ANSWER:
        n->answer_to = effect->node;
        n->answer_complaint = n->answer_complaint || effect->flag;
        break;
    case EFFECT_BEGIN:
        send_begin(w, n, effect);
        break;
    case EFFECT_PUSH:
        n->push_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_ACK:
        n->ack_to = effect->node;
        n->ack_epoch = effect->epoch;
        n->ack_offset = effect->offset;
        break;
    case EFFECT_MARK:
        n->mark_to |= NODE_BIT(effect->node);
        break;
    case EFFECT_COPY:
        send_copy(w, n, effect);
        break;
    case EFFECT_HW:
        break; /* looked at after every event */
    case EFFECT_ROLE:
        rworld_story(w, "  node %u is %s in epoch %d", n->id, replica_role_name(n->replica.role),
                     n->replica.promised);
        break;
    case EFFECT_ACTIVATED:
        propose(w, n, effect);
        break;
    case EFFECT_NO_QUORUM:
        w->control.no_quorum = w->control.no_quorum || effect->epoch == w->control.epoch;
        break;
    case EFFECT_REBUILD:
        w->counters.rebuilds++;
        rworld_node_start_snapshot(w, n);
        break;
    case EFFECT_AMNESIA: /* the messages of this world come in any order: nothing is proved */
        w->amnesia_of = effect->flag ? effect->node : w->amnesia_of;
        w->missing_at = effect->node;
        break;
    case EFFECT_CAUGHT_UP:
        if (effect->epoch == w->control.epoch) {
            w->control.caught_up |= NODE_BIT(effect->node);
        }
        break;
    }
}

void rworld_perform(struct world *w, struct world_node *n, struct replica_out *out,
                    const uint16_t *batches, size_t batch_count)
{
    for (size_t i = 0; i < out->count; i++) {
        perform_one(w, n, &out->effects[i], batches, batch_count);
    }
    replica_out_fini(out);
    if (!w->defer_turns || prng_chance(&w->prng, 1, 2)) {
        rworld_turn(w, n->id);
    }
    rworld_touch(w, n);
}

/* After every event: what the node shows now, and whom it can answer. */
void rworld_touch(struct world *w, struct world_node *n)
{
    rworld_judge_role(w, n);
    rworld_judge_node(w, n);
    rworld_answer_clients(w, n);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

struct replica *rworld_replica(struct world *w, uint32_t node)
{
    CHECK(node >= 1 && node <= w->node_count);
    CHECK(w->nodes[node].up);
    return &w->nodes[node].replica;
}

static void load(struct world *w, struct world_node *n)
{
    uint64_t connected = 0;

    for (uint32_t peer = 1; peer <= w->node_count; peer++) {
        if (rworld_linked(w, n->id, peer)) {
            connected |= NODE_BIT(peer);
        }
    }
    struct replica_load from = {
        .self = n->id,
        .incarnation = n->must_forget ? 0 : w->control.incarnation[n->id],
        .start_number = n->registered ? w->control.start[n->id] : 0,
        .connected = connected,
        .promised = n->disk.promised,
        .synced = n->disk.synced,
        .leo = n->disk.log.end,
        .log_start = n->disk.log.start,
        .damaged = rworld_lost_from(n) != INT64_MAX,
        .damaged_from = rworld_lost_from(n),
        .history = n->disk.history.entries,
        .history_count = n->disk.history.count,
    };
    replica_init(&n->replica, &from);
    replica_reach(&n->replica, ~(uint64_t)0);
    n->log = n->disk.log;
    n->had = n->log.end;
    n->hw_shown = -1;
    n->hw_looked_at = 0;
    n->up = true;
    rworld_node_start_snapshot(w, n);
}

void rworld_init(struct world *w, uint64_t seed, uint32_t count, const int8_t *regions)
{
    CHECK(count <= WORLD_NODES);
    memset(w, 0, sizeof *w);
    prng_init(&w->prng, seed);
    w->node_count = count;
    w->now_ms = 1000;
    w->control.lossy_start = -1;
    w->patience_ms = 1000;
    w->batch_count = 1;
    w->next_payload = 1;
    for (uint32_t c = 0; c < WORLD_CLIENTS; c++) {
        w->clients[c].producer_id = c + 1 < WORLD_CLIENTS ? (int64_t)c + 100 : -1;
    }
    for (uint32_t a = 1; a <= count; a++) {
        for (uint32_t b = 1; b <= count; b++) {
            w->channels_up[a][b] = a != b ? CHANNELS_ALL : 0;
            for (int c = 0; c < CHANNELS; c++) {
                w->queues[a][b][c].speed = 1;
            }
        }
    }
    for (uint32_t id = 1; id <= count; id++) {
        struct world_node *n = &w->nodes[id];
        n->id = id;
        n->region = regions[id - 1];
        w->control.incarnation[id] = 1;
        w->control.start[id] = 1;
        n->registered = true;
        load(w, n);
    }
}

static void stop(struct world *w, struct world_node *n)
{
    replica_fini(&n->replica);
    rworld_save_drop(n);
    n->up = false;
    n->registered = false;
    n->down_due = 0;
    n->fence_to = n->push_to = n->mark_to = 0;
    n->answer_to = n->ack_to = 0;
    n->answer_complaint = false;
    n->write_first = n->write_count = 0;
    for (uint32_t peer = 1; peer <= w->node_count; peer++) {
        if (w->channels_up[n->id][peer] != 0) {
            rworld_link_down(w, n->id, peer, CHANNELS_ALL);
        }
    }
    rworld_answer_clients(w, n);
}

void rworld_fini(struct world *w)
{
    for (uint32_t id = 1; id <= w->node_count; id++) {
        struct world_node *n = &w->nodes[id];
        if (n->up) {
            stop(w, n);
        }
        for (uint32_t peer = 1; peer <= w->node_count; peer++) {
            for (int c = 0; c < CHANNELS; c++) {
                free(w->queues[id][peer][c].messages);
            }
        }
        rworld_forget_snapshots(n, -1);
        buf_fini(&n->given.bytes);
        history_fini(&n->disk.history);
        history_fini(&n->image.history);
        free(n->writes);
    }
    free(w->requests);
    free(w->control.log);
}

/* With a restart the snapshots of before are gone, and the one that came with it is there. */
static void write_lands(struct world *w, struct world_node *n)
{
    const struct world_write *write = &n->writes[n->write_first++];

    disk_apply(w, &n->disk, write);
    if (write->kind == EFFECT_RESTART) {
        rworld_forget_snapshots(n, -1);
        CHECK(n->given.offset == write->value);
        rworld_snapshot_add(n, n->given);
        n->given.bytes = (struct buf){0};
    }
}

static void tell_damage(struct world *w, struct world_node *n)
{
    struct replica_out out = {0};

    if (n->up) {
        replica_set_damage(&n->replica, w->now_ms, rworld_lost_from(n), &out);
        rworld_perform(w, n, &out, NULL, 0);
    }
}

bool rworld_write_done(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    if (n->up && n->saving && (n->write_first == n->write_count || prng_chance(&w->prng, 1, 2))) {
        rworld_save_done(w, n);
        return true;
    }
    if (!n->up || n->write_first == n->write_count) {
        return false;
    }
    struct world_write write = n->writes[n->write_first];
    write_lands(w, n);
    rworld_story(w, "node %u: durable: %s %lld", node, write_name(write.kind),
                 (long long)write.value);
    struct replica_out out = {0};
    if (write.kind == EFFECT_TRUNCATE || write.kind == EFFECT_RESTART) {
        replica_note_damage(&n->replica, rworld_lost_from(n));
    }
    replica_written(&n->replica, w->now_ms, write.kind, write.value, &out);
    rworld_perform(w, n, &out, NULL, 0);
    if (write.kind == EFFECT_LOG_START) {
        tell_damage(w, n); /* what is deleted needs no repair */
    }
    return true;
}

void rworld_writes_done(struct world *w, uint32_t node)
{
    while (rworld_write_done(w, node)) {
    }
}

void rworld_crash(struct world *w, uint32_t node, size_t kept)
{
    struct world_node *n = &w->nodes[node];

    CHECK(n->up);
    for (; kept > 0 && n->write_first < n->write_count; kept--) {
        write_lands(w, n);
    }
    rworld_story(w, "node %u dies; its disk: promised %d, synced %d, log %lld..%lld", node,
                 n->disk.promised, n->disk.synced, (long long)n->disk.log.start,
                 (long long)n->disk.log.end);
    w->counters.crashes++;
    stop(w, n);
}

void rworld_wipe(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    CHECK(!n->up);
    rworld_story(w, "node %u loses its disk", node);
    w->counters.wipes++;
    rworld_forget_snapshots(n, -1);
    history_fini(&n->disk.history);
    memset(&n->disk, 0, sizeof n->disk);
    memset(n->lost, 0, sizeof n->lost);
    n->must_forget = true;
}

static void disk_copy(struct world_disk *to, const struct world_disk *from)
{
    struct history history = to->history;

    *to = *from;
    to->history = history;
    history_copy(&to->history, from->history.entries, from->history.count);
}

void rworld_keep_image(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    disk_copy(&n->image, &n->disk);
    n->has_image = true;
}

void rworld_put_back(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    CHECK(!n->up && n->has_image);
    disk_copy(&n->disk, &n->image);
    w->counters.images_back++;
    memset(n->lost, 0, sizeof n->lost);
    rworld_story(w, "node %u gets an older disk: promised %d, synced %d, log %lld..%lld", node,
                 n->disk.promised, n->disk.synced, (long long)n->disk.log.start,
                 (long long)n->disk.log.end);
    w->counters.wipes++;
    rworld_forget_snapshots(n, -1);
    n->must_forget = true;
}

static void mark_lost(struct world *w, struct world_node *n, int64_t offset, bool lost)
{
    const struct batch_info *info = &w->batches[n->disk.log.at[offset]].info;

    for (int64_t at = info->base_offset; at <= info->last_offset; at++) {
        n->lost[at] = lost;
    }
}

void rworld_damage(struct world *w, uint32_t node, int64_t offset)
{
    struct world_node *n = &w->nodes[node];

    CHECK(offset >= n->disk.log.start && offset < n->disk.log.end);
    rworld_story(w, "node %u: the record at %lld is damaged", node, (long long)offset);
    w->counters.damages++;
    mark_lost(w, n, offset, true);
    tell_damage(w, n);
}

bool rworld_repair(struct world *w, uint32_t node, bool anyhow)
{
    struct world_node *n = &w->nodes[node];
    int64_t lost = rworld_lost_from(n);
    bool found = anyhow;

    if (lost == INT64_MAX || !n->up) {
        return false;
    }
    uint16_t batch = n->disk.log.at[lost];
    for (uint32_t peer = 1; peer <= w->node_count && !found; peer++) {
        const struct world_node *other = &w->nodes[peer];
        found = rworld_linked(w, node, peer) && other->up && lost >= other->disk.log.start &&
                lost < other->disk.log.end && !other->lost[lost] &&
                other->disk.log.at[lost] == batch;
    }
    if (found) {
        rworld_story(w, "node %u: the record at %lld is repaired", node, (long long)lost);
        w->counters.repairs++;
        mark_lost(w, n, lost, false);
        tell_damage(w, n);
    }
    return found;
}

void rworld_start(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];

    CHECK(!n->up);
    rworld_story(w, "node %u starts", node);
    n->applied = 0;
    rworld_forget_snapshots(n, n->disk.log.end);
    load(w, n);
}

void rworld_tick(struct world *w, uint32_t node)
{
    struct world_node *n = &w->nodes[node];
    struct replica_out out = {0};

    if (n->up && replica_wants_tick(&n->replica)) {
        replica_tick(&n->replica, w->now_ms, w->patience_ms, &out);
        rworld_perform(w, n, &out, NULL, 0);
    }
}

void rworld_raise_log_start(struct world *w, uint32_t node, int64_t offset)
{
    struct world_node *n = &w->nodes[node];
    struct replica_out out = {0};

    if (n->up) {
        replica_raise_log_start(&n->replica, offset, &out);
        rworld_perform(w, n, &out, NULL, 0);
    }
}
