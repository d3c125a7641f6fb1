/* SPDX-License-Identifier: Apache-2.0 */
/* The search for an old disk: before it takes part in anything, a node asks its peers for the last
 * registration that they know of it (replication.md, "Amnesia"). Was it made by a later start, or
 * by another disk, than this one knows of, then this disk has forgotten. */
#include "agent/inner.h"
#include "mesh.pb-c.h"

void recall_ask(struct node *node, uint64_t every_us)
{
    Tern__Mesh__StartQuery q = TERN__MESH__START_QUERY__INIT;
    struct recall *recall = &node->recall;
    uint64_t now_us = clock_now_us(node->o.clock);
    uint8_t room[32];

    if (now_us - recall->asked_us < every_us) {
        return;
    }
    recall->asked_us = now_us;
    q.node = node->o.node_id;
    q.seq = ++recall->seq;
    size_t size = tern__mesh__start_query__pack(&q, room);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        if (node->peers[id].up[WIRE_CONTROL]) {
            (void)node_send(node, id, WIRE_CONTROL, MESH_START_QUERY, slice_of(room, size), NULL,
                            0);
        }
    }
}

void recall_asked(struct node *node, uint32_t from, struct slice head)
{
    Tern__Mesh__StartQuery *q = tern__mesh__start_query__unpack(NULL, head.len, head.base);
    Tern__Mesh__StartReply r = TERN__MESH__START_REPLY__INIT;
    uint8_t room[64];

    if (q == NULL || q->node >= WIRE_NODES_MAX) {
        tern__mesh__start_query__free_unpacked(q, NULL);
        return;
    }
    r.node = q->node;
    r.seq = q->seq;
    r.start_number = node->control->nodes[q->node].start_number;
    r.incarnation = node->control->nodes[q->node].incarnation;
    r.founded = !uuid_is_zero(node->control->cluster_id);
    r.stamp = node->control->nodes[q->node].stamp;
    size_t size = tern__mesh__start_reply__pack(&r, room);
    (void)node_send(node, from, WIRE_CONTROL, MESH_START_REPLY, slice_of(room, size), NULL, 0);
    tern__mesh__start_query__free_unpacked(q, NULL);
}

void recall_told(struct node *node, uint32_t from, struct slice head)
{
    Tern__Mesh__StartReply *r = tern__mesh__start_reply__unpack(NULL, head.len, head.base);
    const struct node_file *f = &node->file;
    struct recall *recall = &node->recall;

    if (r != NULL && r->node == node->o.node_id) {
        recall->answered |= NODE_BIT(from);
        if (r->founded) {
            recall->founded |= NODE_BIT(from);
        }
        if (r->start_number > recall->highest) {
            recall->highest = r->start_number;
        }
        /* A later registration than this disk knows, and it was not this disk that made it. */
        if (r->start_number > f->start_final && r->stamp != 0 && r->stamp != f->stamp_pending &&
            r->stamp != f->stamp_final) {
            recall->foreign = true;
        }
    }
    tern__mesh__start_reply__free_unpacked(r, NULL);
}

bool recall_heard_enough(const struct node *node, uint64_t since_us)
{
    const struct recall *recall = &node->recall;
    node_set wanted = 0;

    for (uint32_t i = 0; i < node->o.seed_count; i++) {
        wanted |= NODE_BIT(node->o.seeds[i].node_id);
    }
    for (uint32_t i = 0; i < node->file.founder_count; i++) {
        wanted |= NODE_BIT(node->file.founders[i].node_id);
    }
    wanted &= ~NODE_BIT(node->o.node_id);
    uint64_t waited_ms = (clock_now_us(node->o.clock) - since_us) / 1000;
    return (wanted & ~recall->answered) == 0 ||
           (recall->answered != 0 && waited_ms >= peer_suspicion_ms(node, NULL));
}

bool recall_is_later(const struct node *node)
{
    /* Stored before this start: the pending number less one. */
    return node->recall.highest >= node->start_number || node->recall.foreign;
}
