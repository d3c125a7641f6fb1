/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "door.h"

enum {
    RULES_MAX = 64,
    PAIRS_MAX = 1024, /* more connections are refused */
    BUFFER = 65536,
    EVENTS = 64,
};

struct rule {
    char netns[128]; /* empty: our own */
    struct sockaddr_in listen;
    struct sockaddr_in target;
    int fd;
};

/* One side of a pair: what was read from it waits in `buffer` for the other side. */
struct side {
    int fd;
    uint32_t events; /* that epoll watches */
    size_t from;
    size_t to;
    bool ended; /* nothing more comes from here */
    bool shut;  /* the other side was told so */
    char *buffer;
};

struct pair {
    struct side sides[2];
    bool connected;
};

struct forward {
    struct rule rules[RULES_MAX];
    uint32_t rule_count;
    struct pair pairs[PAIRS_MAX];
    int epoll;
};

static bool read_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    unsigned port;
    char end;

    *out = (struct sockaddr_in){.sin_family = AF_INET};
    if (sscanf(text, "%63[^:]:%u%c", host, &port, &end) != 2 || port == 0 || port > 65535) {
        return false;
    }
    out->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool read_rule(const char *text, struct rule *out)
{
    char netns[101];
    char from[64];
    char to[64];
    char end;

    *out = (struct rule){.fd = -1};
    if (sscanf(text, "%100[^,],%63[^,],%63[^,]%c", netns, from, to, &end) != 3) {
        return false;
    }
    if (strcmp(netns, "-") != 0) {
        netns_path(netns, out->netns);
    }
    return read_address(from, &out->listen) && read_address(to, &out->target);
}

/* A socket belongs to the namespace in which it was made. */
static int make_socket(void *arg, char why[160])
{
    int *fd = arg;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        (void)snprintf(why, 160, "socket: %s", strerror(errno));
    }
    return *fd < 0 ? -1 : 0;
}

static int socket_of(const struct rule *rule, char why[160])
{
    int fd = -1;
    int result = rule->netns[0] == '\0' ? make_socket(&fd, why)
                                        : door_inside(rule->netns, make_socket, &fd, why);
    return result == 0 ? fd : -1;
}

static int rule_listen(struct rule *rule, char why[160])
{
    int on = 1;

    rule->fd = socket_of(rule, why);
    if (rule->fd < 0) {
        return -1;
    }
    (void)setsockopt(rule->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(rule->fd, (struct sockaddr *)&rule->listen, sizeof rule->listen) != 0 ||
        listen(rule->fd, 128) != 0) {
        (void)snprintf(why, 160, "%s", strerror(errno));
        return -1;
    }
    return 0;
}

static uint64_t tag(uint32_t pair, uint32_t side)
{
    return (uint64_t)(pair * 2 + side) + RULES_MAX + 1;
}

/* A descriptor of which nothing is wanted is not in epoll at all: a broken one would wake us for
 * ever. */
static void watch(struct forward *f, struct side *side, uint64_t data, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = data};

    if (side->events != events) {
        int change = side->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        CHECK(epoll_ctl(f->epoll, events == 0 ? EPOLL_CTL_DEL : change, side->fd, &event) == 0);
        side->events = events;
    }
}

static void pair_close(struct pair *pair, bool reset)
{
    struct linger hard = {.l_onoff = 1};

    for (int i = 0; i < 2; i++) {
        struct side *side = &pair->sides[i];
        if (reset) {
            (void)setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        (void)close(side->fd);
        free(side->buffer);
        *side = (struct side){.fd = -1};
    }
    pair->connected = false;
}

static struct pair *free_pair(struct forward *f)
{
    for (uint32_t i = 0; i < PAIRS_MAX; i++) {
        if (f->pairs[i].sides[0].fd < 0) {
            return &f->pairs[i];
        }
    }
    return NULL;
}

static void take_in(struct forward *f, struct rule *rule)
{
    char why[160];
    int on = 1;
    int fd = accept4(rule->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct pair *pair = free_pair(f);

    if (fd < 0) {
        return;
    }
    int other = pair != NULL ? socket_of(rule, why) : -1;
    if (other < 0) {
        (void)close(fd);
        return;
    }
    *pair = (struct pair){
        .sides = {{.fd = fd, .buffer = mem_new(BUFFER)}, {.fd = other, .buffer = mem_new(BUFFER)}}};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(other, (struct sockaddr *)&rule->target, sizeof rule->target) != 0 &&
        errno != EINPROGRESS) {
        pair_close(pair, true);
        return;
    }
    /* The client is not read before there is somebody to tell it to. */
    watch(f, &pair->sides[1], tag((uint32_t)(pair - f->pairs), 1), EPOLLOUT);
}

/* Moves what there is from one side to the other; false if the connection broke. */
static bool carry(struct side *in, struct side *out)
{
    if (in->from == in->to && !in->ended) {
        ssize_t got = read(in->fd, in->buffer, BUFFER);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        in->from = 0;
        in->to = got > 0 ? (size_t)got : 0;
        in->ended = got == 0;
    }
    if (in->from < in->to) {
        ssize_t sent = send(out->fd, in->buffer + in->from, in->to - in->from, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        in->from += sent > 0 ? (size_t)sent : 0;
    }
    if (in->ended && in->from == in->to && !in->shut) {
        (void)shutdown(out->fd, SHUT_WR);
        in->shut = true;
    }
    return true;
}

static bool is_connected(const struct side *side)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

static void serve(struct forward *f, uint32_t index, uint32_t events)
{
    struct pair *pair = &f->pairs[index];
    struct side *a = &pair->sides[0];
    struct side *b = &pair->sides[1];

    if (a->fd < 0) {
        return;
    }
    if (!pair->connected) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0 || !is_connected(b)) {
            pair_close(pair, true);
            return;
        }
        pair->connected = true;
    }
    if ((events & EPOLLERR) != 0 || !carry(a, b) || !carry(b, a)) {
        pair_close(pair, true);
        return;
    }
    if (a->shut && b->shut) {
        pair_close(pair, false);
        return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        const struct side *own = &pair->sides[i];
        const struct side *other = &pair->sides[1 - i];
        uint32_t wanted = (own->from == own->to && !own->ended ? EPOLLIN : 0U) |
                          (other->from < other->to ? EPOLLOUT : 0U);
        watch(f, &pair->sides[i], tag(index, i), wanted);
    }
}

static int add_rules(struct forward *f, char *const *rules)
{
    char why[160];

    for (; *rules != NULL; rules++) {
        struct rule *rule = &f->rules[f->rule_count];
        if (f->rule_count == RULES_MAX || !read_rule(*rules, rule)) {
            (void)fprintf(stderr, "wan: no rule, or one too many: %s\n", *rules);
            return 1;
        }
        if (rule_listen(rule, why) != 0) {
            (void)fprintf(stderr, "wan: %s: %s\n", *rules, why);
            return 1;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = f->rule_count++};
        CHECK(epoll_ctl(f->epoll, EPOLL_CTL_ADD, rule->fd, &event) == 0);
    }
    return 0;
}

int forward_run(char *const *rules)
{
    static struct forward f;
    struct epoll_event events[EVENTS];
    sigset_t ending;

    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(f.epoll >= 0);
    for (uint32_t i = 0; i < PAIRS_MAX; i++) {
        f.pairs[i].sides[0].fd = -1;
    }
    if (add_rules(&f, rules) != 0) {
        return 1;
    }
    (void)printf("wan: listening on %u ports\n", f.rule_count);
    (void)fflush(stdout);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    CHECK(sigprocmask(SIG_BLOCK, &ending, NULL) == 0);
    int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = RULES_MAX};
    CHECK(signals >= 0 && epoll_ctl(f.epoll, EPOLL_CTL_ADD, signals, &event) == 0);
    for (;;) {
        int count = epoll_wait(f.epoll, events, EVENTS, -1);
        bool end = false;
        /* New pairs last: an event of a pair that ended is not to be taken for one of theirs. */
        for (int i = 0; i < count; i++) {
            uint64_t data = events[i].data.u64;
            end |= data == RULES_MAX;
            if (data > RULES_MAX) {
                serve(&f, (uint32_t)(data - RULES_MAX - 1) / 2, events[i].events);
            }
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 < RULES_MAX) {
                take_in(&f, &f.rules[events[i].data.u64]);
            }
        }
        if (end) {
            return 0;
        }
    }
}
