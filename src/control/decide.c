/* SPDX-License-Identifier: Apache-2.0 */
/* One round of the controller: what was reported is noted, nodes are looked at, then partitions. */
#include "control/decide.h"

#include "control/decide_inner.h"

#define SWEEP_MS 60000

struct decide_memory *decide_memory_new(void)
{
    return mem_new(sizeof(struct decide_memory));
}

static void drop_watch(struct decide_memory *memory, struct watch *watch)
{
    HASH_DEL(memory->watches, watch);
    free(watch);
}

void decide_memory_free(struct decide_memory *memory)
{
    struct watch *watch;
    struct watch *next;

    if (memory == NULL) {
        return;
    }
    HASH_ITER (hh, memory->watches, watch, next) {
        drop_watch(memory, watch);
    }
    free(memory);
}

/* ---- what is remembered -------------------------------------------------------------------- */

static struct watch_key key_of(struct uuid topic_id, int32_t partition)
{
    struct watch_key key;

    memset(&key, 0, sizeof key); /* it is hashed as bytes */
    key.topic_id = topic_id;
    key.partition = partition;
    return key;
}

/* What was about an earlier epoch is over. */
static void watch_epoch(const struct round *r, struct watch *watch, int32_t epoch)
{
    if (watch->epoch == epoch) {
        return;
    }
    watch->epoch = epoch;
    watch->seen_ms = r->view->now_ms;
    watch->no_quorum = false;
    watch->ready = 0;
    watch->crowd = 0;
}

struct watch *decide_find_watch(const struct round *r, struct uuid topic_id, int32_t partition)
{
    struct watch_key key = key_of(topic_id, partition);
    struct watch *watch;

    HASH_FIND(hh, r->memory->watches, &key, sizeof key, watch);
    return watch;
}

struct watch *decide_watch(struct round *r, struct subject *s)
{
    if (s->watch == NULL) {
        s->watch = mem_new(sizeof *s->watch);
        s->watch->key = key_of(s->topic->id, s->index);
        HASH_ADD(hh, r->memory->watches, key, sizeof s->watch->key, s->watch);
        watch_epoch(r, s->watch, s->p->epoch);
    }
    return s->watch;
}

/* The same nodes may be silent to one leader after the other: then it is one silence. To the same
 * leader it is another one if they have acknowledged since. */
static void note_silence(const struct round *r, struct watch *watch,
                         const struct decide_report *report)
{
    uint64_t now = r->view->now_ms;
    uint64_t from = report->millis < now ? now - report->millis : 0;
    bool acked_since = watch->silent_to == report->from && from > watch->silent_ms;
    bool goes_on = now - watch->silent_ms <= DECIDE_SILENT_FRESH_MS &&
                   (watch->silent & report->nodes) != 0 && !acked_since;

    watch->silent = goes_on ? watch->silent & report->nodes : report->nodes;
    watch->silent_from_ms = goes_on && watch->silent_from_ms < from ? watch->silent_from_ms : from;
    watch->silent_ms = now;
    watch->silent_to = report->from;
}

static void note_report(struct round *r, const struct decide_report *report)
{
    struct subject s = {.topic = control_topic_by_id(r->control, report->topic_id),
                        .index = report->partition,
                        .p = control_partition(r->control, report->topic_id, report->partition)};

    if (s.p != NULL && report->kind == REPORT_AMNESIA) {
        uint32_t node = node_set_first(report->nodes);
        const struct control_node *known = &r->control->nodes[node];
        if (node != 0 && !known->forgot && known->incarnation == report->incarnation &&
            control_replica_of(s.p, report->from) != NULL) {
            r->forgot |= NODE_BIT(node);
        }
        return;
    }
    if (s.p == NULL || report->epoch != s.p->epoch || report->from != s.p->leader) {
        return;
    }
    s.watch = decide_find_watch(r, report->topic_id, report->partition);
    struct watch *watch = decide_watch(r, &s);
    watch_epoch(r, watch, s.p->epoch);
    switch (report->kind) {
    case REPORT_NO_QUORUM:
        if (!watch->no_quorum) {
            watch->no_quorum = true;
            watch->failed |= NODE_BIT(report->from);
            watch->failed_ms = r->view->now_ms;
        }
        break;
    case REPORT_REGION_SILENT:
        note_silence(r, watch, report);
        break;
    case REPORT_LEARNER_READY:
        watch->ready |= report->nodes;
        watch->silent &= ~report->nodes; /* they acknowledge: another silence begins anew */
        break;
    case REPORT_MEMBERS:
        decide_note_members(r, watch, s.p->leader, report->members);
        break;
    case REPORT_AMNESIA:
        break;
    }
}

/* Forgets partitions that are gone or have given no reason for a long time. */
static void sweep(struct round *r)
{
    struct watch *watch;
    struct watch *next;
    uint64_t now = r->view->now_ms;

    if (now - r->memory->swept_ms < SWEEP_MS) {
        return;
    }
    r->memory->swept_ms = now;
    HASH_ITER (hh, r->memory->watches, watch, next) {
        const struct control_partition *p =
            control_partition(r->control, watch->key.topic_id, watch->key.partition);
        bool calm = p != NULL && p->activated && now - watch->seen_ms > SWEEP_MS &&
                    now - watch->failed_ms > SWEEP_MS && now - watch->assigned_ms > SWEEP_MS &&
                    now - watch->moved_ms > SWEEP_MS && watch->ready == 0 &&
                    now - watch->members_ms > SWEEP_MS && now - watch->silent_ms > SWEEP_MS &&
                    now > watch->hold_ms;
        if (p == NULL || calm) {
            drop_watch(r->memory, watch);
        }
    }
}

/* Heartbeats come, and yet it does not do what the control log says. */
static bool is_behind(const struct round *r, uint32_t n)
{
    struct decide_memory *memory = r->memory;
    uint64_t applied = r->view->nodes[n].applied_index;

    if (applied == 0 || applied >= memory->mark_index[n] || !r->view->nodes[n].reachable) {
        memory->mark_index[n] = r->control->applied_index;
        memory->mark_ms[n] = r->view->now_ms;
        return false;
    }
    return r->view->now_ms - memory->mark_ms[n] >= 2 * r->view->suspicion_ms;
}

static void note_nodes(struct round *r)
{
    node_set alive = control_alive(r->control);

    for (uint32_t n = 1; n < WIRE_NODES_MAX; n++) {
        const struct decide_node *seen = &r->view->nodes[n];
        const struct control_node *node = &r->control->nodes[n];
        bool usable = (alive & NODE_BIT(n)) != 0 && seen->reachable && seen->registered;
        bool well = usable && !node->full && !seen->full;
        if (is_behind(r, n)) {
            r->behind |= NODE_BIT(n);
            well = false;
        }
        r->usable |= usable ? NODE_BIT(n) : 0;
        r->writable |= well ? NODE_BIT(n) : 0;
        r->removed |= node->removed ? NODE_BIT(n) : 0;
        if (node->id != 0) {
            r->region_nodes[node->region] |= NODE_BIT(n);
        }
        if (!well) {
            r->memory->well_since_ms[n] = 0;
        } else if (r->memory->well_since_ms[n] == 0) {
            r->memory->well_since_ms[n] = r->view->now_ms;
        }
    }
}

/* ---- 1: nodes ------------------------------------------------------------------------------ */

static bool decide_one_node(const struct round *r, const struct control_node *node,
                            const struct decide_node *seen, struct command_key *key,
                            struct buf *out)
{
    const struct decide_view *view = r->view;

    if ((r->forgot & NODE_BIT(node->id)) != 0) {
        key->seq++;
        command_forgot(out, *key, node->id, node->incarnation);
        return true;
    }
    if (node->forgot || node->removed) {
        return false; /* as good as gone, until another incarnation registers */
    }
    if (!node->fenced && !seen->reachable) {
        /* Every node keeps its own observations: a new controller does not start the clock anew. */
        if (!seen->gone && seen->silent_ms <= view->suspicion_ms) {
            return false;
        }
        key->seq++;
        command_fence(out, *key, node->id);
        return true;
    }
    if (seen->reachable && seen->registered && node->fenced) {
        key->seq++;
        command_unfence(out, *key, node->id);
        return true;
    }
    if (seen->reachable && seen->registered && seen->full != node->full) {
        key->seq++;
        command_node_full(out, *key, node->id, seen->full);
        return true;
    }
    return false;
}

static size_t decide_nodes(const struct round *r, struct command_key *key, struct buf *out,
                           size_t max)
{
    size_t count = 0;

    for (uint32_t n = 1; n < WIRE_NODES_MAX && count < max; n++) {
        const struct control_node *node = &r->control->nodes[n];
        if (node->id != 0 && node->start_number != 0 &&
            decide_one_node(r, node, &r->view->nodes[n], key, &out[count])) {
            count++;
        }
    }
    return count;
}

/* ---- 2 to 7: partitions -------------------------------------------------------------------- */

static void count_leads(struct round *r)
{
    for (struct control_topic *t = r->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count; i++) {
            r->leads[t->partitions[i].leader]++;
        }
    }
}

node_set decide_unproven(const struct control_partition *p)
{
    node_set set = 0;

    for (uint32_t i = 0; i < p->replica_count; i++) {
        bool unproven = p->replicas[i].since > 0 && p->replicas[i].since <= p->epoch;
        set |= unproven ? NODE_BIT(p->replicas[i].node) : 0;
    }
    return set;
}

bool decide_assign(struct round *r, const struct subject *s, uint32_t leader,
                   const struct control_config *config, bool lossy)
{
    if (r->assignment_count >= r->room) {
        return false;
    }
    r->assignments = mem_grow(r->assignments, r->assignment_count + 1, sizeof *r->assignments);
    struct command_assignment *a = &r->assignments[r->assignment_count++];
    memset(a, 0, sizeof *a);
    a->topic_id = s->topic->id;
    a->partition = s->index;
    a->if_epoch = s->p->epoch;
    a->leader = leader;
    a->lossy = lossy;
    a->level = s->watch != NULL ? s->watch->ready & decide_unproven(s->p) : 0;
    if (config != NULL) {
        a->has_config = true;
        a->config = *config;
    }
    r->leads[s->p->leader]--;
    r->leads[leader]++;
    return true;
}

static void refill_tokens(struct round *r)
{
    struct decide_memory *memory = r->memory;
    uint64_t passed = r->view->now_ms - memory->tokens_ms;
    uint64_t more =
        passed >= 1000 ? DECIDE_MOVES_PER_SECOND : passed * DECIDE_MOVES_PER_SECOND / 1000;

    if (more > 0) {
        uint64_t sum = memory->tokens + more;
        memory->tokens = (uint32_t)(sum < DECIDE_MOVES_PER_SECOND ? sum : DECIDE_MOVES_PER_SECOND);
        memory->tokens_ms = r->view->now_ms;
    }
}

bool decide_take_token(struct round *r)
{
    if (r->memory->tokens == 0) {
        return false;
    }
    r->memory->tokens--;
    return true;
}

static void decide_partitions(struct round *r)
{
    bool watching = r->memory->watches != NULL;

    for (struct control_topic *t = r->control->by_name; t != NULL; t = t->by_name.next) {
        for (uint32_t i = 0; i < t->partition_count && r->assignment_count < r->room; i++) {
            struct subject s = {.topic = t, .index = (int32_t)i, .p = &t->partitions[i]};
            s.watch = watching ? decide_find_watch(r, t->id, s.index) : NULL;
            if (s.watch != NULL) {
                watch_epoch(r, s.watch, s.p->epoch);
                s.watch->ready &= r->usable; /* who was away must catch up again */
            }
            if (!decide_degrade(r, &s) && !decide_repair(r, &s)) {
                (void)decide_shape(r, &s);
            }
        }
    }
}

/* ---- out ----------------------------------------------------------------------------------- */

static size_t batch(size_t done, size_t count)
{
    return count - done < DECIDE_BATCH_MAX ? count - done : DECIDE_BATCH_MAX;
}

static size_t put_ledger(const struct control_ledger_entry *entries, size_t count,
                         struct command_key *key, struct buf *out, size_t max)
{
    size_t used = 0;

    for (size_t done = 0; done < count && used < max; done += DECIDE_BATCH_MAX) {
        key->seq++;
        command_ledger_entries(&out[used++], *key, &entries[done], batch(done, count));
    }
    return used;
}

static size_t put_assignments(const struct round *r, struct command_key *key, struct buf *out,
                              size_t max)
{
    size_t used = 0;

    for (size_t done = 0; done < r->assignment_count && used < max; done += DECIDE_BATCH_MAX) {
        key->seq++;
        command_assign(&out[used++], *key, &r->assignments[done], batch(done, r->assignment_count));
    }
    return used;
}

size_t decide(const struct control *control, const struct decide_view *view,
              struct decide_memory *memory, struct command_key *key, struct buf *out, size_t max)
{
    struct round r = {.control = control, .view = view, .memory = memory};

    CHECK(max >= DECIDE_COMMANDS_MIN);
    if (uuid_is_zero(control->cluster_id)) {
        return 0;
    }
    note_nodes(&r);
    for (size_t i = 0; i < view->report_count; i++) {
        note_report(&r, &view->reports[i]);
    }
    size_t used = decide_nodes(&r, key, out, max);
    if (used > 0) {
        return used;
    }
    r.room = max / DECIDE_COMMANDS_MIN * DECIDE_BATCH_MAX;
    count_leads(&r);
    refill_tokens(&r);
    decide_ledger_index(&r);
    decide_partitions(&r);
    decide_ledger(&r);
    used = put_ledger(r.opens, r.open_count, key, out, max);
    used += put_assignments(&r, key, out + used, max - used);
    used += put_ledger(r.closes, r.close_count, key, out + used, max - used);
    sweep(&r);
    free(r.assignments);
    free(r.opens);
    free(r.closes);
    free(r.open);
    return used;
}
