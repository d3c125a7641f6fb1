/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting offloaded segments apart: every piece is what the sender's device would have sent. */
#include "base/buf.h"
#include "base/error.h"
#include "base/prng.h"
#include "tests/lib/test.h"
#include "tests/wan/packet.h"

enum { IP_HEADER = 24, TCP_HEADER = 32, HEADERS = IP_HEADER + TCP_HEADER, GSO = 1000 };
enum { FIN = 0x01, PSH = 0x08, ACK = 0x10, CWR = 0x80 };

static uint8_t frame[PACKET_FRAME_MAX];

/* A frame of `payload` bytes, each different from its neighbours, with IP and TCP options. */
static struct slice make_frame(size_t payload)
{
    struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                  .hdr_len = HEADERS,
                                  .gso_size = GSO,
                                  .csum_start = IP_HEADER,
                                  .csum_offset = 16};
    uint8_t *ip = frame + PACKET_VNET;

    memset(frame, 0, sizeof frame);
    memcpy(frame, &vnet, sizeof vnet);
    ip[0] = 0x40 | IP_HEADER / 4;
    put_be16(ip + 2, (uint16_t)(HEADERS + payload));
    put_be16(ip + 4, 0xfffe);
    ip[8] = 64;
    ip[9] = 6;
    put_be32(ip + 12, 0x0a5a0001);
    put_be32(ip + 16, 0x0a5a0002);
    put_be32(ip + 20, 0x01010101);
    uint8_t *tcp = ip + IP_HEADER;
    put_be16(tcp, 4711);
    put_be16(tcp + 2, 9092);
    put_be32(tcp + 4, 0xfffffe00);
    tcp[12] = TCP_HEADER / 4 << 4;
    tcp[13] = ACK | PSH | FIN | CWR;
    put_be32(tcp + 20, 0x01010101);
    put_be32(tcp + 24, 0x01010101);
    put_be32(tcp + 28, 0x01010101);
    for (size_t i = 0; i < payload; i++) {
        ip[HEADERS + i] = (uint8_t)(i * 31 + i / 256);
    }
    return (struct slice){frame, PACKET_VNET + HEADERS + payload};
}

static struct packet_shape shape_of(struct slice in)
{
    struct packet_shape shape;

    assert_int_equal(packet_parse(in, &shape), 0);
    return shape;
}

/* Word by word as RFC 1071 says it; 0xffff over bytes that hold their own checksum. */
static uint32_t plain_sum(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t tcp_sum(const uint8_t *ip, size_t len)
{
    uint32_t sum = plain_sum(6 + (uint32_t)(len - IP_HEADER), ip + 12, 8);

    return plain_sum(sum, ip + IP_HEADER, len - IP_HEADER);
}

static void each_segment_alone_is_a_whole_packet(void **state)
{
    static uint8_t out[PACKET_FRAME_MAX];
    static const size_t payloads[] = {1001, 2000, 2001, 43777, 65535 - HEADERS};
    struct virtio_net_hdr plain = {0};

    (void)state;
    for (size_t p = 0; p < ARRAY_COUNT(payloads); p++) {
        struct slice in = make_frame(payloads[p]);
        struct packet_shape shape = shape_of(in);
        size_t seen = 0;
        assert_int_equal(shape.segments, (payloads[p] + GSO - 1) / GSO);
        for (uint32_t i = 0; i < shape.segments; i++) {
            size_t len = packet_carve(in, &shape, i, 1, out) - PACKET_VNET;
            const uint8_t *ip = out + PACKET_VNET;
            bool last = i + 1 == shape.segments;
            assert_int_equal(len, packet_wire_bytes(&shape, i, 1));
            assert_memory_equal(out, &plain, sizeof plain);
            assert_int_equal(get_be16(ip + 2), len);
            assert_int_equal(get_be16(ip + 4), (uint16_t)(0xfffe + i));
            assert_int_equal(plain_sum(0, ip, IP_HEADER), 0xffff);
            assert_int_equal(get_be32(ip + IP_HEADER + 4), (uint32_t)(0xfffffe00 + i * GSO));
            assert_int_equal(ip[IP_HEADER + 13], ACK | (last ? PSH | FIN : 0) | (i == 0 ? CWR : 0));
            assert_int_equal(tcp_sum(ip, len), 0xffff);
            assert_memory_equal(ip + HEADERS, frame + PACKET_VNET + HEADERS + seen, len - HEADERS);
            seen += len - HEADERS;
        }
        assert_int_equal(seen, payloads[p]);
    }
}

static void a_run_of_segments_stays_to_be_cut_by_the_receiver(void **state)
{
    static uint8_t out[PACKET_FRAME_MAX];
    struct slice in = make_frame(10500);
    struct packet_shape shape = shape_of(in);
    struct virtio_net_hdr vnet;

    (void)state;
    size_t len = packet_carve(in, &shape, 7, 4, out);
    struct packet_shape run = shape_of((struct slice){out, len});
    const uint8_t *ip = out + PACKET_VNET;
    memcpy(&vnet, out, sizeof vnet);
    assert_int_equal(len, PACKET_VNET + HEADERS + 3500);
    assert_int_equal(run.segments, 4);
    assert_int_equal(vnet.gso_size, GSO);
    assert_int_equal(vnet.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(vnet.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(vnet.csum_start + vnet.csum_offset, IP_HEADER + 16);
    assert_int_equal(ip[IP_HEADER + 13], ACK | PSH | FIN);
    /* The sum of the pseudo header only, not complemented. */
    uint32_t pseudo = plain_sum(6 + TCP_HEADER + 3500, ip + 12, 8);
    assert_int_equal(get_be16(ip + IP_HEADER + 16), pseudo);
    assert_int_equal(packet_wire_bytes(&shape, 7, 4), 4 * HEADERS + 3500);
    assert_int_equal(packet_wire_bytes(&shape, 0, shape.segments), 11 * HEADERS + 10500);
}

static void a_run_cut_again_gives_the_same_packets(void **state)
{
    static uint8_t run[PACKET_FRAME_MAX];
    static uint8_t direct[PACKET_FRAME_MAX];
    static uint8_t again[PACKET_FRAME_MAX];
    struct slice in = make_frame(10500);
    struct packet_shape shape = shape_of(in);

    (void)state;
    struct slice middle = {run, packet_carve(in, &shape, 3, 5, run)};
    struct packet_shape inner = shape_of(middle);
    for (uint32_t i = 0; i < 5; i++) {
        size_t len = packet_carve(in, &shape, 3 + i, 1, direct);
        assert_int_equal(packet_carve(middle, &inner, i, 1, again), len);
        assert_memory_equal(again, direct, len);
    }
}

static void what_is_no_packet_is_refused(void **state)
{
    struct packet_shape shape;
    struct slice in = make_frame(3000);
    struct prng prng;

    (void)state;
    for (size_t len = 0; len < in.len; len++) {
        assert_int_equal(packet_parse((struct slice){frame, len}, &shape), TERN_EMALFORMED);
    }
    frame[PACKET_VNET] = 0x65;
    assert_int_equal(packet_parse(in, &shape), TERN_EMALFORMED); /* version 6 */
    in = make_frame(3000);
    frame[PACKET_VNET + IP_HEADER + 12] = 0x40;
    assert_int_equal(packet_parse(in, &shape), TERN_EMALFORMED); /* a TCP header of 16 bytes */
    in = make_frame(3000);
    frame[PACKET_VNET + 9] = 17;
    assert_int_equal(packet_parse(in, &shape), TERN_EMALFORMED); /* TCP segments of UDP */
    prng_init(&prng, 4711);
    for (int round = 0; round < 100000; round++) {
        static uint8_t out[PACKET_FRAME_MAX];
        in = make_frame(3000);
        for (int i = 0; i < 3; i++) {
            frame[prng_below(&prng, PACKET_VNET + HEADERS)] = (uint8_t)prng_next(&prng);
        }
        if (packet_parse(in, &shape) == 0 && shape.segments > 1) {
            uint32_t first = (uint32_t)prng_below(&prng, shape.segments);
            uint32_t count = (uint32_t)prng_between(&prng, 1, shape.segments - first);
            assert_true(packet_carve(in, &shape, first, count, out) <= in.len);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_segment_alone_is_a_whole_packet),
        cmocka_unit_test(a_run_of_segments_stays_to_be_cut_by_the_receiver),
        cmocka_unit_test(a_run_cut_again_gives_the_same_packets),
        cmocka_unit_test(what_is_no_packet_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
