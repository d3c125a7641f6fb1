/* SPDX-License-Identifier: Apache-2.0 */
/* Results of past commands, by dedup key: a retry gets the first answer and changes nothing.
 *
 * Bounded twice: results per client, clients. Of a client, numbers at or below the highest whose
 * result was dropped are refused; a client that was dropped altogether starts anew. */
#include "control/internal.h"

const struct buf *dedup_find(const struct control *control, struct command_key key,
                             bool *out_forgotten)
{
    struct dedup_client *client;

    *out_forgotten = false;
    HASH_FIND(hh, control_private(control)->clients, &key.client, sizeof key.client, client);
    if (client == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < client->count; i++) {
        if (client->results[i].seq == key.seq) {
            return &client->results[i].packed;
        }
    }
    *out_forgotten = key.seq <= client->dropped_seq;
    return NULL;
}

static void free_client(struct control_private *state, struct dedup_client *client)
{
    HASH_DEL(state->clients, client);
    for (uint32_t i = 0; i < client->count; i++) {
        buf_fini(&client->results[i].packed);
    }
    free(client);
}

static void drop_oldest_client(struct control_private *state)
{
    struct dedup_client *oldest = NULL;

    for (struct dedup_client *c = state->clients; c != NULL; c = c->hh.next) {
        /* Every command has an index of its own, so there is no tie. */
        if (oldest == NULL || c->last_index < oldest->last_index) {
            oldest = c;
        }
    }
    free_client(state, oldest);
}

static void drop_oldest_result(struct dedup_client *client)
{
    struct dedup_result *oldest = &client->results[0];

    if (oldest->seq > client->dropped_seq) {
        client->dropped_seq = oldest->seq;
    }
    buf_fini(&oldest->packed);
    client->count--;
    memmove(oldest, oldest + 1, client->count * sizeof *oldest);
}

void dedup_note(struct control *control, uint64_t index, struct command_key key,
                struct slice packed)
{
    struct control_private *state = control_private(control);
    struct dedup_client *client;

    HASH_FIND(hh, state->clients, &key.client, sizeof key.client, client);
    if (client == NULL) {
        if (HASH_CNT(hh, state->clients) >= DEDUP_CLIENTS_MAX) {
            drop_oldest_client(state);
        }
        client = mem_new(sizeof *client);
        client->id = key.client;
        HASH_ADD(hh, state->clients, id, sizeof client->id, client);
    }
    if (client->count == DEDUP_RESULTS_MAX) {
        drop_oldest_result(client);
    }
    struct dedup_result *result = &client->results[client->count++];
    *result = (struct dedup_result){.seq = key.seq, .index = index};
    buf_put(&result->packed, packed);
    client->last_index = index;
}

void dedup_free(struct control_private *state)
{
    struct dedup_client *client;
    struct dedup_client *next;

    HASH_ITER (hh, state->clients, client, next) {
        free_client(state, client);
    }
}
