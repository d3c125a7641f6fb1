/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/roster.h"

#include <stdio.h>

/* The batch that ends there; NULL: none does. */
static const struct model_batch *batch_before(const struct model_log *log, int64_t offset)
{
    for (size_t i = 0; i < log->count; i++) {
        if (log->batches[i].base + log->batches[i].records == offset) {
            return &log->batches[i];
        }
    }
    return NULL;
}

/* Which of its logs the store means. */
static unsigned log_of(const struct store_log *log)
{
    const struct store_log_state *state = store_state(log);

    for (unsigned i = 0; i < MODEL_LOGS; i++) {
        if (state->partition == model_partition(i) && uuid_equal(state->topic_id, model_topic(i))) {
            return i;
        }
    }
    return MODEL_LOGS;
}

bool roster_tell(const struct model_state *called, const struct store_log *log, struct buf *out)
{
    int64_t leo = store_state(log)->leo;
    const struct model_batch *last = batch_before(&called->logs[log_of(log)], leo);

    if (last != NULL) {
        buf_printf(out, "told at %lld of %u", (long long)leo, last->seed);
    }
    return last != NULL && (store_state(log)->partition % 2 == 0 || leo % 3 > 0);
}

const char *roster_lies(const struct model_state *state, struct store *store)
{
    const char *lie = NULL;

    for (unsigned i = 0; i < MODEL_LOGS && lie == NULL; i++) {
        struct store_log *log = store_find(store, model_topic(i), model_partition(i));
        struct buf out = {0};
        long long offset = -1;
        int64_t loaded = -1;
        unsigned seed = 0;
        if (log != NULL && store_producers_load(log, INT64_MAX, &loaded, &out)) {
            buf_put(&out, slice_of("", 1));
            if (sscanf((const char *)out.base, "told at %lld of %u", &offset, &seed) == 2) {
                const struct model_batch *last = batch_before(&state->logs[i], offset);
                if (offset != loaded || last == NULL || last->seed != seed) {
                    lie = "a roster is believed of a log that was cut since";
                }
            }
        }
        buf_fini(&out);
    }
    return lie;
}
