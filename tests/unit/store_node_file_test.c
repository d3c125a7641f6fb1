/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "store/node_file.h"
#include "tests/lib/mem_disk.h"
#include "tests/lib/test.h"

static struct node_file sample(void)
{
    struct node_file file = {.cluster_id = {{1, 2, 3}},
                             .cluster_name = "prod",
                             .node_id = 3,
                             .region = "eu-north",
                             .raft_id = 77,
                             .incarnation = 2,
                             .start_pending = 9,
                             .start_final = 8,
                             .stamp_final = 0x1122334455667788,
                             .stamp_pending = 0x99aabbccddeeff00,
                             .founder_count = 2};

    file.founders[0] = (struct node_founder){1, 11, "eu-west", "10.0.0.1:19093", false};
    file.founders[1] = (struct node_founder){2, 12, "eu-central", "10.0.0.2:19093", false};
    return file;
}

static void assert_same(const struct node_file *a, const struct node_file *b)
{
    assert_true(uuid_equal(a->cluster_id, b->cluster_id));
    assert_string_equal(a->cluster_name, b->cluster_name);
    assert_int_equal(a->node_id, b->node_id);
    assert_string_equal(a->region, b->region);
    assert_int_equal(a->raft_id, b->raft_id);
    assert_int_equal(a->incarnation, b->incarnation);
    assert_int_equal(a->start_pending, b->start_pending);
    assert_int_equal(a->start_final, b->start_final);
    assert_int_equal(a->raft_retired, b->raft_retired);
    assert_int_equal(a->stamp_final, b->stamp_final);
    assert_int_equal(a->stamp_pending, b->stamp_pending);
    assert_int_equal(a->founder_count, b->founder_count);
    for (uint32_t i = 0; i < a->founder_count; i++) {
        assert_int_equal(a->founders[i].node_id, b->founders[i].node_id);
        assert_int_equal(a->founders[i].raft_id, b->founders[i].raft_id);
        assert_string_equal(a->founders[i].region, b->founders[i].region);
        assert_string_equal(a->founders[i].mesh_address, b->founders[i].mesh_address);
        assert_int_equal(a->founders[i].witness, b->founders[i].witness);
    }
}

static void what_was_saved_is_loaded(void **state)
{
    struct disk *disk = mem_disk_new(NULL, 1);
    struct node_file saved = sample();
    struct node_file loaded;
    char why[256];

    (void)state;
    assert_int_equal(node_file_load(disk, &loaded, why), TERN_ENOENT);
    assert_int_equal(node_file_save(disk, &saved), 0);
    mem_disk_crash(disk);
    assert_int_equal(node_file_load(disk, &loaded, why), 0);
    assert_same(&saved, &loaded);
    mem_disk_free(disk);
}

static void a_founder_that_is_a_witness_stays_one(void **state)
{
    struct disk *disk = mem_disk_new(NULL, 1);
    struct node_file saved = sample();
    struct node_file loaded;
    char why[256];

    (void)state;
    saved.founders[1].witness = true;
    assert_int_equal(node_file_save(disk, &saved), 0);
    assert_int_equal(node_file_load(disk, &loaded, why), 0);
    assert_same(&saved, &loaded);
    mem_disk_free(disk);
}

static void a_crash_at_any_point_leaves_the_old_or_the_new_file(void **state)
{
    uint64_t points = 100;

    (void)state;
    for (uint64_t point = 1; point <= points; point++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct disk *disk = mem_disk_new(NULL, seed);
            struct node_file old = sample();
            struct node_file new = sample();
            struct node_file loaded;
            char why[256];
            assert_int_equal(node_file_save(disk, &old), 0);
            uint64_t before = mem_disk_points(disk);
            new.start_pending = 20;
            new.raft_retired = true;
            mem_disk_stop_at(disk, before + point);
            int status = node_file_save(disk, &new);
            if (!mem_disk_stopped(disk)) {
                assert_int_equal(status, 0);
                points = point - 1;
            }
            mem_disk_crash(disk);
            assert_int_equal(node_file_load(disk, &loaded, why), 0);
            assert_same(loaded.start_pending == 20 ? &new : &old, &loaded);
            assert_true(status != 0 || loaded.start_pending == 20);
            mem_disk_free(disk);
        }
    }
    assert_in_range(points, 5, 10);
}

static void what_was_loaded_once_stays(void **state)
{
    (void)state;
    for (uint64_t point = 1; point < 8; point++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct disk *disk = mem_disk_new(NULL, seed);
            struct node_file old = sample();
            struct node_file new = sample();
            struct node_file first;
            struct node_file second;
            char why[256];
            assert_int_equal(node_file_save(disk, &old), 0);
            new.start_pending = 20;
            mem_disk_stop_at(disk, mem_disk_points(disk) + point);
            (void)!node_file_save(disk, &new);
            mem_disk_kill(disk);
            assert_int_equal(node_file_load(disk, &first, why), 0);
            mem_disk_crash(disk);
            assert_int_equal(node_file_load(disk, &second, why), 0);
            assert_same(&first, &second);
            mem_disk_free(disk);
        }
    }
}

static void another_format_is_refused_with_both_versions(void **state)
{
    struct disk *disk = mem_disk_new(NULL, 1);
    struct node_file file = sample();
    static const uint8_t other[4] = {7, 0, 0, 0};
    char why[256];

    (void)state;
    assert_int_equal(node_file_save(disk, &file), 0);
    struct disk_stat stat;
    assert_int_equal(disk->ops->stat(disk, "node", &stat), 0);
    assert_true(mem_disk_poke(disk, "node", 8, slice_of(other, sizeof other)));
    assert_true(mem_disk_poke(disk, "node", stat.size / 2 + 8, slice_of(other, sizeof other)));
    assert_int_equal(node_file_load(disk, &file, why), TERN_EFORMAT);
    assert_non_null(strstr(why, "format 7"));
    assert_non_null(strstr(why, "knows 3"));
    mem_disk_free(disk);
}

/* Every flipped byte is mended by the other copy. Where both are bad, and with every truncation, it
 * is an error, and nothing is written to the result. */
static void damage_is_mended_or_refused(void **state)
{
    struct node_file saved = sample();
    struct disk *whole = mem_disk_new(NULL, 1);
    struct disk_stat stat;
    char why[256];

    (void)state;
    assert_int_equal(node_file_save(whole, &saved), 0);
    assert_int_equal(whole->ops->stat(whole, "node", &stat), 0);
    for (uint64_t i = 0; i < stat.size * 2; i++) {
        struct disk *disk = mem_disk_copy(whole, NULL, 1);
        struct node_file loaded = {.node_id = 1234};
        if (i < stat.size) {
            assert_true(mem_disk_flip(disk, "node", i, (unsigned)i));
            struct node_file mended;
            assert_int_equal(node_file_load(disk, &mended, why), 0);
            assert_same(&saved, &mended);
            uint64_t twin = i < stat.size / 2 ? i + stat.size / 2 : i - stat.size / 2;
            assert_true(mem_disk_flip(disk, "node", twin, (unsigned)i));
        } else {
            struct disk_file *file = NULL;
            assert_int_equal(disk->ops->open(disk, "node", false, &file), 0);
            assert_int_equal(disk->ops->truncate(disk, file, i - stat.size), 0);
            disk->ops->close(disk, file);
        }
        int status = node_file_load(disk, &loaded, why);
        assert_true(status == TERN_EDAMAGED || status == TERN_EFORMAT);
        assert_int_equal(loaded.node_id, 1234);
        assert_string_not_equal(why, "");
        mem_disk_free(disk);
    }
    mem_disk_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_loaded),
        cmocka_unit_test(a_founder_that_is_a_witness_stays_one),
        cmocka_unit_test(a_crash_at_any_point_leaves_the_old_or_the_new_file),
        cmocka_unit_test(what_was_loaded_once_stays),
        cmocka_unit_test(another_format_is_refused_with_both_versions),
        cmocka_unit_test(damage_is_mended_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
