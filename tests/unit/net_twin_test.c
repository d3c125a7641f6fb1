/* SPDX-License-Identifier: Apache-2.0 */
/* Twins of the mesh's channels: a connection that stands still holds nothing up. Node 1 reaches node 2 only
 * through a pipe, where single connections can be held. */
#include "tests/unit/net_peers.h"

#define TUBES_MAX  16
#define TUBE_BYTES 65536

/* One connection through the pipe. What node 1 sends can be held; the other way is always open. */
struct tube {
    uv_tcp_t ends[2]; /* to node 1, to node 2 */
    uv_connect_t connect;
    struct pipe *pipe;
    uint64_t bytes; /* from node 1 */
    bool open;
    bool held;
    bool closed[2];
    char room[2][TUBE_BYTES];
};

struct pipe {
    uv_tcp_t listener;
    struct tube *tubes[TUBES_MAX];
    unsigned count;
    struct sockaddr_in to;
    char address[32];
};

static void on_end_closed(uv_handle_t *end)
{
    struct tube *tube = end->data;

    tube->closed[end == (uv_handle_t *)&tube->ends[1]] = true;
}

static void tube_close(struct tube *tube)
{
    for (int i = 0; i < 2; i++) {
        if (!uv_is_closing((uv_handle_t *)&tube->ends[i])) {
            uv_close((uv_handle_t *)&tube->ends[i], on_end_closed);
        }
    }
}

static void on_room(uv_handle_t *end, size_t hint, uv_buf_t *out)
{
    struct tube *tube = end->data;

    (void)hint;
    *out = uv_buf_init(tube->room[end == (uv_handle_t *)&tube->ends[1]], TUBE_BYTES);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write);
}

static void on_bytes(uv_stream_t *end, ssize_t got, const uv_buf_t *buf)
{
    struct tube *tube = end->data;
    bool from_one = end == (uv_stream_t *)&tube->ends[0];

    if (got < 0) {
        tube_close(tube);
    } else if (got > 0) {
        uv_write_t *write = malloc(sizeof *write + (size_t)got);
        assert_non_null(write);
        memcpy(write + 1, buf->base, (size_t)got);
        uv_buf_t copy = uv_buf_init((char *)(write + 1), (unsigned)got);
        tube->bytes += from_one ? (uint64_t)got : 0;
        (void)uv_write(write, (uv_stream_t *)&tube->ends[from_one ? 1 : 0], &copy, 1, on_written);
    }
}

static void tube_hold(struct tube *tube, bool held)
{
    tube->held = held;
    if (!tube->open || uv_is_closing((uv_handle_t *)&tube->ends[0])) {
        return;
    }
    if (held) {
        (void)uv_read_stop((uv_stream_t *)&tube->ends[0]);
    } else {
        (void)uv_read_start((uv_stream_t *)&tube->ends[0], on_room, on_bytes);
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct tube *tube = CONTAINER_OF(connect, struct tube, connect);

    if (status != 0) {
        tube_close(tube);
        return;
    }
    tube->open = true;
    (void)uv_read_start((uv_stream_t *)&tube->ends[1], on_room, on_bytes);
    tube_hold(tube, tube->held);
}

static void on_dialled(uv_stream_t *listener, int status)
{
    struct pipe *pipe = listener->data;
    struct tube *tube = mem_new(sizeof *tube);

    assert_int_equal(status, 0);
    assert_true(pipe->count < TUBES_MAX);
    pipe->tubes[pipe->count++] = tube;
    tube->pipe = pipe;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(uv_tcp_init(listener->loop, &tube->ends[i]), 0);
        tube->ends[i].data = tube;
    }
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&tube->ends[0]), 0);
    assert_int_equal(uv_tcp_connect(&tube->connect, &tube->ends[1],
                                    (const struct sockaddr *)&pipe->to, on_connected),
                     0);
}

static void pipe_open(struct pipe *pipe, struct rig *rig, const char *to)
{
    struct sockaddr_in own;
    int size = sizeof own;
    unsigned port;

    memset(pipe, 0, sizeof *pipe);
    assert_int_equal(sscanf(to, "127.0.0.1:%u", &port), 1);
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)port, &pipe->to), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &own), 0);
    assert_int_equal(uv_tcp_init(&rig->loop, &pipe->listener), 0);
    pipe->listener.data = pipe;
    assert_int_equal(uv_tcp_bind(&pipe->listener, (const struct sockaddr *)&own, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&pipe->listener, 16, on_dialled), 0);
    assert_int_equal(uv_tcp_getsockname(&pipe->listener, (struct sockaddr *)&own, &size), 0);
    (void)snprintf(pipe->address, sizeof pipe->address, "127.0.0.1:%u", ntohs(own.sin_port));
}

static bool is_shut(void *ctx)
{
    const struct pipe *pipe = ctx;
    bool shut = true;

    for (unsigned i = 0; i < pipe->count; i++) {
        shut = shut && pipe->tubes[i]->closed[0] && pipe->tubes[i]->closed[1];
    }
    return shut;
}

static void pipe_close(struct pipe *pipe, struct rig *rig)
{
    if (!uv_is_closing((uv_handle_t *)&pipe->listener)) {
        uv_close((uv_handle_t *)&pipe->listener, NULL);
    }
    for (unsigned i = 0; i < pipe->count; i++) {
        tube_close(pipe->tubes[i]);
    }
    assert_true(rig_until(rig, is_shut, pipe, 5000));
    for (unsigned i = 0; i < pipe->count; i++) {
        free(pipe->tubes[i]);
    }
}

/* Node 1 dials node 2 through the pipe, and nobody else dials. */
struct scene {
    struct rig rig;
    struct peer_log one;
    struct peer_log two;
    struct pipe pipe;
    uint64_t next[2]; /* number of the next frame on control and data */
};

static bool twins_are_there(void *ctx)
{
    const struct scene *s = ctx;
    unsigned open = 0;

    for (unsigned i = 0; i < s->pipe.count; i++) {
        /* Their hellos have passed: some 2 KiB of handshake from the side that dials. */
        open += s->pipe.tubes[i]->open && s->pipe.tubes[i]->bytes > 1000;
    }
    return open == WIRE_CHANNELS + 2;
}

static struct scene *begin_scene(bool twins)
{
    struct scene *s = mem_new(sizeof *s);
    struct net_options options = {.always_twins = twins};
    struct pair pair = {&s->one, &s->two, 1, 2};

    rig_init(&s->rig);
    start(&s->rig, 1, &s->one, &options);
    start(&s->rig, 2, &s->two, NULL); /* it copies nothing, and dials nobody */
    pipe_open(&s->pipe, &s->rig, net_address(s->rig.nets[2], NET_MESH));
    s->one.wire->ops->set_peer(s->one.wire, 2, s->pipe.address);
    assert_true(rig_until(&s->rig, both_up, &pair, 5000));
    if (twins) {
        assert_true(rig_until(&s->rig, twins_are_there, s, 5000));
        rig_run_ms(&s->rig, 50);
    }
    return s;
}

static void end_scene(struct scene *s)
{
    rig_close_net(&s->rig, 1);
    rig_close_net(&s->rig, 2);
    pipe_close(&s->pipe, &s->rig);
    rig_fini(&s->rig);
    free(s);
}

static void send_some(struct scene *s, unsigned count, size_t tail_len)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(send_number(&s->one, 2, WIRE_CONTROL, s->next[0]++, tail_len));
        assert_true(send_number(&s->one, 2, WIRE_DATA, s->next[1]++, tail_len));
    }
}

static bool arrive(struct scene *s, uint64_t ms)
{
    return rig_until(&s->rig, has_frames, &(struct wanted){&s->two, s->next[0] + s->next[1]}, ms);
}

/* A connection, not `other`, by which a frame of that length goes on the data channel. */
static struct tube *carrier(struct scene *s, size_t tail_len, const struct tube *other)
{
    uint64_t before[TUBES_MAX];

    for (unsigned i = 0; i < s->pipe.count; i++) {
        before[i] = s->pipe.tubes[i]->bytes;
    }
    assert_true(send_number(&s->one, 2, WIRE_DATA, s->next[1]++, tail_len));
    assert_true(arrive(s, 2000));
    rig_run_ms(&s->rig, 50);
    for (unsigned i = 0; i < s->pipe.count; i++) {
        if (s->pipe.tubes[i] != other && s->pipe.tubes[i]->bytes - before[i] >= tail_len) {
            return s->pipe.tubes[i];
        }
    }
    fail_msg("no connection carried %zu bytes", tail_len);
    return NULL;
}

static void frames_arrive_once_and_in_order_by_two_ways(void **state)
{
    struct scene *s = begin_scene(true);

    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        send_some(s, 10, i % 7 == 0 ? 100000 : i * 100); /* the long ones are not copied */
        rig_run_ms(&s->rig, 1);
    }
    assert_true(arrive(s, 5000));
    rig_run_ms(&s->rig, 100);
    assert_int_equal(s->two.frames, 1000);
    assert_false(s->two.out_of_order);
    assert_false(s->two.bad_tail);
    assert_int_equal(s->two.ups[1][WIRE_DATA], 1);
    end_scene(s);
}

static void any_one_connection_may_stand_still(void **state)
{
    struct scene *s = begin_scene(true);

    (void)state;
    for (unsigned i = 0; i < s->pipe.count; i++) {
        tube_hold(s->pipe.tubes[i], true);
        send_some(s, 20, 1000);
        assert_true(arrive(s, 2000));
        tube_hold(s->pipe.tubes[i], false);
        send_some(s, 20, 1000);
        assert_true(arrive(s, 2000));
    }
    rig_run_ms(&s->rig, 100);
    assert_int_equal(s->two.frames, s->next[0] + s->next[1]);
    assert_false(s->two.out_of_order);
    assert_false(s->two.bad_tail);
    end_scene(s);
}

static void without_twins_one_that_stands_still_holds_its_frames_up(void **state)
{
    struct scene *s = begin_scene(false);
    struct tube *data = carrier(s, 30000, NULL);

    (void)state;
    assert_int_equal(s->pipe.count, WIRE_CHANNELS);
    tube_hold(data, true);
    send_some(s, 5, 1000);
    assert_false(arrive(s, 300));
    tube_hold(data, false);
    assert_true(arrive(s, 2000));
    assert_false(s->two.out_of_order);
    end_scene(s);
}

static void what_is_not_copied_comes_by_the_channel_alone_and_nothing_passes_it(void **state)
{
    struct scene *s = begin_scene(true);
    struct tube *data = carrier(s, 100000, NULL);

    (void)state;
    tube_hold(data, true);
    assert_true(send_number(&s->one, 2, WIRE_DATA, s->next[1]++, 100000));
    send_some(s, 10, 1000);
    assert_false(arrive(s, 300)); /* the copies behind it are there, and wait for nobody */
    tube_hold(data, false);
    assert_true(arrive(s, 2000));
    assert_false(s->two.out_of_order);
    end_scene(s);
}

static bool is_up_again(void *ctx)
{
    const struct scene *s = ctx;

    return s->two.ups[1][WIRE_DATA] == 2 && s->one.wire->ops->is_up(s->one.wire, 2, WIRE_DATA);
}

static void copies_of_an_earlier_connection_count_for_nothing(void **state)
{
    struct scene *s = begin_scene(true);
    struct tube *data = carrier(s, 100000, NULL);
    struct tube *twin = carrier(s, 30000, data);

    (void)state;
    tube_hold(twin, true);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(send_number(&s->one, 2, WIRE_DATA, s->next[1]++, 1000));
    }
    assert_true(arrive(s, 2000));
    uint64_t first = s->two.frames;
    tube_close(data);
    assert_true(rig_until(&s->rig, is_up_again, s, 5000));
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(send_number(&s->one, 2, WIRE_DATA, i, 1000));
    }
    /* The copies of frames 2 to 21 of the one that is gone, when 5 is the next. */
    assert_true(rig_until(&s->rig, has_frames, &(struct wanted){&s->two, first + 5}, 2000));
    tube_hold(twin, false);
    rig_run_ms(&s->rig, 200);
    assert_int_equal(s->two.frames, first + 5);
    for (uint64_t i = 5; i < 40; i++) {
        assert_true(send_number(&s->one, 2, WIRE_DATA, i, 1000));
    }
    assert_true(rig_until(&s->rig, has_frames, &(struct wanted){&s->two, first + 40}, 2000));
    assert_false(s->two.out_of_order);
    assert_false(s->two.bad_tail);
    end_scene(s);
}

/* The pipe takes no more connections: who dials is told that nobody is there. */
static void a_peer_of_which_one_channel_is_up_is_not_gone(void **state)
{
    struct scene *s = begin_scene(false);
    struct tube *data = carrier(s, 30000, NULL);

    (void)state;
    uv_close((uv_handle_t *)&s->pipe.listener, NULL);
    tube_close(data);
    rig_run_ms(&s->rig, 400);
    assert_int_equal(s->one.downs[2][WIRE_DATA], 1);
    assert_int_equal(s->one.gone[2], 0);
    for (unsigned i = 0; i < s->pipe.count; i++) {
        tube_close(s->pipe.tubes[i]);
    }
    rig_run_ms(&s->rig, 1000);
    assert_true(s->one.gone[2] > 0);
    end_scene(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_once_and_in_order_by_two_ways),
        cmocka_unit_test(any_one_connection_may_stand_still),
        cmocka_unit_test(without_twins_one_that_stands_still_holds_its_frames_up),
        cmocka_unit_test(what_is_not_copied_comes_by_the_channel_alone_and_nothing_passes_it),
        cmocka_unit_test(copies_of_an_earlier_connection_count_for_nothing),
        cmocka_unit_test(a_peer_of_which_one_channel_is_up_is_not_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
