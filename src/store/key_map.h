/* SPDX-License-Identifier: Apache-2.0 */
/* The newest offset of each key of a part of a log, in memory of a fixed size: a key is known by 128
 * bits of a keyed hash. Two keys of one hash would be taken for one; with a secret hash key nobody
 * can make such two, and by chance it happens in no lifetime. */
#pragma once

#include "base/siphash.h"

struct key_map {
    struct key_slot *slots;
    uint32_t cap; /* a power of two */
    uint32_t used;
    uint8_t hash_key[16];
};

/* Room for about 3/4 of `bytes` / 24 keys. */
void key_map_init(struct key_map *map, size_t bytes, const uint8_t hash_key[16]);
void key_map_fini(struct key_map *map);
/* False: it is full, and the key is not in it. An offset never goes back. */
bool key_map_put(struct key_map *map, struct slice key, int64_t offset);
/* -1: it does not know the key. */
int64_t key_map_get(const struct key_map *map, struct slice key);
