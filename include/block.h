/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. A disk, and a window onto part of one. One command is in flight per disk at a time: begin() starts it,
   finish() waits for it with a deadline, so that the caller can compress the next extent meanwhile. */
#ifndef SOJOURN_BLOCK_H
#define SOJOURN_BLOCK_H

#include "err.h"
#include "types.h"

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH };

struct block_dev {
    char name[16];          /* "ahci0.1", "ata0.0", "file" */
    uint64_t sectors;       /* of 512 bytes, whatever the medium's own sector size */
    uint32_t align_sectors; /* lba and count must be multiples of this: 1, or 8 for 4 KiB native disks */
    uint32_t max_sectors;   /* per command */
    /* buf: 4-byte aligned (or better 4 KiB), from hostmem windows; must stay untouched until finish(). */
    enum err (*begin)(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf);
    enum err (*finish)(struct block_dev *dev); /* E_OK, E_IO, E_GONE, E_TIMEOUT; nothing in flight afterwards */
    void (*idle)(void); /* what finish() does between two looks at a command that is not done; NULL: it just waits */
    void *driver;       /* the driver's own */
};

/* A partition: every access is checked against it, so nothing outside is ever written. */
struct block_part {
    struct block_dev *dev;
    uint64_t first; /* sectors */
    uint64_t count;
};

/* Whole transfers of any length, split as the disk needs; lba relative to the partition. E_BOUNDS before any I/O. */
enum err block_read(struct block_part *part, uint64_t lba, uint64_t count, void *buf) MUST_USE;
enum err block_write(struct block_part *part, uint64_t lba, uint64_t count, const void *buf) MUST_USE;
enum err block_flush(struct block_part *part) MUST_USE;
/* Start one write of at most dev->max_sectors; block_finish waits for it. */
enum err block_begin_write(struct block_part *part, uint64_t lba, uint32_t count, const void *buf) MUST_USE;
enum err block_finish(struct block_part *part) MUST_USE;

#endif
