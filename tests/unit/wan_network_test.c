/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to packets on a link, and the commands that change links. */
#include <stdio.h>

#include "base/buf.h"
#include "base/prng.h"
#include "tests/lib/test.h"
#include "tests/wan/network.h"

enum { HEADERS = 40, GSO = 1000, MS = 1000000 };

static struct network net;

static int begin(void **state)
{
    (void)state;
    net = (struct network){.count = 3, .seed = 42};
    for (uint32_t i = 0; i < 3; i++) {
        static const char *const names[] = {"west", "mid", "north"};
        (void)snprintf(net.nodes[i].name, sizeof net.nodes[i].name, "%s", names[i]);
        net.nodes[i].addresses[0] = 0x0a5a0001 + i;
        net.nodes[i].address_count = 1;
    }
    network_start(&net, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    network_fini(&net);
    return 0;
}

/* The answer without its last line; *out_ok whether that was `ok`. */
static char *ask(const char *text, bool *out_ok)
{
    static char answer[65536];
    char *line = strdup(text);
    FILE *out = fmemopen(answer, sizeof answer, "w");

    network_command(&net, line, 5000000000, out);
    assert_int_equal(fclose(out), 0);
    free(line);
    *out_ok = strlen(answer) >= 3 && strcmp(answer + strlen(answer) - 3, "ok\n") == 0;
    if (!*out_ok) {
        assert_non_null(strstr(answer, "error: "));
        assert_int_equal(answer[strlen(answer) - 1], '\n');
    }
    return answer;
}

static void tell(const char *text)
{
    bool ok;
    char *answer = ask(text, &ok);

    if (!ok) {
        fail_msg("%s: %s", text, answer);
    }
}

static void refused(const char *text)
{
    bool ok;

    (void)ask(text, &ok);
    if (ok) {
        fail_msg("not refused: %s", text);
    }
}

/* A frame with `segments` packets of the wire, numbered by its first payload bytes. */
static struct link_piece *make_piece(uint32_t segments, uint32_t number,
                                     struct packet_shape *out_shape)
{
    size_t payload = (size_t)segments * GSO;
    struct link_piece *piece = link_piece_new(PACKET_VNET + HEADERS + payload);
    struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                  .hdr_len = HEADERS,
                                  .gso_size = GSO,
                                  .csum_start = 20,
                                  .csum_offset = 16};
    uint8_t *ip = piece->frame + PACKET_VNET;

    piece->len = (uint32_t)(PACKET_VNET + HEADERS + payload);
    memset(piece->frame, 0, piece->len);
    memcpy(piece->frame, &vnet, sizeof vnet);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)(HEADERS + payload));
    ip[9] = 6;
    put_be32(ip + 16, 0x0a5a0002);
    ip[32] = 0x50;
    put_be32(ip + HEADERS, number);
    assert_int_equal(packet_parse((struct slice){piece->frame, piece->len}, out_shape), 0);
    return piece;
}

static void offer(struct link *link, uint64_t now_ns, uint32_t segments, uint32_t number)
{
    struct packet_shape shape;
    struct link_piece *piece = make_piece(segments, number, &shape);

    link_offer(link, now_ns, piece, &shape);
}

/* The number of the next frame that is due by then; -1 if none. */
static int64_t take(struct link *link, uint64_t now_ns)
{
    struct link_piece *piece = link_take(link, now_ns);

    if (piece == NULL) {
        return -1;
    }
    int64_t number = get_be32(piece->frame + PACKET_VNET + HEADERS);
    free(piece);
    return number;
}

static void take_all(struct link *link)
{
    while (take(link, UINT64_MAX - 1) >= 0) {
    }
}

static void everything_is_accounted_for(const struct link *link)
{
    const struct link_counters *c = &link->counters;

    assert_int_equal(link->held, 0);
    assert_int_equal(link->held_bytes, 0);
    assert_int_equal(c->offered + c->duplicated, c->delivered + c->lost + c->cut + c->full);
}

static void a_frame_comes_after_the_delay_and_in_order(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid delay=6ms");
    offer(link, 1 * MS, 40, 1);
    offer(link, 2 * MS, 1, 2);
    assert_int_equal(link_next_ns(link), 7 * MS);
    assert_int_equal(take(link, 7 * MS - 1), -1);
    assert_int_equal(take(link, 7 * MS), 1);
    assert_int_equal(take(link, 8 * MS - 1), -1);
    assert_int_equal(take(link, 8 * MS), 2);
    assert_int_equal(link->counters.frames, 2); /* nothing was cut up */
    assert_int_equal(link->counters.delivered, 41);
    assert_int_equal(link->counters.delivered_bytes, 41 * (HEADERS + GSO));
    everything_is_accounted_for(link);
}

static void a_shorter_delay_lets_nobody_overtake(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set 1 2 delay=100");
    offer(link, 0, 1, 1);
    tell("set 1 2 delay=1 jitter=1");
    offer(link, 1 * MS, 1, 2);
    assert_int_equal(take(link, 99 * MS), -1);
    assert_int_equal(take(link, 100 * MS), 1);
    assert_int_equal(take(link, 100 * MS), 2);
}

static void jitter_is_even_on_both_sides(void **state)
{
    struct link *link = &net.links[0][1];
    double sum_ms = 0;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;

    (void)state;
    tell("set west>mid delay=10 jitter=4");
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t now = (uint64_t)i * 20 * MS;
        offer(link, now, 1, i);
        uint64_t took = link_next_ns(link) - now;
        least = took < least ? took : least;
        most = took > most ? took : most;
        sum_ms += (double)took / MS;
        take_all(link);
    }
    assert_in_range(least, 6 * MS, 6 * MS + MS / 100);
    assert_in_range(most, 14 * MS - MS / 100, 14 * MS);
    assert_true(sum_ms / 10000 > 9.9 && sum_ms / 10000 < 10.1);
}

static void chance_is_per_packet_of_the_wire(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid loss=1 duplicate=0.5 reorder=2 reorder-by=3");
    assert_true(link_splits(link));
    for (uint32_t i = 0; i < 5000; i++) {
        offer(link, (uint64_t)i * 10 * MS, 40, i);
        take_all(link);
    }
    const struct link_counters *c = &link->counters;
    assert_int_equal(c->offered, 200000);
    assert_in_range(c->lost, 1850, 2150);
    assert_in_range(c->duplicated, 890, 1090);
    assert_in_range(c->reordered, 3750, 4170);
    assert_true(c->frames > 5000 && c->frames < 30000); /* neighbours travel together */
    everything_is_accounted_for(link);
}

static void without_splitting_a_frame_has_one_fate(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid loss=10 split=off");
    assert_false(link_splits(link));
    for (uint32_t i = 0; i < 1000; i++) {
        offer(link, 0, 40, i);
    }
    take_all(link);
    assert_int_equal(link->counters.lost % 40, 0);
    assert_in_range(link->counters.lost, 40 * 70, 40 * 130);
    everything_is_accounted_for(link);
}

static void split_on_sends_each_packet_alone(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid split=on");
    offer(link, 0, 40, 1);
    take_all(link);
    assert_int_equal(link->counters.frames, 40);
    everything_is_accounted_for(link);
}

/* Which of 2,000 frames are lost, as bits. */
static void fates(const char *settings, uint64_t seed, uint8_t lost[2000])
{
    struct link *link = &net.links[0][1];

    network_fini(&net);
    net.seed = seed;
    network_start(&net, 0);
    tell(settings);
    for (uint32_t i = 0; i < 2000; i++) {
        uint64_t before = link->counters.lost;
        offer(link, 0, 1, i);
        lost[i] = link->counters.lost != before;
    }
}

static void the_seed_decides_and_other_settings_shift_nothing(void **state)
{
    uint8_t first[2000];
    uint8_t other[2000];

    (void)state;
    fates("set all loss=5", 7, first);
    fates("set all loss=5", 7, other);
    assert_memory_equal(first, other, sizeof first);
    fates("set all loss=5 duplicate=30 jitter=3 reorder=20", 7, other);
    assert_memory_equal(first, other, sizeof first);
    fates("set all loss=5", 8, other);
    assert_memory_not_equal(first, other, sizeof first);
}

static void a_reordered_packet_is_overtaken(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid delay=1 reorder=100 reorder-by=5");
    offer(link, 0, 1, 1);
    tell("set west mid reorder=0");
    offer(link, 1 * MS, 1, 2);
    assert_int_equal(take(link, 20 * MS), 2);
    assert_int_equal(take(link, 20 * MS), 1);
}

static void a_rate_spaces_packets_and_its_queue_drops_the_tail(void **state)
{
    struct link *link = &net.links[0][1];
    uint64_t due = 0;

    (void)state;
    /* 1040 bytes take 1.04 ms at 8 Mbit/s. */
    tell("set west mid rate=8 queue=10 delay=0");
    offer(link, 0, 8, 0);
    assert_int_equal(link->counters.offered, 8);
    for (int i = 1; i <= 8; i++) {
        due = link_next_ns(link);
        assert_int_equal(due, i * 1040000);
        (void)take(link, due);
    }
    assert_int_equal(link->counters.full, 0);
    offer(link, due, 40, 1);
    take_all(link);
    assert_int_equal(link->counters.full, 40 - 9); /* 10 KiB hold nine, with the one on the line */
    everything_is_accounted_for(link);
}

static void a_cut_loses_what_is_in_flight_and_only_that_way(void **state)
{
    struct link *there = &net.links[0][1];
    struct link *back = &net.links[1][0];

    (void)state;
    tell("set all delay=5");
    offer(there, 0, 10, 1);
    offer(back, 0, 10, 1);
    tell("cut west mid --one-way");
    offer(there, 0, 1, 2);
    assert_int_equal(take(there, 10 * MS), -1);
    assert_int_equal(take(back, 10 * MS), 1);
    assert_int_equal(there->counters.cut, 11);
    tell("heal");
    offer(there, 10 * MS, 1, 3);
    assert_int_equal(take(there, 15 * MS), 3);
    assert_int_equal(there->told.delay_us, 5000);
    everything_is_accounted_for(there);
}

static void what_is_in_flight_is_bounded(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    tell("set west mid delay=1000s");
    for (uint32_t i = 0; i < 5000; i++) {
        offer(link, 0, 60, i);
    }
    assert_in_range(link->held_bytes, LINK_HELD_BYTES_MAX - 100000, LINK_HELD_BYTES_MAX + 100000);
    assert_true(link->counters.full > 0);
    take_all(link);
    everything_is_accounted_for(link);
}

static bool is_cut(int from, int to)
{
    return net.links[from][to].cut;
}

static void targets_name_the_links_that_they_say(void **state)
{
    (void)state;
    tell("cut west mid");
    assert_true(is_cut(0, 1) && is_cut(1, 0) && !is_cut(0, 2) && !is_cut(1, 2));
    tell("heal mid west");
    assert_false(is_cut(0, 1) || is_cut(1, 0));
    tell("cut 3>west");
    assert_true(is_cut(2, 0) && !is_cut(0, 2));
    tell("cut mid");
    assert_true(is_cut(1, 0) && is_cut(0, 1) && is_cut(1, 2) && is_cut(2, 1) && !is_cut(0, 2));
    tell("heal");
    tell("cut north --one-way");
    assert_true(is_cut(2, 0) && is_cut(2, 1) && !is_cut(0, 2) && !is_cut(1, 2) && !is_cut(0, 1));
    tell("cut all");
    assert_true(is_cut(0, 1) && is_cut(1, 0) && is_cut(0, 2) && is_cut(2, 1));
    tell("heal all");
    tell("set west mid --one-way delay=3");
    tell("set north rtt=20us");
    assert_int_equal(net.links[0][1].told.delay_us, 3000);
    assert_int_equal(net.links[1][0].told.delay_us, 0);
    assert_int_equal(net.links[1][2].told.delay_us, 10);
    assert_int_equal(net.links[2][0].told.delay_us, 10);
}

static void profiles_have_their_round_trips(void **state)
{
    static const struct {
        const char *command;
        uint64_t rtt_us[3];
        uint32_t loss_ppm;
    } cases[] = {
        {"profile us", {12000, 65000, 55000}, 0},
        {"profile eu loss=0.1", {23000, 38000, 22000}, 1000},
        {"profile wide loss=1", {70000, 85000, 145000}, 10000},
        {"profile metro", {500, 500, 500}, 0},
        {"profile none", {0, 0, 0}, 0},
    };

    (void)state;
    tell("cut west mid");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        static const int pairs[3][2] = {{0, 1}, {0, 2}, {1, 2}};
        tell("set all loss=3 duplicate=2 rate=7");
        tell(cases[i].command);
        for (int p = 0; p < 3; p++) {
            const struct link_settings *there = &net.links[pairs[p][0]][pairs[p][1]].acts;
            const struct link_settings *back = &net.links[pairs[p][1]][pairs[p][0]].acts;
            assert_int_equal(there->delay_us + back->delay_us, cases[i].rtt_us[p]);
            assert_int_equal(there->delay_us, back->delay_us);
            assert_int_equal(there->loss_ppm, cases[i].loss_ppm);
            assert_int_equal(there->duplicate_ppm + there->rate_kbit, 0);
        }
    }
    assert_true(is_cut(0, 1));
}

static void wrong_commands_change_nothing(void **state)
{
    static const char *const wrong[] = {
        "",
        "   ",
        "nonsense",
        "cut",
        "cut nowhere mid",
        "cut west west",
        "cut west>",
        "cut >",
        "cut west mid north",
        "cut --one-way",
        "cut all --one-way",
        "set",
        "set west mid",
        "set west mid delay",
        "set west mid delay=",
        "set west mid delay=-1",
        "set west mid delay=1h",
        "set west mid delay=1.2.3",
        "set west mid delay=nan",
        "set west mid delay=99999999999999999",
        "set west mid delay=9999999999",
        "set west mid loss=101",
        "set west mid loss=5 colour=blue",
        "set west mid split=perhaps",
        "set west mid =5",
        "set west mid averyveryveryverylongkey=5",
        "set all delay=5 nowhere",
        "profile",
        "profile mars",
        "profile us loss=x",
        "profile us 5",
        "show me",
        "reset now",
        "heal nowhere",
        "set all a b c d e f g h i j k l m n o p q r s t u v w x y",
    };
    struct link_settings before = net.links[0][1].told;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        refused(wrong[i]);
        assert_memory_equal(&net.links[0][1].told, &before, sizeof before);
        assert_false(is_cut(0, 1));
    }
}

static void garbage_is_answered_with_an_error(void **state)
{
    static const char *const parts[] = {
        "set",       "cut", "heal", "west", "mid",  ">",     "3",    "all",  "delay",   "=", "1e9",
        "--one-way", " ",   " ",    "\x01", "\xff", "loss=", "%s%n", "....", "profile", "us"};
    struct prng prng;
    bool ok;

    (void)state;
    prng_init(&prng, 4711);
    for (int round = 0; round < 30000; round++) {
        char line[256] = "";
        uint64_t count = prng_below(&prng, 12);
        for (uint64_t i = 0; i < count; i++) {
            strcat(line, parts[prng_below(&prng, ARRAY_COUNT(parts))]);
        }
        (void)ask(line, &ok);
    }
}

static void show_names_mode_and_drop_rate_of_each_direction(void **state)
{
    bool ok;

    (void)state;
    tell("profile us loss=1");
    tell("set west>mid loss=0");
    tell("cut north>mid");
    for (uint32_t i = 0; i < 100; i++) {
        offer(&net.links[2][1], 0, 10, i);
    }
    const char *text = ask("show", &ok);
    assert_true(ok);
    assert_non_null(strstr(text, "profile us loss=1% (changed), seed 42"));
    assert_non_null(strstr(text, "offload"));
    assert_non_null(strstr(text, "split"));
    assert_non_null(strstr(text, "100.0000"));
    assert_non_null(strstr(text, "  CUT\n"));
    text = ask("show json", &ok);
    assert_true(ok);
    assert_non_null(strstr(text, "\"dropped_percent\":100.00000"));
    assert_non_null(strstr(text, "\"mode\":\"split\""));
    tell("reset");
    text = ask("show json", &ok);
    assert_null(strstr(text, "\"dropped_percent\":100.00000"));
}

static void a_planted_fault_acts_and_is_not_shown(void **state)
{
    struct link *link = &net.links[0][1];

    (void)state;
    link->plant = "delay=9 loss=2";
    tell("profile us");
    assert_int_equal(link->told.delay_us, 6000);
    assert_int_equal(link->acts.delay_us, 9000);
    assert_int_equal(link->told.loss_ppm, 0);
    assert_int_equal(link->acts.loss_ppm, 20000);
    assert_int_equal(net.links[1][0].acts.delay_us, 6000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frame_comes_after_the_delay_and_in_order),
        TEST(a_shorter_delay_lets_nobody_overtake),
        TEST(jitter_is_even_on_both_sides),
        TEST(chance_is_per_packet_of_the_wire),
        TEST(without_splitting_a_frame_has_one_fate),
        TEST(split_on_sends_each_packet_alone),
        TEST(the_seed_decides_and_other_settings_shift_nothing),
        TEST(a_reordered_packet_is_overtaken),
        TEST(a_rate_spaces_packets_and_its_queue_drops_the_tail),
        TEST(a_cut_loses_what_is_in_flight_and_only_that_way),
        TEST(what_is_in_flight_is_bounded),
        TEST(targets_name_the_links_that_they_say),
        TEST(profiles_have_their_round_trips),
        TEST(wrong_commands_change_nothing),
        TEST(garbage_is_answered_with_an_error),
        TEST(show_names_mode_and_drop_rate_of_each_direction),
        TEST(a_planted_fault_acts_and_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
