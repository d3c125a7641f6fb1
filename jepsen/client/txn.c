/* SPDX-License-Identifier: Apache-2.0 */
/* One transactional producer, which is one logical process: a transaction sends to keys of the transactional topic, and every other one
 * of these threads also moves: it reads one key of that topic and commits what it has read with what it sends.
 *
 * What is known of a transaction: ok when its commit is acknowledged; fail when its abort is, or when nobody ever asked to commit it
 * (a crash before that, too: who comes next with the same transactional id aborts it); else unknown, and the process is gone. After
 * an error at the end the producer is begun anew, so that no request of an older transaction can end a newer one of its epoch. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define SENDS_MAX        4
#define READS_MAX        5
#define PATIENCE         30         /* seconds for one commit or abort */
#define ANSWERED_AT_ONCE 1000000000 /* ns; several round trips of the slowest profile */

struct sent {
    const struct key *key;
    int64_t value;
    int64_t offset; /* -1: not told yet */
};

struct deciding {
    const struct options *o;
    struct dice dice;
    int number;
    int id;
    int generation;
    uint64_t crash_ns;
    char *payload;
    char name[64];      /* transactional id, and group */
    rd_kafka_t *kafka;  /* NULL: to be begun */
    rd_kafka_t *reader; /* NULL: does not move */
    const struct key *input;
    bool placed; /* the reader stands where the group's committed offset says */

    /* The transaction under way. */
    struct sent sent[SENDS_MAX];
    int count;
    struct batch read;
    int64_t read_to;   /* -1: nothing was read */
    uint64_t asked_ns; /* when its commit was asked for; 0: never */
};

static uint64_t seconds_from_now(uint64_t low, struct dice *dice, uint64_t more)
{
    return now_ns() + (low + dice_roll(dice, more)) * 1000000000;
}

static int producer_id(const struct deciding *d)
{
    return (d->o->run * 100 + 60 + d->number) * 1000 + d->generation;
}

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct sent *sent = message->_private;

    (void)kafka;
    (void)opaque;
    if (message->err == 0) {
        sent->offset = message->offset;
    }
}

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    struct deciding *d = rd_kafka_opaque(kafka);

    (void)fprintf(stderr, "%" PRIu64 " %s %d %s %s\n", now_ns(), d->name, level, facility, text);
}

/* Of an error, which is freed. */
static void note_error(struct deciding *d, const char *what, rd_kafka_error_t *error)
{
    (void)fprintf(stderr, "%" PRIu64 " %s: %s: %s: %s\n", now_ns(), d->name, what,
                  rd_kafka_error_name(error), rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

static void drop(struct deciding *d)
{
    if (d->kafka != NULL) {
        rd_kafka_destroy(d->kafka);
    }
    d->kafka = NULL;
}

/* A producer that has fenced the one before it. False: not yet. */
static bool begin(struct deciding *d)
{
    rd_kafka_conf_t *conf = client_conf(d->o);
    rd_kafka_error_t *error;
    char why[256];

    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, d);
    client_set(conf, "transactional.id", d->name);
    client_set(conf, "socket.timeout.ms", "5000");
    client_set(conf, "transaction.timeout.ms", dice_roll(&d->dice, 2) == 0 ? "6000" : "20000");
    client_set(conf, "linger.ms", dice_roll(&d->dice, 2) == 0 ? "0" : "5");
    d->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (d->kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    d->generation++;
    d->placed = false;
    d->crash_ns = seconds_from_now(10, &d->dice, 30);
    error = rd_kafka_init_transactions(d->kafka, 10000);
    if (error != NULL) {
        note_error(d, "init", error);
        drop(d);
        return false;
    }
    return true;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static rd_kafka_t *open_reader(struct deciding *d)
{
    rd_kafka_conf_t *conf = client_conf(d->o);
    rd_kafka_t *kafka;
    char why[256];

    client_set(conf, "group.id", d->name);
    client_set(conf, "isolation.level", "read_committed");
    client_set(conf, "enable.auto.commit", "false");
    client_set(conf, "enable.auto.offset.store", "false");
    client_set(conf, "auto.offset.reset", "error");
    client_set(conf, "check.crcs", "true");
    client_set(conf, "fetch.wait.max.ms", "100");
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, d);
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    (void)rd_kafka_poll_set_consumer(kafka);
    return kafka;
}

/* To where the group is committed. False: that cannot be learned now. */
static bool place(struct deciding *d)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_add(list, d->input->topic, d->input->partition);
    uint64_t asked = now_ns();

    if (rd_kafka_committed(d->reader, list, 5000) == 0 && at->err == 0) {
        log_op(asked, d->id, "invoke", "committed", ", :value nil, :group \"%s\"", d->name);
        log_op(now_ns(), d->id, "ok", "committed", ", :value {\"%s\" %" PRId64 "}, :group \"%s\"",
               d->input->name, at->offset >= 0 ? at->offset : -1, d->name);
        if (at->offset < 0) {
            at->offset = 0;
        }
        log_op(now_ns(), d->id, "invoke", "assign", ", :value [\"%s\"]", d->input->name);
        d->placed = rd_kafka_assign(d->reader, list) == 0;
        log_op(now_ns(), d->id, "ok", "assign", ", :value [\"%s\"]", d->input->name);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return d->placed;
}

static void read_some(struct deciding *d)
{
    uint64_t until = now_ns() + 300000000;

    while (d->read.records < READS_MAX && now_ns() < until) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(d->reader, 50);
        if (m == NULL) {
            continue;
        }
        if (batch_add(&d->read, d->o, m) >= 0) {
            d->read_to = m->offset + 1;
        }
        rd_kafka_message_destroy(m);
    }
}

/* What was read is committed together with what is sent. */
static rd_kafka_error_t *send_offsets(struct deciding *d)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(d->reader);
    rd_kafka_error_t *error;

    rd_kafka_topic_partition_list_add(list, d->input->topic, d->input->partition)->offset =
        d->read_to;
    error = rd_kafka_send_offsets_to_transaction(d->kafka, list, group, 5000);
    for (int n = 0; n < 3 && error != NULL && rd_kafka_error_is_retriable(error); n++) {
        note_error(d, "offsets, again", error);
        error = rd_kafka_send_offsets_to_transaction(d->kafka, list, group, 5000);
    }
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static void choose(struct deciding *d)
{
    d->count = 1 + (int)dice_roll(&d->dice, SENDS_MAX);
    d->read_to = -1;
    d->asked_ns = 0;
    batch_empty(&d->read);
    for (int n = 0; n < d->count; n++) {
        const struct key *key;
        do {
            key = &d->o->keys[dice_roll(&d->dice, (uint64_t)d->o->key_count)];
        } while (!key->transactional);
        d->sent[n] = (struct sent){key, next_value(d->o), -1};
    }
}

static void print_sends(const struct deciding *d, struct text *to, bool done)
{
    for (int n = 0; n < d->count; n++) {
        const struct sent *sent = &d->sent[n];
        if (done && sent->offset >= 0) {
            text_add(to, "%s[:send \"%s\" [%" PRId64 " %" PRId64 "]]", n > 0 ? " " : "",
                     sent->key->name, sent->offset, sent->value);
        } else {
            text_add(to, "%s[:send \"%s\" %" PRId64 "]", n > 0 ? " " : "", sent->key->name,
                     sent->value);
        }
    }
}

static void write_begin(const struct deciding *d)
{
    struct text value = {0};

    print_sends(d, &value, false);
    log_op(now_ns(), d->id, "invoke", "txn", ", :value [%s%s], :producer %d%s%s%s", value.bytes,
           d->reader != NULL ? " [:poll {}]" : "", producer_id(d),
           d->reader != NULL ? ", :group \"" : "", d->reader != NULL ? d->name : "",
           d->reader != NULL ? "\"" : "");
    free(value.bytes);
}

static void write_end(struct deciding *d, const char *type, const char *error)
{
    struct text value = {0};
    struct text more = {0};

    print_sends(d, &value, true);
    if (d->read_to >= 0) {
        text_add(&value, " [:poll {");
        batch_print(&d->read, d->o, &value);
        text_add(&value, "}]");
        text_add(&more, ", :group \"%s\", :offsets {\"%s\" %" PRId64 "}", d->name, d->input->name,
                 d->read_to);
    }
    if (d->asked_ns != 0) {
        text_add(&more, ", :asked %" PRIu64, d->asked_ns);
    }
    if (error != NULL) {
        text_add(&more, ", :error \"%s\"", error);
    }
    log_op(now_ns(), d->id, type, "txn", ", :value [%s], :producer %d%s", value.bytes,
           producer_id(d), more.len > 0 ? more.bytes : "");
    free(value.bytes);
    free(more.bytes);
    if (strcmp(type, "ok") != 0) {
        d->placed = false; /* what was read is not committed, or not known to be */
    }
    if (strcmp(type, "info") == 0) {
        d->id += 1000000;
    }
}

static bool send_all(struct deciding *d)
{
    for (int n = 0; n < d->count; n++) {
        struct sent *sent = &d->sent[n];
        size_t len = payload_make(d->payload, 80 + dice_roll(&d->dice, 300), sent->key->name,
                                  sent->value, dice_roll(&d->dice, UINT64_MAX));
        if (rd_kafka_producev(d->kafka, RD_KAFKA_V_TOPIC(sent->key->topic),
                              RD_KAFKA_V_PARTITION(sent->key->partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE(d->payload, len), RD_KAFKA_V_OPAQUE(sent),
                              RD_KAFKA_V_END) != 0) {
            return false;
        }
    }
    return true;
}

enum outcome { DONE, MUST_ABORT, UNKNOWN };

static enum outcome end_it(struct deciding *d, bool commit)
{
    uint64_t until = now_ns() + (uint64_t)PATIENCE * 1000000000;

    for (;;) {
        rd_kafka_error_t *error = commit ? rd_kafka_commit_transaction(d->kafka, 5000)
                                         : rd_kafka_abort_transaction(d->kafka, 5000);
        bool again;
        bool abortable;
        if (error == NULL) {
            return DONE;
        }
        again = rd_kafka_error_is_retriable(error) && now_ns() < until && !ending;
        abortable = commit && rd_kafka_error_txn_requires_abort(error);
        note_error(d, commit ? "commit" : "abort", error);
        if (abortable) {
            return MUST_ABORT;
        }
        if (!again) {
            return UNKNOWN;
        }
    }
}

/* An end that was not answered at once may have been given up and sent again, and the first request may
 * still come. Of transaction.version 1 it names producer and epoch alone, and would end whatever is open
 * then (KIP-890; librdkafka knows no other version). So the next transaction has another epoch. */
static void fence_what_may_come(struct deciding *d, uint64_t asked_ns)
{
    if (now_ns() - asked_ns > ANSWERED_AT_ONCE) {
        drop(d);
    }
}

/* Until its end is to be asked for. False: it must be aborted. */
static bool fill(struct deciding *d)
{
    bool read_first = dice_roll(&d->dice, 2) == 0;
    rd_kafka_error_t *error;

    if (d->reader != NULL && read_first) {
        read_some(d);
    }
    if (!send_all(d)) {
        return false;
    }
    if (dice_roll(&d->dice, 3) ==
        0) { /* some stay open for a while, and their records are in the log */
        uint64_t until = now_ns() + dice_roll(&d->dice, 1500) * 1000000;
        while (now_ns() < until) {
            (void)rd_kafka_poll(d->kafka, 50);
        }
    }
    if (d->reader != NULL && !read_first) {
        read_some(d);
    }
    if (d->read_to >= 0) {
        error = send_offsets(d);
        if (error != NULL) {
            note_error(d, "offsets", error);
            return false;
        }
    }
    return true;
}

static void transact(struct deciding *d)
{
    rd_kafka_error_t *error;
    bool commit;

    choose(d);
    write_begin(d);
    error = rd_kafka_begin_transaction(d->kafka);
    if (error != NULL) {
        note_error(d, "begin", error);
        write_end(d, "fail", "it did not begin");
        drop(d);
        return;
    }
    commit = fill(d) && dice_roll(&d->dice, 5) != 0;
    if (now_ns() > d->crash_ns) {
        if (dice_roll(&d->dice, 2) == 0) {
            (void)rd_kafka_flush(d->kafka,
                                 1000); /* its records are in the log, and nothing ends it */
        }
        drop(d);
        write_end(d, "fail", "crashed before anybody asked for its end");
        return;
    }
    if (commit) {
        d->asked_ns = now_ns();
        switch (end_it(d, true)) {
        case DONE:
            (void)rd_kafka_poll(d->kafka, 0);
            write_end(d, "ok", NULL);
            fence_what_may_come(d, d->asked_ns);
            return;
        case MUST_ABORT:
            break;
        case UNKNOWN:
            drop(d);
            write_end(d, "info", "the commit was not acknowledged");
            return;
        }
    }
    uint64_t aborted_ns = now_ns();
    if (end_it(d, false) == DONE) {
        write_end(d, "fail", "aborted");
        if (d->asked_ns != 0) {
            drop(d);
        }
        fence_what_may_come(d, aborted_ns);
        return;
    }
    drop(d);
    if (d->asked_ns != 0) {
        write_end(d, "info", "neither the commit nor the abort was acknowledged");
    } else {
        write_end(d, "fail", "nobody asked to commit it");
    }
}

/* Not the same in every region. */
static const struct key *choose_input(const struct options *o, const char *name)
{
    int left = 0;

    for (const char *at = name; *at != '\0'; at++) {
        left += *at;
    }
    left %= 7;
    for (int n = 0;; n = (n + 1) % o->key_count) {
        if (o->keys[n].transactional && left-- == 0) {
            return &o->keys[n];
        }
    }
}

void *txns_main(void *arg)
{
    const struct txns *txns = arg;
    struct deciding d = {.o = txns->o, .number = txns->number};

    d.id = d.o->run * 1000 + 940 + d.number;
    d.dice.state = d.o->seed * 3000017 + (uint64_t)d.id;
    d.payload = malloc(PAYLOAD_MAX);
    if (d.payload == NULL) {
        abort();
    }
    (void)snprintf(d.name, sizeof d.name, "mover-%s-%d", d.o->name, d.number);
    if (d.number % 2 == 0) {
        d.input = choose_input(d.o, d.name);
        d.reader = open_reader(&d);
    }
    while (!stopping) {
        if ((d.kafka == NULL && !begin(&d)) || (d.reader != NULL && !d.placed && !place(&d))) {
            (void)usleep(200000);
            continue;
        }
        transact(&d);
        (void)usleep((useconds_t)(20000 + dice_roll(&d.dice, 400000)));
    }
    drop(&d);
    if (d.reader != NULL) {
        rd_kafka_destroy_flags(d.reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    batch_empty(&d.read);
    free(d.payload);
    return NULL;
}
