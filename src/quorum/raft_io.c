/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum/raft_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"
#include "quorum/messages.h"

struct send {
    struct link link;
    struct raft_io_send *req;
    raft_io_send_cb cb;
    int status;
};

struct get {
    struct link link;
    struct raft_io_snapshot_get *req;
    raft_io_snapshot_get_cb cb;
};

struct append {
    struct link link;
    struct quorum_io *qio;
    struct raft_log_req log_req;
    struct raft_io_append *req;
    raft_io_append_cb cb;
    uint64_t last_term;
    uint64_t started_ms;
};

struct snapshot_put {
    struct quorum_io *qio;
    struct raft_log_req log_req;
    struct raft_io_snapshot_put *req;
    raft_io_snapshot_put_cb cb;
    struct raft_buffer *installing; /* the snapshot's buffer array, if a leader sent it */
};

static struct quorum_io *self(const struct raft_io *io)
{
    return io->impl;
}

static void entered(struct quorum_io *qio)
{
    qio->options.entered(qio->options.ctx);
}

static void left(struct quorum_io *qio)
{
    qio->options.left(qio->options.ctx);
}

/* ---- the core's memory ----------------------------------------------------------------------- */

/* The core leaves the eight bytes of a barrier and the padding of a configuration as it finds them, and
 * both go to the disk and to peers: no bytes of anybody's heap may. */
static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return calloc(1, size);
}

static void *heap_calloc(void *data, size_t count, size_t size)
{
    (void)data;
    return calloc(count, size);
}

static void *heap_realloc(void *data, void *at, size_t size)
{
    (void)data;
    return realloc(at, size);
}

static void heap_free(void *data, void *at)
{
    (void)data;
    free(at);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    void *at = aligned_alloc(alignment, size);

    (void)data;
    return at != NULL ? memset(at, 0, size) : NULL;
}

static void heap_aligned_free(void *data, size_t alignment, void *at)
{
    (void)alignment;
    heap_free(data, at);
}

static struct raft_heap heap = {
    .malloc = heap_malloc,
    .free = heap_free,
    .calloc = heap_calloc,
    .realloc = heap_realloc,
    .aligned_alloc = heap_aligned_alloc,
    .aligned_free = heap_aligned_free,
};

/* ---- reading the core ----------------------------------------------------------------------- */

static uint64_t core_entry_count(const struct raft_log *log)
{
    return log->front <= log->back ? log->back - log->front : log->size - log->front + log->back;
}

/* The term that the core's log has at the index; 0 if it has none there. */
static uint64_t core_term_at(const struct raft *raft, uint64_t index)
{
    const struct raft_log *log = &raft->log;

    if (index > log->offset && index <= log->offset + core_entry_count(log)) {
        return log->entries[(log->front + (size_t)(index - log->offset - 1)) % log->size].term;
    }
    return index != 0 && index == log->snapshot.last_index ? log->snapshot.last_term : 0;
}

static struct guard_view view_of(const struct quorum_io *qio, uint64_t sender)
{
    const struct raft *raft = qio->raft;

    return (struct guard_view){
        .state = raft->state,
        .term = raft->current_term,
        .last_stored = raft->last_stored,
        .snapshot_in_flight = raft->snapshot.put.data != NULL,
        .sender_known = raft_config_find(&raft->configuration, sender) != NULL,
    };
}

/* ---- start and load ------------------------------------------------------------------------- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)id;
    (void)address;
    self(io)->raft = io->data;
    return 0;
}

static int load_snapshot(struct quorum_io *qio, struct raft_snapshot **out)
{
    struct raft_log_snapshot stored;
    struct buf bytes = {0};

    *out = NULL;
    int rv = raft_log_snapshot_read(qio->log, &bytes, &stored);
    if (rv == TERN_ENOENT) {
        return 0;
    }
    struct raft_snapshot *snapshot = raft_calloc(1, sizeof *snapshot);
    CHECK(snapshot != NULL);
    if (rv == 0) {
        rv = raft_config_decode(stored.config, &snapshot->configuration);
    }
    if (rv != 0) {
        raft_free(snapshot);
        buf_fini(&bytes);
        return RAFT_CORRUPT;
    }
    snapshot->index = stored.index;
    snapshot->term = stored.term;
    snapshot->configuration_index = stored.config_index;
    snapshot->bufs = raft_malloc(sizeof *snapshot->bufs);
    CHECK(snapshot->bufs != NULL);
    snapshot->n_bufs = 1;
    snapshot->bufs[0].len = stored.data.len;
    snapshot->bufs[0].base = raft_malloc(stored.data.len > 0 ? stored.data.len : 1);
    CHECK(snapshot->bufs[0].base != NULL);
    memcpy(snapshot->bufs[0].base, stored.data.base, stored.data.len);
    buf_fini(&bytes);
    *out = snapshot;
    return 0;
}

static int note_change(struct quorum_io *qio, uint64_t index, struct slice bytes)
{
    struct raft_configuration configuration;

    if (raft_config_decode_entry(bytes, &configuration) != 0) {
        return RAFT_CORRUPT;
    }
    config_history_add(&qio->configs, index, &configuration);
    raft_configuration_close(&configuration);
    return 0;
}

/* All entries share one batch, as libraft wants it. */
static int load_entries(struct quorum_io *qio, struct raft_entry **out, size_t *out_count)
{
    size_t count;
    size_t bytes = 0;
    const struct raft_log_entry *loaded = raft_log_loaded(qio->log, &count);
    uint64_t first = raft_log_first(qio->log);

    *out = NULL;
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        /* What libraft would read out of bounds, or lose, was never written by us. */
        if (loaded[i].bytes.len == 0 || loaded[i].bytes.len % 8 != 0 ||
            loaded[i].type > RAFT_CHANGE) {
            return RAFT_CORRUPT;
        }
        bytes += loaded[i].bytes.len;
    }
    if (count == 0) {
        return 0;
    }
    struct raft_entry *entries = raft_calloc(count, sizeof *entries);
    uint8_t *batch = raft_malloc(bytes);
    CHECK(entries != NULL);
    CHECK(batch != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(batch + at, loaded[i].bytes.base, loaded[i].bytes.len);
        entries[i] = (struct raft_entry){
            .term = loaded[i].term,
            .type = loaded[i].type,
            .buf = {batch + at, loaded[i].bytes.len},
            .batch = batch,
        };
        at += loaded[i].bytes.len;
        const struct config_at *newest = config_history_at(&qio->configs, UINT64_MAX);
        if (loaded[i].type == RAFT_CHANGE && (newest == NULL || newest->index < first + i) &&
            note_change(qio, first + i, loaded[i].bytes) != 0) {
            raft_free(entries);
            raft_free(batch);
            return RAFT_CORRUPT;
        }
    }
    *out = entries;
    *out_count = count;
    return 0;
}

static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry *entries[], size_t *n_entries)
{
    struct quorum_io *qio = self(io);

    *term = raft_log_term(qio->log);
    *voted_for = raft_log_vote(qio->log);
    *start_index = raft_log_first(qio->log);
    int rv = load_snapshot(qio, snapshot);
    if (rv != 0) {
        (void)snprintf(io->errmsg, sizeof io->errmsg, "raft/snapshot: bad configuration");
        return rv;
    }
    if (*snapshot != NULL) {
        config_history_add(&qio->configs, (*snapshot)->configuration_index,
                           &(*snapshot)->configuration);
    }
    rv = load_entries(qio, entries, n_entries);
    raft_log_loaded_drop(qio->log);
    if (rv != 0) {
        (void)snprintf(io->errmsg, sizeof io->errmsg, "raft/log: an entry makes no sense");
        if (*snapshot != NULL) {
            raft_configuration_close(&(*snapshot)->configuration);
            raft_free((*snapshot)->bufs[0].base);
            raft_free((*snapshot)->bufs);
            raft_free(*snapshot);
        }
    }
    return rv;
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    (void)msecs;
    self(io)->tick = tick;
    self(io)->recv = recv;
    return 0;
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
    struct raft_buffer entry;

    int rv = raft_configuration_encode(configuration, &entry);
    if (rv != 0) {
        return rv;
    }
    rv = raft_log_bootstrap(self(io)->log, RAFT_CHANGE, slice_of(entry.base, entry.len));
    raft_free(entry.base);
    return rv == 0 ? 0 : rv == TERN_EEXIST ? RAFT_CANTBOOTSTRAP : RAFT_IOERR;
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct quorum_io *qio = self(io);

    CHECK(term >= raft_log_term(qio->log));
    /* Not even this failure may reach the core: it would clean up the wrong state and crash. The
     * node is dead, nothing leaves it any more. */
    if (raft_log_set_term(qio->log, term) != 0) {
        CHECK(qio->failed);
    }
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct quorum_io *qio = self(io);

    /* G7: two votes of one voter may make two leaders of a term. */
    CHECK(raft_log_vote(qio->log) == 0 || raft_log_vote(qio->log) == id || qio->guard.off ||
          MUTANT(guard_transferee));
    if (raft_log_set_vote(qio->log, id) != 0) {
        CHECK(qio->failed);
    }
    return 0;
}

/* ---- messages out --------------------------------------------------------------------------- */

static bool wire_out(struct quorum_io *qio, const struct raft_message *message)
{
    struct wire *wire = qio->options.wire;
    uint32_t node = raft_address_node(message->server_address);
    struct buf head = {0};
    struct chunk tail;

    if (node == 0) {
        return false;
    }
    raft_message_encode(message, &head, &tail);
    struct wire_frame frame = {
        .type = message->type,
        .head = buf_slice(&head),
        .tail = &tail,
        .tail_count = tail.blob != NULL ? 1 : 0,
    };
    /* A snapshot may be large: it must not stand in front of heartbeats, nor of live pushes. */
    enum wire_channel channel =
        message->type == RAFT_IO_INSTALL_SNAPSHOT ? WIRE_CATCH_UP : WIRE_CONTROL;
    bool sent = wire->ops->send(wire, node, channel, &frame);
    if (!sent && message->type == RAFT_IO_INSTALL_SNAPSHOT) {
        trace_warn("event=quorum_snapshot_not_sent to=%u bytes=%zu", node, tail.len);
    }
    chunk_drop(&tail);
    buf_fini(&head);
    return sent;
}

static int io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message,
                   raft_io_send_cb cb)
{
    struct quorum_io *qio = self(io);
    struct raft_message mended = *message;
    struct send *send = mem_new(sizeof *send);

    send->req = req;
    send->cb = cb;
    if (qio->failed ||
        (guard_send(&qio->guard, qio->raft->current_term, &mended) && !wire_out(qio, &mended))) {
        send->status = RAFT_NOCONNECTION;
    }
    queue_push(&qio->sends, &send->link);
    return 0;
}

static void get_finish(struct quorum_io *qio, struct get *get)
{
    struct raft_snapshot *snapshot = NULL;
    int rv = load_snapshot(qio, &snapshot);

    if (rv == 0 && snapshot == NULL) {
        rv = RAFT_NOTFOUND;
    }
    get->cb(get->req, snapshot, rv);
    free(get);
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req,
                           raft_io_snapshot_get_cb cb)
{
    struct get *get = mem_new(sizeof *get);

    get->req = req;
    get->cb = cb;
    queue_push(&self(io)->gets, &get->link);
    return 0;
}

static void send_finish(struct send *send, int status)
{
    if (send->cb != NULL) {
        send->cb(send->req, status);
    }
    free(send);
}

bool quorum_io_settle(struct quorum_io *qio)
{
    bool any = false;

    for (struct link *link = queue_pop(&qio->sends); link != NULL; link = queue_pop(&qio->sends)) {
        struct send *send = CONTAINER_OF(link, struct send, link);
        send_finish(send, send->status);
        any = true;
    }
    for (struct link *link = queue_pop(&qio->gets); link != NULL; link = queue_pop(&qio->gets)) {
        get_finish(qio, CONTAINER_OF(link, struct get, link));
        any = true;
    }
    return any;
}

/* ---- the log -------------------------------------------------------------------------------- */

/* The answers that came too early, now that they count. */
static void deliver_held(struct quorum_io *qio)
{
    struct raft *raft = qio->raft;
    char address[12];

    for (uint32_t node = 1; node < WIRE_NODES_MAX; node++) {
        struct held_result held = qio->held[node];
        if (held.raft_id == 0) {
            continue;
        }
        qio->held[node].raft_id = 0;
        if (raft->state == RAFT_LEADER && held.result.term == raft->current_term) {
            raft_address_text(node, address);
            struct raft_message message = {
                .type = RAFT_IO_APPEND_ENTRIES_RESULT,
                .server_id = held.raft_id,
                .server_address = address,
                .append_entries_result = held.result,
            };
            qio->recv(&qio->io, &message);
        }
    }
}

static void append_done(struct raft_log_req *log_req)
{
    struct append *append = CONTAINER_OF(log_req, struct append, log_req);
    struct quorum_io *qio = append->qio;

    link_remove(&append->link);
    guard_append_finished(&qio->guard, append->last_term);
    entered(qio);
    append->cb(append->req, 0);
    free(append);
    if (qio->guard.persisted_term == qio->raft->current_term) {
        deliver_held(qio);
    }
    left(qio);
}

static int io_append(struct raft_io *io, struct raft_io_append *req,
                     const struct raft_entry entries[], unsigned n, raft_io_append_cb cb)
{
    struct quorum_io *qio = self(io);
    struct append *append = mem_new(sizeof *append);
    struct raft_log_entry *copies = mem_new(n * sizeof *copies);
    uint64_t index = raft_log_last(qio->log);

    CHECK(n > 0);
    for (unsigned i = 0; i < n; i++) {
        CHECK(entries[i].buf.len > 0);
        CHECK(entries[i].buf.len % 8 == 0);
        copies[i] = (struct raft_log_entry){
            .term = entries[i].term,
            .type = entries[i].type,
            .bytes = slice_of(entries[i].buf.base, entries[i].buf.len),
        };
        index++;
        if (entries[i].type == RAFT_CHANGE) {
            CHECK(note_change(qio, index, copies[i].bytes) == 0);
        }
    }
    append->qio = qio;
    append->req = req;
    append->cb = cb;
    append->last_term = entries[n - 1].term;
    append->started_ms = clock_now_ms(qio->options.clock);
    append->log_req.done = append_done;
    queue_push(&qio->appends, &append->link);
    guard_append_started(&qio->guard);
    raft_log_append(qio->log, copies, n, &append->log_req);
    free(copies);
    return 0;
}

uint64_t quorum_io_write_age_ms(const struct quorum_io *qio)
{
    if (queue_empty(&qio->appends)) {
        return 0;
    }
    const struct append *oldest = CONTAINER_OF(qio->appends.next, struct append, link);
    return clock_now_ms(qio->options.clock) - oldest->started_ms;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct quorum_io *qio = self(io);
    struct raft *raft = qio->raft;

    raft_log_truncate(qio->log, index);
    bool dropped = config_history_truncate(&qio->configs, index);
    if (dropped && (qio->rollback_hidden || raft->configuration_index >= index)) {
        const struct config_at *now = config_history_at(&qio->configs, index);
        CHECK(now != NULL);
        raft_configuration_close(&raft->configuration);
        raft_config_copy(&now->configuration, &raft->configuration);
        raft->configuration_index = now->index;
        raft->configuration_uncommitted_index = 0;
    }
    qio->rollback_hidden = false;
    return 0;
}

static void put_done(struct raft_log_req *log_req)
{
    struct snapshot_put *put = CONTAINER_OF(log_req, struct snapshot_put, log_req);
    struct quorum_io *qio = put->qio;

    qio->put = NULL;
    entered(qio);
    put->cb(put->req, 0);
    free(put);
    left(qio);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct quorum_io *qio = self(io);
    struct snapshot_put *put = mem_new(sizeof *put);
    struct buf config = {0};
    struct buf data = {0};

    CHECK(qio->put == NULL);
    qio->put = put;
    put->qio = qio;
    put->req = req;
    put->cb = cb;
    put->log_req.done = put_done;
    if (trailing == 0) {
        put->installing = snapshot->bufs;
        (void)config_history_truncate(&qio->configs, 0);
        config_history_add(&qio->configs, snapshot->configuration_index, &snapshot->configuration);
        guard_install_started(&qio->guard);
    }
    const struct config_at *at = config_history_at(&qio->configs, snapshot->index);
    CHECK(at != NULL);
    raft_config_encode(&at->configuration, &config);
    for (unsigned i = 0; i < snapshot->n_bufs; i++) {
        buf_put(&data, slice_of(snapshot->bufs[i].base, snapshot->bufs[i].len));
    }
    struct raft_log_snapshot stored = {
        .index = snapshot->index,
        .term = snapshot->term,
        .config_index = at->index,
        .config = buf_slice(&config),
        .data = buf_slice(&data),
    };
    config_history_trim(&qio->configs, snapshot->index);
    raft_log_snapshot(qio->log, &stored, trailing, &put->log_req);
    buf_fini(&config);
    buf_fini(&data);
    return 0;
}

static raft_time io_time(struct raft_io *io)
{
    return clock_now_ms(self(io)->options.clock);
}

#define TURNS_MIN 4 /* with three voters a quarter of the span for each */

/* Which of the voters we are, by id; `out_voters`: if we are none. */
static uint64_t turn_of(const struct raft *raft, uint64_t *out_voters)
{
    const struct raft_configuration *all = &raft->configuration;
    uint64_t turn = 0;
    bool is_voter = false;

    *out_voters = 0;
    for (unsigned i = 0; i < all->n; i++) {
        if (all->servers[i].role == RAFT_VOTER) {
            ++*out_voters;
            turn += all->servers[i].id < raft->id;
            is_voter = is_voter || all->servers[i].id == raft->id;
        }
    }
    return is_voter ? turn : *out_voters;
}

/* The core asks how long to wait for a leader before it stands for election: a time-out to two of them
 * (thesis 3.4). Two that are left and stand at the same time vote for themselves, and all waits once
 * more; drawn from the whole span that is one failover in ten, for a vote takes up to a twentieth
 * of the time-out. So voters wait one after the other: each draws from the first quarter of a part
 * of its own. Parts are longer than a tick and a message together. Who cannot win (its log is behind)
 * only uses up its part, for nobody follows who is refused before the vote (thesis 9.6). */
static int io_random(struct raft_io *io, int min, int max)
{
    struct quorum_io *qio = self(io);
    uint64_t span = max > min ? (uint64_t)(max - min) : 1;
    uint64_t drawn = clock_random(qio->options.clock);
    uint64_t voters = 0;
    uint64_t turn = turn_of(qio->raft, &voters);
    uint64_t part = span / (voters > TURNS_MIN ? voters : TURNS_MIN);

    if (turn == voters || part < TURNS_MIN) {
        return min + (int)(drawn % span);
    }
    return min + (int)(turn * part + drawn % (part / 4));
}

/* ---- messages in ---------------------------------------------------------------------------- */

/* An AppendEntries that begins below our commit index says nothing new about what is below it: a
 * legitimate leader of this term has all of that. Begin it at the commit index instead. Without
 * this a follower whose log begins behind a snapshot rejects one index per heartbeat, down to
 * entry 1, and then the core would append entry 1 again behind the last. */
static void begin_at_commit(const struct raft *raft, struct raft_append_entries *args)
{
    uint64_t commit_term = core_term_at(raft, raft->commit_index);

    if (raft->state == RAFT_LEADER || args->term < raft->current_term ||
        args->prev_log_index >= raft->commit_index || commit_term == 0) {
        return;
    }
    uint64_t skip = raft->commit_index - args->prev_log_index;
    for (uint64_t i = 0; i < args->n_entries && i < skip; i++) {
        uint64_t ours = core_term_at(raft, args->prev_log_index + 1 + i);
        if (ours != 0 && ours != args->entries[i].term) {
            return; /* a contradiction: the core shall stop us */
        }
    }
    args->prev_log_index = raft->commit_index;
    args->prev_log_term = commit_term;
    if (args->n_entries <= skip) {
        if (args->n_entries > 0) {
            raft_free(args->entries[0].batch);
            raft_free(args->entries);
        }
        args->entries = NULL;
        args->n_entries = 0;
        return;
    }
    args->n_entries -= (unsigned)skip;
    memmove(args->entries, args->entries + skip, args->n_entries * sizeof *args->entries);
}

/* The core rolls an uncommitted configuration back to an entry of its log; after a snapshot that
 * entry may be gone and the core would follow NULL. Then hide the matter from it and do the work
 * in io_truncate. */
static void roll_back_ourselves(struct quorum_io *qio, const struct raft_append_entries *args)
{
    struct raft *raft = qio->raft;
    uint64_t uncommitted = raft->configuration_uncommitted_index;

    qio->rollback_hidden = false;
    if (uncommitted == 0 || raft->configuration_index > raft->log.offset) {
        return;
    }
    for (uint64_t i = 0; i < args->n_entries; i++) {
        uint64_t index = args->prev_log_index + 1 + i;
        uint64_t ours = core_term_at(raft, index);
        if (index > uncommitted || ours == 0) {
            return;
        }
        if (ours != args->entries[i].term) {
            raft->configuration_uncommitted_index = 0;
            qio->rollback_hidden = true;
            return;
        }
    }
}

/* The core refuses its vote unless its own configuration names it as a voter. But that may be an
 * old one, or one that was never committed: a node that does not know yet that it has become a
 * voter would leave the others without a majority for ever (thesis 4.1: requests are answered
 * whatever the own configuration says; the candidate counts only those that are voters in its).
 * So the core sees itself as a voter while it answers.
 *
 * And it gives whom it hands its leadership to a vote in a term in which it has given one to somebody
 * else (G7). That never serves anything: who takes over stands in the next term, where no vote is
 * given yet. So the core hands over to nobody while it answers. */
static void deliver_vote(struct quorum_io *qio, struct raft_message *message)
{
    struct raft *raft = qio->raft;
    struct raft_transfer *transfer = raft->transfer;
    struct raft_configuration real = raft->configuration;
    struct raft_server server = {raft->id, raft->address, RAFT_VOTER};

    raft->configuration = (struct raft_configuration){&server, 1};
    raft->transfer = MUTANT(guard_transferee) ? transfer : NULL;
    qio->recv(&qio->io, message);
    CHECK(raft->configuration.servers == &server);
    raft->configuration = real;
    raft->transfer = transfer;
}

/* A follower that knows a leader refuses its vote; the core forgets a silent one only when it
 * stands for election itself. So each voter has to wait for its own timer before it helps another
 * one, and a standby, which never stands, refuses for ever, also when it has become a voter without
 * knowing it. The rule is meant to hold for the minimum election time (thesis 4.2.3). */
static void forget_silent_leader(struct quorum_io *qio)
{
    struct raft *raft = qio->raft;

    if (raft->state == RAFT_FOLLOWER && !qio->closed && !qio->guard.off &&
        io_time(&qio->io) - raft->election_timer_start >= raft->election_timeout) {
        raft->follower_state.current_leader.id = 0;
    }
}

void quorum_io_tick(struct quorum_io *qio)
{
    struct guard_view view = view_of(qio, qio->raft->id);

    forget_silent_leader(qio);
    if (qio->closed || !guard_tick(&qio->guard, &view)) {
        return;
    }
    entered(qio);
    qio->tick(&qio->io);
    left(qio);
}

bool quorum_io_receive(struct quorum_io *qio, uint64_t raft_id, uint32_t node_id, uint16_t type,
                       struct slice head, struct slice tail)
{
    const struct raft_server *known = raft_config_find(&qio->raft->configuration, raft_id);
    struct raft_message message;
    char address[12];

    if (qio->closed || raft_id == 0 || raft_id == qio->raft->id ||
        (known != NULL && raft_address_node(known->address) != node_id)) {
        return false;
    }
    if (raft_message_decode(type, head, tail, &message) != 0) {
        return false;
    }
    raft_address_text(node_id, address);
    message.server_id = raft_id;
    message.server_address = address;
    if (type == FRAME_VOTE) {
        message.request_vote.candidate_id = raft_id;
    }
    struct guard_view view = view_of(qio, raft_id);
    enum guard_verdict verdict = guard_receive(&qio->guard, &view, &message);
    if (verdict != GUARD_DELIVER) {
        if (verdict == GUARD_HOLD) {
            qio->held[node_id] = (struct held_result){raft_id, message.append_entries_result};
        }
        raft_message_fini(&message);
        return true;
    }
    uint64_t uncommitted = qio->raft->configuration_uncommitted_index;
    if (type == FRAME_APPEND && !qio->guard.off) {
        begin_at_commit(qio->raft, &message.append_entries);
        roll_back_ourselves(qio, &message.append_entries);
    }
    entered(qio);
    guard_deliver_begin(&qio->guard, &message);
    if (type == FRAME_VOTE && !qio->guard.off) {
        forget_silent_leader(qio);
        deliver_vote(qio, &message);
    } else {
        qio->recv(&qio->io, &message);
    }
    guard_deliver_end(&qio->guard);
    if (qio->rollback_hidden) { /* refused after all, nothing was truncated */
        qio->raft->configuration_uncommitted_index = uncommitted;
        qio->rollback_hidden = false;
    }
    left(qio);
    return true;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* raft_close has made the core unavailable: callbacks now only give memory back. Appends must end
 * with 0, because a failed one would truncate the log once more per append. */
static void io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct quorum_io *qio = self(io);

    qio->closed = true;
    for (struct link *link = queue_pop(&qio->appends); link != NULL;
         link = queue_pop(&qio->appends)) {
        struct append *append = CONTAINER_OF(link, struct append, link);
        append->cb(append->req, 0);
        free(append);
    }
    if (qio->put != NULL) {
        struct snapshot_put *put = qio->put;
        qio->put = NULL;
        put->cb(put->req, RAFT_CANCELED);
        raft_free(put->installing); /* the core forgets this array */
        free(put);
    }
    for (struct link *link = queue_pop(&qio->sends); link != NULL; link = queue_pop(&qio->sends)) {
        send_finish(CONTAINER_OF(link, struct send, link), RAFT_CANCELED);
    }
    for (struct link *link = queue_pop(&qio->gets); link != NULL; link = queue_pop(&qio->gets)) {
        struct get *get = CONTAINER_OF(link, struct get, link);
        get->cb(get->req, NULL, RAFT_CANCELED);
        free(get);
    }
    cb(io);
}

static void log_failed(void *ctx, int error, const char *what)
{
    struct quorum_io *qio = ctx;

    qio->failed = true;
    qio->options.failed(qio->options.ctx, error, what);
}

int quorum_io_init(struct quorum_io *qio, const struct quorum_io_options *options, char why[256])
{
    struct raft_log_options log_options = {
        .disk = options->disk,
        .random_high = clock_random(options->clock),
        .random_low = clock_random(options->clock),
        .failed = log_failed,
        .ctx = qio,
    };

    raft_heap_set(&heap);
    *qio = (struct quorum_io){.options = *options};
    qio->guard.off = options->guard_off;
    queue_init(&qio->sends);
    queue_init(&qio->gets);
    queue_init(&qio->appends);
    qio->io = (struct raft_io){
        .version = 1,
        .impl = qio,
        .init = io_init,
        .close = io_close,
        .load = io_load,
        .start = io_start,
        .bootstrap = io_bootstrap,
        .recover = io_recover,
        .set_term = io_set_term,
        .set_vote = io_set_vote,
        .send = io_send,
        .append = io_append,
        .truncate = io_truncate,
        .snapshot_put = io_snapshot_put,
        .snapshot_get = io_snapshot_get,
        .time = io_time,
        .random = io_random,
    };
    return raft_log_open(&log_options, &qio->log, why);
}

void quorum_io_fini(struct quorum_io *qio)
{
    config_history_fini(&qio->configs);
    if (qio->log != NULL) {
        raft_log_close(qio->log);
        qio->log = NULL;
    }
}
