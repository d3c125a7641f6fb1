/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of libtern (src/admin/tern_*.c) only. */
#pragma once

#include "admin.pb-c.h"
#include "admin/calls.h"
#include "admin/pool.h"
#include "base/error.h"
#include "base/uuid.h"
#include "net/client.h"
#include "tern/tern.h"

#define TERN_PATH_MAX 1024

struct tern {
    char cluster[TERN_NAME_SIZE];
    char ca[TERN_PATH_MAX];
    char crt[TERN_PATH_MAX];
    char key[TERN_PATH_MAX];
    uint32_t timeout_ms;
    struct tern_member members[TERN_NODES_MAX];
    size_t member_count;
    char why[TERN_WHY_SIZE];
};

/* profile.yaml: cluster, certs (relative to the file), client, nodes[]. */
int profile_read(const char *path, struct tern *tern, char why[TERN_WHY_SIZE]) TERN_MUST_USE;

int tern_fail(struct tern *tern, enum tern_outcome outcome, const char *format, ...)
    TERN_PRINTF(3, 4);
/* Which outcome an answer's error number is. */
enum tern_outcome outcome_of(int error);

/* One question to one node. */
struct question {
    uint32_t node_id;
    char address[TERN_ADDRESS_SIZE]; /* "": there is none */
    uint16_t type;
    struct slice body;
    uint32_t timeout_ms;
    const struct tern *tern;
    /* The answer. */
    int rv;    /* 0: it answered; else a TERN_E of the way there */
    int error; /* what the node says */
    struct buf answer;
    char why[CLIENT_WHY];
};
void question_fini(struct question *question);
/* All at once, one thread each. */
void questions_ask(struct question *questions, size_t count);
/* Appends a packed Ask. */
void ask_pack(struct buf *out, const char *name, bool detail);

/* What every node says of itself: the start of every other question. `pool` holds the views. */
struct views {
    struct pool pool;
    struct {
        struct tern_member member;
        Tern__Admin__NodeView *view; /* NULL: it did not answer */
        char why[CLIENT_WHY];
    } nodes[TERN_NODES_MAX + 1]; /* at their id; id 0: not there */
    size_t answered;
    uint32_t observer; /* the controller, else who knows most; 0: nobody answered */
};
/* TERN_NOT_ASKED if nobody answers. */
int views_ask(struct tern *tern, struct views *views);
/* Asks the same of every node that answered views_ask, all at once; how many. The rest of the members
 * is added to `silent` (NULL: not counted). */
size_t views_question(const struct tern *tern, const struct views *views, uint16_t type,
                      struct slice body, struct question questions[TERN_NODES_MAX],
                      uint32_t *silent);
void views_fini(struct views *views);

/* One question to one node that is up: the observer. answer is borrowed from the question. */
int ask_observer(struct tern *tern, uint16_t type, struct slice body, struct question *out);

/* Room for one more in an array that grows by doubling. */
void *array_more(void *array, size_t count, size_t size);
void copy_text(char *out, size_t size, const char *text);
#define COPY_TEXT(array, text) copy_text(array, sizeof(array), text)
void copy_uuid(char out[TERN_ID_SIZE], ProtobufCBinaryData bytes);
enum tern_health health_of(const char *name);
