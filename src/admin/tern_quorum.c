/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: the quorum out of the views of all nodes that answer, and the health of the whole. */
#include <stdio.h>
#include <string.h>

#include "admin/tern_inner.h"

typedef Tern__Admin__NodeView node_view;
typedef Tern__Admin__NodeView__Peer peer_view;

static const peer_view *peer_of(const node_view *observer, uint32_t id)
{
    for (size_t n = 0; n < observer->n_peers; n++) {
        if (observer->peers[n]->id == id) {
            return observer->peers[n];
        }
    }
    return NULL;
}

static void fill_answered(const node_view *view, struct tern_node *out)
{
    COPY_TEXT(out->region, view->region);
    COPY_TEXT(out->rack, view->rack);
    COPY_TEXT(out->role, view->role);
    COPY_TEXT(out->state, strcmp(view->phase, "ready") == 0 ? "ok" : view->phase);
    COPY_TEXT(out->version, view->version);
    out->witness = view->witness;
    out->answered = true;
    out->known = true;
    out->term = view->term;
    out->commit = view->commit_index;
    out->applied = view->applied_index;
    out->incarnation = view->incarnation;
    out->rolled_back = view->rolled_back;
    if (view->full) {
        COPY_TEXT(out->state, "full");
    }
}

/* Second-hand: what the observer heard of it last. */
static void fill_unanswered(const struct tern_member *member, const node_view *observer,
                            const peer_view *peer, struct tern_node *out)
{
    COPY_TEXT(out->region, member->region);
    out->witness = member->witness;
    out->stale = true;
    COPY_TEXT(out->role, "none");
    COPY_TEXT(out->state, "unreachable");
    if (peer == NULL) {
        return;
    }
    if (peer->region[0] != '\0') {
        COPY_TEXT(out->region, peer->region);
        out->witness = peer->witness;
    }
    COPY_TEXT(out->rack, peer->rack);
    COPY_TEXT(out->role, observer->leader_node == peer->id ? "leader"
                         : peer->voter                     ? "voter"
                         : peer->member                    ? "standby"
                                                           : "none");
    COPY_TEXT(out->state, peer->reachable ? "silent" : "unreachable");
    out->known = peer->known;
    out->term = peer->term;
    out->commit = peer->commit_index;
    out->applied = peer->applied_index;
    out->incarnation = peer->incarnation;
}

static void fill_heard(const node_view *observer, uint32_t id, const peer_view *peer,
                       struct tern_node *out)
{
    out->seen_ms = observer->node_id == id ? 0 : -1;
    out->rtt_p50_ms = observer->node_id == id ? 0 : -1;
    out->rtt_p99_ms = out->rtt_p50_ms;
    if (peer == NULL) {
        return;
    }
    out->seen_ms = peer->seen_ms;
    if (peer->known && peer->rtt_p99_us > 0) {
        out->rtt_p50_ms = peer->rtt_p50_us / 1e3;
        out->rtt_p99_ms = peer->rtt_p99_us / 1e3;
    }
    out->suspicion_ms = peer->suspicion_ms;
    COPY_TEXT(out->suspicion_why, peer->suspicion_why);
    if (out->answered && !peer->reachable && strcmp(out->state, "ok") == 0) {
        COPY_TEXT(out->state, "unheard"); /* it answers us, but the observer doesn't hear it */
    }
    if (peer->fenced && strcmp(out->state, "ok") == 0) {
        COPY_TEXT(out->state, "fenced");
    }
}

static int by_region(const void *a, const void *b)
{
    const struct tern_node *left = a;
    const struct tern_node *right = b;
    int order = strcmp(left->region, right->region);

    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static void fill_lag(struct tern_quorum *quorum)
{
    uint64_t newest = 0;

    for (size_t n = 0; n < quorum->node_count; n++) {
        newest = quorum->nodes[n].commit > newest ? quorum->nodes[n].commit : newest;
    }
    for (size_t n = 0; n < quorum->node_count; n++) {
        struct tern_node *node = &quorum->nodes[n];

        node->lag = node->known && node->applied < newest ? newest - node->applied : 0;
    }
}

static enum tern_health judge(const struct tern_quorum *quorum)
{
    enum tern_health health = quorum->leader == 0 ? TERN_HEALTH_UNHEALTHY : TERN_HEALTH_OK;

    for (size_t n = 0; n < quorum->node_count; n++) {
        if (health == TERN_HEALTH_OK && strcmp(quorum->nodes[n].state, "ok") != 0) {
            health = TERN_HEALTH_DEGRADED;
        }
    }
    return health;
}

static struct tern_quorum *quorum_of(const struct views *views)
{
    struct tern_quorum *quorum = mem_new(sizeof *quorum);
    const node_view *observer = views->nodes[views->observer].view;

    quorum->nodes = mem_new(TERN_NODES_MAX * sizeof quorum->nodes[0]);
    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        const node_view *view = views->nodes[id].view;
        const peer_view *peer = peer_of(observer, id);
        struct tern_node *node = &quorum->nodes[quorum->node_count];

        if (views->nodes[id].member.id == 0) {
            continue;
        }
        quorum->node_count++;
        node->id = id;
        if (view != NULL) {
            fill_answered(view, node);
        } else {
            fill_unanswered(&views->nodes[id].member, observer, peer, node);
        }
        fill_heard(observer, id, peer, node);
        quorum->term = node->term > quorum->term ? node->term : quorum->term;
    }
    qsort(quorum->nodes, quorum->node_count, sizeof quorum->nodes[0], by_region);
    COPY_TEXT(quorum->cluster, observer->cluster_name);
    copy_uuid(quorum->cluster_id, observer->cluster_id);
    quorum->leader = observer->leader_node;
    quorum->observer = observer->node_id;
    quorum->answered = views->answered;
    quorum->election_ms = observer->election_ms;
    COPY_TEXT(quorum->election_why, observer->election_why);
    quorum->heartbeat_ms = observer->heartbeat_ms;
    quorum->lease_ms = observer->lease_ms;
    fill_lag(quorum);
    quorum->health = judge(quorum);
    return quorum;
}

int tern_quorum(struct tern *tern, struct tern_quorum **out)
{
    struct views *views = mem_new(sizeof *views);
    int rv = views_ask(tern, views);

    if (rv == TERN_DONE) {
        *out = quorum_of(views);
    }
    views_fini(views);
    free(views);
    return rv;
}

void tern_quorum_free(struct tern_quorum *quorum)
{
    if (quorum != NULL) {
        free(quorum->nodes);
        free(quorum);
    }
}

/* ---- health --------------------------------------------------------------------------------- */

static void add_check(struct tern_status *status, const char *code, enum tern_health health,
                      const char *subject, const char *text)
{
    struct tern_check *check;

    status->checks = array_more(status->checks, status->check_count, sizeof status->checks[0]);
    check = &status->checks[status->check_count++];
    COPY_TEXT(check->code, code);
    COPY_TEXT(check->subject, subject);
    COPY_TEXT(check->text, text);
    check->health = health;
    status->health = health > status->health ? health : status->health;
}

/* What only the asker can see: nodes that answer the others but not us, old disks. */
static void add_own_checks(struct tern_status *status)
{
    char subject[32];

    for (size_t n = 0; n < status->quorum->node_count; n++) {
        const struct tern_node *node = &status->quorum->nodes[n];

        (void)snprintf(subject, sizeof subject, "node %u", node->id);
        if (strcmp(node->state, "silent") == 0) {
            add_check(status, "NODE_SILENT", TERN_HEALTH_DEGRADED, subject,
                      "other nodes hear it, but it does not answer this command");
        } else if (node->answered && strcmp(node->state, "ok") != 0 &&
                   strcmp(node->state, "fenced") != 0 && strcmp(node->state, "full") != 0) {
            add_check(status, "NODE_NOT_READY", TERN_HEALTH_DEGRADED, subject, node->state);
        }
        if (node->rolled_back) {
            add_check(status, "NODE_ROLLED_BACK", TERN_HEALTH_OK, subject,
                      "its disk was wiped or an old copy: it rejoined as a new incarnation");
        }
    }
}

static void take_checks(struct tern_status *status, const Tern__Admin__Health *health,
                        const char *only)
{
    for (size_t n = 0; n < health->n_checks; n++) {
        const Tern__Admin__Health__Check *check = health->checks[n];

        if (only == NULL || strcmp(check->code, only) == 0) {
            add_check(status, check->code, health_of(check->severity), check->subject, check->text);
        }
    }
}

static void fill_status(struct tern_status *status, const Tern__Admin__Health *health)
{
    take_checks(status, health, NULL);
    status->topics = health->topics;
    status->partitions = health->partitions;
    status->leaderless = health->leaderless;
    status->critical = health->critical;
    status->critical_met = health->critical_met;
    status->ledger_open = health->ledger_open;
    status->regions = health->regions;
    status->regions_reached = health->regions_reached;
    status->policy_revision = health->policy_revision;
}

/* The observer's findings; of the others only what nobody else can know. */
static int take_health(struct tern *tern, const struct views *views,
                       const struct question *question, struct tern_status *status)
{
    struct pool pool = {0};
    ProtobufCAllocator allocator = pool_allocator(&pool);
    bool observer = question->node_id == views->observer;
    Tern__Admin__Health *health = NULL;
    int rv = TERN_DONE;

    if (question->rv == 0 && question->error == 0) {
        health =
            tern__admin__health__unpack(&allocator, question->answer.len, question->answer.base);
    }
    if (observer && health == NULL) {
        rv = tern_fail(tern, TERN_NOT_ASKED, "node %u: %s", question->node_id,
                       question->why[0] != '\0' ? question->why : "its answer is malformed");
    } else if (observer) {
        fill_status(status, health);
    } else if (health != NULL) {
        take_checks(status, health, HEALTH_NOT_SERVED);
    }
    pool_fini(&pool);
    return rv;
}

static int ask_health(struct tern *tern, const struct views *views, struct tern_status *status)
{
    struct question questions[TERN_NODES_MAX] = {0};
    struct buf body = {0};
    int rv = TERN_DONE;

    ask_pack(&body, NULL, false);
    size_t count = views_question(tern, views, ADMIN_HEALTH, buf_slice(&body), questions, NULL);
    for (size_t n = 0; n < count; n++) {
        rv = rv == TERN_DONE ? take_health(tern, views, &questions[n], status) : rv;
        question_fini(&questions[n]);
    }
    buf_fini(&body);
    return rv;
}

static int worst_first(const void *a, const void *b)
{
    const struct tern_check *left = a;
    const struct tern_check *right = b;
    int order = (left->health < right->health) - (left->health > right->health);

    order = order != 0 ? order : strcmp(left->code, right->code);
    return order != 0 ? order : strcmp(left->subject, right->subject);
}

int tern_status(struct tern *tern, struct tern_status **out)
{
    struct views *views = mem_new(sizeof *views);
    struct tern_status *status = mem_new(sizeof *status);
    int rv = views_ask(tern, views);

    if (rv == TERN_DONE) {
        status->quorum = quorum_of(views);
        rv = ask_health(tern, views, status);
    }
    if (rv == TERN_DONE) {
        add_own_checks(status);
        if (status->quorum->health > status->health) {
            status->health = status->quorum->health;
        }
        if (status->check_count > 0) {
            qsort(status->checks, status->check_count, sizeof status->checks[0], worst_first);
        }
        *out = status;
    } else {
        tern_status_free(status);
    }
    views_fini(views);
    free(views);
    return rv;
}

void tern_status_free(struct tern_status *status)
{
    if (status != NULL) {
        tern_quorum_free(status->quorum);
        free(status->checks);
        free(status);
    }
}
