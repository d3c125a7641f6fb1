/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_faults.h"

#include <stdio.h>

#include "tests/lib/mem_disk.h"

enum fault {
    FAULT_KILL,        /* a process */
    FAULT_POWER,       /* a machine, with what its disk had not synced */
    FAULT_POWER_MANY,  /* several at the same time, perhaps all */
    FAULT_WRITE_POINT, /* a machine, between two writes */
    FAULT_CUT,         /* between two places */
    FAULT_CUT_ONE_WAY,
    FAULT_ISOLATE, /* a place from all others */
    FAULT_RESET,   /* connections between two places */
    FAULT_PAUSE,   /* a process */
    FAULT_SLOW_DISK,
    FAULT_FULL_DISK, /* below its reserve, not quite full */
    FAULT_EIO,       /* one write or sync fails: the process has to end */
    FAULT_WIPE,      /* an empty disk in a machine; at most one of these two in a run */
    FAULT_ROLL_BACK, /* an old copy of its disk */
    FAULT_LOSS,      /* packets between two places: TCP sends them again, later and later */
    FAULT_NARROW,    /* little bandwidth between two places */
    FAULT_LATE,      /* and long queues */
    FAULT_FLAP,      /* a way that is cut and healed, over and over */
    FAULT_CLOCK,     /* a node's wall clock jumps */
    FAULT_BIT_ROT,   /* a bit of a stored record, once in a run; it is one of the forgetful ones */
    FAULT_CUT_FILE, /* the end of a file is gone when a machine comes back; once, and as forgetful */
    FAULTS,
};

/* Those that came later: other shapes keep their runs. */
#define FAULT_FIRST_OF_ALL FAULT_LOSS

static const char *const names[FAULTS] = {
    "kill",  "power",  "power-many", "write-point", "cut",   "cut-one-way", "isolate",
    "reset", "pause",  "slow-disk",  "full-disk",   "eio",   "wipe",        "roll-back",
    "loss",  "narrow", "late",       "flap",        "clock", "bit-rot",     "cut-file",
};

struct way {
    struct sim *sim;
    uint32_t flaps; /* so many more times */
    struct timer flap;
    struct timer better;
    uint32_t from;
    uint32_t to;
    struct timer heal;
};

struct machine {
    struct sim *sim;
    uint32_t id;
    struct timer resume;
    struct timer fast_again;
    struct timer room_again;
};

struct sim_faults {
    struct sim *sim;
    bool exists[FAULTS];
    uint64_t kinds;
    uint64_t pace_us;
    uint64_t longest_us;
    struct timer next;
    bool forgot;           /* a disk was wiped or rolled back */
    struct disk *old_copy; /* of old_node's disk, as it was before its start number `old_start` */
    uint32_t old_node;
    uint64_t old_start;
    uint32_t tender; /* nothing new goes wrong before this node is found out; 0: none */
    struct way ways[SIM_PLACES][SIM_PLACES];
    struct machine machines[SIM_NODES_MAX];
};

static struct prng *chance(struct sim_faults *faults)
{
    return &faults->sim->chance_faults;
}

static uint32_t some_node(struct sim_faults *faults)
{
    return (uint32_t)prng_between(chance(faults), 1, faults->sim->node_count);
}

static uint32_t another_node(struct sim_faults *faults, uint32_t node)
{
    uint32_t count = faults->sim->node_count;

    return (node - 1 + (uint32_t)prng_between(chance(faults), 1, count - 1)) % count + 1;
}

/* Short ones are as dangerous as long ones: each order of magnitude is equally likely. */
static uint64_t how_long(struct sim_faults *faults)
{
    uint64_t us = faults->longest_us;

    for (uint64_t halvings = prng_below(chance(faults), 7); halvings > 0; halvings--) {
        us /= 2;
    }
    return prng_between(chance(faults), us / 2, us);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void crash(struct sim_faults *faults, uint32_t id, enum sim_crash how, uint64_t down_us)
{
    struct sim_node *node = &faults->sim->nodes[id];

    if (node->node == NULL) {
        return;
    }
    sim_node_crash(node, how);
    sim_after(faults->sim, &node->restart, down_us);
}

static void power_many(struct sim_faults *faults)
{
    bool all = prng_chance(chance(faults), 1, 3);

    for (uint32_t id = 1; id <= faults->sim->node_count; id++) {
        if (all || prng_chance(chance(faults), 1, 2)) {
            crash(faults, id, SIM_POWER, how_long(faults));
        }
    }
}

static void write_point(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[id];

    if (node->node != NULL) {
        uint64_t after = prng_between(chance(faults), 1, 40);
        sim_tell(faults->sim, "node %u will stop after %llu more writes", id,
                 (unsigned long long)after);
        mem_disk_stop_at(node->disk, mem_disk_points(node->disk) + after);
    }
}

static void resume(struct timer *timer)
{
    struct machine *machine = CONTAINER_OF(timer, struct machine, resume);

    sim_node_pause(&machine->sim->nodes[machine->id], false);
}

static void pause_node(struct sim_faults *faults, uint32_t id)
{
    sim_node_pause(&faults->sim->nodes[id], true);
    sim_after(faults->sim, &faults->machines[id].resume, how_long(faults));
}

static void fast_again(struct timer *timer)
{
    struct machine *machine = CONTAINER_OF(timer, struct machine, fast_again);

    sim_tell(machine->sim, "the disk of node %u is fast again", machine->id);
    mem_disk_set_latency(machine->sim->nodes[machine->id].disk, 50,
                         machine->sim->nodes[machine->id].disk_us);
}

static void slow_disk(struct sim_faults *faults, uint32_t id)
{
    uint64_t slowest = prng_between(chance(faults), 20 * SIM_MS, 600 * SIM_MS);

    sim_tell(faults->sim, "the disk of node %u takes up to %llu ms", id,
             (unsigned long long)(slowest / 1000));
    mem_disk_set_latency(faults->sim->nodes[id].disk, slowest / 4, slowest);
    sim_after(faults->sim, &faults->machines[id].fast_again, how_long(faults));
}

static void room_again(struct timer *timer)
{
    struct machine *machine = CONTAINER_OF(timer, struct machine, room_again);

    sim_tell(machine->sim, "the disk of node %u has room again", machine->id);
    mem_disk_set_capacity(machine->sim->nodes[machine->id].disk, UINT64_MAX);
}

static void full_disk(struct sim_faults *faults, uint32_t id)
{
    struct disk *disk = faults->sim->nodes[id].disk;
    uint64_t room = prng_between(chance(faults), (uint64_t)4 << 20, (uint64_t)26 << 20);

    sim_tell(faults->sim, "the disk of node %u has room for %llu KiB", id,
             (unsigned long long)(room >> 10));
    mem_disk_set_capacity(disk, mem_disk_used(disk) + room);
    sim_after(faults->sim, &faults->machines[id].room_again, how_long(faults));
}

static void eio(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[id];
    bool sync = prng_chance(chance(faults), 1, 2);

    if (node->node == NULL) {
        return;
    }
    sim_tell(faults->sim, "the next %s of node %u fails", sync ? "sync" : "write", id);
    node->may_die = true;
    if (sync) {
        mem_disk_fail_next_sync(node->disk);
    } else {
        mem_disk_fail_next_write(node->disk);
    }
}

/* An async topic's records may be on its home's disk alone; with failover the home moves. */
static bool is_a_home(const struct sim *sim, uint32_t id)
{
    for (uint32_t i = 0; i < sim->topic_count; i++) {
        if (sim->topics[i].lossy || sim->topics[i].home == (int32_t)sim->nodes[id].region) {
            return true;
        }
    }
    return false;
}

static void wipe(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[id];

    if (faults->forgot || is_a_home(faults->sim, id)) {
        return;
    }
    faults->forgot = true;
    crash(faults, id, SIM_POWER, how_long(faults));
    if (node->node == NULL) {
        sim_tell(faults->sim, "node %u gets an empty disk", id);
        sim_node_change_disk(node, NULL);
    }
}

static bool all_ready(const struct sim *sim)
{
    for (uint32_t id = 1; id <= sim->node_count; id++) {
        const struct sim_node *node = &sim->nodes[id];
        if (node->node == NULL || node->paused || node_phase(node->node) != NODE_READY) {
            return false;
        }
    }
    return true;
}

static void repair_all(struct sim_faults *faults);

/* The first time a copy is made, later it is put back. That the disk is an old one can be known
 * once a start after the copy was registered, from those that have applied that: so until it is
 * known nothing else may go wrong. */
static void roll_back(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[faults->old_copy != NULL ? faults->old_node : id];

    if (faults->forgot || is_a_home(faults->sim, node->id) || node->node == NULL) {
        return;
    }
    if (faults->old_copy == NULL) {
        faults->old_node = node->id;
        faults->old_start = node_start_number(node->node);
        crash(faults, node->id, SIM_POWER, how_long(faults));
        sim_tell(faults->sim, "a copy of node %u's disk is made", node->id);
        faults->old_copy = mem_disk_copy(node->disk, &node->clock.clock, prng_next(chance(faults)));
        return;
    }
    if (node_start_number(node->node) > faults->old_start && all_ready(faults->sim)) {
        faults->forgot = true;
        faults->tender = node->id;
        repair_all(faults);
        crash(faults, node->id, SIM_POWER, how_long(faults));
        sim_tell(faults->sim, "node %u gets the old copy of its disk back", node->id);
        sim_node_change_disk(node, faults->old_copy);
        faults->old_copy = NULL;
    }
}

/* ---- ways ------------------------------------------------------------------------------------ */

static void heal_way(struct timer *timer)
{
    struct way *way = CONTAINER_OF(timer, struct way, heal);

    sim_tell(way->sim, "the way from %u to %u is healed", way->from, way->to);
    sim_net_set_cut(&way->sim->net, way->from, way->to, false);
}

static void cut_way(struct sim_faults *faults, uint32_t from, uint32_t to, uint64_t us)
{
    struct way *way = &faults->ways[from][to];

    sim_tell(faults->sim, "the way from %u to %u is cut", from, to);
    sim_net_set_cut(&faults->sim->net, from, to, true);
    sim_after(faults->sim, &way->heal, us);
}

static void isolate(struct sim_faults *faults, uint32_t id)
{
    uint64_t us = how_long(faults);

    for (uint32_t other = 1; other <= faults->sim->node_count; other++) {
        if (other != id) {
            cut_way(faults, id, other, us);
            cut_way(faults, other, id, us);
        }
    }
}

static void better(struct timer *timer)
{
    struct way *way = CONTAINER_OF(timer, struct way, better);

    sim_tell(way->sim, "the way from %u to %u is good again", way->from, way->to);
    way->sim->net.bad[way->from][way->to] = (struct sim_bad_way){0};
}

static void worsen(struct sim_faults *faults, uint32_t from, uint32_t to, enum fault how,
                   uint64_t us)
{
    struct sim_bad_way *bad = &faults->sim->net.bad[from][to];

    if (how == FAULT_LOSS) {
        bad->loss_percent = (uint32_t)prng_between(chance(faults), 1, 30);
    } else if (how == FAULT_NARROW) {
        bad->us_per_kib = prng_between(chance(faults), 200, 20 * SIM_MS);
    } else {
        bad->late_us = prng_between(chance(faults), 10 * SIM_MS, 400 * SIM_MS);
    }
    sim_tell(faults->sim, "the way from %u to %u: %u %% loss, %llu us per KiB, up to %llu us late",
             from, to, bad->loss_percent, (unsigned long long)bad->us_per_kib,
             (unsigned long long)bad->late_us);
    sim_after(faults->sim, &faults->ways[from][to].better, us);
}

static void flap(struct timer *timer)
{
    struct way *way = CONTAINER_OF(timer, struct way, flap);
    struct sim_net *net = &way->sim->net;
    bool is_cut = sim_net_cut(net, way->from, way->to);

    sim_tell(way->sim, "the way from %u to %u flaps", way->from, way->to);
    sim_net_set_cut(net, way->from, way->to, !is_cut && way->flaps > 0);
    if (way->flaps > 0) {
        way->flaps--;
        sim_after(way->sim, timer,
                  prng_between(&way->sim->chance_faults, 20 * SIM_MS, 700 * SIM_MS));
    }
}

static void clock_jumps(struct sim_faults *faults, uint32_t id)
{
    int64_t ms = (int64_t)prng_below(chance(faults), 7200000) - 3600000;

    sim_tell(faults->sim, "the wall clock of node %u jumps by %lld ms", id, (long long)ms);
    faults->sim->nodes[id].clock.wall_offset_ms += ms;
}

struct rot {
    struct sim_faults *faults;
    struct disk *disk;
    uint64_t files;
    uint64_t wanted; /* one of them; UINT64_MAX: they are counted */
    bool done;
    char path[160]; /* of that one */
    uint64_t len;
};

static void rot_one(void *ctx, const char *path, uint64_t size)
{
    struct rot *rot = ctx;
    size_t len = strlen(path);

    if (strncmp(path, "topics/", 7) != 0 || len < 4 || strcmp(path + len - 4, ".log") != 0 ||
        size <= 128) {
        return;
    }
    if (rot->files++ == rot->wanted) {
        uint64_t pos = prng_between(chance(rot->faults), 64, size - 1);
        rot->done =
            mem_disk_flip(rot->disk, path, pos, (unsigned)prng_below(chance(rot->faults), 8));
        sim_tell(rot->faults->sim, "a bit of %s flips at byte %llu", path, (unsigned long long)pos);
    }
}

static void bit_rot(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[id];
    struct rot rot = {.faults = faults, .disk = node->disk, .wanted = UINT64_MAX};

    if (faults->forgot || is_a_home(faults->sim, id)) {
        return;
    }
    mem_disk_each(node->disk, rot_one, &rot);
    if (rot.files > 0) {
        rot.wanted = prng_below(chance(faults), rot.files);
        rot.files = 0;
        sim_tell(faults->sim, "node %u:", id);
        mem_disk_each(node->disk, rot_one, &rot);
        faults->forgot = rot.done;
        node->may_forget = true;
    }
}

/* What a node keeps that only ends where it was told: segments, the journal, the quorum's log. */
static bool may_be_cut(const char *path, uint64_t size)
{
    size_t len = strlen(path);
    bool segment =
        strncmp(path, "topics/", 7) == 0 && len > 4 && strcmp(path + len - 4, ".log") == 0;

    return size > 1 &&
           (segment || strncmp(path, "journal/", 8) == 0 || strncmp(path, "raft/log", 8) == 0);
}

static void cut_one(void *ctx, const char *path, uint64_t size)
{
    struct rot *rot = ctx;

    if (may_be_cut(path, size) && rot->files++ == rot->wanted) {
        rot->len = size;
        (void)snprintf(rot->path, sizeof rot->path, "%s", path);
    }
}

#define RAFT_LOG_FRONT (UINT64_C(4) << 10)

static void cut_file(struct sim_faults *faults, uint32_t id)
{
    struct sim_node *node = &faults->sim->nodes[id];
    struct rot rot = {.faults = faults, .disk = node->disk, .wanted = UINT64_MAX};

    if (faults->forgot || is_a_home(faults->sim, id) || node->node == NULL) {
        return;
    }
    crash(faults, id, SIM_POWER, how_long(faults));
    mem_disk_each(node->disk, cut_one, &rot);
    if (rot.files == 0) {
        return;
    }
    rot.wanted = prng_below(chance(faults), rot.files);
    rot.files = 0;
    mem_disk_each(node->disk, cut_one, &rot);
    /* Of the quorum's log the front alone is written in so short a run, and zeros behind that are nobody's. */
    bool mostly_zeros = strncmp(rot.path, "raft/", 5) == 0 && rot.len > RAFT_LOG_FRONT;
    uint64_t size = prng_below(chance(faults), mostly_zeros ? RAFT_LOG_FRONT : rot.len);
    sim_tell(faults->sim, "node %u: %s is cut from %llu to %llu bytes", id, rot.path,
             (unsigned long long)rot.len, (unsigned long long)size);
    faults->forgot = mem_disk_cut(node->disk, rot.path, size);
    node->may_forget = true;
    node->was_cut = true;
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void strike(struct sim_faults *faults, enum fault fault)
{
    uint32_t a = some_node(faults);
    uint32_t b = another_node(faults, a);
    uint64_t us = how_long(faults);

    faults->sim->fault_count++;
    switch (fault) {
    case FAULT_KILL:
        crash(faults, a, SIM_KILL, us);
        break;
    case FAULT_POWER:
        crash(faults, a, SIM_POWER, us);
        break;
    case FAULT_POWER_MANY:
        power_many(faults);
        break;
    case FAULT_WRITE_POINT:
        write_point(faults, a);
        break;
    case FAULT_CUT:
        cut_way(faults, a, b, us);
        cut_way(faults, b, a, us);
        break;
    case FAULT_CUT_ONE_WAY:
        cut_way(faults, a, b, us);
        break;
    case FAULT_ISOLATE:
        isolate(faults, a);
        break;
    case FAULT_RESET:
        sim_tell(faults->sim, "connections between %u and %u break", a, b);
        sim_net_reset(&faults->sim->net, a, b);
        break;
    case FAULT_PAUSE:
        pause_node(faults, a);
        break;
    case FAULT_SLOW_DISK:
        slow_disk(faults, a);
        break;
    case FAULT_FULL_DISK:
        full_disk(faults, a);
        break;
    case FAULT_EIO:
        eio(faults, a);
        break;
    case FAULT_WIPE:
        wipe(faults, a);
        break;
    case FAULT_ROLL_BACK:
        roll_back(faults, a);
        break;
    case FAULT_LOSS:
    case FAULT_NARROW:
    case FAULT_LATE:
        worsen(faults, a, b, fault, us);
        worsen(faults, b, a, fault, us);
        break;
    case FAULT_FLAP:
        faults->ways[a][b].flaps = (uint32_t)prng_between(chance(faults), 2, 12);
        sim_after(faults->sim, &faults->ways[a][b].flap, 0);
        break;
    case FAULT_CLOCK:
        clock_jumps(faults, a);
        break;
    case FAULT_BIT_ROT:
        bit_rot(faults, a);
        break;
    case FAULT_CUT_FILE:
        cut_file(faults, a);
        break;
    case FAULTS:
        CHECK(false);
    }
}

static void next(struct timer *timer)
{
    struct sim_faults *faults = CONTAINER_OF(timer, struct sim_faults, next);
    uint64_t wanted = faults->kinds > 0 ? prng_below(chance(faults), faults->kinds) : 0;

    if (faults->tender != 0) {
        const struct sim_node *node = &faults->sim->nodes[faults->tender];
        if (node->node == NULL || !node_rolled_back(node->node)) {
            sim_after(faults->sim, timer, 100 * SIM_MS);
            return;
        }
        faults->tender = 0;
    }
    for (int i = 0; i < FAULTS; i++) {
        if (faults->exists[i] && wanted-- == 0) {
            strike(faults, (enum fault)i);
            break;
        }
    }
    /* Now and then one comes right after another. */
    uint64_t us = prng_between(chance(faults), faults->pace_us / 4, faults->pace_us * 7 / 4);
    sim_after(faults->sim, timer, prng_chance(chance(faults), 1, 4) ? us / 16 : us);
}

void sim_faults_begin(struct sim *sim)
{
    struct sim_faults *faults = mem_new(sizeof *faults);
    char kinds[256] = "";

    faults->sim = sim;
    sim->faults = faults;
    for (int i = 0; i < (sim->shape->all_faults ? FAULTS : FAULT_FIRST_OF_ALL); i++) {
        char word[32];
        (void)snprintf(word, sizeof word, " %s ", names[i]);
        bool wanted = sim->shape->faults != NULL && strstr(sim->shape->faults, word) != NULL;
        faults->exists[i] = prng_chance(chance(faults),
                                        sim->shape->faults == NULL ? 4
                                        : wanted                   ? 8
                                                                   : 2,
                                        8);
        if (faults->exists[i]) {
            faults->kinds++;
            size_t len = strlen(kinds);
            (void)snprintf(kinds + len, sizeof kinds - len, " %s", names[i]);
        }
    }
    faults->pace_us = sim_range_draw(chance(faults), sim->shape->pace_us);
    faults->longest_us = sim_range_draw(chance(faults), sim->shape->longest_us);
    sim_tell(sim, "faults begin:%s", kinds);
    faults->next.fire = next;
    for (uint32_t a = 1; a <= sim->node_count; a++) {
        struct machine *machine = &faults->machines[a];
        *machine = (struct machine){.sim = sim, .id = a};
        machine->resume.fire = resume;
        machine->fast_again.fire = fast_again;
        machine->room_again.fire = room_again;
        for (uint32_t b = 1; b <= sim->node_count; b++) {
            faults->ways[a][b] = (struct way){.sim = sim, .from = a, .to = b};
            faults->ways[a][b].heal.fire = heal_way;
            faults->ways[a][b].better.fire = better;
            faults->ways[a][b].flap.fire = flap;
        }
    }
    sim_after(sim, &faults->next, faults->pace_us);
}

static void fire_now(struct sim *sim, struct timer *timer)
{
    if (timer_armed(timer)) {
        sim_stop(sim, timer);
        timer->fire(timer);
    }
}

static void repair_all(struct sim_faults *faults)
{
    struct sim *sim = faults->sim;

    for (uint32_t a = 1; a <= sim->node_count; a++) {
        fire_now(sim, &faults->machines[a].resume);
        fire_now(sim, &faults->machines[a].fast_again);
        fire_now(sim, &faults->machines[a].room_again);
        for (uint32_t b = 1; b <= sim->node_count; b++) {
            faults->ways[a][b].flaps = 0;
            sim_stop(sim, &faults->ways[a][b].flap);
            sim_net_set_cut(&sim->net, a, b, false);
            fire_now(sim, &faults->ways[a][b].heal);
            fire_now(sim, &faults->ways[a][b].better);
        }
        mem_disk_stop_at(sim->nodes[a].disk, 0);
        fire_now(sim, &sim->nodes[a].restart);
    }
}

void sim_faults_heal(struct sim *sim)
{
    struct sim_faults *faults = sim->faults;

    if (faults != NULL) {
        sim_tell(sim, "faults end");
        sim_stop(sim, &faults->next);
        repair_all(faults);
    }
}

void sim_faults_spare_disks(struct sim *sim)
{
    sim->faults->forgot = true;
}

void sim_faults_free(struct sim *sim)
{
    struct sim_faults *faults = sim->faults;

    if (faults == NULL) {
        return;
    }
    sim_stop(sim, &faults->next);
    for (uint32_t a = 1; a <= sim->node_count; a++) {
        sim_stop(sim, &faults->machines[a].resume);
        sim_stop(sim, &faults->machines[a].fast_again);
        sim_stop(sim, &faults->machines[a].room_again);
        for (uint32_t b = 1; b <= sim->node_count; b++) {
            sim_stop(sim, &faults->ways[a][b].heal);
            sim_stop(sim, &faults->ways[a][b].better);
            sim_stop(sim, &faults->ways[a][b].flap);
        }
    }
    if (faults->old_copy != NULL) {
        mem_disk_free(faults->old_copy);
    }
    free(faults);
    sim->faults = NULL;
}
