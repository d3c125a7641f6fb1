/* SPDX-License-Identifier: Apache-2.0 */
/* Policy documents: what is read, what is refused and where, and that printing says it all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/policy.h"
#include "tests/lib/test.h"

static struct policy_set parse(const char *text)
{
    struct policy_set set = {0};

    policy_parse(&set, "p.yaml", slice_text(text));
    return set;
}

static struct policy parse_one(const char *text)
{
    struct policy_set set = parse(text);

    if (set.problem_count > 0) {
        print_message("%d:%d: %s\n", set.problems[0].line, set.problems[0].column,
                      set.problems[0].message);
    }
    assert_int_equal(set.problem_count, 0);
    assert_int_equal(set.count, 1);
    struct policy policy = set.policies[0];
    policy_set_fini(&set);
    return policy;
}

static struct policy load(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    return parse_one(text);
}

static void the_payments_policy_is_what_the_demo_promises(void **state)
{
    struct policy p = load("policy/payments.yaml");

    (void)state;
    assert_string_equal(p.name, "payments");
    assert_int_equal(p.pattern_count, 1);
    assert_string_equal(p.patterns[0], "payments");
    assert_true(p.critical);
    assert_int_equal(p.mode, POLICY_SYNC);
    assert_int_equal(p.ack, 2);
    assert_int_equal(p.copies, 1);
    assert_int_equal(p.partitions, 6);
    assert_string_equal(p.prefer[0], "eu-west");
}

static void groups_true_names_the_topic_in_which_they_are_kept(void **state)
{
    struct policy p = parse_one("policy: p\ngroups: true\nleaders: [b, a]\n");

    (void)state;
    assert_int_equal(p.pattern_count, 1);
    assert_string_equal(p.patterns[0], POLICY_GROUPS_TOPIC);
    assert_int_equal(parse_one("policy: p\ngroups: false\n").pattern_count, 0);
}

static void the_clicks_policy_is_what_the_demo_promises(void **state)
{
    struct policy p = load("policy/clicks.yaml");

    (void)state;
    assert_string_equal(p.patterns[0], "clicks");
    assert_false(p.critical);
    assert_int_equal(p.mode, POLICY_ASYNC);
    assert_int_equal(p.ack, 1);
    assert_string_equal(p.home, "eu-west");
    assert_int_equal(p.rpo_time_ms, 5000);
    assert_int_equal(p.rpo_bytes, 64 * 1024 * 1024);
    assert_int_equal(p.on_breach, POLICY_BREACH_THROTTLE);
    assert_int_equal(p.failover, POLICY_FAILOVER_AUTO);
    assert_int_equal(p.failover_after_ms, 5000);
    assert_int_equal(p.failover_wait_ms, 2000);
    assert_int_equal(p.partitions, 6);
}

static void a_name_alone_is_a_policy(void **state)
{
    struct policy p = parse_one("policy: x\n");
    struct policy wanted = policy_default();

    (void)state;
    memcpy(wanted.name, "x", 2);
    assert_memory_equal(&p, &wanted, sizeof p);
}

static void many_documents_may_stand_in_one_file(void **state)
{
    struct policy_set set = parse("policy: a\n---\npolicy: b\n---\n---\npolicy: c\nmode: synk\n");

    (void)state;
    assert_int_equal(set.count, 2);
    assert_string_equal(set.policies[1].name, "b");
    assert_int_equal(set.problem_count, 1);
    assert_int_equal(set.problems[0].line, 7);
    policy_set_fini(&set);
}

/* ---- what is refused ----------------------------------------------------------------------- */

struct row {
    const char *text;
    int line;
    int column;
    const char *message; /* part of it */
};

static const struct row rows[] = {
    /* What other parsers let pass: numbers with a tail, octal numbers, misspelt words, a second
     * document, enum words without a hint. */
    {"policy: p\ncopies: 3x\n", 2, 9, "expected a number from 1 to 3"},
    {"policy: p\npartitions: 010\n", 2, 13, "expected a number from 1 to 10000"},
    {"policy: p\ncritical: flase\n", 2, 11, "expected true or false"},
    {"policy: p\n---\npolicy: q\nack: 4\n", 4, 6, "expected a number from 2 to 3"},
    {"policy: p\nmode: synk\n", 2, 7, "expected one of: sync, async"},
    /* keys */
    {"policy: p\nackk: 2\n", 2, 1, "unknown key ackk; expected one of: policy, topics"},
    {"policy: p\nack: 2\nack: 3\n", 3, 1, "ack is there twice, first in line 2"},
    {"policy: p\nmode: async\nhome: a\nrpo: {time: 5s, time: 6s}\n", 4, 17, "time is there twice"},
    {"policy: p\nmode: async\nhome: a\nrpo: {tim: 5s}\n", 4, 7, "unknown key tim"},
    {"policy: p\n<<: {ack: 2}\n", 2, 1, "unknown key <<"},
    {"policy: p\n[a, b]: 1\n", 2, 2, "unknown key"},
    {"policy: p\nack:\n", 2, 1, "ack has no value"},
    {"ack: 2\n", 1, 1, "the name is missing"},
    {"- policy: p\n", 1, 3, "must be a mapping"},
    {"just words\n", 1, 1, "must be a mapping"},
    {"policy: p\nretention: 7d\n", 2, 12, "retention must be a mapping"},
    /* units */
    {"policy: p\nretention: {time: 7}\n", 2, 19, "a unit is missing: expected a duration"},
    {"policy: p\nretention: {time: 7days}\n", 2, 19, "expected a duration"},
    {"policy: p\nretention: {time: 7 d}\n", 2, 19, "expected a duration"},
    {"policy: p\nretention: {time: 1.5h}\n", 2, 19, "expected a duration"},
    {"policy: p\nretention: {time: -1s}\n", 2, 19, "expected a duration"},
    {"policy: p\nretention: {time: 0s}\n", 2, 19, "not zero"},
    {"policy: p\nretention: {time: 99999999999999d}\n", 2, 19, "smaller"},
    {"policy: p\nretention: {time: 99999999999999999999999ms}\n", 2, 19, "expected a duration"},
    {"policy: p\nretention: {bytes: 64}\n", 2, 20, "a unit is missing: expected a size"},
    {"policy: p\nretention: {bytes: 64MB}\n", 2, 20, "expected a size like"},
    {"policy: p\nretention: {bytes: 64mib}\n", 2, 20, "expected a size like"},
    {"policy: p\nmax_message: 100MiB\n", 2, 14, "from 1KiB to 64MiB"},
    /* kinds */
    {"policy: p\nack: \"2\"\n", 2, 6, "expected a number without quotes"},
    {"policy: p\nack: [2]\n", 2, 7, "expected a number"},
    {"policy: p\ncritical: yes\n", 2, 11, "expected true or false"},
    {"policy: p\ncritical: \"true\"\n", 2, 11, "without quotes"},
    {"policy: p\nmode: [sync]\n", 2, 8, "expected one of"},
    {"policy: p\ntopics: {a: b}\n", 2, 10, "expected a list"},
    {"policy: p\ntopics: [[a]]\n", 2, 11, "expected a name"},
    {"policy: {a: b}\n", 1, 10, "expected a name"},
    {"policy: a b\n", 1, 9, "may only have letters, digits and ._-"},
    {"policy: p\ntopics: [a?]\n", 2, 10, "may only have letters, digits and ._-*"},
    {"policy: p\ntopics: [a, b, a]\n", 2, 16, "a is there twice"},
    {"policy: p\nleaders: [a, a]\n", 2, 14, "a is there twice"},
    {"policy: "
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     1, 9, "longer than 63 characters"},
    {"policy: p\nregions: [a, b, c, d, e, f, g, h, i]\n", 2, 35, "more than 8"},
    /* what YAML has and policies do not use */
    {"policy: &x p\ntopics: [*x]\n", 2, 10, "aliases are not used"},
    {"policy: !!str p\n", 1, 15, "tags are not used"},
    {"policy: p\ngroups: maybe\n", 2, 9, "expected true or false"},
    /* contradictions */
    {"policy: p\ntopics: [__consumer_offsets]\ngroups: true\n", 3, 1, "already"},
    {"policy: p\nmode: async\nhome: a\ncritical: true\n", 4, 1, "a critical topic must be sync"},
    {"policy: p\nmode: async\n", 2, 1, "needs a home region"},
    {"policy: p\nmode: async\nhome: a\nack: 2\n", 4, 1, "only mode sync has ack"},
    {"policy: p\nhome: a\n", 2, 1, "only mode async has a home"},
    {"policy: p\nrpo: {time: 5s}\n", 2, 1, "only mode async has an rpo"},
    {"policy: p\nfailover: {mode: auto}\n", 2, 1, "only mode async has a failover"},
    {"policy: p\nmode: async\nhome: a\nrpo: {on_breach: refuse}\n", 4, 1,
     "rpo needs time or bytes"},
    {"policy: p\nmode: async\nhome: a\nfailover: {after: 5s}\n", 4, 12, "has no effect"},
    {"policy: p\non_region_loss: {then: degrade}\n", 2, 1, "only ack 3 stalls"},
    {"policy: p\nack: 3\non_region_loss: {then: refuse, after: 5s}\n", 3, 32, "has no effect"},
    {"policy: p\ntopics: [a]\npriority: 3\n", 3, 1, "only topics with a * have a priority"},
    {"policy: p\nregions: [a]\n", 2, 1, "1 regions cannot acknowledge where ack is 2"},
    {"policy: p\nregions: [a, b]\nleaders: [c]\n", 3, 1, "region c is not among the regions"},
    {"policy: p\nmode: async\nregions: [a, b]\nhome: c\n", 4, 1, "region c is not among"},
    /* no YAML, or none at all */
    {"", 0, 0, "there is no policy in it"},
    {"# nothing\n", 0, 0, "there is no policy in it"},
    {"policy: [p\n", 2, 1, ""},
    {"policy: p\n\tack: 2\n", 1, 9, ""},
    {"policy: p: q\n", 1, 10, ""},
};

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    size_t bad = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        struct policy_set set = parse(row->text);
        const struct policy_problem *p = set.problems;
        bool good = set.problem_count == 1 && p->line == row->line && p->column == row->column &&
                    strstr(p->message, row->message) != NULL;
        if (!good) {
            print_message("%s-> %zu problems", row->text, set.problem_count);
            if (set.problem_count > 0) {
                print_message(", %d:%d: %s\n", p->line, p->column, p->message);
            }
        }
        bad += !good;
        policy_set_fini(&set);
    }
    assert_int_equal(bad, 0);
}

static void all_problems_are_told_at_once(void **state)
{
    struct policy_set set = parse("policy: p\nack: 7\ncritical: flase\nfoo: 1\n");

    (void)state;
    assert_int_equal(set.problem_count, 3);
    assert_int_equal(set.count, 0);
    policy_set_fini(&set);
    struct buf many = {0};
    buf_text(&many, "policy: p\n");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&many, "k%d: 1\n", i);
    }
    policy_parse(&set, "p.yaml", buf_slice(&many));
    assert_int_equal(set.problem_count, POLICY_PROBLEMS_MAX);
    assert_int_equal(set.count, 0);
    policy_set_fini(&set);
    buf_fini(&many);
}

static void a_problem_reads_like_a_compilers(void **state)
{
    struct policy_set set = parse("policy: p\nmode: synk\n");
    struct buf out = {0};

    (void)state;
    policy_problem_print(&set.problems[0], &out);
    buf_u8(&out, 0);
    assert_string_equal((const char *)out.base, "p.yaml:2:7: error: expected one of: sync, async\n"
                                                "    mode: synk\n"
                                                "          ^\n");
    buf_fini(&out);
    policy_set_fini(&set);
}

static void every_truncation_and_every_changed_byte_is_survived(void **state)
{
    static const char text[] = "policy: p\ntopics: [\"a*\", b]\npriority: 3\nmode: async\n"
                               "home: eu-west\nrpo: {time: 5s, bytes: 64MiB, on_breach: refuse}\n"
                               "failover: {mode: auto, after: 5s, wait: 2s}\n---\npolicy: q\n";
    char changed[sizeof text];
    static const char bytes[] = {'\0', '\t', '\n', '"', '{', '[', ':', '*', '&', '\xff'};

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct policy_set set = {0};
        policy_parse(&set, "p", slice_of(text, len));
        assert_true(set.count <= 2);
        policy_set_fini(&set);
        for (size_t i = 0; i < sizeof bytes; i++) {
            memcpy(changed, text, sizeof text);
            changed[len] = bytes[i];
            set = (struct policy_set){0};
            policy_parse(&set, "p", slice_of(changed, sizeof text - 1));
            policy_set_fini(&set);
        }
    }
}

/* ---- printing ------------------------------------------------------------------------------ */

static void check_round_trip(const struct policy *policy)
{
    struct buf text = {0};
    struct policy_set set = {0};

    policy_print(policy, &text);
    policy_parse(&set, "printed", buf_slice(&text));
    if (set.problem_count > 0) {
        print_message("%.*s%s\n", (int)text.len, (const char *)text.base, set.problems[0].message);
    }
    assert_int_equal(set.problem_count, 0);
    assert_int_equal(set.count, 1);
    assert_memory_equal(&set.policies[0], policy, sizeof *policy);
    policy_set_fini(&set);
    buf_fini(&text);
}

static void printing_is_read_back_to_the_same_policy(void **state)
{
    static const char *const texts[] = {
        "policy: x\n",
        "policy: \"true\"\ntopics: [\"null\", \"1\", 'a*', \"*\"]\npriority: -4\n",
        "policy: x\nack: 3\ncritical: true\non_region_loss: {then: degrade, after: 90s}\n",
        "policy: x\nack: 3\non_region_loss: {then: refuse}\nmax_message: 4MiB\n",
        "policy: x\nregions: [a, b, c]\nleaders: [c, a]\ncopies: 3\npartitions: 10000\n",
        "policy: x\nmode: async\nhome: a\n",
        "policy: x\nmode: async\nhome: a\nrpo: {bytes: 1000B, on_breach: report, survive: 2}\n",
        "policy: x\nmode: async\nhome: a\nfailover: {mode: manual, wait: 1ms}\n",
        "policy: x\nretention: {time: forever, bytes: 1025KiB}\n",
        "policy: x\nretention: {time: 36h, bytes: unlimited}\n",
        "policy: x\ngroups: true\ntopics: [a]\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct policy policy = parse_one(texts[i]);
        check_round_trip(&policy);
    }
    struct policy payments = load("policy/payments.yaml");
    struct policy clicks = load("policy/clicks.yaml");
    check_round_trip(&payments);
    check_round_trip(&clicks);
}

static void packing_is_unpacked_to_the_same_policy(void **state)
{
    struct policy policy = load("policy/clicks.yaml");
    struct policy back;
    struct buf packed = {0};

    (void)state;
    policy_pack(&policy, &packed);
    assert_int_equal(policy_unpack(buf_slice(&packed), &back), 0);
    assert_memory_equal(&policy, &back, sizeof policy);
    for (size_t len = 0; len < packed.len; len++) {
        /* Cut between two fields it may be whole again: no more than a policy comes of it. */
        assert_true(policy_unpack(slice_of(packed.base, len), &back) <= 0);
        packed.base[len] ^= 0x40;
        assert_true(policy_unpack(buf_slice(&packed), &back) <= 0);
        packed.base[len] ^= 0x40;
    }
    packed.base[1] = 2; /* the format version comes first */
    assert_int_equal(policy_unpack(buf_slice(&packed), &back), TERN_EFORMAT);
    buf_fini(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_payments_policy_is_what_the_demo_promises),
        cmocka_unit_test(groups_true_names_the_topic_in_which_they_are_kept),
        cmocka_unit_test(the_clicks_policy_is_what_the_demo_promises),
        cmocka_unit_test(a_name_alone_is_a_policy),
        cmocka_unit_test(many_documents_may_stand_in_one_file),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(all_problems_are_told_at_once),
        cmocka_unit_test(a_problem_reads_like_a_compilers),
        cmocka_unit_test(every_truncation_and_every_changed_byte_is_survived),
        cmocka_unit_test(printing_is_read_back_to_the_same_policy),
        cmocka_unit_test(packing_is_unpacked_to_the_same_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
