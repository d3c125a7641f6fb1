/* SPDX-License-Identifier: Apache-2.0 */
/* Clerks read what is committed, and judge each record; auditors ask for stable offsets. */
#include "kafka/batch.h"
#include "tests/sim/sim_txn_inner.h"

/* ---- readers ------------------------------------------------------------------------------------ */

static void read_on(struct timer *timer)
{
    struct clerk *r = CONTAINER_OF(timer, struct clerk, again);
    struct kafka_fetch_request m;
    struct kafka_fetch_request_topic topic;
    struct kafka_fetch_request_partition part;

    if (!r->all->made) {
        txns_later(r->all, &r->again, 200, 400);
        return;
    }
    kafka_fetch_request_init(&m);
    kafka_fetch_request_topic_init(&topic);
    kafka_fetch_request_partition_init(&part);
    part.partition = r->part;
    part.fetch_offset = r->next;
    part.partition_max_bytes = 2 << 10; /* small pieces, which begin and end anywhere */
    topic.topic = slice_text(BOOKS);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.isolation_level = 1;
    m.max_wait_ms = 100;
    m.min_bytes = 1;
    m.max_bytes = 1 << 20;
    m.topics = &topic;
    m.topics_count = 1;
    sim_conn_ask(&r->conns[r->node], &r->call, 1, 11, &m, 2 * SIM_S);
}

/* As clients do it: from a producer's first aborted record to its marker nothing counts. */
static bool is_aborting(const struct clerk *r, int64_t producer_id)
{
    for (uint32_t i = 0; i < r->aborting_count; i++) {
        if (r->aborting[i] == producer_id) {
            return true;
        }
    }
    return false;
}

static void end_aborting(struct clerk *r, int64_t producer_id)
{
    for (uint32_t i = 0; i < r->aborting_count; i++) {
        if (r->aborting[i] == producer_id) {
            r->aborting[i] = r->aborting[--r->aborting_count];
            return;
        }
    }
}

static void begin_aborting(struct clerk *r, int64_t last_offset,
                           struct kafka_fetch_response_partition *in)
{
    for (uint32_t i = 0; i < in->aborted_transactions_count; i++) {
        struct kafka_fetch_response_aborted_transaction *a = &in->aborted_transactions[i];
        if (a->producer_id >= 0 && a->first_offset <= last_offset) {
            if (!is_aborting(r, a->producer_id) && r->aborting_count < ARRAY_COUNT(r->aborting)) {
                r->aborting[r->aborting_count++] = a->producer_id;
            }
            a->producer_id = -1;
        }
    }
}

static void take_record(struct clerk *r, const struct record *record)
{
    struct sim_txns *all = r->all;
    uint64_t number = record->value.len == 8 ? get_be64(record->value.base) : 0;

    if (number == 0 || number > all->deal_count) {
        sim_fail(all->sim, "X1: %s is given a record that nobody wrote", r->name);
        return;
    }
    const struct deal *deal = &all->deals[number];
    if (!deal->asked || deal->aborted) {
        sim_fail(all->sim, "X1: %s is given a record of transaction %llu at %lld, which was %s",
                 r->name, (unsigned long long)number, (long long)record->offset,
                 deal->aborted ? "aborted" : "never asked to be committed");
    }
    sim_whisper(all->sim, "%s reads transaction %llu of partition %d at %lld by node %u", r->name,
                (unsigned long long)number, r->part, (long long)record->offset, r->node);
    if (r->seen[number]++ != 0) {
        sim_fail(all->sim, "X2: %s is given the record of transaction %llu twice", r->name,
                 (unsigned long long)number);
    }
}

static void take(struct clerk *r, struct kafka_fetch_response_partition *in)
{
    struct slice run = in->records.bytes;
    struct batch_info info;
    struct slice batch;
    struct record_iter iter;
    struct record record;

    while (!sim_failed(r->all->sim) && batch_next(&run, &info, &batch) == 0) {
        if (info.last_offset < r->next) {
            continue;
        }
        begin_aborting(r, info.last_offset, in);
        if (info.marker == BATCH_ABORT) {
            end_aborting(r, info.producer_id);
        } else if (info.marker == BATCH_NO_MARKER && !is_aborting(r, info.producer_id) &&
                   record_iter_init(&iter, batch) == 0) {
            while (record_next(&iter, &record) == 0) {
                take_record(r, &record);
            }
        }
        r->next = info.last_offset + 1;
    }
}

static void start_pass(struct clerk *r)
{
    r->next = 0;
    r->level = false;
    r->aborting_count = 0;
    memset(r->seen, 0, sizeof r->seen);
    r->node = txns_any_node(r->all);
    r->last = r->all->ended_us != 0;
}

static void was_read(struct sim_call *call, int status, const void *response)
{
    struct clerk *r = CONTAINER_OF(call, struct clerk, call);
    struct sim_txns *all = r->all;
    const struct kafka_fetch_response *m = response;
    struct kafka_fetch_response_partition *in =
        status == 0 && m->topics_count == 1 ? &m->topics[0].partitions[0] : NULL;

    if (in == NULL || in->error != 0) {
        r->node = txns_any_node(all);
        txns_later(all, &r->again, 20, 150);
        return;
    }
    r->hw = in->high_watermark;
    r->stable = in->last_stable_offset;
    take(r, in);
    r->worked_us = all->sim->now_us;
    r->hw_most = r->hw > r->hw_most ? r->hw : r->hw_most;
    /* A follower that lags, or has heard of no high watermark yet, is no end. */
    bool level = r->next >= r->stable && r->hw >= r->hw_most;
    r->level = level && r->stable == r->hw;
    if (level && r->again_and_again && !(r->last && r->level)) {
        start_pass(r);
    } else if (prng_chance(&all->chance, 1, 8)) {
        r->node = txns_any_node(all);
        r->aborting_count = 0; /* another consumer would not know, either: it is told again */
    }
    txns_later(all, &r->again, level ? 20 : 0, level ? 200 : 5);
}

void clerk_begin(struct sim_txns *t, uint32_t number)
{
    struct clerk *r = &t->readers[number];

    r->all = t;
    r->part = (int32_t)(number % PARTS);
    r->again_and_again = number >= PARTS;
    (void)snprintf(r->name, sizeof r->name, "reader-%u", number);
    r->call.done = was_read;
    r->again.fire = read_on;
    txns_open(t, r->conns, 1 + number % t->sim->node_count, r->name);
    start_pass(r);
    txns_later(t, &r->again, 0, 500);
}

/* ---- auditors ----------------------------------------------------------------------------------- */

static void audit(struct timer *timer)
{
    struct auditor *a = CONTAINER_OF(timer, struct auditor, again);
    struct kafka_offset_fetch_request m;
    struct kafka_offset_fetch_request_topic topic;
    struct kafka_find_coordinator_request find;
    char group[16];
    int32_t part = 0;

    txns_group(a->id_number, group);
    if (a->node == 0) {
        kafka_find_coordinator_request_init(&find);
        find.key = slice_text(group);
        sim_conn_ask(&a->conns[txns_any_node(a->all)], &a->call, 10, 1, &find, ASK_US);
        return;
    }
    kafka_offset_fetch_request_init(&m);
    kafka_offset_fetch_request_topic_init(&topic);
    topic.name = slice_text(BOOKS);
    topic.partitions = &part;
    topic.partitions_count = 1;
    m.group_id = slice_text(group);
    m.topics = &topic;
    m.topics_count = 1;
    m.require_stable = true;
    a->floor = a->all->acked[a->id_number];
    a->final = a->all->read_us != 0;
    sim_conn_ask(&a->conns[a->node], &a->call, 9, 7, &m, ASK_US);
}

static void judge_offset(struct auditor *a, int64_t offset)
{
    struct sim_txns *all = a->all;
    const struct deal *deal = offset > 0 ? &all->deals[offset] : NULL;

    if (offset < a->floor) {
        sim_fail(all->sim, "X4: %s is told %lld, transaction %lld was told to be committed",
                 a->name, (long long)offset, (long long)a->floor);
    } else if (deal != NULL && (offset > all->deal_count || !deal->asked || deal->aborted)) {
        sim_fail(all->sim, "X4: %s is told the offset of transaction %lld, which was not committed",
                 a->name, (long long)offset);
    }
}

static void audited(struct sim_call *call, int status, const void *response)
{
    struct auditor *a = CONTAINER_OF(call, struct auditor, call);

    if (call->key == 10) {
        const struct kafka_find_coordinator_response *m = response;
        a->node = status == 0 && m->error == 0 ? (uint32_t)m->node_id : 0;
        txns_later(a->all, &a->again, a->node != 0 ? 0 : 50, a->node != 0 ? 5 : 300);
        return;
    }
    const struct kafka_offset_fetch_response *m = response;
    int16_t error = status != 0           ? KAFKA_ERROR_REQUEST_TIMED_OUT
                    : m->error != 0       ? m->error
                    : m->topics_count > 0 ? m->topics[0].partitions[0].error
                                          : 0;
    if (error == 0 && status == 0 && m->topics_count > 0) {
        a->told = m->topics[0].partitions[0].offset;
        a->told = a->told < 0 ? 0 : a->told;
        judge_offset(a, a->told);
        a->last = a->final;
    } else if (error != KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT) {
        a->node = 0;
    }
    txns_later(a->all, &a->again, 30, 300);
}

void auditor_begin(struct sim_txns *t, uint32_t number)
{
    struct auditor *a = &t->auditors[number];

    a->all = t;
    a->id_number = (uint8_t)number;
    (void)snprintf(a->name, sizeof a->name, "auditor-%u", number);
    a->call.done = audited;
    a->again.fire = audit;
    txns_open(t, a->conns, 1 + number % t->sim->node_count, a->name);
    txns_later(t, &a->again, 0, 500);
}
