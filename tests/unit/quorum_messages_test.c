/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/prng.h"
#include "quorum/messages.h"
#include "tests/lib/test.h"

#define SAMPLES 8

/* One of each kind, encoded; the caller frees. */
static uint16_t sample(unsigned which, struct buf *head, struct chunk *tail)
{
    struct raft_message message = {0};
    struct raft_configuration configuration;
    struct raft_entry entries[3] = {0};
    uint64_t barrier = 0;
    char data[] = "sixteen bytes...";

    raft_configuration_init(&configuration);
    for (uint32_t node = 1; node <= 3; node++) {
        char address[12];
        raft_address_text(node * 9, address);
        assert_int_equal(raft_configuration_add(&configuration, 1000 + node, address,
                                                node == 3 ? RAFT_STANDBY : RAFT_VOTER),
                         0);
    }
    switch (which) {
    case 0:
        entries[0] = (struct raft_entry){.term = 3, .type = RAFT_COMMAND};
        entries[0].buf = raft_command_wrap(slice_text("a command of odd length"));
        entries[1] = (struct raft_entry){.term = 3, .type = RAFT_BARRIER};
        entries[1].buf = (struct raft_buffer){&barrier, 8};
        entries[2] = (struct raft_entry){.term = 4, .type = RAFT_CHANGE};
        assert_int_equal(raft_configuration_encode(&configuration, &entries[2].buf), 0);
        message.type = RAFT_IO_APPEND_ENTRIES;
        message.append_entries = (struct raft_append_entries){.term = 4,
                                                              .prev_log_index = 17,
                                                              .prev_log_term = 2,
                                                              .leader_commit = 16,
                                                              .entries = entries,
                                                              .n_entries = 3};
        break;
    case 1:
        message.type = RAFT_IO_APPEND_ENTRIES;
        message.append_entries = (struct raft_append_entries){.term = 4};
        break;
    case 2:
        message.type = RAFT_IO_APPEND_ENTRIES_RESULT;
        message.append_entries_result = (struct raft_append_entries_result){7, 300, 299};
        break;
    case 3:
        message.type = RAFT_IO_REQUEST_VOTE;
        message.request_vote = (struct raft_request_vote){.term = UINT64_C(1) << 40,
                                                          .last_log_index = 12,
                                                          .last_log_term = 4,
                                                          .disrupt_leader = true,
                                                          .pre_vote = true};
        break;
    case 4:
        message.type = RAFT_IO_REQUEST_VOTE_RESULT;
        message.request_vote_result = (struct raft_request_vote_result){
            .term = 8, .vote_granted = true, .pre_vote = raft_tribool_true};
        break;
    case 5:
        message.type = RAFT_IO_INSTALL_SNAPSHOT;
        message.install_snapshot = (struct raft_install_snapshot){.term = 9,
                                                                  .last_index = 1000,
                                                                  .last_term = 8,
                                                                  .conf = configuration,
                                                                  .conf_index = 990,
                                                                  .data = {data, sizeof data}};
        break;
    case 6:
        message.type = RAFT_IO_TIMEOUT_NOW;
        message.timeout_now = (struct raft_timeout_now){5, 77, 4};
        break;
    default:
        message.type = RAFT_IO_REQUEST_VOTE_RESULT;
        message.request_vote_result =
            (struct raft_request_vote_result){.term = 8, .pre_vote = raft_tribool_false};
        break;
    }
    raft_message_encode(&message, head, tail);
    raft_free(entries[0].buf.base);
    raft_free(entries[2].buf.base);
    raft_configuration_close(&configuration);
    return message.type;
}

static void every_message_survives_encoding_and_decoding(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SAMPLES; which++) {
        struct buf head = {0};
        struct buf again = {0};
        struct chunk tail;
        struct chunk tail_again;
        struct raft_message message;
        uint16_t type = sample(which, &head, &tail);

        assert_int_equal(raft_message_decode(type, buf_slice(&head), chunk_slice(tail), &message),
                         0);
        raft_message_encode(&message, &again, &tail_again);
        assert_true(slice_equal(buf_slice(&head), buf_slice(&again)));
        assert_true(slice_equal(chunk_slice(tail), chunk_slice(tail_again)));
        raft_message_fini(&message);
        chunk_drop(&tail);
        chunk_drop(&tail_again);
        buf_fini(&head);
        buf_fini(&again);
    }
}

static void decoded_entries_are_one_batch_as_libraft_wants_them(void **state)
{
    struct buf head = {0};
    struct chunk tail;
    struct raft_message message;
    struct slice command;
    uint16_t type = sample(0, &head, &tail);

    (void)state;
    assert_int_equal(raft_message_decode(type, buf_slice(&head), chunk_slice(tail), &message), 0);
    const struct raft_append_entries *args = &message.append_entries;
    assert_int_equal(args->n_entries, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(args->entries[i].batch, args->entries[0].batch);
        assert_int_equal(args->entries[i].buf.len % 8, 0);
    }
    assert_int_equal(raft_command_unwrap(
                         slice_of(args->entries[0].buf.base, args->entries[0].buf.len), &command),
                     0);
    assert_true(slice_equal(command, slice_text("a command of odd length")));
    raft_message_fini(&message);
    chunk_drop(&tail);
    buf_fini(&head);
}

/* Exactly so many bytes on the heap, so that a read past them is seen. */
static struct slice exactly(struct slice bytes, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes.base, len);
    }
    return slice_of(copy, len);
}

static void release(struct slice bytes)
{
    free((void *)(uintptr_t)bytes.base);
}

static void try_decode(uint16_t type, struct slice head, size_t head_len, struct slice tail,
                       size_t tail_len)
{
    struct slice h = exactly(head, head_len);
    struct slice t = exactly(tail, tail_len);
    struct raft_message message;

    if (raft_message_decode(type, h, t, &message) == 0) {
        raft_message_fini(&message);
    }
    release(h);
    release(t);
}

static void every_truncation_is_refused_or_decoded_within_bounds(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SAMPLES; which++) {
        struct buf head = {0};
        struct chunk tail;
        uint16_t type = sample(which, &head, &tail);

        for (size_t len = 0; len < head.len; len++) {
            try_decode(type, buf_slice(&head), len, chunk_slice(tail), tail.len);
        }
        for (size_t len = 0; len < tail.len; len++) {
            struct slice h = exactly(buf_slice(&head), head.len);
            struct slice t = exactly(chunk_slice(tail), len);
            struct raft_message message;
            int rv = raft_message_decode(type, h, t, &message);
            if (type == FRAME_APPEND) {
                assert_int_equal(rv, TERN_EMALFORMED); /* bytes of an entry are missing */
            } else if (rv == 0) {
                raft_message_fini(&message);
            }
            release(h);
            release(t);
        }
        chunk_drop(&tail);
        buf_fini(&head);
    }
}

static void garbage_is_refused_or_decoded_within_bounds(void **state)
{
    struct prng prng;

    (void)state;
    prng_init(&prng, 20240901);
    for (unsigned round = 0; round < 20000; round++) {
        struct buf head = {0};
        struct chunk tail;
        uint16_t type = sample((unsigned)prng_below(&prng, SAMPLES), &head, &tail);

        for (uint64_t n = prng_between(&prng, 1, 4); n > 0; n--) {
            if (tail.len > 0 && prng_chance(&prng, 1, 2)) {
                tail.base[prng_below(&prng, tail.len)] = (uint8_t)prng_next(&prng);
            } else if (head.len > 0) {
                head.base[prng_below(&prng, head.len)] = (uint8_t)prng_next(&prng);
            }
        }
        if (prng_chance(&prng, 1, 20)) {
            type = (uint16_t)prng_below(&prng, 40);
        }
        try_decode(type, buf_slice(&head), head.len, chunk_slice(tail), tail.len);
        chunk_drop(&tail);
        buf_fini(&head);
    }
}

static void refused(struct raft_message *message)
{
    struct buf head = {0};
    struct chunk tail;
    struct raft_message decoded;

    raft_message_encode(message, &head, &tail);
    assert_int_equal(
        raft_message_decode(message->type, buf_slice(&head), chunk_slice(tail), &decoded),
        TERN_EMALFORMED);
    chunk_drop(&tail);
    buf_fini(&head);
}

static void entries_that_libraft_could_not_bear_are_refused(void **state)
{
    uint8_t bytes[64] = {0};
    struct raft_entry entry = {.term = 3, .type = RAFT_BARRIER, .buf = {bytes, 8}};
    struct raft_message message = {.type = RAFT_IO_APPEND_ENTRIES};

    (void)state;
    message.append_entries = (struct raft_append_entries){
        .term = 3, .prev_log_index = 5, .prev_log_term = 3, .entries = &entry, .n_entries = 1};
    entry.buf.len = 13; /* not a multiple of 8: lost by libraft's own format after a restart */
    refused(&message);
    entry.buf.len = 0;
    refused(&message);
    entry.buf.len = 8;
    entry.type = 4;
    refused(&message);
    entry.type = RAFT_COMMAND; /* zeros: length 0, format 0 */
    refused(&message);
    entry.type = RAFT_CHANGE; /* libraft reads this one without looking at its length */
    refused(&message);
    bytes[0] = 1;
    bytes[1] = 200; /* two hundred members in 64 bytes */
    entry.buf.len = 64;
    refused(&message);
    entry.type = RAFT_BARRIER;
    entry.term = 4; /* above the leader's */
    refused(&message);
    entry.term = 2; /* below the one before it */
    refused(&message);
    entry.term = 3;
    message.append_entries.prev_log_term = 0;
    refused(&message);
    message.append_entries.prev_log_index = 0; /* a log that does not begin with the members */
    refused(&message);
}

static void an_append_that_is_too_long_is_cut_short(void **state)
{
    enum { COUNT = MESSAGE_ENTRIES_MAX + 100 };
    uint64_t barrier = 0;
    struct raft_entry *entries = calloc(COUNT, sizeof *entries);
    struct raft_message message = {.type = RAFT_IO_APPEND_ENTRIES};
    struct raft_message decoded;
    struct buf head = {0};
    struct chunk tail;

    (void)state;
    assert_non_null(entries);
    for (unsigned i = 0; i < COUNT; i++) {
        entries[i] = (struct raft_entry){.term = 1, .type = RAFT_BARRIER, .buf = {&barrier, 8}};
    }
    message.append_entries = (struct raft_append_entries){
        .term = 1, .prev_log_index = 1, .prev_log_term = 1, .entries = entries, .n_entries = COUNT};
    raft_message_encode(&message, &head, &tail);
    assert_int_equal(
        raft_message_decode(FRAME_APPEND, buf_slice(&head), chunk_slice(tail), &decoded), 0);
    assert_int_equal(decoded.append_entries.n_entries, MESSAGE_ENTRIES_MAX);
    raft_message_fini(&decoded);
    chunk_drop(&tail);
    buf_fini(&head);
    free(entries);
}

static void only_decimal_node_ids_are_addresses(void **state)
{
    (void)state;
    assert_int_equal(raft_address_node("1"), 1);
    assert_int_equal(raft_address_node("63"), 63);
    assert_int_equal(raft_address_node("64"), 0);
    assert_int_equal(raft_address_node("0"), 0);
    assert_int_equal(raft_address_node("01"), 0);
    assert_int_equal(raft_address_node(""), 0);
    assert_int_equal(raft_address_node(NULL), 0);
    assert_int_equal(raft_address_node("1a"), 0);
    assert_int_equal(raft_address_node("99999999999"), 0);
}

static void commands_of_every_length_survive_the_wrapper(void **state)
{
    uint8_t bytes[40];

    (void)state;
    memset(bytes, 0x5a, sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct slice command;
        struct raft_buffer entry = raft_command_wrap(slice_of(bytes, len));
        assert_true(entry.len > 0);
        assert_int_equal(entry.len % 8, 0);
        assert_int_equal(raft_command_unwrap(slice_of(entry.base, entry.len), &command), 0);
        assert_true(slice_equal(command, slice_of(bytes, len)));
        for (size_t cut = 0; cut < entry.len; cut++) {
            struct slice part = exactly(slice_of(entry.base, entry.len), cut);
            struct slice ignored;
            if (raft_command_unwrap(part, &ignored) == 0) {
                assert_true(ignored.len <= cut);
            }
            release(part);
        }
        raft_free(entry.base);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_encoding_and_decoding),
        cmocka_unit_test(decoded_entries_are_one_batch_as_libraft_wants_them),
        cmocka_unit_test(every_truncation_is_refused_or_decoded_within_bounds),
        cmocka_unit_test(garbage_is_refused_or_decoded_within_bounds),
        cmocka_unit_test(entries_that_libraft_could_not_bear_are_refused),
        cmocka_unit_test(an_append_that_is_too_long_is_cut_short),
        cmocka_unit_test(only_decimal_node_ids_are_addresses),
        cmocka_unit_test(commands_of_every_length_survive_the_wrapper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
