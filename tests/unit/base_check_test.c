/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK itself, with a check_failed of our own. Nothing here may need base/check.o. */
#include <setjmp.h>

#include "base/queue.h"
#include "tests/lib/test.h"

_Noreturn void check_failed(const char *expression, const char *file, int line, const char *where)
{
    (void)where;
    mock_assert(0, expression, file, line);
    abort(); /* mock_assert has jumped away */
}

static int once(int *counter)
{
    return ++*counter;
}

static void a_true_check_is_silent_and_evaluated_once(void **state)
{
    int counter = 0;

    (void)state;
    CHECK(once(&counter) == 1);
    assert_int_equal(counter, 1);
}

static void a_false_check_fails_also_with_operators_of_low_rank(void **state)
{
    int a = 1;
    int b = 2;

    (void)state;
    expect_assert_failure(CHECK(a == b));
    expect_assert_failure(CHECK(a == b || a > b));
}

static void a_link_cannot_be_in_two_lists(void **state)
{
    struct link head;
    struct link link = {0};

    (void)state;
    queue_init(&head);
    expect_assert_failure(link_remove(&link));
    queue_push(&head, &link);
    expect_assert_failure(queue_push(&head, &link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_check_is_silent_and_evaluated_once),
        cmocka_unit_test(a_false_check_fails_also_with_operators_of_low_rank),
        cmocka_unit_test(a_link_cannot_be_in_two_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
