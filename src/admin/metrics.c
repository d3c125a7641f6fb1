/* SPDX-License-Identifier: Apache-2.0 */
/* The node's numbers as Prometheus text. */
#include <stdio.h>

#include "admin/inner.h"
#include "admin/version.h"

enum metric_kind { COUNTER, GAUGE };

static void metric(struct buf *out, enum metric_kind kind, const char *name, const char *help,
                   double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name,
               kind == COUNTER ? "counter" : "gauge", name, value);
}

static void head(struct buf *out, enum metric_kind kind, const char *name, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
               kind == COUNTER ? "counter" : "gauge");
}

static void node_metrics(struct buf *out, struct admin *admin)
{
    struct node_counters c = {0};

    node_counters(admin->options.node, &c);
    metric(out, GAUGE, "tern_node_incarnation", "Counts the disks of this node.",
           node_incarnation(admin->options.node));
    metric(out, GAUGE, "tern_node_start_number", "Counts its starts.",
           (double)node_start_number(admin->options.node));
    metric(out, GAUGE, "tern_node_rolled_back", "1 if this start found an old or wiped disk.",
           node_rolled_back(admin->options.node) ? 1 : 0);
    metric(out, COUNTER, "tern_produce_requests_total", "Produce requests.",
           (double)c.produce_requests);
    metric(out, COUNTER, "tern_produce_batches_total", "Record batches received from producers.",
           (double)c.produce_batches);
    metric(out, COUNTER, "tern_produce_bytes_total", "Bytes of those batches.",
           (double)c.produce_bytes);
    metric(out, COUNTER, "tern_acks_total", "Batches acknowledged to producers.",
           (double)c.produce_acks);
    metric(out, COUNTER, "tern_produce_errors_total", "Batches answered with an error.",
           (double)c.produce_errors);
    metric(out, COUNTER, "tern_recompressed_total",
           "Batches that were compressed anew, as compression.type says.",
           (double)c.produce_recompressed);
    metric(out, GAUGE, "tern_ack_gap_max_seconds",
           "Longest gap between two acks while something waited, since start.",
           (double)c.ack_gap_max_us / 1e6);
    metric(out, GAUGE, "tern_catch_up_limit_bytes_per_second",
           "What may be read for replicas that were away: less while producers wait longer.",
           (double)c.catch_up_per_s);
    metric(out, COUNTER, "tern_fetch_requests_total", "Fetch requests.", (double)c.fetch_requests);
    metric(out, COUNTER, "tern_fetch_bytes_total", "Bytes sent to consumers.",
           (double)c.fetch_bytes);
    metric(out, COUNTER, "tern_fetch_sent_elsewhere_total",
           "Readers of a partition that were told of a copy in their own region.",
           (double)c.fetch_sent_elsewhere);
    metric(
        out, COUNTER, "tern_fetch_sent_back_total",
        "Readers of a partition that were told to leave a copy that lags or has lost its leader.",
        (double)c.fetch_sent_back);
    metric(out, COUNTER, "tern_fetch_looks_total", "Partitions that fetches have looked at.",
           (double)c.fetch_looks);
    metric(out, GAUGE, "tern_fetch_sessions", "Fetch sessions.", (double)c.fetch_sessions);
    metric(out, GAUGE, "tern_fetch_session_partitions", "Partitions in fetch sessions.",
           (double)c.fetch_session_parts);
    metric(out, COUNTER, "tern_fetch_session_evictions_total",
           "Fetch sessions that gave way to others.", (double)c.fetch_session_evictions);
    metric(out, COUNTER, "tern_requests_total", "Requests of clients.", (double)c.requests);
    metric(out, COUNTER, "tern_hostile_frames_total", "Client frames that closed their connection.",
           (double)c.hostile_frames);
    metric(out, GAUGE, "tern_clients", "Connected clients.", (double)c.clients);
    metric(out, GAUGE, "tern_partitions_led", "Partitions that this node leads.",
           (double)c.leaderships);
    metric(out, GAUGE, "tern_partitions_hosted", "Partitions with a replica here.",
           (double)c.partitions);
    metric(out, GAUGE, "tern_groups", "Consumer groups that this node coordinates.",
           (double)c.groups);
    metric(out, GAUGE, "tern_group_members", "Their members.", (double)c.group_members);
    metric(out, GAUGE, "tern_group_state_bytes", "Memory of their state, about.",
           (double)c.group_bytes);
    metric(out, GAUGE, "tern_group_log_bytes", "Their logs since the newest snapshots.",
           (double)c.groups_log_bytes);
    metric(out, COUNTER, "tern_group_joins_total", "Members that joined a generation.",
           (double)c.group_joins);
    metric(out, COUNTER, "tern_offset_commits_total", "Offsets of partitions committed.",
           (double)c.offset_commits);
    metric(out, COUNTER, "tern_offset_fetches_total", "Requests for committed offsets.",
           (double)c.offset_fetches);
    metric(out, COUNTER, "tern_mesh_frames_in_total", "Frames received from other nodes.",
           (double)c.mesh_frames_in);
    metric(out, COUNTER, "tern_mesh_frames_out_total", "Frames sent to other nodes.",
           (double)c.mesh_frames_out);
    metric(out, COUNTER, "tern_mesh_bytes_in_total", "Bytes received from other nodes.",
           (double)c.mesh_bytes_in);
    metric(out, COUNTER, "tern_mesh_bytes_out_total", "Bytes sent to other nodes.",
           (double)c.mesh_bytes_out);
}

static void store_metrics(struct buf *out, struct store *store)
{
    struct store_counters c = {0};

    store_counters(store, &c);
    metric(out, COUNTER, "tern_journal_fsyncs_total", "Journal groups made durable.",
           (double)c.fsyncs);
    metric(out, COUNTER, "tern_journal_fsync_seconds_total", "Time spent in them.",
           (double)c.fsync_us_sum / 1e6);
    metric(out, COUNTER, "tern_journal_held_total", "Times that it waited for segment files.",
           (double)c.held);
    metric(out, COUNTER, "tern_journal_frames_total", "Journal records written.", (double)c.frames);
    metric(out, COUNTER, "tern_journal_bytes_total", "Journal bytes written.", (double)c.bytes);
    metric(out, GAUGE, "tern_journal_used_bytes", "Journal bytes that no checkpoint has freed.",
           (double)c.journal_used_bytes);
    metric(out, COUNTER, "tern_checkpoints_total", "Checkpoints.", (double)c.checkpoints);
    metric(out, COUNTER, "tern_quarantined_bytes_total", "Bytes put into quarantine.",
           (double)c.quarantined_bytes);
    metric(out, COUNTER, "tern_damage_found_total", "Damaged ranges of records found.",
           (double)c.damage_found);
    metric(out, COUNTER, "tern_damage_repaired_total",
           "Damaged batches written anew from other nodes.", (double)c.damage_repaired);
    metric(out, GAUGE, "tern_damage_open", "Damaged ranges that wait for other nodes.",
           (double)c.damage_open);
    metric(out, COUNTER, "tern_scrubbed_bytes_total",
           "Stored bytes read through in search of damage.", (double)c.scrubbed_bytes);
    metric(out, COUNTER, "tern_compactions_total", "Passes of compaction over one log.",
           (double)c.compactions);
    metric(out, COUNTER, "tern_compaction_read_bytes_total", "Bytes read by them.",
           (double)c.compact_read_bytes);
    metric(out, COUNTER, "tern_compaction_freed_bytes_total", "Bytes of segments that went.",
           (double)c.compact_freed_bytes);
    metric(out, COUNTER, "tern_compaction_dropped_records_total", "Records taken out.",
           (double)c.compact_dropped);
    metric(out, COUNTER, "tern_scrub_passes_total", "Times that everything was read through.",
           (double)c.scrub_passes);
    metric(out, GAUGE, "tern_disk_writable", "1 while the disk is above its reserve.",
           store_writable(store) ? 1 : 0);
}

static void quorum_metrics(struct buf *out, struct pool *pool, struct admin *admin)
{
    struct quorum *quorum = node_quorum(admin->options.node);
    struct quorum_status *status = pool_new(pool, sizeof *status);
    const struct control *control = node_control(admin->options.node);

    if (quorum == NULL) {
        return;
    }
    quorum_status(quorum, status);
    metric(out, GAUGE, "tern_raft_id", "This incarnation's id in the control quorum.",
           (double)control->nodes[node_settings(admin->options.node)->node_id].raft_id);
    metric(out, GAUGE, "tern_raft_term", "Term of the control quorum.", (double)status->term);
    metric(out, GAUGE, "tern_raft_is_leader", "1 on the leader.",
           status->role == QUORUM_LEADER ? 1 : 0);
    metric(out, GAUGE, "tern_raft_has_leader", "1 while a leader is known.",
           status->leader_node != 0 ? 1 : 0);
    metric(out, GAUGE, "tern_raft_commit_index", "Newest committed entry known here.",
           (double)status->commit_index);
    metric(out, GAUGE, "tern_raft_applied_index", "Newest applied entry.",
           (double)status->applied_index);
    metric(out, GAUGE, "tern_raft_election_timeout_seconds", "Election time-out in use.",
           status->election_ms / 1e3);
    metric(out, GAUGE, "tern_policy_revision", "Revision of the policies.",
           (double)control->policy_revision);
}

/* Only peers that the control state knows: their number is bounded, their names are numbers. */
static void peer_metrics(struct buf *out, struct admin *admin)
{
    static const char *const names[] = {"tern_peer_reachable", "tern_peer_round_trip_seconds"};
    static const char *const helps[] = {"1 while the peer is heard.",
                                        "Median round trip to the peer."};
    const struct node *node = admin->options.node;
    const struct control *control = node_control(node);

    for (size_t which = 0; which < ARRAY_COUNT(names); which++) {
        head(out, GAUGE, names[which], helps[which]);
        for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
            struct node_peer_view peer = {0};

            if (control->nodes[id].id == 0 || id == node_settings(node)->node_id) {
                continue;
            }
            node_peer(node, id, &peer);
            buf_printf(out, "%s{peer=\"%u\"} %.6g\n", names[which], id,
                       which == 0 ? (peer.reachable ? 1.0 : 0.0) : peer.rtt_p50_us / 1e6);
        }
    }
}

static void health_metrics(struct buf *out, struct pool *pool, struct admin *admin)
{
    struct health_view view = admin_view(admin);
    struct health_cluster *found = pool_new(pool, sizeof *found);

    health_cluster(&view, found);
    metric(out, GAUGE, "tern_partitions_leaderless", "Partitions that nobody can write to.",
           found->leaderless);
    metric(out, GAUGE, "tern_critical_topics", "Topics that a policy calls critical.",
           found->critical);
    metric(out, GAUGE, "tern_critical_topics_met", "Those whose rule is met.", found->critical_met);
    metric(out, GAUGE, "tern_ledger_open", "Ledger entries that are still open.",
           found->ledger_open);
    head(out, GAUGE, "tern_health_check", "1 per named finding.");
    for (uint32_t n = 0; n < found->check_count; n++) {
        buf_printf(out, "tern_health_check{code=\"%s\",severity=\"%s\",subject=\"%s\"} 1\n",
                   found->checks[n].code, health_name(found->checks[n].health),
                   found->checks[n].subject);
    }
}

static void net_metrics(struct buf *out, const struct net *net)
{
    struct net_counters c;

    net_counters(net, &c);
    metric(out, COUNTER, "tern_clients_opened_total", "Client connections accepted.",
           (double)c.clients_opened);
    metric(out, COUNTER, "tern_clients_refused_total", "Client connections refused or cut.",
           (double)c.clients_refused);
    metric(out, COUNTER, "tern_client_frames_in_total", "Request frames.",
           (double)c.client_frames_in);
    metric(out, COUNTER, "tern_client_frames_out_total", "Response frames.",
           (double)c.client_frames_out);
    metric(out, COUNTER, "tern_client_bytes_in_total", "Bytes from clients.",
           (double)c.client_bytes_in);
    metric(out, COUNTER, "tern_client_bytes_out_total", "Bytes to clients.",
           (double)c.client_bytes_out);
    metric(out, COUNTER, "tern_peers_refused_total",
           "Peers with the wrong certificate, cluster or incarnation.", (double)c.peer_refused);
    metric(out, COUNTER, "tern_admin_calls_total", "Admin calls.", (double)c.admin_calls);
    metric(out, COUNTER, "tern_admin_refused_total", "Admin connections refused.",
           (double)c.admin_refused);
}

int answer_metrics(struct admin *admin, const struct ask *ask, struct pool *pool, struct buf *out,
                   char why[ADMIN_WHY])
{
    const struct node_options *settings = node_settings(admin->options.node);

    (void)ask;
    (void)why;
    head(out, GAUGE, "tern_build_info", "Version, node and region; always 1.");
    buf_printf(out, "tern_build_info{version=\"%s\",node=\"%u\",region=\"%s\"} 1\n", TERN_VERSION,
               settings->node_id, settings->region);
    node_metrics(out, admin);
    if (node_store(admin->options.node) != NULL) {
        store_metrics(out, node_store(admin->options.node));
    }
    quorum_metrics(out, pool, admin);
    peer_metrics(out, admin);
    health_metrics(out, pool, admin);
    if (admin->options.net != NULL) {
        net_metrics(out, admin->options.net);
    }
    return 0;
}
