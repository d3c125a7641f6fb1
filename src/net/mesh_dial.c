/* SPDX-License-Identifier: Apache-2.0 */
/* When a channel is dialled, and where its address leads. */
#include <stdio.h>

#include "base/error.h"
#include "net/address.h"
#include "net/mesh.h"

/* A name that is being looked up. It outlives a channel that no longer wants it. */
struct mesh_lookup {
    uv_getaddrinfo_t request;
    struct stream_hub *hub;
    struct mesh_channel *channel; /* NULL: not wanted any more */
};

static bool wanted(const struct mesh_channel *channel)
{
    const struct mesh *mesh = channel->mesh;

    return !mesh->closing && mesh->hello_set && mesh->peers[channel->node_id].address[0] != '\0' &&
           (!mesh_is_twin(channel->channel) || channel->needed) && channel->up == NULL &&
           channel->dial == NULL && channel->lookup == NULL;
}

static void connect_to(struct mesh_channel *channel, const struct sockaddr *address)
{
    struct mesh *mesh = channel->mesh;
    struct mesh_conn *conn = mesh_conn_new(mesh, true, channel->node_id, channel->channel);

    channel->dial = conn;
    stream_dial(mesh->hub, address, &conn->stream, &mesh_conn_ops, mesh->context);
    stream_deadline(&conn->stream, MESH_DIAL_MS, "no answer in time");
}

static void lookup_failed(struct mesh_channel *channel, const char *why)
{
    char who[WIRE_ADDRESS_MAX + 32];
    char key[32];

    (void)snprintf(key, sizeof key, "node %u", channel->node_id);
    (void)snprintf(who, sizeof who, "%s at %s", key,
                   channel->mesh->peers[channel->node_id].address);
    complain(channel->mesh->complaints, 1, "mesh_lookup_failed", key, who, why);
    mesh_dial_soon(channel, false);
}

/* A name may have several addresses: each attempt takes the next one. */
static const struct addrinfo *choose(struct mesh_channel *channel, const struct addrinfo *found)
{
    uint32_t count = 0;
    const struct addrinfo *chosen = found;

    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        count++;
    }
    CHECK(count > 0);
    channel->addresses = count;
    for (uint32_t i = channel->attempts++ % count; i > 0; i--) {
        chosen = chosen->ai_next;
    }
    return chosen;
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct mesh_lookup *lookup = CONTAINER_OF(request, struct mesh_lookup, request);
    struct mesh_channel *channel = lookup->channel;

    if (channel != NULL) {
        channel->lookup = NULL;
        if (status == 0) {
            connect_to(channel, choose(channel, found)->ai_addr);
        } else {
            lookup_failed(channel, uv_strerror(status));
        }
    }
    uv_freeaddrinfo(found);
    struct stream_hub *hub = lookup->hub;
    free(lookup);
    stream_hub_drop(hub);
}

static void dial(struct mesh_channel *channel)
{
    struct mesh *mesh = channel->mesh;
    struct sockaddr_storage numeric;
    struct address address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (!wanted(channel)) {
        return;
    }
    if (!address_parse(mesh->peers[channel->node_id].address, &address)) {
        lookup_failed(channel, "the address is not host:port");
        return;
    }
    if (address_numeric(&address, &numeric)) {
        channel->addresses = 1;
        connect_to(channel, (const struct sockaddr *)&numeric);
        return;
    }
    struct mesh_lookup *lookup = mem_new(sizeof *lookup);
    lookup->hub = mesh->hub;
    lookup->channel = channel;
    int error = uv_getaddrinfo(mesh->hub->loop, &lookup->request, on_found, address.host,
                               address.port, &hints);
    if (error != 0) {
        free(lookup);
        lookup_failed(channel, uv_strerror(error));
        return;
    }
    mesh->hub->handles++;
    channel->lookup = lookup;
}

static void on_redial(struct timer *timer)
{
    dial(CONTAINER_OF(timer, struct mesh_channel, redial));
}

void mesh_dial_soon(struct mesh_channel *channel, bool at_once)
{
    struct mesh *mesh = channel->mesh;
    uint64_t wait_ms = 0;

    if (!wanted(channel)) {
        return;
    }
    if (!at_once) {
        uint32_t backoff = channel->backoff_ms;
        channel->backoff_ms = backoff == 0                        ? MESH_BACKOFF_MIN_MS
                              : backoff * 2 < MESH_BACKOFF_MAX_MS ? backoff * 2
                                                                  : MESH_BACKOFF_MAX_MS;
        /* Half of it is chance, so that many nodes do not knock in step. */
        wait_ms = channel->backoff_ms / 2 +
                  clock_random(mesh->hub->clock) % (channel->backoff_ms / 2 + 1);
    }
    if (mesh->hello.node_id > channel->node_id) {
        wait_ms += MESH_HIGHER_WAITS_MS;
    }
    channel->redial.fire = on_redial;
    timer_after_ms(mesh->hub->clock, &channel->redial, wait_ms);
}

void mesh_dial_ended(struct mesh_channel *channel)
{
    if (!timer_armed(&channel->redial)) {
        mesh_dial_soon(channel, false);
    }
}

void mesh_dial_outcome(struct mesh_channel *channel, bool nobody)
{
    struct mesh *mesh = channel->mesh;
    bool any_up = false;

    channel->nobody = nobody ? channel->nobody + 1 : 0;
    if (mesh_is_twin(channel->channel) || channel->nobody < channel->addresses ||
        mesh->handler == NULL || mesh->closing) {
        return;
    }
    for (unsigned i = 0; i < WIRE_CHANNELS; i++) {
        any_up = any_up || mesh_alive(mesh, channel->node_id, i) != NULL;
    }
    if (!any_up) {
        mesh->handler->peer_gone(mesh->handler_ctx, channel->node_id);
    }
}

void mesh_dial_stop(struct mesh_channel *channel)
{
    timer_stop(channel->mesh->hub->clock, &channel->redial);
    channel->nobody = 0; /* it is up, or has another address */
    if (channel->lookup != NULL) {
        channel->lookup->channel = NULL;
        channel->lookup = NULL;
    }
    if (channel->dial != NULL) {
        struct mesh_conn *conn = channel->dial;
        channel->dial = NULL;
        if (channel->up != conn) {
            mesh_conn_unneeded(conn);
        }
    }
}
