/* SPDX-License-Identifier: Apache-2.0 */
#include "quorum/messages.h"

#include <stdio.h>

#include "base/error.h"
#include "base/reader.h"
#include "raft.pb-c.h"

#define NODE_ID_MAX      63u
#define WRAP_FORMAT      1u
#define WRAP_HEAD        8u
#define CONFIG_FORMAT    1u /* of libraft's own encoding */
#define CONFIG_BYTES_MAX (16u << 10)

#define PACK(head, name, message)                                                                  \
    do {                                                                                           \
        size_t pack_len = quorum__##name##__get_packed_size(message);                              \
        uint8_t *pack_at = buf_extend(head, pack_len);                                             \
        CHECK(quorum__##name##__pack(message, pack_at) == pack_len);                               \
    } while (0)

/* ---- addresses and configurations ----------------------------------------------------------- */

uint32_t raft_address_node(const char *address)
{
    uint32_t node = 0;

    if (address == NULL || address[0] == 0 || address[0] == '0') {
        return 0;
    }
    for (const char *at = address; *at != 0; at++) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        node = node * 10 + (uint32_t)(*at - '0');
        if (node > NODE_ID_MAX) {
            return 0;
        }
    }
    return node;
}

void raft_address_text(uint32_t node_id, char out[12])
{
    (void)snprintf(out, 12, "%u", node_id);
}

static bool configuration_has_node(const struct raft_configuration *configuration, uint32_t node)
{
    for (unsigned i = 0; i < configuration->n; i++) {
        if (raft_address_node(configuration->servers[i].address) == node) {
            return true;
        }
    }
    return false;
}

static int configuration_put(struct raft_configuration *out, uint64_t id, uint32_t node, int role)
{
    char address[12];

    if (id == 0 || node == 0 || node > NODE_ID_MAX || role < RAFT_STANDBY || role > RAFT_SPARE ||
        out->n >= MESSAGE_MEMBERS_MAX || configuration_has_node(out, node)) {
        return TERN_EMALFORMED;
    }
    raft_address_text(node, address);
    return raft_configuration_add(out, id, address, role) == 0 ? 0 : TERN_EMALFORMED;
}

void raft_config_copy(const struct raft_configuration *from, struct raft_configuration *to)
{
    raft_configuration_init(to);
    for (unsigned i = 0; i < from->n; i++) {
        const struct raft_server *server = &from->servers[i];
        CHECK(raft_configuration_add(to, server->id, server->address, server->role) == 0);
    }
}

static int configuration_from_pb(const Quorum__Configuration *in, struct raft_configuration *out)
{
    int rv = 0;

    raft_configuration_init(out);
    for (size_t i = 0; i < in->n_members && rv == 0; i++) {
        const Quorum__Member *member = in->members[i];
        rv = member->role <= RAFT_SPARE
                 ? configuration_put(out, member->raft_id, member->node_id, (int)member->role)
                 : TERN_EMALFORMED;
    }
    if (rv != 0) {
        raft_configuration_close(out);
    }
    return rv;
}

/* A configuration as protobuf, on the caller's stack. */
struct pb_configuration {
    Quorum__Configuration message;
    Quorum__Member members[MESSAGE_MEMBERS_MAX];
    Quorum__Member *pointers[MESSAGE_MEMBERS_MAX];
};

static void configuration_to_pb(const struct raft_configuration *in, struct pb_configuration *out)
{
    CHECK(in->n <= MESSAGE_MEMBERS_MAX);
    out->message = (Quorum__Configuration)QUORUM__CONFIGURATION__INIT;
    for (unsigned i = 0; i < in->n; i++) {
        out->members[i] = (Quorum__Member)QUORUM__MEMBER__INIT;
        out->members[i].raft_id = in->servers[i].id;
        out->members[i].node_id = raft_address_node(in->servers[i].address);
        out->members[i].role = (uint32_t)in->servers[i].role;
        out->pointers[i] = &out->members[i];
    }
    out->message.n_members = in->n;
    out->message.members = out->pointers;
}

void raft_config_encode(const struct raft_configuration *configuration, struct buf *out)
{
    struct pb_configuration pb;

    configuration_to_pb(configuration, &pb);
    PACK(out, configuration, &pb.message);
}

int raft_config_decode(struct slice bytes, struct raft_configuration *out)
{
    if (bytes.len > CONFIG_BYTES_MAX) {
        return TERN_EMALFORMED;
    }
    Quorum__Configuration *pb = quorum__configuration__unpack(NULL, bytes.len, bytes.base);
    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    int rv = configuration_from_pb(pb, out);
    quorum__configuration__free_unpacked(pb, NULL);
    return rv;
}

int raft_config_decode_entry(struct slice bytes, struct raft_configuration *out)
{
    struct reader r = reader_of(bytes);
    int rv = 0;

    raft_configuration_init(out);
    if (reader_u8(&r) != CONFIG_FORMAT) {
        return TERN_EMALFORMED;
    }
    uint64_t count = reader_le64(&r);
    if (count == 0 || count > MESSAGE_MEMBERS_MAX) {
        return TERN_EMALFORMED;
    }
    for (uint64_t i = 0; i < count && rv == 0; i++) {
        char address[12] = {0};
        uint64_t id = reader_le64(&r);
        for (size_t k = 0;; k++) {
            uint8_t byte = reader_u8(&r);
            if (k >= sizeof address || r.failed) {
                rv = TERN_EMALFORMED;
                break;
            }
            address[k] = (char)byte;
            if (byte == 0) {
                break;
            }
        }
        uint8_t role = reader_u8(&r);
        if (rv == 0) {
            rv = r.failed ? TERN_EMALFORMED
                          : configuration_put(out, id, raft_address_node(address), role);
        }
    }
    if (rv != 0) {
        raft_configuration_close(out);
    }
    return rv;
}

/* ---- commands ------------------------------------------------------------------------------- */

struct raft_buffer raft_command_wrap(struct slice command)
{
    struct raft_buffer out;

    CHECK(command.len <= MESSAGE_COMMAND_MAX);
    out.len = WRAP_HEAD + (command.len + 7) / 8 * 8;
    out.base = raft_calloc(1, out.len);
    CHECK(out.base != NULL);
    put_le32(out.base, (uint32_t)command.len);
    put_le32((uint8_t *)out.base + 4, WRAP_FORMAT);
    if (command.len > 0) {
        memcpy((uint8_t *)out.base + WRAP_HEAD, command.base, command.len);
    }
    return out;
}

int raft_command_unwrap(struct slice entry, struct slice *out_command)
{
    struct reader r = reader_of(entry);
    uint32_t len = reader_le32(&r);
    uint32_t format = reader_le32(&r);
    struct slice command = reader_take(&r, len);

    if (r.failed || reader_left(&r) >= 8) {
        return TERN_EMALFORMED;
    }
    if (format != WRAP_FORMAT) {
        return TERN_EFORMAT;
    }
    *out_command = command;
    return 0;
}

/* ---- AppendEntries -------------------------------------------------------------------------- */

static void append_encode(const struct raft_append_entries *in, struct buf *head,
                          struct chunk *tail)
{
    Quorum__AppendEntries pb = QUORUM__APPEND_ENTRIES__INIT;
    size_t count = 0;
    size_t bytes = 0;

    while (count < in->n_entries && count < MESSAGE_ENTRIES_MAX) {
        size_t len = in->entries[count].buf.len;
        if (count > 0 && bytes + len > MESSAGE_APPEND_BYTES) {
            break;
        }
        bytes += len;
        count++;
    }
    pb.term = in->term;
    pb.prev_index = in->prev_log_index;
    pb.prev_term = in->prev_log_term;
    pb.leader_commit = in->leader_commit;
    if (count > 0) {
        struct blob *blob = blob_new(bytes);
        pb.entry_term = mem_new(count * sizeof *pb.entry_term);
        pb.entry_type = mem_new(count * sizeof *pb.entry_type);
        pb.entry_length = mem_new(count * sizeof *pb.entry_length);
        pb.n_entry_term = pb.n_entry_type = pb.n_entry_length = count;
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            const struct raft_entry *entry = &in->entries[i];
            pb.entry_term[i] = entry->term;
            pb.entry_type[i] = entry->type;
            pb.entry_length[i] = (uint32_t)entry->buf.len;
            memcpy(blob->bytes + at, entry->buf.base, entry->buf.len);
            at += entry->buf.len;
        }
        *tail = (struct chunk){blob, blob->bytes, bytes};
    }
    PACK(head, append_entries, &pb);
    free(pb.entry_term);
    free(pb.entry_type);
    free(pb.entry_length);
}

/* The rules for one entry from outside: libraft checks none of them. */
static bool entry_acceptable(uint32_t type, uint64_t term, uint64_t leader_term, struct slice bytes)
{
    struct raft_configuration configuration;

    if (bytes.len == 0 || bytes.len % 8 != 0 || bytes.len > MESSAGE_ENTRY_BYTES_MAX || term == 0 ||
        term > leader_term) {
        return false;
    }
    switch (type) {
    case RAFT_COMMAND: {
        struct slice command;
        return raft_command_unwrap(bytes, &command) == 0;
    }
    case RAFT_BARRIER:
        return true;
    case RAFT_CHANGE:
        if (raft_config_decode_entry(bytes, &configuration) != 0) {
            return false;
        }
        raft_configuration_close(&configuration);
        return true;
    default:
        return false;
    }
}

static int append_check(const Quorum__AppendEntries *pb, struct slice tail)
{
    struct reader r = reader_of(tail);
    uint64_t term = pb->prev_term;

    if (pb->n_entry_type != pb->n_entry_term || pb->n_entry_length != pb->n_entry_term ||
        pb->n_entry_term > MESSAGE_ENTRIES_MAX || pb->term == 0 || pb->prev_term > pb->term ||
        (pb->prev_index == 0) != (pb->prev_term == 0) || pb->prev_index > UINT64_MAX / 2) {
        return TERN_EMALFORMED;
    }
    if (pb->prev_index == 0 && pb->n_entry_term > 0 && pb->entry_type[0] != RAFT_CHANGE) {
        return TERN_EMALFORMED; /* every log begins with the members */
    }
    for (size_t i = 0; i < pb->n_entry_term; i++) {
        struct slice bytes = reader_take(&r, pb->entry_length[i]);
        if (r.failed || pb->entry_term[i] < term ||
            !entry_acceptable(pb->entry_type[i], pb->entry_term[i], pb->term, bytes)) {
            return TERN_EMALFORMED;
        }
        term = pb->entry_term[i];
    }
    return reader_left(&r) == 0 ? 0 : TERN_EMALFORMED;
}

static void append_fill(const Quorum__AppendEntries *pb, struct slice tail,
                        struct raft_append_entries *out)
{
    *out = (struct raft_append_entries){
        .term = pb->term,
        .prev_log_index = pb->prev_index,
        .prev_log_term = pb->prev_term,
        .leader_commit = pb->leader_commit,
        .n_entries = (unsigned)pb->n_entry_term,
    };
    if (out->n_entries == 0) {
        return;
    }
    uint8_t *batch = raft_malloc(tail.len);
    out->entries = raft_calloc(out->n_entries, sizeof *out->entries);
    CHECK(batch != NULL);
    CHECK(out->entries != NULL);
    memcpy(batch, tail.base, tail.len);
    size_t at = 0;
    for (unsigned i = 0; i < out->n_entries; i++) {
        out->entries[i] = (struct raft_entry){
            .term = pb->entry_term[i],
            .type = (unsigned short)pb->entry_type[i],
            .buf = {batch + at, pb->entry_length[i]},
            .batch = batch,
        };
        at += pb->entry_length[i];
    }
}

static int append_decode(struct slice head, struct slice tail, struct raft_append_entries *out)
{
    Quorum__AppendEntries *pb = quorum__append_entries__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    int rv = append_check(pb, tail);
    if (rv == 0) {
        append_fill(pb, tail, out);
    }
    quorum__append_entries__free_unpacked(pb, NULL);
    return rv;
}

/* ---- InstallSnapshot ------------------------------------------------------------------------ */

static void install_encode(const struct raft_install_snapshot *in, struct buf *head,
                           struct chunk *tail)
{
    Quorum__InstallSnapshot pb = QUORUM__INSTALL_SNAPSHOT__INIT;
    struct pb_configuration configuration;

    configuration_to_pb(&in->conf, &configuration);
    pb.term = in->term;
    pb.last_index = in->last_index;
    pb.last_term = in->last_term;
    pb.config_index = in->conf_index;
    pb.configuration = &configuration.message;
    PACK(head, install_snapshot, &pb);
    *tail = chunk_copy(slice_of(in->data.base, in->data.len));
}

static int install_decode(struct slice head, struct slice tail, struct raft_install_snapshot *out)
{
    Quorum__InstallSnapshot *pb = quorum__install_snapshot__unpack(NULL, head.len, head.base);
    int rv = TERN_EMALFORMED;

    if (pb == NULL) {
        return rv;
    }
    *out = (struct raft_install_snapshot){
        .term = pb->term,
        .last_index = pb->last_index,
        .last_term = pb->last_term,
        .conf_index = pb->config_index,
    };
    if (pb->configuration != NULL && pb->configuration->n_members > 0 && pb->last_index > 0 &&
        pb->last_index < UINT64_MAX / 2 && pb->last_term > 0 && pb->last_term <= pb->term &&
        pb->config_index > 0 && pb->config_index <= pb->last_index && tail.len > 0) {
        rv = configuration_from_pb(pb->configuration, &out->conf);
    }
    if (rv == 0) {
        out->data.len = tail.len;
        out->data.base = raft_malloc(tail.len);
        CHECK(out->data.base != NULL);
        memcpy(out->data.base, tail.base, tail.len);
    }
    quorum__install_snapshot__free_unpacked(pb, NULL);
    return rv;
}

/* ---- the small ones ------------------------------------------------------------------------- */

static void append_result_encode(const struct raft_append_entries_result *in, struct buf *head)
{
    Quorum__AppendEntriesResult pb = QUORUM__APPEND_ENTRIES_RESULT__INIT;

    pb.term = in->term;
    pb.rejected = in->rejected;
    pb.last_index = in->last_log_index;
    PACK(head, append_entries_result, &pb);
}

static void vote_encode(const struct raft_request_vote *in, struct buf *head)
{
    Quorum__RequestVote pb = QUORUM__REQUEST_VOTE__INIT;

    pb.term = in->term;
    pb.last_index = in->last_log_index;
    pb.last_term = in->last_log_term;
    pb.disrupt_leader = in->disrupt_leader;
    pb.pre_vote = in->pre_vote;
    PACK(head, request_vote, &pb);
}

static void vote_result_encode(const struct raft_request_vote_result *in, struct buf *head)
{
    Quorum__RequestVoteResult pb = QUORUM__REQUEST_VOTE_RESULT__INIT;

    pb.term = in->term;
    pb.granted = in->vote_granted;
    pb.pre_vote = in->pre_vote == raft_tribool_true;
    PACK(head, request_vote_result, &pb);
}

static void timeout_now_encode(const struct raft_timeout_now *in, struct buf *head)
{
    Quorum__TimeoutNow pb = QUORUM__TIMEOUT_NOW__INIT;

    pb.term = in->term;
    pb.last_index = in->last_log_index;
    pb.last_term = in->last_log_term;
    PACK(head, timeout_now, &pb);
}

static int append_result_decode(struct slice head, struct raft_append_entries_result *out)
{
    Quorum__AppendEntriesResult *pb =
        quorum__append_entries_result__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out = (struct raft_append_entries_result){pb->term, pb->rejected, pb->last_index};
    quorum__append_entries_result__free_unpacked(pb, NULL);
    return out->last_log_index < UINT64_MAX / 2 ? 0 : TERN_EMALFORMED;
}

static int vote_decode(struct slice head, struct raft_request_vote *out)
{
    Quorum__RequestVote *pb = quorum__request_vote__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out = (struct raft_request_vote){
        .term = pb->term,
        .last_log_index = pb->last_index,
        .last_log_term = pb->last_term,
        .disrupt_leader = pb->disrupt_leader,
        .pre_vote = pb->pre_vote,
    };
    quorum__request_vote__free_unpacked(pb, NULL);
    return 0;
}

static int vote_result_decode(struct slice head, struct raft_request_vote_result *out)
{
    Quorum__RequestVoteResult *pb = quorum__request_vote_result__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out = (struct raft_request_vote_result){
        .term = pb->term,
        .vote_granted = pb->granted,
        .pre_vote = pb->pre_vote ? raft_tribool_true : raft_tribool_false,
    };
    quorum__request_vote_result__free_unpacked(pb, NULL);
    return 0;
}

static int timeout_now_decode(struct slice head, struct raft_timeout_now *out)
{
    Quorum__TimeoutNow *pb = quorum__timeout_now__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out = (struct raft_timeout_now){pb->term, pb->last_index, pb->last_term};
    quorum__timeout_now__free_unpacked(pb, NULL);
    return 0;
}

void raft_message_encode(const struct raft_message *message, struct buf *head, struct chunk *tail)
{
    *tail = (struct chunk){0};
    switch (message->type) {
    case RAFT_IO_APPEND_ENTRIES:
        append_encode(&message->append_entries, head, tail);
        break;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        append_result_encode(&message->append_entries_result, head);
        break;
    case RAFT_IO_REQUEST_VOTE:
        vote_encode(&message->request_vote, head);
        break;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        vote_result_encode(&message->request_vote_result, head);
        break;
    case RAFT_IO_INSTALL_SNAPSHOT:
        install_encode(&message->install_snapshot, head, tail);
        break;
    case RAFT_IO_TIMEOUT_NOW:
        timeout_now_encode(&message->timeout_now, head);
        break;
    default:
        CHECK(message->type <= RAFT_IO_TIMEOUT_NOW);
        break;
    }
}

int raft_message_decode(uint16_t type, struct slice head, struct slice tail,
                        struct raft_message *out)
{
    if (head.len > MESSAGE_HEAD_BYTES_MAX) {
        return TERN_EMALFORMED;
    }
    memset(out, 0, sizeof *out);
    out->type = type;
    switch (type) {
    case FRAME_APPEND:
        return append_decode(head, tail, &out->append_entries);
    case FRAME_APPEND_RESULT:
        return append_result_decode(head, &out->append_entries_result);
    case FRAME_VOTE:
        return vote_decode(head, &out->request_vote);
    case FRAME_VOTE_RESULT:
        return vote_result_decode(head, &out->request_vote_result);
    case FRAME_INSTALL:
        return install_decode(head, tail, &out->install_snapshot);
    case FRAME_TIMEOUT_NOW:
        return timeout_now_decode(head, &out->timeout_now);
    default:
        return TERN_EMALFORMED;
    }
}

void raft_message_fini(struct raft_message *message)
{
    if (message->type == RAFT_IO_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    }
    if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
}

void frame_submit_encode(uint64_t number, struct buf *head)
{
    Quorum__Submit pb = QUORUM__SUBMIT__INIT;

    pb.number = number;
    PACK(head, submit, &pb);
}

int frame_submit_decode(struct slice head, uint64_t *out_number)
{
    Quorum__Submit *pb = quorum__submit__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out_number = pb->number;
    quorum__submit__free_unpacked(pb, NULL);
    return 0;
}

void frame_submit_result_encode(uint64_t number, int status, uint64_t index, struct buf *head)
{
    Quorum__SubmitResult pb = QUORUM__SUBMIT_RESULT__INIT;

    pb.number = number;
    pb.status = status;
    pb.index = index;
    PACK(head, submit_result, &pb);
}

int frame_submit_result_decode(struct slice head, uint64_t *out_number, int *out_status,
                               uint64_t *out_index)
{
    Quorum__SubmitResult *pb = quorum__submit_result__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out_number = pb->number;
    *out_status = pb->status;
    *out_index = pb->index;
    quorum__submit_result__free_unpacked(pb, NULL);
    return 0;
}

void frame_term_ask_encode(uint64_t round, struct buf *head)
{
    Quorum__TermAsk pb = QUORUM__TERM_ASK__INIT;

    pb.round = round;
    PACK(head, term_ask, &pb);
}

int frame_term_ask_decode(struct slice head, uint64_t *out_round)
{
    Quorum__TermAsk *pb = quorum__term_ask__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out_round = pb->round;
    quorum__term_ask__free_unpacked(pb, NULL);
    return 0;
}

void frame_term_tell_encode(uint64_t round, uint64_t term, struct buf *head)
{
    Quorum__TermTell pb = QUORUM__TERM_TELL__INIT;

    pb.round = round;
    pb.term = term;
    PACK(head, term_tell, &pb);
}

int frame_term_tell_decode(struct slice head, uint64_t *out_round, uint64_t *out_term)
{
    Quorum__TermTell *pb = quorum__term_tell__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out_round = pb->round;
    *out_term = pb->term;
    quorum__term_tell__free_unpacked(pb, NULL);
    return 0;
}

void frame_state_hash_encode(uint64_t index, uint64_t hash, struct buf *head)
{
    Quorum__StateHash pb = QUORUM__STATE_HASH__INIT;

    pb.index = index;
    pb.hash = hash;
    PACK(head, state_hash, &pb);
}

int frame_state_hash_decode(struct slice head, uint64_t *out_index, uint64_t *out_hash)
{
    Quorum__StateHash *pb = quorum__state_hash__unpack(NULL, head.len, head.base);

    if (pb == NULL) {
        return TERN_EMALFORMED;
    }
    *out_index = pb->index;
    *out_hash = pb->hash;
    quorum__state_hash__free_unpacked(pb, NULL);
    return 0;
}
