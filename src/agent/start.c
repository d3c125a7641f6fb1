/* SPDX-License-Identifier: Apache-2.0 */
/* A node's start (replication.md, "Amnesia"): raise the start number, ask the peers whether this
 * disk has forgotten, take part in the quorum, register; only then answer fences and acknowledge.
 *
 *     EMPTY --founded, or a peer has a cluster--> CHECKING --nobody knows better--> REGISTERING
 *                                                     |                                  |
 *                                                     '--- a peer knows a higher number -'--> READY
 *
 * A disk that has forgotten (empty, or an old copy) skips the quorum: it registers through a peer
 * and becomes a new incarnation with a new raft id. */
#include <stdio.h>
#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "base/trace.h"
#include "mesh.pb-c.h"

#define SUBMITS_MAX  64      /* of joiners, relayed at the same time */
#define JOIN_ASK_US  1000000 /* how often an empty node looks for a cluster */
#define CHECK_ASK_US 100000
#define REFUSED_US   500000 /* a refused registration is a command, too */

struct registration {
    struct quorum_proposal proposal;
    struct node *node; /* NULL: gone */
};

struct relay {
    struct quorum_proposal proposal;
    struct node *node;
    uint32_t from;
    uint64_t seq;
    struct link link;
};

struct start {
    uint64_t since_us;
    bool forgotten;   /* register through a peer, as a new incarnation */
    bool registering; /* a command is under way */
    bool refused;     /* the last one was */
    bool opening;     /* inside quorum_open */
    uint64_t registered_us;
    struct registration *registration;
    struct command_key key; /* of the registration; the same until its outcome is known. 0: none */
    uint64_t submit_seq;
    struct link relays;
    uint32_t relay_count;
};

void start_hello(struct node *node)
{
    struct wire_hello hello = {
        .node_id = node->o.node_id,
        .cluster_id = node->file.cluster_id,
        .start_number = node->start_number,
        .format_version = WIRE_FORMAT_VERSION,
    };

    /* What the disk claims to be is not repeated before somebody has vouched for it. */
    if (node->phase >= NODE_REGISTERING && !node->file.raft_retired) {
        hello.raft_id = node->file.raft_id;
        hello.incarnation = node->file.incarnation;
    }
    (void)snprintf(hello.region, sizeof hello.region, "%s", node->o.region);
    (void)snprintf(hello.cluster_name, sizeof hello.cluster_name, "%s", node->o.cluster_name);
    node->o.wire->ops->set_hello(node->o.wire, &hello);
}

static void say_hello_again(struct node *node)
{
    start_hello(node);
    /* Also those that are not up yet: they may have said the old one. */
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        node->o.wire->ops->drop_peer(node->o.wire, id);
    }
}

static void enter(struct node *node, enum node_phase phase)
{
    trace_info("event=phase phase=%s start=%llu incarnation=%u", node_phase_name(phase),
               (unsigned long long)node->start_number, node->file.incarnation);
    node->phase = phase;
    node->start->since_us = clock_now_us(node->o.clock);
}

static uint64_t new_stamp(struct node *node)
{
    uint64_t stamp = clock_random(node->o.clock);

    return stamp != 0 ? stamp : 1;
}

static int raise_start_number(struct node *node)
{
    struct node_file *f = &node->file;
    uint64_t highest = f->start_pending > f->start_final ? f->start_pending : f->start_final;

    if (f->stamp_pending == 0) {
        f->stamp_pending = new_stamp(node);
    }
    f->start_pending = highest + 1;
    node->start_number = f->start_pending;
    return node_file_save(node->o.disk, f);
}

static void open_quorum(struct node *node);

static void remove_raft_file(void *ctx, const char *name)
{
    struct node *node = ctx;
    char path[256];

    (void)snprintf(path, sizeof path, "raft/%s", name);
    if (node->o.disk->ops->remove(node->o.disk, path) != 0) {
        node_die(node, TERN_EIO, "a file of the retired raft log could not be removed");
    }
}

/* The log and votes of a raft id that is retired: the new id begins with nothing. The quorum is not
 * open, so nobody uses the files. */
static void forget_raft(struct node *node)
{
    struct disk *disk = node->o.disk;

    CHECK(node->quorum == NULL); /* INVARIANTS 18 */
    (void)disk->ops->list(disk, "raft", remove_raft_file, node);
    (void)disk->ops->sync_dir(disk, "raft");
}

/* Founders know each other from the founding; others by the configured seeds. */
static void dial_known(struct node *node)
{
    for (uint32_t i = 0; i < node->o.seed_count; i++) {
        const struct node_seed *seed = &node->o.seeds[i];
        if (seed->node_id != node->o.node_id) {
            node->o.wire->ops->set_peer(node->o.wire, seed->node_id, seed->mesh_address);
        }
    }
    for (uint32_t i = 0; i < node->file.founder_count; i++) {
        const struct node_founder *f = &node->file.founders[i];
        if (f->node_id != node->o.node_id) {
            node->o.wire->ops->set_peer(node->o.wire, f->node_id, f->mesh_address);
        }
    }
}

static bool is_founder(const struct node *node)
{
    for (uint32_t i = 0; i < node->file.founder_count; i++) {
        if (node->file.founders[i].node_id == node->o.node_id) {
            return true;
        }
    }
    return false;
}

static void begin(struct node *node)
{
    struct node_file *f = &node->file;
    bool first = f->start_final == 0 && f->start_pending == 0;
    bool lost = store_forgotten(node->store);

    if ((node->o.new_incarnation || lost) && f->raft_id != 0 && !f->raft_retired) {
        f->raft_retired = true;
        f->stamp_pending = new_stamp(node); /* another disk registers, as it were */
    }
    if (raise_start_number(node) != 0) {
        node_die(node, TERN_EIO, "the start number could not be stored");
        return;
    }
    if (lost) {
        trace_warn("event=journal_lost node=%u action=new_incarnation", node->o.node_id);
        node->rolled_back = true;
        if (store_forgotten_told(node->store) != 0) {
            node_die(node, TERN_EIO, "that the disk has forgotten could not be stored");
            return;
        }
    }
    node->start->forgotten = node->o.new_incarnation || lost || f->raft_id == 0 || f->raft_retired;
    if (first && is_founder(node) && !node->start->forgotten) {
        enter(node, NODE_REGISTERING); /* exempt: nothing can have been forgotten */
        say_hello_again(node);
        open_quorum(node);
    } else {
        enter(node, NODE_CHECKING);
        start_hello(node);
    }
    dial_known(node);
}

void start_forgotten(struct node *node)
{
    struct node_file *f = &node->file;

    if (node->dead || f->raft_retired) {
        return;
    }
    f->raft_retired = true;
    f->stamp_pending = new_stamp(node); /* another disk registers, as it were */
    if (node_file_save(node->o.disk, f) != 0) {
        node_die(node, TERN_EIO, "that this disk has forgotten could not be stored");
        return;
    }
    node_die(node, TERN_EREFUSED,
             "this disk holds less than it acknowledged: the next start is a new incarnation");
}

int start_open(struct node *node, char why[256])
{
    int status = node_file_load(node->o.disk, &node->file, why);

    node->start = mem_new(sizeof *node->start);
    /* An answer to an earlier start must not be taken for one to this. */
    node->start->submit_seq = clock_random(node->o.clock);
    queue_init(&node->start->relays);
    if (status == TERN_ENOENT) {
        memset(&node->file, 0, sizeof node->file);
        node->file.node_id = node->o.node_id;
        (void)snprintf(node->file.region, sizeof node->file.region, "%s", node->o.region);
        (void)snprintf(node->file.cluster_name, sizeof node->file.cluster_name, "%s",
                       node->o.cluster_name);
        enter(node, NODE_EMPTY);
        start_hello(node);
        dial_known(node);
        return 0;
    }
    if (status != 0) {
        return status;
    }
    if (node->file.node_id != node->o.node_id || strcmp(node->file.region, node->o.region) != 0 ||
        strcmp(node->file.cluster_name, node->o.cluster_name) != 0) {
        (void)snprintf(why, 256,
                       "this directory belongs to node %u, region %.60s, cluster %.60s; this is "
                       "node %u, region %.40s",
                       node->file.node_id, node->file.region, node->file.cluster_name,
                       node->o.node_id, node->o.region);
        return TERN_EIDENTITY;
    }
    begin(node);
    return 0;
}

void start_close(struct node *node)
{
    struct start *s = node->start;

    if (s == NULL) {
        return;
    }
    if (s->registration != NULL) {
        s->registration->node = NULL;
    }
    while (!queue_empty(&s->relays)) {
        struct relay *relay = CONTAINER_OF(queue_pop(&s->relays), struct relay, link);
        free(relay);
    }
    free(s);
    node->start = NULL;
}

int node_found(struct node *node, struct uuid cluster_id, const struct node_founder *founders,
               size_t count, char why[256])
{
    bool joining = node->file.raft_id == 0 && !node->registered;
    if (!uuid_is_zero(node->file.cluster_id)) {
        bool same = uuid_equal(node->file.cluster_id, cluster_id);
        if (same && !joining) {
            return 0;
        }
        if (!same) {
            (void)snprintf(why, 256, "node %u belongs to a cluster already", node->o.node_id);
            return TERN_EEXIST;
        }
    }
    struct node_file file = node->file;
    file.cluster_id = cluster_id;
    file.start_pending = 0; /* what a join that had begun raised was never registered */
    file.founder_count = 0;
    for (size_t i = 0; i < count && i < NODE_FOUNDERS_MAX; i++) {
        file.founders[file.founder_count++] = founders[i];
        if (founders[i].node_id == node->o.node_id) {
            if (strcmp(founders[i].region, node->o.region) != 0) {
                (void)snprintf(why, 256, "node %u is in region %s, the founding says %s",
                               node->o.node_id, node->o.region, founders[i].region);
                return TERN_EREFUSED;
            }
            if (founders[i].witness != node->o.witness) {
                (void)snprintf(why, 256, "node %u is %s witness, the founding says otherwise",
                               node->o.node_id, node->o.witness ? "a" : "no");
                return TERN_EREFUSED;
            }
            file.raft_id = founders[i].raft_id;
        }
    }
    if (file.raft_id == 0) {
        (void)snprintf(why, 256, "the founding does not name node %u", node->o.node_id);
        return TERN_EREFUSED;
    }
    int status = node_file_save(node->o.disk, &file);
    if (status != 0) {
        (void)snprintf(why, 256, "the node's identity could not be stored");
        return status;
    }
    node->file = file;
    begin(node);
    return 0;
}

/* ---- the quorum ------------------------------------------------------------------------------ */

/* Others have agreed on what this build does not know: what it applied from here on would differ. */
static void node_outgrown(struct node *node, uint32_t level)
{
    char why[160];

    (void)snprintf(why, sizeof why,
                   "the cluster is at feature level %u, this build knows %d: start a newer one",
                   level, CONTROL_LEVEL);
    node_die(node, TERN_EFORMAT, why);
}

static void fsm_apply(void *ctx, uint64_t index, struct slice command, struct buf *out_result)
{
    struct node *node = ctx;

    node->changes.count = 0;
    control_apply(node->control, index, command, out_result, &node->changes);
    if (control_outgrown(node->control)) {
        node_outgrown(node, node->control->feature_level);
        return;
    }
    trace_debug("event=apply index=%llu command=%s", (unsigned long long)index,
                command_name(command));
    for (size_t i = 0; i < node->changes.count; i++) {
        struct control_change change = node->changes.items[i];
        node_follow(node, &change);
    }
    node_followed(node);
}

static void fsm_snapshot(void *ctx, struct buf *out)
{
    control_snapshot(((struct node *)ctx)->control, out);
}

static int fsm_restore(void *ctx, struct slice snapshot)
{
    struct node *node = ctx;
    int status = control_restore(node->control, snapshot);

    if (status == 0) {
        node_follow_all(node);
    } else if (status == TERN_EFORMAT &&
               control_snapshot_version(snapshot) <= CONTROL_FORMAT_VERSION) {
        node_die(node, status,
                 "the control state is of a feature level that this build does not know: start a "
                 "newer one");
    }
    return status;
}

static uint64_t fsm_hash(void *ctx)
{
    return control_hash(((struct node *)ctx)->control);
}

static void quorum_fatal(void *ctx, int error, const char *what)
{
    struct node *node = ctx;

    if (error != TERN_EDAMAGED || !node->start->opening) {
        node_die(node, error, what);
    } /* else quorum_open tells */
}

static void role_changed(void *ctx, bool controller, uint64_t term)
{
    controller_role(ctx, controller, term);
}

static struct quorum_options quorum_settings(struct node *node)
{
    return (struct quorum_options){
        .disk = node->o.disk,
        .clock = node->o.clock,
        .wire = node->o.wire,
        .fsm = {node, fsm_apply, fsm_snapshot, fsm_restore, fsm_hash},
        .node_id = node->o.node_id,
        .raft_id = node->file.raft_id,
        .election_ms = node->o.election_ms,
        .snapshot_threshold = node->o.snapshot_entries,
        .snapshot_trailing = node->o.snapshot_entries / 4,
        .fatal = quorum_fatal,
        .role_changed = role_changed,
        .ctx = node,
    };
}

/* The control log or its snapshot is damaged: what was voted and promised under this raft id cannot
 * be told any more. It never takes part again; the node registers through a peer, and what it needs
 * comes from the quorum. */
static void lose_raft(struct node *node, const char *why)
{
    struct node_file *f = &node->file;

    trace_error("event=control_log_damaged node=%u raft_id=%llu what=\"%s\" "
                "action=new_incarnation",
                node->o.node_id, (unsigned long long)f->raft_id, why);
    node->quorum = NULL;
    f->raft_retired = true;
    f->stamp_pending = new_stamp(node); /* another disk registers, as it were */
    if (node_file_save(node->o.disk, f) != 0) {
        node_die(node, TERN_EIO, "the retired raft id could not be stored");
        return;
    }
    node->rolled_back = true;
    node->start->forgotten = true;
    say_hello_again(node);
}

static void open_quorum(struct node *node)
{
    struct quorum_options options = quorum_settings(node);
    struct quorum_member members[NODE_FOUNDERS_MAX];
    char why[256] = "";

    if (node->file.start_final == 0 && is_founder(node)) {
        for (uint32_t i = 0; i < node->file.founder_count; i++) {
            members[i] = (struct quorum_member){node->file.founders[i].raft_id,
                                                node->file.founders[i].node_id, true};
        }
        int status = quorum_bootstrap(&options, members, node->file.founder_count);
        if (status != 0 && status != TERN_EEXIST) {
            node_die(node, status, "the quorum's first configuration could not be stored");
            return;
        }
    }
    node->start->opening = true;
    int status = quorum_open(&options, &node->quorum, why);
    node->start->opening = false;
    if (status == TERN_EDAMAGED && !node->dead) {
        lose_raft(node, why);
    } else if (status != 0) {
        node_die(node, status, why);
    }
}

static void checking(struct node *node)
{
    struct start *s = node->start;

    recall_ask(node, CHECK_ASK_US);
    if (!recall_heard_enough(node, s->since_us)) {
        return;
    }
    if (recall_is_later(node)) {
        s->forgotten = true;
        node->rolled_back = true;
        trace_warn("event=rolled_back node=%u stored_start=%llu registered_start=%llu "
                   "action=new_incarnation",
                   node->o.node_id, (unsigned long long)(node->start_number - 1),
                   (unsigned long long)node->recall.highest);
        /* For the next start, too: those who know may not answer then. */
        node->file.raft_retired = true;
        node->file.stamp_pending = new_stamp(node);
        if (node_file_save(node->o.disk, &node->file) != 0) {
            node_die(node, TERN_EIO, "the retired raft id could not be stored");
            return;
        }
    }
    enter(node, NODE_REGISTERING);
    if (s->forgotten) {
        return; /* its old raft id never takes part again; see registering() */
    }
    say_hello_again(node);
    open_quorum(node);
}

/* ---- registration ---------------------------------------------------------------------------- */

static void make_command(struct node *node, struct buf *out)
{
    struct command_registration r = {
        .node_id = node->o.node_id,
        .witness = node->o.witness,
        .kafka_port = node->o.kafka_port,
        .incarnation = node->start->forgotten ? 0 : node->file.incarnation,
        .start_number = node->start_number,
        .raft_id = node->start->forgotten ? 0 : node->file.raft_id,
        .new_incarnation = node->o.new_incarnation || node->start->forgotten,
        .stamp_final = node->file.stamp_final,
        .stamp = node->file.stamp_pending,
        .level = CONTROL_LEVEL,
        .conditional = true,
        .if_start = node->recall.highest,
    };

    (void)snprintf(r.region, sizeof r.region, "%s", node->o.region);
    (void)snprintf(r.rack, sizeof r.rack, "%s", node->o.rack);
    (void)snprintf(r.kafka_host, sizeof r.kafka_host, "%s", node->o.kafka_host);
    (void)snprintf(r.mesh_address, sizeof r.mesh_address, "%s", node->o.mesh_address);
    (void)snprintf(r.admin_address, sizeof r.admin_address, "%s", node->o.admin_address);
    if (node->start->key.seq == 0) {
        node->start->key = node_next_key(node);
    }
    command_register(out, node->start->key, &r);
}

/* A new incarnation begins with nothing: what the old one had is set aside for people to look at
 * by the operator's hands; here only the quorum's files must go, under a new id. */
static void become(struct node *node, const struct command_result *r)
{
    struct node_file file = node->file;
    bool renewed = r->raft_id != file.raft_id;

    /* Start numbers rise over a wipe, too: an old copy put back later must be found out. */
    uint64_t start_number = r->start_number;
    file.raft_id = r->raft_id;
    file.incarnation = r->incarnation;
    file.start_final = start_number;
    file.start_pending = start_number;
    file.raft_retired = false;
    file.stamp_final = file.stamp_pending;
    file.stamp_pending = 0;
    if (renewed) {
        file.founder_count = 0;
    }
    if (node_file_save(node->o.disk, &file) != 0) {
        node_die(node, TERN_EIO, "the registration could not be stored");
        return;
    }
    node->file = file;
    node->start_number = start_number;
    node->rolled_back = node->rolled_back || r->rolled_back;
    node->registered = true;
    node->start->registering = false;
    enter(node, NODE_READY);
    if (renewed) {
        say_hello_again(node);
        forget_raft(node);
        open_quorum(node);
    } else {
        start_hello(node);
    }
    struct partition *p;
    struct partition *next;
    HASH_ITER (hh, node->partitions, p, next) {
        struct replica_out out = {0};
        replica_registered(&p->replica, node_now_ms(node), file.incarnation, node->start_number,
                           &out);
        partition_run(p, &out, NULL, NULL);
        replica_out_fini(&out);
    }
}

static void registration_result(struct node *node, int status, struct slice result)
{
    struct command_result r = {0};

    node->start->registering = false;
    node->start->registered_us = clock_now_us(node->o.clock);
    if (status != 0 || command_result_read(result, &r) != 0) {
        return; /* again with the next tick: the same command, it may have been applied */
    }
    node->start->key.seq = 0;
    if (r.error == TERN_EFORMAT) {
        node_die(node, r.error, r.why);
        return;
    }
    node->start->refused = r.error != 0;
    if (r.error != 0) {
        trace_error("event=registration_refused error=%s why=\"%s\"", error_name(r.error), r.why);
        return;
    }
    if (node->quorum != NULL && r.raft_id != node->file.raft_id) {
        /* The quorum knows this disk further than any peer that was asked. Its raft id is retired;
         * the next start begins under a new one. */
        node->file.raft_retired = true;
        int saved = node_file_save(node->o.disk, &node->file);
        node_die(node, saved != 0 ? saved : TERN_EAMNESIA,
                 "this disk has forgotten; start again to join anew");
        return;
    }
    become(node, &r);
}

static void registered(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct registration *r = CONTAINER_OF(proposal, struct registration, proposal);
    struct node *node = r->node;
    struct buf copy = {0};

    if (node != NULL) {
        node->start->registration = NULL;
        buf_put(&copy, result);
        registration_result(node, status, buf_slice(&copy));
        buf_fini(&copy);
    }
    free(r);
}

static void register_through_peer(struct node *node)
{
    Tern__Mesh__Submit m = TERN__MESH__SUBMIT__INIT;
    struct buf command = {0};
    struct buf packed = {0};

    make_command(node, &command);
    m.seq = ++node->start->submit_seq;
    m.command = (ProtobufCBinaryData){command.len, command.base};
    size_t size = tern__mesh__submit__get_packed_size(&m);
    (void)tern__mesh__submit__pack(&m, buf_extend(&packed, size));
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (node->peers[id].up[WIRE_CONTROL] && !uuid_is_zero(node->peers[id].hello.cluster_id) &&
            node_send(node, id, WIRE_CONTROL, MESH_SUBMIT, buf_slice(&packed), NULL, 0)) {
            node->start->registering = true;
            break;
        }
    }
    buf_fini(&command);
    buf_fini(&packed);
}

static void register_by_quorum(struct node *node)
{
    struct registration *r = mem_new(sizeof *r);
    struct buf command = {0};

    r->node = node;
    r->proposal.done = registered;
    r->proposal.timeout_ms = 2000;
    node->start->registration = r;
    node->start->registering = true;
    make_command(node, &command);
    quorum_submit(node->quorum, buf_slice(&command), &r->proposal);
    buf_fini(&command);
}

static void registering(struct node *node)
{
    struct start *s = node->start;
    uint64_t now_us = clock_now_us(node->o.clock);
    uint64_t patience_us = s->forgotten ? 3000000 : 10000000;

    if (s->registering && now_us - s->registered_us < patience_us) {
        return;
    }
    if (!s->registering && now_us - s->registered_us < (s->refused ? REFUSED_US : 50000)) {
        return;
    }
    if (s->registration != NULL) {
        return;
    }
    s->registered_us = now_us;
    recall_ask(node, CHECK_ASK_US); /* who is refused as outdated learns by what */
    if (s->forgotten) {
        register_through_peer(node);
    } else if (node->quorum != NULL && !uuid_is_zero(node->control->cluster_id)) {
        register_by_quorum(node);
    }
}

/* ---- relaying for a joiner ------------------------------------------------------------------- */

static void relayed(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct relay *relay = CONTAINER_OF(proposal, struct relay, proposal);
    struct node *node = relay->node;
    Tern__Mesh__SubmitReply m = TERN__MESH__SUBMIT_REPLY__INIT;
    struct buf packed = {0};
    struct buf copy = {0};

    buf_put(&copy, result);
    m.seq = relay->seq;
    m.status = status;
    m.result = (ProtobufCBinaryData){copy.len, copy.base};
    size_t size = tern__mesh__submit_reply__get_packed_size(&m);
    (void)tern__mesh__submit_reply__pack(&m, buf_extend(&packed, size));
    (void)node_send(node, relay->from, WIRE_CONTROL, MESH_SUBMIT_REPLY, buf_slice(&packed), NULL,
                    0);
    buf_fini(&packed);
    buf_fini(&copy);
    link_remove(&relay->link);
    node->start->relay_count--;
    free(relay);
}

void start_submit(struct node *node, uint32_t from, struct slice head)
{
    Tern__Mesh__Submit *m = tern__mesh__submit__unpack(NULL, head.len, head.base);

    if (m == NULL || node->quorum == NULL || node->start->relay_count >= SUBMITS_MAX ||
        strcmp(command_name(slice_of(m->command.data, m->command.len)), "register") != 0) {
        tern__mesh__submit__free_unpacked(m, NULL);
        return; /* the joiner asks again */
    }
    struct relay *relay = mem_new(sizeof *relay);
    relay->node = node;
    relay->from = from;
    relay->seq = m->seq;
    relay->proposal.done = relayed;
    relay->proposal.timeout_ms = 2500;
    queue_push(&node->start->relays, &relay->link);
    node->start->relay_count++;
    quorum_submit(node->quorum, slice_of(m->command.data, m->command.len), &relay->proposal);
    tern__mesh__submit__free_unpacked(m, NULL);
}

void start_submit_reply(struct node *node, uint32_t from, struct slice head)
{
    Tern__Mesh__SubmitReply *m = tern__mesh__submit_reply__unpack(NULL, head.len, head.base);

    if (m != NULL && node->phase == NODE_REGISTERING && node->start->forgotten &&
        m->seq == node->start->submit_seq) {
        if (uuid_is_zero(node->file.cluster_id)) {
            node->file.cluster_id = node->peers[from].hello.cluster_id;
        }
        registration_result(node, m->status, slice_of(m->result.data, m->result.len));
    }
    tern__mesh__submit_reply__free_unpacked(m, NULL);
}

/* ---- ticking --------------------------------------------------------------------------------- */

/* A directory without identity only ever joins, and only a cluster that lives: one that is just
 * being founded may be about to name this node as a founder. */
static void empty(struct node *node)
{
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if ((node->recall.founded & NODE_BIT(id)) != 0 && node->peers[id].up[WIRE_CONTROL] &&
            !uuid_is_zero(node->peers[id].hello.cluster_id)) {
            node->file.cluster_id = node->peers[id].hello.cluster_id;
            begin(node);
            return;
        }
    }
    recall_ask(node, JOIN_ASK_US);
}

void start_tick(struct node *node)
{
    switch (node->phase) {
    case NODE_EMPTY:
        empty(node);
        break;
    case NODE_CHECKING:
        checking(node);
        break;
    case NODE_REGISTERING:
        registering(node);
        break;
    case NODE_READY:
    case NODE_STOPPING:
        break;
    }
}
