/* SPDX-License-Identifier: Apache-2.0 */
/* Ledger entries that this node has to tell: an RPO bound passed under `on_breach: report`, records
 * cut off behind a lossy epoch. An entry is journaled here first and committed when the quorum can
 * be reached; one that had to wait says so. */
#include <stdio.h>
#include <string.h>

#include "agent/inner.h"
#include "base/error.h"
#include "base/reader.h"
#include "base/trace.h"

#define NOTE_FIRST  16 /* notes 16..55 of the store hold entries that wait */
#define ENTRIES_MAX 40
#define LATE_MS     5000
#define BREACH_LAG_MS                                                                              \
    1000 /* a breach that was over for so long is one entry; another is the next */

struct waiting {
    struct control_ledger_entry entry;
    bool used;
};

struct ledger {
    struct node *node;
    struct waiting waiting[ENTRIES_MAX];
    struct quorum_proposal proposal;
    uint32_t slot; /* of the entry under way */
    bool busy;
};

static void pack(const struct control_ledger_entry *e, struct buf *out)
{
    buf_le32(out, 1); /* format */
    buf_le32(out, (uint32_t)e->kind);
    buf_le32(out, (uint32_t)e->partition);
    buf_le64(out, (uint64_t)e->first_offset);
    buf_le64(out, (uint64_t)e->end_offset);
    buf_le64(out, e->bytes);
    buf_le64(out, e->millis);
    buf_le64(out, (uint64_t)e->since_wall_ms);
    buf_le64(out, (uint64_t)e->until_wall_ms);
    buf_put(out, slice_of(e->topic, sizeof e->topic));
    buf_put(out, slice_of(e->decided_by, sizeof e->decided_by));
    buf_put(out, slice_of(e->note, sizeof e->note));
}

static void take_text(struct reader *r, char *out, size_t size)
{
    struct slice text = reader_take(r, size);

    if (text.len == size) {
        memcpy(out, text.base, size);
        out[size - 1] = '\0';
    }
}

static bool unpack(struct slice bytes, struct control_ledger_entry *e)
{
    struct reader r = reader_of(bytes);

    memset(e, 0, sizeof *e);
    if (reader_le32(&r) != 1) {
        return false;
    }
    uint32_t kind = reader_le32(&r);
    e->kind = kind <= LEDGER_EXPOSED ? (enum control_ledger_kind)kind : LEDGER_EXPOSED;
    e->partition = (int32_t)reader_le32(&r);
    e->first_offset = (int64_t)reader_le64(&r);
    e->end_offset = (int64_t)reader_le64(&r);
    e->bytes = reader_le64(&r);
    e->millis = reader_le64(&r);
    e->since_wall_ms = (int64_t)reader_le64(&r);
    e->until_wall_ms = (int64_t)reader_le64(&r);
    take_text(&r, e->topic, sizeof e->topic);
    take_text(&r, e->decided_by, sizeof e->decided_by);
    take_text(&r, e->note, sizeof e->note);
    return !r.failed;
}

struct ledger *ledger_new(struct node *node)
{
    struct ledger *ledger = mem_new(sizeof *ledger);

    ledger->node = node;
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        struct slice note = store_note_get(node->store, NOTE_FIRST + i);
        ledger->waiting[i].used = note.len > 0 && unpack(note, &ledger->waiting[i].entry);
    }
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger);
}

void ledger_tell(struct node *node, const struct control_ledger_entry *entry)
{
    struct ledger *ledger = node->ledger;
    struct buf note = {0};

    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        if (ledger->waiting[i].used) {
            continue;
        }
        ledger->waiting[i] = (struct waiting){*entry, true};
        pack(entry, &note);
        store_note_put(node->store, NOTE_FIRST + i, buf_slice(&note), NULL);
        buf_fini(&note);
        return;
    }
    /* The log line stays; the interval is told by the entries before and after it. */
    trace_warn("event=ledger_full topic=%s partition=%d", entry->topic, entry->partition);
}

static void committed(struct quorum_proposal *proposal, int status, struct slice result)
{
    struct ledger *ledger = CONTAINER_OF(proposal, struct ledger, proposal);
    struct command_result r = {0};

    ledger->busy = false;
    if (status != 0 || ledger->node->dead || command_result_read(result, &r) != 0) {
        return; /* again with the next tick */
    }
    ledger->waiting[ledger->slot].used = false;
    store_note_put(ledger->node->store, NOTE_FIRST + ledger->slot, (struct slice){0}, NULL);
}

void ledger_tick(struct node *node)
{
    struct ledger *ledger = node->ledger;
    struct buf command = {0};

    if (ledger->busy || !node_is_current(node) || node->quorum == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        struct control_ledger_entry entry = ledger->waiting[i].entry;
        if (!ledger->waiting[i].used) {
            continue;
        }
        if (clock_wall_ms(node->o.clock) - entry.until_wall_ms > LATE_MS) {
            size_t len = strlen(entry.note);
            (void)snprintf(entry.note + len, sizeof entry.note - len, "%srecorded late",
                           len > 0 ? "; " : "");
        }
        command_ledger(&command, node_next_key(node), &entry);
        ledger->slot = i;
        ledger->busy = true;
        ledger->proposal.done = committed;
        quorum_submit(node->quorum, buf_slice(&command), &ledger->proposal);
        buf_fini(&command);
        return;
    }
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void begin_entry(const struct partition *p, enum control_ledger_kind kind,
                        struct control_ledger_entry *e)
{
    const struct control_topic *topic = control_topic_by_id(p->node->control, p->key.topic_id);

    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->partition = p->key.partition;
    e->first_offset = -1;
    e->end_offset = -1;
    if (topic != NULL) {
        (void)snprintf(e->topic, sizeof e->topic, "%s", topic->name);
        (void)snprintf(e->decided_by, sizeof e->decided_by, "policy %s", topic->policy.name);
    }
}

/* An async replica that returns loses what only its region had: how much is known only now. */
void ledger_cut_off(const struct partition *p, int64_t first, int64_t end, uint64_t bytes)
{
    struct control_ledger_entry e;

    begin_entry(p, LEDGER_EXPOSED, &e);
    if (e.topic[0] == '\0' || first >= end) {
        return;
    }
    e.first_offset = first;
    e.end_offset = end;
    e.bytes = bytes;
    e.since_wall_ms = clock_wall_ms(p->node->o.clock);
    e.until_wall_ms = e.since_wall_ms;
    (void)snprintf(e.note, sizeof e.note, "cut off on node %u and kept in its quarantine",
                   p->node->o.node_id);
    ledger_tell(p->node, &e);
}

/* `on_breach: report`: the bound may be passed, the ledger tells for how long and how far. */
void ledger_watch_breach(struct partition *p)
{
    const struct replica *r = &p->replica;
    bool watched = replica_serves(r) && r->spec.config.home >= 0 && !r->spec.rpo_enforced;

    if (!watched && p->breach_since_wall_ms == 0) {
        return;
    }
    int64_t wall_ms = clock_wall_ms(p->node->o.clock);
    if (watched && replica_rpo_full(r, 0, node_now_ms(p->node)) && r->leo > r->rpo.shipped) {
        struct rpo_tail tail = rpo_tail(&r->rpo, node_now_ms(p->node));
        if (p->breach_since_wall_ms == 0) {
            p->breach_since_wall_ms = wall_ms;
            p->breach_first = r->rpo.shipped;
        }
        p->breach_until_wall_ms = wall_ms;
        p->breach_end = r->leo;
        p->breach_bytes = tail.bytes > p->breach_bytes ? tail.bytes : p->breach_bytes;
        p->breach_ms = tail.span_ms > p->breach_ms ? tail.span_ms : p->breach_ms;
        return;
    }
    if (p->breach_since_wall_ms == 0 ||
        (watched && wall_ms - p->breach_until_wall_ms < BREACH_LAG_MS)) {
        return;
    }
    struct control_ledger_entry e;
    begin_entry(p, LEDGER_RPO_BREACHED, &e);
    e.first_offset = p->breach_first;
    e.end_offset = p->breach_end;
    e.bytes = p->breach_bytes;
    e.millis = p->breach_ms;
    e.since_wall_ms = p->breach_since_wall_ms;
    e.until_wall_ms = p->breach_until_wall_ms;
    ledger_tell(p->node, &e);
    p->breach_since_wall_ms = 0;
    p->breach_bytes = 0;
    p->breach_ms = 0;
}
