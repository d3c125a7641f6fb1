/* SPDX-License-Identifier: Apache-2.0 */
/* Packets as a TUN device with IFF_VNET_HDR gives them: a virtio header, then IPv4.
 *
 * With segmentation offload one such frame stands for many packets of the wire: the TCP payload is
 * to be cut every `gso_size` bytes, each piece under a header of its own. Pure. */
#pragma once

#include <linux/virtio_net.h>

#include "base/check.h"
#include "base/slice.h"

enum {
    PACKET_VNET = sizeof(struct virtio_net_hdr),
    PACKET_FRAME_MAX = PACKET_VNET + 65535,
};

struct packet_shape {
    uint32_t source; /* host byte order */
    uint32_t destination;
    uint32_t segments;     /* packets of the wire; 1 if nothing is to be cut */
    uint32_t header_bytes; /* IP and TCP, repeated before each segment; 0 if segments is 1 */
    uint32_t segment_bytes;
    uint32_t ip_bytes; /* of the whole frame, without the virtio header */
};

/* TERN_EMALFORMED for what is no IPv4 packet, is cut short, or promises segments that it cannot
 * have. `frame` starts with the virtio header. */
int packet_parse(struct slice frame, struct packet_shape *out_shape) TERN_MUST_USE;

/* Bytes on the wire, IP headers included, of `count` segments from `first` on. */
size_t packet_wire_bytes(const struct packet_shape *shape, uint32_t first, uint32_t count);

/* Writes a frame of its own for `count` segments from `first` on and returns its length; `out` has
 * room for the length of the whole `frame`. Several segments stay a frame to be cut by the
 * receiver, one becomes a plain packet with complete checksums. */
size_t packet_carve(struct slice frame, const struct packet_shape *shape, uint32_t first,
                    uint32_t count, uint8_t *out);
