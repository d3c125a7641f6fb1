/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one YAML document strictly: mappings by a table of keys, scalars by their kind, every
 * problem with its place. For this room only. */
#pragma once

#include <libfyaml.h>

#include "policy/policy.h"

struct yaml {
    struct policy_set *set; /* gets the problems */
    const char *file;
    struct slice text;
    size_t problems; /* of this document */
};

/* One key of a mapping: how its value is read. `slot` gets the key's node. */
struct yaml_key {
    const char *name;
    unsigned slot;
    void (*read)(struct yaml *yaml, struct fy_node *value, void *out);
};

#define YAML_SLOTS_MAX 32

/* The keys that were there, by slot; NULL: absent. */
struct yaml_seen {
    struct fy_node *keys[YAML_SLOTS_MAX];
};

/* A problem at a 1-based place; line 0: the whole file. Further ones than POLICY_PROBLEMS_MAX are
 * counted only. */
void yaml_problem_at(struct yaml *yaml, int line, int column, const char *format, ...)
    TERN_PRINTF(4, 5);
/* A problem at a scalar, or at the first scalar inside a node. */
void yaml_problem(struct yaml *yaml, struct fy_node *node, const char *format, ...)
    TERN_PRINTF(3, 4);

/* Every value of a mapping goes to its key's reader. Unknown and repeated keys are problems, and so
 * is a node that is no mapping; `what` names it in messages. */
void yaml_mapping(struct yaml *yaml, struct fy_node *node, const char *what,
                  const struct yaml_key *keys, size_t count, struct yaml_seen *seen, void *out);

/* Each returns false, with a problem noted, if the value is not of its kind; *out is untouched. */
bool yaml_text(struct yaml *yaml, struct fy_node *node, char *out, size_t size,
               const char *allowed);
bool yaml_bool(struct yaml *yaml, struct fy_node *node, bool *out);
bool yaml_number(struct yaml *yaml, struct fy_node *node, int64_t low, int64_t high, int64_t *out);
bool yaml_duration(struct yaml *yaml, struct fy_node *node, uint64_t *out_ms);
bool yaml_size(struct yaml *yaml, struct fy_node *node, uint64_t *out_bytes);
/* The index of the word in a NULL-ended list. */
bool yaml_word(struct yaml *yaml, struct fy_node *node, const char *const *words, unsigned *out);
/* Is it this very word? Never a problem. */
bool yaml_is(struct fy_node *node, const char *word);
