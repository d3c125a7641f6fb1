/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "agent/api.h"
#include "base/error.h"

const struct control_topic *topic_by_slice(const struct node *node, struct slice name)
{
    char text[CONTROL_TOPIC_NAME_MAX];

    if (name.len == 0 || name.len >= sizeof text || memchr(name.base, 0, name.len) != NULL) {
        return NULL;
    }
    memcpy(text, name.base, name.len);
    text[name.len] = '\0';
    return control_topic_named(node->control, text);
}

bool topic_name_allowed(struct slice name)
{
    char text[CONTROL_TOPIC_NAME_MAX];

    return slice_to_text(name, text, sizeof text) && control_topic_name_allowed(text);
}

int leader_partition(struct node *node, const struct control_topic *topic, int32_t index,
                     int32_t claimed_epoch, struct partition **out_partition)
{
    if (topic == NULL || index < 0 || (uint32_t)index >= topic->partition_count) {
        return TERN_ENOENT;
    }
    struct partition *p = partition_find(node, topic->id, index);
    int32_t known = topic->partitions[index].epoch;
    if (p != NULL && p->replica.promised > known) {
        known = p->replica.promised;
    }
    if (claimed_epoch >= 0 && claimed_epoch < known) {
        return TERN_EFENCEDEPOCH;
    }
    if (claimed_epoch > known) {
        return TERN_EUNKNOWNEPOCH;
    }
    if (p == NULL || !replica_serves(&p->replica)) {
        return TERN_ENOTLEADER;
    }
    *out_partition = p;
    return 0;
}

static bool same_name(const struct naming *a, const struct naming *b)
{
    return a->number == b->number && slice_equal(a->name, b->name);
}

static int by_naming(const void *a, const void *b)
{
    const struct naming *x = a;
    const struct naming *y = b;
    int order = slice_compare(x->name, y->name);

    if (order == 0) {
        order = (x->number > y->number) - (x->number < y->number);
    }
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

enum named *named_twice(struct arena *arena, struct naming *names, uint32_t count)
{
    enum named *out = arena_take(arena, (count + 1) * sizeof *out);

    for (uint32_t i = 0; i < count; i++) {
        names[i].place = i;
    }
    qsort(names, count, sizeof *names, by_naming);
    for (uint32_t i = 0; i < count; i++) {
        bool again = i > 0 && same_name(&names[i - 1], &names[i]);
        bool first = i + 1 < count && same_name(&names[i], &names[i + 1]);
        out[names[i].place] = again ? NAMED_AGAIN : first ? NAMED_FIRST : NAMED_ONCE;
    }
    return out;
}

bool slice_to_text(struct slice from, char *out, size_t size)
{
    if (from.len >= size || (from.len > 0 && memchr(from.base, 0, from.len) != NULL)) {
        return false;
    }
    if (from.len > 0) {
        memcpy(out, from.base, from.len);
    }
    out[from.len] = '\0';
    return true;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    uint8_t *copy = arena_take(arena, bytes.len + 1);

    if (bytes.len > 0) {
        memcpy(copy, bytes.base, bytes.len);
    }
    return slice_of(copy, bytes.len);
}

struct slice arena_text(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    char *copy = arena_take(arena, len + 1);

    memcpy(copy, text, len + 1);
    return slice_of(copy, len);
}
