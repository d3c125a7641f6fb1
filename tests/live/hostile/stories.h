/* SPDX-License-Identifier: Apache-2.0 */
/* What Kafka answers to requests that are well formed and wrong. */
#pragma once

#include "message.h"

enum story_node {
    AT_ANY,
    AT_COORDINATOR_OF_GROUP, /* of "no-such-group" */
    AT_COORDINATOR_OF_TXN,   /* of "no-such-txn" */
    AT_LEADER,               /* of partition 0 of "payments" */
};

struct story {
    int16_t key;
    int16_t since; /* versions */
    int16_t until;
    const char *name;
    const char *errors; /* the fields `error` of the answer in their order; "1|6": either */
    struct value own[8];
    unsigned copies; /* of each item; 0: 1 */
};

#define LAST_VERSION 0x7fff

/* Ends with a name of NULL. */
extern const struct story stories[];
extern const struct value spoilt_values[];
/* For all of them. */
extern const struct value common_values[];
/* Where an API is answered from what the node has, and not with "ask another one". */
enum story_node story_node(int16_t key);
