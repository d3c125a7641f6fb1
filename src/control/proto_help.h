/* SPDX-License-Identifier: Apache-2.0 */
/* Between protobuf-c's fields and our fixed arrays; for the two doors of this room only. */
#pragma once

#include "base/slice.h"
#include "base/uuid.h"
#include "control.pb-c.h"
#include "control/internal.h"
#include "policy/capped_alloc.h"

/* protobuf-c has no const in its structs; packing does not write through them. */
static inline char *proto_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static inline ProtobufCBinaryData proto_bytes(struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.base};
}

static inline ProtobufCBinaryData proto_uuid(const struct uuid *id)
{
    return proto_bytes(slice_of(id->bytes, sizeof id->bytes));
}

static inline struct slice proto_slice(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

/* False: it does not fit; then nothing is promised of `out`. */
static inline bool proto_take(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size) {
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}
#define PROTO_TAKE(array, text) proto_take(array, sizeof(array), text)

static inline bool proto_take_uuid(ProtobufCBinaryData bytes, struct uuid *out)
{
    if (bytes.len != sizeof out->bytes) {
        return false;
    }
    memcpy(out->bytes, bytes.data, sizeof out->bytes);
    return true;
}

/* command.c; the messages that commands and snapshots share. */
void control_config_fill(const struct control_config *config, Tern__Control__Config *m);
bool control_config_take(const Tern__Control__Config *m, struct control_config *out);
void control_quota_entity_fill(const struct quota_entity *entity, Tern__Control__SetQuota *m);
bool control_order_take(const uint32_t *items, size_t count, uint8_t out[CONTROL_REPLICAS_MAX]);
bool control_quota_take(const Tern__Control__SetQuota *m, struct control_quota *out,
                        bool remove[QUOTA_KEYS]);
void control_ledger_fill(const struct control_ledger_entry *e, Tern__Control__LedgerEntry *m);
bool control_ledger_take(const Tern__Control__LedgerEntry *m, struct control_ledger_entry *out);
