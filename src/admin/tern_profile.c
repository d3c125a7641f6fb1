/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "admin/settings.h"
#include "admin/tern_inner.h"

struct reading {
    struct tern *tern;
    const char *directory; /* of the profile, with the slash, or "" */
    int directory_len;
    char certs[TERN_PATH_MAX];
    char client[TERN_NAME_SIZE];
};

static int bad(char why[128], const char *sentence)
{
    (void)snprintf(why, 128, "%s", sentence);
    return TERN_EMALFORMED;
}

static int take_member(struct reading *reading, const struct settings_scalar *scalar, char why[128])
{
    struct tern *tern = reading->tern;
    const char *key = scalar->path + strlen("nodes[]/");
    struct tern_member *member;
    uint64_t id;

    if (scalar->index >= TERN_NODES_MAX) {
        return bad(why, "a cluster has at most 63 nodes");
    }
    member = &tern->members[scalar->index];
    tern->member_count = scalar->index + 1;
    if (strcmp(key, "id") == 0) {
        if (!value_number(scalar->value, 1, TERN_NODES_MAX, &id)) {
            return bad(why, "a number from 1 to 63 is expected");
        }
        member->id = (uint32_t)id;
    } else if (strcmp(key, "region") == 0) {
        COPY_TEXT(member->region, scalar->value);
    } else if (strcmp(key, "kafka") == 0) {
        COPY_TEXT(member->kafka, scalar->value);
    } else if (strcmp(key, "mesh") == 0) {
        COPY_TEXT(member->mesh, scalar->value);
    } else if (strcmp(key, "admin") == 0) {
        COPY_TEXT(member->admin, scalar->value);
    } else if (strcmp(key, "witness") == 0) {
        return value_bool(scalar->value, &member->witness) ? 0
                                                           : bad(why, "true or false is expected");
    } else {
        return TERN_ENOENT;
    }
    return 0;
}

static int take(void *ctx, const struct settings_scalar *scalar, char why[128])
{
    struct reading *reading = ctx;

    if (strncmp(scalar->path, "nodes[]/", strlen("nodes[]/")) == 0) {
        return take_member(reading, scalar, why);
    }
    if (strcmp(scalar->path, "cluster") == 0) {
        COPY_TEXT(reading->tern->cluster, scalar->value);
    } else if (strcmp(scalar->path, "certs") == 0) {
        (void)snprintf(reading->certs, sizeof reading->certs, "%.*s%s",
                       scalar->value[0] == '/' ? 0 : reading->directory_len, reading->directory,
                       scalar->value);
    } else if (strcmp(scalar->path, "client") == 0) {
        COPY_TEXT(reading->client, scalar->value);
    } else {
        return TERN_ENOENT;
    }
    return 0;
}

int profile_read(const char *path, struct tern *tern, char why[TERN_WHY_SIZE])
{
    struct reading reading = {.tern = tern, .directory = path, .client = "admin"};
    const char *slash = strrchr(path, '/');
    char sentence[SETTINGS_WHY];
    int rv;

    reading.directory_len = slash != NULL ? (int)(slash - path) + 1 : 0;
    rv = settings_read_file(path, take, &reading, sentence);
    if (rv != 0) {
        (void)snprintf(why, TERN_WHY_SIZE, "%s", sentence);
        return rv;
    }
    for (size_t n = 0; n < tern->member_count; n++) {
        if (tern->members[n].id == 0 || tern->members[n].admin[0] == '\0') {
            (void)snprintf(why, TERN_WHY_SIZE, "%s: nodes[%zu] needs an id and an admin address",
                           path, n);
            return TERN_EMALFORMED;
        }
    }
    if (tern->cluster[0] == '\0' || reading.certs[0] == '\0' || tern->member_count == 0) {
        (void)snprintf(why, TERN_WHY_SIZE, "%s: cluster, certs and nodes are needed", path);
        return TERN_EMALFORMED;
    }
    (void)snprintf(tern->ca, sizeof tern->ca, "%.900s/ca.crt", reading.certs);
    (void)snprintf(tern->crt, sizeof tern->crt, "%.900s/client-%s.crt", reading.certs,
                   reading.client);
    (void)snprintf(tern->key, sizeof tern->key, "%.900s/client-%s.key", reading.certs,
                   reading.client);
    return 0;
}
