/* SPDX-License-Identifier: Apache-2.0 */
/* Client quotas, each node for what it serves itself (as Kafka's brokers). For everyone whom a quota
 * tells apart and for each kind of it a leaky bucket: what is used above what it holds is time to wait. */
#include <stdio.h>

#include "agent/api.h"

#define QUOTA_BUCKETS_MAX 10000
#define THROTTLE_MS_MAX   30000
/* Seconds of the rate that a bucket holds. Changes and connections come seldom and together: as
 * Kafka's eleven samples of a second. */
#define BURST_BYTES  1
#define BURST_EVENTS 11

struct quota_client {
    char id[2 * CONTROL_TOPIC_NAME_MAX + 2]; /* kinds, names, each with its zero */
    double used[QUOTA_KEYS];
    uint64_t at_us[QUOTA_KEYS];
    UT_hash_handle hh; /* in the order of coming: the oldest goes first */
};

const char *quota_key_name(enum control_quota_key key)
{
    static const char *const names[QUOTA_KEYS] = {
        [QUOTA_PRODUCE] = "producer_byte_rate",       [QUOTA_CONSUME] = "consumer_byte_rate",
        [QUOTA_REQUEST] = "request_percentage",       [QUOTA_MUTATION] = "controller_mutation_rate",
        [QUOTA_CONNECT] = "connection_creation_rate",
    };

    return names[key];
}

const char *quota_kind_name(enum control_quota_name kind)
{
    static const char *const names[QUOTA_NAMES] = {
        [QUOTA_CLIENT] = "client-id", [QUOTA_USER] = "user", [QUOTA_IP] = "ip"};

    return names[kind];
}

int quota_kind_of(struct slice name)
{
    for (int kind = 0; kind < QUOTA_NAMES; kind++) {
        if (slice_equal(name, slice_text(quota_kind_name((enum control_quota_name)kind)))) {
            return kind;
        }
    }
    return -1;
}

static void forget(struct node *node, struct quota_client *client)
{
    HASH_DEL(node->quota_clients, client);
    free(client);
}

void quotas_free(struct node *node)
{
    while (node->quota_clients != NULL) {
        forget(node, node->quota_clients);
    }
}

/* A quota of users is one bucket for all client ids of a user, and so on: only the names of its kinds
 * tell buckets apart. */
static struct quota_client *bucket_of(struct node *node, unsigned kinds,
                                      const struct slice names[QUOTA_NAMES])
{
    char id[sizeof((struct quota_client *)0)->id];
    struct quota_client *bucket;
    size_t len = 0;

    id[len++] = (char)kinds;
    for (int n = 0; n < QUOTA_NAMES; n++) {
        if ((kinds & 1u << n) == 0 || len + names[n].len + 1 > sizeof id) {
            continue; /* a name that is too long is the same as another one */
        }
        if (names[n].len > 0) {
            memcpy(id + len, names[n].base, names[n].len);
        }
        len += names[n].len;
        id[len++] = '\0';
    }
    HASH_FIND(hh, node->quota_clients, id, len, bucket);
    if (bucket == NULL) {
        if (HASH_COUNT(node->quota_clients) >= QUOTA_BUCKETS_MAX) {
            forget(node, node->quota_clients);
        }
        bucket = mem_new(sizeof *bucket);
        memcpy(bucket->id, id, len);
        HASH_ADD_KEYPTR(hh, node->quota_clients, bucket->id, len, bucket);
    }
    return bucket;
}

/* What is used of it by now. */
static double *drain(struct quota_client *bucket, enum control_quota_key key, double rate,
                     uint64_t now_us)
{
    double gone = rate * (double)(now_us - bucket->at_us[key]) / 1e6;

    bucket->used[key] = bucket->used[key] > gone ? bucket->used[key] - gone : 0;
    bucket->at_us[key] = now_us;
    return &bucket->used[key];
}

/* Until no more than `holds` seconds of the rate are used. */
static int32_t wait_ms(double used, double rate, double holds)
{
    double ms = (used - rate * holds) / rate * 1000;

    return ms <= 0 ? 0 : ms < THROTTLE_MS_MAX ? (int32_t)ms + (ms < 1) : THROTTLE_MS_MAX;
}

static void mute(struct conn *conn, uint64_t now_us, int32_t ms)
{
    uint64_t until_us = now_us + (uint64_t)ms * 1000;

    conn->muted_until_us = until_us > conn->muted_until_us ? until_us : conn->muted_until_us;
}

/* The bucket of a client, and the rate at which it empties; NULL: there is no quota. */
static struct quota_client *client_bucket(struct node *node, struct slice client_id,
                                          enum control_quota_key key, double *out_rate)
{
    struct slice names[QUOTA_NAMES] = {
        [QUOTA_CLIENT] = client_id, [QUOTA_USER] = slice_text(QUOTA_ANONYMOUS)};
    const struct control_quota *q = control_quota(node->control, names[QUOTA_USER], client_id, key);

    if (q == NULL) {
        return NULL;
    }
    *out_rate = q->values[key];
    return bucket_of(node, q->entity.kinds, names);
}

int32_t quota_charge(struct node *node, struct conn *conn, struct slice client_id,
                     enum control_quota_key key, double amount)
{
    uint64_t now_us = clock_now_us(node->o.clock);
    double rate = 0;
    struct quota_client *bucket = conn != NULL ? client_bucket(node, client_id, key, &rate) : NULL;

    if (bucket == NULL) {
        return 0;
    }
    if (key == QUOTA_REQUEST) {
        rate *= 10000; /* a percent of a second, in us */
    }
    double *used = drain(bucket, key, rate, now_us);
    *used += amount;
    int32_t ms = wait_ms(*used, rate, BURST_BYTES);
    mute(conn, now_us, ms);
    return ms;
}

/* ---- changes ----------------------------------------------------------------------------------- */

bool quota_changes(struct request *rq, uint32_t partitions, int16_t strict_since)
{
    uint64_t now_us = clock_now_us(rq->node->o.clock);
    double rate = 0;
    struct quota_client *bucket =
        rq->conn != NULL ? client_bucket(rq->node, rq->client_id, QUOTA_MUTATION, &rate) : NULL;

    if (bucket == NULL) {
        return true;
    }
    double *used = drain(bucket, QUOTA_MUTATION, rate, now_us);
    if (rq->version >= strict_since && wait_ms(*used, rate, BURST_EVENTS) > 0) {
        return false;
    }
    *used += partitions;
    return true;
}

int32_t quota_changes_wait(struct request *rq)
{
    uint64_t now_us = clock_now_us(rq->node->o.clock);
    double rate = 0;
    struct quota_client *bucket =
        rq->conn != NULL ? client_bucket(rq->node, rq->client_id, QUOTA_MUTATION, &rate) : NULL;

    if (bucket == NULL) {
        return 0;
    }
    int32_t ms = wait_ms(*drain(bucket, QUOTA_MUTATION, rate, now_us), rate, BURST_EVENTS);
    mute(rq->conn, now_us, ms);
    return ms;
}

/* ---- connections ------------------------------------------------------------------------------- */

int32_t quota_connection(struct node *node, struct slice ip)
{
    struct slice names[QUOTA_NAMES] = {[QUOTA_IP] = ip};
    const struct control_quota *q = control_ip_quota(node->control, ip, QUOTA_CONNECT);

    if (q == NULL) {
        return 0;
    }
    double rate = q->values[QUOTA_CONNECT];
    struct quota_client *bucket = bucket_of(node, q->entity.kinds, names);
    double *used = drain(bucket, QUOTA_CONNECT, rate, clock_now_us(node->o.clock));
    *used += 1;
    int32_t ms = wait_ms(*used, rate, BURST_EVENTS);
    if (ms > 0) {
        *used -= 1; /* it is not served */
    }
    return ms;
}
