/* SPDX-License-Identifier: Apache-2.0 */
/* Garbage and lies on the TLS ports, before and after the handshake: one line, closed, bounded
 * memory, others served. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "net/admin_frame.h"
#include "net/mesh.h"
#include "net/tls.h"
#include "tests/unit/net_rig.h"

/* A node that accepts everybody and counts. */
struct node {
    struct wire *wire;
    unsigned ups;
    unsigned downs;
    unsigned frames;
};

static bool check(void *ctx, const struct wire_hello *hello, char why[128])
{
    (void)ctx;
    (void)hello;
    (void)why;
    return true;
}

static void up(void *ctx, const struct wire_hello *hello, enum wire_channel channel)
{
    (void)hello;
    (void)channel;
    ((struct node *)ctx)->ups++;
}

static void down(void *ctx, uint32_t node_id, enum wire_channel channel)
{
    (void)node_id;
    (void)channel;
    ((struct node *)ctx)->downs++;
}

static void frame(void *ctx, uint32_t node_id, enum wire_channel channel, uint16_t type,
                  struct slice head, struct chunk tail)
{
    (void)node_id;
    (void)channel;
    (void)type;
    (void)head;
    (void)tail;
    ((struct node *)ctx)->frames++;
}

static void gone(void *ctx, uint32_t node_id)
{
    (void)ctx;
    (void)node_id;
}

static void client_nothing(void *ctx, struct wire_client *client)
{
    (void)ctx;
    (void)client;
}

static const struct wire_handler handler = {
    .client_opened = client_nothing,
    .client_closed = client_nothing,
    .peer_check = check,
    .peer_up = up,
    .peer_down = down,
    .peer_gone = gone,
    .peer_frame = frame,
};

/* Somebody with a certificate (or without TLS at all) and bad manners. */
struct rogue {
    struct rig *rig;
    int fd;
    struct tls_context *context;
    struct tls *tls;
    struct buf got; /* plaintext */
    bool ended;
};

static void rogue_dial(struct rig *rig, struct rogue *rogue, enum net_port port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *number = strrchr(net_address(rig->nets[1], port), ':') + 1;

    *rogue = (struct rogue){.rig = rig, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    at.sin_port = htons((uint16_t)atoi(number));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(rogue->fd, (const struct sockaddr *)(const void *)&at, sizeof at), 0);
    assert_int_equal(fcntl(rogue->fd, F_SETFL, O_NONBLOCK), 0);
}

static void rogue_leave(struct rogue *rogue)
{
    (void)close(rogue->fd);
    tls_free(rogue->tls);
    tls_context_free(rogue->context);
    buf_fini(&rogue->got);
}

static void flush(struct rogue *rogue)
{
    struct buf *output = tls_output(rogue->tls);
    size_t at = 0;

    while (at < output->len && !rogue->ended) {
        ssize_t sent = send(rogue->fd, output->base + at, output->len - at, MSG_NOSIGNAL);
        if (sent >= 0) {
            at += (size_t)sent;
        } else if (errno == EAGAIN) {
            rig_run_ms(rogue->rig, 1);
        } else {
            rogue->ended = true;
        }
    }
    buf_clear(output);
}

static void pump(struct rogue *rogue)
{
    uint8_t cipher[4096];
    uint8_t plain[4096];
    int got = 0;

    rig_run_ms(rogue->rig, 1);
    ssize_t len = recv(rogue->fd, cipher, sizeof cipher, 0);
    rogue->ended = rogue->ended || len == 0 || (len < 0 && errno != EAGAIN);
    if (rogue->tls != NULL) {
        tls_feed(rogue->tls, slice_of(cipher, len > 0 ? (size_t)len : 0));
        while ((got = tls_read(rogue->tls, plain, sizeof plain)) > 0) {
            buf_put(&rogue->got, slice_of(plain, (size_t)got));
        }
        flush(rogue);
    }
    rogue->ended = rogue->ended || got < 0;
}

static void rogue_shake(struct rogue *rogue, const char *name)
{
    struct tls_files files;
    char path[3][160];
    char why[CERTS_WHY] = "";

    (void)snprintf(path[0], sizeof path[0], "%s/ca.crt", rogue->rig->directory);
    (void)snprintf(path[1], sizeof path[1], "%s/%s.crt", rogue->rig->directory, name);
    (void)snprintf(path[2], sizeof path[2], "%s/%s.key", rogue->rig->directory, name);
    files = (struct tls_files){path[0], path[1], path[2]};
    if (tls_context_new(&files, &rogue->context, why) != 0) {
        fail_msg("%s", why);
    }
    rogue->tls = tls_new(rogue->context, TLS_CLIENT);
    for (unsigned i = 0; i < 1000 && !tls_is_open(rogue->tls) && !rogue->ended; i++) {
        pump(rogue);
    }
    assert_true(tls_is_open(rogue->tls));
}

static void rogue_say(struct rogue *rogue, const struct buf *bytes)
{
    if (rogue->tls == NULL) {
        (void)send(rogue->fd, bytes->base, bytes->len, MSG_NOSIGNAL);
        return;
    }
    assert_int_equal(tls_write(rogue->tls, buf_slice(bytes)), 0);
    flush(rogue);
}

static bool rogue_is_out(struct rogue *rogue)
{
    for (unsigned i = 0; i < 1000 && !rogue->ended; i++) {
        pump(rogue);
    }
    return rogue->ended;
}

static void begin(struct rig *rig, struct node *nodes)
{
    char why[CERTS_WHY];

    rig_init(rig);
    assert_int_equal(certs_create_client(rig->directory, "ops", 0, why), 0);
    for (uint32_t id = 1; id <= 3; id += 2) {
        struct wire_hello hello = rig_hello(id, 1);
        nodes[id] = (struct node){.wire = net_wire(rig_open(rig, id, NULL))};
        nodes[id].wire->ops->set_handler(nodes[id].wire, &handler, &nodes[id]);
        nodes[id].wire->ops->set_hello(nodes[id].wire, &hello);
    }
}

static bool three_is_up(void *ctx)
{
    const struct node *nodes = ctx;

    return nodes[1].ups >= 2 && nodes[3].ups >= 2;
}

static bool three_was_heard(void *ctx)
{
    return ((const struct node *)ctx)[1].frames > 0;
}

/* Node 3 and node 1 come up and talk. */
static void others_are_served(struct rig *rig, struct node *nodes)
{
    struct wire_frame hello = {.type = 40};

    nodes[1].wire->ops->set_peer(nodes[1].wire, 3, net_address(rig->nets[3], NET_MESH));
    nodes[3].wire->ops->set_peer(nodes[3].wire, 1, net_address(rig->nets[1], NET_MESH));
    assert_true(rig_until(rig, three_is_up, nodes, 5000));
    nodes[1].frames = 0;
    assert_true(nodes[3].wire->ops->send(nodes[3].wire, 1, WIRE_DATA, &hello));
    assert_true(rig_until(rig, three_was_heard, nodes, 5000));
}

static void mesh_frame(struct buf *out, uint16_t type, struct slice head)
{
    buf_be32(out, (uint32_t)(6 + head.len));
    buf_be16(out, type);
    buf_be32(out, (uint32_t)head.len);
    buf_put(out, head);
}

static void mesh_hello(struct buf *out, unsigned channel)
{
    struct wire_hello hello = rig_hello(2, 1);
    struct buf head = {0};

    mesh_hello_encode(&hello, channel, &head);
    mesh_frame(out, MESH_FRAME_HELLO, buf_slice(&head));
    buf_fini(&head);
}

static void bytes_that_are_not_tls_end_with_one_line(void **state)
{
    static const enum net_port ports[] = {NET_MESH, NET_ADMIN};
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\xff\xff\x01zzzz",
                                          "\x80\x80\x80\x80\x80\x80", "SSH-2.0-x\r\n"};
    struct rig rig;
    struct node nodes[4];

    (void)state;
    begin(&rig, nodes);
    for (unsigned port = 0; port < 2; port++) {
        for (unsigned i = 0; i < 4; i++) {
            struct rogue rogue;
            struct buf bytes = {0};
            rig_line_count = 0;
            rogue_dial(&rig, &rogue, ports[port]);
            buf_text(&bytes, garbage[i]);
            rogue_say(&rogue, &bytes);
            assert_true(rogue_is_out(&rogue));
            assert_int_equal(rig_line_count, 1);
            assert_int_equal(rig_said("not TLS 1.3 as expected"), 1);
            assert_int_equal(rig_said("127.0.0.1:"), 1);
            rogue_leave(&rogue);
            buf_fini(&bytes);
        }
    }
    others_are_served(&rig, nodes);
    rig_fini(&rig);
}

static void a_port_scan_is_not_worth_a_line(void **state)
{
    struct rig rig;
    struct node nodes[4];
    static const enum net_port ports[] = {NET_MESH, NET_ADMIN, NET_KAFKA};

    (void)state;
    begin(&rig, nodes);
    for (unsigned i = 0; i < 3; i++) {
        struct rogue rogue;
        rogue_dial(&rig, &rogue, ports[i]);
        rogue_leave(&rogue);
        rig_run_ms(&rig, 20);
    }
    assert_int_equal(rig_line_count, 0);
    rig_fini(&rig);
}

static void silent_strangers_make_room(void **state)
{
    struct rig rig;
    struct node nodes[4];
    static struct rogue rogues[MESH_STRANGERS_MAX + 40];

    (void)state;
    begin(&rig, nodes);
    for (unsigned i = 0; i < MESH_STRANGERS_MAX + 40; i++) {
        rogue_dial(&rig, &rogues[i], NET_MESH);
        rig_run_ms(&rig, 1);
    }
    assert_true(rogue_is_out(&rogues[0]));
    assert_false(rogues[MESH_STRANGERS_MAX + 39].ended);
    assert_in_range(rig_said("too many connections wait for a handshake"), 1, 5);
    others_are_served(&rig, nodes);
    for (unsigned i = 0; i < MESH_STRANGERS_MAX + 40; i++) {
        rogue_leave(&rogues[i]);
    }
    rig_fini(&rig);
}

/* After the handshake, with a good certificate: what `say` says must end the connection. */
static void expect_out(enum net_port port, const char *name, const struct buf *say,
                       const char *said)
{
    struct rig rig;
    struct node nodes[4];
    struct rogue rogue;

    begin(&rig, nodes);
    rogue_dial(&rig, &rogue, port);
    rogue_shake(&rogue, name);
    rogue_say(&rogue, say);
    assert_true(rogue_is_out(&rogue));
    rig_run_ms(&rig, 20);
    if (rig_line_count != 1 || rig_said(said) != 1) {
        fail_msg("said %zu lines, first: %s (wanted: %s)", rig_line_count, rig_lines[0], said);
    }
    assert_int_equal(nodes[1].ups, nodes[1].downs);
    others_are_served(&rig, nodes);
    rogue_leave(&rogue);
    rig_fini(&rig);
}

static void lies_of_a_known_node_end_with_one_line(void **state)
{
    struct buf say = {0};

    (void)state;
    buf_be32(&say, 64u << 20); /* before its hello nobody may claim that */
    expect_out(NET_MESH, "node-2", &say, "a frame claims 67108864 bytes, at most 262 are allowed");
    buf_clear(&say);
    mesh_frame(&say, 40, (struct slice){0});
    expect_out(NET_MESH, "node-2", &say, "a frame of this type is not expected now");
    buf_clear(&say);
    mesh_frame(&say, MESH_FRAME_HELLO, slice_text("terrible"));
    expect_out(NET_MESH, "node-2", &say, "its first frame is no mesh hello");
    buf_clear(&say);
    mesh_hello(&say, WIRE_CONTROL);
    expect_out(NET_MESH, "client-ops", &say, "its certificate is that of client ops");
    buf_clear(&say);
    buf_be32(&say, 0);
    expect_out(NET_MESH, "node-2", &say, "a frame claims 0 bytes");
    buf_fini(&say);
}

static void lies_of_a_peer_that_is_up_end_with_one_line(void **state)
{
    struct buf say = {0};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        static const char *const said[] = {
            "a frame claims 16777217 bytes, at most 16777216 are allowed",
            "a frame claims 4294967295 bytes", "a frame's head is longer than the frame",
            "a frame of this type is not expected now"};
        buf_clear(&say);
        mesh_hello(&say, WIRE_CONTROL);
        mesh_frame(&say, MESH_FRAME_READY, (struct slice){0});
        mesh_frame(&say, 40, slice_text("a good one first"));
        if (i < 2) {
            buf_be32(&say, i == 0 ? MESH_CONTROL_FRAME_MAX + 1 : UINT32_MAX);
        } else if (i == 2) {
            buf_be32(&say, 10);
            buf_be16(&say, 40);
            buf_be32(&say, 5);
            buf_be32(&say, 0);
        } else {
            mesh_hello(&say, WIRE_CONTROL);
        }
        expect_out(NET_MESH, "node-2", &say, said[i]);
    }
    buf_fini(&say);
}

/* A copy whose tail is these bytes, by a twin. */
static void mesh_copy(struct buf *out, size_t head_len, struct slice tail)
{
    static const uint8_t zeros[64];

    buf_be32(out, (uint32_t)(6 + head_len + tail.len));
    buf_be16(out, MESH_FRAME_COPY);
    buf_be32(out, (uint32_t)head_len);
    buf_put(out, slice_of(zeros, head_len));
    buf_put(out, tail);
}

static void copies_that_are_no_frames_end_with_one_line(void **state)
{
    static const struct {
        size_t head_len;
        const char *tail;
        size_t tail_len;
    } lies[] = {
        {MESH_COPY_HEAD, "", 0},
        {MESH_COPY_HEAD, "\0\50\0\0\0", 5},   /* shorter than a frame */
        {MESH_COPY_HEAD, "\0\50\0\0\0\1", 6}, /* a head that is not there */
        {MESH_COPY_HEAD, "\0\50\377\377\377\377x", 7},
        {MESH_COPY_HEAD, "\377\364\0\0\0\0", 6}, /* a copy of a copy */
        {MESH_COPY_HEAD - 1, "\0\50\0\0\0\0", 6},
        {MESH_COPY_HEAD + 1, "\0\50\0\0\0\0", 6},
    };
    struct buf say = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        buf_clear(&say);
        mesh_hello(&say, MESH_TWIN(WIRE_CONTROL));
        mesh_frame(&say, MESH_FRAME_READY, (struct slice){0});
        mesh_copy(&say, lies[i].head_len,
                  slice_of((const uint8_t *)lies[i].tail, lies[i].tail_len));
        expect_out(NET_MESH, "node-2", &say, "a copy is not a frame");
    }
    /* What is no copy has no business there, and copies none on a channel. */
    buf_clear(&say);
    mesh_hello(&say, MESH_TWIN(WIRE_CONTROL));
    mesh_frame(&say, MESH_FRAME_READY, (struct slice){0});
    mesh_frame(&say, 40, slice_text("not a copy"));
    expect_out(NET_MESH, "node-2", &say, "a frame of this type is not expected now");
    buf_clear(&say);
    mesh_hello(&say, WIRE_CONTROL);
    mesh_frame(&say, MESH_FRAME_READY, (struct slice){0});
    mesh_copy(&say, MESH_COPY_HEAD, slice_of((const uint8_t *)"\0\50\0\0\0\0", 6));
    expect_out(NET_MESH, "node-2", &say, "a frame of this type is not expected now");
    buf_fini(&say);
}

static void lies_to_the_admin_port_end_with_one_line(void **state)
{
    struct buf say = {0};

    (void)state;
    buf_be32(&say, 1u << 20); /* before the hello */
    expect_out(NET_ADMIN, "client-ops", &say,
               "a call claims 1048576 bytes, at most 14 are allowed");
    buf_clear(&say);
    buf_be32(&say, ADMIN_REQUEST_HEAD);
    buf_be16(&say, 1);
    buf_be32(&say, 0);
    expect_out(NET_ADMIN, "client-ops", &say, "its first frame is no admin hello");
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&say);
        buf_be32(&say, ADMIN_REQUEST_HEAD + ADMIN_HELLO_BYTES);
        buf_be16(&say, ADMIN_HELLO);
        buf_be32(&say, 0);
        buf_be32(&say, ADMIN_MAGIC);
        buf_be32(&say, ADMIN_FORMAT_VERSION + 1 - i);
        if (i == 1) {
            buf_be32(&say, ADMIN_REQUEST_HEAD + ADMIN_REQUEST_MAX + 1);
        }
        expect_out(NET_ADMIN, "client-ops", &say,
                   i == 0 ? "it speaks admin format version 2, this node version 1"
                          : "a call claims 1048583 bytes");
    }
    buf_fini(&say);
}

static void hellos_cut_anywhere_are_refused(void **state)
{
    struct wire_hello hello = rig_hello(2, 77);
    struct wire_hello out;
    enum wire_channel channel;
    char why[MESH_REASON_MAX];
    struct buf bytes = {0};

    (void)state;
    mesh_hello_encode(&hello, WIRE_DATA, &bytes);
    assert_true(bytes.len <= MESH_HELLO_MAX);
    assert_int_equal(mesh_hello_decode(buf_slice(&bytes), &out, &channel, why), 0);
    assert_int_equal(channel, WIRE_DATA);
    assert_int_equal(out.node_id, 2);
    assert_string_equal(out.region, "eu-central");
    assert_string_equal(out.cluster_name, "acme");
    assert_true(uuid_equal(out.cluster_id, hello.cluster_id));
    assert_int_equal(out.raft_id, 102);
    assert_int_equal(out.incarnation, 1);
    assert_int_equal(out.start_number, 77);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *cut = malloc(len + 1); /* exact, so that a sanitizer sees a read too far */
        memcpy(cut, bytes.base, len);
        assert_true(mesh_hello_decode(slice_of(cut, len), &out, &channel, why) != 0);
        free(cut);
    }
    buf_u8(&bytes, 0);
    assert_int_equal(mesh_hello_decode(buf_slice(&bytes), &out, &channel, why), TERN_EMALFORMED);
    bytes.len--;
    for (size_t at = 0; at < bytes.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.base[at] ^= (uint8_t)(1u << bit);
            int error = mesh_hello_decode(buf_slice(&bytes), &out, &channel, why);
            assert_true(error == 0 || error == TERN_EMALFORMED || error == TERN_EFORMAT);
            bytes.base[at] ^= (uint8_t)(1u << bit);
        }
    }
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_are_not_tls_end_with_one_line),
        cmocka_unit_test(a_port_scan_is_not_worth_a_line),
        cmocka_unit_test(silent_strangers_make_room),
        cmocka_unit_test(lies_of_a_known_node_end_with_one_line),
        cmocka_unit_test(lies_of_a_peer_that_is_up_end_with_one_line),
        cmocka_unit_test(copies_that_are_no_frames_end_with_one_line),
        cmocka_unit_test(lies_to_the_admin_port_end_with_one_line),
        cmocka_unit_test(hellos_cut_anywhere_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
