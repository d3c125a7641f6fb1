/* SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include <string.h>

#include "base/prng.h"

enum { WORDS_MAX = 24, PROFILE_NODES = 3 };

struct profile {
    const char *name;
    uint32_t rtt_us[3]; /* nodes 1-2, 1-3, 2-3 */
};

static const struct profile profiles[] = {
    {"us", {12000, 65000, 55000}}, {"eu", {23000, 38000, 22000}}, {"wide", {70000, 85000, 145000}},
    {"metro", {500, 500, 500}},    {"none", {0, 0, 0}},
};

void network_start(struct network *network, uint64_t now_ns)
{
    struct prng prng;

    CHECK(network->count >= 2 && network->count <= NETWORK_NODES_MAX);
    prng_init(&prng, network->seed);
    for (uint32_t from = 0; from < NETWORK_NODES_MAX; from++) {
        for (uint32_t to = 0; to < NETWORK_NODES_MAX; to++) {
            link_init(&network->links[from][to], prng_next(&prng));
        }
    }
    (void)snprintf(network->profile, sizeof network->profile, "none");
    network->counted_since_ns = now_ns;
}

void network_fini(struct network *network)
{
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            link_fini(&network->links[from][to]);
        }
    }
}

int network_find(const struct network *network, const char *name)
{
    for (uint32_t i = 0; i < network->count; i++) {
        char number[12];
        (void)snprintf(number, sizeof number, "%u", i + 1);
        if (strcmp(network->nodes[i].name, name) == 0 || strcmp(number, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int network_route(const struct network *network, uint32_t address)
{
    for (uint32_t i = 0; i < network->count; i++) {
        for (uint32_t k = 0; k < network->nodes[i].address_count; k++) {
            if (network->nodes[i].addresses[k] == address) {
                return (int)i;
            }
        }
    }
    return -1;
}

void network_note_late(struct network *network, uint64_t late_ns)
{
    unsigned bucket = 0;

    for (double limit_ns = 1000; (double)late_ns >= limit_ns; limit_ns *= 1.4142135623730951) {
        if (++bucket == NETWORK_LATE_BUCKETS - 1) {
            break;
        }
    }
    network->late[bucket]++;
}

uint64_t network_next_ns(const struct network *network)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            uint64_t due = link_next_ns(&network->links[from][to]);
            next = due < next ? due : next;
        }
    }
    return next;
}

bool network_profile(struct network *network, const char *name, const char *loss, char why[160])
{
    struct link_settings settings = {.reorder_us = 5000, .queue_bytes = 1 << 20};
    const struct profile *profile = NULL;
    char word[64];

    for (size_t i = 0; i < ARRAY_COUNT(profiles); i++) {
        profile = strcmp(profiles[i].name, name) == 0 ? &profiles[i] : profile;
    }
    if (profile == NULL) {
        (void)snprintf(why, 160, "'%.40s' is none of the profiles us eu wide metro none", name);
        return false;
    }
    if (network->count != PROFILE_NODES && strcmp(name, "none") != 0) {
        (void)snprintf(why, 160, "profile %s is for three nodes, not %u", name, network->count);
        return false;
    }
    (void)snprintf(word, sizeof word, "loss=%.40s", loss);
    if (!link_settings_word(&settings, word, why)) {
        return false;
    }
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            if (from != to) {
                uint32_t pair = from + to - 1; /* 0+1, 0+2, 1+2 */
                settings.delay_us = pair < PROFILE_NODES ? profile->rtt_us[pair] / 2 : 0;
                link_tell(&network->links[from][to], &settings);
            }
        }
    }
    (void)snprintf(network->profile, sizeof network->profile, "%s loss=%.4g%%", name,
                   (double)settings.loss_ppm / 10000);
    return true;
}

/* ---- commands ------------------------------------------------------------------------------- */

/* Which links a command is about: `all`, `A` (to and from it), `A B` (both ways), `A>B`, or
 * `A B --one-way`. */
struct target {
    int from; /* -1: any */
    int to;
    bool one_way;
};

struct words {
    char *at[WORDS_MAX];
    unsigned count;
    bool one_way;
};

static bool cut_words(char *line, struct words *out, char why[160])
{
    char *rest = line;
    char *word;

    while ((word = strsep(&rest, " \t\r")) != NULL) {
        if (*word == '\0') {
            continue;
        }
        if (strcmp(word, "--one-way") == 0) {
            out->one_way = true;
        } else if (out->count == WORDS_MAX) {
            (void)snprintf(why, 160, "more than %d words", WORDS_MAX);
            return false;
        } else {
            out->at[out->count++] = word;
        }
    }
    return true;
}

static bool find_node(const struct network *network, const char *name, int *out, char why[160])
{
    *out = network_find(network, name);
    if (*out < 0) {
        (void)snprintf(why, 160, "'%.40s' is no node", name);
    }
    return *out >= 0;
}

/* Reads a target from words[1] on; *out_next is the first word behind it. */
static bool read_target(const struct network *network, const struct words *words,
                        struct target *out, unsigned *out_next, char why[160])
{
    struct target target = {-1, -1, words->one_way};
    unsigned at = 1;
    char *arrow;

    if (at >= words->count) {
        (void)snprintf(why, 160, "which link? A B, A>B, A or all");
        return false;
    }
    if (strcmp(words->at[at], "all") == 0) {
        at++;
    } else if ((arrow = strchr(words->at[at], '>')) != NULL) {
        *arrow = '\0';
        target.one_way = true;
        if (!find_node(network, words->at[at], &target.from, why) ||
            !find_node(network, arrow + 1, &target.to, why)) {
            return false;
        }
        at++;
    } else {
        if (!find_node(network, words->at[at++], &target.from, why)) {
            return false;
        }
        if (at < words->count && strchr(words->at[at], '=') == NULL &&
            !find_node(network, words->at[at++], &target.to, why)) {
            return false;
        }
    }
    if (words->one_way && target.from < 0) {
        (void)snprintf(why, 160, "--one-way needs a node to begin at");
        return false;
    }
    if (target.from >= 0 && target.from == target.to) {
        (void)snprintf(why, 160, "a node has no link to itself");
        return false;
    }
    *out = target;
    *out_next = at;
    return true;
}

static bool target_has(const struct target *t, int from, int to)
{
    bool there = (t->from < 0 || t->from == from) && (t->to < 0 || t->to == to);
    bool back = (t->from < 0 || t->from == to) && (t->to < 0 || t->to == from);

    return from != to && (there || (back && !t->one_way));
}

static bool command_set(struct network *network, const struct words *words, char why[160])
{
    struct link_settings changed[NETWORK_NODES_MAX][NETWORK_NODES_MAX];
    struct target target;
    unsigned first;

    if (!read_target(network, words, &target, &first, why)) {
        return false;
    }
    if (first == words->count) {
        (void)snprintf(why, 160, "set what? KEY=VALUE is missing");
        return false;
    }
    /* All or nothing: a wrong word changes no link. */
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            changed[from][to] = network->links[from][to].told;
            for (unsigned i = first; i < words->count; i++) {
                if (!link_settings_word(&changed[from][to], words->at[i], why)) {
                    return false;
                }
            }
        }
    }
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            if (target_has(&target, (int)from, (int)to)) {
                link_tell(&network->links[from][to], &changed[from][to]);
            }
        }
    }
    if (strstr(network->profile, "changed") == NULL) {
        strncat(network->profile, " (changed)",
                sizeof network->profile - strlen(network->profile) - 1);
    }
    return true;
}

static bool command_cut(struct network *network, struct words *words, bool cut, char why[160])
{
    static char all[] = "all";
    struct target target;
    unsigned next;

    if (words->count == 1 && !cut) {
        words->at[words->count++] = all;
    }
    if (!read_target(network, words, &target, &next, why)) {
        return false;
    }
    if (next != words->count) {
        (void)snprintf(why, 160, "'%.40s' is one word too many", words->at[next]);
        return false;
    }
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            if (target_has(&target, (int)from, (int)to)) {
                link_cut(&network->links[from][to], cut);
            }
        }
    }
    return true;
}

static bool command_profile(struct network *network, const struct words *words, char why[160])
{
    const char *loss = "0";

    if (words->count == 3 && strncmp(words->at[2], "loss=", 5) == 0) {
        loss = words->at[2] + 5;
    } else if (words->count != 2) {
        (void)snprintf(why, 160, "profile NAME [loss=PERCENT]");
        return false;
    }
    return network_profile(network, words->at[1], loss, why);
}

static void command_reset(struct network *network, uint64_t now_ns)
{
    for (uint32_t from = 0; from < network->count; from++) {
        network->nodes[from].strays = 0;
        for (uint32_t to = 0; to < network->count; to++) {
            network->links[from][to].counters = (struct link_counters){0};
        }
    }
    memset(network->late, 0, sizeof network->late);
    network->counted_since_ns = now_ns;
}

static bool carry_out(struct network *network, struct words *words, uint64_t now_ns, FILE *out,
                      char why[160])
{
    const char *verb = words->count > 0 ? words->at[0] : "";

    if (strcmp(verb, "set") == 0) {
        return command_set(network, words, why);
    }
    if (strcmp(verb, "cut") == 0 || strcmp(verb, "heal") == 0) {
        return command_cut(network, words, *verb == 'c', why);
    }
    if (strcmp(verb, "profile") == 0) {
        return command_profile(network, words, why);
    }
    if (strcmp(verb, "show") == 0 && words->count == 2 && strcmp(words->at[1], "json") == 0) {
        network_show_json(network, now_ns, out);
        return true;
    }
    if (words->count == 1 && strcmp(verb, "show") == 0) {
        network_show(network, now_ns, out);
        return true;
    }
    if (words->count == 1 && strcmp(verb, "reset") == 0) {
        command_reset(network, now_ns);
        return true;
    }
    if (words->count == 1 && strcmp(verb, "help") == 0) {
        network_help(out);
        return true;
    }
    (void)snprintf(why, 160, "'%.40s' is not understood; try help", verb);
    return false;
}

void network_command(struct network *network, char *line, uint64_t now_ns, FILE *out)
{
    struct words words = {0};
    char why[160] = "";

    if (cut_words(line, &words, why) && carry_out(network, &words, now_ns, out, why)) {
        (void)fputs("ok\n", out);
        return;
    }
    /* The answer is one line of plain text whatever came in. */
    for (char *c = why; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
    (void)fprintf(out, "error: %s\n", why);
}

void network_help(FILE *out)
{
    (void)fputs(
        "show [json]                 settings and counters of each direction\n"
        "set LINK KEY=VALUE ...      LINK: A B (both ways), A>B or A B --one-way, A (all of its\n"
        "                            links), all; a node is its name or its number\n"
        "    delay=MS rtt=MS jitter=MS      delay is one way; +- jitter, order is kept\n"
        "    loss=PCT duplicate=PCT         per packet of the wire\n"
        "    reorder=PCT reorder-by=MS      these come so much later and are overtaken\n"
        "    rate=MBIT queue=KIB            0: unlimited; what the queue can't hold is dropped\n"
        "    split=auto|on|off              offloaded segments: cut up when it matters, always, "
        "never\n"
        "    units: us ms s, kbit mbit gbit\n"
        "cut LINK                    drops everything, what is in flight too; nobody is told\n"
        "heal [LINK]                 ends cuts; settings stay\n"
        "profile NAME [loss=PCT]     us eu wide metro none: all settings of all links anew\n"
        "reset                       counters from 0\n",
        out);
}
