/* SPDX-License-Identifier: Apache-2.0 */
/* Raft messages <-> frames (proto/raft.proto), and two encodings on disk: configurations and
 * wrapped commands. Everything that is decoded here was written by somebody else: every length is
 * compared with what is there before memory is taken. */
#pragma once

#include <raft.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/check.h"

enum quorum_frame {
    FRAME_APPEND = RAFT_IO_APPEND_ENTRIES,
    FRAME_APPEND_RESULT = RAFT_IO_APPEND_ENTRIES_RESULT,
    FRAME_VOTE = RAFT_IO_REQUEST_VOTE,
    FRAME_VOTE_RESULT = RAFT_IO_REQUEST_VOTE_RESULT,
    FRAME_INSTALL = RAFT_IO_INSTALL_SNAPSHOT,
    FRAME_TIMEOUT_NOW = RAFT_IO_TIMEOUT_NOW,
    FRAME_SUBMIT = 8,
    FRAME_SUBMIT_RESULT = 9,
    FRAME_TERM_ASK = 10,
    FRAME_TERM_TELL = 11,
    FRAME_HASH = 12,
};

/* What can be seen of the library's version at compile time (0.15; later ones differ here). */
_Static_assert(RAFT_IO_TIMEOUT_NOW == 6, "libraft 0.15: six message types");
_Static_assert(RAFT_STANDBY == 0 && RAFT_VOTER == 1 && RAFT_SPARE == 2, "libraft 0.15: roles");
_Static_assert(sizeof(struct raft_append_entries_result) == 24,
               "libraft 0.15: result of an append");
_Static_assert(sizeof(struct raft_timeout_now) == 24, "libraft 0.15: timeout now");

#define MESSAGE_HEAD_BYTES_MAX  (256u << 10)
#define MESSAGE_ENTRIES_MAX     4096u
#define MESSAGE_APPEND_BYTES    (4u << 20) /* more goes in the next message; one entry may be more */
#define MESSAGE_MEMBERS_MAX     64u
#define MESSAGE_COMMAND_MAX     (1u << 20)
#define MESSAGE_ENTRY_BYTES_MAX (MESSAGE_COMMAND_MAX + 16)

/* Appends the head to `head` and fills `tail` (empty, or one reference for the caller). An
 * AppendEntries that is too long is cut short; the leader sends the rest later. */
void raft_message_encode(const struct raft_message *message, struct buf *head, struct chunk *tail);
/* EMALFORMED. On success entries, configuration and snapshot are raft_malloc'ed as libraft wants
 * them, and belong to the caller until they are handed over (or raft_message_fini). server_id and
 * server_address are left to the caller. */
int raft_message_decode(uint16_t type, struct slice head, struct slice tail,
                        struct raft_message *out_message) TERN_MUST_USE;
void raft_message_fini(struct raft_message *message);

/* The node id in a raft address ("12"), 0 if it is none. */
uint32_t raft_address_node(const char *address);
void raft_address_text(uint32_t node_id, char out[12]);

void raft_config_encode(const struct raft_configuration *configuration, struct buf *out);
int raft_config_decode(struct slice bytes, struct raft_configuration *out) TERN_MUST_USE;
/* What libraft itself writes into a configuration entry (its own, older encoding). */
int raft_config_decode_entry(struct slice bytes, struct raft_configuration *out) TERN_MUST_USE;
void raft_config_copy(const struct raft_configuration *from, struct raft_configuration *to);

/* A command as an entry: length, format, bytes, zeros up to a multiple of 8. raft_malloc'ed. */
struct raft_buffer raft_command_wrap(struct slice command);
int raft_command_unwrap(struct slice entry, struct slice *out_command) TERN_MUST_USE;

/* Heads of the small frames. */
void frame_submit_encode(uint64_t number, struct buf *head);
int frame_submit_decode(struct slice head, uint64_t *out_number) TERN_MUST_USE;
/* index: where the command stands in the log; 0: nowhere, or an older node did not say. */
void frame_submit_result_encode(uint64_t number, int status, uint64_t index, struct buf *head);
int frame_submit_result_decode(struct slice head, uint64_t *out_number, int *out_status,
                               uint64_t *out_index) TERN_MUST_USE;
void frame_term_ask_encode(uint64_t round, struct buf *head);
int frame_term_ask_decode(struct slice head, uint64_t *out_round) TERN_MUST_USE;
void frame_term_tell_encode(uint64_t round, uint64_t term, struct buf *head);
int frame_term_tell_decode(struct slice head, uint64_t *out_round,
                           uint64_t *out_term) TERN_MUST_USE;
void frame_state_hash_encode(uint64_t index, uint64_t hash, struct buf *head);
int frame_state_hash_decode(struct slice head, uint64_t *out_index,
                            uint64_t *out_hash) TERN_MUST_USE;
