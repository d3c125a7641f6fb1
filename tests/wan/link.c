/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdio.h>

enum { DRAW_LOSS, DRAW_DUPLICATE, DRAW_REORDER, DRAW_JITTER, DRAWS };

void link_init(struct link *link, uint64_t seed)
{
    struct link_settings plain = {.reorder_us = 5000, .queue_bytes = 1 << 20};

    *link = (struct link){.seed = seed};
    link_tell(link, &plain);
}

static void drop_all(struct link *link)
{
    for (uint32_t i = 0; i < link->held; i++) {
        link->counters.cut += link->heap[i]->segments;
        free(link->heap[i]);
    }
    link->held = 0;
    link->held_bytes = 0;
    link->last_due_ns = 0;
    link->line_free_ns = 0;
}

void link_fini(struct link *link)
{
    drop_all(link);
    free(link->heap);
    link->heap = NULL;
    link->heap_room = 0;
}

void link_tell(struct link *link, const struct link_settings *settings)
{
    char why[160];
    char words[256];
    char *rest = words;
    const char *word;

    link->told = *settings;
    link->acts = *settings;
    if (link->plant != NULL) {
        (void)snprintf(words, sizeof words, "%s", link->plant);
        while ((word = strsep(&rest, " ")) != NULL) {
            CHECK(link_settings_word(&link->acts, word, why));
        }
    }
}

void link_cut(struct link *link, bool cut)
{
    link->cut = cut;
    if (cut) {
        drop_all(link);
    }
}

bool link_splits(const struct link *link)
{
    const struct link_settings *s = &link->acts;

    if (s->split != LINK_SPLIT_AUTO) {
        return s->split == LINK_SPLIT_ON;
    }
    return s->loss_ppm > 0 || s->duplicate_ppm > 0 || s->reorder_ppm > 0 ||
           (s->rate_kbit > 0 && s->rate_kbit < LINK_SPLIT_KBIT);
}

/* ---- the heap ------------------------------------------------------------------------------- */

static bool sooner(const struct link_piece *a, const struct link_piece *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

static void heap_push(struct link *link, struct link_piece *piece)
{
    if (link->held == link->heap_room) {
        link->heap_room = link->heap_room == 0 ? 256 : link->heap_room * 2;
        link->heap = mem_grow(link->heap, link->heap_room, sizeof *link->heap);
    }
    uint32_t at = link->held++;
    while (at > 0 && sooner(piece, link->heap[(at - 1) / 2])) {
        link->heap[at] = link->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    link->heap[at] = piece;
}

static struct link_piece *heap_pop(struct link *link)
{
    struct link_piece *first = link->heap[0];
    struct link_piece *last = link->heap[--link->held];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= link->held) {
            break;
        }
        if (child + 1 < link->held && sooner(link->heap[child + 1], link->heap[child])) {
            child++;
        }
        if (!sooner(link->heap[child], last)) {
            break;
        }
        link->heap[at] = link->heap[child];
        at = child;
    }
    if (link->held > 0) {
        link->heap[at] = last;
    }
    return first;
}

uint64_t link_next_ns(const struct link *link)
{
    return link->held == 0 ? UINT64_MAX : link->heap[0]->due_ns;
}

struct link_piece *link_take(struct link *link, uint64_t now_ns)
{
    if (link_next_ns(link) > now_ns) {
        return NULL;
    }
    struct link_piece *piece = heap_pop(link);
    link->held_bytes -= piece->len;
    link->counters.delivered += piece->segments;
    link->counters.delivered_bytes += piece->wire_bytes;
    link->counters.frames++;
    return piece;
}

/* ---- fates ---------------------------------------------------------------------------------- */

struct fate {
    bool arrives;
    bool twice;
    bool late; /* reordered */
    uint64_t due_ns;
};

/* splitmix64's finisher over (seed, packet, draw): no state, so that one setting's draws shift no
 * other's. */
static uint64_t draw(const struct link *link, uint64_t packet, unsigned which)
{
    uint64_t x = link->seed + (packet * DRAWS + which + 1) * 0x9e3779b97f4a7c15U;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static bool chance(const struct link *link, uint64_t packet, unsigned which, uint32_t ppm)
{
    return ppm > 0 && draw(link, packet, which) % 1000000 < ppm;
}

static uint64_t delay_ns(const struct link *link, uint64_t packet)
{
    const struct link_settings *s = &link->acts;
    uint64_t low = s->delay_us > s->jitter_us ? s->delay_us - s->jitter_us : 0;

    if (s->jitter_us == 0) {
        return s->delay_us * 1000;
    }
    uint64_t span_ns = (s->delay_us + s->jitter_us - low) * 1000;
    return low * 1000 + draw(link, packet, DRAW_JITTER) % (span_ns + 1);
}

/* Puts `bytes` on the line; false if the queue before it has no room. Loss comes behind the line:
 * what is lost has used it. */
static bool line_send(struct link *link, uint64_t now_ns, size_t bytes, uint64_t *out_sent_ns)
{
    const struct link_settings *s = &link->acts;

    *out_sent_ns = now_ns;
    if (s->rate_kbit == 0) {
        return true;
    }
    uint64_t begin = link->line_free_ns > now_ns ? link->line_free_ns : now_ns;
    uint64_t waiting = (begin - now_ns) / 1000 * s->rate_kbit / 8000;
    if (waiting > 0 && waiting + bytes > s->queue_bytes) {
        return false;
    }
    link->line_free_ns = begin + bytes * 8000000 / s->rate_kbit;
    *out_sent_ns = link->line_free_ns;
    return true;
}

static struct fate fate_of(struct link *link, uint64_t now_ns, uint64_t packet, uint32_t segments,
                           size_t bytes)
{
    const struct link_settings *s = &link->acts;
    struct fate fate = {0};
    uint64_t sent_ns;

    if (link->cut) {
        link->counters.cut += segments;
        return fate;
    }
    if (link->held_bytes + bytes > LINK_HELD_BYTES_MAX || link->held >= LINK_HELD_COUNT_MAX ||
        !line_send(link, now_ns, bytes, &sent_ns)) {
        link->counters.full += segments;
        return fate;
    }
    if (chance(link, packet, DRAW_LOSS, s->loss_ppm)) {
        link->counters.lost += segments;
        return fate;
    }
    fate.arrives = true;
    fate.twice = chance(link, packet, DRAW_DUPLICATE, s->duplicate_ppm);
    fate.late = chance(link, packet, DRAW_REORDER, s->reorder_ppm);
    fate.due_ns = sent_ns + delay_ns(link, packet);
    if (fate.due_ns < link->last_due_ns) {
        fate.due_ns = link->last_due_ns;
    }
    if (fate.late) {
        fate.due_ns += s->reorder_us * 1000;
        link->counters.reordered += segments;
    } else {
        link->last_due_ns = fate.due_ns;
    }
    link->counters.duplicated += fate.twice ? segments : 0;
    return fate;
}

struct link_piece *link_piece_new(size_t len)
{
    CHECK(len <= PACKET_FRAME_MAX);
    struct link_piece *piece = malloc(sizeof *piece + len);
    CHECK(piece != NULL);
    return piece;
}

static void hold(struct link *link, struct link_piece *piece, const struct packet_shape *shape,
                 uint32_t first, uint32_t count, uint64_t due_ns)
{
    piece->due_ns = due_ns;
    piece->seq = link->next_seq++;
    piece->segments = count;
    piece->wire_bytes = (uint32_t)packet_wire_bytes(shape, first, count);
    link->held_bytes += piece->len;
    heap_push(link, piece);
}

/* Holds a copy of these segments. */
static void hold_copy(struct link *link, const struct link_piece *whole,
                      const struct packet_shape *shape, uint32_t first, uint32_t count,
                      uint64_t due_ns)
{
    struct link_piece *copy;

    if (count == shape->segments) {
        copy = link_piece_new(whole->len);
        memcpy(copy->frame, whole->frame, whole->len);
        copy->len = whole->len;
    } else {
        /* Never longer than a header of its own and these payload bytes. */
        copy = link_piece_new(PACKET_VNET + shape->header_bytes +
                              (size_t)count * shape->segment_bytes);
        copy->len = (uint32_t)packet_carve((struct slice){whole->frame, whole->len}, shape, first,
                                           count, copy->frame);
    }
    hold(link, copy, shape, first, count, due_ns);
}

/* Segments [first, first + count) share their fate. The whole frame, if that is all of it, is not
 * copied: true if `piece` was taken. */
static bool hold_run(struct link *link, struct link_piece *piece, const struct packet_shape *shape,
                     uint32_t first, uint32_t count, const struct fate *fate)
{
    if (!fate->arrives) {
        return false;
    }
    if (fate->twice) {
        hold_copy(link, piece, shape, first, count, fate->due_ns);
    }
    if (count == shape->segments) {
        hold(link, piece, shape, first, count, fate->due_ns);
        return true;
    }
    hold_copy(link, piece, shape, first, count, fate->due_ns);
    return false;
}

static bool same_fate(const struct fate *a, const struct fate *b)
{
    /* One that comes twice travels alone: its copy follows it, not the neighbours. */
    return a->arrives == b->arrives && !a->twice && !b->twice && a->due_ns == b->due_ns;
}

static bool offer_split(struct link *link, uint64_t now_ns, struct link_piece *piece,
                        const struct packet_shape *shape)
{
    struct fate run = {0};
    uint32_t first = 0;
    bool taken = false;
    bool together = link->acts.split != LINK_SPLIT_ON;

    for (uint32_t i = 0; i < shape->segments; i++) {
        struct fate fate =
            fate_of(link, now_ns, link->next_packet++, 1, packet_wire_bytes(shape, i, 1));
        if (i > 0 && (!together || !same_fate(&run, &fate))) {
            taken |= hold_run(link, piece, shape, first, i - first, &run);
            first = i;
        }
        if (i == first) {
            run = fate;
        }
    }
    return taken | hold_run(link, piece, shape, first, shape->segments - first, &run);
}

void link_offer(struct link *link, uint64_t now_ns, struct link_piece *piece,
                const struct packet_shape *shape)
{
    size_t bytes = packet_wire_bytes(shape, 0, shape->segments);
    bool taken;

    link->counters.offered += shape->segments;
    link->counters.offered_bytes += bytes;
    if (shape->segments > 1 && link_splits(link)) {
        taken = offer_split(link, now_ns, piece, shape);
    } else {
        struct fate fate = fate_of(link, now_ns, link->next_packet, shape->segments, bytes);
        link->next_packet += shape->segments;
        taken = hold_run(link, piece, shape, 0, shape->segments, &fate);
    }
    if (!taken) {
        free(piece);
    }
}
