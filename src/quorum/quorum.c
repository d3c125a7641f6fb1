/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum/quorum.h"

#include <stdio.h>

#include "base/mutant.h"
#include "quorum/quorum_impl.h"

/* Later libraries have it, 0.15 has not. */
extern int raft_version_number(void) __attribute__((weak));

_Static_assert((int)QUORUM_UNAVAILABLE == (int)RAFT_UNAVAILABLE, "roles are libraft's states");
_Static_assert((int)QUORUM_FOLLOWER == (int)RAFT_FOLLOWER, "same");
_Static_assert((int)QUORUM_CANDIDATE == (int)RAFT_CANDIDATE, "same");
_Static_assert((int)QUORUM_LEADER == (int)RAFT_LEADER, "same");

#define SNAPSHOT_FORMAT 1u
#define SNAPSHOT_HEAD   16u /* format, zero, hash of the state */

/* ---- small things --------------------------------------------------------------------------- */

uint64_t quorum_now_ms(const struct quorum *quorum)
{
    return clock_now_ms(quorum->options.clock);
}

bool quorum_leads(const struct quorum *quorum)
{
    return quorum->raft.state == RAFT_LEADER;
}

uint64_t quorum_leader(const struct quorum *quorum, uint32_t *out_node)
{
    const struct raft *raft = &quorum->raft;

    if (quorum_leads(quorum)) {
        *out_node = quorum->options.node_id;
        return quorum->options.raft_id;
    }
    *out_node = 0;
    if (raft->state == RAFT_FOLLOWER && raft->follower_state.current_leader.id != 0) {
        *out_node = raft_address_node(raft->follower_state.current_leader.address);
    }
    return *out_node != 0 ? raft->follower_state.current_leader.id : 0;
}

bool quorum_send(struct quorum *quorum, uint32_t node_id, uint16_t type, const struct buf *head,
                 struct slice tail)
{
    struct wire *wire = quorum->options.wire;
    struct chunk chunk = {0};

    if (quorum->dead) {
        return false;
    }
    if (tail.len > 0) {
        chunk = chunk_copy(tail);
    }
    struct wire_frame frame = {type, buf_slice(head), &chunk, tail.len > 0 ? 1 : 0};
    bool sent = wire->ops->send(wire, node_id, WIRE_CONTROL, &frame);
    chunk_drop(&chunk);
    return sent;
}

void quorum_send_members(struct quorum *quorum, bool voters_only, uint16_t type,
                         const struct buf *head)
{
    const struct raft_configuration *configuration = &quorum->raft.configuration;

    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (server->id != quorum->options.raft_id && (!voters_only || server->role == RAFT_VOTER)) {
            (void)quorum_send(quorum, raft_address_node(server->address), type, head,
                              (struct slice){0});
        }
    }
}

int quorum_error(int raft_error)
{
    switch (raft_error) {
    case 0:
        return 0;
    case RAFT_NOTLEADER:
        return TERN_ENOTCONTROLLER;
    case RAFT_LEADERSHIPLOST:
    case RAFT_NOCONNECTION:
        return TERN_ETIMEDOUT;
    case RAFT_CANTCHANGE:
    case RAFT_BUSY:
        return TERN_EBUSY;
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS:
    case RAFT_CANTBOOTSTRAP:
        return TERN_EEXIST;
    case RAFT_NOTFOUND:
    case RAFT_BADID:
        return TERN_ENOENT;
    case RAFT_CORRUPT:
    case RAFT_MALFORMED:
        return TERN_EDAMAGED;
    case RAFT_SHUTDOWN:
    case RAFT_CANCELED:
        return TERN_ECANCELED;
    case RAFT_NOSPACE:
        return TERN_ENOSPC;
    default:
        return TERN_EIO;
    }
}

void quorum_fatal(struct quorum *quorum, int error, const char *what)
{
    if (quorum->dead) {
        return;
    }
    quorum->dead = true;
    timer_stop(quorum->options.clock, &quorum->tick);
    timer_stop(quorum->options.clock, &quorum->later);
    trace_error("event=quorum_fatal error=%s what=\"%s\"", error_name(error), what);
    quorum->options.fatal(quorum->options.ctx, error, what);
}

/* ---- leadership ----------------------------------------------------------------------------- */

static void barrier_done(struct raft_barrier *barrier, int status)
{
    struct quorum *quorum = CONTAINER_OF(barrier, struct quorum, barrier);

    quorum->barrier_busy = false;
    if (quorum->closing) {
        return;
    }
    if (status == 0 && quorum_leads(quorum) && quorum->barrier_term == quorum->raft.current_term) {
        quorum->controller = true;
        quorum->answers_due = true;
        quorum->commands_due = true;
    } else {
        quorum->barrier_wanted = true;
    }
}

/* Guard rule G2: libraft 0.15 appends nothing when it is elected, so we do, and are controller
 * only when that entry has been applied. */
static bool role_step(struct quorum *quorum)
{
    struct raft *raft = &quorum->raft;
    uint32_t node;
    bool any = false;

    if (raft->state == RAFT_UNAVAILABLE) {
        quorum_fatal(quorum, TERN_EIO, raft_errmsg(raft));
        return false;
    }
    if (quorum->lead_term != 0 &&
        (raft->state != RAFT_LEADER || raft->current_term != quorum->lead_term)) {
        quorum->lead_term = 0;
        quorum->controller = false;
        quorum->commands_due = true;
        quorum->answers_due = true;
        any = true;
    }
    if (raft->state == RAFT_LEADER && quorum->lead_term == 0) {
        CHECK(raft->current_term > quorum->told_term || quorum->told_term == 0);
        quorum->lead_term = raft->current_term;
        trace_debug("event=quorum_leads term=%llu", (unsigned long long)raft->current_term);
        quorum->controller = quorum->options.guard_off_in_tests;
        quorum->barrier_wanted = !quorum->controller;
        quorum->answers_due = quorum->answers_due || quorum->controller;
        quorum->commands_due = true;
        any = true;
    }
    if (raft->state == RAFT_LEADER && quorum->barrier_wanted && !quorum->barrier_busy) {
        quorum->barrier_busy = true;
        quorum->barrier_term = raft->current_term;
        quorum->barrier_wanted = false;
        if (raft_barrier(raft, &quorum->barrier, barrier_done) != 0) {
            quorum->barrier_busy = false; /* a transfer is under way: again at the next tick */
        } else {
            any = true;
        }
    }
    uint64_t leader = quorum_leader(quorum, &node);
    if (leader != quorum->seen_leader) {
        quorum->seen_leader = leader;
        quorum->commands_due = true;
    }
    return any;
}

static bool role_answer(struct quorum *quorum)
{
    uint64_t term = quorum->controller ? quorum->lead_term : 0;

    if (term == quorum->told_term) {
        return false;
    }
    if (quorum->told_term != 0) {
        uint64_t told = quorum->told_term;
        quorum->told_term = 0;
        quorum->options.role_changed(quorum->options.ctx, false, told);
    } else {
        quorum->told_term = term;
        trace_info("event=controller node=%u raft_id=%llu term=%llu", quorum->options.node_id,
                   (unsigned long long)quorum->options.raft_id, (unsigned long long)term);
        quorum->options.role_changed(quorum->options.ctx, true, term);
    }
    return true;
}

/* A follower hears that an entry is committed with whatever is sent to it next, and if nothing else
 * is under way that is a heartbeat, up to a sixth of the election time-out later. What it holds and
 * has not heard of makes its heartbeat due at once. */
static bool tell_commits(struct quorum *quorum)
{
    struct raft *raft = &quorum->raft;
    bool any = false;

    if (raft->state != RAFT_LEADER) {
        return false;
    }
    for (unsigned i = 0; i < raft->configuration.n && i < WIRE_NODES_MAX; i++) {
        struct raft_progress *progress = &raft->leader_state.progress[i];
        uint64_t index =
            progress->match_index < raft->commit_index ? progress->match_index : raft->commit_index;
        if (raft->configuration.servers[i].id == raft->id || index <= quorum->told_commit[i]) {
            continue;
        }
        quorum->told_commit[i] = index;
        progress->last_send = 0;
        any = true;
    }
    if (any) {
        quorum_io_tick(&quorum->qio);
    }
    return any;
}

/* ---- entering and leaving the core ---------------------------------------------------------- */

static void settle(struct quorum *quorum, bool answer)
{
    bool any = true;

    CHECK(quorum->depth == 0);
    quorum->depth = 1;
    while (any && !quorum->dead) {
        any = quorum_io_settle(&quorum->qio);
        any = role_step(quorum) || any;
        any = tell_commits(quorum) || any;
        if (quorum->dead) {
            break;
        }
        any = quorum_commands_step(quorum) || any;
        any = quorum_reads_step(quorum) || any;
        any = quorum_change_step(quorum) || any;
        quorum_hashes_step(quorum);
        if (any || quorum->dead) {
            continue;
        }
        if (quorum->answers_due && !answer) {
            timer_set(quorum->options.clock, &quorum->later, clock_now_us(quorum->options.clock));
            break;
        }
        if (quorum->answers_due) {
            quorum->answers_due = false;
            any = role_answer(quorum) || quorum_commands_answer(quorum) ||
                  quorum_reads_answer(quorum) || quorum_change_answer(quorum);
            quorum->answers_due = any; /* until there are none */
        }
    }
    quorum->depth = 0;
}

void quorum_enter(struct quorum *quorum)
{
    quorum->depth++;
}

void quorum_leave(struct quorum *quorum)
{
    CHECK(quorum->depth > 0);
    if (--quorum->depth == 0 && !quorum->dead && !quorum->closing) {
        settle(quorum, true);
    }
}

void quorum_leave_quietly(struct quorum *quorum)
{
    CHECK(quorum->depth > 0);
    if (--quorum->depth == 0 && !quorum->dead && !quorum->closing) {
        settle(quorum, false);
    }
}

static void later_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, later);

    quorum_enter(quorum);
    quorum_leave(quorum);
}

/* The core commits only what is on the leader's own disk: with a disk that is full or hangs a
 * leader keeps its place by heartbeats and gets nothing done. Hand over, not too often: the others
 * may be no better off. */
static void disk_check(struct quorum *quorum)
{
    struct disk *disk = quorum->options.disk;
    uint64_t now = quorum_now_ms(quorum);
    uint64_t age_max_ms = 2 * (uint64_t)quorum->raft.election_timeout;
    bool hung = quorum_io_write_age_ms(&quorum->qio) > age_max_ms;

    if (now >= quorum->disk_asked_ms + quorum->heartbeat_ms) {
        quorum->disk_asked_ms = now;
        uint64_t free_bytes = disk->ops->free_bytes(disk);
        quorum->disk_low = free_bytes < QUORUM_DISK_RESERVE;
        quorum->disk_full = free_bytes < QUORUM_DISK_LAST;
    }
    if (quorum_leads(quorum) && (hung || quorum->disk_low) && now >= quorum->hand_over_ms) {
        trace_warn("event=quorum_hand_over node=%u reason=%s", quorum->options.node_id,
                   hung ? "disk_hangs" : "disk_low");
        quorum->hand_over_ms = now + (hung ? age_max_ms : QUORUM_HAND_OVER_MS);
        quorum_transfer(quorum, 0);
    }
}

static void tick_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, tick);

    timer_after_ms(quorum->options.clock, timer, quorum->tick_ms);
    quorum_enter(quorum);
    disk_check(quorum);
    quorum_io_tick(&quorum->qio);
    quorum->commands_due = true;
    quorum_commands_tick(quorum);
    quorum_reads_tick(quorum);
    quorum_hashes_tick(quorum);
    quorum_leave(quorum);
}

/* ---- the state machine ---------------------------------------------------------------------- */

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct quorum *quorum = fsm->data;
    uint64_t index = quorum->raft.last_applied + 1; /* 0.15 raises it afterwards */
    struct slice command;

    *result = NULL;
    if (quorum->dead) {
        return 0;
    }
    CHECK(index > quorum->applied_seen);
    int rv = raft_command_unwrap(slice_of(buf->base, buf->len), &command);
    if (rv != 0) {
        quorum_fatal(quorum, rv, "an entry of the control log cannot be read by this build");
        return 0;
    }
    quorum_hashes_before(quorum, index);
    quorum->applied_seen = index;
    buf_clear(&quorum->result);
    quorum->options.fsm.apply(quorum->options.fsm.ctx, index, command, &quorum->result);
    quorum->answers_due = quorum->answers_due || quorum->command_count > 0;
    return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct quorum *quorum = fsm->data;
    struct quorum_fsm *user = &quorum->options.fsm;
    struct buf state = {0};

    user->snapshot(user->ctx, &state);
    *bufs = raft_malloc(sizeof **bufs);
    CHECK(*bufs != NULL);
    *n_bufs = 1;
    (*bufs)[0].len = SNAPSHOT_HEAD + state.len;
    uint8_t *at = (*bufs)[0].base = raft_malloc((*bufs)[0].len);
    CHECK(at != NULL);
    put_le32(at, SNAPSHOT_FORMAT);
    put_le32(at + 4, 0);
    put_le64(at + 8, user->hash != NULL ? user->hash(user->ctx) : 0);
    if (state.len > 0) {
        memcpy(at + SNAPSHOT_HEAD, state.base, state.len);
    }
    buf_fini(&state);
    return 0;
}

/* The buffer is ours only if we succeed. */
static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct quorum *quorum = fsm->data;
    struct quorum_fsm *user = &quorum->options.fsm;
    const uint8_t *at = buf->base;
    const char *what = "the snapshot of the control state is too short";
    int rv = TERN_EDAMAGED;

    if (buf->len >= SNAPSHOT_HEAD && get_le32(at) != SNAPSHOT_FORMAT) {
        what = "the snapshot of the control state has a format that this build does not know";
        rv = TERN_EFORMAT;
    } else if (buf->len >= SNAPSHOT_HEAD) {
        what = "the control state refuses its snapshot";
        rv = user->restore(user->ctx, slice_of(at + SNAPSHOT_HEAD, buf->len - SNAPSHOT_HEAD));
        if (rv == 0 && user->hash != NULL && user->hash(user->ctx) != get_le64(at + 8)) {
            what = "the control state restored from a snapshot differs from the one it was made of";
            rv = TERN_EDAMAGED;
        }
    }
    if (rv != 0) {
        quorum_fatal(quorum, rv, what);
        return RAFT_CORRUPT;
    }
    raft_free(buf->base);
    quorum->restored = true;
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void io_entered(void *ctx)
{
    quorum_enter(ctx);
}

static void io_left(void *ctx)
{
    quorum_leave(ctx);
}

static void io_failed(void *ctx, int error, const char *what)
{
    quorum_fatal(ctx, error, what);
}

/* The core draws how long it waits for a leader only when it becomes follower or candidate. One that was
 * drawn from a longer time-out would be waited out all the same: by the only node, perhaps, that can
 * be elected. */
static void draw_wait_anew(struct raft *raft)
{
    unsigned least = raft->election_timeout;
    unsigned drawn = (unsigned)raft->io->random(raft->io, (int)least, 2 * (int)least);

    if (raft->state == RAFT_FOLLOWER) {
        raft->follower_state.randomized_election_timeout = drawn;
    } else if (raft->state == RAFT_CANDIDATE) {
        raft->candidate_state.randomized_election_timeout = drawn;
    }
}

static void set_times(struct quorum *quorum, uint32_t election_ms)
{
    uint32_t heartbeat_ms = quorum->options.heartbeat_ms;

    election_ms = election_ms > 0 ? election_ms : 500;
    if (heartbeat_ms == 0 || heartbeat_ms >= election_ms) {
        heartbeat_ms = election_ms / 6 > 0 ? election_ms / 6 : 1;
    }
    quorum->heartbeat_ms = heartbeat_ms;
    /* The core compares times at every tick: finer ticks, steadier heartbeats, sooner elections. But
     * each wakes the process, which is most of what an idle node costs. Two ticks are a heartbeat. */
    uint32_t half_ms = (heartbeat_ms + 1) / 2;
    quorum->tick_ms = half_ms > QUORUM_TICK_MS_MIN ? half_ms : QUORUM_TICK_MS_MIN;
    quorum->tick_ms = quorum->tick_ms < heartbeat_ms ? quorum->tick_ms : heartbeat_ms;
    raft_set_election_timeout(&quorum->raft, election_ms);
    draw_wait_anew(&quorum->raft);
    raft_set_heartbeat_timeout(&quorum->raft, heartbeat_ms);
}

/* As far as raft_init; the caller starts or bootstraps. */
static int prepare(const struct quorum_options *options, struct quorum **out, char why[256])
{
    struct quorum *quorum = mem_new(sizeof *quorum);
    char address[12];
    struct quorum_io_options io_options = {
        .disk = options->disk,
        .clock = options->clock,
        .wire = options->wire,
        .guard_off = options->guard_off_in_tests || MUTANT(guard_off),
        .failed = io_failed,
        .entered = io_entered,
        .left = io_left,
        .ctx = quorum,
    };

    CHECK(options->raft_id > 0);
    CHECK(options->node_id > 0);
    CHECK(options->node_id < WIRE_NODES_MAX);
    quorum->options = *options;
    queue_init(&quorum->commands);
    queue_init(&quorum->reads);
    queue_init(&quorum->refused_changes);
    quorum->tick.fire = tick_fire;
    quorum->later.fire = later_fire;
    quorum->next_number = clock_random(options->clock);
    if (raft_version_number != NULL) {
        (void)snprintf(why, 256, "this build wants libraft 0.15, the one at hand is newer (%d)",
                       raft_version_number());
        free(quorum);
        return TERN_EUNSUPPORTED;
    }
    int rv = quorum_io_init(&quorum->qio, &io_options, why);
    if (rv != 0) {
        quorum_io_fini(&quorum->qio);
        free(quorum);
        return rv;
    }
    quorum->raft_fsm = (struct raft_fsm){
        .version = 1,
        .data = quorum,
        .apply = fsm_apply,
        .snapshot = fsm_snapshot,
        .restore = fsm_restore,
    };
    raft_address_text(options->node_id, address);
    CHECK(raft_init(&quorum->raft, &quorum->qio.io, &quorum->raft_fsm, options->raft_id, address) ==
          0);
    *out = quorum;
    return 0;
}

int quorum_bootstrap(const struct quorum_options *options, const struct quorum_member *members,
                     size_t count)
{
    struct raft_configuration configuration;
    struct quorum *quorum;
    char why[256];
    char address[12];

    int rv = prepare(options, &quorum, why);
    if (rv != 0) {
        return rv;
    }
    raft_configuration_init(&configuration);
    for (size_t i = 0; i < count && rv == 0; i++) {
        raft_address_text(members[i].node_id, address);
        rv = raft_configuration_add(&configuration, members[i].raft_id, address,
                                    members[i].voter ? RAFT_VOTER : RAFT_STANDBY);
    }
    if (rv == 0) {
        rv = raft_bootstrap(&quorum->raft, &configuration);
    }
    raft_configuration_close(&configuration);
    quorum_close(quorum);
    return quorum_error(rv);
}

int quorum_open(const struct quorum_options *options, struct quorum **out_quorum, char why[256])
{
    struct quorum *quorum;

    int rv = prepare(options, &quorum, why);
    if (rv != 0) {
        return rv;
    }
    set_times(quorum, options->election_ms);
    raft_set_install_snapshot_timeout(&quorum->raft, QUORUM_INSTALL_MS);
    raft_set_snapshot_threshold(
        &quorum->raft, options->snapshot_threshold > 0 ? options->snapshot_threshold : 1024);
    raft_set_snapshot_trailing(&quorum->raft,
                               options->snapshot_trailing > 0 ? options->snapshot_trailing : 256);
    raft_set_pre_vote(&quorum->raft, true);
    quorum_enter(quorum);
    rv = raft_start(&quorum->raft);
    if (rv != 0) {
        (void)snprintf(why, 256, "%s", raft_errmsg(&quorum->raft));
        quorum_close(quorum);
        return quorum_error(rv);
    }
    quorum->applied_seen = quorum->raft.last_applied;
    quorum->restored = true;
    timer_after_ms(options->clock, &quorum->tick, quorum->tick_ms);
    quorum_leave_quietly(quorum);
    *out_quorum = quorum;
    return 0;
}

void quorum_close(struct quorum *quorum)
{
    quorum->closing = true;
    timer_stop(quorum->options.clock, &quorum->tick);
    timer_stop(quorum->options.clock, &quorum->later);
    raft_close(&quorum->raft, NULL);
    quorum_commands_close(quorum);
    quorum_reads_close(quorum);
    quorum_change_close(quorum);
    quorum_io_fini(&quorum->qio);
    buf_fini(&quorum->result);
    free(quorum);
}

void quorum_set_election_ms(struct quorum *quorum, uint32_t election_ms)
{
    set_times(quorum, election_ms);
}

/* ---- frames and channels -------------------------------------------------------------------- */

void quorum_receive(struct quorum *quorum, const struct wire_hello *peer, uint16_t type,
                    struct slice head, struct chunk tail)
{
    struct slice bytes = chunk_slice(tail);
    bool good = true;

    if (quorum->dead || peer->node_id == 0 || peer->node_id >= WIRE_NODES_MAX ||
        head.len > MESSAGE_HEAD_BYTES_MAX) {
        return;
    }
    quorum_enter(quorum);
    switch (type) {
    case FRAME_APPEND:
    case FRAME_APPEND_RESULT:
    case FRAME_VOTE:
    case FRAME_VOTE_RESULT:
    case FRAME_INSTALL:
    case FRAME_TIMEOUT_NOW:
        good = good &&
               quorum_io_receive(&quorum->qio, peer->raft_id, peer->node_id, type, head, bytes);
        break;
    case FRAME_SUBMIT:
        quorum_commands_receive(quorum, peer->node_id, head, bytes);
        break;
    case FRAME_SUBMIT_RESULT:
        quorum_commands_receive_result(quorum, peer->node_id, head, bytes);
        break;
    case FRAME_TERM_ASK:
        quorum_reads_receive_ask(quorum, peer->node_id, head);
        break;
    case FRAME_TERM_TELL:
        quorum_reads_receive_tell(quorum, peer->raft_id, head);
        break;
    case FRAME_HASH:
        quorum_hashes_receive(quorum, peer->node_id, head);
        break;
    default:
        good = false;
        break;
    }
    if (!good) {
        trace_debug("event=quorum_frame_refused from=%u raft_id=%llu type=%u", peer->node_id,
                    (unsigned long long)peer->raft_id, type);
    }
    quorum_leave(quorum);
}

bool quorum_peer_plausible(const struct quorum *quorum, const struct wire_hello *peer,
                           char why[128])
{
    const struct raft_server *known = raft_config_find(&quorum->raft.configuration, peer->raft_id);

    if (peer->raft_id == 0 || known == NULL || raft_address_node(known->address) == peer->node_id) {
        return true;
    }
    (void)snprintf(why, 128, "raft id %llu belongs to node %s, not to node %u",
                   (unsigned long long)peer->raft_id, known->address, peer->node_id);
    return false;
}

void quorum_peer_down(struct quorum *quorum, uint32_t node_id)
{
    if (quorum->dead) {
        return;
    }
    quorum_enter(quorum);
    quorum_commands_peer_down(quorum, node_id);
    quorum_leave_quietly(quorum);
}

/* ---- status --------------------------------------------------------------------------------- */

void quorum_status(const struct quorum *quorum, struct quorum_status *out)
{
    const struct raft *raft = &quorum->raft;
    const struct raft_configuration *configuration = &raft->configuration;

    *out = (struct quorum_status){
        .role = (enum quorum_role)raft->state,
        .controller = quorum->controller,
        .term = raft->current_term,
        .commit_index = raft->commit_index,
        .applied_index = raft->last_applied,
        .last_index = raft_log_last(quorum->qio.log),
        .election_ms = raft->election_timeout,
        .heartbeat_ms = raft->heartbeat_timeout,
    };
    out->leader_raft_id = quorum_leader(quorum, &out->leader_node);
    for (unsigned i = 0; i < configuration->n && i < WIRE_NODES_MAX; i++) {
        const struct raft_server *server = &configuration->servers[i];
        struct quorum_peer_status *peer = &out->peers[out->peer_count++];
        peer->half_added = server->role == RAFT_SPARE;
        peer->member = (struct quorum_member){
            .raft_id = server->id,
            .node_id = raft_address_node(server->address),
            .voter = server->role == RAFT_VOTER,
        };
        if (raft->state == RAFT_LEADER) {
            peer->match_index = raft->leader_state.progress[i].match_index;
            peer->recently_heard = raft->leader_state.progress[i].recent_recv;
        }
    }
}
