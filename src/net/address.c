/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/error.h"

bool address_parse(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;

    if (colon == NULL) {
        return false;
    }
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        host++;
        len -= 2;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    if (len >= sizeof out->host || digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
        strtol(colon + 1, NULL, 10) > 65535) {
        return false;
    }
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    (void)snprintf(out->port, sizeof out->port, "%.5s", colon + 1);
    return true;
}

static int lookup(const struct address *address, int flags, struct sockaddr_storage *out,
                  size_t max, size_t *out_count)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found;
    int result =
        getaddrinfo(address->host[0] != '\0' ? address->host : NULL, address->port, &hints, &found);

    if (result != 0) {
        return result;
    }
    *out_count = 0;
    for (const struct addrinfo *each = found; each != NULL && *out_count < max;
         each = each->ai_next) {
        CHECK(each->ai_addrlen <= sizeof *out);
        memset(&out[*out_count], 0, sizeof *out);
        memcpy(&out[(*out_count)++], each->ai_addr, each->ai_addrlen);
    }
    freeaddrinfo(found);
    return 0;
}

bool address_numeric(const struct address *address, struct sockaddr_storage *out)
{
    size_t count;

    return lookup(address, AI_NUMERICHOST, out, 1, &count) == 0;
}

int address_resolve(const char *text, bool passive, struct sockaddr_storage *out, size_t max,
                    size_t *out_count, char why[256])
{
    struct address address;

    if (!address_parse(text, &address)) {
        (void)snprintf(why, 256, "\"%.100s\" is not an address; it should be host:port", text);
        return TERN_EINVALIDCONFIG;
    }
    int result = lookup(&address, passive ? AI_PASSIVE : 0, out, max, out_count);
    if (result != 0) {
        (void)snprintf(why, 256, "cannot find the host of %.100s: %s", text, gai_strerror(result));
        return TERN_ENOENT;
    }
    return 0;
}

socklen_t address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

void address_text(const struct sockaddr *address, char out[64])
{
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        port = ntohs(v4->sin_port);
        (void)snprintf(out, 64, "%s:%u", host, port);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        port = ntohs(v6->sin6_port);
        (void)snprintf(out, 64, "[%s]:%u", host, port);
    } else {
        (void)snprintf(out, 64, "?");
    }
}
