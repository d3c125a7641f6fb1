/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <signal.h>
#include <stdio.h>

#include "base/error.h"
#include "net/admin_listener.h"
#include "net/kafka_listener.h"
#include "net/mesh.h"

#define CONTROL_QUEUE_MAX   ((size_t)16 << 20)
#define EXPIRY_WARNING_DAYS 30
#define DATA_QUEUE_MAX      ((size_t)32 << 20)
#define CONTEXTS_OLD_MAX    256 /* reloads of certificates in the life of a process */

struct net {
    struct wire wire;
    struct stream_hub hub;
    struct complaints complaints;
    struct tls_context *context;
    struct tls_context *old[CONTEXTS_OLD_MAX]; /* of connections that may still be open */
    uint32_t old_count;
    struct mesh mesh;
    struct kafka_listener kafka;
    struct admin_listener admin;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* ---- the wire -------------------------------------------------------------------------------- */

static struct net *net_of(struct wire *wire)
{
    return CONTAINER_OF(wire, struct net, wire);
}

static void set_handler(struct wire *wire, const struct wire_handler *handler, void *ctx)
{
    struct net *net = net_of(wire);

    net->mesh.handler = handler;
    net->mesh.handler_ctx = ctx;
    net->kafka.handler = handler;
    net->kafka.handler_ctx = ctx;
}

static void set_hello(struct wire *wire, const struct wire_hello *hello)
{
    mesh_set_hello(&net_of(wire)->mesh, hello);
}

static void set_peer(struct wire *wire, uint32_t node_id, const char *mesh_address)
{
    mesh_set_peer(&net_of(wire)->mesh, node_id, mesh_address);
}

static bool peer_send(struct wire *wire, uint32_t node_id, enum wire_channel channel,
                      const struct wire_frame *frame)
{
    return mesh_send(&net_of(wire)->mesh, node_id, channel, frame);
}

static bool is_up(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    return mesh_is_up(&net_of(wire)->mesh, node_id, channel);
}

static size_t queued_bytes(struct wire *wire, uint32_t node_id, enum wire_channel channel)
{
    return mesh_queued_bytes(&net_of(wire)->mesh, node_id, channel);
}

static void drop_peer(struct wire *wire, uint32_t node_id)
{
    mesh_drop_peer(&net_of(wire)->mesh, node_id);
}

static void client_send(struct wire *wire, struct wire_client *client, const struct chunk *chunks,
                        size_t count)
{
    (void)wire;
    kafka_client_send(client, chunks, count);
}

static void client_close(struct wire *wire, struct wire_client *client, const char *reason)
{
    (void)wire;
    kafka_client_close(client, reason);
}

static void client_pause(struct wire *wire, struct wire_client *client, bool paused)
{
    (void)wire;
    kafka_client_pause(client, paused);
}

static void client_set_data(struct wire *wire, struct wire_client *client, void *data)
{
    (void)wire;
    client->data = data;
}

static void *client_data(struct wire *wire, struct wire_client *client)
{
    (void)wire;
    return client->data;
}

static size_t client_queued_bytes(struct wire *wire, struct wire_client *client)
{
    (void)wire;
    return client->stream.queued;
}

static void client_host(struct wire *wire, struct wire_client *client, char out[WIRE_HOST_MAX])
{
    _Static_assert(WIRE_HOST_MAX >= STREAM_NAME, "a host fits");
    (void)wire;
    stream_host(&client->stream, out);
}

static const struct wire_ops ops = {
    .set_handler = set_handler,
    .set_hello = set_hello,
    .set_peer = set_peer,
    .send = peer_send,
    .is_up = is_up,
    .queued_bytes = queued_bytes,
    .drop_peer = drop_peer,
    .client_send = client_send,
    .client_close = client_close,
    .client_pause = client_pause,
    .client_set_data = client_set_data,
    .client_data = client_data,
    .client_queued_bytes = client_queued_bytes,
    .client_host = client_host,
};

struct wire *net_wire(struct net *net)
{
    return &net->wire;
}

/* ---- open and close -------------------------------------------------------------------------- */

/* The configuration must not claim what the certificate doesn't prove. */
static int check_identity(const struct net_options *options, const struct tls_context *context,
                          char why[256])
{
    const struct identity *own = tls_context_identity(context);
    char text[CERTS_WHY];
    int days;

    if (own->node_id == options->node_id && strcmp(own->region, options->region) == 0 &&
        strcmp(own->cluster_name, options->cluster_name) == 0) {
        int error = tls_context_check(context, &days, why);
        if (error == 0 && days < EXPIRY_WARNING_DAYS) {
            trace_warn("event=certificate_expires days=%d file=%s", days, options->crt_file);
        }
        return error;
    }
    identity_text(own, text);
    (void)snprintf(why, 256,
                   "%.40s is the certificate of %.70s, but the configuration says node %u "
                   "(%.30s) of %.30s",
                   options->crt_file, text, options->node_id, options->region,
                   options->cluster_name);
    return TERN_EIDENTITY;
}

int net_reload_certs(struct net *net, const char *ca_file, const char *crt_file,
                     const char *key_file, char why[256])
{
    const struct tls_files files = {ca_file, crt_file, key_file};
    const struct identity *own = tls_context_identity(net->context);
    struct tls_context *fresh;

    if (net->old_count == CONTEXTS_OLD_MAX) {
        (void)snprintf(why, 256, "certificates were read %d times: restart the node",
                       CONTEXTS_OLD_MAX);
        return TERN_EBUSY;
    }
    int error = tls_context_new(&files, &fresh, why);
    if (error != 0) {
        return error;
    }
    const struct net_options claimed = {.crt_file = crt_file,
                                        .node_id = own->node_id,
                                        .region = own->region,
                                        .cluster_name = own->cluster_name};
    error = check_identity(&claimed, fresh, why);
    if (error != 0) {
        tls_context_free(fresh);
        return error;
    }
    net->old[net->old_count++] = net->context;
    net->context = fresh;
    net->mesh.context = fresh;
    net->admin.context = fresh;
    return 0;
}

static int open_all(struct net *net, const struct net_options *options, char why[256])
{
    int error = kafka_listener_open(&net->kafka, options->kafka_address, why);

    if (error == 0) {
        error = mesh_open(&net->mesh, options->mesh_address, why);
    }
    if (error == 0) {
        error = admin_listener_open(&net->admin, options->admin_address, why);
    }
    return error;
}

int net_open(uv_loop_t *loop, struct clock *clock, const struct net_options *options,
             struct net **out, char why[256])
{
    const struct tls_files files = {options->ca_file, options->crt_file, options->key_file};
    struct tls_context *context;
    int error = tls_context_new(&files, &context, why);

    if (error != 0) {
        return error;
    }
    error = check_identity(options, context, why);
    if (error != 0) {
        tls_context_free(context);
        return error;
    }
    /* libuv writes without MSG_NOSIGNAL; a peer that is gone must not end the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    struct net *net = mem_new(sizeof *net);
    net->wire.ops = &ops;
    net->context = context;
    net->complaints.clock = clock;
    stream_hub_init(&net->hub, loop, clock);
    net->mesh.hub = net->kafka.hub = net->admin.hub = &net->hub;
    net->mesh.complaints = net->kafka.complaints = net->admin.complaints = &net->complaints;
    net->mesh.context = net->admin.context = context;
    net->mesh.queue_max[WIRE_CONTROL] =
        options->control_queue_max > 0 ? options->control_queue_max : CONTROL_QUEUE_MAX;
    net->mesh.queue_max[WIRE_DATA] =
        options->data_queue_max > 0 ? options->data_queue_max : DATA_QUEUE_MAX;
    net->mesh.kernel_congestion = options->kernel_congestion;
    net->mesh.always_twins = options->always_twins;
    net->mesh.queue_max[WIRE_CATCH_UP] = net->mesh.queue_max[WIRE_DATA];
    net->kafka.limits = (struct kafka_limits){options->kafka_frame_max, options->kafka_clients_max,
                                              options->kafka_receive_bytes_max};
    mesh_init(&net->mesh);
    admin_listener_init(&net->admin);
    error = open_all(net, options, why);
    if (error != 0) {
        net_close(net, NULL, NULL);
        return error;
    }
    *out = net;
    return 0;
}

static void quiet(struct stream_hub *hub)
{
    struct net *net = CONTAINER_OF(hub, struct net, hub);
    void (*done)(void *ctx) = net->done;
    void *ctx = net->done_ctx;

    stream_hub_fini(hub);
    tls_context_free(net->context);
    for (uint32_t i = 0; i < net->old_count; i++) {
        tls_context_free(net->old[i]);
    }
    free(net);
    if (done != NULL) {
        done(ctx);
    }
}

void net_close(struct net *net, void (*done)(void *ctx), void *ctx)
{
    net->done = done;
    net->done_ctx = ctx;
    mesh_close(&net->mesh);
    kafka_listener_close(&net->kafka);
    admin_listener_close(&net->admin);
    stream_hub_close(&net->hub, quiet);
}

/* ---- what people ask ------------------------------------------------------------------------- */

const char *net_address(const struct net *net, enum net_port port)
{
    const struct listener *listener = port == NET_KAFKA  ? &net->kafka.listener
                                      : port == NET_MESH ? &net->mesh.listener
                                                         : &net->admin.listener;
    return listener->address;
}

void net_counters(const struct net *net, struct net_counters *out)
{
    const struct kafka_counters *kafka = &net->kafka.counters;

    *out = (struct net_counters){
        .client_frames_in = kafka->frames_in,
        .client_frames_out = kafka->frames_out,
        .client_bytes_in = kafka->bytes_in,
        .client_bytes_out = kafka->bytes_out,
        .clients_opened = kafka->opened,
        .clients_refused = kafka->refused,
        .clients_now = net->kafka.clients,
        .client_receive_bytes_now = net->kafka.receive_bytes,
        .admin_calls = net->admin.calls,
        .admin_refused = net->admin.refused,
        .admin_connections_now = net->admin.connections,
    };
    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        const struct mesh_counters *mesh = &net->mesh.counters[i];
        out->peer_frames_in[i] = mesh->frames_in;
        out->peer_frames_out[i] = mesh->frames_out;
        out->peer_bytes_in[i] = mesh->bytes_in;
        out->peer_bytes_out[i] = mesh->bytes_out;
        out->peer_ups[i] = mesh->ups;
        out->peer_refused += mesh->refused;
    }
}

void net_set_admin(struct net *net, const struct net_admin_handler *handler, void *ctx)
{
    net->admin.handler = handler;
    net->admin.handler_ctx = ctx;
}
