/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int unix_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof out->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(out->sun_path, path, strlen(path));
    return 0;
}

static int dial(const char *path)
{
    struct sockaddr_un address;
    int fd = -1;

    if (unix_address(path, &address) == 0) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int control_listen(struct control_socket *control, const char *path, char why[160])
{
    struct sockaddr_un address;
    int alive = dial(path);

    memset(control, 0, sizeof *control);
    control->fd = -1;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        control->clients[i].fd = -1;
    }
    if (alive >= 0) {
        (void)close(alive);
        (void)snprintf(why, 160, "%.100s belongs to an emulator that runs", path);
        return -1;
    }
    if (errno == ECONNREFUSED) {
        (void)unlink(path);
    }
    mode_t before = umask(0077);
    if (unix_address(path, &address) != 0 ||
        (control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
        bind(control->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(control->fd, CONTROL_CLIENTS_MAX) != 0) {
        (void)snprintf(why, 160, "%.100s: %.50s", path, strerror(errno));
        (void)umask(before);
        return -1;
    }
    (void)umask(before);
    return 0;
}

static void drop(struct control_client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    client->fd = -1;
    client->len = 0;
}

void control_close(struct control_socket *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        drop(&control->clients[i]);
    }
    if (control->fd >= 0) {
        (void)close(control->fd);
    }
    control->fd = -1;
}

int control_accept(struct control_socket *control)
{
    struct control_client *place = &control->clients[0];
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return -1;
    }
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX && place->fd >= 0; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd < 0 || client->heard < place->heard) {
            place = client;
        }
    }
    drop(place);
    place->fd = fd;
    place->heard = ++control->words;
    return (int)(place - control->clients);
}

/* False if the client has no room for the answer. */
static bool answer(const struct control_client *client, char *line,
                   void (*command)(void *arg, char *line, FILE *out), void *arg)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CHECK(out != NULL);
    command(arg, line, out);
    CHECK(fclose(out) == 0);
    ssize_t sent = send(client->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    return sent == (ssize_t)len;
}

bool control_read(struct control_socket *control, struct control_client *client,
                  void (*command)(void *arg, char *line, FILE *out), void *arg)
{
    char *end;

    ssize_t got = read(client->fd, client->line + client->len, CONTROL_LINE_MAX - client->len);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got <= 0) {
        drop(client);
        return false;
    }
    client->len += (size_t)got;
    client->heard = ++control->words;
    while ((end = memchr(client->line, '\n', client->len)) != NULL) {
        size_t used = (size_t)(end - client->line) + 1;
        *end = '\0';
        if (!answer(client, client->line, command, arg)) {
            drop(client);
            return false;
        }
        memmove(client->line, client->line + used, client->len - used);
        client->len -= used;
    }
    if (client->len == CONTROL_LINE_MAX) {
        static const char refusal[] = "error: the line is too long\n";
        (void)send(client->fd, refusal, sizeof refusal - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        drop(client);
        return false;
    }
    return true;
}

int control_ask(const char *path, char *const *words, FILE *out)
{
    char line[4096];
    size_t room = sizeof line;
    int fd = dial(path);
    FILE *stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
    int result = 2;

    if (stream == NULL) {
        (void)fprintf(stderr, "wan: no emulator answers at %s: %s\n", path, strerror(errno));
        return 2;
    }
    for (; *words != NULL; words++) {
        (void)fprintf(stream, "%s ", *words);
    }
    (void)fprintf(stream, "\n");
    (void)fflush(stream);
    while (fgets(line, (int)room, stream) != NULL) {
        if (strcmp(line, "ok\n") == 0) {
            result = 0;
            break;
        }
        if (strncmp(line, "error: ", 7) == 0) {
            (void)fprintf(stderr, "wan: %s", line + 7);
            result = 1;
            break;
        }
        (void)fputs(line, out);
    }
    if (result == 2) {
        (void)fprintf(stderr, "wan: the emulator hung up\n");
    }
    (void)fclose(stream);
    return result;
}
