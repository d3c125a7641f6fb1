/* SPDX-License-Identifier: Apache-2.0 */
/* A transactional producer (librdkafka) that does what lines on stdin say, one after the other, and
 * answers each with `ok` or `NAME [fatal] [abortable] [retriable]: REASON`:
 *
 *     init | begin | produce TOPIC PARTITION TEXT | flush | offset GROUP TOPIC PARTITION OFFSET
 *     commit | abort                                        a TEXT `KEY=VALUE` has a key
 *
 *     teller BROKERS TRANSACTIONAL-ID [KEY=VALUE ...]      any librdkafka setting */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 60000

static int undelivered;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    undelivered += message->err != 0;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "teller: %s\n", why);
        exit(2);
    }
}

static rd_kafka_t *start(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    set(conf, "bootstrap.servers", argv[1]);
    set(conf, "transactional.id", argv[2]);
    set(conf, "log_level", "0");
    for (int i = 3; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) {
            fprintf(stderr, "teller: %s is not KEY=VALUE\n", argv[i]);
            exit(2);
        }
        *equals = '\0';
        set(conf, argv[i], equals + 1);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL) {
        fprintf(stderr, "teller: %s\n", why);
        exit(2);
    }
    return rk;
}

static void answer(rd_kafka_error_t *error)
{
    if (error == NULL) {
        puts("ok");
    } else {
        printf("%s%s%s%s: %s\n", rd_kafka_error_name(error),
               rd_kafka_error_is_fatal(error) ? " fatal" : "",
               rd_kafka_error_txn_requires_abort(error) ? " abortable" : "",
               rd_kafka_error_is_retriable(error) ? " retriable" : "",
               rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

static rd_kafka_error_t *simple(rd_kafka_resp_err_t code)
{
    return code == 0 ? NULL : rd_kafka_error_new(code, "%s", rd_kafka_err2str(code));
}

static rd_kafka_error_t *produce(rd_kafka_t *rk, const char *topic, int partition, char *text)
{
    char *value = strchr(text, '=');
    size_t key_len = value != NULL ? (size_t)(value - text) : 0;
    const char *key = value != NULL ? text : NULL;
    value = value != NULL ? value + 1 : text;
    rd_kafka_error_t *error = simple(
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE(value, strlen(value)),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    rd_kafka_poll(rk, 0);
    return error;
}

static rd_kafka_error_t *flush(rd_kafka_t *rk)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(rk, TIMEOUT_MS);

    if (code == 0 && undelivered > 0) {
        code = RD_KAFKA_RESP_ERR__FAIL;
    }
    undelivered = 0;
    return simple(code);
}

static rd_kafka_error_t *offset(rd_kafka_t *rk, const char *group, const char *topic, int partition,
                                long long at)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_consumer_group_metadata_t *who = rd_kafka_consumer_group_metadata_new(group);

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = at;
    rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(rk, list, who, TIMEOUT_MS);
    rd_kafka_consumer_group_metadata_destroy(who);
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

static rd_kafka_error_t *obey(rd_kafka_t *rk, const char *line)
{
    char topic[250];
    char group[250];
    char text[250];
    int partition;
    long long at;

    if (strcmp(line, "init") == 0) {
        return rd_kafka_init_transactions(rk, TIMEOUT_MS);
    }
    if (strcmp(line, "begin") == 0) {
        return rd_kafka_begin_transaction(rk);
    }
    if (strcmp(line, "commit") == 0) {
        return rd_kafka_commit_transaction(rk, TIMEOUT_MS);
    }
    if (strcmp(line, "abort") == 0) {
        return rd_kafka_abort_transaction(rk, TIMEOUT_MS);
    }
    if (strcmp(line, "flush") == 0) {
        return flush(rk);
    }
    if (sscanf(line, "produce %249s %d %249s", topic, &partition, text) == 3) {
        return produce(rk, topic, partition, text);
    }
    if (sscanf(line, "offset %249s %249s %d %lld", group, topic, &partition, &at) == 4) {
        return offset(rk, group, topic, partition, at);
    }
    return rd_kafka_error_new(RD_KAFKA_RESP_ERR__INVALID_ARG, "what is \"%s\"?", line);
}

int main(int argc, char **argv)
{
    char line[1024];

    if (argc < 3) {
        fprintf(stderr, "usage: teller BROKERS TRANSACTIONAL-ID [KEY=VALUE ...]\n");
        return 2;
    }
    rd_kafka_t *rk = start(argc, argv);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(obey(rk, line));
        fflush(stdout);
    }
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return 0;
}
