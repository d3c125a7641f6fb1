/* SPDX-License-Identifier: Apache-2.0 */
/* The first frame of a mesh connection (docs/formats/mesh.md): who, which channel, which format. */
#pragma once

#include "base/buf.h"
#include "base/wire.h"
#include "net/certs.h"

/* Frame types of the mesh itself; those of agent and quorum lie below. */
#define MESH_FRAME_HELLO  0xfff0u
#define MESH_FRAME_READY  0xfff1u
#define MESH_FRAME_REFUSE 0xfff2u
#define MESH_FRAME_STAMP  0xfff3u
#define MESH_FRAME_COPY   0xfff4u
#define MESH_FRAME_OWN    MESH_FRAME_HELLO /* first of them */

#define MESH_HELLO_MAX  256u
#define MESH_REASON_MAX 160u

void mesh_hello_encode(const struct wire_hello *hello, unsigned channel, struct buf *out);
/* EFORMAT: another format version, both named in why; nothing else of it is read then.
 * EMALFORMED: not a hello. */
int mesh_hello_decode(struct slice bytes, struct wire_hello *out, unsigned *out_channel,
                      char why[MESH_REASON_MAX]) TERN_MUST_USE;
/* The hello must say what the certificate proves, and both must be of our cluster and not us. */
int mesh_hello_check(const struct wire_hello *hello, const struct identity *certificate,
                     const struct identity *ours, char why[MESH_REASON_MAX]) TERN_MUST_USE;
