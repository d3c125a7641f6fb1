/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_story.h"

#include <stdio.h>

#include "kafka/generated/messages.h"
#include "tests/lib/mem_disk.h"
#include "tests/sim/sim_client.h"

#define STEPS_MAX 64
#define WORDS_MAX 6
#define ASKED_MAX 64
#define NAMES_MAX 8

struct step {
    struct sim *sim;
    struct timer timer;
    uint64_t from_us; /* of `when` */
    uint64_t at_us;
    char words[WORDS_MAX][40];
    int count;
    char when[80]; /* it waits for a line that holds this; empty: for its time */
    bool taken;
};

/* A topic that was asked for: if it was made, it stays. */
struct asked {
    struct sim *sim;
    struct sim_conn conn;
    struct sim_call call;
    char name[48];
    bool made;
};

struct called {
    char name[16];
    uint32_t node;
};

struct expectation {
    uint64_t from_us;
    uint64_t to_us;
    char text[120];
    bool never;
    bool seen;
};

struct sim_story {
    char topics[80];
    struct sim_shape shape;
    struct step steps[STEPS_MAX];
    uint32_t step_count;
    struct expectation expectations[STEPS_MAX];
    uint32_t expectation_count;
    uint64_t end_us;
    uint64_t begun_us; /* 0: not yet */
    struct disk *copy;
    struct sim_client client;
    struct sim_call call;
    bool client_is_there;
    struct asked asked[ASKED_MAX];
    uint32_t asked_count;
    struct called called[NAMES_MAX];
    uint32_t called_count;
    uint32_t teller; /* the node that told what the newest `when` has waited for */
};

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t seconds(const char *word)
{
    return (uint64_t)(strtod(word, NULL) * 1e6 + 0.5);
}

static bool read_expectation(struct sim_story *story, const char *line, bool never)
{
    struct expectation *e = &story->expectations[story->expectation_count++];
    char from[24];
    char to[24];
    int at = 0;

    if (sscanf(line, "%*s %23s %23s %n", from, to, &at) != 2 || at == 0 || line[at] == '\0') {
        return false;
    }
    *e = (struct expectation){.from_us = seconds(from), .to_us = seconds(to), .never = never};
    (void)snprintf(e->text, sizeof e->text, "%s", line + at);
    return true;
}

static bool read_step(struct sim_story *story, char *line)
{
    struct step *step = &story->steps[story->step_count++];
    char *rest = NULL;

    (void)strtok_r(line, " ", &rest);
    const char *at = strtok_r(NULL, " ", &rest);
    step->at_us = at != NULL ? seconds(at) : 0;
    for (char *w = strtok_r(NULL, " ", &rest); w != NULL && step->count < WORDS_MAX;
         w = strtok_r(NULL, " ", &rest)) {
        (void)snprintf(step->words[step->count++], sizeof step->words[0], "%s", w);
    }
    return step->count > 0;
}

/* when FROM TEXT: +AFTER COMMAND */
static bool read_when(struct sim_story *story, char *line)
{
    char *command = strstr(line, ": +");
    char from[24];
    int at = 0;

    if (command == NULL) {
        return false;
    }
    *command = '\0';
    if (sscanf(line, "when %23s %n", from, &at) != 1 || at == 0 || line[at] == '\0') {
        return false;
    }
    struct step *step = &story->steps[story->step_count];
    char rest[200];
    (void)snprintf(step->when, sizeof step->when, "%s", line + at);
    (void)snprintf(rest, sizeof rest, "at %s", command + 3);
    step->from_us = seconds(from);
    return read_step(story, rest);
}

static bool read_line(struct sim_story *story, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') {
        return true;
    }
    if (story->step_count == STEPS_MAX || story->expectation_count == STEPS_MAX) {
        return false;
    }
    if (strncmp(line, "at ", 3) == 0) {
        return read_step(story, line);
    }
    if (strncmp(line, "when ", 5) == 0) {
        return read_when(story, line);
    }
    if (strncmp(line, "expect ", 7) == 0 || strncmp(line, "never ", 6) == 0) {
        return read_expectation(story, line, line[0] == 'n');
    }
    if (strncmp(line, "topics", 6) == 0) {
        (void)snprintf(story->topics, sizeof story->topics, "%.70s ", line + 6);
        return strlen(line + 6) <= 70;
    }
    if (strncmp(line, "partitions ", 11) == 0) {
        uint64_t count = strtoull(line + 11, NULL, 10);
        story->shape.partitions = (struct sim_range){count, count};
        return count > 0;
    }
    if (strncmp(line, "nodes ", 6) == 0) {
        story->shape.nodes = (uint32_t)strtoul(line + 6, NULL, 10);
        return story->shape.nodes >= SIM_REGIONS && story->shape.nodes < SIM_NODES_MAX;
    }
    if (strncmp(line, "batch ", 6) == 0) {
        uint64_t us = seconds(line + 6);
        story->shape.batch_us = (struct sim_range){us, us};
        return us > 0;
    }
    if (strncmp(line, "tellers ", 8) == 0) {
        char *end = NULL;
        story->shape.tellers = (uint32_t)strtoul(line + 8, &end, 10);
        story->shape.dawdle_us = seconds(end);
        return story->shape.tellers > 0;
    }
    if (strncmp(line, "end ", 4) == 0) {
        story->end_us = seconds(line + 4);
        return true;
    }
    return false;
}

struct sim_story *sim_story_read(const char *path)
{
    struct sim_story *story = mem_new(sizeof *story);
    FILE *file = fopen(path, "r");
    char line[256];
    int number = 0;
    bool good = file != NULL;

    story->shape = (struct sim_shape){
        .name = "story",
        .what = "written down",
        .nodes = 3,
        .batch_us = {20 * SIM_MS, 20 * SIM_MS},
        .partitions = {1, 1},
        .topics = story->topics,
        .faults = "",
    };
    while (good && fgets(line, sizeof line, file) != NULL) {
        number++;
        good = read_line(story, line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!good || story->end_us == 0) {
        (void)fprintf(stderr, "%s:%d: cannot be read\n", path, number);
        free(story);
        return NULL;
    }
    return story;
}

void sim_story_free(struct sim_story *story)
{
    if (story->copy != NULL) {
        mem_disk_free(story->copy);
    }
    free(story);
}

const struct sim_shape *sim_story_shape(const struct sim_story *story)
{
    return &story->shape;
}

uint64_t sim_story_end_us(const struct sim_story *story)
{
    return story->end_us;
}

/* ---- commands -------------------------------------------------------------------------------- */

static const struct control_topic *topic_of(struct sim *sim, const char *name)
{
    const struct control *control = sim_newest_control(sim);

    return control != NULL ? control_topic_named(control, name) : NULL;
}

/* Of the newest term; 0: there is none. */
static uint32_t controller(struct sim *sim)
{
    struct quorum_status status;
    uint64_t term = 0;
    uint32_t found = 0;

    for (uint32_t id = 1; id <= sim->node_count; id++) {
        struct node *node = sim->nodes[id].node;
        if (node == NULL || node_quorum(node) == NULL) {
            continue;
        }
        quorum_status(node_quorum(node), &status);
        if (status.controller && status.term > term) {
            term = status.term;
            found = id;
        }
    }
    return found;
}

/* The first that has got no name. */
static uint32_t rest(struct sim *sim)
{
    const struct sim_story *story = sim->story;

    for (uint32_t id = 1; id <= sim->node_count; id++) {
        bool has_name = false;
        for (uint32_t i = 0; i < story->called_count; i++) {
            has_name = has_name || story->called[i].node == id;
        }
        if (!has_name) {
            return id;
        }
    }
    return 0;
}

static void call_it(struct sim *sim, const char *name, uint32_t node)
{
    struct sim_story *story = sim->story;

    if (node == 0 || story->called_count == NAMES_MAX) {
        sim_fail(sim, "story: nobody can be called %s", name);
        return;
    }
    struct called *called = &story->called[story->called_count++];
    (void)snprintf(called->name, sizeof called->name, "%.15s", name);
    called->node = node;
    sim_tell(sim, "story: node %u is called %s", node, name);
}

/* 0: there is none. */
static uint32_t node_named(struct sim *sim, const char *word)
{
    char name[32];
    int index = 0;

    if (sscanf(word, "leader:%31[^-]-%d", name, &index) == 2) {
        const struct control_topic *topic = topic_of(sim, name);
        return topic != NULL ? topic->partitions[index].leader : 0;
    }
    if (strcmp(word, "controller") == 0) {
        return controller(sim);
    }
    if (strcmp(word, "teller") == 0) {
        return sim->story->teller;
    }
    if (strcmp(word, "rest") == 0) {
        return rest(sim);
    }
    for (uint32_t i = 0; i < sim->story->called_count; i++) {
        if (strcmp(word, sim->story->called[i].name) == 0) {
            return sim->story->called[i].node;
        }
    }
    uint32_t id = (uint32_t)strtoul(word, NULL, 10);
    return id <= sim->node_count ? id : 0;
}

static void cut(struct sim *sim, uint32_t a, uint32_t b, bool is_cut)
{
    sim_net_set_cut(&sim->net, a, b, is_cut);
}

static void cut_off(struct sim *sim, uint32_t node)
{
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        if (id != node) {
            cut(sim, node, id, true);
            cut(sim, id, node, true);
        }
    }
}

static void heal_ways(struct sim *sim)
{
    for (uint32_t a = 1; a <= sim->node_count; a++) {
        for (uint32_t b = 1; b <= sim->node_count; b++) {
            cut(sim, a, b, false);
        }
    }
}

static void created(struct sim_call *call, int status, const void *response)
{
    struct sim_story *story = CONTAINER_OF(call, struct sim_story, call);
    const struct kafka_create_topics_response *m = response;

    if (status != 0 || m->topics[0].error != 0) {
        sim_fail(story->client.sim, "story: the topic was not created");
    }
}

static void create(struct sim *sim, const char *name, const char *partitions)
{
    struct sim_story *story = sim->story;
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic t;

    if (!story->client_is_there) {
        sim_client_init(&story->client, sim, 1, "story");
        story->client_is_there = true;
    }
    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&t);
    t.name = slice_text(name);
    t.num_partitions = (int32_t)strtol(partitions, NULL, 10);
    t.replication_factor = -1;
    m.topics = &t;
    m.topics_count = 1;
    m.timeout_ms = 5000;
    story->call.done = created;
    sim_conn_ask(&story->client.conns[1], &story->call, 19, 5, &m, 8 * SIM_S);
}

static void answered(struct sim_call *call, int status, const void *response)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);
    const struct kafka_create_topics_response *m = response;

    asked->made = status == 0 && m->topics[0].error == 0;
    sim_tell(asked->sim, "story: topic %s %s made", asked->name, asked->made ? "is" : "may not be");
}

/* From a client at the node itself. */
static void ask_for(struct sim *sim, const char *name, uint32_t node, uint32_t number)
{
    struct sim_story *story = sim->story;
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic t;

    if (story->asked_count == ASKED_MAX) {
        sim_fail(sim, "story: too many topics are asked for");
        return;
    }
    struct asked *asked = &story->asked[story->asked_count++];
    asked->sim = sim;
    (void)snprintf(asked->name, sizeof asked->name, "%s-%u", name, number);
    sim_conn_init(&asked->conn, sim, node, node, "story");
    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&t);
    t.name = slice_text(asked->name);
    t.num_partitions = 1;
    t.replication_factor = -1;
    m.topics = &t;
    m.topics_count = 1;
    m.timeout_ms = 5000;
    asked->call.done = answered;
    sim_conn_ask(&asked->conn, &asked->call, 19, 5, &m, 8 * SIM_S);
}

static void check_asked(struct sim *sim)
{
    const struct sim_story *story = sim->story;

    for (uint32_t i = 0; i < story->asked_count; i++) {
        if (story->asked[i].made && topic_of(sim, story->asked[i].name) == NULL) {
            sim_fail(sim, "C10: topic %s was created, and is gone", story->asked[i].name);
        }
    }
}

static void all_led(struct sim *sim, const char *name)
{
    const struct control_topic *topic = topic_of(sim, name);
    uint32_t led = 0;

    for (uint32_t i = 0; topic != NULL && i < topic->partition_count; i++) {
        struct node *node = sim->nodes[topic->partitions[i].leader].node;
        struct node_partition_view view = {0};
        if (node != NULL) {
            node_partition(node, topic->id, (int32_t)i, &view);
        }
        led += view.serves;
    }
    sim_tell(sim, "story: %u of %u partitions of %s are led", led,
             topic != NULL ? topic->partition_count : 0, name);
    if (topic == NULL || led < topic->partition_count) {
        sim_fail(sim, "story: not every partition of %s is led", name);
    }
}

static bool to_node(struct sim *sim, const char *word, struct sim_node *node, const char *more)
{
    struct sim_story *story = sim->story;

    if (strcmp(word, "kill") == 0) {
        sim_node_crash(node, SIM_KILL);
    } else if (strcmp(word, "power") == 0) {
        sim_node_crash(node, SIM_POWER);
    } else if (strcmp(word, "start") == 0) {
        sim_node_start(node);
    } else if (strcmp(word, "pause") == 0 || strcmp(word, "resume") == 0) {
        sim_node_pause(node, word[0] == 'p');
    } else if (strcmp(word, "isolate") == 0) {
        cut_off(sim, node->id);
    } else if (strcmp(word, "copy") == 0) {
        story->copy = mem_disk_copy(node->disk, &node->clock.clock, 1);
    } else if (strcmp(word, "put-back") == 0) {
        sim_node_change_disk(node, story->copy);
        story->copy = NULL;
    } else if (strcmp(word, "empty") == 0) {
        sim_node_change_disk(node, NULL);
    } else if (strcmp(word, "room") == 0) {
        uint64_t room = strtoull(more, NULL, 10) << 10;
        mem_disk_set_capacity(
            node->disk, strcmp(more, "all") == 0 ? UINT64_MAX : mem_disk_used(node->disk) + room);
    } else if (strcmp(word, "slow") == 0) {
        uint64_t us = strtoull(more, NULL, 10) * SIM_MS;
        mem_disk_set_latency(node->disk, us, us);
    } else {
        return false;
    }
    return true;
}

static void to_way(struct sim *sim, const struct step *step, uint32_t a, uint32_t b)
{
    const char *word = step->words[0];
    uint64_t us = strtoull(step->words[3], NULL, 10) * SIM_MS;

    if (a == b) {
        return; /* `for each other` is easily said so */
    }
    if (strcmp(word, "delay") == 0) {
        sim->net.delay_us[a][b] = us;
    } else if (strcmp(word, "reset") == 0) {
        sim_net_reset(&sim->net, a, b);
    } else if (strcmp(word, "narrow") == 0) {
        sim->net.bad[a][b].us_per_kib = us;
    } else {
        bool is_cut = strncmp(word, "cut", 3) == 0;
        cut(sim, a, b, is_cut);
        if (strstr(word, "one-way") == NULL) {
            cut(sim, b, a, is_cut);
        }
    }
}

static void hand_over(struct sim *sim, uint32_t to)
{
    uint32_t from = controller(sim);

    if (from != 0 && from != to && sim->nodes[to].node != NULL) {
        struct quorum_status status;
        quorum_status(node_quorum(sim->nodes[from].node), &status);
        for (uint32_t i = 0; i < status.peer_count; i++) {
            if (status.peers[i].member.node_id == to) {
                sim_node_enter(&sim->nodes[from]);
                quorum_transfer(node_quorum(sim->nodes[from].node), status.peers[i].member.raft_id);
            }
        }
    }
}

static bool is_way(const char *word)
{
    static const char *const words[] = {"cut",   "cut-one-way", "join", "join-one-way",
                                        "delay", "narrow",      "reset"};

    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void take(struct timer *timer)
{
    struct step *step = CONTAINER_OF(timer, struct step, timer);
    struct sim *sim = step->sim;
    const char *word = step->words[0];
    uint32_t a = node_named(sim, step->words[1]);
    uint32_t b = node_named(sim, step->words[2]);

    sim_tell(sim, "story: %s %s %s", word, step->words[1], step->words[2]);
    if (strcmp(word, "heal") == 0) {
        heal_ways(sim);
    } else if (strcmp(word, "create") == 0) {
        create(sim, step->words[1], step->words[2]);
    } else if (strcmp(word, "led") == 0) {
        all_led(sim, step->words[1]);
    } else if (strcmp(word, "call") == 0) {
        call_it(sim, step->words[1], b);
    } else if (strcmp(word, "ask") == 0 && b > 0) {
        uint64_t count = step->count > 3 ? strtoull(step->words[3], NULL, 10) : 1;
        for (uint32_t i = 0; i < count; i++) {
            ask_for(sim, step->words[1], b, i);
        }
    } else if (strcmp(word, "control") == 0 && a > 0) {
        hand_over(sim, a);
    } else if (is_way(word) && a > 0 && b > 0) {
        to_way(sim, step, a, b);
    } else if (a == 0 || !to_node(sim, word, &sim->nodes[a], step->words[2])) {
        sim_fail(sim, "story: this is no command: %s %s", word, step->words[1]);
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

void sim_story_begin(struct sim *sim, struct sim_story *story)
{
    story->begun_us = sim->now_us;
    for (uint32_t i = 0; i < story->step_count; i++) {
        story->steps[i].sim = sim;
        story->steps[i].timer.fire = take;
        if (story->steps[i].when[0] == '\0') {
            sim_after(sim, &story->steps[i].timer, story->steps[i].at_us);
        }
    }
}

void sim_story_heal(struct sim *sim)
{
    sim_tell(sim, "story: everything heals");
    heal_ways(sim);
    for (uint32_t a = 1; a <= sim->node_count; a++) {
        for (uint32_t b = 1; b <= sim->node_count; b++) {
            sim->net.delay_us[a][b] = a == b ? 100 : 10 * SIM_MS;
            sim->net.bad[a][b].us_per_kib = 0;
        }
    }
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        struct sim_node *node = &sim->nodes[id];
        sim_node_pause(node, false);
        mem_disk_set_capacity(node->disk, UINT64_MAX);
        mem_disk_set_latency(node->disk, 50, node->disk_us);
        if (node->node == NULL) {
            sim_stop(sim, &node->restart);
            sim_node_start(node);
        }
    }
}

/* The parts of the pattern between its stars are there, in that order. */
static bool matches(const char *line, const char *pattern)
{
    char parts[80];
    char *rest = NULL;

    (void)snprintf(parts, sizeof parts, "%s", pattern);
    for (char *part = strtok_r(parts, "*", &rest); part != NULL && line != NULL;
         part = strtok_r(NULL, "*", &rest)) {
        line = strstr(line, part);
        line = line != NULL ? line + strlen(part) : NULL;
    }
    return line != NULL;
}

/* A command may wait for the line: it is taken from the loop, never from inside a node. */
static void trigger(struct sim *sim, const char *line, uint64_t us)
{
    struct sim_story *story = sim->story;

    for (uint32_t i = 0; i < story->step_count; i++) {
        struct step *step = &story->steps[i];
        if (step->when[0] == '\0' || step->taken || us < step->from_us ||
            !matches(line, step->when)) {
            continue;
        }
        const char *who = strstr(line, "node=");
        step->taken = true;
        story->teller = who != NULL ? (uint32_t)strtoul(who + 5, NULL, 10) : 0;
        sim_after(sim, &step->timer, step->at_us);
    }
}

void sim_story_hears(struct sim *sim, const char *line)
{
    struct sim_story *story = sim->story;
    uint64_t us = sim->now_us - story->begun_us;

    if (story->begun_us > 0 && strncmp(line, "story: ", 7) != 0) {
        trigger(sim, line, us);
    }

    for (uint32_t i = 0; story->begun_us > 0 && i < story->expectation_count; i++) {
        struct expectation *e = &story->expectations[i];
        if (us >= e->from_us && us <= e->to_us && strstr(line, e->text) != NULL) {
            e->seen = true;
        }
    }
}

void sim_story_check(struct sim *sim)
{
    struct sim_story *story = sim->story;

    story->begun_us = 0; /* what is told from here on is not part of it */
    for (uint32_t i = 0; i < story->expectation_count; i++) {
        const struct expectation *e = &story->expectations[i];
        if (e->seen == e->never) {
            sim_fail(sim, "story: from %.3f to %.3f s %s told: %s", (double)e->from_us / 1e6,
                     (double)e->to_us / 1e6, e->never ? "it was" : "nobody", e->text);
        }
    }
    if (!sim_failed(sim)) {
        check_asked(sim);
    }
    for (uint32_t i = 0; i < story->asked_count; i++) {
        sim_conn_fini(&story->asked[i].conn);
    }
    if (story->client_is_there) {
        sim_client_fini(&story->client);
        story->client_is_there = false;
    }
}
