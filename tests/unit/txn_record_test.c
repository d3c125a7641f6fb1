/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the transactions' log: that they are all another coordinator needs, that Kafka's are
 * read, and every way to be cut short. */
#include <stdio.h>

#include "base/prng.h"
#include "tests/unit/txn_fixture.h"

static bool emit(void *ctx, struct slice key, struct slice value)
{
    struct entry *entry = &log_[appended++];

    (void)ctx;
    *entry = (struct entry){0};
    buf_put(&entry->key, key);
    buf_put(&entry->value, value);
    return true;
}

static void a_dump_is_all_that_another_coordinator_needs(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "t%d", i);
        (void)init(i, id);
        struct txn_who by = who(id, 500 + i, 0);
        for (int p = 0; p < i; p++) {
            (void)add(10, by, p % 2 == 0 ? "pay" : "clicks", p);
            commit_all();
        }
        if (i > 2) {
            (void)end(11, by, i == 3);
            commit_all();
        }
    }
    size_t from = appended;
    assert_true(txns_dump(txns, emit, NULL));
    struct txns_settings settings = {1};
    struct txns *other = txns_new(&settings);
    for (size_t i = from; i < appended; i++) {
        give(other, i);
    }
    assert_int_equal(HASH_CNT(hh, other->all), 5);
    for (const struct txn *t = txns->all; t != NULL; t = t->hh.next) {
        const struct txn *o = txns_find(other, buf_slice(&t->id));
        assert_non_null(o);
        assert_int_equal(o->now.state, t->now.state);
        assert_int_equal(o->now.producer_id, t->now.producer_id);
        assert_int_equal(o->now.epoch, t->now.epoch);
        assert_int_equal(HASH_CNT(hh, o->partitions), HASH_CNT(hh, t->partitions));
    }
    assert_int_equal(other->bytes, txns->bytes);
    txns_free(other);
    committed = appended;
}

static void every_truncation_of_a_record_is_refused(void **state)
{
    (void)state;
    (void)init(0, "transfers");
    (void)init_as(1, "transfers", 500, 0, -1);
    commit_all();
    (void)add(1, who("transfers", 500, 1), "pay", 3);
    commit_all();
    const struct entry *e = &log_[appended - 1];
    struct txn_value value;
    struct txn_key key;
    assert_int_equal(txn_value_read(buf_slice(&e->value), &value), 0);
    assert_int_equal(value.last_epoch, 0);
    assert_int_equal(txn_key_read(buf_slice(&e->key), &key), 0);
    for (size_t len = 0; len < e->value.len; len++) {
        uint8_t *exact = mem_new(len + 1);
        memcpy(exact, e->value.base, len);
        assert_int_equal(txn_value_read(slice_of(exact, len), &value), TERN_EMALFORMED);
        free(exact);
    }
    for (size_t len = 0; len < e->key.len; len++) {
        assert_int_equal(txn_key_read(slice_of(e->key.base, len), &key), TERN_EMALFORMED);
    }
    struct prng random;

    prng_init(&random, 5);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)prng_next(&random);
        }
        bytes[0] = 0;
        bytes[1] &= 1;
        int status = txn_value_read(slice_of(bytes, sizeof bytes), &value);
        assert_true(status == 0 || status == TERN_EMALFORMED);
    }
}

/* As Kafka 3 writes it: version 0, without tags. */
static void a_record_of_version_0_is_read(void **state)
{
    struct buf b = {0};
    struct txn_value v;
    struct slice topic;
    uint32_t count = 0;

    (void)state;
    buf_be16(&b, 0);
    buf_be64(&b, 4711);
    buf_be16(&b, 3);
    buf_be32(&b, MINUTE);
    buf_u8(&b, TXN_ONGOING);
    buf_be32(&b, 1);
    buf_be16(&b, 3);
    buf_put(&b, slice_text("pay"));
    buf_be32(&b, 2);
    buf_be32(&b, 5);
    buf_be32(&b, 6);
    buf_be64(&b, 111);
    buf_be64(&b, 110);
    assert_int_equal(txn_value_read(buf_slice(&b), &v), 0);
    assert_int_equal(v.producer_id, 4711);
    assert_int_equal(v.epoch, 3);
    assert_int_equal(v.start_ms, 110);
    assert_int_equal(v.last_epoch, -1);
    txn_value_next(&v, &topic, &count);
    assert_int_equal(count, 2);
    assert_int_equal(txn_value_partition(&v), 5);
    assert_int_equal(txn_value_partition(&v), 6);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_dump_is_all_that_another_coordinator_needs),
        TEST(every_truncation_of_a_record_is_refused),
        TEST(a_record_of_version_0_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
