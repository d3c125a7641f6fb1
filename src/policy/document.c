/* SPDX-License-Identifier: Apache-2.0 */
/* One policy document: its keys, and what contradicts what. docs/reference/policy.md is its text.
 */
#include <stdio.h>

#include "policy/yaml.h"

#define TEXT_BYTES_MAX     (1024 * 1024)
#define LETTERS            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define NAME_CHARACTERS    LETTERS "._-"
#define PATTERN_CHARACTERS LETTERS "._-*"

_Static_assert(sizeof LETTERS == 62 + 1, "yaml_text tells what is allowed beside these");

/* The document being read. */
struct draft {
    struct policy policy;
    bool groups;
    struct yaml_seen top;
    struct yaml_seen inner; /* keys of the nested mappings, which have slots of their own */
};

enum top_slot {
    TOP_POLICY,
    TOP_TOPICS,
    TOP_PRIORITY,
    TOP_CRITICAL,
    TOP_MODE,
    TOP_ACK,
    TOP_COPIES,
    TOP_REGIONS,
    TOP_LEADERS,
    TOP_ON_REGION_LOSS,
    TOP_HOME,
    TOP_RPO,
    TOP_FAILOVER,
    TOP_PARTITIONS,
    TOP_RETENTION,
    TOP_MAX_MESSAGE,
    TOP_GROUPS
};
enum inner_slot {
    LOSS_THEN,
    LOSS_AFTER,
    RPO_TIME,
    RPO_BYTES,
    RPO_ON_BREACH,
    RPO_SURVIVE,
    FAILOVER_MODE,
    FAILOVER_AFTER,
    FAILOVER_WAIT,
    RETENTION_TIME,
    RETENTION_BYTES
};

static const char *const mode_words[] = {"sync", "async", NULL};
static const char *const loss_words[] = {"refuse", "degrade", NULL};
static const char *const breach_words[] = {"throttle", "refuse", "report", NULL};
static const char *const failover_words[] = {"manual", "auto", NULL};

/* ---- single values ------------------------------------------------------------------------- */

static void read_name(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_text(yaml, value, d->policy.name, sizeof d->policy.name, NAME_CHARACTERS);
}

static void read_priority(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    int64_t number;

    if (yaml_number(yaml, value, -1000000, 1000000, &number)) {
        d->policy.priority = (int32_t)number;
    }
}

static void read_critical(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_bool(yaml, value, &d->policy.critical);
}

static void read_groups(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_bool(yaml, value, &d->groups);
}

static void read_mode(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    unsigned word;

    if (yaml_word(yaml, value, mode_words, &word)) {
        d->policy.mode = (enum policy_mode)word;
    }
}

static void read_count(struct yaml *yaml, struct fy_node *value, int64_t low, int64_t high,
                       uint32_t *out)
{
    int64_t number;

    if (yaml_number(yaml, value, low, high, &number)) {
        *out = (uint32_t)number;
    }
}

static void read_ack(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    read_count(yaml, value, 2, 3, &d->policy.ack);
}

static void read_copies(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    read_count(yaml, value, 1, 3, &d->policy.copies);
}

static void read_partitions(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    read_count(yaml, value, 1, 10000, &d->policy.partitions);
}

static void read_home(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_text(yaml, value, d->policy.home, sizeof d->policy.home, NAME_CHARACTERS);
}

static void read_max_message(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    uint64_t bytes;

    if (!yaml_size(yaml, value, &bytes)) {
        return;
    }
    if (bytes < 1024 || bytes > 64 * 1024 * 1024) {
        yaml_problem(yaml, value, "expected a size from 1KiB to 64MiB");
        return;
    }
    d->policy.max_message_bytes = bytes;
}

/* ---- lists --------------------------------------------------------------------------------- */

struct list {
    char *items;
    size_t item_size;
    uint32_t max;
    uint32_t *count;
    const char *allowed;
};

static void read_item(struct yaml *yaml, struct fy_node *node, const struct list *list)
{
    char *item = list->items + *list->count * list->item_size;

    if (*list->count == list->max) {
        yaml_problem(yaml, node, "more than %u of them", list->max);
        return;
    }
    if (!yaml_text(yaml, node, item, list->item_size, list->allowed)) {
        return;
    }
    for (uint32_t i = 0; i < *list->count; i++) {
        if (strcmp(list->items + i * list->item_size, item) == 0) {
            yaml_problem(yaml, node, "%s is there twice", item);
            return;
        }
    }
    ++*list->count;
}

/* A sequence of names; a single one needs no brackets. */
static void read_list(struct yaml *yaml, struct fy_node *value, const struct list *list)
{
    struct fy_node *node;
    void *at = NULL;

    if (fy_node_is_scalar(value)) {
        read_item(yaml, value, list);
        return;
    }
    if (!fy_node_is_sequence(value)) {
        yaml_problem(yaml, value, "expected a list");
        return;
    }
    while ((node = fy_node_sequence_iterate(value, &at)) != NULL) {
        read_item(yaml, node, list);
    }
}

static void read_topics(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    const struct list list = {d->policy.patterns[0], POLICY_PATTERN_MAX, POLICY_PATTERNS_MAX,
                              &d->policy.pattern_count, PATTERN_CHARACTERS};

    read_list(yaml, value, &list);
}

static void read_regions(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    const struct list list = {d->policy.regions[0], WIRE_NAME_MAX, POLICY_REGIONS_MAX,
                              &d->policy.region_count, NAME_CHARACTERS};

    read_list(yaml, value, &list);
}

static void read_leaders(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    const struct list list = {d->policy.prefer[0], WIRE_NAME_MAX, POLICY_REGIONS_MAX,
                              &d->policy.prefer_count, NAME_CHARACTERS};

    read_list(yaml, value, &list);
}

/* ---- nested mappings ----------------------------------------------------------------------- */

static void read_loss_then(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    unsigned word;

    if (yaml_word(yaml, value, loss_words, &word)) {
        d->policy.on_region_loss = (enum policy_region_loss)word;
    }
}

static void read_loss_after(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_duration(yaml, value, &d->policy.region_loss_after_ms);
}

static void read_rpo_time(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_duration(yaml, value, &d->policy.rpo_time_ms);
}

static void read_rpo_bytes(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_size(yaml, value, &d->policy.rpo_bytes);
}

static void read_on_breach(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    unsigned word;

    if (yaml_word(yaml, value, breach_words, &word)) {
        d->policy.on_breach = (enum policy_breach)word;
    }
}

static void read_survive(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    read_count(yaml, value, 1, 2, &d->policy.rpo_survive);
}

static void read_failover_mode(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    unsigned word;

    if (yaml_word(yaml, value, failover_words, &word)) {
        d->policy.failover = (enum policy_failover)word;
    }
}

static void read_failover_after(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_duration(yaml, value, &d->policy.failover_after_ms);
}

static void read_failover_wait(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;

    (void)yaml_duration(yaml, value, &d->policy.failover_wait_ms);
}

static void read_retention_time(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    uint64_t ms;

    if (yaml_is(value, "forever")) {
        d->policy.retention_ms = -1;
    } else if (yaml_duration(yaml, value, &ms)) {
        d->policy.retention_ms = (int64_t)ms;
    }
}

static void read_retention_bytes(struct yaml *yaml, struct fy_node *value, void *out)
{
    struct draft *d = out;
    uint64_t bytes;

    if (yaml_is(value, "unlimited")) {
        d->policy.retention_bytes = -1;
    } else if (yaml_size(yaml, value, &bytes)) {
        d->policy.retention_bytes = (int64_t)bytes;
    }
}

#define READ_NESTED(name, keys)                                                                    \
    static void read_##name(struct yaml *yaml, struct fy_node *value, void *out)                   \
    {                                                                                              \
        struct draft *d = out;                                                                     \
        yaml_mapping(yaml, value, #name, keys, ARRAY_COUNT(keys), &d->inner, out);                 \
    }

static const struct yaml_key loss_keys[] = {
    {"then", LOSS_THEN, read_loss_then},
    {"after", LOSS_AFTER, read_loss_after},
};
static const struct yaml_key rpo_keys[] = {
    {"time", RPO_TIME, read_rpo_time},
    {"bytes", RPO_BYTES, read_rpo_bytes},
    {"on_breach", RPO_ON_BREACH, read_on_breach},
    {"survive", RPO_SURVIVE, read_survive},
};
static const struct yaml_key failover_keys[] = {
    {"mode", FAILOVER_MODE, read_failover_mode},
    {"after", FAILOVER_AFTER, read_failover_after},
    {"wait", FAILOVER_WAIT, read_failover_wait},
};
static const struct yaml_key retention_keys[] = {
    {"time", RETENTION_TIME, read_retention_time},
    {"bytes", RETENTION_BYTES, read_retention_bytes},
};
READ_NESTED(on_region_loss, loss_keys)
READ_NESTED(rpo, rpo_keys)
READ_NESTED(failover, failover_keys)
READ_NESTED(retention, retention_keys)

static const struct yaml_key top_keys[] = {
    {"policy", TOP_POLICY, read_name},
    {"topics", TOP_TOPICS, read_topics},
    {"priority", TOP_PRIORITY, read_priority},
    {"critical", TOP_CRITICAL, read_critical},
    {"mode", TOP_MODE, read_mode},
    {"ack", TOP_ACK, read_ack},
    {"copies", TOP_COPIES, read_copies},
    {"regions", TOP_REGIONS, read_regions},
    {"leaders", TOP_LEADERS, read_leaders},
    {"on_region_loss", TOP_ON_REGION_LOSS, read_on_region_loss},
    {"home", TOP_HOME, read_home},
    {"rpo", TOP_RPO, read_rpo},
    {"failover", TOP_FAILOVER, read_failover},
    {"partitions", TOP_PARTITIONS, read_partitions},
    {"retention", TOP_RETENTION, read_retention},
    {"max_message", TOP_MAX_MESSAGE, read_max_message},
    {"groups", TOP_GROUPS, read_groups},
};
_Static_assert(ARRAY_COUNT(top_keys) <= YAML_SLOTS_MAX, "every key has a slot");

/* ---- contradictions: a word that would have no effect is an error, too --------------------- */

static void refuse_key(struct yaml *yaml, const struct draft *d, enum top_slot slot,
                       const char *why)
{
    if (d->top.keys[slot] != NULL) {
        yaml_problem(yaml, d->top.keys[slot], "%s", why);
    }
}

static void refuse_inner(struct yaml *yaml, const struct draft *d, enum inner_slot slot,
                         const char *why)
{
    if (d->inner.keys[slot] != NULL) {
        yaml_problem(yaml, d->inner.keys[slot], "%s", why);
    }
}

static bool in_regions(const struct policy *policy, const char *name)
{
    for (uint32_t i = 0; i < policy->region_count; i++) {
        if (strcmp(policy->regions[i], name) == 0) {
            return true;
        }
    }
    return policy->region_count == 0;
}

static void check_regions(struct yaml *yaml, const struct draft *d)
{
    const struct policy *p = &d->policy;

    for (uint32_t i = 0; i < p->prefer_count; i++) {
        if (!in_regions(p, p->prefer[i])) {
            yaml_problem(yaml, d->top.keys[TOP_LEADERS], "region %s is not among the regions",
                         p->prefer[i]);
        }
    }
    if (p->home[0] != '\0' && !in_regions(p, p->home)) {
        yaml_problem(yaml, d->top.keys[TOP_HOME], "region %s is not among the regions", p->home);
    }
    if (p->mode == POLICY_SYNC && p->region_count > 0 && p->region_count < p->ack) {
        yaml_problem(yaml, d->top.keys[TOP_REGIONS],
                     "%u regions cannot acknowledge where ack is %u", p->region_count, p->ack);
    }
}

static void check_sync(struct yaml *yaml, const struct draft *d)
{
    refuse_key(yaml, d, TOP_HOME, "only mode async has a home");
    refuse_key(yaml, d, TOP_RPO, "only mode async has an rpo: sync loses nothing acknowledged");
    refuse_key(yaml, d, TOP_FAILOVER, "only mode async has a failover: sync always fails over");
    if (d->policy.ack < 3) {
        refuse_key(yaml, d, TOP_ON_REGION_LOSS,
                   "only ack 3 stalls on the loss of a region: this has no effect");
    }
    if (d->policy.on_region_loss == POLICY_LOSS_REFUSE) {
        refuse_inner(yaml, d, LOSS_AFTER, "refuse does not wait: this has no effect");
    }
}

static void check_async(struct yaml *yaml, const struct draft *d)
{
    const struct policy *p = &d->policy;

    refuse_key(yaml, d, TOP_ACK, "only mode sync has ack: async acknowledges in the home region");
    refuse_key(yaml, d, TOP_ON_REGION_LOSS, "only mode sync has on_region_loss");
    if (p->critical) {
        yaml_problem(yaml, d->top.keys[TOP_CRITICAL],
                     "a critical topic must be sync: async can lose acknowledged records");
    }
    if (d->top.keys[TOP_HOME] == NULL) {
        yaml_problem(yaml, d->top.keys[TOP_MODE], "mode async needs a home region");
    }
    if (d->top.keys[TOP_RPO] != NULL && p->rpo_time_ms == 0 && p->rpo_bytes == 0) {
        yaml_problem(yaml, d->top.keys[TOP_RPO], "rpo needs time or bytes");
    }
    if (p->failover == POLICY_FAILOVER_MANUAL) {
        refuse_inner(yaml, d, FAILOVER_AFTER, "failover manual does not start: this has no effect");
    }
}

/* `groups: true` is the topic in which groups are kept, by a name that people remember. */
static void take_groups(struct yaml *yaml, struct draft *d)
{
    struct policy *p = &d->policy;

    for (uint32_t i = 0; i < p->pattern_count; i++) {
        if (strcmp(p->patterns[i], POLICY_GROUPS_TOPIC) == 0) {
            refuse_key(yaml, d, TOP_GROUPS, "topics has " POLICY_GROUPS_TOPIC " already");
            return;
        }
    }
    if (p->pattern_count == POLICY_PATTERNS_MAX) {
        refuse_key(yaml, d, TOP_GROUPS, "it counts as one of the topics, which are too many");
        return;
    }
    _Static_assert(sizeof POLICY_GROUPS_TOPIC <= POLICY_PATTERN_MAX, "it is a pattern");
    memcpy(p->patterns[p->pattern_count++], POLICY_GROUPS_TOPIC, sizeof POLICY_GROUPS_TOPIC);
}

static void check_draft(struct yaml *yaml, struct fy_node *root, struct draft *d)
{
    struct policy *p = &d->policy;
    bool globs = false;

    if (d->top.keys[TOP_POLICY] == NULL) {
        yaml_problem(yaml, root, "the name is missing: policy: NAME");
    }
    for (uint32_t i = 0; i < p->pattern_count; i++) {
        globs = globs || strchr(p->patterns[i], '*') != NULL;
    }
    if (!globs) {
        refuse_key(yaml, d, TOP_PRIORITY, "only topics with a * have a priority");
    }
    if (p->mode == POLICY_ASYNC) {
        p->ack = 1;
        check_async(yaml, d);
    } else {
        check_sync(yaml, d);
    }
    check_regions(yaml, d);
    if (d->groups) {
        take_groups(yaml, d);
    }
}

/* ---- documents ----------------------------------------------------------------------------- */

static void read_document(struct yaml *yaml, struct fy_node *root)
{
    struct draft d = {.policy = policy_default()};

    yaml->problems = 0;
    d.policy.name[0] = '\0';
    yaml_mapping(yaml, root, "a policy", top_keys, ARRAY_COUNT(top_keys), &d.top, &d);
    if (yaml->problems == 0) {
        check_draft(yaml, root, &d);
    }
    if (yaml->problems == 0) {
        struct policy_set *set = yaml->set;
        set->policies = mem_grow(set->policies, set->count + 1, sizeof *set->policies);
        set->policies[set->count++] = d.policy;
    }
}

/* libfyaml tells what it could not read through this object. */
static void nowhere(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag;
    (void)user;
    (void)text;
    (void)len;
}

static struct fy_diag *make_diag(void)
{
    struct fy_diag_cfg cfg;

    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = nowhere;
    cfg.colorize = false;
    struct fy_diag *diag = fy_diag_create(&cfg);
    CHECK(diag != NULL);
    fy_diag_set_collect_errors(diag, true);
    return diag;
}

static void report_syntax(struct yaml *yaml, struct fy_diag *diag)
{
    struct fy_diag_error *error;
    void *at = NULL;

    while ((error = fy_diag_errors_iterate(diag, &at)) != NULL) {
        if (error->type == FYET_ERROR) {
            yaml_problem_at(yaml, error->line, error->column, "%s", error->msg);
        }
    }
    if (yaml->problems == 0) {
        yaml_problem_at(yaml, 0, 0, "this is not YAML");
    }
}

static void parse_documents(struct yaml *yaml, struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_document *document;
    size_t documents = 0;

    while ((document = fy_parse_load_document(parser)) != NULL) {
        struct fy_node *root = fy_document_root(document);
        if (root != NULL && !(fy_node_is_scalar(root) && yaml_is(root, ""))) {
            documents++;
            read_document(yaml, root);
        }
        fy_parse_document_destroy(parser, document);
    }
    yaml->problems = 0;
    if (fy_diag_got_error(diag)) {
        report_syntax(yaml, diag);
    } else if (documents == 0) {
        yaml_problem_at(yaml, 0, 0, "there is no policy in it");
    }
}

void policy_parse(struct policy_set *set, const char *file, struct slice text)
{
    struct yaml yaml = {.set = set, .file = file, .text = text};

    if (text.len > TEXT_BYTES_MAX) {
        yaml_problem_at(&yaml, 0, 0, "larger than %d bytes", TEXT_BYTES_MAX);
        return;
    }
    if (text.len > 0 && memchr(text.base, '\0', text.len) != NULL) {
        yaml_problem_at(&yaml, 0, 0, "this is not text");
        return;
    }
    if (text.len == 0) {
        yaml_problem_at(&yaml, 0, 0, "there is no policy in it");
        return;
    }
    struct fy_diag *diag = make_diag();
    const struct fy_parse_cfg cfg = {.flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                                              FYPCF_ALLOW_DUPLICATE_KEYS | FYPCF_COLLECT_DIAG,
                                     .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    CHECK(parser != NULL);
    CHECK(fy_parser_set_string(parser, (const char *)text.base, text.len) == 0);
    parse_documents(&yaml, parser, diag);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
}
