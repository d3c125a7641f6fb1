/* SPDX-License-Identifier: Apache-2.0 */
/* Several nets on one loop over loopback, with certificates of their own. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/trace.h"
#include "net/certs.h"
#include "net/clock_real.h"
#include "net/net.h"
#include "tests/lib/test.h"

#define RIG_NODES 4
#define RIG_LINES 256

static char rig_lines[RIG_LINES][320];
static size_t rig_line_count;

static inline void rig_sink(enum trace_level level, const char *line)
{
    if (level <= TRACE_WARN && rig_line_count < RIG_LINES) {
        (void)snprintf(rig_lines[rig_line_count++], sizeof rig_lines[0], "%s", line);
    }
}

/* How many warnings so far contain the text. */
static inline size_t rig_said(const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < rig_line_count; i++) {
        count += strstr(rig_lines[i], text) != NULL ? 1 : 0;
    }
    return count;
}

static inline void rig_directory(char out[64])
{
    (void)snprintf(out, 64, "/tmp/tern-net-XXXXXX");
    assert_non_null(mkdtemp(out));
}

static inline void rig_remove(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char path[400];

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(dir);
    (void)rmdir(directory);
}

struct rig {
    uv_loop_t loop;
    struct clock_real *real;
    struct clock *clock;
    char directory[64];
    struct net *nets[RIG_NODES];
};

static inline void rig_cert(const char *directory, uint32_t id, const char *region)
{
    char why[CERTS_WHY] = "";
    struct certs_node node = {.node_id = id, .region = region};

    if (certs_create_node(directory, &node, why) != 0) {
        fail_msg("%s", why);
    }
}

static inline void rig_init(struct rig *rig)
{
    char why[CERTS_WHY];

    memset(rig, 0, sizeof *rig);
    rig_line_count = 0;
    trace_set_sink(rig_sink);
    rig_directory(rig->directory);
    assert_int_equal(certs_create_ca(rig->directory, "acme", 0, why), 0);
    rig_cert(rig->directory, 1, "eu-west");
    rig_cert(rig->directory, 2, "eu-central");
    rig_cert(rig->directory, 3, "eu-north");
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->real = clock_real_new(&rig->loop);
    rig->clock = clock_real_clock(rig->real);
}

static inline const char *rig_region(uint32_t id)
{
    static const char *const regions[] = {"", "eu-west", "eu-central", "eu-north"};

    return regions[id];
}

/* Opens a net with files of any directory; `index` is its place in the rig. */
static inline struct net *rig_open_as(struct rig *rig, unsigned index, const char *directory,
                                      uint32_t id, const char *region, const char *cluster_name,
                                      const struct net_options *limits)
{
    struct net_options options = limits != NULL ? *limits : (struct net_options){0};
    char ca[100];
    char crt[100];
    char key[100];
    char why[256] = "";

    (void)snprintf(ca, sizeof ca, "%s/ca.crt", directory);
    (void)snprintf(crt, sizeof crt, "%s/node-%u.crt", directory, id);
    (void)snprintf(key, sizeof key, "%s/node-%u.key", directory, id);
    options.kafka_address = "127.0.0.1:0";
    options.mesh_address = options.mesh_address != NULL ? options.mesh_address : "127.0.0.1:0";
    options.admin_address = "127.0.0.1:0";
    options.ca_file = ca;
    options.crt_file = crt;
    options.key_file = key;
    options.node_id = id;
    options.region = region;
    options.cluster_name = cluster_name;
    if (net_open(&rig->loop, rig->clock, &options, &rig->nets[index], why) != 0) {
        fail_msg("%s", why);
    }
    return rig->nets[index];
}

static inline struct net *rig_open(struct rig *rig, uint32_t id, const struct net_options *limits)
{
    return rig_open_as(rig, id, rig->directory, id, rig_region(id), "acme", limits);
}

static inline struct wire_hello rig_hello(uint32_t id, uint64_t start_number)
{
    struct wire_hello hello = {.node_id = id,
                               .cluster_name = "acme",
                               .cluster_id = {{1, 2, 3}},
                               .raft_id = 100 + id,
                               .incarnation = 1,
                               .start_number = start_number,
                               .format_version = WIRE_FORMAT_VERSION};
    (void)snprintf(hello.region, sizeof hello.region, "%s", rig_region(id));
    return hello;
}

static inline void rig_late(struct timer *timer)
{
    (void)timer;
}

/* Runs the loop until the condition holds; false after ms. */
static inline bool rig_until(struct rig *rig, bool (*holds)(void *), void *ctx, uint64_t ms)
{
    struct timer late = {.fire = rig_late};
    uint64_t end_us = clock_now_us(rig->clock) + ms * 1000;

    while (!holds(ctx) && clock_now_us(rig->clock) < end_us) {
        timer_set(rig->clock, &late, end_us);
        (void)uv_run(&rig->loop, UV_RUN_ONCE);
    }
    timer_stop(rig->clock, &late);
    return holds(ctx);
}

static inline bool rig_never(void *ctx)
{
    (void)ctx;
    return false;
}

static inline void rig_run_ms(struct rig *rig, uint64_t ms)
{
    (void)rig_until(rig, rig_never, NULL, ms);
}

static inline void rig_done(void *ctx)
{
    *(bool *)ctx = true;
}

static inline bool rig_is_true(void *ctx)
{
    return *(bool *)ctx;
}

static inline void rig_close_net(struct rig *rig, unsigned index)
{
    bool done = false;

    net_close(rig->nets[index], rig_done, &done);
    rig->nets[index] = NULL;
    assert_true(rig_until(rig, rig_is_true, &done, 5000));
}

static inline void rig_fini(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_NODES; i++) {
        if (rig->nets[i] != NULL) {
            rig_close_net(rig, i);
        }
    }
    clock_real_close(rig->real);
    (void)uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0); /* no handle is left */
    rig_remove(rig->directory);
    trace_set_sink(NULL);
}
