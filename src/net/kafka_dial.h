/* SPDX-License-Identifier: Apache-2.0 */
/* The client's end of Kafka connections: whole frames both ways, on a loop of its own. For programs
 * that are no node, such as `tern bench`. One thread; callbacks come only from kafka_dialer_run. */
#pragma once

#include "base/blob.h"
#include "base/check.h"
#include "base/clock.h"

#define KAFKA_LINK_WHY 200

struct kafka_dialer;
struct kafka_link;

struct kafka_link_ops {
    void (*up)(void *owner);
    /* One response without its length prefix; take a reference to keep it. */
    void (*frame)(void *owner, struct blob *frame);
    /* The last call: the link is gone. Also for one that never came up. */
    void (*down)(void *owner, const char *why);
};

/* The process ignores SIGPIPE from now on: a broken connection is an error of that connection. */
struct kafka_dialer *kafka_dialer_new(void);
/* Closes all links, without a call of `down`, and runs the loop until that is done. */
void kafka_dialer_free(struct kafka_dialer *dialer);
struct clock *kafka_dialer_clock(struct kafka_dialer *dialer);
/* Until kafka_dialer_stop is called from a callback. */
void kafka_dialer_run(struct kafka_dialer *dialer);
void kafka_dialer_stop(struct kafka_dialer *dialer);
/* Fires once, within tens of microseconds of at_us: timers of the clock keep only milliseconds.
 * There is one alarm; setting it again replaces it. */
void kafka_dialer_alarm(struct kafka_dialer *dialer, uint64_t at_us, void (*fire)(void *ctx),
                        void *ctx);

/* Connects to "host:port"; may ask a name server, blocking. NULL if the address leads nowhere; why
 * gets a sentence. Whatever happens later arrives as `down`. */
struct kafka_link *kafka_link_open(struct kafka_dialer *dialer, const char *address,
                                   const struct kafka_link_ops *ops, void *owner,
                                   char why[KAFKA_LINK_WHY]);
/* One request, its chunks back to back; the length prefix is added. Takes the references. Only
 * while up. */
void kafka_link_send(struct kafka_link *link, const struct chunk *chunks, size_t count);
/* Drops it at once: no callback comes any more. */
void kafka_link_close(struct kafka_link *link);
