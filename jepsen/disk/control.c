/* SPDX-License-Identifier: Apache-2.0 */
#include "jepsen/disk/control.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    int fd;
    control_handler *handler;
    void *ctx;
};

static int address_of(const char *path, struct sockaddr_un *out)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof out->sun_path) {
        return ENAMETOOLONG;
    }
    memcpy(out->sun_path, path, strlen(path) + 1);
    return 0;
}

/* Up to a newline or the end; false if it is too long. */
static bool read_line(int fd, char *line)
{
    size_t len = 0;

    while (len < CONTROL_LINE_MAX - 1) {
        ssize_t n = read(fd, line + len, CONTROL_LINE_MAX - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        if (memchr(line, '\n', len) != NULL) {
            break;
        }
    }
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return len < CONTROL_LINE_MAX - 1;
}

static void serve_one(const struct listener *listener, int fd)
{
    char line[CONTROL_LINE_MAX];
    char answer[CONTROL_LINE_MAX] = "error too long";
    struct control_words words = {.count = 0};
    char *rest = line;
    char *word = NULL;

    if (read_line(fd, line)) {
        while ((word = strsep(&rest, " ")) != NULL && words.count < CONTROL_WORDS_MAX) {
            if (word[0] != '\0') {
                words.word[words.count++] = word;
            }
        }
        listener->handler(listener->ctx, &words, answer);
    }
    (void)!write(fd, answer, strlen(answer));
    (void)!write(fd, "\n", 1);
}

static void *listen_on(void *arg)
{
    struct listener *listener = arg;

    for (;;) {
        int fd = accept(listener->fd, NULL, NULL);
        if (fd >= 0) {
            serve_one(listener, fd);
            (void)close(fd);
        }
    }
    return NULL;
}

int control_listen(const char *path, int *out_fd)
{
    struct sockaddr_un address;
    int error = address_of(path, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (error != 0 || fd < 0) {
        error = error != 0 ? error : errno;
        goto err_close;
    }
    (void)unlink(path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0) {
        error = errno;
        goto err_close;
    }
    *out_fd = fd;
    return 0;

err_close:
    if (fd >= 0) {
        (void)close(fd);
    }
    return error;
}

void control_start(int fd, control_handler *handler, void *ctx)
{
    struct listener *listener = mem_new(sizeof *listener);
    pthread_t thread;

    listener->fd = fd;
    listener->handler = handler;
    listener->ctx = ctx;
    CHECK(pthread_create(&thread, NULL, listen_on, listener) == 0);
    (void)pthread_detach(thread);
}

const char *control_text(const struct control_words *words, size_t first, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = first; i < words->count; i++) {
        if (strncmp(words->word[i], name, len) == 0 && words->word[i][len] == '=') {
            return words->word[i] + len + 1;
        }
    }
    return NULL;
}

uint64_t control_number(const struct control_words *words, size_t first, const char *name,
                        uint64_t otherwise)
{
    const char *text = control_text(words, first, name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

int control_ask(const char *path, int count, char **words)
{
    struct sockaddr_un address;
    char line[CONTROL_LINE_MAX];
    size_t len = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || address_of(path, &address) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    for (int i = 0; i < count && len < sizeof line - 2; i++) {
        len += (size_t)snprintf(line + len, sizeof line - 2 - len, "%s ", words[i]);
    }
    len = len < sizeof line - 2 ? len : sizeof line - 2;
    line[len++] = '\n';
    (void)!write(fd, line, len);
    (void)read_line(fd, line);
    (void)close(fd);
    puts(line);
    return strncmp(line, "ok", 2) == 0 ? 0 : 1;
}
