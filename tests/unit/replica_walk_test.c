/* SPDX-License-Identifier: Apache-2.0 */
/* Random walks of one partition through everything that may go wrong, judged from outside.
 *
 * One seed is one walk; it also chooses the scenario and how the weather is. REPLICA_SEED=n tells
 * the story of one walk, REPLICA_WALKS=n says how many each scenario gets, REPLICA_FIRST=n where
 * the seeds begin. In a build with mutants REPLICA_MUTANT=name switches one on (see base/mutant.h)
 * and REPLICA_MUTANT=list names them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/replica_world.h"
#include "tests/lib/test.h"

#define WALKS        3000
#define CHAOS_EPOCHS 20
#define QUIET_ROUNDS 400
#define ROUND_MS     100

#define N1 NODE_BIT(1)
#define N2 NODE_BIT(2)
#define N3 NODE_BIT(3)
#define N4 NODE_BIT(4)
#define N5 NODE_BIT(5)

struct scenario {
    const char *name;
    uint32_t nodes;
    int8_t regions[WORLD_NODES];
    struct replica_rule rules[6]; /* the first one is where it ends */
    size_t rule_count;
    uint32_t wipes_max;
    uint32_t lossy_max;
};

static const struct scenario scenarios[] = {
    {"plain, 2 of 3", 3, {0, 1, 2}, {{N1 | N2 | N3, 0, 2, -1}}, 1, 1, 0},
    {"plain, 3 of 3", 3, {0, 1, 2}, {{N1 | N2 | N3, 0, 3, -1}}, 1, 1, 0},
    {"reconfigure",
     4,
     {0, 1, 2, 3},
     {{N1 | N2 | N3, 0, 2, -1},
      {N2 | N3 | N4, 0, 2, -1},
      {N3 | N4, N1, 2, -1},
      {N4, N2 | N3, 1, -1},
      {N1 | N2 | N3, 0, 3, -1},
      {N1 | N2, N3 | N4, 2, -1}},
     6,
     1,
     0},
    {"witness",
     2,
     {0, 1},
     {{N1 | N2, 0, 2, -1}, {N1, 0, 1, -1}, {N2, 0, 1, -1}, {N1, N2, 1, -1}},
     4,
     1,
     0},
    {"async",
     3,
     {0, 1, 2},
     {{N1 | N2 | N3, 0, 1, 0}, {N1 | N2 | N3, 0, 1, 1}, {N1 | N2 | N3, 0, 1, 2}},
     3,
     0,
     3},
    {"three copies",
     5,
     {0, 0, 1, 2, 0},
     {{N1 | N2 | N5 | N3 | N4, 0, 2, -1},
      {N1 | N2 | N3 | N4, 0, 2, -1},
      {N1 | N2 | N5 | N4, 0, 2, -1},
      {N1 | N2 | N3, 0, 1, 0}},
     4,
     1,
     0},
    {"wiped disks", 3, {0, 1, 2}, {{N1 | N2 | N3, 0, 2, -1}}, 1, 3, 0},
    {"sync and async",
     3,
     {0, 1, 2},
     {{N1 | N2 | N3, 0, 2, -1}, {N1 | N2 | N3, 0, 1, 0}, {N1 | N2 | N3, 0, 1, 2}},
     3,
     0,
     2},
    {"forced by an operator", 3, {0, 1, 2}, {{N1 | N2 | N3, 0, 2, -1}}, 1, 0, 2},
};
#define SCENARIOS ARRAY_COUNT(scenarios)

enum what {
    DO_DELIVER,
    DO_WRITE,
    DO_APPLY,
    DO_TURN,
    DO_TICK,
    DO_SEND,
    DO_PRODUCERS,
    DO_TIMEOUT,
    DO_CRASH,
    DO_START,
    DO_REGISTER,
    DO_LINK_DOWN,
    DO_TELL_DOWN,
    DO_LINK_UP,
    DO_ASSIGN,
    DO_DECIDE,
    DO_LOG_START,
    DO_WEATHER,
    DO_IMAGE,
    DO_REFUSE,
    DO_DAMAGE,
    DO_REPAIR,
    DO_WHATS,
};

struct walk {
    struct world world;
    const struct scenario *scenario;
    unsigned weights[DO_WHATS];
    unsigned total;
    uint32_t lossy;
    uint64_t epoch_ms; /* since when the newest epoch is assigned */
    int32_t epoch_seen;
};

static uint64_t now_walking; /* the seed, for who dies on the way */

static uint64_t below(struct walk *k, uint64_t bound)
{
    return prng_below(&k->world.prng, bound);
}

static bool chance(struct walk *k, uint64_t parts, uint64_t whole)
{
    return prng_chance(&k->world.prng, parts, whole);
}

static uint32_t any_node(struct walk *k)
{
    return 1 + (uint32_t)below(k, k->scenario->nodes);
}

/* ---- the control quorum's whims -------------------------------------------------------------- */

static uint64_t may_lead(const struct walk *k, const struct replica_rule *rule)
{
    uint64_t nodes = 0;

    for (uint32_t id = 1; id <= k->scenario->nodes; id++) {
        if ((rule->voters & NODE_BIT(id)) != 0 &&
            (rule->home < 0 || rule->home == k->scenario->regions[id - 1])) {
            nodes |= NODE_BIT(id);
        }
    }
    return nodes;
}

static uint32_t pick_leader(struct walk *k, const struct replica_rule *rule, uint64_t wanted)
{
    uint64_t nodes = may_lead(k, rule);

    if ((nodes & wanted) != 0) {
        nodes &= wanted;
    }
    uint32_t node = any_node(k);
    while ((nodes & NODE_BIT(node)) == 0) {
        node = any_node(k);
    }
    return node;
}

static uint64_t up_nodes(const struct walk *k)
{
    uint64_t nodes = 0;

    for (uint32_t id = 1; id <= k->scenario->nodes; id++) {
        const struct world_node *n = &k->world.nodes[id];
        nodes |= n->up && n->registered ? NODE_BIT(id) : 0;
    }
    return nodes;
}

/* The leader's replica alone counts, all others learn. */
static void assign_lossy(struct walk *k)
{
    const struct replica_rule *active = &k->world.control.active;
    uint32_t leader = any_node(k);
    int8_t home = active->home >= 0 ? k->scenario->regions[leader - 1] : -1;

    if ((active->voters & NODE_BIT(leader)) == 0 || active->voters == NODE_BIT(leader)) {
        return;
    }
    struct replica_rule rule = rworld_rule(NODE_BIT(leader), 1, home);
    rule.learners = (active->voters | active->learners) & ~NODE_BIT(leader);
    k->lossy++;
    (void)rworld_assign(&k->world, leader, rule, true);
}

static void assign_any(struct walk *k)
{
    struct world *w = &k->world;

    /* Mostly epochs that have come to something are replaced. */
    bool early = w->control.epoch > 0 && rworld_leader(w) == 0;
    if (w->control.epoch >= CHAOS_EPOCHS || (early && chance(k, 4, 5))) {
        return;
    }
    if (w->control.epoch > 0 && k->lossy < k->scenario->lossy_max && chance(k, 1, 4)) {
        assign_lossy(k);
        return;
    }
    struct replica_rule rule = k->scenario->rules[below(k, k->scenario->rule_count)];
    if (w->control.epoch > 0 && chance(k, 1, 3)) {
        rule = w->control.active;
    }
    uint64_t wanted = chance(k, 4, 5) ? up_nodes(k) : ~(uint64_t)0;
    (void)rworld_assign(w, pick_leader(k, &rule, wanted), rule, false);
}

static void register_node(struct walk *k, uint32_t node)
{
    struct world *w = &k->world;

    if (w->nodes[node].up && !w->nodes[node].registered) {
        uint32_t leader = node;
        if (w->control.epoch > 0) {
            uint64_t wanted = chance(k, 1, 2) ? NODE_BIT(node) : up_nodes(k);
            leader = pick_leader(k, &w->control.active, wanted);
        }
        rworld_register(w, node, leader);
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void deliver_any(struct walk *k)
{
    struct world *w = &k->world;
    uint32_t total = 0;

    for (uint32_t from = 1; from <= w->node_count; from++) {
        for (uint32_t to = 1; to <= w->node_count; to++) {
            for (int c = 0; c < CHANNELS; c++) {
                struct world_queue *q = &w->queues[from][to][c];
                total += q->first < q->count ? q->speed : 0;
            }
        }
    }
    if (total == 0) {
        return;
    }
    uint64_t pick = below(k, total);
    for (uint32_t from = 1; from <= w->node_count; from++) {
        for (uint32_t to = 1; to <= w->node_count; to++) {
            for (int c = 0; c < CHANNELS; c++) {
                struct world_queue *q = &w->queues[from][to][c];
                unsigned speed = q->first < q->count ? q->speed : 0;
                if (pick < speed) {
                    (void)rworld_deliver(w, from, to, (enum world_channel)c);
                    return;
                }
                pick -= speed;
            }
        }
    }
}

static void weather(struct walk *k)
{
    static const unsigned control[] = {0, 1, 4, 4, 16, 16};
    static const unsigned data[] = {0, 0, 1, 1, 4, 16};

    for (uint32_t from = 1; from <= k->world.node_count; from++) {
        for (uint32_t to = 1; to <= k->world.node_count; to++) {
            for (int c = 0; c < CHANNELS; c++) {
                const unsigned *speeds = c == CHANNEL_DATA ? data : control;
                k->world.queues[from][to][c].speed = speeds[below(k, ARRAY_COUNT(data))];
            }
        }
    }
}

static void crash_any(struct walk *k)
{
    uint32_t node = any_node(k);
    struct world *w = &k->world;

    if (!w->nodes[node].up) {
        return;
    }
    rworld_crash(w, node, chance(k, 1, 2) ? 0 : (size_t)below(k, 6));
    if (w->counters.wipes < k->scenario->wipes_max && chance(k, 1, 4)) {
        if (w->nodes[node].has_image && chance(k, 1, 2)) {
            rworld_put_back(w, node);
        } else {
            rworld_wipe(w, node);
        }
    }
}

static void send_any(struct walk *k)
{
    struct world *w = &k->world;
    uint32_t node = any_node(k);

    for (uint32_t id = 1; id <= w->node_count && chance(k, 4, 5); id++) {
        if (w->nodes[id].up && replica_serves(&w->nodes[id].replica)) {
            node = id;
            break;
        }
    }
    (void)rworld_send(w, (uint32_t)below(k, WORLD_CLIENTS), node);
}

static void raise_any(struct walk *k, uint32_t node)
{
    struct world_node *n = &k->world.nodes[node];

    if (n->up && n->log.end > n->log.start) {
        int64_t offset =
            n->log.start + 1 + (int64_t)below(k, (uint64_t)(n->log.end - n->log.start));
        if (offset < n->log.end) {
            offset = k->world.batches[n->log.at[offset]].info.base_offset;
        }
        rworld_raise_log_start(&k->world, node, offset);
    }
}

/* Only what another node holds is worth a repair; nothing more is asked of the protocol. */
static void damage_any(struct walk *k, uint32_t node)
{
    struct world_node *n = &k->world.nodes[node];
    int64_t count = n->disk.log.end - n->disk.log.start;

    if (count > 0) {
        rworld_damage(&k->world, node, n->disk.log.start + (int64_t)below(k, (uint64_t)count));
    }
}

static void step(struct walk *k)
{
    struct world *w = &k->world;
    uint64_t pick = below(k, k->total);
    int what = 0;
    uint32_t node = any_node(k);
    uint32_t other = any_node(k);

    for (; pick >= k->weights[what]; what++) {
        pick -= k->weights[what];
    }
    w->counters.steps++;
    switch ((enum what)what) {
    case DO_DELIVER:
        deliver_any(k);
        break;
    case DO_WRITE:
        (void)rworld_write_done(w, node);
        break;
    case DO_APPLY:
        if (chance(k, 1, 6)) {
            rworld_apply_snapshot(w, node);
        } else {
            (void)rworld_apply(w, node);
        }
        break;
    case DO_TURN:
        rworld_turn(w, node);
        break;
    case DO_TICK:
        w->now_ms += 1 + below(k, 200);
        rworld_tick(w, node);
        break;
    case DO_SEND:
        send_any(k);
        break;
    case DO_PRODUCERS:
        if (chance(k, 1, 6)) {
            rworld_save_producers(w, node);
        } else {
            rworld_feed_producers(w, node);
        }
        break;
    case DO_TIMEOUT:
        rworld_client_timeout(w, (uint32_t)below(k, WORLD_CLIENTS));
        break;
    case DO_CRASH:
        crash_any(k);
        break;
    case DO_START:
        if (!w->nodes[node].up) {
            rworld_start(w, node);
        }
        break;
    case DO_REGISTER:
        register_node(k, node);
        break;
    case DO_LINK_DOWN:
        if (w->channels_up[node][other] != 0) {
            rworld_link_down(w, node, other, 1 + (unsigned)below(k, CHANNELS_ALL));
        }
        break;
    case DO_IMAGE:
        if (w->nodes[node].up && w->nodes[node].registered) {
            rworld_keep_image(w, node);
        }
        break;
    case DO_REFUSE:
        rworld_refuse(w, node, other, (enum world_channel)below(k, CHANNELS));
        break;
    case DO_TELL_DOWN:
        rworld_tell_down(w, node, other);
        break;
    case DO_LINK_UP:
        if (node != other && !rworld_linked(w, node, other) && w->nodes[node].up &&
            w->nodes[other].up) {
            rworld_link_up(w, node, other);
        }
        break;
    case DO_ASSIGN:
        assign_any(k);
        break;
    case DO_DECIDE:
        (void)rworld_decide(w);
        break;
    case DO_LOG_START:
        raise_any(k, node);
        break;
    case DO_WEATHER:
        weather(k);
        break;
    case DO_DAMAGE:
        damage_any(k, node);
        break;
    case DO_REPAIR:
        (void)rworld_repair(w, node, false);
        break;
    case DO_WHATS:
        break;
    }
}

/* Which faults there are, and how fast everything is, is drawn for each walk. */
static void draw_weights(struct walk *k)
{
    static const unsigned usual[DO_WHATS] = {
        [DO_DELIVER] = 700,  [DO_WRITE] = 350,   [DO_APPLY] = 300,    [DO_TURN] = 160,
        [DO_TICK] = 70,      [DO_SEND] = 80,     [DO_PRODUCERS] = 60, [DO_TIMEOUT] = 3,
        [DO_CRASH] = 6,      [DO_START] = 60,    [DO_REGISTER] = 90,  [DO_LINK_DOWN] = 8,
        [DO_TELL_DOWN] = 60, [DO_LINK_UP] = 120, [DO_ASSIGN] = 20,    [DO_DECIDE] = 60,
        [DO_LOG_START] = 6,  [DO_WEATHER] = 16,  [DO_IMAGE] = 4,      [DO_REFUSE] = 6,
        [DO_DAMAGE] = 4,     [DO_REPAIR] = 60,
    };

    k->total = 0;
    for (int i = 0; i < DO_WHATS; i++) {
        static const unsigned percent[] = {25, 50, 100, 100, 200, 300};
        k->weights[i] = usual[i] * percent[below(k, ARRAY_COUNT(percent))] / 25;
    }
    static const enum what faults[] = {DO_CRASH,   DO_LINK_DOWN, DO_LOG_START, DO_TIMEOUT,
                                       DO_WEATHER, DO_REFUSE,    DO_DAMAGE};
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        if (chance(k, 1, 4)) {
            k->weights[faults[i]] = 0;
        }
    }
    for (int i = 0; i < DO_WHATS; i++) {
        k->total += k->weights[i];
    }
}

/* ---- the quiet phase ------------------------------------------------------------------------- */

static void heal(struct walk *k)
{
    struct world *w = &k->world;

    rworld_story(w, "---- everything heals ----");
    for (uint32_t a = 1; a <= w->node_count; a++) {
        if (!w->nodes[a].up) {
            rworld_start(w, a);
        }
    }
    for (uint32_t a = 1; a <= w->node_count; a++) {
        for (uint32_t b = 1; b <= w->node_count; b++) {
            for (int c = 0; c < CHANNELS; c++) {
                w->queues[a][b][c].speed = 1;
            }
            if (a < b && !rworld_linked(w, a, b)) {
                rworld_link_up(w, a, b);
            }
        }
        register_node(k, a);
    }
}

static struct replica_rule final_rule(const struct walk *k)
{
    struct replica_rule rule = k->scenario->rules[0];

    if (rule.home >= 0 && k->world.control.active.home >= 0) {
        rule.home = k->world.control.active.home;
    }
    return rule;
}

static bool same_rule(const struct replica_rule *a, const struct replica_rule *b)
{
    return a->voters == b->voters && a->learners == b->learners && a->w == b->w &&
           a->home == b->home;
}

static bool pins_are_current(const struct walk *k)
{
    const struct world_control *c = &k->world.control;
    const struct replica_spec *spec = &c->specs[c->epoch];

    for (uint32_t i = 0; i < spec->member_count; i++) {
        if (spec->members[i].incarnation != c->incarnation[spec->members[i].node]) {
            return false;
        }
    }
    return true;
}

/* A controller without whims. True: there is nothing left to decide. */
static bool control_round(struct walk *k)
{
    struct world *w = &k->world;
    struct world_control *c = &w->control;
    struct replica_rule target = final_rule(k);
    const struct replica_spec *spec = &c->specs[c->epoch];

    if (c->epoch != k->epoch_seen) {
        k->epoch_seen = c->epoch;
        k->epoch_ms = w->now_ms;
    }
    uint64_t age = w->now_ms - k->epoch_ms;
    uint32_t leader = rworld_leader(w);
    bool stuck =
        c->no_quorum || (age > 2500 && leader == 0) || (age > 2500 && spec_needs_activation(spec));
    if (c->epoch == 0 || (stuck && age > 1500)) {
        if (c->epoch + 1 < WORLD_EPOCHS) {
            struct replica_rule rule = c->epoch == 0 ? target : c->active;
            (void)rworld_assign(w, pick_leader(k, &rule, ~(uint64_t)0), rule, false);
        }
        return false;
    }
    if (leader == 0 || spec_needs_activation(spec) || age < 1000) {
        return false;
    }
    if (same_rule(&c->active, &target) && pins_are_current(k)) {
        return true;
    }
    /* Rule 8: only who has caught up as a learner becomes a voter. */
    uint64_t new_voters = target.voters & ~c->active.voters;
    if (c->epoch + 1 == WORLD_EPOCHS) {
        return false;
    }
    if ((new_voters & ~spec->config.learners) != 0) {
        struct replica_rule growing = c->active;
        growing.learners = new_voters;
        (void)rworld_assign(w, pick_leader(k, &growing, NODE_BIT(leader)), growing, false);
    } else if ((c->caught_up & new_voters) == new_voters &&
               (!same_rule(&c->active, &target) || c->caught_up != 0)) {
        (void)rworld_assign(w, pick_leader(k, &target, NODE_BIT(leader)), target, false);
    }
    return false;
}

static void quiet_round(struct walk *k)
{
    struct world *w = &k->world;

    w->now_ms += ROUND_MS;
    for (uint32_t id = 1; id <= w->node_count; id++) {
        rworld_tick(w, id);
    }
    for (int i = 0; i < 400 && !rworld_idle(w); i++) {
        uint32_t node = any_node(k);
        deliver_any(k);
        deliver_any(k);
        (void)rworld_write_done(w, node);
        (void)rworld_apply(w, node);
        rworld_turn(w, node);
        (void)rworld_decide(w);
    }
    for (uint32_t id = 1; id <= w->node_count; id++) {
        while (rworld_repair(w, id, false) || rworld_repair(w, id, true)) {
        }
        for (int i = 0; i < 64; i++) {
            rworld_feed_producers(w, id);
        }
    }
}

static bool clients_round(struct walk *k, bool may_begin)
{
    struct world *w = &k->world;
    uint32_t leader = rworld_leader(w);
    bool done = true;

    for (uint32_t c = 0; c < WORLD_CLIENTS; c++) {
        struct world_client *client = &w->clients[c];
        done = done && client->inflight_count == 0;
        bool waits = false;
        for (size_t i = 0; i < client->inflight_count; i++) {
            waits = waits || client->inflight[i].state == CLIENT_WAITING;
        }
        if (leader != 0 && (waits || may_begin)) {
            (void)rworld_send(w, c, leader);
        }
    }
    return done;
}

static void be_quiet(struct walk *k)
{
    struct world *w = &k->world;
    int settled = 0;

    heal(k);
    w->defer_turns = chance(k, 1, 2);
    bool hopeless = !rworld_recoverable(w);
    bool busy = chance(k, 1, 2);
    bool last = chance(k, 1, 2); /* new records when all seems well */
    for (int round = 0; round < QUIET_ROUNDS && settled < 15 && w->broken[0] == 0; round++) {
        bool decided = control_round(k);
        bool done = clients_round(k, (busy && round < 20) || (last && decided && settled == 1));
        quiet_round(k);
        settled = decided && done && rworld_idle(w) ? settled + 1 : 0;
    }
    if (w->broken[0] == 0 && !hopeless) {
        (void)rworld_converged(w);
    }
}

/* ---- walks ----------------------------------------------------------------------------------- */

static struct world_counters sum;

static void add_counters(const struct world_counters *from)
{
    uint64_t *to = (uint64_t *)&sum;
    const uint64_t *add = (const uint64_t *)from;

    for (size_t i = 0; i < sizeof sum / sizeof *to; i++) {
        to[i] += add[i];
    }
}

static bool walk(uint64_t seed, bool story)
{
    static struct walk k;

    memset(&k, 0, sizeof k);
    now_walking = seed;
    k.scenario = &scenarios[seed % SCENARIOS];
    rworld_init(&k.world, seed, k.scenario->nodes, k.scenario->regions);
    k.world.story = story;
    k.world.defer_turns = chance(&k, 1, 2);
    k.world.small_parts = chance(&k, 1, 2);
    k.world.rpo_bytes = chance(&k, 1, 2) ? 100 + below(&k, 500) : 0;
    k.world.push_window = chance(&k, 1, 2) ? 1 + (size_t)below(&k, 3) : 0;
    draw_weights(&k);
    assign_any(&k);
    uint64_t steps = 200 + below(&k, 3000);
    for (uint64_t i = 0; i < steps && k.world.broken[0] == 0; i++) {
        step(&k);
    }
    if (k.world.broken[0] == 0 && chance(&k, 1, 2)) {
        be_quiet(&k);
    }
    bool good = k.world.broken[0] == 0;
    if (!good) {
        printf("REPLICA_SEED=%llu (%s): %s\n", (unsigned long long)seed, k.scenario->name,
               k.world.broken);
    }
    add_counters(&k.world.counters);
    rworld_fini(&k.world);
    return good;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != 0 ? strtoull(text, NULL, 10) : otherwise;
}

static void walks_of(size_t scenario)
{
    uint64_t count = env_number("REPLICA_WALKS", WALKS);
    uint64_t first = env_number("REPLICA_FIRST", 0);

    memset(&sum, 0, sizeof sum);
    if (getenv("REPLICA_SEED") != NULL) {
        uint64_t seed = env_number("REPLICA_SEED", 0);
        if (seed % SCENARIOS == scenario) {
            assert_true(walk(seed, true));
        }
        return;
    }
    for (uint64_t i = first; i < first + count; i++) {
        if (!walk(i * SCENARIOS + scenario, false)) {
            if (getenv("REPLICA_MUTANT") != NULL) {
                exit(1); /* that is all that was asked */
            }
            fail_msg("walk %llu is broken", (unsigned long long)(i * SCENARIOS + scenario));
        }
    }
    printf("  %-22s %llu steps, %llu epochs, %llu commits, %llu acked, %llu duplicates, %llu "
           "truncations, "
           "%llu restarts, %llu lossy, %llu activations, %llu crashes, %llu wipes, %llu damages, "
           "%llu repairs, %llu copies, "
           "%llu rebuilds\n",
           scenarios[scenario].name, (unsigned long long)sum.steps, (unsigned long long)sum.served,
           (unsigned long long)sum.commits, (unsigned long long)sum.acked,
           (unsigned long long)sum.duplicates, (unsigned long long)sum.truncations,
           (unsigned long long)sum.restarts, (unsigned long long)sum.lossy,
           (unsigned long long)sum.activations, (unsigned long long)sum.crashes,
           (unsigned long long)sum.wipes, (unsigned long long)sum.damages,
           (unsigned long long)sum.repairs, (unsigned long long)sum.copies,
           (unsigned long long)sum.rebuilds);
}

/* A failed CHECK is a finding too: say whose. */
static void died(int signal_number)
{
    char text[64];
    int len =
        snprintf(text, sizeof text, "REPLICA_SEED=%llu died\n", (unsigned long long)now_walking);

    (void)!write(STDOUT_FILENO, text, (size_t)len);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

#define SCENARIO_TEST(name, index)                                                                 \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        walks_of(index);                                                                           \
    }
SCENARIO_TEST(two_of_three_regions_lose_nothing, 0)
SCENARIO_TEST(three_of_three_regions_lose_nothing, 1)
SCENARIO_TEST(changes_of_the_config_lose_nothing, 2)
SCENARIO_TEST(two_data_regions_and_a_witness_lose_nothing, 3)
SCENARIO_TEST(async_loses_only_what_no_survivor_had, 4)
SCENARIO_TEST(three_copies_in_a_region_lose_nothing, 5)
SCENARIO_TEST(a_wiped_disk_does_not_vote_for_what_it_forgot, 6)
SCENARIO_TEST(changes_between_sync_and_async_lose_nothing, 7)
SCENARIO_TEST(an_operators_forced_failover_loses_only_what_no_survivor_had, 8)

int main(void)
{
    rworld_choose_mutant();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_of_three_regions_lose_nothing),
        cmocka_unit_test(three_of_three_regions_lose_nothing),
        cmocka_unit_test(changes_of_the_config_lose_nothing),
        cmocka_unit_test(two_data_regions_and_a_witness_lose_nothing),
        cmocka_unit_test(async_loses_only_what_no_survivor_had),
        cmocka_unit_test(three_copies_in_a_region_lose_nothing),
        cmocka_unit_test(a_wiped_disk_does_not_vote_for_what_it_forgot),
        cmocka_unit_test(changes_between_sync_and_async_lose_nothing),
        cmocka_unit_test(an_operators_forced_failover_loses_only_what_no_survivor_had),
    };
    _Static_assert(ARRAY_COUNT(tests) == SCENARIOS, "a test for each scenario");

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGABRT, died);
    (void)signal(SIGSEGV, died);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
