/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report_list.h"
#include "tests/lib/test.h"

static struct decide_report report_of(int32_t partition, uint32_t from, uint64_t millis)
{
    return (struct decide_report){.kind = REPORT_REGION_SILENT,
                                  .topic_id = {{1, 2, 3}},
                                  .partition = partition,
                                  .from = from,
                                  .nodes = NODE_BIT(3),
                                  .millis = millis};
}

static void of_one_subject_the_newest_report_is_kept_in_its_place(void **state)
{
    struct report_list list = {0};

    (void)state;
    for (uint64_t round = 1; round <= 2; round++) {
        for (int32_t partition = 0; partition < 1000; partition++) {
            struct decide_report report = report_of(partition, 1, round);
            report_list_put(&list, &report);
        }
    }
    assert_int_equal(list.count, 1000);
    for (int32_t partition = 0; partition < 1000; partition++) {
        assert_int_equal(list.items[partition].partition, partition);
        assert_int_equal(list.items[partition].millis, 2);
    }
    report_list_fini(&list);
}

static void other_kinds_nodes_and_reporters_are_other_subjects(void **state)
{
    struct report_list list = {0};
    struct decide_report report = report_of(7, 1, 1);

    (void)state;
    report_list_put(&list, &report);
    report.from = 2;
    report_list_put(&list, &report);
    report.nodes = NODE_BIT(4);
    report_list_put(&list, &report);
    report.kind = REPORT_NO_QUORUM;
    report_list_put(&list, &report);
    report.topic_id.bytes[15] = 1;
    report_list_put(&list, &report);
    assert_int_equal(list.count, 5);
    report_list_clear(&list);
    report_list_put(&list, &report);
    assert_int_equal(list.count, 1);
    report_list_fini(&list);
}

static void what_has_no_room_is_dropped_and_what_is_there_is_still_renewed(void **state)
{
    struct report_list list = {0};

    (void)state;
    for (int32_t partition = 0; partition < REPORTS_MAX + 100; partition++) {
        struct decide_report report = report_of(partition, 1, 1);
        report_list_put(&list, &report);
    }
    struct decide_report renewed = report_of(0, 1, 9);
    report_list_put(&list, &renewed);
    assert_int_equal(list.count, REPORTS_MAX);
    assert_int_equal(list.items[0].millis, 9);
    report_list_fini(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_one_subject_the_newest_report_is_kept_in_its_place),
        cmocka_unit_test(other_kinds_nodes_and_reporters_are_other_subjects),
        cmocka_unit_test(what_has_no_room_is_dropped_and_what_is_there_is_still_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
