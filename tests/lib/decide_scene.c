/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/decide_scene.h"

#define OUT_MAX 16

int scene_setup(void **state)
{
    struct scene *s = mem_new(sizeof *s);

    control_fixture_init(&s->f);
    control_fixture_found(&s->f);
    s->memory = decide_memory_new();
    s->key.client.bytes[0] = 0xdd;
    s->view.now_ms = 100000;
    s->view.suspicion_ms = D;
    s->view.wall_ms = 1000000;
    s->view.lease_ms = 1000;
    for (uint32_t n = 1; n <= 3; n++) {
        s->view.nodes[n] = (struct decide_node){.reachable = true, .registered = true};
    }
    *state = s;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *s = *state;

    decide_memory_free(s->memory);
    control_fixture_fini(&s->f);
    free(s);
    return 0;
}

void pass(struct scene *s, uint64_t millis)
{
    s->view.now_ms += millis;
    s->view.wall_ms += (int64_t)millis;
    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        if (!s->view.nodes[n].reachable) {
            s->view.nodes[n].silent_ms += millis;
        }
    }
}

void silence(struct scene *s, uint32_t node, uint64_t silent_ms)
{
    s->view.nodes[node] = (struct decide_node){.silent_ms = silent_ms};
}

void comes_back(struct scene *s, uint32_t node)
{
    s->view.nodes[node] = (struct decide_node){.reachable = true, .registered = true};
}

void report(struct scene *s, enum decide_report_kind kind, const struct control_topic *t,
            node_set nodes, uint64_t millis)
{
    const struct control_partition *p = &t->partitions[0];

    s->reports[s->view.report_count++] = (struct decide_report){.kind = kind,
                                                                .topic_id = t->id,
                                                                .epoch = p->epoch,
                                                                .from = p->leader,
                                                                .nodes = nodes,
                                                                .reaches = nodes,
                                                                .millis = millis};
    s->view.reports = s->reports;
}

size_t round_max(struct scene *s, size_t max)
{
    struct buf out[OUT_MAX] = {{0}};
    size_t count = decide(s->f.control, &s->view, s->memory, &s->key, out, max);

    assert_true(count <= max);
    s->view.report_count = 0;
    s->said[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(s->said);
        (void)snprintf(s->said + len, sizeof s->said - len, "%s%s", i > 0 ? " " : "",
                       command_name(buf_slice(&out[i])));
        buf_put(&s->f.command, buf_slice(&out[i]));
        assert_int_equal(control_fixture_apply(&s->f), 0);
        buf_fini(&out[i]);
    }
    return count;
}

const char *round_of(struct scene *s)
{
    (void)round_max(s, OUT_MAX);
    return s->said;
}

struct control_topic *payments(struct scene *s)
{
    struct policy policy = control_fixture_sync();

    return control_fixture_topic(&s->f, "payments", &policy, 1);
}

struct control_topic *clicks(struct scene *s)
{
    struct policy policy = control_fixture_async();

    return control_fixture_topic(&s->f, "clicks", &policy, 1);
}

struct control_topic *strict(struct scene *s)
{
    struct policy policy = control_fixture_sync();

    policy.ack = 3;
    policy.on_region_loss = POLICY_LOSS_DEGRADE;
    policy.region_loss_after_ms = 2000;
    return control_fixture_topic(&s->f, "strict", &policy, 1);
}
