/* SPDX-License-Identifier: Apache-2.0 */
/* One idempotent producer and the logical processes that share it. Each has at most one send under way.
 *
 * What is known of a send: acknowledged is ok. Refused by the cluster for its size is fail; so is what librdkafka would not even
 * take. Everything else is unknown, also what librdkafka calls "not persisted": it says that of NOT_LEADER_OR_FOLLOWER, too, which
 * a leader may answer after it has appended. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

struct process {
    struct sending *sending;
    int id;
    bool busy;
    uint64_t due_ns;
    const struct key *key;
    int64_t value;
    size_t bytes;
};

struct sending {
    const struct options *o;
    int number;
    int generation; /* of the producer: goes up when it crashes */
    struct dice dice;
    rd_kafka_t *kafka;
    struct process *processes;
    int busy;
    uint64_t crash_ns;
    char *payload;
};

static int producer_id(const struct sending *s)
{
    return (s->o->run * 100 + s->number) * 1000 + s->generation;
}

static uint64_t pause_ns(struct sending *s)
{
    uint64_t each = (uint64_t)s->o->senders * (uint64_t)s->o->width * 1000000000 /
                    (uint64_t)s->o->rate; /* mean time between two sends of a process */

    return dice_roll(&s->dice, 2 * each + 1);
}

static void ended(struct process *p, const char *type, const char *error, int64_t offset)
{
    struct sending *s = p->sending;
    uint64_t now = now_ns();

    if (offset >= 0) {
        log_op(now, p->id, type, "send",
               ", :value [[:send \"%s\" [%" PRId64 " %" PRId64 "]]], :producer %d, :bytes %zu",
               p->key->name, offset, p->value, producer_id(s), p->bytes);
    } else {
        log_op(now, p->id, type, "send",
               ", :value [[:send \"%s\" %" PRId64 "]], :producer %d, :bytes %zu, :error \"%s\"",
               p->key->name, p->value, producer_id(s), p->bytes, error);
    }
    if (strcmp(type, "info") == 0) {
        p->id +=
            1000000; /* a process that does not know what it did is gone; another one goes on */
    }
    p->busy = false;
    p->due_ns = now + pause_ns(s);
    s->busy--;
}

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct process *p = message->_private;

    (void)kafka;
    (void)opaque;
    if (message->err == 0) {
        ended(p, "ok", "no offset was told", message->offset);
    } else if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        ended(p, "fail", rd_kafka_err2name(message->err), -1);
    } else {
        ended(p, "info", rd_kafka_err2name(message->err), -1);
    }
}

/* librdkafka begins a new producer epoch of its own accord when it is told of a gap in the sequence or when a message times out, and
 * writes again, under the new one, what may be there already (its issue 4953): duplicates that no cluster can see. So it is written
 * down when that happens; the checker forgives a duplicate only of a send that was under way then. */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    struct sending *s = rd_kafka_opaque(kafka);

    if (strstr(text, "bumped epoch to") != NULL) {
        log_op(now_ns(), 950000 + s->o->run * 100 + s->number, "info", "epoch-bump",
               ", :value nil, :producer %d", producer_id(s));
    }
    if (strcmp(facility, "ERRSEQ") == 0) {
        log_op(now_ns(), 950000 + s->o->run * 100 + s->number, "info", "out-of-order",
               ", :value nil, :producer %d", producer_id(s));
    }
    if (strcmp(facility, "NEWPID") != 0 && strcmp(facility, "RESETSEQ") != 0) {
        (void)fprintf(stderr, "%" PRIu64 " %d %s %s\n", now_ns(), level, facility, text);
    }
}

static void begin(struct sending *s)
{
    static const char *const linger[] = {"0", "1", "5", "20"};
    rd_kafka_conf_t *conf = client_conf(s->o);
    char why[256];

    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    client_set(conf, "debug", "eos"); /* into the client's log: why a producer began a new epoch */
    client_set(conf, "log_level", "7");
    client_set(conf, "acks", "all");
    client_set(conf, "enable.idempotence", "true");
    client_set(conf, "message.max.bytes", "3000000");
    client_set(conf, "request.timeout.ms", "5000");
    client_set(conf, "linger.ms", linger[dice_roll(&s->dice, 4)]);
    /* For ever: see on_log. What a send that gives up means is seen when a producer crashes. */
    client_set(conf, "message.timeout.ms", "0");
    client_set(conf, "max.in.flight.requests.per.connection",
               dice_roll(&s->dice, 3) == 0 ? "1" : "5");
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, s);
    s->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (s->kafka == NULL) {
        complain("%s", why);
        exit(1);
    }
    s->generation++;
    s->crash_ns = now_ns() + (20 + dice_roll(&s->dice, 40)) * 1000000000;
}

/* Whatever is under way is unknown from now on. */
static void crash(struct sending *s, const char *why)
{
    int id = 900000 + s->o->run * 100 + s->number;

    log_op(now_ns(), id, "invoke", "crash", ", :value nil, :producer %d", producer_id(s));
    (void)rd_kafka_purge(s->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                       RD_KAFKA_PURGE_F_NON_BLOCKING);
    while (s->busy > 0) {
        (void)rd_kafka_poll(s->kafka, 100);
    }
    rd_kafka_destroy(s->kafka);
    log_op(now_ns(), id, "ok", "crash", ", :value nil, :error \"%s\"", why);
    begin(s);
}

static size_t size_of_next(struct sending *s)
{
    uint64_t roll = dice_roll(&s->dice, 20000);

    if (roll == 0) {
        return 1200000; /* above max_message: refused */
    }
    return roll < 200 ? 20000 : 80 + dice_roll(&s->dice, 300);
}

static const struct key *key_of_next(struct sending *s)
{
    const struct key *key;

    do {
        key = &s->o->keys[dice_roll(&s->dice, (uint64_t)s->o->key_count)];
    } while (key->transactional);
    return key;
}

static void send_one(struct process *p)
{
    struct sending *s = p->sending;
    uint64_t salt = dice_roll(&s->dice, UINT64_MAX);
    rd_kafka_resp_err_t error;
    size_t len;

    p->key = key_of_next(s);
    p->value = next_value(s->o);
    len = payload_make(s->payload, size_of_next(s), p->key->name, p->value, salt);
    p->bytes = len;
    p->busy = true;
    s->busy++;
    log_op(now_ns(), p->id, "invoke", "send",
           ", :value [[:send \"%s\" %" PRId64 "]], :producer %d, :bytes %zu", p->key->name,
           p->value, producer_id(s), p->bytes);
    error = rd_kafka_producev(
        s->kafka, RD_KAFKA_V_TOPIC(p->key->topic), RD_KAFKA_V_PARTITION(p->key->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(s->payload, len),
        RD_KAFKA_V_OPAQUE(p), RD_KAFKA_V_END);
    if (error != 0) {
        ended(p, "fail", rd_kafka_err2name(error), -1);
    }
}

void *sender_main(void *arg)
{
    const struct sender *sender = arg;
    struct sending s = {.o = sender->o, .number = sender->number};

    s.dice.state = s.o->seed * 1000003 + (uint64_t)(s.o->run * 100 + s.number);
    s.payload = malloc(PAYLOAD_MAX);
    s.processes = calloc((size_t)s.o->width, sizeof *s.processes);
    if (s.payload == NULL || s.processes == NULL) {
        abort();
    }
    begin(&s);
    for (int n = 0; n < s.o->width; n++) {
        s.processes[n] = (struct process){
            .sending = &s,
            .id = s.o->run * 1000 + s.number * s.o->width + n,
            .due_ns = now_ns() + pause_ns(&s),
        };
    }
    while (!stopping || s.busy > 0) {
        char why[200];
        uint64_t now = now_ns();

        for (int n = 0; n < s.o->width && !stopping; n++) {
            if (!s.processes[n].busy && s.processes[n].due_ns <= now) {
                send_one(&s.processes[n]);
            }
        }
        (void)rd_kafka_poll(s.kafka, 1);
        if (rd_kafka_fatal_error(s.kafka, why, sizeof why) != 0) {
            complain("producer %d: fatal: %s", producer_id(&s), why);
            crash(&s, "fatal");
        } else if (!stopping && now > s.crash_ns) {
            crash(&s, "planned");
        }
    }
    rd_kafka_destroy(s.kafka);
    free(s.processes);
    free(s.payload);
    return NULL;
}
