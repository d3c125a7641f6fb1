/* SPDX-License-Identifier: Apache-2.0 */
/* libtern: opening, and asking one node, or all of them at once. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/tern_inner.h"

#define TIMEOUT_MS 3000

int tern_open(const struct tern_options *options, struct tern **out, char why[TERN_WHY_SIZE])
{
    struct tern *tern = mem_new(sizeof *tern);
    const char *client = options->client != NULL ? options->client : "admin";

    tern->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    if (options->profile != NULL) {
        if (profile_read(options->profile, tern, why) != 0) {
            free(tern);
            return TERN_NOT_ASKED;
        }
        *out = tern;
        return TERN_DONE;
    }
    if (options->member_count == 0 || options->member_count > TERN_NODES_MAX ||
        options->certs == NULL) {
        (void)snprintf(why, TERN_WHY_SIZE,
                       "a profile, or nodes and a certificate directory, are "
                       "needed to find the cluster");
        free(tern);
        return TERN_WRONG;
    }
    COPY_TEXT(tern->cluster, options->cluster != NULL ? options->cluster : "");
    (void)snprintf(tern->ca, sizeof tern->ca, "%.900s/ca.crt", options->certs);
    (void)snprintf(tern->crt, sizeof tern->crt, "%.900s/client-%.63s.crt", options->certs, client);
    (void)snprintf(tern->key, sizeof tern->key, "%.900s/client-%.63s.key", options->certs, client);
    memcpy(tern->members, options->members, options->member_count * sizeof tern->members[0]);
    tern->member_count = options->member_count;
    *out = tern;
    return TERN_DONE;
}

void tern_close(struct tern *tern)
{
    free(tern);
}

const char *tern_why(const struct tern *tern)
{
    return tern->why;
}

const char *tern_cluster(const struct tern *tern)
{
    return tern->cluster;
}

const struct tern_member *tern_members(const struct tern *tern, size_t *out_count)
{
    *out_count = tern->member_count;
    return tern->members;
}

int tern_fail(struct tern *tern, enum tern_outcome outcome, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(tern->why, sizeof tern->why, format, args);
    va_end(args);
    return (int)outcome;
}

/* Anything that a node says with reasons is a refusal; what only says "not now" is not. */
enum tern_outcome outcome_of(int error)
{
    switch (error) {
    case 0:
        return TERN_DONE;
    case TERN_ETIMEDOUT:
    case TERN_ECANCELED:
    case TERN_EBUSY:
    case TERN_EIO:
        return TERN_NOT_ASKED;
    case TERN_ENOENT:
    case TERN_EMALFORMED:
    case TERN_EINVALIDTOPIC:
    case TERN_EINVALIDPARTITIONS:
    case TERN_EINVALIDCONFIG:
        return TERN_WRONG;
    default:
        return TERN_DENIED;
    }
}

void copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text != NULL ? text : "");
}

void copy_uuid(char out[TERN_ID_SIZE], ProtobufCBinaryData bytes)
{
    struct uuid id;

    _Static_assert(TERN_ID_SIZE == UUID_TEXT_SIZE, "the public header can't include base/uuid.h");
    out[0] = '\0';
    if (bytes.len == sizeof id.bytes) {
        memcpy(id.bytes, bytes.data, sizeof id.bytes);
        uuid_text(id, out);
    }
}

enum tern_health health_of(const char *name)
{
    static const char *const names[] = {"ok", "degraded", "unhealthy", "violated"};

    for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
        if (strcmp(name, names[n]) == 0) {
            return (enum tern_health)n;
        }
    }
    return TERN_HEALTH_UNHEALTHY; /* a newer node's word: not good, in any case */
}

void *array_more(void *array, size_t count, size_t size)
{
    char *grown = array;

    if ((count & (count - 1)) == 0) { /* 0 and powers of two: full */
        grown = mem_grow(array, count == 0 ? 1 : 2 * count, size);
    }
    memset(grown + count * size, 0, size);
    return grown;
}

/* ---- asking --------------------------------------------------------------------------------- */

void question_fini(struct question *question)
{
    buf_fini(&question->answer);
}

static void *ask_one(void *arg)
{
    struct question *question = arg;
    const struct tern *tern = question->tern;
    const struct client_files files = {.ca = tern->ca, .crt = tern->crt, .key = tern->key};
    struct client *client = NULL;
    struct slice body;

    if (question->address[0] == '\0') {
        question->rv = TERN_ENOENT;
        (void)snprintf(question->why, sizeof question->why,
                       "the admin address of node %u is not known", question->node_id);
        return NULL;
    }
    question->rv =
        client_connect(question->address, &files, tern->timeout_ms, &client, question->why);
    if (question->rv == 0) {
        question->rv = client_call(client, question->type, question->body, question->timeout_ms,
                                   &question->error, &body, question->why);
    }
    if (question->rv == 0) {
        buf_put(&question->answer, body);
    }
    if (question->rv == 0 && question->error != 0) {
        (void)snprintf(question->why, sizeof question->why, "%.*s",
                       (int)(body.len < sizeof question->why ? body.len : sizeof question->why),
                       (const char *)body.base);
    }
    client_close(client);
    return NULL;
}

void questions_ask(struct question *questions, size_t count)
{
    pthread_t threads[TERN_NODES_MAX];
    bool running[TERN_NODES_MAX] = {0};

    CHECK(count <= TERN_NODES_MAX);
    for (size_t n = 1; n < count; n++) {
        running[n] = pthread_create(&threads[n], NULL, ask_one, &questions[n]) == 0;
    }
    for (size_t n = 0; n < count; n++) {
        if (!running[n]) {
            (void)ask_one(&questions[n]); /* the first, and whatever got no thread */
        }
    }
    for (size_t n = 1; n < count; n++) {
        if (running[n]) {
            CHECK(pthread_join(threads[n], NULL) == 0);
        }
    }
}

void ask_pack(struct buf *out, const char *name, bool detail)
{
    Tern__Admin__Ask ask;
    struct pool pool = {0};

    tern__admin__ask__init(&ask);
    ask.format = ADMIN_MESSAGES_VERSION;
    ask.name = pool_text(&pool, name != NULL ? name : "");
    ask.detail = detail;
    pack_into(out, &ask.base);
    pool_fini(&pool);
}

/* ---- who is there --------------------------------------------------------------------------- */

static void take_view(struct tern *tern, struct views *views, const struct question *question)
{
    ProtobufCAllocator allocator = pool_allocator(&views->pool);
    Tern__Admin__NodeView *view;
    char *why = views->nodes[question->node_id].why;

    if (question->rv != 0 || question->error != 0) {
        copy_text(why, CLIENT_WHY, question->why);
        return;
    }
    view = tern__admin__node_view__unpack(&allocator, question->answer.len, question->answer.base);
    if (view == NULL || view->format != ADMIN_MESSAGES_VERSION) {
        (void)snprintf(why, CLIENT_WHY,
                       "node %u answers in admin format %u, this tern knows %d: use one release",
                       question->node_id, view != NULL ? view->format : 0, ADMIN_MESSAGES_VERSION);
        return;
    }
    if (view->node_id != question->node_id) {
        (void)snprintf(why, CLIENT_WHY, "%s is node %u, not node %u: the profile is wrong",
                       question->address, view->node_id, question->node_id);
        return;
    }
    (void)tern;
    views->nodes[question->node_id].view = view;
    views->answered++;
}

static void ask_members(struct tern *tern, struct views *views, const struct tern_member *members,
                        size_t count)
{
    struct question questions[TERN_NODES_MAX] = {0};
    struct buf body = {0};

    ask_pack(&body, NULL, false);
    for (size_t n = 0; n < count; n++) {
        uint32_t id = members[n].id;

        CHECK(id >= 1 && id <= TERN_NODES_MAX);
        views->nodes[id].member = members[n];
        questions[n] = (struct question){.node_id = id,
                                         .type = ADMIN_NODE,
                                         .body = buf_slice(&body),
                                         .timeout_ms = tern->timeout_ms,
                                         .tern = tern};
        COPY_TEXT(questions[n].address, members[n].admin);
    }
    questions_ask(questions, count);
    for (size_t n = 0; n < count; n++) {
        take_view(tern, views, &questions[n]);
        question_fini(&questions[n]);
    }
    buf_fini(&body);
}

/* Nodes that the answers name and the profile doesn't. */
static size_t find_others(const struct views *views, struct tern_member *out)
{
    bool taken[TERN_NODES_MAX + 1] = {0};
    size_t count = 0;

    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        const Tern__Admin__NodeView *view = views->nodes[id].view;

        for (size_t n = 0; view != NULL && n < view->n_peers; n++) {
            const Tern__Admin__NodeView__Peer *peer = view->peers[n];

            if (peer->id < 1 || peer->id > TERN_NODES_MAX || taken[peer->id] ||
                views->nodes[peer->id].member.id != 0) {
                continue;
            }
            taken[peer->id] = true;
            out[count] = (struct tern_member){.id = peer->id, .witness = peer->witness};
            COPY_TEXT(out[count].region, peer->region);
            COPY_TEXT(out[count].kafka, peer->kafka_address);
            COPY_TEXT(out[count].mesh, peer->mesh_address);
            COPY_TEXT(out[count].admin, peer->admin_address);
            count++;
        }
    }
    return count;
}

/* The controller of the highest term; without one, who has applied most. */
static uint32_t choose_observer(const struct views *views)
{
    const Tern__Admin__NodeView *best = NULL;

    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        const Tern__Admin__NodeView *view = views->nodes[id].view;

        if (view == NULL) {
            continue;
        }
        if (best == NULL || view->controller > best->controller ||
            (view->controller == best->controller &&
             (view->controller ? view->term > best->term
                               : view->applied_index > best->applied_index))) {
            best = view;
        }
    }
    return best != NULL ? best->node_id : 0;
}

int views_ask(struct tern *tern, struct views *views)
{
    struct tern_member others[TERN_NODES_MAX];
    size_t other_count;

    memset(views, 0, sizeof *views);
    ask_members(tern, views, tern->members, tern->member_count);
    other_count = find_others(views, others);
    if (other_count > 0) {
        ask_members(tern, views, others, other_count);
    }
    views->observer = choose_observer(views);
    if (views->observer == 0) {
        const char *why = views->nodes[tern->members[0].id].why;

        return tern_fail(tern, TERN_NOT_ASKED, "no node of cluster %s answers (%zu asked): %s",
                         tern->cluster, tern->member_count + other_count, why);
    }
    return TERN_DONE;
}

size_t views_question(const struct tern *tern, const struct views *views, uint16_t type,
                      struct slice body, struct question questions[TERN_NODES_MAX],
                      uint32_t *silent)
{
    size_t count = 0;

    for (uint32_t id = 1; id <= TERN_NODES_MAX; id++) {
        if (views->nodes[id].view == NULL) {
            if (silent != NULL) {
                *silent += views->nodes[id].member.id != 0;
            }
            continue;
        }
        questions[count] = (struct question){.node_id = id,
                                             .type = type,
                                             .body = body,
                                             .timeout_ms = tern->timeout_ms,
                                             .tern = tern};
        COPY_TEXT(questions[count].address, views->nodes[id].member.admin);
        count++;
    }
    questions_ask(questions, count);
    return count;
}

void views_fini(struct views *views)
{
    pool_fini(&views->pool);
}

int ask_observer(struct tern *tern, uint16_t type, struct slice body, struct question *out)
{
    struct views *views = mem_new(sizeof *views);
    const Tern__Admin__NodeView *view;
    int rv = views_ask(tern, views);

    *out = (struct question){.type = type, .body = body, .tern = tern};
    if (rv == TERN_DONE) {
        view = views->nodes[views->observer].view;
        out->node_id = views->observer;
        /* Changes wait for the quorum, at most 5 s, before the node gives up on them. */
        out->timeout_ms = tern->timeout_ms + 6000;
        COPY_TEXT(out->address, views->nodes[views->observer].member.admin);
        if (view->cluster_id.len == 0) {
            rv = tern_fail(tern, TERN_DENIED,
                           "node %u belongs to no cluster yet: found one with tern cluster init",
                           view->node_id);
        }
    }
    views_fini(views);
    free(views);
    if (rv != TERN_DONE) {
        return rv;
    }
    (void)ask_one(out);
    if (out->rv != 0) {
        rv = tern_fail(tern, TERN_NOT_ASKED, "node %u: %s", out->node_id, out->why);
    } else if (out->error != 0) {
        rv = tern_fail(tern, outcome_of(out->error), "%s", out->why);
    }
    if (rv != TERN_DONE) {
        question_fini(out);
    }
    return rv;
}
