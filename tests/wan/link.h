/* SPDX-License-Identifier: Apache-2.0 */
/* One direction between two nodes: decides what happens to each packet and holds it until its time.
 *
 * Two modes. `offload`: a frame with segmentation offload travels, is delayed or dropped as a
 * whole. `split`: every packet of the wire has its own fate; neighbours with the same fate still
 * travel in one frame, which changes nothing but the cost. Loss, duplication, reordering and rates
 * below LINK_SPLIT_KBIT split by themselves.
 *
 * Packets keep their order unless reordering picks one. Chance depends only on the seed and on the
 * number of the packet on this link, so the same packets meet the same fate. Nanoseconds
 * throughout, and time is an argument. No I/O. */
#pragma once

#include <stdbool.h>

#include "packet.h"

enum {
    LINK_SPLIT_KBIT = 200000,
    LINK_HELD_BYTES_MAX = 128 << 20, /* in flight; what comes then is dropped and counted */
    LINK_HELD_COUNT_MAX = 1 << 18,
};

enum link_split { LINK_SPLIT_AUTO, LINK_SPLIT_ON, LINK_SPLIT_OFF };

struct link_settings {
    uint64_t delay_us;   /* one way */
    uint64_t jitter_us;  /* even in delay - jitter ... delay + jitter, never below 0 */
    uint64_t reorder_us; /* how much later a reordered packet comes; others overtake it */
    uint64_t rate_kbit;  /* 0: unlimited */
    /* With a limited rate so much may wait, with what is being sent; the rest is dropped. */
    uint64_t queue_bytes;
    uint32_t loss_ppm; /* millionths */
    uint32_t duplicate_ppm;
    uint32_t reorder_ppm;
    enum link_split split;
};

/* Packets of the wire, except where bytes are said. */
struct link_counters {
    uint64_t offered;
    uint64_t offered_bytes; /* IP bytes on the wire */
    uint64_t delivered;     /* duplicates included */
    uint64_t delivered_bytes;
    uint64_t frames; /* delivered */
    uint64_t lost;   /* by chance */
    uint64_t cut;
    uint64_t full;   /* the queue had no room */
    uint64_t unread; /* the receiving device refused it */
    uint64_t duplicated;
    uint64_t reordered;
};

struct link_piece {
    uint64_t due_ns;
    uint64_t seq;
    uint32_t segments;
    uint32_t wire_bytes;
    uint32_t len;
    uint8_t frame[];
};

struct link {
    struct link_settings told; /* what is shown */
    struct link_settings acts; /* what is done: the same, but for a fault planted for tests */
    const char *plant;         /* words of link_settings_word that change `acts`; NULL: none */
    struct link_counters counters;
    bool cut;
    uint64_t seed;
    uint64_t next_packet; /* number of the next packet of the wire, which its fate depends on */
    uint64_t next_seq;
    uint64_t last_due_ns;  /* order is kept: nothing is due before this */
    uint64_t line_free_ns; /* when the limited line has sent what was queued */
    uint64_t held_bytes;
    struct link_piece **heap; /* by due_ns, then seq */
    uint32_t held;
    uint32_t heap_room;
};

/* All chance of the link comes from `seed`. Nothing is delayed or lost until it is told so. */
void link_init(struct link *link, uint64_t seed);
void link_fini(struct link *link);
void link_tell(struct link *link, const struct link_settings *settings);
/* A cut loses what is in flight, too. */
void link_cut(struct link *link, bool cut);
bool link_splits(const struct link *link);

/* A frame to hold `len` bytes; free() it. */
struct link_piece *link_piece_new(size_t len);
/* A frame is sent. The piece is taken; its frame and len are filled in, `shape` is of this frame. */
void link_offer(struct link *link, uint64_t now_ns, struct link_piece *piece,
                const struct packet_shape *shape);
/* When the next frame is due; UINT64_MAX if none. */
uint64_t link_next_ns(const struct link *link);
/* The next frame that is due, counted as delivered; the caller frees it. NULL if none. */
struct link_piece *link_take(struct link *link, uint64_t now_ns);

/* Reads one KEY=VALUE into settings; false and a sentence in why if it is not understood.
 * delay, jitter, reorder-by and rtt are ms (or with us, ms, s), loss, duplicate, reorder are
 * percent, rate is Mbit/s (or with kbit, mbit, gbit; 0 or none: unlimited), queue is KiB,
 * split is auto, on, off. */
bool link_settings_word(struct link_settings *settings, const char *word, char why[160]);
