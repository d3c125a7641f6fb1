/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch sessions (KIP-227): what a consumer wants of each partition is kept here, so that its requests
 * name only what has changed, and answers only what is new.
 *
 * A partition of a session is in one of two states. *Ready*: a request has to look at it, because
 * something about it has moved or there is more to read than was given. Or it waits among the
 * watchers of its partition until that pokes it; then it costs nothing, neither time nor an
 * allocation. What nobody pokes for (peers that go silent, times that pass) is found by looking at all
 * of a session every FETCH_SESSION_SWEEP_MS.
 *
 * Ids, epochs, what must be told, and who is evicted for whom are Kafka's. Its slots bound only the
 * number of sessions; here their partitions are bounded, too: about 170 bytes each. Without room a
 * consumer gets no session and names everything each time, as before KIP-227.
 *
 * No I/O, no clock: times are given, in ms of one monotonic clock. */
#pragma once

#include "agent/inner.h"
#include "base/prng.h"
#include "kafka/generated/messages.h"

#define FETCH_SESSIONS_MAX      1000 /* Kafka's max.incremental.fetch.session.cache.slots */
#define FETCH_SESSION_PARTS_MAX 200000
#define FETCH_SESSION_STALE_MS                                                                     \
    UINT64_C(120000) /* unused for so long, it makes room for any other */
#define FETCH_SESSION_SWEEP_MS UINT64_C(2000)

#define FETCH_EPOCH_FINAL   (-1) /* of a request: no session, or the end of one */
#define FETCH_EPOCH_INITIAL 0    /* of a request: a new one is wanted */

struct fetch_session;

/* One topic of a session: by its name up to version 12, by its id from 13 on. */
struct session_topic {
    UT_hash_handle hh;
    struct slice name; /* its bytes are behind the struct */
    struct uuid id;    /* zero: it is named */
    uint32_t parts;
};

struct session_key {
    struct session_topic *topic;
    int64_t partition;
};

struct session_part {
    struct fetch_session *session;
    struct session_key key;
    UT_hash_handle hh;
    struct link ready;              /* in session.ready */
    struct partition_waiter waiter; /* the owner sets `poke`; unlinked with the part */
    struct kafka_fetch_request_partition want;
    int64_t told_hw; /* -1: whatever comes next is told */
    int64_t told_start;
    void *user; /* of the request whose turn it is */
};

struct fetch_session {
    struct fetch_sessions *all;
    int32_t id;
    int32_t epoch; /* that the next request must have */
    bool by_id;    /* its topics */
    uint64_t created_ms;
    uint64_t used_ms; /* when a request last took its turn */
    uint64_t swept_ms;
    uint32_t count; /* of parts */
    struct session_topic *topics;
    struct session_part *parts; /* uthash, in the order in which they came */
    struct link ready;          /* those that were given records come last (fairness) */
    void *user;                 /* the request whose turn it is; NULL: none is under way */
    UT_hash_handle hh;
};

struct fetch_sessions {
    struct fetch_session *by_id;
    uint32_t count;
    uint32_t slots;
    uint32_t parts;
    uint32_t parts_max;
    uint64_t evictions;
    struct prng ids;
    void (*closing)(struct fetch_session *session); /* with a request under way: end that */
};

void fetch_sessions_init(struct fetch_sessions *all, uint32_t slots, uint32_t parts_max,
                         uint64_t seed, void (*closing)(struct fetch_session *session));
void fetch_sessions_fini(struct fetch_sessions *all);

/* A new one, empty, whose next request has epoch 1; for `parts` partitions, to which it makes others
 * give way if Kafka's rules say so. NULL: there is no room. */
struct fetch_session *fetch_session_open(struct fetch_sessions *all, uint64_t now_ms,
                                         uint32_t parts, bool by_id);
void fetch_session_close(struct fetch_session *session);
/* NULL if there is none. */
struct fetch_session *fetch_session_find(struct fetch_sessions *all, int32_t id);
/* The session of an incremental request; else NULL and Kafka's error of the whole answer. */
struct fetch_session *fetch_session_of(struct fetch_sessions *all, int32_t id, int32_t epoch,
                                       bool by_id, int16_t *out_error);
/* `topic` names the topic in the way of the session. Adds the partition or changes what is wanted of
 * it; it is ready. NULL: there are FETCH_SESSION_PARTS_MAX. */
struct session_part *fetch_session_want(struct fetch_session *session, struct slice name,
                                        struct uuid id,
                                        const struct kafka_fetch_request_partition *want);
void fetch_session_forget(struct fetch_session *session, struct slice name, struct uuid id,
                          int32_t partition);
/* The request's turn begins, after all that it wants and forgets. */
void fetch_session_turn(struct fetch_session *session, uint64_t now_ms);

void session_part_ready(struct session_part *part);
/* Looked at, and there is nothing: until it is poked. */
void session_part_idle(struct session_part *part);
/* Must this be in the answer? */
bool session_part_is_news(const struct session_part *part,
                          const struct kafka_fetch_response_partition *out, bool has_records);
/* It is in the answer. */
void session_part_told(struct session_part *part, const struct kafka_fetch_response_partition *out,
                       bool has_records);
