/* SPDX-License-Identifier: Apache-2.0 */
/* Who this node is: the small file `node`, replaced atomically (write, sync, rename, sync_dir).
 * All calls are synchronous; they happen at start, founding, joining and registration only. */
#pragma once

#include "base/check.h"
#include "base/disk.h"
#include "base/uuid.h"
#include "base/wire.h"

#define NODE_FILE_FORMAT  3 /* 2, which has one copy, is read, too */
#define NODE_FOUNDERS_MAX 9

struct node_founder {
    uint32_t node_id;
    uint64_t raft_id;
    char region[WIRE_NAME_MAX];
    char mesh_address[WIRE_ADDRESS_MAX];
    bool witness; /* its region votes and has no data */
};

struct node_file {
    struct uuid cluster_id; /* zero: an empty directory */
    char cluster_name[WIRE_NAME_MAX];
    uint32_t node_id;
    char region[WIRE_NAME_MAX];
    uint64_t raft_id;       /* 0: not a member of the quorum yet */
    uint32_t incarnation;   /* 0: not registered yet */
    uint64_t start_pending; /* raised before registration; >= start_final */
    uint64_t start_final;   /* last registered start number */
    bool raft_retired;      /* this disk's raft id must never take part again */
    uint64_t stamp_final;   /* random number of the registration that made start_final; 0: none */
    uint64_t
        stamp_pending; /* of the next one; the same until that is known to be applied; 0: none */
    /* The bootstrap configuration, as `tern cluster init` gave it; empty for joiners. */
    uint32_t founder_count;
    struct node_founder founders[NODE_FOUNDERS_MAX];
};

/* ENOENT for a missing file, EFORMAT (both versions named in why), EDAMAGED. */
int node_file_load(struct disk *disk, struct node_file *out, char why[256]) TERN_MUST_USE;
/* Durable on return. */
int node_file_save(struct disk *disk, const struct node_file *file) TERN_MUST_USE;
