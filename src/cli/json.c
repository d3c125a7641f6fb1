/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include "cli/cli.h"
#include "cli/print.h"

/* ---- quorum --------------------------------------------------------------------------------- */

static json_t *rtt_json(double millis)
{
    return millis < 0 ? json_null() : json_real((double)(long)(millis * 1000 + 0.5) / 1000);
}

static json_t *node_json(const struct tern_node *node)
{
    json_t *out = json_object();
    json_t *rtt = json_object();

    json_object_set_new(out, "id", json_integer(node->id));
    json_object_set_new(out, "region", json_text(node->region));
    json_object_set_new(out, "role", json_text(node->role));
    json_object_set_new(out, "term", json_number_or_null(node->known, node->term));
    json_object_set_new(out, "commit", json_number_or_null(node->known, node->commit));
    json_object_set_new(out, "applied", json_number_or_null(node->known, node->applied));
    json_object_set_new(out, "lag", json_number_or_null(node->known, node->lag));
    json_object_set_new(out, "seen_ms",
                        json_number_or_null(node->seen_ms >= 0, (uint64_t)node->seen_ms));
    json_object_set_new(rtt, "p50", rtt_json(node->rtt_p50_ms));
    json_object_set_new(rtt, "p99", rtt_json(node->rtt_p99_ms));
    json_object_set_new(out, "rtt_ms", rtt);
    json_object_set_new(out, "state", json_text(node->state));
    json_object_set_new(out, "stale", json_boolean(node->stale));
    return out;
}

json_t *json_of_quorum(const struct tern_quorum *quorum)
{
    json_t *out = json_object();
    json_t *nodes = json_array();

    json_object_set_new(out, "cluster", json_text(quorum->cluster));
    json_object_set_new(out, "term", json_integer((json_int_t)quorum->term));
    json_object_set_new(out, "leader", json_number_or_null(quorum->leader != 0, quorum->leader));
    for (size_t n = 0; n < quorum->node_count; n++) {
        json_array_append_new(nodes, node_json(&quorum->nodes[n]));
    }
    json_object_set_new(out, "nodes", nodes);
    return out;
}

/* ---- status --------------------------------------------------------------------------------- */

json_t *json_of_status(const struct tern_status *status)
{
    const struct tern_quorum *quorum = status->quorum;
    json_t *out = json_object();
    json_t *checks = json_array();

    json_object_set_new(out, "cluster", json_text(quorum->cluster));
    json_object_set_new(out, "cluster_id", json_text(quorum->cluster_id));
    json_object_set_new(out, "state", json_text(cli_health_word(status->health)));
    json_object_set_new(out, "controller",
                        json_number_or_null(quorum->leader != 0, quorum->leader));
    json_object_set_new(out, "term", json_integer((json_int_t)quorum->term));
    for (size_t n = 0; n < status->check_count; n++) {
        const struct tern_check *check = &status->checks[n];
        json_t *item = json_object();

        json_object_set_new(item, "code", json_text(check->code));
        json_object_set_new(item, "severity", json_text(cli_health_word(check->health)));
        json_object_set_new(item, "subject", json_text(check->subject));
        json_object_set_new(item, "text", json_text(check->text));
        json_array_append_new(checks, item);
    }
    json_object_set_new(out, "checks", checks);
    json_object_set_new(out, "topics", json_integer(status->topics));
    json_object_set_new(out, "partitions", json_integer(status->partitions));
    json_object_set_new(out, "leaderless", json_integer(status->leaderless));
    json_object_set_new(out, "critical", json_integer(status->critical));
    json_object_set_new(out, "critical_met", json_integer(status->critical_met));
    json_object_set_new(out, "ledger_open", json_integer(status->ledger_open));
    json_object_set_new(out, "regions", json_integer(status->regions));
    json_object_set_new(out, "regions_reached", json_integer(status->regions_reached));
    json_object_set_new(out, "nodes", json_integer((json_int_t)quorum->node_count));
    json_object_set_new(out, "nodes_answered", json_integer((json_int_t)quorum->answered));
    json_object_set_new(out, "policy_revision", json_integer((json_int_t)status->policy_revision));
    json_object_set_new(out, "election_ms", json_integer(quorum->election_ms));
    json_object_set_new(out, "heartbeat_ms", json_integer(quorum->heartbeat_ms));
    json_object_set_new(out, "lease_ms", json_integer(quorum->lease_ms));
    return out;
}

/* ---- topics --------------------------------------------------------------------------------- */

static json_t *topic_json(const struct tern_topic *topic)
{
    json_t *out = json_object();
    json_t *leaders = json_object();

    json_object_set_new(out, "name", json_text(topic->name));
    json_object_set_new(out, "policy", json_text(topic->policy));
    json_object_set_new(out, "ack", json_integer(topic->ack));
    json_object_set_new(out, "partitions", json_integer(topic->partition_count));
    for (size_t n = 0; n < topic->leader_count; n++) {
        json_object_set_new(leaders, topic->leaders[n].region,
                            json_integer(topic->leaders[n].count));
    }
    json_object_set_new(out, "leaders", leaders);
    json_object_set_new(out, "id", json_text(topic->id));
    json_object_set_new(out, "mode", json_text(topic->mode));
    json_object_set_new(out, "home", topic->home[0] != '\0' ? json_text(topic->home) : json_null());
    json_object_set_new(out, "critical", json_boolean(topic->critical));
    json_object_set_new(out, "leaderless", json_integer(topic->leaderless));
    json_object_set_new(out, "under_replicated", json_integer(topic->under_replicated));
    json_object_set_new(out, "state", json_text(cli_health_word(topic->health)));
    json_object_set_new(out, "why", json_text(topic->why));
    json_object_set_new(out, "retention_ms", json_integer(topic->retention_ms));
    json_object_set_new(out, "retention_bytes", json_integer(topic->retention_bytes));
    return out;
}

json_t *json_of_topics(const struct tern_topics *topics)
{
    json_t *out = json_object();
    json_t *list = json_array();

    for (size_t n = 0; n < topics->count; n++) {
        json_array_append_new(list, topic_json(&topics->topics[n]));
    }
    json_object_set_new(out, "topics", list);
    return out;
}

static json_t *offset_or_null(bool fresh, int64_t offset)
{
    return json_number_or_null(fresh && offset >= 0, (uint64_t)offset);
}

static json_t *partition_json(const struct tern_partition *p)
{
    json_t *out = json_object();
    json_t *replicas = json_array();
    json_t *exposed = json_object();

    json_object_set_new(out, "partition", json_integer(p->index));
    json_object_set_new(out, "epoch", json_integer(p->epoch));
    json_object_set_new(out, "leader", json_number_or_null(p->leader != 0, p->leader));
    json_object_set_new(out, "leader_region",
                        p->leader != 0 ? json_text(p->leader_region) : json_null());
    json_object_set_new(out, "ack", json_integer(p->ack));
    json_object_set_new(out, "activated", json_boolean(p->activated));
    json_object_set_new(out, "log_start", offset_or_null(p->fresh, p->log_start));
    json_object_set_new(out, "log_end", offset_or_null(p->fresh, p->leo));
    json_object_set_new(out, "high_watermark", offset_or_null(p->fresh, p->hw));
    json_object_set_new(out, "bytes", json_number_or_null(p->fresh, p->bytes));
    json_object_set_new(
        exposed, "records",
        json_number_or_null(p->fresh && p->exposed_records >= 0, (uint64_t)p->exposed_records));
    json_object_set_new(exposed, "bytes", json_number_or_null(p->fresh, p->exposed_bytes));
    json_object_set_new(exposed, "ms", json_number_or_null(p->fresh, p->exposed_ms));
    json_object_set_new(out, "exposed", exposed);
    for (size_t n = 0; n < p->replica_count; n++) {
        const struct tern_replica *r = &p->replicas[n];
        json_t *item = json_object();

        json_object_set_new(item, "node", json_integer(r->node));
        json_object_set_new(item, "region", json_text(r->region));
        json_object_set_new(item, "role", json_text(r->voter ? "voter" : "learner"));
        json_object_set_new(item, "durable_end", offset_or_null(p->fresh, r->acked));
        json_array_append_new(replicas, item);
    }
    json_object_set_new(out, "replicas", replicas);
    json_object_set_new(out, "state", json_text(cli_health_word(p->health)));
    json_object_set_new(out, "why", json_text(p->why));
    return out;
}

json_t *json_of_topic(const struct tern_topic *topic)
{
    json_t *out = topic_json(topic);
    json_t *list = json_array();

    for (uint32_t n = 0; topic->partitions != NULL && n < topic->partition_count; n++) {
        json_array_append_new(list, partition_json(&topic->partitions[n]));
    }
    json_object_set_new(out, "partition_list", list);
    return out;
}

/* ---- policies ------------------------------------------------------------------------------- */

static json_t *policy_json(const struct tern_policy *policy)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", json_text(policy->name));
    json_object_set_new(out, "critical", json_boolean(policy->critical));
    json_object_set_new(out, "mode", json_text(policy->mode));
    json_object_set_new(out, "ack", json_integer(policy->ack));
    json_object_set_new(out, "topics", json_integer(policy->topics));
    json_object_set_new(out, "revision", json_integer((json_int_t)policy->revision));
    json_object_set_new(out, "author", json_text(policy->author));
    json_object_set_new(out, "applied", json_wall(policy->wall_ms));
    json_object_set_new(out, "yaml", json_text(policy->yaml));
    return out;
}

json_t *json_of_policies(const struct tern_policies *policies)
{
    json_t *out = json_object();
    json_t *list = json_array();

    for (size_t n = 0; n < policies->count; n++) {
        json_array_append_new(list, policy_json(&policies->policies[n]));
    }
    json_object_set_new(out, "revision", json_integer((json_int_t)policies->revision));
    json_object_set_new(out, "policies", list);
    return out;
}

/* ---- ledger and quarantine ------------------------------------------------------------------ */

static json_t *entry_json(const struct tern_ledger_entry *entry)
{
    json_t *out = json_object();
    bool offsets = entry->first_offset >= 0;

    json_object_set_new(out, "kind", json_text(entry->kind));
    json_object_set_new(out, "topic", json_text(entry->topic));
    json_object_set_new(out, "partition", json_integer(entry->partition));
    json_object_set_new(out, "first_offset",
                        json_number_or_null(offsets, (uint64_t)entry->first_offset));
    json_object_set_new(
        out, "end_offset",
        json_number_or_null(offsets && entry->end_offset >= 0, (uint64_t)entry->end_offset));
    json_object_set_new(out, "bytes", json_integer((json_int_t)entry->bytes));
    json_object_set_new(out, "millis", json_integer((json_int_t)entry->millis));
    json_object_set_new(out, "since", json_wall(entry->since_wall_ms));
    json_object_set_new(out, "until", json_wall(entry->until_wall_ms));
    json_object_set_new(out, "decided_by", json_text(entry->decided_by));
    json_object_set_new(out, "note", json_text(entry->note));
    return out;
}

json_t *json_of_ledger(const struct tern_ledger *ledger)
{
    json_t *out = json_object();
    json_t *list = json_array();

    for (size_t n = 0; n < ledger->count; n++) {
        json_array_append_new(list, entry_json(&ledger->entries[n]));
    }
    json_object_set_new(out, "entries", list);
    return out;
}

static json_t *quarantined_json(const struct tern_quarantined *entry)
{
    json_t *out = json_object();

    json_object_set_new(out, "node", json_integer(entry->node));
    json_object_set_new(out, "region", json_text(entry->region));
    json_object_set_new(out, "topic", json_text(entry->topic));
    json_object_set_new(out, "topic_id", json_text(entry->topic_id));
    json_object_set_new(out, "partition", json_integer(entry->partition));
    json_object_set_new(out, "first_epoch", json_integer(entry->first_epoch));
    json_object_set_new(out, "last_epoch", json_integer(entry->last_epoch));
    json_object_set_new(out, "first_offset", json_integer((json_int_t)entry->first_offset));
    json_object_set_new(out, "end_offset", json_integer((json_int_t)entry->end_offset));
    json_object_set_new(out, "records", json_integer((json_int_t)entry->records));
    json_object_set_new(out, "bytes", json_integer((json_int_t)entry->bytes));
    json_object_set_new(out, "at", json_wall(entry->wall_ms));
    json_object_set_new(out, "path", json_text(entry->path));
    return out;
}

json_t *json_of_quarantine(const struct tern_quarantine *quarantine)
{
    json_t *out = json_object();
    json_t *list = json_array();

    for (size_t n = 0; n < quarantine->count; n++) {
        json_array_append_new(list, quarantined_json(&quarantine->entries[n]));
    }
    json_object_set_new(out, "entries", list);
    json_object_set_new(out, "silent_nodes", json_integer(quarantine->silent_nodes));
    return out;
}

/* ---- groups --------------------------------------------------------------------------------- */

static json_t *group_head(const struct tern_group *group)
{
    json_t *out = json_object();

    json_object_set_new(out, "name", json_text(group->name));
    json_object_set_new(out, "state", json_text(group->state));
    json_object_set_new(out, "protocol_type", json_text(group->protocol_type));
    json_object_set_new(out, "protocol", json_text(group->protocol));
    json_object_set_new(out, "generation", json_integer(group->generation));
    json_object_set_new(out, "node", json_integer(group->node));
    json_object_set_new(out, "region", json_text(group->region));
    return out;
}

json_t *json_of_groups(const struct tern_groups *groups)
{
    json_t *out = json_object();
    json_t *list = json_array();

    for (size_t n = 0; n < groups->count; n++) {
        json_t *group = group_head(&groups->groups[n]);

        json_object_set_new(group, "members", json_integer(groups->groups[n].members));
        json_object_set_new(group, "offsets", json_integer(groups->groups[n].offsets));
        json_array_append_new(list, group);
    }
    json_object_set_new(out, "groups", list);
    json_object_set_new(out, "silent_nodes", json_integer(groups->silent_nodes));
    json_object_set_new(out, "loading_nodes", json_integer(groups->loading_nodes));
    return out;
}

json_t *json_of_group(const struct tern_group *group)
{
    json_t *out = group_head(group);
    json_t *members = json_array();
    json_t *offsets = json_array();

    for (size_t n = 0; n < group->member_list_count; n++) {
        json_t *member = json_object();

        json_object_set_new(member, "id", json_text(group->member_list[n].id));
        json_object_set_new(member, "instance", json_text(group->member_list[n].instance));
        json_object_set_new(member, "client", json_text(group->member_list[n].client));
        json_array_append_new(members, member);
    }
    for (size_t n = 0; n < group->offset_list_count; n++) {
        const struct tern_group_offset *from = &group->offset_list[n];
        json_t *offset = json_object();

        json_object_set_new(offset, "topic", json_text(from->topic));
        json_object_set_new(offset, "partition", json_integer(from->partition));
        json_object_set_new(offset, "offset", json_integer((json_int_t)from->offset));
        json_object_set_new(offset, "end",
                            json_number_or_null(from->end >= 0, (uint64_t)from->end));
        json_object_set_new(offset, "committed", json_wall(from->commit_wall_ms));
        json_array_append_new(offsets, offset);
    }
    json_object_set_new(out, "members", members);
    json_object_set_new(out, "offsets", offsets);
    return out;
}
