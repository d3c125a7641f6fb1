/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "group/pattern.h"
#include "tests/lib/test.h"

static bool matches(const char *text, const char *name)
{
    struct pattern *pattern = pattern_new(slice_text(text));

    assert_non_null(pattern);
    bool yes = pattern_matches(pattern, slice_text(name));
    assert_int_equal(pattern_matches(pattern, slice_text(name)), yes); /* also the second time */
    pattern_free(pattern);
    return yes;
}

static void the_whole_name_must_match(void **state)
{
    static const struct {
        const char *pattern;
        const char *yes[4];
        const char *no[4];
    } cases[] = {
        {"foo", {"foo"}, {"fo", "foox", "xfoo", ""}},
        {"^foo.*", {"foo", "foobar"}, {"xfoo"}},
        {"foo|bar", {"foo", "bar"}, {"foobar", "fooar"}},
        {"a(b|cd)*e", {"ae", "abe", "abcdbe"}, {"ace", "ab"}},
        {"(?:ab)+", {"ab", "abab"}, {"", "aba"}},
        {"t-[0-9]+", {"t-0", "t-42"}, {"t-", "t-x"}},
        {"t-\\d{2,3}", {"t-12", "t-123"}, {"t-1", "t-1234"}},
        {"a{3}", {"aaa"}, {"aa", "aaaa"}},
        {"a{0}b", {"b"}, {"ab"}},
        {"a{2,}", {"aa", "aaaaa"}, {"a"}},
        {"a{0,2}b", {"b", "ab", "aab"}, {"aaab"}},
        {"a?b*?c+?", {"c", "abbc"}, {"ab"}},
        {"[^a-c]x", {"dx"}, {"ax", "x"}},
        {"[a\\-z\\d]+", {"a-z5"}, {"b"}},
        {"[]a]", {"]", "a"}, {"b"}},
        {"a\\.b", {"a.b"}, {"axb"}},
        {"(^a$|b)", {"a", "b"}, {"ab"}},
        {"a^b", {NULL}, {"ab", "a^b"}},
        {"(a|)b", {"ab", "b"}, {"a"}},
        {"", {""}, {"a"}},
        {"\\w+\\W\\w+", {"ab-cd"}, {"abcd"}},
        {"(a*)*", {"", "aaa"}, {"b"}},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (int k = 0; k < 4; k++) {
            if (cases[i].yes[k] != NULL && !matches(cases[i].pattern, cases[i].yes[k])) {
                fail_msg("'%s' should match '%s'", cases[i].pattern, cases[i].yes[k]);
            }
            if (cases[i].no[k] != NULL && matches(cases[i].pattern, cases[i].no[k])) {
                fail_msg("'%s' should not match '%s'", cases[i].pattern, cases[i].no[k]);
            }
        }
    }
}

static void what_is_not_understood_is_refused(void **state)
{
    static const char *const bad[] = {"(",      ")",      "a)",          "*a",    "a**",   "[a",
                                      "[b-a]",  "\\1",    "\\b",         "(?i)a", "(?=a)", "a{2",
                                      "a{3,2}", "a{101}", "[[:alpha:]]", "\\",    "a{,2}", "\\pL"};
    (void)state;

    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (pattern_new(slice_text(bad[i])) != NULL) {
            fail_msg("'%s' should be refused", bad[i]);
        }
    }
}

static void a_pattern_that_explodes_is_refused_and_one_that_backtracks_takes_no_time(void **state)
{
    char name[250];
    (void)state;

    assert_null(pattern_new(slice_text("((((a{100}){100}){100}){100}){100}")));
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(matches("(a*)*(a*)*(a|aa)+(a?){90}b", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_name_must_match),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(a_pattern_that_explodes_is_refused_and_one_that_backtracks_takes_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
