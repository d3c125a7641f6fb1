/* SPDX-License-Identifier: Apache-2.0 */
#include "net/congestion.h"

#include <linux/tcp.h> /* glibc's tcp_info has no count of packets with data */
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

static void judge_anew(struct congestion *c, uint32_t sent, uint32_t resent)
{
    c->sent = sent;
    c->resent = resent;
}

bool congestion_look(struct congestion *c, uint32_t sent, uint32_t resent)
{
    uint64_t packets = sent - c->sent; /* differences survive a wrap */
    uint64_t lost = resent - c->resent;

    if (lost >= CONGESTION_LOST_MIN && lost * 1000 >= packets * CONGESTION_LOSSY) {
        c->lossy = true;
        c->clean = 0;
        judge_anew(c, sent, resent);
    } else if (packets >= CONGESTION_JUDGED) {
        c->clean = lost * 1000 < packets * CONGESTION_CLEAN ? c->clean + 1 : 0;
        if (c->clean >= CONGESTION_CLEAN_LOOKS) {
            c->lossy = false;
            c->clean = 0;
        }
        judge_anew(c, sent, resent);
    }
    return c->lossy;
}

enum congestion_kind congestion_for(bool lossy)
{
    return lossy ? CONGESTION_BBR : CONGESTION_CUBIC;
}

const char *congestion_name(enum congestion_kind kind)
{
    return kind == CONGESTION_BBR ? "bbr" : "cubic";
}

bool congestion_set(int fd, enum congestion_kind kind)
{
    const char *name = congestion_name(kind);

    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0;
}

bool congestion_read(int fd, uint32_t *out_sent, uint32_t *out_resent)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_data_segs_out) + sizeof info.tcpi_data_segs_out) {
        return false;
    }
    *out_sent = info.tcpi_data_segs_out;
    *out_resent = info.tcpi_total_retrans;
    return true;
}
