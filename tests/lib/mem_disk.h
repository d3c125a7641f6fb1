/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory that can crash: what was not synced is forgotten, kept or torn by chance.
 *
 * Bytes are durable once a sync of their file has returned; names once sync_dir has. Every write,
 * sync, truncate, preallocate, rename, remove, mkdir and creation is a *write point* and counted;
 * the disk can be told to stop at the n-th: that one does not happen, and nothing after it.
 *
 * Asynchronous ops are completed by mem_disk_pump, or, if a clock was given, by a timer after a
 * latency drawn from the disk's own generator. An op takes effect when it completes. */
#pragma once

#include "base/clock.h"
#include "base/disk.h"
#include "base/prng.h"

/* `clock` may be NULL (then use mem_disk_pump). */
struct disk *mem_disk_new(struct clock *clock, uint64_t seed);
/* All files must be closed, or lost by a crash. */
void mem_disk_free(struct disk *disk);
void mem_disk_set_latency(struct disk *disk, uint64_t min_us, uint64_t max_us);

/* Power failure: ops under way vanish (a write among them may have happened in part), handles
 * become invalid, unsynced extents and names are kept, lost or torn at 512 bytes. Not before the
 * users of the disk have been closed. */
void mem_disk_crash(struct disk *disk);
/* The process alone dies: what was written stays, synced or not; ops under way may have happened
 * in part. */
void mem_disk_kill(struct disk *disk);
/* An independent copy of the contents (no ops, no handles): to try several crashes of one state. */
struct disk *mem_disk_copy(const struct disk *disk, struct clock *clock, uint64_t seed);

/* Completes ops under way until none is left (also those submitted meanwhile). Returns how many. */
unsigned mem_disk_pump(struct disk *disk);
/* Completes the oldest op under way; false if there is none. */
bool mem_disk_pump_one(struct disk *disk);
unsigned mem_disk_under_way(const struct disk *disk);

/* ---- faults ---------------------------------------------------------------------------------- */

/* The next write (or sync) fails with EIO. */
void mem_disk_fail_next_write(struct disk *disk);
void mem_disk_fail_next_sync(struct disk *disk);
/* All files together hold at most so many bytes; UINT64_MAX: no limit. */
void mem_disk_set_capacity(struct disk *disk, uint64_t bytes);
uint64_t mem_disk_used(const struct disk *disk);
/* Stops before write point number `point` (counted from 1 over the disk's life); 0: never. */
void mem_disk_stop_at(struct disk *disk, uint64_t point);
bool mem_disk_stopped(const struct disk *disk);
/* `visit` is called before each write point happens; it may copy the disk, not use it. */
void mem_disk_on_point(struct disk *disk, void (*visit)(void *ctx), void *ctx);
uint64_t mem_disk_points(const struct disk *disk);
/* Flips one bit of what is stored, durably. False if there is no such byte. */
bool mem_disk_flip(struct disk *disk, const char *path, uint64_t pos, unsigned bit);
/* The file ends there from now on, durably. False if it is not longer. */
bool mem_disk_cut(struct disk *disk, const char *path, uint64_t size);
/* Overwrites stored bytes, durably, as a lost or misdirected write would. */
bool mem_disk_poke(struct disk *disk, const char *path, uint64_t pos, struct slice bytes);
/* Calls `each` for every file. */
void mem_disk_each(const struct disk *disk,
                   void (*each)(void *ctx, const char *path, uint64_t size), void *ctx);
