/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include "base/buf.h"
#include "base/error.h"

enum {
    IP_MIN = 20,
    TCP_MIN = 20,
    PROTOCOL_TCP = 6,
    TCP_FLAGS = 13, /* position in the TCP header */
    TCP_CHECKSUM = 16,
    FLAG_FIN = 0x01,
    FLAG_PSH = 0x08,
    FLAG_CWR = 0x80,
};

static int segment_shape(const struct virtio_net_hdr *vnet, struct slice ip, size_t ip_header,
                         struct packet_shape *shape)
{
    uint8_t kind = (uint8_t)(vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN);

    if (kind == VIRTIO_NET_HDR_GSO_NONE) {
        return 0;
    }
    if (kind != VIRTIO_NET_HDR_GSO_TCPV4 || ip.base[9] != PROTOCOL_TCP || vnet->gso_size == 0 ||
        ip.len < ip_header + TCP_MIN) {
        return TERN_EMALFORMED;
    }
    size_t tcp_header = (size_t)(ip.base[ip_header + 12] >> 4) * 4;
    size_t headers = ip_header + tcp_header;
    if (tcp_header < TCP_MIN || headers >= ip.len) {
        return TERN_EMALFORMED;
    }
    size_t payload = ip.len - headers;
    if (payload > vnet->gso_size) {
        shape->segments = (uint32_t)((payload + vnet->gso_size - 1) / vnet->gso_size);
        shape->header_bytes = (uint32_t)headers;
        shape->segment_bytes = vnet->gso_size;
    }
    return 0;
}

int packet_parse(struct slice frame, struct packet_shape *out_shape)
{
    struct virtio_net_hdr vnet;

    if (frame.len < PACKET_VNET + IP_MIN || frame.len > PACKET_FRAME_MAX) {
        return TERN_EMALFORMED;
    }
    memcpy(&vnet, frame.base, sizeof vnet);
    struct slice ip = {frame.base + PACKET_VNET, frame.len - PACKET_VNET};
    size_t ip_header = (size_t)(ip.base[0] & 0x0f) * 4;
    if (ip.base[0] >> 4 != 4 || ip_header < IP_MIN || ip_header > ip.len ||
        get_be16(ip.base + 2) != ip.len) {
        return TERN_EMALFORMED;
    }
    struct packet_shape shape = {
        .source = get_be32(ip.base + 12),
        .destination = get_be32(ip.base + 16),
        .segments = 1,
        .ip_bytes = (uint32_t)ip.len,
    };
    int error = segment_shape(&vnet, ip, ip_header, &shape);
    if (error == 0) {
        *out_shape = shape;
    }
    return error;
}

/* Payload bytes of `count` segments from `first` on; the last one of all may be short. */
static size_t payload_bytes(const struct packet_shape *shape, uint32_t first, uint32_t count)
{
    size_t whole = shape->ip_bytes - shape->header_bytes;
    size_t from = (size_t)first * shape->segment_bytes;
    size_t to = (size_t)(first + count) * shape->segment_bytes;

    return (first + count == shape->segments ? whole : to) - from;
}

size_t packet_wire_bytes(const struct packet_shape *shape, uint32_t first, uint32_t count)
{
    CHECK(count > 0 && first + count <= shape->segments);
    if (shape->segments == 1) {
        return shape->ip_bytes;
    }
    return (size_t)count * shape->header_bytes + payload_bytes(shape, first, count);
}

/* The internet checksum (RFC 1071) before its complement; sums of several runs may be added if all
 * but the last have an even length. */
static uint64_t sum_bytes(const uint8_t *at, size_t len)
{
    uint64_t sum = 0;

    while (len >= 4) {
        sum += get_be32(at);
        at += 4;
        len -= 4;
    }
    if (len >= 2) {
        sum += get_be16(at);
        at += 2;
        len -= 2;
    }
    return len > 0 ? sum + (uint64_t)(*at << 8) : sum;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void mend_ip(uint8_t *ip, size_t header, size_t len, uint32_t first)
{
    put_be16(ip + 2, (uint16_t)len);
    put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + first));
    put_be16(ip + 10, 0);
    put_be16(ip + 10, (uint16_t)~sum_fold(sum_bytes(ip, header)));
}

size_t packet_carve(struct slice frame, const struct packet_shape *shape, uint32_t first,
                    uint32_t count, uint8_t *out)
{
    struct virtio_net_hdr vnet;

    CHECK(shape->segments > 1 && count > 0 && first + count <= shape->segments);
    size_t payload = payload_bytes(shape, first, count);
    size_t len = shape->header_bytes + payload;
    uint8_t *ip = out + PACKET_VNET;
    memcpy(&vnet, frame.base, sizeof vnet);
    memcpy(ip, frame.base + PACKET_VNET, shape->header_bytes);
    memcpy(ip + shape->header_bytes,
           frame.base + PACKET_VNET + shape->header_bytes + (size_t)first * shape->segment_bytes,
           payload);
    size_t ip_header = (size_t)(ip[0] & 0x0f) * 4;
    mend_ip(ip, ip_header, len, first);

    uint8_t *tcp = ip + ip_header;
    size_t tcp_len = len - ip_header;
    put_be32(tcp + 4, get_be32(tcp + 4) + first * shape->segment_bytes);
    if (first + count < shape->segments) {
        tcp[TCP_FLAGS] &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
    }
    if (first > 0) {
        tcp[TCP_FLAGS] &= (uint8_t)~FLAG_CWR;
    }
    uint64_t pseudo = sum_bytes(ip + 12, 8) + PROTOCOL_TCP + tcp_len;
    put_be16(tcp + TCP_CHECKSUM, 0);
    if (count > 1) {
        /* Left to whoever cuts it: only the pseudo header is in the sum. */
        put_be16(tcp + TCP_CHECKSUM, sum_fold(pseudo));
        vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        vnet.hdr_len = (uint16_t)shape->header_bytes;
        vnet.csum_start = (uint16_t)ip_header;
        vnet.csum_offset = TCP_CHECKSUM;
    } else {
        put_be16(tcp + TCP_CHECKSUM, (uint16_t)~sum_fold(pseudo + sum_bytes(tcp, tcp_len)));
        vnet = (struct virtio_net_hdr){0};
    }
    memcpy(out, &vnet, sizeof vnet);
    return PACKET_VNET + len;
}
