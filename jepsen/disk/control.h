/* SPDX-License-Identifier: Apache-2.0 */
/* The command socket of a rig: a connection, a line of words, an answer of one line that begins
 * with `ok` or `error`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

#define CONTROL_LINE_MAX  512
#define CONTROL_WORDS_MAX 16

struct control_words {
    size_t count;
    char *word[CONTROL_WORDS_MAX];
};

/* Answers one command into `answer` (CONTROL_LINE_MAX bytes). Called from the control thread. */
typedef void control_handler(void *ctx, const struct control_words *words, char *answer);

/* Listens on a unix socket at `path`, replacing an old one. 0 or an errno. */
int control_listen(const char *path, int *out_fd) TERN_MUST_USE;
/* Serves it in a thread of its own (so: after a fork). */
void control_start(int fd, control_handler *handler, void *ctx);
/* The value of `name=N` among the words from `first` on, or `otherwise`. */
uint64_t control_number(const struct control_words *words, size_t first, const char *name,
                        uint64_t otherwise);
/* The text of `name=text`, or NULL. */
const char *control_text(const struct control_words *words, size_t first, const char *name);
/* The client: sends the words, prints the answer; exit status 0 (ok), 1 (error or nobody there). */
int control_ask(const char *path, int count, char **words);
