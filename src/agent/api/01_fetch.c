/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch: reads below the high watermark, parks until there is enough or the time is over. Any
 * replica that knows an HW of its epoch may answer those that can be sent elsewhere (KIP-392,
 * nearest.h). With a session (KIP-227, fetch_session.h) only those partitions are looked at that are
 * ready; a request without one brings all of its own. */
#include <string.h>

#include "agent/api.h"
#include "agent/fetch_session.h"
#include "agent/nearest.h"
#include "base/error.h"
#include "base/trace.h"

/* First versions of the request: that names a rack, topics by their ids, where others are. */
#define FETCH_RACKS     11
#define FETCH_TOPIC_IDS 13
#define FETCH_ENDPOINTS 16

#define SURE_LOOK_MS 25
#define SURE_MS      UINT64_C(1000) /* a heartbeat and a round trip, also on slow ways */

struct fetch;

struct fetch_part {
    struct fetch *fetch;
    struct fetch_part *next;
    struct session_part *session; /* NULL: the request's own */
    struct kafka_fetch_request_partition in;
    struct kafka_fetch_response_partition out;
    const void *topic; /* one for all parts of a topic */
    struct slice name; /* as the client calls it */
    struct uuid id;
    struct uuid topic_id;
    bool known;                     /* the topic exists */
    bool idle;                      /* there is nothing here, until it is poked */
    struct partition_waiter waiter; /* in partition.watchers while parked; a session has its own */
    struct store_read read;
    bool reading;
};

struct fetch {
    struct request *rq;
    struct kafka_fetch_response response;
    struct kafka_fetch_response_partition blank;
    struct fetch_part *first;
    struct fetch_part **last;
    struct fetch_session *session; /* NULL: none, or none any more */
    int16_t ended;                 /* the session was, with this error for the request */
    bool full;                     /* all parts are answered, not only news */
    const void *topic_asked;       /* part->topic of the one before, within one attempt */
    const struct control_topic *topic_found;
    uint32_t reading;
    size_t bytes;
    int64_t budget;
    bool expired; /* answer with what there is */
    bool poked;   /* something moved while reading */
    bool failed;  /* a partition has an error, or is read elsewhere: answer at once */
    bool hinted;  /* one was told its leader */
    bool unsure;  /* an offset is out of range, if this node still leads */
    bool overdue; /* it has waited long enough for that to be known */
    bool starting;
    bool canceled;
};

static void attempt(struct fetch *f);

static void unpark(struct fetch *f)
{
    for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
        if (link_in_list(&part->waiter.link)) {
            link_remove(&part->waiter.link);
        }
    }
}

static void drop_reads(struct fetch *f)
{
    for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
        store_read_fini(&part->read);
    }
    f->bytes = 0;
}

/* Its turn is over. */
static void leave_session(struct fetch *f)
{
    if (f->session == NULL) {
        return;
    }
    for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
        part->session->user = NULL;
        part->session = NULL;
    }
    f->session->user = NULL;
    f->session = NULL;
}

/* KIP-951: where the leaders are that this answer tells of. */
static void add_endpoints(struct fetch *f)
{
    const struct control *control = f->rq->node->control;
    struct kafka_fetch_response *m = &f->response;

    m->node_endpoints = kafka_fetch_response_node_endpoint_new(&f->rq->arena, WIRE_NODES_MAX);
    for (uint32_t id = 1; id < WIRE_NODES_MAX; id++) {
        const struct control_node *node = &control->nodes[id];
        if (node->id != 0 && node->kafka_port != 0) {
            struct kafka_fetch_response_node_endpoint *e =
                &m->node_endpoints[m->node_endpoints_count++];
            e->node_id = (int32_t)id;
            e->host = slice_text(node->kafka_host);
            e->port = node->kafka_port;
            e->rack = slice_text(control->regions[node->region].name);
        }
    }
}

static bool is_answered(const struct fetch_part *part)
{
    return part->fetch->full ||
           session_part_is_news(part->session, &part->out, part->read.chunk_count > 0);
}

/* The answer of those that belong into it; neighbours of one topic are told together. */
static void tell_parts(struct fetch *f)
{
    struct arena *arena = &f->rq->arena;
    struct kafka_fetch_response *m = &f->response;
    const void *topic = NULL;
    uint32_t count = 0;

    for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
        if (is_answered(part)) {
            count++;
            m->topics_count += topic != part->topic;
            topic = part->topic;
        }
    }
    m->topics = kafka_fetch_response_topic_new(arena, m->topics_count);
    struct kafka_fetch_response_partition *to = arena_take(arena, (count + 1) * sizeof *to);
    struct kafka_fetch_response_topic *at = m->topics;
    topic = NULL;
    for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
        if (!is_answered(part)) {
            continue;
        }
        at += topic != NULL && topic != part->topic;
        if (topic != part->topic) {
            topic = part->topic;
            at->topic = part->name;
            at->topic_id = part->id;
            at->partitions = to;
        }
        *to = part->out;
        to->records.chunks = part->read.chunks;
        to->records.chunk_count = (uint32_t)part->read.chunk_count;
        to++;
        at->partitions_count++;
        if (part->session != NULL) {
            session_part_told(part->session, &part->out, part->read.chunk_count > 0);
        }
    }
}

static void answer(struct fetch *f)
{
    struct request *rq = f->rq;

    unpark(f);
    if (f->ended == 0) {
        tell_parts(f);
        f->response.session_id = f->session != NULL ? f->session->id : 0;
        rq->node->counters.fetch_bytes += f->bytes;
        if (f->hinted && rq->version >= FETCH_ENDPOINTS) {
            add_endpoints(f);
        }
    }
    f->response.error = f->ended;
    leave_session(f);
    f->response.throttle_ms =
        quota_charge(rq->node, rq->conn, rq->client_id, QUOTA_CONSUME, (double)f->bytes);
    request_reply(rq, &f->response);
}

/* Not from inside the walk of a partition over its watchers. */
static void wake_soon(struct fetch *f)
{
    f->poked = true;
    if (f->reading == 0 && !f->starting) {
        timer_set(f->rq->node->o.clock, &f->rq->timer, clock_now_us(f->rq->node->o.clock));
    }
}

static void poked(struct partition_waiter *waiter)
{
    wake_soon(CONTAINER_OF(waiter, struct fetch_part, waiter)->fetch);
}

/* Once for all that comes until a request looks at it: sessions of clients that are gone cost nothing. */
static void session_poked(struct partition_waiter *waiter)
{
    struct session_part *part = CONTAINER_OF(waiter, struct session_part, waiter);

    link_remove(&waiter->link);
    session_part_ready(part);
    if (part->session->user != NULL) {
        wake_soon(part->session->user);
    }
}

static void watch(struct fetch_part *part, struct partition *p)
{
    struct partition_waiter *waiter =
        part->session != NULL ? &part->session->waiter : &part->waiter;

    waiter->poke = part->session != NULL ? session_poked : poked;
    if (!link_in_list(&waiter->link)) {
        queue_push(&p->watchers, &waiter->link);
    }
}

static int16_t errors_of_fetch(int error)
{
    /* The Java consumer throws on codes that it does not expect here. */
    switch (error) {
    case TERN_EIO:
    case TERN_EDAMAGED:
        return error_kafka(TERN_EIO);
    case TERN_ECANCELED:
        return error_kafka(TERN_ENOTLEADER);
    default:
        return error_kafka(error);
    }
}

static void fail(struct fetch_part *part, int error)
{
    part->out.error = errors_of_fetch(error);
    part->out.high_watermark = -1;
    part->out.last_stable_offset = -1;
    part->out.log_start_offset = -1;
    part->fetch->failed = true;
}

static void fail_with_leader(struct fetch_part *part, const struct control_partition *cp, int error)
{
    part->out.current_leader.leader_id = cp->leader != 0 ? (int32_t)cp->leader : -1;
    part->out.current_leader.leader_epoch = cp->epoch;
    part->fetch->hinted = true;
    fail(part, error);
}

/* The partition, if this node may answer for it now; else the error is set. */
static struct partition *serving(struct fetch_part *part)
{
    struct node *node = part->fetch->rq->node;
    struct partition *p = partition_find(node, part->topic_id, part->in.partition);
    const struct control_partition *cp =
        control_partition(node->control, part->topic_id, part->in.partition);

    if (!part->known || cp == NULL) {
        bool by_id = !part->known && part->fetch->rq->version >= FETCH_TOPIC_IDS;
        fail(part, by_id ? TERN_EUNKNOWNTOPICID : TERN_ENOENT);
        return NULL;
    }
    int32_t known = p != NULL && p->replica.promised > cp->epoch ? p->replica.promised : cp->epoch;
    if (part->in.current_leader_epoch >= 0 && part->in.current_leader_epoch < known) {
        fail_with_leader(part, cp, TERN_EFENCEDEPOCH);
        return NULL;
    }
    if (part->in.current_leader_epoch > known) {
        fail(part, TERN_EUNKNOWNEPOCH);
        return NULL;
    }
    /* A client that cannot know of other readers than the leader has stale metadata if it is here. */
    bool reads_here =
        p != NULL && (replica_serves(&p->replica) ||
                      (p->replica.hw >= 0 && part->fetch->rq->version >= FETCH_RACKS));
    if (!reads_here) {
        fail_with_leader(part, cp, TERN_ENOTLEADER);
        return NULL;
    }
    return p;
}

/* KIP-320: the consumer's log ended in another history than ours. True: told. */
static bool diverged(struct fetch_part *part, const struct partition *p)
{
    const struct history *history = &p->replica.history;
    int32_t newest = history->count > 0 ? history->entries[history->count - 1].epoch : 0;
    int32_t epoch;
    int64_t end;

    /* An epoch that is the last one here, or that this log does not know yet, has no end yet; but a
     * leader's own epoch has ended all others, also before its first record. */
    if (replica_hw_known(&p->replica)) {
        newest = p->replica.spec.epoch;
    }
    if (part->in.last_fetched_epoch < 0 || part->in.last_fetched_epoch >= newest) {
        return false;
    }
    history_end_of(&p->replica.history, p->replica.leo, part->in.last_fetched_epoch, &epoch, &end);
    if (epoch == part->in.last_fetched_epoch && end >= part->in.fetch_offset) {
        return false;
    }
    if (epoch < 0) {
        /* All epochs here are newer than the consumer's: its records ended where the first begins,
         * or before. Behind that it has read what is not here; epoch 0 is nobody's. */
        end = history->count > 0 ? history->entries[0].start_offset : p->replica.leo;
        if (part->in.fetch_offset <= end) {
            return false;
        }
        epoch = 0;
    }
    part->out.diverging_epoch.epoch = epoch;
    part->out.diverging_epoch.end_offset = end;
    part->fetch->failed = true; /* answer at once */
    return true;
}

static void send_to(struct fetch_part *part, uint32_t node)
{
    part->out.preferred_read_replica = (int32_t)node;
    part->fetch->failed = true; /* answer at once */
}

/* A consumer of another region reads from the copy that is near to it. True: nothing is to be read
 * here. */
static bool sent_elsewhere(struct fetch_part *part, const struct partition *p)
{
    const struct kafka_fetch_request *m = part->fetch->rq->message;
    uint32_t node = 0;

    switch (nearest_reader(p, m->rack_id, part->in.fetch_offset, &node)) {
    case NEAREST_HERE:
        return false;
    case NEAREST_SOON:
        return true;
    case NEAREST_OTHER:
        break;
    }
    p->node->counters.fetch_sent_elsewhere++;
    send_to(part, node);
    return true;
}

/* Here is no more to read: has this follower, to which the consumer was sent, fallen out of touch?
 * All clients go where an answer without an error sends them; after errors of a follower, librdkafka
 * 2.0 stays for five minutes. */
static bool sent_back(struct fetch_part *part, struct partition *p)
{
    const struct control_partition *cp =
        control_partition(p->node->control, part->topic_id, part->in.partition);

    if (cp == NULL || !nearest_is_stale(p)) {
        return false;
    }
    p->node->counters.fetch_sent_back++;
    send_to(part, cp->leader);
    return true;
}

/* Rule 10: only a leader past its initial log may say that an offset is out of range, and only one that
 * still leads: a consumer that knows no leader epochs begins anew when it is told so. */
static void beyond(struct fetch_part *part, const struct partition *p)
{
    struct fetch *f = part->fetch;

    if (!replica_hw_known(&p->replica)) {
        fail(part, TERN_ENOTAVAILABLE);
    } else if (partition_leads_since(p, f->rq->begun_us)) {
        fail(part, TERN_EOUTOFRANGE);
    } else if (f->overdue) {
        fail(part, TERN_ENOTAVAILABLE);
    } else {
        f->unsure = true;
    }
}

static void part_read(struct store_read *read);

/* ---- committed transactions only (KIP-98) ------------------------------------------------------ */

static bool reads_committed(const struct fetch *f)
{
    const struct kafka_fetch_request *m = f->rq->message;

    return m->isolation_level == 1;
}

static int64_t end_of(const struct store_read *read)
{
    int64_t end = read->offset;

    for (size_t i = 0; i < read->chunk_count; i++) {
        struct slice run = chunk_slice(read->chunks[i]);
        struct batch_info info;
        struct slice batch;
        while (batch_next(&run, &info, &batch) == 0) {
            end = info.last_offset + 1;
        }
    }
    return end;
}

/* Whose records among those that were read the consumer has to leave out. False: not known now. */
static bool tell_aborted(struct fetch_part *part)
{
    struct request *rq = part->fetch->rq;
    const struct partition *p = partition_find(rq->node, part->topic_id, part->in.partition);
    int64_t end = end_of(&part->read);
    size_t count = 0;

    if (p == NULL || p->replica.producers_at < end) {
        return false;
    }
    const struct producers_aborted *aborted =
        producers_aborted(p->replica.producers, part->read.offset, &count);
    size_t most = 0;
    while (most < count && aborted[most].stable < end) {
        most++;
    }
    most += most < count; /* the first that is stable behind the end may reach into it, too */
    struct kafka_fetch_response_aborted_transaction *out =
        kafka_fetch_response_aborted_transaction_new(&rq->arena, (uint32_t)most + 1);
    part->out.aborted_transactions = out;
    for (size_t i = 0; i < most; i++) {
        if (aborted[i].first < end) {
            out[part->out.aborted_transactions_count].producer_id = aborted[i].producer_id;
            out[part->out.aborted_transactions_count++].first_offset = aborted[i].first;
        }
    }
    return true;
}

static void start_read(struct fetch_part *part, struct partition *p)
{
    struct fetch *f = part->fetch;
    const struct replica *r = &p->replica;
    /* What is deleted was committed: also where no high watermark was heard since. */
    int64_t hw = r->hw < r->log_start ? r->log_start : r->hw;
    int64_t stable = replica_stable(r);

    part->out.aborted_transactions = reads_committed(f) ? kafka_empty_array() : NULL;
    part->out.aborted_transactions_count = 0;
    part->out.high_watermark = hw;
    part->out.last_stable_offset = stable;
    part->out.log_start_offset = r->log_start;
    if (part->in.fetch_offset > r->leo && diverged(part, p)) {
        return; /* behind a lossy epoch: not out of range, but of another history */
    }
    if (part->in.fetch_offset < r->log_start) {
        fail(part, TERN_EOUTOFRANGE);
        return;
    }
    if (part->in.fetch_offset > r->leo) {
        beyond(part, p);
        return;
    }
    if (diverged(part, p) || (replica_serves(r) && sent_elsewhere(part, p))) {
        return;
    }
    int64_t limit = reads_committed(f) ? stable : hw;
    if (part->in.fetch_offset >= limit) {
        part->idle = replica_serves(r) || !sent_back(part, p);
        return;
    }
    if (f->budget <= 0) {
        return;
    }
    size_t max = part->in.partition_max_bytes > 0 ? (size_t)part->in.partition_max_bytes : 1;
    if ((int64_t)max > f->budget) {
        max = (size_t)f->budget;
    }
    part->read = (struct store_read){.log = p->log,
                                     .offset = part->in.fetch_offset,
                                     .limit = limit,
                                     .max_bytes = max,
                                     .done = part_read};
    part->reading = true;
    f->reading++;
    f->budget -= (int64_t)max;
    if (store_read(&part->read)) {
        part_read(&part->read);
    }
}

static bool has_zstd(const struct store_read *read)
{
    for (size_t i = 0; i < read->chunk_count; i++) {
        struct slice run = chunk_slice(read->chunks[i]);
        struct batch_info info;
        struct slice batch;
        while (batch_next(&run, &info, &batch) == 0) {
            if (batch_codec(&info) == BATCH_ZSTD) {
                return true;
            }
        }
    }
    return false;
}

static void settle(struct fetch *f)
{
    const struct kafka_fetch_request *m = f->rq->message;

    if (f->ended != 0) {
        answer(f);
        return;
    }
    if (f->unsure && !f->failed) {
        drop_reads(f);
        timer_after_ms(f->rq->node->o.clock, &f->rq->timer, SURE_LOOK_MS);
        return;
    }
    if (f->failed || f->expired || f->bytes >= (size_t)(m->min_bytes > 0 ? m->min_bytes : 0)) {
        answer(f);
        return;
    }
    drop_reads(f);
    if (f->poked) {
        f->poked = false;
        attempt(f);
    }
}

static void part_read(struct store_read *read)
{
    struct fetch_part *part = CONTAINER_OF(read, struct fetch_part, read);
    struct fetch *f = part->fetch;

    part->reading = false;
    f->reading--;
    if (f->canceled) {
        store_read_fini(read);
        return;
    }
    if (read->status != 0) {
        if (read->status == TERN_EDAMAGED) {
            trace_error("event=fetch_damaged partition=%d offset=%lld", part->in.partition,
                        (long long)read->offset);
        }
        fail(part, read->status);
    } else if (f->rq->version < 10 && has_zstd(read)) {
        store_read_fini(read);
        fail(part, TERN_ECOMPRESSION);
    } else if (reads_committed(f) && !tell_aborted(part)) {
        store_read_fini(read);
        fail(part, TERN_ENOTLEADER); /* it was cut meanwhile */
    }
    f->bytes += read->bytes;
    if (f->reading == 0 && !f->starting) {
        settle(f);
    }
}

static const struct control_topic *topic_of(const struct fetch_part *part)
{
    struct fetch *f = part->fetch;
    const struct request *rq = f->rq;

    if (part->topic != f->topic_asked) {
        f->topic_asked = part->topic;
        f->topic_found = rq->version >= FETCH_TOPIC_IDS
                             ? control_topic_by_id(rq->node->control, part->id)
                             : topic_by_slice(rq->node, part->name);
    }
    return f->topic_found;
}

/* What is to be told of a partition; its read may be under way then. */
static void look(struct fetch_part *part)
{
    const struct control_topic *topic = topic_of(part);

    part->fetch->rq->node->counters.fetch_looks++;
    part->known = topic != NULL;
    part->topic_id = topic != NULL ? topic->id : (struct uuid){{0}};
    part->idle = false;
    part->out = part->fetch->blank;
    part->out.partition = part->in.partition;
    struct partition *p = serving(part);
    if (p != NULL) {
        watch(part, p);
        start_read(part, p);
    }
}

static void add_part(struct fetch *f, struct fetch_part *part)
{
    part->fetch = f;
    *f->last = part;
    f->last = &part->next;
}

static struct fetch_part *part_of(struct fetch *f, struct session_part *of)
{
    struct fetch_part *part = of->user;

    if (part == NULL) {
        part = arena_take(&f->rq->arena, sizeof *part);
        *part = (struct fetch_part){.session = of, .in = of->want, .topic = of->key.topic};
        part->name = of->key.topic->name;
        part->id = of->key.topic->id;
        of->user = part;
        add_part(f, part);
    }
    return part;
}

static void look_at_ready(struct fetch *f)
{
    QUEUE_EACH (each, &f->session->ready) {
        struct session_part *of = CONTAINER_OF(each, struct session_part, ready);
        struct fetch_part *part = part_of(f, of);
        look(part);
        if (part->idle && !session_part_is_news(of, &part->out, false)) {
            session_part_idle(of);
        }
    }
}

static void attempt(struct fetch *f)
{
    const struct kafka_fetch_request *m = f->rq->message;

    f->starting = true;
    f->unsure = false;
    f->topic_asked = NULL;
    f->budget = m->max_bytes > 0 ? m->max_bytes : INT32_MAX;
    if (f->session != NULL) {
        look_at_ready(f);
    } else {
        for (struct fetch_part *part = f->first; part != NULL; part = part->next) {
            look(part);
        }
    }
    f->starting = false;
    if (f->reading == 0) {
        settle(f);
    }
}

static void wake(struct timer *timer)
{
    struct request *rq = CONTAINER_OF(timer, struct request, timer);
    struct fetch *f = rq->state;
    const struct kafka_fetch_request *m = rq->message;
    uint64_t now_us = clock_now_us(rq->node->o.clock);
    uint64_t until_us = rq->begun_us + (m->max_wait_ms > 0 ? (uint64_t)m->max_wait_ms : 0) * 1000;

    f->expired = now_us >= until_us;
    f->overdue = f->expired && now_us - rq->begun_us >= SURE_MS * 1000;
    if (!f->expired) {
        timer_set(rq->node->o.clock, timer, until_us);
    }
    if (f->reading > 0) {
        f->poked = true;
        return;
    }
    if (f->ended != 0) {
        answer(f);
    } else if (f->poked || f->expired || f->unsure) {
        f->poked = false;
        attempt(f);
    }
}

static void canceled(struct request *rq)
{
    struct fetch *f = rq->state;

    unpark(f);
    leave_session(f);
}

static void release(struct request *rq)
{
    drop_reads(rq->state);
}

/* ---- whose turn it is -------------------------------------------------------------------------- */

/* The session goes on, or away, without this request: as soon as nothing is read for it. */
static void end_turn(struct fetch_session *session, int16_t error)
{
    struct fetch *f = session->user;

    if (f != NULL) {
        leave_session(f);
        f->ended = error;
        wake_soon(f);
    }
}

void fetch_session_closing(struct fetch_session *session)
{
    end_turn(session, KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND);
}

static uint32_t parts_named(const struct kafka_fetch_request *m)
{
    uint32_t total = 0;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        total += m->topics[t].partitions_count;
    }
    return total;
}

static void take_from_request(struct fetch *f)
{
    const struct kafka_fetch_request *m = f->rq->message;
    struct fetch_part *part =
        arena_take(&f->rq->arena, ((size_t)parts_named(m) + 1) * sizeof *part);

    f->full = true;
    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_fetch_request_topic *in = &m->topics[t];
        for (uint32_t i = 0; i < in->partitions_count; i++, part++) {
            *part = (struct fetch_part){.in = in->partitions[i], .topic = in};
            part->name = in->topic;
            part->id = in->topic_id;
            add_part(f, part);
        }
    }
}

/* False: there is no room for all that it names. */
static bool change_session(struct fetch_session *session, const struct kafka_fetch_request *m)
{
    bool room = true;

    for (uint32_t t = 0; t < m->topics_count; t++) {
        const struct kafka_fetch_request_topic *in = &m->topics[t];
        for (uint32_t i = 0; i < in->partitions_count && room; i++) {
            room = fetch_session_want(session, in->topic, in->topic_id, &in->partitions[i]) != NULL;
        }
    }
    for (uint32_t t = 0; t < m->forgotten_topics_count; t++) {
        const struct kafka_fetch_request_forgotten_topic *in = &m->forgotten_topics[t];
        for (uint32_t i = 0; i < in->partitions_count; i++) {
            fetch_session_forget(session, in->topic, in->topic_id, in->partitions[i]);
        }
    }
    return room;
}

static void begin_turn(struct fetch *f, struct fetch_session *session)
{
    session->user = f;
    f->session = session;
}

/* The parts of the request, or the session that has them; else the error of the whole answer. */
static int16_t choose_parts(struct fetch *f)
{
    const struct kafka_fetch_request *m = f->rq->message;
    struct fetch_sessions *all = f->rq->node->fetch_sessions;
    bool by_id = f->rq->version >= FETCH_TOPIC_IDS;
    uint64_t now_ms = node_now_ms(f->rq->node);
    int16_t error = 0;

    if (m->session_epoch == FETCH_EPOCH_FINAL || m->session_epoch == FETCH_EPOCH_INITIAL) {
        struct fetch_session *old = fetch_session_find(all, m->session_id);
        if (old != NULL) {
            fetch_session_close(old);
        }
        uint32_t count = parts_named(m);
        struct fetch_session *session = m->session_epoch == FETCH_EPOCH_INITIAL && count > 0
                                            ? fetch_session_open(all, now_ms, count, by_id)
                                            : NULL;
        if (session == NULL) {
            take_from_request(f);
            return 0;
        }
        (void)change_session(session, m); /* there is room for all of them */
        f->full = true;
        begin_turn(f, session);
        return 0;
    }
    struct fetch_session *session =
        fetch_session_of(all, m->session_id, m->session_epoch, by_id, &error);
    if (session == NULL) {
        return error;
    }
    /* Its last request may still be waiting, without its client. */
    end_turn(session, KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH);
    bool room = change_session(session, m);
    if (!room || session->count == 0) {
        fetch_session_close(session);
        take_from_request(f);
        return room ? 0 : KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND;
    }
    fetch_session_turn(session, now_ms);
    begin_turn(f, session);
    return 0;
}

void api_fetch(struct request *rq)
{
    const struct kafka_fetch_request *m = rq->message;
    struct fetch *f = arena_take(&rq->arena, sizeof *f);

    rq->node->counters.fetch_requests++;
    f->rq = rq;
    f->last = &f->first;
    rq->state = f;
    rq->cancel = canceled;
    rq->release = release;
    rq->begun_us = clock_now_us(rq->node->o.clock);
    rq->timer.fire = wake;
    kafka_fetch_response_init(&f->response);
    kafka_fetch_response_partition_init(&f->blank);
    f->ended = choose_parts(f);
    if (f->ended != 0) {
        answer(f);
        return;
    }
    /* Nothing is wanted: nothing is waited for. */
    f->expired = m->max_wait_ms <= 0 || (f->session == NULL && f->first == NULL);
    if (!f->expired) {
        timer_after_ms(rq->node->o.clock, &rq->timer, (uint64_t)m->max_wait_ms);
    }
    attempt(f);
}
