/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka clients of one region, on librdkafka, that write down what they ask and what they are told: a history in Jepsen's EDN form
 * (../lib/history.py). Not part of tern, and linked with nothing of it.
 *
 * A line is written before its request leaves and after its answer is there, each with one write(2), so that a client that is
 * killed leaves a history that is true: what has no end is unknown. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#define KEYS_MAX     256
#define VALUE_STRIDE 10000000 /* values of one run of a client: run * stride + n */
#define PAYLOAD_MAX  2000000

/* One partition, which is one key of the history. */
struct key {
    char topic[64];
    int32_t partition;
    bool transactional; /* written to by transactions alone */
    char name[80];      /* "topic/partition" */
};

struct options {
    const char *brokers;
    const char *out;
    int run;     /* number of this run: no two runs of one history have the same */
    int senders; /* producers */
    int width;   /* logical processes, each with one send under way, per producer */
    int pollers;
    int rate;         /* sends per second, all producers together; transactions are not counted */
    int txns;         /* transactional producers */
    int members;      /* of the consumer group */
    const char *name; /* of the region: a transactional id is the same in every run of a client */
    const char *txn_topic;
    const char *group_topic;
    uint64_t seed;
    int final_seconds; /* above 0: only the last read, at most so long */
    struct key keys[KEYS_MAX];
    int key_count;
};

/* ---- log.c: the history. Callable from every thread. ---------------------------------------- */
void log_open(const char *path);
uint64_t now_ns(void);
/* {:index 0, :time AT, :process P, :type :TYPE, :f :F, then what printf makes, then }. */
void log_op(uint64_t at, int process, const char *type, const char *f, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct text {
    char *bytes;
    size_t len;
    size_t room;
};
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct dice {
    uint64_t state;
};
uint64_t dice_roll(struct dice *d, uint64_t below);

/* Unique in a history. */
int64_t next_value(const struct options *o);
/* Index of a key, or -1. */
int key_index(const struct options *o, const char *topic, int32_t partition);

/* Every client wants to notice a new leader soon. Ends the program if a setting is unknown. */
rd_kafka_conf_t *client_conf(const struct options *o);
void client_set(rd_kafka_conf_t *conf, const char *key, const char *value);

/* ---- payload.c: bytes that tell what they are ----------------------------------------------- */
/* Returns the length. room: at least size and 120. */
size_t payload_make(char *out, size_t size, const char *key, int64_t value, uint64_t salt);
/* The value, or -1: not what a client sent to this key. */
int64_t payload_read(const char *bytes, size_t len, const char *key);

/* ---- batch.c: what one poll has returned ------------------------------------------------------ */
struct batch {
    struct text by_key[KEYS_MAX];
    int records;
    uint64_t begun;
};
/* A record. Returns the index of its key, or -1: no record, or of no topic that is known. */
int batch_add(struct batch *b, const struct options *o, const rd_kafka_message_t *m);
/* {"key" [[offset value] ...], ...} without the braces. */
void batch_print(const struct batch *b, const struct options *o, struct text *to);
/* Writes the poll down, nothing if it returned nothing, and begins another one. */
void batch_write(struct batch *b, const struct options *o, rd_kafka_t *kafka, int process,
                 bool final);
void batch_empty(struct batch *b);

/* ---- sender.c, poller.c, txn.c, member.c: one thread each ------------------------------------ */
struct sender {
    const struct options *o;
    int number;
};
void *sender_main(void *sender);
struct poller {
    const struct options *o;
    int number;
};
void *poller_main(void *poller);
struct txns {
    const struct options *o;
    int number;
};
void *txns_main(void *txns);
struct member {
    const struct options *o;
    int number;
};
void *member_main(void *member);
/* 0: every key was read up to its end. */
int final_read(const struct options *o);

extern volatile bool stopping; /* no new sends; polls go on until `ending` */
extern volatile bool ending;
