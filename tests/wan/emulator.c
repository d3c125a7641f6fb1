/* SPDX-License-Identifier: Apache-2.0 */
#include "emulator.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

enum {
    READ_BATCH = 32, /* frames read from one device before others and the due ones have a turn */
    WRITE_BATCH = 64,
    COPY_BELOW = 8192, /* shorter frames move to memory of their size, longer ones keep theirs */
    EVENTS = 16,
    EARLY_NS = 15000, /* what is due this soon is due */
    SPIN_NS = 30000,  /* what is due this soon is waited for without sleeping */
    LEAD_NS_MAX = 150000,
    LEAD_STEP_NS = 1000,
    REALTIME_PRIORITY = 10,
};

/* Where an event comes from: its kind in the upper half, its index in the lower. */
enum source { FROM_DOOR, FROM_TIMER, FROM_CONTROL, FROM_CLIENT, FROM_SIGNAL };

struct emulator {
    struct network *network;
    struct door *doors;
    struct control_socket control;
    struct link_piece *spare; /* room for one whole frame, to read into */
    int epoll;
    int timer;
    int signals;
    uint64_t armed_ns; /* what the timer was armed for; 0: it is not */
    uint64_t lead_ns;  /* a sleeper wakes late; the timer is set so much earlier */
    uint64_t woken_ns; /* a packet that has woken us came before we saw it; 0: we were awake */
    uint64_t cpu_before_us;
    uint64_t counted_since_ns;
    bool stop;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- packets -------------------------------------------------------------------------------- */

static struct link_piece *own_piece(struct emulator *e, size_t len)
{
    struct link_piece *piece;

    if (len < COPY_BELOW) {
        piece = link_piece_new(len);
        memcpy(piece->frame, e->spare->frame, len);
    } else {
        piece = e->spare;
        e->spare = link_piece_new(PACKET_FRAME_MAX);
    }
    piece->len = (uint32_t)len;
    return piece;
}

/* One frame; false if there is none. */
static bool read_frame(struct emulator *e, uint32_t from)
{
    struct network *network = e->network;
    struct packet_shape shape;

    ssize_t len = read(e->doors[from].fd, e->spare->frame, PACKET_FRAME_MAX);
    if (len <= 0) {
        return false;
    }
    if (packet_parse((struct slice){e->spare->frame, (size_t)len}, &shape) != 0) {
        network->nodes[from].strays++;
        return true;
    }
    int to = network_route(network, shape.destination);
    if (to < 0 || (uint32_t)to == from) {
        network->nodes[from].strays++;
        return true;
    }
    uint64_t now = e->woken_ns != 0 ? e->woken_ns : now_ns();
    link_offer(&network->links[from][to], now, own_piece(e, (size_t)len), &shape);
    return true;
}

static void deliver_link(struct emulator *e, uint32_t from, uint32_t to)
{
    struct link *link = &e->network->links[from][to];
    struct link_piece *piece;
    uint64_t now = now_ns();

    for (int i = 0; i < WRITE_BATCH && (piece = link_take(link, now + EARLY_NS)) != NULL; i++) {
        network_note_late(e->network, now > piece->due_ns ? now - piece->due_ns : 0);
        if (write(e->doors[to].fd, piece->frame, piece->len) != (ssize_t)piece->len) {
            link->counters.delivered -= piece->segments;
            link->counters.delivered_bytes -= piece->wire_bytes;
            link->counters.unread += piece->segments;
        }
        free(piece);
        now = now_ns();
    }
}

static void deliver(struct emulator *e)
{
    for (uint32_t from = 0; from < e->network->count; from++) {
        for (uint32_t to = 0; to < e->network->count; to++) {
            deliver_link(e, from, to);
        }
    }
}

/* The lead follows the median of how late the timer wakes us. */
static void timer_fired(struct emulator *e)
{
    uint64_t ticks;

    (void)!read(e->timer, &ticks, sizeof ticks);
    if (e->armed_ns == 0) {
        return;
    }
    if (now_ns() > e->armed_ns) {
        e->lead_ns += e->lead_ns < LEAD_NS_MAX ? LEAD_STEP_NS : 0;
    } else {
        e->lead_ns -= e->lead_ns > 0 ? LEAD_STEP_NS : 0;
    }
    e->armed_ns = 0;
}

/* How long to sleep for events: 0 if something is due so soon that waking up would come too late,
 * else without end, with the timer armed. */
static int timeout(struct emulator *e)
{
    uint64_t due = network_next_ns(e->network);

    if (due == UINT64_MAX) {
        return -1;
    }
    if (due <= now_ns() + SPIN_NS) {
        return 0;
    }
    if (due != e->armed_ns) {
        uint64_t at = due - e->lead_ns;
        struct itimerspec when = {.it_value = {(time_t)(at / 1000000000), (long)(at % 1000000000)}};
        CHECK(timerfd_settime(e->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0);
        e->armed_ns = due;
    }
    return -1;
}

/* ---- control -------------------------------------------------------------------------------- */

static void watch(struct emulator *e, int fd, enum source source, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | index};

    CHECK(epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void command(void *arg, char *line, FILE *out)
{
    struct emulator *e = arg;
    struct network *network = e->network;

    network->cpu_us = cpu_us() - e->cpu_before_us;
    for (uint32_t i = 0; i < network->count; i++) {
        network->nodes[i].missed = door_missed(&e->doors[i]);
    }
    network_command(network, line, now_ns(), out);
    if (network->counted_since_ns != e->counted_since_ns) {
        e->counted_since_ns = network->counted_since_ns;
        e->cpu_before_us = cpu_us();
        for (uint32_t i = 0; i < network->count; i++) {
            e->doors[i].missed_before += door_missed(&e->doors[i]);
        }
    }
}

static void handle(struct emulator *e, const struct epoll_event *event)
{
    enum source source = (enum source)(event->data.u64 >> 32);
    uint32_t index = (uint32_t)event->data.u64;
    int place;

    switch (source) {
    case FROM_DOOR:
        for (int i = 0; i < READ_BATCH && read_frame(e, index); i++) {
        }
        break;
    case FROM_TIMER:
        timer_fired(e);
        break;
    case FROM_CONTROL:
        place = control_accept(&e->control);
        if (place >= 0) {
            watch(e, e->control.clients[place].fd, FROM_CLIENT, (uint32_t)place);
        }
        break;
    case FROM_CLIENT:
        if (e->control.clients[index].fd >= 0) {
            (void)control_read(&e->control, &e->control.clients[index], command, e);
        }
        break;
    case FROM_SIGNAL:
        e->stop = true;
        break;
    }
}

static int next_events(struct emulator *e, struct epoll_event *events)
{
    int patience = timeout(e);
    uint64_t before = now_ns();

    int count = epoll_wait(e->epoll, events, EVENTS, patience);
    CHECK(count >= 0 || errno == EINTR);
    uint64_t after = now_ns();
    e->woken_ns = after - before > e->lead_ns ? after - e->lead_ns : 0;
    return count;
}

static void settle(const struct emulator_options *options)
{
    struct sched_param priority = {.sched_priority = REALTIME_PRIORITY};

    /* What a frame has occupied once stays ours: new memory costs more than the packet. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 16 << 20);
    if (options->realtime && sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
        (void)fprintf(stderr, "wan: no real-time priority (%s); delays will be less exact\n",
                      strerror(errno));
    }
}

int emulator_run(struct network *network, struct door *doors,
                 const struct emulator_options *options)
{
    struct emulator e = {.network = network, .doors = doors};
    struct epoll_event events[EVENTS];
    sigset_t ending;
    char why[160];

    settle(options);
    if (control_listen(&e.control, options->socket_path, why) != 0) {
        (void)fprintf(stderr, "wan: %s\n", why);
        return 1;
    }
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    CHECK(sigprocmask(SIG_BLOCK, &ending, NULL) == 0);
    e.epoll = epoll_create1(EPOLL_CLOEXEC);
    e.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    e.signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    e.spare = link_piece_new(PACKET_FRAME_MAX);
    e.cpu_before_us = cpu_us();
    e.counted_since_ns = network->counted_since_ns;
    CHECK(e.epoll >= 0 && e.timer >= 0 && e.signals >= 0);
    for (uint32_t i = 0; i < network->count; i++) {
        watch(&e, doors[i].fd, FROM_DOOR, i);
    }
    watch(&e, e.timer, FROM_TIMER, 0);
    watch(&e, e.control.fd, FROM_CONTROL, 0);
    watch(&e, e.signals, FROM_SIGNAL, 0);
    (void)printf("wan: %s, seed %" PRIu64 ", %u nodes, control at %s\n", network->profile,
                 network->seed, network->count, options->socket_path);
    (void)fflush(stdout);
    while (!e.stop) {
        int count = next_events(&e, events);
        for (int i = 0; i < count; i++) {
            handle(&e, &events[i]);
            deliver(&e);
        }
        if (count <= 0) {
            deliver(&e);
        }
    }
    control_close(&e.control);
    (void)unlink(options->socket_path);
    free(e.spare);
    return 0;
}
