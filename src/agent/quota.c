/* SPDX-License-Identifier: Apache-2.0 */
/* Client quotas, each node for what it serves itself (as Kafka's brokers). Per client id and kind a
 * leaky bucket that holds what a second allows: what is used above that is time to wait. */
#include <stdio.h>

#include "agent/api.h"

#define QUOTA_CLIENTS_MAX 10000
#define THROTTLE_MS_MAX   30000

struct quota_client {
    char id[CONTROL_TOPIC_NAME_MAX];
    double used[QUOTA_KEYS];
    uint64_t at_us[QUOTA_KEYS];
    UT_hash_handle hh; /* in the order of coming: the oldest goes first */
};

static void forget(struct node *node, struct quota_client *client)
{
    HASH_DEL(node->quota_clients, client);
    free(client);
}

static struct quota_client *client_of(struct node *node, struct slice client_id)
{
    char id[CONTROL_TOPIC_NAME_MAX];
    struct quota_client *client;
    size_t len = client_id.len < sizeof id - 1 ? client_id.len : sizeof id - 1;

    if (len > 0) {
        memcpy(id, client_id.base, len);
    }
    HASH_FIND(hh, node->quota_clients, id, len, client);
    if (client == NULL) {
        if (HASH_COUNT(node->quota_clients) >= QUOTA_CLIENTS_MAX) {
            forget(node, node->quota_clients);
        }
        client = mem_new(sizeof *client);
        memcpy(client->id, id, len);
        HASH_ADD_KEYPTR(hh, node->quota_clients, client->id, len, client);
    }
    return client;
}

void quotas_free(struct node *node)
{
    while (node->quota_clients != NULL) {
        forget(node, node->quota_clients);
    }
}

int32_t quota_charge(struct node *node, struct conn *conn, struct slice client_id,
                     enum control_quota_key key, double amount)
{
    uint64_t now_us = clock_now_us(node->o.clock);
    double rate = 0;

    if (conn == NULL || !control_quota(node->control, client_id, key, &rate)) {
        return 0;
    }
    if (key == QUOTA_REQUEST) {
        rate *= 10000; /* a percent of a second, in us */
    }
    struct quota_client *client = client_of(node, client_id);
    double gone = rate * (double)(now_us - client->at_us[key]) / 1e6;
    client->used[key] = client->used[key] > gone ? client->used[key] - gone : 0;
    client->used[key] += amount;
    client->at_us[key] = now_us;
    if (client->used[key] <= rate) {
        return 0;
    }
    double ms = (client->used[key] - rate) / rate * 1000;
    int32_t throttle_ms = ms < THROTTLE_MS_MAX ? (int32_t)ms : THROTTLE_MS_MAX;
    uint64_t until_us = now_us + (uint64_t)throttle_ms * 1000;
    conn->muted_until_us = until_us > conn->muted_until_us ? until_us : conn->muted_until_us;
    return throttle_ms;
}
