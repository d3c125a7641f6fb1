/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/settings.h"
#include "admin/version.h"
#include "base/error.h"

enum kind { TEXT, NAME, ADDRESS, U32, FLAG, BYTES, MILLIS, LEVEL, FORMAT, SEED };

/* One row per setting: its name in the file, its flag, what it is. The help is printed from it. */
struct setting {
    const char *name;
    const char *flag;
    const char *value; /* for the help */
    const char *help;
    size_t at;
    size_t size;
    uint64_t low;
    uint64_t high;
    enum kind kind;
    bool repeats;
};

#define AT(field)     offsetof(struct config, field), sizeof(((struct config *)0)->field)
#define NUMBER(a, b)  .low = (a), .high = (b)
#define SIZE_MIN_FILE (64u * 1024)

static const struct setting settings[] = {
    {"node/id", "node-id", "N", "number of this node in the cluster, 1 to 63", AT(node_id),
     NUMBER(1, WIRE_NODES_MAX - 1), U32, false},
    {"node/region", "region", "NAME", "region that this node is in", AT(region), NUMBER(0, 0), NAME,
     false},
    {"node/rack", "rack", "NAME", "rack or zone inside the region (optional)", AT(rack),
     NUMBER(0, 0), NAME, false},
    {"node/witness", "witness", NULL, "this region votes but keeps no data", AT(witness),
     NUMBER(0, 0), FLAG, false},
    {"cluster", "cluster", "NAME", "cluster name, as in the certificates", AT(cluster),
     NUMBER(0, 0), NAME, false},
    {"data", "data-dir", "DIR", "where this node keeps everything", AT(data), NUMBER(0, 0), TEXT,
     false},
    {"certs", "certs-dir", "DIR", "holds ca.crt, node-N.crt, node-N.key", AT(certs), NUMBER(0, 0),
     TEXT, false},
    {"listen/kafka", "listen-kafka", "HOST:PORT", "for Kafka clients", AT(listen_kafka),
     NUMBER(0, 0), ADDRESS, false},
    {"listen/mesh", "listen-mesh", "HOST:PORT", "for the other nodes (mutual TLS)", AT(listen_mesh),
     NUMBER(0, 0), ADDRESS, false},
    {"listen/admin", "listen-admin", "HOST:PORT", "for tern (mutual TLS)", AT(listen_admin),
     NUMBER(0, 0), ADDRESS, false},
    {"advertise/kafka", "advertise-kafka", "HOST:PORT", "how clients reach it; default: as listen",
     AT(advertise_kafka), NUMBER(0, 0), ADDRESS, false},
    {"advertise/mesh", "advertise-mesh", "HOST:PORT", "how other nodes reach it",
     AT(advertise_mesh), NUMBER(0, 0), ADDRESS, false},
    {"advertise/admin", "advertise-admin", "HOST:PORT", "how tern reaches it", AT(advertise_admin),
     NUMBER(0, 0), ADDRESS, false},
    {"mesh/kernel_congestion", "mesh-kernel-congestion", NULL,
     "TCP between nodes as sysctl has it; default: cubic, bbr where packets get lost",
     AT(kernel_congestion), NUMBER(0, 0), FLAG, false},
    {"seeds[]", "seed", "ID@HOST:PORT", "mesh address of another node; repeat for more", AT(seeds),
     NUMBER(0, 0), SEED, true},
    {"store/journal_file", "journal-file", "SIZE", "size of one journal file (32MiB)",
     AT(store.journal_file_bytes), NUMBER(SIZE_MIN_FILE, 1ull << 32), BYTES, false},
    {"store/journal_files", "journal-files", "N", "journal files at most (8)",
     AT(store.journal_files_max), NUMBER(2, 1024), U32, false},
    {"store/segment", "segment", "SIZE", "size at which a segment is rolled (64MiB)",
     AT(store.segment_bytes), NUMBER(SIZE_MIN_FILE, 1ull << 31), BYTES, false},
    {"store/reserve", "reserve", "SIZE", "free space below which appends are refused",
     AT(store.reserve_bytes), NUMBER(0, 1ull << 50), BYTES, false},
    {"store/cache", "cache", "SIZE", "recent batches kept in memory (16MiB)", AT(store.cache_bytes),
     NUMBER(0, 1ull << 40), BYTES, false},
    {"store/scrub_rate", "scrub-rate", "SIZE",
     "stored bytes read through each second in search of damage (4MiB); 0: none",
     AT(store.scrub_bytes_per_s), NUMBER(0, 1ull << 40), BYTES, false},
    {"store/scrub_every", "scrub-every", "TIME",
     "at most one pass over everything in so long (24h)", AT(store.scrub_pass_ms),
     NUMBER(100, 1ull << 42), MILLIS, false},
    {"control/snapshot", "control-snapshot", "N",
     "entries of the control log between two snapshots (1024)", AT(snapshot_entries),
     NUMBER(16, 1 << 20), U32, false},
    {"timers/election", "election", "TIME", "default: measured, at least 500ms", AT(election_ms),
     NUMBER(100, 60000), MILLIS, false},
    {"timers/suspicion", "suspicion", "TIME", "default: measured, 500ms to 3s", AT(suspicion_ms),
     NUMBER(100, 60000), MILLIS, false},
    {"timers/lease", "lease", "TIME", "how long an async leader may go on alone (2s)", AT(lease_ms),
     NUMBER(500, 600000), MILLIS, false},
    {"topics/auto_create", "auto-create-topics", NULL,
     "a topic that a client asks for is made, under the policy of its name", AT(auto_create_topics),
     NUMBER(0, 0), FLAG, false},
    {"groups/initial_delay", "group-initial-delay", "TIME",
     "how long an empty consumer group waits for more members (3s)", AT(group_initial_delay_ms),
     NUMBER(0, 3600000), MILLIS, false},
    {"groups/retention", "group-retention", "TIME",
     "offsets are forgotten so long after their group is empty (168h)", AT(group_retention_ms),
     NUMBER(1000, 1ull << 42), MILLIS, false},
    {"groups/session", "group-session", "TIME",
     "a member of the new group protocol may be silent for so long (45s)", AT(group_session_ms),
     NUMBER(1000, 3600000), MILLIS, false},
    {"groups/heartbeat", "group-heartbeat", "TIME",
     "how often such a member is to be heard of (5s)", AT(group_interval_ms), NUMBER(100, 600000),
     MILLIS, false},
    {"log/level", "log-level", "LEVEL", "error, warn, info or debug", AT(log_level), NUMBER(0, 0),
     LEVEL, false},
    {"log/format", "log-format", "FORMAT", "text (default) or json", AT(log_json), NUMBER(0, 0),
     FORMAT, false},
};

static int refuse(char why[128], const char *sentence)
{
    (void)snprintf(why, 128, "%s", sentence);
    return TERN_EMALFORMED;
}

static int set_text(char *into, size_t size, const char *value, char why[128])
{
    if (value[0] == '\0' || strlen(value) >= size) {
        (void)snprintf(why, 128, "between 1 and %zu characters are expected", size - 1);
        return TERN_EMALFORMED;
    }
    memcpy(into, value, strlen(value) + 1);
    return 0;
}

/* The same rule as for names in certificates. */
static bool name_ok(const char *name)
{
    return name[0] != '\0' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(name);
}

static bool address_ok(const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;

    return colon != NULL && colon != address && value_number(colon + 1, 0, 65535, &port);
}

static int set_seed(struct config *config, const char *value, char why[128])
{
    struct node_seed seed = {0};
    const char *at = strchr(value, '@');
    char id[8];
    uint64_t number;

    if (at == NULL || (size_t)(at - value) >= sizeof id) {
        return refuse(why, "ID@HOST:PORT is expected, for instance 2@10.0.0.2:9093");
    }
    (void)snprintf(id, sizeof id, "%.*s", (int)(at - value), value);
    if (!value_number(id, 1, WIRE_NODES_MAX - 1, &number) || !address_ok(at + 1)) {
        return refuse(why, "ID@HOST:PORT is expected, ID from 1 to 63");
    }
    if (config->seed_count == NODE_SEEDS_MAX) {
        return refuse(why, "too many seeds: 16 at most");
    }
    seed.node_id = (uint32_t)number;
    if (set_text(seed.mesh_address, sizeof seed.mesh_address, at + 1, why) != 0) {
        return TERN_EMALFORMED;
    }
    config->seeds[config->seed_count++] = seed;
    return 0;
}

static int set_level(enum trace_level *level, const char *value, char why[128])
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
        if (strcmp(value, names[n]) == 0) {
            *level = (enum trace_level)n;
            return 0;
        }
    }
    return refuse(why, "one of error, warn, info, debug is expected");
}

static void put_number(void *into, size_t size, uint64_t number)
{
    if (size == sizeof(uint32_t)) {
        uint32_t small = (uint32_t)number;
        memcpy(into, &small, sizeof small);
    } else {
        CHECK(size == sizeof number);
        memcpy(into, &number, sizeof number);
    }
}

static int set_number(const struct setting *setting, void *into, const char *value, char why[128])
{
    uint64_t number = 0;
    bool ok;

    if (setting->kind == U32) {
        if (!value_number(value, setting->low, setting->high, &number)) {
            (void)snprintf(why, 128, "a number from %llu to %llu is expected",
                           (unsigned long long)setting->low, (unsigned long long)setting->high);
            return TERN_EMALFORMED;
        }
    } else {
        ok = setting->kind == BYTES ? value_bytes(value, &number) : value_millis(value, &number);
        if (!ok) {
            return refuse(why, setting->kind == BYTES ? "a size with its unit is expected: 64MiB"
                                                      : "a time with its unit is expected: 500ms");
        }
        if (number < setting->low || number > setting->high) {
            (void)snprintf(why, 128, "it must be between %llu and %llu %s",
                           (unsigned long long)setting->low, (unsigned long long)setting->high,
                           setting->kind == BYTES ? "bytes" : "ms");
            return TERN_EMALFORMED;
        }
    }
    put_number(into, setting->size, number);
    return 0;
}

static int set_one(struct config *config, const struct setting *setting, const char *value,
                   char why[128])
{
    char *into = (char *)config + setting->at;

    switch (setting->kind) {
    case NAME:
        if (!name_ok(value)) {
            return refuse(why, "letters, digits, '.', '_' and '-' are expected");
        }
        return set_text(into, setting->size, value, why);
    case ADDRESS:
        if (!address_ok(value)) {
            return refuse(why, "HOST:PORT is expected");
        }
        return set_text(into, setting->size, value, why);
    case TEXT:
        return set_text(into, setting->size, value, why);
    case FLAG:
        return value_bool(value, (bool *)into) ? 0 : refuse(why, "true or false is expected");
    case SEED:
        return set_seed(config, value, why);
    case LEVEL:
        return set_level(&config->log_level, value, why);
    case FORMAT:
        config->log_json = strcmp(value, "json") == 0;
        return config->log_json || strcmp(value, "text") == 0
                   ? 0
                   : refuse(why, "one of text, json is expected");
    case U32:
    case BYTES:
    case MILLIS:
        return set_number(setting, into, value, why);
    }
    return TERN_ENOENT; /* not reached: the compiler checks that every kind is above */
}

int config_set(struct config *config, const char *name, const char *value, char why[128])
{
    for (size_t n = 0; n < ARRAY_COUNT(settings); n++) {
        if (strcmp(settings[n].name, name) == 0) {
            return set_one(config, &settings[n], value, why);
        }
    }
    return TERN_ENOENT;
}

static int take_scalar(void *ctx, const struct settings_scalar *scalar, char why[128])
{
    return config_set(ctx, scalar->path, scalar->value, why);
}

static void print_help(void)
{
    (void)printf("ternd: one node of a tern cluster.\n\n"
                 "usage: ternd [--config FILE] [flags]\n\n"
                 "Every setting may stand in the file (YAML) or be a flag; a flag wins.\n\n"
                 "  %-30s %s\n",
                 "--config FILE", "read settings from FILE");
    for (size_t n = 0; n < ARRAY_COUNT(settings); n++) {
        const struct setting *s = &settings[n];
        char left[64];

        (void)snprintf(left, sizeof left, "--%s%s%s", s->flag, s->value != NULL ? " " : "",
                       s->value != NULL ? s->value : "");
        (void)printf("  %-30s %s [%s]\n", left, s->help, s->name);
    }
    (void)printf("  %-30s %s\n  %-30s %s\n  %-30s %s\n", "--new-incarnation",
                 "this disk is an old copy: forget what it was", "--version", "print the version",
                 "--help", "print this");
    (void)printf(
        "\nexamples:\n"
        "  ternd --config /etc/tern/ternd.yaml\n"
        "  ternd --config node.yaml --log-level debug\n"
        "  ternd --node-id 1 --region eu-west --cluster prod --data-dir /var/lib/tern \\\n"
        "        --certs-dir /etc/tern/certs --listen-kafka 0.0.0.0:9092 \\\n"
        "        --listen-mesh 0.0.0.0:9093 --listen-admin 0.0.0.0:9094 \\\n"
        "        --advertise-kafka n1.example:9092 --advertise-mesh n1.example:9093 \\\n"
        "        --advertise-admin n1.example:9094 --seed 2@n2.example:9093\n"
        "\nA node with an empty data directory waits until `tern cluster init` founds a\n"
        "cluster with it, or joins the one that its seeds belong to.\n"
        "SIGTERM and SIGINT stop it cleanly. Exit status: 0 stopped, 1 failed, 2 usage.\n");
}

/* getopt's number of a setting's flag: its place in the table, above all characters. */
enum { OPT_FIRST = 256, OPT_CONFIG = 512, OPT_NEW, OPT_HELP, OPT_VERSION };

static int next_flag(int argc, char **argv)
{
    static struct option options[ARRAY_COUNT(settings) + 5];
    size_t n = 0;

    for (; n < ARRAY_COUNT(settings); n++) {
        options[n] = (struct option){settings[n].flag,
                                     settings[n].kind == FLAG ? no_argument : required_argument,
                                     NULL, OPT_FIRST + (int)n};
    }
    options[n++] = (struct option){"config", required_argument, NULL, OPT_CONFIG};
    options[n++] = (struct option){"new-incarnation", no_argument, NULL, OPT_NEW};
    options[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    options[n++] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    options[n] = (struct option){0};
    return getopt_long(argc, argv, ":", options, NULL);
}

/* First pass: the file (and help); second pass: the flags, which win. */
static enum config_outcome read_file_flag(int argc, char **argv, struct config *config,
                                          char why[CONFIG_WHY])
{
    int flag;

    optind = 0; /* glibc: forget an earlier run */
    opterr = 0;
    while ((flag = next_flag(argc, argv)) != -1) {
        if (flag == OPT_HELP) {
            print_help();
            return CONFIG_DONE;
        }
        if (flag == OPT_VERSION) {
            (void)printf("ternd %s\n", TERN_VERSION);
            return CONFIG_DONE;
        }
        if (flag == '?' || flag == ':') {
            (void)snprintf(why, CONFIG_WHY, "%s: %s; see ternd --help", argv[optind - 1],
                           flag == '?' ? "there is no such flag" : "a value is missing");
            return CONFIG_USAGE;
        }
        if (flag == OPT_CONFIG && settings_read_file(optarg, take_scalar, config, why) != 0) {
            return CONFIG_USAGE;
        }
    }
    if (optind < argc) {
        (void)snprintf(why, CONFIG_WHY, "%s: only flags are expected; see ternd --help",
                       argv[optind]);
        return CONFIG_USAGE;
    }
    return CONFIG_RUN;
}

static enum config_outcome read_flags(int argc, char **argv, struct config *config,
                                      char why[CONFIG_WHY])
{
    bool seeds_cleared = false;
    char reason[128] = "";
    int flag;

    optind = 0;
    while ((flag = next_flag(argc, argv)) != -1) {
        const struct setting *setting;

        if (flag == OPT_NEW) {
            config->new_incarnation = true;
        }
        if (flag >= OPT_CONFIG) {
            continue;
        }
        setting = &settings[flag - OPT_FIRST];
        if (setting->kind == SEED && !seeds_cleared) {
            config->seed_count = 0;
            seeds_cleared = true;
        }
        if (set_one(config, setting, setting->kind == FLAG ? "true" : optarg, reason) != 0) {
            (void)snprintf(why, CONFIG_WHY, "--%s: %s", setting->flag, reason);
            return CONFIG_USAGE;
        }
    }
    return CONFIG_RUN;
}

static bool check_present(const struct config *config, char why[CONFIG_WHY])
{
    static const char *const needed[] = {"node/region",  "cluster",     "data",        "certs",
                                         "listen/kafka", "listen/mesh", "listen/admin"};

    if (config->node_id == 0) {
        (void)snprintf(why, CONFIG_WHY, "node/id is missing; give it in the file or by --node-id");
        return false;
    }
    for (size_t n = 0; n < ARRAY_COUNT(settings); n++) {
        for (size_t k = 0; k < ARRAY_COUNT(needed); k++) {
            if (strcmp(settings[n].name, needed[k]) == 0 &&
                ((const char *)config)[settings[n].at] == '\0') {
                (void)snprintf(why, CONFIG_WHY, "%s is missing; give it in the file or by --%s",
                               settings[n].name, settings[n].flag);
                return false;
            }
        }
    }
    return true;
}

static bool check_whole(struct config *config, char why[CONFIG_WHY])
{
    if (!check_present(config, why)) {
        return false;
    }
    for (uint32_t n = 0; n < config->seed_count; n++) {
        for (uint32_t k = 0; k < n; k++) {
            if (config->seeds[k].node_id == config->seeds[n].node_id) {
                (void)snprintf(why, CONFIG_WHY, "seeds name node %u twice",
                               config->seeds[n].node_id);
                return false;
            }
        }
    }
    if (config->advertise_kafka[0] == '\0') {
        memcpy(config->advertise_kafka, config->listen_kafka, sizeof config->listen_kafka);
    }
    if (config->advertise_mesh[0] == '\0') {
        memcpy(config->advertise_mesh, config->listen_mesh, sizeof config->listen_mesh);
    }
    if (config->advertise_admin[0] == '\0') {
        memcpy(config->advertise_admin, config->listen_admin, sizeof config->listen_admin);
    }
    if (strncmp(config->advertise_kafka, "0.0.0.0:", 8) == 0) {
        (void)snprintf(why, CONFIG_WHY,
                       "advertise/kafka is missing: clients can't connect to 0.0.0.0");
        return false;
    }
    return true;
}

enum config_outcome config_read(int argc, char **argv, struct config *out, char why[CONFIG_WHY])
{
    enum config_outcome outcome;

    *out = (struct config){
        .store = store_defaults(), .group_initial_delay_ms = 3000, .log_level = TRACE_INFO};
    out->argc = argc;
    out->argv = argv;
    outcome = read_file_flag(argc, argv, out, why);
    if (outcome == CONFIG_RUN) {
        outcome = read_flags(argc, argv, out, why);
    }
    if (outcome == CONFIG_RUN && !check_whole(out, why)) {
        outcome = CONFIG_USAGE;
    }
    return outcome;
}
