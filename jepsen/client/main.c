/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

volatile bool stopping;
volatile bool ending;

#define PER_KIND 20

static void usage(FILE *out)
{
    (void)fputs(
        "client: Kafka clients of one region; writes a history.\n\n"
        "usage: client --brokers LIST --out FILE --topic NAME:PARTITIONS ... [options]\n\n"
        "  --run N        number of this run, unique in a history; default: 1\n"
        "  --senders N    producers (2)      --width N  sends under way in each (8)\n"
        "  --rate N       sends per second, altogether (100)\n"
        "  --pollers N    consumers (2)      --seed N   what chance follows from\n"
        "  --txns N       transactional producers (0), to the keys of --txn-topic NAME alone\n"
        "  --members N    members of a consumer group (0) on --group-topic NAME\n"
        "  --name NAME    of the region; transactional ids and groups have it\n"
        "  --final N      only read everything, at most N seconds; 0 if the end was reached\n\n"
        "SIGUSR1: no new sends; a line `quiet` on stdout when none is under way. SIGTERM: end.\n",
        out);
}

static void on_signal(int number)
{
    (void)number;
    stopping = true;
    ending = true;
}

static void *obey(void *unused)
{
    char line[64];

    (void)unused;
    while (fgets(line, sizeof line, stdin) != NULL) {
        stopping = stopping || strcmp(line, "stop\n") == 0;
    }
    on_signal(SIGTERM);
    return NULL;
}

static const char *next(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc) {
        usage(stderr);
        exit(2);
    }
    return argv[++*at];
}

static void add_topic(struct options *o, const char *text)
{
    const char *colon = strchr(text, ':');
    int partitions = colon != NULL ? atoi(colon + 1) : 0;

    if (partitions < 1 || o->key_count + partitions > KEYS_MAX || colon - text > 60) {
        usage(stderr);
        exit(2);
    }
    for (int n = 0; n < partitions; n++) {
        struct key *key = &o->keys[o->key_count++];
        (void)snprintf(key->topic, sizeof key->topic, "%.*s", (int)(colon - text), text);
        key->partition = n;
        (void)snprintf(key->name, sizeof key->name, "%.*s/%d", (int)(colon - text), text, n);
    }
}

static void read_options(struct options *o, int argc, char **argv)
{
    const struct {
        const char *name;
        int *to;
    } numbers[] = {{"--run", &o->run},   {"--senders", &o->senders}, {"--width", &o->width},
                   {"--rate", &o->rate}, {"--pollers", &o->pollers}, {"--final", &o->final_seconds},
                   {"--txns", &o->txns}, {"--members", &o->members}};
    int plain = 0;

    for (int n = 1; n < argc; n++) {
        size_t k;
        for (k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(argv[n], numbers[k].name) == 0) {
                *numbers[k].to = atoi(next(argc, argv, &n));
                break;
            }
        }
        if (k < sizeof numbers / sizeof *numbers) {
            continue;
        }
        if (strcmp(argv[n], "--brokers") == 0) {
            o->brokers = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--out") == 0) {
            o->out = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--name") == 0) {
            o->name = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--txn-topic") == 0) {
            o->txn_topic = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--group-topic") == 0) {
            o->group_topic = next(argc, argv, &n);
        } else if (strcmp(argv[n], "--topic") == 0) {
            add_topic(o, next(argc, argv, &n));
        } else if (strcmp(argv[n], "--seed") == 0) {
            o->seed = strtoull(next(argc, argv, &n), NULL, 10);
        } else {
            usage(strcmp(argv[n], "--help") == 0 ? stdout : stderr);
            exit(strcmp(argv[n], "--help") == 0 ? 0 : 2);
        }
    }
    for (int n = 0; n < o->key_count; n++) {
        o->keys[n].transactional = strcmp(o->keys[n].topic, o->txn_topic) == 0;
        plain += !o->keys[n].transactional;
    }
    if (o->brokers == NULL || o->out == NULL || o->key_count == 0 || o->rate < 1 ||
        o->senders < 0 || o->senders > 50 || o->width < 1 || o->senders * o->width > 900 ||
        o->pollers < 0 || o->pollers > PER_KIND || o->txns < 0 || o->txns > PER_KIND ||
        o->members < 0 || o->members > PER_KIND || (o->txns > 0 && plain == o->key_count) ||
        (plain == 0 && o->senders > 0)) {
        usage(stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct options o = {.run = 1,
                               .senders = 2,
                               .width = 8,
                               .rate = 100,
                               .pollers = 2,
                               .name = "here",
                               .txn_topic = "",
                               .group_topic = ""};
    static struct sender senders[50];
    static struct poller pollers[PER_KIND];
    static struct txns txns[PER_KIND];
    static struct member members[PER_KIND];
    pthread_t sending[50];
    pthread_t polling[PER_KIND];
    pthread_t deciding[PER_KIND];
    pthread_t sharing[PER_KIND];
    pthread_t obeying;
    struct sigaction on = {.sa_handler = on_signal};

    read_options(&o, argc, argv);
    (void)sigaction(SIGTERM, &on, NULL);
    (void)sigaction(SIGINT, &on, NULL);
    log_open(o.out);
    if (o.final_seconds > 0) {
        return final_read(&o);
    }
    (void)pthread_create(&obeying, NULL, obey, NULL);
    for (int n = 0; n < o.senders; n++) {
        senders[n] = (struct sender){&o, n};
        (void)pthread_create(&sending[n], NULL, sender_main, &senders[n]);
    }
    for (int n = 0; n < o.pollers; n++) {
        pollers[n] = (struct poller){&o, n};
        (void)pthread_create(&polling[n], NULL, poller_main, &pollers[n]);
    }
    for (int n = 0; n < o.txns; n++) {
        txns[n] = (struct txns){&o, n};
        (void)pthread_create(&deciding[n], NULL, txns_main, &txns[n]);
    }
    for (int n = 0; n < o.members; n++) {
        members[n] = (struct member){&o, n};
        (void)pthread_create(&sharing[n], NULL, member_main, &members[n]);
    }
    for (int n = 0; n < o.senders; n++) {
        (void)pthread_join(sending[n], NULL);
    }
    for (int n = 0; n < o.txns; n++) {
        (void)pthread_join(deciding[n], NULL);
    }
    (void)puts("quiet");
    (void)fflush(stdout);
    for (int n = 0; n < o.pollers; n++) {
        (void)pthread_join(polling[n], NULL);
    }
    for (int n = 0; n < o.members; n++) {
        (void)pthread_join(sharing[n], NULL);
    }
    return 0;
}
