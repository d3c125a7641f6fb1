/* SPDX-License-Identifier: Apache-2.0 */
/* wan: a wide-area network between network namespaces of one machine. `wan help`. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "control.h"
#include "emulator.h"
#include "forward.h"

static const char usage[] =
    "wan: a wide-area network between network namespaces of this machine\n"
    "\n"
    "usage: wan run --socket PATH --node NAME,NETNS,ADDRESS[,ADDRESS...] --node ... [options]\n"
    "       wan ctl PATH COMMAND...\n"
    "       wan forward NETNS,ADDRESS:PORT,ADDRESS:PORT ...\n"
    "\n"
    "run      makes the device wan0 in each namespace and carries packets between them (root)\n"
    "  --profile NAME[:LOSS]   us eu wide metro (three nodes) or none; LOSS in percent\n"
    "  --seed N                of all chance; printed, and chosen if not given\n"
    "  --no-realtime           without SCHED_FIFO\n"
    "  --plant 'LINK KEY=VALUE ...'   for tests of tests: does this, shows what was told;\n"
    "                          LINK is FROM>TO\n"
    "ctl      sends one command to it; exit 0 ok, 1 refused, 2 no emulator\n"
    "forward  listens in a namespace ('-': this one) and connects there to the second address\n"
    "\n"
    "NETNS is a path like /run/netns/NAME, or a NAME there. Commands:\n\n";

static int usage_error(const char *what, const char *value)
{
    (void)fprintf(stderr, "wan: %s '%s'; try wan help\n", what, value);
    return 1;
}

/* ---- run ------------------------------------------------------------------------------------ */

struct run_options {
    struct network network;
    struct emulator_options emulator;
    char netns[NETWORK_NODES_MAX][128];
    char profile[32];
    char loss[32];
    char *plants[NETWORK_NODES_MAX * NETWORK_NODES_MAX];
    unsigned plant_count;
};

static bool name_is_plain(const char *name)
{
    return *name != '\0' && strlen(name) < NETWORK_NAME_MAX &&
           name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == '\0';
}

void netns_path(const char *name, char out[128])
{
    (void)snprintf(out, 128, strchr(name, '/') != NULL ? "%s" : "/run/netns/%s", name);
}

static bool add_node(struct run_options *o, char *text)
{
    struct network_node *node = &o->network.nodes[o->network.count];
    char *rest = text;
    const char *name = strsep(&rest, ",");
    const char *netns = strsep(&rest, ",");
    const char *address;

    if (o->network.count == NETWORK_NODES_MAX || netns == NULL || !name_is_plain(name) ||
        strlen(netns) > 100) {
        return false;
    }
    (void)snprintf(node->name, sizeof node->name, "%s", name);
    netns_path(netns, o->netns[o->network.count]);
    while ((address = strsep(&rest, ",")) != NULL) {
        struct in_addr in;
        if (node->address_count == NETWORK_ADDRESSES_MAX || inet_pton(AF_INET, address, &in) != 1) {
            return false;
        }
        node->addresses[node->address_count++] = ntohl(in.s_addr);
    }
    o->network.count++;
    return node->address_count > 0;
}

static bool read_profile(struct run_options *o, const char *text)
{
    size_t len = strcspn(text, ":");

    if (len >= sizeof o->profile || strlen(text + len) > sizeof o->loss) {
        return false;
    }
    (void)snprintf(o->profile, sizeof o->profile, "%.*s", (int)len, text);
    (void)snprintf(o->loss, sizeof o->loss, "%s", text[len] == ':' ? text + len + 1 : "0");
    return true;
}

static bool read_seed(struct run_options *o, const char *text)
{
    char end;
    return sscanf(text, "%" SCNu64 "%c", &o->network.seed, &end) == 1;
}

static int run_arguments(struct run_options *o, char **argv)
{
    bool seeded = false;

    for (; *argv != NULL; argv++) {
        char *value = argv[1];
        if (strcmp(*argv, "--no-realtime") == 0) {
            o->emulator.realtime = false;
            continue;
        }
        if (value == NULL) {
            return usage_error("a value is missing after", *argv);
        }
        bool good;
        if (strcmp(*argv, "--socket") == 0) {
            o->emulator.socket_path = value;
            good = true;
        } else if (strcmp(*argv, "--node") == 0) {
            good = add_node(o, value);
        } else if (strcmp(*argv, "--profile") == 0) {
            good = read_profile(o, value);
        } else if (strcmp(*argv, "--seed") == 0) {
            good = seeded = read_seed(o, value);
        } else if (strcmp(*argv, "--plant") == 0) {
            good = o->plant_count < ARRAY_COUNT(o->plants);
            o->plants[good ? o->plant_count++ : 0] = value;
        } else {
            return usage_error("no such option:", *argv);
        }
        if (!good) {
            return usage_error("this is not understood:", value);
        }
        argv++;
    }
    if (!seeded && getrandom(&o->network.seed, 4, 0) != 4) {
        o->network.seed = 1;
    }
    return o->emulator.socket_path != NULL && o->network.count >= 2
               ? 0
               : usage_error("run needs --socket and at least two of", "--node");
}

static bool plant(struct network *network, char *text)
{
    char *words = strchr(text, ' ');
    char *arrow = strchr(text, '>');
    struct link_settings settings = {0};
    char why[160];
    char copy[256];
    char *rest = copy;
    const char *word;

    if (words == NULL || arrow == NULL || arrow > words || strlen(words) >= sizeof copy) {
        return false;
    }
    *words++ = '\0';
    *arrow = '\0';
    int from = network_find(network, text);
    int to = network_find(network, arrow + 1);
    (void)snprintf(copy, sizeof copy, "%s", words);
    while ((word = strsep(&rest, " ")) != NULL) {
        if (!link_settings_word(&settings, word, why)) {
            return false;
        }
    }
    if (from < 0 || to < 0) {
        return false;
    }
    network->links[from][to].plant = words;
    return true;
}

static uint64_t start_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int run(char **argv)
{
    static struct run_options o = {.profile = "none", .loss = "0", .emulator.realtime = true};
    struct door doors[NETWORK_NODES_MAX];
    char why[160];
    uint32_t opened = 0;
    int result = run_arguments(&o, argv);

    if (result != 0) {
        return result;
    }
    network_start(&o.network, start_ns());
    for (unsigned i = 0; i < o.plant_count; i++) {
        if (!plant(&o.network, o.plants[i])) {
            return usage_error("this cannot be planted:", o.plants[i]);
        }
    }
    if (!network_profile(&o.network, o.profile, o.loss, why)) {
        (void)fprintf(stderr, "wan: %s\n", why);
        return 1;
    }
    for (; opened < o.network.count && result == 0; opened++) {
        const struct network_node *node = &o.network.nodes[opened];
        result = door_open(&doors[opened], o.netns[opened], "wan0", node->addresses,
                           node->address_count, why);
    }
    if (result == 0) {
        result = emulator_run(&o.network, doors, &o.emulator);
    } else {
        (void)fprintf(stderr, "wan: %s: %s (root is needed)\n", o.netns[opened - 1], why);
        result = 1;
    }
    while (opened > 0) {
        door_close(&doors[--opened]);
    }
    network_fini(&o.network);
    return result;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "run") == 0) {
        return run(argv + 2);
    }
    if (strcmp(verb, "ctl") == 0 && argc > 3) {
        return control_ask(argv[2], argv + 3, stdout);
    }
    if (strcmp(verb, "forward") == 0 && argc > 2) {
        return forward_run(argv + 2);
    }
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0) {
        (void)fputs(usage, stdout);
        network_help(stdout);
        return 0;
    }
    (void)fputs(usage, stderr);
    return 1;
}
