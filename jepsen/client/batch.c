/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

int batch_add(struct batch *b, const struct options *o, const rd_kafka_message_t *m)
{
    int key = m->err == 0 ? key_index(o, rd_kafka_topic_name(m->rkt), m->partition) : -1;
    const char *space;
    int64_t value;

    if (key < 0) {
        return -1;
    }
    value = payload_read(m->payload, m->len, o->keys[key].name);
    space = b->by_key[key].len > 0 ? " " : "";
    if (value >= 0) {
        text_add(&b->by_key[key], "%s[%" PRId64 " %" PRId64 "]", space, m->offset, value);
    } else {
        text_add(&b->by_key[key], "%s[%" PRId64 " nil]", space, m->offset);
    }
    b->records++;
    return key;
}

void batch_print(const struct batch *b, const struct options *o, struct text *to)
{
    bool first = true;

    for (int n = 0; n < o->key_count; n++) {
        if (b->by_key[n].len > 0) {
            text_add(to, "%s\"%s\" [%s]", first ? "" : ", ", o->keys[n].name, b->by_key[n].bytes);
            first = false;
        }
    }
}

void batch_empty(struct batch *b)
{
    for (int n = 0; n < KEYS_MAX; n++) {
        free(b->by_key[n].bytes);
    }
    *b = (struct batch){.begun = now_ns()};
}

void batch_write(struct batch *b, const struct options *o, rd_kafka_t *kafka, int process,
                 bool final)
{
    struct text value = {0};
    struct text hw = {0};

    for (int n = 0; n < o->key_count && b->records > 0; n++) {
        int64_t low = -1;
        int64_t high = -1;
        if (b->by_key[n].len > 0 &&
            rd_kafka_get_watermark_offsets(kafka, o->keys[n].topic, o->keys[n].partition, &low,
                                           &high) == 0 &&
            high >= 0) {
            text_add(&hw, "%s\"%s\" %" PRId64, hw.len > 0 ? ", " : "", o->keys[n].name, high);
        }
    }
    if (b->records > 0) {
        batch_print(b, o, &value);
        log_op(b->begun, process, "invoke", "poll", ", :value [[:poll {}]]");
        log_op(now_ns(), process, "ok", "poll", ", :value [[:poll {%s}]]%s%s%s%s", value.bytes,
               final ? ", :final true" : "", hw.len > 0 ? ", :hw {" : "",
               hw.len > 0 ? hw.bytes : "", hw.len > 0 ? "}" : "");
    }
    free(value.bytes);
    free(hw.bytes);
    batch_empty(b);
}
