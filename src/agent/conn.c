/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"
#include "base/mutant.h"
#include "base/trace.h"

#define HELD_US 5000000U /* so long a request waits for the node to be ready */
#define HOLD_MS 5

struct handler {
    int16_t key;
    void (*handle)(struct request *request);
};

static const struct handler handlers[] = {
    {0, api_produce},
    {1, api_fetch},
    {2, api_list_offsets},
    {3, api_metadata},
    {8, api_offset_commit},
    {9, api_offset_fetch},
    {10, api_find_coordinator},
    {11, api_join_group},
    {12, api_heartbeat},
    {13, api_leave_group},
    {14, api_sync_group},
    {15, api_describe_groups},
    {16, api_list_groups},
    {18, api_api_versions},
    {19, api_create_topics},
    {20, api_delete_topics},
    {21, api_delete_records},
    {22, api_init_producer_id},
    {23, api_offset_for_leader_epoch},
    {24, api_add_partitions_to_txn},
    {25, api_add_offsets_to_txn},
    {26, api_end_txn},
    {27, api_write_txn_markers},
    {28, api_txn_offset_commit},
    {32, api_describe_configs},
    {33, api_alter_configs},
    {34, api_alter_replica_log_dirs},
    {35, api_describe_log_dirs},
    {37, api_create_partitions},
    {42, api_delete_groups},
    {43, api_elect_leaders},
    {44, api_incremental_alter_configs},
    {45, api_alter_partition_reassignments},
    {46, api_list_partition_reassignments},
    {47, api_offset_delete},
    {48, api_describe_client_quotas},
    {49, api_alter_client_quotas},
    {55, api_describe_quorum},
    {57, api_update_features},
    {60, api_describe_cluster},
    {61, api_describe_producers},
    {64, api_unregister_broker},
    {65, api_describe_transactions},
    {66, api_list_transactions},
    {68, api_consumer_group_heartbeat},
    {69, api_consumer_group_describe},
    {74, api_list_config_resources},
    {75, api_describe_topic_partitions},
};

static const struct handler *handler_of(int16_t key)
{
    for (size_t i = 0; i < ARRAY_COUNT(handlers); i++) {
        if (handlers[i].key == key) {
            return &handlers[i];
        }
    }
    return NULL;
}

bool authorize(const struct request *request, enum kafka_resource resource, struct slice name,
               enum kafka_operation operation)
{
    (void)request;
    (void)resource;
    (void)name;
    (void)operation;
    return true;
}

struct slice request_host(struct request *rq)
{
    const struct wire *wire = rq->node->o.wire;
    char *text = arena_take(&rq->arena, WIRE_HOST_MAX + 1);

    text[0] = '\0';
    if (wire->ops->client_host != NULL && rq->conn != NULL && rq->conn->client != NULL) {
        text[0] = '/';
        wire->ops->client_host(rq->node->o.wire, rq->conn->client, text + 1);
    }
    return slice_text(text);
}

/* ---- connections ----------------------------------------------------------------------------- */

static const struct wire_ops *wire_of(const struct conn *conn)
{
    return conn->node->o.wire->ops;
}

static void pause_or_resume(struct conn *conn)
{
    if (conn->client == NULL) {
        return;
    }
    bool full =
        conn->request_count >= CONN_REQUESTS_MAX ||
        wire_of(conn)->client_queued_bytes(conn->node->o.wire, conn->client) > CONN_OUTPUT_MAX ||
        conn->node->waiting_bytes > conn->node->o.max_request_bytes_waiting ||
        conn->held_since_us > 0 || conn->muted_until_us > clock_now_us(conn->node->o.clock);
    if (full != conn->paused) {
        conn->paused = full;
        wire_of(conn)->client_pause(conn->node->o.wire, conn->client, full);
    }
}

static void turn_away(struct conn *conn, const char *reason)
{
    if (conn->client != NULL && !conn->closing) {
        conn->closing = true;
        wire_of(conn)->client_close(conn->node->o.wire, conn->client, reason);
    }
}

void conns_drop(struct node *node, const char *reason)
{
    QUEUE_EACH (each, &node->conns) {
        turn_away(CONTAINER_OF(each, struct conn, link), reason);
    }
}

void conn_opened(void *ctx, struct wire_client *client)
{
    struct node *node = ctx;
    struct conn *conn = mem_new(sizeof *conn);

    conn->node = node;
    conn->client = client;
    queue_init(&conn->requests);
    queue_push(&node->conns, &conn->link);
    node->counters.clients++;
    node->o.wire->ops->client_set_data(node->o.wire, client, conn);
    if (node->control->quota_count > 0 && node->o.wire->ops->client_host != NULL) {
        char host[WIRE_HOST_MAX];
        node->o.wire->ops->client_host(node->o.wire, client, host);
        int32_t ms = quota_connection(node, slice_text(host));
        if (ms > 0) {
            conn->too_early = true;
            conn->muted_until_us = clock_now_us(node->o.clock) + (uint64_t)ms * 1000;
            pause_or_resume(conn);
        }
    }
}

static void close_for(struct conn *conn, const char *reason)
{
    conn->node->counters.hostile_frames += conn->client != NULL && !conn->closing;
    turn_away(conn, reason);
}

static void free_request(struct request *rq)
{
    timer_stop(rq->node->o.clock, &rq->timer);
    if (link_in_list(&rq->waiting)) {
        link_remove(&rq->waiting);
    }
    link_remove(&rq->in_node);
    if (rq->release != NULL) {
        rq->release(rq);
    }
    kafka_out_fini(&rq->out);
    arena_fini(&rq->arena);
    blob_unref(rq->frame);
    free(rq);
}

/* Answers leave in the order of the requests (Kafka's promise on one connection). */
static void drain(struct conn *conn)
{
    while (!queue_empty(&conn->requests)) {
        struct request *rq = CONTAINER_OF(conn->requests.next, struct request, in_conn);
        if (!rq->done) {
            break;
        }
        link_remove(&rq->in_conn);
        conn->request_count--;
        if (rq->leased && !rq->silent && !conn->closing && conn->client != NULL &&
            !lease_valid(conn->node)) {
            /* It waited for others, of its request or before it, until the lease was over: another
             * leader may have cut off by now what it says. */
            conn->closing = true;
            wire_of(conn)->client_close(conn->node->o.wire, conn->client,
                                        "an acknowledgement waited longer than the lease");
        }
        if (!rq->silent && !conn->closing && conn->client != NULL) {
            const struct chunk *chunks;
            size_t count = kafka_out_take(&rq->out, &chunks);
            wire_of(conn)->client_send(conn->node->o.wire, conn->client, chunks, count);
        }
        free_request(rq);
    }
    pause_or_resume(conn);
}

void conn_closed(void *ctx, struct wire_client *client)
{
    struct node *node = ctx;
    struct conn *conn = node->o.wire->ops->client_data(node->o.wire, client);

    if (conn == NULL) {
        return;
    }
    node->counters.clients--;
    conn->client = NULL;
    QUEUE_EACH (each, &conn->requests) {
        struct request *rq = CONTAINER_OF(each, struct request, in_conn);
        link_remove(&rq->in_conn);
        rq->conn = NULL;
        if (rq->done || rq->held) {
            free_request(rq);
        }
    }
    link_remove(&conn->link);
    free(conn);
}

void conns_close(struct node *node)
{
    QUEUE_EACH (each, &node->requests) {
        struct request *rq = CONTAINER_OF(each, struct request, in_node);
        if (!rq->done && rq->cancel != NULL) {
            rq->cancel(rq);
        }
        if (link_in_list(&rq->in_conn)) {
            link_remove(&rq->in_conn);
        }
        free_request(rq);
    }
    QUEUE_EACH (each, &node->conns) {
        struct conn *conn = CONTAINER_OF(each, struct conn, link);
        node->o.wire->ops->client_set_data(node->o.wire, conn->client, NULL);
        link_remove(&conn->link);
        free(conn);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void ended(struct request *rq)
{
    struct conn *conn = rq->conn;

    CHECK(!rq->done);
    rq->done = true;
    timer_stop(rq->node->o.clock, &rq->timer);
    if (link_in_list(&rq->waiting)) {
        link_remove(&rq->waiting);
    }
    if (conn == NULL) {
        free_request(rq);
        return;
    }
    drain(conn);
}

void request_reply(struct request *rq, const void *response)
{
    struct kafka_fault fault;

    if (rq->conn != NULL) {
        int status = kafka_encode_response(rq->api->key, rq->version, rq->correlation_id, response,
                                           &rq->out, &fault);
        if (status != 0) {
            trace_error("event=response_not_encoded api=%s version=%d field=%s error=%s",
                        rq->api->name, rq->version, fault.field, error_name(status));
            request_end(rq, "the answer could not be encoded");
            return;
        }
    }
    ended(rq);
}

void request_end(struct request *rq, const char *close_reason)
{
    rq->silent = true;
    if (close_reason != NULL && rq->conn != NULL) {
        close_for(rq->conn, close_reason);
    }
    ended(rq);
}

/* ApiVersions of a version that we do not know is answered as version 0 with error 35. */
static void unsupported_api_versions(struct request *rq)
{
    struct kafka_api_versions_response response;
    struct kafka_api_versions_response_api self;

    kafka_api_versions_response_init(&response);
    kafka_api_versions_response_api_init(&self);
    self.key = rq->api->key;
    self.min_version = rq->api->advertised_min;
    self.max_version = rq->api->advertised_max;
    response.error = error_kafka(TERN_EUNSUPPORTED);
    response.api_keys = &self;
    response.api_keys_count = 1;
    rq->version = 0;
    request_reply(rq, &response);
}

/* The request may be gone when its handler returns; its time on the loop is its client's. */
static void handle(struct request *rq, const struct handler *handler)
{
    struct node *node = rq->node;
    struct wire_client *client = rq->conn->client;
    struct blob *frame = node->control->quota_count > 0 ? blob_ref(rq->frame) : NULL;
    struct slice client_id = rq->client_id;
    uint64_t begun_us = clock_now_us(node->o.clock);

    handler->handle(rq);
    if (frame != NULL) {
        (void)quota_charge(node, node->o.wire->ops->client_data(node->o.wire, client), client_id,
                           QUOTA_REQUEST, (double)(clock_now_us(node->o.clock) - begun_us));
        blob_unref(frame);
    }
}

/* A node that starts has an old view of the cluster, or none, until its own registration has come to
 * it by the log: it would deny topics that are there, which clients believe (as OffsetCommit's 100).
 * So requests wait; some clients (aiokafka) give up for good when they are turned away. */
static bool is_current(const struct node *node)
{
    bool known = node->phase == NODE_READY &&
                 node->control->nodes[node->o.node_id].start_number == node->start_number;

    return known || MUTANT(served_early);
}

static void hold(struct request *rq)
{
    rq->held = true;
    rq->conn->held_since_us = clock_now_us(rq->node->o.clock);
}

bool request_hold(struct request *rq)
{
    struct node *node = rq->node;
    uint64_t now_us = clock_now_us(node->o.clock);

    if (rq->conn == NULL ||
        (rq->held_us != 0 && now_us - rq->held_us >= REQUEST_HELD_MS * UINT64_C(1000))) {
        return false;
    }
    rq->held_us = rq->held_us != 0 ? rq->held_us : now_us;
    hold(rq);
    if (!timer_armed(&node->hold_timer)) {
        timer_after_ms(node->o.clock, &node->hold_timer, HOLD_MS);
    }
    return true;
}

static void dispatch(struct request *rq, struct slice body, int header_status)
{
    struct kafka_fault fault = {"", 0};
    char why[160];

    if (rq->api != NULL && rq->api->key == 18 &&
        (header_status == TERN_EUNSUPPORTED || !kafka_api_serves(rq->api, rq->version))) {
        unsupported_api_versions(rq);
        return;
    }
    const struct handler *handler = rq->api != NULL ? handler_of(rq->api->key) : NULL;
    if (header_status != 0 || handler == NULL || !kafka_api_serves(rq->api, rq->version)) {
        request_end(rq, "unknown API key or version, or a malformed header");
        return;
    }
    if (rq->api->key != 18 && !is_current(rq->node)) {
        hold(rq);
        return;
    }
    int status =
        kafka_decode_request(rq->api->key, rq->version, body, &rq->arena, &rq->message, &fault);
    if (status != 0) {
        (void)snprintf(why, sizeof why, "malformed %s request v%d: field %s at byte %zu: %s",
                       rq->api->name, rq->version, fault.field, fault.at, error_sentence(status));
        request_end(rq, why);
        return;
    }
    if (!authorize(rq, rq->api->resource, (struct slice){0}, rq->api->operation)) {
        request_end(rq, "not authorized");
        return;
    }
    handle(rq, handler);
}

static void take(struct request *rq)
{
    struct kafka_request_header header = {0};
    struct slice body = {0};
    int status =
        kafka_decode_request_header(slice_of(rq->frame->bytes, rq->frame->len), &header, &body);

    rq->api = status == TERN_EMALFORMED ? NULL : kafka_api_of(header.key);
    rq->version = header.version;
    rq->correlation_id = header.correlation_id;
    rq->client_id = header.client_id;
    dispatch(rq, body, status);
}

void conn_frame(void *ctx, struct wire_client *client, struct blob *frame)
{
    struct node *node = ctx;
    struct conn *conn = node->o.wire->ops->client_data(node->o.wire, client);

    if (node->dead || conn == NULL || conn->closing) {
        return;
    }
    if (node->disk_hangs_ms > 0) { /* as at the moment when it was found to (conns_drop) */
        turn_away(conn, DISK_HANGS_CLOSES);
        return;
    }
    struct request *rq = mem_new(sizeof *rq);
    rq->node = node;
    rq->conn = conn;
    rq->frame = blob_ref(frame);
    arena_init(&rq->arena);
    queue_push(&conn->requests, &rq->in_conn);
    queue_push(&node->requests, &rq->in_node);
    conn->request_count++;
    node->counters.requests++;
    if (conn->held_since_us > 0) {
        rq->held = true; /* in their order */
    } else {
        take(rq);
    }
    /* The connection may be gone with its last request; pausing is judged by those that end, too.
     */
    conn = node->o.wire->ops->client_data(node->o.wire, client);
    if (conn != NULL) {
        pause_or_resume(conn);
    }
}

/* ---- at every tick --------------------------------------------------------------------------- */

static struct request *first_held(const struct conn *conn)
{
    QUEUE_EACH (each, &conn->requests) {
        struct request *rq = CONTAINER_OF(each, struct request, in_conn);
        if (rq->held) {
            return rq;
        }
    }
    return NULL;
}

/* May end the connection. */
static void look_at_held(struct conn *conn)
{
    struct node *node = conn->node;
    struct wire_client *client = conn->client;
    struct request *rq;

    if (!is_current(node)) {
        if (clock_now_us(node->o.clock) - conn->held_since_us > HELD_US) {
            turn_away(conn, "the node is not ready: another one is to be asked");
        }
        return;
    }
    conn->held_since_us = 0;
    while (conn->held_since_us == 0 && (rq = first_held(conn)) != NULL) {
        rq->held = false;
        arena_fini(&rq->arena); /* it may have been decoded before */
        arena_init(&rq->arena);
        take(rq);
        if (node->o.wire->ops->client_data(node->o.wire, client) == NULL) {
            return; /* it is gone with its last request */
        }
    }
    pause_or_resume(conn);
}

void conns_hold_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, hold_timer);

    if (node->dead) {
        return;
    }
    QUEUE_EACH (each, &node->conns) {
        struct conn *conn = CONTAINER_OF(each, struct conn, link);
        if (conn->held_since_us > 0) {
            look_at_held(conn);
        }
    }
}

/* What paused them may have been others' requests, so their own ends do not wake them. */
void conns_resume(struct node *node)
{
    QUEUE_EACH (each, &node->conns) {
        struct conn *conn = CONTAINER_OF(each, struct conn, link);
        if (conn->held_since_us > 0) {
            look_at_held(conn);
            continue;
        }
        if (conn->paused) {
            pause_or_resume(conn);
        }
        if (conn->too_early && !conn->paused && conn->client != NULL && !conn->closing) {
            /* As Kafka: closed late, so that it does not come again at once. */
            turn_away(conn, "its address connects more often than its quota allows");
        }
    }
}
