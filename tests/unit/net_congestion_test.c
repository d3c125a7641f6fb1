/* SPDX-License-Identifier: Apache-2.0 */
/* Whether packets of a connection get lost, and what it runs under then. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/congestion.h"
#include "tests/lib/test.h"

/* A connection and what it has sent. */
struct way {
    struct congestion congestion;
    uint32_t sent;
    uint32_t resent;
};

/* So many seconds of so many packets, of which `lost` in 1,000 were sent again. */
static bool seconds(struct way *way, unsigned count, unsigned packets, unsigned lost)
{
    bool lossy = way->congestion.lossy;

    for (unsigned i = 0; i < count; i++) {
        way->sent += packets;
        way->resent += packets * lost / 1000;
        lossy = congestion_look(&way->congestion, way->sent, way->resent);
    }
    return lossy;
}

static void a_clean_way_stays_under_cubic(void **state)
{
    struct way way = {0};

    (void)state;
    assert_false(seconds(&way, 600, 700, 0));
    assert_false(seconds(&way, 600, 20000, 0));
}

static void one_percent_of_loss_asks_for_bbr_within_a_second(void **state)
{
    struct way way = {0};

    (void)state;
    (void)seconds(&way, 60, 700, 0);
    assert_true(seconds(&way, 1, 700, 10));
}

static void a_packet_or_two_are_chance(void **state)
{
    struct way way = {0};

    (void)state;
    way.resent = 3;
    assert_false(seconds(&way, 1, 200, 0));
    assert_false(seconds(&way, 60, 200, 0));
}

static void losses_of_a_thin_connection_add_up(void **state)
{
    struct way way = {0};

    (void)state;
    /* A packet a second, one of a hundred lost: nothing that a single look could tell. */
    for (unsigned i = 1; i <= 400; i++) {
        way.sent++;
        way.resent += i % 100 == 0 ? 1 : 0;
        assert_int_equal(congestion_look(&way.congestion, way.sent, way.resent), i >= 400);
    }
}

static void cubic_comes_back_after_thirty_clean_judgements_and_not_before(void **state)
{
    struct way way = {0};

    (void)state;
    (void)seconds(&way, 1, 1000, 10);
    assert_true(seconds(&way, CONGESTION_CLEAN_LOOKS - 1, 1000, 0));
    assert_false(seconds(&way, 1, 1000, 0));
    (void)seconds(&way, 1, 1000, 10);
    (void)seconds(&way, CONGESTION_CLEAN_LOOKS - 1, 1000, 0);
    assert_true(seconds(&way, 1, 1000, 2)); /* neither lossy nor clean */
    assert_true(seconds(&way, CONGESTION_CLEAN_LOOKS - 1, 1000, 0));
    assert_false(seconds(&way, 1, 1000, 0));
}

static void counters_may_wrap(void **state)
{
    struct way way = {.sent = UINT32_MAX - 100, .resent = UINT32_MAX};

    (void)state;
    way.congestion.sent = way.sent;
    way.congestion.resent = way.resent;
    assert_false(seconds(&way, 1, 1000, 0));
    assert_int_equal(way.congestion.clean, 1);
    assert_true(seconds(&way, 1, 1000, 10));
}

/* A connection to ourselves. */
static int connected(int *out_listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *out_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*out_listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(*out_listener, 1), 0);
    assert_int_equal(getsockname(*out_listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void a_socket_runs_under_what_it_is_told_and_counts_packets(void **state)
{
    int listener;
    int fd = connected(&listener);
    char name[16] = "";
    socklen_t size = sizeof name;
    uint32_t sent = 77;
    uint32_t resent = 77;

    (void)state;
    if (congestion_set(fd, CONGESTION_CUBIC)) { /* a kernel without it: nothing to show */
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
        assert_string_equal(name, "cubic");
    }
    assert_int_equal(write(fd, "x", 1), 1);
    assert_true(congestion_read(fd, &sent, &resent));
    assert_int_equal(sent, 1);
    assert_int_equal(resent, 0);
    assert_false(congestion_read(STDIN_FILENO, &sent, &resent));
    (void)close(fd);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_way_stays_under_cubic),
        cmocka_unit_test(one_percent_of_loss_asks_for_bbr_within_a_second),
        cmocka_unit_test(a_packet_or_two_are_chance),
        cmocka_unit_test(losses_of_a_thin_connection_add_up),
        cmocka_unit_test(cubic_comes_back_after_thirty_clean_judgements_and_not_before),
        cmocka_unit_test(counters_may_wrap),
        cmocka_unit_test(a_socket_runs_under_what_it_is_told_and_counts_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
