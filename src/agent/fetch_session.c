/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fetch_session.h"

#include <string.h>

#include "kafka/generated/errors.h"

void fetch_sessions_init(struct fetch_sessions *all, uint32_t slots, uint32_t parts_max,
                         uint64_t seed, void (*closing)(struct fetch_session *session))
{
    *all = (struct fetch_sessions){.slots = slots, .parts_max = parts_max, .closing = closing};
    prng_init(&all->ids, seed);
}

void fetch_sessions_fini(struct fetch_sessions *all)
{
    struct fetch_session *session;
    struct fetch_session *next;

    HASH_ITER (hh, all->by_id, session, next) {
        fetch_session_close(session);
    }
}

/* ---- partitions of a session ----------------------------------------------------------------- */

static struct session_topic *find_topic(const struct fetch_session *session, struct slice name,
                                        struct uuid id)
{
    struct session_topic *topic;

    struct slice key = session->by_id ? slice_of(id.bytes, sizeof id.bytes) : name;

    key.base = key.base != NULL ? key.base : id.bytes; /* of an empty name no byte is read */
    HASH_FIND(hh, session->topics, key.base, key.len, topic);
    return topic;
}

static struct session_topic *add_topic(struct fetch_session *session, struct slice name,
                                       struct uuid id)
{
    size_t len = session->by_id ? 0 : name.len;
    struct session_topic *topic = mem_new(sizeof *topic + len + 1);

    if (session->by_id) {
        topic->id = id;
        HASH_ADD_KEYPTR(hh, session->topics, topic->id.bytes, sizeof topic->id.bytes, topic);
        return topic;
    }
    uint8_t *text = (uint8_t *)(topic + 1);
    if (len > 0) {
        memcpy(text, name.base, len);
    }
    topic->name = slice_of(text, len);
    HASH_ADD_KEYPTR(hh, session->topics, text, len, topic);
    return topic;
}

static struct session_part *find_part(const struct fetch_session *session,
                                      struct session_topic *topic, int32_t partition)
{
    struct session_key key = {topic, partition};
    struct session_part *part;

    HASH_FIND(hh, session->parts, &key, sizeof key, part);
    return part;
}

static void drop_part(struct session_part *part)
{
    struct fetch_session *session = part->session;
    struct session_topic *topic = part->key.topic;

    if (link_in_list(&part->ready)) {
        link_remove(&part->ready);
    }
    if (link_in_list(&part->waiter.link)) {
        link_remove(&part->waiter.link);
    }
    HASH_DEL(session->parts, part);
    session->count--;
    session->all->parts--;
    if (--topic->parts == 0) {
        HASH_DEL(session->topics, topic);
        free(topic);
    }
    free(part);
}

struct session_part *fetch_session_want(struct fetch_session *session, struct slice name,
                                        struct uuid id,
                                        const struct kafka_fetch_request_partition *want)
{
    struct fetch_sessions *all = session->all;
    struct session_topic *topic = find_topic(session, name, id);
    struct session_part *part = topic != NULL ? find_part(session, topic, want->partition) : NULL;

    if (part == NULL) {
        if (all->parts >= all->parts_max) {
            return NULL;
        }
        topic = topic != NULL ? topic : add_topic(session, name, id);
        topic->parts++;
        part = mem_new(sizeof *part);
        part->session = session;
        part->key = (struct session_key){topic, want->partition};
        part->told_hw = -1;
        part->told_start = -1;
        HASH_ADD(hh, session->parts, key, sizeof part->key, part);
        session->count++;
        all->parts++;
    }
    part->want = *want;
    session_part_ready(part);
    return part;
}

void fetch_session_forget(struct fetch_session *session, struct slice name, struct uuid id,
                          int32_t partition)
{
    struct session_topic *topic = find_topic(session, name, id);
    struct session_part *part = topic != NULL ? find_part(session, topic, partition) : NULL;

    if (part != NULL) {
        drop_part(part);
    }
}

void session_part_ready(struct session_part *part)
{
    if (!link_in_list(&part->ready)) {
        queue_push(&part->session->ready, &part->ready);
    }
}

void session_part_idle(struct session_part *part)
{
    if (link_in_list(&part->ready)) {
        link_remove(&part->ready);
    }
}

bool session_part_is_news(const struct session_part *part,
                          const struct kafka_fetch_response_partition *out, bool has_records)
{
    return has_records || out->error != 0 || out->high_watermark != part->told_hw ||
           out->log_start_offset != part->told_start || out->preferred_read_replica >= 0 ||
           out->diverging_epoch.end_offset >= 0;
}

void session_part_told(struct session_part *part, const struct kafka_fetch_response_partition *out,
                       bool has_records)
{
    /* When an error goes away that is news, too. */
    part->told_hw = out->error != 0 ? -1 : out->high_watermark;
    part->told_start = out->log_start_offset;
    if (has_records) {
        session_part_idle(part);
        session_part_ready(part);
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static int32_t next_epoch(int32_t epoch)
{
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

struct fetch_session *fetch_session_find(struct fetch_sessions *all, int32_t id)
{
    struct fetch_session *session;

    HASH_FIND(hh, all->by_id, &id, sizeof id, session);
    return session;
}

/* Kafka's rule: the one that was not used for longest, if that is long; else the smallest of those that
 * have been there for long, if the new one is larger. */
static struct fetch_session *choose_victim(const struct fetch_sessions *all, uint64_t now_ms,
                                           uint32_t parts)
{
    struct fetch_session *oldest = NULL;
    struct fetch_session *smallest = NULL;

    for (struct fetch_session *each = all->by_id; each != NULL; each = each->hh.next) {
        bool older = oldest == NULL || each->used_ms < oldest->used_ms ||
                     (each->used_ms == oldest->used_ms && each->id < oldest->id);
        oldest = older ? each : oldest;
        if (each->used_ms - each->created_ms <= FETCH_SESSION_STALE_MS) {
            continue;
        }
        bool smaller = smallest == NULL || each->count < smallest->count ||
                       (each->count == smallest->count && each->id < smallest->id);
        smallest = smaller ? each : smallest;
    }
    if (oldest != NULL && now_ms - oldest->used_ms > FETCH_SESSION_STALE_MS) {
        return oldest;
    }
    return smallest != NULL && parts > smallest->count ? smallest : NULL;
}

struct fetch_session *fetch_session_open(struct fetch_sessions *all, uint64_t now_ms,
                                         uint32_t parts, bool by_id)
{
    if (parts > all->parts_max) {
        return NULL;
    }
    while (all->count >= all->slots || parts > all->parts_max - all->parts) {
        struct fetch_session *victim = choose_victim(all, now_ms, parts);
        if (victim == NULL) {
            return NULL;
        }
        all->evictions++;
        fetch_session_close(victim);
    }
    struct fetch_session *session = mem_new(sizeof *session);
    do {
        session->id = (int32_t)prng_between(&all->ids, 1, INT32_MAX);
    } while (fetch_session_find(all, session->id) != NULL);
    session->all = all;
    session->epoch = next_epoch(FETCH_EPOCH_INITIAL);
    session->by_id = by_id;
    session->created_ms = now_ms;
    session->used_ms = now_ms;
    session->swept_ms = now_ms;
    queue_init(&session->ready);
    HASH_ADD(hh, all->by_id, id, sizeof session->id, session);
    all->count++;
    return session;
}

void fetch_session_close(struct fetch_session *session)
{
    struct fetch_sessions *all = session->all;
    struct session_part *part;
    struct session_part *next;

    if (session->user != NULL) {
        all->closing(session);
    }
    HASH_ITER (hh, session->parts, part, next) {
        drop_part(part);
    }
    HASH_DEL(all->by_id, session);
    all->count--;
    free(session);
}

struct fetch_session *fetch_session_of(struct fetch_sessions *all, int32_t id, int32_t epoch,
                                       bool by_id, int16_t *out_error)
{
    struct fetch_session *session = fetch_session_find(all, id);

    *out_error = 0;
    if (session == NULL) {
        *out_error = KAFKA_ERROR_FETCH_SESSION_ID_NOT_FOUND;
    } else if (session->epoch != epoch) {
        *out_error = KAFKA_ERROR_INVALID_FETCH_SESSION_EPOCH;
    } else if (session->by_id != by_id) {
        *out_error = KAFKA_ERROR_FETCH_SESSION_TOPIC_ID_ERROR;
    }
    return *out_error == 0 ? session : NULL;
}

void fetch_session_turn(struct fetch_session *session, uint64_t now_ms)
{
    session->epoch = next_epoch(session->epoch);
    session->used_ms = now_ms;
    if (now_ms - session->swept_ms >= FETCH_SESSION_SWEEP_MS) {
        session->swept_ms = now_ms;
        for (struct session_part *part = session->parts; part != NULL; part = part->hh.next) {
            session_part_ready(part);
        }
    }
}
