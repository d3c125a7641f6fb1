/* SPDX-License-Identifier: Apache-2.0 */
/* Writes numbered records to one topic at a steady rate, counts delivery reports, and measures the
 * longest gap between two of them while something waited. For the demo and live tests; not part of
 * tern. See usage(). */
#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct producer {
    const char *brokers;
    const char *topic;
    uint64_t records;
    uint64_t rate;  /* records per second; 0: as fast as they are taken */
    uint64_t first; /* number of the first record */
    size_t size;    /* of a record's value, at least its digits */
    bool plain;     /* no idempotence */
    const char *acked_path;
    const char *progress_path;
    FILE *progress;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *handle;
    int32_t partitions;
    uint8_t *acked; /* one per record */
    uint64_t sent;
    uint64_t acknowledged;
    uint64_t failed;
    uint64_t started_us;
    uint64_t last_report_us;
    uint64_t idle_since_us; /* nothing waited from here on; 0: something waits */
    uint64_t gap_us;
    uint64_t gap_at_us;
    uint64_t progress_us;
    char failure[256]; /* the first one */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void usage(FILE *out)
{
    (void)fputs("numbered_producer: writes records 0, 1, 2, ... to a topic and counts the acks.\n\n"
                "usage: numbered_producer --brokers LIST --topic NAME --records N [options]\n\n"
                "  --rate N         records per second; default: as fast as possible\n"
                "  --first N        number of the first record; default: 0\n"
                "  --size BYTES     length of a record's value; default: 100\n"
                "  --plain          without idempotence (idempotence is the default)\n"
                "  --acked FILE     numbers of the acknowledged records, one per line, at the end\n"
                "  --progress FILE  how many are acknowledged by now, rewritten every 100 ms\n"
                "  -X KEY=VALUE     any librdkafka setting\n\n"
                "Ends with one JSON object on stdout; exit status 0 if every record was\n"
                "acknowledged, 3 if not, 1 if it could not begin, 2 for wrong usage.\n"
                "SIGINT and SIGTERM end the writing early; what was sent is waited for.\n",
                out);
}

/* ---- reports -------------------------------------------------------------------------------- */

static void note_gap(struct producer *p, uint64_t now)
{
    uint64_t from = p->last_report_us > p->idle_since_us ? p->last_report_us : p->idle_since_us;

    if (from != 0 && now - from > p->gap_us) {
        p->gap_us = now - from;
        p->gap_at_us = from - p->started_us;
    }
}

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *p = opaque;
    uint64_t number = (uint64_t)(uintptr_t)message->_private;
    uint64_t now = now_us();

    (void)kafka;
    if (message->err != 0) {
        if (p->failed++ == 0) {
            (void)snprintf(p->failure, sizeof p->failure, "record %" PRIu64 ": %s", number,
                           rd_kafka_err2str(message->err));
        }
        return;
    }
    p->acked[number - p->first] = 1;
    p->acknowledged++;
    note_gap(p, now);
    p->last_report_us = now;
    if (p->acknowledged + p->failed == p->sent) {
        p->idle_since_us = now;
    }
}

static void note_progress(struct producer *p, uint64_t now)
{
    if (p->progress == NULL || now - p->progress_us < 100000) {
        return;
    }
    p->progress_us = now;
    rewind(p->progress);
    (void)fprintf(p->progress, "%" PRIu64 "\n", p->acknowledged);
    (void)fflush(p->progress);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void send_one(struct producer *p, char *value)
{
    uint64_t number = p->first + p->sent;
    char key[24];
    int key_len = snprintf(key, sizeof key, "%" PRIu64, number);
    int32_t partition = (int32_t)(number % (uint64_t)p->partitions);

    (void)snprintf(value, p->size + 1, "%" PRIu64, number);
    value[strlen(value)] = ' '; /* the rest is filling */
    while (rd_kafka_produce(p->handle, partition, RD_KAFKA_MSG_F_COPY, value, p->size, key,
                            (size_t)key_len, (void *)(uintptr_t)number) != 0) {
        rd_kafka_resp_err_t error = rd_kafka_last_error();

        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            p->sent++;
            if (p->failed++ == 0) {
                (void)snprintf(p->failure, sizeof p->failure, "record %" PRIu64 ": %s", number,
                               rd_kafka_err2str(error));
            }
            return;
        }
        (void)rd_kafka_poll(p->kafka, 10);
    }
    if (p->acknowledged + p->failed == p->sent) {
        p->idle_since_us = now_us(); /* the clock of a gap starts with what waits */
    }
    p->sent++;
}

static void write_all(struct producer *p)
{
    char *value = malloc(p->size + 32);
    uint64_t now;

    if (value == NULL) {
        return;
    }
    memset(value, '.', p->size + 31);
    value[p->size] = '\0';
    p->started_us = now_us();
    while (p->sent < p->records && !interrupted) {
        now = now_us();
        if (p->rate == 0 || p->sent < (now - p->started_us) * p->rate / 1000000) {
            send_one(p, value);
            (void)rd_kafka_poll(p->kafka, 0);
        } else {
            (void)rd_kafka_poll(p->kafka, 1);
        }
        note_progress(p, now);
    }
    while (p->acknowledged + p->failed < p->sent) {
        (void)rd_kafka_poll(p->kafka, 10);
        note_progress(p, now_us());
    }
    free(value);
}

/* ---- start and end -------------------------------------------------------------------------- */

static bool set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        (void)fprintf(stderr, "numbered_producer: %s\n", why);
        return false;
    }
    return true;
}

/* Metadata until every partition has a leader; at most 30 s. */
static bool find_partitions(struct producer *p)
{
    uint64_t until = now_us() + 30000000;

    while (now_us() < until && !interrupted) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t error = rd_kafka_metadata(p->kafka, 0, p->handle, &metadata, 2000);
        int leaders = 0;

        if (error == 0 && metadata->topic_cnt == 1 && metadata->topics[0].err == 0) {
            p->partitions = metadata->topics[0].partition_cnt;
            for (int n = 0; n < p->partitions; n++) {
                leaders += metadata->topics[0].partitions[n].leader >= 0;
            }
        }
        if (error == 0) {
            rd_kafka_metadata_destroy(metadata);
        }
        if (p->partitions > 0 && leaders == p->partitions) {
            return true;
        }
        (void)rd_kafka_poll(p->kafka, 100);
    }
    (void)fprintf(stderr, "numbered_producer: topic %s has no leaders after 30 s\n", p->topic);
    return false;
}

static bool start(struct producer *p, rd_kafka_conf_t *conf)
{
    char why[256];

    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    if (!set(conf, "bootstrap.servers", p->brokers) || !set(conf, "acks", "all") ||
        !set(conf, "enable.idempotence", p->plain ? "false" : "true")) {
        return false;
    }
    p->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (p->kafka == NULL) {
        (void)fprintf(stderr, "numbered_producer: %s\n", why);
        return false;
    }
    p->handle = rd_kafka_topic_new(p->kafka, p->topic, NULL);
    p->acked = calloc(p->records, 1);
    return p->handle != NULL && p->acked != NULL && find_partitions(p);
}

static bool write_acked(const struct producer *p)
{
    FILE *out = fopen(p->acked_path, "we");

    if (out == NULL) {
        (void)fprintf(stderr, "numbered_producer: %s: %s\n", p->acked_path, strerror(errno));
        return false;
    }
    for (uint64_t n = 0; n < p->sent; n++) {
        if (p->acked[n] != 0) {
            (void)fprintf(out, "%" PRIu64 "\n", p->first + n);
        }
    }
    return fclose(out) == 0;
}

static void print_result(const struct producer *p)
{
    uint64_t took_us = p->last_report_us > p->started_us ? p->last_report_us - p->started_us : 0;

    (void)printf("{\"topic\": \"%s\", \"sent\": %" PRIu64 ", \"acknowledged\": %" PRIu64
                 ", \"failed\": %" PRIu64 ", \"longest_gap_ms\": %.1f, \"gap_at_ms\": %.1f"
                 ", \"took_ms\": %.1f, \"failure\": \"%s\"}\n",
                 p->topic, p->sent, p->acknowledged, p->failed, (double)p->gap_us / 1000,
                 (double)p->gap_at_us / 1000, (double)took_us / 1000, p->failure);
}

static const char *next(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc) {
        (void)fprintf(stderr, "numbered_producer: %s needs a value\n", argv[*at]);
        exit(2);
    }
    return argv[++*at];
}

static void read_setting(rd_kafka_conf_t *conf, const char *text)
{
    char key[128];
    const char *equals = strchr(text, '=');

    if (equals == NULL || (size_t)(equals - text) >= sizeof key) {
        (void)fprintf(stderr, "numbered_producer: -X KEY=VALUE is expected\n");
        exit(2);
    }
    (void)snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    if (!set(conf, key, equals + 1)) {
        exit(2);
    }
}

static void read_flags(struct producer *p, rd_kafka_conf_t *conf, int argc, char **argv)
{
    for (int n = 1; n < argc; n++) {
        if (strcmp(argv[n], "--brokers") == 0) {
            p->brokers = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--topic") == 0) {
            p->topic = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--records") == 0) {
            p->records = strtoull(next(argc, argv, &n), NULL, 10);
        } else if (strcmp(argv[n], "--rate") == 0) {
            p->rate = strtoull(next(argc, argv, &n), NULL, 10);
        } else if (strcmp(argv[n], "--first") == 0) {
            p->first = strtoull(next(argc, argv, &n), NULL, 10);
        } else if (strcmp(argv[n], "--size") == 0) {
            p->size = strtoull(next(argc, argv, &n), NULL, 10);
        } else if (strcmp(argv[n], "--plain") == 0) {
            p->plain = true;
        } else if (strcmp(argv[n], "--acked") == 0) {
            p->acked_path = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--progress") == 0) {
            p->progress_path = next(argc, argv, &n);
        } else if (strcmp(argv[n], "-X") == 0) {
            read_setting(conf, next(argc, argv, &n));
        } else {
            usage(strcmp(argv[n], "--help") == 0 ? stdout : stderr);
            exit(strcmp(argv[n], "--help") == 0 ? 0 : 2);
        }
    }
    if (p->brokers == NULL || p->topic == NULL || p->records == 0 || p->size < 24 ||
        p->size > 1000000) {
        usage(stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct producer p = {.size = 100};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    /* A client that wants to notice a new leader soon; all of it is open to -X. */
    if (!set(conf, "linger.ms", "5") || !set(conf, "retry.backoff.ms", "50") ||
        !set(conf, "reconnect.backoff.ms", "20") || !set(conf, "reconnect.backoff.max.ms", "500") ||
        !set(conf, "topic.metadata.refresh.fast.interval.ms", "50") ||
        !set(conf, "message.timeout.ms", "60000") || !set(conf, "log_level", "3")) {
        return 1;
    }
    read_flags(&p, conf, argc, argv);
    (void)signal(SIGINT, on_interrupt);
    (void)signal(SIGTERM, on_interrupt);
    if (p.progress_path != NULL) {
        p.progress = fopen(p.progress_path, "we");
        if (p.progress == NULL) {
            (void)fprintf(stderr, "numbered_producer: %s: %s\n", p.progress_path, strerror(errno));
            return 1;
        }
    }
    if (!start(&p, conf)) {
        return 1;
    }
    write_all(&p);
    print_result(&p);
    if (p.acked_path != NULL && !write_acked(&p)) {
        return 1;
    }
    if (p.progress != NULL) {
        (void)fclose(p.progress);
    }
    rd_kafka_topic_destroy(p.handle);
    rd_kafka_destroy(p.kafka);
    free(p.acked);
    return p.acknowledged == p.sent && p.sent > 0 ? 0 : 3;
}
