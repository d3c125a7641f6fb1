/* SPDX-License-Identifier: Apache-2.0 */
/* Every API that is advertised, in every version, with everything that can be wrong about it.
 *
 *     hostile HOST:PORT [HOST:PORT ...]
 *
 * Two kinds of wrong: requests that cannot be read (cut off, hostile counts, null where nothing can
 * be null, versions and keys that are not there) end their connection, as with Kafka; requests that can
 * be read get exactly the codes of stories.c. An API without a story for a version that is advertised
 * is a failure, so that none can be forgotten. Prints what was not as expected, and ends with
 * `N checks, N failed`. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "kafka/codec.h"
#include "kafka/generated/messages.h"
#include "stories.h"

#define ANSWER_MS 10000
#define FRAME_MAX (64u << 20)
#define NODES_MAX 8

static struct {
    const char *brokers[NODES_MAX];
    size_t count;
    char where[4][256]; /* by enum story_node */
    unsigned checks;
    unsigned failed;
} run;

static void judge(bool good, const struct kafka_api *api, int16_t version, const char *what,
                  const char *got)
{
    run.checks++;
    if (!good) {
        run.failed++;
        printf("%s (%d) version %d, %s: %s\n", api->name, api->key, version, what, got);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static int dial(const char *address)
{
    char host[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(address, ':');

    CHECK(colon != NULL);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        fprintf(stderr, "hostile: %s cannot be resolved\n", address);
        exit(2);
    }
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        fprintf(stderr, "hostile: %s is not reached: %s\n", address, strerror(errno));
        exit(2);
    }
    freeaddrinfo(found);
    return fd;
}

static bool send_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.base, bytes.len, MSG_NOSIGNAL);
        if (sent < 0) {
            return false;
        }
        bytes = slice_of(bytes.base + sent, bytes.len - (size_t)sent);
    }
    return true;
}

enum outcome { ANSWERED, CLOSED, SILENT };

static enum outcome read_exactly(int fd, uint8_t *out, size_t len)
{
    while (len > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, ANSWER_MS) <= 0) {
            return SILENT;
        }
        ssize_t got = recv(fd, out, len, 0);
        if (got <= 0) {
            return CLOSED;
        }
        out += got;
        len -= (size_t)got;
    }
    return ANSWERED;
}

/* One frame on a connection of its own, and what comes back. */
static enum outcome ask(const char *address, struct slice frame, struct buf *answer)
{
    uint8_t prefix[4];
    int fd = dial(address);
    enum outcome outcome;

    buf_clear(answer);
    (void)send_all(fd, frame); /* a refusal in the middle is read as a close */
    outcome = read_exactly(fd, prefix, sizeof prefix);
    if (outcome == ANSWERED) {
        uint32_t len = get_be32(prefix);
        CHECK(len < FRAME_MAX);
        outcome = read_exactly(fd, buf_extend(answer, len), len);
    }
    (void)close(fd);
    return outcome;
}

static const char *const outcome_names[] = {"answered", "closed", "neither answered nor closed"};

/* ---- answers --------------------------------------------------------------------------------- */

static void collect_errors(const struct kafka_shape *shape, const void *object, int16_t version,
                           struct buf *out)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct kafka_field *field = &shape->fields[i];
        const char *at = (const char *)object + field->offset;
        if (version < field->since || version > field->until) {
            continue;
        }
        if (field->kind == KAFKA_I16 && strcmp(field->name, "error") == 0) {
            buf_printf(out, "%s%d", out->len > 0 ? " " : "", *(const int16_t *)(const void *)at);
        } else if (field->kind == KAFKA_STRUCT && (field->flags & KAFKA_ARRAY) != 0) {
            const char *items = *(const char *const *)(const void *)at;
            uint32_t count =
                *(const uint32_t *)(const void *)((const char *)object + field->count_offset);
            for (uint32_t k = 0; k < count; k++) {
                collect_errors(field->shape, items + (size_t)k * field->shape->size, version, out);
            }
        } else if (field->kind == KAFKA_STRUCT) {
            collect_errors(field->shape, at, version, out);
        }
    }
}

/* False: the bytes are no answer of that version. */
static bool errors_of(const struct kafka_api *api, int16_t version, struct slice answer,
                      struct buf *out)
{
    struct arena arena;
    struct slice body;
    int32_t correlation_id = 0;
    void *message = NULL;

    arena_init(&arena);
    bool ok =
        kafka_decode_response_header(api->key, version, answer, &correlation_id, &body) == 0 &&
        correlation_id == 1 &&
        kafka_decode_response(api->key, version, body, &arena, &message, NULL) == 0;
    if (ok) {
        collect_errors(api->response, message, version, out);
    }
    buf_u8(out, 0);
    arena_fini(&arena);
    return ok;
}

/* "3 1|6" fits "3 6". */
static bool fits(const char *wanted, const char *got)
{
    while (*wanted != '\0' || *got != '\0') {
        size_t have = strcspn(got, " ");
        size_t len = strcspn(wanted, " ");
        bool found = false;
        for (const char *w = wanted; w < wanted + len || (len == 0 && have == 0);) {
            size_t one = strcspn(w, " |");
            found = found || (one == have && memcmp(w, got, one) == 0);
            w += one;
            if (w >= wanted + len) {
                break;
            }
            w++;
        }
        if (!found) {
            return false;
        }
        wanted += len + (wanted[len] == ' ');
        got += have + (got[have] == ' ');
    }
    return true;
}

/* ---- where ----------------------------------------------------------------------------------- */

static const struct kafka_api *api_of(int16_t key)
{
    return kafka_api_of(key);
}

static void *ask_well(struct arena *arena, int16_t key, int16_t version, const struct value *own)
{
    struct message m;
    struct buf frame = {0};
    struct buf answer = {0};
    struct slice body;
    int32_t correlation_id;
    void *message = NULL;

    message_build(&m, api_of(key), version, 1, own, common_values, 1);
    message_frame(&m, m.bytes.len, &frame);
    if (ask(run.brokers[0], buf_slice(&frame), &answer) != ANSWERED ||
        kafka_decode_response_header(key, version, buf_slice(&answer), &correlation_id, &body) !=
            0) {
        fprintf(stderr, "hostile: no answer to %s\n", api_of(key)->name);
        exit(2);
    }
    uint8_t *copy = arena_take(arena, body.len + 1); /* the message points into it */
    memcpy(copy, body.base, body.len);
    if (kafka_decode_response(key, version, slice_of(copy, body.len), arena, &message, NULL) != 0) {
        fprintf(stderr, "hostile: %s is not understood\n", api_of(key)->name);
        exit(2);
    }
    message_fini(&m);
    buf_fini(&frame);
    buf_fini(&answer);
    return message;
}

static bool find_coordinator(const char *key, int64_t type, char out[256])
{
    struct value own[] = {
        {.field = "key", .text = key}, {.field = "key_type", .number = type}, {.field = NULL}};
    struct arena arena;

    arena_init(&arena);
    const struct kafka_find_coordinator_response *r = ask_well(&arena, 10, 2, own);
    bool found = r->error == 0;
    if (found) {
        (void)snprintf(out, 256, "%.*s:%d", (int)r->host.len, (const char *)r->host.base, r->port);
    }
    arena_fini(&arena);
    return found;
}

static bool find_leader(char out[256])
{
    struct value own[] = {{.field = "name", .text = "payments"}, {.field = NULL}};
    struct arena arena;
    bool found = false;

    arena_init(&arena);
    const struct kafka_metadata_response *r = ask_well(&arena, 3, 7, own);
    for (uint32_t i = 0; i < r->brokers_count && r->topics_count > 0; i++) {
        const struct kafka_metadata_response_topic *t = &r->topics[0];
        if (t->partitions_count > 0 && t->partitions[0].partition == 0 &&
            r->brokers[i].node_id == t->partitions[0].leader_id) {
            (void)snprintf(out, 256, "%.*s:%d", (int)r->brokers[i].host.len,
                           (const char *)r->brokers[i].host.base, r->brokers[i].port);
            found = true;
        }
    }
    arena_fini(&arena);
    return found;
}

static void find_all(void)
{
    (void)snprintf(run.where[AT_ANY], sizeof run.where[AT_ANY], "%s", run.brokers[0]);
    for (int tries = 0; tries < 300; tries++) {
        if (find_coordinator("no-such-group", 0, run.where[AT_COORDINATOR_OF_GROUP]) &&
            find_coordinator("no-such-txn", 1, run.where[AT_COORDINATOR_OF_TXN]) &&
            find_leader(run.where[AT_LEADER])) {
            return;
        }
        (void)usleep(100000);
    }
    fprintf(stderr, "hostile: there is no coordinator, or no leader\n");
    exit(2);
}

/* ---- well formed, and wrong ------------------------------------------------------------------- */

static void tell(const struct story *story, const struct kafka_api *api, int16_t version)
{
    const char *at = run.where[story_node(api->key)];
    struct message m;
    struct buf frame = {0};
    struct buf answer = {0};
    struct buf errors = {0};
    char got[512];

    message_build(&m, api, version, 1, story->own, common_values,
                  story->copies > 0 ? story->copies : 1);
    message_frame(&m, m.bytes.len, &frame);
    enum outcome outcome = ask(at, buf_slice(&frame), &answer);
    bool good = outcome == ANSWERED && errors_of(api, version, buf_slice(&answer), &errors) &&
                fits(story->errors, (const char *)errors.base);
    (void)snprintf(got, sizeof got, "%s, errors [%s], expected [%s]", outcome_names[outcome],
                   errors.len > 0 ? (const char *)errors.base : "", story->errors);
    judge(good, api, version, story->name, got);
    message_fini(&m);
    buf_fini(&frame);
    buf_fini(&answer);
    buf_fini(&errors);
}

static void tell_all(const struct kafka_api *api, int16_t version)
{
    unsigned told = 0;

    for (const struct story *s = stories; s->name != NULL; s++) {
        if (s->key == api->key && version >= s->since && version <= s->until) {
            tell(s, api, version);
            told++;
        }
    }
    judge(told > 0, api, version, "stories", "there is none: add one to stories.c");
}

/* ---- not to be read ---------------------------------------------------------------------------- */

static void expect_outcome(const struct kafka_api *api, int16_t version, const char *what,
                           struct slice frame, enum outcome wanted)
{
    struct buf answer = {0};
    enum outcome outcome = ask(run.where[story_node(api->key)], frame, &answer);

    judge(outcome == wanted, api, version, what, outcome_names[outcome]);
    buf_fini(&answer);
}

static void spoil_all(const struct kafka_api *api, int16_t version)
{
    static const char *const names[] = {"huge", "negative", "null"};
    struct message m;
    struct buf frame = {0};
    char what[128];

    message_build(&m, api, version, 1, spoilt_values, common_values, 1);
    for (size_t i = 0; i < m.mark_count; i++) {
        const struct mark *mark = &m.marks[i];
        for (int as = MARK_AS_HUGE; as <= MARK_AS_NULL; as++) {
            bool legal = mark_is_null(mark, (enum mark_as)as);
            bool same = strcmp(mark->field, "tags") == 0 && as == MARK_AS_NULL;
            if (same || (mark->kind == MARK_ONE && !legal)) {
                continue;
            }
            (void)snprintf(what, sizeof what, "%s %s at byte %zu", names[as], mark->field,
                           mark->at);
            message_spoil(&m, mark, (enum mark_as)as, &frame);
            expect_outcome(api, version, what, buf_slice(&frame), legal ? ANSWERED : CLOSED);
        }
    }
    for (size_t len = m.body_at; len < m.bytes.len; len++) {
        (void)snprintf(what, sizeof what, "cut off after %zu of %zu bytes", len, m.bytes.len);
        message_frame(&m, len, &frame);
        expect_outcome(api, version, what, buf_slice(&frame), CLOSED);
    }
    message_frame(&m, m.bytes.len, &frame);
    put_be32(frame.base, (uint32_t)(frame.len - 4 + 3));
    buf_text(&frame, "end");
    expect_outcome(api, version, "three bytes more than the request has", buf_slice(&frame),
                   ANSWERED);
    message_fini(&m);
    buf_fini(&frame);
}

/* A frame that is a header alone. */
static void head(struct buf *frame, int16_t key, int16_t version)
{
    bool tags = key == 18 && version > 3; /* which every client sends there, since KIP-511 */

    buf_clear(frame);
    buf_be32(frame, 8 + 2 + 7 + tags);
    buf_be16(frame, (uint16_t)key);
    buf_be16(frame, (uint16_t)version);
    buf_be32(frame, 1);
    buf_be16(frame, 7);
    buf_text(frame, "hostile");
    if (tags) {
        buf_u8(frame, 0);
    }
}

static void unknown_versions(const struct kafka_api *api)
{
    int16_t versions[] = {(int16_t)(api->advertised_max + 1), 0x7fff, -1, -0x8000,
                          (int16_t)(api->min_version - 1)};
    struct buf frame = {0};
    struct buf answer = {0};
    struct buf errors = {0};

    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        head(&frame, api->key, versions[i]);
        if (api->key != 18) {
            expect_outcome(api, versions[i], "a version that is not served", buf_slice(&frame),
                           CLOSED);
            continue;
        }
        /* Answered as version 0, so that the client can go on with another one. */
        buf_clear(&errors);
        enum outcome outcome = ask(run.brokers[0], buf_slice(&frame), &answer);
        bool good = outcome == ANSWERED && errors_of(api, 0, buf_slice(&answer), &errors) &&
                    fits("35", (const char *)errors.base);
        judge(good, api, versions[i], "a version that is not served", outcome_names[outcome]);
    }
    buf_fini(&frame);
    buf_fini(&answer);
    buf_fini(&errors);
}

static void unknown_keys(void)
{
    static const struct kafka_api nothing = {.name = "no_such_api", .key = -1};
    struct buf frame = {0};
    struct buf answer = {0};

    for (int key = -1; key <= 120; key++) {
        const struct kafka_api *api = kafka_api_of((int16_t)key);
        if (api != NULL && api->advertised_max >= 0) {
            continue;
        }
        head(&frame, (int16_t)key, 0);
        enum outcome outcome = ask(run.brokers[0], buf_slice(&frame), &answer);
        judge(outcome == CLOSED, api != NULL ? api : &nothing, (int16_t)key,
              "an API that is not served", outcome_names[outcome]);
    }
    static const uint32_t sizes[] = {0x7fffffff, 0xffffffff, 0x80000000, 0, 3, 101u << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        buf_clear(&frame);
        buf_be32(&frame, sizes[i]);
        buf_text(&frame, "abc");
        enum outcome outcome = ask(run.brokers[0], buf_slice(&frame), &answer);
        judge(outcome == CLOSED, &nothing, 0, "a frame of a wrong size", outcome_names[outcome]);
    }
    buf_fini(&frame);
    buf_fini(&answer);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > NODES_MAX) {
        fprintf(stderr, "usage: hostile HOST:PORT [HOST:PORT ...]\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        run.brokers[run.count++] = argv[i];
    }
    find_all();
    for (size_t i = 0; kafka_api_at(i) != NULL; i++) {
        const struct kafka_api *api = kafka_api_at(i);
        if (api->advertised_max < 0) {
            continue;
        }
        for (int v = api->min_version; v <= api->advertised_max; v++) {
            tell_all(api, (int16_t)v);
            spoil_all(api, (int16_t)v);
        }
        unknown_versions(api);
    }
    unknown_keys();
    printf("%u checks, %u failed\n", run.checks, run.failed);
    return run.failed > 0 ? 1 : 0;
}
