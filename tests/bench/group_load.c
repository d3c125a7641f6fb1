/* SPDX-License-Identifier: Apache-2.0 */
/* Members of groups of the new protocol, one a connection, and requests at a fixed rate over all of
 * them whatever the answers do (open loop): heartbeats that change nothing, and Metadata of one
 * topic, in turn. Latency counts from when a request should have left.
 *
 *     group_load HOST:PORT CONNECTIONS RATE SECONDS TOPIC GROUP...
 *
 * The node must coordinate the groups. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "kafka/codec.h"
#include "kafka/generated/messages.h"

#define PENDING_MAX 64
#define IN_MAX      16384

struct member {
    int fd;
    uint32_t number;
    int32_t epoch;
    const char *group;
    uint8_t in[IN_MAX];
    size_t in_len;
    uint64_t due_us[PENDING_MAX]; /* of requests under way, in order */
    int16_t keys[PENDING_MAX];
    uint32_t head;
    uint32_t tail;
};

static struct member *members;
static uint32_t member_count;
static const char *topic;
static uint64_t *latencies;
static size_t latency_count;
static size_t latency_cap;
static uint64_t errors;
static uint64_t late_sends; /* more than 1 ms after they were due */
static bool recording;

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "group_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_request(struct member *m, int16_t key, int16_t version, const void *message,
                         uint64_t due_us)
{
    struct kafka_request_header header = {key, version, (int32_t)m->tail, slice_text("load")};
    struct kafka_out out = {0};
    uint8_t length[4];

    if (m->tail - m->head >= PENDING_MAX) {
        errors++;
        return;
    }
    if (kafka_encode_request(&header, message, &out, NULL) != 0) {
        die("encode");
    }
    put_be32(length, (uint32_t)out.bytes.len);
    struct buf all = {0};
    buf_put(&all, slice_of(length, 4));
    buf_put(&all, buf_slice(&out.bytes));
    if (send(m->fd, all.base, all.len, MSG_NOSIGNAL) != (ssize_t)all.len) {
        die("send");
    }
    buf_fini(&all);
    kafka_out_fini(&out);
    m->due_us[m->tail % PENDING_MAX] = due_us;
    m->keys[m->tail % PENDING_MAX] = key;
    m->tail++;
    late_sends += now_us() > due_us + 1000;
}

static void send_beat(struct member *m, uint64_t due_us)
{
    struct kafka_consumer_group_heartbeat_request q;
    struct kafka_consumer_group_heartbeat_request_owned none;
    struct slice name = slice_text(topic);
    char id[32];

    kafka_consumer_group_heartbeat_request_init(&q);
    (void)snprintf(id, sizeof id, "member-%u", m->number);
    q.group_id = slice_text(m->group);
    q.member_id = slice_text(id);
    q.member_epoch = m->epoch;
    if (m->epoch == 0) {
        q.rebalance_timeout_ms = 60000;
        q.subscribed_topic_names = &name;
        q.subscribed_topic_names_count = 1;
        q.topic_partitions = &none;
    } else if (!recording) {
        q.topic_partitions = &none; /* it gives up whatever it is to give up */
    }
    send_request(m, 68, 0, &q, due_us);
}

static void send_metadata(struct member *m, uint64_t due_us)
{
    struct kafka_metadata_request q;
    struct kafka_metadata_request_topic t;

    kafka_metadata_request_init(&q);
    kafka_metadata_request_topic_init(&t);
    t.name = slice_text(topic);
    q.topics = &t;
    q.topics_count = 1;
    send_request(m, 3, 9, &q, due_us);
}

static void answered(struct member *m, struct slice frame)
{
    int16_t key = m->keys[m->head % PENDING_MAX];
    int16_t version = key == 68 ? 0 : 9;
    uint64_t took = now_us() - m->due_us[m->head % PENDING_MAX];
    struct arena arena;
    struct slice body;
    int32_t id;
    void *message = NULL;

    m->head++;
    arena_init(&arena);
    if (kafka_decode_response_header(key, version, frame, &id, &body) != 0 ||
        kafka_decode_response(key, version, body, &arena, &message, NULL) != 0) {
        errors++;
    } else if (key == 68) {
        const struct kafka_consumer_group_heartbeat_response *r = message;
        errors += recording && r->error != 0;
        m->epoch = r->error == 0 ? r->member_epoch : r->error == 14 ? m->epoch : 0;
    }
    arena_fini(&arena);
    if (recording) {
        if (latency_count < latency_cap) {
            latencies[latency_count++] = took;
        }
    }
}

static void read_some(struct member *m)
{
    ssize_t got = recv(m->fd, m->in + m->in_len, IN_MAX - m->in_len, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        die("recv");
    }
    m->in_len += got > 0 ? (size_t)got : 0;
    size_t at = 0;
    while (m->in_len - at >= 4) {
        uint32_t size = get_be32(m->in + at);
        if (size > IN_MAX - 4) {
            die("a large answer");
        }
        if (m->in_len - at < 4 + (size_t)size) {
            break;
        }
        answered(m, slice_of(m->in + at + 4, size));
        at += 4 + (size_t)size;
    }
    memmove(m->in, m->in + at, m->in_len - at);
    m->in_len -= at;
}

static void wait_us(int epoll, uint64_t until)
{
    struct epoll_event events[256];
    uint64_t now;

    do {
        now = now_us();
        struct timespec left = {0};
        left.tv_nsec = now < until ? (long)((until - now) * 1000) : 0;
        if (left.tv_nsec > 5000000) {
            left.tv_nsec = 5000000;
        }
        int count = epoll_pwait2(epoll, events, 256, &left, NULL);
        for (int i = 0; i < count; i++) {
            read_some(events[i].data.ptr);
        }
    } while (now_us() < until);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double at(double part)
{
    return (double)latencies[(size_t)((double)(latency_count - 1) * part)] / 1000;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    char *end;

    if (argc < 7) {
        (void)fprintf(stderr,
                      "usage: group_load HOST:PORT CONNECTIONS RATE SECONDS TOPIC GROUP...\n");
        return 2;
    }
    (void)snprintf(host, sizeof host, "%s", argv[1]);
    char *colon = strchr(host, ':');
    if (colon == NULL) {
        return 2;
    }
    *colon = '\0';
    (void)inet_pton(AF_INET, host, &address.sin_addr);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, &end, 10));
    member_count = (uint32_t)strtoul(argv[2], &end, 10);
    uint64_t rate = strtoul(argv[3], &end, 10);
    uint64_t seconds = strtoul(argv[4], &end, 10);
    topic = argv[5];
    members = mem_new((size_t)(member_count + 1) * sizeof *members);
    latency_cap = rate * seconds;
    latencies = mem_new((latency_cap + 1) * sizeof *latencies);
    int epoll = epoll_create1(0);
    for (uint32_t i = 0; i < member_count; i++) {
        struct member *m = &members[i];
        int one = 1;
        m->number = i;
        m->group = argv[6 + i % (uint32_t)(argc - 6)];
        m->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (m->fd < 0 || connect(m->fd, (struct sockaddr *)&address, sizeof address) != 0) {
            die("connect");
        }
        (void)setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};
        (void)epoll_ctl(epoll, EPOLL_CTL_ADD, m->fd, &event);
    }
    /* All join, and beat until nothing changes any more. */
    uint64_t began = now_us();
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < member_count; i++) {
            send_beat(&members[i], now_us());
            wait_us(epoll, began += round == 0 ? 1000 : 250);
        }
        wait_us(epoll, began += 1000000);
    }
    recording = true;
    double cpu = cpu_s();
    began = now_us();
    for (uint64_t i = 0; i < rate * seconds; i++) {
        struct member *m = &members[i * 7919 % member_count];
        uint64_t due = began + i * 1000000 / rate;
        wait_us(epoll, due);
        if (i % 2 == 0) {
            send_beat(m, due);
        } else {
            send_metadata(m, due);
        }
    }
    wait_us(epoll, now_us() + 2000000);
    cpu = cpu_s() - cpu;
    qsort(latencies, latency_count, sizeof *latencies, compare);
    printf("{\"requests\": %zu, \"errors\": %llu, \"late_sends\": %llu, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f, \"client_cpu\": %.2f}\n",
           latency_count, (unsigned long long)errors, (unsigned long long)late_sends, at(0.5),
           at(0.99), at(0.999), at(1), cpu / (double)seconds);
    return 0;
}
