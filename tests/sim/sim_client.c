/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_client.h"

#include <stdio.h>

#include "kafka/generated/messages.h"

#define METADATA_VERSION 9

const struct sim_topic *sim_topic_of(const struct sim *sim, int32_t partition)
{
    for (uint32_t i = sim->topic_count; i-- > 0;) {
        if (partition >= sim->topics[i].first) {
            return &sim->topics[i];
        }
    }
    CHECK(false);
    return NULL;
}

struct sim_conn *sim_client_any(struct sim_client *client)
{
    uint64_t id = 1 + prng_below(&client->sim->chance_clients, client->sim->node_count);

    return &client->conns[id];
}

static const struct sim_topic *topic_named(const struct sim *sim, struct slice name)
{
    for (uint32_t i = 0; i < sim->topic_count; i++) {
        if (slice_equal(slice_text(sim->topics[i].name), name)) {
            return &sim->topics[i];
        }
    }
    return NULL;
}

static void take(struct sim_client *client, const struct kafka_metadata_response *m)
{
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct sim_topic *topic = topic_named(client->sim, m->topics[t].name);
        for (uint32_t i = 0; topic != NULL && i < m->topics[t].partitions_count; i++) {
            const struct kafka_metadata_response_partition *p = &m->topics[t].partitions[i];
            int32_t number = topic->first + p->partition;
            if (p->partition >= topic->partitions ||
                p->leader_epoch < client->known[number].epoch) {
                continue;
            }
            client->known[number].epoch = p->leader_epoch;
            client->known[number].leader = p->leader_id > 0 ? (uint32_t)p->leader_id : 0;
            client->known[number].replicas = 0;
            for (uint32_t k = 0; k < p->replicas_count; k++) {
                client->known[number].replicas |= (uint64_t)1 << p->replicas[k];
            }
        }
    }
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct sim_client *client = CONTAINER_OF(call, struct sim_client, metadata);

    client->asking = false;
    if (status != 0) {
        sim_client_refresh(client);
        return;
    }
    take(client, response);
    for (int32_t i = 0; i < client->sim->partition_count; i++) {
        if (client->known[i].leader == 0) {
            sim_client_refresh(client);
        }
    }
    if (client->told != NULL) {
        client->told(client);
    }
}

static void again(struct timer *timer)
{
    struct sim_client *client = CONTAINER_OF(timer, struct sim_client, again);
    struct kafka_metadata_request m;

    kafka_metadata_request_init(&m);
    m.topics = NULL;
    m.allow_auto_topic_creation = false;
    sim_conn_ask(sim_client_any(client), &client->metadata, 3, METADATA_VERSION, &m, SIM_S);
}

void sim_client_refresh(struct sim_client *client)
{
    if (!client->asking) {
        client->asking = true;
        sim_after(client->sim, &client->again,
                  prng_between(&client->sim->chance_clients, 20 * SIM_MS, 150 * SIM_MS));
    }
}

void sim_client_init(struct sim_client *client, struct sim *sim, uint32_t place, const char *name)
{
    client->sim = sim;
    client->place = place;
    (void)snprintf(client->name, sizeof client->name, "%s", name);
    client->metadata.done = answered;
    client->again.fire = again;
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        sim_conn_init(&client->conns[id], sim, place, id, client->name);
    }
}

void sim_client_fini(struct sim_client *client)
{
    sim_stop(client->sim, &client->again);
    for (uint32_t id = 1; id <= client->sim->node_count; id++) {
        sim_conn_fini(&client->conns[id]);
    }
}
