/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/run.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "admin/server.h"
#include "admin/version.h"
#include "base/error.h"
#include "daemon/disk_watch.h"
#include "daemon/log.h"
#include "net/abandon.h"
#include "net/clock_real.h"
#include "net/net.h"
#include "net/notify.h"
#include "store/disk_real.h"

#define STOP_MS 8000
/* What requests and reads of up to KEPT_BLOCK use is used again, and KEPT_BYTES of it stay when nobody
 * does: memory from the kernel has to be cleared, and comes a page at a time. */
#define KEPT_BLOCK (4 << 20)
#define KEPT_BYTES (16 << 20)
#define PATH_ROOM  64 /* "/node-63.key" and the like */

struct running {
    const struct config *config;
    uv_loop_t loop;
    uv_signal_t signals[3];
    struct clock_real *clock;
    struct disk *disk;
    struct disk_watch *watch;
    struct net *net;
    struct node *node;
    struct admin *admin;
    bool stopping;
    bool stopped;
};

/* For whoever reads the last lines of the log. */
static void advise(int error)
{
    if (error == TERN_EIO) {
        trace_error(
            "event=advice what=\"the disk failed, so this node stops; it acknowledges nothing "
            "more, and what it has acknowledged had been synced\" "
            "do=\"look at the kernel's log; replace a disk that goes on failing; then start "
            "ternd again, with this data directory or an empty one: it catches up by "
            "itself\"");
    }
}

/* Nothing may be acknowledged after this, so nothing is closed in good order either. */
static void on_fatal(void *ctx, int error, const char *what)
{
    (void)ctx;
    trace_error("event=fatal error=%s what=\"%s\"", error_name(error), what);
    advise(error);
    net_abandon(); /* a write that hangs may hold the process back */
    _exit(1);
}

static void on_stopped(void *ctx)
{
    struct running *running = ctx;

    trace_info("event=stopped");
    running->stopped = true;
    uv_stop(&running->loop);
}

struct cert_paths {
    char ca[CONFIG_PATH_MAX + PATH_ROOM];
    char crt[CONFIG_PATH_MAX + PATH_ROOM];
    char key[CONFIG_PATH_MAX + PATH_ROOM];
};

static void name_certs(const struct config *config, struct cert_paths *out)
{
    (void)snprintf(out->ca, sizeof out->ca, "%s/ca.crt", config->certs);
    (void)snprintf(out->crt, sizeof out->crt, "%s/node-%u.crt", config->certs, config->node_id);
    (void)snprintf(out->key, sizeof out->key, "%s/node-%u.key", config->certs, config->node_id);
}

/* Certificates, and how much is logged. All else is what other nodes and clients have been told, or
 * what the files were laid out by: that needs a restart. */
static void reload(struct running *running)
{
    static struct config fresh; /* big */
    struct cert_paths certs;
    char why[CONFIG_WHY] = "";

    if (config_read(running->config->argc, running->config->argv, &fresh, why) != CONFIG_RUN) {
        trace_error("event=reload_failed what=\"%s\" do=\"nothing was changed\"", why);
        return;
    }
    log_start(fresh.log_level, fresh.log_json, running->config->node_id, running->config->region);
    if (strcmp(fresh.certs, running->config->certs) != 0) {
        trace_warn("event=reload what=\"another directory of certificates needs a restart\"");
    }
    name_certs(running->config, &certs);
    if (net_reload_certs(running->net, certs.ca, certs.crt, certs.key, why) != 0) {
        trace_error("event=reload_failed what=\"%s\" do=\"the old certificate stays in use\"", why);
        return;
    }
    trace_info("event=reloaded what=\"certificates for new connections, log level and format; "
               "other settings need a restart\"");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct running *running = handle->data;

    if (number == SIGHUP) {
        char state[64];
        (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
                       (unsigned long long)clock_now_us(clock_real_clock(running->clock)));
        (void)notify_manager(state);
        reload(running);
        (void)notify_manager("READY=1");
        return;
    }
    if (running->stopping) {
        trace_warn("event=signal what=\"second one while stopping: ends at once\"");
        _exit(1);
    }
    running->stopping = true;
    (void)notify_manager("STOPPING=1");
    trace_info("event=stopping signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    node_stop(running->node, STOP_MS, on_stopped, running);
}

static void keep_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
}

static int start_signals(struct running *running)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t n = 0; n < ARRAY_COUNT(numbers); n++) {
        int rv = uv_signal_init(&running->loop, &running->signals[n]);

        running->signals[n].data = running;
        rv = rv != 0 ? rv : uv_signal_start(&running->signals[n], on_signal, numbers[n]);
        if (rv != 0) {
            trace_error("event=start_failed what=\"signals: %s\"", uv_strerror(rv));
            return rv;
        }
    }
    return 0;
}

static int open_net(struct running *running, char why[256])
{
    const struct config *config = running->config;
    struct cert_paths certs;
    struct net_options options = {
        .kafka_address = config->listen_kafka,
        .mesh_address = config->listen_mesh,
        .admin_address = config->listen_admin,
        .ca_file = certs.ca,
        .crt_file = certs.crt,
        .key_file = certs.key,
        .node_id = config->node_id,
        .region = config->region,
        .cluster_name = config->cluster,
        .kernel_congestion = config->kernel_congestion,
    };

    name_certs(config, &certs);
    return net_open(&running->loop, clock_real_clock(running->clock), &options, &running->net, why);
}

/* Port 0 is chosen by the system, so what is advertised is known only now. */
static void advertise(const struct running *running, enum net_port port, const char *configured,
                      char out[WIRE_ADDRESS_MAX])
{
    size_t len = strlen(configured);

    (void)snprintf(out, WIRE_ADDRESS_MAX, "%s", configured);
    if (len > 2 && strcmp(configured + len - 2, ":0") == 0) {
        const char *bound = strrchr(net_address(running->net, port), ':');

        CHECK(bound != NULL);
        (void)snprintf(out, WIRE_ADDRESS_MAX, "%.*s%s", (int)(len - 2), configured, bound);
    }
}

/* "host:port" in two; the configuration has checked its form. */
static void split_address(const char *address, char host[WIRE_ADDRESS_MAX], uint16_t *out_port)
{
    const char *colon = strrchr(address, ':');

    CHECK(colon != NULL);
    (void)snprintf(host, WIRE_ADDRESS_MAX, "%.*s", (int)(colon - address), address);
    *out_port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

static int open_node(struct running *running, char why[256])
{
    const struct config *config = running->config;
    char kafka[WIRE_ADDRESS_MAX];
    struct node_options options = {
        .disk = running->disk,
        .clock = clock_real_clock(running->clock),
        .wire = net_wire(running->net),
        .node_id = config->node_id,
        .witness = config->witness,
        .new_incarnation = config->new_incarnation,
        .seed_count = config->seed_count,
        .store = config->store,
        .snapshot_entries = config->snapshot_entries,
        .election_ms = config->election_ms,
        .suspicion_ms = config->suspicion_ms,
        .lease_ms = config->lease_ms,
        .auto_create_topics = config->auto_create_topics,
        .group_initial_delay_ms = config->group_initial_delay_ms,
        .group_retention_ms = config->group_retention_ms,
        .group_session_ms = config->group_session_ms,
        .group_interval_ms = config->group_interval_ms,
        .fatal = on_fatal,
        .ctx = running,
    };

    (void)snprintf(options.cluster_name, sizeof options.cluster_name, "%s", config->cluster);
    (void)snprintf(options.region, sizeof options.region, "%s", config->region);
    (void)snprintf(options.rack, sizeof options.rack, "%s", config->rack);
    advertise(running, NET_MESH, config->advertise_mesh, options.mesh_address);
    advertise(running, NET_ADMIN, config->advertise_admin, options.admin_address);
    advertise(running, NET_KAFKA, config->advertise_kafka, kafka);
    split_address(kafka, options.kafka_host, &options.kafka_port);
    (void)snprintf(options.data_dir, sizeof options.data_dir, "%.255s", config->data);
    memcpy(options.seeds, config->seeds, sizeof options.seeds);
    return node_open(&options, &running->node, why);
}

/* Who holds the lock of this directory; 0: it can't be told. /proc/locks names locks by inode. */
static long lock_holder(const char *data)
{
    char path[CONFIG_PATH_MAX + PATH_ROOM];
    char line[256];
    struct stat stat_now;
    long holder = 0;
    FILE *locks;

    (void)snprintf(path, sizeof path, "%s/LOCK", data);
    if (stat(path, &stat_now) != 0) {
        return 0;
    }
    locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return 0;
    }
    while (holder == 0 && fgets(line, sizeof line, locks) != NULL) {
        const char *colon =
            strrchr(line, ':'); /* "1: FLOCK ADVISORY WRITE PID MM:mm:INODE 0 EOF" */
        const char *word = line;

        if (colon == NULL || strstr(line, " FLOCK ") == NULL ||
            strtoull(colon + 1, NULL, 10) != stat_now.st_ino) {
            continue;
        }
        for (int n = 0; n < 4; n++) {
            word += strcspn(word, " ");
            word += strspn(word, " ");
        }
        holder = strtol(word, NULL, 10);
    }
    (void)fclose(locks);
    return holder;
}

static int open_disk(struct running *running, char why[256])
{
    const char *data = running->config->data;
    int rv = disk_real_open(&running->loop, data, &running->disk);
    long holder;

    if (rv == TERN_ELOCKED) {
        holder = lock_holder(data);
        if (holder > 0) {
            (void)snprintf(why, 256, "another process uses %.160s: pid %ld", data, holder);
        } else {
            (void)snprintf(why, 256, "another process uses %.160s", data);
        }
    } else if (rv != 0) {
        (void)snprintf(why, 256, "%.160s can't be opened or made: %s", data, error_sentence(rv));
    }
    return rv;
}

static int start(struct running *running)
{
    const struct config *config = running->config;
    struct admin_options admin = {0};
    char why[256] = "";
    const char *step = "data";
    int rv = open_disk(running, why);

    if (rv == 0) {
        step = "net";
        rv = open_net(running, why);
    }
    if (rv == 0) {
        step = "node";
        rv = open_node(running, why);
    }
    if (rv != 0) {
        trace_error("event=start_failed step=%s error=%s what=\"%s\"", step, error_name(rv),
                    why[0] != '\0' ? why : error_sentence(rv));
        advise(rv);
        return rv;
    }
    admin = (struct admin_options){
        .node = running->node, .clock = clock_real_clock(running->clock), .net = running->net};
    running->admin = admin_new(&admin);
    running->watch = disk_watch_new(running->disk);
    trace_info("event=started version=%s kafka=%s mesh=%s admin=%s data=%s", TERN_VERSION,
               net_address(running->net, NET_KAFKA), net_address(running->net, NET_MESH),
               net_address(running->net, NET_ADMIN), config->data);
    (void)notify_manager("READY=1");
    return 0;
}

static void on_net_closed(void *ctx)
{
    *(bool *)ctx = true;
}

/* Everything is durable already: this only gives back what was taken, so that a leak is seen. */
static void give_back(struct running *running)
{
    struct wire *wire;
    bool net_closed = false;

    admin_free(running->admin);
    disk_watch_free(running->watch);
    while (disk_real_ops_under_way(running->disk) > 0) {
        (void)uv_run(&running->loop, UV_RUN_ONCE);
    }
    wire = net_wire(running->net);
    wire->ops->set_handler(wire, NULL, NULL); /* the node hears of nothing any more */
    node_close(running->node);
    disk_real_close(running->disk);
    net_close(running->net, on_net_closed, &net_closed);
    while (!net_closed) {
        (void)uv_run(&running->loop, UV_RUN_ONCE);
    }
    clock_real_close(running->clock);
    for (size_t n = 0; n < ARRAY_COUNT(running->signals); n++) {
        uv_close((uv_handle_t *)&running->signals[n], NULL);
    }
    (void)uv_run(&running->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&running->loop) == 0);
}

int run(const struct config *config)
{
    static struct running running; /* big, and alive until the process ends */

    running.config = config;
    keep_memory();
    log_start(config->log_level, config->log_json, config->node_id, config->region);
    CHECK(uv_loop_init(&running.loop) == 0);
    running.clock = clock_real_new(&running.loop);
    if (start_signals(&running) != 0 || start(&running) != 0) {
        return 1;
    }
    (void)uv_run(&running.loop, UV_RUN_DEFAULT);
    CHECK(running.stopped);
    give_back(&running);
    return 0;
}
