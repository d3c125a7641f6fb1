/* SPDX-License-Identifier: Apache-2.0 */
/* Configs as DescribeConfigs shows them: what was set, and what holds where nothing was. */
#include <stdarg.h>
#include <stdio.h>

#include "agent/api.h"

#define VIEWS_MAX 96

static struct slice print(struct arena *arena, const char *format, ...) TERN_PRINTF(2, 3);
static struct slice print(struct arena *arena, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return arena_text(arena, text);
}

/* Whatever the policy says, it must fit into a journal file. */
static uint64_t message_bytes(struct node *node, const struct policy *policy)
{
    uint64_t most = store_batch_max(node->store);

    return policy->max_message_bytes > 0 && policy->max_message_bytes < most
               ? policy->max_message_bytes
               : most;
}

/* What holds when the topic says nothing itself. */
static struct slice usual_value(struct node *node, const struct policy *document,
                                const struct topic_config_key *key, struct arena *arena)
{
    if (key->usual != NULL) {
        return slice_text(key->usual);
    }
    if (strcmp(key->name, "retention.ms") == 0) {
        return print(arena, "%lld", (long long)document->retention_ms);
    }
    if (strcmp(key->name, "retention.bytes") == 0) {
        return print(arena, "%lld", (long long)document->retention_bytes);
    }
    if (strcmp(key->name, "max.message.bytes") == 0) {
        return print(arena, "%llu", (unsigned long long)message_bytes(node, document));
    }
    if (strcmp(key->name, "min.insync.replicas") == 0) {
        return print(arena, "%u", document->mode == POLICY_SYNC ? document->ack : 1);
    }
    if (strcmp(key->name, "segment.bytes") == 0) {
        return print(arena, "%llu", (unsigned long long)node->o.store.segment_bytes);
    }
    return arena_text(arena, document->name); /* tern.policy */
}

static void effective(struct config_view *view, const char *name, int type, struct slice value,
                      const char *about)
{
    *view = (struct config_view){.name = name,
                                 .value = value,
                                 .usual = value,
                                 .about = about,
                                 .source = CONFIG_SOURCE_DEFAULT,
                                 .type = (int8_t)type,
                                 .read_only = true};
}

static struct slice region_list(const struct policy *policy, struct arena *arena)
{
    struct buf list = {0};

    for (uint32_t i = 0; i < policy->region_count; i++) {
        buf_text(&list, i > 0 ? "," : "");
        buf_text(&list, policy->regions[i]);
    }
    buf_put(&list, slice_of("", 1));
    struct slice text = arena_text(arena, (const char *)list.base);
    buf_fini(&list);
    return text;
}

/* What the policy says, for people who have only Kafka's tools at hand. */
static uint32_t policy_views(const struct policy *p, struct arena *arena, struct config_view *out)
{
    uint32_t n = 0;

    effective(&out[n++], "tern.ack", TOPIC_CONFIG_INT, print(arena, "%u", p->ack),
              "Regions that have fsynced a record before it is acknowledged.");
    effective(&out[n++], "tern.copies", TOPIC_CONFIG_INT, print(arena, "%u", p->copies),
              "Replicas that count in each region.");
    effective(&out[n++], "tern.critical", TOPIC_CONFIG_BOOLEAN,
              slice_text(p->critical ? "true" : "false"), "Never weakened without a confirmation.");
    effective(&out[n++], "tern.home", TOPIC_CONFIG_STRING, arena_text(arena, p->home),
              "The region that acknowledges alone, of an async policy.");
    effective(&out[n++], "tern.mode", TOPIC_CONFIG_STRING,
              slice_text(p->mode == POLICY_SYNC ? "sync" : "async"),
              "Does an acknowledgement wait for other regions?");
    effective(&out[n++], "tern.regions", TOPIC_CONFIG_LIST, region_list(p, arena),
              "Regions with replicas; empty: all.");
    return n;
}

uint32_t topic_config_views(struct node *node, const struct control_topic *topic,
                            struct arena *arena, struct config_view **out)
{
    struct config_view *views = arena_take(arena, VIEWS_MAX * sizeof *views);
    struct policy document = control_topic_document(node->control, topic);
    uint32_t n = 0;

    CHECK(topic_config_count() + 8 < VIEWS_MAX);
    for (size_t i = 0; i < topic_config_count(); i++) {
        const struct topic_config_key *key = topic_config_at(i);
        const char *own = topic_configs_get(&topic->configs, key->name);
        if (own == NULL && key->retired) {
            continue;
        }
        struct slice usual = usual_value(node, &document, key, arena);
        /* The control state may be another one when the answer leaves. */
        views[n++] = (struct config_view){
            .name = key->name,
            .value = own != NULL ? arena_text(arena, own) : usual,
            .usual = usual,
            .synonym = key->synonym,
            .about = key->about,
            .source = own != NULL ? CONFIG_SOURCE_TOPIC : CONFIG_SOURCE_DEFAULT,
            .type = (int8_t)key->type,
        };
    }
    n += policy_views(&topic->policy, arena, &views[n]);
    *out = views;
    return n;
}

/* ---- this node ------------------------------------------------------------------------------- */

static void broker(struct config_view *views, uint32_t *n, const char *name, int type,
                   struct slice value, bool told)
{
    CHECK(*n < VIEWS_MAX);
    effective(&views[*n], name, type, value,
              told ? "As ternd was told (ternd --help)." : "So it is with tern.");
    views[*n].synonym = name;
    views[(*n)++].source = told ? CONFIG_SOURCE_BROKER : CONFIG_SOURCE_DEFAULT;
}

static uint32_t data_regions(const struct control *control)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < control->region_count; i++) {
        count += !control->regions[i].witness;
    }
    return count;
}

uint32_t broker_config_views(struct node *node, struct arena *arena, struct config_view **out)
{
    const struct node_options *o = &node->o;
    struct config_view *v = arena_take(arena, VIEWS_MAX * sizeof *v);
    struct policy policy = policy_default();
    uint32_t n = 0;

    broker(v, &n, "advertised.listeners", TOPIC_CONFIG_STRING,
           print(arena, "PLAINTEXT://%s:%u", o->kafka_host, o->kafka_port), true);
    broker(v, &n, "auto.create.topics.enable", TOPIC_CONFIG_BOOLEAN,
           slice_text(o->auto_create_topics ? "true" : "false"), true);
    broker(v, &n, "broker.id", TOPIC_CONFIG_INT, print(arena, "%u", o->node_id), true);
    broker(v, &n, "broker.rack", TOPIC_CONFIG_STRING, arena_text(arena, o->region), true);
    broker(v, &n, "compression.type", TOPIC_CONFIG_STRING, slice_text("producer"), false);
    broker(v, &n, "default.replication.factor", TOPIC_CONFIG_INT,
           print(arena, "%u", policy.copies * data_regions(node->control)), false);
    broker(v, &n, "delete.topic.enable", TOPIC_CONFIG_BOOLEAN, slice_text("true"), false);
    broker(v, &n, "group.initial.rebalance.delay.ms", TOPIC_CONFIG_INT,
           print(arena, "%u", o->group_initial_delay_ms), true);
    broker(v, &n, "log.cleanup.policy", TOPIC_CONFIG_LIST, slice_text("delete"), false);
    broker(v, &n, "log.message.timestamp.type", TOPIC_CONFIG_STRING, slice_text("CreateTime"),
           false);
    broker(v, &n, "log.retention.bytes", TOPIC_CONFIG_LONG,
           print(arena, "%lld", (long long)policy.retention_bytes), false);
    broker(v, &n, "log.retention.ms", TOPIC_CONFIG_LONG,
           print(arena, "%lld", (long long)policy.retention_ms), false);
    broker(v, &n, "log.segment.bytes", TOPIC_CONFIG_INT,
           print(arena, "%llu", (unsigned long long)o->store.segment_bytes), true);
    broker(v, &n, "message.max.bytes", TOPIC_CONFIG_INT,
           print(arena, "%llu", (unsigned long long)store_batch_max(node->store)), true);
    broker(v, &n, "min.insync.replicas", TOPIC_CONFIG_INT, print(arena, "%u", policy.ack), false);
    broker(v, &n, "node.id", TOPIC_CONFIG_INT, print(arena, "%u", o->node_id), true);
    broker(v, &n, "num.partitions", TOPIC_CONFIG_INT, print(arena, "%u", policy.partitions), false);
    broker(v, &n, "offsets.retention.minutes", TOPIC_CONFIG_INT,
           print(arena, "%llu", (unsigned long long)(o->group_retention_ms / 60000)), true);
    broker(v, &n, "process.roles", TOPIC_CONFIG_LIST, slice_text("broker,controller"), false);
    broker(v, &n, "unclean.leader.election.enable", TOPIC_CONFIG_BOOLEAN, slice_text("false"),
           false);
    *out = v;
    return n;
}
