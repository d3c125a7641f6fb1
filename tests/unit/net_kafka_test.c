/* SPDX-License-Identifier: Apache-2.0 */
/* The Kafka listener: frames cut anyhow, pauses, slow readers, hostile lengths. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "tests/unit/net_rig.h"

/* An agent that echoes requests, or does what the test says. */
struct echo {
    struct wire *wire;
    unsigned opened;
    unsigned closed;
    unsigned frames;
    size_t bytes;
    bool silent;          /* answers nothing */
    bool pause;           /* pauses the client at every frame */
    bool close;           /* answers, then closes */
    struct chunk *answer; /* instead of the echo */
    struct wire_client *last;
    uint8_t seen[64]; /* first byte of each frame */
};

static bool check(void *ctx, const struct wire_hello *hello, char why[128])
{
    (void)ctx;
    (void)hello;
    (void)why;
    return true;
}

static void opened(void *ctx, struct wire_client *client)
{
    struct echo *echo = ctx;

    echo->opened++;
    echo->wire->ops->client_set_data(echo->wire, client, echo);
}

static void frame(void *ctx, struct wire_client *client, struct blob *blob)
{
    struct echo *echo = ctx;

    assert_ptr_equal(echo->wire->ops->client_data(echo->wire, client), echo);
    echo->last = client;
    echo->seen[echo->frames++ % sizeof echo->seen] = blob->bytes[0];
    echo->bytes += blob->len;
    if (echo->pause) {
        echo->wire->ops->client_pause(echo->wire, client, true);
    }
    if (!echo->silent) {
        struct chunk chunk = echo->answer != NULL ? chunk_ref(*echo->answer)
                                                  : chunk_of(blob, blob->bytes, blob->len);
        echo->wire->ops->client_send(echo->wire, client, &chunk, 1);
    }
    if (echo->close) {
        echo->wire->ops->client_close(echo->wire, client, "it asked for something strange");
    }
}

static void closed(void *ctx, struct wire_client *client)
{
    struct echo *echo = ctx;

    (void)client;
    echo->closed++;
    echo->last = NULL;
}

static const struct wire_handler handler = {
    .peer_check = check,
    .client_opened = opened,
    .client_frame = frame,
    .client_closed = closed,
};

static void begin(struct rig *rig, struct echo *echo, const struct net_options *limits)
{
    rig_init(rig);
    *echo = (struct echo){0};
    echo->wire = net_wire(rig_open(rig, 1, limits));
    echo->wire->ops->set_handler(echo->wire, &handler, echo);
}

static int dial(const struct rig *rig)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *port = strrchr(net_address(rig->nets[1], NET_KAFKA), ':') + 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_port = htons((uint16_t)atoi(port));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void turn(struct rig *rig)
{
    for (unsigned i = 0; i < 4; i++) {
        (void)uv_run(&rig->loop, UV_RUN_NOWAIT);
    }
}

/* Sends all of it, letting the loop run when the socket is full. False: closed by the other side.
 */
static bool put(struct rig *rig, int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            return false;
        }
        if (sent < 0) {
            turn(rig);
            continue;
        }
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Reads exactly len bytes, or until the end; how many. */
static size_t get(struct rig *rig, int fd, void *out, size_t len)
{
    size_t have = 0;

    for (unsigned idle = 0; have < len && idle < 2000;) {
        ssize_t got = recv(fd, (uint8_t *)out + have, len - have, 0);
        if (got > 0) {
            have += (size_t)got;
            idle = 0;
        } else if (got == 0 || errno != EAGAIN) {
            return have;
        } else {
            idle++;
            rig_run_ms(rig, 1);
        }
    }
    return have;
}

static bool is_closed(struct rig *rig, int fd)
{
    uint8_t byte;

    for (unsigned i = 0; i < 1000; i++) {
        ssize_t got = recv(fd, &byte, 1, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            return true;
        }
        rig_run_ms(rig, 1);
    }
    return false;
}

static void put_frame(struct buf *out, uint8_t fill, uint32_t len)
{
    buf_be32(out, len);
    memset(buf_extend(out, len), fill, len);
}

static void expect_echo(struct rig *rig, int fd, struct slice wanted)
{
    uint8_t *got = malloc(wanted.len);

    assert_int_equal(get(rig, fd, got, wanted.len), wanted.len);
    assert_memory_equal(got, wanted.base, wanted.len);
    free(got);
}

static void is_served(struct rig *rig)
{
    struct buf bytes = {0};
    int fd = dial(rig);

    put_frame(&bytes, 9, 20);
    assert_true(put(rig, fd, bytes.base, bytes.len));
    expect_echo(rig, fd, buf_slice(&bytes));
    buf_fini(&bytes);
    (void)close(fd);
}

static void pipelined_requests_split_at_every_byte_are_whole(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};

    (void)state;
    begin(&rig, &echo, NULL);
    put_frame(&bytes, 1, 8);
    put_frame(&bytes, 2, 9);
    put_frame(&bytes, 3, 150);
    put_frame(&bytes, 4, 12);
    int fd = dial(&rig);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        assert_true(put(&rig, fd, bytes.base, cut));
        turn(&rig);
        assert_true(put(&rig, fd, bytes.base + cut, bytes.len - cut));
        expect_echo(&rig, fd, buf_slice(&bytes));
    }
    for (size_t at = 0; at < bytes.len; at++) {
        assert_true(put(&rig, fd, bytes.base + at, 1));
        turn(&rig);
    }
    expect_echo(&rig, fd, buf_slice(&bytes));
    assert_int_equal(echo.frames, (bytes.len + 2) * 4);
    (void)close(fd);
    rig_run_ms(&rig, 20);
    assert_int_equal(echo.closed, 1);
    assert_int_equal(rig_line_count, 0); /* leaving is no fault */
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void a_large_request_comes_whole(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};

    (void)state;
    begin(&rig, &echo, NULL);
    echo.silent = true;
    put_frame(&bytes, 1, 10);
    put_frame(&bytes, 7, 20 << 20);
    int fd = dial(&rig);
    assert_true(put(&rig, fd, bytes.base, bytes.len));
    for (int turns = 0; turns < 500 && echo.bytes < 10 + (20 << 20); turns++) {
        rig_run_ms(&rig, 20); /* a busy machine takes its time */
    }
    assert_int_equal(echo.bytes, 10 + (20 << 20));
    struct net_counters counters;
    net_counters(rig.nets[1], &counters);
    assert_int_equal(counters.client_receive_bytes_now, 0);
    (void)close(fd);
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void answers_are_shared_not_copied_and_given_back(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};
    size_t len = 8 << 20;
    struct blob *blob = blob_new(len);
    uint8_t *got = malloc(len + 4);
    int fds[3];

    (void)state;
    begin(&rig, &echo, NULL);
    memset(blob->bytes, 5, len);
    struct chunk answer = chunk_of(blob, blob->bytes, len);
    echo.answer = &answer;
    put_frame(&bytes, 1, 10);
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = dial(&rig);
        assert_true(put(&rig, fds[i], bytes.base, bytes.len));
    }
    rig_run_ms(&rig, 20);
    assert_int_equal(blob->refs, 2 + 3);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(get(&rig, fds[i], got, len + 4), len + 4);
        assert_int_equal(get_be32(got), len);
        assert_memory_equal(got + 4, blob->bytes, len);
    }
    (void)close(fds[2]); /* this one leaves without reading */
    rig_run_ms(&rig, 50);
    assert_int_equal(blob->refs, 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
    chunk_drop(&answer);
    blob_unref(blob);
    free(got);
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void a_paused_client_waits_and_loses_nothing(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};

    (void)state;
    begin(&rig, &echo, NULL);
    echo.pause = true;
    for (uint8_t i = 1; i <= 20; i++) {
        put_frame(&bytes, i, 30u + i * 1000u);
    }
    int fd = dial(&rig);
    assert_true(put(&rig, fd, bytes.base, bytes.len));
    for (unsigned i = 1; i <= 20; i++) {
        rig_run_ms(&rig, 5);
        assert_int_equal(echo.frames, i);
        echo.wire->ops->client_pause(echo.wire, echo.last, false);
        assert_int_equal(echo.frames, i); /* not from inside */
    }
    for (uint8_t i = 0; i < 20; i++) {
        assert_int_equal(echo.seen[i], i + 1);
    }
    expect_echo(&rig, fd, buf_slice(&bytes));
    (void)close(fd);
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void a_client_that_does_not_read_is_not_read(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};
    size_t len = 1 << 20;
    struct blob *blob = blob_new(len);
    uint8_t *got = malloc(len + 4);
    unsigned asked = 60;

    (void)state;
    begin(&rig, &echo, NULL);
    memset(blob->bytes, 6, len);
    struct chunk answer = chunk_of(blob, blob->bytes, len);
    echo.answer = &answer;
    put_frame(&bytes, 1, 10);
    int fd = dial(&rig);
    for (unsigned i = 0; i < asked; i++) {
        assert_true(put(&rig, fd, bytes.base, bytes.len));
    }
    rig_run_ms(&rig, 100);
    assert_in_range(echo.frames, 5, 30); /* 4 MiB, and what the sockets hold */
    assert_in_range(echo.wire->ops->client_queued_bytes(echo.wire, echo.last), 1, 6 << 20);
    for (unsigned i = 0; i < asked; i++) {
        assert_int_equal(get(&rig, fd, got, len + 4), len + 4);
    }
    assert_int_equal(echo.frames, asked);
    (void)close(fd);
    chunk_drop(&answer);
    blob_unref(blob);
    free(got);
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void closing_lets_the_last_answer_out(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};

    (void)state;
    begin(&rig, &echo, NULL);
    echo.close = true;
    put_frame(&bytes, 3, 50000);
    int fd = dial(&rig);
    assert_true(put(&rig, fd, bytes.base, bytes.len));
    expect_echo(&rig, fd, buf_slice(&bytes));
    assert_true(is_closed(&rig, fd));
    assert_int_equal(echo.closed, 1);
    assert_int_equal(rig_said("it asked for something strange"), 1);
    assert_int_equal(rig_said("peer=\"127.0.0.1:"), 1);
    (void)close(fd);
    buf_fini(&bytes);
    rig_fini(&rig);
}

/* ---- hostile --------------------------------------------------------------------------------- */

static void garbage_is_closed_with_one_line_and_others_are_served(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *said;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18,
         "claims 1195725856 bytes, allowed are 8 to 65536 for the "
         "first one (it looks like HTTP)"},
        {"\x16\x03\x01\x02\x00\x01\x00\x01", 8, "it looks like TLS"},
        {"\xff\xff\xff\xff", 4, "claims 4294967295 bytes"},
        {"\x80\x00\x00\x00", 4, "claims 2147483648 bytes"},
        {"\x00\x00\x00\x00", 4, "claims 0 bytes"},
        {"\x00\x00\x00\x07", 4, "claims 7 bytes"},
        {"\x00\x01\x00\x01", 4, "claims 65537 bytes"},
    };
    struct rig rig;
    struct echo echo;

    (void)state;
    begin(&rig, &echo, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_line_count = 0;
        int fd = dial(&rig);
        assert_true(put(&rig, fd, cases[i].bytes, cases[i].len));
        assert_true(is_closed(&rig, fd));
        assert_int_equal(rig_line_count, 1);
        assert_int_equal(rig_said(cases[i].said), 1);
        is_served(&rig);
        (void)close(fd);
    }
    rig_fini(&rig);
}

static void a_claimed_length_costs_nothing_until_bytes_arrive(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};
    struct net_counters counters;
    int fds[100];

    (void)state;
    begin(&rig, &echo, NULL);
    put_frame(&bytes, 1, 10);
    buf_be32(&bytes, 100u << 20);
    buf_text(&bytes, "only this");
    for (unsigned i = 0; i < 100; i++) {
        fds[i] = dial(&rig);
        assert_true(put(&rig, fds[i], bytes.base, bytes.len));
        turn(&rig);
    }
    rig_run_ms(&rig, 20);
    assert_int_equal(echo.frames, 100);
    net_counters(rig.nets[1], &counters);
    assert_int_equal(counters.clients_now, 100);
    assert_in_range(counters.client_receive_bytes_now, 100, 100 * 8192);
    is_served(&rig);
    for (unsigned i = 0; i < 100; i++) {
        (void)close(fds[i]);
    }
    rig_run_ms(&rig, 50);
    net_counters(rig.nets[1], &counters);
    assert_int_equal(counters.client_receive_bytes_now, 0);
    buf_fini(&bytes);
    rig_fini(&rig);
}

static void too_much_under_way_sheds_what_takes_longest(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};
    struct net_options limits = {.kafka_receive_bytes_max = 2 << 20};
    struct net_counters counters;
    int fds[3];

    (void)state;
    begin(&rig, &echo, &limits);
    echo.silent = true;
    put_frame(&bytes, 1, 10);
    put_frame(&bytes, 2, 1 << 20);
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = dial(&rig);
        assert_true(put(&rig, fds[i], bytes.base, bytes.len - 1));
        rig_run_ms(&rig, 10);
    }
    assert_true(is_closed(&rig, fds[0]));
    assert_int_equal(rig_said("this one takes longest"), 1);
    net_counters(rig.nets[1], &counters);
    assert_in_range(counters.client_receive_bytes_now, 1 << 20, 2 << 20);
    for (unsigned i = 1; i < 3; i++) {
        assert_true(put(&rig, fds[i], bytes.base, 1));
        rig_run_ms(&rig, 10);
    }
    assert_int_equal(echo.frames, 5);
    echo.silent = false;
    is_served(&rig);
    for (unsigned i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    buf_fini(&bytes);
    rig_fini(&rig);
}

static size_t queue_of_the_kernel(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");
    char line[32];
    size_t most = 0;

    if (file != NULL && fgets(line, sizeof line, file) != NULL) {
        most = (size_t)strtoul(line, NULL, 10);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return most;
}

static void connections_are_limited_and_idle_strangers_make_room(void **state)
{
    struct rig rig;
    struct echo echo;
    struct buf bytes = {0};
    struct net_options limits = {.kafka_clients_max = 3};
    int fds[5];

    (void)state;
    begin(&rig, &echo, &limits);
    put_frame(&bytes, 1, 10);
    fds[0] = dial(&rig); /* never says anything */
    rig_run_ms(&rig, 5);
    for (unsigned i = 1; i < 4; i++) {
        fds[i] = dial(&rig);
        assert_true(put(&rig, fds[i], bytes.base, bytes.len));
        expect_echo(&rig, fds[i], buf_slice(&bytes));
    }
    assert_true(is_closed(&rig, fds[0]));
    fds[4] = dial(&rig); /* three are being served: no room */
    assert_true(is_closed(&rig, fds[4]));
    assert_int_equal(rig_said("there are too many connections"), 2);
    assert_true(put(&rig, fds[3], bytes.base, bytes.len));
    expect_echo(&rig, fds[3], buf_slice(&bytes));
    for (unsigned i = 0; i < 5; i++) {
        (void)close(fds[i]);
    }
    buf_fini(&bytes);
    rig_fini(&rig);
}

/* A whole fleet comes back after a fault. One too many for the kernel's queue is not refused: its
 * SYN is sent again after a second. */
static void two_thousand_connections_at_once_are_not_told_to_come_again(void **state)
{
    static int fds[2000];
    struct rlimit files;
    struct rig rig;
    struct echo echo;
    uint64_t slowest_ns = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < 3 * ARRAY_COUNT(fds) ||
        queue_of_the_kernel() < ARRAY_COUNT(fds)) {
        skip();
    }
    begin(&rig, &echo, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) { /* the loop does not run meanwhile */
        uint64_t begun_ns = uv_hrtime();
        fds[i] = dial(&rig);
        uint64_t took_ns = uv_hrtime() - begun_ns;
        slowest_ns = took_ns > slowest_ns ? took_ns : slowest_ns;
    }
    assert_true(slowest_ns < 900 * UINT64_C(1000000));
    for (unsigned i = 0; i < 200 && echo.opened < ARRAY_COUNT(fds); i++) {
        rig_run_ms(&rig, 10);
    }
    assert_int_equal(echo.opened, ARRAY_COUNT(fds));
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        (void)close(fds[i]);
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_requests_split_at_every_byte_are_whole),
        cmocka_unit_test(a_large_request_comes_whole),
        cmocka_unit_test(answers_are_shared_not_copied_and_given_back),
        cmocka_unit_test(a_paused_client_waits_and_loses_nothing),
        cmocka_unit_test(a_client_that_does_not_read_is_not_read),
        cmocka_unit_test(closing_lets_the_last_answer_out),
        cmocka_unit_test(garbage_is_closed_with_one_line_and_others_are_served),
        cmocka_unit_test(a_claimed_length_costs_nothing_until_bytes_arrive),
        cmocka_unit_test(too_much_under_way_sheds_what_takes_longest),
        cmocka_unit_test(connections_are_limited_and_idle_strangers_make_room),
        cmocka_unit_test(two_thousand_connections_at_once_are_not_told_to_come_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
