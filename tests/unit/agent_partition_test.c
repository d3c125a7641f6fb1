/* SPDX-License-Identifier: Apache-2.0 */
/* Partitions of one node: hosted, dropped, written. */
#include <stdio.h>
#include <time.h>

#include "base/trace.h"
#include "tests/unit/agent_rig.h"

#define STORE_PATH   256
#define SEGMENT_HEAD 64 /* bytes before the first batch */

static void count_one(void *ctx, struct store_log *log)
{
    uint32_t *count = ctx;

    (void)log;
    (*count)++;
}

static uint32_t logs_on_disk(const struct rig *rig)
{
    uint32_t count = 0;

    store_each(rig->node->store, count_one, &count);
    return count;
}

static void host_many(struct rig *rig, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        (void)partition_host(rig->node, rig->topic_id, i);
    }
    rig_settle(rig);
}

static void drop_all(struct rig *rig)
{
    struct partition *p;
    struct partition *next;

    HASH_ITER (hh, rig->node->partitions, p, next) {
        partition_drop_later(p);
    }
}

static void partitions_without_a_topic_are_erased_a_few_at_a_time(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    host_many(&rig, 20);
    drop_all(&rig);
    assert_null(partition_find(rig.node, rig.topic_id, 7)); /* at once */
    assert_int_equal(rig.node->counters.partitions, 0);
    for (uint32_t left = 20; left > 0; left -= 5) {
        assert_int_equal(logs_on_disk(&rig), left);
        partitions_erase(rig.node, 5);
        rig_settle(&rig);
    }
    assert_int_equal(logs_on_disk(&rig), 0);
    rig_fini(&rig);
}

static void what_a_restart_left_of_a_deleted_topic_is_erased_then(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    host_many(&rig, 20);
    drop_all(&rig);
    partitions_erase(rig.node, 5);
    rig_settle(&rig);
    rig_restart(&rig);
    assert_int_equal(logs_on_disk(&rig), 15);
    node_follow_all(rig.node); /* the control state knows of no topic */
    assert_null(partition_find(rig.node, rig.topic_id, 7));
    partitions_erase(rig.node, 20);
    rig_settle(&rig);
    assert_int_equal(logs_on_disk(&rig), 0);
    rig_fini(&rig);
}

static void a_key_that_comes_back_gets_a_log_of_its_own(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct replica_out out = {0};
    struct partition *p = partition_find(rig.node, rig.topic_id, 0);
    replica_on_fence(&p->replica, 1, 2, 4, &out); /* its promise outlives it */
    partition_run(p, &out, NULL, NULL);
    rig_settle(&rig);
    struct store_log *old = p->log;
    partition_drop_later(p);
    p = partition_host(rig.node, rig.topic_id, 0);
    assert_ptr_not_equal(p->log, old);
    assert_int_equal(p->replica.promised, 4);
    partitions_erase(rig.node, 20); /* nothing is left to erase under it */
    rig_settle(&rig);
    assert_ptr_equal(store_find(rig.node->store, rig.topic_id, 0), p->log);
    replica_out_fini(&out);
    rig_fini(&rig);
}

static void find_segment(void *ctx, const char *path, uint64_t size)
{
    char *out = ctx;

    (void)size;
    if (strstr(path, ".log") != NULL) {
        (void)snprintf(out, STORE_PATH, "%s", path);
    }
}

/* What rig_produce() wrote first, as node 2 holds it. */
static struct chunk first_batch(void)
{
    struct batch_builder builder = {0};

    batch_builder_init(&builder);
    batch_builder_add(&builder, (struct slice){0}, slice_text("value"), 1);
    struct chunk chunk = chunk_copy(batch_builder_finish(&builder, -1, -1, -1));
    batch_patch(chunk.blob->bytes + (chunk.base - chunk.blob->bytes), 0, 1);
    batch_builder_fini(&builder);
    return chunk;
}

static void give_repair(struct rig *rig, struct chunk tail)
{
    Tern__Mesh__Repair m = TERN__MESH__REPAIR__INIT;
    struct buf head = {0};

    m.topic_id = (ProtobufCBinaryData){sizeof rig->topic_id.bytes, rig->topic_id.bytes};
    m.epoch = 1;
    (void)tern__mesh__repair__pack(&m, buf_extend(&head, tern__mesh__repair__get_packed_size(&m)));
    rig->wire.handler->peer_frame(rig->wire.ctx, 2, WIRE_DATA, MESH_REPAIRED, buf_slice(&head),
                                  tail);
    buf_fini(&head);
    rig_settle(rig);
}

/* The leader's log is damaged where it is read; another epoch cuts it behind that. It vouches for
 * nothing from there on until node 2 has given the same record. */
static void damage_is_asked_for_and_filled_and_not_vouched_for_meanwhile(void **state)
{
    struct rig rig;
    char path[STORE_PATH] = "";
    Tern__Mesh__Push push = TERN__MESH__PUSH__INIT;

    (void)state;
    rig_init(&rig);
    struct partition *p = rig_lead(&rig);
    for (int i = 0; i < 3; i++) {
        rig_produce(&rig, p);
    }
    mem_disk_each(rig.disk, find_segment, path);
    assert_true(mem_disk_flip(rig.disk, path, SEGMENT_HEAD + 16, 0)); /* the first batch's magic */
    push.topic_id = (ProtobufCBinaryData){sizeof rig.topic_id.bytes, rig.topic_id.bytes};
    push.epoch = 2;
    push.from_offset = 1;
    push.truncate = true;
    rig_frame(&rig, MESH_PUSH, &push.base);
    assert_int_equal(p->replica.promised, 2);
    assert_false(p->replica.truncating);
    assert_int_equal(store_state(p->log)->leo, 1);
    assert_int_equal(p->replica.damaged_from, 0);
    assert_true(rig.wire.sent[WIRE_CONTROL][MESH_ANSWERS] > 0); /* its end counts all the same */
    fake_clock_run(&rig.clock, 300000);
    rig_settle(&rig);
    assert_int_equal(rig.wire.sent[WIRE_CONTROL][MESH_REPAIR], 1);
    /* The initial log of epoch 2 is all here, but not whole. */
    push.from_offset = 1;
    push.prev_epoch = 1;
    push.initial_end = 1;
    push.truncate = false;
    rig_frame(&rig, MESH_PUSH, &push.base);
    assert_int_equal(p->replica.synced, 1);
    assert_int_equal(rig.wire.sent[WIRE_CONTROL][MESH_ACKS], 0);
    give_repair(&rig, (struct chunk){0}); /* node 2 has not got it: asked again later */
    fake_clock_run(&rig.clock, 300000);
    rig_settle(&rig);
    assert_int_equal(rig.wire.sent[WIRE_CONTROL][MESH_REPAIR], 2);
    unsigned answers = rig.wire.sent[WIRE_CONTROL][MESH_ANSWERS];
    struct chunk batch = first_batch();
    give_repair(&rig, batch);
    chunk_drop(&batch);
    assert_true(p->replica.damaged_from == INT64_MAX);
    assert_null(p->repair);
    assert_true(rig.wire.sent[WIRE_CONTROL][MESH_ANSWERS] > answers); /* the stream begins anew */
    rig_frame(&rig, MESH_PUSH, &push.base);
    assert_int_equal(p->replica.synced, 2);
    assert_true(rig.wire.sent[WIRE_CONTROL][MESH_ACKS] > 0);
    rig_fini(&rig);
}

/* Assigned to lead, and it can't: a higher epoch is promised already. The controller hears of it. */
static void an_assigned_leader_that_cannot_lead_says_so(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    struct partition *p = partition_find(rig.node, rig.topic_id, 0);
    struct replica_out out = {0};
    struct replica_spec spec = {.epoch = 1, .leader = 1, .leader_start = 1, .lossy_start = -1};
    replica_on_fence(&p->replica, 1, 2, 4, &out);
    replica_assign(&p->replica, 1, &spec, &out);
    partition_run(p, &out, NULL, NULL);
    replica_out_fini(&out);
    partition_watch_role(p, 1000);
    partition_watch_role(p, 1900);
    assert_int_equal(rig.node->reports.count, 0);
    partition_watch_role(p, 2000 + 2 * 3000);
    assert_int_equal(rig.node->reports.count, 1);
    assert_int_equal(rig.node->reports.items[0].kind, REPORT_NO_QUORUM);
    rig_fini(&rig);
}

/* Its quorum says that this disk has lost what it acknowledged: that is stored, and the process ends. */
static void a_disk_that_is_declared_forgetful_never_takes_part_again(void **state)
{
    struct rig rig;
    struct node_file file;
    char why[256] = "";

    (void)state;
    rig_init(&rig);
    rig.may_die = true;
    rig.node->file.node_id = 1;
    struct control_change change = {.kind = CONTROL_NODE, .node = 1};
    struct control_node *known = &rig.node->control->nodes[1];
    *known = (struct control_node){.id = 1, .incarnation = 2, .forgot = true};
    node_follow(rig.node, &change); /* another disk's trouble, long ago */
    assert_int_equal(rig.deaths, 0);
    known->incarnation = 1;
    node_follow(rig.node, &change);
    assert_int_equal(rig.deaths, 1);
    assert_int_equal(node_file_load(rig.disk, &file, why), 0);
    assert_true(file.raft_retired);
    rig_fini(&rig);
}

/* Processor time in ms. */
static double hosting_ms(struct rig *rig, const struct uuid other, int32_t count)
{
    clock_t before = clock();

    for (int32_t i = 0; i < count; i++) {
        (void)partition_host(rig->node, other, i);
    }
    double took = (double)(clock() - before) * 1e3 / CLOCKS_PER_SEC;
    rig_settle(rig);
    return took;
}

/* Found by a benchmark: a topic was made while another one was still being erased, and the node was taken
 * for dead, since it stood still for 800 ms. */
static void a_topic_can_be_made_while_a_large_one_is_erased(void **state)
{
    struct uuid other = {{9}};
    struct rig rig;

    (void)state;
    rig_init(&rig);
    double alone_ms = hosting_ms(&rig, other, 4000);
    rig_fini(&rig);
    rig_init(&rig);
    host_many(&rig, 10000);
    drop_all(&rig);
    double beside_ms = hosting_ms(&rig, other, 4000);
    if (beside_ms > 5 * alone_ms + 50) {
        fail_msg("%.0f ms of processor time, %.0f without", beside_ms, alone_ms);
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_without_a_topic_are_erased_a_few_at_a_time),
        cmocka_unit_test(what_a_restart_left_of_a_deleted_topic_is_erased_then),
        cmocka_unit_test(damage_is_asked_for_and_filled_and_not_vouched_for_meanwhile),
        cmocka_unit_test(an_assigned_leader_that_cannot_lead_says_so),
        cmocka_unit_test(a_disk_that_is_declared_forgetful_never_takes_part_again),
        cmocka_unit_test(a_key_that_comes_back_gets_a_log_of_its_own),
        cmocka_unit_test(a_topic_can_be_made_while_a_large_one_is_erased),
    };

    trace_set_level(TRACE_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
