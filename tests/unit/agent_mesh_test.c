/* SPDX-License-Identifier: Apache-2.0 */
/* What other nodes send is only data: every truncation of every frame, and random bytes, are dropped
 * or taken without harm. */
#include "base/prng.h"
#include "base/trace.h"
#include "mesh.pb-c.h"
#include "tests/unit/agent_rig.h"

static void give(struct rig *rig, uint16_t type, struct slice head, struct slice tail)
{
    struct chunk chunk = chunk_copy(tail);

    rig->wire.handler->peer_frame(rig->wire.ctx, 2, WIRE_DATA, type, head, chunk);
    chunk_drop(&chunk);
    (void)mem_disk_pump(rig->disk);
}

/* One valid frame of every type that carries partitions, packed. */
static struct buf valid_frame(struct rig *rig, uint16_t type)
{
    struct buf out = {0};
    ProtobufCBinaryData id = {sizeof rig->topic_id.bytes, rig->topic_id.bytes};
    Tern__Mesh__Fences__Fence fence = TERN__MESH__FENCES__FENCE__INIT;
    Tern__Mesh__Answers__Answer answer = TERN__MESH__ANSWERS__ANSWER__INIT;
    Tern__Mesh__EpochStart start = TERN__MESH__EPOCH_START__INIT;
    Tern__Mesh__Acks__Ack ack = TERN__MESH__ACKS__ACK__INIT;
    Tern__Mesh__Marks__Mark mark = TERN__MESH__MARKS__MARK__INIT;
    Tern__Mesh__Reports__Report report = TERN__MESH__REPORTS__REPORT__INIT;
    Tern__Mesh__Fences__Fence *fence_list[] = {&fence};
    Tern__Mesh__Answers__Answer *answer_list[] = {&answer};
    Tern__Mesh__EpochStart *start_list[] = {&start};
    Tern__Mesh__Acks__Ack *ack_list[] = {&ack};
    Tern__Mesh__Marks__Mark *mark_list[] = {&mark};
    Tern__Mesh__Reports__Report *report_list[] = {&report};
    Tern__Mesh__Fences fences = TERN__MESH__FENCES__INIT;
    Tern__Mesh__Answers answers = TERN__MESH__ANSWERS__INIT;
    Tern__Mesh__Acks acks = TERN__MESH__ACKS__INIT;
    Tern__Mesh__Marks marks = TERN__MESH__MARKS__INIT;
    Tern__Mesh__Reports reports = TERN__MESH__REPORTS__INIT;
    Tern__Mesh__Push push = TERN__MESH__PUSH__INIT;
    Tern__Mesh__Copy copy = TERN__MESH__COPY__INIT;
    const ProtobufCMessage *message = NULL;

    fence.topic_id = answer.topic_id = ack.topic_id = mark.topic_id = id;
    report.topic_id = push.topic_id = copy.topic_id = id;
    fence.epoch = answer.epoch = ack.epoch = mark.epoch = push.epoch = copy.epoch = 3;
    start.epoch = 2;
    answer.history = start_list;
    answer.n_history = 1;
    fences.fences = fence_list;
    answers.answers = answer_list;
    acks.acks = ack_list;
    marks.marks = mark_list;
    reports.reports = report_list;
    fences.n_fences = answers.n_answers = acks.n_acks = marks.n_marks = reports.n_reports = 1;
    switch (type) {
    case MESH_FENCES:
        message = &fences.base;
        break;
    case MESH_ANSWERS:
        message = &answers.base;
        break;
    case MESH_PUSH:
        message = &push.base;
        break;
    case MESH_ACKS:
        message = &acks.base;
        break;
    case MESH_MARKS:
        message = &marks.base;
        break;
    case MESH_REPORTS:
        message = &reports.base;
        break;
    default:
        message = &copy.base;
        break;
    }
    (void)protobuf_c_message_pack(message,
                                  buf_extend(&out, protobuf_c_message_get_packed_size(message)));
    return out;
}

static const uint16_t types[] = {MESH_FENCES, MESH_ANSWERS, MESH_PUSH,   MESH_ACKS,
                                 MESH_MARKS,  MESH_COPY,    MESH_COPIED, MESH_REPORTS};

static void every_truncation_of_every_frame_is_harmless(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    for (size_t t = 0; t < ARRAY_COUNT(types); t++) {
        struct buf frame = valid_frame(&rig, types[t]);
        for (size_t len = 0; len <= frame.len; len++) {
            give(&rig, types[t], slice_of(frame.base, len), (struct slice){0});
        }
        buf_fini(&frame);
    }
    assert_true(rig.wire.dropped > 0); /* a sender of nonsense is dropped */
    /* The valid ones were understood: the highest epoch is promised. */
    struct partition *p = partition_find(rig.node, rig.topic_id, 0);
    assert_int_equal(p->replica.promised, 3);
    rig_fini(&rig);
}

static void random_bytes_in_head_and_tail_are_harmless(void **state)
{
    struct rig rig;
    struct prng prng;
    uint8_t head[96];
    uint8_t tail[200];

    (void)state;
    rig_init(&rig);
    prng_init(&prng, 20261123);
    for (unsigned n = 0; n < 20000; n++) {
        size_t head_len = prng_below(&prng, sizeof head);
        size_t tail_len = prng_below(&prng, sizeof tail);
        for (size_t i = 0; i < head_len; i++) {
            head[i] = (uint8_t)prng_next(&prng);
        }
        for (size_t i = 0; i < tail_len; i++) {
            tail[i] = (uint8_t)prng_next(&prng);
        }
        uint16_t type = (uint16_t)(QUORUM_FRAME_TYPES + prng_below(&prng, 16));
        give(&rig, type, slice_of(head, head_len), slice_of(tail, tail_len));
    }
    rig_fini(&rig);
}

/* A push whose batches are damaged on the way must not reach the journal: it would be acknowledged. */
static void a_push_with_a_damaged_batch_is_not_taken(void **state)
{
    struct rig rig;
    struct batch_builder builder = {0};

    (void)state;
    rig_init(&rig);
    batch_builder_init(&builder);
    batch_builder_add(&builder, (struct slice){0}, slice_text("value"), 1);
    struct slice batch = batch_builder_finish(&builder, -1, -1, -1);
    struct buf tail = {0};
    buf_put(&tail, batch);
    batch_patch(tail.base, 0, 3);
    struct buf head = valid_frame(&rig, MESH_PUSH);
    struct partition *p = partition_find(rig.node, rig.topic_id, 0);
    for (size_t at = 21; at < tail.len; at++) {
        tail.base[at] ^= 1;
        give(&rig, MESH_PUSH, buf_slice(&head), buf_slice(&tail));
        assert_int_equal(p->replica.leo, 0);
        tail.base[at] ^= 1;
    }
    buf_fini(&head);
    buf_fini(&tail);
    batch_builder_fini(&builder);
    rig_fini(&rig);
}

/* After many failovers with few records in between there is more history than anything else. */
static void answers_with_long_histories_are_understood(void **state)
{
    (void)state;
    for (size_t length = 1; length < 200; length += 7) {
        struct rig rig;
        Tern__Mesh__EpochStart starts[200];
        Tern__Mesh__EpochStart *history[200];
        Tern__Mesh__Answers__Answer answer = TERN__MESH__ANSWERS__ANSWER__INIT;
        Tern__Mesh__Answers__Answer *list[500];
        Tern__Mesh__Answers answers = TERN__MESH__ANSWERS__INIT;
        struct buf frame = {0};
        rig_init(&rig);
        for (size_t i = 0; i < length; i++) {
            tern__mesh__epoch_start__init(&starts[i]);
            starts[i].epoch = (int32_t)i + 1;
            starts[i].start_offset = (int64_t)i;
            history[i] = &starts[i];
        }
        answer.topic_id = (ProtobufCBinaryData){sizeof rig.topic_id.bytes, rig.topic_id.bytes};
        answer.history = history;
        answer.n_history = length;
        for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
            list[i] = &answer;
        }
        answers.answers = list;
        answers.n_answers = ARRAY_COUNT(list);
        size_t size = tern__mesh__answers__get_packed_size(&answers);
        (void)tern__mesh__answers__pack(&answers, buf_extend(&frame, size));
        give(&rig, MESH_ANSWERS, buf_slice(&frame), (struct slice){0});
        assert_int_equal(rig.wire.dropped, 0);
        buf_fini(&frame);
        rig_fini(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_of_every_frame_is_harmless),
        cmocka_unit_test(random_bytes_in_head_and_tail_are_harmless),
        cmocka_unit_test(a_push_with_a_damaged_batch_is_not_taken),
        cmocka_unit_test(answers_with_long_histories_are_understood),
    };

    trace_set_level(TRACE_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
