/* SPDX-License-Identifier: Apache-2.0 */
/* One consumer, which is one logical process: it polls, now and then takes other partitions, and sometimes crashes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct polling {
    const struct options *o;
    struct dice dice;
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    int id;
    int64_t next[KEYS_MAX]; /* offset behind the last one read; -1: never read */
    uint64_t assign_ns;
    uint64_t crash_ns;
};

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    struct polling *p = rd_kafka_opaque(kafka);

    (void)fprintf(stderr, "%" PRIu64 " consumer %d %d %s %s\n", now_ns(), p->id, level, facility,
                  text);
}

static void begin(struct polling *p)
{
    rd_kafka_conf_t *conf = client_conf(p->o);
    char group[64];
    char why[256];

    (void)snprintf(group, sizeof group, "jepsen-%d", p->id);
    client_set(conf, "group.id", group); /* librdkafka wants one; offsets are kept by ourselves */
    client_set(conf, "enable.auto.commit", "false");
    client_set(conf, "enable.auto.offset.store", "false");
    client_set(conf, "auto.offset.reset", "error");
    client_set(conf, "check.crcs", "true");
    client_set(conf, "isolation.level", "read_committed");
    client_set(conf, "enable.partition.eof", "true");
    client_set(conf, "fetch.wait.max.ms", "100");
    client_set(conf, "fetch.error.backoff.ms", "50");
    if (getenv("JEPSEN_DEBUG") != NULL) { /* such as fetch,topic */
        client_set(conf, "debug", getenv("JEPSEN_DEBUG"));
        client_set(conf, "log_level", "7");
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, p);
    p->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (p->kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    (void)rd_kafka_poll_set_consumer(p->kafka);
    p->queue = rd_kafka_queue_get_consumer(p->kafka);
}

static void end(struct polling *p)
{
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy_flags(p->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

/* Always a number: librdkafka 2.0 jumps ahead when an answer to its own question for the end comes in late. */
static int64_t where_from(struct polling *p, int key, bool all)
{
    uint64_t roll = dice_roll(&p->dice, 10);
    int64_t low = 0;
    int64_t high = 0;

    if (all || roll == 0) {
        return 0;
    }
    if (roll < 7 && p->next[key] >= 0) {
        return p->next[key];
    }
    if (rd_kafka_query_watermark_offsets(p->kafka, p->o->keys[key].topic, p->o->keys[key].partition,
                                         &low, &high, 300) == 0) {
        return high;
    }
    return p->next[key] >= 0 ? p->next[key] : 0;
}

/* Some of the keys, or all of them from the beginning. */
static void assign(struct polling *p, bool all)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(p->o->key_count);
    uint64_t share = 20 + dice_roll(&p->dice, 80);
    struct text names = {0};

    text_add(&names, "[");
    for (int n = 0; n < p->o->key_count; n++) {
        const struct key *key = &p->o->keys[n];
        if (all || dice_roll(&p->dice, 100) < share) {
            rd_kafka_topic_partition_list_add(list, key->topic, key->partition)->offset =
                where_from(p, n, all);
            text_add(&names, "%s\"%s\"", names.len > 1 ? " " : "", key->name);
        }
    }
    text_add(&names, "]");
    log_op(now_ns(), p->id, "invoke", "assign", ", :value %s", names.bytes);
    rd_kafka_resp_err_t error = rd_kafka_assign(p->kafka, list);
    log_op(now_ns(), p->id, error == 0 ? "ok" : "info", "assign", ", :value %s", names.bytes);
    rd_kafka_topic_partition_list_destroy(list);
    free(names.bytes);
    p->assign_ns = now_ns() + (3 + dice_roll(&p->dice, 20)) * 1000000000;
}

static void crash(struct polling *p)
{
    log_op(now_ns(), p->id, "invoke", "crash", ", :value nil");
    end(p);
    log_op(now_ns(), p->id, "info", "crash", ", :value nil");
    p->id += 1000000;
    begin(p);
    assign(p, false);
    p->crash_ns = now_ns() + (15 + dice_roll(&p->dice, 40)) * 1000000000;
}

/* A consumer that has read further than the node that it asks. To older clients that do not tell the epoch that they know, a leader
 * that was deposed may say so, too. It is written down, and asked again from where it was; what an async topic has lost is given up. */
static void out_of_range(struct polling *p, int key)
{
    if (key >= 0) {
        log_op(now_ns(), p->id, "invoke", "out-of-range", ", :value nil");
        log_op(now_ns(), p->id, "info", "out-of-range", ", :value {\"%s\" %" PRId64 "}",
               p->o->keys[key].name, p->next[key]);
        if (strcmp(p->o->keys[key].topic, "clicks") == 0) {
            p->next[key] = -1;
        }
        p->assign_ns = 0;
    }
}

#define BATCH_MAX 200

/* Returns how many records were read. Nothing is written down of a poll that returned nothing. */
static int poll_once(struct polling *p, bool final)
{
    rd_kafka_message_t *messages[BATCH_MAX];
    struct batch batch = {.begun = now_ns()};
    ssize_t count = rd_kafka_consume_batch_queue(p->queue, 100, messages, BATCH_MAX);
    int records;
    int beyond = -1;

    for (ssize_t n = 0; n < count; n++) {
        const rd_kafka_message_t *m = messages[n];
        int key = m->rkt != NULL ? key_index(p->o, rd_kafka_topic_name(m->rkt), m->partition) : -1;
        if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
            m->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
            beyond = key;
        } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && key >= 0) {
            p->next[key] = m->offset; /* behind markers and aborted records, too */
        } else if (batch_add(&batch, p->o, m) >= 0) {
            p->next[key] = m->offset + 1;
        }
        rd_kafka_message_destroy(messages[n]);
    }
    records = batch.records;
    batch_write(&batch, p->o, p->kafka, p->id, final);
    out_of_range(p, beyond); /* an op of its own, after the poll */
    return records;
}

static void polling_init(struct polling *p, const struct options *o, int id)
{
    *p = (struct polling){.o = o, .id = id};
    p->dice.state = o->seed * 7000003 + (uint64_t)id;
    for (int n = 0; n < KEYS_MAX; n++) {
        p->next[n] = -1;
    }
    begin(p);
}

void *poller_main(void *arg)
{
    const struct poller *poller = arg;
    struct polling p;

    polling_init(&p, poller->o, poller->o->run * 1000 + 900 + poller->number);
    assign(&p, poller->number == 0); /* one of them follows everything from its beginning */
    p.crash_ns = now_ns() + (15 + dice_roll(&p.dice, 40)) * 1000000000;
    while (!ending) {
        uint64_t now = now_ns();
        if (poller->number != 0 && now > p.crash_ns) {
            crash(&p);
        } else if (now > p.assign_ns && (poller->number != 0 || p.assign_ns == 0)) {
            assign(&p, poller->number == 0);
        }
        (void)poll_once(&p, false);
    }
    end(&p);
    return NULL;
}

/* ---- the last read -------------------------------------------------------------------------- */

static rd_kafka_t *open_uncommitted(const struct options *o)
{
    rd_kafka_conf_t *conf = client_conf(o);
    rd_kafka_t *kafka;
    char why[256];

    client_set(conf, "group.id", "jepsen-ends");
    client_set(conf, "isolation.level", "read_uncommitted");
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    return kafka;
}

/* Where every key ends, for readers at the isolation of that client. */
static bool ask_ends(const struct options *o, rd_kafka_t *kafka, int64_t *lows, int64_t *ends,
                     uint64_t until)
{
    for (int n = 0; n < o->key_count; n++) {
        while (rd_kafka_query_watermark_offsets(kafka, o->keys[n].topic, o->keys[n].partition,
                                                &lows[n], &ends[n], 2000) != 0) {
            if (now_ns() > until) {
                complain("the end of %s cannot be learned", o->keys[n].name);
                return false;
            }
        }
    }
    return true;
}

static void write_places(const struct polling *p, const char *f, const int64_t *at,
                         const int64_t *stable)
{
    struct text value = {0};
    struct text lso = {0};

    for (int n = 0; n < p->o->key_count; n++) {
        text_add(&value, "%s\"%s\" %" PRId64, n > 0 ? ", " : "", p->o->keys[n].name, at[n]);
        text_add(&lso, "%s\"%s\" %" PRId64, n > 0 ? ", " : "", p->o->keys[n].name,
                 stable != NULL ? stable[n] : -1);
    }
    log_op(now_ns(), p->id, "invoke", f, ", :value nil");
    log_op(now_ns(), p->id, "ok", f, ", :value {%s}%s%s%s", value.bytes,
           stable != NULL ? ", :lso {" : "", stable != NULL ? lso.bytes : "",
           stable != NULL ? "}" : "");
    free(value.bytes);
    free(lso.bytes);
}

/* Up to the high watermarks at its beginning. The last offsets of a log may be markers, and the last stable offset gets there only
 * when every transaction has ended; so the end of a key is told by librdkafka's "end of partition", and in the end by both. */
int final_read(const struct options *o)
{
    uint64_t until = now_ns() + (uint64_t)o->final_seconds * 1000000000;
    rd_kafka_t *uncommitted = open_uncommitted(o);
    int64_t ends[KEYS_MAX];
    int64_t stable[KEYS_MAX];
    int64_t lows[KEYS_MAX];
    struct polling p;
    int behind = 1;

    polling_init(&p, o, o->run * 1000);
    if (ask_ends(o, uncommitted, p.next, ends, until)) {
        write_places(&p, "final-offsets", ends, NULL);
        assign(&p, true);
        while (behind > 0 && now_ns() < until) {
            (void)poll_once(&p, true);
            behind = 0;
            for (int n = 0; n < o->key_count; n++) {
                behind += p.next[n] < ends[n];
            }
        }
        if (ask_ends(o, p.kafka, lows, stable, now_ns() + 10000000000)) {
            write_places(&p, "final-positions", p.next, stable);
        }
    }
    rd_kafka_destroy(uncommitted);
    end(&p);
    return behind > 0 ? 1 : 0;
}
