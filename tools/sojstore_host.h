/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sojstore needs of its host: a file or block device as a struct block_dev, and partitions by number. */
#ifndef SOJOURN_TOOLS_SOJSTORE_HOST_H
#define SOJOURN_TOOLS_SOJSTORE_HOST_H

#include "block.h"

extern bool host_verbose; /* log lines go to stderr */

/* Open path as a disk, two at the most. writable: and lock it against other sojstores. On failure false, with errno
   set. */
bool host_disk_open(struct block_dev *dev, const char *path, bool writable);
void host_disk_close(struct block_dev *dev);

/* Make a file of zeros, all of it a hole; false, with errno set, when it cannot be or is there already. */
bool host_file_create(const char *path, uint64_t bytes);
/* Do both paths name the same file or device, or a disk and a partition of it? */
bool host_same_file(const char *a, const char *b);

/* Partition number of a disk, as Linux counts (GPT entry, or MBR primary 1 to 4). *ours: it has our type or name.
   E_NOTFOUND: no such partition; E_BADTAG: no valid partition table; E_BOUNDS: it reaches beyond the disk; E_IO. */
enum err host_partition(struct block_dev *dev, unsigned number, struct block_part *part, bool *ours);

/* Random bytes, at most 256; the kernel's. */
bool host_random(uint8_t *bytes, size_t count);
/* What a file holds, up to room bytes; "-": standard input. -1, with errno set, when it cannot be read. */
long host_read_file(const char *path, uint8_t *data, size_t room);

#endif
