/* SPDX-License-Identifier: Apache-2.0 */
/* The controller at work in a small world: nodes that fall silent, restart, lose their disks and
 * come back, with replicas that follow the protocol in big steps. Nothing acknowledged is lost but
 * by a lossy epoch; and when the world is well again, all becomes as the policies want, and quiet.
 *
 * A step of the world is 100 ms. What a node has is durable at once and messages take no time: the
 * finer interleavings are the model's business, here it is what `control` hands out that is tried:
 * configs, incarnations, since, activations, lossy epochs. */
#include "base/prng.h"
#include "control/decide.h"
#include "tests/unit/control_fixture.h"

#define STEP_MS  100
#define D_MS     500
#define LEASE_MS 1000
#define NODES    5
#define TOPICS   4
#define RECORDS  8192
#define OUT_MAX  16

struct copy { /* one replica of one partition */
    int32_t promised;
    int32_t synced;
    uint32_t len;
    uint32_t log[RECORDS]; /* numbers of records */
    /* as leader, lost with the process */
    bool serves;
    bool prepared;
    uint32_t initial;
    uint64_t progress_ms;
};

struct machine {
    bool up;
    bool cut;        /* hears nobody, nobody hears it */
    bool slow;       /* follows others far behind */
    bool registered; /* its present start */
    uint64_t start;
    uint32_t incarnation;
    uint64_t raft_id;
    uint64_t heard_ms;
    uint64_t lease_ms; /* when it was last granted */
    struct copy copies[TOPICS];
};

struct world {
    struct prng prng;
    struct control_fixture f;
    struct decide_memory *memory;
    struct decide_view view;
    struct command_key key;
    struct decide_report reports[256];
    struct machine machines[NODES + 1];
    struct control_topic *topics[TOPICS];
    uint32_t committed_len[TOPICS];
    uint32_t committed[TOPICS][RECORDS];
    int32_t floor[TOPICS]; /* newest activated lossy epoch */
    uint32_t next_record;
    uint64_t now;
    uint64_t decided;
    uint64_t lossy;
    uint64_t activated;
};

static const char *const regions[NODES + 1] = {"",         "eu-west", "eu-central",
                                               "eu-north", "eu-west", "eu-central"};

static bool chance(struct world *w, uint64_t parts, uint64_t whole)
{
    return prng_chance(&w->prng, parts, whole);
}

static bool linked(const struct world *w, uint32_t a, uint32_t b)
{
    return a == b ||
           (w->machines[a].up && w->machines[b].up && !w->machines[a].cut && !w->machines[b].cut);
}

/* ---- the rules, written a second time ------------------------------------------------------ */

static uint32_t by_region(const struct world *w, node_set voters, uint32_t region, node_set in,
                          uint32_t *out_hit)
{
    uint32_t count = 0;

    *out_hit = 0;
    for (uint32_t n = 1; n <= NODES; n++) {
        if ((voters & NODE_BIT(n)) != 0 && w->f.control->nodes[n].region == region) {
            count++;
            *out_hit += (in & NODE_BIT(n)) != 0;
        }
    }
    return count;
}

static bool may_recover(const struct world *w, const struct control_config *c, node_set counted)
{
    uint32_t read = 0;
    uint32_t total = 0;

    for (uint32_t r = 0; r < w->f.control->region_count; r++) {
        uint32_t hit;
        uint32_t count = by_region(w, c->voters, r, counted, &hit);
        if (count == 0) {
            continue;
        }
        bool met = hit >= count - count / 2;
        if (c->home == (int)r) {
            return met;
        }
        total++;
        read += met;
    }
    return c->home < 0 && read + c->w >= total + 1 && read >= 1;
}

static bool may_commit(const struct world *w, const struct control_config *c, node_set holds)
{
    uint32_t held = 0;

    for (uint32_t r = 0; r < w->f.control->region_count; r++) {
        uint32_t hit;
        uint32_t count = by_region(w, c->voters, r, holds, &hit);
        bool majority = count > 0 && hit > count / 2;
        if (c->home == (int)r) {
            return majority;
        }
        held += majority;
    }
    return c->home < 0 && held >= c->w;
}

static uint32_t same_prefix(const uint32_t *a, uint32_t a_len, const uint32_t *b, uint32_t b_len)
{
    uint32_t n = 0;

    while (n < a_len && n < b_len && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* ---- one partition ------------------------------------------------------------------------- */

static void take_log(struct copy *to, const struct copy *from, uint32_t len)
{
    memcpy(to->log, from->log, len * sizeof to->log[0]);
    to->len = len;
}

/* Rules 2 and 3, for all that the leader reaches at once. */
static void recover(struct world *w, uint32_t t, uint32_t leader)
{
    struct control_partition *p = &w->topics[t]->partitions[0];
    struct copy *lead = &w->machines[leader].copies[t];
    node_set counted = 0;
    uint32_t best = 0;

    for (uint32_t i = 0; i < p->replica_count; i++) {
        const struct control_replica *r = &p->replicas[i];
        struct machine *m = &w->machines[r->node];
        struct copy *c = &m->copies[t];
        if (!linked(w, leader, r->node) || !m->registered || c->promised > p->epoch ||
            m->incarnation != r->incarnation) {
            continue;
        }
        c->promised = p->epoch;
        counted |= c->synced >= r->since ? NODE_BIT(r->node) : 0;
        const struct copy *b = &w->machines[best].copies[t];
        if (best == 0 || c->synced > b->synced || (c->synced == b->synced && c->len > b->len)) {
            best = r->node;
        }
    }
    if (best == 0 || lead->promised != p->epoch ||
        (!p->lossy && !may_recover(w, &p->recover, counted))) {
        return;
    }
    int32_t chosen = w->machines[best].copies[t].synced;
    take_log(lead, &w->machines[best].copies[t], w->machines[best].copies[t].len);
    lead->initial = lead->len;
    lead->progress_ms = w->now;
    if (p->lossy && !p->activated) {
        lead->prepared = true;
        lead->synced = chosen > lead->synced ? chosen : lead->synced;
        return;
    }
    assert_true(p->epoch < w->floor[t] || same_prefix(lead->log, lead->len, w->committed[t],
                                                      w->committed_len[t]) == w->committed_len[t]);
    lead->synced = p->epoch;
    lead->serves = true;
}

static node_set holders(const struct world *w, uint32_t t, uint32_t leader, uint32_t len)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];
    node_set set = 0;

    for (uint32_t i = 0; i < p->replica_count; i++) {
        const struct control_replica *r = &p->replicas[i];
        const struct machine *m = &w->machines[r->node];
        const struct copy *c = &m->copies[t];
        bool synced = c->synced == p->epoch || (r->node == leader && c->prepared);
        if (m->incarnation == r->incarnation && synced && c->len >= len &&
            linked(w, leader, r->node)) {
            set |= NODE_BIT(r->node);
        }
    }
    return set;
}

static void follow(struct world *w, uint32_t t, uint32_t leader)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];
    struct copy *lead = &w->machines[leader].copies[t];

    for (uint32_t i = 0; i < p->replica_count; i++) {
        uint32_t n = p->replicas[i].node;
        struct machine *m = &w->machines[n];
        struct copy *c = &m->copies[t];
        bool member = (control_members(&p->config) & NODE_BIT(n)) != 0;
        if (n == leader || !member || !linked(w, leader, n) || !m->registered ||
            c->promised > p->epoch || chance(w, m->slow ? 49 : 1, m->slow ? 50 : 4)) {
            continue;
        }
        c->promised = p->epoch;
        c->serves = false;
        c->prepared = false;
        take_log(c, lead, lead->len);
        c->synced = p->epoch;
    }
}

static void report(struct world *w, uint32_t t, enum decide_report_kind kind, node_set nodes)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];

    if (w->view.report_count < ARRAY_COUNT(w->reports) && !w->machines[p->leader].cut) {
        w->reports[w->view.report_count++] = (struct decide_report){.kind = kind,
                                                                    .topic_id = w->topics[t]->id,
                                                                    .epoch = p->epoch,
                                                                    .from = p->leader,
                                                                    .nodes = nodes};
    }
}

static void activate(struct world *w, uint32_t t, uint32_t leader)
{
    struct control_partition *p = &w->topics[t]->partitions[0];
    struct copy *lead = &w->machines[leader].copies[t];

    if (w->machines[leader].cut ||
        !may_commit(w, &p->config, holders(w, t, leader, lead->initial))) {
        return;
    }
    assert_int_equal(control_fixture_activate(&w->f, w->topics[t], 0), 0);
    w->activated++;
    if (p->lossy) {
        w->lossy++;
        w->floor[t] = p->epoch;
        w->committed_len[t] =
            same_prefix(lead->log, lead->len, w->committed[t], w->committed_len[t]);
        lead->prepared = false;
        lead->serves = true;
        lead->synced = p->epoch;
    }
}

static void commit(struct world *w, uint32_t t, uint32_t leader)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];
    struct machine *m = &w->machines[leader];
    struct copy *lead = &m->copies[t];
    bool leased = w->topics[t]->policy.failover != POLICY_FAILOVER_AUTO ||
                  w->topics[t]->policy.mode == POLICY_SYNC || w->now - m->lease_ms < LEASE_MS;

    if (chance(w, 1, 2) && lead->len < RECORDS) {
        lead->log[lead->len++] = ++w->next_record;
    }
    follow(w, t, leader);
    for (uint32_t len = lead->len; leased && len > w->committed_len[t]; len--) {
        if (may_commit(w, &p->config, holders(w, t, leader, len))) {
            assert_true(p->epoch >= w->floor[t]);
            assert_int_equal(same_prefix(lead->log, len, w->committed[t], w->committed_len[t]),
                             w->committed_len[t]);
            memcpy(w->committed[t], lead->log, len * sizeof lead->log[0]);
            w->committed_len[t] = len;
            lead->progress_ms = w->now;
            break;
        }
    }
    if (w->committed_len[t] == lead->len) {
        lead->progress_ms = w->now;
    }
    node_set ready = holders(w, t, leader, lead->len);
    for (uint32_t n = 1; n <= NODES; n++) { /* also of an incarnation that does not count yet */
        const struct copy *c = &w->machines[n].copies[t];
        ready |=
            c->synced == p->epoch && c->len == lead->len && linked(w, leader, n) ? NODE_BIT(n) : 0;
    }
    report(w, t, REPORT_LEARNER_READY, ready & ~NODE_BIT(leader));
}

static void lead(struct world *w, uint32_t t)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];
    struct machine *m = &w->machines[p->leader];
    struct copy *c = &m->copies[t];
    int32_t epoch = p->epoch;

    if (p->leader == 0 || !m->up || !m->registered || m->start != p->leader_start) {
        return;
    }
    if (c->promised < epoch) { /* it learns of its epoch from the control log */
        if (m->cut) {
            return;
        }
        c->promised = epoch;
        c->serves = false;
        c->prepared = false;
        c->progress_ms = w->now;
    }
    if (!c->serves && !c->prepared && c->synced < epoch) {
        recover(w, t, p->leader);
    }
    if (c->serves && !p->activated) {
        follow(w, t, p->leader);
    }
    if ((c->serves || c->prepared) && !p->activated) {
        activate(w, t, p->leader);
    } else if (c->serves) {
        commit(w, t, p->leader);
    }
    if (w->now - c->progress_ms >= 2 * D_MS) {
        report(w, t, REPORT_NO_QUORUM, 0);
    }
}

/* A leader of an older epoch that has not heard of the newer one: cut off, it may go on. It is
 * enough to try that of an async home: a sync one has no commit quorum alone. */
static void lead_on(struct world *w, uint32_t t)
{
    const struct control_partition *p = &w->topics[t]->partitions[0];

    for (uint32_t n = 1; n <= NODES; n++) {
        struct machine *m = &w->machines[n];
        struct copy *c = &m->copies[t];
        if (n != p->leader && m->up && m->cut && c->serves && c->promised < p->epoch &&
            w->now - m->lease_ms < LEASE_MS) {
            assert_true(w->floor[t] <= c->promised); /* its lease outlives no lossy epoch */
        }
        if (!m->cut && c->promised < p->epoch) {
            c->serves = false;
            c->prepared = false;
        }
    }
}

/* ---- machines ------------------------------------------------------------------------------ */

static void stop(struct machine *m)
{
    m->up = false;
    m->registered = false;
    for (uint32_t t = 0; t < TOPICS; t++) {
        m->copies[t].serves = false;
        m->copies[t].prepared = false;
    }
}

static void start(struct world *w, uint32_t n)
{
    struct machine *m = &w->machines[n];
    struct command_registration r = {.node_id = n, .incarnation = m->incarnation};

    (void)snprintf(r.region, sizeof r.region, "%s", regions[n]);
    r.start_number = m->start + 1;
    r.raft_id = m->raft_id;
    command_register(&w->f.command, control_fixture_key(&w->f), &r);
    assert_int_equal(control_fixture_apply(&w->f), 0);
    if (w->f.result.incarnation != m->incarnation) {
        for (uint32_t t = 0; t < TOPICS; t++) {
            memset(&m->copies[t], 0, sizeof m->copies[t]);
            m->copies[t].promised = w->topics[t] != NULL ? w->topics[t]->partitions[0].epoch : 0;
        }
    }
    m->start = w->f.result.start_number;
    m->incarnation = w->f.result.incarnation;
    m->raft_id = w->f.result.raft_id;
    m->up = true;
    m->cut = false;
    m->registered = true;
}

static void wipe(struct machine *m)
{
    m->incarnation = 0;
    m->raft_id = 0;
    m->start = 0;
}

/* May another one fail without more being lost than the policies bear? One region at a time; a
 * wiped disk only while all others are well. */
static uint32_t lost_regions(const struct world *w, uint32_t besides)
{
    node_set lost = 0;

    for (uint32_t n = 1; n <= NODES; n++) {
        if (n == besides || !w->machines[n].up || w->machines[n].cut) {
            lost |= NODE_BIT(w->f.control->nodes[n].region);
        }
    }
    return (uint32_t)__builtin_popcountll(lost);
}

/* Has every replica caught up again that once forgot? */
static bool remember_all(const struct world *w)
{
    for (uint32_t t = 0; t < TOPICS; t++) {
        const struct control_partition *p = &w->topics[t]->partitions[0];
        for (uint32_t i = 0; i < p->replica_count; i++) {
            const struct control_replica *r = &p->replicas[i];
            const struct machine *m = &w->machines[r->node];
            if (m->incarnation != r->incarnation || m->copies[t].synced < r->since) {
                return false;
            }
        }
    }
    return true;
}

static void trouble(struct world *w)
{
    uint32_t n = 1 + (uint32_t)prng_below(&w->prng, NODES);
    struct machine *m = &w->machines[n];

    if (chance(w, 1, 4)) {
        m->slow = !m->slow;
    } else if (!m->up) {
        start(w, n);
    } else if (m->cut) {
        m->cut = false;
    } else if (lost_regions(w, n) > (chance(w, 1, 8) ? 2u : 1u)) {
        return;
    } else if (chance(w, 1, 3)) {
        m->cut = true;
    } else {
        stop(m);
        if (lost_regions(w, n) == 1 && remember_all(w) && chance(w, 1, 4)) {
            wipe(m);
        } else if (chance(w, 1, 2)) {
            start(w, n); /* at once */
        }
    }
}

/* ---- the controller ------------------------------------------------------------------------ */

static void look(struct world *w)
{
    w->view.now_ms = w->now;
    w->view.wall_ms = (int64_t)w->now;
    w->view.suspicion_ms = D_MS;
    w->view.lease_ms = LEASE_MS;
    w->view.reports = w->reports;
    for (uint32_t n = 1; n <= NODES; n++) {
        struct machine *m = &w->machines[n];
        if (m->up && !m->cut) {
            m->heard_ms = w->now;
            m->lease_ms = w->now;
            w->view.lease_granted_ms[n] = w->now;
        }
        w->view.nodes[n].silent_ms = w->now - m->heard_ms;
        w->view.nodes[n].reachable = w->now - m->heard_ms <= D_MS;
        w->view.nodes[n].registered = m->registered;
    }
}

static size_t decide_round(struct world *w)
{
    struct buf out[OUT_MAX] = {{0}};

    look(w);
    size_t count = decide(w->f.control, &w->view, w->memory, &w->key, out, OUT_MAX);
    w->view.report_count = 0;
    for (size_t i = 0; i < count; i++) {
        buf_put(&w->f.command, buf_slice(&out[i]));
        (void)control_fixture_apply(&w->f);
        buf_fini(&out[i]);
    }
    w->decided += count;
    return count;
}

/* What the policy leaves to people: a home that lost its only copy is given up by hand. */
static void operate(struct world *w)
{
    for (uint32_t t = 0; t < TOPICS; t++) {
        const struct control_partition *p = &w->topics[t]->partitions[0];
        struct command_assignment a = {
            .topic_id = w->topics[t]->id, .if_epoch = p->epoch, .lossy = true};
        if (w->topics[t]->policy.failover == POLICY_FAILOVER_AUTO || p->lossy ||
            !control_lost(w->f.control, p) || !chance(w, 1, 50)) {
            continue;
        }
        assert_int_equal(w->topics[t]->policy.mode, POLICY_ASYNC);
        (void)snprintf(a.decided_by, sizeof a.decided_by, "operator alice");
        for (a.leader = 1; a.leader <= NODES; a.leader++) {
            const struct control_replica *r = control_replica_of(p, a.leader);
            if (w->machines[a.leader].up && !w->machines[a.leader].cut && r != NULL &&
                r->since <= p->epoch && control_fixture_assign(&w->f, &a) == 0) {
                break;
            }
        }
    }
}

static size_t step(struct world *w)
{
    w->now += STEP_MS;
    operate(w);
    for (uint32_t t = 0; t < TOPICS; t++) {
        lead_on(w, t);
        lead(w, t);
    }
    return decide_round(w);
}

/* ---- the story ----------------------------------------------------------------------------- */

static void make_topics(struct world *w)
{
    struct policy policy = control_fixture_sync();

    w->topics[0] = control_fixture_topic(&w->f, "payments", &policy, 1);
    policy.ack = 3;
    policy.on_region_loss = POLICY_LOSS_DEGRADE;
    policy.region_loss_after_ms = 2000;
    w->topics[1] = control_fixture_topic(&w->f, "strict", &policy, 1);
    policy = control_fixture_async();
    policy.failover_after_ms = D_MS; /* less than the lease */
    w->topics[2] = control_fixture_topic(&w->f, "clicks", &policy, 1);
    policy.failover = POLICY_FAILOVER_MANUAL;
    (void)snprintf(policy.home, sizeof policy.home, "eu-north");
    w->topics[3] = control_fixture_topic(&w->f, "logs", &policy, 1);
    for (uint32_t t = 0; t < TOPICS; t++) {
        assert_non_null(w->topics[t]);
    }
}

static void begin(struct world *w, uint64_t seed)
{
    static const uint64_t raft_ids[] = {0, 11, 12, 13};

    prng_init(&w->prng, seed);
    control_fixture_init(&w->f);
    control_fixture_found(&w->f);
    w->memory = decide_memory_new();
    w->key.client.bytes[0] = 0xdd;
    w->now = 1000000;
    for (uint32_t n = 1; n <= NODES; n++) {
        struct machine *m = &w->machines[n];
        if (n <= 3) {
            m->start = 1;
            m->incarnation = 1;
            m->raft_id = raft_ids[n];
        }
        start(w, n);
    }
    make_topics(w);
    (void)decide_round(w);
}

static void end(struct world *w)
{
    decide_memory_free(w->memory);
    control_fixture_fini(&w->f);
}

static void check_as_wanted(const struct world *w)
{
    for (uint32_t t = 0; t < TOPICS; t++) {
        const struct policy *policy = &w->topics[t]->policy;
        const struct control_partition *p = &w->topics[t]->partitions[0];
        bool async = policy->mode == POLICY_ASYNC;
        const char *wanted = async ? policy->home : policy->prefer[0];
        assert_true(p->activated);
        assert_int_equal(__builtin_popcountll(p->config.voters), 3);
        assert_int_equal(p->config.learners, 0);
        assert_int_equal(p->config.w, policy->ack);
        assert_string_equal(w->f.control->regions[w->f.control->nodes[p->leader].region].name,
                            wanted);
        for (uint32_t i = 0; i < p->replica_count; i++) {
            const struct control_replica *r = &p->replicas[i];
            assert_int_equal(r->incarnation, w->machines[r->node].incarnation);
        }
    }
    for (uint32_t i = 0; i < w->f.control->ledger_count; i++) {
        assert_true(w->f.control->ledger[i].until_wall_ms != 0);
    }
}

static void run_seed(uint64_t seed, uint64_t *lossy, uint64_t *activated)
{
    struct world *w = mem_new(sizeof *w);

    begin(w, seed);
    for (int i = 0; i < 3000; i++) {
        if (chance(w, 1, 20)) {
            trouble(w);
        }
        (void)step(w);
    }
    for (uint32_t n = 1; n <= NODES; n++) {
        w->machines[n].cut = false;
        w->machines[n].slow = false;
        if (!w->machines[n].up) {
            start(w, n);
        }
    }
    for (int i = 0; i < 2000; i++) {
        (void)step(w);
    }
    uint64_t before = w->decided;
    uint32_t len = w->committed_len[0];
    for (int i = 0; i < 200; i++) {
        (void)step(w);
    }
    assert_int_equal(w->decided, before); /* quiet */
    assert_true(w->committed_len[0] > len || len == RECORDS);
    check_as_wanted(w);
    *lossy += w->lossy;
    *activated += w->activated;
    end(w);
    free(w);
}

static void nothing_acknowledged_is_lost_and_all_becomes_well(void **state)
{
    uint64_t lossy = 0;
    uint64_t activated = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_seed(seed, &lossy, &activated);
    }
    assert_true(lossy > 10); /* it was tried at all */
    assert_true(activated > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_and_all_becomes_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
