/* SPDX-License-Identifier: Apache-2.0 */
/* What the roster says of the producers of each log, and whether that is true of the log. */
#pragma once

#include "tests/crash/model.h"

/* Of what the last batch is, which no other batch has: so it can be seen later whether this is said
 * of the log that is there then. Not of every log, for then the roster before counts. */
bool roster_tell(const struct model_state *called, const struct store_log *log, struct buf *out);
/* What producers are loaded from a roster must be said of this very log. */
const char *roster_lies(const struct model_state *state, struct store *store);
