/* SPDX-License-Identifier: Apache-2.0 */
/* One member of the consumer group, which is one logical process. It says what it was assigned (an :assign behind its :subscribe), reads
 * from where the group is committed, commits now and then and waits for the answer, and sometimes goes, with a word or without. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define GROUP "jepsen-group"

struct sharing {
    const struct options *o;
    struct dice dice;
    rd_kafka_t *kafka;
    int id;
    struct batch batch;
    int64_t next[KEYS_MAX]; /* behind what was read under this assignment; -1: nothing was */
    uint64_t commit_ns;
    uint64_t crash_ns;
};

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    struct sharing *s = rd_kafka_opaque(kafka);

    (void)fprintf(stderr, "%" PRIu64 " member %d %d %s %s\n", now_ns(), s->id, level, facility,
                  text);
}

static void forget_places(struct sharing *s)
{
    for (int n = 0; n < KEYS_MAX; n++) {
        s->next[n] = -1;
    }
}

/* Callable while a batch waits: what it has is written first. */
static void commit(struct sharing *s)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct text value = {0};
    rd_kafka_resp_err_t error;

    batch_write(&s->batch, s->o, s->kafka, s->id, false);
    for (int n = 0; n < s->o->key_count; n++) {
        if (s->next[n] >= 0) {
            const struct key *key = &s->o->keys[n];
            rd_kafka_topic_partition_list_add(list, key->topic, key->partition)->offset =
                s->next[n];
            text_add(&value, "%s\"%s\" %" PRId64, value.len > 0 ? ", " : "", key->name, s->next[n]);
        }
    }
    if (list->cnt > 0) {
        log_op(now_ns(), s->id, "invoke", "commit", ", :value {%s}, :group \"" GROUP "\"",
               value.bytes);
        error = rd_kafka_commit(s->kafka, list, 0);
        for (int n = 0; n < list->cnt && error == 0; n++) {
            error = list->elems[n].err;
        }
        log_op(now_ns(), s->id, error == 0 ? "ok" : "info", "commit",
               ", :value {%s}, :group \"" GROUP "\"%s%s%s", value.bytes,
               error != 0 ? ", :error \"" : "", error != 0 ? rd_kafka_err2name(error) : "",
               error != 0 ? "\"" : "");
        if (error != 0) {
            s->id += 1000000;
        }
    }
    free(value.bytes);
    rd_kafka_topic_partition_list_destroy(list);
}

static void ask_committed(struct sharing *s)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    struct text value = {0};
    uint64_t asked;

    batch_write(&s->batch, s->o, s->kafka, s->id, false);
    asked = now_ns();
    if (rd_kafka_assignment(s->kafka, &list) != 0 || list == NULL) {
        return;
    }
    if (list->cnt > 0 && rd_kafka_committed(s->kafka, list, 3000) == 0) {
        for (int n = 0; n < list->cnt; n++) {
            const rd_kafka_topic_partition_t *at = &list->elems[n];
            if (at->err == 0) {
                text_add(&value, "%s\"%s/%d\" %" PRId64, value.len > 0 ? ", " : "", at->topic,
                         at->partition, at->offset >= 0 ? at->offset : -1);
            }
        }
        log_op(asked, s->id, "invoke", "committed", ", :value nil, :group \"" GROUP "\"");
        log_op(now_ns(), s->id, "ok", "committed", ", :value {%s}, :group \"" GROUP "\"",
               value.len > 0 ? value.bytes : "");
    }
    free(value.bytes);
    rd_kafka_topic_partition_list_destroy(list);
}

static void write_assign(const struct sharing *s, const char *type,
                         const rd_kafka_topic_partition_list_t *list)
{
    struct text names = {0};

    text_add(&names, "[");
    for (int n = 0; list != NULL && n < list->cnt; n++) {
        text_add(&names, "%s\"%s/%d\"", n > 0 ? " " : "", list->elems[n].topic,
                 list->elems[n].partition);
    }
    log_op(now_ns(), s->id, type, "assign", ", :value %s], :group \"" GROUP "\"", names.bytes);
    free(names.bytes);
}

static void on_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t error,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct sharing *s = opaque;
    bool given = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;

    batch_write(&s->batch, s->o, kafka, s->id, false);
    if (!given && !rd_kafka_assignment_lost(kafka) && dice_roll(&s->dice, 2) == 0) {
        commit(s);
    }
    write_assign(s, "invoke", given ? list : NULL);
    (void)rd_kafka_assign(kafka, given ? list : NULL);
    forget_places(s);
    write_assign(s, "ok", given ? list : NULL);
    s->batch.begun = now_ns(); /* a poll that is under way goes on behind these ops */
}

static void begin(struct sharing *s)
{
    rd_kafka_conf_t *conf = client_conf(s->o);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    char why[256];

    client_set(conf, "group.id", GROUP);
    client_set(conf, "isolation.level", "read_committed");
    client_set(conf, "enable.auto.commit", "false");
    client_set(conf, "enable.auto.offset.store", "false");
    client_set(conf, "auto.offset.reset", "earliest");
    client_set(conf, "session.timeout.ms", "6000");
    client_set(conf, "heartbeat.interval.ms", "1000");
    client_set(conf, "check.crcs", "true");
    client_set(conf, "fetch.wait.max.ms", "100");
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, s);
    s->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (s->kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    (void)rd_kafka_poll_set_consumer(s->kafka);
    forget_places(s);
    rd_kafka_topic_partition_list_add(topics, s->o->group_topic, RD_KAFKA_PARTITION_UA);
    log_op(now_ns(), s->id, "invoke", "subscribe", ", :value [\"%s\"]", s->o->group_topic);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(s->kafka, topics);
    log_op(now_ns(), s->id, error == 0 ? "ok" : "info", "subscribe", ", :value [\"%s\"]",
           s->o->group_topic);
    rd_kafka_topic_partition_list_destroy(topics);
    s->crash_ns = now_ns() + (15 + dice_roll(&s->dice, 60)) * 1000000000;
}

/* Half of the time as a process that is killed: the group learns it by the time-out of its session. */
static void end(struct sharing *s)
{
    batch_write(&s->batch, s->o, s->kafka, s->id, false);
    if (dice_roll(&s->dice, 2) == 0) {
        (void)rd_kafka_consumer_close(s->kafka); /* with a rebalance, which may commit */
        rd_kafka_destroy(s->kafka);
    } else {
        rd_kafka_destroy_flags(s->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
}

static void crash(struct sharing *s)
{
    end(s);
    log_op(now_ns(), s->id, "invoke", "crash", ", :value nil");
    log_op(now_ns(), s->id, "info", "crash", ", :value nil");
    s->id += 1000000;
    begin(s);
}

static void read_one(struct sharing *s)
{
    rd_kafka_message_t *m;

    if (s->batch.records == 0) {
        s->batch.begun = now_ns();
    }
    m = rd_kafka_consumer_poll(s->kafka, 100);
    if (m != NULL) {
        int key = batch_add(&s->batch, s->o, m);
        if (key >= 0) {
            s->next[key] = m->offset + 1;
        }
        rd_kafka_message_destroy(m);
    }
    if (m == NULL || s->batch.records >= 100 || now_ns() > s->batch.begun + 300000000) {
        batch_write(&s->batch, s->o, s->kafka, s->id, false);
    }
}

void *member_main(void *arg)
{
    const struct member *member = arg;
    struct sharing s = {.o = member->o};

    s.id = s.o->run * 1000 + 970 + member->number;
    s.dice.state = s.o->seed * 9000011 + (uint64_t)s.id;
    batch_empty(&s.batch);
    begin(&s);
    while (!ending) {
        uint64_t now = now_ns();
        if (now > s.crash_ns) {
            crash(&s);
        } else if (now > s.commit_ns) {
            commit(&s);
            if (dice_roll(&s.dice, 3) == 0) {
                ask_committed(&s);
            }
            s.commit_ns = now + (500 + dice_roll(&s.dice, 3000)) * 1000000;
        }
        read_one(&s);
    }
    end(&s);
    batch_empty(&s.batch);
    return NULL;
}
