/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

static int history = -1;

void complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("client: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

void log_open(const char *path)
{
    history = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (history < 0) {
        complain("%s: %s", path, strerror(errno));
        exit(1);
    }
}

uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void text_vadd(struct text *t, const char *format, va_list args)
{
    va_list again;
    int need;

    va_copy(again, args);
    need = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (t->len + (size_t)need + 1 > t->room) {
        t->room = 2 * (t->len + (size_t)need) + 256;
        t->bytes = realloc(t->bytes, t->room);
        if (t->bytes == NULL) {
            abort();
        }
    }
    (void)vsnprintf(t->bytes + t->len, t->room - t->len, format, args);
    t->len += (size_t)need;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vadd(t, format, args);
    va_end(args);
}

void log_op(uint64_t at, int process, const char *type, const char *f, const char *format, ...)
{
    struct text line = {0};
    va_list args;

    text_add(&line, "{:index 0, :time %" PRIu64 ", :process %d, :type :%s, :f :%s", at, process,
             type, f);
    va_start(args, format);
    text_vadd(&line, format, args);
    va_end(args);
    text_add(&line, "}\n");
    if (write(history, line.bytes, line.len) != (ssize_t)line.len) {
        complain("the history cannot be written: %s", strerror(errno));
        _exit(1); /* what is not written down must not be asked */
    }
    free(line.bytes);
}

uint64_t dice_roll(struct dice *d, uint64_t below)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

int64_t next_value(const struct options *o)
{
    static int64_t count;

    return (int64_t)o->run * VALUE_STRIDE + __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
}

int key_index(const struct options *o, const char *topic, int32_t partition)
{
    for (int n = 0; n < o->key_count; n++) {
        if (o->keys[n].partition == partition && strcmp(o->keys[n].topic, topic) == 0) {
            return n;
        }
    }
    return -1;
}

void client_set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        complain("%s", why);
        exit(1);
    }
}

rd_kafka_conf_t *client_conf(const struct options *o)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    client_set(conf, "bootstrap.servers", o->brokers);
    client_set(conf, "log_level", "2");
    client_set(conf, "retry.backoff.ms", "50");
    client_set(conf, "reconnect.backoff.ms", "20");
    client_set(conf, "reconnect.backoff.max.ms", "500");
    client_set(conf, "socket.timeout.ms", "10000");
    client_set(conf, "socket.connection.setup.timeout.ms", "3000");
    client_set(conf, "topic.metadata.refresh.interval.ms", "5000");
    client_set(conf, "topic.metadata.refresh.fast.interval.ms", "50");
    return conf;
}
