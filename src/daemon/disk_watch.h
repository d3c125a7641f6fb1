/* SPDX-License-Identifier: Apache-2.0 */
/* Ends the process when a call to the disk that the loop makes itself does not return. */
#pragma once

struct disk;
struct disk_watch;

/* Looks at the calls of a disk of disk_real.c, from a thread of its own. From the end of the start on:
 * before, calls may be long. */
struct disk_watch *disk_watch_new(const struct disk *disk);
void disk_watch_free(struct disk_watch *watch);
