/* SPDX-License-Identifier: Apache-2.0 */
/* The admin port's frames (docs/formats/mesh.md): u32 length, u16 type, u32 call id, then in a
 * response i32 error, then the body. The first call of a connection is the hello. */
#pragma once

#define ADMIN_MAGIC          0x7465726eu /* "tern" */
#define ADMIN_FORMAT_VERSION 1u
#define ADMIN_HELLO          0xffffu /* type; body of both directions: u32 magic, u32 version */
#define ADMIN_HELLO_BYTES    8u
#define ADMIN_REQUEST_HEAD   6u /* type and call id */
#define ADMIN_RESPONSE_HEAD  10u
#define ADMIN_REQUEST_MAX    (1u << 20)
#define ADMIN_RESPONSE_MAX   (64u << 20)
