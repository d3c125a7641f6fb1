/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the mesh change their congestion control when the way loses packets (congestion.h). */
#include "base/trace.h"
#include "net/mesh.h"

static int socket_of(const struct mesh_conn *conn)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&conn->stream.tcp, &fd) == 0 ? fd : -1;
}

static void run_under(struct mesh_conn *conn, enum congestion_kind kind)
{
    struct mesh *mesh = conn->mesh;

    if (congestion_set(socket_of(conn), kind)) {
        conn->runs_under = kind;
        return;
    }
    complain(mesh->complaints, 1, "congestion_control_missing", congestion_name(kind),
             congestion_name(kind),
             "the kernel does not have or allow it (net.ipv4.tcp_allowed_congestion_control)");
}

void mesh_congestion_begin(struct mesh_conn *conn)
{
    if (!conn->mesh->kernel_congestion) {
        run_under(conn, congestion_for(false));
    }
}

static void look(struct mesh_conn *conn)
{
    uint32_t sent;
    uint32_t resent;

    if (conn->state != MESH_UP || conn->stream.closing ||
        !congestion_read(socket_of(conn), &sent, &resent)) {
        return;
    }
    enum congestion_kind wanted = congestion_for(congestion_look(&conn->congestion, sent, resent));
    mesh_twin_look(conn);
    if (wanted == conn->runs_under || conn->mesh->kernel_congestion) {
        return;
    }
    run_under(conn, wanted);
    if (conn->runs_under == wanted) {
        trace_info("event=mesh_congestion node=%u channel=%s control=%s sent=%u resent=%u",
                   conn->hello.node_id, mesh_channel_name(conn->channel), congestion_name(wanted),
                   sent, resent);
    }
}

static void on_look(struct timer *timer)
{
    struct mesh *mesh = CONTAINER_OF(timer, struct mesh, look);

    QUEUE_EACH (link, &mesh->conns) {
        look(CONTAINER_OF(link, struct mesh_conn, link));
    }
    timer_after_ms(mesh->hub->clock, &mesh->look, CONGESTION_LOOK_MS);
}

void mesh_congestion_watch(struct mesh *mesh)
{
    mesh->look.fire = on_look;
    timer_after_ms(mesh->hub->clock, &mesh->look, CONGESTION_LOOK_MS);
}

void mesh_congestion_stop(struct mesh *mesh)
{
    timer_stop(mesh->hub->clock, &mesh->look);
}
