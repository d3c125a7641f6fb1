/* SPDX-License-Identifier: Apache-2.0 */
/* Checks JSON against the part of JSON Schema that docs/reference/ uses: type, enum, minimum,
 * properties, required, additionalProperties, items. Another word in a schema is an error, so that
 * nothing is silently not checked. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* False: `why` says where and what. */
bool schema_check(const json_t *schema, const json_t *value, char why[256]);
/* docs/reference/NAME.schema.json, from the root of the checkout or below it. NULL: not there. */
json_t *schema_load(const char *name);
