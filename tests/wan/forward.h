/* SPDX-License-Identifier: Apache-2.0 */
/* A port forwarder: what connects to the first address of a rule is carried to the second one, both
 * in the rule's network namespace. */
#pragma once

/* Each rule is "NETNS,ADDRESS:PORT,ADDRESS:PORT", NETNS "-" for the caller's own. Runs until SIGTERM
 * or SIGINT; 0, or 1 after a line on stderr. */
int forward_run(char *const *rules);

/* The path of a namespace that is given by name or path. */
void netns_path(const char *name, char out[128]);
