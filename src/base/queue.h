/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly-linked list with a sentinel. A zeroed link is "in no list" (see link_in_list).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct link {
    struct link *next;
    struct link *prev;
};

static inline void queue_init(struct link *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool queue_empty(const struct link *head)
{
    return head->next == head;
}

static inline bool link_in_list(const struct link *link)
{
    return link->next != NULL;
}

static inline void queue_push(struct link *head, struct link *link)
{
    CHECK(!link_in_list(link));
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void link_remove(struct link *link)
{
    CHECK(link_in_list(link));
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = NULL;
    link->prev = NULL;
}

/* The first link, taken out; NULL if there is none. */
static inline struct link *queue_pop(struct link *head)
{
    if (queue_empty(head)) {
        return NULL;
    }
    struct link *first = head->next;
    link_remove(first);
    return first;
}

/* `each` may be removed by the body. */
#define QUEUE_EACH(each, head)                                                                     \
    for (struct link *each = (head)->next, *each##_next = each->next; each != (head);              \
         each = each##_next, each##_next = each->next)
