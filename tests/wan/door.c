/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MTU = 1500 };

struct opening {
    struct door *door;
    const uint32_t *addresses;
    uint32_t address_count;
};

static int fail(char why[160], const char *what)
{
    (void)snprintf(why, 160, "%.80s: %.60s", what, strerror(errno));
    return -1;
}

int door_inside(const char *netns, int (*act)(void *arg, char why[160]), void *arg, char why[160])
{
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int other = open(netns, O_RDONLY | O_CLOEXEC);
    int result = -1;

    if (own < 0 || other < 0) {
        (void)fail(why, netns);
        goto out;
    }
    if (setns(other, CLONE_NEWNET) != 0) {
        (void)fail(why, "setns");
        goto out;
    }
    result = act(arg, why);
    /* In a wrong namespace nothing that follows would mean what it says. */
    CHECK(setns(own, CLONE_NEWNET) == 0);
out:
    if (own >= 0) {
        (void)close(own);
    }
    if (other >= 0) {
        (void)close(other);
    }
    return result;
}

static struct sockaddr inet(uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct sockaddr out;

    _Static_assert(sizeof in == sizeof out, "an IPv4 address fills a sockaddr");
    memcpy(&out, &in, sizeof out);
    return out;
}

/* `name` is the device, or DEVICE:N for its further addresses. */
static int set_address(int sock, const char *name, uint32_t address, char why[160])
{
    struct ifreq request = {0};

    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_addr = inet(address);
    if (ioctl(sock, SIOCSIFADDR, &request) != 0) {
        return fail(why, "setting the address");
    }
    request.ifr_netmask = inet(0xffffff00);
    return ioctl(sock, SIOCSIFNETMASK, &request) == 0 ? 0 : fail(why, "setting the netmask");
}

static int configure(int sock, const struct opening *o, char why[160])
{
    struct ifreq request = {0};
    char name[IFNAMSIZ];

    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", o->door->device);
    request.ifr_mtu = MTU;
    if (ioctl(sock, SIOCSIFMTU, &request) != 0) {
        return fail(why, "setting the MTU");
    }
    request.ifr_qlen = DOOR_QUEUE;
    if (ioctl(sock, SIOCSIFTXQLEN, &request) != 0) {
        return fail(why, "setting the queue's length");
    }
    for (uint32_t i = 0; i < o->address_count; i++) {
        (void)snprintf(name, sizeof name, i == 0 ? "%.10s" : "%.10s:%u", o->door->device, i);
        if (set_address(sock, name, o->addresses[i], why) != 0) {
            return -1;
        }
    }
    if (ioctl(sock, SIOCGIFFLAGS, &request) != 0) {
        return fail(why, "reading the flags");
    }
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    return ioctl(sock, SIOCSIFFLAGS, &request) == 0 ? 0 : fail(why, "bringing it up");
}

static int open_inside(void *arg, char why[160])
{
    struct opening *o = arg;
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    int result = -1;

    o->door->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (o->door->fd < 0 || sock < 0) {
        (void)fail(why, "/dev/net/tun");
        goto out;
    }
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", o->door->device);
    if (ioctl(o->door->fd, TUNSETIFF, &request) != 0) {
        (void)fail(why, "making the TUN device");
        goto out;
    }
    if (ioctl(o->door->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
        (void)fail(why, "switching segmentation offload on");
        goto out;
    }
    /* What is opened here stays this namespace's. */
    o->door->counters_fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
    result = configure(sock, o, why);
out:
    if (sock >= 0) {
        (void)close(sock);
    }
    return result;
}

int door_open(struct door *door, const char *netns, const char *device, const uint32_t *addresses,
              uint32_t address_count, char why[160])
{
    struct opening opening = {door, addresses, address_count};

    *door = (struct door){.fd = -1, .counters_fd = -1};
    (void)snprintf(door->device, sizeof door->device, "%s", device);
    if (door_inside(netns, open_inside, &opening, why) != 0) {
        door_close(door);
        return -1;
    }
    return 0;
}

void door_close(struct door *door)
{
    if (door->fd >= 0) {
        (void)close(door->fd);
    }
    if (door->counters_fd >= 0) {
        (void)close(door->counters_fd);
    }
    door->fd = -1;
    door->counters_fd = -1;
}

uint64_t door_missed(const struct door *door)
{
    char text[4096];
    char name[20];
    unsigned long long dropped = 0;

    ssize_t len = pread(door->counters_fd, text, sizeof text - 1, 0);
    if (len <= 0) {
        return 0;
    }
    text[len] = '\0';
    (void)snprintf(name, sizeof name, "%s:", door->device);
    const char *line = strstr(text, name);
    if (line != NULL) {
        /* Eight numbers received, then sent: bytes, packets, errors, dropped. */
        (void)sscanf(line + strlen(name), " %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
                     &dropped);
    }
    return dropped - door->missed_before;
}
