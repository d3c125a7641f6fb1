/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "network.h"

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static uint64_t dropped(const struct link_counters *c)
{
    return c->lost + c->cut + c->full + c->unread;
}

/* The upper end in us of the bucket that holds this part of all frames; 0 if there were none. */
static double late_us(const struct network *network, double part)
{
    uint64_t all = 0;
    uint64_t seen = 0;
    double limit_us = 1;

    for (unsigned i = 0; i < NETWORK_LATE_BUCKETS; i++) {
        all += network->late[i];
    }
    for (unsigned i = 0; i < NETWORK_LATE_BUCKETS && all > 0; i++) {
        seen += network->late[i];
        if ((double)seen >= part * (double)all) {
            return limit_us;
        }
        limit_us *= 1.4142135623730951;
    }
    return 0;
}

static double seconds(const struct network *network, uint64_t now_ns)
{
    return (double)(now_ns - network->counted_since_ns) / 1e9;
}

static uint64_t bytes_delivered(const struct network *network)
{
    uint64_t bytes = 0;

    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            bytes += network->links[from][to].counters.delivered_bytes;
        }
    }
    return bytes;
}

static double cpu_per_gb(const struct network *network)
{
    uint64_t bytes = bytes_delivered(network);

    return bytes == 0 ? 0 : (double)network->cpu_us * 1e3 / (double)bytes;
}

static const char *mode(const struct link *link)
{
    return link_splits(link) ? "split" : "offload";
}

static void show_link(const struct network *network, uint32_t from, uint32_t to, FILE *out)
{
    const struct link *link = &network->links[from][to];
    const struct link_settings *s = &link->told;
    const struct link_counters *c = &link->counters;
    char rate[24] = "-";

    if (s->rate_kbit > 0) {
        (void)snprintf(rate, sizeof rate, "%.6g", (double)s->rate_kbit / 1000);
    }
    (void)fprintf(out,
                  "%-12s %-12s %8.3f %7.3f %6.4g %6.4g %7.4g %8s %-7s %10" PRIu64 " %12" PRIu64
                  " %8.4f %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "%s\n",
                  network->nodes[from].name, network->nodes[to].name, (double)s->delay_us / 1000,
                  (double)s->jitter_us / 1000, (double)s->loss_ppm / 10000,
                  (double)s->duplicate_ppm / 10000, (double)s->reorder_ppm / 10000, rate,
                  mode(link), c->offered, c->offered_bytes, percent(dropped(c), c->offered),
                  c->lost, c->cut, c->full + c->unread, c->duplicated, c->reordered,
                  link->cut ? "  CUT" : "");
}

void network_show(const struct network *network, uint64_t now_ns, FILE *out)
{
    uint64_t strays = 0;
    uint64_t missed = 0;

    (void)fprintf(out, "profile %s, seed %" PRIu64 ", counted for %.1f s\n", network->profile,
                  network->seed, seconds(network, now_ns));
    (void)fprintf(out,
                  "%-12s %-12s %8s %7s %6s %6s %7s %8s %-7s %10s %12s %8s %8s %8s %8s %8s "
                  "%8s\n",
                  "FROM", "TO", "DELAY-MS", "JITTER", "LOSS%", "DUP%", "REORD%", "MBIT/S", "MODE",
                  "PACKETS", "BYTES", "DROPPED%", "LOST", "CUT", "FULL", "DOUBLED", "REORDER");
    for (uint32_t from = 0; from < network->count; from++) {
        strays += network->nodes[from].strays;
        missed += network->nodes[from].missed;
        for (uint32_t to = 0; to < network->count; to++) {
            if (from != to) {
                show_link(network, from, to, out);
            }
        }
    }
    (void)fprintf(out,
                  "PACKETS are of the wire. Late by p50 %.0f us, p99 %.0f us, all %.0f us. "
                  "%.2f CPU-s/GB. Strays %" PRIu64 ", missed before the emulator %" PRIu64 ".\n",
                  late_us(network, 0.5), late_us(network, 0.99), late_us(network, 1),
                  cpu_per_gb(network), strays, missed);
}

static void json_link(const struct network *network, uint32_t from, uint32_t to, FILE *out)
{
    const struct link *link = &network->links[from][to];
    const struct link_settings *s = &link->told;
    const struct link_counters *c = &link->counters;

    (void)fprintf(out,
                  "{\"from\":\"%s\",\"to\":\"%s\",\"cut\":%s,\"mode\":\"%s\",\"delay_ms\":%.3f,"
                  "\"jitter_ms\":%.3f,\"loss_percent\":%.4f,\"duplicate_percent\":%.4f,"
                  "\"reorder_percent\":%.4f,\"reorder_by_ms\":%.3f,\"rate_kbit\":%" PRIu64
                  ",\"queue_bytes\":%" PRIu64 ",",
                  network->nodes[from].name, network->nodes[to].name, link->cut ? "true" : "false",
                  mode(link), (double)s->delay_us / 1000, (double)s->jitter_us / 1000,
                  (double)s->loss_ppm / 10000, (double)s->duplicate_ppm / 10000,
                  (double)s->reorder_ppm / 10000, (double)s->reorder_us / 1000, s->rate_kbit,
                  s->queue_bytes);
    (void)fprintf(out,
                  "\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"delivered\":%" PRIu64
                  ",\"delivered_bytes\":%" PRIu64 ",\"frames\":%" PRIu64 ",\"lost\":%" PRIu64
                  ",\"cut_off\":%" PRIu64 ",\"queue_full\":%" PRIu64 ",\"unread\":%" PRIu64
                  ",\"duplicated\":%" PRIu64 ",\"reordered\":%" PRIu64
                  ",\"dropped_percent\":%.5f,\"held_frames\":%u,\"held_bytes\":%" PRIu64 "}",
                  c->offered, c->offered_bytes, c->delivered, c->delivered_bytes, c->frames,
                  c->lost, c->cut, c->full, c->unread, c->duplicated, c->reordered,
                  percent(dropped(c), c->offered), link->held, link->held_bytes);
}

void network_show_json(const struct network *network, uint64_t now_ns, FILE *out)
{
    const char *comma = "";

    (void)fprintf(out,
                  "{\"profile\":\"%s\",\"seed\":%" PRIu64
                  ",\"seconds\":%.3f,\"cpu_s\":%.6f,\"cpu_s_per_gb\":%.3f,\"late_us_p50\":%.0f,"
                  "\"late_us_p99\":%.0f,\"nodes\":[",
                  network->profile, network->seed, seconds(network, now_ns),
                  (double)network->cpu_us / 1e6, cpu_per_gb(network), late_us(network, 0.5),
                  late_us(network, 0.99));
    for (uint32_t i = 0; i < network->count; i++) {
        (void)fprintf(out, "%s{\"name\":\"%s\",\"strays\":%" PRIu64 ",\"missed\":%" PRIu64 "}",
                      comma, network->nodes[i].name, network->nodes[i].strays,
                      network->nodes[i].missed);
        comma = ",";
    }
    (void)fputs("],\"links\":[", out);
    comma = "";
    for (uint32_t from = 0; from < network->count; from++) {
        for (uint32_t to = 0; to < network->count; to++) {
            if (from != to) {
                (void)fputs(comma, out);
                json_link(network, from, to, out);
                comma = ",";
            }
        }
    }
    (void)fputs("]}\n", out);
}
