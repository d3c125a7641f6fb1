/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key_map.h"

#include "base/check.h"

struct key_slot {
    struct siphash hash;
    int64_t next; /* offset + 1; 0: free */
};

void key_map_init(struct key_map *map, size_t bytes, const uint8_t hash_key[16])
{
    uint32_t cap = 16;

    while (cap < (1u << 30) && (size_t)cap * 2 * sizeof(struct key_slot) <= bytes) {
        cap *= 2;
    }
    map->cap = cap;
    map->used = 0;
    map->slots = mem_new(cap * sizeof *map->slots);
    memcpy(map->hash_key, hash_key, sizeof map->hash_key);
}

void key_map_fini(struct key_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->cap = 0;
}

/* The key's slot, or the free one where it belongs. */
static struct key_slot *slot_of(const struct key_map *map, struct slice key)
{
    struct siphash hash = siphash128(map->hash_key, key);
    uint32_t at = (uint32_t)hash.low & (map->cap - 1);

    while (map->slots[at].next != 0 &&
           (map->slots[at].hash.low != hash.low || map->slots[at].hash.high != hash.high)) {
        at = (at + 1) & (map->cap - 1);
    }
    if (map->slots[at].next == 0) {
        map->slots[at].hash = hash;
    }
    return &map->slots[at];
}

bool key_map_put(struct key_map *map, struct slice key, int64_t offset)
{
    struct key_slot *slot = slot_of(map, key);

    if (slot->next == 0) {
        if (map->used >= map->cap / 4 * 3) {
            return false;
        }
        map->used++;
    }
    if (offset + 1 > slot->next) {
        slot->next = offset + 1;
    }
    return true;
}

int64_t key_map_get(const struct key_map *map, struct slice key)
{
    return slot_of(map, key)->next - 1;
}
