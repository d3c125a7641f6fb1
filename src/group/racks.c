/* SPDX-License-Identifier: Apache-2.0 */
/* Where the members of groups say that they are. */
#include "base/reader.h"
#include "group/consumer.h"
#include "group/group.h"

static void skip_string(struct reader *r)
{
    int16_t len = (int16_t)reader_be16(r);

    if (len > 0) {
        (void)reader_take(r, (size_t)len);
    }
}

/* Of ConsumerProtocolSubscription, from version 3 on; empty: not told. */
static struct slice rack_of_subscription(struct slice metadata)
{
    struct reader r = reader_of(metadata);

    if ((int16_t)reader_be16(&r) < 3) {
        return (struct slice){0};
    }
    for (int32_t n = (int32_t)reader_be32(&r); n > 0 && !r.failed; n--) {
        skip_string(&r);
    }
    int32_t data = (int32_t)reader_be32(&r);
    if (data > 0) {
        (void)reader_take(&r, (size_t)data);
    }
    for (int32_t n = (int32_t)reader_be32(&r); n > 0 && !r.failed; n--) { /* owned partitions */
        skip_string(&r);
        int32_t count = (int32_t)reader_be32(&r);
        if (count > 0) {
            (void)reader_take(&r, (size_t)count * 4);
        }
    }
    (void)reader_be32(&r); /* generation */
    int16_t len = (int16_t)reader_be16(&r);
    struct slice rack = len > 0 ? reader_take(&r, (size_t)len) : (struct slice){0};
    return r.failed ? (struct slice){0} : rack;
}

static void racks_of_classic(const struct group *group, void (*each)(void *ctx, struct slice rack),
                             void *ctx)
{
    if (!slice_equal(buf_slice(&group->protocol_type), slice_text("consumer"))) {
        return;
    }
    for (const struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        struct slice rack = m->protocol_count > 0 ? rack_of_subscription(m->protocols[0].metadata)
                                                  : (struct slice){0};
        if (rack.len > 0) {
            each(ctx, rack);
        }
    }
}

void groups_each_rack(const struct groups *groups, void (*each)(void *ctx, struct slice rack),
                      void *ctx)
{
    for (const struct group *g = groups->all; g != NULL; g = g->hh.next) {
        if (g->consumer == NULL) {
            racks_of_classic(g, each, ctx);
            continue;
        }
        for (const struct consumer_member *m = g->consumer->members; m != NULL; m = m->hh.next) {
            if (m->rack_id.len > 0) {
                each(ctx, buf_slice(&m->rack_id));
            }
        }
    }
}
